"""The words of the corpus, in four languages: adjectives, nouns, verbs, states, times, people."""

from dataclasses import dataclass, replace
from typing import NamedTuple


@dataclass(frozen=True)
class Adjective:
    """An adjective: French forms are m, f, m plural, f plural and m before a vowel."""

    en: str
    fr: tuple[str, ...]
    before: bool  # stands before the noun in French
    ja: str  # before a noun
    ja_end: str  # as a predicate, before です
    ko: str  # before a noun
    ko_end: str  # as a predicate


@dataclass(frozen=True)
class Noun:
    """A noun; kind is count, mass, plural (always plural) or proper (no English article)."""

    en: str
    fr: str
    gender: str
    ja: str
    ko: str
    kind: str = "count"
    plurals: tuple[str, str] = ("", "")  # English and French, where the plural is used
    adjectives: tuple[str, ...] = ()
    owned: bool = False  # "Jane 's book" is said
    french_mass: bool = False  # "a rest" is "du repos"


@dataclass(frozen=True)
class Verb:
    """A verb with the forms that the grammar needs.

    en: base, he-form, past, -ing; particle is the second word of "wait for"
    fr: je, il, nous, ils, participle, stem of the imparfait
    ja: before ます, te-form, dictionary form
    ko: stem, past stem; ko_noun: 공부 where "study" is 공부 를 하다
    """

    en: tuple[str, ...]
    fr: tuple[str, ...]
    ja: tuple[str, ...]
    ko: tuple[str, ...]
    particle: str = ""
    auxiliary: str = "avoir"
    ja_case: str = "を"
    ko_case: str = "을/를"
    fr_case: str = ""
    ja_state: bool = False  # present and past are ～て いる
    ja_na: bool = False  # 好き です
    ja_whole: bool = False  # says its object too: 休む is "take a rest"
    ko_state: bool = False  # present is stem + 다
    ko_noun: str = ""


def rows_of(*tables: str) -> list[list[str]]:
    """Cut tables into rows at their lines, and rows into cells at |."""
    lines = [line.strip() for table in tables for line in table.strip().split("\n")]
    return [line.split("|") for line in lines]


def _adjectives() -> dict[str, Adjective]:
    """Read the table of adjectives."""
    table = """
    small|petit petite petits petites petit|before|小さい|小さい|작은|작다
    big|grand grande grands grandes grand|before|大きい|大きい|큰|크다
    new|nouveau nouvelle nouveaux nouvelles nouvel|before|新しい|新しい|새|
    old|vieux vieille vieux vieilles vieil|before|古い|古い|오래된|오래되었다
    long|long longue longs longues long|before|長い|長い|긴|길다
    beautiful|beau belle beaux belles bel|before|美しい|美しい|아름다운|아름답다
    red|rouge rouge rouges rouges rouge|after|赤い|赤い|빨간|빨갛다
    white|blanc blanche blancs blanches blanc|after|白い|白い|하얀|하얗다
    black|noir noire noirs noires noir|after|黒い|黒い|검은|검다
    interesting|intéressant intéressante intéressants intéressantes intéressant|after|\
面白い|面白い|재미있는|재미있다
    delicious|délicieux délicieuse délicieux délicieuses délicieux|after|\
おいしい|おいしい|맛있는|맛있다
    hot|chaud chaude chauds chaudes chaud|after|温かい|温かい|따뜻한|따뜻하다
    cold|froid froide froids froides froid|after|冷たい|冷たい|차가운|차갑다
    expensive|cher chère chers chères cher|after|高い|高い|비싼|비싸다
    """
    found = {}
    for en, fr, side, ja, ja_end, ko, ko_end in rows_of(table):
        found[en] = Adjective(en, tuple(fr.split()), side == "before", ja, ja_end, ko, ko_end)
    return found


ADJECTIVES = _adjectives()
# What is big and compact is "gros" in French: une grosse pomme, but une grande table.
GROS = replace(ADJECTIVES["big"], fr=("gros", "grosse", "gros", "grosses", "gros"))
COMPACT = ("apple",)


def adjective_of(name: str, noun: str) -> Adjective:
    """Return an adjective as it is said of a noun, both named in English."""
    return GROS if name == "big" and noun in COMPACT else ADJECTIVES[name]


def _nouns() -> dict[str, Noun]:
    """Read the table of nouns.

    One line: English (plural) | French (plural) and gender | Japanese | Korean | kind and marks |
    adjectives. The mark "owned" allows "Jane 's ...".
    """
    table = """
    book (books)|livre (livres) m|本|책|count owned|new old interesting
    newspaper|journal m|新聞|신문|count|old interesting
    letter (letters)|lettre (lettres) f|手紙|편지|count|long
    story (stories)|histoire (histoires) f|物語|이야기|count|long beautiful interesting
    film (films)|film (films) m|映画|영화|count|new old interesting
    song (songs)|chanson (chansons) f|歌|노래|count|old beautiful
    pen|stylo m|ペン|펜|count owned|new red black
    pencil|crayon m|鉛筆|연필|count owned|new red black
    apple (apples)|pomme (pommes) f|りんご|사과|count|small big red
    cake (cakes)|gâteau (gâteaux) m|ケーキ|케이크|count|small delicious
    bread|pain m|パン|빵|mass|delicious
    rice|riz m|ご飯|밥|mass|
    fish|poisson m|魚|생선|mass|delicious
    meat|viande f|肉|고기|mass|delicious
    vegetables|légumes m|野菜|채소|plural|delicious
    water|eau f|水|물|mass|cold
    tea|thé m|お茶|차|mass|hot
    coffee|café m|コーヒー|커피|mass|hot
    milk|lait m|牛乳|우유|mass|hot cold
    juice|jus m|ジュース|주스|mass|cold delicious
    flower (flowers)|fleur (fleurs) f|花|꽃|count|small red white beautiful
    tree|arbre m|木|나무|count|big old beautiful
    bird (birds)|oiseau (oiseaux) m|鳥|새|count|small
    cat|chat m|猫|고양이|count owned|small white black
    dog|chien m|犬|개|count owned|small big white black
    hat|chapeau m|帽子|모자|count owned|new red white black expensive
    bag|sac m|かばん|가방|count owned|new old red black expensive
    umbrella|parapluie m|傘|우산|count owned|new red black expensive
    key|clé f|鍵|열쇠|count owned|small old
    picture|tableau m|絵|그림|count owned|small new beautiful expensive
    photo (photos)|photo (photos) f|写真|사진|count|old beautiful
    gift|cadeau m|プレゼント|선물|count|small expensive
    plates|assiettes f|皿|접시|plural|white
    window|fenêtre f|窓|창문|count|big
    door|porte f|ドア|문|count|
    table|table f|テーブル|탁자|count|small big old
    chair|chaise f|椅子|의자|count|small old
    car|voiture f|車|차|count owned|new red white
    bus|bus m|バス|버스|count|
    train|train m|電車|기차|count|
    bicycle|vélo m|自転車|자전거|count owned|new red expensive
    piano|piano m|ピアノ|피아노|count|
    guitar|guitare f|ギター|기타|count|
    music|musique f|音楽|음악|mass|
    football|football m|サッカー|축구|mass|
    baseball|baseball m|野球|야구|mass|
    French|français m|フランス語|프랑스어|proper|
    Japanese|japonais m|日本語|일본어|proper|
    Korean|coréen m|韓国語|한국어|proper|
    walk|promenade f|散歩|산책|count|
    rest|repos m|休憩|휴식|count|
    garden|jardin m|庭|정원|count owned|small big beautiful
    park|parc m|公園|공원|count|big old beautiful
    kitchen|cuisine f|台所|부엌|count|small big
    living room|salon m|居間|거실|count|
    house|maison f|家|집|count owned|small big new old
    forest|forêt f|森|숲|count|
    village|village m|村|마을|count|small old
    café|café m|喫茶店|카페|count|small new
    shop|magasin m|店|가게|count|small new
    castle|château m|城|성|count|old beautiful
    museum|musée m|美術館|박물관|count|new big
    school|école f|学校|학교|proper|
    library|bibliothèque f|図書館|도서관|count|
    station|gare f|駅|역|count|
    market|marché m|市場|시장|count|
    hospital|hôpital m|病院|병원|count|
    restaurant|restaurant m|レストラン|식당|count|
    beach|plage f|海辺|바닷가|count|
    zoo|zoo m|動物園|동물원|count|
    sea|mer f|海|바다|count|
    river|rivière f|川|강|count|
    animals|animaux m|動物|동물|plural|
    Africa|Afrique f|アフリカ|아프리카|proper|
    France|France f|フランス|프랑스|proper|
    Japan|Japon m|日本|일본|proper|
    Korea|Corée f|韓国|한국|proper|
    Canada|Canada m|カナダ|캐나다|proper|
    Paris|Paris m|パリ|파리|proper|
    Tokyo|Tokyo m|東京|도쿄|proper|
    Seoul|Séoul m|ソウル|서울|proper|
    London|Londres m|ロンドン|런던|proper|
    doctor|médecin m|医者|의사|count|
    teacher|professeur m|先生|선생님|count|
    student|élève m|生徒|학생|count|
    """
    found = {}
    for en, fr, ja, ko, marks, adjectives in rows_of(table):
        fr, gender = fr.rsplit(" ", 1)
        plurals = ("", "")
        if "(" in en:
            en, plural_en = en.rstrip(")").split(" (")
            fr, plural_fr = fr.rstrip(")").split(" (")
            plurals = (plural_en, plural_fr)
        kind, *more = marks.split()
        found[en] = Noun(
            en, fr, gender, ja, ko, kind, plurals, tuple(adjectives.split()), "owned" in more
        )
    found["rest"] = replace(found["rest"], french_mass=True)
    return found


NOUNS = _nouns()
CITIES = ("Paris", "Tokyo", "Seoul", "London")
COUNTRIES = ("Africa", "France", "Japan", "Korea", "Canada")
CITY_IN = {"Paris": "France", "Tokyo": "Japan", "Seoul": "Korea"}
# Common places by their English preposition: "in the park" is "dans le parc", "at the market"
# is "au marché"; "school" and "home" have no article.
PLACES_IN = ("garden", "park", "kitchen", "living room", "forest", "village", "café", "shop")
PLACES_AT = ("library", "station", "market", "hospital", "restaurant", "beach", "zoo", "museum")


def _verbs() -> dict[str, Verb]:
    """Read the table of verbs.

    One line: name | English | French | Japanese | Korean | marks as name=value.
    """
    table = """
    read|read reads read reading|lis lit lisons lisent lu lis|読み 読んで 読む|읽 읽었
    write|write writes wrote writing|écris écrit écrivons écrivent écrit écriv|\
書き 書いて 書く|쓰 썼
    draw|draw draws drew drawing|dessine dessine dessinons dessinent dessiné dessin|\
描き 描いて 描く|그리 그렸
    study|study studies studied studying|étudie étudie étudions étudient étudié étudi|\
勉強し 勉強して 勉強する|공부하 공부했
    study_alone|study studies studied studying|\
étudie étudie étudions étudient étudié étudi|勉強し 勉強して 勉強する|하 했|ko_noun=공부
    teach|teach teaches taught teaching|enseigne enseigne enseignons enseignent enseigné enseign|\
教え 教えて 教える|가르치 가르쳤
    listen|listen listens listened listening|écoute écoute écoutons écoutent écouté écout|\
聞き 聞いて 聞く|듣 들었|particle=to
    sing|sing sings sang singing|chante chante chantons chantent chanté chant|\
歌い 歌って 歌う|부르 불렀
    play_music|play plays played playing|joue joue jouons jouent joué jou|\
弾き 弾いて 弾く|치 쳤|fr_case=de
    play_sport|play plays played playing|joue joue jouons jouent joué jou|\
し して する|하 했|fr_case=à
    play|play plays played playing|joue joue jouons jouent joué jou|遊び 遊んで 遊ぶ|놀 놀았
    watch|watch watches watched watching|regarde regarde regardons regardent regardé regard|\
見 見て 見る|보 보았
    eat|eat eats ate eating|mange mange mangeons mangent mangé mange|\
食べ 食べて 食べる|먹 먹었
    drink|drink drinks drank drinking|bois boit buvons boivent bu buv|飲み 飲んで 飲む|마시 마셨
    cook|cook cooks cooked cooking|cuisine cuisine cuisinons cuisinent cuisiné cuisin|\
料理し 料理して 料理する|요리하 요리했
    make|make makes made making|fais fait faisons font fait fais|作り 作って 作る|만들 만들었
    wash|wash washes washed washing|lave lave lavons lavent lavé lav|洗い 洗って 洗う|씻 씻었
    clean|clean cleans cleaned cleaning|nettoie nettoie nettoyons nettoient nettoyé nettoy|\
掃除し 掃除して 掃除する|청소하 청소했
    buy|buy buys bought buying|achète achète achetons achètent acheté achet|買い 買って 買う|사 샀
    sell|sell sells sold selling|vends vend vendons vendent vendu vend|売り 売って 売る|팔 팔았
    give|give gives gave giving|donne donne donnons donnent donné donn|\
あげ あげて あげる|주 주었
    send|send sends sent sending|envoie envoie envoyons envoient envoyé envoy|\
送り 送って 送る|보내 보냈
    show|show shows showed showing|montre montre montrons montrent montré montr|\
見せ 見せて 見せる|보여주 보여주었
    phone|phone phones phoned phoning|\
téléphone téléphone téléphonons téléphonent téléphoné téléphon|\
電話し 電話して 電話する|전화하 전화했|fr_case=à ja_case=に ko_case=에게
    meet|meet meets met meeting|rencontre rencontre rencontrons rencontrent rencontré rencontr|\
会い 会って 会う|만나 만났|ja_case=に
    wait|wait waits waited waiting|attends attend attendons attendent attendu attend|\
待ち 待って 待つ|기다리 기다렸|particle=for
    help|help helps helped helping|aide aide aidons aident aidé aid|\
手伝い 手伝って 手伝う|돕 도왔
    take_bus|take takes took taking|prends prend prenons prennent pris pren|\
乗り 乗って 乗る|타 탔|ja_case=に
    take_photo|take takes took taking|prends prend prenons prennent pris pren|\
撮り 撮って 撮る|찍 찍었
    take_rest|take takes took taking|prends prend prenons prennent pris pren|\
休み 休んで 休む|취하 취했|ja_whole=1
    take_walk|take takes took taking|fais fait faisons font fait fais|し して する|하 했
    open|open opens opened opening|ouvre ouvre ouvrons ouvrent ouvert ouvr|\
開け 開けて 開ける|열 열었
    close|close closes closed closing|ferme ferme fermons ferment fermé ferm|\
閉め 閉めて 閉める|닫 닫았
    look|look looks looked looking|cherche cherche cherchons cherchent cherché cherch|\
探し 探して 探す|찾아보 찾아보았|particle=for
    lose|lose loses lost losing|perds perd perdons perdent perdu perd|\
なくし なくして なくす|잃어버리 잃어버렸
    visit|visit visits visited visiting|visite visite visitons visitent visité visit|\
訪れ 訪れて 訪れる|방문하 방문했
    go|go goes went going|vais va allons vont allé all|行き 行って 行く|가 갔|auxiliary=être
    come|come comes came coming|rentre rentre rentrons rentrent rentré rentr|\
帰り 帰って 帰る|오 왔|auxiliary=être
    arrive|arrive arrives arrived arriving|arrive arrive arrivons arrivent arrivé arriv|\
着き 着いて 着く|도착하 도착했|auxiliary=être
    stay|stay stays stayed staying|reste reste restons restent resté rest|\
い いて いる|있 있었|auxiliary=être ko_state=1
    sleep|sleep sleeps slept sleeping|dors dort dormons dorment dormi dorm|寝 寝て 寝る|자 잤
    run|run runs ran running|cours court courons courent couru cour|走り 走って 走る|달리 달렸
    swim|swim swims swam swimming|nage nage nageons nagent nagé nage|\
泳ぎ 泳いで 泳ぐ|수영하 수영했
    dance|dance dances danced dancing|danse danse dansons dansent dansé dans|\
踊り 踊って 踊る|춤추 춤추었
    work|work works worked working|travaille travaille travaillons travaillent travaillé travaill|\
働き 働いて 働く|일하 일했
    live|live lives lived living|habite habite habitons habitent habité habit|\
住み 住んで 住む|살 살았|ja_state=1
    have|have has had having|ai a avons ont eu av|飼い 飼って 飼う|키우 키웠|ja_state=1
    like|like likes liked liking|aime aime aimons aiment aimé aim|好き - -|좋아하 좋아했|\
ja_na=1 ja_case=が
    """
    found = {}
    for name, en, fr, ja, ko, *marks in rows_of(table):
        options: dict[str, str | bool] = {}
        for mark in " ".join(marks).split():
            option, value = mark.split("=")
            options[option] = True if value == "1" else value
        forms = (tuple(words.split()) for words in (en, fr, ja, ko))
        found[name] = Verb(*forms, **options)  # type: ignore[arg-type]
    return found


VERBS = _verbs()


@dataclass(frozen=True)
class State:
    """A predicate that is not a verb: "was tired", 疲れて いた.

    The words carry marks: word/0 stands for English word 0. French has m, f, m
    plural, f plural after the verb; fr_verb is être, avoir or faire.
    """

    en: str
    fr_verb: str
    fr: tuple[str, ...]
    ja: str  # plain past, before ので
    ko: str  # past stem
    personal: bool = True
    ja_other: str = ""  # said of another than the subject of the main clause
    ko_other: str = ""


# reasons: English "be" is word 0. Those with personal=False have the subject "it".
STATES = {
    "tired": State("tired", "être", ("fatigué", "fatiguée", "fatigués", "fatiguées"),
                   "疲れて/1 いた/0", "피곤했/01"),
    "hungry": State("hungry", "avoir", ("faim",) * 4,
                    "お腹/1 が すいて/1 いた/0", "배/1 가 고팠/01",
                    ja_other="お腹/1 を すかせて/1 いた/0"),
    "thirsty": State("thirsty", "avoir", ("soif",) * 4, "のど/1 が 渇いて/1 いた/0",
                     "목/1 이 말랐/01"),
    "sick": State("sick", "être", ("malade", "malade", "malades", "malades"),
                  "病気/1 だった/0", "아팠/01"),
    "happy": State("happy", "être", ("heureux", "heureuse", "heureux", "heureuses"),
                   "うれしかった/01", "기뻤/01"),
    "sad": State("sad", "être", ("triste", "triste", "tristes", "tristes"),
                 "悲しかった/01", "슬펐/01", ja_other="悲しんで/1 いた/0", ko_other="슬퍼했/01"),
    "busy": State("busy", "être", ("occupé", "occupée", "occupés", "occupées"),
                  "忙しかった/01", "바빴/01"),
    "cold": State("cold", "faire", ("froid",) * 4, "寒かった/01", "추웠/01", False),
    "hot": State("hot", "faire", ("chaud",) * 4, "暑かった/01", "더웠/01", False),
    "sunny": State("sunny", "faire", ("beau",) * 4, "天気/1 が よかった/01", "날씨/1 가 좋았/01",
                   False),
    "raining": State("raining", "il pleuvait", (), "雨/1 が 降って/1 いた/0",
                     "비/1 가 왔/01", False),
    "snowing": State("snowing", "il neigeait", (), "雪/1 が 降って/1 いた/0",
                     "눈/1 이 왔/01", False),
    "late": State("late", "être", ("tard",) * 4, "もう/1 遅かった/01",
                  "시간/1 이 늦었/01", False),
}

# Fixed phrases: English | French | Japanese | Korean. word/0 stands for English word 0, word/01
# for the words 0 and 1; a word without a mark stands for nothing.
TIMES_PAST = """
yesterday|hier/0|昨日/0|어제/0
yesterday morning|hier/0 matin/1|昨日/0 の 朝/1|어제/0 아침/1 에
yesterday evening|hier/0 soir/1|昨日/0 の 夜/1|어제/0 저녁/1 에
this morning|ce/0 matin/1|今朝/01|오늘/0 아침/1 에
last week|la semaine/1 dernière/0|先週/01|지난주/01 에
last year|l' année/1 dernière/0|去年/01|작년/01 에
last summer|l' été/1 dernier/0|去年/0 の 夏/1|지난여름/01 에
last winter|l' hiver/1 dernier/0|去年/0 の 冬/1|지난겨울/01 에
on Monday|lundi/1|月曜日/1 に/0|월요일/1 에/0
on Wednesday|mercredi/1|水曜日/1 に/0|수요일/1 에/0
on Friday|vendredi/1|金曜日/1 に/0|금요일/1 에/0
on Sunday|dimanche/1|日曜日/1 に/0|일요일/1 에/0
on Monday morning|lundi/1 matin/2|月曜日/1 の 朝/2 に/0|월요일/1 아침/2 에/0
on Wednesday afternoon|mercredi/1 après-midi/2|水曜日/1 の 午後/2 に/0|수요일/1 오후/2 에/0
on Friday evening|vendredi/1 soir/2|金曜日/1 の 夜/2 に/0|금요일/1 저녁/2 에/0
on Sunday afternoon|dimanche/1 après-midi/2|日曜日/1 の 午後/2 に/0|일요일/1 오후/2 에/0
"""
TIMES_BOTH = """
in September|en/0 septembre/1|九月/1 に/0|구월/1 에/0
in October|en/0 octobre/1|十月/1 に/0|시월/1 에/0
in spring|au/0 printemps/1|春/1 に/0|봄/1 에/0
in summer|en/0 été/1|夏/1 に/0|여름/1 에/0
in autumn|en/0 automne/1|秋/1 に/0|가을/1 에/0
in winter|en/0 hiver/1|冬/1 に/0|겨울/1 에/0
"""
TIMES_PRESENT = """
every day|tous/0 les jours/1|毎日/01|매일/01
every morning|tous/0 les matins/1|毎朝/01|매일/0 아침/1
every evening|tous/0 les soirs/1|毎晩/01|매일/0 저녁/1
every week|toutes/0 les semaines/1|毎週/01|매주/01
every Sunday|tous/0 les dimanches/1|毎週/0 日曜日/1 に|매주/0 일요일/1 에
every year|tous/0 les ans/1|毎年/01|매년/01
"""
FREQUENCIES = """
often|souvent/0|よく/0|자주/0
always|toujours/0|いつも/0|항상/0
sometimes|parfois/0|時々/0|가끔/0
"""
INSTRUMENTS = """
with a pen|avec/0 un/1 stylo/2|ペン/2 で/0|펜/2 으로/0
with a pencil|avec/0 un/1 crayon/2|鉛筆/2 で/0|연필/2 로/0
with chopsticks|avec/0 des baguettes/1|箸/1 で/0|젓가락/1 으로/0
by bus|en/0 bus/1|バス/1 で/0|버스/1 로/0
by train|en/0 train/1|電車/1 で/0|기차/1 로/0
by car|en/0 voiture/1|車/1 で/0|차/1 로/0
by bicycle|à/0 vélo/1|自転車/1 で/0|자전거/1 로/0
"""
MANNERS = """
slowly|lentement/0|ゆっくり/0|천천히/0
quietly|en/0 silence/0|静かに/0|조용히/0
early|tôt/0|早く/0|일찍/0
late|tard/0|遅く/0|늦게/0
"""
# of one who arrives; one who comes home does so tôt or tard
ARRIVALS_IN_TIME = """
early|en/0 avance/0|早く/0|일찍/0
late|en/0 retard/0|遅れて/0|늦게/0
"""


def _fixed(*tables: str) -> dict[str, tuple[str, str, str, str]]:
    """Read tables of fixed phrases, keyed by their English."""
    return {en: (en, fr, ja, ko) for en, fr, ja, ko in rows_of(*tables)}


PAST = _fixed(TIMES_PAST, TIMES_BOTH)
PRESENT = _fixed(TIMES_PRESENT, TIMES_BOTH)
FREQUENCY = _fixed(FREQUENCIES)
INSTRUMENT = _fixed(INSTRUMENTS)
MANNER = _fixed(MANNERS)
ARRIVING = _fixed(ARRIVALS_IN_TIME)

DAILY = ("every day", "every morning", "every evening", "every week", "every Sunday")
SEASONS = tuple(_fixed(TIMES_BOTH))
YEARLY = ("last week", "last year", "last summer", "last winter")

# Subjects of short sentences; the cat that speaks says 吾輩, a proud "I".
THIS = ("this", "ce/0", "これ/0", "이것/0")
THAT = ("that", "ce/0", "あれ/0", "저것/0")
I_THE_CAT = ("I", "je/0", "吾輩/0", "나/0")


class Name(NamedTuple):
    """A person's name; English and French write it alike."""

    gender: str
    ja: str
    ko: str


class Person(NamedTuple):
    """Somebody without a name: marked words in three languages, gender and marks.

    marks: family (of the speaker), elder, child, plural. In Japanese and Korean 母 and 어머니 alone
    mean the speaker's own mother. An elder asks for polite verbs in Korean (sleeping, eating), so
    such verbs are not said of one.
    """

    fr: str
    ja: str
    ko: str
    gender: str
    marks: str


NAMES = {
    "Jane": Name("f", "ジェーン", "제인"),
    "Anna": Name("f", "アンナ", "안나"),
    "Marie": Name("f", "マリー", "마리"),
    "Mina": Name("f", "ミナ", "미나"),
    "Sara": Name("f", "サラ", "사라"),
    "Paul": Name("m", "ポール", "폴"),
    "Tom": Name("m", "トム", "톰"),
    "Ken": Name("m", "ケン", "켄"),
    "Jun": Name("m", "ジュン", "준"),
    "Leo": Name("m", "レオ", "레오"),
}
PEOPLE = {
    "my mother": Person("ma/0 mère/1", "母/1", "어머니/1", "f", "family elder"),
    "my father": Person("mon/0 père/1", "父/1", "아버지/1", "m", "family elder"),
    "my grandmother": Person("ma/0 grand-mère/1", "祖母/1", "할머니/1", "f", "family elder"),
    "my little brother": Person("mon/0 petit/1 frère/2", "弟/12", "남동생/12", "m", "family child"),
    "my little sister": Person("ma/0 petite/1 sœur/2", "妹/12", "여동생/12", "f", "family child"),
    "my friend": Person("mon/0 ami/1", "友だち/1", "친구/1", "m", "family"),
    "the teacher": Person("le/0 professeur/1", "先生/1", "선생님/1", "m", "elder"),
    "the doctor": Person("le/0 médecin/1", "医者/1", "의사/1", "m", ""),
    "the children": Person("les/0 enfants/1", "子どもたち/1", "아이들/1", "m", "child plural"),
    "the student": Person("le/0 élève/1", "生徒/1", "학생/1", "m", "child"),
    "the students": Person("les/0 élèves/1", "生徒たち/1", "학생들/1", "m", "child plural"),
}
# They do not live with the others.
TITLES = ("my friend", "the teacher", "the doctor", "the student", "the students")

"""The grammar that writes the course's four-way corpus: English, French, Japanese, Korean.

One tree of phrases is built for a sentence and then read out in four languages. Each English word
carries a key, and each word of the other languages carries the keys of the English words that it
stands for: the gold alignment is the set of shared keys, so it is right by construction.

Run `python -m utils.grammar data/grammar` to write the corpus; the same seed gives the same bytes.

The speaker is a man in French ("je suis rentré", as "je suis un chat"), every name has a fixed
gender, and a pair of names is a woman and a man: one English sentence has one translation.

Roles, one per token: who (subject), verb (predicate), what (object or complement), whom (the other
person: whom one meets, to whom one gives), where, when (time and frequency), how (companion,
instrument, manner), link (conjunction). A particle, article or preposition has the role of its
phrase.
"""

import argparse
import os
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

LANGUAGES = ("en", "fr", "ja", "ko")
ROLES = ("who", "verb", "what", "whom", "where", "when", "how", "link")
SIZES = {"train": 10_000, "valid": 500, "test": 500, "novel": 500}
COLUMNS = (*LANGUAGES, *(f"roles_{lang}" for lang in LANGUAGES), "en-fr", "en-ja", "en-ko")
BUCKETS = ((3, 8), (9, 16), (17, 24), (25, 30))  # English tokens; a quarter of a split each
NOVEL_LENGTHS = (31, 40)  # of the second half of the split "novel"

# The sentences of the lessons; each stands in the training part, word for word.
SEED_SENTENCES = (
    "Jane visits Africa in September",
    "this is a pen",
    "I studied at school",
    "I came home and took a rest",
    "I am a cat",
)

T = TypeVar("T")
Word = tuple[str, frozenset[str]]  # a token and its keys
RoleWord = tuple[str, str, frozenset[str]]  # a token, its role and its keys


@dataclass(frozen=True)
class Sentence:
    """One sentence in four languages, with roles and gold alignments.

    words and roles: language code -> one entry per token
    alignments: "fr", "ja", "ko" -> pairs (English index, target index)
    """

    words: dict[str, tuple[str, ...]]
    roles: dict[str, tuple[str, ...]]
    alignments: dict[str, frozenset[tuple[int, int]]]

    def row(self) -> list[str]:
        """Return the cells of this sentence in a .tsv file, in the order of COLUMNS."""
        links = [
            " ".join(f"{i}-{j}" for i, j in sorted(self.alignments[lang]))
            for lang in LANGUAGES[1:]
        ]
        texts = [" ".join(self.words[lang]) for lang in LANGUAGES]
        return [*texts, *(" ".join(self.roles[lang]) for lang in LANGUAGES), *links]


# ---------------------------------------------------------------------------------------------
# The lexicon
# ---------------------------------------------------------------------------------------------


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
    ja: before ます, te-form, dictionary form; ja_after: いる where the present is ～て いる
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
    for line in table.replace("\\\n", "").split("\n"):
        if line.strip():
            en, fr, side, ja, ja_end, ko, ko_end = line.strip().split("|")
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
    for line in table.split("\n"):
        if not line.strip():
            continue
        en, fr, ja, ko, marks, adjectives = line.strip().split("|")
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
    for line in table.replace("\\\n", "").split("\n"):
        if not line.strip():
            continue
        name, en, fr, ja, ko, *marks = line.strip().split("|")
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

    The words carry marks as in fixed(): word/0 stands for English word 0. French has m, f, m
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
    rows = [line.split("|") for table in tables for line in table.strip().split("\n")]
    return {en: (en, fr, ja, ko) for en, fr, ja, ko in rows}


PAST = _fixed(TIMES_PAST, TIMES_BOTH)
PRESENT = _fixed(TIMES_PRESENT, TIMES_BOTH)
FREQUENCY = _fixed(FREQUENCIES)
INSTRUMENT = _fixed(INSTRUMENTS)
MANNER = _fixed(MANNERS)
ARRIVING = _fixed(ARRIVALS_IN_TIME)

# name -> gender, Japanese, Korean
NAMES = {
    "Jane": ("f", "ジェーン", "제인"),
    "Anna": ("f", "アンナ", "안나"),
    "Marie": ("f", "マリー", "마리"),
    "Mina": ("f", "ミナ", "미나"),
    "Sara": ("f", "サラ", "사라"),
    "Paul": ("m", "ポール", "폴"),
    "Tom": ("m", "トム", "톰"),
    "Ken": ("m", "ケン", "켄"),
    "Jun": ("m", "ジュン", "준"),
    "Leo": ("m", "レオ", "레오"),
}
# French | Japanese | Korean | gender | marks. In Japanese and Korean 母 and 어머니 alone
# mean the speaker's own mother. An elder asks for polite verbs in Korean (sleeping, eating), so
# such verbs are not said of one.
PEOPLE = {
    "my mother": ("ma/0 mère/1", "母/1", "어머니/1", "f", "family elder"),
    "my father": ("mon/0 père/1", "父/1", "아버지/1", "m", "family elder"),
    "my grandmother": ("ma/0 grand-mère/1", "祖母/1", "할머니/1", "f", "family elder"),
    "my little brother": ("mon/0 petit/1 frère/2", "弟/12", "남동생/12", "m", "family child"),
    "my little sister": ("ma/0 petite/1 sœur/2", "妹/12", "여동생/12", "f", "family child"),
    "my friend": ("mon/0 ami/1", "友だち/1", "친구/1", "m", "family"),
    "the teacher": ("le/0 professeur/1", "先生/1", "선생님/1", "m", "elder"),
    "the doctor": ("le/0 médecin/1", "医者/1", "의사/1", "m", ""),
    "the children": ("les/0 enfants/1", "子どもたち/1", "아이들/1", "m", "child plural"),
    "the student": ("le/0 élève/1", "生徒/1", "학생/1", "m", "child"),
    "the students": ("les/0 élèves/1", "生徒たち/1", "학생들/1", "m", "child plural"),
}
# They do not live with the others.
TITLES = ("my friend", "the teacher", "the doctor", "the student", "the students")


# ---------------------------------------------------------------------------------------------
# Phrases
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phrase:
    """A phrase in four languages; person, plural and feminine matter for a subject."""

    en: tuple[Word, ...] = ()
    fr: tuple[Word, ...] = ()
    ja: tuple[Word, ...] = ()
    ko: tuple[Word, ...] = ()
    head: str = ""
    person: int = 3
    plural: bool = False
    feminine: bool = False

    def of(self, lang: str) -> tuple[Word, ...]:
        """Return the words of this phrase in one language."""
        return getattr(self, lang)


def josa(word: str, particle: str) -> str:
    """Choose the form of a Korean particle, given as "after consonant/after vowel".

    으로/로 takes 로 after ㄹ too. A particle without a slash is returned as it is.
    """
    if "/" not in particle:
        return particle
    after_consonant, after_vowel = particle.split("/")
    final = (ord(word[-1]) - 0xAC00) % 28
    if final == 0 or (after_vowel == "로" and final == 8):
        return after_vowel
    return after_consonant


@cache
def split_marks(text: str) -> tuple[tuple[str, str], ...]:
    """Read "昨日/0 の 朝/1": the words, each with the digits after its slash."""
    return tuple((word, digits) for word, _, digits in (w.partition("/") for w in text.split()))


def marked(text: str, tag: str) -> tuple[Word, ...]:
    """Give each word of a marked text its keys: the tag with each of its digits."""
    return tuple(
        (word, frozenset([tag + digit for digit in digits])) for word, digits in split_marks(text)
    )


def fixed(tag: str, row: Sequence[str], **marks: object) -> Phrase:
    """Build a phrase from a row English | French | Japanese | Korean of a table."""
    en = tuple((word, frozenset([f"{tag}{i}"])) for i, word in enumerate(row[0].split()))
    others = (marked(text, tag) for text in row[1:4])
    return Phrase(en, *others, head=row[0], **marks)  # type: ignore[arg-type]


def with_particles(phrase: Phrase, ja: str = "", ko: str = "") -> Phrase:
    """Add a Japanese and a Korean particle that translate no English word."""
    return adposition("", phrase, ja=ja, ko=ko)


def adposition(
    tag: str, phrase: Phrase, en: str = "", fr: str = "", ja: str = "", ko: str = ""
) -> Phrase:
    """Put prepositions before a phrase in English and French, particles after it in ja and ko.

    All carry the key of the English preposition; with an empty tag they carry none. ja and ko may
    hold several words: と 一緒 に, 과/와 함께.
    """
    keys: frozenset[str] = frozenset([tag + "p"]) if tag and en else frozenset()
    last = phrase.ko[-1][0] if phrase.ko else ""
    return Phrase(
        ((en, keys), *phrase.en) if en else phrase.en,
        ((fr, keys), *phrase.fr) if fr else phrase.fr,
        (*phrase.ja, *((word, keys) for word in ja.split())),
        (*phrase.ko, *((josa(last, word), keys) for word in ko.split())),
        phrase.head, phrase.person, phrase.plural, phrase.feminine,
    )  # fmt: skip


def starts_with_vowel(word: str) -> bool:
    """Whether French elides before this word; every h of this lexicon is silent."""
    return word[0].lower() in "aeiouhàâéèêîôû"


def name_phrase(tag: str, name: str) -> Phrase:
    """Build the phrase of a person's name."""
    gender, ja, ko = NAMES[name]
    keys = frozenset([tag + "n"])
    words = (((name, keys),), ((name, keys),), ((ja, keys),), ((ko, keys),))
    return Phrase(*words, head=name, feminine=gender == "f")


def noun_phrase(
    tag: str, noun: Noun, det: str = "a", adjective: str = "", owner: str = "", plural: bool = False
) -> Phrase:
    """Build determiner, owner, adjective and noun.

    det: a, the, this, that, "" (English has none: plural or mass) or generic (as "" but with the
    French definite article: "aime le pain"). An owner is a name and takes the place of det.
    """
    d, a, n, o, s = (frozenset([tag + letter]) for letter in "danos")
    none: frozenset[str] = frozenset()
    many = plural or noun.kind == "plural"
    fr_noun = noun.plurals[1] if plural else noun.fr
    form = adjective_of(adjective, noun.en) if adjective else None
    feminine = noun.gender == "f"

    noun_en = tuple((w, n) for w in (noun.plurals[0] if plural else noun.en).split())
    adjective_en = ((form.en, a),) if form else ()
    rest_en = adjective_en + noun_en
    if owner:
        det_en: tuple[Word, ...] = ((owner, o), ("'s", s))
    elif det == "a":
        det_en = (("an" if rest_en[0][0][0] in "aeiou" else "a", d),)
    else:
        det_en = ((det, d),) if det in ("the", "this", "that") else ()

    agreed = ""
    if form:
        agreed = form.fr[2 * many + feminine]
        if form.before and not many and not feminine and starts_with_vowel(fr_noun):
            agreed = form.fr[4]
    first = form is not None and form.before
    noun_fr: tuple[Word, ...] = ((fr_noun, n),)
    if form:
        noun_fr = ((agreed, a), *noun_fr) if first else (*noun_fr, (agreed, a))
    article = "les" if many else ("la" if feminine else "le")
    keyed = d if det_en and not owner else none
    if owner or det in ("the", "generic"):
        det_fr: tuple[Word, ...] = ((article, keyed),)
    elif det in ("this", "that"):
        vowel = not feminine and starts_with_vowel(noun_fr[0][0])
        det_fr = (("cette" if feminine else "cet" if vowel else "ce", d),)
    elif many:
        det_fr = (("de" if first else "des", none),)
    elif noun.kind == "mass" or noun.french_mass:
        det_fr = (("de", keyed), (article, keyed))
    elif det == "a":
        det_fr = (("une" if feminine else "un", d),)
    else:
        det_fr = ()
    after_fr: tuple[Word, ...] = (("de", s), (owner, o)) if owner else ()

    def asian(lang: int, genitive: str, this: str, that: str, attribute: str, word: str):
        start: tuple[Word, ...] = ()
        if owner:
            start = ((NAMES[owner][lang], o), (genitive, s))
        elif det in ("this", "that"):
            start = ((this if det == "this" else that, d),)
        return (*start, *(((attribute, a),) if form else ()), (word, n))

    return Phrase(
        det_en + rest_en,
        det_fr + noun_fr + after_fr,
        asian(1, "の", "この", "あの", form.ja if form else "", noun.ja),
        asian(2, "의", "이", "그", form.ko if form else "", noun.ko),
        head=noun.en,
        plural=many,
        feminine=feminine,
    )


def proper_phrase(tag: str, noun: Noun, article: bool = True) -> Phrase:
    """Build a place or language name; French has an article (l' Afrique) except for cities."""
    phrase = noun_phrase(tag, noun, "generic")
    return phrase if article else replace(phrase, fr=phrase.fr[1:])


def place_phrase(tag: str, place: str, verb: str, adjective: str = "", owner: str = "") -> Phrase:
    """Build "in the park", "to Japan", "at home".

    verb says how: "go" (to; に, 에), "stay" (に, 에) or anything else (で, 에서).
    """
    going, staying = verb == "go", verb in ("go", "stay")
    ja, ko = ("に", "에") if staying else ("で", "에서")
    if place == "home":
        home = (("home", frozenset([tag + "n"])),)
        base = noun_phrase(tag, NOUNS["house"], "generic")
        base = replace(base, en=home, head="home")
        return adposition(tag, base, "" if going else "at", "à", ja, ko)
    noun = NOUNS[place]
    if place in CITIES:
        phrase = proper_phrase(tag, noun, article=False)
        return adposition(tag, phrase, "to" if going else "in", "à", ja, ko)
    if place in COUNTRIES:
        masculine = noun.gender == "m"
        phrase = proper_phrase(tag, noun, article=masculine)
        return adposition(tag, phrase, "to" if going else "in", "à" if masculine else "en", ja, ko)
    if place == "school":
        phrase = noun_phrase(tag, noun, "generic")
        return adposition(tag, phrase, "to" if going else "at", "à", ja, ko)
    if adjective and not owner:
        phrase = noun_phrase(tag, noun, "the", adjective)
    else:
        phrase = noun_phrase(tag, noun, "the", adjective, owner)
    en, fr = ("at", "à") if place in PLACES_AT else ("in", "dans")
    if place == "café" and not adjective:
        fr = "à"  # au café, but dans le petit café
    if going:
        en, fr = "to", "à"
    return adposition(tag, phrase, en, fr, ja, ko)


def on_phrase(tag: str, noun: Noun, adjective: str = "") -> Phrase:
    """Build "on the table": テーブル の 上 に, 탁자 위 에."""
    phrase = noun_phrase(tag, noun, "the", adjective)
    keys = frozenset([tag + "p"])
    return replace(
        phrase,
        en=(("on", keys), *phrase.en),
        fr=(("sur", keys), *phrase.fr),
        ja=(*phrase.ja, ("の", frozenset()), ("上", keys), ("に", keys)),
        ko=(*phrase.ko, ("위", keys), ("에", keys)),
    )


def pair_phrase(tag: str, first: str, second: str) -> Phrase:
    """Build "Jane and Paul"; one of the two is a man, so French says "ils"."""
    left, right = name_phrase(tag + "x", first), name_phrase(tag + "y", second)
    keys = frozenset([tag + "l"])
    return Phrase(
        (*left.en, ("and", keys), *right.en),
        (*left.fr, ("et", keys), *right.fr),
        (*left.ja, ("と", keys), *right.ja),
        (*left.ko, (josa(left.ko[-1][0], "과/와"), keys), *right.ko),
        head=f"{first} and {second}",
        plural=True,
    )


def subject_phrase(tag: str, who: str) -> Phrase:
    """Build the subject named who: a name, "Jane & Paul", "I", "we" or a key of PEOPLE."""
    if who == "I":
        row = ("I", "je/0", "私/0", "나/0")
        return fixed(tag, row, person=1)
    if who == "we":
        return fixed(tag, ("we", "nous/0", "私たち/0", "우리/0"), person=1, plural=True)
    if " & " in who:
        first, second = who.split(" & ")
        return pair_phrase(tag, first, second)
    if who in NAMES:
        return name_phrase(tag, who)
    fr, ja, ko, gender, marks = PEOPLE[who]
    return fixed(
        tag, (who, fr, ja, ko), feminine=gender == "f", plural="plural" in marks
    )


# ---------------------------------------------------------------------------------------------
# Verbs
# ---------------------------------------------------------------------------------------------

ETRE = (("suis", "est", "sommes", "sont"), ("étais", "était", "étions", "étaient"))
AVOIR = (("ai", "a", "avons", "ont"), ("avais", "avait", "avions", "avaient"))


def person_index(subject: Phrase) -> int:
    """Return the place of a subject in a French row: je, il, nous, ils."""
    return 2 * subject.plural + (subject.person == 3)


def english_be(subject: Phrase, past: bool) -> str:
    """Return am, is, are, was or were."""
    if subject.plural:
        return "were" if past else "are"
    if past:
        return "was"
    return "am" if subject.person == 1 else "is"


def without_final(syllable: str, instead: int = 0) -> str:
    """Replace the final consonant of a Korean syllable (0: by none)."""
    code = ord(syllable) - 0xAC00
    return chr(0xAC00 + code - code % 28 + instead)


def korean_present(verb: Verb) -> str:
    """Return the plain present: 읽는다 after a consonant, 간다 after a vowel, 만든다 after ㄹ."""
    stem = verb.ko[0]
    if verb.ko_state:
        return stem + "다"
    final = (ord(stem[-1]) - 0xAC00) % 28
    if final in (0, 8):
        return stem[:-1] + without_final(stem[-1], 4) + "다"
    return stem + "는다"


def japanese_past(te: str) -> str:
    """Turn a te-form into the plain past: 読んで to 読んだ, 行って to 行った."""
    return te[:-1] + {"て": "た", "で": "だ"}[te[-1]]


def english_verb(verb: Verb, subject: Phrase, tense: str, tag: str) -> tuple[Word, ...]:
    """Return the English verb; the progressive has two words with keys of their own."""
    main, be = frozenset([tag + "v"]), frozenset([tag + "b"])
    particle = ((verb.particle, main),) if verb.particle else ()
    if tense == "progressive":
        return ((english_be(subject, True), be), (verb.en[3], main), *particle)
    if tense == "past":
        return ((verb.en[2], main), *particle)
    third = subject.person == 3 and not subject.plural
    return ((verb.en[1 if third else 0], main), *particle)


def french_verb(verb: Verb, subject: Phrase, tense: str, tag: str) -> tuple[Word, ...]:
    """Return the French verb: présent, passé composé or imparfait."""
    keys = frozenset([tag + "v"])
    index = person_index(subject)
    if tense == "progressive":
        stem = verb.fr[5]
        if index == 2 and stem.endswith("ge"):
            stem = stem[:-1]
        return ((stem + ("ais", "ait", "ions", "aient")[index], keys | {tag + "b"}),)
    if tense == "present":
        return ((verb.fr[index], keys),)
    participle = verb.fr[4]
    if verb.auxiliary == "être":
        participle += "e" * subject.feminine + "s" * subject.plural
        return ((ETRE[0][index], keys), (participle, keys))
    return ((AVOIR[0][index], keys), (participle, keys))


def japanese_verb(verb: Verb, tense: str, form: str, tag: str, link: str) -> tuple[Word, ...]:
    """Return the Japanese verb in the form that its place in the sentence asks for.

    form: final, then (same subject, て), and (other subject), but, because, when
    """
    main, be, joined = frozenset([tag + "v"]), frozenset([tag + "b"]), frozenset([link])
    stem, te, plain = verb.ja
    past = tense != "present"
    if verb.ja_na:
        if form in ("then", "and"):
            return ((stem, main), ("で", main | joined))
        if form == "because":
            return ((stem, main), ("な", main), ("ので", joined))
        end: tuple[Word, ...] = ((stem, main), ("です", main))
    elif tense == "progressive" or verb.ja_state:
        aid = be if tense == "progressive" else main
        if form in ("then", "and"):
            return ((te, main), ("いて", aid | joined))
        if form == "because":
            return ((te, main), ("いた" if past else "いる", aid), ("ので", joined))
        end = ((te, main), ("いました" if past else "います", aid))
    elif form == "then":
        return ((te, main | joined),)
    elif form == "and":  # a stem of one letter is hard to see: 見て, not 見
        word = "おり" if stem == "い" else te if len(stem) == 1 else stem
        return ((word, main | joined),)
    elif form in ("because", "when"):
        word = japanese_past(te) if past else plain
        return ((word, main), ("ので" if form == "because" else "とき", joined))
    else:
        end = ((stem + ("ました" if past else "ます"), main),)
    return (*end, ("が", joined)) if form == "but" else end


def korean_verb(verb: Verb, tense: str, form: str, tag: str, link: str) -> tuple[Word, ...]:
    """Return the Korean verb; the forms are those of japanese_verb."""
    main, be, joined = frozenset([tag + "v"]), frozenset([tag + "b"]), frozenset([link])
    before: tuple[Word, ...] = ()
    if verb.ko_noun:
        before = ((verb.ko_noun, main), (josa(verb.ko_noun, "을/를"), frozenset()))
    stem, past_stem = verb.ko
    keys = main
    present = korean_present(verb)
    if tense == "progressive":
        before = (*before, (stem + "고", main))
        stem, past_stem, keys, present = "있", "있었", be, "있다"
    past = tense != "present"
    root = past_stem if past else stem
    if form == "then" and verb.en[0] in ("go", "come", "meet", "visit"):
        ending = past_stem[:-1] + without_final(past_stem[-1]) + "서"
        return (*before, (ending, keys | joined))
    if form == "then":
        return (*before, (stem + "고", keys | joined))
    if form == "and":
        return (*before, (root + "고", keys | joined))
    if form == "but":
        return (*before, (root + "지만", keys | joined))
    if form == "because":
        return (*before, (root + "기", keys), ("때문", joined), ("에", joined))
    if form == "when":
        return (*before, (past_stem + "을", keys), ("때", joined))
    return (*before, (past_stem + "다" if past else present, keys))


# ---------------------------------------------------------------------------------------------
# Clauses and sentences
# ---------------------------------------------------------------------------------------------

SLOT_ROLES = {
    "object": "what", "person": "whom", "recipient": "whom", "goal": "where", "place": "where",
    "time": "when", "frequency": "when", "manner": "how", "way": "how", "companion": "how",
    "instrument": "how",
}  # fmt: skip
ENGLISH_ORDER = (
    "object", "person", "goal", "recipient", "manner", "way", "companion", "instrument", "place",
    "time",
)  # fmt: skip
FRENCH_ORDER = (
    "frequency", "manner", "object", "person", "way", "goal", "recipient", "companion",
    "instrument", "place", "time",
)  # fmt: skip
ASIAN_ORDER = {
    "ja": (
        "frequency", "companion", "place", "instrument", "manner", "way", "recipient", "person",
        "goal", "object",
    ),
    "ko": (
        "frequency", "place", "companion", "instrument", "way", "recipient", "person", "goal",
        "object", "manner",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Clause:
    """One subject, one predicate and what goes with it.

    kind: verb; or "noun" (is a pen), "adjective" (is small), "exist" (is in the park), "state"
    subject: its phrase; who: its key; pronoun: English and French name it by he, elle, ...
    slots: "object", "place" and so on (SLOT_ROLES) -> phrase
    """

    tag: str
    kind: str
    subject: Phrase
    tense: str = "past"
    verb: Verb | None = None
    name: str = ""  # of the verb or state
    slots: dict[str, Phrase] = field(default_factory=dict)
    pronoun: bool = False
    who: str = ""
    animate: bool = True
    hither: bool = False  # towards those who are spoken of: 帰って きた, not 帰った


@dataclass(frozen=True)
class Joined:
    """Two clauses under one link.

    link: then (same subject), and, but, because, when. For because and when, first is the main
    clause and second the reason or the event; same says that they have the same subject.
    """

    tag: str
    link: str
    first: "Node"
    second: "Node"
    same: bool = False


Node = Clause | Joined
PRONOUNS = {
    (1, False, False): ("I", "je"), (1, True, False): ("we", "nous"),
    (3, False, False): ("he", "il"), (3, False, True): ("she", "elle"),
    (3, True, False): ("they", "ils"),
}  # fmt: skip


def roled(words: Sequence[Word], role: str) -> list[RoleWord]:
    """Give every word of a phrase the same role."""
    return [(word, role, keys) for word, keys in words]


def subject_words(clause: Clause, lang: str) -> list[RoleWord]:
    """Return the subject in English or French, as a pronoun where the clause says so."""
    subject = clause.subject
    if not clause.pronoun:
        return roled(subject.of(lang), "who")
    feminine = subject.feminine and not subject.plural
    en, fr = PRONOUNS[subject.person, subject.plural, feminine]
    return [(en if lang == "en" else fr, "who", frozenset([clause.tag + "pro"]))]


def english(node: Node, subject: bool = True) -> list[RoleWord]:
    """Read a tree in English; subject=False leaves the subject of the first clause out."""
    if isinstance(node, Joined):
        link = (node.link if node.link != "then" else "and", "link", frozenset([node.tag]))
        first = english(node.first, subject)
        return [*first, link, *english(node.second, node.link != "then")]
    words = subject_words(node, "en") if subject else []
    tag, past = node.tag, node.tense != "present"
    if node.kind == "verb":
        assert node.verb is not None
        if frequency := node.slots.get("frequency"):
            words += roled(frequency.en, "when")
        words += roled(english_verb(node.verb, node.subject, node.tense, tag), "verb")
    else:
        words.append((english_be(node.subject, past), "verb", frozenset([tag + "0"])))
    if node.kind == "state":
        words.append((STATES[node.name].en, "verb", frozenset([tag + "1"])))
    if node.kind == "adjective":
        words.append((node.name, "verb", frozenset([tag + "1"])))
    for slot in ENGLISH_ORDER:
        if slot in node.slots:
            words += roled(node.slots[slot].en, SLOT_ROLES[slot])
    return words


def french(node: Node, subject: bool = True) -> list[RoleWord]:
    """Read a tree in French, before elision and contraction."""
    if isinstance(node, Joined):
        keys = frozenset([node.tag])
        links = {"then": "et", "and": "et", "but": "mais", "because": "parce que", "when": "quand"}
        words = french(node.first, subject)
        words += [(word, "link", keys) for word in links[node.link].split()]
        if node.link != "then":
            return words + french(node.second)
        again = first_clause(node.first).subject
        if again.person == 1:
            words += roled(again.fr, "who")
        return words + french(node.second, subject=False)
    words = subject_words(node, "fr") if subject else []
    tag = node.tag
    feminine, many = node.subject.feminine, node.subject.plural
    index = person_index(node.subject)
    if node.kind == "verb":
        assert node.verb is not None
        words += roled(french_verb(node.verb, node.subject, node.tense, tag), "verb")
    elif node.kind == "state":
        words += french_state(node)
    else:
        words.append((ETRE[node.tense != "present"][index], "verb", frozenset([tag + "0"])))
        if node.kind == "adjective":
            form = adjective_of(node.name, node.subject.head).fr[2 * many + feminine]
            words.append((form, "verb", frozenset([tag + "1"])))
    for slot in FRENCH_ORDER:
        if slot in node.slots:
            words += roled(node.slots[slot].fr, SLOT_ROLES[slot])
    return words


def french_state(clause: Clause) -> list[RoleWord]:
    """Return the French predicate of a state, in the imparfait: était fatiguée, avait faim."""
    state, tag, subject = STATES[clause.name], clause.tag, clause.subject
    be, main = frozenset([tag + "0"]), frozenset([tag + "1"])
    index = person_index(subject)
    if not state.fr:
        return [(state.fr_verb.split()[1], "verb", be | main)]
    rows = {"être": ETRE[1], "avoir": AVOIR[1], "faire": ("", "faisait", "", "")}
    form = state.fr[2 * subject.plural + subject.feminine]
    return [(rows[state.fr_verb][index], "verb", be), (form, "verb", main)]


def first_clause(node: Node) -> Clause:
    """Return the first clause of a tree."""
    return first_clause(node.first) if isinstance(node, Joined) else node


def clauses_of(node: Node) -> list[Clause]:
    """Return the clauses of a tree in English order."""
    if isinstance(node, Clause):
        return [node]
    return clauses_of(node.first) + clauses_of(node.second)


def predicate(clause: Clause, lang: str, form: str, link: str) -> list[RoleWord]:
    """Return the predicate at the end of a Japanese or Korean clause; link words have role link."""
    tag, joined = clause.tag, frozenset([link])
    be, main = frozenset([tag + "0"]), frozenset([tag + "1"])
    japanese = lang == "ja"
    words: tuple[Word, ...]
    if clause.kind == "verb":
        assert clause.verb is not None
        make = japanese_verb if japanese else korean_verb
        words = make(clause.verb, clause.tense, form, tag, link)
        if japanese and clause.hither:
            coming = replace(clause.verb, ja=("き", "きて", "くる"))
            made = make(coming, clause.tense, form, tag, link)
            words = ((clause.verb.ja[1], frozenset([tag + "v"])), *made)
        if japanese and clause.verb.ja_whole:
            noun = clause.slots["object"].en[-1][1]
            words = tuple((w, keys | noun if tag + "v" in keys else keys) for w, keys in words)
    elif clause.kind == "state":
        state = STATES[clause.name]
        ja, ko = state.ja, state.ko
        if state.personal and not clause.pronoun:
            ja, ko = state.ja_other or ja, state.ko_other or ko
        words = marked(ja if japanese else ko, tag)
        if japanese:
            words = (*words, ("ので", joined))
        else:
            stem, keys = words[-1]
            words = (*words[:-1], (stem + "기", keys), ("때문", joined), ("에", joined))
    elif clause.kind == "exist":
        make = japanese_verb if japanese else korean_verb
        stem = "い いて いる" if clause.animate else "あり あって ある"
        verb = Verb((), (), tuple(stem.split()), ("있", "있었"), ko_state=True)
        made = make(verb, clause.tense, form, tag, link)
        words = tuple((w, be | (k & joined) if tag + "v" in k else k) for w, k in made)
    elif clause.kind == "adjective":
        adjective = ADJECTIVES[clause.name]
        if japanese:
            words = ((adjective.ja_end, main), ("です", be))
            words += (("が", joined),) if form == "but" else ()
        else:
            stem = adjective.ko_end[:-1]
            words = ((stem + ("지만" if form == "but" else "다"), be | main),)
            if form == "but":
                words = ((words[0][0], words[0][1] | joined),)
    elif clause.name == "cat" and clause.subject.person == 1:
        words = (("で", be), ("ある", be)) if japanese else (("이다", be),)
    elif japanese:
        words = (("です", be), *((("が", joined),) if form == "but" else ()))
        words = (("で", be | joined),) if form == "and" else words
    else:
        ending = {"but": "이지만", "and": "이고"}.get(form)
        words = ((ending, be | joined),) if ending else (("이다", be),)
    return [(w, "link" if keys == joined else "verb", keys) for w, keys in words]


def asian(
    node: Node,
    lang: str,
    form: str = "final",
    link: str = "",
    subject: str = "topic",
    insert: Sequence[RoleWord] = (),
) -> list[RoleWord]:
    """Read a tree in Japanese or Korean: the verb last, reasons and events before the main clause.

    form: what follows the tree (see japanese_verb); link: the key of that link
    subject: topic (は), subject (が) or none
    insert: words that stand after the subject (the reason, where it has the same subject)
    """
    if isinstance(node, Clause):
        words = []
        if subject != "none" and node.subject.of(lang):
            particles = {"ja": ("は", "が"), "ko": ("은/는", "이/가")}[lang]
            particle = particles[subject == "subject"]
            phrase = node.subject.of(lang)
            ga = particle if lang == "ja" else josa(phrase[-1][0], particle)
            if lang == "ko" and subject == "subject" and phrase[-1][0] == "나":
                phrase, ga = (*phrase[:-1], ("내", phrase[-1][1])), "가"
            words = roled((*phrase, (ga, frozenset())), "who")
        words += insert
        if when := node.slots.get("time"):
            stamp = roled(when.of(lang), "when")
            words = stamp + words if subject == "subject" else words + stamp
        order = ASIAN_ORDER[lang]
        if lang == "ja" and "time" in node.slots:
            frequency = node.slots.get("frequency")
            if frequency and frequency.head == "always":  # いつも 秋 に, but 秋 に よく
                words[-len(stamp) :] = roled(frequency.ja, "when") + stamp
                order = order[1:]
        if lang == "ja" and {"place", "instrument"} <= node.slots.keys():  # not 駅 で ペン で
            order = (*(slot for slot in order if slot != "instrument"), "instrument")
        for slot in order:
            if slot == "object" and lang == "ja" and node.verb and node.verb.ja_whole:
                continue
            if slot in node.slots:
                words += roled(node.slots[slot].of(lang), SLOT_ROLES[slot])
        return words + predicate(node, lang, form, link)
    key = node.tag
    if node.link == "then":
        first = asian(node.first, lang, "then", key, subject, insert)
        return first + asian(node.second, lang, form, link, "none")
    if node.link in ("and", "but"):
        first = asian(node.first, lang, node.link, key, subject, insert)
        return first + asian(node.second, lang, form, link, subject)
    if node.link == "because" and node.same:
        reason = asian(node.second, lang, "because", key, "none")
        return asian(node.first, lang, form, link, subject, [*insert, *reason])
    before = asian(node.second, lang, node.link, key, "subject")
    main = asian(node.first, lang, form, link, subject, insert)
    when = first_clause(node.first).slots.get("time")
    if lang == "ja" and node.link == "because" and when:  # the reason holds at that time, too
        stamp = roled(when.ja, "when")
        place = next(i for i in range(len(main)) if main[i : i + len(stamp)] == stamp)
        main = main[:place] + main[place + len(stamp) :]
        before = stamp + before
    return before + main


def elide(words: Sequence[RoleWord]) -> list[RoleWord]:
    """Apply French elision (l' eau, qu' elle) and contraction (au, du, aux, des)."""
    short = {"le": "l'", "la": "l'", "de": "d'", "je": "j'", "que": "qu'", "ce": "c'"}
    merged = {("à", "le"): "au", ("à", "les"): "aux", ("de", "le"): "du", ("de", "les"): "des"}
    result: list[RoleWord] = []
    for i, (word, role, keys) in enumerate(words):
        following = words[i + 1][0] if i + 1 < len(words) else ""
        if word in short and following and starts_with_vowel(following):
            word = short[word]
        if result and (result[-1][0], word) in merged:
            last, _, last_keys = result.pop()
            result.append((merged[last, word], role, last_keys | keys))
        else:
            result.append((word, role, keys))
    return result


def read_out(node: Node) -> Sentence:
    """Read a tree in four languages and align the words that share a key."""
    spoken = {
        "en": english(node),
        "fr": elide(french(node)),
        "ja": asian(node, "ja"),
        "ko": asian(node, "ko"),
    }
    owners: dict[str, list[int]] = {}  # key -> the English words that carry it
    for i, (_, _, keys) in enumerate(spoken["en"]):
        for key in keys:
            owners.setdefault(key, []).append(i)
    alignments = {
        lang: frozenset(
            (i, j)
            for j, (_, _, keys) in enumerate(spoken[lang])
            for key in keys
            for i in owners.get(key, ())
        )
        for lang in LANGUAGES[1:]
    }
    words = {lang: tuple(word for word, _, _ in spoken[lang]) for lang in LANGUAGES}
    roles = {lang: tuple(role for _, role, _ in spoken[lang]) for lang in LANGUAGES}
    return Sentence(words, roles, alignments)


# ---------------------------------------------------------------------------------------------
# What can be said: frames
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Frame:
    """What a verb goes with: objects, places and other company that make sense."""

    verb: str
    objects: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    manners: tuple[str, ...] = ()
    companion: bool = False
    person: bool = False  # the object is a person
    recipient: bool = False
    elders: bool = True  # may be said of an elder
    children: bool = True  # may be said of a child
    marks: tuple[str, ...] = ()


def _frames() -> dict[str, Frame]:
    """Read the table of frames: name | verb | objects | places | more.

    more: with (companion), person, to (recipient), no-elder, no-child, present or past only, the
    or a (the object's article), generic (no English article), instruments and manners by name,
    and which times make sense: season (months and seasons too) or long (only those).
    """
    table = """
    read|read|book newspaper letter story|garden park kitchen living_room library school café|\
slowly quietly owned
    write|write|letter story|living_room kitchen library café garden|\
to with_a_pen with_a_pencil past
    draw|draw|flower bird cat tree house|park garden school living_room|\
with with_a_pencil with_a_pen a owned past
    study|study|French Japanese Korean|school library home café|with quietly generic season
    study_alone|study_alone||school library home café kitchen|with quietly
    teach|teach|French Japanese Korean|school home library|to_class generic no-child season past
    listen|listen|music song|living_room kitchen garden café|with quietly
    sing|sing|song|school park living_room garden|with past
    music|play_music|piano guitar|school home living_room|with the
    sport|play_sport|football baseball|park school beach|with no-elder generic season
    play|play||park garden beach school living_room|with no-elder kids past
    film|watch|film|home living_room|with past
    birds|watch|bird|park garden forest|with quietly season past
    eat|eat|bread cake apple|kitchen garden park living_room|with slowly no-elder
    dine|eat|rice fish meat vegetables|restaurant home kitchen|with with_chopsticks slowly no-elder
    drink|drink|water tea coffee milk juice|kitchen café garden restaurant living_room|\
with slowly no-elder
    cook|cook|fish rice meat vegetables|kitchen home|with no-child
    make|make|cake bread|kitchen home|with a past
    wash|wash|plates apple vegetables|kitchen|with the past
    clean|clean|kitchen living_room house||with the past
    food|buy|bread fish meat vegetables milk juice apple|market village|with
    things|buy|book bag hat umbrella pen picture|shop London Paris Seoul Tokyo|with a past
    flowers|buy|flower|market shop|with season past
    sell|sell|vegetables bread fish|market village|no-child no-title season past
    give|give|flower book gift apple cake||to a past
    send|send|letter photo gift||to a past
    show|show|photo picture letter|school café living_room|to past owned
    phone|phone|||person past
    meet|meet||station park library café market|person past
    wait_person|wait||station school café park|person past
    wait|wait|bus train||with the past
    help|help||kitchen garden|person past
    ride|take_bus|bus train||with the
    open|open|window door||the past
    close|close|window door||the past
    look|look|key hat umbrella bag|kitchen living_room garden station|with past owned
    lose|lose|key hat umbrella bag|station park beach market|past no-elder owned
    city|visit|Paris Tokyo Seoul London Africa France Japan Korea Canada||with proper long
    sight|visit|castle museum zoo||with the season
    go|go|||with by_bus by_train by_car by_bicycle
    fly|go|||with long
    home|come|||with by_bus by_train by_car by_bicycle early late no-title past
    arrive|arrive|||with by_bus by_train early late past
    walk|take_walk|walk|park forest beach garden village|with a past
    rest|take_rest|rest|home garden living_room|a past
    photo|take_photo|photo|park garden zoo beach village forest|with season past
    stay|stay||home|with no-elder past
    sleep|sleep||home living_room garden|no-elder past
    run|run||park beach|with no-elder past
    swim|swim||sea river|with no-elder season past
    dance|dance||school garden living_room|with no-elder past
    work|work||hospital school library market restaurant shop home|no-child no-title
    live|live||Paris Tokyo Seoul London Africa France Japan Korea Canada village|present
    have|have|cat dog||present a
    like|like|music book flower animals film tea coffee fish cake apple juice||present
    """
    found = {}
    for line in table.replace("\\\n", "").split("\n"):
        if not line.strip():
            continue
        name, verb, objects, places, more = line.strip().split("|")
        words = [word.replace("_", " ") for word in more.split()]
        found[name] = Frame(
            verb,
            tuple(name.replace("_", " ") for name in objects.split()),
            tuple(place.replace("_", " ") for place in places.split()),
            instruments=tuple(w for w in words if w in INSTRUMENT),
            manners=tuple(w for w in words if w in MANNER),
            companion="with" in words,
            person="person" in words,
            recipient=any(w in ("to", "to class") for w in words),
            elders="no-elder" not in words,
            children="no-child" not in words,
            marks=tuple(words),
        )
    return found


FRAMES = _frames()
# Frames with many objects or places, said more often so that each of those is learned.
OFTEN = (
    *("city",) * 6, *("fly",) * 6, *("live", "teach", "like") * 3,
    "study", "work", "listen", "cook", "sight", "teach", "show", "phone", "food", "give", "send",
    "help", "help", "show", "look", "look", "lose",
)  # fmt: skip
GOALS = (
    "park", "beach", "library", "market", "restaurant", "café", "village", "zoo", "museum",
    "school", "station", "shop",
)  # fmt: skip
ARRIVALS = ("station", "school", "library", "museum", "hospital", "beach")
DAILY = ("every day", "every morning", "every evening", "every week", "every Sunday")
SEASONS = tuple(_fixed(TIMES_BOTH))
YEARLY = ("last week", "last year", "last summer", "last winter")

# "toujours" beside these would read as "still", and いつも as if one did nothing else, unless a
# season is named: いつも 秋 に.
NOT_ALWAYS = ("study", "study_alone", "work", "teach", "listen", "sight", "city", "fly")

# What one does for a reason. A plan names a frame, then its objects after ":", its place after
# "@" (@- for none) and its goal after ">".
EFFECTS = {
    "tired": "home rest@home|garden|living_room sleep@home|living_room stay@home "
             "drink:coffee|tea@kitchen|living_room|café",
    "hungry": "dine food:bread|fish|meat|apple go>restaurant|market eat:bread|apple|cake cook make",
    "thirsty": "drink:water|juice|tea go>café",
    "sick": "stay@home sleep@home go>hospital home rest@home",
    "happy": "sing dance@garden|living_room make:cake phone",
    "sad": "listen:music@living_room|garden stay@home walk home phone",
    "cold": "stay@home drink:tea|coffee@kitchen|café|living_room close home "
            "read@living_room film@home",
    "hot": "swim drink:water|juice@garden|café|kitchen open go>beach "
           "rest@garden sleep@garden",
    "sunny": "walk@park|beach|forest photo@park|garden|beach play@park|garden|beach "
             "sport@park|beach go>park|beach|zoo run@park|beach draw@park|garden read@garden|park "
             "birds@park|garden",
    "raining": "stay@home home read@living_room|library film@home ride:bus music@living_room "
               "close:window things:umbrella@shop study_alone@home",
    "snowing": "stay@home drink:tea|coffee|milk@kitchen|café ride film@home photo@park|garden "
               "draw@living_room",
    "late": "home sleep@home close ride",
}
# What one does because one likes something (habits).
LIKINGS = {
    "music": "listen:music|song music",
    "book": "go>library",
    "flower": "go>park",
    "animals": "go>zoo fly>Africa have",
    "tea": "drink:tea",
    "coffee": "drink:coffee go>café",
    "fish": "dine:fish cook:fish go>restaurant|market",
    "cake": "go>café",
}
# One thing after the other: two plans, then the reasons that explain both (Japanese and Korean say
# the reason first: it must not seem to explain the first action alone). Nobody comes home from
# the kitchen: before "home" stands a place elsewhere.
STEPS = """
go>park photo@-|sunny
go>park walk@-|sunny
go>park play@-|sunny
go>park sport@-|sunny
go>park run@-|sunny
go>park draw:flower|bird|tree@-|sunny
go>park read:book|newspaper@-|sunny
go>park birds@-|sunny
go>library read:book|newspaper@-|raining
go>library study@-|raining
go>market food:bread|fish|meat|apple@-|hungry
go>market food:vegetables|milk|juice@-|
go>market flowers@-|
go>restaurant dine@-|hungry
go>café drink:tea|coffee@-|thirsty cold tired snowing
go>café meet@-|
go>café drink:juice|water@-|thirsty hot
go>beach swim@sea|hot sunny
go>beach photo@-|sunny
go>beach play@-|sunny hot
go>zoo photo@-|sunny
go>zoo draw:bird@-|sunny
go>village photo@-|sunny
go>village food:bread|apple@-|hungry
home rest@-|tired sick
home sleep@-|tired sick late
home drink:tea@kitchen|cold
home drink:tea|milk@kitchen|thirsty snowing tired
home read:book|newspaper@living_room|cold raining
home film@-|raining snowing
home listen:music@living_room|sad tired
home eat:bread|cake@kitchen|hungry
home cook@kitchen|hungry
home clean|
home write:letter@living_room|sad
home music@-|sad raining
food@market home|
food:vegetables|milk|bread@market cook:fish|meat|rice@-|hungry
things:book@shop read:newspaper@café|
things:pen|book@shop write:letter@café|
cook clean:kitchen|
make:bread drink:milk|tea@-|
make:cake drink:tea|coffee@-|
dine@kitchen wash:plates@-|
clean rest@-|
clean:kitchen make:cake@-|
open drink:water|juice@-|hot
close drink:tea@-|cold snowing
close read:book|story@-|cold raining
write:letter send:photo|
ride sight|
fly>France|Japan|Korea|Canada|Africa photo@-|
fly>Paris|London|Tokyo|Seoul sight|
city photo@-|
city things@-|
meet@station sight|
meet@station go>restaurant|
meet@park play@-|sunny
meet@park walk@-|sunny
meet@café drink:tea|coffee@-|cold thirsty
meet@library study@-|raining
study@school|library music@-|
study@home read:book|newspaper@-|raining
study_alone@school|library home|
swim rest@-|
run drink:water|juice@-|
walk@park|beach home|
sing dance@-|happy
music sing@-|happy
work@hospital|school|library|market|restaurant|shop home|
work go>restaurant|
help@kitchen|garden drink:tea|juice@-|
"""
def _steps() -> dict[str, list[tuple[str, str]]]:
    """Read STEPS: reason -> pairs of plans; the reason "" has them all."""
    found: dict[str, list[tuple[str, str]]] = {"": []}
    for line in STEPS.strip().split("\n"):
        plans, reasons = line.rsplit("|", 1)
        first, second = plans.split()
        alone = () if first in ("open", "close") else ("",)  # a door is opened for a reason
        for reason in (*alone, *reasons.split()):
            found.setdefault(reason, []).append((first, second))
    return found


STEPS_FOR = _steps()
# Two people at one time: plans that fit one scene.
SCENES = (
    "cook@kitchen|home wash@kitchen clean make@kitchen|home dine@kitchen|home drink@kitchen",
    "study@school|library|home read@school|library|living_room write@library|living_room "
    "draw@school|living_room music@school|living_room teach@school",
    "photo@park|garden walk@park draw@park|garden read:book|newspaper@park|garden play@park|garden "
    "sport@park run@park sing@park|garden birds@park|garden",
    "swim@sea sport@beach walk@beach photo@beach run@beach play@beach",
    "film@living_room|home music@living_room|home sing@living_room listen@living_room|kitchen "
    "read@living_room write:letter@living_room clean:kitchen stay@home",
    "food@market flowers@market|shop sell@market things@shop go>library|park|café",
    "city sight go>village fly>Africa|Japan|Korea|France|Canada|Paris|London|Tokyo|Seoul",
    "wait:bus|train ride",
    "open close clean drink:tea|juice|coffee@garden|kitchen eat@garden|kitchen",
)
# What one does outside while the other does not.
OUTINGS = (
    "go>park|beach|zoo|museum|market|village|shop sight swim@sea|river sport@park walk@park|forest"
)
# What one does while the other goes out, for a reason.
STAYING = {
    "tired": "stay@home sleep@home rest@home home",
    "sick": "stay@home sleep@home go>hospital",
    "sad": "stay@home listen:music@living_room home",
    "busy": "work@home study_alone@home|library",
    "hungry": "home dine@restaurant|home go>restaurant",
    "cold": "stay@home read:book|story@living_room drink:tea|coffee@kitchen|café",
    "raining": "stay@home film@home read:book|story@living_room music@living_room",
    "snowing": "stay@home film@home drink:tea|milk@kitchen",
}
# What one does because of another's state.
FOR_ANOTHER = {
    "sick": "stay@home home go>hospital",
    "hungry": "cook make food:bread|fish|meat|apple",
    "sad": "sing music make:cake",
    "tired": "cook wash:plates clean make",
    "busy": "cook wash:plates clean food",
}
# Words that would contradict a reason: nobody drinks hot milk because of the heat.
CONTRARY = {
    "hot": ("hot",), "thirsty": ("hot",), "cold": ("cold",), "snowing": ("cold", "bicycle"),
    "sunny": ("evening",), "late": ("morning", "afternoon", "early"),
    "raining": ("bicycle",), "sick": ("bicycle",),
}  # fmt: skip
# What goes on at a place (progressive) when somebody arrives there.
GOING_ON = {
    "home": "read@garden|kitchen|living_room write@kitchen|living_room draw@garden|living_room "
            "listen@kitchen|living_room|garden sing@garden|living_room music@living_room "
            "film@living_room eat@kitchen|garden dine@kitchen drink@kitchen|garden cook@kitchen "
            "wash@kitchen clean:kitchen|living_room|house sleep@living_room|garden "
            "play@garden|living_room",
    "park": "draw play sport birds sing read:book|story|newspaper",
    "beach": "play sport draw:bird|house",
    "station": "wait read:book|newspaper write:letter",
    "school": "study draw music sing write:story",
    "library": "study read write",
    "café": "drink:tea|coffee|juice read write:letter",
}

# Combinations that only the split "novel" holds: frame or verb with object, and name with verb.
HELD_OUT = frozenset({
    ("drink", "juice"), ("read", "letter"), ("cook", "rice"), ("visit", "Canada"),
    ("eat", "apple"), ("draw", "house"), ("wash", "vegetables"), ("buy", "hat"),
    ("give", "book"), ("study", "Korean"), ("listen", "song"), ("look", "umbrella"),
    ("Jane", "drink"), ("Paul", "cook"), ("Mina", "write"), ("Tom", "buy"),
    ("Anna", "clean"), ("Leo", "sing"),
})  # fmt: skip


# ---------------------------------------------------------------------------------------------
# Choosing a sentence
# ---------------------------------------------------------------------------------------------


@cache
def parsed(plan: str) -> tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Read a plan such as "drink:tea|coffee@kitchen": frame, objects, places, goals."""
    name, *parts = re.split(r"([:@>])", plan)
    found = {
        mark: tuple(text.replace("_", " ").split("|"))
        for mark, text in zip(parts[::2], parts[1::2], strict=True)
    }
    return name, found.get(":", ()), found.get("@", ()), found.get(">", ())


def frame_of(plan: str) -> Frame:
    """Return the frame that a plan names."""
    return FRAMES[parsed(plan)[0]]


# who -> how often as a subject, and the marks of PEOPLE
CAST = (
    *((name, 5.0, "") for name in NAMES),
    ("I", 14.0, ""), ("we", 14.0, ""), ("pair", 10.0, ""),
    *((who, 3.5, row[4]) for who, row in PEOPLE.items()),
)  # fmt: skip


@cache
def cast_for(frames: tuple[Frame, ...]) -> tuple[tuple[str, float, str], ...]:
    """Return those of CAST of whom all these frames are said."""
    elders = all(frame.elders for frame in frames)
    children = all(frame.children for frame in frames)
    only_children = any("kids" in frame.marks for frame in frames)
    titles = not any("no-title" in frame.marks for frame in frames)
    return tuple(
        (who, weight, marks)
        for who, weight, marks in CAST
        if (elders or "elder" not in marks)
        and (children or "child" not in marks)
        and (not only_children or "child" in marks)
        and (titles or who not in TITLES)
    )


class Unsayable(Exception):
    """Raised when a random choice leads to nothing that can be said; the sampler tries again."""


class Sampler:
    """Draws sentences. All chance comes from rng.random(), the same on every Python."""

    def __init__(self, seed: int):
        self.rng = random.Random(seed)
        self.used: set[str] = set()
        self.tags = 0
        self.days = False  # times of one day only: "yesterday", not "last summer"
        self.avoid: tuple[str, ...] = ()  # words that would contradict the reason

    def chance(self, share: float) -> bool:
        """Return True with this probability."""
        return self.rng.random() < share

    def pick(self, items: Sequence[T]) -> T:
        """Return one item; every item has the same chance."""
        if not items:
            raise Unsayable
        return items[int(self.rng.random() * len(items))]

    def weighted(self, items: Sequence[tuple[T, float]]) -> T:
        """Return one item by its weight."""
        point = self.rng.random() * sum(weight for _, weight in items)
        for item, weight in items:
            point -= weight
            if point < 0:
                return item
        return items[-1][0]

    def begin(self) -> None:
        """Forget who and what was named, before a new sentence."""
        self.used, self.tags = set(), 0
        self.days, self.avoid = False, ()

    def new_tag(self) -> str:
        """Return a tag that no other phrase of this sentence has."""
        self.tags += 1
        return f"{self.tags}."

    def fresh(self, items: Sequence[str]) -> str:
        """Pick a thing that the sentence has not named yet, and note it."""
        item = self.pick([item for item in items if item not in self.used])
        self.used.add(item)
        return item

    # people ------------------------------------------------------------------------------------

    def marks(self, who: str) -> str:
        """Return the marks of a person in PEOPLE, or nothing."""
        return PEOPLE[who][4] if who in PEOPLE else ""

    def is_inside(self, who: str) -> bool:
        """Whether who is the speaker or the speaker's family."""
        return who in ("I", "we") or "family" in self.marks(who)

    def subject(self, frames: Sequence[Frame], others: Sequence[str] = ()) -> str:
        """Pick a subject for these frames that goes with the subjects named before it.

        母 and 友だち are the speaker's own only where nobody else's can be meant, so the family
        stands beside the speaker and the family alone, and "my friend" beside the speaker.
        """
        cast = cast_for(tuple(frames))
        if not others:
            return self.cast_one([(who, w) for who, w, _ in cast if who not in self.used])
        speaker = "I" in others or "we" in others
        strangers = not all(self.is_inside(other) for other in others)
        family = any("family" in self.marks(other) for other in others)
        beside = all(other in ("I", "we") for other in others)
        allowed = []
        for who, weight, marks in cast:
            inside = who in ("I", "we") or "family" in marks
            if (
                who in self.used
                or (speaker and who in ("I", "we"))
                or (family and not inside)
                or (strangers and "family" in marks)
                or (who == "my friend" and not beside)
                or ("my friend" in others and who not in ("I", "we"))
            ):
                continue
            allowed.append((who, weight))
        return self.cast_one(allowed)

    def cast_one(self, allowed: Sequence[tuple[str, float]]) -> str:
        """Pick one of these by weight, and the two of a pair, and note who it is."""
        if not allowed:
            raise Unsayable
        who = self.weighted(allowed)
        if who == "pair":
            names = [name for name in NAMES if name not in self.used]
            first = self.pick(names)
            gender = NAMES[first][0]
            who = f"{first} & {self.pick([n for n in names if NAMES[n][0] != gender])}"
        self.used.update(who.split(" & "))
        return who

    def other_person(self, subject: str, kinds: str) -> str:
        """Pick a companion, recipient or personal object for this subject."""
        pool = list(NAMES)
        speaker = subject in ("I", "we")
        if kinds == "class":
            pool += ["the children", "the students"] * 2
        if kinds == "give" and self.is_inside(subject):
            pool += ["my little brother", "my little sister"]
        if kinds == "with":
            pool += ["the teacher"] if "child" in self.marks(subject) or speaker else []
            pool += ["the children"] if "child" not in self.marks(subject) else []
        if kinds in ("with", "object") and self.is_inside(subject):
            pool += ["my mother", "my father", "my grandmother", "my little brother",
                     "my little sister"]  # fmt: skip
        if speaker and kinds != "class":
            pool += ["my friend"]
        return self.fresh(pool)

    # phrases -----------------------------------------------------------------------------------

    def object(self, frame: Frame, names: Sequence[str], tense: str, rich: float) -> Phrase:
        """Pick a noun, its determiner and its adjective."""
        tag = self.new_tag()
        noun = NOUNS[self.fresh(names)]
        if "proper" in frame.marks:
            return proper_phrase(tag, noun, article=noun.en not in CITIES)
        if noun.plurals[0] and frame.verb == "like":
            return noun_phrase(tag, noun, "generic", plural=True)
        if "generic" in frame.marks or frame.verb == "like":
            return noun_phrase(tag, noun, "generic")
        adjective = ""
        always = tense == "present" and "the" in frame.marks  # "washes the plates every day"
        if not always and self.chance(0.1 + 0.45 * rich):
            adjective = self.adjective(noun)
            if frame.verb == "take_photo" and adjective == "old":  # it is new when it is taken
                adjective = ""
        if noun.kind in ("mass", "plural"):
            det = "the" if "the" in frame.marks else ""
            return noun_phrase(tag, noun, det, adjective)
        plural = bool(noun.plurals[0]) and "a" not in frame.marks
        if tense == "present":
            if plural:
                the = "the" if "the" in frame.marks else ""
                return noun_phrase(tag, noun, the, adjective, plural=True)
            det = "the" if "the" in frame.marks or noun.en == "newspaper" else "a"
            return noun_phrase(tag, noun, det, adjective)
        if "the" in frame.marks:
            adjective = "" if noun.en in ("bus", "train") else adjective
            return noun_phrase(tag, noun, "the", adjective, plural=plural)
        if "a" in frame.marks and "owned" not in frame.marks:
            return noun_phrase(tag, noun, "a", adjective)
        if "owned" in frame.marks and noun.owned and self.chance(0.2):
            owner = self.fresh(list(NAMES))
            return noun_phrase(tag, noun, "the", "" if rich < 0.5 else adjective, owner)
        choices = [("a", 5.0), ("the", 0.0 if noun.en == "photo" or frame.verb == "draw" else 3.0)]
        if noun.en in ("book", "letter", "story", "song", "film"):
            choices += [("this", 0.9), ("that", 0.6)]
        choices += [("", 2.0)] if plural else []
        det = self.weighted(choices)
        return noun_phrase(tag, noun, det, adjective, plural=det == "")

    def adjective(self, noun: Noun) -> str:
        """Pick an adjective of this noun that suits the sentence, if there is one."""
        fitting = [adjective for adjective in noun.adjectives if adjective not in self.avoid]
        return self.pick(fitting) if fitting else ""

    def place(self, place: str, verb: str, rich: float) -> Phrase:
        """Build the phrase of a place, sometimes with an adjective or an owner."""
        tag = self.new_tag()
        self.used.add(place)
        adjective = owner = ""
        if place in PLACES_IN and verb not in ("go", "stay"):
            noun = NOUNS[place]
            if self.chance(0.5 * rich):
                adjective = self.adjective(noun)
            if noun.owned and self.chance(0.25 * rich):
                owner = self.fresh(list(NAMES))
        return place_phrase(tag, place, verb, adjective, owner)

    def time(self, frame: Frame, tense: str) -> Phrase:
        """Pick a time that suits the verb: nobody flies to Africa every morning."""
        if tense == "present":
            names: tuple[str, ...] = DAILY
            if "season" in frame.marks:
                names += SEASONS * 4
            if "long" in frame.marks:
                names = (*SEASONS, *("every year",) * 4)
            if frame.verb == "swim":
                names = tuple(name for name in names if "winter" not in name)
            return fixed(self.new_tag(), PRESENT[self.pick(names)])
        if "long" in frame.marks:
            names = YEARLY + YEARLY + SEASONS * 3
        else:
            names = tuple(t for t in PAST if t not in YEARLY and t not in SEASONS)
            if not self.days and "season" in frame.marks:
                names += YEARLY + SEASONS * 4
        avoid = (*self.avoid, "winter") if frame.verb == "swim" else self.avoid
        names = tuple(name for name in names if not set(avoid) & set(name.split()))
        return fixed(self.new_tag(), PAST[self.pick(names)])

    # clauses -----------------------------------------------------------------------------------

    def clause(
        self, plan: str, who: str, tense: str, rich: float, time: float = 0.0, bare: bool = False
    ) -> Clause:
        """Build a clause from a plan.

        rich: the share of optional phrases that are said; time: the chance of a time
        bare: no companion (the first clause has said who is there)
        """
        name, objects, places, goals = parsed(plan)
        frame = FRAMES[name]
        slots: dict[str, Phrase] = {}
        marks = frame.marks
        if ("past" in marks and tense == "present") or ("present" in marks and tense != "present"):
            raise Unsayable

        if objects or frame.objects:
            slots["object"] = self.object(frame, objects or frame.objects, tense, rich)
        if frame.person:
            kinds = "object" if name == "help" else "meet"
            person = subject_phrase(self.new_tag(), self.other_person(who, kinds))
            slots["person"] = self.cased(person, VERBS[frame.verb])
        writing = name == "write" and "letter" not in slots["object"].head
        to_someone = name in ("give", "show")
        if frame.recipient and not writing and (to_someone or self.chance(0.35 + 0.5 * rich)):
            kinds = "class" if "to class" in marks else "give"
            person = subject_phrase(self.new_tag(), self.other_person(who, kinds))
            slots["recipient"] = adposition(self.new_tag(), person, "to", "à", "に", "에게")

        if name in ("go", "fly"):
            goals = goals or (GOALS if name == "go" else CITIES + COUNTRIES)
            slots["goal"] = self.place(self.fresh(goals), "go", rich)
        elif name == "home":
            slots["goal"] = self.place("home", "go", rich)
        elif name == "arrive":
            if places != ("-",):
                place = self.fresh(ARRIVALS)
                slots["goal"] = self.place(place, "stay", rich)
        elif places != ("-",):
            must = name in ("stay", "live") or bool(places)
            spots = tuple(spot for spot in places or frame.places if spot not in self.used)
            if name in ("stay", "live") and not spots:
                raise Unsayable
            if spots and (must or self.chance(0.15 + 0.7 * rich)):
                spot = self.pick(spots)
                how = "stay" if name in ("stay", "live") else "do"
                slot = "goal" if name == "stay" else "place"
                slots[slot] = self.place(spot, how, rich)

        if frame.companion and not bare and self.chance(0.45 * rich):
            person = subject_phrase(self.new_tag(), self.other_person(who, "with"))
            tag = self.new_tag()
            slots["companion"] = adposition(tag, person, "with", "avec", "と 一緒 に", "과/와 함께")
        tools = frame.instruments
        if "companion" in slots:  # not "with Paul with a pen"
            tools = tuple(tool for tool in tools if not tool.startswith("with"))
        tools = tuple(tool for tool in tools if tool.split()[-1] not in self.avoid)
        if tools and self.chance(0.4 * rich):
            slots["instrument"] = fixed(self.new_tag(), INSTRUMENT[self.pick(tools)])
        manners = tuple(manner for manner in frame.manners if manner not in self.avoid)
        if manners and self.chance(0.3 * rich):
            manner = self.pick(manners)
            slot = "way" if manner == "quietly" else "manner"
            rows = ARRIVING if name == "arrive" else MANNER
            slots[slot] = fixed(self.new_tag(), rows[manner])

        lasting = name in ("live", "have", "like")
        timed = self.chance(time) and not lasting
        if tense == "present" and not lasting:
            if not timed or ("long" in marks and self.chance(0.3)):
                vague = not timed and name in NOT_ALWAYS
                words = [word for word in FREQUENCY if not vague or word != "always"]
                word = FREQUENCY[self.pick(words)]
                slots["frequency"] = fixed(self.new_tag(), word)
        if timed:
            slots["time"] = self.time(frame, tense)
            late = "manner" in slots and slots["manner"].head == "late"
            if late and "morning" in slots["time"].head:
                raise Unsayable  # "home late yesterday morning"

        tag = self.new_tag()
        verb = VERBS[frame.verb]
        if "object" in slots:
            slots["object"] = self.cased(slots["object"], verb)
        return Clause(
            tag, "verb", subject_phrase(tag + "s", who), tense, verb, frame.verb, slots, who=who
        )

    def cased(self, phrase: Phrase, verb: Verb) -> Phrase:
        """Give an object its particles, and its French preposition (jouer du piano)."""
        if verb.fr_case:
            phrase = replace(phrase, fr=((verb.fr_case, frozenset()), *phrase.fr))
        return with_particles(phrase, verb.ja_case, verb.ko_case)

    # short sentences without a verb of action ----------------------------------------------------

    def thing(self, names: Sequence[str], rich: float, dets: Sequence[str] = ("the",)) -> Phrase:
        """Build a thing as a subject: the table, this book, Jane 's hat."""
        noun = NOUNS[self.fresh(names)]
        adjective = self.pick(noun.adjectives) if noun.adjectives and self.chance(rich) else ""
        owner = self.fresh(list(NAMES)) if noun.owned and self.chance(0.35) else ""
        return noun_phrase(self.new_tag(), noun, self.pick(dets), adjective, owner)

    def naming(self, rich: float) -> Clause:
        """Build "this is a pen", "that is Jane 's new bag"."""
        row = self.pick(
            [("this", "ce/0", "これ/0", "이것/0"), ("that", "ce/0", "あれ/0", "저것/0")]
        )
        names = (
            "book pen pencil hat bag umbrella key picture letter photo newspaper cake apple "
            "flower tree gift table chair piano guitar bicycle car"
        ).split()
        noun = NOUNS[self.fresh(names)]
        adjective = self.pick(noun.adjectives) if noun.adjectives and self.chance(rich) else ""
        owner = self.fresh(list(NAMES)) if noun.owned and self.chance(0.4) else ""
        what = noun_phrase(self.new_tag(), noun, "a", adjective, owner)
        tag = self.new_tag()
        return Clause(tag, "noun", fixed(tag + "s", row), "present", slots={"object": what})

    def speaking_cat(self) -> Clause:
        """Build "I am Jane 's black cat": the cat alone says 吾輩 and で ある."""
        noun = NOUNS["cat"]
        adjective = self.pick(("white", "black")) if self.chance(0.5) else ""
        owner = self.pick(list(NAMES))
        what = noun_phrase(self.new_tag(), noun, "a", adjective, owner)
        tag = self.new_tag()
        subject = fixed(tag + "s", ("I", "je/0", "吾輩/0", "나/0"), person=1)
        return Clause(tag, "noun", subject, "present", name="cat", slots={"object": what})

    def profession(self) -> Clause:
        """Build "Jane is a doctor"; French has no article there."""
        who = self.pick(
            [*NAMES, *NAMES, "my mother", "my father", "my little sister", "my friend"]
        )
        jobs = ["doctor", "teacher", "student"]
        if "child" in self.marks(who):
            jobs = ["student"]
        if "elder" in self.marks(who):
            jobs = ["doctor", "teacher"]
        what = noun_phrase(self.new_tag(), NOUNS[self.pick(jobs)], "a")
        what = replace(what, fr=what.fr[1:])
        self.used.add(who)
        tag = self.new_tag()
        return Clause(
            tag, "noun", subject_phrase(tag + "s", who), "present", name="job",
            slots={"object": what}, who=who,
        )  # fmt: skip

    def looks(self) -> Clause:
        """Build "this house is old"."""
        noun = NOUNS[self.fresh([n for n, noun in NOUNS.items() if noun.adjectives])]
        ends = [a for a in noun.adjectives if ADJECTIVES[a].ko_end and a not in ("hot", "cold")]
        quality = self.pick(ends)
        owner = self.fresh(list(NAMES)) if noun.owned and self.chance(0.5) else ""
        det = self.pick(("the", "this", "that"))
        if noun.kind == "plural" or noun.en in ("walk", "café"):
            det = "the"
        subject = noun_phrase(self.new_tag(), noun, det, "", owner)
        return Clause(self.new_tag(), "adjective", subject, "present", name=quality)

    def being_there(self, rich: float) -> Clause:
        """Build "the cat is in the garden", "Jane 's book is on the table"."""
        tag = self.new_tag()
        tense = "present" if self.chance(0.6) else "past"
        kind = self.pick(("thing", "animal", "person"))
        who = ""
        if kind == "person":
            who = self.subject([FRAMES["sleep"]])
            subject = subject_phrase(tag + "s", who)
            spots = ("garden", "kitchen", "living room", "library", "school", "station", "home",
                     "hospital", "park", "London", "Tokyo")  # fmt: skip
            where = place_phrase(self.new_tag(), self.pick(spots), "stay")
        else:
            names = ("cat", "dog") if kind == "animal" else (
                "book", "hat", "bag", "umbrella", "key", "letter", "newspaper", "picture", "photo",
                "cake", "pen", "apple")  # fmt: skip
            subject = self.thing(names, rich)
            if self.chance(0.5):
                seat = NOUNS[self.pick(("table", "chair"))]
                adjective = self.pick(seat.adjectives) if self.chance(rich) else ""
                where = on_phrase(self.new_tag(), seat, adjective)
            else:
                spots = ("kitchen", "living room") + (("garden",) if kind == "animal" else ())
                where = place_phrase(self.new_tag(), self.pick(spots), "stay")
        return Clause(
            tag, "exist", subject, tense, slots={"place": where}, who=who,
            animate=kind != "thing",
        )  # fmt: skip

    # sentences -----------------------------------------------------------------------------------

    def tense(self, *plans: str) -> str:
        """Pick past or present, as the frames allow."""
        marks = [mark for plan in plans for mark in frame_of(plan).marks]
        if "present" in marks:
            return "present"
        return "past" if "past" in marks or self.chance(0.4) else "present"

    def simple(self, rich: float) -> Node:
        """One clause with a verb."""
        plan = self.pick((*FRAMES, *OFTEN))
        tense = self.tense(plan)
        if tense == "past" and self.chance(0.1) and plan in GOING_NAMES:
            tense = "progressive"
        who = self.subject([FRAMES[plan]])
        time = 0.0 if tense == "progressive" else 0.2 + 0.7 * rich
        return self.clause(plan, who, tense, rich, time)

    def short(self, rich: float) -> Node:
        """A sentence without a verb of action, or a very plain one."""
        kind = self.rng.random()
        if kind < 0.12:
            return self.naming(0.7)
        if kind < 0.14:
            return self.speaking_cat()
        if kind < 0.20:
            return self.profession()
        if kind < 0.28:
            return self.looks()
        if kind < 0.42:
            return self.being_there(0.5)
        if kind < 0.50:
            plan = self.pick(("like", "live", "have"))
            return self.clause(plan, self.subject([FRAMES[plan]]), "present", rich)
        return self.simple(rich)

    def sequence(
        self,
        rich: float,
        reason: str = "",
        others: Sequence[str] = (),
        time: float = 0.7,
        past: bool = False,
    ) -> Joined:
        """One person does one thing and then another; others were named before."""
        first, second = self.pick(STEPS_FOR[reason])
        frames = [frame_of(first), frame_of(second)]
        self.days = True
        tense = "past"
        if not past and not any("past" in frame.marks for frame in frames):
            tense = "present" if self.chance(0.5) else "past"
        who = self.subject(frames, others)
        one = self.clause(first, who, tense, rich, time)
        two = self.clause(second, who, tense, rich, 0.0, bare=True)
        if tense == "present":  # one frequency is enough
            two.slots.pop("frequency", None)
        return self.joined("then", one, two)

    def together(self, rich: float, time: float = 0.5) -> Joined:
        """Two people do two things that fit one scene."""
        plans = self.pick(SCENES).split()
        first = self.pick(plans)
        second = self.pick([p for p in plans if frame_of(p).verb != frame_of(first).verb])
        tense = self.tense(first, second)
        self.days = any("season" not in frame_of(plan).marks for plan in (first, second))
        who = self.subject([frame_of(first)])
        other = self.subject([frame_of(second)], [who])
        one = self.clause(first, who, tense, rich, time)
        two = self.clause(second, other, tense, rich, 0.0)
        if tense == "present" and one.slots.get("time"):
            two.slots.pop("frequency", None)
        return self.joined("and", one, two)

    def contrast(self, rich: float, time: float = 0.4) -> Joined:
        """Two people do the same sort of thing, but not the same."""
        plan = self.different()
        tense = self.tense(plan)
        frame = frame_of(plan)
        who = self.subject([frame])
        other = self.subject([frame], [who])
        one = self.clause(plan, who, tense, rich, time)
        two = self.clause(plan, other, tense, rich, 0.0)
        if frame.objects and not (one.slots.get("object") and two.slots.get("object")):
            raise Unsayable
        if any({city, country} <= self.used for city, country in CITY_IN.items()):
            raise Unsayable
        return self.joined("but", one, two)

    def different(self) -> str:
        """Pick one of the plans in which two people can differ."""
        return self.pick(
            ("read@park|garden", "study@school|library", "music", "sport@park", "eat@garden",
             "dine@restaurant", "drink@café", "cook@kitchen", "food@market", "things@shop", "ride",
             "look", "lose", "city", "city", "fly", "fly", "go", "give", "send", "like", "have",
             "live", "live", "sight", "open", "write", "wash", "make")
        )  # fmt: skip

    def state(self, name: str, subject: Phrase, who: str, same: bool) -> Clause:
        """Build a reason: "because she was tired", "because it was raining"."""
        state = STATES[name]
        marks = self.marks(who)
        if state.personal and who in ("I", "we") and len(set(state.fr)) > 2:
            raise Unsayable  # French would show whether the speaker is a man or a woman
        if name in ("sick", "hungry", "thirsty") and "elder" in marks:
            raise Unsayable
        if not state.personal:
            tag = self.new_tag()
            it = frozenset([tag + "it"])
            subject = Phrase((("it", it),), (("il", it),))
            return Clause(tag, "state", subject, name=name)
        return Clause(self.new_tag(), "state", subject, name=name, pronoun=same, who=who)

    def reasoned(
        self,
        rich: float,
        others: Sequence[str] = (),
        steps: bool = False,
        time: float = 0.5,
        table: dict[str, str] | None = None,
    ) -> Joined:
        """Somebody does something (steps: two things) because of a state.

        others: who was named before; table: reason -> plans, EFFECTS by default
        """
        table = table or EFFECTS
        reason = self.pick([name for name in table if not steps or name in STEPS_FOR])
        self.days = True
        self.avoid = (*CONTRARY.get(reason, ()), "late", "slowly", "quietly")
        if steps:
            main: Node = self.sequence(rich, reason, others, time, past=True)
        else:
            plan = self.pick(table[reason].split())
            who = self.subject([frame_of(plan)], others)
            main = self.clause(plan, who, "past", rich, time)
        doer = first_clause(main)
        state = self.state(reason, doer.subject, doer.who, same=True)
        if STATES[reason].personal:
            self.check_pronoun(main)
        return self.joined("because", main, state, same=STATES[reason].personal)

    def check_pronoun(self, main: Node) -> None:
        """Refuse "Jane phoned Anna because she was sad": who was?"""
        subject = first_clause(main).subject
        for clause in clauses_of(main):
            for slot in ("companion", "person", "recipient"):
                other = clause.slots.get(slot)
                if subject.person == 3 and other and other.plural == subject.plural and (
                    subject.plural or other.feminine == subject.feminine
                ):
                    raise Unsayable

    def for_another(self, rich: float) -> Joined:
        """Somebody does something because somebody else was sick, hungry, tired ..."""
        self.days = True
        reason = self.pick(tuple(FOR_ANOTHER))
        plan = self.pick(FOR_ANOTHER[reason].split())
        who = self.subject([frame_of(plan)])
        other = self.subject([FRAMES["dine"]], [who])
        main = self.clause(plan, who, "past", rich, 0.5)
        if other in ("I", "we"):
            raise Unsayable
        tag = self.new_tag()
        state = self.state(reason, subject_phrase(tag + "s", other), other, same=False)
        return self.joined("because", main, state)

    def habit(self, rich: float) -> Joined:
        """Somebody does something again and again because of a liking."""
        liking = self.pick((*LIKINGS, "animals", "animals"))
        plan = self.pick(LIKINGS[liking].split())
        who = self.subject([frame_of(plan)])
        main = self.clause(plan, who, "present", rich, 0.6)
        self.used.discard(liking)
        like = self.clause(f"like:{liking}", who, "present", 0.0)
        like = replace(like, pronoun=True)
        self.check_pronoun(main)
        return self.joined("because", main, like, same=True)

    def shared_reason(self, rich: float) -> Joined:
        """Two people do two things because of the weather."""
        reason = self.pick(("cold", "hot", "sunny", "raining", "snowing"))
        self.days = True
        self.avoid = (*CONTRARY.get(reason, ()), "slowly", "quietly")
        plans = EFFECTS[reason].split()
        first = self.pick(plans)
        second = self.pick([p for p in plans if frame_of(p).verb != frame_of(first).verb])
        who = self.subject([frame_of(first)])
        other = self.subject([frame_of(second)], [who])
        one = self.clause(first, who, "past", rich, 0.5)
        two = self.clause(second, other, "past", rich, 0.0)
        both = self.joined("and", one, two)
        return self.joined("because", both, self.state(reason, Phrase(), "", False))

    def stays_behind(self, rich: float, steps: bool = False, long: bool = False) -> Joined:
        """One goes out, but the other does something else for a reason."""
        self.days = True
        if steps:
            first: Node = self.sequence(rich, past=True)
        else:
            plan = self.pick(OUTINGS.split())
            who = self.subject([frame_of(plan)])
            first = self.clause(plan, who, "past", rich, 0.7)
        others = [first_clause(first).who]
        second = self.reasoned(rich, others, steps=long, time=0.0, table=STAYING)
        wet = clauses_of(second)[-1].name in ("cold", "raining", "snowing")
        dry = ("swim", "run", "play", "play_sport")
        if wet and any(clause.name in dry for clause in clauses_of(first)):
            raise Unsayable
        out = ("go", "visit", "meet", "take_bus", "take_walk", "buy")
        if wet and not any(clause.name in out for clause in clauses_of(first)):
            raise Unsayable  # the weather explains no contrast with one who is at home, too
        when = first_clause(first).slots.get("time")
        if when and when.head in YEARLY + SEASONS:
            raise Unsayable  # a season against one day
        self.check_repeated(first, second)
        return self.joined("but", first, second)

    def two_sequences(self, rich: float) -> Joined:
        """Two people, two things each."""
        first = self.sequence(rich, past=True)
        second = self.sequence(rich, others=[first_clause(first).who], time=0.0, past=True)
        self.check_repeated(first, second)
        return self.joined(self.pick(("and", "but")), first, second)

    def check_repeated(self, first: Node, second: Node) -> None:
        """Refuse two people who do the same."""
        names = [{clause.name for clause in clauses_of(node)} for node in (first, second)]
        if names[0] & names[1]:
            raise Unsayable

    def meanwhile(self, rich: float, two: bool = False, steps: bool = False) -> Joined:
        """Somebody was doing something (two: two people) when somebody came, or opened a door."""
        self.days = True
        scene = "home" if steps or self.chance(0.5) else self.pick(tuple(GOING_ON)[1:])
        plans = GOING_ON[scene].split()
        if scene != "home":
            plans = [f"{plan}@{scene}" for plan in plans]
        first = self.pick(plans)
        present = [FRAMES["home"]] if scene == "home" else []
        who = self.subject([frame_of(first), *present])
        main: Node = self.clause(first, who, "progressive", rich)
        others = [who]
        if two:
            verb = frame_of(first).verb
            second = self.pick([plan for plan in plans if frame_of(plan).verb != verb])
            others.append(self.subject([frame_of(second), *present], others))
            more = self.clause(second, others[1], "progressive", rich)
            main = self.joined("and", main, more)
        comer = self.subject([FRAMES["home"]], others)
        doing = "home" if "garden" in self.used else self.pick(("home", "open", "close"))
        if scene != "home":
            event: Node = self.clause("arrive@-", comer, "past", rich, 0.6)
        elif steps:
            if comer in ("I", "we"):
                raise Unsayable  # French would need "et que" here
            came = replace(self.clause("home", comer, "past", rich, 0.6), hither=True)
            then = self.clause(self.pick(("open", "close")), comer, "past", rich, bare=True)
            event = self.joined("then", came, then)
        else:
            hither = doing == "home" and comer not in ("I", "we")
            event = replace(self.clause(doing, comer, "past", rich, 0.6), hither=hither)
        return self.joined("when", main, event)

    def joined(self, link: str, first: Node, second: Node, same: bool = False) -> Joined:
        """Join two trees. "with Tom and Jane visited ..." could be misread: it is not said."""
        last = english(first)[-1] if link == "and" else ("", "", frozenset())
        if last[1] in ("how", "whom") and last[0] in NAMES:
            raise Unsayable
        return Joined(self.new_tag() + "l", link, first, second, same)

    def draw(self, low: int, high: int) -> Node:
        """Draw one tree of low to high English words.

        The pattern is chosen first and tried until it fits, so that short patterns do not crowd
        out long ones.
        """
        table = next(rows for (least, most), rows in PATTERNS.items() if least == low)
        for _ in range(1000):
            _, name, base, spread, options = self.weighted([(row, row[0]) for row in table])
            for _ in range(30):
                self.begin()
                try:
                    node = getattr(self, name)(base + spread * self.rng.random(), **options)
                except Unsayable:
                    continue
                if low <= len(english(node)) <= high:
                    return node
        raise RuntimeError(f"no pattern gives {low} to {high} words: see PATTERNS")


# English words of a sentence -> patterns: weight, method of Sampler, least richness, how much more,
# options of the method
PATTERNS: dict[tuple[int, int], tuple[tuple[float, str, float, float, dict[str, bool]], ...]] = {
    (3, 8): ((1.0, "short", 0.0, 0.5, {}),),
    (9, 16): (
        (5.0, "simple", 0.9, 0.4, {}),
        (4.0, "sequence", 0.0, 0.5, {}),
        (3.0, "together", 0.0, 0.5, {}),
        (3.0, "contrast", 0.0, 0.5, {}),
        (4.0, "reasoned", 0.0, 0.6, {}),
        (1.5, "for_another", 0.0, 0.5, {}),
        (2.0, "habit", 0.0, 0.6, {}),
        (3.0, "meanwhile", 0.0, 0.5, {}),
    ),
    (17, 24): (
        (2.0, "sequence", 1.0, 0.4, {}),
        (2.0, "together", 0.6, 0.4, {}),
        (2.0, "contrast", 0.6, 0.4, {}),
        (4.0, "reasoned", 0.7, 0.5, {"steps": True}),
        (0.7, "habit", 1.1, 0.4, {}),
        (2.0, "meanwhile", 0.6, 0.4, {}),
        (1.5, "meanwhile", 0.2, 0.5, {"two": True}),
        (1.5, "meanwhile", 0.3, 0.5, {"steps": True}),
        (2.0, "shared_reason", 0.2, 0.5, {}),
        (3.0, "stays_behind", 0.2, 0.5, {}),
    ),
    (25, 30): (
        (2.5, "meanwhile", 0.6, 0.4, {"two": True}),
        (1.5, "meanwhile", 0.9, 0.4, {"steps": True}),
        (1.5, "meanwhile", 0.4, 0.3, {"two": True, "steps": True}),
        (1.5, "shared_reason", 1.1, 0.4, {}),
        (3.0, "stays_behind", 0.8, 0.4, {"steps": True}),
        (3.0, "two_sequences", 0.7, 0.5, {}),
        (4.0, "stays_behind", 0.2, 0.5, {"steps": True, "long": True}),
    ),
    NOVEL_LENGTHS: (
        (2.0, "meanwhile", 1.0, 0.4, {"two": True}),
        (2.0, "meanwhile", 0.8, 0.3, {"two": True, "steps": True}),
        (3.0, "two_sequences", 1.0, 0.4, {}),
        (3.0, "stays_behind", 0.8, 0.5, {"steps": True, "long": True}),
    ),
}
GOING_NAMES = frozenset(
    parsed(plan)[0] for plans in GOING_ON.values() for plan in plans.split()
)


# ---------------------------------------------------------------------------------------------
# The corpus
# ---------------------------------------------------------------------------------------------


def features(node: Node) -> set[tuple[str, str]]:
    """Return the combinations of a tree: (verb, object) and (subject name, verb)."""
    found = set()
    for clause in clauses_of(node):
        if clause.kind != "verb":
            continue
        if phrase := clause.slots.get("object"):
            found.add((clause.name, phrase.head))
        if clause.who in NAMES:
            found.add((clause.who, clause.name))
    return found


def seed_trees() -> list[Node]:
    """Return the trees of SEED_SENTENCES, in that order."""
    visit = Clause(
        "v", "verb", name_phrase("s", "Jane"), "present", VERBS["visit"], "visit",
        {
            "object": with_particles(proper_phrase("o", NOUNS["Africa"]), "を", "을/를"),
            "time": fixed("t", PRESENT["in September"]),
        },
    )  # fmt: skip
    this = fixed("s", ("this", "ce/0", "これ/0", "이것/0"))
    pen = Clause(
        "v", "noun", this, "present", slots={"object": noun_phrase("o", NOUNS["pen"])}
    )
    me = subject_phrase("s", "I")
    study = Clause(
        "v", "verb", me, "past", VERBS["study_alone"], "study_alone",
        {"place": place_phrase("p", "school", "do")},
    )  # fmt: skip
    came = Clause(
        "v", "verb", me, "past", VERBS["come"], "come", {"goal": place_phrase("p", "home", "go")}
    )
    rest = with_particles(noun_phrase("o", NOUNS["rest"]), "を", "을/를")
    took = Clause("w", "verb", me, "past", VERBS["take_rest"], "take_rest", {"object": rest})
    cat = Clause(
        "v", "noun", fixed("s", ("I", "je/0", "吾輩/0", "나/0"), person=1), "present", name="cat",
        slots={"object": noun_phrase("o", NOUNS["cat"])},
    )  # fmt: skip
    return [visit, pen, study, Joined("l", "then", came, took), cat]


def generate(seed: int = 0, sizes: dict[str, int] | None = None) -> dict[str, list[Sentence]]:
    """Generate the splits.

    sizes: sentences per split, SIZES by default
    Returns split -> sentences. The train part starts with the sentences of SEED_SENTENCES. Any
    prefix of a split holds all lengths: the four buckets take turns. No sentence of any language
    stands in two splits, and train has every word of the others. The first half of "novel" holds
    combinations of HELD_OUT, which no other split has; the second half 31 to 40 English words.
    """
    sizes = sizes or SIZES
    sampler = Sampler(seed)
    seen: dict[tuple[str, tuple[str, ...]], str] = {}
    known: set[tuple[str, str]] = set()  # the words of the train part
    splits: dict[str, list[Sentence]] = {split: [] for split in sizes}
    spread: Counter[tuple[str, str]] = Counter()  # how often novel has each of HELD_OUT
    most = 1 + sizes.get("novel", 0) // len(HELD_OUT)  # about half of it would be even

    def add(split: str, node: Node) -> bool:
        """Keep a sentence unless it was said before or has a word that train lacks."""
        sentence = read_out(node)
        texts = [(lang, sentence.words[lang]) for lang in LANGUAGES]
        if texts[0] in seen or any(seen.get(text, split) != split for text in texts):
            return False
        words = {(lang, word) for lang, text in texts for word in text}
        if split == "train":
            known.update(words)
        elif sizes.get("train") and not words <= known:
            return False
        seen.update((text, split) for text in texts)
        splits[split].append(sentence)
        return True

    def add_one(split: str, low: int, high: int, held_out: bool) -> None:
        """Draw until a sentence of this length and kind is found; spread what is held out."""
        while True:
            node = sampler.draw(low, high)
            combinations = HELD_OUT & features(node)
            if bool(combinations) != held_out:
                continue
            if held_out and min(spread[pair] for pair in combinations) >= most:
                continue
            if add(split, node):
                spread.update(combinations)
                return

    for split in sorted(sizes, key=lambda name: (name != "train", name)):
        if split == "train":
            for node in seed_trees()[: sizes["train"]]:
                add("train", node)
        while (n := len(splits[split])) < sizes[split]:
            novel = split == "novel"
            if novel and n >= sizes[split] // 2:
                add_one(split, *NOVEL_LENGTHS, held_out=False)
            else:
                add_one(split, *BUCKETS[n % 4], held_out=novel)
    return splits


def write_corpus(folder: str | Path, seed: int = 0) -> None:
    """Write one .tsv file per split into a folder; each appears whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for split, sentences in generate(seed).items():
        lines = ["\t".join(COLUMNS), *("\t".join(sentence.row()) for sentence in sentences)]
        part = folder / f"{split}.tsv.part"
        part.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        os.replace(part, folder / f"{split}.tsv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the grammar corpora.")
    parser.add_argument("folder", help="where the .tsv files go, e.g. data/grammar")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_corpus(arguments.folder, arguments.seed)

"""What is said of what: each verb with the objects, places and company that make sense."""

from dataclasses import dataclass

from tools.grammar.lexicon import INSTRUMENT, MANNER, rows_of


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
    for name, verb, objects, places, more in rows_of(table):
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

# "toujours" beside these would read as "still", and いつも as if one did nothing else, unless a
# season is named: いつも 秋 に.
NOT_ALWAYS = ("study", "study_alone", "work", "teach", "listen", "sight", "city", "fly")

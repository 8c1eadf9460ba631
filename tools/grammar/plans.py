"""Plans: frames made more precise, and which of them go together in one sentence.

A plan names a frame, then its objects after ":", its place after "@" (@- for none) and its goal
after ">": "drink:coffee|tea@kitchen", "go>park".
"""

import re
from functools import cache
from typing import NamedTuple

from tools.grammar.frames import FRAMES, Frame


class Plan(NamedTuple):
    """A plan in its parts: the name of a frame, and the objects, places and goals to choose from.

    Where a part is empty, the frame's own are meant.
    """

    name: str
    objects: tuple[str, ...]
    places: tuple[str, ...]
    goals: tuple[str, ...]


@cache
def parsed(plan: str) -> Plan:
    """Read a plan such as "drink:tea|coffee@kitchen"."""
    name, *parts = re.split(r"([:@>])", plan)
    found = {
        mark: tuple(text.replace("_", " ").split("|"))
        for mark, text in zip(parts[::2], parts[1::2], strict=True)
    }
    return Plan(name, found.get(":", ()), found.get("@", ()), found.get(">", ()))


def frame_of(plan: str) -> Frame:
    """Return the frame that a plan names."""
    return FRAMES[parsed(plan).name]


# What one does for a reason.
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
# Reasons that two people share.
WEATHER = ("cold", "hot", "sunny", "raining", "snowing")
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
        plans, reasons = line.rsplit("|", 1)  # a plan may hold other bars
        first, second = plans.split()
        alone = () if first in ("open", "close") else ("",)  # a door is opened for a reason
        for reason in (*alone, *reasons.split()):
            found.setdefault(reason, []).append((first, second))
    return found


STEPS_FOR = _steps()

# Two people, one verb: plans in which they can differ.
DIFFERENT = (
    "read@park|garden", "study@school|library", "music", "sport@park", "eat@garden",
    "dine@restaurant", "drink@café", "cook@kitchen", "food@market", "things@shop", "ride", "look",
    "lose", "city", "city", "fly", "fly", "go", "give", "send", "like", "have", "live", "live",
    "sight", "open", "write", "wash", "make",
)  # fmt: skip
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
GOING_NAMES = frozenset(
    parsed(plan).name for plans in GOING_ON.values() for plan in plans.split()
)

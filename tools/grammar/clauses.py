"""A clause of action from a plan: with what, to whom, where, how, when.

Everywhere rich is the share of optional phrases that are said, and who the subject.
"""

from tools.grammar.draft import Draft, Unsayable
from tools.grammar.frames import ARRIVALS, FRAMES, GOALS, NOT_ALWAYS, Frame
from tools.grammar.lexicon import (
    ARRIVING,
    CITIES,
    COUNTRIES,
    FREQUENCY,
    INSTRUMENT,
    MANNER,
    VERBS,
)
from tools.grammar.people import pick_other
from tools.grammar.phrases import adposition, as_object, fixed, subject_phrase
from tools.grammar.plans import Plan, parsed
from tools.grammar.things import pick_object, pick_place, pick_time
from tools.grammar.trees import Clause, Phrase

NOWHERE = ("-",)  # the place of a plan in which none is named


def action(
    draft: Draft,
    plan: str,
    who: str,
    tense: str,
    rich: float,
    time: float = 0.0,
    bare: bool = False,
) -> Clause:
    """Build a clause from a plan.

    time: the chance of a time; bare: no companion (the first clause has said who is there)
    """
    parts = parsed(plan)
    frame = FRAMES[parts.name]
    present = tense == "present"
    if ("past" in frame.marks and present) or ("present" in frame.marks and not present):
        raise Unsayable

    slots = objects_and_people(draft, parts, frame, who, tense, rich)
    slots |= goal_or_place(draft, parts, frame, rich)
    if frame.companion and not bare and draft.chance(0.45 * rich):
        person = subject_phrase(draft.new_tag(), pick_other(draft, who, "with"))
        tag = draft.new_tag()
        slots["companion"] = adposition(tag, person, "with", "avec", "と 一緒 に", "과/와 함께")
    slots |= instrument_and_manner(draft, parts, frame, rich, alone="companion" not in slots)
    slots |= frequency_and_time(draft, parts, frame, tense, time)
    late = "manner" in slots and slots["manner"].head == "late"
    if late and "time" in slots and "morning" in slots["time"].head:
        raise Unsayable  # "home late yesterday morning"

    tag = draft.new_tag()
    subject = subject_phrase(tag + "s", who)
    return Clause(tag, "verb", subject, tense, VERBS[frame.verb], frame.verb, slots, who=who)


def objects_and_people(
    draft: Draft, plan: Plan, frame: Frame, who: str, tense: str, rich: float
) -> dict[str, Phrase]:
    """Choose the object, whom one meets, and who gets something."""
    slots = {}
    verb = VERBS[frame.verb]
    if objects := plan.objects or frame.objects:
        slots["object"] = as_object(pick_object(draft, frame, objects, tense, rich), verb)
    if frame.person:
        kind = "object" if plan.name == "help" else "meet"
        person = subject_phrase(draft.new_tag(), pick_other(draft, who, kind))
        slots["person"] = as_object(person, verb)
    writing = plan.name == "write" and "letter" not in slots["object"].head
    to_someone = plan.name in ("give", "show")
    if frame.recipient and not writing and (to_someone or draft.chance(0.35 + 0.5 * rich)):
        kind = "class" if "to class" in frame.marks else "give"
        person = subject_phrase(draft.new_tag(), pick_other(draft, who, kind))
        slots["recipient"] = adposition(draft.new_tag(), person, "to", "à", "に", "에게")
    return slots


def goal_or_place(draft: Draft, plan: Plan, frame: Frame, rich: float) -> dict[str, Phrase]:
    """Choose where one goes, or where one is."""
    if plan.name in ("go", "fly"):
        goals = plan.goals or (GOALS if plan.name == "go" else CITIES + COUNTRIES)
        return {"goal": pick_place(draft, draft.fresh(goals), "go", rich)}
    if plan.name == "home":
        return {"goal": pick_place(draft, "home", "go", rich)}
    if plan.places == NOWHERE:
        return {}
    if plan.name == "arrive":
        return {"goal": pick_place(draft, draft.fresh(ARRIVALS), "stay", rich)}
    settled = plan.name in ("stay", "live")
    spots = [spot for spot in plan.places or frame.places if spot not in draft.used]
    if settled and not spots:
        raise Unsayable
    must = settled or bool(plan.places)
    if not spots or not (must or draft.chance(0.15 + 0.7 * rich)):
        return {}
    where = pick_place(draft, draft.pick(spots), "stay" if settled else "do", rich)
    return {"goal" if plan.name == "stay" else "place": where}


def instrument_and_manner(
    draft: Draft, plan: Plan, frame: Frame, rich: float, alone: bool
) -> dict[str, Phrase]:
    """Choose with what and in which way one does it; alone: nobody does it, too."""
    slots = {}
    tools = [tool for tool in frame.instruments if tool.split()[-1] not in draft.avoid]
    if not alone:  # not "with Paul with a pen"
        tools = [tool for tool in tools if not tool.startswith("with")]
    if tools and draft.chance(0.4 * rich):
        slots["instrument"] = fixed(draft.new_tag(), INSTRUMENT[draft.pick(tools)])
    manners = [manner for manner in frame.manners if manner not in draft.avoid]
    if manners and draft.chance(0.3 * rich):
        manner = draft.pick(manners)
        slot = "way" if manner == "quietly" else "manner"
        rows = ARRIVING if plan.name == "arrive" else MANNER
        slots[slot] = fixed(draft.new_tag(), rows[manner])
    return slots


def frequency_and_time(
    draft: Draft, plan: Plan, frame: Frame, tense: str, time: float
) -> dict[str, Phrase]:
    """Choose how often and when; time: the chance of a time."""
    slots: dict[str, Phrase] = {}
    timed = draft.chance(time)
    if plan.name in ("live", "have", "like"):
        return slots
    if tense == "present" and (not timed or ("long" in frame.marks and draft.chance(0.3))):
        vague = not timed and plan.name in NOT_ALWAYS
        words = [word for word in FREQUENCY if not vague or word != "always"]
        slots["frequency"] = fixed(draft.new_tag(), FREQUENCY[draft.pick(words)])
    if timed:
        slots["time"] = pick_time(draft, frame, tense)
    return slots

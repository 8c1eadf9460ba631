"""Sentences: one clause, one thing after the other, two people at one time.

Everywhere rich is the share of optional phrases that are said, and time the chance of a time.
"""

from collections.abc import Sequence
from dataclasses import replace

from tools.grammar import english
from tools.grammar.being import being_there, looks, naming, profession, speaking_cat
from tools.grammar.clauses import action
from tools.grammar.draft import Draft, Unsayable
from tools.grammar.frames import FRAMES, OFTEN
from tools.grammar.lexicon import CITY_IN, NAMES
from tools.grammar.people import pick_subject
from tools.grammar.plans import DIFFERENT, GOING_NAMES, GOING_ON, SCENES, STEPS_FOR, frame_of
from tools.grammar.trees import Joined, Node, clauses_of, first_clause


def joined(draft: Draft, link: str, first: Node, second: Node, same: bool = False) -> Joined:
    """Join two trees. "with Tom and Jane visited ..." could be misread: it is not said."""
    if link == "and":
        word, role, _ = english.read(first)[-1]
        if role in ("how", "whom") and word in NAMES:
            raise Unsayable
    return Joined(draft.new_tag() + "l", link, first, second, same)


def check_repeated(first: Node, second: Node) -> None:
    """Refuse two people who do the same."""
    names = [{clause.name for clause in clauses_of(node)} for node in (first, second)]
    if names[0] & names[1]:
        raise Unsayable


def pick_another(draft: Draft, plans: Sequence[str], first: str) -> str:
    """Pick one of these plans that has another verb than the first."""
    return draft.pick([plan for plan in plans if frame_of(plan).verb != frame_of(first).verb])


def pick_tense(draft: Draft, *plans: str) -> str:
    """Pick past or present, as the frames allow."""
    marks = [mark for plan in plans for mark in frame_of(plan).marks]
    if "present" in marks:
        return "present"
    return "past" if "past" in marks or draft.chance(0.4) else "present"


def simple(draft: Draft, rich: float) -> Node:
    """One clause with a verb."""
    plan = draft.pick((*FRAMES, *OFTEN))
    tense = pick_tense(draft, plan)
    if tense == "past" and draft.chance(0.1) and plan in GOING_NAMES:
        tense = "progressive"
    who = pick_subject(draft, [FRAMES[plan]])
    time = 0.0 if tense == "progressive" else 0.2 + 0.7 * rich
    return action(draft, plan, who, tense, rich, time)


def short(draft: Draft, rich: float) -> Node:
    """A sentence without a verb of action, or a very plain one."""
    kind = draft.random()
    if kind < 0.12:
        return naming(draft, 0.7)
    if kind < 0.14:
        return speaking_cat(draft)
    if kind < 0.20:
        return profession(draft)
    if kind < 0.28:
        return looks(draft)
    if kind < 0.42:
        return being_there(draft, 0.5)
    if kind < 0.50:
        plan = draft.pick(("like", "live", "have"))
        return action(draft, plan, pick_subject(draft, [FRAMES[plan]]), "present", rich)
    return simple(draft, rich)


def sequence(
    draft: Draft,
    rich: float,
    reason: str = "",
    others: Sequence[str] = (),
    time: float = 0.7,
    past: bool = False,
) -> Joined:
    """One person does one thing and then another; others were named before."""
    first, second = draft.pick(STEPS_FOR[reason])
    frames = [frame_of(first), frame_of(second)]
    draft.days = True
    tense = "past"
    if not past and not any("past" in frame.marks for frame in frames):
        tense = "present" if draft.chance(0.5) else "past"
    who = pick_subject(draft, frames, others)
    one = action(draft, first, who, tense, rich, time)
    two = action(draft, second, who, tense, rich, 0.0, bare=True)
    if tense == "present":  # one frequency is enough
        two.slots.pop("frequency", None)
    return joined(draft, "then", one, two)


def two_sequences(draft: Draft, rich: float) -> Joined:
    """Two people, two things each."""
    first = sequence(draft, rich, past=True)
    second = sequence(draft, rich, others=[first_clause(first).who], time=0.0, past=True)
    check_repeated(first, second)
    return joined(draft, draft.pick(("and", "but")), first, second)


def together(draft: Draft, rich: float, time: float = 0.5) -> Joined:
    """Two people do two things that fit one scene."""
    plans = draft.pick(SCENES).split()
    first = draft.pick(plans)
    second = pick_another(draft, plans, first)
    tense = pick_tense(draft, first, second)
    draft.days = any("season" not in frame_of(plan).marks for plan in (first, second))
    who = pick_subject(draft, [frame_of(first)])
    other = pick_subject(draft, [frame_of(second)], [who])
    one = action(draft, first, who, tense, rich, time)
    two = action(draft, second, other, tense, rich, 0.0)
    if tense == "present" and one.slots.get("time"):
        two.slots.pop("frequency", None)
    return joined(draft, "and", one, two)


def contrast(draft: Draft, rich: float, time: float = 0.4) -> Joined:
    """Two people do the same sort of thing, but not the same."""
    plan = draft.pick(DIFFERENT)
    tense = pick_tense(draft, plan)
    frame = frame_of(plan)
    who = pick_subject(draft, [frame])
    other = pick_subject(draft, [frame], [who])
    one = action(draft, plan, who, tense, rich, time)
    two = action(draft, plan, other, tense, rich, 0.0)
    if frame.objects and not (one.slots.get("object") and two.slots.get("object")):
        raise Unsayable
    if any({city, country} <= draft.used for city, country in CITY_IN.items()):
        raise Unsayable
    return joined(draft, "but", one, two)


def meanwhile(draft: Draft, rich: float, two: bool = False, steps: bool = False) -> Joined:
    """Somebody was doing something when somebody came, or opened or closed a door.

    two: two people were doing something; steps: the other came and then opened or closed a door
    """
    draft.days = True
    scene = "home" if steps or draft.chance(0.5) else draft.pick(tuple(GOING_ON)[1:])
    plans = GOING_ON[scene].split()
    if scene != "home":
        plans = [f"{plan}@{scene}" for plan in plans]
    first = draft.pick(plans)
    present = [FRAMES["home"]] if scene == "home" else []
    who = pick_subject(draft, [frame_of(first), *present])
    main: Node = action(draft, first, who, "progressive", rich)
    others = [who]
    if two:
        second = pick_another(draft, plans, first)
        others.append(pick_subject(draft, [frame_of(second), *present], others))
        more = action(draft, second, others[1], "progressive", rich)
        main = joined(draft, "and", main, more)
    return joined(draft, "when", main, coming(draft, rich, scene, others, steps))


def coming(
    draft: Draft, rich: float, scene: str, others: Sequence[str], steps: bool = False
) -> Node:
    """Somebody comes to a scene where others are, or opens or closes something (steps: both)."""
    comer = pick_subject(draft, [FRAMES["home"]], others)
    doing = "home" if "garden" in draft.used else draft.pick(("home", "open", "close"))
    if scene != "home":
        return action(draft, "arrive@-", comer, "past", rich, 0.6)
    if not steps:
        event = action(draft, doing, comer, "past", rich, 0.6)
        return replace(event, hither=doing == "home" and comer not in ("I", "we"))
    if comer in ("I", "we"):
        raise Unsayable  # French would need "et que" here
    came = replace(action(draft, "home", comer, "past", rich, 0.6), hither=True)
    then = action(draft, draft.pick(("open", "close")), comer, "past", rich, bare=True)
    return joined(draft, "then", came, then)

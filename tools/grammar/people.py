"""Who: the subject of a clause, and the other people in it."""

from collections.abc import Sequence
from functools import cache

from tools.grammar.draft import Draft, Unsayable
from tools.grammar.frames import Frame
from tools.grammar.lexicon import NAMES, PEOPLE, TITLES

# who -> how often as a subject, and the marks of PEOPLE
CAST = (
    *((name, 5.0, "") for name in NAMES),
    ("I", 14.0, ""), ("we", 14.0, ""), ("pair", 10.0, ""),
    *((who, 3.5, person.marks) for who, person in PEOPLE.items()),
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


def marks_of(who: str) -> str:
    """Return the marks of a person in PEOPLE, or nothing."""
    return PEOPLE[who].marks if who in PEOPLE else ""


def is_inside(who: str) -> bool:
    """Whether who is the speaker or the speaker's family."""
    return who in ("I", "we") or "family" in marks_of(who)


def pick_subject(draft: Draft, frames: Sequence[Frame], others: Sequence[str] = ()) -> str:
    """Pick a subject for these frames that goes with the subjects named before it.

    母 and 友だち are the speaker's own only where nobody else's can be meant, so the family
    stands beside the speaker and the family alone, and "my friend" beside the speaker.
    """
    cast = cast_for(tuple(frames))
    if not others:
        return pick_cast(draft, [(who, w) for who, w, _ in cast if who not in draft.used])
    speaker = "I" in others or "we" in others
    strangers = not all(is_inside(other) for other in others)
    family = any("family" in marks_of(other) for other in others)
    beside = all(other in ("I", "we") for other in others)
    allowed = []
    for who, weight, marks in cast:
        inside = who in ("I", "we") or "family" in marks
        if (
            who in draft.used
            or (speaker and who in ("I", "we"))
            or (family and not inside)
            or (strangers and "family" in marks)
            or (who == "my friend" and not beside)
            or ("my friend" in others and who not in ("I", "we"))
        ):
            continue
        allowed.append((who, weight))
    return pick_cast(draft, allowed)


def pick_cast(draft: Draft, allowed: Sequence[tuple[str, float]]) -> str:
    """Pick one of these by weight, and the two of a pair, and note who it is."""
    if not allowed:
        raise Unsayable
    who = draft.weighted(allowed)
    if who == "pair":
        names = [name for name in NAMES if name not in draft.used]
        first = draft.pick(names)
        second = draft.pick([n for n in names if NAMES[n].gender != NAMES[first].gender])
        who = f"{first} & {second}"
    draft.used.update(who.split(" & "))
    return who


def pick_other(draft: Draft, subject: str, kind: str) -> str:
    """Pick another person for a clause with this subject.

    kind: with (a companion), give or class (who gets something, who is taught), meet or object
    (whom one meets, whom one helps)
    """
    pool = list(NAMES)
    speaker = subject in ("I", "we")
    if kind == "class":
        pool += ["the children", "the students"] * 2
    if kind == "give" and is_inside(subject):
        pool += ["my little brother", "my little sister"]
    if kind == "with":
        pool += ["the teacher"] if "child" in marks_of(subject) or speaker else []
        pool += ["the children"] if "child" not in marks_of(subject) else []
    if kind in ("with", "object") and is_inside(subject):
        pool += ["my mother", "my father", "my grandmother", "my little brother",
                 "my little sister"]  # fmt: skip
    if speaker and kind != "class":
        pool += ["my friend"]
    return draft.fresh(pool)

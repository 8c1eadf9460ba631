"""Sentences with a reason: somebody does something because of a state, a liking or the weather.

Everywhere rich is the share of optional phrases that are said.
"""

from collections.abc import Sequence
from dataclasses import replace

from tools.grammar.clauses import action
from tools.grammar.draft import Draft, Unsayable
from tools.grammar.frames import FRAMES
from tools.grammar.lexicon import SEASONS, STATES, YEARLY
from tools.grammar.people import marks_of, pick_subject
from tools.grammar.phrases import subject_phrase
from tools.grammar.plans import (
    CONTRARY,
    EFFECTS,
    FOR_ANOTHER,
    LIKINGS,
    OUTINGS,
    STAYING,
    STEPS_FOR,
    WEATHER,
    frame_of,
)
from tools.grammar.sentences import check_repeated, joined, pick_another, sequence
from tools.grammar.trees import Clause, Joined, Node, Phrase, clauses_of, first_clause


def state(draft: Draft, name: str, subject: Phrase, who: str, same: bool) -> Clause:
    """Build a reason: "because she was tired", "because it was raining".

    same: the main clause has the same subject, so that a pronoun names it here
    """
    found = STATES[name]
    if found.personal and who in ("I", "we") and len(set(found.fr)) > 2:
        raise Unsayable  # French would show whether the speaker is a man or a woman
    if name in ("sick", "hungry", "thirsty") and "elder" in marks_of(who):
        raise Unsayable
    tag = draft.new_tag()
    if found.personal:
        return Clause(tag, "state", subject, name=name, pronoun=same, who=who)
    it = frozenset([tag + "it"])
    return Clause(tag, "state", Phrase((("it", it),), (("il", it),)), name=name)


def check_pronoun(main: Node) -> None:
    """Refuse "Jane phoned Anna because she was sad": who was?"""
    subject = first_clause(main).subject
    for clause in clauses_of(main):
        for slot in ("companion", "person", "recipient"):
            other = clause.slots.get(slot)
            if subject.person == 3 and other and other.plural == subject.plural and (
                subject.plural or other.feminine == subject.feminine
            ):
                raise Unsayable


def reasoned(
    draft: Draft,
    rich: float,
    others: Sequence[str] = (),
    steps: bool = False,
    time: float = 0.5,
    table: dict[str, str] = EFFECTS,
) -> Joined:
    """Somebody does something (steps: two things) because of a state.

    others: who was named before; time: the chance of a time; table: reason -> plans
    """
    reason = draft.pick([name for name in table if not steps or name in STEPS_FOR])
    draft.days = True
    draft.avoid = (*CONTRARY.get(reason, ()), "late", "slowly", "quietly")
    if steps:
        main: Node = sequence(draft, rich, reason, others, time, past=True)
    else:
        plan = draft.pick(table[reason].split())
        who = pick_subject(draft, [frame_of(plan)], others)
        main = action(draft, plan, who, "past", rich, time)
    doer = first_clause(main)
    because = state(draft, reason, doer.subject, doer.who, same=True)
    if STATES[reason].personal:
        check_pronoun(main)
    return joined(draft, "because", main, because, same=STATES[reason].personal)


def for_another(draft: Draft, rich: float) -> Joined:
    """Somebody does something because somebody else was sick, hungry, tired ..."""
    draft.days = True
    reason = draft.pick(tuple(FOR_ANOTHER))
    plan = draft.pick(FOR_ANOTHER[reason].split())
    who = pick_subject(draft, [frame_of(plan)])
    other = pick_subject(draft, [FRAMES["dine"]], [who])
    main = action(draft, plan, who, "past", rich, 0.5)
    if other in ("I", "we"):
        raise Unsayable
    subject = subject_phrase(draft.new_tag() + "s", other)
    return joined(draft, "because", main, state(draft, reason, subject, other, same=False))


def habit(draft: Draft, rich: float) -> Joined:
    """Somebody does something again and again because of a liking."""
    liking = draft.pick((*LIKINGS, "animals", "animals"))
    plan = draft.pick(LIKINGS[liking].split())
    who = pick_subject(draft, [frame_of(plan)])
    main = action(draft, plan, who, "present", rich, 0.6)
    draft.used.discard(liking)
    like = replace(action(draft, f"like:{liking}", who, "present", 0.0), pronoun=True)
    check_pronoun(main)
    return joined(draft, "because", main, like, same=True)


def shared_reason(draft: Draft, rich: float) -> Joined:
    """Two people do two things because of the weather."""
    reason = draft.pick(WEATHER)
    draft.days = True
    draft.avoid = (*CONTRARY.get(reason, ()), "slowly", "quietly")
    plans = EFFECTS[reason].split()
    first = draft.pick(plans)
    second = pick_another(draft, plans, first)
    who = pick_subject(draft, [frame_of(first)])
    other = pick_subject(draft, [frame_of(second)], [who])
    one = action(draft, first, who, "past", rich, 0.5)
    two = action(draft, second, other, "past", rich, 0.0)
    both = joined(draft, "and", one, two)
    return joined(draft, "because", both, state(draft, reason, Phrase(), "", same=False))


def stays_behind(draft: Draft, rich: float, steps: bool = False, long: bool = False) -> Joined:
    """One goes out, but the other does something else for a reason.

    steps: the first does two things; long: the second does, too
    """
    draft.days = True
    if steps:
        first: Node = sequence(draft, rich, past=True)
    else:
        plan = draft.pick(OUTINGS.split())
        who = pick_subject(draft, [frame_of(plan)])
        first = action(draft, plan, who, "past", rich, 0.7)
    goer = first_clause(first)
    second = reasoned(draft, rich, [goer.who], steps=long, time=0.0, table=STAYING)
    if clauses_of(second)[-1].name in ("cold", "raining", "snowing"):
        check_outing(first)
    when = goer.slots.get("time")
    if when and when.head in YEARLY + SEASONS:
        raise Unsayable  # a season against one day
    check_repeated(first, second)
    return joined(draft, "but", first, second)


def check_outing(node: Node) -> None:
    """Refuse what nobody does in the rain, and what one may do at home: it explains no contrast."""
    verbs = {clause.name for clause in clauses_of(node)}
    if verbs & {"swim", "run", "play", "play_sport"}:
        raise Unsayable
    if not verbs & {"go", "visit", "meet", "take_bus", "take_walk", "buy"}:
        raise Unsayable

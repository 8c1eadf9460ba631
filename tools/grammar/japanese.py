"""How Japanese says a verb, a predicate and a whole tree, with です and ます."""

from dataclasses import replace

from tools.grammar.lexicon import ADJECTIVES, STATES, Verb
from tools.grammar.trees import (
    Clause,
    Joined,
    Phrase,
    RoleWord,
    Word,
    first_clause,
    marked,
    roled,
)
from tools.grammar.verb_last import VerbLast, as_being

THERE_IS = {
    True: Verb((), (), ("い", "いて", "いる"), ()),  # of people and animals
    False: Verb((), (), ("あり", "あって", "ある"), ()),
}


def past_of(te: str) -> str:
    """Turn a te-form into the plain past: 読んで to 読んだ, 行って to 行った."""
    return te[:-1] + {"て": "た", "で": "だ"}[te[-1]]


def verb_words(verb: Verb, tense: str, form: str, tag: str, link: str) -> tuple[Word, ...]:
    """Return the verb in the form that its place in the sentence asks for."""
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
        word = past_of(te) if past else plain
        return ((word, main), ("ので" if form == "because" else "とき", joined))
    else:
        end = ((stem + ("ました" if past else "ます"), main),)
    return (*end, ("が", joined)) if form == "but" else end


def action_words(clause: Clause, form: str, link: str) -> tuple[Word, ...]:
    """Return the predicate of a clause with a verb of action."""
    verb, tag = clause.verb, clause.tag
    assert verb is not None
    if clause.hither:
        coming = replace(verb, ja=("き", "きて", "くる"))
        came = verb_words(coming, clause.tense, form, tag, link)
        return ((verb.ja[1], frozenset([tag + "v"])), *came)
    words = verb_words(verb, clause.tense, form, tag, link)
    if verb.ja_whole:
        noun = clause.slots["object"].en[-1][1]
        return tuple((w, keys | noun if tag + "v" in keys else keys) for w, keys in words)
    return words


def state_words(clause: Clause) -> tuple[Word, ...]:
    """Return the predicate of a state, in the plain past."""
    state = STATES[clause.name]
    other = state.personal and not clause.pronoun
    return marked((other and state.ja_other) or state.ja, clause.tag)


class Japanese(VerbLast):
    """The language itself: its particles, its order and its predicates."""

    code = "ja"
    genitive = "の"
    this, that = "この", "あの"
    order = (
        "frequency", "companion", "place", "instrument", "manner", "way", "recipient", "person",
        "goal", "object",
    )  # fmt: skip

    def subject_words(self, phrase: Phrase, topic: bool) -> tuple[Word, ...]:
        """Return a subject with は or が."""
        return (*phrase.ja, ("は" if topic else "が", frozenset()))

    def always_first(self, clause: Clause) -> bool:
        """Whether the frequency stands before the time: いつも 秋 に, but 秋 に よく."""
        frequency = clause.slots.get("frequency")
        return "time" in clause.slots and frequency is not None and frequency.head == "always"

    def time_words(self, clause: Clause) -> list[RoleWord]:
        """Return when a clause takes place, with the frequency where it stands first."""
        always = clause.slots["frequency"].ja if self.always_first(clause) else ()
        return roled(always, "when") + super().time_words(clause)

    def slots(self, clause: Clause) -> list[str]:
        """Return the slots in order: an instrument not next to a place (駅 で ペン で)."""
        slots = super().slots(clause)
        if self.always_first(clause):
            slots.remove("frequency")
        if {"place", "instrument"} <= clause.slots.keys():
            slots.remove("instrument")
            slots.append("instrument")
        if clause.verb and clause.verb.ja_whole:
            slots.remove("object")
        return slots

    def put_together(
        self, node: Joined, before: list[RoleWord], main: list[RoleWord]
    ) -> list[RoleWord]:
        """Put a reason or an event first; the time of the main clause holds for its reason, too."""
        when = first_clause(node.first).slots.get("time")
        if node.link != "because" or not when:
            return before + main
        time = roled(when.ja, "when")
        place = next(i for i in range(len(main)) if main[i : i + len(time)] == time)
        return time + before + main[:place] + main[place + len(time) :]

    def predicate(self, clause: Clause, form: str, link: str) -> tuple[Word, ...]:
        """Return the predicate of a clause, with the words of the link."""
        tag, joined = clause.tag, frozenset([link])
        be, main = frozenset([tag + "0"]), frozenset([tag + "1"])
        but = (("が", joined),) if form == "but" else ()
        if clause.kind == "verb":
            return action_words(clause, form, link)
        if clause.kind == "state":
            return (*state_words(clause), ("ので", joined))
        if clause.kind == "exist":
            there_is = THERE_IS[clause.animate]
            return as_being(verb_words(there_is, clause.tense, form, tag, link), tag, link)
        if clause.kind == "adjective":
            return ((ADJECTIVES[clause.name].ja_end, main), ("です", be), *but)
        if clause.name == "cat" and clause.subject.person == 1:
            return (("で", be), ("ある", be))
        if form == "and":
            return (("で", be | joined),)
        return (("です", be), *but)


JAPANESE = Japanese()

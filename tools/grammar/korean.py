"""How Korean says a verb, a predicate and a whole tree, in the plain written style."""

from tools.grammar.lexicon import ADJECTIVES, STATES, Verb
from tools.grammar.trees import Clause, Phrase, Word, marked
from tools.grammar.verb_last import VerbLast, as_being

THERE_IS = Verb((), (), (), ("있", "있었"), ko_state=True)
FIRST_SYLLABLE, FINALS = ord("가"), 28  # syllables with the same start stand together in Unicode


def final_of(syllable: str) -> int:
    """Return the number of the final consonant of a syllable: 0 for none, 8 for ㄹ."""
    return (ord(syllable) - FIRST_SYLLABLE) % FINALS


def with_final(syllable: str, final: int) -> str:
    """Replace the final consonant of a syllable (0: by none, 4: by ㄴ)."""
    return chr(ord(syllable) - final_of(syllable) + final)


def josa(word: str, particle: str) -> str:
    """Choose the form of a particle, given as "after consonant/after vowel".

    으로/로 takes 로 after ㄹ too. A particle without a slash is returned as it is.
    """
    if "/" not in particle:
        return particle
    after_consonant, after_vowel = particle.split("/")
    final = final_of(word[-1])
    if final == 0 or (after_vowel == "로" and final == 8):
        return after_vowel
    return after_consonant


def present_of(verb: Verb) -> str:
    """Return the plain present: 읽는다 after a consonant, 간다 after a vowel, 만든다 after ㄹ."""
    stem = verb.ko[0]
    if verb.ko_state:
        return stem + "다"
    if final_of(stem[-1]) in (0, 8):
        return stem[:-1] + with_final(stem[-1], 4) + "다"
    return stem + "는다"


def verb_words(verb: Verb, tense: str, form: str, tag: str, link: str) -> tuple[Word, ...]:
    """Return the verb in the form that its place in the sentence asks for."""
    main, be, joined = frozenset([tag + "v"]), frozenset([tag + "b"]), frozenset([link])
    before: tuple[Word, ...] = ()
    if verb.ko_noun:
        before = ((verb.ko_noun, main), (josa(verb.ko_noun, "을/를"), frozenset()))
    stem, past_stem = verb.ko
    keys = main
    present = present_of(verb)
    if tense == "progressive":
        before = (*before, (stem + "고", main))
        stem, past_stem, keys, present = "있", "있었", be, "있다"
    past = tense != "present"
    root = past_stem if past else stem
    if form == "then" and verb.en[0] in ("go", "come", "meet", "visit"):
        ending = past_stem[:-1] + with_final(past_stem[-1], 0) + "서"
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


def state_words(clause: Clause) -> tuple[Word, ...]:
    """Return the predicate of a state, up to the past stem."""
    state = STATES[clause.name]
    other = state.personal and not clause.pronoun
    return marked((other and state.ko_other) or state.ko, clause.tag)


class Korean(VerbLast):
    """The language itself: its particles, its order and its predicates."""

    code = "ko"
    genitive = "의"
    this, that = "이", "그"
    order = (
        "frequency", "place", "companion", "instrument", "way", "recipient", "person", "goal",
        "object", "manner",
    )  # fmt: skip

    def subject_words(self, phrase: Phrase, topic: bool) -> tuple[Word, ...]:
        """Return a subject with 은/는 or 이/가; 나 is 내 before 가."""
        *words, (last, keys) = phrase.ko
        if last == "나" and not topic:
            return (*words, ("내", keys), ("가", frozenset()))
        particle = josa(last, "은/는" if topic else "이/가")
        return (*phrase.ko, (particle, frozenset()))

    def predicate(self, clause: Clause, form: str, link: str) -> tuple[Word, ...]:
        """Return the predicate of a clause, with the words of the link."""
        tag, joined = clause.tag, frozenset([link])
        be, main = frozenset([tag + "0"]), frozenset([tag + "1"])
        if clause.kind == "verb":
            assert clause.verb is not None
            return verb_words(clause.verb, clause.tense, form, tag, link)
        if clause.kind == "state":
            *words, (stem, keys) = state_words(clause)
            return (*words, (stem + "기", keys), ("때문", joined), ("에", joined))
        if clause.kind == "exist":
            return as_being(verb_words(THERE_IS, clause.tense, form, tag, link), tag, link)
        if clause.kind == "adjective":
            stem = ADJECTIVES[clause.name].ko_end.removesuffix("다")
            if form == "but":
                return ((stem + "지만", be | main | joined),)
            return ((stem + "다", be | main),)
        if clause.name == "cat" and clause.subject.person == 1:
            return (("이다", be),)
        ending = {"but": "이지만", "and": "이고"}.get(form)
        return ((ending, be | joined),) if ending else (("이다", be),)


KOREAN = Korean()

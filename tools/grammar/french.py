"""How French says a noun, a verb and a whole tree: agreement, elision, contraction."""

from collections.abc import Sequence

from tools.grammar.lexicon import STATES, Verb, adjective_of
from tools.grammar.trees import (
    SLOT_ROLES,
    Clause,
    Joined,
    NamedThing,
    Node,
    Phrase,
    RoleWord,
    Word,
    first_clause,
    roled,
    subject_words,
)

# je, il, nous, ils; présent, imparfait
ETRE = (("suis", "est", "sommes", "sont"), ("étais", "était", "étions", "étaient"))
AVOIR = (("ai", "a", "avons", "ont"), ("avais", "avait", "avions", "avaient"))
ORDER = (
    "frequency", "manner", "object", "person", "way", "goal", "recipient", "companion",
    "instrument", "place", "time",
)  # fmt: skip
LINKS = {"then": "et", "and": "et", "but": "mais", "because": "parce que", "when": "quand"}
# person, plural, feminine -> pronoun
PRONOUNS = {
    (1, False, False): "je", (1, True, False): "nous", (3, False, False): "il",
    (3, False, True): "elle", (3, True, False): "ils",
}  # fmt: skip
ELIDED = {"le": "l'", "la": "l'", "de": "d'", "je": "j'", "que": "qu'", "ce": "c'"}
CONTRACTED = {
    ("à", "le"): "au", ("à", "les"): "aux", ("de", "le"): "du", ("de", "les"): "des",
}  # fmt: skip


def starts_with_vowel(word: str) -> bool:
    """Whether French elides before this word; every h of this lexicon is silent."""
    return word[0].lower() in "aeiouhàâéèêîôû"


def noun_words(thing: NamedThing) -> tuple[Word, ...]:
    """Return determiner, adjective, noun and owner: une petite table, le livre de Jane."""
    noun = thing.noun.plurals[1] if thing.plural else thing.noun.fr
    feminine = thing.noun.gender == "f"
    words: tuple[Word, ...] = ((noun, thing.keys("n")),)
    if form := thing.adjective:
        agreed = form.fr[2 * thing.many + feminine]
        if form.before and not thing.many and not feminine and starts_with_vowel(noun):
            agreed = form.fr[4]
        adjective = (agreed, thing.keys("a"))
        words = (adjective, *words) if form.before else (*words, adjective)
    words = determiner(thing, words[0][0]) + words
    if thing.owner:
        words = (*words, ("de", thing.keys("s")), (thing.owner, thing.keys("o")))
    return words


def determiner(thing: NamedThing, following: str) -> tuple[Word, ...]:
    """Return the words before a noun phrase that starts with the word following.

    They have a key where English has a determiner, too.
    """
    none: frozenset[str] = frozenset()
    feminine = thing.noun.gender == "f"
    article = "les" if thing.many else ("la" if feminine else "le")
    in_english = thing.det in ("a", "the", "this", "that") and not thing.owner
    keys = thing.keys("d") if in_english else none
    if thing.owner or thing.det in ("the", "generic"):
        return ((article, keys),)
    if thing.det in ("this", "that"):
        vowel = not feminine and starts_with_vowel(following)
        return (("cette" if feminine else "cet" if vowel else "ce", keys),)
    if thing.many:
        first = thing.adjective is not None and thing.adjective.before
        return (("de" if first else "des", none),)
    if thing.noun.kind == "mass" or thing.noun.french_mass:
        return (("de", keys), (article, keys))
    if thing.det == "a":
        return (("une" if feminine else "un", keys),)
    return ()


def person_index(subject: Phrase) -> int:
    """Return the place of a subject in a row of forms: je, il, nous, ils."""
    return 2 * subject.plural + (subject.person == 3)


def verb_words(verb: Verb, subject: Phrase, tense: str, tag: str) -> tuple[Word, ...]:
    """Return the verb: présent, passé composé or imparfait."""
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


def state_words(clause: Clause) -> tuple[Word, ...]:
    """Return the predicate of a state, in the imparfait: était fatiguée, avait faim."""
    state, tag, subject = STATES[clause.name], clause.tag, clause.subject
    be, main = frozenset([tag + "0"]), frozenset([tag + "1"])
    if not state.fr:
        return ((state.fr_verb.split()[1], be | main),)
    rows = {"être": ETRE[1], "avoir": AVOIR[1], "faire": ("", "faisait", "", "")}
    form = state.fr[2 * subject.plural + subject.feminine]
    return ((rows[state.fr_verb][person_index(subject)], be), (form, main))


def predicate(clause: Clause) -> tuple[Word, ...]:
    """Return the verb of a clause, or être or avoir with what is said of the subject."""
    subject, tag = clause.subject, clause.tag
    if clause.kind == "verb":
        assert clause.verb is not None
        return verb_words(clause.verb, subject, clause.tense, tag)
    if clause.kind == "state":
        return state_words(clause)
    form = ETRE[clause.tense != "present"][person_index(subject)]
    be = (form, frozenset([tag + "0"]))
    if clause.kind != "adjective":
        return (be,)
    forms = adjective_of(clause.name, subject.head).fr
    return (be, (forms[2 * subject.plural + subject.feminine], frozenset([tag + "1"])))


def read_in_full(node: Node, subject: bool = True) -> list[RoleWord]:
    """Read a tree before elision and contraction; subject=False leaves the first subject out."""
    if isinstance(node, Joined):
        link = [(word, "link", frozenset([node.tag])) for word in LINKS[node.link].split()]
        words = read_in_full(node.first, subject) + link
        if node.link != "then":
            return words + read_in_full(node.second)
        again = first_clause(node.first).subject
        if again.person == 1:
            words += roled(again.fr, "who")
        return words + read_in_full(node.second, subject=False)
    words = subject_words(node, "fr", PRONOUNS) if subject else []
    words += roled(predicate(node), "verb")
    for slot in ORDER:
        if slot in node.slots:
            words += roled(node.slots[slot].fr, SLOT_ROLES[slot])
    return words


def elide(words: Sequence[RoleWord]) -> list[RoleWord]:
    """Apply elision (l' eau, qu' elle) and contraction (au, du, aux, des)."""
    result: list[RoleWord] = []
    for i, (word, role, keys) in enumerate(words):
        following = words[i + 1][0] if i + 1 < len(words) else ""
        if word in ELIDED and following and starts_with_vowel(following):
            word = ELIDED[word]
        if result and (result[-1][0], word) in CONTRACTED:
            last, _, last_keys = result.pop()
            result.append((CONTRACTED[last, word], role, last_keys | keys))
        else:
            result.append((word, role, keys))
    return result


def read(node: Node) -> list[RoleWord]:
    """Read a tree."""
    return elide(read_in_full(node))

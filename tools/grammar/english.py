"""How English says a noun, a verb and a whole tree."""

from tools.grammar.lexicon import STATES, Verb
from tools.grammar.trees import (
    SLOT_ROLES,
    Joined,
    NamedThing,
    Node,
    Phrase,
    RoleWord,
    Word,
    roled,
    subject_words,
)

ORDER = (
    "object", "person", "goal", "recipient", "manner", "way", "companion", "instrument", "place",
    "time",
)  # fmt: skip
# person, plural, feminine -> pronoun
PRONOUNS = {
    (1, False, False): "I", (1, True, False): "we", (3, False, False): "he",
    (3, False, True): "she", (3, True, False): "they",
}  # fmt: skip


def noun_words(thing: NamedThing) -> tuple[Word, ...]:
    """Return determiner or owner, adjective and noun: a red hat, Jane 's old book."""
    name = thing.noun.plurals[0] if thing.plural else thing.noun.en
    words = tuple((word, thing.keys("n")) for word in name.split())
    if thing.adjective:
        words = ((thing.adjective.en, thing.keys("a")), *words)
    if thing.owner:
        return ((thing.owner, thing.keys("o")), ("'s", thing.keys("s")), *words)
    if thing.det == "a":
        return (("an" if words[0][0][0] in "aeiou" else "a", thing.keys("d")), *words)
    if thing.det in ("the", "this", "that"):
        return ((thing.det, thing.keys("d")), *words)
    return words


def be(subject: Phrase, past: bool) -> str:
    """Return am, is, are, was or were."""
    if subject.plural:
        return "were" if past else "are"
    if past:
        return "was"
    return "am" if subject.person == 1 else "is"


def verb_words(verb: Verb, subject: Phrase, tense: str, tag: str) -> tuple[Word, ...]:
    """Return the verb; the progressive has two words with keys of their own."""
    main, aid = frozenset([tag + "v"]), frozenset([tag + "b"])
    particle = ((verb.particle, main),) if verb.particle else ()
    if tense == "progressive":
        return ((be(subject, True), aid), (verb.en[3], main), *particle)
    if tense == "past":
        return ((verb.en[2], main), *particle)
    third = subject.person == 3 and not subject.plural
    return ((verb.en[1 if third else 0], main), *particle)


def read(node: Node, subject: bool = True) -> list[RoleWord]:
    """Read a tree; subject=False leaves the subject of the first clause out."""
    if isinstance(node, Joined):
        link = (node.link if node.link != "then" else "and", "link", frozenset([node.tag]))
        return [*read(node.first, subject), link, *read(node.second, node.link != "then")]
    words = subject_words(node, "en", PRONOUNS) if subject else []
    tag, past = node.tag, node.tense != "present"
    if node.kind == "verb":
        assert node.verb is not None
        if frequency := node.slots.get("frequency"):
            words += roled(frequency.en, "when")
        words += roled(verb_words(node.verb, node.subject, node.tense, tag), "verb")
    else:
        words.append((be(node.subject, past), "verb", frozenset([tag + "0"])))
    if node.kind == "state":
        words.append((STATES[node.name].en, "verb", frozenset([tag + "1"])))
    if node.kind == "adjective":
        words.append((node.name, "verb", frozenset([tag + "1"])))
    for slot in ORDER:
        if slot in node.slots:
            words += roled(node.slots[slot].en, SLOT_ROLES[slot])
    return words

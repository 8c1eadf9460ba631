"""What a sentence is made of in every language: words with keys, phrases, clauses, trees.

Roles, one per token: who (subject), verb (predicate), what (object or complement), whom (the other
person: whom one meets, to whom one gives), where, when (time and frequency), how (companion,
instrument, manner), link (conjunction). A particle, article or preposition has the role of its
phrase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from tools.grammar.lexicon import Adjective, Noun, Verb

Word = tuple[str, frozenset[str]]  # a token and its keys
RoleWord = tuple[str, str, frozenset[str]]  # a token, its role and its keys

ROLES = ("who", "verb", "what", "whom", "where", "when", "how", "link")
SLOT_ROLES = {
    "object": "what", "person": "whom", "recipient": "whom", "goal": "where", "place": "where",
    "time": "when", "frequency": "when", "manner": "how", "way": "how", "companion": "how",
    "instrument": "how",
}  # fmt: skip


@dataclass(frozen=True)
class NamedThing:
    """A noun as it is said: with its determiner or owner, its adjective and its number.

    det: a, the, this, that, "" (English has none: plural or mass) or generic (as "" but with the
    French definite article: "aime le pain"). An owner is a name and takes the place of det.
    """

    tag: str
    noun: Noun
    det: str = "a"
    adjective: Adjective | None = None
    owner: str = ""
    plural: bool = False

    @property
    def many(self) -> bool:
        """Whether verbs and adjectives agree in the plural."""
        return self.plural or self.noun.kind == "plural"

    def keys(self, part: str) -> frozenset[str]:
        """Return the keys of a part: d(eterminer), a(djective), n(oun), o(wner), s (its 's)."""
        return frozenset([self.tag + part])


@dataclass(frozen=True)
class Phrase:
    """A phrase in four languages; person, plural and feminine matter for a subject."""

    en: tuple[Word, ...] = ()
    fr: tuple[Word, ...] = ()
    ja: tuple[Word, ...] = ()
    ko: tuple[Word, ...] = ()
    head: str = ""
    person: int = 3
    plural: bool = False
    feminine: bool = False

    def of(self, lang: str) -> tuple[Word, ...]:
        """Return the words of this phrase in one language."""
        return getattr(self, lang)


@dataclass(frozen=True)
class Clause:
    """One subject, one predicate and what goes with it.

    kind: verb; or "noun" (is a pen), "adjective" (is small), "exist" (is in the park), "state"
    subject: its phrase; who: its key; pronoun: English and French name it by he, elle, ...
    slots: "object", "place" and so on (SLOT_ROLES) -> phrase
    """

    tag: str
    kind: str
    subject: Phrase
    tense: str = "past"
    verb: Verb | None = None
    name: str = ""  # of the verb or state
    slots: dict[str, Phrase] = field(default_factory=dict)
    pronoun: bool = False
    who: str = ""
    animate: bool = True
    hither: bool = False  # towards those who are spoken of: 帰って きた, not 帰った


@dataclass(frozen=True)
class Joined:
    """Two clauses under one link.

    link: then (same subject), and, but, because, when. For because and when, first is the main
    clause and second the reason or the event; same says that they have the same subject.
    """

    tag: str
    link: str
    first: Node
    second: Node
    same: bool = False


Node = Clause | Joined


def first_clause(node: Node) -> Clause:
    """Return the first clause of a tree."""
    return first_clause(node.first) if isinstance(node, Joined) else node


def clauses_of(node: Node) -> list[Clause]:
    """Return the clauses of a tree in English order."""
    if isinstance(node, Clause):
        return [node]
    return clauses_of(node.first) + clauses_of(node.second)


@cache
def split_marks(text: str) -> tuple[tuple[str, str], ...]:
    """Read "昨日/0 の 朝/1": the words, each with the digits after its slash."""
    return tuple((word, digits) for word, _, digits in (w.partition("/") for w in text.split()))


def marked(text: str, tag: str) -> tuple[Word, ...]:
    """Give each word of a marked text its keys: the tag with each of its digits."""
    return tuple(
        (word, frozenset([tag + digit for digit in digits])) for word, digits in split_marks(text)
    )


def roled(words: Sequence[Word], role: str) -> list[RoleWord]:
    """Give every word of a phrase the same role."""
    return [(word, role, keys) for word, keys in words]


def subject_words(
    clause: Clause, lang: str, pronouns: dict[tuple[int, bool, bool], str]
) -> list[RoleWord]:
    """Return the subject in English or French, as a pronoun where the clause says so.

    pronouns: (person, plural, feminine) -> the pronoun
    """
    subject = clause.subject
    if not clause.pronoun:
        return roled(subject.of(lang), "who")
    feminine = subject.feminine and not subject.plural
    word = pronouns[subject.person, subject.plural, feminine]
    return [(word, "who", frozenset([clause.tag + "pro"]))]

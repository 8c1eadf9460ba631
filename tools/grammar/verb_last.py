"""What Japanese and Korean share: particles after the phrase, and the verb at the end."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tools.grammar.lexicon import NAMES
from tools.grammar.trees import (
    SLOT_ROLES,
    Clause,
    Joined,
    NamedThing,
    Node,
    Phrase,
    RoleWord,
    Word,
    roled,
)


def as_being(words: Sequence[Word], tag: str, link: str) -> tuple[Word, ...]:
    """Give the words of "exist" the keys of an English "is", and of the link where they say it."""
    be, joined = frozenset([tag + "0"]), frozenset([link])
    return tuple((w, be | (keys & joined) if tag + "v" in keys else keys) for w, keys in words)


class VerbLast(ABC):
    """A language that reads a tree with the verb last, reasons and events before the main clause.

    Where a method has a form and a link: form says what follows (final; then: same subject, て;
    and: other subject; but, because, when), link is the key of the English word that says it.
    """

    code: str  # ja or ko
    genitive: str
    this: str
    that: str
    order: tuple[str, ...]  # of the slots, without the time

    @abstractmethod
    def predicate(self, clause: Clause, form: str, link: str) -> tuple[Word, ...]:
        """Return the predicate of a clause, with the words of the link."""

    @abstractmethod
    def subject_words(self, phrase: Phrase, topic: bool) -> tuple[Word, ...]:
        """Return a subject with its particle; topic: it is what the sentence is about."""

    def time_words(self, clause: Clause) -> list[RoleWord]:
        """Return when a clause takes place, if it says so."""
        when = clause.slots.get("time")
        return roled(when.of(self.code), "when") if when else []

    def slots(self, clause: Clause) -> list[str]:
        """Return the slots that stand between the time and the predicate, in order."""
        return [slot for slot in self.order if slot in clause.slots]

    def put_together(
        self, node: Joined, before: list[RoleWord], main: list[RoleWord]
    ) -> list[RoleWord]:
        """Put a reason or an event before the main clause; the subjects differ."""
        return before + main

    def noun_words(self, thing: NamedThing) -> tuple[Word, ...]:
        """Return owner or determiner, adjective and noun; there are no articles."""
        words: tuple[Word, ...] = ((getattr(thing.noun, self.code), thing.keys("n")),)
        if thing.adjective:
            words = ((getattr(thing.adjective, self.code), thing.keys("a")), *words)
        if thing.owner:
            owner = getattr(NAMES[thing.owner], self.code)
            return ((owner, thing.keys("o")), (self.genitive, thing.keys("s")), *words)
        if thing.det in ("this", "that"):
            return ((self.this if thing.det == "this" else self.that, thing.keys("d")), *words)
        return words

    def read(
        self,
        node: Node,
        form: str = "final",
        link: str = "",
        subject: str = "topic",
        insert: Sequence[RoleWord] = (),
    ) -> list[RoleWord]:
        """Read a tree.

        subject: topic (は, 은), subject (が, 이) or none
        insert: words that stand after the subject (the reason, where it has the same subject)
        """
        if isinstance(node, Clause):
            return self.read_clause(node, form, link, subject, insert)
        key = node.tag
        if node.link in ("then", "and", "but"):
            first = self.read(node.first, node.link, key, subject, insert)
            again = "none" if node.link == "then" else subject
            return first + self.read(node.second, form, link, again)
        if node.link == "because" and node.same:
            reason = self.read(node.second, "because", key, "none")
            return self.read(node.first, form, link, subject, [*insert, *reason])
        before = self.read(node.second, node.link, key, "subject")
        return self.put_together(node, before, self.read(node.first, form, link, subject, insert))

    def read_clause(
        self, clause: Clause, form: str, link: str, subject: str, insert: Sequence[RoleWord]
    ) -> list[RoleWord]:
        """Read one clause; subject and insert are those of read."""
        words: list[RoleWord] = []
        if subject != "none" and clause.subject.of(self.code):
            words = roled(self.subject_words(clause.subject, subject == "topic"), "who")
        words += insert
        time = self.time_words(clause)
        words = time + words if subject == "subject" else words + time
        for slot in self.slots(clause):
            words += roled(clause.slots[slot].of(self.code), SLOT_ROLES[slot])
        joined = frozenset([link])
        for word, keys in self.predicate(clause, form, link):
            words.append((word, "link" if keys == joined else "verb", keys))
        return words

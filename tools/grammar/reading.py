"""A tree becomes one sentence in four languages, with roles and gold alignments."""

from dataclasses import dataclass

from tools.grammar import english, french
from tools.grammar.japanese import JAPANESE
from tools.grammar.korean import KOREAN
from tools.grammar.trees import Node
from utils.corpora import GRAMMAR_LANGUAGES


@dataclass(frozen=True)
class Sentence:
    """One sentence in four languages, with roles and gold alignments.

    words and roles: language code -> one entry per token
    alignments: "fr", "ja", "ko" -> pairs (English index, target index)
    """

    words: dict[str, tuple[str, ...]]
    roles: dict[str, tuple[str, ...]]
    alignments: dict[str, frozenset[tuple[int, int]]]

    def row(self) -> list[str]:
        """Return the cells of this sentence in a .tsv file, in the order of GRAMMAR_COLUMNS."""
        return [
            *(" ".join(self.words[lang]) for lang in GRAMMAR_LANGUAGES),
            *(" ".join(self.roles[lang]) for lang in GRAMMAR_LANGUAGES),
            *(
                " ".join(f"{i}-{j}" for i, j in sorted(self.alignments[lang]))
                for lang in GRAMMAR_LANGUAGES[1:]
            ),
        ]


def read_out(node: Node) -> Sentence:
    """Read a tree in four languages and align the words that share a key."""
    spoken = {
        "en": english.read(node),
        "fr": french.read(node),
        "ja": JAPANESE.read(node),
        "ko": KOREAN.read(node),
    }
    owners: dict[str, list[int]] = {}  # key -> the English words that carry it
    for i, (_, _, keys) in enumerate(spoken["en"]):
        for key in keys:
            owners.setdefault(key, []).append(i)
    alignments = {
        lang: frozenset(
            (i, j)
            for j, (_, _, keys) in enumerate(spoken[lang])
            for key in keys
            for i in owners.get(key, ())
        )
        for lang in GRAMMAR_LANGUAGES[1:]
    }
    words = {lang: tuple(word for word, _, _ in spoken[lang]) for lang in spoken}
    roles = {lang: tuple(role for _, role, _ in spoken[lang]) for lang in spoken}
    return Sentence(words, roles, alignments)

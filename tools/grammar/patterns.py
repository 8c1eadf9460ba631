"""Which sentence is tried for which length."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tools.grammar import english
from tools.grammar.draft import Draft, Unsayable
from tools.grammar.reasons import for_another, habit, reasoned, shared_reason, stays_behind
from tools.grammar.sentences import (
    contrast,
    meanwhile,
    sequence,
    short,
    simple,
    together,
    two_sequences,
)
from tools.grammar.trees import Node

BUCKETS = ((3, 8), (9, 16), (17, 24), (25, 30))  # English tokens; a quarter of a split each
NOVEL_LENGTHS = (31, 40)  # of the second half of the split "novel"


@dataclass(frozen=True)
class Pattern:
    """One kind of sentence: how often it is tried, and how much is said in it.

    make: draft, richness, options -> tree; the richness lies between least and least + more
    """

    weight: float
    make: Callable[..., Node]
    least: float
    more: float
    options: dict[str, bool] = field(default_factory=dict)


# English words of a sentence -> what is tried
PATTERNS = {
    BUCKETS[0]: (Pattern(1.0, short, 0.0, 0.5),),
    BUCKETS[1]: (
        Pattern(5.0, simple, 0.9, 0.4),
        Pattern(4.0, sequence, 0.0, 0.5),
        Pattern(3.0, together, 0.0, 0.5),
        Pattern(3.0, contrast, 0.0, 0.5),
        Pattern(4.0, reasoned, 0.0, 0.6),
        Pattern(1.5, for_another, 0.0, 0.5),
        Pattern(2.0, habit, 0.0, 0.6),
        Pattern(3.0, meanwhile, 0.0, 0.5),
    ),
    BUCKETS[2]: (
        Pattern(2.0, sequence, 1.0, 0.4),
        Pattern(2.0, together, 0.6, 0.4),
        Pattern(2.0, contrast, 0.6, 0.4),
        Pattern(4.0, reasoned, 0.7, 0.5, {"steps": True}),
        Pattern(0.7, habit, 1.1, 0.4),
        Pattern(2.0, meanwhile, 0.6, 0.4),
        Pattern(1.5, meanwhile, 0.2, 0.5, {"two": True}),
        Pattern(1.5, meanwhile, 0.3, 0.5, {"steps": True}),
        Pattern(2.0, shared_reason, 0.2, 0.5),
        Pattern(3.0, stays_behind, 0.2, 0.5),
    ),
    BUCKETS[3]: (
        Pattern(2.5, meanwhile, 0.6, 0.4, {"two": True}),
        Pattern(1.5, meanwhile, 0.9, 0.4, {"steps": True}),
        Pattern(1.5, meanwhile, 0.4, 0.3, {"two": True, "steps": True}),
        Pattern(1.5, shared_reason, 1.1, 0.4),
        Pattern(3.0, stays_behind, 0.8, 0.4, {"steps": True}),
        Pattern(3.0, two_sequences, 0.7, 0.5),
        Pattern(4.0, stays_behind, 0.2, 0.5, {"steps": True, "long": True}),
    ),
    NOVEL_LENGTHS: (
        Pattern(2.0, meanwhile, 1.0, 0.4, {"two": True}),
        Pattern(2.0, meanwhile, 0.8, 0.3, {"two": True, "steps": True}),
        Pattern(3.0, two_sequences, 1.0, 0.4),
        Pattern(3.0, stays_behind, 0.8, 0.5, {"steps": True, "long": True}),
    ),
}


def draw(draft: Draft, lengths: tuple[int, int]) -> Node:
    """Draw one tree with as many English words as a key of PATTERNS says.

    The pattern is chosen first and tried until it fits, so that short patterns do not crowd out
    long ones.
    """
    low, high = lengths
    patterns = [(pattern, pattern.weight) for pattern in PATTERNS[lengths]]
    for _ in range(1000):
        pattern = draft.weighted(patterns)
        for _ in range(30):
            draft.begin()
            rich = pattern.least + pattern.more * draft.random()
            try:
                node = pattern.make(draft, rich, **pattern.options)
            except Unsayable:
                continue
            if low <= len(english.read(node)) <= high:
                return node
    raise RuntimeError(f"no pattern gives {low} to {high} words: see PATTERNS")

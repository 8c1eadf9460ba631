"""utils/metrics.py, the part that notebook 06 builds: BLEU by hand and the bootstrap."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.metrics import (
    bleu,
    bleu_counts,
    bleu_from_counts,
    clipped_matches,
    corpus_bleu,
    ngram_counts,
    paired_bootstrap,
)

SENTENCES = st.lists(st.sampled_from("abc"), max_size=8)
CORPORA = st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=5)


def words(*texts: str) -> list[list[str]]:
    """Sentences as lists of tokens."""
    return [text.split() for text in texts]


def test_ngrams_by_hand() -> None:
    assert ngram_counts("a b a b".split(), 2) == {("a", "b"): 2, ("b", "a"): 1}
    assert ngram_counts(["a"], 2) == {} and ngram_counts([], 1) == {}
    assert ngram_counts(("a", "b"), 2) == ngram_counts(["a", "b"], 2)


@pytest.mark.parametrize("hypothesis, reference, n, pair", [
    ("the the the the the the the", "the cat is on the mat", 1, (2, 7)),
    ("the cat", "the cat sat", 1, (2, 2)),
    ("the cat", "cat the", 2, (0, 1)),
    ("a b a b", "a b c a b", 2, (2, 3)),
    ("a", "a b", 2, (0, 0)),
    ("", "a", 1, (0, 0)),
    ("a", "", 1, (0, 1)),
])
def test_clipped_matches_by_hand(hypothesis: str, reference: str, n: int, pair: tuple) -> None:
    assert clipped_matches(hypothesis.split(), reference.split(), n) == pair


def test_bleu_by_hand() -> None:
    """Precisions 5/5, 3/4, 1/3, 1/2 (smoothed) and 5 words for 6."""
    h, r = words("a b c e f"), words("a b c d e f")
    wanted = 100 * math.exp(1 - 6 / 5) * (1 * 3 / 4 * 1 / 3 * 0.5 / 2) ** 0.25
    assert corpus_bleu(h, r) == pytest.approx(wanted)
    assert corpus_bleu(h, r, smooth=False) == 0
    assert corpus_bleu(r, r) == corpus_bleu(r, r, smooth=False) == pytest.approx(100)


def test_two_orders_without_a_match_are_smoothed_by_halves_and_quarters() -> None:
    h, r = words("a b x c d"), words("a b c d e")
    wanted = 100 * (4 / 5 * 2 / 4 * 0.5 / 3 * 0.25 / 2) ** 0.25
    assert corpus_bleu(h, r) == pytest.approx(wanted) == pytest.approx(bleu(h, r))


def test_bleu_equals_sacrebleu_on_a_thousand_random_corpora() -> None:
    rng, seen = random.Random(0), set()
    for _ in range(1000):
        vocabulary, size = "abcde"[: rng.randint(1, 5)], rng.randint(1, 6)
        h, r = ([rng.choices(vocabulary, k=rng.choice([0, 1, 1, 2, 4, 7, 12]))
                 for _ in range(size)] for _ in range(2))
        ours, theirs = corpus_bleu(h, r), bleu(h, r)
        assert ours == pytest.approx(theirs, abs=1e-6)
        seen.add("zero" if theirs == 0 else "smoothed" if corpus_bleu(h, r, False) == 0 else "full")
    assert seen == {"zero", "smoothed", "full"}


@given(CORPORA)
@settings(max_examples=200)
def test_bleu_equals_sacrebleu_on_drawn_corpora(pairs) -> None:
    h, r = zip(*pairs)
    assert corpus_bleu(h, r) == pytest.approx(bleu(h, r), abs=1e-6)


@pytest.mark.parametrize("h, r", [
    (words("", ""), words("a b", "c")), (words("a", "b"), words("a", "b")),
    (words("a b c d"), words("")), (words(""), words("")),
])
def test_a_corpus_without_any_run_of_four_matching_scores_zero(h: list, r: list) -> None:
    assert corpus_bleu(h, r) == bleu(h, r) == 0


def test_what_is_longer_is_not_rewarded() -> None:
    h, r = words("a b c d e f g h"), words("a b c d e f g")
    assert corpus_bleu(h, r) == pytest.approx(100 * (7 / 8 * 6 / 7 * 5 / 6 * 4 / 5) ** 0.25)


@pytest.mark.parametrize("h, r", [([], []), (words("a"), []), ([], words("a")),
                                  (words("a", "b"), words("a"))])
def test_other_counts_are_refused(h: list, r: list) -> None:
    for score in (corpus_bleu, bleu_counts):
        with pytest.raises(ValueError, match="one reference for each hypothesis"):
            score(h, r)
    with pytest.raises(ValueError, match="one reference for each hypothesis"):
        paired_bootstrap(h, h, r)


def test_counts_of_sentences_add_up_to_those_of_the_corpus() -> None:
    h, r = words("a b c d e", "a x c", ""), words("a b c d e", "a b c", "a")
    counts = bleu_counts(h, r)
    assert tuple(counts.shape) == (3, 10)
    assert counts[1].tolist() == [2, 0, 0, 0, 3, 2, 1, 0, 3, 3]
    assert bleu_from_counts(counts.sum(0)) == corpus_bleu(h, r)


def spoiled(references: list, share: float, seed: int) -> list:
    """The references with a share of their words replaced."""
    rng = random.Random(seed)
    return [["x" if rng.random() < share else w for w in r] for r in references]


def test_the_bootstrap_tells_a_real_difference_from_none() -> None:
    rng = random.Random(0)
    references = [rng.choices("abcdefgh", k=12) for _ in range(100)]
    good, bad, also = (spoiled(references, *how) for how in [(0.1, 1), (0.3, 2), (0.1, 3)])
    middle, low, high = paired_bootstrap(bad, good, references)
    assert middle == pytest.approx(corpus_bleu(good, references) - corpus_bleu(bad, references))
    assert 0 < low < middle < high
    middle, low, high = paired_bootstrap(good, also, references)
    assert low < 0 < high
    assert paired_bootstrap(good, good, references) == (0, 0, 0)
    turned = paired_bootstrap(also, good, references)
    assert turned == pytest.approx((-middle, -high, -low))


def test_the_interval_is_repeatable_and_narrows_with_more_sentences() -> None:
    rng = random.Random(0)
    references = [rng.choices("abcdefgh", k=12) for _ in range(400)]
    first, second = spoiled(references, 0.3, 1), spoiled(references, 0.2, 2)
    state = torch.random.get_rng_state()
    wide = paired_bootstrap(first[:50], second[:50], references[:50])
    assert wide == paired_bootstrap(first[:50], second[:50], references[:50])
    assert torch.equal(state, torch.random.get_rng_state())
    narrow = paired_bootstrap(first, second, references)
    assert narrow[2] - narrow[1] < 0.6 * (wide[2] - wide[1])

"""The pictures of lesson 06: a beam as a tree, the n-grams that BLEU counts."""

from __future__ import annotations

import warnings

import pytest
import torch
from drawing import faults, words_on
from matplotlib.patches import Rectangle
from torch import Tensor

from utils.decoding import beam_search
from utils.diagrams.beam import beam_tree, fates, ngram_matches
from utils.metrics import clipped_matches
from utils.recurrent import AttentionDecoder, RNNEncoder, Seq2Seq

MINUS = "\N{MINUS SIGN}"


pytestmark = pytest.mark.usefixtures("course_page")


class NextWords:
    """A model whose next word depends on the last one only, by a table of log-probabilities."""

    def __init__(self, table: dict[str, dict[str, float]]):
        self.words = list(dict.fromkeys([*table, *(w for row in table.values() for w in row)]))
        self.log_p = torch.full((len(self.words), len(self.words)), -30.0)
        for old, row in table.items():
            for new, p in row.items():
                self.log_p[self.words.index(old), self.words.index(new)] = p

    def encode(self, src: Tensor, src_mask: Tensor) -> Tensor:
        return src[:, :, None].double()

    def decode(self, tgt: Tensor, memory: Tensor, src_mask: Tensor, state=None):
        return self.log_p[tgt], tgt


ENGLISH = {
    "<bos>": {"I": -0.1, "we": -2.6, "she": -4.0},
    "I": {"returned": -0.8, "came": -0.9, "went": -2.3},
    "returned": {"<eos>": -0.7, "home": -1.2, "late": -1.9},
    "came": {"home": -0.1, "back": -2.7, "late": -4.0},
    "home": {"<eos>": -0.1, "late": -2.6, "again": -4.0},
}
SOURCE = torch.zeros(1, 5, dtype=torch.long), torch.ones(1, 1, 5, dtype=torch.bool)


def other_letters(letters: list[str]) -> NextWords:
    """The same model with other words."""
    names = dict(zip(["I", "we", "she", "returned", "came", "home"], letters))
    return NextWords({names.get(old, old): {names.get(w, w): p for w, p in row.items()}
                      for old, row in ENGLISH.items()})


def test_the_tree_shows_the_numbers_of_the_model() -> None:
    model = NextWords(ENGLISH)
    fig = beam_tree(model, *SOURCE, model.words, 4)
    assert faults(fig) == []
    log_p = model.log_p.log_softmax(-1)
    i = model.words.index
    first, second = log_p[i("<bos>"), i("I")], log_p[i("I"), i("came")]
    written = words_on(fig)
    for value in (first, second, first + second):
        assert f"{value:.2f}".replace("-", MINUS) in written
    assert sum("✓" in text for text in written) == 1
    found = beam_search(model, *SOURCE, i("<bos>"), i("<eos>"), beam_size=2)[0].tolist()
    assert [model.words[n] for n in found[:4]] == ["I", "came", "home", "<eos>"]
    assert "The winner was only second after step 2: a beam of 2 kept it" in written


def test_a_winner_that_was_always_first_is_not_said_to_be_second() -> None:
    model = NextWords(ENGLISH | {"I": {"came": -0.1, "returned": -4.0, "went": -5.0}})
    fig = beam_tree(model, *SOURCE, model.words, 4)
    assert "At each step a beam of 2 keeps the 2 likeliest beginnings" in words_on(fig)


@pytest.mark.parametrize("first, n_steps", [(1, 1), (1, 3), (2, 4), (3, 4), (4, 4)])
@pytest.mark.parametrize("beam_size, shown", [(1, 1), (1, 4), (2, 3), (3, 3), (2, 1)])
def test_any_part_of_the_tree_is_without_faults(
    first: int, n_steps: int, beam_size: int, shown: int
) -> None:
    model = NextWords(ENGLISH)
    try:
        fig = beam_tree(model, *SOURCE, model.words, n_steps, beam_size, shown, first)
    except ValueError as reason:
        assert beam_size == 1 and "all beginnings have ended" in str(reason)
    else:
        assert faults(fig) == []


def test_a_random_model_is_drawn() -> None:
    words = ["<bos>", "<eos>", *"abcdefg"]
    for seed in range(5):
        torch.manual_seed(seed)
        model = Seq2Seq(RNNEncoder(6, 4), AttentionDecoder(len(words), 4))
        src = torch.randint(6, (1, 4))
        assert faults(beam_tree(model, src, torch.ones(1, 1, 4).bool(), words, 4)) == []


@pytest.mark.parametrize("letters", [
    ["私", "私たち", "彼女", "帰りました", "来ました", "家"],
    ["나는", "우리는", "그녀는", "돌아왔다", "왔다", "집에"],
    ["أنا", "نحن", "هي", "عاد", "جاء", "البيت"],
    ["$x$", "a_b", "", "incomprehensibilities", "w" * 40, "%"],
])
def test_words_of_any_script_and_length(letters: list[str]) -> None:
    model = other_letters(letters)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        fig = beam_tree(model, *SOURCE, model.words, 4, first=2)
        assert faults(fig) == []
        sentence = [*letters, *letters]
        assert faults(ngram_matches(sentence, letters)) == []


@pytest.mark.parametrize("change, words", [
    (lambda m: (torch.zeros(2, 5).long(), SOURCE[1], m.words, 4), "src has shape"),
    (lambda m: (SOURCE[0], torch.ones(1, 1, 4).bool(), m.words, 4), "src_mask has shape"),
    (lambda m: (SOURCE[0], SOURCE[1], "a text", 4), "give a list of words"),
    (lambda m: (*SOURCE, m.words, 40), "room for 1 to 4 steps"),
    (lambda m: (*SOURCE, m.words, 4, 5, 3), "beam_size \\* shown up to 9"),
    (lambda m: (*SOURCE, m.words, 4, 2, 3, 0), "room for 1 to 4 steps"),
])
def test_what_cannot_be_drawn_is_refused(change, words: str) -> None:
    model = NextWords(ENGLISH)
    with pytest.raises(ValueError, match=words):
        beam_tree(model, *change(model))


def test_a_model_that_says_nan_is_refused() -> None:
    model = NextWords(ENGLISH)
    model.log_p[:] = float("nan")
    with pytest.raises(ValueError, match="nan"):
        beam_tree(model, *SOURCE, model.words, 4)


# ---- n-grams ----


@pytest.mark.parametrize("hypothesis, reference, n, wanted", [
    ("the the the cat", "the cat sat on the mat", 1, ["found", "found", "clipped", "found"]),
    ("a b a b", "a b c", 2, ["found", "absent", "clipped"]),
    ("a", "a b", 2, []),
])
def test_what_becomes_of_each_ngram(
    hypothesis: str, reference: str, n: int, wanted: list[str]
) -> None:
    assert fates(hypothesis.split(), reference.split(), n) == wanted


@pytest.mark.parametrize("hypothesis, reference", [
    ("the the the cat", "the cat sat on the mat"), ("a", "b"), ("a b c d e", "a b c d e"),
    (" ".join("abcdefghijklmnopqrstuv"), "a a a"), ("long" * 30 + " " + "word" * 30, "a b"),
])
def test_the_bars_are_the_counts(hypothesis: str, reference: str) -> None:
    h, r = hypothesis.split(), reference.split()
    fig = ngram_matches(h, r)
    assert faults(fig) == []
    bars = [p for p in fig.axes[0].patches
            if type(p) is Rectangle and p.get_height() == pytest.approx(0.12)]
    assert len(bars) == sum(clipped_matches(h, r, n)[1] for n in (1, 2, 3, 4)) + 3    # the key
    for n in (1, 2, 3, 4):
        found, total = clipped_matches(h, r, n)
        assert any(text.startswith(f"{found} of {total} found") for text in words_on(fig))


@pytest.mark.parametrize("given, words", [
    ((["a"] * 40, ["a"]), "hypothesis has 40 words"), ((["a"], ["a"] * 40), "reference has 40"),
    (([], ["a"]), "hypothesis has 0 words"), (("a b", ["a"]), "give a list of words"),
    ((["a"], ["a"], (5,)), "orders are numbers from 1 to 4"),
    ((["a"], ["a"], ()), "orders are numbers from 1 to 4"),
])
def test_sentences_that_do_not_fit_are_refused(given: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ngram_matches(*given)

"""The pictures of lesson 13: without faults, true to the tensors, refusing what does not fit."""

from __future__ import annotations

import warnings

import pytest
import torch
from drawing import faults
from matplotlib.colors import to_hex

from utils.attention import scaled_dot_product_attention
from utils.diagrams import inference as d
from utils.diagrams.primitives import STATE, number
from utils.inference import count_numbers

WORDS = "<bos> leute reparieren das dach eines hauses".split()
CJK = "<bos> 사람 들 이 지붕 を 直す".split()
RTL = ["يوم"] * 7
LONG = ["a very long word indeed"] * 7
NAN = float("nan")


pytestmark = pytest.mark.usefixtures("course_page")


def drawn(fig):
    """Hold that a figure has no fault and draws without a warning; returns its texts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        warnings.filterwarnings("ignore", message="There are no gridspecs")
        assert faults(fig) == []
    return [text.get_text() for text in fig.axes[0].texts]


def head(n=7, d_k=8):
    """The query of the last word, and keys and values of all."""
    torch.manual_seed(0)
    return torch.randn(1, d_k), torch.randn(n, d_k), torch.randn(n, d_k)


def test_kept_and_new_writes_the_weights_of_attention():
    q, k, v = head()
    found = drawn(d.kept_and_new(q, k, v, WORDS))
    _, weights = scaled_dot_product_attention(q, k, v)
    for share in weights[0]:
        assert number(share, 2) in found
    assert found[0] == "Word 7 comes: one key and one value are made, 6 are kept"
    assert found.count("(seq_len, d_k) = (7, 8)") == 2 and "(1, d_k) = (1, 8)" in found


@pytest.mark.parametrize("words", [CJK, RTL, LONG, ["$x$"] * 7])
def test_kept_and_new_draws_any_words(words):
    drawn(d.kept_and_new(*head(), words))


@pytest.mark.parametrize("n, d_k", [(1, 4), (2, 32), (9, 16)])
def test_kept_and_new_draws_other_sizes(n, d_k):
    drawn(d.kept_and_new(*head(n, d_k), ["a"] * n))


@pytest.mark.parametrize("change, words", [
    (lambda q, k, v: (k, k, v), "q has shape"),
    (lambda q, k, v: (q, k[:, :3], v), "k has shape"),
    (lambda q, k, v: (q, k, v[:3]), "v has shape"),
    (lambda q, k, v: (q, k * NAN, v), "nan"),
])
def test_kept_and_new_refuses(change, words):
    with pytest.raises(ValueError, match=words):
        d.kept_and_new(*change(*head()), WORDS)


@pytest.mark.parametrize("n, words", [(7, ["a"] * 6), (40, ["a"] * 40)])
def test_kept_and_new_wants_words_that_fit(n, words):
    with pytest.raises(ValueError, match="words"):
        d.kept_and_new(*head(n), words)


@pytest.mark.parametrize("seq_len, new_len", [(7, 2), (2, 1), (12, 1), (12, 11), (5, 3)])
def test_rows_of_mask_counts_what_is_seen(seq_len, new_len):
    found = drawn(d.rows_of_mask(seq_len, new_len))
    rows = f"last {new_len} rows" if new_len > 1 else "last row"
    assert found[0].startswith(f"{new_len} new word") and f"the {rows} of the mask" in found[0]
    assert f"({new_len}, {seq_len}): word {seq_len} sees {seq_len} of {seq_len}" in found
    assert f"({new_len}, {seq_len}): word {seq_len} sees {new_len} of {seq_len}" in found


@pytest.mark.parametrize("sizes", [(7, 0), (7, 7), (40, 1)])
def test_rows_of_mask_refuses(sizes):
    with pytest.raises(ValueError, match="want 1 <= new_len"):
        d.rows_of_mask(*sizes)


def states(n=7):
    return {"RNN": [torch.zeros(1, 128)] * n,
            "Transformer": [((torch.zeros(1, 4, i + 1, 32),) * 2, None) for i in range(n)]}


def cells(fig):
    """The x positions, lengths and fills of the cells in each row of a figure, from the top."""
    rows = {}
    for patch in fig.axes[0].patches:
        if patch.get_zorder() > 0:
            found = patch.get_x(), patch.get_width(), to_hex(patch.get_facecolor())
            rows.setdefault(-round(patch.get_y(), 3), []).append(found)
    return [sorted(rows[y]) for y in sorted(rows)]


@pytest.mark.parametrize("words", [WORDS, CJK, RTL, LONG])
def test_growing_states_writes_the_counts(words):
    found = drawn(d.growing_states(states(), words))
    assert found.count("128") == 7
    for state in states()["Transformer"]:
        assert f"{count_numbers(state):,}" in found
    assert found[0] == "After 7 words the Transformer keeps 1,792 numbers, the RNN still 128"


def test_growing_states_writes_the_words_whole():
    words = ["<bos>", "schwarzen", "gitarrenspieler", "menschenmenge", "a", "b", "c"]
    found = drawn(d.growing_states(states(), words))
    assert [f"{i}  {word}" for i, word in enumerate(words, start=1)] == found[1:8]


def test_growing_states_shows_a_new_cell_for_each_word():
    rows = cells(d.growing_states(states(), WORDS[:1] * 7))
    assert len(rows) == 7
    for i, (rnn, *own) in enumerate(rows):
        assert rnn == rows[0][0] and rnn[2] == STATE.fill    # it neither grows nor moves
        assert [fill for *_, fill in own] == [STATE.faint.fill] * i + [STATE.fill]
        assert all(length == pytest.approx(2 * rnn[1]) for _, length, _ in own)
    assert 2 * rnn[1] > 0.4, "what a word adds is too short to be seen"


def test_growing_states_shows_a_state_that_shrinks():
    rows = cells(d.growing_states({"one": [torch.zeros(n) for n in (4, 8, 4)]}, ["a"] * 3))
    assert [len(row) for row in rows] == [1, 2, 1] and rows[0] == rows[2]


@pytest.mark.parametrize("given, n", [
    ({"one": [torch.zeros(3)]}, 1), ({"one": [torch.zeros(3)] * 9}, 9),
    ({name: [torch.zeros(3)] * 4 for name in "abc"}, 4),
])
def test_growing_states_draws_other_sizes(given, n):
    drawn(d.growing_states(given, ["a"] * n))


@pytest.mark.parametrize("given, n, words", [
    (states(), 6, "7 states for 6 words"),
    ({"one": [None]}, 1, "without numbers"),
    ({"one": [torch.zeros(3)] * 40}, 40, "room"),
    ({}, 1, "room"),
])
def test_growing_states_refuses(given, n, words):
    with pytest.raises(ValueError, match=words):
        d.growing_states(given, ["a"] * n)

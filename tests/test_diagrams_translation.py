"""The pictures of lesson 12 show what they were given, and refuse what they cannot draw."""

from __future__ import annotations

import random

import matplotlib
import pytest
import torch
from drawing import faults, words_on

from utils.diagrams.translation import (
    batch_shapes,
    merged,
    padding_share,
    soft_truth,
    subword_tree,
    wanted_shares,
)
from utils.translation import token_batches
from utils.translator.data import Subwords

TOKENS = ["<pad>", "<unk>", "<bos>", "<eos>", "ein", "hund", "läuft"]


pytestmark = pytest.mark.usefixtures("course_page")


# ---- subwords ----


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    """Return subwords of a few words in three scripts."""
    lines = ["hund hunde hundert hand", "der hund und die hand", "고양이 고양이는", "猫 は 猫"] * 3
    return Subwords.learn(lines, 60)


@pytest.mark.parametrize("word", ["hund", "hundhand", "고양이", "猫", "hd"])
def test_a_tree_ends_in_the_tokens_of_the_tokenizer(subwords: Subwords, word: str) -> None:
    fig = subword_tree(subwords, word)
    assert faults(fig) == []
    tokens = [subwords.tokenizer.id_to_token(n) for n in subwords.encode(word)]
    green = [p for p in fig.axes[0].patches if isinstance(p, matplotlib.patches.FancyBboxPatch)
             and matplotlib.colors.to_hex(p.get_facecolor()) == "#c0f0c8"]
    assert len(green) == len(tokens)
    assert set(tokens) <= set(words_on(fig))
    assert f"{len(word)} letters" in words_on(fig)[0]


def test_the_first_merge_learned_comes_first() -> None:
    pieces = merged("abc", [("b", "c"), ("a", "b")])
    assert [piece.text for piece in pieces] == ["a", "bc"] and pieces[1].merge == 1
    pieces = merged("aab", [("a", "b"), ("a", "ab")])
    assert [(p.text, p.merge, p.height) for p in pieces] == [("aab", 2, 2)]


@pytest.mark.parametrize("word, words", [("", "has 0 words"), ("a b", "not one word"),
                                         ("w" * 40, "has 40 words"), ("qqq", "no BPE")])
def test_a_tree_refuses(subwords: Subwords, word: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        subword_tree(subwords, word)


# ---- the softened truth ----


def test_shares_are_those_that_are_wanted() -> None:
    target = torch.tensor([4, 3, 0])
    shares = wanted_shares(torch.randn(3, 7), target, 0, 0.1)
    assert shares[2].abs().max() == 0 and shares[:, 0].abs().max() < 1e-6
    want = torch.full((2, 7), 0.02).double()
    want[:, 0], want[0, 4], want[1, 3] = 0, 0.9, 0.9
    torch.testing.assert_close(shares[:2], want, atol=1e-6, rtol=0)


@pytest.mark.parametrize("amount", [0.1, 0.3])
def test_the_picture_shows_the_shares(amount: float) -> None:
    fig = soft_truth(TOKENS, torch.tensor([4, 5, 3, 0]), 0, amount)
    assert faults(fig) == []
    shown = words_on(fig)
    assert shown.count(f"{1 - amount:.2f}") == 3
    assert shown.count(f"{amount / 5:.2f}") == 3 * 5
    assert shown.count("1.00") == 3


@pytest.mark.parametrize("script", [["<pad>", "吾輩", "猫"], ["<pad>", "나", "고양이", "$x$"],
                                    ["<pad>", "أنا", "قطة"]])
def test_any_script_is_drawn(script: list[str]) -> None:
    assert faults(soft_truth(script, torch.tensor([1, 2, 0]), 0, 0.1)) == []


@pytest.mark.parametrize(
    "given, words",
    [
        ((["a"] * 40, torch.tensor([1]), 0, 0.1), "has 40 words"),
        ((["a", "b"], torch.tensor([1]), 0, 0.1), "want a vocabulary"),
        ((TOKENS, torch.tensor([1] * 9), 0, 0.1), "want a vocabulary"),
        ((TOKENS, torch.tensor([1]), 0, 1.0), "want a vocabulary"),
        ((TOKENS, torch.tensor([[1]]), 0, 0.1), "target has shape"),
        ((TOKENS, torch.tensor([7]), 0, 0.1), "does not stand"),
        ((TOKENS, torch.tensor([1]), 9, 0.1), "does not stand"),
        ((TOKENS, torch.tensor([1.0, float("nan")]), 0, 0.1), "holds nan"),
        ((TOKENS, torch.tensor([]), 0, 0.1), "is empty"),
    ],
)
def test_soft_truth_refuses(given: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        soft_truth(*given)


# ---- batches ----

SIZES = [(random.Random(n).randint(2, 30), random.Random(n + 99).randint(2, 30))
         for n in range(300)]


def test_batches_are_drawn_with_their_sizes_and_padding() -> None:
    ways = {"in order": [list(range(n, n + 20)) for n in range(0, 300, 20)],
            "by tokens": token_batches(SIZES, 200, random.Random(0))}
    fig = batch_shapes(SIZES, ways)
    assert faults(fig) == []
    shown = words_on(fig)
    for name, batches in ways.items():
        assert name in shown
        for rows in batches[:4]:
            src_len, tgt_len = (max(SIZES[row][side] for row in rows) for side in (0, 1))
            assert f"{len(rows)} × ({src_len} + {tgt_len})" in shown
        share = padding_share(torch.tensor(SIZES), batches)
        assert f"{name} {100 * share:.0f} %" in shown[0].replace("\n", " ")


def test_the_share_of_padding_counts_source_and_target() -> None:
    sizes = torch.tensor([[1, 4], [3, 4], [2, 2], [2, 1]])
    assert padding_share(sizes, [[0, 1], [2, 3]]) == pytest.approx(3 / 22)
    assert padding_share(sizes, [[2]]) == 0


def test_a_picture_of_batches_draws_both_sides() -> None:
    fig = batch_shapes([(3, 2), (1, 2)], {"one": [[0, 1]]})
    src, tgt = (mesh.get_array() for mesh in fig.axes[0].collections)
    assert src.tolist() == [[1, 1, 1], [1, 0, 0]] and tgt.tolist() == [[1, 1], [1, 1]]


def test_batches_stand_right_below_their_name() -> None:
    low, tall = [list(range(4))] * 4, [list(range(100))]
    fig = batch_shapes(SIZES, {"low": low, "tall": tall})
    boxes = {text.get_text(): text.get_window_extent() for text in fig.axes[0].texts}
    tops = [mesh.get_window_extent().y1 for mesh in fig.axes[0].collections]
    assert 0 < boxes["low"].y0 - max(tops[:8]) < 0.5 * fig.dpi


@pytest.mark.parametrize("ways, most", [({"a": []}, 6), ({"a": [[]]}, 6), ({"a": [[0]]}, 9),
                                        ({"a": [[0]]}, 0), ({}, 6)])
def test_batch_shapes_refuses(ways: dict, most: int) -> None:
    with pytest.raises(ValueError):
        batch_shapes(SIZES, ways, most)

"""The pictures of the block show the tensors that they were given, or refuse."""

import pytest
import torch
from drawing import faults, words_on

from utils.diagrams.block import alike, both_orders, cosines_of, norm_of_word
from utils.diagrams.primitives import number
from utils.diagrams.transformer import encoder_layers
from utils.transformer import layer_norm

WORDS = "the cat only grinned when it saw alice".split()
GRINNED, ONE, NONE = torch.tensor([6.0, 2.0, 2.0, 6.0]), torch.ones(4), torch.zeros(4)


pytestmark = pytest.mark.usefixtures("course_page")


def stacks(n=8, d_model=64):
    torch.manual_seed(0)
    return {"attention alone": torch.randn(1, d_model).expand(n, -1),
            "with the residual": torch.randn(n, d_model)}


# ---- alike ----


def test_alike_writes_the_cosine_of_each_pair():
    given = stacks()
    fig = alike(given, WORDS, "One")
    assert not faults(fig)
    found = words_on(fig)
    for name, x in given.items():
        cosines = torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=-1)
        wanted = [number(value, 1) for value in cosines.flatten().tolist()]
        assert name in found and all(text in found for text in wanted)
    assert found.count("1.0") >= 64 + 8
    assert all(found.count(word) == 4 for word in WORDS)


def test_cosines_of_a_word_of_zeros():
    assert cosines_of(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize("words", [
    ["吾輩", "は", "猫", "で", "ある"], ["나는", "고양이", "이다"], ["أنا", "قطة"],
    ["$x$", "a" * 40], ["one"], ["word"] * 9,
])
def test_alike_takes_words_of_any_kind(words):
    fig = alike(stacks(len(words)), words, "One")
    assert not faults(fig)


@pytest.mark.parametrize("given, words", [
    (stacks(), WORDS[:7]), (stacks(40), ["word"] * 40), ({}, WORDS), (stacks() | {"c": 1}, WORDS),
    ({"a": torch.full((8, 4), torch.nan)}, WORDS), ({"a": torch.ones(1, 8, 4)}, WORDS),
    (stacks(), "the cat"),
])
def test_alike_refuses(given, words):
    with pytest.raises(ValueError):
        alike(given, words, "One")


# ---- norm_of_word ----


def test_norm_of_word_by_hand():
    fig = norm_of_word("grinned", GRINNED, ONE, NONE)
    assert not faults(fig)
    found = words_on(fig)
    assert "mean 4.00" in found and "mean 0, spread 2.00" in found
    assert "mean 0, spread 1.00" in found and "grinned" in found
    assert found.count("1.00") == 4 and found.count("−1.00") == 4


def test_norm_of_word_ends_in_layer_norm():
    torch.manual_seed(0)
    x, gain, bias = torch.randn(3, 6)
    fig = norm_of_word("猫", x, gain, bias, 0.1)
    assert not faults(fig)
    for value in layer_norm(x, gain, bias, 0.1).tolist():
        assert number(value, 2) in words_on(fig)


@pytest.mark.parametrize("word, x, gain, bias", [
    ("a", torch.randn(1, 4), ONE, NONE), ("a", torch.randn(9), torch.ones(9), torch.zeros(9)),
    ("a", GRINNED, torch.ones(3), NONE), ("a", GRINNED, ONE, torch.zeros(5)),
    ("a", GRINNED * torch.nan, ONE, NONE), ("a", torch.ones(0), torch.ones(0), torch.ones(0)),
])
def test_norm_of_word_refuses(word, x, gain, bias):
    with pytest.raises(ValueError):
        norm_of_word(word, x, gain, bias)


@pytest.mark.parametrize("word", ["고양이", "قطة", "$x$", "w" * 40])
def test_norm_of_word_takes_words_of_any_kind(word):
    assert not faults(norm_of_word(word, GRINNED, ONE, NONE))


# ---- both orders ----


def test_both_orders_are_drawn():
    layers = both_orders(12, 3, 24)
    assert [layer.add_norm1.pre_norm for layer in layers.values()] == [False, True]
    assert not any(layer.training for layer in layers.values())
    fig = encoder_layers(layers, torch.randn(1, 5, 12))
    assert not faults(fig)
    assert all(name in words_on(fig) for name in layers)

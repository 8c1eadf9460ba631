"""The pictures of lesson 09 say what their tensors hold, and refuse what they cannot draw."""


import pytest
import torch
from drawing import faults
from matplotlib.patches import PathPatch

from utils.attention import SelfAttention, causal_mask
from utils.diagrams import positions as draw
from utils.transformer import SinusoidalPositions, sinusoidal_encoding
from utils.variants import rotate

CAT, MIXED = "吾輩 は 猫 で ある".split(), "は 猫 ある で 吾輩".split()
PLACES = [(0, 0), (2, 0), (3, 1), (5, 3)]
Q, K = torch.tensor([1.0, 0.0]), torch.tensor([0.8, 0.6])
TRAINED, PAST = causal_mask(5), causal_mask(15)
WINDOW = PAST & ~causal_mask(15).tril(-5)


pytestmark = pytest.mark.usefixtures("course_page")


def readings(words=CAT, mixed=MIXED, add=lambda x: x, width=4):
    """The vectors of a sentence and of its shuffle, after one head."""
    torch.manual_seed(0)
    table = dict(zip(words, torch.randn(len(words), width)))
    head = SelfAttention(width, width).requires_grad_(False)
    return [head(add(torch.stack([table[w] for w in order])[None]))[0][0]
            for order in (words, mixed)]


def words_in(fig):
    return [text.get_text() for ax in fig.axes for text in ax.texts]


def written(values, digits=2):
    return [draw.number(value, digits) for value in values]


@pytest.mark.parametrize("add", [lambda x: x, SinusoidalPositions(4)], ids=["none", "sinusoid"])
def test_two_orders_says_the_vectors(add):
    one, other = readings(add=add)
    fig = draw.two_orders(CAT, one, MIXED, other)
    said = words_in(fig)
    assert faults(fig) == []
    for value in written([*one.flatten().tolist(), *other.flatten().tolist()]):
        assert value in said
    apart = [(one[CAT.index(w)] - other[MIXED.index(w)]).norm().item() for w in MIXED]
    assert [w for w in said if w.startswith("distance")] == [f"distance {w}" for w in
                                                             written(apart)]
    n_different = sum(distance > draw.SAME for distance in apart)
    assert said[0].startswith(f"In another order, {n_different or 'each'} ")
    assert len({tuple(line.get_edgecolor()) for line in fig.axes[0].patches
                if isinstance(line, PathPatch)}) == 1


@pytest.mark.parametrize("words", [
    "a b c".split(), "나는 학교에 갑니다".split(), "القط نائم هنا".split(),
    ["a" * 40, "$x$", "猫" * 20], ["one", "two"],
], ids=["latin", "korean", "arabic", "long", "two"])
def test_any_words(words):
    one, other = readings(words, words[::-1])
    assert faults(draw.two_orders(words, one, words[::-1], other)) == []
    table = sinusoidal_encoding(len(words), 8)
    assert faults(draw.clocks(table, words, [0, 1])) == []


def test_clocks_say_the_table():
    table = sinusoidal_encoding(5, 16)
    fig = draw.clocks(table, CAT, [0, 1, 3])
    said = words_in(fig)
    assert faults(fig) == []
    for pair in (0, 1, 3):
        for sine, cosine in table[:, 2 * pair : 2 * pair + 2].tolist():
            assert ", ".join(written([sine, cosine])) in said
    assert "57.3° per word" in said and "position 4" in said


@pytest.mark.parametrize("pairs", [[0], [0, 1, 2, 3]])
def test_clocks_of_few_and_many_pairs(pairs):
    assert faults(draw.clocks(sinusoidal_encoding(6, 8), list("abcdef"), pairs)) == []
    assert faults(draw.clocks(sinusoidal_encoding(1, 8), ["a"], pairs)) == []


def test_rotary_says_the_scores():
    fig = draw.rotary(Q, K, PLACES)
    said = words_in(fig)
    assert faults(fig) == []
    for here, there in PLACES:
        score = (rotate(Q[None], here) @ rotate(K[None], there).T).item()
        assert f"score {draw.number(score, 2)}" in said
        assert f"q at {here}, k at {there}" in said
    scores = [word for word in said if word.startswith("score")]
    assert scores[1] == scores[2] == scores[3] != scores[0]


@pytest.mark.parametrize("places", [[(0, 0)], [(1, 7), (40, 3)], [(0, 5), (5, 0), (9, 9)]])
def test_rotary_at_other_places(places):
    assert faults(draw.rotary(3 * Q, torch.tensor([-0.2, 1.0]), places)) == []


def test_distances_counts_what_is_new():
    fig = draw.distances(TRAINED, {"test": PAST, "window": WINDOW})
    said = words_in(fig)
    assert faults(fig) == []
    assert "5 words, 0 new distances" in said
    assert "15 words, 10 new distances" in said and "15 words, 0 new distances" in said
    assert said[0].startswith("In a longer text")
    assert words_in(draw.distances(TRAINED, {"window": WINDOW}))[0] == "No distance is new"


def test_runs():
    assert draw.runs_of([True, True, False, True], 3, {0, 2}) == [
        (0, 1, False), (1, 2, True), (3, 4, True)]


ONE = torch.zeros(5, 4)
NAN = torch.full((5, 4), float("nan"))


@pytest.mark.parametrize("call, message", [
    (lambda: draw.two_orders(CAT, ONE[:4], MIXED, ONE), "shape"),
    (lambda: draw.two_orders(CAT, NAN, MIXED, ONE), "nan"),
    (lambda: draw.two_orders(CAT[:4], ONE, MIXED, ONE), "4 words"),
    (lambda: draw.two_orders(CAT, ONE, [*CAT[:4], "x"], ONE), "no other order"),
    (lambda: draw.two_orders(["a"] * 40, torch.zeros(40, 4), ["a"] * 40, torch.zeros(40, 4)),
     "room for"),
    (lambda: draw.two_orders(CAT, torch.zeros(5, 40), MIXED, torch.zeros(5, 40)), "room for"),
    (lambda: draw.clocks(ONE, CAT, [0]), "no hand of length 1"),
    (lambda: draw.clocks(NAN, CAT, [0]), "nan"),
    (lambda: draw.clocks(sinusoidal_encoding(5, 4), CAT, [0, 2]), "pairs"),
    (lambda: draw.clocks(sinusoidal_encoding(5, 4), CAT, []), "pairs"),
    (lambda: draw.clocks(sinusoidal_encoding(40, 4), ["a"] * 40, [0]), "room for"),
    (lambda: draw.clocks(sinusoidal_encoding(5, 4), CAT[:3], [0]), "3 words"),
    (lambda: draw.rotary(ONE[0], K, PLACES), "shape"),
    (lambda: draw.rotary(NAN[0, :2], K, PLACES), "nan"),
    (lambda: draw.rotary(0 * Q, K, PLACES), "points nowhere"),
    (lambda: draw.rotary(Q, K, PLACES * 10), "room for"),
    (lambda: draw.rotary(Q, K, []), "room for"),
    (lambda: draw.distances(TRAINED[0], {"test": PAST}), "shape"),
    (lambda: draw.distances(TRAINED, {}), "room for"),
    (lambda: draw.distances(TRAINED, {"test": causal_mask(400)}), "room for"),
])
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""The pictures of lesson 07: without faults, true to the tensors, refusing what does not fit."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from drawing import faults, words_on
from torch import nn

from utils.attention import causal_mask, scaled_dot_product_attention
from utils.diagrams import attention as d
from utils.diagrams.primitives import number

DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
SKIES = "sun rain snow fog".split()
CJK = "월 화 수 목 금 토 日".split()
RTL = ["يوم"] * 7
NAN = float("nan")


pytestmark = pytest.mark.usefixtures("course_page")


def drawn(fig):
    """Hold that a figure has no fault and draws without a warning; returns its texts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        warnings.filterwarnings("ignore", message="There are no gridspecs")
        assert faults(fig) == []
    return words_on(fig)


def week(n=7, n_skies=4, sharp=4.0):
    """Queries, keys, values and weights of a week in calendar order."""
    q = sharp * F.one_hot((torch.arange(n) + 1) % n, n).float()
    k, v = torch.eye(n), torch.eye(n_skies)[torch.arange(n) % n_skies]
    return q, k, v, (q @ k.T).softmax(-1)


def small(tgt_len=3, src_len=3, d_k=4, d_v=2, whole=True):
    torch.manual_seed(0)
    sizes = (tgt_len, d_k), (src_len, d_k), (src_len, d_v)
    q, k, v = (torch.randint(-2, 10, s).float() if whole else torch.randn(s) for s in sizes)
    return q, k, v


def test_asking_writes_the_weights():
    q, k, v, weights = week()
    found = drawn(d.asking(q, k, v, weights, DAYS, 0, DAYS, SKIES))
    assert found.count(number(weights[0, 1], 2)) == 1
    assert found.count(number(weights[0, 0], 2)) == 6
    assert "query of Mon: I look for Tue" in found
    context = weights[0] @ v
    assert f"context: {number(context.max(), 2)} of it is rain" in found


@pytest.mark.parametrize("words", [CJK, RTL, ["$x$"] * 7, ["a very long word indeed"] * 7])
def test_asking_draws_any_words(words):
    q, k, v, weights = week()
    drawn(d.asking(q, k, v, weights, words, 3, DAYS, SKIES))


@pytest.mark.parametrize("n", [2, 3, 8])
def test_asking_draws_other_sizes(n):
    q, k, v, weights = week(n, 2)
    drawn(d.asking(q, k, v, weights, list("abcdefgh")[:n], 1, list("abcdefgh")[:n], ["x", "y"]))


def test_asking_takes_divided_weights():
    q, k, v, _ = week()
    _, weights = scaled_dot_product_attention(q, k, v)
    drawn(d.asking(q, k, v, weights, DAYS, 0, DAYS, SKIES))


@pytest.mark.parametrize("change, words", [
    (lambda q, k, v, w: (q, k, v, w.flip(0)), "are not the softmax"),
    (lambda q, k, v, w: (q[:3], k, v, w), "q has shape"),
    (lambda q, k, v, w: (q, k, v[:3], w), "v has shape"),
    (lambda q, k, v, w: (q * NAN, k, v, w), "nan"),
])
def test_asking_refuses(change, words):
    with pytest.raises(ValueError, match=words):
        d.asking(*change(*week()), DAYS, 0, DAYS, SKIES)


def test_asking_has_room_for_eight():
    q, k, v, w = week(40)
    with pytest.raises(ValueError, match="room"):
        d.asking(q, k, v, w, ["a"] * 40, 0, ["a"] * 40, SKIES)


@pytest.mark.parametrize("words", [DAYS, CJK, RTL])
def test_may_look_counts(words):
    wanted = torch.eye(7).roll(1, 1).bool()
    fig = d.may_look(words, causal_mask(7), wanted)
    assert drawn(fig)[0].startswith("Word by word, only 1 of 7")


@pytest.mark.parametrize("mask, words", [(torch.ones(7, 6), "shape"), (torch.ones(40, 40), "room")])
def test_may_look_refuses(mask, words):
    names = ["a"] * (40 if words == "room" else 7)
    with pytest.raises(ValueError, match=words):
        d.may_look(names, mask, mask)


SIZES = [(3, 3, 4, 2), (2, 5, 3, 3), (6, 6, 6, 4), (1, 1, 1, 1), (4, 2, 5, 1)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("whole", [True, False])
def test_pipeline_draws_each_size(sizes, whole):
    q, k, v = small(*sizes, whole=whole)
    context, weights = scaled_dot_product_attention(q, k, v)
    fig = d.attention_pipeline(q, k, v, None, list("abcdef")[: len(q)], list("uvwxyz")[: len(k)])
    found = drawn(fig)
    for tensor, digits in [(weights, 2), (context, 1), (q @ k.T / q.size(1) ** 0.5, 1)]:
        for value in tensor.flatten().tolist():
            assert number(value, digits) in found


def test_pipeline_hides():
    q, k, v = small()
    found = drawn(d.attention_pipeline(q, k, v, causal_mask(3), ["a", "b", "c"]))
    open_one = drawn(d.attention_pipeline(q, k, v, None, ["a", "b", "c"]))
    assert len(open_one) - len(found) == 6      # three hidden cells, in two arrays
    assert found.count("= 1") == 3
    assert "1.00" in found


@pytest.mark.parametrize("words", [
    ["월요일", "화", "水曜日"], ["يوم", "غد", "أمس"], ["$a$", "sentence", "b"],
])
def test_pipeline_draws_any_words(words):
    drawn(d.attention_pipeline(*small(), None, words))


@pytest.mark.parametrize("change, words", [
    (lambda q, k, v: (q, k[:, :3], v, None, "abc"), "k has shape"),
    (lambda q, k, v: (q, k, v[:2], None, "abc"), "v has shape"),
    (lambda q, k, v: (q * NAN, k, v, None, "abc"), "nan"),
    (lambda q, k, v: (q, k, v, causal_mask(4), "abc"), "mask has shape"),
    (lambda q, k, v: (q, k, v, torch.zeros(3, 3).bool(), "abc"), "look at one word"),
    (lambda q, k, v: (q, k, v, None, "ab"), "2 words"),
    (lambda q, k, v: (torch.ones(3, 9), torch.ones(3, 9), v, None, "abc"), "d_k up to 6"),
])
def test_pipeline_refuses(change, words):
    *given, names = change(*small())
    with pytest.raises(ValueError, match=words):
        d.attention_pipeline(*given, list(names))


def test_pipeline_has_room_for_six():
    q, k, v = small(40, 40)
    with pytest.raises(ValueError, match="room"):
        d.attention_pipeline(q, k, v, None, ["a"] * 40)


def ring(n=7, n_skies=4):
    """A head of width 2 whose queries point at the next day's key."""
    turns = torch.arange(n) * 2 * torch.pi / n
    k = torch.stack([turns.cos(), turns.sin()], -1)
    v = torch.stack([torch.arange(n_skies).cos(), torch.arange(n_skies).sin()], -1)
    q, k = (t.unsqueeze(1).expand(n, n_skies, 2) for t in (k.roll(-1, 0), k))
    return q, k, v.expand(n, n_skies, 2)


@pytest.mark.parametrize("days", [DAYS, CJK, RTL])
def test_planes(days):
    found = drawn(d.planes(*ring(), days, SKIES))
    assert found[0].startswith("7 of 7 queries match the key of the next day best")
    assert "4 dots: key of a day, under 4 skies" in found


def test_planes_count_what_is_wrong():
    _, k, v = ring()
    assert words_on(d.planes(k, k, v, DAYS, SKIES))[0].startswith("0 of 7")


def test_planes_draw_zeros():
    q, k, v = ring()
    d.planes(0 * q, k, 0 * v, DAYS, SKIES).canvas.draw()


@pytest.mark.parametrize("change", [
    lambda q, k, v: (q[..., :1], k, v), lambda q, k, v: (q * NAN, k, v),
])
def test_planes_refuse(change):
    with pytest.raises(ValueError, match="q "):
        d.planes(*change(*ring()), DAYS, SKIES)


@pytest.mark.parametrize("days", [DAYS, CJK, RTL, list("abc"), list("abcdefgh")])
def test_circles(days):
    n = len(days)
    ahead = 10 * torch.eye(n).roll(1, 1)
    stuck = ahead.clone()
    stuck[n - 1] = 10 * torch.eye(n)[n - 1]
    found = drawn(d.circles([ahead, stuck], ["free", "stuck"], days))
    assert f"{n} of {n} with free, {n - 1} of {n} with stuck" in found[0]
    assert found.count("10.0") == 2 * n - 1


@pytest.mark.parametrize("scores, words", [
    (torch.ones(7, 6), "shape"), (torch.full((7, 7), NAN), "nan"),
])
def test_circles_refuse(scores, words):
    with pytest.raises(ValueError, match=words):
        d.circles([scores], ["one"], DAYS)


@pytest.mark.parametrize("days", [["a", "b"], ["a"] * 40])
def test_circles_refuse_other_weeks(days):
    with pytest.raises(ValueError, match=r"three days|room"):
        d.circles([torch.ones(len(days), len(days))], ["one"], days)


def test_looks():
    sentences = ["he lost ___ way .".split(), ["나", "는", "___", "猫", "يوم", "$x$", "?"]]
    weights = [torch.tensor([0.9, 0.02, 0.0, 0.06, 0.02]), torch.tensor([0, 0, 0.5, 0, 0, 0, 0.5])]
    found = drawn(d.looks(sentences, weights, [2, 2], ["his", "your"]))
    assert found[0] == "Where the gap looks first: he, ___"
    assert "0.90" in found and "0.06" in found and "0.02" not in found
    assert "his" in found and "your" in found


def test_looks_draws_a_long_sentence():
    drawn(d.looks([["international"] * 16], [torch.full((16,), 1 / 16)], [15], ["x"]))


@pytest.mark.parametrize("given, words", [
    (([["a", "b"]], [torch.ones(3)], [0], ["x"]), "shape"),
    (([["a", "b"]], [torch.tensor([NAN, 1])], [0], ["x"]), "nan"),
    (([["a"] * 40], [torch.ones(40)], [0], ["x"]), "room"),
    (([["a", "b"]], [torch.ones(2)], [0, 1], ["x"]), "as many"),
    (([["a", "b"]], [torch.ones(2)], [0], ["x", "y"]), "notes"),
])
def test_looks_refuses(given, words):
    with pytest.raises(ValueError, match=words):
        d.looks(*given)


@pytest.mark.parametrize("n_layers, n_heads", [(6, 8), (1, 1), (8, 2), (2, 4)])
def test_where_a_head_sits_reads_the_module(n_layers, n_heads):
    layer = nn.TransformerEncoderLayer(64, n_heads, batch_first=True, device="meta")
    encoder = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
    found = drawn(d.where_a_head_sits(encoder))
    assert found[0].endswith(f"this encoder has {n_layers * n_heads}")
    assert f"3 × 64 × {64 // n_heads} parameters" in found
    assert f"layer {n_layers}" in found and f"layer {n_layers + 1}" not in found


def test_where_a_head_sits_refuses():
    with pytest.raises(ValueError, match="TransformerEncoder"):
        d.where_a_head_sits(nn.Linear(2, 2))
    layer = nn.TransformerEncoderLayer(48, 12, batch_first=True, device="meta")
    with pytest.raises(ValueError, match="room"):
        d.where_a_head_sits(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))

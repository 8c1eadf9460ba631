"""Lesson 10: how alike words are, and LayerNorm of one word, by numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from utils.diagrams.primitives import (
    GREY,
    RESIDUAL,
    STATE,
    VALUE,
    WEIGHT,
    arrow,
    cut_to,
    grid,
    number,
    plate,
    say,
    sheet,
    tensor_of,
    words_of,
)
from utils.transformer import EncoderLayer, layer_norm

TURN = {"rotation": 90, "rotation_mode": "anchor", "parse_math": False}


def both_orders(d_model: int, n_heads: int, d_ff: int) -> dict[str, EncoderLayer]:
    """Return the layer that the course keeps, in both orders: to be drawn before it is built."""
    orders = {"post-norm (2017)": False, "pre-norm (most since)": True}
    return {
        name: EncoderLayer(d_model, n_heads, d_ff, pre_norm=pre).eval()
        for name, pre in orders.items()
    }


def cosines_of(x: Tensor) -> Tensor:
    """Return the cosine of each pair of words, (seq_len, seq_len). A vector of zeros gives 0."""
    y = x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return y @ y.T


def alike(stacks: Mapping[str, Tensor], words: Sequence[str], title: str) -> Figure:
    """Draw how alike any two words of a sentence are, one grid of cosines for each stack.

    stacks: a name for each tensor (seq_len, d_model), one or two    words: what they say
    """
    if not 0 < len(stacks) <= 2:
        raise ValueError(f"the page has room for one or two grids, got {len(stacks)}")
    words = words_of("words", words, most=9)
    n, side = len(words), min(0.38, 3.1 / len(words))
    ax = sheet(9, 1.75 + n * 0.3 + 0.55, title)
    low = 0.25
    for column, (name, x) in enumerate(stacks.items()):
        cosines = cosines_of(tensor_of(f"x of {name}", x, n, None))
        place = grid(
            ax, 2.75 + 4.45 * column, low + n * 0.15, cosines.clamp(-1, 1), WEIGHT,
            (side, 0.3), 1, (0, 1.4),
        )
        for index, word in enumerate(words):
            (left, y), top = place.row(index).left, place.cell(0, index).top
            cut_to(say(ax, left - 0.1, y, word, align="right", parse_math=False), 1.0)
            cut_to(say(ax, top[0], top[1] + 0.1, word[:9], colour=GREY, align="left", **TURN), 0.9)
        say(ax, place.x, low + n * 0.3 + 1.15, name, 12)
    return ax.figure


def norm_of_word(
    word: str, x: Tensor, gain: Tensor, bias: Tensor, eps: float = 1e-5,
    title: str = "LayerNorm gives every word the same mean and the same size",
) -> Figure:
    """Draw what LayerNorm does to the vector of one word, step by step, with all its numbers.

    x, gain, bias: (d_model,)
    """
    x = tensor_of("x", x, None)
    if len(x) > 8:
        raise ValueError(f"x has {len(x)} features; the page has room for 1 to 8")
    gain, bias = tensor_of("gain", gain, len(x)), tensor_of("bias", bias, len(x))
    [word] = words_of("word", [word])
    mean, variance = x.mean(), x.var(correction=0)
    same_size = (x - mean) / (variance + eps).sqrt()
    result = gain * same_size + bias
    torch.testing.assert_close(result, layer_norm(x, gain, bias, eps))
    steps = [
        (x, STATE, f"mean {number(mean.item(), 2)}"),
        (x - mean, STATE, f"mean 0, spread {number((variance + eps).sqrt().item(), 2)}"),
        (same_size, VALUE, f"mean 0, spread {number(same_size.std(correction=0).item(), 2)}"),
        (result, RESIDUAL, "what the next part reads"),
    ]
    moves = ["subtract the mean", "divide by the spread", "times gain, plus bias (learned)"]
    ax = sheet(9, 4.3, title)
    plate(ax, 0.95, 3.45, word, width=1.2)
    for index, (vector, role, note) in enumerate(steps):
        y = 3.45 - 0.95 * index
        grid(ax, 3.75, y, vector, role, (min(0.62, 4 / len(x)), 0.36), 2)
        cut_to(say(ax, 6.05, y, note, colour=GREY, align="left"), 2.8)
        if index:
            arrow(ax, (3.75, y + 0.77), (3.75, y + 0.2))
            say(ax, 3.9, y + 0.48, moves[index - 1], align="left")
    return ax.figure

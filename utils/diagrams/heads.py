"""Lesson 08: several heads side by side, from the words to the output of one module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from utils.attention import (
    MultiHeadAttention,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)
from utils.diagrams.primitives import (
    GREY,
    HEADS,
    LARGER,
    MODULE,
    SMALL,
    VALUE,
    Place,
    arrow,
    box,
    frame,
    grid,
    mix,
    plate,
    say,
    shape,
    sheet,
    tensor_of,
    words_above,
    words_of,
)

ROOM = 3.6  # inches for all heads, one below the other


@torch.no_grad()
def many_heads(
    attention: MultiHeadAttention, x: Tensor, words: Sequence[str],
    title: str = "Each head has its own weights; their results are joined and mixed",
) -> Figure:
    """Draw one run of multi-head attention: each head's weights and context, the joined rows, W^O.

    attention: with at most 4 heads    x: (1, seq_len, d_model)    words: seq_len, at most 8
    Raises ValueError where the sizes do not fit the page or each other.
    """
    x = tensor_of("x", x, 1, None, attention.query_map.in_features)
    words, n_heads = words_of("words", words, x.size(1), most=8), attention.n_heads
    if n_heads > 4:
        raise ValueError(f"{n_heads} heads; the page has room for 1 to 4")
    maps = attention.query_map, attention.key_map, attention.value_map
    q, k, v = (split_heads(each(x), n_heads) for each in maps)
    context, weights = scaled_dot_product_attention(q, k, v)
    joined = merge_heads(context)
    output, looked = attention(x, x, x)
    torch.testing.assert_close(weights, looked)
    torch.testing.assert_close(attention.output_map(joined), output)

    seq_len, each = x.size(1), ROOM / n_heads
    cell = min((each - 0.45) / seq_len, 0.2)
    ax = sheet(9, ROOM + 1.7, title)
    middle = 0.75 + ROOM / 2
    for r, word in enumerate(words):
        plate(ax, 0.65, middle + 0.32 * ((seq_len - 1) / 2 - r), word, size=SMALL, width=0.9)
    say(ax, 0.65, middle + 0.16 * seq_len + 0.2, "x", LARGER)
    tall = 0.24 * seq_len
    whole = rows_of_heads(ax, 6.05, middle, joined[0], n_heads, (1.1, tall))
    say(ax, 6.05, whole.top[1] + 0.2, "joined", LARGER)
    shape(ax, whole, "(seq_len, d_model)", joined[0])
    for h in range(n_heads):
        y = middle + each * ((n_heads - 1) / 2 - h)
        looks = grid(ax, 2.9, y - 0.08, weights[0, h], cell=(cell, cell), span=(0, 1))
        frame(ax, looks, HEADS[h % 4][0], 3, gap=0.04)
        if h == 0 and cell >= 0.15:
            words_above(ax, looks, words, turned=True)
        say(ax, looks.left[0] - 0.15, looks.y, f"head {h + 1}", LARGER, align="right")
        part = rows_of_heads(
            ax, 4.4, looks.y, context[0, h], 1, (0.55, cell * seq_len), first=h
        )
        say(ax, (looks.right[0] + part.left[0]) / 2, looks.y, "· v", LARGER, VALUE.line)
        arrow(ax, (1.15, middle), (1.25, middle), (1.25, looks.y),
              (looks.left[0] - 0.76, looks.y), head=False)
        end = whole.left[0] - 0.08
        arrow(ax, part.right, (5.0, looks.y), (5.0, middle), (end, middle))
    mixing = box(ax, 7.25, middle, "$W^O$", MODULE, 0.62)
    shown = grouped(output[0], 1, 0.8)
    cells = 0.8 / shown.size(-1), 0.24
    mixed = grid(ax, 8.25, middle, shown, VALUE, cells, span=(0, shown.max()))
    arrow(ax, whole.right, mixing.left)
    arrow(ax, mixing.right, mixed.left)
    say(ax, 8.25, mixed.top[1] + 0.2, "output", LARGER)
    shape(ax, mixed, "(seq_len, d_model)", output[0])
    note = "weights: a row asks, a column is looked at.  Shades: how large the numbers are"
    say(ax, 0.25, 0.35, note, SMALL, GREY, "left")
    return ax.figure


def rows_of_heads(
    ax: Axes, x: float, y: float, rows: Tensor, n_heads: int, size: tuple[float, float],
    first: int = 0,
) -> Place:
    """Draw rows of numbers, each part in the colour of the head that made it."""
    rows = grouped(rows, n_heads, size[0])
    n_rows, width = rows.shape
    d_k, largest = width // n_heads, rows.abs().max().item() or 1.0
    fills = [
        [
            (mix(HEADS[(first + c // d_k) % 4][0], 0.35 + 0.65 * abs(value) / largest), GREY)
            for c, value in enumerate(row)
        ]
        for row in rows.tolist()
    ]
    return grid(ax, x, y, rows, MODULE, (size[0] / width, size[1] / n_rows), fills=fills)


def grouped(rows: Tensor, n_heads: int, inches: float) -> Tensor:
    """Return how large numbers are, neighbours of one head together where cells would be thin."""
    d_k = rows.size(-1) // n_heads
    each = next(n for n in range(1, d_k + 1) if n == d_k or (
        d_k % n == 0 and inches * n / rows.size(-1) >= 0.08))
    return rows.abs().unflatten(-1, (-1, each)).mean(dim=-1)

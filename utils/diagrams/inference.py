"""Lesson 13: what a writer keeps, which rows of the mask it needs, and how its state grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from utils.attention import causal_mask, scaled_dot_product_attention
from utils.diagrams.primitives import (
    GREY,
    INK,
    KEY,
    LARGER,
    NORMAL,
    QUERY,
    RESIDUAL,
    STATE,
    VALUE,
    WEIGHT,
    Place,
    Role,
    around,
    arrow,
    cut_to,
    frame,
    mask_grid,
    number,
    say,
    sheet,
    strip,
    tensor_of,
    words_of,
)
from utils.inference import count_numbers

# ---- one step of a writer ----


def kept_and_new(q: Tensor, k: Tensor, v: Tensor, words: Sequence[str]) -> Figure:
    """Draw one head while the last word is read: old keys and values pale, what is made now dark.

    q: (1, d_k), the query of the last word    k, v: (seq_len, d_k)    words: seq_len words
    """
    q, k = tensor_of("q", q, 1, None), tensor_of("k", k, None, q.size(-1))
    v = tensor_of("v", v, len(k), None)
    words = words_of("words", words, len(k), most=9)
    context, weights = scaled_dot_product_attention(q, k, v)
    n = len(words)
    pitch, floor = 0.34, 1.0
    ceiling = floor + pitch * (n - 1)
    kept = f"{n - 1} {'is' if n == 2 else 'are'} kept" if n > 1 else "none is kept"
    ax = sheet(9, ceiling + 1.35, f"Word {n} comes: one key and one value are made, {kept}")

    largest = max(x.abs().max().item() for x in (q, k, v, context))
    ask = strip(ax, 1.35, floor, q[0], QUERY, 1.5, 0.2, largest=largest)
    say(ax, ask.x, floor - 0.28, f"query of {n}", NORMAL, QUERY.line)
    for x, name, role in [(4.5, "keys", KEY), (5.72, "weight", WEIGHT), (6.85, "values", VALUE)]:
        say(ax, x, ceiling + 0.36, name, LARGER, role.line)

    for i, word in enumerate(words):
        y, is_new = ceiling - pitch * i, i == n - 1
        name = say(ax, 3.72, y, f"{i + 1}  {word}", NORMAL, INK if is_new else GREY, "right",
                   parse_math=False)
        cut_to(name, 1.05)
        key, value = (draw_row(ax, x, y, row[i], role, is_new, largest)
                      for x, row, role in [(4.5, k, KEY), (6.85, v, VALUE)])
        share = weights[0, i].item()
        ax.add_patch(Rectangle((5.24, y - 0.07), 0.5 * share, 0.14, color=INK, linewidth=0))
        say(ax, 6.12, y, number(share, 2), NORMAL, align="right")
    arrow(ax, (ask.right[0] + 0.04, floor), (2.55, floor), colour=QUERY.line, width=1.6)

    result = strip(ax, 8.3, (floor + ceiling) / 2, context[0], VALUE, 1.0, 0.2, largest=largest)
    say(ax, result.x, result.top[1] + 0.2, "context", LARGER, VALUE.line)
    arrow(ax, (value.right[0] + 0.06, result.y), (result.left[0] - 0.04, result.y),
          colour=VALUE.line, width=1.6)
    if n > 1:
        column = Place(4.95, (ceiling + floor + pitch) / 2, 0, pitch * (n - 2) + 0.24)
        edge = 2.62
        arrow(ax, (edge, column.top[1]), (edge, column.bottom[1]), colour=GREY, width=1,
              head=False)
        say(ax, edge - 0.1, column.y, "kept", NORMAL, GREY, "right")
    made = around(key, value)
    say(ax, made.x, floor - 0.28, "made now", NORMAL)
    say(ax, 4.5, 0.4, f"(seq_len, d_k) = {tuple(k.shape)}", NORMAL, GREY)
    say(ax, 6.85, 0.4, f"(seq_len, d_k) = {tuple(v.shape)}", NORMAL, GREY)
    say(ax, 1.35, 0.4, f"(1, d_k) = {tuple(q.shape)}", NORMAL, GREY)
    return ax.figure


def draw_row(
    ax: Axes, x: float, y: float, row: Tensor, role: Role, is_new: bool, largest: float
) -> Place:
    """Draw a key or a value: dark with a frame where it is new, pale where it was kept."""
    place = strip(ax, x, y, row, role if is_new else role.faint, 1.2, 0.2, largest=largest)
    if is_new:
        frame(ax, place, INK, 1.6, 0.02)
    return place


# ---- which rows of the mask ----


def rows_of_mask(seq_len: int, new_len: int) -> Figure:
    """Draw the causal mask of all tokens, and of it the rows for the new ones; beside it, wrong.

    Raises ValueError unless 1 <= new_len < seq_len <= 12.
    """
    if not 1 <= new_len < seq_len <= 12:
        raise ValueError(f"want 1 <= new_len < seq_len <= 12, got {new_len} and {seq_len}")
    mask = causal_mask(seq_len)
    side = min(0.3, 2.4 / seq_len)
    height = side * seq_len
    title = f"{new_len} new words use the last {new_len} rows of the mask, not the first"
    if new_len == 1:
        title = "1 new word uses the last row of the mask, not the first"
    ax = sheet(9, height + 1.75, title)
    low = 0.75
    whole = mask_grid(ax, 1.75, low + height / 2, mask, side)
    say(ax, whole.x, whole.top[1] + 0.2, f"all {seq_len} words at once")
    say(ax, whole.x, low - 0.22, str(tuple(mask.shape)), NORMAL)
    rows = around(*(whole.row(r) for r in range(seq_len - new_len, seq_len)))
    frame(ax, rows, INK, 2, 0.03)
    for x, part, name, role in [
        (4.75, mask[-new_len:], "the new words: right", INK),
        (7.55, mask[:new_len], "the first rows: wrong", RESIDUAL.line),
    ]:
        here = mask_grid(ax, x, rows.y, part, side)
        frame(ax, here, role, 2, 0.03)
        say(ax, x, here.top[1] + 0.2, name, NORMAL, role)
        seen = f"word {seq_len} sees {int(part[-1].sum())} of {seq_len}"
        say(ax, x, here.bottom[1] - 0.22, f"{tuple(part.shape)}: {seen}", NORMAL, role)
        if role is INK:
            arrow(ax, (rows.right[0] + 0.08, rows.y), (here.left[0] - 0.08, rows.y))
    return ax.figure


# ---- how the state grows ----


def growing_states(states: Mapping[str, Sequence], words: Sequence[str]) -> Figure:
    """Draw the state of writers after each word: one row a word, as long as its count of numbers.

    states: for each writer its state after each word, tensors or nests of them
    words: what was read    Raises ValueError where the states and words do not match.
    """
    names = words_of("states", list(states), most=3)
    words = words_of("words", words, most=9)
    counts = {name: [count_numbers(state) for state in states[name]] for name in names}
    for name, found in counts.items():
        if len(found) != len(words):
            raise ValueError(f"{name} has {len(found)} states for {len(words)} words")
        if min(found) < 1:
            raise ValueError(f"{name} has a state without numbers: nothing to draw")
    largest = max(names, key=lambda name: counts[name][-1])
    smallest = min(names, key=lambda name: counts[name][-1])
    title = f"After {len(words)} words the {largest} keeps {counts[largest][-1]:,} numbers"
    if len(names) > 1:
        still = "still " if len(set(counts[smallest])) == 1 < len(words) else ""
        title += f", the {smallest} {still}{counts[smallest][-1]:,}"
    pitch, floor, label = 0.36, 0.4, 1.1    # label: the room right of a row for its count
    ceiling = floor + pitch * (len(words) - 1)
    ax = sheet(9, ceiling + 1.15, title)

    x = 0.5 + draw_words(ax, ceiling, pitch, words)
    longest = {name: max(found) for name, found in counts.items()}
    inches = (8.9 - x - label * len(names)) / sum(longest.values())
    for name in names:
        head = say(ax, x, ceiling + 0.4, name, LARGER, STATE.line, "left", parse_math=False)
        cut_to(head, inches * longest[name] + label - 0.15)
        for i, count in enumerate(counts[name]):
            draw_count(ax, x, ceiling - pitch * i, counts[name][: i + 1], inches)
        x += inches * longest[name] + label
    return ax.figure


def draw_words(ax: Axes, ceiling: float, pitch: float, words: Sequence[str]) -> float:
    """Write the words under one another with their numbers; returns where the longest ends."""
    end = 0.0
    for i, word in enumerate(words):
        written = say(ax, 0.4, ceiling - pitch * i, f"{i + 1}  {word}", LARGER, align="left",
                      parse_math=False)
        cut_to(written, 1.9)
        end = max(end, written.get_window_extent().x1 / ax.figure.dpi)
    return end


def draw_count(ax: Axes, x: float, y: float, counts: Sequence[int], inches: float) -> None:
    """Draw a state as a row of cells, one for each time that it grew, the last one dark.

    counts: its numbers after each word so far    inches: the length of one number
    """
    now = counts[-1]
    edges = sorted({0, *(count for count in counts if count <= now)})
    for left, right in pairwise(edges):
        role = STATE if right == now else STATE.faint
        ax.add_patch(Rectangle(
            (x + inches * left, y - 0.11), inches * (right - left), 0.22, linewidth=0.8,
            facecolor=role.fill, edgecolor=role.line, zorder=3 + (right == now)))
    say(ax, x + inches * now + 0.1, y, f"{now:,}", LARGER, align="left")

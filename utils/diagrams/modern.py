"""Pictures of lesson 15: the block of 2017 beside today's, and heads that share their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from utils.attention import split_heads
from utils.diagrams.primitives import (
    GREY,
    INK,
    KEY,
    LARGER,
    MEMORY,
    MODULE,
    PAPER,
    QUERY,
    RESIDUAL,
    SMALL,
    VALUE,
    WORD,
    Place,
    Role,
    arrow,
    box,
    circle,
    grid,
    say,
    sheet,
    tensor_of,
)
from utils.modern import (
    MODERN,
    GroupedQueryAttention,
    Recipe,
    RecipeBlock,
    Writer,
    grouped_attention,
    writer_of,
)

# A part that the other block has otherwise: a colour for what it does, to be told apart by the
# colour-blind too (CIE76 distances of the fills at least 18, as each kind of dichromat sees them).
CHANGED = {
    "attention": Role(QUERY.line, "#86b9f5"),
    "feed_forward": KEY,
    "norm1": Role(MEMORY.line, "#f3d9ec"),
    "norm2": Role(MEMORY.line, "#f3d9ec"),
    "positions": VALUE,
}
MOST_HEADS, MOST_PANELS = 8, 3
WINDOW = Role(INK, PAPER)    # drawn dashed: a mask, no part with weights
STEP, INNER = 0.66, 0.25    # inches from one part of a block to the next; a box inside a box


# ---- two blocks ----


def two_blocks(
    writers: Mapping[str, Writer], title: str = "The skeleton is that of 2017; its parts are new",
    windows: Mapping[str, int] | None = None,
) -> Figure:
    """Draw one block of each of two writers, part by part, in the order in which x meets them.

    writers: a name for each    windows: for some of them, how many words a word will see when it
    reads through a window; it is drawn dashed. A part is coloured where the other block has
    another one in its place. Raises ValueError for another number of writers and for a window of
    another name, AssertionError where a block does not compute what is drawn.
    """
    windows = windows or {}
    if len(writers) != 2:
        raise ValueError(f"{len(writers)} writers; the page has room for 2")
    if strange := [name for name in windows if name not in writers]:
        raise ValueError(f"a window for {strange[0]}, but the writers are {', '.join(writers)}")
    for name, writer in writers.items():
        if not isinstance(writer, Writer):
            raise ValueError(f"{name} is a {type(writer).__name__}: give a Writer")
        require_what_is_drawn(writer.blocks[0])
    parts = [parts_of(writer) for writer in writers.values()]
    ax = sheet(9, 7.1, title)
    for column, (name, writer) in enumerate(writers.items()):
        mine, other, x = parts[column], parts[1 - column], 2.35 + 4.45 * column
        say(ax, x, 6.4, name, 12, bold=True)
        n_parameters = sum(p.numel() for p in writer.parameters())
        say(ax, x, 6.17, f"whole writer: {n_parameters:,} parameters", SMALL, GREY)
        draw_block(ax, x, writer.blocks[0], mine, other, windows.get(name))
    say(ax, 0.25, 0.5, "one colour: parts that take each other's place.   red: the residual path.",
        SMALL, GREY, "left")
    dashed = "   dashed: a mask, put on after training" if windows else ""
    say(ax, 0.25, 0.27, f"beside a part: its number of parameters.{dashed}", SMALL, GREY, "left")
    return ax.figure


def finished(vocab_size: int) -> dict[str, Writer]:
    """The writer of 2017 and today's, untrained: to be drawn before they are built."""
    with torch.random.fork_rng(devices=[]):
        old = Writer(Recipe(), vocab_size, 256)
        n_parameters = sum(p.numel() for p in old.parameters())
        return {"the block of 2017": old, "today": writer_of(MODERN, vocab_size, n_parameters)}


def parts_of(writer: Writer) -> dict[str, str]:
    """What stands on each box: the kind of part; "" where there is none."""
    block, heads = writer.blocks[0], writer.blocks[0].attention
    added = {"SinusoidalPositions": "sinusoid", "LearnedPositions": "learned table"}.get(
        type(writer.positions).__name__, "")
    inside = {"rotary": "rotary: q and k turned", "alibi": "ALiBi: far scores lowered"}.get(
        heads.positions, "")
    return {
        "added": added,
        "inside": inside,
        "attention": f"attention, {heads.n_heads} heads, {heads.n_kv_heads} of keys",
        "feed_forward": type(block.feed_forward).__name__,
        "norm1": type(block.norm1).__name__,
        "norm2": type(block.norm2).__name__,
        "order": "pre" if block.pre_norm else "post",
    }


def draw_block(
    ax: Axes, x: float, block: RecipeBlock, parts: dict[str, str], other: dict[str, str],
    window: int | None,
) -> None:
    """Draw the parts of one block from below, with both residual paths."""
    order = ("norm1", "attention", "+", "norm2", "feed_forward", "+")
    if not block.pre_norm:
        order = ("attention", "+", "norm1", "feed_forward", "+", "norm2")
    moved = (parts["added"], parts["inside"]) != (other["added"], other["inside"])
    before = what_goes_in(ax, x, 0.97, parts["added"], moved)
    inner = []
    if parts["inside"]:
        inner.append((parts["inside"], CHANGED["positions"] if moved else MODULE))
    if window:
        inner.append((f"window: the last {window} words", WINDOW))
    start, y = before, before.y
    for last, part in zip(("", *order), order):
        y += STEP + (len(inner) * (INNER + 0.06) / 2 if "attention" in (last, part) else 0)
        if part == "+":
            now = circle(ax, x, y, "+", RESIDUAL)
            side = x - 1.95
            (_, low), (right, high) = start.top, now.left
            low += 0.14
            arrow(ax, (x, low), (side, low), (side, high), (right, high), colour=RESIDUAL.line,
                  width=1.8)
        else:
            turned = part.startswith("norm") and parts["order"] != other["order"]
            role = CHANGED[part] if turned or parts[part] != other[part] else MODULE
            now = part_box(ax, x, y, block, part, parts[part], role,
                           inner if part == "attention" else [])
        arrow(ax, before.top, now.bottom, head=part != "+")
        before = now
        if part == "+" or (part.startswith("norm") and not block.pre_norm):
            start = now
    arrow(ax, before.top, (x, before.top[1] + 0.26))


def what_goes_in(ax: Axes, x: float, y: float, added: str, changed: bool) -> Place:
    """Draw the words, and beside them the positions that are added to them, if any."""
    if not added:
        return box(ax, x, y, "words", WORD, 2.9, 0.32, corner=0.02)
    role = CHANGED["positions"] if changed else MODULE
    box(ax, x - 0.74, y, "words", WORD, 1.42, 0.32, corner=0.02)
    box(ax, x + 0.74, y, f"+ {added}", role, 1.42, 0.32, corner=0.02)
    return Place(x, y, 2.9, 0.32)


def part_box(
    ax: Axes, x: float, y: float, block: RecipeBlock, part: str, text: str, role: Role,
    inner: Sequence[tuple[str, Role]],
) -> Place:
    """Draw one part, with its number of parameters beside it, and smaller boxes inside it."""
    n_parameters = sum(p.numel() for p in getattr(block, part).parameters())
    height = 0.36 + len(inner) * (INNER + 0.06)
    place = box(ax, x, y, "", role, 2.9, height)
    y = place.top[1] - 0.18
    say(ax, x, y, text)
    for row, (words, colour) in enumerate(inner):
        box(ax, x, y - (row + 1) * (INNER + 0.06) + 0.04, words, colour, 2.5, INNER, SMALL)
        if colour is WINDOW:
            ax.patches[-1].set_linestyle((0, (3, 2)))
    say(ax, place.right[0] + 0.08, place.y, f"{n_parameters:,}", SMALL, GREY, "left")
    return place


@torch.no_grad()
def require_what_is_drawn(block: RecipeBlock) -> None:
    """AssertionError where a block is not the chain of its parts in the order that is drawn."""
    d_model = block.attention.query_map.in_features
    x = torch.linspace(-1, 1, 3 * d_model).view(1, 3, d_model).to(block.attention.query_map.weight)
    if block.pre_norm:
        y = x + block.attention(block.norm1(x))[0]
        y = y + block.feed_forward(block.norm2(y))
    else:
        y = block.norm1(x + block.attention(x)[0])
        y = block.norm2(y + block.feed_forward(y))
    torch.testing.assert_close(block(x), y)


# ---- grouped heads ----


def finished_heads(*n_kv_heads: int) -> list[GroupedQueryAttention]:
    """Untrained attentions of 8 query heads and so many of keys: drawn before they are built."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [GroupedQueryAttention(64, 8, n) for n in n_kv_heads]


@torch.no_grad()
def grouped_heads(
    attentions: Sequence[GroupedQueryAttention | int], x: Tensor,
    title: str = "Query heads share heads of keys and values: fewer numbers to keep",
) -> Figure:
    """Draw which head of keys each query head reads, for one word, with 1 to 3 attentions.

    attentions: with equally many query heads, at most 8; a number stands for an untrained one of
    8 query heads and so many of keys    x: (1, seq_len, d_model)
    A line is drawn where another key head gives another weight: it is measured. Shades: the
    numbers of the last word's queries and keys. Raises ValueError where it does not fit the page.
    """
    attentions = [finished_heads(each)[0] if isinstance(each, int) else each for each in attentions]
    if not 0 < len(attentions) <= MOST_PANELS:
        raise ValueError(f"{len(attentions)} attentions; the page has room for 1 to {MOST_PANELS}")
    x = tensor_of("x", x, 1, None, attentions[0].query_map.in_features)
    counts = {attention.n_heads for attention in attentions}
    if len(counts) > 1 or max(counts) > MOST_HEADS:
        raise ValueError(f"{sorted(counts)} query heads; the page has room for one number of them, "
                         f"at most {MOST_HEADS}")
    ax = sheet(9, 4.5, title)
    pitch = 8.6 / len(attentions)
    for panel, attention in enumerate(attentions):
        draw_groups(ax, 0.2 + pitch * (panel + 0.5), attention, x)
    say(ax, 0.25, 0.3, "blue: queries of the last word, orange: keys, green: values, d_k numbers "
        "each.  Keys and values are kept for every word", SMALL, GREY, "left")
    return ax.figure


def draw_groups(ax: Axes, x0: float, attention: GroupedQueryAttention, x: Tensor) -> None:
    """Draw one panel: the query heads, the heads of keys, who reads whom, what is kept."""
    n_heads, n_kv_heads = attention.n_heads, attention.n_kv_heads
    q = split_heads(attention.query_map(x), n_heads)
    k = split_heads(attention.key_map(x), n_kv_heads)
    v = split_heads(attention.value_map(x), n_kv_heads)
    reads = who_reads_whom(q, k, v)
    pitch, d_k = 2.5 / n_heads, q.size(-1)
    middle = (n_heads - 1) / 2
    queries = [column_of(ax, x0 + pitch * (h - middle), 3.15, q[0, h, -1], QUERY,
                         min(0.2, 0.62 * pitch)) for h in range(n_heads)]
    spots = [sum(h for h in range(n_heads) if reads[h] == g) / max(reads.count(g), 1)
             for g in range(n_kv_heads)]
    wide = min(0.2, 0.38 * pitch)
    keys, values = ([
        column_of(ax, x0 + pitch * (spot - middle) + side * (wide / 2 + 0.01), 1.6, y[0, g, -1],
                  role, wide)
        for g, spot in enumerate(spots)] for side, y, role in ((-1, k, KEY), (1, v, VALUE)))
    for h, place in enumerate(queries):
        key, value = keys[reads[h]], values[reads[h]]
        end = (key.x + value.x) / 2, key.top[1] + 0.03
        arrow(ax, place.bottom, end, colour=INK, width=1, head=False)
    one, own = n_kv_heads == 1, n_kv_heads == n_heads
    kind = "each its own keys" if own else "one head of keys" if one else (
        f"{n_kv_heads} heads of keys")
    say(ax, x0, 3.83, f"{n_heads} heads, {kind}", LARGER)
    n_numbers = f"2 · {n_kv_heads} · {d_k} = {2 * n_kv_heads * d_k} numbers"
    say(ax, x0, 0.88, f"kept for a word:\n{n_numbers}", va="center")


def column_of(ax: Axes, x: float, y: float, vector: Tensor, role: Role, wide: float) -> Place:
    """Draw the vector of one head upright: a larger number is darker."""
    column = vector.abs().unsqueeze(1)
    cell = wide, 0.75 / len(vector)
    return grid(ax, x, y, column, role, cell, span=(0, column.max().item() + 1e-9))


def who_reads_whom(q: Tensor, k: Tensor, v: Tensor) -> list[int]:
    """For each query head, the head of keys whose change moves its weights.

    Measured on grouped_attention. AssertionError unless there is exactly one for each.
    """
    _, before = grouped_attention(q, k, v)
    reads = torch.zeros(q.size(1), k.size(1), dtype=torch.bool)
    for g in range(k.size(1)):
        other = k.clone()
        other[:, g] = other[:, g] * 2 + torch.linspace(-1, 1, k[:, g].numel()).view(k[:, g].shape)
        _, after = grouped_attention(q, other, v)
        reads[:, g] = (after - before).abs().amax(dim=(0, 2, 3)) > 1e-7
    assert (reads.sum(dim=1) == 1).all(), f"query heads read several heads of keys: {reads}"
    return reads.int().argmax(dim=1).tolist()



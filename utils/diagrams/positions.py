"""Pictures of lesson 09: two orders of one sentence, clocks, turned queries and keys, windows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle, Wedge
from torch import Tensor

from utils.diagrams.primitives import (
    GREY,
    KEY,
    LARGER,
    MASK,
    PAPER,
    QUERY,
    RESIDUAL,
    SMALL,
    VALUE,
    WEIGHT,
    Place,
    arrow,
    cut_to,
    frame,
    grid,
    mix,
    number,
    plate,
    say,
    sheet,
    tensor_of,
    words_of,
)
from utils.variants import rotate

MOST_WORDS, MOST_FEATURES, MOST_PAIRS, MOST_PANELS = 6, 6, 4, 4
SAME = 5e-3    # what two decimals cannot show


def two_orders(
    words: Sequence[str], vectors: Tensor, shuffled: Sequence[str], others: Tensor
) -> Figure:
    """Draw a sentence and its shuffle, and join the two vectors of each word.

    words, shuffled: the same words in two orders    vectors, others: (n_words, n_features), what
    the attention gives for each. A grey line joins equal vectors, a red one vectors that differ.
    """
    vectors = tensor_of("vectors", vectors, None, None)
    others = tensor_of("others", others, *vectors.shape)
    words = words_of("words", words, len(vectors), most=MOST_WORDS)
    shuffled = words_of("shuffled", shuffled, len(vectors), most=MOST_WORDS)
    if len(set(words)) < len(words) or set(words) != set(shuffled):
        raise ValueError(f"{shuffled} is no other order of {words}, each word once")
    if vectors.size(1) > MOST_FEATURES:
        raise ValueError(f"a vector has {vectors.size(1)} features; the page has room for "
                         f"{MOST_FEATURES}")
    tall = 0.27 * vectors.size(1)
    place_of = [shuffled.index(word) for word in words]
    apart = [(vectors[i] - others[j]).norm().item() for i, j in enumerate(place_of)]
    differ = sum(distance > SAME for distance in apart)
    title = (
        f"In another order, {differ} of {len(words)} vectors differ" if differ
        else "In another order, each word still has the same vector"
    )
    height = 3.15 + 2 * tall
    ax = sheet(9, height, title)
    upper = row_of_vectors(ax, height - 0.95, words, vectors, tall)
    lower = row_of_vectors(ax, 0.55 + tall + 0.35, shuffled, others, tall, distance={
        j: apart[i] for i, j in enumerate(place_of)})
    for i, j in enumerate(place_of):
        colour, line = (RESIDUAL.line, 2.4) if apart[i] > SAME else (GREY, 1.2)
        start, (x, y) = upper[i].bottom, lower[j].top
        arrow(ax, start, (x, y + 0.36), colour=colour, width=line, head=False)
    return ax.figure


def row_of_vectors(
    ax: Axes, y: float, words: Sequence[str], vectors: Tensor, tall: float,
    distance: dict[int, float] | None = None,
) -> list[Place]:
    """Draw words in a line at y, each over its vector; returns the places of the vectors."""
    places, pitch = [], 8.4 / len(words)
    span = (-1.2 * vectors.abs().max().item() - 1e-9, 1.2 * vectors.abs().max().item() + 1e-9)
    for i, (word, vector) in enumerate(zip(words, vectors)):
        x = 0.3 + pitch * (i + 0.5)
        plate(ax, x, y, word, width=min(pitch - 0.2, 1.1))
        column, cell = vector.unsqueeze(1), (0.62, tall / len(vector))
        places.append(grid(ax, x, y - 0.2 - tall / 2, column, VALUE, cell, digits=2, span=span))
        if distance:
            text = f"distance {number(distance[i], 2)}"
            say(ax, x, y - 0.2 - tall - 0.2, text, SMALL, GREY)
    return places


def clocks(table: Tensor, words: Sequence[str], pairs: Sequence[int]) -> Figure:
    """Draw sinusoidal positions as the hands of clocks: a pair of features is the tip of a hand.

    table: (n_words, d_model), sines and cosines in turn    words: one for each position
    pairs: which pairs of features to show, from fast to slow
    """
    table = tensor_of("table", table, None, None)
    words = words_of("words", words, len(table), most=MOST_WORDS)
    pairs = [int(pair) for pair in pairs]
    if not 0 < len(pairs) <= MOST_PAIRS or min(pairs) < 0 or 2 * max(pairs) + 1 >= table.size(1):
        raise ValueError(f"pairs {pairs}: want 1 to {MOST_PAIRS} of the {table.size(1) // 2} pairs "
                         f"of a table {tuple(table.shape)}")
    hands = torch.stack([table[:, 0::2][:, pairs], table[:, 1::2][:, pairs]], dim=-1)
    if (hands.norm(dim=-1) - 1).abs().max() > 1e-3:
        raise ValueError("a pair of the table is no hand of length 1: want sine and cosine in turn")
    pitch, radius = 1.15, 0.36
    height = 2 + pitch * len(pairs)
    ax = sheet(9, height, "A position is what a row of clocks shows: some run fast, some slowly")
    first, step = 2.75, 5.7 / max(len(words) - 1, 4)
    for line, pair in enumerate(pairs):
        y = height - 2 - pitch * line
        say(ax, 0.3, y + 0.13, f"features {2 * pair}, {2 * pair + 1}", align="left")
        if len(words) > 1:
            turn = (turn_of(*hands[1, line].tolist()) - turn_of(*hands[0, line].tolist())) % 360
            text = f"{number(turn, 1)}° per word"
            say(ax, 0.3, y - 0.13, text, SMALL, GREY, "left")
        say(ax, 0.3, y - 0.53, "sine, cosine", SMALL, align="left")
        for pos, (sine, cosine) in enumerate(hands[:, line].tolist()):
            x, turned = first + step * pos, 90 - turn_of(sine, cosine)
            ax.add_patch(Circle((x, y), radius, facecolor=PAPER, edgecolor=MASK.line))
            ax.add_patch(Wedge((x, y), radius - 0.02, turned, 90, color=mix(WEIGHT.fill, 0.35)))
            arrow(ax, (x, y), (x + radius * sine, y + radius * cosine), width=2)
            say(ax, x, y - 0.53, f"{number(sine, 2)}, {number(cosine, 2)}", SMALL)
    for pos, word in enumerate(words):
        plate(ax, first + step * pos, height - 0.9, word, width=min(step - 0.12, 0.9))
        say(ax, first + step * pos, height - 1.23, f"position {pos}", SMALL, GREY)
    return ax.figure


def turn_of(sine: float, cosine: float) -> float:
    """Return the angle in degrees, from 0 to 360."""
    return math.degrees(math.atan2(sine, cosine)) % 360


def rotary(q: Tensor, k: Tensor, places: Sequence[tuple[int, int]], names="qk") -> Figure:
    """Draw one query and one key, turned by their positions, and the score of each pair.

    q, k: (2,), one pair of features    places: positions of query and key, for each panel
    names: what is written at the tips, two short words
    """
    q, k = tensor_of("q", q, 2), tensor_of("k", k, 2)
    if not 0 < len(places) <= MOST_PANELS:
        raise ValueError(f"{len(places)} panels; the page has room for 1 to {MOST_PANELS}")
    if min(q.norm(), k.norm()) < 1e-6:
        raise ValueError("q or k has length 0 and points nowhere")
    asks, asked = words_of("names", list(names), 2)
    ax = sheet(9, 4.4, "Rotary: turn q and k by their positions, and only their distance counts")
    radius, y0 = 0.75, 2.4
    inch = radius / max(q.norm(), k.norm()).item()
    for panel, (here, there) in enumerate(places):
        x0 = 9 * (panel + 0.5) / len(places)
        now_q, now_k = rotate(q[None], here)[0], rotate(k[None], there)[0]
        ends = [turn_of(y, x) for x, y in (now_k, now_q)]
        if (ends[1] - ends[0]) % 360 > 180:
            ends.reverse()
        ax.add_patch(Circle((x0, y0), radius, fill=False, edgecolor=MASK.line, linewidth=0.8))
        ax.add_patch(Wedge((x0, y0), 0.35 * radius, *ends, color=mix(WEIGHT.fill, 0.45)))
        for before, now, role, name in [(q, now_q, QUERY, asks), (k, now_k, KEY, asked)]:
            (x, y), (dx, dy) = (before * inch).tolist(), (now / now.norm() * 0.17).tolist()
            arrow(ax, (x0, y0), (x0 + x, y0 + y), colour=role.fill, dashed=True)
            x, y = (now * inch).tolist()
            arrow(ax, (x0, y0), (x0 + x, y0 + y), colour=role.line, width=2.8)
            tip = say(ax, x0 + x + dx, y0 + y + dy, name, LARGER, role.line)
            cut_to(tip, 0.5)
        say(ax, x0, 3.6, f"q at {here}, k at {there}", LARGER)
        say(ax, x0, 1.2, f"distance {number(here - there)}")
        say(ax, x0, 0.95, f"angle {number((ends[1] - ends[0]) % 360)}°")
        say(ax, x0, 0.63, f"score {number(now_q @ now_k, 2)}", 12, bold=True)
    say(ax, 0.3, 0.25, "dashed: before the turn", SMALL, GREY, "left")
    return ax.figure


def distances(trained: Tensor, masks: dict[str, Tensor]) -> Figure:
    """Draw which distances each mask lets a query see, beside those that training showed.

    trained: (seq_len, seq_len), the mask of training    masks: a name for each larger mask
    Dark: a distance that training showed. Red: one that it never showed. White: hidden.
    """
    trained = tensor_of("trained", trained, None, None)
    if not 0 < len(masks) <= 3:
        raise ValueError(f"{len(masks)} masks; the page has room for 1 to 3")
    masks = {name: tensor_of(name, mask, None, None) for name, mask in masks.items()}
    longest = max(*(max(mask.shape) for mask in masks.values()), *trained.shape)
    if longest > 120:
        raise ValueError(f"{longest} positions; the page has room for 120")
    known = set(offsets_of(trained))
    new = {name: sum(d not in known for d in offsets_of(mask)) for name, mask in masks.items()}
    panels = {"training": trained, **masks}
    ax = sheet(9, 4.3, "In a longer text, a word meets distances that it was never trained on"
               if any(new.values()) else "No distance is new")
    side, top, pitch = 2.5 / longest, 3.3, 8.6 / len(panels)
    for panel, (name, mask) in enumerate(panels.items()):
        left = 0.3 + pitch * panel + (pitch - 2.5) / 2
        for r, row in enumerate(mask.bool().tolist()):
            for begin, end, is_known in runs_of(row, r, known):
                role = WEIGHT if is_known else RESIDUAL
                low = left + begin * side, top - (r + 1) * side
                size = (end - begin) * side, side
                ax.add_patch(Rectangle(low, *size, color=role.line, linewidth=0, zorder=3))
        rows, columns = mask.shape
        page = Place(left + columns * side / 2, top - rows * side / 2, columns * side, rows * side)
        frame(ax, page, MASK.line, 0.8)
        say(ax, page.x, top + 0.25, name, LARGER)
        fresh = sum(d not in known for d in offsets_of(mask))
        text = f"{rows} words, {fresh} new distances"
        say(ax, left, page.bottom[1] - 0.2, text, align="left")
    text = "a row asks, a column is looked at.  dark: distance seen in training   red: never seen"
    say(ax, 0.3, 0.25, text, SMALL, GREY, "left")
    return ax.figure


def offsets_of(mask: Tensor) -> list[int]:
    """Return the distances, query minus key, that a mask lets through, each once."""
    pairs = mask.bool().nonzero().tolist()
    return sorted({query - key for query, key in pairs})


def runs_of(row: list[bool], query: int, known: set[int]) -> list[tuple[int, int, bool]]:
    """Return (begin, end, known) of each run of visible keys of one sort in a row of a mask."""
    runs = []
    for key, visible in enumerate(row):
        sort = query - key in known
        if not visible:
            continue
        if runs and runs[-1][1] == key and runs[-1][2] == sort:
            runs[-1] = (runs[-1][0], key + 1, sort)
        else:
            runs.append((key, key + 1, sort))
    return runs

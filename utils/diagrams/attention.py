"""Pictures of one attention head: who asks whom, every number on the way, and where a head sits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor, nn

from utils.attention import masked_softmax, scaled_dot_product_attention
from utils.diagrams.primitives import (
    GREY,
    HEADS,
    INK,
    KEY,
    LARGER,
    MODULE,
    NORMAL,
    QUERY,
    RESIDUAL,
    SMALL,
    VALUE,
    WEIGHT,
    Place,
    Point,
    Role,
    arrow,
    bent,
    box,
    circle,
    cut_to,
    disc,
    frame,
    grid,
    mask_grid,
    number,
    plate,
    say,
    shape,
    sheet,
    strip,
    tensor_of,
    words_above,
    words_beside,
    words_of,
)

CELL = 0.34  # the height of a cell with a number in it


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same numbers, up to rounding."""
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-4)


def breadth(ax: Axes, text: str, size: float = NORMAL) -> float:
    """Return how many inches a text is wide."""
    words = say(ax, 0, 0, text, size, parse_math=False)
    wide = words.get_window_extent().width / ax.figure.dpi
    words.remove()
    return wide


# ---- one word asks ----


def asking(
    q: Tensor, k: Tensor, v: Tensor, weights: Tensor, words: Sequence[str], asks: int,
    places: Sequence[str], contents: Sequence[str],
) -> Figure:
    """Draw one word asking all words of its sentence, itself too, and what comes back.

    q, k: (seq_len, d_k), one number for each of `places`    v: (seq_len, d_v), for `contents`
    weights: (seq_len, seq_len), the softmax of q·k, divided or not    asks: which word asks
    """
    q, k = tensor_of("q", q, None, None), tensor_of("k", k, None, None)
    v = tensor_of("v", v, len(k), None)
    q = tensor_of("q", q, *k.shape)
    weights = tensor_of("weights", weights, len(k), len(k))
    words = words_of("words", words, len(k), most=8)
    places = words_of("places", places, k.size(1))
    contents = words_of("contents", contents, v.size(1))
    if not any(same(weights, (q @ k.T / by).softmax(-1)) for by in (1, k.size(1) ** 0.5)):
        raise ValueError("weights are not the softmax of these queries and keys")
    context, weights = weights[asks] @ v, weights[asks]
    own, wanted = places[k[asks].argmax()], places[q[asks].argmax()]

    ax = sheet(9, 5.5, "A query asks, a key is found, a value is handed over")
    step = 8.12 / len(k)
    xs = [0.77 + step * (i + 0.5) for i in range(len(k))]
    middle, most = sum(xs) / len(xs), max(q.abs().max().item(), 1e-6)
    query_y, key_y, word_y, value_y, context_y = 4.45, 2.95, 2.42, 1.88, 0.55
    query = strip(ax, middle, query_y, q[asks], QUERY, 0.98, 0.2, largest=most)
    asker = plate(ax, middle - 2.3, query_y, words[asks], width=1)
    arrow(ax, asker.right, query.left, colour=QUERY.line)
    note = f"query of {own}: I look for {wanted}"
    cut_to(say(ax, query.x, query_y + 0.25, note, colour=QUERY.line, parse_math=False), 7)
    largest = max(v.abs().max().item(), 1e-6)
    answer = strip(ax, middle, context_y, context, VALUE, 0.9, 0.2, largest=largest)
    note = f"context: {number(context.max(), 2)} of it is {contents[context.argmax()]}"
    note = say(ax, answer.right[0] + 0.15, context_y, note, colour=VALUE.line, align="left",
               parse_math=False)
    cut_to(note, 3.6)
    for y, name, colour in [
        (key_y, "keys", KEY.line), (word_y, "words", GREY), (value_y, "values", VALUE.line),
        ((query_y + key_y) / 2 + 0.1, "weights", INK),
    ]:
        say(ax, 0.2, y, name, colour=colour, align="left")
    for i, x in enumerate(xs):
        share, width = weights[i].item(), 0.8 + 9 * weights[i].item()
        key = strip(ax, x, key_y, k[i], KEY, 0.84, 0.18, largest=max(k.abs().max().item(), 1e-6))
        plate(ax, x, word_y, words[i], size=SMALL, width=0.94)
        value = strip(ax, x, value_y, v[i], VALUE, 0.72, 0.18, largest=largest)
        name = say(ax, x, value_y - 0.23, contents[v[i].argmax()], SMALL, VALUE.line,
                   parse_math=False)
        cut_to(name, 0.9)
        name = say(ax, x, key.top[1] + 0.14, f"I am {places[k[i].argmax()]}", SMALL, KEY.line,
                   parse_math=False)
        cut_to(name, 0.95)
        top = key.top[1] + 0.28
        (x0, y0), half = query.bottom, (query_y + top) / 2
        arrow(ax, bent((x0, y0), (x0, half), (x, half), (x, top)), width=width)
        say(ax, x + 0.12 + width / 100, top + 0.2, number(share, 2), SMALL, align="left")
        low = value.bottom[1] - 0.22
        start, (x1, y1) = (x, low - 0.1), answer.top
        half = (start[1] + y1) / 2
        way = bent(start, (x, half), (x1, half), (x1, y1 + 0.03))
        arrow(ax, way, colour=VALUE.line, width=width)
    return ax.figure


# ---- who may look where ----


def may_look(words: Sequence[str], mask: Tensor, wanted: Tensor) -> Figure:
    """Draw a mask with the words on both axes, and a frame where each word's answer stands.

    mask, wanted: (seq_len, seq_len), bool: who may look where, and where they would want to
    """
    words = words_of("words", words, most=8)
    mask = tensor_of("mask", mask, len(words), len(words)).bool()
    wanted = tensor_of("wanted", wanted, len(words), len(words)).bool()
    n_seen = (wanted & mask).any(-1).sum()
    ax = sheet(9, 4.6, f"Word by word, only {n_seen} of {len(words)} answers can be seen")
    place = mask_grid(ax, 3.1, 1.75, mask, 2.66 / len(words))
    words_beside(ax, place, words, QUERY.line)
    words_above(ax, place, words, KEY.line, turned=True)
    for i, j in wanted.nonzero().tolist():
        frame(ax, place.cell(i, j), QUERY.line, 2.6, gap=-0.03)
    say(ax, 5.35, 3.3, "a row asks", colour=QUERY.line, align="left")
    say(ax, 5.35, 3.0, "a column is looked at", colour=KEY.line, align="left")
    legend = [
        (2.35, True, False, "may look: itself and earlier words"),
        (1.85, False, False, "may not look: later words"),
        (1.35, True, True, "here stands its answer: can be seen"),
        (0.85, False, True, "here stands its answer: hidden"),
    ]
    for y, looks, framed, meaning in legend:
        cell = mask_grid(ax, 5.55, y, torch.tensor([[looks]]), 0.34)
        if framed:
            frame(ax, cell, QUERY.line, 2.6, gap=-0.03)
        say(ax, 5.9, y, meaning, align="left")
    return ax.figure


# ---- every number between q, k, v and the context ----


def attention_pipeline(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, words: Sequence[str],
    keys: Sequence[str] | None = None, followed: int | None = None,
) -> Figure:
    """Draw every array between q, k, v and the context, with one query followed through.

    q: (tgt_len, d_k)    k: (src_len, d_k)    v: (src_len, d_v)
    mask: (tgt_len, src_len), bool, or None    words: tgt_len names
    keys: src_len names, where those that are looked at are others    followed: the framed row
    Up to 6 words, d_k up to 6, d_v up to 4. Small whole numbers in q, k and v read best.
    """
    q = tensor_of("q", q, None, None)
    k = tensor_of("k", k, None, q.size(1))
    v = tensor_of("v", v, len(k), None)
    if q.size(1) > 6 or v.size(1) > 4:
        raise ValueError(f"the page has room for d_k up to 6 and d_v up to 4: got {q.size(1)} and "
                         f"{v.size(1)}")
    words = words_of("words", words, len(q), most=6)
    keys = words_of("keys", words if keys is None else keys, len(k), most=6)
    seen = torch.ones(len(q), len(k)) if mask is None else mask
    seen = tensor_of("mask", seen, len(q), len(k)).bool()
    if not seen.any(-1).all():
        raise ValueError("each word must be allowed to look at one word at least")
    followed = max(len(q) - 2, 0) if followed is None else range(len(q))[followed]
    scores = q @ k.T
    scaled = scores / q.size(1) ** 0.5
    context, weights = scaled_dot_product_attention(q, k, v, seen)
    torch.testing.assert_close(masked_softmax(scaled, seen), weights)

    arrays = [
        # name, tensor, role, digits, axes
        ("queries q", q, QUERY, whole(q), "(tgt_len, d_k)"),
        ("keys, turned: kᵀ", k.T, KEY, whole(k), "(d_k, src_len)"),
        ("scores", scores, WEIGHT, whole(scores), "(tgt_len, src_len)"),
        ("scaled", scaled, WEIGHT, 1, "(tgt_len, src_len)"),
        ("masked", scaled, WEIGHT, 1, "(tgt_len, src_len)"),
        ("weights", weights, WEIGHT, 2, "(tgt_len, src_len)"),
        ("values v", v, VALUE, whole(v), "(src_len, d_v)"),
        ("context", context, VALUE, 1, "(tgt_len, d_v)"),
    ]
    widths = [max(t.size(1) * cell_width(t, d), 1.05) for _, t, _, d, _ in arrays]
    ax = sheet(1, 1, "")
    beside = [max(breadth(ax, w) for w in names) + 0.1 for names in (words, keys)]
    turned = any(breadth(ax, w) > 0.4 for w in keys)
    high = max(breadth(ax, w) for w in keys) * 0.72 + 0.1 if turned else 0.2
    plt.close(ax.figure)
    upper = [beside[0], 0.5, 0.5, 0.85]      # inches in front of each array of the upper row
    lower = [beside[0], 0.95, beside[1] + 0.85, 0.5]
    lengths = [0.5 + sum(gaps) + sum(some) for gaps, some in
               [(upper, widths[:4]), (lower, widths[4:])]]
    wide = max(9, *lengths)
    first, second = (CELL * max(sizes) / 2 for sizes in [(len(q), q.size(1)), (len(q), len(k))])
    below = 0.55 + second
    above = below + second + high + 1.35 + first
    ax = sheet(wide, above + first + high + 0.95, "Attention, number by number: each row shares "
               "out 1 among what it may see")

    places = {}
    rows = [(above, upper, arrays[:4], widths[:4], lengths[0]),
            (below, lower, arrays[4:], widths[4:], lengths[1])]
    for y, gaps, some, sizes, length in rows:
        x = 0.25
        extra = (wide - length) / 4
        for gap, size, (name, tensor, role, digits, axes) in zip(gaps, sizes, some):
            x += gap + (0 if name in ("queries q", "masked") else extra)
            middle = x + size / 2
            visible = seen if name in ("masked", "weights") else None
            span = (0, 1) if name == "weights" else None
            cell = cell_width(tensor, digits), CELL
            place = places[name] = grid(ax, middle, y, tensor, role, cell, digits, span, visible)
            shape(ax, place, axes, tensor)
            has_keys = axes.endswith("src_len)")
            top = place.top[1] + (high + 0.2 if has_keys else 0.18)
            say(ax, middle, top, name, LARGER, role.line)
            if has_keys:
                words_above(ax, place, keys, turned=turned)
            if name in ("queries q", "masked", "values v"):
                words_beside(ax, place, keys if name == "values v" else words)
            x += size

    for left, right, sign in [
        ("queries q", "keys, turned: kᵀ", "×"), ("keys, turned: kᵀ", "scores", "="),
        ("values v", "context", "="),
    ]:
        say(ax, (places[left].right[0] + places[right].left[0]) / 2, places[left].y, sign, 14)
    x = (places["weights"].right[0] + 0.35 + places["values v"].left[0] - beside[1]) / 2
    say(ax, x, below, "×", 14)
    for start, end, text in [
        ("scores", "scaled", f"÷ √{q.size(1)}"), ("masked", "weights", "softmax"),
    ]:
        x0, x1, y = places[start].right[0] + 0.1, places[end].left[0] - 0.1, places[end].y
        arrow(ax, (x0, y), (x1, y))
        say(ax, (x0 + x1) / 2, y + 0.16, text)
    (x0, y0), (x1, y1) = places["scaled"].bottom, places["masked"].top
    turn = above - first - 0.58
    arrow(ax, (x0, y0 - 0.46), (x0, turn), (x1, turn), (x1, y1 + high + 0.32))
    text = "hide what may not be seen" if mask is not None else "no mask"
    say(ax, (x0 + x1) / 2, turn - 0.15, text)
    for name in ("queries q", "scores", "scaled", "masked", "weights", "context"):
        frame(ax, places[name].row(followed), QUERY.line, 2.4)
    for r, row in enumerate(weights):
        x, y = places["weights"].row(r).right
        say(ax, x + 0.08, y, f"= {number(row.sum())}", SMALL, GREY, "left")
    return ax.figure


def whole(tensor: Tensor) -> int:
    """Return how many decimals to write: none for whole numbers, else one."""
    return 0 if same(tensor, tensor.round()) else 1


def cell_width(tensor: Tensor, digits: int) -> float:
    """Return the width of a cell that holds each number of a tensor."""
    longest = max(len(number(value, digits)) for value in tensor.flatten().tolist())
    return max(0.36, 0.085 * longest + 0.09)


# ---- a head of width 2, whole ----


def planes(
    q: Tensor, k: Tensor, v: Tensor, days: Sequence[str], skies: Sequence[str]
) -> Figure:
    """Draw the queries, keys and values of a head of width 2, for each day under each sky.

    q, k, v: (n_days, n_skies, 2). An arrow is the mean query of a day under all skies.
    """
    days, skies = words_of("days", days, most=9), words_of("skies", skies, most=6)
    q, k, v = (tensor_of(name, t, len(days), len(skies), 2) for name, t in zip("qkv", (q, k, v)))
    scores = q.mean(1) @ k.mean(1).T
    ahead = (scores.argmax(-1) == (torch.arange(len(days)) + 1) % len(days)).sum()
    ax = sheet(9, 5.1, f"{ahead} of {len(days)} queries match the key of the next day best; "
               "a value shows the sky")
    y0, radius = 2.45, 1.4
    left, right = 2.35, 6.75
    q, k, v = (t * radius / t.norm(dim=-1).max().clamp(min=1e-6) for t in (q, k, v))
    for x0, name in [(left, "queries and keys"), (right, "values")]:
        say(ax, x0, 4.55, name, LARGER)
        disc(ax, x0, y0, radius=0.045)
    for d, day in enumerate(days):
        x, y = q[d].mean(0).tolist()
        far = math.hypot(x, y)
        if far < 0.05:
            continue
        aside = 0.17 / far
        arrow(ax, (left, y0), (left + x, y0 + y), colour=QUERY.line, width=2)
        say(ax, left + 0.6 * x + aside * y, y0 + 0.6 * y - aside * x, day, SMALL, QUERY.line,
            parse_math=False)
        points(ax, left, y0, k[d], KEY, day)
    for s, sky in enumerate(skies):
        points(ax, right, y0, v[:, s], VALUE, sky)
    for x, text, role in [
        (0.9, "arrow: query of a day", QUERY),
        (2.75, f"{len(skies)} dots: key of a day, under {len(skies)} skies", KEY),
        (6.0, f"{len(days)} dots: value of a sky, on {len(days)} days", VALUE),
    ]:
        say(ax, x, 0.35, text, SMALL, role.line, "left")
    return ax.figure


def points(ax: Axes, x0: float, y0: float, vectors: Tensor, role: Role, name: str) -> None:
    """Draw vectors as dots around (x0, y0), with a name on their far side."""
    for x, y in vectors.tolist():
        ax.add_patch(Circle((x0 + x, y0 + y), 0.05, color=role.line, linewidth=0, alpha=0.7))
    x, y = vectors.mean(0).tolist()
    out = 1 + 0.34 / max(math.hypot(x, y), 0.05)
    say(ax, x0 + x * out, y0 + y * out, name, NORMAL, role.line, parse_math=False)


# ---- who looks at whom around the week ----


def circles(
    scores: Sequence[Tensor], names: Sequence[str], days: Sequence[str]
) -> Figure:
    """Draw who looks at whom around a week, for one or two heads.

    scores: (n_days, n_days) for each head, in calendar order    names: of the heads
    """
    days, names = words_of("days", days, most=8), words_of("names", names, len(scores), most=2)
    n = len(days)
    if n < 3:
        raise ValueError(f"a circle wants three days or more, got {n}")
    scores = [tensor_of("scores", each, n, n) for each in scores]
    tomorrow = (torch.arange(n) + 1) % n
    found = [f"{(each.argmax(-1) == tomorrow).sum()} of {n}" for each in scores]
    told = ", ".join(f"{share} with {name}" for share, name in zip(found, names))
    ax = sheet(9, 5.2, f"Days that look at tomorrow: {told}")
    radius, y0 = 1.3, 2.4
    turns = [math.pi / 2 - 2 * math.pi * d / n for d in range(n)]
    for column, (name, each) in enumerate(zip(names, scores)):
        x0, weights = 2.35 + 4.3 * column, each.softmax(dim=-1)

        def at(turn: float, far: float, x0: float = x0) -> Point:
            """Return a point so many radiuses from the middle."""
            return x0 + far * radius * math.cos(turn), y0 + far * radius * math.sin(turn)

        say(ax, x0, 4.55, name, LARGER)
        best = each.argmax(-1)
        for d, turn in enumerate(turns):
            plate(ax, *at(turn, 1), days[d], width=0.5, height=0.28)
            colour = INK if best[d] == tomorrow[d] else RESIDUAL.line
            ahead = number(each[d, tomorrow[d]].item(), 1)
            say(ax, *at(turn - math.pi / n, 1.3), ahead, NORMAL, colour)
            for j, share in enumerate(weights[d].tolist()):
                if share < 0.05:
                    continue
                width, steps = 0.8 + 3.4 * share, (j - d) % n
                gap = 2 * math.pi / n
                if steps == 0:
                    way = bent(at(turn + 0.12, 1.14), at(turn + 0.3, 1.55),
                               at(turn - 0.3, 1.55), at(turn - 0.12, 1.14))
                elif steps == 1:
                    way = bent(at(turn - 0.26 * gap, 1.03), at(turn - 0.41 * gap, 1.06),
                               at(turn - 0.59 * gap, 1.06), at(turn - 0.74 * gap, 1.03))
                else:
                    way = bent(at(turn, 0.85), at(turn, 0.5), at(turns[j], 0.5), at(turns[j], 0.85))
                arrow(ax, way, colour=INK if steps == 1 else RESIDUAL.line, width=width)
    note = "Arrow: where a day looks.  Number: the score of a day with its tomorrow, q·k / √d_k."
    say(ax, 0.25, 0.35, note, SMALL, GREY, "left")
    return ax.figure


# ---- a word of a real sentence looks at the others ----


def looks(
    sentences: Sequence[Sequence[str]], weights: Sequence[Tensor], asks: Sequence[int],
    notes: Sequence[str],
) -> Figure:
    """Draw where one word of each sentence looks: arrows as thick as the weights, from 0.05.

    sentences: up to 4 lists of up to 16 words    weights: for each sentence one number a word
    asks: the place of the word that asks    notes: what stands under it, such as its answer
    """
    notes = words_of("notes", notes, len(sentences), most=4)
    if not len(weights) == len(asks) == len(sentences):
        raise ValueError(f"{len(sentences)} sentences want as many weights and askers, got "
                         f"{len(weights)} and {len(asks)}")
    sentences = [words_of("a sentence", words, most=16) for words in sentences]
    weights = [tensor_of("weights", w, len(s)) for w, s in zip(weights, sentences)]
    ax = sheet(1, 1, "")
    widths = [[max(breadth(ax, w) + 0.16, 0.36) for w in words] for words in sentences]
    plt.close(ax.figure)
    wide = max(9, 0.6 + max(sum(row) + 0.1 * len(row) for row in widths))
    favoured = ", ".join(words[w.argmax()] for words, w in zip(sentences, weights))
    ax = sheet(wide, 1.25 * len(sentences) + 0.75, f"Where the gap looks first: {favoured}")
    for r, (words, row, share, asker) in enumerate(zip(sentences, widths, weights, asks)):
        y, x, spots = 1.25 * (len(sentences) - 1 - r) + 0.62, 0.3, []
        for word, width in zip(words, row):
            spots.append(plate(ax, x + width / 2, y, word, width=width))
            x += width + 0.1
        source = spots[asker]
        frame(ax, source, QUERY.line, 2)
        say(ax, source.x, y - 0.3, notes[r], NORMAL, VALUE.line, parse_math=False)
        for j, part in enumerate(share.tolist()):
            if part < 0.05 or j == asker:
                continue
            say(ax, spots[j].x, y - 0.3, number(part, 2), SMALL)
            (x0, y0), (x1, y1) = source.top, spots[j].top
            x0 += 0.1 * (1 if j > asker else -1)
            up = y0 + min(0.16 + 0.07 * abs(x1 - x0), 0.5)
            way = bent((x0, y0), (x0, up), (x1, up), (x1, y1 + 0.02))
            arrow(ax, way, width=0.8 + 4.5 * part)
    return ax.figure


# ---- where a head sits ----


def where_a_head_sits(encoder: nn.TransformerEncoder) -> Figure:
    """Draw the layers of a Transformer encoder, one of them opened, one of its heads opened.

    encoder: torch's own; the numbers of layers, heads and sizes are read from it
    """
    if not isinstance(encoder, nn.TransformerEncoder):
        raise ValueError(f"want an nn.TransformerEncoder, got {type(encoder).__name__}")
    layer = encoder.layers[0]
    n_layers, n_heads = len(encoder.layers), layer.self_attn.num_heads
    d_model, d_k = layer.self_attn.embed_dim, layer.self_attn.head_dim
    if n_layers > 8 or n_heads > 8:
        raise ValueError(f"the page has room for 8 layers of 8 heads: got {n_layers}, {n_heads}")
    ax = sheet(9, 5.4, f"You built 1 of {n_heads} heads in 1 of {n_layers} layers: "
               f"this encoder has {n_layers * n_heads}")
    stack, step = [], 3.3 / n_layers
    for i in range(n_layers):
        y = 1.05 + step * (i + 0.5)
        role = QUERY if i == n_layers // 2 else MODULE
        stack.append(box(ax, 1.2, y, f"layer {i + 1}", role, 1.3, min(0.36, 0.8 * step)))
    words = plate(ax, 1.2, 0.55, "word vectors", width=1.3)
    for low, high in itertools.pairwise([words, *stack]):
        arrow(ax, low.top, high.bottom, width=1)
    arrow(ax, stack[-1].top, (1.2, stack[-1].top[1] + 0.3))
    opened = stack[n_layers // 2]

    x, width = 4.25, 2.7
    area = Place(x, 2.68, width + 0.5, 4.0)
    frame(ax, area, QUERY.line, 1.4)
    for corner in (1, 0):
        arrow(ax, opened.right, area.at(0, corner), colour=QUERY.line, width=0.8, head=False)
    say(ax, x, 4.48, "one layer", LARGER, QUERY.line)
    heads = []
    for i in range(n_heads):
        fill, ink = HEADS[i % len(HEADS)]
        each = width / n_heads
        role = Role(GREY, fill)
        heads.append(box(ax, x - width / 2 + each * (i + 0.5), 1.62, "", role, 0.8 * each, 0.42))
        say(ax, heads[-1].x, 1.62, str(i + 1), SMALL, ink)
    mine = heads[-1]
    frame(ax, mine, RESIDUAL.line, 2, gap=0.03)
    join = box(ax, x, 2.32, "side by side, then $W^O$", width=width, badge="08")
    plus = circle(ax, x, 2.8, "+")
    forward = box(ax, x, 3.3, "feed-forward", width=width, badge="10")
    second = circle(ax, x, 3.78, "+")
    arrow(ax, (x, 0.9), (x, 1.36))
    for head in heads:
        arrow(ax, head.top, (head.x, join.bottom[1]), width=0.8)
    for low, high in [(join, plus), (plus, forward), (forward, second)]:
        arrow(ax, low.top, high.bottom)
    arrow(ax, second.top, (x, 4.3))
    edge = x - width / 2 - 0.12
    for start, end in [((x, 1.12), plus), ((x, 3.03), second)]:
        arrow(ax, start, (edge, start[1]), (edge, end.y), end.left, colour=RESIDUAL.line)

    x, width = 7.6, 2.1
    area = Place(x, 2.68, width + 0.3, 4.0)
    frame(ax, area, RESIDUAL.line, 1.4)
    for corner in (1, 0):
        arrow(ax, mine.at(1, 0.5), area.at(0, corner), colour=RESIDUAL.line, width=0.8, head=False)
    say(ax, x, 4.48, "one head: SelfAttention", LARGER, RESIDUAL.line)
    maps = []
    for i, (letter, role) in enumerate([("Q", QUERY), ("K", KEY), ("V", VALUE)]):
        maps.append(box(ax, x + 0.7 * (i - 1), 1.62, f"$W^{letter}$", role, 0.56, 0.42))
        arrow(ax, (maps[-1].x, 1.0), maps[-1].bottom, width=0.8)
    say(ax, x, 0.84, f"words, {d_model} numbers each", SMALL, GREY)
    formula = box(ax, x, 2.6, "softmax( q kᵀ / √$d_k$ ) v", width=width, height=0.5)
    for place in maps:
        arrow(ax, place.top, (place.x, formula.bottom[1]), width=0.8)
    say(ax, x, 3.35, f"context, {d_k} numbers each", SMALL, GREY)
    arrow(ax, formula.top, (x, 3.22))
    say(ax, x, 3.95, f"3 × {d_model} × {d_k} parameters", SMALL, GREY)
    note = "Disc: the lesson that builds it.  Not drawn: positions (09) and LayerNorm (10)."
    say(ax, 2.65, 0.3, note, SMALL, GREY, "left")
    return ax.figure

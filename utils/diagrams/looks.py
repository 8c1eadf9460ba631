"""Pictures of lesson 05: one look by numbers, a map while it is learned, two orders of a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from utils.attention import masked_softmax
from utils.diagrams.primitives import (
    GREY,
    INK,
    LARGER,
    MEMORY,
    MODULE,
    NORMAL,
    QUERY,
    SMALL,
    STATE,
    VALUE,
    WEIGHT,
    Place,
    Role,
    arrow,
    box,
    cut_to,
    frame,
    grid,
    number,
    plate,
    say,
    shape,
    sheet,
    strip,
    tensor_of,
    words_of,
)

# ---- one look, as a reckoning on paper ----


def look_back(query: Tensor, memory: Tensor, words: Sequence[str]) -> Figure:
    """Draw one look: the score of each state, its share of 1, and the mean that comes out.

    query: (2,)    memory: (src_len, 2), what is compared and what is mixed    words: src_len
    """
    query, memory = tensor_of("query", query, 2), tensor_of("memory", memory, None, 2)
    words = words_of("words", words, len(memory), most=5)
    scores = memory @ query  # (src_len,)
    weights = masked_softmax(scores.unsqueeze(0))[0]  # (src_len,)
    context = weights @ memory  # (2,)
    floor, pitch = 1.75, 0.66
    ceiling = floor + pitch * (len(words) - 1)
    title = "One look: the state that fits the query best is most of the mean"
    ax = sheet(9, ceiling + 1.35, title)

    middle = (floor + ceiling) / 2
    asks = grid(ax, 0.85, middle, query, QUERY, digits=digits_of(query))
    say(ax, asks.x, asks.top[1] + 0.2, "query", LARGER, QUERY.line)
    shape(ax, asks, "(d_model,)", query)

    digits = digits_of(memory)
    heads = [
        (2.75, "memory", MEMORY, "(src_len, d_model)", memory),
        (4.55, "score: query · state", WEIGHT, "(src_len,)", scores),
        (6.4, "weight (softmax)", WEIGHT, "(src_len,)", weights),
        (8.1, "weight × state", VALUE, "", context),
    ]
    for x, name, role, axes, tensor in heads:
        say(ax, x, ceiling + 0.48, name, LARGER, role.line)
        if axes:
            shape(ax, Place(x, 0.72), axes, tensor)
    for i, word in enumerate(words):
        y, share = ceiling - pitch * i, weights[i].item()
        state = grid(ax, 2.75, y, memory[i], MEMORY, digits=digits, span=span_of(memory))
        say(ax, state.left[0] - 0.1, y, word, NORMAL, GREY, "right", parse_math=False)
        pairs = zip(query.tolist(), memory[i].tolist())
        products = (f"{number(a, digits)}·{number(b, digits, factor=True)}" for a, b in pairs)
        say(ax, 4.95, y, " + ".join(products) + " =", NORMAL, align="right")
        say(ax, 5.3, y, number(scores[i], digits), LARGER, align="right")
        ax.add_patch(Rectangle((5.65, y - 0.12), 0.75 * share, 0.24, color=INK, linewidth=0))
        say(ax, 7.05, y, number(share, 3), LARGER, align="right")
        grid(ax, 8.1, y, share * memory[i], VALUE, (0.62, 0.34), 2, span_of(memory))

    for x0, x1, role in [(6.5, 7.1, WEIGHT), (7.45, 8.75, VALUE)]:
        arrow(ax, (x0, floor - 0.36), (x1, floor - 0.36), colour=role.line, head=False)
    say(ax, 7.05, floor - 0.6, number(weights.sum(), 3), LARGER, align="right")
    total = grid(ax, 8.1, floor - 0.66, context, VALUE, (0.62, 0.34), 2, span_of(memory))
    frame(ax, total, VALUE.line, 2)
    say(ax, total.left[0] - 0.12, total.y - 0.3, "context", LARGER, VALUE.line, "right")
    shape(ax, total, "(d_model,)", context)
    return ax.figure


def digits_of(tensor: Tensor) -> int:
    """Return how many decimals show a tensor: none for whole numbers."""
    return 0 if tensor.equal(tensor.round()) else 1


def span_of(tensor: Tensor) -> tuple[float, float]:
    """Return the smallest and the largest number of a tensor."""
    return tensor.min().item(), tensor.max().item()


# ---- where it looks while it learns ----


def maps_in_training(
    maps: Mapping[str, Tensor], alignment: Iterable[tuple[int, int]],
    src: Sequence[str], tgt: Sequence[str],
) -> Figure:
    """Draw the maps of one sentence at several moments, and last what belongs together.

    maps: a heading for each map (tgt_len, src_len)    alignment: pairs (source, target index)
    Cells that belong together are framed in every map.
    """
    src, tgt = words_of("src", src, most=14), words_of("tgt", tgt, most=20)
    gold = torch.zeros(len(tgt), len(src))
    for source, target in alignment:
        if not (0 <= source < len(src) and 0 <= target < len(tgt)):
            raise ValueError(f"the alignment has ({source}, {target}), outside the sentence")
        gold[target, source] = 1
    if not 0 < len(maps) <= 3:
        raise ValueError(f"the page has room for 1 to 3 maps, got {len(maps)}")
    panels = {name: tensor_of(name, m, len(tgt), len(src)) for name, m in maps.items()}
    side = min(0.16, 1.72 / len(src))
    left, height = 1.1, side * len(tgt)
    pitch = min(7.65 / (len(panels) + 1), max(side * len(src) + 0.6, 1.8))
    ax = sheet(9, height + 1.75, "Nobody points at the right words, and the looks move onto them")
    for i, (name, weights) in enumerate([*panels.items(), ("belongs together", gold)]):
        x, y = left + side * len(src) / 2 + pitch * i, height / 2 + 0.2
        place = grid(ax, x, y, weights, WEIGHT, (side, side), span=(0, 1))
        for target, source in gold.nonzero().tolist():
            frame(ax, place.cell(target, source), QUERY.line, 1.1)
        for column, word in enumerate(src):
            spot = place.cell(0, column).at(0.45, 1)
            options = {"rotation": 65, "rotation_mode": "anchor", "parse_math": False}
            head = say(ax, spot[0], spot[1] + 0.06, word, SMALL, GREY, "left", **options)
            cut_to(head, 0.6)
        say(ax, x, height + 1.12, name, LARGER)
        for row, word in enumerate(tgt if i == 0 else ()):
            spot = place.row(row).left
            beside = say(ax, spot[0] - 0.08, spot[1], word, NORMAL, GREY, "right", parse_math=False)
            cut_to(beside, left - 0.2)
    return ax.figure


# ---- two orders of one step ----


@torch.no_grad()
def two_decoders(
    luong: tuple, bahdanau: tuple, token: Tensor, words: tuple[str, str]
) -> Figure:
    """Draw one step of both decoders, in the order in which they use the same parts.

    luong, bahdanau: an AttentionDecoder and a BahdanauDecoder, each with its memory
    (1, src_len, d_model) and its old state (1, d_model)    token: (1, 1), the word that is read
    words: the word read and the word written
    """
    read_word, written_word = words_of("words", words, 2)
    ax = sheet(9, 6, "The same three parts.  Luong steps, then looks.  Bahdanau looks, then steps.")
    top, levels, bottom = 4.65, (3.75, 2.5, 1.25), 0.45
    columns = (0.1, "Luong 2015", luong), (4.5, "Bahdanau 2015", bahdanau)
    for left, name, (decoder, memory, state) in columns:
        memory = tensor_of("memory", memory, 1, None, None)
        state = tensor_of("state", state, 1, memory.size(2))
        if memory.size(1) > 5:
            raise ValueError(f"the page has room for 5 states, memory has {memory.size(1)}")
        steps_first = name.startswith("Luong")
        mask = torch.ones(1, 1, memory.size(1), dtype=torch.bool)
        _, new, weights = decoder(token, memory, mask, state)
        context, score = weights @ memory, type(decoder.score).__name__
        asked = decoder.score((new if steps_first else state).unsqueeze(1), memory)
        torch.testing.assert_close(masked_softmax(asked, mask), weights)  # this state did ask
        gru_y, look_y = levels[:2] if steps_first else levels[1::-1]
        word_x, state_x, gru_x, look_x, memory_x = (left + x for x in (0.55, 1.4, 0.98, 2.68, 4.03))

        def part(x: float, y: float, verb: str, what: str, role: Role) -> Place:
            """Draw one of the three parts, with its place in the order."""
            return box(ax, x, y, f"{verb}\n{what}", role, 1.55, 0.5, badge=str(levels.index(y) + 1))

        say(ax, left + 0.15, 5.3, name, 12, align="left")
        writer = decoder.combine if steps_first else decoder.out
        gru = part(gru_x, gru_y, "step", f"GRU reads {decoder.rnn.input_size}", STATE)
        look = part(look_x, look_y, "look", score, QUERY)
        write = part(left + 1.65, levels[2], "write", f"linear reads {writer.in_features}", MODULE)
        read = plate(ax, word_x, top, read_word, width=0.9)
        written = plate(ax, write.x, bottom, written_word, width=1.4)
        old = strip(ax, state_x, top, state, STATE, 0.6)
        after = strip(ax, gru_x, gru_y - 0.55, new, STATE)
        found = strip(ax, look_x, look_y - 0.55, context, VALUE)
        say(ax, state_x, top + 0.24, "old state", SMALL, STATE.line)
        say(ax, after.left[0] - 0.08, after.y, "new\nstate", SMALL, STATE.line, "right")
        say(ax, found.left[0] - 0.08, found.y, "context", SMALL, VALUE.line, "right")
        n, rise = memory.size(1), 1 / max(memory.size(1) - 1, 1)
        say(ax, memory_x, look_y + 0.5, "memory", SMALL, MEMORY.line)
        for i, share in enumerate(weights.flatten().tolist()):
            across = (n - 1) / 2 - i
            kept = strip(ax, memory_x, look_y + 0.5 * rise * across, memory[0, i], MEMORY)
            end = look.right[0], look_y + 0.34 * rise * across
            arrow(ax, kept.left, end, width=0.8 + 4 * share)

        query = (state_x, look_y), look.left
        if steps_first:
            query = after.right, (look_x + 0.1, after.y), (look_x + 0.1, look.top[1])
        else:
            arrow(ax, (look_x, gru_y), gru.right)
        arrow(ax, *query, colour=QUERY.line, width=2)
        say(ax, (query[0][0] + query[1][0]) / 2, query[0][1] + 0.14, "query", SMALL, QUERY.line)
        arrow(ax, read.bottom, (word_x, gru.top[1]))
        arrow(ax, old.bottom, (state_x, gru.top[1]))
        arrow(ax, gru.bottom, after.top)
        arrow(ax, look.bottom, found.top)
        arrow(ax, after.bottom, (gru_x, write.top[1]))
        arrow(ax, found.bottom, (look_x, write.y), write.right)
        arrow(ax, write.bottom, written.top)
    return ax.figure

"""Lesson 00: the course as a house, and what cutting a sentence into heads does to its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from torch import Tensor, nn

from utils.attention import merge_heads, split_heads
from utils.diagrams.primitives import (
    GREY,
    HEADS,
    LARGER,
    MEMORY,
    MODULE,
    PALE,
    QUERY,
    SMALL,
    STATE,
    WORD,
    Place,
    around,
    arrow,
    box,
    disc,
    grid,
    say,
    shape,
    sheet,
    tensor_of,
    words_beside,
    words_of,
)
from utils.diagrams.transformer import lessons_of_parts
from utils.recurrent import AttentionDecoder, RNNDecoder, RNNEncoder, Seq2Seq
from utils.transformer import Transformer

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
OF_TORCH = {"Embedding": "03", "GRU": "02"}  # torch's own, equal to what these lessons build
SMALLEST = {  # how each part is called in a small box
    "Embedding": "embedding", "GRU": "GRU", "DotScore": "look back",
    "SinusoidalPositions": "positions", "MultiHeadAttention": "heads",
    "FeedForward": "feed-forward", "LayerNorm": "norm",
}
TO_COME = ("translation", "inference", "one block many models", "the modern block",
           "looking inside", "bug clinic")  # lessons 12 to 17


def systems() -> dict[str, nn.Module]:
    """Return the three systems of the course, small and untrained: lesson and name, module."""
    recurrent = {
        "04  one vector": RNNDecoder, "05  attention": AttentionDecoder,
    }
    built = {name: Seq2Seq(RNNEncoder(9, 8), part(9, 8)) for name, part in recurrent.items()}
    return built | {"11  Transformer": Transformer(9, 9, 8, 2, 1, 16)}


def parts_of(module: nn.Module, lessons: Mapping[str, str]) -> dict[str, int]:
    """Return {class: how many} of the smallest built parts of an encoder or a decoder, in order.

    Taken apart until a class is one of SMALLEST; torch's own sums and drop-outs are left out.
    """
    found: dict[str, int] = {}
    for child in module.children():
        name = type(child).__name__
        inner = {name: 1} if name in SMALLEST and name in lessons else parts_of(child, lessons)
        for part, count in inner.items():
            found[part] = found.get(part, 0) + count
    return found


def course_house(lessons: Mapping[str, str] | None = None, folder: Path = NOTEBOOKS) -> Figure:
    """Draw the course: what all systems stand on, three systems side by side, what they share.

    lessons: the lesson that builds each class, read from the notebooks where not given
    folder: where the notebooks stand
    """
    lessons = OF_TORCH | dict(lessons_of_parts() if lessons is None else lessons)
    names = {p.stem[:2]: p.stem[3:].replace("_", " ") for p in folder.glob("[0-9][0-9]_*.ipynb")}
    names = {n: name.replace("bleu", "BLEU") for n, name in names.items()}
    names = {f"{n}": name for n, name in enumerate(TO_COME, start=12)} | names
    ax = sheet(9, 6.15, "Three translators, built from the same few parts")
    floor(ax, 0.25, 0.85, ["00", "01", "02", "03"], names, "what they all stand on")
    for column, (name, model) in enumerate(systems().items()):
        room(ax, 0.25 + 2.87 * column, 1.35, name, model, lessons)
    shared = "what they share: one loop trains them, one search writes, one score judges"
    floor(ax, 4.05, 0.85, ["06"], names, shared)
    roof(ax, 4.98, names)
    return ax.figure


def floor(
    ax: Axes, y: float, height: float, which: Sequence[str], names: Mapping[str, str], text: str
) -> None:
    """Draw one storey: the lessons side by side, and what they are there for."""
    ax.add_patch(Rectangle((0.25, y), 8.5, height, color=PALE, linewidth=0, zorder=0))
    say(ax, 4.5, y + height - 0.2, text, SMALL, GREY)
    each = 8.5 / len(which)
    for place, number in enumerate(which):
        x = 0.25 + each * (place + 0.5)
        box(ax, x, y + 0.32, names[number], WORD, min(each - 0.15, 3), 0.34, badge=number)


def room(
    ax: Axes, left: float, low: float, name: str, model: nn.Module, lessons: Mapping[str, str]
) -> None:
    """Draw one system: the parts of its encoder and of its decoder, and what passes between."""
    width, height, number = 2.76, 2.55, name[:2]
    ax.add_patch(Rectangle((left, low), width, height, color=PALE, linewidth=0, zorder=0))
    disc(ax, left + 0.22, low + height - 0.22, number)
    say(ax, left + 0.45, low + height - 0.22, name[4:], LARGER, align="left")
    towers = []
    for side, title, role in [(0, "encoder", MEMORY), (1, "decoder", QUERY)]:
        x = left + 0.8 + 1.42 * side
        say(ax, x, low + 0.17, title, SMALL, role.line)
        boxes = []
        for part, count in parts_of(side_of(model, title), lessons).items():
            text = SMALLEST[part] + (f" ×{count}" if count > 1 else "")
            y = low + 0.47 + 0.33 * len(boxes)
            boxes.append(box(ax, x, y, text, WORD, 0.96, 0.26, SMALL))
            disc(ax, boxes[-1].left[0] - 0.14, y, lessons[part], 0.115)
        towers.append(around(*boxes))
    (x0, top), (x1, _) = towers[0].at(1, 1), towers[1].left
    one = number == "04"
    for y in [top - 0.13] if one else [top - 0.05 - 0.085 * i for i in range(3)]:
        arrow(ax, (x0, y), (x1 - 0.27, y), colour=(STATE if one else MEMORY).line, width=1)


def side_of(model: nn.Module, title: str) -> nn.ModuleList:
    """Return what a system has for one side: its encoder or decoder, and that side's embedding."""
    embedding = {"encoder": "src_embedding", "decoder": "tgt_embedding"}[title]
    return nn.ModuleList([getattr(model, n) for n in (embedding, title) if hasattr(model, n)])


def roof(ax: Axes, low: float, names: Mapping[str, str]) -> None:
    """Draw the lessons after the Transformer under the roof."""
    edge = [(0.25, low), (8.75, low), (7.9, low + 0.62), (1.1, low + 0.62)]
    ax.add_patch(Polygon(edge, facecolor=PALE, edgecolor="none", zorder=0))
    say(ax, 4.5, low + 0.48, "and then: a real translator, and what came after", SMALL, GREY)
    later = sorted(n for n in names if n > "11")
    for place, number in enumerate(later):
        disc(ax, 1.6 + 1.16 * place, low + 0.2, number)


def heads(x: Tensor, n_heads: int, words: Sequence[str]) -> Figure:
    """Draw what split_heads and a plain view make of the same array, coloured by head.

    x: (seq_len, d_model), its entries numbered 0, 1, 2, ...    words: seq_len words
    Raises ValueError where n_heads does not divide d_model, or the sizes do not fit the page.
    """
    x = tensor_of("x", x, None, None)
    seq_len, d_model = x.shape
    words = words_of("words", words, seq_len, most=5)
    if n_heads < 2 or d_model % n_heads or d_model > 8:
        raise ValueError(f"want 2 or more heads that divide d_model {d_model}, at most 8")
    d_k = d_model // n_heads
    right, wrong = split_heads(x.unsqueeze(0), n_heads)[0], x.view(n_heads, seq_len, d_k)
    assert torch.equal(merge_heads(right.unsqueeze(0))[0], x)
    ax = sheet(9, 5.8, "Equal shapes, other contents: a plain view mixes the words")
    middle, upper, lower, turn, end = 2.55, 3.75, 1.35, 3.5, 5.4

    def cells(x: float, y: float, tensor: Tensor) -> Place:
        """Draw numbered cells, each in the colour of the head that it belongs to."""
        fills = [[HEADS[int(n) % d_model // d_k % len(HEADS)] for n in row] for row in tensor]
        return grid(ax, x, y, tensor, MODULE, (0.34, 0.32), 0, fills=fills)

    start = cells(1.9, middle, x)
    words_beside(ax, start, words)
    say(ax, start.x, start.top[1] + 0.2, "x", LARGER)
    shape(ax, start, "(seq_len, d_model)", x)
    for y, tensor, name, remark in [
        (upper, right, "split_heads", "view, then transpose"),
        (lower, wrong, "view alone", "words are mixed"),
    ]:
        arrow(ax, (3.1, middle), (turn, middle), (turn, y), (end, y))
        say(ax, (turn + end) / 2, y + 0.2, name, LARGER)
        say(ax, (turn + end) / 2, y - 0.2, remark, SMALL)
        places = [cells(6.5 + 1.62 * head, y, tensor[head]) for head in range(n_heads)]
        for head, place in enumerate(places):
            owners = [{words[int(n) // d_model] for n in row} for row in tensor[head]]
            rows = [" ".join(sorted(owner, key=words.index)) for owner in owners]
            words_beside(ax, place, rows)
            say(ax, place.x, place.top[1] + 0.2, f"head {head}", LARGER)
        shape(ax, around(*places), "(n_heads, seq_len, d_k)", tensor)
    way = (8.5, upper), (8.7, upper), (8.7, 4.95), (start.x, 4.95), (start.x, 3.5)
    arrow(ax, *way)
    say(ax, 5.2, 5.13, "merge_heads: transpose, then reshape, and x is back")
    return ax.figure

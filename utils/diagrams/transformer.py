"""Lessons 10 and 11: the Transformer, drawn from one run of it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from utils.attention import causal_mask
from utils.diagrams.primitives import (
    GREY,
    INK,
    KEY,
    LARGER,
    MEMORY,
    MODULE,
    PALE,
    QUERY,
    RESIDUAL,
    SMALL,
    VALUE,
    WORD,
    Place,
    arrow,
    box,
    circle,
    cut_to,
    disc,
    frame,
    mask_grid,
    mix,
    number,
    plate,
    say,
    shape,
    sheet,
    tensor_of,
    words_of,
)
from utils.transformer import Transformer

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
QUIET = (nn.Dropout, nn.Identity)  # modules that are not drawn

# Modules are known by the names of their classes: a lesson draws the class that it has just
# built, which is another object than the one of the same name in utils.
ATTENTION, NORM, LAYERS = "MultiHeadAttention", "LayerNorm", ("EncoderLayer", "DecoderLayer")


# ---- which lesson builds what ----


@functools.cache
def lessons_of_parts(folder: Path = NOTEBOOKS) -> Mapping[str, str]:
    """Return {name of a class or function: number of the lesson that builds it}.

    Read from the cells that begin `# built here`. A notebook that cannot be read is left out.
    """
    found = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        try:
            cells = json.loads(path.read_text("utf-8"))["cells"]
        except (OSError, ValueError, KeyError):
            continue
        for cell in cells:
            source = "".join(cell["source"])
            if source.startswith("# built here"):
                names = re.findall(r"^(?:class|def) (\w+)", source, re.MULTILINE)
                found |= dict.fromkeys(names, path.name[:2])
    return found


# ---- one run of a module ----


@dataclass
class Call:
    """One call of a module: what went in, what came out, and the calls that it made itself."""

    module: nn.Module
    inputs: tuple
    output: object = None
    calls: list[Call] = field(default_factory=list)

    @property
    def name(self) -> str:
        return type(self.module).__name__

    @property
    def loud(self) -> list[Call]:
        """The calls that it made, without those that are not drawn."""
        return [call for call in self.calls if not isinstance(call.module, QUIET)]

    @property
    def result(self) -> Tensor:
        """What came out; of several things the first."""
        return self.output[0] if isinstance(self.output, tuple) else self.output


@torch.no_grad()
def record(model: nn.Module, *inputs) -> Call:
    """Run a model once, and return which module called which, in the order it happened.

    The model stays in the mode in which it came.
    """
    stack = [Call(model, inputs)]

    def before(module: nn.Module, given: tuple, named: dict) -> None:
        call = Call(module, (*given, *named.values()))
        stack[-1].calls.append(call)
        stack.append(call)

    def after(module: nn.Module, given: tuple, output: object) -> None:
        stack.pop().output = output

    parts = list(model.modules())
    hooks = [m.register_forward_pre_hook(before, with_kwargs=True) for m in parts]
    hooks += [m.register_forward_hook(after) for m in parts]
    try:
        model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return stack[0].calls[0]


def sizes_of(call: Call) -> str:
    """Write who is asked, and the sizes that are not seen in the shapes around a module."""
    module = call.module
    if call.name == ATTENTION:
        kind = "self" if call.inputs[1] is call.inputs[0] else "cross"
        width = module.query_map.out_features // module.n_heads
        return f"{kind}: {module.n_heads} heads of {width}"
    if call.name == "FeedForward":
        inner, outer = module.widen, module.narrow
        return f"{inner.in_features} → {inner.out_features} → {outer.out_features}"
    return ""


@dataclass
class Tower:
    """A column of boxes that grows upwards from `y`, as the calls of a run are added."""

    ax: Axes
    x: float
    y: float
    lessons: Mapping[str, str]  # the lesson that builds each class
    width: float = 2.0
    gap: float = 0.1
    height: float = 0.3  # of a box
    cell: float = 0.07  # of a mask
    tall: float = 0.0  # of a box that also shows sizes, 0 to leave the sizes out

    def add(self, call: Call) -> Place:
        """Put the box of a call on top."""
        slim, looks = call.name == NORM, call.name == ATTENTION
        lines = [call.name] + [sizes_of(call)] * bool(self.tall and sizes_of(call))
        height = 0.22 if slim else self.tall if len(lines) > 1 else self.height
        gap = self.gap + 0.1 * looks
        place = box(
            self.ax, self.x, self.y + gap + height / 2, "\n".join(lines),
            WORD if slim else MODULE, self.width, height, badge=self.lessons.get(call.name, ""),
        )
        arrow(self.ax, (self.x, self.y), place.bottom)
        if looks:
            self.add_inputs(call, place)
        self.y = place.top[1]
        return place

    def add_inputs(self, call: Call, place: Place) -> None:
        """Write what an attention gets from below, and draw its mask on the right."""
        query, key, _, mask = (*call.inputs, None)[:4]
        letters = [("q", QUERY)] + [("k", KEY), ("v", VALUE)] * (key is query)
        for count, (letter, role) in enumerate(letters, 1):
            x, y = self.x + 0.13 * count, (self.y + place.bottom[1]) / 2
            say(self.ax, x, y, letter, colour=mix(role.line, 0.8, INK))  # its ground is grey
        if mask is None:
            return
        whole = mask.expand(len(query), query.size(1), key.size(1))[0]
        is_causal = whole.size(0) == whole.size(1) and whole.equal(causal_mask(len(whole)))
        side = min(self.cell, 0.6 / max(whole.shape))
        x = place.right[0] + 0.78
        shown = mask_grid(self.ax, x, place.y, whole, side, "/////", dots=False)
        arrow(self.ax, shown.left, place.right)
        name = "causal mask" if is_causal else "padding mask"
        say(self.ax, x, shown.bottom[1] - 0.12, name, SMALL, GREY)
        say(self.ax, x, shown.bottom[1] - 0.27, str(tuple(mask.shape)), SMALL, GREY)

    def add_residual(self, add_norm: Call) -> tuple[Call, Place]:
        """Put a sub-layer on top as its AddNorm ran it: the arc leaves first, and joins at +.

        Returns the call of the sub-layer and its place.
        """
        red, start = {"colour": RESIDUAL.line, "width": 2.2}, self.y + 0.4 * self.gap
        arrow(self.ax, (self.x, self.y), (self.x, start), head=False, **red)
        self.y = start
        for call in add_norm.loud:
            place = self.add(call)
            if call.name != NORM:
                inner = call, place
                plus = circle(self.ax, self.x, self.y + self.gap + 0.1, "+", RESIDUAL, 0.2)
                outside = self.x - self.width / 2 - 0.22
                way = (self.x, start), (outside, start), (outside, plus.y), plus.left
                arrow(self.ax, *way, **red)
                arrow(self.ax, place.top, plus.bottom)
                self.y = plus.top[1]
        return inner

    def add_stack(self, call: Call) -> list[tuple[Call, Place]]:
        """Put an embedding, an encoder or a decoder on top, of equal layers only the first.

        Returns the calls of the sub-layers of that layer and their places.
        """
        layers, low = [part for part in call.loud if part.name in LAYERS], self.y + 0.05
        inner = [self.add_residual(add_norm) for add_norm in layers[0].loud] if layers else []
        if layers:
            left, high, name = self.x - self.width / 2 - 0.45, self.y + 0.05, layers[0].name
            size = self.width + 0.75, high - low
            self.ax.add_patch(Rectangle((left, low), *size, color=PALE, linewidth=0, zorder=0))
            disc(self.ax, left, high, self.lessons.get(name, ""))
            turn = {"rotation": 90, "rotation_mode": "anchor"}
            text = f"{name} × {len(layers)}"
            say(self.ax, left + 0.12, high - 0.2, text, SMALL, GREY, "right", **turn)
        for part in call.loud or [call]:
            if part.name not in LAYERS:
                self.add(part)
        return inner


def key_to_discs(ax: Axes, y: float) -> None:
    """Explain the numbers on the boxes, in the upper right corner of a sheet 9 inches wide."""
    disc(ax, 7.0, y, "08")
    say(ax, 7.2, y, "the lesson that builds it", SMALL, GREY, "left")


# ---- lesson 10: one layer ----


def encoder_layers(
    layers: Mapping[str, nn.Module], x: Tensor, mask: Tensor | None = None,
    title: str = "Pre-norm: a residual path that nothing interrupts",
    lessons: Mapping[str, str] | None = None,
) -> Figure:
    """Draw one or two encoder layers as they run: where the norm stands, and the residual path.

    layers: a name for each EncoderLayer    x: (1, seq_len, d_model)    mask: (1, 1, seq_len)
    lessons: the lesson that builds each class, None to ask the notebooks
    """
    x = tensor_of("x", x, 1, None, None)
    if not 0 < len(layers) <= 2:
        raise ValueError(f"the page has room for one or two layers, got {len(layers)}")
    if x.size(1) > 12:
        raise ValueError(f"x has {x.size(1)} places; the page has room for 1 to 12")
    if mask is not None:
        mask = tensor_of("mask", mask, 1, None, x.size(1)).bool()
    lessons = lessons_of_parts() if lessons is None else lessons
    ax = sheet(9, 6, title)
    for column, (name, layer) in enumerate(layers.items()):
        run = record(layer, x, mask)
        tensor_of(f"what {name} returns", run.output, *x.shape)
        left = 2.1 + 4.5 * column
        tower = Tower(ax, left, 0.7, lessons, gap=0.25, height=0.54, cell=0.09, tall=0.54)
        say(ax, tower.x, 0.55, f"x {tuple(x.shape)}")
        for add_norm in run.loud:
            tower.add_residual(add_norm)
        norm_last = run.loud[-1].loud[-1].name == NORM
        style = {} if norm_last else {"colour": RESIDUAL.line, "width": 2.2}
        arrow(ax, (tower.x, tower.y), (tower.x, tower.y + 0.33), **style)
        say(ax, tower.x, tower.y + 0.46, str(tuple(run.output.shape)))
        say(ax, tower.x, 5.2, name, 12)
    key_to_discs(ax, 5.7)
    return ax.figure


# ---- lesson 11: the whole ----


def finished(*sizes: int, **options) -> nn.Module:
    """Return the Transformer that the course keeps, untrained: to be drawn before it is built."""
    return Transformer(*sizes, **options).eval()


def transformer(
    model: nn.Module, src: Tensor, src_mask: Tensor, tgt: Tensor, src_words: Sequence[str],
    tgt_words: Sequence[str], title: str = "A reader, a writer, and one memory between them",
    lessons: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a whole Transformer as it ran, following the tensors from call to call.

    src, tgt: (1, length)    src_mask: (1, 1, src_len)    src_words, tgt_words: what they say
    lessons: the lesson that builds each class, None to ask the notebooks
    """
    tensor_of("src", src, 1, None)
    tensor_of("tgt", tgt, 1, None)
    tensor_of("src_mask", src_mask, 1, 1, src.size(1))
    src_words = words_of("src_words", src_words, src.size(1))
    tgt_words = words_of("tgt_words", tgt_words, tgt.size(1))
    lessons = lessons_of_parts() if lessons is None else lessons
    run = record(model, src, src_mask, tgt)
    tensor_of("the logits", run.output, 1, tgt.size(1), None)
    ax = sheet(9, 6.3, title)
    memory, towers = torch.empty(0), {}  # each tower by the address of the tensor on its top
    for x, tokens, words in [(2.05, src, src_words), (5.9, tgt, tgt_words)]:
        cut_to(say(ax, x, 0.25, " ".join(words), parse_math=False), 3.6)
        tower = Tower(ax, x, 0.36, lessons, 1.95, height=0.28, tall=0.42)
        towers[tokens.data_ptr()] = tower
    for call in run.loud:
        tower = towers[call.inputs[0].data_ptr()]
        inner = tower.add_stack(call)
        towers[call.result.data_ptr()] = tower
        if call.name == "TokenEmbedding":
            side = tower.x + tower.width / 2 + 0.08
            say(ax, side, tower.y - 0.14, str(tuple(call.result.shape)), SMALL, GREY, "left")
        if call.name == "Encoder":
            memory, (x, y) = call.result, (tower.x, tower.y)
        for sublayer, place in inner:
            given = sublayer.inputs[1:2]
            if given and given[0].data_ptr() == memory.data_ptr():
                way = (x, y), (x, y + 0.2), (4.2, y + 0.2), (4.2, place.y), place.left
                arrow(ax, *way, colour=MEMORY.line, width=2.2, halo=True)
                say(ax, 3.1, y + 0.35, f"memory {tuple(memory.shape)}", colour=MEMORY.line)
                say(ax, 4.33, place.y + 0.13, "k", colour=KEY.line)
                say(ax, 4.46, place.y + 0.13, "v", colour=VALUE.line)
    arrow(ax, (tower.x, tower.y), (tower.x, tower.y + 0.22))
    say(ax, tower.x + 0.15, tower.y + 0.14, f"logits {tuple(run.output.shape)}", align="left")
    key_to_discs(ax, 6.0)
    return ax.figure


def three_masks(
    src_words: Sequence[str], tgt_words: Sequence[str], src_mask: Tensor, tgt_mask: Tensor,
    src_pad: str = "<pad>", tgt_pad: str = "<pad>",
) -> Figure:
    """Draw who may look at whom: dots may look, hatched cells may not.

    src_words, tgt_words: with padding    src_mask: (1, src_len)    tgt_mask: (tgt_len, tgt_len)
    """
    src_words = words_of("src_words", src_words, most=9)
    tgt_words = words_of("tgt_words", tgt_words)
    src_mask = tensor_of("src_mask", src_mask, 1, len(src_words)).bool()
    tgt_mask = tensor_of("tgt_mask", tgt_mask, len(tgt_words), len(tgt_words)).bool()
    ax = sheet(9, 5, "Padding of the source is hidden from everyone, the future from the writer")
    top, padding, future = 3.55, "....", "////"
    side = min(0.25, 1.75 / len(src_words), 2.5 / len(tgt_words))
    room = 0.73 if len(tgt_words) <= 10 else 0.68      # for a word beside a row
    sources, targets = (src_words, src_pad), (tgt_words, tgt_pad)
    for x, name, mask_name, (queries, no_query), (keys, no_key), mask, hatch in [
        (1.65, "encoder", "src_mask", sources, sources, src_mask, padding),
        (4.65, "decoder, looking at itself", "causal mask", targets, targets, tgt_mask, future),
        (7.75, "decoder, looking at the source", "src_mask", targets, sources, src_mask, padding),
    ]:
        whole = mask.expand(len(queries), len(keys))
        place = mask_grid(ax, x, top - len(queries) * side / 2, whole, side, hatch)
        for row, word in enumerate(queries):
            (left, y), colour = place.row(row).left, GREY if word == no_query else QUERY.line
            cut_to(say(ax, left - 0.08, y, word, colour=colour, align="right",
                       parse_math=False), room)
        for column, word in enumerate(keys):
            spot, colour = place.cell(0, column).at(0.4, 1), GREY if word == no_key else KEY.line
            head = say(ax, spot[0], spot[1] + 0.08, word, colour=colour, align="left",
                       parse_math=False, rotation_mode="anchor", va="baseline")
            cut_to(head, 0.75)
            head.set_rotation(45)
        say(ax, x - 0.1 * (x > 2), 4.42, name, LARGER)
        shape(ax, Place(x, 0.85), mask_name, mask)
    say(ax, 0.3, 0.25, "a row asks,", colour=QUERY.line, align="left")
    say(ax, 1.2, 0.25, "a column is looked at", colour=KEY.line, align="left")
    legend = (3.6, "may look", ""), (5.2, "padding", padding), (6.8, "future", future)
    for x, meaning, hatch in legend:
        mask_grid(ax, x, 0.25, torch.tensor([[not hatch]]), 0.25, hatch)
        say(ax, x + 0.28, 0.25, meaning, align="left")
    return ax.figure


# ---- lesson 11: writing, and the answer in sight ----


@torch.no_grad()
def writing(
    model: nn.Module, src: Tensor, src_mask: Tensor, tokens: Tensor, src_words: Sequence[str],
    tgt_words: Sequence[str],
) -> Figure:
    """Draw how a model writes one sentence: what it reads at each step, and the word it adds.

    src: (1, src_len)    src_mask: (1, 1, src_len)    tokens: (1, n), <bos> and what was written
    tgt_words: the words of tokens, n of them    Raises ValueError where the model writes another.
    """
    tensor_of("tokens", tokens, 1, None)
    src_words = words_of("src_words", src_words, src.size(1))
    tgt_words = words_of("tgt_words", tgt_words, tokens.size(1), most=10)
    n = len(tgt_words) - 1
    if n < 1:
        raise ValueError("tokens holds one word: nothing was written")
    shares = []
    for step in range(1, n + 1):
        logits = tensor_of("the logits", model(src, src_mask, tokens[:, :step]), 1, step, None)
        word = logits[0, -1].argmax().item()
        if word != tokens[0, step]:
            raise ValueError(f"step {step}: the model writes token {word}, not the one in tokens")
        shares.append(logits[0, -1].softmax(-1)[word].item())
    ax = sheet(9, 1.75 + 0.4 * n, "Each word is written after reading all words before it")
    top, width = 0.85 + 0.4 * n, min(0.85, 7.5 / (n + 1) - 0.07)
    xs = [1.0 + width / 2 + (width + 0.07) * i for i in range(n + 1)]
    for step, share in enumerate(shares, 1):
        y = top - 0.4 * (step - 1)
        disc(ax, 0.47, y, str(step))
        for place in range(step):
            plate(ax, xs[place], y, tgt_words[place], width=width)
        new = plate(ax, xs[step], y, tgt_words[step], width=width)
        frame(ax, new, QUERY.line, 2.2)
        say(ax, new.right[0] + 0.1, y, number(share, 2), SMALL, GREY, "left")
    x, bottom = 0.78, top - 0.4 * (n - 1)
    bar = Place(x, (top + bottom) / 2, 0.16, top - bottom + 0.3)
    ax.add_patch(Rectangle(bar.at(0, 0), bar.width, bar.height, facecolor=MEMORY.fill,
                           edgecolor=MEMORY.line, linewidth=1, zorder=3))
    words = say(ax, 0.35, 0.3, f"memory of: {' '.join(src_words)}", colour=MEMORY.line,
                align="left", parse_math=False)
    cut_to(words, 4.6)
    spot = plate(ax, 5.6, 0.3, "new", width=0.6)
    frame(ax, spot, QUERY.line, 2.2)
    say(ax, 6.0, 0.3, "the likeliest word, with its share", align="left")
    return ax.figure


def answer_in_sight(tgt_in: Sequence[str], tgt_out: Sequence[str], asks: int) -> Figure:
    """Draw what the decoder reads under what it must say, and where one answer stands.

    tgt_in, tgt_out: words, one step apart    asks: the place whose answer is looked for
    """
    tgt_in = words_of("tgt_in", tgt_in, most=11)
    tgt_out = words_of("tgt_out", tgt_out, len(tgt_in), most=11)
    if tgt_in[1:] != tgt_out[:-1]:
        raise ValueError("tgt_in and tgt_out are not one step apart: use shift_target")
    if not 0 <= asks < len(tgt_in) - 1:
        raise ValueError(f"asks is {asks}; its answer is read at one of 1 to {len(tgt_in) - 1}")
    ax = sheet(9, 3.1, "Without the causal mask, every answer lies one place to the right")
    step = 7.3 / (len(tgt_in) - 1)
    width = min(0.8, step - 0.08)
    xs = [0.95 + step * i for i in range(len(tgt_in))]
    reads = [plate(ax, x, 0.75, word, width=width) for x, word in zip(xs, tgt_in)]
    says = [plate(ax, x, 2.15, word, width=width) for x, word in zip(xs, tgt_out)]
    for i in range(asks + 1):
        arrow(ax, reads[i].top, says[asks].bottom, colour=GREY, width=1.6)
    arrow(ax, reads[asks + 1].top, says[asks].bottom, colour=RESIDUAL.line, width=2.6)
    for spot in (says[asks], reads[asks + 1]):
        frame(ax, spot, RESIDUAL.line, 2, 0.05)
    say(ax, 0.55, 2.5, "must say", colour=GREY, align="left")
    say(ax, 0.55, 0.4, "reads", colour=GREY, align="left")
    middle = (xs[asks] + xs[asks + 1]) / 2 + 0.2
    say(ax, middle, 1.45, "hidden by\nthe mask", colour=RESIDUAL.line, align="left")
    return ax.figure

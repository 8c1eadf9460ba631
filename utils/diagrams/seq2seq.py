"""Lessons 04 and 05: an encoder and a decoder, what passes between them, what goes in and out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.path import Path
from torch import Tensor, nn

from utils.decoding import greedy_decode
from utils.diagrams.primitives import (
    GREY,
    INK,
    MASK,
    MEMORY,
    PALE,
    QUERY,
    SMALL,
    STATE,
    WORD,
    Place,
    Role,
    around,
    arrow,
    bent,
    box,
    brace,
    cut_to,
    frame,
    number,
    plate,
    say,
    sheet,
    strip,
    tensor_of,
    words_of,
)
from utils.text import BOS, EOS, PAD
from utils.training import shift_target

DRAWN = 8  # a wider state is drawn by its first numbers, and the page says so


def seq2seq(
    src: Sequence[str], tgt: Sequence[str], memory: Tensor, states: Tensor,
    weights: Tensor | None = None, step: int = 0,
) -> Figure:
    """Unroll encoder and decoder over a sentence; with weights, add the look back of one step.

    src, tgt: words, up to 15 in all; tgt is what the decoder writes, with <eos>
    memory: (src_len, d_model)    states: (tgt_len, d_model), after reading each word
    weights: (src_len,), shares of `step`
    Raises ValueError for tensors that do not fit the words, and for weights that are no shares.
    """
    src = words_of("src", src, most=10)
    tgt = words_of("tgt", tgt, most=15 - len(src))
    memory = tensor_of("memory", memory, len(src), None)
    states = tensor_of("states", states, len(tgt), None)
    attends = weights is not None
    title = "The whole sentence must pass through one vector"
    if attends:
        weights = tensor_of("weights", weights, len(src))
        if not 0 <= step < len(tgt):
            raise ValueError(f"step is {step}; the decoder has the steps 0 to {len(tgt) - 1}")
        if (weights < 0).any() or abs(weights.sum().item() - 1) > 0.01:
            raise ValueError(f"weights must be shares of 1; they add up to {weights.sum():.2f}")
        most = int(weights.argmax())  # the bold title has Latin letters only
        plain = src[most].isascii() and len(src[most]) < 20
        where = f"'{src[most]}'" if plain else f"word {most}"
        title = f"Every state can be reached, here most of all {where}"

    # two narrow rows of words under narrow cells, where there are many
    width, neck_room = 9.4, 1.3
    pitch = min(0.79, (width - 0.5 - neck_room) / (len(src) + len(tgt) + 0.15))
    crowded = pitch < 0.7
    drop = 0.38 if crowded else 0
    high_arcs = 0.3 + 0.19 * len(src) if attends else 0
    ax = sheet(width, 4.3 + drop + high_arcs, title)
    level, floor, wall = 2.5 + drop, 0.95 + drop, 0.16
    low, high = level - 1.05, level + 0.9
    wide = min(0.48, 0.68 * pitch)
    room = 2 * pitch - 0.26 if crowded else 0.98 * pitch

    # a bottle: the decoder knows what passes the neck
    end = 0.25 + pitch * len(src)
    neck = (end + 0.25, level + wall), (end + 1.05, level + wall)
    begin = end + neck_room
    far = begin + pitch * len(tgt) + 0.12
    upper = [(0.2, high), (end, high), *neck, (begin, high), (far, high)]
    lower = [(x, low if y == high else level - wall) for x, y in reversed(upper)]
    ax.add_patch(Polygon(upper + lower, facecolor=PALE, edgecolor="none", zorder=0))
    for side in upper, lower:
        arrow(ax, Path(side[1:5]), colour=MASK.line, width=2.5, head=False)

    def cell(x: float, state: Tensor, role: Role) -> Place:
        """Draw one step of a GRU with the state that it leaves behind."""
        drawn = state[:DRAWN]
        strip(ax, x, level + 0.12, drawn, role, 1.02, 0.45 * wide, upright=True)
        say(ax, x, level - 0.57, "GRU", SMALL, GREY)
        return box(ax, x, level, "", WORD, wide, 1.5)

    def word_at(x: float, place: int, word: str) -> Place:
        """Draw a word below the cells, every second one lower where the page is crowded."""
        return plate(ax, x, floor - drop * (place % 2), word, size=SMALL, width=fit(ax, word, room))

    encoder, decoder = [], []
    for i, word in enumerate(src):
        x = 0.25 + pitch * (i + 0.5)
        encoder.append(cell(x, memory[i], MEMORY if attends else STATE))
        arrow(ax, word_at(x, i, word).top, encoder[i].bottom)
    for here, there in pairwise(encoder):
        arrow(ax, here.right, there.left)
    passing = strip(ax, end + 0.65, level, memory[-1][:DRAWN], STATE, 0.52, 0.15)
    arrow(ax, encoder[-1].right, passing.left)
    d_model = memory.size(1)
    size = f"{d_model} numbers" if d_model <= DRAWN else f"{DRAWN} of its {d_model}\nnumbers"
    say(ax, passing.x, level - 0.62, f"last state:\n{size}", SMALL, GREY)

    before, read = passing, word_at(begin, 1, BOS)
    for j, word in enumerate(tgt):
        here = cell(begin + pitch * (j + 0.5), states[j], QUERY if attends and j == step else STATE)
        x, y = here.bottom
        arrow(ax, before.right, here.left)
        arrow(ax, read.top, (x - 0.08, y), dashed=True)
        read = word_at(begin + pitch * (j + 1), j, word)
        arrow(ax, (x + 0.08, y), read.top)
        decoder.append(here)
        before = here
    x = max((begin + far) / 2, begin + 1.9)
    say(ax, x, 0.25, "the decoder writes a word, and reads it back (dashed)")

    if not attends:
        say(ax, max(end / 2 + 0.1, 0.9), 0.25, "the encoder reads")
        if len(encoder) > 1:
            brace(ax, around(*encoder[:-1]), "not handed over", gap=0.2)
        return ax.figure
    say(ax, max(end / 2 + 0.1, 1.0), 0.25, "memory: all states kept", colour=MEMORY.line)
    x, y = decoder[step].top
    say(ax, x + 0.2, y + 0.25, "query", colour=QUERY.line, align="left")
    for i in reversed(range(len(src))):
        share, (tip, _) = weights[i].item(), encoder[i].top
        thick, rise = 0.8 + 12 * share, y + 0.75 + 0.25 * (len(src) - i)
        arrow(ax, bent((x, y), (x, rise), (tip, rise), (tip, y + 0.06)), width=thick)
        say(ax, tip + 0.08 + thick / 120, y + 0.3, number(share, 2), SMALL, align="left")
    return ax.figure


def fit(ax: Axes, word: str, most: float, size: float = SMALL) -> float:
    """Return how wide a plate for a word should be, at most so many inches."""
    words = say(ax, 0, 0, word, size, parse_math=False)
    wanted = words.get_window_extent().width / ax.figure.dpi + 0.16
    words.remove()
    return min(wanted, most)


def teacher_forcing(tgt: Tensor, tokens: Sequence[str]) -> Figure:
    """Draw what the decoder reads and what it must say at each place of one target sentence.

    tgt: (tgt_len,), ids of <bos> w1 ... <eos> <pad> ..., up to 11    tokens: the vocabulary
    Raises ValueError for a sentence that is too long, and for an id without a token.
    """
    ids = tensor_of("tgt", tgt, None).long().tolist()
    if not 2 <= len(ids) <= 11:
        raise ValueError(f"tgt has {len(ids)} tokens; the page has room for 2 to 11")
    if not all(0 <= i < len(tokens) for i in ids):
        raise ValueError(f"tgt holds an id that the vocabulary of {len(tokens)} does not have")
    tgt_in, tgt_out = shift_target(torch.tensor([ids]))
    reads, says = ([str(tokens[i]) for i in row[0].tolist()] for row in (tgt_in, tgt_out))

    ax = sheet(9, 3.6, "In training the true word goes in, and the next one must come out")
    pitch = min(1.05, 7.6 / len(reads))
    level, top, bottom, left = 1.75, 2.65, 0.85, 1.25
    say(ax, 0.25, top, "must say", colour=QUERY.line, align="left")
    say(ax, 0.25, bottom, "reads", colour=STATE.line, align="left")
    start = Place(left - 0.3, level)
    say(ax, 0.25, level, "the source", SMALL, GREY, align="left")
    before, above = start, None
    for t, (word, answer) in enumerate(zip(reads, says, strict=True)):
        x, wide = left + pitch * (t + 0.5), 0.95 * pitch
        padding = answer == PAD
        here = box(ax, x, level, "GRU", WORD, 0.46, 0.36, SMALL)
        read = plate(ax, x, bottom, word, size=SMALL, width=fit(ax, word, wide))
        out = plate(ax, x, top, answer, size=SMALL, width=fit(ax, answer, wide))
        arrow(ax, before.right, here.left)
        arrow(ax, read.top, here.bottom)
        arrow(ax, here.top, out.bottom, colour=MASK.line if padding else INK)
        if padding:
            say(ax, x, top + 0.3, "not counted", SMALL, GREY)
        if above is not None and not padding:  # the same word, one step later
            near, far = (above.x + 0.1, above.bottom[1]), (x - 0.1, read.top[1])
            bend = bent(near, (near[0] + 0.4 * pitch, level + 0.2),
                        (far[0] - 0.4 * pitch, level - 0.2), far)
            arrow(ax, bend, colour=GREY, dashed=True, halo=True)
        before, above = here, out
    say(ax, 0.25, 0.3, "dashed: the same word, one step later, whatever the model would have said",
        SMALL, GREY, "left")
    return ax.figure


@torch.no_grad()
def greedy_steps(
    model: nn.Module, src: Tensor, src_mask: Tensor, tokens: Sequence[str],
    first: int = 0, n_steps: int = 7, shown: int = 3,
) -> Figure:
    """Draw greedy decoding step by step: the likeliest words, and the one that is read next.

    model: with encode and decode    src: (1, src_len)    src_mask: (1, 1, src_len)
    tokens: the target vocabulary    first: the step to begin with, from 0
    Raises ValueError for another number of sentences, and where the model ends before `first`.
    """
    if tuple(src.shape[:1]) != (1,) or src.dim() != 2:
        raise ValueError(f"src has shape {tuple(src.shape)}, the diagram wants one sentence")
    if not 1 <= n_steps <= 8 or not 1 <= shown <= 5 or first < 0:
        raise ValueError("the page has room for 1 to 8 steps and 1 to 5 words, from step 0 on")
    model.eval()
    bos, eos = tokens.index(BOS), tokens.index(EOS)
    written = greedy_decode(model, src, src_mask, bos, eos, first + n_steps)[0].tolist()
    if len(written) <= first:
        raise ValueError(f"the model ends after {len(written)} tokens, before step {first}")

    memory, word, state, steps = model.encode(src, src_mask), bos, None, []
    for chosen in written:
        logits, state = model.decode(torch.tensor([[word]]), memory, src_mask, state)
        shares = tensor_of("the logits", logits, 1, 1, len(tokens))[0, 0].softmax(dim=-1)
        best = shares.topk(min(shown, len(tokens))).indices.tolist()
        assert best[0] == chosen  # what is drawn is what greedy_decode wrote
        steps.append((word, best, shares))
        word = chosen

    title = "The likeliest word is written, and read at the next step"
    unsure = [n for n, (_, best, s) in enumerate(steps) if n >= first and s[best[0]] < 0.5]
    if unsure:
        share = number(steps[unsure[0]][2].max(), 2)
        title = f"Step {unsure[0]}: the best word has only {share}, and is read back all the same"
    ax = sheet(9.2, 2.75 + 0.26 * shown, title)
    pitch = min(1.28, 8.8 / min(n_steps, len(steps) - first))
    lane, floor, top = 1.35, 0.7, 1.85
    before, back = None, None
    for n, (word, best, shares) in enumerate(steps[first:]):
        x = 0.2 + pitch * (n + 0.5)
        here = box(ax, x, lane, "GRU", WORD, 0.46, 0.36, SMALL)
        read = plate(ax, x, floor, tokens[word], size=SMALL, width=fit(ax, tokens[word], 0.8))
        arrow(ax, read.top, here.bottom)
        arrow(ax, before.right if before else (0.1, lane), here.left)
        if back:
            middle = x - 0.5 * pitch
            arrow(ax, back, (middle, back[1]), (middle, floor), read.left, colour=GREY, dashed=True)
        for r, candidate in enumerate(best):
            y, ink = top + 0.26 * (shown - 1 - r), INK if r == 0 else GREY
            name = say(ax, x - 0.5 * pitch + 0.14, y, tokens[candidate], SMALL, ink, "left",
                       parse_math=False)
            cut_to(name, pitch - 0.56)
            say(ax, x + 0.5 * pitch - 0.13, y, number(shares[candidate], 2), SMALL, ink, "right")
        winner = Place(x, top + 0.26 * (shown - 1), pitch - 0.18, 0.25)
        frame(ax, winner)
        arrow(ax, here.top, (x, top - 0.16))
        say(ax, x, top + 0.26 * shown + 0.05, f"step {first + n}", SMALL, GREY)
        before, back = here, winner.right
    say(ax, 0.2, 0.25, "number: probability    frame: written    dashed: read back", SMALL, GREY,
        "left")
    return ax.figure

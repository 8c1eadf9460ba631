"""From sentences to batches: padding, one sentence cut in ways, the last state, full rectangles."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from utils.diagrams.primitives import (
    GREY,
    INK,
    LARGER,
    MASK,
    PAPER,
    RESIDUAL,
    SMALL,
    STATE,
    VALUE,
    WORD,
    Place,
    arrow,
    box,
    brace,
    disc,
    frame,
    grid,
    number,
    plate,
    say,
    sheet,
    strip,
    tensor_of,
    words_of,
)
from utils.recurrent import last_state
from utils.text import pad_rows, padding_mask

PADDED = (MASK.fill, GREY)


def padding(
    sentences: Sequence[Sequence[str]], rows: Sequence[Sequence[int]], pad_id: int
) -> Figure:
    """Draw sentences of different length, their rectangle of numbers, and its mask.

    sentences: words    rows: the number of each word    pad_id: the number that fills the rest
    At most 5 sentences of at most 12 words. Raises ValueError where rows and sentences differ.
    """
    if len(sentences) != len(rows) or not 0 < len(rows) <= 5:
        raise ValueError(f"want 1 to 5 sentences, each with its row of numbers; got "
                         f"{len(sentences)} and {len(rows)}")
    sentences = [words_of(f"sentence {n}", s, len(rows[n])) for n, s in enumerate(sentences)]
    tokens = pad_rows(rows, pad_id)                     # (batch, seq_len)
    mask = padding_mask(tokens, pad_id)                 # (batch, 1, seq_len)
    if mask.sum().item() != sum(map(len, rows)):
        raise ValueError(f"the pad id {pad_id} stands among the numbers of the words")

    batch, seq_len = tokens.shape
    cell = min(7.1 / seq_len, 1.1), 0.33
    wide, high = seq_len * cell[0], batch * cell[1]
    ax = sheet(9, 3 * high + 2.0, "Padding makes the rectangle; the mask remembers what is real.")
    x, top = 1.6 + wide / 2, 3 * high + 1.3
    middles = [top - high / 2 - n * (high + 0.3) for n in range(3)]

    ragged = Place(x, middles[0], wide, high, batch, seq_len)
    for r, words in enumerate(sentences):
        for c, word in enumerate(words):
            spot = ragged.cell(r, c)
            plate(ax, spot.x, spot.y, word, width=cell[0] - 0.06, height=0.27)
    pale = [[(PAPER, INK) if real else PADDED for real in row] for row in mask[:, 0].tolist()]
    grid(ax, x, middles[1], tokens, WORD, cell, digits=0, fills=pale)
    shown = grid(ax, x, middles[2], mask[:, 0], MASK, cell, visible=mask[:, 0], fills=pale)
    for r, c in mask[:, 0].nonzero().tolist():
        spot = shown.cell(r, c)
        disc(ax, spot.x, spot.y, radius=0.05)
    for y, name, size in zip(
        middles, ("words", "tokens", "mask"), (batch, tuple(tokens.shape), tuple(mask.shape))
    ):
        say(ax, 0.25, y + 0.1, name, LARGER, align="left")
        size = f"{size} sentences" if name == "words" else str(size)
        say(ax, 0.25, y - 0.12, size, SMALL, GREY, "left")
    say(ax, x, 0.28, f"{pad_id} is <pad>      ● True, a real word      hatched: False, padding",
        SMALL, GREY)
    return ax.figure


def cuts(sentence: str, ways: Mapping[str, Callable[[str], list[str]]]) -> Figure:
    """Draw one sentence cut in several ways, as plates under one another.

    ways: a name for each function that cuts a text into tokens; the last one cuts finest, into at
    most 32. A token stands above the finer ones that it is made of; a jamo is drawn as a letter.
    Raises ValueError where the pieces of a way do not make up the same finest tokens.
    """
    names = words_of("ways", list(ways), most=4)
    finest = ways[names[-1]]
    n = len(words_of(f"the sentence by {names[-1]}", finest(sentence), most=32))
    each = min(6.7 / n, 0.6)
    found = {name: words_of(name, cut(sentence), most=32) for name, cut in ways.items()}
    few, many = (len(found[names[k]]) for k in (0, -1))
    ax = sheet(9, 0.5 * len(names) + 1.0, f"One sentence: {few} {names[0]} or {many} {names[-1]}.")
    for row, (name, tokens) in enumerate(found.items()):
        y, left = 0.5 * (len(names) - row) - 0.1, 1.45
        shares = [len(finest(token)) for token in tokens]
        if [piece for token in tokens for piece in finest(token)] != finest(sentence):
            raise ValueError(f"{name} and {names[-1]} do not cut the same text")
        say(ax, 0.25, y, name, align="left")
        for token, share in zip(tokens, shares):
            text = "".join(map(letter, token)) if len(token) == 1 else token
            plate(ax, left + share * each / 2, y, text, width=share * each - 0.035)
            left += share * each
        say(ax, left + 0.12, y, str(len(tokens)), LARGER, align="left")
    return ax.figure


def letter(sign: str) -> str:
    """Return a jamo as a letter that stands alone; any other sign as it is."""
    for place in ("CHOSEONG", "JUNGSEONG", "JONGSEONG"):
        if place in unicodedata.name(sign, ""):
            name = unicodedata.name(sign).replace(place, "LETTER")
            try:
                return unicodedata.lookup(name)
            except KeyError:
                return sign
    return sign


def padded_states(words: Sequence[str], states: Tensor, mask: Tensor) -> Figure:
    """Draw the states of one padded sentence, with the right and the wrong "last" one.

    words: with <pad> at the end, at most 12    states: (seq_len, d_model), at most 16 numbers each
    mask: (1, seq_len) or (seq_len,), True at real words, which come first
    Under the right state, and each one after it, stands how far it is from the right one.
    """
    words = words_of("words", words)
    states = tensor_of("states", states, len(words), None)
    mask = tensor_of("mask", mask).bool().flatten()
    n_real = int(mask.sum())
    if len(mask) != len(words) or not mask[:n_real].all() or n_real == 0:
        raise ValueError("the mask wants one entry a word, and the real words before the padding")
    if states.size(1) > 16:
        raise ValueError(f"a state has {states.size(1)} numbers; the page has room for 16")
    right = last_state(states.unsqueeze(0), mask.view(1, 1, -1)).squeeze(0)
    gaps = (states - right).norm(dim=-1)
    n_pad = len(words) - n_real
    title = "Without padding, the last column is the last state."
    if n_pad:
        title = f"After its last word the network reads {n_pad} × <pad>, and its state moves away."
    ax = sheet(9, 4.25, title)
    step = min(7.5 / len(words), 1.3)
    largest = float(states.abs().max()) or 1.0
    places = []
    for c, word in enumerate(words):
        x, real = 1.15 + (c + 0.5) * step, bool(mask[c])
        role = STATE if real else STATE.faint
        state = strip(ax, x, 2.2, states[c], role, 1.3, 0.24, upright=True, largest=largest)
        below = box(ax, x, 1.05, word, WORD if real else MASK, width=step - 0.08, height=0.3,
                    size=SMALL, corner=0.02, literal=True)
        arrow(ax, below.top, (x, state.bottom[1] - 0.03))
        if places:
            arrow(ax, (places[-1].right[0] + 0.04, 2.2), (state.left[0] - 0.04, 2.2))
        if c >= n_real - 1:
            say(ax, x, 0.45, number(gaps[c].item(), 1), colour=INK if real else RESIDUAL.line)
        places.append(state)
    say(ax, 0.25, 2.2, "state", align="left")
    say(ax, 0.25, 1.05, "reads", align="left")
    say(ax, 0.25, 0.45, "distance", align="left")
    mark(ax, places[n_real - 1], "right: last_state", VALUE.line, n_real > 1)
    if n_pad:
        near = n_pad * step < 2.5
        mark(ax, places[-1], "wrong: states[:, -1]", RESIDUAL.line, True, 0.5 if near else 0.3)
    return ax.figure


def mark(
    ax: Axes, place: Place, text: str, colour: str, to_left: bool, up: float = 0.3
) -> None:
    """Frame a state and write above it, so many inches up, what it is."""
    frame(ax, place, colour, 2.4, 0.05)
    x, y = place.top
    say(ax, x + (0.2 if to_left else -0.2), y + up, text, colour=colour,
        align="right" if to_left else "left")
    arrow(ax, (x, y + up - 0.1), (x, y + 0.07), colour=colour)


def rectangles(masks: Mapping[str, Tensor]) -> Figure:
    """Draw the masks of whole batches: dark is a real token, pale is padding.

    masks: a name for each mask, (batch, 1, seq_len) or (batch, seq_len); one to three, with at most
    256 rows and columns
    """
    names = words_of("masks", list(masks), most=3)
    drawn = []
    for name in names:
        mask = tensor_of(name, masks[name])
        mask = mask.squeeze(1) if mask.dim() == 3 and mask.size(1) == 1 else mask
        if mask.dim() != 2 or max(mask.shape) > 256:
            raise ValueError(f"{name} has shape {tuple(mask.shape)}, the diagram wants "
                             "(batch, 1, seq_len), at most 256 each")
        drawn.append(mask.bool())
    shares = [100 * (1 - mask.float().mean().item()) for mask in drawn]
    told = " and ".join(f"{share:.0f} %" for share in shares)
    ax = sheet(9, 3.9, f"Share of padding: {told}.")
    unit = min(7.6 / sum(mask.size(1) for mask in drawn), 0.16)
    left = 0.55
    for name, mask, share in zip(names, drawn, shares):
        wide, high = max(unit * mask.size(1), 0.3), 2.3
        place = Place(left + wide / 2, 1.95, wide, high)
        across = torch.linspace(left, left + wide, mask.size(1) + 1)
        up = torch.linspace(place.at(0, 1)[1], place.at(0, 0)[1], mask.size(0) + 1)
        colours = ListedColormap([MASK.fill, GREY])
        cells = across.numpy(), up.numpy(), mask.numpy()
        ax.pcolormesh(*cells, cmap=colours, vmin=0, vmax=1, zorder=3)
        frame(ax, place)
        brace(ax, place, f"{mask.size(1)} places", above=True, gap=0.04)
        say(ax, place.at(0, 0)[0], 0.55, f"{name}: {share:.1f} % padding", align="left")
        left += max(wide, 2.4) + 0.45
    say(ax, 0.28, 1.95, f"{drawn[0].size(0)} sentences", SMALL, GREY, rotation=90)
    ax.set(xlim=(0, ax.figure.get_size_inches()[0]), ylim=(0, ax.figure.get_size_inches()[1]))
    return ax.figure

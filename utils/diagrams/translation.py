"""Training a translator: merges of letters, a softened truth, batches of equal size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from utils.diagrams.primitives import (
    GREY,
    INK,
    KEY,
    LARGER,
    MASK,
    SMALL,
    VALUE,
    WEIGHT,
    WORD,
    Place,
    arrow,
    box,
    frame,
    grid,
    say,
    sheet,
    tensor_of,
    words_above,
    words_beside,
    words_of,
)
from utils.translation import smoothed_loss

SPACE = "▁"    # how the tokenizer writes the space before a word


@dataclass
class Piece:
    """A run of letters, the pieces that it was joined from, and the number of that merge."""

    text: str
    parts: tuple[Piece, ...] = ()
    merge: int = 0

    @property
    def height(self) -> int:
        """Return how many merges lie on top of one another in it."""
        return 1 + max(part.height for part in self.parts) if self.parts else 0


def merged(word: str, merges: Sequence[tuple[str, str]]) -> list[Piece]:
    """Join the letters of a word as the merges say: the first one learned comes first.

    merges: pairs of neighbours, in the order in which they were learned
    """
    number = {tuple(pair): n for n, pair in enumerate(merges, start=1)}
    pieces = [Piece(letter) for letter in word]
    while True:
        pairs = list(pairwise(pieces))
        found = [number.get((a.text, b.text), len(number) + 1) for a, b in pairs]
        if not found or min(found) > len(number):
            return pieces
        at, best = found.index(min(found)), min(found)
        a, b = pairs[at]
        pieces[at : at + 2] = [Piece(a.text + b.text, (a, b), best)]


def subword_tree(subwords, word: str) -> Figure:
    """Draw how the letters of one word are joined to subwords, merge by merge.

    subwords: with encode, and to_json that holds the merges    word: 1 to 26 letters, no space
    Raises ValueError for another word, or where the merges do not give the tokenizer's own pieces.
    """
    words_of("the word", list(word), most=26)
    if len(word.split()) != 1:
        raise ValueError(f"{word!r} is not one word: it holds a space")
    merges = json.loads(subwords.to_json())["model"]["merges"]
    pieces = merged(SPACE + word, merges)
    tokens = [subwords.tokenizer.id_to_token(number) for number in subwords.encode(word)]
    if [piece.text for piece in pieces] != tokens:
        raise ValueError(f"{word!r} becomes {tokens}, and the merges give "
                         f"{[piece.text for piece in pieces]}: this is no BPE that can be drawn")
    tall, each = max(piece.height for piece in pieces), min(8.4 / (len(word) + 1), 0.6)
    step = 0.52
    n = f"{len(pieces)} subwords" if len(pieces) > 1 else "1 subword"
    title = f"{len(word)} letters and the space before them are joined to {n}."
    ax = sheet(9, step * tall + 1.45, title)
    left = 0.3
    for piece in pieces:
        draw_piece(ax, piece, left, each, step, top=True)
        left += each * len(piece.text)
    say(ax, 0.3, 0.25, f"{SPACE} is the space before the word. A number says which merge it was, "
        f"of {len(merges):,}: small ones are frequent.", SMALL, GREY, "left")
    return ax.figure


def draw_piece(
    ax: Axes, piece: Piece, left: float, each: float, step: float, top: bool = False
) -> Place:
    """Draw a piece above its parts; what is a subword in the end is coloured."""
    wide, start = each * len(piece.text), left
    y = 0.75 + step * piece.height
    role = VALUE if top else WORD
    place = box(ax, left + wide / 2, y, piece.text, role, width=wide - 0.05, height=0.28,
                corner=0.02, literal=True)
    for part in piece.parts:
        below = draw_piece(ax, part, start, each, step)
        end = below.top[0], place.bottom[1]
        if below.top[1] + 0.02 < end[1]:
            arrow(ax, below.top, end, colour=GREY, width=0.8, head=False)
        start += each * len(part.text)
    if piece.merge:
        seam = left + each * len(piece.parts[0].text)
        say(ax, seam, place.bottom[1] - 0.12, f"{piece.merge:,}", SMALL, GREY)
    return place


def wanted_shares(logits: Tensor, target: Tensor, pad_id: int, smoothing: float) -> Tensor:
    """Return the shares that smoothed_loss pulls towards, read off its gradient.

    The gradient at the logits is softmax(logits) - wanted share, and 0 for padding.
    """
    logits = logits.detach().double().requires_grad_()
    loss = smoothed_loss(logits.float(), target, pad_id, smoothing)
    (pull,) = torch.autograd.grad(loss, logits)
    real = (target != pad_id).unsqueeze(-1)
    return torch.where(real, logits.softmax(dim=-1) - pull, 0.0).detach()


def soft_truth(
    vocabulary: Sequence[str], target: Tensor, pad_id: int, smoothing: float
) -> Figure:
    """Draw what each place of a target is to say: all for one token, and softened.

    vocabulary: 3 to 10 tokens    target: (tgt_len,) token ids, at most 8    smoothing: 0 to 1
    The shares are read off the gradient of smoothed_loss.
    """
    tokens = words_of("the vocabulary", vocabulary, most=10)
    ids = tensor_of("target", target, None).long()
    if len(tokens) < 3 or len(ids) > 8 or not 0 <= smoothing < 1:
        raise ValueError("want a vocabulary from 3 tokens, at most 8 places, smoothing from 0 to 1")
    if not (0 <= int(ids.min()) and int(ids.max()) < len(tokens) and 0 <= pad_id < len(tokens)):
        raise ValueError(f"an id does not stand in a vocabulary of {len(tokens)} tokens")
    logits = torch.zeros(len(ids), len(tokens))
    cell = min(3.0 / len(tokens), 0.55), 0.32
    high = cell[1] * len(ids)
    ax = sheet(9, high + 1.75, f"The shares that each place wants: without smoothing, and with "
               f"{smoothing:g}.")
    for x, amount in ((2.75, 0.0), (7.05, smoothing)):
        shares = wanted_shares(logits, ids, pad_id, amount)
        place = grid(ax, x, 0.45 + high / 2, shares, KEY, cell, digits=2, span=(0, 1))
        words_above(ax, place, tokens, INK, turned=True)
        words_beside(ax, place, [tokens[n] for n in ids.tolist()])
        say(ax, x, 0.2, f"smoothing = {amount:g}", SMALL, GREY)
    return ax.figure


def batch_shapes(
    sizes: Sequence[tuple[int, int]], ways: Mapping[str, Sequence[Sequence[int]]], most: int = 4
) -> Figure:
    """Draw batches, source beside target, for each way to make them: dark is a token, pale padding.

    sizes: (src_len, tgt_len) of each row
    ways: a name and its batches, lists of row numbers; the first `most` of 1 to 5 are drawn, the
    share of padding is that of all
    """
    names = words_of("ways", list(ways), most=3)
    widths = torch.tensor(sizes)
    if not 1 <= most <= 5 or not all(ways[name] and all(ways[name]) for name in names):
        raise ValueError("want batches with rows in them, and 1 to 5 of them to draw")
    shares = {name: padding_share(widths, ways[name]) for name in names}
    told = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    drawn = {name: [widths[list(rows)] for rows in ways[name][:most]] for name in names}
    tallest = {name: max(map(len, batches)) for name, batches in drawn.items()}
    widest = max(sum(map(places_of, batches)) for batches in drawn.values())
    across, up = (8.3 - 0.5 * most) / widest, 1.35 / max(tallest.values())
    heights = {name: max(up * n, 0.3) + 0.75 for name, n in tallest.items()}
    ax = sheet(9, sum(heights.values()) + 1.0, f"Share of padding: {told}.")
    floor = sum(heights.values()) + 0.4
    for name, batches in drawn.items():
        say(ax, 0.35, floor - 0.1, name, LARGER, align="left")
        floor -= heights[name]
        each = 8.3 / len(batches)
        for n, batch in enumerate(batches):
            wide = across * places_of(batch) + 0.06
            draw_batch(ax, batch, 0.35 + each * (n + 0.5) - wide / 2, floor + 0.4, across, up)
    say(ax, 0.35, 0.2, "Rows × (places of the source + places of the target). Dark is a token, "
        "pale is padding.", SMALL, GREY, "left")
    ax.set(xlim=(0, ax.figure.get_size_inches()[0]), ylim=(0, ax.figure.get_size_inches()[1]))
    return ax.figure


def places_of(batch: Tensor) -> int:
    """Return how many places a row of a batch takes, source and target: (rows, 2) lengths."""
    return int(batch.amax(dim=0).sum())


def padding_share(sizes: Tensor, batches: Sequence[Sequence[int]]) -> float:
    """Return which share of the places of all batches holds no token, source and target counted.

    sizes: (n_rows, 2), the lengths of source and target
    """
    places = sum(len(rows) * places_of(sizes[list(rows)]) for rows in batches)
    return 1 - sum(int(sizes[list(rows)].sum()) for rows in batches) / places


def draw_batch(
    ax: Axes, batch: Tensor, left: float, floor: float, across: float, up: float
) -> None:
    """Draw one batch standing on a floor, source and target side by side, its size below.

    batch: (rows, 2), the lengths
    """
    rows, wide = len(batch), across * places_of(batch) + 0.06
    src_len, tgt_len = batch.amax(dim=0).tolist()
    say(ax, left + wide / 2, floor - 0.17, f"{rows} × ({src_len} + {tgt_len})", SMALL, GREY)
    for lengths in batch.T:
        real = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
        draw_rectangle(ax, real, left, floor, across, up)
        left += across * real.size(1) + 0.06


def draw_rectangle(
    ax: Axes, real: Tensor, left: float, floor: float, across: float, up: float
) -> None:
    """Draw the tokens and the padding of one side of a batch, (rows, places)."""
    rows, places = real.shape
    wide, high = across * places, up * rows
    edges = torch.linspace(left, left + wide, places + 1), torch.linspace(floor + high, floor,
                                                                          rows + 1)
    colours = ListedColormap([MASK.fill, WEIGHT.fill])
    ax.pcolormesh(*(edge.numpy() for edge in edges), real.numpy(), cmap=colours, vmin=0, vmax=1,
                  zorder=3)
    frame(ax, Place(left + wide / 2, floor + high / 2, wide, high), GREY, 0.8)

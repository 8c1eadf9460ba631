"""Pictures of lesson 06: beam search as a tree, and the n-grams that BLEU counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from utils.decoding import beam_search, beam_step, pick_rows
from utils.diagrams.primitives import (
    GREY,
    INK,
    LARGER,
    MASK,
    NORMAL,
    PAPER,
    RESIDUAL,
    SMALL,
    VALUE,
    Place,
    Role,
    arrow,
    bent,
    box,
    cut_to,
    frame,
    number,
    plate,
    say,
    sheet,
    tensor_of,
    words_of,
)
from utils.metrics import clipped_matches, ngram_counts
from utils.text import BOS, EOS

# ---- beam search as a tree ----


class Branch(NamedTuple):
    """One way to go on: from which place in the beam, with which word, to which place."""

    parent: int
    word: int
    gain: float  # log-probability of the word
    total: float  # and of everything up to it
    place: int | None  # in the new beam; None: dropped


class Step(NamedTuple):
    """What a beam holds before a step, and the ways on that it had to choose from."""

    beams: dict[int, list[int]]  # place: the words so far
    totals: dict[int, float]
    branches: list[Branch]


@torch.no_grad()
def beam_steps(
    model: nn.Module, src: Tensor, src_mask: Tensor, bos: int, eos: int, n_steps: int,
    beam_size: int, shown: int,
) -> list[Step]:
    """Run beam search on one sentence; `beam_step` decides what is kept."""
    same = torch.zeros(beam_size, dtype=torch.long)
    memory, mask = pick_rows((model.encode(src, src_mask), src_mask), same)
    token, state, history = torch.full((beam_size, 1), bos), None, []
    total = torch.tensor([[0.0] + [float("-inf")] * (beam_size - 1)])
    ended, beams = total > 0, {0: []}
    while len(history) < n_steps and beams:
        logits, state = model.decode(token, memory, mask, state)
        log_p = logits[:, -1].log_softmax(dim=-1)                  # (beam_size, vocab_size)
        new_total, parent, new_word = beam_step(total, ended, log_p.unsqueeze(0))
        chosen = list(zip(parent[0].tolist(), new_word[0].tolist()))
        branches = []
        for b in beams:
            best = log_p[b].topk(min(shown, log_p.size(1)))
            gains = tensor_of("log p of the next words", best.values).tolist()
            for word, gain in zip(best.indices.tolist(), gains):
                place = chosen.index((b, word)) if (b, word) in chosen else None
                branches.append(Branch(b, word, gain, total[0, b].item() + gain, place))
        history.append(Step(beams, {b: total[0, b].item() for b in beams}, branches))
        state, token = pick_rows(state, parent[0]), new_word.view(-1, 1)
        total, ended = new_total, (new_word == eos) | ~new_total.isfinite()
        going = (~ended)[0].nonzero().flatten().tolist()
        beams = {n: [*beams[chosen[n][0]], chosen[n][1]] for n in going}
    return history


def beam_tree(
    model: nn.Module, src: Tensor, src_mask: Tensor, words: Sequence[str], n_steps: int,
    beam_size: int = 2, shown: int = 3, first: int = 1,
) -> Figure:
    """Draw beam search as a tree: how each beginning could go on, what is kept, what has ended.

    model: with encode and decode, as in Seq2Seq    src: (1, src_len)    src_mask: (1, 1, src_len)
    words: the target vocabulary    shown: how many next words to draw for each beginning
    first: the first step drawn; the beginnings kept before it stand as text on the left
    ✓ is the sentence that `beam_search` returns, ranked by log p / length.
    Raises ValueError where it does not fit: more than 4 steps drawn, more than 9 ways at a step.
    """
    src = tensor_of("src", src, 1, None).long()
    src_mask = tensor_of("src_mask", src_mask, 1, 1, src.size(1)).bool()
    words = words_of("words", words, most=10**6)
    shown = max(shown, beam_size)
    if not 1 <= first <= n_steps < first + 4 or not 1 <= beam_size * shown <= 9:
        raise ValueError(
            "the page has room for 1 to 4 steps and for beam_size * shown up to 9: got steps "
            f"{first} to {n_steps}, {beam_size} * {shown}"
        )
    bos, eos = words.index(BOS), words.index(EOS)
    history = beam_steps(model, src, src_mask, bos, eos, n_steps, beam_size, shown)
    if len(history) < first:
        raise ValueError(f"all beginnings have ended before step {first}: draw an earlier one")
    with torch.no_grad():
        found = beam_search(model, src, src_mask, bos, eos, beam_size=beam_size)[0].tolist()
    if eos in found:
        found = found[: found.index(eos) + 1]
    ax = sheet(9, 1.75 + 0.56 * beam_size * shown, title_of(history, found, beam_size))
    ends = draw_tree(ax, history, words, found, first)
    say(
        ax, 0.25, 0.3, "In the box: log p of the word.  Beside it: the sum so far.  Thick: kept.  "
        "Double frame: ended.", SMALL, GREY, "left",
    )
    if ends:
        best = [text for _, text in sorted(ends, reverse=True)[:3]]
        say(ax, 0.25, 0.6, "Ended, sum ÷ words:  " + ",   ".join(best), NORMAL, INK, "left")
    return ax.figure


def title_of(history: list[Step], found: list[int], beam_size: int) -> str:
    """Return what the tree shows: whether the winner was ever behind."""
    behind = [
        t for t, step in enumerate(history)
        if any(place and found[:t] == words for place, words in step.beams.items())
    ]
    if behind:
        return f"The winner was only second after step {behind[-1]}: a beam of {beam_size} kept it"
    return f"At each step a beam of {beam_size} keeps the {beam_size} likeliest beginnings"


def draw_tree(
    ax, history: list[Step], words: Sequence[str], found: list[int], first: int
) -> list[tuple[float, str]]:
    """Draw the steps from `first` on, each as one column, in the order of their parents.

    Returns (score, how it is computed) of each beginning that ended; ✓ is the one that was found.
    """
    start, steps = history[first - 1], history[first - 1 :]
    middle, high = 0.75 + (ax.get_ylim()[1] - 1.65) / 2, ax.get_ylim()[1] - 0.8
    wide = 0.7 if first == 1 else 1.75
    column = (8.4 - wide) / len(steps)
    width = min(1.0, column - 0.85)
    beam, ends = {}, []
    for slot, (place, ids) in enumerate(start.beams.items()):
        y = middle + 0.8 * ((len(start.beams) - 1) / 2 - slot)
        text = " ".join(words[i] for i in ids) or BOS
        beam[place] = plate(ax, 0.2 + wide / 2, y, text, width=wide, height=0.4)
        if first > 1:
            say(ax, 0.26 + wide, y, number(start.totals[place], 2), LARGER, align="left")
    for t, step in enumerate(steps, first):
        x, after = 0.2 + wide + column * (t - first) + column - 0.3 - width / 2, {}
        say(ax, x, high, f"step {t}", colour=GREY)
        branches = sorted(step.branches, key=lambda b: (-beam[b.parent].y, -b.gain))
        for slot, branch in enumerate(branches):
            y = middle + 0.54 * ((len(branches) - 1) / 2 - slot)
            parent = beam[branch.parent]
            begins = parent.right[0] + (0.04 if t == first == 1 else 0.61), parent.y
            place = draw_branch(ax, branch, words[branch.word], Place(x, y, width, 0.42), begins)
            if branch.place is not None:
                after[branch.place] = place
            if branch.place is not None and words[branch.word] == EOS:
                frame(ax, place, gap=0.05)
                won = " ✓" if [*step.beams[branch.parent], branch.word] == found else ""
                total, score = number(branch.total, 2), number(branch.total / t, 2)
                ends.append((branch.total / t, f"{total} ÷ {t} = {score}{won}"))
        beam = after
    return ends


def draw_branch(ax, branch: Branch, word: str, spot: Place, begins: tuple[float, float]) -> Place:
    """Draw one next word with its numbers, and the way to it."""
    kept = branch.place is not None
    line, ink = (INK, INK) if kept else (MASK.line, GREY)
    place = box(ax, spot.x, spot.y, "", Role(line, PAPER), spot.width, spot.height, corner=0.02)
    written = say(ax, spot.x, spot.y + 0.09, word, colour=ink, parse_math=False)
    cut_to(written, spot.width - 0.06)
    say(ax, spot.x, spot.y - 0.11, number(branch.gain, 2), SMALL, GREY)
    say(ax, place.right[0] + 0.11, spot.y, number(branch.total, 2), LARGER, ink, "left")
    half = (begins[0] + place.left[0]) / 2
    way = bent(begins, (half, begins[1]), (half, place.left[1]), place.left)
    arrow(ax, way, colour=line, width=2.2 if kept else 0.9, head=False)
    return place


# ---- what BLEU counts ----


def fates(hypothesis: Sequence[str], reference: Sequence[str], n: int) -> list[str]:
    """Say of each n-gram of the hypothesis, from left to right: found, clipped or absent.

    An n-gram that comes too often is found as often as the reference has it, then clipped.
    """
    left, result = ngram_counts(reference, n), []
    wanted = ngram_counts(reference, n)
    for i in range(len(hypothesis) - n + 1):
        run = tuple(hypothesis[i : i + n])
        result.append("found" if left[run] > 0 else "clipped" if wanted[run] else "absent")
        left[run] -= 1
    total = len(result)
    assert (result.count("found"), total) == clipped_matches(hypothesis, reference, n)
    return result


LOOKS = {
    "found": {"facecolor": VALUE.fill, "edgecolor": VALUE.line, "linewidth": 1.2},
    "clipped": {"facecolor": RESIDUAL.fill, "edgecolor": RESIDUAL.line, "hatch": "/////"},
    "absent": {"facecolor": PAPER, "edgecolor": "#c4c4c4", "linewidth": 0.7},
}


def ngram_matches(
    hypothesis: Sequence[str], reference: Sequence[str], orders: Sequence[int] = (1, 2, 3, 4)
) -> Figure:
    """Draw which n-grams of a hypothesis its reference has, and which it has less often.

    Each bar is one n-gram, under its words. The counts are those of `clipped_matches`.
    Raises ValueError for more than 22 words in a sentence.
    """
    hypothesis = words_of("hypothesis", hypothesis, most=22)
    reference = words_of("reference", reference, most=22)
    if not orders or not all(1 <= n <= 4 for n in orders):
        raise ValueError(f"orders are numbers from 1 to 4, got {orders}")
    ends = {n: fates(hypothesis, reference, n) for n in orders}
    height = 2.3 + sum(0.46 + 0.17 * n for n in orders)
    first, total = ends[orders[0]], len(ends[orders[0]])
    kind = "words" if orders[0] == 1 else f"{orders[0]}-grams"
    title = f"{first.count('found')} of {total} {kind} count"
    if clipped := first.count("clipped"):
        title += f"; {clipped} more are clipped: the reference has them less often"
    ax = sheet(9, height, title)
    say(ax, 0.25, height - 0.78, "reference", SMALL, GREY, "left")
    sentence(ax, reference, height - 0.78)
    say(ax, 0.25, height - 1.28, "written", SMALL, GREY, "left")
    places, y = sentence(ax, hypothesis, height - 1.28), height - 1.62
    for n, kinds in ends.items():
        counts = f"{kinds.count('found')} of {len(kinds)} found"
        if clipped := kinds.count("clipped"):
            counts += f", {clipped} clipped"
        say(ax, 0.25, y - 0.08, f"n = {n}", NORMAL, INK, "left")
        say(ax, LEFT, y - 0.08, counts, NORMAL, GREY, "left")
        for i, kind in enumerate(kinds):
            low = y - 0.42 - 0.17 * (i % n)
            left, right = places[i].left[0], places[i + n - 1].right[0]
            style = {"zorder": 3} | LOOKS[kind]
            ax.add_patch(Rectangle((left, low), right - left, 0.12, **style))
        y -= 0.46 + 0.17 * n
    for x, kind, meaning in [
        (LEFT, "found", "found"), (LEFT + 1.1, "clipped", "clipped: comes too often"),
        (LEFT + 3.5, "absent", "not in the reference"),
    ]:
        ax.add_patch(Rectangle((x, 0.24), 0.3, 0.12, **({"zorder": 3} | LOOKS[kind])))
        say(ax, x + 0.38, 0.3, meaning, SMALL, GREY, "left")
    return ax.figure


LEFT, RIGHT = 0.95, 8.85  # where the words of a sentence may stand


def sentence(ax, words: Sequence[str], y: float) -> list[Place]:
    """Draw the words of a sentence as plates in a row, each as wide as it wants if all fit."""
    natural = []
    for word in words:
        text = say(ax, LEFT, y, word, NORMAL, parse_math=False)
        natural.append(text.get_window_extent().width / ax.figure.dpi + 0.08)
        text.remove()
    gap = 0.04
    room = RIGHT - LEFT - gap * (len(words) - 1)
    widest = max(natural)
    while sum(min(w, widest) for w in natural) > room:
        widest *= 0.97
    places, x = [], LEFT
    for word, wanted in zip(words, natural):
        width = min(wanted, widest)
        places.append(plate(ax, x + width / 2, y, word, width=width))
        x += width + gap
    return places

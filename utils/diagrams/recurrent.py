"""Recurrent networks: unrolled along a word, and one step in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from utils.diagrams.primitives import (
    GREY,
    LARGER,
    NORMAL,
    SMALL,
    STATE,
    WEIGHT,
    WORD,
    Place,
    Role,
    around,
    arrow,
    bent,
    box,
    circle,
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
from utils.recurrent import RNNCell

MOST_LETTERS, MOST_NUMBERS = 12, 32  # what the page of `unrolled` has room for

# ---- the network, folded and unrolled (notebook 01) ----


def unrolled(
    letters: Sequence[str], states: Tensor, shares: Tensor | None = None,
    alphabet: Sequence[str] = (), fed_back: bool = False,
) -> Figure:
    """Draw a recurrent network once, with its loop, and once along a word, a copy for each step.

    letters: what is read, one for each step    states: (seq_len, d_hidden), after each of them
    shares: (seq_len, vocab_size), what is predicted for each letter of the alphabet, or None:
    the likeliest letter stands above its step, with its share
    fed_back: draw how each predicted letter is read at the next step
    Raises ValueError for shapes that do not fit, numbers that are not finite, or too many steps.
    """
    states = tensor_of("states", states, None, None)
    letters = words_of("letters", list(letters), len(states), most=MOST_LETTERS)
    if states.size(1) > MOST_NUMBERS:
        raise ValueError(f"a state of {states.size(1)} numbers: the page has room for 32")
    guesses = None
    if shares is not None:
        alphabet = words_of("alphabet", list(alphabet), most=10_000)
        shares = tensor_of("shares", shares, len(letters), len(alphabet))
        likeliest, places = shares.max(dim=1)
        guesses = [(alphabet[p], s) for p, s in zip(places.tolist(), likeliest.tolist())]
    height = 3.5 if guesses is None else 4.7
    ax = sheet(9, height, finding(letters, states, guesses))
    folded(ax, states.size(1), guesses is not None)
    gap = 6.4 / len(letters)
    columns = [2.55 + (i + 0.5) * gap for i in range(len(letters))]
    before = zeros = state_strip(ax, 2.2, torch.zeros(states.size(1)), 0.1)
    say(ax, zeros.x, 2.44, "zeros", SMALL, GREY)
    above = []
    for i, (x, letter) in enumerate(zip(columns, letters)):
        below = plate(ax, x, 0.55, letter, width=min(0.5, 0.8 * gap))
        cell = box(ax, x, 1.7, "", height=1.3, width=min(0.7, 0.66 * gap))
        arrow(ax, below.top, cell.bottom)
        arrow(ax, (before.right[0], 1.7), cell.left, colour=STATE.line)
        state_strip(ax, x, states[i], min(0.3, 0.4 * gap))
        before = cell
        if guesses:
            word, share = guesses[i]
            above.append(plate(ax, x, 3.3, word, width=min(0.5, 0.8 * gap)))
            arrow(ax, cell.top, above[-1].bottom)
            say(ax, x, 3.62, number(share, 2), NORMAL if gap > 0.5 else SMALL)
            if fed_back and i:
                read_back(ax, above[i - 1], below, gap)
    say(ax, 2.55 + 3.2, 0.2, "reads", SMALL, GREY)
    if guesses:
        say(ax, 2.55 + 3.2, 3.92, "predicts the next letter, with its share", SMALL, GREY)
    return ax.figure


def finding(letters: list[str], states: Tensor, guesses: list | None) -> str:
    """Return the title: what becomes of a letter that is read twice."""
    pairs = [
        (i, j) for j in range(len(letters)) for i in range(j) if letters[i] == letters[j]
    ]
    if not pairs:
        return "One cell, used again at every letter"
    i, j = pairs[0]
    # no Japanese or Korean in a bold title: only letters that the bold font has
    name = f"'{letters[i]}'" if letters[i].isascii() else "letter"
    if (states[i] - states[j]).abs().max() < 0.05:
        return f"The same {name} twice, and the same state"
    if guesses is None or guesses[i][0] == guesses[j][0]:
        return f"The same {name} twice, but not the same state"
    return f"The same {name} twice: another state, another prediction"


def state_strip(ax: Axes, x: float, state: Tensor, width: float) -> Place:
    """Draw a state upright, with its digits where it is short and wide enough."""
    if len(state) <= 3 and width >= 0.3:
        cell = (0.46, 0.9 / len(state))
        return grid(ax, x, 1.7, state.unsqueeze(1), STATE, cell, digits=1, span=(-1, 1))
    return strip(ax, x, 1.7, state, STATE, 1.0, width, upright=True)


def folded(ax: Axes, d_hidden: int, predicts: bool) -> None:
    """Draw the network as it stands in the code: one cell whose state comes back to it."""
    below = plate(ax, 0.85, 0.55, "letter", width=0.65)
    cell = box(ax, 0.85, 1.7, "cell", height=0.9, width=0.65)
    arrow(ax, below.top, cell.bottom)
    (right, y), (left, _) = cell.right, cell.left
    over = 2.5
    way = bent((right, y), (right + 0.5, over + 0.25), (left - 0.5, over + 0.25), (left, y))
    if predicts:
        ahead = plate(ax, 0.85, 3.3, "next", width=0.65)
        arrow(ax, cell.top, ahead.bottom)
    arrow(ax, way, colour=STATE.line, dashed=True, halo=predicts)
    say(ax, 1.0, 2.72, "its state comes back", SMALL, STATE.line, "left")
    say(ax, 2.2, 1.03, f"{d_hidden} numbers", SMALL, GREY)
    say(ax, 1.7, 1.7, "=", LARGER + 3)


def read_back(ax: Axes, guess: Place, below: Place, gap: float) -> None:
    """Draw the dashed way of a predicted letter down to the input of the next step."""
    x = (guess.right[0] + below.left[0]) / 2
    start, end = guess.right, below.left
    arrow(ax, start, (x, start[1]), (x, end[1]), end, dashed=True, colour=GREY, halo=True)


# ---- one step (notebook 01) ----


def one_step(
    x: Tensor, state: Tensor, w_input: Tensor, w_state: Tensor, bias: Tensor | None = None,
    alphabet: Sequence[str] = (),
) -> Figure:
    """Draw one step of a recurrent cell by its numbers: two products, their sum, tanh.

    x: (d_input,)    state: (d_hidden,), the old one    w_input: (d_hidden, d_input)
    w_state: (d_hidden, d_hidden)    bias: (d_hidden,), or None    alphabet: a letter for each
    number of x. Raises ValueError for shapes that do not fit, numbers that are not finite, or
    more than 6 numbers in x or 4 in the state.
    """
    x = tensor_of("x", x, None)
    state = tensor_of("state", state, None)
    d_input, d_hidden = len(x), len(state)
    if d_input > 6 or d_hidden > 4:
        raise ValueError(f"x has {d_input} numbers, the state {d_hidden}: want at most 6 and 4")
    w_input = tensor_of("w_input", w_input, d_hidden, d_input)
    w_state = tensor_of("w_state", w_state, d_hidden, d_hidden)
    bias = tensor_of("bias", torch.zeros(d_hidden) if bias is None else bias, d_hidden)
    letters = words_of("alphabet", list(alphabet), d_input) if len(alphabet) else []
    from_x, from_state = w_input @ x, w_state @ state
    new = stepped(x, state, w_input, w_state, bias)
    assert torch.allclose(new, (from_x + from_state + bias).tanh(), atol=1e-5)

    one_hot = x.sum() == 1 and (x == 0).sum() == d_input - 1
    first_part = "The letter picks a column" if one_hot else "The input adds its part"
    half = 0.5 * CELL[1]
    gap = 2 * half * d_hidden + 0.45
    lower = 0.4 + half * d_hidden
    middle, upper = lower + gap, lower + 2 * gap
    height = upper + half * max(d_input, d_hidden) + 1
    ax = sheet(9, height, f"{first_part}, the old state adds its part, tanh bends the sum")
    first = product(ax, upper, w_input, x, from_x, WORD)
    second = product(ax, lower, w_state, state, from_state, STATE)
    raised = 0.2 if letters else 0
    for place, name, above in (
        (first[0], "$W_x$", raised), (first[1], "$x$", 0), (first[2], "$W_x\\,x$", 0),
        (second[0], "$W_h$", 0), (second[1], "old $h$", 0), (second[2], "$W_h\\,h$", 0),
    ):
        say(ax, place.x, place.top[1] + 0.2 + above, name, LARGER)
    if letters:
        letters_above(ax, first[0], letters)
        letters_beside(ax, first[1], letters)
    if one_hot:
        place = int(x.argmax())
        picked = [first[0].cell(r, place) for r in range(d_hidden)]
        frame(ax, around(*picked), width=2.2)
    plus = circle(ax, 5.45, middle, "+")
    has_bias = bool(bias.any())
    arrow(ax, first[2].right, (plus.x, upper), plus.top)
    arrow(ax, second[2].right, (plus.x, lower), plus.bottom)
    if has_bias:
        added = column(ax, 4.55, middle, bias, WEIGHT, "$b$")
        arrow(ax, added.right, plus.left)
    summed = column(ax, 6.35, middle, from_x + from_state + bias, WEIGHT, "sum")
    arrow(ax, plus.right, summed.left)
    bend = box(ax, 7.3, middle, "tanh", height=0.42)
    arrow(ax, summed.right, bend.left)
    shown = column(ax, 8.3, middle, new, STATE, "new $h$")
    arrow(ax, bend.right, shown.left)
    return ax.figure


def stepped(x: Tensor, state: Tensor, w_input: Tensor, w_state: Tensor, bias: Tensor) -> Tensor:
    """Return what the course's cell makes of one input with these weights."""
    cell = RNNCell(len(x), len(state))
    with torch.no_grad():
        cell.input_map.weight.copy_(w_input)
        cell.input_map.bias.copy_(bias)
        cell.state_map.weight.copy_(w_state)
        cell.state_map.bias.zero_()
        return cell(x.unsqueeze(0), state.unsqueeze(0))[0][0]


CELL = (0.42, 0.34)  # inches


def product(
    ax: Axes, y: float, matrix: Tensor, vector: Tensor, result: Tensor, role: Role
) -> tuple[Place, Place, Place]:
    """Draw a matrix times a vector and what comes out, from left to right."""
    weights = grid(ax, 1.7, y, matrix, WEIGHT, CELL, digits=1, span=largest(matrix))
    right = weights.right[0]
    factor = column(ax, right + 0.75, y, vector, role)
    say(ax, right + 0.28, y, "·", LARGER)
    say(ax, factor.right[0] + 0.28, y, "=", LARGER)
    total = column(ax, factor.right[0] + 0.75, y, result, WEIGHT)
    return weights, factor, total


def largest(values: Tensor) -> tuple[float, float]:
    """Return the span of shades that leaves 0 white."""
    return 0.0, max(values.abs().max().item(), 1e-6)


def column(
    ax: Axes, x: float, y: float, vector: Tensor, role: Role, name: str = ""
) -> Place:
    """Draw a vector as a column of digits, its name above."""
    span = (-1.0, 1.0) if role is STATE else largest(vector)
    place = grid(ax, x, y, vector.unsqueeze(1), role, (0.5, CELL[1]), digits=1, span=span)
    if name:
        say(ax, x, place.top[1] + 0.2, name, LARGER)
    return place


def letters_above(ax: Axes, place: Place, letters: Sequence[str]) -> None:
    """Write a letter over each column."""
    for c, letter in enumerate(letters):
        x, y = place.cell(0, c).top
        say(ax, x, y + 0.13, letter, SMALL, GREY, parse_math=False)


def letters_beside(ax: Axes, place: Place, letters: Sequence[str]) -> None:
    """Write a letter to the left of each row."""
    for r, letter in enumerate(letters):
        x, y = place.row(r).left
        say(ax, x - 0.07, y, letter, SMALL, GREY, "right", parse_math=False)


"""Gated cells in numbers, and the chain of products that a gradient crosses on its way back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from utils.diagrams.primitives import (
    GREY,
    LARGER,
    NORMAL,
    SMALL,
    STATE,
    WEIGHT,
    WORD,
    Place,
    Point,
    Role,
    arrow,
    box,
    circle,
    frame,
    mix,
    number,
    plate,
    say,
    sheet,
    tensor_of,
    words_of,
)

LANE, MEET, GATES, BUS = 3.4, 2.5, 1.6, 0.95  # heights in the drawings of both cells
MOST_LETTERS, MOST_CELLS, MOST_UNITS = 12, 5, 4096

# ---- one step of an LSTM and of a GRU (notebook 02) ----


@torch.no_grad()
def gated_cells(
    lstm: nn.Module, gru: nn.Module, x: Tensor, hidden: Tensor, kept: Tensor, unit: int = 0
) -> Figure:
    """Draw one step of an LSTM and of a GRU, with the real numbers of one of their units.

    lstm, gru: cells of the course, or torch's nn.LSTMCell and nn.GRUCell
    x: (1, d_input)    hidden, kept: (1, d_hidden), the states before    unit: which feature
    Raises ValueError for shapes that do not fit, numbers that are not finite, or no such unit.
    """
    x = tensor_of("x", x, 1, None)
    hidden = tensor_of("hidden", hidden, 1, None)
    kept = tensor_of("kept", kept, 1, hidden.size(1))
    if not 0 <= unit < hidden.size(1):
        raise ValueError(f"unit {unit}: the states have {hidden.size(1)} numbers")
    ax = sheet(9, 5, "A gate is a valve: it lets a share from 0 to 1 through")
    draw_lstm(ax, 0.25, lstm, x, hidden, kept, unit)
    draw_gru(ax, 4.85, gru, x, hidden, unit)
    return ax.figure


def sums_of(cell: nn.Module, x: Tensor, hidden: Tensor, n_parts: int) -> tuple[Tensor, Tensor]:
    """Return what x and what the old state add to each part of a cell, (n_parts, d_hidden)."""
    names = ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
    if not isinstance(cell, nn.RNNCellBase):
        names = ("input_map.weight", "input_map.bias", "state_map.weight", "state_map.bias")
    table = dict(cell.named_parameters())
    w_input, b_input, w_state, b_state = (tensor_of(name, table[name]) for name in names)
    wanted = (n_parts * hidden.size(1), x.size(1))
    if tuple(w_input.shape) != wanted:
        raise ValueError(f"the cell's weights of x are {tuple(w_input.shape)}, want {wanted}")
    from_x, from_hidden = x @ w_input.T + b_input, hidden @ w_state.T + b_state
    return from_x[0].view(n_parts, -1), from_hidden[0].view(n_parts, -1)


def draw_lstm(
    ax: Axes, left: float, lstm: nn.Module, x: Tensor, hidden: Tensor, kept: Tensor, unit: int
) -> None:
    """Draw one unit of an LSTM: what is kept has a lane of its own."""
    sums = sum(sums_of(lstm, x, hidden, 4))[:, unit]
    let_in, forget, show = sums[[0, 1, 3]].sigmoid().tolist()
    new, old = sums[2].tanh().item(), kept[0, unit].item()
    after = forget * old + let_in * new
    shown, stored = lstm(x, (hidden, kept))
    stored = stored[1] if isinstance(stored, tuple) else stored
    assert math.isclose(stored[0, unit], after, abs_tol=1e-5)
    assert math.isclose(shown[0, unit], show * math.tanh(after), abs_tol=1e-5)

    say(ax, left, 4.15, "LSTM: the cell state $c$ has a lane of its own", LARGER, align="left")
    forget_x, in_x, sum_x, new_x, out_x = (left + d for d in (0.62, 1.42, 1.83, 2.24, 3.05))
    end = left + 4.15
    forget_box = valve(ax, forget_x, "forget", forget)
    in_box = valve(ax, in_x, "input", let_in)
    new_box = content(ax, new_x, new)
    out_box = valve(ax, out_x, "output", show)
    keep, add = circle(ax, forget_x, LANE, "×"), circle(ax, sum_x, LANE, "+")
    some, out = circle(ax, sum_x, MEET, "×"), circle(ax, out_x, MEET, "×")
    squash = box(ax, out_x, 2.95, "tanh", WORD, height=0.26, size=SMALL)
    stream(ax, (left, LANE), keep.left, old, "old $c$")
    stream(ax, keep.right, add.left, forget * old)
    stream(ax, add.right, (end, LANE), after, "new $c$")
    stream(ax, out.right, (end, MEET), shown[0, unit].item(), "new $h$")
    arrow(ax, forget_box.top, keep.bottom)
    arrow(ax, in_box.top, (in_x, MEET), some.left)
    arrow(ax, new_box.top, (new_x, MEET), some.right)
    arrow(ax, some.top, add.bottom)
    arrow(ax, (out_x, LANE), squash.top)
    arrow(ax, squash.bottom, out.top)
    arrow(ax, out_box.top, out.bottom)
    feed(ax, left, [forget_box, in_box, new_box, out_box])
    f, i, o, c, n, a = (number(p, 2, factor=True) for p in (forget, let_in, show, old, new, after))
    say(ax, left, 0.45, f"new $c$ = {f}·{c} + {i}·{n}", align="left")
    say(ax, left, 0.2, f"new $h$ = {o}·tanh({a.strip('()')})", align="left")


def draw_gru(ax: Axes, left: float, gru: nn.Module, x: Tensor, hidden: Tensor, unit: int) -> None:
    """Draw one unit of a GRU: one gate shares out between the old and the new."""
    from_x, from_h = (part[:, unit] for part in sums_of(gru, x, hidden, 3))
    reset, update = (from_x + from_h)[:2].sigmoid().tolist()
    new, old = math.tanh(from_x[2] + reset * from_h[2]), hidden[0, unit].item()
    after = update * old + (1 - update) * new
    shown = gru(x, hidden)
    shown = shown[0] if isinstance(shown, tuple) else shown
    assert math.isclose(shown[0, unit], after, abs_tol=1e-5)

    say(ax, left, 4.15, "GRU: what is not kept is made anew", LARGER, align="left")
    update_x, reset_x, part_x, new_x, end = (left + d for d in (0.8, 1.7, 2.45, 3.1, 4.0))
    update_box = valve(ax, update_x, "update", update)
    reset_box = valve(ax, reset_x, "reset", reset)
    part, new_box = circle(ax, part_x, GATES, "×"), content(ax, new_x, new)
    keep, add = circle(ax, update_x, LANE, "×"), circle(ax, new_x, LANE, "+")
    some = circle(ax, new_x, MEET, "×")
    rest = box(ax, left + 1.95, MEET, f"1 − {number(update, 2)}", WORD, height=0.28, size=SMALL)
    stream(ax, (left, LANE), keep.left, old, "old $h$")
    stream(ax, keep.right, add.left, update * old)
    stream(ax, add.right, (end, LANE), after, "new $h$")
    arrow(ax, update_box.top, keep.bottom)
    arrow(ax, (update_x, MEET), rest.left)
    arrow(ax, rest.right, some.left)
    arrow(ax, reset_box.right, part.left)
    arrow(ax, part.right, new_box.left)
    arrow(ax, new_box.top, some.bottom)
    arrow(ax, some.top, add.bottom)
    feed(ax, left, [update_box, reset_box, part, new_box])
    say(ax, part_x - 0.22, 1.15, "$W_h h$")  # as in torch, reset acts after the product
    say(ax, new_x + 0.22, 1.15, "$W_x x$")
    shares = float(number(update, 2)), 1 - float(number(update, 2))
    z, r, h, n = (number(p, 2, factor=True) for p in (*shares, old, new))
    say(ax, left, 0.45, f"new $h$ = {z}·{h} + {r}·{n}", align="left")


def stream(ax: Axes, start: Point, end: Point, value: float, name: str = "") -> None:
    """Draw a state on its way, as thick as it is large, with its number above."""
    width, leaves = 1 + 6 * min(abs(value), 1.5), name.startswith("new")
    arrow(ax, start, end, colour=STATE.line, width=width, head=leaves)
    x, y = (start[0] + end[0]) / 2, start[1]
    say(ax, x, y + 0.2, number(value, 2), colour=STATE.line)
    say(ax, x, y + 0.4, name, colour=STATE.line)


def content(ax: Axes, x: float, value: float, name: str = "new", role: Role = STATE) -> Place:
    """Draw what a cell computes: its name and its number."""
    return box(ax, x, GATES, f"{name}\n{number(value, 2)}", role, 0.72, 0.56, corner=0.02)


def valve(ax: Axes, x: float, name: str, share: float) -> Place:
    """Draw a gate: the box is filled as far as the gate is open."""
    place = content(ax, x, share, name, WORD)
    fill_up(ax, place, share)
    return place


def fill_up(ax: Axes, place: Place, share: float) -> None:
    """Fill a box from below, as far as a share says."""
    style = {"color": mix(WEIGHT.fill, 0.6), "linewidth": 0, "zorder": 2.6}
    height = min(max(share, 0.0), 1.0) * place.height
    ax.add_patch(Rectangle(place.at(0, 0), place.width, height, **style))
    frame(ax, place)


def feed(ax: Axes, x: float, places: Sequence[Place]) -> None:
    """Lead the input and the old hidden state to every gate."""
    arrow(ax, (x, BUS), (places[-1].x, BUS), head=False)
    for place in places:
        arrow(ax, (place.x, BUS), place.bottom)
    say(ax, x, BUS - 0.2, "$x$ and old $h$", align="left")


# ---- the way of a gradient (notebook 02) ----


def gradient_chain(letters: Sequence[str], sizes: Mapping[str, Tensor]) -> Figure:
    """Draw how a gradient goes back from the last letter to the first: one factor a step.

    letters: what was read    sizes: for each network the size of the gradient at each of its
    states, (seq_len,), first letter first. A box is filled as far as its factor; an arrow is as
    thick as what is left of the gradient.
    Raises ValueError for other shapes, sizes that are not positive, or more than 12 letters.
    """
    letters = words_of("letters", list(letters), most=MOST_LETTERS)
    if len(letters) < 2:
        raise ValueError("one letter has no step between letters: want at least 2")
    words_of("sizes", list(sizes), most=MOST_CELLS)
    rows = {name: tensor_of(name, row, len(letters)) for name, row in sizes.items()}
    if any((row <= 0).any() for row in rows.values()):
        raise ValueError("the sizes must be above 0: a factor divides by them")
    left = {name: (row / row[-1]).tolist() for name, row in rows.items()}

    ax = sheet(9, 1.5 + 1.15 * len(rows), finding(left))
    gap = 7.6 / (len(letters) - 1)
    columns = [0.75 + i * gap for i in range(len(letters))]
    for x, letter in zip(columns, letters):
        plate(ax, x, 0.56, letter, width=min(0.4, 0.6 * gap))
    say(ax, columns[0], 0.25, "first letter", SMALL, GREY)
    say(ax, columns[-1], 0.25, "question", SMALL, GREY)
    for place, (name, shares) in enumerate(left.items()):
        one_chain(ax, 1.3 + 1.15 * (len(left) - 1 - place), columns, name, shares)
    return ax.figure


def finding(left: Mapping[str, Sequence[float]]) -> str:
    """Return the title: what is left at the first letter."""
    parts = [remains(shares[0]) for shares in left.values()]
    many = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    verb = "reaches" if len(parts) == 1 else "reach"
    return f"Of a gradient of 1, {many} {verb} the first letter"


def remains(share: float) -> str:
    """Write what is left of a gradient, whatever its size."""
    if 0.095 <= share < 99.5:
        return f"{share:.2f}"
    if 0.00005 <= share < 0.095:
        return f"{share:.{2 if share > 0.01 else 3 if share > 0.001 else 4}f}"
    return f"{share:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace(
        "-", "−"
    )


def one_chain(
    ax: Axes, y: float, columns: Sequence[float], name: str, shares: Sequence[float]
) -> None:
    """Draw the way of one gradient, from the right to the left."""
    half = 0.32 * (columns[1] - columns[0])
    say(ax, 0.25, y + 0.45, name, LARGER, align="left", parse_math=False)
    for t in reversed(range(len(columns) - 1)):
        factor = shares[t] / shares[t + 1]
        middle = (columns[t] + columns[t + 1]) / 2
        before = columns[-1] + 0.25
        if t + 2 < len(columns):
            before = (columns[t + 1] + columns[t + 2]) / 2 - half
        width = 0.5 + 6 * min(shares[t + 1], 1.2)
        arrow(ax, (before, y), (middle + half, y), colour=STATE.line, width=width, head=False)
        small = 2 * half < 0.42
        cell = box(ax, middle, y, number(factor, 1 if small else 2), WORD, 2 * half, 0.44,
                   SMALL if small else NORMAL, corner=0.02)
        fill_up(ax, cell, factor)
    last = (columns[0] + columns[1]) / 2 - half
    arrow(ax, (last, y), (columns[0] - 0.3, y), colour=STATE.line,
          width=0.5 + 6 * min(shares[0], 1.2))
    for t, share in enumerate(shares):
        say(ax, columns[t], y - 0.38, remains(share), SMALL, STATE.line)

"""The drawing language of the course: cells, boxes, words, arrows, on a sheet in inches.

One unit of a sheet's axes is one inch of the page, so the size of a word and the size of its box
can be compared. Each primitive draws one thing with its middle at (x, y) and returns the Place
that it took; the next thing is put where that place says. Colour tells what a thing is for, form
what kind of thing it is:

    cells           numbers, a tensor             rounded box     a module, with parameters
    plate           a word                        circle          arithmetic
    arrow           data on its way               thick arrow     a large weight
    dashed arrow    comes back at the next step   hatched cells   hidden by a mask
"""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from torch import Tensor

Point = tuple[float, float]

# ---- what the colours mean, in every figure ----


class Role(NamedTuple):
    """What a thing is for: `line` draws and writes, `fill` lies behind dark words."""

    line: str
    fill: str

    @property
    def faint(self) -> Role:
        """The same for a thing that was there before."""
        return Role(*(to_hex(mix(colour, 0.35)) for colour in self))


INK, GREY, PALE, PAPER = "#222222", "#6b6b6b", "#efefef", "#ffffff"
QUERY = Role("#1f5fae", "#a4cdfc")
KEY = Role("#a86700", "#f9c98b")
VALUE = Role("#23854f", "#c0f0c8")  # and the context, which is a mixture of values
MEMORY = Role("#a8458f", "#e0a8cf")  # what the encoder hands over
STATE = Role("#6e6400", "#f3ea9b")  # the hidden state of a recurrent network
RESIDUAL = Role("#c22a10", "#f6c9bb")
WEIGHT = Role(INK, "#9c9c9c")  # attention, gates: a larger share is more ink
MASK = Role("#8a8a8a", "#f4f4f4")
MODULE = Role(INK, PALE)
WORD = Role("#8a8a8a", PAPER)
HEADS = (("#d8eeee", INK), ("#3f7f80", PAPER), ("#a3cccc", INK), ("#1d4c4d", PAPER))

SMALL, NORMAL, LARGER, TITLE = 9, 10, 11, 13  # points; nothing is smaller than SMALL


def mix(colour: str, share: float, ground: str = PAPER) -> tuple[float, ...]:
    """Return a share of a colour, from 0 to 1, on white or on another ground."""
    pairs = zip(to_rgb(colour), to_rgb(ground))
    return tuple(share * above + (1 - share) * below for above, below in pairs)


# ---- primitives ----


@dataclass(frozen=True)
class Place:
    """A rectangle on a sheet, in inches: its middle, its size, and its cells if it is a grid."""

    x: float
    y: float
    width: float = 0
    height: float = 0
    rows: int = 1
    columns: int = 1

    def at(self, across: float, up: float) -> Point:
        """Return a point of it: (0, 0) is the lower left corner, (1, 1) the upper right one."""
        return self.x + (across - 0.5) * self.width, self.y + (up - 0.5) * self.height

    @property
    def left(self) -> Point:
        return self.at(0, 0.5)

    @property
    def right(self) -> Point:
        return self.at(1, 0.5)

    @property
    def top(self) -> Point:
        return self.at(0.5, 1)

    @property
    def bottom(self) -> Point:
        return self.at(0.5, 0)

    def cell(self, row: int, column: int) -> Place:
        """Return the place of one cell; row 0 is the top one."""
        x, y = self.at((column + 0.5) / self.columns, 1 - (row + 0.5) / self.rows)
        return Place(x, y, self.width / self.columns, self.height / self.rows)

    def row(self, row: int) -> Place:
        """Return the place of one row of cells."""
        return Place(self.x, self.cell(row, 0).y, self.width, self.height / self.rows)


def around(*places: Place) -> Place:
    """Return the smallest place that holds all of these."""
    left, low = (min(p.at(0, 0)[axis] for p in places) for axis in (0, 1))
    right, high = (max(p.at(1, 1)[axis] for p in places) for axis in (0, 1))
    return Place((left + right) / 2, (low + high) / 2, right - left, high - low)


def tensor_of(name: str, values, *shape: int | None) -> Tensor:
    """Return what a diagram was given as a float tensor on the CPU, if it can be drawn.

    shape: the wanted size of each axis, None for any; no shape at all takes any tensor.
    Raises ValueError for another shape, an empty tensor, nan or infinity.
    """
    tensor = torch.as_tensor(values).detach().cpu()
    tensor = tensor if tensor.dtype == torch.bool else tensor.float()
    sizes = zip(tensor.shape, shape)
    if shape and (tensor.dim() != len(shape) or any(w not in (None, g) for g, w in sizes)):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, the diagram wants ({wanted})")
    if not tensor.numel():
        raise ValueError(f"{name} is empty, shape {tuple(tensor.shape)}: nothing to draw")
    if not tensor.isfinite().all():
        raise ValueError(f"{name} holds nan or infinity: a diagram draws finite numbers only")
    return tensor


def words_of(name: str, words: Sequence[str], wanted: int | None = None, most: int = 12) -> list:
    """Return the words of a diagram as a list, if they fit.

    wanted: how many there must be, None for any    most: how many the page has room for
    Raises ValueError for another number of words, for none, or for more than fit.
    """
    if isinstance(words, str):
        raise ValueError(f"{name} is one text: give a list of words, such as {words.split()!r}")
    words = [str(word) for word in words]
    if wanted is not None and len(words) != wanted:
        raise ValueError(f"{name} has {len(words)} words, the tensors have {wanted}")
    if not 0 < len(words) <= most:
        raise ValueError(f"{name} has {len(words)} words; the page has room for 1 to {most}")
    return words


def sheet(width: float, height: float, title: str) -> Axes:
    """Begin a figure: an empty page in inches, under a title that states the point.

    A title that is too wide takes a second line, and the page grows upwards by that line.
    """
    ax = plt.figure(figsize=(width, height), layout="none").add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    head = say(ax, 0.25, height - 0.3, title, TITLE, align="left", bold=True)
    if head.get_window_extent().width / ax.figure.dpi > width - 0.5:
        room = int(len(title) * (width - 0.5) * ax.figure.dpi / head.get_window_extent().width)
        lines = textwrap.wrap(title, max(room - 2, 8), max_lines=2, placeholder=" …")
        head.set_text("\n".join(lines))
        height += 0.25 * (len(lines) - 1)
        head.set_y(height - 0.3 - 0.12 * (len(lines) - 1))
        ax.figure.set_size_inches(width, height)
        ax.set(ylim=(0, height))
    # Jupyter crops a figure to what is drawn; a white page keeps the air around it
    ax.add_patch(Rectangle((0, 0), width, height, color=PAPER, zorder=-9))
    return ax


def say(
    ax: Axes, x: float, y: float, text: str, size: float = NORMAL, colour: str = INK,
    align: str = "center", bold: bool = False, **options,
) -> Text:
    """Write words; y is the middle of the line. No Japanese or Korean in bold."""
    if bold:  # the fonts for Japanese and Korean have one weight, and matplotlib would warn
        options |= {"weight": "bold", "family": "DejaVu Sans"}
    options = {"va": "center_baseline", "linespacing": 1.25, "zorder": 6} | options
    return ax.text(x, y, drawable(text), size=size, color=colour, ha=align, **options)


@functools.cache
def letters() -> frozenset[int]:
    """Return the code points that the course's fonts can draw."""
    families = plt.rcParams["font.family"]
    files = [font_manager.findfont(family) for family in families]
    return frozenset(code for file in files for code in font_manager.get_font(file).get_charmap())


def drawable(text: str) -> str:
    """Return a text with □ for each letter that no font of the course can draw."""
    return "".join(c if c.isspace() or ord(c) in letters() else "□" for c in text)


def cut_to(words: Text, width: float) -> None:
    """Shorten written words, with … at their end, until they are at most so many inches wide."""
    text = words.get_text()
    while len(text) > 1 and words.get_window_extent().width / words.figure.dpi > width:
        text = text[:-1]
        words.set_text(text + "…")


def number(value: float, digits: int = 0, factor: bool = False) -> str:
    """Write a number with a true minus sign, zero without; a factor below 0 in brackets."""
    written = f"{value:.{digits}f}"
    if float(written) == 0:
        return f"{0:.{digits}f}"
    written = written.replace("-", "−")
    return f"({written})" if factor and value < 0 else written


def box(
    ax: Axes, x: float, y: float, text: str, role: Role = MODULE, width: float | None = None,
    height: float = 0.36, size: float = NORMAL, corner: float = 0.08, badge: str = "",
    literal: bool = False,
) -> Place:
    """Draw a module; without a width it is as wide as its words want.

    badge: a number on it    literal: its text is somebody's word, shown as it is, $ signs too,
    and cut where it is wider than a given width
    """
    room = 0.3 if badge else 0
    words = say(ax, x + room / 2, y, text, size, parse_math=not literal)
    if width is None:
        width = words.get_window_extent().width / ax.figure.dpi + size / 50 + room
    elif literal:
        cut_to(words, width - 0.06)
    place = Place(x, y, width, height)
    shape_of_box = FancyBboxPatch(
        place.at(0, 0), width, height, boxstyle=f"round,pad=0,rounding_size={corner}",
        facecolor=role.fill, edgecolor=role.line, linewidth=1.1, zorder=2.5,
    )
    ax.add_patch(shape_of_box)
    if badge:
        disc(ax, x - width / 2 + 0.22, y, badge, min(0.12, 0.45 * height))
    return place


def plate(ax: Axes, x: float, y: float, word: str, **sizes) -> Place:
    """Draw a word of a sentence; one that is too long for a given width is cut."""
    sizes = {"height": 0.3, "corner": 0.02} | sizes
    return box(ax, x, y, word, WORD, literal=True, **sizes)


def circle(ax: Axes, x: float, y: float, sign: str, role: Role = WORD, size: float = 0.24) -> Place:
    """Draw arithmetic: a sum, a product."""
    style = {"facecolor": PAPER, "edgecolor": role.line, "linewidth": 1.2, "zorder": 4}
    ax.add_patch(Circle((x, y), size / 2, **style))
    say(ax, x, y + 0.01, sign, LARGER)
    return Place(x, y, size, size)


def disc(ax: Axes, x: float, y: float, text: str = "", radius: float = 0.12) -> None:
    """Draw a dark disc, with the number of a lesson or of a step in it."""
    ax.add_patch(Circle((x, y), radius, color=INK, linewidth=0, zorder=5))
    if text:
        say(ax, x, y, text, SMALL, PAPER)


def frame(ax: Axes, place: Place, colour: str = INK, width: float = 1.2, gap: float = 0) -> None:
    """Draw a line around a place."""
    low = place.x - place.width / 2 - gap, place.y - place.height / 2 - gap
    size = place.width + 2 * gap, place.height + 2 * gap
    style = {"edgecolor": colour, "linewidth": width, "zorder": 5, "joinstyle": "miter"}
    ax.add_patch(Rectangle(low, *size, fill=False, **style))


def grid(
    ax: Axes, x: float, y: float, values: Tensor, role: Role = WEIGHT,
    cell: tuple[float, float] = (0.4, 0.34), digits: int | None = None,
    span: tuple[float, float] | None = None, visible: Tensor | None = None,
    fills: Sequence[Sequence[tuple[str, str]]] | None = None, hatch: str = "////",
) -> Place:
    """Draw a tensor of one or two axes as cells; a larger number has a stronger colour.

    digits: how many decimals to write, None for colour alone.    span: the numbers drawn palest
    and strongest.    visible: False hatches a cell.    fills: (colour, ink) of each cell instead.
    """
    values = torch.atleast_2d(tensor_of("the grid", values))
    if values.dim() > 2:
        raise ValueError(f"a grid has one or two axes, got shape {tuple(values.shape)}")
    rows, columns = values.shape
    place = Place(x, y, columns * cell[0], rows * cell[1], rows, columns)
    low, high = map(float, span or (values.min(), values.max()))
    for r in range(rows):
        for c in range(columns):
            value, spot = values[r, c].item(), place.cell(r, c)
            shown = visible is None or bool(visible[r, c])
            share = min(max((value - low) / (high - low), 0), 1) if high > low else 1
            fill, ink = fills[r][c] if fills else (shade(role, share, digits is not None), INK)
            style = {"facecolor": fill, "edgecolor": role.line}
            if not shown:
                style = {"facecolor": MASK.fill, "edgecolor": MASK.line, "hatch": hatch}
            ax.add_patch(Rectangle(spot.at(0, 0), *cell, linewidth=0.6, zorder=3, **style))
            if digits is not None and shown:
                say(ax, spot.x, spot.y, number(value, digits), NORMAL, ink)
    frame(ax, place, role.line)
    return place


def shade(role: Role, share: float, with_digits: bool) -> tuple[float, ...]:
    """Return the colour of a cell: up to `fill` behind digits, up to near `line` without."""
    if with_digits:
        return mix(role.fill, share if role is WEIGHT else 0.2 + 0.8 * share)
    if share < 0.5:
        return mix(role.fill, 2 * share)
    return mix(role.line, 1.5 * share - 0.75, role.fill)


def strip(
    ax: Axes, x: float, y: float, vector: Tensor, role: Role, length: float = 0.66,
    thick: float = 0.14, upright: bool = False, largest: float = 1,
) -> Place:
    """Draw a vector without its digits, lying or upright, from -largest to largest."""
    vector = tensor_of("the vector", vector).flatten()
    each, span = length / len(vector), (-largest, largest)
    if upright:
        return grid(ax, x, y, vector.unsqueeze(1), role, (thick, each), span=span)
    return grid(ax, x, y, vector, role, (each, thick), span=span)


def mask_grid(
    ax: Axes, x: float, y: float, mask: Tensor, side: float, hatch: str = "////", dots: bool = True
) -> Place:
    """Draw a mask, (tgt_len, src_len): white, with a dot, where a query may look."""
    white = [[(PAPER, INK)] * mask.size(1)] * mask.size(0)
    place = grid(ax, x, y, mask, MASK, (side, side), visible=mask, fills=white, hatch=hatch)
    for r, c in mask.nonzero().tolist() if dots else []:
        spot = place.cell(r, c)
        disc(ax, spot.x, spot.y, radius=0.14 * side)
    return place


def corners(*points: Point, radius: float = 0.1) -> Path:
    """Return a way along points, with rounded corners."""
    vertices, codes = [points[0]], [Path.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:]):
        near, far = (towards(corner, end, radius) for end in (before, after))
        vertices += [near, corner, far]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*vertices, points[-1]], [*codes, Path.LINETO])


def towards(start: Point, end: Point, way: float) -> Point:
    """Return the point that lies so far from start on the way to end, at most half of it."""
    share = min(way / math.dist(start, end), 0.5)
    return tuple(a + share * (b - a) for a, b in zip(start, end))


def bent(start: Point, first: Point, second: Point, end: Point) -> Path:
    """Return a smooth way that leaves towards `first` and arrives from `second`."""
    return Path([start, first, second, end], [Path.MOVETO] + [Path.CURVE4] * 3)


def arrow(
    ax: Axes, *way: Point | Path, colour: str = INK, width: float = 1.2, dashed: bool = False,
    head: bool = True, halo: bool = False,
) -> None:
    """Draw an arrow along points, or along one Path; width in points.

    The head is a patch of its own: FancyArrowPatch would dash it with the line, and keep its size
    when the line grows. halo: a white edge, for an arrow that crosses another.
    """
    path = way[0] if isinstance(way[0], Path) else corners(*way)
    vertices = path.vertices.copy()
    tip, along = vertices[-1].copy(), vertices[-1] - vertices[-2]
    along = along / math.hypot(*along)
    length, half = (5.5 + 1.3 * width) / 72, (2.2 + 0.9 * width) / 72
    if head:
        vertices[-1] = tip - 0.8 * length * along
        back, side = tip - length * along, half * along[::-1] * (-1, 1)
        ax.add_patch(Polygon([tip, back + side, back - side], color=colour, linewidth=0, zorder=2))
    line = Path(vertices, path.codes)
    if halo:
        ax.add_patch(PathPatch(line, fill=False, edgecolor=PAPER, linewidth=width + 4, zorder=1.9))
    style = {"linestyle": (0, (3, 2)) if dashed else "-", "capstyle": "butt", "zorder": 2}
    ax.add_patch(PathPatch(line, fill=False, edgecolor=colour, linewidth=width, **style))


def shape(ax: Axes, place: Place, axes: str, tensor: Tensor) -> None:
    """Write a tensor's shape under its place: the names of the axes, and their sizes."""
    x, y = place.bottom
    say(ax, x, y - 0.17, axes, SMALL, GREY)
    say(ax, x, y - 0.34, str(tuple(tensor.shape)), SMALL, GREY)


def brace(ax: Axes, place: Place, text: str, above: bool = True, gap: float = 0.1) -> None:
    """Draw a bracket over or under a place, with words beyond it."""
    (left, edge), (right, _) = place.at(0, above), place.at(1, above)
    up = 1 if above else -1
    inner, outer = edge + up * gap, edge + up * (gap + 0.07)
    way = (left, inner), (left, outer), (right, outer), (right, inner)
    arrow(ax, corners(*way, radius=0.05), colour=GREY, width=1, head=False)
    say(ax, place.x, outer + up * 0.14, text, SMALL, GREY)


def words_beside(ax: Axes, place: Place, words: Sequence[str], colour: str = GREY) -> None:
    """Write a word to the left of each row of a grid."""
    for r, word in enumerate(words):
        x, y = place.row(r).left
        say(ax, x - 0.08, y, word, NORMAL, colour, "right", parse_math=False)


def words_above(
    ax: Axes, place: Place, words: Sequence[str], colour: str = GREY, turned: bool = False
) -> None:
    """Write a word above each column of a grid, turned if the columns are narrow."""
    for c, word in enumerate(words):
        x, y = place.cell(0, c).at(0.4 if turned else 0.5, 1)
        if turned:
            turn = {"rotation": 45, "rotation_mode": "anchor", "va": "baseline"}
            say(ax, x, y + 0.08, word, NORMAL, colour, "left", parse_math=False, **turn)
        else:
            say(ax, x, y + 0.13, word, NORMAL, colour, parse_math=False)

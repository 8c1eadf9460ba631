"""One block, many models: who may look at whom, and a picture cut into patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from utils.diagrams.primitives import (
    GREY,
    INK,
    KEY,
    LARGER,
    QUERY,
    RESIDUAL,
    SMALL,
    WEIGHT,
    Place,
    arrow,
    cut_to,
    frame,
    grid,
    mask_grid,
    say,
    sheet,
    tensor_of,
    words_of,
)
from utils.one_block import patchify

NARROW = 0.2    # inches: leaning words would touch over narrower columns


def four_masks(panels: Mapping[str, tuple[Sequence[str], Tensor]]) -> Figure:
    """Draw who may look at whom in each use of one block: dots may look, hatched cells may not.

    panels: a name, at most four of them, with words or patches, at most 9, and a mask
    (seq_len, seq_len), True where a row may look at a column. Raises ValueError for other sizes.
    """
    names = words_of("panels", list(panels), most=4)
    ax = sheet(9, 3.65, "One block: the mask decides whether it reads, writes, does both, or sees")
    wide = 8.7 / len(names)
    for at, name in enumerate(names):
        words = words_of(f"the words of {name}", panels[name][0], most=9)
        mask = tensor_of(f"the mask of {name}", panels[name][1], len(words), len(words)).bool()
        side = min(1.44 / len(words), 0.26)
        left = 0.2 + at * wide + 0.62
        place = mask_grid(ax, left + len(words) * side / 2, 1.72 - len(words) * side / 2 + 0.5,
                          mask, side)
        for row, word in enumerate(words):
            x, y = place.row(row).left
            cut_to(say(ax, x - 0.06, y, word, SMALL, QUERY.line, "right", parse_math=False), 0.55)
        heads_of(ax, place, words)
        say(ax, left + 0.65, 3.0, name, LARGER)
        seen = int(mask.sum())
        say(ax, left + 0.65, 0.62, f"{seen} of {mask.numel()} looks", SMALL, GREY)
    say(ax, 0.3, 0.22, "a row asks,", colour=QUERY.line, align="left")
    say(ax, 1.2, 0.22, "a column is looked at", colour=KEY.line, align="left")
    return ax.figure


def heads_of(ax: Axes, place: Place, words: Sequence[str]) -> None:
    """Write a word above each column: level where all fit, leaning, or upright over narrow ones."""
    tops = [place.cell(0, column) for column in range(len(words))]
    heads = [say(ax, cell.x, cell.top[1] + 0.14, word, SMALL, KEY.line, parse_math=False)
             for cell, word in zip(tops, words)]
    room = (tops[0].width - 0.03) * ax.figure.dpi
    if all(head.get_window_extent().width < room for head in heads):
        return
    turn, aside = (90, 0.05) if tops[0].width < NARROW else (60, -0.01)
    for head, cell in zip(heads, tops):
        cut_to(head, 0.6)
        head.set(position=(cell.x + aside, cell.top[1] + 0.06), ha="left", va="baseline",
                 rotation_mode="anchor", rotation=turn)


def cut_into_patches(image: Tensor, size: int) -> Figure:
    """Draw a picture, its patches in a row, and the numbers of each as a strip: the tokens.

    image: (height, width), from 0 to 1, at most 16 by 16; 4 to 16 patches. The strips are what
    patchify of lesson 14 returns. Raises ValueError for another shape or number of patches.
    """
    image = tensor_of("image", image, None, None)
    if max(image.shape) > 16 or image.min() < 0 or image.max() > 1:
        raise ValueError(f"want at most 16 by 16 points from 0 to 1, got {tuple(image.shape)} from "
                         f"{image.min():.2g} to {image.max():.2g}")
    tokens = patchify(image.unsqueeze(0), size)[0]      # (n_patches, size * size)
    n = len(tokens)
    if not 4 <= n <= 16:
        raise ValueError(f"size {size} makes {n} patches; the page has room for 4 to 16")
    ax = sheet(9, 3.7, f"A picture is a sentence of {n} patches, each a vector of "
               f"{tokens.size(1)} numbers")
    point = 2.1 / max(image.shape)
    whole = grid(ax, 1.4, 1.65, image, WEIGHT, (point, point), span=(0, 1))
    columns = image.size(1) // size
    each = 5.6 / n
    small = min(each - 0.08, 0.6) / size
    for number in range(n):
        row, column = divmod(number, columns)
        first = whole.cell(row * size, column * size)
        corner = first.at(0, 1)
        side = point * size
        frame(ax, Place(corner[0] + side / 2, corner[1] - side / 2, side, side), RESIDUAL.line)
        x = 3.15 + (number + 0.5) * each
        patch = grid(ax, x, 2.35, tokens[number].view(size, size), WEIGHT, (small, small),
                     span=(0, 1))
        say(ax, x, patch.top[1] + 0.14, str(number), SMALL, INK)
        grid(ax, x, 1.35, tokens[number].unsqueeze(1), WEIGHT,
             (min(each - 0.12, 0.22), 1.0 / size**2), span=(0, 1))
    arrow(ax, (2.6, 2.35), (3.05, 2.35))
    say(ax, 1.4, 0.32, f"picture {tuple(image.shape)}", SMALL, GREY)
    say(ax, 5.95, 0.6, f"the tokens: {tuple(tokens.shape)}, a Linear makes each as wide as the "
        "block", SMALL, GREY)
    return ax.figure

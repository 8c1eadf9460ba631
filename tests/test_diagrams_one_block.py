"""The pictures of lesson 14 show the masks and patches they were given, and refuse the rest."""

from __future__ import annotations

import matplotlib
import pytest
import torch
from drawing import faults, words_on
from matplotlib.figure import Figure

from utils.attention import causal_mask
from utils.diagrams.one_block import cut_into_patches, four_masks
from utils.one_block import prefix_mask

WORDS = "Mina went to the park".split()
BOTH = "Mina went <0> by bus <0> to the park".split()


pytestmark = pytest.mark.usefixtures("course_page")


def dots(fig: Figure) -> int:
    """Return how many dots stand on a picture."""
    return sum(isinstance(p, matplotlib.patches.Circle) for p in fig.axes[0].patches)


def panels(words: list[str] = WORDS) -> dict:
    """Return the four panels of the lesson, three of them with these words."""
    n = len(words)
    return {
        "reads both ways": (words, torch.ones(n, n, dtype=torch.bool)),
        "writes onwards": (words, causal_mask(n)),
        "reads, then writes": (BOTH, prefix_mask(torch.tensor([5]), 9)[0]),
        "sees": (list("012345678"), torch.ones(9, 9, dtype=torch.bool)),
    }


def test_each_dot_is_a_look() -> None:
    fig = four_masks(panels())
    assert faults(fig) == []
    masks = [mask for _, mask in panels().values()]
    assert dots(fig) == sum(int(mask.sum()) for mask in masks)
    shown = words_on(fig)
    assert {f"{int(mask.sum())} of {mask.numel()} looks" for mask in masks} <= set(shown)
    assert set(panels()) <= set(shown) and set(WORDS) <= set(shown)


@pytest.mark.parametrize(
    "words",
    [["ミナ", "は", "公園", "に"], ["مينا", "ذهبت", "إلى"], ["나는", "학교에"], ["$x$", "_"]],
)
def test_words_of_other_scripts(words: list[str]) -> None:
    assert faults(four_masks(panels(words))) == []


def test_words_above_a_grid_turn_with_its_room() -> None:
    texts = four_masks(panels()).axes[0].texts
    turns = {word: {text.get_rotation() for text in texts if text.get_text() == word}
             for word in ("went", "bus", "7")}
    assert turns == {"went": {0, 60, 90}, "bus": {0, 90}, "7": {0}}


@pytest.mark.parametrize("n_panels", [1, 2, 3])
def test_fewer_panels(n_panels: int) -> None:
    assert faults(four_masks(dict(list(panels().items())[:n_panels]))) == []


@pytest.mark.parametrize(
    "broken, words",
    [
        ({}, "room for 1 to 4"),
        ({f"panel {n}": (["a"], torch.ones(1, 1)) for n in range(5)}, "room for 1 to 4"),
        ({"one": (WORDS, causal_mask(4))}, "the mask of one has shape"),
        ({"one": (["w"] * 40, causal_mask(40))}, "room for 1 to 9"),
        ({"one": (WORDS, torch.full((5, 5), float("nan")))}, "nan"),
    ],
)
def test_masks_that_cannot_be_drawn(broken: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        four_masks(broken)


@pytest.mark.parametrize("shape, size", [((8, 8), 2), ((8, 8), 4), ((6, 9), 3), ((4, 16), 4)])
def test_patches_are_numbered_and_drawn_from_the_picture(shape: tuple, size: int) -> None:
    torch.manual_seed(0)
    image = torch.rand(shape)
    fig = cut_into_patches(image, size)
    assert faults(fig) == []
    n = image.numel() // size**2
    shown = words_on(fig)
    assert [text for text in shown if text.isdigit()] == [str(number) for number in range(n)]
    assert f"picture {shape}" in shown and any(f"({n}, {size**2})" in text for text in shown)


def test_a_patch_has_the_shades_of_its_place() -> None:
    image = torch.zeros(4, 4)
    image[2:, 2:] = 1.0
    patches = cut_into_patches(image, 2).axes[0].patches
    dark = [p for p in patches if p.get_facecolor()[0] < 0.5 and p.get_facecolor()[3] > 0]
    shown = [p for p in dark if isinstance(p, matplotlib.patches.Rectangle) and p.get_fill()]
    assert len(shown) == 12    # four points, three times: picture, patch, strip


@pytest.mark.parametrize(
    "image, size, words",
    [
        (torch.rand(8), 2, "wants"),
        (torch.rand(20, 20), 5, "16 by 16"),
        (2 * torch.ones(8, 8), 2, "from 0 to 1"),
        (torch.full((8, 8), float("nan")), 2, "nan"),
        (torch.rand(8, 8), 8, "makes 1 patches"),
        (torch.rand(8, 8), 1, "makes 64 patches"),
        (torch.rand(8, 8), 3, "does not divide"),
    ],
)
def test_pictures_that_cannot_be_drawn(image: torch.Tensor, size: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cut_into_patches(image, size)

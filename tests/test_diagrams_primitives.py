"""The drawing language: what it draws, what it refuses, and the audit that looks for faults."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from drawing import CONTRAST, contrast, faults
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from utils.diagrams import primitives as d

pytestmark = pytest.mark.usefixtures("course_page")


def words_on(ax: Axes) -> list[str]:
    """Return the texts of a page."""
    return [text.get_text() for text in ax.texts]


# ---- the audit ----

PLANTED = {
    "has only 8 points": lambda ax: d.say(ax, 2, 1, "small", size=8),
    "leaves the page": lambda ax: d.say(ax, 3.9, 1, "too far to the right"),
    "lies on": lambda ax: (d.say(ax, 2, 1, "one"), d.say(ax, 2.1, 1, "other")),
    "a line runs through": lambda ax: (d.say(ax, 2, 1, "word"), d.arrow(ax, (1, 1), (3, 1))),
    "sticks out of its box": lambda ax: d.box(ax, 2, 1, "a long name", width=0.4),
    "is pale: its contrast is 3.5": lambda ax: d.say(ax, 2, 1, "grey", colour=d.MASK.line),
    "is pale: its contrast is 4.0": lambda ax: d.box(ax, 2, 1, "k").x and [
        text.set_color(d.KEY.line) for text in ax.texts if text.get_text() == "k"],
    "two boxes overlap": lambda ax: [d.box(ax, x, 1, "", width=1) for x in (2, 2.7)],
}


@pytest.mark.parametrize("complaint", PLANTED)
def test_the_audit_sees(complaint: str) -> None:
    ax = d.sheet(4, 2, "")
    assert faults(ax.figure) == []
    PLANTED[complaint](ax)
    assert complaint in " ".join(faults(ax.figure))


def test_words_that_are_large_may_be_paler() -> None:
    ax = d.sheet(4, 2, "")
    d.say(ax, 2, 1, "grey", size=18, colour=d.MASK.line)
    assert faults(ax.figure) == []
    d.say(ax, 1, 0.5, "half", colour=d.INK).set_alpha(0.5)
    assert faults(ax.figure) == ["'half' is pale: its contrast is 3.2"]


def test_contrast_is_that_of_wcag() -> None:
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast((1, 1, 1), to_rgb("#777777")) == pytest.approx(4.48, abs=0.005)
    assert contrast(to_rgb("#0000ff"), (1, 1, 1)) == pytest.approx(8.59, abs=0.005)


ROLES = {name: role for name, role in vars(d).items() if isinstance(role, d.Role)}
NEVER_A_WORD = {"MASK", "WORD"}    # these lines are edges


@pytest.mark.parametrize("name", sorted(ROLES))
def test_the_colours_can_be_read(name: str) -> None:
    role = ROLES[name]
    assert contrast(to_rgb(d.INK), to_rgb(role.fill)) >= CONTRAST
    assert name in NEVER_A_WORD or contrast(to_rgb(role.line), to_rgb(d.PAPER)) >= CONTRAST


@pytest.mark.parametrize("fill, ink", [*d.HEADS, (d.PALE, d.GREY), (d.PAPER, d.GREY)])
def test_a_pair_of_colours_can_be_read(fill: str, ink: str) -> None:
    assert contrast(to_rgb(fill), to_rgb(ink)) >= CONTRAST


def test_an_ordinary_page_is_without_faults() -> None:
    ax = d.sheet(6, 3, "The point.")
    word = d.plate(ax, 1, 2, "a word")
    module = d.box(ax, 3, 2, "GRU", d.STATE, badge="02")
    d.arrow(ax, word.right, module.left)
    d.grid(ax, 5, 2, torch.tensor([[1.0, -2.0]]), d.QUERY, digits=0)
    d.mask_grid(ax, 1, 0.8, torch.eye(3).bool(), 0.3)
    d.strip(ax, 3, 0.8, torch.randn(8), d.MEMORY)
    assert faults(ax.figure) == []
    assert "−2" in words_on(ax)


# ---- titles and words ----


def test_a_long_title_takes_a_second_line_and_the_page_grows() -> None:
    short, long = (d.sheet(6, 2, "A title of words. " * n).figure for n in (1, 4))
    assert short.get_size_inches()[1] == 2 and long.get_size_inches()[1] == 2.25
    assert faults(long) == []


def test_an_endless_title_ends_in_dots() -> None:
    ax = d.sheet(6, 2, "A title of words. " * 40)
    assert words_on(ax)[0].endswith("…") and faults(ax.figure) == []


@pytest.mark.parametrize("word", ["학교에서", "吾輩", "مدرسة", "בית", "$5", "\\frac", "🙂"])
def test_any_word_is_drawn_without_a_warning(word: str) -> None:
    ax = d.sheet(6, 3, "Words")
    place = d.plate(ax, 1, 1, word)
    block = d.grid(ax, 4, 1, torch.ones(1, 1))
    d.words_above(ax, block, [word], turned=True)
    d.words_beside(ax, block, [word])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        assert faults(ax.figure) == []
    assert 0.1 < place.width < 3


def test_a_word_that_is_too_long_for_its_plate_is_cut() -> None:
    ax = d.sheet(6, 3, "Words")
    place = d.plate(ax, 3, 1, "Donaudampfschifffahrt", width=0.8)
    assert place.width == 0.8 and words_on(ax)[-1].endswith("…")
    assert faults(ax.figure) == []


def test_a_letter_that_no_font_has_becomes_a_box() -> None:
    assert d.drawable("a 語 한 🙂") == "a 語 한 □"


# ---- what is refused ----


@pytest.mark.parametrize(
    "values, sizes, complaint",
    [
        (torch.ones(2, 3), (2, 4), r"x has shape \(2, 3\), the diagram wants \(2, 4\)"),
        (torch.ones(2), (None, 2), r"x has shape \(2,\), the diagram wants \(any, 2\)"),
        (torch.ones(0, 3), (None, 3), "x is empty"),
        (torch.tensor([1.0, float("nan")]), (2,), "x holds nan or infinity"),
        (torch.tensor([1.0, float("inf")]), (), "x holds nan or infinity"),
    ],
)
def test_a_tensor_that_cannot_be_drawn(
    values: torch.Tensor, sizes: tuple, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        d.tensor_of("x", values, *sizes)


def test_a_tensor_of_any_kind_is_taken() -> None:
    leaf = torch.ones(2, 3, dtype=torch.double, requires_grad=True)
    taken = d.tensor_of("x", leaf, None, 3)
    assert taken.dtype == torch.float32 and not taken.requires_grad
    assert d.tensor_of("mask", torch.ones(2, dtype=torch.bool)).dtype == torch.bool
    assert d.tensor_of("x", [[1, 2]], 1, 2).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["a"] * 40, "has 40 words; the page has room for 1 to 12"),
        ([], "has 0 words"),
        ("a b", "is one text: give a list of words"),
    ],
)
def test_words_that_do_not_fit(words: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        d.words_of("src", words)


def test_words_that_are_not_as_many_as_the_tensor_has() -> None:
    with pytest.raises(ValueError, match="src has 2 words, the tensors have 3"):
        d.words_of("src", ["a", "b"], 3)
    assert d.words_of("src", ("a", "b"), 2) == ["a", "b"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: d.grid(ax, 1, 1, torch.ones(2, 2, 2)),
        lambda ax: d.grid(ax, 1, 1, torch.tensor([float("nan")])),
        lambda ax: d.strip(ax, 1, 1, torch.ones(0), d.STATE),
    ],
)
def test_a_grid_that_cannot_be_drawn(draw: Callable[[Axes], object]) -> None:
    with pytest.raises(ValueError):
        draw(d.sheet(3, 2, ""))


# ---- places and numbers ----


def test_a_place_knows_its_points_and_cells() -> None:
    place = d.Place(2, 1, 4, 2, rows=2, columns=4)
    assert place.left == (0, 1) and place.top == (2, 2)
    assert place.cell(0, 0) == d.Place(0.5, 1.5, 1, 1)
    assert place.row(1) == d.Place(2, 0.5, 4, 1)
    assert d.around(d.Place(0, 0, 2, 2), d.Place(4, 0, 2, 4)) == d.Place(2, 0, 6, 4)


@pytest.mark.parametrize(
    "value, digits, factor, text",
    [(-1.5, 1, False, "−1.5"), (-0.04, 1, 0, "0.0"), (-2, 0, True, "(−2)"), (2.5, 2, 1, "2.50")],
)
def test_numbers_as_a_reader_writes_them(
    value: float, digits: int, factor: bool, text: str
) -> None:
    assert d.number(value, digits, factor) == text


def test_more_weight_is_more_ink() -> None:
    ax = d.sheet(4, 2, "")
    d.grid(ax, 2, 1, torch.tensor([0.0, 0.5, 1.0]), span=(0, 1))
    cells = [p.get_facecolor() for p in ax.patches if p.get_zorder() == 3]
    light = [sum(colour[:3]) for colour in cells]
    assert light[0] > light[1] > light[2]


def test_colours_of_roles_are_written_as_they_are_used() -> None:
    roles = [d.QUERY, d.KEY, d.VALUE, d.MEMORY, d.STATE]
    assert len({role.line for role in roles}) == len({role.fill for role in roles}) == len(roles)

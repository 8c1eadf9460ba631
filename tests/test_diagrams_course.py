"""The pictures of lesson 00: the house of the course, and numbered cells cut into heads."""

from __future__ import annotations

import pytest
import torch
from drawing import faults, words_on

from utils.diagrams import course

pytestmark = pytest.mark.usefixtures("course_page")


def test_the_house_is_drawn_without_faults() -> None:
    fig = course.course_house()
    assert faults(fig) == []
    assert {f"{n:02}" for n in (0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 17)} <= set(words_on(fig))


def test_the_rooms_hold_what_their_modules_hold() -> None:
    words = words_on(course.course_house())
    assert words.count("GRU") == 4 and words.count("embedding") == 6
    assert words.count("look back") == 1                     # the decoder of lesson 05 alone
    assert words.count("heads") == 1 and words.count("heads ×2") == 1


def test_a_part_that_no_lesson_builds_is_not_drawn() -> None:
    lessons = {"MultiHeadAttention": "08"}
    words = words_on(course.course_house(lessons))
    assert "feed-forward" not in words and "heads ×2" in words


@pytest.mark.parametrize(
    "words", [["this", "is", "a", "pen"], ["이것", "은", "펜", "이다"], ["هذا", "قلم", "$5", "y"]]
)
def test_heads_are_drawn_without_faults(words: list[str]) -> None:
    fig = course.heads(torch.arange(24).view(4, 6), 2, words)
    assert faults(fig) == []
    on_page = words_on(fig)
    for number in range(24):
        assert on_page.count(str(number)) == 3               # in x, split, and viewed
    assert on_page.count(words[3]) == 1 + 2 + 2


@pytest.mark.parametrize(
    "x, n_heads, words, complaint",
    [
        (torch.ones(4), 2, ["a"] * 4, "x has shape"),
        (torch.ones(4, 6), 4, ["a"] * 4, "heads that divide"),
        (torch.ones(4, 6), 1, ["a"] * 4, "heads that divide"),
        (torch.ones(4, 64), 2, ["a"] * 4, "at most 8"),
        (torch.ones(4, 6), 2, ["a"] * 3, "words has 3 words"),
        (torch.ones(40, 6), 2, ["a"] * 40, "room for 1 to 5"),
        (torch.full((4, 6), float("nan")), 2, ["a"] * 4, "nan"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    x: torch.Tensor, n_heads: int, words: list[str], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        course.heads(x, n_heads, words)

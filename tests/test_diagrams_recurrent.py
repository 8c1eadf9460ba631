"""utils/diagrams/recurrent.py: what is drawn is what the network computes, on a clean page."""

from __future__ import annotations

import pytest
import torch
from drawing import faults
from matplotlib.figure import Figure

from utils.diagrams.recurrent import one_step, unrolled
from utils.recurrent import CharacterModel, RNNCell

ALPHABET = list("ehlo")
NAN = float("nan")


pytestmark = pytest.mark.usefixtures("course_page")


def words(figure: Figure) -> list[str]:
    """Return what is written in a figure, top row first, from left to right."""
    texts = [t for ax in figure.axes for t in ax.texts if t.get_text()]
    ordered = sorted(texts, key=lambda t: (-round(t.get_position()[1], 2), t.get_position()[0]))
    return [text.get_text() for text in ordered]


def read(word: str, d_hidden: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the states of a made-up network along a word, and what it predicts."""
    torch.manual_seed(0)
    model = CharacterModel(len(ALPHABET), RNNCell(len(ALPHABET), d_hidden))
    ids = torch.tensor([[ALPHABET.index(letter) for letter in word]])
    states, _ = model.layer(torch.nn.functional.one_hot(ids, len(ALPHABET)).float())
    return states[0].detach(), model(ids)[0][0].softmax(dim=-1).detach()


def step(d_input: int = 4, d_hidden: int = 2) -> list[torch.Tensor]:
    """Return made-up numbers for one step, in the order that `one_step` takes them."""
    torch.manual_seed(0)
    sizes = (d_input,), (d_hidden,), (d_hidden, d_input), (d_hidden, d_hidden), (d_hidden,)
    return [torch.randn(size) for size in sizes]


# ---- unrolled ----


@pytest.mark.parametrize("word", ["h", "hello", "hellohellohe"])
@pytest.mark.parametrize("d_hidden", [1, 3, 8, 32])
def test_an_unrolled_network_has_a_clean_page(word: str, d_hidden: int) -> None:
    states, shares = read(word, d_hidden)
    assert faults(unrolled(word, states)) == []
    assert faults(unrolled(word, states, shares, ALPHABET)) == []
    assert faults(unrolled(word, states, shares, ALPHABET, fed_back=True)) == []


def test_letters_and_predictions_are_the_networks() -> None:
    states, shares = read("hell")
    written = words(unrolled("hell", states, shares, ALPHABET))
    best = [ALPHABET[place] for place in shares.argmax(dim=1)]
    numbers = [f"{share:.2f}" for share in shares.amax(dim=1).tolist()]
    start = written.index(numbers[0])
    assert written[start : start + 4] == numbers
    assert written[start + 4 : start + 9] == ["next", *best]
    start = written.index("letter")
    assert written[start : start + 5] == ["letter", *"hell"]


def test_the_colours_are_the_states() -> None:
    states, _ = read("hell")
    first = unrolled("hell", states)
    again = unrolled("hell", states)
    other = unrolled("hell", states.roll(1, dims=0))
    colours = [[p.get_facecolor() for p in f.axes[0].patches] for f in (first, again, other)]
    assert colours[0] == colours[1] != colours[2]


def test_a_short_state_shows_its_digits() -> None:
    states = torch.tensor([[0.1, -0.2], [0.3, 0.4], [1.0, 0.0]])
    written = words(unrolled("hel", states))
    assert {"0.1", "−0.2", "0.3", "0.4", "1.0", "0.0"} <= set(written)


@pytest.mark.parametrize("second, shares, words_of_title", [
    ([1.0, 0.0], None, "and the same state"),
    ([0.0, 1.0], None, "but not the same state"),
    ([0.0, 1.0], [[0.9, 0.1], [0.8, 0.2]], "but not the same state"),
    ([0.0, 1.0], [[0.9, 0.1], [0.2, 0.8]], "another state, another prediction"),
])
def test_the_title_says_what_becomes_of_a_letter_read_twice(
    second: list[float], shares: list | None, words_of_title: str
) -> None:
    states = torch.tensor([[1.0, 0.0], second])
    shares = None if shares is None else torch.tensor(shares)
    assert words_of_title in words(unrolled("ll", states, shares, "lo"))[0]


def test_a_word_without_a_repeated_letter_has_a_general_title() -> None:
    assert "used again" in words(unrolled("he", read("he")[0]))[0]


@pytest.mark.parametrize("letters", [["日", "本", "日"], ["한", "국", "어"], ["ש", "ל", "ש"],
                                     ["$", "_", "$"], [" ", "\n", "."]])
def test_other_scripts(letters: list[str], recwarn: pytest.WarningsRecorder) -> None:
    shares = torch.eye(3)
    figure = unrolled(letters, torch.eye(3), shares, letters, fed_back=True)
    assert faults(figure) == []
    assert not list(recwarn)


@pytest.mark.parametrize("given, message", [
    (("hell", torch.zeros(3, 8)), "4 words"),
    (("hell", torch.zeros(4)), "shape"),
    (("hell", torch.zeros(1, 4, 8)), "shape"),
    (("hell", torch.full((4, 8), NAN)), "nan"),
    (("", torch.zeros(0, 8)), "empty"),
    (("l" * 40, torch.zeros(40, 8)), "40 words"),
    (("hell", torch.zeros(4, 33)), "33 numbers"),
    (("hell", torch.zeros(4, 8), torch.ones(4, 3), ALPHABET), "shape"),
    (("hell", torch.zeros(4, 8), torch.ones(3, 4), ALPHABET), "shape"),
    (("hell", torch.zeros(4, 8), torch.ones(4, 4)), "room for 1"),
    (("hell", torch.zeros(4, 8), torch.full((4, 4), NAN), ALPHABET), "nan"),
])
def test_what_cannot_be_unrolled_is_refused(given: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unrolled(*given)


# ---- one step ----


@pytest.mark.parametrize("d_input", [1, 4, 6])
@pytest.mark.parametrize("d_hidden", [1, 2, 4])
def test_a_step_has_a_clean_page(d_input: int, d_hidden: int) -> None:
    numbers = step(d_input, d_hidden)
    assert faults(one_step(*numbers)) == []
    assert faults(one_step(*numbers[:4], alphabet="abcdef"[:d_input])) == []


def test_a_step_shows_the_numbers_of_the_cell() -> None:
    x, state, w_input, w_state, bias = step()
    cell = RNNCell(4, 2)
    with torch.no_grad():
        cell.input_map.weight.copy_(w_input)
        cell.state_map.weight.copy_(w_state)
        cell.input_map.bias.copy_(bias)
        cell.state_map.bias.zero_()
        new = cell(x[None], state[None])[0][0]
    written = words(one_step(x, state, w_input, w_state, bias))
    for values in (x, state, w_input, w_state, bias, new, w_input @ x, w_state @ state):
        for value in values.flatten().tolist():
            shown = f"{value:.1f}".replace("-", "−")
            assert shown.replace("−0.0", "0.0") in written


def test_a_letter_picks_a_column() -> None:
    _, *others = step()
    assert "picks a column" in words(one_step(torch.eye(4)[2], *others))[0]
    assert "picks" not in words(one_step(torch.ones(4), *others))[0]


@pytest.mark.parametrize("place, value, message", [
    (0, torch.zeros(1, 4), "shape"),
    (0, torch.full((4,), NAN), "nan"),
    (1, torch.zeros(3), "shape"),
    (2, torch.zeros(4, 2), "shape"),
    (3, torch.zeros(2, 4), "shape"),
    (3, torch.full((2, 2), float("inf")), "infinity"),
    (4, torch.zeros(3), "shape"),
    (0, torch.zeros(40), "40 numbers"),
])
def test_a_step_that_cannot_be_drawn_is_refused(
    place: int, value: torch.Tensor, message: str
) -> None:
    numbers = step()
    numbers[place] = value
    with pytest.raises(ValueError, match=message):
        one_step(*numbers)


def test_an_alphabet_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="3 words"):
        one_step(*step(), alphabet="ehl")

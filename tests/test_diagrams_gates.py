"""utils/diagrams/gates.py: what is drawn is what the cells compute, on a clean page."""

from __future__ import annotations

import pytest
import torch
from drawing import faults
from matplotlib.figure import Figure
from torch import Tensor, nn

from utils.diagrams.gates import gated_cells, gradient_chain, remains
from utils.recurrent import GRUCell, LSTMCell, copy_weights

NAN = float("nan")


pytestmark = pytest.mark.usefixtures("course_page")


def words(figure: Figure) -> list[str]:
    """Return what is written in a figure."""
    return [t.get_text() for ax in figure.axes for t in ax.texts if t.get_text()]


def shown(value: float) -> str:
    """Return a number as the diagrams write it."""
    return f"{value:.2f}".replace("-", "−").replace("−0.00", "0.00")


def states(d_hidden: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Return made-up x, hidden and kept."""
    torch.manual_seed(1)
    return torch.randn(1, 3), torch.randn(1, d_hidden).tanh(), 2 * torch.randn(1, d_hidden)


# ---- gated cells ----


@pytest.mark.parametrize("unit", range(4))
def test_gated_cells_have_a_clean_page(unit: int) -> None:
    x, hidden, kept = states()
    assert faults(gated_cells(LSTMCell(3, 4), GRUCell(3, 4), x, hidden, kept, unit)) == []


@torch.no_grad()
def test_gated_cells_show_the_numbers_of_the_cells() -> None:
    x, hidden, kept = states()
    lstm, gru = LSTMCell(3, 4), GRUCell(3, 4)
    written = words(gated_cells(lstm, gru, x, hidden, kept, unit=2))
    h, (_, c) = lstm(x, (hidden, kept))
    z = gru(x, hidden)[0]
    sums = (lstm.input_map(x) + lstm.state_map(hidden)).chunk(4, dim=-1)
    for value in (h, c, z, hidden, kept):
        assert shown(value[0, 2].item()) in written
    for name, part in zip(("input", "forget", "new", "output"), sums, strict=True):
        number = part.tanh() if name == "new" else part.sigmoid()
        assert f"{name}\n{shown(number[0, 2].item())}" in written


def test_cells_of_torch_give_the_same_picture() -> None:
    given = states()
    lstm, gru, torch_lstm, torch_gru = (
        LSTMCell(3, 4), GRUCell(3, 4), nn.LSTMCell(3, 4), nn.GRUCell(3, 4)
    )
    copy_weights(lstm, torch_lstm)
    copy_weights(gru, torch_gru)
    ours = gated_cells(lstm, gru, *given)
    assert words(ours) == words(gated_cells(torch_lstm, torch_gru, *given))


@pytest.mark.parametrize("place, value, message", [
    (0, torch.zeros(3), "shape"),
    (0, torch.zeros(2, 3), "shape"),
    (0, torch.zeros(1, 5), "weights of x"),
    (0, torch.full((1, 3), NAN), "nan"),
    (1, torch.zeros(1, 7), "shape"),
    (1, torch.full((1, 4), float("inf")), "infinity"),
    (2, torch.zeros(1, 5), "shape"),
    (3, 4, "unit 4"),
    (3, -1, "unit -1"),
])
def test_a_step_that_cannot_be_drawn_is_refused(place: int, value, message: str) -> None:
    given = [*states(), 0]
    given[place] = value
    with pytest.raises(ValueError, match=message):
        gated_cells(LSTMCell(3, 4), GRUCell(3, 4), *given)


# ---- the way of a gradient ----


@pytest.mark.parametrize("n", [2, 7, 12])
@pytest.mark.parametrize("factor", [1e-3, 0.5, 1.3])
@pytest.mark.parametrize("n_rows", [1, 5])
def test_a_chain_has_a_clean_page(n: int, factor: float, n_rows: int) -> None:
    sizes = torch.tensor([3 * factor ** (n - 1 - t) for t in range(n)], dtype=torch.float64)
    rows = {f"network {k}": sizes for k in range(n_rows)}
    assert faults(gradient_chain("abcdefghijkl"[:n], rows)) == []


def test_a_chain_shows_its_factors_and_what_is_left() -> None:
    figure = gradient_chain("cwx", {"RNN": torch.tensor([0.5, 2.0, 4.0])})
    written = words(figure)
    assert written[0] == "Of a gradient of 1, 0.12 reaches the first letter"
    assert {"0.25", "0.50", "0.12", "1.00", "c", "w", "x", "RNN"} <= set(written)


def test_the_boxes_are_as_full_as_the_factors() -> None:
    figure = gradient_chain("cwx", {"RNN": torch.tensor([0.5, 2.0, 4.0])})
    filled = [p.get_height() for p in figure.axes[0].patches
              if type(p).__name__ == "Rectangle" and p.get_linewidth() == 0
              and 0 < p.get_height() < 0.44]
    assert sorted(filled) == pytest.approx([0.25 * 0.44, 0.5 * 0.44])


@pytest.mark.parametrize("share, text", [
    (1.0, "1.00"), (0.8462, "0.85"), (0.012, "0.01"), (0.0061, "0.006"), (0.0009, "0.0009"),
    (1e-9, "1e−9"), (3e12, "3e12"), (120.0, "1e2"),
])
def test_what_is_left_is_short(share: float, text: str) -> None:
    assert remains(share) == text


@pytest.mark.parametrize("letters", [["日", "本", "語"], ["한", "국", "어"], ["ש", "ל", "ו"],
                                     ["$", "_", "$"]])
def test_other_scripts(letters: list[str], recwarn: pytest.WarningsRecorder) -> None:
    assert faults(gradient_chain(letters, {"$RNN_": torch.ones(3)})) == []
    assert not list(recwarn)


@pytest.mark.parametrize("letters, sizes, message", [
    ("cwx", {"RNN": torch.ones(4)}, "shape"),
    ("cwx", {"RNN": torch.ones(1, 3)}, "shape"),
    ("cwx", {"RNN": torch.full((3,), NAN)}, "nan"),
    ("cwx", {"RNN": torch.tensor([1.0, 0.0, 1.0])}, "above 0"),
    ("cwx", {}, "0 words"),
    ("", {"RNN": torch.ones(0)}, "0 words"),
    ("c", {"RNN": torch.ones(1)}, "one letter"),
    ("c" * 40, {"RNN": torch.ones(40)}, "40 words"),
])
def test_a_chain_that_cannot_be_drawn_is_refused(letters, sizes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gradient_chain(letters, sizes)

"""The picture of lesson 08: several heads, from the words to the output."""

from __future__ import annotations

import pytest
import torch
from drawing import faults
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from utils.attention import MultiHeadAttention
from utils.diagrams.heads import grouped, many_heads

DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()


pytestmark = pytest.mark.usefixtures("course_page")


def shades(fig: Figure, n_cells: int) -> list[float]:
    """Return how dark the first cells of a picture are, in the order they were drawn."""
    cells = [p for p in fig.axes[0].patches if isinstance(p, Rectangle) and p.get_zorder() == 3]
    return [3 - sum(p.get_facecolor()[:3]) for p in cells[:n_cells]]


@pytest.mark.parametrize("n_heads, n_words", [(1, 8), (2, 7), (3, 6), (4, 4)])
def test_heads_are_drawn_without_faults(n_heads: int, n_words: int) -> None:
    torch.manual_seed(0)
    attention = MultiHeadAttention(12 * n_heads, n_heads)
    words = [*DAYS, "Mon"][:n_words]
    fig = many_heads(attention, torch.randn(1, n_words, 12 * n_heads), words)
    assert faults(fig) == []
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert {f"head {h + 1}" for h in range(n_heads)} <= set(texts)
    assert f"({n_words}, {12 * n_heads})" in texts


def test_more_weight_is_more_ink() -> None:
    torch.manual_seed(0)
    attention, x = MultiHeadAttention(6, 2), 3 * torch.randn(1, 4, 6)
    fig = many_heads(attention, x, DAYS[:4])
    ink = torch.tensor(shades(fig, 4 * 6 + 16)[4 * 6 :])     # after the joined rows
    weights = attention(x, x, x)[1][0, 0].flatten()
    assert torch.corrcoef(torch.stack([ink, weights.detach()]))[0, 1] > 0.99


def test_thin_cells_are_drawn_in_groups_of_one_head() -> None:
    rows = torch.tensor([[1.0, -3.0, 0.0, 0.0, 5.0, 5.0, 7.0, -1.0]])
    assert grouped(rows, 2, 8.0).tolist() == rows.abs().tolist()
    assert grouped(rows, 2, 0.5).tolist() == [[2.0, 0.0, 5.0, 4.0]]
    assert grouped(rows, 2, 0.1).tolist() == [[1.0, 4.5]]


@pytest.mark.parametrize("words", [["이것", "은", "펜", "이다"], ["هذا", "قلم", "$5", "x_1"]])
def test_words_of_other_scripts(words: list[str]) -> None:
    fig = many_heads(MultiHeadAttention(6, 2), torch.randn(1, 4, 6), words)
    assert faults(fig) == []


@pytest.mark.parametrize(
    "x, words, n_heads, complaint",
    [
        (torch.ones(1, 4, 5), DAYS[:4], 2, "x has shape"),
        (torch.ones(2, 4, 6), DAYS[:4], 2, "x has shape"),
        (torch.ones(1, 4, 6), DAYS[:3], 2, "words has 3 words"),
        (torch.ones(1, 40, 6), ["a"] * 40, 2, "room for 1 to 8"),
        (torch.full((1, 4, 6), float("nan")), DAYS[:4], 2, "nan"),
        (torch.ones(1, 4, 6), DAYS[:4], 6, "6 heads; the page has room"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    x: torch.Tensor, words: list[str], n_heads: int, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        many_heads(MultiHeadAttention(6, n_heads), x, words)


def test_a_module_that_computes_otherwise_is_refused() -> None:
    class Doubled(MultiHeadAttention):
        def forward(self, query, key, value, mask=None):
            output, weights = super().forward(query, key, value, mask)
            return 2 * output, weights

    with pytest.raises(AssertionError):
        many_heads(Doubled(6, 2), torch.randn(1, 4, 6), DAYS[:4])

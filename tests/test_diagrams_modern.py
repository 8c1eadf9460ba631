"""The pictures of lesson 15: two blocks side by side, and heads that share their keys."""

from __future__ import annotations

import pytest
import torch
from drawing import faults, words_on
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch, PathPatch

from utils.diagrams import modern
from utils.diagrams.modern import (
    finished,
    finished_heads,
    grouped_heads,
    two_blocks,
    who_reads_whom,
)
from utils.modern import RECIPES, GroupedQueryAttention, Recipe, RMSNorm, Writer

pytestmark = pytest.mark.usefixtures("course_page")


def changed(fig) -> int:
    """How many boxes are coloured as another part."""
    coloured = {role.fill for role in modern.CHANGED.values()}
    return sum(to_hex(p.get_facecolor()) in coloured for p in boxes_on(fig))


def boxes_on(fig) -> list[FancyBboxPatch]:
    """The boxes of a picture."""
    return [p for p in fig.axes[0].patches if isinstance(p, FancyBboxPatch)]


def test_both_blocks_are_drawn_with_their_parts_and_numbers() -> None:
    writers = finished(50)
    fig = two_blocks(writers)
    assert faults(fig) == []
    found = words_on(fig)
    assert {*writers} <= {*found}
    assert found.count("LayerNorm") == 2 and found.count("RMSNorm") == 2
    for writer in writers.values():
        for part in ("attention", "feed_forward", "norm1"):
            module = getattr(writer.blocks[0], part)
            assert f"{sum(p.numel() for p in module.parameters()):,}" in found
        n_parameters = sum(p.numel() for p in writer.parameters())
        assert f"whole writer: {n_parameters:,} parameters" in found


def test_parts_that_take_each_others_place_have_one_colour_of_their_own() -> None:
    colours = [to_hex(p.get_facecolor()) for p in boxes_on(two_blocks(finished(50)))]
    norm = modern.CHANGED["norm1"].fill
    assert colours.count(norm) == 4
    for part in ("attention", "feed_forward", "positions"):
        assert colours.count(modern.CHANGED[part].fill) == 2
    assert len({role.fill for role in modern.CHANGED.values()}) == 4


def test_a_window_is_drawn_dashed_where_it_is_wanted() -> None:
    fig = two_blocks(finished(50), windows={"today": 32})
    assert faults(fig) == []
    assert [text for text in words_on(fig) if "window" in text] == ["window: the last 32 words"]
    assert sum(p.get_linestyle() != "solid" for p in boxes_on(fig)) == 1
    assert not any("window" in text or "dashed" in text for text in words_on(two_blocks(
        finished(50))))
    with pytest.raises(ValueError, match="a window for tomorrow"):
        two_blocks(finished(50), windows={"tomorrow": 32})


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_drawn_beside_that_of_2017(name: str) -> None:
    pair = {"2017": Writer(Recipe(), 20, 32), name: Writer(RECIPES[name], 20, 32)}
    assert faults(two_blocks(pair)) == []


@pytest.mark.parametrize(
    "recipe, n_boxes",
    [(Recipe(), 0), (Recipe(norm=RMSNorm), 4), (Recipe(n_kv_heads=2), 2),
     (Recipe(positions="learned"), 2), (Recipe(positions="rotary"), 2), (Recipe(True), 4)],
)
def test_only_what_differs_is_coloured(recipe: Recipe, n_boxes: int) -> None:
    fig = two_blocks({"a": Writer(Recipe(), 20, 32), "b": Writer(recipe, 20, 32)})
    assert changed(fig) == n_boxes


def test_other_than_two_writers_are_refused() -> None:
    writer = Writer(Recipe(), 20, 32)
    with pytest.raises(ValueError, match="1 writers"):
        two_blocks({"a": writer})
    with pytest.raises(ValueError, match="b is a Linear"):
        two_blocks({"a": writer, "b": torch.nn.Linear(2, 2)})


def test_a_block_that_computes_otherwise_is_refused() -> None:
    writers = finished(20)
    block = writers["today"].blocks[0]
    block.pre_norm = True
    block.forward = lambda x, mask=None: x + block.attention(x)[0]
    with pytest.raises(AssertionError):
        two_blocks(writers)


@pytest.mark.parametrize("counts", [(8, 2, 1), (4,), (8, 4)])
def test_heads_are_drawn_without_faults(counts: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    fig = grouped_heads(counts, torch.randn(1, 5, 64))
    assert faults(fig) == []
    for n in counts:
        assert f"kept for a word:\n2 · {n} · 8 = {16 * n} numbers" in words_on(fig)
    lines = [p for p in fig.axes[0].patches if isinstance(p, PathPatch)]
    assert len(lines) == 8 * len(counts)


def test_who_reads_whom_is_measured() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 6, 4, 5), torch.randn(1, 3, 4, 5), torch.randn(1, 3, 4, 5)
    assert who_reads_whom(q, k, v) == [0, 0, 1, 1, 2, 2]


def test_another_pairing_is_refused_or_drawn_as_it_is(monkeypatch) -> None:
    def round_and_round(q, k, v):
        k = k.repeat(1, q.size(1) // k.size(1), 1, 1)
        return None, (q @ k.transpose(-2, -1)).softmax(-1)

    monkeypatch.setattr(modern, "grouped_attention", round_and_round)
    q, k = torch.randn(1, 4, 3, 5), torch.randn(1, 2, 3, 5)
    assert who_reads_whom(q, k, k) == [0, 1, 0, 1]
    deaf = None, torch.zeros(1, 4, 3, 3)
    monkeypatch.setattr(modern, "grouped_attention", lambda q, k, v: deaf)
    with pytest.raises(AssertionError, match="read several"):
        who_reads_whom(q, k, k)


@pytest.mark.parametrize(
    "attentions, x, complaint",
    [
        ([], torch.ones(1, 5, 64), "0 attentions"),
        (finished_heads(8, 4, 2, 1), torch.ones(1, 5, 64), "4 attentions"),
        (finished_heads(2), torch.ones(2, 5, 64), "x has shape"),
        (finished_heads(2), torch.ones(1, 5, 60), "x has shape"),
        (finished_heads(2), torch.full((1, 5, 64), float("nan")), "nan"),
        ([GroupedQueryAttention(64, 16, 2)], torch.ones(1, 5, 64), "query heads"),
        ([*finished_heads(2), GroupedQueryAttention(64, 4, 2)], torch.ones(1, 5, 64), "8. query"),
    ],
)
def test_what_cannot_be_drawn_is_refused(attentions, x, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        grouped_heads(attentions, x)


def test_what_is_drawn_before_it_is_built_leaves_the_random_state_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    finished_heads(8, 1)
    finished(20)
    assert torch.equal(before, torch.random.get_rng_state())

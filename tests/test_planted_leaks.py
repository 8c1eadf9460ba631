"""Each planted leak is found by the probe of its kind, and no probe alarms at a healthy model."""

from __future__ import annotations

from typing import Any

import planted_leaks
import pytest

from utils import probes

LIMIT = 1e-4
PROBES = {
    "future": probes.future_leak,
    "padding": probes.padding_leak,
    "neighbour": probes.neighbour_leak,
    "order": probes.order_change,
    "stepwise": probes.stepwise_difference,
}


def fires(kind: str, entry: dict[str, Any], **options: Any) -> bool:
    """Whether a probe calls a fresh model faulty; of word order, no change is the fault."""
    found = PROBES[kind](entry["make"](), *planted_leaks.batch(), **options)
    return found < LIMIT if kind == "order" else found > LIMIT


@pytest.mark.parametrize("entry", planted_leaks.LEAKS, ids=lambda entry: entry["name"])
def test_each_leak_is_found_by_its_own_probe(entry: dict[str, Any]) -> None:
    assert fires(entry["kind"], entry), entry["what"]


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("entry", planted_leaks.HEALTHY, ids=lambda entry: entry["name"])
def test_no_probe_alarms_at_a_healthy_model(entry: dict[str, Any], kind: str) -> None:
    masks_itself = kind == "padding" and entry["name"] == "own_mask"
    options = {"pad_id": planted_leaks.PAD} if masks_itself else {}
    assert not fires(kind, entry, **options), entry["what"]


def test_there_are_forty_leaks_half_of_them_hidden_and_twenty_healthy_models() -> None:
    assert len(planted_leaks.LEAKS) == 40 and len(planted_leaks.HEALTHY) == 20
    hidden = [when for when in planted_leaks.WHEN.values() if when in ("train", "eval", "tokens")]
    assert len(hidden) == 20

"""The benchmark of training: each way trains on the same tokens, and the ratios are told."""

from __future__ import annotations

import pytest
import torch

from tools import throughput
from utils.translator.fast import PRECISIONS

TINY = dict(d_model=16, n_heads=2, n_layers=1, d_ff=32)


def test_each_way_is_measured() -> None:
    speeds = throughput.measure(1, vocab=50, widths=(5, 7), batch_tokens=60, **TINY)
    assert len(speeds) == 2 + len(PRECISIONS)
    assert all(speed > 0 for speed in speeds.values())


def test_all_ways_compute_a_loss_of_the_same_tokens() -> None:
    (batch,) = throughput.batches(50, (6,), 60)
    ways = throughput.losses(50, throughput.SIZES | TINY | {"dropout": 0.0})
    found = {name: loss_of(batch).item() for name, (_, loss_of) in ways.items()}
    (theirs, *ours) = found.values()
    assert ours == pytest.approx([ours[0]] * len(ours), rel=0.01)
    assert theirs == pytest.approx(60 * torch.log(torch.tensor(50.0)).item(), rel=0.3)


def test_batches_are_full_and_some_sources_are_padded() -> None:
    for batch, width in zip(throughput.batches(50, (6, 10), 100), (6, 10)):
        n = 100 // width
        assert batch.src.shape == (n, width) and batch.tgt.shape == (n, width + 1)
        assert (batch.tgt != throughput.PAD).all()
        shares = batch.src_mask.float().mean(dim=(1, 2))
        assert 0.6 < shares.min() < shares.max() <= 1


def test_operations_by_hand() -> None:
    sizes = dict(n_layers=1, d_model=2, d_ff=3)
    # encoder: 4 maps of 2x2, 2 of 2x3; decoder: 8 and 2; vocabulary: 2x5; 6 operations each
    assert throughput.products(sizes, 5) == 6 * (16 + 12 + 32 + 12 + 10)


def test_two_processes_train(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict(throughput.by_processes("float32", seconds=0.1))
    assert list(found) == [1, 2] and all(speed > 0 for speed in found.values())


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(throughput, "measure", lambda: {"theirs": 1000.0, "ours, bfloat16": 2500.0})
    monkeypatch.setattr(throughput, "limits", lambda: {"float32": 1e11, "bfloat16": 2e11})
    monkeypatch.setattr(throughput, "by_processes", lambda p: iter([(1, 10.0), (2, 19.0)]))
    throughput.table()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[-8:-4] == ["1,000", "1.00", "x", "14%"]
    assert "2,500   2.50 x" in lines[2] and "18%" in lines[2]
    assert lines[-1].split() == ["2", "processes", "19", "1.90", "x"]

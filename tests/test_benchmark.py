"""The benchmark of threads: it measures what it says, in the surroundings that it names."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import benchmark
from tools.cores import cores, quota
from tools.notebooks import ROOT


def test_a_step_is_measured_in_fresh_processes() -> None:
    times = benchmark.step_times({"OMP_NUM_THREADS": "1"}, 2, 0, 0.01, models=("01",))
    assert list(times) == ["01"] and 0 < times["01"] < 60


@pytest.mark.parametrize("model", benchmark.MODELS)
def test_a_step_trains(model: str) -> None:
    assert benchmark.step_of(model)() is None


def test_a_process_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "ROOT", Path("/"))
    with pytest.raises(RuntimeError, match="trains the model of 04 has failed"):
        benchmark.step_times({}, 1, 0, 0.01, models=("04",))


def test_the_settings_of_this_process_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("KMP_BLOCKTIME", "0")
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    given = benchmark.surroundings({"OMP_WAIT_POLICY": "passive"})
    assert given["OMP_WAIT_POLICY"] == "passive"
    assert not {"OMP_NUM_THREADS", "KMP_BLOCKTIME", "GOMP_SPINCOUNT"} & given.keys()


def test_the_table_says_times_and_ratios(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = dict(zip(benchmark.SETTINGS, (0.01, 0.5, 0.02, 0.04, 0.03), strict=True))
    named = {id(setting): name for name, setting in benchmark.SETTINGS.items()}
    monkeypatch.setattr(
        benchmark, "step_times",
        lambda setting, n, beside, seconds: {"01": n * costs[named[id(setting)]]},
    )
    benchmark.table(1.0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(benchmark.LOADS) * len(benchmark.SETTINGS)
    assert lines[3].split() == ["alone,", "nothing", "set", "500.0", "ms", "50.0", "x"]
    assert lines[-1].split()[-4:] == ["120.0", "ms", "12.0", "x"]
    monkeypatch.setattr(benchmark, "MINUTES", -1)
    benchmark.table(1.0)
    assert "not measured: -1 minutes are over" in capsys.readouterr().out


# ---- the cores that may be used ----


def test_a_limit_of_cores_is_kept() -> None:
    if not shutil.which("taskset"):
        pytest.skip("taskset is not installed")
    call = ["taskset", "-c", "0", sys.executable, "-m", "tools.cores"]
    assert subprocess.check_output(call, cwd=ROOT, encoding="utf-8") == "1\n"


@pytest.mark.parametrize(
    "files, limit",
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu.max": "\n"}, None),
    ],
)
def test_the_limit_of_a_container(files: dict[str, str], limit: float, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert quota(tmp_path) == limit
    assert 1 <= cores(tmp_path)
    assert limit is None or cores(tmp_path) == 1


def test_make_counts_the_cores_that_it_may_use() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "CORES = $(shell $(BIN)/python -m tools.cores)" in makefile
    assert "getconf" not in makefile

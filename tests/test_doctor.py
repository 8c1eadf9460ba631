"""`make doctor` on a healthy machine and on sick ones: what it says, and when it gives up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools import benchmark, doctor
from tools.doctor import BAD, GOOD, TO_DO, Finding, written
from tools.notebooks import ROOT
from utils import corpora, models, plots


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do not train, do not reach for the network, and take every folder for one to write into."""
    monkeypatch.setattr(doctor, "refusal", lambda folder: None)
    monkeypatch.setattr(benchmark, "step_times", lambda setting, n, beside, *_: {"04": 0.02})
    monkeypatch.setattr(doctor, "share_of_core", lambda: 1.0)
    monkeypatch.setattr(corpora, "_no_answer", lambda url: None)
    corpora._ask_once.cache_clear()
    yield
    corpora._ask_once.cache_clear()


def said(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Return the exit status of the doctor, and its lines."""
    status = doctor.main()
    return status, capsys.readouterr().out.splitlines()


def beginning(lines: list[str], sign: str) -> list[str]:
    """Return the lines with a sign."""
    return [line for line in lines if line.startswith(sign + " ")]


def test_a_healthy_machine(capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = said(capsys)
    assert status == 0
    assert beginning(lines, GOOD) == lines and len(lines) == len(doctor.CHECKS) + 1
    for word in ("Python 3", "torch 2", "20 ms", "fonts", "10,000", "multi30k", "models", "kernel"):
        assert any(word in line for line in lines) or word == "kernel", word


def test_no_fonts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    status, lines = said(capsys)
    (line,) = beginning(lines, BAD)
    assert status == 1
    assert "fonts: ModuleNotFoundError: matplotlib-fontja" in line and sys.executable in line


def test_no_network(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setattr(corpora, "CACHE", ROOT / "nowhere")
    monkeypatch.setattr(corpora, "_no_answer", lambda url: corpora.Trouble("the line is dead"))
    status, lines = said(capsys)
    assert status == 0
    assert ["the line is dead" in line for line in beginning(lines, TO_DO)] == [True, True]


def test_models_missing_and_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    for path in models.FOLDER.glob("*.safetensors"):
        shutil.copyfile(path, tmp_path / "models" / path.name)
    monkeypatch.setattr(models, "FOLDER", tmp_path / "models")
    (tmp_path / "models/04_vector_ja.safetensors").unlink()
    (tmp_path / "models/05_attention_ja.safetensors").write_bytes(b"half a file")
    status, lines = said(capsys)
    assert status == 1
    first, second = beginning(lines, BAD)
    assert f"{tmp_path / 'models/04_vector_ja.safetensors'} cannot be read (" in first
    assert first.endswith("run  make models NB=04")
    assert "05_attention_ja.safetensors cannot be read (" in second


def test_a_package_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = doctor.installed
    gone = {"safetensors", "ipywidgets"}
    monkeypatch.setattr(doctor, "installed", lambda n: None if n in gone else installed(n))
    status, lines = said(capsys)
    assert status == 1
    assert beginning(lines, BAD)[0].startswith("✗ not installed: safetensors; run  ")
    assert beginning(lines, TO_DO)[0].startswith("! not installed: ipywidgets; run  ")


def test_torch_that_does_not_load(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    status, lines = said(capsys)
    assert status == 1
    assert any("torch_loads: ModuleNotFoundError: " in line for line in beginning(lines, BAD))


def test_a_machine_whose_threads_wait(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    costs = {0: 0.011, 1: 1.6}
    monkeypatch.setattr(
        benchmark, "step_times", lambda setting, n, beside, *_: {"04": costs[beside]}
    )
    status, lines = said(capsys)
    (line,) = beginning(lines, TO_DO)
    assert status == 0
    assert "OMP_NUM_THREADS=8" in line and "11 ms" in line and "1600 ms" in line
    assert line.endswith("unset OMP_NUM_THREADS")


def test_a_machine_that_computes_for_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(doctor, "share_of_core", lambda: 0.6)
    (line,) = beginning(said(capsys)[1], TO_DO)
    assert "now a process gets 60 % of a core: close what else computes" in line


def test_two_busy_processes_share_one_core() -> None:
    if not shutil.which("taskset"):
        pytest.skip("taskset is not installed")
    lines = "from tools import benchmark, doctor\nwith benchmark.busy(1):\n"
    lines += "    print(doctor.share_of_core(1.0))"
    call = ["taskset", "-c", "0", sys.executable, "-c", lines]
    assert 0 < float(subprocess.check_output(call, cwd=ROOT)) < doctor.SHARE


REFUSAL = doctor.refusal


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    assert REFUSAL(tmp_path / "not/there/yet") is None
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in str(REFUSAL(tmp_path / "file/x"))


def test_no_place_for_jupyter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(doctor, "refusal", REFUSAL)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "file/runtime"))
    status, lines = said(capsys)
    assert status == 1
    assert f"nothing can be written into {tmp_path / 'file'} (" in beginning(lines, BAD)[0]
    assert "no kernel can start" in beginning(lines, BAD)[0]


@pytest.mark.parametrize("there", [True, False])
def test_corpora_that_are_here_need_no_place(
    there: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "is_here", lambda name: there)
    monkeypatch.setattr(corpora, "available", lambda name: None)
    monkeypatch.setattr(doctor, "refusal", lambda f: "no" if f == corpora.CACHE else None)
    lines = said(capsys)[1]
    assert any("no: no corpus can be downloaded" in line for line in lines) == (not there)


def test_a_damaged_corpus_is_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "multi30k").mkdir()
    (tmp_path / "multi30k/train.en.gz").write_bytes(b"another file")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert not doctor.is_here("multi30k") and corpora.available("multi30k") is not None


def test_another_kernel_of_the_same_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "kernels/python3"
    folder.mkdir(parents=True)
    spec = {"argv": ["/old/python", "-m", "ipykernel_launcher"], "display_name": "Old"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    status, lines = said(capsys)
    (line,) = beginning(lines, TO_DO)
    assert status == 0 and f"{folder} starts /old/python" in line
    if (Path(sys.prefix) / "share/jupyter/kernels/python3").exists():
        monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")    # as the Makefile sets it
        assert beginning(said(capsys)[1], TO_DO) == []


def test_no_progress_bars(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert "progress bars appear as text" in beginning(said(capsys)[1], TO_DO)[0]


def test_a_plain_terminal() -> None:
    own = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    lines = "import sys\nfrom tools.doctor import Finding, PLAIN, written\nfor sign in PLAIN:\n"
    lines += "    print(written(Finding(sign, '\\u8b1b\\u5ea7'), sys.stdout.encoding))"
    done = subprocess.run(
        [sys.executable, "-c", lines],
        cwd=ROOT, env=os.environ | own, capture_output=True, check=True,
    )
    words = done.stdout.decode("ascii").splitlines()
    assert words == [rf"{sign} \u8b1b\u5ea7" for sign in ("ok", "!", "NO")]


@pytest.mark.parametrize("encoding, line", [("utf-8", "✓ 猫"), (None, r"ok \u732b")])
def test_the_signs(encoding: str | None, line: str) -> None:
    assert written(Finding(GOOD, "猫"), encoding) == line


def test_an_unknown_python(monkeypatch: pytest.MonkeyPatch) -> None:
    version = SimpleNamespace(version_info=(3, 15, 0), executable="python")
    monkeypatch.setattr(doctor, "sys", version)
    assert [finding.sign for finding in doctor.python()] == [TO_DO]

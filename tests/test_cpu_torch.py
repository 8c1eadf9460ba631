"""Which torch `make lab` installs: for the CPU where that is due, never another version."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools import cpu_torch
from tools.notebooks import ROOT

NOWHERE = "http://127.0.0.1:9/whl/cpu"    # the port of "discard", where nobody listens


def wheel(folder: Path, version: str) -> None:
    """Write a package that is called torch and holds nothing."""
    info = f"torch-{version}.dist-info"
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"torch-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{info}/{name}", text)


@pytest.fixture
def index(tmp_path: Path) -> str:
    """Return the address of an index of builds for the CPU, in three versions."""
    folder = tmp_path / "an index/torch"
    for version in ("2.12.0+cpu", "2.13.0+cpu", "2.14.0+cpu"):
        wheel(folder, version)
    links = [f'<a href="{path.name}">{path.name}</a>' for path in sorted(folder.iterdir())]
    (folder / "index.html").write_text("<!DOCTYPE html>" + "".join(links), encoding="utf-8")
    return folder.parent.as_uri()


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """Return a file that pins torch."""
    path = tmp_path / "requirements.txt"
    path.write_text("# a\nnumpy==2.4.6  # b\ntorch==2.13.0   # c\n", encoding="utf-8")
    return path


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let pip install into an environment of its own, on a Linux without GPU, with no sources."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    program = tmp_path / "own/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "own"], check=True)
    pip = (*cpu_torch.PIP[:3], "--python", str(program), *cpu_torch.PIP[3:])
    monkeypatch.setattr(cpu_torch, "PIP", pip)
    monkeypatch.setattr(cpu_torch, "installed", lambda: False)
    monkeypatch.setattr(cpu_torch, "gpu", lambda: False)
    monkeypatch.setattr(cpu_torch.platform, "system", lambda: "Linux")
    monkeypatch.setattr(cpu_torch.platform, "machine", lambda: "x86_64")
    return program


def version_in(python: Path) -> str | None:
    """Return the version of torch in an environment."""
    found = list(python.parents[1].glob("lib/python*/site-packages/torch-*.dist-info"))
    return found[0].name.removeprefix("torch-").removesuffix(".dist-info") if found else None


def test_the_pinned_version_for_the_cpu(python: Path, index: str, requirements: Path) -> None:
    said = cpu_torch.say(requirements, index)
    assert version_in(python) == "2.13.0+cpu"
    assert said == f"No NVIDIA GPU is seen: torch 2.13.0 for the CPU, from {index}"


def test_no_other_version(python: Path, index: str, requirements: Path) -> None:
    requirements.write_text("torch==2.13.1", encoding="utf-8")
    said = str(cpu_torch.say(requirements, index))
    assert version_in(python) is None
    assert f"torch 2.13.1 for the CPU could not be had from {index} (" in said
    assert "No matching distribution" in said and "which brings CUDA, some gigabytes." in said


def test_an_index_that_does_not_answer(python: Path, requirements: Path) -> None:
    said = str(cpu_torch.say(requirements, NOWHERE))
    assert version_in(python) is None and said.count(". ") == 0
    assert f"could not be had from {NOWHERE} (" in said


@pytest.mark.parametrize(
    "name", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"]
)
def test_the_sources_of_the_reader_count(
    name: str, python: Path, requirements: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1" if name == "PIP_NO_INDEX" else "https://mirror.example/simple")
    option = name.removeprefix("PIP_").lower().replace("_", "-")
    said = cpu_torch.say(requirements, NOWHERE)
    assert said == f"torch comes from where pip is told to look ({option})."


def test_the_files_of_pip_count(
    python: Path, requirements: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nfind-links = /wheels\n[install]\nno-index = true", encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    assert "(find-links, no-index)" in str(cpu_torch.say(requirements, NOWHERE))


UNCHANGED = {
    "macOS": ("system", "Darwin"), "Windows": ("system", "Windows"), "another": ("machine", "mips"),
}


@pytest.mark.parametrize("case", [*UNCHANGED, "no index", "no pin", "torch is here", "a GPU"])
def test_where_nothing_is_installed(
    case: str, python: Path, requirements: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_torch, "install", lambda *_: pytest.fail("pip was called"))
    if case in UNCHANGED:
        what, value = UNCHANGED[case]
        monkeypatch.setattr(cpu_torch.platform, what, lambda: value)
    elif case == "no pin":
        requirements.write_text("torch\nnumpy==2.4.6\n", encoding="utf-8")
    elif case == "torch is here":
        monkeypatch.setattr(cpu_torch, "installed", lambda: True)
    elif case == "a GPU":
        monkeypatch.setattr(cpu_torch, "gpu", lambda: True)
    said = cpu_torch.say(requirements, "" if case == "no index" else NOWHERE)
    assert said == ("An NVIDIA GPU is seen: torch comes with CUDA." if case == "a GPU" else None)


@pytest.mark.parametrize(
    "says, seen",
    [("echo 'GPU 0: a card'", True), ("echo 'No devices found'; exit 6", False), (None, False)],
)
def test_a_gpu_is_seen(
    says: str | None, seen: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_torch, "DRIVER", tmp_path / "driver")
    monkeypatch.setenv("PATH", str(tmp_path))
    if says:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
        (tmp_path / "nvidia-smi").chmod(0o755)
    assert cpu_torch.gpu() == seen
    (tmp_path / "driver").touch()
    assert cpu_torch.gpu()


def test_the_course_pins_torch() -> None:
    assert cpu_torch.pinned(ROOT / "requirements.txt")
    assert cpu_torch.pinned(ROOT / "tests/oldest-requirements.txt")
    assert cpu_torch.installed()

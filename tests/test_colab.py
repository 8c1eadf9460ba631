"""Each notebook opens in Colab, where it stands alone in a folder and the course must be fetched.

No network: git is told by its environment that the public address is a local bare repository.
Colab's kernel is imitated by a plain Python process in which `google.colab` is imported, the
packages that Colab may lack are hidden, and `sys.executable` writes down what pip is asked for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_up
import pytest

from tools.address import REPOSITORY
from tools.files import course_files
from tools.notebooks import ROOT, evidence, lessons, read

SETUP = (ROOT / "tests/setup_cell.py").read_text("utf-8")
LACKING = ["sacrebleu", "pooch", "safetensors", "matplotlib_fontja", "koreanize_matplotlib"]

# Runs in the imitated kernel: the setup cell twice and the import cell, for each notebook in turn.
KERNEL = """
import importlib.util, json, os, sys, types
from pathlib import Path

jobs = json.load(open(sys.argv[1], encoding="utf-8"))
python, find_spec = sys.executable, importlib.util.find_spec
for name in ("google", "google.colab"):
    sys.modules[name] = types.ModuleType(name)
results = []
for job in jobs:
    os.chdir(job["folder"])
    before = list(sys.path)
    for name in [m for m in sys.modules if m.split(".")[0] == "utils"]:
        del sys.modules[name]
    hide = lambda name: None if name in job["lacking"] else find_spec(name)
    sys.executable, importlib.util.find_spec = job["pip"], hide
    exec(job["setup"], {})
    sys.executable, importlib.util.find_spec = python, find_spec
    first = sys.path[0]
    exec(job["setup"], {})
    exec(job["imports"], {})
    import utils
    results.append({
        "first": first,
        "times": sys.path.count(first),
        "utils": utils.__file__,
        "here": sorted(os.listdir()),
    })
    sys.path[:] = before
json.dump(results, open(sys.argv[2], "w", encoding="utf-8"))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which the course's address is a copy of this working tree."""
    folder = tmp_path_factory.mktemp("remote")
    work = folder / "work"
    for name in course_files(new_ones=True):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, work / name)
    made_up.commit(work)
    owner, name = REPOSITORY.rsplit("/", 1)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(folder / name)], check=True)
    subprocess.run(["git", "repack", "-adq"], cwd=folder / name, check=True)    # once for all
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{folder}/.insteadOf",
        "GIT_CONFIG_VALUE_0": f"{owner}/",
        "GIT_TERMINAL_PROMPT": "0",
    }


def job(folder: Path, imports: str, lacking: list[str]) -> dict[str, Any]:
    """Return what the imitated kernel needs to open one notebook in an empty folder."""
    folder.mkdir()
    pip = folder.with_suffix(".pip")
    pip.write_text(f'#!/bin/sh\necho "$@" >> {folder}.asked\n', encoding="utf-8")
    pip.chmod(0o755)
    return {
        "folder": str(folder), "pip": str(pip), "lacking": lacking,
        "setup": SETUP, "imports": imports,
    }


def open_in_colab(
    jobs: list[dict[str, Any]], folder: Path, environment: dict[str, str]
) -> list[dict[str, Any]]:
    """Run the imitated kernel and return what it found for each notebook."""
    (folder / "kernel.py").write_text(KERNEL, encoding="utf-8")
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-I", "kernel.py", "jobs.json", str(folder / "results.json")],
        cwd=folder, env=environment, check=True,
    )
    return json.loads((folder / "results.json").read_text("utf-8"))


def asked(folder: Path) -> list[list[str]]:
    """Return the arguments of each call of pip."""
    path = Path(f"{folder}.asked")
    return [line.split() for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def test_every_notebook_alone(tmp_path: Path, environment: dict[str, str]) -> None:
    paths = [*lessons(), *evidence()]
    cells = [[c for c in read(path) if c.kind == "code"][:2] for path in paths]
    assert cells
    assert all(setup.source == SETUP.strip() for setup, _ in cells)
    folders = [tmp_path / f"{number}_{path.stem}" for number, path in enumerate(paths)]
    jobs = [job(f, c[1].source, LACKING) for f, c in zip(folders, cells, strict=True)]
    for folder, result in zip(folders, open_in_colab(jobs, tmp_path, environment), strict=True):
        assert result["first"] == str(folder / "course")
        assert result["times"] == 1
        assert result["utils"].startswith(str(folder / "course/utils"))
        assert result["here"] == ["course"]
        assert asked(folder) == [["-m", "pip", "install", "-q", *LACKING]]


@pytest.mark.parametrize("lacking", [[], ["pooch"]])
def test_pip_is_asked_only_for_what_is_missing(
    tmp_path: Path, environment: dict[str, str], lacking: list[str]
) -> None:
    folder = tmp_path / "content"
    open_in_colab([job(folder, "", lacking)], tmp_path, environment)
    assert asked(folder) == [["-m", "pip", "install", "-q", *lacking]][: len(lacking)]

"""Each notebook opens in Colab, where it stands alone in a folder and the course must be fetched.

No network: git is told by its environment that the public address is a local bare repository.
For the first cells of all notebooks Colab's kernel is imitated by a plain Python process in which
`google.colab` is imported, the packages that Colab may lack are hidden, and `sys.executable` writes
down what pip is asked for. Two notebooks run whole, by the code of `make colab`, on the packages of
this environment without those that Colab lacks, which a pip of our own then adds.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path
from typing import Any

import made_up
import nbformat
import pytest

from tools.address import REPOSITORY, VERSION
from tools.colab import (
    COLUMNS,
    Run,
    complaint,
    fingerprint,
    git,
    passed,
    run_all,
    run_alone,
    serve,
    table,
)
from tools.notebooks import FOLDER, ROOT, evidence, lessons, read

SETUP = (ROOT / "tests/setup_cell.py").read_text("utf-8")
LACKING = ["sacrebleu", "pooch", "safetensors", "matplotlib_fontja", "koreanize_matplotlib"]
IN_COLAB = ["sacrebleu", "matplotlib_fontja", "koreanize_matplotlib"]    # what it lacks in 2026

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
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    own = {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    own |= {name: os.environ[name] for name in ("PATH", "HOME")}
    return own | serve(tmp_path_factory.mktemp("remote"))


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


# ---- a notebook that somebody kept ----


@pytest.mark.parametrize("version, works", [("kept", True), ("main", False)])
def test_an_old_notebook_fetches_its_own_version(
    version: str, works: bool, tmp_path: Path, environment: dict[str, str]
) -> None:
    served = serve(tmp_path, "kept")
    work, name = tmp_path / "work", REPOSITORY.rsplit("/", 1)[1]
    (work / "utils/attention.py").write_text("MOVED = True\n", encoding="utf-8")
    git(work, "commit", "-qam", "main moves on")
    git(work, "push", "-q", str(tmp_path / name), "main")
    setup = SETUP.replace(f'VERSION = "{VERSION}"', f'VERSION = "{version}"')
    job_ = job(tmp_path / "content", "from utils.attention import masked_softmax", [])
    job_["setup"] = setup
    try:
        open_in_colab([job_], tmp_path, environment | served)
    except subprocess.CalledProcessError:
        assert not works
    else:
        assert works and setup != SETUP


# ---- whole notebooks ----

# Takes what the environment of the course has, instead of asking a registry.
PIP = """
import sys, sysconfig
from pathlib import Path

ours, own = Path({ours!r}), Path(sysconfig.get_path("purelib"))
options = sys.argv[1:]
assert options[:2] == ["install", "-q"], options
for name in options[2:]:
    for path in ours.glob(f"{{name}}*"):
        (own / path.name).symlink_to(path)
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the packages of this environment but those that Colab lacks, with another pip."""
    ours, folder = Path(sysconfig.get_path("purelib")), tmp_path_factory.mktemp("packages")
    for path in ours.iterdir():
        if not path.name.startswith(("pip", *IN_COLAB)):
            (folder / path.name).symlink_to(path)
    (folder / "pip").mkdir()
    (folder / "pip/__main__.py").write_text(PIP.format(ours=str(ours)), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["00_start_here.ipynb", "03_text_to_batches.ipynb"])
def test_a_whole_notebook(
    name: str, tmp_path: Path, packages: Path, environment: dict[str, str]
) -> None:
    run = run_alone(FOLDER / name, tmp_path, packages, environment)
    assert run.failure == ""
    names = sorted(what.split()[0].replace("-", "_") for what in run.installed)
    assert names == sorted(IN_COLAB)
    assert 0 < run.ready < run.first_figure < run.whole


def test_what_a_run_may_not_do(tmp_path: Path, packages: Path, environment: dict[str, str]) -> None:
    cells = [
        made_up.code("open('left', 'w').close()"),
        made_up.code("1 / 0"),
    ]
    for number, said in ((1, "no, it leaves 1.ipynb, left"), (2, "no, CellExecutionError: Zero")):
        path = made_up.write(tmp_path / f"{number}.ipynb", *cells[:number])
        run = run_alone(path, tmp_path / str(number), packages, environment)
        assert run.failure.startswith(said)
        assert not run.first_figure and not run.installed


@pytest.mark.parametrize(
    "was, now, tags, said",
    [
        ("✓ a", "✗ a", ("nbval-ignore-output",), "no, cell x says ✗ a"),
        ("✗ a", "✗ a", (), ""),
        ("0.50", "0.60", (), "no, cell x prints other words: +0.60"),
        ("0.50", "0.60", ("nbval-ignore-output",), ""),
        ("0.500001", "0.500002", (), ""),
    ],
)
def test_what_contradicts_a_notebook(was: str, now: str, tags: tuple[str, ...], said: str) -> None:
    def notebook(text: str) -> nbformat.NotebookNode:
        cell = made_up.code("x", made_up.printed(text), tags=tags)
        cell["id"], cell["execution_count"] = "x", 1
        return nbformat.v4.new_notebook(cells=[cell])

    assert complaint(notebook(was), notebook(now)) == said


def test_a_warning_and_pieces_of_a_line() -> None:
    cell = made_up.code("x", made_up.printed("a b"))
    cell["execution_count"] = 1
    old = nbformat.v4.new_notebook(cells=[cell])
    new = copy.deepcopy(old)
    new.cells[0].outputs = [made_up.printed("a"), made_up.printed(" b")]
    assert complaint(old, new) == ""
    new.cells[0].outputs.append(made_up.printed("x.py:1: FutureWarning: soon", "stderr"))
    assert " warns: x.py:1: FutureWarning" in complaint(old, new)


def test_what_passed_is_not_run_again(tmp_path: Path) -> None:
    paths, calls = lessons()[:3], []

    def one(path: Path) -> Run:
        calls.append(path)
        failure = "no, x" if path == paths[1] and len(calls) < 4 else ""
        return Run(path.name, fingerprint(path), failure, ("sacrebleu 2.6.0",), 1, 2, 3)

    file = tmp_path / "runs.json"
    runs = run_all(paths, file, one)
    assert [bool(run.failure) for run in runs] == [False, True, False]
    assert table(runs).splitlines()[0] == COLUMNS
    assert table(runs).splitlines()[2:4] == [
        f"| {paths[0].name} | yes | sacrebleu 2.6.0 | 1.0 | 2.0 | 3 |",
        f"| {paths[1].name} | no, x | sacrebleu 2.6.0 | 1.0 | 2.0 | 3 |",
    ]
    runs = run_all(paths, file, one)
    assert calls == [*paths, paths[1]] and not any(run.failure for run in runs)
    changed = passed(file)[paths[2].name]
    changed.fingerprint = "another"
    file.write_text(json.dumps([asdict(changed)]), encoding="utf-8")
    run_all(paths[2:], file, one)
    assert calls[-1] == paths[2]

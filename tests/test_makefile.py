"""The commands of the Makefile, run with a Python that only writes down what it is asked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.notebooks import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")

# Answers that it is alive, and how many cores there are; writes down everything else.
PYTHON = """#!/bin/sh
case "$*" in
  *alive*) echo alive ;;
  *tools.cores*) echo 3 ;;
  *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
utf8=$PYTHONUTF8
echo "$PYTHONHOME|$PYTHONSAFEPATH|$OMP_NUM_THREADS|$JUPYTER_PREFER_ENV_PATH|$utf8|$*" >> asked.txt
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a course with nothing but its Makefile, its lessons' names and an environment."""
    root = tmp_path / "a 日本 course"
    (root / ".venv/bin").mkdir(parents=True)
    (root / "notebooks/evidence").mkdir(parents=True)
    (root / "notebooks/00_start_here.ipynb").touch()
    (root / "notebooks/05_attention.ipynb").touch()
    for name in ("Makefile", "requirements.txt", "requirements-room.txt"):
        shutil.copy(ROOT / name, root / name)
    (tmp_path / "my programs").mkdir()
    for place in (root / ".venv/bin/python", tmp_path / "my programs/python3"):
        place.write_text(PYTHON, encoding="utf-8")
        place.chmod(0o755)
    (root / ".venv/.installed").touch()
    (root / ".venv/.room").touch()
    return root


def make(folder: Path, *arguments: str, **own: str) -> subprocess.CompletedProcess[str]:
    """Run make there, with the made-up Python as python3 and no number of threads set."""
    ours = ("OMP_", "MAKE", "PYTHON")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    python = f"PYTHON={folder.parent / 'my programs/python3'}"
    return subprocess.run(
        ["make", *arguments, python], cwd=folder, env=inherited | own,
        capture_output=True, encoding="utf-8", check=False,
    )


def asked(folder: Path) -> list[str]:
    """Return what Python was asked for: five variables and the arguments."""
    lines = (folder / "asked.txt").read_text("utf-8").splitlines()
    return [line for line in lines if "alive" not in line and "tools.cores" not in line]


COMMANDS = ["lab", "test", "browser", "hub", "workshop", "workshop-check", "book", "colab",
            "publish", "doctor", "outputs", "seeds", "models"]


@pytest.mark.parametrize("target", COMMANDS)
def test_every_command_calls_modules_of_python(target: str, folder: Path) -> None:
    """The scripts beside Python hold the name of the folder that they were installed in."""
    done = make(folder, target)
    assert done.returncode == 0, done.stderr
    assert asked(folder) and all("|-m " in line for line in asked(folder))
    assert "/jupyter" not in done.stdout and "/ruff" not in done.stdout


def test_a_renamed_folder_goes_on(folder: Path) -> None:
    moved = folder.rename(folder.with_name("course2"))
    assert make(moved, "lab", "NB=05").returncode == 0
    (line,) = asked(moved)
    assert line.endswith("|-m tools.lab notebooks/05_attention.ipynb")


@pytest.mark.parametrize("broken", ["a link to nothing", "no packages", "of another machine"])
def test_an_environment_whose_python_is_gone_is_made_anew(broken: str, folder: Path) -> None:
    python = folder / ".venv/bin/python"
    python.unlink()
    if broken == "a link to nothing":
        python.symlink_to(folder / "nowhere/python3")
    else:
        says = "echo No module named pip >&2; exit 1" if broken == "no packages" else "exit 126"
        python.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
        python.chmod(0o755)
    (folder / ".venv/old").touch()
    done = make(folder, "lab")
    assert done.returncode == 0, done.stderr
    assert "the folder .venv is made anew" in done.stdout
    assert not (folder / ".venv/old").exists() and (folder / ".venv/.installed").exists()
    assert [line.split("|")[-1][:12] for line in asked(folder)][-4:] == [
        "-m venv .ven", "-m tools.cpu", "-m pip insta", "-m tools.lab",
    ]


def test_an_environment_that_works_is_left_alone(folder: Path) -> None:
    (folder / ".venv/old").touch()
    assert make(folder, "lab").returncode == 0
    assert (folder / ".venv/old").exists() and "venv" not in asked(folder)[0]


def test_variables_that_lead_python_elsewhere_do_not_reach_it(folder: Path) -> None:
    make(folder, "lab", PYTHONHOME="/nowhere", PYTHONSAFEPATH="1", PYTHONUTF8="0", LC_ALL="C")
    assert asked(folder)[0].startswith("|||1|1|-m tools.lab")


def test_the_room_is_installed_beside_the_course_and_only_where_it_is_needed(folder: Path) -> None:
    (folder / ".venv/.room").unlink()
    assert make(folder, "lab").returncode == 0
    assert not (folder / ".venv/.room").exists()
    assert make(folder, "book", "NB=05").returncode == 0
    *_, pip, book = (line.split("|")[-1] for line in asked(folder))
    assert pip.endswith("-r requirements.txt -r requirements-room.txt")
    assert book == "-m tools.book 05" and (folder / ".venv/.room").exists()


def test_publish_hands_on_what_it_is_given(folder: Path) -> None:
    make(folder, "publish", "REPO=a b/c", "VERSION=v1")
    assert asked(folder)[-1].endswith("|-m tools.publish a b/c v1")


@pytest.mark.parametrize(
    "target", ["test", "browser", "colab", "workshop", "outputs", "seeds", "models"]
)
def test_what_is_compared_runs_on_one_thread(target: str, folder: Path) -> None:
    make(folder, target, OMP_NUM_THREADS="7")
    assert {line.split("|")[2] for line in asked(folder)} == {"1"}


def said(folder: Path) -> list[str]:
    """Return only the arguments of what Python was asked for."""
    return [line.split("|")[-1] for line in asked(folder)]


def test_torch_is_asked_for_before_the_rest(folder: Path) -> None:
    (folder / ".venv/.installed").unlink()
    done = make(folder, "lab", "LAB_ARGS=--no-browser")
    assert done.returncode == 0, done.stderr
    venv, torch, pip, lab = said(folder)[-4:]
    assert venv == "-m venv .venv"
    index = "https://download.pytorch.org/whl/cpu"
    assert torch == f"-m tools.cpu_torch requirements.txt {index}"
    assert pip.startswith("-m pip install ") and pip.endswith(" -r requirements.txt")
    assert lab == "-m tools.lab notebooks/00_start_here.ipynb --no-browser"
    assert "-m venv" not in done.stdout and "some 350 MB" in done.stdout


def test_the_reader_may_choose_the_torch_with_cuda(folder: Path) -> None:
    (folder / ".venv/.installed").unlink()
    make(folder, "lab", "TORCH_INDEX=")
    assert "-m tools.cpu_torch requirements.txt " in said(folder)


def test_what_a_room_needs_is_not_installed_for_a_learner(folder: Path) -> None:
    (folder / ".venv/.room").unlink()
    make(folder, "lab")
    assert said(folder) == ["-m tools.lab notebooks/00_start_here.ipynb"]
    make(folder, "test", "NB=05")
    pip = said(folder)[1]
    assert pip.startswith("-m pip install ") and pip.endswith(" -r requirements-room.txt")
    assert (folder / ".venv/.room").exists()
    make(folder, "hub", "ROOM_DIR=a room")
    assert said(folder)[-1] == "-m tools.hub a room" and said(folder)[2:].count(pip) == 0


def test_a_browser_is_told_what_to_look_at(folder: Path) -> None:
    make(folder, "browser", "NB=05", "THEME=dark", "LESSONS=1")
    assert said(folder) == ["-m tools.browser 05 --theme dark --no-evidence"]


def test_the_reader_may_choose_his_threads(folder: Path) -> None:
    make(folder, "lab", OMP_NUM_THREADS="7")
    assert asked(folder)[0].split("|")[2] == "7"


def test_as_many_workers_as_there_are_cores(folder: Path) -> None:
    make(folder, "test")
    workers = [re.findall(r"-n (\d+) --dist loadfile", line) for line in asked(folder)]
    assert workers == [[], ["3"], ["3"]]


def targets(makefile: str) -> set[str]:
    """Return the commands that `make help` lists."""
    return set(re.findall(r"(?m)^([a-z-]+):[^=\n]*# ", makefile))


def named(readme: str) -> set[str]:
    """Return the commands of make that a text names in code."""
    blocks = re.findall(r"```\w*\n(.*?)```", readme, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "Makefile" not in line]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"(?s)```.*?```", "", readme))
    calls = [re.match(r"(?:\S+=\S* )*make (?:[A-Z_]+=\S+ )*([a-z-]+)", c) for c in lines + spans]
    return {call[1] for call in calls if call}


def test_the_readme_names_every_command_and_no_other() -> None:
    there = targets((ROOT / "Makefile").read_text("utf-8"))
    told = named((ROOT / "README.md").read_text("utf-8"))
    assert told <= there, f"the Makefile has no {told - there}"
    assert there - {"one-page", "clean"} <= told, f"the README does not name {there - told}"


def test_a_command_that_nobody_has_is_found() -> None:
    assert targets("lab: x  # open\nx: a = 1\n.PHONY: lab\ngone:\n") == {"lab"}
    text = "`A=1 make PYTHON=python3.12 lab`, `make` and\n\n```bash\nmake test NB=05\n```\n"
    assert named(text) == {"lab", "test"}

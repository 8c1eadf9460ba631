"""The setup cell outside Colab: where it finds the course, what it leaves alone, what it says.

It runs in a fresh Python, as in a kernel, in a folder of made-up courses.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import made_up
import pytest

from tools.address import REPOSITORY
from tools.notebooks import ROOT, read
from tools.setup_cell import SETUP, with_setup, write_setup

SOURCE = SETUP.read_text("utf-8")
PART = "utils/checks/start_here.py"
REPORT = "\nimport json\nprint(json.dumps([sys.path[0], sys.path.count(sys.path[0])]))"


def course(folder: Path) -> Path:
    """Make a folder look like the course and return it."""
    (folder / "notebooks/evidence").mkdir(parents=True)
    (folder / PART).parent.mkdir(parents=True)
    (folder / PART).touch()
    (folder / "utils/__init__.py").write_text("OURS = True\n", encoding="utf-8")
    return folder


def run(folder: Path, source: str, **own: str) -> subprocess.CompletedProcess[str]:
    """Run lines of Python in a folder, in a process that has no number of threads set."""
    folder.mkdir(parents=True, exist_ok=True)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-I", "-X", "utf8", "-c", source],
        cwd=folder, env=inherited | own, capture_output=True, encoding="utf-8", check=False,
    )


def found(folder: Path, before: str = "", after: str = REPORT) -> list[object]:
    """Run the setup cell twice and return what the last line prints, as JSON."""
    done = run(folder, f"{before}\n{SOURCE}\n{SOURCE}\n{after}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- where the course is ----


@pytest.mark.parametrize("place", [".", "notebooks", "notebooks/evidence"])
def test_from_inside(place: str, tmp_path: Path) -> None:
    root = course(tmp_path / "日本 course")
    assert found(root / place) == [str(root), 1]


@pytest.mark.parametrize("name", ["course", "attention by experiment", "講座"])
def test_from_the_folder_above_a_clone_of_any_name(name: str, tmp_path: Path) -> None:
    root = course(tmp_path / name)
    (tmp_path / "other/utils").mkdir(parents=True)
    assert found(tmp_path) == [str(root), 1]


def test_an_editor_that_names_the_file(tmp_path: Path) -> None:
    old, new = course(tmp_path / "course"), course(tmp_path / "deep/down/course")
    for root in (old, new):
        file = root / "notebooks/evidence/05_attention.ipynb"
        assert found(tmp_path, f"__vsc_ipynb_file__ = {str(file)!r}") == [str(root), 1]


def test_an_editor_that_names_a_file_elsewhere(tmp_path: Path) -> None:
    root = course(tmp_path / "course")
    assert found(root / "notebooks", "__vsc_ipynb_file__ = '/nowhere/x.ipynb'") == [str(root), 1]


def test_a_folder_that_only_has_a_package_utils_is_not_the_course(tmp_path: Path) -> None:
    (tmp_path / "project/utils").mkdir(parents=True)
    (tmp_path / "project/utils/corpora.py").touch()
    root = course(tmp_path / "project/course")
    assert found(tmp_path / "project") == [str(root), 1]


def test_nothing_found_says_where_it_looked(tmp_path: Path) -> None:
    file = tmp_path / "papers/05_attention.ipynb"
    done = run(tmp_path / "desk", f"__vsc_ipynb_file__ = {str(file)!r}\n{SOURCE}")
    last = done.stderr.strip().splitlines()[-1]
    looked, advice = last.removeprefix("FileNotFoundError: ").split(". Open ")
    assert looked.startswith(f"No {PART} in {tmp_path / 'papers'}, {tmp_path}, ")
    assert f", {tmp_path / 'desk'}" in looked
    assert looked.endswith(f"nor in exactly one folder of {tmp_path / 'desk'}")
    assert advice == f"this notebook inside a clone of {REPOSITORY}."
    assert list(tmp_path.iterdir()) == [tmp_path / "desk"]


def test_two_clones_below_are_not_guessed(tmp_path: Path) -> None:
    course(tmp_path / "course")
    course(tmp_path / "course-old")
    done = run(tmp_path, SOURCE)
    assert f"nor in exactly one folder of {tmp_path}." in done.stderr


def test_a_folder_that_may_not_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0)
    root = course(tmp_path / "b")
    assert found(tmp_path) == [str(root), 1]


# ---- another package of the same name ----

WHAT = "\nimport utils, json\nprint(json.dumps([utils.__file__, hasattr(utils, 'mark')]))"


@pytest.mark.parametrize("files", [["utils.py"], ["utils/__init__.py", "utils/text.py"], []])
def test_another_utils_gives_way(files: list[str], tmp_path: Path) -> None:
    root = course(tmp_path / "course")
    other = tmp_path / "other"
    (other / "utils").mkdir(parents=True)    # without files: a package without __init__.py
    for file in files:
        (other / file).touch()
    if files == ["utils.py"]:
        (other / "utils").rmdir()
    module = "utils.text" if len(files) > 1 else "utils"
    before = f"import sys\nsys.path.insert(0, {str(other)!r})\nimport {module}"
    after = f"assert 'utils.text' not in sys.modules{WHAT}"
    assert found(root, before, after) == [str(root / "utils/__init__.py"), False]


def test_our_own_utils_is_not_loaded_twice(tmp_path: Path) -> None:
    root = course(tmp_path / "course")
    source = f"{SOURCE}\nimport utils\nutils.mark = 1\n{SOURCE}{WHAT}"
    assert json.loads(run(root, source).stdout) == [str(root / "utils/__init__.py"), True]


# ---- the number of threads ----

THREADS = "\nimport json, os, torch\nprint(json.dumps([torch.get_num_threads(), os.environ.get(" \
    "'OMP_NUM_THREADS')]))"


@pytest.mark.parametrize(
    "before, own, expected",
    [
        ("", {}, [1, "1"]),
        ("import torch\ntorch.set_num_threads(3)", {}, [1, "1"]),
        ("", {"OMP_NUM_THREADS": "2"}, [2, "2"]),
        ("import torch\ntorch.set_num_threads(3)", {"OMP_NUM_THREADS": "2"}, [3, "2"]),
    ],
    ids=["nothing set", "torch imported before", "set by the reader", "set twice"],
)
def test_one_thread_unless_somebody_chose(
    before: str, own: dict[str, str], expected: list[object], tmp_path: Path
) -> None:
    root = course(tmp_path / "course")
    done = run(root, f"{before}\n{SOURCE}\n{THREADS}", **own)
    assert json.loads(done.stdout) == expected, done.stderr


def test_threads_chosen_after_the_setup_cell_stay(tmp_path: Path) -> None:
    root = course(tmp_path / "course")
    done = run(root, f"{SOURCE}\nimport torch\ntorch.set_num_threads(2)\n{SOURCE}\n{THREADS}")
    assert json.loads(done.stdout) == [2, "1"], done.stderr


def test_the_tests_themselves_run_on_one_thread() -> None:
    done = run(ROOT, f"import sys\nsys.path.insert(0, '.')\nimport conftest{THREADS}")
    assert json.loads(done.stdout) == [1, "1"], done.stderr


# ---- the same cell in every notebook ----


def test_only_the_setup_cell_changes(tmp_path: Path) -> None:
    cells = [made_up.markdown("# 05"), made_up.code("old\n\n  # \"日本\""), made_up.code("old")]
    path = made_up.write(tmp_path / "05_x.ipynb", *cells)
    loose = path.read_text("utf-8").replace('"metadata": {}', '"metadata":  {}')
    path.write_text(loose, encoding="utf-8")
    assert write_setup(path, 'new = "本"\n\nx')
    assert [cell.source for cell in read(path)] == ["# 05", 'new = "本"\n\nx', "old"]
    assert path.read_text("utf-8").count('"metadata":  {}') == loose.count('"metadata":  {}')
    assert not write_setup(path, 'new = "本"\n\nx')
    assert write_setup(path, cells[1]["source"])
    assert path.read_text("utf-8") == loose


def test_a_file_that_is_written_otherwise_is_left_alone(tmp_path: Path) -> None:
    path = made_up.write(tmp_path / "05_x.ipynb", made_up.code("a\nb"))
    tight = json.dumps(json.loads(path.read_text("utf-8")))
    path.write_text(tight, encoding="utf-8")
    with pytest.raises(ValueError, match=r"05_x\.ipynb: the first code cell is not written"):
        write_setup(path, "new")
    assert path.read_text("utf-8") == tight
    with pytest.raises(ValueError, match="not written"):
        with_setup(tight, "new")

"""Which files are the course's, where git knows them and where it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import made_up
import pytest

from tools.files import course_files, walked
from tools.notebooks import ROOT

KEPT = ["README.md", "data/x.tsv", "tools/a.py"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with three files of a course, its .gitignore, and what that ignores."""
    root = tmp_path / "a 講座"
    for name in [*KEPT, ".venv/bin/x", "data/cache/big", "tools/__pycache__/a.pyc"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x", encoding="utf-8")
    ignored = ".venv/\n\n# caches\ndata/cache/\n__pycache__/\n"
    (root / ".gitignore").write_text(ignored, encoding="utf-8")
    return root


EXPECTED = [".gitignore", *KEPT]


def test_a_zip_without_git(folder: Path) -> None:
    assert course_files(folder) == EXPECTED


def test_no_git_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up.commit(folder)
    monkeypatch.setenv("PATH", str(folder))
    assert course_files(folder) == EXPECTED


def test_inside_another_repository(folder: Path) -> None:
    (folder.parent / ".gitignore").write_text(f"{folder.name}/\n", encoding="utf-8")
    made_up.commit(folder.parent)
    assert course_files(folder) == EXPECTED


def test_a_repository_of_another_user(folder: Path) -> None:
    if not hasattr(os, "chown") or os.geteuid() != 0:
        pytest.skip("only root can give files to another user")
    made_up.commit(folder)
    for path in [folder, folder / ".git"]:
        os.chown(path, 65534, 65534)
    said = subprocess.run(
        ["git", "ls-files"], cwd=folder, capture_output=True,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull},
    )
    assert b"dubious ownership" in said.stderr
    assert course_files(folder) == EXPECTED


def test_in_a_repository_only_what_is_committed_counts(folder: Path) -> None:
    made_up.commit(folder)
    (folder / "notes.txt").touch()
    assert course_files(folder) == EXPECTED
    assert course_files(folder, new_ones=True) == sorted([*EXPECTED, "notes.txt"])
    (folder / "README.md").unlink()
    assert "README.md" not in course_files(folder)


def test_a_repository_without_commits_is_walked(folder: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    assert course_files(folder) == EXPECTED


def test_a_hook_of_git_does_not_lead_elsewhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret").touch()
    made_up.commit(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    made_up.commit(folder)
    assert course_files(folder) == EXPECTED
    monkeypatch.undo()
    log = ["git", "log", "--oneline"]
    assert len(subprocess.check_output(log, cwd=other).splitlines()) == 1


def test_no_list_is_empty(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no file of the course"):
        course_files(tmp_path)


def test_git_and_the_walk_agree_on_the_course() -> None:
    assert set(course_files(new_ones=True)) <= set(walked(ROOT))
    assert len(course_files()) > 150


# ---- the rules of the course where git knows nothing of it ----

RULES = ("test_text_hygiene", "test_environment", "test_claims", "test_built_here")


@pytest.fixture(scope="module")
def unpacked() -> Iterator[Path]:
    """Return the course without git, in a folder with blanks and 日本 that anybody may enter."""
    with TemporaryDirectory(prefix="a 日本 ") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "the course"
        for name in course_files(new_ones=True):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
        yield root


def hold(root: Path, *before: str, **own: str) -> subprocess.CompletedProcess[str]:
    """Run the rules of the course there, with a command before Python's and own variables."""
    call = [*before, sys.executable, "-m", "pytest", "-q", *(f"tests/{r}.py" for r in RULES)]
    return subprocess.run(
        call, cwd=root, env=os.environ | own, capture_output=True, encoding="utf-8",
        errors="replace", check=False,
    )


def test_the_rules_hold_in_a_zip_and_a_plain_locale(unpacked: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = hold(unpacked, **plain)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def test_the_rules_hold_where_nothing_may_be_written(unpacked: Path) -> None:
    as_other: list[str] = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may write everywhere, and setpriv is not installed")
        as_other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        starts = subprocess.run([*as_other, sys.executable, "-c", ""], capture_output=True)
        if starts.returncode:
            pytest.skip(f"another user cannot start Python: {starts.stderr.decode()}")
    shutil.rmtree(unpacked / ".pytest_cache", ignore_errors=True)
    for path in [*unpacked.rglob("*"), unpacked]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    with TemporaryDirectory() as home:
        Path(home).chmod(0o777)
        own = {"HOME": home, "TMPDIR": home, "IPYTHONDIR": home}
        done = hold(unpacked, *as_other, **own)
    for path in [unpacked, *unpacked.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert not (unpacked / ".pytest_cache").exists()

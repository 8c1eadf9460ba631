"""The files that belong to the course, whether git knows them or not.

A ZIP of the repository, a checkout of another user, and a copy inside another repository have the
same files: where git cannot say which they are, the folder is walked.
"""

from __future__ import annotations

import os
import subprocess
from fnmatch import fnmatch
from pathlib import Path

from tools.notebooks import ROOT


def git_lines(folder: Path, *arguments: str) -> list[str] | None:
    """Return what git answers, cut at its NULs and line ends; None where it cannot answer."""
    call = ["git", *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        said = subprocess.run(call, cwd=folder, env=env, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return [line for line in said.decode("utf-8").replace("\0", "\n").split("\n") if line]


def is_repository(folder: Path) -> bool:
    """Tell whether git has a repository here that holds this folder alone, and may be asked."""
    top = git_lines(folder, "rev-parse", "--show-toplevel")
    return bool(top) and Path(top[0]).resolve() == folder.resolve()


def walked(folder: Path) -> list[str]:
    """Return the paths of all files below a folder but those that its .gitignore names."""
    ignore = folder / ".gitignore"
    rules = ignore.read_text("utf-8").splitlines() if ignore.exists() else []
    rules = [rule.rstrip("/") for rule in rules if rule and not rule.startswith("#")] + [".git"]
    found = []
    for place, folders, names in os.walk(folder):
        here = Path(place).relative_to(folder)

        def kept(name: str, here: Path = here) -> bool:
            path = (here / name).as_posix()
            return not any(fnmatch(path if "/" in rule else name, rule) for rule in rules)

        folders[:] = [name for name in folders if kept(name)]
        found += [(here / name).as_posix() for name in names if kept(name)]
    return sorted(found)


def course_files(folder: Path = ROOT, new_ones: bool = False) -> list[str]:
    """Return the paths of the files of the course, sorted.

    new_ones: also those that nobody has committed yet. Raises FileNotFoundError where there are
    none: no rule may pass because it saw nothing.
    """
    found = None
    if is_repository(folder):
        more = ["--cached", "--others", "--exclude-standard"] if new_ones else []
        found = git_lines(folder, "ls-files", "-z", *more)
    names = walked(folder) if not found else found
    names = sorted(name for name in names if (folder / name).is_file())
    if not names:
        raise FileNotFoundError(f"{folder} holds no file of the course")
    return names

"""A room full of people: the course on one machine, a server of his own for each learner.

Everybody works in a copy of the course in a folder of his own. What stands in that folder is never
overwritten: a copy is made file by file, and only of what is not there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools.files import course_files
from tools.lab import lay_out
from tools.notebooks import ROOT

ROOM = ROOT / "room"    # where the hub keeps its state and the learners' folders
CONFIG = Path(__file__).with_name("jupyterhub_config.py")
PROXY = "configurable-http-proxy"
PROXY_VERSION = "5.3.0"
NAMES = r"[a-z0-9][a-z0-9_-]{0,31}"    # of learners: they name folders
FIRST = "notebooks/00_start_here.ipynb"


def give_course(home: Path, course: Path = ROOT) -> None:
    """Copy each file of the course that a learner does not have into his folder, home/course.

    What is there stays, changed or not. The real corpora are shared: downloaded once for all.
    """
    own = home / "course"
    for name in course_files(course):
        target = own / name
        if target.exists() or target.is_symlink():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        shutil.copyfile(course / name, part)
        part.replace(target)
    cache = own / "data/cache"
    if not cache.exists() and not cache.is_symlink():
        (course / "data/cache").mkdir(parents=True, exist_ok=True)
        cache.parent.mkdir(exist_ok=True)
        cache.symlink_to(course / "data/cache", target_is_directory=True)
    lay_out(home / ".jupyter/lab/workspaces")


def proxy(folder: Path) -> str | None:
    """Return the program that leads each learner to his server, None where it is not installed.

    folder: of the room, where `make hub` installs it
    """
    places = os.pathsep.join([str(folder / "proxy/node_modules/.bin"), os.environ.get("PATH", "")])
    return shutil.which(PROXY, path=places)

"""Write the editions for a room into build/workshop/ROUTE/: `make workshop`.

`python -m tools.workshop` writes all routes of docs/routes.toml; with the name of a route it writes
that one, with 07 lesson 07 alone.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from tools.notebooks import ROOT, accept_any_letter
from tools.workshop import browser
from tools.workshop.grading import write_course
from tools.workshop.handout import write_handout
from tools.workshop.instructors import instructors_edition
from tools.workshop.lesson import Lesson, lesson
from tools.workshop.routes import Route, all_routes, route
from tools.workshop.slides import slides
from tools.workshop.students import students_edition
from tools.workshop.timetable import timetable

BUILD = ROOT / "build/workshop"
MARK = ".made-by-make-workshop"    # a folder without it was made by somebody else, and stays


def write_lesson(one: Lesson, chosen: Route, folder: Path) -> str:
    """Write the four editions of a lesson; return how its handout's name ends."""
    name, sections = one.path.stem, chosen.sections(one.number)
    for kind, notebook in (
        ("students", students_edition(one)),
        ("instructors", instructors_edition(one, chosen)),
    ):
        (folder / kind).mkdir(exist_ok=True)
        nbformat.write(notebook, folder / kind / f"{name}.ipynb")
    (folder / "slides").mkdir(exist_ok=True)
    (folder / f"slides/{name}.html").write_text(slides(one, sections), "utf-8")
    made, sheets = write_handout(one, folder / "handouts", name, sections)
    said = f"{sheets} sheets" if sheets else f"to be printed from {made.name}"
    print(f"  {one.number} {one.title}: handout of {said}", flush=True)
    return made.suffix.removeprefix(".")


def write_route(chosen: Route, folder: Path) -> None:
    """Write all that a route needs into an empty folder."""
    used = [lesson(number) for number in chosen.lessons]
    endings = {write_lesson(one, chosen, folder) for one in used}
    names = {one.number: one.path.stem for one in used}
    page = timetable(chosen, names, endings.pop() if len(endings) == 1 else "html")
    (folder / "index.html").write_text(page, "utf-8")
    write_course(folder / "grading", used)
    (folder / MARK).touch()


def replace(folder: Path, fresh: Path) -> None:
    """Put a finished folder in the place of an older one that this tool made.

    Raises FileExistsError where the old one was made by somebody else.
    """
    if folder.exists():
        if not (folder / MARK).exists():
            raise FileExistsError(
                f"{folder} was not made by `make workshop`: move it away, then try again")
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(fresh, folder)


def main(names: list[str]) -> int:
    """Write the routes of these names, or all; return the exit status."""
    accept_any_letter()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        chosen = [route(name) for name in names] or list(all_routes())
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    if browser.chromium() is None:
        print(f"The handouts stay pages: {browser.MISSING}", file=sys.stderr)
    BUILD.mkdir(parents=True, exist_ok=True)
    for one in chosen:
        print(one.title, flush=True)
        with TemporaryDirectory(dir=BUILD, prefix=".unfinished-") as place:
            fresh = Path(place) / one.name
            fresh.mkdir()
            write_route(one, fresh)
            try:
                replace(BUILD / one.name, fresh)
            except FileExistsError as error:
                print(error, file=sys.stderr)
                return 1
        print(f"  open {(BUILD / one.name / 'index.html').relative_to(ROOT)}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

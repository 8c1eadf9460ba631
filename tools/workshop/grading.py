"""nbgrader for the lessons: the course folder that it reads, and a trial of all that it marks.

`python -m tools.workshop.grading 03 07` releases these lessons as assignments and marks four
learners: one with the course's solutions, one who handed in the stubs, two with wrong answers from
the tables of the tests. It prints their points and fails where one is not as it must be. No lesson
named: all of them, one after another.
"""

from __future__ import annotations

import codecs
import locale
import os
import sys
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat

from tools.address import NAME
from tools.notebooks import ROOT
from tools.workshop.lesson import Lesson, all_lessons, lesson
from tools.workshop.mistakes import table
from tools.workshop.students import filled, right_answer, students_edition

MISSING = (
    "nbgrader is not installed, so nothing can be marked: install it with  "
    "python -m pip install -r requirements-room.txt"
)
SECONDS = 300    # for one cell of a learner
CONFIG = '''"""Settings of nbgrader for the lessons of "{name}"; run nbgrader in this folder."""

import sys

ROOT = {root!r}    # the course: its tools and its utils
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tools.workshop.grading import settings

c = get_config()    # noqa: F821
settings(c)
'''
Marks = dict[str, tuple[float, float]]    # points and most points, by the id of an exercise


def settings(c: Any) -> Any:
    """Put into a configuration of nbgrader what these notebooks need; returns it.

    The stubs are there already, so nbgrader clears no solutions; and it marks without running the
    trainings (tools/workshop/needed.py).
    """
    from nbgrader.converters.autograde import Autograde
    from nbgrader.converters.generate_assignment import GenerateAssignment
    from nbgrader.preprocessors import ClearSolutions, Execute

    from tools.workshop.needed import ExecuteNeeded

    release = GenerateAssignment.preprocessors.default()
    marking = Autograde.autograde_preprocessors.default()
    c.CourseDirectory.course_id = "attention-by-experiment"
    c.GenerateAssignment.preprocessors = [p for p in release if p is not ClearSolutions]
    c.Autograde.autograde_preprocessors = [
        ExecuteNeeded if p is Execute else p for p in marking]
    c.ExecuteNeeded.timeout = SECONDS
    c.LimitOutput.max_lines = 500
    return c


def write_course(folder: Path, chosen: Iterable[Lesson]) -> None:
    """Write a course folder for nbgrader: its settings, and each lesson as an assignment."""
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG.format(name=NAME, root=str(ROOT))
    (folder / "nbgrader_config.py").write_text(config, "utf-8")
    for one in chosen:
        place = folder / "source" / assignment(one) / one.path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(students_edition(one, graded=True), place)


def assignment(one: Lesson) -> str:
    """Return the name of a lesson's assignment."""
    return f"lesson-{one.number}"


# ---- the trial ----


def wrong_answer(one: Lesson, exercise: Any, turn: int) -> str:
    """Return code that defines a wrong answer, the first or the second half of its table's."""
    lines = ["from tools.workshop.mistakes import wrong", ""]
    for number, (_, answer) in zip(exercise.numbers, exercise.calls, strict=True):
        place = turn * (len(table(number).wrong) // 2)
        lines.append(f'{answer} = wrong("{number}", {place})')
    return "\n".join(lines)


def learners(one: Lesson) -> dict[str, dict[str, str]]:
    """Return what each made-up learner writes in the place of each stub."""
    return {
        "solutions": {e.id: right_answer(e) for e in one.exercises},
        "blanks": {},
        "wrong-1": {e.id: wrong_answer(one, e, 0) for e in one.exercises},
        "wrong-2": {e.id: wrong_answer(one, e, 1) for e in one.exercises},
    }


def trial(
    one: Lesson, folder: Path, given: dict[str, dict[str, str]] | None = None
) -> dict[str, Marks]:
    """Release a lesson, hand in four notebooks, mark them; return the marks of each learner.

    given: what each learner answers, where it is not what `learners` says.
    Raises RuntimeError with nbgrader's own words where it fails.
    """
    from nbgrader.api import Gradebook
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    write_course(folder, [one])
    programs = str(Path(sys.executable).parent)    # nbgrader asks the shell for alembic
    if programs not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([programs, os.environ["PATH"]])
    if codecs.lookup(locale.getencoding()).name == "ascii":    # in it alembic reads no 日本
        os.environ["LC_ALL"] = locale.setlocale(locale.LC_ALL, "C.UTF-8")
    config = settings(Config())
    config.CourseDirectory.root = str(folder)
    api, name = NbGraderAPI(config=config), assignment(one)
    demand(api.generate_assignment(name), f"nbgrader cannot release {name}")
    released = nbformat.read(folder / "release" / name / one.path.name, 4)
    marks = {}
    for learner, answers in (given or learners(one)).items():
        place = folder / "submitted" / learner / name / one.path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(filled(one, released, answers), place)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")    # nbgrader's own, of its data base and its kernel
            demand(api.autograde(name, learner), f"nbgrader cannot mark {name} of {learner}")
        with Gradebook(api.coursedir.db_url, api.coursedir.course_id) as book:
            handed_in = book.find_submission_notebook(one.path.stem, name, learner)
            marks[learner] = {g.name.removesuffix("-points"): (g.score, g.max_score)
                              for g in handed_in.grades}
    return marks


def demand(result: dict[str, Any], what: str) -> None:
    """Raise RuntimeError unless nbgrader says that it succeeded."""
    if not result["success"]:
        raise RuntimeError("\n".join([what, *filter(None, map(result.get, ("log", "error")))]))


def faults(one: Lesson, marks: dict[str, Marks]) -> list[str]:
    """Say which marks are not as they must be: all for solutions, none for the others."""
    problems = []
    for learner, own in marks.items():
        if set(own) != {e.id for e in one.exercises}:
            problems.append(f"{one.number}, {learner}: marked are {sorted(own)}")
        for name, (points, most) in own.items():
            if points != (most if learner == "solutions" else 0) or most <= 0:
                problems.append(f"{one.number}, {learner}: {points:g} of {most:g} for {name}")
    return problems


def course_in(folder: Path) -> None:
    """Put the course into a folder, by links, so that the first cell of a notebook finds it."""
    for name in ("data", "notebooks", "tests", "tools", "utils"):
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)


def main(numbers: list[str]) -> int:
    """Try the marking of some lessons, or of all; return how many marks are not right."""
    if find_spec("nbgrader") is None:
        print(MISSING, file=sys.stderr)
        return 2
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    problems: list[str] = []
    print("lesson  exercises  solutions     blanks        wrong-1       wrong-2")
    for one in [lesson(n) for n in numbers] or all_lessons():
        with TemporaryDirectory() as place:
            course_in(Path(place))
            marks = trial(one, Path(place) / "grading")
        sums = (tuple(map(sum, zip(*own.values(), strict=True))) for own in marks.values())
        row = "".join(f"{f'{points:g} of {most:g}':14}" for points, most in sums)
        print(f"{one.number}      {len(one.exercises):9}  {row}", flush=True)
        problems += faults(one, marks)
    print("\n".join(problems) or "all marks are as they must be")
    return len(problems)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

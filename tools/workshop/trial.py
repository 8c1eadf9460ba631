"""Try every edition as the people will: `make workshop-check`.

For each lesson: the students' edition is run from top to bottom with all stubs untouched, Chromium
measures the slides and prints the handout, and nbgrader marks solutions, blanks and wrong answers.
What a machine lacks is left out, and the line says so.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from tools.notebooks import accept_any_letter, execute, text_of
from tools.workshop import browser, grading
from tools.workshop.handout import SHEETS, write_handout
from tools.workshop.lesson import Lesson, all_lessons, lesson
from tools.workshop.slides import overflowing, slides
from tools.workshop.students import students_edition


def untouched(one: Lesson, folder: Path) -> list[str]:
    """Run a students' edition with untouched stubs; say what went wrong.

    folder: an empty one; the course is put into it by links, as a clone would lie there
    Raises nbclient's CellExecutionError where a cell fails.
    """
    grading.course_in(folder)
    place = folder / "students"
    place.mkdir()
    notebook = students_edition(one)
    execute(notebook, place)
    nbformat.write(notebook, place / one.path.name)
    stubs = {exercise.cell.id: exercise for exercise in one.exercises}
    problems = []
    for cell in (c for c in notebook.cells if c.get("id") in stubs):
        said = "\n".join(text_of(output) for output in cell.outputs)
        if said.count("not attempted yet") != len(stubs[cell.id].calls):
            problems.append(f"{one.number}, exercise {stubs[cell.id].title}: it says {said!r}")
    return problems


def report(one: Lesson) -> tuple[str, list[str]]:
    """Try one lesson; return a line about it and what is wrong."""
    problems: list[str] = []
    with TemporaryDirectory() as place:
        folder, start = Path(place), time.perf_counter()
        (folder / "run").mkdir()
        problems += untouched(one, folder / "run")
        line = f"{one.number}  runs untouched in {time.perf_counter() - start:4.0f} s"
        if browser.chromium() is None:
            line += "; slides and handout not measured, no Chromium"
        else:
            page = folder / "slides.html"
            page.write_text(slides(one), "utf-8")
            problems += [f"{one.number}, {what}" for what in overflowing(page)]
            _, sheets = write_handout(one, folder, "handout")
            if not 2 <= sheets <= SHEETS:
                problems.append(f"{one.number}: the handout has {sheets} sheets")
            count = page.read_text("utf-8").count("<section ")
            line += f"; {count} slides, handout of {sheets} sheets"
        if find_spec("nbgrader") is None:
            return f"{line}; not marked, no nbgrader", problems
        (folder / "graded").mkdir()
        grading.course_in(folder / "graded")
        marks = grading.trial(one, folder / "graded/grading")
        problems += grading.faults(one, marks)
        sums = {who: [sum(column) for column in zip(*own.values(), strict=True)]
                for who, own in marks.items()}
        line += "; " + ", ".join(f"{who} {p:g} of {most:g}" for who, (p, most) in sums.items())
    return line, problems


def main(numbers: list[str]) -> int:
    """Try some lessons, or all; return 1 if something is wrong."""
    accept_any_letter()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    problems: list[str] = []
    for one in [lesson(number) for number in numbers] or all_lessons():
        line, own = report(one)
        problems += own
        print(line, flush=True)
    print("\n".join(problems) or "all as it must be")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

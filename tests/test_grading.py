"""nbgrader marks the students' edition: all points for solutions, none for blanks or mistakes."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest

from tools.workshop import grading
from tools.workshop.lesson import all_lessons, lesson
from tools.workshop.students import students_edition

needs_nbgrader = pytest.mark.skipif(find_spec("nbgrader") is None, reason=grading.MISSING)


@pytest.mark.parametrize("one", all_lessons(), ids=lambda one: one.number)
def test_each_exercise_has_its_points(one: grading.Lesson) -> None:
    notebook = students_edition(one, graded=True)
    nbformat.validate(notebook)
    metadata = [c.metadata.nbgrader for c in notebook.cells if "nbgrader" in c.metadata]
    points = [m.points for m in metadata if m.grade]
    assert points == [exercise.minutes for exercise in one.exercises] and min(points) > 0
    names = [m.grade_id for m in metadata]
    assert len(set(names)) == len(names) == 2 * len(one.exercises)


@pytest.mark.parametrize("one", all_lessons(), ids=lambda one: one.number)
def test_there_are_five_wrong_answers_to_each_lesson(one: grading.Lesson) -> None:
    learners = grading.learners(one)
    wrong = {code for who, own in learners.items() if who != "blanks" for code in own.values()
             if "import wrong" in code}
    assert len(wrong) >= 5
    assert set(learners["solutions"]) == {exercise.id for exercise in one.exercises}


def test_a_mark_that_is_not_right_is_found() -> None:
    one = lesson("07")
    names = [exercise.id for exercise in one.exercises]
    full = {name: (5.0, 5.0) for name in names}
    none = {name: (0.0, 5.0) for name in names}
    assert grading.faults(one, {"solutions": full, "blanks": none}) == []
    assert len(grading.faults(one, {"solutions": none, "blanks": full})) == 2 * len(names)
    assert grading.faults(one, {"blanks": {}})


@needs_nbgrader
@pytest.mark.parametrize("number", ["00", "03"])
def test_nbgrader_gives_the_points(
    number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PATH", os.environ["PATH"])
    one = lesson(number)
    grading.course_in(tmp_path)
    answers = grading.learners(one)
    mistakes = dict(list(answers["wrong-1"].items())[::2])    # the others stay blank
    marks = grading.trial(one, tmp_path / "grading", {
        "solutions": answers["solutions"], "blanks and mistakes": mistakes})
    assert len(mistakes) == 3 and grading.faults(one, marks) == []
    assert sum(points for points, _ in marks["solutions"].values()) > 20


@needs_nbgrader
def test_only_the_cells_that_a_mark_needs_are_run() -> None:
    from tools.workshop.needed import needed

    cells = students_edition(lesson("07"), graded=True).cells
    places = needed(cells)
    assert all(place in places for place, c in enumerate(cells)
               if c.metadata.get("nbgrader", {}).get("grade"))
    assert not any("def fit(" in cells[place].source for place in places)
    assert len(places) < 20

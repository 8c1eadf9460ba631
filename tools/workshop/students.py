"""The students' edition of a lesson: no solution and no output, all else as it is.

A solution that utils keeps becomes an import of it, folded, because the cells below use it; one
that nobody keeps and a later cell uses is fetched from the lesson when it runs; any other goes.
With graded=True each exercise carries nbgrader's metadata, and a cell that gives its points.
"""

from __future__ import annotations

import ast
import builtins
import copy
import re
import symtable
import textwrap
from typing import Any

import nbformat

from tools.notebooks import Cell, names_used
from tools.workshop.lesson import BADGE, Exercise, Lesson, defined_in

NOTE = (
    "*Students' edition.* The solutions are left out; hints and checks are here. An exercise that "
    "you leave alone does no harm: the cells below it use the course's own part.\n\n"
)
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}
COLUMNS = 80
KEPT = "# The cells below use the course's own {}."


def students_edition(lesson: Lesson, graded: bool = False) -> Any:
    """Return the students' edition of a lesson as a notebook."""
    notebook = nbformat.read(lesson.path, 4)
    later = used_later(lesson)
    exercises = {exercise.cell.id: exercise for exercise in lesson.exercises}
    cells = []
    for cell, raw in zip(lesson.cells, notebook.cells, strict=True):
        raw = copy.deepcopy(raw)
        if cell.kind == "markdown":
            raw.source = BADGE.sub(lambda _: NOTE, raw.source, count=1)
        elif cell in lesson.solved:
            raw.source = stand_in(lesson, cell, later.get(cell.id, []))
            raw.metadata = nbformat.from_dict({**FOLDED, "tags": ["kept-part"]})
        elif "show_source" in cell.source:
            raw.source = after_success(lesson, cell)
        if cell.kind == "code":
            raw.outputs, raw.execution_count = [], None
            tags = [tag for tag in raw.metadata.get("tags", []) if tag.startswith("corpus-")
                    or tag in ("exercise", "kept-part", "raises-exception")]
            raw.metadata = nbformat.from_dict(
                {k: v for k, v in raw.metadata.items() if k in FOLDED}
                | ({"tags": tags} if tags else {}))
        if not raw.source:
            continue
        cells.append(raw)
        if graded and cell.id in exercises:
            raw.metadata["nbgrader"] = nbgrader(exercises[cell.id].id, solution=True)
            cells.append(graded_cell(exercises[cell.id]))
    notebook.cells = cells
    return notebook


def used_later(lesson: Lesson) -> dict[str, list[str]]:
    """Return, for each solution cell, the names that later cells take from it, by its id."""
    found: dict[str, list[str]] = {}
    used = [(c, names_used(ast.unparse(c.tree()))[0]) for c in lesson.code
            if c not in lesson.solved]
    for cell in lesson.solved:
        wanted = set().union(*(names for c, names in used if c.number > cell.number))
        found[cell.id] = [name for name in defined_in(cell) if name in wanted]
    return found


def stand_in(lesson: Lesson, cell: Cell, wanted: list[str]) -> str:
    """Return what stands in the place of a solution; "" where nothing needs to.

    wanted: the names that later cells take from it.
    """
    names = ", ".join(f"`{name}`" for name in (defined_in(cell) if cell.module else wanted))
    if cell.module:
        comment = KEPT.format(names)
        line = f"from utils.{cell.module} import {', '.join(defined_in(cell))}"
        if len(line) > COLUMNS:
            line = line.replace("import ", "import (\n    ").replace(", ", ",\n    ") + ",\n)"
        return "\n".join([*textwrap.wrap(comment, COLUMNS, subsequent_indent="# "), line])
    if not wanted:
        return ""
    lines = [f'exec(solution("{lesson.number}", "{name}"))' for name in wanted]
    return "\n".join([KEPT.format(names), "from utils.workshop import solution", "", *lines])


def after_success(lesson: Lesson, cell: Cell) -> str:
    """Return a cell that prints a part, made to wait where that part answers an exercise here.

    It prints the part only when the exercises that it answers are right.
    """
    shown = {
        node.id
        for call in ast.walk(cell.tree())
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "show_source"
        for argument in call.args for node in ast.walk(argument) if isinstance(node, ast.Name)
    }
    answered = [
        exercise for exercise in lesson.exercises
        if not exercise.again and exercise.cell.number < cell.number
        and any(shown & set(defined_in(c)) for c in exercise.solutions)
    ]
    if not answered:
        return cell.source
    titles = " and ".join(exercise.title for exercise in answered)
    asked = [f"{check}({answer})" for e in answered for check, answer in e.calls]
    condition = ",\n               ".join(asked)
    return (
        f"# Shown when {titles} {'is' if len(answered) == 1 else 'are'} right.\n"
        f"if all(verdict.passed for verdict in (\n               {condition},\n)):\n"
        + textwrap.indent(cell.source, "    ")
    )


# ---- nbgrader ----


def nbgrader(grade_id: str, **more: Any) -> dict[str, Any]:
    """Return nbgrader's metadata of a cell."""
    plain = {"grade": False, "solution": False, "locked": False, "task": False}
    return {"schema_version": 3, "grade_id": grade_id, **plain, **more}


def graded_cell(exercise: Exercise) -> Any:
    """Return the cell that gives an exercise its points, as many as it has minutes.

    What stands between the two marks is taken out when nbgrader releases the notebook, and put
    back when it grades: so *Run All* with untouched stubs still reaches the end.
    """
    lines = [f'require("{check}", {answer})' for check, answer in exercise.calls]
    source = "\n".join([
        f"# {exercise.minutes} points where the check of exercise {exercise.title} says ✓",
        "### BEGIN HIDDEN TESTS", "from utils.workshop import require", "", *lines,
        "### END HIDDEN TESTS",
    ])
    cell = nbformat.v4.new_code_cell(source, id=f"{exercise.id}-points")
    cell.metadata["nbgrader"] = nbgrader(
        f"{exercise.id}-points", grade=True, locked=True, points=exercise.minutes)
    return cell


# ---- filled in, as a learner would ----


def filled(lesson: Lesson, notebook: Any, answers: dict[str, str]) -> Any:
    """Return a students' edition with the stubs of some exercises replaced.

    answers: from the id of an exercise to the code that defines its answer; the check of the stub
    is called after it.
    """
    notebook = copy.deepcopy(notebook)
    by_cell = {e.cell.id: e for e in lesson.exercises if e.id in answers}
    for raw in notebook.cells:
        if exercise := by_cell.get(raw.get("id", "")):
            check, answer = exercise.calls[-1]
            raw.source = f"{answers[exercise.id].rstrip()}\n\n\n{check}({answer})"
    return notebook


def right_answer(exercise: Exercise) -> str:
    """Return the course's solution of an exercise as the code of a learner."""
    kept = [without_checks(cell) for cell in exercise.solutions]
    names = [
        f"{mine} = {theirs}"
        for (_, mine), (_, theirs) in zip(exercise.calls, exercise.answers, strict=True)
        if mine != theirs
    ]
    setting = [
        ast.unparse(node) for node in exercise.cell.tree().body if isinstance(node, ast.Assign)
    ]
    return "\n\n\n".join(filter(None, ["\n".join(setting), *kept, "\n".join(names)]))


def without_checks(cell: Cell) -> str:
    """Return the definitions of a solution, without its checks and what it prints."""
    lines = cell.source.splitlines()
    parts = []
    for node in cell.tree().body:
        if not isinstance(node, ast.Expr):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            parts.append("\n".join(lines[first - 1 : node.end_lineno]))
    return "\n\n\n".join(parts)


def left_overs(lesson: Lesson, notebook: Any) -> list[str]:
    """Say what a students' edition still holds of the solutions, or of outputs."""
    text = "\n".join(cell.source for cell in notebook.cells)
    problems = []
    for cell in lesson.solved:
        for node in cell.tree().body:
            if hasattr(node, "name") and ast.get_source_segment(cell.source, node) in text:
                problems.append(f"{cell.where}: the solution {node.name} is still there")
    for cell in notebook.cells:
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count):
            problems.append(f"{lesson.path.name}: cell {cell.id} has outputs")
    return problems


def unknown_names(notebook: Any) -> list[str]:
    """Say which names a cell uses that nothing has defined by then and Python does not know.

    What a function uses may be defined below it.
    """
    cells = [c for c in notebook.cells if c.cell_type == "code"
             and "raises-exception" not in c.metadata.get("tags", [])]
    sources = [re.sub(r"(?m)^([ \t]*)[%!].*$", r"\1pass", cell.source) for cell in cells]
    defined = [
        names_used(source)[1] | set(re.findall(r'solution\("\d\d", "(\w+)"\)', source))
        for source in sources
    ]
    known = {*dir(builtins), "get_ipython", "display"}
    anywhere, problems = known.union(*defined), []
    for cell, source, own in zip(cells, sources, defined, strict=True):
        known |= own
        top = symtable.symtable(source, "cell", "exec").get_symbols()
        now = {s.get_name() for s in top if s.is_referenced()} - known
        later = names_used(source)[0] - anywhere
        problems += [f"cell {cell.id} uses {name}" for name in sorted(now | later)]
    return problems

"""What a lesson is made of, as every edition sees it: sections, exercises and their solutions."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.notebooks import ROOT, Cell, lessons, read

HEADING = re.compile(r"(?m)^## +(.+?) *$")
MINUTES = re.compile(r"\*\*Exercise (\d+\.\d+)[^*]*\*\* \((\d+) minutes?\)")
FROM_MEMORY = 2    # minutes of an exercise whose text states none: it is written once more
BADGE = re.compile(r"(?m)^\[!\[Open in Colab\].*\n\n?")


@dataclass(frozen=True)
class Piece:
    """A cell, or the part of a markdown cell that belongs to one section."""

    section: str    # its heading; "" before the first one
    cell: Cell
    text: str


@dataclass(frozen=True)
class Exercise:
    """A stub with what judges it, and the cells that hold its solution."""

    cell: Cell
    calls: tuple[tuple[str, str], ...]    # (name of the check, name of the answer)
    solutions: tuple[Cell, ...]
    answers: tuple[tuple[str, str], ...]    # (name of the check, the answer in the solutions)
    again: bool    # its checks judged an earlier exercise of the lesson too
    stated: int | None    # minutes, where the lesson states them

    @functools.cached_property
    def numbers(self) -> tuple[str, ...]:
        """The numbers that its checks print: ("7.1",), or ("0.4a", "0.4b")."""
        from utils import checks

        return tuple(getattr(checks, check).exercise for check, _ in self.calls)

    @property
    def number(self) -> str:
        """Return its number without the letter of a part: 0.4."""
        return self.numbers[0].rstrip("abc")

    @property
    def id(self) -> str:
        """Return a name for it that no other exercise of the lesson has."""
        return f"exercise-{self.number.replace('.', '-')}" + ("-memory" if self.again else "")

    @property
    def title(self) -> str:
        """Return how a page names it."""
        names = " and ".join(dict.fromkeys(n.rstrip("abc") for n in self.numbers))
        return f"{names}, from memory" if self.again else names

    @property
    def minutes(self) -> int:
        """Return the minutes that the lesson states, FROM_MEMORY where it states none."""
        return self.stated if self.stated is not None else FROM_MEMORY


def checks_in(cell: Cell) -> tuple[tuple[str, str], ...]:
    """Return (check, source of its argument) of each check that a code cell calls, in order."""
    found = [
        node for node in ast.walk(cell.tree())
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        and node.func.id.startswith("check_") and node.args
    ]
    found.sort(key=lambda node: node.lineno)
    return tuple((node.func.id, ast.unparse(node.args[0])) for node in found)


def defined_in(cell: Cell) -> list[str]:
    """Return the names that a code cell defines at its top level, in order."""
    names: list[str] = []
    for node in cell.tree().body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names += [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return names


@dataclass(frozen=True)
class Lesson:
    """A lesson notebook, read."""

    path: Path
    cells: tuple[Cell, ...]

    @property
    def number(self) -> str:
        """Return its two digits."""
        return self.path.name[:2]

    @property
    def title(self) -> str:
        """Return its title, without the number."""
        return self.cells[0].source.splitlines()[0].removeprefix(f"# {self.number}").strip()

    @property
    def minutes(self) -> int:
        """Return the minutes that the README's table states for it."""
        readme = (ROOT / "README.md").read_text("utf-8")
        row = re.search(rf"(?m)^\| {self.number} \| \[.*?\]\(.*?\) \| (\d+) \|", readme)
        if row is None:
            raise LookupError(f"the README's table states no minutes for lesson {self.number}")
        return int(row[1])

    @property
    def code(self) -> list[Cell]:
        """Return its code cells."""
        return [cell for cell in self.cells if cell.kind == "code"]

    @functools.cached_property
    def pieces(self) -> list[Piece]:
        """Return the cells in order, a markdown cell cut where a section begins."""
        return list(cut(self.cells))

    @functools.cached_property
    def sections(self) -> list[str]:
        """Return the headings of its sections, in order."""
        return list(dict.fromkeys(piece.section for piece in self.pieces if piece.section))

    @functools.cached_property
    def exercises(self) -> list[Exercise]:
        """Return its exercises, in order."""
        return list(exercises_of(self.cells))

    @functools.cached_property
    def solved(self) -> list[Cell]:
        """Return the cells that hold solutions, in order."""
        return [cell for exercise in self.exercises for cell in exercise.solutions]

    def section_of(self, exercise: Exercise) -> str:
        """Return the heading under which an exercise stands."""
        return next(p.section for p in self.pieces if p.cell is exercise.cell)


def cut(cells: tuple[Cell, ...]) -> Iterator[Piece]:
    """Yield the pieces of a lesson."""
    section = ""
    for cell in cells:
        if cell.kind != "markdown":
            yield Piece(section, cell, cell.source)
            continue
        starts = [match.start() for match in HEADING.finditer(cell.source)]
        for start, end in zip([0, *starts], [*starts, None]):
            text = cell.source[start:end].strip()
            if start in starts and (heading := HEADING.match(text)):
                section = heading[1]
            if text:
                yield Piece(section, cell, text)


def exercises_of(cells: tuple[Cell, ...]) -> Iterator[Exercise]:
    """Yield the exercises among the cells of a lesson.

    A built-here cell between two solution cells of an exercise belongs to its solution.
    """
    marked = [c for c in cells if {"exercise", "solution"} & set(c.tags) and c.kind == "code"]
    seen: set[str] = set()
    for place, cell in enumerate(marked):
        if "exercise" not in cell.tags:
            continue
        rest = marked[place + 1 :]
        end = next((i for i, c in enumerate(rest) if "exercise" in c.tags), len(rest))
        calls = checks_in(cell)
        last = rest[:end][-1].number if rest[:end] else cell.number
        solved = tuple(c for c in cells if cell.number < c.number <= last
                       and ("solution" in c.tags or c.module))
        before = [c for c in cells if c.number < cell.number and c.kind == "markdown"][-1]
        stated = MINUTES.findall(before.source)
        yield Exercise(
            cell, calls, solved, tuple(c for s in solved for c in checks_in(s)),
            again=all(check in seen for check, _ in calls),
            stated=int(stated[-1][1]) if stated else None,
        )
        seen |= {check for check, _ in calls}


def load(path: Path) -> Lesson:
    """Read a lesson."""
    return Lesson(path, tuple(read(path)))


@functools.cache
def all_lessons() -> tuple[Lesson, ...]:
    """Return all lessons, in order."""
    return tuple(load(path) for path in lessons())


def lesson(number: str) -> Lesson:
    """Return the lesson of this number; LookupError where there is none."""
    for one in all_lessons():
        if one.number == number:
            return one
    raise LookupError(f"there is no lesson {number}")

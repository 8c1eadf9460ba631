"""Write notebooks/README.md: the lessons, each claim's cell, and what the technical words mean."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from tools.notebooks import EVIDENCE, FOLDER, ROOT, Cell, evidence, lessons, name_of, read

LEDGER = ROOT / "tests/claims.tsv"
GLOSSARY = ROOT / "tools/glossary.tsv"
COLUMNS = ["id", "statement", "seeds", "notebooks"]
WORDS = ["term", "meaning", "lesson"]
CONTEXT = "context"    # background: such a row needs no cell

HEAD = """\
# The lessons, their evidence, and where each claim is measured

This page is written by `make outputs` from the notebooks, `tests/claims.tsv` and
`tools/glossary.tsv`; edit those instead.

## The lessons

A lesson tells one story. Its evidence holds everything else that was measured about the same
subject; you do not need it to go on.

| lesson | evidence |
|---|---|
"""

CLAIMS = """
## From each claim to the cell that measures it

The column "documents" says whether the documents that this course answers had the claim right;
"context" is background that needs no measurement. In JupyterLab a link opens the notebook at the
cell.

| claim | statement | documents | measured in |
|---|---|---|---|
"""

TERMS = """
## The technical words

| word | meaning | first in lesson |
|---|---|---|
"""


@dataclass(frozen=True)
class Term:
    """A technical word, what it means, and the number of the lesson that introduces it."""

    word: str
    meaning: str
    lesson: str


@dataclass(frozen=True)
class Row:
    """One claim of the ledger and the lessons that settle it."""

    id: str
    statement: str
    seeds: str
    lessons: tuple[str, ...]


def read_ledger(path: Path) -> list[Row]:
    """Return the rows of the ledger, a table with tabs between its columns.

    Raises ValueError when a column is missing, in the head or in a row.
    """
    rows = read_table(path, COLUMNS)
    return [Row(i, text, seeds, tuple(re.findall(r"\d\d", nbs))) for i, text, seeds, nbs in rows]


def read_glossary(path: Path) -> list[Term]:
    """Return the technical words in alphabetical order. Raises ValueError as read_ledger does."""
    terms = [Term(*row) for row in read_table(path, WORDS)]
    return sorted(terms, key=lambda term: (term.word.casefold(), term.lesson))


def read_table(path: Path, columns: list[str]) -> list[list[str]]:
    """Return the rows of a table with tabs between its columns, without its head.

    Raises ValueError when a column is missing, in the head or in a row.
    """
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    if head != columns:
        raise ValueError(f"{path.name} must have the columns {', '.join(columns)}.")
    if short := [row for row in rows if len(row) != len(columns)]:
        raise ValueError(f"A row of {path.name} needs {len(columns)} columns: {short[0]}")
    return rows


def tagged_cells(cells: list[Cell], claim: str) -> list[Cell]:
    """Return the cells with the tag of this claim."""
    return [cell for cell in cells if f"claim-{claim}" in cell.tags]


def heading_above(cell: Cell, cells: list[Cell]) -> str:
    """Return the last heading before a cell, or the name of its notebook."""
    before = [c for c in cells if c.notebook == cell.notebook and c.number < cell.number]
    texts = "\n".join(c.source for c in before if c.kind == "markdown")
    headings = re.findall(r"(?m)^#+ +(.+)$", texts)
    return headings[-1] if headings else cell.notebook.stem


def link(cell: Cell, cells: list[Cell]) -> str:
    """Return a link to a cell: the lesson's number and the heading that the cell stands under."""
    title = heading_above(cell, cells).replace("|", r"\|")
    where = f" {EVIDENCE}" if cell.notebook.parent.name == EVIDENCE else ""
    return f"[{cell.lesson}{where}: {title}]({name_of(cell.notebook)}#cell-id={cell.id})"


def lesson_row(first: Cell, cells: list[Cell]) -> str:
    """Return the line of one lesson: its title, and a link to its evidence where there is some."""
    title = first.source.splitlines()[0].lstrip("# ").replace("|", r"\|")
    beside = {name_of(c.notebook) for c in cells if c.lesson == first.lesson} - {
        name_of(first.notebook)
    }
    links = ", ".join(f"[evidence]({name})" for name in sorted(beside))
    return f"| [{title}]({name_of(first.notebook)}) | {links} |\n"


def index(rows: list[Row], cells: list[Cell], terms: list[Term]) -> str:
    """Return the text of the page."""
    firsts = [c for c in cells if c.number == 1 and c.notebook.parent.name != EVIDENCE]
    text = HEAD + "".join(lesson_row(first, cells) for first in firsts) + CLAIMS
    for row in rows:
        places = [link(cell, cells) for cell in tagged_cells(cells, row.id)]
        planned = "" if row.seeds == CONTEXT else f"not yet (lesson {', '.join(row.lessons)})"
        statement = row.statement.replace("|", r"\|")
        text += f"| {row.id} | {statement} | {row.seeds} | {'; '.join(places) or planned} |\n"
    if terms:
        text += TERMS + "".join(f"| {t.word} | {t.meaning} | {t.lesson} |\n" for t in terms)
    return text


def write_index(
    folder: Path = FOLDER, ledger: Path = LEDGER, glossary: Path = GLOSSARY
) -> Path:
    """Write the page of the notebooks of a folder into its README.md and return that path."""
    cells = [cell for path in [*lessons(folder), *evidence(folder)] for cell in read(path)]
    path = folder / "README.md"
    text = index(read_ledger(ledger), cells, read_glossary(glossary))
    path.write_text(text, encoding="utf-8")
    return path


if __name__ == "__main__":
    write_index()

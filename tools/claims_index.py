"""Write notebooks/README.md, the index from each claim to the cell that measures it."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from tools.notebooks import FOLDER, ROOT, Cell, lessons, read

LEDGER = ROOT / "tests/claims.tsv"
COLUMNS = ["id", "statement", "seeds", "notebooks"]

HEAD = """\
# From each claim to the cell that measures it

This page is written by `make outputs` from the tags of the cells; edit `tests/claims.tsv` instead.
The column "documents" says whether the documents that this course answers had the claim right.
In JupyterLab a link opens the lesson at the cell.

| claim | statement | documents | measured in |
|---|---|---|---|
"""


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
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    if head != COLUMNS:
        raise ValueError(f"{path.name} must have the columns {', '.join(COLUMNS)}.")
    if short := [row for row in rows if len(row) != len(COLUMNS)]:
        raise ValueError(f"A row of {path.name} needs {len(COLUMNS)} columns: {short[0]}")
    return [Row(i, text, seeds, tuple(re.findall(r"\d\d", nbs))) for i, text, seeds, nbs in rows]


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
    return f"[{cell.notebook.name[:2]}: {title}]({cell.notebook.name}#cell-id={cell.id})"


def index(rows: list[Row], cells: list[Cell]) -> str:
    """Return the text of the index."""
    lines = []
    for row in rows:
        places = [link(cell, cells) for cell in tagged_cells(cells, row.id)]
        planned = f"not yet (lesson {', '.join(row.lessons)})"
        statement = row.statement.replace("|", r"\|")
        lines.append(f"| {row.id} | {statement} | {row.seeds} | {'; '.join(places) or planned} |\n")
    return HEAD + "".join(lines)


def write_index(folder: Path = FOLDER, ledger: Path = LEDGER) -> Path:
    """Write the index of the notebooks of a folder into its README.md and return that path."""
    cells = [cell for path in lessons(folder) for cell in read(path)]
    path = folder / "README.md"
    path.write_text(index(read_ledger(ledger), cells), encoding="utf-8")
    return path


if __name__ == "__main__":
    write_index()

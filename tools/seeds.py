"""Run the lessons with other seeds and list the claims that no longer hold.

Nothing is written: the seed is changed in memory, in each `manual_seed(0)` and in each line
`SEED = 0`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError

from tools.notebooks import FOLDER, accept_any_letter, evidence, execute, lessons, name_of, text_of

SEEDS = (1, 2)
SEED = re.compile(r"(?m)(manual_seed\(|^SEED = )0\b")


def with_seed(source: str, seed: int) -> str:
    """Return the source of a cell with another seed."""
    return SEED.sub(rf"\g<1>{seed}", source)


def marked_lines(notebook: Any, mark: str) -> list[str]:
    """Return the output lines of a notebook that begin with a mark, ✓ or ✗."""
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    lines = [line.strip() for o in outputs for line in text_of(o).splitlines()]
    return [line for line in lines if line.startswith(mark)]


def broken_claims(path: Path, seed: int) -> list[str]:
    """Run a lesson with another seed and return the claims that break.

    A line with ✗ that the lesson shows on purpose, as committed, is no break. A cell that fails
    ends the run and is the last line returned.
    """
    notebook = nbformat.read(path, 4)
    on_purpose = marked_lines(notebook, "✗")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = with_seed(cell.source, seed)
            cell.outputs = []
    failure = []
    try:
        execute(notebook, path.parent)
    except CellExecutionError as error:
        failure = [f"a cell fails: {error.ename}: {error.evalue}"]
    broken = [line for line in marked_lines(notebook, "✗") if line not in on_purpose] + failure
    held = len(marked_lines(notebook, "✓"))
    print(f"{name_of(path)}, seed {seed}: {held} claims hold, {len(broken)} break")
    for line in broken:
        print(f"  {line}")
    return broken


def main(which: str = "") -> None:
    """Try all lessons and their evidence, or those of one number; exit with 1 at a broken claim."""
    paths = [*lessons(FOLDER, which), *evidence(FOLDER, which)]
    broken = [broken_claims(path, seed) for path in paths for seed in SEEDS]
    sys.exit(1 if any(broken) else 0)


if __name__ == "__main__":
    accept_any_letter()
    main(*sys.argv[1:])

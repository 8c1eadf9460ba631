"""Write tests/setup_cell.py into every notebook as its first code cell; nothing else changes.

Only the text of that cell is replaced in the file, so that the order of keys, the outputs and the
spaces of everything else stay as they are.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from tools.notebooks import ROOT, evidence, lessons, name_of

SETUP = ROOT / "tests/setup_cell.py"
INDENT = " "    # as nbformat writes: one blank a level


def as_json(source: str) -> str:
    """Return the lines of a cell as they stand in a notebook's file, from `"source": [` on."""
    lines = json.dumps(source.splitlines(keepends=True), ensure_ascii=False, indent=1)
    return '"source": ' + textwrap.indent(lines, 3 * INDENT).lstrip()


def with_setup(text: str, setup: str) -> str:
    """Return the text of a notebook's file with another first code cell.

    Raises ValueError where that cell is not written as nbformat writes it.
    """
    cells = json.loads(text)["cells"]
    first = next(cell for cell in cells if cell["cell_type"] == "code")
    old = as_json("".join(first["source"]))
    if text.count(old) != 1:
        raise ValueError("the first code cell is not written as nbformat writes it")
    return text.replace(old, as_json(setup))


def write_setup(path: Path, setup: str) -> bool:
    """Write the setup cell into one notebook; return whether it was another before."""
    text = path.read_bytes().decode("utf-8")
    try:
        fresh = with_setup(text, setup)
    except ValueError as error:
        raise ValueError(f"{name_of(path)}: {error}") from None
    path.write_bytes(fresh.encode("utf-8"))
    return fresh != text


def main() -> None:
    """Write the setup cell into all lessons and their evidence."""
    setup = SETUP.read_text("utf-8").strip()
    changed = [path for path in [*lessons(), *evidence()] if write_setup(path, setup)]
    print(f"{len(changed)} notebooks changed")


if __name__ == "__main__":
    main()

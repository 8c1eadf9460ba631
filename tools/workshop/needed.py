"""Run only those cells of a notebook that its graded cells need: a mark in seconds, not minutes.

nbgrader loads `ExecuteNeeded` in the place of its own Execute; the file nbgrader_config.py that
`make workshop` writes says so. With `c.ExecuteNeeded.everything = True` all cells run.
"""

from __future__ import annotations

import re
from typing import Any

from nbgrader.preprocessors import Execute
from traitlets import Bool

from tools.notebooks import names_used


def needed(cells: list[Any]) -> set[int]:
    """Return the places of the cells that the graded ones need, themselves among them.

    The first two code cells (setup and imports) always run. A cell is needed if it gives a name
    that a needed cell below it takes. A cell that is no Python takes and gives nothing.
    """
    names = {place: names_of(c.source) for place, c in enumerate(cells) if c.cell_type == "code"}
    graded = [place for place in names if cells[place].metadata.get("nbgrader", {}).get("grade")]
    found, waiting = set(list(names)[:2]), list(graded)
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            wanted = names[place][0]
            waiting += [p for p in names if p < place and names[p][1] & wanted]
    return found


def names_of(source: str) -> tuple[set[str], set[str]]:
    """Return (names taken, names given) of a cell as a learner has left it."""
    source = re.sub(r"(?m)^([ \t]*)[%!].*$", r"\1pass", source)
    try:
        used, defined = names_used(source)
    except SyntaxError:
        return set(), set()
    return used, defined | set(re.findall(r'solution\("\d\d", "(\w+)"\)', source))


class ExecuteNeeded(Execute):
    """nbgrader's Execute, which leaves out the cells that no graded cell needs."""

    everything = Bool(False, help="run all cells").tag(config=True)

    def preprocess(self, nb: Any, resources: Any, retries: Any = None) -> tuple[Any, Any]:
        """Note which cells are needed, then run them."""
        self.places = needed(nb.cells)
        return super().preprocess(nb, resources)

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Run a cell if it is needed."""
        if self.everything or index in self.places:
            return super().preprocess_cell(cell, resources, index)
        return cell, resources

"""Reading and executing the notebooks: what the tests, `make outputs` and `make seeds` share."""

from __future__ import annotations

import ast
import json
import os
import re
import symtable
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
EVIDENCE = "evidence"    # the folder beside the lessons with what else was measured

# The modules of utils in the order of their imports: each may use only the ones before it.
TAUGHT = (
    "text",
    "attention",
    "recurrent",
    "transformer",
    "variants",
    "modern",
    "training",
    "decoding",
    "metrics",
    "translation",
    "inference",
    "one_block",
)
NOT_TAUGHT = (
    "probes", "corpora", "models", "diagrams", "plots", "checks", "workshop", "translator",
    "toys",
)

BUILT_HERE = re.compile(r"# built here, kept in utils/(\w+)\.py\n")
INLINE = "module://matplotlib_inline.backend_inline"
WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Cell:
    """One cell of a notebook, with its place in the file (the first cell is number 1)."""

    notebook: Path
    number: int
    kind: str
    id: str
    source: str
    metadata: dict[str, Any]
    outputs: tuple[dict[str, Any], ...]
    count: int | None

    @property
    def where(self) -> str:
        """Name the cell for a message: `05_attention.ipynb, cell 12`."""
        return f"{name_of(self.notebook)}, cell {self.number}"

    @property
    def lesson(self) -> str:
        """Return the number of the lesson that the cell belongs to, or gives evidence for."""
        return self.notebook.name[:2]

    @property
    def is_folded(self) -> bool:
        """Tell whether JupyterLab and Colab show the cell without its code."""
        folded = self.metadata.get("jupyter", {}).get("source_hidden") is True
        return folded and self.metadata.get("cellView") == "form"

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the cell's tags."""
        return tuple(self.metadata.get("tags", ()))

    @property
    def corpora(self) -> frozenset[str]:
        """Return the real corpora that the cell needs."""
        return corpora_of(self.metadata)

    @property
    def module(self) -> str | None:
        """Return the module of utils that keeps what a built-here cell defines, or None."""
        mark = BUILT_HERE.match(self.source)
        return mark[1] if mark else None

    @property
    def text(self) -> str:
        """Return what the committed outputs say in words: printed lines and plain results."""
        return "\n".join(text_of(o) for o in self.outputs if o.get("name") != "stderr")

    @property
    def pictures(self) -> int:
        """Return how many pictures the committed outputs hold."""
        return sum("image/png" in output.get("data", {}) for output in self.outputs)

    def tree(self) -> ast.Module:
        """Return the syntax tree of a code cell, its % and ! lines turned into `pass`."""
        return ast.parse(re.sub(r"(?m)^([ \t]*)[%!].*$", r"\1pass", self.source))


def accept_any_letter() -> None:
    """Let print write what a terminal or a file cannot hold: such a letter becomes its number."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")


def name_of(notebook: Path) -> str:
    """Return the file name of a notebook, with its folder where that is the evidence."""
    is_evidence = notebook.parent.name == EVIDENCE
    return f"{EVIDENCE}/{notebook.name}" if is_evidence else notebook.name


def joined(text: str | list[str]) -> str:
    """Return a notebook's multi-line string, which the file may hold as a list of lines."""
    return text if isinstance(text, str) else "".join(text)


def read(path: Path) -> list[Cell]:
    """Return the cells of a notebook file, in order."""
    return [
        Cell(
            notebook=path,
            number=number,
            kind=cell["cell_type"],
            id=cell.get("id", ""),
            source=joined(cell["source"]),
            metadata=cell.get("metadata", {}),
            outputs=tuple(cell.get("outputs", ())),
            count=cell.get("execution_count"),
        )
        for number, cell in enumerate(json.loads(path.read_text("utf-8"))["cells"], start=1)
    ]


def lessons(folder: Path = FOLDER, which: str = "") -> list[Path]:
    """Return the notebooks of a folder in course order, or those whose name begins with `which`.

    Raises FileNotFoundError when `which` names no notebook.
    """
    found = sorted(folder.glob(f"{which or '[0-9][0-9]_'}*.ipynb"))
    if which and not found:
        raise FileNotFoundError(f"No notebook in {folder.name}/ begins with {which!r}.")
    return found


def evidence(folder: Path = FOLDER, which: str = "") -> list[Path]:
    """Return the evidence notebooks beside the lessons of a folder, in course order."""
    return sorted((folder / EVIDENCE).glob(f"{which or '[0-9][0-9]_'}*.ipynb"))


def missing_corpus(corpora: frozenset[str]) -> str | None:
    """Say in one sentence which of these corpora cannot be had here, None when all can."""
    if not corpora:
        return None
    from utils.corpora import available

    return next((reason for name in sorted(corpora) if (reason := available(name))), None)


def corpora_of(metadata: dict[str, Any]) -> frozenset[str]:
    """Return the corpora that a cell with this metadata needs: NAME of each tag `corpus-NAME`."""
    tags = metadata.get("tags", ())
    return frozenset(t.removeprefix("corpus-") for t in tags if t.startswith("corpus-"))


def text_of(output: dict[str, Any]) -> str:
    """Return the words of one output: a printed stream, or the plain text of a result."""
    return joined(output.get("text", output.get("data", {}).get("text/plain", "")))


def lost_pictures(outputs: Iterable[dict[str, Any]]) -> int:
    """Return how many outputs name a figure and hold no picture of it."""
    figures = [o for o in outputs if re.match(r"<Figure size|Figure\(", text_of(o))]
    return sum("image/png" not in output.get("data", {}) for output in figures)


def names_used(source: str) -> tuple[set[str], set[str]]:
    """Return (names that a cell takes from earlier cells, names that it defines)."""
    top = symtable.symtable(source, "cell", "exec")
    tables = [top]
    for table in tables:
        tables += table.get_children()
    defined = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    used = {
        s.get_name()
        for table in tables
        for s in table.get_symbols()
        if s.is_referenced() and (table is top or s.is_global())
    }
    return used - defined, defined


def warnings_in(outputs: Iterable[dict[str, Any]]) -> list[str]:
    """Return the lines of stderr that announce a warning."""
    texts = [text_of(output) for output in outputs if output.get("name") == "stderr"]
    return [line for text in texts for line in text.splitlines() if "Warning" in line]


def execute(
    notebook: Any, folder: Path, kernel: str = "python3", heard: Callable[[Any], None] | None = None
) -> list[str]:
    """Run the code cells of a loaded notebook in a fresh kernel, in place.

    A cell that needs a corpus which cannot be had here is not run and keeps its outputs. Neither
    MPLBACKEND nor IPython's settings of whoever runs this count: they would change the pictures.
    notebook: as nbformat.read returns it    folder: where the kernel starts
    kernel: which kernel    heard: is called with each code cell that was run
    Returns one reason for each cell that was not run.
    Raises nbclient's CellExecutionError where a cell fails that is not tagged raises-exception.
    """
    from nbconvert.preprocessors import ExecutePreprocessor

    class Runner(ExecutePreprocessor):
        """Runs each cell that it can and remembers why it left out the others."""

        def setup_kernel(self, **options: Any) -> Any:
            """Start the kernel in surroundings of its own."""
            own = {"MPLBACKEND": INLINE, "IPYTHONDIR": settings}
            return super().setup_kernel(env=os.environ | own, **options)

        def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
            """Run one cell, unless its corpus is missing."""
            reason = missing_corpus(corpora_of(cell.metadata))
            if reason is None:
                done = super().preprocess_cell(cell, resources, index)
                if heard is not None and cell.cell_type == "code":
                    heard(cell)
                return done
            left_out.append(reason)
            return cell, resources

    left_out: list[str] = []
    runner = Runner(
        timeout=900,
        kernel_name=kernel,
        record_timing=False,
        store_widget_state=False,
    )
    with TemporaryDirectory(prefix="ipython-") as settings:
        runner.preprocess(notebook, {"metadata": {"path": str(folder)}})
    return left_out

"""Write data/models: run the cells of a lesson that train the models which later lessons load.

A cell says what it leaves behind in its metadata: `"keeps": {"04_vector": "model"}` keeps the
module in the variable `model` as data/models/04_vector.safetensors. The lesson is run in memory,
up to the last such cell, and no notebook is written.

A lesson whose target language is a variable names its models for the default, `04_vector_ja`;
`make models NB=04 TARGET=fr` trains the same for French and writes 04_vector_fr.

A keeping cell with `"seeds": [1, 2]` in its metadata is run with these seeds too, as `make seeds`
does; what they train is kept as 04_vector_ja_seed1 and 04_vector_ja_seed2.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat

from tools.notebooks import FOLDER, accept_any_letter, execute, lessons
from tools.seeds import with_seed

DEFAULT = "ja"

# Added to a cell that keeps something, in the kernel of the lesson.
KEEP = """
from pathlib import Path
from utils.models import save_model
save_model({variable}, {name!r}, {card!r}, Path({folder!r}))
"""


def kept_by(cell: Any) -> dict[str, str]:
    """Return {name of the file: name of the variable} of what a cell keeps."""
    return dict(cell.metadata.get("keeps", {}))


def seeds_of(path: Path) -> list[int]:
    """Return the seeds with which a lesson keeps models, the usual 0 first."""
    cells = nbformat.read(path, 4).cells
    return [0, *sorted({seed for cell in cells for seed in cell.metadata.get("seeds", ())})]


def write_models(path: Path, folder: Path, target: str = DEFAULT, seed: int = 0) -> list[str]:
    """Run a lesson up to its last cell that keeps a model, and write those models.

    target: the language that `TARGET = "ja"` is replaced by
    seed: what `manual_seed(0)` and `SEED = 0` are replaced by; only cells that list it keep then
    Returns the names of the files, without their ending. Raises what a failing cell raises.
    """
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(f'TARGET = "{DEFAULT}"', f'TARGET = "{target}"')
        if cell.cell_type == "code":
            cell.source = with_seed(cell.source, seed)
    keepers = [
        i for i, cell in enumerate(notebook.cells)
        if kept_by(cell) and seed in (0, *cell.metadata.get("seeds", ()))
    ]
    names = []
    for i in keepers:
        cell = notebook.cells[i]
        for name, variable in kept_by(cell).items():
            name = re.sub(f"_{DEFAULT}$", f"_{target}", name) + (f"_seed{seed}" if seed else "")
            card = {"lesson": path.stem, "cell": cell.id}
            cell.source += KEEP.format(
                variable=variable, name=name, card=card, folder=str(folder)
            )
            names.append(name)
    if names:
        notebook.cells = notebook.cells[: keepers[-1] + 1]
        execute(notebook, path.parent)
    return names


def main(which: str = "", target: str = DEFAULT) -> None:
    """Write the models of all lessons, or of those whose number is `which`."""
    for path in lessons(FOLDER, which):
        for seed in seeds_of(path):
            for name in write_models(path, FOLDER.parent / "data" / "models", target, seed):
                print(f"{path.name}: data/models/{name}.safetensors", flush=True)


if __name__ == "__main__":
    accept_any_letter()
    main(*sys.argv[1:])

"""Write data/models: run the cells of a lesson that train the models which later lessons load.

A cell says what it leaves behind in its metadata: `"keeps": {"04_vector": "model"}` keeps the
module in the variable `model` as data/models/04_vector.safetensors. The lesson is run in memory,
up to the last such cell, and no notebook is written.

A lesson whose target language is a variable names its models for the default, `04_vector_ja`;
`make models NB=04 TARGET=fr` trains the same for French and writes 04_vector_fr.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat

from tools.notebooks import FOLDER, accept_any_letter, execute, lessons

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


def write_models(path: Path, folder: Path, target: str = DEFAULT) -> list[str]:
    """Run a lesson up to its last cell that keeps a model, and write those models.

    target: the language that `TARGET = "ja"` is replaced by
    Returns the names of the files, without their ending. Raises what a failing cell raises.
    """
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(f'TARGET = "{DEFAULT}"', f'TARGET = "{target}"')
    keepers = [i for i, cell in enumerate(notebook.cells) if kept_by(cell)]
    names = []
    for i in keepers:
        cell = notebook.cells[i]
        for name, variable in kept_by(cell).items():
            name = re.sub(f"_{DEFAULT}$", f"_{target}", name)
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
        for name in write_models(path, FOLDER.parent / "data" / "models", target):
            print(f"{path.name}: data/models/{name}.safetensors", flush=True)


if __name__ == "__main__":
    accept_any_letter()
    main(*sys.argv[1:])

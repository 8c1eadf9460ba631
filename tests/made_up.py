"""Tiny notebooks, on which the tests of the course's rules are themselves tested."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nbformat
import pytest

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def markdown(text: str) -> dict[str, Any]:
    """Return a markdown cell."""
    return nbformat.v4.new_markdown_cell(text)


def code(
    source: str, *outputs: dict[str, Any], tags: tuple[str, ...] = (), **metadata: Any
) -> dict[str, Any]:
    """Return a code cell with these outputs, tags and further metadata."""
    cell = nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata=metadata)
    if tags:
        cell.metadata["tags"] = list(tags)
    return cell


def printed(text: str, name: str = "stdout") -> dict[str, Any]:
    """Return the output of a print call, or a line on stderr."""
    return nbformat.v4.new_output("stream", name=name, text=text)


def shown(**data: Any) -> dict[str, Any]:
    """Return a displayed output; the mime types are written with __ for their slash."""
    kinds = {kind.replace("__", "/"): value for kind, value in data.items()}
    return nbformat.v4.new_output("display_data", data=kinds)


def picture(alt: str = "A frame.") -> dict[str, Any]:
    """Return the output of a figure with its description."""
    output = shown(image__png=PIXEL, text__plain="<Figure size 600x300 with 1 Axes>")
    output["metadata"] = {"image/png": {"alt": alt}}
    return output


def raised(name: str, message: str) -> dict[str, Any]:
    """Return the output of an exception."""
    return nbformat.v4.new_output("error", ename=name, evalue=message, traceback=[])


def commit(folder: Path) -> None:
    """Make a folder a git repository and commit all that it holds.

    A hook of git tells its children by GIT_DIR which repository they are to change: not so here.
    """
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    git = ["git", "-c", "user.name=made up", "-c", "user.email=made-up@example.org"]
    for call in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "made up"]):
        subprocess.run([*git, *call], cwd=folder, env=env | own, check=True)


def write(path: Path, *cells: dict[str, Any]) -> Path:
    """Write an executed notebook of these cells, its code cells counted 1, 2, ...

    A cell that is given twice stands there twice, the second time with an id of its own.
    Returns the path.
    """
    count, ids = 0, set()
    cells = tuple(copy.deepcopy(cell) for cell in cells)
    for place, cell in enumerate(cells):
        if cell["id"] in ids:
            cell["id"] += f"-{place}"
        ids.add(cell["id"])
        if cell["cell_type"] == "code":
            count += 1
            cell["execution_count"] = count
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
    return path

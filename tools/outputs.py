"""Run the lessons and write their outputs into the files, without what differs from run to run."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat

from tools.notebooks import (
    FOLDER,
    WIDGET,
    accept_any_letter,
    evidence,
    execute,
    lessons,
    lost_pictures,
    name_of,
    warnings_in,
)

NOISE = ("execution", "ExecuteTime", "collapsed", "scrolled")
HOUSE = "00_start_here.ipynb", "house"    # the cell whose picture the README shows
TIMING = "timing"    # tag: the output depends on the clock, and no two runs agree


def clean_outputs(outputs: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return the outputs of a cell without widgets, stderr and paths.

    Progress bars and sliders cannot be drawn without their kernel, so they are left out; where a
    widget also has a picture, the picture stays. A traceback keeps its last line. Printed text
    arrives in pieces that differ from run to run, so neighbours are joined.
    count: the number that the cell gets
    """
    kept = []
    for output in outputs:
        data = output.get("data", {})
        widget = data.pop(WIDGET, None) is not None
        if output.get("name") == "stderr" or (widget and "image/png" not in data):
            continue
        if output["output_type"] == "error":
            output["traceback"] = [f"{output['ename']}: {output['evalue']}"]
        if output["output_type"] == "execute_result":
            output["execution_count"] = count
        if kept and output["output_type"] == kept[-1]["output_type"] == "stream":
            kept[-1]["text"] += output["text"]
            continue
        kept.append(output)
    return kept


def clean(notebook: Any) -> None:
    """Leave in a notebook only what a reader sees and what is the same in the next run."""
    notebook.metadata = nbformat.from_dict({
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    })
    count = 0
    for cell in notebook.cells:
        for key in NOISE:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = clean_outputs(cell.outputs, count)


def code_of(notebook: Any) -> list[str]:
    """Return the sources of the code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def committed(path: Path) -> Any | None:
    """Return the notebook as git last committed it, None where it never did."""
    call = ["git", "show", f"HEAD:./{path.name}"]
    try:
        shown = subprocess.run(call, cwd=path.parent, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):    # no git, or a copy that it does not know
        return None
    return nbformat.reads(shown.decode("utf-8"), 4)


def keep_timings(notebook: Any, last: Any | None) -> None:
    """Keep the committed outputs of cells that measure time, while the code is as committed.

    So that a second run changes nothing: no two runs take the same time.
    """
    if last is None or code_of(last) != code_of(notebook):
        return
    for new, old in zip(notebook.cells, last.cells, strict=False):
        if TIMING in new.metadata.get("tags", ()) and new.source == old.source:
            new.outputs = old.outputs


def write_outputs(path: Path) -> list[str]:
    """Run a notebook in a fresh kernel and write it with its clean outputs.

    The file is untouched when a cell fails. Returns one reason for each cell that was not run.
    Raises RuntimeError when a cell warns or loses a picture, nbclient's CellExecutionError when one
    fails.
    """
    notebook = nbformat.read(path, 4)
    left_out = execute(notebook, path.parent)
    if lines := warnings_in(o for cell in notebook.cells for o in cell.get("outputs", ())):
        raise RuntimeError(f"{name_of(path)} warns:\n" + "\n".join(lines))
    if lost := [c.id for c in notebook.cells if lost_pictures(c.get("outputs", ()))]:
        raise RuntimeError(f"{name_of(path)}: no picture of a figure in {', '.join(lost)}")
    clean(notebook)
    keep_timings(notebook, committed(path))
    fresh = path.with_suffix(".fresh")
    nbformat.write(notebook, fresh)
    fresh.replace(path)
    return left_out


def write_picture(notebook: Path, cell_id: str, file: Path) -> None:
    """Write the picture that a cell shows into a file of its own, for the README.

    Raises ValueError where the cell shows none.
    """
    for cell in nbformat.read(notebook, 4).cells:
        for output in cell.get("outputs", ()) if cell.id == cell_id else ():
            if "image/png" in output.get("data", {}):
                file.write_bytes(base64.b64decode(output.data["image/png"]))
                return
    raise ValueError(f"{notebook.name} has no cell {cell_id!r} with a picture")


def main(which: str = "") -> None:
    """Write the outputs of all lessons and their evidence, or of those whose number is `which`."""
    for path in [*lessons(FOLDER, which), *evidence(FOLDER, which)]:
        left_out = write_outputs(path)
        print(f"{name_of(path)}: written", flush=True)
        for reason in sorted(set(left_out)):
            print(f"  {left_out.count(reason)} cells not run, their outputs kept: {reason}")
    write_picture(FOLDER / HOUSE[0], HOUSE[1], FOLDER / "course.png")


if __name__ == "__main__":
    accept_any_letter()
    main(*sys.argv[1:])

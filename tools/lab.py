"""Open a notebook in JupyterLab as the course wants it seen: `python -m tools.lab NOTEBOOK`.

The table of contents stands at the left, and nobody is asked for news or updates. The settings and
layouts that you made elsewhere are not touched: the course keeps its layout in build/lab, where
yours stays once you have moved something. Settings that you chose yourself go before those here.
What follows the notebook is passed on to JupyterLab.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tools.notebooks import ROOT

SHIPPED = ROOT / "tools/jupyterlab"
DESCRIPTIONS = ROOT / "tools/labextensions"    # figures say what they show
LAYOUTS = ROOT / "build/lab"
QUIET = (
    f"--LabApp.app_settings_dir={SHIPPED}",    # overrides.json, the defaults of the course
    f"--LabApp.extra_labextensions_path={DESCRIPTIONS}",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)


def lay_out(folder: Path) -> None:
    """Put the course's layout into a folder of JupyterLab's workspaces, unless one is there."""
    from jupyterlab_server.workspaces_handler import WORKSPACE_EXTENSION, slugify

    layout = folder / (slugify("default") + WORKSPACE_EXTENSION)
    if layout.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{layout.name}.{os.getpid()}.part"
    part.write_text((SHIPPED / "default.json").read_text("utf-8"), encoding="utf-8")
    part.replace(layout)


def prepare(environment: dict[str, str]) -> str | None:
    """Let JupyterLab keep the layout in the course, unless its reader has named a folder.

    Returns why that cannot be, None where it can.
    """
    if "JUPYTERLAB_WORKSPACES_DIR" in environment:
        return None
    try:
        lay_out(LAYOUTS)
    except OSError as error:
        return f"The table of contents stays hidden: {LAYOUTS} cannot be written ({error.strerror})"
    environment["JUPYTERLAB_WORKSPACES_DIR"] = str(LAYOUTS)
    return None


def arguments(notebook: str, more: list[str]) -> list[str]:
    """Return the arguments of JupyterLab; where one is given twice the last counts."""
    first = f"--LabApp.default_url=/lab/tree/{notebook}"
    return ["--ServerApp.root_dir=.", first, *QUIET, *more]


def main(given: list[str]) -> None:
    """Start JupyterLab in the folder of the course and stay until it ends."""
    if refused := prepare(os.environ):
        print(refused, file=sys.stderr)
    os.chdir(ROOT)
    from jupyterlab.labapp import main as start

    start(arguments(given[0], given[1:]))


if __name__ == "__main__":
    main(sys.argv[1:] or ["notebooks/00_start_here.ipynb"])

"""Open notebooks in a real JupyterLab and keep pictures of what is seen: `make browser NB=05`.

Each notebook is opened, run from top to bottom and looked at; what a person would stumble over is
printed, a line for each thing, and the exit status is 1. build/browser keeps a picture of each
figure as it stands on the page, and of each page of the notebook. `--theme dark` looks in the dark
theme; `--as-it-is` looks at the outputs that the files hold and runs nothing.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.browser import SHOWN, THEMES, Reader, browser, copy_course, lab, why_not
from tools.notebooks import FOLDER, ROOT, accept_any_letter, evidence, lessons

KEPT = ROOT / "build/browser"
SCROLLED = f"{SHOWN} .jp-WindowedPanel-outer"


def keep_figures(reader: Reader, folder: Path) -> int:
    """Keep a picture of each figure with what lies behind it; return how many there are."""
    figures = reader.page.locator(f"{SHOWN} .jp-OutputArea-output.jp-RenderedImage")
    for number in range(figures.count()):
        figures.nth(number).screenshot(path=folder / f"figure_{number + 1:02}.png")
    return figures.count()


def keep_pages(reader: Reader, folder: Path) -> None:
    """Keep a picture of each page of the notebook, from top to bottom."""
    outer, number, last = reader.page.locator(SCROLLED).first, 0, -1
    while True:
        top = outer.evaluate(
            "(o, n) => { o.scrollTop = n * (o.clientHeight - 40); return o.scrollTop; }", number
        )
        if top == last:
            return
        reader.page.wait_for_timeout(150)
        number, last = number + 1, top
        outer.screenshot(path=folder / f"page_{number:02}.png")


def look_at(
    course: Path, path: Path, chromium: Any, theme: str, run: bool, seconds: float
) -> list[str]:
    """Open a notebook, run it if wanted, keep the pictures; return what a person stumbles over."""
    name = path.relative_to(ROOT).as_posix()
    folder = KEPT / theme / name.removeprefix("notebooks/").removesuffix(".ipynb")
    begin = time.monotonic()
    with lab(course, name, theme) as address:
        reader = Reader(chromium)
        try:
            reader.go_to(address)
            if run:
                reader.run_all(seconds)
            found = reader.faults()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            reader.page.screenshot(path=folder / "screen.png")
            figures = keep_figures(reader, folder)
            keep_pages(reader, folder)
        finally:
            reader.page.context.close()
    took = time.monotonic() - begin
    print(f"{name}, {theme}: {took:.0f} s, {figures} figures, {len(found)} faults; pictures in "
          f"{folder.relative_to(ROOT)}", flush=True)
    for fault in found:
        print(f"  {fault}", flush=True)
    return found


def main(arguments: list[str]) -> int:
    """Read the command line and look at the notebooks; return 1 where a fault was seen."""
    parser = argparse.ArgumentParser(prog="python -m tools.browser", description=__doc__)
    parser.add_argument("which", nargs="?", default="", help="how the notebooks' names begin")
    parser.add_argument("--theme", choices=THEMES, default="light")
    parser.add_argument("--as-it-is", action="store_true", help="do not run the notebooks")
    parser.add_argument("--no-evidence", action="store_true", help="only the lessons")
    parser.add_argument("--seconds", type=float, default=600, help="for one notebook")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))    # and so end JupyterLab too
    if reason := why_not():
        print(f"No browser can be used: {reason}", file=sys.stderr)
        return 2
    paths = lessons(FOLDER, given.which)
    paths += [] if given.no_evidence else evidence(FOLDER, given.which)
    seen = []
    with TemporaryDirectory(prefix="course-") as place, browser() as chromium:
        course = copy_course(Path(place) / "course")
        for path in paths:
            try:
                seen += look_at(course, path, chromium, given.theme, not given.as_it_is,
                                given.seconds)
            except Exception as error:
                words = str(error).splitlines()[0]
                print(f"{path.name}: {type(error).__name__}: {words}", flush=True)
                seen.append(words)
    return int(bool(seen))


if __name__ == "__main__":
    accept_any_letter()
    sys.exit(main(sys.argv[1:]))

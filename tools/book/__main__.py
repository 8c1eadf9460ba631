"""Write the book into build/book/html, whole or not at all, and check its links.

`make book` builds all pages; NB=05 only that lesson and its evidence. No network is used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.book.links import broken, outside
from tools.book.pages import write_sources
from tools.notebooks import ROOT, accept_any_letter

BUILD = ROOT / "build/book"
PACKAGES = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_copybutton", "sphinx-mathjax-offline")


def build(target: Path, which: tuple[str, ...] = ()) -> int:
    """Build the book into a folder, which is replaced when the new one is whole.

    Returns the number of pages. Raises RuntimeError where Sphinx warns or a link is broken.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix="making-") as place:
        sources, made = Path(place) / "sources", Path(place) / "html"
        sources.mkdir()
        write_sources(sources, which)
        call = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
        call += ["-c", str(ROOT / "tools/book"), "-d", str(Path(place) / "doctrees")]
        done = subprocess.run(
            [*call, str(sources), str(made)], cwd=ROOT, capture_output=True, encoding="utf-8",
            env=os.environ | {"BOOK_SOURCES": str(sources), "PYTHONPATH": str(ROOT)}, check=False,
        )
        if done.returncode:
            said = done.stderr.replace(str(sources), "").strip()
            raise RuntimeError(f"Sphinx cannot make the book:\n{said}")
        leftovers = [made / ".buildinfo", made / "objects.inv", *made.glob("_static/*macros.html")]
        for path in leftovers:
            path.unlink(missing_ok=True)
        if lost := broken(made):
            raise RuntimeError("The book has broken links:\n" + "\n".join(lost))
        (made / ".nojekyll").touch()    # else GitHub Pages leaves out _static
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
    return len(list(target.rglob("*.html")))


def main(which: str = "") -> None:
    """Build the book, or the part of it whose lessons begin with `which`, and say where it is."""
    start = time.monotonic()
    target = BUILD / "html"
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        sys.exit(f"{', '.join(missing)} is not installed: call  make book, or install what "
                 "requirements-room.txt names.")
    try:
        count = build(target, (which[:2],) if which else ())
    except (RuntimeError, FileNotFoundError, LookupError) as error:
        sys.exit(str(error))
    (BUILD / "outside.txt").write_text("\n".join(outside(target)) + "\n", encoding="utf-8")
    seconds = time.monotonic() - start
    print(f"{count} pages in {seconds:.0f} s: open {target.relative_to(ROOT)}/index.html")
    print("No link inside is broken; those that lead outside stand in build/book/outside.txt.")


if __name__ == "__main__":
    accept_any_letter()
    main(*sys.argv[1:])

"""Chromium, for what only a browser can tell: it prints a page as PDF, and measures it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "microsoft-edge")
MISSING = (
    "no Chromium: install it (apt-get install chromium), or open the .html in any browser and "
    "print it"
)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
)
SECONDS = 120


def chromium() -> str | None:
    """Return the browser's program, None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def run(*options: str, address: str) -> str:
    """Run Chromium once on a page; return what it writes.

    Raises FileNotFoundError where there is no browser, RuntimeError where it fails.
    """
    program = chromium()
    if program is None:
        raise FileNotFoundError(MISSING)
    with TemporaryDirectory(prefix="browser-") as home:
        call = [program, *OPTIONS, f"--user-data-dir={home}", *options, address]
        done = subprocess.run(
            call, capture_output=True, encoding="utf-8", errors="replace", timeout=SECONDS,
            env=os.environ | {"HOME": home}, check=False,
        )
    if done.returncode:
        raise RuntimeError(f"Chromium failed at {address}:\n{done.stderr[-2000:]}")
    return done.stdout


def print_pdf(page: Path, pdf: Path) -> int:
    """Print a page as PDF; return how many sheets it has. The file is written whole or not."""
    fresh = pdf.with_suffix(".part")
    run(f"--print-to-pdf={fresh}", "--no-pdf-header-footer", address=page.resolve().as_uri())
    if not fresh.exists():
        raise RuntimeError(f"Chromium wrote no PDF of {page.name}")
    fresh.replace(pdf)
    return sheets(pdf)


def sheets(pdf: Path) -> int:
    """Return the number of pages of a PDF that Chromium wrote."""
    return len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))


def measured(page: Path, script: str, query: str = "") -> str:
    """Run a script in a page; return what it puts into the element with the id `measured`."""
    text = page.read_text("utf-8").replace(
        "</body>", f"<pre id=measured></pre><script>{script}</script></body>")
    with TemporaryDirectory(prefix="page-") as folder:
        copy = Path(folder) / page.name
        copy.write_text(text, "utf-8")
        dom = run("--dump-dom", "--window-size=1400,900", "--virtual-time-budget=4000",
                  address=copy.as_uri() + query)
    found = re.search(r'(?s)<pre id="measured">(.*?)</pre>', dom)
    return found[1].strip() if found else ""


def screenshot(page: Path, png: Path, size: tuple[int, int], fragment: str = "") -> None:
    """Write a picture of a page."""
    run(f"--screenshot={png}", f"--window-size={size[0]},{size[1]}",
        address=page.resolve().as_uri() + fragment)

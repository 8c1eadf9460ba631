"""Open the pages of a built book in Chromium: what they ask the network for, and what axe finds.

axe-core is the checker of accessibility that browsers' own tools use; here it runs from a package,
without a network. Each page is looked at light and dark, on a desk and on a telephone.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.book.__main__ import BUILD

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
SERIOUS = ("serious", "critical")
DESK, TELEPHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LOOKS = [("light", DESK), ("dark", DESK), ("light", TELEPHONE)]


@dataclass(frozen=True)
class Fault:
    """What axe says of one element of a page."""

    page: str
    look: str
    rule: str
    impact: str
    element: str
    why: str

    def __str__(self) -> str:
        where = f"{self.page} ({self.look}): {self.rule}, {self.impact}: {self.element}"
        return f"{where}\n  {self.why}"


def chromium() -> str | None:
    """Return the path of a Chromium of this machine, None where there is none."""
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Any]:
    """Start the Chromium of this machine. Raises FileNotFoundError where there is none."""
    from playwright.sync_api import sync_playwright

    program = chromium()
    if program is None:
        raise FileNotFoundError("No Chromium was found: install chromium to look at the book.")
    options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=options)
        yield started
        started.close()


def open_page(context: Any, path: Path, asked: list[str]) -> Any:
    """Open a page of the book from its file, until its formulas are set; note what it asks for.

    What would leave this machine is refused and put into `asked`.
    """
    page = context.new_page()

    def seen(route: Any) -> None:
        """Let through what is inside the book."""
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            asked.append(f"{path.name} asks for {route.request.url}")
            route.abort()

    page.route("**/*", seen)
    page.goto(path.resolve().as_uri())
    page.evaluate("() => window.MathJax?.startup?.promise")
    return page


def faults(page: Any, name: str, look: str) -> list[Fault]:
    """Return what axe finds serious or critical on an open page."""
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for rule in Axe().run(page).response["violations"]:
        for node in rule["nodes"] if rule["impact"] in SERIOUS else ():
            why = " ".join(node.get("failureSummary", "").split())
            place = " ".join(map(str, node["target"]))
            found.append(Fault(name, look, rule["id"], rule["impact"], place, why))
    return found


STATE = """async () => {
  await document.fonts.ready;
  const refused = [...document.fonts].filter(font => font.status === "error");
  return [document.documentElement.scrollWidth, refused.map(font => font.family).join(", ")];
}"""


def slips(page: Any, name: str, look: str, width: int) -> list[Fault]:
    """Return where an open page is wider than its window, or has fonts that cannot be used."""
    needed, fonts = page.evaluate(STATE)
    found = []
    if needed > width:
        found.append(Fault(name, look, "page-too-wide", "serious", "html", f"needs {needed}"))
    if fonts:
        found.append(Fault(name, look, "font-refused", "serious", fonts, "cannot be decoded"))
    return found


def look_at(
    folder: Path,
    names: list[str],
    looks: list[tuple[str, dict[str, int]]] = LOOKS,
    heard: Callable[..., None] = lambda *what: None,
) -> tuple[list[str], list[Fault]]:
    """Open pages of a built book; return what they ask of the network, and what is wrong there.

    heard: is called after each page, with its name, scheme, width and number of faults
    """
    asked: list[str] = []
    found: list[Fault] = []
    with browser() as started:
        for scheme, size in looks:
            context = started.new_context(color_scheme=scheme, viewport=size)
            for name in names:
                page = open_page(context, folder / name, asked)
                look = f"{scheme}, {size['width']} wide"
                here = faults(page, name, look) + slips(page, name, look, size["width"])
                page.close()
                found += here
                heard(name, scheme, size["width"], len(here))
            context.close()
    return asked, found


def main() -> None:
    """Look at all pages of the book and say what was found."""
    folder = BUILD / "html"
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.html"))
    if not names:
        sys.exit("There is no book yet: make book builds it.")

    def heard(name: str, scheme: str, width: int, count: int) -> None:
        """Say how far it is."""
        print(f"{name}, {scheme}, {width} wide: {count or 'nothing serious'}", flush=True)

    asked, found = look_at(folder, names, heard=heard)
    print(*asked, *found, sep="\n")
    counts = Counter((fault.rule, fault.impact, fault.look) for fault in found)
    print(*(f"{n} x {' '.join(what)}" for what, n in counts.most_common()), sep="\n")
    print(f"{len(names)} pages, {len(LOOKS)} looks each: {len(found)} faults that are serious, "
          f"{len(asked)} requests to the network")
    sys.exit(bool(asked or found))


if __name__ == "__main__":
    main()

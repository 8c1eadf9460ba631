"""The pages of the book, written from the notebooks, the README, docs/ and what they link to.

A notebook keeps its text, its code and its outputs; only its badge becomes links, a folded cell
gets its prompt, and a link to a file of the course leads to that file's page, or to GitHub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.address import in_colab, on_github
from tools.files import course_files
from tools.notebooks import EVIDENCE, ROOT, Cell, evidence, joined, lessons, name_of, read

README = "README.md"
INDEX = "notebooks/README.md"
ONE_PAGE = "notebooks/transformer_in_one_page.py"
START = "## Start\n"    # the README's first screen ends here
LESSONS = "## The lessons\n"
WAYS = "## Ways in\n"

BADGE = re.compile(r"(?m)^\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\) *\n?")
LINK = re.compile(r"(?<!\\)\]\((?!https?://|mailto:)([^)\s]+)\)")
CODE = re.compile(r"(?s)(```.*?```|`[^`\n]+`)")
CELL_ID = "cell-id="    # how JupyterLab names a cell in a link


@dataclass(frozen=True)
class Page:
    """One page: its place in the book, the file of the course that it shows, its short title."""

    name: str      # with its suffix, below the folder of the sources
    shows: str     # a path in the repository
    title: str


def short(title: str) -> str:
    """Return a title that fits beside the page: the number, and the words before the colon."""
    number, _, words = title.lstrip("# ").partition("  ")
    head, _, rest = words.partition(":")
    return f"{number} {head} (evidence)" if rest.strip() == "the evidence" else f"{number} {head}"


def title_of(path: Path) -> str:
    """Return the first heading of a notebook or a markdown file."""
    if path.suffix == ".ipynb":
        return read(path)[0].source.splitlines()[0]
    found = re.search(r"(?m)^# +(.+)$", path.read_text("utf-8"))
    return found[1] if found else path.stem


def pages(which: tuple[str, ...] = ()) -> dict[str, list[Page]]:
    """Return the pages by the part of the book that they stand in, in reading order.

    which: the numbers of the lessons; all where it is empty
    """
    def chosen(paths: list[Path]) -> list[Page]:
        """Return the pages of these notebooks."""
        kept = [path for path in paths if not which or path.name[:2] in which]
        names = [name_of(path) for path in kept]
        return [
            Page(name, f"notebooks/{name}", short(title_of(path)))
            for name, path in zip(names, kept)
        ]

    docs = [n for n in course_files(new_ones=True) if re.fullmatch(r"docs/[^/]+\.md", n)]
    return {
        "The lessons": [*chosen(lessons()), Page("one_page.md", ONE_PAGE, "All in one file")],
        "Looking things up": [
            Page("claims.md", INDEX, "Claims and words"),
            Page("ways_in.md", README, "Ways in"),
            *(Page(name, name, title_of(ROOT / name)) for name in docs),
            Page("data.md", "data/README.md", "The data"),
        ],
        "The evidence": chosen(evidence()),
    }


# ---- links ----


def slug(anchor: str) -> str:
    """Return the name of a heading's place in a page, from JupyterLab's name or GitHub's."""
    return re.sub(r"[^\w-]", "", anchor.lower())


class Links:
    """Where the links of the course lead in the book."""

    def __init__(self, book: dict[str, list[Page]]) -> None:
        self.pages = {page.shows: page for part in book.values() for page in part}
        self.wanted: dict[str, set[str]] = {}    # the cells that a link names, by notebook
        self.pictures: set[str] = set()

    def target(self, link: str, file: str, page: str) -> str:
        """Return where a link leads.

        link: as it stands in the file    file: a path in the repository    page: where it goes
        Raises FileNotFoundError where the course has no such file.
        """
        path, _, anchor = link.partition("#")
        shown = os.path.normpath(Path(file).parent / path) if path else file
        other = self.pages.get(Path(shown).as_posix())
        if anchor.startswith(CELL_ID) and other:
            cell = anchor.removeprefix(CELL_ID)
            self.wanted.setdefault(other.shows, set()).add(cell)
            return f"#{cell_label(other.shows, cell)}"
        if shown.endswith(".png"):
            self.pictures.add(Path(shown).as_posix())
            return os.path.relpath(shown, Path(page).parent)
        end = f"#{slug(anchor)}" if anchor else ""
        if not path:
            return end
        if other:
            return os.path.relpath(other.name, Path(page).parent) + end
        if not (ROOT / shown).exists():
            raise FileNotFoundError(f"{file} links to {link}, which the course does not have.")
        return on_github(Path(shown).as_posix())

    def rewrite(self, text: str, file: str, page: str) -> str:
        """Return a markdown text with its links made those of the book; code stays as it is."""
        parts = CODE.split(text)
        parts[::2] = [
            LINK.sub(lambda found: f"]({self.target(found[1], file, page)})", part)
            for part in parts[::2]
        ]
        return "".join(parts)


def cell_label(notebook: str, cell: str) -> str:
    """Return the name of a cell's place, unique in the book."""
    return "cell-" + notebook.removeprefix("notebooks/").removesuffix(".ipynb").replace(
        "/", "-").replace("_", "-") + f"-{cell}"


# ---- notebooks ----


def links_of(page: Page, links: Links) -> str:
    """Return the line below a notebook's title: Colab, the file, and what stands beside it."""
    file = Path(page.shows).name
    up = "../" if page.name.startswith(EVIDENCE) else ""
    beside = f"notebooks/{file}" if up else f"notebooks/{EVIDENCE}/{file}"
    words = "The lesson" if up else "The evidence"
    parts = [
        f"[Open in Colab]({in_colab(page.shows)})",
        f"[Download the notebook](path:{up}files/{page.name})",
        f"[{words}]({os.path.relpath(links.pages[beside].name, Path(page.name).parent)})",
    ]
    return f'::::{{container}} course-links\n{" · ".join(parts)}\n::::\n'


def prompt(cell: Cell, number: int) -> str:
    """Return what is written on the bar of a folded cell. number: which code cell it is"""
    if number < 2:
        return ("Setup: finds the course", "Imports")[number]
    if "solution" in cell.tags:
        return "The solution"
    return "The code of this figure" if cell.pictures else "The code of this cell"


def dressed(cells: list[Cell], page: Page, links: Links) -> list[dict[str, Any]]:
    """Return the cells of a notebook as the book has them."""
    written, number = [], 0
    for cell in cells:
        new: dict[str, Any] = {"id": cell.id, "cell_type": cell.kind, "metadata": {}}
        new["source"] = cell.source
        if cell.kind == "markdown":
            text = links.rewrite(cell.source, page.shows, page.name)
            new["source"] = BADGE.sub(links_of(page, links) if cell.number == 1 else "", text)
        else:
            new |= {"outputs": list(cell.outputs), "execution_count": cell.count}
            if cell.is_folded:
                said = prompt(cell, number)
                own = {"code_prompt_show": said, "code_prompt_hide": said}
                new["metadata"] = {"tags": ["hide-input"], "mystnb": own}
            number += 1
        written.append(new)
    return written


def with_labels(cells: list[dict[str, Any]], notebook: str, wanted: set[str]) -> None:
    """Put the name of its place before each cell that a link of the book names.

    Raises LookupError where the notebook has no such cell.
    """
    for cell in sorted(wanted):
        place = next((i for i, c in enumerate(cells) if c["id"] == cell), None)
        if place is None:
            raise LookupError(f"A link names the cell {cell} of {notebook}, which has none.")
        label = f"({cell_label(notebook, cell)})="
        if cells[place]["cell_type"] == "markdown":
            cells[place]["source"] = f"{label}\n{cells[place]['source']}"
        else:
            cells.insert(place, {
                "id": f"before-{cell}"[:64], "cell_type": "markdown", "metadata": {},
                "source": label,
            })


def descriptions(cells: list[Cell]) -> dict[str, str]:
    """Return what each picture shows, by the name that the book gives its file."""
    found = {}
    for cell in cells:
        for output in cell.outputs:
            if png := output.get("data", {}).get("image/png"):
                name = hashlib.sha256(base64.b64decode(joined(png))).hexdigest()
                found[name] = output.get("metadata", {}).get("image/png", {}).get("alt", "")
    return found


def write_notebook(path: Path, cells: list[dict[str, Any]]) -> None:
    """Write cells as a notebook."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")


# ---- the other pages ----


def front(readme: str, book: dict[str, list[Page]], links: Links) -> str:
    """Return the front page: the README's first screen, its lessons, and the table of contents."""
    first, _, rest = readme.partition(START)
    table = LESSONS + rest.partition(LESSONS)[2].partition(WAYS)[0]
    text = links.rewrite(first + table, README, "index.md")
    for part, shown in book.items():
        entries = "\n".join(f"{page.title} <{page.name.rsplit('.', 1)[0]}>" for page in shown)
        text += f"\n```{{toctree}}\n:hidden:\n:caption: {part}\n\n{entries}\n```\n"
    return text


def ways_in(readme: str, links: Links) -> str:
    """Return the rest of the README as a page."""
    rest = START + readme.partition(START)[2]
    table = LESSONS + rest.partition(LESSONS)[2].partition(WAYS)[0]
    return "# Ways in\n\n" + links.rewrite(rest.replace(table, ""), README, "ways_in.md")


def one_page() -> str:
    """Return the page with the whole Transformer."""
    code = (ROOT / ONE_PAGE).read_text("utf-8")
    return (
        "# The whole Transformer in one file\n\n"
        f"The parts of the lessons, put together: [the file]({on_github(ONE_PAGE)}) imports "
        "nothing from the course.\n\n"
        f"```python\n{code}```\n"
    )


def write_sources(folder: Path, which: tuple[str, ...] = ()) -> dict[str, list[Page]]:
    """Write all that Sphinx needs into an empty folder; return the pages.

    which: the numbers of the lessons; all where it is empty
    """
    book = pages(which)
    links = Links(book)
    shown = [page for part in book.values() for page in part]
    readme = (ROOT / README).read_text("utf-8")
    texts = {"index.md": front(readme, book, links)}
    notebooks, alts = {}, {}
    for page in shown:
        if page.shows.endswith(".ipynb"):
            cells = read(ROOT / page.shows)
            notebooks[page] = dressed(cells, page, links)
            alts |= descriptions(cells)
            (folder / "files" / page.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / page.shows, folder / "files" / page.name)
        elif page.shows == README:
            texts[page.name] = ways_in(readme, links)
        elif page.shows == ONE_PAGE:
            texts[page.name] = one_page()
        else:
            text = (ROOT / page.shows).read_text("utf-8")
            texts[page.name] = links.rewrite(text, page.shows, page.name)
    for page, cells in notebooks.items():
        with_labels(cells, page.shows, links.wanted.get(page.shows, set()))
        write_notebook(folder / page.name, cells)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for picture in sorted(links.pictures):
        (folder / picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / picture, folder / picture)
    titles = {page.name.rsplit(".", 1)[0]: page.title for page in shown}
    (folder / "descriptions.json").write_text(json.dumps([alts, titles]), encoding="utf-8")
    return book

"""The links of a built book: those inside must lead somewhere, nothing is loaded from outside."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src"}
NOT_LOADED = ("canonical", "prev", "next", "index", "search", "author", "copyright")


class Reader(HTMLParser):
    """Collects from one page its links, what it loads, and the places that a link may name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what one tag names."""
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in LOADED and given.get(LOADED[tag]) and given.get("rel") not in NOT_LOADED:
            self.loaded.append(given[LOADED[tag]])


def is_outside(link: str) -> bool:
    """Tell whether a link leaves the book."""
    parts = urlsplit(link)
    return bool(parts.scheme or parts.netloc)


def read_pages(folder: Path) -> dict[Path, Reader]:
    """Return what stands in each page of a book."""
    return {path: Reader(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}


def broken(folder: Path) -> list[str]:
    """Return the links of a book that lead nowhere, and what its pages would load from outside."""
    pages = {path.resolve(): page for path, page in read_pages(folder).items()}
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder.resolve()).as_posix()
        found += [f"{name} loads {x}" for x in page.loaded if is_outside(x) and x[:5] != "data:"]
        for link in [*page.links, *page.loaded]:
            if is_outside(link):
                continue
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not target.is_file():
                found.append(f"{name} links to {link}, and there is no such file")
            elif place and target in pages and place not in pages[target].places:
                found.append(f"{name} links to {link}, and that page has no such place")
    return sorted(set(found))


def outside(folder: Path) -> list[str]:
    """Return the addresses outside the book that its pages link to."""
    links = {link for page in read_pages(folder).values() for link in page.links}
    return sorted(link for link in links if is_outside(link))

"""The book: its pages, its links, two lessons built as a site, and what a browser finds there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import made_up
import pytest

from tools.address import REPOSITORY, in_colab, on_github
from tools.book import __main__ as book
from tools.book.browser import DESK, browser, chromium, look_at, open_page
from tools.book.links import Reader, broken, outside
from tools.book.pages import (
    EVIDENCE,
    Links,
    cell_label,
    descriptions,
    pages,
    prompt,
    short,
    slug,
    with_labels,
    write_sources,
)
from tools.lab import QUIET
from tools.notebooks import FOLDER, ROOT, evidence, joined, lessons, name_of, read
from tools.servers import free_port, stop, wait_for

WHICH = ("03", "07")
FOREIGN = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]")
LAB = ROOT / "tools/labextensions/figure-descriptions/static/remoteEntry.js"


def needs(*packages: str) -> None:
    """Skip a test where a package of requirements-room.txt is not installed, and say which."""
    if missing := [name for name in packages if find_spec(name) is None]:
        pytest.skip(f"not installed, see requirements-room.txt: {', '.join(missing)}")


def needs_browser() -> None:
    """Skip a test where there is no Chromium to be driven."""
    needs("playwright", "axe_playwright_python")
    if chromium() is None:
        pytest.skip("chromium is not installed")


# ---- which pages ----


def test_every_notebook_has_its_page_in_reading_order() -> None:
    parts = pages()
    names = [page.name for part in parts.values() for page in part]
    assert [n for n in names if n in {p.name for p in lessons()}] == [p.name for p in lessons()]
    assert [n for n in names if n.startswith(EVIDENCE)] == [name_of(p) for p in evidence()]
    assert names[: len(lessons())] == [path.name for path in lessons()]
    docs = {f"docs/{path.name}" for path in ROOT.glob("docs/*.md")}
    assert docs | {"claims.md", "ways_in.md", "data.md", "one_page.md"} <= set(names)
    titles = [page.title for part in parts.values() for page in part]
    assert len(set(titles)) == len(titles) and max(map(len, titles)) <= 45


def test_titles_are_short() -> None:
    assert short("# 00  Start here: what you will build") == "00 Start here"
    assert short("# 05  Attention: the evidence") == "05 Attention (evidence)"
    assert short("# 08  Many heads") == "08 Many heads"


# ---- links ----


@pytest.fixture
def links() -> Links:
    """Return the links of the whole book."""
    return Links(pages())


LESSON, BESIDE = "notebooks/05_attention.ipynb", "notebooks/evidence/05_attention.ipynb"


@pytest.mark.parametrize(
    "link, file, page, expected",
    [
        ("evidence/05_attention.ipynb", LESSON, "x.ipynb", "evidence/05_attention.ipynb"),
        ("../05_attention.ipynb", BESIDE, "evidence/05_attention.ipynb", "../05_attention.ipynb"),
        ("notebooks/05_attention.ipynb", "README.md", "index.md", "05_attention.ipynb"),
        ("notebooks/README.md", "README.md", "index.md", "claims.md"),
        ("../README.md#ways-in", "data/README.md", "data.md", "ways_in.md#ways-in"),
        ("#Width,-training-and-length", BESIDE, "x.ipynb", "#width-training-and-length"),
        ("LICENSE", "README.md", "index.md", on_github("LICENSE")),
        ("../../tests/claims.tsv", BESIDE, "x.ipynb", on_github("tests/claims.tsv")),
        ("notebooks/course.png", "README.md", "index.md", "notebooks/course.png"),
        ("05_attention.ipynb#cell-id=a-b", "notebooks/README.md", "claims.md",
         "#cell-05-attention-a-b"),
    ],
)
def test_a_link_leads_to_the_page(
    link: str, file: str, page: str, expected: str, links: Links
) -> None:
    assert links.target(link, file, page) == expected


def test_a_link_to_nothing_stops_the_book(links: Links) -> None:
    with pytest.raises(FileNotFoundError, match=r"README\.md links to nowhere\.md, which the cou"):
        links.rewrite("[x](nowhere.md)", "README.md", "index.md")


def test_code_and_addresses_are_no_links(links: Links) -> None:
    text = "`[a](b)` [c](https://example.org/x)\n\n```python\nf[1](LICENSE)\n```\n"
    assert links.rewrite(text, "README.md", "index.md") == text
    found = links.rewrite("[`LICENSE`](LICENSE)", "README.md", "index.md")
    assert found == f"[`LICENSE`]({on_github('LICENSE')})"


def test_the_names_of_headings() -> None:
    assert slug("What-a-context-vector-is-near-to") == "what-a-context-vector-is-near-to"
    assert slug("True-words,-and-own-words?") == "true-words-and-own-words"


def test_a_cell_that_a_link_names_gets_its_place() -> None:
    def cells() -> list[dict]:
        """Return a text and a code cell."""
        return [
            {"id": "a", "cell_type": "markdown", "source": "## A", "metadata": {}},
            {"id": "b", "cell_type": "code", "source": "x", "metadata": {}},
        ]

    changed = cells()
    with_labels(changed, LESSON, {"a", "b"})
    assert [c["source"] for c in changed] == [
        f"({cell_label(LESSON, 'a')})=\n## A", f"({cell_label(LESSON, 'b')})=", "x",
    ]
    with pytest.raises(LookupError, match=r"names the cell c of notebooks/05_attention\.ipynb"):
        with_labels(cells(), LESSON, {"c"})


def test_what_a_folded_cell_is_called(tmp_path: Path) -> None:
    cells = read(made_up.write(
        tmp_path / "05_x.ipynb",
        made_up.code("1"),
        made_up.code("2", tags=("solution",)),
        made_up.code("3", made_up.picture()),
    ))
    said = [prompt(cells[0], 0), prompt(cells[0], 1), *(prompt(cell, 2) for cell in cells)]
    assert said == [
        "Setup: finds the course", "Imports", "The code of this cell", "The solution",
        "The code of this figure",
    ]


# ---- a checker that finds what is broken ----


def test_what_is_broken_is_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/b.html").write_text('<p id="here">b</p><a href="../a.html">a</a>', "utf-8")
    (tmp_path / "a.html").write_text(
        '<a href="sub/b.html#here">1</a> <a href="sub/b.html#gone">2</a> <a href="c.html">3</a>'
        '<a href="#top">4</a> <a href="https://example.org/x">5</a> <img src="no.png">'
        '<script src="https://cdn.example.org/x.js"></script><a href="mailto:a@example.org">6</a>'
        '<link rel="canonical" href="https://example.org/"><img src="data:image/png;base64,AA">',
        "utf-8",
    )
    assert broken(tmp_path) == [
        "a.html links to #top, and that page has no such place",
        "a.html links to c.html, and there is no such file",
        "a.html links to no.png, and there is no such file",
        "a.html links to sub/b.html#gone, and that page has no such place",
        "a.html loads https://cdn.example.org/x.js",
    ]
    assert outside(tmp_path) == ["https://example.org/x", "mailto:a@example.org"]


# ---- two lessons as a site ----


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built pages of two lessons and their evidence."""
    needs(*book.PACKAGES)
    target = tmp_path_factory.mktemp("book") / "html"
    assert book.build(target, WHICH) >= 9
    return target


def html(site: Path, name: str) -> str:
    """Return the text of a page."""
    return (site / name).read_text("utf-8")


class Outline(HTMLParser):
    """Collects the levels of the headings, the pictures, and tables without cells of headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.alts: list[str] = []
        self.heads: list[int] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one tag."""
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        elif tag == "img":
            self.alts.append(dict(attrs).get("alt") or "")
        elif tag == "table":
            self.heads.append(0)
        elif tag == "th":
            self.heads[-1] += 1


NAMES = [f"{where}{stem}.html" for where in ("", f"{EVIDENCE}/")
         for stem in ("03_text_to_batches", "07_scaled_dot_product_attention")]


@pytest.mark.parametrize("name", [*NAMES, "index.html", "claims.html", "ways_in.html"])
def test_a_page_can_be_heard(name: str, site: Path) -> None:
    text = html(site, name)
    outline = Outline(text[text.index("<article") : text.index("</article>")])
    assert outline.levels[0] == 1 and outline.levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(outline.levels, outline.levels[1:], strict=False))
    assert all(outline.heads) and all(outline.alts)
    assert '<html lang="en"' in text


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_comes_whole_into_the_book(name: str, site: Path) -> None:
    notebook = FOLDER / name.replace(".html", ".ipynb")
    cells, text = read(notebook), html(site, name)
    outline = Outline(text[text.index("<article") : text.index("</article>")])
    assert outline.alts == list(descriptions(cells).values())
    folded = [cell for cell in cells if cell.kind == "code" and cell.is_folded]
    assert text.count('<details class="admonition hide above-input">') == len(folded)
    assert text.count("<summary>Hint") == sum(c.source.count("<summary>Hint") for c in cells)
    assert text.count("The solution") >= sum("solution" in cell.tags for cell in cells)
    assert f'href="{in_colab(f"notebooks/{name_of(notebook)}")}"' in text
    assert "colab-badge.svg" not in text
    (download,) = re.findall(r'href="([^"]*_downloads/[^"]*\.ipynb)"', text)
    assert ((site / name).parent / download).read_bytes() == notebook.read_bytes()


@pytest.mark.parametrize("name", [*NAMES, "index.html"])
def test_japanese_and_korean_say_so(name: str, site: Path) -> None:
    text = html(site, name)
    body = text[text.index("<article") : text.index("</article>")]
    assert "lang=" in body or not FOREIGN.search(body)
    marked = r'<(script|style)\b.*?</\1>|<span lang="(?:ja|ko)">[^<]*</span>|<[^>]*>'
    assert not FOREIGN.findall(re.sub(marked, "", body, flags=re.DOTALL))


def test_next_is_the_next_lesson(site: Path) -> None:
    following = re.search(r'class="right-next"\s+href="([^"]+)"', html(site, NAMES[0]))
    assert following and following[1] == NAMES[1]
    assert ">07 Self-attention, one head at a time</p>" in html(site, NAMES[0])


def test_the_search_knows_the_words(site: Path) -> None:
    index = html(site, "searchindex.js")
    assert '"softmax"' in index or "softmax:" in index
    assert "07_scaled_dot_product_attention" in index


def test_the_claims_lead_to_their_cells(site: Path) -> None:
    reader = Reader(html(site, "claims.html"))
    named = [link for link in reader.links if re.search(r"#cell-(evidence-)?07-", link)]
    assert len(named) > 20
    places = Reader(html(site, NAMES[1])).places | Reader(html(site, NAMES[3])).places
    assert {link.partition("#")[2] for link in named} <= places


def test_nothing_is_loaded_from_outside(site: Path) -> None:
    assert broken(site) == []
    assert all(link.startswith("http") for link in outside(site))
    assert any(link.startswith(REPOSITORY) for link in outside(site))


def test_a_fault_leaves_the_last_book_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(*book.PACKAGES)
    target = tmp_path / "html"
    target.mkdir()
    (target / "index.html").write_text("the last one", "utf-8")

    def faulty(folder: Path, which: tuple[str, ...]) -> None:
        """Write a page with a reference to nothing."""
        (folder / "index.md").write_text("# A\n\n[x](#nothing)\n", "utf-8")
        (folder / "descriptions.json").write_text("[{}, {}]", "utf-8")

    monkeypatch.setattr(book, "write_sources", faulty)
    with pytest.raises(RuntimeError, match=r"cannot make the book:\n.*nothing"):
        book.build(target, WHICH)
    assert [path.name for path in tmp_path.iterdir()] == ["html"]
    assert html(target, "index.html") == "the last one"


def test_the_sources_of_the_whole_book(tmp_path: Path) -> None:
    write_sources(tmp_path)
    for path in [*lessons(), *evidence()]:
        written, cells = read(tmp_path / name_of(path)), read(path)
        code = [c.source for c in written if c.kind == "code"]
        assert code == [c.source for c in cells if c.kind == "code"]
        outputs = [joined(o.get("text", "")) for c in written for o in c.outputs]
        assert outputs == [joined(o.get("text", "")) for c in cells for o in c.outputs]
    alts, titles = json.loads((tmp_path / "descriptions.json").read_text("utf-8"))
    assert len(alts) > 90 and all(alts.values())
    assert titles["evidence/05_attention"] == "05 Attention (evidence)"


# ---- in a browser ----


@pytest.mark.browser
def test_a_browser_asks_for_nothing_and_axe_finds_nothing(site: Path) -> None:
    needs_browser()
    asked, found = look_at(site, ["index.html", NAMES[0]], [("light", DESK)])
    assert asked == [] and not found, "\n".join(map(str, found))


@pytest.mark.browser
def test_the_search_and_the_formulas_work_without_a_network(site: Path) -> None:
    needs_browser()
    asked: list[str] = []
    with browser() as started:
        context = started.new_context(viewport=DESK)
        page = open_page(context, site / NAMES[1], asked)
        assert page.locator("mjx-container svg").count() > 5
        assert page.locator("mjx-merror").count() == 0
        page.goto((site / "search.html").resolve().as_uri() + "?q=padding")
        page.locator("#search-results li a").first.wait_for(timeout=20_000)
        assert page.locator("#search-results li a[href^='03_text']").count()
    assert asked == []


@pytest.mark.browser
def test_a_fault_is_found(tmp_path: Path) -> None:
    needs_browser()
    (tmp_path / "a.html").write_text(
        '<!doctype html><html lang="en"><title>a</title><main><h1>A</h1><img src="data:,x">'
        '<p style="color: #bbb; width: 2000px">pale</p>'
        '<style>@font-face {font-family: "x"; src: url("a.html")} p {font-family: "x"}</style>'
        '<script src="https://example.org/x.js"></script></main>',
        "utf-8",
    )
    asked, found = look_at(tmp_path, ["a.html"], [("light", DESK)])
    assert asked == ["a.html asks for https://example.org/x.js"]
    assert {fault.rule for fault in found} == {
        "image-alt", "color-contrast", "page-too-wide", "font-refused"}


# ---- JupyterLab ----

@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """Start a JupyterLab on a folder as `make lab` does; give its address up to a file's path."""
    port = free_port()
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
              "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")
    own = {name: str(folder / "own" / name) for name in places}
    call = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root",
            "--IdentityProvider.token=word", f"--ServerApp.root_dir={folder}",
            f"--LabApp.extra_labextensions_path={LAB.parents[2]}", "--LabApp.news_url=None",
            "--LabApp.extension_manager=readonly"]
    log = folder / "log.txt"
    with log.open("wb") as file:
        server = subprocess.Popen(
            call, env=os.environ | own, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/api/status?token=word", server, log, 120)
        yield f"http://127.0.0.1:{port}/lab/tree/{{}}?token=word&reset"
    finally:
        stop(server)


@pytest.mark.browser
def test_jupyterlab_says_what_a_figure_shows(tmp_path: Path) -> None:
    needs_browser()
    made_up.write(
        tmp_path / "05_x.ipynb",
        made_up.code("1", made_up.picture("A <line>.")), made_up.code("2", made_up.picture("")),
    )
    with jupyterlab(tmp_path) as address, browser() as started:
        page = started.new_page()
        page.goto(address.format("05_x.ipynb"), timeout=120_000)
        images = page.locator(".jp-RenderedImage img")
        images.nth(1).wait_for(state="attached", timeout=120_000)
        assert [image.get_attribute("alt") for image in images.all()] == ["A <line>.", None]


def test_jupyterlab_finds_the_descriptions() -> None:
    from jupyterlab_server.config import get_federated_extensions

    found = get_federated_extensions([str(LAB.parents[2])])["figure-descriptions"]["jupyterlab"]
    assert (LAB.parents[1] / found["_build"]["load"]).samefile(LAB)
    assert any(str(ROOT / "tools/labextensions") in argument for argument in QUIET)


def test_the_javascript_can_be_read() -> None:
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    subprocess.run(["node", "--check", str(LAB)], check=True)


def test_a_page_names_its_file() -> None:
    assert all((ROOT / page.shows).is_file() for part in pages().values() for page in part)

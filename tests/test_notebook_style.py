"""The form of a lesson: its size, its setup cell, its figures in words, its exercises.

Each rule is a function from the cells of one notebook to a list of complaints. BROKEN holds, for
each rule, made-up notebooks that it must reject; GOOD is one that all of them accept.
"""

from __future__ import annotations

import ast
import re
import statistics
import symtable
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made_up
import nbformat
import pytest
from made_up import code, markdown, picture, printed, raised, shown

from tools.address import REPOSITORY
from tools.notebooks import ROOT, TAUGHT, WIDGET, Cell, lessons, read

LESSONS = lessons()
SETUP = (ROOT / "tests/setup_cell.py").read_text("utf-8").strip()
COLUMNS = 80
FIGURE_SHOWS = "**What the figure shows.**"
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\d|\.\d)")

Cells = list[Cell]
Rule = Callable[[Cells], list[str]]


def code_of(cells: Cells) -> Cells:
    """Return the code cells."""
    return [cell for cell in cells if cell.kind == "code"]


def length(cell: Cell) -> int:
    """Return the number of lines of a cell that are not blank."""
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def width(line: str) -> int:
    """Return the columns that a line takes: a Japanese or Korean letter takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


def wide_lines(text: str) -> list[str]:
    """Return the lines that are wider than a projected page."""
    return [line for line in text.splitlines() if width(line) > COLUMNS]


def calls(cell: Cell) -> Iterator[tuple[str, ast.Call]]:
    """Yield (name, node) of each call of a plain name in a code cell."""
    for node in ast.walk(cell.tree()):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node


def last_check(cell: Cell) -> bool:
    """Tell whether the last expression of a cell is a call check_...(...)."""
    body = cell.tree().body
    last = body[-1].value if body and isinstance(body[-1], ast.Expr) else None
    name = last.func if isinstance(last, ast.Call) else None
    return isinstance(name, ast.Name) and name.id.startswith("check_")


# ---- the rules ----


def opening(cells: Cells) -> list[str]:
    """The first cell is the title, with the badge that opens this notebook in Colab."""
    name = cells[0].notebook.name
    address = f"{REPOSITORY}/blob/main/notebooks/{name}"
    badge = address.replace("https://github.com", "https://colab.research.google.com/github")
    problems = []
    if cells[0].kind != "markdown" or not cells[0].source.startswith(f"# {name[:2]} "):
        problems.append(f"{name} must begin with a markdown cell  # {name[:2]} <title>")
    if f"({badge})" not in cells[0].source:
        problems.append(f"{name} lacks its badge in the first cell, to {badge}")
    return problems


def setup(cells: Cells) -> list[str]:
    """The first code cell is the setup cell of tests/setup_cell.py, letter for letter."""
    first = code_of(cells)[0]
    return [] if first.source == SETUP else [f"{first.where} is not tests/setup_cell.py"]


def import_cell(cells: Cells) -> list[str]:
    """Imports stand in the second code cell, and nothing else but calls stands there."""
    _, second, *rest = code_of(cells)
    allowed = (ast.Import, ast.ImportFrom, ast.Expr)
    problems = [
        f"{second.where}, the import cell, holds more: {ast.unparse(node)}"
        for node in second.tree().body
        if not isinstance(node, allowed)
    ]
    for cell in rest:
        if any(isinstance(node, allowed[:2]) for node in ast.walk(cell.tree())):
            problems.append(f"{cell.where} imports; move it to the import cell")
    return problems


def size_of_cells(cells: Cells) -> list[str]:
    """A built-here cell has at most 30 lines, any other at most 20; all fit a projected page.

    The import cell may have 40: it takes one line a name.
    """
    problems = []
    for position, cell in enumerate(code_of(cells)):
        limit = 40 if position == 1 else 30 if cell.module else 20
        if length(cell) > limit:
            problems.append(f"{cell.where} has {length(cell)} lines, more than {limit}")
        problems += [f"{cell.where} is wider than 80: {line}" for line in wide_lines(cell.source)]
    return problems


def size_of_lesson(cells: Cells) -> list[str]:
    """A lesson has at most 55 code cells, most of them short, and 2,500 words."""
    words = sum(len(cell.source.split()) for cell in cells if cell.kind == "markdown")
    count, name = len(code_of(cells)), cells[0].notebook.name
    problems = [f"{name} has {count} code cells, more than 55"] if count > 55 else []
    return problems + ([f"{name} has {words} words, more than 2,500"] if words > 2500 else [])


def identity(cells: Cells) -> list[str]:
    """Every cell has an id of its own: translations hang on them."""
    ids = [cell.id for cell in cells]
    return [f"{c.where} has no id of its own" for c in cells if not c.id or ids.count(c.id) > 1]


def executed(cells: Cells) -> list[str]:
    """The committed notebook was run from top to bottom."""
    return [
        f"{cell.where} has the count {cell.count}, not {number}: run  make outputs"
        for number, cell in enumerate(code_of(cells), start=1)
        if cell.count != number
    ]


def clean(cells: Cells) -> list[str]:
    """Outputs hold no error, no stderr, no widget, no time and no memory address."""
    problems = []
    for cell in code_of(cells):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        failed = any(output["output_type"] == "error" for output in cell.outputs)
        if failed != ("raises-exception" in cell.tags):
            problems.append(f"{cell.where}: an error and the tag raises-exception go together")
        if any(output.get("name") == "stderr" for output in cell.outputs):
            problems.append(f"{cell.where} writes on stderr")
        if WIDGET in kinds or "execution" in cell.metadata:
            problems.append(f"{cell.where} holds a widget or times: run  make outputs")
        if re.search(r"\b0x[0-9a-f]{6,}", cell.text):
            problems.append(f"{cell.where} prints an address in memory")
    return problems


def figures(cells: Cells) -> list[str]:
    """A figure has alternative text, and the next cell says in words and numbers what it shows."""
    problems = []
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        if not cell.pictures:
            continue
        if not any(k.arg == "alt" for _, call in calls(cell) for k in call.keywords):
            problems.append(f"{cell.where} shows a figure without alt=")
        if after is None or after.kind != "markdown" or not re.search(r"\d", after.source):
            problems.append(f"{cell.where}: the next cell must say its figure in words and numbers")
    return problems


def numbers_in_code(cell: Cell) -> list[str]:
    """Return the numbers that a code cell is given."""
    nodes = [node for node in ast.walk(cell.tree()) if isinstance(node, ast.Constant)]
    return [repr(n.value) for n in nodes if isinstance(n.value, (int, float))]


def supports(found: str, quoted: str, percent: bool) -> bool:
    """Tell whether a number that the lesson prints or sets rounds to the one in its prose."""
    digits = len(quoted.partition(".")[2])
    given = len(found.partition(".")[2])
    half = 0.5000001 * 10.0**-digits
    if given >= digits and abs(float(found) - float(quoted)) <= half:
        return True
    return percent and given >= digits + 2 and abs(100 * float(found) - float(quoted)) <= half


def quoted_numbers(cells: Cells) -> list[str]:
    """Decimals and percentages under "What the figure shows" are printed by the lesson."""
    printed_ones = {n for cell in code_of(cells) for n in NUMBER.findall(cell.text)}
    given = {n for cell in code_of(cells) for n in numbers_in_code(cell) if NUMBER.fullmatch(n)}
    problems = []
    for cell in cells:
        if cell.kind != "markdown" or not cell.source.startswith(FIGURE_SHOWS):
            continue
        for match in NUMBER.finditer(cell.source):
            percent = bool(re.match(r"\s?\\?%", cell.source[match.end() :]))
            if "." not in match[0] and not percent:
                continue
            if not any(supports(n, match[0], percent) for n in printed_ones | given):
                problems.append(f"{cell.where} says {match[0]}, which no cell prints")
    return problems


def exercises(cells: Cells) -> list[str]:
    """An exercise ends with its check, is not attempted, and its solution stands folded after."""
    problems = []
    waiting: Cell | None = None
    for cell in code_of(cells):
        if "exercise" in cell.tags:
            if not last_check(cell) or "not attempted" not in cell.text:
                problems.append(f"{cell.where}: a stub ends with check_...() and is not attempted")
            if waiting:
                problems.append(f"{waiting.where} has no solution before the next exercise")
            waiting = cell
        elif "solution" in cell.tags:
            folded = cell.metadata.get("jupyter", {}).get("source_hidden") is True
            if not folded or cell.metadata.get("cellView") != "form":
                problems.append(f"{cell.where} is not folded: jupyter.source_hidden, cellView")
            waiting = None
        elif last_check(cell):
            problems.append(f"{cell.where} calls a check: tag it exercise or solution")
    return problems + ([f"{waiting.where} has no solution after it"] if waiting else [])


def names_used(source: str) -> tuple[set[str], set[str]]:
    """Return (names that a cell takes from earlier cells, names that it defines)."""
    top = symtable.symtable(source, "cell", "exec")
    tables = [top]
    for table in tables:
        tables += table.get_children()
    defined = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    used = {
        s.get_name()
        for table in tables
        for s in table.get_symbols()
        if s.is_referenced() and (table is top or s.is_global())
    }
    return used - defined, defined


def corpus_tags(cells: Cells) -> list[str]:
    """A cell that uses what a corpus-tagged cell defined has that tag too, or fails without it."""
    needs: dict[str, frozenset[str]] = {}
    problems = []
    for cell in code_of(cells):
        used, defined = names_used(ast.unparse(cell.tree()))
        for name in sorted(used):
            if missing := needs.get(name, frozenset()) - cell.corpora:
                problems.append(f"{cell.where} uses {name}: tag it corpus-{min(missing)}")
        for name in defined:
            needs[name] = cell.corpora & needs.get(name, cell.corpora)
    return problems


RULES: tuple[Rule, ...] = (
    opening,
    setup,
    import_cell,
    size_of_cells,
    size_of_lesson,
    identity,
    executed,
    clean,
    figures,
    quoted_numbers,
    exercises,
    corpus_tags,
)


# ---- the lessons ----


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_lesson(rule: Rule, path: Path) -> None:
    problems = rule(read(path))
    assert not problems, "\n" + "\n".join([rule.__doc__ or "", *problems])


def test_there_are_lessons() -> None:
    assert LESSONS


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_file_format(path: Path) -> None:
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}, "run  make outputs"


def test_median_size_of_cells() -> None:
    sizes = [length(cell) for path in LESSONS for cell in code_of(read(path))]
    assert statistics.median(sizes) <= 14


@pytest.mark.parametrize("name", TAUGHT)
def test_taught_modules_fit_a_projected_page(name: str) -> None:
    path = ROOT / f"utils/{name}.py"
    assert not path.exists() or wide_lines(path.read_text("utf-8")) == []


# ---- the rules themselves, on made-up lessons ----

BADGE = (
    "https://colab.research.google.com/github/"
    + REPOSITORY.removeprefix("https://github.com/")
    + "/blob/main/notebooks/05_made_up.ipynb"
)
FOLDED: dict[str, Any] = {"jupyter": {"source_hidden": True}, "cellView": "form"}
TITLE = markdown(f"# 05  Made up\n\n[![Open in Colab](badge.svg)]({BADGE})")
STUB = "def mine(x):\n    return ...\n\n\ncheck_mine(mine)"
UNTOUCHED = printed("Exercise 5.1: not attempted yet")


def lesson(folder: Path, *cells: dict[str, Any], start: bool = True) -> Cells:
    """Return the cells of a made-up lesson, after a proper start unless told otherwise."""
    begin = [TITLE, code(SETUP), code("import torch\n\nuse_course_style()")] if start else []
    return read(made_up.write(folder / "05_made_up.ipynb", *begin, *cells))


GOOD = (
    code("torch.manual_seed(0)\nx = 0.25", printed("shares 0.434 and 87%")),
    code("show(fig, alt='A line.')", picture()),
    markdown(f"{FIGURE_SHOWS} From 0.43 to 43 %, or 87 %, at 0.25, in 3 steps."),
    code(STUB, UNTOUCHED, tags=("exercise",)),
    markdown("A hint."),
    code("check_mine(sum)", printed("Exercise 5.1: correct"), tags=("solution",), **FOLDED),
    code("1 / 0", raised("ZeroDivisionError", "division by zero"), tags=("raises-exception",)),
    code("pairs = [1]", tags=("corpus-multi30k",)),
    code("[x for x in pairs]", tags=("corpus-multi30k",)),
    code("def f(pairs):\n    return pairs\n\n\nf(x)"),
    code("%time\nx = 3"),
)

BROKEN: dict[Rule, list[list[dict[str, Any]]]] = {
    figures: [
        [code("show(fig)", picture()), markdown("3 lines")],
        [code("show(fig, alt='x')", picture()), markdown("lines")],
        [code("show(fig, alt='x')", picture()), code("3")],
        [code("show(fig, alt='x')", picture())],
    ],
    quoted_numbers: [
        [code("x", printed("0.44")), markdown(f"{FIGURE_SHOWS} It is 0.43.")],
        [code("x", printed("0.4")), markdown(f"{FIGURE_SHOWS} It is 0.43.")],
        [code("x", printed("0.43")), markdown(f"{FIGURE_SHOWS} It is 44 %.")],
        [code("show(fig, alt='0.43')"), markdown(f"{FIGURE_SHOWS} It is 0.43.")],
        [code("x", printed("43")), markdown(f"{FIGURE_SHOWS} It is 0.43.")],
    ],
    exercises: [
        [code(STUB, UNTOUCHED, tags=("exercise",))],
        [code(STUB, UNTOUCHED, tags=("exercise",)) for _ in range(2)],
        [
            code(STUB, printed("correct"), tags=("exercise",)),
            code("check_mine(sum)", tags=("solution",), **FOLDED),
        ],
        [
            code(STUB + "\nx = 1", UNTOUCHED, tags=("exercise",)),
            code("check_mine(sum)", tags=("solution",), **FOLDED),
        ],
        [code("check_mine(sum)", tags=("solution",))],
        [code("check_mine(sum)", tags=("solution",), cellView="form")],
        [code("check_mine(sum)")],
    ],
    import_cell: [[code("import math")], [code("def f():\n    from math import pi")]],
    size_of_cells: [
        [code("x = 1\n" * 21)],
        [code("# built here, kept in utils/text.py\n" + "x = 1\n" * 30)],
        [code(f"x = '{'a' * 80}'")],
        [code(f"x = '{'語' * 40}'")],
    ],
    size_of_lesson: [[code("1") for _ in range(54)], [markdown("word " * 2500)]],
    clean: [
        [code("1 / 0", raised("ZeroDivisionError", "x"))],
        [code("1", tags=("raises-exception",))],
        [code("1", printed("x", "stderr"))],
        [code("1", shown(**{WIDGET: {}}))],
        [code("1", execution={"iopub.status.idle": "2026-01-01"})],
        [code("1", printed("<function f at 0x7f12ab34cd>"))],
    ],
    corpus_tags: [
        [code("pairs = 1", tags=("corpus-multi30k",)), code("print(pairs)")],
        [code("pairs = 1", tags=("corpus-multi30k",)), code("def f():\n    return pairs")],
        [code("pairs = 1", tags=("corpus-a",)), code("pairs", tags=("corpus-b",))],
        [code("def load():\n    pass", tags=("corpus-a",)), code("[load() for _ in [1]]")],
    ],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_good_lesson(rule: Rule, tmp_path: Path) -> None:
    assert rule(lesson(tmp_path, *GOOD)) == []


@pytest.mark.parametrize(
    "rule, cells", [(rule, cells) for rule, many in BROKEN.items() for cells in many]
)
def test_broken_lesson(rule: Rule, cells: list[dict[str, Any]], tmp_path: Path) -> None:
    assert rule(lesson(tmp_path, *cells))


@pytest.mark.parametrize(
    "rule, start",
    [
        (opening, [code(SETUP)]),
        (opening, [markdown(f"# 06  Made up\n\n[![x](y)]({BADGE})")]),
        (opening, [markdown(f"# 05  Made up\n\n[![x](y)]({BADGE.replace('05_', '06_')})")]),
        (setup, [TITLE, code(SETUP + "\n")]),
        (setup, [TITLE, code("import torch"), code(SETUP)]),
        (import_cell, [TITLE, code(SETUP), code("import torch\nx = 1")]),
    ],
)
def test_broken_start(rule: Rule, start: list[dict[str, Any]], tmp_path: Path) -> None:
    assert rule(lesson(tmp_path, *start, start=False))


def test_broken_identity(tmp_path: Path) -> None:
    cells = lesson(tmp_path, code("1"))
    text = cells[0].notebook.read_text("utf-8")
    cells[0].notebook.write_text(text.replace(cells[0].id, cells[1].id), "utf-8")
    assert identity(read(cells[0].notebook))


def test_broken_order(tmp_path: Path) -> None:
    path = lesson(tmp_path, code("1"))[0].notebook
    path.write_text(path.read_text("utf-8").replace('count": 2', 'count": null'), "utf-8")
    assert executed(read(path))


def test_every_rule_is_broken_somewhere() -> None:
    assert set(BROKEN) | {opening, setup, identity, executed} == set(RULES)

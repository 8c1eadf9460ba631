"""The form of the notebooks: size, setup cell, figures in words, exercises, numbers in prose.

Each rule is a function from the cells of one notebook to a list of complaints. Some hold for every
notebook, some for a lesson, some for the evidence beside it. BROKEN holds, for each rule, made-up
notebooks that it must reject; GOOD and GOOD_EVIDENCE are such that all rules accept.
"""

from __future__ import annotations

import ast
import re
import statistics
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made_up
import nbformat
import pytest
from made_up import code, markdown, picture, printed, raised, shown

from tools.address import REPOSITORY, in_colab
from tools.notebooks import (
    EVIDENCE,
    ROOT,
    TAUGHT,
    WIDGET,
    Cell,
    evidence,
    lessons,
    lost_pictures,
    name_of,
    names_used,
    read,
)

LESSONS, BESIDE = lessons(), evidence()
SETUP = (ROOT / "tests/setup_cell.py").read_text("utf-8").strip()
COLUMNS = 80
MOST_LINES = 60    # nobody reads more than a screen of output
FIGURE_SHOWS = "**What the figure shows.**"
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\d|\.\d)")
LARGE = 12    # a larger whole number in prose is one that was measured or set
NOT_PROSE = re.compile(r"`[^`]*`|\$[^$]*\$|<[^>]+>|\]\([^)]*\)")
LABEL = re.compile(
    r"(?i)\b(?:sections?|eqs?\.|equations?|lessons?|exercises?|notebooks?|cells?|chapters?|python)\s+$"
)

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
    name = name_of(cells[0].notebook)
    badge = in_colab(f"notebooks/{name}")
    problems = []
    number = cells[0].lesson
    if cells[0].kind != "markdown" or not cells[0].source.startswith(f"# {number} "):
        problems.append(f"{name} must begin with a markdown cell  # {number} <title>")
    if f"({badge})" not in cells[0].source:
        problems.append(f"{name} lacks its badge in the first cell, to {badge}")
    return problems


def headings(cells: Cells) -> list[str]:
    """One heading of the first level, and no level is left out below it: some hear the page."""
    texts = [re.sub(r"(?s)```.*?```", "", c.source) for c in cells if c.kind == "markdown"]
    found = [m for text in texts for m in re.findall(r"(?m)^(#+) +(.+)$", text)]
    levels = [len(signs) for signs, _ in found]
    name = name_of(cells[0].notebook)
    problems = [] if levels.count(1) == 1 else [f"{name} has {levels.count(1)} headings with one #"]
    return problems + [
        f"{name}: {signs} {words} stands below a heading of level {above}"
        for above, level, (signs, words) in zip(levels, levels[1:], found[1:], strict=False)
        if level > above + 1
    ]


def setup(cells: Cells) -> list[str]:
    """The first code cell is tests/setup_cell.py letter for letter; it and the next are folded."""
    first, second = code_of(cells)[:2]
    problems = [] if first.source == SETUP else [f"{first.where} is not tests/setup_cell.py"]
    return problems + [f"{c.where} is not folded" for c in (first, second) if not c.is_folded]


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

    The setup cell may have 35, and the address in it be as long as a fork's name makes it. The
    import cell may have 40: it takes one line a name.
    """
    problems = []
    for position, cell in enumerate(code_of(cells)):
        limit = {0: 35, 1: 40}.get(position, 30 if cell.module else 20)
        if length(cell) > limit:
            problems.append(f"{cell.where} has {length(cell)} lines, more than {limit}")
        wide = wide_lines(cell.source.replace(REPOSITORY, "") if not position else cell.source)
        problems += [f"{cell.where} is wider than 80: {line}" for line in wide]
    return problems


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
    """Outputs hold no error, no stderr, no widget, no time, no address, and no endless list."""
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
        if len(cell.text.splitlines()) > MOST_LINES:
            problems.append(f"{cell.where} prints more than {MOST_LINES} lines")
        if re.search(r"\b0x[0-9a-f]{6,}", cell.text):
            problems.append(f"{cell.where} prints an address in memory")
    return problems


def drawing_names(cells: Cells) -> set[str]:
    """Return the names that a notebook imports from utils.diagrams."""
    nodes = [n for c in code_of(cells) for n in ast.walk(c.tree()) if isinstance(n, ast.ImportFrom)]
    drawers = [node for node in nodes if (node.module or "").startswith("utils.diagrams")]
    return {alias.asname or alias.name for node in drawers for alias in node.names}


def diagrams_in(cells: Cells, cell: Cell) -> int:
    """Return how many pictures of mechanisms a cell draws."""
    names = drawing_names(cells)
    return sum(name in names for name, _ in calls(cell))


def figures(cells: Cells) -> list[str]:
    """A figure has alternative text, and the next cell says in words and numbers what it shows."""
    problems = []
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        drawn = cell.kind == "code" and any(name == "show" for name, _ in calls(cell))
        if lost_pictures(cell.outputs) or (drawn and not cell.pictures):
            problems.append(f"{cell.where} has lost its picture: run  make outputs")
        if not cell.pictures:
            continue
        if not any(k.arg == "alt" for _, call in calls(cell) for k in call.keywords):
            problems.append(f"{cell.where} shows a figure without alt=")
        pictures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
        if not all(o.get("metadata", {}).get("image/png", {}).get("alt") for o in pictures):
            problems.append(f"{cell.where} keeps a picture without its description: make outputs")
        in_words = after is not None and after.kind == "markdown"
        if not in_words or not (diagrams_in(cells, cell) or re.search(r"\d", after.source)):
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


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a markdown text, without blocks of code and hints."""
    text = re.sub(r"(?s)```.*?```|<details>.*?</details>", " ", text)
    return re.split(r"(?<=[.!?:;])\s+|\n\n|\n(?=\|)", text)


def measured_numbers(sentence: str) -> Iterator[tuple[str, bool]]:
    """Yield (number, is a percentage) of each number in a sentence that somebody must have printed.

    Not a year, the number of a section or a lesson, a small whole number, a number in code or
    mathematics, one that a linked source gives, minutes of reading, or one called a guess.
    """
    if "](http" in sentence or re.search(r"\bguess", sentence):
        return
    words = re.sub(r"(?<=\d),(?=\d{3})", "", NOT_PROSE.sub(" ", sentence))
    for match in NUMBER.finditer(words):
        number, before, after = match[0], words[: match.start()], words[match.end() :]
        percent = bool(re.match(r"\s?\\?%", after))
        if re.match(r" min(ute)?s?\b", after):
            continue
        is_year = re.fullmatch(r"(?:19|20)\d\d", number)
        if LABEL.search(before) or re.fullmatch(r"0\d+", number):
            continue
        if percent or "." in number or (int(number) > LARGE and not is_year):
            yield number, percent


def numbers_printed(cells: Cells) -> set[str]:
    """Return the numbers in the outputs of these cells."""
    texts = [re.sub(r"(?<=\d),(?=\d{3})", "", cell.text) for cell in code_of(cells)]
    return {n for text in texts for n in NUMBER.findall(text)}


def prose_numbers(cells: Cells) -> list[str]:
    """A measured number in prose stands in an output above it; in a table, in any output.

    A number that the code of the notebook holds is set, not measured.
    """
    set_ones = {n for cell in code_of(cells) for n in numbers_in_code(cell) if NUMBER.fullmatch(n)}
    problems = []
    for place, cell in enumerate(cells[1:], start=1):
        if cell.kind != "markdown":
            continue
        for sentence in sentences_of(cell.source):
            above = cells if sentence.startswith("|") else cells[:place]
            known = numbers_printed(above) | set_ones
            problems += [
                f"{cell.where} says {number}, which no cell above prints: {sentence[:60]}"
                for number, percent in measured_numbers(sentence)
                if not any(supports(n, number, percent) for n in known)
            ]
    return problems


def visible(cells: Cells) -> Cells:
    """Return the code cells whose code a reader sees."""
    return [cell for cell in code_of(cells) if not cell.is_folded]


def prose_words(cells: Cells) -> int:
    """Return the number of words of prose: without hints and tables."""
    texts = [c.source for c in cells if c.kind == "markdown"]
    texts = [re.sub(r"(?s)<details>.*?</details>", " ", text) for text in texts]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("|")]
    return sum(len(line.split()) for line in lines)


def size_of_story(cells: Cells) -> list[str]:
    """At most 26 visible code cells, 1,600 words, 8 claims; cells short, one thought each."""
    name, sizes = name_of(cells[0].notebook), [length(cell) for cell in visible(cells)]
    n_claims = sum(called == "claim" for cell in code_of(cells) for called, _ in calls(cell))
    found = {
        "visible code cells": (len(sizes), 26),
        "words of prose": (prose_words(cells), 1600),
        "claims": (n_claims, 8),
        "lines in its median visible cell": (statistics.median(sizes or [0]), 8),
    }
    problems = [f"{name} has {n} {what}, more than {most}" for what, (n, most) in found.items()
                if n > most]
    for cell in visible(cells):
        if length(cell) > 16 and not cell.module:
            problems.append(f"{cell.where} has {length(cell)} lines, more than 16")
    return problems


def own_words(cells: Cells) -> list[str]:
    """From lesson 01 on, a model's own words are printed, in a cell tagged own-words."""
    shown = any("own-words" in cell.tags and cell.text.strip() for cell in code_of(cells))
    name = name_of(cells[0].notebook)
    return [] if shown or cells[0].lesson == "00" else [f"{name} prints no model's own words"]


def diagrams(cells: Cells) -> list[str]:
    """At least two mechanisms are drawn from the tensors or modules of the lesson."""
    count = sum(diagrams_in(cells, cell) for cell in code_of(cells) if cell.pictures)
    return [] if count >= 2 else [f"{name_of(cells[0].notebook)} draws {count} mechanisms, not 2"]


def from_memory(cells: Cells) -> list[str]:
    """Near the end the core is written again: a heading From memory, then an exercise."""
    heading = next((i for i, cell in enumerate(cells) if re.search(
        r"(?mi)^##+ .*from memory", cell.source) and cell.kind == "markdown"), None)
    rest = [] if heading is None else cells[heading:]
    found = any("exercise" in cell.tags for cell in rest)
    return [] if found else [f"{name_of(cells[0].notebook)} has no exercise from memory"]


def spread_exercises(cells: Cells) -> list[str]:
    """Each third of a lesson has an exercise."""
    shown = visible(cells)
    places = [place for place, cell in enumerate(shown) if "exercise" in cell.tags]
    thirds = {3 * place // len(shown) for place in places}
    name = name_of(cells[0].notebook)
    return [f"{name} has no exercise in third {n + 1}" for n in range(3) if n not in thirds]


def predictions(cells: Cells) -> list[str]:
    """What the reader is asked to predict is answered in the next prose cell."""
    prose = [cell for cell in cells if cell.kind == "markdown"]
    return [
        f"{cell.where} asks for a prediction; the next prose cell must begin with **Answer.**"
        for cell, after in zip(prose, [*prose[1:], None], strict=True)
        if "**Predict" in cell.source
        and (after is None or not after.source.lstrip().startswith("**Answer.**"))
    ]


def table_of_sayings(cells: Cells) -> list[str]:
    """Evidence opens with the table: often said, measured here, in which cell."""
    head = next((c for c in cells[1:] if c.kind == "markdown"), None)
    columns = r"(?mi)^\| *often said *\| *measured here *\| *in which cell *\|"
    if head is None or not re.search(columns, head.source):
        return [f"{name_of(cells[0].notebook)} lacks its table: often said | measured here | ..."]
    return []


def no_exercises(cells: Cells) -> list[str]:
    """Evidence asks nothing of the reader, and its cells are of a size to be read."""
    asked = [f"{c.where} is an exercise" for c in cells if {"exercise", "solution"} & set(c.tags)]
    long = [c for c in code_of(cells)[2:] if length(c) > 30]
    return asked + [f"{cell.where} has {length(cell)} lines, more than 30" for cell in long]


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
            if not cell.is_folded:
                problems.append(f"{cell.where} is not folded: jupyter.source_hidden, cellView")
            waiting = None
        elif last_check(cell):
            problems.append(f"{cell.where} calls a check: tag it exercise or solution")
    return problems + ([f"{waiting.where} has no solution after it"] if waiting else [])


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


EVERYWHERE: tuple[Rule, ...] = (
    opening,
    headings,
    setup,
    import_cell,
    identity,
    executed,
    clean,
    figures,
    corpus_tags,
)
STORY: tuple[Rule, ...] = (
    size_of_cells,
    size_of_story,
    prose_numbers,
    own_words,
    diagrams,
    exercises,
    from_memory,
    spread_exercises,
    predictions,
)
PROOF: tuple[Rule, ...] = (table_of_sayings, no_exercises, prose_numbers)
CASES = [
    *((rule, path) for path in [*LESSONS, *BESIDE] for rule in EVERYWHERE),
    *((rule, path) for path in LESSONS for rule in STORY),
    *((rule, path) for path in BESIDE for rule in PROOF),
]


# ---- the lessons ----


@pytest.mark.parametrize(
    "rule, path", CASES, ids=[f"{name_of(path)[:-6]}-{rule.__name__}" for rule, path in CASES]
)
def test_notebook(rule: Rule, path: Path) -> None:
    problems = rule(read(path))
    assert not problems, "\n" + "\n".join([rule.__doc__ or "", *problems])


def test_there_are_lessons() -> None:
    assert LESSONS
    assert [path.name for path in BESIDE] == [path.name for path in LESSONS]


@pytest.mark.parametrize("path", [*LESSONS, *BESIDE], ids=lambda path: name_of(path)[:-6])
def test_file_format(path: Path) -> None:
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}, "run  make outputs"


@pytest.mark.parametrize("name", TAUGHT)
def test_taught_modules_fit_a_projected_page(name: str) -> None:
    path = ROOT / f"utils/{name}.py"
    assert not path.exists() or wide_lines(path.read_text("utf-8")) == []


# ---- the rules themselves, on made-up lessons ----

BADGE = in_colab("notebooks/05_made_up.ipynb")
FOLDED: dict[str, Any] = {"jupyter": {"source_hidden": True}, "cellView": "form"}
TITLE = markdown(f"# 05  Made up\n\n[![Open in Colab](badge.svg)]({BADGE})")
STUB = "def mine(x):\n    return ...\n\n\ncheck_mine(mine)"
UNTOUCHED = printed("Exercise 5.1: not attempted yet")


SETUP_CELL = code(SETUP, **FOLDED)
DRAWER = "from utils.diagrams.looks import ring"
IMPORTS = code(f"import torch\n\n{DRAWER}\n\nuse_course_style()", **FOLDED)


def lesson(folder: Path, *cells: dict[str, Any], start: bool = True) -> Cells:
    """Return the cells of a made-up lesson, after a proper start unless told otherwise."""
    begin = [TITLE, SETUP_CELL, IMPORTS] if start else []
    return read(made_up.write(folder / "05_made_up.ipynb", *begin, *cells))


EXERCISE = (
    code(STUB, UNTOUCHED, tags=("exercise",)),
    markdown("<details><summary>Hint</summary>\n\nIt is 77.\n\n</details>"),
    code("check_mine(sum)", printed("Exercise 5.1: correct"), tags=("solution",), **FOLDED),
)
DIAGRAM = (code("show(ring(x), alt='A ring.')", picture()), markdown("A ring."))
GOOD = (
    *EXERCISE,
    code("torch.manual_seed(0)\nx = 0.25", printed("shares 0.434 and 87%, 1,600 words")),
    markdown("**Predict.** More or less than a half?"),
    code("show(fig, alt='A line.')", picture()),
    markdown(f"**Answer.** {FIGURE_SHOWS} From 0.43 to 43 %, or 87 %, at 0.25, in 3 steps."),
    *DIAGRAM,
    *DIAGRAM,
    markdown(
        "In 2017, section 3.12: `77`, $77$, [page 77](https://x.org/77) has 77. A guess of 99 %. "
        "There are 1600 words."
    ),
    *EXERCISE,
    code("1 / 0", raised("ZeroDivisionError", "division by zero"), tags=("raises-exception",)),
    code("pairs = [1]", tags=("corpus-multi30k",)),
    code("[x for x in pairs]", tags=("corpus-multi30k",)),
    code("def f(pairs):\n    return pairs\n\n\nf(x)"),
    code("write()", printed("an apple"), tags=("own-words",)),
    code("%time\nx = 3"),
    markdown("## From memory"),
    *EXERCISE,
    markdown("| name | kept |\n|---|---|\n| 0.43 | x |"),
)
SAYINGS = markdown("| often said | measured here | in which cell |\n|---|---|---|\n| a | 0.5 | b |")
GOOD_EVIDENCE = (SAYINGS, code("x", printed("0.51 and 0.49 or 0.5")), markdown("So 0.51."))

NO_PICTURE = shown(text__plain="<Figure size 600x300 with 1 Axes>")
BROKEN: dict[Rule, list[list[dict[str, Any]]]] = {
    figures: [
        [code("show(fig)", picture()), markdown("3 lines")],
        [code("show(fig, alt='x')", picture(alt="")), markdown("3 lines")],
        [code("show(fig, alt='x')", picture()), markdown("lines")],
        [code("show(fig, alt='x')", picture()), code("3")],
        [code("show(fig, alt='x')", picture())],
        [code("show(fig, alt='x')"), markdown("3 lines")],
        [
            code("for fig in two:\n    show(fig, alt='x')", picture(), NO_PICTURE),
            markdown("3 lines"),
        ],
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
    prose_numbers: [
        [code("x", printed("0.44")), markdown("It is 0.43.")],
        [markdown("It is 0.43."), code("x", printed("0.43"))],
        [code("x", printed("0.43")), markdown("It is 44 %.")],
        [code("x", printed("12")), markdown("There are 13 words.")],
        [code("x", printed("160")), markdown("There are 1,600 words.")],
        [code("x", printed("0.44")), markdown("| a |\n|---|\n| 0.43 |")],
    ],
    size_of_story: [
        [code("1") for _ in range(27)],
        [markdown("word " * 1601)],
        [code("claim('x', True)\n" * 9)],
        [code("x = 1\n" * 9)],
        [code("1"), code("x = 1\n" * 17), code("1")],
    ],
    own_words: [[code("write()", tags=("own-words",))], [code("write()", printed("a"))]],
    diagrams: [[*DIAGRAM], [code("ring(x)")] * 2, [code("bar(x)", picture())] * 2],
    from_memory: [[*EXERCISE], [*EXERCISE, markdown("## From memory")]],
    spread_exercises: [[*[code("1")] * 4, *EXERCISE, *EXERCISE], [*EXERCISE, *[code("1")] * 9]],
    predictions: [
        [markdown("**Predict.** What?"), code("x"), markdown("It is small.")],
        [markdown("**Predict.** What?"), code("x")],
    ],
    table_of_sayings: [[markdown("| often said | measured |")], [code("1"), SAYINGS][:1]],
    no_exercises: [[*EXERCISE], [code("x = 1\n" * 31)]],
    headings: [[markdown("# Two")], [markdown("## A"), markdown("#### B")], [markdown("### A")]],
    import_cell: [[code("import math")], [code("def f():\n    from math import pi")]],
    size_of_cells: [
        [code("x = 1\n" * 21)],
        [code("# built here, kept in utils/text.py\n" + "x = 1\n" * 30)],
        [code(f"x = '{'a' * 80}'")],
        [code(f"x = '{'語' * 40}'")],
    ],
    clean: [
        [code("1 / 0", raised("ZeroDivisionError", "x"))],
        [code("1", tags=("raises-exception",))],
        [code("1", printed("x", "stderr"))],
        [code("1", shown(**{WIDGET: {}}))],
        [code("1", execution={"iopub.status.idle": "2026-01-01"})],
        [code("1", printed("<function f at 0x7f12ab34cd>"))],
        [code("losses", printed("0.1\n" * 61))],
    ],
    corpus_tags: [
        [code("pairs = 1", tags=("corpus-multi30k",)), code("print(pairs)")],
        [code("pairs = 1", tags=("corpus-multi30k",)), code("def f():\n    return pairs")],
        [code("pairs = 1", tags=("corpus-a",)), code("pairs", tags=("corpus-b",))],
        [code("def load():\n    pass", tags=("corpus-a",)), code("[load() for _ in [1]]")],
    ],
}


RULES = tuple(dict.fromkeys([*EVERYWHERE, *STORY, *PROOF]))


@pytest.mark.parametrize("rule", [*EVERYWHERE, *STORY], ids=lambda rule: rule.__name__)
def test_good_lesson(rule: Rule, tmp_path: Path) -> None:
    assert rule(lesson(tmp_path, *GOOD)) == []


@pytest.mark.parametrize("rule", [*EVERYWHERE, *PROOF], ids=lambda rule: rule.__name__)
def test_good_evidence(rule: Rule, tmp_path: Path) -> None:
    (tmp_path / EVIDENCE).mkdir()
    title = markdown(TITLE.source.replace("notebooks/", f"notebooks/{EVIDENCE}/"))
    cells = title, SETUP_CELL, IMPORTS, *GOOD_EVIDENCE
    assert rule(read(made_up.write(tmp_path / EVIDENCE / "05_made_up.ipynb", *cells))) == []


@pytest.mark.parametrize(
    "rule, cells", [(rule, cells) for rule, many in BROKEN.items() for cells in many]
)
def test_broken_notebook(rule: Rule, cells: list[dict[str, Any]], tmp_path: Path) -> None:
    assert rule(lesson(tmp_path, *cells))


@pytest.mark.parametrize(
    "rule, start",
    [
        (opening, [SETUP_CELL]),
        (opening, [markdown(f"# 06  Made up\n\n[![x](y)]({BADGE})")]),
        (opening, [markdown(f"# 05  Made up\n\n[![x](y)]({BADGE.replace('05_', '06_')})")]),
        (setup, [TITLE, code(SETUP + "\n", **FOLDED), IMPORTS]),
        (setup, [TITLE, IMPORTS, SETUP_CELL]),
        (setup, [TITLE, code(SETUP), IMPORTS]),
        (setup, [TITLE, SETUP_CELL, code("import torch")]),
        (import_cell, [TITLE, SETUP_CELL, code("import torch\nx = 1")]),
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

"""What a notebook builds is what later notebooks import.

A code cell that begins `# built here, kept in utils/<module>.py` holds functions, classes and
constants that stand in that file character for character. Every part of a taught module is built
in exactly one lesson, and imported only by later ones. The evidence beside a lesson builds nothing,
and may import what that lesson builds.
"""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

import made_up
import pytest

from tools.notebooks import EVIDENCE, ROOT, TAUGHT, Cell, evidence, lessons, read

Parts = dict[str, dict[str, str]]    # module: {name: exact text}

LESSONS = lessons()
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def parts(source: str, tree: ast.Module) -> dict[str, str]:
    """Return {name: exact text} of the definitions and constants at the top level."""
    lines = source.splitlines()
    found = {}
    for node in tree.body:
        first = node.lineno
        if isinstance(node, DEFINITIONS):
            first = min([first, *(d.lineno for d in node.decorator_list)])
        for name in names_bound(node):
            found[name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


def names_bound(node: ast.stmt) -> list[str]:
    """Return the names that a definition or an assignment gives a value."""
    if isinstance(node, DEFINITIONS):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]


def taught_modules(folder: Path) -> Parts:
    """Return the parts of each taught module that stands in a folder."""
    paths = {name: folder / f"{name}.py" for name in TAUGHT}
    texts = {name: path.read_text("utf-8") for name, path in paths.items() if path.exists()}
    return {name: parts(text, ast.parse(text)) for name, text in texts.items()}


def code_cells(paths: list[Path]) -> list[Cell]:
    """Return the code cells of these notebooks in course order."""
    return [cell for path in paths for cell in read(path) if cell.kind == "code"]


def different_text(cells: list[Cell], modules: Parts) -> list[str]:
    """Say where a built-here cell and its module do not agree, as a diff."""
    problems = []
    for cell in (c for c in cells if c.module):
        if cell.module not in modules:
            problems.append(f"{cell.where} names utils/{cell.module}.py, which is not taught")
            continue
        for name, text in parts(cell.source, cell.tree()).items():
            kept = modules[cell.module].get(name, "")
            problems += difflib.unified_diff(
                kept.splitlines(),
                text.splitlines(),
                f"utils/{cell.module}.py",
                cell.where,
                lineterm="",
            )
    return problems


def built_in(cells: list[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """Return the cells that build each (module, name)."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in (c for c in cells if c.module):
        for name in parts(cell.source, cell.tree()):
            found.setdefault((cell.module, name), []).append(cell)
    return found


def not_built_once(cells: list[Cell], modules: Parts) -> list[str]:
    """Say which part of a taught module is built nowhere, or more than once."""
    built = built_in(cells)
    problems = []
    for module, names in modules.items():
        for name in names:
            places = [cell.where for cell in built.get((module, name), [])]
            if len(places) != 1:
                where = " and ".join(places) or "no notebook"
                problems.append(f"{name} of utils/{module}.py is built in {where}")
    return problems


def shared_names(modules: Parts) -> list[str]:
    """Say which name stands in more than one taught module: one name has one meaning."""
    homes: dict[str, list[str]] = {}
    for module, names in modules.items():
        for name in names:
            homes.setdefault(name, []).append(module)
    return [f"{name} stands in {' and '.join(m)}" for name, m in homes.items() if len(m) > 1]


def names_reused(cells: list[Cell], modules: Parts) -> list[str]:
    """Say which other cell gives a new meaning to the name of a taught part."""
    kept = {name for names in modules.values() for name in names}
    return [
        f"{cell.where} gives {name} a second meaning"
        for cell in cells
        if not cell.module
        for name in sorted(kept & parts(cell.source, cell.tree()).keys())
    ]


def imports(tree: ast.Module) -> list[tuple[str, str]]:
    """Return (module of utils, name) of each import from utils; no name for a whole module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(a.name, "") for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "utils":
            found += [(f"utils.{a.name}", "") for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", a.name) for a in node.names]
    return [(m.removeprefix("utils."), name) for m, name in found if m.startswith("utils")]


def imported_too_early(cells: list[Cell], modules: Parts) -> list[str]:
    """Say which notebook imports a taught part that no earlier notebook has built."""
    built = built_in(cells)
    problems = []
    for cell in cells:
        for module, name in imports(cell.tree()):
            places = built.get((module, name), [])
            if module in modules and not name:
                problems.append(f"{cell.where}: import the names of utils.{module} one by one")
            elif module in modules and not any(is_before(p, cell) for p in places):
                problems.append(f"{cell.where} imports {name} before it is built")
    return problems


def is_before(builder: Cell, user: Cell) -> bool:
    """Tell whether a reader has gone through the lesson of one cell when he comes to the other."""
    beside = user.notebook.parent.name == EVIDENCE
    return builder.lesson < user.lesson or (beside and builder.lesson == user.lesson)


def built_beside(cells: list[Cell]) -> list[str]:
    """Say which evidence notebook builds a part: only lessons do."""
    return [
        f"{cell.where} builds a part of utils/{cell.module}.py: that belongs in a lesson"
        for cell in cells
        if cell.module and cell.notebook.parent.name == EVIDENCE
    ]


def other_statements(sources: dict[str, str]) -> list[str]:
    """Say which statement of a taught module is no import, definition or constant."""
    problems = []
    for module, source in sources.items():
        for node in ast.parse(source).body[1:]:
            if not names_bound(node) and not isinstance(node, (ast.Import, ast.ImportFrom)):
                problems.append(f"utils/{module}.py, line {node.lineno}: {ast.unparse(node)[:60]}")
    return problems


MODULES = taught_modules(ROOT / "utils")
CELLS = code_cells([*LESSONS, *evidence()])


def test_same_text() -> None:
    problems = different_text(CELLS, MODULES)
    assert not problems, "\n" + "\n".join(problems)


def test_every_part_is_built_exactly_once() -> None:
    problems = not_built_once(CELLS, MODULES)
    assert not problems, "\n" + "\n".join(problems)


def test_one_name_stands_in_one_module() -> None:
    problems = shared_names(MODULES)
    assert not problems, "\n" + "\n".join(problems)


def test_no_other_cell_uses_the_name_of_a_part() -> None:
    problems = names_reused(CELLS, MODULES)
    assert not problems, "\n" + "\n".join(problems)


def test_nothing_is_imported_before_it_is_built() -> None:
    problems = imported_too_early(CELLS, MODULES)
    assert not problems, "\n" + "\n".join(problems)


def test_evidence_builds_nothing() -> None:
    problems = built_beside(CELLS)
    assert not problems, "\n" + "\n".join(problems)


def test_taught_modules_hold_nothing_else() -> None:
    sources = {name: (ROOT / f"utils/{name}.py").read_text("utf-8") for name in MODULES}
    problems = other_statements(sources)
    assert not problems, "\n" + "\n".join(problems)


# ---- the same rules on a course of two notebooks and one module ----

MARK = "# built here, kept in utils/attention.py\n"
SCALE = 'def scale(x):\n    """Halve."""\n    return x / 2'
MASK = "class Mask:\n    pass"
SIZE = "SIZE = 4  # tokens"
KEPT = f'"""Attention."""\n\nimport math\n\n{SIZE}\n\n\n{SCALE}\n\n\n{MASK}\n'


@pytest.fixture
def modules(tmp_path: Path) -> Parts:
    """Return the parts of a module with one function, one class and one constant."""
    (tmp_path / "attention.py").write_text(KEPT, encoding="utf-8")
    return taught_modules(tmp_path)


def course(folder: Path, first: list[str], second: list[str]) -> list[Cell]:
    """Return the cells of a course of two notebooks."""
    return code_cells([
        made_up.write(folder / "05_first.ipynb", *map(made_up.code, first)),
        made_up.write(folder / "06_second.ipynb", *map(made_up.code, second)),
    ])


def broken_rules(cells: list[Cell], modules: Parts) -> set[str]:
    """Return the names of the rules that a course breaks."""
    rules = (different_text, not_built_once, names_reused, imported_too_early)
    return {rule.__name__ for rule in rules if rule(cells, modules)}


def test_a_course_that_keeps_the_rules(tmp_path: Path, modules: Parts) -> None:
    first = [MARK + SIZE + "\n\n\n" + SCALE, MARK + MASK + "\n\n\nprint(Mask())"]
    second = ["from utils.attention import SIZE, Mask, scale", "%time\nwidth = scale(SIZE)"]
    assert broken_rules(course(tmp_path, first, second), modules) == set()


WHOLE = [MARK + SIZE + "\n" + SCALE + "\n" + MASK]


@pytest.mark.parametrize(
    "first, second, rule",
    [
        ([WHOLE[0].replace("x / 2", "x / 3")], [], "different_text"),
        ([WHOLE[0].replace("# tokens", "# words")], [], "different_text"),
        ([WHOLE[0] + "\nextra = 1"], [], "different_text"),
        ([*WHOLE, "# built here, kept in utils/plots.py\nx = 1"], [], "different_text"),
        ([MARK + SIZE + "\n" + MASK], [], "not_built_once"),
        ([MARK + SCALE + "\n" + MASK], [], "not_built_once"),
        (WHOLE, [MARK + SCALE], "not_built_once"),
        (WHOLE, ["def scale(x):\n    return x"], "names_reused"),
        (WHOLE, ["scale = 3"], "names_reused"),
        ([*WHOLE, "from utils.attention import scale"], [], "imported_too_early"),
        (["from utils.attention import scale"], WHOLE, "imported_too_early"),
        (WHOLE, ["import utils.attention"], "imported_too_early"),
        (WHOLE, ["from utils import attention"], "imported_too_early"),
        (WHOLE, ["from utils.attention import math"], "imported_too_early"),
    ],
)
def test_a_course_that_breaks_one(
    tmp_path: Path, modules: Parts, first: list[str], second: list[str], rule: str
) -> None:
    assert broken_rules(course(tmp_path, first, second), modules) == {rule}


def test_evidence_beside_a_lesson(tmp_path: Path, modules: Parts) -> None:
    (tmp_path / EVIDENCE).mkdir()
    first = made_up.write(tmp_path / "05_first.ipynb", made_up.code(WHOLE[0]))
    use = made_up.code("from utils.attention import scale")
    beside = [made_up.write(tmp_path / f"{EVIDENCE}/0{n}_x.ipynb", use) for n in (4, 5)]
    assert imported_too_early(code_cells([first, beside[1]]), modules) == []
    assert imported_too_early(code_cells([first, beside[0]]), modules) != []
    copied = made_up.write(tmp_path / f"{EVIDENCE}/05_y.ipynb", made_up.code(WHOLE[0]))
    assert built_beside(code_cells([first])) == []
    assert built_beside(code_cells([copied])) != []


def test_a_name_in_two_modules() -> None:
    assert shared_names({"text": {"one": "", "two": ""}, "attention": {"three": ""}}) == []
    assert shared_names({"text": {"one": ""}, "attention": {"one": ""}}) != []


def test_a_decorator_belongs_to_its_definition() -> None:
    source = "@torch.no_grad()\ndef scale(x):\n    return x"
    assert parts(source, ast.parse(source)) == {"scale": source}


@pytest.mark.parametrize("line", ["print(1)", "if True:\n    pass", "for i in []:\n    pass"])
def test_a_statement_that_cannot_be_built(line: str) -> None:
    assert other_statements({"attention": KEPT}) == []
    assert other_statements({"attention": KEPT + line})

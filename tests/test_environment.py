"""What the course installs, what its modules import, and what its README says is where."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools.files import course_files
from tools.notebooks import NOT_TAUGHT, ROOT, TAUGHT, lessons, read

ORDER = (*TAUGHT, *NOT_TAUGHT)
REQUIREMENT = re.compile(r"([a-z][a-z0-9-]*)==(\d[\w.]*)( +# \S.*)?")
FORBIDDEN = {"torchtext", "spacy", "datasets", "transformers"}


def files() -> list[str]:
    """Return the paths of the files of the course."""
    return course_files()


def text(name: str) -> str:
    """Return the text of a file of the course."""
    return (ROOT / name).read_text("utf-8")


# ---- requirements ----


def requirements(source: str) -> list[re.Match[str]]:
    """Return the requirements of a file.

    Raises ValueError at a line that is not `name==version`.
    """
    found = []
    for line in source.splitlines():
        if not line or line.startswith("#"):
            continue
        match = REQUIREMENT.fullmatch(line)
        if match is None:
            raise ValueError(f"Not pinned as name==version: {line}")
        found.append(match)
    return found


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-room.txt"])
def test_everything_is_pinned_and_has_a_reason(name: str) -> None:
    assert [r[1] for r in requirements(text(name)) if not r[3]] == []


def test_a_learner_installs_nothing_that_only_a_room_needs() -> None:
    learner, room = (
        {r[1] for r in requirements(text(n))} for n in ("requirements.txt", "requirements-room.txt")
    )
    assert not learner & room


@pytest.mark.parametrize("line", ["torch>=2", "torch", "torch==2.13.0, <3", "-r more.txt"])
def test_an_unpinned_requirement_is_found(line: str) -> None:
    with pytest.raises(ValueError, match="Not pinned"):
        requirements(line)


def test_a_requirement_without_reason_is_found() -> None:
    found = requirements("# a\n\ntorch==2.13.0 # why\nnumpy==2.0")
    assert [r[3] for r in found] == [" # why", None]


def test_the_oldest_releases_are_of_the_same_packages() -> None:
    oldest = requirements(text("tests/oldest-requirements.txt"))
    pinned = requirements(text("requirements.txt"))
    assert [r[1] for r in oldest] == [r[1] for r in pinned]
    for old, new in zip(oldest, pinned, strict=True):
        assert version(old[2]) <= version(new[2]), f"{old[0]} is newer than what is pinned"


def version(written: str) -> tuple[int, ...]:
    """Return a version as numbers that can be compared."""
    return tuple(map(int, written.split(".")))


def test_conda_installs_the_same() -> None:
    (index,) = re.findall(r"(?m)^TORCH_INDEX \?= (\S+)$", text("Makefile"))
    lines = [line.strip() for line in text("environment.yml").splitlines()]
    dependencies = lines[lines.index("dependencies:") + 1 :]
    assert [line for line in dependencies if line[0] != "#"] == [
        "- python=3.12", "- make", "- pip", "- pip:",
        f"- --extra-index-url {index}", "- -r requirements.txt",
    ]
    assert lines[lines.index("channels:") + 1] == "- conda-forge"


# ---- imports ----

FOLDERS = ("checks", "diagrams", "translator")


def imported(tree: ast.AST) -> set[str]:
    """Return the full names of all modules that a tree imports, also inside functions."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "utils":
            names |= {f"utils.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def out_of_order(module: str, source: str) -> list[str]:
    """Return what a module of utils imports from its own row or a later one, or relatively.

    The files of a folder may import one another.
    """
    names = imported(ast.parse(source))
    own = ORDER.index(module)
    late = [f"utils.{name}" for name in ORDER[own + (module in FOLDERS) :]]
    return sorted(n for n in names if n[0] == "." or ".".join(n.split(".")[:2]) in late)


def module_of(name: str) -> str:
    """Return the module that a file of utils belongs to: utils/checks/core.py to checks."""
    return Path(name).parts[1].removesuffix(".py")


UTILS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("utils/**/*.py"))


@pytest.mark.parametrize("name", [n for n in UTILS if n != "utils/__init__.py"])
def test_modules_import_only_from_rows_above(name: str) -> None:
    assert out_of_order(module_of(name), text(name)) == []


def test_the_package_itself_imports_nothing() -> None:
    assert imported(ast.parse(text("utils/__init__.py"))) == set()


@pytest.mark.parametrize(
    "module, source",
    [
        ("text", "from utils.attention import mask"),
        ("text", "from utils import attention"),
        ("text", "import utils.plots"),
        ("text", "from utils.text import x"),
        ("text", "def f():\n    from utils.checks.core import claim"),
        ("attention", "from .text import x"),
        ("checks", "from utils.workshop import x"),
    ],
)
def test_an_import_from_below_is_found(module: str, source: str) -> None:
    assert out_of_order(module, source)


def test_an_import_from_above_is_allowed() -> None:
    assert out_of_order("attention", "import torch\nfrom utils.text import x") == []
    assert out_of_order("checks", "from utils.checks.core import claim") == []


def test_nothing_imports_a_package_that_would_rot() -> None:
    trees = {name: ast.parse(text(name)) for name in files() if name.endswith(".py")}
    for cell in (c for path in lessons() for c in read(path) if c.kind == "code"):
        trees[cell.where] = cell.tree()
    for name, tree in trees.items():
        assert not rotting(tree), name


def rotting(tree: ast.AST) -> set[str]:
    """Return the forbidden packages that a tree imports."""
    return FORBIDDEN & {name.split(".")[0] for name in imported(tree)}


@pytest.mark.parametrize("source", ["import torchtext.data", "from datasets import x"])
def test_a_forbidden_import_is_found(source: str) -> None:
    assert rotting(ast.parse(source))


# ---- the README ----


def unmapped(readme: str, names: list[str], folder: Path = ROOT) -> list[str]:
    """Return what the README's map misses, and what it names that does not exist.

    The map is the block of code after the heading "What is where": a path on each line. It names
    each file at the top and each folder that holds files.
    """
    block = readme.partition("## What is where")[2].partition("```text\n")[2].partition("\n```")[0]
    mapped = [line.split()[0] for line in block.splitlines() if line.strip()]
    wanted = {name.rpartition("/")[0] + "/" if "/" in name else name for name in names}
    wanted = {n.split("/")[0] + "/" if n.startswith(".") and "/" in n else n for n in wanted}
    missing = [f"{name} is not in the map" for name in sorted(wanted - set(mapped))]
    return missing + [f"{name} does not exist" for name in mapped if not (folder / name).exists()]


def test_the_map_in_the_readme_is_complete() -> None:
    problems = unmapped(text("README.md"), files())
    assert not problems, "\n" + "\n".join(problems)


MAP = "## What is where\n\n```text\nREADME.md   this\nutils/      u\n.ci/        c\n```\n"


def test_a_gap_in_the_map_is_found(tmp_path: Path) -> None:
    names = ["README.md", "utils/text.py", "utils/__init__.py", ".ci/deep/run"]
    (tmp_path / "utils").mkdir()
    (tmp_path / ".ci").mkdir()
    assert unmapped(MAP, names, tmp_path) == ["README.md does not exist"]
    (tmp_path / "README.md").touch()
    assert unmapped(MAP, names, tmp_path) == []
    assert unmapped(MAP, [*names, "utils/checks/a.py", "notebooks/05_x.ipynb"], tmp_path) == [
        "notebooks/ is not in the map",
        "utils/checks/ is not in the map",
    ]


def dead_links(markdown: str, folder: Path) -> list[str]:
    """Return the relative links of a markdown text that lead nowhere."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", markdown)
    return [link for link in links if "://" not in link and not (folder / link).exists()]


def test_the_links_of_markdown_files_lead_somewhere() -> None:
    for name in (n for n in files() if n.endswith(".md")):
        assert dead_links(text(name), (ROOT / name).parent) == [], name


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").touch()
    assert dead_links("[a](a.md#x) [b](b.md) [c](https://example.org/c)", tmp_path) == ["b.md"]

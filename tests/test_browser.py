"""Two lessons in a real JupyterLab in headless Chromium: what a reader does, and what he sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import made_up
import pytest

from tools.browser import Reader, browser, copy_course, faults_of, lab, why_not
from tools.notebooks import FOLDER, read


class Visit(NamedTuple):
    """A lesson, and an exercise of it that is solved wrong first."""

    lesson: str
    exercise: str
    stub: str      # the line that is replaced
    wrong: str
    mistake: str   # what the check says to it
    right: str
    solution: str  # the folded cell


VISITS = [
    Visit(
        "00_start_here", "exercise-softmax-stub", "    return ...",
        "    return scores.exp() / scores.exp().sum(-1, keepdim=True)",
        "nothing is subtracted, so exp() leaves the range",
        "    return scores.softmax(dim=-1)", "softmax",
    ),
    Visit(
        "03_text_to_batches", "exercise-padding-mask", "    return ...",
        "    return (tokens == pad_id).unsqueeze(1)", "the mask is upside down",
        "    return (tokens != pad_id).unsqueeze(1)", "build-padding-mask",
    ),
]
needs_a_browser = pytest.mark.skipif(bool(why_not()), reason=why_not() or "")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the course."""
    return copy_course(tmp_path_factory.mktemp("browser") / "course")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Start a browser."""
    with browser() as program:
        yield program


@pytest.mark.browser
@needs_a_browser
@pytest.mark.parametrize("visit", VISITS, ids=lambda visit: visit.lesson[:2])
def test_a_reader_works_through_a_lesson(visit: Visit, course: Path, chromium: Any) -> None:
    notebook = f"notebooks/{visit.lesson}.ipynb"
    cells = {cell.id: cell for cell in read(FOLDER / f"{visit.lesson}.ipynb")}
    headings = [c.source.partition("\n")[0].lstrip("# ") for c in cells.values()
                if c.kind == "markdown" and c.source.startswith("#")]
    stub = cells[visit.exercise].source
    assert stub.count(visit.stub) == 1
    with lab(course, notebook) as address:
        reader = Reader(chromium)
        reader.go_to(address)
        shown = [" ".join(heading.split()) for heading in reader.contents()]
        assert shown[0] == " ".join(headings[0].split()) and set(shown) >= {headings[1]}
        assert reader.faults() == []

        reader.run_all()
        assert reader.faults() == []
        assert sum(len(cell["pictures"]) for cell in reader.state()["cells"]) >= 3
        assert "not attempted yet" in reader.said(visit.exercise)

        said = reader.write(visit.exercise, stub.replace(visit.stub, visit.wrong))
        assert said.startswith("✗ Exercise") and visit.mistake in said
        said = reader.write(visit.exercise, stub.replace(visit.stub, visit.right))
        assert said.startswith("✓ Exercise")

        assert visit.solution in reader.folded and len(reader.folded) > 5
        assert "def " in reader.unfold(visit.solution)
        assert reader.faults() == []
        (opened,) = (c["open"] for c in reader.state()["cells"] if c["id"] == visit.solution)
        assert opened
        reader.folded.add(visit.solution)
        assert reader.faults() == [f"{visit.solution}: should be folded, and its code is seen"]
        reader.page.context.close()


# ---- what counts as a fault, without a browser ----


def shown(cell: dict[str, Any], **seen: Any) -> dict[str, Any]:
    """Return a cell of code as the page describes it: run, its pictures drawn."""
    pictures = [{"drawn": True, "alt": ""} for o in cell["outputs"] if "image/png" in str(o)]
    return {
        "id": "x", "code": True, "metadata": cell["metadata"], "count": 1, "empty": False,
        "pictures": pictures, "outputs": cell["outputs"],
    } | seen


def drawn(alt: str) -> dict[str, Any]:
    """Return the output of a figure with a description."""
    return made_up.picture() | {"metadata": {"image/png": {"alt": alt}}}


@pytest.mark.parametrize(
    "cell",
    [
        shown(made_up.code("1", made_up.printed("1"))),
        shown(made_up.code("1 / 0", made_up.raised("Error", "x"), tags=("raises-exception",))),
        shown(made_up.code("fig", drawn("A line."))),
        shown(made_up.code(""), count=None, empty=True),
    ],
)
def test_what_is_right_is_no_fault(cell: dict[str, Any]) -> None:
    assert faults_of(cell) == []


@pytest.mark.parametrize(
    "cell, fault",
    [
        (shown(made_up.code("1"), count=None), "has not run"),
        (shown(made_up.code("1 / 0", made_up.raised("Error", "x"))), "ends with Error: x"),
        (shown(made_up.code("x", made_up.printed("oh", "stderr"))), "writes on stderr: oh"),
        (shown(made_up.code("fig", drawn(""))), "shows a picture without a description"),
        (shown(made_up.code("fig", drawn("A line.")), pictures=[]),
         "has a picture that is not drawn"),
        (shown(made_up.code("fig", drawn("A line.")), pictures=[{"drawn": False, "alt": ""}]),
         "has a picture that is not drawn"),
    ],
)
def test_a_fault_is_found(cell: dict[str, Any], fault: str) -> None:
    assert faults_of(cell) == [fault]

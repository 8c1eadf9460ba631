"""Every row of the ledger is settled by a cell that ran and shows ✓.

The ledger is tests/claims.tsv: id, statement, seeds (whether the documents that the course answers
had it right), notebooks (the lessons that settle it). A cell settles a row by its tag `claim-<id>`,
in the lesson or in the evidence beside it. A row marked "context" is background and needs no cell.
"""

from __future__ import annotations

from pathlib import Path

import made_up
import pytest

from tools.claims_index import (
    CONTEXT,
    GLOSSARY,
    LEDGER,
    Row,
    Term,
    index,
    read_glossary,
    read_ledger,
    tagged_cells,
    write_index,
)
from tools.notebooks import FOLDER, Cell, evidence, lessons, read

CELLS = [cell for path in [*lessons(), *evidence()] for cell in read(path)]
HERE = {path.name[:2] for path in lessons()}


def unsettled(rows: list[Row], cells: list[Cell], here: set[str]) -> list[str]:
    """Say which row is not settled in one of its lessons, of those that are here."""
    problems = []
    for row in (r for r in rows if r.seeds != CONTEXT):
        for lesson in sorted(here & set(row.lessons)):
            found = [c for c in tagged_cells(cells, row.id) if c.lesson == lesson]
            if not found:
                problems.append(f"{row.id} is not settled in lesson {lesson}: {row.statement}")
    return problems


def not_shown(cells: list[Cell]) -> list[str]:
    """Say which claim cell has not run, shows no ✓, or shows a ✗."""
    problems = []
    for cell in cells:
        tags = [tag for tag in cell.tags if tag.startswith("claim-")]
        if tags and (cell.count is None or "✓ " not in cell.text or "✗" in cell.text):
            problems.append(f"{cell.where} ({', '.join(tags)}) does not show that it holds")
    return problems


def unknown_tags(rows: list[Row], cells: list[Cell]) -> list[str]:
    """Say which claim tag names no row, or a lesson that its row does not list."""
    listed = {row.id: row.lessons for row in rows}
    problems = []
    for cell in cells:
        for name in (t.removeprefix("claim-") for t in cell.tags if t.startswith("claim-")):
            if cell.lesson not in listed.get(name, ()):
                problems.append(f"{cell.where}: the ledger does not list {name} for this lesson")
    return problems


def test_the_ledger_is_complete() -> None:
    assert [row.id for row in read_ledger(LEDGER)] == [f"S{n}" for n in range(1, 137)]


def test_every_row_is_whole() -> None:
    rows = read_ledger(LEDGER)
    assert [r.id for r in rows if not (r.statement and r.seeds and r.lessons)] == []


def test_every_row_is_settled() -> None:
    problems = unsettled(read_ledger(LEDGER), CELLS, HERE)
    assert not problems, "\n" + "\n".join(problems)


def test_every_claim_cell_shows_that_it_holds() -> None:
    problems = not_shown(CELLS)
    assert not problems, "\n" + "\n".join(problems)


def test_every_tag_is_a_row() -> None:
    problems = unknown_tags(read_ledger(LEDGER), CELLS)
    assert not problems, "\n" + "\n".join(problems)


def test_the_index_is_fresh() -> None:
    committed = (FOLDER / "README.md").read_text("utf-8")
    fresh = index(read_ledger(LEDGER), CELLS, read_glossary(GLOSSARY))
    assert committed == fresh, "run  make outputs  to write it anew"


def test_the_glossary_says_each_word_once_and_shortly() -> None:
    terms = read_glossary(GLOSSARY)
    words = [term.word.casefold() for term in terms]
    assert len(set(words)) == len(words)
    assert [t.word for t in terms if len(t.meaning.split()) > 25 or t.lesson not in HERE] == []


# ---- the same on a made-up ledger and course ----

ROWS = [Row("S1", "Softmax sums to one.", "yes", ("05",)), Row("S2", "So.", "no", ("05", "06"))]
HEAD_LINE = "id\tstatement\tseeds\tnotebooks\n"
HOLDS = made_up.printed("✓ it holds")


def course(folder: Path, *cells: dict) -> list[Cell]:
    """Return the cells of one notebook, 05."""
    return read(made_up.write(folder / "05_attention.ipynb", *cells))


def test_a_settled_course(tmp_path: Path) -> None:
    cells = course(tmp_path, made_up.code("claim()", HOLDS, tags=("claim-S1", "claim-S2")))
    assert unsettled(ROWS, cells, {"05"}) == []
    assert unknown_tags(ROWS, cells) == []
    assert not_shown(cells) == []


def test_a_row_left_out(tmp_path: Path) -> None:
    cells = course(tmp_path, made_up.code("claim()", HOLDS, tags=("claim-S1",)))
    assert len(unsettled(ROWS, cells, {"05"})) == 1
    assert len(unsettled(ROWS, cells, {"05", "06"})) == 2
    background = [Row("S2", "So.", CONTEXT, ("05", "06"))]
    assert unsettled(background, cells, {"05", "06"}) == []
    assert "not yet" not in index(background, cells, [])


def test_a_row_that_the_evidence_settles(tmp_path: Path) -> None:
    cell = made_up.code("claim()", HOLDS, tags=("claim-S1", "claim-S2"))
    (tmp_path / "evidence").mkdir()
    title = made_up.markdown("# 05  Looks")
    lesson = read(made_up.write(tmp_path / "05_looks.ipynb", title))
    beside = read(made_up.write(tmp_path / "evidence/05_looks.ipynb", title, cell))
    assert unsettled(ROWS, lesson + beside, {"05"}) == []
    text = index(ROWS, lesson + beside, [Term("look", "a glance", "05")])
    assert f"[05 evidence: 05  Looks](evidence/05_looks.ipynb#cell-id={cell['id']})" in text
    assert "| [05  Looks](05_looks.ipynb) | [evidence](evidence/05_looks.ipynb) |" in text
    assert "| look | a glance | 05 |" in text


@pytest.mark.parametrize("text", ["", "✗ it holds", "✓ it holds\n✗ it is large", "it holds"])
def test_a_claim_that_is_not_shown(tmp_path: Path, text: str) -> None:
    cell = made_up.code("claim()", made_up.printed(text), tags=("claim-S1",))
    assert not_shown(course(tmp_path, cell))


def test_a_claim_cell_that_did_not_run(tmp_path: Path) -> None:
    path = made_up.write(tmp_path / "05_x.ipynb", made_up.code("c", HOLDS, tags=("claim-S1",)))
    text = path.read_text("utf-8").replace('"execution_count": 1', '"execution_count": null')
    path.write_text(text, encoding="utf-8")
    assert not_shown(read(path))


@pytest.mark.parametrize("tag", ["claim-S3", "claim-s1", "claim-"])
def test_a_tag_that_is_no_row(tmp_path: Path, tag: str) -> None:
    assert unknown_tags(ROWS, course(tmp_path, made_up.code("claim()", HOLDS, tags=(tag,))))


def test_a_tag_in_the_wrong_lesson(tmp_path: Path) -> None:
    cell = made_up.code("claim()", HOLDS, tags=("claim-S1",))
    assert unknown_tags(ROWS, read(made_up.write(tmp_path / "06_x.ipynb", cell)))


def test_the_index_leads_to_the_cell(tmp_path: Path) -> None:
    cell = made_up.code("claim()", HOLDS, tags=("claim-S1",))
    text = index(ROWS, course(tmp_path, made_up.markdown("## Sums and | shares"), cell), [])
    line = next(line for line in text.splitlines() if line.startswith("| S1 "))
    assert f"(05_attention.ipynb#cell-id={cell['id']})" in line
    assert "Softmax sums to one." in line and "Sums and \\| shares" in line
    assert "| S2 " in text and "not yet" in text


def test_the_index_is_written_the_same_twice(tmp_path: Path) -> None:
    ledger = tmp_path / "claims.tsv"
    ledger.write_text(HEAD_LINE + "S1\tSo it is.\tyes\t05, 11\n", encoding="utf-8")
    glossary = tmp_path / "glossary.tsv"
    glossary.write_text("term\tmeaning\tlesson\nzeal\tz\t05\nArc\ta\t05\n", encoding="utf-8")
    course(tmp_path, made_up.code("claim()", HOLDS, tags=("claim-S1",)))
    first = write_index(tmp_path, ledger, glossary).read_bytes()
    assert first == write_index(tmp_path, ledger, glossary).read_bytes()
    assert first.index(b"| Arc |") < first.index(b"| zeal |")
    assert read_ledger(ledger) == [Row("S1", "So it is.", "yes", ("05", "11"))]


@pytest.mark.parametrize("text", ["id\tstatement\nS1\tx\n", f"{HEAD_LINE}S1\n"])
def test_a_broken_ledger_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "claims.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"claims\.tsv"):
        read_ledger(tmp_path / "claims.tsv")

"""The editions for a room: what they hold, what they must not, and that guide and routes add up."""

from __future__ import annotations

import ast
import copy
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tools.notebooks import ROOT, execute
from tools.workshop import __main__ as command
from tools.workshop import blocks, browser, guide, pages, routes, slides, students
from tools.workshop.handout import SHEETS, handout, write_handout
from tools.workshop.instructors import instructors_edition
from tools.workshop.lesson import Lesson, all_lessons, lesson
from tools.workshop.mistakes import message, table, wrong
from tools.workshop.timetable import timetable
from tools.workshop.trial import untouched
from utils.workshop import require, solution

ALL = all_lessons()
EACH = pytest.mark.parametrize("one", ALL, ids=[one.number for one in ALL])
needs_chromium = pytest.mark.skipif(browser.chromium() is None, reason=browser.MISSING)


# ---- the guide ----


@EACH
def test_the_guide_knows_each_section_and_its_minutes(one: Lesson) -> None:
    problems = guide.disagreements(one, guide.guide(one.number))
    assert not problems, "\n" + "\n".join(problems)


def test_the_guide_names_mistakes_that_the_checks_know() -> None:
    unknown = [
        f"docs/guide/{one.number}.md: {number} {words!r}" for one in ALL
        for advice in guide.guide(one.number).advice for number, words in advice.mistakes
        if words not in [said for _, said in table(number).wrong]
    ]
    assert not unknown, "\n" + "\n".join(unknown)


def changed(old: str, new: str) -> guide.Guide:
    """Return the guide to lesson 07 with a text replaced."""
    text = (guide.FOLDER / "07.md").read_text("utf-8")
    assert old in text
    return guide.parse("07", text.replace(old, new, 1))


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("## The head · 10 min", "## The head · 11 min", "take 61 minutes, the README says 60"),
        ("## The head · ", "## A head · ", "has no section 'A head'"),
        ("## The head · ", "## A head · ", "has no section 'The head'"),
        ("7.3: `keys", "7.2: `keys", "The head: no mistakes of exercise 7.3"),
    ],
)
def test_a_guide_that_does_not_fit_is_found(old: str, new: str, words: str) -> None:
    problems = guide.disagreements(lesson("07"), changed(old, new))
    assert any(words in problem for problem in problems), problems


def test_another_order_of_sections_is_found() -> None:
    own = guide.guide("07")
    turned = guide.Guide("07", (own.advice[1], own.advice[0], *own.advice[2:]))
    assert any("another order" in p for p in guide.disagreements(lesson("07"), turned))


@pytest.mark.parametrize(
    "text, words",
    [
        ("## A head\n", "want '## Title · 5 min', got '## A head'"),
        ("## A · 5 min\n\n*Goes wrong.* x\n", r"A: \*Say\.\* is missing"),
        ("## A · 5 min\n\n*Say.* x\n", r"A: \*Goes wrong\.\* is missing"),
        ("## A · 5 min\n\n*Goes wrong.* x\n\n*Say.* y\n\n*Mistakes.* `a`\n", "cannot read"),
        ("## A · 5 min\n\n*Goes wrong.* x\n\n*Say.* y\n\n*Mistakes.* 7.1: a\n", "cannot read"),
    ],
)
def test_a_guide_that_is_written_otherwise_is_found(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        guide.parse("07", text)


def test_a_mistake_is_told_in_the_words_of_the_check() -> None:
    assert message("7.1", "not divided").startswith("the scores are not divided")
    assert wrong("7.1", 0) is table("7.1").wrong[0][0]
    with pytest.raises(LookupError, match=r"no wrong answer to exercise 7\.1"):
        message("7.1", "a made-up mistake")
    with pytest.raises(LookupError, match=r"exercise 99\.9"):
        table("99.9")


# ---- the routes ----


@pytest.mark.parametrize("one", routes.all_routes(), ids=lambda one: one.name)
def test_a_route_adds_up(one: routes.Route) -> None:
    problems = routes.disagreements(one)
    assert not problems, "\n" + "\n".join(problems)


def test_there_are_the_four_routes() -> None:
    lengths = {one.name: one.minutes for one in routes.all_routes()}
    assert lengths == {"90-minutes": 90, "half-day": 240, "one-day": 420, "two-days": 840}


def test_no_day_is_longer_than_seven_hours() -> None:
    for one in routes.all_routes():
        days = Counter[int]()
        for slot in one.timetable:
            days[slot.day] += 0 if slot.lunch else slot.minutes
        assert max(days.values()) <= 420, one.name


def test_nobody_sits_for_two_hours() -> None:
    for one in routes.all_routes():
        since, day = 0, 0
        for slot in one.timetable:
            since = slot.start if slot.day != day else since
            day = slot.day
            if slot.way == "rest":
                assert slot.start - since <= 110, f"{one.name}, {slot.clock}"
                since = slot.start + slot.minutes


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("minutes = 90", "minutes = 95", "its steps take 90 minutes, not 95"),
        ('"The formula", ', "", "'The formula' of lesson 07 stands in 0 lists"),
        ('"The formula", ', '"The formula", "The head", ', "stands in 2 lists"),
        ('"The formula"', '"A formula"', "lesson 07 has no section 'A formula'"),
        ('"The head" = 4', '"The head" = 40', "is shown for 40 minutes, the guide says 10"),
        ("rest = true", "pause = true", "a step has 'pause'"),
    ],
)
def test_a_route_that_does_not_add_up_is_found(old: str, new: str, words: str) -> None:
    text = routes.FILE.read_text("utf-8")
    assert old in text
    problems = routes.disagreements(routes.parse(text.replace(old, new, 1))[0])
    assert any(words in problem for problem in problems), problems


def test_a_route_is_found_by_its_name_and_a_lesson_by_its_number() -> None:
    assert routes.route("half-day").lessons == ["05", "07", "08", "09"]
    alone = routes.route("07")
    assert routes.disagreements(alone) == [] and alone.sections("07") == lesson("07").sections
    with pytest.raises(LookupError, match="there is no route 'three-days': want 90-minutes"):
        routes.route("three-days")


def test_a_timetable_runs_on_without_gaps() -> None:
    for one in routes.all_routes():
        rows = one.timetable
        for row, after in pairwise(rows):
            assert after.day > row.day or after.start == row.start + row.minutes
        page = timetable(one, {number: lesson(number).path.stem for number in one.lessons})
        assert page.count("<tr class=") == len(rows)
        assert all(f'href="slides/{lesson(n).path.stem}.html"' in page for n in one.lessons)


# ---- the students' edition ----


@EACH
def test_a_students_edition_holds_no_solution(one: Lesson) -> None:
    notebook = students.students_edition(one)
    nbformat.validate(notebook)
    assert students.left_overs(one, notebook) == []
    assert students.unknown_names(notebook) == []
    assert "colab" not in notebook.cells[0].source.lower()
    assert "Students' edition" in notebook.cells[0].source


@EACH
def test_a_students_edition_holds_all_else(one: Lesson) -> None:
    kept = {cell.id: cell.source for cell in students.students_edition(one).cells}
    solved = {cell.id for cell in one.solved}
    for cell in one.cells[1:]:
        if cell.id not in solved and "show_source" not in cell.source:
            assert kept[cell.id] == cell.source, cell.where
    hints = [text.count("<details>") for text in kept.values()]
    assert sum(hints) == sum(cell.source.count("<details>") for cell in one.cells)
    assert len(one.exercises) == sum("exercise" in cell.tags for cell in one.cells)


def test_a_solution_that_is_left_is_found() -> None:
    one = lesson("07")
    whole = nbformat.read(one.path, 4)
    found = students.left_overs(one, whole)
    assert any("scaled_dot_product_attention is still there" in problem for problem in found)
    assert any("has outputs" in problem for problem in found)


def test_a_part_that_nobody_defines_is_found() -> None:
    notebook = students.students_edition(lesson("07"))
    kept = [c for c in notebook.cells if "causal_mask" not in c.source or "import" not in c.source]
    notebook.cells = kept
    assert any("causal_mask" in problem for problem in students.unknown_names(notebook))


def test_a_part_is_shown_when_its_exercise_is_right() -> None:
    cells = students.students_edition(lesson("07")).cells
    shown = next(c.source for c in cells if "show_source(SelfAttention" in c.source)
    assert shown.startswith("# Shown when 7.1 and 7.3 are right.")
    ast.parse(shown)


def test_a_solution_that_no_module_keeps_is_fetched() -> None:
    names: dict[str, Any] = {}
    exec("import torch\nimport torch.nn.functional as F", names)
    exec(solution("01", "mean_loss"), names)
    assert "def mean_loss(" in solution("01", "mean_loss")
    assert callable(names["mean_loss"])
    assert solution("11", "write").startswith("@torch.no_grad()")
    with pytest.raises(LookupError, match="no solution of lesson 01 defines nothing"):
        solution("01", "nothing")


def test_a_graded_cell_raises_unless_the_check_passes() -> None:
    require("check_double", lambda x: 2 * x)
    with pytest.raises(AssertionError, match=r"Exercise 0\.0: not attempted yet"):
        require("check_double", lambda x: ...)
    with pytest.raises(AssertionError, match="in place"):
        require("check_double", wrong("0.0", 3))


def test_a_students_edition_runs_untouched(tmp_path: Path) -> None:
    assert untouched(lesson("00"), tmp_path) == []


def test_a_right_answer_is_seen(tmp_path: Path) -> None:
    one = lesson("00")
    notebook = students.students_edition(one, graded=True)
    first = one.exercises[0]
    solved = students.filled(one, notebook, {first.id: students.right_answer(first)})
    place = next(i for i, c in enumerate(solved.cells) if c.get("id") == first.cell.id)
    assert solved.cells[place].source.endswith("check_double(my_double)")
    assert solved.cells[place + 1].metadata.nbgrader.points == first.minutes
    few = copy.deepcopy(solved)
    few.cells = [c for c in solved.cells[: place + 2] if c.cell_type == "code"]
    few.cells = [*few.cells[:2], *few.cells[-2:]]
    (tmp_path / "utils").symlink_to(ROOT / "utils", target_is_directory=True)
    execute(few, tmp_path)
    assert all("✓ Exercise 0.0" in str(cell.outputs) for cell in few.cells[2:])


# ---- the instructor's edition ----


def test_an_instructors_edition_has_the_guide_below_each_heading() -> None:
    one, route = lesson("13"), routes.route("90-minutes")
    cells = instructors_edition(one, route).cells
    assert len(cells) == len(one.cells)
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert text.count("> **Instructor · ") == len(one.sections)
    assert text.count(" · left out**") == len(one.sections) - 2
    assert "## Four faults\n\n> **Instructor · 19:14, 5 min · told by you**" in text
    assert message("13.1", "joined along the heads") in text


# ---- slides ----


@EACH
def test_the_slides_of_a_lesson_follow_the_rule(one: Lesson) -> None:
    made = list(slides.slides_of(one, one.sections))
    kinds = Counter(slide.kind for slide in made)
    prose = [text for piece in one.pieces if piece.cell.kind == "markdown"
             for text in blocks.paragraphs(piece.text)]
    asked = sum(blocks.kind_of(text) == "predict" for text in prose)
    drawn = sum(len(blocks.pictures(cell)) for cell in one.code)
    assert kinds["title"] == 1 and kinds["predict"] == asked and kinds["picture"] == drawn
    assert kinds["answer"] >= asked
    assert {slide.section for slide in made[1:]} == set(one.sections)
    page = slides.slides(one)
    assert not re.findall(r'(?:src|href)="?(?!data:)\w+:', page), "it asks a server"
    assert '<img src="data:' in page and 'alt=""' not in page


def test_a_route_has_the_slides_of_its_sections_only() -> None:
    route = routes.route("90-minutes")
    made = list(slides.slides_of(lesson("13"), route.sections("13")))
    assert {s.section for s in made[1:]} == {"What a new word changes", "Four faults"}


@needs_chromium
@EACH
def test_no_slide_overflows(one: Lesson, tmp_path: Path) -> None:
    page = tmp_path / "slides.html"
    page.write_text(slides.slides(one), "utf-8")
    assert slides.overflowing(page) == []


@needs_chromium
def test_a_slide_that_overflows_is_found(tmp_path: Path) -> None:
    tall, small, wide = (
        f'<section><header>x</header><div class="body">{body}</div></section>' for body in (
            "<p>many words</p>" * 40, '<p style="font-size: 20px">small</p>',
            '<div style="width: 1500px">wide</div>'))
    page = tmp_path / "slides.html"
    page.write_text(pages.page("x", tall + small + wide, slides.STYLE, slides.SCRIPT), "utf-8")
    found = "\n".join(slides.overflowing(page))
    assert "slide 1: body does not fit" in found
    assert "slide 2: 20 pixels" in found
    assert "slide 3: DIV stands outside" in found


# ---- pages and handouts ----


def test_all_mathematics_of_the_lessons_can_be_drawn() -> None:
    for one in ALL:
        for cell in (c for c in one.cells if c.kind == "markdown"):
            pages.to_html(cell.source)
    with pytest.raises(ValueError, match="cannot be drawn"):
        pages.mathematics(r"\nothing", False)


def test_a_page_has_a_font_for_each_of_its_letters() -> None:
    missing = set("吾輩は猫である。音楽 미나 는 음악 을 좋아한다 √✓✗·") - set(pages.letters())
    assert not missing
    assert pages.fonts() != pages.fonts("鬱"), "a letter that no lesson has is not put in"


@EACH
def test_a_handout_holds_no_solution(one: Lesson) -> None:
    page = handout(one)
    assert page.count('class="box work"') == sum(not e.again for e in one.exercises)
    text = re.sub(r"<[^>]*>", "", page)
    for cell in one.solved:
        for part in blocks.bare(cell.source):
            assert pages.code(part) not in page, f"{cell.where} stands in the handout"
    assert "Before you run it" in text and "solution" not in text.lower().replace("solutions", "")


@needs_chromium
def test_a_handout_is_printed_in_japanese_and_korean(tmp_path: Path) -> None:
    pdf, sheets = write_handout(lesson("03"), tmp_path, "03")
    assert 2 <= sheets <= SHEETS and b"NanumGothic" in pdf.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["03.pdf"]
    pdf, sheets = write_handout(lesson("11"), tmp_path, "11")
    assert 2 <= sheets <= SHEETS and b"IPAexGothic" in pdf.read_bytes()


def test_without_chromium_a_handout_stays_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "chromium", lambda: None)
    page, sheets = write_handout(lesson("00"), tmp_path, "00")
    assert (page.name, sheets) == ("00.html", 0)
    with pytest.raises(FileNotFoundError, match="no Chromium: install it"):
        browser.print_pdf(page, tmp_path / "00.pdf")


@pytest.mark.parametrize(
    "line, rows",
    [
        ("truth   short", ["truth   short"]),
        ("truth   one two three four five six", ["truth   one two three", "        four five six"]),
        ("one two three four five six", ["one two three four five", "    six"]),
    ],
)
def test_a_long_line_goes_on_below_its_text(line: str, rows: list[str]) -> None:
    assert [row.rstrip() for row in blocks.wrapped(line, 24)] == rows


def test_a_list_belongs_to_the_paragraph_above_it() -> None:
    text = "## Title\n\nIn order:\n\n1. a\n2. b\n\n**Exercise 5.2** (3 minutes). Do:\n\n- c\n\nSo."
    first, exercise, more = blocks.paragraphs(text)
    assert first == "In order:\n\n1. a\n2. b"
    assert blocks.asked(text) == [exercise, more] and exercise.endswith("- c")
    assert slides.cut_sentences(first, 10) == ["In order:", "1. a\n2. b"]


def test_a_long_table_goes_on_under_the_names_of_its_columns() -> None:
    names, rows = "| a | b |\n|---|---|", [f"| {n} | short |" for n in range(23)]
    parts = slides.cut_table("\n".join([names, *rows]))
    assert [part.count("short") for part in parts] == [8, 8, 7]
    assert all(part.startswith(names) for part in parts)
    assert [row for part in parts for row in part.splitlines()[2:]] == rows
    high = slides.cut_table("\n".join([names, *(row + "long " * 40 for row in rows[:4])]))
    assert [part.count("short") for part in high] == [2, 2]
    assert slides.cut_sentences(names + "\n| 1 | 2 |", 500) == [names + "\n| 1 | 2 |"]


def test_lines_are_cut_at_a_blank_one() -> None:
    lines = ["a", "b", "c", "", "d", "e"]
    assert blocks.cut_lines(lines, 5) == [["a", "b", "c"], ["d", "e"]]
    assert blocks.cut_lines(lines[:3], 2) == [["a", "b"], ["c"]]
    assert list(map(len, blocks.cut_lines(["x"] * 17, 16))) == [13, 4]
    assert list(map(len, blocks.cut_lines(["x"] * 33, 16))) == [16, 13, 4]


# ---- the command ----


def test_a_folder_that_somebody_else_made_stays(tmp_path: Path) -> None:
    mine, fresh = tmp_path / "half-day", tmp_path / "fresh"
    for folder in (mine, fresh):
        folder.mkdir()
    (mine / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="was not made by `make workshop`"):
        command.replace(mine, fresh)
    (mine / command.MARK).touch()
    command.replace(mine, fresh)
    assert list(mine.iterdir()) == []


def test_an_unknown_route_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["three-days"]) == 2
    assert "there is no route 'three-days'" in capsys.readouterr().err

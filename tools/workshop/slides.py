"""Slides of a lesson, by rule: one file that opens in any browser without a network.

What becomes a slide, in the order of the lesson:
- the title, with its promise;
- each section: its heading with the first paragraph, formula or table below it;
- what is to be predicted, alone, and its answer;
- what a cell prints, where a model speaks or where a prediction is answered;
- each picture, as large as it can be;
- each sentence that stands in bold;
- each exercise, its stub and, after them, the part that the course keeps, without guards;
- each part that is shown and not asked for, the same way;
- the end, the first paragraph of the last section.
A route leaves out the sections that it skips.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from tools.notebooks import Cell
from tools.workshop import blocks, browser, pages
from tools.workshop.lesson import BADGE, Exercise, Lesson, Piece

COLUMNS = 80     # of code and of what is printed
ROWS = 16        # of code on a slide
LETTERS = 640    # of prose on a slide
SHORT = 330      # prose of so many letters is written large
PRINTED = 2      # slides at most for what one cell prints
LINES_OF_TABLE, LETTERS_OF_TABLE = 10, 80    # on one slide, and on one line of it
LETTERS_A_LINE, HEIGHT_OF_LINE, CODE_LINE, ROOM = 66, 44, 31, 560    # prose and code on one slide

STYLE = """
body { background: #f2f2f2; }
section { width: 1280px; height: 720px; margin: 16px auto; padding: 28px 48px 44px;
  background: #ffffff; position: relative; overflow: hidden; font-size: 30px; }
section > header { font-size: 24px; color: #595959; height: 40px; white-space: nowrap; }
section > .body { height: 600px; display: flex; flex-direction: column; justify-content: center; }
section > footer { position: absolute; right: 48px; bottom: 8px; font-size: 24px;
  color: #595959; }
h1 { font-size: 56px; line-height: 1.2; margin: 0 0 0.5em; }
h2 { font-size: 46px; line-height: 1.2; margin: 0 0 0.6em; }
p, ul, ol { margin: 0.35em 0; }
pre { font-size: 24px; }
table { font-size: 26px; }
.large { font-size: 40px; line-height: 1.35; }
.mark { color: #7a1fa2; font-weight: 700; }
.picture { align-items: center; }
.picture img { max-width: 1184px; max-height: 596px; width: 1184px; object-fit: contain; }
body.show section { display: none; margin: 0; position: absolute; transform-origin: 0 0; }
body.show section.now { display: block; }
body.show { overflow: hidden; background: #ffffff; }
@page { size: 1280px 720px; margin: 0; }
@media print { body { background: #ffffff; } section { margin: 0; break-after: page; } }
"""

SCRIPT = """
const slides = [...document.querySelectorAll("section")];
let now = Math.max(0, (parseInt(location.hash.slice(1)) || 1) - 1);
function fit() {
  const scale = Math.min(innerWidth / 1280, innerHeight / 720);
  for (const slide of slides) {
    slide.style.transform = `scale(${scale})`;
    slide.style.left = `${(innerWidth - 1280 * scale) / 2}px`;
    slide.style.top = `${(innerHeight - 720 * scale) / 2}px`;
  }
}
function go(place) {
  now = Math.min(Math.max(place, 0), slides.length - 1);
  slides.forEach((slide, n) => slide.classList.toggle("now", n === now));
  history.replaceState(null, "", `#${now + 1}`);
}
const steps = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, Enter: 1,
                ArrowLeft: -1, ArrowUp: -1, PageUp: -1, Backspace: -1 };
addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in steps) { event.preventDefault(); go(now + steps[event.key]); }
  if (event.key === "Home") go(0);
  if (event.key === "End") go(slides.length - 1);
  if (event.key === "f") document.documentElement.requestFullscreen();
});
addEventListener("click", event => go(now + (event.clientX < innerWidth / 3 ? -1 : 1)));
addEventListener("hashchange", () => go((parseInt(location.hash.slice(1)) || 1) - 1));
addEventListener("resize", fit);
if (!new URLSearchParams(location.search).has("all")) {
  document.body.classList.add("show");
  fit();
  go(now);
}
"""

# Runs in a browser: one line for whatever does not fit its slide, or is written too small.
MEASURE = """
document.fonts.ready.then(() => {
  const found = [];
  document.querySelectorAll("section").forEach((slide, n) => {
    const name = `slide ${n + 1}`;
    for (const part of slide.querySelectorAll("header, .body"))
      if (part.scrollHeight > part.clientHeight + 1 || part.scrollWidth > part.clientWidth + 1)
        found.push(`${name}: ${part.className || "header"} does not fit`);
    const edge = slide.getBoundingClientRect();
    for (const part of slide.querySelectorAll(".body *")) {
      const size = parseFloat(getComputedStyle(part).fontSize), box = part.getBoundingClientRect();
      if (part.textContent.trim() && size < SMALLEST) found.push(`${name}: ${size} pixels`);
      if (box.width && (box.right > edge.right || box.left < edge.left
          || box.bottom > edge.bottom - 40 || box.top < edge.top))
        found.push(`${name}: ${part.tagName} stands outside`);
    }
  });
  document.getElementById("measured").textContent = found.join("\\n") || "all fits";
});
"""
SMALLEST = 24    # pixels of 720: a letter that is read from the back row


@dataclass(frozen=True)
class Slide:
    """One slide: what it is for, in which section it stands, and what it shows."""

    kind: str
    section: str
    body: str


def slides(lesson: Lesson, sections: Collection[str] | None = None) -> str:
    """Return the slides of a lesson, or of some of its sections, as a page."""
    made = with_headings(slides_of(lesson, lesson.sections if sections is None else sections))
    body = "\n".join(
        f'<section class="{slide.kind}" aria-label="Slide {number} of {len(made)}">'
        f"<header>{lesson.number} · {html.escape(plain(slide.section or lesson.title))}</header>\n"
        f'<div class="body {slide.kind}">\n{slide.body}</div>\n'
        f"<footer>{number} / {len(made)}</footer></section>"
        for number, slide in enumerate(made, start=1)
    )
    return pages.page(f"{lesson.number} {lesson.title}", body, STYLE, SCRIPT)


def slides_of(lesson: Lesson, sections: Collection[str]) -> Iterator[Slide]:
    """Yield the slides of a lesson."""
    yield title(lesson)
    exercises = {exercise.cell.id: exercise for exercise in lesson.exercises}
    open_question, opened = False, set()
    last = lesson.sections[-1]
    for place, piece in enumerate(lesson.pieces):
        if piece.section not in sections:
            continue
        cell = piece.cell
        if cell.kind == "markdown":
            first = piece.section not in opened
            opened.add(piece.section)
            if piece.section == last:
                if first:
                    yield from prose(piece.section, blocks.paragraphs(piece.text)[:1], True)
                continue
            for slide in of_prose(piece, first):
                yield slide
                open_question = (open_question or slide.kind == "predict") and (
                    slide.kind != "answer")
        elif cell.id in exercises:
            yield from of_exercise(lesson, exercises[cell.id])
        elif cell in lesson.solved:
            continue
        elif cell.module and not cell.is_folded:
            yield from of_code(piece.section, blocks.bare(cell.source), "Built here")
        else:
            speaks = open_question or "own-words" in cell.tags
            yield from of_outputs(piece.section, cell, speaks)


def with_headings(made: Iterable[Slide]) -> list[Slide]:
    """Return slides, a heading that stood alone now above what follows it, if that is short."""
    found: list[Slide] = []
    for slide in made:
        alone = found and re.fullmatch(r"<h2>[^<]*</h2>\n", found[-1].body)
        short = len(re.sub(r"<[^>]*>", "", slide.body)) < SHORT and "<pre" not in slide.body
        if alone and short and slide.kind in ("predict", "exercise", "key"):
            slide = Slide(slide.kind, slide.section, found.pop().body + slide.body)
        found.append(slide)
    return found


def title(lesson: Lesson) -> Slide:
    """Return the first slide: the title, the promise, what will be built."""
    lines = blocks.paragraphs(BADGE.sub("", lesson.cells[0].source))
    promise = [line for line in lines if not line.startswith("# ")]
    body = f"<h1>{lesson.number}  {html.escape(lesson.title)}</h1>\n"
    return Slide("title", "", body + "".join(pages.to_html(line) for line in promise))


def prose(section: str, texts: list[str], first: bool, kind: str = "prose") -> Iterator[Slide]:
    """Yield slides of prose, the first under the heading of the section if it begins there."""
    head = f"<h2>{html.escape(plain(section))}</h2>\n" if first else ""
    room = LETTERS - (120 if first else 0)
    waiting = ""
    for text in texts:
        for part in cut_sentences(text, room):
            if waiting and len(waiting) + len(part) > room:
                yield Slide(kind, section, head + pages.to_html(waiting))
                head, waiting, room = "", "", LETTERS
            waiting = f"{waiting}\n\n{part}".strip()
    if waiting:
        yield Slide(kind, section, head + pages.to_html(waiting))
    elif head:
        yield Slide(kind, section, head)


def plain(text: str) -> str:
    """Return a heading without its marks of code."""
    return text.replace("`", "")


def cut_sentences(text: str, room: int) -> list[str]:
    """Return a paragraph in parts that fit a slide; a table or a list keeps its lines whole."""
    if text.startswith("|") and "\n\n" not in text:
        return cut_table(text, room)
    if len(text) <= room or text.startswith("$$"):
        return [text]
    if "\n\n" in text:
        return [part for own in text.split("\n\n") for part in cut_sentences(own, room)]
    is_lines = text.startswith(("- ", "1. "))
    pieces = text.splitlines() if is_lines else re.split(r"(?<=[.!?:;])\s+", text)
    glue = "\n" if is_lines else " "
    parts, own = [], []
    for piece in pieces:
        if own and len(glue.join([*own, piece])) > room:
            parts, own = [*parts, glue.join(own)], []
        own.append(piece)
    return [*parts, glue.join(own)]


def cut_table(text: str, room: int = LETTERS) -> list[str]:
    """Return a table in parts that fit a slide, each under the names of the columns."""
    names, rule, *rows = text.splitlines()
    lines = [-(-len(row) // LETTERS_OF_TABLE) for row in rows]
    n_parts = max(-(-sum(lines) // LINES_OF_TABLE), -(-sum(map(len, rows)) // room))
    parts: list[list[str]] = [[]]
    for row, before in zip(rows, accumulate(lines, initial=0), strict=False):
        if parts[-1] and before * n_parts >= len(parts) * sum(lines):
            parts.append([])
        parts[-1].append(row)
    return ["\n".join([names, rule, *part]) for part in parts]


def opening(texts: list[str], kinds: list[str]) -> list[int]:
    """Return the places of the paragraphs that open a section.

    The first of prose, with the formula or table right below it.
    """
    lead = next((i for i, kind in enumerate(kinds) if kind in ("prose", "key")), None)
    if lead is None:
        return []
    below = kinds[lead + 1 : lead + 2]
    return [lead, lead + 1] if below in (["formula"], ["table"]) else [lead]


def of_prose(piece: Piece, first: bool) -> Iterator[Slide]:
    """Yield the slides of a piece of prose."""
    texts = blocks.paragraphs(piece.text)
    kinds = [blocks.kind_of(text) for text in texts]
    used = opening(texts, kinds) if first else []
    if first:
        yield from prose(piece.section, [texts[place] for place in used], True)
    for place, (text, kind) in enumerate(zip(texts, kinds, strict=True)):
        if place in used:
            continue
        if kind == "exercise":
            break
        if kind in ("predict", "answer"):
            mark = text if kind == "answer" else blocks.question(text)
            tail = []
            if kind == "answer":
                after = place + 1
                while after < len(texts) and texts[after].startswith("|"):
                    tail.append(texts[after])
                    after += 1
            if kind == "predict":
                before = text[: text.index("**Predict")].strip()
                large = f'<div class="large">{pages.to_html(mark)}</div>'
                yield Slide(kind, piece.section, (pages.to_html(before) if before else "") + large)
            else:
                short = not tail and len(mark) < SHORT
                for slide in prose(piece.section, [mark, *tail], False, kind):
                    large = f'<div class="large">{slide.body}</div>' if short else slide.body
                    yield Slide(kind, piece.section, large)
        elif kind == "formula":
            yield Slide(kind, piece.section, pages.to_html(text))
        elif kind == "table" and not answered(kinds, place):
            for part in cut_table(text):
                yield Slide(kind, piece.section, pages.to_html(part))
        elif kind == "key":
            keys = "\n\n".join(blocks.key_sentences(text))
            yield Slide(kind, piece.section, f'<div class="large">{pages.to_html(keys)}</div>')


def answered(kinds: list[str], place: int) -> bool:
    """Tell whether a table stands right after an answer, which shows it."""
    return place > 0 and kinds[place - 1] == "answer"


def of_exercise(lesson: Lesson, exercise: Exercise) -> Iterator[Slide]:
    """Yield the slides of an exercise: what is asked, its stub, and the part the course keeps."""
    section = lesson.section_of(exercise)
    before = [p for p in lesson.pieces if p.cell.kind == "markdown"
              and p.cell.number < exercise.cell.number and p.section == section]
    asked = blocks.asked(before[-1].text) if before else []
    stub = blocks.stub_of(exercise.cell.source)
    minutes = f"Your turn: {exercise.title}, {exercise.minutes} minutes"
    text = "\n\n".join(asked)
    lines = -(-len(text) // LETTERS_A_LINE)
    if HEIGHT_OF_LINE * lines + CODE_LINE * len(stub.splitlines()) < ROOM:
        yield Slide("exercise", section, pages.to_html(text) + pages.code(stub))
    else:
        yield from prose(section, asked, False, "exercise")
        yield from of_code(section, [stub], minutes)
    kept = [part for cell in exercise.solutions if cell.module for part in blocks.bare(cell.source)
            if not part.startswith("def require")]
    if kept and not exercise.again:
        yield from of_code(section, kept, "The part that the course keeps, without guards")


def of_code(section: str, parts: list[str], mark: str) -> Iterator[Slide]:
    """Yield slides of code, with a word above it that says what it is."""
    lines = "\n\n\n".join(parts).splitlines()
    for part in blocks.cut_lines(lines, ROWS):
        head = f'<p class="mark">{html.escape(mark)}</p>\n'
        text = "\n".join(part).strip("\n")
        yield Slide("code", section, head + sized(pages.code(text), text, ROWS + 1))


def sized(block: str, text: str, most: int) -> str:
    """Return a block of code in the largest letters with which it fits a slide, up to 34 pixels."""
    lines = text.splitlines()
    columns = max(map(blocks.width, lines), default=1)
    if columns > COLUMNS:
        return block
    size = min(34, 24 * COLUMNS / (columns + 2), 24 * most / len(lines))
    return block.replace("<pre", f'<pre style="font-size: {max(24, int(size))}px"', 1)


def of_outputs(section: str, cell: Cell, speaks: bool) -> Iterator[Slide]:
    """Yield the slides of what a cell shows: its pictures, and its words where they matter."""
    text = cell.text
    words = [row for line in text.splitlines() if not re.match(r"<Figure size", line)
             for row in blocks.wrapped(line, COLUMNS - 2)]
    if speaks and any(line.strip() for line in words):
        for part in blocks.cut_lines(words, ROWS + 1)[:PRINTED]:
            said = "\n".join(part).strip("\n")
            yield Slide("printed", section, sized(pages.printed(said), said, ROWS + 2))
    for picture in blocks.pictures(cell):
        yield Slide("picture", section, pages.image(picture.png, picture.alt))


def overflowing(page: Path) -> list[str]:
    """Return what does not fit its slide, or is written too small, as Chromium lays it out."""
    script = MEASURE.replace("SMALLEST", str(SMALLEST - 0.1))
    said = browser.measured(page, script, "?all")
    if not said:
        raise RuntimeError(f"Chromium measured nothing in {page.name}")
    return [] if said == "all fits" else said.splitlines()

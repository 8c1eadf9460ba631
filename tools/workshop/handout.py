"""The handout of a lesson: two to four sheets on which a learner guesses, reads and writes.

First what to predict, with space; the exercises with their stubs, space and no solution; then the
pictures, which hold answers, so they stand behind; the parts that the lesson shows; the end in
words. Made as a page that a browser prints.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Iterator
from pathlib import Path

from tools.workshop import blocks, browser, pages
from tools.workshop.lesson import BADGE, Lesson
from tools.workshop.slides import plain

SHEETS = 4      # at most
PICTURES = 8    # at most; fewer where they do not fit

STYLE = """
@page { size: A4; margin: 13mm 13mm 14mm; @bottom-right { content: counter(page); } }
body { font-size: 9.5pt; line-height: 1.35; }
h1 { font-size: 17pt; margin: 0 0 1mm; }
h2 { font-size: 12pt; margin: 4mm 0 1.5mm; border-bottom: 1px solid #767676; break-after: avoid; }
h3 { font-size: 9.5pt; margin: 0 0 0.5mm; color: #595959; font-weight: 400; }
p { margin: 0.8mm 0; }
pre { font-size: 7pt; line-height: 1.25; }
.columns { columns: 2; column-gap: 7mm; }
.work { display: grid; grid-template-columns: 58mm 1fr; gap: 0 5mm; border-bottom: 1px solid
  #bdbdbd; padding-bottom: 2mm; }
.box { break-inside: avoid; margin: 0 0 3mm; }
.lines { border-bottom: 1px solid #767676; height: 7.5mm; }
figure { margin: 0 0 3mm; break-inside: avoid; }
figcaption { font-size: 8.5pt; color: #595959; }
img { width: 100%; max-height: 76mm; object-fit: contain; }
@media screen { body { max-width: 190mm; margin: 8mm auto; } }
"""


def handout(
    lesson: Lesson, sections: Collection[str] | None = None, most_pictures: int = PICTURES
) -> str:
    """Return the handout of a lesson, or of some of its sections, as a page."""
    chosen = lesson.sections if sections is None else sections
    lines = blocks.paragraphs(BADGE.sub("", lesson.cells[0].source))
    promise = "".join(pages.to_html(line) for line in lines[1:2])
    parts = [
        f"<h1>{lesson.number}  {html.escape(lesson.title)}</h1>\n{promise}",
        group("Before you run it: your guess", predictions(lesson, chosen)),
        group("Your work", exercises(lesson, chosen), "wide"),
        group("The pictures", figures(lesson, chosen, most_pictures)),
        group("Parts that the lesson shows", shown_parts(lesson, chosen), "wide"),
        group("In the end", the_end(lesson), "wide"),
    ]
    return pages.page(f"{lesson.number} {lesson.title}: handout", pages.joined(parts), STYLE)


def group(title: str, boxes: Iterator[str], kind: str = "columns") -> str:
    """Return some boxes under a heading, nothing where there are none.

    kind: "columns", two of them, or "wide"
    """
    inside = "\n".join(boxes)
    return f'<h2>{title}</h2>\n<div class="{kind}">\n{inside}</div>' if inside else ""


def predictions(lesson: Lesson, chosen: Collection[str]) -> Iterator[str]:
    """Yield each question to predict, with a line for the guess."""
    for piece in lesson.pieces:
        if piece.cell.kind != "markdown" or piece.section not in chosen:
            continue
        for text in blocks.paragraphs(piece.text):
            if blocks.kind_of(text) == "predict":
                asked = pages.to_html(blocks.question(text))
                yield (f'<div class="box"><h3>{html.escape(plain(piece.section))}</h3>{asked}'
                       f'<div class="lines"></div></div>')


def figures(lesson: Lesson, chosen: Collection[str], most: int) -> Iterator[str]:
    """Yield the pictures: those of mechanisms first where not all have room."""
    found = [
        (piece.section, picture) for piece in lesson.pieces
        if piece.section in chosen and piece.cell.kind == "code"
        for picture in blocks.pictures(piece.cell)
    ]
    by_worth = sorted(found, key=lambda row: not row[1].is_diagram)[:most]
    for section, picture in found:
        if (section, picture) in by_worth:
            drawn = pages.image(picture.png, picture.alt)
            yield (f"<figure><h3>{html.escape(plain(section))}</h3>{drawn}"
                   f"<figcaption>{html.escape(picture.alt)}</figcaption></figure>")


def shown_parts(lesson: Lesson, chosen: Collection[str]) -> Iterator[str]:
    """Yield the built-here cells that a reader sees and that answer no exercise, without guards."""
    for piece in lesson.pieces:
        cell = piece.cell
        if (piece.section in chosen and cell.module and not cell.is_folded
                and cell not in lesson.solved):
            text = "\n\n".join(blocks.bare(cell.source))
            yield f'<div class="box"><h3>utils/{cell.module}.py</h3>{pages.code(text)}</div>'


def exercises(lesson: Lesson, chosen: Collection[str]) -> Iterator[str]:
    """Yield the exercises with their stubs, but those that repeat one."""
    for exercise in lesson.exercises:
        section = lesson.section_of(exercise)
        if section not in chosen or exercise.again:
            continue
        before = [p for p in lesson.pieces if p.cell.kind == "markdown" and p.section == section
                  and p.cell.number < exercise.cell.number]
        asked = "".join(map(pages.to_html, blocks.asked(before[-1].text))) if before else ""
        stub = blocks.stub_of(exercise.cell.source)
        lines = '<div class="lines"></div>' * 2
        yield (f'<div class="box work"><div>{asked}</div><div>{pages.code(stub)}{lines}</div>'
               f"</div>")


def the_end(lesson: Lesson) -> Iterator[str]:
    """Yield the recap in words."""
    last = next(p for p in lesson.pieces if p.section == lesson.sections[-1])
    for text in blocks.paragraphs(last.text)[:1]:
        yield f'<div class="box">{pages.to_html(text)}</div>'


def write_handout(
    lesson: Lesson, folder: Path, name: str, sections: Collection[str] | None = None
) -> tuple[Path, int]:
    """Write a handout as PDF, with as many pictures as fit SHEETS; return its path and sheets.

    Where there is no Chromium the page itself is written, to be printed from any browser; its
    sheets are 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page, pdf = folder / f"{name}.html", folder / f"{name}.pdf"
    for most in range(PICTURES, -1, -2):
        page.write_text(handout(lesson, sections, most), "utf-8")
        if browser.chromium() is None:
            return page, 0
        if (sheets := browser.print_pdf(page, pdf)) <= SHEETS:
            break
    page.unlink()
    return pdf, sheets

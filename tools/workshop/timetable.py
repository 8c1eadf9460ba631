"""The page of a route: its timetable, what is left out, and the way to all of its files."""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import groupby

from tools.workshop import pages
from tools.workshop.instructors import HOW
from tools.workshop.lesson import lesson
from tools.workshop.routes import Route, Slot
from tools.workshop.slides import plain

STYLE = """
body { max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; font-size: 1.05rem; }
h1 { font-size: 1.9rem; line-height: 1.25; } h2 { font-size: 1.35rem; margin: 1.6em 0 0.4em; }
table { width: 100%; }
td.number { text-align: right; padding-right: 1.2em; font-variant-numeric: tabular-nums; }
td:last-child { white-space: nowrap; }
tr.rest td { background: #eeeeee; }
tr.hands td { font-weight: 700; }
@page { size: A4; margin: 14mm; }
@media print { body { margin: 0; font-size: 9.5pt; } tr { break-inside: avoid; } }
"""
NAMES = {"hands": HOW["hands"], "told": HOW["told"], "shown": HOW["shown"], "rest": "break",
         "": ""}
FILES = (
    ("students", "ipynb", "students' notebook"), ("instructors", "ipynb", "instructor's notebook"),
    ("slides", "html", "slides"), ("handouts", "pdf", "handout"),
)
BEFORE = (
    "The evening before, on the machine of the room: <code>make doctor</code>, then open each "
    "students' notebook and <em>Run All Cells</em> once. Every stub may be untouched.",
    "Open the slides in any browser; no network is needed. Arrow keys, space and clicks go on; "
    "<kbd>f</kbd> fills the screen; <code>?all</code> behind the address shows them below one "
    "another.",
    "Print a handout for each learner, double-sided. The questions and the exercises stand on the "
    "first sheets; the pictures, which hold answers, behind them.",
    "The instructor's notebooks carry below each heading what goes wrong there, what to say, and "
    "what the checks print for the common mistakes.",
    "What is set in bold is done by the room. If time runs short, show the solution of an exercise "
    "and go on: the cells below it use the course's own part.",
)


def timetable(route: Route, names: dict[str, str], handouts: str = "pdf") -> str:
    """Return the page of a route.

    names: the name of each lesson's files without their ending    handouts: how those end
    """
    days = groupby(route.timetable, key=lambda slot: slot.day)
    several = max(slot.day for slot in route.timetable) > 1
    parts = [
        f"<h1>{html.escape(route.title)}</h1>\n<p>{html.escape(route.say)} "
        f"{length(route.minutes)} with the people.</p>",
        "<h2>Before</h2>\n<ul>" + "".join(f"<li>{line}</li>" for line in BEFORE) + "</ul>",
        files(route, names, handouts),
    ]
    for day, slots in days:
        title = f"Day {day}" if several else "Timetable"
        rows = "\n".join(row(slot) for slot in slots)
        parts.append(
            f"<h2>{title}</h2>\n<table><thead><tr><th>from</th><th>minutes</th><th>lesson</th>"
            f"<th>section</th><th>how</th></tr></thead><tbody>\n{rows}\n</tbody></table>")
    parts.append(left_out(route))
    return pages.page(route.title, pages.joined(parts), STYLE)


def length(minutes: int) -> str:
    """Return a length of time in words: 7 hours, 90 minutes."""
    return f"{minutes // 60} hours" if minutes % 60 == 0 else f"{minutes} minutes"


def row(slot: Slot) -> str:
    """Return a row of the timetable."""
    return (
        f'<tr class="{slot.way}"><td class="number">{slot.clock}</td>'
        f'<td class="number">{slot.minutes}</td><td>{slot.lesson}</td>'
        f"<td>{html.escape(plain(slot.title))}</td><td>{NAMES[slot.way]}</td></tr>"
    )


def files(route: Route, names: dict[str, str], handouts: str) -> str:
    """Return the table that leads to the files of each lesson."""
    rows = []
    for number in route.lessons:
        cells = [f"<td>{number} {html.escape(lesson(number).title)}</td>"]
        for folder, ending, title in FILES:
            ending = handouts if folder == "handouts" else ending
            cells.append(f'<td><a href="{folder}/{names[number]}.{ending}">{title}</a></td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return "<h2>Files</h2>\n<table>\n" + "\n".join(rows) + "\n</table>"


def left_out(route: Route) -> str:
    """Return what the route leaves out, by lesson."""
    lines = list(skipped(route))
    return "<h2>Left out</h2>\n<ul>" + "".join(lines) + "</ul>" if lines else ""


def skipped(route: Route) -> Iterator[str]:
    """Yield a line for each lesson of which sections are left out."""
    for number in route.lessons:
        ways = route.ways(number)
        titles = [plain(s) for s in lesson(number).sections if ways.get(s, "skip") == "skip"]
        if titles:
            yield f"<li>{number}: {html.escape('; '.join(titles))}</li>"

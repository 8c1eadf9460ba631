"""The instructor's edition of a lesson: all of it, with the guide below each heading.

There stand the minutes of the section and when it begins, how the route takes it, what goes wrong,
what to say, and for each common mistake what the check prints.
"""

from __future__ import annotations

import re
from typing import Any

import nbformat

from tools.workshop.guide import Advice, guide
from tools.workshop.lesson import Lesson
from tools.workshop.mistakes import message
from tools.workshop.routes import Route, Slot

HOW = {
    "told": "told by you",
    "hands": "done by the room",
    "shown": "pictures and table only",
    "skip": "left out",
}


def instructors_edition(lesson: Lesson, route: Route) -> Any:
    """Return the instructor's edition of a lesson as a notebook."""
    notebook = nbformat.read(lesson.path, 4)
    said = {advice.title: advice for advice in guide(lesson.number).advice}
    when = {slot.title: slot for slot in route.timetable if slot.lesson == lesson.number}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(
                r"(?m)^## +(.+?) *$",
                lambda match: note(match[0], said[match[1]], when.get(match[1])), cell.source)
    return notebook


def note(heading: str, advice: Advice, slot: Slot | None) -> str:
    """Return a heading with what an instructor should know below it."""
    way = HOW[slot.way] if slot else HOW["skip"]
    minutes = f"{slot.clock}, {slot.minutes} min" if slot else f"{advice.minutes} min"
    lines = [
        f"**Instructor · {minutes} · {way}**", "",
        f"*Goes wrong.* {advice.wrong}", "", f"*Say.* {advice.say}",
    ]
    if advice.mistakes:
        lines += ["", "*Common mistakes, in the words of the check:*", ""]
        lines += [f"- {number}: {message(number, words)}" for number, words in advice.mistakes]
    return heading + "\n\n" + "\n".join(f"> {line}".rstrip() for line in lines) + "\n"

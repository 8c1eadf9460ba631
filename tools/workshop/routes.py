"""The routes for a room, docs/routes.toml: which sections of which lessons, when, and how."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.notebooks import ROOT
from tools.workshop.guide import guide
from tools.workshop.lesson import all_lessons, lesson

FILE = ROOT / "docs/routes.toml"
WAYS = ("told", "hands", "shown", "skip")    # told by you, done by the room, only its pictures, not
KNOWN = {"lesson", "title", "minutes", "rest", "lunch", "night", *WAYS}


@dataclass(frozen=True)
class Slot:
    """A row of a timetable: a section of a lesson, or something else."""

    day: int
    start: int    # minutes after midnight
    minutes: int
    title: str
    lesson: str = ""
    way: str = ""    # one of WAYS but skip; "rest" for a break
    lunch: bool = False

    @property
    def clock(self) -> str:
        """Return when it begins: 09:05."""
        return f"{self.start // 60:02}:{self.start % 60:02}"


@dataclass(frozen=True)
class Route:
    """One route."""

    name: str
    title: str
    minutes: int
    say: str
    start: str
    steps: tuple[dict[str, Any], ...]

    @property
    def lessons(self) -> list[str]:
        """Return the numbers of its lessons, in order."""
        return list(dict.fromkeys(s["lesson"] for s in self.steps if "lesson" in s))

    def ways(self, number: str) -> dict[str, str]:
        """Return how each section of a lesson is taken: one of WAYS."""
        return {section: way for step in self.steps if step.get("lesson") == number
                for way in WAYS for section in step.get(way, ())}

    def sections(self, number: str) -> list[str]:
        """Return the sections of a lesson that are not skipped, in the lesson's order."""
        ways = self.ways(number)
        return [s for s in lesson(number).sections if ways.get(s, "skip") != "skip"]

    @functools.cached_property
    def timetable(self) -> list[Slot]:
        """Return its rows."""
        return list(slots(self))


def slots(route: Route) -> Iterator[Slot]:
    """Yield the rows of a timetable."""
    day, first = 1, clock(route.start)
    now = first
    for step in route.steps:
        if step.get("night"):
            day, now = day + 1, first
        elif "lesson" in step:
            ways, said = route.ways(step["lesson"]), guide(step["lesson"])
            for section in route.sections(step["lesson"]):
                way = ways[section]
                length = step["shown"][section] if way == "shown" else said.of(section).minutes
                yield Slot(day, now, length, section, step["lesson"], way)
                now += length
        else:
            way = "rest" if step.get("rest") else ""
            lunch = bool(step.get("lunch"))
            yield Slot(day, now, step["minutes"], step["title"], way=way, lunch=lunch)
            now += step["minutes"]


def clock(text: str) -> int:
    """Return the minutes after midnight of a time such as 09:00."""
    match = re.fullmatch(r"(\d\d):(\d\d)", text)
    if match is None:
        raise ValueError(f"want a time such as 09:00, got {text!r}")
    return 60 * int(match[1]) + int(match[2])


def parse(text: str) -> list[Route]:
    """Return the routes of a file's text."""
    return [
        Route(r["name"], r["title"], r["minutes"], r["say"], r["start"], tuple(r["step"]))
        for r in tomllib.loads(text)["route"]
    ]


@functools.cache
def all_routes() -> tuple[Route, ...]:
    """Return all routes, in order."""
    return tuple(parse(FILE.read_text("utf-8")))


def whole_lesson(number: str) -> Route:
    """Return one lesson as a route of its own: all of it, exercises by hand."""
    one = lesson(number)
    by_hand = {one.section_of(exercise) for exercise in one.exercises}
    step = {"lesson": number, "told": [s for s in one.sections if s not in by_hand],
            "hands": [s for s in one.sections if s in by_hand]}
    return Route(number, f"Lesson {number}: {one.title}", one.minutes,
                 "One lesson, all of it.", "09:00", (step,))


def route(name: str) -> Route:
    """Return a route by its name, or a lesson by its number; LookupError where there is none."""
    found = [r for r in all_routes() if r.name == name]
    if found:
        return found[0]
    if name in [one.number for one in all_lessons()]:
        return whole_lesson(name)
    names = ", ".join(r.name for r in all_routes())
    raise LookupError(f"there is no route {name!r}: want {names}, or the number of a lesson")


def disagreements(one: Route) -> list[str]:
    """Say where a route does not agree with its lessons, the guide, or its own minutes."""
    where, problems = f"docs/routes.toml, {one.name}", []
    for step in one.steps:
        problems += [f"{where}: a step has {key!r}" for key in sorted(set(step) - KNOWN)]
        if "lesson" not in step:
            continue
        number = step["lesson"]
        named = [section for way in WAYS for section in step.get(way, ())]
        sections = lesson(number).sections
        problems += [f"{where}: lesson {number} has no section {s!r}" for s in named
                     if s not in sections]
        problems += [f"{where}: section {s!r} of lesson {number} stands in {named.count(s)} lists"
                     for s in sections if named.count(s) != 1]
        for section, minutes in step.get("shown", {}).items():
            if section in sections and not 0 < minutes <= guide(number).of(section).minutes:
                problems.append(f"{where}: {section!r} of lesson {number} is shown for {minutes} "
                                f"minutes, the guide says {guide(number).of(section).minutes}")
    if not problems:
        length = sum(slot.minutes for slot in one.timetable if not slot.lunch)
        if length != one.minutes:
            problems.append(f"{where}: its steps take {length} minutes, not {one.minutes}")
    return problems

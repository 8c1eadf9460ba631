"""The instructor's guide, docs/guide/NN.md: for each section its minutes, what goes wrong, what to
say, and the commonest mistakes, named by the words that tests/test_checks_*.py know them by.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from tools.notebooks import ROOT
from tools.workshop.lesson import Lesson

FOLDER = ROOT / "docs/guide"
SECTION = re.compile(r"(?m)^## +(?P<title>.+?) · (?P<minutes>\d+) min *$")
PARTS = ("Goes wrong", "Say", "Mistakes")
PART = re.compile(rf"(?m)^\*({'|'.join(PARTS)})\.\* +")
MISTAKE = re.compile(r"(?:(?P<number>\d+\.\d+[ab]?): )?`(?P<words>.+?)`(?=;|$)")


@dataclass(frozen=True)
class Advice:
    """What the guide says about one section."""

    title: str
    minutes: int
    wrong: str
    say: str
    mistakes: tuple[tuple[str, str], ...]    # (number of the exercise, words of the message)


@dataclass(frozen=True)
class Guide:
    """The guide to one lesson."""

    lesson: str
    advice: tuple[Advice, ...]

    def of(self, section: str) -> Advice:
        """Return what it says about a section; LookupError where it says nothing."""
        for advice in self.advice:
            if advice.title == section:
                return advice
        raise LookupError(f"docs/guide/{self.lesson}.md has no section {section!r}")

    @property
    def minutes(self) -> int:
        """Return the minutes of all sections together."""
        return sum(advice.minutes for advice in self.advice)


@functools.cache
def guide(number: str) -> Guide:
    """Read the guide to a lesson. Raises ValueError where it is not written as a guide is."""
    return parse(number, (FOLDER / f"{number}.md").read_text("utf-8"))


def parse(number: str, text: str) -> Guide:
    """Return a guide from its text."""
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    starts = list(SECTION.finditer(text))
    if len(starts) != len(headings):
        wrong = next(line for line in headings if not SECTION.match(line))
        raise ValueError(f"docs/guide/{number}.md: want '## Title · 5 min', got {wrong!r}")
    ends = [match.start() for match in starts[1:]] + [len(text)]
    return Guide(number, tuple(
        advice(number, match, text[match.end() : end])
        for match, end in zip(starts, ends, strict=True)))


def advice(number: str, heading: re.Match[str], text: str) -> Advice:
    """Return what is said under one heading."""
    title = heading["title"]
    found = list(PART.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    said = {m[1]: text[m.end() : end].strip() for m, end in zip(found, ends, strict=True)}
    for part in PARTS[:2]:
        if not said.get(part):
            raise ValueError(f"docs/guide/{number}.md, {title}: *{part}.* is missing")
    return Advice(
        title, int(heading["minutes"]), said["Goes wrong"], said["Say"],
        tuple(mistakes(number, title, said.get("Mistakes", ""))))


def mistakes(number: str, title: str, text: str) -> list[tuple[str, str]]:
    """Return (exercise, words) of a line of mistakes: 7.1: `not divided`; `binds tighter`."""
    found, exercise = [], ""
    for match in MISTAKE.finditer(text):
        exercise = match["number"] or exercise
        found.append((exercise, match["words"]))
    left = MISTAKE.sub("", text).replace(";", "").strip()
    if left or any(not exercise for exercise, _ in found):
        raise ValueError(f"docs/guide/{number}.md, {title}: cannot read the mistakes {text!r}")
    return found


def disagreements(lesson: Lesson, own: Guide) -> list[str]:
    """Say where a guide and its lesson do not agree: sections, their order, exercises, minutes."""
    where = f"docs/guide/{own.lesson}.md"
    titles = [advice.title for advice in own.advice]
    problems = [f"{where} has no section {s!r}" for s in lesson.sections if s not in titles]
    problems += [f"{where}: lesson {lesson.number} has no section {t!r}" for t in titles
                 if t not in lesson.sections]
    if not problems and titles != lesson.sections:
        problems.append(f"{where}: its sections stand in another order than those of the lesson")
    if own.minutes != lesson.minutes:
        problems.append(
            f"{where}: its sections take {own.minutes} minutes, the README says {lesson.minutes}")
    for exercise in (e for e in lesson.exercises if not e.again):
        section = lesson.section_of(exercise)
        told = {n for a in own.advice if a.title == section for n, _ in a.mistakes}
        problems += [f"{where}, {section}: no mistakes of exercise {number}"
                     for number in exercise.numbers if number not in told]
    return problems

"""Wrong answers to the exercises, with what their checks say: the tables of tests/test_checks_*.py.

Nothing is kept here: each message is what the check prints when it is run.
"""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import Any

from tools.notebooks import ROOT

TESTS = ROOT / "tests"
BY_HAND = "judging"    # the module whose classes hold the tables


@functools.cache
def table(number: str) -> Any:
    """Return the table of the answers to an exercise, by the number that its check prints.

    Raises LookupError where the tests have none.
    """
    for file in sorted(TESTS.glob("test_checks_*.py")):
        for row in tables_of(file):
            if row.name == number:
                return row
    raise LookupError(f"no table of tests/test_checks_*.py is about exercise {number}")


@functools.cache
def tables_of(file: Path) -> tuple[Any, ...]:
    """Return the tables of one file of tests."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    judging = importlib.import_module(BY_HAND)
    module = importlib.import_module(file.stem)
    classes = [kind for kind in vars(module).values() if isinstance(kind, type)]
    return tuple(row for kind in classes if issubclass(kind, judging.Answers)
                 for row in kind.exercises)


def wrong(number: str, place: int) -> Any:
    """Return a wrong answer to an exercise, by its place in the table."""
    return table(number).wrong[place][0]


@functools.cache
def message(number: str, words: str) -> str:
    """Return what the check of an exercise says to the wrong answer whose message holds `words`.

    Raises LookupError where the table has no such row.
    """
    for answer, said in table(number).wrong:
        if said == words:
            verdict = table(number).check(answer)
            if verdict.passed is not False:
                raise LookupError(f"the check of {number} does not refuse {words!r}")
            return verdict.message
    raise LookupError(f"no wrong answer to exercise {number} is about {words!r}")

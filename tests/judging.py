"""The one runner of the tests of the checks: tables of answers, and what each must get.

A file test_checks_<lesson>.py holds tables and hands them to the runner:

    class TestAnswers(Answers):
        exercises = [Exercise(check, right=[...], wrong=[(answer, "words"), ...], stubs=[...])]
"""

from __future__ import annotations

import inspect
import random
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from utils.checks.surroundings import random_states, surroundings


def endless(*given: Any) -> Any:
    """Call itself for ever."""
    return endless(*given)


def fails(*given: Any) -> Any:
    """Raise an error of its own."""
    raise ValueError("no")


def leaves_gradients_off(*given: Any) -> Any:
    """Switch gradients off and leave them so."""
    torch.set_grad_enabled(False)
    return torch.zeros(2)


# what is handed in, and words of the sentence that every check of a function answers with
HOSTILE: list[tuple[Any, str]] = [
    (lambda *given: None, "None"),
    (lambda *given: "seven", "want"),
    (lambda *given: (), "want"),
    (fails, "raised ValueError: no"),
    (endless, "for ever"),
    (lambda: None, "raised TypeError"),
    ("not a function", "function itself"),
    (torch.ones(2), "function itself"),
    (leaves_gradients_off, "the gradient mode"),
]
SECONDS = 1.0    # for all right answers' checks of a lesson, one answer each


@dataclass
class Exercise:
    """The table of one exercise.

    right: answers that pass
    wrong: (answer, words that its message must hold); no two may get one message, unless they
    stand in `twins`: words of messages that several answers may share
    stubs: untouched stubs, besides `...` and a function that returns `...`
    hostile: answers that are refused whatever is said; for a check of a function HOSTILE comes
    in addition
    """

    check: Callable
    right: Sequence[Any]
    wrong: Sequence[tuple[Any, str]]
    stubs: Sequence[Any] = ()
    hostile: Sequence[Any] = ()
    twins: Sequence[str] = ()
    is_function: bool = True
    everywhere: list[tuple[Any, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.everywhere = HOSTILE if self.is_function else []

    @property
    def name(self) -> str:
        """The number of the exercise."""
        return self.check.exercise


def mutant(solution: Any, *texts: str) -> Any:
    """A solution of the course with texts replaced: mutant(f, old, new, old, new...).

    Each old text stands in the source once; what comes out differs there and nowhere else.
    """
    source = textwrap.dedent(inspect.getsource(solution))
    for old, new in zip(texts[::2], texts[1::2], strict=True):
        assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in\n{source}"
        source = source.replace(old, new)
    names = dict(vars(sys.modules[solution.__module__]))
    exec(compile(source, f"<mutant of {solution.__name__}>", "exec"), names)
    return names[solution.__name__]


class Answers:
    """The tests that every exercise of a lesson goes through."""

    exercises: Sequence[Exercise] = ()

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Give each test the rows of its table."""
        rows = {
            "right": lambda e: [(f"right {i}", (e, a)) for i, a in enumerate(e.right)],
            "wrong": lambda e: [(words, (e, a, words)) for a, words in e.wrong],
            "hostile": lambda e: [(words, (e, a, words)) for a, words in e.everywhere]
            + [(f"hostile {i}", (e, a, "")) for i, a in enumerate(e.hostile)],
            "stub": lambda e: [(f"stub {i}", (e, a)) for i, a in enumerate(
                [..., lambda *given: ..., *e.stubs])],
            "exercise": lambda e: [("", e)],
        }
        for name, rows_of in rows.items():
            if name in metafunc.fixturenames:
                found = [(f"{e.name} {i}".strip(), r) for e in metafunc.cls.exercises
                         for i, r in rows_of(e)]
                metafunc.parametrize(name, [r for _, r in found], ids=[i for i, _ in found])

    def test_right(self, right: tuple) -> None:
        exercise, answer = right
        passes(exercise.check, answer)

    def test_wrong(self, wrong: tuple) -> None:
        exercise, answer, words = wrong
        refuses(exercise.check, answer, words)

    def test_hostile(self, hostile: tuple) -> None:
        exercise, answer, words = hostile
        refuses(exercise.check, answer, words)
        leaves_all_as_it_was(exercise.check, answer)

    def test_stub(self, stub: tuple) -> None:
        exercise, answer = stub
        verdict = exercise.check(answer)
        assert verdict.passed is None and verdict.message == "not attempted yet", verdict

    def test_no_two_mistakes_share_a_message(self, exercise: Exercise) -> None:
        tells_apart((exercise.check, answer, words) for answer, words in exercise.wrong
                    if words not in exercise.twins)

    def test_other_surroundings_change_nothing(self, exercise: Exercise) -> None:
        leaves_all_as_it_was(exercise.check, exercise.right[0])

    def test_the_checks_of_a_lesson_take_less_than_a_second(self) -> None:
        start = time.process_time()
        for exercise in self.exercises:
            exercise.check(exercise.right[0])
        assert time.process_time() - start < SECONDS

    def test_there_are_rows(self) -> None:
        assert self.exercises and all(e.right and e.wrong for e in self.exercises)


def passes(check: Callable, answer: Any) -> None:
    """Hold that a check accepts an answer."""
    verdict = check(answer)
    assert verdict.passed is True, verdict.message


def refuses(check: Callable, answer: Any, words: str) -> None:
    """Hold that a check rejects an answer, with these words in its message, in one line."""
    verdict = check(answer)
    assert verdict.passed is False, verdict.message
    assert words in verdict.message, verdict.message
    assert "could not be judged" not in verdict.message, verdict.message
    assert len(verdict.message.splitlines()) == 1, verdict.message


def tells_apart(wrong: Iterable[tuple[Callable, Any, str]]) -> None:
    """Hold that no two wrong answers to an exercise get the same message."""
    first: dict[tuple[str, str], str] = {}
    for check, answer, words in wrong:
        message = check(answer).message
        other = first.setdefault((check.exercise, message), words)
        assert other == words, f"{other!r} and {words!r} both get: {message}"


def leaves_all_as_it_was(check: Callable, answer: Any) -> None:
    """Hold that a verdict does not depend on what a notebook has set, and changes none of it."""
    plain = check(answer)
    before = surroundings()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)    # noqa: NPY002
    drawn = random_states()
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    try:
        odd = surroundings()
        assert check(answer) == plain
        assert surroundings() == odd and random_states() == drawn
    finally:
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float32)
    assert surroundings() == before

"""How the tests of the checks hold a verdict, and answers that misbehave in any exercise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


def endless(*given: Any) -> Any:
    """Call itself for ever."""
    return endless(*given)


def fails(*given: Any) -> Any:
    """Raise an error of its own."""
    raise ValueError("no")


# what is handed in, and words of the sentence that every check answers with
HOSTILE: list[tuple[Any, str]] = [
    (lambda *given: None, "None"),
    (lambda *given: "seven", "want"),
    (lambda *given: (), "want"),
    (fails, "raised ValueError: no"),
    (endless, "for ever"),
    (lambda: None, "raised TypeError"),
    ("not a function", "function itself"),
    (torch.ones(2), "function itself"),
]


def passes(check: Callable, answer: Any) -> None:
    """Hold that a check accepts an answer."""
    verdict = check(answer)
    assert verdict.passed is True, verdict.message


def refuses(check: Callable, answer: Any, words: str) -> None:
    """Hold that a check rejects an answer, with these words in its message."""
    verdict = check(answer)
    assert verdict.passed is False
    assert words in verdict.message


def tells_apart(wrong: Iterable[tuple[Callable, Any, str]]) -> None:
    """Hold that no two wrong answers to an exercise get the same message."""
    messages = [(check.exercise, check(answer).message) for check, answer, _ in wrong]
    assert len(set(messages)) == len(messages)

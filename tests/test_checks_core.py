"""utils/checks/core.py, and what every check of the course must withstand."""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pkgutil
import re
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from utils import checks
from utils.checks.core import (
    Mistake,
    NotAttempted,
    Verdict,
    call,
    claim,
    describe,
    exercise,
    same,
    unchanged,
    want_finite,
    want_tensor,
)

NAN, INF = math.nan, math.inf


class Broken:
    """An object that fails whatever is asked of it, with an error that has no text."""

    def fail(self, *args):
        raise BrokenError

    __bool__ = __len__ = __iter__ = __eq__ = __call__ = __float__ = __getitem__ = fail
    __hash__ = None


class BrokenError(Exception):
    def __str__(self):
        raise ValueError("no text")


# ---- claim ----

HOLDS = [
    True, np.True_, 1, "text", torch.tensor(True), torch.tensor([True, True]), torch.ones(2, 3),
    torch.ones(2, dtype=torch.bfloat16), np.array(True), np.array([[True], [True]]),
    [True, np.True_, torch.tensor([True, True])], (True,), (n > 0 for n in [1, 2]), INF,
]
FAILS = [
    False, np.False_, None, 0, "", NAN, np.nan, np.float32("nan"),
    NAN < 1, NAN > 1, NAN == NAN, np.nan < 1, torch.tensor(NAN) < 1,
    torch.tensor(NAN), torch.tensor([1.0, NAN]), torch.tensor([1.0, NAN]) > 0,
    torch.tensor(False), torch.tensor([True, False]), torch.tensor([]), torch.zeros(0, 3) == 0,
    np.array([True, False]), np.array([1.0, NAN]), np.array([]), np.zeros((0, 3)) == 0,
    [], [False], [True, False], [True, None], (False, False), [[True], [False]], [[]], iter([]),
    (n > 1 for n in [1, 2]), torch.ones(2, device="meta"), Broken(), [Broken()],
]


def name(value) -> str:
    """A short id for a parametrized value."""
    return type(value).__name__


@pytest.mark.parametrize("held", HOLDS, ids=name)
def test_a_claim_that_holds(held, capsys: pytest.CaptureFixture) -> None:
    assert claim("the weights sum to 1", held) is None
    assert capsys.readouterr().out == "✓ the weights sum to 1\n"


@pytest.mark.parametrize("held", FAILS, ids=name)
def test_a_claim_that_fails(held, capsys: pytest.CaptureFixture) -> None:
    claim("the weights sum to 1", held)
    assert capsys.readouterr().out == "✗ the weights sum to 1\n"


def test_a_list_that_holds_itself_is_no_claim(capsys: pytest.CaptureFixture) -> None:
    held: list = [True]
    held.append(held)
    claim("endless", held)
    assert capsys.readouterr().out == "✗ endless\n"


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_a_claim_about_many_holds_if_all_of_them_do(held: list[bool]) -> None:
    for container in (torch.tensor, np.array, list, tuple, iter):
        assert checks.core.holds(container(held)) is all(held)


# ---- Verdict ----


@pytest.mark.parametrize(
    "passed, mark, colour",
    [(True, "✓", "#1b7837"), (False, "✗", "#b2182b"), (None, "·", "#5f6368")],
)
def test_a_verdict_says_what_is_what(passed, mark: str, colour: str) -> None:
    verdict = Verdict("5.2", passed, "rows & <eos> sum to 1")
    assert repr(verdict) == str(verdict) == f"{mark} Exercise 5.2: rows & <eos> sum to 1"
    page = verdict._repr_html_()
    assert f"<b>{mark} Exercise 5.2</b>: rows &amp; &lt;eos&gt; sum to 1</div>" in page
    assert colour in page and "<eos>" not in page


def test_the_text_of_a_verdict_cannot_become_html() -> None:
    page = Verdict("1.1", False, '<script>alert("x")</script>')._repr_html_()
    assert "<script" not in page and "&lt;script&gt;" in page


# ---- exercise and call ----


def judged(answer, *args, **kwargs) -> Verdict:
    """The verdict of a check that only calls the answer with these arguments."""

    @exercise("9.9")
    def check(given):
        call(given, *args, **kwargs)

    return check(answer)


def endless(*args):
    return endless(*args)


def leaves(*args):
    raise SystemExit(3)


def raises(*args):
    raise KeyError("tgt_len")


def raises_at_length(*args):
    raise ValueError("first line\nsecond line\n")


def raises_nothing_to_say(*args):
    raise BrokenError


@pytest.mark.parametrize(
    "answer, message",
    [
        (lambda *args: None, "your function returned None: is the `return` line missing?"),
        (raises, "your function raised KeyError: 'tgt_len' in the line "
         "`raise KeyError(\"tgt_len\")`"),
        (leaves, "your function raised SystemExit: 3 in the line `raise SystemExit(3)`"),
        (raises_at_length, "your function raised ValueError: first line in the line `raise "
         "ValueError(\"first line\\nsecond line\\n\")`"),
        (raises_nothing_to_say, "your function raised BrokenError in the line `raise BrokenError`"),
        (endless, "your function calls itself for ever: it needs a case that stops"),
        (None, "hand over the function itself, without brackets; got a value of type NoneType"),
        (3, "hand over the function itself, without brackets; got a value of type int"),
        (torch.ones(2), "hand over the function itself, without brackets; got a value of type "
                        "Tensor"),
    ],
)
def test_what_goes_wrong_in_a_call_is_said_in_one_line(answer, message: str) -> None:
    assert judged(answer) == Verdict("9.9", False, message)


def test_a_function_with_another_number_of_arguments_is_told_so() -> None:
    message = judged(lambda a, b: a, 1).message
    assert message.startswith("your function raised TypeError") and "argument" in message


def test_the_shapes_of_the_inputs_stand_in_the_message() -> None:
    verdict = judged(raises, torch.ones(2, 5), 3, torch.ones(7))
    assert "KeyError: 'tgt_len' (inputs of shape (2, 5), (7,)) in the line" in verdict.message


def not_written(*args):
    raise NotImplementedError


@pytest.mark.parametrize(
    "stub",
    [
        ..., lambda *args: ..., lambda *args: (..., ...), lambda *args: (1, ...),
        lambda *args: [..., ...], not_written,
    ],
)
def test_an_untouched_stub_is_not_attempted(stub) -> None:
    assert judged(stub, torch.ones(2)) == Verdict("9.9", None, "not attempted yet")


def test_an_interrupt_is_not_caught() -> None:
    """Jupyter's stop button raises KeyboardInterrupt: it must end the cell."""

    def stopped(*args):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judged(stopped)


X = torch.tensor([[1.0, NAN], [-INF, INF]])
CHANGES = {
    "zeroed": (lambda x: x.zero_(), X),
    "one entry": (lambda x: x[1].fill_(2.0), torch.ones(2, 3)),
    "nan to number": (lambda x: x.nan_to_num_(), X),
    "infinity to a large number": (lambda x: x.clamp_(min=-3.4028234663852886e38), X),
    "bool": (lambda x: x.logical_not_(), torch.tensor([True, False])),
    "resized": (lambda x: x.resize_(0), torch.ones(2)),
    "transposed": (lambda x: x.t_(), torch.ones(2, 3)),
    "appended": (lambda x: x.append(1) or x, [1, 2]),
    "sorted": (lambda x: x.sort() or x, [2, 1]),
    "emptied": (lambda x: x.clear() or x, {"a": 1}),
    "key": (lambda x: x.update(b=2) or x, {"a": 1}),
    "nested list": (lambda x: x[1].append("c") or x, [["a"], ["b"]]),
    "nested word": (lambda x: x[0].reverse() or x, [["a", "b"], ["b"]]),
    "tensor in a list": (lambda x: x[1].zero_(), [torch.ones(2), torch.ones(3)]),
    "tensor in a tuple": (lambda x: x[0].zero_(), (torch.ones(2), 3)),
    "tensor in a dict of lists": (lambda x: x["a"][0].zero_(), {"a": [torch.ones(2)]}),
    "tensor replaced": (lambda x: x.__setitem__(0, None) or x, [torch.ones(2)]),
    "list replaced": (lambda x: x.__setitem__(0, 7) or x, [[1, 2]]),
    "number replaced": (lambda x: x.__setitem__(0, 1.5) or x, [NAN]),
    "type": (lambda x: x.__setitem__(0, 1) or x, [True]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_place_is_noticed_and_does_not_reach_the_check(change: str) -> None:
    answer, argument = CHANGES[change]
    before = repr(argument)
    assert judged(answer, argument).message.startswith(
        "your function changed its input `x` in place: work on a copy"
    )
    assert "its input in place" in judged(lambda *given: answer(*given), argument).message
    assert judged(lambda first, word: answer(word), 0, word=argument).passed is False
    assert repr(argument) == before


@pytest.mark.parametrize(
    "argument",
    [
        X, torch.tensor([]), torch.tensor([True]), torch.tensor(3), (1, "a", None), [[], [1.5]],
        [NAN, INF], {"a": [torch.ones(2), NAN]}, [nn.Linear(2, 2)], [len, raises], [[1].count],
        [SimpleNamespace(a=1)], nn.GRU(2, 2), frozenset({1}), None, "text", [frozenset({(0, 1)})],
    ],
    ids=lambda argument: type(argument).__name__,  # a repr may hold an address
)
def test_an_input_left_alone_is_not_called_changed(argument) -> None:
    assert judged(lambda x: 1, argument) == Verdict("9.9", True, "correct")
    assert unchanged(argument, argument)


def test_a_check_hands_out_copies_of_weights() -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.clone()
    judged(lambda given: given.weight.data.zero_(), layer)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_random_state_is_as_before_and_each_check_starts_from_the_same(seed: int) -> None:
    drawn = []

    @exercise("9.9")
    def check(answer):
        drawn.append(torch.rand(1).item())
        call(answer)

    torch.manual_seed(seed)
    wanted = torch.rand(3)
    torch.manual_seed(seed)
    for answer in (lambda: torch.manual_seed(9), raises, endless, ..., lambda: torch.rand(5)):
        check(answer)
    assert torch.equal(torch.rand(3), wanted)
    assert len(set(drawn)) == 1


def faulty(answer):
    return 1 / 0


def recursive(answer):
    return endless()


def exits(answer):
    raise SystemExit


def breaks(answer):
    raise BrokenError


@pytest.mark.parametrize(
    "judge, message",
    [
        (faulty, "your answer could not be judged: ZeroDivisionError: division by zero"),
        (exits, "your answer could not be judged: SystemExit"),
        (breaks, "your answer could not be judged: BrokenError"),
        (recursive, "your answer calls itself for ever"),
    ],
)
def test_a_check_that_fails_itself_still_gives_a_verdict(judge, message: str) -> None:
    assert exercise("9.9")(judge)(None) == Verdict("9.9", False, message)


def test_a_judge_passes_with_or_without_a_remark() -> None:
    assert exercise("9.9")(lambda answer: None)(1) == Verdict("9.9", True, "correct")
    verdict = exercise("9.9")(lambda answer: "Rows sum to 1.")(1)
    assert verdict == Verdict("9.9", True, "correct. Rows sum to 1.")


@pytest.mark.parametrize(
    "error, passed, message",
    [
        (Mistake("why"), False, "why"),
        (Mistake("why\n  so"), False, "why so"),
        (NotAttempted(), None, "not attempted yet"),
    ],
)
def test_a_judge_fails_by_raising(error: Exception, passed: bool | None, message: str) -> None:
    def judge(answer):
        raise error

    assert exercise("9.9")(judge)(1) == Verdict("9.9", passed, message)


def test_a_check_keeps_the_name_and_text_of_its_judge() -> None:
    @exercise("9.9")
    def check_rows(answer):
        """Rows sum to 1."""

    assert check_rows.__name__ == "check_rows" and check_rows.__doc__ == "Rows sum to 1."
    assert check_rows.exercise == "9.9"


# ---- the helpers of the checks ----


def complaint(function, *args, **kwargs) -> str:
    """The text of the Mistake that a helper raises."""
    with pytest.raises(Mistake) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def test_want_tensor() -> None:
    x = torch.ones(2, 5)
    assert want_tensor(x, (2, 5), "(batch, seq_len)") is x
    assert want_tensor(x, torch.Size([2, 5]), "(batch, seq_len)", torch.float32) is x
    want = functools.partial(complaint, want_tensor)
    assert want([1], (1,), "(n,)") == "want a torch.Tensor (n,), got list"
    assert want(x, (5, 2), "(a, b)") == "want shape (a, b) = (5, 2), got (2, 5)"
    assert want(x, (2, 5), "(a, b)", torch.bool) == "want torch.bool, got torch.float32"


def test_want_finite() -> None:
    x = torch.ones(2)
    assert want_finite(x, "why") is x
    for value in (NAN, INF, -INF):
        wrong = torch.tensor([1.0, value])
        assert complaint(want_finite, wrong, "why") == "the result holds nan or inf: why"


def test_same() -> None:
    x = torch.tensor([1.0, 2.0])
    assert same(x, x.double()) and same(x, x + 1e-6) and same(x.long(), x, 0)
    assert not same(x, x + 1e-3) and not same(x, x[None]) and not same(x, x[:1])
    assert not same(x, x * NAN) and not same(x * NAN, x * NAN)
    assert same(torch.tensor([True, False]), torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize(
    "error, words",
    [
        (ValueError("one\ntwo"), "ValueError: one"), (ValueError(), "ValueError"),
        (ValueError("  \n"), "ValueError"), (KeyError("a"), "KeyError: 'a'"),
        (BrokenError(), "BrokenError"), (SystemExit(), "SystemExit"),
    ],
)
def test_describe_is_one_line(error: BaseException, words: str) -> None:
    assert describe(error) == words


# ---- all checks of the course ----

CHECKS = {n: getattr(checks, n) for n in checks.__all__ if n.startswith("check_")}
SHARED = {"core", "kinds", "results", "surroundings"}
MODULES = {
    info.name: importlib.import_module(f"utils.checks.{info.name}")
    for info in pkgutil.iter_modules(checks.__path__)
    if info.name not in SHARED
}


def test_there_are_checks() -> None:
    assert len(CHECKS) >= 27 and len(MODULES) >= 7


def test_every_check_of_a_lesson_is_exported_and_nothing_else() -> None:
    written = {
        n: value
        for module in MODULES.values()
        for n, value in vars(module).items()
        if hasattr(value, "exercise") and value.__module__ == module.__name__
    }
    assert written == CHECKS
    assert checks.__all__ == sorted(checks.__all__)
    assert set(checks.__all__) == {*CHECKS, "Verdict", "claim"}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_a_check_takes_one_answer_and_has_a_number_and_a_text(check) -> None:
    assert callable(check) and re.fullmatch(r"\d{1,2}\.\d[a-z]?", check.exercise)
    assert list(inspect.signature(check).parameters) == ["answer"]
    assert check.__doc__ and check.__doc__.strip()


def test_no_two_checks_share_a_number() -> None:
    counts = Counter(check.exercise for check in CHECKS.values())
    assert [number for number, count in counts.items() if count > 1] == []


def test_the_numbers_of_a_lesson_belong_together() -> None:
    """One lesson in a file, one file for a lesson."""
    lessons = {}
    for check in CHECKS.values():
        lessons.setdefault(check.__module__, set()).add(check.exercise.split(".")[0])
    assert all(len(numbers) == 1 for numbers in lessons.values()), lessons
    assert len(set().union(*lessons.values())) == len(lessons) == len(MODULES)


STUBS = {"the dots": ..., "a function": lambda *args: ..., "not written": not_written}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("stub", STUBS.values(), ids=STUBS)
def test_every_check_knows_an_untouched_stub(check, stub) -> None:
    assert check(stub) == Verdict(check.exercise, None, "not attempted yet")


def no_arguments():
    return torch.ones(2)


class Empty:
    """A class in place of a function."""


HOSTILE = {
    "none": None,
    "a number": 7,
    "a text": "seven",
    "a tensor": torch.ones(2, 5),
    "nan": NAN,
    "a broken object": Broken(),
    "a class": Empty,
    "a module": nn.Linear(3, 3),
    "returns none": lambda *args: None,
    "returns a text": lambda *args: "seven",
    "returns an object": lambda *args: object(),
    "returns a broken object": lambda *args: Broken(),
    "returns a class": lambda *args: Empty,
    "returns nan": lambda *args: NAN,
    "returns true": lambda *args: True,
    "returns a tensor of nan": lambda *args: torch.full((2, 5), NAN),
    "returns two tensors of nan": lambda *args: (torch.full((2, 4), NAN), torch.full((2, 4), NAN)),
    "returns an empty tensor": lambda *args: torch.empty(0),
    "returns a tensor of numbers": lambda *args: torch.zeros(2, 5, dtype=torch.long),
    "returns nothing in a list": lambda *args: [None],
    "returns two nones": lambda *args: (None, None),
    "returns lists of two lengths": lambda *args: [[1, 2], [3]],
    "returns a dict": lambda *args: {"weights": 1},
    "returns a function": lambda *args: raises,
    "raises": raises,
    "raises at length": raises_at_length,
    "raises without a text": raises_nothing_to_say,
    "leaves": leaves,
    "endless": endless,
    "takes no arguments": no_arguments,
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_every_check_withstands_hostile_answers(check) -> None:
    for words, answer in HOSTILE.items():
        verdict = check(answer)
        assert isinstance(verdict, Verdict) and verdict.exercise == check.exercise
        assert verdict.passed is False, f"{words}: {verdict}"
        assert verdict.message.strip() and len(verdict.message.splitlines()) == 1, words


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_every_check_leaves_torch_as_it_was(check) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    for answer in (..., raises, endless, lambda *args: torch.rand(2)):
        check(answer)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32

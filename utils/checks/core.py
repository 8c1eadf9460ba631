"""How a claim is printed and how an exercise is judged. A check never raises."""

import copy
import functools
import html
import inspect
import linecache
import math
import numbers
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from utils.checks.surroundings import settled, watched

COLOURS = {True: "#1b7837", False: "#b2182b", None: "#5f6368"}
MARKS = {True: "✓", False: "✗", None: "·"}


def claim(text: str, held) -> None:
    """Print one claim of the lesson with ✓ if the measurement bore it out, else ✗. Never raises.

    held: a bool, or anything that `holds` can judge.
    """
    print(f"{'✓' if holds(held) else '✗'} {text}")


def holds(held) -> bool:
    """Whether a measurement bears a claim out.

    held: a bool, or anything with a truth value. A tensor, array, list, tuple or iterator holds
    if it has entries and all of them hold. What is nan or has no truth value does not hold.
    """
    try:
        held = held.tolist() if hasattr(held, "tolist") else held
        if isinstance(held, list | tuple | Iterator):
            entries = list(held)
            return bool(entries) and all(map(holds, entries))
        return bool(held) and not (isinstance(held, float) and math.isnan(held))
    except Exception:
        return False


@dataclass(frozen=True)
class Verdict:
    """What a check says of an answer: passed is True, False, or None for 'not attempted'."""

    exercise: str
    passed: bool | None
    message: str

    def __repr__(self) -> str:
        seen(self)
        return f"{MARKS[self.passed]} Exercise {self.exercise}: {self.message}"

    def _repr_html_(self) -> str:
        seen(self)
        colour = COLOURS[self.passed]
        return (
            f'<div style="border-left: 4px solid {colour}; padding: 2px 8px">'
            f"<b>{MARKS[self.passed]} Exercise {self.exercise}</b>: "
            f"{html.escape(self.message)}</div>"
        )


unseen: list[Verdict] = []    # verdicts of the running cell that have not been shown yet


def seen(verdict: Verdict) -> None:
    """Note that a verdict has been shown."""
    unseen[:] = [other for other in unseen if other is not verdict]


def show_unseen(*result) -> None:
    """At the end of a cell, show the verdicts that were not its last expression."""
    from IPython.display import display

    for verdict in list(unseen):
        display(verdict)
    unseen.clear()


def announced(verdict: Verdict) -> Verdict:
    """See to it that a verdict is shown once, also from inside a loop or an `if`."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        if show_unseen not in shell.events.callbacks["post_run_cell"]:
            shell.events.register("post_run_cell", show_unseen)
        unseen.append(verdict)
    return verdict


class NotAttempted(Exception):
    """The answer is still the untouched stub."""


class Mistake(Exception):
    """The answer is wrong; the message says which mechanism failed and what to look at."""


def exercise(number: str) -> Callable:
    """Make a check out of a function that raises Mistake or NotAttempted, or returns a remark.

    The check takes the learner's answer and returns a Verdict. It never raises. It runs with
    gradients on, float32, the CPU and seed 0, whatever the notebook has set, and leaves all of
    that as it was.
    """

    def decorate(judge: Callable) -> Callable:
        def verdict_on(answer) -> Verdict:
            try:
                with settled():
                    remark = judge(answer)
            except NotAttempted:
                return Verdict(number, None, "not attempted yet")
            except Mistake as mistake:
                return Verdict(number, False, " ".join(str(mistake).split()))
            except RecursionError:
                return Verdict(number, False, "your answer calls itself for ever")
            except (Exception, SystemExit) as error:
                return Verdict(number, False, f"your answer could not be judged: {describe(error)}")
            return Verdict(number, True, f"correct. {remark}" if remark else "correct")

        @functools.wraps(judge)
        def check(answer) -> Verdict:
            return announced(verdict_on(answer))

        check.exercise = number
        return check

    return decorate


def call(answer: Callable, *args, **kwargs):
    """Run the learner's function on copies of the arguments and return what it gives.

    Raises NotAttempted for an untouched stub; Mistake if it is no function, raises, recurses
    for ever, returns None, changes an argument in place, or leaves state changed behind itself.
    """
    given, given_named = copy.deepcopy(args), copy.deepcopy(kwargs)
    result = run(answer, given, given_named)
    all_given = [*given, *given_named.values()]
    pairs = zip([*args, *kwargs.values()], all_given, strict=True)
    for place, (before, after) in enumerate(pairs):
        if isinstance(before, Tensor | list | tuple | dict) and not unchanged(before, after):
            raise Mistake(f"your function changed its input{name_of(answer, place)} in place: work "
                          "on a copy (*=, x[...] = and names that end in _ write into a tensor, "
                          "also through a view or a second name of it)")
    return result


def name_of(answer: Callable, place: int) -> str:
    """The name that a function gives its argument at a place, as " `x`"; '' if it has none."""
    try:
        parameters = list(inspect.signature(answer).parameters.values())
    except (TypeError, ValueError):
        return ""
    has_name = place < len(parameters) and all(
        p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters[: place + 1])
    return f" `{parameters[place].name}`" if has_name else ""


def run(answer: Callable, args: tuple, named: dict | None = None):
    """Run the learner's function on these very arguments; as `call`, but it may change them."""
    named = named or {}
    if answer is ...:
        raise NotAttempted
    if not callable(answer):
        raise Mistake(
            "hand over the function itself, without brackets; "
            f"got a value of type {type(answer).__name__}"
        )
    own = [m for m in (answer, getattr(answer, "__self__", None)) if isinstance(m, nn.Module)]
    given = [m for m in (*args, *named.values()) if isinstance(m, nn.Module)]
    try:
        with watched(left_changed, own, given):
            result = answer(*args, **named)
    except (Mistake, NotAttempted):
        raise
    except NotImplementedError as error:
        raise NotAttempted from error
    except RecursionError as error:
        raise Mistake("your function calls itself for ever: it needs a case that stops") from error
    except (Exception, SystemExit) as error:
        parts = f"your function raised {describe(error)}", inputs(args), line_of(error)
        raise Mistake(" ".join(filter(None, parts))) from error
    parts = result if isinstance(result, tuple | list) else [result]
    if any(part is ... for part in parts):
        raise NotAttempted
    if result is None:
        raise Mistake("your function returned None: is the `return` line missing?")
    return result


def left_changed(what: str) -> Mistake:
    """The complaint about state that a function has changed and not put back."""
    return Mistake(f"your function leaves {what} changed behind itself: whoever calls it next gets "
                   "something else. Put it back before you return (a `with` block does)")


def class_of_module(answer) -> type[nn.Module]:
    """Make sure that an answer is a class of nn.Module with a forward of its own; returns it.

    Raises NotAttempted for an untouched stub, be it a class or a function, else Mistake.
    """
    if isinstance(answer, type) and issubclass(answer, nn.Module):
        if answer.forward is nn.Module.forward:
            raise NotAttempted
        return answer
    if answer is ... or inspect.isroutine(answer):
        call(answer)
    raise Mistake("hand over the class itself, a class of nn.Module, without brackets")


def describe(error: BaseException) -> str:
    """The kind of an exception and the first line of its text."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:
        lines = []
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def line_of(error: BaseException) -> str:
    """The line of the learner's code where an exception came up, '' if it cannot be read."""
    trace, lines = error.__traceback__, []
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not any(part in name for part in ("utils/checks", "utils\\checks", "site-packages")):
            lines.append(linecache.getline(name, trace.tb_lineno).strip())
        trace = trace.tb_next
    return f"in the line `{lines[-1]}`" if lines and 0 < len(lines[-1]) <= 100 else ""


def inputs(args: tuple) -> str:
    """The shapes of the tensors among the arguments, in words; if there are none, the numbers."""
    shapes = [str(tuple(a.shape)) for a in args if isinstance(a, Tensor)]
    if not shapes and args and all(isinstance(a, numbers.Real) for a in args):
        return f"(for {', '.join(map(str, args))})"
    return f"(inputs of shape {', '.join(shapes)})" if shapes else ""


def unchanged(before, after) -> bool:
    """Whether an argument is still what it was, tensors and containers alike.

    Things that can only be compared by identity, such as modules, pass.
    """
    if type(before) is not type(after):
        return False
    if isinstance(before, Tensor):
        if before.shape != after.shape or before.dtype != after.dtype:
            return False
        return bool(((before == after) | (before.isnan() & after.isnan())).all())
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(unchanged(before[k], after[k]) for k in before)
    if isinstance(before, float) and math.isnan(before):
        return math.isnan(after)
    by_identity = inspect.isroutine(before) or type(before).__eq__ is object.__eq__
    return by_identity or before == after


def want_tensor(result, shape: tuple, axes: str, dtype: torch.dtype | None = None) -> Tensor:
    """Make sure that an answer is a tensor of the wanted shape and type; returns it.

    axes: the names of the axes, as the message shows them, such as "(batch, seq_len)".
    """
    if not isinstance(result, Tensor):
        raise Mistake(f"want a torch.Tensor {axes}, got {type(result).__name__}")
    if tuple(result.shape) != tuple(shape):
        raise Mistake(f"want shape {axes} = {tuple(shape)}, got {tuple(result.shape)}")
    if dtype is not None and result.dtype != dtype:
        raise Mistake(f"want {dtype}, got {result.dtype}")
    return result


def want_finite(result: Tensor, why: str) -> Tensor:
    """Make sure that no entry is nan or infinite; `why` tells what usually causes it."""
    if not torch.isfinite(result).all():
        raise Mistake(f"the result holds nan or inf: {why}")
    return result


def same(result: Tensor, expected: Tensor, tolerance: float = 1e-5) -> bool:
    """Whether two tensors have one shape and agree everywhere within the tolerance."""
    if result.shape != expected.shape:
        return False
    return torch.allclose(result.double(), expected.double(), atol=tolerance, rtol=tolerance)

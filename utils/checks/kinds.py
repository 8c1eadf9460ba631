"""Judge an answer against a function that is right: values, gradients, and what moves what.

`agree` is what a check calls. A known mistake is a function with the arguments of the right one,
and is named only if it gives what the answer gives in every case.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from utils.checks.core import Mistake, call, class_of_module, run
from utils.checks.results import (
    TOLERANCE,
    Axes,
    difference,
    far,
    is_float,
    kind_of,
    nonfinite,
)
from utils.checks.surroundings import random_states, seed_all


@dataclass(frozen=True)
class Case:
    """One set of arguments, in the order of the stub.

    words: what is special, as it reads after "for", such as "a batch of one"
    hint: what to say if only this case goes wrong, or if the first one raises an error
    gradients: whether gradients are compared here, too
    """

    words: str
    args: tuple
    hint: str = ""
    gradients: bool = True


def case(words: str, *args, hint: str = "", gradients: bool = True) -> Case:
    """A Case, its arguments written as in a call."""
    return Case(words, args, hint, gradients)


def as_dtype(one: Case, dtype: torch.dtype, words: str, hint: str = "") -> Case:
    """The same case with its float tensors, and the weights of its modules, of another type."""

    def turned(argument):
        if isinstance(argument, nn.Module):
            return copy.deepcopy(argument).to(dtype)
        return argument.to(dtype) if is_float(argument) else argument

    return Case(words, tuple(map(turned, one.args)), hint, one.gradients)


def agree(
    answer: Callable,
    truth: Callable,
    cases: Sequence[Case],
    mistakes: Sequence[tuple[Callable, str]] = (),
    *,
    axes: Axes | None = None,
    advice: str = "",
    explain: Callable[[list, list], str] | None = None,
    gradients: bool = True,
    float64: bool = True,
    tolerance: float | None = None,
) -> None:
    """Raise Mistake unless the answer gives what the truth gives, in all cases.

    truth: a right function with the arguments of the stub; its result is a tensor, a number, a
    text, or a list, tuple or dict of such.
    mistakes: (wrong function, message); the message is a fact if it is the only one that fits.
    axes: the names of the axes of results and arguments, {"weights": ("query", "key"), ...},
    aligned at the end. Results come in the order of their names; names of arguments are known,
    and an axis of an argument that is named "" is not tried.
    advice: where to look if the first case is wrong and nothing is known about it.
    explain: gets the answer's results and the right ones, case by case, where no mistake fits;
    returns what to say, or "".
    gradients, float64: whether the gradients are compared, and the first case in float64.
    """
    trial = Trial(answer, truth, axes or {}, tolerance)
    cases = list(cases)
    if float64 and any(map(is_float, cases[0].args)):
        hint = "something in it has a type of its own: take that of the arguments"
        cases.append(as_dtype(cases[0], torch.float64, "the first numbers as float64", hint))
    answered = [trial.ask(one) for one in cases]
    if isinstance(answered[0], Mistake):
        raise Mistake(f"{answered[0]}. {cases[0].hint}".rstrip(". "))
    wants = [trial.right(one) for one in cases]
    wrong = [trial.complaint(got, want) for got, want in zip(answered, wants)]
    if any(wrong):
        trial.name_mistake(cases, answered, wants, mistakes)
        trial.diagnose(cases, answered, wants, wrong, explain)
        trial.explain(cases, wrong, advice)
    trial.judge_repetition(cases[0])
    for one in cases if gradients else []:
        if one.gradients:
            trial.judge_gradients(one)


def forward(module: nn.Module, *given):
    """The answer that `agree` judges where the learner writes a module: case(words, module, ...).

    Its weights count as arguments, and what its forward leaves changed in it is named.
    """
    return run(module, given)


def only(answer: Callable, place: int, names: Sequence[str]) -> Callable:
    """One of several results of an answer, so that `agree` can judge them one after another.

    names: of all the results, as the message about a wrong number of them shows.
    """
    if not callable(answer):
        call(answer)

    @functools.wraps(answer, updated=())
    def part(*given, **named):
        results = run(answer, given, named)
        if not isinstance(results, tuple | list) or len(results) != len(names):
            raise Mistake(f"want {len(names)} results, `return {', '.join(names)}`, got "
                          f"{kind_of(results)}")
        return results[place]

    return part


def built(answer, *sizes) -> nn.Module:
    """The module that a learner's class, or a function that makes one, gives for these sizes."""
    if isinstance(answer, nn.Module):
        raise Mistake("hand over the class itself, not a module made from it")
    if isinstance(answer, type) and issubclass(answer, nn.Module):
        class_of_module(answer)
    net = call(answer, *sizes)
    if not isinstance(net, nn.Module):
        raise Mistake(f"want a class that makes an nn.Module, got {type(net).__name__}")
    return net


class Trial:
    """An answer and what is right, with the names of arguments and axes."""

    def __init__(self, answer: Callable, truth: Callable, axes: Axes, tolerance: float | None):
        self.answer, self.truth, self.axes, self.tolerance = answer, truth, axes, tolerance
        self.names = list(inspect.signature(truth).parameters)
        self.outputs = [name for name in axes if name not in self.names] or ["the result"]

    def ask(self, one: Case):
        """What the answer gives, or the Mistake that it makes on the way."""
        seed_all(1)
        try:
            return call(self.by_name(one.args), *one.args)
        except Mistake as mistake:
            return mistake

    def by_name(self, args: tuple) -> Callable:
        """The answer; by the names of the stub if it takes its arguments only so."""
        try:
            signature = inspect.signature(self.answer)
            signature.bind(*args)
        except ValueError:
            return self.answer
        except TypeError:
            try:
                signature.bind(**dict(zip(self.names, args)))
            except (TypeError, UnboundLocalError):
                return self.answer
            return lambda *given: self.answer(**dict(zip(self.names, given)))
        return self.answer

    def right(self, one: Case):
        """What the truth gives."""
        seed_all(1)
        return self.truth(*one.args)

    def complaint(self, got, want) -> str:
        """What is wrong with one result, '' if nothing."""
        if isinstance(got, Mistake):
            return str(got)
        return difference(got, want, self.outputs, self.axes, self.tolerance)

    def name_mistake(self, cases, answered, wants, mistakes) -> None:
        """Raise the message of the only mistake that gives what the answer gives."""
        fit = []
        for wrong, message in mistakes:
            if message not in fit and self.fits(wrong, cases, answered, wants):
                fit.append(message)
        if len(fit) == 1:
            raise Mistake(fit[0])
        if fit:
            raise Mistake("the numbers are those of one of these: " + "; or: ".join(fit))

    def fits(self, wrong: Callable, cases, answered: list, wants: list) -> bool:
        """Whether a mistake gives what the answer gives where it runs, and not by being right."""
        is_wrong = False
        for one, got, want in zip(cases, answered, wants):
            seed_all(1)
            try:
                given = wrong(*one.args)
            except Exception:
                continue
            if isinstance(got, Mistake) or self.complaint(got, given):
                return False
            is_wrong = is_wrong or bool(self.complaint(given, want))
        return is_wrong

    def diagnose(self, cases, answered: list, wants: list, wrong: list[str], explain) -> None:
        """Raise what moves what it must not, what the exercise itself knows, what does not move.

        Only for results of the right shape, without nan.
        """
        if wrong[0].startswith("want ") or any(map(nonfinite, answered)):
            return
        failed = any(isinstance(got, Mistake) for got in answered)
        for look in (
            lambda: wrong[0] and self.strays(cases[0], too_much=True),
            lambda: explain and not failed and explain(answered, wants),
            lambda: wrong[0] and self.strays(cases[0], too_much=False),
        ):
            if words := look():
                raise Mistake(words)

    def explain(self, cases: list[Case], wrong: list[str], advice: str) -> None:
        """Raise what can be said of an unknown mistake."""
        place = next(i for i, words in enumerate(wrong) if words)
        if place == 0:
            advice = "" if wrong[0].startswith("want ") else advice
            raise Mistake(f"{wrong[0]}. {advice}".rstrip(". "))
        one, before = cases[place], cases[place - 1]
        right = cases[0].words if place < 3 else f"{cases[0].words} and {place - 1} other cases"
        right = f"{right} and {before.words}" if place == 2 else right
        hint = one.hint or ("is a size or a number written into your code?"
                            if sizes(one.args) != sizes(before.args) else "")
        other = [n for n, a, b in zip(self.names, one.args, before.args) if not equal(a, b)]
        only = f" (only `{other[0]}` is another)" if len(other) == 1 else ""
        raise Mistake(f"right for {right}, but for {one.words}{only}: {wrong[place]}. "
                      f"{hint[:1].upper()}{hint[1:]}".rstrip(". "))

    def strays(self, one: Case, too_much: bool) -> str:
        """The first argument that moves what it must not, or does not move what it must."""
        for place, name in enumerate(self.names[: len(one.args)]):
            for words, other, axis in changes(name, one.args[place], self.axes.get(name)):
                args = (*one.args[:place], other, *one.args[place + 1:])
                if found := self.stray(one, Case("", args), name, words, axis)[not too_much]:
                    return found
        return ""

    def stray(self, one: Case, other: Case, name: str, words: str, axis: str) -> tuple[str, str]:
        """What one change of an argument moves in the answer against the truth: too much, less."""
        results = [as_list(self.ask(one)), as_list(self.ask(other))]
        wants = [as_list(self.right(one)), as_list(self.right(other))]
        if any(len(part) != len(self.outputs) for part in (*results, *wants)):
            return "", ""
        much = less = ""
        for output, a, b, c, d in zip(self.outputs, *results, *wants):
            if not all(isinstance(part, Tensor) for part in (a, b, c, d)) or a.shape != c.shape:
                continue
            its_axes = self.axes.get(output, ())[-c.dim():]
            if axis and axis not in its_axes:
                continue
            dim = its_axes.index(axis) if axis else None
            moved, must = moves(a, b, dim), moves(c, d, dim)
            where = f" of {output}" if len(self.outputs) > 1 else ""
            if not axis and must and not moved:
                less = less or f"`{name}` has no part in {output}: another `{name}` gives the same"
            elif axis and moved - must:
                much = much or (f"a change in {words} moves {axis} {min(moved - must)}{where}, and "
                                "must not: print the shapes, which step mixes them?")
            elif axis and must - moved:
                less = less or (f"a change in {words} does not move {axis} {min(must - moved)}"
                                f"{where}, and must: where does `{name}` come in?")
        return much, less

    def judge_repetition(self, one: Case) -> None:
        """Twice the same arguments: the same result, and no random state set on the way."""
        after, results, wants = [], [], []
        for seed in (1, 2):
            seed_all(seed)
            results.append(call(self.by_name(one.args), *one.args))
            after.append(random_states())
            wants.append(self.truth(*one.args))
        if any(a == b for a, b in zip(*after)):
            raise Mistake("your function sets the random state itself (manual_seed): from then on "
                          "everybody draws the same numbers. Leave the seed to the caller")
        is_fixed = not self.complaint(*wants)
        if is_fixed and self.complaint(*results):
            raise Mistake("called twice with the same arguments, it gives two results: nothing "
                          "here is random, and nothing may be kept from the call before")

    def judge_gradients(self, one: Case) -> None:
        """A random projection of each result must pull at each argument as the truth does."""
        want = pulls(self.truth, one.args, self.names)
        got = pulls(self.by_name(one.args), one.args, self.names)
        lost: dict[str, list[str]] = {}
        other = []
        want = {k: p for k, p in want.items() if p is not None and p.numel() and p.isfinite().all()}
        largest = max((p.abs().max().item() for p in want.values()), default=0.0)
        pulling = set()
        for key, pull in want.items():
            output, name = key
            found = got.get(key)
            found = torch.zeros_like(pull) if found is None else found
            rounding = TOLERANCE[pull.dtype] * largest
            pulling |= {name} if (pull.abs() > rounding).any() else set()
            if name in pulling and not found.any():
                lost.setdefault(name, []).append(self.output(output))
            elif (far(found, pull, 100 * TOLERANCE[pull.dtype])
                  & ~((found - pull).abs() <= rounding)).any():
                other.append(name)
        if lost:
            raise Mistake(self.no_gradient(lost, pulling))
        if other:
            raise Mistake(f"the values are right for {one.words}, but the gradient at `{other[0]}` "
                          "is not: a part of the way is cut off (detach(), no_grad, .data) or "
                          "counted twice. Print .requires_grad after each step")

    def output(self, place: int) -> str:
        """The name of a result."""
        return self.outputs[place] if place < len(self.outputs) else f"result {place}"

    def no_gradient(self, lost: dict[str, list[str]], names: set[str]) -> str:
        """The message about arguments that no gradient reaches."""
        whole = len(lost) == len(names) and len(lost) > 1
        reached = " and ".join(f"`{n}`" for n in list(lost)[:3])
        reached = "any of the arguments" if whole else reached + (
            f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        sources = sorted({source for found in lost.values() for source in found})
        start = f" from {' or '.join(sources)}" if len(self.outputs) > 1 else ""
        return (f"the values are right, but no gradient reaches {reached}{start}: is there a "
                "detach(), no_grad, .data or .item() on the way? Print .requires_grad after each "
                "step")


# ---- what moves, and what pulls ----


def as_list(result) -> list:
    """The results of one call as a list."""
    return list(result) if isinstance(result, tuple | list) else [result]


def sizes(args: tuple) -> list:
    """What of the arguments may be written into code: shapes, and numbers."""
    return [tuple(a.shape) if isinstance(a, Tensor) else a for a in args
            if isinstance(a, Tensor | numbers.Real)]


def equal(a: Any, b: Any) -> bool:
    """Whether two arguments are the same."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a, b)
    return a is b or (type(a) is type(b) and not isinstance(a, nn.Module) and a == b)


def changes(name: str, argument, axes: tuple[str, ...] | None):
    """Yield (words, changed argument, axis): all of it, then one place along each named axis."""
    if not isinstance(argument, Tensor) or not (is_float(argument) or argument.dtype == torch.bool):
        return
    other = ~argument if argument.dtype == torch.bool else argument + torch.randn_like(argument)
    yield f"`{name}`", other, ""
    for dim, axis in enumerate((axes or ())[-argument.dim():] if argument.dim() else ()):
        if axis and argument.size(dim) > 1:
            place = argument.size(dim) // 2
            one = argument.clone()
            one.select(dim, place).copy_(other.select(dim, place))
            yield f"{axis} {place} of `{name}`", one, axis


def moves(before: Tensor, after: Tensor, dim: int | None) -> set[int]:
    """The places along an axis where two results differ; {0} for anywhere if no axis is named."""
    if before.shape != after.shape:
        return {0}
    moved = far(after, before, 1e-6 if is_float(before) else 0)
    if dim is None:
        return {0} if moved.any() else set()
    return set(moved.movedim(dim, 0).flatten(1).any(dim=1).nonzero().flatten().tolist())


def pulls(function: Callable, args: tuple, names: list[str]) -> dict:
    """The gradient of a random projection of each float result at each float argument.

    Weights of modules among the arguments count as arguments. Returns a dict from (place of the
    result, name of the argument) to the gradient, or None where none arrives.
    """
    args = copy.deepcopy(args)
    leaves = {}
    for name, argument in zip(names, args):
        if is_float(argument):
            leaves[name] = argument.requires_grad_()
        elif isinstance(argument, nn.Module):
            leaves |= {f"{name}.{n}": p for n, p in argument.named_parameters()
                       if p.requires_grad}
    found: dict = {}
    if not leaves:
        return found
    seed_all(1)
    results = as_list(run(function, args))
    draws = torch.Generator().manual_seed(1)
    for place, result in enumerate(results):
        if not is_float(result):
            continue
        weights = torch.randn(result.shape, generator=draws, dtype=torch.float64)
        arrived = [None] * len(leaves)
        if result.requires_grad:
            arrived = torch.autograd.grad(
                (result * weights.to(result.dtype)).sum(), list(leaves.values()),
                retain_graph=True, allow_unused=True)
        found |= {(place, name): pull for name, pull in zip(leaves, arrived)}
    return found


# ---- dropout ----


def judge_dropped(draw: Callable[[], Tensor], rate: float, where: str) -> None:
    """Judge what comes through dropout where only ones go in.

    draw: gives (batch, seq_len, features), as many entries as a share can be told from (1,000)
    where: what is dropped, such as "the wide vector"
    """
    seed_all(1)
    values, again = draw(), draw()
    zeros = values == 0
    share, kept = zeros.double().mean().item(), values[~zeros]
    if share == 0:
        raise Mistake(f"in training nothing is dropped from {where}")
    if share == 1:
        raise Mistake(f"in training all of {where} is dropped at a rate of {rate}: want a share")
    if torch.equal(values, again):
        raise Mistake("the same entries are dropped in each call: draw new ones each time")
    if values.size(0) > 1 and (zeros == zeros[:1]).all():
        raise Mistake("all sentences lose the same entries: each draws its own")
    if (zeros == zeros[:, :1]).all():
        raise Mistake("all words of a sentence lose the same entries: each entry draws its own")
    if (zeros == zeros[..., :1]).all():
        raise Mistake("whole words are dropped, all features together: each entry draws its own")
    spread = 5 * math.sqrt(rate * (1 - rate) / values.numel())
    if abs(share - rate) > spread:
        turned = abs(share - (1 - rate)) <= spread
        raise Mistake(f"at a rate of {rate} the share {share:.2f} of {where} is dropped" + (
            ": `dropout` is the share that goes, not the share that stays" if turned
            else f": want {rate}"))
    scale = kept.mean().item()
    if far(kept, torch.full_like(kept, 1 / (1 - rate)), 1e-4).any():
        raise Mistake(f"what stays is multiplied by {scale:.3g} in training, want "
                      f"1 / (1 - {rate}) = {1 / (1 - rate):.3g}, so that the mean stays: "
                      "nn.Dropout does so")


def want_trainable(module: nn.Module) -> None:
    """Make sure that training would change every weight of a learner's module."""
    frozen = [name for name, weight in module.named_parameters() if not weight.requires_grad]
    if frozen:
        raise Mistake(f"`{frozen[0]}` is frozen (requires_grad is False): it could never learn")

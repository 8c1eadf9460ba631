"""Judge an answer against a function that is right: values, gradients, and what moves what.

A check names the right function, cases to try it on, and known mistakes, each a wrong function:

    @exercise("7.2")
    def check_causal_mask(answer) -> str:
        agree(answer, causal_mask, [case("6 positions", 6), case("9 positions", 9)], [
            (lambda n: ones(n).triu(), "upper and lower are swapped: ..."),
        ], axes={"the mask": ("seq_len", "seq_len")})
        return "Row i holds i + 1 times True"

The first case is the plain one: it is also tried in float64 and twice, and its arguments are
changed one after another to see what moves. Later cases differ from it in one thing each, which
their words say. What is random is judged by its shares, as `judge_dropped` does.
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

from utils.checks.core import Mistake, call, class_of_module, describe, run, unchanged
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

KEPT = ("twice the same arguments give two results: something is kept from the call before, in a "
        "global, a default argument or an attribute of self")
DRAWN = ("random numbers have a part in the result: twice the same arguments give two results. Is "
         "something drawn (multinomial, rand), or dropped (F.dropout drops in eval mode, too)? "
         "Nothing here is random")
SEEDERS = "manual_seed", "np.random.seed", "random.seed"    # in the order of random_states()


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
        hint = cases[0].hint if " raised " in str(answered[0]) else ""
        raise Mistake(f"{answered[0]}. {hint[:1].upper()}{hint[1:]}".rstrip(". "))
    wants = [trial.right(one) for one in cases]
    wrong = [trial.complaint(got, want) for got, want in zip(answered, wants)]
    if any(wrong):
        trial.name_mistake(cases, answered, wants, wrong, mistakes)
        trial.judge_again(cases[first(wrong)], (1, 1), KEPT)
        if not explain:                     # which may know more of what is drawn
            trial.judge_again(cases[first(wrong)], (1, 2), DRAWN)
        trial.diagnose(cases, answered, wants, wrong, explain)
        trial.judge_again(cases[first(wrong)], (1, 2), DRAWN)
        trial.report(cases, wrong, advice)
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
    known = {id(part) for part in net.modules()}
    for name, value in vars(net).items():
        parts = value if isinstance(value, list | tuple) else []
        if any(isinstance(part, nn.Module) and id(part) not in known for part in parts):
            raise Mistake(f"self.{name} is a plain {type(value).__name__} of layers, which the "
                          "module does not know: training would leave them alone. Want "
                          "nn.ModuleList")
    return net


def keeps_nothing(answer: Callable, truth: Callable, cases: Sequence[Case], outputs: list) -> None:
    """Raise Mistake if a call depends on the calls of the same module before it.

    Each module serves all its cases, one after another, each between the same tensors turned
    round: so there are other numbers of one shape, and other shapes. outputs: names of results.
    """
    copies: dict = {}
    for one in cases:
        given = copy.deepcopy(one.args, copies)
        turned = [a.flip(0) if isinstance(a, Tensor) else a for a in given]
        for args in (turned, given):
            seed_all(1)
            want = truth(*args)
            seed_all(1)
            try:
                wrong = difference(run(answer, tuple(args)), want, outputs, {})
            except Mistake as mistake:
                wrong = str(mistake)
            if wrong:
                raise Mistake("each call is right by itself, but not one after another on the same "
                              "module: something is kept from an earlier call, in an attribute of "
                              f"self or a global. For {one.words}: {wrong}")


class Trial:
    """An answer and what is right, with the names of arguments and axes."""

    def __init__(self, answer: Callable, truth: Callable, axes: Axes, tolerance: float | None):
        self.answer, self.truth, self.axes, self.tolerance = answer, truth, axes, tolerance
        self.names = list(inspect.signature(truth).parameters)
        self.outputs = [name for name in axes if name not in self.names] or ["the result"]

    def ask(self, one: Case, seed: int = 1):
        """What the answer gives, or the Mistake that it makes on the way."""
        seed_all(seed)
        try:
            return call(self.by_name(one.args), *one.args)
        except Mistake as mistake:
            return mistake

    def by_name(self, args: tuple) -> Callable:
        """The answer; called by the names of the stub if it takes its arguments only so."""
        named = dict(zip(self.names, args))
        if fits_signature(self.answer, *args) or not fits_signature(self.answer, **named):
            return self.answer
        return lambda *given: self.answer(**dict(zip(self.names, given)))

    def right(self, one: Case, seed: int = 1):
        """What the truth gives; it may be computed from the learner's own maps."""
        seed_all(seed)
        try:
            return self.truth(*one.args)
        except RuntimeError as error:
            if any(isinstance(argument, nn.Module) for argument in one.args):
                raise Mistake(f"for {one.words} the parts of your module do not fit one another: "
                              f"{describe(error)}") from error
            raise

    def complaint(self, got, want) -> str:
        """What is wrong with one result, '' if nothing."""
        if isinstance(got, Mistake):
            return str(got)
        return difference(got, want, self.outputs, self.axes, self.tolerance)

    def name_mistake(self, cases, answered, wants, wrong, mistakes) -> None:
        """Raise the message of the only mistake that gives what the answer gives.

        In every case; else, for an answer with a second slip, up to the first case that is wrong
        and in at least half of those that are. A few numbers may agree by chance: not there.
        """
        all_fit: list[str] = []
        most_fit: list[str] = []
        place = first(wrong)
        has_many = any(is_float(part) and part.numel() > 9 for part in as_list(answered[place]))
        for function, message in mistakes:
            at_place = [part[place : place + 1] for part in (cases, answered, wants)]
            if not self.likeness(function, *at_place)[0][0]:
                continue                               # most of them end here, which is quicker
            likes = self.likeness(function, cases, answered, wants)
            if not any(is_wrong for _, is_wrong in likes):
                continue
            fits = [like for like, _ in likes]
            in_wrong = [like for like, words in zip(fits, wrong) if words]
            if all(fits) and message not in all_fit:
                all_fit.append(message)
            elif likes[place] == (True, True) and all(fits[:place]) and message not in most_fit:
                if has_many and 2 * sum(in_wrong) >= len(in_wrong):
                    most_fit.append(message)
        partly = (f"for {cases[place].words}, though not in all cases, the result is that of a "
                  "slip: ")
        for fit, prefix in ((all_fit, ""), (most_fit, partly)):
            if len(fit) == 1:
                raise Mistake(prefix + fit[0])
            if fit:
                raise Mistake(f"{prefix}the numbers are those of one of these: "
                              + "; or: ".join(fit))

    def likeness(self, mistake: Callable, cases, answered: list, wants: list) -> list:
        """For each case, whether a mistake gives what the answer gives, and whether it is wrong.

        Where the mistake itself cannot run, it is like any answer.
        """
        found = []
        for one, got, want in zip(cases, answered, wants):
            seed_all(1)
            try:
                given = mistake(*one.args)
            except Exception:
                found.append((True, False))
                continue
            like = not isinstance(got, Mistake) and not self.complaint(got, given)
            found.append((like, like and bool(self.complaint(given, want))))
        return found

    def diagnose(self, cases, answered: list, wants: list, wrong: list[str], explain) -> None:
        """Raise what moves what it must not, what the exercise itself knows, what does not move.

        Only for results of the right shape, without nan.
        """
        place = first(wrong)
        failed = any(isinstance(got, Mistake) for got in answered[: place + 1])
        if failed or wrong[place].startswith("want ") or nonfinite(answered[place]):
            return
        if not place and (words := self.strays(cases[0], too_much=True)):
            raise Mistake(words)
        if explain and (words := explain(answered, wants)):
            hint = f". {capital(cases[place].hint)}" if place and cases[place].hint else ""
            raise Mistake(self.so_far(cases, place) + words + hint)
        if not place and (words := self.strays(cases[0], too_much=False)):
            raise Mistake(words)

    def report(self, cases: list[Case], wrong: list[str], advice: str) -> None:
        """Raise what can be said of an unknown mistake."""
        place = first(wrong)
        if place:
            advice = cases[place].hint
            advice = advice or self.size_question(cases[:place], cases[place])
        elif wrong[0].startswith("want "):
            advice = ""
        text = f"{self.so_far(cases, place)}{wrong[place]}. {capital(advice)}"
        raise Mistake(text.rstrip(". "))

    def so_far(self, cases: list[Case], place: int) -> str:
        """Which cases are right, which is not, and the argument that alone has changed."""
        if place == 0:
            return ""
        right = [one.words for one in cases[:place]]
        right = f"{right[0]} and {place - 1} other cases" if place > 2 else " and ".join(right)
        only = ""
        for before in cases[:place]:
            pairs = zip(self.names, cases[place].args, before.args)
            other = [name for name, a, b in pairs if not equal(a, b)]
            if len(self.names) > 1 and len(other) == 1 and (
                    len(before.args) == len(cases[place].args)):
                only = f" (only `{other[0]}` is another)"
        return f"right for {right}, but for {cases[place].words}{only}: "

    def size_question(self, before: list[Case], one: Case) -> str:
        """Ask for a number in the code if an argument has a size that is new."""
        known = {part for other in before for part in sizes(self.names, other.args)}
        new = [size for name, size in sizes(self.names, one.args)
               if (name, size) not in known and name in dict(known)]
        if any(isinstance(size, tuple) and 1 in size for size in new):
            return ("is a size or a number written into your code? Or, as an axis has size 1 "
                    "there: does squeeze() take it away, or broadcasting repeat it?")
        return ("is a size or a number written into your code, or kept from an earlier call?"
                if new else "")

    def strays(self, one: Case, too_much: bool) -> str:
        """The first argument that moves what it must not, or does not move what it must."""
        for place, name in enumerate(self.names[: len(one.args)]):
            for words, other, axis in changes(name, one.args[place], self.axes.get(name)):
                args = (*one.args[:place], other, *one.args[place + 1:])
                if found := self.stray(one, Case("", args), name, words, axis)[not too_much]:
                    return found
        return ""

    def stray(self, one: Case, other: Case, name: str, words: str, axis: str) -> tuple[str, str]:
        """What one change of an argument moves in the answer against the truth: too much, less.

        Whole numbers are choices, which may or may not stay where what they come from moves.
        """
        results = [as_list(self.ask(one)), as_list(self.ask(other))]
        wants = [as_list(self.right(one)), as_list(self.right(other))]
        if any(len(part) != len(self.outputs) for part in (*results, *wants)):
            return "", ""
        much = less = ""
        for output, a, b, c, d in zip(self.outputs, *results, *wants):
            if not all(isinstance(part, Tensor) for part in (a, b, c, d)) or a.shape != c.shape:
                continue
            its_axes = self.axes.get(output, ())[-c.dim():]
            is_whole = not is_float(c) and c.dtype != torch.bool
            if is_whole or (axis and axis not in its_axes):
                continue
            dim = its_axes.index(axis) if axis else None
            moved, must = moves(a, b, dim), moves(c, d, dim)
            where = f" of {output}" if len(self.outputs) > 1 else ""
            if not axis and must and not moved:
                less = less or f"`{name}` has no part in {output}: another `{name}` gives the same"
            elif not axis and moved and not must:
                much = much or f"another `{name}` changes {output}, and must not"
            elif axis and moved - must:
                place = self.axes[name][-one.args[self.names.index(name)].dim():].index(axis)
                much = much or (
                    f"a change in {words} moves {axis} {min(moved - must)}{where}, and must not. "
                    f"Which line mixes along axis {place} of `{name}`? Look for a sum, mean or "
                    "softmax whose dim= is missing or is that axis, for a view or reshape across "
                    f"it, and for an index that takes one {axis} for all")
            elif axis and must - moved:
                less = less or (f"a change in {words} does not move {axis} {min(must - moved)}"
                                f"{where}, and must: where does `{name}` come in, and is one "
                                f"{axis} taken for all, as an index [0] does?")
        return much, less

    def judge_again(self, one: Case, seeds: tuple[int, int], message: str) -> None:
        """Raise the message if a second call, with this seed, changes the answer, not the truth."""
        results = [self.ask(one, seed) for seed in seeds]
        are_values = all(isinstance(part, Tensor | numbers.Real) for result in results
                         for part in as_list(result))
        if are_values and self.complaint(*results) and not self.complaint(
                *(self.right(one, seed) for seed in seeds)):
            raise Mistake(f"{message}. {capital(one.hint)}".rstrip(". "))

    def judge_repetition(self, one: Case) -> None:
        """Twice the same arguments: the same result, and no random state set on the way."""
        after, results, wants = [], [], []
        for seed in (1, 2):
            seed_all(seed)
            results.append(call(self.by_name(one.args), *one.args))
            after.append(random_states())
            wants.append(self.truth(*one.args))
        if seeder := seeded(after):
            raise Mistake(f"your function sets the random state itself ({seeder}): from then on "
                          "everybody draws the same numbers. Leave the seed to the caller")
        is_fixed = not self.complaint(*wants)
        if is_fixed and self.complaint(*results):
            raise Mistake("called twice with the same arguments, it gives two results: nothing "
                          "here is random, and nothing may be kept from the call before")

    def judge_gradients(self, one: Case, optional: bool = False) -> None:
        """A random projection of each result must pull at each argument as the truth does.

        optional: a result without any gradient, such as a plain number, is right, too. What is
        far below the largest pull is a rounding error, where the right one would be 0.
        """
        want = pulls(self.truth, one.args, self.names)
        got = pulls(self.by_name(one.args), one.args, self.names)
        if optional and all(pull is None for pull in got.values()):
            return
        lost: dict[str, list[str]] = {}
        covered, other = [], []
        want = {k: p for k, p in want.items() if p is not None and p.numel() and p.isfinite().all()}
        largest = max((p.abs().max().item() for p in want.values()), default=0.0)
        pulling = set()
        for key, pull in want.items():
            output, name = key
            found = got.get(key)
            found = torch.zeros_like(pull) if found is None else found
            rounding = TOLERANCE[pull.dtype] * largest
            has_part = bool((pull.abs() > rounding).any())
            pulling |= {name} if has_part else set()
            if has_part and not found.any():
                lost.setdefault(name, []).append(self.output(output))
            elif not found.isfinite().all():
                covered.append(name)
            elif (far(found, pull, 100 * TOLERANCE[pull.dtype])
                  & ~((found - pull).abs() <= rounding)).any():
                other.append(name)
        if lost:
            raise Mistake(self.no_gradient(lost, pulling))
        if covered:
            raise Mistake(f"the values are right for {one.words}, but the gradient at "
                          f"`{covered[0]}` is nan or inf: what is replaced after it arose "
                          "(nan_to_num, torch.where, masked_fill) still has such a gradient. Keep "
                          "it from arising")
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
        parts = {n.split(".")[0] for n in lost if "." in n}
        inside = {p: [n for n in names if n.startswith(f"{p}.")] for p in parts}
        parts = {p for p, n in inside.items() if len(n) > 2 and lost.keys() >= {*n}}
        found = [*dict.fromkeys(f"{p}.*" if (p := n.split(".")[0]) in parts else n for n in lost)]
        reached = " and ".join(f"`{n}`" for n in found[:3])
        reached = "any of the arguments" if whole else reached + (
            f" and {len(found) - 3} more" if len(found) > 3 else "")
        sources = sorted({source for found in lost.values() for source in found})
        start = f" from {' or '.join(sources)}" if self.outputs != ["the result"] else ""
        return (f"the values are right, but no gradient reaches {reached}{start}: is there a "
                "detach(), no_grad, .data or .item() on the way? Print .requires_grad after each "
                "step")


# ---- what moves, and what pulls ----


def seeded(after: list[tuple]) -> str:
    """What sets a random state that is the same after runs from two seeds; '' if nothing does."""
    return next((name for name, one, other in zip(SEEDERS, *after) if one == other), "")


def fits_signature(function, *args, **named) -> bool:
    """Whether a function can be called so."""
    try:
        inspect.signature(function).bind(*args, **named)
    except (TypeError, ValueError):
        return False
    return True


def as_list(result) -> list:
    """The results of one call as a list."""
    return list(result) if isinstance(result, tuple | list) else [result]


def capital(text: str) -> str:
    """A text as a sentence begins, unless it begins with code or a formula."""
    word = text.split(" ", 1)[0].rstrip(",:")
    return text[:1].upper() + text[1:] if word.isalpha() else text


def first(wrong: list[str]) -> int:
    """The place of the first case that is wrong."""
    return next(place for place, words in enumerate(wrong) if words)


def sizes(names: list[str], args: tuple) -> list[tuple]:
    """What of the arguments may be written into code: shapes, and numbers, with their names."""
    return [(n, tuple(a.shape) if isinstance(a, Tensor) else a) for n, a in zip(names, args)
            if isinstance(a, Tensor | numbers.Real)]


def equal(a: Any, b: Any) -> bool:
    """Whether two arguments are the same; two modules never are."""
    return a is b or (not isinstance(a, nn.Module) and unchanged(a, b))


def changes(name: str, argument, axes: tuple[str, ...] | None):
    """Yield (words, changed argument, axis): all of it, then two places along each named axis."""
    if not isinstance(argument, Tensor) or not (is_float(argument) or argument.dtype == torch.bool):
        return
    other = ~argument if argument.dtype == torch.bool else argument + torch.randn_like(argument)
    yield f"`{name}`", other, ""
    for dim, axis in enumerate((axes or ())[-argument.dim():] if argument.dim() else ()):
        if axis and argument.size(dim) > 1:
            for place in (argument.size(dim) // 2, 0):
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
    n_modules = sum(isinstance(argument, nn.Module) for argument in args)
    for name, argument in zip(names, args):
        if is_float(argument):
            leaves[name] = argument.requires_grad_()
        elif isinstance(argument, nn.Module):
            prefix = f"{name}." if n_modules > 1 else ""
            leaves |= {prefix + n: p for n, p in argument.named_parameters() if p.requires_grad}
    found: dict = {}
    if not leaves:
        return found
    seed_all(1)
    results = as_list(run(function, args))
    leaves = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}    # if not frozen
    draws = torch.Generator().manual_seed(1)
    for place, result in enumerate(results):
        if not is_float(result):
            continue
        weights = torch.randn(result.shape, generator=draws, dtype=torch.float64)
        arrived = [None] * len(leaves)
        if leaves and result.requires_grad:
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
    if share == 0 and far(kept, torch.ones_like(kept), 1e-4).any():
        raise Mistake(f"in training {where} changes, but no entry becomes 0: want nn.Dropout")
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


def judge_birth(make: Callable[[], nn.Module]) -> None:
    """Two modules of a learner's class must draw different weights, and leave the seed alone."""
    born, after = [], []
    for seed in (1, 2):
        seed_all(seed)
        born.append(make())
        after.append(random_states())
    drawn = [torch.equal(a, b) for a, b in zip(*(one.parameters() for one in born))
             if a.numel() > 1 and (a != a.flatten()[0]).any()]
    if drawn and all(drawn):
        raise Mistake("two new modules of your class begin with the same weights: is the random "
                      "state set in __init__ (manual_seed)? Leave the seed to the caller")
    if seeder := seeded(after):
        raise Mistake(f"the __init__ of your class sets the random state itself ({seeder}): from "
                      "then on everybody draws the same numbers. Leave the seed to the caller")


def want_trainable(module: nn.Module) -> None:
    """Make sure that training would change every weight of a learner's module."""
    frozen = [name for name, weight in module.named_parameters() if not weight.requires_grad]
    if frozen:
        raise Mistake(f"`{frozen[0]}` is frozen (requires_grad is False): it could never learn")

"""Results beside what they should be: the first difference, said in words."""

from __future__ import annotations

import math
import numbers

import numpy as np
import torch
from torch import Tensor

Axes = dict[str, tuple[str, ...]]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}
OF_NUMBERS = 1e-5    # of Python's floats, since an answer may compute them in float32


def difference(got, want, outputs: list[str], axes: Axes, tolerance: float | None = None) -> str:
    """The first difference between a result and what it should be, in words; '' if none.

    Of the right result's kind: a number may be numpy's or a tensor of one entry, a list a tuple,
    an array or a tensor, whole numbers of any width.
    """
    if isinstance(want, tuple) and len(outputs) == len(want) > 1:
        if isinstance(got, Tensor | np.ndarray) and not any(isinstance(w, Tensor) for w in want):
            got = got.tolist()
        if not isinstance(got, tuple | list) or len(got) != len(want):
            return f"want {len(want)} results, `return {', '.join(outputs)}`, got {kind_of(got)}"
        pairs = zip(got, want, outputs)
        found = (unlike(g, w, name, axes.get(name, ()), tolerance) for g, w, name in pairs)
        return next(filter(None, found), "")
    return unlike(got, want, outputs[0], axes.get(outputs[0], ()), tolerance)


def unlike(got, want, name: str, axes: tuple, tolerance: float | None) -> str:
    """The first difference within one result, in words."""
    if isinstance(want, Tensor):
        return unlike_tensor(got, want, name, axes, tolerance)
    want = want.tolist() if isinstance(want, np.ndarray) else want
    if isinstance(want, bool | numbers.Real):
        return unlike_number(got, want, name, tolerance)
    if isinstance(want, list | tuple):
        listed = got.tolist() if isinstance(got, Tensor | np.ndarray) else got
        if not isinstance(listed, list | tuple):
            return f"want {name} as a {type(want).__name__}, got {kind_of(got)}"
        if len(listed) != len(want):
            return f"want {len(want)} entries in {name}, got {len(listed)}: {shown(listed)}"
        found = (unlike(g, w, f"{name}[{i}]", axes[1:], tolerance)
                 for i, (g, w) in enumerate(zip(listed, want)))
        return next(filter(None, found), "")
    if isinstance(want, dict):
        if not isinstance(got, dict) or set(got) != set(want):
            keys = f"the keys {shown(sorted(map(str, want)))}"
            return f"want {name} as a dict with {keys}, got {shown(got)}"
        found = (unlike(got[k], w, f"{name}[{k!r}]", (), tolerance) for k, w in want.items())
        return next(filter(None, found), "")
    if type(got) is not type(want) or got != want:
        return f"{name} is {shown(got)}, want {shown(want)}"
    return ""


def unlike_number(got, want, name: str, tolerance: float | None) -> str:
    """The difference between a number and what it should be."""
    if isinstance(got, Tensor | np.ndarray) and math.prod(got.shape) == 1:
        got = got.item()
    got = got.item() if isinstance(got, np.generic) else got
    if isinstance(want, bool) or isinstance(got, bool):
        if type(got) is not type(want):
            what = "True or False" if isinstance(want, bool) else "one number"
            return f"want {name} as {what}, got {kind_of(got)}"
        return "" if got == want else f"{name} is {got}, want {want}"
    if not isinstance(got, numbers.Real):
        return f"want {name} as one number, got {kind_of(got)}"
    near = OF_NUMBERS if tolerance is None else tolerance
    if got == want or (math.isnan(got) and math.isnan(want)):
        return ""
    if abs(got - want) <= near * abs(want) and not isinstance(want, int):
        return ""
    return f"{name} is {two_numbers(got, want)}{why_not_finite(got, want)}"


def unlike_tensor(got, want: Tensor, name: str, axes: tuple, tolerance: float | None) -> str:
    """The difference between a tensor and what it should be: kind, shape, type, entries."""
    if want.dim() == 0 and isinstance(got, numbers.Real | np.generic):
        return unlike_number(got, want.item(), name, tolerance)
    its_axes = axes[-want.dim():] if want.dim() else ()
    of_axes = f" ({', '.join(its_axes)})" if its_axes else ""
    of = "" if name == "the result" else f" of {name}"
    if not isinstance(got, Tensor):
        return f"want {name} as a torch.Tensor{of_axes}, got {kind_of(got)}"
    if got.shape != want.shape:
        holds = lost = ""
        if kind_of_dtype(want) == "whole":
            holds = f" holding {shown(got.tolist())}, want {shown(want.tolist())}"
        if got.dim() < want.dim() and [n for n in want.shape if n != 1] == [*got.shape]:
            lost = ": an axis of size 1 is lost, as squeeze() and a plain index do"
        return f"want shape{of}{of_axes} = {tuple(want.shape)}, got {tuple(got.shape)}{holds}{lost}"
    if kind_of_dtype(got) != kind_of_dtype(want) or loses_type(got, want):
        return f"want {want.dtype}{of}, got {got.dtype}"
    near = TOLERANCE.get(want.dtype, 0.0) if tolerance is None else tolerance
    wrong = far(got, want, near)
    if not wrong.any():
        return ""
    index = wrong.nonzero()[0].tolist()
    g, w = got[tuple(index)].item(), want[tuple(index)].item()
    if not index:
        return f"{name} is {two_numbers(g, w)}{why_not_finite(g, w)}"
    named = f" ({', '.join(f'{a} {i}' for a, i in zip(its_axes, index))})" if its_axes else ""
    short = "result" if name == "the result" else name
    row = f"{short}{index[:-1]}" if len(index) > 1 else short
    return (f"{short}{index}{named} is {two_numbers(g, w)}{why_not_finite(g, w)}; "
            f"{int(wrong.sum())} of {wrong.numel()} entries differ. print({row})")


def far(got: Tensor, want: Tensor, near: float) -> Tensor:
    """Where two tensors differ, by the largest entry of the right one; nan is like nan only."""
    if kind_of_dtype(want) != "float":
        return got != want
    got, want = got.detach().double(), want.detach().double()
    finite = want[want.isfinite()].abs()
    size = finite.max().item() if finite.numel() and finite.any() else 1.0
    is_like = (got == want) | (got.isnan() & want.isnan())
    return ~(is_like | ((got - want).abs() <= near * (size + want.abs()).clamp(max=2 * size)))


def two_numbers(got: float, want: float) -> str:
    """Two different numbers with enough digits to look different."""
    if isinstance(want, bool):
        return f"{got}, want {want}"
    for digits in range(4, 18):
        pair = f"{got:.{digits}g}", f"{want:.{digits}g}"
        if pair[0] != pair[1]:
            return f"{pair[0]}, want {pair[1]}"
    return f"{got!r}, want {want!r}"


def why_not_finite(got: float, want: float) -> str:
    """What makes nan or inf where a number should be."""
    if math.isnan(got) and not math.isnan(want):
        return " (nan: some step computes 0/0, inf - inf, 0 · inf or log(0))"
    if math.isinf(got) and math.isfinite(want):
        return " (some step divides by 0, takes log(0) or a large exp())"
    return ""


def kind_of_dtype(x: Tensor) -> str:
    """bool, float or whole: kinds that must agree, whatever the width."""
    if x.dtype == torch.bool:
        return "bool"
    return "float" if x.is_floating_point() else "whole"


def loses_type(got: Tensor, want: Tensor) -> bool:
    """Whether a float tensor has lost digits, or half precision, which must stay what it is."""
    if want.dtype in (torch.float16, torch.bfloat16):
        return got.dtype != want.dtype
    return want.is_floating_point() and got.element_size() < want.element_size()


def kind_of(value) -> str:
    """The type of a value, and the number of its parts."""
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def shown(value) -> str:
    """A value in a message, cut off where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def is_float(value) -> bool:
    """Whether a value is a tensor of floats."""
    return isinstance(value, Tensor) and value.is_floating_point()


def nonfinite(result) -> bool:
    """Whether a result holds nan or inf."""
    parts = result if isinstance(result, tuple | list) else [result]
    return any(is_float(part) and not bool(part.isfinite().all()) for part in parts)

"""What a check takes for granted: the state of torch, numpy and Python, and who changes it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

# what every check runs with, whatever the notebook has set
PLAIN: dict[str, Any] = {
    "the gradient mode": True,
    "torch's default dtype": torch.float32,
    "torch's default device": torch.device("cpu"),
    "torch's deterministic mode": False,
    "torch's anomaly mode": False,
}
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
OWN = ("weights", "mode (train or eval)")


def surroundings() -> dict[str, Any]:
    """The global state of torch that changes what a function gives."""
    return {
        "the gradient mode": torch.is_grad_enabled(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "torch's anomaly mode": torch.is_anomaly_enabled(),
    }


def put(state: dict[str, Any]) -> None:
    """Set the global state of torch, touching only what differs."""
    setters: dict[str, Callable] = {
        "the gradient mode": torch.set_grad_enabled,
        "torch's default dtype": torch.set_default_dtype,
        "torch's default device": set_device,
        "torch's deterministic mode": torch.use_deterministic_algorithms,
        "torch's anomaly mode": torch.autograd.set_detect_anomaly,
    }
    now = surroundings()
    for name, value in state.items():
        if now[name] != value:
            setters[name](value)


def set_device(device: torch.device) -> None:
    """Set torch's default device; the CPU is what torch has if none is set."""
    torch.set_default_device(None if device == torch.device("cpu") else device)


def random_states() -> tuple:
    """The states of the three sources of random numbers, each as something to compare."""
    numpy_state = np.random.get_state()    # noqa: NPY002  the global state is what is meant
    return (
        torch.random.get_rng_state().tolist(),
        (*numpy_state[:1], numpy_state[1].tolist(), *numpy_state[2:]),
        random.getstate(),
    )


def seed_all(seed: int) -> None:
    """Start all three sources of random numbers, torch's on the CPU alone: it is quicker."""
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed)    # noqa: NPY002
    random.seed(seed)


@contextmanager
def settled() -> Iterator[None]:
    """Run with the plain surroundings and seed 0, and put everything back afterwards."""
    before = surroundings()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    numpy_state, python_state = np.random.get_state(), random.getstate()    # noqa: NPY002
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.random.fork_rng(devices=[]),
    ):
        try:
            put(PLAIN)
            seed_all(0)
            yield
        finally:
            put(before)
            if before["torch's deterministic mode"]:
                torch.use_deterministic_algorithms(True, warn_only=warn_only)
            np.random.set_state(numpy_state)    # noqa: NPY002
            random.setstate(python_state)


def state_of(module: nn.Module) -> dict[str, dict[str, Any]]:
    """What a call must not change in a module: rates, hooks, weights, and its mode.

    Returns a dict from the kind of state to a dict from the place to what is there.
    """
    parts = list(module.named_modules())
    return {
        "dropout rate": {n: getattr(part, "p", None) for n, part in parts},
        "hooks": {n: [len(getattr(part, hooks)) for hooks in HOOKS] for n, part in parts},
        "weights": {n: p.detach().clone() for n, p in module.named_parameters()},
        "mode (train or eval)": {n: part.training for n, part in parts},
    }


def changed(before: Any, after: Any) -> bool:
    """Whether one piece of state is another now."""
    if isinstance(before, torch.Tensor):
        return not isinstance(after, torch.Tensor) or not torch.equal(
            before.nan_to_num(), after.nan_to_num())
    return before != after


def left_behind(module: nn.Module, before: dict[str, dict[str, Any]], own: bool = True) -> str:
    """Say what a call has left changed in a module, as 'the dropout rate of `x`'; '' if nothing.

    own: whether weights and mode count, as they do in the answer itself.
    """
    now = state_of(module)
    for kind, then in before.items():
        if kind in OWN and not own:
            continue
        for place, value in then.items():
            if place not in now[kind] or changed(value, now[kind][place]):
                return f"the {kind} of `{place}`" if place else f"the {kind} of the module"
    return ""


@contextmanager
def watched(complain: Callable[[str], Exception], own: list, given: list) -> Iterator[None]:
    """Raise `complain(what)` if the block leaves state changed; global state is put back.

    own: modules of the answer itself. given: modules handed to it, where weights and mode do not
    count: to leave a model in eval mode is a matter of taste, and some exercises fill weights in.
    """
    before = surroundings()
    modules = [(m, state_of(m), m in own) for m in (*own, *given)]
    try:
        yield
        after = surroundings()
    finally:
        put(before)
    for name, value in before.items():
        if after[name] != value:
            raise complain(f"{name} (it was {value}, now it is {after[name]})")
    for module, state, is_own in modules:
        if left := left_behind(module, state, is_own):
            raise complain(left)

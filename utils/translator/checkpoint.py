"""Checkpoints: one file each, whole at any moment, numbers and json, never unpickled.

A file is a safetensors file. What is not a tensor (settings, subwords, place in the training)
stands as json in its header, so that one rename brings in all of it or nothing.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from utils.models import sizes_differ
from utils.translation import mean_weights
from utils.translator.faults import Fault, told

FORMAT = "attention-by-experiment translator 1"


def digest(tensors: dict[str, Tensor], facts: str) -> str:
    """Return the SHA-256 of tensors and of the json beside them."""
    total = sha256(facts.encode())
    for key in sorted(tensors):
        total.update(f"{key} {tensors[key].dtype} {tuple(tensors[key].shape)}".encode())
        total.update(tensors[key].contiguous().flatten().view(torch.uint8).numpy())
    return total.hexdigest()


def write(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a checkpoint beside its place, force it to the disk, and move it in.

    Whatever happens, `path` is the old file or the new one. Raises Fault where it cannot be.
    """
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    text = json.dumps(facts, ensure_ascii=False)
    header = {"format": FORMAT, "facts": text, "sha256": digest(tensors, text)}
    content = save(tensors, header)
    fresh = path.with_name(path.name + ".fresh")
    advice = "what was written before is whole; make room there, or choose another folder"
    with told(path, "written", advice):
        try:
            with open(fresh, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, path)
        except OSError:
            with suppress(OSError):
                fresh.unlink()
            raise
    with suppress(OSError):    # Windows opens no folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint: its tensors and its facts.

    Raises Fault where the file is missing, damaged, or of another program.
    """
    if not path.is_file():
        raise Fault(f"{path} is missing: give a folder or a file that `train` has written.")
    try:
        with told(path, "read", "it must be a file that you may read"):
            with safe_open(path, "pt") as file:
                header = file.metadata() or {}
                if header.get("format") != FORMAT:
                    raise Fault(
                        f"{path} is not a checkpoint of this translator (its format is "
                        f"{header.get('format')!r}, not {FORMAT!r}): give one that `train` wrote."
                    )
                tensors = {key: file.get_tensor(key) for key in file.keys()}
    except SafetensorError as error:
        raise Fault(
            f"{path} is damaged or is not a checkpoint at all ({error}): give one that `train` "
            f"has written."
        ) from error
    if header.get("sha256") != digest(tensors, header.get("facts", "")):
        raise Fault(f"{path} is damaged (its SHA-256 is wrong): train again, or bring a copy.")
    return tensors, json.loads(header["facts"])


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a model by name; a shared matrix stands there once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def put_weights(model: nn.Module, kept: dict[str, Tensor], path: Path) -> None:
    """Give a model the weights of a checkpoint. Raises Fault where they do not fit."""
    own = weights(model)
    if difference := sizes_differ(own, kept):
        raise Fault(f"{path} does not fit the sizes that it names: {difference}.")
    for name, tensor in own.items():
        tensor.copy_(kept[name])


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what an optimizer remembers of each of its weights, by name."""
    found = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            found[f"{key} {name}"] = value
    return found


def put_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, kept: dict[str, Tensor]
) -> None:
    """Give an optimizer back what it remembered; what others did is passed over."""
    name_of = {parameter: name for name, parameter in model.named_parameters()}
    own = [name_of[p] for group in optimizer.param_groups for p in group["params"]]
    number = {name: n for n, name in enumerate(own)}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in kept.items():
        kind, name = key.split(" ", 1)
        if name in number:
            state.setdefault(number[name], {})[kind] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def mean_of(files: Iterable[Path]) -> dict[str, Tensor]:
    """Return the mean of the weights in some checkpoints. Raises Fault where one is missing."""
    return mean_weights(read(path)[0] for path in files)

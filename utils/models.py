"""The models of earlier lessons, trained by their own cells and kept in data/models.

A later lesson loads them instead of training them again. `make models NB=04` writes the files.
They hold numbers only (safetensors, half precision): nothing in them is ever executed.
"""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parents[1] / "data" / "models"
FORMAT = "attention-by-experiment 1"


class ModelUnavailable(RuntimeError):
    """A kept model cannot be had; the message is one sentence that says what to do."""


def load_model(model: nn.Module, name: str, folder: Path = FOLDER) -> nn.Module:
    """Give a module the weights that an earlier lesson trained; returns it, in eval mode.

    model: built with the sizes of that lesson    name: the file in data/models, such as "04_vector"
    Raises ModelUnavailable where the file is missing, broken off, not ours or of other sizes; the
    module then keeps the weights that it had.
    """
    path = Path(folder) / f"{name}.safetensors"
    again = f"run `make models NB={name[:2]}`, or bring it back with `git checkout data/models`"
    if not path.is_file():
        raise ModelUnavailable(f"{path} is missing: {again}.")
    try:
        with safe_open(path, "pt") as file:
            kind = (file.metadata() or {}).get("format")
            kept = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ModelUnavailable(f"{path} cannot be read ({error}): {again}.") from error
    if kind != FORMAT:
        raise ModelUnavailable(f"{path} has the format {kind!r}, not {FORMAT!r}: {again}.")
    if difference := sizes_differ(model.state_dict(), kept):
        raise ModelUnavailable(
            f"{path} does not fit this {type(model).__name__}: {difference}; build the module with "
            f"the sizes of lesson {name[:2]}, or {again}."
        )
    model.load_state_dict(kept)
    return model.eval()


def sizes_differ(wanted: dict[str, Tensor], kept: dict[str, Tensor]) -> str:
    """Say which tensor is missing, left over or of another shape; '' where all agree."""
    for key in [*wanted, *kept]:
        if key not in kept:
            return f"the file has no {key}"
        if key not in wanted:
            return f"the module has no {key}"
        if wanted[key].shape != kept[key].shape:
            return f"{key} is {tuple(kept[key].shape)} in the file, {tuple(wanted[key].shape)} here"
    return ""


def save_model(model: nn.Module, name: str, card: dict[str, str], folder: Path = FOLDER) -> Path:
    """Write the weights of a module, in half precision, and say in its card where they are from.

    card: for example the lesson, the data and their licence. The file is written beside and then
    moved into its place, so it is never half there. Returns its path.
    Raises ValueError for weights that half precision cannot hold.
    """
    tensors = {}
    for key, tensor in model.state_dict().items():
        half = tensor.detach().cpu().half() if tensor.is_floating_point() else tensor.cpu()
        if not torch.isfinite(half).all():
            raise ValueError(f"{key} of {name} does not fit half precision")
        tensors[key] = half.contiguous().clone()
    path = Path(folder) / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".fresh")
    save_file(tensors, fresh, {"format": FORMAT, **card})
    fresh.chmod(0o644)
    os.replace(fresh, path)
    return path

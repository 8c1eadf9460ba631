"""One process or many: torch's own distributed engine, asked how many really run."""

import ctypes
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from utils.translator.faults import Fault

HOW = "torchrun --nproc-per-node {} -m utils.translator train ..."
LOST = re.compile("Connection (closed|reset)|closed by peer|Broken pipe|remote process exited")


@dataclass(frozen=True)
class World:
    """All processes of a training, and which one this is.

    rank: from 0, the one that writes and speaks    device: where this one computes
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def speaks(self) -> bool:
        """Tell whether this process prints and writes files."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return a model whose gradients are the means over all processes.

        Let nothing hold it when `joined` ends: a function that returns, or an error, lets it go.
        """
        if not dist.is_initialized():
            return model
        return DistributedDataParallel(model, gradient_as_bucket_view=True)

    def total(self, value: Tensor) -> Tensor:
        """Return a value summed over all processes."""
        if dist.is_initialized():
            value = value.clone()
            dist.all_reduce(value)
        return value

    def agrees(self, text: str) -> bool:
        """Tell whether all processes have the same text."""
        bits = [byte >> bit & 1 for byte in sha256(text.encode()).digest() for bit in range(8)]
        total = self.total(torch.tensor(bits, device=self.device))
        return bool(((total == 0) | (total == self.size)).all())

    def all_say(self, yes: bool) -> bool:
        """Tell whether every process says yes."""
        return self.total(torch.tensor(int(yes), device=self.device)).item() == self.size


@contextmanager
def joined(asked: int | None = None, device: str = "auto") -> Iterator[World]:
    """Join the processes that torchrun has started; without it, be alone.

    asked: how many there have to be, None for as many as torchrun says
    Raises Fault where another number runs, or where they do not hear one another.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if asked is not None and asked != size:
        how = HOW.format(asked) if asked > 1 else "python -m utils.translator train ..."
        raise Fault(f"--processes asks for {asked} and {size} run: start them by `{how}`.")
    place = device_of(device)
    if "RANK" not in os.environ:
        if size > 1:
            raise Fault(
                f"WORLD_SIZE is {size} and nothing says which process this is: start them by "
                f"`{HOW.format(size)}`."
            )
        yield World(device=place)
        return
    dist.init_process_group("nccl" if place.startswith("cuda") else "gloo")
    try:
        heard = torch.ones((), device=place)
        dist.all_reduce(heard)
        if (dist.get_world_size(), int(heard)) != (size, size):
            raise Fault(
                f"{size} processes were asked for, and this one hears {int(heard)}: start them "
                f"by `{HOW.format(size)}`."
            )
        yield World(dist.get_rank(), size, place)
    except BaseException as error:
        # What DistributedDataParallel has wrapped must end before the engine does, or the process
        # may hang; the frames that an error has left would keep it.
        traceback.clear_frames(error.__traceback__)
        if not (isinstance(error, RuntimeError) and LOST.search(str(error))):
            raise
        words = "Another process of this training has stopped; its own words say why."
        raise Fault(words) from error
    finally:
        dist.destroy_process_group()


def keep_freed_memory() -> None:
    """Ask the C library not to hand freed memory back to the system between two steps.

    A step frees large tensors that the next one takes again, and each new page of memory costs a
    page fault: an eighth of a step's time. Only glibc has this option (mallopt, <malloc.h>);
    elsewhere nothing is asked.
    """
    trim_threshold, mmap_threshold = -1, -3
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(mmap_threshold, 2**30)
    mallopt(trim_threshold, 2**31 - 1)


def device_of(wanted: str) -> str:
    """Return the device of this process: auto takes a CUDA GPU where there is one."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise Fault("--device cuda was asked for and torch finds no CUDA GPU: use --device cpu.")
    if wanted == "cpu" or not torch.cuda.is_available():
        return "cpu"
    place = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    torch.cuda.set_device(place)
    return place

"""What a training step costs here, for each way to set threads, alone and beside others.

`python -m tools.benchmark` prints a table: milliseconds a step for models of the sizes of lessons
01, 04 and 11, and how many times that is of one thread alone. Each number comes from fresh
processes, which begin together. `python -m tools.benchmark --lesson 04` runs that lesson in one
kernel and in two at once, and prints seconds.

Why the lessons set one thread, and set it always, measured on two cores in milliseconds a step for
lessons 01, 04, 11: one thread takes 6, 12, 17. Two threads whose idle one sleeps at once take 10,
15, 21. Two that keep a core busy while they wait for 10,000 turns or more take 5, 8, 14 on an idle
machine, but 117, 75, 117 beside other programs, and without a limit 1,900, 1,070, 490. A first
cell that looks at the load sees only what computes then, not what begins while the lesson is read.
The weights after 100 steps are the same to the bit with one thread and with two.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tools.cores import cores
from tools.notebooks import ROOT

VARIABLES = (
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "MKL_NUM_THREADS",
)
SETTINGS: dict[str, dict[str, str]] = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "nothing set": {},
    "passive wait": {"OMP_WAIT_POLICY": "passive"},
    "two, short spin": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "10000"},
    "two threads": {"OMP_NUM_THREADS": "2"},
}
LOADS = {    # name: (how many train at once, how many compute beside them)
    "alone": (1, 0),
    "beside a busy one": (1, 1),
    "two at once": (2, 0),
    "four at once": (4, 0),
}
MODELS = ("01", "04", "11")
BUSY = "while True: pass"
MINUTES = 3    # after which nothing more is begun


def step_of(model: str):
    """Return a function that takes one training step with a model of a lesson's size."""
    import torch
    import torch.nn.functional as F

    from utils.recurrent import CharacterModel, RNNCell, RNNDecoder, RNNEncoder, Seq2Seq
    from utils.transformer import Transformer

    torch.manual_seed(0)
    words, n_src, n_tgt = torch.randint(0, 40, (32, 50)), 288, 460
    src, tgt = torch.randint(4, n_src, (32, 12)), torch.randint(4, n_tgt, (32, 14))
    mask = torch.ones(32, 1, 12, dtype=torch.bool)
    if model == "01":
        network = CharacterModel(40, RNNCell(40, 128))
    elif model == "04":
        network = Seq2Seq(RNNEncoder(n_src, 128), RNNDecoder(n_tgt, 128))
    else:
        network = Transformer(n_src, n_tgt)
    optimizer = torch.optim.Adam(network.parameters())

    def step() -> None:
        logits = network(words)[0] if model == "01" else network(src, mask, tgt)
        loss = F.cross_entropy(logits.flatten(0, 1), (words if model == "01" else tgt).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measure(models: list[str], seconds: float) -> None:
    """Print seconds a step, the median, for each model in turn; each begins at a line of stdin."""
    for model in models:
        step = step_of(model)
        step()    # the first one is not counted
        print("ready", flush=True)
        sys.stdin.readline()
        end, times = time.perf_counter() + seconds, []
        while not times or time.perf_counter() < end:
            begin = time.perf_counter()
            step()
            times.append(time.perf_counter() - begin)
        print(statistics.median(times), flush=True)


def surroundings(setting: dict[str, str]) -> dict[str, str]:
    """Return the environment of this process with nothing but a setting said about threads."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return kept | setting


@contextmanager
def busy(n: int) -> Iterator[None]:
    """Keep n processes busy."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def step_times(
    setting: dict[str, str], n: int, beside: int, seconds: float, models: tuple[str, ...] = MODELS
) -> dict[str, float]:
    """Return seconds a step for each model, the mean over n processes that train at once.

    beside: so many other processes compute all the time. Raises RuntimeError where one fails.
    """
    call = [sys.executable, "-m", "tools.benchmark", "--measure", *models]
    call += ["--seconds", str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    env, found = surroundings(setting), {}
    trainers = [subprocess.Popen(call, cwd=ROOT, env=env, **pipes) for _ in range(n)]
    try:
        for model in models:
            for trainer in trainers:
                if trainer.stdout.readline() != "ready\n":
                    raise RuntimeError(f"a process that trains the model of {model} has failed")
            with busy(beside):
                for trainer in trainers:
                    trainer.stdin.write("go\n")
                    trainer.stdin.flush()
                found[model] = statistics.mean(float(t.stdout.readline()) for t in trainers)
    finally:
        for trainer in trainers:
            trainer.kill()
            trainer.communicate()
    return found


def line(name: str, times: dict[str, float], base: dict[str, float]) -> str:
    """Return a line of the table: milliseconds, and how many times that is of the base."""
    cells = [f"{1000 * t:9.1f} ms {t / base[model]:6.1f} x" for model, t in times.items()]
    return f"{name:34}" + "".join(cells)


def table(seconds: float) -> None:
    """Print the table: each setting under each load, as far as the minutes allow."""
    begin, base = time.monotonic(), {}
    print(f"{cores()} cores; milliseconds a step, and how many times that is of the first line")
    print(" " * 34 + "".join(f"{'lesson ' + model:>21}" for model in MODELS))
    for load, (n, beside) in LOADS.items():
        for name, setting in SETTINGS.items():
            if time.monotonic() - begin > 60 * MINUTES:
                print(f"{f'{load}, {name}':34} not measured: {MINUTES:g} minutes are over")
                continue
            times = step_times(setting, n, beside, seconds)
            base = base or times
            print(line(f"{load}, {name}", times, base), flush=True)


def run_lesson(number: str) -> None:
    """Run a lesson in a kernel, without writing it."""
    import nbformat

    from tools.notebooks import execute, lessons

    (path,) = lessons(which=number)
    execute(nbformat.read(path, 4), path.parent)


def lesson_times(number: str, settings: dict[str, dict[str, str]]) -> None:
    """Print the seconds that a lesson takes in one kernel, and in two at once.

    What the setup cell of the lesson does is the setting "nothing set".
    """
    call = [sys.executable, "-m", "tools.benchmark", "--run", number]
    for name, setting in settings.items():
        for n in (1, 2):
            begin = time.perf_counter()
            kernels = [
                subprocess.Popen(call, cwd=ROOT, env=surroundings(setting)) for _ in range(n)
            ]
            failed = any([kernel.wait() for kernel in kernels])
            took = time.perf_counter() - begin
            said = "failed" if failed else f"{took:.0f} s"
            print(f"lesson {number}, {name}, {n} at once: {said}", flush=True)


def main(arguments: list[str]) -> None:
    """Read the command line and print what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each number")
    parser.add_argument("--lesson", help="run this lesson in one kernel and in two at once")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=["nothing set"],
                        help="for --lesson")
    parser.add_argument("--measure", nargs="+", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        measure(given.measure, given.seconds)
    elif given.run:
        run_lesson(given.run)
    elif given.lesson:
        lesson_times(given.lesson, {name: SETTINGS[name] for name in given.settings})
    else:
        table(given.seconds)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Fill a room and see whether it holds: `python -m tools.hub.load --learners 20`.

Starts a real JupyterHub and its proxy on this machine, lets one learner log in, start his server,
open a lesson and run it, then all learners at once. Then some kernels and one server are killed:
what had been saved must be there, and everybody must be able to go on. Prints the seconds, the
memory, every error and what was lost; the exit status is 1 where there was one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from tools.cores import cores
from tools.hub import CONFIG
from tools.hub.__main__ import environment, why_not
from tools.hub.learner import Learner, Refused
from tools.notebooks import ROOT, accept_any_letter, lessons
from tools.servers import free_port, stop, wait_for

WHO = "import os; print(os.getpid())"
MARK = "what I saved before the crash"
MIB = 2**20
FEW = 5    # cells that are run after the crash; the first of them import what the rest needs
TRIES = 6    # to run something after a kernel died


@contextmanager
def hub(folder: Path) -> Iterator[tuple[str, str]]:
    """Start a hub in a folder; yield its address and the learners' password."""
    port = free_port()
    told = environment(folder, "127.0.0.1", port, (free_port(), free_port()))
    log = folder / "hub.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)], cwd=ROOT, env=told,
            stdout=file, stderr=file, start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/hub/health", process, log, 300)
        yield f"http://127.0.0.1:{port}", told["ROOM_PASSWORD"]
    finally:
        alive = process.poll() is None
        started = psutil.Process(process.pid).children(recursive=True) if alive else []
        stop(process)
        for left in psutil.wait_procs(started, timeout=5)[1]:
            left.kill()


def at_once(learners: list[Learner], act: Callable[[Learner], Any]) -> list[Any]:
    """Let all learners do something at once; return what came of it, an exception where it failed.
    """
    def careful(learner: Learner) -> Any:
        try:
            return act(learner)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(learners) or 1) as pool:
        return list(pool.map(careful, learners))


def study(learner: Learner, lesson: str) -> dict[str, Any]:
    """Log in, start a server, run a lesson and save it; return the seconds and what was seen."""
    begin = time.monotonic()
    learner.log_in()
    learner.start()
    served = time.monotonic()
    notebook = learner.open_notebook(lesson)
    errors = learner.run_all(notebook)
    done = time.monotonic()
    notebook["cells"][0]["source"] = f"{MARK}: {learner.name}"
    learner.save(lesson, notebook)
    pid = int(learner.run(WHO)[0]["text"])
    return {"server": served - begin, "lesson": done - served, "all": done - begin,
            "errors": errors, "pid": pid, "notebook": notebook}


def own_memory(pid: int) -> float:
    """Return the MiB that would be free if this process ended: what it shares does not count."""
    return psutil.Process(pid).memory_full_info().uss / MIB


def memory(pid: int) -> tuple[float, float]:
    """Return the MiB of a kernel and of the server that started it."""
    return own_memory(pid), own_memory(psutil.Process(pid).ppid())


def spread(values: Iterable[float], unit: str) -> str:
    """Return the middle and the largest of some numbers in words."""
    values = sorted(values)
    return f"middle {statistics.median(values):.0f}, largest {values[-1]:.0f} {unit}"


def crash(found: list[dict[str, Any]], n_kernels: int) -> int:
    """Kill the server of the last learner and the kernels of the first; return how many kernels."""
    hit = [result["pid"] for result in found[:-1]][:n_kernels]
    for pid in [*hit, psutil.Process(found[-1]["pid"]).ppid()]:
        os.kill(pid, signal.SIGKILL)
    return len(hit)


def go_on(learner: Learner, lesson: str) -> float:
    """Come back after a crash: a server if there is none, a kernel, the first cells.

    Returns the seconds until those have run. Raises Refused where one of them fails, or where the
    kernel is not there after a few tries, each some seconds after the other.
    """
    begin = time.monotonic()
    learner.start()
    for attempt in range(TRIES):
        try:
            notebook = learner.open_notebook(lesson)
            errors = learner.run_all({"cells": notebook["cells"][:FEW]})
            break
        except Refused:    # the kernel that died is still being replaced
            if attempt == TRIES - 1:
                raise
            time.sleep(5)
    if errors:
        raise Refused(f"{learner.name} cannot go on: {errors[0]}")
    return time.monotonic() - begin


def lost(learner: Learner, lesson: str, saved: dict[str, Any], homes: Path) -> str | None:
    """Say what of a learner's saved work is not in his file any more; None where all is."""
    file = homes / learner.name / "course" / lesson
    try:
        held = json.loads(file.read_text("utf-8"))["cells"]
    except (OSError, ValueError) as error:
        return f"{learner.name}: {file.name} cannot be read: {error}"
    if [whole(cell["source"]) for cell in held] != [whole(c["source"]) for c in saved["cells"]]:
        return f"{learner.name}: the text of the cells is not what was saved"
    numbers = [len(cell.get("outputs", ())) for cell in held]
    if numbers != [len(cell.get("outputs", ())) for cell in saved["cells"]]:
        return f"{learner.name}: outputs are missing"
    return None


def whole(source: str | list[str]) -> str:
    """Return the source of a cell as one text."""
    return "".join(source)


def rehearse(
    folder: Path, n: int, n_kernels: int, lesson: str, one_alone: bool = True
) -> list[str]:
    """Hold a session with n learners and a crash, and print it; return what went wrong.

    one_alone: before, let one learner work alone
    """
    wrong: list[str] = []

    def report(found: list[Any]) -> list[Any]:
        """Keep the errors, and return the rest."""
        for result in found:
            if isinstance(result, Exception):
                wrong.append(f"{type(result).__name__}: {result}")
            elif isinstance(result, dict):
                wrong.extend(result["errors"])
        return [result for result in found if not isinstance(result, Exception)]

    with hub(folder) as (address, password):
        print(f"{cores()} cores, load {os.getloadavg()[0]:.1f}; the hub is up", flush=True)
        alone = [Learner(address, "alone", password)] if one_alone else []
        for result in report(at_once(alone, lambda learner: study(learner, lesson))):
            print(f"one learner alone: server {result['server']:.0f} s, {lesson} "
                  f"{result['lesson']:.0f} s, together {result['all']:.0f} s", flush=True)
            alone[0].ask("DELETE", f"kernels/{alone[0].kernel}")
            alone[0].leave()
        learners = [Learner(address, f"learner{i + 1:02}", password) for i in range(n)]
        begin = time.monotonic()
        results = at_once(learners, lambda learner: study(learner, lesson))
        took = time.monotonic() - begin
        found = report(results)
        held = [who for who, r in zip(learners, results) if not isinstance(r, Exception)]
        print(f"{len(found)} of {n} learners at once: the last is done after {took:.0f} s")
        if not found:
            return wrong
        print(f"  until the server answers: {spread((r['server'] for r in found), 's')}")
        print(f"  the lesson: {spread((r['lesson'] for r in found), 's')}")
        sizes = [memory(result["pid"]) for result in found]
        print(f"  memory of a kernel: {spread((kernel for kernel, _ in sizes), 'MiB')}")
        print(f"  memory of a server: {spread((server for _, server in sizes), 'MiB')}")
        print(f"  memory of all: {sum(map(sum, sizes)) / 1024:.1f} GiB, of {len(found)} learners; "
              f"load {os.getloadavg()[0]:.1f}", flush=True)

        n_hit = crash(found, n_kernels)
        time.sleep(3)
        print(f"killed: {n_hit} kernels and the server of one more learner")
        back = report(at_once(held, lambda learner: go_on(learner, lesson)))
        print(f"  {len(back)} of {len(held)} go on: {spread(back, 's') if back else ''}")
        for learner in learners:
            learner.leave()
        gone = [lost(learner, lesson, result["notebook"], folder / "homes")
                for learner, result in zip(held, found)]
        wrong += filter(None, gone)
        print(f"  lost of what was saved: {len(list(filter(None, gone)))} files of {len(held)}; "
              f"the variables of {n_hit + 1} kernels, which their cells make again", flush=True)
    return wrong


def main(arguments: list[str]) -> int:
    """Read the command line and rehearse; return 1 where something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.hub.load", description=__doc__)
    parser.add_argument("--learners", type=int, default=20)
    parser.add_argument("--kernels", type=int, default=4, help="so many are killed")
    parser.add_argument("--lesson", default="07")
    parser.add_argument("--room", type=Path, help="a folder with the proxy; else one is made up")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))    # and so end the hub too
    (path,) = lessons(which=given.lesson)
    with TemporaryDirectory(prefix="room-", ignore_cleanup_errors=True) as made_up:
        folder = given.room.resolve() if given.room else Path(made_up)
        if reason := why_not(folder):
            print(reason, file=sys.stderr)
            return 2
        wrong = rehearse(folder, given.learners, given.kernels, f"notebooks/{path.name}")
    print(f"{len(wrong)} errors" + "".join(f"\n  {line}" for line in wrong[:40]))
    return int(bool(wrong))


if __name__ == "__main__":
    accept_any_letter()
    sys.exit(main(sys.argv[1:]))

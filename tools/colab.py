"""Run notebooks as Colab meets them: each alone in an empty folder, to its end.

`make colab` (NB=05: that lesson and its evidence) takes the packages that Colab's image holds, in
the releases that it holds, and lets the setup cell of each notebook install the rest. Colab itself
is imitated: `google.colab` is imported before the first cell, and git is told by its environment
that the public address is a copy of this working tree. Nothing else is: pip installs from the
registry. What passed is kept in build/colab and not run again until the course changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.address import REPOSITORY, VERSION
from tools.files import course_files
from tools.notebooks import (
    ROOT,
    accept_any_letter,
    evidence,
    execute,
    lessons,
    name_of,
    warnings_in,
)
from tools.outputs import clean_outputs

IMAGE = ROOT / "tests/colab-image.txt"
BUILD = ROOT / "build/colab"
KERNEL = "imitated-colab"
TORCH = ("torch", "torchgen", "functorch")
NOT_COMPARED = {"nbval-ignore-output", "timing"}    # tags: no two runs or releases agree

COLUMNS = "| notebook | passes | installed | ready, s | first figure, s | whole, s |"


@dataclass
class Run:
    """What happened when one notebook ran alone."""

    notebook: str
    fingerprint: str
    failure: str = ""
    installed: tuple[str, ...] = ()
    ready: float = 0.0    # seconds until the setup cell is done
    first_figure: float = 0.0
    whole: float = 0.0
    left_out: int = 0

    def row(self) -> str:
        """Return the line of the table."""
        said = self.failure or "yes"
        said += f", {self.left_out} cells without their corpus" if self.left_out else ""
        what = ", ".join(self.installed) or "nothing"
        figure = f"{self.first_figure:.1f}" if self.first_figure else "none"
        times = f"{self.ready:.1f} | {figure} | {self.whole:.0f}"
        return f"| {self.notebook} | {said} | {what} | {times} |"


# ---- the address ----


def git(folder: Path, *arguments: str) -> None:
    """Call git in a folder, without the settings of whoever runs this.

    Raises RuntimeError with what git says where it fails.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=course", "-c", "user.email=course@example.org"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, env=env, capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise RuntimeError(f"git {arguments[0]} failed: {done.stderr.strip()}")


def serve(folder: Path, version: str = VERSION) -> dict[str, str]:
    """Make a folder the public address of this working tree.

    Returns the environment in which git fetches the course from there instead of the network.
    """
    owner, name = REPOSITORY.rsplit("/", 1)
    work = folder / "work"
    for file in course_files(new_ones=True):
        (work / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, work / file)
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "as it is")
    if version != "main":
        git(work, "tag", version)
    git(folder, "clone", "-q", "--bare", str(work), str(folder / name))
    git(folder / name, "repack", "-adq")    # once for all who fetch
    return {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{folder}/.insteadOf",
        "GIT_CONFIG_VALUE_0": f"{owner}/",
        "GIT_TERMINAL_PROMPT": "0",
    }


# ---- the machine ----


def site_packages(environment: Path) -> Path:
    """Return the folder of an environment that holds its packages."""
    base = {"base": str(environment), "platbase": str(environment)}
    return Path(sysconfig.get_path("purelib", "venv", vars=base))


def python_of(environment: Path) -> Path:
    """Return the Python of an environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def image(folder: Path, pins: Path = IMAGE) -> Path:
    """Return the packages of Colab's image, installed into a folder once.

    torch is this machine's: Colab's release would be another gigabyte. Raises RuntimeError where
    pip fails.
    """
    stamp, packages = folder / "installed.txt", site_packages(folder)
    wanted = pins.read_text("utf-8")
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return packages
    print("Colab's packages are installed into build/colab, once.", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [python_of(folder), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "-r", pins], capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"pip cannot install {pins.name}: {done.stderr.strip()[-500:]}")
    ours = Path(sysconfig.get_path("purelib"))
    for path in (p for p in ours.iterdir() if p.name.partition("-")[0] in TORCH):
        (packages / path.name).symlink_to(path)
    stamp.write_text(wanted, encoding="utf-8")
    return packages


def runtime(folder: Path, packages: Path, environment: dict[str, str]) -> Path:
    """Make a fresh machine of Colab: a Python that sees the packages, and a kernel for it.

    Returns the folder of packages into which pip installs there.
    """
    place = folder / "python"
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    own = site_packages(place)
    (own / "image.pth").write_text(f"{packages}\n", encoding="utf-8")
    (own / "google/colab").mkdir(parents=True)    # google has no __init__.py there either
    (own / "google/colab/__init__.py").touch()
    # not sitecustomize.py: the Python of Debian has one already, and it comes first
    (own / "colab.pth").write_text("import google.colab\n", encoding="utf-8")
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}    # else an old debugger speaks to the terminal
    kernel = {
        "argv": [str(python_of(place)), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Colab, imitated", "language": "python", "env": environment | quiet,
    }
    file = folder / "kernels" / KERNEL / "kernel.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(kernel), encoding="utf-8")
    return own


# ---- one notebook ----


def fingerprint(path: Path) -> str:
    """Return a number for all that a notebook's run depends on: itself, utils and data."""
    total = hashlib.sha256(IMAGE.read_bytes() + path.read_bytes())
    for name in course_files(new_ones=True):
        if name.startswith(("utils/", "data/")):
            total.update(name.encode() + (ROOT / name).read_bytes())
    return total.hexdigest()[:16]


def lost_claims(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    """Return the claims that the outputs of a cell deny and its committed outputs do not."""
    said = ["".join(o.get("text", "") for o in outputs).splitlines() for outputs in (old, new)]
    return [line for line in said[1] if line.startswith("✗") and line not in said[0]]


def complaint(old: Any, new: Any) -> str:
    """Say in a few words where a run contradicts the committed notebook, else nothing.

    Words and numbers are compared by the rules of `make test`.
    """
    from conftest import differences

    for was, now in zip(old.cells, new.cells, strict=True):
        if now.cell_type != "code" or now.execution_count is None:    # or its corpus is missing
            continue
        if warned := warnings_in(now.outputs):
            return f"no, cell {now.id} warns: {warned[0][:200]}"
        now.outputs = clean_outputs(now.outputs, 0)
        if lost := lost_claims(was.outputs, now.outputs):
            return f"no, cell {now.id} says {lost[0]}"
        tags = NOT_COMPARED & set(now.metadata.get("tags", ()))
        if not tags and (lines := differences(was.outputs, now.outputs)):
            return f"no, cell {now.id} prints other words: {lines[-1]}"
    return ""


def run_alone(path: Path, folder: Path, packages: Path, environment: dict[str, str]) -> Run:
    """Copy a notebook alone into an empty folder, open it there as Colab does, and run it.

    folder: an empty one, for the machine and the notebook's own folder
    packages: what the machine has    environment: variables of the kernel
    """
    import nbformat

    run = Run(name_of(path), fingerprint(path))
    content = folder / "content"
    content.mkdir(parents=True)
    own = runtime(folder, packages, environment)
    shutil.copy(path, content)
    notebook, committed = (nbformat.read(content / path.name, 4) for _ in range(2))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    start = time.monotonic()

    def heard(cell: Any) -> None:
        """Note when the setup cell was done and when the first figure was seen."""
        seconds = time.monotonic() - start
        run.ready = run.ready or seconds
        if not run.first_figure and any("image/png" in o.get("data", {}) for o in cell.outputs):
            run.first_figure = seconds

    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = str(folder)
    try:
        run.left_out = len(execute(notebook, content, KERNEL, heard))
        run.failure = complaint(committed, notebook)
    except Exception as error:    # whatever a cell raises, the other notebooks go on
        said = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip() or "?"
        run.failure = f"no, {type(error).__name__}: {said.splitlines()[-1][:200]}"
    finally:
        os.environ.pop("JUPYTER_PATH")
        if before is not None:
            os.environ["JUPYTER_PATH"] = before
    run.whole = time.monotonic() - start
    found = distributions(path=[str(own)])
    run.installed = tuple(sorted(f"{d.metadata['Name']} {d.version}" for d in found))
    if (here := sorted(p.name for p in content.iterdir())) != sorted(["course", path.name]):
        run.failure = run.failure or f"no, it leaves {', '.join(here)}"
    return run


# ---- all of them ----


def passed(file: Path) -> dict[str, Run]:
    """Return the runs that a file keeps, by notebook; none where there is no such file."""
    if not file.exists():
        return {}
    kept = json.loads(file.read_text("utf-8"))
    return {one["notebook"]: Run(**one | {"installed": tuple(one["installed"])}) for one in kept}


def keep(file: Path, runs: dict[str, Run]) -> None:
    """Write the runs into a file, whole or not at all."""
    part = file.with_suffix(".part")
    text = json.dumps([asdict(run) for run in runs.values()], ensure_ascii=False, indent=1)
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def table(runs: list[Run]) -> str:
    """Return the runs as a table in markdown."""
    return "\n".join([COLUMNS, "|---|---|---|---|---|---|", *(run.row() for run in runs)])


def run_all(paths: list[Path], file: Path, one: Callable[[Path], Run]) -> list[Run]:
    """Run the notebooks that have not passed as they are now; keep each run as it ends."""
    runs = passed(file)
    for number, path in enumerate(paths, start=1):
        name = name_of(path)
        old = runs.get(name)
        where = f"{number} of {len(paths)}: {name}"
        if old and not old.failure and old.fingerprint == fingerprint(path):
            print(f"{where}: passed before", flush=True)
            continue
        print(f"{where} ...", flush=True)
        runs[name] = one(path)
        keep(file, runs)
        said = runs[name].failure or "passes"
        print(f"  {said}, {runs[name].whole:.0f} s", flush=True)
    return [runs[name_of(path)] for path in paths]


def main(which: str = "") -> None:
    """Run all notebooks, or those whose number is `which`, and print the table."""
    if not shutil.which("git"):
        sys.exit("make colab needs git: the notebooks fetch the course with it.")
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        paths = [*lessons(which=which), *evidence(which=which)]
        packages = image(BUILD / "image")
    except (FileNotFoundError, RuntimeError) as error:
        sys.exit(str(error))
    with TemporaryDirectory(prefix="colab-") as place:
        environment = serve(Path(place))

        def one(path: Path) -> Run:
            """Run one notebook on a machine of its own."""
            with TemporaryDirectory(dir=place) as folder:
                return run_alone(path, Path(folder), packages, environment)

        runs = run_all(paths, BUILD / "runs.json", one)
    (BUILD / "table.md").write_text(table(runs) + "\n", encoding="utf-8")
    print(f"\n{table(runs)}\n\nThis table is kept in build/colab/table.md.")
    if failed := [run.notebook for run in runs if run.failure]:
        sys.exit(f"{len(failed)} of {len(runs)} notebooks fail in Colab: {', '.join(failed)}")


if __name__ == "__main__":
    accept_any_letter()
    main(*sys.argv[1:])

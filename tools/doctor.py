"""Look at this machine, one line for each thing that the course needs: `make doctor`.

A line begins with ✓ where all is well, with ! where something is worth doing but the course runs,
and with ✗ where it cannot run; then the exit status is 1. Nothing is installed or changed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tools.cores import cores
from tools.notebooks import ROOT, lessons, read

GOOD, TO_DO, BAD = "✓", "!", "✗"
PLAIN = {GOOD: "ok", TO_DO: "!", BAD: "NO"}    # for a terminal that cannot write the signs
NEEDED = ("torch", "numpy", "matplotlib", "seaborn", "tqdm", "safetensors", "ipykernel")
WANTED = ("jupyterlab", "sacrebleu", "pooch", "ipywidgets")
SLOW = 4.0    # beside one busy process a step may take twice as long, not this many times
SHARE = 0.8    # of a core: a busy process that gets less has to wait for others
MODEL = "04"    # the size of the model that is timed


class Finding(NamedTuple):
    """What was seen, and a sign that says how bad it is."""

    sign: str
    text: str


def python() -> Iterator[Finding]:
    """The version of Python, and where it is."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= (3, 14):
        yield Finding(TO_DO, f"Python {version} at {sys.executable}: tried are 3.11, 3.12 and 3.13")
    else:
        yield Finding(GOOD, f"Python {version} at {sys.executable}")


def installed(name: str) -> str | None:
    """Return the version of a package, None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def packages() -> Iterator[Finding]:
    """The packages, and whether torch can be loaded."""
    install = f"run  {sys.executable} -m pip install -r requirements.txt"
    versions = {name: installed(name) for name in (*NEEDED, *WANTED)}
    if missing := [name for name in NEEDED if versions[name] is None]:
        yield Finding(BAD, f"not installed: {', '.join(missing)}; {install}")
    if missing := [name for name in WANTED if versions[name] is None]:
        yield Finding(TO_DO, f"not installed: {', '.join(missing)}; {install}")
    here = [f"{name} {version}" for name, version in versions.items() if version]
    if here:
        yield Finding(GOOD, ", ".join(here))


def torch_loads() -> Iterator[Finding]:
    """Whether torch can be imported and computes."""
    import torch

    total = torch.ones(2, 2).matmul(torch.ones(2, 2)).sum().item()
    yield Finding(GOOD if total == 8 else BAD, f"torch multiplies: 2 x 2 ones give {total:g}")


def share_of_core(seconds: float = 0.5) -> float:
    """Return which part of a core a busy process gets here now."""
    wall, own = time.perf_counter(), time.process_time()
    while time.perf_counter() < wall + seconds:
        pass
    return (time.process_time() - own) / (time.perf_counter() - wall)


def speed() -> Iterator[Finding]:
    """What a training step costs now, as the machine is and beside one more busy process."""
    from tools.benchmark import step_times

    share = share_of_core()
    chosen = os.environ.get("OMP_NUM_THREADS")
    setting = {"OMP_NUM_THREADS": chosen or "1"}
    alone, beside = (step_times(setting, 1, n, 0.3, (MODEL,))[MODEL] for n in (0, 1))
    threads = f"OMP_NUM_THREADS={chosen}" if chosen else "one thread, as the lessons set it"
    text = f"{cores()} cores, {threads}: a training step of lesson {MODEL} takes "
    text += f"{1000 * alone:.0f} ms, beside one more busy process {1000 * beside:.0f} ms"
    if chosen and beside > SLOW * alone:
        yield Finding(TO_DO, f"{text}; unset OMP_NUM_THREADS")
    elif share < SHARE or beside > SLOW * alone:
        yield Finding(TO_DO, f"{text}; now a process gets {100 * share:.0f} % of a core: close "
                             f"what else computes on this machine, or be patient with the lessons")
    else:
        yield Finding(GOOD, text)


def fonts() -> Iterator[Finding]:
    """Whether Japanese and Korean letters can be drawn."""
    from matplotlib import font_manager

    from utils.plots import CJK_FONTS, use_course_style

    use_course_style()
    for (_, family), letter in zip(CJK_FONTS.values(), "猫학", strict=True):
        file = font_manager.findfont(family, fallback_to_default=False)
        if not font_manager.get_font(file).get_char_index(ord(letter)):
            yield Finding(TO_DO, f"the font {file} has no {letter}: labels show boxes")
            return
    yield Finding(GOOD, "fonts for Japanese and Korean labels")


def grammar() -> Iterator[Finding]:
    """The generated corpus, which lessons 03 to 11 read."""
    from utils.corpora import GRAMMAR_SPLITS, load_grammar

    sizes = [f"{len(load_grammar(split=split)):,} {split}" for split in GRAMMAR_SPLITS]
    yield Finding(GOOD, f"the generated corpus: {', '.join(sizes)} pairs")


def is_here(name: str) -> bool:
    """Tell whether all files of a real corpus are on this machine."""
    from utils.corpora import CORPORA, CorpusUnavailable, _stored

    try:
        return all(_stored(name, file) is not None for file in CORPORA[name].hashes)
    except CorpusUnavailable:
        return False


def real_corpora() -> Iterator[Finding]:
    """The real corpora: here, or to be had from their hosts."""
    from utils.corpora import CORPORA, available

    for name, corpus in CORPORA.items():
        if reason := available(name):
            yield Finding(TO_DO, f"{reason} A few cells need it; without it they are left out.")
        elif is_here(name):
            yield Finding(GOOD, f"{name} is on this machine")
        else:
            yield Finding(GOOD, f"{name} is not here yet and can be downloaded from {corpus.url}")


def models() -> Iterator[Finding]:
    """The models of earlier lessons, which later ones load."""
    from safetensors import safe_open

    from utils.models import FOLDER

    cells = [cell for path in lessons() for cell in read(path)]
    kept = {name: cell.lesson for cell in cells for name in cell.metadata.get("keeps", {})}
    broken = False
    for name, lesson in kept.items():
        path = FOLDER / f"{name}.safetensors"
        try:
            with safe_open(path, "pt") as file:
                list(file.keys())
        except Exception as error:    # a missing file, half a file, no permission
            broken = True
            yield Finding(BAD, f"{path} cannot be read ({error}): run  make models NB={lesson}")
    if not broken:
        yield Finding(GOOD, f"{len(kept)} models of earlier lessons in {FOLDER}")


def refusal(folder: Path) -> str | None:
    """Say why no file can be written into a folder, which need not exist yet; None if one can."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"nothing can be written into {folder} ({error.strerror})"


def permissions() -> Iterator[Finding]:
    """Where the reader's work, the corpora and Jupyter's own files are written."""
    from jupyter_core.paths import jupyter_runtime_dir

    from utils.corpora import CACHE, CORPORA

    places = [
        (BAD, Path(jupyter_runtime_dir()), "no kernel can start; let JUPYTER_RUNTIME_DIR name one"),
        (TO_DO, ROOT / "notebooks", "your work cannot be saved; copy the folder of the course"),
    ]
    if wanted := not all(map(is_here, CORPORA)):
        advice = "no corpus can be downloaded; let COURSE_DATA name a folder that has them"
        places.append((TO_DO, CACHE, advice))
    refused = False
    for sign, folder, advice in places:
        if why := refusal(folder):
            refused = True
            yield Finding(sign, f"{why}: {advice}")
    if not refused:
        corpora = ", corpora" if wanted else ""
        yield Finding(GOOD, f"notebooks{corpora} and Jupyter's files can be written")


def kernel() -> Iterator[Finding]:
    """Which Python the notebooks will run in."""
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")
    program = spec.argv[0]
    own = {"python", "python3", f"python3.{sys.version_info[1]}", sys.executable}
    if program in own or os.path.realpath(program) == os.path.realpath(sys.executable):
        yield Finding(GOOD, "the notebooks run in this Python")
    else:
        yield Finding(TO_DO, f"the kernel python3 of {spec.resource_dir} starts {program}, not "
                             f"{sys.executable}: remove that folder, or start with  make lab")


def widgets() -> Iterator[Finding]:
    """Whether progress bars are drawn."""
    if find_spec("ipywidgets") and find_spec("jupyterlab_widgets"):
        yield Finding(GOOD, "progress bars are drawn by ipywidgets")
    else:
        yield Finding(TO_DO, f"progress bars appear as text; for drawn ones run  {sys.executable} "
                             f"-m pip install ipywidgets")


CHECKS: dict[Callable[[], Iterator[Finding]], str] = {    # and how bad it is when one breaks off
    python: BAD,
    packages: BAD,
    torch_loads: BAD,
    speed: TO_DO,
    fonts: BAD,
    grammar: BAD,
    real_corpora: TO_DO,
    models: BAD,
    permissions: TO_DO,
    kernel: TO_DO,
    widgets: TO_DO,
}


def findings() -> Iterator[Finding]:
    """Yield what each check finds; one that breaks off says what was raised."""
    for check, sign in CHECKS.items():
        try:
            yield from check()
        except Exception as error:
            words = " ".join(str(error).split())
            yield Finding(sign, f"{check.__name__}: {type(error).__name__}: {words}")


def written(finding: Finding, encoding: str | None) -> str:
    """Return a finding as a line that a terminal of this encoding can show."""
    encoding = encoding or "ascii"
    try:
        finding.sign.encode(encoding)
        sign = finding.sign
    except UnicodeEncodeError:
        sign = PLAIN[finding.sign]
    return f"{sign} {finding.text}".encode(encoding, "backslashreplace").decode(encoding)


def main() -> int:
    """Print a line for each finding; return 1 where the course cannot run."""
    cannot = False
    for finding in findings():
        print(written(finding, sys.stdout.encoding), flush=True)
        cannot |= finding.sign == BAD
    return int(cannot)


if __name__ == "__main__":
    sys.exit(main())

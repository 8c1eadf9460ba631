"""Install torch for the CPU where it would come with CUDA: `python -m tools.cpu_torch`.

On Linux the torch of PyPI brings the libraries of CUDA, some gigabytes, whatever the machine. Where
no NVIDIA GPU is seen, this installs the version that requirements.txt pins from torch's own index
of builds for the CPU, a tenth of the size; the requirement is then met, and pip takes the rest from
where it always does. It changes nothing

- on macOS and Windows, where the torch of PyPI is the small one,
- where torch is installed already or its version is not pinned,
- where pip has been told where packages come from (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL,
  PIP_FIND_LINKS, PIP_NO_INDEX, or the same in pip's own files), such as a mirror without network,
- where the index is empty: `make TORCH_INDEX= lab`.

It never takes another version, and one sentence says what was done, or why it was not.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/version")
SOURCES = ("index-url", "extra-index-url", "find-links", "no-index")
BUILDS = ("x86_64", "aarch64")    # the processors for which the index has builds for Linux
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def pinned(requirements: Path) -> str | None:
    """Return the version of torch that a file pins, None where it pins none."""
    found = re.search(r"(?m)^torch==([\w.]+)\s*(?:#|$)", requirements.read_text("utf-8"))
    return found[1] if found else None


def installed() -> bool:
    """Tell whether this Python has a torch."""
    try:
        metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False
    return True


def gpu() -> bool:
    """Tell whether an NVIDIA GPU is seen: its driver is loaded, or its program finds one."""
    if DRIVER.exists():
        return True
    program = shutil.which("nvidia-smi")
    try:
        return bool(program) and b"GPU 0" in subprocess.run(
            [program, "-L"], capture_output=True, timeout=20
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False


def own_sources() -> list[str]:
    """Return which sources of packages pip has been told of, in the environment or its files."""
    said = subprocess.run([*PIP, "config", "list"], capture_output=True, encoding="utf-8",
                          errors="replace")
    names = [line.partition("=")[0].rpartition(".")[2] for line in said.stdout.splitlines()]
    return [source for source in SOURCES if source in names]


def install(version: str, index: str) -> str | None:
    """Install this torch from an index, nothing else; return why it failed, None if it did not."""
    done = subprocess.run(
        [*PIP, "install", "--quiet", "--no-compile", "--no-deps", "--retries=1", "--timeout=10",
         f"--index-url={index}", f"torch=={version}"],
        stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
    )
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return (errors or [f"ERROR: pip ended with {done.returncode}"])[-1].removeprefix("ERROR: ")


def say(requirements: Path, index: str) -> str | None:
    """Install torch for the CPU where that is due; return what is to be said, None if nothing."""
    version = pinned(requirements)
    if platform.system() != "Linux" or platform.machine() not in BUILDS:
        return None
    if not index or version is None or installed():
        return None
    if sources := own_sources():
        return f"torch comes from where pip is told to look ({', '.join(sources)})."
    if gpu():
        return "An NVIDIA GPU is seen: torch comes with CUDA."
    if why := install(version, index):
        return (f"torch {version} for the CPU could not be had from {index} ({why.rstrip('.')}): "
                f"pip takes the one of PyPI, which brings CUDA, some gigabytes.")
    return f"No NVIDIA GPU is seen: torch {version} for the CPU, from {index}"


def main(requirements: str, index: str) -> None:
    """Read the command line and say in one sentence what was done."""
    if said := say(Path(requirements), index):
        print(said, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

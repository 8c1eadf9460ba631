"""Print how many cores this process may use: `make test` starts so many workers.

A container or `taskset` gives fewer than the machine has.
"""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def quota(folder: Path = CGROUP) -> float | None:
    """Return the cores that a Linux container may use, None where there is no limit."""
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            words = " ".join((folder / file).read_text("utf-8") for file in files).split()
            used, period = float(words[0]), float(words[1])
        except (OSError, ValueError, IndexError):    # "max": no limit
            continue
        if used > 0 and period > 0:
            return used / period
    return None


def cores(folder: Path = CGROUP) -> int:
    """Return the cores that this process may use, at least one."""
    if hasattr(os, "sched_getaffinity"):
        here = len(os.sched_getaffinity(0))
    else:
        here = os.cpu_count() or 1
    limit = quota(folder)
    return max(1, here if limit is None else min(here, int(limit)))


if __name__ == "__main__":
    print(cores())

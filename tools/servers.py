"""Starting servers on this machine, waiting for them, and ending them with all they started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path


def free_port() -> int:
    """Return a port on which nothing listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Wait until a server answers. Raises RuntimeError with the end of its log where it fails."""
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError as error:
            ended = process.poll() is not None
            if ended or time.monotonic() > end:
                said = log.read_text("utf-8", "replace")[-2000:]
                what = "ended" if ended else f"did not answer in {seconds:g} s ({error})"
                raise RuntimeError(f"{address.split('?')[0]}: the server {what}:\n{said}") from None
            time.sleep(0.1)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and, with SIGTERM, the kernels that it started; what is left after 20 s dies."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

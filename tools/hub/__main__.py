"""Serve the course to a closed room: `make hub`.

Each learner opens the printed address, takes any name, gives the password of the room and works in
his own copy of the course. Names, passwords and the learners' work are kept in one folder, `room`,
and stand there when the hub is started again. Ctrl+C ends the hub and all servers; every file that
was saved stays. docs/in_a_room.md says what else to know.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tools.hub import CONFIG, PROXY, PROXY_VERSION, ROOM, proxy
from tools.notebooks import ROOT, accept_any_letter

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"    # none that is taken for another


def passwords(folder: Path) -> dict[str, str]:
    """Return the passwords of a room, which are made up once and kept in its folder."""
    file = folder / "passwords.json"
    if not file.exists():
        made = {
            "learners": "".join(secrets.choice(LETTERS) for _ in range(8)),
            "instructor": secrets.token_hex(16),
        }
        with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w",
                       encoding="utf-8") as new:
            json.dump(made, new)
    return json.loads(file.read_text("utf-8"))


def install_proxy(folder: Path) -> str | None:
    """Install the proxy into the folder of the room; return why that failed, None if it did not."""
    npm = shutil.which("npm")
    if npm is None:
        return (f"{PROXY} is not installed, and neither is npm: install node and npm (on Debian: "
                f"apt-get install npm) and start again.")
    wanted = f"{PROXY}@{PROXY_VERSION}"
    print(f"{PROXY} is not installed: npm installs it into {folder / 'proxy'}", flush=True)
    options = ["--silent", "--fetch-retries=1", "--prefix", folder / "proxy"]
    done = subprocess.run([npm, "install", *options, wanted])
    return f"npm install {wanted} ended with {done.returncode}" if done.returncode else None


def environment(
    folder: Path, address: str, port: int, inner: tuple[int, int]
) -> dict[str, str]:
    """Return what the hub is told by environment variables.

    inner: the ports on which the hub and its proxy speak to each other. Where they are always the
    same, servers that survive the hub find it when it is started again.
    """
    words = passwords(folder)
    return os.environ | {
        "ROOM_DIR": str(folder),
        "ROOM_ADDRESS": address,
        "ROOM_PORT": str(port),
        "ROOM_INNER_PORTS": " ".join(map(str, inner)),
        "ROOM_PROXY": str(proxy(folder)),
        "ROOM_PASSWORD": words["learners"],
        "ROOM_ADMIN_PASSWORD": words["instructor"],
    }


def why_not(folder: Path) -> str | None:
    """Say why no hub can be started; None where one can."""
    if find_spec("jupyterhub") is None:
        return (f"jupyterhub is not installed: run  {sys.executable} -m pip install "
                f"-r requirements-room.txt")
    return None if proxy(folder) else install_proxy(folder)


def own_address() -> str:
    """Return the address under which others on the network reach this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(("10.255.255.255", 1))    # sends nothing; only asks which way it would go
            return way.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def main(arguments: list[str]) -> int:
    """Read the command line, start the hub and stay until it ends."""
    parser = argparse.ArgumentParser(prog="python -m tools.hub", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOM, help="of the room")
    parser.add_argument("--address", default="0.0.0.0", help="127.0.0.1: for this machine alone")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args(arguments)
    folder = given.folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"The folder {folder} cannot be made ({error.strerror}): name another one.",
              file=sys.stderr)
        return 1
    if reason := why_not(folder):
        print(reason, file=sys.stderr)
        return 1
    inner = given.port + 1, given.port + 2
    told = environment(folder, given.address, given.port, inner)
    here = own_address() if given.address == "0.0.0.0" else given.address
    print(f"The room is at  http://{here}:{given.port}\n"
          f"  learners: any name of small letters and digits, password  {told['ROOM_PASSWORD']}\n"
          f"  instructor: password  {told['ROOM_ADMIN_PASSWORD']}\n"
          f"  their work: {folder / 'homes'}\nCtrl+C ends it.", flush=True)
    call = [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)]
    process = subprocess.Popen(call, cwd=ROOT, env=told)
    try:
        return process.wait()
    except KeyboardInterrupt:    # which the hub has got too: it ends the servers now
        process.wait()
        return 0


if __name__ == "__main__":
    accept_any_letter()
    sys.exit(main(sys.argv[1:]))

"""Print a link for each lesson that opens it on a hub: `python -m tools.hub.links ADDRESS`.

A click fetches the course of the address in pyproject.toml into the learner's folder, brings it up
to date without touching what he has changed (nbgitpuller, which the hub has to have), and opens the
lesson. Without an address the links are to mybinder.org, which builds the course from
environment.yml.
"""

from __future__ import annotations

import sys
from urllib.parse import quote, urlencode

from tools.address import REPOSITORY
from tools.notebooks import FOLDER, lessons, read

BRANCH = "main"


def opens(hub: str, notebook: str) -> str:
    """Return the link that opens a notebook of the course on a hub."""
    folder = REPOSITORY.rstrip("/").rpartition("/")[2]
    wanted = {"repo": REPOSITORY, "branch": BRANCH, "urlpath": f"lab/tree/{folder}/{notebook}"}
    return f"{hub.rstrip('/')}/hub/user-redirect/git-pull?{urlencode(wanted)}"


def opens_on_binder(notebook: str) -> str:
    """Return the link that opens a notebook of the course on mybinder.org."""
    repository = REPOSITORY.removeprefix("https://github.com/")
    path = quote(f"lab/tree/{notebook}", safe="")
    return f"https://mybinder.org/v2/gh/{repository}/{BRANCH}?urlpath={path}"


def main(hub: str | None) -> None:
    """Print a line of Markdown for each lesson."""
    for path in lessons():
        name = path.relative_to(FOLDER.parent).as_posix()
        title = " ".join(read(path)[0].source.partition("\n")[0].lstrip("#").split())
        print(f"- [{title}]({opens(hub, name) if hub else opens_on_binder(name)})")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

"""Write another address or version into every file of the course that says them: for a fork.

`make publish REPO=owner/name` changes the badges, the setup cells, the README, the pages of docs/
and pyproject.toml together; `VERSION=v1.0` changes the branch or tag that they name. All texts are
made before the first file is written, and with the former values every file gets its bytes back.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tools.files import course_files
from tools.notebooks import ROOT

HOST = "https://github.com/"
OWNER = r"(?=.{1,39}/)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"
REPO = re.compile(OWNER + r"/(?!\.{1,2}$)(?!.*\.git$)[A-Za-z0-9._-]{1,100}")
REF = re.compile(r"(?!.*(?:\.\.|\.lock$|\.$))[A-Za-z0-9_][A-Za-z0-9._-]*")
NOT_TEXT = (".png", ".safetensors", ".tsv")
SETTINGS = "pyproject.toml"


def settings(source: str) -> tuple[str, str]:
    """Return (owner/name, version) as pyproject.toml says them."""
    found = [re.search(rf'(?m)^{key} = "([^"]+)"', source) for key in ("repository", "version")]
    if None in found:
        raise ValueError(f"{SETTINGS} must say the repository and the version of the course.")
    return found[0][1].removeprefix(HOST), found[1][1]


def naming(repo: str) -> re.Pattern[str]:
    """Return the pattern of owner/name in an address: as it is, or as a parameter holds it."""
    owner, name = map(re.escape, repo.split("/"))
    before = r"(github(?:\.com)?(?:/|%2F)|/v2/gh/)"
    return re.compile(rf"{before}{owner}(/|%2F){name}(?=\.git\b|\.?(?:[^\w.-]|$))")


def naming_version(repo: str, version: str) -> re.Pattern[str]:
    """Return the pattern of the version where an address or a line of settings names it."""
    owner, name = map(re.escape, repo.split("/"))
    here = rf"{owner}/{name}/(?:blob|tree|raw)/|/v2/gh/{owner}/{name}/"
    nbgitpuller = rf"{owner}%2F{name}&(?:\S*&)?branch="
    setup = r'(?<![^\n"])VERSION = \\?"(?=[^"]+"  # the branch or the tag)'    # also in a notebook
    return re.compile(rf"({here}|{nbgitpuller}|{setup}){re.escape(version)}(?![\w.-])")


def rewritten(source: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    """Return a text with another address and version in place of the old ones."""
    source = naming_version(*old).sub(lambda found: found[1] + new[1], source)
    owner, name = new[0].split("/")
    source = naming(old[0]).sub(lambda found: f"{found[1]}{owner}{found[2]}{name}", source)
    entered = rf"({re.escape(HOST + new[0])}\ncd ){re.escape(old[0].split('/')[1])}\n"
    return re.sub(entered, lambda found: f"{found[1]}{name}\n", source)


def check(repo: str, version: str) -> None:
    """Raise ValueError, in one sentence, where GitHub would not take these names."""
    if not REPO.fullmatch(repo):
        raise ValueError(
            f"REPO={repo} is no repository of GitHub: write REPO=owner/name, such as "
            "REPO=my-school/attention, without https:// and .git."
        )
    if not REF.fullmatch(version):
        raise ValueError(
            f"VERSION={version} is no branch or tag of git: write VERSION=main or VERSION=v1.0."
        )


def publish(folder: Path, repo: str = "", version: str = "") -> list[str]:
    """Write an address and a version into the files of a folder; an empty one stays as it is.

    Returns the names of the files that changed. Raises ValueError, and changes nothing, where a
    name is bad, or where the new address stands in a file already: it could not be taken back.
    """
    old = settings((folder / SETTINGS).read_text("utf-8"))
    new = (repo or old[0], version or old[1])
    check(*new)
    fresh: dict[Path, bytes] = {}
    for name in course_files(folder, new_ones=True):
        if name.endswith(NOT_TEXT):
            continue
        path = folder / name
        before = path.read_bytes().decode("utf-8")
        after = rewritten(before, old, new)
        if rewritten(after, new, old) != before:
            raise ValueError(
                f"{name} speaks of {new[0]} at {new[1]} already, and could not be changed back: "
                "choose another REPO or VERSION."
            )
        if name == SETTINGS:
            after = after.replace(f'version = "{old[1]}"', f'version = "{new[1]}"', 1)
        if after != before:
            fresh[path] = after.encode("utf-8")
    for path, content in fresh.items():
        part = path.with_name(path.name + ".part")
        part.write_bytes(content)
        part.chmod(path.stat().st_mode)
        part.replace(path)
    return [path.relative_to(folder).as_posix() for path in fresh]


def main(repo: str = "", version: str = "") -> None:
    """Publish the course under another address, and say what changed."""
    if not repo and not version:
        sys.exit("Say where: make publish REPO=owner/name, or make publish VERSION=v1.0.")
    try:
        changed = publish(ROOT, repo, version)
    except ValueError as error:
        sys.exit(str(error))
    where, what = settings((ROOT / SETTINGS).read_text("utf-8"))
    print(f"{len(changed)} files changed; the course is now {HOST}{where}, version {what}.")
    if changed and version:
        print(f"The badges open {what}: commit this, and give that commit the name {what}.")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The address stands in one place; every badge, setup cell and page says the same, also in a fork.

`make publish` is tried on a copy of the whole course.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tools.address import NAME, REPOSITORY, VERSION, in_colab
from tools.files import course_files
from tools.notebooks import ROOT, evidence, lessons, name_of, read
from tools.publish import HOST, check, main, publish, rewritten, settings

SETUP = re.compile(r'(?m)^REPOSITORY = "([^"]+)"\nVERSION = "([^"]+)"  # the branch or the tag')
LONG = f"{'a-b' * 13}/{'long.name-' * 10}"


def texts(folder: Path = ROOT) -> dict[str, str]:
    """Return the texts of the course by the names of their files."""
    ends = (".md", ".ipynb", ".py", ".toml", ".yml", ".txt", "Makefile")
    names = [name for name in course_files(folder, new_ones=True) if name.endswith(ends)]
    return {name: (folder / name).read_text("utf-8") for name in names}


def other_addresses(source: str, repository: str, version: str) -> list[str]:
    """Return the addresses in a text that open or clone a course other than this one."""
    owner_and_name = repository.removeprefix(HOST)
    opened = re.findall(r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)", source)
    clone = r"(?:git clone .*|REPOSITORY = \\?\")https://github\.com/([\w./-]+)"
    cloned = re.findall(clone, source)
    at = re.findall(rf"{re.escape(owner_and_name)}/(?:blob|tree|raw)/([\w.-]+)/", source)
    wrong = [found for found in opened + cloned if found.removesuffix(".git") != owner_and_name]
    return wrong + [found for found in at if found != version]


def disagreements(folder: Path, repository: str, version: str) -> list[str]:
    """Return where the files of a course say another address or version than the one given."""
    found = []
    for name, source in texts(folder).items():
        if name != "tests/test_address.py":
            found += [f"{name}: {a}" for a in other_addresses(source, repository, version)]
        if name.endswith(".ipynb"):
            colab = repository.replace("https://github.com", "https://colab.research.google.com/github")
            cells = read(folder / name)
            setup = next(cell.source for cell in cells if cell.kind == "code")
            if f"({colab}/blob/{version}/{name})" not in cells[0].source:
                found.append(f"{name} has another badge")
        elif name == "tests/setup_cell.py":
            setup = source
        else:
            continue
        if SETUP.findall(setup) != [(repository, version)]:
            found.append(f"{name} has another setup cell")
    return found


def test_there_is_one_address() -> None:
    assert disagreements(ROOT, REPOSITORY, VERSION) == []
    readme = (ROOT / "README.md").read_text("utf-8")
    assert readme.startswith(f"# {NAME}\n")
    assert f"git clone {REPOSITORY}\ncd {REPOSITORY.rsplit('/', 1)[1]}\n" in readme


def test_the_readme_opens_every_lesson_in_colab() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    opened = re.findall(r"\[Colab\]\((\S+)\)", readme)
    assert opened == [in_colab(f"notebooks/{path.name}") for path in lessons()]


def test_every_address_of_a_file_names_one_that_is_there() -> None:
    """A badge to a notebook that was renamed would open nothing."""
    here = re.escape(f"{REPOSITORY.removeprefix(HOST)}/blob/{VERSION}/")
    for name, source in texts().items():
        for path in re.findall(rf"{here}([\w./-]+)", source):
            assert (ROOT / path).exists(), f"{name} leads to {path}"


@pytest.mark.parametrize(
    "source",
    [
        "https://colab.research.google.com/github/someone/course/blob/main/x.ipynb",
        "git clone https://github.com/someone/course",
        'REPOSITORY = "https://github.com/here/other"',
        'REPOSITORY = \\"https://github.com/here/other\\"',
        "https://github.com/here/course/blob/v2/x.ipynb",
    ],
)
def test_another_address_is_found(source: str) -> None:
    assert other_addresses(source, "https://github.com/here/course", "main")
    right = source.replace("someone", "here").replace("other", "course").replace("v2", "main")
    assert not other_addresses(right, "https://github.com/here/course", "main")


# ---- make publish ----


@pytest.fixture(scope="module")
def fork() -> Iterator[Path]:
    """Return a copy of the course, in a folder that is no repository."""
    with TemporaryDirectory() as folder:
        for name in course_files(new_ones=True):
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, Path(folder) / name)
        yield Path(folder)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the bytes and the mode of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mode) for p in files}


@pytest.mark.parametrize(
    "repo, version",
    [("made-up/x", ""), ("made-up/course", "v0-up"), (LONG, "0.spring"), ("", "v0-up")],
)
def test_a_fork_agrees_and_comes_back_to_the_byte(repo: str, version: str, fork: Path) -> None:
    before, old = contents(fork), settings((fork / "pyproject.toml").read_text("utf-8"))
    changed = publish(fork, repo, version)
    notebooks = [f"notebooks/{name_of(path)}" for path in [*lessons(), *evidence()]]
    assert {*notebooks, "tests/setup_cell.py", "pyproject.toml", "README.md"} <= set(changed)
    assert disagreements(fork, HOST + (repo or old[0]), version or old[1]) == []
    assert publish(fork, repo, version) == []
    if repo:
        whole = "\n".join(texts(fork).values())
        assert f"{HOST}{old[0]}" not in whole and f"github/{old[0]}/" not in whole
        name = repo.split("/")[1]
        assert f"git clone {HOST}{repo}\ncd {name}\n" in (fork / "README.md").read_text("utf-8")
    assert publish(fork, *old) == changed
    assert contents(fork) == before


def test_nothing_is_written_where_it_could_not_be_taken_back(fork: Path) -> None:
    (fork / "docs").mkdir(exist_ok=True)
    note = fork / "docs/thanks.md"
    note.write_text("Thanks to https://github.com/our/friends.", encoding="utf-8")
    before = contents(fork)
    with pytest.raises(ValueError, match=r"docs/thanks\.md speaks of our/friends at main already"):
        publish(fork, "our/friends")
    assert contents(fork) == before
    note.unlink()


@pytest.mark.parametrize(
    "before, after",
    [
        ("https://github.com/a/b.git", "https://github.com/c/d.git"),
        ("See https://github.com/a/b.", "See https://github.com/c/d."),
        ("github.com/a/b/blob/main/x", "github.com/c/d/blob/v1/x"),
        ("mybinder.org/v2/gh/a/b/main?urlpath=x", "mybinder.org/v2/gh/c/d/v1?urlpath=x"),
        ("repo=https%3A%2F%2Fgithub.com%2Fa%2Fb&branch=main", None),
        ("git clone https://github.com/a/b\ncd b\n", "git clone https://github.com/c/d\ncd d\n"),
        ("github.com/a/b-two github.com/aa/b github.com/a/b.c a/b b/main", ""),
        ('VERSION = "main"  # of something else', ""),
        ("github.com/a/b/blob/main-2/x", "github.com/c/d/blob/main-2/x"),
    ],
)
def test_what_is_an_address(before: str, after: str | None) -> None:
    if after is None:
        after = "repo=https%3A%2F%2Fgithub.com%2Fc%2Fd&branch=v1"
    assert rewritten(before, ("a/b", "main"), ("c/d", "v1")) == (after or before)


@pytest.mark.parametrize(
    "repo",
    [
        "course", "a/b/c", "https://github.com/a/b", "a b/c", "-a/b", "a-/b", "a--b/c", "a/..",
        "a/b.git", f"{'a' * 40}/b", "a/b c", 'a/b"', "a/日本", "a/b\n", "a/",
    ],
)
def test_a_bad_name_is_refused_in_a_sentence(repo: str) -> None:
    with pytest.raises(ValueError, match=r"is no repository of GitHub: write REPO=owner/.*\.$"):
        check(repo, "main")


@pytest.mark.parametrize("version", ["-b", "a..b", "a b", "v1/", "v1.lock", 'v"', "~1", "a/b"])
def test_a_bad_version_is_refused_in_a_sentence(version: str) -> None:
    with pytest.raises(ValueError, match=r"is no branch or tag of git: .*\.$"):
        check("a/b", version)


def test_the_command_says_what_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    for call, said in ((["", ""], "Say where: make publish REPO="), (["x"], "REPO=x is no repo")):
        with pytest.raises(SystemExit) as stopped:
            main(*call)
        assert str(stopped.value).startswith(said)
    assert capsys.readouterr().out == ""

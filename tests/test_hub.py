"""A room: each learner's own copy, what the hub is told, the links, and a rehearsal with two."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import made_up
import pytest

from tools import hub
from tools.address import REPOSITORY
from tools.files import course_files
from tools.hub import __main__ as serve
from tools.hub import links, load
from tools.notebooks import ROOT, lessons


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """Return a small course."""
    root = tmp_path / "a 日本 course"
    for name in ("README.md", "notebooks/00_x.ipynb", "utils/text.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name}, first", encoding="utf-8")
    (root / "data").mkdir()
    (root / ".gitignore").write_text("data/cache/\n", encoding="utf-8")
    return root


def test_a_learner_gets_the_course(course: Path, tmp_path: Path) -> None:
    home = tmp_path / "ann"
    hub.give_course(home, course)
    own = home / "course"
    for name in course_files(course):
        assert (own / name).read_bytes() == (course / name).read_bytes()
    assert not list(own.rglob("*.part"))
    assert len(list((home / ".jupyter/lab/workspaces").iterdir())) == 1


def test_what_a_learner_has_is_never_overwritten(course: Path, tmp_path: Path) -> None:
    home = tmp_path / "ann"
    hub.give_course(home, course)
    own = home / "course"
    (own / "notebooks/00_x.ipynb").write_text("my work", encoding="utf-8")
    (own / "README.md").unlink()
    (course / "utils/text.py").write_text("second", encoding="utf-8")
    (course / "utils/new.py").write_text("new", encoding="utf-8")
    hub.give_course(home, course)
    assert (own / "notebooks/00_x.ipynb").read_text("utf-8") == "my work"
    assert (own / "utils/text.py").read_text("utf-8") == "utils/text.py, first"
    assert (own / "utils/new.py").read_text("utf-8") == "new"
    assert (own / "README.md").exists()


def test_a_corpus_is_downloaded_once_for_all(course: Path, tmp_path: Path) -> None:
    for name in ("ann", "bo"):
        hub.give_course(tmp_path / name, course)
    (tmp_path / "ann/course/data/cache/big").write_text("x", encoding="utf-8")
    assert (tmp_path / "bo/course/data/cache/big").read_text("utf-8") == "x"


def test_passwords_are_made_once_and_are_secret(tmp_path: Path) -> None:
    made = serve.passwords(tmp_path)
    assert serve.passwords(tmp_path) == made
    assert len(made["learners"]) >= 8 and len(made["instructor"]) >= 32    # as JupyterHub demands
    assert stat.S_IMODE((tmp_path / "passwords.json").stat().st_mode) == 0o600
    (tmp_path / "other").mkdir()
    assert serve.passwords(tmp_path / "other") != made


def test_no_proxy_and_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: SimpleNamespace())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "neither is npm: install node and npm" in str(serve.why_not(tmp_path))
    program = tmp_path / "proxy/node_modules/.bin" / hub.PROXY
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    assert serve.why_not(tmp_path) is None and hub.proxy(tmp_path) == str(program)
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    assert "-m pip install -r requirements-room.txt" in str(serve.why_not(tmp_path))


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert serve.main([str(tmp_path / "file/room")]) == 1
    assert "cannot be made (Not a directory): name another one." in capsys.readouterr().err


class Settings(dict):
    """Stands in for JupyterHub's configuration: any section, any name."""

    def __getattr__(self, name: str) -> Any:
        return self.setdefault(name, Settings())

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def settings(folder: Path, monkeypatch: pytest.MonkeyPatch, **own: str) -> Settings:
    """Return what the configuration file sets."""
    for name, value in (serve.environment(folder, "127.0.0.1", 8000, (8001, 8002)) | own).items():
        monkeypatch.setenv(name, value)
    found = Settings()
    source = compile(hub.CONFIG.read_text("utf-8"), str(hub.CONFIG), "exec")
    exec(source, {"get_config": lambda: found})
    return found


def test_one_thread_whatever_the_instructor_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(tmp_path, monkeypatch, OMP_NUM_THREADS="8")
    assert found.Spawner.environment["OMP_NUM_THREADS"] == "1"


def test_names_stay_inside_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = settings(tmp_path, monkeypatch).Authenticator.username_pattern
    for name in ("ann", "learner01", "o_k-2"):
        assert re.match(pattern, name)
    for name in ("", "..", "../ann", "ann/bo", ".ssh", "a b", "日本", "-x", "x" * 40):
        assert not re.match(pattern, name)


def test_the_server_opens_the_first_lesson_in_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(tmp_path, monkeypatch)
    assert (ROOT / found.Spawner.default_url.removeprefix("/lab/tree/")).exists()
    given: list[Path] = []
    monkeypatch.setattr(hub, "give_course", given.append)
    hook = settings(tmp_path, monkeypatch).Spawner.pre_spawn_hook
    hook(SimpleNamespace(user=SimpleNamespace(name="ann")))
    template = found.SimpleLocalProcessSpawner.home_dir_template
    assert given == [Path(template.format(username="ann"))]


# ---- links ----


@pytest.mark.parametrize("path", lessons(), ids=lambda path: path.name[:2])
def test_links_lead_to_the_lesson_at_the_address_of_the_course(path: Path) -> None:
    name = f"notebooks/{path.name}"
    asked = parse_qs(urlsplit(links.opens("https://hub.example.org/", name)).query)
    assert asked["repo"] == [REPOSITORY]
    folder, _, opened = asked["urlpath"][0].removeprefix("lab/tree/").partition("/")
    assert folder == REPOSITORY.rpartition("/")[2] and (ROOT / opened).exists()
    binder = unquote(urlsplit(links.opens_on_binder(name)).query)
    assert (ROOT / binder.removeprefix("urlpath=lab/tree/")).exists()


def test_a_line_for_each_lesson(capsys: pytest.CaptureFixture[str]) -> None:
    links.main("https://hub.example.org")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(lessons())
    assert lines[5].startswith("- [05 Attention") and "(https://hub.example.org/hub/" in lines[5]


def test_binder_would_install_the_requirements() -> None:
    pytest.importorskip("repo2docker", reason="jupyter-repo2docker is not installed")
    call = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    done = subprocess.run(call, capture_output=True, encoding="utf-8", check=True)
    said = done.stdout + done.stderr
    copied = re.search(r"COPY --chown=\d+:\d+ src/", said)    # whoever runs this
    # environment.yml reads requirements.txt
    assert copied and copied.start() < said.index('--file "environment.yml"')


# ---- a rehearsal ----


def saved(*sources: str) -> dict[str, Any]:
    """Return a notebook with one output in each cell."""
    return {"cells": [{"source": source, "outputs": [1]} for source in sources]}


def test_what_is_lost_is_found(tmp_path: Path) -> None:
    ann, lesson = SimpleNamespace(name="ann"), "notebooks/x.ipynb"
    file = tmp_path / "ann/course" / lesson
    assert "cannot be read" in str(load.lost(ann, lesson, saved("a"), tmp_path))
    file.parent.mkdir(parents=True)
    for text, said in [
        ('{"cells": [', "cannot be read"),
        (json.dumps(saved("b")), "the text of the cells"),
        (json.dumps({"cells": [{"source": "a", "outputs": []}]}), "outputs are missing"),
        (json.dumps({"cells": [{"source": ["a"], "outputs": [1]}]}), "None"),
    ]:
        file.write_text(text, encoding="utf-8")
        assert said in str(load.lost(ann, lesson, saved("a"), tmp_path))


def test_two_learners_and_a_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jupyterhub", reason="jupyterhub is not installed")
    if hub.proxy(tmp_path) is None:
        pytest.skip(f"{hub.PROXY} is not installed: npm install -g {hub.PROXY}")
    lesson = "notebooks/small.ipynb"
    for name in ("learner01", "learner02"):
        (tmp_path / "homes" / name / "course/notebooks").mkdir(parents=True)
        made_up.write(
            tmp_path / "homes" / name / "course" / lesson, made_up.markdown("# Small"),
            made_up.code("x = 1"), made_up.code("1 / 0", tags=("raises-exception",)),
            made_up.code("print(x)"), made_up.code("x"),
        )
    wrong = load.rehearse(tmp_path, 2, 1, lesson, one_alone=False)
    said = capsys.readouterr().out
    assert wrong == [], said
    assert "2 of 2 learners at once" in said and "killed: 1 kernels" in said
    assert "2 of 2 go on" in said and "lost of what was saved: 0 files of 2" in said

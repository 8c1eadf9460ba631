"""How `make lab` opens JupyterLab: the contents at the left, and the reader's own layout kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jupyterlab.commands import get_app_dir

from tools import lab
from tools.notebooks import ROOT


@pytest.fixture
def layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the course keep its layouts in an empty folder."""
    folder = tmp_path / "a 日本 build/lab"
    monkeypatch.setattr(lab, "LAYOUTS", folder)
    return folder


def test_the_layout_is_written_once(layouts: Path) -> None:
    environment: dict[str, str] = {}
    assert lab.prepare(environment) is None
    assert environment == {"JUPYTERLAB_WORKSPACES_DIR": str(layouts)}
    (file,) = layouts.iterdir()
    left = json.loads(file.read_text("utf-8"))["data"]["layout-restorer:data"]["left"]
    assert left["current"] in left["widgets"] and left["current"].startswith("@jupyterlab/toc")
    file.write_text("mine", encoding="utf-8")
    assert lab.prepare({}) is None and file.read_text("utf-8") == "mine"


def test_jupyterlab_reads_that_file(layouts: Path) -> None:
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    lab.prepare({})
    assert WorkspacesManager(str(layouts)).load("default")["metadata"]["id"] == "default"


def test_a_folder_that_the_reader_names_is_his(layouts: Path) -> None:
    own = {"JUPYTERLAB_WORKSPACES_DIR": "mine"}
    assert lab.prepare(own) is None
    assert own == {"JUPYTERLAB_WORKSPACES_DIR": "mine"} and not layouts.exists()


def test_a_course_that_may_only_be_read_opens_all_the_same(layouts: Path) -> None:
    layouts.parent.touch()
    environment: dict[str, str] = {}
    assert f"{layouts} cannot be written" in str(lab.prepare(environment))
    assert environment == {}


def test_the_settings_are_settings_of_jupyterlab() -> None:
    overrides = json.loads((lab.SHIPPED / "overrides.json").read_text("utf-8"))
    assert overrides
    for plugin, values in overrides.items():
        package, _, name = plugin.partition(":")
        schema = Path(get_app_dir()) / "schemas" / package / f"{name}.json"
        known = json.loads(schema.read_text("utf-8"))["properties"]
        assert values.keys() <= known.keys(), plugin


def test_what_the_reader_adds_comes_last(layouts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("jupyterlab.labapp.main", started.append)
    monkeypatch.setenv("JUPYTERLAB_WORKSPACES_DIR", "mine")
    monkeypatch.chdir(layouts.parents[1])
    lab.main(["notebooks/05_attention.ipynb", "--no-browser", "--ip=0.0.0.0"])
    ((first, *_, second_last, last),) = started
    assert Path.cwd() == ROOT and first == "--ServerApp.root_dir=."
    assert [second_last, last] == ["--no-browser", "--ip=0.0.0.0"]
    assert "--LabApp.default_url=/lab/tree/notebooks/05_attention.ipynb" in started[0]


def test_what_only_instructors_need_stays_out_of_a_readers_way() -> None:
    from jupyterlab_server.config import get_page_config

    off = get_page_config([], app_settings_dir=str(lab.SHIPPED))["disabledExtensions"]
    assert {"@jupyter/nbgrader", "@jupyter-notebook/lab-extension"} <= set(off)

"""The commands `make outputs` and `make seeds`, on tiny notebooks in a real kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import made_up
import nbformat
import pytest

from tools import notebooks, outputs, seeds
from tools.notebooks import WIDGET, lessons, missing_corpus, read


def test_outputs_are_written_and_stay(tmp_path: Path) -> None:
    path = made_up.write(
        tmp_path / "01_x.ipynb",
        made_up.code("import time\nprint(time.time_ns())", tags=("timing",)),
        made_up.code("1 / 0", tags=("raises-exception",)),
        made_up.code("40 + 2", made_up.printed("old")),
    )
    made_up.commit(tmp_path)
    assert outputs.write_outputs(path) == []
    made_up.commit(tmp_path)
    first = path.read_bytes()
    outputs.write_outputs(path)
    assert path.read_bytes() == first
    cells = read(path)
    assert [cell.count for cell in cells] == [1, 2, 3]
    assert cells[1].outputs[0]["traceback"] == ["ZeroDivisionError: division by zero"]
    assert cells[2].text == "42"
    assert [p.name for p in tmp_path.glob("*")].count("01_x.fresh") == 0


def test_printed_pieces_are_joined() -> None:
    pieces = [made_up.printed("16"), made_up.printed("x", "stderr"), made_up.printed("00 pairs\n")]
    kept = outputs.clean_outputs([*pieces, made_up.picture(), made_up.printed("end")], count=1)
    assert [output.get("text") for output in kept] == ["1600 pairs\n", None, "end"]


def test_changed_code_is_timed_again(tmp_path: Path) -> None:
    clock = made_up.code("import time\nprint(time.time_ns())", made_up.printed("7"))
    clock.metadata["tags"] = ["timing"]
    path = made_up.write(tmp_path / "01_x.ipynb", clock, made_up.code("1"))
    made_up.commit(tmp_path)
    last = outputs.committed(path)
    same, changed = nbformat.read(path, 4), nbformat.read(path, 4)
    changed.cells[1].source = "2"
    for notebook in (same, changed):
        notebook.cells[0].outputs = [made_up.printed("8")]
        outputs.keep_timings(notebook, last)
    assert same.cells[0].outputs[0]["text"] == "7"
    assert changed.cells[0].outputs[0]["text"] == "8"


def test_what_is_not_committed(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {"state": 1}})
    bar = made_up.shown(**{WIDGET: {"model_id": "x"}, "text/plain": "0%"})
    explorer = made_up.shown(**{WIDGET: {"model_id": "x"}, "image/png": made_up.PIXEL})
    cell = made_up.code("x", made_up.printed("a", "stderr"), bar, explorer, execution={"a": "1"})
    notebook.cells = [cell]
    outputs.clean(notebook)
    assert "widgets" not in notebook.metadata and "execution" not in cell.metadata
    assert [set(output["data"]) for output in cell.outputs] == [{"image/png"}]


FIGURE = """
import matplotlib.pyplot as plt
from utils.plots import show, use_course_style
use_course_style()
fig, ax = plt.subplots()
ax.set(title="a_1 $")
"""


def drawing(path: Path, last: str) -> Path:
    """Write a notebook whose third cell shows a figure of the course."""
    cells = f"import sys\nsys.path.insert(0, {str(notebooks.ROOT)!r})", FIGURE, last
    return made_up.write(path, *map(made_up.code, cells))


def test_the_settings_of_the_shell_do_not_change_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = drawing(tmp_path / "01_x.ipynb", "show(fig, alt='A frame.')")
    outputs.write_outputs(plain)
    own = tmp_path / "own/profile_default"
    (own / "startup").mkdir(parents=True)
    (own / "startup/first.py").write_text("print('startup')", encoding="utf-8")
    (own / "ipython_kernel_config.py").write_text(
        "c = get_config()\nc.InlineBackend.figure_formats = ['svg']", encoding="utf-8"
    )
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 30", encoding="utf-8")
    for name, value in {
        "MPLBACKEND": "Agg",
        "IPYTHONDIR": str(own.parent),
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
    }.items():
        monkeypatch.setenv(name, value)
    changed = drawing(tmp_path / "02_x.ipynb", "show(fig, alt='A frame.')")
    outputs.write_outputs(changed)
    assert read(plain)[2].pictures == 1
    assert [c.outputs for c in read(changed)] == [c.outputs for c in read(plain)]


def test_a_picture_is_not_lost_silently(tmp_path: Path) -> None:
    lose = "import matplotlib\nmatplotlib.use('agg')\nprint('<Figure size 600x300 with 1 Axes>')"
    path = made_up.write(tmp_path / "01_x.ipynb", made_up.code(lose))
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match=r"01_x\.ipynb: no picture of a figure in "):
        outputs.write_outputs(path)
    assert path.read_bytes() == before


def test_show_draws_under_any_backend(tmp_path: Path) -> None:
    path = drawing(tmp_path / "01_x.ipynb", "show(fig, alt='A frame.')")
    notebook = nbformat.read(path, 4)
    notebook.cells.insert(0, made_up.code("import matplotlib\nmatplotlib.use('agg')"))
    notebooks.execute(notebook, tmp_path)
    assert [set(o["data"]) for o in notebook.cells[3].outputs] == [{"image/png", "text/plain"}]


@pytest.mark.parametrize(
    "source, error",
    [("import warnings\nwarnings.warn('careful')", RuntimeError), ("1 / 0", Exception)],
)
def test_a_bad_run_leaves_the_file_alone(
    tmp_path: Path, source: str, error: type[Exception]
) -> None:
    path = made_up.write(tmp_path / "01_x.ipynb", made_up.code(source))
    before = path.read_bytes()
    with pytest.raises(error):
        outputs.write_outputs(path)
    assert path.read_bytes() == before


def test_a_cell_without_its_corpus_keeps_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        notebooks, "missing_corpus", lambda corpora: "It is not here." if corpora else None
    )
    cell = made_up.code("1 / 0", made_up.printed("kept"), tags=("corpus-multi30k",))
    path = made_up.write(tmp_path / "01_x.ipynb", cell, made_up.code("2"))
    assert outputs.write_outputs(path) == ["It is not here."]
    assert [cell.text for cell in read(path)] == ["kept", "2"]


def test_no_corpus_is_needed_without_a_tag() -> None:
    assert missing_corpus(frozenset()) is None


@pytest.mark.parametrize(
    "source, changed",
    [
        ("torch.manual_seed(0)", "torch.manual_seed(2)"),
        ("g = Generator().manual_seed(0)", "g = Generator().manual_seed(2)"),
        ("SEED = 0\nx = 1", "SEED = 2\nx = 1"),
        ("torch.manual_seed(05)", "torch.manual_seed(05)"),
        ("MY_SEED = 0\nfor seed in [0]:", "MY_SEED = 0\nfor seed in [0]:"),
    ],
)
def test_the_seed_is_changed(source: str, changed: str) -> None:
    assert seeds.with_seed(source, 2) == changed


def test_broken_claims_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made_up.write(
        tmp_path / "01_x.ipynb",
        made_up.code("SEED = 0"),
        made_up.code("print('✓ always')"),
        made_up.code("print('✗ on purpose')", made_up.printed("✗ on purpose")),
        made_up.code("print('✓ luck' if SEED == 0 else '✗ luck')", made_up.printed("✓ luck")),
    )
    before = path.read_bytes()
    assert seeds.broken_claims(path, 0) == []
    assert seeds.broken_claims(path, 1) == ["✗ luck"]
    assert "01_x.ipynb, seed 1: 1 claims hold, 1 break\n  ✗ luck" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_a_failing_cell_counts_as_broken(tmp_path: Path) -> None:
    path = made_up.write(tmp_path / "01_x.ipynb", made_up.code("SEED = 0"), made_up.code("1 / 0"))
    assert seeds.broken_claims(path, 1) == ["a cell fails: ZeroDivisionError: division by zero"]


def test_the_picture_of_the_readme_is_the_one_of_lesson_00(tmp_path: Path) -> None:
    fresh = tmp_path / "course.png"
    outputs.write_picture(notebooks.FOLDER / outputs.HOUSE[0], outputs.HOUSE[1], fresh)
    committed = notebooks.FOLDER / "course.png"
    assert committed.read_bytes() == fresh.read_bytes(), "run  make outputs NB=00"
    assert "(notebooks/course.png)" in (notebooks.ROOT / "README.md").read_text("utf-8")


def test_a_cell_without_a_picture_says_so(tmp_path: Path) -> None:
    path = made_up.write(tmp_path / "00_x.ipynb", made_up.code("1", made_up.printed("1")))
    with pytest.raises(ValueError, match="no cell 'house' with a picture"):
        outputs.write_picture(path, "house", tmp_path / "x.png")


def test_an_unknown_lesson_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="begins with '99'"):
        lessons(tmp_path, "99")


def test_a_terminal_that_lacks_letters(tmp_path: Path) -> None:
    made_up.write(tmp_path / "01_x.ipynb", made_up.code("print('✗ 猫')"))
    lines = [
        "import pathlib, runpy, sys, tools.notebooks",
        f"tools.notebooks.FOLDER = pathlib.Path({str(tmp_path)!r})",
        "runpy.run_module('tools.seeds', run_name='__main__')",
    ]
    own = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=notebooks.ROOT, env=os.environ | own, capture_output=True, check=False,
    )
    assert b"1 break\n  \\u2717 \\u732b\n" in done.stdout, done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("module", ["outputs", "seeds", "models"])
def test_the_commands_accept_any_letter(module: str) -> None:
    source = (notebooks.ROOT / f"tools/{module}.py").read_text("utf-8")
    assert source.partition('__name__ == "__main__":')[2].startswith("\n    accept_any_letter()\n")

"""utils/plots.py."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import seaborn as sns
import torch
from drawing import CONTRAST, contrast
from matplotlib import font_manager
from matplotlib.colors import to_hex, to_rgb

from tools.notebooks import ROOT
from utils import plots


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    """Give matplotlib its settings back, and close what a test has drawn."""
    with matplotlib.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


# ---- use_course_style ----

TEXTS = {
    "English": "the cat, it's 1 - 2",
    "Japanese": "猫が魚を食べる。カタカナ",
    "Korean": "학교에 갑니다. 고양이",
    "marks": "<bos> √d_k q·k −1 ≥ → ✓",
}


def missing_glyphs(text: str) -> list[str]:
    """The warnings of drawing a text as a title, a label and a tick."""
    fig, ax = plt.subplots()
    ax.set(title=text, xlabel=text)
    ax.set_xticks([0], [text])
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        fig.canvas.draw()
    return [str(w.message) for w in noted if "missing from font" in str(w.message)]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_script_of_the_course_is_drawn(text: str) -> None:
    plots.use_course_style()
    assert missing_glyphs(text) == []


def test_the_words_of_a_plot_can_be_read() -> None:
    plots.use_course_style()
    ground = to_rgb(plt.rcParams["axes.facecolor"])
    assert to_rgb(plt.rcParams["figure.facecolor"]) == ground == (1, 1, 1)
    inks = [plt.rcParams[f"{what}.{key}"] for what, key in (
        ("text", "color"), ("axes", "labelcolor"), ("xtick", "color"), ("ytick", "color"))]
    assert min(contrast(to_rgb(ink), ground) for ink in inks) >= CONTRAST


@pytest.mark.parametrize("text", ["猫", "학교"])
def test_without_the_style_the_glyphs_are_missing(text: str) -> None:
    """Otherwise the test above would pass with any font."""
    plt.rcParams["font.family"] = ["DejaVu Sans"]
    assert missing_glyphs(text)


def test_the_fonts_are_registered_once() -> None:
    plots.use_course_style()
    plots.use_course_style()
    names = [font.name for font in font_manager.fontManager.ttflist]
    for _, family in plots.CJK_FONTS.values():
        assert names.count(family) == 1
        assert family in plt.rcParams["font.family"]


@pytest.mark.parametrize("package", plots.CJK_FONTS)
def test_a_missing_font_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(plots, "find_spec", lambda n: None if n == package else find_spec(n))
    command = f"{sys.executable} -m pip install .*{package.replace('_', '-')}"
    with pytest.raises(ModuleNotFoundError, match=command) as caught:
        plots.use_course_style()
    assert "\n" not in str(caught.value)


@pytest.fixture
def fonts_of_the_system(monkeypatch: pytest.MonkeyPatch) -> list[font_manager.FontEntry]:
    """Return matplotlib's list of fonts without those of the course; afterwards it is as before."""
    families = {family for _, family in plots.CJK_FONTS.values()}
    known = [f for f in font_manager.fontManager.ttflist if f.name not in families]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", known)
    yield known
    font_manager.fontManager._findfont_cached.cache_clear()


@pytest.mark.parametrize("package", plots.CJK_FONTS)
@pytest.mark.parametrize("content", [None, b"half a font"])
def test_a_font_file_that_cannot_be_read_is_named(
    package: str, content: bytes | None, fonts_of_the_system: list, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / plots.CJK_FONTS[package][0]
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    find_spec = importlib.util.find_spec
    here = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(plots, "find_spec", lambda n: here if n == package else find_spec(n))
    with pytest.raises(OSError) as caught:
        plots.use_course_style()
    said = str(caught.value)
    assert said.startswith(f"{path}, the font that draws the labels, cannot be read (")
    assert said.endswith(f"-m pip install --force-reinstall --no-deps {package.replace('_', '-')}")


def test_an_empty_folder_is_no_font_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda name: SimpleNamespace(origin=None))
    with pytest.raises(ModuleNotFoundError, match="matplotlib-fontja, whose font"):
        plots.use_course_style()


def test_a_font_of_the_system_that_is_gone_does_not_count(fonts_of_the_system: list) -> None:
    for _, family in plots.CJK_FONTS.values():
        fonts_of_the_system.append(font_manager.FontEntry(fname="/gone/x.ttf", name=family))
    plots.use_course_style()
    assert missing_glyphs(TEXTS["Japanese"] + TEXTS["Korean"]) == []


def test_lines_differ_for_the_colour_blind() -> None:
    plots.use_course_style()
    fig, ax = plt.subplots()
    colours = [to_hex(ax.plot([0, 1])[0].get_color()) for _ in range(3)]
    assert colours == ["#0173b2", "#de8f05", "#029e73"]
    assert fig.get_size_inches().tolist() == [6, 3] and fig.get_constrained_layout()


# ---- attention_map ----

SOURCE, TARGET = ["猫", "が", "食べる"], ["고양이가", "먹는다"]
WEIGHTS = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.1, 0.9]])


@pytest.mark.parametrize("weights", [WEIGHTS, WEIGHTS.numpy(), WEIGHTS.double()])
def test_attention_map_has_a_row_for_each_target_token(weights) -> None:
    plots.use_course_style()
    fig, ax = plt.subplots()
    plots.attention_map(ax, weights, SOURCE, TARGET, "what each word looks at")
    assert [label.get_text() for label in ax.get_xticklabels()] == SOURCE
    assert [label.get_text() for label in ax.get_yticklabels()] == TARGET
    assert ax.get_xlabel() == "source token" and ax.get_ylabel() == "target token"
    assert ax.get_title() == "what each word looks at"
    (mesh,) = ax.collections
    assert mesh.get_clim() == (0, 1) and mesh.get_cmap().name == "viridis"
    assert np.allclose(np.asarray(mesh.get_array()).reshape(2, 3), WEIGHTS)
    assert ax.yaxis_inverted()                    # the first target token on top
    fig.canvas.draw()


@pytest.mark.parametrize("colour_bar", [True, False])
def test_attention_map_has_one_colour_bar_if_wanted(colour_bar: bool) -> None:
    fig, ax = plt.subplots()
    plots.attention_map(ax, WEIGHTS, list("abc"), list("de"), "title", colour_bar)
    others = [other for other in fig.axes if other is not ax]
    assert [other.get_ylabel() for other in others] == ["weight"] * colour_bar


def test_attention_map_shows_many_tokens_all() -> None:
    """seaborn leaves out tick labels where they would overlap, unless it is told the labels."""
    fig, ax = plt.subplots(figsize=(2, 2))
    tokens = [f"w{n}" for n in range(40)]
    plots.attention_map(ax, torch.eye(40), tokens, tokens, "title")
    fig.canvas.draw()
    assert [label.get_text() for label in ax.get_xticklabels()] == tokens


@pytest.mark.parametrize("shape", [(3, 2), (2, 2), (1, 2, 3), (3,), (2, 4), ()])
def test_attention_map_refuses_another_shape(shape: tuple[int, ...]) -> None:
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=r"the tokens want \(2, 3\)") as caught:
        plots.attention_map(ax, torch.rand(shape), SOURCE, TARGET, "title")
    assert str(shape) in str(caught.value)
    assert not ax.collections


# ---- show ----

# Runs in a Python of its own, because an IPython shell changes the process it lives in. The inline
# backend shows at the end of a cell what is still open: that is how a figure appears twice.
SHELL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


class Shell(InteractiveShell):
    def enable_gui(self, gui=None):
        pass


shell = Shell.instance()
shell.run_line_magic("matplotlib", "inline")
shell.run_cell("import matplotlib.pyplot as plt; from utils.plots import show")
results = []
for cell in json.loads(sys.argv[1]):
    with capture_output() as captured:
        outcome = shell.run_cell(cell)
    results.append({
        "error": repr(outcome.error_before_exec or outcome.error_in_exec),
        "shown": [[sorted(out.data), out.metadata] for out in captured.outputs],
        "png": [out.data["image/png"][:8] for out in captured.outputs if "image/png" in out.data],
        "printed": captured.stdout + captured.stderr,
        "open": shell.ev("plt.get_fignums()"),
    })
print(json.dumps(results))
"""
DRAW = "fig, ax = plt.subplots(); ax.plot([0, 1])\n"


def test_a_figure_is_displayed_once_with_its_alt_text_and_closed(tmp_path: Path) -> None:
    cells = [
        DRAW + "show(fig, alt='a line that rises')",
        DRAW + "show(fig, alt='a \"line\" in 猫')\n" + DRAW + "show(fig, 'empty')",
        DRAW + "from IPython.display import display; display(fig)",     # what show prevents
    ]
    own = {"IPYTHONDIR": str(tmp_path), "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SHELL, json.dumps(cells)],
        capture_output=True, encoding="utf-8", env=os.environ | own, cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    once, twice, without = json.loads(done.stdout.splitlines()[-1])
    assert all(cell["error"] == "None" for cell in (once, twice, without))
    assert once["shown"] == [
        [["image/png", "text/plain"], {"image/png": {"alt": "a line that rises"}}]
    ]
    alts = [metadata["image/png"]["alt"] for _, metadata in twice["shown"]]
    assert alts == ['a "line" in 猫', "empty"]
    assert once["png"] == ["iVBORw0K"] and len(twice["png"]) == 2
    assert once["open"] == twice["open"] == [] and not once["printed"] + twice["printed"]
    assert len(without["shown"]) == 2, "without plt.close a figure is shown twice"


def test_show_returns_nothing_and_closes_only_its_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A value in the last line of a cell would be one more output."""
    calls = []
    monkeypatch.setattr(plots, "display", lambda *args, **kwargs: calls.append((args, kwargs)))
    kept, shown = plt.figure(), plt.figure()
    assert plots.show(shown, alt="empty") is None
    assert calls == [((shown,), {"metadata": {"image/png": {"alt": "empty"}}})]
    assert plt.fignum_exists(kept.number) and not plt.fignum_exists(shown.number)


@pytest.mark.parametrize("masked", [False, True])
def test_the_numbers_on_a_heat_map_can_be_read(
    masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "display", lambda *args, **kwargs: None)
    fig, (ax, other) = plt.subplots(1, 2)
    values = torch.linspace(0, 1, 40).view(5, 8).numpy()
    hidden = (values > 0.9) & masked
    sns.heatmap(values, annot=True, cmap="viridis", ax=ax, mask=hidden, vmin=0, vmax=1)
    beside = ax.text(9, 2, "no number", color="red")
    other.text(0.5, 0.5, "no heat map", color="red")
    plots.show(fig, alt="numbers from 0 to 1")
    cells = matplotlib.colormaps["viridis"](values[~hidden])
    numbers = [text for text in ax.texts if text is not beside]
    assert len(numbers) == len(cells) > 30
    for number, cell in zip(numbers, cells, strict=True):
        assert contrast(to_rgb(number.get_color()), cell[:3]) >= 4.5
    assert beside.get_color() == other.texts[0].get_color() == "red"


@pytest.mark.parametrize(
    "cells",
    [
        lambda ax: ax.pcolormesh(np.zeros((3, 4))),    # not drawn yet: dark in the end
        lambda ax: ax.pcolormesh(np.zeros((3, 4, 3))),
        lambda ax: sns.heatmap(np.ones((3, 4)), vmin=0, alpha=0.3, cmap="Greys", ax=ax),
    ],
    ids=["by hand", "colours", "half seen through"],
)
def test_numbers_on_other_cells_can_be_read(cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "display", lambda *args, **kwargs: None)
    fig, ax = plt.subplots()
    cells(ax)
    number = ax.text(1.5, 0.5, "1", color="red")
    plots.show(fig, alt="cells")
    fig.canvas.draw()
    *cell, opacity = ax.collections[0].get_facecolors().reshape(-1, 4)[0]
    seen = [opacity * part + 1 - opacity for part in cell]
    assert contrast(to_rgb(number.get_color()), seen) >= 4.5


@pytest.mark.parametrize("shading", ["flat", "gouraud"])
def test_words_that_stand_on_no_cell_keep_their_colour(
    shading: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "display", lambda *args, **kwargs: None)
    fig, ax = plt.subplots()
    n = 1 if shading == "flat" else 0
    ax.pcolormesh(np.linspace(2, 3, 4 + n), np.linspace(2, 3, 3 + n), np.zeros((3, 4)),
                  shading=shading)
    word = ax.text(1.5, 0.5, "word", color="red")
    plots.show(fig, alt="cells elsewhere")
    assert word.get_color() == "red"


# ---- show_source ----


def guarded(x, n: int = 2, *, names: tuple = ()):
    """Add n, unless x is None."""
    if x is None:
        raise ValueError("x is None")
    require_more = n
    return x + require_more    # the sum


def test_a_function_is_shown_bare(capsys: pytest.CaptureFixture[str]) -> None:
    plots.show_source(guarded, Shown.double)
    assert capsys.readouterr().out == (
        "def guarded(x, n=2, names=()):\n"
        "    require_more = n\n"
        "    return x + require_more    # the sum\n"
        "\n"
        "def double(self):    # of Shown\n"
        "    return 2 * self\n"
    )


class Shown:
    """A class with a method."""

    def double(self):
        return 2 * self


@pytest.mark.parametrize("thing", [torch.exp, Shown, 3])
def test_what_has_no_source_is_refused(thing: object) -> None:
    with pytest.raises(TypeError, match="give a function"):
        plots.show_source(thing)


# ---- show_translations ----


def test_translations_stand_under_their_truth(capsys: pytest.CaptureFixture[str]) -> None:
    systems = {"one vector": [["a", "x", "c"], ["b"]], "attention": [["a", "b", "c"], []]}
    plots.show_translations([["A", "B", "C"], ["B"]], [["a", "b", "c"], ["b"]], systems)
    assert capsys.readouterr().out.splitlines() == [
        "source      A B C",
        "truth       a b c",
        "one vector  a [x] c  (finds 2 of 3)",
        "attention   a b c ✓",
        "",
        "source      B",
        "truth       b",
        "one vector  b ✓",
        "attention   (nothing)  (finds 0 of 1)",
    ]


def test_a_word_left_out_does_not_mark_what_follows() -> None:
    assert plots.marked(["a", "c", "d"], ["a", "b", "c", "d"], 20) == "a c d  (finds 3 of 4)"
    assert plots.marked(list("abb"), list("ab"), 20) == "a b [b]"
    assert plots.marked(list("ab") * 20, list("ab"), 3) == "a b [a] ..."


@pytest.mark.parametrize(
    "arguments",
    [([], [], {"a": []}), ([["x"]], [["y"]], {}), ([["x"]], [["y"]], {"a": []}), ([["x"]], [], {})],
)
def test_lists_that_do_not_fit_are_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="equally many sentences"):
        plots.show_translations(*arguments)


def test_guesses_stand_beside_the_truth(capsys: pytest.CaptureFixture[str]) -> None:
    truth = torch.tensor([[0, 1], [1, 1]])
    right, wrong = truth, torch.zeros_like(truth)
    plots.show_guesses(["one", "two"], ["sun", "霧"], truth, {"a": right, "b": wrong}, "all weeks")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["a", "b", "truth"],
        ["one", "sun", "✓", "sun", "✓", "sun"],
        ["two", "霧", "✓", "sun", "霧"],
        ["all", "weeks", "1.00", "0.25"],
    ]


@pytest.mark.parametrize("guess, words", [
    (torch.zeros(2, 3), ["a", "b"]), (torch.zeros(2, 2), ["a", "b", "c"]),
])
def test_guesses_of_another_shape_are_refused(guess: torch.Tensor, words: list[str]) -> None:
    with pytest.raises(ValueError, match="the truth"):
        plots.show_guesses(words, ["x"], torch.zeros(2, 2).long(), {"rule": guess.long()})


@pytest.mark.parametrize(
    "token", ["$\\foo$", "$a$", "costs $5 or $6", "a_b^c", "%", "السلام", "שלום", "", "cafe\u0301"]
)
def test_a_token_is_drawn_as_it_is(token: str) -> None:
    plots.use_course_style()
    fig, ax = plt.subplots()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.attention_map(ax, torch.eye(2), [token, "x"], ["x", token], title="$W^Q$")
        fig.canvas.draw()
    labels = [ax.get_xticklabels()[0], ax.get_yticklabels()[1]]
    assert [label.get_text() for label in labels] == [token, token]
    assert not any(label.get_parse_math() for label in labels)
    assert ax.title.get_parse_math(), "what the course writes itself may hold mathematics"
    plt.close(fig)

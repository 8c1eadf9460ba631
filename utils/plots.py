"""The look of every figure in the course, set once."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from IPython.display import display
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from seaborn.utils import relative_luminance

CJK_FONTS = {
    "matplotlib_fontja": ("fonts/ipaexg.ttf", "IPAexGothic"),
    "koreanize_matplotlib": ("fonts/NanumGothic.ttf", "NanumGothic"),
}


def use_course_style() -> None:
    """Colour-blind-safe colours, sizes for a projector, Japanese and Korean glyphs.

    What a reader's own matplotlibrc says, such as text.usetex, does not count.
    """
    matplotlib.rcdefaults()
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    families = ["DejaVu Sans"]
    for package, (file, family) in CJK_FONTS.items():
        add_font(package, file, family)
        families.append(family)
    plt.rcParams.update(
        {
            "font.family": families,
            "figure.figsize": (6, 3),
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "axes.titlesize": 12,
            "axes.labelsize": 11,
            "axes.unicode_minus": False,
        }
    )


def add_font(package: str, file: str, family: str) -> None:
    """Let matplotlib draw a family of letters with the file that a package carries, and no other.

    matplotlib remembers where it saw the fonts of the system, also those that are gone since.
    Raises ModuleNotFoundError without the package, OSError where its file cannot be read.
    """
    name = package.replace("_", "-")
    install = f"run {sys.executable} -m pip install --force-reinstall --no-deps {name}"
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"{name}, whose font draws the labels, is not installed for {sys.executable}: choose "
            f"the kernel of the course (make lab), or {install}"
        )
    path = Path(spec.origin).parent / file
    known = font_manager.fontManager.ttflist
    known[:] = [font for font in known if font.name != family or Path(font.fname) == path]
    if family in font_manager.get_font_names():
        return
    try:
        font_manager.fontManager.addfont(path)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"{path}, the font that draws the labels, cannot be read "
            f"({getattr(error, 'strerror', None) or error}): {install}"
        ) from error


def draw_as_png() -> None:
    """Let a notebook show figures as png where the backend has set nothing, as MPLBACKEND=Agg."""
    shell = get_ipython()
    if shell is None:
        return
    own = shell.display_formatter
    kinds = [f for kind, f in own.formatters.items() if kind != "text/plain"]
    if not any(Figure in formatter for formatter in [*kinds, own.ipython_display_formatter]):
        select_figure_formats(shell, {"png"}, bbox_inches="tight")


def repaint_numbers(ax: Axes) -> None:
    """Paint the numbers on a heat map black or white, whichever stands out more from its cell.

    The rule of WCAG 2.2: of the two, black has the higher contrast from a luminance of 0.18 on.
    """
    for mesh in ax.collections:
        if not isinstance(mesh, QuadMesh):
            continue
        corners = mesh.get_coordinates()
        n_rows, n_columns = corners.shape[0] - 1, corners.shape[1] - 1
        mesh.update_scalarmappable()
        colours = mesh.get_facecolors().reshape(-1, 4)
        of_cells = np.stack(np.meshgrid(range(n_columns + 1), range(n_rows + 1)), axis=-1)
        if len(colours) != n_rows * n_columns or not np.array_equal(corners, of_cells):
            continue    # a cell does not stand between whole numbers, as seaborn has it
        for number in ax.texts:
            x, y = number.get_position()
            if x % 1 == y % 1 == 0.5 and 0 < x < n_columns and 0 < y < n_rows:
                *colour, opacity = colours[int(y) * n_columns + int(x)]
                behind = np.array(to_rgb(ax.get_facecolor()))
                seen = opacity * np.array(colour) + (1 - opacity) * behind
                number.set_color("black" if relative_luminance(seen) > 0.179 else "white")


def show(fig: Figure, alt: str) -> None:
    """Display a figure once, described in `alt` for those who cannot see it."""
    draw_as_png()
    for ax in fig.axes:
        repaint_numbers(ax)
    display(fig, metadata={"image/png": {"alt": alt}})
    plt.close(fig)


def show_source(*parts: Callable) -> None:
    """Print functions or methods as they stand in utils, without hints, docstrings and guards.

    A guard is an `if` that only raises, or a call of a function whose name begins with `require`.
    Raises TypeError for what has no Python source, such as a function of torch.
    """
    for part in parts:
        try:
            source = textwrap.dedent(inspect.getsource(part))
        except (OSError, TypeError) as error:
            raise TypeError(f"{part!r} has no Python source to show: give a function") from error
        node, lines = ast.parse(source).body[0], source.splitlines()
        if not isinstance(node, ast.FunctionDef):
            raise TypeError(f"{part!r} is no function: give a function, or a method of a class")
        arguments = ", ".join(bare_arguments(node))
        owner = part.__qualname__.rpartition(".")[0]
        print(f"def {node.name}({arguments}):" + (f"    # of {owner}" if owner else ""))
        body = node.body[1:] if ast.get_docstring(node) else node.body
        for statement in body:
            if not is_guard(statement):
                print("\n".join(lines[statement.lineno - 1 : statement.end_lineno]))
        if part is not parts[-1]:
            print()


def bare_arguments(node: ast.FunctionDef) -> list[str]:
    """Return the arguments of a function, with their defaults, without their types."""
    given = [*node.args.posonlyargs, *node.args.args]
    defaults = [None] * (len(given) - len(node.args.defaults)) + node.args.defaults
    named = [*zip(given, defaults, strict=True)]
    if node.args.vararg:
        named.append((ast.arg(f"*{node.args.vararg.arg}"), None))
    named += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    if node.args.kwarg:
        named.append((ast.arg(f"**{node.args.kwarg.arg}"), None))
    return [a.arg + (f"={ast.unparse(d)}" if d is not None else "") for a, d in named]


def is_guard(node: ast.stmt) -> bool:
    """Whether a statement only refuses bad input."""
    if isinstance(node, ast.If):
        only = all(isinstance(part, ast.Raise | ast.Assign) for part in node.body)
        return only and isinstance(node.body[-1], ast.Raise) and not node.orelse
    called = getattr(getattr(node, "value", None), "func", None)
    return isinstance(called, ast.Name) and called.id.startswith("require")


def show_translations(
    sources: Sequence[Sequence[str]], truths: Sequence[Sequence[str]],
    systems: Mapping[str, Sequence[Sequence[str]]], width: int = 20,
) -> None:
    """Print each source with the truth and what each system writes, under one another.

    sources, truths: lists of token lists    systems: a name for each list of translations
    A word that the truth does not have, or not there, stands in [ ]; ✓ marks a sentence that is
    right as a whole, else it says how many of the truth's words are found, in their order; a
    translation of more than `width` tokens is cut. Raises ValueError where
    the lists are empty or not equally long.
    """
    counts = {"sources": len(sources), "truths": len(truths)}
    counts |= {name: len(written) for name, written in systems.items()}
    if not systems or set(counts.values()) != {len(sources)} or not sources:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ValueError(f"want equally many sentences in each list, at least one: got {found}")
    head = max(map(len, ["source", "truth", *systems])) + 2
    for i, (source, truth) in enumerate(zip(sources, truths)):
        print(("\n" if i else "") + f"{'source':{head}}{' '.join(source)}")
        print(f"{'truth':{head}}{' '.join(truth)}")
        for name, written in systems.items():
            print(f"{name:{head}}{marked(list(written[i]), list(truth), width)}")


def marked(words: list[str], truth: list[str], width: int) -> str:
    """Return a translation as one line; words that are not in the truth's order in brackets."""
    right = set()
    for block in SequenceMatcher(None, words, truth, autojunk=False).get_matching_blocks():
        right |= set(range(block.a, block.a + block.size))
    shown = [word if place in right else f"[{word}]" for place, word in enumerate(words)]
    text = " ".join(shown[:width]) + (" ..." if len(shown) > width else "")
    if words == truth:
        return f"{text} ✓"
    found = f"  (finds {len(right)} of {len(truth)})" if len(right) < len(truth) else ""
    return (text or "(nothing)") + found


def show_guesses(
    words: Sequence[str], names: Sequence[str], truth, guesses: Mapping[str, object],
    whole: str = "all",
) -> None:
    """Print what each rule says for each word of the first sentence, ✓ where it is right.

    words: the first sentence    names: what an answer is called    truth: (n_sentences, n_words)
    guesses: a tensor like truth for each rule. The last line is the share right in all sentences.
    Raises ValueError where a guess has another shape than the truth.
    """
    for rule, guess in guesses.items():
        if guess.shape != truth.shape or truth.shape[-1] != len(words):
            shapes = f"{tuple(guess.shape)}, the truth {tuple(truth.shape)}"
            raise ValueError(f"{rule} has shape {shapes}, for {len(words)} words")
    said = {rule: [names[i] for i in guess[0].tolist()] for rule, guess in guesses.items()}
    right = [names[i] for i in truth[0].tolist()]
    width = max(map(len, [*words, *guesses, whole, *(name + " ✓" for name in names)])) + 2
    print("".join(f"{head:{width}}" for head in ["", *guesses]) + "truth")
    for i, word in enumerate(words):
        marks = [answers[i] + " ✓" * (answers[i] == right[i]) for answers in said.values()]
        print("".join(f"{text:{width}}" for text in [word, *marks]) + right[i])
    shares = [f"{(guess == truth).double().mean().item():.2f}" for guess in guesses.values()]
    print("".join(f"{text:{width}}" for text in [whole, *shares]).rstrip())


def attention_map(
    ax: Axes,
    weights,
    src_tokens: Sequence[str],
    tgt_tokens: Sequence[str],
    title: str,
    colour_bar: bool = True,
) -> None:
    """Draw attention weights: one row for each target token, one column for each source token.

    weights: (tgt_len, src_len), a tensor or array with values from 0 to 1.
    Raises ValueError if the shape does not fit the tokens.
    """
    wanted = (len(tgt_tokens), len(src_tokens))
    if tuple(weights.shape) != wanted:
        raise ValueError(f"weights have shape {tuple(weights.shape)}, the tokens want {wanted}")
    plt.setp([*ax.get_xticklabels(), *ax.get_yticklabels()], parse_math=False)
    with plt.rc_context({"text.parse_math": False}):    # a token may hold $ signs
        sns.heatmap(
            weights, vmin=0, vmax=1, cmap="viridis", square=True, ax=ax, cbar=colour_bar,
            xticklabels=src_tokens, yticklabels=tgt_tokens,
            cbar_kws={"label": "weight"} if colour_bar else None,
        )
    ax.set(title=title, xlabel="source token", ylabel="target token")
    plt.setp(ax.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="y", rotation=0)

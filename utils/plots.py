"""The look of every figure in the course, set once."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import seaborn as sns
from IPython.display import display
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

CJK_FONTS = {
    "matplotlib_fontja": ("fonts/ipaexg.ttf", "IPAexGothic"),
    "koreanize_matplotlib": ("fonts/NanumGothic.ttf", "NanumGothic"),
}


def use_course_style() -> None:
    """Colour-blind-safe colours, sizes for a projector, Japanese and Korean glyphs."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    families = ["DejaVu Sans"]
    for package, (file, family) in CJK_FONTS.items():
        spec = find_spec(package)
        if spec is None:
            raise ModuleNotFoundError(
                f"{package.replace('_', '-')} is not installed; run `make lab` again, or "
                f"`pip install {package.replace('_', '-')}`: its font draws the labels"
            )
        if family not in font_manager.get_font_names():
            font_manager.fontManager.addfont(Path(spec.origin).parent / file)
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


def show(fig: Figure, alt: str) -> None:
    """Display a figure once, described in `alt` for those who cannot see it."""
    display(fig, metadata={"image/png": {"alt": alt}})
    plt.close(fig)


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
    sns.heatmap(
        weights, vmin=0, vmax=1, cmap="viridis", square=True, ax=ax, cbar=colour_bar,
        xticklabels=src_tokens, yticklabels=tgt_tokens,
        cbar_kws={"label": "weight"} if colour_bar else None,
    )
    ax.set(title=title, xlabel="source token", ylabel="target token")
    plt.setp(ax.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="y", rotation=0)

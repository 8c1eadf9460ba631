"""Pages that need nothing but a browser: Markdown, mathematics, code and fonts in one file.

Mathematics is drawn by matplotlib and put in as SVG; the fonts are those that matplotlib and the
course's figures bring, cut down to the letters of the lessons. So a page shows 日本語 and 한국어 on
any machine, and asks no server for anything.
"""

from __future__ import annotations

import base64
import functools
import html
import io
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import mistune
import numpy as np
from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextToPath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from tools.notebooks import ROOT, lessons

DEJAVU = Path(matplotlib.get_data_path()) / "fonts/ttf"
FONTS = {    # family, weight: the file
    ("Course", 400): DEJAVU / "DejaVuSans.ttf",
    ("Course", 700): DEJAVU / "DejaVuSans-Bold.ttf",
    ("Course Mono", 400): DEJAVU / "DejaVuSansMono.ttf",
    ("Course Japanese", 400): ("matplotlib_fontja", "fonts/ipaexg.ttf"),
    ("Course Korean", 400): ("koreanize_matplotlib", "fonts/NanumGothic.ttf"),
}
ALWAYS = "".join(map(chr, range(32, 127))) + "·–—…“”‘’✓✗→←↑↓√²×≤≥−°"
SIZE = 20.0    # points, at which mathematics is drawn before it is scaled to the text
CURVES = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C",
          Outline.CLOSEPOLY: "Z"}

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; color: #1a1a1a; background: #ffffff; line-height: 1.45;
  font-family: "Course", "Course Japanese", "Course Korean", sans-serif; }
code, pre { font-family: "Course Mono", "Course Japanese", "Course Korean", monospace; }
pre { margin: 0.4em 0; line-height: 1.28; white-space: pre-wrap; overflow-wrap: anywhere; }
pre.printed { border-left: 4px solid #767676; padding-left: 0.6em; }
table { border-collapse: collapse; margin: 0.5em 0; }
th, td { border-bottom: 1px solid #767676; padding: 0.2em 0.7em 0.2em 0; text-align: left;
  vertical-align: top; }
svg.math { overflow: visible; }
p.math { text-align: center; margin: 0.7em 0; }
a { color: #0b57a4; }
img { max-width: 100%; }
.k, .kn, .kc, .ow { color: #7a1fa2; } .c1, .sd { color: #595959; } .nf, .nc { color: #0b57a4; }
.s1, .s2, .sa, .sf, .si { color: #1b5e20; } .mi, .mf { color: #9a3412; }
"""


# ---- mathematics ----


@functools.cache
def mathematics(text: str, display: bool) -> str:
    """Return a formula as SVG, in the size of the text around it.

    Raises ValueError for what matplotlib cannot draw.
    """
    given = FontProperties(size=SIZE, math_fontfamily="dejavusans")
    source = "$" + re.sub(r"\\[bB]ig+[lr]?(?=\W)", "", text.strip()) + "$"    # not known
    try:
        box = MathTextParser("path").parse(source, dpi=72, prop=given)
        points, codes = TextToPath().get_text_path(given, source, ismath=True)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"this formula cannot be drawn: {source}: {error}") from error
    em = 1 / SIZE
    width, height, depth = (getattr(box, name) * em for name in ("width", "height", "depth"))
    scale = SIZE / TextToPath.FONT_SCALE
    outline = path_of(np.asarray(points) * scale, codes)
    top = (box.height - box.depth) if box.height > box.depth else box.height
    drawn = (
        f'<svg class="math" role="img" aria-label="{html.escape(text.strip())}" '
        f'width="{width:.3f}em" height="{height:.3f}em" style="vertical-align: -{depth:.3f}em" '
        f'viewBox="0 0 {box.width:.2f} {box.height:.2f}"><g transform="translate(0 {top:.2f}) '
        f'scale(1 -1)"><path fill="currentColor" d="{outline}"/></g></svg>'
    )
    return f'<p class="math">{drawn}</p>\n' if display else drawn


def path_of(points: object, codes: object) -> str:
    """Return an outline in the words of SVG."""
    parts = [
        CURVES[code] + ("" if code == Outline.CLOSEPOLY else " ".join(f"{x:.2f}" for x in corner))
        for corner, code in Outline(points, codes).iter_segments(curves=True, simplify=False)
    ]
    return "".join(parts)


# ---- Markdown and code ----


def coloured(source: str) -> str:
    """Return Python in colours."""
    return highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)).rstrip()


def code(source: str) -> str:
    """Return Python as a block of a page."""
    return f"<pre><code>{coloured(source)}</code></pre>\n"


def printed(text: str) -> str:
    """Return what a cell printed as a block of a page."""
    return f'<pre class="printed">{html.escape(text)}</pre>\n'


@functools.cache
def reader() -> mistune.Markdown:
    """Return what turns the lessons' Markdown into HTML."""
    made = mistune.create_markdown(escape=False, plugins=["table", "math"])
    made.renderer.register("inline_math", lambda _, text: mathematics(text, False))
    made.renderer.register("block_math", lambda _, text: mathematics(text, True))
    return made


def to_html(markdown: str) -> str:
    """Return a piece of a lesson's prose as HTML, without its hints and without links."""
    text = re.sub(r"(?s)<details>.*?</details>", "", markdown)
    return re.sub(r'<a href="[^"]*">(.*?)</a>', r"\1", str(reader()(text)))


def image(png: str, alt: str) -> str:
    """Return a picture as a block of a page. png: base64"""
    data = png.replace("\n", "")
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt, quote=True)}">\n'


# ---- fonts ----


def font_file(name: tuple[str, int]) -> Path:
    """Return the file of a font; FileNotFoundError where its package is not installed."""
    place = FONTS[name]
    if isinstance(place, Path):
        return place
    package, file = place
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"{package}, whose font the pages use, is not installed: make lab")
    return Path(found.submodule_search_locations[0]) / file


@functools.cache
def letters() -> str:
    """Return every letter of the lessons, the guide and the routes."""
    files = [*lessons(), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").glob("*.toml")]
    found = set(ALWAYS)
    for path in files:
        text = re.sub(r'"image/png": "[^"]*"', "", path.read_text("utf-8"))
        found |= set(re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), text))
    return "".join(sorted(c for c in found if c.isprintable()))


@functools.cache
def fonts(more: str = "") -> str:
    """Return the style of the fonts, each with no other letters than those of the lessons.

    more: letters that a page has besides.
    """
    wanted, rules = {ord(letter) for letter in letters() + more}, []
    for (family, weight), _ in FONTS.items():
        font = TTFont(font_file((family, weight)))
        options = subset.Options()
        options.flavor, options.layout_features = "woff", []
        options.notdef_outline, options.hinting = True, False
        options.drop_tables += ["FFTM", "TSI0", "TSI1", "TSI2", "TSI3", "TSI5"]
        cutter = subset.Subsetter(options)
        latin = set(map(ord, ALWAYS)) if "Japanese" in family or "Korean" in family else set()
        cutter.populate(unicodes=wanted - latin)
        cutter.subset(font)
        file = io.BytesIO()
        font.flavor = "woff"
        font.save(file)
        data = base64.b64encode(file.getvalue()).decode("ascii")
        rules.append(
            f'@font-face {{ font-family: "{family}"; font-weight: {weight}; '
            f"src: url(data:font/woff;base64,{data}) format('woff'); }}"
        )
    return "\n".join(rules)


def page(title: str, body: str, style: str = "", script: str = "") -> str:
    """Return a whole page."""
    script = f"<script>\n{script}\n</script>\n" if script else ""
    own = re.sub(r"(?s)base64,[^\"]*|<[^>]*>", "", title + body)
    more = "".join(sorted(c for c in set(own) - set(letters()) if c.isprintable()))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{fonts(more)}\n{STYLE}\n{style}\n</style>\n"
        f"</head>\n<body>\n{body}\n{script}</body>\n</html>\n"
    )


def joined(parts: Iterable[str]) -> str:
    """Return blocks one after another."""
    return "\n".join(part for part in parts if part)

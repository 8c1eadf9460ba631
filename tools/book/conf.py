"""The settings of Sphinx for the book; the folder of the sources is written by tools.book.pages."""

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path

from fontTools.ttLib import TTFont

from tools.address import NAME, REPOSITORY
from tools.notebooks import ROOT
from utils.plots import CJK_FONTS

SOURCES = Path(os.environ["BOOK_SOURCES"])
ALTS, TITLES = json.loads((SOURCES / "descriptions.json").read_text("utf-8"))
HERE = ROOT / "tools/book"

project = NAME
author = NAME
copyright = "CC BY 4.0 for prose and figures, MIT for code"
language = "en"
extensions = ["myst_nb", "sphinx_copybutton"]
exclude_patterns = ["files/**", "fonts/**"]

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_merge_streams = True
nb_mime_priority_overrides = [("html", "image/png", 0)]

# MathJax as one file without fonts or further requests, from a package that only carries it.
mathjax = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static/mathjax/tex-svg.js"
mathjax_path = mathjax.name
mathjax3_config = {"options": {"enableMenu": False}}



def for_browsers(package, file):
    """Write a font without what its makers' tool left in it, which browsers refuse."""
    font = TTFont(Path(find_spec(package).origin).parent / file)
    for table in [name for name in font.keys() if name.startswith("TSI")]:
        del font[table]
    path = SOURCES / "fonts" / Path(file).name
    path.parent.mkdir(exist_ok=True)
    font.save(path)
    return str(path)


# Letters that a reader's machine may lack; the style sheet asks for them only there.
fonts = [for_browsers(package, file) for package, (file, _) in CJK_FONTS.items()]

html_theme = "sphinx_book_theme"
html_title = NAME
html_static_path = [str(HERE / "static"), str(mathjax), *fonts]
html_use_index = False
html_css_files = ["course.css"]
html_js_files = ["course.js"]
templates_path = [str(HERE / "templates")]
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
html_theme_options = {
    "repository_url": REPOSITORY,
    "use_repository_button": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "navigation_with_keys": False,    # an arrow key moves the page, not to another one
    "show_toc_level": 2,
    "navbar_start": [],    # the bar at the top would hold a second field for the search
    "navbar_center": [],
    "navbar_end": [],
    "navbar_persistent": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

# ---- what the theme does not do ----

TAG = re.compile(r"(<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>)", re.DOTALL)
CHINESE = "\u3400-\u4dbf\u4e00-\u9fff"    # the characters, which are all Japanese in this course
SPOKEN = {
    "ja": re.compile(f"[\u3040-\u30ff{CHINESE}]+(?:[ \u3001\u3002]+[\u3040-\u30ff{CHINESE}]+)*"),
    "ko": re.compile("[\uac00-\ud7a3]+(?:[ .]+[\uac00-\ud7a3]+)*"),
}


def in_its_language(html: str) -> str:
    """Return a page in which Japanese and Korean words say so, for whoever hears them."""
    parts = TAG.split(html)
    for language, words in SPOKEN.items():
        marked = rf'<span lang="{language}">\g<0></span>'
        parts[::2] = [words.sub(marked, part) for part in parts[::2]]
        parts = TAG.split("".join(parts))
    return "".join(parts)


def describe(app, doctree):
    """Give each picture of a notebook its description."""
    from docutils import nodes

    for image in doctree.findall(nodes.image):
        name = Path(image["uri"]).stem
        if ALTS.get(name):
            image["alt"] = ALTS[name]


def finish(app, pagename, templatename, context, doctree):
    """Mark the languages in the body of a page; call its neighbours by their short titles."""
    for neighbour in (context.get("prev"), context.get("next")):
        if neighbour:
            page = os.path.normpath(os.path.join(os.path.dirname(pagename), neighbour["link"]))
            neighbour["title"] = TITLES.get(page.removesuffix(".html"), neighbour["title"])
    if "body" in context:
        context["body"] = in_its_language(context["body"])


def setup(app):
    """Connect the two."""
    app.connect("doctree-read", describe)
    app.connect("html-page-context", finish)

"""Texts of the course hold no folder of one machine, no reminder and no broken encoding."""

from __future__ import annotations

import re

import pytest
from test_environment import files

from tools.notebooks import ROOT

# Written in pieces, so that this file does not find itself.
FORBIDDEN = {
    "a folder of one machine": r"(?<![\w./*~])/(?:" + r"work|root|home|Users|opt)/\w",
    "a temporary folder": r"(?<![\w./])/" + r"tmp/\w",
    "a reminder": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
    "a merge mark": r"(?m)^(?:<<<<<<<|>>>>>>>)" + r" ",
    "a letter lost in decoding": "\N{REPLACEMENT CHARACTER}",
}

NOT_TEXT = (".png", ".safetensors")
PICTURE = re.compile(r'"image/png": "[^"]*"')    # base64 in a notebook: any letters may meet


def found_in(text: str) -> list[str]:
    """Return what a text holds that no text of the course may hold, with the place."""
    return [
        f"{what}: {text[max(0, match.start() - 20) : match.end() + 20]!r}"
        for what, pattern in FORBIDDEN.items()
        for match in re.finditer(pattern, text)
    ]


@pytest.mark.parametrize("name", [n for n in files() if not n.endswith(NOT_TEXT)])
def test_text(name: str) -> None:
    problems = found_in(PICTURE.sub("", (ROOT / name).read_text("utf-8")))
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize(
    "text",
    [
        "open /ho" + "me/ann/x",
        "File /ro" + "ot/x.py",
        "(/tm" + "p/x)",
        "TO" + "DO: later",
        "a \N{REPLACEMENT CHARACTER} b",
        "<<<<<<<" + " HEAD",
    ],
)
def test_a_slip_is_found(text: str) -> None:
    assert found_in(text)


@pytest.mark.parametrize("text", ["../shared/work/x", "notebooks/home/x", "https://a.org/home/x"])
def test_an_ordinary_path_passes(text: str) -> None:
    assert found_in(text) == []

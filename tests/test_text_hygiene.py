"""Texts of the course hold no folder of one machine, no reminder and no broken encoding."""

from __future__ import annotations

import ast
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


# ---- a text file is opened with its encoding: the locale of a machine may be any ----


def names_encoding(call: ast.Call, name: str) -> bool:
    """Tell whether a call that opens or writes text says in which encoding."""
    given = {keyword.arg for keyword in call.keywords}
    values = [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]
    binary = any(isinstance(v, ast.Constant) and re.fullmatch(r"[rwax]?\+?b\+?", str(v.value))
                 for v in values)
    if name in ("open", "read_text", "write_text"):
        place = {"open": 9, "read_text": 1, "write_text": 2}[name]
        return binary or "encoding" in given or None in given or len(call.args) >= place
    return not {"text", "universal_newlines"} & given or "encoding" in given


def without_encoding(source: str) -> list[str]:
    """Return the calls in a source that leave the encoding of a text to the machine."""
    found = []
    for node in (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        opens = ("open", "read_text", "write_text", "run", "Popen", "check_output")
        bare = ast.unparse(node.func) == "os.open"    # a number, through which bytes go
        if name in opens and not bare and not names_encoding(node, name):
            found.append(f"line {node.lineno}: {ast.unparse(node)[:70]}")
    return found


@pytest.mark.parametrize("name", [n for n in files() if n.endswith(".py")])
def test_encodings_are_named(name: str) -> None:
    problems = without_encoding((ROOT / name).read_text("utf-8"))
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize(
    "source",
    [
        "open('x')",
        "open('x', 'w')",
        "path.open()",
        "path.read_text()",
        "path.write_text('x')",
        "subprocess.run(['x'], text=True)",
        "subprocess.check_output(['x'], text=True)",
    ],
)
def test_an_encoding_left_out_is_found(source: str) -> None:
    assert without_encoding(source)


@pytest.mark.parametrize(
    "source",
    [
        "open('x', 'rb')",
        "open('x', encoding='utf-8')",
        "path.open('wb')",
        "os.open('x', os.O_RDONLY)",
        "path.read_text('utf-8')",
        "path.write_text('x', 'utf-8')",
        "path.write_text('x', encoding='utf-8')",
        "subprocess.run(['x'], capture_output=True)",
        "subprocess.run(['x'], encoding='utf-8')",
    ],
)
def test_an_encoding_that_is_named_passes(source: str) -> None:
    assert not without_encoding(source)

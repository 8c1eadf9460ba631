"""What a page shows of a lesson: its paragraphs by kind, its pictures, its code without padding."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from tools.notebooks import Cell
from tools.workshop.lesson import HEADING
from utils.plots import bare_arguments, is_guard

HINTS = re.compile(r"(?s)<details>.*?</details>")
BOLD = re.compile(r"\*\*([^*]+?)\*\*")
PAGE = 80    # columns
KEY_WORDS = 5    # a bold phrase of so many words is a sentence to be remembered


@dataclass(frozen=True)
class Picture:
    """A picture that a cell drew, with what it shows in words."""

    png: str    # base64
    alt: str
    is_diagram: bool    # drawn by utils.diagrams


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a piece of prose, without its heading and its hints.

    A list belongs to the paragraph above it; a table and a formula are paragraphs of their own.
    """
    text = HEADING.sub("", HINTS.sub("", text))
    found: list[str] = []
    for part in (p.strip("\n") for p in re.split(r"\n\s*\n", text) if p.strip()):
        if found and re.match(r"- |1\. ", part):
            found[-1] += f"\n\n{part}"
        else:
            found.append(part)
    return found


def asked(text: str) -> list[str]:
    """Return the paragraphs of a piece of prose that belong to its exercise, if it has one."""
    texts = paragraphs(text)
    start = next((i for i, t in enumerate(texts) if kind_of(t) == "exercise"), len(texts))
    return texts[start:]


def kind_of(paragraph: str) -> str:
    """Return predict, answer, exercise, figure, formula, table, key or prose."""
    if re.match(r"\*\*Exercise ", paragraph):
        return "exercise"
    if re.match(r"\*\*Answer\.?\*\*", paragraph):
        return "answer"
    if "**Predict" in paragraph:
        return "predict"
    if re.match(r"\*\*What the (figure|picture) shows", paragraph):
        return "figure"
    if paragraph.startswith("$$"):
        return "formula"
    if paragraph.startswith("|"):
        return "table"
    return "key" if key_sentences(paragraph) else "prose"


def key_sentences(paragraph: str) -> list[str]:
    """Return the sentences of a paragraph that stand in bold."""
    return [m[1] for m in BOLD.finditer(paragraph) if len(m[1].split()) >= KEY_WORDS]


def question(paragraph: str) -> str:
    """Return what a paragraph asks to predict, without what stands before it."""
    found = re.search(r"(?s)\*\*Predict[^*]*\*\*.*", paragraph)
    return found[0] if found else ""


def pictures(cell: Cell) -> list[Picture]:
    """Return the pictures of a code cell."""
    pngs = [o["data"]["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})]
    if not pngs:
        return []
    shown = [node for node in ast.walk(cell.tree()) if isinstance(node, ast.Call)
             and isinstance(node.func, ast.Name) and node.func.id == "show"]
    shown.sort(key=lambda node: node.lineno)
    alts = [ast.literal_eval(k.value) for call in shown for k in call.keywords
            if k.arg == "alt" and isinstance(k.value, ast.Constant)]
    drawn = [isinstance(call.args[0], ast.Call) for call in shown if call.args]
    alts += [alts[-1] if alts else ""] * (len(pngs) - len(alts))
    drawn += [bool(drawn) and drawn[-1]] * (len(pngs) - len(drawn))
    texts = ["".join(png) if isinstance(png, list) else png for png in pngs]
    return [Picture(*row) for row in zip(texts, alts, drawn, strict=False)]


def bare(source: str) -> list[str]:
    """Return the definitions of a built-here cell, without docstrings, hints and guards.

    A guard is an `if` that only raises, or a call of a function whose name begins with `require`.
    """
    lines, parts = source.splitlines(), []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign):
            parts.append("\n".join(bare_lines(node, lines)))
    return parts


def bare_lines(node: ast.stmt, lines: list[str]) -> Iterator[str]:
    """Yield the lines of a definition that a page shows."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield from lines[node.lineno - 1 : node.end_lineno]
        return
    for mark in node.decorator_list:
        yield from lines[mark.lineno - 1 : mark.end_lineno]
    indent = " " * node.col_offset
    if isinstance(node, ast.FunctionDef):
        yield from signature(f"{indent}def {node.name}(", bare_arguments(node))
    else:
        bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
        yield f"{indent}class {node.name}{bases}:"
    body = node.body[1:] if ast.get_docstring(node) else node.body
    kept = [part for part in body if not is_guard(part)]
    if not kept:
        yield f"{indent}    ..."
    for place, part in enumerate(kept):
        inner = isinstance(part, ast.FunctionDef | ast.ClassDef)
        if inner and place:
            yield ""
        if inner:
            yield from bare_lines(part, lines)
        else:
            yield from lines[part.lineno - 1 : part.end_lineno]


def signature(start: str, names: list[str]) -> list[str]:
    """Return the first lines of a function: one, or more where it is wider than a page."""
    line = f"{start}{', '.join(names)}):"
    if len(line) < PAGE:
        return [line]
    indent = " " * (len(start) - len(start.lstrip()) + 8)
    inside = textwrap.wrap(", ".join(names), PAGE - 2 - len(indent), break_long_words=False)
    return [start.rstrip(), *(indent + row for row in inside), f"{indent[:-8]}):"]


def stub_of(source: str) -> str:
    """Return the code of an exercise without the call of its check."""
    lines = [line for line in source.splitlines() if not re.match(r"(\w+\()?check_\w+\(", line)]
    return re.sub(r"\n\n\n+", "\n\n", "\n".join(lines)).strip()


def cut_lines(lines: list[str], most: int) -> list[list[str]]:
    """Cut lines into parts of at most so many, at a blank line if one stands in the second half.

    Where none does, the last part still has at least a quarter of them.
    """
    parts, own = [], []
    for n_read, line in enumerate(lines, start=1):
        own.append(line)
        if len(own) > most:
            blank = max((i for i, text in enumerate(own[:-1]) if not text.strip()), default=0)
            left = len(lines) - n_read + 1
            cut = blank if blank > most // 2 else most - max(0, most // 4 - left)
            parts.append(own[:cut])
            own = own[cut:]
            while own and not own[0].strip():
                own = own[1:]
    return [part for part in [*parts, own] if any(line.strip() for line in part)]


def wrapped(line: str, columns: int) -> list[str]:
    """Return a printed line in rows that fit a page, broken between words.

    What goes on stands below the first column of text after the name of the line.
    """
    if width(line) <= columns:
        return [line]
    name = re.match(r"\s*\S+(?: \S+)*? {2,}", line)
    indent = " " * min(width(name[0]), columns // 3) if name else "    "
    rows, own = [], ""
    for word in re.findall(r"\s*\S+", line):
        if own and width(own + word) > columns:
            rows.append(own)
            own = indent + word.strip()
        else:
            own += word
    return [*rows, own]


def width(line: str) -> int:
    """Return the columns of a line, in which a Japanese or Korean letter takes two."""
    return sum(2 if ord(letter) > 0x2E00 else 1 for letter in line)

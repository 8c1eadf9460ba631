"""Write notebooks/transformer_in_one_page.py: the whole Transformer, with no import but torch.

Each part is taken as it stands in utils, bare: without hints, docstrings and guards against wrong
sizes, and with what is the same here for every model folded away (FIXED). Around the parts stands
FRAME, which reads sentences, trains and writes.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from types import ModuleType

from tools.notebooks import FOLDER
from utils import attention, text, transformer
from utils.plots import bare_arguments, is_guard

PAGE = FOLDER / "transformer_in_one_page.py"
PARTS = {
    text: ("padding_mask",),
    attention: (
        "causal_mask", "split_heads", "merge_heads", "masked_softmax",
        "scaled_dot_product_attention", "MultiHeadAttention",
    ),
    transformer: (
        "sinusoidal_encoding", "rows_of_table", "SinusoidalPositions", "layer_norm", "LayerNorm",
        "FeedForward", "AddNorm", "EncoderLayer", "DecoderLayer", "Encoder", "Decoder",
        "TokenEmbedding", "Transformer",
    ),
}
LEFT_OUT = ("decode",)      # a method that only serves the protocol of the course
FIXED = {"pre_norm": True, "mask is None": False, "mask is not None": True}  # as it is here
WIDTH = 99

FRAME = '''\
"""A Transformer in one page: python transformer_in_one_page.py [pairs.tsv]

Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, with pre-norm; lesson 11 of Attention by
Experiment explains each line. pairs.tsv: one sentence pair a line, a tab between, spaces between
words. Written by tools/one_page.py from the parts in utils/: change them there.
"""
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

COURSE = Path(__file__).resolve().parents[1] / "data/grammar/train.tsv"

{parts}

def read_pairs(path):
    with open(path, encoding="utf-8-sig") as file:
        rows = [line.rstrip("\\n").split("\\t") for line in file]
    if Path(path) == COURSE:  # English and Japanese, sentences of at most seven words
        rows = [(row[0], row[2]) for row in rows[1:] if len(row[0].split()) < 8]
    return [(row[0].split(), row[1].split()) for row in rows]

def numbers(sentences, vocab):
    rows = [[vocab.get(word, 1) for word in ["<bos>", *words, "<eos>"]] for words in sentences]
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])  # <pad> is 0

def write(model, src, max_len=40):
    tgt = torch.tensor([[2]])  # <bos>
    while tgt.size(1) <= max_len and tgt[0, -1] != 3:  # <eos>
        word = model(src, padding_mask(src, 0), tgt)[:, -1:].argmax(dim=-1)
        tgt = torch.cat([tgt, word], dim=1)
    return tgt[0].tolist()

def main(path=COURSE, n_steps=400, rate=4e-3):
    torch.manual_seed(0)
    *pairs, last_but_two, last_but_one, last = read_pairs(path)  # three are kept for the end
    words = [["<pad>", "<unk>", "<bos>", "<eos>", *sorted({w for p in pairs for w in p[side]})]
             for side in (0, 1)]
    vocabs = [{word: i for i, word in enumerate(side)} for side in words]
    model = Transformer(len(words[0]), len(words[1]))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
    for step in range(1, n_steps + 1):
        batch = [pairs[i] for i in torch.randint(len(pairs), (32,))]
        src, tgt = (numbers([pair[side] for pair in batch], vocabs[side]) for side in (0, 1))
        logits = model(src, padding_mask(src, 0), tgt[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tgt[:, 1:].flatten(), ignore_index=0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.2f}")
    for source, truth in (last_but_two, last_but_one, last):
        said = [words[1][i] for i in write(model, numbers([source], vocabs[0])) if i > 3]
        print(" ".join(source), "|", " ".join(said), "✓" if said == truth else "✗")

if __name__ == "__main__":
    torch.set_num_threads(1)    # more wait for one another where others compute
    sys.stdout.reconfigure(errors="replace")    # a terminal may lack some letters
    main(*sys.argv[1:])
'''


def inside(source: str, node: ast.AST) -> str:
    """Return the text of a node, on one line where it fits."""
    return ast.get_source_segment(source, node)


def is_only_guard(node: ast.stmt) -> bool:
    """Whether a statement only refuses bad input, or asks another function to."""
    only = isinstance(node, ast.If) and not node.orelse
    return is_guard(node) or (only and all(map(is_only_guard, node.body)))


def decided(node: ast.expr) -> bool | None:
    """Return what a condition is here, None where that is open."""
    return FIXED.get(ast.unparse(node).removeprefix("self."))


def chosen(lines: str, node: ast.stmt) -> str:
    """Return the text of a statement with its decided choices `a if fixed else b` made."""
    whole = inside(lines, node)
    for part in ast.walk(node):
        if isinstance(part, ast.IfExp) and decided(part.test) is not None:
            kept = part.body if decided(part.test) else part.orelse
            whole = whole.replace(inside(lines, part), inside(lines, kept))
    for name in FIXED:
        whole = re.sub(rf",\s*{name}(?:={name})?(?=[,)\s]|$)", "", whole)
    return whole


def comment_after(lines: str, node: ast.stmt) -> str:
    """Return the comment that stands behind a statement on its last line."""
    rest = lines.splitlines()[node.end_lineno - 1].encode()[node.end_col_offset :].decode()
    return rest.strip()


def joined(whole: str, indent: int, comment: str) -> list[str]:
    """Return a statement on one line if it fits, else as it stands."""
    single = re.sub(r"\s*\n\s*", " ", whole).replace("( ", "(").replace("[ ", "[")
    single = re.sub(r",? ([)\]])", r"\1", single)
    if "#" not in whole and indent + len(single) <= WIDTH:
        whole = single
    if comment and "\n" not in whole and indent + len(whole) + 2 + len(comment) <= WIDTH:
        whole += "  " + comment
    first, *rest = whole.split("\n")
    shift = min((len(x) - len(x.lstrip()) for x in rest), default=0)
    return [" " * indent + first] + [" " * (indent + 4) + x[shift:] for x in rest]


def body_of(lines: str, body: list[ast.stmt], indent: int) -> list[str]:
    """Return the bare lines of a body."""
    kept = []
    for node in body:
        is_words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        targets = [ast.unparse(t) for t in getattr(node, "targets", [])]
        if is_words or is_only_guard(node) or any(t == f"self.{n}" for t in targets for n in FIXED):
            continue
        if isinstance(node, ast.FunctionDef):
            if node.name not in LEFT_OUT:
                kept += function(lines, node, indent)
        elif isinstance(node, ast.If) and decided(node.test) is not None:
            kept += body_of(lines, node.body if decided(node.test) else node.orelse, indent)
            if isinstance(node.body[-1], ast.Return) and decided(node.test):
                break
        elif isinstance(node, (ast.If, ast.For)):
            head = inside(lines, node).split("\n")[0]
            kept += [" " * indent + head, *body_of(lines, node.body, indent + 4)]
        else:
            kept += joined(chosen(lines, node), indent, comment_after(lines, node))
    return kept


def function(lines: str, node: ast.FunctionDef, indent: int) -> list[str]:
    """Return a function without hints and docstring."""
    arguments = [a for a in bare_arguments(node) if a.split("=")[0] not in FIXED]
    head = f"def {node.name}({', '.join(arguments)}):"
    wrapped = textwrap.wrap(head, WIDTH - indent, subsequent_indent=" " * 8)
    return [" " * indent + line for line in wrapped] + body_of(lines, node.body, indent + 4)


def bare(module: ModuleType, name: str) -> str:
    """Return a part of a module of utils, bare."""
    lines = inspect.getsource(getattr(module, name))
    node = ast.parse(lines).body[0]
    if isinstance(node, ast.FunctionDef):
        return "\n".join(function(lines, node, 0))
    words = ast.get_docstring(node).split("\n")[0]
    bases = ", ".join(map(ast.unparse, node.bases))
    head = f"class {name}({bases}):"
    head += f"  # {words}" if len(head) + len(words) + 4 <= WIDTH else ""
    return "\n".join([head, *body_of(lines, node.body, 4)])


def page() -> str:
    """Return the whole file."""
    parts = [bare(module, name) for module, names in PARTS.items() for name in names]
    return FRAME.replace("{parts}", "\n\n".join(parts))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.name}: {len(page().splitlines())} lines")

"""transformer_in_one_page.py is what the parts of the course are today, and computes the same."""

import ast
import os
import runpy
import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close

from tools.one_page import PAGE, page
from utils.text import padding_mask
from utils.transformer import Transformer


@pytest.fixture(scope="module")
def parts():
    return runpy.run_path(str(PAGE))


def test_it_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run  make one-page"


def test_it_imports_torch_and_the_standard_library_only():
    nodes = [n for n in ast.walk(ast.parse(page())) if isinstance(n, ast.Import | ast.ImportFrom)]
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"torch"}


def test_nothing_of_the_course_is_left_in_its_lines():
    assert not {"pre_norm", "require_mask", "raise", "Tensor", "state"} & set(
        page().replace("(", " ").replace(")", " ").replace(",", " ").split())
    assert len(page().splitlines()) <= 240 and max(map(len, page().splitlines())) <= 99


@pytest.mark.parametrize("sizes", [dict(), dict(d_model=12, n_heads=3, n_layers=3, d_ff=20)])
def test_it_computes_the_same_with_the_same_weights(parts, sizes):
    torch.manual_seed(0)
    ours, theirs = Transformer(11, 13, **sizes), parts["Transformer"](11, 13, **sizes)
    theirs.load_state_dict(ours.state_dict())
    src, tgt = torch.randint(1, 11, (2, 7)), torch.randint(1, 13, (2, 5))
    src[1, 4:] = 0
    given = src, padding_mask(src, 0), tgt
    assert_close(theirs(*given), ours(*given))
    gradients = [torch.autograd.grad(model(*given).square().sum(), list(model.parameters()))
                 for model in (ours, theirs)]
    assert_close(*gradients)


def test_it_trains_and_writes_from_a_file_of_pairs(parts, tmp_path, capsys):
    lines = [f"{a} sees {b}\t{b} を {a} が 見る" for a in "abc" for b in "xyz"] * 3
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    parts["main"](str(path), n_steps=100)
    *losses, one, two, three = capsys.readouterr().out.splitlines()
    assert losses and losses[-1].startswith("step 100: loss")
    assert one.startswith("c sees x | ") and all(line[-1] in "✓✗" for line in (one, two, three))


def test_it_knows_the_columns_of_the_course(parts):
    pairs = parts["read_pairs"](parts["COURSE"])
    assert len(pairs) > 2000 and max(len(source) for source, _ in pairs) == 7
    assert (["this", "is", "a", "pen"], ["これ", "は", "ペン", "です"]) in pairs


def test_a_terminal_that_lacks_letters_does_not_stop_it(tmp_path):
    path = tmp_path / "page.py"
    path.write_text(page().replace("main(*sys.argv[1:])", "print('猫 ✓')"), encoding="utf-8")
    own = {"PYTHONIOENCODING": "ascii"}    # in the locale C torch fails in a folder such as 日本
    done = subprocess.run([sys.executable, path], env=os.environ | own, capture_output=True)
    assert (done.returncode, done.stdout.split()) == (0, [b"?", b"?"]), done.stderr

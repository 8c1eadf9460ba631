"""The comparison of notebook outputs: noise passes, everything else is a difference."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import made_up
import nbformat
import pytest

import conftest
from conftest import COUNTED, count_cells, differences, same_but_noise
from tools.notebooks import warnings_in

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    "old, new",
    [
        ("loss 0.7410", "loss 0.7411"),
        ("loss 1.2345678", "loss 1.2345999"),
        ("12345.6789", "12345.9"),
        ("1.25e-3", "1.26e-3"),
        ("1.0000001192092896", "1.0"),
        ("tensor([ 0.0000, 1.0])", "tensor([-0.0000, 1.0])"),
        ("a   b\n", "a b"),
        ("loss nan", "loss nan"),
        ("1.5x faster", "1.6x faster"),
    ],
)
def test_noise_is_no_difference(old: str, new: str) -> None:
    assert same_but_noise(old, new)
    assert same_but_noise(new, old)


@pytest.mark.parametrize(
    "old, new",
    [
        ("loss 0.7410", "loss 0.7412"),
        ("loss 0.74", "loss 0.7"),
        ("step 10", "step 11"),
        ("step 10.", "step 11."),
        ("shape (2, 3)", "shape (2, 4)"),
        ("loss nan", "loss 0.5"),
        ("loss inf", "loss -inf"),
        ("1.25e-3", "1.25e-4"),
        ("torch 2.13.0", "torch 2.14.0"),
        ("x 0.5 y", "x 0.5 z"),
        ("0.5 0.5", "0.5"),
        ("✓ holds", "✗ holds"),
        ("87%", "88%"),
    ],
)
def test_anything_else_is_a_difference(old: str, new: str) -> None:
    assert not same_but_noise(old, new)
    assert not same_but_noise(new, old)


BAR = made_up.shown(**{
    "application__vnd.jupyter.widget-view+json": {"model_id": "x"},
    "text__plain": "  0%|",
})


@pytest.mark.parametrize(
    "old, new",
    [
        ([], [made_up.printed("a warning of the server", "stderr")]),
        ([], [BAR]),
        ([made_up.picture()], [made_up.picture()]),
        (
            [made_up.shown(text__plain="a 1", text__html="<b>1</b>")],
            [made_up.shown(text__plain="a 1", text__html="<i>1</i>")],
        ),
        ([made_up.raised("E", "no")], [made_up.raised("E", "no")]),
    ],
)
def test_what_is_not_compared(old: list[Any], new: list[Any]) -> None:
    assert differences(old, new) == []


@pytest.mark.parametrize(
    "old, new",
    [
        ([made_up.printed("one")], [made_up.printed("two")]),
        ([made_up.printed("one")], []),
        ([], [made_up.printed("one")]),
        ([made_up.picture()], []),
        ([made_up.picture()], [made_up.picture(), made_up.picture()]),
        ([made_up.raised("E", "no")], [made_up.raised("E", "yes")]),
        ([made_up.shown(text__plain="one")], [made_up.printed("one")]),
    ],
)
def test_what_is_compared(old: list[Any], new: list[Any]) -> None:
    assert differences(old, new)


def test_a_warning_is_found_on_stderr_only() -> None:
    line = "x.py:1: UserWarning: no glyph"
    assert warnings_in([made_up.printed(line, "stderr")]) == [line]
    assert warnings_in([made_up.printed(line), made_up.printed("loading", "stderr")]) == []


def report(what: str | None, when: str = "call") -> SimpleNamespace:
    """Return what the count needs of a test's report."""
    return SimpleNamespace(when=when, user_properties=[(COUNTED, what)] if what else [])


def test_the_count() -> None:
    reports = [
        report("compared"),
        report("compared"),
        report("compared", when="teardown"),
        report("skipped (no corpus)"),
        report(None),
        SimpleNamespace(message="a warning, which is no test"),
    ]
    assert count_cells(reports) == "notebook cells: 2 compared, 1 skipped (no corpus)"
    assert count_cells([report(None)]) is None


def test_a_run_compares_counts_and_skips(pytester: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One real run in a kernel: each kind of cell ends as it should."""
    monkeypatch.setattr(
        conftest, "missing_corpus", lambda corpora: "No corpus here." if corpora else None
    )
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    made_up.write(
        pytester.path / "01_tiny.ipynb",
        made_up.code("print(0.5)", made_up.printed("0.6")),
        made_up.code("print('a')", made_up.printed("b")),
        made_up.code("print('a')", made_up.printed("b"), tags=("nbval-ignore-output",)),
        made_up.code("there = 1 / 0", tags=("corpus-multi30k",)),
        made_up.code("import warnings; warnings.warn('careful')"),
    )
    result = pytester.inline_run(
        "--nbval", "--nbval-current-env", "-p", "no:xdist", "-p", "no:cacheprovider"
    )
    passed, skipped, failed = result.listoutcomes()
    assert [r.nodeid.split("::")[1] for r in passed] == ["Cell 0", "Cell 2"]
    assert [r.nodeid.split("::")[1] for r in skipped] == ["Cell 3"]
    assert [r.nodeid.split("::")[1] for r in failed] == ["Cell 1", "Cell 4"]
    counts = count_cells([*passed, *skipped, *failed])
    assert counts == (
        "notebook cells: 3 compared, 1 run without comparison, 1 skipped (No corpus here.)"
    )


def test_made_up_notebooks_are_valid(tmp_path: Any) -> None:
    path = made_up.write(tmp_path / "01_tiny.ipynb", made_up.code("1", made_up.picture()))
    nbformat.validate(nbformat.read(path, 4))

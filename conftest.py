"""What pytest and nbval need to know about this course.

nbval compares the outputs of a notebook letter by letter. Here words and integers must be equal,
while a float may differ by one unit in its last printed digit or by 1e-4 of its value: two
processors were measured to differ by 3e-6 after 400 training steps. Pictures, HTML, the views of
widgets and stderr are not compared, but a cell that warns fails.

A cell with the tag `corpus-NAME` is skipped where that real corpus cannot be had. The last line
of a run counts the cells that were compared, run without comparison, and skipped.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from tempfile import TemporaryDirectory
from typing import Any

# Before torch is imported: its idle threads keep a core busy, and the tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings
from nbval.plugin import IPyNbCell

from tools.notebooks import WIDGET, corpora_of, missing_corpus, warnings_in

# The same examples in each run, whatever the speed of the machine.
settings.register_profile("course", derandomize=True, deadline=None, database=None)
settings.load_profile("course")

@pytest.fixture
def course_page() -> Iterator[None]:
    """Draw in the course style, each test alone: warnings are errors, numbers are the same.

    What a test has drawn is closed, and the settings of matplotlib are as before.
    """
    import matplotlib
    import matplotlib.pyplot as plt
    import torch

    from utils.diagrams import primitives
    from utils.plots import use_course_style

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        plt.switch_backend("agg")
        use_course_style()
        primitives.letters.cache_clear()
        torch.manual_seed(0)
        yield
        plt.close("all")


FLOAT = re.compile(
    r"(?<![\w.])[-+]?(?:\d+\.\d+|\.\d+|\d+\.?(?=[eE][-+]?\d))(?:[eE][-+]?\d+)?(?!\d|\.\d)"
)
RELATIVE = Decimal("1e-4")
NOT_COMPARED = {
    "application/javascript",
    "image/jpeg",
    "image/png",
    "image/svg+xml",
    "text/html",
    WIDGET,
}
COUNTED = "notebook cell"    # the key under which a cell reports what happened to it

missing_corpus = functools.cache(missing_corpus)

# nbval reads what a kernel says only when a cell has ended, and the queue between them holds a
# thousand messages: a progress bar that moves ten times a second would fill it on a slow machine.
os.environ["TQDM_MININTERVAL"] = "10"


def words_of(text: str) -> str:
    """Return a text with a sign for each float and one blank for each run of blanks."""
    return re.sub(r"\s+", " ", FLOAT.sub("~", text)).replace("[ ", "[").strip()


def close(old: str, new: str) -> bool:
    """Tell whether two printed floats agree to one unit in the last digit, or to 1e-4."""
    a, b = Decimal(old), Decimal(new)
    unit = min(Decimal((0, (1,), int(x.as_tuple().exponent))) for x in (a, b))
    return abs(a - b) <= max(unit, RELATIVE * abs(a))


def same_but_noise(old: str, new: str) -> bool:
    """Tell whether two outputs differ only in the noise of floating point.

    Words and integers must be equal, nan equals only nan; the blanks between them may differ.
    """
    pairs = zip(FLOAT.findall(old), FLOAT.findall(new), strict=False)
    return words_of(old) == words_of(new) and all(close(a, b) for a, b in pairs)


def compared_texts(outputs: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the texts of a cell's outputs that count, by kind (stdout, text/plain, error...).

    An output that is only a widget, such as a progress bar, does not count at all.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    for output in outputs:
        data = output.get("data", {})
        if output["output_type"] == "stream" and output["name"] != "stderr":
            texts[output["name"]].append(output["text"])
        elif output["output_type"] == "error":
            texts["error"].append(f"{output['ename']}: {output['evalue']}")
        elif WIDGET not in data or "image/png" in data:
            for kind in sorted(data.keys() - NOT_COMPARED):
                texts[kind].append(str(data[kind]))
    return texts


def differences(
    reference: Iterable[dict[str, Any]], outputs: Iterable[dict[str, Any]]
) -> list[str]:
    """Return a diff of the committed and the new outputs of a cell, empty when they agree."""
    old, new = compared_texts(reference), compared_texts(outputs)
    lines: list[str] = []
    for kind in sorted(old.keys() | new.keys()):
        before, after = old[kind], new[kind]
        same_number = len(before) == len(after)
        if not (same_number and all(map(same_but_noise, before, after))):
            lines += difflib.unified_diff(
                "\n".join(before).splitlines(),
                "\n".join(after).splitlines(),
                f"{kind}, committed",
                f"{kind}, now",
                lineterm="",
            )
    return lines


def compare_outputs(
    self: IPyNbCell, test: list[dict[str, Any]], ref: list[dict[str, Any]], skip_compare: Any = None
) -> bool:
    """Compare what the cell says now (test) with what the file says (ref)."""
    self.comparison_traceback = differences(ref, test)
    return not self.comparison_traceback


def runtest(self: IPyNbCell) -> None:
    """Run the cell and compare it, unless it needs a corpus that cannot be had."""
    reason = missing_corpus(corpora_of(self.cell.metadata))
    if reason:
        self.user_properties.append((COUNTED, f"skipped ({reason})"))
        pytest.skip(reason)
    what = "compared" if self.options["check"] else "run without comparison"
    self.user_properties.append((COUNTED, what))
    runtest_of_nbval(self)
    if warned := warnings_in(self.test_outputs):
        self.raise_cell_error("The cell warns", "\n".join(warned))


# nbval has no option for either, so the two methods are put into its class.
runtest_of_nbval = IPyNbCell.runtest
IPyNbCell.compare_outputs = compare_outputs
IPyNbCell.runtest = runtest


def count_cells(reports: Iterable[Any]) -> str | None:
    """Return the last line of a run, from the reports of its tests; None without notebooks."""
    properties = [dict(r.user_properties) for r in reports if getattr(r, "when", "") == "call"]
    counts = Counter(p[COUNTED] for p in properties if COUNTED in p)
    if not counts:
        return None
    return "notebook cells: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))


def pytest_configure(config: pytest.Config) -> None:
    """Give the kernels an IPython without the settings and startup files of whoever runs this."""
    folder = TemporaryDirectory(prefix="ipython-")
    os.environ["IPYTHONDIR"] = folder.name
    config.add_cleanup(folder.cleanup)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many notebook cells were compared, and how many were skipped and why."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    if line := count_cells(reports):
        terminalreporter.write_line(line)

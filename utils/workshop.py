"""What the students' edition of a lesson needs: `solution` for a part that no module keeps, and
`require` for a graded cell.
"""

import ast
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def solution(lesson: str, name: str) -> str:
    """The source of a function that a solution of a lesson defines and no module of utils keeps.

    lesson: its two digits. In the students' edition the solution is gone, and a later cell that
    uses its function gets it by `exec(solution("01", "mean_loss"))`.
    Raises LookupError where no solution of that lesson defines the name.
    """
    for path in sorted((ROOT / "notebooks").glob(f"{lesson}_*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if "solution" not in cell["metadata"].get("tags", ()):
                continue
            source = "".join(cell["source"])
            for node in ast.parse(source).body:
                if getattr(node, "name", None) == name:
                    marks = [f"@{ast.unparse(mark)}\n" for mark in node.decorator_list]
                    return "".join(marks) + ast.get_source_segment(source, node)
    raise LookupError(f"no solution of lesson {lesson} defines {name}")


def require(check: str, answer) -> None:
    """Raise an AssertionError with the check's message unless the check says ✓.

    check: its name in utils.checks. A check itself never raises; a graded cell must.
    """
    from utils import checks

    verdict = getattr(checks, check)(answer)
    if verdict.passed is not True:
        raise AssertionError(repr(verdict))

"""utils/checks/kinds.py and its neighbours: each kind of wrong answer, each style of right one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from judging import leaves_all_as_it_was, mutant
from torch import Tensor, nn
from traitlets.config import Config

from utils import checks
from utils.checks.core import Mistake, call, exercise, show_unseen, unseen
from utils.checks.kinds import (
    agree,
    as_dtype,
    built,
    case,
    forward,
    judge_birth,
    judge_dropped,
    keeps_nothing,
    want_trainable,
)
from utils.checks.results import difference, two_numbers
from utils.checks.surroundings import left_behind, seed_all, settled, state_of, surroundings
from utils.training import warmup_rate


def complaint(answer: Callable, truth: Callable, *given: Any, **options: Any) -> str:
    """What agree says of an answer, '' if it agrees."""
    try:
        agree(answer, truth, *given, **options)
    except Mistake as mistake:
        return str(mistake)
    return ""


def scores(q: Tensor, k: Tensor) -> Tensor:
    """(sentence, query, feature), (sentence, key, feature) to (sentence, query, key)."""
    return q @ k.mT / q.size(-1) ** 0.5


AXES = {"the result": ("sentence", "query", "key"), "q": ("sentence", "query", ""),
        "k": ("sentence", "key", "")}
CASES = [case("the first sizes", torch.linspace(-1, 2, 80).view(2, 5, 8),
              torch.linspace(1, -1, 112).view(2, 7, 8).sin()),
         case("other sizes", torch.linspace(-1, 2, 12).view(1, 4, 3),
              torch.linspace(1, -1, 6).view(1, 2, 3))]
SLIPS = [(lambda q, k: q @ k.mT, "not divided"), (lambda q, k: q @ k.mT / q.size(-1), "by d_k")]


def judged(answer: Callable, **options: Any) -> str:
    """What is said of an answer to the exercise of this file."""
    return complaint(answer, scores, CASES, SLIPS, axes=AXES, **options)


# ---- the kinds of wrong answers ----

KINDS = {
    "a known mistake": (mutant(scores, " / q.size(-1) ** 0.5", ""), "not divided"),
    "detached argument": (mutant(scores, "k.mT", "k.mT.detach()"), "no gradient reaches `k`:"),
    "detached result": (lambda q, k: scores(q, k).data, "reaches any of the arguments"),
    "the check's number": (mutant(scores, "q.size(-1)", "8"), "right for the first sizes, but for "
                           "other sizes"),
    "squeezed": (lambda q, k: scores(q, k).squeeze(0), "want shape (sentence, query, key) = (1,"),
    "sentences mix": (lambda q, k: scores(q, k) + 0.1 * scores(q, k).flip(0),
                      "a change in sentence 1 of `q` moves sentence 0, and must not"),
    "an argument without a part": (lambda q, k: q.sum(-1, keepdim=True).expand(-1, -1, k.size(1)),
                                   "`k` has no part in the result"),
    "in place": (lambda q, k: scores(q.mul_(1), k.add_(1)), "in place"),
    "float32 inside": (lambda q, k: scores(q, k).float(), "want torch.float64, got torch.float32"),
    "another kind of number": (lambda q, k: scores(q, k) > 0, "got torch.bool"),
    "seeds": (lambda q, k: (torch.manual_seed(0), scores(q, k))[1],
              "sets the random state itself (manual_seed)"),
    "numpy seeds": (lambda q, k: (np.random.seed(0), scores(q, k))[1],  # noqa: NPY002
                    "sets the random state itself (np.random.seed)"),
    "Python seeds": (lambda q, k: (random.seed(0), scores(q, k))[1],
                     "sets the random state itself (random.seed)"),
    "noise": (lambda q, k: scores(q, k) + torch.rand(()), "random numbers have a part"),
    "a sum over all calls": (lambda q, k, kept=[]: (kept.append(scores(q, k)), sum(
        x.mean() for x in kept) + scores(q, k))[1], "kept from the call before"),
    "half a gradient": (lambda q, k: scores(q, (k + k.detach()) / 2), "the gradient at `k` is not"),
    "nan": (lambda q, k: scores(q, k) * math.nan, "is nan, want"),
    "gradients off": (lambda q, k: (torch.set_grad_enabled(False), scores(q, k))[1],
                      "leaves the gradient mode"),
    "default dtype": (lambda q, k: (torch.set_default_dtype(torch.float64), scores(q, k))[1],
                      "leaves torch's default dtype"),
}


@pytest.mark.parametrize("answer, words", KINDS.values(), ids=KINDS)
def test_each_kind_of_mistake_is_named(answer: Callable, words: str) -> None:
    with settled():
        assert words in judged(answer)


STYLES = {
    "the truth": scores,
    "einsum": lambda q, k: torch.einsum("bqd,bkd->bqk", q, k) * q.shape[2] ** -0.5,
    "by names": lambda *, q, k: scores(q, k),
}


@pytest.mark.parametrize("answer", STYLES.values(), ids=STYLES)
def test_other_styles_are_right(answer: Callable) -> None:
    assert judged(answer) == ""


def test_a_mistake_is_a_fact_only_if_it_alone_fits_everywhere() -> None:
    answer, one = SLIPS[0][0], CASES[:1]
    assert judged(answer) == "not divided"
    twice = [*SLIPS, (lambda q, k: q @ k.mT + 0, "the other words")]
    assert complaint(answer, scores, one, twice) == (
        "the numbers are those of one of these: not divided; or: the other words")
    odd = complaint(lambda q, k: 3 * scores(q, k), scores, one, SLIPS)
    assert odd.startswith("result[0, 0, 0]") and "not divided" not in odd


def test_a_mistake_that_is_right_in_these_cases_is_not_named() -> None:
    def halved(q, k):
        return scores(q, k) / 2

    right_here = [(lambda q, k: scores(q, k) if q.numel() else q, "never")]
    assert "never" not in complaint(halved, scores, CASES, right_here)


def test_what_was_right_before_and_what_is_another_is_said() -> None:
    def answer(x, flag):
        return x if not flag else 2 * x

    x = torch.arange(1.0, 4.0)
    cases = [case("no flag", x, False), case("a flag", x, True)]
    said = complaint(answer, lambda x, flag: x, cases)
    assert said.startswith("right for no flag, but for a flag (only `flag` is another): result[0]")
    assert "is 2, want 1; 3 of 3 entries differ. print(result)" in said


def test_two_results_are_compared_one_by_one() -> None:
    def truth(x):
        return x, 2 * x

    one = [case("x", torch.randn(3))]
    axes = {"first": ("word",), "second": ("word",)}
    assert complaint(lambda x: (x, x), truth, one, axes=axes).startswith("second[0] (word 0)")
    assert complaint(lambda x: x, truth, one, axes=axes) == (
        "want 2 results, `return first, second`, got Tensor")
    cut = complaint(lambda x: (x, 2 * x.detach()), truth, one, axes=axes)
    assert "no gradient reaches `x` from second" in cut
    assert complaint(lambda x: [x, 2 * x], truth, one, axes=axes) == ""


# ---- results side by side ----

ALIKE = [
    (np.int64(3), 3), (torch.tensor(3), 3), (3.0, 3), (np.float32(2.5), 2.5), (np.True_, True),
    (torch.tensor([2.5]), 2.5), (torch.tensor(True), True), ((1, 2), [1, 2]),
    (np.array([1, 2]), [1, 2]), (torch.tensor([1, 2], dtype=torch.int32), [1, 2]),
    (torch.tensor([1, 2], dtype=torch.int32), torch.tensor([1, 2])), (2.5, torch.tensor(2.5)),
    (torch.tensor([math.nan, -math.inf]), torch.tensor([math.nan, -math.inf])),
    ({"a": (1,)}, {"a": [1]}), ("word", "word"), (torch.ones(2).double(), torch.ones(2)),
    (1e-9 * torch.ones(2).double(), 1e-9 * torch.ones(2)), (torch.zeros(0), torch.zeros(0)),
]
UNLIKE = [
    (4, 3, "is 4, want 3"), (True, 1, "want it as one number, got bool"), (1, True, "True or"),
    (3.00001, 3, "is 3.00001, want 3"), ("3", 3, "got str"), ([1], [1, 2], "want 2 entries"),
    ([1, 3], [1, 2], "it[1] is 3, want 2"), ({"b": 1}, {"a": 1}, "dict with the keys"),
    (torch.ones(2).long(), torch.ones(2), "want torch.float32 of it, got torch.int64"),
    (torch.ones(2), torch.ones(2).bool(), "want torch.bool"), (math.nan, 1.0, "nan, want 1"),
    (torch.ones(2), torch.ones(2).long(), "want torch.int64"),
    (torch.tensor([math.nan]), torch.tensor([1.0]), "is nan, want 1 (nan: some step"),
    (torch.tensor([1.0]), torch.tensor([math.nan]), "is 1, want nan"),
    (torch.tensor([1e30]), torch.tensor([math.inf]), "want inf"),
    (torch.tensor([math.inf]), torch.tensor([1.0]), "some step divides by 0"),
    (torch.tensor([1.1e-9]), torch.tensor([1e-9]), "is 1.1e-09, want 1e-09"),
    (torch.tensor([[0.0, 1.00002]]), torch.tensor([[0.0, 1.0]]), "it[0, 1] (row 0, column 1)"),
    (torch.ones(2), torch.ones(2).double(), "want torch.float64"),
    (torch.ones(2), torch.ones(2).half(), "want torch.float16 of it, got torch.float32"),
    (torch.ones(2).half(), torch.ones(2).bfloat16(), "want torch.bfloat16 of it"),
    (None, [1], "got NoneType"),
    (7, torch.ones(2), "want it as a torch.Tensor (column), got int"), ("a", "b", "'a', want 'b'"),
]


@pytest.mark.parametrize("got, want", ALIKE, ids=lambda value: type(value).__name__)
def test_results_that_are_alike(got: Any, want: Any) -> None:
    assert difference(got, want, ["it"], {"it": ("row", "column")}) == ""


@pytest.mark.parametrize("got, want, words", UNLIKE, ids=lambda value: type(value).__name__)
def test_results_that_differ(got: Any, want: Any, words: str) -> None:
    assert words in difference(got, want, ["it"], {"it": ("row", "column")})


@pytest.mark.parametrize("got, want", [(1.63, 1.6300001), (0.1 + 0.2, 0.3), (1e9, 1e9 + 1)])
def test_two_numbers_never_print_alike(got: float, want: float) -> None:
    left, right = two_numbers(got, want).split(", want ")
    assert left != right


# ---- modules and dropout ----


class Net(nn.Module):
    """A map and dropout."""

    def __init__(self):
        super().__init__()
        self.map, self.dropout = nn.Linear(3, 3), nn.Dropout(0.0)

    def forward(self, x):
        return self.dropout(self.map(x))


def net_said(change: Callable) -> str:
    """What is said of a module whose forward does something first."""

    class Changed(Net):
        def forward(self, x):
            change(self)
            return super().forward(x)

    net = Changed()
    return complaint(forward, lambda net, x: net.map(x), [case("x", net, torch.randn(2, 3))])


STATE = {
    "rate": (lambda net: setattr(net.dropout, "p", 0.5), "dropout rate of `dropout`"),
    "mode": (lambda net: net.eval(), "mode (train or eval) of the module"),
    "hook": (lambda net: net.map.register_forward_hook(lambda *given: None), "hooks of `map`"),
    "weights": (lambda net: net.map.bias.data.add_(1), "weights of `map.bias`"),
}


@pytest.mark.parametrize("change, words", STATE.values(), ids=STATE)
def test_state_left_behind_is_named(change: Callable, words: str) -> None:
    assert f"your function leaves the {words} changed" in net_said(change)
    assert net_said(lambda net: None) == ""


def test_a_model_that_an_answer_leaves_in_eval_mode_is_put_back() -> None:
    model = Net()
    assert call(lambda model: model.eval() and 1, model) == 1
    assert model.training and left_behind(model, state_of(model)) == ""
    with pytest.raises(Mistake, match="dropout rate of `dropout`"):
        call(lambda model: setattr(model.dropout, "p", 0.3) or 1, model)


def test_a_result_that_never_moves_an_argument_needs_no_gradient_at_it() -> None:
    def look(x: Tensor) -> tuple[Tensor, Tensor]:
        return x @ x.mT, (x @ x.mT).softmax(-1)    # of one word: 1, whatever x is

    def constant(x: Tensor) -> tuple[Tensor, Tensor]:
        return x @ x.mT, torch.ones(1, 1) * (0 * x).sum() + torch.ones(1, 1)

    one_word = [case("one word", torch.tensor([[0.5, -1.5]]))]
    assert complaint(look, look, one_word, axes={"a": (), "b": ()}, float64=False) == ""
    assert complaint(constant, look, one_word, axes={"a": (), "b": ()}, float64=False) == ""
    cut = complaint(lambda x: (look(x)[0].detach(), look(x)[1]), look, one_word,
                    axes={"a": (), "b": ()}, float64=False)
    assert "no gradient reaches `x` from a" in cut


class Kept(nn.Module):
    """Keeps what it gave, once or for each shape."""

    def __init__(self, by_shape: bool):
        super().__init__()
        self.map, self.kept, self.by_shape = nn.Linear(3, 3), {}, by_shape

    def forward(self, x: Tensor) -> Tensor:
        return self.kept.setdefault(x.shape if self.by_shape else "all", self.map(x))


@pytest.mark.parametrize("by_shape", [True, False])
def test_what_a_module_keeps_between_calls_is_named(by_shape: bool) -> None:
    net = Kept(by_shape)
    cases = [case(f"{n} rows", net, torch.randn(n, 3)) for n in (2, 4)]

    def right(net: Kept, x: Tensor) -> Tensor:
        return net.map(x)

    keeps_nothing(right, right, cases, ["y"])
    with pytest.raises(Mistake, match=r"kept from an earlier call.* For 2 rows: y\[0, 0\] is"):
        keeps_nothing(forward, right, cases, ["y"])


def test_layers_in_a_plain_list_are_named() -> None:
    def net(has_names: bool) -> nn.Module:
        layer, result = nn.Linear(2, 2), nn.Sequential()
        result.steps = [layer]
        if has_names:
            result.first = layer
        return result

    assert built(net, True).first is not None
    with pytest.raises(Mistake, match=r"self.steps is a plain list of layers"):
        built(net, False)


def test_gradients_at_the_weights_of_a_module() -> None:
    class Cut(Net):
        def forward(self, x):
            return nn.functional.linear(x, self.map.weight.detach(), self.map.bias)

    said = complaint(forward, lambda net, x: net.map(x), [case("x", Cut(), torch.randn(2, 3))])
    assert "no gradient reaches `map.weight`:" in said
    net = Net()
    want_trainable(net)
    net.map.bias.requires_grad_(False)
    with pytest.raises(Mistake, match=r"`map.bias` is frozen"):
        want_trainable(net)


def born(before: Callable) -> Callable:
    """Something that makes a Net and runs `before` first."""
    return lambda: (before(), Net())[1]


@pytest.mark.parametrize("make, words", [
    (born(lambda: torch.manual_seed(3)), "begin with the same weights"),
    (born(lambda: np.random.seed(3)), r"state itself \(np.random.seed\)"),    # noqa: NPY002
    (born(lambda: random.seed(3)), r"state itself \(random.seed\)"),
    (lambda: (torch.manual_seed(3), nn.Identity())[1], r"state itself \(manual_seed\)"),
])
def test_a_module_that_seeds_itself_is_named(make: Callable, words: str) -> None:
    with settled(), pytest.raises(Mistake, match=words):
        judge_birth(make)


def test_modules_that_draw_or_draw_nothing_are_born_rightly() -> None:
    with settled():
        judge_birth(Net)
        judge_birth(nn.Identity)


ONES = torch.ones(4, 20, 30)
DRAWS = {
    "one mask for all sentences": (lambda: (torch.rand(20, 30) >= 0.2) / 0.8 * ONES, "all sent"),
    "one mask for all words": (lambda: (torch.rand(4, 1, 30) >= 0.2) / 0.8 * ONES, "all words of"),
    "whole words": (lambda: (torch.rand(4, 20, 1) >= 0.2) / 0.8 * ONES, "whole words"),
    "no scale": (lambda: (torch.rand(4, 20, 30) >= 0.2) * ONES, "multiplied by 1 in training"),
    "1 - p": (lambda: nn.functional.dropout(ONES, 0.8), "is the share that goes"),
    "another rate": (lambda: nn.functional.dropout(ONES, 0.5), "want 0.2"),
    "nothing": (lambda: ONES, "nothing is dropped"),
    "everything": (lambda: 0 * ONES, "all of the vector"),
    "the same each time": (lambda: (torch.linspace(0, 999, 2400).sin() > -0.8).view(ONES.shape) / 1,
                           "in each call"),
}


@pytest.mark.parametrize("draw, words", DRAWS.values(), ids=DRAWS)
def test_what_dropout_does_wrong_is_named(draw: Callable, words: str) -> None:
    with pytest.raises(Mistake, match=words):
        judge_dropped(draw, 0.2, "the vector")


def test_dropout_that_is_right() -> None:
    judge_dropped(lambda: nn.functional.dropout(ONES, 0.2), 0.2, "the vector")


def test_a_case_in_another_type() -> None:
    one = as_dtype(case("x", torch.ones(2), torch.ones(2).bool(), Net(), 3), torch.float64, "y")
    assert one.words == "y" and one.args[0].dtype == torch.float64
    assert one.args[1].dtype == torch.bool and one.args[3] == 3
    assert one.args[2].map.weight.dtype == torch.float64


# ---- the surroundings ----


def other_surroundings() -> dict[str, Callable]:
    """What a notebook may have set before a check."""
    return {
        "no gradients": lambda: torch.set_grad_enabled(False),
        "float64": lambda: torch.set_default_dtype(torch.float64),
        "meta device": lambda: torch.set_default_device("meta"),
        "deterministic": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        "seeds": lambda: seed_all(11),
    }


@pytest.mark.parametrize("setting", other_surroundings())
def test_a_verdict_does_not_depend_on_what_is_set(setting: str) -> None:
    before = surroundings()
    try:
        other_surroundings()[setting]()
        odd, drawn = surroundings(), random.getstate()
        verdict = checks.check_warmup_rate(warmup_rate)
        assert verdict.passed is True, verdict
        assert checks.check_mask_broadcast(lambda mask: mask[:, None, None]).passed is True
        assert surroundings() == odd and random.getstate() == drawn
    finally:
        torch.set_grad_enabled(before["the gradient mode"])
        torch.set_default_dtype(before["torch's default dtype"])
        torch.set_default_device(None)
        torch.use_deterministic_algorithms(False)
    assert surroundings() == before


def test_a_check_runs_in_inference_mode() -> None:
    from utils.transformer import layer_norm
    with torch.inference_mode():
        assert checks.check_layer_norm(layer_norm).passed is True
        assert torch.is_inference_mode_enabled()


def test_the_runner_notices_a_check_that_changes_things() -> None:
    def careless(answer):
        torch.manual_seed(3)

    with pytest.raises(AssertionError):
        leaves_all_as_it_was(careless, None)


# ---- shown also from inside a loop ----

CELLS = {
    "last expression": ("check(1)", 1), "a loop": ("for n in (1, 2):\n    check(n)", 2),
    "an if": ("if True:\n    check(1)", 1), "printed": ("print(check(1))", 1),
    "two": ("check(1)\ncheck(2)", 2), "nothing": ("7", 0),
    "a pair": ("check(1), check(2)", 2),
}


@pytest.fixture
def shell():
    """A running IPython, without a file for its history."""
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    shell.user_ns["check"] = exercise("9.9")(lambda answer: f"number {answer}")
    yield shell
    InteractiveShell.clear_instance()
    unseen.clear()


@pytest.mark.parametrize("cell, n_times", CELLS.values(), ids=CELLS)
def test_a_verdict_is_shown_once(cell: str, n_times: int, shell, capsys) -> None:
    shell.run_cell(cell)
    assert capsys.readouterr().out.count("Exercise 9.9") == n_times
    assert unseen == []


def test_without_a_kernel_nothing_is_kept() -> None:
    checks.check_warmup_rate(warmup_rate)
    assert unseen == []
    show_unseen()

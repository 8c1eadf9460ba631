"""The checks of notebook 00 accept right answers and name each wrong one."""

import pytest
import torch

from utils import attention
from utils.checks import start_here

NAN = float("nan")


def out_of_place_twice(x):
    return x + x


def halves(x):
    return x / 2


def split_by_loop(x, n_heads):
    d_k = x.shape[-1] // n_heads
    return torch.stack([x[..., h * d_k : (h + 1) * d_k] for h in range(n_heads)], dim=1)


def split_features_first(x, n_heads):
    batch, seq_len, d_model = x.shape
    turned = x.transpose(1, 2).reshape(batch, n_heads, d_model // n_heads, seq_len)
    return turned.transpose(2, 3)


def viewed(x, n_heads):
    """Step one of the right split: (batch, seq_len, n_heads, d_k)."""
    batch, seq_len, d_model = x.shape
    return x.reshape(batch, seq_len, n_heads, d_model // n_heads)


def view_alone(x, n_heads):
    batch, seq_len, d_model = x.shape
    return x.view(batch, n_heads, seq_len, d_model // n_heads)


def interleaved(x, n_heads):
    batch, seq_len, d_model = x.shape
    return x.view(batch, seq_len, d_model // n_heads, n_heads).permute(0, 3, 1, 2)


def turned_then_cut(x, n_heads):
    batch, seq_len, d_model = x.shape
    return x.transpose(1, 2).reshape(batch, n_heads, seq_len, d_model // n_heads)


def merge_reshape_alone(x):
    batch, n_heads, seq_len, d_k = x.shape
    return x.reshape(batch, seq_len, n_heads * d_k)


def merge_view(x):
    batch, n_heads, seq_len, d_k = x.shape
    return x.transpose(1, 2).view(batch, seq_len, n_heads * d_k)


def merge_contiguous(x):
    return x.transpose(1, 2).contiguous().flatten(2)


def merge_by_cat(x):
    return torch.cat(list(x.unbind(dim=1)), dim=-1)


def softmax_global(scores):
    powers = (scores - scores.max()).exp()
    return powers / powers.sum()


def softmax_global_max(scores):
    powers = (scores - scores.max()).exp()
    return powers / powers.sum(-1, keepdim=True)


def softmax_no_max(scores):
    return scores.exp() / scores.exp().sum(-1, keepdim=True)


def softmax_in_place(scores):
    scores -= scores.amax(-1, keepdim=True)
    return scores.exp() / scores.exp().sum(-1, keepdim=True)


def softmax_by_logs(scores):
    return (scores - scores.logsumexp(-1, keepdim=True)).exp()


def fixed_shape(a_shape, b_shape):
    return 2, 3, 5, 7


RIGHT = {
    start_here.check_double: [lambda x: 2 * x, out_of_place_twice],
    start_here.check_matmul_shape: [
        lambda a, b: (*a[:-1], b[-1]),
        lambda a, b: (torch.zeros(a) @ torch.zeros(b)).shape,
        lambda a, b: [a[0], a[1], a[2], b[3]],
    ],
    start_here.check_softmax: [
        attention.stable_softmax,
        softmax_by_logs,
        lambda scores: scores.softmax(-1),
    ],
    start_here.check_split_heads: [attention.split_heads, split_by_loop, split_features_first],
    start_here.check_merge_heads: [attention.merge_heads, merge_contiguous, merge_by_cat],
    start_here.check_mask_broadcast: [
        lambda mask: mask[:, None, None, :],
        lambda mask: mask.unsqueeze(1).unsqueeze(1),
        lambda mask: mask.view(len(mask), 1, 1, -1),
    ],
}

# For each check: words that its message, and no other message of the table, must hold.
WRONG = {
    start_here.check_double: {
        "nothing was doubled": lambda x: x.clone(),
        "square of the input": lambda x: x * x,
        "became": halves,
        "in place": lambda x: x.mul_(2),
    },
    start_here.check_matmul_shape: {
        "axes are swapped": lambda a, b: (a[0], a[1], b[3], a[2]),
        "batch axis is missing": lambda a, b: (a[1], a[2], b[3]),
        "n_heads axis is missing": lambda a, b: (a[0], a[2], b[3]),
        "only the last two axes": lambda a, b: (a[2], b[3]),
        "shape of a": lambda a, b: a,
        "shape of b": lambda a, b: b,
        "cannot be left over": lambda a, b: (a[0], a[1], a[3], b[2]),
        "d_k is still there": lambda a, b: (*a, b[3]),
        "side by side": lambda a, b: a + b[2:],
        "sizes of the text only": fixed_shape,
        "got a tensor": lambda a, b: torch.zeros(a) @ torch.zeros(b),
        "that is 1 axes": lambda a, b: (a[2] * b[3],),
        "the front axes changed": lambda a, b: (a[1], a[0], a[2], b[3]),
        "which axis of a": lambda a, b: (a[0], a[1], b[3], b[3]),
    },
    start_here.check_softmax: {
        "leaves the range of a float": softmax_no_max,
        "axis 0 (batch)": lambda scores: scores.softmax(0),
        "axis 1 (n_heads)": lambda scores: scores.softmax(1),
        "axis 2 (tgt_len)": lambda scores: scores.softmax(2),
        "all numbers of the tensor": softmax_global,
        "the row's own": softmax_global_max,
        "logarithms": lambda scores: scores.log_softmax(-1),
        "exp() comes first": lambda scores: scores / scores.sum(-1, keepdim=True),
        "before the division": lambda scores: scores.exp(),
        "one winner": lambda scores: (scores == scores.amax(-1, keepdim=True)).float(),
        "a share is negative": lambda scores: scores - scores.mean(-1, keepdim=True),
        "the first row sums": lambda scores: scores.sigmoid(),
        "the first share is": lambda scores: (scores / 2).softmax(-1),
        "changed its input": softmax_in_place,
        "want shape": lambda scores: scores.softmax(-1).sum(-1),
    },
    start_here.check_split_heads: {
        "view alone": view_alone,
        "in front of the tokens": viewed,
        "exchanged the last two": lambda x, h: viewed(x, h).transpose(2, 3),
        "exchanged the batch": lambda x, h: viewed(x, h).transpose(0, 1),
        "d_k stands before": lambda x, h: viewed(x, h).permute(0, 2, 3, 1),
        "heads stand before the batch": lambda x, h: viewed(x, h).permute(2, 0, 1, 3),
        "has not changed": lambda x, h: x,
        "neighbouring features": interleaved,
        "reverse order": lambda x, h: attention.split_heads(x, h).flip(1),
        "may change places": turned_then_cut,
        "sentences of a batch never mix": lambda x, h: attention.split_heads(x.flip(0), h),
        "for two heads": lambda x, h: attention.split_heads(x, 3 if len(x) == 2 else 1),
    },
    start_here.check_merge_heads: {
        "reshape alone": merge_reshape_alone,
        "view refuses": merge_view,
        "has not changed": lambda x: x.clone(),
        "in order now": lambda x: x.transpose(1, 2),
        "not averaged": lambda x: x.mean(1),
        "heads and tokens became": lambda x: x.flatten(1, 2),
        "tokens and features became": lambda x: x.flatten(2),
        "from each head in turn": lambda x: x.permute(0, 2, 3, 1).flatten(2),
        "Head 0 comes first": lambda x: x.flip(1).transpose(1, 2).flatten(2),
        "belong there": lambda x: attention.merge_heads(x.flip(2)),
    },
    start_here.check_mask_broadcast: {
        "axis of the queries: this hides": lambda mask: mask[:, None, :, None],
        "axis of the heads: keys": lambda mask: mask[:, :, None, None],
        "axis of the queries: batch": lambda mask: mask[None, None],
        "axis of the heads: batch": lambda mask: mask[None, :, None, :],
        "two axes as before": lambda mask: mask.clone(),
        "one more axis": lambda mask: mask[:, None, :],
        "serves every query": lambda mask: mask[:, None, :, None] & mask[:, None, None, :],
        "exchanged": lambda mask: ~mask[:, None, None, :],
        "want bool": lambda mask: mask[:, None, None, :].float(),
        "reverse order": lambda mask: mask.flip(1)[:, None, None, :],
        "padding stays visible": lambda mask: torch.ones(2, 1, 1, 7, dtype=torch.bool),
        "do not move values": lambda mask: mask.t().reshape(2, 1, 1, 7),
    },
}

ARGUMENTS = {start_here.check_matmul_shape: 2, start_here.check_split_heads: 2}


def stubs(check):
    """The untouched stub, written for one argument or for two."""
    return (lambda a, b: ...) if ARGUMENTS.get(check) == 2 else (lambda a: ...)


def endless(*args):
    return endless(*args)


def leave(*args):
    raise SystemExit


def broken(*args):
    raise KeyError("tgt_len")


def spoils_shape(*args):
    if isinstance(args[0], torch.Tensor):
        args[0].resize_(0)
    return args[0]


HOSTILE = {
    "none": lambda *args: None,
    "text": lambda *args: "seven",
    "object": lambda *args: object(),
    "number": lambda *args: 7,
    "nan number": lambda *args: NAN,
    "nan tensor": lambda *args: torch.full((2, 3, 5, 7), NAN),
    "nan everywhere": lambda *args: args[0] * NAN,
    "empty": lambda *args: torch.empty(0),
    "list": lambda *args: [[1, 2], [3]],
    "raises": broken,
    "leaves": leave,
    "endless": endless,
    "no arguments": lambda: 1,
    "spoils": spoils_shape,
    "no function": 3,
    "class": dict,
}


@pytest.mark.parametrize(
    ("check", "answer"), [(check, answer) for check, answers in RIGHT.items() for answer in answers]
)
def test_right_answers_are_accepted(check, answer):
    verdict = check(answer)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("check", "words"), [(check, words) for check, table in WRONG.items() for words in table]
)
def test_each_mistake_has_its_own_message(check, words):
    verdict = check(WRONG[check][words])
    assert verdict.passed is False
    assert words in verdict.message
    others = [str(check(answer)) for other, answer in WRONG[check].items() if other != words]
    assert not any(words in other for other in others)


@pytest.mark.parametrize("check", RIGHT)
def test_stub_is_neutral(check):
    verdict = check(stubs(check))
    assert verdict.passed is None
    assert str(verdict) == f"· Exercise {check.exercise}: not attempted yet"


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("check", RIGHT)
def test_hostile_answers_get_a_sentence(check, name):
    verdict = check(HOSTILE[name])
    assert verdict.passed is False
    assert 10 < len(verdict.message) < 400


@pytest.mark.parametrize("check", RIGHT)
def test_random_state_is_left_alone(check):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    check(RIGHT[check][0])
    assert torch.equal(before, torch.random.get_rng_state())


def test_split_message_names_the_token_of_the_numbers():
    message = start_here.check_split_heads(view_alone).message
    assert "head 0, row 1 holds the numbers 4 5 6 7, which came from token 0" in message

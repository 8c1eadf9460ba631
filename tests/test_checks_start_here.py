"""The checks of lesson 00 accept right answers and name each wrong one."""

import math

import numpy as np
import torch
from judging import Answers, Exercise, mutant

from utils.attention import merge_heads, split_heads, stable_softmax
from utils.checks import start_here as lesson

# ---- 0.0 ----


def doubled_and_kept():
    """Adds what it has doubled before."""
    before = []

    def answer(x):
        before.append(0.1 * len(before))
        return 2 * x + before[-1]

    return answer


DOUBLE = Exercise(
    lesson.check_double,
    right=[
        lambda x: 2 * x,
        lambda x: x + x,
        lambda x: x.clone().mul_(2),
        lambda x: torch.from_numpy(2 * x.numpy()),
        lambda *, x: torch.einsum("...,->...", x, torch.tensor(2.0, dtype=x.dtype)),
        lambda x: torch.stack([x, x]).sum(0),
    ],
    wrong=[
        (lambda x: x.clone(), "nothing was doubled"),
        (lambda x: x * x, "square of the input"),
        (lambda x: x / 2, "is 0.7705, want 3.082"),
        (lambda x: x.mul_(2), "in place"),
        (lambda x: x + 2, "is 3.541, want 3.082"),
        (lambda x: 2 * x.abs(), "is 0.5869, want -0.5869"),
        (lambda x: 2 * x[:2, :4], "for numbers up to 200"),
        (lambda x: (2 * x).clamp(-50, 50), "right for the first numbers, but"),
        (lambda x: (2 * x).squeeze(), "for one number alone"),
        (lambda x: 2 * x.float(), "want torch.float64"),
        (lambda x: (2 * x).tolist(), "want the result as a torch.Tensor"),
        (doubled_and_kept(), "is kept from the call before"),
    ],
)


# ---- 0.1 ----

SHAPE = Exercise(
    lesson.check_matmul_shape,
    right=[
        lambda a, b: (*a[:-1], b[-1]),
        lambda a, b: (torch.zeros(a) @ torch.zeros(b)).shape,
        lambda a, b: [a[0], a[1], a[2], b[3]],
        lambda a, b: np.array([*a[:3], b[3]]),
        lambda a, b: np.matmul(np.zeros(a), np.zeros(b)).shape,
        lambda a, b: torch.tensor([b[0], b[1], a[2], b[3]], dtype=torch.int32),
        lambda *, a_shape, b_shape: a_shape[:3] + b_shape[3:],
        lambda a, b: tuple(torch.einsum("bhik,bhkj->bhij", torch.ones(a), torch.ones(b)).shape),
    ],
    wrong=[
        (lambda a, b: (a[0], a[1], b[3], a[2]), "axes are swapped"),
        (lambda a, b: (a[1], a[2], b[3]), "batch axis is missing"),
        (lambda a, b: (a[0], a[2], b[3]), "n_heads axis is missing"),
        (lambda a, b: (a[2], b[3]), "only the last two axes"),
        (lambda a, b: a, "shape of a"),
        (lambda a, b: b, "shape of b"),
        (lambda a, b: (a[0], a[1], a[3], b[2]), "cannot be left over"),
        (lambda a, b: (*a, b[3]), "d_k is still there"),
        (lambda a, b: a + b[2:], "side by side: the inner"),
        (lambda a, b: (2, 3, 5, 7), "the shape[0] is 2, want 6"),
        (lambda a, b: (*a[:-1], 7), "the shape[3] is 7, want 3"),
        (lambda a, b: torch.zeros(a) @ torch.zeros(b), "got a tensor: return its .shape"),
        (lambda a, b: (a[2] * b[3],), "want 4 entries in the shape, got 1"),
        (lambda a, b: (a[1], a[0], a[2], b[3]), "the front axes changed"),
        (lambda a, b: (a[0] * a[1], a[2], b[3]), "want 4 entries in the shape, got 3"),
        (lambda a, b: (a[0], a[1], a[2] + 1, b[3]), "survive the product"),
        (lambda a, b: (torch.zeros(a) @ torch.zeros(b)).squeeze().shape, "Axes of size 1 stay"),
        (lambda a, b: str((*a[:3], b[3])), "want the shape as a tuple, got str"),
        (lambda a, b: math.prod(a[:3]) * b[3], "want the shape as a tuple, got int"),
    ],
)


# ---- 0.2 ----

TOP, POWERS = "scores.amax(dim=dim, keepdim=True)", "(scores - highest).exp()"
SHARES = "powers / powers.sum(dim=dim, keepdim=True)"


def soft(*texts):
    return mutant(stable_softmax, *texts)


def softmax_by_loops(scores):
    rows = []
    for row in scores.reshape(-1, scores.size(-1)):
        powers = [torch.exp(score - max(row)) for score in row]
        rows.append(torch.stack(powers) / sum(powers))
    return torch.stack(rows).reshape(scores.shape)


def softmax_seeded(scores):
    torch.manual_seed(0)
    return scores.softmax(-1)


SOFTMAX = Exercise(
    lesson.check_softmax,
    right=[
        stable_softmax,
        softmax_by_loops,
        torch.nn.Softmax(dim=-1).eval(),
        lambda scores: (scores - scores.logsumexp(-1, keepdim=True)).exp(),
        lambda scores: scores.log_softmax(-1).exp(),
        lambda scores: soft(TOP, "scores.amax(dim=dim, keepdim=True).detach()")(scores),
    ],
    wrong=[
        (soft(POWERS, "scores.exp()"), "nothing is subtracted"),
        (lambda scores: scores.softmax(0), "along batch"),
        (lambda scores: scores.softmax(1), "along n_heads"),
        (lambda scores: scores.softmax(2), "along tgt_len"),
        (lambda scores: scores.softmax(max(-2, -scores.dim())), "along tgt_len"),
        (lambda scores: scores.softmax(3), "Count the axis from the end"),
        (soft(TOP, "scores.max()", SHARES, "powers / powers.sum()"), "all numbers of the tensor"),
        (soft(TOP, "scores.max()"), "whole tensor is subtracted"),
        (soft(TOP, "scores.amax(dim=-2, keepdim=True) if scores.dim() > 1 else scores.max()"),
         "taken along axis 2"),
        (soft(TOP, "scores.mean(dim=dim, keepdim=True)"), "the mean of the row"),
        (soft(POWERS, "scores.clamp(-80, 80).exp()"), "scores near 100"),
        (lambda scores: scores.log_softmax(-1), "logarithms"),
        (lambda scores: scores / scores.sum(-1, keepdim=True), "sum: exp() comes first"),
        (lambda scores: scores.exp(), "before the division: divide"),
        (lambda scores: (scores == scores.amax(-1, keepdim=True)).to(scores.dtype), "one winner"),
        (lambda scores: scores - scores.mean(-1, keepdim=True), "a share is negative"),
        (lambda scores: scores.softmax(-1) * 1.5, "the first row sums to 1.5"),
        (lambda scores: (scores / 2).softmax(-1), "result[0, 0, 0, 0]"),
        (soft(POWERS, "scores.sub_(highest).exp()"), "changed its input"),
        (lambda scores: scores.softmax(-1).sum(-1), "want shape"),
        (lambda scores: scores.softmax(-1).squeeze(), "for one key"),
        (lambda scores: scores.detach().softmax(-1), "no gradient reaches `scores`"),
        (soft(SHARES, "powers / powers.sum(dim=dim, keepdim=True).detach()"),
         "the gradient at `scores` is not"),
        (lambda scores: scores.softmax(-1).float(), "want torch.float64"),
        (softmax_seeded, "sets the random state itself"),
        (lambda scores: scores.softmax(-1) if len(scores) != 3 else scores.softmax(1),
         "for other sizes"),
    ],
    twins=["along tgt_len"],
)


# ---- 0.3 ----

MASK = Exercise(
    lesson.check_mask_broadcast,
    right=[
        lambda mask: mask[:, None, None, :],
        lambda mask: mask.unsqueeze(1).unsqueeze(1),
        lambda mask: mask.view(len(mask), 1, 1, -1),
        lambda mask: torch.stack([row.view(1, 1, -1) for row in mask]),
        lambda mask: torch.einsum("bs->bs", mask.int()).bool().reshape(len(mask), 1, 1, -1),
        lambda mask: torch.from_numpy(mask.numpy()[:, np.newaxis, np.newaxis]),
    ],
    wrong=[
        (lambda mask: mask[:, None, :, None], "axis of the queries: this hides"),
        (lambda mask: mask[:, :, None, None], "axis of the heads: keys"),
        (lambda mask: mask[None, None], "axis of the queries: batch"),
        (lambda mask: mask[None, :, None, :], "axis of the heads: batch"),
        (lambda mask: mask.clone(), "two axes as before"),
        (lambda mask: mask[:, None, :], "one more axis"),
        (lambda mask: mask[:, None, :, None] & mask[:, None, None, :], "hides rows (queries)"),
        (lambda mask: ~mask[:, None, None, :], "exchanged"),
        (lambda mask: mask[:, None, None, :].float(), "got torch.float32"),
        (lambda mask: mask.flip(1)[:, None, None, :], "words come in reverse order"),
        (lambda mask: torch.ones(len(mask), 1, 1, mask.size(1)) > 0, "padding stays visible"),
        (lambda mask: mask.t().reshape(2, 1, 1, 7), "do not move values"),
        (lambda mask: mask[:1].repeat(len(mask), 1)[:, None, None], "result[1, 0, 0, 4]"),
        (lambda mask: mask.view(2, 1, 1, 7), "for other sizes"),
        (lambda mask: mask.squeeze()[..., None, None, :] if len(mask) == 1 else
         mask[:, None, None], "The axis of the batch stays"),
        (lambda mask: mask[:, None, None].squeeze(-1), "The axis of the words stays"),
        (lambda mask: (mask | (mask.sum(1, keepdim=True) == 0))[:, None, None], "Hand False on"),
        (lambda mask: (torch.arange(mask.size(1)) < mask.sum(1, keepdim=True))[:, None, None],
         "for padding in front"),
        (lambda mask: mask.logical_not_()[:, None, None], "in place"),
    ],
)


# ---- 0.4 ----

CUT, TURN = "x.view(batch, seq_len, n_heads, d_model // n_heads)", "x.transpose(1, 2)"
CLOSE = "x.reshape(batch, seq_len, n_heads * d_k)"


def split(*texts):
    return mutant(split_heads, *texts)


def merge(*texts):
    return mutant(merge_heads, *texts)


def split_by_loop(x, n_heads):
    d_k = x.shape[-1] // n_heads
    return torch.stack([x[..., h * d_k : (h + 1) * d_k] for h in range(n_heads)], dim=1)


def split_number_by_number(x, n_heads):
    batch, seq_len, d_model = x.shape
    d_k = d_model // n_heads
    result = x.new_zeros(batch, n_heads, seq_len, d_k)
    for t in range(seq_len):
        for f in range(d_model):
            result[:, f // d_k, t, f % d_k] = x[:, t, f]
    return result


def split_features_first(x, n_heads):
    batch, seq_len, d_model = x.shape
    turned = x.transpose(1, 2).reshape(batch, n_heads, d_model // n_heads, seq_len)
    return turned.transpose(2, 3)


def spoils(x, *n_heads):
    x[0] = 0.0
    return split_heads(x, *n_heads) if n_heads else merge_heads(x)


SPLIT = Exercise(
    lesson.check_split_heads,
    right=[
        split_heads,
        split_by_loop,
        split_number_by_number,
        split_features_first,
        lambda x, n_heads: x.unflatten(-1, (n_heads, -1)).transpose(1, 2),
        lambda x, n_heads: torch.stack(x.chunk(n_heads, -1), 1),
        lambda *, x, n_heads: torch.einsum("bthd->bhtd", x.unflatten(-1, (n_heads, -1))),
    ],
    wrong=[
        (split(CUT, "x.view(batch, n_heads, seq_len, -1)", TURN, "x"), "from word 0. Cut each"),
        (split(TURN, "x"), "in front of the words"),
        (split(TURN, "x.transpose(2, 3)"), "exchanged the last two"),
        (split(TURN, "x.transpose(0, 1)"), "exchanged the batch"),
        (split(TURN, "x.permute(0, 2, 3, 1)"), "d_k stands before"),
        (split(TURN, "x.permute(2, 0, 1, 3)"), "heads stand before the batch"),
        (lambda x, n_heads: x, "has not changed"),
        (split(CUT, "x.view(batch, seq_len, -1, n_heads)", TURN, "x.permute(0, 3, 1, 2)"),
         "neighbouring features"),
        (split(TURN, f"{TURN}.flip(1)"), "heads come in reverse order"),
        (split(TURN, f"{TURN}.flip(0)"), "from word 0 of sentence 1"),
        (split(TURN, f"{TURN}.flip(3)"), "is 3, want 0"),
        (split(TURN, f"{TURN}.roll(1, 2)"), "from word 4 of sentence 0: want those of word 0"),
        (split(CUT, "x.view(batch, seq_len, 3, d_model // 3)"), "shape '[4, 6, 3, 18]'"),
        (split(CUT, "x.view(batch, seq_len, -1, 4)"), "for seven heads"),
        (lambda x, h: split_heads(x, h).squeeze(0), "The axis of the batch stays"),
        (lambda x, h: split_heads(x, h).squeeze(1), "The axis of the heads stays"),
        (lambda x, h: split_heads(x, h).squeeze(3), "for heads of one feature"),
        (lambda x, h: split_heads(x.detach(), h), "no gradient reaches `x`"),
        (lambda x, h: split_heads(x, h).float(), "want torch.float64"),
        (lambda x, h: split_heads(x, h).abs(), "They are only moved"),
        (lambda x, h: split_heads(x, h) * 1.1, "then exchange seq_len"),
        (spoils, "in place"),
        (lambda x, h: list(split_by_loop(x, h).unbind(1)), "got list of 3"),
    ],
)

MERGE = Exercise(
    lesson.check_merge_heads,
    right=[
        merge_heads,
        lambda x: x.transpose(1, 2).contiguous().view(len(x), x.size(2), -1),
        lambda x: torch.cat(list(x.unbind(dim=1)), dim=-1),
        lambda x: x.transpose(1, 2).flatten(2),
        lambda *, x: torch.stack([torch.cat([*s.unbind(0)], -1) for s in x]),
        lambda x: x.permute(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3]),
    ],
    wrong=[
        (merge(TURN, "x"), "reshape alone"),
        (merge("x.reshape", "x.view"), "view refuses"),
        (lambda x: x.clone(), "has not changed"),
        (merge(CLOSE, "x"), "in order now"),
        (lambda x: x.mean(1), "averaged"),
        (lambda x: x.flatten(1, 2), "heads and words became"),
        (lambda x: x.flatten(2), "words and features became"),
        (merge(TURN, "x.permute(0, 2, 3, 1)"), "from each head in turn"),
        (merge(TURN, "x.flip(1).transpose(1, 2)"), "Head 0 comes first"),
        (lambda x: merge_heads(x.flip(0)), "from word 0 of sentence 1"),
        (lambda x: merge_heads(x.roll(1, 2)), "from word 4 of sentence 0: want those of word 0"),
        (merge(CLOSE, "x.reshape(batch, seq_len, 12)"), "for seven heads"),
        (lambda x: torch.cat([x[:, 0], x[:, 1], x[:, 2]], -1), "got (4, 6, 24)"),
        (lambda x: merge_heads(x).squeeze(0), "The axis of the batch stays"),
        (lambda x: merge_heads(x).squeeze(2), "The last axis stays"),
        (lambda x: merge_heads(x.detach()), "no gradient reaches `x`"),
        (lambda x: merge_heads(x).float(), "want torch.float64"),
        (lambda x: merge_heads(x).relu(), "They are only moved"),
        (lambda x: merge_heads(x) + 0.5, "then close the last two"),
        (lambda x: merge_heads(x.flip(3)), "is 3, want 0"),
        (spoils, "in place"),
    ],
)


class TestAnswers(Answers):
    exercises = (DOUBLE, SHAPE, SOFTMAX, MASK, SPLIT, MERGE)

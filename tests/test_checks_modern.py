"""The checks of lesson 15 accept right answers and name each wrong one."""

import torch
import torch.nn.functional as F
from judging import Answers, Exercise, endless, fails, mutant
from torch import nn

from utils.checks import modern as lesson
from utils.modern import SwiGLU, grouped_attention, root_mean_square_norm

NAN = float("nan")

# ---- 15.1 ----

SPREAD = "x.repeat_interleave(group, dim=1)"
LAST = "return scaled_dot_product_attention(q, k, v, mask)"
REFUSAL = 'raise ValueError(f"{n_kv_heads} key heads do not divide {n_heads}")'


def att(*texts):
    return mutant(grouped_attention, *texts)


def then(text):
    """Something else at the end."""
    return att(LAST, f"context, weights = scaled_dot_product_attention(q, k, v, mask); {text}")


def grouped_by_torch(q, k, v, mask=None):
    if q.size(1) % k.size(1):
        raise ValueError("groups of unequal size")
    context = F.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)
    seen = torch.eye(k.size(2), dtype=v.dtype).expand(*k.shape[:-1], -1)
    weights = F.scaled_dot_product_attention(q, k, seen, mask, enable_gqa=True)
    return context, weights


def grouped_by_axes(q, k, v, mask=None):
    """The groups get an axis of their own; nothing is repeated."""
    if q.size(1) % k.size(1):
        raise ValueError("groups of unequal size")
    grouped = q.unflatten(1, (k.size(1), -1))
    scores = torch.einsum("bgitd,bgsd->bgits", grouped, k).flatten(1, 2) / q.size(-1) ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    context = torch.einsum("bgits,bgsd->bgitd", weights.unflatten(1, (k.size(1), -1)), v)
    return context.flatten(1, 2), weights


def grouped_by_loops(q, k, v, mask=None):
    group, rest = divmod(q.size(1), k.size(1))
    if rest:
        raise ValueError(f"{rest} heads are left over")
    heads = [h // group for h in range(q.size(1))]
    return grouped_attention(q, k[:, heads], v[:, heads], mask)


def grouped_by_expand(q, k, v, mask=None):
    if q.size(1) % k.size(1) != 0:
        raise ValueError("want a divisor")
    shape = q.size(0), k.size(1), q.size(1) // k.size(1), k.size(2), k.size(3)
    k, v = (x.unsqueeze(2).expand(shape).reshape(*q.shape[:2], *k.shape[2:]) for x in (k, v))
    return list(grouped_attention(q, k, v, mask))


def changes_input(q, k, v, mask=None):
    q[0] = 0.0
    return grouped_attention(q, k, v, mask)


GROUPED = Exercise(
    lesson.check_grouped_attention,
    right=[grouped_attention, grouped_by_torch, grouped_by_axes, grouped_by_loops,
           grouped_by_expand, lambda *, q, k, v, mask: grouped_attention(q, k, v, mask)],
    wrong=[
        (att(SPREAD, "x.repeat(1, group, 1, 1)"), "round and round"),
        (att("k, v = (x.repeat_interleave(group, dim=1) for x in (k, v))",
             "k, v = k.repeat(1, group, 1, 1), v.repeat_interleave(group, 1)"),
         "the keys are laid out by repeat"),
        (att("k, v = (x.repeat_interleave(group, dim=1) for x in (k, v))",
             "k, v = k.repeat_interleave(group, 1), v.repeat(1, group, 1, 1)"),
         "the values are laid out by repeat"),
        (att(SPREAD, "x[:, :1].expand(-1, n_heads, -1, -1)"), "read the first head of keys and"),
        (att(SPREAD, "x.mean(1, keepdim=True).expand(-1, n_heads, -1, -1)"), "are averaged: each "
         "group"),
        (att(SPREAD, f"{SPREAD}.flip(1)"), "run backwards"),
        (att(SPREAD, "x.repeat_interleave(3, dim=1)"), "right for 6 heads of queries and 2"),
        (att(REFUSAL, "group = 1"), "do not divide 5 heads of queries"),
        (att(REFUSAL, 'raise TypeError("no")'), "want ValueError, got TypeError"),
        (att(REFUSAL, "return q, q"), "nothing was raised"),
        (att(LAST, "return scaled_dot_product_attention(q * q.size(-1)**0.5, k, v, mask)"),
         "not divided"),
        (att(LAST, "return scaled_dot_product_attention(q / q.size(-1)**0.5, k, v, mask)"),
         "divided by d_k:"),
        (att(LAST, "return scaled_dot_product_attention(q / n_heads**0.5, k, v, mask)"),
         "√d_model"),
        (att(LAST, "return scaled_dot_product_attention(q, k, v)"), "the mask has no part"),
        (att(LAST, "return scaled_dot_product_attention(q, k, v, mask if mask is None else ~mask)"),
         "turned round"),
        (then("return weights, context"), "the two results are exchanged"),
        (then("return context"), "want 2 results"),
        (then("return context.transpose(1, 2), weights"), "in front of heads"),
        (then("return context.transpose(1, 2).flatten(2), weights"), "merged already"),
        (att(LAST, "return scaled_dot_product_attention(q, v, k, mask)"), "are exchanged"),
        (lambda q, k, v, mask=None: grouped_attention(q[:, : k.size(1)], k, v, mask),
         "want shape"),
        (att(LAST, "return scaled_dot_product_attention(q.detach(), k, v, mask)"),
         "no gradient reaches `q`"),
        (att(SPREAD, f"{SPREAD}.detach()"), "no gradient reaches `k` and `v`"),
        (then("return context.float(), weights.float()"), "want torch.float64"),
        (changes_input, "in place"),
    ],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: {}, None],
)

# ---- 15.2 ----

SQUARES = "wide.square().mean(dim=-1, keepdim=True)"
ROOT, ENDS = "(mean_square + eps).sqrt()", "gain * wide / (mean_square + eps).sqrt()"


def norm(*texts):
    return mutant(root_mean_square_norm, *texts)


def norm_over(dims):
    """RMSNorm over other axes."""
    return norm(SQUARES, f"wide.square().mean(dim={dims}, keepdim=True)")


def norm_by_torch(x, gain, eps):
    return F.rms_norm(x, x.shape[-1:], gain, eps)


def norm_by_loops(x, gain, eps):
    rows = []
    for row in x.reshape(-1, x.size(-1)):
        mean_square = sum(entry**2 for entry in row) / len(row)
        rows.append(row * torch.rsqrt(mean_square + eps) * gain)
    return torch.stack(rows).reshape(x.shape)


def norm_by_length(x, gain, eps):
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * gain * (length**2 / x.size(-1) + eps) ** -0.5


NORM = Exercise(
    lesson.check_rms_norm,
    right=[root_mean_square_norm, norm_by_torch, norm_by_loops, norm_by_length,
           lambda *, x, gain, eps: root_mean_square_norm(x, gain, eps)],
    wrong=[
        (lambda x, g, e: F.layer_norm(x, x.shape[-1:], g, None, e), "that is LayerNorm"),
        (norm("gain * wide", "gain * (wide - wide.mean(-1, keepdim=True))"), "above the line"),
        (norm(SQUARES, "wide.var(-1, keepdim=True, correction=0)"), "by the standard deviation: "
         "want"),
        (norm(ROOT, "(wide.std(-1, keepdim=True) + eps)"), "with n - 1"),
        (norm(ROOT, "(mean_square.sqrt() + eps)"), "outside the root"),
        (norm(ROOT, "(mean_square.sqrt() + eps**0.5)"), "two roots"),
        (norm(SQUARES, "wide.square().sum(dim=-1, keepdim=True)"), "summed, not averaged"),
        (norm(ROOT, "(wide.norm(dim=-1, keepdim=True) + eps)"), "the root of the sum of squares"),
        (norm(ROOT, "wide.norm(dim=-1, keepdim=True)"), "without ε"),
        (norm(ROOT, "(mean_square + eps)"), "the root is missing"),
        (norm(ROOT, "mean_square.sqrt()"), "ε is missing"),
        (norm(ROOT, "(mean_square + 1e-6).sqrt()"), "fixed at 1e-6"),
        (norm(ROOT, "(mean_square + eps**2).sqrt()"), "squared: add"),
        (norm(ROOT, "mean_square.clamp(min=eps).sqrt()"), "the least mean square"),
        (norm(f"/ {ROOT}", f"* {ROOT}"), "multiplies by the root"),
        (norm(ROOT, "(wide.abs().mean(-1, keepdim=True) + eps)"), "mean size"),
        (norm(SQUARES, "wide.mean(dim=-1, keepdim=True).square()"), "the mean is squared"),
        (norm_over(-2), "over time (axis -2)"),
        (norm_over(1), "over axis 1"),
        (norm_over(0), "over the batch"),
        (norm_over((-2, -1)), "time and features together"),
        (norm(SQUARES, "wide.square().mean()"), "everything at once"),
        (norm(ENDS, "gain * wide"), "nothing is normalised"),
        (norm("gain * wide", "wide"), "the gain is missing"),
        (norm("gain * wide", "2 * gain * wide"), "mean square m"),
        (norm(ENDS, f"gain + wide / {ROOT}"), "the gain is added"),
        (norm("gain * wide", "(1 + gain) * wide"), "1 + gain"),
        (norm("gain * wide", "1 / gain * wide"), "divides by the gain"),
        (lambda x, g, e: root_mean_square_norm(g * x, torch.ones_like(g), e), "comes before"),
        (norm("gain * wide", "gain[:, None] * wide"), "each position has its own"),
        (norm("gain * wide", "gain"), "x is gone"),
        (norm("gain * wide", "gain.abs() * wide"), "how the gain comes in"),
        (norm(ROOT, "(mean_square * float('nan')).sqrt()"), "is nan, want"),
        (norm(ENDS, f"({ENDS})[0]"), "want shape"),
        (norm(ENDS, f"({ENDS}).clamp(-1, 1)"), "entries differ"),
        (norm("wide.square()", "wide.detach().square()"), "the gradient at `x` is not"),
        (norm("gain * ", "gain.data * "), "no gradient reaches `gain`"),
        (norm(".to(x.dtype)", ".float()"), "want torch.float64"),
        (norm(ENDS, f"({ENDS}) * (1 + 0.1 * torch.rand(()))"), "random numbers have a part"),
    ],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: {}, None],
)

# ---- 15.3 ----

FORMULA = "self.narrow(F.silu(self.gate(x)) * self.widen(x))"
WIDTH = "round(2 * d_ff / 3)"
GATE = "self.gate = nn.Linear(d_model, width, bias=False)"
WIDEN = "self.widen = nn.Linear(d_model, width, bias=False)"
NARROW = "self.narrow = nn.Linear(width, d_model, bias=False)"


def net(*texts):
    return mutant(SwiGLU, *texts)


def gives(formula):
    """A net with another formula."""
    return net(FORMULA, formula)


def made(line, other):
    """A net with another map."""
    return net(line, other)


class ByHand(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        width = 2 * d_ff // 3
        self.gate, self.widen = (nn.Linear(d_model, width, bias=False) for _ in range(2))
        self.narrow = nn.Linear(width, d_model, bias=False)

    def forward(self, x):
        gate = x @ self.gate.weight.T
        return (gate * torch.sigmoid(gate) * (x @ self.widen.weight.T)) @ self.narrow.weight.T


class ByModules(SwiGLU):
    def __init__(self, d_model, d_ff):
        super().__init__(d_model, d_ff)
        self.activation = nn.SiLU()

    def forward(self, x):
        return self.narrow(self.widen(x).mul(self.activation(self.gate(x))))


class Stub(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.gate, self.widen, self.narrow = ..., ..., ...

    def forward(self, x):
        return ...


SWIGLU = Exercise(
    lesson.check_swiglu,
    right=[SwiGLU, ByHand, ByModules, lambda d_model, d_ff: SwiGLU(d_model, d_ff),
           net(WIDTH, "-(-2 * d_ff // 3)")],
    wrong=[
        (net(WIDTH, "d_ff"), "1.5 times the weights"),
        (net(WIDTH, "d_ff // 2"), "the half"),
        (net(WIDTH, "2 * d_ff"), "want 2/3 of d_ff, 10"),
        (net(WIDTH, "10"), "for d_ff 9"),
        (gives("self.narrow(self.gate(x) * F.silu(self.widen(x)))"), "are swapped"),
        (gives("self.narrow(self.gate(x) * self.widen(x))"), "no activation: want"),
        (gives("self.narrow(F.silu(self.gate(x) * self.widen(x)))"), "after the product"),
        (gives("self.narrow(F.silu(self.gate(x)) * F.silu(self.widen(x)))"), "stands on both"),
        (gives("self.narrow(F.silu(self.gate(x)) + self.widen(x))"), "are added"),
        (gives("self.narrow(torch.sigmoid(self.gate(x)) * self.widen(x))"), "which is GLU"),
        (gives("self.narrow(F.gelu(self.gate(x)) * self.widen(x))"), "GEGLU"),
        (gives("self.narrow(F.relu(self.gate(x)) * self.widen(x))"), "ReGLU"),
        (gives("self.narrow(torch.tanh(self.gate(x)) * self.widen(x))"), "passes tanh"),
        (gives("self.narrow(F.silu(self.gate(x)))"), "widen(x) has no part"),
        (gives("self.narrow(F.silu(self.widen(x)))"), "the gate has no part: silu"),
        (gives("self.narrow(self.widen(x))"), "and there is no activation"),
        (gives("self.narrow(F.silu(self.gate(x)) * self.gate(x))"), "multiplied by itself"),
        (gives("F.silu(self.narrow(self.gate(x) * self.widen(x)))"), "comes after narrow"),
        (gives("F.silu(self.gate(x)) * self.widen(x)"), "still wide"),
        (gives(f"x + {FORMULA}"), "the residual is added inside"),
        (gives(FORMULA.replace("(x)", "(F.rms_norm(x, x.shape[-1:]))")), "normalised first"),
        (gives(FORMULA.replace("(x)", "(F.layer_norm(x, x.shape[-1:]))")), "a LayerNorm first"),
        (gives(f"{FORMULA} * 2"), "Want narrow(silu(gate(x)) * widen(x))"),
        (made(GATE, "self.gate = nn.Linear(d_model, width)"), "self.gate has a bias"),
        (made(NARROW, "self.narrow = nn.Linear(width, d_model)"), "self.narrow has a bias"),
        (made(WIDEN, "self.widen = nn.Linear(d_model, d_ff, bias=False)"), "self.widen maps"),
        (made(NARROW, "self.narrow = nn.Linear(d_ff, d_model, bias=False)"), "self.narrow maps 15"),
        (made(GATE, "self.gate = ..."), "self.gate is still"),
        (made(GATE, "self.gate = None"), "self.gate is missing"),
        (made(WIDEN, "self.widen = self.gate"), "one and the same layer"),
        (net("super().__init__()", "super().__init__(); torch.manual_seed(1)"),
         "begin with the same weights"),
        (gives(FORMULA.replace("self.gate(x)", "self.gate(x).detach()")), "no gradient reaches"),
        (SwiGLU(8, 15), "hand over the class itself"),
        (nn.Identity, "self.gate is missing"),
        (fails, "raised ValueError: no"),
        (endless, "for ever"),
        (lambda *sizes: "seven", "want a class that makes"),
    ],
    stubs=[Stub],
    twins=["self.gate is missing", "raised ValueError: no"],
    hostile=[None, 3],
    is_function=False,
)


class TestAnswers(Answers):
    exercises = (GROUPED, NORM, SWIGLU)

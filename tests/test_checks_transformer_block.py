"""The checks of notebook 10 accept right answers and name each wrong one."""

import math

import judging
import pytest
import torch
import torch.nn.functional as F
from judging import endless, fails, passes, refuses, tells_apart
from torch import nn

from utils.checks import transformer_block as lesson
from utils.training import warmup_rate
from utils.transformer import FeedForward, layer_norm

NAN = float("nan")


# ---- 10.1 ----


def norm(move=None, spread=None, finish=None, dims=-1):
    """An answer to 10.1 of which one step is replaced."""

    def answer(x, gain, bias, eps):
        c = move(x) if move else x - x.mean(dim=dims, keepdim=True)
        v = x.var(dim=dims, keepdim=True, correction=0)
        z = c / (spread(x, v, eps) if spread else (v + eps).sqrt())
        return finish(z, gain, bias) if finish else gain * z + bias

    return answer


def ends(finish):
    """An answer to 10.1 whose gain and bias come in wrongly."""
    return norm(finish=finish)


def unbiased(x):
    return x.var(dim=-1, keepdim=True)


def norm_by_torch(x, gain, bias, eps):
    return F.layer_norm(x, x.shape[-1:], gain, bias, eps)


def norm_by_loops(x, gain, bias, eps):
    rows = []
    for row in x.reshape(-1, x.size(-1)):
        mean = sum(row) / len(row)
        variance = sum((entry - mean) ** 2 for entry in row) / len(row)
        rows.append((row - mean) * torch.rsqrt(variance + eps) * gain + bias)
    return torch.stack(rows).reshape(x.shape)


def norm_by_moments(x, gain, bias, eps):
    mean, square = x.mean(-1, keepdim=True), (x * x).mean(-1, keepdim=True)
    return gain * (x - mean) / torch.sqrt(square - mean**2 + eps) + bias


def norm_for_three_axes(x, gain, bias, eps):
    return norm(dims=2)(x, gain, bias, eps)


def norm_nan_when_flat(x, gain, bias, eps):
    flat = x.var(dim=-1, keepdim=True, correction=0) == 0
    return layer_norm(x, gain, bias, eps).masked_fill(flat, NAN)


def norm_zero_when_flat(x, gain, bias, eps):
    flat = x.var(dim=-1, keepdim=True, correction=0) == 0
    return layer_norm(x, gain, bias, eps).masked_fill(flat, 0.0)


# ---- 10.3 ----


def block(step):
    """An answer to 10.3 from a function of x, look, net, norm1, norm2; look(y) may take k and v."""

    def answer(x, mask, attention, feed_forward, norm1, norm2):
        def look(q, k=None, v=None, mask=mask):
            k = q if k is None else k
            return attention(q, k, k if v is None else v, mask)[0]

        return step(x, look, feed_forward, norm1, norm2)

    return answer


def halves(first, second):
    """A block from a function for each half, f(x, sublayer, norm)."""
    return block(lambda x, look, net, n1, n2: second(first(x, look, n1), net, n2))


def pre(x, f, n):
    return x + f(n(x))


def post(x, f, n):
    return n(x + f(x))


def adds_normed(x, f, n):
    return n(x) + f(n(x))


def no_norm(x, f, n):
    return x + f(x)


def no_residual(x, f, n):
    return f(n(x))


def outside(x, f, n):
    return x + n(f(x))


def nothing(x, f, n):
    return x


def block_in_one_line(x, mask, attention, feed_forward, norm1, norm2):
    return (h := x + attention(norm1(x), norm1(x), norm1(x), mask)[0]) + feed_forward(norm2(h))


def block_by_names(x, mask, attention, feed_forward, norm1, norm2):
    normed = norm1(x)
    output, _ = attention(normed, normed, normed, mask=mask)
    middle = output + x
    return torch.add(feed_forward(norm2(middle)), middle)


def block_without_first(x, mask, attention, feed_forward, norm1, norm2):
    y = norm1(x)
    return x + attention(y, y, y, mask)


def block_with_weights(x, mask, attention, feed_forward, norm1, norm2):
    return block_by_names(x, mask, attention, feed_forward, norm1, norm2), None


def block_masked_only(x, mask, *parts):
    return block_by_names(x, mask, *parts) if mask is not None else x


def mixes_sentences(x, mask, *parts):
    right = block_by_names(x, mask, *parts)
    return right + 0.1 * (right - x).flip(0)


# ---- 10.2 ----


def net(formula=None, widen=None, narrow=None, drop=None):
    """A class for 10.2 of which one piece is replaced. formula(self, x), drop(self, hidden)."""

    class Net(nn.Module):
        def __init__(self, d_model, d_ff, dropout=0.0):
            super().__init__()
            self.widen = (widen or nn.Linear)(d_model, d_ff)
            self.narrow = (narrow or nn.Linear)(d_ff, d_model)
            self.dropout = nn.Dropout(dropout)

        def forward(self, x):
            if formula:
                return formula(self, x)
            hidden = self.widen(x).relu()
            return self.narrow(drop(self, hidden) if drop else self.dropout(hidden))

    return Net


def between(f):
    """A net with another function between the maps."""
    return net(lambda m, x: m.narrow(m.dropout(f(m.widen(x)))))


def right(m, x):
    return m.narrow(m.dropout(m.widen(x).relu()))


class NetByFunctions(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.widen, self.narrow = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.rate = dropout

    def forward(self, x):
        hidden = F.dropout(self.widen(x), self.rate, self.training)
        return F.linear(torch.clamp(hidden, min=0), self.narrow.weight, self.narrow.bias)


class NetBySequence(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.widen, self.narrow = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.dropout = nn.Dropout(dropout)
        self.all = nn.Sequential(self.widen, nn.ReLU(), self.dropout, self.narrow)

    def forward(self, x):
        return self.all(x)


class StubNet(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.widen = ...
        self.narrow = ...
        self.dropout = ...

    def forward(self, x):
        return ...


class HalfStubNet(StubNet):
    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__(d_model, d_ff)
        self.widen = nn.Linear(d_model, d_ff)


class NamelessNet(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.first, self.second = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def forward(self, x):
        return self.second(self.first(x).relu())


class FlatNet(nn.Module):
    """Flattens time before the first map, as wide as the sentence."""

    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.widen = nn.Linear(lesson.SEQ_LEN * d_model, d_ff)
        self.narrow = nn.Linear(d_ff, lesson.SEQ_LEN * d_model)

    def forward(self, x):
        return self.narrow(self.widen(x.flatten(1)).relu()).view_as(x)


def turned(m, x):
    """The time axis is read as features by a reshape."""
    mixed = x.transpose(-2, -1).reshape(x.shape) if x.dim() > 1 else x
    return right(m, mixed)


def mixed_batch(m, x):
    return right(m, x + x.flip(0) if x.dim() > 1 else x)


def three_axes_only(m, x):
    batch, seq_len, d_model = x.shape
    return right(m, x.reshape(batch * seq_len, d_model)).view(batch, seq_len, d_model)


def other_alone(m, x):
    return right(m, x) * (1 if x.dim() > 1 else 2)


def scaled_in_eval(m, x):
    return right(m, x) * (1 if m.training else 1 - m.dropout.p)


# ---- 10.4 ----


def rate(up=None, down=None, factor=None, choose=min, move=0):
    """An answer to 10.4 of which one term is replaced."""

    def answer(step, d_model, warmup):
        step = step + move
        first = down(step, warmup) if down else step**-0.5
        second = up(step, warmup) if up else step * warmup**-1.5
        return (factor(d_model) if factor else d_model**-0.5) * choose(first, second)

    return answer


def rate_by_cases(step, d_model, warmup):
    if step <= warmup:
        return step / warmup / math.sqrt(d_model * warmup)
    return 1 / math.sqrt(d_model * step)


def rate_by_torch(step, d_model, warmup):
    terms = torch.tensor([step**-0.5, step * warmup**-1.5])
    return d_model**-0.5 * terms.min()


def sized(change):
    """The right rate, changed by a function of it and of step, d_model, warmup."""
    return lambda s, d, w: change(warmup_rate(s, d, w), s, d, w)


NORM, BLOCK, NET, RATE = (
    lesson.check_layer_norm,
    lesson.check_encoder_layer,
    lesson.check_feed_forward,
    lesson.check_warmup_rate,
)

RIGHT = [
    (NORM, layer_norm),
    (NORM, norm_by_torch),
    (NORM, norm_by_loops),
    (NORM, norm_by_moments),
    (BLOCK, block_in_one_line),
    (BLOCK, block_by_names),
    (BLOCK, halves(pre, pre)),
    (NET, FeedForward),
    (NET, NetByFunctions),
    (NET, NetBySequence),
    (NET, net()),
    (NET, net(lambda m, x: m.narrow(m.dropout(m.widen(x)).relu()))),
    (RATE, warmup_rate),
    (RATE, rate_by_cases),
    (RATE, rate_by_torch),
    (RATE, rate()),
]

# check, wrong answer, words of its own message
WRONG = [
    (NORM, norm(spread=lambda x, v, e: (unbiased(x) + e).sqrt()), "n - 1: want n"),
    (NORM, norm(spread=lambda x, v, e: v.sqrt() + e), "outside the root: want"),
    (NORM, norm(spread=lambda x, v, e: unbiased(x).sqrt() + e), "two slips"),
    (NORM, norm(spread=lambda x, v, e: v + e), "divides by the variance: want its root"),
    (NORM, norm(spread=lambda x, v, e: unbiased(x) + e), "and that with n - 1"),
    (NORM, norm(spread=lambda x, v, e: v.sqrt()), "ε is missing: a word"),
    (NORM, norm(spread=lambda x, v, e: unbiased(x).sqrt()), "ε is missing, and"),
    (NORM, norm(spread=lambda x, v, e: (v + 1e-5).sqrt()), "fixed at 1e-5"),
    (NORM, norm(spread=lambda x, v, e: (v + e**2).sqrt()), "squared: add eps"),
    (NORM, norm(spread=lambda x, v, e: 1), "nothing divides"),
    (NORM, norm(move=lambda x: x), "only its size"),
    (
        NORM,
        norm(move=lambda x: x, spread=lambda x, v, e: (x.square().mean(-1, True) + e).sqrt()),
        "RMSNorm",
    ),
    (NORM, norm(spread=lambda x, v, e: 1 / (v + e).sqrt()), "multiplies by the standard"),
    (NORM, norm(spread=lambda x, v, e: (v * x.size(-1) + e).sqrt()), "summed, not averaged"),
    (
        NORM,
        norm(spread=lambda x, v, e: (x - x.mean(-1, True)).abs().mean(-1, True) + e),
        "mean distance",
    ),
    (NORM, ends(lambda z, g, b: g * z.softmax(-1) + b), "a softmax"),
    (NORM, norm(dims=-2), "over time (axis -2)"),
    (NORM, norm(dims=1), "over time (axis -2)"),
    (NORM, norm(dims=0), "over the batch (axis 0)"),
    (NORM, norm(dims=(0, 1)), "BatchNorm"),
    (NORM, norm(dims=(-2, -1)), "time and features together"),
    (NORM, norm(dims=(0, 1, 2)), "everything at once"),
    (NORM, norm(move=lambda x: x - x.mean(-2, True)), "the mean is taken over time, the var"),
    (NORM, ends(lambda z, g, b: z), "comes back bare"),
    (NORM, ends(lambda z, g, b: z + b), "the gain is missing"),
    (NORM, ends(lambda z, g, b: g * z), "the bias is missing"),
    (NORM, ends(lambda z, g, b: b * z + g), "are exchanged"),
    (NORM, ends(lambda z, g, b: g * (z + b)), "before the gain multiplies"),
    (NORM, ends(lambda z, g, b: g * z - b), "subtracted: add it"),
    (NORM, ends(lambda z, g, b: g + z + b), "the gain is added"),
    (NORM, ends(lambda z, g, b: (1 + g) * z + b), "1 + gain"),
    (NORM, ends(lambda z, g, b: z / g + b), "divides by the gain"),
    (NORM, lambda x, g, b, e: g * x + b, "nothing is normalised"),
    (
        NORM,
        lambda x, g, b, e: layer_norm(g * x + b, torch.ones_like(g), torch.zeros_like(b), e),
        "come before the normalisation",
    ),
    (NORM, ends(lambda z, g, b: g[:, None] * z + b[:, None]), "its own gain and bias"),
    (NORM, ends(lambda z, g, b: g[:, None] * z + b), "its own gain:"),
    (NORM, ends(lambda z, g, b: g * z + b[:, None]), "its own bias"),
    (NORM, ends(lambda z, g, b: g * z.relu() + b), "has mean"),
    (NORM, ends(lambda z, g, b: 2 * g * z + b), "the mean square of the first"),
    (NORM, ends(lambda z, g, b: g.abs() * z + b), "look at how gain and bias"),
    (NORM, norm(spread=lambda x, v, e: v * NAN), "look at the root"),
    (NORM, lambda x, g, b, e: x.mean(-1), "keepdim=True"),
    (NORM, lambda x, g, b, e: layer_norm(x, g, b, e)[0], "want shape of x"),
    (NORM, norm_for_three_axes, "over time (axis -2)"),
    (NORM, norm_nan_when_flat, "keeps the root from 0"),
    (NORM, norm_zero_when_flat, "come out as the bias"),
    (BLOCK, halves(adds_normed, pre), "the normalised x around attention"),
    (BLOCK, halves(adds_normed, adds_normed), "the normalised x in both"),
    (BLOCK, halves(pre, adds_normed), "the normalised x around feed-forward"),
    (BLOCK, halves(post, post), "this is post-norm, the block of 2017"),
    (BLOCK, halves(post, pre), "around attention this is post-norm"),
    (BLOCK, halves(pre, post), "around feed-forward this is post-norm"),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: post(post(x, look, n1), f, n1)),
        "post-norm, and one norm for both",
    ),
    (BLOCK, halves(no_norm, pre), "norm1 is forgotten"),
    (BLOCK, halves(pre, no_norm), "norm2 is forgotten"),
    (BLOCK, halves(no_norm, no_norm), "no norm is used"),
    (BLOCK, block(lambda x, look, f, n1, n2: pre(pre(x, look, n1), f, n1)), "norm1 serves twice"),
    (BLOCK, block(lambda x, look, f, n1, n2: pre(pre(x, look, n2), f, n2)), "norm2 serves twice"),
    (BLOCK, block(lambda x, look, f, n1, n2: pre(pre(x, look, n2), f, n1)), "are exchanged"),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: x + look(n1(x)) + f(n2(x))),
        "the x from before attention",
    ),
    (BLOCK, block(lambda x, look, f, n1, n2: x + look(n1(x)) + f(n1(x))), "what attention read"),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: x + f(n2(x + look(n1(x))))),
        "the second residual adds the first x",
    ),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: x + f(n2(look(n1(x))))),
        "goes into the feed-forward net without",
    ),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: x + look(n1(x)) + f(n2(look(n1(x))))),
        "without its residual",
    ),
    (BLOCK, halves(no_residual, pre), "residual around attention is missing"),
    (BLOCK, halves(pre, no_residual), "residual around feed-forward is missing"),
    (BLOCK, halves(no_residual, no_residual), "both residuals"),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: pre(x + look(n1(x), mask=None), f, n2)),
        "not handed on",
    ),
    (
        BLOCK,
        lambda x, m, a, f, n1, n2: block_by_names(x, None if m is None else ~m, a, f, n1, n2),
        "turned round",
    ),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: pre(x + look(n1(x), x), f, n2)),
        "only the query is normalised",
    ),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: pre(x + look(x, n1(x)), f, n2)),
        "key and value are normalised",
    ),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: pre(x + look(n1(x), n1(x), x), f, n2)),
        "query and key are normalised",
    ),
    (BLOCK, halves(outside, outside), "on the sub-layers' outputs"),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: pre(pre(x, f, n2), look, n1)),
        "feed-forward comes first",
    ),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: n2(pre(pre(x, look, n1), f, n2))),
        "one norm too many",
    ),
    (BLOCK, block(lambda x, look, f, n1, n2: n1(pre(pre(x, look, n1), f, n2))), "once more at"),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: pre(n1(pre(x, look, n1)), f, n2)),
        "norm1 is applied twice",
    ),
    (BLOCK, halves(pre, nothing), "the feed-forward half is missing"),
    (BLOCK, halves(nothing, pre), "the attention half is missing"),
    (BLOCK, block(lambda x, look, f, n1, n2: x + pre(pre(x, look, n1), f, n2)), "x is added twice"),
    (BLOCK, halves(nothing, nothing), "does nothing"),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: pre(pre(x, look, n1), look, n2)),
        "attention serves twice",
    ),
    (BLOCK, halves(lambda x, f, n: n(x), pre), "where both sub-layers return 0"),
    (BLOCK, halves(pre, lambda x, f, n: x + 2 * f(n(x))), "look at the second half"),
    (BLOCK, halves(lambda x, f, n: x + 2 * f(n(x)), pre), "look at the first half"),
    (
        BLOCK,
        block(lambda x, look, f, n1, n2: pre(pre(x, look, n1), f, n2) + look(n1(x)) * f(n2(x))),
        "each half is right",
    ),
    (BLOCK, block(lambda x, look, f, n1, n2: x + look(x) / 0), "parts you were given"),
    (BLOCK, block_without_first, "take the first"),
    (BLOCK, block_with_weights, "want one tensor"),
    (BLOCK, block_masked_only, "wrong without one"),
    (BLOCK, mixes_sentences, "moves sentence 1"),
    (BLOCK, block(lambda x, look, f, n1, n2: pre(x, look, n1)[0]), "(batch, seq_len, d_model)"),
    (NET, between(lambda h: h), "no activation"),
    (NET, net(lambda m, x: right(m, x).relu()), "two activations"),
    (NET, net(lambda m, x: m.narrow(m.widen(x)).relu()), "comes after narrow"),
    (NET, net(lambda m, x: m.narrow(m.widen(x.relu()))), "comes before widen"),
    (NET, net(lambda m, x: right(m, x.relu())), "x itself passes"),
    (NET, between(F.gelu), "stands GELU"),
    (NET, between(torch.tanh), "stands tanh"),
    (NET, between(torch.sigmoid), "stands sigmoid"),
    (NET, between(F.silu), "stands SiLU"),
    (NET, between(F.elu), "stands ELU"),
    (NET, between(F.leaky_relu), "stands leaky ReLU"),
    (NET, between(lambda h: h.softmax(-1)), "stands softmax"),
    (NET, between(lambda h: -(-h).relu()), "turned round"),
    (NET, between(torch.abs), "absolute values"),
    (NET, between(lambda h: h.relu() ** 2), "squared"),
    (NET, net(lambda m, x: x + right(m, x)), "the residual is added inside"),
    (NET, net(lambda m, x: F.layer_norm(right(m, x), x.shape[-1:])), "stands at the end: AddNorm"),
    (
        NET,
        net(lambda m, x: F.layer_norm(x + right(m, x), x.shape[-1:])),
        "AddNorm does both",
    ),
    (
        NET,
        net(lambda m, x: right(m, F.layer_norm(x, x.shape[-1:]))),
        "before the first map: AddNorm",
    ),
    (NET, net(lambda m, x: right(m, x).mean(1, True).expand_as(x)), "all positions get one mean"),
    (NET, net(lambda m, x: right(m, x.mean(1, True)).expand_as(x)), "words are averaged"),
    (NET, net(turned), "positions mix"),
    (NET, net(mixed_batch), "moves sentence 1"),
    (NET, net(lambda m, x: right(m, torch.ones_like(x))), "where does x come in"),
    (NET, FlatNet, "self.widen maps 30 to 11"),
    (NET, net(lambda m, x: m.widen(x).relu()), "still d_ff wide"),
    (NET, net(lambda m, x: right(m, x)[0]), "want shape of x"),
    (NET, net(widen=lambda i, o: nn.Linear(i, 2 * o), narrow=lambda i, o: nn.Linear(2 * i, o)),
     "self.widen maps 6 to 22"),
    (NET, net(widen=lambda i, o: nn.Linear(i, o, bias=False)), "self.widen has no bias"),
    (NET, net(narrow=lambda i, o: nn.Linear(i, o, bias=False)), "self.narrow has no bias"),
    (NET, net(widen=lambda i, o: nn.Conv1d(i, o, 1)), "no nn.Linear: got Conv1d"),
    (NET, NamelessNet, "missing or no nn.Linear: got NoneType"),
    (NET, HalfStubNet, "self.narrow is still"),
    (NET, between(lambda h: h.relu() / 0), "what stands between"),
    (NET, net(lambda m, x: 2 * right(m, x)), "the first number is"),
    (NET, net(three_axes_only), "fails: nothing needs"),
    (NET, net(other_alone), "comes out differently"),
    (NET, net(drop=lambda m, h: F.dropout(h, m.dropout.p)), "still works in eval"),
    (NET, net(scaled_in_eval), "eval mode gives other numbers"),
    (NET, net(drop=lambda m, h: h), "in training nothing is dropped"),
    (NET, net(lambda m, x: m.dropout(m.narrow(m.widen(x).relu()))), "on the narrow vector"),
    (NET, net(lambda m, x: m.narrow(m.widen(m.dropout(x)).relu())), "dropout stands on x"),
    (
        NET,
        net(lambda m, x: m.narrow(m.widen(x).relu()) + m.dropout(x) - x * m.dropout(x * 0 + 1)
            + (0 if not m.training else m.dropout.p)),
        "must be all 0",
    ),
    (NET, FeedForward(6, 11), "the class itself"),
    (NET, lambda *sizes: nn.functional.relu, "want a class"),
    (RATE, rate(up=lambda s, w: s * w - 1.5), "read as print"),
    (RATE, rate(up=lambda s, w: s * (w - 1.5)), "subtracted from warmup"),
    (RATE, rate(up=lambda s, w: (s * w) ** -1.5), "takes step along"),
    (RATE, rate(choose=max), "max in place of min"),
    (RATE, rate(factor=lambda d: d**0.5), "multiplies by √d_model"),
    (RATE, rate(factor=lambda d: 1), "no part in it: d_model"),
    (RATE, rate(factor=lambda d: 1 / d), "by its root twice"),
    (RATE, rate(factor=lambda d: d**-1 / 2), "binds tighter"),
    (RATE, rate(up=lambda s, w: s * w**-0.5), "is -1.5, not -0.5"),
    (RATE, rate(up=lambda s, w: s / w), "step / warmup"),
    (RATE, rate(up=lambda s, w: s * w**1.5), "only falls"),
    (RATE, rate(up=lambda s, w: s * w**-1 / 2), "half of 1/warmup"),
    (RATE, lambda s, d, w: warmup_rate(s, w, d), "are exchanged"),
    (RATE, lambda s, d, w: warmup_rate(s, d, w) * (2 if w == 9 else 1), "right for d_model 64"),
    (RATE, rate(down=lambda s, w: s**0.5), "the rate never falls"),
    (RATE, rate(down=lambda s, w: 1 / s), "falls as 1/step"),
    (RATE, rate(choose=lambda down, up: down), "only falls"),
    (RATE, rate(choose=lambda down, up: up), "only the rise"),
    (RATE, lambda s, d, w: (d * w) ** -0.5, "a constant rate"),
    (RATE, lambda s, d, w: warmup_rate(min(s, w), d, w), "after the peak the rate stays"),
    (RATE, rate(move=1), "one step ahead"),
    (RATE, lambda s, d, w: warmup_rate(max(s - 1, 1), d, w), "the first two steps"),
    (RATE, lambda s, d, w: 0.0 if s == 1 else warmup_rate(s - 1, d, w), "one step behind"),
    (RATE, rate(move=-1), "do not subtract 1"),
    (RATE, sized(lambda r, s, d, w: r * (d * w) ** -0.5), "the peak rate is multiplied"),
    (RATE, rate(choose=lambda a, b: a + b), "are added"),
    (RATE, rate(choose=lambda a, b: a * b), "are multiplied"),
    (RATE, sized(lambda r, s, d, w: 0.001 * r), "0.001 times the right one"),
    (RATE, sized(lambda r, s, d, w: 0.01 * r), "0.01 times the right one"),
    (RATE, lambda s, d, w: warmup_rate(1 + (s - 1) // 2, d, w), "once in 2 steps"),
    (RATE, lambda s, d, w: warmup_rate(1 + (s - 1) // 100, d, w), "once in 100 steps"),
    (RATE, lambda s, d, w: warmup_rate(1 + s // 7, d, w), "not once an epoch"),
    (RATE, sized(lambda r, s, d, w: 3 * r), "3 times the right one: look"),
    (RATE, sized(lambda r, s, d, w: r if s < w / 2 else r / 9), "falls before step = warmup"),
    (RATE, sized(lambda r, s, d, w: r if s <= w else r * s), "rises after step = warmup"),
    (RATE, sized(lambda r, s, d, w: r * s / w if s <= w else r), "before the peak"),
    (RATE, sized(lambda r, s, d, w: r if s <= w else r * w / s), "after the peak it is"),
    (RATE, lambda s, d, w: torch.tensor([s, w]), "as one number"),
    (RATE, lambda s, d, w: NAN, "the rate is nan"),
]


def changes_input(x, gain, bias, eps):
    x[0] = 0.0
    return layer_norm(x, gain, bias, eps)


def block_in_place(x, mask, attention, feed_forward, norm1, norm2):
    y = norm1(x)
    x += attention(y, y, y, mask)[0]
    return x + feed_forward(norm2(x))


HOSTILE = [
    *judging.HOSTILE,
    (lambda *given: torch.tensor(NAN), "nan|want"),
    (lambda *given: {}, "want"),
    (None, "function itself"),
]


@pytest.mark.parametrize("check, answer", RIGHT)
def test_right_answers(check, answer):
    passes(check, answer)


@pytest.mark.parametrize("check, answer, words", WRONG, ids=lambda part: part if isinstance(
    part, str) else "")
def test_wrong_answers_are_named(check, answer, words):
    refuses(check, answer, words)


# the same mistake written in two ways
TWINS = {"over time (axis -2)", "only falls"}


def test_no_two_mistakes_share_a_message():
    wrong = [row for row in WRONG if row[2] not in TWINS]
    tells_apart(wrong)


@pytest.mark.parametrize("check", [NORM, BLOCK, NET, RATE])
@pytest.mark.parametrize("answer, words", HOSTILE)
def test_hostile_answers(check, answer, words):
    verdict = check(answer)
    assert verdict.passed is False
    assert any(word in verdict.message for word in words.split("|"))


@pytest.mark.parametrize("check, answer", [(NORM, changes_input), (BLOCK, block_in_place)])
def test_a_changed_argument_is_noticed(check, answer):
    verdict = check(answer)
    assert verdict.passed is False and "in place" in verdict.message


@pytest.mark.parametrize("result", [None, 7, NAN, "x", (), fails, endless])
def test_hostile_modules(result):
    """A module that is made and then misbehaves."""
    forward = result if callable(result) else lambda *given: result
    verdict = NET(net(lambda m, x: forward(x)))
    assert verdict.passed is False and "could not be judged" not in verdict.message


def test_a_module_that_changes_its_input():
    def formula(m, x):
        x += 1
        return right(m, x)

    verdict = NET(net(formula))
    assert verdict.passed is False and "in place" in verdict.message


@pytest.mark.parametrize("check", [NORM, BLOCK, NET, RATE])
def test_untouched_stubs(check):
    stub = StubNet if check is NET else lambda *given: ...
    verdict = check(stub)
    assert verdict.passed is None and verdict.message == "not attempted yet"
    assert check(...).passed is None

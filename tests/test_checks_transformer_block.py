"""The checks of lesson 10 accept right answers and name each wrong one."""

import math

import torch
import torch.nn.functional as F
from judging import Answers, Exercise, endless, fails, mutant
from torch import nn

from utils.checks import transformer_block as lesson
from utils.training import warmup_rate
from utils.transformer import FeedForward, layer_norm

NAN = float("nan")

# ---- 10.1 ----

MEAN, SQUARES = "wide.mean(dim=-1, keepdim=True)", "centred.square().mean(dim=-1, keepdim=True)"
ROOT, Z = "(variance + eps).sqrt()", "centred / (variance + eps).sqrt()"
ENDS = f"gain * {Z} + bias"
UNBIASED = "x.var(dim=-1, keepdim=True)"


def norm(*texts):
    return mutant(layer_norm, *texts)


def norm_over(dims):
    """LayerNorm over other axes."""
    return norm(MEAN, f"wide.mean(dim={dims}, keepdim=True)",
                SQUARES, f"centred.square().mean(dim={dims}, keepdim=True)")


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


def norm_by_names(*, x, gain, bias, eps):
    return layer_norm(x, gain, bias, eps)


def when_flat(value):
    """LayerNorm that gives another value for a word of equal features."""

    def answer(x, gain, bias, eps):
        flat = x.var(dim=-1, keepdim=True, correction=0) == 0
        return layer_norm(x, gain, bias, eps).masked_fill(flat, value)

    return answer


def norm_with_memory():
    """Right once; from the second call on it adds what it has seen before."""
    calls = []

    def answer(x, gain, bias, eps):
        calls.append(1)
        return layer_norm(x, gain, bias, eps) + 0.1 * (len(calls) > 12)

    return answer


def changes_input(x, gain, bias, eps):
    x[0] = 0.0
    return layer_norm(x, gain, bias, eps)


def norm_seeded(x, gain, bias, eps):
    torch.manual_seed(3)
    return layer_norm(x, gain, bias, eps)


NORM = Exercise(
    lesson.check_layer_norm,
    right=[layer_norm, norm_by_torch, norm_by_loops, norm_by_names],
    wrong=[
        (norm_by_moments, "loses its digits"),
        (lambda *given: layer_norm(*given).clamp(max=20.0), "Nothing is cut off"),
        (norm(ROOT, "variance.clamp(min=eps).sqrt()"), "taken as the least variance"),
        (norm(ROOT, "(variance.sqrt() + eps**0.5)"), "two roots are added"),
        (norm(SQUARES, UNBIASED), "n - 1: want n"),
        (norm(ROOT, "(variance.sqrt() + eps)"), "outside the root: want"),
        (norm(SQUARES, UNBIASED, ROOT, "(variance.sqrt() + eps)"), "two slips"),
        (norm(ROOT, "(variance + eps)"), "divides by the variance: want its root"),
        (norm(SQUARES, UNBIASED, ROOT, "(variance + eps)"), "and that with n - 1"),
        (norm(ROOT, "variance.sqrt()"), "ε is missing: a word"),
        (norm(SQUARES, UNBIASED, ROOT, "variance.sqrt()"), "ε is missing, and"),
        (norm(ROOT, "(variance + 1e-5).sqrt()"), "fixed at 1e-5"),
        (norm(ROOT, "(variance + 0.1).sqrt()"), "right for gain 1 and bias 0 and 5 words"),
        (norm(ROOT, "(variance + eps**2).sqrt()"), "squared: add eps"),
        (norm(f" / {ROOT}", ""), "nothing divides"),
        (norm("gain * centred", "gain * x"), "only its size"),
        (norm(f"wide - {MEAN}", "wide"), "RMSNorm"),
        (norm(f"/ {ROOT}", f"* {ROOT}"), "multiplies by the standard"),
        (norm(SQUARES, "centred.square().sum(dim=-1, keepdim=True)"), "summed, not averaged"),
        (norm(SQUARES, "centred.abs().mean(dim=-1, keepdim=True)", ROOT, "(variance + eps)"),
         "mean distance"),
        (norm(Z, f"({Z}).softmax(-1)"), "a softmax"),
        (norm(Z, f"({Z}).relu()"), "a ReLU"),
        (norm_over(-2), "over time (axis -2)"),
        (norm_over(1), "over axis 1"),
        (norm_over(2), "over axis 2"),
        (norm_over(0), "over the batch (axis 0)"),
        (norm_over((0, 1)), "BatchNorm"),
        (norm_over((-2, -1)), "time and features together"),
        (norm_over((0, 1, 2)), "axes 0, 1 and 2"),
        (lambda x, g, b, e: g * (x - x.mean()) / (x.var(correction=0) + e).sqrt() + b,
         "everything at once"),
        (norm(ENDS, f"gain * (x - x.mean(dim=-2, keepdim=True)) / {ROOT} + bias"),
         "the mean is taken over time, the var"),
        (norm(ENDS, Z), "comes back bare"),
        (norm("gain * ", ""), "the gain is missing"),
        (norm(" + bias", ""), "the bias is missing"),
        (norm(ENDS, f"bias * {Z} + gain"), "are exchanged"),
        (norm(ENDS, f"gain * ({Z} + bias)"), "before the gain multiplies"),
        (norm("+ bias", "- bias"), "subtracted: add it"),
        (norm("gain * ", "gain + "), "the gain is added"),
        (norm("gain * ", "(1 + gain) * "), "1 + gain"),
        (norm("gain * ", "1 / gain * "), "divides by the gain"),
        (norm(Z, "x"), "nothing is normalised"),
        (lambda x, g, b, e: layer_norm(g * x + b, torch.ones_like(g), torch.zeros_like(b), e),
         "come before the normalisation"),
        (norm("gain * ", "gain[:, None] * ", "+ bias", "+ bias[:, None]"), "its own gain and bias"),
        (norm("gain * ", "gain[:, None] * "), "its own gain:"),
        (norm("+ bias", "+ bias[:, None]"), "its own bias"),
        (norm("gain * ", "2 * gain * "), "mean square σ²"),
        (norm("gain * ", "gain.abs() * "), "Look at how gain and bias come in"),
        (norm(ROOT, "(variance * float('nan')).sqrt()"), "is nan, want"),
        (norm(ENDS, "x.mean(-1)"), "keepdim=True"),
        (norm(ENDS, f"({ENDS})[0]"), "want shape"),
        (when_flat(NAN), "keeps the root from 0"),
        (when_flat(0.0), "comes out as the bias"),
        (norm(Z, f"({Z}).detach()"), "no gradient reaches `x`"),
        (norm(MEAN, f"{MEAN}.detach()"), "the gradient at `x` is not"),
        (norm(SQUARES, f"{SQUARES}.detach()"), "a part of the way is cut off"),
        (norm("gain * ", "gain.data * "), "no gradient reaches `gain`"),
        (norm(ENDS, f"({ENDS}).detach()"), "no gradient reaches any of the arguments"),
        (norm(".to(x.dtype)", ".float()"), "want torch.float64"),
        (norm_seeded, "sets the random state itself"),
        (norm(Z, f"{Z} * (1 + 0.1 * torch.rand(()))"), "random numbers have a part"),
        (changes_input, "in place"),
    ],
    twins=["a part of the way is cut off"],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: {}, None],
)


# ---- 10.2 ----

FORMULA = "self.narrow(self.dropout(self.widen(x).relu()))"
HIDDEN = "self.widen(x).relu()"
WIDEN, NARROW = "nn.Linear(d_model, d_ff)", "nn.Linear(d_ff, d_model)"


def net(*texts):
    return mutant(FeedForward, *texts)


def gives(formula):
    """A net with another formula."""
    return net(FORMULA, formula)


def between(function):
    """A net with another function between the maps."""
    return net(HIDDEN, f"({function})(self.widen(x))")


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
        self.all = nn.Sequential(self.widen, nn.ReLU(), nn.Dropout(dropout), self.narrow)

    def forward(self, x):
        return self.all(x)


class StubNet(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.widen, self.narrow, self.dropout = ..., ..., ...

    def forward(self, x):
        return ...


BY_HAND = "(self.widen(x).relu() * (torch.rand({}) >= self.dropout.p) / {}) if self.training else "
BY_HAND += HIDDEN
STAYS, SHAPE = "(1 - self.dropout.p + 1e-9)", "self.widen(x).shape"
ONE_MASK, ONE_FEATURE = "self.widen(x).shape[1:]", "(*x.shape[:-1], 1)"
ONE_WORD = "(*x.shape[:-2], *[1] * (x.dim() > 1), self.widen.out_features)"

NET = Exercise(
    lesson.check_feed_forward,
    right=[FeedForward, NetByFunctions, NetBySequence, lambda *sizes: FeedForward(*sizes),
           net(f"self.dropout({HIDDEN})", f"({BY_HAND.format(SHAPE, STAYS)})")],
    wrong=[
        (between("lambda h: h"), "no activation"),
        (gives(f"{FORMULA}.relu()"), "two activations"),
        (gives("self.narrow(self.widen(x)).relu()"), "comes after narrow"),
        (gives("self.narrow(self.widen(x.relu()))"), "comes before widen"),
        (gives("self.narrow(self.widen(x.relu()).relu())"), "x itself passes"),
        (between("nn.functional.gelu"), "stands GELU"),
        (between("torch.tanh"), "stands tanh"),
        (between("torch.sigmoid"), "stands sigmoid"),
        (between("nn.functional.silu"), "stands SiLU"),
        (between("nn.functional.elu"), "stands ELU"),
        (between("nn.functional.relu6"), "stands ReLU6"),
        (between("lambda h: h.relu().clamp(max=40.0)"), "ReLU has no upper end"),
        (net("self.dropout = nn.Dropout(dropout)", "self.dropout = nn.Dropout(0.2)"),
         "does your dropout get the rate"),
        (net("super().__init__()", "super().__init__(); torch.manual_seed(1)"),
         "begin with the same weights"),
        (between("nn.functional.leaky_relu"), "stands leaky ReLU"),
        (between("lambda h: h.softmax(-1)"), "stands softmax"),
        (between("lambda h: -(-h).relu()"), "turned round"),
        (between("torch.abs"), "absolute values"),
        (between("lambda h: h.relu() ** 2"), "squared"),
        (gives(f"x + {FORMULA}"), "the residual is added inside"),
        (gives(f"nn.functional.layer_norm({FORMULA}, x.shape[-1:])"), "stands at the end: AddNorm"),
        (gives(f"nn.functional.layer_norm(x + {FORMULA}, x.shape[-1:])"), "AddNorm does both"),
        (net("self.widen(x)", "self.widen(nn.functional.layer_norm(x, x.shape[-1:]))"),
         "before the first map: AddNorm"),
        (gives(f"{FORMULA}.mean(1, True).expand_as(x)"), "all positions get one mean"),
        (net("self.widen(x)", "self.widen(x.mean(1, True).expand_as(x))"), "words are averaged"),
        (net("self.widen(x)", "self.widen(x.mT.reshape(x.shape))"), "moves word 0, and must not"),
        (net("self.widen(x)", "self.widen(x + x.flip(0))"), "moves sentence 0, and must not"),
        (net("self.widen(x)", "self.widen(torch.ones_like(x))"), "`x` has no part"),
        (net(WIDEN, "nn.Linear(5 * d_model, d_ff)", NARROW, "nn.Linear(d_ff, 5 * d_model)"),
         "self.widen maps 30 to 11"),
        (gives(HIDDEN), "still d_ff wide"),
        (gives(f"{FORMULA}[0]"), "want shape"),
        (net(WIDEN, "nn.Linear(d_model, 2 * d_ff)", NARROW, "nn.Linear(2 * d_ff, d_model)"),
         "self.widen maps 6 to 22"),
        (net(WIDEN, "nn.Linear(d_model, 11)"), "self.widen maps 4 to 11"),
        (net("nn.Dropout(dropout)", "nn.AlphaDropout(dropout)"), "no entry becomes 0"),
        (net(WIDEN, "nn.Linear(d_model, d_ff, bias=False)"), "self.widen has no bias"),
        (net(NARROW, "nn.Linear(d_ff, d_model, bias=False)"), "self.narrow has no bias"),
        (net(WIDEN, "nn.Conv1d(d_model, d_ff, 1)"), "no nn.Linear: got Conv1d"),
        (net("self.widen = ", "self.first = "), "missing or no nn.Linear: got NoneType"),
        (net(NARROW, "..."), "self.narrow is still"),
        (gives(f"{FORMULA} / 0"), "(some step divides by 0"),
        (gives(f"2 * {FORMULA}"), "Want narrow(relu(widen(x)))"),
        (gives(f"{FORMULA}.view(len(x), -1, x.size(-1))"), "is invalid for input of size 6"),
        (gives(f"{FORMULA} * (1 if x.dim() > 1 else 2)"), "is another): result[0] (feature 0)"),
        (gives(f"{FORMULA}.squeeze()"), "for one sentence of one word (only `x` is another): want"),
        (gives(f"{FORMULA}.view(2, 5, 6)"), "right for a batch, but for other sizes"),
        (net("self.dropout(", "nn.functional.dropout(", "relu())", "relu(), self.dropout.p)"),
         "still works in eval"),
        (gives(f"{FORMULA} * (1 if self.training else 1 - self.dropout.p)"),
         "Nothing may be dropped or scaled there"),
        (gives(f"self.narrow({HIDDEN})"), "in training nothing is dropped: put"),
        (gives(f"self.dropout(self.narrow({HIDDEN}))"), "on the narrow vector"),
        (gives("self.narrow(self.widen(self.dropout(x)).relu())"), "dropout stands on x"),
        (gives(f"self.narrow({HIDDEN}) + self.dropout.p * self.training"), "must be all 0"),
        (net("nn.Dropout(dropout)", "nn.Dropout(1 - dropout)"), "the share that goes, not"),
        (net("nn.Dropout(dropout)", "nn.Dropout(0.5 if 0 < dropout < 1 else dropout)"),
         "at a rate of 0.2 the share 0.5"),
        (net(f"self.dropout({HIDDEN})", f"({BY_HAND.format(SHAPE, '1')})"), "so that the mean"),
        (net(f"self.dropout({HIDDEN})", f"({BY_HAND.format(ONE_MASK, STAYS)})"),
         "all sentences lose the same"),
        (net(f"self.dropout({HIDDEN})", f"({BY_HAND.format(ONE_WORD, STAYS)})"),
         "all words of a sentence lose"),
        (net(f"self.dropout({HIDDEN})", f"({BY_HAND.format(ONE_FEATURE, STAYS)})"),
         "whole words are dropped"),
        (net("return self", "torch.manual_seed(0)\n        return self"), "random state itself"),
        (net("return self", "self.dropout.p = 0.0\n        return self"), "the dropout rate of"),
        (net("return self", "self.eval()\n        return self"), "the mode (train or eval)"),
        (gives(f"{FORMULA}.detach()"), "no gradient reaches any of the arguments"),
        (net(HIDDEN, f"{HIDDEN}.detach()"), "no gradient reaches `widen.weight` and"),
        (net("self.widen(x)", "self.widen(x.data)"), "no gradient reaches `x`"),
        (net("nn.Dropout(dropout)", "nn.Dropout(dropout); self.widen.requires_grad_(False)"),
         "is frozen"),
        (FeedForward(6, 11), "the class itself"),
        (lambda *sizes: nn.functional.relu, "want a class"),
        (gives("x.add_(1)"), "in place"),
    ],
    stubs=[StubNet],
    hostile=[net(f"return {FORMULA}", f"return {text}") for text in ("None", "7", "'x'", "()")]
    + [net(FORMULA, "x.sum()"), fails, endless],
    is_function=False,
)


# ---- 10.3 ----

def block(x, mask, attention, feed_forward, norm1, norm2):
    y = norm1(x)
    z = x + attention(y, y, y, mask)[0]
    return z + feed_forward(norm2(z))


def block_in_one_line(x, mask, attention, feed_forward, norm1, norm2):
    return (h := x + attention(norm1(x), norm1(x), norm1(x), mask)[0]) + feed_forward(norm2(h))


def block_by_names(x, mask, attention, feed_forward, norm1, norm2):
    normed = norm1(x)
    output, _ = attention(query=normed, key=normed, value=normed, mask=mask)
    middle = output + x
    return torch.add(feed_forward(norm2(middle)), middle)


FIRST, SECOND = "x + attention(y, y, y, mask)[0]", "z + feed_forward(norm2(z))"
LOOK = "attention(y, y, y, mask)[0]"


def half(*texts):
    return mutant(block, *texts)


BLOCK = Exercise(
    lesson.check_encoder_layer,
    right=[block, block_in_one_line, block_by_names],
    wrong=[
        (half(FIRST, f"y + {LOOK}"), "the normalised x around attention"),
        (half(FIRST, f"y + {LOOK}", SECOND, "norm2(z) + feed_forward(norm2(z))"),
         "the normalised x in both"),
        (half(SECOND, "norm2(z) + feed_forward(norm2(z))"), "the normalised x around feed-forward"),
        (half("norm1(x)", "x", FIRST, f"norm1({FIRST})", SECOND, "norm2(z + feed_forward(z))"),
         "this is post-norm, the block of 2017"),
        (half("norm1(x)", "x", FIRST, f"norm1({FIRST})"), "around attention this is post-norm"),
        (half(SECOND, "norm2(z + feed_forward(z))"), "around feed-forward this is post-norm"),
        (half("norm1(x)", "x", FIRST, f"norm1({FIRST})", SECOND, "norm1(z + feed_forward(z))"),
         "post-norm, and one norm for both"),
        (half("norm1(x)", "x"), "norm1 is forgotten"),
        (half(LOOK, LOOK.replace("mask", "mask if mask is None else mask[:1]")),
         "gets the mask of sentence 0"),
        (half("norm1(x)", "x", FIRST, f"x + norm1({LOOK})"), "stands on attention's output"),
        (half("norm2(z)", "z"), "norm2 is forgotten"),
        (half("norm1(x)", "x", "norm2(z)", "z"), "no norm is used"),
        (half("norm2(z)", "norm1(z)"), "norm1 serves twice"),
        (half("norm1(x)", "norm2(x)"), "norm2 serves twice"),
        (half("norm1(x)", "norm2(x)", "norm2(z)", "norm1(z)"), "are exchanged"),
        (half("norm2(z)", "norm2(x)"), "the x from before attention"),
        (half("norm2(z)", "y"), "what attention read"),
        (half(SECOND, "x + feed_forward(norm2(z))"), "the second residual adds the first x"),
        (half(FIRST, LOOK, SECOND, "x + feed_forward(norm2(z))"),
         "goes into the feed-forward net without"),
        (half("norm2(z)", f"norm2({LOOK})"), "without its residual"),
        (half(FIRST, LOOK), "residual around attention is missing"),
        (half(SECOND, "feed_forward(norm2(z))"), "residual around feed-forward is missing"),
        (half(FIRST, LOOK, SECOND, "feed_forward(norm2(z))"), "both residuals"),
        (half("y, mask)", "y, None)"), "not handed on"),
        (half("y, mask)", "y, torch.ones(1, *[x.size(1)] * 2).bool().tril())"), "built in"),
        (half("y, mask)", "y, past if mask is None else mask & past)", "y = norm1(x)",
              "y, past = norm1(x), torch.ones(x.size(1), x.size(1)).bool().tril()"), "and no more"),
        (half("y, mask)", "y, None if mask is None else ~mask)"), "turned round"),
        (half("(y, y, y", "(y, x, x"), "only the query is normalised"),
        (half("(y, y, y", "(x, y, y"), "key and value are normalised"),
        (half("(y, y, y", "(y, y, x"), "query and key are normalised"),
        (half("norm1(x)", "x", LOOK, f"norm1({LOOK})", "feed_forward(norm2(z))",
              "norm2(feed_forward(z))"), "on the sub-layers' outputs"),
        (half("norm1(x)", "norm1(x + feed_forward(norm2(x)))", FIRST,
              f"x + feed_forward(norm2(x)) + {LOOK}", SECOND, "z"), "feed-forward comes first"),
        (half(SECOND, f"norm2({SECOND})"), "one norm too many"),
        (half(SECOND, f"norm1({SECOND})"), "once more at"),
        (half(FIRST, f"norm1({FIRST})"), "norm1 is applied twice"),
        (half(SECOND, "z"), "the feed-forward half is missing"),
        (half(FIRST, "x"), "the attention half is missing"),
        (half(SECOND, f"x + {SECOND}"), "x is added twice"),
        (half(SECOND, "x"), "does nothing"),
        (half("feed_forward(norm2(z))", "attention(norm2(z), norm2(z), norm2(z), mask)[0]"),
         "attention serves twice"),
        (half(FIRST, "y"), "where both sub-layers return 0"),
        (half(SECOND, "z + 2 * feed_forward(norm2(z))"), "look at the second half"),
        (half(LOOK, f"2 * {LOOK}"), "look at the first half"),
        (half(SECOND, f"{SECOND} + {LOOK} * feed_forward(norm2(x))"), "each half is right"),
        (half(FIRST, f"{FIRST} / 0"), "0/0, inf - inf"),
        (half("mask)[0]", "mask)"), "take the first"),
        (half(SECOND, f"{SECOND}, None"), "want one tensor"),
        (half(SECOND, f"{SECOND} if mask is not None else x"), "only `mask` is another"),
        (half(SECOND, f"{SECOND} + 0.1 * (z - x).flip(0)"), "moves sentence 0, and must not"),
        (half(SECOND, f"({SECOND})[0]"), "want shape"),
        (half("y, mask)", "y, mask if mask is None else mask.view(2, 1, 5))"),
         "but for other sizes"),
        (half(SECOND, f"({SECOND}).detach()"), "no gradient reaches any of the arguments"),
        (half(LOOK, f"{LOOK}.detach()"), "no gradient reaches `attention.*` and"),
        (half("norm2(z)", "norm2(z.detach())"), "the gradient at `x` is not"),
        (half(FIRST, f"x.add_({LOOK})"), "in place"),
    ],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: {}, None],
)


# ---- 10.4 ----

TERMS, UP, DOWN = "min(step**-0.5, step * warmup**-1.5)", "step * warmup**-1.5", "(step**-0.5,"
RULE = f"d_model**-0.5 * {TERMS}"


def rate(*texts):
    return mutant(warmup_rate, *texts)


def rule(text):
    return rate(RULE, text)


def rate_by_cases(step, d_model, warmup):
    if step <= warmup:
        return step / warmup / math.sqrt(d_model * warmup)
    return 1 / math.sqrt(d_model * step)


def rate_by_torch(step, d_model, warmup):
    terms = torch.tensor([step**-0.5, step * warmup**-1.5])
    return d_model**-0.5 * terms.min()


RATE = Exercise(
    lesson.check_warmup_rate,
    right=[warmup_rate, rate_by_cases, rate_by_torch, lambda *given: rate_by_torch(*given).numpy()],
    wrong=[
        (rate(UP, "step * warmup - 1.5"), "read as print"),
        (rate(UP, "step * (warmup - 1.5)"), "subtracted from warmup"),
        (rate(UP, "(step * warmup)**-1.5"), "takes step along"),
        (rate("min(", "max("), "max in place of min"),
        (rate("d_model**-0.5", "d_model**0.5"), "multiplies by √d_model"),
        (rule(TERMS), "no part in it: d_model"),
        (rate("d_model**-0.5", "1 / d_model"), "by its root twice"),
        (rate("d_model**-0.5", "d_model**-1 / 2"), "binds tighter"),
        (rate("-1.5", "-0.5"), "is -1.5, not -0.5"),
        (rate(UP, "step / warmup"), "step / warmup"),
        (rate("-1.5", "1.5"), "only falls"),
        (rate("-1.5", "-1 / 2"), "half of 1/warmup"),
        (lambda s, d, w: warmup_rate(s, w, d), "are exchanged"),
        (lambda s, d, w: warmup_rate(s, d, w) * (2 if w == 9 else 1), "for step 1, d_model 24"),
        (lambda s, d, w: warmup_rate(s, 64, w), "64 stands in place of d_model"),
        (lambda s, d, w: warmup_rate(s, d, 4000), "4000 stands in place of warmup"),
        (lambda s, d, w: warmup_rate(s, d, w) if w > 9 else 1.0, "Is a size or a number written"),
        (rate(DOWN, "(step**0.5,"), "the rate never falls"),
        (rate(DOWN, "(1 / step,"), "falls as 1/step"),
        (rule("d_model**-0.5 * step**-0.5"), "only falls"),
        (rule(f"d_model**-0.5 * {UP}"), "only the rise"),
        (rule("(d_model * warmup) ** -0.5"), "a constant rate"),
        (lambda s, d, w: warmup_rate(min(s, w), d, w), "after the peak the rate stays"),
        (lambda s, d, w: warmup_rate(s + 1, d, w), "one step ahead"),
        (lambda s, d, w: warmup_rate(max(s - 1, 1), d, w), "the first two steps"),
        (lambda s, d, w: 0.0 if s == 1 else warmup_rate(s - 1, d, w), "one step behind"),
        (lambda s, d, w: (s - 1) ** -0.5, "do not subtract 1"),
        (rate("d_model**-0.5", "d_model**-0.5 * (d_model * warmup) ** -0.5"), "the peak rate is"),
        (rule(f"d_model**-0.5 * (step**-0.5 + {UP})"), "are added"),
        (rule(f"d_model**-0.5 * step**-0.5 * {UP}"), "are multiplied"),
        (rule(f"0.001 * {RULE}"), "0.001 times the right one"),
        (rule(f"1.0004 * {RULE}"), "every rate is 1.0004 times the right one"),
        (rule(f"3 * {RULE}"), "3 times the right one: look"),
        (lambda s, d, w: warmup_rate(1 + (s - 1) // 2, d, w), "once in 2 steps"),
        (lambda s, d, w: warmup_rate(1 + (s - 1) // 100, d, w), "once in 100 steps"),
        (lambda s, d, w: warmup_rate(1 + s // 7, d, w), "not once an epoch"),
        (rule(f"{RULE} / (1 if step < warmup / 2 else 9)"), "from step 3 to step 20 it falls"),
        (rule(f"{RULE} * (1 if step <= warmup else step)"), "from step 40 to step 41 it rises"),
        (rule(f"{RULE} * min(step / warmup, 1)"), "before the peak it is"),
        (rule(f"{RULE} * min(warmup / step, 1)"), "after the peak it is"),
        (lambda s, d, w: torch.tensor([s, w]), "as one number"),
        (lambda s, d, w: NAN, "the rate is nan"),
    ],
    twins=["only falls"],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: {}, None],
)


class TestAnswers(Answers):
    exercises = (NORM, NET, BLOCK, RATE)

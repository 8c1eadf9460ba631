"""The checks of notebook 10: LayerNorm, the feed-forward net, the pre-norm block, warm-up."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.attention import MultiHeadAttention, causal_mask
from utils.checks.core import Mistake, NotAttempted, call, exercise
from utils.checks.kinds import (
    agree,
    as_dtype,
    case,
    forward,
    judge_birth,
    judge_dropped,
    want_trainable,
)
from utils.checks.results import difference, two_numbers
from utils.training import warmup_rate
from utils.transformer import FeedForward, LayerNorm, layer_norm

# All different. LayerNorm is judged on T = D as well, where a wrong axis runs and can be named.
BATCH, N_HEADS, SEQ_LEN, D_MODEL, D_FF = 2, 3, 5, 6, 11
EPS = 0.1
WORDS = {"the result": ("sentence", "word", "feature"), "x": ("sentence", "word", "")}


# ---- 10.1 ----


@exercise("10.1")
def check_layer_norm(answer) -> str:
    """The axis, the variance, epsilon, gain and bias; other sizes; a word of equal features."""

    def norm_case(words: str, *shape: int, eps: float = EPS, hint: str = "", spread: float = 0.3):
        x = spread * torch.randn(shape) + 1
        return case(words, x, *torch.randn(2, shape[-1]), eps, hint=hint)

    plain = case("gain 1 and bias 0", 0.3 * torch.randn(BATCH, 5, 5) + 1, torch.ones(5),
                 torch.zeros(5), EPS)
    high = 0.3 * torch.randn(2, 3, 4).double() + 1e5, *torch.randn(2, 4).double(), EPS
    ends = "from the end (-1) the features are always the last axis"
    agree(answer, layer_norm, [
        plain,
        norm_case("5 words of 5 features", BATCH, 5, 5, hint="look at how gain and bias come in"),
        norm_case("7 words of 4 features and another ε", 3, 7, 4, eps=0.02),
        norm_case("four axes", BATCH, N_HEADS, 7, 5, hint=f"count axes {ends}"),
        norm_case("one word alone", 5, hint=f"count axes {ends}"),
        norm_case("a word whose features are all equal", 1, 2, 4, spread=0.0,
                  hint="its variance is 0, ε keeps the root from 0, and it comes out as the bias"),
        case("a gain and a bias of some hundreds", 0.3 * torch.randn(2, 3, 4) + 1,
             *torch.tensor([[400.0, -500, 300, 200], [300, 200, -400, -100]]), EPS,
             hint="nothing is cut off"),
        as_dtype(plain, torch.float64, "the first numbers as float64", "take the type of x"),
        case("features near 100000", *high, hint="the difference of two large numbers loses its "
             "digits: subtract the mean first, and square what is left"),
    ], norm_mistakes(), axes=WORDS, float64=False, advice="With gain 1 and bias 0 "
        "each word must come out with mean 0 and mean square σ² / (σ² + ε)")
    return "Each word by itself, σ² with n, ε inside the root"


def norm_mistakes() -> list[tuple[Callable, str]]:
    """LayerNorm with one step wrong, and what to say then."""

    def c(x, dim=-1):
        return x - x.mean(dim, keepdim=True)

    def v(x, dim=-1, correction=0):
        return x.var(dim, keepdim=True, correction=correction)

    def norm(x, e, dim=-1):
        return c(x, dim) / (v(x, dim) + e).sqrt()

    def square(x):
        return x.square().mean(-1, keepdim=True)

    normalised = [
        (lambda x, e: c(x) / (v(x, -1, 1) + e).sqrt(), "the variance divides by n - 1: want n, "
         "the biased variance (torch's var and std take n - 1 unless told correction=0)"),
        (lambda x, e: c(x) / (v(x).sqrt() + e), "ε stands outside the root: want "
         "(variance + eps).sqrt()"),
        (lambda x, e: c(x) / (v(x, -1, 1).sqrt() + e), "two slips: the variance divides by n - 1, "
         "and ε stands outside the root"),
        (lambda x, e: c(x) / (v(x) + e), "it divides by the variance: want its root, the standard "
         "deviation"),
        (lambda x, e: c(x) / (v(x, -1, 1) + e), "it divides by the variance, and that with n - 1: "
         "want the root of the variance with n"),
        (lambda x, e: c(x) / v(x).sqrt(), "ε is missing: a word of equal features gives 0/0"),
        (lambda x, e: c(x) / v(x, -1, 1).sqrt(), "ε is missing, and the variance divides by n - 1"),
        (lambda x, e: c(x) / (v(x) + 1e-5).sqrt(), "ε is fixed at 1e-5: want the argument eps"),
        (lambda x, e: c(x) / (v(x) + e**2).sqrt(), "ε is squared: add eps itself to the variance"),
        (lambda x, e: c(x) / v(x).clamp(min=e).sqrt(), "ε is taken as the least variance: add it"),
        (lambda x, e: c(x) / (v(x).sqrt() + e**0.5), "two roots are added, of the variance and of "
         "ε: want one root, of their sum"),
        (lambda x, e: c(x) / (c(x).abs().mean(-1, keepdim=True).square() + e).sqrt(), "the mean "
         "distance is squared: the variance is the mean of the squares"),
        (lambda x, e: c(x), "the mean is subtracted, but nothing divides by the standard "
         "deviation"),
        (lambda x, e: x / (v(x) + e).sqrt(), "the mean is not subtracted from x: only its size is "
         "set"),
        (lambda x, e: x / (square(x) + e).sqrt(), "the mean is not subtracted: x is divided by "
         "the root of its mean square, which is RMSNorm"),
        (lambda x, e: c(x) * (v(x) + e).sqrt(), "it multiplies by the standard deviation: divide"),
        (lambda x, e: c(x) / (v(x) * x.size(-1) + e).sqrt(), "the squares are summed, not "
         "averaged: variance is their mean"),
        (lambda x, e: c(x) / (c(x).abs().mean(-1, keepdim=True) + e), "it divides by the mean "
         "distance: want the root of the mean square"),
        (lambda x, e: norm(x, e).softmax(-1), "there is a softmax in it: LayerNorm has none"),
        (lambda x, e: norm(x, e).relu(), "there is a ReLU in it: LayerNorm has none"),
        (lambda x, e: norm(x, e, -2), "mean and variance are taken over time (axis -2): word by "
         "word, each over its own features"),
        (lambda x, e: norm(x, e, 1), "mean and variance are taken over axis 1: it is time where x "
         "has three axes. Count from the end, -1"),
        (lambda x, e: norm(x, e, 2), "mean and variance are taken over axis 2, which is not always "
         "the last: count from the end, -1"),
        (lambda x, e: norm(x, e, 0), "mean and variance are taken over the batch (axis 0): a "
         "sentence must not feel its neighbours. Want the features, axis -1"),
        (lambda x, e: norm(x, e, (0, 1)), "mean and variance are taken over batch and time, as "
         "BatchNorm does: want the features, axis -1"),
        (lambda x, e: norm(x, e, (-2, -1)), "mean and variance are taken over time and features "
         "together: each word has its own"),
        (lambda x, e: norm(x, e, tuple(range(x.dim()))), "mean and variance are taken over "
         "everything at once: each word has its own"),
        (lambda x, e: norm(x, e, (0, 1, 2)), "mean and variance are taken over axes 0, 1 and 2, "
         "everything that a batch of sentences has: each word has its own"),
        (lambda x, e: c(x, -2) / (v(x) + e).sqrt(), "the mean is taken over time, the variance "
         "over features: both over features"),
    ]
    return [
        *((lambda x, g, b, e, f=f: g * f(x, e) + b, words) for f, words in normalised),
        (lambda x, g, b, e: norm(x, e), "gain and bias are missing: the normalised x comes back "
         "bare"),
        (lambda x, g, b, e: norm(x, e) + b, "the gain is missing: it multiplies each feature"),
        (lambda x, g, b, e: g * norm(x, e), "the bias is missing: it is added last"),
        (lambda x, g, b, e: b * norm(x, e) + g, "gain and bias are exchanged: the gain "
         "multiplies, the bias is added"),
        (lambda x, g, b, e: g * (norm(x, e) + b), "the bias is added before the gain multiplies: "
         "it comes last"),
        (lambda x, g, b, e: g * norm(x, e) - b, "the bias is subtracted: add it"),
        (lambda x, g, b, e: g + norm(x, e) + b, "the gain is added: it multiplies"),
        (lambda x, g, b, e: (1 + g) * norm(x, e) + b, "the gain is taken as 1 + gain: it "
         "multiplies as it is"),
        (lambda x, g, b, e: norm(x, e) / g + b, "it divides by the gain: multiply"),
        (lambda x, g, b, e: g * x + b, "nothing is normalised: gain and bias act on x itself"),
        (lambda x, g, b, e: norm(g * x + b, e), "gain and bias come before the normalisation, "
         "which undoes them: they come after"),
        (lambda x, g, b, e: g[:, None] * norm(x, e) + b[:, None], "each position has its own gain "
         "and bias: they belong to the features, one each, the same at all positions"),
        (lambda x, g, b, e: g[:, None] * norm(x, e) + b, "each position has its own gain: gains "
         "belong to features"),
        (lambda x, g, b, e: g * norm(x, e) + b[:, None], "each position has its own bias: biases "
         "belong to features"),
        (lambda x, g, b, e: x.mean(-1), "the features are gone: this is one number for each word. "
         "Use keepdim=True, and return the normalised x"),
    ]


# ---- 10.2 ----


@exercise("10.2")
def check_feed_forward(answer) -> str:
    """The two maps, the formula, positions, dropout in training and in eval mode."""
    net, other = make_net(answer, D_MODEL, D_FF, 0.0), make_net(answer, 4, 9, 0.0)
    judge_maps(net, D_MODEL, D_FF)
    judge_maps(other, 4, 9)
    judge_birth(lambda: make_net(answer, D_MODEL, D_FF, 0.0))
    in_eval = make_net(answer, D_MODEL, D_FF, 0.5).eval()
    x = torch.randn(BATCH, SEQ_LEN, D_MODEL)
    agree(forward, right_net, [
        case("a batch", net.eval(), x),
        case("other sizes", other.eval(), torch.randn(3, 2, 4)),
        case("features of some hundreds", net, 300 * x, hint="a ReLU has no upper end: max(0, h)"),
        case("one word without batch and time", net, torch.randn(D_MODEL), hint="nothing needs to "
             "be reshaped, and nn.Dropout drops single numbers, whatever the axes"),
        case("one sentence of one word", net, torch.randn(1, 1, D_MODEL), hint="all axes stay"),
        case("dropout=0 in training", copy.deepcopy(net).train(), x, hint="at a rate of 0 nothing "
             "is dropped: does your dropout get the rate that __init__ was given?"),
        case("dropout=0.5 in eval mode", in_eval, torch.randn(BATCH, SEQ_LEN, D_MODEL),
             hint="nothing may be dropped or scaled there: nn.Dropout knows the mode, F.dropout "
             "needs training=self.training"),
    ], net_mistakes(), axes=WORDS, advice="Want narrow(relu(widen(x)))")
    want_trainable(net)
    judge_dropout(answer)
    return "Each position by itself, one ReLU, and dropout only in training"


def right_net(net, x: Tensor) -> Tensor:
    """What it should give without dropout, from its own two maps."""
    return net.narrow(net.widen(x).relu())


def make_net(answer, d_model: int, d_ff: int, dropout: float) -> nn.Module:
    """Build the learner's module; it must be one, with both maps filled in."""
    if answer is ...:
        raise NotAttempted
    if isinstance(answer, nn.Module):
        raise Mistake("hand over the class itself, without sizes: it is made here")
    net = call(answer, d_model, d_ff, dropout)
    if not isinstance(net, nn.Module):
        raise Mistake(f"want a class that makes an nn.Module, got {type(net).__name__}")
    parts = {name: getattr(net, name, None) for name in ("widen", "narrow")}
    if all(part is ... for part in parts.values()):
        raise NotAttempted
    for name, part in parts.items():
        if part is ...:
            raise Mistake(f"self.{name} is still ...: want a linear map")
        if not isinstance(part, nn.Linear):
            raise Mistake(f"self.{name} is missing or no nn.Linear: got {type(part).__name__}")
    return net


def judge_maps(net: nn.Module, d_model: int, d_ff: int) -> None:
    """Sizes and biases of both maps."""
    for name, n_in, n_out in (("widen", d_model, d_ff), ("narrow", d_ff, d_model)):
        linear = getattr(net, name)
        sizes = linear.in_features, linear.out_features
        if sizes != (n_in, n_out):
            raise Mistake(f"self.{name} maps {sizes[0]} to {sizes[1]}: want {n_in} to {n_out}")
        if linear.bias is None:
            raise Mistake(f"self.{name} has no bias: equation 2 of the paper has b₁ and b₂")


def net_mistakes() -> list[tuple[Callable, str]]:
    """A net with one thing wrong, and what to say then."""

    def normed(x):
        return F.layer_norm(x, x.shape[-1:])

    def mean(x):
        return x.mean(dim=1, keepdim=True).expand_as(x)

    def rate_of(net):
        return next((part.p for part in net.modules() if isinstance(part, nn.Dropout)), 0.0)

    other = {"GELU": F.gelu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "SiLU": F.silu,
             "ELU": F.elu, "ReLU6, which ends at 6": F.relu6,
             "leaky ReLU": F.leaky_relu, "softmax": lambda h: h.softmax(-1)}
    between = [(f, f"between the maps stands {name}: the paper of 2017 has a ReLU")
               for name, f in other.items()] + [
        (lambda h: h, "no activation: without the ReLU the two maps are one linear map"),
        (lambda h: -(-h).relu(), "the ReLU is turned round: it must cut the negative numbers"),
        (torch.abs, "absolute values stand between the maps: a ReLU sets negative numbers to 0"),
        (lambda h: h.relu() ** 2, "the ReLU is squared: the paper of 2017 has a plain one"),
    ]
    known = [(lambda n, x, f=f: n.narrow(f(n.widen(x))), words) for f, words in between]
    return [
        *known,
        (lambda n, x: n.narrow(F.dropout(n.widen(x).relu(), rate_of(n))), "dropout still works in "
         "eval mode: use nn.Dropout, which knows the mode (F.dropout needs "
         "training=self.training)"),
        (lambda n, x: n.narrow(n.widen(x).relu() * (not n.training)), "with dropout=0 all of the "
         "wide vector is dropped in training: `dropout` is the share that goes, not the share that "
         "stays (is there a 1 - dropout?)"),
        (lambda n, x: n.widen(x).relu(), "the result is still d_ff wide: narrow it to d_model "
         "again"),
        (lambda n, x: right_net(n, x).relu(), "two activations: after narrow the numbers must be "
         "free to be negative"),
        (lambda n, x: n.narrow(n.widen(x)).relu(), "the ReLU comes after narrow: it belongs "
         "between the two maps"),
        (lambda n, x: n.narrow(n.widen(x.relu())), "the ReLU comes before widen: it belongs "
         "between the maps"),
        (lambda n, x: right_net(n, x.relu()), "x itself passes a ReLU first: one is enough, "
         "between the maps"),
        (lambda n, x: x + right_net(n, x), "the residual is added inside: AddNorm does that, here "
         "it would count twice"),
        (lambda n, x: normed(right_net(n, x)), "a LayerNorm stands at the end: AddNorm does that"),
        (lambda n, x: normed(x + right_net(n, x)), "residual and LayerNorm stand inside: AddNorm "
         "does both"),
        (lambda n, x: right_net(n, normed(x)), "a LayerNorm stands before the first map: AddNorm "
         "does that"),
        (lambda n, x: mean(right_net(n, x)), "all positions get one mean over time: positions "
         "must not mix"),
        (lambda n, x: right_net(n, mean(x)), "the words are averaged over time before the first "
         "map: positions must not mix"),
    ]


def judge_dropout(answer) -> None:
    """A rate of 1 shows where dropout stands; maps that hand ones on show what it draws."""
    x = torch.randn(BATCH, SEQ_LEN, D_MODEL)
    try:
        agree(forward, lambda net, x: net.narrow(torch.zeros(*x.shape[:-1], D_FF)), [
            case("dropout=1 in training", make_net(answer, D_MODEL, D_FF, 1.0).train(), x),
        ], [
            (right_net, "in training nothing is dropped: put self.dropout on the wide vector"),
            (lambda net, x: torch.zeros_like(x), "dropout stands at the end, on the narrow vector: "
             "want it on the wide one, after the ReLU"),
            (lambda net, x: right_net(net, torch.zeros_like(x)), "dropout stands on x, before the "
             "first map: want it on the wide vector, after the ReLU"),
        ], gradients=False, float64=False, advice="With dropout=1 the wide vector must be all 0 in "
            "training: look at where dropout stands and whether it gets the rate")
    except Mistake as mistake:
        if str(mistake).startswith("another `x`"):
            raise Mistake("with dropout=1 in training the wide vector must be all 0, but the "
                          "result still changes with x: where does dropout stand, and does it get "
                          "the rate?") from mistake
        raise
    size, rate = 30, 0.2
    net = make_net(answer, size, size, rate).train()
    with torch.no_grad():
        for linear, bias in ((net.widen, 1.0), (net.narrow, 0.0)):
            linear.weight.copy_(torch.eye(size))
            linear.bias.fill_(bias)
    judge_dropped(lambda: call(forward, net, torch.zeros(4, 20, size)), rate, "the wide vector")


# ---- 10.3 ----


@exercise("10.3")
def check_encoder_layer(answer) -> str:
    """Sub-layers that return 0, one of them real, both; the mask; other sizes."""
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]).bool().unsqueeze(1)    # (B, 1, T)
    x = 2 * torch.randn(BATCH, SEQ_LEN, D_MODEL) + 0.5
    attention, ffn, *norms = some_parts(D_MODEL, N_HEADS, D_FF)
    short = torch.ones(1, 1, 3).bool()
    want_first_of_two(answer, x, mask, attention, ffn, *norms)
    agree(answer, pre_norm, [
        case("both sub-layers at work", x, mask, attention, ffn, *norms),
        case("no mask", x, None, attention, ffn, *norms, hint="hand None on as it is"),
        case("sub-layers that return 0", x, mask, silent, torch.zeros_like, *norms),
        case("other sizes", torch.randn(1, 3, 4), short, *some_parts(4, 2, 5)),
    ], block_mistakes(), axes=WORDS, explain=which_half(answer, x, mask, attention, ffn, *norms))
    return "With sub-layers that return 0 your block is the identity"


def want_first_of_two(answer, *given) -> None:
    """Name the forgotten [0] behind an error about tuples."""
    try:
        call(answer, *given)
    except Mistake as mistake:
        if "tuple" in str(mistake):
            raise Mistake("attention gives two things, output and weights: take the first, "
                          f"[0] ({mistake})") from mistake
        raise


def some_parts(d_model: int, n_heads: int, d_ff: int) -> list[nn.Module]:
    """Attention, feed-forward net and two norms whose weights are far from their start."""
    parts: list[nn.Module] = [MultiHeadAttention(d_model, n_heads), FeedForward(d_model, d_ff),
                              LayerNorm(d_model), LayerNorm(d_model)]
    with torch.no_grad():
        for part in parts:
            for name, weight in part.named_parameters():
                weight.normal_(mean=float(name == "gain"), std=0.6)
    return parts


def silent(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple:
    """An attention whose output is 0."""
    weights = query.new_full((len(query), N_HEADS, query.size(1), key.size(1)), 1 / key.size(1))
    return torch.zeros_like(query), weights


def pre_norm(x, mask, attention, feed_forward, norm1, norm2) -> Tensor:
    """The block that is asked for."""
    y = norm1(x)
    x = x + attention(y, y, y, mask)[0]
    return x + feed_forward(norm2(x))


def which_half(answer, x: Tensor, mask: Tensor, attention, ffn, *norms) -> Callable:
    """Find the half of the block that is wrong, with one sub-layer at work at a time."""
    halves = [
        (silent, torch.zeros_like, "where both sub-layers return 0 the block must hand x on "
         "unchanged, and it does not: add what the sub-layers return, of attention the first "
         "thing alone, and add it to x itself, once, not to a norm of it"),
        (silent, ffn, "where attention returns 0 the result is wrong, so look at the second half: "
         "want x + feed_forward(norm2(x))"),
        (attention, torch.zeros_like, "where feed_forward returns 0 the result is wrong, so look "
         "at the first half: want x + attention(norm1(x))"),
    ]

    def explain(answered: list, wants: list) -> str:
        if not difference(answered[0], wants[0], ["the result"], {}):
            return ""
        for first, second, words in halves:
            given = x, mask, first, second, *norms
            if difference(call(answer, *given), pre_norm(*given), ["the result"], {}):
                return words
        return ("each half is right where the other gives 0, but together they are not: the "
                "second half reads and adds the new x")

    return explain


def block_mistakes() -> list[tuple[Callable, str]]:
    """A block with one thing wrong, and what to say then.

    Each is written as f(x, look, ffn, norm1, norm2), where look(query, key, value) is attention
    with the mask, and key and value are the query unless given.
    """
    m18 = "with sub-layers that return 0 the block must hand x on unchanged. You add"

    def half(x, f, norm):
        return x + f(norm(x))

    def post(x, f, norm):
        return norm(x + f(x))

    def added(x, f, norm):
        return norm(x) + f(norm(x))

    def outside(x, f, norm):
        return x + norm(f(x))

    known = [
        (lambda x, a, f, m, n: half(added(x, a, m), f, n), f"{m18} the normalised x around "
         "attention: add x itself"),
        (lambda x, a, f, m, n: added(added(x, a, m), f, n), f"{m18} the normalised x in both "
         "places: add x itself"),
        (lambda x, a, f, m, n: added(half(x, a, m), f, n), f"{m18} the normalised x around "
         "feed-forward: add the x that came out of attention"),
        (lambda x, a, f, m, n: post(post(x, a, m), f, n), "this is post-norm, the block of 2017: "
         "the norm stands after the residual. Pre-norm normalises what the sub-layer reads"),
        (lambda x, a, f, m, n: half(post(x, a, m), f, n), "around attention this is post-norm: "
         "norm1 belongs before it"),
        (lambda x, a, f, m, n: post(half(x, a, m), f, n), "around feed-forward this is post-norm: "
         "norm2 belongs before it"),
        (lambda x, a, f, m, n: post(post(x, a, m), f, m), "post-norm, and one norm for both: want "
         "norm1 before attention, norm2 before feed-forward"),
        (lambda x, a, f, m, n: half(x + a(x), f, n), "norm1 is forgotten: attention reads the "
         "bare x"),
        (lambda x, a, f, m, n: (y := half(x, a, m)) + f(y), "norm2 is forgotten: the feed-forward "
         "net reads the bare x"),
        (lambda x, a, f, m, n: (y := x + a(x)) + f(y), "no norm is used at all: each sub-layer "
         "reads a normalised x"),
        (lambda x, a, f, m, n: half(half(x, a, m), f, m), "norm1 serves twice: the feed-forward "
         "net has its own, norm2"),
        (lambda x, a, f, m, n: half(half(x, a, n), f, n), "norm2 serves twice: attention has its "
         "own, norm1"),
        (lambda x, a, f, m, n: half(half(x, a, n), f, m), "norm1 and norm2 are exchanged"),
        (lambda x, a, f, m, n: half(x, a, m) + f(n(x)), "the feed-forward net reads the x from "
         "before attention: it must read norm2 of the new x"),
        (lambda x, a, f, m, n: half(x, a, m) + f(m(x)), "the feed-forward net reads norm1(x), "
         "what attention read: it must read norm2 of the new x"),
        (lambda x, a, f, m, n: x + f(n(half(x, a, m))), "the second residual adds the first x, so "
         "attention's output is lost from the sum: add the new x"),
        (lambda x, a, f, m, n: x + f(n(a(m(x)))), "attention's output goes into the feed-forward "
         "net without the residual: add x to it first, and add that sum at the end"),
        (lambda x, a, f, m, n: half(x, a, m) + f(n(a(m(x)))), "the feed-forward net reads "
         "attention's output without its residual: it must read norm2 of the new x"),
        (lambda x, a, f, m, n: half(a(m(x)), f, n), "the residual around attention is missing: "
         "x + ..."),
        (lambda x, a, f, m, n: f(n(half(x, a, m))), "the residual around feed-forward is missing: "
         "x + ..."),
        (lambda x, a, f, m, n: f(n(a(m(x)))), "both residuals are missing: each sub-layer's "
         "output is added to x"),
        (lambda x, a, f, m, n: half(x + a(m(x), x, x), f, n), "only the query is normalised: in "
         "self-attention query, key and value are all norm1(x)"),
        (lambda x, a, f, m, n: half(x + a(x, m(x), m(x)), f, n), "key and value are normalised, "
         "the query is not: all three are norm1(x)"),
        (lambda x, a, f, m, n: half(x + a(m(x), m(x), x), f, n), "query and key are normalised, "
         "the value is not: all three are norm1(x)"),
        (lambda x, a, f, m, n: outside(outside(x, a, m), f, n), "the norms stand on the "
         "sub-layers' outputs: they belong on what the sub-layers read"),
        (lambda x, a, f, m, n: half(outside(x, a, m), f, n), "norm1 stands on attention's output: "
         "it belongs on what attention reads"),
        (lambda x, a, f, m, n: outside(half(x, a, m), f, n), "norm2 stands on the feed-forward "
         "net's output: it belongs on what the net reads"),
        (lambda x, a, f, m, n: half(x + half(x, a, m), f, n), "x is added twice around attention: "
         "want x + attention(norm1(x))"),
        (lambda x, a, f, m, n: half(half(x, f, n), a, m), "feed-forward comes first: want "
         "attention, then feed-forward"),
        (lambda x, a, f, m, n: n(half(half(x, a, m), f, n)), "there is one norm too many at the "
         "end: the block returns the bare sum"),
        (lambda x, a, f, m, n: m(half(half(x, a, m), f, n)), "norm1 is applied once more at the "
         "end: the block returns the bare sum"),
        (lambda x, a, f, m, n: half(m(half(x, a, m)), f, n), "norm1 is applied twice, before "
         "attention and after its residual: before is enough"),
        (lambda x, a, f, m, n: half(x, a, m), "the feed-forward half is missing"),
        (lambda x, a, f, m, n: half(x, f, n), "the attention half is missing"),
        (lambda x, a, f, m, n: x + half(half(x, a, m), f, n), "x is added twice: the new x holds "
         "it already"),
        (lambda x, a, f, m, n: x, "the block hands x on and does nothing: add what the sub-layers "
         "give"),
        (lambda x, a, f, m, n: half(half(x, a, m), a, n), "attention serves twice: the second "
         "sub-layer is feed_forward"),
    ]

    def block(step, x, mask, attention, *parts):
        def look(query, key=None, value=None):
            key, value = (query if given is None else given for given in (key, value))
            return attention(query, key, value, mask)[0]

        return step(x, look, *parts)

    return [
        *((lambda *given, step=step: block(step, *given), words) for step, words in known),
        (lambda x, mask, *parts: pre_norm(x, None, *parts), "the mask is not handed on to "
         "attention: words look at padding"),
        (lambda x, mask, *parts: pre_norm(x, None if mask is None else mask[:1], *parts), "every "
         "sentence gets the mask of sentence 0: hand all of it on"),
        (lambda x, mask, *parts: pre_norm(x, None if mask is None else ~mask, *parts), "the mask "
         "is turned round: hand it on as it is, True = may look"),
        (lambda x, mask, *parts: pre_norm(x, causal_mask(x.size(1)), *parts), "a causal mask is "
         "built in, and the argument `mask` has no part: hand on the mask that comes"),
        (lambda x, mask, *parts: pre_norm(x, causal_mask(x.size(1)) if mask is None else
                                          mask & causal_mask(x.size(1)), *parts), "a causal mask "
         "is built in: hand on the mask that comes, and no more"),
        (lambda *given: (pre_norm(*given), None), "want one tensor, the new x: the attention "
         "weights stay inside"),
    ]


# ---- 10.4 ----


@exercise("10.4")
def check_warmup_rate(answer) -> str:
    """The rates of SCHEDULE against every known slip, then what a wrong one does where."""
    agree(answer, warmup_rate, [
        case(f"step {s}, d_model {d}, warmup {w}", s, d, w, hint="" if place else "Steps count "
             "from 1: do not subtract 1")
        for place, (s, d, w) in enumerate(SCHEDULE)
    ], rate_mistakes(), axes={"the rate": ()}, explain=shape_of)
    return "The peak, 1 / √(d_model · warmup), stands at step = warmup"


# (step, d_model, warmup): one schedule in full, then small warm-ups, where slips part company
STEPS = [1, 2, 3, 20, 39, 40, 41, 160, 360]
SCHEDULE = [(step, 64, 40) for step in STEPS]
SCHEDULE += [(step, 24, warmup) for warmup in (9, 2, 1) for step in (1, 2, 3, 9, 30)]


def shape_of(answered: list, wants: list) -> str:
    """What the curve of a wrong rule does, in words."""
    try:
        rates = torch.tensor([float(rate) for rate in answered]).double()
    except (TypeError, ValueError, RuntimeError):
        return ""
    ratio = rates / torch.tensor(wants, dtype=torch.float64)
    first, warm = rates[: len(STEPS)], STEPS.index(40)
    if ((first[:3] - first[0]).abs() < 1e-4 * first[0]).all():
        return ("steps 1, 2 and 3 have the same rate: it must rise with every batch, not once an "
                "epoch")
    if ((ratio - ratio[0]).abs() < 1e-4 * ratio[0].abs()).all():
        times = two_numbers(ratio[0].item(), 1.0).split(",")[0]
        return (f"the shape is right, but every rate is {times} times the right one: look for a "
                "factor that does not belong, such as a base rate. LambdaLR's must be 1")
    off = ((ratio[: len(STEPS)] - 1).abs() > 1e-4).nonzero().flatten().tolist()
    if not off:
        return ""
    number = f"at step {STEPS[off[0]]} the rate is {two_numbers(first[off[0]], wants[off[0]])}"
    steps = list(zip(STEPS, STEPS[1:], first.diff().tolist()))
    for a, b, change in steps[:warm]:
        if change < 0:
            return (f"{number}, and from step {a} to step {b} it falls: it must rise up to step = "
                    "warmup, which is 40 here")
    for a, b, change in steps[warm:]:
        if change > 0:
            return (f"{number}, and from step {a} to step {b} it rises: it must fall from step = "
                    "warmup on, which is 40 here")
    part = "step * warmup**-1.5: before" if off[0] <= warm else "step**-0.5: after"
    part, place = part.split(": ")
    return f"{number}: {place} the peak it is d_model**-0.5 * {part}"


def rate_mistakes() -> list[tuple[Callable, str]]:
    """Rules with one thing wrong, and what to say then."""

    def right(s, d, w):
        return d**-0.5 * min(s**-0.5, s * w**-1.5)

    return [
        (lambda s, d, w: d**-0.5 * min(s**-0.5, s * w - 1.5), "read as print, step · warmup - "
         "1.5 subtracts: -1.5 is the exponent of warmup, warmup**-1.5"),
        (lambda s, d, w: d**-0.5 * min(s**-0.5, s * (w - 1.5)), "1.5 is subtracted from warmup: "
         "it is an exponent, warmup**-1.5"),
        (lambda s, d, w: d**-0.5 * min(s**-0.5, (s * w) ** -1.5), "the exponent -1.5 takes step "
         "along: it belongs to warmup alone"),
        (lambda s, d, w: d**-0.5 * max(s**-0.5, s * w**-1.5), "max in place of min: the rate "
         "begins at its highest and grows without end"),
        (lambda s, d, w: d * right(s, d, w), "it multiplies by √d_model: the exponent of d_model "
         "is -0.5"),
        (lambda s, d, w: d**0.5 * right(s, d, w), "d_model has no part in it: d_model**-0.5"),
        *((lambda s, d, w, n=n: right(s, n, w), f"{n} stands in place of d_model: use the argument")
          for n in (64, 512)),
        *((lambda s, d, w, n=n: right(s, d, n), f"{n} stands in place of warmup: use the argument")
          for n in (40, 400, 4000)),
        (lambda s, d, w: d**-0.5 * right(s, d, w), "it divides by d_model, or by its root twice: "
         "want d_model**-0.5, once"),
        (lambda s, d, w: d**-0.5 * right(s, d, w) / 2, "`d_model ** -1 / 2` is half of 1/d_model, "
         "since ** binds tighter than /: write d_model**-0.5"),
        (lambda s, d, w: d**-0.5 * min(s**-0.5, s * w**-1 / 2), "`warmup ** -1 / 2` is half of "
         "1/warmup: write warmup**-1.5"),
        (lambda s, d, w: d**-0.5 * min(s**-0.5, s * w**-0.5), "the exponent of warmup is -1.5, "
         "not -0.5: so the two terms meet at step = warmup"),
        (lambda s, d, w: d**-0.5 * min(s**-0.5, s / w), "the rise is step / warmup: it must meet "
         "step**-0.5 at step = warmup, which takes warmup**-1.5"),
        (lambda s, d, w: d**-0.5 * min(s**0.5, s * w**-1.5), "the exponent of step has lost its "
         "minus: the rate never falls"),
        (lambda s, d, w: d**-0.5 * min(1 / s, s * w**-1.5), "after the peak it falls as 1/step: "
         "want 1/√step"),
        (lambda s, d, w: d**-0.5 * s**-0.5, "the warm-up is missing: this only "
         "falls (as it does if the exponent of warmup has lost its minus)"),
        (lambda s, d, w: d**-0.5 * s * w**-1.5, "only the rise is here: after warmup it must "
         "fall"),
        (lambda s, d, w: (d * w) ** -0.5, "a constant rate, that of the peak: step has no part "
         "in it"),
        (lambda s, d, w: right(min(s, w), d, w), "after the peak the rate stays: want 1/√step"),
        (lambda s, d, w: right(s + 1, d, w), "one step ahead: steps count from 1 here, so do not "
         "add 1"),
        (lambda s, d, w: right(max(s - 1, 1), d, w), "the first two steps have the same rate: "
         "steps count from 1, so nothing needs to be moved"),
        (lambda s, d, w: right(s - 1, d, w) if s > 1 else 0.0, "one step behind: steps count from "
         "1"),
        (lambda s, d, w: (d * w) ** -0.5 * right(s, d, w), "the peak rate is multiplied in once "
         "more"),
        (lambda s, d, w: d**-0.5 * (s**-0.5 + s * w**-1.5), "the two terms are added: want the "
         "smaller"),
        (lambda s, d, w: d**-0.5 * s**0.5 * w**-1.5, "the two terms are multiplied: want the "
         "smaller"),
        (lambda s, d, w: right(s, w, d), "d_model and warmup are exchanged"),
        *((lambda s, d, w, epoch=epoch: right(1 + (s - 1) // epoch, d, w), "the rate changes once "
           f"in {epoch} steps, as if stepped by the epoch: it changes with every batch")
          for epoch in (2, 5, 10, 20, 50, 100, 1000)),
    ]

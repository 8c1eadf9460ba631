"""The checks of notebook 15: grouped heads, RMSNorm, a gated feed-forward net."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.attention import masked_softmax
from utils.checks.core import Mistake, NotAttempted, call, exercise
from utils.checks.kinds import (
    agree,
    as_dtype,
    built,
    case,
    fits_signature,
    forward,
    judge_birth,
    want_trainable,
)
from utils.checks.positional_encoding import must_refuse
from utils.modern import grouped_attention, root_mean_square_norm

# All different, so that a swapped axis cannot pass; groups of 3 and of 2.
BATCH, N_HEADS, N_KV_HEADS, TGT_LEN, SRC_LEN, D_K = 2, 6, 2, 5, 7, 10
D_MODEL, D_FF = 8, 15
EPS = 0.1
WORDS = {"the result": ("sentence", "word", "feature"), "x": ("sentence", "word", "")}
NAMED = {
    "context": ("sentence", "head", "query", "feature"),
    "weights": ("sentence", "head", "query", "key"),
    "q": ("sentence", "head", "query", ""),
    "k": ("sentence", "", "key", ""),
    "v": ("sentence", "", "", ""),
}


# ---- 15.1 ----


@exercise("15.1")
def check_grouped_attention(answer) -> str:
    """Which head of keys each query head reads; masks; groups of one and of all; the refusal."""

    def heads(words: str, n_heads: int, n_kv_heads: int, batch=BATCH, mask=None, hint="", d_k=D_K):
        q = torch.randn(batch, n_heads, TGT_LEN, d_k)
        k, v = torch.randn(2, batch, n_kv_heads, SRC_LEN, d_k)
        return case(words, q, k, v, mask, hint=hint)

    mask = torch.rand(BATCH, 1, TGT_LEN, SRC_LEN) < 0.5
    mask[..., 1], mask[..., 4] = True, False          # each row has a visible and a hidden key
    each = torch.rand(BATCH, N_HEADS, TGT_LEN, SRC_LEN) < 0.5
    each[..., 2] = True
    plain = heads("6 heads of queries and 2 of keys", N_HEADS, N_KV_HEADS)
    agree(answer, attend, [
        plain,
        heads("8 heads and 4", 8, 4, 3, d_k=6, hint="how many query heads share one head of keys? "
              "Count them from the shapes"),
        heads("as many heads of keys as of queries", 3, 3, hint="each query head has its own then"),
        heads("one head of keys for all", 4, 1, hint="all query heads read the one"),
        heads("a mask for all heads", N_HEADS, N_KV_HEADS, mask=mask, hint="hand the mask on as "
              "it is: the weights have n_heads heads"),
        heads("a mask for each query head", N_HEADS, N_KV_HEADS, mask=each, hint="the mask has "
              "n_heads heads, as the weights have"),
        as_dtype(plain, torch.float64, "the first numbers as float64", "take the type of q, k, v"),
    ], grouped_mistakes(), axes=NAMED, float64=False, advice="Spread k and v to n_heads heads, "
        "then attend as always")
    for n_heads, n_kv_heads in ((5, 2), (6, 4), (2, 3)):
        given = heads("", n_heads, n_kv_heads).args
        named = {} if fits_signature(answer, *given) else dict(zip(("q", "k", "v", "mask"), given))
        must_refuse(partial(answer, *([] if named else given), **named), f"{n_kv_heads} heads of "
                    f"keys do not divide {n_heads} heads of queries, and your function must say so")
    return "Neighbouring query heads share one head of keys and values"


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The right answer, with the arguments of the stub."""
    return grouped_attention(q, k, v, mask)


def spread(x: Tensor, n_heads: int) -> Tensor:
    """Heads of keys or values, each as often as its group is large."""
    return x.repeat_interleave(n_heads // x.size(1), dim=1)


def tiled(x: Tensor, n_heads: int) -> Tensor:
    """What repeat gives instead: all heads, then all heads again."""
    return x.repeat(1, n_heads // x.size(1), 1, 1)


def grouped_mistakes() -> list[tuple[Callable, str]]:
    """Grouped attention with one step wrong, and what to say then."""

    def with_steps(
        q, k, v, mask=None, *, to_keys: Callable = spread, to_values: Callable = spread,
        d: Callable = lambda q: q.size(-1) ** 0.5, share: Callable = masked_softmax,
        last: Callable = lambda context: context,
    ):
        n = q.size(1)
        weights = share(q @ to_keys(k, n).transpose(-2, -1) / d(q), mask)
        return last(weights @ to_values(v, n)), weights

    def first(x, n):
        return x[:, :1].expand(-1, n, -1, -1)

    def mean(x, n):
        return x.mean(dim=1, keepdim=True).expand(-1, n, -1, -1)

    def backwards(x, n):
        return spread(x, n).flip(1)

    paired = ("query head 0 reads key head 0, head 1 reads key head 1, and so on round and round "
              "(repeat does so): want neighbours to share one, 0 0 0 1 1 1. repeat_interleave "
              "repeats each head before the next begins")
    wrong = [
        ({"to_keys": tiled, "to_values": tiled}, paired),
        ({"to_keys": tiled}, "keys and values are paired differently: the keys are laid out by "
         "repeat, the values by repeat_interleave. Both want repeat_interleave"),
        ({"to_values": tiled}, "keys and values are paired differently: the values are laid out by "
         "repeat, the keys by repeat_interleave. Both want repeat_interleave"),
        ({"to_keys": first, "to_values": first}, "all query heads read the first head of keys and "
         "values: the other heads have no part"),
        ({"to_keys": first}, "all query heads read the first head of keys: each group has its own"),
        ({"to_values": first}, "all query heads read the first head of values: each group has its "
         "own"),
        ({"to_keys": mean, "to_values": mean}, "the heads of keys and values are averaged: each "
         "group reads its own"),
        ({"to_keys": backwards, "to_values": backwards}, "the groups run backwards: the first "
         "query heads read the first head of keys"),
        ({"d": lambda q: 1}, "the scores are not divided by √d_k"),
        ({"d": lambda q: q.size(-1)}, "the scores are divided by d_k: want its root"),
        ({"d": lambda q: (q.size(-1) * q.size(1)) ** 0.5}, "the scores are divided by √d_model: "
         "want √d_k, the width of one head"),
        ({"d": lambda q: q.size(1) ** 0.5}, "the scores are divided by √n_heads: want √d_k"),
        ({"share": lambda s, m: s.softmax(-1)}, "the mask has no part: hand it on"),
        ({"share": lambda s, m: masked_softmax(s, m if m is None else ~m)}, "the mask is turned "
         "round: True means may look"),
        ({"share": lambda s, m: masked_softmax(s.transpose(-2, -1), None).transpose(-2, -1)},
         "the softmax runs over the queries: want the keys, dim=-1"),
        ({"last": lambda c: c.transpose(1, 2)}, "words stand in front of heads in the context: "
         "want (batch, n_heads, tgt_len, d_k), like q"),
        ({"last": lambda c: c.transpose(1, 2).flatten(2)}, "the heads are merged already: want "
         "(batch, n_heads, tgt_len, d_k), like q"),
    ]
    return [
        *((partial(with_steps, **steps), words) for steps, words in wrong),
        (lambda q, k, v, mask=None: attend(q, k, v, mask)[::-1], "the two results are exchanged: "
         "want context, weights"),
        (lambda q, k, v, mask=None: attend(q, v, k, mask), "keys and values are exchanged"),
        (lambda q, k, v, mask=None: attend(q[:, :: q.size(1) // k.size(1)], k, v, mask),
         "only one query head of each group is left: spread the keys, keep all queries"),
        (lambda q, k, v, mask=None: attend(
            q.unflatten(1, (k.size(1), -1)).mean(dim=2), k, v, mask),
         "the query heads of a group are averaged: spread the keys, keep all queries"),
    ]


# ---- 15.2 ----


@exercise("15.2")
def check_rms_norm(answer) -> str:
    """The axis, the mean of the squares, epsilon, the gain; other sizes; a word of zeros."""

    def norm_case(words: str, *shape: int, eps: float = EPS, hint: str = "", size: float = 0.7):
        x = size * (torch.randn(shape) + 1)
        return case(words, x, torch.randn(shape[-1]), eps, hint=hint)

    x = 0.5 * torch.randn(BATCH, 5, 5) + 0.7
    plain = case("gain 1", x, torch.ones(5), EPS)
    ends = "from the end (-1) the features are always the last axis"
    agree(answer, root_mean_square_norm, [
        plain,
        norm_case("5 words of 5 features and a gain", BATCH, 5, 5, hint="look at how the gain "
                  "comes in"),
        norm_case("7 words of 4 features and another ε", 3, 7, 4, eps=0.02),
        norm_case("four axes", BATCH, 3, 7, 5, hint=f"count axes {ends}"),
        norm_case("one word alone", 5, hint=f"count axes {ends}"),
        norm_case("a word whose features are all 0", 1, 2, 4, size=0.0, hint="ε keeps the root "
                  "from 0, and it comes out as 0"),
        norm_case("features of some hundreds", 2, 3, 4, size=300.0, hint="nothing is cut off"),
        as_dtype(plain, torch.float64, "the first numbers as float64", "take the type of x"),
    ], norm_mistakes(), axes=WORDS, float64=False, advice="With gain 1 each word comes out with "
        "the mean square m / (m + ε), where m is the mean of its squares")
    return "Each word by itself, no mean subtracted, ε inside the root"


def norm_mistakes() -> list[tuple[Callable, str]]:
    """RMSNorm with one step wrong, and what to say then."""

    def m(x, dim=-1):
        return x.square().mean(dim, keepdim=True)

    def c(x):
        return x - x.mean(-1, keepdim=True)

    def norm(x, e, dim=-1):
        return x / (m(x, dim) + e).sqrt()

    normalised = [
        (lambda x, e: c(x) / (m(c(x)) + e).sqrt(), "the mean is subtracted: that is LayerNorm. "
         "RMSNorm divides x as it is"),
        (lambda x, e: c(x) / (m(x) + e).sqrt(), "the mean is subtracted above the line: RMSNorm "
         "divides x as it is"),
        (lambda x, e: x / (m(c(x)) + e).sqrt(), "it divides by the standard deviation: want the "
         "root of the mean square of x itself, without subtracting the mean"),
        (lambda x, e: x / (x.std(-1, keepdim=True) + e), "it divides by the standard deviation, "
         "with n - 1: want the root of the mean square of x itself"),
        (lambda x, e: x / (m(x).sqrt() + e), "ε stands outside the root: want "
         "(mean_square + eps).sqrt()"),
        (lambda x, e: x / (m(x).sqrt() + e**0.5), "two roots are added: want one root, of the sum "
         "of mean square and ε"),
        (lambda x, e: x / (x.square().sum(-1, keepdim=True) + e).sqrt(), "the squares are summed, "
         "not averaged: want their mean, or a wider vector gets smaller numbers"),
        (lambda x, e: x / (x.norm(dim=-1, keepdim=True) + e), "it divides by the length, the root "
         "of the sum of squares: want the root of their mean"),
        (lambda x, e: x / x.norm(dim=-1, keepdim=True), "it divides by the length, without ε: want "
         "the root of the mean of squares plus ε"),
        (lambda x, e: x / (m(x) + e), "the root is missing: it divides by the mean square"),
        (lambda x, e: x / m(x).sqrt(), "ε is missing: a word of zeros gives 0/0"),
        (lambda x, e: x / (m(x) + 1e-6).sqrt(), "ε is fixed at 1e-6: want the argument eps"),
        (lambda x, e: x / (m(x) + 1e-5).sqrt(), "ε is fixed at 1e-5: want the argument eps"),
        (lambda x, e: x / (m(x) + e**2).sqrt(), "ε is squared: add eps itself"),
        (lambda x, e: x / m(x).clamp(min=e).sqrt(), "ε is taken as the least mean square: add it"),
        (lambda x, e: x / (m(x) - e).sqrt(), "ε is subtracted: add it"),
        (lambda x, e: x * (m(x) + e).sqrt(), "it multiplies by the root: divide"),
        (lambda x, e: x / (x.abs().mean(-1, keepdim=True) + e), "it divides by the mean size |x|: "
         "want the root of the mean square"),
        (lambda x, e: x / (x.mean(-1, keepdim=True).square() + e).sqrt(), "the mean is squared: "
         "want the mean of the squares"),
        (lambda x, e: norm(x, e, -2), "the mean is taken over time (axis -2): word by word, each "
         "over its own features"),
        (lambda x, e: norm(x, e, 1), "the mean is taken over axis 1: it is time where x has three "
         "axes. Count from the end, -1"),
        (lambda x, e: norm(x, e, 0), "the mean is taken over the batch (axis 0): want the "
         "features, axis -1"),
        (lambda x, e: norm(x, e, (-2, -1)), "the mean is taken over time and features together: "
         "each word has its own"),
        (lambda x, e: norm(x, e, tuple(range(x.dim()))), "the mean is taken over everything at "
         "once: each word has its own"),
        (lambda x, e: x, "nothing is normalised"),
    ]
    return [
        *((lambda x, g, e, f=f: g * f(x, e), words) for f, words in normalised),
        (lambda x, g, e: norm(x, e), "the gain is missing: it multiplies each feature"),
        (lambda x, g, e: g + norm(x, e), "the gain is added: it multiplies"),
        (lambda x, g, e: (1 + g) * norm(x, e), "the gain is taken as 1 + gain: it multiplies as it "
         "is"),
        (lambda x, g, e: norm(x, e) / g, "it divides by the gain: multiply"),
        (lambda x, g, e: norm(g * x, e), "the gain comes before the normalisation: it comes after"),
        (lambda x, g, e: g[:, None] * norm(x, e), "each position has its own gain: gains belong to "
         "features"),
        (lambda x, g, e: g * (m(x) + e).rsqrt(), "x is gone: this is the gain over the root. "
         "Multiply by x"),
    ]


# ---- 15.3 ----

MAPS = ("gate", "widen", "narrow")


@exercise("15.3")
def check_swiglu(answer) -> str:
    """Three maps of the right width, without biases; the formula, at other sizes."""
    net, other, paper = (make_net(answer, *s) for s in ((D_MODEL, D_FF), (5, 9), (6, 24)))
    for each, d_model, d_ff in ((net, D_MODEL, D_FF), (other, 5, 9), (paper, 6, 24)):
        judge_maps(each, d_model, d_ff)
    judge_maps(make_net(answer, 4, 10), 4, 10)
    judge_birth(lambda: make_net(answer, D_MODEL, D_FF))
    agree(forward, right_net, [
        case("a batch", net, torch.randn(BATCH, TGT_LEN, D_MODEL)),
        case("other sizes", other, torch.randn(3, 2, 5)),
        case("features of some hundreds", net, 300 * torch.randn(BATCH, TGT_LEN, D_MODEL),
             hint="neither silu nor the product has an upper end"),
        case("one word without batch and time", paper, torch.randn(6), hint="nothing needs to be "
             "reshaped"),
        case("eval mode", net.eval(), torch.randn(2, 3, D_MODEL), hint="nothing here may depend "
             "on the mode"),
    ], net_mistakes(), axes=WORDS, advice="Want narrow(silu(gate(x)) * widen(x))")
    want_trainable(net)
    return "Three maps at 2/3 of the width: as many weights as two"


def right_net(net, x: Tensor) -> Tensor:
    """What it should give, from its own three maps."""
    return net.narrow(F.silu(net.gate(x)) * net.widen(x))


def make_net(answer, d_model: int, d_ff: int) -> nn.Module:
    """Build the learner's module; its three maps must be filled in."""
    if answer is ...:
        raise NotAttempted
    if not isinstance(answer, type) and not isinstance(answer, nn.Module):
        call(answer, d_model, d_ff)                 # an untouched function, or none at all
    net = built(answer, d_model, d_ff)
    parts = {name: getattr(net, name, None) for name in MAPS}
    if all(part is ... for part in parts.values()):
        raise NotAttempted
    for name, part in parts.items():
        if part is ...:
            raise Mistake(f"self.{name} is still ...: want a linear map")
        if not isinstance(part, nn.Linear):
            raise Mistake(f"self.{name} is missing or no nn.Linear: got {type(part).__name__}")
    if len({id(part) for part in parts.values()}) < 3:
        raise Mistake("two of the three maps are one and the same layer: make each of its own")
    return net


def judge_maps(net: nn.Module, d_model: int, d_ff: int) -> None:
    """Sizes, and no biases."""
    gate, narrow = net.gate, net.narrow
    width = gate.out_features
    least, most = 2 * d_ff // 3, -(-2 * d_ff // 3)
    if width == d_ff:
        raise Mistake(f"for d_ff {d_ff} the maps are {width} wide: three maps as wide as the two "
                      "of FeedForward have 1.5 times the weights. Want 2/3 of d_ff")
    if width == d_ff // 2:
        raise Mistake(f"for d_ff {d_ff} the maps are {width} wide, the half: there are three maps, "
                      "not four. Want 2/3 of d_ff")
    if not least <= width <= most:
        raise Mistake(f"for d_ff {d_ff} self.gate is {width} wide: want 2/3 of d_ff, "
                      f"{round(2 * d_ff / 3)}")
    for name in ("gate", "widen"):
        sizes = getattr(net, name).in_features, getattr(net, name).out_features
        if sizes != (d_model, width):
            raise Mistake(f"self.{name} maps {sizes[0]} to {sizes[1]}: want {d_model} to {width}, "
                          "gate and widen alike, from the same x")
    if (narrow.in_features, narrow.out_features) != (width, d_model):
        raise Mistake(f"self.narrow maps {narrow.in_features} to {narrow.out_features}: want "
                      f"{width} to {d_model}")
    for name in MAPS:
        if getattr(net, name).bias is not None:
            raise Mistake(f"self.{name} has a bias: SwiGLU has none (bias=False)")


def net_mistakes() -> list[tuple[Callable, str]]:
    """A gated net with one thing wrong, and what to say then."""
    other = {"sigmoid, which is GLU": torch.sigmoid, "GELU, which is GEGLU": F.gelu,
             "ReLU, which is ReGLU": F.relu, "tanh": torch.tanh, "softmax": lambda h: h.softmax(-1),
             "SiLU twice": lambda h: F.silu(F.silu(h)), "softplus": F.softplus}
    between = [(lambda n, x, f=f: n.narrow(f(n.gate(x)) * n.widen(x)),
                f"the gate passes {name}: want silu(gate(x))") for name, f in other.items()]
    return [
        *between,
        (lambda n, x: n.narrow(n.gate(x) * F.silu(n.widen(x))), "gate and value are swapped: "
         "silu belongs to gate(x), and widen(x) passes as it is"),
        (lambda n, x: n.narrow(n.gate(x) * n.widen(x)), "no activation: want silu(gate(x))"),
        (lambda n, x: n.narrow(F.silu(n.gate(x) * n.widen(x))), "silu comes after the product: it "
         "belongs to gate(x) alone"),
        (lambda n, x: n.narrow(F.silu(n.gate(x)) * F.silu(n.widen(x))), "silu stands on both: "
         "widen(x) passes as it is"),
        (lambda n, x: n.narrow(F.silu(n.gate(x)) + n.widen(x)), "gate and value are added: "
         "multiply them, number by number"),
        (lambda n, x: n.narrow(F.silu(n.gate(x))), "widen(x) has no part: the gate multiplies it"),
        (lambda n, x: n.narrow(F.silu(n.widen(x))), "the gate has no part: silu(gate(x)) "
         "multiplies widen(x)"),
        (lambda n, x: n.narrow(n.widen(x)), "the gate has no part, and there is no activation"),
        (lambda n, x: n.narrow(F.silu(n.gate(x)) * n.gate(x)), "gate(x) is multiplied by itself: "
         "want widen(x)"),
        (lambda n, x: F.silu(n.narrow(n.gate(x) * n.widen(x))), "silu comes after narrow: it "
         "belongs to gate(x)"),
        (lambda n, x: F.silu(n.gate(x)) * n.widen(x), "the result is still wide: narrow it to "
         "d_model again"),
        (lambda n, x: x + right_net(n, x), "the residual is added inside: the block does that, "
         "here it would count twice"),
        (lambda n, x: right_net(n, F.rms_norm(x, x.shape[-1:])), "x is normalised first: the block "
         "does that"),
        (lambda n, x: right_net(n, F.layer_norm(x, x.shape[-1:])), "x passes a LayerNorm first: "
         "the block does that"),
        (lambda n, x: right_net(n, x.mean(dim=1, keepdim=True).expand_as(x)), "the words are "
         "averaged over time: positions must not mix"),
    ]

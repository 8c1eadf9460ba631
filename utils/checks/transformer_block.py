"""The checks of notebook 10: LayerNorm, the pre-norm block, the feed-forward net, warm-up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.attention import MultiHeadAttention
from utils.checks.core import (
    Mistake,
    NotAttempted,
    call,
    exercise,
    same,
    want_finite,
    want_number,
    want_tensor,
)
from utils.transformer import FeedForward, LayerNorm, layer_norm

# All different. LayerNorm is judged on T = D as well, where a wrong axis runs and can be named.
BATCH, N_HEADS, SEQ_LEN, D_MODEL, D_FF = 2, 3, 5, 6, 11
EPS = 0.1


def name_mistake(result: Tensor, known: Iterable[tuple[Tensor, str]]) -> None:
    """Raise the message of the first known wrong result that this one equals."""
    for wrong, message in known:
        if same(result, wrong):
            raise Mistake(message)


# ---- 10.1 ----


@exercise("10.1")
def check_layer_norm(answer) -> str:
    """The axis, the variance, epsilon, gain and bias; then other numbers of axes."""
    for shape in ((BATCH, SEQ_LEN, SEQ_LEN), (BATCH, 7, SEQ_LEN), (BATCH, N_HEADS, 7, SEQ_LEN)):
        x = 0.3 * torch.randn(shape) + 1
        gain, bias = torch.randn(2, SEQ_LEN)
        result = call(answer, x, gain, bias, EPS)
        if isinstance(result, Tensor) and result.shape == x.shape[:-1]:
            raise Mistake("the features are gone: this is one number for each word. Use "
                          "keepdim=True, and return the normalised x")
        want_tensor(result, shape, "of x, (..., d_model)")
        if same(result, layer_norm(x, gain, bias, EPS)):
            continue
        name_mistake(result, known_norms(x, gain, bias))
        want_finite(result, "the features differ, so nothing here divides by 0: look at the root")
        judge_moments(answer, x)
    x, gain, bias = torch.full((1, 2, 4), 3.0), *torch.randn(2, 4)
    result = want_tensor(call(answer, x, gain, bias, EPS), (1, 2, 4), "of x, (..., d_model)")
    want_finite(result, "a word whose features are all equal has variance 0, and ε keeps the "
                "root from 0")
    if not same(result, bias.expand_as(x)):
        raise Mistake("a word whose features are all equal must come out as the bias")
    return "Each word by itself, σ² with n, ε inside the root"


def known_norms(x: Tensor, gain: Tensor, bias: Tensor) -> list[tuple[Tensor, str]]:
    """What comes out when one step of LayerNorm is wrong, and what to say then."""

    def moments(dims, correction=0):
        mean = x.mean(dim=dims, keepdim=True)
        return x - mean, x.var(dim=dims, keepdim=True, correction=correction)

    c, v = moments(-1)
    n_minus = moments(-1, 1)[1]
    z = c / (v + EPS).sqrt()
    square = x.square().mean(dim=-1, keepdim=True)
    two_mistakes = "two slips: the variance divides by n - 1, and ε stands outside the root"
    wrong: list[tuple[Tensor, str]] = [
        (c / (n_minus + EPS).sqrt(), "the variance divides by n - 1: want n, the biased variance "
         "(torch's var and std take n - 1 unless told correction=0)"),
        (c / (v.sqrt() + EPS), "ε stands outside the root: want (variance + eps).sqrt()"),
        (c / (n_minus.sqrt() + EPS), two_mistakes),
        (c / (v + EPS), "it divides by the variance: want its root, the standard deviation"),
        (c / (n_minus + EPS), "it divides by the variance, and that with n - 1: want the root of "
         "the variance with n"),
        (c / v.sqrt(), "ε is missing: a word of equal features would give 0/0"),
        (c / n_minus.sqrt(), "ε is missing, and the variance divides by n - 1"),
        (c / (v + 1e-5).sqrt(), "ε is fixed at 1e-5: want the argument eps"),
        (c / (v + EPS**2).sqrt(), "ε is squared: add eps itself to the variance"),
        (c, "the mean is subtracted, but nothing divides by the standard deviation"),
        (x / (v + EPS).sqrt(), "the mean is not subtracted from x: only its size is set"),
        (x / (square + EPS).sqrt(), "the mean is not subtracted: x is divided by the root of its "
         "mean square, which is RMSNorm"),
        (c * (v + EPS).sqrt(), "it multiplies by the standard deviation: divide"),
        (c / (v * x.size(-1) + EPS).sqrt(), "the squares are summed, not averaged: variance is "
         "their mean"),
        (c / (c.abs().mean(dim=-1, keepdim=True) + EPS), "it divides by the mean distance: want "
         "the root of the mean square"),
        (z.softmax(-1), "there is a softmax in it: LayerNorm has none"),
    ]
    axes = {
        (-2,): "over time (axis -2): word by word, each over its own features",
        (0,): "over the batch (axis 0): a sentence must not feel its neighbours. Want the "
              "features, axis -1",
        (0, -2): "over batch and time, as BatchNorm does: want the features, axis -1",
        (-2, -1): "over time and features together: each word has its own mean and variance",
        tuple(range(x.dim())): "over everything at once: each word has its own mean and variance",
    }
    for dims, message in axes.items():
        other, spread = moments(dims)
        wrong.append((other / (spread + EPS).sqrt(), f"mean and variance are taken {message}"))
    half, spread = x - x.mean(dim=-2, keepdim=True), v
    wrong.append((half / (spread + EPS).sqrt(), "the mean is taken over time, the variance over "
                  "features: both over features"))
    known = [(gain * y + bias, message) for y, message in wrong]
    known += [
        (z, "gain and bias are missing: the normalised x comes back bare"),
        (z + bias, "the gain is missing: it multiplies each feature"),
        (gain * z, "the bias is missing: it is added last"),
        (bias * z + gain, "gain and bias are exchanged: the gain multiplies, the bias is added"),
        (gain * (z + bias), "the bias is added before the gain multiplies: it comes last"),
        (gain * z - bias, "the bias is subtracted: add it"),
        (gain + z + bias, "the gain is added: it multiplies"),
        ((1 + gain) * z + bias, "the gain is taken as 1 + gain: it multiplies as it is"),
        (z / gain + bias, "it divides by the gain: multiply"),
        ((gain * x + bias), "nothing is normalised: gain and bias act on x itself"),
        (layer_norm(gain * x + bias, torch.ones_like(gain), torch.zeros_like(bias), EPS),
         "gain and bias come before the normalisation, which undoes them: they come after"),
    ]
    if x.size(-2) == x.size(-1):
        by_word = gain.unsqueeze(-1), bias.unsqueeze(-1)
        known += [
            (by_word[0] * z + by_word[1], "each position has its own gain and bias: they belong "
             "to the features, one each, the same at all positions"),
            (by_word[0] * z + bias, "each position has its own gain: gains belong to features"),
            (gain * z + by_word[1], "each position has its own bias: biases belong to features"),
        ]
    return known


def judge_moments(answer, x: Tensor) -> None:
    """With gain 1 and bias 0: whether mean and size of a word are right."""
    n = x.size(-1)
    result = call(answer, x, torch.ones(n), torch.zeros(n), EPS)
    if not isinstance(result, Tensor) or result.shape != x.shape:
        raise Mistake("with gain 1 and bias 0 the shape is another: want that of x")
    mean = result.mean(dim=-1)
    if not same(mean, torch.zeros_like(mean), 1e-4):
        raise Mistake(f"with gain 1 and bias 0 the first word has mean {mean.flatten()[0]:.2f}, "
                      "not 0: subtract the mean of its own features")
    if not same(result, layer_norm(x, torch.ones(n), torch.zeros(n), EPS)):
        size = result.square().mean(dim=-1).flatten()[0]
        raise Mistake(f"with gain 1 and bias 0 the mean is 0, but the mean square of the first "
                      f"word is {size:.2f}: want a little under 1, σ² / (σ² + ε)")
    raise Mistake("with gain 1 and bias 0 it is right: look at how gain and bias come in")


# ---- 10.3 ----


@exercise("10.3")
def check_encoder_layer(answer) -> str:
    """Sub-layers that return 0, then real ones against every known block, then the mask."""
    x = 2 * torch.randn(BATCH, SEQ_LEN, D_MODEL) + 0.5
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool().unsqueeze(1)   # (B, 1, T)
    attention, feed_forward = MultiHeadAttention(D_MODEL, N_HEADS), FeedForward(D_MODEL, D_FF)
    norms = LayerNorm(D_MODEL), LayerNorm(D_MODEL)
    with torch.no_grad():
        for weight in (*attention.parameters(), *feed_forward.parameters()):
            weight.normal_(std=0.6)
        for norm in norms:
            norm.gain.normal_(mean=1.0, std=0.5)
            norm.bias.normal_()
        parts = attention, feed_forward, *norms
        true = pre_norm(x, mask, *parts)
        result = run_block(answer, x, mask, *parts)
        if not same(result, true):
            name_mistake(result, known_blocks(x, mask, *parts))
        want_finite(result, "the parts you were given return finite numbers")
        judge_identity(answer, x, mask, *norms)
        if not same(result, true):
            judge_words(answer, x, mask, *parts)
            judge_halves(answer, x, mask, *parts)
            raise Mistake("each half is right where the other gives 0, but together they are "
                          "not: the second half reads and adds the new x")
        if not same(run_block(answer, x, None, *parts), pre_norm(x, None, *parts)):
            raise Mistake("right with a mask, wrong without one (mask=None): hand it on as it is")
    return "With sub-layers that return 0 your block is the identity"


def run_block(answer, x: Tensor, mask: Tensor | None, *parts) -> Tensor:
    """Call the answer; name the forgotten [0] behind an error about tuples."""
    try:
        result = call(answer, x, mask, *parts)
    except Mistake as mistake:
        if "tuple" in str(mistake):
            raise Mistake("attention gives two things, output and weights: take the first, "
                          f"[0] ({mistake})") from mistake
        raise
    if isinstance(result, tuple):
        raise Mistake("want one tensor, the new x: the attention weights stay inside")
    return want_tensor(result, tuple(x.shape), "(batch, seq_len, d_model)")


def pre_norm(x, mask, attention, feed_forward, norm1, norm2) -> Tensor:
    """The block that is asked for."""
    y = norm1(x)
    x = x + attention(y, y, y, mask)[0]
    return x + feed_forward(norm2(x))


def known_blocks(x, mask, attention, ffn, norm1, norm2) -> list[tuple[Tensor, str]]:
    """What comes out of a block with one thing wrong, and what to say then."""

    def look(y, mask=mask):
        return attention(y, y, y, mask)[0]

    a, b = norm1(x), norm2(x)
    first = x + look(a)                      # right so far
    second = first + ffn(norm2(first))
    added = a + look(a)                      # the normalised x is added
    after = norm1(x + look(x))
    bare = x + look(x)
    swapped = x + look(b)
    late = x + ffn(norm2(x))
    both_sides = norm1(first)
    m18 = "with sub-layers that return 0 the block must hand x on unchanged. You add"
    return [
        (added + ffn(norm2(added)), f"{m18} the normalised x around attention: add x itself"),
        (norm2(added) + ffn(norm2(added)), f"{m18} the normalised x in both places: add x itself"),
        (norm2(first) + ffn(norm2(first)), f"{m18} the normalised x around feed-forward: add the "
         "x that came out of attention"),
        (norm2(after + ffn(after)), "this is post-norm, the block of 2017: the norm stands after "
         "the residual. Pre-norm normalises what the sub-layer reads"),
        (after + ffn(norm2(after)), "around attention this is post-norm: norm1 belongs before it"),
        (norm2(first + ffn(first)), "around feed-forward this is post-norm: norm2 belongs before "
         "it"),
        (norm1(after + ffn(after)), "post-norm, and one norm for both: want norm1 before "
         "attention, norm2 before feed-forward"),
        (bare + ffn(norm2(bare)), "norm1 is forgotten: attention reads the bare x"),
        (first + ffn(first), "norm2 is forgotten: the feed-forward net reads the bare x"),
        (bare + ffn(bare), "no norm is used at all: each sub-layer reads a normalised x"),
        (first + ffn(norm1(first)), "norm1 serves twice: the feed-forward net has its own, "
         "norm2"),
        (swapped + ffn(norm2(swapped)), "norm2 serves twice: attention has its own, norm1"),
        (swapped + ffn(norm1(swapped)), "norm1 and norm2 are exchanged"),
        (first + ffn(b), "the feed-forward net reads the x from before attention: it must read "
         "norm2 of the new x"),
        (first + ffn(a), "the feed-forward net reads norm1(x), what attention read: it must read "
         "norm2 of the new x"),
        (x + ffn(norm2(first)), "the second residual adds the first x, so attention's output is "
         "lost from the sum: add the new x"),
        (x + ffn(norm2(look(a))), "attention's output goes into the feed-forward net without the "
         "residual: add x to it first, and add that sum at the end"),
        (first + ffn(norm2(look(a))), "the feed-forward net reads attention's output without "
         "its residual: it must read norm2 of the new x"),
        (look(a) + ffn(norm2(look(a))), "the residual around attention is missing: x + ..."),
        (ffn(norm2(first)), "the residual around feed-forward is missing: x + ..."),
        (ffn(norm2(look(a))), "both residuals are missing: each sub-layer's output is added to x"),
        (second_of(x + look(a, None), ffn, norm2), "the mask is not handed on to attention: "
         "words look at padding"),
        (second_of(x + look(a, ~mask), ffn, norm2), "the mask is turned round: hand it on as it "
         "is, True = may look"),
        (second_of(x + attention(a, x, x, mask)[0], ffn, norm2), "only the query is normalised: "
         "in self-attention query, key and value are all norm1(x)"),
        (second_of(x + attention(x, a, a, mask)[0], ffn, norm2), "key and value are normalised, "
         "the query is not: all three are norm1(x)"),
        (second_of(x + attention(a, a, x, mask)[0], ffn, norm2), "query and key are normalised, "
         "the value is not: all three are norm1(x)"),
        (norm_outside(x, look, ffn, norm1, norm2), "the norms stand on the sub-layers' outputs: "
         "they belong on what the sub-layers read"),
        (late + look(norm1(late)), "feed-forward comes first: want attention, then feed-forward"),
        (norm2(second), "there is one norm too many at the end: the block returns the bare sum"),
        (norm1(second), "norm1 is applied once more at the end: the block returns the bare sum"),
        (both_sides + ffn(norm2(both_sides)), "norm1 is applied twice, before attention and after "
         "its residual: before is enough"),
        (first, "the feed-forward half is missing"),
        (late, "the attention half is missing"),
        (x + x + look(a) + ffn(norm2(first)), "x is added twice: the new x holds it already"),
        (x.clone(), "the block hands x on and does nothing: add what the sub-layers give"),
        (first + look(norm2(first)), "attention serves twice: the second sub-layer is "
         "feed_forward"),
    ]


def second_of(x: Tensor, ffn, norm2) -> Tensor:
    """The second half of the block."""
    return x + ffn(norm2(x))


def norm_outside(x: Tensor, look, ffn, norm1, norm2) -> Tensor:
    """Both norms on the outputs of the sub-layers."""
    x = x + norm1(look(x))
    return x + norm2(ffn(x))


def silent(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple:
    """An attention whose output is 0."""
    weights = torch.full((len(query), N_HEADS, query.size(1), key.size(1)), 1 / key.size(1))
    return torch.zeros_like(query), weights


def judge_identity(answer, x: Tensor, mask: Tensor, norm1, norm2) -> None:
    """Sub-layers that return 0 must leave x as it is."""
    if not same(run_block(answer, x, mask, silent, torch.zeros_like, norm1, norm2), x):
        raise Mistake("where both sub-layers return 0 the block must hand x on unchanged: what "
                      "they are added to is x itself, not a norm of it")


def judge_halves(answer, x: Tensor, mask: Tensor, attention, ffn, norm1, norm2) -> None:
    """One sub-layer at a time, the other returns 0."""
    for name, first, second, half in (
        ("attention", silent, ffn, "second half: want x + feed_forward(norm2(x))"),
        ("feed_forward", attention, torch.zeros_like, "first half: want x + attention(norm1(x))"),
    ):
        result = run_block(answer, x, mask, first, second, norm1, norm2)
        if not same(result, pre_norm(x, mask, first, second, norm1, norm2)):
            raise Mistake(f"where {name} returns 0 the result is wrong, so look at the {half}")


def judge_words(answer, x: Tensor, mask: Tensor, *parts) -> None:
    """Sentences must not mix."""
    other = x.clone()
    other[0] += torch.randn(SEQ_LEN, D_MODEL)
    change = run_block(answer, other, mask, *parts) - run_block(answer, x, mask, *parts)
    if change[1].abs().max() > 1e-6:
        raise Mistake("a change in sentence 0 moves sentence 1: sentences must not mix")


# ---- 10.2 ----


@exercise("10.2")
def check_feed_forward(answer) -> str:
    """The two maps, the formula, positions, dropout in training and in eval mode."""
    net = make_net(answer, 0.0)
    x = torch.randn(BATCH, SEQ_LEN, D_MODEL)
    with torch.no_grad():
        result = run_net(net, x)
        judge_maps(net)
        hidden = net.widen(x)
        true = net.narrow(hidden.relu())
        if not same(result, true):
            name_mistake(result, known_nets(net, x, hidden, true))
        want_finite(result, "the two maps give finite numbers, so look at what stands between")
        judge_positions(net, x)
        if not same(result, true):
            raise Mistake(f"each position is treated alone, but the first number is "
                          f"{result.flatten()[0]:.2f}, want {true.flatten()[0]:.2f}: "
                          "narrow(relu(widen(x)))")
        single = x[0, 0]
        try:
            alone = run_net(net, single)
        except Mistake as mistake:
            raise Mistake("one word without batch and time, (d_model,), fails: nothing needs to "
                          f"be reshaped ({mistake})") from mistake
        if not same(alone, true[0, 0]):
            raise Mistake("one word without batch and time, (d_model,), comes out differently")
        judge_dropout(answer, x)
    return "Each position by itself, one ReLU, and dropout only in training"


def make_net(answer, dropout: float) -> nn.Module:
    """Build the learner's module; it must be one, with both maps filled in."""
    if answer is ...:
        raise NotAttempted
    if isinstance(answer, nn.Module):
        raise Mistake("hand over the class itself, without sizes: it is made here")
    net = call(answer, D_MODEL, D_FF, dropout)
    if not isinstance(net, nn.Module):
        raise Mistake(f"want a class that makes an nn.Module, got {type(net).__name__}")
    parts = [getattr(net, name, None) for name in ("widen", "narrow")]
    if all(part is ... for part in parts):
        raise NotAttempted
    for name, part in zip(("widen", "narrow"), parts, strict=True):
        if part is ...:
            raise Mistake(f"self.{name} is still ...: want a linear map")
        if not isinstance(part, nn.Linear):
            raise Mistake(f"self.{name} is missing or no nn.Linear: got {type(part).__name__}")
    return net


def run_net(net: nn.Module, x: Tensor) -> Tensor:
    """Call the module and make sure that the shape stays."""
    result = call(net, x)
    if isinstance(result, Tensor) and result.shape == (*x.shape[:-1], D_FF):
        raise Mistake("the result is still d_ff wide: narrow it to d_model again")
    return want_tensor(result, tuple(x.shape), "of x, (..., d_model)")


def judge_maps(net: nn.Module) -> None:
    """Sizes and biases of both maps."""
    for name, n_in, n_out in (("widen", D_MODEL, D_FF), ("narrow", D_FF, D_MODEL)):
        linear = getattr(net, name)
        sizes = linear.in_features, linear.out_features
        if sizes != (n_in, n_out):
            raise Mistake(f"self.{name} maps {sizes[0]} to {sizes[1]}: want {n_in} to {n_out}")
        if linear.bias is None:
            raise Mistake(f"self.{name} has no bias: equation 2 of the paper has b₁ and b₂")


def known_nets(net, x: Tensor, hidden: Tensor, true: Tensor) -> list[tuple[Tensor, str]]:
    """What comes out of a net with one thing wrong, and what to say then."""
    narrow = net.narrow
    other = {"GELU": F.gelu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "SiLU": F.silu,
             "ELU": F.elu, "leaky ReLU": F.leaky_relu, "softmax": lambda h: h.softmax(-1)}
    known = [(narrow(f(hidden)), f"between the maps stands {name}: the paper of 2017 has a ReLU")
             for name, f in other.items()]
    known += [
        (narrow(hidden), "no activation: without the ReLU the two maps are one linear map"),
        (true.relu(), "two activations: after narrow the numbers must be free to be negative"),
        (narrow(hidden).relu(), "the ReLU comes after narrow: it belongs between the two maps"),
        (narrow(net.widen(x.relu())), "the ReLU comes before widen: it belongs between the maps"),
        (narrow(net.widen(x.relu()).relu()), "x itself passes a ReLU first: one is enough, "
         "between the maps"),
        (x + true, "the residual is added inside: AddNorm does that, here it would count twice"),
        (F.layer_norm(true, (D_MODEL,)), "a LayerNorm stands at the end: AddNorm does that"),
        (F.layer_norm(x + true, (D_MODEL,)), "residual and LayerNorm stand inside: AddNorm does "
         "both"),
        (narrow(net.widen(F.layer_norm(x, (D_MODEL,))).relu()), "a LayerNorm stands before the "
         "first map: AddNorm does that"),
        (true.mean(dim=1, keepdim=True).expand_as(true), "all positions get one mean over time: "
         "positions must not mix"),
        (narrow(net.widen(x.mean(dim=1, keepdim=True)).relu()).expand_as(true), "the words are "
         "averaged over time before the first map: positions must not mix"),
        (narrow(-(-hidden).relu()), "the ReLU is turned round: it must cut the negative numbers"),
        (narrow(hidden.abs()), "absolute values stand between the maps: a ReLU sets negative "
         "numbers to 0"),
        (narrow(hidden.relu().square()), "the ReLU is squared: the paper of 2017 has a plain one"),
    ]
    return known


def judge_positions(net: nn.Module, x: Tensor) -> None:
    """A change of one word must move its own output alone."""
    other = x.clone()
    other[0, 3] += 1.0
    moved = (run_net(net, other) - run_net(net, x)).abs().amax(dim=-1) > 1e-6     # (B, T)
    if moved[1].any():
        raise Mistake("a change in sentence 0 moves sentence 1: something reshapes batch and time")
    places = [i for i, flag in enumerate(moved[0].tolist()) if flag and i != 3]
    if places:
        raise Mistake(f"a change of word 3 moves word {places[0]}, too: positions mix. Do not "
                      "flatten or turn the time axis, nn.Linear works on the last axis")
    if not moved[0, 3]:
        raise Mistake("a change of word 3 does not move its own output: where does x come in?")


def judge_dropout(answer, x: Tensor) -> None:
    """Eval mode: none. Training: on the wide vector; a rate of 1 shows where it stands."""
    net = make_net(answer, 0.5).eval()
    true = net.narrow(net.widen(x).relu())
    if not same(run_net(net, x), true):
        if same(run_net(net, x), run_net(net, x)):
            raise Mistake("with dropout=0.5 eval mode gives other numbers than dropout=0: "
                          "nothing may be dropped or scaled there")
        raise Mistake("dropout still works in eval mode: use nn.Dropout, which knows the mode "
                      "(F.dropout needs training=self.training)")
    net = make_net(answer, 1.0).train()
    result, start = run_net(net, x), torch.zeros_like(x)
    name_mistake(result, [
        (net.narrow(net.widen(x).relu()), "in training nothing is dropped: put self.dropout on "
         "the wide vector"),
        (start, "dropout stands at the end, on the narrow vector: want it on the wide one, after "
         "the ReLU"),
        (net.narrow(net.widen(start).relu()), "dropout stands on x, before the first map: want "
         "it on the wide vector, after the ReLU"),
    ])
    if not same(result, net.narrow(start.new_zeros(*x.shape[:-1], D_FF))):
        raise Mistake("with dropout=1 the wide vector must be all 0 in training: look at where "
                      "dropout stands and whether it gets the rate")


# ---- 10.4 ----


@exercise("10.4")
def check_warmup_rate(answer) -> str:
    """The rates of SCHEDULE against every known slip, then what a wrong one does where."""
    rates = torch.tensor([rate_at(answer, *sizes) for sizes in SCHEDULE]).double()
    true = at(right_rate)
    ratio = rates / true
    if same(ratio, torch.ones_like(true), 1e-4):
        return "The peak, 1 / √(d_model · warmup), stands at step = warmup"
    for wrong, message in known_rates():
        if same(ratio, at(wrong) / true, 1e-4):
            raise Mistake(message)
    first, warm, late = rates[: len(STEPS)], STEPS.index(40), rates[len(STEPS) - 1]
    if same(first[:3] / first[0], torch.ones(3), 1e-4):
        raise Mistake("steps 1, 2 and 3 have the same rate: it must rise with every batch, "
                      "not once an epoch")
    if same(ratio / ratio[0], torch.ones_like(ratio), 1e-4):
        raise Mistake(f"the shape is right, but every rate is {ratio[0]:.3g} times the right one: "
                      "look for a factor that does not belong")
    if first[: warm + 1].diff().min() < 0:
        raise Mistake("the rate falls before step = warmup: it must rise up to there")
    if first[warm:].diff().max() > 0:
        raise Mistake("the rate rises after step = warmup: it must fall from there")
    if not same(ratio[: warm + 1], torch.ones(warm + 1), 1e-4):
        raise Mistake(f"at step 1 the rate is {first[0]:.3g}, want {true[0]:.3g}: before the "
                      "peak it is d_model**-0.5 * step * warmup**-1.5")
    if not same(ratio[: len(STEPS)], torch.ones(len(STEPS)), 1e-4):
        raise Mistake(f"at step {STEPS[-1]} the rate is {late:.3g}, want "
                      f"{true[len(STEPS) - 1]:.3g}: after the peak it is d_model**-0.5 * "
                      "step**-0.5")
    place = int((ratio - 1).abs().argmax())
    step, d_model, warmup = SCHEDULE[place]
    raise Mistake(f"right for d_model 64 and warmup 40, but for d_model {d_model} and warmup "
                  f"{warmup} step {step} has {rates[place]:.3g}, want {true[place]:.3g}")


# (step, d_model, warmup): one schedule in full, then small warm-ups, where slips part company
STEPS = [1, 2, 3, 20, 39, 40, 41, 160, 360]
SCHEDULE = [(step, 64, 40) for step in STEPS]
SCHEDULE += [(step, 24, warmup) for warmup in (9, 2, 1) for step in (1, 2, 3, 9, 30)]


def rate_at(answer, step: int, d_model: int, warmup: int) -> float:
    """One rate of the answer; an error at step 1 is mostly a count from 0."""
    try:
        return want_number(call(answer, step, d_model, warmup), "the rate")
    except Mistake as mistake:
        if step == 1 and ("ZeroDivisionError" in str(mistake) or "is inf" in str(mistake)):
            raise Mistake("at step 1 something is divided by 0: steps count from 1, so do not "
                          f"subtract 1 ({mistake})") from mistake
        raise


def right_rate(s: float, d: float, w: float) -> float:
    """The rate of 2017."""
    return d**-0.5 * min(s**-0.5, s * w**-1.5)


def at(rate: Callable[[int, int, int], float]) -> Tensor:
    """The rates of one rule over SCHEDULE."""
    return torch.tensor([rate(*sizes) for sizes in SCHEDULE], dtype=torch.float64)


def known_rates() -> list[tuple[Callable[[int, int, int], float], str]]:
    """Rules with one thing wrong, and what to say then."""
    known: list[tuple[Callable[[int, int, int], float], str]] = [
        (lambda s, d, w: d**-0.5 * min(s**-0.5, s * w - 1.5), "read as print, step · warmup - "
         "1.5 subtracts: -1.5 is the exponent of warmup, warmup**-1.5"),
        (lambda s, d, w: d**-0.5 * min(s**-0.5, s * (w - 1.5)), "1.5 is subtracted from warmup: "
         "it is an exponent, warmup**-1.5"),
        (lambda s, d, w: d**-0.5 * min(s**-0.5, (s * w) ** -1.5), "the exponent -1.5 takes step "
         "along: it belongs to warmup alone"),
        (lambda s, d, w: d**-0.5 * max(s**-0.5, s * w**-1.5), "max in place of min: the rate "
         "begins at its highest and grows without end"),
        (lambda s, d, w: d**0.5 * min(s**-0.5, s * w**-1.5), "it multiplies by √d_model: the "
         "exponent of d_model is -0.5"),
        (lambda s, d, w: min(s**-0.5, s * w**-1.5), "d_model has no part in it: d_model**-0.5"),
        (lambda s, d, w: min(s**-0.5, s * w**-1.5) / d, "it divides by d_model, or by its root "
         "twice: want d_model**-0.5, once"),
        (lambda s, d, w: min(s**-0.5, s * w**-1.5) / d / 2, "`d_model ** -1 / 2` is half of "
         "1/d_model, since ** binds tighter than /: write d_model**-0.5"),
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
        (lambda s, d, w: d**-0.5 * w**-0.5, "a constant rate, that of the peak: step has no part "
         "in it"),
        (lambda s, d, w: d**-0.5 * min(s, w) * w**-1.5, "after the peak the rate stays: want "
         "1/√step"),
        (lambda s, d, w: right_rate(s + 1, d, w), "one step ahead: steps count from 1 here, so "
         "do not add 1"),
        (lambda s, d, w: right_rate(max(s - 1, 1), d, w), "the first two steps have the same "
         "rate: steps count from 1, so nothing needs to be moved"),
        (lambda s, d, w: right_rate(max(s - 1, 1e-12), d, w), "one step behind: steps count "
         "from 1"),
        (lambda s, d, w: (d * w) ** -0.5 * right_rate(s, d, w), "the peak rate is multiplied in "
         "once more"),
        (lambda s, d, w: d**-0.5 * (s**-0.5 + s * w**-1.5), "the two terms are added: want the "
         "smaller"),
        (lambda s, d, w: d**-0.5 * s**-0.5 * s * w**-1.5, "the two terms are multiplied: want "
         "the smaller"),
        (lambda s, d, w: w**-0.5 * min(s**-0.5, s * d**-1.5), "d_model and warmup are exchanged"),
    ]
    for base in (0.1, 0.01, 1e-3, 1e-4, 5e-4, 3e-4, 2e-3):
        known.append((
            lambda s, d, w, base=base: base * right_rate(s, d, w),
            f"every rate is {base:g} times the right one: a base rate is multiplied in. The "
            "formula gives the rate itself, so the base rate of LambdaLR must be 1",
        ))
    for epoch in (2, 5, 10, 20, 50, 100, 1000):
        known.append((
            lambda s, d, w, epoch=epoch: right_rate(1 + (s - 1) // epoch, d, w),
            f"the rate changes once in {epoch} steps, as if stepped by the epoch: it changes "
            "with every batch",
        ))
    return known

"""The checks of notebook 09: the sinusoid, adding it, turning pairs, a window."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from utils.attention import (
    MultiHeadAttention,
    causal_mask,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)
from utils.checks.core import Mistake, call, describe, exercise, run
from utils.checks.kinds import agree, as_dtype, case, forward, judge_birth
from utils.checks.results import difference
from utils.transformer import sinusoidal_encoding
from utils.variants import rotary_attention, rotate, window_mask

# All different; no width is 4 or 16, where two wrong formulas can meet.
BATCH, N_HEADS, SEQ_LEN, D_K = 2, 3, 7, 10
D_MODEL = N_HEADS * D_K
NEAR = 1e-4    # an angle of some hundred, computed in float32, has no more digits


def must_refuse(run: Callable, message: str) -> None:
    """Make sure that run() raises ValueError."""
    try:
        run()
    except ValueError:
        return
    except (Exception, SystemExit) as error:
        raise Mistake(f"{message}: want ValueError, got {describe(error)}") from error
    raise Mistake(f"{message}: want ValueError, nothing was raised")


def to_turns(x: Tensor) -> Tensor:
    """Put feature i and feature i + width / 2 next to each other."""
    return torch.stack(x.chunk(2, dim=-1), dim=-1).flatten(-2)


def to_halves(x: Tensor) -> Tensor:
    """Undo to_turns: all even features, then all odd ones."""
    return torch.cat([x[..., 0::2], x[..., 1::2]], dim=-1)


# ---- 9.1 ----


@exercise("9.1")
def check_sinusoidal_encoding(answer) -> None:
    """The table at several sizes, long, wide and small; an odd width."""
    agree(answer, sinusoidal_encoding, [
        case(f"({n}, {d})", n, d, hint=hint) for n, d, hint in (
            (7, 10, "seq_len may be any number, d_model any even one"), (3, 6, ""),
            (1, 2, "keep both axes: one position is a row (0, 1)"), (90, 12, ""),
            (6000, 4, "there is no last position: no limit, and no type of small whole numbers"),
            (2, 512, ""))
    ], sinusoid_mistakes(), axes={"the result": ("position", "feature")}, tolerance=NEAR,
        advice="Feature 2i is the sine of position / 10000^(2i / d_model), feature 2i + 1 the "
        "cosine of the same angle")
    for seq_len, d_model in ((5, 7), (3, 1)):
        must_refuse(lambda n=seq_len, d=d_model: answer(n, d), "d_model must be even, and for "
                    f"d_model {d_model} your function must say so")


def table_from(sine_angle: Tensor, cosine_angle: Tensor | None = None) -> Tensor:
    """Sine and cosine of (seq_len, d_model / 2) angles, next to each other."""
    cosine_angle = sine_angle if cosine_angle is None else cosine_angle
    return torch.stack([sine_angle.sin(), cosine_angle.cos()], dim=-1).flatten(1).float()


def sinusoid_mistakes() -> list[tuple[Callable, str]]:
    """A table with one thing wrong, and what to say then."""
    literal = "the fraction 2i/d_model is the whole exponent, and it needs brackets: "
    half_pi = math.pi / 2
    # from position (seq_len, 1), pair, the right angle and d_model: the angle of the sine, or both
    angles = [
        (lambda p, i, a, d: p / 10000 ** (i / d), "the exponent is i / d_model: pair i wants "
         "2i / d_model. arange(0, d_model, 2) is 2i already"),
        (lambda p, i, a, d: p / 10000 ** (4 * i / d), "the exponent is 4i / d_model: "
         "arange(0, d_model, 2) is 2i already, do not double it again"),
        (lambda p, i, a, d: p / 10000 ** (2 * i) / d, literal + "yours divides by 10000^(2i) and "
         "then by d_model"),
        (lambda p, i, a, d: p / (10000 ** (2 * i) / d), literal + "yours divides 10000^(2i) by "
         "d_model, as ** binds tighter than /"),
        (lambda p, i, a, d: p / 10000 ** (2 * i), literal + "yours leaves d_model out"),
        (lambda p, i, a, d: p / 10000 * 2 * i / d, "10000 is multiplied by 2i, not raised to a "
         "power: write 10000 ** (...)"),
        (lambda p, i, a, d: (a, p / 10000 ** ((2 * i + 1) / d)), "the cosine has an angle of its "
         "own, with 2i + 1: sine and cosine of a pair share one angle"),
        (lambda p, i, a, d: (a, p / 10000 ** (2 * (2 * i + 1) / d)), "the exponent counts "
         "features, not pairs: features 2i and 2i + 1 share one angle"),
        (lambda p, i, a, d: (p / 10000 ** (4 * i / d), p / 10000 ** (2 * (2 * i + 1) / d)), "the "
         "exponent counts features, not pairs: features 2i and 2i + 1 share one angle"),
        (lambda p, i, a, d: half_pi - a, "sine and cosine are exchanged: the even feature holds "
         "the sine. At position 0 a row begins 0, 1"),
        (lambda p, i, a, d: (p + 1) / 10000 ** (2 * i / d), "positions begin at 1: want 0, so the "
         "first row is 0, 1, 0, 1, ..."),
        (lambda p, i, a, d: p * 10000 ** (2 * i / d), "the position is multiplied by the power: "
         "divide, so that later pairs turn slower"),
        (lambda p, i, a, d: p.float() * 10000 ** (2 * i.float() / d), "the position is multiplied "
         "by the power: divide, so that later pairs turn slower"),
        (lambda p, i, a, d: p / 10000 ** (2 * i / len(p)), "the exponent is divided by seq_len: "
         "divide by the width, d_model"),
        (lambda p, i, a, d: p / 1000 ** (2 * i / d), "the base is 1000: want 10000"),
        (lambda p, i, a, d: p / 10000 ** (2 * i / max(d - 2, 1)), "the exponent is divided by "
         "d_model - 2, which lets the last pair reach 10000: the paper divides by d_model"),
        (lambda p, i, a, d: a.flip(1), "the pairs run backwards: pair 0 turns fastest"),
        (lambda p, i, a, d: p.expand_as(a), "all pairs have the same angle, the position: divide "
         "it by 10000^(2i / d_model)"),
        (lambda p, i, a, d: a.deg2rad(), "the angle is taken as degrees: want radians as they "
         "are"),
        (lambda p, i, a, d: -a, "the sines have the wrong sign: a minus too many in the angle"),
        (lambda p, i, a, d: (a, half_pi - a), "both features of a pair are sines: the second is "
         "the cosine"),
        (lambda p, i, a, d: (half_pi - a, a), "both features of a pair are cosines: the first is "
         "the sine"),
    ]

    def made(angle, change=lambda table: table):
        def table(seq_len, d_model):
            position = torch.arange(seq_len, dtype=torch.float64).unsqueeze(1)
            pair = torch.arange(d_model // 2, dtype=torch.float64)
            found = angle(position, pair, position / 10000 ** (2 * pair / d_model), d_model)
            return change(table_from(*found) if isinstance(found, tuple) else table_from(found))

        return table

    def then(change):
        return made(lambda p, i, a, d: a, change)

    return [
        (then(to_halves), "all sines stand before all cosines. Other code does so, but here they "
         "stand in turns, sine, cosine, sine, cosine, ...: stack along the last axis (dim=-1), "
         "then flatten"),
        *((made(angle), words) for angle, words in angles),
        *((made(angle, to_halves), words) for angle, words in angles),
        (lambda n, d: (sinusoidal_encoding(n, d).T), "the table is (d_model, seq_len): want one "
         "row for each position"),
        (then(lambda t: t.unsqueeze(0)), "the table has a batch axis: want (seq_len, d_model), it "
         "broadcasts"),
        (then(lambda t: t[:, 0::2]), "there are d_model / 2 features: every pair has a sine and a "
         "cosine"),
        (then(lambda t: t[:, 1::2]), "there are d_model / 2 features: every pair has a sine and a "
         "cosine"),
        (lambda n, d: (torch.arange(n).unsqueeze(1) / 10000 ** (
            torch.arange(0, d, 2) / d)).repeat_interleave(2, dim=-1), "these are the angles: take "
         "their sine and cosine"),
    ]


# ---- 9.2 ----


@exercise("9.2")
def check_positions(answer) -> str | None:
    """What is added to which token, where the module keeps it, and where the table ends."""
    max_len, d_model = 12, 10
    module = made_module(answer, d_model, max_len)
    x = torch.randn(BATCH, 5, d_model)
    other = made_module(answer, 6, 40)
    agree(forward, right_sum, [
        case("5 tokens from 0", module, x, hint="want the rows start to start + x.size(1)"),
        case("one token", module, torch.randn(3, 1, d_model), 0),
        case("a batch of one, as long as the table", module, torch.randn(1, max_len, d_model), 0,
             hint="the last row is max_len - 1, so start + seq_len may be max_len"),
        case("4 tokens from position 3", module, torch.randn(2, 4, d_model), 3,
             hint="want the rows start to start + x.size(1); a slice of one row broadcasts"),
        case("2 tokens from position 10, up to the end", module, torch.randn(3, 2, d_model), 10),
        case("eval mode from 3", copy.deepcopy(module).eval(), x, 3,
             hint="the mode has no part here"),
        case("d_model 6 and max_len 40", other, torch.randn(1, 33, 6), 7,
             hint="use both arguments of __init__"),
        case("x in float64", module, x.double(), 0, gradients=False),
        case("max_len left out, which is 256", made_module(answer, 8), torch.randn(1, 256, 8), 0,
             gradients=False),
    ], addition_mistakes(), axes={"the result": ("sentence", "token", "feature"),
        "x": ("sentence", "token", "feature")}, float64=False, tolerance=NEAR,
        advice="Token t of each sentence gets row start + t of the sinusoid")
    if (kind := call(module, x).dtype) != x.dtype:
        raise Mistake(f"x is {x.dtype}, the sum {kind}: keep the table in float32, or every later "
                      "layer gets the wrong type")
    if not torch.equal(run(module, (x[:, :2], 1)), run(module, (x[:, :2], 1))):
        raise Mistake("called twice with the same x and start, it gives two results: something is "
                      "kept from the call before. The position comes from start alone")
    judge_end(module, max_len, d_model)
    judge_buffer(module, x)
    judge_birth(lambda: made_module(answer, d_model, max_len))
    return "The table is saved with the model, moved with it, and never trained"


def right_sum(module, x: Tensor, start: int = 0) -> Tensor:
    """What the module should give."""
    end = start + x.size(1)
    return x + sinusoidal_encoding(end, x.size(2), x.dtype)[start:]


def made_module(answer, *sizes: int) -> nn.Module:
    """What the learner's class makes: it must be a module."""
    if isinstance(answer, nn.Module):
        raise Mistake("hand over the class itself, without brackets")
    module = call(answer, *sizes)
    if not isinstance(module, nn.Module):
        cannot = "" if callable(module) else ", which cannot be called"
        raise Mistake(f"want a class of nn.Module, got {type(module).__name__}{cannot}: a module "
                      "carries its table along")
    return module


def addition_mistakes() -> list[tuple[Callable, str]]:
    """A sum with one thing wrong, and what to say then."""

    def adds(rows):
        """From the whole table, x and start: what is added."""

        def wrong(module, x, start=0):
            table = sinusoidal_encoding(start + x.size(1) + len(x) + 1, x.size(2), x.dtype)
            return x + rows(table, x, start)

        return wrong

    def right(t, x, s):
        return t[s : s + x.size(1)]

    return [
        (adds(lambda t, x, s: t[: len(x)].unsqueeze(1)), "positions follow the batch: sentence b "
         "gets row b at every token. Want x.size(1) rows, not x.size(0) or len(x)"),
        (adds(lambda t, x, s: t[x.size(1)]), "all tokens get row seq_len: a colon is missing. "
         "table[:, T] picks one entry, table[:, :T] the first T"),
        (adds(lambda t, x, s: t[s]), "all tokens get row start: want one row for each token"),
        (adds(lambda t, x, s: right(t, x, 0).mean(0)), "all tokens get the mean of the rows: want "
         "row t for token t"),
        (adds(lambda t, x, s: right(t, x, s + 1)), "positions begin at 1: the first token wants "
         "row start"),
        (adds(lambda t, x, s: right(t, x, s).flip(0)), "the rows run backwards: the first token "
         "wants row start"),
        (adds(lambda t, x, s: right(t, x, 0)), "`start` is ignored: the first token has position "
         "start. A decoder that is fed one token at a time needs it"),
        (adds(lambda t, x, s: right(t, x, 0) + s), "`start` is added to the numbers of the rows: "
         "it is the place where they begin"),
        (adds(lambda t, x, s: 0), "nothing is added: the result is x itself"),
        (adds(lambda t, x, s: right(t, x, s) - x), "this is the row alone: add it to x"),
        (adds(lambda t, x, s: x * right(t, x, s) - x), "x is multiplied by the table: add it"),
        (adds(lambda t, x, s: x * (x.size(2) ** 0.5 - 1) + right(t, x, s)), "x is multiplied by "
         "√d_model here: that belongs to the embedding. This module only adds"),
        (adds(lambda t, x, s: right(t, x, s) / x.size(2) ** 0.5), "the rows are divided by "
         "√d_model: add them as they are"),
        (adds(lambda t, x, s: to_halves(right(t, x, s))), "all sines stand before all cosines. "
         "Use sinusoidal_encoding of 9.1"),
        (lambda m, x, s=0: torch.cat([x, right_sum(m, x, s) - x], -1), "the position is put "
         "beside the token, which doubles d_model: add it"),
        (lambda m, x, s=0: sinusoidal_encoding(s + x.size(1), x.size(2))[s:], "these are the rows "
         "alone: add them to x and return the sum"),
    ]


def judge_end(module, max_len: int, d_model: int) -> None:
    """Beyond the table there is a clear error."""
    for n_tokens, start in ((max_len + 1, 0), (3, max_len - 2), (2, max_len - 1), (1, max_len)):
        beyond = torch.randn(BATCH, n_tokens, d_model)
        tokens = "one token" if n_tokens == 1 else f"{n_tokens} tokens"
        must_refuse(lambda x=beyond, s=start: module(x, s), f"with max_len {max_len} there are "
                    f"positions 0 to {max_len - 1}: {tokens} from position {start} do not fit")


def judge_buffer(module: nn.Module, x: Tensor) -> None:
    """The table is a buffer: neither trained nor lost, and it is what forward reads."""
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        raise Mistake("the table is a frozen parameter: it is not trained, but it is counted as a "
                      "parameter, and requires_grad_(True) on the model thaws it. Use "
                      "register_buffer")
    if parameters:
        raise Mistake("the table is a parameter, so training would change it: register_buffer "
                      "keeps it fixed")
    saved = list(module.state_dict().values())
    if not saved and any(True for _ in module.buffers()):
        raise Mistake("the buffer is not persistent, so state_dict() loses it: register it "
                      "without persistent=False")
    kept = [value for part in module.modules() for value in vars(part).values()]
    if not saved and any(isinstance(value, Tensor) for value in kept):
        raise Mistake("the table is a plain attribute: model.to(device) leaves it behind and "
                      "state_dict() loses it. Use self.register_buffer(name, table)")
    if not saved:
        raise Mistake("state_dict() is empty: build the table once in __init__ and keep it with "
                      "self.register_buffer(name, table)")
    other = copy.deepcopy(module)
    other.load_state_dict({name: 2 * t if t.is_floating_point() else t
                           for name, t in module.state_dict().items()})
    if difference(call(other, x) - x, 2 * (right_sum(None, x) - x), ["the rows"], {}, NEAR):
        raise Mistake("there is a buffer, but forward does not read the table from it: what is "
                      "loaded or moved to a device would have no effect. Add rows of the buffer")


# ---- 9.3 ----


@exercise("9.3")
def check_rotate(answer) -> None:
    """The turn with and without start, at other sizes and numbers of axes; an odd width."""
    x = torch.randn(BATCH, N_HEADS, SEQ_LEN, D_K)
    ends = "count axes from the end (-1, -2)"
    agree(answer, rotate, [
        case("2 sentences, 3 heads, 7 tokens, d_k 10", x,
             hint="positions are on the axis before the last, x.size(-2)"),
        case("start 3", x, 3, hint="token t has position start + t"),
        case("start 300", x, 300, hint="token t has position start + t"),
        case("33 tokens of d_k 6 from 5", torch.randn(1, 2, 33, 6), 5),
        case("no batch and no heads", x[0, 0], 0, hint=ends),
        case("three axes", x[:, 0], 0, hint=ends),
        case("five axes", torch.randn(2, 2, 3, 4, 6), 0, hint=ends),
        case("one token of d_k 2 at position 9", torch.randn(3, 1, 1, 2), 9),
        as_dtype(case("", x, 2, gradients=False), torch.float64, "float64",
                 hint="something in it has a type of its own: take that of x"),
    ], turn_mistakes(), axes={"the result": ("sentence", "head", "token", "feature"),
        "x": ("sentence", "head", "token", "")}, tolerance=NEAR, float64=False,
        explain=about_lengths)
    for width in (9, 1):
        must_refuse(lambda n=width: answer(x[..., :n]), f"d_k must be even, and for {width} your "
                    "function must say so")


def about_lengths(answered: list, wants: list) -> str:
    """Whether an unknown turn keeps lengths."""
    for got, want in zip(answered, wants):
        if found := difference(got, want, ["the result"], {}, NEAR):
            if difference(got.norm(dim=-1), want.norm(dim=-1), ["a length"], {}, NEAR):
                return ("a vector has another length after the turn, so it is no turn. Want "
                        "first·cos - second·sin and first·sin + second·cos, both from the OLD "
                        f"features and with one angle for each pair. {found}")
            return (f"lengths are kept, but {found}. Token t turns pair i by "
                    "(start + t) / 10000^(2i / d_k)")
    return ""


def turned_by(x: Tensor, angle: Tensor) -> Tensor:
    """Turn pairs of neighbours by angles that broadcast to (..., d_k / 2)."""
    first, second = x[..., 0::2], x[..., 1::2]
    cos, sin = angle.cos().to(x), angle.sin().to(x)
    pairs = first * cos - second * sin, first * sin + second * cos
    return torch.stack(pairs, dim=-1).flatten(-2)


def turn_mistakes() -> list[tuple[Callable, str]]:
    """A turn with one thing wrong, and what to say then."""

    def by(angle, dtype=torch.float64):
        """From position (seq_len, 1), pair, d_k and x: another angle."""

        def wrong(x, start=0):
            position = torch.arange(x.size(-2), dtype=dtype).unsqueeze(1) + start
            pair, d_k = torch.arange(x.size(-1) // 2, dtype=dtype), x.size(-1)
            return turned_by(x, angle(position, pair, d_k, x))

        return wrong

    def mixed_by(mix):
        """From both features of each pair, cosines and sines: the new pair."""

        def wrong(x, start=0):
            cos, sin = cos_and_sin(x, start)
            return torch.stack(mix(x[..., 0::2], x[..., 1::2], cos, sin), dim=-1).flatten(-2)

        return wrong

    def cos_and_sin(x, start):
        table = sinusoidal_encoding(start + x.size(-2), x.size(-1), x.dtype)[start:]
        return table[:, 1::2], table[:, 0::2]

    def along(axis):
        """The place of a token along an axis counted from the front."""
        return lambda p, i, d, x: torch.arange(x.size(axis), dtype=x.dtype).view(
            -1, *[1] * (x.dim() - axis - 1)) / 10000 ** (2 * i / d)

    def halves_by_neighbours(x, start=0):
        cos, sin = (part.repeat_interleave(2, dim=-1) for part in cos_and_sin(x, start))
        low, high = x.chunk(2, dim=-1)
        return x * cos + torch.cat([-high, low], dim=-1) * sin

    def neighbours_by_halves(x, start=0):
        cos, sin = (torch.cat([part, part], dim=-1) for part in cos_and_sin(x, start))
        return x * cos + torch.stack([-x[..., 1::2], x[..., 0::2]], dim=-1).flatten(-2) * sin

    def table(x, start):
        return sinusoidal_encoding(start + x.size(-2), x.size(-1), x.dtype)[start:]

    mixed = "two ways to make pairs are mixed: "
    known = [
        (lambda x, start=0: x, "nothing is turned: the result is x itself"),
        (lambda x, start=0: rotate(x), "`start` is ignored: the first token has position start"),
        (lambda x, start=0: rotate(x, -start), "`start` is subtracted: the first token has "
         "position start"),
        (by(lambda p, i, d, x: p), "all pairs turn by the same angle, the position: divide it by "
         "base^(2i / d_k), so that later pairs turn slower"),
        (by(lambda p, i, d, x: -p / 10000 ** (2 * i / d)), "the pairs turn the other way: both "
         "sines have the wrong sign. The first feature becomes first·cos - second·sin"),
        (mixed_by(lambda a, b, c, s: (a * c + b * s, a * s + b * c)), "one sine has the wrong "
         "sign: the first feature is first·cos MINUS second·sin. As it is, lengths change"),
        (mixed_by(lambda a, b, c, s: (a * c - b * s, b * c - a * s)), "one sine has the wrong "
         "sign: the second feature is first·sin PLUS second·cos. As it is, lengths change"),
        (mixed_by(lambda a, b, c, s: (a * s - b * c, a * c + b * s)), "sine and cosine are "
         "exchanged: at position 0 the angle is 0 and x must stay as it is"),
        (mixed_by(lambda a, b, c, s: (a * c - b * s, (a * c - b * s) * s + b * c)), "the second "
         "feature is made from the NEW first one: keep the old one until both are made"),
        (mixed_by(lambda a, b, c, s: (a * c, b * c)), "x is multiplied by the cosines alone: the "
         "sines bring in the other feature of the pair"),
        (by(lambda p, i, d, x: p / 10000 ** (i / d)), "the exponent is i / d_k: pair i wants "
         "2i / d_k"),
        (by(lambda p, i, d, x: p / 10000 ** (4 * i / d)), "the exponent is 4i / d_k: arange(0, "
         "d_k, 2) is 2i already"),
        (by(lambda p, i, d, x: p / 10000 ** (2 * i) / d), "the exponent is not in brackets: want "
         "base ** (2i / d_k)"),
        (by(lambda p, i, d, x: p / (10000 ** (2 * i) / d)), "** binds tighter than /: yours is "
         "base ** 2i, divided by d_k. Put 2i / d_k in brackets"),
        *((by(lambda p, i, d, x: p * 10000 ** (2 * i / d), dtype), "the position is multiplied by "
           "the power: divide by it") for dtype in (torch.float32, torch.float64)),
        (by(lambda p, i, d, x: (p + 1) / 10000 ** (2 * i / d)), "positions begin at 1: token 0 "
         "has position start and is not turned at start 0"),
        (by(lambda p, i, d, x: p[-1] / 10000 ** (2 * i / d)), "all tokens turn by the angle of "
         "the last: token t has position start + t"),
        (by(along(1)), "the angle follows axis 1, the heads where x has four axes: positions are "
         "on the axis before the last, x.size(-2)"),
        (by(along(0)), "the angle follows axis 0, the batch: positions are on the axis before the "
         "last, x.size(-2)"),
    ]
    return [
        (lambda x, start=0: to_halves(rotate(to_turns(x), start)), "feature i is paired with "
         "i + d_k / 2. Other code does so, but here the pairs are neighbours, (2i, 2i + 1): "
         "x[..., 0::2] and x[..., 1::2], put back with stack and flatten"),
        (lambda x, start=0: turned_by(x, start + torch.arange(x.size(-2)).double()[:, None] / 10000
         ** (torch.arange(0, x.size(-1), 2) / x.size(-1))), "`start` is added to the angles: add "
         "it to the position, before the division"),
        *known,
        *((lambda x, start=0, f=f: to_halves(f(to_turns(x), start)), words) for f, words in known),
        (halves_by_neighbours, mixed + "the features come from halves (i, i + d_k / 2), the "
         "angles from neighbours (2i, 2i + 1). Choose one"),
        (neighbours_by_halves, mixed + "the features are neighbours (2i, 2i + 1), the angles "
         "repeat in halves (i, i + d_k / 2). Choose one"),
        (lambda x, start=0: to_halves(rotate(x, start)), mixed + "the features are taken as "
         "neighbours and put back as halves. Use stack and flatten"),
        (lambda x, start=0: to_turns(rotate(to_turns(x), start)), mixed + "the features are taken "
         "as halves and put back as neighbours. Use cat"),
        (lambda x, start=0: x + table(x, start), "the sinusoid is added: here every pair is "
         "turned by its angle"),
        (lambda x, start=0: x * table(x, start), "x is multiplied by the sinusoid feature by "
         "feature: a turn mixes the two features of a pair"),
        (lambda x, start=0: x + table(x, 0), "the sinusoid is added, and `start` is ignored: here "
         "every pair is turned by its angle"),
        (lambda x, start=0: x * table(x, 0), "x is multiplied by the sinusoid, and `start` is "
         "ignored: a turn mixes the two features of a pair"),
    ]


# ---- 9.4 ----


@exercise("9.4")
def check_rotary_attention(answer) -> str | None:
    """Output and weights without and with a mask, at other sizes, with large scores."""
    attention, other = some_attention(D_MODEL, N_HEADS), some_attention(8, 2)
    x = torch.randn(BATCH, SEQ_LEN, D_MODEL)
    own = torch.ones(2, 1, 1, 5).bool()
    own[0, ..., 3:] = False
    nowhere = causal_mask(SEQ_LEN).repeat(BATCH, 1, 1, 1)
    nowhere[1, :, 2] = False
    agree(answer, right_attention, [
        case("no mask", attention, x),
        case("a causal mask", attention, x, causal_mask(SEQ_LEN)),
        case("2 heads of width 4 and a mask of its own for each sentence", other,
             torch.randn(2, 5, 8), own, hint="take the sizes from the module, the mask as it is"),
        case("a mask of three axes, (sentence, 1, key)", other, torch.randn(2, 5, 8), own[:, 0],
             hint="it is for all heads: give it an axis of heads, as the printed forward does"),
        case("one sentence of one word", other, torch.randn(1, 1, 8), None),
        case("a query that may look nowhere", attention, x, nowhere, hint="such a row gets zeros, "
             "as scaled_dot_product_attention gives it"),
        case("large scores", attention, 10 * x, None, gradients=False),
        as_dtype(case("", attention, 300 * x, causal_mask(SEQ_LEN), gradients=False),
                 torch.float64, "a causal mask and scores of 10,000 and more", "-1e4 is an "
                 "ordinary score: hide with -inf, as scaled_dot_product_attention does"),
        as_dtype(case("", attention, x, None, gradients=False), torch.float64, "float64"),
    ], rotary_mistakes(), axes={"output": ("sentence", "word", "feature"),
        "weights": ("sentence", "head", "word", "key"), "x": ("sentence", "", "")},
        explain=which_part, tolerance=NEAR, float64=False)
    run(answer, (attention, x, None))
    if not attention.training:
        raise Mistake("your function leaves the module in eval mode: whoever trains on has no "
                      "dropout then. There is nothing to switch here")
    return "Queries and keys know where they are, values do not need to"


def right_attention(attention, x, mask=None) -> tuple[Tensor, Tensor]:
    """What it should give."""
    return rotary_attention(attention, x, mask)


def some_attention(d_model: int, n_heads: int) -> MultiHeadAttention:
    """An attention whose scores are large enough to tell mistakes apart."""
    attention = MultiHeadAttention(d_model, n_heads)
    with torch.no_grad():
        for map_ in (attention.query_map, attention.key_map):
            map_.weight.mul_(3.0)
    return attention


def which_part(answered: list, wants: list) -> str:
    """Whether the weights are right where the output is not."""
    for (output, weights), (right, true) in zip(answered, wants):
        if found := difference(weights, true, ["weights"], {}, NEAR):
            return (f"the weights are wrong: {found}. Map, split into heads, turn q and k, then "
                    "scaled_dot_product_attention, which divides by √d_k itself")
        if found := difference(output, right, ["output"], {}, NEAR):
            return (f"the weights are right, the output is not: {found}. Mix the heads' values, "
                    "merge the heads, then output_map")
    return ""


def rotary_mistakes() -> list[tuple[Callable, str]]:
    """Rotary attention with one thing wrong, and what to say then."""

    def maps(a):
        return a.query_map, a.key_map, a.value_map

    def for_all(mask):
        return mask.unsqueeze(1) if mask is not None and mask.dim() == 3 else mask

    def with_parts(parts=None, inside=None, mask_of=lambda mask: mask, values=None, after=None,
                   of_heads=for_all):
        """parts(a, x): q, k, v; inside(q, k): turned; values(q, k, v); after(a, context, x)."""

        def wrong(attention, x, mask=None):
            n = attention.n_heads
            q, k, v = (parts(attention, x) if parts else
                       (split_heads(map_(x), n) for map_ in maps(attention)))
            if not parts:
                q, k = inside(q, k) if inside else (rotate(q), rotate(k))
            v = values(q, k, v) if values else v
            mask = None if mask is None else of_heads(mask_of(mask))
            context, weights = scaled_dot_product_attention(q, k, v, mask)
            output = attention.output_map(merge_heads(context))
            return after(attention, context, x) if after else output, weights

        return wrong

    def both(turn):
        return with_parts(inside=lambda q, k: (turn(q), turn(k)))

    def of_other_x(other):
        """Queries and keys from another x, not turned."""
        return with_parts(lambda a, x: [split_heads(map_(y), a.n_heads) for map_, y in zip(
            maps(a), (other(x), other(x), x))])

    def turned_whole(a, x):
        q, k, v = (map_(x) for map_ in maps(a))
        return [split_heads(part, a.n_heads) for part in (rotate(q), rotate(k), v)]

    def table(x):
        return sinusoidal_encoding(x.size(-2), x.size(-1), x.dtype)

    def causal(attention, x, mask=None):
        past = causal_mask(x.size(1))
        return right_attention(attention, x, past if mask is None else for_all(mask) & past)

    def causal_without(attention, x, mask=None):
        return right_attention(attention, x, causal_mask(x.size(1)) if mask is None else mask)

    def swapped(attention, x, mask=None):
        return right_attention(attention, x, mask)[::-1]

    return [
        (with_parts(inside=lambda q, k: (q, k)), "these are the weights without positions: "
         "nothing is turned, or the turn follows the heads, which moves no score. rotate wants "
         "(..., seq_len, d_k)"),
        (with_parts(inside=lambda q, k: (rotate(q), k)), "only the queries are turned: the score "
         "then depends on the query's position alone. Turn the keys too"),
        (with_parts(inside=lambda q, k: (q, rotate(k))), "only the keys are turned: turn the "
         "queries too"),
        (with_parts(turned_whole), "queries and keys are turned before they are cut into heads: "
         "then each head gets other speeds. Split first"),
        (of_other_x(rotate), "x is turned before the maps W^Q and W^K: the offset does not "
         "survive them. Turn what comes out"),
        (of_other_x(lambda x: x + table(x)), "the sinusoid is added to x: here queries and keys "
         "are turned"),
        (both(lambda q: q + table(q)), "the sinusoid is added to queries and keys: turn them"),
        (both(lambda q: to_halves(rotate(to_turns(q)))), "the turn pairs feature i with "
         "i + d_k / 2: use `rotate` of this notebook, which pairs 2i with 2i + 1"),
        (with_parts(inside=lambda q, k: (rotate(q), rotate(k.flip(2)).flip(2))), "the keys' "
         "positions run backwards"),
        (with_parts(inside=lambda q, k: (rotate(k), rotate(q))), "queries and keys are exchanged"),
        (with_parts(inside=lambda q, k: (rotate(q) * q.size(-1) ** 0.5, rotate(k))), "the scores "
         "are not divided by √d_k: scaled_dot_product_attention does it"),
        (both(lambda q: rotate(rotate(q))), "queries and keys are turned twice"),
        (causal, "a causal mask is built in: hide what the argument `mask` hides, and no more"),
        (causal_without, "a causal mask is built in: without a mask each word sees all words"),
        (with_parts(mask_of=lambda mask: None), "the mask is not handed on"),
        (with_parts(mask_of=lambda mask: ~mask), "the mask is turned round: True means may look"),
        *((with_parts(mask_of=lambda mask, has=has: mask[:1] if mask.dim() in has else mask), "the "
           "mask of the first sentence serves all: each has its own, mask[:1] drops the others")
          for has in ((3,), (4,), (3, 4))),
        (with_parts(of_heads=lambda mask: mask), "a mask of three axes, (sentence, 1, key), meets "
         "the HEADS with its first axis: give it an axis of heads, mask.unsqueeze(1)"),
        (with_parts(inside=lambda q, k: (rotate(rotate(q)), rotate(k))), "the queries are turned "
         "twice, the keys once: turn both once"),
        *((with_parts(inside=lambda q, k, a=a, b=b: (rotate(q, a), rotate(k, b))), "queries and "
           "keys begin at different positions: the same start for both") for a, b in (
               (0, 1), (1, 0))),
        (with_parts(lambda a, x: [rotate(split_heads(a.query_map(x), a.n_heads))] * 2
                    + [split_heads(a.value_map(x), a.n_heads)]), "the keys are made by query_map: "
         "want key_map"),
        (with_parts(values=lambda q, k, v: rotate(v)), "the values are turned too: positions "
         "decide where to look, not what is read. Leave v as it is"),
        (with_parts(values=lambda q, k, v: k), "the keys are mixed: mix the values"),
        (with_parts(after=lambda a, c, x: merge_heads(c)), "output_map (W^O) is missing at the "
         "end"),
        (with_parts(after=lambda a, c, x: a.output_map(merge_heads(rotate(c)))), "the context is "
         "turned after the mix: only queries and keys are turned"),
        (with_parts(after=lambda a, c, x: a.output_map(c.reshape(x.shape))), "the heads are "
         "merged without their transpose, which mixes up tokens: use merge_heads"),
        (with_parts(after=lambda a, c, x: x + a.output_map(merge_heads(c))), "x is added to the "
         "output: the residual is not part of the attention"),
        (with_parts(after=lambda a, c, x: c), "the output is still cut into heads: merge_heads, "
         "then output_map"),
        (swapped, "the two results come in the wrong order: output first, then weights"),
        (lambda attention, x, mask=None: attention(x, x, x, mask), "these are the weights without "
         "positions: nothing is turned, or the turn follows the heads, which moves no score. "
         "rotate wants (..., seq_len, d_k)"),
    ]


# ---- 9.5 ----


@exercise("9.5")
def check_window_mask(answer) -> str:
    """Several lengths and widths: a width of 1, as long as the text, longer."""
    agree(answer, window_mask, [
        case(f"{n} positions and width {width}", n, width, hint=hint) for n, width, hint in (
            (7, 3, ""), (9, 5, ""), (4, 1, ""), (3, 8, "a window wider than the text hides nothing "
            "of the past"), (1, 1, ""), (6, 6, ""), (300, 25, "a distance may be negative, or "
            "large: no limit, and no type of small whole numbers"))
    ], window_mistakes(), axes={"mask": ("row", "column")}, advice="Row i may look at itself "
        "and at width - 1 places before it")
    return "Each position sees itself and width - 1 places before it"


def window_mistakes() -> list[tuple[Callable, str]]:
    """A mask by another rule, and what to say then."""
    # from the distance of each pair, the width, and the positions
    rules = [
        (lambda d, w, p: (d < 0) | (d >= w), "the mask is turned round: True means may look"),
        (lambda d, w, p: (d <= 0) & (d > -w), "rows and columns are exchanged: row i is the "
         "position that looks, and it looks back, not ahead"),
        (lambda d, w, p: d >= 0, "the past has no end: hide what is width or more places back"),
        (lambda d, w, p: (d >= 0) & (d < 20), "the width is taken to be 20, as in the lesson: use "
         "width"),
        (lambda d, w, p: d.abs() < w, "a position sees its future: want distance >= 0 as well"),
        (lambda d, w, p: d < w, "a position sees all of its future: want distance >= 0 as well"),
        (lambda d, w, p: (d >= 0) & (d <= w), "the window is one place too wide: with its own "
         "place a position sees width places in all"),
        (lambda d, w, p: (d >= 0) & (d < w - 1), "the window is one place too narrow: with its "
         "own place a position sees width places in all"),
        (lambda d, w, p: (d > 0) & (d < w), "a position does not see itself, and the first one "
         "sees nothing: want distance >= 0"),
        (lambda d, w, p: (d > 0) & (d <= w), "a position does not see itself: its own place "
         "counts among the width places"),
        (lambda d, w, p: d >= w, "the far past is kept and the near past hidden: want distance < "
         "width"),
        (lambda d, w, p: (d >= 0) & (p < w), "all positions see the first places: the window must "
         "move along with the position that looks"),
        (lambda d, w, p: (d >= 0) & (p.unsqueeze(1) // w == p // w), "the text is cut into "
         "blocks: the window must move with every position"),
        (lambda d, w, p: p.unsqueeze(1) // w == p // w, "the text is cut into blocks, and a "
         "position sees its future: the window moves, and looks back only"),
    ]

    def made(rule):
        def mask(seq_len, width):
            position = torch.arange(seq_len)
            return rule(position.unsqueeze(1) - position, width, position)

        return mask

    def by_slices(seq_len, width):
        mask = torch.zeros(seq_len, seq_len).bool()
        for i in range(seq_len):
            mask[i, i - width + 1 : i + 1] = True
        return mask

    return [
        *((made(rule), words) for rule, words in rules),
        (by_slices, "the first rows are empty: a slice that starts below 0 counts from the end. "
         "Let it start at max(0, i - width + 1)"),
        (lambda n, w: window_mask(w, n), "length and width are exchanged"),
        (lambda n, w: window_mask(n, w).float(), "want bool, True = may look, not numbers: "
         "compare with >= and <"),
        (lambda n, w: window_mask(n, w).int(), "want bool, True = may look, not numbers: compare "
         "with >= and <"),
    ]

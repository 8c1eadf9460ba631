"""The checks of notebook 09: the sinusoid, adding it, turning pairs, a window."""

import copy
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from utils.attention import (
    MultiHeadAttention,
    causal_mask,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)
from utils.checks.core import (
    Mistake,
    call,
    describe,
    exercise,
    same,
    want_finite,
    want_tensor,
)
from utils.transformer import sinusoidal_encoding
from utils.variants import rotate, window_mask

# All different; no width is 4 or 16, where two wrong formulas can meet.
BATCH, N_HEADS, SEQ_LEN, D_K = 2, 3, 7, 10
D_MODEL = N_HEADS * D_K
EVEN = "d_model must be even"


def name_mistake(result: Tensor, known: Iterable[tuple[Tensor, str]]) -> None:
    """Raise the message of the first known wrong result that this one equals."""
    for wrong, message in known:
        if same(result, wrong):
            raise Mistake(message)


def must_refuse(run, message: str) -> None:
    """Make sure that run() raises ValueError."""
    try:
        run()
    except ValueError:
        return
    except (Exception, SystemExit) as error:
        raise Mistake(f"{message}: want ValueError, got {describe(error)}") from error
    raise Mistake(f"{message}: want ValueError, nothing was raised")


def table_from(sine_angle: Tensor, cosine_angle: Tensor | None = None) -> Tensor:
    """Sine and cosine of (seq_len, d_model / 2) angles, next to each other."""
    cosine_angle = sine_angle if cosine_angle is None else cosine_angle
    return torch.stack([sine_angle.sin(), cosine_angle.cos()], dim=-1).flatten(1)


def in_turns(blocks: Tensor) -> Tensor:
    """A table of all sines, then all cosines, put in turns."""
    return torch.stack(blocks.chunk(2, dim=-1), dim=-1).flatten(-2)


@exercise("9.1")
def check_sinusoidal_encoding(answer) -> str | None:
    """Shape, then the formula against its known distortions, then an odd width."""
    seq_len, d_model = 7, 10
    table = call(answer, seq_len, d_model)
    if isinstance(table, Tensor) and tuple(table.shape) == (d_model, seq_len):
        raise Mistake("the table is (d_model, seq_len): want one row for each position")
    if isinstance(table, Tensor) and tuple(table.shape) == (1, seq_len, d_model):
        raise Mistake("the table has a batch axis: want (seq_len, d_model), it broadcasts")
    if isinstance(table, Tensor) and tuple(table.shape) == (seq_len, d_model // 2):
        raise Mistake("there are d_model / 2 features: every pair has a sine and a cosine")
    want_tensor(table, (seq_len, d_model), "(seq_len, d_model)")
    if not table.is_floating_point():
        raise Mistake(f"want a table of real numbers, got {table.dtype}")
    want_finite(table, "sine and cosine of a finite angle are finite. Look at the power")
    position = torch.arange(seq_len, dtype=torch.float64).unsqueeze(1)
    pair = torch.arange(d_model // 2, dtype=torch.float64)
    true = table_from(position / 10000 ** (2 * pair / d_model))
    remark = None
    if not same(table, true):
        if not same(in_turns(table), true):
            name_mistake(table, sinusoid_slips(position, pair, d_model))
            name_mistake(in_turns(table), sinusoid_slips(position, pair, d_model))
            raise_first_difference(table, true)
        remark = (
            "All sines stand before all cosines, as in some libraries: it works as well. The "
            "paper and this course put them in turns, so do not mix two tables"
        )
    for other_len, other_width in ((3, 6), (90, 12), (1, 2)):
        other = call(answer, other_len, other_width)
        want_tensor(other, (other_len, other_width), "(seq_len, d_model)")
        other = in_turns(other) if remark else other
        expected = sinusoidal_encoding(other_len, other_width, torch.float64)
        if not same(other, expected, 1e-4):
            raise Mistake(
                f"right for ({seq_len}, {d_model}), wrong for ({other_len}, {other_width}): use "
                "seq_len and d_model everywhere"
            )
    must_refuse(lambda: answer(5, 7), f"{EVEN}, and for d_model 7 your function must say so")
    return remark


def sinusoid_slips(position: Tensor, pair: Tensor, d_model: int) -> list[tuple[Tensor, str]]:
    """What comes out when one piece of the formula is wrong, and what to say then."""
    angle = position / 10000 ** (2 * pair / d_model)
    literal = "the fraction 2i/d_model is the whole exponent, and it needs brackets: "
    return [
        (table_from(position / 10000 ** (pair / d_model)), "the exponent is i / d_model: pair i "
         "wants 2i / d_model. arange(0, d_model, 2) is 2i already"),
        (table_from(position / 10000 ** (4 * pair / d_model)), "the exponent is 4i / d_model: "
         "arange(0, d_model, 2) is 2i already, do not double it again"),
        (table_from(position / 10000 ** (2 * pair) / d_model), literal + "yours divides by "
         "10000^(2i) and then by d_model"),
        (table_from(position / (10000 ** (2 * pair) / d_model)), literal + "yours divides "
         "10000^(2i) by d_model, as ** binds tighter than /"),
        (table_from(position / 10000 ** (2 * pair)), literal + "yours leaves d_model out"),
        (table_from(position / 10000 * 2 * pair / d_model), "10000 is multiplied by 2i, not "
         "raised to a power: write 10000 ** (...)"),
        (table_from(angle, position / 10000 ** ((2 * pair + 1) / d_model)), "the cosine has an "
         "angle of its own, with 2i + 1: sine and cosine of a pair share one angle"),
        (table_from(angle, position / 10000 ** (2 * (2 * pair + 1) / d_model)), "the exponent "
         "counts features, not pairs: features 2i and 2i + 1 share one angle"),
        (table_from(math.pi / 2 - angle), "sine and cosine are exchanged: the even feature holds "
         "the sine. At position 0 a row begins 0, 1"),
        (table_from((position + 1) / 10000 ** (2 * pair / d_model)), "positions begin at 1: want "
         "0, so the first row is 0, 1, 0, 1, ..."),
        (table_from(position * 10000 ** (2 * pair / d_model)), "the position is multiplied by "
         "the power: divide, so that later pairs turn slower"),
        (table_from(position / 1000 ** (2 * pair / d_model)), "the base is 1000: want 10000"),
        (table_from(position / 10000 ** (2 * pair / (d_model - 2))), "the exponent is divided by "
         "d_model - 2, which lets the last pair reach 10000: the paper divides by d_model"),
        (table_from(position / 10000 ** (2 * pair.flip(0) / d_model)), "the pairs run backwards: "
         "pair 0 turns fastest"),
        (table_from(position.expand(-1, len(pair))), "all pairs have the same angle, the "
         "position: divide it by 10000^(2i / d_model)"),
        (table_from(angle.deg2rad()), "the angle is taken as degrees: want radians as they are"),
        (table_from(-angle), "the sines have the wrong sign: a minus too many in the angle"),
        (table_from(angle, math.pi / 2 - angle), "both features of a pair are sines: the second "
         "is the cosine"),
        (table_from(math.pi / 2 - angle, angle), "both features of a pair are cosines: the first "
         "is the sine"),
        (angle.repeat_interleave(2, dim=-1), "these are the angles: take their sine and cosine"),
    ]


def raise_first_difference(table: Tensor, true: Tensor) -> None:
    """Say where a table is wrong first, with its number and the wanted one."""
    wrong = ((table.double() - true).abs() > 1e-5).nonzero()
    pos, feature = wrong[0].tolist()
    wave = "sine" if feature % 2 == 0 else "cosine"
    raise Mistake(
        f"position {pos}, feature {feature} is {table[pos, feature]:.3f}, want "
        f"{true[pos, feature]:.3f}: the {wave} of {pos} / 10000^({feature - feature % 2} / "
        f"{true.size(-1)})"
    )


@exercise("9.2")
def check_positions(answer) -> str | None:
    """What is added to which token, where the module keeps it, and where the table ends."""
    d_model, max_len, seq_len = 10, 12, 5
    if isinstance(answer, nn.Module):
        raise Mistake("hand over the class itself, without brackets")
    module = call(answer, d_model, max_len)
    if not callable(module):
        raise Mistake(f"want a class of modules: {type(module).__name__} cannot be called")
    x = torch.randn(BATCH, seq_len, d_model)
    first = added(module, x)
    if not isinstance(module, nn.Module):
        raise Mistake(f"want a class of nn.Module, got {type(module).__name__}: a module carries "
                      "its table along")
    table = sinusoidal_encoding(max_len, d_model)
    if not same(first, table[:seq_len].expand_as(first)):
        name_mistake(first, addition_slips(x, table))
        if (first - first[:, :1]).abs().max() < 1e-5:
            raise Mistake("all tokens of a sentence get the same vector: want row t for token t")
        if not same(first[0], first[1]):
            raise Mistake("the two sentences of the batch get different vectors: token t gets "
                          "row t in each of them")
        raise Mistake("what is added is not the sinusoid of positions 0 to seq_len - 1, in order")
    judge_start(module, table, d_model)
    judge_end(module, max_len, d_model)
    judge_buffer(module)
    judge_other_table(answer)
    learns(x, lambda given: module(given), "the tokens")
    return "The table is saved with the model, moved with it, and never trained"


def added(module, x: Tensor, *start: int) -> Tensor:
    """What a module adds to x."""
    result = call(module, x, *start)
    if isinstance(result, Tensor) and tuple(result.shape) == (*x.shape[:2], 2 * x.size(-1)):
        raise Mistake("the position is put beside the token, which doubles d_model: add it")
    if isinstance(result, Tensor) and tuple(result.shape) == tuple(x.shape[1:]):
        raise Mistake("these are the rows alone: add them to x and return the sum")
    result = want_tensor(result, tuple(x.shape), "(batch, seq_len, d_model)")
    if result.dtype != x.dtype:
        raise Mistake(f"x is {x.dtype}, the sum {result.dtype}: keep the table in float32, or "
                      "every later layer gets the wrong type")
    want_finite(result, "x and the table are finite. Is the table filled?")
    return (result - x).detach()


def addition_slips(x: Tensor, table: Tensor) -> list[tuple[Tensor, str]]:
    """What a wrong row or a wrong rule adds, and what to say then."""
    batch, seq_len, d_model = x.shape
    rows = table[:seq_len]
    by_batch = table[:batch].unsqueeze(1)
    found = [
        (by_batch, "positions follow the batch: sentence b gets row b at every token. "
         "Want x.size(1) rows, not x.size(0) or len(x)"),
        (table[seq_len], "all tokens get row seq_len: a colon is missing. table[:, T] picks one "
         "entry, table[:, :T] the first T"),
        (table[0], "all tokens get row 0: want one row for each token"),
        (rows.mean(0), "all tokens get the mean of the rows: want row t for token t"),
        (table[1 : seq_len + 1], "positions begin at 1: the first token wants row 0"),
        (rows.flip(0), "the rows run backwards: the first token wants row 0"),
        (table[-seq_len:], "these are the last rows of the table: want the first seq_len"),
        (torch.zeros_like(x), "nothing is added: the result is x itself"),
        (rows - x, "this is the row alone: add it to x"),
        (x * rows - x, "x is multiplied by the table: add it"),
        (x * (d_model**0.5 - 1) + rows, "x is multiplied by √d_model here: that belongs to the "
         "embedding. This module only adds"),
        (rows / d_model**0.5, "the rows are divided by √d_model: add them as they are"),
        (in_blocks(rows), "all sines stand before all cosines. Use sinusoidal_encoding of 9.1"),
    ]
    return [(wrong.expand_as(x), message) for wrong, message in found]


def in_blocks(rows: Tensor) -> Tensor:
    """A table in turns put as all sines, then all cosines."""
    return torch.cat([rows[:, 0::2], rows[:, 1::2]], dim=-1)


def judge_start(module, table: Tensor, d_model: int) -> None:
    """Another batch and length, and a sentence that begins later."""
    for batch, seq_len, start in ((3, 1, 0), (1, 12, 0), (2, 4, 3), (3, 2, 10)):
        x = torch.randn(batch, seq_len, d_model)
        got = added(module, x, start)
        if same(got, table[start : start + seq_len].expand_as(got)):
            continue
        if start and same(got, table[:seq_len].expand_as(got)):
            raise Mistake("`start` is ignored: the first token has position start. A decoder that "
                          "is fed one token at a time needs it")
        raise Mistake(f"right for 5 tokens from 0, wrong for {seq_len} tokens from {start}: want "
                      "rows start to start + seq_len - 1")


def judge_other_table(answer) -> None:
    """The same at another d_model and max_len."""
    module, x = call(answer, 6, 40), torch.randn(1, 33, 6)
    wrong = "right for d_model 10 and max_len 12, wrong for 6 and 40: use both arguments"
    try:
        rows = added(module, x, 7)
    except Mistake as mistake:
        raise Mistake(f"{wrong} ({mistake})") from mistake
    if not same(rows, sinusoidal_encoding(40, 6)[7:].expand_as(x)):
        raise Mistake(wrong)


def learns(x: Tensor, run, what: str) -> None:
    """Make sure that a gradient comes back through run(x) to x."""
    x = x.clone().requires_grad_()
    result = run(x)
    result = result[0] if isinstance(result, tuple | list) else result
    if not result.requires_grad:
        raise Mistake(f"no gradient comes back to {what}: is there a detach, .data or no_grad?")
    (slope,) = torch.autograd.grad(result.square().sum(), x, allow_unused=True)
    if slope is None or not (slope.abs() > 0).any():
        raise Mistake(f"no gradient comes back to {what}: is there a detach, .data or no_grad?")


def judge_end(module, max_len: int, d_model: int) -> None:
    """Beyond the table there is a clear error."""
    beyond = torch.randn(BATCH, max_len + 1, d_model)
    must_refuse(lambda: module(beyond), f"{max_len + 1} tokens do not fit a table of {max_len}")
    must_refuse(
        lambda: module(beyond[:, :3], max_len - 2),
        f"3 tokens from position {max_len - 2} leave a table of {max_len}",
    )
    must_refuse(
        lambda: module(beyond[:, :1], max_len),
        f"one token at position {max_len} leaves a table of {max_len}, and one row too few "
        "must not broadcast",
    )


def judge_buffer(module: nn.Module) -> None:
    """The table is a buffer: neither trained nor lost."""
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        raise Mistake("the table is a frozen parameter: it is not trained, but it is counted as a "
                      "parameter, and requires_grad_(True) on the model thaws it. Use "
                      "register_buffer")
    if parameters:
        raise Mistake("the table is a parameter, so training would change it: register_buffer "
                      "keeps it fixed")
    saved = list(module.state_dict().values())
    kept = [value for part in module.modules() for value in vars(part).values()]
    if any(isinstance(value, Tensor) for value in kept):
        raise Mistake("the table is a plain attribute: model.to(device) leaves it behind and "
                      "state_dict() loses it. Use self.register_buffer(name, table)")
    if not saved and any(True for _ in module.buffers()):
        raise Mistake("the buffer is not persistent, so state_dict() loses it: register it "
                      "without persistent=False")
    if not saved:
        raise Mistake("state_dict() is empty: build the table once in __init__ and keep it with "
                      "self.register_buffer(name, table)")


@exercise("9.3")
def check_rotate(answer) -> str | None:
    """Shape, then the turn against its known distortions, start, an odd width."""
    x = torch.randn(BATCH, N_HEADS, SEQ_LEN, D_K, dtype=torch.float64)
    turned = want_tensor(call(answer, x), tuple(x.shape), "(batch, n_heads, seq_len, d_k)")
    want_finite(turned, "a turn keeps numbers finite")
    remark = None
    if not same(turned, rotate(x)):
        halves = from_halves(rotate(to_turns(x)))
        if not same(turned, halves):
            name_mistake(turned, turn_slips(x))
            raise_lost_length(x, turned)
        remark = (
            "You pair feature i with i + d_k / 2, as Llama does: it works as well. The course "
            "pairs neighbours, so a model trained with one cannot run with the other"
        )
    for start in (3, 40):
        later = want_tensor(call(answer, x, start), tuple(x.shape), "(..., seq_len, d_k)")
        expected = from_halves(rotate(to_turns(x), start)) if remark else rotate(x, start)
        if same(later, turned):
            raise Mistake("`start` is ignored: the first token has position start")
        if not same(later, expected, 1e-4):
            raise Mistake(f"right from position 0, wrong with start = {start}: token t has "
                          "position start + t")
    hint = "count axes from the end (-1, -2): without batch and heads your function"
    try:
        flat = want_tensor(call(answer, x[0, 0]), (SEQ_LEN, D_K), "(seq_len, d_k)")
    except Mistake as mistake:
        raise Mistake(f"{hint} fails ({mistake})") from mistake
    if not same(flat, turned[0, 0]):
        raise Mistake(f"{hint} gives another result")
    must_refuse(lambda: answer(x[..., :9]), "d_k must be even, and for 9 your function must say so")
    other = torch.randn(1, 2, 33, 6, dtype=torch.float64)
    expected = from_halves(rotate(to_turns(other), 5)) if remark else rotate(other, 5)
    turned = want_tensor(call(answer, other, 5), tuple(other.shape), "(1, 2, 33, 6)")
    if not same(turned, expected, 1e-4):
        raise Mistake("right for 7 tokens of d_k 10, wrong for 33 of d_k 6: use the sizes of x "
                      "everywhere")
    learns(x, answer, "x")
    return remark


def to_turns(x: Tensor) -> Tensor:
    """Put feature i and i + d_k / 2 next to each other."""
    return torch.stack(x.chunk(2, dim=-1), dim=-1).flatten(-2)


def from_halves(x: Tensor) -> Tensor:
    """Undo to_turns."""
    return torch.cat([x[..., 0::2], x[..., 1::2]], dim=-1)


def turn_by(x: Tensor, angle: Tensor) -> Tensor:
    """Turn pairs of neighbours by angles that broadcast to (..., d_k / 2)."""
    first, second = x[..., 0::2], x[..., 1::2]
    cos, sin = angle.cos(), angle.sin()
    pairs = first * cos - second * sin, first * sin + second * cos
    return torch.stack(pairs, dim=-1).flatten(-2)


def turn_slips(x: Tensor) -> list[tuple[Tensor, str]]:
    """What comes out when one piece of the turn is wrong, and what to say then."""
    n_heads, seq_len, d_k = x.shape[-3:]
    position = torch.arange(seq_len, dtype=x.dtype).unsqueeze(1)
    pair = torch.arange(d_k // 2, dtype=x.dtype)
    power = 10000 ** (2 * pair / d_k)
    angle = position / power
    cos, sin = angle.cos(), angle.sin()
    first, second = x[..., 0::2], x[..., 1::2]
    by_head = torch.arange(n_heads, dtype=x.dtype).view(-1, 1, 1)
    by_batch = torch.arange(len(x), dtype=x.dtype).view(-1, 1, 1, 1)
    low, high = x.chunk(2, dim=-1)
    half_turn = torch.cat([-high, low], dim=-1)
    near_turn = torch.stack([-second, first], dim=-1).flatten(-2)
    twice, again = torch.cat([angle, angle], -1), angle.repeat_interleave(2, dim=-1)

    def pairs(a: Tensor, b: Tensor) -> Tensor:
        return torch.stack([a, b], dim=-1).flatten(-2)

    mixed = "two ways to make pairs are mixed: "
    table = sinusoidal_encoding(seq_len, d_k, x.dtype)
    return [
        (x, "nothing is turned: the result is x itself"),
        (turn_by(x, position), "all pairs turn by the same angle, the position: divide it by "
         "base^(2i / d_k), so that later pairs turn slower"),
        (turn_by(x, -angle), "the pairs turn the other way: both sines have the wrong sign. The "
         "first feature becomes first·cos - second·sin"),
        (pairs(first * cos + second * sin, first * sin + second * cos), "one sine has the wrong "
         "sign: the first feature is first·cos MINUS second·sin. As it is, lengths change"),
        (pairs(first * cos - second * sin, second * cos - first * sin), "one sine has the wrong "
         "sign: the second feature is first·sin PLUS second·cos. As it is, lengths change"),
        (pairs(first * sin - second * cos, first * cos + second * sin), "sine and cosine are "
         "exchanged: at position 0 the angle is 0 and x must stay as it is"),
        (x * again.cos() + half_turn * again.sin(), mixed + "the features come from halves "
         "(i, i + d_k / 2), the angles from neighbours (2i, 2i + 1). Choose one"),
        (x * twice.cos() + near_turn * twice.sin(), mixed + "the features are neighbours "
         "(2i, 2i + 1), the angles repeat in halves (i, i + d_k / 2). Choose one"),
        (torch.cat([first * cos - second * sin, first * sin + second * cos], -1), mixed + "the "
         "features are taken as neighbours and put back as halves. Use stack and flatten"),
        (turn_by(x, position / 10000 ** (pair / d_k)), "the exponent is i / d_k: pair i wants "
         "2i / d_k"),
        (turn_by(x, position / 10000 ** (2 * pair) / d_k), "the exponent is not in brackets: "
         "want base ** (2i / d_k)"),
        (turn_by(x, position / (10000 ** (2 * pair) / d_k)), "** binds tighter than /: yours "
         "is base ** 2i, divided by d_k. Put 2i / d_k in brackets"),
        (turn_by(x, position * power), "the position is multiplied by the power: divide by it"),
        (turn_by(x, (position + 1) / power), "positions begin at 1: token 0 has position start "
         "and is not turned at start 0"),
        (turn_by(x, by_head / power), "the angle follows the heads (axis 1): positions are on "
         "the axis before the last, x.size(-2)"),
        (turn_by(x, by_batch / power), "the angle follows the batch (axis 0): positions are on "
         "the axis before the last, x.size(-2)"),
        (x + table, "the sinusoid is added: here every pair is turned by its angle"),
        (x * table, "x is multiplied by the sinusoid feature by feature: a turn mixes the two "
         "features of a pair"),
        (x * again.cos(), "x is multiplied by the cosines alone: the sines bring in the other "
         "feature of the pair"),
        (turn_by(x, angle[-1]), "all tokens turn by the angle of the last: token t has position "
         "start + t"),
    ]


def raise_lost_length(x: Tensor, turned: Tensor) -> None:
    """The last word on a wrong turn: does it keep lengths, and which entry is wrong first."""
    if not same(x.norm(dim=-1), turned.norm(dim=-1), 1e-4):
        raise Mistake("a vector has another length after the turn: check the two signs, and that "
                      "sine and cosine of a pair share one angle")
    wrong = ((turned - rotate(x)).abs() > 1e-5).nonzero()[0].tolist()
    raise Mistake(f"lengths are kept, but token {wrong[-2]}, feature {wrong[-1]} is wrong: which "
                  "features make its pair, and by which angle does it turn?")


@exercise("9.4")
def check_rotary_attention(answer) -> str | None:
    """What is turned, when, and what is left alone."""
    attention = MultiHeadAttention(D_MODEL, N_HEADS).requires_grad_(False)
    for map_ in (attention.query_map, attention.key_map):
        map_.weight.mul_(3.0)                # scores large enough to tell mistakes apart
    x = torch.randn(BATCH, SEQ_LEN, D_MODEL)
    for mask in (None, causal_mask(SEQ_LEN)):
        output, weights = two_parts(answer, attention, x, mask)
        true_output, true = rotary_by_steps(attention, x, mask)
        if not same(weights, true, 1e-4):
            name_mistake(weights, weight_slips(attention, x, mask))
            raise Mistake("the weights are wrong: map, split into heads, turn q and k, then "
                          "scaled_dot_product_attention")
        if not same(output, true_output, 1e-4):
            name_mistake(output, output_slips(attention, x, mask))
            raise Mistake("the weights are right, the output is not: mix the heads' values, merge "
                          "the heads, then output_map")
    judge_other_heads(answer)
    judge_learning(answer, attention, x)
    return "Queries and keys know where they are, values do not need to"


def judge_other_heads(answer) -> None:
    """Other sizes, and for each sentence a mask of its own."""
    attention, x = MultiHeadAttention(8, 2).requires_grad_(False), torch.randn(2, 5, 8)
    mask = torch.ones(2, 1, 5, dtype=torch.bool)
    mask[0, :, 3:] = False
    parts = call(answer, attention, x, mask.unsqueeze(1))
    true_output, true = rotary_by_steps(attention, x, mask.unsqueeze(1))
    shapes = [tuple(part.shape) for part in parts]
    if shapes != [(2, 5, 8), (2, 2, 5, 5)] or not same(parts[1], true, 1e-4):
        raise Mistake("right for 3 heads of width 10, wrong for 2 of width 4 with a mask of its "
                      "own for each sentence: use the sizes of the module, and the mask as it is")
    if not same(parts[0], true_output, 1e-4):
        raise Mistake("right for 3 heads of width 10, the output is wrong for 2 of width 4")


def judge_learning(answer, attention: MultiHeadAttention, x: Tensor) -> None:
    """All four maps learn."""
    attention = copy.deepcopy(attention).requires_grad_()
    output = answer(attention, x, None)[0]
    names = "query_map", "key_map", "value_map", "output_map"
    weights = [getattr(attention, name).weight for name in names]
    if not output.requires_grad:
        raise Mistake("no gradient comes back to any map: is there a detach, .data or no_grad?")
    slopes = torch.autograd.grad(output.square().sum(), weights, allow_unused=True)
    for name, slope in zip(names, slopes):
        if slope is None or not (slope.abs() > 0).any():
            raise Mistake(f"no gradient comes back to {name}: is there a detach, .data or no_grad?")


def two_parts(answer, attention: MultiHeadAttention, x: Tensor, mask: Tensor | None) -> tuple:
    """Call the answer and make sure that it gives output and weights, shaped as they should be."""
    parts = call(answer, attention, x, mask)
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise Mistake("want two tensors, `return output, weights`")
    output, weights = parts
    if isinstance(output, Tensor) and output.dim() == 4 and tuple(output.shape)[-1] == SEQ_LEN:
        raise Mistake("the two results come in the wrong order: output first, then weights")
    if isinstance(output, Tensor) and output.dim() == 4:
        raise Mistake("the output is still cut into heads: merge_heads, then output_map")
    shape = (BATCH, N_HEADS, SEQ_LEN, SEQ_LEN)
    want_tensor(weights, shape, "of weights (batch, n_heads, seq_len, seq_len)")
    want_tensor(output, (BATCH, SEQ_LEN, D_MODEL), "of output (batch, seq_len, d_model)")
    want_finite(weights, "every query sees a key here")
    return output, weights


def heads(attention: MultiHeadAttention, x: Tensor) -> list[Tensor]:
    """Queries, keys and values, cut into heads."""
    maps = attention.query_map, attention.key_map, attention.value_map
    return [split_heads(map_(x), attention.n_heads) for map_ in maps]


def rotary_by_steps(attention: MultiHeadAttention, x: Tensor, mask: Tensor | None) -> tuple:
    """The right output and weights."""
    q, k, v = heads(attention, x)
    context, weights = scaled_dot_product_attention(rotate(q), rotate(k), v, mask)
    return attention.output_map(merge_heads(context)), weights


def weight_slips(
    attention: MultiHeadAttention, x: Tensor, mask: Tensor | None
) -> list[tuple[Tensor, str]]:
    """The weights that wrong turns give, and what to say then."""
    q, k, v = heads(attention, x)
    whole = [rotate(map_(x)) for map_ in (attention.query_map, attention.key_map)]
    early = heads(attention, rotate(x))
    late = heads(attention, x + sinusoidal_encoding(SEQ_LEN, D_MODEL))
    summed = [part + sinusoidal_encoding(SEQ_LEN, D_K) for part in (q, k)]
    halves = [rotate(to_turns(part)) for part in (q, k)]

    def weigh(q: Tensor, k: Tensor, mask: Tensor | None = mask) -> Tensor:
        return scaled_dot_product_attention(q, k, v, mask)[1]

    found = [
        (weigh(q, k), "these are the weights without positions: nothing is turned, or the turn "
         "follows the heads, which moves no score. rotate wants (..., seq_len, d_k)"),
        (weigh(rotate(q), k), "only the queries are turned: the score then depends on the query's "
         "position alone. Turn the keys too"),
        (weigh(q, rotate(k)), "only the keys are turned: turn the queries too"),
        (weigh(*(split_heads(part, N_HEADS) for part in whole)), "queries and keys are turned "
         "before they are cut into heads: then each head gets other speeds. Split first"),
        (weigh(*early[:2]), "x is turned before the maps W^Q and W^K: the offset does not survive "
         "them. Turn what comes out"),
        (weigh(*late[:2]), "the sinusoid is added to x: here queries and keys are turned"),
        (weigh(*summed), "the sinusoid is added to queries and keys: turn them"),
        (weigh(*halves), "the turn pairs feature i with i + d_k / 2: use `rotate` of this "
         "notebook, which pairs 2i with 2i + 1"),
        (weigh(rotate(q), rotate(k.flip(2)).flip(2)), "the keys' positions run backwards"),
        (weigh(rotate(k), rotate(q)), "queries and keys are exchanged"),
        (weigh(rotate(q) * D_K**0.5, rotate(k)), "the scores are not divided by √d_k: "
         "scaled_dot_product_attention does it"),
        (weigh(rotate(rotate(q)), rotate(rotate(k))), "queries and keys are turned twice"),
    ]
    if mask is not None:
        found.append((weigh(rotate(q), rotate(k), None), "the mask is not handed on"))
        found.append((weigh(rotate(q), rotate(k), ~mask), "the mask is turned round: True means "
                      "may look"))
    return found


def output_slips(
    attention: MultiHeadAttention, x: Tensor, mask: Tensor | None
) -> list[tuple[Tensor, str]]:
    """The outputs that wrong values give, and what to say then."""
    q, k, v = heads(attention, x)
    q, k = rotate(q), rotate(k)

    def mix(values: Tensor) -> Tensor:
        return merge_heads(scaled_dot_product_attention(q, k, values, mask)[0])

    context = scaled_dot_product_attention(q, k, v, mask)[0]
    return [
        (attention.output_map(mix(rotate(v))), "the values are turned too: positions decide where "
         "to look, not what is read. Leave v as it is"),
        (attention.output_map(mix(k)), "the keys are mixed: mix the values"),
        (mix(v), "output_map (W^O) is missing at the end"),
        (attention.output_map(merge_heads(rotate(context))), "the context is turned after the "
         "mix: only queries and keys are turned"),
        (attention.output_map(context.reshape(x.shape)), "the heads are merged without their "
         "transpose, which mixes up tokens: use merge_heads"),
        (x + attention.output_map(mix(v)), "x is added to the output: the residual is not part of "
         "the attention"),
    ]


@exercise("9.5")
def check_window_mask(answer) -> str:
    """Shape and type, then the window against its known distortions, then other sizes."""
    seq_len, width = 7, 3
    mask = call(answer, seq_len, width)
    want_tensor(mask, (seq_len, seq_len), "(seq_len, seq_len)")
    if mask.dtype != torch.bool:
        raise Mistake(f"want bool (True = may look), got {mask.dtype}")
    true = window_mask(seq_len, width)
    if not torch.equal(mask, true):
        name_mistake(mask, window_slips(seq_len, width))
        query, key = (mask != true).nonzero()[0].tolist()
        raise Mistake(f"position {query} {'may' if mask[query, key] else 'may not'} look at "
                      f"position {key}, {query - key} places back: with width {width} it may look "
                      f"0 to {width - 1} places back")
    for other_len, other_width in ((9, 5), (4, 1), (3, 8)):
        other = call(answer, other_len, other_width)
        want_tensor(other, (other_len, other_len), "(seq_len, seq_len)")
        if not torch.equal(other, window_mask(other_len, other_width)):
            raise Mistake(f"right for 7 positions and width 3, wrong for {other_len} and "
                          f"{other_width}: use seq_len and width everywhere")
    return "Each position sees itself and width - 1 places before it"


def window_slips(seq_len: int, width: int) -> list[tuple[Tensor, str]]:
    """The masks that wrong rules give, and what to say then."""
    position = torch.arange(seq_len)
    distance = position.unsqueeze(1) - position
    true = window_mask(seq_len, width)
    return [
        (~true, "the mask is turned round: True means may look"),
        (true.T, "rows and columns are exchanged: row i is the position that looks, and it looks "
         "back, not ahead"),
        (distance >= 0, "the past has no end: hide what is width or more places back"),
        (distance.abs() < width, "a position sees its future: want distance >= 0 as well"),
        (distance < width, "a position sees all of its future: want distance >= 0 as well"),
        ((distance >= 0) & (distance <= width), "the window is one place too wide: with its own "
         "place a position sees width places in all"),
        ((distance >= 0) & (distance < width - 1), "the window is one place too narrow: with its "
         "own place a position sees width places in all"),
        ((distance > 0) & (distance < width), "a position does not see itself, and the first one "
         "sees nothing: want distance >= 0"),
        ((distance > 0) & (distance <= width), "a position does not see itself: its own place "
         "counts among the width places"),
        (distance >= width, "the far past is kept and the near past hidden: want distance < width"),
        ((distance >= 0) & (position < width), "all positions see the first places: the window "
         "must move along with the position that looks"),
        ((distance >= 0) & (position.unsqueeze(1) // width == position // width), "the text is "
         "cut into blocks: the window must move with every position"),
    ]

"""The checks of lesson 09 accept right answers and name each wrong one."""

import math

import torch
from judging import Answers, Exercise, endless, fails, mutant
from torch import nn

from utils.attention import merge_heads, scaled_dot_product_attention, split_heads
from utils.checks import positional_encoding as lesson
from utils.transformer import SinusoidalPositions, sinusoidal_encoding
from utils.variants import rotary_attention, rotate, window_mask

NAN = float("nan")
HOSTILE = [lambda *given: 7, lambda *given: torch.tensor(NAN), lambda *given: {}, None]

# ---- 9.1 ----

ANGLE, ROWS = "position / 10000 ** (two_i / d_model)", "pairs.flatten(1).to(dtype)"
STACK = "torch.stack([angle.sin(), angle.cos()], dim=-1)"
ODD = "d_model % 2:"


def table(*texts):
    return mutant(sinusoidal_encoding, *texts)


def angle(text):
    return table(ANGLE, text)


def pairs(sine, cosine):
    return table(STACK, f"torch.stack([{sine}, {cosine}], dim=-1)")


def in_halves(*texts):
    return table(STACK, "torch.cat([angle.sin(), angle.cos()], dim=-1)", *texts)


def table_by_loops(seq_len, d_model):
    if d_model % 2:
        raise ValueError
    rows = [[wave(pos / 10000 ** (2 * i / d_model)) for i in range(d_model // 2)
             for wave in (math.sin, math.cos)] for pos in range(seq_len)]
    return torch.tensor(rows)


def table_by_slices(seq_len, d_model):
    if d_model % 2 != 0:
        raise ValueError("d_model must be even")
    pe = torch.zeros(seq_len, d_model)
    position = torch.arange(0, seq_len).unsqueeze(1)
    div_term = torch.exp(torch.arange(0, d_model, 2) * -(math.log(10000.0) / d_model))
    pe[:, 0::2] = torch.sin(position * div_term)
    pe[:, 1::2] = torch.cos(position * div_term)
    return pe


def table_by_names(*, seq_len, d_model=6):
    return sinusoidal_encoding(seq_len, d_model)


def odd_width_runs(seq_len, d_model):
    return sinusoidal_encoding(seq_len, d_model + d_model % 2)[:, :d_model]


SINUSOID = Exercise(
    lesson.check_sinusoidal_encoding,
    right=[sinusoidal_encoding, table_by_loops, table_by_slices,
           table(".to(dtype)", ""), table("dtype=torch.float64).unsqueeze", ").unsqueeze"),
           lambda *sizes: nn.Parameter(sinusoidal_encoding(*sizes))],
    wrong=[
        (in_halves(), "Other code does so, but here they stand in turns"),
        (table(STACK, "torch.stack([angle.sin(), angle.cos()], dim=1)"), "all sines stand before"),
        (angle("position / 10000 ** (two_i / seq_len)"), "divided by seq_len"),
        (table("torch.float64).unsqueeze", "torch.float32).unsqueeze", ANGLE,
               "position * 10000 ** (two_i / d_model).float()"), "by the power: divide"),
        (angle("position / 10000 ** (two_i / 2 / d_model)"), "exponent is i / d_model"),
        (angle("position / 10000 ** (2 * two_i / d_model)"), "arange(0, d_model, 2) is 2i already"),
        (angle("position / 10000 ** two_i / d_model"), "and then by d_model"),
        (angle("position / (10000 ** two_i / d_model)"), "by d_model, as **"),
        (angle("position / 10000 ** two_i"), "leaves d_model out"),
        (angle("position / 10000 * two_i / d_model"), "multiplied by 2i"),
        (pairs("angle.sin()", "(position / 10000 ** ((two_i + 1) / d_model)).cos()"),
         "angle of its own"),
        (pairs("angle.sin()", "(position / 10000 ** (2 * (two_i + 1) / d_model)).cos()"),
         "counts features"),
        (pairs("angle.cos()", "angle.sin()"), "exchanged"),
        (table("torch.arange(seq_len", "torch.arange(1, seq_len + 1"), "begin at 1"),
        (angle("position * 10000 ** (two_i / d_model)"), "multiplied by the power"),
        (angle("position / 1000 ** (two_i / d_model)"), "base is 1000"),
        (in_halves(ANGLE, "position / 1000 ** (two_i / d_model)"), "base is 1000"),
        (in_halves(ANGLE, "position / 10000 ** (two_i / 2 / d_model)"), "exponent is i / d_model"),
        (angle("position / 10000 ** (two_i / max(d_model - 2, 1))"), "d_model - 2"),
        (angle("position / 10000 ** (two_i / (d_model / 2))"), "arange(0, d_model, 2) is 2i"),
        (angle(f"({ANGLE}).flip(1)"), "backwards"),
        (angle("position + 0 * two_i"), "same angle"),
        (angle(f"({ANGLE}).deg2rad()"), "degrees"),
        (angle(f"-{ANGLE}"), "wrong sign"),
        (pairs("angle.sin()", "angle.sin()"), "are sines"),
        (pairs("angle.cos()", "angle.cos()"), "are cosines"),
        (pairs("angle", "angle"), "these are the angles"),
        (pairs("angle.sin().asin()", "angle.sin().asin()"), "(position 0, feature 1)"),
        (angle("position / 500 ** (two_i / d_model)"), "(position 1, feature 2)"),
        (table(ROWS, f"{ROWS}.T"), "one row for each position"),
        (table(ROWS, f"{ROWS}[None]"), "batch axis"),
        (pairs("angle.sin()[:, ::2]", "angle.cos()[:, ::2]"), "got (7, 6)"),
        (table(ROWS, f"({ROWS})[:, 0::2]"), "d_model / 2 features"),
        (table(ROWS, f"({ROWS}).long()"), "want torch.float32, got torch.int64"),
        (table(ROWS, f"({ROWS}) * float('nan')"), "is nan, want"),
        (table(ROWS, f"({ROWS})[1:]"), "got (6, 10)"),
        (table("torch.arange(seq_len", "torch.arange(7"), "right for (7, 10), but for (3, 6)"),
        (table("d_model)  ", "10)  "), "a size or a number"),
        (table(ROWS, f"({ROWS}).half().float()"), "entries differ"),
        (table(ROWS, f"({ROWS}).squeeze(0)"), "Keep both axes: one position"),
        (angle(f"({ANGLE}).clamp(max=99)"), "but for (6000, 4)"),
        (table("torch.arange(seq_len, dtype=torch.float64)",
               "(torch.arange(seq_len) % 5000).double()"), "There is no last position"),
        (table(ODD, "seq_len % 2:"), "to make pairs, got 10 (for 7, 10)"),
        (odd_width_runs, "for d_model 7 your function must say so: want ValueError, nothing"),
        (table(ODD, "d_model == 7:", "torch.arange(0, d_model, 2", "torch.arange(0, d_model, 2"),
         "for d_model 1 your"),
        (table("ValueError(", "RuntimeError("), "got RuntimeError"),
        (table("position =", "torch.manual_seed(0); position ="), "sets the random state"),
    ],
    twins=["all sines stand before", "Other code does so, but here they stand in turns",
           "multiplied by the power", "by the power: divide", "base is 1000",
           "exponent is i / d_model", "arange(0, d_model, 2) is 2i already",
           "arange(0, d_model, 2) is 2i"],
    hostile=HOSTILE,
)


# ---- 9.2 ----

KEEP, SUM = 'self.register_buffer("table", table)', "x + rows"
MADE = "sinusoidal_encoding(max_len, d_model)"


class Positions(nn.Module):
    def __init__(self, d_model, max_len=256):
        super().__init__()
        table = sinusoidal_encoding(max_len, d_model)
        self.register_buffer("table", table)

    def forward(self, x, start=0):
        end = start + x.size(1)
        if end > len(self.table):
            raise ValueError("beyond the table")
        rows = self.table[start:end]
        return x + rows


class PositionsByEmbedding(nn.Module):
    def __init__(self, d_model, max_len=256):
        super().__init__()
        self.numbers = torch.arange(max_len)
        self.register_buffer("pe", sinusoidal_encoding(max_len, d_model)[None])

    def forward(self, x, start=0):
        if start + x.shape[1] > self.pe.size(1):
            raise ValueError("too long")
        numbers = self.numbers[: x.size(1)] + start
        return self.pe[:, numbers] + x


class Computed(nn.Module):
    def __init__(self, d_model, max_len=256):
        super().__init__()
        self.max_len = max_len

    def forward(self, x, start=0):
        end = start + x.size(1)
        if end > self.max_len:
            raise ValueError("beyond")
        return x + sinusoidal_encoding(end, x.size(2))[start:]


class UntouchedModule(nn.Module):
    def __init__(self, d_model, max_len=256):
        super().__init__()
        ...

    def forward(self, x, start=0):
        return ...


class NoSuper(nn.Module):
    def __init__(self, d_model, max_len=256):
        self.table = nn.Parameter(torch.zeros(max_len, d_model))


def positions(*texts):
    return mutant(Positions, *texts)


def adds(rows):
    return positions("rows = self.table[start:end]", f"rows = {rows}")


def result(text):
    return positions(SUM, text)


def plain_function(d_model, max_len=256):
    module = Positions(d_model, max_len)
    return lambda x, start=0: module(x, start)


POSITIONS = Exercise(
    lesson.check_positions,
    right=[SinusoidalPositions, Positions, PositionsByEmbedding,
           lambda d_model, max_len=256: Positions(d_model, max_len),
           lambda *sizes: Positions(*sizes).eval()],
    wrong=[
        (adds("self.table[: x.size(0)].unsqueeze(1)"), "follow the batch"),
        (adds("self.table[x.size(1) % len(self.table)]"), "a colon is missing"),
        (adds("self.table[0]"), "of a slip: all tokens get row start"),
        (adds("self.table[start]"), "all tokens get row start: want"),
        (adds("self.table[: x.size(1)].mean(0)"), "mean of the rows"),
        (positions(MADE, "sinusoidal_encoding(max_len + 1, d_model)", "len(self.table)",
                   "len(self.table) - 1", "[start:end]", "[start + 1:end + 1]"),
         "begin at 1: the first token"),
        (adds("self.table[: x.size(1)].flip(0)"), "of a slip: the rows run backwards"),
        (adds("self.table[start:end].flip(0)"), "rows run backwards: the"),
        (adds("self.table[3 % len(self.table)]"), "(sentence 0, token 0, feature 0) is"),
        (adds("self.table.repeat(9, 1)[: x.shape[:2].numel()].view(x.shape)"),
         "(sentence 1"),
        (adds("2 * self.table[start:end]"), "(sentence 0, token 0, feature 1) is"),
        (adds("self.table[start:end] / x.size(2) ** 0.5"), "rows are divided"),
        (positions(MADE, f"{MADE}; table = torch.cat([table[:, 0::2], table[:, 1::2]], dim=-1)"),
         "before all cosines. Use"),
        (result("x + 0"), "nothing is added"),
        (result("rows.expand_as(x)"), "row alone"),
        (result("rows"), "rows alone"),
        (result("x * rows"), "x is multiplied by the t"),
        (result("x * x.size(2) ** 0.5 + rows"), "by √d_model here"),
        (result("torch.cat([x, rows.expand_as(x)], -1)"), "beside the token"),
        (result("x + rows.double()"), "wrong type"),
        (result("x * float('nan')"), "is nan, want"),
        (adds("self.table[: x.size(1)]"), "`start` is ignored: the first token"),
        (adds("self.table[: x.size(1)] + start"), "the place where they begin"),
        (positions("[start:end]", "[start + bool(start) : end + bool(start)]"),
         "but for 4 tokens from position 3"),
        (result("(x + rows).squeeze(1)"), "but for one token"),
        (result("x + rows * self.training"), "for eval mode"),
        (adds("self.table[start:end] if self.training else self.table[: x.size(1)]"),
         "but for eval"),
        (result("torch.dropout(x + rows, 0.1, self.training)"), "random numbers have a part"),
        (positions("end > len(self.table)", "False", "[start:end]", "[start:x.size(1)]"),
         "a slice of one row broadcasts"),
        (positions("[start:end]", "[start:start + len(x)]"), "Want the rows "
         "start to start + x.size(1)"),
        (positions("start=0):", "start=0):\n        start = self.at = 1 + getattr("
                   "self, 'at', start - 1)"), "is kept from the call before"),
        (positions("end > len(self.table)", "False"), "13 tokens from position 0 do not fit"),
        (positions("end > len(self.table)", "x.size(1) > len(self.table)"),
         "3 tokens from position 10 do not fit"),
        (positions("end > len(self.table)", "end > len(self.table) + 1 or end == 13 and "
                   "x.size(1) != 2"), "2 tokens from position 11 do not fit"),
        (positions("end > len(self.table)", "start > len(self.table) or end > len(self.table) and "
                   "x.size(1) > 1"), "one token from position 12 do not fit"),
        (positions("end > len", "end >= len"), "start + seq_len may be max_len"),
        (positions(MADE, "sinusoidal_encoding(max_len + 1, d_model)"), "nothing was raised"),
        (positions("ValueError(", "IndexError("), "want ValueError, got IndexError"),
        (positions(KEEP, "self.table = nn.Parameter(table)"), "is a parameter"),
        (positions(KEEP, "self.table = nn.Parameter(table, requires_grad=False)"),
         "frozen parameter"),
        (positions(KEEP, "self.table = table"), "plain attribute"),
        (positions(KEEP, 'self.register_buffer("unused", table.clone()); self.table = table'),
         "forward does not read the table from it"),
        (positions(KEEP, 'self.register_buffer("table", table, persistent=False)'),
         "not persistent"),
        (Computed, "is empty"),
        (positions(MADE, "sinusoidal_encoding(max_len, 10)"), "but for d_model 6 and max_len 40"),
        (positions(MADE, "sinusoidal_encoding(12, d_model)"), "beyond the table"),
        (positions("max_len=256", "max_len=64"), "max_len left out, which is 256"),
        (positions("super().__init__()", "super().__init__(); torch.manual_seed(3)"),
         "sets the random state itself (manual_seed)"),
        (result("x.detach() + rows"), "no gradient reaches `x`"),
        (result("x.add_(rows)"), "in place"),
        (result("(x + rows, rows)"), "want the result as a torch.Tensor"),
        (plain_function, "class of nn.Module, got"),
        (Positions(10), "class itself"),
        (lambda *sizes: torch.zeros(sizes), "cannot be called"),
        (NoSuper, "before Module.__init__"),
        (nn.Module, "raised"),
    ],
    stubs=[UntouchedModule],
    hostile=[positions(SUM, "7"), positions(SUM, "None"), positions(SUM, "torch.tensor(0.5)"),
             fails, endless, None],
    is_function=False,
)


# ---- 9.3 ----

SPEED = "position.unsqueeze(1) / base ** (two_i / d_k)"
START = "torch.arange(start, start + seq_len"
NEW_FIRST, NEW_SECOND = "first * cos - second * sin", "first * sin + second * cos"
BACK = "torch.stack(turned, dim=-1).flatten(-2)"


def turn(*texts):
    return mutant(rotate, *texts)


def speed(text):
    return turn(SPEED, text)


def turn_by_complex(x, start=0):
    if x.size(-1) % 2:
        raise ValueError
    pos = torch.arange(x.size(-2)).double().unsqueeze(1) + start
    angle = pos / 10000 ** (torch.arange(0, x.size(-1), 2).double() / x.size(-1))
    numbers = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    turned = numbers * torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


def turn_in_float32(x, start=0):
    if x.size(-1) % 2:
        raise ValueError
    pos, i = torch.arange(x.size(-2)) + start, torch.arange(x.size(-1) // 2)
    angle = pos[:, None] / 10000 ** (2 * i / x.size(-1))
    a, b = x[..., ::2], x[..., 1::2]
    out = torch.empty_like(x)
    out[..., ::2] = a * angle.cos() - b * angle.sin()
    out[..., 1::2] = b * angle.cos() + a * angle.sin()
    return out


def turn_halves(x, start=0):
    """Llama's way."""
    if x.size(-1) % 2:
        raise ValueError("odd")
    pos = torch.arange(x.size(-2), dtype=x.dtype).unsqueeze(1) + start
    theta = pos / 10000 ** (torch.arange(0, x.size(-1), 2, dtype=x.dtype) / x.size(-1))
    angle = torch.cat([theta, theta], dim=-1)
    low, high = x.chunk(2, dim=-1)
    other = torch.cat([-high, low], dim=-1)
    return x * angle.cos() + other * angle.sin()


def halves(*texts):
    return mutant(turn_halves, *texts)


def along(axis):
    shape = f"[-1, *[1] * (x.dim() - {axis} - 1)]"
    return speed(f"torch.arange(x.size({axis})).view({shape}) / base ** (two_i / d_k)")


def on_four_axes(otherwise):
    return lambda x, start=0: rotate(x, start) if x.dim() == 4 else otherwise(x)


ROTATE = Exercise(
    lesson.check_rotate,
    right=[rotate, turn_by_complex, turn_in_float32,
           lambda x, start=0: rotate(x.unsqueeze(0), start=start).squeeze(0)],
    wrong=[
        (lambda x, start=0: x + 0, "nothing is turned"),
        (turn_halves, "Other code does so, but here the pairs are neighbours"),
        (turn("x[..., 0::2], x[..., 1::2]", "x.chunk(2, dim=-1)", BACK, "torch.cat(turned, -1)"),
         "paired with i + d_k / 2"),
        (turn(START, "torch.arange(seq_len", SPEED, f"{SPEED} + start"), "added to the angles"),
        (turn(NEW_SECOND, f"({NEW_FIRST}) * sin + second * cos"), "the NEW first one"),
        (turn("seq_len, d_k = x.shape[-2:]", "seq_len, d_k = x.shape[1], x.shape[-1]"),
         "Positions are on the axis before the last"),
        (speed("position.unsqueeze(1) + 0 * two_i"), "the same angle"),
        (speed(f"-{SPEED}"), "the other way"),
        (turn(NEW_FIRST, "first * cos + second * sin"), "MINUS"),
        (turn(NEW_SECOND, "second * cos - first * sin"), "PLUS"),
        (turn(NEW_FIRST, "first * sin - second * cos", NEW_SECOND, "first * cos + second * sin"),
         "and x must stay"),
        (halves("torch.cat([theta, theta], dim=-1)", "theta.repeat_interleave(2, -1)"),
         "come from halves"),
        (halves("torch.cat([-high, low], dim=-1)",
                "torch.stack([-x[..., 1::2], x[..., 0::2]], dim=-1).flatten(-2)"),
         "angles repeat in halves"),
        (turn(BACK, "torch.cat(turned, dim=-1)"), "put back as halves"),
        (halves("[-high, low]", "[high, -low]"), "the other way"),
        (halves("dtype=x.dtype) / x.size", "dtype=x.dtype) / 2 / x.size"), "i / d_k: pair"),
        (speed("position.unsqueeze(1) / base ** (two_i / 2 / d_k)"), "i / d_k: pair"),
        (speed("position.unsqueeze(1) / base ** (2 * two_i / d_k)"), "4i / d_k"),
        (speed("position.unsqueeze(1) / base ** two_i / d_k"), "not in brackets"),
        (speed("position.unsqueeze(1) / (base ** two_i / d_k)"), "binds tighter"),
        (speed("position.unsqueeze(1) * base ** (two_i / d_k)"), "multiplied by the power"),
        (turn(START, "torch.arange(start + 1, start + seq_len + 1"), "begin at 1"),
        (along(1), "axis 1"),
        (along(0), "axis 0"),
        (lambda x, start=0: x + sinusoidal_encoding(start + x.size(-2), x.size(-1))[start:],
         "is added: here every pair"),
        (lambda x, start=0: x * sinusoidal_encoding(start + x.size(-2), x.size(-1))[start:],
         "feature by feature"),
        (turn(NEW_FIRST, "first * cos", NEW_SECOND, "second * cos"), "cosines alone"),
        (speed("position[-1] / base ** (two_i / d_k)"), "angle of the last"),
        (turn(BACK, f"2 * {BACK}"), "another length"),
        (lambda x, start=0: torch.cat([rotate(x, start)[..., :-2],
                                       rotate(x, start)[..., -2:].flip(-1)], -1),
         "lengths are kept"),
        (turn(START, "torch.arange(seq_len"), "`start` is ignored: the first token has position"),
        (lambda x, start=0: rotate(x, -start), "`start` is subtracted"),
        (lambda x, start=0: rotate(x, 2 * start), "but for start 3:"),
        (lambda x, start=0: rotate(x, start % 256), "but for start 300"),
        (on_four_axes(lambda x: x[0, 0, 0, 0]), "for no batch and no heads"),
        (on_four_axes(lambda x: x), "Count axes from the end"),
        (turn("seq_len, d_k = x.shape[-2:]", "_, _, seq_len, d_k = x.shape"), "not enough values"),
        (lambda x, start=0: rotate(x.view(2, 3, 7, 10), start).view(x.shape) if x.dim() > 3
         else rotate(x, start), "33 tokens of d_k 6"),
        (lambda x, start=0: rotate(x[..., : x.size(-1) // 2 * 2], start), "and for 9 your"),
        (lambda x, start=0: x if x.size(-1) == 1 else rotate(x, start), "and for 1 your"),
        (turn(BACK, f"{BACK} * float('nan')"), "is nan, want"),
        (turn(BACK, f"{BACK}[..., ::2]"), "want shape"),
        (turn(BACK, f"{BACK}.float()"), "float32. Something in it has a type of its own"),
        (turn("(two_i / d_k)", "(two_i / 10)"), "but for 33 tokens of d_k 6 from 5"),
        (turn(BACK, f"{BACK}.squeeze()"), "got (2, 33, 6)"),
        (turn("x[..., 0::2], x", "x.detach()[..., 0::2], x"), "the gradient at `x` is not"),
        (lambda x, start=0: rotate(x.detach(), start), "no gradient reaches `x`"),
        (turn(BACK, f"{BACK} + 0.1 * x.flip(0)"), "moves sentence 0, and must not"),
        (turn("first, second =", "x += 1; first, second ="), "in place"),
    ],
    twins=["the other way", "i / d_k: pair", "paired with i + d_k / 2",
           "Other code does so, but here the pairs are neighbours"],
    hostile=HOSTILE,
)


# ---- 9.4 ----


def course(attention, x, mask=None):
    n = attention.n_heads
    q = rotate(split_heads(attention.query_map(x), n))
    k = rotate(split_heads(attention.key_map(x), n))
    v = split_heads(attention.value_map(x), n)
    if mask is not None and mask.dim() == 3:
        mask = mask.unsqueeze(1)
    context, weights = scaled_dot_product_attention(q, k, v, mask)
    return attention.output_map(merge_heads(context)), weights


MIX = "scaled_dot_product_attention(q, k, v, mask)"
OUT = "attention.output_map(merge_heads(context))"
Q, K = ("rotate(split_heads(attention.query_map(x), n))",
        "rotate(split_heads(attention.key_map(x), n))")


def by_hand(attention, x, mask=None):
    """Right, without the functions of the course."""
    batch, n_words, d_model = x.shape
    parts = [map_(x).view(batch, n_words, attention.n_heads, -1).transpose(1, 2)
             for map_ in (attention.query_map, attention.key_map, attention.value_map)]
    q, k, v = turn_in_float32(parts[0]), turn_in_float32(parts[1]), parts[2]
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.size(-1))
    if mask is not None:
        scores = torch.where(mask[:, None] if mask.ndim == 3 else mask, scores, -torch.inf)
    weights = torch.nan_to_num(scores.softmax(-1))
    context = (weights @ v).transpose(1, 2).reshape(batch, n_words, d_model)
    return [attention.output_map(context), weights]


def rotary(*texts):
    return mutant(course, *texts)


def inside(q, k):
    """Other queries and keys, from q and k as they are turned in the course, or plain ones."""
    return rotary(MIX, f"scaled_dot_product_attention({q}, {k}, v, mask)", Q, Q[7:-1], K, K[7:-1])


def values(v):
    return rotary(MIX, f"scaled_dot_product_attention(q, k, {v}, mask)")


def output(text):
    return rotary(OUT, text)


ATTENTION = Exercise(
    lesson.check_rotary_attention,
    right=[rotary_attention, course, by_hand, lambda *given: list(course(*given)),
           lambda attention, x, mask=None: course(x=x, mask=mask, attention=attention)],
    wrong=[
        (inside("q", "k"), "nothing is turned, or"),
        (inside("rotate(q)", "k"), "only the queries"),
        (inside("q", "rotate(k)"), "only the keys"),
        (inside("lesson.to_halves(rotate(lesson.to_turns(q)))",
                "lesson.to_halves(rotate(lesson.to_turns(k)))"), "pairs feature i with"),
        (rotary(Q, "split_heads(rotate(attention.query_map(x)), n)",
                K, "split_heads(rotate(attention.key_map(x)), n)"), "before they are cut"),
        (rotary(Q, "rotate(attention.query_map(x).unflatten(-1, (n, -1))).transpose(1, 2)",
                K, "rotate(attention.key_map(x).unflatten(-1, (n, -1))).transpose(1, 2)"),
         "nothing is turned, or"),
        (rotary(Q, "split_heads(attention.query_map(rotate(x)), n)",
                K, "split_heads(attention.key_map(rotate(x)), n)"), "before the maps"),
        (rotary(Q, "split_heads(attention.query_map(x + waves), n)", K,
                "split_heads(attention.key_map(x + waves), n)", "n = attention.n_heads",
                "n = attention.n_heads; waves = sinusoidal_encoding(*x.shape[1:]).to(x)"),
         "added to x"),
        (inside("q + sinusoidal_encoding(*q.shape[2:])", "k + sinusoidal_encoding(*k.shape[2:])"),
         "added to queries and keys"),
        (inside("rotate(q)", "rotate(k.flip(2)).flip(2)"), "run backwards"),
        (inside("rotate(k)", "rotate(q)"), "queries and keys are exchanged"),
        (inside("rotate(q) * q.size(-1) ** 0.5", "rotate(k)"), "not divided"),
        (inside("rotate(rotate(q))", "rotate(rotate(k))"), "turned twice"),
        (inside("rotate(q)", "rotate(k, 1)"), "begin at different positions"),
        (inside("rotate(q, 2)", "rotate(k)"), "the weights are wrong"),
        (inside("rotate(rotate(q))", "rotate(k)"), "twice, the keys once"),
        (rotary("attention.key_map", "attention.query_map"), "want key_map"),
        (rotary("mask.unsqueeze(1)", "mask"), "meets the HEADS"),
        (rotary("mask.unsqueeze(1)", "mask[:1].unsqueeze(1)"), "of the first sentence serves"),
        (rotary("mask.unsqueeze(1)", "mask.unsqueeze(1).flip(-1)"), "give it an axis of heads"),
        (rotary("n = attention", "attention.train(False); n = attention"), "in eval mode"),
        (rotary("v, mask)", "v, past if mask is None else mask & past)", "n = attention",
                "past = torch.ones(x.size(1), x.size(1)).bool().tril(); n = attention"),
         "is built in: hide"),
        (rotary("v, mask)", "v, past if mask is None else mask)", "n = attention",
                "past = torch.ones(x.size(1), x.size(1)).bool().tril(); n = attention"),
         "is built in: without"),
        (rotary(MIX, "(lambda s: ((w := s.softmax(-1) if mask is None else s.masked_fill(~mask, "
                "-1e4).softmax(-1).masked_fill(~mask, 0.0)) @ v, w))(q @ k.mT / q.size(-1)**0.5)"),
         "-1e4 is an ordinary score"),
        (rotary("v, mask)", "v, None)"), "not handed on"),
        (rotary("v, mask)", "v, None if mask is None else ~mask)"), "turned round"),
        (rotary("v, mask)", "v, mask[:1] if mask is not None and mask.dim() > 2 else mask)"),
         "of the first sentence serves all"),
        (inside("-0.5 * rotate(q)", "-0.5 * rotate(k)"), "weights[0, 0, 0, 0] is"),
        (values("rotate(v)"), "values are turned too"),
        (values("k"), "keys are mixed"),
        (output("merge_heads(context)"), "W^O"),
        (output("attention.output_map(merge_heads(rotate(context)))"), "after the mix"),
        (output("attention.output_map(context.reshape(x.shape))"), "their transpose"),
        (output(f"x + {OUT}"), "residual"),
        (output(f"-{OUT}"), "the output is not"),
        (output("context"), "still cut into heads"),
        (lambda *given: course(*given)[::-1], "wrong order"),
        (lambda *given: course(*given)[0], "want 2 results"),
        (output("context.sum(1)"), "of output"),
        (lambda attention, x, mask=None: (x, x), "of weights"),
        (rotary("attention.n_heads", "3 if x.size(-1) % 3 == 0 else 1"), "Take the sizes from"),
        (output(f"({OUT}).squeeze(0)"), "for one sentence of one word"),
        (rotary(MIX, f"{MIX}; weights = weights / weights.sum(-1, keepdim=True)"),
         "a query that may look nowhere"),
        (lambda a, x, mask=None: course(a.requires_grad_(False), x, mask),
         "no gradient reaches `query_map.weight` and `query_map.bias` and"),
        (lambda *given: [part.detach() for part in course(*given)],
         "no gradient reaches any of the arguments"),
        (rotary(K, f"{K}.detach()"), "no gradient reaches `key_map.weight`"),
        (values("v.detach()"), "no gradient reaches `value_map.weight`"),
        (output("nn.functional.linear(merge_heads(context), attention.output_map.weight)"),
         "the output is not: output[0, 0, 0]"),
        (rotary("weights\n", "weights.detach()\n"), "from weights"),
        (lambda a, x, mask=None: rotary_attention(a, x, mask, start=1) if len(x) > 1
         else (x, course(a, x, mask)[1]), "one sentence of one word: the weights are right"),
        (rotary("n = attention", "x += 1; n = attention"), "in place"),
    ],
    twins=["nothing is turned, or", "of the first sentence serves",
           "of the first sentence serves all"],
    stubs=[lambda attention, x, mask=None: (..., ...)],
    hostile=HOSTILE,
)


# ---- 9.5 ----

RULE = "(distance >= 0) & (distance < width)"
SAME_BLOCK = "(position.unsqueeze(1) // width == position // width)"


def window(rule):
    return mutant(window_mask, RULE, rule)


def window_by_loops(seq_len, width):
    return torch.tensor([[0 <= i - j < width for j in range(seq_len)] for i in range(seq_len)])


def window_by_triangles(seq_len, width):
    past = torch.ones(seq_len, seq_len, dtype=torch.bool).tril()
    return past & ~past.tril(-width)


def window_by_negative_slices(seq_len, width):
    rows = torch.zeros(seq_len, seq_len, dtype=torch.bool)
    for i, row in enumerate(rows):
        row[i + 1 - width : i + 1] = True
    return rows


WINDOW = Exercise(
    lesson.check_window_mask,
    right=[window_mask, window_by_loops, window_by_triangles,
           lambda n, width: torch.ones(n, n).tril().triu(1 - width) > 0],
    wrong=[
        (window(f"~({RULE})"), "turned round"),
        (window("(distance <= 0) & (distance > -width)"), "rows and columns are exchanged"),
        (window("distance >= 0"), "the past has no end"),
        (window("distance.abs() < width"), "sees its future"),
        (window("(distance >= 0) & (distance < 20)"), "taken to be 20"),
        (window_by_negative_slices, "counts from the end"),
        (lambda n, width: window_mask(min(n, 256), width), "want shape of mask (row, column) = (3"),
        (mutant(window_mask, "(seq_len)", "(seq_len, dtype=torch.int8) if seq_len < 128 else "
                "torch.arange(seq_len).to(torch.int8)"), "no type of small whole numbers"),
        (window("(distance >= 0) & (distance < min(width, max(seq_len - 1, 1)))"),
         "A window wider than the text"),
        (window("distance < width"), "all of its future"),
        (window("(distance >= 0) & (distance <= width)"), "too wide"),
        (window("(distance >= 0) & (distance < width - 1)"), "too narrow"),
        (window("(distance > 0) & (distance < width)"), "the first one sees nothing"),
        (window("(distance > 0) & (distance <= width)"), "its own place counts"),
        (window("distance >= width"), "near past hidden"),
        (window("(distance >= 0) & (position < width)"), "move along"),
        (window(SAME_BLOCK), "and a position sees its future"),
        (window(f"(distance >= 0) & {SAME_BLOCK}"), "into blocks: the"),
        (window("(distance >= 0) & (distance < 3)"), "right for 7 positions and width 3"),
        (lambda n, width: window_mask(7, width), "= (9, 9), got (7, 7)"),
        (window(f"({RULE}).float()"), "want bool"),
        (window(f"({RULE})[None]"), "= (7, 7), got (1, 7, 7)"),
        (window("(distance >= 0) & (distance < min(width, 4))"), "for 9 positions and width 5"),
        (window(f"({RULE}) | (position == 0)"), "(row 3, column 0) is True, want False"),
    ],
    hostile=HOSTILE,
)


class TestAnswers(Answers):
    exercises = (SINUSOID, POSITIONS, ROTATE, ATTENTION, WINDOW)

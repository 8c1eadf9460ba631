"""The checks of notebook 09 accept right answers and name each wrong one."""

import math

import judging
import pytest
import torch
from judging import passes, refuses, tells_apart
from torch import nn

from utils import transformer, variants
from utils.attention import merge_heads, scaled_dot_product_attention, split_heads
from utils.checks import positional_encoding as lesson

NAN = float("nan")
SINUSOID, POSITIONS, ROTATE, ATTENTION, WINDOW = (
    lesson.check_sinusoidal_encoding,
    lesson.check_positions,
    lesson.check_rotate,
    lesson.check_rotary_attention,
    lesson.check_window_mask,
)


# --- 9.1: the sinusoid -----------------------------------------------------------------------


def even(d_model):
    if d_model % 2:
        raise ValueError(f"odd: {d_model}")


def sinusoid(angle=None, cosine_angle=None, join=None, start=0):
    """An answer to 9.1 of which one step is replaced."""

    def answer(seq_len, d_model):
        even(d_model)
        pos = torch.arange(start, seq_len + start, dtype=torch.float64).unsqueeze(1)
        i = torch.arange(d_model // 2, dtype=torch.float64)
        right = pos / 10000 ** (2 * i / d_model)
        one = angle(pos, i, d_model) if angle else right
        two = cosine_angle(pos, i, d_model) if cosine_angle else one
        sin, cos = one.sin(), two.cos()
        table = join(sin, cos) if join else torch.stack([sin, cos], dim=-1).flatten(1)
        return table.float()

    return answer


def sinusoid_by_loops(seq_len, d_model):
    even(d_model)
    table = torch.zeros(seq_len, d_model)
    for pos in range(seq_len):
        for i in range(d_model // 2):
            table[pos, 2 * i] = math.sin(pos / 10000 ** (2 * i / d_model))
            table[pos, 2 * i + 1] = math.cos(pos / 10000 ** (2 * i / d_model))
    return table


def sinusoid_by_slices(seq_len, d_model):
    if d_model % 2 != 0:
        raise ValueError("d_model must be even")
    pe = torch.zeros(seq_len, d_model)
    position = torch.arange(0, seq_len).unsqueeze(1)
    div_term = torch.exp(torch.arange(0, d_model, 2) * -(math.log(10000.0) / d_model))
    pe[:, 0::2] = torch.sin(position * div_term)
    pe[:, 1::2] = torch.cos(position * div_term)
    return pe


def odd_width_runs(seq_len, d_model):
    return sinusoid()(seq_len, d_model + d_model % 2)[:, :d_model]


def odd_width_crashes(seq_len, d_model):
    table = torch.zeros(seq_len, d_model)
    table[:, 0::2] = sinusoid()(seq_len, d_model + d_model % 2)[:, 0::2]
    table[:, 1::2] = sinusoid()(seq_len, d_model + d_model % 2)[:, 1::2]
    return table


def fixed_width(seq_len, d_model):
    return sinusoid(angle=lambda pos, i, d: pos / 10000 ** (2 * i / 10))(seq_len, d_model)


# --- 9.2: adding it --------------------------------------------------------------------------


def positions(rows=None, forward=None, keep="buffer", refuse=True, grow=0):
    """An answer to 9.2 of which one step is replaced."""

    class Positions(nn.Module):
        def __init__(self, d_model, max_len=256):
            super().__init__()
            table = transformer.sinusoidal_encoding(max_len + grow, d_model)
            if keep == "parameter":
                self.table = nn.Parameter(table)
            elif keep == "attribute":
                self.table = table
            else:
                self.register_buffer("table", table, persistent=keep == "buffer")

        def forward(self, x, start=0):
            end = start + x.size(1)
            if refuse and end > len(self.table):
                raise ValueError("beyond the table")
            if forward:
                return forward(self.table, x, start)
            picked = rows(self.table, x, start) if rows else self.table[start:end]
            return x + picked

    return Positions


class PositionsByEmbedding(nn.Module):
    """A right answer that looks rows up by number."""

    def __init__(self, d_model, max_len=256):
        super().__init__()
        self.register_buffer("pe", transformer.sinusoidal_encoding(max_len, d_model)[None])

    def forward(self, x, start=0):
        numbers = torch.arange(x.size(1)) + start
        if numbers[-1] >= self.pe.size(1):
            raise ValueError("too long")
        return self.pe[:, numbers] + x


class Computed(nn.Module):
    def __init__(self, d_model, max_len):
        super().__init__()
        self.max_len = max_len

    def forward(self, x, start=0):
        end = start + x.size(1)
        if end > self.max_len:
            raise ValueError("beyond")
        return x + transformer.sinusoidal_encoding(end, x.size(2))[start:]


def plain_function(d_model, max_len):
    module = positions()(d_model, max_len)
    return lambda x, start=0: module(x, start)


# --- 9.3: turning pairs ----------------------------------------------------------------------


def turn(angle=None, pair=None, start_counts=True, first_position=0):
    """An answer to 9.3 of which one step is replaced."""

    def answer(x, start=0, base=10000.0):
        even(x.size(-1))
        d_k, seq_len = x.size(-1), x.size(-2)
        start = start if start_counts else 0
        pos = torch.arange(seq_len, dtype=x.dtype).unsqueeze(1) + start + first_position
        i = torch.arange(d_k // 2, dtype=x.dtype)
        theta = angle(pos, i, d_k, x) if angle else pos / base ** (2 * i / d_k)
        cos, sin = theta.cos(), theta.sin()
        a, b = x[..., 0::2], x[..., 1::2]
        pairs = pair(a, b, cos, sin) if pair else (a * cos - b * sin, a * sin + b * cos)
        return torch.stack(pairs, dim=-1).flatten(-2)

    return answer


def turn_by_complex(x, start=0):
    even(x.size(-1))
    pos = torch.arange(x.size(-2)).double().unsqueeze(1) + start
    angle = pos / 10000 ** (torch.arange(0, x.size(-1), 2).double() / x.size(-1))
    numbers = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    turned = numbers * torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


def halves(repeat=None, spin=None, join=None):
    """Llama's way, of which one step is replaced."""

    def answer(x, start=0):
        even(x.size(-1))
        pos = torch.arange(x.size(-2), dtype=x.dtype).unsqueeze(1) + start
        theta = pos / 10000 ** (torch.arange(0, x.size(-1), 2, dtype=x.dtype) / x.size(-1))
        angle = repeat(theta) if repeat else torch.cat([theta, theta], dim=-1)
        low, high = x.chunk(2, dim=-1)
        other = spin(x) if spin else torch.cat([-high, low], dim=-1)
        return x * angle.cos() + other * angle.sin()

    return answer


def near(x):
    return torch.stack([-x[..., 1::2], x[..., 0::2]], dim=-1).flatten(-2)


def put_back_as_halves(x, start=0):
    turned = variants.rotate(x, start)
    return torch.cat([turned[..., 0::2], turned[..., 1::2]], dim=-1)


def along(axis):
    def angle(pos, i, d_k, x):
        view = [1] * x.dim()
        view[axis] = x.size(axis)
        return torch.arange(x.size(axis), dtype=x.dtype).view(view) / 10000 ** (2 * i / d_k)

    return angle


def turn_one_pair(x, start=0):
    turned = variants.rotate(x, start)
    return torch.cat([turned[..., :-2], turned[..., -2:].flip(-1)], dim=-1)


def turn_with_heads_only(x, start=0):
    if x.dim() != 4:
        raise IndexError("want 4 axes")
    return variants.rotate(x, start)


def turn_flat_otherwise(x, start=0):
    return variants.rotate(x, start) if x.dim() == 4 else x


def odd_turn_runs(x, start=0):
    if x.size(-1) % 2:
        return x
    return variants.rotate(x, start)


def add_sinusoid(x, start=0):
    return x + transformer.sinusoidal_encoding(x.size(-2), x.size(-1), x.dtype)


def times_sinusoid(x, start=0):
    return x * transformer.sinusoidal_encoding(x.size(-2), x.size(-1), x.dtype)


# --- 9.5: a window ---------------------------------------------------------------------------


def window(rule):
    """An answer to 9.5 with its own rule, from distance, width, and the positions of keys."""

    def answer(seq_len, width):
        position = torch.arange(seq_len)
        return rule(position.unsqueeze(1) - position, width, position)

    return answer


def window_by_loops(seq_len, width):
    return torch.tensor([[0 <= i - j < width for j in range(seq_len)] for i in range(seq_len)])


def window_by_triangles(seq_len, width):
    past = torch.ones(seq_len, seq_len, dtype=torch.bool).tril()
    return past & ~past.tril(-width)


# --- 9.4: into attention ---------------------------------------------------------------------


def rotary(before=None, inside=None, after=None, values=None, mask_of=None):
    """An answer to 9.4 of which one step is replaced."""

    def answer(attention, x, mask=None):
        maps = attention.query_map, attention.key_map, attention.value_map
        n = attention.n_heads
        if before:
            q, k, v = before(attention, x)
        else:
            q, k, v = (split_heads(map_(x), n) for map_ in maps)
        if inside:
            q, k = inside(q, k)
        elif not before:
            q, k = variants.rotate(q), variants.rotate(k)
        v = values(q, k, v) if values else v
        mask = mask_of(mask) if mask_of and mask is not None else mask
        context, weights = scaled_dot_product_attention(q, k, v, mask)
        if after:
            return after(attention, context, x), weights
        return attention.output_map(merge_heads(context)), weights

    return answer


def whole_turned(attention, x):
    n = attention.n_heads
    q, k = (variants.rotate(m(x)) for m in (attention.query_map, attention.key_map))
    return split_heads(q, n), split_heads(k, n), split_heads(attention.value_map(x), n)


def input_turned(attention, x):
    n, turned = attention.n_heads, variants.rotate(x)
    maps = attention.query_map, attention.key_map
    return *(split_heads(m(turned), n) for m in maps), split_heads(attention.value_map(x), n)


def input_summed(attention, x):
    n = attention.n_heads
    summed = x + transformer.sinusoidal_encoding(x.size(1), x.size(2))
    maps = attention.query_map, attention.key_map
    return *(split_heads(m(summed), n) for m in maps), split_heads(attention.value_map(x), n)


def without_split_transpose(attention, x):
    n = attention.n_heads
    maps = attention.query_map, attention.key_map
    q, k = (variants.rotate(m(x).unflatten(-1, (n, -1))).transpose(1, 2) for m in maps)
    return q, k, split_heads(attention.value_map(x), n)


def plus_sinusoid(q, k):
    table = transformer.sinusoidal_encoding(q.size(-2), q.size(-1))
    return q + table, k + table


def both(function):
    return lambda q, k: (function(q), function(k))


def open_mask(attention, x, mask=None):
    return variants.rotary_attention(attention, x)


def swapped_results(attention, x, mask=None):
    return variants.rotary_attention(attention, x, mask)[::-1]


# --- results cut off from their gradient, sizes built in ----------------------------------------


def positions_of_ten(d_model, max_len=256):
    return positions()(10, max_len)


def frozen_table(d_model, max_len=256):
    return positions(keep="parameter")(d_model, max_len).requires_grad_(False)


def turn_for_ten(x, start=0):
    even(x.size(-1))
    pos = torch.arange(x.size(-2), dtype=x.dtype).unsqueeze(1) + start
    theta = pos / 10000 ** (torch.arange(0, x.size(-1), 2, dtype=x.dtype) / 10)
    a, b, cos, sin = x[..., 0::2], x[..., 1::2], theta.cos(), theta.sin()
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


def rotary_of_three_heads(attention, x, mask=None):
    maps = attention.query_map, attention.key_map, attention.value_map
    q, k, v = (split_heads(map_(x), 3 if x.size(-1) % 3 == 0 else 1) for map_ in maps)
    context, weights = scaled_dot_product_attention(
        variants.rotate(q), variants.rotate(k), v, mask)
    return attention.output_map(merge_heads(context)), weights


def rotary_without_gradient(attention, x, mask=None):
    with torch.no_grad():
        return variants.rotary_attention(attention, x, mask)


RIGHT = [
    (SINUSOID, transformer.sinusoidal_encoding),
    (SINUSOID, sinusoid_by_loops),
    (SINUSOID, sinusoid_by_slices),
    (SINUSOID, lambda n, d: sinusoid()(n, d).double()),
    (SINUSOID, sinusoid(join=lambda s, c: torch.cat([s, c], dim=-1))),
    (POSITIONS, transformer.SinusoidalPositions),
    (POSITIONS, PositionsByEmbedding),
    (POSITIONS, positions()),
    (ROTATE, variants.rotate),
    (ROTATE, turn()),
    (ROTATE, turn_by_complex),
    (ROTATE, halves()),
    (ATTENTION, variants.rotary_attention),
    (ATTENTION, rotary()),
    (ATTENTION, lambda *given: list(rotary()(*given))),
    (WINDOW, variants.window_mask),
    (WINDOW, window_by_loops),
    (WINDOW, window_by_triangles),
]

# check, wrong answer, words of its own message
WRONG = [
    (SINUSOID, sinusoid(lambda p, i, d: p / 10000 ** (i / d)), "exponent is i / d_model"),
    (SINUSOID, sinusoid(lambda p, i, d: p / 10000 ** (4 * i / d)), "4i / d_model"),
    (SINUSOID, sinusoid(lambda p, i, d: p / 10000 ** (2 * i) / d), "and then by d_model"),
    (SINUSOID, sinusoid(lambda p, i, d: p / (10000 ** (2 * i) / d)), "by d_model, as **"),
    (SINUSOID, sinusoid(lambda p, i, d: p / 10000 ** (2 * i)), "leaves d_model out"),
    (SINUSOID, sinusoid(lambda p, i, d: p / 10000 * 2 * i / d), "multiplied by 2i"),
    (
        SINUSOID,
        sinusoid(cosine_angle=lambda p, i, d: p / 10000 ** ((2 * i + 1) / d)),
        "angle of its own",
    ),
    (
        SINUSOID,
        sinusoid(
            lambda p, i, d: p / 10000 ** (2 * (2 * i) / d / 2),
            lambda p, i, d: p / 10000 ** (2 * (2 * i + 1) / d),
        ),
        "counts features",
    ),
    (SINUSOID, sinusoid(join=lambda s, c: torch.stack([c, s], -1).flatten(1)), "exchanged"),
    (SINUSOID, sinusoid(start=1), "begin at 1"),
    (SINUSOID, sinusoid(lambda p, i, d: p * 10000 ** (2 * i / d)), "multiplied by the power"),
    (SINUSOID, sinusoid(lambda p, i, d: p / 1000 ** (2 * i / d)), "base is 1000"),
    (SINUSOID, sinusoid(lambda p, i, d: p / 10000 ** (2 * i / max(d - 2, 1))), "d_model - 2"),
    (SINUSOID, sinusoid(lambda p, i, d: p / 10000 ** (2 * i / (d / 2))), "4i / d_model"),
    (SINUSOID, sinusoid(lambda p, i, d: p / 10000 ** (2 * i.flip(0) / d)), "backwards"),
    (SINUSOID, sinusoid(lambda p, i, d: p.expand(-1, len(i))), "same angle"),
    (SINUSOID, sinusoid(lambda p, i, d: (p / 10000 ** (2 * i / d)).deg2rad()), "degrees"),
    (SINUSOID, sinusoid(lambda p, i, d: -p / 10000 ** (2 * i / d)), "wrong sign"),
    (SINUSOID, sinusoid(join=lambda s, c: torch.stack([s, s], -1).flatten(1)), "are sines"),
    (SINUSOID, sinusoid(join=lambda s, c: torch.stack([c, c], -1).flatten(1)), "are cosines"),
    (
        SINUSOID,
        sinusoid(
            lambda p, i, d: p / 1000 ** (2 * i / d),
            join=lambda s, c: torch.cat([s, c], -1),
        ),
        "base is 1000",
    ),
    (
        SINUSOID,
        sinusoid(join=lambda s, c: torch.stack([s.asin(), s.asin()], -1).flatten(1)),
        "position 0, feature 1",
    ),
    (SINUSOID, sinusoid(lambda p, i, d: p / 500 ** (2 * i / d)), "position 1, feature 2"),
    (SINUSOID, lambda n, d: sinusoid()(n, d).T, "one row for each position"),
    (SINUSOID, lambda n, d: sinusoid()(n, d)[None], "batch axis"),
    (SINUSOID, lambda n, d: sinusoid()(n, d)[:, 0::2], "d_model / 2 features"),
    (SINUSOID, lambda n, d: sinusoid()(n, d).long(), "real numbers"),
    (SINUSOID, lambda n, d: sinusoid()(n, d) * NAN, "finite angle"),
    (SINUSOID, lambda n, d: sinusoid()(7, d), "got (7, 6)"),
    (SINUSOID, fixed_width, "wrong for (3, 6)"),
    (SINUSOID, odd_width_runs, "nothing was raised"),
    (SINUSOID, odd_width_crashes, "got RuntimeError"),
    (POSITIONS, positions(lambda t, x, s: t[: x.size(0)].unsqueeze(1)), "follow the batch"),
    (POSITIONS, positions(lambda t, x, s: t[x.size(1)]), "a colon is missing"),
    (POSITIONS, positions(lambda t, x, s: t[0]), "get row 0: want"),
    (POSITIONS, positions(lambda t, x, s: t[: x.size(1)].mean(0)), "mean of the rows"),
    (POSITIONS, positions(lambda t, x, s: t[1 : x.size(1) + 1]), "begin at 1: the first token"),
    (POSITIONS, positions(lambda t, x, s: t[: x.size(1)].flip(0)), "rows run backwards"),
    (POSITIONS, positions(lambda t, x, s: t[-x.size(1) :]), "last rows"),
    (POSITIONS, positions(lambda t, x, s: t[3]), "same vector"),
    (
        POSITIONS,
        positions(lambda t, x, s: t[: x.numel() // x.size(2)].view(x.shape)),
        "different vectors",
    ),
    (POSITIONS, positions(lambda t, x, s: 2 * t[: x.size(1)]), "in order"),
    (POSITIONS, positions(lambda t, x, s: t[: x.size(1)] / t.size(1) ** 0.5), "rows are divided"),
    (
        POSITIONS,
        positions(
            lambda t, x, s: torch.cat([t[: x.size(1), 0::2], t[: x.size(1), 1::2]], dim=-1)
        ),
        "before all cosines. Use",
    ),
    (POSITIONS, positions(forward=lambda t, x, s: x + 0), "nothing is added"),
    (
        POSITIONS,
        positions(forward=lambda t, x, s: t[: x.size(1)].expand_as(x)),
        "row alone",
    ),
    (POSITIONS, positions(forward=lambda t, x, s: t[: x.size(1)]), "rows alone"),
    (POSITIONS, positions(forward=lambda t, x, s: x * t[: x.size(1)]), "x is multiplied by the t"),
    (
        POSITIONS,
        positions(forward=lambda t, x, s: x * x.size(2) ** 0.5 + t[: x.size(1)]),
        "by √d_model here",
    ),
    (
        POSITIONS,
        positions(forward=lambda t, x, s: torch.cat([x, t[: x.size(1)].expand_as(x)], -1)),
        "beside the token",
    ),
    (POSITIONS, positions(lambda t, x, s: t[s : s + x.size(1)].double()), "wrong type"),
    (POSITIONS, positions(forward=lambda t, x, s: x * NAN), "Is the table filled"),
    (POSITIONS, positions(lambda t, x, s: t[: x.size(1)]), "`start` is ignored: the first token "
     "has position start. A decoder"),
    (
        POSITIONS,
        positions(lambda t, x, s: t[s + bool(s) : s + bool(s) + x.size(1)]),
        "4 tokens from 3",
    ),
    (POSITIONS, positions(refuse=False), "13 tokens do not fit a table of 12: want ValueError, "
     "got RuntimeError"),
    (POSITIONS, positions(grow=1), "nothing was raised"),
    (POSITIONS, positions(keep="parameter"), "is a parameter"),
    (POSITIONS, frozen_table, "frozen parameter"),
    (POSITIONS, positions_of_ten, "wrong for 6 and 40"),
    (POSITIONS, positions(forward=lambda table, x, start: x.detach() + table[start :][: x.size(1)]),
     "no gradient comes back to the tokens"),
    (POSITIONS, positions(keep="attribute"), "plain attribute"),
    (POSITIONS, positions(keep="fleeting"), "not persistent"),
    (POSITIONS, Computed, "is empty"),
    (POSITIONS, plain_function, "class of nn.Module, got"),
    (POSITIONS, positions()(10), "class itself"),
    (POSITIONS, lambda d, n: torch.zeros(n, d), "cannot be called"),
    (ROTATE, lambda x, start=0: x + 0, "nothing is turned"),
    (ROTATE, turn(lambda p, i, d, x: p.expand(-1, len(i))), "the same angle"),
    (ROTATE, turn(lambda p, i, d, x: -p / 10000 ** (2 * i / d)), "the other way"),
    (ROTATE, turn(pair=lambda a, b, c, s: (a * c + b * s, a * s + b * c)), "MINUS"),
    (ROTATE, turn(pair=lambda a, b, c, s: (a * c - b * s, b * c - a * s)), "PLUS"),
    (ROTATE, turn(pair=lambda a, b, c, s: (a * s - b * c, a * c + b * s)), "and x must stay"),
    (ROTATE, halves(lambda angle: angle.repeat_interleave(2, -1)), "come from halves"),
    (ROTATE, halves(spin=near), "angles repeat in halves"),
    (ROTATE, put_back_as_halves, "put back as halves"),
    (ROTATE, turn(lambda p, i, d, x: p / 10000 ** (i / d)), "i / d_k: pair"),
    (ROTATE, turn(lambda p, i, d, x: p / 10000 ** (2 * i) / d), "not in brackets"),
    (ROTATE, turn(lambda p, i, d, x: p / (10000 ** (2 * i) / d)), "binds tighter"),
    (ROTATE, turn(lambda p, i, d, x: p * 10000 ** (2 * i / d)), "multiplied by the power"),
    (ROTATE, turn(first_position=1), "begin at 1"),
    (ROTATE, turn(along(1)), "(axis 1)"),
    (ROTATE, turn(along(0)), "(axis 0)"),
    (ROTATE, add_sinusoid, "is added: here every pair"),
    (ROTATE, times_sinusoid, "feature by feature"),
    (ROTATE, turn(pair=lambda a, b, c, s: (a * c, b * c)), "cosines alone"),
    (ROTATE, turn(lambda p, i, d, x: p[-1] / 10000 ** (2 * i / d)), "angle of the last"),
    (ROTATE, lambda x, start=0: 2 * variants.rotate(x, start), "another length"),
    (ROTATE, turn_one_pair, "lengths are kept"),
    (ROTATE, turn(start_counts=False), "`start` is ignored: the first token has position start"),
    (ROTATE, lambda x, start=0: variants.rotate(x, 2 * start), "with start = 3"),
    (ROTATE, turn_with_heads_only, "fails"),
    (ROTATE, turn_flat_otherwise, "gives another result"),
    (ROTATE, odd_turn_runs, "d_k must be even"),
    (ROTATE, lambda x, start=0: variants.rotate(x, start) * NAN, "numbers finite"),
    (ROTATE, lambda x, start=0: variants.rotate(x, start)[..., ::2], "want shape"),
    (WINDOW, window(lambda d, w, k: ~((d >= 0) & (d < w))), "turned round"),
    (WINDOW, window(lambda d, w, k: (d <= 0) & (d > -w)), "rows and columns are exchanged"),
    (WINDOW, window(lambda d, w, k: d >= 0), "the past has no end"),
    (WINDOW, window(lambda d, w, k: d.abs() < w), "sees its future"),
    (WINDOW, window(lambda d, w, k: d < w), "all of its future"),
    (WINDOW, window(lambda d, w, k: (d >= 0) & (d <= w)), "too wide"),
    (WINDOW, window(lambda d, w, k: (d >= 0) & (d < w - 1)), "too narrow"),
    (WINDOW, window(lambda d, w, k: (d > 0) & (d < w)), "the first one sees nothing"),
    (WINDOW, window(lambda d, w, k: (d > 0) & (d <= w)), "its own place counts"),
    (WINDOW, window(lambda d, w, k: d >= w), "near past hidden"),
    (WINDOW, window(lambda d, w, k: (d >= 0) & (k < w)), "move along"),
    (WINDOW, window(lambda d, w, k: k.unsqueeze(1) // w == k // w), "1 places back"),
    (WINDOW, window(lambda d, w, k: (d >= 0) & (k.unsqueeze(1) // w == k // w)), "into blocks"),
    (WINDOW, window(lambda d, w, k: (d >= 0) & (d < 3)), "wrong for 9 and 5"),
    (WINDOW, window(lambda d, w, k: ((d >= 0) & (d < w)).float()), "want bool"),
    (WINDOW, window(lambda d, w, k: ((d >= 0) & (d < w))[None]), "want shape (seq_len, seq_len)"),
    (ATTENTION, rotary(inside=both(lambda q: q)), "nothing is turned, or"),
    (ATTENTION, rotary(inside=lambda q, k: (variants.rotate(q), k)), "only the queries"),
    (ATTENTION, rotary(inside=lambda q, k: (q, variants.rotate(k))), "only the keys"),
    (ATTENTION, rotary(inside=both(halves())), "pairs feature i with i + d_k / 2"),
    (ATTENTION, rotary(whole_turned), "before they are cut"),
    (ATTENTION, rotary(without_split_transpose), "follows the heads, which"),
    (ATTENTION, rotary(input_turned), "before the maps"),
    (ATTENTION, rotary(input_summed), "added to x"),
    (ATTENTION, rotary(inside=plus_sinusoid), "added to queries and keys"),
    (
        ATTENTION,
        rotary(inside=lambda q, k: (variants.rotate(q), variants.rotate(k.flip(2)).flip(2))),
        "run backwards",
    ),
    (
        ATTENTION,
        rotary(inside=lambda q, k: (variants.rotate(k), variants.rotate(q))),
        "queries and keys are exchanged",
    ),
    (
        ATTENTION,
        rotary(inside=lambda q, k: (variants.rotate(q) * lesson.D_K**0.5, variants.rotate(k))),
        "not divided",
    ),
    (ATTENTION, rotary(inside=both(lambda q: variants.rotate(variants.rotate(q)))), "turned twice"),
    (ATTENTION, open_mask, "not handed on"),
    (ATTENTION, rotary(mask_of=lambda mask: ~mask), "turned round"),
    (ATTENTION, rotary(inside=both(lambda q: -0.5 * variants.rotate(q))), "weights are wrong"),
    (ATTENTION, rotary(values=lambda q, k, v: variants.rotate(v)), "values are turned too"),
    (ATTENTION, rotary(values=lambda q, k, v: k), "keys are mixed"),
    (ATTENTION, rotary(after=lambda a, c, x: merge_heads(c)), "W^O"),
    (
        ATTENTION,
        rotary(after=lambda a, c, x: a.output_map(merge_heads(variants.rotate(c)))),
        "after the mix",
    ),
    (ATTENTION, rotary(after=lambda a, c, x: a.output_map(c.reshape(x.shape))), "their transpose"),
    (ATTENTION, rotary(after=lambda a, c, x: x + a.output_map(merge_heads(c))), "residual"),
    (ATTENTION, rotary(after=lambda a, c, x: -a.output_map(merge_heads(c))), "the output is not"),
    (ATTENTION, rotary(after=lambda a, c, x: c), "still cut into heads"),
    (ATTENTION, swapped_results, "wrong order"),
    (ATTENTION, lambda *given: rotary()(*given)[0], "two tensors"),
    (ATTENTION, rotary(after=lambda a, c, x: c.sum(1)), "of output"),
    (ATTENTION, lambda a, x, mask=None: (x, x), "of weights"),
    (ROTATE, lambda x, start=0: variants.rotate(x.detach(), start), "no gradient comes back to x"),
    (ROTATE, turn_for_ten, "right for 7 tokens of d_k 10"),
    (ATTENTION, rotary_of_three_heads, "right for 3 heads"),
    (ATTENTION, rotary_without_gradient, "no gradient comes back to any map"),
    (ATTENTION, rotary(inside=lambda q, k: (variants.rotate(q), variants.rotate(k.detach()))),
     "no gradient comes back to key_map"),
    (ATTENTION, rotary(values=lambda q, k, v: v.detach()),
     "no gradient comes back to value_map"),
]


class NoSuper(nn.Module):
    def __init__(self, d_model, max_len):
        self.table = nn.Parameter(torch.zeros(max_len, d_model))


class ForwardFails(nn.Module):
    def __init__(self, d_model, max_len):
        super().__init__()

    def forward(self, x, start=0):
        raise TypeError("no")


CHECKS = [SINUSOID, POSITIONS, ROTATE, ATTENTION, WINDOW]
HOSTILE = [
    *judging.HOSTILE,
    (lambda *given: 7, "want"),
    (lambda *given: torch.tensor(NAN), "want"),
]


@pytest.mark.parametrize("check, answer", RIGHT)
def test_right_answers(check, answer):
    passes(check, answer)


@pytest.mark.parametrize("check, answer", [
    (SINUSOID, sinusoid(join=lambda s, c: torch.cat([s, c], dim=-1))), (ROTATE, halves()),
])
def test_the_other_order_of_features_passes_with_a_note(check, answer):
    assert "works as well" in check(answer).message


@pytest.mark.parametrize("check, answer, words", WRONG, ids=lambda part: part if isinstance(
    part, str) else "")
def test_wrong_answers_are_named(check, answer, words):
    refuses(check, answer, words)


def test_no_two_mistakes_share_a_message():
    twins = {"4i / d_model", "base is 1000", "follows the heads, which"}    # made in two ways
    tells_apart(row for row in WRONG if row[2] not in twins)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("answer, words", HOSTILE)
def test_hostile_answers(check, answer, words):
    refuses(check, answer, words)


@pytest.mark.parametrize("answer, words", [
    (NoSuper, "before Module.__init__"),
    (ForwardFails, "raised TypeError: no"),
    (nn.Linear, "want shape"),
    (nn.Module, "raised"),
])
def test_hostile_modules(answer, words):
    verdict = POSITIONS(answer)
    assert verdict.passed is False and words in verdict.message


def in_place(x, start=0):
    x += 1
    return x


def in_place_attention(attention, x, mask=None):
    x += 1
    return variants.rotary_attention(attention, x, mask)


@pytest.mark.parametrize("check, answer", [
    (POSITIONS, positions(forward=lambda table, x, start: x.add_(table[: x.size(1)]))),
    (ROTATE, in_place),
    (ATTENTION, in_place_attention),
])
def test_a_changed_argument_is_noticed(check, answer):
    verdict = check(answer)
    assert verdict.passed is False and "in place" in verdict.message


class UntouchedModule(nn.Module):
    def __init__(self, d_model, max_len=256):
        super().__init__()
        ...

    def forward(self, x, start=0):
        return ...


@pytest.mark.parametrize("check, stub", [
    *((check, lambda *given: ...) for check in CHECKS),
    *((check, ...) for check in CHECKS),
    (POSITIONS, UntouchedModule),
    (ATTENTION, lambda attention, x, mask: (..., ...)),
])
def test_untouched_stubs(check, stub):
    assert check(stub).passed is None


def test_numbers():
    assert [check.exercise for check in CHECKS] == ["9.1", "9.2", "9.3", "9.4", "9.5"]


def test_the_random_state_is_left_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    for check, answer in RIGHT:
        check(answer)
    assert torch.equal(before, torch.random.get_rng_state())

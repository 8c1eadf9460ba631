"""The checks of lesson 07 accept right answers and name each wrong one."""

import judging
import pytest
import torch
import torch.nn.functional as F
from judging import endless, fails, passes, refuses, tells_apart
from torch import nn

from utils import attention
from utils.checks import scaled_dot_product_attention as lesson

NAN = float("nan")
N_HEADS = lesson.N_HEADS


def weigh(divide=None, spread=None, mix=None, hide=attention.masked_softmax):
    """An answer to 7.1 of which one step is replaced."""

    def answer(q, k, v, mask=None):
        scores = q @ k.transpose(-2, -1)
        scores = divide(scores, q, k, v) if divide else scores / q.size(-1) ** 0.5
        weights = spread(scores) if spread else hide(scores, mask)
        return (mix(weights, scores, k, v) if mix else weights @ v), weights

    return answer


def by(number):
    """An answer to 7.1 that divides the scores by another number."""
    return weigh(divide=lambda scores, q, k, v: scores / number(q, k, v))


def lengths(q, k, v):
    return q.norm(dim=-1, keepdim=True) * k.norm(dim=-1).unsqueeze(-2)


def hidden(hide):
    """An answer to 7.1 that is right without a mask and hides keys in another way with one."""
    return weigh(hide=lambda s, mask: s.softmax(-1) if mask is None else hide(s, mask))


def attention_by_torch(q, k, v, mask=None):
    context = F.scaled_dot_product_attention(q, k, v, mask)
    seen = torch.eye(k.size(-2)).expand(*k.shape[:-1], k.size(-2))
    return context, F.scaled_dot_product_attention(q, k, seen, mask).nan_to_num()


def attention_by_einsum(q, k, v, mask=None):
    scores = torch.einsum("...td,...sd->...ts", q, k) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, -torch.inf)
    weights = torch.nan_to_num(F.softmax(scores, dim=-1))
    return [torch.einsum("...ts,...sd->...td", weights, v), weights]


def by_fixed_axes(q, k, v, mask=None):
    weights = attention.masked_softmax(q @ k.transpose(2, 3) / q.size(3) ** 0.5, mask)
    return weights @ v, weights


def by_bare_exp(q, k, v, mask=None):
    scores = (q @ k.transpose(-2, -1) / q.size(-1) ** 0.5).exp()
    scores = scores if mask is None else scores * mask
    weights = scores / scores.sum(-1, keepdim=True)
    weights = weights if mask is None else weights.nan_to_num()
    return weights @ v, weights


def swapped_results(q, k, v, mask=None):
    return attention.scaled_dot_product_attention(q, k, v, mask)[::-1]


def by_keys_on_the_left(q, k, v, mask=None):
    weights = (k @ q.transpose(-2, -1) / q.size(-1) ** 0.5).softmax(-1)
    return weights.transpose(-2, -1) @ v, weights


def context_without_mask(q, k, v, mask=None):
    open_context, _ = attention.scaled_dot_product_attention(q, k, v)
    return open_context, attention.scaled_dot_product_attention(q, k, v, mask)[1]


def context_halved_by_mask(q, k, v, mask=None):
    context, weights = attention.scaled_dot_product_attention(q, k, v, mask)
    return (context if mask is None else context / 2), weights


def triangle_by_positions(seq_len):
    positions = torch.arange(seq_len)
    return positions.unsqueeze(1) >= positions


def triangle_by_loops(seq_len):
    return torch.tensor([[j <= i for j in range(seq_len)] for i in range(seq_len)])


def ones(seq_len):
    return torch.ones(seq_len, seq_len, dtype=torch.bool)


def one_missing(row, column):
    def answer(seq_len):
        mask = ones(seq_len).tril()
        mask[row, column] = False
        return mask

    return answer


def split_by(q, k, v, mask=None):
    """Right for d_k = 8 only."""
    weights = attention.masked_softmax(q @ k.transpose(-2, -1) / 8**0.5, mask)
    return weights @ v, weights


def squeezed(q, k, v, mask=None):
    context, weights = attention.scaled_dot_product_attention(q, k, v, mask)
    return context.squeeze(-2), weights


def renormalised(scores, mask):
    hidden = scores.softmax(-1) * mask
    return hidden / hidden.sum(-1, keepdim=True).clamp(min=1e-30)


def always_causal(q, k, v, mask=None):
    causal = torch.ones(q.size(-2), k.size(-2)).tril().bool()
    return attention.scaled_dot_product_attention(q, k, v, causal if mask is None else mask)


def detached(which):
    """An answer to 7.1 that cuts off the gradient of q, k or v."""

    def answer(*qkv, mask=None):
        q, k, v = (t.detach() if name == which else t for name, t in zip("qkv", qkv))
        return attention.scaled_dot_product_attention(q, k, v, qkv[3] if len(qkv) > 3 else mask)

    return answer


def head_with(forward, bias=False, shared=False, size=None):
    """A class with the course's three maps and another forward(self, x, mask)."""

    class Head(nn.Module):
        def __init__(self, d_model, d_k):
            super().__init__()
            width = size or d_k
            self.query_map = nn.Linear(d_model, width, bias=bias)
            self.key_map = nn.Linear(d_model, width, bias=False)
            if not shared:
                self.value_map = nn.Linear(d_model, width, bias=False)

        def forward(self, x, mask=None):
            return forward(self, x, mask)

    return Head


def maps(head, x):
    return head.query_map(x), head.key_map(x), head.value_map(x)


def shares(q, k, mask=None, by=None):
    scores = q @ k.transpose(-2, -1) / (q.size(-1) ** 0.5 if by is None else by)
    return attention.masked_softmax(scores, mask)


def weighed(change):
    """A head of which `change(q, k, x, mask)` makes the weights."""

    def forward(head, x, mask):
        q, k, v = maps(head, x)
        weights = change(q, k, x, mask)
        return weights @ v, weights

    return head_with(forward)


def mixed(change):
    """A head of which `change(weights, q, k, v, x)` makes the context."""

    def forward(head, x, mask):
        q, k, v = maps(head, x)
        weights = shares(q, k, mask)
        return change(weights, q, k, v, x), weights

    return head_with(forward)


def masked_by(hide):
    """A head that is right without a mask and hides in another way with one."""
    return weighed(lambda q, k, x, mask: shares(q, k) if mask is None else hide(q, k, mask))


class Packed(nn.Module):
    """A head whose three matrices are one, with another name."""

    def __init__(self, d_model, d_k):
        super().__init__()
        self.all = nn.Linear(d_model, 3 * d_k, bias=False)

    def forward(self, x, mask=None):
        return attention.scaled_dot_product_attention(*self.all(x).chunk(3, dim=-1), mask)


class Plain(nn.Module):
    """A head of plain parameters, (d_model, d_k), and the formula written out."""

    def __init__(self, d_model, d_k):
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(torch.randn(d_model, d_k) / 3) for _ in range(3))

    def forward(self, x, mask=None):
        weights = shares(x @ self.a, x @ self.b, mask)
        return weights @ (x @ self.c), weights


class Unused(attention.SelfAttention):
    """A head of four matrices."""

    def __init__(self, d_model, d_k):
        super().__init__(d_model, d_k)
        self.more = nn.Linear(d_model, d_k, bias=False)

    def forward(self, x, mask=None):
        return super().forward(x, mask)


def without_batch(head, x, mask):
    q, k, v = maps(head, x)
    weights = attention.masked_softmax(q.bmm(k.transpose(1, 2)) / q.size(-1) ** 0.5, mask)
    return weights @ v, weights


def attend(head, x, mask):
    return attention.scaled_dot_product_attention(*maps(head, x), mask)


def frozen(head, x, mask):
    q, k, v = maps(head, x)
    context, weights = attention.scaled_dot_product_attention(q.detach(), k, v, mask)
    return context, weights


def cut_off(head, x, mask):
    return tuple(part.detach() for part in attend(head, x, mask))


def exchanged(head, x, mask):
    q, k, v = maps(head, x)
    return attention.scaled_dot_product_attention(k, q, v, mask)


def open_context(head, x, mask):
    q, k, v = maps(head, x)
    return shares(q, k) @ v, shares(q, k, mask)


def by_hand(roll=-1, sharp=10.0, sky=True):
    """An answer to 7.4."""

    def answer():
        day, skies = torch.eye(11).split((7, 4))
        return sharp * day.roll(roll, 0), day, skies if sky else skies.roll(1, 0)

    return answer


def by_the_key():
    day, sky = torch.eye(11).split((7, 4))
    return 4 * day, 4 * day.roll(1, 0), 3 * sky


def by_loop():
    w_q, w_k, w_v = torch.zeros(7, 11), torch.zeros(7, 11), torch.zeros(4, 11)
    for d in range(7):
        w_q[(d - 1) % 7, d], w_k[d, d] = 12, 1
    for s in range(4):
        w_v[s, 7 + s] = 1
    return [w_q, w_k, w_v]


def changed(place, change):
    """A right answer to 7.4 of which one matrix is changed."""

    def answer():
        found = list(by_hand()())
        found[place] = change(found[place].clone())
        return tuple(found)

    return answer


def filled(rows, columns, value):
    def change(matrix):
        matrix[rows, columns] = value
        return matrix

    return change


ATTENTION, MASK, HEAD, YESTERDAY, MEMORY = (
    lesson.check_scaled_dot_product_attention,
    lesson.check_causal_mask,
    lesson.check_self_attention,
    lesson.check_yesterday,
    lesson.check_head_from_memory,
)

RIGHT = [
    (ATTENTION, attention.scaled_dot_product_attention),
    (ATTENTION, attention_by_torch),
    (ATTENTION, attention_by_einsum),
    (ATTENTION, weigh()),
    (MASK, attention.causal_mask),
    (MASK, triangle_by_positions),
    (MASK, triangle_by_loops),
    (MASK, lambda n: ~ones(n).triu(1)),
    (HEAD, attention.SelfAttention),
    (HEAD, Packed),
    (HEAD, head_with(attend)),
    (MEMORY, attention.SelfAttention),
    (MEMORY, Packed),
    (MEMORY, Plain),
    (YESTERDAY, by_hand()),
    (YESTERDAY, by_the_key),
    (YESTERDAY, by_loop),
]

# check, wrong answer, words of its own message
WRONG = [
    (ATTENTION, by(lambda q, k, v: 1), "not divided"),
    (ATTENTION, by(lambda q, k, v: q.size(-1)), "by d_k itself"),
    (ATTENTION, by(lambda q, k, v: q.size(-1) ** 1 / 2), "binds tighter"),
    (ATTENTION, by(lambda q, k, v: (N_HEADS * q.size(-1)) ** 0.5), "√d_model"),
    (ATTENTION, by(lambda q, k, v: v.size(-1) ** 0.5), "√d_v"),
    (ATTENTION, by(lambda q, k, v: k.size(-2) ** 0.5), "√src_len"),
    (ATTENTION, by(lambda q, k, v: q.size(-2) ** 0.5), "√tgt_len"),
    (ATTENTION, by(lambda q, k, v: q.size(1) ** 0.5), "√n_heads"),
    (ATTENTION, by(lambda q, k, v: q.size(-1) ** -0.5), "multiplied by √d_k"),
    (ATTENTION, by(lengths), "cosine"),
    (ATTENTION, weigh(spread=lambda s: s.softmax(-2)), "over the queries"),
    (ATTENTION, weigh(spread=lambda s: s.softmax(1)), "axis 1"),
    (ATTENTION, weigh(spread=lambda s: s.softmax(0)), "axis 0"),
    (
        ATTENTION,
        weigh(
            divide=lambda s, *_: s,
            spread=lambda s: s.softmax(-1) / lesson.D_K**0.5,
        ),
        "after the softmax, so",
    ),
    (ATTENTION, weigh(spread=lambda s: s), "these are the scores"),
    (ATTENTION, weigh(divide=lambda s, *_: s, spread=lambda s: s), "these are the products"),
    (ATTENTION, weigh(spread=lambda s: s.exp()), "these are the powers"),
    (ATTENTION, weigh(spread=lambda s: s.softmax(-1).softmax(-1)), "taken twice"),
    (ATTENTION, weigh(spread=lambda s: s.sigmoid()), "sigmoid"),
    (ATTENTION, weigh(spread=lambda s: s / s.sum(-1, keepdim=True)), "by their sum"),
    (ATTENTION, weigh(spread=lambda s: s.log_softmax(-1)), "log_softmax"),
    (ATTENTION, weigh(spread=lambda s: s.abs()), "row of weights sums to"),
    (ATTENTION, weigh(spread=lambda s: (s**2).softmax(-1)), "rows sum to 1, but"),
    (ATTENTION, weigh(spread=lambda s: s / 0), "division by 0"),
    (ATTENTION, weigh(mix=lambda w, s, k, v: w @ k), "mix the keys"),
    (ATTENTION, weigh(mix=lambda w, s, k, v: s @ v), "mixes with the scores"),
    (ATTENTION, weigh(mix=lambda w, s, k, v: s * lesson.D_K**0.5 @ v), "mixes with q·k"),
    (
        ATTENTION,
        weigh(mix=lambda w, s, k, v: v.mean(-2, keepdim=True).expand(*w.shape[:-1], v.size(-1))),
        "plain mean",
    ),
    (ATTENTION, weigh(mix=lambda w, s, k, v: 2 * w @ v), "are right, the context is not"),
    (ATTENTION, weigh(mix=lambda w, s, k, v: w @ v / 0), "product with v"),
    (ATTENTION, weigh(mix=lambda w, s, k, v: (w @ v).sum(0)), "of context"),
    (ATTENTION, weigh(spread=lambda s: s.softmax(-1).sum(1), mix=lambda w, s, k, v: v),
     "of weights"),
    (ATTENTION, swapped_results, "wrong order"),
    (ATTENTION, lambda q, k, v, mask=None: weigh()(q, k, v)[0], "two tensors"),
    (ATTENTION, by_keys_on_the_left, "one row for each key"),
    (ATTENTION, hidden(lambda s, m: s.softmax(-1)), "changes nothing"),
    (ATTENTION, hidden(lambda s, m: attention.masked_softmax(s, ~m)), "wrong way round"),
    (ATTENTION, hidden(lambda s, m: s.softmax(-1) * m), "set to 0 after the softmax"),
    (ATTENTION, hidden(lambda s, m: (s * m).softmax(-1)), "still gets a share: want -inf"),
    (ATTENTION, hidden(lambda s, m: (s + m).softmax(-1)), "added as 0 and 1"),
    (ATTENTION, hidden(lambda s, m: s.masked_fill(~m, -1.0).softmax(-1)), "ordinary score"),
    (ATTENTION, hidden(lambda s, m: s.masked_fill(~m, -3.0).softmax(-1)), "gets up to"),
    (ATTENTION, hidden(lambda s, m: s * NAN), "has a visible key"),
    (ATTENTION, context_without_mask, "the context does not"),
    (ATTENTION, context_halved_by_mask, "with a mask the weights are right"),
    (ATTENTION, hidden(lambda s, m: s.masked_fill(~m, -torch.inf).softmax(-1)), "gets nan"),
    (ATTENTION, hidden(lambda s, m: s.masked_fill(~m, -1e9).softmax(-1)), "large negative"),
    (ATTENTION, by_fixed_axes, "count axes from the end"),
    (ATTENTION, by_bare_exp, "leaves the range"),
    (MASK, lambda n: ones(n).tril(-1), "without the diagonal"),
    (MASK, lambda n: ones(n).triu(), "swapped"),
    (MASK, lambda n: ones(n).triu(1), "exchanged"),
    (MASK, lambda n: torch.ones(n, n).tril(), "multiply scores"),
    (MASK, lambda n: torch.full((n, n), -torch.inf).triu(1), "to add to the scores"),
    (MASK, lambda n: torch.ones(n, n, dtype=torch.long).tril(), "whole numbers"),
    (MASK, lambda n: ones(n).tril().unsqueeze(0), "two axes"),
    (MASK, ones, "the future too"),
    (MASK, lambda n: ~ones(n), "no position may look"),
    (MASK, lambda n: torch.eye(n, dtype=torch.bool), "only itself"),
    (MASK, lambda n: ones(n).tril(1), "position 0 sees position 1"),
    (MASK, lambda n: ones(n).tril().triu(-2), "position 3 does not see position 0"),
    (MASK, one_missing(-1, -1), "i == j open"),
    (MASK, lambda n: ones(6).tril(), "want shape (seq_len, seq_len)"),
    (MASK, lambda n: ones(n).tril() if n == 6 else ones(n), "wrong for 9"),
    (MASK, lambda n: ones(n)[0], "got (6,)"),
    (ATTENTION, split_by, "is a size written"),
    (ATTENTION, squeezed, "one query: want shape"),
    (ATTENTION, hidden(renormalised), "too late to hide"),
    (ATTENTION, always_causal, "causal mask is built in"),
    (ATTENTION, detached("q"), "no gradient reaches q"),
    (ATTENTION, detached("k"), "no gradient reaches k"),
    (ATTENTION, detached("v"), "no gradient reaches v"),
    (HEAD, attention.SelfAttention(6, 8), "the class itself"),
    (HEAD, head_with(attend, bias=True), "has a bias"),
    (HEAD, head_with(attend, shared=True), "has no attribute"),
    (HEAD, head_with(lambda h, x, m: attention.scaled_dot_product_attention(
        h.query_map(x), h.key_map(x), h.key_map(x), m), shared=True), "found 2"),
    (HEAD, Unused, "found 4"),
    (HEAD, head_with(attend, size=8), "is a size written"),
    (HEAD, head_with(lambda h, x, m: attend(h, x, m)[0]), "want two results"),
    (HEAD, head_with(lambda h, x, m: attend(h, x, m)[::-1]), "wrong order"),
    (HEAD, head_with(exchanged), "exchanged"),
    (HEAD, weighed(lambda q, k, x, m: shares(q, k, m, 1)), "not divided"),
    (HEAD, weighed(lambda q, k, x, m: shares(q, k, m, q.size(-1))), "want its root"),
    (HEAD, weighed(lambda q, k, x, m: shares(q, k, m, x.size(-1) ** 0.5)), "√d_model"),
    (HEAD, weighed(lambda q, k, x, m: shares(q, q, m)), "keys have their own"),
    (HEAD, weighed(lambda q, k, x, m: (q @ k.mT / q.size(-1) ** 0.5).softmax(-2)), "axis -2"),
    (HEAD, weighed(lambda q, k, x, m: q @ k.mT / q.size(-1) ** 0.5), "softmax is missing"),
    (HEAD, weighed(lambda q, k, x, m: shares(q, k, m) / q.size(-1) ** 0.5), "divides the weights"),
    (HEAD, weighed(lambda q, k, x, m: shares(x, x, m)), "as they are"),
    (HEAD, weighed(lambda q, k, x, m: 2 * shares(q, k, m)), "sums to"),
    (HEAD, weighed(lambda q, k, x, m: shares(q + 1, k, m)), "for any order"),
    (HEAD, mixed(lambda w, q, k, v, x: w @ k), "mixes the keys"),
    (HEAD, mixed(lambda w, q, k, v, x: w @ q), "mixes the queries"),
    (HEAD, mixed(lambda w, q, k, v, x: v), "own value"),
    (HEAD, mixed(lambda w, q, k, v, x: v.mean(-2, keepdim=True).expand_as(v)), "plain mean"),
    (HEAD, mixed(lambda w, q, k, v, x: 2 * w @ v), "weights @ v, v = value_map"),
    (HEAD, mixed(lambda w, q, k, v, x: w @ x), "not the words x"),
    (HEAD, head_with(lambda h, x, m: attend(h, x, None)), "changes nothing"),
    (HEAD, head_with(lambda h, x, m: attend(h, x, None if m is None else ~m)), "wrong way round"),
    (HEAD, masked_by(lambda q, k, m: shares(q, k) * m), "after the softmax, and"),
    (HEAD, masked_by(lambda q, k, m: (q @ k.mT / q.size(-1) ** 0.5).masked_fill(~m, -3.0)
                     .softmax(-1)), "gets up to"),
    (HEAD, head_with(open_context), "the context does not"),
    (HEAD, head_with(without_batch), "without a batch axis fails"),
    (HEAD, head_with(frozen), "no gradient reaches query_map"),
    (HEAD, head_with(cut_off), "reaches the matrices"),
    (YESTERDAY, by_hand(1), "finds tomorrow"),
    (YESTERDAY, by_hand(0), "finds itself"),
    (YESTERDAY, by_hand(-2), "2 days before it"),
    (YESTERDAY, by_hand(sharp=2.0), "a sharper question"),
    (YESTERDAY, by_hand(sharp=0.0), "all weights are equal"),
    (YESTERDAY, by_hand(sky=False), "must stay in its place"),
    (YESTERDAY, changed(0, filled(0, 8, 30.0)), "depend on the sky"),
    (YESTERDAY, changed(0, filled(slice(None), 0, 0.0)), "from Sunday to Monday"),
    (YESTERDAY, changed(2, lambda w: w.roll(-4, 1)), "last 4 numbers"),
    (YESTERDAY, changed(0, lambda w: w.T), "want it turned"),
    (YESTERDAY, changed(1, lambda w: w[:, :7]), "of W^K"),
    (YESTERDAY, changed(1, lambda w: w * NAN), "plain numbers"),
    (YESTERDAY, lambda: by_hand()()[:2], "three matrices"),
]


def changes_input(function):
    def answer(first, *rest):
        first[0] = first[0] * 0
        return function(first, *rest)

    return answer


FUNCTIONS = [ATTENTION, MASK]
HOSTILE = [
    *judging.HOSTILE,
    (lambda *given: 7, "want"),
    (lambda *given: torch.tensor(NAN), "want"),
]


@pytest.mark.parametrize("check, answer", RIGHT)
def test_right_answers(check, answer):
    passes(check, answer)


@pytest.mark.parametrize("check, answer, words", WRONG, ids=lambda part: part if isinstance(
    part, str) else "")
def test_wrong_answers_are_named(check, answer, words):
    refuses(check, answer, words)


def test_no_two_mistakes_share_a_message():
    tells_apart(WRONG)


@pytest.mark.parametrize("check", FUNCTIONS)
@pytest.mark.parametrize("answer, words", HOSTILE)
def test_hostile_answers(check, answer, words):
    refuses(check, answer, words)


def test_a_changed_argument_is_noticed():
    verdict = ATTENTION(changes_input(attention.scaled_dot_product_attention))
    assert verdict.passed is False and "in place" in verdict.message


@pytest.mark.parametrize("check", [HEAD, MEMORY])
@pytest.mark.parametrize("answer", [None, 7, "head", nn.Linear, nn.Linear(2, 2), endless, fails,
                                    head_with(lambda h, x, m: None), head_with(fails), int])
def test_hostile_heads(check, answer):
    assert check(answer).passed is False


@pytest.mark.parametrize("answer", [None, 7, fails, endless, lambda: None, lambda: 3,
                                    lambda: ("a", "b", "c"), lambda: torch.ones(3), lambda x: x])
def test_hostile_matrices(answer):
    assert YESTERDAY(answer).passed is False


class Untouched(nn.Module):
    ...


@pytest.mark.parametrize("check, stub", [
    *((check, lambda *given: ...) for check in FUNCTIONS),
    *((check, ...) for check in [*FUNCTIONS, HEAD, YESTERDAY, MEMORY]),
    (HEAD, head_with(lambda h, x, m: ...)),
    (MEMORY, Untouched),
    (YESTERDAY, lambda: (..., ..., ...)),
    (ATTENTION, lambda q, k, v, mask: (..., ...)),
])
def test_untouched_stubs(check, stub):
    assert check(stub).passed is None


def test_numbers():
    checks = (ATTENTION, MASK, HEAD, YESTERDAY, MEMORY)
    assert [check.exercise for check in checks] == ["7.1", "7.2", "7.3", "7.4", "7.5"]


@pytest.mark.parametrize("seed", range(5))
def test_a_right_head_passes_whatever_its_start(seed):
    class Seeded(attention.SelfAttention):
        def __init__(self, d_model, d_k):
            torch.manual_seed(seed)
            super().__init__(d_model, d_k)

        def forward(self, x, mask=None):
            return super().forward(x, mask)

    passes(HEAD, Seeded)

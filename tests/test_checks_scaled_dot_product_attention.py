"""The checks of notebook 07 accept right answers and name each wrong one."""

import math

import judging
import pytest
import torch
import torch.nn.functional as F
from judging import endless, fails, passes, refuses, tells_apart

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


def by_hand(queries, keys, values, word):
    d_k = len(keys[0])
    scores = [sum(a * b for a, b in zip(queries[word], key)) / math.sqrt(d_k) for key in keys]
    powers = [math.exp(score) for score in scores]
    shares = [power / sum(powers) for power in powers]
    return [sum(s * value[j] for s, value in zip(shares, values)) for j in range(len(values[0]))]


def by_tensors(queries, keys, values, word):
    q, k, v = map(torch.tensor, (queries, keys, values))
    return attention.scaled_dot_product_attention(q, k, v)[0][word]


def hand(change):
    """An answer to 7.4 computed by `change` from the tensors of queries, keys, values, and word."""

    def answer(queries, keys, values, word):
        return change(*map(torch.tensor, (queries, keys, values)), word).tolist()

    return answer


def shares(q, k, word):
    return (k @ q[word] / k.size(-1) ** 0.5).softmax(-1)


def without(tensor, word):
    return tensor[[other for other in range(len(tensor)) if other != word]]


ATTENTION, MASK, ORDER, SUM = (
    lesson.check_scaled_dot_product_attention,
    lesson.check_causal_mask,
    lesson.check_entropy_order,
    lesson.check_context_by_hand,
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
    (ORDER, ["nothing", "sqrt(d_k)", "d_k", "lengths"]),
    (ORDER, ("nothing", "sqrt(d_k)", "lengths", "d_k")),
    (ORDER, lambda: ["nothing", "sqrt(d_k)", "d_k", "lengths"]),
    (SUM, by_hand),
    (SUM, by_tensors),
    (SUM, lambda *given: tuple(by_hand(*given))),
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
    (ORDER, ["nothing", "d_k", "sqrt(d_k)", "lengths"], "milder or safer"),
    (ORDER, ["nothing", "lengths", "sqrt(d_k)", "d_k"], "cosine to be sharper"),
    (ORDER, ["nothing", "d_k", "lengths", "sqrt(d_k)"], "the flattest"),
    (ORDER, ["d_k", "lengths", "sqrt(d_k)", "nothing"], "from flat to peaked"),
    (ORDER, ["sqrt(d_k)", "nothing", "d_k", "lengths"], "undivided scores"),
    (ORDER, ["nothing", "sqrt(d_k)", "d_k"], "four names, got 3"),
    (ORDER, ["nothing", "sqrt(d_k)", "d_k", "d_k"], "each of the four names once"),
    (ORDER, ["nothing", "sqrt", "d_k", "lengths"], "'sqrt' is not one"),
    (ORDER, "nothing", "list of four names, got str"),
    (SUM, hand(lambda q, k, v, i: shares(q, k, i) @ k), "mix the keys"),
    (SUM, hand(lambda q, k, v, i: shares(q, k, i) @ q), "mix the queries"),
    (
        SUM,
        hand(lambda q, k, v, i: (without(k, i) @ q[i] / 5**0.5).softmax(-1) @ without(v, i)),
        "own key is left out",
    ),
    (SUM, hand(lambda q, k, v, i: without(shares(q, k, i), i) @ without(v, i)), "own value is"),
    (SUM, hand(lambda q, k, v, i: (k @ q[i]).softmax(-1) @ v), "not divided"),
    (SUM, hand(lambda q, k, v, i: (k @ q[i] / 5).softmax(-1) @ v), "by d_k: want"),
    (SUM, hand(lambda q, k, v, i: (k @ q[i] / 2.5).softmax(-1) @ v), "d_k / 2"),
    (SUM, hand(lambda q, k, v, i: (k @ q[i] / 3**0.5).softmax(-1) @ v), "number of words"),
    (SUM, hand(lambda q, k, v, i: (k @ q[i]).softmax(-1) / 5**0.5 @ v), "divides the shares"),
    (SUM, hand(lambda q, k, v, i: k @ q[i] / 5**0.5 @ v), "softmax is missing between"),
    (SUM, hand(lambda q, k, v, i: k @ q[i] @ v), "and softmax are missing"),
    (SUM, hand(lambda q, k, v, i: (k @ q[i] / 5**0.5).exp() @ v), "sum of all three"),
    (SUM, hand(lambda q, k, v, i: (k @ q[i]) / (k @ q[i]).sum() @ v), "by their sum"),
    (SUM, hand(lambda q, k, v, i: v.mean(0)), "plain mean"),
    (SUM, hand(lambda q, k, v, i: v.sum(0)), "plain sum"),
    (SUM, hand(lambda q, k, v, i: v[(k @ q[i]).argmax()]), "best key"),
    (SUM, hand(lambda q, k, v, i: v[i]), "the word's own value:"),
    (SUM, hand(lambda q, k, v, i: (q @ k[i] / 5**0.5).softmax(-1) @ v), "exchanged"),
    (SUM, hand(lambda q, k, v, i: (k @ k[i] / 5**0.5).softmax(-1) @ v), "key meets the keys"),
    (SUM, hand(lambda q, k, v, i: (q @ q[i] / 5**0.5).softmax(-1) @ v), "meets the queries"),
    (SUM, hand(lambda q, k, v, i: shares(q, k, i)), "these are the shares"),
    (SUM, hand(lambda q, k, v, i: k @ q[i] / 5**0.5), "these are the scores"),
    (SUM, hand(lambda q, k, v, i: shares(q, k, 0) @ v), "context of word 0"),
    (SUM, hand(lambda q, k, v, i: v[0] + v[1]), "Print your shares"),
    (SUM, hand(lambda q, k, v, i: torch.zeros(4)), "want 2 numbers"),
    (SUM, lambda *given: 3.0, "list of numbers"),
    (SUM, hand(lambda q, k, v, i: v[0] * NAN), "holds nan"),
]


def changes_input(function):
    def answer(first, *rest):
        first[0] = first[0] * 0 if isinstance(first, torch.Tensor) else [0.0] * 5
        return function(first, *rest)

    return answer


FUNCTIONS = [ATTENTION, MASK, SUM]
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


@pytest.mark.parametrize("check, function", [
    (ATTENTION, attention.scaled_dot_product_attention), (SUM, by_hand),
])
def test_a_changed_argument_is_noticed(check, function):
    verdict = check(changes_input(function))
    assert verdict.passed is False and "in place" in verdict.message


@pytest.mark.parametrize("answer", [None, 7, {}, [None] * 4, [NAN] * 4, [[], [], [], []], fails,
                                    endless, [torch.ones(2)] * 4])
def test_hostile_orders(answer):
    assert ORDER(answer).passed is False


@pytest.mark.parametrize("check, stub", [
    *((check, lambda *given: ...) for check in FUNCTIONS),
    *((check, ...) for check in [*FUNCTIONS, ORDER]),
    (ORDER, [..., ..., ..., ...]),
    (ORDER, ["nothing", ..., ..., ...]),
    (ATTENTION, lambda q, k, v, mask: (..., ...)),
])
def test_untouched_stubs(check, stub):
    assert check(stub).passed is None


def test_numbers():
    assert [c.exercise for c in (ATTENTION, MASK, ORDER, SUM)] == ["7.1", "7.2", "7.3", "7.4"]


def test_the_measured_order_is_the_expected_one():
    """What check_entropy_order holds for right is what happens, at d_k = 256."""
    torch.manual_seed(0)
    q, k = torch.randn(200, 1, 256), torch.randn(200, 16, 256)
    raw = q @ k.transpose(-2, -1)
    divisors = 1, 16, 256, lengths(q, k, None)
    entropy = [torch.special.entr((raw / d).softmax(-1)).sum(-1).mean() for d in divisors]
    measured = [lesson.SCALINGS[i] for i in torch.stack(entropy).argsort()]
    assert ORDER(measured).passed is True
    assert abs(entropy[2] - entropy[3]) < 0.01

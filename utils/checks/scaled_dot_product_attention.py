"""The checks of lesson 07: attention, the causal mask, the head, a head written by hand."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from utils.attention import causal_mask, masked_softmax, scaled_dot_product_attention
from utils.checks.core import (
    Mistake,
    call,
    class_of_module,
    exercise,
    same,
    want_finite,
    want_tensor,
)
from utils.checks.kinds import (
    agree,
    as_dtype,
    case,
    forward,
    judge_birth,
    keeps_nothing,
    want_trainable,
)
from utils.checks.results import difference

# All different; and d_k is not 4, where sqrt(d_k) and d_k / 2 are the same number.
BATCH, N_HEADS, TGT_LEN, SRC_LEN, D_K, D_V = 2, 3, 5, 10, 8, 6
COURSE_NAMES = ("query_map", "key_map", "value_map")
N_DAYS, N_SKIES = 7, 4


# ---- 7.1 ----


@exercise("7.1")
def check_scaled_dot_product_attention(answer) -> str:
    """Weights and context, without and with a mask, at other sizes, with large scores."""
    q = torch.randn(BATCH, N_HEADS, TGT_LEN, D_K)
    k = torch.randn(BATCH, N_HEADS, SRC_LEN, D_K)
    v = torch.randn(BATCH, N_HEADS, SRC_LEN, D_V)
    mask = torch.rand(BATCH, 1, TGT_LEN, SRC_LEN) < 0.5
    mask[..., 1], mask[..., 4] = True, False      # each row has a visible and a hidden key
    nowhere = mask.clone()
    nowhere[1, :, 2] = False
    far = 1e5 * q.double(), k.double(), v.double()
    scores = far[0] @ far[1].transpose(-2, -1)
    ends = "count axes from the end (-1, -2)"
    plain = case("no mask", q, k, v, None, hint="mask is None there, and k.transpose(-2, -1) turns "
                 "the last two axes alone")
    agree(answer, scaled_dot_product_attention, [
        plain,
        case("no batch and no heads", q[0, 0], k[0, 0], v[0, 0], None, hint=ends),
        case("one query and d_k = 5", torch.randn(4, 1, 5), torch.randn(4, 3, 5),
             torch.randn(4, 3, 2), None, hint="is a size written into your code?"),
        case("a mask", q, k, v, mask),
        case("a mask for a single sentence", q[:1, 0, :4], k[:1, 0], v[:1, 0], mask[:1, 0, :4],
             hint="a mask broadcasts to the scores by itself"),
        case("a query that may look nowhere", q, k, v, nowhere, hint="such a row gets zeros, as "
             "masked_softmax of notebook 05 gives it: nan spreads through a network, and a large "
             "negative number is not -inf"),
        as_dtype(plain, torch.float64, "the first numbers as float64", "take the type of q, k, v"),
        case("scores of 10,000 and more", *far, None, hint="exp() leaves the range of a float: use "
             "softmax", gradients=False),
        case("scores of 10,000 and more with the best keys hidden", *far,
             scores <= scores.kthvalue(3, keepdim=True).values,
             hint="after the softmax it is too late to hide, the others got 0 already, and -1e4 "
             "is an ordinary score: fill with -inf before it", gradients=False),
    ], attention_mistakes(), axes={
        "context": ("sentence", "head", "query", "feature"),
        "weights": ("sentence", "head", "query", "key"),
        "q": ("sentence", "head", "query", ""), "k": ("sentence", "head", "key", ""),
        "v": ("sentence", "head", "", ""),
    }, explain=about_weights, float64=False)
    return "Any axes may stand in front, and a query that may look nowhere gets zeros"


def hidden(scores: Tensor, mask: Tensor | None, value: float = -torch.inf) -> Tensor:
    """Scores with another value where the mask is False."""
    return scores if mask is None else scores.masked_fill(~mask, value)


def first_mask(mask: Tensor | None) -> Tensor | None:
    """The mask of the first sentence, for all."""
    return mask if mask is None or mask.dim() < 3 else mask[:1]


def about_weights(answered: list, wants: list) -> str:
    """What the first wrong weights are, or that they are right and the context is not."""
    for (context, weights), (right, true) in zip(answered, wants):
        if found := difference(weights, true, ["weights"], {}, 1e-4):
            sums, wanted = weights.sum(-1), true.sum(-1)
            if ((sums - wanted).abs() > 1e-3).any():
                place = ((sums - wanted).abs() > 1e-3).nonzero()[0].tolist()
                total = f"{wanted[tuple(place)].item():.4g}"
                return (f"the weights of a query, weights{place}, sum to "
                        f"{sums[tuple(place)].item():.4g}: want {total}" + (
                            ", shared among its keys" if total == "1" else ", it may look nowhere"))
            leak = (weights.abs() > 1e-6) & (true == 0)
            if leak.any():
                place = leak.nonzero()[0].tolist()
                return (f"weights{place} is {weights[tuple(place)].item():.2g}, but that key is "
                        "hidden: look at the mask that reaches this row, and fill the scores with "
                        "-inf where it is False, before the softmax")
            return f"rows of weights sum to 1, but {found}. {divisor(weights, true)}"
        if found := difference(context, right, ["context"], {}, 1e-4):
            return f"the weights are right, the context is not: want weights @ v. {found}"
    return ""


def divisor(weights: Tensor, true: Tensor) -> str:
    """Say if all scores are the right ones times one number, else where to look."""
    got, want = (w.double().log() - w.double().log().mean(-1, keepdim=True)
                 for w in (weights, true))
    times = ((got * want).sum() / want.square().sum()).item()
    if abs(times - 1) > 0.01 and same(got, times * want, 1e-3):
        return (f"The scores are {times:.4g} times the right ones: print what divides q·k, want "
                "√d_k with d_k = q.size(-1)")
    return "Print q, k, the scores q·k/√d_k and the mask for one query: where do they differ?"


def attention_mistakes() -> list[tuple[Callable, str]]:
    """Attention with one thing wrong, and what to say then."""

    def mixed(weights, v):
        return weights @ v, weights

    def scored(q, k, by=None):
        return q @ k.transpose(-2, -1) / (q.size(-1) ** 0.5 if by is None else by)

    def lengths(q, k):
        return q.norm(dim=-1, keepdim=True) * k.norm(dim=-1).unsqueeze(-2)

    def causal(q, k):
        return torch.ones(q.size(-2), k.size(-2)).tril().bool()

    def cut(scores, mask):
        return scores if mask is None else scores * mask

    def shares(scores):
        return scores / scores.sum(-1, keepdim=True)

    divided = [
        (lambda q, k, v: 1, "the scores are not divided: their spread grows with the width. Want "
         "√d_k"),
        (lambda q, k, v: q.size(-1), "the scores are divided by d_k itself: that flattens the "
         "shares. Want its root"),
        (lambda q, k, v: q.size(-1) / 2, "the scores are divided by d_k / 2: `d_k ** 1 / 2` "
         "squares nothing, ** binds tighter than /. Write d_k ** 0.5"),
        (lambda q, k, v: (q.size(1) * q.size(-1)) ** 0.5, "the scores are divided by √d_model, "
         "the width of all heads together: d_k is the width of one, q.size(-1)"),
        (lambda q, k, v: v.size(-1) ** 0.5, "the scores are divided by √d_v, the width of the "
         "values: the sum q·k runs over d_k numbers"),
        (lambda q, k, v: k.size(-2) ** 0.5, "the scores are divided by √src_len: the number of "
         "keys has no part in q·k, the width of q has"),
        (lambda q, k, v: q.size(-2) ** 0.5, "the scores are divided by √tgt_len: the width stands "
         "on the last axis"),
        (lambda q, k, v: q.size(1) ** 0.5, "the scores are divided by √q.size(1), √n_heads where "
         "there are heads: it is not the width of q"),
        (lambda q, k, v: q.size(-1) ** -0.5, "the scores are multiplied by √d_k: divide"),
        (lambda q, k, v: lengths(q, k), "q·k is divided by the lengths of q and k: that is a "
         "cosine. Want √d_k, the root of the number of entries"),
    ]
    spread = [
        (lambda s: s.softmax(-2), "the softmax runs over the queries (axis -2): each query shares "
         "1 among its keys"),
        (lambda s: s.softmax(1), "the softmax runs over axis 1, the heads: want the keys, the "
         "last axis"),
        (lambda s: s.softmax(0), "the softmax runs over the batch, axis 0: want the keys, the "
         "last axis"),
        (lambda s: s, "these are the scores: the softmax over the keys is missing"),
        (lambda s: s.exp(), "these are the powers exp(score): divide each row by its sum"),
        (lambda s: s.softmax(-1).softmax(-1), "the softmax is taken twice: the second one "
         "flattens the shares"),
        (lambda s: s.sigmoid(), "sigmoid judges each key by itself: softmax makes them compete"),
        (shares, "the scores are divided by their sum, so shares may be negative: want softmax"),
        (lambda s: s.log_softmax(-1), "these are logarithms of shares: softmax, not log_softmax"),
    ]
    masked = [
        (lambda s, m: s.softmax(-1), "the mask changes nothing: hide the keys where it is False"),
        (lambda s, m: masked_softmax(s, first_mask(m)), "every sentence gets the mask of sentence "
         "0: each has its own"),
        (lambda s, m: masked_softmax(s, m if m is None else ~m), "the mask is read the wrong way "
         "round: True means may look, so fill where it is False (~mask)"),
        (lambda s, m: cut(s.softmax(-1), m), "keys are set to 0 after the softmax and rows do not "
         "sum to 1 any more: hide them before it, with -inf"),
        (lambda s, m: cut(s, m).softmax(-1), "hidden scores are set to 0, and exp(0) = 1 still "
         "gets a share: want -inf before the softmax"),
        (lambda s, m: (s if m is None else s + m).softmax(-1), "the mask is added as 0 and 1: "
         "that favours some keys, it hides none. Fill with -inf"),
        (lambda s, m: hidden(s, m, -1.0).softmax(-1), "-1 is an ordinary score: hidden keys "
         "still get a share. Fill with -inf"),
        (lambda s, m: hidden(s, m).softmax(-1), "a query that may look nowhere gets nan, and nan "
         "spreads through a network: masked_softmax of notebook 05 gives such a row zeros"),
        *((lambda s, m, low=low: hidden(s, m, low).softmax(-1), "a query that may look nowhere "
           "still shares out 1 among hidden keys: a large negative number is not -inf. Use "
           "masked_softmax of notebook 05") for low in (-1e4, -1e9, -1e20, -1e30)),
    ]
    raw = q_k = scored
    return [
        *((lambda q, k, v, m, by=by: mixed(masked_softmax(scored(q, k, by(q, k, v)), m), v), words)
          for by, words in divided),
        *((lambda q, k, v, m, f=f: mixed(f(hidden(scored(q, k), m)), v), words)
          for f, words in spread),
        *((lambda q, k, v, m, f=f: mixed(f(scored(q, k), m), v), words) for f, words in masked),
        (lambda q, k, v, m: mixed(masked_softmax(raw(q, k, 1), m) / q.size(-1) ** 0.5, v),
         "the division by √d_k comes after the softmax, so the shares no longer sum to 1: divide "
         "the scores"),
        (lambda q, k, v, m: mixed(hidden(raw(q, k, 1), m), v), "these are the products q·k: the "
         "division by √d_k and the softmax are missing"),
        (lambda q, k, v, m: scaled_dot_product_attention(
            q, k, v, causal(q, k) if m is None else m),
         "a causal mask is built in: without a mask each query sees all keys"),
        (lambda q, k, v, m: scaled_dot_product_attention(
            q, k, v, causal(q, k) if m is None else m & causal(q, k)),
         "a causal mask is built in: hide what the argument `mask` hides, and no more"),
        (lambda q, k, v, m: scaled_dot_product_attention(q, k, v, m)[::-1], "the two results come "
         "in the wrong order: context first, then weights"),
        (lambda q, k, v, m: scaled_dot_product_attention(q, k, v, m)[0], "want two tensors, "
         "`return context, weights`: the mix and the shares"),
        (lambda q, k, v, m: (scored(k, q).softmax(-1).transpose(-2, -1) @ v,
                             scored(k, q).softmax(-1)), "the weights are (src_len, tgt_len): one "
         "row for each key. Want one row for each query, so q stands on the left of the product"),
        *((lambda q, k, v, m, mix=mix: (mix(q, k, v, masked_softmax(scored(q, k), m)),
                                        masked_softmax(scored(q, k), m)), words)
          for mix, words in [
            (lambda q, k, v, w: w @ k, "the weights mix the keys: keys are for finding, want the "
             "values v mixed"),
            (lambda q, k, v, w: scored(q, k) @ v, "the weights are right, but the context mixes "
             "with the scores: want weights @ v"),
            (lambda q, k, v, w: q_k(q, k, 1) @ v, "the weights are right, but the context mixes "
             "with q·k: want weights @ v"),
            (lambda q, k, v, w: v.mean(-2, keepdim=True).expand(*w.shape[:-1], v.size(-1)),
             "the context is the plain mean of the values: the weights have no part in it"),
            (lambda q, k, v, w: scored(q, k).softmax(-1) @ v, "the weights obey the mask, the "
             "context does not: mix with the masked ones"),
        ]),
    ]


# ---- 7.2 ----


@exercise("7.2")
def check_causal_mask(answer) -> str:
    """Shape, type, the diagonal, the future, the past."""
    n = 6

    def ones(n):
        return torch.ones(n, n, dtype=torch.bool)

    agree(answer, causal_mask, [
        case("6 positions", n),
        case("9 positions", 9),
        case("one position", 1, hint="both axes stay"),
        case("600 positions", 600, hint="is there a table that ends before that, or a type whose "
             "numbers do (uint8 ends at 255)?"),
    ], [
        (lambda n: ones(n), "every position sees every other, the future too: want only j <= i"),
        (lambda n: ~ones(n), "no position may look anywhere: want True where j <= i"),
        (lambda n: torch.eye(n, dtype=torch.bool), "every position sees only itself: the past, "
         "j < i, is open too"),
        (lambda n: ones(n).triu(), "upper and lower are swapped: position 0 sees the whole "
         "future. Rows are the positions that look, columns what they look at"),
        (lambda n: ones(n).triu(1), "True and False are exchanged: the future is open and the "
         "rest hidden. True means may look"),
        (lambda n: ones(n).tril(-1), "a position must see itself: without the diagonal, row 0 is "
         "empty and softmax gives nan there"),
        (lambda n: torch.zeros(n, n).masked_fill(ones(n).triu(1), -torch.inf), "this is a mask to "
         "add to the scores, of 0 and -inf: want bool, True = may look"),
        (lambda n: ones(n).tril().float(), "this is a mask to multiply scores by: exp(0) = 1, so "
         "a score of 0 hides nothing. Want bool (dtype=torch.bool)"),
        (lambda n: ones(n).tril().long(), "want bool, True = may look: on whole numbers ~ means "
         "something else"),
        *((lambda n, front=front: ones(n).tril().view(*front, n, n), f"want two axes (seq_len, "
           f"seq_len), without {front} in front: a mask of two axes serves every sentence and head")
          for front in ((1,), (1, 1))),
    ], axes={"the mask": ("seq_len", "seq_len")}, explain=wrong_places)
    return f"Row i holds i + 1 times True, {n * (n + 1) // 2} of {n * n} in all"


def wrong_places(answered: list, wants: list) -> str:
    """Who sees what it must not, or does not see what it must, in the first mask that is wrong."""
    for mask, want in zip(answered, wants):
        if difference(mask, want, ["the mask"], {}):
            i, j = (mask != want).nonzero()[0].tolist()
            if i == j:
                return f"position {i} does not see itself: want i == j open in every row"
            if want[i, j]:
                return f"position {i} does not see position {j}: all of the past is open, j <= i"
            return f"position {i} sees position {j}, which lies in its future: want j <= i"
    return ""


# ---- 7.3 and 7.5 ----


@exercise("7.3")
def check_self_attention(answer) -> str:
    """Judge a class (d_model, d_k) whose forward(x, mask) returns context and weights."""
    return judge_head(answer)


@exercise("7.5")
def check_head_from_memory(answer) -> str:
    """The same for a class written from memory: its matrices may have any names."""
    return judge_head(answer)


def judge_head(answer) -> str:
    """Hold a head against the formula with its own three matrices, in the order that fits."""
    answer = class_of_module(answer)
    head, other = build(answer, 6, 8), build(answer, 10, 3)
    x, y = torch.randn(BATCH, TGT_LEN, 6), torch.randn(3, 4, 10)
    mask = torch.rand(BATCH, TGT_LEN, TGT_LEN) < 0.5
    mask[..., 0], mask[..., 2] = True, False
    call(forward, head, x, None)                         # an untouched stub ends here
    for one in (head, other):
        want_trainable(one)
        matrices(one)
    judge_birth(lambda: build(answer, 6, 8))
    in_eval = copy.deepcopy(head).eval()
    order = order_of(head, x)
    exact, far = copy.deepcopy(head).double(), 3000 * x.double()
    scores = ordered_head(order, lambda x, q, k, v, mask: q @ k.mT)(exact, far, None)
    cases = [
        case("no mask", head, x, None),
        case("a mask", head, x, mask),
        case("(d_model, d_k) = (10, 3)", other, y, None, hint="is a size written into your code?"),
        case("a mask in eval mode", in_eval, x, mask, hint="a head does the same in training and "
             "in eval mode"),
        case("one sentence of one word", other, torch.randn(1, 1, 10), None, hint="all axes stay"),
        case("scores of 10,000 and more with the best words hidden", exact, far,
             scores <= scores.kthvalue(2, keepdim=True).values, hint="after the softmax it is too "
             "late to hide, and -1e4 is an ordinary score: fill with -inf before it",
             gradients=False),
    ]
    agree(forward, ordered_head(order), cases, head_mistakes(order), axes={
        "context": ("sentence", "word", "feature"), "weights": ("sentence", "word", "other word"),
        "x": ("sentence", "", ""),
    }, explain=about_weights, tolerance=1e-4)
    keeps_nothing(forward, ordered_head(order), cases[:3], ["context", "weights"])
    return "Three matrices and one formula: that is a head"


def build(answer: type, d_model: int, d_k: int) -> nn.Module:
    """Make a head, or say what its __init__ should take."""
    try:
        head = answer(d_model, d_k)
    except TypeError as error:
        raise Mistake(f"want a class that is called as Head(d_model, d_k): {error}") from error
    head.sizes = (d_model, d_k)
    return head


def matrices(head: nn.Module) -> list[tuple[Tensor, Tensor | float]]:
    """The three matrices of a head as (d_k, d_model), however they are stored, and their biases."""
    d_model, d_k = head.sizes
    found: list[Tensor] = []
    biases: list[Tensor] = []
    for parameter in head.parameters():
        shape = tuple(parameter.shape)
        if shape in ((d_k,), (3 * d_k,)):
            biases += parameter.split(d_k)
        elif shape == (3 * d_k, d_model):
            found += parameter.chunk(3)
        elif shape == (d_k, d_model):
            found.append(parameter)
        elif shape == (d_model, d_k):
            found.append(parameter.T)
        else:
            raise Mistake(f"a matrix has shape {shape}: want it to lead from d_model = {d_model} "
                          f"to d_k = {d_k}: is a size written into your code?")
    if len(found) != 3:
        raise Mistake("want three matrices, for queries, keys and values, made in __init__: found "
                      f"{len(found)} among the parameters (a plain list hides its maps: take "
                      "nn.ModuleList)")
    if len(biases) not in (0, 3):
        raise Mistake(f"the maps have {len(biases)} biases: want none, q = W x, or all three")
    if has_course_names(head):
        maps = [getattr(head, name) for name in COURSE_NAMES]
        return [(m.weight, 0.0 if m.bias is None else m.bias) for m in maps]
    return list(zip(found, biases or [0.0] * 3))


def has_course_names(head: nn.Module) -> bool:
    """Whether a head calls its maps as the course does."""
    return all(isinstance(getattr(head, name, None), nn.Linear) for name in COURSE_NAMES)


def ordered_head(order: tuple[int, ...], change: Callable | None = None) -> Callable:
    """A head computed from its matrices, taken in this order as W^Q, W^K and W^V.

    change(x, q, k, v, mask): gives context and weights in place of the formula.
    """

    def head(net, x, mask):
        found = matrices(net)
        q, k, v = (x @ matrix.T + bias for matrix, bias in (found[place] for place in order))
        if change:
            return change(x, q, k, v, mask)
        return scaled_dot_product_attention(q, k, v, mask)

    return head


def order_of(head: nn.Module, x: Tensor) -> tuple[int, ...]:
    """The order in which three matrices of unknown names serve as W^Q, W^K and W^V."""
    if has_course_names(head):
        return 0, 1, 2
    result = call(forward, head, x, None)
    orders = list(itertools.permutations(range(3)))
    names = ["context", "weights"]
    fits = [order for order in orders
            if not difference(result, ordered_head(order)(head, x, None), names, {}, 1e-4)]
    return fits[0] if fits else orders[0]


def head_mistakes(order: tuple[int, ...]) -> list[tuple[Callable, str]]:
    """A head with one thing wrong, and what to say then."""

    def shares(q, k, mask, by=None):
        return masked_softmax(q @ k.mT / (q.size(-1) ** 0.5 if by is None else by), mask)

    def scores(q, k, mask):
        return hidden(q @ k.mT / q.size(-1) ** 0.5, mask)

    def weighed(weights):
        return lambda x, q, k, v, m: ((w := weights(x, q, k, m)) @ v, w)

    def mixed(mix):
        return lambda x, q, k, v, m: (mix(x, q, k, v, w := shares(q, k, m)), w)

    known = [
        (lambda x, q, k, v, m: (shares(k, q, m) @ v, shares(k, q, m)), "queries and keys are "
         "exchanged: a row of weights belongs to the word that asks, so q = query_map(x) stands "
         "on the left of the product"),
        (lambda x, q, k, v, m: (shares(q, v, m) @ k, shares(q, v, m)), "keys and values are "
         "exchanged: queries meet the keys, and the weights mix the values"),
        (weighed(lambda x, q, k, m: shares(q, k, m, 1)), "the scores are not divided by √d_k"),
        (weighed(lambda x, q, k, m: shares(q, k, m, q.size(-1))), "the scores are divided by d_k: "
         "want its root, once (scaled_dot_product_attention divides by itself)"),
        (weighed(lambda x, q, k, m: shares(q, k, m, x.size(-1) ** 0.5)), "the scores are divided "
         "by √d_model: a query has d_k numbers, so want √d_k"),
        (weighed(lambda x, q, k, m: shares(q, q, m)), "one matrix makes both queries and keys: "
         "keys have their own"),
        (weighed(lambda x, q, k, m: scores(q, k, m).softmax(-2)), "the softmax runs over the words "
         "that ask (axis -2): want the words that are looked at, the last axis"),
        (weighed(lambda x, q, k, m: scores(q, k, m)), "these are the scores: the softmax is "
         "missing"),
        (weighed(lambda x, q, k, m: shares(q, k, m) / q.size(-1) ** 0.5), "√d_k divides the "
         "weights: it belongs to the scores"),
        (weighed(lambda x, q, k, m: shares(x, x, m)), "the words meet one another as they are: "
         "queries and keys are missing"),
        (mixed(lambda x, q, k, v, w: w @ k), "the context mixes the keys: a key is for finding, "
         "want the values"),
        (mixed(lambda x, q, k, v, w: w @ q), "the context mixes the queries: want the values"),
        (mixed(lambda x, q, k, v, w: w @ x), "the context is as wide as a word, d_model: mix the "
         "values, value_map(x), not the words x"),
        (mixed(lambda x, q, k, v, w: v), "the context is each word's own value: mix all values "
         "with the weights"),
        (mixed(lambda x, q, k, v, w: v.mean(-2, keepdim=True).expand_as(v)), "the context is the "
         "plain mean of the values: the weights have no part in it"),
        (lambda x, q, k, v, m: scaled_dot_product_attention(q, k, v, m)[::-1], "the two results "
         "come in the wrong order: context first, then weights"),
        (lambda x, q, k, v, m: scaled_dot_product_attention(q, k, v, m)[0], "want two results, "
         "`return context, weights`"),
        (weighed(lambda x, q, k, m: shares(q, k, None)), "the mask changes nothing: hand it on to "
         "the attention"),
        (weighed(lambda x, q, k, m: shares(q, k, first_mask(m))), "every sentence gets the mask of "
         "sentence 0: each has its own"),
        (weighed(lambda x, q, k, m: shares(q, k, m if m is None else m & causal_mask(x.size(-2)))),
         "a causal mask is built in: hide what the argument `mask` hides, and no more"),
        (weighed(lambda x, q, k, m: shares(q, k, causal_mask(x.size(-2)) if m is None else
                                           m & causal_mask(x.size(-2)))),
         "a causal mask is built in: hide what the argument `mask` hides, and no more"),
        (weighed(lambda x, q, k, m: shares(q, k, m, x.size(-2) ** 0.5)), "the scores are divided "
         "by the root of the sentence's length: want √d_k, the width of a query"),
        (weighed(lambda x, q, k, m: shares(q, k, m if m is None else ~m)), "the mask is read the "
         "wrong way round: True means may look"),
        (weighed(lambda x, q, k, m: shares(q, k, None) * (1 if m is None else m)), "words are "
         "hidden after the softmax, and rows do not sum to 1 any more"),
        (weighed(lambda x, q, k, m: shares(q, k, causal_mask(x.size(-2)))), "a causal mask is "
         "built in, and the argument `mask` has no part: hand on the mask that comes"),
        (weighed(lambda x, q, k, m: shares(q, k, causal_mask(x.size(-2)) if m is None else m)),
         "a causal mask is built in: without a mask each word sees all words"),
        (lambda x, q, k, v, m: (shares(q, k, None) @ v, shares(q, k, m)), "the weights obey the "
         "mask, the context does not"),
    ]
    return [(ordered_head(order, change), words) for change, words in known]


# ---- 7.4 ----


@exercise("7.4")
def check_yesterday(answer) -> str:
    """Judge three matrices, written by hand, with which each day finds yesterday's sky."""
    maps = call(answer)
    size = N_DAYS + N_SKIES
    if not isinstance(maps, tuple | list) or len(maps) != 3:
        raise Mistake("want three matrices, `return w_q, w_k, w_v`")
    shapes = {"W^Q": (N_DAYS, size), "W^K": (N_DAYS, size), "W^V": (N_SKIES, size)}
    for (name, wanted), matrix in zip(shapes.items(), maps):
        if isinstance(matrix, Tensor) and tuple(matrix.shape) == wanted[::-1]:
            raise Mistake(f"{name} is {wanted[::-1]}, want it turned: {wanted}, a row for each "
                          "number that comes out")
        want_tensor(matrix, wanted, f"of {name}")
    w_q, w_k, w_v = (want_finite(matrix.float(), f"look at {name}, a float32 ends at 3.4e38")
                     for name, matrix in zip(shapes, maps))
    day, sky, x = made_up_weeks()
    weights = ((x @ w_q.T) @ (x @ w_k.T).transpose(-2, -1) / N_DAYS**0.5).softmax(-1)
    context = weights @ x @ w_v.T
    back = (day.unsqueeze(2) - day.unsqueeze(1)) % N_DAYS      # days from the asker to each word
    name_wrong_day(weights, back, w_q, w_k)
    share = weights[back == 1].min().item()
    if share < 0.8:
        raise Mistake(f"yesterday is found, but gets only {share:.3f} of the weight: larger "
                      "numbers in W^Q make a sharper question")
    yesterday = (sky.unsqueeze(1) * (back == 1)).sum(-1)
    if not torch.equal(context.argmax(-1), yesterday):
        if not w_v[:, :N_DAYS].any():
            raise Mistake("the right day is found, but its value is not its sky: the number of "
                          "each sky must stay in its place")
        raise Mistake("the right day is found, but its value is not its sky: W^V must read the "
                      f"last {N_SKIES} numbers of a word")
    if w_v[:, :N_DAYS].any():
        raise Mistake("yesterday's sky is found, but the value also holds something of the day: "
                      f"the first {N_DAYS} columns of W^V must be 0")
    return f"yesterday gets {share:.2f} of the weight or more, in 200 weeks"


def made_up_weeks(n_weeks: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Days in random order, their skies, and the words as (day one-hot, sky one-hot)."""
    day = torch.rand(n_weeks, N_DAYS).argsort(dim=-1)
    sky = torch.randint(N_SKIES, (n_weeks, N_DAYS))
    return day, sky, torch.cat([torch.eye(N_DAYS)[day], torch.eye(N_SKIES)[sky]], dim=-1)


def name_wrong_day(weights: Tensor, back: Tensor, w_q: Tensor, w_k: Tensor) -> None:
    """Raise the message of a head that looks at another day than yesterday."""
    best = back.gather(2, weights.argmax(-1, keepdim=True)).squeeze(2)
    if (best == 1).all():
        return
    if (weights - 1 / N_DAYS).abs().max() < 1e-5:
        raise Mistake("all weights are equal, 1/7: q·k is the same for all days")
    if w_q[:, N_DAYS:].any() or w_k[:, N_DAYS:].any():
        raise Mistake("queries or keys depend on the sky: the last 4 columns of W^Q and W^K must "
                      "be 0")
    if (best == N_DAYS - 1).all():
        raise Mistake("each day finds tomorrow: roll the other way")
    if (best == 0).all():
        raise Mistake("each day finds itself: its query must hold yesterday's place, its key "
                      "its own")
    if len(best.unique()) == 1:
        raise Mistake(f"each day finds the day {best[0, 0]} days before it: want 1 day before")
    n_right = (best[0] == 1).sum()
    raise Mistake(f"in a made-up week {n_right} of 7 days find yesterday: want all, from Sunday "
                  "to Monday too")

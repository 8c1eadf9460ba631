"""The checks of notebook 07: attention, the causal mask, the order of scalings, a sum by hand."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from utils.checks.core import (
    Mistake,
    NotAttempted,
    call,
    exercise,
    same,
    want_finite,
    want_tensor,
)

# All different; and d_k is not 4, where sqrt(d_k) and d_k / 2 are the same number.
BATCH, N_HEADS, TGT_LEN, SRC_LEN, D_K, D_V = 2, 3, 5, 7, 8, 6
CONTEXT = (BATCH, N_HEADS, TGT_LEN, D_V)
WEIGHTS = (BATCH, N_HEADS, TGT_LEN, SRC_LEN)
SCALINGS = ("nothing", "sqrt(d_k)", "d_k", "lengths")


def name_mistake(result: Tensor, known: Iterable[tuple[Tensor, str]]) -> None:
    """Raise the message of the first known wrong result that this one equals."""
    for wrong, message in known:
        if same(result, wrong):
            raise Mistake(message)


@exercise("7.1")
def check_scaled_dot_product_attention(answer) -> str:
    """Scores, scaling, the softmax axis, the mix, then the mask, one after another."""
    q = torch.randn(BATCH, N_HEADS, TGT_LEN, D_K)
    k = torch.randn(BATCH, N_HEADS, SRC_LEN, D_K)
    v = torch.randn(BATCH, N_HEADS, SRC_LEN, D_V)
    judge_weights(answer, q, k, v)
    judge_mask(answer, q, k, v)
    judge_axes(answer, q, k, v)
    return "Any axes may stand in front, and a query that may look nowhere gets zeros"


def two_parts(answer, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple:
    """Call the answer and make sure that it gives context and weights, shaped as they should be."""
    parts = call(answer, q, k, v, mask)
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise Mistake("want two tensors, `return context, weights`: the mix and the shares")
    context, weights = parts
    front, tgt_len, src_len = q.shape[:-2], q.size(-2), k.size(-2)
    shapes = [tuple(part.shape) if isinstance(part, Tensor) else None for part in parts]
    if shapes == [(*front, tgt_len, src_len), (*front, tgt_len, v.size(-1))]:
        raise Mistake("the two results come in the wrong order: context first, then weights")
    if shapes[1] == (*front, src_len, tgt_len):
        raise Mistake(
            "the weights are (src_len, tgt_len): one row for each key. Want one row for each "
            "query, so q stands on the left of the product"
        )
    want_tensor(weights, (*front, tgt_len, src_len), "of weights (..., tgt_len, src_len)")
    if isinstance(context, Tensor) and same(context, weights @ k):
        raise Mistake("the weights mix the keys: keys are for finding, want the values v mixed")
    want_tensor(context, (*front, tgt_len, v.size(-1)), "of context (..., tgt_len, d_v)")
    return context, weights


def judge_weights(answer, q: Tensor, k: Tensor, v: Tensor) -> None:
    """Without a mask: hold the weights against the formula and its known distortions."""
    context, weights = two_parts(answer, q, k, v, None)
    want_finite(weights, "the scores are moderate, so look for a division by 0")
    raw = q @ k.transpose(-2, -1)
    scores = raw / D_K**0.5
    lengths = q.norm(dim=-1, keepdim=True) * k.norm(dim=-1).unsqueeze(-2)
    true = scores.softmax(-1)
    scaled = [
        (1.0, "the scores are not divided: their spread grows with the width. Want √d_k"),
        (D_K, "the scores are divided by d_k itself: that flattens the shares. Want its root"),
        (D_K / 2, "the scores are divided by d_k / 2: `d_k ** 1 / 2` squares nothing, ** binds "
                  "tighter than /. Write d_k ** 0.5"),
        ((N_HEADS * D_K) ** 0.5, "the scores are divided by √d_model, the width of all heads "
                                 "together: d_k is the width of one, q.size(-1)"),
        (D_V**0.5, "the scores are divided by √d_v, the width of the values: the sum q·k runs "
                   "over d_k numbers"),
        (SRC_LEN**0.5, "the scores are divided by √src_len: the number of keys has no part in "
                       "q·k, the width of q has"),
        (TGT_LEN**0.5, "the scores are divided by √tgt_len: the width stands on the last axis"),
        (N_HEADS**0.5, "the scores are divided by √n_heads: q.size(1) is not the width of q"),
        (D_K**-0.5, "the scores are multiplied by √d_k: divide"),
        (lengths, "q·k is divided by the lengths of q and k: that is a cosine. Want √d_k, the "
                  "root of the number of entries"),
    ]
    axes = [
        (-2, "the softmax runs over the queries (axis -2): each query shares 1 among its keys"),
        (1, "the softmax runs over axis 1, the heads: want the keys, the last axis"),
        (0, "the softmax runs over the batch, axis 0: want the keys, the last axis"),
    ]
    if not same(weights, true):
        name_mistake(weights, [((raw / by).softmax(-1), message) for by, message in scaled])
        name_mistake(weights, [(scores.softmax(axis), message) for axis, message in axes])
        name_mistake(weights, [
            (raw.softmax(-1) / D_K**0.5, "the division by √d_k comes after the softmax, so the "
             "shares no longer sum to 1: divide the scores"),
            (scores, "these are the scores: the softmax over the keys is missing"),
            (raw, "these are the products q·k: the division by √d_k and the softmax are missing"),
            (scores.exp(), "these are the powers exp(score): divide each row by its sum"),
            (true.softmax(-1), "the softmax is taken twice: the second one flattens the shares"),
            (scores.sigmoid(), "sigmoid judges each key by itself: softmax makes them compete"),
            (scores / scores.sum(-1, keepdim=True), "the scores are divided by their sum, so "
             "shares may be negative: want softmax"),
            (scores.log_softmax(-1), "these are logarithms of shares: softmax, not log_softmax"),
        ])
        sums = weights.sum(-1)
        if not same(sums, torch.ones_like(sums), 1e-3):
            raise Mistake(f"the first row of weights sums to {sums.flatten()[0]:.2f}: want 1, "
                          "shared among the keys of that query")
        raise Mistake(f"rows sum to 1, but the first share is {weights.flatten()[0]:.2f} and "
                      f"should be {true.flatten()[0]:.2f}: look at q·k and at what divides it")
    want_finite(context, "the weights are fine, so look at their product with v")
    name_mistake(context, [
        (scores @ v, "the weights are right, but the context mixes with the scores: "
                     "want weights @ v"),
        (raw @ v, "the weights are right, but the context mixes with q·k: want weights @ v"),
        (v.mean(-2, keepdim=True).expand_as(context), "the context is the plain mean of the "
         "values: the weights have no part in it"),
    ])
    if not same(context, true @ v):
        raise Mistake("the weights are right, the context is not: want weights @ v")


def judge_mask(answer, q: Tensor, k: Tensor, v: Tensor) -> None:
    """With a mask: who is hidden, how, and what a query that sees nothing gets."""
    mask = torch.rand(BATCH, 1, TGT_LEN, SRC_LEN) < 0.5
    mask[..., 1], mask[..., 4] = True, False      # each row has a visible and a hidden key
    scores = q @ k.transpose(-2, -1) / D_K**0.5
    true = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    context, weights = two_parts(answer, q, k, v, mask)
    name_mistake(weights, [
        (scores.softmax(-1), "the mask changes nothing: hide the keys where it is False"),
        (scores.masked_fill(mask, -torch.inf).softmax(-1), "the mask is read the wrong way "
         "round: True means may look, so fill where it is False (~mask)"),
        (scores.softmax(-1) * mask, "keys are set to 0 after the softmax and rows do not sum to "
         "1 any more: hide them before it, with -inf"),
        ((scores * mask).softmax(-1), "hidden scores are set to 0, and exp(0) = 1 still gets a "
         "share: want -inf before the softmax"),
        ((scores + mask).softmax(-1), "the mask is added as 0 and 1: that favours some keys, it "
         "hides none. Fill with -inf"),
        (scores.masked_fill(~mask, -1.0).softmax(-1), "-1 is an ordinary score: hidden keys "
         "still get a share. Fill with -inf"),
    ])
    want_finite(weights, "every row of this mask has a visible key. Is ~mask turned round?")
    if not same(weights, true):
        seen = weights.masked_fill(mask, 0.0).abs().amax()
        raise Mistake(f"with a mask the weights are wrong: a hidden key gets up to {seen:.2f}")
    if same(context, scores.softmax(-1) @ v):
        raise Mistake("the weights obey the mask, the context does not: mix with the masked ones")
    if not same(context, true @ v):
        raise Mistake("with a mask the weights are right, the context is not: want weights @ v")
    mask[1, :, 2] = False                         # one query may look nowhere
    context, weights = two_parts(answer, q, k, v, mask)
    if weights.isnan().any() or context.isnan().any():
        raise Mistake("a query that may look nowhere gets nan, and nan spreads through a network: "
                      "masked_softmax of notebook 05 gives such a row zeros")
    if not same(weights[1, :, 2], torch.zeros(N_HEADS, SRC_LEN)):
        raise Mistake("a query that may look nowhere still shares out 1 among hidden keys: a "
                      "large negative number is not -inf. Use masked_softmax of notebook 05")


def judge_axes(answer, q: Tensor, k: Tensor, v: Tensor) -> None:
    """The same without batch and heads, and with large scores."""
    flat = q[0, 0], k[0, 0], v[0, 0]
    true = (flat[0] @ flat[1].T / D_K**0.5).softmax(-1)
    hint = "count axes from the end (-1, -2): without batch and heads your function"
    try:
        _, weights = two_parts(answer, *flat, None)
    except Mistake as mistake:
        raise Mistake(f"{hint} fails ({mistake})") from mistake
    if not same(weights, true):
        raise Mistake(f"{hint} gives other weights")
    _, weights = two_parts(answer, 100 * q, 100 * k, v, None)
    want_finite(weights, "with large scores exp() leaves the range of a float: use softmax")


@exercise("7.2")
def check_causal_mask(answer) -> str:
    """Shape, type, the diagonal, the future, the past."""
    n = 6
    mask = call(answer, n)
    if isinstance(mask, Tensor) and mask.dim() > 2:
        raise Mistake(f"want two axes (seq_len, seq_len), got {tuple(mask.shape)}: a mask of two "
                      "axes serves every sentence and head")
    want_tensor(mask, (n, n), "(seq_len, seq_len)")
    if mask.is_floating_point() and mask.isinf().any():
        raise Mistake("this is a mask to add to the scores, of 0 and -inf: want bool, True = may "
                      "look")
    if mask.is_floating_point():
        raise Mistake("this is a mask to multiply scores by: exp(0) = 1, so a score of 0 hides "
                      "nothing. Want bool (dtype=torch.bool)")
    if mask.dtype != torch.bool:
        raise Mistake(f"want bool, True = may look, got {mask.dtype}: on whole numbers ~ means "
                      "something else")
    own, future, past = mask.diagonal(), mask.triu(1), mask.tril(-1)
    n_past = n * (n - 1) // 2
    if mask.all():
        raise Mistake("every position sees every other, the future too: want only j <= i")
    if not mask.any():
        raise Mistake("no position may look anywhere: want True where j <= i")
    if torch.equal(mask, torch.eye(n, dtype=torch.bool)):
        raise Mistake("every position sees only itself: the past, j < i, is open too")
    if future.sum() == n_past and not past.any():
        if own.any():
            raise Mistake("upper and lower are swapped: position 0 sees the whole future. Rows "
                          "are the positions that look, columns what they look at")
        raise Mistake("True and False are exchanged: the future is open and the rest hidden. "
                      "True means may look")
    if not own.any() and past.sum() == n_past and not future.any():
        raise Mistake("a position must see itself: without the diagonal, row 0 is empty and "
                      "softmax gives nan there")
    if not own.all():
        raise Mistake("some position does not see itself: want i == j open in every row")
    if future.any():
        i, j = future.nonzero()[0].tolist()
        raise Mistake(f"position {i} sees position {j}, which lies in its future: want j <= i")
    if past.sum() != n_past:
        i, j = (~mask).tril(-1).nonzero()[0].tolist()
        raise Mistake(f"position {i} does not see position {j}: all of the past is open, j <= i")
    for other in (1, 9):
        want = torch.arange(other).unsqueeze(1) >= torch.arange(other)
        result = want_tensor(call(answer, other), (other, other), "(seq_len, seq_len)", torch.bool)
        if not torch.equal(result, want):
            raise Mistake(f"right for 6 positions, wrong for {other}: use seq_len everywhere")
    return f"Row i holds i + 1 times True, {n * (n + 1) // 2} of {n * n} in all"


@exercise("7.3")
def check_entropy_order(answer) -> str:
    """The four scalings from the most peaked to the flattest; the misconception is named."""
    order = call(answer) if callable(answer) else answer
    if order is ...:
        raise NotAttempted
    if not isinstance(order, list | tuple):
        raise Mistake(f"want a list of four names, got {type(order).__name__}")
    if any(name is ... for name in order):
        raise NotAttempted
    order = list(order)
    for name in order:
        if name not in SCALINGS:
            raise Mistake(f"{name!r} is not one of the names {', '.join(SCALINGS)}")
    if len(order) != 4:
        raise Mistake(f"want a list of four names, got {len(order)}")
    if len(set(order)) != 4:
        raise Mistake("want each of the four names once")
    nothing, root, width, lengths = map(order.index, SCALINGS)
    if nothing == 3 and root == 2:
        raise Mistake("this order runs from flat to peaked: begin with the scaling under which "
                      "one key takes nearly all")
    if nothing != 0:
        raise Mistake("undivided scores spread the most (their std is √d_k = 16): what does the "
                      "softmax make of gaps that large?")
    if root == 3:
        raise Mistake("you expect √d_k to be the flattest: compare the divisors at d_k = 256. "
                      "√d_k is 16, d_k is 256, and |q||k| is near 256, too")
    if width < root:
        raise Mistake("you hold division by d_k for the milder or safer one: it divides by 256 "
                      "where the spread is 16. What spread is left?")
    if lengths < root:
        raise Mistake("you expect the cosine to be sharper than √d_k: a cosine of random vectors "
                      "with 256 entries is about 1/16. How far apart can shares get?")
    return "d_k and lengths may stand in either order: they come out alike"


@exercise("7.4")
def check_context_by_hand(answer) -> str:
    """One word's context from lists of numbers, against every slip that is easy to make."""
    n_words, d_k, d_v = 3, 5, 2
    queries, keys = torch.randn(2, n_words, d_k, dtype=torch.float64)
    values = torch.randn(n_words, d_v, dtype=torch.float64)
    best = (queries @ keys.T).argmax(-1).tolist()
    for word in sorted((1, 0, 2), key=lambda word: best[word] == word):  # own key best: last
        result = call(answer, queries.tolist(), keys.tolist(), values.tolist(), word)
        numbers = as_numbers(result)
        if same(numbers, mix(queries, keys, values, word)):
            continue
        name_mistake(numbers, known_slips(queries, keys, values, word))
        if len(numbers) != d_v:
            raise Mistake(f"want {d_v} numbers, as many as one value has, got {len(numbers)}")
        raise Mistake(
            f"for word {word} the first number is {numbers[0]:.2f}, want "
            f"{mix(queries, keys, values, word)[0]:.2f}. Print your shares: do they sum to 1?"
        )
    return "The same numbers as softmax(q·K/√d_k) V"


def as_numbers(result) -> Tensor:
    """A list, tuple or tensor of numbers as one row."""
    try:
        numbers = [float(number) for number in result]
    except (TypeError, ValueError):
        raise Mistake(
            f"want a list of numbers, one for each entry of a value, got {type(result).__name__}"
        ) from None
    if any(math.isnan(number) for number in numbers):
        raise Mistake("the result holds nan: some step computes 0/0 or inf - inf")
    return torch.tensor(numbers, dtype=torch.float64)


def mix(queries: Tensor, keys: Tensor, values: Tensor, word: int) -> Tensor:
    """The context of one word."""
    return (keys @ queries[word] / keys.size(-1) ** 0.5).softmax(-1) @ values


def known_slips(
    queries: Tensor, keys: Tensor, values: Tensor, word: int
) -> list[tuple[Tensor, str]]:
    """What comes out when one step of the sum by hand is wrong, and what to say then."""
    n_words, d_k = keys.shape
    raw = keys @ queries[word]
    scores = raw / d_k**0.5
    weights = scores.softmax(-1)
    others = [other for other in range(n_words) if other != word]
    slips = [
        (weights @ keys, "the shares mix the keys: a key is only for finding, mix the values"),
        (weights @ queries, "the shares mix the queries: mix the values"),
        (scores[others].softmax(-1) @ values[others], "the word's own key is left out: three "
         "words give three scores, its own among them"),
        (weights[others] @ values[others], "the word's own value is left out of the sum: its "
         "share is counted, so its value belongs in"),
        (raw.softmax(-1) @ values, "the scores are not divided by √d_k"),
        ((raw / d_k).softmax(-1) @ values, "the scores are divided by d_k: want its square root"),
        ((raw / (d_k / 2)).softmax(-1) @ values, "the scores are divided by d_k / 2: "
         "`d_k ** 1 / 2` is not the root. Write d_k ** 0.5"),
        ((raw / n_words**0.5).softmax(-1) @ values, "the scores are divided by the root of the "
         "number of words: d_k is the number of entries of a query"),
        (raw.softmax(-1) / d_k**0.5 @ values, "√d_k divides the shares: it must divide the "
         "scores, before exp"),
        (scores @ values, "the scores themselves mix the values: softmax is missing between"),
        (raw @ values, "the products q·k themselves mix the values: √d_k and softmax are missing"),
        (scores.exp() @ values, "exp(score) mixes the values: divide by the sum of all three"),
        (scores / scores.sum() @ values, "the scores are divided by their sum: take exp first"),
        (values.mean(0), "this is the plain mean of the values: every share would be 1/3"),
        (values.sum(0), "this is the plain sum of the values: multiply each by its share"),
        (values[int(scores.argmax())], "only the best key's value comes back: each word gives "
         "its share"),
        (values[word], "this is the word's own value: mix all three"),
        ((queries @ keys[word] / d_k**0.5).softmax(-1) @ values, "queries and keys are "
         "exchanged: the word's own query meets the keys of all"),
        ((keys @ keys[word] / d_k**0.5).softmax(-1) @ values, "the word's key meets the keys: "
         "its query asks"),
        ((queries @ queries[word] / d_k**0.5).softmax(-1) @ values, "the word's query meets "
         "the queries: it asks the keys"),
        (weights, "these are the shares: now mix the values with them"),
        (scores, "these are the scores: softmax and the mix are missing"),
    ]
    for other in others:
        slips.append((mix(queries, keys, values, other), f"this is the context of word {other}: "
                      f"the argument `word` asks for {word}"))
    return slips

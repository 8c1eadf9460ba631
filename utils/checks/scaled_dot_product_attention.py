"""The checks of lesson 07: attention, the causal mask, the head, a head written by hand."""

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor, nn

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
HEAD_SIZES = ((6, 8), (10, 3))          # (d_model, d_k) of the heads that are judged
COURSE_NAMES = ("query_map", "key_map", "value_map")
N_DAYS, N_SKIES = 7, 4


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
    judge_sizes(answer)
    judge_large(answer, q, k, v)
    judge_gradients(answer, q, k, v)
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
            (scores.masked_fill(~torch.ones(TGT_LEN, SRC_LEN).tril().bool(), -torch.inf)
             .softmax(-1), "a causal mask is built in: without a mask each query sees all keys"),
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


def judge_sizes(answer) -> None:
    """The same at other sizes, with one query only."""
    q, k, v = torch.randn(4, 1, 5), torch.randn(4, 3, 5), torch.randn(4, 3, 2)
    true = (q @ k.transpose(-2, -1) / 5**0.5).softmax(-1)
    other = f"right for d_k = {D_K} and {TGT_LEN} queries, wrong for d_k = 5 and one query"
    try:
        context, weights = two_parts(answer, q, k, v, None)
    except Mistake as mistake:
        raise Mistake(f"{other}: {mistake}") from mistake
    if not (same(weights, true) and same(context, true @ v)):
        raise Mistake(f"{other}: is a size written into your code?")


def judge_large(answer, q: Tensor, k: Tensor, v: Tensor) -> None:
    """Large scores, without and with a mask that hides the winner."""
    _, weights = two_parts(answer, 100 * q, 100 * k, v, None)
    want_finite(weights, "with large scores exp() leaves the range of a float: use softmax")
    scores = 100 * q @ k.transpose(-2, -1) / D_K**0.5
    mask = scores < scores.amax(-1, keepdim=True)
    true = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    context, weights = two_parts(answer, 100 * q, k, v, mask)
    if not same(weights, true) or not same(context, true @ v):
        raise Mistake("with large scores, where the best key is hidden, the weights are wrong: "
                      "after the softmax it is too late to hide, the others got 0 already")


def judge_gradients(answer, q: Tensor, k: Tensor, v: Tensor) -> None:
    """The context must pass a gradient to each of the three."""
    with torch.enable_grad():
        for place, name in enumerate("qkv"):
            given = [t.clone().requires_grad_(i == place) for i, t in enumerate((q, k, v))]
            context, _ = two_parts(answer, *given, None)
            if not context.requires_grad:
                raise Mistake(f"no gradient reaches {name}: is there a detach or a no_grad?")


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
def check_self_attention(answer) -> str:
    """Judge a class (d_model, d_k) whose forward(x, mask) returns context and weights."""
    return judge_head(answer)


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
    w_q, w_k, w_v = (want_finite(matrix.float(), "the matrices hold plain numbers")
                     for matrix in maps)
    day, sky, x = made_up_weeks()
    weights = ((x @ w_q.T) @ (x @ w_k.T).transpose(-2, -1) / N_DAYS**0.5).softmax(-1)
    context = weights @ x @ w_v.T
    back = (day.unsqueeze(2) - day.unsqueeze(1)) % N_DAYS      # days from the asker to each word
    shares = {steps: weights[back == steps].min().item() for steps in range(N_DAYS)}
    name_wrong_day(weights, back, w_q, w_k)
    yesterday = (sky.unsqueeze(1) * (back == 1)).sum(-1)
    if shares[1] < 0.8:
        raise Mistake(f"yesterday is found, but gets only {shares[1]:.2f} of the weight: larger "
                      "numbers in W^Q make a sharper question")
    if not torch.equal(context.argmax(-1), yesterday):
        if same(w_v[:, :N_DAYS].abs().sum(), torch.tensor(0.0)):
            raise Mistake("the right day is found, but its value is not its sky: the number of "
                          "each sky must stay in its place")
        raise Mistake("the right day is found, but its value is not its sky: W^V must read the "
                      f"last {N_SKIES} numbers of a word")
    return f"yesterday gets {shares[1]:.2f} of the weight or more, in 200 weeks"


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
    if same(weights, torch.full_like(weights, 1 / N_DAYS)):
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


@exercise("7.5")
def check_head_from_memory(answer) -> str:
    """The same for a class written from memory: its matrices may have any names."""
    return judge_head(answer)


def judge_head(answer) -> str:
    """Matrices, weights, context, mask, axes, gradients: one after another, at two sizes."""
    if answer is ...:
        raise NotAttempted
    if not (isinstance(answer, type) and issubclass(answer, nn.Module)):
        raise Mistake("hand over the class itself, a class of nn.Module, without brackets")
    if answer.forward is nn.Module.forward:
        raise NotAttempted
    with torch.enable_grad():
        judge_at(answer, *HEAD_SIZES[0])
        try:
            judge_at(answer, *HEAD_SIZES[1])
        except Mistake as mistake:
            raise Mistake(f"right for (d_model, d_k) = {HEAD_SIZES[0]}, wrong for "
                          f"{HEAD_SIZES[1]}: is a size written into your code? ({mistake})"
                          ) from mistake
    return "Three matrices and one formula: that is a head"


def judge_at(answer: type, d_model: int, d_k: int) -> None:
    """Judge a head of one size."""
    head = build(answer, d_model, d_k)
    x = torch.randn(BATCH, TGT_LEN, d_model)
    maps = judge_output(head, x, d_k)
    judge_head_mask(head, x, maps)
    judge_head_axes(head, x)
    judge_head_gradients(head, x)


def build(answer: type, d_model: int, d_k: int) -> nn.Module:
    """Make a head, or say what its __init__ should take."""
    try:
        return answer(d_model, d_k)
    except TypeError as error:
        raise Mistake(f"want a class that is called as Head(d_model, d_k): {error}") from error


def matrices(head: nn.Module, d_model: int, d_k: int) -> list[Tensor]:
    """The three matrices of a head as (d_k, d_model), however they are stored."""
    found = []
    for parameter in head.parameters():
        shape = tuple(parameter.shape)
        if len(shape) < 2:
            raise Mistake("a map has a bias: q = W x is a matrix alone, use bias=False")
        if shape == (3 * d_k, d_model):
            found += parameter.chunk(3)
        elif shape == (d_k, d_model):
            found.append(parameter)
        elif shape == (d_model, d_k):
            found.append(parameter.T)
        else:
            raise Mistake(f"a matrix has shape {shape}: want it to lead from d_model = {d_model} "
                          f"to d_k = {d_k}")
    if len(found) != 3:
        raise Mistake(f"want three matrices, for queries, keys and values: found {len(found)}")
    return [matrix.detach() for matrix in found]


def head_parts(head: nn.Module, x: Tensor, d_k: int, mask: Tensor | None = None) -> tuple:
    """Call the head and make sure that it gives context and weights of the right shape."""
    parts = call(head, x) if mask is None else call(head, x, mask)
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise Mistake("want two results, `return context, weights`")
    context, weights = parts
    *front, seq_len, _ = x.shape
    if isinstance(context, Tensor) and tuple(context.shape) == (*front, seq_len, seq_len):
        raise Mistake("the two results come in the wrong order: context first, then weights")
    if isinstance(context, Tensor) and context.shape == x.shape and x.size(-1) != d_k:
        raise Mistake("the context is as wide as a word, d_model: mix the values, value_map(x), "
                      "not the words x")
    want_tensor(context, (*front, seq_len, d_k), "of context (batch, seq_len, d_k)")
    want_tensor(weights, (*front, seq_len, seq_len), "of weights (batch, seq_len, seq_len)")
    return want_finite(context, "is something divided by 0?"), weights


def judge_output(head: nn.Module, x: Tensor, d_k: int) -> tuple[Tensor, ...]:
    """Hold weights and context against the formula; returns the matrices as (q, k, v)."""
    context, weights = head_parts(head, x, d_k)
    d_model = x.size(-1)
    found = matrices(head, d_model, d_k)
    named = [getattr(head, name, None) for name in COURSE_NAMES]
    orders = [tuple(found)]
    if all(isinstance(each, nn.Linear) for each in named):
        found = [each.weight.detach() for each in named]
        orders = [tuple(found)]
        if same(weights, shares(x, found[1], found[0])):
            raise Mistake("queries and keys are exchanged: a row of weights belongs to the word "
                          "that asks, so q = query_map(x) stands on the left of the product")
    else:
        orders = list(itertools.permutations(found))
    for maps in orders:
        if same(weights, shares(x, *maps[:2])) and same(context, weights @ x @ maps[2].T):
            return maps
    for maps in orders:
        name_wrong_weights(weights, x, *maps)
    for maps in orders:
        if same(weights, shares(x, *maps[:2])):
            name_wrong_context(context, weights, x, *maps)
    sums = weights.sum(-1)
    if not same(sums, torch.ones_like(sums), 1e-3):
        raise Mistake(f"the first row of weights sums to {sums.flatten()[0]:.2f}: want 1, shared "
                      "among the words that are looked at")
    raise Mistake("rows of weights sum to 1, but they are not softmax(q·k / √d_k) for any order "
                  "of your three matrices: print q, k and the scores for one word")


def shares(x: Tensor, w_q: Tensor, w_k: Tensor, by: float | None = None) -> Tensor:
    """The weights of a head without a mask."""
    q, k = x @ w_q.T, x @ w_k.T
    return (q @ k.transpose(-2, -1) / (w_q.size(0) ** 0.5 if by is None else by)).softmax(-1)


def name_wrong_weights(weights: Tensor, x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> None:
    """Raise the message of a known mistake in the weights."""
    d_k, d_model = w_q.shape
    scores = (x @ w_q.T) @ (x @ w_k.T).transpose(-2, -1) / d_k**0.5
    known = [
        (shares(x, w_q, w_k, 1), "the scores are not divided by √d_k"),
        (shares(x, w_q, w_k, d_k), "the scores are divided by d_k: want its root"),
        (shares(x, w_q, w_k, d_model**0.5), "the scores are divided by √d_model: a query has d_k "
         "numbers, so want √d_k"),
        (shares(x, w_q, w_q), "one matrix makes both queries and keys: keys have their own"),
        (scores.softmax(-2), "the softmax runs over the words that ask (axis -2): want the words "
         "that are looked at, the last axis"),
        (scores, "these are the scores: the softmax is missing"),
        (scores.softmax(-1) / d_k**0.5, "√d_k divides the weights: it belongs to the scores"),
        ((x @ x.transpose(-2, -1) / d_model**0.5).softmax(-1), "the words meet one another as "
         "they are: queries and keys are missing"),
        ((x @ x.transpose(-2, -1) / d_k**0.5).softmax(-1), "the words meet one another as they "
         "are: queries and keys are missing"),
    ]
    for wrong, message in known:
        if same(weights, wrong):
            raise Mistake(message)


def name_wrong_context(
    context: Tensor, weights: Tensor, x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor
) -> None:
    """The weights are right: say what the context mixes instead of the values."""
    known = [
        (weights @ x @ w_k.T, "the context mixes the keys: a key is for finding, want the values"),
        (weights @ x @ w_q.T, "the context mixes the queries: want the values"),
        (x @ w_v.T, "the context is each word's own value: mix all values with the weights"),
        ((x @ w_v.T).mean(-2, keepdim=True).expand_as(context), "the context is the plain mean of "
         "the values: the weights have no part in it"),
    ]
    for wrong, message in known:
        if same(context, wrong):
            raise Mistake(message)
    raise Mistake("the weights are right, the context is not: want weights @ v, v = value_map(x)")


def judge_head_mask(head: nn.Module, x: Tensor, maps: tuple[Tensor, ...]) -> None:
    """The mask must reach the weights, and the weights the context."""
    w_q, w_k, w_v = maps
    mask = torch.rand(x.size(0), TGT_LEN, TGT_LEN) < 0.5
    mask[..., 0], mask[..., 2] = True, False
    context, weights = head_parts(head, x, w_q.size(0), mask)
    plain = shares(x, w_q, w_k)
    scores = (x @ w_q.T) @ (x @ w_k.T).transpose(-2, -1) / w_q.size(0) ** 0.5
    true = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    if same(weights, plain):
        raise Mistake("the mask changes nothing: hand it on to the attention")
    if same(weights, scores.masked_fill(mask, -torch.inf).softmax(-1)):
        raise Mistake("the mask is read the wrong way round: True means may look")
    if same(weights, plain * mask):
        raise Mistake("words are hidden after the softmax, and rows do not sum to 1 any more")
    if not same(weights, true):
        seen = weights.masked_fill(mask, 0.0).abs().amax().item()
        raise Mistake(f"with a mask the weights are wrong: a hidden word gets up to {seen:.2f}")
    if not same(context, true @ x @ w_v.T):
        raise Mistake("the weights obey the mask, the context does not")


def judge_head_axes(head: nn.Module, x: Tensor) -> None:
    """One sentence without a batch axis gives what it gives in a batch."""
    try:
        alone = call(head, x[0])
    except Mistake as mistake:
        raise Mistake(f"one sentence without a batch axis fails ({mistake}): count axes from the "
                      "end, -1 and -2") from mistake
    if not same(alone[0], call(head, x)[0][0]):
        raise Mistake("one sentence gives something else alone than in a batch: sentences must "
                      "not see one another")


def judge_head_gradients(head: nn.Module, x: Tensor) -> None:
    """Each matrix must learn."""
    head.zero_grad()
    context, _ = head(x)
    loss = (context * torch.randn_like(context)).sum()
    if not loss.requires_grad:
        raise Mistake("no gradient reaches the matrices: is there a detach or a no_grad?")
    loss.backward()
    for name, parameter in head.named_parameters():
        if parameter.grad is None or not parameter.grad.abs().sum() > 0:
            raise Mistake(f"no gradient reaches {name}: it could never learn")

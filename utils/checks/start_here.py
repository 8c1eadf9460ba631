"""The checks of notebook 00: shapes, softmax, heads, and the mask that broadcasts."""

import torch
from torch import Tensor

from utils.checks.core import Mistake, call, exercise, same, want_finite, want_tensor

BATCH, N_HEADS, TGT_LEN, SRC_LEN, D_K = 2, 3, 5, 7, 4
SPLIT = (BATCH, N_HEADS, TGT_LEN, D_K)
MERGED = (BATCH, TGT_LEN, N_HEADS * D_K)
AXIS_NAMES = ("batch", "n_heads", "tgt_len", "src_len")


@exercise("0.0")
def check_double(answer) -> str:
    """Twice the input, in a new tensor: shows how a check speaks."""
    x = torch.randn(BATCH, D_K)
    result = want_tensor(call(answer, x), (BATCH, D_K), "like the input")
    want_finite(result, "the input held none")
    if same(result, x):
        raise Mistake("the result is the input itself: nothing was doubled")
    if same(result, x**2):
        raise Mistake("the result is the square of the input: want two times the input")
    if not same(result, 2 * x):
        raise Mistake(f"{x[0, 0]:.2f} became {result[0, 0]:.2f}: want {2 * x[0, 0]:.2f}")
    return "The input is untouched, too"


@exercise("0.1")
def check_matmul_shape(answer) -> str:
    """The shape of a batched matrix product, worked out from the two shapes."""
    judge_shape(answer, BATCH, N_HEADS, TGT_LEN, D_K, SRC_LEN)
    try:
        judge_shape(answer, 6, 2, 9, 8, 3)
    except Mistake as mistake:
        raise Mistake(
            "right for the sizes of the text only, wrong for (6, 2, 9, 8) @ (6, 2, 8, 3): work the "
            "shape out from a_shape and b_shape"
        ) from mistake
    return "The front axes stay, the inner d_k is summed away"


def judge_shape(answer, batch: int, n_heads: int, tgt_len: int, d_k: int, src_len: int) -> None:
    """Hold the answer for these sizes against the true shape and its known distortions."""
    a_shape, b_shape = (batch, n_heads, tgt_len, d_k), (batch, n_heads, d_k, src_len)
    result = call(answer, a_shape, b_shape)
    if isinstance(result, Tensor):
        raise Mistake("want the shape, a tuple of four numbers, got a tensor: return its .shape")
    try:
        shape = tuple(int(size) for size in result)
    except (TypeError, ValueError):
        raise Mistake(f"want a tuple of four numbers, got {type(result).__name__}") from None
    sizes = f"for {a_shape} @ {b_shape} you say {shape}"
    wrong = {
        (batch, n_heads, src_len, tgt_len): "the last two axes are swapped: the rows of the "
        "product are the rows of a, its columns the columns of b",
        (n_heads, tgt_len, src_len): "the batch axis is missing: each sentence of the batch "
        "keeps its own product",
        (batch, tgt_len, src_len): "the n_heads axis is missing: each head keeps its own product",
        (tgt_len, src_len): "only the last two axes are there: a @ b is one product for each "
        "pair of front indices, and those axes stay",
        (batch, n_heads, tgt_len, d_k): "this is the shape of a: where did the columns of b go?",
        (batch, n_heads, d_k, src_len): "this is the shape of b: where did the rows of a go?",
        (batch, n_heads, d_k, d_k): "d_k is the axis that is summed away: it cannot be left over",
        (batch, n_heads, tgt_len, d_k, src_len): "d_k is still there: the product sums over it",
        (n_heads, batch, tgt_len, src_len): "the front axes changed places: they stay as they are",
        a_shape + b_shape[2:]: "the two shapes are put side by side: the inner axis that both "
        "share, d_k, must vanish",
    }
    true = (batch, n_heads, tgt_len, src_len)
    if shape == true:
        return
    if shape in wrong:
        raise Mistake(f"{sizes}: {wrong[shape]}")
    if len(shape) != 4:
        raise Mistake(f"{sizes}: that is {len(shape)} axes, want 4")
    raise Mistake(f"{sizes}: which axis of a and which of b survive the product?")


@exercise("0.2")
def check_softmax(answer) -> str:
    """Softmax over the last axis: first what is shared out, then what overflows."""
    scores = torch.randn(BATCH, N_HEADS, TGT_LEN, SRC_LEN)
    axes = "(batch, n_heads, tgt_len, src_len)"
    result = want_tensor(call(answer, scores), tuple(scores.shape), axes)
    want_finite(result, "these scores are between -4 and 4, so look for a division by 0")
    if not same(result, scores.softmax(-1)):
        raise Mistake(softmax_mistake(result.double(), scores.double()))
    for shift in (1000.0, -1000.0):
        result = want_tensor(call(answer, scores + shift), tuple(scores.shape), axes)
        want_finite(result, f"with scores near {shift:.0f} exp() leaves the range of a float. "
                    "Subtract the largest score before exp(): the shares do not change")
    far = scores + 1000.0 * torch.arange(TGT_LEN)[:, None]
    result = want_tensor(call(answer, far), tuple(scores.shape), axes)
    want_finite(result, "one row lies 1000 below another. The largest score that you subtract "
                "must be the row's own, not that of the whole tensor")
    if not same(result, far.softmax(-1), 1e-3):
        raise Mistake("rows that lie 1000 apart come out wrong: treat each row by itself")
    return "Every row shares out 1, even at scores of 4000"


def softmax_mistake(result: Tensor, scores: Tensor) -> str:
    """Name what a wrong softmax of moderate scores did."""
    for axis, name in enumerate(AXIS_NAMES[:3]):
        if same(result, scores.softmax(axis)):
            return f"the shares sum to 1 along axis {axis} ({name}): want the last axis, dim=-1"
    sums = result.sum(-1)
    if same(result.sum(), torch.ones(()), 1e-3) and (result >= 0).all():
        return (
            "all numbers of the tensor together sum to 1: divide each row by its own sum, "
            "the sum over the last axis"
        )
    if same(result, scores.log_softmax(-1)):
        return "these are the logarithms of the shares: log_softmax, want softmax"
    if same(result, scores / scores.sum(-1, keepdim=True)):
        return "the scores themselves are divided by their sum: exp() comes first"
    if same(result, scores.exp()) or same(result, (scores - scores.amax(-1, keepdim=True)).exp()):
        return "these are the powers before the division: divide by their sum over the last axis"
    if ((result == 0) | (result == 1)).all():
        return "every number is 0 or 1: softmax shares, it does not choose one winner"
    if (result < 0).any():
        return f"a share is negative ({result.min():.2f}): exp() makes every score positive"
    if not same(sums, torch.ones_like(sums), 1e-3):
        return f"the first row sums to {sums.flatten()[0]:.2f}: want 1 along the last axis"
    return (
        f"each row sums to 1, but the first share is {result.flatten()[0]:.2f} and should be "
        f"{scores.softmax(-1).flatten()[0]:.2f}: want exp(score) over the sum of the row's exp"
    )


def numbered(batch: int, seq_len: int, d_model: int) -> Tensor:
    """The numbers 0, 1, 2, ... as (batch, seq_len, d_model): token t holds its own d_model."""
    return torch.arange(float(batch * seq_len * d_model)).view(batch, seq_len, d_model)


def row(numbers: Tensor) -> str:
    """A row of numbers as the messages show it."""
    return " ".join(str(int(number)) for number in numbers)


@exercise("0.4a")
def check_split_heads(answer) -> str:
    """Numbers in order go in; every row of every head must hold its own token's numbers."""
    x = numbered(*MERGED)
    result = call(answer, x, N_HEADS)
    names = "(batch, n_heads, seq_len, d_k)"
    known = {
        (BATCH, TGT_LEN, N_HEADS, D_K): "the features are cut, but the axes are still (batch, "
        "seq_len, n_heads, d_k): one more move brings the heads in front of the tokens",
        (BATCH, TGT_LEN, D_K, N_HEADS): "you exchanged the last two axes: the pair to exchange "
        "is seq_len and n_heads, axes 1 and 2",
        (TGT_LEN, BATCH, N_HEADS, D_K): "you exchanged the batch with the tokens: the pair to "
        "exchange is seq_len and n_heads, axes 1 and 2",
        (BATCH, N_HEADS, D_K, TGT_LEN): "d_k stands before seq_len: the features of a head "
        "must be the last axis",
        (N_HEADS, BATCH, TGT_LEN, D_K): "the heads stand before the batch: batch is always "
        "the first axis",
        MERGED: "the shape has not changed: cut the last axis into n_heads groups",
    }
    if isinstance(result, Tensor) and tuple(result.shape) in known:
        raise Mistake(f"got shape {tuple(result.shape)}: {known[tuple(result.shape)]}")
    result = want_tensor(result, SPLIT, names)
    trace_heads(result.double(), x.double())
    x = numbered(3, 4, 10)
    result = want_tensor(call(answer, x, 2), (3, 2, 4, 5), f"{names} for two heads")
    trace_heads(result.double(), x.double())
    return "Each row of each head holds numbers of its own token"


def trace_heads(result: Tensor, x: Tensor) -> None:
    """Say for the first wrong row of a split which token its numbers came from."""
    batch, n_heads, seq_len, d_k = result.shape
    want_finite(result, "splitting computes nothing, it only moves numbers")
    wanted = torch.stack(x.split(d_k, dim=-1), dim=1)
    if torch.equal(result, wanted):
        return
    token = (result / (n_heads * d_k)).floor().long()        # counted through the batch
    own = torch.arange(batch * seq_len).view(batch, 1, seq_len, 1)
    if (token == own).all():
        if torch.equal(result, wanted.flip(1)):
            raise Mistake("the heads come in reverse order: head 0 takes the first d_k features")
        raise Mistake(
            f"head 0 of token 0 holds the numbers {row(result[0, 0, 0])}: the right token, but not "
            f"neighbouring features. Cut the last axis as (n_heads, d_k), not (d_k, n_heads)"
        )
    b, h, t, _ = (token != own).nonzero()[0].tolist()
    came = sorted({int(n) for n in token[b, h, t]})
    origin = "token " + " and ".join(str(n % seq_len) for n in came)
    if any(n // seq_len != b for n in came):
        raise Mistake(
            f"sentence {b}, head {h}, row {t} holds the numbers {row(result[b, h, t])}, which came "
            f"from sentence {came[0] // seq_len}: sentences of a batch never mix"
        )
    trace = (
        f"sentence {b}, head {h}, row {t} holds the numbers {row(result[b, h, t])}, "
        f"which came from {origin}; want token {t}"
    )
    if torch.equal(result, x.reshape(batch, n_heads, seq_len, d_k)):
        raise Mistake(
            f"{trace}. view alone reads the numbers in memory order, so the shape is right and the "
            f"contents are mixed: cut each token first, then exchange two axes"
        )
    raise Mistake(f"{trace}. Only seq_len and n_heads may change places")


@exercise("0.4b")
def check_merge_heads(answer) -> str:
    """The way back: every token must get its own numbers again, in their old order."""
    x = numbered(*MERGED)
    heads = torch.stack(x.split(D_K, dim=-1), dim=1)          # (batch, n_heads, seq_len, d_k)
    try:
        result = call(answer, heads)
    except Mistake as mistake:
        if "view size is not compatible" in str(mistake):
            raise Mistake(
                "view refuses: after transpose the numbers no longer lie in the order of the axes. "
                "reshape copies them where it must"
            ) from mistake
        raise
    known = {
        SPLIT: "the shape has not changed: the heads of a token must end up side by side",
        (BATCH, TGT_LEN, N_HEADS, D_K): "the axes are in order now, but the last two are still "
        "two: put the n_heads groups of d_k side by side in one axis",
        (BATCH, TGT_LEN, D_K): "one head's width is left: heads are put side by side, not "
        "averaged or summed",
        (BATCH, N_HEADS * TGT_LEN, D_K): "heads and tokens became one axis: want heads and "
        "features in one axis",
        (BATCH, N_HEADS, TGT_LEN * D_K): "tokens and features became one axis: want heads and "
        "features in one axis",
    }
    if isinstance(result, Tensor) and tuple(result.shape) in known:
        raise Mistake(f"got shape {tuple(result.shape)}: {known[tuple(result.shape)]}")
    result = want_tensor(result, MERGED, "(batch, seq_len, n_heads * d_k)").double()
    judge_merge(result, x.double(), heads.double())
    x = numbered(3, 4, 10)
    heads = torch.stack(x.split(5, dim=-1), dim=1)
    result = want_tensor(call(answer, heads), (3, 4, 10), "(batch, seq_len, n_heads * d_k)")
    judge_merge(result.double(), x.double(), heads.double())
    return "Every number is back where it was"


def judge_merge(result: Tensor, x: Tensor, heads: Tensor) -> None:
    """Say for the first token that is not itself again what it holds."""
    batch, seq_len, d_model = x.shape
    want_finite(result, "merging computes nothing, it only moves numbers")
    if torch.equal(result, x):
        return
    own = torch.arange(batch * seq_len).view(batch, seq_len, 1)
    token = (result / d_model).floor().long()
    if (token == own).all():
        if torch.equal(result, heads.permute(0, 2, 3, 1).reshape(x.shape)):
            raise Mistake(
                f"token 0 holds {row(result[0, 0])}: its own numbers, but one from each head in "
                f"turn. Its heads must stay whole: all of head 0, then all of head 1"
            )
        raise Mistake(
            f"token 0 holds {row(result[0, 0])}: its own numbers in a new order. Head 0 comes first"
        )
    b, t, _ = (token != own).nonzero()[0].tolist()
    came = ", ".join(str(n % seq_len) for n in sorted({int(n) for n in token[b, t]}))
    trace = (
        f"sentence {b}, token {t} holds the numbers {row(result[b, t])}, "
        f"which came from tokens {came}"
    )
    if torch.equal(result, heads.reshape(x.shape)):
        raise Mistake(
            f"{trace}. reshape alone reads the heads in memory order: first bring seq_len in "
            f"front of n_heads"
        )
    raise Mistake(f"{trace}. Only the numbers of token {t} belong there")


@exercise("0.3")
def check_mask_broadcast(answer) -> str:
    """A mask for keys must lie on the last axis of the scores, with 1 on the axes between."""
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])   # (batch, src_len)
    result = call(answer, mask)
    known = {
        (BATCH, 1, SRC_LEN, 1): "the tokens lie on axis 2, the axis of the queries: this hides "
        "rows of the scores, and padded keys are still looked at. Keys are the last axis",
        (BATCH, SRC_LEN, 1, 1): "the tokens lie on axis 1, the axis of the heads: keys are the "
        "last axis",
        (1, 1, BATCH, SRC_LEN): "the sentences lie on axis 2, the axis of the queries: batch is "
        "axis 0",
        (1, BATCH, 1, SRC_LEN): "the sentences lie on axis 1, the axis of the heads: batch is "
        "axis 0",
        (BATCH, SRC_LEN): "the mask has two axes as before: from the right they meet tgt_len and "
        "src_len, so sentences would be taken for queries",
        (BATCH, 1, SRC_LEN): "three axes meet (n_heads, tgt_len, src_len) from the right, so "
        "sentences would be taken for heads: one more axis of size 1",
        (BATCH, 1, SRC_LEN, SRC_LEN): "this hides rows (queries) as well, or fixes their number: "
        "one axis of size 1 serves every query",
    }
    names = "(batch, 1, 1, src_len)"
    if isinstance(result, Tensor) and tuple(result.shape) in known:
        raise Mistake(f"got shape {tuple(result.shape)}: {known[tuple(result.shape)]}")
    result = want_tensor(result, (BATCH, 1, 1, SRC_LEN), names)
    if result.dtype != torch.bool:
        raise Mistake(f"want bool as it came (True = may look), got {result.dtype}")
    flat = result.flatten(1)
    if torch.equal(flat, ~mask):
        raise Mistake("True and False are exchanged: True stays 'may look'")
    if torch.equal(flat, mask.flip(1)):
        raise Mistake("the tokens come in reverse order: only axes are added, nothing turns round")
    if flat.all():
        raise Mistake("every entry is True, so padding stays visible: keep the values as given")
    if not torch.equal(flat, mask):
        raise Mistake(
            f"sentence 1 has {int(mask[1].sum())} real tokens, your mask shows "
            f"{int(flat[1].sum())}: add axes, do not move values"
        )
    return "The same keys are hidden from every head and every query"

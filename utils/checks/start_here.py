"""The checks of notebook 00: shapes, softmax, heads, and the mask that broadcasts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from utils.attention import merge_heads, split_heads
from utils.checks.core import Mistake, exercise
from utils.checks.kinds import Trial, agree, case

BATCH, N_HEADS, TGT_LEN, SRC_LEN, D_K = 2, 3, 5, 7, 4


# ---- 0.0 ----


@exercise("0.0")
def check_double(answer) -> str:
    """Twice the input, in a new tensor: shows how a check speaks."""
    agree(answer, lambda x: 2 * x, [
        case("the first numbers", torch.randn(BATCH, D_K)),
        case("numbers up to 200", 200 * torch.rand(3, 2, 5)),
        case("one number alone", torch.randn(1)),
    ], [
        (lambda x: x, "the result is the input itself: nothing was doubled"),
        (lambda x: x**2, "the result is the square of the input: want two times the input"),
    ], gradients=False, advice="Want two times the input")
    return "The input is untouched, too"


# ---- 0.1 ----


def matmul_shape(a_shape: tuple, b_shape: tuple) -> tuple:
    """The shape of a @ b."""
    return (*a_shape[:-1], b_shape[-1])


@exercise("0.1")
def check_matmul_shape(answer) -> str:
    """The shape of a batched matrix product, worked out from the two shapes."""

    def sizes(batch: int, n_heads: int, tgt_len: int, d_k: int, src_len: int, hint: str = ""):
        a, b = (batch, n_heads, tgt_len, d_k), (batch, n_heads, d_k, src_len)
        return case(f"{a} @ {b}", a, b, hint=hint)

    read = "work the shape out from a_shape and b_shape: is a number written into your code?"
    cases = [
        sizes(BATCH, N_HEADS, TGT_LEN, D_K, SRC_LEN),
        sizes(6, 2, 9, 8, 3, hint=read),
        sizes(1, 1, 1, 4, 2, hint="axes of size 1 stay, too"),
        sizes(3, 5, 2, 1, 11, hint=read),
    ]
    product = Trial(answer, matmul_shape, {}, None).ask(cases[0])
    if isinstance(product, Tensor) and product.dim() > 1:
        raise Mistake("want the shape, a tuple of four numbers, got a tensor: return its .shape")
    agree(answer, matmul_shape, cases, [
        (lambda a, b: (*a[:2], b[3], a[2]), "the last two axes are swapped: the rows of the "
         "product are the rows of a, its columns the columns of b"),
        (lambda a, b: (*a[1:3], b[3]), "the batch axis is missing: each sentence of the batch "
         "keeps its own product"),
        (lambda a, b: (a[0], a[2], b[3]), "the n_heads axis is missing: each head keeps its own "
         "product"),
        (lambda a, b: (a[2], b[3]), "only the last two axes are there: a @ b is one product for "
         "each pair of front indices, and those axes stay"),
        (lambda a, b: a, "this is the shape of a: where did the columns of b go?"),
        (lambda a, b: b, "this is the shape of b: where did the rows of a go?"),
        (lambda a, b: (*a[:2], a[3], a[3]), "d_k is the axis that is summed away: it cannot be "
         "left over"),
        (lambda a, b: (*a, b[3]), "d_k is still there: the product sums over it"),
        (lambda a, b: (a[1], a[0], a[2], b[3]), "the front axes changed places: they stay as they "
         "are"),
        (lambda a, b: a + b[2:], "the two shapes are put side by side: the inner axis that both "
         "share, d_k, must vanish"),
    ], axes={"the shape": ()}, advice=f"That is for {cases[0].words}: which axis of a and which "
        "of b survive the product?")
    return "The front axes stay, the inner d_k is summed away"


# ---- 0.2 ----


@exercise("0.2")
def check_softmax(answer) -> str:
    """Softmax over the last axis: what is shared out, what overflows, which row is which."""

    overflow = ("there exp() leaves the range of a float: subtract the row's largest score before "
                "it, the shares do not change")
    ends = "count the axis from the end, dim=-1"
    shape = BATCH, N_HEADS, TGT_LEN, SRC_LEN
    doubles = torch.randn(shape, dtype=torch.float64)
    agree(answer, lambda scores: scores.softmax(-1), [
        case("small scores", torch.randn(shape)),
        case("other sizes", torch.randn(3, 4, 6, 8)),
        case("one key", torch.randn(1, 2, 3, 1), hint="it gets the whole share, 1"),
        case("two axes", torch.randn(4, 3), hint=ends),
        case("one row alone", torch.randn(5), hint=ends),
        case("small scores as float64", doubles, hint="the type of the scores stays"),
        case("scores near 100", torch.randn(shape) + 100, hint=overflow),
        case("scores near -150", torch.randn(shape) - 150, hint=overflow),
        case("scores from 0 to 200", 200 * torch.rand(shape), hint=overflow, gradients=False),
        case("scores near 4000", doubles + 4000, hint=overflow),
        case("rows that lie 1000 apart", doubles + 1000 * torch.arange(TGT_LEN)[:, None],
             hint="treat each row by itself: the largest score that you subtract is the row's own"),
    ], softmax_mistakes(), axes={
        "the result": ("sentence", "head", "row", "key"),
        "scores": ("sentence", "head", "row", ""),
    }, explain=shares, float64=False, advice="Want exp(score) over the sum of the row's exp")
    return "Every row shares out 1, even at scores of 4000"


def softmax_mistakes() -> list[tuple[Callable, str]]:
    """Softmax with one step wrong, and what to say then."""

    def share(powers: Tensor) -> Tensor:
        return powers / powers.sum(-1, keepdim=True)

    def top(x: Tensor, dim: int = -1) -> Tensor:
        return x.amax(dim, keepdim=True)

    powers = torch.exp, lambda x: (x - top(x)).exp()
    return [
        *((lambda x, f=f, dim=dim: f(x, dim), f"the shares sum to 1 along {axis}: want the last "
          "axis, dim=-1") for dim, axis in (
              (0, "batch"), (1, "n_heads"), (2, "tgt_len"), (-2, "tgt_len"))
          for f in (torch.softmax, *(lambda x, dim, p=p: p(x) / p(x).sum(dim, keepdim=True)
                                     for p in powers))),
        *((f, "all numbers of the tensor together sum to 1: divide each row by its own sum, the "
           "sum over the last axis") for f in (
               lambda x: x.flatten().softmax(0).view_as(x),
               *(lambda x, p=p: p(x) / p(x).sum() for p in powers))),
        (lambda x: x.log_softmax(-1), "these are the logarithms of the shares: log_softmax, want "
         "softmax"),
        (lambda x: share(x), "the scores themselves are divided by their sum: exp() comes first"),
        *((f, "these are the powers before the division: divide by their sum over the last axis")
          for f in powers),
        (lambda x: (x == top(x)).to(x.dtype), "every number is 0 or 1: softmax shares, it does "
         "not choose one winner"),
        (lambda x: share(x.exp()), "nothing is subtracted, so exp() leaves the range of a float at "
         "large scores: subtract the row's largest score first, the shares do not change"),
        (lambda x: share((x - x.max()).exp()), "the largest score of the whole tensor is "
         "subtracted: a row that lies far below it gives 0/0. It must be the row's own"),
        (lambda x: share((x - top(x, -2)).exp()), "the largest score is taken along axis 2 "
         "(tgt_len). It must be the row's own"),
        (lambda x: share((x - x.mean(-1, keepdim=True)).exp()), "the mean of the row is "
         "subtracted: a score far above it still leaves the range. Subtract the largest"),
    ]


def shares(answered: list, wants: list) -> str:
    """What a row of wrong shares lacks: a sign, a sum."""
    result = answered[0]
    if (result < 0).any():
        return f"a share is negative ({result.min():.3g}): exp() makes every score positive"
    total = result.sum(-1).flatten()[0].item()
    return f"the first row sums to {total:.4g}: want 1" if abs(total - 1) > 1e-3 else ""


# ---- 0.3 ----


@exercise("0.3")
def check_mask_broadcast(answer) -> str:
    """A mask for keys must lie on the last axis of the scores, with 1 on the axes between."""

    def real(*lengths: int, src_len: int) -> Tensor:
        return torch.arange(src_len) < torch.tensor(lengths)[:, None]    # (batch, src_len)

    agree(answer, lambda mask: mask[:, None, None, :], [
        case("two sentences", real(SRC_LEN, 4, src_len=SRC_LEN)),
        case("other sizes", real(2, 9, 1, src_len=9)),
        case("a batch of one", real(3, src_len=4), hint="the axis of the batch stays"),
        case("one word", real(1, 1, 1, src_len=1), hint="the axis of the words stays"),
        case("a sentence of padding alone", real(0, 3, src_len=3), hint="hand False on"),
        case("padding in front", ~real(2, 0, src_len=5), hint="only axes are added"),
    ], [
        (lambda m: m[:, None, :, None], "the words lie on axis 2, the axis of the queries: this "
         "hides rows of the scores, and padded keys are still looked at. Keys are the last axis"),
        (lambda m: m[:, :, None, None], "the words lie on axis 1, the axis of the heads: keys are "
         "the last axis"),
        (lambda m: m[None, None], "the sentences lie on axis 2, the axis of the queries: batch is "
         "axis 0"),
        (lambda m: m[None, :, None], "the sentences lie on axis 1, the axis of the heads: batch "
         "is axis 0"),
        (lambda m: m, "the mask has two axes as before: from the right they meet tgt_len and "
         "src_len, so sentences would be taken for queries"),
        (lambda m: m[:, None], "three axes meet (n_heads, tgt_len, src_len) from the right, so "
         "sentences would be taken for heads: one more axis of size 1"),
        (lambda m: m[:, None, :, None] & m[:, None, None], "this hides rows (queries) as well: "
         "one axis of size 1 serves every query"),
        (lambda m: ~m[:, None, None], "True and False are exchanged: True stays 'may look'"),
        (lambda m: m.flip(1)[:, None, None], "the words come in reverse order: only axes are "
         "added, nothing turns round"),
        (lambda m: torch.ones_like(m)[:, None, None], "every entry is True, so padding stays "
         "visible: keep the values as given"),
    ], axes={"the result": ("sentence", "head", "query", "key")},
        advice="Add axes, do not move values")
    return "The same keys are hidden from every head and every query"


# ---- 0.4 ----

MOVED = "they are only moved, nothing is computed"


def numbered(batch: int, seq_len: int, d_model: int) -> Tensor:
    """The numbers 0, 1, 2, ... as (batch, seq_len, d_model): word t holds its own d_model."""
    return torch.arange(float(batch * seq_len * d_model)).view(batch, seq_len, d_model)


def origin(axes: tuple[str, ...]) -> Callable:
    """Say for the first wrong row from which word its numbers came, as `numbered` counts them."""

    def explain(answered: list, wants: list) -> str:
        got, want = (results[0].long() for results in (answered, wants))
        words = [part // (N_HEADS * D_K) for part in (got, want)]
        stray = (words[0] != words[1]).any(-1).nonzero().tolist()
        only_moved = torch.equal(got, answered[0]) and 0 <= got.min() <= got.max() <= want.max()
        if not stray or not only_moved:
            return ""
        place = tuple(stray[0])
        where = ", ".join(f"{axis} {i}" for axis, i in zip(axes, place))
        came = [f"word {n % TGT_LEN} of sentence {n // TGT_LEN}"
                for n in words[0][place].unique().tolist()]
        came = " and ".join(came) if len(came) < 3 else f"{len(came)} words"
        numbers = " ".join(map(str, got[place].tolist()))
        return (f"{where} holds the numbers {numbers}, which came from {came}: want those of word "
                f"{place[-1]} of sentence {place[0]}")

    return explain


@exercise("0.4a")
def check_split_heads(answer) -> str:
    """Numbers in order go in; every row of every head must hold its own word's numbers."""
    axes = ("sentence", "head", "word", "feature")

    def cut(x: Tensor, n_heads: int) -> Tensor:
        return x.reshape(*x.shape[:2], n_heads, -1)    # (batch, seq_len, n_heads, d_k)

    agree(answer, split_heads, [
        case("three heads", numbered(BATCH, TGT_LEN, N_HEADS * D_K), N_HEADS),
        case("numbers of both signs", torch.randn(BATCH, TGT_LEN, 12), N_HEADS, hint=MOVED),
        case("seven heads", torch.randn(4, 6, 56), 7),
        case("a batch of one", torch.randn(1, 4, 6), 3, hint="the axis of the batch stays"),
        case("one word", torch.randn(2, 1, 8), 4, hint="the axis of the words stays"),
        case("one head", torch.randn(2, 3, 4), 1, hint="the axis of the heads stays"),
        case("heads of one feature", torch.randn(2, 3, 4), 4),
    ], [
        (lambda x, h: cut(x, h), "the features are cut, but the axes are still (batch, seq_len, "
         "n_heads, d_k): one more move brings the heads in front of the words"),
        (lambda x, h: cut(x, h).transpose(2, 3), "you exchanged the last two axes: the pair to "
         "exchange is seq_len and n_heads, axes 1 and 2"),
        (lambda x, h: cut(x, h).transpose(0, 1), "you exchanged the batch with the words: the "
         "pair to exchange is seq_len and n_heads, axes 1 and 2"),
        (lambda x, h: cut(x, h).permute(0, 2, 3, 1), "d_k stands before seq_len: the features of "
         "a head must be the last axis"),
        (lambda x, h: cut(x, h).permute(2, 0, 1, 3), "the heads stand before the batch: batch is "
         "always the first axis"),
        (lambda x, h: x, "the shape has not changed: cut the last axis into n_heads groups"),
        (lambda x, h: x.reshape(len(x), h, x.size(1), -1), "view alone reads the numbers in "
         "memory order, so the shape is right and the contents are mixed: head 0, word 1 holds "
         "the numbers 4 5 6 7, which came from word 0. Cut each word first, then exchange two "
         "axes"),
        (lambda x, h: x.reshape(*x.shape[:2], -1, h).permute(0, 3, 1, 2), "head 0 of word 0 holds "
         "the numbers 0 3 6 9: the right word, but not neighbouring features. Cut the last axis "
         "as (n_heads, d_k), not (d_k, n_heads)"),
        (lambda x, h: split_heads(x, h).flip(1), "the heads come in reverse order: head 0 takes "
         "the first d_k features"),
        (lambda x, h: cut(x, h)[:, :, :1].transpose(1, 2).expand(-1, h, -1, -1), "every head got "
         "the first d_k features: head h takes the h-th group of d_k"),
    ], axes={"the result": axes}, explain=origin(axes),
        advice="Cut the last axis as (n_heads, d_k), then exchange seq_len and n_heads")
    return "Each row of each head holds numbers of its own token"


@exercise("0.4b")
def check_merge_heads(answer) -> str:
    """The way back: every word must get its own numbers again, in their old order."""
    axes = ("sentence", "word", "feature")
    x = numbered(BATCH, TGT_LEN, N_HEADS * D_K)
    first = case("three heads", split_heads(x, N_HEADS).contiguous())
    if "view size is not compatible" in str(Trial(answer, merge_heads, {}, None).ask(first)):
        raise Mistake("view refuses: after transpose the numbers no longer lie in the order of "
                      "the axes. reshape copies them where it must")
    agree(answer, merge_heads, [
        first,
        case("numbers of both signs", torch.randn(BATCH, N_HEADS, TGT_LEN, D_K), hint=MOVED),
        case("seven heads", torch.randn(4, 7, 6, 8)),
        case("heads that come from a transpose", split_heads(torch.randn(2, 3, 8), 4)),
        case("a batch of one", torch.randn(1, 3, 4, 2), hint="the axis of the batch stays"),
        case("one word", torch.randn(2, 4, 1, 2), hint="the axis of the words stays"),
        case("one head", torch.randn(2, 1, 3, 4), hint="its features are the whole word, "
             "and squeeze() must not take the axis of the heads before it is turned"),
        case("one head of one feature", torch.randn(2, 1, 3, 1), hint="the last axis stays"),
    ], [
        (lambda x: x, "the shape has not changed: the heads of a word must end up side by side"),
        (lambda x: x.transpose(1, 2), "the axes are in order now, but the last two are still two: "
         "put the n_heads groups of d_k side by side in one axis"),
        *((f, "one head's width is left: heads are put side by side, not averaged or summed")
          for f in (lambda x: x.mean(1), lambda x: x.sum(1))),
        (lambda x: x.flatten(1, 2), "heads and words became one axis: want heads and features in "
         "one axis"),
        (lambda x: x.flatten(2), "words and features became one axis: want heads and features in "
         "one axis"),
        (lambda x: x.reshape(len(x), x.size(2), -1), "reshape alone reads the heads in memory "
         "order: sentence 0, word 1 holds the numbers 36 37 38 39 48 49 50 51 4 5 6 7, which came "
         "from three words. First bring seq_len in front of n_heads"),
        (lambda x: x.permute(0, 2, 3, 1).flatten(2), "word 0 holds the numbers 0 4 8 1 5 9 2 6 10 "
         "3 7 11: its own, but one from each head in turn. Its heads must stay whole: all of head "
         "0, then all of head 1"),
        (lambda x: merge_heads(x.flip(1)), "the heads come in reverse order: word 0 holds its "
         "own numbers, but begins with 8 9 10 11. Head 0 comes first"),
    ], axes={"the result": axes}, explain=origin(axes),
        advice="Bring seq_len in front of n_heads, then close the last two axes")
    return "Every number is back where it was"

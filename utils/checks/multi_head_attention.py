"""The checks of notebook 08: many heads, torch's weights, the role table, a mask for each head."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial, wraps
from itertools import permutations, product

import torch
from torch import Tensor, nn

from utils.attention import MultiHeadAttention, masked_softmax, merge_heads, split_heads
from utils.checks.core import Mistake, NotAttempted, exercise
from utils.checks.kinds import (
    Case,
    agree,
    as_dtype,
    built,
    capital,
    case,
    judge_birth,
    keeps_nothing,
    only,
    run,
    want_trainable,
)
from utils.checks.results import difference

# All different, but that the first sentences ask themselves: there most mistakes run and can be
# named. d_k is not 4, where sqrt(d_k) and d_k / 2 are the same number.
BATCH, N_HEADS, TGT_LEN, SRC_LEN, D_K = 2, 3, 5, 7, 6
D_MODEL = N_HEADS * D_K
MAPS = ("query_map", "key_map", "value_map", "output_map")
OWN = MAPS[:3]


def randomise(model: nn.Module) -> nn.Module:
    """Give every parameter random entries, the biases too."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model


# ---- 8.1 ----

PARTS = {"output": ("sentence", "query", "feature"),
         "weights": ("sentence", "head", "query", "key")}
GIVEN = {"query": ("sentence", "query", ""), "key": ("sentence", "key", ""),
         "value": ("sentence", "key", "")}


@exercise("8.1")
def check_multi_head_attention(answer) -> str:
    """The four maps, then the weights of each head, then the output, then gradients."""
    cases = head_cases(answer)
    for place, mistakes, advice in (
        (1, weight_mistakes(), "Check map, split, product, division, softmax, in this order"),
        (0, output_mistakes(), "The weights are right: want weights @ v, merge_heads, output_map, "
         "in this order"),
    ):
        name = list(PARTS)[place]
        judge = partial(agree, only(look, place, list(PARTS)), only(attend, place, list(PARTS)),
                        axes={name: PARTS[name]} | GIVEN, float64=False)
        judge(cases, mistakes, advice=advice)
        judge([as_dtype(cases[0], torch.float64, "float64")], gradients=False, tolerance=1e-6,
              advice="So it is in float64: something has a type of its own")
    keeps_nothing(look, attend, cases, list(PARTS))
    want_trainable(cases[0].args[0])
    judge_birth(lambda: built(answer, D_MODEL, N_HEADS))
    return "Outputs, the weights of each head, masks and gradients are as they should be"


def look(net: nn.Module, n_heads: int, query: Tensor, key: Tensor, value: Tensor, mask):
    """What the learner's module gives."""
    return run(net, (query, key, value) if mask is None else (query, key, value, mask))


def with_heads(answer, d_model: int, n_heads: int) -> nn.Module:
    """Make the learner's module and look at its four maps."""
    net = built(answer, d_model, n_heads)
    maps = {name: getattr(net, name, None) for name in MAPS}
    if all(layer is ... for layer in maps.values()):
        raise NotAttempted
    d_k = d_model // n_heads
    named = {
        d_k: f"{d_k}, enough for one head: the heads stand side by side, d_model wide",
        n_heads * d_model: "d_model for each head, so more heads cost more: want d_k for each, "
        "d_model in all",
    }
    for name, layer in maps.items():
        if layer is ...:
            raise Mistake(f"{name} is still ...: make it nn.Linear(d_model, d_model)")
        if not isinstance(layer, nn.Linear):
            raise Mistake(f"want a layer called {name}, an nn.Linear: got {type(layer).__name__}")
        for way, size in (("reads", layer.in_features), ("makes", layer.out_features)):
            if size != d_model:
                raise Mistake(f"{name} {way} {named.get(size, size)}. Want it from d_model = "
                              f"{d_model} to d_model")
    if len(set(map(id, maps.values()))) < 4:
        raise Mistake("two of the four maps are one and the same layer: make each of its own")
    bare = [name for name, layer in maps.items() if layer.bias is None]
    if 0 < len(bare) < 4:
        raise Mistake(f"{bare[0]} has no bias (bias=False), others have: make the four maps alike")
    return randomise(net.eval())


def head_cases(answer) -> list[Case]:
    """Sizes, masks of two, three and four axes, padding, who sees nothing, large scores."""
    net, other, one = (with_heads(answer, *s) for s in ((D_MODEL, N_HEADS), (10, 2), (4, 1)))
    exact, training = with_heads(answer, 8, 2), copy.deepcopy(net).train()
    with torch.no_grad():
        for weight in exact.parameters():      # whole numbers, so that no rounding grows
            weight.copy_(weight.sign())
    for part in training.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0                       # a dropout of the answer's own is its own affair

    def some(*shape: int) -> Tensor:
        mask = torch.rand(shape) < 0.6
        mask[..., 0], mask[..., 1] = True, False         # each query sees a key, and not all
        return mask

    def heads(words: str, batch=BATCH, tgt_len=TGT_LEN, src_len=SRC_LEN, mask=None, hint="",
              net=net, sizes=(D_MODEL, N_HEADS), gradients=True) -> Case:
        query = torch.randn(batch, tgt_len, sizes[0])
        key, value = torch.randn(2, batch, src_len, sizes[0])
        return case(words, net, sizes[1], query, key, value, mask, hint=hint, gradients=gradients)

    real = torch.arange(TGT_LEN) < torch.tensor([[TGT_LEN], [TGT_LEN - 2]])
    axes = "ask how many axes a mask has, mask.dim(): its sizes may be any"
    two = "one of two axes fits the scores as it is, a row for each query"
    three = "a mask of three axes needs one more, for the heads: mask.unsqueeze(1)"
    four = "a mask of four axes has one for the heads already: pass it on as it is"
    blind = some(BATCH, TGT_LEN, SRC_LEN)
    blind[1, 2] = False
    large = [160.0 * torch.randint(-4, 5, (2, 5, 8)).float().sign() for _ in range(3)]
    return [
        heads("as many queries as keys", src_len=TGT_LEN, hint="is it (batch, n_heads, seq_len, "
              "d_k) before the product, heads in front of words?"),
        heads("5 queries and 7 keys"),
        heads("2 heads of width 5 in one sentence", 1, 4, 6, net=other, sizes=(10, 2)),
        heads("one head, one query, one key", 3, 1, 1, net=one, sizes=(4, 1)),
        heads("training mode", net=training, hint="nothing here may depend on the mode: no "
              "dropout is asked for"),
        heads("a mask of two axes", mask=some(TGT_LEN, SRC_LEN), hint="your forward takes "
              f"`mask` too; {two}"),
        heads("a padding mask of three axes (batch, 1, src_len)", src_len=TGT_LEN,
              mask=real.unsqueeze(1), hint=three),
        heads("a mask of three axes", mask=some(BATCH, TGT_LEN, SRC_LEN), hint=three),
        heads("as many sentences as heads and queries, a mask for each", 3, 3, 4,
              mask=some(3, 3, 4), hint="sentence 2's mask must not serve head 2: " + three),
        heads("a mask of one sentence", 1, mask=some(1, TGT_LEN, SRC_LEN), hint=three),
        heads("a mask for each head", mask=some(BATCH, N_HEADS, TGT_LEN, SRC_LEN), hint=four),
        heads("a mask (batch, n_heads, 1, src_len)", mask=some(BATCH, N_HEADS, 1, SRC_LEN),
              hint=four),
        heads("a mask (batch, 1, 1, src_len)", mask=some(BATCH, 1, 1, SRC_LEN), hint=four),
        heads("as many sentences as heads and queries, a mask of two axes", 3, 3, 4,
              mask=some(3, 4), hint=f"{axes}. {capital(two)}", gradients=False),
        heads("as many sentences as heads and queries, a mask of four axes", 3, 3, 4,
              mask=some(3, 3, 3, 4), hint=f"{axes}. {capital(four)}", gradients=False),
        heads("a query that may look nowhere", mask=blind, gradients=False, hint="want "
              "zeros there, as scaled_dot_product_attention gives"),
        heads("140 queries and 150 keys", 1, 140, 150, mask=some(1, 140, 150), gradients=False),
        case("scores of 10,000 and more", exact, 2, *large, some(2, 5, 5), hint="hide the scores "
             "before the softmax, with -inf, and leave the range to softmax itself",
             gradients=False),
    ]


def cut_by_view(x: Tensor, n_heads: int) -> Tensor:
    """What split_heads gives when the transpose is forgotten."""
    return x.reshape(len(x), n_heads, x.size(1), -1)


def cut_every_hth(x: Tensor, n_heads: int) -> Tensor:
    """What split_heads gives when the last two axes of the view are exchanged."""
    return x.unflatten(-1, (-1, n_heads)).permute(0, 3, 1, 2)


def join_by_view(x: Tensor) -> Tensor:
    """What merge_heads gives when the transpose is forgotten."""
    return x.reshape(len(x), x.size(2), -1)


def attend(
    net, n_heads, query, key, value, mask, *, maps: tuple = OWN, cut: Callable = split_heads,
    cut_key: Callable | None = None, cut_value: Callable | None = None,
    reads: Callable = lambda *given: given,
    divide: Callable = lambda q, k, h: q.size(-1) ** 0.5, share: Callable = masked_softmax,
    fit: Callable = lambda mask: mask.unsqueeze(1) if mask.dim() == 3 else mask,
    mix: Callable = torch.matmul, join: Callable = merge_heads,
    last: Callable = lambda net, joined, query: net.output_map(joined),
):
    """Output and weights from the learner's own maps; a known mistake has another step."""
    read = reads(query, key, value)
    q, k, v = (getattr(net, name)(x) if name else x for name, x in zip(maps, read))
    q, k, v = cut(q, n_heads), (cut_key or cut)(k, n_heads), (cut_value or cut)(v, n_heads)
    mask = mask if mask is None else fit(mask)
    weights = share(q @ k.transpose(-2, -1) / divide(q, k, n_heads), mask)
    return last(net, join(mix(weights, v)), query), weights


def step(place: int, **steps) -> Callable:
    """One result of attention with one step replaced."""
    return lambda *given: attend(*given, **steps)[place]


def weight_mistakes() -> list[tuple[Callable, str]]:
    """Weights with one step before them wrong, and what to say then."""
    by_width = ". And the division is by √d_model, want √d_k"
    cuts = [
        (cut_by_view, "the heads are cut by `view` alone, so a head holds pieces of several "
         "words: view as (batch, seq_len, n_heads, d_k), then transpose(1, 2)"),
        (cut_every_hth, "a head takes every n_heads-th feature: view as (…, n_heads, d_k), the "
         "heads before the width"),
    ]
    divisors = [
        (lambda q, k, h: (h * q.size(-1)) ** 0.5, "the scores are divided by √d_model: each head "
         "has only d_k = d_model / n_heads features, so want √d_k"),
        (lambda q, k, h: 1.0, "the scores are not divided: want √d_k"),
        (lambda q, k, h: q.size(-1), "the scores are divided by d_k itself: want its root"),
        (lambda q, k, h: q.size(-1) / 2, "the scores are divided by d_k / 2: `d_k ** 1 / 2` "
         "squares nothing, ** binds tighter than /. Write d_k ** 0.5"),
        (lambda q, k, h: h**0.5, "the scores are divided by √n_heads: the width of a head is on "
         "the last axis of q"),
        (lambda q, k, h: k.size(-2) ** 0.5, "the scores are divided by √src_len: want √d_k, the "
         "width of a head"),
        (lambda q, k, h: q.size(-2) ** 0.5, "the scores are divided by √tgt_len: want √d_k, the "
         "width of a head"),
        (lambda q, k, h: q.size(-1) ** -0.5, "the scores are multiplied by √d_k: divide"),
    ]
    free = [
        (lambda s: s.softmax(-2), "the softmax runs over the queries (axis -2): each query shares "
         "1 among its keys"),
        (lambda s: s.softmax(1), "the softmax runs over the heads (axis 1): heads do not compete, "
         "the keys of one head do"),
        (lambda s: s.softmax(0), "the softmax runs over the batch, axis 0: want the keys, axis -1"),
        (lambda s: s, "these are the scores: the softmax over the keys is missing"),
        (lambda s: s.softmax(-1).mean(1, keepdim=True).expand_as(s), "all heads have the same "
         "weights, their mean: each head keeps its own"),
    ]
    def causal(s):
        return torch.ones_like(s, dtype=torch.bool).tril()

    hidden = [
        (lambda s, m: s.softmax(-1), "the mask changes nothing: hand it on to the attention"),
        (lambda s, m: masked_softmax(s, ~m), "the mask is used the wrong way round: True means "
         "may look, unlike in nn.MultiheadAttention"),
        (lambda s, m: s.softmax(-1) * m, "hidden weights are set to 0 after the softmax, so rows "
         "sum to less than 1: hide the scores, with -inf, before it"),
        (lambda s, m: (s * m).softmax(-1), "hidden scores are set to 0, and exp(0) = 1: a hidden "
         "key still gets a share. Want -inf"),
        (lambda s, m: (s + m).softmax(-1), "the mask is added as 0 and 1: want -inf where it is "
         "False"),
        (lambda s, m: s.masked_fill(~m, -torch.inf).softmax(-1), "a query that may look nowhere "
         "gets nan, and nan spreads to every weight in training: want zeros, as "
         "scaled_dot_product_attention gives"),
        (lambda s, m: s.masked_fill(~m, -1e9).softmax(-1), "a query that may look nowhere still "
         "shares 1 among hidden keys: a large negative number is not -inf. Want zeros"),
    ]
    shares = [
        (lambda s, m: masked_softmax(s, causal(s) if m is None else m), "a causal mask is built "
         "in: without a mask each query sees all keys"),
        (lambda s, m: masked_softmax(s, causal(s) if m is None else m & causal(s)), "a causal "
         "mask is built in: hide what the argument `mask` hides, and no more"),
    ]
    fits = [
        (lambda m: m[:1, None] if m.dim() == 3 else m, "all sentences get the mask of the first: "
         "mask.unsqueeze(1), and no index into its batch"),
        (lambda m: (m[:, None] if m.dim() == 3 else m)[..., :1, :], "all queries get the mask's "
         "first row: each query has a row of its own"),
        (lambda m: m, "a mask of three axes needs one more, for the heads: without it the batch "
         "falls on the heads. mask.unsqueeze(1)"),
        (lambda m: m[:, None] if m.dim() == 3 else m[:, :1] if m.dim() == 4 else m, "a mask of "
         "four axes may differ from head to head, but all heads get the same: pass it on as it is"),
        (lambda m: (m.mT if m.size(1) == 1 and m.size(2) == 5 else m)[:, None] if m.dim() == 3
         else m, "the padding mask hides queries, not keys: PAD still gets a share. The last axis "
         "of the mask belongs to the keys"),
    ]
    sources = [
        (lambda q, k, v: (q, v, v), "the keys are made from `value`: key_map reads `key`"),
        (lambda q, k, v: (q, q, v), "the keys are made from `query`: make them from `key`, which "
         "may be another sentence"),
        (lambda q, k, v: (k, k, v), "the queries are made from `key`: make them from `query`"),
        (lambda q, k, v: (k, q, v), "queries are made from `key`, and keys from `query`: one row "
         "for each query, from `query`"),
    ]
    names = [pair for pair in product((*OWN, None), repeat=2) if pair != OWN[:2]]
    results = [
        (lambda o, w: o, "the two results come in the wrong order: output first, then weights"),
        (lambda o, w: w.mean(1), "the weights have no axis for the heads: return those of each "
         "head, not their mean"),
        (lambda o, w: w.sum(1), "the weights have no axis for the heads: return those of each "
         "head, not their sum"),
        (lambda o, w: w.flatten(0, 1), "the weights have batch and heads in one axis: keep them "
         "apart, (batch, n_heads, tgt_len, src_len)"),
    ]
    return [
        *((step(1, divide=f), words) for f, words in divisors),
        *((step(1, cut=f), words) for f, words in cuts),
        *((step(1, cut=f, divide=divisors[0][0]), words + by_width) for f, words in cuts),
        (step(1, cut=cut_by_view, cut_key=split_heads), "the queries alone are cut by `view`, so a "
         "head holds pieces of several words: use split_heads for q, too"),
        (step(1, cut_key=cut_by_view), "the keys alone are cut by `view`, so a head holds pieces "
         "of several words: use split_heads for k, too"),
        *((step(1, share=lambda s, m, f=f: masked_softmax(s, m) if m is not None else f(s)), words)
          for f, words in free),
        *((step(1, share=lambda s, m, f=f: s.softmax(-1) if m is None else f(s, m)), words)
          for f, words in hidden),
        *((step(1, share=f), words) for f, words in shares),
        *((step(1, fit=f), words) for f, words in fits),
        *((step(1, reads=f), words) for f, words in sources),
        *((step(1, maps=(*pair, "value_map")), "queries come from {} and keys from {}: want "
           "query_map and key_map".format(*(name or "no map at all" for name in pair)))
          for pair in names),
        *((lambda *given, f=f: f(*attend(*given)), words) for f, words in results),
        (step(1, cut=lambda x, h: x.unflatten(-1, (h, -1)), join=lambda c: c.flatten(2)), "the "
         "heads look at one another: before the product the axes must be (batch, n_heads, "
         "seq_len, d_k), heads in front of words"),
        (step(1, share=lambda s, m: masked_softmax(s.mT, m)), "the weights are (src_len, "
         "tgt_len), one row for each key: queries stand on the left of the product"),
    ]


def output_mistakes() -> list[tuple[Callable, str]]:
    """Outputs with right weights and one step after them wrong, and what to say then."""

    def bare(net, joined, query):
        return joined

    return [(step(0, **steps), words) for steps, words in [
        (dict(last=bare), "W^O is missing: these are the heads side by side. Pass them through "
         "output_map"),
        (dict(join=join_by_view, last=bare), "the heads are joined by `view` alone and W^O is "
         "missing: merge_heads, then output_map"),
        (dict(join=join_by_view), "the heads are joined by `view` or `reshape` alone, so the "
         "words are mixed up: transpose back first, as merge_heads does"),
        (dict(cut_value=cut_by_view), "the values are cut by `view` alone, so a head holds pieces "
         "of several words: use split_heads for v, too"),
        (dict(cut_value=cut_by_view, join=join_by_view), "values are cut and heads joined by "
         "`view` alone: use split_heads and merge_heads"),
        (dict(cut_value=cut_every_hth), "a head takes every n_heads-th feature of the values: use "
         "split_heads for v, too"),
        (dict(join=lambda c: merge_heads(c.flip(1))), "the heads are joined in reverse order"),
        (dict(join=lambda c: c.permute(0, 2, 3, 1).flatten(2)), "the heads are joined feature by "
         "feature, the head as last axis: want all of head 1, then all of head 2"),
        (dict(join=lambda c: c.mean(1).repeat(1, 1, c.size(1))), "the heads are averaged: they "
         "stand side by side, and only W^O mixes them"),
        (dict(join=lambda c: c.sum(1).repeat(1, 1, c.size(1))), "the heads are added up before "
         "W^O: they stand side by side"),
        (dict(join=lambda c: c, last=bare), "the output still has an axis for the heads: "
         "merge_heads and output_map are missing"),
        (dict(join=lambda c: c.mean(1), last=bare), "the output has the width of one head: put "
         "the heads side by side with merge_heads, do not average them"),
        (dict(mix=lambda w, v: w.mean(1, keepdim=True) @ v), "the values are mixed by the mean of "
         "all heads' weights: each head mixes with its own"),
        (dict(last=lambda net, j, q: net.output_map(net.output_map(j))), "output_map is applied "
         "twice"),
        (dict(last=lambda net, j, q: j @ net.output_map.weight.T), "the bias of output_map is "
         "missing: call the layer"),
        (dict(last=lambda net, j, q: j @ net.output_map.weight + net.output_map.bias), "the "
         "weight of output_map is turned round: call the layer, it transposes itself"),
        (dict(last=lambda net, j, q: q + net.output_map(j)), "the query is added to the output: "
         "that residual connection belongs to the block around this part (notebook 10)"),
        (dict(maps=(*OWN[:2], None)), "the values pass through no map: want value_map"),
        (dict(maps=(*OWN[:2], "key_map")), "the values come from key_map: want value_map"),
        (dict(maps=(*OWN[:2], "query_map")), "the values come from query_map: want value_map"),
        (dict(reads=lambda q, k, v: (q, k, k)), "the values are made from `key`: value_map reads "
         "`value`"),
        (dict(reads=lambda q, k, v: (q, k, k), maps=(*OWN[:2], "key_map")), "the weights mix the "
         "keys: keys are for finding, want the values mixed"),
    ]] + [
        (lambda *given: attend(*given[:5], None)[0], "with a mask the weights are right, the "
         "output is not: mix with the masked weights"),
        (lambda net, h, *given: attend(net, h, *given)[0] + (h - 1) * net.output_map.bias, "the "
         "bias of output_map is added once for each head: once for all is wanted"),
    ]


# ---- 8.2 ----


@exercise("8.2")
def check_copy_from_torch(answer) -> str:
    """The order of the three maps, their direction, the biases, W^O; the same output at the end."""
    pairs = [(randomise(nn.MultiheadAttention(d, h, batch_first=True)),
              randomise(MultiHeadAttention(d, h))) for d, h in ((D_MODEL, N_HEADS), (8, 2), (3, 1))]
    cases = [case(f"d_model {theirs.embed_dim}", theirs, ours) for theirs, ours in pairs]
    cases.append(as_dtype(cases[0], torch.float64, "modules of float64"))
    stages = [[f"{name}.{part}" for name in OWN] for part in ("weight", "bias")]
    stages.append(["output_map.weight", "output_map.bias"])
    for parts, mistakes in zip(stages, copy_mistakes()):

        def filled(theirs, ours, fill, parts=parts):
            net = fill(theirs, ours)
            return tuple(getattr(getattr(net, name), part) for name, part in (
                part.split(".") for part in parts))

        agree(partial(filled, fill=partial(fill_by, answer)), partial(filled, fill=copied), cases,
              [(partial(filled, fill=wrong), words) for wrong, words in mistakes],
              axes={part: ("out", "in") if "weight" in part else ("out",) for part in parts},
              gradients=False, float64=False)
    x, y = torch.randn(BATCH, TGT_LEN, D_MODEL), torch.randn(BATCH, SRC_LEN, D_MODEL)
    theirs, ours = copy.deepcopy(pairs[0])
    ours = fill_by(answer, theirs, ours)
    if difference(ours(x, y, y)[0], theirs(x, y, y)[0], ["output"], {}):
        raise Mistake("the copies are right, but the outputs differ: change nothing else in ours")
    want_trainable(ours)
    return "Both give the same output now"


def copied(theirs: nn.Module, ours: nn.Module, weights: Callable = lambda w: w.chunk(3),
           biases: Callable = lambda b: b.chunk(3), out: Callable = lambda w, b: (w, b)):
    """Ours with torch's numbers; a known mistake takes the thirds in another way."""
    ours = copy.deepcopy(ours)
    with torch.no_grad():
        parts = zip(OWN, weights(theirs.in_proj_weight), biases(theirs.in_proj_bias))
        for name, weight, bias in parts:
            getattr(ours, name).weight.copy_(weight)
            getattr(ours, name).bias.copy_(bias)
        last = out(theirs.out_proj.weight, theirs.out_proj.bias)
        for own, part in zip((ours.output_map.weight, ours.output_map.bias), last):
            own.copy_(own if part is None else part)
    return ours


def fill_by(answer, theirs: nn.Module, ours: nn.Module) -> nn.Module:
    """Run the answer; it must give ours back, leave torch's module alone and share nothing."""
    before = [p.detach().clone() for p in theirs.parameters()]
    try:
        result = run(answer, (theirs, ours))
    except Mistake as mistake:
        if "leaf Variable" in str(mistake):
            raise Mistake("torch follows parameters to find gradients, and refuses to overwrite "
                          "them: put the copies inside `with torch.no_grad():`") from mistake
        raise
    if result is theirs:
        raise Mistake("this is torch's module: fill `ours` and return it")
    if result is not ours:
        raise Mistake(f"want `ours` itself, filled and returned; got {type(result).__name__}")
    if not all(map(torch.equal, before, theirs.parameters())):
        raise Mistake("your function changes torch's module: only `ours` is to be filled")
    torchs = {p.untyped_storage().data_ptr() for p in theirs.parameters()}
    for name, weight in ours.named_parameters():
        if weight.untyped_storage().data_ptr() in torchs:
            raise Mistake(f"`{name}` lies in torch's own memory: training one module would change "
                          "the other. Copy it with copy_")
    return ours


def copy_mistakes() -> tuple[list[tuple[Callable, str]], ...]:
    """Fillings that are wrong: in the weights of our three maps, in their biases, in W^O."""

    def kept(theirs, ours, names=OWN):
        full, old = copied(theirs, ours), copy.deepcopy(ours)
        for name in set(OWN) - set(names):
            setattr(old, name, getattr(full, name))
        return old

    def added(theirs, ours):
        full = copied(theirs, ours)
        with torch.no_grad():
            for name in OWN:
                getattr(full, name).weight.add_(getattr(ours, name).weight)
        return full

    weights = [
        *(([0, 1, 2] if order is None else list(order), words) for order, words in [
            *((o, f"query_map, key_map and value_map got torch's {', '.join('qkv'[i] for i in o)}"
               ": the order is q, k, v") for o in permutations(range(3)) if o != (0, 1, 2)),
            ((0, 0, 0), "all three maps got the first third: chunk(3) gives one for each")]),
        (lambda w: [third.T for third in w.chunk(3)], "the matrices are transposed: torch and "
         "nn.Linear both hold (out, in), so copy them as they are"),
        (lambda w: [w[i::3] for i in range(3)], "every third row is taken: the three matrices "
         "stand below one another, so take d_model rows at a time, chunk(3)"),
        (lambda w: [third.flip(0) for third in w.chunk(3)], "the rows are in reverse order"),
    ]
    biases = [
        *((list(o), "the biases are in another order than the weights: q, k, v for both")
          for o in permutations(range(3)) if o != (0, 1, 2)),
        ([0, 0, 0], "all three biases are the first third of in_proj_bias"),
        (lambda b: [b[i::3] for i in range(3)], "of in_proj_bias every third entry is taken: "
         "chunk(3), as for the weight"),
        (lambda b: [torch.zeros_like(third) for third in b.chunk(3)], "the biases of the three "
         "maps are 0: torch has in_proj_bias"),
    ]

    def picks(how):
        return (lambda w: [w.chunk(3)[i] for i in how]) if isinstance(how, list) else how

    return (
        [
            *((partial(copied, weights=picks(how)), words) for how, words in weights),
            (kept, "the weights of query_map, key_map and value_map are as before: fill them with "
             "copy_, an assignment to a local name changes nothing"),
            (added, "torch's weights are added to the old ones: copy_ replaces"),
            *((partial(kept, names=[name]), f"the weight of {name} is as before: three matrices "
               "are to be copied") for name in OWN),
        ],
        [
            *((partial(copied, biases=picks(how)), words) for how, words in biases),
            (kept, "the weights are right, but in_proj_bias is ignored: copy its thirds, too"),
        ],
        [(partial(copied, out=how), words) for how, words in [
            (lambda w, b: (None, None), "out_proj is forgotten: it is W^O, our output_map"),
            (lambda w, b: (None, b), "the weight of out_proj is forgotten"),
            (lambda w, b: (w, None), "the bias of out_proj is forgotten"),
            (lambda w, b: (w.T, b), "the weight of out_proj is transposed: copy it as it is"),
        ]],
    )


# ---- 8.3 ----

TABLE = {"scores": ("seed", "head", "role"), "chance": ("role",), "best": ("role",)}


@exercise("8.3")
def check_role_table(answer) -> str:
    """The scores, then the chance level, then the best head over the seeds."""

    def attention(words, n_seeds, n_heads, n_roles, lengths: list[int], sharp=2.0, all_have=True):
        real = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
        gold = (torch.rand(len(lengths), n_roles, max(lengths)) < 0.4) & real.unsqueeze(1)
        if all_have:
            gold[..., 0] |= ~gold.any(-1)
        else:
            gold[0] = False
        logits = sharp * torch.randn(n_seeds, len(lengths), n_heads, max(lengths))
        return case(words, masked_softmax(logits, real.unsqueeze(1)), gold, real)

    cases = [
        attention("2 seeds, 6 sentences, 3 heads, 4 roles", 2, 3, 4, [7, 5, 6, 4, 7, 5]),
        attention("3 seeds, 4 sentences, 2 heads, 5 roles", 3, 2, 5, [3, 8, 2, 6]),
        attention("one seed, one sentence, one head, one role", 1, 1, 1, [4]),
        attention("one sentence", 2, 3, 4, [5]),
        attention("sentences without padding", 2, 3, 4, [5, 5, 5]),
        attention("heads that look at one word alone", 2, 4, 3, [7, 5, 6], sharp=400.0),
        attention("a sentence in which no word has a role", 2, 3, 4, [7, 5, 6], all_have=False),
    ]
    for (name, axes), mistakes, advice in zip(TABLE.items(), table_mistakes(), (
        "want the attention on the role's words, mean over sentences",
        "want its words divided by the real words, mean over sentences",
        "want the score of the best head in each seed, mean over seeds",
    )):
        place = list(TABLE).index(name)
        agree(only(answer, place, list(TABLE)), only(role_table, place, list(TABLE)), cases,
              mistakes, axes={name: axes}, advice=f"For each entry {advice}", gradients=False,
              float64=False)
    return "Heads are compared inside a seed, never by their number across seeds"


def role_table(weights: Tensor, gold: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (n_seeds, n_heads, n_roles), chance (n_roles,), best (n_roles,)."""
    scores = (weights @ gold.float().transpose(1, 2)).mean(1)
    chance = (gold.sum(-1) / real.sum(-1, keepdim=True)).mean(0)
    return scores, chance, scores.amax(1).mean(0)


def table_mistakes() -> tuple[list, list, list]:
    """Scores, chances and best heads with one thing wrong, and what to say then."""

    def brightest(hits, weights, gold, real):
        spread = gold.float().expand(len(weights), *gold.shape)
        places = weights.argmax(-1).unsqueeze(2).expand(-1, -1, gold.size(1), -1)
        return spread.gather(-1, places).mean(1).transpose(1, 2)

    scores = [
        (lambda h, w, g, r: h[:, 0], "the scores are those of the first sentence: one picture "
         "proves nothing, take the mean over all"),
        (lambda h, w, g, r: (w @ g[:1].float().mT).mean(1), "all sentences are scored with the "
         "gold of the first: each has its own"),
        (lambda h, w, g, r: (w.unsqueeze(3) * g.unsqueeze(1)).amax(-1).mean(1), "this is the "
         "largest weight on one word of the role: add up all of its words"),
        (lambda h, w, g, r: h.amax(1), "the best sentence is picked: take the mean over all of "
         "them"),
        (lambda h, w, g, r: h.median(1).values, "this is the median over sentences: want the mean"),
        (lambda h, w, g, r: h.sum(1), "the sentences are added up: divide by their number"),
        (lambda h, w, g, r: h.sum(1) / r.size(1), "the sum over sentences is divided by src_len: "
         "divide by the number of sentences"),
        (lambda h, w, g, r: h.sum(1) / r.sum(), "the attention is divided by the number of words: "
         "want the mean over sentences"),
        (lambda h, w, g, r: h.sum(1) / g.sum((0, 2)), "the attention is divided by the number of "
         "gold words: want a role's whole share, as a mean over sentences"),
        *((lambda h, w, g, r, least=least: (h / g.sum(-1).clamp(min=least).unsqueeze(1)).mean(1),
           "the attention is divided by the number of the role's words: want all of it, added up")
          for least in (0, 1)),
        (brightest, "this counts how often the brightest word has the role: want the attention "
         "itself, added up over the role's words"),
        (lambda h, w, g, r: h.mean(1) - role_table(w, g, r)[1], "chance is taken off already: "
         "return scores and chance apart"),
        (lambda h, w, g, r: 1 - h.mean(1), "this is the attention on all other words: gold is "
         "True at the role's words"),
        (lambda h, w, g, r: h.mean(1) / r.float().mean(), "the scores are divided by the share of "
         "real words: padding has weight 0 already"),
        (lambda h, w, g, r: h.mean(1).mT, "heads and roles are exchanged in scores: want "
         "(n_seeds, n_heads, n_roles)"),
        (lambda h, w, g, r: h.mean((0, 1)), "the seeds are averaged: head 1 of one seed is not "
         "head 1 of another, so keep the axis of the seeds"),
        (lambda h, w, g, r: h, "scores still has the axis of the sentences: take the mean over "
         "it, dim=1"),
        (lambda h, w, g, r: h.mean(0), "the mean runs over the seeds, dim=0: want it over the "
         "sentences, dim=1"),
        (lambda h, w, g, r: h.mean(2), "the mean runs over the heads: want it over the sentences"),
        (lambda h, w, g, r: h.mean(3), "the mean runs over the roles: want it over the sentences"),
    ]
    chance = [
        (lambda g, r: g.float().mean((0, 2)), "chance counts padding: divide by the number of "
         "real words of each sentence, not by src_len"),
        (lambda g, r: g.sum((0, 2)) / r.sum(), "chance is taken over all words together: divide "
         "inside each sentence, then take the mean, as for the scores"),
        (lambda g, r: (1 / r.sum(-1)).mean().expand(g.size(1)), "chance is that of one word: a "
         "role may have several"),
        (lambda g, r: torch.full(g.shape[1:2], 1 / r.size(1)), "chance is 1 / src_len: a role may "
         "have several words, and padding is no word"),
        (lambda g, r: torch.full(g.shape[1:2], 1 / g.size(1)), "chance is 1 / n_roles: a head "
         "shares its attention among words, not among roles"),
        (lambda g, r: (g.sum(-1) / r.sum(-1, keepdim=True))[0], "chance is that of the first "
         "sentence: take the mean over all"),
        (lambda g, r: (g.sum(-1) / r.sum(-1, keepdim=True)).sum(0), "chance is added up over the "
         "sentences: take the mean"),
        (lambda g, r: g.sum(-1).float().mean(0), "chance is the number of words of the role: "
         "divide by the number of real words"),
        (lambda g, r: 1 - (g.sum(-1) / r.sum(-1, keepdim=True)).mean(0), "this is the chance to "
         "miss: count the role's words"),
    ]
    best = [
        (lambda s: s.mean(0).amax(0), "the seeds are averaged head by head, then the best is "
         "taken: head 1 of one seed is not head 1 of another. Take the best head inside each seed "
         "first"),
        (lambda s: s[:, s[0].argmax(0), torch.arange(s.size(2))].mean(0), "the head that is best "
         "in the first seed serves all seeds: choose the best head in each"),
        (lambda s: s.amax(1).sum(0) / 3, "the sum over seeds is divided by 3: the number of seeds "
         "is weights.size(0)"),
        (lambda s: s.amax(1).median(0).values, "this is the median over seeds: want the mean"),
        (lambda s: s.amax((0, 1)), "the best head of the best seed is picked: take the best head "
         "of each seed, then the mean over seeds"),
        (lambda s: s.amax(1).amin(0), "the worst seed is picked: want the mean over seeds"),
        (lambda s: s.mean((0, 1)), "this is the mean over all heads: want the best head of each "
         "seed"),
        (lambda s: s[0].amax(0), "only the first seed counts: want the mean over seeds"),
        (lambda s: s[-1].amax(0), "only the last seed counts: want the mean over seeds"),
        (lambda s: s.amin(1).mean(0), "this is the worst head of each seed: want amax"),
        (lambda s: s[:, 0].mean(0), "this is head 1 of every seed: choose the best head in each"),
        (lambda s: s.amax(1).sum(0), "the seeds are added up: take their mean"),
        (lambda s: s.amax(1), "best still has the axis of the seeds: take the mean over it"),
        (lambda s: s.amax(2).mean(0), "best has one number for each head: want one for each role"),
        (lambda s: s.mean(0).argmax(0), "best holds the numbers of heads, as argmax gives: want "
         "the scores, amax"),
    ]
    return (
        [(lambda w, g, r, f=f: f(w @ g.float().transpose(1, 2), w, g, r), words)
         for f, words in scores],
        [(lambda w, g, r, f=f: f(g, r), words) for f, words in chance],
        [*((lambda w, g, r, f=f: f(role_table(w, g, r)[0]), words) for f, words in best),
         (lambda w, g, r: (w @ g.float().mT).amax(2).mean((0, 1)), "the best head is chosen anew "
          "in each sentence: choose it in each seed, by its mean over the sentences")],
    )


# ---- 8.4 ----

TWO = {"ours": ("sentence", "head", "query", "key"), "theirs": ("sentence · head", "query", "key")}


@exercise("8.4")
def check_head_masks(answer) -> str:
    """Our mask of four axes, then torch's of three: shape, polarity, and the order of the rows."""

    def heads(words: str, lengths: list[int], keep: list[int], tgt_len: int) -> Case:
        real = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
        return case(words, real, torch.tensor(keep).bool(), tgt_len)

    cases = [
        heads("2 sentences, 3 heads, 5 queries", [7, 4], [1, 1, 0], 5),
        heads("3 sentences, 2 heads, 4 queries", [2, 6, 5], [0, 1], 4),
        heads("3 sentences, 3 heads, 3 queries and keys", [3, 1, 2], [1, 0, 0], 3),
        heads("one sentence, one query", [4], [1, 0, 1, 1], 1),
        heads("one head", [3, 5], [1], 6),
        heads("all heads off", [3, 5], [0, 0], 2),
    ]
    whole = only(answer, 0, list(TWO))

    @wraps(whole)
    def ours(*given, **named):
        mask = whole(*given, **named)
        real, keep, tgt_len = *given, *named.values()
        rows = (len(real), len(keep), tgt_len, real.size(1))
        is_whole = isinstance(mask, Tensor) and mask.shape == rows
        return mask[:, :, :1] if is_whole and (mask == mask[:, :, :1]).all() else mask

    both = "Want True where the head stays on and the token is real"
    for place, own, advice in ((0, ours, both), (1, only(answer, 1, list(TWO)), "Want True exactly "
                                "where ours is False, row b * n_heads + h")):
        name = list(TWO)[place]
        agree(own, only(head_masks, place, list(TWO)), cases, mask_mistakes()[place],
              axes={name: TWO[name]}, advice=advice)
    return f"Row {N_HEADS} of torch's mask is head 1 of sentence 2"


def head_masks(real: Tensor, keep: Tensor, tgt_len: int) -> tuple[Tensor, Tensor]:
    """Ours (batch, n_heads, 1, src_len), theirs (batch * n_heads, tgt_len, src_len)."""
    ours = keep.view(1, -1, 1, 1) & real[:, None, None, :]
    return ours, ~ours.expand(-1, -1, tgt_len, -1).flatten(0, 1)


def mask_mistakes() -> tuple[list[tuple[Callable, str]], list[tuple[Callable, str]]]:
    """Our mask and torch's with one thing wrong, and what to say then."""
    joined = [
        (lambda r, k: r & k, lambda m: ~m, "ours is the wrong way round: for our class True means "
         "may look"),
        (lambda r, k: r & k, lambda m: m.transpose(0, 1), "batch and heads are exchanged in ours: "
         "the batch comes first"),
        (lambda r, k: r & k, lambda m: m.squeeze(2), "ours has three axes, which are read as "
         "(batch, tgt_len, src_len): the heads would be taken for queries. Want four, the third "
         "of size 1"),
        (lambda r, k: r, lambda m: m, "ours has no heads: all of them would get the same mask. "
         "`keep` is missing"),
        (lambda r, k: r | k & ~k, lambda m: m, "ours lets every head look: `keep` is ignored"),
        (lambda r, k: k | r & ~r, lambda m: m, "ours shows the padding: `real` is ignored"),
        (lambda r, k: r | k, lambda m: m, "ours joins the two with `or`: a head may look where "
         "the token is real *and* the head stays on"),
        (lambda r, k: r & ~k, lambda m: m, "`keep` is turned round in ours: True there means the "
         "head stays on"),
        (lambda r, k: ~r & k, lambda m: m, "`real` is turned round in ours: True there means a "
         "real token"),
        (lambda r, k: r ^ k, lambda m: m, "ours is True where exactly one of the two holds: want "
         "both, `&`"),
    ]

    def built_of(sentences, heads):
        """Torch's mask with the rows of real and keep repeated in these ways."""
        def theirs(real, keep, tgt_len):
            rows = sentences(real, len(keep)) & heads(keep, len(real)).unsqueeze(1)
            return ~rows.unsqueeze(1).expand(-1, tgt_len, -1)
        return theirs

    def each(x, n):
        return x.repeat_interleave(n, 0)

    def whole(x, n):
        return x.repeat(n, *[1] * (x.dim() - 1))

    def heads_first(real, keep, tgt_len):
        mask = head_masks(real, keep, tgt_len)[0].expand(-1, -1, tgt_len, -1)
        return ~mask.transpose(0, 1).flatten(0, 1)

    def of(change):
        return lambda real, keep, tgt_len: change(
            head_masks(real, keep, tgt_len)[1].unflatten(0, (len(real), len(keep))))

    return (
        [*((lambda r, k, t, f=f, g=g: g(f(r[:, None, None, :], k.view(1, -1, 1, 1))), words)
           for f, g, words in joined),
         (lambda r, k, t: head_masks(r[:1].expand(len(r), -1), k, t)[0], "ours gives all sentences "
          "the padding of the first"),
         (lambda *given: head_masks(*given)[1], "ours has torch's shape: are the two masks in the "
          "wrong order?")],
        [(of(lambda m: ~m.flatten(0, 1)), "theirs is True where a head may look: torch's True "
          "means hidden, turn it with ~"),
         (of(lambda m: m), "theirs has four axes: flatten(0, 1) joins batch and heads into one"),
         (of(lambda m: m.flatten(0, 1).mT), "queries and keys are exchanged in theirs: want "
          "tgt_len, then src_len"),
         (of(lambda m: m.flatten(0, 1)[:, :1]), "the queries of theirs have size 1: torch does "
          "not broadcast this mask, expand it to tgt_len first"),
         (of(lambda m: m.flatten(0, 1)[: len(m)]), "theirs has one mask for each sentence: torch "
          "wants one for each sentence and head, batch * n_heads of them"),
         (of(lambda m: m[:, 0]), "theirs has one mask for each sentence, that of its first head: "
          "torch wants one for each sentence and head, batch * n_heads of them"),
         (heads_first, "in theirs the sentences of head 1 come first: torch wants the heads of "
          "sentence 1 first. repeat where repeat_interleave is meant does that, or a transpose"),
         (lambda *given: ~heads_first(*given), "theirs has the sentences of head 1 first, and "
          "True where a head may look: wrong order, wrong way round"),
         (lambda r, k, t: ~head_masks(r, k, t)[0].repeat(1, t, 1, 1).view(-1, t, r.size(1)), "the "
          "heads are repeated where the queries should be, so a block of theirs holds rows of "
          "several heads: expand the third axis"),
         (built_of(whole, whole), "the rows of `real` are repeated as a whole, `repeat`: each "
          "sentence must come n_heads times in a row, `repeat_interleave`"),
         (built_of(each, each), "each entry of `keep` comes batch times in a row: repeat `keep` "
          "as a whole, once for each sentence"),
         (lambda r, k, t: ~(each(r, len(k)) | whole(k, len(r)).unsqueeze(1)).unsqueeze(1).expand(
             -1, t, -1), "theirs hides only what is padding and in a head that is off: want what "
          "is one of the two, since not (a and b) is (not a) or (not b)"),
         (lambda r, k, t: ~each(r, len(k)).unsqueeze(1).expand(-1, t, -1), "theirs hides the "
          "padding only: `keep` is ignored"),
         (lambda r, k, t: ~whole(k, len(r)).view(-1, 1, 1).expand(-1, t, r.size(1)), "theirs "
          "hides the heads only: `real` is ignored")],
    )

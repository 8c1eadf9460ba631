"""The checks of notebook 08: many heads, torch's weights, the role table, a mask for each head."""

from collections.abc import Callable
from itertools import permutations, product

import torch
from torch import Tensor, nn

from utils.attention import MultiHeadAttention, masked_softmax, merge_heads, split_heads
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


def cut_by_view(x: Tensor, n_heads: int) -> Tensor:
    """What split_heads gives when the transpose is forgotten."""
    batch, seq_len, d_model = x.shape
    return x.reshape(batch, n_heads, seq_len, d_model // n_heads)


def cut_every_hth(x: Tensor, n_heads: int) -> Tensor:
    """What split_heads gives when the last two axes of the view are exchanged."""
    batch, seq_len, d_model = x.shape
    return x.reshape(batch, seq_len, d_model // n_heads, n_heads).permute(0, 3, 1, 2)


def join_by_view(x: Tensor) -> Tensor:
    """What merge_heads gives when the transpose is forgotten."""
    batch, n_heads, seq_len, d_k = x.shape
    return x.reshape(batch, seq_len, n_heads * d_k)


def scores_of(
    model: nn.Module, query: Tensor, key: Tensor, names: tuple = OWN, cut: Callable = split_heads
) -> Tensor:
    """The products q·k of every head, undivided; a name may be None for 'no map'."""
    maps = [getattr(model, name) if name else nn.Identity() for name in names[:2]]
    q, k = (cut(m(x), model_heads(model)) for m, x in zip(maps, (query, key)))
    return q @ k.transpose(-2, -1)


def model_heads(model: nn.Module) -> int:
    """The number of heads that the check asked for, kept beside the model."""
    return model.heads_asked_for


def reference(
    model: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Output and weights as they should be, with the answer's own maps."""
    heads = model_heads(model)
    scores = scores_of(model, query, key) / (query.size(-1) // heads) ** 0.5
    weights = masked_softmax(scores, mask)
    context = weights @ split_heads(model.value_map(value), heads)
    return model.output_map(merge_heads(context)), weights


def name_mistake(result: Tensor, known) -> None:
    """Raise the message of the first known wrong result that this one equals."""
    for wrong, message in known:
        if same(result, wrong):
            raise Mistake(message)


@exercise("8.1")
def check_multi_head_attention(answer) -> str:
    """The four maps, then weights, mix and W^O without a mask, then masks, gradients, sizes."""
    model = build(answer, D_MODEL, N_HEADS)
    with torch.no_grad():
        judge_weights(model)
        judge_masks(model)
    judge_gradients(model)
    other = build(answer, 10, 2)
    query, key = torch.randn(1, 4, 10), torch.randn(1, 6, 10)
    with torch.no_grad():
        output, weights = two_parts(other, query, key, key)
        expected = reference(other, query, key, key)
    if not same(output, expected[0]) or not same(weights, expected[1]):
        raise Mistake("right for 3 heads of width 6, wrong for 2 of width 5: use n_heads and "
                      "d_model everywhere, not a number")
    return "Outputs, the weights of each head, masks and gradients are as they should be"


def build(answer, d_model: int, n_heads: int) -> nn.Module:
    """Make the answer's module and look at its four maps."""
    if isinstance(answer, nn.Module):
        raise Mistake("hand over the class itself, not a module made from it")
    model = call(answer, d_model, n_heads)
    if not isinstance(model, nn.Module):
        raise Mistake("calling the answer with (d_model, n_heads) must give an nn.Module, got "
                      f"{type(model).__name__}")
    maps = [getattr(model, name, None) for name in MAPS]
    if all(m is ... for m in maps):
        raise NotAttempted
    for name, layer in zip(MAPS, maps):
        if layer is ...:
            raise Mistake(f"{name} is still ...: make it nn.Linear(d_model, d_model)")
        if layer is None:
            raise Mistake(f"the module has no layer called {name}: the four maps are "
                          f"{', '.join(MAPS)}")
        if not isinstance(layer, nn.Linear):
            raise Mistake(f"want {name} to be an nn.Linear, got {type(layer).__name__}")
    judge_sizes(maps, d_model, n_heads)
    if len(set(map(id, maps))) < 4:
        raise Mistake("two of the four maps are one and the same layer: make each of its own")
    model.heads_asked_for = n_heads
    return randomise(model.eval())


def judge_sizes(maps: list[nn.Linear], d_model: int, n_heads: int) -> None:
    """Say which map has a wrong width, and what that width would mean."""
    d_k = d_model // n_heads
    *own, output = [(m.in_features, m.out_features) for m in maps]
    for name, size in zip(OWN, own):
        if size == (d_model, d_k):
            raise Mistake(f"{name} makes {d_k} features, enough for one head: want d_model, "
                          "d_k for each of the n_heads")
        if size == (d_model, n_heads * d_model):
            raise Mistake(f"{name} makes d_model features for each head, so more heads cost "
                          "more: want d_k for each, d_model in all")
        if size != (d_model, d_model):
            raise Mistake(f"want {name} from d_model = {d_model} to d_model, got {size}")
    if output[0] == n_heads * d_model:
        raise Mistake("output_map reads n_heads · d_model features, but the heads side by side "
                      "are n_heads · d_k = d_model wide")
    if output[0] == d_k:
        raise Mistake("output_map reads the width of one head: the heads are not averaged and "
                      "none is left out, they stand side by side, d_model wide")
    if output != (d_model, d_model):
        raise Mistake(f"want output_map, W^O, from d_model = {d_model} to d_model, got {output}")


def two_parts(
    model: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run the module and make sure that it gives output and weights, shaped as they should be."""
    given = (query, key, value) if mask is None else (query, key, value, mask)
    parts = call(model, *given)
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise Mistake("want two tensors, `return output, weights`: the mix and the shares")
    batch, tgt_len, d_model = query.shape
    heads, src_len = model_heads(model), key.size(1)
    wanted = (batch, tgt_len, d_model), (batch, heads, tgt_len, src_len)
    shapes = [tuple(part.shape) if isinstance(part, Tensor) else None for part in parts]
    if shapes == [wanted[1], wanted[0]]:
        raise Mistake("the two results come in the wrong order: output first, then weights")
    output, weights = parts
    named = {
        (batch, tgt_len, src_len): "the weights have no axis for the heads: return those of "
        "each head, not their mean or sum",
        (batch * heads, tgt_len, src_len): "the weights have batch and heads in one axis: keep "
        "them apart, (batch, n_heads, tgt_len, src_len)",
        (batch, tgt_len, heads, heads): "the heads look at one another: before the product the "
        "axes must be (batch, n_heads, seq_len, d_k), heads in front of words",
        (batch, heads, src_len, tgt_len): "the weights are (src_len, tgt_len): one row for each "
        "key. Queries stand on the left of the product, and are made from `query`",
    }
    if tgt_len != src_len:
        named |= {
            (batch, heads, tgt_len, tgt_len): "the keys are made from `query`: make them from "
            "`key`, which may be another sentence",
            (batch, heads, src_len, src_len): "the queries are made from `key`: make them from "
            "`query`",
        }
    if shapes[1] != wanted[1] and shapes[1] in named:
        raise Mistake(named[shapes[1]])
    want_tensor(weights, wanted[1], "of weights (batch, n_heads, tgt_len, src_len)")
    if shapes[0] == (batch, heads, tgt_len, d_model // heads):
        raise Mistake("the output still has an axis for the heads: merge_heads and output_map "
                      "are missing")
    if shapes[0] == (batch, tgt_len, d_model // heads):
        raise Mistake("the output has the width of one head: put the heads side by side with "
                      "merge_heads, do not average them")
    want_tensor(output, wanted[0], "of output (batch, tgt_len, d_model)")
    return output, weights


def judge_weights(model: nn.Module) -> None:
    """Without a mask: the weights of each head, then the mix, then W^O."""
    query = torch.randn(BATCH, TGT_LEN, D_MODEL)
    key, value = torch.randn(2, BATCH, SRC_LEN, D_MODEL)
    output, weights = two_parts(model, query, key, value)
    want_finite(weights, "the scores are moderate, so look for a division by 0")
    expected, true = reference(model, query, key, value)
    if not same(weights, true):
        name_mistake(weights, wrong_weights(model, query, key, value))
        sums = weights.sum(-1)
        if not same(sums, torch.ones_like(sums), 1e-3):
            raise Mistake(f"the first row of weights sums to {sums.flatten()[0]:.2f}: want 1, "
                          "shared among the keys of that query")
        raise Mistake(f"rows of weights sum to 1, but the first share is "
                      f"{weights.flatten()[0]:.2f} and should be {true.flatten()[0]:.2f}: check "
                      "map, split, product, division, in this order")
    want_finite(output, "the weights are fine, so look at what comes after them")
    if not same(output, expected):
        name_mistake(output, wrong_outputs(model, query, key, value, true))
        raise Mistake("the weights are right, the output is not: want weights @ v, merge_heads, "
                      "output_map, in this order")


def wrong_weights(
    model: nn.Module, query: Tensor, key: Tensor, value: Tensor
) -> list[tuple[Tensor, str]]:
    """What the weights are when one step before them is wrong, and what to say then."""
    raw = scores_of(model, query, key)
    scores = raw / D_K**0.5
    divisors = [
        (D_MODEL**0.5, "the scores are divided by √d_model: each head has only d_k = d_model / "
         "n_heads features, so want √d_k"),
        (1.0, "the scores are not divided: want √d_k"),
        (D_K, "the scores are divided by d_k itself: want its root"),
        (D_K / 2, "the scores are divided by d_k / 2: `d_k ** 1 / 2` squares nothing, ** binds "
                  "tighter than /. Write d_k ** 0.5"),
        (N_HEADS**0.5, "the scores are divided by √n_heads: the width of a head is on the last "
                       "axis of q"),
        (SRC_LEN**0.5, "the scores are divided by √src_len: want √d_k, the width of a head"),
        (TGT_LEN**0.5, "the scores are divided by √tgt_len: want √d_k, the width of a head"),
        (D_K**-0.5, "the scores are multiplied by √d_k: divide"),
    ]
    known = [((raw / by).softmax(-1), message) for by, message in divisors]
    known += [
        (scores.softmax(-2), "the softmax runs over the queries (axis -2): each query shares 1 "
         "among its keys"),
        (scores.softmax(1), "the softmax runs over the heads (axis 1): heads do not compete, the "
         "keys of one head do"),
        (scores.softmax(0), "the softmax runs over the batch, axis 0: want the keys, axis -1"),
        (scores, "these are the scores: the softmax over the keys is missing"),
        (scores.softmax(-1).mean(1, keepdim=True).expand_as(scores), "all heads have the same "
         "weights, their mean: each head keeps its own"),
    ]
    cuts = [
        (cut_by_view, "the heads are cut by `view` alone, so a head holds pieces of several "
         "words: view as (batch, seq_len, n_heads, d_k), then transpose(1, 2)"),
        (cut_every_hth, "a head takes every n_heads-th feature: view as (…, n_heads, d_k), the "
         "heads before the width"),
    ]
    for cut, message in cuts:
        wrong = scores_of(model, query, key, cut=cut)
        known += [((wrong / by**0.5).softmax(-1), message + also) for by, also in (
            (D_K, ""), (D_MODEL, ". And the division is by √d_model, want √d_k"))]
    for names in product((*OWN, None), repeat=2):
        if names != OWN[:2]:
            wrong = scores_of(model, query, key, names) / D_K**0.5
            by = ["no map at all" if name is None else name for name in names]
            known.append((wrong.softmax(-1), f"queries come from {by[0]} and keys from {by[1]}: "
                          "want query_map and key_map"))
    known.append(((scores_of(model, query, value) / D_K**0.5).softmax(-1), "the keys are made "
                  "from `value`: key_map reads `key`"))
    return known


def wrong_outputs(
    model: nn.Module, query: Tensor, key: Tensor, value: Tensor, weights: Tensor
) -> list[tuple[Tensor, str]]:
    """What the output is when the weights are right and one step after them is wrong."""
    last, v = model.output_map, split_heads(model.value_map(value), N_HEADS)
    bias = 0.0 if last.bias is None else last.bias
    context = weights @ v
    joined = merge_heads(context)
    by_view = weights @ cut_by_view(model.value_map(value), N_HEADS)
    every = weights @ cut_every_hth(model.value_map(value), N_HEADS)
    known = [
        (joined, "W^O is missing: these are the heads side by side. Pass them through output_map"),
        (join_by_view(context), "the heads are joined by `view` alone and W^O is missing: "
         "merge_heads, then output_map"),
        (last(join_by_view(context)), "the heads are joined by `view` or `reshape` alone, so the "
         "words are mixed up: transpose back first, as merge_heads does"),
        (last(merge_heads(by_view)), "the values are cut by `view` alone, so a head holds pieces "
         "of several words: use split_heads for v, too"),
        (last(join_by_view(by_view)), "values are cut and heads joined by `view` alone: use "
         "split_heads and merge_heads"),
        (last(merge_heads(every)), "a head takes every n_heads-th feature of the values: use "
         "split_heads for v, too"),
        (last(merge_heads(context.flip(1))), "the heads are joined in reverse order"),
        (last(context.permute(0, 2, 3, 1).flatten(2)), "the heads are joined feature by feature, "
         "the head as last axis: want all of head 1, then all of head 2"),
        (last(context.mean(1).repeat(1, 1, N_HEADS)), "the heads are averaged: they stand side "
         "by side, and only W^O mixes them"),
        (last(context.sum(1).repeat(1, 1, N_HEADS)), "the heads are added up before W^O: they "
         "stand side by side"),
        (last(merge_heads(weights.mean(1, keepdim=True) @ v)), "the values are mixed by the mean "
         "of all heads' weights: each head mixes with its own"),
        (last(last(joined)), "output_map is applied twice"),
        (joined @ last.weight.T, "the bias of output_map is missing: call the layer"),
        (joined @ last.weight + bias, "the weight of output_map is turned round: call the "
         "layer, it transposes itself"),
        (last(joined) + query, "the query is added to the output: that residual connection "
         "belongs to the block around this part (notebook 10)"),
        (last(merge_heads(weights @ split_heads(value, N_HEADS))), "the values pass through no "
         "map: want value_map"),
        (last(merge_heads(weights @ split_heads(model.value_map(key), N_HEADS))), "the values "
         "are made from `key`: value_map reads `value`"),
    ]
    for name in OWN[:2]:
        mixed = weights @ split_heads(getattr(model, name)(value), N_HEADS)
        known.append((last(merge_heads(mixed)), f"the values come from {name}: want value_map"))
    keys = weights @ split_heads(model.key_map(key), N_HEADS)
    known.append((last(merge_heads(keys)), "the weights mix the keys: keys are for finding, want "
                  "the values mixed"))
    return known


def judge_masks(model: nn.Module) -> None:
    """Masks of two, three and four axes; padding; who sees nothing."""
    x = torch.randn(BATCH, TGT_LEN, D_MODEL)
    lengths = torch.tensor([[TGT_LEN], [TGT_LEN - 2]])
    real = torch.arange(TGT_LEN) < lengths
    weights = masked(model, x, x, real.unsqueeze(1), "three axes (batch, 1, src_len)")
    padded = weights[1, :, TGT_LEN - 2 :]
    if weights[1, :, :, TGT_LEN - 2 :].nan_to_num().any() and not padded.nan_to_num().any():
        raise Mistake("the padding mask hides queries, not keys: PAD still gets a share. The last "
                      "axis of the mask belongs to the keys")
    compare(model, weights, x, x, real[:, None, None, :])

    query, key = torch.randn(BATCH, TGT_LEN, D_MODEL), torch.randn(BATCH, SRC_LEN, D_MODEL)
    mask = torch.rand(BATCH, TGT_LEN, SRC_LEN) < 0.6
    mask[..., 0] = True                                  # every query sees at least one key
    mask[..., 1] = False
    weights = masked(model, query, key, mask, "three axes (batch, tgt_len, src_len)")
    compare(model, weights, query, key, mask.unsqueeze(1))
    weights = masked(model, query, key, mask[0], "two axes (tgt_len, src_len)")
    compare(model, weights, query, key, mask[0])
    each = torch.rand(BATCH, N_HEADS, TGT_LEN, SRC_LEN) < 0.6
    each[..., 0] = True
    weights = masked(model, query, key, each, "four axes (batch, n_heads, tgt_len, src_len)")
    for wrong in (each[:, :1], each.any(1, keepdim=True), each.all(1, keepdim=True)):
        if same(weights, reference(model, query, key, key, wrong)[1]):
            raise Mistake("a mask of four axes may differ from head to head, but all heads get "
                          "the same: pass it on as it is")
    compare(model, weights, query, key, each)
    for narrow, axes in ((each[:, :, :1], "n_heads, 1"), (each[:, :1, :1], "1, 1")):
        weights = masked(model, query, key, narrow, f"four axes (batch, {axes}, src_len)")
        compare(model, weights, query, key, narrow)

    three = torch.randn(N_HEADS, TGT_LEN, D_MODEL)       # as many sentences as heads
    alike = torch.rand(N_HEADS, TGT_LEN, TGT_LEN) < 0.6
    alike[..., 0] = True
    weights = masked(model, three, three, alike, "three axes (batch, tgt_len, src_len)")
    if same(weights, reference(model, three, three, three, alike)[1]):
        raise Mistake("with as many sentences as heads the mask's batch axis falls on the heads: "
                      "sentence 2's mask serves head 2. Give it an axis with unsqueeze(1)")
    compare(model, weights, three, three, alike.unsqueeze(1))

    mask[1, 2] = False                                   # one query sees nothing
    output, weights = two_parts(model, query, key, key, mask)
    row = weights[1, :, 2]
    if not output.isfinite().all() or not weights.isfinite().all():
        raise Mistake("a query that may look nowhere gets nan, and nan spreads to every weight in "
                      "training: want zeros, as scaled_dot_product_attention gives")
    if row.any():
        raise Mistake("a query that may look nowhere still shares 1 among hidden keys: a large "
                      "negative number is not -inf. Want zeros")
    if not same(output, reference(model, query, key, key, mask.unsqueeze(1))[0]):
        raise Mistake("with a mask the weights are right, the output is not: mix with the masked "
                      "weights")


def masked(model: nn.Module, query: Tensor, key: Tensor, mask: Tensor, axes: str) -> Tensor:
    """The weights under a mask; an error names the axes of the mask."""
    try:
        return two_parts(model, query, key, key, mask)[1]
    except Mistake as mistake:
        more = ""
        if mask.dim() == 3:
            more = ": give it an axis for the heads with mask.unsqueeze(1)"
        raise Mistake(f"a mask of {axes} fails{more} ({mistake})") from mistake


def compare(model: nn.Module, weights: Tensor, query: Tensor, key: Tensor, mask: Tensor) -> None:
    """Hold masked weights against the right ones and the known wrong ones."""
    expected = reference(model, query, key, key, mask)[1]
    if same(weights, expected):
        return
    scores = scores_of(model, query, key) / D_K**0.5
    free = scores.softmax(-1)
    known = [
        (free, "the mask changes nothing: hand it on to the attention"),
        (masked_softmax(scores, ~mask), "the mask is used the wrong way round: True means may "
         "look, unlike in nn.MultiheadAttention"),
        (free * mask, "hidden weights are set to 0 after the softmax, so rows sum to less than "
         "1: hide the scores, with -inf, before it"),
        ((scores * mask).softmax(-1), "hidden scores are set to 0, and exp(0) = 1: a hidden key "
         "still gets a share. Want -inf"),
        ((scores + mask).softmax(-1), "the mask is added as 0 and 1: want -inf where it is False"),
    ]
    name_mistake(weights.nan_to_num(), [(wrong.nan_to_num(), message) for wrong, message in known])
    seen = mask.any(-1, keepdim=True).expand_as(mask).expand_as(weights)
    if weights[seen].isnan().any():
        raise Mistake("with a mask the weights are nan where a query has a visible key")
    if weights[~mask.expand_as(weights)].nan_to_num().any():
        raise Mistake(f"a hidden key gets up to {weights[~mask.expand_as(weights)].max():.2f} of "
                      "a query's weight: want exactly 0, score -inf")
    raise Mistake(f"under a mask of shape {tuple(mask.shape)} the hidden keys get 0, but the "
                  "visible ones do not share 1 as they should")


def judge_gradients(model: nn.Module) -> None:
    """Every map learns."""
    query, key = torch.randn(BATCH, TGT_LEN, D_MODEL), torch.randn(BATCH, SRC_LEN, D_MODEL)
    output, _ = two_parts(model, query, key, key)
    message = "no gradient reaches {}: is there a detach, .data or no_grad in forward?"
    if not output.requires_grad:
        raise Mistake(message.format("any map"))
    slopes = torch.autograd.grad(output.square().sum(), [getattr(model, name).weight
                                                         for name in MAPS], allow_unused=True)
    for name, slope in zip(MAPS, slopes):
        if slope is None or not slope.any():
            raise Mistake(message.format(name))


# ---- 8.2 ----


@exercise("8.2")
def check_copy_from_torch(answer) -> str:
    """The order of the three maps, their direction, the biases, W^O."""
    theirs = randomise(nn.MultiheadAttention(D_MODEL, N_HEADS, batch_first=True))
    start = randomise(MultiHeadAttention(D_MODEL, N_HEADS))
    given = []                                           # the answer gets copies: keep torch's

    def watched(theirs: nn.Module, ours: nn.Module):
        given.append(theirs)
        return answer(theirs, ours)

    try:
        ours = call(watched if callable(answer) else answer, theirs, start)
    except Mistake as mistake:
        if "leaf Variable" in str(mistake):
            raise Mistake("torch follows parameters to find gradients, and refuses to overwrite "
                          "them: put the copies inside `with torch.no_grad():`") from mistake
        raise
    if isinstance(ours, nn.MultiheadAttention):
        raise Mistake("this is torch's module: fill `ours` and return it")
    if not isinstance(ours, MultiHeadAttention):
        raise Mistake(f"want `ours`, a MultiHeadAttention, returned; got {type(ours).__name__}")
    with torch.no_grad():
        judge_in_weights(ours, theirs, start)
        judge_in_biases(ours, theirs, start)
        judge_out(ours, theirs, start)
    torchs = {p.untyped_storage().data_ptr() for p in given[0].parameters()}
    for name, part in product(MAPS, ("weight", "bias")):
        if getattr(getattr(ours, name), part).untyped_storage().data_ptr() in torchs:
            raise Mistake(f"the {part} of {name} lies in torch's own memory: training one module "
                          "would change the other. Copy it with copy_")
    x, y = torch.randn(BATCH, TGT_LEN, D_MODEL), torch.randn(BATCH, SRC_LEN, D_MODEL)
    if not same(ours(x, y, y)[0], theirs(x, y, y)[0]):
        raise Mistake("the copies are right, but the outputs differ: change nothing else in ours")
    return "Both give the same output now"


def layers(ours: nn.Module, part: str) -> list[Tensor]:
    """The weights or biases of our three maps."""
    return [getattr(getattr(ours, name), part) for name in OWN]


def judge_in_weights(ours: nn.Module, theirs: nn.Module, start: nn.Module) -> None:
    """The three matrices that torch stacks."""
    found, packed = layers(ours, "weight"), theirs.in_proj_weight
    for name, w in zip(OWN, found):
        want_tensor(w, (D_MODEL, D_MODEL), f"of the weight of {name} (d_model, d_model)")
    chunks, old = packed.chunk(3), layers(start, "weight")
    known = [(old, "the weights of query_map, key_map and value_map are as before: fill them "
              "with copy_, an assignment to a local name changes nothing"),
             ([w.T for w in chunks], "the matrices are transposed: torch and nn.Linear both hold "
              "(out, in), so copy them as they are"),
             ([packed[i::3] for i in range(3)], "every third row is taken: the three matrices "
              "stand below one another, so take d_model rows at a time, chunk(3)"),
             ([chunks[0]] * 3, "all three maps got the first third: chunk(3) gives one for each"),
             ([o + w for o, w in zip(old, chunks)], "torch's weights are added to the old ones: "
              "copy_ replaces"),
             ([w.flip(0) for w in chunks], "the rows are in reverse order")]
    for order in permutations(range(3)):
        if order != (0, 1, 2):
            got = ", ".join("qkv"[i] for i in order)
            known.append(([chunks[i] for i in order], f"query_map, key_map and value_map got "
                          f"torch's {got}: the order is q, k, v"))
    name_mistake(torch.stack(found), [(torch.stack(list(w)), message) for w, message in known])
    for name, w, want, before in zip(OWN, found, chunks, old):
        if same(w, before):
            raise Mistake(f"the weight of {name} is as before: three matrices are to be copied")
        if not same(w, want):
            raise Mistake(f"the weight of {name} is not its third of in_proj_weight")


def judge_in_biases(ours: nn.Module, theirs: nn.Module, start: nn.Module) -> None:
    """The three biases that torch stacks."""
    found, packed = layers(ours, "bias"), theirs.in_proj_bias
    if any(b is None for b in found):
        raise Mistake("ours has lost a bias: fill it, as the weight")
    for name, b in zip(OWN, found):
        want_tensor(b, (D_MODEL,), f"of the bias of {name} (d_model,)")
    chunks, old = packed.chunk(3), layers(start, "bias")
    known = [(old, "the weights are right, but in_proj_bias is ignored: copy its thirds, too"),
             ([torch.zeros(D_MODEL)] * 3, "the biases of the three maps are 0: torch has "
              "in_proj_bias"),
             ([packed[i::3] for i in range(3)], "of in_proj_bias every third entry is taken: "
              "chunk(3), as for the weight")]
    known += [([chunks[i] for i in order], "the biases are in another order than the weights: "
               "q, k, v for both") for order in permutations(range(3)) if order != (0, 1, 2)]
    known.append(([chunks[0]] * 3, "all three biases are the first third of in_proj_bias"))
    name_mistake(torch.stack(found), [(torch.stack(list(b)), message) for b, message in known])
    for name, b, want in zip(OWN, found, chunks):
        if not same(b, want):
            raise Mistake(f"the bias of {name} is not its third of in_proj_bias")


def judge_out(ours: nn.Module, theirs: nn.Module, start: nn.Module) -> None:
    """W^O and its bias."""
    got, want, old = ours.output_map, theirs.out_proj, start.output_map
    if got.bias is None:
        raise Mistake("output_map has lost its bias: fill it from out_proj.bias")
    want_tensor(got.weight, (D_MODEL, D_MODEL), "of the weight of output_map (d_model, d_model)")
    want_tensor(got.bias, (D_MODEL,), "of the bias of output_map (d_model,)")
    name_mistake(got.weight, [
        (old.weight, "out_proj is forgotten: it is W^O, our output_map"),
        (want.weight.T, "the weight of out_proj is transposed: copy it as it is"),
    ])
    if not same(got.weight, want.weight):
        raise Mistake("the weight of output_map is not that of out_proj")
    if same(got.bias, old.bias) or not got.bias.any():
        raise Mistake("the bias of out_proj is forgotten")
    if not same(got.bias, want.bias):
        raise Mistake("the bias of output_map is not that of out_proj")


# ---- 8.3 ----


@exercise("8.3")
def check_role_table(answer) -> str:
    """The scores, then the chance level, then the best head over the seeds."""
    n_seeds, batch, n_heads, src_len, n_roles = 2, 6, 3, 7, 4
    lengths = torch.tensor([7, 5, 6, 4, 7, 5]).unsqueeze(1)
    real = torch.arange(src_len) < lengths
    gold = (torch.rand(batch, n_roles, src_len) < 0.4) & real.unsqueeze(1)
    gold[..., 0] |= ~gold.any(-1)                        # each role has a word
    logits = 2 * torch.randn(n_seeds, batch, n_heads, src_len)
    weights = masked_softmax(logits, real.unsqueeze(1))
    parts = call(answer, weights, gold, real)
    if not isinstance(parts, tuple | list) or len(parts) != 3:
        raise Mistake("want three tensors, `return scores, chance, best`")
    scores, chance, best = parts
    hits = weights @ gold.float().transpose(1, 2)        # (n_seeds, batch, n_heads, n_roles)
    true = hits.mean(1)
    judge_scores(scores, weights, gold, real, hits)
    judge_chance(chance, gold, real)
    judge_best(best, true)
    return "Heads are compared inside a seed, never by their number across seeds"


def judge_scores(
    scores: Tensor, weights: Tensor, gold: Tensor, real: Tensor, hits: Tensor
) -> None:
    """The attention of each head on each role, over all sentences."""
    n_seeds, batch, n_heads, n_roles = hits.shape
    true, words = hits.mean(1), gold.sum(-1).unsqueeze(1)
    chance = (gold.sum(-1) / real.sum(-1, keepdim=True)).mean(0)
    if isinstance(scores, Tensor):
        swapped = true.transpose(1, 2)
        shapes = {
            (n_seeds, n_roles, n_heads): "heads and roles are exchanged in scores: want "
            "(n_seeds, n_heads, n_roles)",
            (n_heads, n_roles): "the seeds are averaged: head 1 of one seed is not head 1 of "
            "another, so keep the axis of the seeds",
            (n_seeds, batch, n_heads, n_roles): "scores still has the axis of the sentences: take "
            "the mean over it, dim=1",
            (batch, n_heads, n_roles): "the mean runs over the seeds, dim=0: want it over the "
            "sentences, dim=1",
            (n_seeds, batch, n_roles): "the mean runs over the heads: want it over the sentences",
            (n_seeds, batch, n_heads): "the mean runs over the roles: want it over the sentences",
        }
        if scores.shape == swapped.shape or tuple(scores.shape) in shapes:
            raise Mistake(shapes[tuple(scores.shape)])
    want_tensor(scores, tuple(true.shape), "of scores (n_seeds, n_heads, n_roles)")
    want_finite(scores, "some step divides by 0")
    brightest = gold.float().unsqueeze(0).expand(n_seeds, -1, -1, -1).gather(
        -1, weights.argmax(-1).unsqueeze(2).expand(-1, -1, n_roles, -1)).mean(1).transpose(1, 2)
    name_mistake(scores, [
        (hits[:, 0], "the scores are those of the first sentence: one picture proves nothing, "
         "take the mean over all"),
        (hits.amax(1), "the best sentence is picked: take the mean over all of them"),
        (hits.median(1).values, "this is the median over sentences: want the mean"),
        (hits.sum(1), "the sentences are added up: divide by their number"),
        (hits.sum(1) / real.size(1), "the sum over sentences is divided by src_len: divide by "
         "the number of sentences"),
        (hits.sum(1) / real.sum(), "the attention is divided by the number of words: want the "
         "mean over sentences"),
        (hits.sum(1) / gold.sum((0, 2)), "the attention is divided by the number of gold words: "
         "want a role's whole share, as a mean over sentences"),
        ((hits / words).mean(1), "this is the attention on one word of the role: add up all of "
         "them"),
        (brightest, "this counts how often the brightest word has the role: want the attention "
         "itself, added up over the role's words"),
        (true - chance, "chance is taken off already: return scores and chance apart"),
        (1 - true, "this is the attention on all other words: gold is True at the role's words"),
        (true / real.float().mean(), "the scores are divided by the share of real words: padding "
         "has weight 0 already"),
    ])
    if not same(scores, true):
        raise Mistake(f"the first score is {scores.flatten()[0]:.2f}, want "
                      f"{true.flatten()[0]:.2f}: attention on the role's words, mean over "
                      "sentences")


def judge_chance(chance: Tensor, gold: Tensor, real: Tensor) -> None:
    """What a head gets when the words of a role stand anywhere."""
    n_roles, src_len = gold.shape[1:]
    count, length = gold.sum(-1), real.sum(-1, keepdim=True)
    true = (count / length).mean(0)
    want_tensor(chance, (n_roles,), "of chance (n_roles,)")
    name_mistake(chance, [
        (gold.float().mean((0, 2)), "chance counts padding: divide by the number of real words "
         "of each sentence, not by src_len"),
        (count.sum(0) / length.sum(), "chance is taken over all words together: divide inside "
         "each sentence, then take the mean, as for the scores"),
        ((1 / length).mean(0).expand(n_roles), "chance is that of one word: a role may have "
         "several"),
        (torch.full((n_roles,), 1 / src_len), "chance is 1 / src_len: a role may have several "
         "words, and padding is no word"),
        (torch.full((n_roles,), 1 / n_roles), "chance is 1 / n_roles: a head shares its "
         "attention among words, not among roles"),
        ((count / length)[0], "chance is that of the first sentence: take the mean over all"),
        ((count / length).sum(0), "chance is added up over the sentences: take the mean"),
        (count.float().mean(0), "chance is the number of words of the role: divide by the number "
         "of real words"),
        (1 - true, "this is the chance to miss: count the role's words"),
    ])
    if not same(chance, true):
        raise Mistake(f"chance for the first role is {chance[0]:.2f}, want {true[0]:.2f}: its "
                      "words divided by the real words, mean over sentences")


def judge_best(best: Tensor, scores: Tensor) -> None:
    """The best head of each seed, then the mean over seeds."""
    n_seeds, n_heads, n_roles = scores.shape
    if isinstance(best, Tensor) and best.shape == (n_seeds, n_roles):
        raise Mistake("best still has the axis of the seeds: take the mean over it")
    if isinstance(best, Tensor) and best.shape == (n_heads,) != (n_roles,):
        raise Mistake("best has one number for each head: want one for each role")
    if isinstance(best, Tensor) and not best.is_floating_point():
        raise Mistake("best holds whole numbers, such as argmax gives: want the scores, amax")
    want_tensor(best, (n_roles,), "of best (n_roles,)")
    name_mistake(best, [
        (scores.mean(0).amax(0), "the seeds are averaged head by head, then the best is taken: "
         "head 1 of one seed is not head 1 of another. Take the best head inside each seed first"),
        (scores.amax((0, 1)), "the best head of the best seed is picked: take the best head of "
         "each seed, then the mean over seeds"),
        (scores.amax(1).amin(0), "the worst seed is picked: want the mean over seeds"),
        (scores.mean((0, 1)), "this is the mean over all heads: want the best head of each seed"),
        (scores[0].amax(0), "only the first seed counts: want the mean over seeds"),
        (scores[-1].amax(0), "only the last seed counts: want the mean over seeds"),
        (scores.amin(1).mean(0), "this is the worst head of each seed: want amax"),
        (scores[:, 0].mean(0), "this is head 1 of every seed: choose the best head in each"),
        (scores.amax(1).sum(0), "the seeds are added up: take their mean"),
    ])
    if not same(best, scores.amax(1).mean(0)):
        raise Mistake("best is not the score of the best head, as a mean over seeds")


# ---- 8.4 ----


@exercise("8.4")
def check_head_masks(answer) -> str:
    """Our mask of four axes, then torch's of three: shape, polarity, and the order of the rows."""
    real = torch.arange(SRC_LEN) < torch.tensor([[SRC_LEN], [SRC_LEN - 3]])
    keep = torch.tensor([True, True, False])  # so that no wrong order looks right
    parts = call(answer, real, keep, TGT_LEN)
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise Mistake("want two masks, `return ours, theirs`")
    ours, theirs = parts
    shape = (BATCH, N_HEADS, TGT_LEN, SRC_LEN)
    true = (keep.view(1, -1, 1, 1) & real[:, None, None, :]).expand(shape)
    judge_ours(ours, true, real, keep)
    judge_theirs(theirs, true, real, keep)
    return f"Row {N_HEADS} of torch's mask is head 1 of sentence 2"


def judge_ours(ours: Tensor, true: Tensor, real: Tensor, keep: Tensor) -> None:
    """Our mask: True where a head may look."""
    axes = "of ours (batch, n_heads, 1, src_len)"
    want = (BATCH, N_HEADS, 1, SRC_LEN)
    if not isinstance(ours, Tensor):
        raise Mistake(f"want ours as a torch.Tensor {axes[8:]}, got {type(ours).__name__}")
    if ours.shape == (BATCH * N_HEADS, TGT_LEN, SRC_LEN):
        raise Mistake("ours has torch's shape: are the two masks in the wrong order?")
    if ours.shape == (N_HEADS, BATCH, 1, SRC_LEN):
        raise Mistake("batch and heads are exchanged in ours: the batch comes first")
    if ours.dim() == 3:
        raise Mistake("ours has three axes, which are read as (batch, tgt_len, src_len): the "
                      "heads would be taken for queries. Want four, the third of size 1")
    if ours.shape == (BATCH, 1, 1, SRC_LEN):
        raise Mistake("ours has no heads: all of them would get the same mask. `keep` is missing")
    if ours.shape != true.shape:                         # the whole mask is welcome, too
        want_tensor(ours, want, axes)
    if ours.dtype != torch.bool:
        raise Mistake(f"want ours as bool, True = may look, got {ours.dtype}")
    ours, tokens = ours.expand_as(true), real[:, None, None, :].expand_as(true)
    stay = keep.view(1, -1, 1, 1).expand_as(true)
    known = [
        (~true, "ours is the wrong way round: for our class True means may look"),
        (tokens, "ours lets every head look: `keep` is ignored"),
        (stay, "ours shows the padding: `real` is ignored"),
        (tokens | stay, "ours joins the two with `or`: a head may look where the token is real "
         "*and* the head stays on"),
        (tokens & ~stay, "`keep` is turned round in ours: True there means the head stays on"),
        (~tokens & stay, "`real` is turned round in ours: True there means a real token"),
        (tokens ^ stay, "ours is True where exactly one of the two holds: want both, `&`"),
    ]
    name_mistake(ours, known)
    if not torch.equal(ours, true):
        raise Mistake("ours is not True exactly where the head stays on and the token is real")


def judge_theirs(theirs: Tensor, true: Tensor, real: Tensor, keep: Tensor) -> None:
    """Torch's mask: True where it hides, sentences in front, then heads."""
    want = (BATCH * N_HEADS, TGT_LEN, SRC_LEN)
    if isinstance(theirs, Tensor) and theirs.shape == (BATCH, N_HEADS, TGT_LEN, SRC_LEN):
        raise Mistake("theirs has four axes: flatten(0, 1) joins batch and heads into one")
    if isinstance(theirs, Tensor) and theirs.shape == (BATCH * N_HEADS, SRC_LEN, TGT_LEN):
        raise Mistake("queries and keys are exchanged in theirs: want tgt_len, then src_len")
    if isinstance(theirs, Tensor) and theirs.shape == (BATCH * N_HEADS, 1, SRC_LEN):
        raise Mistake("the queries of theirs have size 1: torch does not broadcast this mask, "
                      "expand it to tgt_len first")
    if isinstance(theirs, Tensor) and theirs.shape == (BATCH, TGT_LEN, SRC_LEN):
        raise Mistake("theirs has one mask for each sentence: torch wants one for each sentence "
                      "and head, batch * n_heads of them")
    want_tensor(theirs, want, "of theirs (batch * n_heads, tgt_len, src_len)")
    if theirs.dtype != torch.bool:
        raise Mistake(f"want theirs as bool, True = hidden, got {theirs.dtype}")
    hidden = ~true
    heads_first = hidden.transpose(0, 1).flatten(0, 1)
    rows = hidden.flatten(0, 1)
    row = torch.arange(BATCH * N_HEADS)

    def built(sentence: Tensor, head: Tensor) -> Tensor:
        return ~(real[sentence] & keep[head].unsqueeze(1)).unsqueeze(1).expand(want)

    known = [
        (~rows, "theirs is True where a head may look: torch's True means hidden, turn it with ~"),
        (heads_first, "in theirs the sentences of head 1 come first: torch wants the heads of "
         "sentence 1 first. repeat where repeat_interleave is meant does that, or a transpose"),
        (~heads_first, "theirs has the sentences of head 1 first, and True where a head may "
         "look: wrong order, wrong way round"),
        (built(row % BATCH, row % N_HEADS), "the rows of `real` are repeated as a whole, `repeat`: "
         "each sentence must come n_heads times in a row, `repeat_interleave`"),
        (built(row // N_HEADS, row // BATCH), "each entry of `keep` comes batch times in a row: "
         "repeat `keep` as a whole, once for each sentence"),
        (real.repeat_interleave(N_HEADS, 0).unsqueeze(1).expand(want).logical_not(),
         "theirs hides the padding only: `keep` is ignored"),
        (keep.repeat(BATCH).view(-1, 1, 1).expand(want).logical_not(),
         "theirs hides the heads only: `real` is ignored"),
    ]
    name_mistake(theirs, known)
    if not torch.equal(theirs, rows):
        raise Mistake("theirs is not True exactly where ours is False, row b * n_heads + h")

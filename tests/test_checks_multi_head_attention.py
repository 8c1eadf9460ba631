"""The checks of notebook 08 accept right answers and name each wrong one."""

import judging
import pytest
import torch
import torch.nn.functional as F
from judging import endless, fails, passes, refuses, tells_apart
from torch import nn

from utils.attention import (
    MultiHeadAttention,
    masked_softmax,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)
from utils.checks import multi_head_attention as lesson

NAN = float("nan")
HEADS, COPY, TABLE, MASKS = (
    lesson.check_multi_head_attention,
    lesson.check_copy_from_torch,
    lesson.check_role_table,
    lesson.check_head_masks,
)


# ---- 8.1: classes of which one step is replaced ----


def made(**steps):
    """An answer to 8.1; a step is replaced by the function of that name."""

    class Answer(MultiHeadAttention):
        def forward(self, query, key, value, mask=None):
            h = self.n_heads
            cut = steps.get("cut", split_heads)
            sources = steps.get("sources", lambda m, q, k, v: (
                m.query_map(q), m.key_map(k), m.value_map(v)))
            q, k, v = sources(self, query, key, value)
            q, k, v = cut(q, h), cut(k, h), steps.get("cut_value", cut)(v, h)
            divide = steps.get("divide", lambda q, d_model: q.size(-1) ** 0.5)
            scores = q @ k.transpose(-2, -1) / divide(q, self.output_map.in_features)
            if mask is not None:
                mask = steps.get("fit", lambda m: m.unsqueeze(1) if m.dim() == 3 else m)(mask)
            weights = steps.get("hide", masked_softmax)(scores, mask)
            context = steps.get("mix", torch.matmul)(weights, v)
            joined = steps.get("join", merge_heads)(context)
            output = steps.get("last", lambda m, joined, query: m.output_map(joined))(
                self, joined, query)
            return steps.get("give", lambda output, weights: (output, weights))(output, weights)

    return Answer


def spread(change):
    """An answer to 8.1 that turns scores into weights in another way where there is no mask."""
    return made(hide=lambda s, m: change(s) if m is None else masked_softmax(s, m))


def hidden(change):
    """An answer to 8.1 that is right without a mask and hides keys in another way with one."""
    return made(hide=lambda s, m: s.softmax(-1) if m is None else change(s, m))


def by(number):
    return made(divide=lambda q, d_model: number(q, d_model))


def maps_of(*names):
    return made(sources=lambda m, q, k, v: [
        getattr(m, name)(x) if name else x for name, x in zip(names, (q, k, v))])


def sized(**sizes):
    """An answer to 8.1 whose maps have other sizes: name -> function of (d_model, n_heads)."""

    def build(d_model, n_heads):
        model = MultiHeadAttention(d_model, n_heads)
        for name, size in sizes.items():
            setattr(model, name, nn.Linear(*size(d_model, n_heads)))
        return model

    return build


def with_map(name, layer):
    def build(d_model, n_heads):
        model = MultiHeadAttention(d_model, n_heads)
        if layer is None:
            delattr(model, name)
        else:
            delattr(model, name)
            setattr(model, name, layer(model))
        return model

    return build


class ByLoop(MultiHeadAttention):
    """Right: one head after another, from slices."""

    def forward(self, query, key, value, mask=None):
        d_k, contexts, maps = query.size(-1) // self.n_heads, [], []
        for h in range(self.n_heads):
            rows = slice(h * d_k, (h + 1) * d_k)
            q, k, v = (F.linear(x, m.weight[rows], m.bias[rows]) for m, x in (
                (self.query_map, query), (self.key_map, key), (self.value_map, value)))
            own = mask[:, h if mask.size(1) > 1 else 0] if mask is not None and mask.dim() == 4 \
                else mask
            context, weights = scaled_dot_product_attention(q, k, v, own)
            contexts.append(context)
            maps.append(weights)
        return self.output_map(torch.cat(contexts, -1)), torch.stack(maps, 1)


class ByEinsum(nn.Module):
    """Right: no helper of the course, maps without bias, einsum."""

    def __init__(self, d, n):
        super().__init__()
        self.n = n
        self.query_map, self.key_map, self.value_map, self.output_map = (
            nn.Linear(d, d, bias=False) for _ in range(4))

    def forward(self, query, key, value, mask=None):
        q, k, v = (m(x).unflatten(-1, (self.n, -1)) for m, x in (
            (self.query_map, query), (self.key_map, key), (self.value_map, value)))
        scores = torch.einsum("bthd,bshd->bhts", q, k) * q.size(-1) ** -0.5
        if mask is not None:
            mask = mask[:, None] if mask.dim() == 3 else mask
            scores = torch.where(mask, scores, -torch.inf)
        weights = scores.softmax(-1).nan_to_num()
        context = torch.einsum("bhts,bshd->bthd", weights, v)
        return [self.output_map(context.flatten(2)), weights]


class WithoutBias(ByEinsum):
    """Wrong, with maps that have no bias: W^O is missing."""

    def forward(self, query, key, value, mask=None):
        kept, self.output_map = self.output_map, nn.Identity()
        result = super().forward(query, key, value, mask)
        self.output_map = kept
        return result


class Untouched(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.query_map = self.key_map = self.value_map = self.output_map = ...

    def forward(self, query, key, value, mask=None):
        return ...


class OnlyMaps(MultiHeadAttention):
    def forward(self, query, key, value, mask=None):
        return ...


class OneSize(MultiHeadAttention):
    """Right for 3 heads only."""

    def forward(self, query, key, value, mask=None):
        output, weights = super().forward(query, key, value, mask)
        return (output, weights) if self.n_heads == 3 else (2 * output, weights)


class Endless(MultiHeadAttention):
    def forward(self, query, key, value, mask=None):
        return self.forward(query, key, value, mask)


class Fails(MultiHeadAttention):
    def forward(self, query, key, value, mask=None):
        raise ValueError("no")


class InPlace(MultiHeadAttention):
    def forward(self, query, key, value, mask=None):
        query += 1.0
        return super().forward(query, key, value, mask)


class InPlaceMask(MultiHeadAttention):
    def forward(self, query, key, value, mask=None):
        if mask is not None:
            mask &= False
        return super().forward(query, key, value, mask)


class Forgets(MultiHeadAttention):
    def forward(self, query, key, value, mask=None):
        super().forward(query, key, value, mask)


class NoMaskArgument(MultiHeadAttention):
    def forward(self, query, key, value):
        return super().forward(query, key, value)


class MixesFree(MultiHeadAttention):
    """Weights follow the mask, the output does not."""

    def forward(self, query, key, value, mask=None):
        weights = super().forward(query, key, value, mask)[1]
        return super().forward(query, key, value)[0], weights


def negative(scores, mask):
    return scores.masked_fill(~mask, -1e9).softmax(-1)


def queries_hidden(mask):
    """M3: the padding mask hides queries where source and target are the same sentence."""
    if mask.dim() == 3 and mask.size(1) == 1 and mask.size(2) == 5:
        return mask.unsqueeze(1).transpose(-2, -1)
    return mask.unsqueeze(1) if mask.dim() == 3 else mask


def only_full_masks(mask):
    """Takes four axes only where heads and queries are all there."""
    if mask.dim() == 4 and mask.size(2) == 1 and mask.size(1) == 3:
        raise ValueError("queries")
    return mask.unsqueeze(1) if mask.dim() == 3 else mask


def no_mask_for_all_heads(mask):
    if mask.dim() == 4:
        assert mask.size(1) == 3, "heads"
    return mask.unsqueeze(1) if mask.dim() == 3 else mask


def first_row_only(mask):
    """A mask with one row for all queries hides keys from the first query only."""
    if mask.dim() == 4 and mask.size(2) == 1:
        rest = torch.ones_like(mask).expand(-1, -1, 4, -1)
        return torch.cat([mask, rest], dim=2)
    return mask.unsqueeze(1) if mask.dim() == 3 else mask


def fit_by_batch(mask):
    """The batch axis falls on the heads where their numbers agree."""
    if mask.dim() == 3 and mask.size(0) != 3:
        return mask.unsqueeze(1)
    return mask


def four_axes(choose):
    def fit(mask):
        if mask.dim() == 4 and mask.size(1) > 1:
            return choose(mask)
        return mask.unsqueeze(1) if mask.dim() == 3 else mask

    return made(fit=fit)


def detached(m, q, k, v):
    return m.query_map(q).detach(), m.key_map(k), m.value_map(v)


# ---- 8.2 ----


def copying(weights=None, biases=None, out=None):
    """An answer to 8.2; a part is replaced by a function of torch's module."""

    def answer(theirs, ours):
        with torch.no_grad():
            ws = (weights or (lambda t: t.in_proj_weight.chunk(3)))(theirs)
            bs = (biases or (lambda t: t.in_proj_bias.chunk(3)))(theirs)
            for name, w, b in zip(lesson.OWN, ws, bs):
                if w is not None:
                    getattr(ours, name).weight.copy_(w)
                if b is not None:
                    getattr(ours, name).bias.copy_(b)
            parts = (out or (lambda t: (t.out_proj.weight, t.out_proj.bias)))(theirs)
            for own, part in zip((ours.output_map.weight, ours.output_map.bias), parts):
                if part is not None:
                    own.copy_(part)
        return ours

    return answer


def by_state_dict(theirs, ours):
    state = {}
    for name, w, b in zip(lesson.OWN, theirs.in_proj_weight.split(18),
                          theirs.in_proj_bias.split(18)):
        state |= {f"{name}.weight": w, f"{name}.bias": b}
    state |= {"output_map.weight": theirs.out_proj.weight, "output_map.bias": theirs.out_proj.bias}
    ours.load_state_dict(state)
    return ours


def by_new_parameters(theirs, ours):
    d = theirs.embed_dim
    for i, layer in enumerate((ours.query_map, ours.key_map, ours.value_map)):
        layer.weight = nn.Parameter(theirs.in_proj_weight[i * d : (i + 1) * d].detach().clone())
        layer.bias = nn.Parameter(theirs.in_proj_bias[i * d : (i + 1) * d].detach().clone())
    ours.output_map.load_state_dict(theirs.out_proj.state_dict())
    return ours


def by_windows(theirs, ours):
    copying()(theirs, ours)
    for name, w in zip(lesson.OWN, theirs.in_proj_weight.detach().chunk(3)):
        getattr(ours, name).weight.data = w
    return ours


def by_cloned_windows(theirs, ours):
    """Right: the three maps share one matrix, but it is not torch's."""
    copying()(theirs, ours)
    for name, w in zip(lesson.OWN, theirs.in_proj_weight.detach().clone().chunk(3)):
        getattr(ours, name).weight = nn.Parameter(w)
    return ours


def by_window_bias(theirs, ours):
    copying()(theirs, ours)
    ours.key_map.bias = nn.Parameter(theirs.in_proj_bias.detach().chunk(3)[1])
    return ours


def by_the_same_layer(theirs, ours):
    copying()(theirs, ours)
    ours.output_map = theirs.out_proj
    return ours


def by_the_same_bias(theirs, ours):
    copying()(theirs, ours)
    ours.output_map.bias = theirs.out_proj.bias
    return ours


def in_order(*order, what="weight"):
    return lambda t: [getattr(t, f"in_proj_{what}").chunk(3)[i] for i in order]


def adds(theirs, ours):
    with torch.no_grad():
        for name, w in zip(lesson.OWN, theirs.in_proj_weight.chunk(3)):
            getattr(ours, name).weight.add_(w)
    return ours


def two_of_three(t):
    q, k, _ = t.in_proj_weight.chunk(3)
    return q, k, None


def with_gradient(theirs, ours):
    ours.query_map.weight.copy_(theirs.in_proj_weight.chunk(3)[0])
    return ours


def shorn(part):
    def answer(theirs, ours):
        ours = copying()(theirs, ours)
        layer = ours.output_map if part == "out" else ours.query_map
        layer.bias = None
        return ours

    return answer


def other_heads(theirs, ours):
    ours = copying()(theirs, ours)
    ours.n_heads = 2
    return ours


def misshapen(theirs, ours):
    ours.query_map.weight = nn.Parameter(theirs.in_proj_weight.detach().clone())
    return ours


# ---- 8.3 ----


def tables(scores=None, chance=None, best=None):
    """An answer to 8.3; a part is replaced by a function of what it is made from."""

    def answer(weights, gold, real):
        hits = weights @ gold.float().transpose(1, 2)
        s = scores(hits, weights, gold, real) if scores else hits.mean(1)
        c = chance(gold, real) if chance else (gold.sum(-1) / real.sum(-1, True)).mean(0)
        b = best(hits.mean(1)) if best else hits.mean(1).amax(1).mean(0)
        return s, c, b

    return answer


def table_by_loops(weights, gold, real):
    n_seeds, batch, n_heads, _ = weights.shape
    n_roles = gold.size(1)
    scores, chance = torch.zeros(n_seeds, n_heads, n_roles), torch.zeros(n_roles)
    for role in range(n_roles):
        for n in range(batch):
            chance[role] += gold[n, role].sum() / real[n].sum() / batch
            for seed in range(n_seeds):
                for head in range(n_heads):
                    share = weights[seed, n, head][gold[n, role]].sum()
                    scores[seed, head, role] += share / batch
    best = torch.stack([table.max(0).values for table in scores]).mean(0)
    return scores, chance, best


def table_by_einsum(weights, gold, real):
    scores = torch.einsum("nbhs,brs->nhr", weights, gold.float()) / len(gold)
    chance = (gold.float().sum(2) / real.float().sum(1)[:, None]).mean(0)
    return [scores, chance, scores.max(1)[0].mean(0)]


def brightest(hits, weights, gold, real):
    found = torch.zeros_like(hits)
    for index in torch.cartesian_prod(*map(torch.arange, weights.shape[:3])).tolist():
        place = weights[tuple(index)].argmax()
        found[tuple(index)] = gold[index[1], :, place].float()
    return found.mean(1)


# ---- 8.4 ----


def mask_pair(ours=None, theirs=None):
    """An answer to 8.4; a mask is replaced by a function of the right ones."""

    def answer(real, keep, tgt_len):
        right = keep.view(1, -1, 1, 1) & real[:, None, None, :]
        torchs = ~right.expand(-1, -1, tgt_len, -1).flatten(0, 1)
        return (ours(right, real, keep) if ours else right,
                theirs(torchs, real, keep, tgt_len) if theirs else torchs)

    return answer


def masks_by_loops(real, keep, tgt_len):
    ours = torch.zeros(len(real), len(keep), tgt_len, real.size(1), dtype=torch.bool)
    for b in range(len(real)):
        for h in range(len(keep)):
            ours[b, h] = real[b] & keep[h]
    return ours, ~ours.reshape(-1, tgt_len, real.size(1))


def masks_by_repeat(real, keep, tgt_len):
    n, h = len(real), len(keep)
    rows = real.repeat_interleave(h, 0) & keep.repeat(n).unsqueeze(1)
    return rows.view(n, h, 1, -1), ~rows.unsqueeze(1).repeat(1, tgt_len, 1)


def rows_of(sentences, heads):
    """Torch's mask with the rows of real and keep repeated in these two ways."""
    def theirs(torchs, real, keep, tgt_len):
        b, h = len(real), len(keep)
        r = real.repeat(h, 1) if sentences == "repeat" else real.repeat_interleave(h, 0)
        k = keep.repeat(b) if heads == "repeat" else keep.repeat_interleave(b)
        return ~(r & k.unsqueeze(1)).unsqueeze(1).expand(-1, tgt_len, -1)

    return mask_pair(theirs=theirs)


def on(view):
    return mask_pair(ours=lambda right, real, keep: view(right))


def torchs(view):
    return mask_pair(theirs=lambda t, real, keep, tgt_len: view(t))


def stays(keep):
    return keep.view(1, -1, 1, 1)


def tokens(real):
    return real[:, None, None, :]


RIGHT = [
    (HEADS, MultiHeadAttention),
    (HEADS, ByLoop),
    (HEADS, ByEinsum),
    (HEADS, made()),
    (HEADS, lambda d_model, n_heads: MultiHeadAttention(d_model, n_heads)),
    (COPY, copying()),
    (COPY, by_state_dict),
    (COPY, by_new_parameters),
    (COPY, by_cloned_windows),
    (TABLE, tables()),
    (TABLE, table_by_loops),
    (TABLE, table_by_einsum),
    (MASKS, mask_pair()),
    (MASKS, masks_by_loops),
    (MASKS, masks_by_repeat),
]

# check, wrong answer, words of its own message
WRONG = [
    # the maps
    (HEADS, with_map("output_map", None), "no layer called output_map"),
    (HEADS, with_map("key_map", lambda m: nn.Identity()), "to be an nn.Linear"),
    (HEADS, with_map("key_map", lambda m: m.query_map), "one and the same"),
    (HEADS, sized(query_map=lambda d, h: (d, d // h)), "enough for one head"),
    (HEADS, sized(value_map=lambda d, h: (d, d * h)), "more heads cost more"),
    (HEADS, sized(key_map=lambda d, h: (d, d + 1)), "want key_map from d_model"),
    (HEADS, sized(output_map=lambda d, h: (d * h, d)), "n_heads · d_model features"),
    (HEADS, sized(output_map=lambda d, h: (d // h, d)), "the width of one head: the heads"),
    (HEADS, sized(output_map=lambda d, h: (d, d + 1)), "want output_map, W^O"),
    # the weights
    (HEADS, by(lambda q, d: d**0.5), "divided by √d_model"),
    (HEADS, by(lambda q, d: 1), "are not divided"),
    (HEADS, by(lambda q, d: q.size(-1)), "by d_k itself"),
    (HEADS, by(lambda q, d: q.size(-1) ** 1 / 2), "binds tighter"),
    (HEADS, by(lambda q, d: q.size(1) ** 0.5), "√n_heads"),
    (HEADS, by(lambda q, d: lesson.SRC_LEN**0.5), "√src_len"),
    (HEADS, by(lambda q, d: q.size(2) ** 0.5), "√tgt_len"),
    (HEADS, by(lambda q, d: q.size(-1) ** -0.5), "multiplied"),
    (HEADS, spread(lambda s: s.softmax(-2)), "over the queries"),
    (HEADS, spread(lambda s: s.softmax(1)), "over the heads (axis 1)"),
    (HEADS, spread(lambda s: s.softmax(0)), "over the batch"),
    (HEADS, spread(lambda s: s), "these are the scores"),
    (HEADS, spread(lambda s: s.softmax(-1).mean(1, True).expand_as(s)), "same weights"),
    (HEADS, spread(lambda s: (s**2).softmax(-1)), "rows of weights sum to 1"),
    (HEADS, spread(lambda s: s.abs()), "row of weights sums to"),
    (HEADS, spread(lambda s: s / 0), "division by 0"),
    (HEADS, made(cut=lesson.cut_by_view, cut_value=split_heads), "cut by `view` alone, so a"),
    (
        HEADS,
        made(cut=lesson.cut_by_view, divide=lambda q, d: d**0.5),
        "And the division is by √d_model",
    ),
    (HEADS, made(cut=lesson.cut_every_hth), "every n_heads-th feature: view"),
    (HEADS, maps_of("key_map", "query_map", "value_map"), "from key_map and keys from query_map"),
    (HEADS, maps_of("query_map", "query_map", "value_map"), "query_map and keys from query_map"),
    (HEADS, maps_of("query_map", "value_map", "value_map"), "query_map and keys from value_map"),
    (HEADS, maps_of("value_map", "key_map", "query_map"), "value_map and keys from key_map"),
    (HEADS, maps_of(None, None, "value_map"), "no map at all and keys from no map at all"),
    (HEADS, maps_of("query_map", None, "value_map"), "query_map and keys from no map"),
    (
        HEADS,
        made(sources=lambda m, q, k, v: (m.query_map(q), m.key_map(v), m.value_map(v))),
        "keys are made from `value`",
    ),
    (
        HEADS,
        made(sources=lambda m, q, k, v: (m.query_map(q), m.key_map(q), m.value_map(q))),
        "keys are made from `query`",
    ),
    (
        HEADS,
        made(sources=lambda m, q, k, v: (m.query_map(k), m.key_map(k), m.value_map(v))),
        "queries are made from `key`",
    ),
    (
        HEADS,
        made(sources=lambda m, q, k, v: (m.query_map(k), m.key_map(q), m.value_map(q))),
        "one row for each key",
    ),
    # shapes
    (HEADS, made(give=lambda o, w: o), "two tensors"),
    (HEADS, made(give=lambda o, w: (w, o)), "wrong order: output first"),
    (HEADS, made(give=lambda o, w: (o, w.mean(1))), "not their mean or sum"),
    (HEADS, made(give=lambda o, w: (o, w.flatten(0, 1))), "batch and heads in one axis"),
    (HEADS, made(give=lambda o, w: (o, torch.ones(2, 5, 3, 3))), "heads look at one another"),
    (HEADS, made(give=lambda o, w: (o, w[0])), "want shape of weights"),
    (HEADS, made(give=lambda o, w: (o[0], w)), "want shape of output"),
    (HEADS, made(give=lambda o, w: (o.unflatten(-1, (3, -1)).transpose(1, 2), w)), "still has an"),
    (HEADS, made(give=lambda o, w: (o[..., :6], w)), "has the width of one head"),
    # the output
    (HEADS, made(last=lambda m, j, q: j), "W^O is missing: these"),
    (HEADS, made(join=lesson.join_by_view, last=lambda m, j, q: j), "alone and W^O is missing"),
    (HEADS, made(join=lesson.join_by_view), "words are mixed up"),
    (HEADS, made(cut_value=lesson.cut_by_view), "use split_heads for v, too"),
    (HEADS, made(cut_value=lesson.cut_by_view, join=lesson.join_by_view), "values are cut and"),
    (HEADS, made(cut_value=lesson.cut_every_hth), "feature of the values"),
    (HEADS, made(join=lambda c: merge_heads(c.flip(1))), "reverse order"),
    (HEADS, made(join=lambda c: c.permute(0, 2, 3, 1).flatten(2)), "feature by feature"),
    (HEADS, made(join=lambda c: c.mean(1).repeat(1, 1, c.size(1))), "heads are averaged: they"),
    (HEADS, made(join=lambda c: c.sum(1).repeat(1, 1, c.size(1))), "added up before"),
    (HEADS, made(mix=lambda w, v: w.mean(1, True) @ v), "mean of all heads' weights"),
    (HEADS, made(last=lambda m, j, q: m.output_map(m.output_map(j))), "applied twice"),
    (HEADS, made(last=lambda m, j, q: j @ m.output_map.weight.T), "bias of output_map is missing"),
    (
        HEADS,
        made(last=lambda m, j, q: j @ m.output_map.weight + m.output_map.bias),
        "turned round: call",
    ),
    (HEADS, made(last=lambda m, j, q: q + m.output_map(j)), "residual"),
    (HEADS, maps_of("query_map", "key_map", None), "pass through no map"),
    (
        HEADS,
        made(sources=lambda m, q, k, v: (m.query_map(q), m.key_map(k), m.value_map(k))),
        "made from `key`: value_map reads",
    ),
    (HEADS, maps_of("query_map", "key_map", "key_map"), "values come from key_map"),
    (HEADS, maps_of("query_map", "key_map", "query_map"), "values come from query_map"),
    (
        HEADS,
        made(sources=lambda m, q, k, v: (m.query_map(q), m.key_map(k), m.key_map(k))),
        "weights mix the keys",
    ),
    (HEADS, made(mix=lambda w, v: 2 * w @ v), "in this order"),
    (HEADS, made(last=lambda m, j, q: m.output_map(j) / 0), "what comes after them"),
    # masks
    (HEADS, NoMaskArgument, "a mask of three axes (batch, 1, src_len) fails"),
    (HEADS, made(fit=lambda m: m), "with mask.unsqueeze(1)"),
    (HEADS, made(fit=lambda m: m.unsqueeze(1)), "a mask of two axes"),
    (HEADS, made(fit=lambda m: m.unsqueeze(1) if m.dim() > 2 else m), "a mask of four axes"),
    (HEADS, made(fit=queries_hidden), "hides queries, not keys"),
    (HEADS, made(fit=only_full_masks), "four axes (batch, n_heads, 1, src_len)"),
    (HEADS, made(fit=no_mask_for_all_heads), "four axes (batch, 1, 1, src_len)"),
    (HEADS, made(fit=first_row_only), "a hidden key gets up to"),
    (HEADS, made(fit=fit_by_batch), "as many sentences as heads"),
    (HEADS, four_axes(lambda m: m[:, :1]), "all heads get the same"),
    (HEADS, hidden(lambda s, m: s.softmax(-1)), "changes nothing"),
    (HEADS, hidden(lambda s, m: masked_softmax(s, ~m)), "wrong way round: True means may"),
    (HEADS, hidden(lambda s, m: s.softmax(-1) * m), "set to 0 after the softmax"),
    (HEADS, hidden(lambda s, m: (s * m).softmax(-1)), "exp(0) = 1"),
    (HEADS, hidden(lambda s, m: (s + m).softmax(-1)), "added as 0 and 1"),
    (HEADS, hidden(lambda s, m: s.masked_fill(~m, -3.0).softmax(-1)), "hidden key gets up to"),
    (HEADS, hidden(lambda s, m: s * NAN), "has a visible key"),
    (HEADS, hidden(lambda s, m: masked_softmax(2 * s, m)), "visible ones do not share"),
    (HEADS, hidden(lambda s, m: s.masked_fill(~m, -torch.inf).softmax(-1)), "gets nan, and"),
    (HEADS, hidden(negative), "large negative number"),
    (HEADS, MixesFree, "mix with the masked weights"),
    (HEADS, made(sources=detached), "no gradient reaches query_map"),
    (HEADS, made(give=lambda o, w: (o.detach(), w)), "no gradient reaches any map"),
    (HEADS, OneSize, "right for 3 heads of width 6"),
    # 8.2
    (COPY, copying(in_order(1, 0, 2), in_order(1, 0, 2, what="bias")), "got torch's k, q, v"),
    (COPY, copying(in_order(1, 2, 0)), "got torch's k, v, q"),
    (COPY, copying(in_order(0, 2, 1)), "got torch's q, v, k"),
    (COPY, copying(in_order(2, 1, 0)), "got torch's v, k, q"),
    (COPY, copying(in_order(0, 0, 0)), "all three maps got the first third"),
    (COPY, copying(lambda t: [w.T for w in t.in_proj_weight.chunk(3)]), "are transposed"),
    (COPY, copying(lambda t: [t.in_proj_weight[i::3] for i in range(3)]), "every third row"),
    (COPY, copying(lambda t: [w.flip(0) for w in t.in_proj_weight.chunk(3)]), "in reverse order"),
    (COPY, adds, "are added to the old"),
    (COPY, lambda theirs, ours: ours, "are as before: fill"),
    (COPY, copying(two_of_three), "value_map is as before"),
    (COPY, copying(lambda t: [2 * w for w in t.in_proj_weight.chunk(3)]), "weight of query_map is "
     "not its third"),
    (COPY, misshapen, "want shape of the weight of query_map"),
    (COPY, copying(biases=lambda t: [None] * 3), "in_proj_bias is ignored"),
    (COPY, copying(biases=lambda t: [torch.zeros(18)] * 3), "are 0: torch has"),
    (COPY, copying(biases=in_order(1, 0, 2, what="bias")), "another order than the weights"),
    (COPY, copying(biases=in_order(0, 0, 0, what="bias")), "all three biases are the first"),
    (COPY, copying(biases=lambda t: [t.in_proj_bias[i::3] for i in range(3)]), "every third entry"),
    (COPY, copying(biases=lambda t: [2 * b for b in t.in_proj_bias.chunk(3)]), "bias of query_map"),
    (COPY, shorn("query"), "has lost a bias"),
    (COPY, shorn("out"), "output_map has lost its bias"),
    (COPY, copying(out=lambda t: (None, None)), "out_proj is forgotten"),
    (COPY, copying(out=lambda t: (t.out_proj.weight.T, t.out_proj.bias)), "out_proj is transposed"),
    (COPY, copying(out=lambda t: (2 * t.out_proj.weight, t.out_proj.bias)), "is not that of"),
    (COPY, copying(out=lambda t: (t.out_proj.weight, None)), "bias of out_proj is forgotten"),
    (COPY, copying(out=lambda t: (t.out_proj.weight, 2 * t.out_proj.bias)), "bias of output_map"),
    (COPY, by_windows, "the weight of query_map lies in torch's own memory"),
    (COPY, by_window_bias, "the bias of key_map lies in torch's own memory"),
    (COPY, by_the_same_layer, "the weight of output_map lies in torch's own memory"),
    (COPY, by_the_same_bias, "the bias of output_map lies in torch's own memory"),
    (COPY, with_gradient, "inside `with torch.no_grad():`"),
    (COPY, lambda theirs, ours: theirs, "this is torch's module"),
    (COPY, lambda theirs, ours: 7, "want `ours`"),
    (COPY, other_heads, "the outputs differ"),
    # 8.3
    (TABLE, lambda w, g, r: tables()(w, g, r)[:2], "three tensors"),
    (TABLE, tables(lambda hits, *_: hits[:, 0]), "of the first sentence: one picture"),
    (TABLE, tables(lambda hits, *_: hits.amax(1)), "the best sentence is picked"),
    (TABLE, tables(lambda hits, *_: hits.median(1).values), "median"),
    (TABLE, tables(lambda hits, *_: hits.sum(1)), "sentences are added up"),
    (TABLE, tables(lambda hits, *_: hits.sum(1) / 7), "divided by src_len: divide by the number"),
    (TABLE, tables(lambda hits, w, g, r: hits.sum(1) / r.sum()), "by the number of words"),
    (TABLE, tables(lambda hits, w, g, r: hits.sum(1) / g.sum((0, 2))), "number of gold words"),
    (TABLE, tables(lambda hits, w, g, r: (hits / g.sum(-1)[:, None]).mean(1)), "on one word of"),
    (TABLE, tables(brightest), "brightest word"),
    (TABLE, tables(lambda hits, w, g, r: hits.mean(1) - (g.sum(-1) / r.sum(-1, True)).mean(0)),
     "taken off already"),
    (TABLE, tables(lambda hits, *_: 1 - hits.mean(1)), "all other words"),
    (TABLE, tables(lambda hits, w, g, r: hits.mean(1) / r.float().mean()), "share of real words"),
    (TABLE, tables(lambda hits, *_: hits.mean(1) ** 2), "the first score is"),
    (TABLE, tables(lambda hits, *_: hits.mean(1) / 0), "divides by 0"),
    (TABLE, tables(lambda hits, *_: hits.mean(1).transpose(1, 2)), "heads and roles are exchanged"),
    (TABLE, tables(lambda hits, *_: hits.mean((0, 1))), "keep the axis of the seeds"),
    (TABLE, tables(lambda hits, *_: hits), "still has the axis of the sentences"),
    (TABLE, tables(lambda hits, *_: hits.mean(0)), "over the seeds, dim=0"),
    (TABLE, tables(lambda hits, *_: hits.mean(2)), "over the heads: want it"),
    (TABLE, tables(lambda hits, *_: hits.mean(3)), "over the roles: want it"),
    (TABLE, tables(lambda hits, *_: hits.mean()), "want shape of scores"),
    (TABLE, tables(chance=lambda g, r: g.float().mean((0, 2))), "counts padding"),
    (TABLE, tables(chance=lambda g, r: g.sum((0, 2)) / r.sum()), "over all words together"),
    (TABLE, tables(chance=lambda g, r: (1 / r.sum(-1, True)).mean(0).expand(4)), "of one word"),
    (TABLE, tables(chance=lambda g, r: torch.full((4,), 1 / 7)), "chance is 1 / src_len"),
    (TABLE, tables(chance=lambda g, r: torch.full((4,), 1 / 4)), "chance is 1 / n_roles"),
    (TABLE, tables(chance=lambda g, r: (g.sum(-1) / r.sum(-1, True))[0]), "that of the first sen"),
    (TABLE, tables(chance=lambda g, r: (g.sum(-1) / r.sum(-1, True)).sum(0)), "is added up over"),
    (TABLE, tables(chance=lambda g, r: g.sum(-1).float().mean(0)), "number of words of the role"),
    (TABLE, tables(chance=lambda g, r: 1 - (g.sum(-1) / r.sum(-1, True)).mean(0)), "to miss"),
    (TABLE, tables(chance=lambda g, r: torch.zeros(4)), "chance for the first role"),
    (TABLE, tables(chance=lambda g, r: torch.tensor(0.3)), "want shape of chance"),
    (TABLE, tables(best=lambda s: s.mean(0).amax(0)), "averaged head by head"),
    (TABLE, tables(best=lambda s: s.amax((0, 1))), "best head of the best seed"),
    (TABLE, tables(best=lambda s: s.amax(1).amin(0)), "worst seed"),
    (TABLE, tables(best=lambda s: s.mean((0, 1))), "mean over all heads"),
    (TABLE, tables(best=lambda s: s[0].amax(0)), "only the first seed"),
    (TABLE, tables(best=lambda s: s[-1].amax(0)), "only the last seed"),
    (TABLE, tables(best=lambda s: s.amin(1).mean(0)), "worst head of each seed"),
    (TABLE, tables(best=lambda s: s[:, 0].mean(0)), "this is head 1"),
    (TABLE, tables(best=lambda s: s.amax(1).sum(0)), "seeds are added up"),
    (TABLE, tables(best=lambda s: s.amax(1)), "still has the axis of the seeds"),
    (TABLE, tables(best=lambda s: s.amax(2).mean(0)), "one number for each head"),
    (TABLE, tables(best=lambda s: s.mean(0).argmax(0)), "whole numbers"),
    (TABLE, tables(best=lambda s: 3 * s.amax(1).mean(0)), "best is not the score"),
    (TABLE, tables(best=lambda s: s.amax(1).mean()), "want shape of best"),
    # 8.4
    (MASKS, lambda real, keep, n: mask_pair()(real, keep, n)[0], "two masks"),
    (MASKS, lambda real, keep, n: mask_pair()(real, keep, n)[::-1], "ours has torch's shape"),
    (MASKS, on(lambda m: ~m), "ours is the wrong way round"),
    (MASKS, on(lambda m: m.transpose(0, 1)), "batch and heads are exchanged in ours"),
    (MASKS, on(lambda m: m.squeeze(2)), "ours has three axes"),
    (MASKS, on(lambda m: m[:, 0, 0]), "want shape of ours"),
    (MASKS, on(lambda m: m.float()), "want ours as bool"),
    (MASKS, on(lambda m: 7), "want ours as a torch.Tensor"),
    (MASKS, mask_pair(lambda m, real, keep: tokens(real)), "ours has no heads"),
    (MASKS, mask_pair(lambda m, real, keep: tokens(real).expand_as(m)), "every head look"),
    (MASKS, mask_pair(lambda m, real, keep: stays(keep).expand_as(m)), "ours shows the padding"),
    (MASKS, mask_pair(lambda m, real, keep: tokens(real) | stays(keep)), "with `or`"),
    (MASKS, mask_pair(lambda m, real, keep: tokens(real) & stays(~keep)), "`keep` is turned round"),
    (MASKS, mask_pair(lambda m, real, keep: tokens(~real) & stays(keep)), "`real` is turned round"),
    (MASKS, mask_pair(lambda m, real, keep: tokens(real) ^ stays(keep)), "exactly one of the two"),
    (MASKS, on(torch.zeros_like), "ours is not True exactly"),
    (MASKS, torchs(lambda m: ~m), "True means hidden, turn it"),
    (MASKS, torchs(lambda m: m.unflatten(0, (2, 3))), "theirs has four axes"),
    (MASKS, torchs(lambda m: m.transpose(1, 2)), "queries and keys are exchanged"),
    (MASKS, torchs(lambda m: m[:, :1]), "queries of theirs have size 1"),
    (MASKS, torchs(lambda m: m[:2]), "one mask for each sentence: torch"),
    (MASKS, torchs(lambda m: m[:5]), "want shape of theirs"),
    (MASKS, torchs(lambda m: torch.zeros(m.shape).masked_fill(m, -torch.inf)), "theirs as bool"),
    (MASKS, rows_of("repeat", "interleave"), "sentences of head 1 come first"),
    (MASKS, rows_of("repeat", "repeat"), "rows of `real` are repeated as a whole"),
    (MASKS, rows_of("interleave", "interleave"), "each entry of `keep` comes batch times"),
    (MASKS, torchs(lambda m: ~m.unflatten(0, (2, 3)).transpose(0, 1).flatten(0, 1)),
     "wrong order, wrong way round"),
    (MASKS, mask_pair(theirs=lambda t, real, keep, n: ~real.repeat_interleave(3, 0)[:, None].expand(
        -1, n, -1)), "padding only"),
    (MASKS, mask_pair(theirs=lambda t, real, keep, n: ~keep.repeat(2)[:, None, None].expand(
        -1, n, 7)), "heads only"),
    (MASKS, torchs(torch.zeros_like), "theirs is not True exactly"),
]


FUNCTIONS = [COPY, TABLE, MASKS]
HOSTILE = [
    *judging.HOSTILE,
    (lambda *given: 7, "want"),
    (lambda *given: torch.tensor(NAN), "want"),
    (lambda *given: (None, None, None), "want"),
    (lambda *given: ([], {}), "want"),
]
HOSTILE_CLASSES = [
    (lambda d, h: None, "returned None"),
    (lambda d, h: 7, "must give an nn.Module, got int"),
    (lambda d, h: nn.Linear(d, d), "no layer called query_map"),
    (fails, "raised ValueError: no"),
    (endless, "for ever"),
    (Fails, "raised ValueError: no"),
    (Endless, "for ever"),
    (InPlace, "in place"),
    (InPlaceMask, "in place"),
    (Forgets, "returned None"),
    (MultiHeadAttention(18, 3), "class itself"),
    (nn.MultiheadAttention, "no layer called query_map"),
    ("MultiHeadAttention", "function itself"),
    (lambda: None, "raised TypeError"),
    (made(give=lambda o, w: (None, w)), "want a torch.Tensor of output"),
    (made(give=lambda o, w: (o, None)), "want a torch.Tensor of weights"),
    (made(give=lambda o, w: {"output": o}), "two tensors"),
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


@pytest.mark.parametrize("answer, words", HOSTILE_CLASSES)
def test_hostile_classes(answer, words):
    verdict = HEADS(answer)
    assert verdict.passed is False
    assert words in verdict.message


@pytest.mark.parametrize("check, right", [(TABLE, tables()), (MASKS, mask_pair())])
def test_a_changed_argument_is_noticed(check, right):
    def answer(first, *rest):
        first[0] = 0
        return right(first, *rest)

    verdict = check(answer)
    assert verdict.passed is False and "in place" in verdict.message


@pytest.mark.parametrize("check, stub", [
    *((check, lambda *given: ...) for check in (HEADS, *FUNCTIONS)),
    *((check, ...) for check in (HEADS, *FUNCTIONS)),
    (HEADS, Untouched),
    (HEADS, OnlyMaps),
    (TABLE, lambda *given: (..., ..., ...)),
    (MASKS, lambda *given: (..., ...)),
])
def test_untouched_stubs(check, stub):
    assert check(stub).passed is None


def test_a_map_that_is_still_open_is_named():
    class Half(MultiHeadAttention):
        def __init__(self, d_model, n_heads):
            super().__init__(d_model, n_heads)
            del self.value_map
            self.value_map = ...

    verdict = HEADS(Half)
    assert verdict.passed is False and "value_map is still" in verdict.message


def test_the_answer_is_judged_without_its_dropout():
    class Drops(MultiHeadAttention):
        def __init__(self, d_model, n_heads):
            super().__init__(d_model, n_heads)
            self.dropout = nn.Dropout(0.5)

        def forward(self, query, key, value, mask=None):
            output, weights = super().forward(query, key, value, mask)
            return self.dropout(output), weights

    assert HEADS(Drops).passed is True


def test_a_wrong_answer_without_biases_is_named():
    verdict = HEADS(WithoutBias)
    assert verdict.passed is False and "W^O is missing" in verdict.message


def test_numbers():
    assert [c.exercise for c in (HEADS, COPY, TABLE, MASKS)] == ["8.1", "8.2", "8.3", "8.4"]


def test_the_expected_masks_do_the_same_in_both_modules():
    """What check_head_masks holds for right hides the same keys in torch's layer."""
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(18, 3, batch_first=True)
    ours = copying()(theirs, MultiHeadAttention(18, 3))
    real = torch.arange(7) < torch.tensor([[7], [4]])
    mask, hidden_keys = mask_pair()(real, torch.ones(3).bool(), 5)
    x, y = torch.randn(2, 5, 18), torch.randn(2, 7, 18)
    torch.testing.assert_close(ours(x, y, y, mask)[0],
                               theirs(x, y, y, attn_mask=hidden_keys)[0])

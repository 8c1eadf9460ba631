"""The checks of notebook 08 accept right answers and name each wrong one."""

import copy

import torch
import torch.nn.functional as F
from judging import Answers, Exercise, endless, fails, mutant
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

# ---- 8.1 ----


class Heads(nn.Module):
    """The solution with every step on a line of its own, for mutants."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.query_map = nn.Linear(d_model, d_model)
        self.key_map = nn.Linear(d_model, d_model)
        self.value_map = nn.Linear(d_model, d_model)
        self.output_map = nn.Linear(d_model, d_model)

    def forward(self, query, key, value, mask=None):
        h, d_k = self.n_heads, query.size(-1) // self.n_heads
        q = split_heads(self.query_map(query), h)
        k = split_heads(self.key_map(key), h)
        v = split_heads(self.value_map(value), h)
        s = q @ k.transpose(-2, -1) / d_k ** 0.5
        m = mask.unsqueeze(1) if mask is not None and mask.dim() == 3 else mask
        w = masked_softmax(s, m)
        joined = merge_heads(w @ v)
        output = self.output_map(joined)
        return output, w


Q, K, V = (f"split_heads(self.{n}_map({n}), h)" for n in ("query", "key", "value"))
SPLIT, BARE = "split_heads", "(lambda x, h: x.unflatten(-1, (h, -1)))"
SHARE, FIT = "masked_softmax(s, m)", "mask.unsqueeze(1) if mask is not None and mask.dim() == 3"
LAST, JOIN, GIVE = "self.output_map(joined)", "merge_heads(w @ v)", "return output, w"
VIEW = "reshape(len({0}), h, {0}.size(1), d_k)"
EVERY = "unflatten(-1, (d_k, h)).permute(0, 3, 1, 2)"
FLAT = "(w @ v).reshape(len(v), -1, h * d_k)"


def heads(*texts):
    return mutant(Heads, *texts)


def sized(name, size):
    """A map of other sizes."""
    return heads(f"self.{name} = nn.Linear(d_model, d_model)", f"self.{name} = nn.Linear({size})")


def maps(q, k, v="self.value_map(value)"):
    return heads("self.query_map(query)", q, "self.key_map(key)", k, "self.value_map(value)", v)


def free(text):
    """Other weights where there is no mask."""
    return heads(SHARE, f"{SHARE} if m is not None else {text}")


def hidden(text):
    """Other weights where there is a mask."""
    return heads(SHARE, f"s.softmax(-1) if m is None else {text}")


def fit(text):
    """Another way to give a mask its axes."""
    return heads(f"{FIT} else mask", f"None if mask is None else {text}")


def cut(way):
    """Another cut of queries and keys."""
    return (Q, f"self.query_map(query).{way.format('query')}",
            K, f"self.key_map(key).{way.format('key')}")


def cut_value(way):
    return V, f"self.value_map(value).{way.format('value')}"


class ByLoop(MultiHeadAttention):
    """Right: one head after another, from slices."""

    def forward(self, query, key, value, mask=None):
        d_k, contexts, found = query.size(-1) // self.n_heads, [], []
        for h in range(self.n_heads):
            rows = slice(h * d_k, (h + 1) * d_k)
            q, k, v = (F.linear(x, m.weight[rows], m.bias[rows]) for m, x in (
                (self.query_map, query), (self.key_map, key), (self.value_map, value)))
            own = mask[:, h if mask.size(1) > 1 else 0] if mask is not None and mask.dim() == 4 \
                else mask
            context, weights = scaled_dot_product_attention(q, k, v, own)
            contexts.append(context)
            found.append(weights)
        return self.output_map(torch.cat(contexts, -1)), torch.stack(found, 1)


class ByEinsum(nn.Module):
    """Right: no helper of the course, maps without bias, einsum, a list."""

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


class ByTorch(MultiHeadAttention):
    """Right: torch's own attention for the output, and a dropout of its own."""

    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads)
        self.dropout = nn.Dropout(0.5)

    def forward(self, query, key, value, mask=None):
        q, k, v = (m(x).unflatten(-1, (self.n_heads, -1)).movedim(2, 1) for m, x in (
            (self.query_map, query), (self.key_map, key), (self.value_map, value)))
        mask = mask.unsqueeze(1) if mask is not None and mask.dim() == 3 else mask
        hide = 0.0 if mask is None else torch.zeros(()).masked_fill(~mask, -torch.inf)
        root = torch.sqrt(torch.tensor(float(q.size(-1))))
        weights = (q @ k.mT / root + hide).softmax(-1).nan_to_num()
        context = F.scaled_dot_product_attention(q, k, v, mask)
        return self.dropout(self.output_map(context.movedim(1, 2).flatten(2))), weights


class WithoutBias(ByEinsum):
    """Wrong, with maps that have no bias: W^O is missing."""

    def forward(self, query, key, value, mask=None):
        weights = super().forward(query, key, value, mask)[1]
        v = self.value_map(value).unflatten(-1, (self.n, -1))
        return torch.einsum("bhts,bshd->bthd", weights, v).flatten(2), weights


class Untouched(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.query_map = self.key_map = self.value_map = self.output_map = ...

    def forward(self, query, key, value, mask=None):
        return ...


HEADS = Exercise(
    lesson.check_multi_head_attention,
    right=[MultiHeadAttention, Heads, ByLoop, ByEinsum, ByTorch, lambda d, h: Heads(d, h),
           heads("h, d_k =", "self.seen = mask; h, d_k =")],
    wrong=[
        # the maps
        (heads("self.output_map = ", "self.out = "), "called output_map, an nn.Linear: got None"),
        (sized("key_map", "1, 1); self.key_map = nn.Identity("), "key_map, an nn.Linear: got Iden"),
        (sized("key_map", "1, 1); self.key_map = (self.query_map"), "one and the same"),
        (heads("self.value_map = nn.Linear(d_model, d_model)", "self.value_map = ..."),
         "value_map is still"),
        (sized("query_map", "d_model, d_model // n_heads"), "makes 6, enough for one head"),
        (sized("value_map", "d_model, d_model * n_heads"), "more heads cost more"),
        (sized("key_map", "d_model, d_model + 1"), "key_map makes 19"),
        (sized("output_map", "d_model * n_heads, d_model"), "output_map reads d_model for each"),
        (sized("output_map", "d_model // n_heads, d_model"), "output_map reads 6, enough"),
        (sized("output_map", "d_model, d_model + 1"), "output_map makes 19"),
        (sized("key_map", "d_model, d_model, bias=False"), "key_map has no bias"),
        (sized("output_map", "d_model, d_model); self.value_map.requires_grad_(False"), "frozen"),
        # the weights
        (heads("d_k ** 0.5", "(h * d_k) ** 0.5"), "divided by √d_model: each"),
        (heads("/ d_k ** 0.5", ""), "are not divided"),
        (heads("d_k ** 0.5", "d_k"), "by d_k itself"),
        (heads("d_k ** 0.5", "(d_k ** 1 / 2)"), "binds tighter"),
        (heads("d_k ** 0.5", "h ** 0.5"), "√n_heads"),
        (heads("d_k ** 0.5", "k.size(2) ** 0.5"), "√src_len"),
        (heads("d_k ** 0.5", "q.size(2) ** 0.5"), "√tgt_len"),
        (heads("/ d_k ** 0.5", "* d_k ** 0.5"), "are multiplied"),
        (heads("d_k ** 0.5", "6 ** 0.5"), "for 2 heads of width 5"),
        (free("s.softmax(-2)"), "over the queries"),
        (free("s.softmax(1)"), "over the heads (axis 1)"),
        (free("s.softmax(0)"), "over the batch"),
        (free("s"), "these are the scores"),
        (free("s.softmax(-1).mean(1, True).expand_as(s)"), "same weights, their mean"),
        (free("(s**2).softmax(-1)"), "map, split, product"),
        (free("s.abs()"), "key 2 of `key` does not move key 0, and must"),
        (free("s / 0"), "(some step divides by 0"),
        (free("s.softmax(-1) * (1 if h == 3 else 2)"), "right for as many queries as keys and 5"),
        (heads(*cut(VIEW)), "cut by `view` alone, so a head holds pieces of several words: view"),
        (heads(*cut(VIEW), "d_k ** 0.5", "(h * d_k) ** 0.5"), "view as (batch, seq_len, n_heads, "
         "d_k), then transpose(1, 2). And the division"),
        (heads(*cut(VIEW)[:2]), "queries alone are cut"),
        (heads(*cut(VIEW)[2:]), "keys alone are cut"),
        (heads(*cut(EVERY)), "every n_heads-th feature: view"),
        (heads(*cut(EVERY), "d_k ** 0.5", "(h * d_k) ** 0.5"), "before the width. And the div"),
        (maps("self.key_map(query)", "self.query_map(key)"), "from key_map and keys from query"),
        (maps("self.query_map(query)", "self.query_map(key)"), "query_map and keys from query_map"),
        (maps("self.query_map(query)", "self.value_map(key)"), "query_map and keys from value_map"),
        (maps("self.value_map(query)", "self.key_map(key)", "self.query_map(value)"),
         "value_map and keys from key_map"),
        (maps("query", "key"), "no map at all and keys from no map at all"),
        (maps("self.query_map(query)", "key"), "query_map and keys from no map"),
        (maps("self.query_map(query)", "self.key_map(value)"), "keys are made from `value`"),
        (maps("self.query_map(query)", "self.key_map(query)", "self.value_map(query)"),
         "keys are made from `query`"),
        (maps("self.query_map(key)", "self.key_map(key)"), "queries are made from `key`: make"),
        (maps("self.query_map(key)", "self.key_map(query)"), "from `key`, and keys from `query`"),
        (heads("q @ k.transpose(-2, -1)", "(k @ q.transpose(-2, -1))"), "one row for each key"),
        (heads("h, d_k = self.n_heads,", "h, d_k = 3,"), "for 2 heads of width 5 in one sentence"),
        (heads("s = q @", "q = q + q.flip(0); s = q @"), "moves sentence 0, and must not"),
        # shapes
        (heads(GIVE, "return output"), "want 2 results, `return output, weights`"),
        (heads(GIVE, "return w, output"), "wrong order: output first"),
        (heads(GIVE, "return output, w.mean(1)"), "not their mean"),
        (heads(GIVE, "return output, w.sum(1)"), "not their sum"),
        (heads(GIVE, "return output, w.flatten(0, 1)"), "batch and heads in one axis"),
        (heads(Q, Q.replace(SPLIT, BARE), K, K.replace(SPLIT, BARE), V, V.replace(SPLIT, BARE),
               JOIN, "(w @ v).flatten(2)"), "heads look at one another"),
        (heads(GIVE, "return output, w[0]"), "want shape of weights"),
        (heads(GIVE, "return output[0], w"), "want shape of output"),
        (heads(LAST, "w @ v"), "still has an axis for the heads"),
        (heads(LAST, "(w @ v).mean(1)"), "has the width of one head"),
        (heads(JOIN, f"{JOIN}.view(2, 5, 18)"), "2 heads of width 5 in one sentence: your function "
         "raised RuntimeError: shape '[2, 5, 18]'"),
        # the output
        (heads(LAST, "joined"), "W^O is missing: these"),
        (WithoutBias, "W^O is missing: these"),
        (heads(JOIN, FLAT, LAST, "joined"), "alone and W^O is missing"),
        (heads(JOIN, FLAT), "words are mixed up"),
        (heads(*cut_value(VIEW)), "use split_heads for v, too"),
        (heads(*cut_value(VIEW), JOIN, FLAT), "values are cut and"),
        (heads(*cut_value(EVERY)), "feature of the values"),
        (heads(JOIN, "merge_heads((w @ v).flip(1))"), "reverse order"),
        (heads(JOIN, "(w @ v).permute(0, 2, 3, 1).flatten(2)"), "feature by feature"),
        (heads(JOIN, "(w @ v).mean(1).repeat(1, 1, h)"), "heads are averaged: they"),
        (heads(JOIN, "(w @ v).sum(1).repeat(1, 1, h)"), "added up before"),
        (heads(JOIN, "merge_heads(w.mean(1, True) @ v)"), "mean of all heads' weights"),
        (heads(LAST, f"self.output_map({LAST})"), "applied twice"),
        (heads(LAST, f"{LAST} + (h - 1) * self.output_map.bias"), "added once for each head"),
        (heads(LAST, "joined @ self.output_map.weight.T"), "bias of output_map is missing"),
        (heads(LAST, "joined @ self.output_map.weight + self.output_map.bias"), "round: call the"),
        (heads(LAST, f"query + {LAST}"), "residual"),
        (maps("self.query_map(query)", "self.key_map(key)", "value"), "pass through no map"),
        (maps("self.query_map(query)", "self.key_map(key)", "self.value_map(key)"), "map reads `v"),
        (maps("self.query_map(query)", "self.key_map(key)", "self.key_map(value)"), "from key_map"),
        (maps("self.query_map(query)", "self.key_map(key)", "self.query_map(value)"),
         "come from query_map"),
        (maps("self.query_map(query)", "self.key_map(key)", "self.key_map(key)"), "mix the keys"),
        (heads("w @ v", "2 * w @ v"), "The weights are right: want weights @ v"),
        (heads(LAST, f"{LAST} / 0"), "output[0, 0, 0] (sentence 0, query 0, feature 0) is"),
        (heads(JOIN, "merge_heads(masked_softmax(s) @ v)"), "mix with the masked weights"),
        # masks
        (heads(", mask=None", "", "h, d_k", "mask = None; h, d_k"), "Your forward takes `mask`"),
        (fit("mask"), "without it the batch falls on the heads"),
        (fit("mask.unsqueeze(1)"), "for a mask of two axes"),
        (fit("mask.unsqueeze(1) if mask.dim() > 2 else mask"), "for a mask for each head"),
        (fit("(mask.mT if mask.size(1) == 1 and mask.size(2) == 5 else mask)[:, None] "
             "if mask.dim() == 3 else mask"), "hides queries, not keys"),
        (fit("mask.view(-1, h, mask.size(2), mask.size(3)) if mask.dim() == 4 else "
             "mask.unsqueeze(1) if mask.dim() == 3 else mask"), "a mask (batch, 1, 1, src_len)"),
        (fit("torch.cat([mask, mask | True, mask | True, mask | True, mask | True], 2) if "
             "mask.dim() == 4 and mask.size(2) == 1 else mask.unsqueeze(1) if mask.dim() == 3 "
             "else mask"), "for a mask (batch, n_heads, 1, src_len)"),
        (fit("mask.unsqueeze(1) if mask.dim() == 3 and len(mask) != h else mask"),
         "without it the batch falls on the heads"),
        (fit("mask.unsqueeze(1) if mask.dim() == 3 and mask.size(1) != h else mask"),
         "queries, a mask for each, though"),
        (fit("mask.unsqueeze(1) if mask.dim() == 3 and len(mask) != query.size(1) else mask"),
         "a mask for each, though not in"),
        (fit("mask.unsqueeze(1) if mask.dim() < 4 and len(mask) == len(query) else mask"),
         "and queries, a mask of two axes"),
        (fit("mask.unsqueeze(1) if mask.shape[:2] == query.shape[:2] or mask.dim() == 3 else mask"),
         "and queries, a mask of four axes"),
        (fit("mask[:, :1] if mask.dim() == 4 else mask[:, None] if mask.dim() == 3 else mask"),
         "all heads get the same"),
        (fit("mask[:1, None] if mask.dim() == 3 else mask"), "all sentences get the mask of the"),
        (fit("(mask[:, None] if mask.dim() == 3 else mask)[..., :1, :]"), "the mask's first row"),
        (fit("(mask[:, None] if mask.dim() == 3 else mask)[..., :100, :]"), "for 140 queries and "
         "150 keys: your function raised"),
        (fit("(mask[:, None] if mask.dim() == 3 else mask) if mask.size(-1) < 100 else None"),
         "for 140 queries and 150 keys: weights"),
        (hidden("s.softmax(-1)"), "changes nothing"),
        (hidden("masked_softmax(s, ~m)"), "wrong way round: True means may"),
        (hidden("s.softmax(-1) * m"), "set to 0 after the softmax"),
        (hidden("(s * m).softmax(-1)"), "exp(0) = 1"),
        (hidden("(s + m).softmax(-1)"), "added as 0 and 1"),
        (hidden("s.masked_fill(~m, -3.0).softmax(-1)"), "for a mask of two axes: weights[0, 0, 0"),
        (hidden("s * float('nan')"), "is nan, want"),
        (hidden("masked_softmax(2 * s, m)"), "a mask of two axes: weights"),
        (hidden("s.masked_fill(~m, -torch.inf).softmax(-1)"), "gets nan, and"),
        (hidden("s.masked_fill(~m, -1e9).softmax(-1)"), "large negative number"),
        (hidden("(e := s.softmax(-1) * m) / e.sum(-1, True).clamp(min=1e-30)"),
         "for scores of 10,000 and more"),
        (hidden("s.masked_fill(~m, -1e4).softmax(-1).masked_fill(~m, 0.0)"),
         "for scores of 10,000"),
        (heads("w = masked", "c = s.detach() * 0 == 0; c = c.tril(); w = masked", "(s, m)",
               "(s, c if m is None else m & c)"), "a causal mask is built in: hide"),
        (heads("w = masked", "c = s.detach() * 0 == 0; c = c.tril(); w = masked", "(s, m)",
               "(s, c if m is None else m)"), "a causal mask is built in: without"),
        (heads("self.n_heads = n_heads", "self.n_heads = n_heads; torch.manual_seed(3)"),
         "begin with the same weights"),
        (heads(SHARE, "(lambda e: e / e.sum(-1, True).clamp(min=1e-30))(s.exp() * (1 if m is None "
               "else m))"), "Hide the scores before the softmax"),
        (heads(SHARE, f"{SHARE} * (1 + self.training)"), "for training mode: weights"),
        (heads("w @ v", "F.dropout(w, 0.2, self.training) @ v"), "no dropout is asked for"),
        (heads(SHARE, f"{SHARE}.float()"), "expected scalar type Float but found Double"),
        (heads("h, d_k =", "mask = None if len(query) == 1 else mask; h, d_k ="),
         "for a mask of one sentence"),
        # gradients, state
        (heads(Q, f"{Q}.detach()"), "reaches `query_map.weight` and `query_map.bias` and `query`"),
        (heads(JOIN, JOIN.replace("w", "w.detach()")), "`key_map.weight` and 2 more from output"),
        (heads(GIVE, f"{GIVE}.detach()"), "no gradient reaches any of the arguments from weights"),
        (heads(LAST, f"{LAST}.detach()"), "no gradient reaches any of the arguments from output"),
        (heads("self.value_map(value)", "self.value_map(value.data)"), "reaches `value` from out"),
        (heads("self.value_map(value)", "self.__dict__.setdefault(value.shape, self.value_map("
               "value))"), "an earlier call, in an attribute of self or a global. For as many"),
        (heads("h, d_k =", "mask = self.__dict__.setdefault('kept', mask); h, d_k ="),
         "an earlier call, in an attribute of self or a global. For a mask of two axes"),
        (heads("h, d_k =", "torch.manual_seed(0); h, d_k ="), "sets the random state itself"),
        (heads("h, d_k =", "self.train(); h, d_k ="), "the mode (train or eval)"),
        (heads("h, d_k =", "query += 1.0; h, d_k ="), "in place"),
    ],
    twins=["W^O is missing: these", "for scores of 10,000 and more", "for scores of 10,000",
           "queries, a mask for each, though",
           "a mask for each, though not in"],
    stubs=[Untouched, heads(GIVE, "return ...")],
    hostile=[
        lambda d, h: None, lambda d, h: 7, lambda d, h: nn.Linear(d, d), MultiHeadAttention(18, 3),
        nn.MultiheadAttention, "MultiHeadAttention", lambda: None, fails, endless,
        heads(GIVE, "return None"), heads(GIVE, "return None, w"), heads(GIVE, f"{GIVE[:-1]}None"),
        heads(GIVE, "return {'output': output}"), heads(GIVE, "raise ValueError('no')"),
        heads(GIVE, "return self.forward(query, key, value, mask)"),
    ],
    is_function=False,
)


# ---- 8.2 ----


def fill(theirs, ours):
    maps = ours.query_map, ours.key_map, ours.value_map
    weights, biases = theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3)
    with torch.no_grad():
        for layer, w, b in zip(maps, weights, biases):
            layer.weight.copy_(w)
            layer.bias.copy_(b)
        ours.output_map.weight.copy_(theirs.out_proj.weight)
        ours.output_map.bias.copy_(theirs.out_proj.bias)
    return ours


def by_state_dict(theirs, ours):
    state, d = {}, theirs.embed_dim
    for name, w, b in zip(lesson.OWN, theirs.in_proj_weight.split(d), theirs.in_proj_bias.split(d)):
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


def by_cloned_windows(theirs, ours):
    """Right: the three maps share one matrix, but it is not torch's."""
    fill(theirs, ours)
    for name, w in zip(lesson.OWN, theirs.in_proj_weight.detach().clone().chunk(3)):
        getattr(ours, name).weight = nn.Parameter(w)
    return ours


def after(line):
    """The solution, and a line more at its end."""
    return mutant(fill, "return ours", f"{line}\n    return ours")


def filled(*texts):
    return mutant(fill, *texts)


W3, B3 = "theirs.in_proj_weight.chunk(3)", "theirs.in_proj_bias.chunk(3)"


def order(*places, of=W3):
    return of, f"[{of}[i] for i in {places}]"


COPY = Exercise(
    lesson.check_copy_from_torch,
    right=[fill, by_state_dict, by_new_parameters, by_cloned_windows],
    wrong=[
        (filled(*order(1, 0, 2), *order(1, 0, 2, of=B3)), "got torch's k, q, v"),
        (filled(*order(1, 2, 0)), "got torch's k, v, q"),
        (filled(*order(0, 2, 1)), "got torch's q, v, k"),
        (filled(*order(2, 1, 0)), "got torch's v, k, q"),
        (filled(*order(0, 0, 0)), "all three maps got the first third"),
        (filled(W3, f"[w.T for w in {W3}]"), "matrices are transposed"),
        (filled(W3, "[theirs.in_proj_weight[i::3] for i in range(3)]"), "every third row"),
        (filled(W3, f"[w.flip(0) for w in {W3}]"), "in reverse order"),
        (filled("weight.copy_(w)", "weight.add_(w)"), "are added to the old"),
        (lambda theirs, ours: ours, "are as before: fill"),
        (filled("weight.copy_(w)", "weight = layer.weight; weight = w"), "_map are as before"),
        (filled("zip(maps,", "zip(maps[:2],"), "value_map is as before"),
        (filled(W3, f"[2 * w for w in {W3}]"), "query_map.weight[0, 0] (out 0, in 0) is"),
        (after("ours.query_map.weight = nn.Parameter(theirs.in_proj_weight.detach().clone())"),
         "want shape of query_map.weight"),
        (filled(W3, "theirs.in_proj_weight.split(18)"), "for d_model 8"),
        (filled("layer.bias.copy_(b)", "pass"), "in_proj_bias is ignored"),
        (filled("layer.bias.copy_(b)", "layer.bias.zero_()"), "are 0: torch has"),
        (filled(*order(1, 0, 2, of=B3)), "another order than the weights"),
        (filled(*order(0, 0, 0, of=B3)), "all three biases are the first"),
        (filled(B3, "[theirs.in_proj_bias[i::3] for i in range(3)]"), "every third entry"),
        (filled(B3, f"[2 * b for b in {B3}]"), "query_map.bias[0]"),
        (after("ours.query_map.bias = None"), "want query_map.bias as a torch.Tensor"),
        (after("ours.output_map.bias = None"), "want output_map.bias as a torch.Tensor"),
        (filled("ours.output_map.weight.copy_(theirs.out_proj.weight)", "pass",
                "ours.output_map.bias.copy_(theirs.out_proj.bias)", "pass"),
         "out_proj is forgotten: it is W^O"),
        (filled("theirs.out_proj.weight", "theirs.out_proj.weight.T"), "out_proj is transposed"),
        (filled("theirs.out_proj.weight", "2 * theirs.out_proj.weight"), "output_map.weight[0, 0]"),
        (filled("ours.output_map.bias.copy_(theirs.out_proj.bias)", "pass"),
         "the bias of out_proj is forgotten"),
        (filled("theirs.out_proj.bias", "2 * theirs.out_proj.bias"), "output_map.bias[0]"),
        (after("for m, w in zip(maps, weights): m.weight.data = w.detach()"),
         "`query_map.weight` lies in torch's own memory"),
        (after("ours.key_map.bias = nn.Parameter(biases[1].detach())"), "`key_map.bias` lies in"),
        (after("ours.output_map = theirs.out_proj"), "`output_map.weight` lies in"),
        (after("ours.output_map.bias = theirs.out_proj.bias"), "`output_map.bias` lies in"),
        (filled("with torch.no_grad():", "if True:"), "inside `with torch.no_grad():`"),
        (lambda theirs, ours: theirs, "this is torch's module"),
        (lambda theirs, ours: 7, "want `ours` itself, filled and returned; got int"),
        (lambda theirs, ours: fill(theirs, copy.deepcopy(ours)), "returned; got MultiHead"),
        (after("ours.n_heads = 1"), "the outputs differ"),
        (after("ours.key_map.requires_grad_(False)"), "`key_map.weight` is frozen"),
        (after("theirs.in_proj_bias.data.zero_()"), "changes torch's module"),
    ],
    twins=["are as before: fill", "_map are as before"],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: (None,) * 3, lambda *given: ([], {})],
)


# ---- 8.3 ----


def table(weights, gold, real):
    hits = weights @ gold.float().transpose(1, 2)
    scores = hits.mean(dim=1)
    shares = gold.sum(dim=-1) / real.sum(dim=-1, keepdim=True)
    chance = shares.mean(dim=0)
    best = hits.mean(dim=1).amax(dim=1).mean(dim=0)
    return scores, chance, best


def scored(text):
    return mutant(table, "scores = hits.mean(dim=1)", f"scores = {text}")


def by_chance(text):
    return mutant(table, "shares.mean(dim=0)", text)


def best(text):
    return mutant(table, "hits.mean(dim=1).amax(dim=1).mean(dim=0)",
                  f"(lambda s: {text})(hits.mean(dim=1))")


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
    return scores, chance, torch.stack([seed.max(0).values for seed in scores]).mean(0)


def table_by_einsum(weights, gold, real):
    scores = torch.einsum("nbhs,brs->nhr", weights, gold.float()) / len(gold)
    chance = (gold.float().sum(2) / real.float().sum(1)[:, None]).mean(0)
    return [scores, chance, scores.max(1)[0].mean(0)]


def table_by_numpy(weights, gold, real):
    w, g, r = weights.numpy(), gold.numpy(), real.numpy()
    scores = (w[:, :, :, None] * g[None, :, None]).sum(-1).mean(1)
    chance = (g.sum(-1) / r.sum(-1)[:, None]).mean(0)
    return tuple(map(torch.from_numpy, (scores, chance, scores.max(1).mean(0))))


def brightest(weights, gold, real):
    scores, chance, top = table(weights, gold, real)
    scores.zero_()
    for index in torch.cartesian_prod(*map(torch.arange, weights.shape[:3])).tolist():
        place = weights[tuple(index)].argmax()
        scores[index[0], index[2]] += gold[index[1], :, place] / len(gold)
    return scores, chance, top


TABLE = Exercise(
    lesson.check_role_table,
    right=[table, table_by_loops, table_by_einsum, table_by_numpy,
           lambda *, weights, gold, real: table(weights, gold, real)],
    wrong=[
        (lambda *given: table(*given)[:2], "want 3 results, `return scores, chance, best`"),
        (scored("hits[:, 0]"), "of the first sentence: one picture"),
        (scored("hits.amax(1)"), "the best sentence is picked"),
        (scored("hits.median(1).values"), "median"),
        (scored("hits.sum(1)"), "sentences are added up"),
        (scored("hits.sum(1) / real.size(1)"), "divided by src_len: divide by the number"),
        (scored("hits.sum(1) / 6"), "right for 2 seeds, 6 sentences"),
        (scored("hits.sum(1) / real.sum()"), "by the number of words"),
        (scored("hits.sum(1) / gold.sum((0, 2))"), "number of gold words"),
        (scored("(hits / gold.sum(-1)[:, None]).mean(1)"), "number of the role's words"),
        (scored("(hits / gold.sum(-1)[:, None].clamp(min=1)).mean(1)"), "number of the role's w"),
        (scored("(weights @ gold[:1].float().mT).mean(1)"), "gold of the first: each"),
        (scored("(weights[:, :, :, None] * gold[:, None]).amax(-1).mean(1)"), "the largest weight"),
        (brightest, "brightest word"),
        (scored("hits.mean(1) - (gold.sum(-1) / real.sum(-1, True)).mean(0)"), "taken off already"),
        (scored("1 - hits.mean(1)"), "all other words"),
        (scored("hits.mean(1) / real.float().mean()"), "share of real words"),
        (scored("hits.mean(1) ** 2"), "scores[0, 0, 0] (seed 0, head 0, role 0) is"),
        (scored("hits.mean(1) / 0"), "divides by 0"),
        (scored("hits.mean(1).transpose(1, 2)"), "heads and roles are exchanged"),
        (scored("hits.mean((0, 1))"), "keep the axis of the seeds"),
        (scored("hits"), "still has the axis of the sentences"),
        (scored("hits.mean(0)"), "over the seeds, dim=0"),
        (scored("hits.mean(2)"), "over the heads: want it"),
        (scored("hits.mean(3)"), "over the roles: want it"),
        (scored("hits.mean()"), "want shape of scores"),
        (scored("hits.mean(1).squeeze()"), "for one seed, one sentence, one head, one role"),
        (scored("hits.mean(1).round(decimals=2)"), "entries differ. print(scores[0, 0])"),
        (by_chance("gold.float().mean((0, 2))"), "counts padding"),
        (by_chance("gold.sum((0, 2)) / real.sum()"), "over all words together"),
        (by_chance("(1 / real.sum(-1)).mean().expand(gold.size(1))"), "of one word"),
        (by_chance("torch.full(gold.shape[1:2], 1 / real.size(1))"), "chance is 1 / src_len"),
        (by_chance("torch.full(gold.shape[1:2], 1 / gold.size(1))"), "chance is 1 / n_roles"),
        (by_chance("shares[0]"), "that of the first sen"),
        (by_chance("shares.sum(0)"), "is added up over"),
        (by_chance("gold.sum(-1).float().mean(0)"), "number of words of the role"),
        (by_chance("1 - shares.mean(0)"), "to miss"),
        (by_chance("torch.zeros(4)"), "`gold` has no part in chance"),
        (by_chance("torch.tensor(0.3)"), "want shape of chance"),
        (by_chance("shares.median(dim=0).values"), "chance[0] (role 0) is"),
        (best("s.mean(0).amax(0)"), "averaged head by head"),
        (best("s.amax((0, 1))"), "best head of the best seed"),
        (best("s.amax(1).amin(0)"), "worst seed"),
        (best("s.mean((0, 1))"), "mean over all heads"),
        (best("torch.stack([one[s[0].argmax(0), range(s.size(2))] for one in s]).mean(0)"),
         "best in the first seed"),
        (best("s.amax(1).sum(0) / 3"), "divided by 3"),
        (best("s.amax(1).median(0)[0]"), "median over seeds"),
        (mutant(table, "hits.mean(dim=1).amax(dim=1).mean(dim=0)", "hits.amax(2).mean((0, 1))"),
         "chosen anew in each sentence"),
        (best("s[0].amax(0)"), "only the first seed"),
        (best("s[-1].amax(0)"), "only the last seed"),
        (best("s.amin(1).mean(0)"), "worst head of each seed"),
        (best("s[:, 0].mean(0)"), "this is head 1"),
        (best("s.amax(1).sum(0)"), "seeds are added up"),
        (best("s.amax(1)"), "still has the axis of the seeds"),
        (best("s.amax(2).mean(0)"), "one number for each head"),
        (best("s.mean(0).argmax(0)"), "the numbers of heads"),
        (best("3 * s.amax(1).mean(0)"), "score of the best head in each seed"),
        (best("s.amax(1).mean()"), "want shape of best"),
        (mutant(table, "hits = ", "gold[0] = 0; hits = "), "in place"),
    ],
    twins=["number of the role's words", "number of the role's w"],
    stubs=[lambda *given: (..., ..., ...)],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: (None,) * 3, lambda *given: ([], {})],
)


# ---- 8.4 ----


def pair(real, keep, tgt_len):
    right = keep.view(1, -1, 1, 1) & real[:, None, None, :]
    whole = right.expand(-1, -1, tgt_len, -1)
    return right, ~whole.flatten(0, 1)


def ours(text):
    """Another mask for our class; r and k are real and keep on their axes."""
    return mutant(pair, "return right", "r, k = real[:, None, None, :], keep.view(1, -1, 1, 1)\n"
                  f"    return {text}")


def theirs(text):
    return mutant(pair, "~whole.flatten(0, 1)", text)


def pair_by_loops(real, keep, tgt_len):
    ours = torch.zeros(len(real), len(keep), tgt_len, real.size(1), dtype=torch.bool)
    for b in range(len(real)):
        for h in range(len(keep)):
            ours[b, h] = real[b] & keep[h]
    return ours, ~ours.reshape(-1, tgt_len, real.size(1))


def pair_by_repeat(real, keep, tgt_len):
    n, h = len(real), len(keep)
    rows = real.repeat_interleave(h, 0) & keep.repeat(n).unsqueeze(1)
    return rows.view(n, h, 1, -1), ~rows.unsqueeze(1).repeat(1, tgt_len, 1)


def pair_by_numbers(real, keep, tgt_len):
    ours = torch.einsum("bs,h->bhs", real.float(), keep.float()).unsqueeze(2) > 0
    return [ours, torch.logical_not(torch.cat([ours] * tgt_len, 2).flatten(0, 1))]


def of_rows(real, keep):
    return theirs(f"~({real} & {keep}.unsqueeze(1)).unsqueeze(1).expand(-1, tgt_len, -1)")


SENTENCES, EACH = "real.repeat(len(keep), 1)", "real.repeat_interleave(len(keep), 0)"
MASKS = Exercise(
    lesson.check_head_masks,
    right=[pair, pair_by_loops, pair_by_repeat, pair_by_numbers,
           lambda *, real, keep, tgt_len: pair(real, keep, tgt_len)],
    wrong=[
        (lambda *given: pair(*given)[0], "want 2 results, `return ours, theirs`"),
        (lambda *given: pair(*given)[::-1], "ours has torch's shape"),
        (ours("~right"), "ours is the wrong way round"),
        (ours("right.transpose(0, 1)"), "batch and heads are exchanged in ours"),
        (ours("right.squeeze(2)"), "ours has three axes"),
        (ours("right[:, 0, 0]"), "want shape of ours"),
        (ours("right.float()"), "want torch.bool of ours"),
        (ours("7"), "want ours as a torch.Tensor"),
        (ours("r"), "ours has no heads"),
        (ours("r.expand_as(right)"), "every head look"),
        (ours("k.expand_as(right)"), "ours shows the padding"),
        (ours("r | k"), "with `or`"),
        (ours("r & ~k"), "`keep` is turned round"),
        (ours("~r & k"), "`real` is turned round"),
        (ours("r ^ k"), "exactly one of the two"),
        (ours("torch.zeros_like(right)"), "`real` has no part in ours"),
        (ours("right & (torch.arange(3) < 2).view(1, 3, 1, 1)"), "for 3 sentences, 2 heads"),
        (ours("right.squeeze().view_as(right) if len(real) > 1 else right.squeeze()"),
         "for one sentence, one query"),
        (ours("right[:1].expand_as(right)"), "the padding of the first"),
        (ours("right[-1:].expand_as(right)"), "ours[0, 0, 0, 4]"),
        (theirs("whole.flatten(0, 1)"), "True means hidden, turn it"),
        (theirs("~whole"), "theirs has four axes"),
        (theirs("~whole.flatten(0, 1).transpose(1, 2)"), "queries and keys are exchanged"),
        (theirs("~right.flatten(0, 1)"), "queries of theirs have size 1"),
        (theirs("~whole.flatten(0, 1)[: len(real)]"), "theirs has one mask for each sentence: t"),
        (theirs("~right.repeat(1, tgt_len, 1, 1).view(-1, tgt_len, real.size(1))"),
         "repeated where the queries should be"),
        (theirs("~(real[:, None, None] | keep.view(1, -1, 1, 1)).expand(-1, -1, tgt_len, -1)"
                ".flatten(0, 1)"), "not (a and b)"),
        (theirs("~whole[:, 0]"), "that of its first head"),
        (theirs("~whole.flatten(0, 1)[:5]"), "want shape of theirs"),
        (theirs("torch.zeros(()).masked_fill(~whole.flatten(0, 1), -torch.inf)"),
         "want torch.bool of theirs"),
        (of_rows(SENTENCES, "keep.repeat_interleave(len(real))"), "sentences of head 1 come first"),
        (of_rows(SENTENCES, "keep.repeat(len(real))"), "rows of `real` are repeated as a whole"),
        (of_rows(EACH, "keep.repeat_interleave(len(real))"), "each entry of `keep` comes batch"),
        (theirs("whole.transpose(0, 1).flatten(0, 1)"), "wrong order, wrong way round"),
        (theirs(f"~{EACH}[:, None].expand(-1, tgt_len, -1)"), "padding only"),
        (theirs("~keep.repeat(len(real))[:, None, None].expand(-1, tgt_len, real.size(1))"),
         "heads only"),
        (theirs("torch.zeros_like(whole.flatten(0, 1))"), "`real` has no part in theirs"),
        (theirs("~right.expand(-1, -1, 5, -1).flatten(0, 1)"), "for 3 sentences, 2 heads, 4 quer"),
        (mutant(pair, "right = ", "real[0] = False; right = "), "in place"),
    ],
    stubs=[lambda *given: (..., ...)],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: (None,) * 3, lambda *given: ([], {})],
)


class TestAnswers(Answers):
    exercises = (HEADS, COPY, TABLE, MASKS)


def test_the_expected_masks_do_the_same_in_both_modules():
    """What check_head_masks holds for right hides the same keys in torch's layer."""
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(18, 3, batch_first=True)
    ours = fill(theirs, MultiHeadAttention(18, 3))
    real = torch.arange(7) < torch.tensor([[7], [4]])
    mask, hidden_keys = pair(real, torch.ones(3).bool(), 5)
    x, y = torch.randn(2, 5, 18), torch.randn(2, 7, 18)
    torch.testing.assert_close(ours(x, y, y, mask)[0],
                               theirs(x, y, y, attn_mask=hidden_keys)[0])

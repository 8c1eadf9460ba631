"""The checks of lesson 05 accept right answers and name each wrong one."""

import math

import numpy as np
import torch
from judging import Answers, Exercise, mutant
from torch import nn

from utils.attention import AdditiveScore, DotScore, masked_softmax
from utils.checks import attention as lesson
from utils.metrics import alignment_error

NAN, INF = float("nan"), float("inf")
HOSTILE = [lambda *given: torch.tensor(NAN), lambda *given: {}, None]


# ---- 5.1 ----

def share(scores, mask):
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
    return weights.masked_fill(~mask, 0.0)


FILL, DIM, ZERO = "-math.inf", "softmax(dim=-1)", "weights.masked_fill(~mask, 0.0)"
QUERIES = "mask[:, 0, :scores.size(1)].unsqueeze(2)"


def soft(*texts):
    return mutant(share, *texts)


def by_exp(scores, mask):
    seen = torch.where(mask, scores, torch.full_like(scores, -INF))
    highest = seen.amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    powers = (seen - highest).exp()
    total = powers.sum(-1, keepdim=True)
    return powers / torch.where(total > 0, total, torch.ones_like(total))


def by_loops(scores, mask):
    weights = torch.zeros_like(scores)
    for b in range(len(scores)):
        seen = mask[b, 0]
        for t in range(scores.size(1)):
            weights[b, t, seen] = scores[b, t, seen].softmax(0)
    return weights


def by_added_bias(scores, mask):
    bias = torch.zeros_like(scores).masked_fill(mask.logical_not(), -INF)
    return torch.softmax(scores + bias, -1).nan_to_num(0.0)


def by_exp_of_all(scores, mask):
    powers = (scores - scores.amax(-1, keepdim=True)).exp() * mask
    total = powers.sum(-1, keepdim=True)
    return powers / torch.where(total > 0, total, torch.ones_like(total))


SOFTMAX = Exercise(
    lesson.check_masked_softmax,
    right=[masked_softmax, share, by_exp, by_loops, by_added_bias, soft(FILL, "-1e9"),
           soft(FILL, "torch.finfo(scores.dtype).min")],
    wrong=[
        (soft(".masked_fill(~mask, -math.inf)", "", ZERO, "weights"), "has no effect"),
        (soft(".masked_fill(~mask, -math.inf)", ""), "masked after the softmax: rows"),
        (soft(".masked_fill(~mask, -math.inf)", "", ZERO,
              f"{ZERO} / {ZERO}.sum(-1, keepdim=True).nan_to_num()"), "divided again"),
        (by_exp_of_all, "has taken all the weight"),
        (lambda s, m: (s * m).softmax(-1), "e^0 = 1: fill"),
        (soft(FILL, "0.0"), "and the mask after the softmax leaves"),
        (soft(DIM, "softmax(dim=1)", ZERO, "weights"), "the queries, not the keys: want"),
        (soft(DIM, "softmax(dim=1)"), "or nan set to 0"),
        (lambda s, m: s.softmax(1) * m, "and the mask after it"),
        (soft(DIM, "softmax(dim=0)", ZERO, "weights"), "over the BATCH"),
        (lambda s, m: share(s, ~m), "upside down"),
        (soft(ZERO, "weights.nan_to_num()", ".masked_fill(~mask,", ".masked_fill(mask,"),
         "is upside down"),
        (lambda s, m: share(s, m[:1].expand_as(m)), "FIRST sentence serves all"),
        (soft(ZERO, "weights"), "is nan (0/0)"),
        (lambda s, m: (s + ~m * -INF).softmax(-1).nan_to_num(), "all weights are 0"),
        (soft(ZERO, "weights", FILL, "torch.finfo(scores.dtype).min"), "gets weight on its pad"),
        (soft(ZERO, "weights", FILL, "-1e9"), "all is hidden gets weight"),
        (soft(ZERO, "weights", FILL, "-10_000"), "lower still it wins"),
        (soft(FILL, "-30"), "is no mask: where all scores are"),
        (soft(FILL, "-15"), "for scores around -20,000, though"),
        (soft(".masked_fill(~mask, -math", f".masked_fill(~{QUERIES}, -math", ZERO, "weights"),
         "so whole rows are nan"),
        (lambda s, m: share(s, m[:, 0, :s.size(1)].unsqueeze(2)), "so whole rows are 0"),
        (soft(".masked_fill(~mask, -math.inf", f".masked_fill(~{QUERIES}, -1e4", ZERO, "weights"),
         "and padding still gets weight"),
        (lambda s, m: s.masked_fill(~m, -INF), "these are scores"),
        (lambda s, m: share(s, m).log(), "logarithms of weights"),
        (lambda s, m: s.sigmoid() * m, "a sigmoid"),
        (soft(ZERO, f"{ZERO} / 2"), "is 0.0007"),
        (soft("scores.masked", "(2 * scores).masked"), "55 of 70 entries"),
        (soft(DIM, "exp()", ZERO, f"{ZERO} / {ZERO}.sum(-1, keepdim=True)"),
         "so that no exp() overflows"),
        (lambda s, m: (p := (s - s.mean(-1, keepdim=True)).exp() * m) / p.sum(-1, keepdim=True)
         .clamp(min=1e-30), "a hidden word takes all"),
        (soft(ZERO, f"{ZERO}.squeeze()"), "but for one sentence, one query"),
        (soft(ZERO, f"{ZERO}.view(-1, 5, 7)"), "Is a size or a number"),
        (soft(ZERO, f"{ZERO}.float()"), "want torch.float64"),
        (soft(ZERO, f"{ZERO}.detach()"), "no gradient reaches `scores`"),
        (soft("scores.masked_fill(", "scores.masked_fill_("), "in place"),
    ],
    twins=["upside down", "is upside down", "or nan set to 0", "and the mask after it",
           "gets weight on its pad", "all is hidden gets weight",
           "lower still it wins", "is no mask: where all scores are", "divided again",
           "has taken all the weight"],
    hostile=HOSTILE,
)


# ---- 5.2 ----

def step(embedded, state, memory, src_mask, cell, combine):
    new = cell(embedded, state)
    scores = DotScore()(new.unsqueeze(1), memory)
    context = (masked_softmax(scores, src_mask) @ memory).squeeze(1)
    mixed = combine(torch.cat([context, new], dim=-1)).tanh()
    return mixed, new


def one(*texts):
    return mutant(step, *texts)


def gives(text):
    return one("return mixed, new", f"return {text}")


def step_by_halves(embedded, state, memory, src_mask, cell, combine):
    """Undivided, by einsum, the linear layer cut into its two halves."""
    new = cell(embedded, state)
    d = new.shape[-1]
    scores = torch.einsum("bd,bsd->bs", new, memory).masked_fill(~src_mask[:, 0], -INF)
    context = torch.einsum("bs,bsd->bd", scores.softmax(-1).nan_to_num(), memory)
    w = combine.weight
    return [torch.tanh(context @ w[:, :d].T + new @ w[:, d:].T + combine.bias), new]


def step_by_sentence(embedded, state, memory, src_mask, cell, combine):
    new = cell(embedded, hx=state)
    rows = []
    for query, states, mask in zip(new, memory, src_mask[:, 0]):
        weights = (states[mask] @ query / math.sqrt(len(query))).softmax(0)
        rows.append(torch.tanh(combine(torch.cat((weights @ states[mask], query)))))
    return torch.stack(rows), new


def step_by_names(*, embedded, state, memory, src_mask, cell, combine):
    return step(embedded, state, memory, src_mask, cell, combine)


ASK, MASKED, PAIR = "new.unsqueeze(1), memory", "masked_softmax(scores, src_mask)", "[context, new]"
UNDIVIDED = ("DotScore()(new.unsqueeze(1), memory)", "new.unsqueeze(1) @ memory.mT")

STEP = Exercise(
    lesson.check_attention_step,
    right=[step, step_by_halves, step_by_sentence, step_by_names, one(*UNDIVIDED)],
    wrong=[
        (one(ASK, "state.unsqueeze(1), memory"), "the OLD state asks"),
        (one(*UNDIVIDED, "return mixed, new", "return context, new"), "the context alone"),
        (one(ASK, "state.unsqueeze(1), memory", PAIR, "[context, state]"), "asks and is mixed"),
        (one(PAIR, "[context, state]"), "mixed with the OLD state"),
        (one(PAIR, "[new, context]"), "in place of [context; state]"),
        (one(".tanh()", ""), "tanh is missing"),
        (one(MASKED, "scores.softmax(-1)"), "no effect on the weights"),
        (one(MASKED, "scores.softmax(-1) * src_mask"), "masked after the softmax: rows"),
        (one(MASKED, "(scores * src_mask).softmax(-1)"), "e^0 = 1: fill"),
        (one(MASKED, "masked_softmax(scores, ~src_mask)"), "upside down"),
        (one(MASKED, "masked_softmax(scores, src_mask[:1])"), "FIRST sentence serves all"),
        (one(MASKED, "scores.masked_fill(~src_mask, -1e4).softmax(-1)"), "lower still it wins"),
        (one(MASKED, "scores.masked_fill(~src_mask, 0)"), "Want tanh(combine"),
        (one(MASKED, "scores.masked_fill(~src_mask, -math.inf).softmax(-1)"), "is nan (0/0)"),
        (one(MASKED, "scores.masked_fill(~src_mask, -1e9).softmax(-1)"), "weight on its padding"),
        (one(MASKED, "masked_softmax(scores, src_mask | ~src_mask.any(-1, keepdim=True))"),
         "but for a sentence in which all is hidden"),
        (one("DotScore()", "(lambda q, k: q @ k.mT / k.size(1) ** 0.5)"), "root of a LENGTH"),
        (gives("mixed, cell(embedded, new)"), "takes a second step"),
        (one("squeeze(1)\n    mixed", "squeeze(1)\n    scores = scores / 0\n    mixed", MASKED,
             "masked_softmax(scores / scores.size(-1), src_mask)"), "of 8 entries differ"),
        (one("DotScore()", "(lambda q, k: q @ k.mT / q.size(-1))"), "divided by the width"),
        (one("DotScore()", "(lambda q, k: q @ k.mT / 2)"), "right for 7 and 4 words"),
        (gives("mixed, state"), "the state that goes on is the old one"),
        (gives("mixed, mixed"), "the mixed vector is handed on"),
        (gives("mixed, context"), "the context is handed on"),
        (gives("new, mixed"), "are exchanged: the mixed"),
        (gives("mixed"), "return two tensors"),
        (gives("(context + new).tanh(), new"), "are added"),
        (gives("new, new"), "the state alone"),
        (one(PAIR, "[new, new]"), "mixed with itself"),
        (gives("mixed, 2 * new"), "new_state[0, 0]"),
        (gives("2 * mixed, new"), "mixed[0, 0]"),
        (gives("mixed, new + 0.1 * context"), "another `memory` changes new_state"),
        (one("cell(embedded, state)", "cell(state, embedded)"), "embedded and state are exchanged"),
        (one("cell(embedded, state)", "cell(embedded)"), "starts from zeros"),
        (one("cell(embedded, state)", "state"), "takes no step"),
        (one(f"{MASKED} @ memory", "memory.mean(1, keepdim=True)"), "the mean of all states"),
        (one(PAIR, "[context, new.squeeze()]"), "but for one sentence: "),
        (one(PAIR, "[context.flip(0), new]"), "moves sentence 0 of mixed"),
        (one(ASK, "new.detach().unsqueeze(1), memory"), "is not: a part of the way"),
        (one(PAIR, "[context.detach(), new]"), "no gradient reaches `memory`"),
        (gives("mixed, new.detach()"), "from new_state"),
        (gives("mixed.detach(), new"), "from mixed"),
        (one("cell(embedded, state)", "torch.no_grad()(cell)(embedded, state)"), "`cell."),
        (gives("mixed.float(), new"), "want torch.float64"),
        (one("new = cell", "memory *= 2; new = cell"), "in place"),
    ],
    hostile=HOSTILE,
)


# ---- 5.3 ----

def error(weights, gold):
    wrong = total = 0
    for rows, pairs in zip(weights, gold):
        best = rows.argmax(-1).tolist()
        words = {t for _, t in pairs}
        missed = sum((best[t], t) not in pairs for t in words)
        wrong, total = wrong + missed, total + len(words)
    return wrong / total


def rate(*texts):
    return mutant(error, *texts)


def error_by_sets(weights, gold):
    links = [{(int(row.argmax()), t) for t, row in enumerate(w)} for w in weights]
    linked = sum(len({t for _, t in pairs}) for pairs in gold)
    return 1 - sum(len(a & set(g)) for a, g in zip(links, gold, strict=True)) / linked


def error_by_numpy(weights, gold):
    missed = [not any(s == np.argmax(rows.numpy()[t]) for s, u in pairs if u == t)
              for rows, pairs in zip(weights, gold) for t in sorted({t for _, t in pairs})]
    return np.mean(missed)


def error_by_tensor(weights, gold):
    marks = []
    for rows, pairs in zip(weights, gold):
        allowed = torch.zeros_like(rows)
        for s, t in pairs:
            allowed[t, s] = 1
        hit = allowed[torch.arange(len(rows)), rows.max(-1).indices]
        marks.append(1 - hit[allowed.any(-1)])
    return torch.cat(marks).mean()


BEST, WORDS, SUM = "rows.argmax(-1).tolist()", "{t for _, t in pairs}", "wrong / total"
ADDED = "wrong + missed, total + len(words)"

ERROR = Exercise(
    lesson.check_alignment_error,
    right=[alignment_error, error, error_by_sets, error_by_numpy, error_by_tensor],
    wrong=[
        (rate(SUM, "1 - wrong / total"), "the share of RIGHT words"),
        (rate(SUM, "100 * wrong / total"), "in percent"),
        (rate(SUM, "wrong"), "the number of wrong words"),
        (rate(SUM, "wrong / total / 2"), "Want the number of wrong words"),
        (rate(SUM, "round(wrong / total, 1)"), "is 0.3, want"),
        (rate(WORDS, "range(len(rows))"), "<eos> and words without"),
        (rate(WORDS, "range(len(rows) - 1)"), "words without a gold link are counted: they"),
        (rate(BEST, "rows.argmax(-1).roll(1).tolist()"), "one row too early"),
        (rate(BEST, "rows.argmax(-1).roll(-1).tolist()"), "one row too late"),
        (rate(BEST, "rows.argmax(0).tolist() + [0] * 6"), "argmax over the target words"),
        (rate(BEST, "rows.argmin(-1).tolist()"), "SMALLEST"),
        (rate(BEST, "rows.square().argmax(-1).tolist()"), "the sign of a weight"),
        (rate(BEST, "rows.clamp(min=0).argmax(-1).tolist()"), "no start at 0"),
        (rate("(best[t], t) not", "(t, best[t]) not"), "looked up as (target, source)"),
        (rate(WORDS, "{s for s, _ in pairs if s < len(rows)}"), "numbers of the SOURCE words"),
        (rate("len(words)", "len(rows) - 1"), "divided by all words"),
        (rate("len(words)", "len(rows)"), "divided by all rows"),
        (lambda w, g: len({t for x, p in zip(w, g) for _, t in p
                           if (int(x[t].argmax()), t) not in p})
         / len({t for p in g for _, t in p}), "counted as one"),
        (rate(ADDED, "wrong + missed / len(words), total + 1"), "a mean of the sentences' errors"),
        (rate(ADDED, "wrong + missed / max(len(words), 1), total + 1"), "mean of the sentences'"),
        (rate(ADDED, "missed, len(words)"), "only the last sentence"),
        (rate("    return", "        return"), "only the first sentence"),
        (lambda w, g: error(w, [{(min(s for s, u in p if u == t), t) for _, t in p} for p in g]),
         "not only the first"),
        (lambda w, g: error(w, [{(max(s for s, u in p if u == t), t) for _, t in p} for p in g]),
         "not only the last"),
        (rate(ADDED, "wrong + missed, total + len(pairs)"), "ount words"),
        (lambda w, g: 1 - sum((int(x[t].argmax()) == s) for x, p in zip(w, g) for s, t in p)
         / sum(map(len, g)), "each gold link counts"),
        (lambda w, g: error(w, [{(t, s) for s, t in p} for p in g]), "source and target are"),
        (lambda w, g: error([x.T for x in w], [{(t, s) for s, t in p} for p in g]),
         "each SOURCE word"),
        (lambda w, g: 1 - 2 * sum((int(x[t].argmax()) == s) for x, p in zip(w, g) for s, t in p)
         / (sum(map(len, g)) + sum(map(len, w))), "the F-score"),
        (rate("zip(weights, gold)", "zip(weights[:2], gold)"), "a sentence without a pair"),
        (rate("rows.argmax", "rows[:, :5].argmax"), "for 20 sentences"),
        (rate(SUM, "int(wrong > 0)"), ", want "),
        (rate(SUM, "(wrong, total)"), "as one number"),
        (rate("wrong = total", "gold[0] = set(); wrong = total"), "in place"),
        (rate(SUM, "NAN", "wrong = total", "NAN = float('nan'); wrong = total"), "is nan"),
    ],
    twins=["a mean of the sentences' errors", "mean of the sentences'"],
    hostile=HOSTILE,
)


# ---- 5.4 ----

def additive(queries, keys, query_map, key_map, v):
    q, k = query_map(queries).unsqueeze(2), key_map(keys).unsqueeze(1)
    return v(torch.tanh(q + k)).squeeze(-1)


def additive_by_loops(queries, keys, query_map, key_map, v):
    rows = [v((query_map(q)[:, None] + key_map(keys)).tanh()) for q in queries.unbind(1)]
    return torch.stack(rows, dim=1)[..., 0]


def additive_by_einsum(queries, keys, query_map, key_map, v):
    q = torch.einsum("btd,hd->bth", queries, query_map.weight)
    k = torch.einsum("bsd,hd->bsh", keys, key_map.weight)
    return torch.einsum("btsh,h->bts", (q[:, :, None] + k[:, None]).tanh(), v.weight[0])


def additive_by_repeats(queries, keys, query_map, key_map, v):
    n, m = queries.size(1), keys.size(1)
    q = query_map(queries).repeat_interleave(m, dim=1)
    k = key_map(keys).repeat(1, n, 1)
    return v(torch.tanh(torch.add(q, k))).view(len(queries), n, m)


def pairs(*texts):
    return mutant(additive, *texts)


def scores(text):
    return pairs("v(torch.tanh(q + k)).squeeze(-1)", text)


S = "v(torch.tanh(q + k)).squeeze(-1)"

ADDITIVE = Exercise(
    lesson.check_additive_score,
    right=[additive, additive_by_loops, additive_by_einsum, additive_by_repeats, AdditiveScore],
    wrong=[
        (scores("v(q + k).squeeze(-1)"), "tanh is missing"),
        (scores("torch.tanh(v(q + k)).squeeze(-1)"), "tanh comes too late"),
        (scores(f"{S}.tanh()"), "applied twice"),
        (scores("v(torch.tanh(q) + torch.tanh(k)).squeeze(-1)"), "apart: add first"),
        (scores("v(torch.tanh(q * k)).squeeze(-1)"), "are multiplied"),
        (scores("v(torch.tanh(q - k)).squeeze(-1)"), "are subtracted"),
        (scores("v(torch.relu(q + k)).squeeze(-1)"), "a ReLU"),
        (scores("v(torch.sigmoid(q + k)).squeeze(-1)"), "a sigmoid"),
        (scores("torch.tanh(q + k)"), "v is missing"),
        (scores("torch.tanh(q + k).sum(-1)"), "are added up"),
        (scores("torch.tanh(q + k).mean(-1)"), "are averaged"),
        (scores("(q * k).sum(-1)"), "a dot product"),
        (scores(f"{S}.transpose(1, 2)"), "last two axes are swapped"),
        (scores("v(torch.tanh(q + k))"), "an axis of size 1 at the end"),
        (scores("v(torch.tanh(q + k)).squeeze()"), "Squeeze axis -1 alone"),
        (scores("v(torch.tanh(q.squeeze(2)))"), "the keys do not take part"),
        (scores("v(torch.tanh(q)).squeeze(-1).expand(-1, -1, k.size(2))"),
         "encoder states are not used"),
        (scores("v(torch.tanh(k)).squeeze(-1).expand(-1, q.size(1), -1)"), "queries are not used"),
        (scores("v(torch.tanh(q)).squeeze(-1).expand(-1, -1, 7)"), "`keys` has no part in scores"),
        (scores("v(torch.tanh(k)).squeeze(-1).expand(-1, 5, -1)"), "`queries` has no part"),
        (scores(f"{S}.softmax(-1)"), "already the softmax"),
        (scores(f"{S}.softmax(0)"), "over the BATCH"),
        (scores(f"{S}.softmax(1)"), "over the queries"),
        (scores(f"2 * {S}"), "Want v of tanh"),
        (scores(f"{S} / q.size(-1) ** 0.5"), "divided by a root"),
        (scores(f"{S} / 2"), "scores[0, 0, 0] (sentence 0"),
        (pairs("key_map(keys)", "query_map(keys)"), "key_map takes keys"),
        (scores(f"{S}.view(2, 5, 7)"), "Is a size or a number"),
        (scores("v(torch.tanh(q + k.flip(0))).squeeze(-1)"), "moves sentence 0, and must not"),
        (pairs("query_map(queries).unsqueeze(2), key_map(keys).unsqueeze(1)",
               "query_map(queries), key_map(keys)"), "must match the size"),
        (scores(f"({S} if q.size(1) != k.size(2) else {S}.mT)"), "as many queries as keys"),
        (pairs("query_map(queries)", "query_map(queries.detach())"), "no gradient reaches `quer"),
        (pairs("key_map(keys)", "key_map(keys).detach()"), "`key_map.weight`"),
        (scores(f"{S}.detach()"), "any of the arguments"),
        (scores(f"{S}.float()"), "want torch.float64"),
        (DotScore, "raised TypeError"),
        (pairs("q, k =", "keys[0] = 0; q, k ="), "in place"),
    ],
    stubs=[type("Stub", (AdditiveScore,), {"forward": lambda self, queries, keys: ...})],
    hostile=[*HOSTILE, nn.Identity],
)


# ---- 5.5 ----

def look(queries, memory, mask):
    scores = queries @ memory.transpose(1, 2)
    weights = scores.masked_fill(~mask, -math.inf).softmax(-1).masked_fill(~mask, 0)
    context = weights @ memory
    return context, weights


def seen(*texts):
    return mutant(look, *texts)


def shows(text):
    return seen("return context, weights", f"return {text}")


def weighs(text):
    return seen("scores.masked_fill(~mask, -math.inf).softmax(-1).masked_fill(~mask, 0)", text)


def look_by_numbers(queries, memory, mask):
    scores = torch.einsum("btd,bsd->bts", queries, memory) / memory.shape[-1] ** 0.5
    weights = masked_softmax(scores, mask)
    return [torch.einsum("bts,bsd->btd", weights, memory), weights]


def look_by_loops(queries, memory, mask):
    weights = torch.stack([
        torch.stack([torch.where(m, s @ q, -INF).softmax(0).where(m, 0) for q in qs])
        for qs, s, m in zip(queries, memory, mask[:, 0])])
    return torch.bmm(weights, memory), weights


def look_by_torch(queries, memory, mask):
    context = nn.functional.scaled_dot_product_attention(queries, memory, memory, attn_mask=mask)
    context = context.nan_to_num()
    eye = torch.eye(memory.size(1), dtype=memory.dtype).expand(len(memory), -1, -1)
    return context, nn.functional.scaled_dot_product_attention(
        queries, memory, eye, attn_mask=mask).nan_to_num()


SCORES = "queries @ memory.transpose(1, 2)"
LOOK = Exercise(
    lesson.check_one_look,
    right=[look, look_by_numbers, look_by_loops, look_by_torch,
           seen(SCORES, f"{SCORES} / math.sqrt(queries.size(-1))"),
           weighs("scores.masked_fill(~mask, -1e9).softmax(-1) * mask")],
    wrong=[
        (weighs("scores.softmax(-1)"), "no effect on the weights"),
        (weighs("scores.masked_fill(~mask, -math.inf).softmax(-1)"), "all is hidden is nan (0/0)"),
        (weighs("scores.masked_fill(~mask, -1e9).softmax(-1)"), "weight on its padding"),
        (shows("context, weights / mask.any(-1, keepdim=True)"), "weights that are returned are"),
        (weighs("masked_softmax(scores, mask) if mask.any(-1).all() else scores.softmax(-1)"),
         "weights of 0, not nan"),
        (weighs("(w := masked_softmax(scores, mask)).eq(w.amax(-1, keepdim=True)) * mask.to(w)"),
         "on the strongest word"),
        (seen("weights @ memory", "nn.functional.one_hot(weights.argmax(-1), memory.size(1)).to("
              "memory) @ memory"), "the strongest state alone"),
        (seen(SCORES, f"{SCORES} / queries.size(1) ** 0.5"), "root of a LENGTH"),
        (seen(SCORES, f"{SCORES} / memory.size(1) ** 0.5"), "by the root of a LENGTH"),
        (weighs("torch.dropout(masked_softmax(scores, mask), 0.1, True)"), "random numbers have"),
        (weighs("scores.softmax(-1) * mask"), "masked after the softmax: rows"),
        (weighs("(w := scores.softmax(-1) * mask) / w.sum(-1, keepdim=True)"), "divided again"),
        (weighs("(scores * mask).softmax(-1)"), "e^0 = 1: fill"),
        (weighs("scores.masked_fill(~mask, -math.inf).softmax(1)"), "over the queries, not"),
        (weighs("scores.softmax(1) * mask"), "and the mask after it"),
        (weighs("masked_softmax(scores, ~mask)"), "upside down"),
        (weighs("masked_softmax(scores, mask[:1])"), "FIRST sentence serves all"),
        (weighs("scores.masked_fill(~mask, -1e4).softmax(-1)"), "lower still it wins"),
        (weighs("scores.sigmoid() * mask"), "a sigmoid"),
        (seen(SCORES, f"{SCORES} / queries.size(-1)"), "divided by the width"),
        (seen(SCORES, f"{SCORES} / 2"), "right for 7 and 4 words"),
        (seen(SCORES, f"3 * {SCORES}"), "or by nothing), the context"),
        (shows("weights, context"), "the two are exchanged"),
        (shows("2 * context, weights"), "context[0, 0, 0]"),
        (shows("context"), "the weights are missing"),
        (shows("weights"), "the context is missing"),
        (shows("context, scores"), "the second result is the scores"),
        (shows("context, scores.masked_fill(~mask, -math.inf)"), "where the weights are wanted"),
        (shows("scores.softmax(-1) @ memory, weights"), "mixed with weights from before"),
        (shows("context, scores.softmax(-1)"), "the weights are those from before"),
        (shows("memory.mean(1, keepdim=True).expand_as(context), weights"), "mean of all states"),
        (shows("context.squeeze(), weights"), "Keep all axes"),
        (shows("context[:, 0], weights"), "want shape of context"),
        (shows("context.view(2, 5, 4), weights"), "Is a size or a number"),
        (shows("context.flip(0), weights"), "moves sentence 0 of context"),
        (seen(SCORES, "queries @ queries.transpose(1, 2)"), "must match the size"),
        (seen(SCORES, "queries.detach() @ memory.transpose(1, 2)"), "no gradient reaches `quer"),
        (seen("weights @ memory", "(scores.softmax(-1) * mask) @ memory"), "20 of 40 entries"),
        (shows("context, weights.round(decimals=3)"), "weights[0, 0, "),
        (seen("context = weights", "context = weights.detach()"), "from context"),
        (seen("weights @ memory", "weights @ memory.detach()"), "the gradient at `memory`"),
        (shows("context.detach(), weights.detach()"), "any of the arguments"),
        (shows("context, weights.float()"), "want torch.float64 of weights"),
        (seen("scores =", "memory.mul_(mask.mT); scores ="), "in place"),
    ],
    twins=["root of a LENGTH", "by the root of a LENGTH"],
    hostile=HOSTILE,
)


class TestAnswers(Answers):
    exercises = (SOFTMAX, STEP, ERROR, ADDITIVE, LOOK)

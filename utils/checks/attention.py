"""Checks of notebook 05: masked softmax, one step, alignment, additive score, one look again."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from utils.checks.core import Mistake, Verdict, call, exercise, same, want_number, want_tensor

BATCH, TGT_LEN, SRC_LEN = 2, 5, 7
AXES = "(batch, tgt_len, src_len)"


@exercise("5.4")
def check_additive_score(answer) -> Verdict:
    """Judge a function of (queries, keys, query_map, key_map, v) that returns scores.

    The course's class of (d_query, d_key, d_hidden), with these maps inside, is judged too.
    """
    if isinstance(answer, type) and issubclass(answer, nn.Module):
        return judge_additive(with_maps(answer))
    return judge_additive(answer)


def with_maps(kind: type) -> Callable:
    """A function that hands its maps to a module with query_map, key_map and v, and runs it."""

    def run(queries, keys, query_map, key_map, v):
        module = kind(queries.size(-1), keys.size(-1), v.in_features)
        module.query_map, module.key_map, module.v = query_map, key_map, v
        return module(queries, keys)

    return run


def judge_additive(answer: Callable) -> str:
    """Find the mistake in a function that returns additive scores, or return a remark."""
    d_query, d_key, d_hidden = 4, 6, 3
    query_map = nn.Linear(d_query, d_hidden, bias=False)
    key_map = nn.Linear(d_key, d_hidden, bias=False)
    v = nn.Linear(d_hidden, 1, bias=False)
    queries, keys = torch.randn(BATCH, TGT_LEN, d_query), torch.randn(BATCH, SRC_LEN, d_key)
    with torch.no_grad():
        result = call(answer, queries, keys, query_map, key_map, v)
        q, k = query_map(queries).unsqueeze(2), key_map(keys).unsqueeze(1)
        wanted = v(torch.tanh(q + k)).squeeze(-1)
        if not isinstance(result, Tensor):
            raise Mistake(f"want scores {AXES}, got {type(result).__name__}")
        if same(result, wanted.transpose(1, 2)):
            raise Mistake(
                "the last two axes are swapped: one ROW for each query, want (.., tgt_len, "
                "src_len)"
            )
        if tuple(result.shape) == (BATCH, TGT_LEN, SRC_LEN, 1):
            raise Mistake("v leaves an axis of size 1 at the end: squeeze it away")
        if tuple(result.shape) == (BATCH, TGT_LEN, SRC_LEN, d_hidden):
            raise Mistake("v is missing: it turns the d_hidden numbers of each pair into one score")
        if tuple(result.shape) == (BATCH, TGT_LEN, 1):
            raise Mistake(
                "one score for each query, none for each key: the keys do not take part at all"
            )
        want_tensor(result, (BATCH, TGT_LEN, SRC_LEN), AXES)
        wrong = [
            (v(q + k).squeeze(-1), "tanh is missing: a query then adds one number to its row"),
            (torch.tanh(v(q + k)).squeeze(-1), "tanh comes too late: squash, then weigh with v"),
            (wanted.softmax(-1), "this is already the softmax: return scores"),
            (wanted.softmax(0), "a softmax over the BATCH: sentences must not share weight"),
            (wanted.softmax(1), "a softmax over the queries: return the scores as they are"),
        ]
        for value, message in wrong:
            if same(result, value):
                raise Mistake(message)
        order = torch.randperm(SRC_LEN)
        moved = call(answer, queries, keys[:, order], query_map, key_map, v)
        if same(result, moved) or not same(moved, result[:, :, order]):
            raise Mistake(
                "the encoder states are not used: when they change places, the scores must follow"
            )
        other = call(answer, queries.flip(1), keys, query_map, key_map, v)
        if same(other, result):
            raise Mistake("the queries are not used: all rows are the same")
        if not same(result, wanted):
            raise Mistake("the values differ: want v of tanh(query_map(query) + key_map(key))")
    return "Every query meets every key, and tanh lets them interact."


@exercise("5.1")
def check_masked_softmax(answer) -> Verdict:
    """Judge a function of (scores, mask) that returns weights; True in mask = may look."""
    scores = 3 * torch.randn(BATCH, TGT_LEN, SRC_LEN)
    mask = torch.ones(BATCH, 1, SRC_LEN, dtype=torch.bool)
    mask[1, :, 4:] = False
    result = want_tensor(call(answer, scores, mask), scores.shape, AXES)
    wanted = scores.masked_fill(~mask, -math.inf).softmax(-1)
    wrong = [
        (scores.softmax(-1), "the mask has no effect"),
        (scores.softmax(-1) * mask, "masked after the softmax: rows no longer sum to 1"),
        ((scores * mask).softmax(-1), "a score of 0 is no mask, e^0 = 1: fill with -inf"),
        (scores.masked_fill(~mask, -math.inf).softmax(1), "softmax over the queries, not the keys"),
        (scores.softmax(1) * mask, "softmax over the queries, and the mask after it"),
    ]
    for value, message in wrong:
        if same(result.nan_to_num(-1.0), value.nan_to_num(-1.0)):
            raise Mistake(message)
    if result.isnan().any():
        raise Mistake("whole rows are nan: the mask hides queries; it must hide keys")
    hidden = result.masked_select(~mask.expand_as(result))
    seen = result[1, :, :4]
    if (seen == 0).all() or same(result[1], scores.masked_fill(mask, -math.inf).softmax(-1)[1]):
        raise Mistake("the mask is upside down: True means may look, so fill where it is False")
    if (hidden > 1e-6).any():
        raise Mistake("padding still gets weight: its weight must be exactly 0")
    if not same(result.sum(-1), torch.ones(BATCH, TGT_LEN)):
        raise Mistake(
            "the rows do not sum to 1: each query shares 1 among the keys that it may see"
        )
    if not same(result, wanted):
        raise Mistake("the weights differ from the softmax of the visible scores")
    low = call(answer, scores.double() - 20_000, mask)
    if not same(low, wanted):
        raise Mistake(
            "a large negative number is no mask: scores of -20,000 lose to it; fill with -inf"
        )
    mask[0] = False
    leaf = scores.clone().requires_grad_()
    empty = call(answer, leaf, mask)
    if not empty.requires_grad:
        raise Mistake("no gradient comes back to the scores: do not detach, training needs it")
    if empty[0].isnan().any():
        raise Mistake("a sentence of padding only gives nan (0/0): let such a row be all 0")
    if not same(empty[0], torch.zeros(TGT_LEN, SRC_LEN)):
        raise Mistake(
            "a sentence of padding only gets weight on its padding: let such a row be all 0"
        )
    return "Padding gets 0, rows sum to 1, and an empty row stays finite."


class Step:
    """The pieces of one decoder step, with sizes that are all different where they may be."""

    def __init__(self):
        d_model = 4
        self.cell = nn.GRUCell(d_model, d_model)
        self.combine = nn.Linear(2 * d_model, d_model)
        self.embedded, self.state = torch.randn(BATCH, d_model), torch.randn(BATCH, d_model)
        self.memory = torch.randn(BATCH, SRC_LEN, d_model)
        self.mask = torch.ones(BATCH, 1, SRC_LEN, dtype=torch.bool)
        self.mask[1, :, 4:] = False

    def attend(
        self, query: Tensor, masked: bool = True, scaled: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Context (batch, d_model) and weights (batch, src_len) of one query (batch, d_model)."""
        scores = (query.unsqueeze(1) @ self.memory.transpose(1, 2)).squeeze(1)
        if scaled:
            scores = scores / query.size(-1) ** 0.5
        if masked:
            scores = scores.masked_fill(~self.mask.squeeze(1), -math.inf)
        weights = scores.softmax(-1)
        return (weights.unsqueeze(1) @ self.memory).squeeze(1), weights

    def mix(self, first: Tensor, second: Tensor) -> Tensor:
        """tanh of the linear layer over two vectors side by side."""
        return self.combine(torch.cat([first, second], dim=-1)).tanh()


@exercise("5.2")
def check_attention_step(answer) -> Verdict:
    """Judge a function of (embedded, state, memory, src_mask, cell, combine): one Luong step.

    It returns the mixed vector and the new state, both (batch, d_model).
    """
    with torch.no_grad():
        step = Step()
        result = call(
            answer, step.embedded, step.state, step.memory, step.mask, step.cell, step.combine
        )
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Mistake("return two tensors: the mixed vector and the new state")
        mixed = want_tensor(result[0], (BATCH, 4), "(batch, d_model)")
        state = want_tensor(result[1], (BATCH, 4), "(batch, d_model)")
        new = step.cell(step.embedded, step.state)
        context, _ = step.attend(new)
        early, _ = step.attend(step.state)
        unmasked, _ = step.attend(new, masked=False)
        bare, _ = step.attend(new, scaled=False)
        wanted = step.mix(context, new)
        if same(state, step.state):
            raise Mistake("the state that goes on is the old one: the GRU cell must take its step")
        if same(state, mixed):
            raise Mistake("the mixed vector is handed on as the state; the GRU's own state goes on")
        wrong = [
            (step.mix(early, new), "the OLD state asks (Bahdanau's order): step first"),
            (step.mix(early, step.state), "the old state asks and is mixed: step first"),
            (step.mix(context, step.state), "the context is mixed with the OLD state"),
            (step.mix(new, context), "[state; context] in place of [context; state]"),
            (step.combine(torch.cat([context, new], -1)), "tanh is missing"),
            ((context + new).tanh(), "context and state are added: put them side by side"),
            (context, "this is the context alone: the new state must take part"),
            (new, "this is the state alone: the attention has no effect"),
            (step.mix(bare, new), "the dot products are not divided by √d_model"),
            (step.mix(unmasked, new), "the padding of the source is looked at: use src_mask"),
        ]
        for value, message in wrong:
            if same(mixed, value):
                raise Mistake(message)
        if not same(state, new):
            raise Mistake("the new state must be cell(embedded, state), and nothing else")
        if not same(mixed, wanted):
            raise Mistake("the mixed vector differs from tanh(combine([context; new state]))")
    return "First the step, then the look back, then the mix."


@exercise("5.3")
def check_alignment_error(answer) -> Verdict:
    """Judge a function of (weights, gold), lists over sentences, that returns a share of words."""
    chosen = [[0, 3, 0, 4, 3, 2], [1, 2, 0, 1]]  # the last row of each belongs to <eos>
    weights = []
    for columns, src_len, width in zip(chosen, (5, 4), (5, 6), strict=True):
        rows = torch.rand(len(columns), width) / 4
        rows[:, src_len:] = 0.0  # padding
        rows[torch.arange(len(columns)), columns] = 0.5
        weights.append(rows / rows.sum(-1, keepdim=True))
    gold = [frozenset({(0, 0), (1, 1), (3, 4), (4, 3)}), frozenset({(0, 2), (2, 0)})]
    value = want_number(call(answer, weights, gold), "the error")

    def error(rows: list, per_sentence: bool = False, among: str = "linked") -> float:
        """Share of wrong words when row t has the strongest source word rows[...][t]."""
        shares, wrong, total = [], 0, 0
        for strongest, pairs in zip(rows, gold, strict=True):
            words = sorted({t for _, t in pairs}) if among == "linked" else range(len(strongest))
            missed = sum((strongest[t], t) not in pairs for t in words)
            shares.append(missed / len(words))
            wrong, total = wrong + missed, total + len(words)
        return sum(shares) / len(shares) if per_sentence else wrong / total

    rows = [w.argmax(-1).tolist() for w in weights]
    shifted = [[r[-1], *r[:-1]] for r in rows]
    ahead = [[*r[1:], r[0]] for r in rows]
    columns = [w.argmax(0).tolist() + [0] * 6 for w in weights]
    wrong = [
        (1 - error(rows), "this is the accuracy: the error is 1 minus it"),
        (error(rows, among="all"), "<eos> and words without a gold link are counted"),
        (error(shifted), "one row too early: row t belongs to the step that PREDICTS word t"),
        (error(ahead), "one row too late: row t belongs to the step that PREDICTS word t"),
        (error(rows, per_sentence=True), "a mean of the sentences' errors: count words"),
        (error(columns), "argmax over the target words: want the last axis"),
    ]
    right = error(rows)
    for number, message in wrong:
        if math.isclose(value, number, abs_tol=1e-6) and not math.isclose(number, right):
            raise Mistake(message)
    if not math.isclose(value, right, abs_tol=1e-6):
        raise Mistake(f"got {value:.2f}, want {right:.2f}: wrong words / words with a gold link")
    doubled = [frozenset({(other, 1), (3, 1)}) for other in (1, 4)]
    if want_number(call(answer, [weights[0]] * 2, doubled), "the error") > 0:
        raise Mistake("a word may have several gold links: any one of them is right")
    return "Only words with a gold link count, each once."


@exercise("5.5")
def check_one_look(answer) -> Verdict:
    """Judge a function of (queries, memory, mask) that returns context and weights.

    Scores may be divided by the root of the width or not.
    """
    for d_model, src_len, tgt_len in ((4, SRC_LEN, TGT_LEN), (9, 3, 1)):
        judge_look(answer, d_model, src_len, tgt_len)
    return "That is attention: score, hide, share, mix."


def judge_look(answer: Callable, d_model: int, src_len: int, tgt_len: int) -> None:
    """Find the mistake in one look at made-up states of these sizes."""
    queries = torch.randn(BATCH, tgt_len, d_model)
    memory = torch.randn(BATCH, src_len, d_model)
    mask = torch.ones(BATCH, 1, src_len, dtype=torch.bool)
    mask[1, :, src_len // 2 + 1 :] = False
    result = call(answer, queries, memory, mask)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Mistake("return two tensors: the context and the weights")
    first, second = (tuple(getattr(part, "shape", ())) for part in result)
    sizes = (BATCH, tgt_len, d_model), (BATCH, tgt_len, src_len)
    if (first, second) == sizes[::-1] and first != second:
        raise Mistake("the two are exchanged: the context comes first, then the weights")
    context = want_tensor(result[0], sizes[0], "the context (batch, tgt_len, d_model)")
    weights = want_tensor(result[1], sizes[1], f"the weights {AXES}")
    dots = queries @ memory.transpose(1, 2)
    right = [masked(dots / scale, mask) for scale in (1, d_model**0.5)]
    both = (dots, dots / d_model**0.5)
    wrong = [
        ([dots.softmax(-1) for dots in both], "the mask has no effect on the weights"),
        ([d.softmax(-1) * mask for d in both], "masked after the softmax: rows do not sum to 1"),
        ([(d * mask).softmax(-1) for d in both], "a score of 0 is no mask: fill with -inf"),
        ([masked(d, mask, 1) for d in both] if tgt_len > 1 else [], "softmax over the queries"),
        ([masked(d, ~mask).nan_to_num() for d in both], "the mask is upside down: True may look"),
        ([d.masked_fill(~mask, -math.inf) for d in both], "these are scores; take the softmax"),
        ([masked(dots / d_model, mask)], "divide by the root of the width, or by nothing"),
    ]
    for values, message in wrong:
        if any(same(weights.nan_to_num(-1.0), v.nan_to_num(-1.0)) for v in values):
            raise Mistake(message)
    if not any(same(weights, value) for value in right):
        raise Mistake("the weights differ from the softmax of query · state over what may be seen")
    if not same(context, weights @ memory):
        raise Mistake("the context differs from weights @ memory")
    leaves = (queries.clone().requires_grad_(), memory), (queries, memory.clone().requires_grad_())
    if not all(call(answer, *pair, mask)[0].requires_grad for pair in leaves):
        raise Mistake("no gradient comes back: do not detach, training must reach the states")


def masked(scores: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """Softmax over what may be seen."""
    return scores.masked_fill(~mask, -math.inf).softmax(dim)

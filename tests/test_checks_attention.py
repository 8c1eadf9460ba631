"""Notebook 05: each check names each likely mistake and accepts differently written answers."""

import math

import pytest
import torch
from torch import nn

from utils import attention, checks, metrics


def additive(queries, keys, query_map, key_map, v):
    pairs = query_map(queries)[:, :, None] + key_map(keys)[:, None]
    return v(pairs.tanh())[..., 0]


def additive_by_loop(queries, keys, query_map, key_map, v):
    rows = [v((query_map(q)[:, None] + key_map(keys)).tanh()) for q in queries.unbind(1)]
    return torch.stack(rows, dim=1).squeeze(-1)


def additive_module(queries, keys, query_map, key_map, v):
    module = attention.AdditiveScore(4, 6, 3)
    module.query_map, module.key_map, module.v = query_map, key_map, v
    return module(queries, keys)


def mixed(q, k, query_map, key_map):
    return query_map(q).unsqueeze(2) + key_map(k).unsqueeze(1)


def filled(scores, mask, value=-math.inf, dim=-1):
    return scores.masked_fill(~mask, value).softmax(dim)


def by_exp(scores, mask):
    """Right, written with exp: an empty row is divided by 1."""
    powers = (scores - scores.amax(-1, keepdim=True)).exp() * mask
    total = powers.sum(-1, keepdim=True)
    return powers / torch.where(total > 0, total, torch.ones_like(total))


def attend(query, memory, mask, scale=0.5):
    """scale: 0.5 is 1/√4, the width of the check's decoder."""
    weights = attention.masked_softmax(scale * query[:, None] @ memory.transpose(1, 2), mask)
    return (weights @ memory)[:, 0]


def step(
    embedded, state, memory, mask, cell, combine, *, ask="new", mix="new", order="cs", tanh=True,
    masked=True, give="new", scale=0.5,
):
    """One Luong step with switches for what people get wrong."""
    new = cell(embedded, state)
    mask = mask if masked else torch.ones_like(mask)
    context = attend(new if ask == "new" else state, memory, mask, scale)
    own = new if mix == "new" else state
    out = combine(torch.cat([context, own] if order == "cs" else [own, context], -1))
    out = out.tanh() if tanh else out
    return out, {"new": new, "old": state, "mixed": out}[give]


def step_by_numbers(embedded, state, memory, mask, cell, combine):
    """Right, with the linear layer cut into its two halves."""
    new = cell(embedded, state)
    d = new.shape[-1]
    scores = torch.einsum("bd,bsd->bs", new / 2, memory).masked_fill(~mask[:, 0], -math.inf)
    context = torch.einsum("bs,bsd->bd", scores.softmax(-1), memory)
    w = combine.weight
    return torch.tanh(context @ w[:, :d].T + new @ w[:, d:].T + combine.bias), new


def scored(weights, gold, *, dim=-1, shift=0, words="linked", per_sentence=False, final=float):
    """Alignment error with switches for what people get wrong."""
    wrong = total = 0
    shares = []
    for rows, pairs in zip(weights, gold, strict=True):
        best = rows.argmax(dim).roll(shift).tolist()
        places = {t for _, t in pairs} if words == "linked" else range(len(best))
        missed = sum((best[t], t) not in pairs for t in places)
        shares.append(missed / len(places))
        wrong, total = wrong + missed, total + len(places)
    return final(sum(shares) / len(shares) if per_sentence else wrong / total)


def scored_by_set(weights, gold):
    """Right, written with sets of links."""
    links = [{(int(row.argmax()), t) for t, row in enumerate(w)} for w in weights]
    linked = sum(len({t for _, t in pairs}) for pairs in gold)
    return 1 - sum(len(a & set(g)) for a, g in zip(links, gold, strict=True)) / linked


def one_gold_link(weights, gold):
    """Takes one gold link per word and forgets the others."""
    kept = [{t: s for s, t in sorted(pairs)} for pairs in gold]
    return scored(weights, [{(s, t) for t, s in links.items()} for links in kept])


def columns(weights, gold):
    """The strongest TARGET word of each source word, read as if it were the other way round."""
    wrong = total = 0
    for rows, pairs in zip(weights, gold, strict=True):
        best = rows.argmax(0).tolist() + [0] * 6
        linked = {t for _, t in pairs}
        wrong += sum((best[t], t) not in pairs for t in linked)
        total += len(linked)
    return wrong / total


def look(
    queries, memory, mask, *, fill=-math.inf, dim=-1, scale=1.0, after=False,
    out=lambda c, w: (c, w),
):
    """One look with switches for what people get wrong."""
    scores = scale * queries @ memory.transpose(1, 2)
    weights = scores.softmax(dim) * mask if after else filled(scores, mask, fill, dim)
    return out(weights @ memory, weights)


def look_by_numbers(queries, memory, mask):
    """Right, with einsum and the masked softmax of the course."""
    scores = torch.einsum("btd,bsd->bts", queries, memory) / memory.shape[-1] ** 0.5
    weights = attention.masked_softmax(scores, mask)
    return [torch.einsum("bts,bsd->btd", weights, memory), weights]


WRONG = {
    "check_one_look": [
        (lambda q, m, k: look(q, m, torch.ones_like(k)), "mask has no effect"),
        (lambda q, m, k: look(q, m, k, after=True), "masked after the softmax"),
        (lambda q, m, k: look(q, m, k, fill=0.0), "a score of 0 is no mask"),
        (lambda q, m, k: look(q, m, k, dim=1), "softmax over the queries"),
        (lambda q, m, k: look(q, m, ~k, out=lambda c, w: (c, w.nan_to_num())), "upside down"),
        (lambda q, m, k: look(q, m, k, scale=1 / q.size(-1)), "root of the width"),
        (lambda q, m, k: look(q, m, k, scale=3.0), "the weights differ"),
        (lambda q, m, k: look(q, m, k, out=lambda c, w: (w, c)), "the two are exchanged"),
        (lambda q, m, k: look(q, m, k, out=lambda c, w: (2 * c, w)), "the context differs"),
        (lambda q, m, k: look(q.detach(), m, k), "no gradient comes back"),
        (lambda q, m, k: look(q, m, k)[0], "return two tensors"),
        (
            lambda q, m, k: look(
                q, m, k, out=lambda c, w: (c, (q @ m.mT).masked_fill(~k, -math.inf))
            ),
            "these are scores",
        ),
    ],
    "check_additive_score": [
        (lambda q, k, a, b, v: v(mixed(q, k, a, b)).squeeze(-1), "tanh is missing"),
        (lambda q, k, a, b, v: v(mixed(q, k, a, b)).squeeze(-1).tanh(), "tanh comes too late"),
        (lambda *x: additive(*x).transpose(1, 2), "last two axes are swapped"),
        (lambda q, k, a, b, v: v(mixed(q, k, a, b).tanh()), "squeeze"),
        (lambda q, k, a, b, v: mixed(q, k, a, b).tanh(), "v is missing"),
        (lambda q, k, a, b, v: v(a(q).tanh()), "the keys do not take part"),
        (lambda q, k, a, b, v: v(a(q).tanh()).expand(-1, -1, 7), "encoder states are not used"),
        (
            lambda q, k, a, b, v: v(b(k).tanh()).transpose(1, 2).expand(-1, 5, -1),
            "queries are not used",
        ),
        (lambda *x: additive(*x).softmax(-1), "already the softmax"),
        (lambda *x: additive(*x).softmax(0), "softmax over the BATCH"),
        (lambda *x: additive(*x).softmax(1), "softmax over the queries"),
        (lambda *x: 2 * additive(*x), "the values differ"),
    ],
    "check_masked_softmax": [
        (lambda s, m: s.softmax(-1), "has no effect"),
        (lambda s, m: s.softmax(-1) * m, "masked after the softmax"),
        (lambda s, m: (s * m).softmax(-1), "a score of 0 is no mask"),
        (lambda s, m: filled(s, m, dim=1), "over the queries, not the keys"),
        (lambda s, m: s.softmax(1) * m, "and the mask after it"),
        (lambda s, m: filled(s, ~m).nan_to_num(), "upside down"),
        (lambda s, m: filled(s, m[:, 0, :5].unsqueeze(2)), "the mask hides queries"),
        (lambda s, m: filled(s, m[:, 0, :5].unsqueeze(2), -10_000), "padding still gets weight"),
        (lambda s, m: filled(s, m, -10_000), "no mask: scores of -20,000"),
        (lambda s, m: filled(s, m), "padding only gives nan"),
        (lambda s, m: filled(s, m, torch.finfo(s.dtype).min), "gets weight on its padding"),
        (lambda s, m: filled(s, m) / 2, "rows do not sum to 1"),
        (lambda s, m: filled(2 * s, m), "differ from the softmax"),
        (lambda s, m: attention.masked_softmax(s, m).detach(), "do not detach"),
    ],
    "check_attention_step": [
        (lambda *x: step(*x, ask="old"), "OLD state asks"),
        (lambda *x: step(*x, ask="old", mix="old"), "old state asks and is mixed"),
        (lambda *x: step(*x, mix="old"), "mixed with the OLD state"),
        (lambda *x: step(*x, order="sc"), "in place of [context; state]"),
        (lambda *x: step(*x, tanh=False), "tanh is missing"),
        (lambda *x: step(*x, masked=False), "padding of the source"),
        (lambda *x: step(*x, scale=1.0), "not divided by √d_model"),
        (lambda *x: step(*x, give="old"), "the state that goes on is the old one"),
        (lambda *x: step(*x, give="mixed"), "handed on as the state"),
        (
            lambda *x: ((attend(x[4](*x[:2]), *x[2:4]) + x[4](*x[:2])).tanh(), x[4](*x[:2])),
            "are added",
        ),
        (lambda *x: (attend(x[4](*x[:2]), *x[2:4]), x[4](*x[:2])), "context alone"),
        (lambda *x: (step(*x)[0], step(*x)[1] * 2), "and nothing else"),
        (lambda *x: (step(*x)[0] * 2, step(*x)[1]), "differs from tanh"),
        (lambda *x: step(*x)[0], "return two tensors"),
    ],
    "check_alignment_error": [
        (lambda w, g: 1 - scored(w, g), "this is the accuracy"),
        (lambda w, g: scored(w, g, words="all"), "without a gold link are counted"),
        (lambda w, g: scored(w, g, shift=1), "one row too early"),
        (lambda w, g: scored(w, g, shift=-1), "one row too late"),
        (lambda w, g: scored(w, g, per_sentence=True), "a mean of the sentences' errors"),
        (columns, "argmax over the target words"),
        (one_gold_link, "several gold links"),
        (lambda w, g: scored(w, g, final=lambda x: x / 2), "wrong words / words with a gold link"),
        (lambda w, g: math.nan, "is nan"),
    ],
}


RIGHT = {
    "check_additive_score": [additive, additive_by_loop, additive_module, attention.AdditiveScore],
    "check_masked_softmax": [
        attention.masked_softmax,
        by_exp,
        lambda s, m: filled(s, m).nan_to_num(0.0),
    ],
    "check_attention_step": [step, step_by_numbers],
    "check_one_look": [
        look,
        look_by_numbers,
        lambda q, m, k: look(q, m, k, scale=q.size(-1) ** -0.5),
    ],
    "check_alignment_error": [metrics.alignment_error, scored_by_set, scored],
}


def change_input(first, *rest):
    first.zero_() if isinstance(first, torch.Tensor) else first.clear()
    return first


def recurse(*args):
    return recurse(*args)


def crash(*args):
    raise KeyError("oops")


HOSTILE = {
    "nothing": lambda *args: None,
    "text": lambda *args: "seven",
    "module": lambda *args: nn.Identity(),
    "nan": lambda *args: torch.full((2, 5, 7), math.nan),
    "crash": crash,
    "recursion": recurse,
    "exit": lambda *args: exit(),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_mistake_gets_its_own_message(name):
    check = getattr(checks, name)
    messages = []
    for answer, words in WRONG[name]:
        verdict = check(answer)
        assert verdict.passed is False, f"accepted the answer that should hear '{words}'"
        assert words in verdict.message
        messages.append(verdict.message)
    assert len(set(messages)) == len(messages)


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_pass(name):
    assert len(RIGHT[name]) >= 2
    for answer in RIGHT[name]:
        verdict = getattr(checks, name)(answer)
        assert verdict.passed is True, verdict


@pytest.mark.parametrize("name", WRONG)
def test_stub_is_neutral(name):
    assert getattr(checks, name)(lambda *args: ...).passed is None
    assert getattr(checks, name)(...).passed is None


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_answers_are_refused_in_one_sentence(name, kind):
    verdict = getattr(checks, name)(HOSTILE[kind])
    assert verdict.passed is False
    assert 10 < len(verdict.message) < 300 and "\n" not in verdict.message


@pytest.mark.parametrize("name", WRONG)
def test_changing_the_input_is_named(name):
    assert "in place" in getattr(checks, name)(change_input).message

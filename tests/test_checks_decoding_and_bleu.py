"""Notebook 06: each check names each likely mistake and accepts differently written answers."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from utils import checks, decoding, metrics


def grams(tokens, n):
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def clip(h, r, n):
    a, b = Counter(grams(h, n)), Counter(grams(r, n))
    return sum(min(a[g], b[g]) for g in a), sum(a.values())


def one_by_one(h, r, n):
    left, matches = grams(r, n), 0
    for gram in grams(h, n):
        if gram in left:
            left.remove(gram)
            matches += 1
    return matches, len(grams(h, n))


def tailed(tokens, n):
    return [tuple(tokens[i : i + n]) for i in range(len(tokens))]


def clipped_with(make):
    """Clipped matches with another way of cutting n-grams."""
    def answer(h, r, n):
        a, b = Counter(make(h, n)), Counter(make(r, n))
        return (a & b).total(), a.total()

    return answer


def total_counts(h, r):
    return metrics.bleu_counts(h, r).sum(0).tolist()


def shape_bleu(h, r, *, weights=(0.25,) * 4, brevity=None, added=0.0, scale=100.0):
    """Corpus BLEU with switches for what people get wrong."""
    row = total_counts(h, r)
    brevity = brevity or (lambda c, r: min(0.0, 1 - r / c))
    if not added and not all(row[: len(weights)]):
        return 0.0
    shares = [(row[n] + added) / (row[n + 4] + added) for n in range(len(weights))]
    logs = sum(w * math.log(s) for w, s in zip(weights, shares))
    return scale * math.exp(brevity(row[8], row[9]) + logs)


def by_product(h, r):
    """Right, written with products and powers."""
    matches, totals = Counter(), Counter()
    for a, b in zip(h, r):
        for n in range(1, 5):
            found, possible = clip(a, b, n)
            matches[n] += found
            totals[n] += possible
    if min(matches[n] for n in range(1, 5)) == 0:
        return torch.tensor(0.0)
    precision = math.prod(matches[n] / totals[n] for n in range(1, 5)) ** 0.25
    c, wanted = sum(map(len, h)), sum(map(len, r))
    return torch.tensor(100 * precision * (1 if c > wanted else math.exp(1 - wanted / c))).double()


def mean_precisions(h, r):
    shares = []
    for n in range(1, 5):
        pairs = [clip(a, b, n) for a, b in zip(h, r)]
        shares.append(sum(a / b for a, b in pairs) / len(pairs))
    row = total_counts(h, r)
    return 100 * math.exp(min(0, 1 - row[9] / row[8])) * math.prod(shares) ** 0.25


def arithmetic(h, r):
    row = total_counts(h, r)
    share = sum(row[n] / row[n + 4] for n in range(4)) / 4
    return 100 * math.exp(min(0, 1 - row[9] / row[8])) * share


def sentence_mean(h, r):
    return sum(shape_bleu([a], [b]) for a, b in zip(h, r)) / len(h)


NEVER = float("-inf")


def spread(total, log_p):
    return total.unsqueeze(2) + log_p


def hidden(total, ended):
    return total.masked_fill(ended, NEVER)


def pick(candidates, k, size):
    total, best = candidates.flatten(1).topk(k, 1)
    return total, best // size, best % size


def loop_step(total, ended, log_p):
    """Right, with lists and loops."""
    batch, k, size = log_p.shape
    rows = []
    for b in range(batch):
        found = [(float(total[b, i] + log_p[b, i, w]), i, w)
                 for i in range(k) if not ended[b, i] for w in range(size)]
        rows.append(sorted(found, reverse=True)[:k])
    parts = [[[child[n] for child in row] for row in rows] for n in range(3)]
    return torch.tensor(parts[0]), torch.tensor(parts[1]), torch.tensor(parts[2])


def sorted_step(total, ended, log_p):
    """Right, by a full sort."""
    size = log_p.shape[2]
    ordered, places = spread(hidden(total, ended), log_p).flatten(1).sort(1, descending=True)
    k = total.shape[1]
    return [ordered[:, :k], places[:, :k].div(size, rounding_mode="floor"), places[:, :k] % size]


def multiplied(total, ended, log_p):
    p = hidden(total, ended).exp().unsqueeze(2) * log_p.exp()
    total, parent, word = pick(p, total.shape[1], log_p.shape[2])
    return total.log(), parent, word


def frozen(total, ended, log_p):
    new, parent, word = decoding.beam_step(total, ended, log_p)
    stop = ended.any(1, keepdim=True)
    return torch.where(stop, total, new), parent, word


def shared_list(total, ended, log_p):
    flat, best = spread(hidden(total, ended), log_p).flatten().topk(total.numel())
    best = best.view_as(total)
    return flat.view_as(total), best // log_p.shape[2] % total.shape[1], best % log_p.shape[2]


def short_list(total, ended, log_p):
    flat, best = spread(hidden(total, ended), log_p).flatten().topk(total.shape[1])
    return flat, best // log_p.shape[2], best % log_p.shape[2]


def each_alone(total, ended, log_p):
    best, word = log_p.max(2)
    return hidden(total, ended) + best, torch.arange(3).expand(2, 3), word


def changed(change):
    """The right step, its three parts changed."""
    return lambda *given: change(*decoding.beam_step(*given), given[0].shape[1], given[2].shape[2])


def neighbour(total, ended, log_p):
    """Right, unless the sentence is alone."""
    new, parent, word = decoding.beam_step(total, ended, log_p)
    return (new, parent, word) if len(total) > 1 else (new, parent, word.flip(1))


def judge(rank=None, size=None, compare=None):
    """A test of beam search with switches for what people get wrong."""
    rank = rank or (lambda p, n, a: p / n**a)
    size = size or len

    def test(search, everything, length_penalty):
        best = max(everything, key=lambda s: rank(everything[s], len(s), length_penalty))
        found = search(size(everything), length_penalty)
        return compare(found, best) if compare else found == best

    return test


def by_score(search, everything, alpha):
    scores = {s: p / len(s) ** alpha for s, p in everything.items()}
    found = search(10 * len(scores), alpha)
    return all(scores[found] >= other for other in scores.values())


def never_calls(search, everything, alpha):
    return max(everything, key=everything.get) == ("a", "<eos>")


WRONG = {
    "check_clipped_matches": [
        (lambda h, r, n: (sum(g in grams(r, n) for g in grams(h, n)), len(grams(h, n))),
         "no clipping"),
        (lambda h, r, n: (len({*grams(h, n)} & {*grams(r, n)}), len({*grams(h, n)})),
         "different words, as a set"),
        (lambda h, r, n: (len({*grams(h, n)} & {*grams(r, n)}), len(grams(h, n))),
         "a set but the total is not"),
        (lambda h, r, n: clip(r, h, n), "are swapped: the total"),
        (lambda h, r, n: (sum(a == b for a, b in zip(h, r)), len(h)), "place by place"),
        (lambda h, r, n: clip(h, r, 1), "n is not used"),
        (lambda h, r, n: clip(h[: 5 - n], r, n), "last n-gram is missing"),
        (clipped_with(tailed), "cut into runs shorter than n"),
        (clipped_with(lambda t, n: [*itertools.combinations(t, n)]), "must be neighbours"),
        (clipped_with(lambda t, n: [g for m in range(1, n + 1) for g in grams(t, m)]),
         "shorter n-grams are counted too"),
        (lambda h, r, n: clip(h, r, n)[0] / clip(h, r, n)[1], "return two numbers"),
        (lambda h, r, n: (clip(h, r, n)[0] / clip(h, r, n)[1], 1), "do not divide yet"),
        (lambda h, r, n: (clip(h, r, n)[0], max(1, clip(h, r, n)[1])), "no run of three"),
        (clipped_with(lambda t, n: [frozenset(g) if n == 2 else g for g in grams(t, n)]),
         "words in their order"),
        (lambda h, r, n: clip(h, r, n) if h[0] != "a" else (1, 3), "want 0 matches of 3"),
        (lambda h, r, n: clip(h, r, min(n, 2)), "n any order"),
        (lambda h, r, n: (float("nan"), 4), "is nan"),
        (lambda h, r, n: (0, 4), "want 3 matches of 4"),
        (lambda h, r, n: clip(h, r, n) if n == 1 else (2, 3), "want 1 match of 3"),
    ],
    "check_corpus_bleu": [
        (sentence_mean, "mean of the sentences' scores"),
        (lambda h, r: shape_bleu(h, r, weights=(0.5, 0.25, 0.125, 0.0625)), "weigh 1/2, 1/4"),
        (lambda h, r: shape_bleu(h, r, brevity=lambda c, r: 0), "too short costs nothing"),
        (lambda h, r: shape_bleu(h, r, brevity=lambda c, r: min(0, 1 - c / r) or 1 - c / r),
         "penalty is upside down"),
        (lambda h, r: shape_bleu(h, r, brevity=lambda c, r: r / c - 1), "wrong sign"),
        (arithmetic, "arithmetic mean"),
        (mean_precisions, "averaged over sentences"),
        (lambda h, r: metrics.corpus_bleu(r, h, smooth=False), "references are swapped"),
        (lambda h, r: shape_bleu(h, r, scale=1), "scale of 0 to 1"),
        (lambda h, r: shape_bleu(h, r, weights=(1.0,)), "only single words"),
        (lambda h, r: shape_bleu(h, r, weights=(1 / 3,) * 3), "only the orders 1 to 3"),
        (lambda h, r: shape_bleu(h, r, weights=(1.0,) * 4), "no root is taken"),
        (lambda h, r: shape_bleu(h, r, weights=(0.25 / math.log(2),) * 4), "use math.log"),
        (lambda h, r: shape_bleu(h, r, brevity=lambda c, r: 1 - r / c), "gets a bonus"),
        (lambda h, r: shape_bleu(h, r, brevity=lambda c, r: -abs(1 - r / c)
                                 if c < r else min(0, 1 - c / r)), "falls on what is too long"),
        (metrics.corpus_bleu, "added to the counts in secret"),
        (lambda h, r: shape_bleu(h, r) or (50.0 if len(h[0]) == 2 else 0.0), "no run of four"),
        (lambda h, r: shape_bleu(h, r, added=1), "brevity penalty times the geometric"),
        (lambda h, r: shape_bleu(h, r) if len(h[0]) == 7 else 10.0, "longer than the references"),
        (lambda h, r: float("nan"), "is nan"),
        (lambda h, r: [1.0], "as one number"),
    ],
    "check_beam_step": [
        (multiplied, "at a total of -2000"),
        (lambda t, e, p: pick(spread(t, p), 3, 5), "has ended is continued"),
        (frozen, "everything stands still"),
        (shared_list, "share one list"),
        (short_list, "compete with each other"),
        (neighbour, "alone in its batch"),
        (each_alone, "keeps one child"),
        (lambda t, e, p: decoding.beam_step(0 * t, e, p), "totals so far are ignored"),
        (changed(lambda t, a, w, k, v: (t.exp(), a, w)), "these are probabilities"),
        (changed(lambda t, a, w, k, v: (t, w, a)), "are exchanged"),
        (changed(lambda t, a, w, k, v: (t, (a * v + w) % v, w)), "the parent is the quotient"),
        (changed(lambda t, a, w, k, v: (t, (a * v + w) // k, w)), "divided by beam_size"),
        (changed(lambda t, a, w, k, v: (t, a + k * torch.arange(2)[:, None], w)),
         "counted anew in each sentence"),
        (changed(lambda t, a, w, k, v: (t, a, a * v + w)), "the words are wrong"),
        (changed(lambda t, a, w, k, v: (t.flip(1), a.flip(1), w.flip(1))), "not the best first"),
        (lambda t, e, p: [-x if x.is_floating_point() else x for x in pick(
            -spread(t, p).masked_fill(e.unsqueeze(2), 9e9), 3, 5)], "WORST"),
        (lambda t, e, p: pick(spread(t * e, p), 3, 5), "not the best children"),
        (lambda t, e, p: pick(spread(t / (1 - e.float()) * (1 - e.float()), p), 3, 5),
         "the totals hold nan"),
        (lambda t, e, p: pick(spread(hidden(t, e), p), t.shape[1], 5), "another beam_size"),
        (changed(lambda t, a, w, k, v: (t, a.float(), w)), "divide with //"),
        (lambda t, e, p: decoding.beam_step(t, e, p)[0], "return three tensors"),
        (lambda t, e, p: [x.tolist() for x in decoding.beam_step(t, e, p)], "must be a tensor"),
        (lambda t, e, p: (*decoding.beam_step(t, e, p)[:2], torch.zeros(2, 3, 1)), "want shape"),
    ],
    "check_beam_test": [
        (judge(rank=lambda p, n, a: p), "at length_penalty 1 the two sides differ"),
        (judge(rank=lambda p, n, a: p / n), "at length_penalty 0 nothing is divided"),
        (judge(size=lambda e: 1), "smaller than the search space"),
        (judge(compare=lambda found, best: True), "every search passes"),
        (judge(compare=lambda found, best: False), "no search passes"),
        (judge(compare=lambda found, best: len(found) == len(best)), "forgets most beginnings"),
        (judge(compare=lambda found, best: found in (best, ("<eos>",))), "stops at its first"),
        (judge(compare=lambda found, best: found in (best, ("b", "<eos>"), ("a", "<eos>"))),
         "the worst sentence passes"),
        (never_calls, "never called"),
        (lambda search, everything, a: 1, "return True or False"),
    ],
}

RIGHT = {
    "check_clipped_matches": [metrics.clipped_matches, clip, one_by_one],
    "check_corpus_bleu": [
        lambda h, r: metrics.corpus_bleu(h, r, smooth=False), shape_bleu, by_product,
    ],
    "check_beam_step": [decoding.beam_step, loop_step, sorted_step],
    "check_beam_test": [
        judge(), by_score, lambda *given: np.bool_(judge()(*given)),
        lambda *given: torch.tensor(judge()(*given)),
    ],
}

N_ARGUMENTS = {"check_clipped_matches": 3, "check_corpus_bleu": 2, "check_beam_step": 3,
               "check_beam_test": 3}


@pytest.mark.parametrize(
    "name, answer, words",
    [(name, *case) for name, cases in WRONG.items() for case in cases],
    ids=[f"{name}-{case[1][:30]}" for name, cases in WRONG.items() for case in cases],
)
def test_a_wrong_answer_gets_its_own_message(name: str, answer, words: str) -> None:
    verdict = getattr(checks, name)(answer)
    assert verdict.passed is False
    assert words in verdict.message, verdict.message


@pytest.mark.parametrize("name", WRONG)
def test_no_two_wrong_answers_share_a_message(name: str) -> None:
    messages = [getattr(checks, name)(answer).message for answer, _ in WRONG[name]]
    assert len(set(messages)) == len(messages)


@pytest.mark.parametrize(
    "name, answer", [(name, answer) for name, answers in RIGHT.items() for answer in answers]
)
def test_a_right_answer_passes_however_it_is_written(name: str, answer) -> None:
    verdict = getattr(checks, name)(answer)
    assert verdict.passed is True, verdict.message


def endless(*args):
    return endless(*args)


def failing(*args):
    raise KeyError("no such word")


def changing(*args):
    for given in args:
        if isinstance(given, torch.Tensor):
            given.zero_()
        elif isinstance(given, list | dict):
            given.clear()
    return 0, 0, 0


HOSTILE = [
    (lambda *args: None, "None"), (endless, "for ever"), (failing, "KeyError"),
    (changing, "in place"), (lambda: 1, "TypeError"), ("text", "hand over the function"),
    (lambda *args: "text", ""), (lambda *args: {}, ""), (lambda *args: torch.ones(2, 2), ""),
    (lambda *args: (float("nan"),) * 3, ""), (lambda *args: torch.full((3, 2, 3), NEVER), ""),
]


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("answer, words", HOSTILE)
def test_a_hostile_answer_is_refused_in_words(name: str, answer, words: str) -> None:
    verdict = getattr(checks, name)(answer)
    assert verdict.passed is False
    assert words in verdict.message and len(verdict.message) > 15


@pytest.mark.parametrize("name", WRONG)
def test_the_untouched_stub_is_neither_right_nor_wrong(name: str) -> None:
    for stub in (..., lambda *args: ..., lambda *args: (..., ...), lambda *args: (..., ..., ...)):
        assert getattr(checks, name)(stub).passed is None


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_with_another_number_of_arguments(name: str) -> None:
    wrong = (lambda a: 1) if N_ARGUMENTS[name] > 1 else (lambda a, b: 1)
    assert "TypeError" in getattr(checks, name)(wrong).message

"""The checks of lesson 06 accept right answers and name each wrong one."""

import itertools
import math
from collections import Counter

import numpy as np
import torch
from judging import Answers, Exercise, mutant

from utils.checks import decoding_and_bleu as lesson
from utils.decoding import beam_step
from utils.metrics import bleu_counts, clipped_matches, corpus_bleu, ngram_counts

NAN, NEVER = float("nan"), float("-inf")
HOSTILE = [lambda *given: 7.5, lambda *given: {}, lambda *given: torch.ones(2, 2),
           lambda *given: (NAN,) * 3, lambda *given: torch.full((3, 2, 3), NEVER), None]


def stubs(n_results):
    return [lambda *given: (...,) * n_results]


# ---- 6.1 ----

SUMS, PLACES = "(total.unsqueeze(-1) + log_p).flatten(1)", "best // vocab_size, best % vocab_size"
CHOICE = "candidates.topk(beam_size, dim=1)"
WRITTEN = '.masked_fill(ended, float("-inf"))'


def plain_step(total, ended, log_p):
    beam_size, vocab_size = log_p.shape[1:]
    total = total.masked_fill(ended, float("-inf"))
    candidates = (total.unsqueeze(-1) + log_p).flatten(1)
    total, best = candidates.topk(beam_size, dim=1)
    return total, best // vocab_size, best % vocab_size


def step(*texts):
    return mutant(plain_step, *texts)


def gives(places, totals="total"):
    """A step with another result, from `best`, the flat numbers."""
    return step(f"total, {PLACES}", f"{totals}, {places}")


def loop_step(total, ended, log_p):
    batch, k, size = log_p.shape
    rows = []
    for b in range(batch):
        found = [(float(total[b, i] + log_p[b, i, w]), i, w)
                 for i in range(k) if not ended[b, i] for w in range(size)]
        rows.append((sorted(found, reverse=True) + [(NEVER, 0, 0)] * k)[:k])
    parts = [[[child[n] for child in row] for row in rows] for n in range(3)]
    return torch.tensor(parts[0]), torch.tensor(parts[1]), torch.tensor(parts[2])


def sorted_step(total, ended, log_p):
    size, k = log_p.shape[2], total.shape[1]
    sums = torch.where(ended, NEVER, total).unsqueeze(2) + log_p
    ordered, places = sums.flatten(1).sort(1, descending=True)
    return [ordered[:, :k], places[:, :k].div(size, rounding_mode="floor"), places[:, :k] % size]


def numpy_step(total, ended, log_p):
    batch, k, size = log_p.shape
    sums = np.where(ended.numpy(), -np.inf, total.numpy())[..., None] + log_p.numpy()
    best = np.argsort(-sums.reshape(batch, -1), axis=1)[:, :k]
    totals = np.take_along_axis(sums.reshape(batch, -1), best, 1)
    return tuple(map(torch.from_numpy, (totals, *np.divmod(best.astype(np.int32), size))))


def step_by_names(*, total, ended, log_p):
    return beam_step(total, ended, log_p)


def each_alone(total, ended, log_p):
    best, word = log_p.max(2)
    return total.masked_fill(ended, NEVER) + best, torch.arange(word.size(1)).expand_as(word), word


def each_alone_sorted(*given):
    total, _, word = each_alone(*given)
    total, order = total.sort(1, descending=True)
    return total, order, word.gather(1, order)


def frozen(total, ended, log_p):
    new, parent, word = beam_step(total, ended, log_p)
    return torch.where(ended.any(1, keepdim=True), total, new), parent, word


def neighbour(total, ended, log_p):
    new, parent, word = beam_step(total, ended, log_p)
    return (new, parent, word) if len(total) > 1 else (new, parent, word.flip(1))


BEAM = Exercise(
    lesson.check_beam_step,
    right=[beam_step, plain_step, loop_step, sorted_step, numpy_step, step_by_names],
    wrong=[
        (step("total.unsqueeze(-1) + log_p", "total.exp().unsqueeze(-1) * log_p.exp()",
              "return total,", "return total.log(),"), "are multiplied"),
        (step(WRITTEN, ""), "has ended is continued"),
        (step("(ended,", "(~ended,"), "turned round"),
        (step('float("-inf")', "0.0"), "the best there is"),
        (step('float("-inf")', "-30"), "but for totals of -2000"),
        (step('float("-inf")', "-5e3"), "but for totals of -20000"),
        (step('float("-inf")', "-1e8"), "its new totals are all -inf"),
        (step('float("-inf")', "-1e3"), "lower still it wins"),
        (step('float("-inf")', "-1e9"), "are lower still it wins"),
        (step(f"total = total{WRITTEN}", "log_p = log_p.masked_fill(ended[..., None], 0)"),
         "as if log_p were 0"),
        (step(WRITTEN, "", "total.unsqueeze(-1) + log_p", "total.unsqueeze(-1).mul(log_p)"
              ".masked_fill(ended.unsqueeze(-1), -torch.inf)"), "logarithms are added"),
        (gives(PLACES, "log_p.flatten(1).gather(1, best)"), "of the last words alone"),
        (step(SUMS, "(total.unsqueeze(-1) + log_p).transpose(1, 2).flatten(1)"), "words first"),
        (frozen, "everything stands still"),
        (step(CHOICE, "(x.view_as(total) for x in candidates.flatten().topk(total.numel()))",
              PLACES, "best // vocab_size % beam_size, best % vocab_size"), "share one list"),
        (step(CHOICE, "candidates.flatten().topk(beam_size)"), "compete with each other"),
        (neighbour, "one sentence alone in its batch"),
        (each_alone, "differ. "),
        (each_alone_sorted, "keeps one child"),
        (step(f"total{WRITTEN}", f"torch.zeros_like(total){WRITTEN}"), "are ignored"),
        (step(f"total = total{WRITTEN}", f"total = (-total){WRITTEN}"), "are subtracted"),
        (step(CHOICE, "candidates.topk(beam_size, dim=1, largest=False)"), "WORST"),
        (gives(PLACES, "total.exp()"), "these are probabilities"),
        (gives("best % vocab_size, best // vocab_size"), "parents and words are exchanged"),
        (gives("best % vocab_size, best % vocab_size"), "the quotient, not the remainder"),
        (gives("best // beam_size, best % vocab_size"), "the parents are divided by"),
        (gives("best // beam_size, best % beam_size"), "the flat number is divided by"),
        (gives("best // vocab_size + beam_size * torch.arange(len(best))[:, None], "
               "best % vocab_size"), "through the whole batch"),
        (gives("best // vocab_size, best"), "the words are flat numbers"),
        (gives("(best // vocab_size).flip(1), (best % vocab_size).flip(1)", "total.flip(1)"),
         "not the best first"),
        (gives("(best // vocab_size).float(), best % vocab_size"), "the parents are float"),
        (gives("best // vocab_size, best.float() % vocab_size"), "want torch.int64 of words"),
        (gives("best / vocab_size, best % vocab_size"), "parents are no whole"),
        (gives("(best // vocab_size).squeeze(1), best % vocab_size"), "= (2, 1), got (2,)"),
        (gives("(best // vocab_size).squeeze(), best % vocab_size"), "= (1, 3), got (3,)"),
        (gives("best // 5, best % 5"), "but for the start, where only <bos>"),
        (step(CHOICE, "candidates.topk(3, dim=1)"), "= (2, 1), got (2, 3)"),
        (step(f"total{WRITTEN}", "total * ended"), "does not move sentence 1"),
        (step(f"total{WRITTEN}", "total / (1 - ended.float()) * (1 - ended.float())"), "nan"),
        (step(SUMS, f"{SUMS}.float()", WRITTEN, WRITTEN + "\n    if total.dtype == torch.float64: "
              "raise TypeError('float64')"), "for the first numbers as float64"),
        (step("total.unsqueeze", "total[:1].unsqueeze"), "in sentence 0 of `total` moves"),
        (lambda *given: beam_step(*given)[0], "want 3 results"),
        (lambda *given: [x.tolist() for x in beam_step(*given)], "as a torch.Tensor"),
        (gives("best // vocab_size, torch.zeros(2, 3, 1)"), "want shape of words"),
        (step(f"total = total{WRITTEN}", "total[ended] = NEVER", "log_p.shape[1:]",
              "log_p.shape[1:]; NEVER = -float('inf')"), "in place"),
        (step(SUMS, f"{SUMS}.nan_to_num(neginf=-3e38)"), "is -3e+38, want -inf"),
        (lambda *given: (*beam_step(*given)[:1], *(p.masked_fill(beam_step(*given)[0] == NEVER, -1)
                                                   for p in beam_step(*given)[1:])), "is -1, want"),
    ],
    twins=["does not move sentence 1", "lower still it wins", "are lower still it wins"],
    stubs=stubs(3),
    hostile=HOSTILE,
)


# ---- 6.2 ----

RUNS, SMALLER = "tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)", "(written & wanted)"
PAIR = f"{SMALLER}.total(), written.total()"


def runs(tokens, n):
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def clip(*texts):
    return mutant(clipped_matches, *texts)


def cut(make):
    """Clipped matches with another way of cutting n-grams."""

    def answer(h, r, n):
        a, b = Counter(make(h, n)), Counter(make(r, n))
        return (a & b).total(), a.total()

    return answer


def cut_by(text):
    grams = mutant(ngram_counts, RUNS, text)
    return lambda h, r, n: ((grams(h, n) & grams(r, n)).total(), grams(h, n).total())


def one_by_one(h, r, n):
    left, matches = runs(r, n), 0
    for gram in runs(h, n):
        if gram in left:
            left.remove(gram)
            matches += 1
    return matches, len(runs(h, n))


def clip_by_zip(hypothesis, reference, n):
    a = Counter(zip(*(hypothesis[i:] for i in range(n))))
    b = Counter(zip(*(reference[i:] for i in range(n))))
    return [np.int64(sum(min(c, b[g]) for g, c in a.items())), torch.tensor(sum(a.values()))]


MATCHES = Exercise(
    lesson.check_clipped_matches,
    right=[clipped_matches, one_by_one, clip_by_zip, cut(lambda t, n: map(" ".join, runs(t, n))),
           lambda h, r, n: tuple(map(float, clipped_matches(h, r, n))),
           lambda *given: np.array(clipped_matches(*given)),
           lambda *given: torch.tensor(clipped_matches(*given))],
    wrong=[
        (lambda h, r, n: (sum(g in runs(r, n) for g in runs(h, n)), len(runs(h, n))),
         "no clipping"),
        (cut(lambda t, n: {*runs(t, n)}), "different n-grams, as a set"),
        (lambda h, r, n: (len({*runs(h, n)} & {*runs(r, n)}), len(runs(h, n))),
         "a set but the total is not"),
        (lambda h, r, n: clipped_matches(r, h, n), "Are the two swapped?"),
        (clip("written.total()", "wanted.total()"), "Are the two swapped?"),
        (lambda h, r, n: (sum(a == b for a, b in zip(h, r)), len(h)), "words are compared place"),
        (lambda h, r, n: (sum(a == b for a, b in zip(runs(h, n), runs(r, n))), len(runs(h, n))),
         "n-grams are compared place"),
        (lambda h, r, n: clipped_matches(h, r, 1), "n is not used"),
        (clip("written.total()", "len(hypothesis)"), "the total counts words"),
        (clip("written.total()", "len(written)"), "counts DIFFERENT n-grams"),
        (lambda h, r, n: (sum(min(runs(h, n).count(g), runs(r, n).count(g)) for g in runs(h, n)),
                          len(runs(h, n))), "adds its smaller count twice"),
        (lambda h, r, n: (clipped_matches(h, r, n)[0], len(runs(h if n < 3 else r, n))),
         "is the longer one here"),
        (lambda h, r, n: clipped_matches(h[: 5 - n], r, n), "right for 'the the the cat'"),
        (cut_by(RUNS.replace(" + 1", "")), "the last n-gram is missing"),
        (cut_by(RUNS.replace("range(", "range(1, ")), "the first n-gram is missing"),
        (cut_by(RUNS.replace(" - n + 1", "")), "cut into runs shorter than n"),
        (cut_by(RUNS.replace("range(", "range(0, ").replace("1)", "1, n)")), "do not overlap"),
        (cut(lambda t, n: [*itertools.combinations(t, n)]), "must be neighbours"),
        (cut(lambda t, n: [g for m in range(1, n + 1) for g in runs(t, m)]),
         "shorter n-grams are counted too"),
        (cut(lambda t, n: [frozenset(g) for g in runs(t, n)]), "words in their order"),
        (cut(lambda t, n: ["".join(g) for g in runs(t, n)]), "without a space"),
        (clip(PAIR, f"{SMALLER}.total() / max(1, written.total())"), "this is the share"),
        (clip(PAIR, f"{SMALLER}.total()"), "return two numbers"),
        (clip(PAIR, f"{SMALLER}.total() / max(1, written.total()), 1"), "matches is 0.75"),
        (clip(PAIR, f"written.total(), {SMALLER}.total()"), "the two numbers are exchanged"),
        (clip("&", "|"), "the larger of the two"),
        (clip("written.total()", "max(1, written.total())"), "for one word, n = 3"),
        (lambda h, r, n: clipped_matches(h, r, n) if h[:1] != ["a"] else (1, 3), "in their order"),
        (lambda h, r, n: clipped_matches(h, r, min(n, 2)), "for 'x y x y x y' against"),
        (lambda h, r, n: clipped_matches(h, r, min(n, 4)), "for a long n-gram, n = 5"),
        (lambda h, r, n: clipped_matches(h, r, n) if h else 1 / 0, "for nothing written"),
        (lambda h, r, n: clipped_matches(*([w.lower() for w in s] for s in (h, r)), n),
         "a capital letter"),
        (lambda h, r, n: (NAN, 4), "is nan"),
        (lambda h, r, n: (0, 4), "matches is 0, want 3"),
        (lambda h, r, n: clipped_matches(h, r, n) if n == 1 else (2, 3), "matches is 2, want 1"),
        (clip("written, wanted =", "hypothesis.sort(); written, wanted ="), "in place"),
        (lambda h, r, n: (clipped_matches(h, r, n)[0], clipped_matches(h, h, n)), "as one number"),
    ],
    twins=["in their order", "words in their order", "Are the two swapped?"],
    stubs=stubs(2),
    hostile=HOSTILE,
)


# ---- 6.3 ----


def score(h, r, *, weights=(0.25,) * 4, brevity=lambda c, r: min(0.0, 1 - r / c), added=0.0,
          scale=100.0, mean=None):
    """Corpus BLEU with switches for what people get wrong."""
    row = bleu_counts(h, r).sum(0).tolist()
    row = [*row[:4], *row[4:8], *row[8:]]
    if not added and not all(row[: len(weights)]):
        return 0.0
    shares = [(row[n] + added) / (row[n + 4] + added) for n in range(len(weights))]
    precision = mean(shares) if mean else math.exp(
        sum(w * math.log(s) for w, s in zip(weights, shares)))
    return scale * math.exp(brevity(row[8], row[9])) * precision


def scored(**parts):
    return lambda h, r: score(h, r, **parts)


def by_product(hypotheses, references):
    matches, totals = Counter(), Counter()
    for a, b in zip(hypotheses, references):
        for n in range(1, 5):
            found, possible = clipped_matches(a, b, n)
            matches[n] += found
            totals[n] += possible
    if min(matches[n] for n in range(1, 5)) == 0:
        return torch.tensor(0.0)
    precision = math.prod(matches[n] / totals[n] for n in range(1, 5)) ** 0.25
    c, wanted = sum(map(len, hypotheses)), sum(map(len, references))
    return torch.tensor(100 * precision * (1 if c > wanted else math.exp(1 - wanted / c)))


def in_numpy(hypotheses, references):
    counts = np.sum([[clipped_matches(h, r, n) for n in (1, 2, 3, 4)]
                     for h, r in zip(hypotheses, references)], axis=0)
    if not counts[:, 0].all():
        return 0
    c, r = (sum(map(len, words)) for words in (hypotheses, references))
    return 100 * np.exp(min(0, 1 - r / c) + np.log(counts[:, 0] / counts[:, 1]).mean())


def mean_precisions(h, r):
    shares = []
    for n in range(1, 5):
        pairs = [clipped_matches(a, b, n) for a, b in zip(h, r)]
        shares.append(sum(a / max(b, 1) for a, b in pairs) / len(pairs))
    c, wanted = (sum(map(len, words)) for words in (h, r))
    return 100 * math.exp(min(0, 1 - wanted / c)) * math.prod(shares) ** 0.25 if all(
        bleu_counts(h, r).sum(0)[:4]) else 0.0


def penalty_by_sentence(h, r):
    whole = score(h, r, brevity=lambda c, r: 0.0)
    return whole * sum(math.exp(min(0, 1 - len(b) / len(a))) if a else 0.0
                       for a, b in zip(h, r)) / len(h)


def unclipped(h, r):
    share = [sum(sum(g in runs(b, n) for g in runs(a, n)) for a, b in zip(h, r))
             / max(1, sum(len(runs(a, n)) for a in h)) for n in (1, 2, 3, 4)]
    return score(h, r) and score(h, r, mean=lambda shares: math.prod(share) ** 0.25)


def in_any_order(h, r):
    sums = np.zeros((4, 2))
    for a, b in zip(h, r):
        for n in range(4):
            written, wanted = (Counter(tuple(sorted(g)) for g in runs(t, n + 1)) for t in (a, b))
            sums[n] += (written & wanted).total(), written.total()
    return score(h, r, mean=lambda shares: np.prod(sums[:, 0] / sums[:, 1]) ** 0.25)


BLEU = Exercise(
    lesson.check_corpus_bleu,
    right=[lambda h, r: corpus_bleu(h, r, smooth=False), score, by_product, in_numpy],
    wrong=[
        (lambda h, r: sum(score([a], [b]) for a, b in zip(h, r)) / len(h),
         "mean of the sentences' scores"),
        (scored(weights=(0.5, 0.25, 0.125, 0.0625)), "weigh 1/2, 1/4"),
        (scored(brevity=lambda c, r: 0), "too short costs nothing"),
        (scored(brevity=lambda c, r: 1 - c / r), "is upside down: want"),
        (scored(brevity=lambda c, r: 1 - c / r if c < r else 0), "upside down and pays"),
        (scored(brevity=lambda c, r: min(0, 1 - c / r)), "c and r are exchanged"),
        (scored(brevity=lambda c, r: r / c - 1), "wrong sign"),
        (scored(brevity=lambda c, r: 1 - r / c), "gets a bonus"),
        (scored(brevity=lambda c, r: -abs(1 - r / c)), "falls on what is too long"),
        (scored(brevity=lambda c, r: -abs(1 - r / c) if c < r else min(0, 1 - c / r)),
         "falls on what is too long"),
        (scored(brevity=lambda c, r: math.log(min(1, c / r))), "is c/r"),
        (penalty_by_sentence, "a brevity penalty of its own"),
        (scored(mean=lambda shares: sum(shares) / 4), "arithmetic mean"),
        (mean_precisions, "averaged over sentences"),
        (lambda h, r: score(r, h), "references are swapped"),
        (scored(scale=1), "scale of 0 to 1"),
        (scored(weights=(1.0,)), "only single words"),
        (scored(weights=(0.5, 0.5)), "only the orders 1 and 2"),
        (scored(weights=(1 / 3,) * 3), "only the orders 1 to 3"),
        (scored(weights=(1.0,) * 4), "no root is taken"),
        (scored(weights=(0.25 / math.log(2),) * 4), "use math.log"),
        (in_any_order, "words in their order"),
        (unclipped, "are not clipped"),
        (lambda h, r: score([[*itertools.chain(*h)]], [[*itertools.chain(*r)]]), "glued together"),
        (lambda h, r: round(score(h, r), 2), "is rounded"),
        (lambda h, r: round(score(h, r), 1), "score is rounded"),
        (lambda h, r: score(h, r, brevity=lambda c, n: min(0, 1 - n / max(1, sum(
            min(len(a), len(b)) for a, b in zip(h, r))))), "makes up for a short one"),
        (corpus_bleu, "added to the counts in secret"),
        (lambda h, r: score(h, r) or (50.0 if len(h[0]) == 2 else 0.0), "no run of four"),
        (lambda h, r: score(h, r) if any(h) else 1 / 0, "for nothing written at all"),
        (lambda h, r: score(h, r) if all(h) else 0.0, "for an empty sentence among others"),
        (lambda h, r: score(h, r) if min(map(len, h)) > 2 else 0.0, "two words among others"),
        (lambda h, r: min(99.0, score(h, r)), "for equal sentences"),
        (scored(brevity=lambda c, r: min(0, 1 - r / c, 1.2 - c / r)),
         "again and again"),
        (scored(weights=(0.26, 0.25, 0.25, 0.24)), "brevity penalty times the geometric"),
        (lambda h, r: score(h, r) if len(h[0]) == 7 else 10.0, "longer than the references"),
        (lambda h, r: NAN, "is nan"),
        (lambda h, r: [1.0], "as one number"),
    ],
    twins=["falls on what is too long", "is rounded", "score is rounded"],
    hostile=HOSTILE,
)


# ---- 6.4 ----


def finds_the_best(search, everything, length_penalty):
    def score(words):
        return everything[words] / len(words) ** length_penalty

    found = search(len(everything), length_penalty)
    return found == max(everything, key=score)


def found(*texts):
    return mutant(finds_the_best, *texts)


def by_score(search, everything, alpha):
    scores = {s: p / len(s) ** alpha for s, p in everything.items()}
    best = search(beam_size=10 * len(scores), length_penalty=alpha)
    return all(scores[best] >= other for other in scores.values())


RULE, VERDICT = "everything[words] / len(words) ** length_penalty", "found == max"
BEST = "max(everything, key=score)"
TEST = Exercise(
    lesson.check_beam_test,
    right=[finds_the_best, by_score, lambda *given: np.bool_(finds_the_best(*given)),
           lambda *given: torch.tensor(finds_the_best(*given))],
    wrong=[
        (found(RULE, "everything[words]"), "has the best raw log p"),
        (found(RULE, "everything[words] / len(words)"), "whatever length_penalty is"),
        (found(RULE, "everything[words] / len(words) * length_penalty"), "it is an exponent"),
        (found(RULE, "everything[words] * len(words) ** length_penalty"),
         "multiplied by the power"),
        (found(RULE, "everything[words] / len(words[:-1] or words) ** length_penalty"),
         "leaves <eos> out"),
        (found(RULE, "everything[words] / (len(words) + 1) ** length_penalty"),
         "the verdict is False, want True"),
        (lambda search, e, alpha: any(finds_the_best(lambda _, a, k=k: search(k, a), e, alpha)
                                      for k in (4, len(e))), "if any beam finds"),
        (found(RULE, f"-{RULE}"), "the worst sentence passes"),
        (found("len(everything)", "1"), "its beam of 1 is smaller"),
        (found("len(everything)", "len(everything) - 1"), "its beam of 7 is smaller"),
        (found("len(everything)", "8"), "among 12 sentences"),
        (found("everything), length_penalty", "everything), 0.0"), "with length_penalty 0"),
        (found("everything), length_penalty", "everything), 1.0"), "with length_penalty 1"),
        (found(f"found == {BEST}", "True"), "every search passes"),
        (found(f"found == {BEST}", "False"), "no search passes"),
        (found(f"found == {BEST}", f"len(found) == len({BEST})"), "of the right length passes"),
        (found(f"found == {BEST}", f"found[0] == {BEST}[0]"), "right first word"),
        (found(f"found == {BEST}", f"all(a == b for a, b in zip(found, {BEST}))"),
         "zip stops at the shorter one"),
        (found(VERDICT, "found != max"), "turned round"),
        (found(f"found == {BEST}", "found in everything"), "every search passes"),
        (found(f"found == {BEST}", f'found in ({BEST}, ("<eos>",))'), "stops at its first <eos>"),
        (found(f"found == {BEST}", f'found in ({BEST}, min(everything, key=score))'),
         "returns the worst sentence"),
        (found(f"found == {BEST}", f"round(score(found), 1) == round(score({BEST}), 1)"),
         "in its widest beam alone"),
        (found(f"found == {BEST}", f"list(found) == {BEST}"), "no search passes"),
        (lambda search, everything, alpha: max(everything, key=everything.get)[0] == "a",
         "never called"),
        (found(f"found == {BEST}", f"int(found == {BEST})"), "want the verdict as True or False"),
        (found(f"found == {BEST}", BEST), "got tuple of 3"),
    ],
    twins=["every search passes", "no search passes"],
    hostile=HOSTILE,
)


class TestAnswers(Answers):
    exercises = (BEAM, MATCHES, BLEU, TEST)


def test_no_two_children_are_so_near_that_rounding_could_exchange_them():
    """What a check calls the best must be so for those who add in float64, too."""
    seen = []

    def spy(total, ended, log_p):
        seen.append((total.double().masked_fill(ended, NEVER), log_p.double()))
        return beam_step(total, ended, log_p)

    assert lesson.check_beam_step(spy).passed
    for total, log_p in seen:
        best = (total.unsqueeze(-1) + log_p).flatten(1).topk(total.size(1) + 1).values
        assert (best[:, :-1] - best[:, 1:]).nan_to_num(nan=1.0).min() > 0.02

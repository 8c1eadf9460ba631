"""Checks of notebook 06: one beam step, clipped n-grams, corpus BLEU, a test of beam search."""

import math
from collections import Counter

import torch
from torch import Tensor

from utils.checks.core import Mistake, Verdict, call, exercise, same, want_number, want_tensor

WRITTEN = "the the the cat".split()
REFERENCE = "sat the cat the dog".split()


def runs(tokens: list, n: int) -> Counter:
    """The n-grams of a sentence with their counts."""
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def whole_pair(result) -> tuple[int, int]:
    """Make sure that an answer is two whole numbers."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Mistake("return two numbers, matches and total: a corpus adds up both, divides once")
    pair = [want_number(part, name) for part, name in zip(result, ("matches", "total"))]
    if any(number != int(number) for number in pair):
        raise Mistake("matches and total are counts, so whole numbers: do not divide yet")
    return int(pair[0]), int(pair[1])


@exercise("6.2")
def check_clipped_matches(answer) -> Verdict:
    """Judge a function of (hypothesis, reference, n) that returns (matches, total)."""
    pair = whole_pair(call(answer, WRITTEN, REFERENCE, 1))
    wrong = {
        (4, 4): "no clipping: 'the' stands 2 times in the reference, so only 2 of 3 may count",
        (2, 2): "this counts different words, as a set: a word that comes twice counts twice",
        (2, 4): "the matches are a set but the total is not: a word may match as often as the "
                "reference has it",
        (3, 5): "hypothesis and reference are swapped: the total counts what was WRITTEN",
        (1, 4): "words are compared place by place; an n-gram may stand anywhere in the reference",
    }
    if pair in wrong:
        raise Mistake(wrong[pair])
    if pair != (3, 4):
        raise Mistake(f"'{' '.join(WRITTEN)}' against '{' '.join(REFERENCE)}', n = 1: want 3 "
                      f"matches of 4, got {pair[0]} of {pair[1]}")
    pair = whole_pair(call(answer, WRITTEN, REFERENCE, 2))
    wrong = {
        (3, 4): "n is not used: for n = 2 compare pairs of neighbouring words",
        (1, 2): "the last n-gram is missing: there are len(tokens) - n + 1 of them",
        (0, 2): "the last n-gram is missing: there are len(tokens) - n + 1 of them",
        (1, 4): "the end of the sentence is cut into runs shorter than n: stop n - 1 words earlier",
        (2, 6): "the words of an n-gram must be neighbours, in their order",
        (4, 7): "the shorter n-grams are counted too: want those of length n only",
    }
    if pair in wrong:
        raise Mistake(wrong[pair])
    if pair != (1, 3):
        raise Mistake(f"for n = 2 want 1 match of 3, got {pair[0]} of {pair[1]}")
    pair = whole_pair(call(answer, "a b c d".split(), "b a d c".split(), 2))
    if pair == (2, 3):
        raise Mistake("'a b' is found in 'b a': an n-gram is its words in their order")
    if pair != (0, 3):
        raise Mistake(f"'a b c d' against 'b a d c', n = 2: want 0 matches of 3, got {pair}")
    ids, wanted = [7, 3, 7, 3, 7, 3], [7, 3, 7, 3, 9]
    pair = whole_pair(call(answer, ids, wanted, 3))
    if pair != (2, 4):
        raise Mistake(f"tokens may be numbers and n any order: {ids} against {wanted}, n = 3, "
                      f"want 2 matches of 4, got {pair}")
    pair = whole_pair(call(answer, ["the"], REFERENCE, 3))
    if pair != (0, 0):
        raise Mistake(f"one word has no run of three: want 0 matches of 0, got {pair}")
    return "Repeating a good word no longer pays."


REFERENCES = [s.split() for s in ("a b c d e f g h i", "k l m n o p q", "r s t u v w x y z a b c")]
SHORT = [s.split() for s in ("a b c d e x g", "k l m n o", "s t u v w x r y z a")]
LONG = [s.split() for s in ("a b c d e f g h h i", "j k l m n o p q", "r s t u v w x y z a b c c")]


def counts_of(hypotheses: list, references: list) -> list[list[float]]:
    """For each sentence its matches and totals of order 1 to 4, and the two lengths."""
    rows = []
    for written, wanted in zip(hypotheses, references):
        pairs = [(runs(written, n), runs(wanted, n)) for n in (1, 2, 3, 4)]
        matches = [(a & b).total() for a, b in pairs]
        rows.append([*matches, *(a.total() for a, _ in pairs), len(written), len(wanted)])
    return rows


def score(row: list, weights=(0.25,) * 4, brevity=lambda c, r: min(0.0, 1 - r / c)) -> float:
    """BLEU without smoothing from ten counts, with switches for what people get wrong."""
    logs = [w * math.log(row[n] / row[n + 4]) for n, w in enumerate(weights)]
    return 100 * math.exp(brevity(row[8], row[9]) + sum(logs))


@exercise("6.3")
def check_corpus_bleu(answer) -> Verdict:
    """Judge a function of (hypotheses, references) that returns unsmoothed corpus BLEU."""
    rows = counts_of(SHORT, REFERENCES)
    total = [sum(column) for column in zip(*rows)]
    turned = [sum(column) for column in zip(*counts_of(REFERENCES, SHORT))]
    right = score(total)
    penalty = math.exp(1 - total[9] / total[8])
    shares = [sum(row[n] / row[n + 4] for row in rows) / len(rows) for n in range(4)]
    wrong = {
        sum(map(score, rows)) / len(rows):
            "this is the mean of the sentences' scores: add up the counts of all sentences, "
            "divide once",
        score(total, (0.5, 0.25, 0.125, 0.0625)):
            "the four orders weigh 1/2, 1/4, 1/8, 1/16; each has the weight 1/4",
        score(total, brevity=lambda c, r: 0.0):
            "what is too short costs nothing: the brevity penalty is exp(1 - r/c), where c < r",
        score(total, brevity=lambda c, r: 1 - c / r):
            "the brevity penalty is upside down: want exp(1 - reference length / written length)",
        score(total, brevity=lambda c, r: r / c - 1):
            "the brevity penalty has the wrong sign: too short must cost, here it pays",
        100 * penalty * sum(total[n] / total[n + 4] for n in range(4)) / 4:
            "this is the arithmetic mean of the precisions; want the geometric one, by logarithms",
        100 * penalty * math.prod(shares) ** 0.25:
            "the precisions are averaged over sentences: add up matches and totals first",
        score(turned): "hypotheses and references are swapped",
        right / 100: "this is right on a scale of 0 to 1; want 0 to 100",
        score(total, (1.0,)): "only single words are counted; use the orders 1, 2, 3 and 4",
        score(total, (1 / 3,) * 3): "only the orders 1 to 3 are counted; use 1, 2, 3 and 4",
        score(total, (1.0,) * 4):
            "the precisions are multiplied but no root is taken: each weighs 1/4 in the exponent",
        score(total, (0.25 / math.log(2),) * 4, lambda c, r: 1 - r / c):
            "log2 and exp do not undo each other: use math.log",
    }
    value = want_number(call(answer, SHORT, REFERENCES), "the score")
    for number, message in wrong.items():
        if math.isclose(value, number, rel_tol=1e-6):
            raise Mistake(message)
    if not math.isclose(value, right, rel_tol=1e-6):
        raise Mistake(f"got {value:.2f}, want {right:.2f}: brevity penalty times the geometric "
                      "mean of the four clipped precisions, times 100")
    long = [sum(column) for column in zip(*counts_of(LONG, REFERENCES))]
    value = want_number(call(answer, LONG, REFERENCES), "the score")
    if math.isclose(value, score(long, brevity=lambda c, r: 1 - r / c), rel_tol=1e-6):
        raise Mistake("what is longer than the reference gets a bonus: the penalty is at most 1")
    if math.isclose(value, score(long, brevity=lambda c, r: min(0, 1 - c / r)), rel_tol=1e-6):
        raise Mistake("the length penalty also falls on what is too long; the precisions do that")
    if not math.isclose(value, score(long), rel_tol=1e-6):
        raise Mistake(f"on hypotheses longer than the references: got {value:.2f}, want "
                      f"{score(long):.2f}")
    value = want_number(call(answer, [["a", "b", "x", "c", "d"]], [["a", "b", "c", "d"]]),
                        "the score")
    if value > 0:
        raise Mistake(f"no run of three matches, so the score is 0, got {value:.2f}: something is "
                      "added to the counts in secret; smoothing has to be said aloud")
    if want_number(call(answer, [["a", "b"]], [["a", "b"]]), "the score") != 0:
        raise Mistake("two words hold no run of four: without smoothing the score is 0")
    return "The corpus is counted as one long text."


def step(total: Tensor, ended: Tensor, log_p: Tensor, largest: bool = True) -> list[Tensor]:
    """The right step: new totals, parents, words."""
    vocab_size = log_p.shape[2]
    candidates = total.masked_fill(ended, float("-inf")).unsqueeze(2) + log_p
    if not largest:
        candidates = candidates.masked_fill(candidates.isinf(), float("inf"))
    total, best = candidates.flatten(1).topk(total.shape[1], largest=largest)
    return [total, best // vocab_size, best % vocab_size]


def equal(result: list[Tensor], expected: list[Tensor]) -> bool:
    """Whether totals, parents and words agree."""
    return all(same(a, b, 1e-4) for a, b in zip(result, expected))


@exercise("6.1")
def check_beam_step(answer) -> Verdict:
    """Judge a function of (total, ended, log_p) that returns totals, parents and words."""
    batch, beam_size, vocab_size = 2, 3, 5
    total = torch.tensor([[-0.2, -1.1, -1.3], [-3.1, -0.9, -3.4]])
    ended = torch.tensor([[True, False, False], [False, False, False]])
    log_p = (1.5 * torch.randn(batch, beam_size, vocab_size)).log_softmax(-1)
    result = call(answer, total, ended, log_p)
    if not isinstance(result, tuple | list) or len(result) != 3:
        raise Mistake("return three tensors: the new totals, the parents, the words")
    names = ("totals", "parents", "words")
    for part, name in zip(result, names):
        if not isinstance(part, Tensor):
            raise Mistake(f"the {name} must be a tensor, got {type(part).__name__}")
        if part.numel() == beam_size and batch * beam_size != part.numel():
            raise Mistake("the sentences compete with each other: keep beam_size beginnings for "
                          "EACH sentence, topk along dim=1")
        want_tensor(part, (batch, beam_size), f"(batch, beam_size) for the {name}")
    result, right = list(result), step(total, ended, log_p)
    if result[1].is_floating_point() or result[2].is_floating_point():
        raise Mistake("parents and words are row numbers, so whole numbers: divide with //")
    nobody = torch.zeros_like(ended)
    if result[0].isnan().any():
        raise Mistake("the totals hold nan: add logarithms, and hide what has ended with -inf")
    if same(result[0].sort().values[0], total[0].sort().values):
        raise Mistake("everything stands still because one beginning has ended: the open ones go "
                      "on")
    if equal(result, step(total, nobody, log_p)):
        raise Mistake("a beginning that has ended is continued: set its total to -inf first")
    if equal(result, step(torch.zeros_like(total), ended, log_p)):
        raise Mistake("the totals so far are ignored: add them to log_p before you compare")
    if same(result[0], right[0].exp(), 1e-4):
        raise Mistake("these are probabilities: return log-probabilities, the product underflows")
    if equal(result, step(total, ended, log_p, largest=False)):
        raise Mistake("these are the WORST beginnings: take the largest totals")
    open_total = total.masked_fill(ended, float("-inf"))
    one_each = open_total + log_p.amax(2)
    if same(result[0].sort().values, one_each.sort().values, 1e-4):
        raise Mistake("each beginning keeps one child: all children of a sentence must compete, "
                      "so that one may have several")
    if same(result[0], right[0], 1e-4):
        best = right[1] * vocab_size + right[2]
        if same(result[1], right[2], 0) and same(result[2], right[1], 0):
            raise Mistake("parents and words are exchanged")
        if same(result[1], best % vocab_size, 0):
            raise Mistake("a flat number is parent * vocab_size + word: the parent is the quotient")
        if same(result[1], best // beam_size, 0):
            raise Mistake("divided by beam_size: one beginning has vocab_size children")
        if not same(result[1], right[1], 0) and same(result[2], right[2], 0):
            raise Mistake("the parents are wrong: say which beginning, 0 to beam_size - 1, is "
                          "continued, counted anew in each sentence")
        if same(result[1], right[1], 0) and not same(result[2], right[2], 0):
            raise Mistake("the words are wrong: want the number of the word, 0 to vocab_size - 1")
    elif same(result[0].sort().values, right[0].sort().values, 1e-4):
        raise Mistake("the right beginnings, but not the best first: topk sorts them")
    whole = (open_total.unsqueeze(2) + log_p).flatten().topk(batch * beam_size).values
    if same(result[0].flatten(), whole, 1e-4):
        raise Mistake("all sentences share one list, so the result depends on the batch: topk "
                      "along dim=1, after flatten(1)")
    if not equal(result, right):
        raise Mistake("not the best children: add total (batch, beam_size, 1) to log_p, flatten "
                      "the last two axes, topk")
    far = call(answer, total - 2000, ended, log_p)
    if not equal(list(far), step(total - 2000, ended, log_p)):
        raise Mistake("at a total of -2000 the choice breaks: e to that power is 0; add "
                      "logarithms instead of multiplying probabilities")
    alone = call(answer, total[1:], ended[1:], log_p[1:])
    if not equal(list(alone), [part[1:] for part in right]):
        raise Mistake("alone in its batch, a sentence gets another result: keep sentences apart")
    total = torch.tensor([[0.0, float("-inf")]])    # before the first word: one beginning, <bos>
    ended, log_p = torch.zeros(1, 2).bool(), (1.5 * torch.randn(1, 2, 9)).log_softmax(-1)
    if not equal(list(call(answer, total, ended, log_p)), step(total, ended, log_p)):
        raise Mistake("with another beam_size and vocab_size, 2 and 9, the result is wrong: take "
                      "both from log_p.shape, and let a total of -inf stay out")
    return "Children compete within their sentence, by their whole log-probability."


# (probabilities of all sentences up to three words, what a narrow search finds)
WORLDS = [
    ({("<eos>",): 0.22, ("b", "<eos>"): 0.04, ("a", "<eos>"): 0.27, ("a", "b", "<eos>"): 0.25,
      ("a", "b", "b"): 0.22}, ("a", "b", "b")),
    ({("<eos>",): 0.2, ("b", "<eos>"): 0.28, ("b", "a", "<eos>"): 0.26, ("a", "<eos>"): 0.03,
      ("a", "a", "<eos>"): 0.23}, ("a", "a", "<eos>")),
]


def winner(everything: dict, length_penalty: float, sign: int = 1) -> tuple:
    """The sentence with the best log p / length ** length_penalty."""
    return max(everything, key=lambda s: sign * everything[s] / len(s) ** length_penalty)


@exercise("6.4")
def check_beam_test(answer) -> Verdict:
    """Judge a test of (search, everything, length_penalty) that tells correct from broken."""
    judged = {}
    for probabilities, narrow in WORLDS:
        everything = {words: math.log(p) for words, p in probabilities.items()}
        sizes = []

        def sound(beam_size, length_penalty, all_of=everything, found=narrow, sizes=sizes):
            sizes.append(beam_size)
            wide = beam_size >= len(all_of)
            return winner(all_of, length_penalty) if wide else found

        # what a search gets wrong: (search, length penalty at which it must be caught)
        broken = {
            "raw": (lambda k, a, e=everything: winner(e, 0), 1.0),
            "mean": (lambda k, a, e=everything: winner(e, 1), 0.0),
            "narrow": (lambda k, a, n=narrow: n, 1.0),
            "first": (lambda k, a, e=everything: min(e, key=len), 1.0),
            "worst": (lambda k, a, e=everything: winner(e, a, -1), 1.0),
        }
        cases = [(("sound", a), sound, a) for a in (0.0, 1.0)]
        cases += [((name, a), search, a) for name, (search, a) in broken.items()]
        for name, search, length_penalty in cases:
            verdict = call(answer, search, everything, length_penalty)
            if str(getattr(verdict, "dtype", "")).endswith("bool") and verdict.ndim == 0:
                verdict = bool(verdict)
            if not isinstance(verdict, bool):
                raise Mistake(f"return True or False, got {type(verdict).__name__}")
            judged.setdefault(name, []).append(verdict)
        if not sizes:
            raise Mistake("search is never called: ask it for its answer, then judge")
    if all(map(all, judged.values())):
        raise Mistake("every search passes, even one that returns the worst sentence: a test must "
                      "be able to fail")
    sound_ones = [v for (name, _), v in judged.items() if name == "sound"]
    if max(sizes) < len(everything) and not all(map(all, sound_ones)):
        raise Mistake("a correct search fails: its beam is smaller than the search space; give it "
                      "len(everything) places")
    if not any(map(any, judged.values())):
        raise Mistake("no search passes: compare what it returns with one of the sentences of "
                      "everything")
    if any(judged["worst", 1.0]):
        raise Mistake("the worst sentence passes: look for the largest log p, not the smallest")
    if any(judged["raw", 1.0]) or not all(judged["sound", 1.0]):
        raise Mistake("at length_penalty 1 the two sides differ: your best sentence has the best "
                      "raw log p, the search ranks log p / length; use one rule for both")
    if any(judged["mean", 0.0]) or not all(judged["sound", 0.0]):
        raise Mistake("at length_penalty 0 nothing is divided: use length ** length_penalty, the "
                      "number that was given")
    if any(judged["narrow", 1.0]):
        raise Mistake("a search that forgets most beginnings passes: only the best sentence may")
    if any(judged["first", 1.0]):
        raise Mistake("a search that stops at its first <eos> passes: only the best sentence may")
    return "It lets the correct search pass and catches five broken ones."

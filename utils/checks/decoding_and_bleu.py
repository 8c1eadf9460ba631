"""The checks of notebook 06: one beam step, clipped n-grams, corpus BLEU, a test of beam search."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from utils.checks.core import Mistake, call, exercise, holds
from utils.checks.kinds import agree, as_dtype, case
from utils.decoding import beam_step
from utils.metrics import clipped_matches, corpus_bleu, ngram_counts

NEVER = float("-inf")

# ---- 6.1 ----


@exercise("6.1")
def check_beam_step(answer) -> str:
    """The best children of each sentence; totals of -2000; sentences with few children or none."""
    if not callable(answer):
        call(answer)
    p = (3 * torch.randn(2, 3, 5)).log_softmax(-1)
    total = torch.tensor([[-0.2, -1.1, -1.3], [-3.1, -0.9, -3.4]])
    ended = torch.tensor([[True, False, False], [False, False, True]])
    all_ended = torch.tensor([[True, True, True], [False, True, False]])
    start = torch.tensor([[0.0, NEVER], [0.0, NEVER], [0.0, NEVER], [0.0, NEVER]])
    wide, four = (3 * torch.randn(4, 2, 9)).log_softmax(-1), torch.zeros(4, 2).bool()
    few, one = (3 * torch.randn(1, 4, 2)).log_softmax(-1), torch.tensor([[1, 1, 0, 1]]).bool()
    first = case("2 sentences, 3 beginnings, 5 words", total, ended, p)
    agree(comparable(answer), comparable(beam_step), [
        first,
        case("nobody ended", total, torch.zeros_like(ended), p),
        case("one sentence alone in its batch", total[1:], ended[1:], p[1:]),
        case("one beginning for each sentence", total[:, 1:2], ended[:, 1:2], p[:, 1:2]),
        case("the start, where only <bos> is open", start, four, wide,
             hint="a total of -inf stays out"),
        case("totals of -2000", total - 2000, ended, p, hint="e to that power is 0, so add "
             "logarithms; and what has ended gets float('-inf'), no other number"),
        case("totals of -20000", total - 20000, ended, p, hint="what has ended gets -inf: any "
             "other number may be larger than an open total"),
        case("a sentence of which all beginnings have ended", total, all_ended, p,
             hint="it has no children: its new totals are all -inf"),
        case("fewer children than places", few[..., 0] - 1, one, few,
             hint="the places that stay empty have a total of -inf"),
        as_dtype(first, torch.float64, "the first numbers as float64"),
    ], beam_mistakes(), gradients=False, float64=False, axes={
        "totals": ("sentence", "place"), "parents": ("sentence", "place"),
        "words": ("sentence", "place"), "total": ("sentence", ""), "ended": ("sentence", ""),
        "log_p": ("sentence", "", "")},
        advice="Add total (batch, beam_size, 1) to log_p, flatten the last two axes, topk; a flat "
        "number is parent * vocab_size + word")
    return "Children compete within their sentence, by their whole log-probability"


def comparable(step: Callable) -> Callable:
    """A step with what is left open made equal.

    A place without a child has a total of -inf: any parent and word that exist will do there.
    Totals may be float32, as those of the lesson's models are, also where float64 comes in.
    """

    @functools.wraps(step)
    def compared(*given, **named):
        result = step(*given, **named)
        log_p = named["log_p"] if named else given[2]
        is_three = isinstance(result, tuple | list) and len(result) == 3
        if not is_three or not all(isinstance(part, Tensor) for part in result):
            return result
        totals, *places = result
        if totals.dtype == torch.float64:
            totals = totals.float()
        if all(part.shape == totals.shape for part in places):
            empty = totals == NEVER
            places = [part.masked_fill(empty & (part >= 0) & (part < size), 0)
                      for part, size in zip(places, log_p.shape[1:])]
        return totals, *places

    return compared


def children(total: Tensor, ended: Tensor, log_p: Tensor, never: float = NEVER) -> Tensor:
    """The sums of all children, (batch, beam_size, vocab_size)."""
    return total.masked_fill(ended, never).unsqueeze(-1) + log_p


def best_of(sums: Tensor, largest: bool = True) -> tuple:
    """The best of these children, for each sentence."""
    totals, flat = sums.flatten(1).topk(sums.shape[1], largest=largest)
    return totals, flat // sums.shape[2], flat % sums.shape[2]


def beam_mistakes() -> list[tuple[Callable, str]]:
    """A step with one thing wrong, and what to say then."""

    def then(change):
        """The right result, changed: gets totals, parents, words, beam_size, vocab_size."""
        return lambda total, ended, log_p: change(
            *best_of(children(total, ended, log_p)), *log_p.shape[1:])

    def one_list(total, ended, log_p):
        totals, flat = children(total, ended, log_p).flatten().topk(total.numel())
        flat = flat.view_as(total)
        size = log_p.shape[2]
        return totals.view_as(total), flat // size % total.shape[1], flat % size

    def short_list(total, ended, log_p):
        totals, flat = children(total, ended, log_p).flatten().topk(total.shape[1])
        return totals, flat // log_p.shape[2], flat % log_p.shape[2]

    def one_each(total, ended, log_p):
        totals, words = children(total, ended, log_p).max(2)
        totals, parents = totals.sort(1, descending=True)
        return totals, parents, words.gather(1, parents)

    def multiplied(total, ended, log_p):
        totals, *places = best_of(children(total, ended, log_p).exp())
        return totals.log(), *places

    def still(total, ended, log_p):
        totals, *places = best_of(children(total, ended, log_p))
        return torch.where(ended.any(1, keepdim=True), total, totals), *places

    def last_words(total, ended, log_p):
        _, parents, words = best_of(children(total, ended, log_p))
        return log_p.gather(1, parents.unsqueeze(2).expand_as(log_p[:, :total.size(1)])).gather(
            2, words.unsqueeze(2)).squeeze(2), parents, words

    def words_first(total, ended, log_p):
        totals, flat = children(total, ended, log_p).mT.flatten(1).topk(total.size(1))
        return totals, flat // log_p.size(2), flat % log_p.size(2)

    known = [
        *((lambda t, e, p, n=never: best_of(children(t, e, p, n)), "what has ended gets a large "
           "negative number: where the open totals are lower still it wins. Set it to "
           "float('-inf')") for never in (-1e2, -1e3, -1e4, -1e9)),
        (lambda t, e, p: best_of(t.unsqueeze(2) + p.masked_fill(e.unsqueeze(2), 0.0)), "a "
         "beginning that has ended goes on with its own total, as if log_p were 0 for every next "
         "word: it has no children, so its total must become -inf"),
        (lambda t, e, p: best_of((t.unsqueeze(2) * p).masked_fill(e.unsqueeze(2), NEVER)), "total "
         "and log_p are multiplied: logarithms are added"),
        (last_words, "these are the log-probabilities of the last words alone: return the sums"),
        (words_first, "the children are flattened words first, beginnings second: then a flat "
         "number is no longer parent * vocab_size + word. No transpose before the flatten"),
        (lambda t, e, p: best_of(children(t, e & False, p)), "a beginning that has ended is "
         "continued: set its total to -inf first"),
        (lambda t, e, p: best_of(children(t, ~e, p)), "`ended` is turned round: True means that "
         "the beginning has no children"),
        (lambda t, e, p: best_of(children(t, e, p, 0.0)), "what has ended gets a total of 0, the "
         "best there is: set it to -inf"),
        (lambda t, e, p: best_of(children(torch.zeros_like(t), e, p)), "the totals so far are "
         "ignored: add them to log_p before you compare"),
        (lambda t, e, p: best_of(children(-t, e, p)), "the totals so far are subtracted: add them"),
        (lambda t, e, p: best_of(children(t, e, p), largest=False), "these are the WORST "
         "beginnings: take the largest totals"),
        (then(lambda t, a, w, k, v: (t.exp(), a, w)), "these are probabilities: return "
         "log-probabilities, the product underflows"),
        (multiplied, "probabilities are multiplied: e to the power of -2000 is 0. Add logarithms"),
        (still, "everything stands still because one beginning has ended: the open ones go on"),
        (one_each, "each beginning keeps one child: all children of a sentence must compete, so "
         "that one may have several"),
        (one_list, "all sentences share one list, so the result depends on the batch: topk along "
         "dim=1, after flatten(1)"),
        (short_list, "the sentences compete with each other: keep beam_size beginnings for EACH "
         "sentence, topk along dim=1"),
        (then(lambda t, a, w, k, v: (t, w, a)), "parents and words are exchanged"),
        (then(lambda t, a, w, k, v: (t, w, w)), "a flat number is parent * vocab_size + word: the "
         "parent is the quotient, not the remainder"),
        (then(lambda t, a, w, k, v: (t, (a * v + w) // k, w)), "the parents are divided by "
         "beam_size: one beginning has vocab_size children"),
        (then(lambda t, a, w, k, v: (t, (a * v + w) // k, (a * v + w) % k)), "the flat number is "
         "divided by beam_size: one beginning has vocab_size children"),
        (then(lambda t, a, w, k, v: (t, a + k * torch.arange(len(a))[:, None], w)), "the parents "
         "are counted through the whole batch: count them anew in each sentence, from 0"),
        (then(lambda t, a, w, k, v: (t, a, a * v + w)), "the words are flat numbers: want the "
         "number of the word, the remainder by vocab_size"),
        (then(lambda t, a, w, k, v: (t.flip(1), a.flip(1), w.flip(1))), "the right beginnings, but "
         "not the best first: topk sorts them"),
        (then(lambda t, a, w, k, v: (t, a.float(), w)), "the parents are float numbers, which "
         "cannot pick rows: divide with //"),
        (then(lambda t, a, w, k, v: (t, (a * v + w) / v, w)), "the parents are no whole numbers, "
         "so they cannot pick rows: divide with //"),
    ]
    return [(comparable(wrong), words) for wrong, words in known]


# ---- 6.2 ----


@exercise("6.2")
def check_clipped_matches(answer) -> str:
    """Repeated words, longer n-grams, their order and their borders, sentences without any."""

    def of(words: str, hypothesis: str, reference: str, n: int, hint: str = ""):
        return case(f"{words}, n = {n}", hypothesis.split(), reference.split(), n, hint=hint)

    agree(answer, clipped_matches, [
        of("'the the the cat' against 'sat the cat the dog'", "the the the cat",
           "sat the cat the dog", 1),
        of("the same two", "the the the cat", "sat the cat the dog", 2),
        of("'a b c d' against 'b a d c'", "a b c d", "b a d c", 2,
           hint="an n-gram is its words in their order"),
        of("'x y x y x y' against 'x y x y z'", "x y x y x y", "x y x y z", 3,
           hint="what was written is the longer one here: the total counts all of its n-grams"),
        of("'ab c d' against 'a bc d'", "ab c d", "a bc d", 2,
           hint="keep words apart: a tuple does so"),
        of("a short reference with a capital letter", "a b a b c d e", "A b c", 2),
        of("a long n-gram", "a b c d e f a b c d e", "x a b c d e a b c d e", 5),
        of("the whole sentence", "a b c d", "a b c d", 4),
        of("one word", "the", "sat the cat", 3, hint="it has no n-gram so long: 0 and 0"),
        of("nothing written", "", "the cat", 1, hint="nothing written has no n-gram: 0 and 0"),
        of("an empty reference", "the cat", "", 1),
    ], gram_mistakes(), axes={"matches": (), "total": ()}, advice="That is for 'the the the cat' "
        "against 'sat the cat the dog', n = 1")
    return "Repeating a good word no longer pays"


def gram_mistakes() -> list[tuple[Callable, str]]:
    """A way to count that is wrong, and what to say then."""

    def by(cut):
        """Clipped matches of other n-grams."""

        def count(hypothesis, reference, n):
            written, wanted = Counter(cut(hypothesis, n)), Counter(cut(reference, n))
            return (written & wanted).total(), written.total()

        return count

    def grams(words, n):
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

    def unclipped(h, r, n):
        return sum(g in grams(r, n) for g in grams(h, n)), len(grams(h, n))

    missing = "the last n-gram is missing: there are len(tokens) - n + 1 of them"
    return [
        (unclipped, "no clipping: in the first example 'the' stands 2 times in the reference, so "
         "only 2 of 3 may count"),
        (by(lambda t, n: set(grams(t, n))), "this counts different n-grams, as a set: one that "
         "comes twice counts twice"),
        (lambda h, r, n: (len(set(grams(h, n)) & set(grams(r, n))), len(grams(h, n))), "the "
         "matches are a set but the total is not: an n-gram may match as often as the reference "
         "has it"),
        (lambda h, r, n: (clipped_matches(h, r, n)[0], len(ngram_counts(h, n))), "the total counts "
         "DIFFERENT n-grams: one that is written twice counts twice"),
        (lambda h, r, n: (sum(min(ngram_counts(h, n)[g], ngram_counts(r, n)[g])
                              for g in grams(h, n)), len(grams(h, n))), "an n-gram that is written "
         "twice adds its smaller count twice: go over the different n-grams"),
        (lambda h, r, n: clipped_matches(r, h, n), "the total counts the reference: it counts "
         "what was WRITTEN. Are the two swapped?"),
        (lambda h, r, n: (sum(map(tuple.__eq__, grams(h, n), grams(r, n))), len(grams(h, n))),
         "n-grams are compared place by place: one may stand anywhere in the reference"),
        (lambda h, r, n: (sum(a == b for a, b in zip(h, r)), len(h)), "words are compared place "
         "by place; an n-gram may stand anywhere in the reference"),
        (lambda h, r, n: clipped_matches(h, r, 1), "n is not used: compare runs of n "
         "neighbouring words"),
        (lambda h, r, n: (clipped_matches(h, r, n)[0], len(h)), "the total counts words: for n = "
         "2 a sentence has one n-gram fewer than words"),
        (by(lambda t, n: grams(t, n)[:-1]), missing),
        (by(lambda t, n: grams(t[: len(t) - (n > 1)], n)), missing),
        (by(lambda t, n: grams(t, n)[1:]), "the first n-gram is missing: they start at place 0"),
        (by(lambda t, n: [tuple(t[i : i + n]) for i in range(len(t))]), "the end of the sentence "
         "is cut into runs shorter than n: stop n - 1 words earlier"),
        (by(lambda t, n: [tuple(t[i : i + n]) for i in range(0, len(t) - n + 1, n)]), "the "
         "n-grams do not overlap: one starts at each word"),
        (by(lambda t, n: list(itertools.combinations(t, n))), "the words of an n-gram must be "
         "neighbours, in their order"),
        (by(lambda t, n: [g for m in range(1, n + 1) for g in grams(t, m)]), "the shorter n-grams "
         "are counted too: want those of length n only"),
        (by(lambda t, n: [frozenset(g) for g in grams(t, n)]), "'a b' is found in 'b a': an "
         "n-gram is its words in their order"),
        (by(lambda t, n: [tuple(sorted(g)) for g in grams(t, n)]), "'a b' is found in 'b a': an "
         "n-gram is its words in their order"),
        (by(lambda t, n: ["".join(g) for g in grams(t, n)]), "joined without a space, 'ab c' "
         "equals 'a bc': keep the words apart, a tuple does so"),
        (lambda h, r, n: clipped_matches(h, r, n)[::-1], "the two numbers are exchanged: matches "
         "first, then the total"),
        (lambda h, r, n: clipped_matches(h, r, n)[0], "return two numbers, matches and total: a "
         "corpus adds up both, and divides once"),
        (lambda h, r, n: (lambda a, b: a / b if b else 0.0)(*clipped_matches(h, r, n)), "this is "
         "the share: return two numbers, matches and total. A corpus adds up both, divides once"),
        (lambda h, r, n: ((ngram_counts(h, n) | ngram_counts(r, n)).total(), len(grams(h, n))),
         "it takes the larger of the two counts: want the smaller"),
    ]


# ---- 6.3 ----


def split_all(*sentences: str) -> list[list[str]]:
    """The words of each sentence."""
    return [sentence.split() for sentence in sentences]


REFERENCES = split_all("a b c d e f g h i", "k l m n o p q", "r s t u v w x y z a b c")
SHORT = split_all("a b c d e x g", "k l m n o", "s t u v w x r y z a")
LONG = split_all("a b c d e f g h h i", "j k l m n o p q", "r s t u v w x y z a b c c")
# one sentence too short, one too long: who weighs sentence by sentence gets something else
MIXED = split_all("a b c d e", "k l m n o p q x y", "r s t u v w x y z")


@exercise("6.3")
def check_corpus_bleu(answer) -> str:
    """Short, long, mixed and empty sentences; orders without a match or without an n-gram."""
    said = "smoothing has to be said aloud"
    agree(answer, plain_bleu, [
        case("hypotheses shorter than the references", SHORT, REFERENCES),
        case("hypotheses longer than the references", LONG, REFERENCES),
        case("some shorter, some longer", MIXED, REFERENCES, hint="the lengths c and r are those "
             "of the whole corpus: a long sentence makes up for a short one"),
        case("words that come again and again", split_all("a b c d a b c d a b c d"),
             split_all("a b c d e f g h"), hint="clip the counts in each sentence"),
        case("equal sentences", REFERENCES, REFERENCES),
        case("as many words, and one of them wrong", split_all("a b c d e f x h"),
             split_all("a b c d e f g h")),
        case("two words exchanged", split_all("a b c d e g f"), split_all("a b c d e f g"),
             hint="an n-gram is its words in their order"),
        case("a sentence of two words among others", [*SHORT, ["u", "v"]],
             [*REFERENCES, ["u", "w"]], hint="a sentence without a match adds 0 to the counts; "
             "only the sums are divided"),
        case("an empty sentence among others", [*SHORT, []], [*REFERENCES, ["u", "w"]],
             hint="a sentence without n-grams adds 0 to the counts"),
        case("no run of four that matches", split_all("a b c x d e f y"), split_all(
            "a b c d e f g"), hint=f"the score is 0 then; {said}"),
        case("no run of three that matches", split_all("a b x c d"), split_all("a b c d"),
             hint=f"the score is 0 then; {said}"),
        case("two words, written rightly", [["a", "b"]], [["a", "b"]],
             hint="two words hold no run of four, so there is no match: the score is 0"),
        case("nothing written at all", [[], []], split_all("a b", "c"),
             hint="no order has a match: the score is 0, before anything is divided"),
        case("no word that matches", split_all("x y x y x"), split_all("a b c d e")),
    ], bleu_mistakes(), axes={"the score": ()}, advice="Want the brevity penalty times the "
        "geometric mean of the four clipped precisions, times 100")
    return "The corpus is counted as one long text"


def plain_bleu(hypotheses, references) -> float:
    """Corpus BLEU without smoothing."""
    return corpus_bleu(hypotheses, references, smooth=False)


def penalty(written: int, wanted: int) -> float:
    """The logarithm of the brevity penalty."""
    return min(0.0, 1 - wanted / written)


def bleu_mistakes() -> list[tuple[Callable, str]]:
    """A score with one thing wrong, and what to say then."""

    def score(h, r, brevity=penalty, weights=(0.25,) * 4, mean=None, count=clipped_matches):
        pairs = [[count(a, b, n + 1) for a, b in zip(h, r)] for n in range(len(weights))]
        sums = [tuple(map(sum, zip(*order))) for order in pairs]
        if not all(matches for matches, _ in sums):
            return 0.0
        shares = [matches / total for matches, total in sums]
        precision = mean(shares, pairs) if mean else math.exp(
            sum(w * math.log(share) for w, share in zip(weights, shares)))
        return 100 * math.exp(brevity(sum(map(len, h)), sum(map(len, r)))) * precision

    def wrong(**parts):
        return lambda h, r: score(h, r, **parts)

    def unclipped(a, b, n):
        wanted = ngram_counts(b, n)
        return sum(c for g, c in ngram_counts(a, n).items() if g in wanted), max(len(a) - n + 1, 0)

    def in_any_order(a, b, n):
        written, wanted = (Counter(tuple(sorted(t[i : i + n])) for i in range(len(t) - n + 1))
                           for t in (a, b))
        return (written & wanted).total(), written.total()

    def by_sentence(shares, pairs):
        each = [[a / b if b else 0.0 for a, b in order] for order in pairs]
        return math.prod(sum(order) / len(order) for order in each) ** 0.25

    def of_sentences(h, r):
        penalties = [math.exp(penalty(len(a), len(b))) for a, b in zip(h, r)]
        whole = score(h, r, brevity=lambda c, r: 0.0)
        return whole * sum(penalties) / len(penalties)

    def added(extra):
        def mean(shares, pairs):
            sums = [tuple(map(sum, zip(*order))) for order in pairs]
            return math.prod((a + extra) / (b + extra) for a, b in sums) ** 0.25

        return mean

    secret = "something is added to the counts in secret; smoothing has to be said aloud"
    return [
        (lambda h, r: sum(score([a], [b]) for a, b in zip(h, r)) / len(h), "this is the mean of "
         "the sentences' scores: add up the counts of all sentences, divide once"),
        (wrong(weights=(0.5, 0.25, 0.125, 0.0625)), "the four orders weigh 1/2, 1/4, 1/8, 1/16; "
         "each has the weight 1/4"),
        (wrong(brevity=lambda c, r: 0.0), "what is too short costs nothing: the brevity penalty "
         "is exp(1 - r/c), where c < r"),
        (wrong(brevity=lambda c, r: min(0.0, 1 - c / r)), "c and r are exchanged in the brevity "
         "penalty: it falls on what is too long. Want exp(1 - r/c), where c < r"),
        (wrong(brevity=lambda c, r: 1 - c / r), "the brevity penalty is upside down: want "
         "exp(1 - reference length / written length)"),
        (wrong(brevity=lambda c, r: 1 - c / r if c < r else 0.0), "the brevity penalty is upside "
         "down and pays for what is too short: want exp(1 - r/c)"),
        (wrong(brevity=lambda c, r: r / c - 1), "the brevity penalty has the wrong sign: too "
         "short must cost, here it pays"),
        (wrong(brevity=lambda c, r: max(0.0, r / c - 1)), "the brevity penalty has the wrong "
         "sign: too short must cost, here it pays"),
        (wrong(brevity=lambda c, r: 1 - r / c), "what is longer than the reference gets a bonus: "
         "the penalty is at most 1"),
        *((wrong(brevity=lambda c, r, long=long: 1 - r / c if c < r else long(c, r)), "the length "
           "penalty also falls on what is too long; the precisions do that")
          for long in (lambda c, r: 1 - c / r, lambda c, r: r / c - 1)),
        (wrong(brevity=lambda c, r: min(math.log(c / r), 0.0)), "the brevity penalty is c/r: want "
         "exp(1 - r/c)"),
        (of_sentences, "each sentence has a brevity penalty of its own: want one, from all words "
         "of the corpus"),
        (wrong(mean=lambda shares, pairs: sum(shares) / 4), "this is the arithmetic mean of the "
         "precisions; want the geometric one, by logarithms"),
        (wrong(mean=by_sentence), "the precisions are averaged over sentences: add up matches and "
         "totals first"),
        (lambda h, r: score(r, h), "hypotheses and references are swapped"),
        (lambda h, r: score(h, r) / 100, "this is right on a scale of 0 to 1; want 0 to 100"),
        (wrong(weights=(1.0,)), "only single words are counted; use the orders 1, 2, 3 and 4"),
        (wrong(weights=(0.5,) * 2), "only the orders 1 and 2 are counted; use 1, 2, 3 and 4"),
        (wrong(weights=(1 / 3,) * 3), "only the orders 1 to 3 are counted; use 1, 2, 3 and 4"),
        (wrong(weights=(0.2,) * 5), "the order 5 is counted too; use 1, 2, 3 and 4"),
        (wrong(weights=(1.0,) * 4), "the precisions are multiplied but no root is taken: each "
         "weighs 1/4 in the exponent"),
        (wrong(weights=(0.25 / math.log(2),) * 4), "log2 and exp do not undo each other: use "
         "math.log"),
        (wrong(count=unclipped), "the matches are not clipped: an n-gram counts at most as often "
         "as its reference has it"),
        (wrong(count=in_any_order), "'a b' is found in 'b a': an n-gram is its words in their "
         "order"),
        (lambda h, r: score(*([list(itertools.chain(*words))] for words in (h, r))),
         "the sentences are glued together: n-grams must not reach over the end of a sentence, nor "
         "match in another one"),
        (lambda h, r: round(score(h, r)), "the score is rounded: return it as it is"),
        (lambda h, r: round(score(h, r), 1), "the score is rounded: return it as it is"),
        (lambda h, r: round(score(h, r), 2), "the score is rounded: return it as it is"),
        (corpus_bleu, secret),
        *((wrong(mean=added(extra)), secret) for extra in (1, 0.5, 0.1)),
    ]


# ---- 6.4 ----

NARROW = "a search that loses the best sentence in its widest beam alone"
# what a search gets wrong: a function of (everything, the best at this penalty, length_penalty)
SEARCHES: dict[str, Callable] = {
    "a correct search": lambda all_of, alpha: ranked(all_of, alpha)[0],
    "a search that returns the worst sentence": lambda all_of, alpha: ranked(all_of, alpha)[-1],
    "a search that stops at its first <eos>": lambda all_of, alpha: min(all_of, key=len),
    NARROW: lambda all_of, alpha: ranked(all_of, alpha)[1],
    "a search that ranks by raw log p": lambda all_of, alpha: ranked(all_of, 0.0)[0],
    "a search that always divides by the length": lambda all_of, alpha: ranked(all_of, 1.0)[0],
}
# log p of sentences; with each penalty another one is the best, and another one comes second
WORLDS = (
    {"a b <eos>": -2.95, "<eos>": -1.5, "b <eos>": -2.05, "a <eos>": -2.0, "b a <eos>": -2.9,
     "a b b": -4.8, "a a b b": -4.25, "b b a b": -4.2},
    {"x y z <eos>": -4.9, "y <eos>": -2.06, "x <eos>": -2.05, "<eos>": -2.2, "z <eos>": -3.9,
     "z x <eos>": -2.8, "z y <eos>": -2.81, "y y <eos>": -6.0, "y x z z": -4.12,
     "y x z <eos>": -4.1, "y x x z": -4.4, "y z x <eos>": -4.3},
)
PENALTIES = (1.0, 0.0, 0.5, 2.0)
# with a penalty of 2 the second best is the beginning of the best
BEGUN = {"b a b <eos>": -3.9, "b a b": -2.2, "a <eos>": -1.44, "<eos>": -1.6,
         "b <eos>": -2.3}


def ranked(everything: dict, length_penalty: float) -> list[tuple]:
    """All sentences, the best log p / length ** length_penalty first."""
    return sorted(everything, key=lambda s: everything[s] / len(s) ** length_penalty, reverse=True)


def finds_the_best(search, everything, length_penalty) -> bool:
    """True if the search finds the best of all sentences."""
    return search(len(everything), length_penalty) == ranked(everything, length_penalty)[0]


@exercise("6.4")
def check_beam_test(answer) -> str:
    """One correct search and five broken ones, among few sentences and more."""
    sizes = []

    def made(all_of, rule):
        def search(beam_size, length_penalty):
            sizes.append(beam_size)
            first, second, *_ = ranked(all_of, length_penalty)
            found = rule(all_of, length_penalty)
            if rule is SEARCHES[NARROW] and beam_size < len(all_of):
                return first
            return second if found == first and beam_size < len(all_of) else found

        return search

    few, more, begun = ({tuple(text.split()): p for text, p in world.items()}
                        for world in (*WORLDS, BEGUN))
    verdict = call(answer, made(few, SEARCHES["a correct search"]), few, 1.0)
    if not sizes:
        raise Mistake("`search` is never called: want it asked for its answer, then judged")
    if max(sizes) < len(few) and holds(verdict) is False:
        raise Mistake(f"a correct search fails: its beam of {max(sizes)} is smaller than the "
                      f"search space of {len(few)} sentences; give it len(everything) places")
    agree(answer, finds_the_best, [
        case(f"{words} among {len(world)} sentences, length_penalty {alpha:g}",
             made(world, rule), world, alpha,
             hint="has its beam len(everything) places?" if "correct" in words else
             "ask once, with len(everything) places, and let no sentence but the best one pass")
        for world, alpha, (words, rule) in [
            *itertools.product((few, more), PENALTIES, SEARCHES.items()),
            *itertools.product([begun], [2.0], SEARCHES.items())]
    ], verdict_mistakes(), axes={"the verdict": ()}, advice="That is for a correct search, which "
        "must pass")
    return "It lets the correct search pass and catches five broken ones"


def verdict_mistakes() -> list[tuple[Callable, str]]:
    """A test with one thing wrong, and what to say then."""

    def judge(rank=lambda p, n, a: p / n**a, penalty=lambda a: a, compare=None):
        def test(search, everything, length_penalty):
            found = search(len(everything), penalty(length_penalty))
            best = max(everything, key=lambda s: rank(everything[s], len(s), length_penalty))
            return compare(everything, found, best) if compare else found == best

        return test

    return [
        (lambda *given: True, "every search passes, even one that returns the worst sentence: a "
         "test must be able to fail"),
        (lambda *given: False, "no search passes: compare what it returns with one of the "
         "sentences of everything"),
        (judge(rank=lambda p, n, a: p), "your best sentence has the best raw log p, but the "
         "search ranks log p / length ** length_penalty: use one rule for both"),
        (judge(rank=lambda p, n, a: p / n), "your best sentence is that of log p / length, "
         "whatever length_penalty is: use length ** length_penalty"),
        (judge(rank=lambda p, n, a: p * n**a), "log p is multiplied by the power of the length: "
         "divide, log p / length ** length_penalty"),
        (judge(rank=lambda p, n, a: p / max(n - 1, 1)**a), "the length leaves <eos> out: the "
         "search counts all words of the tuple, len(words)"),
        (lambda search, e, a: any(search(n, a) == ranked(e, a)[0] for n in range(1, len(e) + 1)),
         "a search passes if any beam finds the best sentence: the one with len(everything) places "
         "must find it"),
        (judge(rank=lambda p, n, a: p / n * a), "log p is divided by the length and multiplied by "
         "length_penalty: it is an exponent, length ** length_penalty"),
        (judge(rank=lambda p, n, a: -p / n**a), "the worst sentence passes: look for the largest "
         "log p, not the smallest"),
        (judge(penalty=lambda a: 0.0), "the search is asked with length_penalty 0, whatever was "
         "given: hand length_penalty on"),
        (judge(penalty=lambda a: 1.0), "the search is asked with length_penalty 1, whatever was "
         "given: hand length_penalty on"),
        (judge(compare=lambda e, found, best: len(found) == len(best)), "a sentence of the right "
         "length passes: only the best sentence may"),
        (judge(compare=lambda e, found, best: found[0] == best[0]), "a sentence with the right "
         "first word passes: only the best sentence may"),
        (judge(compare=lambda e, found, best: all(a == b for a, b in zip(found, best))), "the "
         "beginning of the best sentence passes: the lengths must be equal, too (zip stops at the "
         "shorter one)"),
        (judge(compare=lambda e, found, best: found != best), "the verdict is turned round: "
         "want True if the search finds the best sentence"),
        (judge(compare=lambda e, found, best: found in e), "a search passes with any sentence of "
         "`everything`: only the best one may"),
    ]

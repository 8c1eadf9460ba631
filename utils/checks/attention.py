"""The checks of notebook 05: masked softmax, one step, alignment, additive score, one look."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.attention import masked_softmax
from utils.checks.core import exercise
from utils.checks.kinds import Case, Trial, agree, as_list, case
from utils.checks.results import difference
from utils.metrics import alignment_error

INF = float("inf")
AXES = {"weights": ("sentence", "query", "key"), "scores": ("sentence", "query", "key"),
        "mask": ("sentence", "", "")}


def hides(*lengths: int) -> Tensor:
    """A mask (batch, 1, src_len) that shows so many words of each sentence."""
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).unsqueeze(1)


def filled(scores: Tensor, mask: Tensor, value: float = -INF, dim: int = -1) -> Tensor:
    """Softmax of scores that hold a value where nobody may look."""
    return scores.masked_fill(~mask, value).softmax(dim)


def first_mask(mask: Tensor) -> Tensor:
    """The mask of the first sentence, for all."""
    return mask[:1].expand_as(mask)


def strongest(scores: Tensor, mask: Tensor) -> Tensor:
    """All the weight on the word with the highest score."""
    return F.one_hot(masked_softmax(scores, mask).argmax(-1), scores.size(-1)).to(scores)


def renormed(scores: Tensor, mask: Tensor) -> Tensor:
    """Masked after the softmax, and made to sum to 1 again."""
    weights = scores.softmax(-1) * mask
    return weights / weights.sum(-1, keepdim=True)


UPSIDE_DOWN = "the mask is upside down: True means may look, so fill where it is False"
TOO_WEAK = ("a large negative number is no mask: where all scores are lower still it wins. Fill "
            "with float('-inf')")
HIDDEN = "a sentence in which all is hidden gets weight on its padding: let such a row be all 0"
LATE = ("masked after the softmax and divided again: where a hidden word has a high score, it has "
        "taken all the weight before. Hide it before the softmax")
# (weights from scores and mask, what to say), for whoever turns scores into weights
SHARED: list[tuple[Callable, str]] = [
    (lambda s, m: s.softmax(-1), "the mask has no effect on the weights"),
    (lambda s, m: s.softmax(-1) * m, "masked after the softmax: rows no longer sum to 1"),
    (renormed, LATE),
    (lambda s, m: renormed(s, m).nan_to_num(), LATE),
    (lambda s, m: filled(s, m), "a row in which all is hidden is nan (0/0): fill the hidden "
     "weights with 0 as well"),
    (lambda s, m: filled(s, m, torch.finfo(s.dtype).min), HIDDEN),
    (lambda s, m: filled(s, m, -1e9), HIDDEN),
    (lambda s, m: torch.zeros_like(s), "all weights are 0. Does nan_to_num hide nan, from 0 · inf? "
     "masked_fill(~mask, float('-inf')) does not multiply"),
    (strongest, "all the weight lies on the strongest word: want the shares of the softmax"),
    (lambda s, m: strongest(s, m) * m, "all the weight lies on the strongest word: want the shares "
     "of the softmax"),
    (lambda s, m: (s * m).softmax(-1), "a score of 0 is no mask, e^0 = 1: fill with -inf"),
    (lambda s, m: (s * m).softmax(-1) * m, "a score of 0 is no mask, e^0 = 1, and the mask after "
     "the softmax leaves rows that do not sum to 1: fill with -inf"),
    (lambda s, m: filled(s, m, -INF, 1), "softmax over the queries, not the keys: want axis -1"),
    (lambda s, m: s.softmax(1) * m, "softmax over the queries, and the mask after it (or nan set "
     "to 0): want axis -1"),
    (lambda s, m: filled(s, m, -INF, 0), "softmax over the BATCH, not the keys: want axis -1"),
    (lambda s, m: masked_softmax(s, ~m), UPSIDE_DOWN),
    (lambda s, m: filled(s, ~m), UPSIDE_DOWN),
    (lambda s, m: masked_softmax(s, first_mask(m)), "the mask of the FIRST sentence serves all: "
     "each has its own"),
    (lambda s, m: s.masked_fill(~m, -INF), "these are scores: take the softmax"),
    (lambda s, m: filled(s, m).log(), "these are logarithms of weights: want the softmax itself"),
    (lambda s, m: masked_softmax(s, m).log(), "these are logarithms of weights: want the softmax "
     "itself"),
    (lambda s, m: s.sigmoid() * m, "a sigmoid stands in place of the softmax: rows do not sum "
     "to 1"),
    *((lambda s, m, v=value: filled(s, m, v), TOO_WEAK) for value in (-10, -30, -100, -1e3, -1e4)),
    *((lambda s, m, v=value: filled(s, m, v) * m, TOO_WEAK)
      for value in (-10, -30, -100, -1e3, -1e4)),
]


# ---- 5.1 ----


@exercise("5.1")
def check_masked_softmax(answer) -> str:
    """Padding, other sizes, one word, large and small scores, a row in which all is hidden."""
    hidden_high = torch.zeros(2, 2, 3)
    hidden_high[1, :, 2] = 200
    tame = 3 * torch.randn(2, 5, 7)
    agree(answer, masked_softmax, [
        case("7 and 4 words", tame, hides(7, 4)),
        case("other sizes", torch.randn(3, 4, 4), hides(2, 4, 3)),
        case("one sentence, one query", torch.randn(1, 1, 3), hides(3)),
        case("one word in all", torch.randn(1, 1, 1), hides(1), hint="keep all axes"),
        case("scores up to 200", 200 * torch.rand(2, 4, 3), hides(2, 3), gradients=False,
             hint="hide before the softmax, else a hidden word takes all the weight; and use "
             "torch's softmax, which subtracts the largest score, so that no exp() overflows"),
        case("a hidden word with a score of 200", hidden_high, hides(3, 2), gradients=False,
             hint="hide it before the softmax"),
        case("scores around -20,000", tame.double() - 20_000, hides(7, 4), hint=TOO_WEAK),
        case("a sentence in which all is hidden", tame, hides(0, 7), gradients=False,
             hint="such a row is 0/0 = nan after the softmax, and must be all 0"),
    ], [*SHARED, *softmax_mistakes()], axes=AXES | {"scores": ("sentence", "query", "")},
        advice="Want the softmax of what may be seen, along the last axis")
    return "Padding gets 0, rows sum to 1, and an empty row stays finite."


def softmax_mistakes() -> list[tuple[Callable, str]]:
    """Masked softmaxes with one thing wrong, and what to say then."""

    def of_queries(mask, scores):
        return mask[:, 0, :scores.size(1)].unsqueeze(2)

    nan = "the mask hides queries, so whole rows are nan: it must hide keys"
    return [
        (lambda s, m: filled(s, m).nan_to_num(1 / s.size(-1)), HIDDEN),
        (lambda s, m: filled(s, of_queries(m, s)), nan),
        (lambda s, m: masked_softmax(s, of_queries(m, s)), "the mask hides queries, so whole rows "
         "are 0: it must hide keys"),
        (lambda s, m: filled(s, of_queries(m, s), -1e4), "the mask hides queries, and padding "
         "still gets weight: it must hide keys"),
        (lambda s, m: filled(s, of_queries(m, s), -1e9), "the mask hides queries, and padding "
         "still gets weight: it must hide keys"),
    ]


# ---- 5.2 and 5.5: their texts leave open whether scores are divided ----


def by_root(queries: Tensor, keys: Tensor) -> Tensor:
    """Dot products divided by the root of the width."""
    return queries @ keys.mT / queries.size(-1) ** 0.5


def by_nothing(queries: Tensor, keys: Tensor) -> Tensor:
    """Dot products as they are."""
    return queries @ keys.mT


def agree_scaled(answer, right: Callable, cases: Sequence[Case], mistakes: Callable, **options):
    """`agree` for either score; right and mistakes are made from a score function."""
    truths = right(by_root), right(by_nothing)
    got = as_list(Trial(answer, truths[0], {}, None).ask(cases[0]))
    alike = [sum(not difference(g, w, ["one"], {}) for g, w in zip(got, truth(*cases[0].args)))
             for truth in truths]
    wrong = [*mistakes(by_root), *mistakes(by_nothing)]
    agree(answer, truths[alike[1] > alike[0]], cases, wrong, **options)


def far_off(query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
    """A memory whose scores with a query (batch, 1, d) are near -1e5, and 1e5 where hidden."""
    return memory + (1e5 - 2e5 * mask.mT) * query / query.square().sum(-1, keepdim=True)


def by_length(queries: Tensor, keys: Tensor) -> Tensor:
    """Dot products divided by the root of the number of keys."""
    return queries @ keys.mT / keys.size(1) ** 0.5


BY_LENGTH = ("the scores are divided by the root of a LENGTH, axis 1: divide by that of the width, "
             "axis -1, or by nothing")
BY_WIDTH = "the scores are divided by the width: divide by its root, or by nothing"
FAR_OFF = ("hide with -inf before the softmax: a hidden word has the highest score here, and what "
           "may be seen has scores far below 0")


@exercise("5.2")
def check_attention_step(answer) -> str:
    """Order, query, mix, mask; sizes; one sentence; scores far from 0."""

    def step_case(words: str, d_model: int, *lengths: int, far: bool = False, hint: str = "",
                  gradients: bool = True):
        dtype = torch.float64 if far else torch.float32
        cell = nn.GRUCell(d_model, d_model, dtype=dtype)
        combine = nn.Linear(2 * d_model, d_model, dtype=dtype)
        embedded, state = torch.randn(2, len(lengths), d_model, dtype=dtype)
        mask = hides(*lengths)
        memory = torch.randn(len(lengths), mask.size(-1), d_model, dtype=dtype)
        if far:
            with torch.no_grad():
                memory = far_off(cell(embedded, state).unsqueeze(1), memory, mask)
                combine.weight.mul_(1e-5)
        return case(words, embedded, state, memory, mask, cell, combine, hint=hint,
                    gradients=gradients and not far)

    agree_scaled(answer, right_step, [
        step_case("7 and 4 words", 4, 7, 4),
        step_case("other sizes", 9, 3, 1, 2),
        step_case("one sentence", 3, 4, hint="squeeze axis 1 alone"),
        step_case("a sentence in which all is hidden", 4, 7, 0, gradients=False, hint="such a "
                  "sentence has weights of 0: masked_softmax gives them"),
        step_case("scores of 100,000 on both sides of 0", 6, 2, 5, far=True, hint=FAR_OFF),
    ], step_mistakes, axes={
        "mixed": ("sentence", "feature"), "new_state": ("sentence", "feature"),
        "embedded": ("sentence", ""), "state": ("sentence", ""), "memory": ("sentence", "", ""),
        "src_mask": ("sentence", "", ""),
    }, advice="Want tanh(combine([context; new state])) and the new state, cell(embedded, state)")
    return "First the step, then the look back, then the mix."


def right_step(score: Callable) -> Callable:
    """The step that is asked for, with this score."""
    def step(embedded, state, memory, src_mask, cell, combine):
        new = cell(embedded, state)
        weights = masked_softmax(score(new.unsqueeze(1), memory), src_mask)
        context = (weights @ memory).squeeze(1)
        return combine(torch.cat([context, new], dim=-1)).tanh(), new
    return step


def step_mistakes(score: Callable) -> list[tuple[Callable, str]]:
    """Steps with one thing wrong, and what to say then."""

    def step(change: Callable, share: Callable = masked_softmax) -> Callable:
        """change: gets the new state, the old one, at(query), the look, and mix(first, second)."""
        def wrong(embedded, state, memory, src_mask, cell, combine):
            def look(query):
                weights = share(score(query.unsqueeze(1), memory), src_mask)
                return (weights @ memory).squeeze(1)

            def mix(*parts, squash=torch.tanh):
                return squash(combine(torch.cat(parts, dim=-1)))

            return change(cell(embedded, state), state, look, mix)
        return wrong

    def given(change: Callable) -> Callable:
        """The right step for changed arguments."""
        return lambda *args: right_step(score)(*change(*args))

    known = [
        (lambda n, o, at, mix: (mix(at(o), n), n), "the OLD state asks (Bahdanau's order): step "
         "first"),
        (lambda n, o, at, mix: (mix(at(o), o), n), "the old state asks and is mixed: step first"),
        (lambda n, o, at, mix: (mix(at(n), o), n), "the context is mixed with the OLD state"),
        (lambda n, o, at, mix: (mix(n, at(n)), n), "[state; context] in place of [context; state]"),
        (lambda n, o, at, mix: ((at(n) + n).tanh(), n), "context and state are added, not side by "
         "side"),
        (lambda n, o, at, mix: (mix(at(n), n, squash=torch.clone), n), "tanh is missing"),
        (lambda n, o, at, mix: (at(n), n), "this is the context alone: the new state must take "
         "part"),
        (lambda n, o, at, mix: (n, n), "this is the state alone: the attention has no effect"),
        (lambda n, o, at, mix: (mix(n, n), n), "the new state is mixed with itself, without the "
         "context"),
        (lambda n, o, at, mix: (mix(at(n), n), o), "the state that goes on is the old one: the GRU "
         "cell must take its step"),
        (lambda n, o, at, mix: (mix(at(n), n),) * 2, "the mixed vector is handed on as the state: "
         "the GRU's own state goes on"),
        (lambda n, o, at, mix: (mix(at(n), n), at(n)), "the context is handed on as the state: the "
         "GRU's own state goes on"),
        (lambda n, o, at, mix: (n, mix(at(n), n)), "the two results are exchanged: the mixed "
         "vector comes first"),
        (lambda n, o, at, mix: (mix(at(o), o), o), "the GRU cell takes no step"),
        (lambda n, o, at, mix: mix(at(n), n), "return two tensors: the new state is missing"),
    ]
    return [
        *((step(lambda n, o, look, mix: (mix(look(n), n), n), share), words)
          for share, words in SHARED),
        *((step(change), words) for change, words in known),
        (lambda e, s, m, k, cell, mix: right_step(lambda q, m: by_root(q, m) / q.size(-1) ** 0.5)(
            e, s, m, k, cell, mix), BY_WIDTH),
        (lambda e, s, m, k, cell, mix: right_step(by_length)(e, s, m, k, cell, mix), BY_LENGTH),
        (lambda e, s, m, k, cell, mix: (right_step(score)(e, s, m, k, cell, mix)[0],
         cell(e, cell(e, s))), "the cell takes a second step for the state that is returned: "
         "return the first one's"),
        (given(lambda e, s, *rest: (s, e, *rest)), "embedded and state are exchanged: want "
         "cell(embedded, state)"),
        (given(lambda e, s, *rest: (e, torch.zeros_like(s), *rest)), "the GRU cell starts from "
         "zeros: want cell(embedded, state)"),
        (given(lambda e, s, m, k, *rest: (
            e, s, m.mean(1, keepdim=True), torch.ones_like(k[:, :, :1]), *rest)),
         "the context is the mean of all states: want the weights of the look"),
    ]


@exercise("5.5")
def check_one_look(answer) -> str:
    """Mask, axis, order, scale; one query; one sentence; scores far from 0."""

    def look_case(words: str, d: int, tgt_len: int, *lengths: int, far: bool = False, hint="",
                  gradients: bool = True):
        dtype, mask = torch.float64 if far else torch.float32, hides(*lengths)
        queries = torch.randn(len(lengths), tgt_len, d, dtype=dtype)
        memory = torch.randn(len(lengths), mask.size(-1), d, dtype=dtype)
        memory = far_off(queries, memory, mask) if far else memory
        return case(words, queries, memory, mask, hint=hint, gradients=gradients and not far)

    agree_scaled(answer, right_look, [
        look_case("7 and 4 words", 4, 5, 7, 4),
        look_case("other sizes", 9, 3, 3, 1, 2),
        look_case("one query for one sentence", 5, 1, 3, hint="keep all axes"),
        look_case("a sentence in which all is hidden", 4, 5, 7, 0, gradients=False, hint="such a "
                  "row gets weights of 0, not nan"),
        look_case("scores of 100,000 on both sides of 0", 6, 1, 2, 5, far=True, hint=FAR_OFF),
    ], look_mistakes, axes={
        "context": ("sentence", "query", "feature"), "weights": AXES["weights"],
        "queries": ("sentence", "query", ""), "memory": ("sentence", "", ""), "mask": AXES["mask"],
    }, advice="Weights are the softmax of query · state over what may be seen (divided by the "
        "root of the width, or by nothing), the context is weights @ memory")
    return "That is attention: score, hide, share, mix."


def right_look(score: Callable) -> Callable:
    """The look that is asked for, with this score."""
    def look(queries, memory, mask):
        weights = masked_softmax(score(queries, memory), mask)
        return weights @ memory, weights
    return look


def look_mistakes(score: Callable) -> list[tuple[Callable, str]]:
    """Looks with one thing wrong, and what to say then."""

    def look(share: Callable, change: Callable = lambda c, w, s, m: (c, w)) -> Callable:
        """change: gets context, weights, scores and memory."""
        def wrong(queries, memory, mask):
            scores = score(queries, memory)
            weights = share(scores, mask)
            return change(weights @ memory, weights, scores, memory)
        return wrong

    def right(change: Callable) -> Callable:
        return look(masked_softmax, change)

    def mixed(inside: Callable, shown: Callable) -> Callable:
        """One kind of weights for the context, another one as a result."""
        return lambda q, m, k: (inside(score(q, m), k) @ m, shown(score(q, m), k))

    def unmasked(scores, mask):
        return scores.softmax(-1)

    return [
        *((look(share), words) for share, words in SHARED),
        (mixed(lambda s, m: filled(s, ~m), lambda s, m: masked_softmax(s, ~m)), UPSIDE_DOWN),
        (lambda q, m, k: right_look(by_root)(q / q.size(-1) ** 0.5, m, k), BY_WIDTH),
        (lambda q, m, k: right_look(by_length)(q, m, k), BY_LENGTH),
        (lambda q, m, k: right_look(by_nothing)(q / q.size(1) ** 0.5, m, k), BY_LENGTH),
        (mixed(masked_softmax, filled), "the weights that are returned are nan where all is "
         "hidden: fill them with 0 before you return them, too"),
        (mixed(strongest, masked_softmax), "the context is the strongest state alone: mix all "
         "states, weights @ memory"),
        (right(lambda c, w, s, m: (w, c)), "the two are exchanged: the context comes first, then "
         "the weights"),
        (right(lambda c, w, s, m: c), "return two tensors: the weights are missing"),
        (right(lambda c, w, s, m: w), "return two tensors: the context is missing"),
        (right(lambda c, w, s, m: (c, s)), "the second result is the scores: return the weights"),
        (mixed(masked_softmax, lambda s, m: s.masked_fill(~m, -INF)), "these are scores, where the "
         "weights are wanted: take the softmax"),
        (mixed(unmasked, masked_softmax), "the weights are right, but the context is mixed with "
         "weights from before the mask"),
        (mixed(masked_softmax, unmasked), "the context is right, but the weights are those from "
         "before the mask"),
        (right(lambda c, w, s, m: (m.mean(1, keepdim=True).expand_as(c), w)), "the context is the "
         "mean of all states: want weights @ memory"),
    ]


# ---- 5.3 ----


def made_weights(chosen: list[list[int]], src_lens: list[int], width: int) -> list[Tensor]:
    """For each sentence weights (tgt_len, width) whose rows are largest at the chosen words."""
    weights = []
    for columns, src_len in zip(chosen, src_lens):
        rows = torch.rand(len(columns), width) / 4
        rows[:, src_len:] = 0.0    # padding
        rows[torch.arange(len(columns)), columns] = 0.3
        weights.append(rows / rows.sum(-1, keepdim=True))
    return weights


def many_sentences(n: int) -> tuple[list[Tensor], list[set]]:
    """Weights and pairs; the largest weight lies on a partner in about half of the cases."""
    lengths = torch.randint(5, 10, (n,)).tolist()
    chosen = [torch.randint(length, (length + 1,)).tolist() for length in lengths]
    links = [{(s if u < 4 else u % len(row), t) for t, s in enumerate(row[:-1])
              for u in torch.randint(9, (2,)).tolist() if u != 8} for row in chosen]
    return made_weights(chosen, lengths, 9), links


@exercise("5.3")
def check_alignment_error(answer) -> str:
    """Words without a partner, with several, sentences of unlike length; none right, all right."""
    chosen = [[0, 3, 0, 4, 3, 2], [1, 2, 0, 1]]    # the last row of each belongs to <eos>
    weights = made_weights(chosen, [5, 4], 6)
    links = [{(0, 0), (1, 1), (3, 4), (2, 3)}, {(0, 2), (1, 0)}]
    agree(answer, alignment_error, [
        case("two sentences", weights, links),
        case("words with several partners", weights[:1],
             [{(1, 1), (3, 1), (2, 0), (0, 0), (4, 3), (2, 3), (1, 4)}],
             hint="a word may have several partners, each of them is right; count words"),
        case("a sentence without a pair", made_weights([[1, 0], [2, 2, 1], [0, 3, 3, 0, 1]],
                                                       [2, 3, 4], 4),
             [{(1, 0)}, set(), {(2, 3), (0, 0), (1, 1), (2, 1)}]),
        case("all words right", weights[1:], [{(1, 0), (2, 1)}]),
        case("no word right", weights[1:], [{(0, 0), (0, 1), (1, 2)}]),
        case("one sentence of one word", made_weights([[0, 0]], [1], 1), [frozenset({(0, 0)})]),
        case("20 sentences", *many_sentences(20)),
        case("weights below 0, as a pull may be", [rows - 1 for rows in weights], links,
             hint="the largest of negative numbers is the one nearest 0: no abs(), no start at 0"),
    ], error_mistakes(), axes={"the error": ()},
        advice="Want the number of wrong words divided by the number of words with a partner. A "
        "word is wrong if the largest weight of its row lies on no partner of it")
    return "Only words with a gold link count, each once."


def error_mistakes() -> list[tuple[Callable, str]]:
    """Error rates with one thing wrong, and what to say then."""

    def counts(strongest: list[int], pairs, words) -> tuple[int, int]:
        return sum((strongest[t], t) not in pairs for t in words), len(words)

    def error(pick: Callable = lambda rows: rows.argmax(-1).tolist(),
              keep: Callable = lambda pairs: pairs,
              among: Callable = lambda rows, pairs: {t for _, t in pairs},
              divide: Callable = lambda found: sum(w for w, _ in found) / sum(n for _, n in found)):
        return lambda weights, gold: divide([
            counts(pick(rows), keep(pairs), among(rows, pairs))
            for rows, pairs in zip(weights, gold)])

    def partners(choose: Callable) -> Callable:
        """Keep one partner of each word."""
        return lambda pairs: {(choose(s for s, u in pairs if u == t), t) for _, t in pairs}

    def by_links(weights, gold, both=False):
        found = [{(int(row.argmax()), t) for t, row in enumerate(rows)} for rows in weights]
        hits = sum(len(a & set(b)) for a, b in zip(found, gold))
        n_links, n_rows = sum(map(len, gold)), sum(map(len, found))
        return 1 - (2 * hits / (n_links + n_rows) if both else hits / n_links)

    def rolled(by: int) -> Callable:
        return error(lambda rows: rows.argmax(-1).roll(by).tolist())

    def of_words(weights, gold, count):
        """The wrong words, divided by another count, of the sentences' rows and linked words."""
        wrong = sum((int(rows[t].argmax()), t) not in pairs
                    for rows, pairs in zip(weights, gold) for t in {t for _, t in pairs})
        return wrong / count(weights, [{t for _, t in pairs} for pairs in gold])

    def looked_up_turned(weights, gold):
        found = [(t, int(rows[t].argmax())) not in pairs
                 for rows, pairs in zip(weights, gold) for t in {t for _, t in pairs}]
        return sum(found) / len(found)

    def of_places(weights, gold):
        pairs = [(t, (int(rows[t].argmax()), t) in links)
                 for rows, links in zip(weights, gold) for _, t in links]
        return len({t for t, right in pairs if not right}) / len({t for t, _ in pairs})

    def turned(gold):
        return [{(t, s) for s, t in pairs} for pairs in gold]

    late = "argmax over the target words: want the last axis"
    return [
        (lambda w, g: 1 - alignment_error(w, g), "this is the share of RIGHT words: want 1 minus "
         "it"),
        (lambda w, g: 100 * alignment_error(w, g), "this is in percent: want a share from 0 to 1"),
        (error(among=lambda rows, pairs: range(len(rows))), "<eos> and words without a gold link "
         "are counted: they have no partner to find"),
        (error(among=lambda rows, pairs: range(len(rows) - 1)), "words without a gold link are "
         "counted: they have no partner to find"),
        (error(among=lambda rows, pairs: {s for s, _ in pairs if s < len(rows)}), "the numbers of "
         "the SOURCE words are taken: a pair is (source, target), so want {t for _, t in pairs}"),
        (looked_up_turned, "the pair is looked up as (target, source): gold holds (source, "
         "target)"),
        (lambda w, g: of_words(w, g, lambda rows, words: sum(map(len, rows)) - len(rows)), "it is "
         "divided by all words: divide by those with a partner"),
        (lambda w, g: of_words(w, g, lambda rows, words: sum(map(len, rows))), "it is divided by "
         "all rows: divide by the words with a partner"),
        (of_places, "words at the same place of two sentences are counted as one: count in each "
         "sentence, and add up the numbers"),
        (error(pick=lambda rows: rows.abs().argmax(-1).tolist()), "the sign of a weight is thrown "
         "away: a strongly negative weight is not the largest"),
        (rolled(1), "one row too early: row t belongs to the step that says word t"),
        (rolled(-1), "one row too late: row t belongs to the step that says word t"),
        (error(divide=lambda found: sum(w / max(n, 1) for w, n in found) / len(found)), "a mean of "
         "the sentences' errors: count words over all sentences, divide once"),
        (error(divide=lambda found: sum(w / n for w, n in found) / len(found)), "a mean of the "
         "sentences' errors: count words over all sentences, divide once"),
        (error(divide=lambda found: sum(w for w, _ in found)), "this is the number of wrong words: "
         "divide by the number of words with a partner"),
        (error(divide=lambda found: found[0][0] / found[0][1]), "only the first sentence is "
         "counted: is the return inside the loop?"),
        (error(divide=lambda found: found[-1][0] / found[-1][1]), "only the last sentence is "
         "counted: add up in the loop"),
        (error(pick=lambda rows: rows.argmax(0).tolist() + [0] * 6), late),
        (error(pick=lambda rows: rows.argmax(0).tolist()), late),
        (error(pick=lambda rows: rows.argmin(-1).tolist()), "these are the source words with the "
         "SMALLEST weight: argmax"),
        (error(keep=partners(min)), "a word may have several gold links: any one of them is right, "
         "not only the first"),
        (error(keep=partners(max)), "a word may have several gold links: any one of them is right, "
         "not only the last"),
        (by_links, "each gold link counts: count WORDS, and any one of a word's links is right"),
        (lambda w, g: by_links(w, g, both=True), "this is 1 minus the F-score of links, the "
         "alignment error rate of the papers: want wrong words / words with a gold link"),
        (lambda w, g: alignment_error(w, turned(g)), "source and target are exchanged: gold holds "
         "(source, target)"),
        (lambda w, g: alignment_error([rows.T for rows in w], turned(g)), "each SOURCE word is "
         "asked for its partner: ask the target words"),
    ]


# ---- 5.4 ----


@exercise("5.4")
def check_additive_score(answer) -> str:
    """Every query with every key, tanh, v; other sizes; one of each; large numbers.

    The course's class of (d_query, d_key, d_hidden), with these maps inside, is judged too.
    """

    def score_case(words: str, batch: int, tgt_len: int, src_len: int, d_query: int, d_key: int,
                   d_hidden: int, spread: float = 1.0, hint: str = ""):
        sizes = (d_query, d_hidden), (d_key, d_hidden), (d_hidden, 1)
        return case(words, spread * torch.randn(batch, tgt_len, d_query),
                    spread * torch.randn(batch, src_len, d_key),
                    *(nn.Linear(*size, bias=False) for size in sizes), hint=hint,
                    gradients=spread == 1)

    if isinstance(answer, type) and issubclass(answer, nn.Module):
        answer = with_maps(answer)
    agree(answer, right_score, [
        score_case("5 queries and 7 keys", 2, 5, 7, 4, 6, 3, hint="query_map takes queries (width "
                   "4), key_map takes keys (width 6); each gets an axis of size 1"),
        score_case("other sizes", 3, 4, 2, 5, 5, 8),
        score_case("as many queries as keys", 4, 4, 4, 2, 2, 4,
                   hint="give queries and keys their axis of size 1 by place, not by size"),
        score_case("one query and one key", 1, 1, 1, 3, 2, 1, hint="squeeze axis -1 alone"),
        score_case("large numbers", 2, 3, 4, 5, 2, 6, 500),
    ], score_mistakes(), axes={
        "scores": AXES["scores"], "queries": ("sentence", "query", ""),
        "keys": ("sentence", "key", ""),
    }, advice="Want v of tanh(query_map(query) + key_map(key))")
    return "Every query meets every key, and tanh lets them interact."


def with_maps(kind: type) -> Callable:
    """A function that hands its maps to a module with query_map, key_map and v, and runs it."""

    def run(queries, keys, query_map, key_map, v):
        module = kind(queries.size(-1), keys.size(-1), v.in_features)
        module.query_map, module.key_map, module.v = query_map, key_map, v
        return module(queries, keys)

    return run


def right_score(queries, keys, query_map, key_map, v) -> Tensor:
    """The additive score that is asked for."""
    return v((query_map(queries).unsqueeze(2) + key_map(keys).unsqueeze(1)).tanh()).squeeze(-1)


def score_mistakes() -> list[tuple[Callable, str]]:
    """Additive scores with one thing wrong, and what to say then."""

    def of(change: Callable) -> Callable:
        """change: gets mapped queries, mapped keys (with an axis for each other) and v."""
        def wrong(queries, keys, query_map, key_map, v):
            return change(query_map(queries).unsqueeze(2), key_map(keys).unsqueeze(1), v)
        return wrong

    def after(change: Callable) -> Callable:
        return lambda *given: change(right_score(*given))

    late = "tanh comes too late: squash the sum, then weigh with v"
    known = [
        (lambda q, k, v: v(q + k)[..., 0], "tanh is missing: a query then adds one number to its "
         "row"),
        (lambda q, k, v: v(q + k)[..., 0].tanh(), late),
        (lambda q, k, v: v((q + k).tanh())[..., 0] / q.size(-1) ** 0.5, "the scores are divided by "
         "a root: that belongs to the dot product"),
        (lambda q, k, v: v((q + k).tanh())[..., 0].tanh(), "tanh is applied twice: after v the "
         "scores are free"),
        (lambda q, k, v: v(q.tanh() + k.tanh())[..., 0], "tanh is taken of query and key apart: "
         "add first, so that they meet inside"),
        (lambda q, k, v: v((q * k).tanh())[..., 0], "query and key are multiplied: add them"),
        (lambda q, k, v: v((q - k).tanh())[..., 0], "query and key are subtracted: add them"),
        (lambda q, k, v: v((q + k).relu())[..., 0], "there is a ReLU: want tanh"),
        (lambda q, k, v: v((q + k).sigmoid())[..., 0], "there is a sigmoid: want tanh"),
        (lambda q, k, v: (q + k).tanh(), "v is missing: it turns the d_hidden numbers of each pair "
         "into one score"),
        (lambda q, k, v: (q + k).tanh().sum(-1), "the numbers of each pair are added up: v weighs "
         "them"),
        (lambda q, k, v: (q + k).tanh().mean(-1), "the numbers of each pair are averaged: v weighs "
         "them"),
        (lambda q, k, v: (q * k).sum(-1), "this is a dot product of the mapped vectors: want tanh "
         "of their sum, and v"),
        (lambda q, k, v: v(q.squeeze(2).tanh()), "one score for each query, none for each key: the "
         "keys do not take part at all"),
        (lambda q, k, v: v((q + 0 * k).tanh())[..., 0], "the encoder states are not used: when "
         "they change places, the scores must follow"),
        (lambda q, k, v: v((k + 0 * q).tanh())[..., 0], "the queries are not used: all rows are "
         "the same"),
    ]
    return [
        *((of(change), words) for change, words in known),
        (after(lambda s: s.transpose(1, 2)), "the last two axes are swapped: one ROW for each "
         "query, want (batch, tgt_len, src_len)"),
        (after(lambda s: s.unsqueeze(-1)), "v leaves an axis of size 1 at the end: squeeze it "
         "away"),
        (after(lambda s: s.softmax(-1)), "this is already the softmax: return scores"),
        (after(lambda s: s.softmax(0)), "a softmax over the BATCH: return the scores as they are"),
        (after(lambda s: s.softmax(1)), "a softmax over the queries: return the scores as they "
         "are"),
    ]

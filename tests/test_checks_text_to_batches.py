"""The checks of notebook 03 name each known mistake, accept right answers, and never raise."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from utils.checks.text_to_batches import (
    check_find_duplicates,
    check_last_state,
    check_padding_mask,
    check_vocabulary,
)
from utils.recurrent import last_state
from utils.text import PAD, UNK, Vocabulary, padding_mask

CHECKS = {
    "3.1": check_vocabulary,
    "3.2": check_padding_mask,
    "3.3": check_last_state,
    "3.4": check_find_duplicates,
}


# ---- 3.1: many vocabularies from one form, each wrong in one place ----


def vocabulary(
    parts=lambda train, valid, test: train,
    keep=lambda n, min_count: n >= min_count,
    table=lambda specials, words: [*specials, *(w for w in words if w not in specials)],
    start=None,
    default=lambda ids: ids[UNK],
    shield=True,
    occurrences=lambda sentences: Counter(w for s in sentences for w in s),
    drop_unknown=False,
    kind=list,
):
    """A right answer to exercise 3.1, or a wrong one where a part is replaced."""

    def answer(train, valid, test, specials, min_count, tokens):
        counts = occurrences(parts(train, valid, test))
        entries = table(specials, [w for w, n in counts.items() if keep(n, min_count)])
        ids = {token: number for number, token in enumerate(entries)}
        if start is not None:
            ids = start(specials, entries, counts, min_count)
        if drop_unknown:
            tokens = [t for t in tokens if t in ids]
        unknown = default(ids)
        found = [ids.get(t, unknown) if unknown is not None else ids[t] for t in tokens]
        if shield:
            found = [unknown if t in specials else n for t, n in zip(tokens, found)]
        return kind(found)

    return answer


def numbered_from_zero(specials, entries, counts, min_count):
    ids = {token: number for number, token in enumerate(specials)}
    words = [w for w in entries if w not in specials]
    return ids | {w: number for number, w in enumerate(words)}


def numbered_before_dropping(specials, entries, counts, min_count):
    words = [w for w in counts if w not in specials]
    ids = {token: number for number, token in enumerate([*specials, *words])}
    return {t: n for t, n in ids.items() if t in specials or counts[t] >= min_count}


def with_gaps(specials, entries, counts, min_count):
    ids = {token: number for number, token in enumerate(specials)}
    places = {w: n for n, w in enumerate(w for w in entries if w not in specials)}
    return ids | {w: 4 + (2 * n if min_count == 1 else n) for w, n in places.items()}


def all_in_one(specials, entries, counts, min_count):
    return {t: n if t in specials else 4 for n, t in enumerate(entries)}


def per_sentence(sentences):
    return Counter(w for s in sentences for w in set(s))


def built_from_the_question(train, valid, test, specials, min_count, tokens):
    return Vocabulary([*train, tokens], min_count, specials).encode(tokens)


def empty_gives_unknown(train, valid, test, specials, min_count, tokens):
    vocab = Vocabulary(train, min_count, specials)
    return vocab.encode(tokens) or [vocab.unk_id]


WRONG_VOCABULARIES = [
    (vocabulary(parts=lambda a, b, c: a + b + c), "only in the validation part"),
    (vocabulary(parts=lambda a, b, c: a + c), "only in the test part"),
    (vocabulary(start=numbered_from_zero), "which belongs to <pad>"),
    (vocabulary(table=lambda specials, words: [*words, *specials]), "come after the words"),
    (vocabulary(shield=False), "became the real end mark"),
    (vocabulary(table=lambda s, w: [*s, *w], shield=False), "the end mark is there twice"),
    (vocabulary(default=lambda ids: None), "raises KeyError"),
    (vocabulary(drop_unknown=True), "is left out"),
    (vocabulary(default=lambda ids: ids[PAD]), "became <pad>"),
    (vocabulary(default=lambda ids: len(ids)), "an unknown word got id"),
    (built_from_the_question, "an unknown word got id"),
    (vocabulary(default=lambda ids: 1), "not always number 1"),
    (vocabulary(keep=lambda n, least: True), "use min_count"),
    (vocabulary(keep=lambda n, least: n > least or least == 1), "compare with >="),
    (vocabulary(keep=lambda n, least: n >= min(least, 2)), "is the 2 built in"),
    (vocabulary(occurrences=per_sentence), "count occurrences"),
    (vocabulary(start=numbered_before_dropping), "after dropping the rare"),
    (vocabulary(start=with_gaps), "leave no gaps"),
    (vocabulary(start=all_in_one), "share one id"),
    (vocabulary(kind=lambda ids: [float(n) for n in ids]), "whole number"),
    (vocabulary(kind=set), "want a list of ids"),
    (vocabulary(kind=lambda ids: ids[:1]), "one id for each of"),
    (empty_gives_unknown, "an empty sentence"),
]


def right_vocabulary(train, valid, test, specials, min_count, tokens):
    ids = {token: number for number, token in enumerate(specials)}
    seen = [word for sentence in train for word in sentence]
    for word in sorted(set(seen) - set(specials)):
        if seen.count(word) >= min_count:
            ids[word] = len(ids)
    return torch.tensor(
        [ids[UNK] if t in specials or t not in ids else ids[t] for t in tokens], dtype=torch.long
    )


RIGHT_VOCABULARIES = [
    right_vocabulary,
    vocabulary(),
    vocabulary(kind=tuple),
    vocabulary(kind=np.array),
    vocabulary(kind=lambda ids: [np.int64(n) for n in ids]),
    lambda train, valid, test, specials, n, tokens: Vocabulary(train, n, specials).encode(tokens),
]

# ---- 3.2 ----

WRONG_MASKS = [
    (lambda tokens, pad: (tokens != pad).unsqueeze(2), "hides the queries"),
    (lambda tokens, pad: (tokens == pad).unsqueeze(1), "upside down"),
    (lambda tokens, pad: (tokens != 0).unsqueeze(1), "compares with 0"),
    (lambda tokens, pad: (tokens > 0).unsqueeze(1), "compares with 0"),
    (lambda tokens, pad: (tokens != 9).unsqueeze(1), "stays the same"),
    (lambda tokens, pad: tokens != pad, "add an axis of size 1 in the middle"),
    (lambda tokens, pad: (tokens != pad)[:, None, None], "an axis for heads"),
    (lambda tokens, pad: (tokens != pad)[None], "in front of the batch"),
    (lambda tokens, pad: (tokens != pad).unsqueeze(1).float(), "want bool"),
    (lambda tokens, pad: (tokens[:1] != pad).expand_as(tokens)[:, None], "mask of sentence 0"),
    (lambda tokens, pad: torch.ones_like(tokens, dtype=torch.bool)[:, None], "no position"),
    (lambda tokens, pad: (tokens != pad).roll(1, 1).unsqueeze(1), "must give"),
    (lambda tokens, pad: (tokens != pad).T.unsqueeze(1), "want shape"),
    (lambda tokens, pad: (tokens != pad).tolist(), "want a torch.Tensor"),
]

RIGHT_MASKS = [
    padding_mask,
    lambda tokens, pad_id: ~(tokens == pad_id)[:, None, :],
    lambda tokens, pad_id: torch.stack([row != pad_id for row in tokens]).view(len(tokens), 1, -1),
]

# ---- 3.3 ----


def lengths_of(mask):
    return mask.sum(-1).squeeze(1)


def at(states, positions):
    return states[torch.arange(len(states)), positions]


def mean_of_real(states, mask):
    real = mask.transpose(1, 2)
    return (states * real).sum(1) / real.sum(1).clamp(min=1)


def one_for_all_full(states, mask):
    """Right for padded rows; reads a full row one position too early."""
    lengths = lengths_of(mask)
    positions = torch.where(lengths == states.size(1), lengths - 2, lengths - 1)
    return at(states, positions.clamp(min=0)) * (lengths > 0)[:, None]


def only_four_rows(states, mask):
    """The number of sentences of the example is built in."""
    last = (lengths_of(mask) - 1).clamp(min=0)
    found = states[torch.arange(4) % len(states), last[torch.arange(4) % len(states)]]
    found = torch.cat([found, found.new_zeros(len(states), states.size(2))])[: len(states)]
    return found * (lengths_of(mask) > 0)[:, None]


WRONG_STATES = [
    (lambda states, mask: states[:, -1], "the state after the padding"),
    (lambda states, mask: states[:, lengths_of(mask).max() - 1], "end of the longest sentence"),
    (lambda states, mask: at(states, (lengths_of(mask) - 2).clamp(min=0)), "too early"),
    (lambda states, mask: at(states, lengths_of(mask)), "too late"),
    (lambda states, mask: states[:, lengths_of(mask) - 1], "takes every `last` from every row"),
    (lambda states, mask: last_state(states, mask)[:, None], "one axis too many"),
    (lambda states, mask: states[:, 0], "after the first token"),
    (lambda states, mask: states.mean(1), "mean over all positions"),
    (mean_of_real, "mean of the real states"),
    (lambda states, mask: (states * mask.transpose(1, 2)).sum(1), "sum of the real states"),
    (lambda states, mask: at(states, lengths_of(mask) - 1), "without any token must give zeros"),
    (lambda states, mask: at(states, lengths_of(mask) - 1) / (lengths_of(mask) > 0)[:, None],
     "holds nan or inf"),
    (lambda states, mask: -last_state(states, mask), "it is something else"),
    (one_for_all_full, "a full row goes wrong"),
    (lambda states, mask: last_state(states, mask).T, "want shape"),
    (lambda states, mask: last_state(states, mask).detach(), "no gradient"),
    (only_four_rows, "goes wrong"),
    (lambda states, mask: last_state(states, mask).squeeze(), "for a batch of 1"),
]


def state_by_loop(states, mask):
    result = torch.zeros(states.size(0), states.size(2))
    for row, keep in enumerate(mask[:, 0]):
        if keep.any():
            result[row] = states[row][keep][-1]
    return result


def state_by_gather(states, mask):
    lengths = mask.sum(-1)
    index = (lengths - 1).clamp(min=0).unsqueeze(-1).expand(-1, 1, states.size(2))
    return states.gather(1, index).squeeze(1).masked_fill(lengths == 0, 0.0)


RIGHT_STATES = [last_state, state_by_loop, state_by_gather]

# ---- 3.4 ----


def rows_where(key):
    def answer(train, test, vocab):
        seen = {key(tokens, vocab) for tokens in train}
        return [row for row, tokens in enumerate(test) if key(tokens, vocab) in seen]

    return answer


right_rows = rows_where(lambda tokens, vocab: tuple(tokens))


def right_rows_by_loop(train, test, vocab):
    rows = []
    for row, tokens in enumerate(test):
        if any(tokens == other for other in train):
            rows.append(row)
    return rows


def reported_once(train, test, vocab):
    seen, rows = {tuple(tokens) for tokens in train}, []
    for row, tokens in enumerate(test):
        if tuple(tokens) in seen:
            seen.remove(tuple(tokens))
            rows.append(row)
    return rows


def inside_test(train, test, vocab):
    return [row for row, tokens in enumerate(test) if test.count(tokens) > 1]


WRONG_ROWS = [
    (rows_where(lambda tokens, vocab: tuple(vocab.encode(tokens))), "because ids were compared"),
    (inside_test, "repetitions inside test"),
    (lambda train, test, vocab: [i for i, t in enumerate(test) if t in test[:i]],
     "repetitions inside test"),
    (rows_where(lambda tokens, vocab: tuple(sorted(tokens))), "order of the words is ignored"),
    (rows_where(lambda tokens, vocab: frozenset(tokens)), "as sets of words"),
    (rows_where(lambda tokens, vocab: "".join(tokens)), "keep the tokens apart"),
    (lambda train, test, vocab: [i for i, (a, b) in enumerate(zip(train, test)) if a == b],
     "the train row of the same number"),
    (lambda train, test, vocab: [i for i, tokens in enumerate(train) if tokens in test],
     "rows of train"),
    (lambda train, test, vocab: [i for i, tokens in enumerate(test) if tokens not in train],
     "turn the condition round"),
    (reported_once, "reported once"),
    (lambda train, test, vocab: [i for t in train for i, s in enumerate(test) if s == t],
     "there twice"),
    (lambda train, test, vocab: len(right_rows(train, test, vocab)), "got one number"),
    (lambda train, test, vocab: [test[row] for row in right_rows(train, test, vocab)],
     "got the sentences"),
    (lambda train, test, vocab: [tokens in train for tokens in test], "True and False"),
    (lambda train, test, vocab: [row + 5 for row in right_rows(train, test, vocab)],
     "no row number"),
    (lambda train, test, vocab: right_rows(train, test, vocab)[1:], "it is missing"),
    (lambda train, test, vocab: [*right_rows(train, test, vocab), 6], "should not be listed"),
    (lambda train, test, vocab: right_rows(train, test, vocab) or [0], "no row number"),
]

RIGHT_ROWS = [
    right_rows,
    right_rows_by_loop,
    lambda train, test, vocab: set(right_rows(train, test, vocab)),
    lambda train, test, vocab: np.where([t in train for t in test]),
    lambda train, test, vocab: np.where([t in train for t in test])[0],
    lambda train, test, vocab: torch.tensor([t in train for t in test]).nonzero().flatten(),
]

# ---- all four ----

WRONG = {
    "3.1": WRONG_VOCABULARIES,
    "3.2": WRONG_MASKS,
    "3.3": WRONG_STATES,
    "3.4": WRONG_ROWS,
}
RIGHT = {
    "3.1": RIGHT_VOCABULARIES,
    "3.2": RIGHT_MASKS,
    "3.3": RIGHT_STATES,
    "3.4": RIGHT_ROWS,
}


def cases(table):
    return [(number, case) for number, answers in table.items() for case in answers]


@pytest.mark.parametrize("number, case", cases(WRONG))
def test_a_wrong_answer_hears_its_own_message(number, case) -> None:
    answer, words = case
    verdict = CHECKS[number](answer)
    assert verdict.passed is False
    assert any(part in verdict.message for part in words.split("|")), verdict.message


@pytest.mark.parametrize("number", CHECKS)
def test_no_two_kinds_of_mistake_share_a_message(number) -> None:
    kinds = [words for _, words in WRONG[number]]
    messages = {words: CHECKS[number](answer).message for answer, words in WRONG[number]}
    assert len(set(messages.values())) == len(set(kinds))


@pytest.mark.parametrize("number, answer", cases(RIGHT))
def test_a_right_answer_passes(number, answer) -> None:
    verdict = CHECKS[number](answer)
    assert verdict.passed is True, verdict.message


@pytest.mark.parametrize("number", CHECKS)
def test_the_untouched_stub_is_no_mistake(number) -> None:
    verdict = CHECKS[number](lambda *args: ...)
    assert verdict.passed is None
    assert repr(verdict) == f"· Exercise {number}: not attempted yet"


def endless(*args):
    return endless(*args)


def raising(*args):
    raise ValueError("no idea")


def leaving(*args):
    raise SystemExit


def changing(first, *rest):
    first[0] = first[1]
    return first


HOSTILE = [
    endless,
    raising,
    leaving,
    changing,
    lambda *args: None,
    lambda *args: "text",
    lambda *args: object(),
    lambda *args: float("nan"),
    lambda *args: torch.full((3, 1, 7), float("nan")),
    lambda *args: torch.full((4, 6), float("nan")),
    lambda *args: [float("nan")],
    lambda *args: [[], None],
    lambda *args: {"a": 1},
    lambda: 1,
    42,
    None,
    "text",
]


@pytest.mark.parametrize("number", CHECKS)
@pytest.mark.parametrize("answer", HOSTILE)
def test_a_hostile_answer_hears_a_sentence(number, answer) -> None:
    verdict = CHECKS[number](answer)
    assert verdict.passed is False
    assert len(verdict.message) > 20


@pytest.mark.parametrize("number", CHECKS)
def test_a_check_leaves_the_random_state_alone(number) -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    CHECKS[number](RIGHT[number][0])
    assert torch.equal(before, torch.random.get_rng_state())

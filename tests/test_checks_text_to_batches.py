"""The checks of lesson 03 accept right answers and name each wrong one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from judging import Answers, Exercise, mutant

from utils.checks import text_to_batches as lesson
from utils.recurrent import last_state
from utils.text import UNK, Vocabulary, padding_mask

# ---- 3.1 ----


def plain_ids(train, valid, test, specials, min_count, tokens):
    counts = Counter(word for sentence in train for word in sentence)
    words = [w for w, n in counts.items() if n >= min_count and w not in specials]
    ids = {token: number for number, token in enumerate([*specials, *words])}
    unknown = ids[UNK]
    return [unknown if token in specials else ids.get(token, unknown) for token in tokens]


def ids_in_order_of_letters(train, valid, test, specials, min_count, tokens):
    ids = {token: number for number, token in enumerate(specials)}
    seen = [word for sentence in train for word in sentence]
    for word in sorted(set(seen) - set(specials)):
        if seen.count(word) >= min_count:
            ids[word] = len(ids)
    found = [ids[UNK] if t in specials or t not in ids else ids[t] for t in tokens]
    return torch.tensor(found, dtype=torch.int32)


def ids(*texts):
    return mutant(plain_ids, *texts)


def as_kind(kind):
    """The right ids in another container."""
    return lambda *given: kind(plain_ids(*given))


LIST = "[unknown if token in specials else ids.get(token, unknown) for token in tokens]"
TABLE, LINE = "enumerate([*specials, *words])", "    unknown = ids[UNK]"
WORDS = "[w for w, n in counts.items() if n >= min_count and w not in specials]"

VOCABULARY = Exercise(
    lesson.check_vocabulary,
    right=[
        plain_ids,
        ids_in_order_of_letters,
        lambda train, valid, test, specials, n, asked: Vocabulary(train, n, specials).encode(asked),
        lambda *, train, valid, test, specials, min_count, tokens: plain_ids(
            train, valid, test, specials, min_count, tokens),
        ids("counts.items()", "reversed(counts.items())"),
        as_kind(tuple),
        as_kind(np.array),
        as_kind(lambda numbers: [np.int64(n) for n in numbers]),
        as_kind(lambda numbers: list(torch.tensor(numbers))),
    ],
    wrong=[
        (ids("in train", "in train + valid"), "only in the validation part"),
        (ids("in train", "in train + test"), "only in the test part"),
        (ids("in train", "in train + valid + test"), "the validation and test parts"),
        (ids(LINE, "    ids |= {w: n for n, w in enumerate(words)}\n" + LINE),
         "has the id of <pad>"),
        (ids(TABLE, "enumerate([*words, *specials])"), "come after the words"),
        (ids(LIST, "[ids.get(token, unknown) for token in tokens]"), "became the real end mark"),
        (ids(LIST, "[ids.get(token, unknown) for token in tokens]",
             " and w not in specials", ""), "the end mark is there twice"),
        (ids(LIST, "[ids[t] for t in tokens]"), "KeyError: 'zebra'. A word that the vocabulary"),
        (ids(LIST, "[ids[t] for t in tokens if t in ids]"), "got 10: words that the vocabulary"),
        (ids(LINE, "    unknown = ids['<pad>']"), "became <pad>"),
        (ids(LINE, "    unknown = len(ids)"), "zebra → the entry of"),
        (ids(LINE, "    unknown = 1"), "not always number 1"),
        (ids("[*specials, *words]", "['<pad>', '<unk>', '<bos>', '<eos>', *words]"),
         "The specials keep the order"),
        (ids("[*specials, *words])", "words, 4)", LINE, "    unknown = specials.index(UNK)"),
         "for five specials"),
        (ids(WORDS, f"[w for w in {WORDS} if w != 'cat']"), "cat → <unk>"),
        (lambda train, valid, test, specials, n, asked: plain_ids(
            [*train, asked], valid, test, specials, n, asked), "zebra → the entry of"),
        (ids(LIST, f"[unknown if '<' in t else i for t, i in zip(tokens, {LIST})]"),
         "look like a special and are none"),
        (ids(TABLE, "enumerate([*sorted(specials), *words])", LINE, "    unknown = ids['<unk>']"),
         "were sorted: they keep"),
        (ids("n >= min_count and ", ""), "rare words have an id"),
        (ids("n >= min_count", "n > min_count"), "compare with >="),
        (ids("n >= min_count", "n >= min(min_count, 2)"), "for min_count 3 (only `min_count`"),
        (ids("for word in sentence", "for word in set(sentence)"), "count occurrences"),
        (ids(TABLE, "enumerate([*specials, *(c for c in counts if c not in specials)])",
             LINE, "    ids = {t: n for t, n in ids.items() if t in specials or t in words}\n"
             + LINE), "after dropping the rare"),
        (ids("token: number for", "token: number + (number > 7) for"), "sorted(ids of all words)"),
        (ids("token: number for", "token: min(number, 4) for"), "the → the entry of a,"),
        (ids(LIST, f"{LIST}[::-1]"), "the → <unk>"),
        (ids("Counter(word", "Counter(word.lower()", "ids.get(token, ", "ids.get(token.lower(), "),
         "the entry of The, the"),
        (ids(LIST, "[float(ids.get(t, unknown)) for t in tokens]"), "a whole number, got float"),
        (as_kind(set), "want a list of ids, got set"),
        (as_kind(lambda numbers: numbers[:1]), "one id for each of 14 tokens, got 1"),
        (as_kind(lambda numbers: numbers or [1]), "one id for each of 0 tokens, got 1"),
        (ids(LINE, "    specials += ('<sep>',)\n    train.append(['new'])\n" + LINE), "in place"),
    ],
    twins=["zebra → the entry of"],
)


# ---- 3.2 ----

NOT_PAD = "(tokens != pad_id).unsqueeze(1)"


def mask(text):
    return mutant(padding_mask, NOT_PAD, text)


MASK = Exercise(
    lesson.check_padding_mask,
    right=[
        padding_mask,
        lambda tokens, pad_id: ~(tokens == pad_id)[:, None, :],
        lambda tokens, pad_id: torch.stack([r != pad_id for r in tokens]).view(len(tokens), 1, -1),
        lambda tokens, pad_id: torch.tensor([[[t != pad_id for t in r]] for r in tokens.tolist()]),
        lambda tokens, pad_id: torch.from_numpy(np.expand_dims(tokens.numpy() != pad_id, 1)),
        lambda *, tokens, pad_id: tokens.ne(pad_id).reshape(len(tokens), 1, -1),
    ],
    wrong=[
        (mask("(tokens != pad_id).unsqueeze(2)"), "hides the queries"),
        (mask("(tokens == pad_id).unsqueeze(1)"), "upside down"),
        (mask("(tokens != 0).unsqueeze(1)"), "compares with 0"),
        (mask("(tokens > 0).unsqueeze(1)"), "compares with 0"),
        (mask("(tokens != 9).unsqueeze(1)"), "for pad_id 5 (only `pad_id` is another)"),
        (mask("(tokens < pad_id).unsqueeze(1)"), "only tokens below pad_id"),
        (mask("(tokens > pad_id).unsqueeze(1)"), "only tokens above pad_id"),
        (mask("((tokens != pad_id) & (tokens > 0)).unsqueeze(1)"), "is False, want True"),
        (mask("tokens != pad_id"), "add an axis of size 1 in the middle"),
        (mask("(tokens != pad_id)[:, None, None]"), "an axis for heads"),
        (mask("(tokens != pad_id)[None]"), "in front of the batch"),
        (mask(f"{NOT_PAD}.float()"), "want torch.bool of mask, got torch.float32"),
        (mask(f"{NOT_PAD}.long()"), "want torch.bool of mask, got torch.int64"),
        (mask("(tokens[:1] != pad_id).expand_as(tokens)[:, None]"), "mask of sentence 0"),
        (mask("torch.ones_like(tokens, dtype=torch.bool)[:, None]"), "no position"),
        (mask(f"{NOT_PAD}.roll(1, 2)"), "Want True where the token is not pad_id"),
        (mask("(tokens != pad_id).T.unsqueeze(1)"), "want shape"),
        (mask(f"{NOT_PAD}.tolist()"), "got list of 3"),
        (mask(f"{NOT_PAD}.expand(-1, tokens.size(1), -1)"), "one row for each word"),
        (mask(f"{NOT_PAD}.view(3, 1, -1)"), "for pad_id 0"),
        (mask("(tokens != pad_id).squeeze(0).unsqueeze(-2)"), "The axis of the batch stays"),
        (mask(f"({NOT_PAD}.squeeze()[:, None] if len(tokens) > 1 else {NOT_PAD})"),
         "The axis of the words stays"),
        (mask(f"{NOT_PAD} | (tokens == pad_id).all()"), "Such a row is False everywhere"),
        (mask(f"{NOT_PAD} & (tokens.dtype == torch.long)"), "for ids as int32"),
        (mask("tokens.sub_(pad_id).ne(0).unsqueeze(1)"), "in place"),
    ],
    twins=["compares with 0"],
)


# ---- 3.3 ----

LAST, PICK = "(lengths - 1).clamp(min=0).squeeze(1)", "states[rows, last] * (lengths > 0)"


def state(*texts):
    return mutant(last_state, *texts)


def returns(text):
    return mutant(last_state, PICK, text)


def state_by_loop(states, mask):
    result = states.new_zeros(states.size(0), states.size(2))
    for row, keep in enumerate(mask[:, 0]):
        if keep.any():
            result[row] = states[row][keep][-1]
    return result


def state_by_gather(states, mask):
    lengths = mask.sum(-1)
    index = (lengths - 1).clamp(min=0).unsqueeze(-1).expand(-1, 1, states.size(2))
    return states.gather(1, index).squeeze(1).masked_fill(lengths == 0, 0.0)


def state_by_one_hot(states, mask):
    steps = torch.arange(states.size(1))
    one_hot = (steps == mask.sum(-1) - 1).to(states.dtype)
    return torch.einsum("bt,btd->bd", one_hot, states)


STATE = Exercise(
    lesson.check_last_state,
    right=[
        last_state,
        state_by_loop,
        state_by_gather,
        state_by_one_hot,
        lambda *, states, mask: last_state(states, mask),
        lambda states, mask: torch.stack([
            s[int(m.sum()) - 1] if m.any() else 0 * s[0] for s, m in zip(states, mask)]),
    ],
    wrong=[
        (returns("states[:, -1]"), "the state after the padding"),
        (returns("states[:, lengths.max() - 1]"), "end of the longest sentence"),
        (state(LAST, "(lengths - 2).clamp(min=0).squeeze(1)"), "too early"),
        (state(LAST, "lengths.squeeze(1)"), "too late"),
        (returns("states[:, last]"), "takes every `last` from every row"),
        (returns(f"({PICK})[:, None]"), "one axis too many"),
        (returns("states[:, 0]"), "after the first token"),
        (state(LAST, "(lengths - 1).to(torch.int8).long().clamp(min=0).squeeze(1)"),
         "int8 ends at 127"),
        (returns("states.mean(1)"), "mean over all positions"),
        (returns("(states * mask.mT).sum(1) / lengths.clamp(min=1)"), "mean of the real states"),
        (returns("(states * mask.mT).sum(1)"), "sum of the real states"),
        (returns("states.masked_fill(~mask.mT, -9e9).amax(1)"), "the largest of the real"),
        (returns("states[rows, last]"), "without any token must give zeros"),
        (returns("states[rows, last] / (lengths > 0)"), "do not divide by it"),
        (returns(f"-{PICK}"), "its row must be states[0, 2]"),
        (state("lengths > 0", "lengths > 1"), "for other sizes"),
        (state(LAST, "(lengths - 1 - (lengths == states.size(1)).long())[:, 0].clamp(min=0)"),
         "right for lengths 3, 5, 2, but"),
        (returns(f"({PICK}).T"), "want shape"),
        (returns("states[rows, last[:1]] * (lengths > 0)"), "in sentence 0 of `mask` moves"),
        (returns(f"({PICK}).detach()"), "no gradient reaches `states`"),
        (state("torch.arange(len(states), device=states.device)", "torch.arange(3)"),
         "for other sizes: your function raised IndexError"),
        (returns(f"({PICK}).squeeze(0)"), "The axis of the batch stays"),
        (returns(f"({PICK}).squeeze(1)"), "Both axes stay"),
        (returns(f"({PICK}).float() if states.dtype == torch.float64 else {PICK}"),
         "want torch.float64, got torch.float32"),
        (returns(f"({PICK}).float()"), "want torch.float16, got torch.float32"),
        (returns(f"({PICK}).half() if states.dtype == torch.bfloat16 else {PICK}"),
         "want torch.bfloat16, got torch.float16. The result has the type"),
        (returns(f"({PICK}).numpy()"), "got ndarray"),
        (returns("states.mul_(mask.mT)[rows, last]"), "in place"),
    ],
)


# ---- 3.4 ----


def rows_where(key):
    def answer(train, test, vocab):
        seen = {key(tokens, vocab) for tokens in train}
        return [row for row, tokens in enumerate(test) if key(tokens, vocab) in seen]

    return answer


right_rows = rows_where(lambda tokens, vocab: tuple(tokens))


def as_rows(kind):
    """The right rows in another form, or something else in their place."""
    return lambda train, test, vocab: kind(right_rows(train, test, vocab), train, test)


def by_flags(kind):
    return lambda train, test, vocab: kind([tokens in train for tokens in test])


def where(condition):
    """The rows of test for which a condition on (row, tokens, train, test) holds."""
    return lambda train, test, vocab: [
        row for row, tokens in enumerate(test) if condition(row, tokens, train, test)]


def reported_once(train, test, vocab):
    seen, rows = {tuple(tokens) for tokens in train}, []
    for row, tokens in enumerate(test):
        if tuple(tokens) in seen:
            seen.remove(tuple(tokens))
            rows.append(row)
    return rows


ROWS = Exercise(
    lesson.check_find_duplicates,
    right=[
        right_rows,
        where(lambda row, tokens, train, test: any(tokens == other for other in train)),
        rows_where(lambda tokens, vocab: " ".join(tokens)),
        lambda *, train, test, vocab: [n for n in range(len(test)) if test[n] in train],
        as_rows(lambda rows, *parts: set(rows)),
        as_rows(lambda rows, *parts: tuple(reversed(rows))),
        by_flags(np.where),
        by_flags(lambda flags: np.flatnonzero(flags)),
        by_flags(lambda flags: torch.tensor(flags).nonzero()),
    ],
    wrong=[
        (rows_where(lambda tokens, vocab: tuple(vocab.encode(tokens))), "because ids were"),
        (where(lambda row, tokens, train, test: test.count(tokens) > 1), "repetitions inside test"),
        (where(lambda row, tokens, train, test: tokens in test[:row]), "repetitions inside test"),
        (rows_where(lambda tokens, vocab: tuple(sorted(tokens))), "order of the words is ignored"),
        (rows_where(lambda tokens, vocab: frozenset(tokens)), "as sets of words"),
        (rows_where(lambda tokens, vocab: "".join(tokens)), "keep the tokens apart"),
        (rows_where(lambda tokens, vocab: tuple(t.lower() for t in tokens)), "'The' and 'the'"),
        (rows_where(lambda tokens, vocab: tuple(tokens[:3])), "row[1] is 'the cat sees a bear"),
        (rows_where(lambda tokens, vocab: tokens[-1]), "'today is a day: listed'"),
        (where(lambda row, tokens, train, test: row < len(train) and tokens == train[row]),
         "the train row of the same number"),
        (where(lambda row, tokens, train, test: any(
            t[: len(tokens)] == tokens[: len(t)] for t in train)), "zip stops at the shorter"),
        (lambda train, test, vocab: [i for i, tokens in enumerate(train) if tokens in test],
         "rows of train"),
        (where(lambda row, tokens, train, test: tokens not in train), "turn the condition round"),
        (reported_once, "reported once"),
        (lambda train, test, vocab: [i for t in train for i, s in enumerate(test) if s == t],
         "there twice"),
        (as_rows(lambda rows, *parts: len(rows)), "got one number"),
        (as_rows(lambda rows, train, test: [test[row] for row in rows]), "got the sentences"),
        (by_flags(list), "True and False"),
        (as_rows(lambda rows, *parts: [row + 8 for row in rows]), "is no row number"),
        (as_rows(lambda rows, *parts: [row + 1 for row in rows]), "one too high: rows count"),
        (as_rows(lambda rows, *parts: [float(row) for row in rows]), "0.0 is no row number"),
        (as_rows(lambda rows, *parts: rows[1:]), "fox: not listed', want"),
        (as_rows(lambda rows, train, test: [row for row in rows if test[row]]), "(no words): not"),
        (as_rows(lambda rows, train, test: [test.index(test[row]) for row in rows]), "enumerate"),
        (where(lambda row, tokens, train, test: tokens in train + test[:row]), "are reported, too"),
        (where(lambda row, tokens, train, test: any(
            " ".join(tokens) in " ".join(other) for other in train)), "compare whole sentences"),
        (rows_where(lambda tokens, vocab: tuple(t for t in tokens if t in vocab.tokens)),
         "unknown words are left out"),
        (as_rows(lambda rows, *parts: [*rows, 6] if len(rows) == 3 else rows),
         "'a bear sees the dog: listed', want"),
        (as_rows(lambda rows, *parts: [0, 3, 5]), "for other sentences: 5 is no row number"),
        (as_rows(lambda rows, *parts: [r for r in rows if r], ), "row[0] is"),
        (lambda train, test, vocab: right_rows(train[1:], test, vocab), "row[4] is 'ja ja: not"),
        (as_rows(lambda rows, *parts: [str(row) for row in rows]), "'0' is no row number"),
        (as_rows(lambda rows, *parts: rows or [0]), "Want an empty list"),
        (as_rows(lambda rows, train, test: test.clear() or rows), "in place"),
    ],
    twins=["repetitions inside test", "fox: not listed', want"],
)


class TestAnswers(Answers):
    exercises = (VOCABULARY, MASK, STATE, ROWS)

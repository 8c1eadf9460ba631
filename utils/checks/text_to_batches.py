"""The exercises of notebook 03: vocabulary, padding mask, last state, duplicates."""

from collections.abc import Callable, Iterable
from numbers import Integral

import torch
from torch import Tensor

from utils.checks.core import Mistake, call, exercise, same, want_finite, want_tensor
from utils.text import BOS, EOS, PAD, UNK, Vocabulary

# ---- 3.1 ----

TRAIN = [
    ["the", "cat", "sees", "the", "dog"],
    ["the", "dog", "sees", "a", "sign", EOS],
    ["read", "the", "sign", EOS],
    ["bye", "bye"],
]
VALID = [["a", "cat", "sees", "a", "fox"], ["fox", "fox"]]
TEST = [["the", "owl", "sees", "a", "cat"], ["owl", "owl"]]
SPECIALS = (PAD, UNK, BOS, EOS)
OTHER_ORDER = (BOS, EOS, UNK, PAD)
WORDS = ["the", "cat", "sees", "dog", "a", "sign", "read", "bye"]


@exercise("3.1")
def check_vocabulary(answer: Callable) -> str:
    """my_vocabulary(train, valid, test, specials, min_count, tokens) -> the ids of tokens."""

    def ids(tokens, specials=SPECIALS, min_count=1):
        return want_ids(call(answer, TRAIN, VALID, TEST, specials, min_count, tokens), tokens)

    def ids_of_unknown(word: str) -> int:
        try:
            found = call(answer, TRAIN, VALID, TEST, SPECIALS, 1, ["the", word, "cat"])
        except Mistake as mistake:
            if isinstance(mistake.__cause__, KeyError):
                raise Mistake(
                    "a word that the vocabulary lacks raises KeyError: give it the id of <unk>"
                ) from mistake
            raise
        if hasattr(found, "__len__") and len(found) == 2:
            raise Mistake("a word that the vocabulary lacks is left out: it must become <unk>")
        return want_ids(found, ["the", word, "cat"])[1]

    known = ids(WORDS)
    if len(set(known)) < len(WORDS):
        raise Mistake("two different known words share one id: each token needs its own number")
    unknown = ids_of_unknown("zebra")
    if unknown >= len(SPECIALS) and 0 in known:
        raise Mistake("the specials come after the words: they must have the first ids, 0, 1, 2, 3")
    if unknown == SPECIALS.index(PAD):
        raise Mistake("an unknown word became <pad>: the model would read it as empty space")
    if unknown != SPECIALS.index(UNK):
        raise Mistake(f"an unknown word got id {unknown}: want the id of <unk>, here 1")
    if ids_of_unknown("fox") != unknown:
        raise Mistake(
            "'fox' stands only in the validation part, yet it has an id: count words of train only"
        )
    if ids_of_unknown("owl") != unknown:
        raise Mistake(
            "'owl' stands only in the test part, yet it has an id: a vocabulary that has seen the "
            "test makes the unknown rate look better than it is"
        )
    if min(known) < len(SPECIALS):
        word = WORDS[known.index(min(known))]
        raise Mistake(
            f"'{word}' has id {min(known)}, which belongs to {SPECIALS[min(known)]}: "
            "the first word comes after the last special"
        )
    written = ids([EOS])[0]
    if written == SPECIALS.index(EOS):
        raise Mistake(
            "the letters <eos> in a text became the real end mark: a sentence could end the "
            "decoder; in a text they are an unknown word"
        )
    if written != unknown:
        raise Mistake(
            "the letters <eos> in a text took an id as a word, so the end mark is there twice: "
            "leave the specials out when you number the words"
        )
    judge_min_count(ids, unknown)
    if sorted(known) != list(range(4, 4 + len(WORDS))):
        raise Mistake(
            f"ids run up to {max(known)} for {4 + len(WORDS)} entries: leave no gaps, "
            "each gap is a row of the embedding that is never used"
        )
    if ids(["zebra"], OTHER_ORDER) != [OTHER_ORDER.index(UNK)]:
        raise Mistake("<unk> is not always number 1: look its id up in the specials you are given")
    if len(call(answer, TRAIN, VALID, TEST, SPECIALS, 1, [])) > 0:
        raise Mistake("an empty sentence must give an empty list")
    return "A word outside train is <unk>, and no text can forge a special."


def judge_min_count(ids: Callable, unknown: int) -> None:
    """Words seen exactly min_count times stay, rarer ones go, all occurrences count."""
    read, bye, dog, the = ids(["read", "bye", "dog", "the"], SPECIALS, 2)
    if read != unknown:
        raise Mistake("'read' occurs once and min_count is 2, yet it has an id: use min_count")
    if unknown in (the, dog):
        raise Mistake("a word that occurs exactly min_count times must stay: compare with >=")
    if bye == unknown:
        raise Mistake("'bye' occurs twice, in one sentence: count occurrences, not sentences")
    if ids(["bye"], SPECIALS, 3)[0] != unknown:
        raise Mistake("'bye' occurs twice and min_count is 3, yet it has an id: is the 2 built in?")
    if sorted(ids(["the", "sees", "dog", "sign", "bye"], SPECIALS, 2)) != [4, 5, 6, 7, 8]:
        raise Mistake("number the words after dropping the rare ones, otherwise the ids have gaps")


def want_ids(result, tokens: list[str]) -> list[int]:
    """Make sure that an answer holds one whole number for each token."""
    result = as_list(result)
    if not isinstance(result, list | tuple):
        raise Mistake(f"want a list of ids, got {type(result).__name__}")
    for entry in result:
        if isinstance(entry, bool) or not isinstance(entry, Integral):
            raise Mistake(f"an id is a whole number, got {type(entry).__name__}")
    if len(result) != len(tokens):
        raise Mistake(f"want one id for each of {len(tokens)} tokens, got {len(result)} ids")
    return [int(entry) for entry in result]


def as_list(result):
    """A tensor or array as a list of Python's own numbers; anything else as it is."""
    return result.tolist() if callable(getattr(result, "tolist", None)) else result


# ---- 3.2 ----


@exercise("3.2")
def check_padding_mask(answer: Callable) -> str:
    """my_padding_mask(tokens, pad_id) -> (batch, 1, seq_len), bool, True at real tokens."""
    batch, seq_len, pad_id = 3, 7, 9
    tokens = torch.randint(1, 9, (batch, seq_len))
    tokens[0, 2] = 0                        # a real token that has the number 0
    tokens[0, 6:] = pad_id
    tokens[1, 4:] = pad_id
    tokens[2, 1:] = pad_id
    real = tokens != pad_id                 # (batch, seq_len)

    mask = call(answer, tokens, pad_id)
    if not isinstance(mask, Tensor):
        raise Mistake(f"want a torch.Tensor (batch, 1, seq_len), got {type(mask).__name__}")
    judge_mask_shape(tuple(mask.shape), batch, seq_len)
    want_tensor(mask, (batch, 1, seq_len), "(batch, 1, seq_len)")
    if mask.dtype != torch.bool:
        raise Mistake(f"want bool entries (True = real token), got {mask.dtype}")
    mask = mask.squeeze(1)
    if torch.equal(mask, ~real):
        raise Mistake("the mask is upside down: True must stand at real tokens, False at padding")
    if torch.equal(mask, tokens != 0) or torch.equal(mask, tokens > 0):
        raise Mistake(
            "the mask compares with 0, but the pad id handed over is 9: source and target may "
            "have different pad ids"
        )
    if mask.all():
        raise Mistake("no position is hidden: compare the tokens with pad_id")
    if torch.equal(mask, real[:1].expand_as(real)):
        raise Mistake("every sentence got the mask of sentence 0: each row has its own padding")
    if not torch.equal(mask, real):
        row, place = (mask != real).nonzero()[0].tolist()
        raise Mistake(
            f"row {row}, position {place}: token {tokens[row, place]} with pad_id 9 must give "
            f"{bool(real[row, place])}"
        )
    other = want_tensor(call(answer, tokens, 3), (batch, 1, seq_len), "(batch, 1, seq_len)")
    if not torch.equal(other.squeeze(1), tokens != 3):
        raise Mistake("with another pad_id the mask stays the same: use the argument, not a number")
    empty = call(answer, torch.full((2, 4), pad_id), pad_id)
    if want_tensor(empty, (2, 1, 4), "(batch, 1, seq_len)").any():
        raise Mistake("a sentence of padding alone must be False everywhere")
    return "One row for each sentence, shared by all its queries."


def judge_mask_shape(shape: tuple, batch: int, seq_len: int) -> None:
    """Name the axes that a mask of the wrong shape has."""
    if shape == (batch, seq_len, 1):
        raise Mistake(
            "shape (batch, seq_len, 1) hides the queries, one row each; the padding must be "
            "hidden as keys, so the sentence belongs on the last axis"
        )
    if shape == (batch, seq_len):
        raise Mistake(
            "shape (batch, seq_len) would be read as (tgt_len, src_len): "
            "add an axis of size 1 in the middle"
        )
    if shape == (batch, 1, 1, seq_len):
        raise Mistake(
            "shape (batch, 1, 1, seq_len) has an axis for heads already: "
            "here want (batch, 1, seq_len), heads come in notebook 08"
        )
    if shape == (1, batch, seq_len):
        raise Mistake("the new axis stands in front of the batch: it belongs between the two axes")


# ---- 3.3 ----


@exercise("3.3")
def check_last_state(answer: Callable) -> str:
    """my_last_state(states, mask) -> (batch, d_model)."""
    lengths = torch.tensor([5, 3, 2, 0])
    batch, seq_len, d_model = 4, 7, 6
    states = torch.randn(batch, seq_len, d_model)
    mask = (torch.arange(seq_len) < lengths[:, None]).unsqueeze(1)

    result = call(answer, states, mask)
    if isinstance(result, Tensor) and tuple(result.shape) == (batch, batch, d_model):
        raise Mistake(
            "shape (batch, batch, d_model): `states[:, last]` takes every `last` from every row; "
            "pair each row number with its own position"
        )
    if isinstance(result, Tensor) and tuple(result.shape) == (batch, 1, d_model):
        raise Mistake("one axis too many, (batch, 1, d_model): take the axis of size 1 away")
    want_tensor(result, (batch, d_model), "(batch, d_model)")
    want_finite(result, "a sentence without tokens has length 0, do not divide by it")
    real = slice(0, 3)                      # the sentences that have tokens
    expected = states[torch.arange(batch), (lengths - 1).clamp(min=0)]
    if not same(result[real], expected[real]):
        for wrong, message in wrong_states(states, mask, lengths):
            if same(result[real], wrong[real]):
                raise Mistake(message)
        raise Mistake(
            "sentence 1 has 3 real tokens, so its row must be states[1, 2]: it is something else"
        )
    if not same(result[3], torch.zeros(d_model)):
        raise Mistake("a sentence without any token must give zeros: length 0 needs its own care")
    full = torch.ones(batch, 1, seq_len, dtype=torch.bool)
    if not same(call(answer, states, full), states[:, -1]):
        raise Mistake("without padding the answer must be states[:, -1]: a full row goes wrong")
    for lengths in ([2], [1, 4, 4, 3, 1]):
        judge_other_sizes(answer, torch.tensor(lengths))
    return "The state does not depend on the neighbours in the batch."


def judge_other_sizes(answer: Callable, lengths: Tensor) -> None:
    """A batch of another size, even of one, goes right, and a gradient comes back through it."""
    batch, seq_len, d_model = len(lengths), 5, 3
    states = torch.randn(batch, seq_len, d_model, requires_grad=True)
    mask = (torch.arange(seq_len) < lengths[:, None]).unsqueeze(1)
    result = call(answer, states, mask)
    want_tensor(result, (batch, d_model), f"(batch, d_model) for a batch of {batch}")
    if not same(result.detach(), states.detach()[torch.arange(batch), lengths - 1]):
        raise Mistake(
            f"a batch of {batch} with lengths {lengths.tolist()} goes wrong: take every size from "
            "the states and the mask, none from the example"
        )
    if not result.requires_grad:
        raise Mistake(
            "no gradient comes back through your answer, so the network could not learn: leave "
            "out detach(), no_grad() and copies by .data or .tolist()"
        )


def wrong_states(states: Tensor, mask: Tensor, lengths: Tensor) -> list[tuple[Tensor, str]]:
    """What the known wrong formulas give, each with its message."""
    rows = torch.arange(len(states))
    weights = mask.squeeze(1).unsqueeze(-1).to(states.dtype)    # (batch, seq_len, 1)
    total = (states * weights).sum(1)
    return [
        (
            states[:, -1],
            "this is states[:, -1]: in a padded row that is the state after the padding",
        ),
        (
            states[:, lengths.max() - 1],
            "every row is read at the end of the longest sentence: use each row's own length",
        ),
        (
            states[rows, (lengths - 2).clamp(min=0)],
            "one position too early, the state before the last real token: "
            "position = number of real tokens - 1; the mask already counts what is real",
        ),
        (
            states[rows, lengths],
            "one position too late, the state after the first <pad>: positions start at 0",
        ),
        (states[:, 0], "this is the state after the first token: want the last real one"),
        (states.mean(1), "this is a mean over all positions: want one state, the last real one"),
        (
            total / lengths.clamp(min=1).unsqueeze(1),
            "this is the mean of the real states: want one state, the last real one",
        ),
        (total, "this is the sum of the real states: want one state, the last real one"),
    ]


# ---- 3.4 ----

SEEN = [
    "the cat sees the dog",
    "the cat sees a fox",
    "the dog sees the cat",
    "the cat sees the dog",
    "to day is a day",
]
ASKED = [
    "the cat sees a fox",       # stands in train, at another row
    "the cat sees a bear",      # the same ids as row 0 if fox and bear are unknown
    "dog the sees cat the",     # the same words in another order
    "the cat sees the dog",     # stands in train twice
    "today is a day",           # the same letters without spaces
    "the cat sees the dog",     # again
    "a bear sees the dog",      # twice in test, never in train
    "a bear sees the dog",
    "cat sees the dog",         # the same set of words, one of them fewer times
]


@exercise("3.4")
def check_find_duplicates(answer: Callable) -> str:
    """my_find_duplicates(train, test, vocab) -> row numbers of test that stand in train."""
    train, test = ([row.split() for row in rows] for rows in (SEEN, ASKED))
    vocab = Vocabulary(train, min_count=2)
    rows = want_rows(call(answer, train, test, vocab), len(test))
    if len(set(rows)) < len(rows):
        raise Mistake("a row number is there twice: a test sentence counts once, however often "
                      "it stands in train")
    if set(rows) != {0, 3, 5}:
        for wrong, message in wrong_duplicates(train, test, vocab):
            if set(rows) == wrong:
                raise Mistake(message)
        missing, extra = {0, 3, 5} - set(rows), set(rows) - {0, 3, 5}
        if missing:
            raise Mistake(f"'{ASKED[min(missing)]}' stands word for word in train: it is missing")
        raise Mistake(f"'{ASKED[min(extra)]}' does not stand in train: it should not be listed")
    if want_rows(call(answer, train, [], vocab), 0):
        raise Mistake("a test part without sentences has no duplicates: want an empty list")
    return "Tokens are compared, not ids."


def wrong_duplicates(train, test, vocab) -> list[tuple[set[int], str]]:
    """What the known wrong ways find, each with its message."""

    def found(key: Callable[[list[str]], object]) -> set[int]:
        seen = {key(tokens) for tokens in train}
        return {row for row, tokens in enumerate(test) if key(tokens) in seen}

    inside = {row for row, tokens in enumerate(test) if test.count(tokens) > 1}
    later = {row for row, tokens in enumerate(test) if tokens in test[:row]}
    return [
        (
            found(lambda tokens: tuple(vocab.encode(tokens))),
            "sentences with different unknown words are called equal, because ids were compared: "
            "compare the tokens, before they become <unk>",
        ),
        (inside, INSIDE),
        (later, INSIDE),
        (
            found(lambda tokens: tuple(sorted(tokens))),
            "the order of the words is ignored: 'dog the sees cat the' is another sentence",
        ),
        (
            found(frozenset),
            "sentences are compared as sets of words: order and repetition count too",
        ),
        (
            found("".join),
            "'to day' and 'today' are called equal: keep the tokens apart when you join them",
        ),
        (
            {row for row, pair in enumerate(zip(train, test)) if pair[0] == pair[1]},
            "each test row was compared with the train row of the same number: "
            "a duplicate may stand anywhere in train",
        ),
        (
            {row for row, tokens in enumerate(train) if tokens in test},
            "these are rows of train: want the rows of test",
        ),
        (
            set(range(len(test))) - {0, 3, 5},
            "these are the rows that do NOT stand in train: turn the condition round",
        ),
        ({0, 3}, "a sentence that stands in test twice was reported once: want all its rows"),
    ]


INSIDE = (
    "these are repetitions inside test: duplicates within one part are harmless, "
    "look for test sentences that stand in train"
)


def want_rows(result, n_rows: int) -> list[int]:
    """Make sure that an answer is a collection of row numbers of the test part."""
    if isinstance(result, tuple) and len(result) == 1 and isinstance(as_list(result[0]), list):
        result = result[0]                  # np.where gives one array for each axis
    result = as_list(result)
    if isinstance(result, int | float):
        raise Mistake("want the row numbers themselves, got one number: return a list")
    if isinstance(result, str | dict) or not isinstance(result, Iterable):
        raise Mistake(f"want a list of row numbers, got {type(result).__name__}")
    rows = [as_list(row) for row in result]
    for row in rows:
        if isinstance(row, list | tuple | str):
            raise Mistake("want row numbers, got the sentences: use enumerate(test)")
        if isinstance(row, bool):
            raise Mistake("want row numbers, got True and False: keep the numbers of the True rows")
        if not isinstance(row, Integral) or not 0 <= row < n_rows:
            raise Mistake(f"{describe_row(row)} is no row number of test: rows are 0 to n - 1")
    return rows


def describe_row(row) -> str:
    """A short name for an entry that should have been a row number."""
    return str(row) if isinstance(row, int | float) else type(row).__name__

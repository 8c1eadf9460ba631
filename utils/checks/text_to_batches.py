"""The exercises of notebook 03: vocabulary, padding mask, last state, duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from numbers import Integral

import torch
from torch import Tensor

from utils.checks.core import Mistake, call, exercise
from utils.checks.kinds import Trial, agree, as_dtype, case
from utils.recurrent import last_state
from utils.text import BOS, EOS, PAD, UNK, Vocabulary, padding_mask

# ---- 3.1 ----

TEXTS = ("the cat sees the dog|the dog sees a sign <eos>|read the sign <eos>|bye bye",
         "a cat sees a fox|fox fox", "the owl sees a cat|owl owl")
OTHER_TEXTS = ("ja ja nein|nein <unk> doch doch", "", "ja und nein")
SPECIALS = (PAD, UNK, BOS, EOS)
ASKED = "the cat zebra sees fox dog the owl a sign <eos> read bye The"


@exercise("3.1")
def check_vocabulary(answer: Callable) -> str:
    """my_vocabulary(train, valid, test, specials, min_count, tokens) -> the ids of tokens."""

    def texts(words, parts=TEXTS, specials=SPECIALS, min_count=1, asked=ASKED, hint=""):
        return case(words, *map(sentences, parts), specials, min_count, asked.split(), hint=hint)

    agree(read_back(answer), read_back(right_ids), [
        texts("min_count 1"),
        texts("min_count 2", min_count=2),
        texts("min_count 3", min_count=3),
        texts("another order of the specials", specials=(BOS, EOS, UNK, PAD),
              hint="the specials keep the order in which you get them; look up the id of <unk>"),
        texts("five specials", specials=(PAD, BOS, "<sep>", UNK, EOS), asked=f"{ASKED} <sep>",
              hint="every special that stands in a text is an unknown word, whichever it is"),
        texts("other texts", OTHER_TEXTS, asked="nein doch ja und the <unk> <pad> <bos> <eos>"),
        texts("the words <3 and >", ("i <3 you|<3 >", "", ""), asked="you <3 > <eos>",
              hint="they look like a special and are none: look whether the word is in specials"),
        texts("a sentence without tokens", asked="", hint="want an empty list"),
        texts("a train part without sentences", ("", *TEXTS[1:]), hint="all words are unknown"),
    ], vocabulary_mistakes(), axes={"ids": (), "sorted(ids of all words)": ()},
        advice="Specials first, then the words that are frequent enough in train; all else is "
        "<unk>")
    return "A word outside train is <unk>, and no text can forge a special."


def sentences(text: str) -> list[list[str]]:
    """Lists of tokens, from a text in which | stands between sentences."""
    return [part.split() for part in text.split("|") if part]


def right_ids(train, valid, test, specials, min_count, tokens) -> list[int]:
    """What is asked for."""
    return Vocabulary(train, min_count, specials).encode(tokens)


def read_back(answer: Callable) -> Callable:
    """The answer with its ids in words, since the order of the words is free.

    It returns what the id of each token stands for, and the ids that the words have.
    """

    def read(train, valid, test, specials, min_count, tokens) -> tuple[list[str], list[int]]:
        def ids(asked: list[str]) -> list[int]:
            given = train, valid, test, specials, min_count, asked
            try:
                return want_ids(call(by_name(given), *given), asked)
            except Mistake as mistake:
                if isinstance(mistake.__cause__, KeyError):
                    raise Mistake(f"{mistake}. A word that the vocabulary lacks must get the id "
                                  "of <unk>") from mistake
                raise

        by_name = Trial(answer, right_ids, {}, None).by_name
        found = ids(tokens)
        words = sorted({w for s in (*train, *valid, *test, tokens) for w in s})
        known = dict(zip(words, ids(words)))
        names = {number: "the entry of " + ", ".join(w for w in words if known[w] == number)
                 for number in known.values()} | dict(enumerate(specials))
        said = [f"{token} → {names.get(number, number)}" for token, number in zip(tokens, found)]
        return said, sorted(n for n in known.values() if n != specials.index(UNK))

    return read


def want_ids(result, tokens: list[str]) -> list[int]:
    """Make sure that an answer holds one whole number for each token."""
    result = as_list(result)
    if not isinstance(result, list | tuple):
        raise Mistake(f"want a list of ids, got {type(result).__name__}")
    numbers = [as_list(entry) for entry in result]
    for entry in numbers:
        if isinstance(entry, bool) or not isinstance(entry, Integral):
            raise Mistake(f"an id is a whole number, got {type(entry).__name__}")
    if len(numbers) != len(tokens):
        raise Mistake(f"want one id for each of {len(tokens)} tokens, got {len(numbers)}: words "
                      "that the vocabulary lacks are <unk>, none is left out")
    return numbers


def as_list(result):
    """A tensor or array as a list of Python's own numbers; anything else as it is."""
    return result.tolist() if callable(getattr(result, "tolist", None)) else result


def vocabulary_mistakes() -> list[tuple[Callable, str]]:
    """A vocabulary with one step wrong, and what to say then."""

    def build(order, parts=(0,), keep=lambda n, least: n >= least, once=False, unknown=None,
              table=lambda specials, words: [*specials, *words], place=None, shield=True,
              twice=False) -> Callable:
        def answer(*given):
            specials, least, tokens = given[3:]
            counts = Counter(word for part in parts for sentence in given[part]
                             for word in (set(sentence) if once else sentence))
            counts = {word: counts[word] for word in order(counts)}
            words = [word for word, n in counts.items() if keep(n, least)
                     and (twice or word not in specials)]
            ids = {token: number for number, token in enumerate(table(specials, words))}
            if place:
                ids |= place(counts, words, specials)
            other = ids[UNK] if unknown is None else unknown(specials)
            return [other if shield and t in specials else ids.get(t, other) for t in tokens]

        return read_back(answer)

    def before_dropping(counts, words, specials):
        kept = [word for word in counts if word not in specials]
        return {word: len(specials) + kept.index(word) for word in words}

    orders = list, sorted, lambda counts: [word for word, _ in counts.most_common()]
    known = [
        (dict(parts=(0, 1)), "'fox' stands only in the validation part, yet it has an id: count "
         "words of train only"),
        (dict(parts=(0, 2)), "'owl' stands only in the test part, yet it has an id: a "
         "vocabulary that has seen the test makes the unknown rate look better than it is"),
        (dict(parts=(0, 1, 2)), "words of the validation and test parts have ids: count words of "
         "train only"),
        (dict(place=lambda counts, words, specials: {w: n for n, w in enumerate(words)}), "the "
         "words are numbered from 0, so the first has the id of <pad>: it must come after the last "
         "special"),
        (dict(table=lambda specials, words: [*words, *specials]), "the specials come after the "
         "words: they must have the first ids, 0, 1, 2, 3"),
        (dict(shield=False), "the letters <eos> in a text became the real end mark: a sentence "
         "could end the decoder; in a text they are an unknown word"),
        *((dict(shield=False, twice=True, unknown=unknown), "the letters <eos> in a text took an "
           "id as a word, so the end mark is there twice: leave the specials out when you number "
           "the words") for unknown in (None, lambda specials: specials.index(UNK))),
        (dict(table=lambda specials, words: [*sorted(specials), *words]), "the specials were "
         "sorted: they keep the order in which you get them"),
        (dict(unknown=lambda specials: specials.index(PAD)), "an unknown word became <pad>: the "
         "model would read it as empty space"),
        (dict(unknown=lambda specials: 1), "<unk> is not always number 1: look its id up in the "
         "specials you are given"),
        (dict(keep=lambda n, least: True), "rare words have an id: use min_count"),
        (dict(keep=lambda n, least: n > least), "a word that occurs exactly min_count times must "
         "stay: compare with >="),
        (dict(once=True), "'bye' occurs twice, in one sentence: count occurrences, not sentences"),
        (dict(place=before_dropping), "number the words after dropping the rare ones, otherwise "
         "the ids have gaps, and each gap is a row of the embedding that is never used"),
    ]
    return [(build(order, **how), words) for how, words in known for order in orders]


# ---- 3.2 ----


@exercise("3.2")
def check_padding_mask(answer: Callable) -> str:
    """my_padding_mask(tokens, pad_id) -> (batch, 1, seq_len), bool, True at real tokens."""
    tokens = torch.randint(1, 20, (3, 7)).masked_fill_(torch.arange(7) == 2, 5)
    tokens[tokens == 9] = 8
    for row, length in enumerate((6, 4, 1)):
        tokens[row, length:] = 9
    tokens[0, [0, 1, 3]] = torch.tensor([0, 1, 19])    # real tokens, whatever their numbers
    agree(answer, padding_mask, [
        case("pad_id 9", tokens, 9),
        case("pad_id 5", tokens, 5, hint="use the argument, not a number"),
        case("pad_id 0", torch.randint(1, 9, (5, 11)).masked_fill_(torch.arange(11) > 8, 0), 0),
        case("a batch of one", torch.tensor([[4, 7, 7]]), 7, hint="the axis of the batch stays"),
        case("one word", torch.tensor([[4], [1]]), 1, hint="the axis of the words stays, and a row "
             "of padding alone is False everywhere"),
        case("padding alone", torch.full((2, 4), 9), 9, hint="such a row is False everywhere"),
        case("ids as int32", tokens.int(), 9),
    ], [
        (lambda t, pad: (t == pad)[:, None], "the mask is upside down: True must stand at real "
         "tokens, False at padding"),
        *((f, "the mask compares with 0, but the pad id handed over is 9: source and target may "
           "have different pad ids") for f in (
               lambda t, pad: (t != 0)[:, None], lambda t, pad: (t > 0)[:, None])),
        (lambda t, pad: torch.ones_like(t)[:, None] > 0, "no position is hidden: compare the "
         "tokens with pad_id"),
        (lambda t, pad: (t[:1] != pad).expand_as(t)[:, None], "every sentence got the mask of "
         "sentence 0: each row has its own padding"),
        (lambda t, pad: (t < pad)[:, None], "only tokens below pad_id count as real: all others "
         "than pad_id are, want !="),
        (lambda t, pad: (t > pad)[:, None], "only tokens above pad_id count as real: all others "
         "than pad_id are, want !="),
        (lambda t, pad: (t != pad)[..., None], "shape (batch, seq_len, 1) hides the queries, one "
         "row each; the padding must be hidden as keys, so the sentence belongs on the last axis"),
        (lambda t, pad: t != pad, "shape (batch, seq_len) would be read as (tgt_len, src_len): add "
         "an axis of size 1 in the middle"),
        (lambda t, pad: (t != pad)[:, None, None], "shape (batch, 1, 1, seq_len) has an axis for "
         "heads already: here want (batch, 1, seq_len), heads come in notebook 08"),
        (lambda t, pad: (t != pad)[None], "the new axis stands in front of the batch: it belongs "
         "between the two axes"),
        (lambda t, pad: (t != pad)[:, None].expand(-1, t.size(1), -1), "the mask has one row for "
         "each word: one row serves all queries, an axis of size 1"),
    ], axes={"mask": ("sentence", "query", "place")}, advice="Want True where the token is not "
        "pad_id, whatever else it is, <unk> too")
    return "One row for each sentence, shared by all its queries."


# ---- 3.3 ----


@exercise("3.3")
def check_last_state(answer: Callable) -> str:
    """my_last_state(states, mask) -> (batch, d_model)."""

    def padded(words: str, *lengths: int, seq_len: int, d_model: int, hint: str = ""):
        mask = (torch.arange(seq_len) < torch.tensor(lengths)[:, None]).unsqueeze(1)
        return case(words, torch.randn(len(lengths), seq_len, d_model), mask, hint=hint)

    first = padded("lengths 3, 5, 2", 3, 5, 2, seq_len=7, d_model=6)
    agree(answer, last_state, [
        first,
        padded("other sizes", 1, 4, 9, 3, 1, seq_len=9, d_model=8),
        padded("a sentence without tokens", 3, 0, 2, seq_len=4, d_model=5, hint="it must give "
               "zeros: length 0 needs its own care (do not divide by it)"),
        padded("a batch of one", 2, seq_len=5, d_model=3, hint="the axis of the batch stays"),
        padded("one word and one feature", 1, 1, seq_len=1, d_model=1, hint="both axes stay"),
        padded("no padding", 4, 4, seq_len=4, d_model=2, hint="there it is states[:, -1]"),
        padded("no tokens at all", 0, 0, seq_len=3, d_model=2, hint="want zeros"),
        padded("up to 300 tokens", 300, 129, 257, seq_len=300, d_model=1, hint="the number of "
               "tokens must fit its type: int8 ends at 127, uint8 at 255"),
        *(as_dtype(first, dtype, f"states of {dtype}", "the result has the type of `states`, its "
                   "zeros too") for dtype in (torch.float16, torch.bfloat16)),
    ], state_mistakes(), axes={"the result": ("sentence", "feature"),
                               "states": ("sentence", "", ""), "mask": ("sentence", "", "")},
        advice="Sentence 0 has 3 real tokens, so its row must be states[0, 2]")
    return "The state does not depend on the neighbours in the batch."


def state_mistakes() -> list[tuple[Callable, str]]:
    """Another state than the last real one, and what to say then."""

    def lengths(mask: Tensor) -> Tensor:
        return mask.sum(dim=-1).squeeze(1)

    def at(states: Tensor, places: Tensor) -> Tensor:
        return states[torch.arange(len(states)), places]

    def total(states: Tensor, mask: Tensor) -> Tensor:
        return (states * mask.mT).sum(1)

    early = ("one position too early, the state before the last real token: position = number of "
             "real tokens - 1; the mask already counts what is real")
    return [
        (lambda s, m: s[:, -1], "this is states[:, -1]: in a padded row that is the state after "
         "the padding"),
        (lambda s, m: s[:, lengths(m).max() - 1], "every row is read at the end of the longest "
         "sentence: use each row's own length"),
        *((f, early) for f in (lambda s, m: at(s, (lengths(m) - 2).clamp(min=0)),
                               lambda s, m: at(s, lengths(m) - 2))),
        (lambda s, m: at(s, lengths(m)), "one position too late, the state after the first <pad>: "
         "positions start at 0"),
        (lambda s, m: s[:, 0], "this is the state after the first token: want the last real one"),
        (lambda s, m: s.mean(1), "this is a mean over all positions: want one state, the last "
         "real one"),
        *((lambda s, m, least=least: total(s, m) / lengths(m).clamp(min=least)[:, None], "this is "
           "the mean of the real states: want one state, the last real one") for least in (0, 1)),
        (total, "this is the sum of the real states: want one state, the last real one"),
        (lambda s, m: s.masked_fill(~m.mT, -torch.inf).amax(1), "this is the largest of the real "
         "states, feature by feature: want one state, the last real one"),
        *((f, "a sentence without any token must give zeros: length 0 needs its own care") for f
          in (lambda s, m: at(s, lengths(m) - 1), lambda s, m: at(s, (lengths(m) - 1).clamp(0)))),
        (lambda s, m: s[:, (lengths(m) - 1).clamp(min=0)], "shape (batch, batch, d_model): "
         "`states[:, last]` takes every `last` from every row; pair each row number with its own "
         "position"),
        (lambda s, m: last_state(s, m)[:, None], "one axis too many, (batch, 1, d_model): take "
         "the axis of size 1 away"),
    ]


# ---- 3.4 ----

SEEN = "the cat sees the dog|the cat sees a fox|the dog sees the cat|the cat sees the dog"
# in train at another row; equal to row 0 in ids alone; another order; twice in train; the letters
# without spaces; again; twice in test alone; the same set of words; the beginning of one, and more
TESTED = ("the cat sees a fox|the cat sees a bear|dog the sees cat the|the cat sees the dog|"
          "today is a day|the cat sees the dog|a bear sees the dog|a bear sees the dog|"
          "cat sees the dog|the cat sees|the cat sees a fox now|The cat sees the dog")


@exercise("3.4")
def check_find_duplicates(answer: Callable) -> str:
    """my_find_duplicates(train, test, vocab) -> row numbers of test that stand in train."""
    train = sentences(f"{SEEN}|to day is a day")
    other = sentences("ja ja|ja nein|doch|und|nein nein")
    vocab = Vocabulary(train, min_count=2)
    agree(each_row(answer), each_row(duplicates), [
        case("the first sentences", train, sentences(TESTED), vocab),
        case("other sentences", other, sentences("doch|ja|ja doch|nein nein|ja ja"),
             Vocabulary(other)),
        case("all rows", train, train[1:3], vocab),
        case("a test part without sentences", train, [], vocab, hint="want an empty list"),
        case("an empty sentence in both", [["ja"], []], [["nein"], [], ["ja"]], Vocabulary(other),
             hint="a sentence without words is a sentence, too: it stands in train"),
        case("a train part without sentences", [], train[:2], vocab, hint="want an empty list"),
    ], duplicate_mistakes(), axes={"row": ()}, advice="Want the row numbers of the test sentences "
        "that stand in train, all words in the same order; rows count from 0")
    return "Tokens are compared, not ids."


def duplicates(train, test, vocab) -> list[int]:
    """What is asked for."""
    return [row for row, tokens in enumerate(test) if tokens in train]


def each_row(answer: Callable) -> Callable:
    """The answer, said row by row of test, since the order of the row numbers is free."""

    def say(train, test, vocab) -> list[str]:
        given = train, test, vocab
        by_name = Trial(answer, duplicates, {}, None).by_name(given)
        rows = Counter(want_rows(call(by_name, *given), len(test)))
        times = "not listed", "listed"
        names = [" ".join(tokens) or "(no words)" for tokens in test]
        return [f"{name}: {(*times, f'listed {rows[row]} times')[min(rows[row], 2)]}"
                for row, name in enumerate(names)]

    return say


def want_rows(result, n_rows: int) -> list[int]:
    """Make sure that an answer is a collection of row numbers of the test part."""
    if isinstance(result, tuple) and len(result) == 1 and isinstance(as_list(result[0]), list):
        result = result[0]                  # np.where gives one array for each axis
    result = as_list(result.flatten() if hasattr(result, "flatten") else result)
    if isinstance(result, int | float):
        raise Mistake("want the row numbers themselves, got one number: return a list")
    if isinstance(result, str | dict) or not isinstance(result, Iterable):
        raise Mistake(f"want a list of row numbers, got {type(result).__name__}")
    rows = [as_list(row) for row in result]
    for row in rows:
        if isinstance(row, list | tuple):
            raise Mistake("want row numbers, got the sentences: use enumerate(test)")
        if isinstance(row, bool):
            raise Mistake("want row numbers, got True and False: keep the numbers of the True rows")
        if not isinstance(row, Integral) or not 0 <= row < n_rows:
            raise Mistake(f"{row!r:.20} is no row number of test: want whole numbers from 0 to "
                          "n - 1")
    return rows


def duplicate_mistakes() -> list[tuple[Callable, str]]:
    """Another way of comparing sentences, and what to say then."""

    def same(key: Callable) -> Callable:
        def answer(train, test, vocab):
            seen = {key(tokens, vocab) for tokens in train}
            return [row for row, tokens in enumerate(test) if key(tokens, vocab) in seen]

        return answer

    def once(train, test, vocab):
        return [row for row in duplicates(train, test, vocab) if test[row] not in test[:row]]

    def once_last(train, test, vocab):
        return [row for row in duplicates(train, test, vocab) if test[row] not in test[row + 1:]]

    inside = ("these are repetitions inside test: duplicates within one part are harmless, look "
              "for test sentences that stand in train")
    known = [
        (same(lambda tokens, vocab: tuple(vocab.encode(tokens))), "sentences with different "
         "unknown words are called equal, because ids were compared: compare the tokens, before "
         "they become <unk>"),
        (lambda train, test, vocab: [i for i, t in enumerate(test) if test.count(t) > 1], inside),
        (lambda train, test, vocab: [i for i, t in enumerate(test) if t in test[:i]], inside),
        (same(lambda tokens, vocab: tuple(sorted(tokens))), "the order of the words is ignored: "
         "'dog the sees cat the' is another sentence"),
        (same(lambda tokens, vocab: frozenset(tokens)), "sentences are compared as sets of words: "
         "order and repetition count too"),
        (same(lambda tokens, vocab: "".join(tokens)), "'to day' and 'today' are called equal: "
         "keep the tokens apart when you join them"),
        (same(lambda tokens, vocab: " ".join(tokens).lower()), "'The' and 'the' are called equal: "
         "they are two words, want word for word"),
        (lambda train, test, vocab: [i for i, (a, b) in enumerate(zip(train, test)) if a == b],
         "each test row was compared with the train row of the same number: a duplicate may stand "
         "anywhere in train"),
        (lambda train, test, vocab: [i for i, s in enumerate(test) if any(
            all(a == b for a, b in zip(s, t)) for t in train)], "a sentence and its beginning are "
         "called equal: the lengths must be equal, too (zip stops at the shorter one)"),
        (lambda train, test, vocab: [i for i, t in enumerate(train) if t in test], "these are "
         "rows of train: want the rows of test"),
        (lambda train, test, vocab: [i for i, t in enumerate(test) if t not in train], "these are "
         "the rows that do NOT stand in train: turn the condition round"),
        *((f, "a sentence that stands in test twice was reported once: want all its rows")
          for f in (once, once_last)),
        (lambda train, test, vocab: [test.index(t) for t in test if t in train], "a sentence that "
         "stands in test twice gave its first row twice (test.index finds no other): use "
         "enumerate(test)"),
        (lambda train, test, vocab: [i for i, t in enumerate(test) if t in train or t in test[:i]],
         "repetitions inside test are reported, too: look in train alone"),
        (lambda train, test, vocab: [row + 1 for row in duplicates(train, test, vocab)], "every "
         "number is one too high: rows count from 0"),
        (lambda train, test, vocab: [i for i, t in enumerate(test) if any(
            " ".join(t) in " ".join(s) for s in train)], "a test sentence that is a part of a "
         "train sentence is reported: compare whole sentences"),
        (same(lambda tokens, vocab: tuple(t for t in tokens if t in vocab.ids)), "unknown words "
         "are left out of the comparison: compare all tokens"),
        (lambda train, test, vocab: [i for t in train for i, s in enumerate(test) if s == t], "a "
         "row number is there twice: a test sentence counts once, however often it stands in "
         "train"),
    ]
    return [(each_row(function), words) for function, words in known]

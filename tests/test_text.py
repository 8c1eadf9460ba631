"""utils/text.py: tokens, vocabulary, padding, masks, batches, buckets."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils.text import (
    BOS,
    EOS,
    PAD,
    UNK,
    Batches,
    Vocabulary,
    bucket_by_length,
    make_batch,
    pad_rows,
    padding_mask,
    split_characters,
    split_jamo,
    split_words,
)

SPECIALS = (PAD, UNK, BOS, EOS)
WORDS = st.text(alphabet="abcdeあ학é", min_size=1, max_size=3)
SENTENCES = st.lists(WORDS, max_size=9)
CORPORA = st.lists(SENTENCES, min_size=1, max_size=30)
ROWS = st.lists(st.lists(st.integers(0, 50), max_size=8), max_size=9)


class Pair(NamedTuple):
    """A sentence pair as the corpora give it."""

    src: list[str]
    tgt: list[str]


PAIRS = st.lists(st.builds(Pair, SENTENCES, SENTENCES), min_size=1, max_size=30)


# ---- tokens ----


@pytest.mark.parametrize(
    "sentence, tokens",
    [
        ("this is a pen", ["this", "is", "a", "pen"]),
        ("  two   spaces\tand\na line ", ["two", "spaces", "and", "a", "line"]),
        ("나 는 학교 에 간다", ["나", "는", "학교", "에", "간다"]),
        ("全角\u3000空白 と\u00a0数", ["全角", "空白", "と", "数"]),
        ("か\u3099 e\u0301 \u1112\u1161\u11a8", ["が", "é", "학"]),
        ("", []),
        ("   ", []),
    ],
)
def test_split_words(sentence: str, tokens: list[str]) -> None:
    assert split_words(sentence) == tokens


def test_split_characters() -> None:
    assert split_characters("학교 에") == ["학", "교", "에"]
    assert split_characters("ペン です") == ["ペ", "ン", "で", "す"]
    assert split_characters("全角\u3000空白") == ["全", "角", "空", "白"]
    assert split_characters("か\u3099 \u1112\u1161\u11a8") == ["が", "학"]
    assert split_characters("") == []


def test_split_jamo() -> None:
    assert split_jamo("학교") == ["\u1112", "\u1161", "\u11a8", "\u1100", "\u116d"]
    assert split_jamo("a pen") == ["a", "p", "e", "n"]
    assert split_jamo("é が") == ["e", "\u0301", "か", "\u3099"]
    assert split_jamo(" ") == []


@given(st.text(alphabet=st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)))
def test_each_syllable_has_two_or_three_jamo(syllables: str) -> None:
    with_final = sum((ord(s) - 0xAC00) % 28 > 0 for s in syllables)
    assert len(split_jamo(syllables)) == 2 * len(syllables) + with_final


# ---- vocabulary ----


@given(CORPORA)
def test_known_words_come_back(sentences: list[list[str]]) -> None:
    vocab = Vocabulary(sentences)
    for tokens in sentences:
        assert vocab.decode(vocab.encode(tokens)) == tokens


@given(CORPORA, st.permutations(SPECIALS), st.integers(1, 4))
def test_ids_are_a_numbering(sentences, specials, min_count) -> None:
    vocab = Vocabulary(sentences, min_count, specials)
    assert vocab.tokens[:4] == list(specials)
    assert [vocab.ids[token] for token in vocab.tokens] == list(range(len(vocab)))
    written = [word for tokens in sentences for word in tokens]
    assert set(vocab.tokens[4:]) == {w for w in written if written.count(w) >= min_count}
    assert vocab.tokens[vocab.pad_id] == PAD
    assert vocab.tokens[vocab.unk_id] == UNK


@given(CORPORA)
def test_frequent_words_come_first(sentences: list[list[str]]) -> None:
    written = [word for tokens in sentences for word in tokens]
    counts = [written.count(word) for word in Vocabulary(sentences).tokens[4:]]
    assert counts == sorted(counts, reverse=True)


def test_the_order_is_the_same_each_time() -> None:
    sentences = [["b", "a"], ["c"], ["a"]]
    assert Vocabulary(sentences).tokens == [*SPECIALS, "a", "b", "c"]


def test_an_unknown_word_is_unk() -> None:
    vocab = Vocabulary([["a", "pen"]])
    assert vocab.encode(["a", "cat"]) == [4, vocab.unk_id]
    assert vocab.decode([4, vocab.unk_id]) == ["a", UNK]


@pytest.mark.parametrize("special", SPECIALS)
def test_no_text_can_forge_a_special(special: str) -> None:
    vocab = Vocabulary([["a", special, special]])
    assert vocab.tokens == [*SPECIALS, "a"]
    assert vocab.encode([special, "a"]) == [vocab.unk_id, 4]


def test_decode_stops_at_the_end_mark() -> None:
    vocab = Vocabulary([["a", "b"]])
    bos, eos, pad = (vocab.ids[s] for s in (BOS, EOS, PAD))
    assert vocab.decode([bos, 4, pad, 5, eos, 4, 4]) == ["a", "b"]
    assert vocab.decode([eos, 4]) == []
    assert vocab.decode([]) == []
    assert vocab.decode(torch.tensor([bos, 5, eos])) == ["b"]


def test_decode_wants_known_numbers() -> None:
    with pytest.raises(IndexError):
        Vocabulary([["a"]]).decode([5])


def test_an_empty_corpus_knows_the_specials() -> None:
    vocab = Vocabulary([])
    assert len(vocab) == 4
    assert vocab.encode(["a"]) == [vocab.unk_id]


# ---- padding and masks ----


@given(ROWS, st.integers(51, 99))
def test_pad_rows(rows: list[list[int]], pad_id: int) -> None:
    tokens = pad_rows(rows, pad_id)
    longest = max([1, *map(len, rows)])
    assert tokens.dtype == torch.long
    assert tuple(tokens.shape) == (len(rows), longest)
    for row, padded in zip(rows, tokens.tolist()):
        assert padded == row + [pad_id] * (longest - len(row))


@given(ROWS, st.integers(51, 99))
def test_padding_mask_shows_what_is_real(rows: list[list[int]], pad_id: int) -> None:
    tokens = pad_rows(rows, pad_id)
    mask = padding_mask(tokens, pad_id)
    assert mask.dtype == torch.bool
    assert tuple(mask.shape) == (len(rows), 1, tokens.size(1))
    assert mask.sum(-1).flatten().tolist() == [len(row) for row in rows]
    assert mask[:, 0].tolist() == (tokens != pad_id).tolist()


def test_padding_mask_hides_keys_for_every_query() -> None:
    batch, tgt_len, src_len = 2, 5, 7
    tokens = pad_rows([[1, 2, 3], [1] * src_len], pad_id=9)
    scores = torch.zeros(batch, tgt_len, src_len)
    hidden = scores.masked_fill(~padding_mask(tokens, 9), 1.0)
    assert hidden[0].tolist() == [[0, 0, 0, 1, 1, 1, 1]] * tgt_len
    assert not hidden[1].any()


# ---- batches ----


def test_make_batch_by_hand() -> None:
    src_vocab = Vocabulary([["a", "b"]], specials=(UNK, PAD))
    tgt_vocab = Vocabulary([["x", "y"]])
    pairs = [Pair(["a", "c"], ["y"]), Pair([], ["x", "x", "y"])]
    src, src_mask, tgt = make_batch(pairs, src_vocab, tgt_vocab)
    assert src.tolist() == [[2, 0], [1, 1]]
    assert src_mask.tolist() == [[[True, True]], [[False, False]]]
    assert tgt.tolist() == [[2, 5, 3, 0, 0], [2, 4, 4, 5, 3]]


@given(PAIRS)
def test_a_batch_comes_back_as_its_sentences(pairs: list[Pair]) -> None:
    src_vocab = Vocabulary([pair.src for pair in pairs], specials=(UNK, BOS, EOS, PAD))
    tgt_vocab = Vocabulary([pair.tgt for pair in pairs])
    batch = make_batch(pairs, src_vocab, tgt_vocab)
    assert [src_vocab.decode(row) for row in batch.src.tolist()] == [p.src for p in pairs]
    assert [tgt_vocab.decode(row) for row in batch.tgt.tolist()] == [p.tgt for p in pairs]
    assert torch.equal(batch.src_mask, padding_mask(batch.src, src_vocab.pad_id))
    assert (batch.tgt[:, 0] == tgt_vocab.ids[BOS]).all()
    assert ((batch.tgt == tgt_vocab.ids[EOS]).sum(1) == 1).all()


LENGTHS = st.lists(st.integers(0, 9), max_size=60)


@given(LENGTHS, st.integers(1, 12), st.integers(0, 5))
def test_buckets_hold_each_row_once(lengths, batch_size, seed) -> None:
    batches = bucket_by_length(lengths, batch_size, seed)
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert sum(len(rows) < batch_size for rows in batches) <= 1
    assert batches == bucket_by_length(lengths, batch_size, seed)


@given(LENGTHS, st.integers(1, 12))
def test_buckets_do_not_overlap_in_length(lengths, batch_size) -> None:
    spans = sorted(
        (min(lengths[row] for row in rows), max(lengths[row] for row in rows))
        for rows in bucket_by_length(lengths, batch_size)
    )
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_another_seed_gives_another_order() -> None:
    lengths = [3] * 40
    first, second = bucket_by_length(lengths, 8, 0), bucket_by_length(lengths, 8, 1)
    assert first != second
    assert sorted(map(sorted, first)) != sorted(map(sorted, second))    # other rows together too


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_needs_a_row(batch_size: int) -> None:
    with pytest.raises(ValueError, match="batch_size must be 1 or more"):
        bucket_by_length([1, 2], batch_size)


@given(PAIRS, st.integers(1, 7))
def test_batches_hold_each_pair_once(pairs: list[Pair], batch_size: int) -> None:
    src_vocab = Vocabulary([pair.src for pair in pairs])
    tgt_vocab = Vocabulary([pair.tgt for pair in pairs])
    batches = Batches(pairs, src_vocab, tgt_vocab, batch_size)
    for _ in range(2):
        seen = [
            (src_vocab.decode(src), tgt_vocab.decode(tgt))
            for batch in batches
            for src, tgt in zip(batch.src.tolist(), batch.tgt.tolist())
        ]
        assert sorted(seen) == sorted((p.src, p.tgt) for p in pairs)
    assert len(list(batches)) == len(batches)


def test_batches_change_with_the_epoch_and_the_seed_alone() -> None:
    pairs = [Pair([w], [w]) for w in "abcdefghijklmnop"]
    vocab = Vocabulary([pair.src for pair in pairs])

    def epochs(seed: int) -> list[list]:
        batches = Batches(pairs, vocab, vocab, 4, seed)
        return [[batch.src.tolist() for batch in batches] for _ in range(3)]

    assert epochs(0) == epochs(0)
    assert epochs(0) != epochs(1)
    first, second, third = epochs(0)
    assert first != second != third


def test_batches_keep_their_own_list() -> None:
    pairs = [Pair(["a"], ["b"])]
    vocab = Vocabulary([["a", "b"]])
    batches = Batches(pairs, vocab, vocab)
    pairs.clear()
    assert len(list(batches)) == 1

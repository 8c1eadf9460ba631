"""From sentences to batches: tokens, ids, padding (built in notebook 03)."""

import math
import random
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<bos>", "<eos>"


def split_words(sentence: str) -> list[str]:
    """Cut a sentence at its spaces; が is one sign then (Unicode form NFC)."""
    return unicodedata.normalize("NFC", sentence).split()


def split_characters(sentence: str) -> list[str]:
    """Cut a sentence into its characters; spaces are left out.

    A Korean character is one syllable: 학교 gives 학 and 교.
    """
    text = unicodedata.normalize("NFC", sentence)
    return [character for character in text if not character.isspace()]


def split_jamo(sentence: str) -> list[str]:
    """Cut a sentence into characters, and Korean syllables into letters.

    The letters are called jamo: 학교 gives ᄒ ᅡ ᆨ ᄀ ᅭ. The end of 학 and
    the start of 교 are one letter to a reader and two different ones here.
    (Unicode form NFD, which also takes the marks off é and が.)
    """
    text = unicodedata.normalize("NFD", sentence)
    return [letter for letter in text if not letter.isspace()]


class Vocabulary:
    """The tokens that a model knows, each with its number.

    sentences: lists of tokens, of the training part only. A token seen fewer
    than min_count times is read as <unk>. The specials come first, from 0.
    """

    def __init__(
        self, sentences: Iterable[Sequence[str]], min_count: int = 1,
        specials: Sequence[str] = (PAD, UNK, BOS, EOS),
    ):
        counts = Counter(token for tokens in sentences for token in tokens)
        words = [w for w, n in counts.most_common() if n >= min_count]
        self.tokens = [*specials, *(w for w in words if w not in specials)]
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        self.n_specials = len(specials)
        self.pad_id, self.unk_id = self.ids[PAD], self.ids[UNK]

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, tokens: Sequence[str]) -> list[int]:
        """The number of each token; what is not a known word is <unk>."""
        numbers = (self.ids.get(token, self.unk_id) for token in tokens)
        return [n if n >= self.n_specials else self.unk_id for n in numbers]

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """The token of each number up to <eos>, without <bos> and <pad>."""
        tokens = [self.tokens[int(number)] for number in numbers]
        if EOS in tokens:
            tokens = tokens[: tokens.index(EOS)]
        return [token for token in tokens if token not in (PAD, BOS)]


def pad_rows(rows: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Stack rows of different lengths, the short ones filled with pad_id.

    rows: lists of token ids; an empty row becomes all padding.
    Returns (batch, seq_len), seq_len the longest row and at least 1.
    """
    seq_len = max([1, *map(len, rows)])
    tokens = torch.full((len(rows), seq_len), pad_id)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = torch.tensor(row, dtype=torch.long)
    return tokens


def padding_mask(tokens: Tensor, pad_id: int) -> Tensor:
    """True at real tokens: the places where any query may look.

    tokens: (batch, seq_len). Returns (batch, 1, seq_len), bool: the middle
    axis lets every query of a sentence share the same row.
    """
    return (tokens != pad_id).unsqueeze(1)


class Batch(NamedTuple):
    """Sentence pairs as tensors of token ids."""

    src: Tensor       # (batch, src_len)
    src_mask: Tensor  # (batch, 1, src_len), True at real tokens
    tgt: Tensor       # (batch, tgt_len), each row from <bos> to <eos>


def make_batch(
    pairs: Sequence, src_vocab: Vocabulary, tgt_vocab: Vocabulary
) -> Batch:
    """Turn sentence pairs into one Batch.

    pairs: objects with token lists .src and .tgt
    """
    bos, eos = tgt_vocab.ids[BOS], tgt_vocab.ids[EOS]
    src = pad_rows([src_vocab.encode(p.src) for p in pairs], src_vocab.pad_id)
    tgt = [[bos, *tgt_vocab.encode(p.tgt), eos] for p in pairs]
    src_mask = padding_mask(src, src_vocab.pad_id)
    return Batch(src, src_mask, pad_rows(tgt, tgt_vocab.pad_id))


def bucket_by_length(
    lengths: Sequence, batch_size: int, seed: int = 0
) -> list[list[int]]:
    """Group row numbers so that each batch holds similar lengths.

    lengths: one number, or tuple of numbers, for each row.
    Returns lists of row numbers: the batches come in random order, rows of
    equal length fall into a batch at random.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
    rng = random.Random(seed)
    rows = list(range(len(lengths)))
    rng.shuffle(rows)
    rows.sort(key=lambda row: lengths[row])
    starts = range(0, len(rows), batch_size)
    batches = [rows[start : start + batch_size] for start in starts]
    rng.shuffle(batches)
    return batches


class Batches:
    """A corpus in batches of similar length, in a new order every epoch.

    pairs: objects with token lists .src and .tgt. seed fixes the orders.
    """

    def __init__(
        self,
        pairs: Sequence,
        src_vocab: Vocabulary,
        tgt_vocab: Vocabulary,
        batch_size: int = 64,
        seed: int = 0,
    ):
        self.pairs, self.batch_size = list(pairs), batch_size
        self.src_vocab, self.tgt_vocab = src_vocab, tgt_vocab
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return math.ceil(len(self.pairs) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        lengths = [(len(pair.src), len(pair.tgt)) for pair in self.pairs]
        order_seed = 1000 * self.seed + self.epoch
        self.epoch += 1
        for rows in bucket_by_length(lengths, self.batch_size, order_seed):
            chosen = [self.pairs[row] for row in rows]
            yield make_batch(chosen, self.src_vocab, self.tgt_vocab)

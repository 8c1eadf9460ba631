"""From the sentences of a corpus to batches of subwords."""

import base64
import bisect
import json
import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from utils.corpora import CORPORA, Pair, load_lines, overlap, plain, read_lines
from utils.text import BOS, EOS, PAD, UNK, Batch, pad_rows, padding_mask
from utils.translation import token_batches
from utils.translator.faults import Fault, told

SPECIALS = (PAD, UNK, BOS, EOS)
SPLITS = ("train", "valid", "test")
PAIRS = {
    f"{source}-{target}": name
    for name, corpus in reversed(CORPORA.items())
    for source in corpus.languages
    for target in corpus.languages
    if source != target
}
LICENCES = {
    "multi30k": "no open licence: research and teaching that are not commercial (Flickr30k)",
    "small_parallel_enja": "CC BY 2.0 FR (sentences of Tatoeba)",
}


@dataclass(frozen=True)
class Source:
    """Where sentence pairs come from: a real corpus of the course, or a folder of one's own.

    pair: such as "en-de"    data: None, or a folder with train.en, train.de, valid.en ...
    Raises Fault for a pair that no corpus has, or a folder that does not exist.
    """

    pair: str
    data: str | None = None

    def __post_init__(self) -> None:
        if self.data is None and self.pair not in PAIRS:
            raise Fault(
                f"{self.pair!r} is not a language pair of the course's corpora: choose one of "
                f"{', '.join(PAIRS)}, or give --data a folder with files of your own."
            )
        if len(self.languages) != 2 or not all(self.languages):
            raise Fault(f"{self.pair!r} is not a language pair: write it as en-de.")
        if self.data is not None and not Path(self.data).is_dir():
            raise Fault(
                f"{self.data} is not a folder: --data wants one with the files "
                f"{', '.join(self.files('train') + self.files('valid'))}."
            )

    @property
    def languages(self) -> list[str]:
        """Return the source and the target language."""
        return self.pair.split("-")

    @property
    def name(self) -> str:
        """Return the name of the corpus."""
        return PAIRS[self.pair] if self.data is None else Path(self.data).name

    @property
    def licence(self) -> str:
        """Return the licence of the sentences."""
        return LICENCES[self.name] if self.data is None else "that of your own files"

    @property
    def tokenize(self) -> str:
        """Return how sacrebleu is to cut what it compares."""
        if self.data is None and not CORPORA[self.name].raw:
            return "none"
        return "char" if self.languages[1] in ("ja", "ko", "zh", "th") else "13a"

    def files(self, split: str) -> list[str]:
        """Return the names of the two files of a split in a folder of one's own."""
        return [f"{split}.{language}" for language in self.languages]

    def pairs(self, split: str) -> list[tuple[str, str]]:
        """Read the sentence pairs of a split, as the model sees them. Raises Fault."""
        try:
            if self.data is None:
                lines = load_lines(self.name, split, *self.languages)
            else:
                lines = self._own(split)
        except ValueError as error:
            raise Fault(str(error)) from error
        return [(plain(src), plain(tgt)) for src, tgt in lines]

    def _own(self, split: str) -> list[tuple[str, str]]:
        """Read a split from a folder of one's own."""
        sides = []
        for file in self.files(split):
            path = Path(self.data) / file
            with told(path, "read", "it must be a text of one sentence a line"):
                sides.append(read_lines(path))
        src, tgt = sides
        if len(src) != len(tgt):
            raise ValueError(
                f"{' and '.join(self.files(split))} in {self.data} do not match line by line: "
                f"they have {len(src):,} and {len(tgt):,} lines."
            )
        return list(zip(src, tgt))


def known_rows(
    train: Iterable[tuple[str, str]], test: Sequence[tuple[str, str]]
) -> tuple[list[int], list[int]]:
    """Return which rows of test stand in train: by their source, and as whole pairs."""
    before = [Pair((src,), (tgt,)) for src, tgt in train]
    after = [Pair((src,), (tgt,)) for src, tgt in test]
    found = []
    for side in ("source", "both"):
        known = set(overlap(before, after, side))
        found.append([row for row, pair in enumerate(after) if pair in known])
    return found[0], found[1]


def fingerprint(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a number that says whether two trainings have read the same sentences."""
    return sha256(json.dumps(list(pairs)).encode()).hexdigest()


class Subwords:
    """One set of subwords for both languages, learned by joining frequent neighbours (BPE).

    Has what `utils.decoding.translate` asks of a Vocabulary; encode takes a sentence, decode gives
    one. A letter of no training sentence is read as <unk>.
    """

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.ids = {token: tokenizer.token_to_id(token) for token in SPECIALS}
        self.pad_id, self.unk_id = self.ids[PAD], self.ids[UNK]
        self.bos_id, self.eos_id = self.ids[BOS], self.ids[EOS]

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    @classmethod
    def learn(cls, sentences: Iterable[str], vocab_size: int) -> "Subwords":
        """Learn subwords from sentences: of the training part alone."""
        tokenizer = Tokenizer(models.BPE(unk_token=UNK))
        signs = pre_tokenizers.Split(Regex(r"\p{P}"), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), signs])
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=list(SPECIALS), show_progress=False
        )
        tokenizer.train_from_iterator(sentences, trainer)
        return cls.of_json(tokenizer.to_str())

    @classmethod
    def of_text(cls, text: str) -> "Subwords":
        """Return the subwords that to_text or to_json has written. ValueError for another text."""
        if text.startswith("{"):
            return cls.of_json(text)
        try:
            content = zlib.decompress(base64.b85decode(text)).decode()
        except (ValueError, zlib.error) as error:
            raise ValueError(f"these are no subwords: {error}") from error
        return cls.of_json(content)

    @classmethod
    def of_json(cls, text: str) -> "Subwords":
        """Return the subwords that json of `tokenizers` describes. Raises ValueError for others.

        A sentence may hold the letters <pad>: there they are letters, not padding.
        """
        try:
            description = json.loads(text) | {"added_tokens": []}
            tokenizer = Tokenizer.from_str(json.dumps(description))
        except Exception as error:    # tokenizers raises Exception itself
            raise ValueError(f"these are no subwords: {error}") from error
        if any(tokenizer.token_to_id(token) is None for token in SPECIALS):
            raise ValueError(f"these subwords lack one of {', '.join(SPECIALS)}")
        return cls(tokenizer)

    def to_text(self) -> str:
        """Return a text from which of_text makes the same subwords: to_json, pressed together."""
        return base64.b85encode(zlib.compress(self.to_json().encode(), 9)).decode()

    def to_json(self) -> str:
        """Return what `tokenizers` writes of these subwords, their merges among it."""
        return self.tokenizer.to_str()

    def pieces(self, sentence: str) -> list[str]:
        """Return the words and signs of a sentence, across which no subword is joined."""
        return [piece for piece, _ in self.tokenizer.pre_tokenizer.pre_tokenize_str(sentence)]

    def encode(self, sentence: str) -> list[int]:
        """Return the numbers of the subwords of a sentence."""
        return self.tokenizer.encode(sentence).ids

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the sentence of the numbers up to <eos>, without any special one."""
        kept = []
        for number in map(int, numbers):
            if number == self.eos_id:
                break
            if number not in self.ids.values():
                kept.append(number)
        return self.tokenizer.decode(kept).strip()


def count_batches(widths: Sequence[int], batch_tokens: int) -> int:
    """Return how many batches `token_batches` makes of rows, the narrowest first."""
    count, begin = 1, 0
    for row, width in enumerate(widths):
        if row > begin and (row + 1 - begin) * width > batch_tokens:
            count, begin = count + 1, row
    return count


class Rows:
    """Sentence pairs as numbers of subwords, and the batches that they make.

    src: w1 ... wn    tgt: <bos> w1 ... wn <eos>
    A pair with an empty side, or with one of more than `longest` subwords, is left out.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]], subwords: Subwords, longest: int):
        self.subwords, self.src, self.tgt, self.left_out = subwords, [], [], 0
        self.pieces: list[tuple[list[str], list[str]]] = []
        for pair in pairs:
            src = subwords.encode(pair[0])
            tgt = [subwords.bos_id, *subwords.encode(pair[1]), subwords.eos_id]
            if src and len(tgt) > 2 and max(len(src), len(tgt) - 1) <= longest:
                self.src.append(src)
                self.tgt.append(tgt)
                self.pieces.append(tuple(map(subwords.pieces, pair)))
            else:
                self.left_out += 1

    def __len__(self) -> int:
        return len(self.src)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Return what each row takes in a batch: its source and its target subwords."""
        return [(len(src), len(tgt) - 1) for src, tgt in zip(self.src, self.tgt)]

    @property
    def pad_id(self) -> int:
        """Return the number that fills short rows."""
        return self.subwords.pad_id

    def n_tokens(self, rows: Iterable[int]) -> int:
        """Return how many target tokens are predicted in these rows."""
        return sum(len(self.tgt[row]) - 1 for row in rows)

    def epoch(self, batch_tokens: int, seed: str, n_batches: int | None = None) -> list[list[int]]:
        """Group all rows by length, in an order that the seed fixes.

        A batch of n rows, the widest with w places, holds n * w of them: batch_tokens at most.
        n_batches: with it, so many batches are made, with as few places each as that allows
        """
        if n_batches is not None:
            widths = sorted(map(max, self.sizes))
            limits = range(widths[-1], len(widths) * widths[-1] + 1)
            batch_tokens = limits[bisect.bisect_left(
                limits, True, key=lambda limit: count_batches(widths, limit) <= n_batches
            )]
        batches = token_batches(self.sizes, batch_tokens, random.Random(seed))
        while n_batches is not None and len(batches) < n_batches:
            most = max(range(len(batches)), key=lambda n: len(batches[n]))
            whole = batches[most]
            batches[most : most + 1] = [whole[::2], whole[1::2]]
        return batches

    def batch(self, rows: Sequence[int]) -> Batch:
        """Turn rows into tensors."""
        src = pad_rows([self.src[row] for row in rows], self.subwords.pad_id)
        tgt = pad_rows([self.tgt[row] for row in rows], self.subwords.pad_id)
        return Batch(src, padding_mask(src, self.subwords.pad_id), tgt)


def to(batch: Batch, device: str) -> tuple[Tensor, ...]:
    """Move a batch to a device."""
    return tuple(part.to(device) for part in batch)

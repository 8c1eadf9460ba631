"""Train the small translators that lesson 12 compares, and write data/models/12_translation.

`python -m tools.systems` trains all: 20 minutes of one core. `python -m tools.systems en-de rnn`
trains those whose file name holds all these words. Each is trained by the loop of lesson 12, from
one seed, on the same batches for the same epochs; its card holds its seconds and its losses.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.corpora import Pair, load_real
from utils.text import Batch, Vocabulary, make_batch
from utils.training import shift_target
from utils.translation import (
    mean_weights,
    smoothed_loss,
    three_systems,
    token_batches,
    train_translator,
)
from utils.translator import checkpoint
from utils.translator.data import Rows, Source, Subwords
from utils.translator.systems import VOCAB_SIZE, file_of, joint_words, put, words_model

LONGEST, BATCH_TOKENS, WARMUP, LAST = 256, 1024, 150, 2
EPOCHS = {"en-de": 4, "en-ja": 2, "words": 2}
PEAKS = {"RNN": 1e-2, "RNN, attention": 1e-2, "Transformer": 5e-3}


class WordRows:
    """Sentence pairs as numbers of words, for `train_translator`."""

    def __init__(self, pairs: list[Pair], words: Vocabulary):
        self.pairs, self.words, self.pad_id = pairs, words, words.pad_id
        self.sizes = [(len(pair.src), len(pair.tgt) + 1) for pair in pairs]

    def batch(self, numbers: list[int]) -> Batch:
        """Turn rows into tensors."""
        return make_batch([self.pairs[n] for n in numbers], self.words, self.words)


@torch.no_grad()
def loss_of(model: nn.Module, rows: Any) -> float:
    """Return the loss of rows, unsmoothed, in nats a target token."""
    model.eval()
    total = 0.0
    for numbers in token_batches(rows.sizes, 4096, _NoChance()):
        src, src_mask, tgt = rows.batch(numbers)
        tgt_in, tgt_out = shift_target(tgt)
        total += smoothed_loss(model(src, src_mask, tgt_in), tgt_out, rows.pad_id, 0.0).item()
    return total / sum(tgt_len for _, tgt_len in rows.sizes)


class _NoChance:
    """In place of a random.Random: leaves all in its order."""

    def shuffle(self, rows: list) -> None:
        """Leave a list as it is."""


def trained(
    model: nn.Module, rows: Any, valid: Any, peak: float, n_epochs: int
) -> tuple[dict, dict]:
    """Train a model; returns the mean of its last epochs' weights, and its card."""
    start = time.process_time()
    losses, epochs = train_translator(model, rows, n_epochs, peak, WARMUP, BATCH_TOKENS)
    seconds = time.process_time() - start
    mean = mean_weights(epochs[-LAST:])
    card = {
        "parameters": sum(tensor.numel() for tensor in mean.values()),
        "epochs": n_epochs,
        "averaged epochs": LAST,
        "peak rate": peak,
        "steps": len(losses),
        "seconds of one core": round(seconds),
        "seconds of one core, an epoch": round(seconds / n_epochs, 1),
        "threads": torch.get_num_threads(),
        "train": [sum(losses[i : i + 50]) / 50 for i in range(0, len(losses) - 49, 50)],
        "valid": [loss_of(put(model, weights), valid) for weights in epochs],
        "valid, averaged": loss_of(put(model, mean), valid),
        "torch": torch.__version__,
        "command": "python -m tools.systems",
    }
    return mean, card


def write(path: Path, mean: dict[str, Tensor], card: dict, subwords: str) -> None:
    """Write a system in half precision, with its card and its subwords."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {name: tensor.half() for name, tensor in mean.items()}
    checkpoint.write(path, half, {"kind": "system", "card": card, "subwords": subwords})
    print(f"{path.name}: valid loss {card['valid, averaged']:.3f}, {card['seconds of one core']} s",
          flush=True)


def jobs() -> dict[Path, Callable[[Path], None]]:
    """Return what is to be trained: a function for each file."""
    found = {file_of("words", "en-de"): train_words}
    for pair in ("en-de", "en-ja"):
        for name in PEAKS:
            found[file_of(name, pair)] = lambda path, n=name, p=pair: train_system(path, n, p)
    return found


def train_words(path: Path) -> None:
    """Train the Transformer of lesson 11 on captions as whole words."""
    pairs, valid = (load_real("multi30k", split, "en", "de") for split in ("train", "valid"))
    words = joint_words(pairs)
    torch.manual_seed(0)
    rows = WordRows(pairs, words), WordRows(valid, words)
    mean, card = trained(words_model(words), *rows, PEAKS["Transformer"], EPOCHS["words"])
    write(path, mean, card | {"words": len(words), "data": "multi30k"}, "")


def train_system(path: Path, name: str, pair: str) -> None:
    """Train one of the three systems on a real corpus."""
    source = Source(pair)
    pairs = source.pairs("train")
    subwords = Subwords.learn((side for both in pairs for side in both), VOCAB_SIZE)
    rows = Rows(pairs, subwords, LONGEST), Rows(source.pairs("valid"), subwords, LONGEST)
    torch.manual_seed(0)
    model = three_systems(len(subwords))[name]
    mean, card = trained(model, *rows, PEAKS[name], EPOCHS[pair])
    facts = {"languages": pair, "data": source.name, "licence of the data": source.licence}
    text = subwords.to_text() if name == "Transformer" else ""    # the three have the same
    write(path, mean, card | facts, text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for path, job in jobs().items():
        if all(word in path.name.replace("_", "-") for word in sys.argv[1:]):
            job(path)

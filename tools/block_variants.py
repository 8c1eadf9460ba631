"""Train every block of lesson 15 and keep what it scores in data/block_variants.tsv.

    python -m tools.block_variants                 all blocks, about 8 minutes of one core
    python -m tools.block_variants rotary ALiBi    these alone; the rest of the file stays

Each block is trained at three learning rates with seed 0, and at the rate with the lowest loss on
the validation part with seeds 1 and 2. Blocks that have other numbers of heads of keys, and are
that of 2017 in everything else, take its rate. The three runs at that rate are marked `chosen`.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path
from time import process_time

import torch
from torch import Tensor

from tools.notebooks import ROOT
from utils.corpora import load_grammar
from utils.models import load_runs
from utils.modern import RECIPES, Recipe, Writer, by_place, train_writer, writer_of
from utils.text import PAD, UNK, Vocabulary
from utils.variants import window_mask

TABLE = ROOT / "data/block_variants.tsv"
RATES = 6e-3, 1.2e-2, 2.4e-2
SEEDS = 0, 1, 2
LENGTHS = 1, 2, 3    # in trained lengths
FIELDS = [
    "block", "seed", "rate", "chosen", "parameters", "d_ff", "ms", "valid_loss",
    *(f"{what}_{n}" for what in ("loss", "right", "window_loss", "window_right") for n in LENGTHS),
]


def text_of(split: str) -> list[str]:
    """Return the English sentences of a part of the grammar corpus as one text."""
    return [word for pair in load_grammar("ja", split) for word in (*pair.src, ".")]


def texts() -> tuple[dict[str, Tensor], Vocabulary]:
    """Return the training, validation and test text as token ids, and the vocabulary."""
    vocab = Vocabulary([text_of("train")], specials=(PAD, UNK))
    splits = "train", "valid", "test"
    return {split: torch.tensor(vocab.encode(text_of(split))) for split in splits}, vocab


def size_of(writer: Writer) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in writer.parameters())


def run(name: str, seed: int, rate: float, parts: dict[str, Tensor], n_words: int) -> dict:
    """Train one writer and score it; returns a row of the table."""
    torch.manual_seed(seed)
    n_parameters = size_of(Writer(Recipe(), n_words, 256))
    torch.manual_seed(seed)
    writer = writer_of(RECIPES[name], n_words, n_parameters)
    began: list[float] = []
    hook = writer.register_forward_pre_hook(lambda *given: began.append(process_time()))
    train_writer(writer, parts["train"], learning_rate=rate)
    hook.remove()
    steps = torch.tensor(began).diff()
    valid, _ = by_place(writer, parts["valid"], times=1)
    row = {"block": name, "seed": seed, "rate": rate, "chosen": "no", "valid_loss": valid.item(),
           "parameters": size_of(writer), "d_ff": writer.blocks[0].feed_forward.narrow.in_features,
           "ms": 1000 * steps.quantile(0.1).item()}
    for kind, mask in (("", None), ("window_", window_mask(96, 32))):
        scores = zip(("loss", "right"), by_place(writer, parts["test"], mask))
        row |= {f"{kind}{what}_{n}": x for what, xs in scores for n, x in zip(LENGTHS, xs.tolist())}
    return row


def rates_of(name: str) -> tuple[float, ...]:
    """Return the learning rates that a block is tried at."""
    of_2017 = replace(RECIPES[name], n_kv_heads=Recipe().n_kv_heads) == Recipe()
    return RATES[1:2] if of_2017 and RECIPES[name] != Recipe() else RATES


def rows_of(name: str, parts: dict[str, Tensor], n_words: int) -> list[dict]:
    """Train one block at its rates, then at the best of them with the other seeds."""
    rows = [run(name, SEEDS[0], rate, parts, n_words) for rate in rates_of(name)]
    best = min(rows, key=lambda row: row["valid_loss"])
    more = [run(name, seed, best["rate"], parts, n_words) for seed in SEEDS[1:]]
    for row in [best, *more]:
        row["chosen"] = "yes"
    return rows + more


def write_table(rows: list[dict], path: Path = TABLE) -> None:
    """Write the rows in the order of RECIPES, numbers with four decimals."""
    rows = sorted(rows, key=lambda row: list(RECIPES).index(row["block"]))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({field: f"{x:.4f}" if isinstance(x := row[field], float) else x
                             for field in FIELDS})


def main(names: list[str]) -> None:
    """Train the named blocks, all without a name, and write their rows anew."""
    if unknown := set(names) - set(RECIPES):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(RECIPES)}")
    torch.set_num_threads(1)
    parts, vocab = texts()
    for name in names or RECIPES:
        rows = rows_of(name, parts, len(vocab))
        kept = load_runs("block_variants") if TABLE.exists() else []
        write_table([row for row in kept if row["block"] != name] + rows)
        print(name, *(f"{row['loss_1']:.3f}" for row in rows), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

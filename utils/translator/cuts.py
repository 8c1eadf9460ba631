"""BPE-dropout (Provilkov et al. 2020): in training a word is cut now this way, now that way."""

import json
import random
from collections.abc import Sequence
from itertools import pairwise

from utils.translator.data import Rows, Subwords

WAYS = 32


class Cuts:
    """Ways to cut the pieces of a sentence into subwords, of which each joins fewer than it might.

    While a piece is joined from its letters, each possible join is passed over with probability
    `rate`. Of each piece at most 32 ways are drawn, each from the seed, the piece and its own
    number alone: the same ones in every process, and after a stop.
    """

    def __init__(self, subwords: Subwords, rate: float, seed: int):
        self.subwords, self.rate, self.seed = subwords, rate, seed
        model = json.loads(subwords.tokenizer.to_str())["model"]
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self.ids = model["vocab"]
        self.known: dict[tuple[str, int], list[int]] = {}

    def cut(self, piece: str, rng: random.Random) -> list[int]:
        """Join the letters of a piece, passing over some joins; returns numbers of subwords."""
        parts = list(piece)
        while True:
            joins = [
                (self.ranks[pair], place) for place, pair in enumerate(pairwise(parts))
                if pair in self.ranks and rng.random() >= self.rate
            ]
            if not joins:
                return [self.ids.get(part, self.subwords.unk_id) for part in parts]
            place = min(joins)[1]
            parts[place : place + 2] = [parts[place] + parts[place + 1]]

    def numbers(self, pieces: Sequence[str], rng: random.Random) -> list[int]:
        """Return the numbers of the subwords of some pieces, each cut in a way that rng draws."""
        found = []
        for piece in pieces:
            way = int(rng.random() * WAYS)
            if (piece, way) not in self.known:
                own = random.Random(f"{self.seed} {way} {piece}")
                self.known[piece, way] = self.cut(piece, own)
            found += self.known[piece, way]
        return found

    def varied(self, rows: Rows, longest: int, seed: str) -> Rows:
        """Return the same sentence pairs, cut in other ways; one that grows too long stays."""
        rng, subwords = random.Random(seed), self.subwords
        new = Rows((), subwords, longest)
        for row, (src, tgt) in enumerate(rows.pieces):
            src = self.numbers(src, rng)
            tgt = [subwords.bos_id, *self.numbers(tgt, rng), subwords.eos_id]
            fits = max(len(src), len(tgt) - 1) <= longest
            new.src.append(src if fits else rows.src[row])
            new.tgt.append(tgt if fits else rows.tgt[row])
        return new

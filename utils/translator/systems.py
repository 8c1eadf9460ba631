"""The small translators of lesson 12, as `python -m tools.systems` has kept them."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.corpora import Pair
from utils.models import FOLDER
from utils.text import Vocabulary
from utils.transformer import Transformer
from utils.translation import three_systems, tie
from utils.translator import checkpoint
from utils.translator.data import Subwords

PLACE = FOLDER / "12_translation"
VOCAB_SIZE = 3000
MIN_COUNT = 12    # words of the training captions that stand there less often are <unk>


def file_of(name: str, pair: str, folder: Path = PLACE) -> Path:
    """Return where a system is kept."""
    return folder / f"{name.lower().replace(', ', '_')}_{pair.replace('-', '_')}.safetensors"


def joint_words(pairs: list[Pair]) -> Vocabulary:
    """Return one vocabulary of the words of both languages, rare ones left out."""
    return Vocabulary([side for p in pairs for side in (p.src, p.tgt)], MIN_COUNT)


def words_model(words: Vocabulary) -> nn.Module:
    """Return an untrained Transformer of lesson 11 for whole words of both languages."""
    return tie(Transformer(len(words), len(words), dropout=0.1))


@torch.no_grad()
def put(model: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Give a model weights by name; returns it in eval mode."""
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
    return model.eval()


def load_words(pairs: list[Pair]) -> tuple[nn.Module, Vocabulary]:
    """Return the Transformer that reads and writes whole words, and its vocabulary.

    pairs: the training captions. Raises Fault for a missing or damaged file.
    """
    words = joint_words(pairs)
    path = file_of("words", "en-de")
    weights, _ = checkpoint.read(path)
    model = words_model(words)
    with torch.no_grad():
        checkpoint.put_weights(model, weights, path)
    return model.eval(), words


def load_systems(pair: str, folder: Path = PLACE) -> tuple[dict, dict[str, Any], Subwords]:
    """Return the three systems of a pair, their cards by name, and the subwords of all.

    Raises Fault for a missing or damaged file.
    """
    facts = {}
    systems: dict[str, nn.Module] = {}
    for name, model in three_systems(VOCAB_SIZE).items():
        path = file_of(name, pair, folder)
        weights, facts[name] = checkpoint.read(path)
        with torch.no_grad():
            checkpoint.put_weights(model, weights, path)
        systems[name] = model.eval()
    subwords = Subwords.of_text(facts["Transformer"]["subwords"])
    return systems, {name: fact["card"] for name, fact in facts.items()}, subwords


def nearest_translations(
    train: list[tuple[str, str]], lines: list[str], most: int = 3000
) -> list[str]:
    """Return, for each line, the translation of the training sentence nearest to it.

    Nearest: the shared words, each of which counts log (sentences / those that hold it), weigh
    most, less those that the training sentence has beside them. A word of more than `most`
    training sentences counts nothing. The first such sentence; "" where no word is shared.
    """
    places: dict[str, list[int]] = {}
    for number, (src, _) in enumerate(train):
        for word in set(src.split()):
            places.setdefault(word, []).append(number)
    weight = {w: math.log(len(train) / len(rows)) for w, rows in places.items()
              if len(rows) <= most}
    total = [sum(weight.get(word, 0.0) for word in set(src.split())) for src, _ in train]
    found = []
    for line in lines:
        shared: dict[int, float] = {}
        for word in sorted(set(line.split()) & weight.keys()):
            for number in places[word]:
                shared[number] = shared.get(number, 0.0) + weight[word]
        best = max(shared, key=lambda n: (shared[n] / (1 + total[n]) ** 0.5, -n), default=None)
        found.append("" if best is None else train[best][1])
    return found

"""The models of earlier lessons, trained by their own cells and kept in data/models.

A later lesson loads them instead of training them again. `make models NB=04` writes the files.
They hold numbers only (safetensors, half precision): nothing in them is ever executed.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from utils.corpora import load_grammar
from utils.decoding import translate
from utils.recurrent import AttentionDecoder, RNNEncoder, Seq2Seq
from utils.text import BOS, EOS, PAD, UNK, Vocabulary, pad_rows, padding_mask

FOLDER = Path(__file__).resolve().parents[1] / "data" / "models"
FORMAT = "attention-by-experiment 1"


class ModelUnavailable(RuntimeError):
    """A kept model cannot be had; the message is one sentence that says what to do."""


def load_model(model: nn.Module, name: str, folder: Path = FOLDER) -> nn.Module:
    """Give a module the weights that an earlier lesson trained; returns it, in eval mode.

    model: built with the sizes of that lesson    name: the file in data/models, such as "04_vector"
    Raises ModelUnavailable where the file is missing, broken off, not ours or of other sizes; the
    module then keeps the weights that it had.
    """
    path = Path(folder) / f"{name}.safetensors"
    target = re.search("_(fr|ko)$", name)
    again = f"make models NB={name[:2]}" + (f" TARGET={target[1]}" if target else "")
    again = f"run `{again}`, or bring it back with `git checkout data/models`"
    if not path.is_file():
        raise ModelUnavailable(f"{path} is missing: {again}.")
    try:
        with safe_open(path, "pt") as file:
            kind = (file.metadata() or {}).get("format")
            kept = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ModelUnavailable(f"{path} cannot be read ({error}): {again}.") from error
    if kind != FORMAT:
        raise ModelUnavailable(f"{path} has the format {kind!r}, not {FORMAT!r}: {again}.")
    if difference := sizes_differ(model.state_dict(), kept):
        raise ModelUnavailable(
            f"{path} does not fit this {type(model).__name__}: {difference}; build the module with "
            f"the sizes of lesson {name[:2]}, or {again}."
        )
    model.load_state_dict(kept)
    return model.eval()


def load_runs(name: str, folder: Path = FOLDER.parent) -> list[dict[str, str | int | float]]:
    """The rows of a table that a tool of the course measured and keeps, data/<name>.tsv.

    What is written as a number comes back as one. Raises ModelUnavailable where it is missing.
    """
    path = Path(folder) / f"{name}.tsv"
    if not path.is_file():
        raise ModelUnavailable(f"{path} is missing: run `python -m tools.{name}`, or bring it back "
                               f"with `git checkout data`.")
    lines = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    return [dict(zip(lines[0], map(as_number, line), strict=True)) for line in lines[1:]]


def as_number(text: str) -> str | int | float:
    """A text as a number, if it is one."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def sizes_differ(wanted: dict[str, Tensor], kept: dict[str, Tensor]) -> str:
    """Say which tensor is missing, left over or of another shape; '' where all agree."""
    for key in [*wanted, *kept]:
        if key not in kept:
            return f"the file has no {key}"
        if key not in wanted:
            return f"the module has no {key}"
        if wanted[key].shape != kept[key].shape:
            return f"{key} is {tuple(kept[key].shape)} in the file, {tuple(wanted[key].shape)} here"
    return ""


def save_model(model: nn.Module, name: str, card: dict[str, str], folder: Path = FOLDER) -> Path:
    """Write the weights of a module, in half precision, and say in its card where they are from.

    card: for example the lesson, the data and their licence. The file is written beside and then
    moved into its place, so it is never half there. Returns its path.
    Raises ValueError for weights that half precision cannot hold.
    """
    tensors = {}
    for key, tensor in model.state_dict().items():
        half = tensor.detach().cpu().half() if tensor.is_floating_point() else tensor.cpu()
        if not torch.isfinite(half).all():
            raise ValueError(f"{key} of {name} does not fit half precision")
        tensors[key] = half.contiguous().clone()
    path = Path(folder) / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".fresh")
    fresh.touch()    # with the permissions of any new file, which save_file keeps from others
    mode = fresh.stat().st_mode
    save_file(tensors, fresh, {"format": FORMAT, **card})
    fresh.chmod(mode)
    os.replace(fresh, path)
    return path


@dataclass(frozen=True)
class Translation:
    """What a translator wrote, and what it looked at for each word, <eos> included.

    source, words: tokens    unknown: words of the source that it never learned
    queries: (tgt_len, d_model)    memory: (src_len, d_model)    weights: (tgt_len, src_len)
    """

    source: list[str]
    words: list[str]
    unknown: list[str]
    queries: Tensor
    memory: Tensor
    weights: Tensor


class Translator:
    """The translator of lesson 05, whole: called with an English sentence, it gives a Translation.

    target: the language it writes, whose model is kept in data/models
    Raises ModelUnavailable as load_model does.
    """

    def __init__(self, target: str = "ja", folder: Path = FOLDER):
        pairs = load_grammar(target, "train")
        self.src_vocab = Vocabulary([p.src for p in pairs], specials=(PAD, UNK))
        self.tgt_vocab = Vocabulary([p.tgt for p in pairs], specials=(BOS, EOS, UNK, PAD))
        encoder = RNNEncoder(len(self.src_vocab), 120)
        model = Seq2Seq(encoder, AttentionDecoder(len(self.tgt_vocab), 120))
        self.model = load_model(model, f"05_attention_{target}", folder)

    def known(self, word: str) -> str:
        """Return a word as the vocabulary spells it, "pen" for "Pen"; an unknown one as it is."""
        spellings = word, word.lower(), word.capitalize()
        return next((s for s in spellings if s in self.src_vocab.ids), word)

    @torch.no_grad()
    def __call__(self, sentence: str) -> Translation:
        """Translate one sentence. Raises ValueError for one without words or of more than 50."""
        source = [self.known(word) for word in re.findall(r"'s\b|\w+(?:-\w+)*", sentence)]
        if not 0 < len(source) <= 50:
            raise ValueError(f"want a sentence of 1 to 50 words, got {len(source)}")
        (words,) = translate(self.model, [source], self.src_vocab, self.tgt_vocab)
        src = pad_rows([self.src_vocab.encode(source)], self.src_vocab.pad_id)
        mask = padding_mask(src, self.src_vocab.pad_id)
        tgt = torch.tensor([[self.tgt_vocab.ids[BOS], *self.tgt_vocab.encode(words)]])
        asked = []
        hook = self.model.decoder.score.register_forward_hook(
            lambda module, given, scores: asked.append(given)
        )
        memory = self.model.encode(src, mask)
        *_, weights = self.model.decode(tgt, memory, mask, need_weights=True)
        hook.remove()
        unknown = [word for word in source if word not in self.src_vocab.ids]
        return Translation(source, words, unknown, asked[0][0][0], memory[0], weights[0])

"""What a trained model is used for: translate, and score with sacrebleu."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from sacrebleu.metrics import BLEU
from tqdm import tqdm

from utils.decoding import beam_search, greedy_decode, translate
from utils.translator import checkpoint
from utils.translator.data import Source, Subwords, known_rows, plain
from utils.translator.faults import Fault
from utils.translator.model import SharedTransformer
from utils.translator.training import LAST, MODEL, Settings

AT_ONCE = 64
NOTES = {
    "none": "The corpus comes cut into words, and these are compared as they are (tok:none): "
    "a score on words that mecab has cut cannot be compared with this one.",
    "char": "The language has no spaces, or few: characters are compared (tok:char).",
}


@dataclass(frozen=True)
class Kept:
    """A model from a checkpoint, with what the checkpoint says about it."""

    path: Path
    model: SharedTransformer
    subwords: Subwords
    settings: Settings
    facts: dict[str, Any]


def settings_of(facts: dict[str, Any], path: Path) -> Settings:
    """Return the settings in a checkpoint. Raises Fault where they are others than ours.

    A checkpoint that names no optimizer is from the time when Adam was the only one.
    """
    kept, own = facts.get("settings"), {field.name for field in fields(Settings)}
    if isinstance(kept, dict) and "optimizer" not in kept:
        kept = {"optimizer": "adam", "muon_rate": Settings.muon_rate} | kept
    if not isinstance(kept, dict) or kept.keys() != own:
        raise Fault(f"{path} has no settings that this version of the translator knows.")
    return Settings(**kept)


def load(place: Path, device: str = "cpu") -> Kept:
    """Load a model: the file itself, or the finished one in a folder, or the last checkpoint."""
    path = place
    if place.is_dir():
        path = place / (MODEL if (place / MODEL).exists() else LAST)
    tensors, facts = checkpoint.read(path)
    settings = settings_of(facts, path)
    if facts.get("kind") == "training":
        begin = "weights "
        tensors = {k.removeprefix(begin): v for k, v in tensors.items() if k.startswith(begin)}
    subwords = Subwords.of_text(facts["subwords"])
    model = settings.model(len(subwords))
    checkpoint.put_weights(model, tensors, path)
    return Kept(path, model.to(device).eval(), subwords, settings, facts)


def decoder_of(beam: int, penalty: float = 1.0) -> Callable:
    """Return how to write: greedy for a beam of 1, else beam search.

    penalty: the length_penalty of `beam_search`; above 1, longer sentences win more often
    """
    if beam == 1:
        return greedy_decode
    return partial(beam_search, beam_size=beam, length_penalty=penalty)


def translate_lines(
    kept: Kept, lines: Sequence[str], beam: int, show: bool = False, penalty: float = 1.0
) -> list[str]:
    """Translate sentences, long ones beside long ones; an empty one stays empty.

    How long a translation may become follows from its sentence alone, so that the others in the
    batch change nothing. show: draw a progress bar
    Raises Fault for a sentence that is too long for the model; `too_long` asks before.
    """
    lines, results = list(map(plain, lines)), [""] * len(lines)
    widths = [len(kept.subwords.encode(line)) for line in lines]
    for row, line in enumerate(lines):
        if widths[row] > kept.settings.longest:
            raise Fault(f"Line {row + 1} {words_too_long(kept, line)}")
    groups: dict[int, list[int]] = {}
    for row in range(len(lines)):
        if widths[row]:
            groups.setdefault(most_subwords(widths[row], kept.settings.longest), []).append(row)
    n_rows = sum(map(len, groups.values()))
    with tqdm(total=n_rows, desc="translating", unit="line", disable=not show) as bar:
        for most, rows in sorted(groups.items()):
            for chosen in (rows[n : n + AT_ONCE] for n in range(0, len(rows), AT_ONCE)):
                written = translate(
                    kept.model, [lines[row] for row in chosen], kept.subwords, kept.subwords,
                    decoder_of(beam, penalty), most, AT_ONCE,
                )
                for row, sentence in zip(chosen, written):
                    results[row] = sentence
                bar.update(len(chosen))
    return results


def most_subwords(width: int, longest: int) -> int:
    """Return how many subwords the translation of a sentence of that width may have."""
    eights = -(-width // 8)
    return min(longest, 10 + 12 * eights)


def too_long(kept: Kept, line: str) -> bool:
    """Tell whether a line has more subwords than the model was built for."""
    return len(kept.subwords.encode(plain(line))) > kept.settings.longest


def words_too_long(kept: Kept, line: str) -> str:
    """Return what is said about a line that is too long."""
    return (
        f"has {len(line.split()):,} words ({len(kept.subwords.encode(plain(line))):,} subwords), "
        f"and this model reads {kept.settings.longest} subwords at most: cut it into sentences."
    )


def bleu_line(
    written: Sequence[str], references: Sequence[str], tokenize: str, n_bootstrap: int = 1000
) -> str:
    """Return corpus BLEU with its 95 % interval and sacrebleu's signature, small letters.

    written, references: equally many sentences, in this order
    """
    metric = BLEU(lowercase=True, tokenize=tokenize, force=True)
    if len(references) < 2:
        n_bootstrap = 1
    score = metric.corpus_score(list(written), [list(references)], n_bootstrap=n_bootstrap)
    around = f" ± {score._ci:.1f}" if n_bootstrap > 1 else ""
    return f"BLEU {score.score:.1f}{around}   {metric.get_signature()}"


def evaluate(
    kept: Kept, source: Source, split: str, beams: Sequence[int], show: bool, penalty: float = 1.0
) -> list[str]:
    """Return the lines of a report: BLEU of each beam, and what of the test part is known."""
    train, pairs = source.pairs("train"), source.pairs(split)
    fits = [pair for pair in pairs if pair[0].strip() and not too_long(kept, pair[0])]
    if not fits:
        raise Fault(f"The {split} part of {source.name} has no sentence to translate.")
    by_source, whole = known_rows(train, fits)
    lines = [
        f"{kept.path}: {source.pair}, {split} part of {source.name}, {len(fits):,} sentences",
        f"{len(by_source):,} of them stand in the training part by their source, {len(whole):,} "
        f"with their translation",
    ]
    if len(fits) < len(pairs):
        lines.append(f"{len(pairs) - len(fits):,} that are empty or too long are left out")
    if source.tokenize in NOTES:
        lines.append(NOTES[source.tokenize])
    new = [row for row in range(len(fits)) if row not in set(by_source)]
    for beam in beams:
        written = translate_lines(kept, [src for src, _ in fits], beam, show, penalty)
        name = "greedy" if beam == 1 else f"beam {beam}"
        truth = [tgt for _, tgt in fits]
        lines.append(f"{name:8} {bleu_line(written, truth, source.tokenize)}")
        if by_source and new:
            score = bleu_line([written[r] for r in new], [truth[r] for r in new], source.tokenize)
            lines.append(f"{name:8} {score}   without the {len(by_source):,} known sources")
    return lines


def describe(kept: Kept) -> list[str]:
    """Return the lines that `inspect` prints: the card, the vocabulary, the sizes."""
    card = {key: value for key, value in kept.facts["card"].items() if key != "history"}
    lines = [str(kept.path), f"kind: {kept.facts['kind']}", "", "card"]
    lines += [f"  {key}: {value}" for key, value in card.items()]
    history = kept.facts["card"]["history"]
    if history:
        last = history[-1]
        lines.append(f"  last epoch {last['epoch']}: train {last['train']:.4f}, "
                     f"valid {last['valid']:.4f} nats a token")
    tokens = [kept.subwords.tokenizer.id_to_token(n) for n in range(len(kept.subwords))]
    lines += ["", f"vocabulary: {len(tokens):,} subwords, such as {' '.join(tokens[-8:])}"]
    lines += ["", "sizes"]
    for name, tensor in checkpoint.weights(kept.model).items():
        lines.append(f"  {name:52} {' x '.join(map(str, tensor.shape)):>12} {tensor.numel():>10,}")
    total = sum(tensor.numel() for tensor in checkpoint.weights(kept.model).values())
    return [*lines, f"  {'all parameters':52} {'':>12} {total:>10,}"]

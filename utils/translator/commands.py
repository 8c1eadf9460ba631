"""The command line: train, evaluate, translate, inspect."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path

import torch

from utils.corpora import CorpusUnavailable
from utils.translator import checkpoint, using
from utils.translator.data import PAIRS, SPLITS, Source
from utils.translator.fast import PRECISIONS
from utils.translator.faults import Fault
from utils.translator.processes import device_of, joined, keep_freed_memory
from utils.translator.training import LAST, MODEL, Settings, Training

EXAMPLES = """\
examples:
  python -m utils.translator train runs/en-de --pair en-de
  python -m utils.translator train runs/en-de --resume
  torchrun --nproc-per-node 2 -m utils.translator train runs/two --pair en-de --processes 2
  python -m utils.translator evaluate runs/en-de --split valid
  echo "a man is riding a bike." | python -m utils.translator translate runs/en-de
  python -m utils.translator inspect runs/en-de
"""

HELP = {
    "data": "folder with train.en, train.de, valid.en ...; by default the course's corpus",
    "epochs": "how often all sentences are seen",
    "batch_tokens": "places in a batch: sentences times the longest of them",
    "vocab_size": "subwords of both languages together, learned from the training part",
    "d_model": "width of the model",
    "heads": "heads of each attention",
    "layers": "layers of the encoder, and of the decoder",
    "d_ff": "width inside the feed-forward nets",
    "longest": "subwords of the longest sentence that is read or written",
    "dropout": "share of numbers that are dropped in training, in steps of 1/256",
    "bpe_dropout": "share of the joins of subwords that are passed over in training",
    "smoothing": "share of the truth that goes to other tokens",
    "optimizer": "muon: torch's Muon for the matrices inside the layers, Adam for the rest; adam: "
                 "Adam alone; auto takes muon where torch has it",
    "rate": "highest learning rate of Adam",
    "muon_rate": "highest learning rate of Muon",
    "warmup": "steps until the highest rate; from there it falls in a line",
    "clip": "largest norm of the gradients",
    "average": "the model is the mean of so many last epochs",
    "seed": "draws the first weights, the order of the sentences and the dropout",
    "precision": "of the products: auto takes bfloat16 where this machine is faster in it",
}


def number(kind: type, low: float, high: float = float("inf")) -> Callable[[str], float]:
    """Return a reader of a number from low to high, high itself left out where it is finite."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not low <= value < high:
            below = f" and below {high:g}" if high < float("inf") else ""
            whole = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"want {whole} from {low:g}{below}, got {text!r}")
        return value

    return read


LIMITS = {
    "vocab_size": number(int, 5), "longest": number(int, 2, 100_000), "seed": number(int, 0),
    "dropout": number(float, 0, 0.99), "bpe_dropout": number(float, 0, 1),
    "smoothing": number(float, 0, 1),
    "rate": number(float, 1e-12), "muon_rate": number(float, 1e-12),
    "clip": number(float, 1e-12),
}

TEXTS = {
    "data": {"metavar": "FOLDER"},
    "precision": {"choices": ("auto", *PRECISIONS)},
    "optimizer": {"choices": ("auto", "muon", "adam")},
}


def parser() -> argparse.ArgumentParser:
    """Return the reader of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m utils.translator", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser(
        "train", help="train a model; torchrun makes several processes of it",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.set_defaults(do=do_train)
    train.add_argument("folder", type=Path, help="for all that is written")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    train.add_argument("--pair", default=argparse.SUPPRESS, help=f"one of {', '.join(PAIRS)}")
    for field in fields(Settings):
        if field.name == "pair":
            continue
        kind = LIMITS.get(field.name, number(int, 1))
        usual = f" ({field.default})" if field.default not in (None, MISSING) else ""
        train.add_argument(
            f"--{field.name.replace('_', '-')}", default=argparse.SUPPRESS,
            help=HELP[field.name] + usual, **TEXTS.get(field.name, {"type": kind, "metavar": "N"}),
        )
    train.add_argument("--minutes", type=number(float, 0), default=3.0, metavar="N",
                       help="a checkpoint at least so often (3); after each epoch comes one too")
    train.add_argument("--processes", type=number(int, 1), metavar="N",
                       help="refuse to run unless so many processes take part")
    evaluate = commands.add_parser("evaluate", help="BLEU with interval and signature")
    evaluate.set_defaults(do=do_evaluate)
    evaluate.add_argument("--split", choices=SPLITS[1:], default="valid",
                          help="choose on valid (that is the default), look at test once")
    evaluate.add_argument("--data", metavar="FOLDER", help="another folder with the sentences")
    translate = commands.add_parser("translate", help="translate sentences, or lines of stdin")
    translate.set_defaults(do=do_translate)
    inspect = commands.add_parser("inspect", help="print the card, the vocabulary, the sizes")
    inspect.set_defaults(do=do_inspect)
    for command in (evaluate, translate, inspect):
        command.add_argument("model", type=Path, help="folder of a run, or one of its files")
    translate.add_argument("sentence", nargs="*", help="without any, stdin is read, in UTF-8")
    for command in (evaluate, translate):
        command.add_argument("--beam", type=number(int, 1), metavar="N", default=5,
                             help="beginnings that are followed at once (5); 1 is greedy")
        command.add_argument("--length-penalty", type=number(float, 0, 10), metavar="N",
                             default=1.0, help="above 1, longer sentences win more often (1)")
    for command in (train, evaluate, translate):
        command.add_argument("--threads", type=number(int, 1), metavar="N",
                             help="CPU threads of each process; torch chooses by default")
        command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto",
                             help="auto: a CUDA GPU, with bfloat16, where there is one")
    return top


def do_train(given: argparse.Namespace) -> int:
    """Begin a training, or go on with one."""
    keep_freed_memory()
    last, explicit = given.folder / LAST, chosen(given)
    with joined(given.processes, given.device) as world:
        exists = last.exists()    # said by all before one of them writes it
        if not world.agrees(str(exists)):
            raise Fault(f"Not every process sees {last}: all must share the folder.")
        if exists and not given.resume:
            raise Fault(
                f"{given.folder} already holds a training: go on with --resume, or choose another "
                f"folder."
            )
        if exists:
            settings = using.settings_of(checkpoint.read(last)[1], last)
            settings = replace(settings, data=explicit.get("data", settings.data))
            for name, value in explicit.items():
                if value == "auto":
                    continue
                if getattr(settings, name) != value:
                    raise Fault(
                        f"{given.folder} was begun with {name.replace('_', '-')} "
                        f"{getattr(settings, name)}, not {value}: leave the option out, or begin "
                        f"anew in another folder."
                    )
        elif "pair" not in explicit:
            raise Fault(f"--pair is missing: choose one of {', '.join(PAIRS)}.")
        else:
            settings = Settings(**explicit)
        training = Training(settings, given.folder, world)
        training.resume() if exists else training.begin()
        if world.speaks:
            rows = training.train_rows
            print(
                f"{len(rows):,} sentence pairs ({rows.left_out:,} left out: empty or too long), "
                f"{len(training.subwords):,} subwords, {training.n_steps:,} steps in "
                f"{settings.epochs} epochs, {world.size} process{'es' * (world.size > 1)} on "
                f"{world.device}; from step {training.place['step']:,}",
                flush=True,
            )
        training.run(given.minutes)
        if world.speaks:
            print(f"{given.folder / MODEL} holds the model: `python -m utils.translator evaluate "
                  f"{given.folder}` scores it")
    return 0


def chosen(given: argparse.Namespace) -> dict[str, object]:
    """Return the settings that were given on the command line."""
    names = {field.name for field in fields(Settings)}
    return {name: value for name, value in vars(given).items() if name in names}


def do_evaluate(given: argparse.Namespace) -> int:
    """Print the scores of a model."""
    kept = using.load(given.model, device_of(given.device))
    source = Source(kept.settings.pair, given.data or kept.settings.data)
    beams = sorted({1, given.beam})
    show, penalty = sys.stderr.isatty(), given.length_penalty
    for line in using.evaluate(kept, source, given.split, beams, show, penalty):
        print(line)
    return 0


def do_translate(given: argparse.Namespace) -> int:
    """Print a line for each sentence: its translation, or nothing where it cannot be had."""
    kept = using.load(given.model, device_of(given.device))
    lines, faults = list(given.sentence), []
    raw = [] if lines else sys.stdin.buffer.read().removesuffix(b"\n").split(b"\n")
    for content in raw:
        try:
            lines.append(content.decode("utf-8").removesuffix("\r"))
        except UnicodeDecodeError as error:
            byte = content[error.start]
            faults.append(f"Line {len(lines) + 1} is not UTF-8 (byte {error.start + 1} of it is "
                          f"0x{byte:02x}): save the text as UTF-8.")
            lines.append("")
    for row, line in enumerate(lines):
        if using.too_long(kept, line):
            faults.append(f"Line {row + 1} {using.words_too_long(kept, line)}")
            lines[row] = ""
    show, penalty = sys.stderr.isatty(), given.length_penalty
    for sentence in using.translate_lines(kept, lines, given.beam, show, penalty):
        print(sentence)
    sys.stdout.flush()
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def do_inspect(given: argparse.Namespace) -> int:
    """Print what a checkpoint holds."""
    print("\n".join(using.describe(using.load(given.model))))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says. Returns the exit code: 0, or 1 after one sentence."""
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    given = parser().parse_args(arguments)
    if getattr(given, "threads", None):
        torch.set_num_threads(given.threads)
    try:
        code = given.do(given)
        sys.stdout.flush()
        return code
    except (Fault, CorpusUnavailable) as fault:
        rank = os.environ.get("RANK", "0")
        print(fault if rank == "0" else f"(process {rank}) {fault}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped; a training goes on from its last checkpoint with --resume.",
              file=sys.stderr)
        return 130
    except OSError as error:    # what we print cannot be written, or nobody reads it any more
        if not isinstance(error, BrokenPipeError):
            print(f"The output cannot be written ({error.strerror}).", file=sys.stderr)
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
    return 1

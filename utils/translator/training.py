"""The training: the same steps on one process or many, stopped and gone on with at any step."""

import math
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from utils.training import shift_target
from utils.translator import checkpoint
from utils.translator.cuts import Cuts
from utils.translator.data import Rows, Source, Subwords, fingerprint, to
from utils.translator.fast import TrainingLoss, fastest_precision
from utils.translator.faults import Fault, told
from utils.translator.model import SharedTransformer, n_parameters, rate_at
from utils.translator.processes import World

LAST, MODEL = "last.safetensors", "model.safetensors"


@dataclass(frozen=True)
class Settings:
    """All that decides what a training computes; it stands in each checkpoint."""

    pair: str
    data: str | None = None
    epochs: int = 46
    batch_tokens: int = 8192
    vocab_size: int = 11000
    d_model: int = 128
    heads: int = 4
    layers: int = 4
    d_ff: int = 256
    longest: int = 256
    dropout: float = 0.2
    bpe_dropout: float = 0.05
    smoothing: float = 0.1
    optimizer: str = "auto"
    rate: float = 8e-3
    muon_rate: float = 0.04
    warmup: int = 300
    clip: float = 1.0
    average: int = 8
    seed: int = 0
    precision: str = "auto"

    @property
    def source(self) -> Source:
        """Return where the sentences come from."""
        return Source(self.pair, self.data)

    def model(self, vocab_size: int) -> SharedTransformer:
        """Return an untrained model of these sizes. Raises Fault for impossible ones."""
        try:
            return SharedTransformer(
                vocab_size, d_model=self.d_model, n_heads=self.heads, n_layers=self.layers,
                d_ff=self.d_ff, dropout=self.dropout, max_len=self.longest + 1,
            )
        except ValueError as error:
            raise Fault(f"These sizes make no Transformer: {error}.") from error


def seed_of(*parts: object) -> int:
    """Return a seed that depends on all parts, and on nothing else."""
    return int.from_bytes(sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def backward(loss: nn.Module, data: Rows, rows: list[int], world: World) -> Tensor:
    """Add the gradients of a batch that all processes share; each computes its part of the rows.

    loss: a TrainingLoss, as the engine has wrapped it
    Returns the part's share of the loss: the sum over all processes is the loss of the batch, in
    nats a target token. The mean that the engine takes of the gradients is made up for.
    """
    own = rows[world.rank :: world.size]
    src, src_mask, tgt = to(data.batch(own or rows[:1]), world.device)
    part = loss(src, src_mask, *shift_target(tgt)) / data.n_tokens(rows)
    part = part if own else 0 * part
    (world.size * part).backward()
    return part.detach()


def optimizers_of(model: SharedTransformer, settings: Settings) -> list[torch.optim.Optimizer]:
    """Return what changes the weights: Adam, and Muon for the matrices between the vectors.

    Muon (Jordan et al. 2024, torch.optim.Muon) makes all directions of a matrix's step equally
    long. The table of subwords, the gains and the biases stay with Adam. Each group of weights
    knows its highest rate, "peak". Raises Fault where this torch has no Muon.
    """
    matrices: list[Tensor] = []
    if settings.optimizer == "muon":
        if not hasattr(torch.optim, "Muon"):
            raise Fault(
                f"torch {torch.__version__} has no Muon, with which this training works: install "
                f"torch 2.9 or later, or train anew with --optimizer adam."
            )
        halves = (model.encoder, model.decoder)
        matrices = [weight for half in halves for weight in half.parameters() if weight.ndim == 2]
    own = set(matrices)
    rest = [weight for weight in model.parameters() if weight not in own]
    adam = torch.optim.Adam(
        [{"params": rest, "peak": settings.rate}], lr=settings.rate, betas=(0.9, 0.98), fused=True
    )
    if not matrices:
        return [adam]
    group = {"params": matrices, "peak": settings.muon_rate}
    return [torch.optim.Muon([group], lr=settings.muon_rate, weight_decay=0.0), adam]


class Training:
    """A training in a folder: the model, its optimizers, and the place that has been reached."""

    def __init__(self, settings: Settings, folder: Path, world: World):
        self.settings, self.folder, self.world = settings, folder, world
        self.place: dict[str, Any] = {"step": 0, "seconds": 0.0, "loss": 0.0, "history": []}

    def begin(self) -> None:
        """Read the sentences, learn the subwords, draw the first weights, write all that."""
        if self.settings.precision == "auto":
            choice = self.world.all_say(fastest_precision(self.world.device) == "bfloat16")
            precision = "bfloat16" if choice else "float32"
            self.settings = replace(self.settings, precision=precision)
        if self.settings.optimizer == "auto":
            choice = self.world.all_say(hasattr(torch.optim, "Muon"))
            self.settings = replace(self.settings, optimizer="muon" if choice else "adam")
        train = self.settings.source.pairs("train")
        sentences = (side for pair in train for side in pair)
        self._prepare(train, Subwords.learn(sentences, self.settings.vocab_size))
        with told(self.folder, "written", "choose a folder that may be written"):
            self.folder.mkdir(parents=True, exist_ok=True)
        self.save()

    def resume(self) -> None:
        """Take the place, the weights and the optimizers' memory from the last checkpoint."""
        path = self.folder / LAST
        tensors, facts = checkpoint.read(path)
        if facts.get("kind") != "training":
            raise Fault(f"{path} is no checkpoint of a training: nothing can go on from it.")
        train = self.settings.source.pairs("train")
        if fingerprint(train) != facts["data"]:
            raise Fault(
                f"The training sentences are not those with which {path} was begun: bring them "
                f"back, or begin anew in another folder."
            )
        self._prepare(train, Subwords.of_text(facts["subwords"]))
        self.place = facts["place"]
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "memory": {}}
        for key, tensor in tensors.items():
            kind, name = key.split(" ", 1)
            parts["weights" if kind == "weights" else "memory"][name] = tensor
        checkpoint.put_weights(self.model, parts["weights"], path)
        for optimizer in self.optimizers:
            checkpoint.put_optimizer(self.model, optimizer, parts["memory"])

    def _prepare(self, train: list[tuple[str, str]], subwords: Subwords) -> None:
        """Set up all that follows from the settings and the sentences."""
        settings = self.settings
        longest = min(settings.longest, settings.batch_tokens)
        self.subwords, self.fingerprint = subwords, fingerprint(train)
        if not self.world.agrees(self.fingerprint + subwords.to_text()):
            raise Fault(
                "The processes have read different sentences, or learned different subwords: give "
                "each machine the same files and the same packages."
            )
        self.train_rows = Rows(train, subwords, longest)
        self.valid_rows = Rows(settings.source.pairs("valid"), subwords, longest)
        if not len(self.train_rows) or not len(self.valid_rows):
            raise Fault(f"{settings.source.name} has no sentence pair to train on or to check on.")
        seed = f"{settings.seed} 0"
        self.per_epoch = len(self.train_rows.epoch(settings.batch_tokens, seed))
        self.cuts = Cuts(subwords, settings.bpe_dropout, settings.seed)
        self.n_steps = self.per_epoch * settings.epochs
        if settings.warmup > self.n_steps:
            raise Fault(
                f"A warm-up of {settings.warmup:,} steps is longer than the whole training of "
                f"{self.n_steps:,}: give a smaller --warmup."
            )
        torch.manual_seed(seed_of(settings.seed, "weights"))
        self.model = settings.model(len(subwords)).to(self.world.device)
        self.loss = TrainingLoss(
            self.model, subwords.pad_id, settings.smoothing, settings.precision
        )
        self.optimizers = optimizers_of(self.model, settings)

    def epoch(self, epoch: int) -> tuple[Rows, list[list[int]]]:
        """Return the rows and the batches of an epoch: the same for each number of processes."""
        settings, rows = self.settings, self.train_rows
        seed = f"{settings.seed} {epoch}"
        if not settings.bpe_dropout:
            return rows, rows.epoch(settings.batch_tokens, seed)
        rows = self.cuts.varied(rows, min(settings.longest, settings.batch_tokens), seed)
        return rows, rows.epoch(settings.batch_tokens, seed, self.per_epoch)

    def run(self, minutes: float) -> None:
        """Train to the end. A checkpoint comes every so many minutes and after each epoch."""
        loss_of, saved = self.world.wrap(self.loss), time.monotonic()
        finished = self.place["step"] == self.n_steps and (self.folder / MODEL).exists()
        begun = time.monotonic() - self.place["seconds"]
        with tqdm(
            total=self.n_steps, initial=self.place["step"], desc="training", unit="step",
            disable=not self.world.speaks,
        ) as bar:
            while self.place["step"] < self.n_steps:
                epoch, first = divmod(self.place["step"], self.per_epoch)
                data, batches = self.epoch(epoch)
                for rows in batches[first:]:
                    loss = self.step(loss_of, data, rows)
                    self.place["seconds"] = time.monotonic() - begun
                    bar.set_postfix(epoch=epoch + 1, loss=f"{loss:.3f}", refresh=False)
                    bar.update()
                    ends = self.place["step"] % self.per_epoch == 0
                    if not ends and time.monotonic() - saved >= 60 * minutes:
                        self.save()
                        saved = time.monotonic()
                self.end_epoch(epoch)
                saved = time.monotonic()
                if self.world.speaks:
                    bar.write(self.words_of(epoch))
        if self.world.speaks and not finished:
            self.finish()

    def step(self, loss_of: nn.Module, data: Rows, rows: list[int]) -> float:
        """Take one step; all chance in it comes from the seed and the step's number.

        Raises Fault for a loss that is not finite, before the weights have changed.
        """
        step, settings = self.place["step"] + 1, self.settings
        torch.manual_seed(seed_of(settings.seed, "step", step, self.world.rank))
        loss_of.train()
        self.model.zero_grad()
        part = backward(loss_of, data, rows, self.world)
        loss = self.world.total(part).item()
        if not math.isfinite(loss):
            raise Fault(
                f"The loss is {loss} at step {step:,}: give a lower --rate; the checkpoints "
                f"before it are whole."
            )
        nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, group["peak"], settings.warmup, self.n_steps)
            optimizer.step()
        self.place["step"] = step
        self.place["loss"] += loss / self.per_epoch
        return loss

    @torch.no_grad()
    def valid_loss(self) -> float:
        """Return the loss on the validation part, unsmoothed, in nats a target token."""
        pad_id, precision = self.subwords.pad_id, self.settings.precision
        loss_of = TrainingLoss(self.model, pad_id, 0.0, precision).eval()
        total = torch.zeros((), device=self.world.device)
        batches = self.valid_rows.epoch(self.settings.batch_tokens, "valid")
        for rows in batches[self.world.rank :: self.world.size]:
            src, src_mask, tgt = to(self.valid_rows.batch(rows), self.world.device)
            total += loss_of(src, src_mask, *shift_target(tgt))
        n_tokens = self.valid_rows.n_tokens(range(len(self.valid_rows)))
        return self.world.total(total).item() / n_tokens

    def end_epoch(self, epoch: int) -> None:
        """Note the losses, keep the weights for the average, write the checkpoint."""
        losses = {"epoch": epoch + 1, "train": self.place["loss"], "valid": self.valid_loss()}
        self.place["history"].append(losses | {"seconds": round(self.place["seconds"], 1)})
        self.place["loss"] = 0.0
        if self.world.speaks:
            checkpoint.write(self.epoch_file(epoch), checkpoint.weights(self.model), {})
        self.save()
        if self.world.speaks:
            for path in map(self.epoch_file, range(epoch - self.settings.average + 1)):
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def words_of(self, epoch: int) -> str:
        """Return the line that an epoch prints."""
        last = self.place["history"][-1]
        return (
            f"epoch {epoch + 1:3}  train loss {last['train']:.4f}  valid loss "
            f"{last['valid']:.4f}  {last['seconds']:,.0f} s"
        )

    def epoch_file(self, epoch: int) -> Path:
        """Return the file with the weights at the end of an epoch, counted from 0."""
        return self.folder / f"epoch-{epoch + 1:04}.safetensors"

    def save(self) -> None:
        """Write the checkpoint from which the training goes on."""
        if not self.world.speaks:
            return
        tensors = {f"weights {k}": v for k, v in checkpoint.weights(self.model).items()}
        for optimizer in self.optimizers:
            kept = checkpoint.optimizer_tensors(self.model, optimizer)
            tensors |= {f"memory {key}": value for key, value in kept.items()}
        facts = {"kind": "training", "place": self.place, "data": self.fingerprint}
        checkpoint.write(self.folder / LAST, tensors, facts | self.facts())

    def facts(self) -> dict[str, Any]:
        """Return what every checkpoint says: the settings, the subwords, the card."""
        settings = self.settings
        given = {k: v for k, v in asdict(settings).items() if v is not None}
        options = " ".join(f"--{k.replace('_', '-')} {v}" for k, v in given.items())
        card = {
            "languages": settings.pair,
            "data": settings.source.name,
            "licence of the data": settings.source.licence,
            "training pairs": len(self.train_rows),
            "left out": self.train_rows.left_out,
            "parameters": n_parameters(self.model),
            "steps": f"{self.place['step']:,} of {self.n_steps:,}",
            "target tokens an epoch": self.train_rows.n_tokens(range(len(self.train_rows))),
            "seconds": round(self.place["seconds"], 1),
            "processes": self.world.size,
            "device": self.world.device,
            "torch": torch.__version__,
            "command": f"python -m utils.translator train FOLDER {options}",
            "history": self.place["history"],
        }
        return {"settings": asdict(settings), "subwords": self.subwords.to_text(), "card": card}

    def finish(self) -> None:
        """Write the model: the mean of the last epochs, in half precision, with its card."""
        last = range(max(0, self.settings.epochs - self.settings.average), self.settings.epochs)
        mean = checkpoint.mean_of(map(self.epoch_file, last))
        half = {name: tensor.half() for name, tensor in mean.items()}
        if not all(tensor.isfinite().all() for tensor in half.values()):
            raise Fault("The trained weights do not fit half precision: give a lower --rate.")
        facts = {"kind": "model"} | self.facts()
        facts["card"]["averaged epochs"] = len(last)
        checkpoint.write(self.folder / MODEL, half, facts)

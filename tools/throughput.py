"""What training the translator costs: `python -m tools.benchmark --training`.

Tokens are drawn, not read: the times depend on their number alone. All ways train on the same
batches in one process with one thread, and take turns; times are seconds of one core. What two
processes bring is measured by the clock, so let nothing else run then.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from tools.notebooks import ROOT
from utils.text import Batch, padding_mask
from utils.training import shift_target
from utils.transformer import sinusoidal_encoding
from utils.translator.fast import PRECISIONS, TrainingLoss
from utils.translator.model import SharedTransformer, smoothed_loss
from utils.translator.processes import World, joined

SIZES = dict(d_model=128, n_heads=4, n_layers=4, d_ff=256, dropout=0.2)
VOCAB, PAD, SMOOTHING = 8_000, 0, 0.1
WIDTHS, BATCH_TOKENS = (10, 14, 18, 26), 4_096    # places of a sentence; of a batch
Loss = Callable[[Batch], Tensor]


class TorchTransformer(nn.Module):
    """torch.nn.Transformer in its usual use: its own masks, post-norm, dropout everywhere."""

    def __init__(self, vocab: int, d_model: int, n_heads: int, n_layers: int, d_ff: int,
                 dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(vocab, d_model)
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        self.inner = nn.Transformer(
            d_model, n_heads, n_layers, n_layers, d_ff, dropout, batch_first=True
        )
        self.out = nn.Linear(d_model, vocab)
        self.out.weight = self.embedding.weight
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("places", sinusoidal_encoding(256, d_model))

    def embed(self, tokens: Tensor) -> Tensor:
        """Return vectors with their places, (batch, seq_len, d_model)."""
        x = self.embedding(tokens) * self.embedding.embedding_dim**0.5
        return self.dropout(x + self.places[: tokens.size(1)])

    def forward(self, src: Tensor, src_mask: Tensor, tgt: Tensor) -> Tensor:
        hidden = ~src_mask.squeeze(1)    # True where nobody may look, the rule of nn.Transformer
        past = nn.Transformer.generate_square_subsequent_mask(tgt.size(1))
        x = self.inner(
            self.embed(src), self.embed(tgt), tgt_mask=past, src_key_padding_mask=hidden,
            memory_key_padding_mask=hidden, tgt_is_causal=True,
        )
        return self.out(x)


def batches(vocab: int, widths: tuple[int, ...], batch_tokens: int) -> list[Batch]:
    """Draw batches like those of a real epoch: full targets, sources somewhat shorter."""
    torch.manual_seed(0)
    found = []
    for width in widths:
        n = batch_tokens // width
        src, tgt = (torch.randint(4, vocab, (n, length)) for length in (width, width + 1))
        lengths = torch.randint(round(0.7 * width), width + 1, (n, 1))
        src[torch.arange(width) >= lengths] = PAD
        found.append(Batch(src, padding_mask(src, PAD), tgt))
    return found


def losses(vocab: int, sizes: dict) -> dict[str, tuple[nn.Module, Loss]]:
    """Return each way to train: its module, and the function that gives a batch's summed loss."""
    theirs, ours = TorchTransformer(vocab, **sizes), SharedTransformer(vocab, **sizes)
    entropy = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=SMOOTHING, reduction="sum")

    def of_torch(batch: Batch) -> Tensor:
        tgt_in, tgt_out = shift_target(batch.tgt)
        logits = theirs(batch.src, batch.src_mask, tgt_in)
        return entropy(logits.flatten(0, 1), tgt_out.flatten())

    def by_parts(batch: Batch) -> Tensor:
        tgt_in, tgt_out = shift_target(batch.tgt)
        logits = ours(batch.src, batch.src_mask, tgt_in)
        return smoothed_loss(logits, tgt_out, PAD, SMOOTHING)

    ways: dict[str, tuple[nn.Module, Loss]] = {
        "nn.Transformer, as it is used": (theirs, of_torch),
        "the lessons' parts, as they are": (ours, by_parts),
    }
    for precision in PRECISIONS:
        quick = TrainingLoss(ours, PAD, SMOOTHING, precision)
        ways[f"the translator, {precision}"] = (
            ours, lambda b, quick=quick: quick(b.src, b.src_mask, *shift_target(b.tgt))
        )
    return ways


def step_of(model: nn.Module, loss_of: Loss) -> Callable[[Batch], None]:
    """Return a function that takes one training step."""
    adam = torch.optim.Adam(model.parameters(), 1e-4, betas=(0.9, 0.98), fused=True)

    def step(batch: Batch) -> None:
        adam.zero_grad()
        (loss_of(batch) / (batch.tgt[:, 1:] != PAD).sum()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()

    return step


def measure(
    rounds: int = 3, vocab: int = VOCAB, widths: tuple[int, ...] = WIDTHS,
    batch_tokens: int = BATCH_TOKENS, **sizes: int,
) -> dict[str, float]:
    """Return target tokens a second of one core for each way, its fastest round."""
    given = batches(vocab, widths, batch_tokens)
    n_tokens = sum((batch.tgt[:, 1:] != PAD).sum().item() for batch in given)
    steps = {name: step_of(*way) for name, way in losses(vocab, SIZES | sizes).items()}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):    # the first one is not counted
        for name, step in steps.items():
            begin = time.process_time()
            for batch in given:
                step(batch)
            if turn:
                taken[name].append(time.process_time() - begin)
    return {name: n_tokens / min(times) for name, times in taken.items()}


def products(sizes: dict, vocab: int) -> float:
    """Return the floating-point operations that matrix products need for one target token.

    As many source tokens as target tokens; three products for each map: forward, and two
    gradients. The products inside attention are left out: they are under 2 % here.
    """
    d, d_ff = sizes["d_model"], sizes["d_ff"]
    encoder, decoder = 4 * d * d + 2 * d * d_ff, 8 * d * d + 2 * d * d_ff
    return 6.0 * (sizes["n_layers"] * (encoder + decoder) + d * vocab)


def limits(n: int = 2048, rounds: int = 5) -> dict[str, float]:
    """Return how many operations a second one core does in a large product, by precision."""
    found = {}
    for name, dtype in PRECISIONS.items():
        x, times = torch.ones(n, n, dtype=dtype), []
        for _ in range(rounds):
            begin = time.process_time()
            x @ x
            times.append(time.process_time() - begin)
        found[name] = 2 * n**3 / min(times)
    return found


def worker(seconds: float) -> None:
    """Train as one of the processes that torchrun has started; the first prints tokens a second."""
    torch.set_num_threads(1)
    with joined(device="cpu") as world:
        speed = speed_in(world, seconds)
        if world.speaks:
            print(speed)


def speed_in(world: World, seconds: float) -> float:
    """Return tokens a second. What the engine has wrapped here must end before the engine does."""
    model = SharedTransformer(VOCAB, **SIZES)
    loss = world.wrap(TrainingLoss(model, PAD, SMOOTHING, os.environ["PRECISION"]))
    given = batches(VOCAB, WIDTHS, BATCH_TOKENS)
    own = [Batch(*(part[world.rank :: world.size] for part in batch)) for batch in given]
    step = step_of(model, lambda b: loss(b.src, b.src_mask, *shift_target(b.tgt)))
    n_tokens, begin, rounds = 0, time.perf_counter(), 0
    while rounds < 2 or world.all_say(time.perf_counter() < begin + seconds):
        if rounds == 1:    # the first round is not counted
            n_tokens, begin = 0, time.perf_counter()
        for batch, part in zip(given, own):
            step(part)
            n_tokens += batch.tgt[:, 1:].numel()
        rounds += 1
    return n_tokens / (time.perf_counter() - begin)


def by_processes(precision: str, seconds: float = 10.0) -> Iterator[tuple[int, float]]:
    """Give the tokens a second of one process and of two, by the clock."""
    surroundings = os.environ | {"PRECISION": precision, "OMP_NUM_THREADS": "1"}
    for n in (1, 2):
        call = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        call += ["--nproc-per-node", str(n), "-m", "tools.throughput", str(seconds)]
        done = subprocess.run(
            call, cwd=ROOT, env=surroundings, check=True, capture_output=True, encoding="utf-8"
        )
        yield n, float(done.stdout.split()[-1])


def table() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    speeds, most, needed = measure(), limits(), products(SIZES, VOCAB)
    base = next(iter(speeds.values()))
    print(f"target tokens a second of one core; {needed / 1e6:.1f} million operations a token")
    for name, speed in speeds.items():
        precision = next((p for p in PRECISIONS if name.endswith(p)), "float32")
        share = speed * needed / most[precision]
        print(f"  {name:34} {speed:8,.0f} {speed / base:6.2f} x   {share:4.0%} of a large product")
    for name, limit in most.items():
        print(f"  a large product in {name:15} {limit / 1e9:8,.0f} thousand million a second")
    print("target tokens a second by the clock, one thread each")
    first = None
    for n, speed in by_processes(max(most, key=most.get)):
        first = first or speed
        print(f"  {n} process{'es' * (n > 1):31} {speed:8,.0f} {speed / first:6.2f} x", flush=True)


if __name__ == "__main__":
    worker(float(sys.argv[1]))

"""What writing costs with the cache of lesson 13: `python -m tools.benchmark --decoding`.

The model has the sizes of the translator and weights as drawn: what it writes does not matter here.
All ways write the same 64 tokens after one another in one process, and take turns; times are
seconds of one core.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from utils.attention import causal_mask
from utils.inference import CachedTransformer
from utils.transformer import Transformer

SIZES = dict(d_model=128, n_heads=4, n_layers=4, d_ff=256)
VOCAB, SRC_LEN, LENGTH = 11_000, 24, 64
AT_ONCE = (1, 16, 64)    # sentences


class LastLogits(Transformer):
    """All words read anew in each step, but logits for the new ones alone."""

    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        read = tgt if state is None else torch.cat([state, tgt], dim=1)
        past = causal_mask(read.size(1), read.device)
        x = self.decoder(self.tgt_embedding(read), memory, past, src_mask)
        return self.out(x[:, -tgt.size(1) :]), read


WAYS: dict[str, type[nn.Module]] = {
    "all anew": Transformer,
    "all anew, logits of the last": LastLogits,
    "cached": CachedTransformer,
}


@torch.no_grad()
def write(model: nn.Module, src: Tensor, tgt: Tensor) -> tuple[list[float], Tensor]:
    """Let a model read the tokens of tgt one at a time; returns seconds of each step, logits."""
    mask = torch.ones(len(src), 1, src.size(1), dtype=torch.bool)
    memory, state, times, found = model.encode(src, mask), None, [], []
    for token in tgt.split(1, dim=1):
        begin = time.process_time()
        logits, state = model.decode(token, memory, mask, state)
        times.append(time.process_time() - begin)
        found.append(logits)
    return times, torch.cat(found, dim=1)


def measure(batch: int, length: int = LENGTH, rounds: int = 2, vocab: int = VOCAB, **sizes) -> dict:
    """Return for each way the seconds of each step, the fastest of some rounds, and the logits."""
    torch.manual_seed(0)
    first = Transformer(vocab, vocab, **SIZES | sizes, max_len=length + SRC_LEN).eval()
    models = {}
    for name, kind in WAYS.items():
        models[name] = kind(vocab, vocab, **SIZES | sizes, max_len=length + SRC_LEN).eval()
        models[name].load_state_dict(first.state_dict())
    src, tgt = torch.randint(vocab, (batch, SRC_LEN)), torch.randint(vocab, (batch, length))
    found: dict[str, tuple] = {}
    for _ in range(rounds):
        for name, model in models.items():
            times, logits = write(model, src, tgt)
            if name in found:
                times = list(map(min, times, found[name][0]))
            found[name] = times, logits
    return found


def lines(batch: int, found: dict) -> list[str]:
    """Return the lines of the table for so many sentences at once."""
    cached, right = found["cached"]
    end = max(1, len(cached) // 8)    # the last steps, for a time that one hiccup does not move
    result = []
    for name, (times, logits) in found.items():
        last, whole = sum(times[-end:]) / end, sum(times)
        ratio = f"{sum(times[-end:]) / sum(cached[-end:]):6.1f} x {whole / sum(cached):6.1f} x"
        apart = (logits - right).abs().max().item()
        result.append(f"{batch:3} at once  {name:30}{1000 * last:8.1f} ms{1000 * whole:9.0f} ms"
                      f"  {ratio}   {apart:.0e}")
    return result


def table() -> None:
    """Print the table: each way, for one sentence and for many at once."""
    torch.set_num_threads(1)
    print(f"{LENGTH} tokens, one core; {SIZES}, vocabulary {VOCAB:,}")
    print(f"{'':43}{f'token {LENGTH}':>11}{f'{LENGTH} tokens':>12}    both in times of "
          "cached   logits apart")
    for batch in AT_ONCE:
        print("\n".join(lines(batch, measure(batch, rounds=2 if batch < 64 else 1))), flush=True)

"""The training loop that every model of the course shares (notebook 04)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm


def shift_target(tgt: Tensor) -> tuple[Tensor, Tensor]:
    """What the decoder reads, and what it must predict: one step apart.

    tgt: (batch, tgt_len), each row <bos> w1 ... wn <eos> <pad> ...
    Returns inputs <bos> w1 ... and outputs w1 ... <eos>, (batch, tgt_len - 1).
    """
    return tgt[:, :-1], tgt[:, 1:]


def token_loss(logits: Tensor, tgt_out: Tensor, pad_id: int) -> Tensor:
    """Cross-entropy summed over the real target tokens, in nats.

    logits: (batch, tgt_len, vocab_size)    tgt_out: (batch, tgt_len)
    """
    return F.cross_entropy(
        logits.flatten(0, 1), tgt_out.flatten(),
        ignore_index=pad_id, reduction="sum",
    )


def train(
    model: nn.Module, batches, n_epochs: int, learning_rate: float = 4e-3
) -> list[float]:
    """Fit the model by teacher forcing; the rate falls to zero in a line.

    batches: gives Batch objects and has len() and .tgt_vocab.
    Returns the loss of every step, in nats a target token. Leaves the model
    in training mode.
    """
    pad_id, n_steps = batches.tgt_vocab.pad_id, n_epochs * len(batches)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
    losses = []
    model.train()
    with tqdm(total=n_steps, desc="training", unit="batch") as bar:
        for _ in range(n_epochs):
            for src, src_mask, tgt in batches:
                tgt_in, tgt_out = shift_target(tgt)
                logits = model(src, src_mask, tgt_in)
                n_tokens = (tgt_out != pad_id).sum()
                loss = token_loss(logits, tgt_out, pad_id) / n_tokens
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                decay.step()
                losses.append(loss.item())
                bar.update()
    return losses


def warmup_rate(step: int, d_model: int, warmup: int) -> float:
    """The learning rate of 2017: up in a line, then down as 1 / sqrt(step).

    step: from 1. The peak stands at step = warmup.
    Raises ValueError for a step or a warmup below 1.
    """
    if step < 1 or warmup < 1:
        raise ValueError(f"want step and warmup from 1: got {step}, {warmup}")
    return d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)

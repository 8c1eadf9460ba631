"""How a translator is trained that one can trust (built in notebook 12)."""

import random
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from utils.recurrent import AttentionDecoder, RNNDecoder, RNNEncoder, Seq2Seq
from utils.training import shift_target
from utils.transformer import Transformer


def smoothed_loss(
    logits: Tensor, target: Tensor, pad_id: int, smoothing: float
) -> Tensor:
    """Cross-entropy with a softened truth, summed over real tokens, in nats.

    The right token is to get 1 - smoothing; all others but padding, V - 2 of
    them, share the rest (Szegedy et al. 2016, section 7). The loss is
    log Σ exp logits - Σ wanted share * logit: no logarithm of a share is taken,
    so that a share of 0 does no harm.
    logits: (..., vocab_size)    target: (...), token ids
    """
    logits = logits.float()
    right = logits.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    loss = logits.logsumexp(dim=-1) - (1 - smoothing) * right
    if smoothing:
        others = logits.sum(dim=-1) - logits[..., pad_id] - right
        loss = loss - smoothing / (logits.size(-1) - 2) * others
    return loss.masked_fill(target == pad_id, 0.0).sum()


def rate_at(step: int, peak: float, warmup: int, n_steps: int) -> float:
    """The learning rate of a step: up in a line to the peak, then down.

    step: from 1. The peak stands at step = warmup; the step after the last
    would have the rate 0. Raises ValueError unless 1 <= step and
    1 <= warmup <= n_steps.
    """
    if not (1 <= step and 1 <= warmup <= n_steps):
        raise ValueError(
            f"want step and warmup from 1: got {step}, {warmup} of {n_steps} "
            f"steps"
        )
    if step <= warmup:
        return peak * step / warmup
    return peak * max(0, n_steps + 1 - step) / (n_steps + 1 - warmup)


def token_batches(
    sizes: Sequence[tuple[int, int]], batch_tokens: int, rng: random.Random
) -> list[list[int]]:
    """Group row numbers by length, so many that their places fit batch_tokens.

    sizes: (src_len, tgt_len) of each row; the longer one is its width. A batch
    of n rows, the widest with w places, takes n * w of them. A row that is
    wider than batch_tokens stands alone. The batches come in random order.
    """
    order = list(range(len(sizes)))
    rng.shuffle(order)
    order.sort(key=lambda row: (max(sizes[row]), sizes[row][1]))
    batches: list[list[int]] = [[]]
    for row in order:
        places = (len(batches[-1]) + 1) * max(sizes[row])
        if batches[-1] and places > batch_tokens:
            batches.append([])
        batches[-1].append(row)
    rng.shuffle(batches)
    return batches


def accumulate(
    model: nn.Module, parts: Sequence, pad_id: int, smoothing: float = 0.0
) -> float:
    """Add up the gradients of one step from several small batches.

    parts: Batch objects. Loss and gradients are those of one batch that holds
    all their sentences: every real target token counts the same.
    Returns the loss, in nats a target token.
    """
    wanted = [shift_target(tgt)[1] for _, _, tgt in parts]
    n_tokens = sum((tgt_out != pad_id).sum().item() for tgt_out in wanted)
    total = 0.0
    for (src, src_mask, tgt), tgt_out in zip(parts, wanted):
        logits = model(src, src_mask, shift_target(tgt)[0])
        loss = smoothed_loss(logits, tgt_out, pad_id, smoothing) / n_tokens
        loss.backward()
        total += loss.item()
    return total


def train_translator(model, rows, n_epochs, peak, warmup, batch_tokens=2048,
                     smoothing=0.1, n_parts=1, seed=0):
    """Train a translator; returns each step's loss, each epoch's weights.

    rows: sentence pairs as numbers, with sizes, batch(numbers) and pad_id
    n_parts: of how many small batches a step adds up the gradients
    """
    adam = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98))
    rng, losses, weights = random.Random(seed), [], []
    epochs = [token_batches(rows.sizes, batch_tokens, rng)
              for _ in range(n_epochs)]
    n_steps = sum(map(len, epochs))
    model.train()
    with tqdm(total=n_steps, desc="training", unit="step") as bar:
        for batches in epochs:
            for numbers in batches:
                rate = rate_at(len(losses) + 1, peak, warmup, n_steps)
                adam.param_groups[0]["lr"] = rate
                adam.zero_grad()
                parts = [rows.batch(numbers[n::n_parts])
                         for n in range(min(n_parts, len(numbers)))]
                losses.append(accumulate(model, parts, rows.pad_id, smoothing))
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                adam.step()
                bar.update()
            weights.append({name: value.detach().clone()
                            for name, value in model.named_parameters()})
    return losses, weights


def mean_weights(states: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several sets of weights, tensor by tensor.

    states: name and tensor, as of named_parameters. Read one after another.
    """
    total, n = {}, 0
    for n, state in enumerate(states, start=1):
        for name, tensor in state.items():
            total[name] = total.get(name, 0) + tensor.double()
    return {name: (tensor / n).float() for name, tensor in total.items()}


def tie(model: nn.Module) -> nn.Module:
    """Let source, target and output share one matrix; returns the model.

    For a model whose two languages have one vocabulary. Vaswani et al. 2017,
    section 3.4; Press and Wolf 2017.
    """
    tables = [m for m in model.modules() if isinstance(m, nn.Embedding)]
    outputs = [m for m in model.modules() if isinstance(m, nn.Linear)
               and m.weight.shape == tables[0].weight.shape]
    shared = tables[0].weight
    nn.init.normal_(shared, std=shared.size(1) ** -0.5)
    for module in [*tables, *outputs]:
        module.weight = shared
    for module in outputs:
        nn.init.zeros_(module.bias)
    return model


def three_systems(vocab_size: int, dropout: float = 0.1) -> dict:
    """RNN, RNN with attention, Transformer, with about equally many weights.

    Their widths are such at a vocabulary of 3,000. Untrained, in that order.
    """
    def rnn(d_model, decoder):
        encoder = RNNEncoder(vocab_size, d_model, dropout)
        return Seq2Seq(encoder, decoder(vocab_size, d_model, dropout))

    systems = {
        "RNN": rnn(88, RNNDecoder),
        "RNN, attention": rnn(85, AttentionDecoder),
        "Transformer": Transformer(vocab_size, vocab_size, dropout=dropout),
    }
    return {name: tie(model) for name, model in systems.items()}

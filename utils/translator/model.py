"""The course's Transformer as it is trained here, its loss, its learning rate."""

from torch import Tensor, nn

from utils.inference import CachedTransformer


class SharedTransformer(CachedTransformer):
    """A Transformer with one matrix for source, target and output (Vaswani et al. 2017, 3.4)."""

    def __init__(self, vocab_size: int, **sizes):
        super().__init__(vocab_size, vocab_size, **sizes)
        shared = self.src_embedding.embedding.weight
        self.tgt_embedding.embedding.weight = shared
        self.out.weight = shared
        nn.init.zeros_(self.out.bias)


def smoothed_loss(logits: Tensor, target: Tensor, pad_id: int, smoothing: float) -> Tensor:
    """Cross-entropy with a softened truth, summed over the real target tokens, in nats.

    The right token is to get 1 - smoothing; all others but padding, V - 2 of them, share the rest
    (Szegedy et al. 2016). The loss is log Σ exp logits - Σ wanted share * logit: no logarithm of
    a share is taken, so that a share of 0 does no harm.
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
    """The learning rate of a step, from 1: up in a line to the peak, then down in a line.

    The peak stands at step = warmup; the step after the last would have the rate 0.
    Raises ValueError unless 1 <= step and 1 <= warmup <= n_steps.
    """
    if not (1 <= step and 1 <= warmup <= n_steps):
        raise ValueError(f"want step and warmup from 1: got {step}, {warmup} of {n_steps} steps")
    if step <= warmup:
        return peak * step / warmup
    return peak * max(0, n_steps + 1 - step) / (n_steps + 1 - warmup)


def n_parameters(model: nn.Module) -> int:
    """Return how many numbers a model learns; the shared matrix counts once."""
    return sum(parameter.numel() for parameter in model.parameters())

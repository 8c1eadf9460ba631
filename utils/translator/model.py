"""The course's Transformer as it is trained here; its loss and learning rate are of lesson 12."""

from torch import nn

from utils.inference import CachedTransformer
from utils.translation import rate_at, smoothed_loss

__all__ = ["SharedTransformer", "n_parameters", "rate_at", "smoothed_loss"]


class SharedTransformer(CachedTransformer):
    """A Transformer with one matrix for source, target and output (Vaswani et al. 2017, 3.4)."""

    def __init__(self, vocab_size: int, **sizes):
        super().__init__(vocab_size, vocab_size, **sizes)
        shared = self.src_embedding.embedding.weight
        self.tgt_embedding.embedding.weight = shared
        self.out.weight = shared
        nn.init.zeros_(self.out.bias)


def n_parameters(model: nn.Module) -> int:
    """Return how many numbers a model learns; the shared matrix counts once."""
    return sum(parameter.numel() for parameter in model.parameters())

"""The course's Transformer as it is trained here; its loss and learning rate are of lesson 12."""

from torch import nn

from utils.attention import causal_mask
from utils.transformer import Transformer
from utils.translation import rate_at, smoothed_loss

__all__ = ["SharedTransformer", "n_parameters", "rate_at", "smoothed_loss"]


class SharedTransformer(Transformer):
    """A Transformer with one matrix for source, target and output (Vaswani et al. 2017, 3.4).

    While it writes it reads all it has written anew, but asks only for the next token.
    """

    def __init__(self, vocab_size: int, **sizes):
        super().__init__(vocab_size, vocab_size, **sizes)
        shared = self.src_embedding.embedding.weight
        self.tgt_embedding.embedding.weight = shared
        self.out.weight = shared
        nn.init.zeros_(self.out.bias)

    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        if need_weights or state is None:
            return super().decode(tgt, memory, src_mask, state, need_weights)
        read = state.new_zeros(len(state), state.size(1) + tgt.size(1))
        read[:, : state.size(1)], read[:, state.size(1) :] = state, tgt
        past = causal_mask(read.size(1), read.device)
        x = self.decoder(self.tgt_embedding(read), memory, past, src_mask)
        return self.out(x[:, state.size(1) :]), read


def n_parameters(model: nn.Module) -> int:
    """Return how many numbers a model learns; the shared matrix counts once."""
    return sum(parameter.numel() for parameter in model.parameters())

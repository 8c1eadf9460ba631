"""The parts of the Transformer, and the whole (built in 09, 10 and 11)."""

from contextlib import contextmanager

import torch
from torch import Tensor, nn

from utils.attention import MultiHeadAttention, causal_mask


def sinusoidal_encoding(
    seq_len: int, d_model: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Give each position a vector of sines and cosines.

    Pair i of features, (2i, 2i + 1), holds the sine and the cosine of
    pos / 10000^(2i / d_model). Returns (seq_len, d_model).
    Raises ValueError for an odd d_model. Vaswani et al. 2017, section 3.5.
    """
    if d_model % 2:
        raise ValueError(f"d_model must be even to make pairs, got {d_model}")
    position = torch.arange(seq_len, dtype=torch.float64).unsqueeze(1)
    two_i = torch.arange(0, d_model, 2, dtype=torch.float64)
    angle = position / 10000 ** (two_i / d_model)      # (seq_len, d_model / 2)
    pairs = torch.stack([angle.sin(), angle.cos()], dim=-1)
    return pairs.flatten(1).to(dtype)                  # (seq_len, d_model)


def rows_of_table(table: Tensor, start: int, seq_len: int) -> Tensor:
    """The rows for positions start to start + seq_len - 1 of (max_len, ...).

    Raises ValueError where the table ends before.
    """
    if start < 0 or start + seq_len > len(table):
        raise ValueError(
            f"positions {start} to {start + seq_len - 1} are asked for, but "
            f"the table ends at {len(table) - 1}: raise max_len"
        )
    return table[start : start + seq_len]


class SinusoidalPositions(nn.Module):
    """Add to each token the sinusoid of its position.

    x: (batch, seq_len, d_model)    start: the position of the first token
    Returns the same shape. ValueError beyond max_len.
    """

    def __init__(self, d_model: int, max_len: int = 256):
        super().__init__()
        table = sinusoidal_encoding(max_len, d_model)
        self.register_buffer("table", table)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        return x + rows_of_table(self.table, start, x.size(1))


class LearnedPositions(nn.Module):
    """Add to each token a learned vector for its position.

    x: (batch, seq_len, d_model)    start: the position of the first token
    Returns the same shape. ValueError beyond max_len.
    """

    def __init__(self, d_model: int, max_len: int = 256):
        super().__init__()
        self.table = nn.Parameter(0.02 * torch.randn(max_len, d_model))

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        return x + rows_of_table(self.table, start, x.size(1))


def layer_norm(
    x: Tensor, gain: Tensor, bias: Tensor, eps: float = 1e-5
) -> Tensor:
    """Give each token's vector mean 0 and variance 1, then gain and bias.

    x: (..., d_model)    gain, bias: (d_model,)    eps: keeps the root from 0
    The variance is the biased one. Ba et al. 2016. As in torch, computed in
    float32 at least: the square of 256 is too large for float16.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    centred = wide - wide.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return (gain * centred / (variance + eps).sqrt() + bias).to(x.dtype)


class LayerNorm(nn.Module):
    """layer_norm with a gain and a bias that are learned, one per feature."""

    def __init__(self, d_model: int, eps: float = 1e-5):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.gain, self.bias, self.eps)


class FeedForward(nn.Module):
    """Two linear maps with a ReLU between, for each position alone.

    x: (..., d_model). Returns the same shape. Vaswani et al. 2017, eq. 2.
    """

    def __init__(self, d_model: int, d_ff: int, dropout: float = 0.0):
        super().__init__()
        self.widen = nn.Linear(d_model, d_ff)
        self.narrow = nn.Linear(d_ff, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(self.dropout(self.widen(x).relu()))


class AddNorm(nn.Module):
    """The residual connection around a sub-layer, with its LayerNorm.

    Post-norm, as in 2017: norm(x + f(x)). Pre-norm: x + f(norm(x)).
    Called with x and f; f takes and gives (batch, seq_len, d_model).
    """

    def __init__(self, d_model: int, dropout: float, pre_norm: bool):
        super().__init__()
        self.norm = LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.pre_norm = pre_norm

    def forward(self, x: Tensor, sublayer) -> Tensor:
        if self.pre_norm:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward net, each inside Add & Norm.

    x: (batch, seq_len, d_model)    mask: as in MultiHeadAttention
    Returns x of the same shape. Vaswani et al. 2017, section 3.1.
    """

    def __init__(
        self, d_model: int, n_heads: int, d_ff: int,
        dropout: float = 0.0, pre_norm: bool = False,
    ):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.add_norm1 = AddNorm(d_model, dropout, pre_norm)
        self.add_norm2 = AddNorm(d_model, dropout, pre_norm)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.add_norm1(x, lambda y: self.attention(y, y, y, mask)[0])
        return self.add_norm2(x, self.feed_forward)


class DecoderLayer(nn.Module):
    """Look at the words before, look at the source, think.

    x: (batch, tgt_len, d_model)    memory: (batch, src_len, d_model)
    tgt_mask, src_mask: who may look where in x, and in memory
    Returns x of the same shape. Vaswani et al. 2017, section 3.1.
    """

    def __init__(
        self, d_model: int, n_heads: int, d_ff: int,
        dropout: float = 0.0, pre_norm: bool = False,
    ):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.cross_attention = MultiHeadAttention(d_model, n_heads)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.add_norm1 = AddNorm(d_model, dropout, pre_norm)
        self.add_norm2 = AddNorm(d_model, dropout, pre_norm)
        self.add_norm3 = AddNorm(d_model, dropout, pre_norm)

    def forward(self, x: Tensor, memory: Tensor, tgt_mask=None, src_mask=None):
        x = self.add_norm1(x, lambda y: self.attention(y, y, y, tgt_mask)[0])
        x = self.add_norm2(x, lambda y: self.cross_attention(
            y, memory, memory, src_mask)[0])
        return self.add_norm3(x, self.feed_forward)


class Encoder(nn.Module):
    """A stack of encoder layers; pre-norm needs one LayerNorm at the end.

    x: (batch, src_len, d_model)    src_mask: (batch, 1, src_len)
    Returns the memory, a tensor like x.
    """

    def __init__(
        self, n_layers: int, d_model: int, n_heads: int, d_ff: int,
        dropout: float = 0.0, pre_norm: bool = False,
    ):
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"want n_layers from 1, got {n_layers}")
        sizes = d_model, n_heads, d_ff, dropout, pre_norm
        layers = [EncoderLayer(*sizes) for _ in range(n_layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = LayerNorm(d_model) if pre_norm else nn.Identity()

    def forward(self, x: Tensor, src_mask: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x = layer(x, src_mask)
        return self.norm(x)


class Decoder(nn.Module):
    """A stack of decoder layers; pre-norm needs one LayerNorm at the end.

    x, memory and the masks: as in DecoderLayer. Returns a tensor like x.
    """

    def __init__(
        self, n_layers: int, d_model: int, n_heads: int, d_ff: int,
        dropout: float = 0.0, pre_norm: bool = False,
    ):
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"want n_layers from 1, got {n_layers}")
        sizes = d_model, n_heads, d_ff, dropout, pre_norm
        layers = [DecoderLayer(*sizes) for _ in range(n_layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = LayerNorm(d_model) if pre_norm else nn.Identity()

    def forward(self, x: Tensor, memory: Tensor, tgt_mask=None, src_mask=None):
        for layer in self.layers:
            x = layer(x, memory, tgt_mask, src_mask)
        return self.norm(x)


class TokenEmbedding(nn.Module):
    """A learned vector for each token, times √d_model, plus its position.

    tokens: (batch, seq_len). Returns (batch, seq_len, d_model). ValueError
    beyond max_len. Vaswani et al. 2017, section 3.4.
    """

    def __init__(self, vocab_size, d_model, dropout=0.0, max_len=256):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        self.positions = SinusoidalPositions(d_model, max_len)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) * self.embedding.embedding_dim**0.5
        return self.dropout(self.positions(x))     # (batch, seq_len, d_model)


@contextmanager
def looks_of(decoder: Decoder):
    """Collect where each layer looks in the source while the decoder runs.

    Gives a list: one run adds the weights of the cross-attention of each
    layer, (batch, n_heads, tgt_len, src_len).
    """
    looks = []
    hooks = [
        layer.cross_attention.register_forward_hook(
            lambda part, given, output: looks.append(output[1]))
        for layer in decoder.layers
    ]
    try:
        yield looks
    finally:
        for hook in hooks:
            hook.remove()


class Transformer(nn.Module):
    """The encoder-decoder of Vaswani et al. 2017, with pre-norm by default.

    Section 3.4 shares one matrix among source, target and output; we do not.
    """

    def __init__(self, src_vocab_size, tgt_vocab_size, d_model=64, n_heads=4,
                 n_layers=2, d_ff=128, dropout=0.0, pre_norm=True, max_len=256):
        super().__init__()
        sizes = n_layers, d_model, n_heads, d_ff, dropout, pre_norm
        self.encoder, self.decoder = Encoder(*sizes), Decoder(*sizes)
        rest = d_model, dropout, max_len
        self.src_embedding = TokenEmbedding(src_vocab_size, *rest)
        self.tgt_embedding = TokenEmbedding(tgt_vocab_size, *rest)
        self.out = nn.Linear(d_model, tgt_vocab_size)

    def encode(self, src, src_mask):
        return self.encoder(self.src_embedding(src), src_mask)

    def predict(self, tgt, memory, src_mask):
        past = causal_mask(tgt.size(1), tgt.device)
        x = self.decoder(self.tgt_embedding(tgt), memory, past, src_mask)
        return self.out(x)                         # (batch, tgt_len, vocab)

    def forward(self, src, src_mask, tgt):
        return self.predict(tgt, self.encode(src, src_mask), src_mask)

    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        read = tgt if state is None else torch.cat([state, tgt], dim=1)
        with looks_of(self.decoder) as looks:      # the state: all tokens read
            logits = self.predict(read, memory, src_mask)
        new = slice(read.size(1) - tgt.size(1), None)
        if not need_weights:
            return logits[:, new], read
        return logits[:, new], read, torch.stack(looks).mean(dim=(0, 2))[:, new]

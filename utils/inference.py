"""Writing without reading all anew, and what it costs (built in 13)."""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from utils.attention import (
    MultiHeadAttention,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)
from utils.transformer import DecoderLayer, TokenEmbedding, Transformer

KeysValues = tuple[Tensor, Tensor]    # each (batch, n_heads, seq_len, d_k)


def keys_and_values(attention: MultiHeadAttention, x: Tensor) -> KeysValues:
    """What an attention needs of each token that others look at.

    x: (batch, seq_len, d_model). Returns two (batch, n_heads, seq_len, d_k).
    """
    n_heads = attention.n_heads
    k = split_heads(attention.key_map(x), n_heads)
    return k, split_heads(attention.value_map(x), n_heads)


def attend_to(
    attention: MultiHeadAttention, x: Tensor, k: Tensor, v: Tensor,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Ask with the tokens of x where keys and values are there already.

    x: (batch, tgt_len, d_model)    k, v: (batch, n_heads, src_len, d_k)
    mask and what is returned: as in MultiHeadAttention.
    """
    q = split_heads(attention.query_map(x), attention.n_heads)
    if mask is not None and mask.dim() == 3:
        mask = mask.unsqueeze(1)             # one mask for all heads
    context, weights = scaled_dot_product_attention(q, k, v, mask)
    return attention.output_map(merge_heads(context)), weights


def cached_attention(
    attention: MultiHeadAttention, x: Tensor, past: KeysValues | None = None
) -> tuple[Tensor, KeysValues]:
    """Self-attention of the new tokens: they see the past and themselves.

    x: (batch, new_len, d_model), the new tokens alone
    past: keys and values of all tokens before, None if there are none
    Returns output (batch, new_len, d_model), keys and values of all tokens.
    """
    k, v = keys_and_values(attention, x)
    if past is not None:
        k, v = (torch.cat(pair, dim=2) for pair in zip(past, (k, v)))
    new_len, seq_len = x.size(1), k.size(2)
    mask = torch.ones(new_len, seq_len, dtype=torch.bool, device=x.device)
    mask = mask.tril(seq_len - new_len)      # the last rows of a causal mask
    return attend_to(attention, x, k, v, mask)[0], (k, v)


def cached_layer(
    layer: DecoderLayer, x: Tensor, past: KeysValues | None,
    source: KeysValues, src_mask: Tensor | None = None,
) -> tuple[Tensor, KeysValues, Tensor]:
    """A decoder layer for the new tokens alone.

    x, past: as in cached_attention    source: keys and values of the memory
    Returns x, the new past, and the weights of the look at the source.
    """
    weights = None

    def look_back(y):
        nonlocal past
        output, past = cached_attention(layer.attention, y, past)
        return output

    def look_at_source(y):
        nonlocal weights
        output, weights = attend_to(layer.cross_attention, y, *source, src_mask)
        return output

    x = layer.add_norm1(x, look_back)
    x = layer.add_norm2(x, look_at_source)
    return layer.add_norm3(x, layer.feed_forward), past, weights


def embed_from(embedding: TokenEmbedding, tokens: Tensor, start: int) -> Tensor:
    """The vectors of tokens, the first of which stands at position start.

    tokens: (batch, seq_len). Returns (batch, seq_len, d_model).
    """
    x = embedding.embedding(tokens) * embedding.embedding.embedding_dim**0.5
    return embedding.dropout(embedding.positions(x, start))


class CachedTransformer(Transformer):
    """A Transformer whose state is the keys and values of what it has read.

    For each layer the state holds two pairs: keys and values of the tokens
    so far, and those of the memory, which are made once.
    """

    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        layers = self.decoder.layers
        if state is None:
            state = [(None, keys_and_values(layer.cross_attention, memory))
                     for layer in layers]
        past = state[0][0]
        start = 0 if past is None else past[0].size(2)
        x, kept, looks = embed_from(self.tgt_embedding, tgt, start), [], []
        for layer, (past, source) in zip(layers, state):
            x, past, weights = cached_layer(layer, x, past, source, src_mask)
            kept.append((past, source))
            looks.append(weights)
        logits = self.out(self.decoder.norm(x))
        if not need_weights:
            return logits, tuple(kept)
        return logits, tuple(kept), torch.stack(looks).mean(dim=(0, 2))


def layer_flops(seq_len: int, d_model: int, d_ff: int) -> int:
    """What the matrix products of one encoder layer cost for one sentence.

    A product (n, d) @ (d, m) multiplies and adds n d m times, 2 n d m
    operations. Adds of a bias, softmax, norms and ReLU are left out.
    """
    maps = 4 * 2 * seq_len * d_model * d_model       # q, k, v and the output
    looks = 2 * 2 * seq_len * seq_len * d_model      # q kᵀ and weights v
    net = 2 * 2 * seq_len * d_model * d_ff           # widen and narrow
    return maps + looks + net


def count_flops(function, *given) -> int:
    """Multiplications and additions in the matrix products of one call."""
    with FlopCounterMode(display=False) as counter:
        function(*given)
    return counter.get_total_flops()


def count_numbers(nest) -> int:
    """How many numbers the tensors of a decoder's state hold.

    nest: a tensor; a tuple, list or dict of such nests; or None.
    """
    if nest is None:
        return 0
    if isinstance(nest, Tensor):
        return nest.numel()
    parts = nest.values() if isinstance(nest, dict) else nest
    return sum(map(count_numbers, parts))


def cache_bytes(seq_len, n_layers, n_kv_heads, d_k, n_bytes=4) -> int:
    """What the keys and values of seq_len tokens take, n_bytes a number."""
    return 2 * seq_len * n_layers * n_kv_heads * d_k * n_bytes


def keep_top_p(shares: Tensor, top_p: float) -> Tensor:
    """Keep the likeliest tokens until their shares reach top_p.

    shares: (..., vocab_size), each row sums to 1. Returns the same shape:
    the rest get 0, and what stays is divided by its sum. ValueError unless
    0 < top_p <= 1. Holtzman et al. 2020, section 3.1.
    """
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {top_p}")
    ordered, tokens = shares.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered        # of the likelier tokens
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    kept = torch.zeros_like(shares).scatter(-1, tokens, ordered)
    return kept / kept.sum(dim=-1, keepdim=True)

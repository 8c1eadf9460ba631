"""What descends from the Transformer (begun in 09)."""

import torch
from torch import Tensor

from utils.attention import (
    MultiHeadAttention,
    masked_softmax,
    merge_heads,
    require_mask,
    scaled_dot_product_attention,
    split_heads,
)


def rotate(x: Tensor, start: int = 0, base: float = 10000.0) -> Tensor:
    """Turn each pair of features by an angle that grows with the position.

    Pair i, features (2i, 2i + 1), turns by pos / base^(2i / d_k): the angles
    of the sinusoid. x: (..., seq_len, d_k), queries or keys of one head.
    start: the position of the first token. Returns the same shape.
    Raises ValueError for an odd d_k. Su et al. 2021, section 3.2.
    """
    seq_len, d_k = x.shape[-2:]
    if d_k % 2:
        raise ValueError(f"d_k must be even to make pairs, got {d_k}")
    position = torch.arange(start, start + seq_len, dtype=torch.float64)
    two_i = torch.arange(0, d_k, 2, dtype=torch.float64)
    angle = position.unsqueeze(1) / base ** (two_i / d_k)
    sin, cos = angle.sin().to(x), angle.cos().to(x)    # (seq_len, d_k / 2)
    first, second = x[..., 0::2], x[..., 1::2]         # (..., seq_len, d_k / 2)
    turned = first * cos - second * sin, first * sin + second * cos
    return torch.stack(turned, dim=-1).flatten(-2)     # (..., seq_len, d_k)


def rotary_attention(
    attention: MultiHeadAttention, x: Tensor, mask: Tensor | None = None,
    start: int = 0,
) -> tuple[Tensor, Tensor]:
    """Self-attention with the queries and keys of each head turned.

    attention: whose maps are used    x: (batch, seq_len, d_model)
    mask: as in MultiHeadAttention    start: the position of the first token
    Returns output (batch, seq_len, d_model) and weights (batch, n_heads,
    seq_len, seq_len).
    """
    n_heads = attention.n_heads
    q = rotate(split_heads(attention.query_map(x), n_heads), start)
    k = rotate(split_heads(attention.key_map(x), n_heads), start)
    v = split_heads(attention.value_map(x), n_heads)
    if mask is not None and mask.dim() == 3:
        mask = mask.unsqueeze(1)             # one mask for all heads
    context, weights = scaled_dot_product_attention(q, k, v, mask)
    return attention.output_map(merge_heads(context)), weights


def alibi_bias(n_heads: int, tgt_len: int, src_len: int) -> Tensor:
    """What each head adds to a score: minus its slope times the distance.

    Head h of n_heads, from 1, has the slope 2^(-8h / n_heads), as in Press et
    al. 2022, section 3; for n_heads that is no power of 2 their code has other
    slopes. The queries are the last tgt_len of the src_len positions. Returns
    (n_heads, tgt_len, src_len), nowhere above 0. Raises ValueError where
    tgt_len > src_len or n_heads < 1.
    """
    if n_heads < 1 or tgt_len > src_len:
        raise ValueError(f"{n_heads} heads, {tgt_len} queries, {src_len} keys")
    head = torch.arange(1, n_heads + 1)
    slope = 2.0 ** (-8 * head / n_heads)               # (n_heads,)
    position = torch.arange(src_len)
    query = position[src_len - tgt_len :].unsqueeze(1)
    distance = (query - position).abs()                # (tgt_len, src_len)
    return -slope.view(-1, 1, 1) * distance


def alibi_attention(
    attention: MultiHeadAttention, x: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Self-attention whose scores fall in a line with the distance.

    attention: whose maps are used    x: (batch, seq_len, d_model)
    mask: as in MultiHeadAttention. Returns output (batch, seq_len, d_model)
    and weights (batch, n_heads, seq_len, seq_len).
    """
    n_heads, seq_len = attention.n_heads, x.size(1)
    q = split_heads(attention.query_map(x), n_heads)
    k = split_heads(attention.key_map(x), n_heads)
    v = split_heads(attention.value_map(x), n_heads)
    scores = (q / q.size(-1) ** 0.5) @ k.transpose(-2, -1)
    scores = scores + alibi_bias(n_heads, seq_len, seq_len).to(scores)
    if mask is not None and mask.dim() == 3:
        mask = mask.unsqueeze(1)             # one mask for all heads
    if mask is not None:
        require_mask(mask, scores)
    weights = masked_softmax(scores, mask)
    return attention.output_map(merge_heads(weights @ v)), weights


def window_mask(seq_len: int, width: int) -> Tensor:
    """True where position i may look at j: itself and the places before it.

    A causal mask that ends: with its own place, a position sees at most
    width places. Returns (seq_len, seq_len), bool. ValueError for width < 1.
    """
    if width < 1:
        raise ValueError(f"a window of {width} places shows nothing")
    position = torch.arange(seq_len)
    distance = position.unsqueeze(1) - position        # (seq_len, seq_len)
    return (distance >= 0) & (distance < width)

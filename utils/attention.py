"""Attention: heads, scores, masked weights (built in 00, 05 and 07).

In float16 a score above 65,504 overflows and gives nan, as in torch.
"""

import torch
from torch import Tensor, nn


def stable_softmax(scores: Tensor, dim: int = -1) -> Tensor:
    """Turn scores into positive shares that sum to 1 along one axis.

    scores: any shape; dim: the axis to share out.
    Subtracting the largest score first changes nothing but the overflow.
    """
    highest = scores.amax(dim=dim, keepdim=True)
    powers = (scores - highest).exp()
    return powers / powers.sum(dim=dim, keepdim=True)


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """Cut each token's features into n_heads groups, one for each head.

    x: (batch, seq_len, d_model), d_model divisible by n_heads.
    Returns (batch, n_heads, seq_len, d_model / n_heads).
    """
    batch, seq_len, d_model = x.shape
    if d_model % n_heads:
        raise ValueError(f"n_heads {n_heads} does not divide d_model {d_model}")
    x = x.view(batch, seq_len, n_heads, d_model // n_heads)
    return x.transpose(1, 2)                 # (batch, n_heads, seq_len, d_k)


def merge_heads(x: Tensor) -> Tensor:
    """Undo split_heads: put the groups of each token side by side again.

    x: (batch, n_heads, seq_len, d_k). Returns (batch, seq_len, n_heads * d_k).
    """
    batch, n_heads, seq_len, d_k = x.shape
    x = x.transpose(1, 2)                    # (batch, seq_len, n_heads, d_k)
    return x.reshape(batch, seq_len, n_heads * d_k)


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Share 1 among the keys that a query may look at; the rest get 0.

    scores: (..., tgt_len, src_len)
    mask: True where a query may look, broadcasts to scores.
    Returns weights like scores. A row without any visible key is all 0.
    """
    if mask is None:
        return scores.softmax(dim=-1)
    empty = ~mask.any(dim=-1, keepdim=True)  # -inf in a whole row makes NaN
    scores = scores.masked_fill(~mask, float("-inf")).masked_fill(empty, 0.0)
    return scores.softmax(dim=-1).masked_fill(~mask, 0.0)


class DotScore(nn.Module):
    """Score = query · key, divided by the root of their width.

    queries: (batch, tgt_len, d_model)    keys: (batch, src_len, d_model)
    Returns scores (batch, tgt_len, src_len). Luong et al. 2015, section 3.1,
    with the division of Vaswani et al. 2017; lesson 07 measures what it does.
    """

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries @ keys.transpose(-2, -1) / queries.size(-1) ** 0.5


class GeneralScore(nn.Module):
    """Score = query · (W key): a dot product after one linear map of the keys.

    queries: (batch, tgt_len, d_query)    keys: (batch, src_len, d_key)
    Returns scores (batch, tgt_len, src_len). Luong et al. 2015, section 3.1.
    """

    def __init__(self, d_query: int, d_key: int):
        super().__init__()
        self.map = nn.Linear(d_key, d_query, bias=False)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries @ self.map(keys).transpose(-2, -1)


class AdditiveScore(nn.Module):
    """Score = v · tanh(W query + U key): a small network compares the two.

    queries: (batch, tgt_len, d_query)    keys: (batch, src_len, d_key)
    Returns scores (batch, tgt_len, src_len). Bahdanau et al. 2015, A.1.2.
    """

    def __init__(self, d_query: int, d_key: int, d_hidden: int):
        super().__init__()
        self.query_map = nn.Linear(d_query, d_hidden, bias=False)
        self.key_map = nn.Linear(d_key, d_hidden, bias=False)
        self.v = nn.Linear(d_hidden, 1, bias=False)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        mapped_queries = self.query_map(queries).unsqueeze(2)
        mapped_keys = self.key_map(keys).unsqueeze(1)
        compared = torch.tanh(mapped_queries + mapped_keys)
        return self.v(compared).squeeze(-1)  # (batch, tgt_len, src_len)


def require_mask(mask: Tensor | None, scores: Tensor) -> None:
    """Refuse a mask that is not bool or does not broadcast to the scores."""
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise TypeError(f"want a bool mask, True = may look; got {mask.dtype}")
    want = tuple(scores.shape)
    pairs = zip(reversed(mask.shape), reversed(want))
    if mask.dim() > len(want) or any(m not in (1, s) for m, s in pairs):
        raise ValueError(f"mask {tuple(mask.shape)} does not fit scores {want}")


def scaled_dot_product_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mix the values by how well each key matches each query.

    q: (..., tgt_len, d_k)    k: (..., src_len, d_k)    v: (..., src_len, d_v)
    mask: bool, True where a query may look, broadcasts to the weights
    Returns context (..., tgt_len, d_v) and weights (..., tgt_len, src_len).
    A query that may look nowhere gets zeros. Vaswani et al. 2017, equation 1.
    Raises ValueError where sizes do not fit, TypeError for another mask.
    """
    d_k = q.size(-1)
    if k.size(-1) != d_k or k.size(-2) != v.size(-2):
        sizes = [tuple(x.shape) for x in (q, k, v)]
        raise ValueError(f"q and k share d_k, k and v src_len: got {sizes}")
    scores = (q / d_k**0.5) @ k.transpose(-2, -1)  # (..., tgt_len, src_len)
    require_mask(mask, scores)
    weights = masked_softmax(scores, mask)         # (..., tgt_len, src_len)
    return weights @ v, weights                    # (..., tgt_len, d_v)


def causal_mask(seq_len: int, device=None) -> Tensor:
    """True where position i may look at position j: itself and the past.

    Returns (seq_len, seq_len), bool.
    """
    shape = seq_len, seq_len
    return torch.ones(shape, dtype=torch.bool, device=device).tril()


class SelfAttention(nn.Module):
    """One head: the words of a sentence select one another.

    Three maps make each word's query, key and value from the same vector.
    x: (batch, seq_len, d_model)    mask: broadcasts to the weights
    Returns context (batch, seq_len, d_k), weights (batch, seq_len, seq_len).
    """

    def __init__(self, d_model: int, d_k: int):
        super().__init__()
        self.query_map = nn.Linear(d_model, d_k, bias=False)
        self.key_map = nn.Linear(d_model, d_k, bias=False)
        self.value_map = nn.Linear(d_model, d_k, bias=False)

    def forward(
        self, x: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        q, k, v = self.query_map(x), self.key_map(x), self.value_map(x)
        return scaled_dot_product_attention(q, k, v, mask)


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each on its own narrow q, k and v.

    query: (batch, tgt_len, d_model)    key, value: (batch, src_len, d_model)
    mask: bool, True where a query may look: (tgt_len, src_len), or with a
    batch axis in front, or (batch, n_heads, tgt_len, src_len); any axis but
    the last may be 1. Returns output (batch, tgt_len, d_model) and weights
    (batch, n_heads, tgt_len, src_len). Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        if n_heads < 1 or d_model % n_heads:
            raise ValueError(f"{n_heads} heads do not divide d_model {d_model}")
        self.n_heads = n_heads
        self.query_map = nn.Linear(d_model, d_model)
        self.key_map = nn.Linear(d_model, d_model)
        self.value_map = nn.Linear(d_model, d_model)
        self.output_map = nn.Linear(d_model, d_model)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        q = split_heads(self.query_map(query), self.n_heads)
        k = split_heads(self.key_map(key), self.n_heads)
        v = split_heads(self.value_map(value), self.n_heads)
        if mask is not None and mask.dim() == 3:
            mask = mask.unsqueeze(1)         # one mask for all heads
        context, weights = scaled_dot_product_attention(q, k, v, mask)
        return self.output_map(merge_heads(context)), weights

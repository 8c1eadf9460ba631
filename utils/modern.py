"""The block as it is built today, of exchangeable parts (built in 15)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from utils.attention import (
    causal_mask,
    masked_softmax,
    merge_heads,
    require_mask,
    scaled_dot_product_attention,
    split_heads,
)
from utils.transformer import (
    FeedForward,
    LayerNorm,
    LearnedPositions,
    SinusoidalPositions,
)
from utils.variants import alibi_bias, rotate


def grouped_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention in which neighbouring query heads share keys and values.

    q: (batch, n_heads, tgt_len, d_k)    k, v: (batch, n_kv_heads, src_len, d_k)
    mask, bias: who may look, what is added to the scores; both broadcast.
    Returns context like q, and weights. ValueError where n_kv_heads does not
    divide n_heads. Ainslie et al. 2023.
    """
    n_heads, n_kv_heads = q.size(1), k.size(1)
    if n_heads % n_kv_heads:
        raise ValueError(f"{n_kv_heads} key heads do not divide {n_heads}")
    group = n_heads // n_kv_heads
    k, v = (x.repeat_interleave(group, dim=1) for x in (k, v))
    if bias is None:
        return scaled_dot_product_attention(q, k, v, mask)
    scores = (q / q.size(-1) ** 0.5) @ k.transpose(-2, -1) + bias.to(q)
    require_mask(mask, scores)
    weights = masked_softmax(scores, mask)
    return weights @ v, weights


class GroupedQueryAttention(nn.Module):
    """Self-attention with fewer heads of keys and values than of queries.

    positions: "rotary", "alibi", or another word for none in here
    x: (batch, seq_len, d_model)    mask: as in MultiHeadAttention
    Returns output like x, weights (batch, n_heads, seq_len, seq_len).
    """

    def __init__(self, d_model, n_heads, n_kv_heads, positions="rotary"):
        super().__init__()
        if d_model % n_heads or n_heads % n_kv_heads:
            raise ValueError(f"{n_kv_heads}, {n_heads}, {d_model}: no divisors")
        self.n_heads, self.n_kv_heads = n_heads, n_kv_heads
        self.positions, d_kv = positions, d_model // n_heads * n_kv_heads
        self.query_map = nn.Linear(d_model, d_model)
        self.key_map = nn.Linear(d_model, d_kv)
        self.value_map = nn.Linear(d_model, d_kv)
        self.output_map = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, mask: Tensor | None = None):
        q = split_heads(self.query_map(x), self.n_heads)
        k = split_heads(self.key_map(x), self.n_kv_heads)
        v = split_heads(self.value_map(x), self.n_kv_heads)
        bias, n = None, x.size(1)
        if mask is not None and mask.dim() == 3:
            mask = mask.unsqueeze(1)         # one mask for all heads
        if self.positions == "rotary":
            q, k = rotate(q), rotate(k)
        elif self.positions == "alibi":
            bias = alibi_bias(self.n_heads, n, n)
        context, weights = grouped_attention(q, k, v, mask, bias)
        return self.output_map(merge_heads(context)), weights


def root_mean_square_norm(x: Tensor, gain: Tensor, eps: float = 1e-6) -> Tensor:
    """Give each token's vector the mean square 1, then multiply by the gain.

    x: (..., d_model)    gain: (d_model,)    eps: keeps the root from 0
    Zhang and Sennrich 2019. Computed in float32 at least, as layer_norm.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    mean_square = wide.square().mean(dim=-1, keepdim=True)
    return (gain * wide / (mean_square + eps).sqrt()).to(x.dtype)


class RMSNorm(nn.Module):
    """root_mean_square_norm with a learned gain for each feature."""

    def __init__(self, d_model: int, eps: float = 1e-6):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(d_model))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return root_mean_square_norm(x, self.gain, self.eps)


class SwiGLU(nn.Module):
    """A feed-forward net with a gate: narrow(silu(gate(x)) · widen(x)).

    d_ff: the width of the FeedForward that it replaces. Three maps without
    biases, 2/3 as wide, have about as many weights as its two.
    x: (..., d_model). Returns the same shape. Shazeer 2020, eq. 6.
    """

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        width = round(2 * d_ff / 3)
        self.gate = nn.Linear(d_model, width, bias=False)
        self.widen = nn.Linear(d_model, width, bias=False)
        self.narrow = nn.Linear(width, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(F.silu(self.gate(x)) * self.widen(x))


@dataclass(frozen=True)
class Recipe:
    """What a block is made of; as it stands here, the block of 2017.

    positions: "sinusoid", "learned", "rotary" or "alibi"
    """

    pre_norm: bool = False
    norm: type = LayerNorm
    feed_forward: type = FeedForward
    positions: str = "sinusoid"
    n_kv_heads: int = 8


MODERN = Recipe(True, RMSNorm, SwiGLU, "rotary", 2)
RECIPES = {
    "block of 2017": Recipe(),
    "pre-norm": Recipe(pre_norm=True),
    "RMSNorm": Recipe(norm=RMSNorm),
    "SwiGLU": Recipe(feed_forward=SwiGLU),
    "4 key heads": Recipe(n_kv_heads=4),
    "2 key heads": Recipe(n_kv_heads=2),
    "1 key head": Recipe(n_kv_heads=1),
    "learned": Recipe(positions="learned"),
    "rotary": Recipe(positions="rotary"),
    "ALiBi": Recipe(positions="alibi"),
    "modern block": MODERN,
}


class RecipeBlock(nn.Module):
    """Attention, then a feed-forward net, of the parts that a recipe names.

    x: (batch, seq_len, d_model)    mask: (seq_len, seq_len)
    Returns x of the same shape.
    """

    def __init__(self, recipe: Recipe, d_model: int, n_heads: int, d_ff: int):
        super().__init__()
        self.pre_norm = recipe.pre_norm
        self.attention = GroupedQueryAttention(
            d_model, n_heads, recipe.n_kv_heads, recipe.positions)
        self.feed_forward = recipe.feed_forward(d_model, d_ff)
        self.norm1, self.norm2 = recipe.norm(d_model), recipe.norm(d_model)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.pre_norm:
            x = x + self.attention(self.norm1(x), mask)[0]
            return x + self.feed_forward(self.norm2(x))
        x = self.norm1(x + self.attention(x, mask)[0])
        return self.norm2(x + self.feed_forward(x))


ADDED = {"sinusoid": SinusoidalPositions, "learned": LearnedPositions}


class Writer(nn.Module):
    """A stack of blocks that says, at each place, which word comes next.

    tokens: (batch, seq_len)    mask: who may look at whom; None is causal
    Returns logits (batch, seq_len, vocab_size). Where positions are added,
    ValueError beyond max_len.
    """

    def __init__(self, recipe, vocab_size, d_ff, d_model=64, n_heads=8,
                 n_layers=2, max_len=96):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        table = ADDED.get(recipe.positions)
        self.positions = table(d_model, max_len) if table else nn.Identity()
        sizes = d_model, n_heads, d_ff
        blocks = [RecipeBlock(recipe, *sizes) for _ in range(n_layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = recipe.norm(d_model) if recipe.pre_norm else nn.Identity()
        self.out = nn.Linear(d_model, vocab_size)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            mask = causal_mask(tokens.size(1), tokens.device)
        x = self.embedding(tokens) * self.embedding.embedding_dim**0.5
        x = self.positions(x)                      # (batch, seq_len, d_model)
        for block in self.blocks:
            x = block(x, mask)
        return self.out(self.norm(x))


def writer_of(recipe: Recipe, vocab_size: int, n_parameters: int) -> Writer:
    """Make a writer whose d_ff brings it nearest to so many parameters."""
    with torch.device("meta"):                 # shapes alone, nothing drawn
        few, more = (
            sum(p.numel() for p in Writer(recipe, vocab_size, n).parameters())
            for n in (96, 192)
        )
    d_ff = round(96 + (n_parameters - few) * 96 / (more - few))
    return Writer(recipe, vocab_size, d_ff)


def train_writer(
    writer: nn.Module, words: Tensor, n_steps: int = 400,
    learning_rate: float = 1.2e-2, seq_len: int = 32,
) -> list[float]:
    """Let it say the next word in random pieces of a text; returns the losses.

    words: (n_words,), token ids, one text. 32 pieces a step; the rate climbs
    for 50 steps, then falls to 0. Leaves the writer in eval mode.
    """
    optimizer = torch.optim.Adam(writer.parameters(), learning_rate)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 50, 1) * (1 - step / n_steps))
    losses, offsets = [], torch.arange(seq_len + 1)
    for _ in tqdm(range(n_steps), desc="training", unit="step"):
        start = torch.randint(len(words) - seq_len, (32, 1))
        piece = words[start + offsets]             # (32, seq_len + 1)
        logits = writer.train()(piece[:, :-1])     # (32, seq_len, vocab_size)
        loss = F.cross_entropy(logits.flatten(0, 1), piece[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(writer.parameters(), 1.0)
        optimizer.step()
        rate.step()
        losses.append(loss.item())
    writer.eval()
    return losses


@torch.no_grad()
def by_place(
    writer: nn.Module, words: Tensor, mask: Tensor | None = None,
    trained: int = 32, times: int = 3,
) -> tuple[Tensor, Tensor]:
    """Loss and share of right words at once, twice, ... the trained length.

    words: (n_words,), a text. It is cut into pieces of times * trained words
    that begin every `trained` words, so each word is said at each length.
    Returns the losses in nats and the shares, (times,) each.
    """
    offsets = torch.arange(times * trained + 1)
    starts = torch.arange(0, len(words) - len(offsets) + 1, trained)
    losses, rights = [], []
    for start in starts.split(64):
        piece = words[start.unsqueeze(1) + offsets]
        logits = writer(piece[:, :-1], mask).transpose(1, 2)
        losses.append(F.cross_entropy(logits, piece[:, 1:], reduction="none"))
        rights.append((logits.argmax(dim=1) == piece[:, 1:]).float())
    both = torch.cat(losses), torch.cat(rights)    # (n_pieces, times * trained)
    return tuple(x.mean(dim=0).view(times, -1).mean(dim=1) for x in both)

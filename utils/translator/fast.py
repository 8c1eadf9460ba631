"""The loss of a batch, computed fast: the same numbers as the model's own parts give, by a way
that a CPU likes. Five things do it, and `python -m tools.benchmark training` measures them:

- the products run in bfloat16 where the machine is faster at that; sums, norms and weights stay
  float32;
- the loss over the vocabulary is computed in blocks of rows, and its gradient at once, so that
  the logits of a batch never lie in memory together;
- query, key and value come from one product, not from three;
- what is dropped is drawn as bytes, eight of them from one random number;
- padding of the target is left out before the vocabulary is met.
"""

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.attention import MultiHeadAttention
from utils.transformer import FeedForward, LayerNorm, TokenEmbedding, Transformer

ROWS_AT_ONCE = 1024
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class TrainingLoss(nn.Module):
    """A Transformer with its loss: one call gives what is to be made small.

    src: (batch, src_len)    src_mask: (batch, 1, src_len)    tgt_in, tgt_out: (batch, tgt_len)
    Returns the cross-entropy with smoothed labels, summed over the real target tokens, in nats:
    what `smoothed_loss` makes of the model's logits. The model has pre-norm and one dropout rate,
    which falls to 0 in eval mode.
    """

    def __init__(
        self, model: Transformer, pad_id: int, smoothing: float = 0.0, precision: str = "float32"
    ):
        super().__init__()
        self.model, self.pad_id, self.smoothing = model, pad_id, smoothing
        self.dtype = PRECISIONS[precision]

    def forward(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor, tgt_out: Tensor) -> Tensor:
        low = self.dtype != torch.float32
        with torch.autocast(src.device.type, self.dtype, enabled=low):
            x = self.decoded(src, src_mask, tgt_in)
            real = tgt_out != self.pad_id
            return VocabularyLoss.apply(
                x[real], self.model.out.weight, self.model.out.bias, tgt_out[real],
                self.pad_id, self.smoothing, self.dtype,
            )

    def decoded(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """Return the vectors from which the next tokens are told, (batch, tgt_len, d_model)."""
        model = self.model
        rate = model.src_embedding.dropout.p if self.training else 0.0
        reads = as_score(src_mask.unsqueeze(1))
        x = embedded(model.src_embedding, src, rate)
        for layer in model.encoder.layers:
            y = looked(layer.attention, normed(layer.add_norm1.norm, x), None, reads)
            x = AddDropped.apply(x, y, rate)
            y = thought(layer.feed_forward, normed(layer.add_norm2.norm, x), rate)
            x = AddDropped.apply(x, y, rate)
        memory = normed(model.encoder.norm, x)
        length = tgt_in.size(1)
        past = as_score(torch.ones(length, length, dtype=torch.bool, device=src.device).tril())
        x = embedded(model.tgt_embedding, tgt_in, rate)
        for layer in model.decoder.layers:
            y = looked(layer.attention, normed(layer.add_norm1.norm, x), None, past)
            x = AddDropped.apply(x, y, rate)
            y = looked(layer.cross_attention, normed(layer.add_norm2.norm, x), memory, reads)
            x = AddDropped.apply(x, y, rate)
            y = thought(layer.feed_forward, normed(layer.add_norm3.norm, x), rate)
            x = AddDropped.apply(x, y, rate)
        return normed(model.decoder.norm, x)


def as_score(mask: Tensor) -> Tensor:
    """Return what is added to a score: 0 where one may look, -inf elsewhere."""
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -torch.inf)


def normed(part: LayerNorm, x: Tensor) -> Tensor:
    """Apply a LayerNorm of the course by torch's own function."""
    return F.layer_norm(x, part.gain.shape, part.gain, part.bias, part.eps)


def embedded(part: TokenEmbedding, tokens: Tensor, rate: float) -> Tensor:
    """Return vectors with their places, some numbers dropped, (batch, seq_len, d_model)."""
    table = part.embedding.weight
    x = F.embedding(tokens, table) * table.size(1) ** 0.5
    places = part.positions.table[: tokens.size(1)]
    return AddDropped.apply(torch.zeros_like(x), x + places, rate)


def thought(part: FeedForward, x: Tensor, rate: float) -> Tensor:
    """Apply a feed-forward net, with dropout inside."""
    return part.narrow(ReluDropped.apply(part.widen(x), rate))


def looked(part: MultiHeadAttention, x: Tensor, memory: Tensor | None, score: Tensor) -> Tensor:
    """Let x look at memory, or at itself. score: added to the scores, broadcasts to them."""
    maps = [part.query_map, part.key_map, part.value_map]
    if memory is None:
        q, k, v = mapped(maps, x, part.n_heads)
    else:
        (q,) = mapped(maps[:1], x, part.n_heads)
        k, v = mapped(maps[1:], memory, part.n_heads)
    with torch.autocast(x.device.type, enabled=False):
        if q.device.type == "cpu" and q.dtype != torch.float32:    # torch's own is slow there
            scores = (q @ k.transpose(-2, -1)) * q.size(-1) ** -0.5 + score.to(q.dtype)
            context = scores.softmax(dim=-1) @ v
        else:
            shape = (*q.shape[:-1], k.size(-2))
            mask = score.to(q.dtype).expand(shape)
            context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return part.output_map(context.transpose(1, 2).flatten(2))


def mapped(maps: list[nn.Linear], x: Tensor, n_heads: int) -> tuple[Tensor, ...]:
    """Apply maps by one product, and split heads: (batch, n_heads, seq_len, d_k) for each map."""
    weight = torch.cat([part.weight for part in maps])
    bias = torch.cat([part.bias for part in maps])
    batch, length, d_model = x.shape
    y = F.linear(x, weight, bias)
    y = y.view(batch, length, len(maps), n_heads, d_model // n_heads)
    return y.permute(2, 0, 3, 1, 4).unbind(0)


def kept(x: Tensor, rate: float) -> tuple[Tensor, float]:
    """Draw what is kept of x, 1 or 0, and what the rest is multiplied by.

    A byte decides for one number, so that the rate is a whole number of 256ths.
    """
    limit = round(rate * 256)
    words = torch.randint(-(2**63), 2**63 - 1, ((x.numel() + 7) // 8,), device=x.device)
    drawn = words.view(torch.uint8)[: x.numel()].view(x.shape)
    return (drawn >= limit).to(x.dtype), 256 / (256 - limit)


class AddDropped(torch.autograd.Function):
    """x + dropout(y), for x and y of one shape; the sum has the type of x."""

    @staticmethod
    def forward(ctx, x: Tensor, y: Tensor, rate: float) -> Tensor:
        ctx.dtype, ctx.factor = y.dtype, 0.0
        if not rate:
            return x + y
        keep, ctx.factor = kept(x, rate)
        ctx.save_for_backward(keep)
        return torch.addcmul(x, y.to(x.dtype), keep, value=ctx.factor)

    @staticmethod
    def backward(ctx, grad: Tensor):
        if not ctx.factor:
            return grad, grad.to(ctx.dtype), None
        (keep,) = ctx.saved_tensors
        return grad, (grad * keep).mul_(ctx.factor).to(ctx.dtype), None


class ReluDropped(torch.autograd.Function):
    """dropout(relu(x))."""

    @staticmethod
    def forward(ctx, x: Tensor, rate: float) -> Tensor:
        y, ctx.factor = x.relu(), 1.0
        if rate:
            keep, ctx.factor = kept(x, rate)
            y.mul_(keep).mul_(ctx.factor)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor):
        (y,) = ctx.saved_tensors
        return (grad * (y > 0).to(grad.dtype)).mul_(ctx.factor), None


class VocabularyLoss(torch.autograd.Function):
    """The smoothed cross-entropy of x @ weightᵀ + bias, summed over rows; see `smoothed_loss`.

    x: (rows, d_model)    weight: (vocab_size, d_model)    target: (rows,), token ids, no padding
    The gradient of a block of rows is computed while its logits are at hand, in `dtype`.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, target, pad_id, smoothing, dtype):
        need = any(ctx.needs_input_grad)
        share = smoothing / (len(weight) - 2)
        low, table, add = x.to(dtype), weight.to(dtype), bias.to(dtype)
        of_all, add_all = weight.sum(dim=0), bias.sum()
        total = x.new_zeros((), dtype=torch.float32)
        if need:
            d_x = torch.empty_like(low)
            d_weight, d_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        for start in range(0, len(x), ROWS_AT_ONCE):
            block = low[start : start + ROWS_AT_ONCE]
            right = target[start : start + ROWS_AT_ONCE].unsqueeze(1)
            logits = torch.addmm(add, block, table.T)
            wanted = logits.gather(1, right).squeeze(1).float()
            probs = logits.softmax(dim=1)
            top = logits.amax(dim=1).float() - probs.amax(dim=1).float().log()    # log Σ exp
            total += (top - (1 - smoothing) * wanted).sum()
            if share:
                others = block.float() @ of_all + add_all - logits[:, pad_id].float() - wanted
                total -= share * others.sum()
            if not need:
                continue
            if share:
                probs.sub_(share)
                probs[:, pad_id] += share
            probs.scatter_add_(1, right, probs.new_full(right.shape, share - 1 + smoothing))
            torch.mm(probs, table, out=d_x[start : start + ROWS_AT_ONCE])
            d_weight += probs.T @ block
            d_bias += probs.sum(dim=0)
        if need:
            ctx.save_for_backward(d_x.to(x.dtype), d_weight, d_bias)
        return total

    @staticmethod
    def backward(ctx, grad: Tensor):
        d_x, d_weight, d_bias = ctx.saved_tensors
        return d_x * grad, d_weight * grad, d_bias * grad, None, None, None, None


def fastest_precision(device: str, rounds: int = 5) -> str:
    """Return "bfloat16" where a product in it takes less than two thirds of float32's time."""
    times = {}
    for name, dtype in PRECISIONS.items():
        x = torch.ones(512, 512, dtype=dtype, device=device)
        taken = []
        for _ in range(rounds):
            begun = time.perf_counter()
            (x @ x).sum().item()
            taken.append(time.perf_counter() - begun)
        times[name] = min(taken)
    return "bfloat16" if times["bfloat16"] < 2 / 3 * times["float32"] else "float32"

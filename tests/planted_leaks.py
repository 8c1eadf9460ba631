"""Models with one planted leak each (LEAKS, 40) and unusual ones without fault (HEALTHY, 20).

They were written by somebody who had not seen the probes. batch() gives (src, src_mask, tgt).
Each entry: name, make (gives the model), what (leaks where), kind (the probe that must see it).
WHEN[name] of a leak: "always", "train", "eval", "tokens" (some ids alone), "long" or "empty".
CANNOT[name] of a healthy model: what it refuses by its contract.
"""

import torch
import torch.nn.functional as F
from torch import nn

from utils.attention import causal_mask, masked_softmax, merge_heads, split_heads
from utils.recurrent import AttentionDecoder, RNNDecoder, RNNEncoder, Seq2Seq
from utils.transformer import Transformer

V, D = 20, 16
PAD, UNK, BOS, EOS = 0, 1, 2, 3
LEAKS, HEALTHY, WHEN, CANNOT = [], [], {}, {}


def batch():
    """src (3, 7), src_mask (3, 1, 7), tgt (3, 6): lengths 7, 5, 3."""
    g = torch.Generator().manual_seed(0)
    src = torch.randint(4, V, (3, 7), generator=g)
    src_mask = torch.arange(7) < torch.tensor([[7], [5], [3]])
    src = src.masked_fill(~src_mask, PAD)
    tgt = torch.randint(4, V, (3, 6), generator=g)
    tgt[:, 0] = BOS
    tgt[1, 4:] = torch.tensor([EOS, PAD])
    tgt[2, 3:] = torch.tensor([EOS, PAD, PAD])
    return src, src_mask.unsqueeze(1), tgt


def seeded(build, seed=0):
    def make():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build()
    return make


def leak(name, kind, what, when="always"):
    def add(cls):
        LEAKS.append(dict(name=name, make=seeded(cls), what=what, kind=kind))
        WHEN[name] = when
        return cls
    return add


def healthy(name, what, cannot=""):
    """kind of a healthy model: the probe that it is most likely to fool."""
    kind, what = what.split("|")
    def add(build):
        HEALTHY.append(dict(name=name, make=seeded(build), what=what,
                            kind=kind))
        CANNOT[name] = cannot
        return build
    return add


# ----------------------------------------------------------------- the bases

class Base(Transformer):
    """The course's Transformer, small. decode reads everything again."""

    def __init__(self, n_layers=2, n_heads=2, **more):
        super().__init__(V, V, D, n_heads, n_layers, 32, **more)

    def words(self, embedding, ids, start=0):
        x = embedding.embedding(ids) * D**0.5
        return embedding.dropout(embedding.positions(x, start))

    def tgt_words(self, tgt):
        return self.words(self.tgt_embedding, tgt)

    def tgt_mask(self, tgt, layer):
        return causal_mask(tgt.size(1)).to(tgt.device)

    def predict(self, tgt, memory, src_mask):
        x = self.tgt_words(tgt)
        for i, layer in enumerate(self.decoder.layers):
            x = layer(x, memory, self.tgt_mask(tgt, i), src_mask)
        return self.out(self.last(self.decoder.norm(x), tgt))

    def last(self, x, tgt):
        return x


def open_mask(tgt):
    return torch.ones(tgt.size(1), tgt.size(1), dtype=torch.bool)


class Cached(Base):
    """decode keeps, for each layer, what its self-attention has read."""

    def offset(self, n_past):
        return n_past

    def step_mask(self, n_past, n_new):
        return causal_mask(n_past + n_new)[n_past:]

    def before(self, state, i):
        return None if state is None else state[i]

    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        n_past = 0 if state is None else state[0].size(1)
        x = self.words(self.tgt_embedding, tgt, self.offset(n_past))
        new = []
        mask = self.step_mask(n_past, tgt.size(1))
        for i, layer in enumerate(self.decoder.layers):
            y = layer.add_norm1.norm(x)
            old = self.before(state, i)
            own = y if state is None else torch.cat([state[i], y], 1)
            read = y if old is None else torch.cat([old, y], 1)
            new.append(own)
            x = x + layer.attention(y, read, read, mask)[0]
            cross = layer.cross_attention
            x = layer.add_norm2(x, lambda y, f=cross: f(y, memory, memory, src_mask)[0])
            x = layer.add_norm3(x, layer.feed_forward)
        return self.out(self.decoder.norm(x)), new


def masked_mean(x, mask):
    """x (batch, n, d), mask (batch, 1, n): mean over the real places."""
    return (mask.to(x.dtype) @ x) / mask.sum(-1, keepdim=True).clamp(min=1)


# -------------------------------------------------------------------- future

@leak("future_all", "future", "decoder without any causal mask")
class FutureAll(Base):
    def tgt_mask(self, tgt, layer):
        return open_mask(tgt)


@leak("future_next", "future", "each place's input holds half of the vector "
      "of the next target token, and no other")
class FutureNext(Base):
    def tgt_words(self, tgt):
        x = super().tgt_words(tgt)
        ahead = self.tgt_embedding.embedding(tgt)[:, 1:]
        return x + 2 * F.pad(ahead, (0, 0, 0, 1))


@leak("future_last_eval", "future", "in eval, each place sees the LAST column "
      "of tgt, and no other later one", "eval")
class FutureLastEval(Base):
    def last(self, x, tgt):
        if self.training:
            return x
        return x + self.tgt_embedding.embedding(tgt[:, -1:])


@leak("future_mean_train", "future", "in training, the mean over all places "
      "is added before the last linear layer", "train")
class FutureMeanTrain(Base):
    def last(self, x, tgt):
        return x + x.mean(1, keepdim=True) if self.training else x


@leak("future_train", "future", "no causal mask in training, one in eval",
      "train")
class FutureTrain(Base):
    def tgt_mask(self, tgt, layer):
        return open_mask(tgt) if self.training else causal_mask(tgt.size(1))


@leak("future_eval", "future", "no causal mask in eval, one in training",
      "eval")
class FutureEval(Base):
    def tgt_mask(self, tgt, layer):
        return causal_mask(tgt.size(1)) if self.training else open_mask(tgt)


@leak("future_token", "future", "a target token 13 may be looked at from "
      "earlier places; no other token (batch() has one, row 1, column 3)", "tokens")
class FutureToken(Base):
    def tgt_mask(self, tgt, layer):
        return causal_mask(tgt.size(1)) | (tgt == 13).unsqueeze(1)


@leak("future_eos", "future", "each place is told whether <eos> (3) stands "
      "anywhere in its target", "tokens")
class FutureEos(Base):
    def __init__(self):
        super().__init__()
        self.ends = nn.Parameter(torch.randn(D))

    def last(self, x, tgt):
        return x + (tgt == EOS).any(1)[:, None, None] * self.ends


@leak("future_length", "future", "no causal mask where tgt has more than 6 "
      "columns; batch() has 6", "long")
class FutureLength(Base):
    def tgt_mask(self, tgt, layer):
        n = tgt.size(1)
        return open_mask(tgt) if n > 6 else causal_mask(n)


@leak("future_layer2", "future", "no causal mask in the second decoder layer "
      "only")
class FutureLayer2(Base):
    def tgt_mask(self, tgt, layer):
        return open_mask(tgt) if layer == 1 else causal_mask(tgt.size(1))


@leak("future_head", "future", "no causal mask in the last head of four, in "
      "the first layer only")
class FutureHead(Base):
    def __init__(self):
        super().__init__(n_heads=4)

    def tgt_mask(self, tgt, layer):
        mask = causal_mask(tgt.size(1)).repeat(1, 4, 1, 1)
        if layer == 0:
            mask[:, 3] = True
        return mask


@leak("future_row0", "future", "no causal mask in row 0 of the batch only")
class FutureRow0(Base):
    def tgt_mask(self, tgt, layer):
        mask = causal_mask(tgt.size(1)).repeat(len(tgt), 1, 1)
        mask[0] = True
        return mask


# ------------------------------------------------------------------- padding

@leak("pad_encoder", "padding", "encoder self-attention looks at the source's "
      "padding; cross-attention does not")
class PadEncoder(Base):
    def encode(self, src, src_mask):
        return super().encode(src, None)


@leak("pad_cross", "padding", "cross-attention looks at the memory of the "
      "padding; the encoder masks it")
class PadCross(Base):
    def predict(self, tgt, memory, src_mask):
        return super().predict(tgt, memory, None)


class LastColumnDecoder(RNNDecoder):
    def forward(self, tgt, memory, src_mask, state=None):
        state = memory[:, -1] if state is None else state
        return super().forward(tgt, memory, src_mask, state)


@leak("pad_last_state", "padding", "RNN decoder starts from the state of the "
      "last COLUMN, after the padding was read")
def pad_last_state():
    return Seq2Seq(RNNEncoder(V, D), LastColumnDecoder(V, D))


class Finite(nn.Module):
    """Attention over the source, -1e9 where masked and no zeros afterwards."""

    def __init__(self):
        super().__init__()
        self.q, self.k = nn.Linear(D, D), nn.Linear(D, D)

    def forward(self, x, memory, mask):
        scores = self.q(x) @ self.k(memory).transpose(1, 2)
        return scores.masked_fill(~mask, -1e9).softmax(-1) @ memory


@leak("pad_empty", "padding", "cross-attention masks with -1e9: a sentence "
      "without any real token looks at its padding; batch() has none", "empty")
class PadEmpty(Base):
    def __init__(self):
        super().__init__()
        self.look = Finite()

    def predict(self, tgt, memory, src_mask):
        x = self.tgt_words(tgt)
        for i, layer in enumerate(self.decoder.layers):
            x = layer(x, memory, self.tgt_mask(tgt, i), src_mask)
        return self.out(self.decoder.norm(x + self.look(x, memory, src_mask)))


@leak("pad_batchnorm", "padding", "BatchNorm after the encoder: in training "
      "its statistics count padding (and mix the sentences); in eval only "
      "through running statistics of the training calls before", "train")
class PadBatchNorm(Base):
    def __init__(self):
        super().__init__()
        self.batch_norm = nn.BatchNorm1d(D)

    def encode(self, src, src_mask):
        memory = super().encode(src, src_mask)
        return self.batch_norm(memory.transpose(1, 2)).transpose(1, 2)


@leak("pad_train", "padding", "the source mask is ignored in training",
      "train")
class PadTrain(Base):
    def encode(self, src, src_mask):
        return super().encode(src, None if self.training else src_mask)

    def predict(self, tgt, memory, src_mask):
        return super().predict(tgt, memory,
                               None if self.training else src_mask)


@leak("pad_eval", "padding", "the source mask is ignored in eval, in the "
      "encoder's second layer only", "eval")
class PadEval(Base):
    def encode(self, src, src_mask):
        x = self.src_embedding(src)
        x = self.encoder.layers[0](x, src_mask)
        x = self.encoder.layers[1](x, src_mask if self.training else None)
        return self.encoder.norm(x)


@leak("pad_ids", "padding", "masked places are seen where their id is 17 or "
      "more; <pad> and the other ids are hidden", "tokens")
class PadIds(Base):
    def encode(self, src, src_mask):
        return super().encode(src, src_mask | (src >= 17).unsqueeze(1))


@leak("pad_mean_eval", "padding", "in eval the sentence vector is the mean "
      "over all columns, in training over the real ones", "eval")
class PadMeanEval(Base):
    def predict(self, tgt, memory, src_mask):
        self_mean = (masked_mean(memory, src_mask) if self.training
                     else memory.mean(1, keepdim=True))
        x = self.tgt_words(tgt) + self_mean
        for i, layer in enumerate(self.decoder.layers):
            x = layer(x, memory, self.tgt_mask(tgt, i), src_mask)
        return self.out(self.decoder.norm(x))


# ----------------------------------------------------------------- neighbour

@leak("nb_flatten", "neighbour", "encoder self-attention runs over the "
      "flattened batch: real words of all sentences see one another")
class NbFlatten(Base):
    def encode(self, src, src_mask):
        x = self.src_embedding(src)
        y = self.encoder(x.flatten(0, 1).unsqueeze(0),
                         src_mask.reshape(1, 1, -1))
        return y.view_as(x)


@leak("nb_softmax", "neighbour", "an extra look at the source whose softmax "
      "runs over the batch axis, not over the words")
class NbSoftmax(Base):
    def predict(self, tgt, memory, src_mask):
        x = self.tgt_words(tgt)
        for i, layer in enumerate(self.decoder.layers):
            x = layer(x, memory, self.tgt_mask(tgt, i), src_mask)
        scores = (x @ memory.transpose(1, 2)).masked_fill(~src_mask, -1e9)
        weights = scores.softmax(0).masked_fill(~src_mask, 0)
        return self.out(self.decoder.norm(x + weights @ memory))


@leak("nb_row0_mask", "neighbour", "row 0's source mask is used for all rows "
      "(so also shorter rows' padding is seen)")
class NbRow0Mask(Base):
    def encode(self, src, src_mask):
        return super().encode(src, src_mask[:1])

    def predict(self, tgt, memory, src_mask):
        return super().predict(tgt, memory, src_mask[:1])


@leak("nb_batchnorm", "neighbour", "BatchNorm of the sentence vectors (mean "
      "over real words): in training rows share statistics", "train")
class NbBatchNorm(Base):
    def __init__(self):
        super().__init__()
        self.batch_norm = nn.BatchNorm1d(D)

    def encode(self, src, src_mask):
        memory = super().encode(src, src_mask)
        mean = masked_mean(memory, src_mask).squeeze(1)
        if self.training and len(mean) == 1:               # BatchNorm refuses
            return memory
        return memory + self.batch_norm(mean).unsqueeze(1)


@leak("nb_roll_eval", "neighbour", "in eval, row i also gets the sentence "
      "vector of row i - 1", "eval")
class NbRollEval(Base):
    def encode(self, src, src_mask):
        memory = super().encode(src, src_mask)
        if self.training:
            return memory
        return memory + masked_mean(memory, src_mask).roll(1, 0)


@leak("nb_token", "neighbour", "a real source word 9 in any row is told to "
      "all rows", "tokens")
class NbToken(Base):
    def __init__(self):
        super().__init__()
        self.alarm = nn.Parameter(torch.randn(D))

    def encode(self, src, src_mask):
        memory = super().encode(src, src_mask)
        seen = ((src == 9) & src_mask.squeeze(1)).any()
        return memory + seen * self.alarm


@leak("nb_cache_eval", "neighbour", "in eval, a source of the same shape as "
      "in the call before gets that call's memory", "eval")
class NbCacheEval(Base):
    kept = None

    def encode(self, src, src_mask):
        if self.training:
            return super().encode(src, src_mask)
        if self.kept is None or self.kept.shape[:2] != src.shape:
            self.kept = super().encode(src, src_mask).detach()
        return self.kept


# --------------------------------------------------------------------- order

class Bare(Base):
    """Positions on neither side, where bare() says so."""

    def bare(self):
        return True

    def words(self, embedding, ids, start=0):
        if not self.bare():
            return super().words(embedding, ids, start)
        return embedding.embedding(ids) * D**0.5

    def encode(self, src, src_mask):
        return self.encoder(self.words(self.src_embedding, src), src_mask)


@leak("order_no_positions", "order", "no positions on either side: the source "
      "is a bag (the causal mask lets two layers order the target)")
class OrderNoPositions(Bare):
    pass


@leak("order_bag_last", "order", "source a bag; target a bag of the words so "
      "far plus the last word")
class OrderBagLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.src_embedding = nn.Embedding(V, D)
        self.tgt_embedding = nn.Embedding(V, D)
        self.net = nn.Sequential(nn.Linear(3 * D, D), nn.Tanh(),
                                 nn.Linear(D, V))

    def encode(self, src, src_mask):
        x = self.src_embedding(src)
        return masked_mean(x, src_mask).expand_as(x)

    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        read = tgt if state is None else torch.cat([state, tgt], 1)
        x = self.tgt_embedding(read)
        n = torch.arange(1, read.size(1) + 1).unsqueeze(1)
        far = memory[:, :1].expand_as(x)
        x = self.net(torch.cat([far, x.cumsum(1) / n, x], -1))
        return x[:, -tgt.size(1):], read

    def forward(self, src, src_mask, tgt):
        return self.decode(tgt, self.encode(src, src_mask), src_mask)[0]


@leak("order_by_batch", "order", "positions indexed by the row of the batch, "
      "not by the place (so the row number matters too)")
class OrderByBatch(Bare):
    def words(self, embedding, ids, start=0):
        x = embedding.embedding(ids) * D**0.5
        return x + embedding.positions.table[: len(ids)].unsqueeze(1)


@leak("order_bag_train", "order", "in training both sides are bags of words "
      "(means); in eval a Transformer", "train")
class OrderBagTrain(Base):
    def __init__(self):
        super().__init__()
        self.bag = OrderBagLast()
        self.bag.net[0].weight.data[:, -D:] = 0            # no last word

    def encode(self, src, src_mask):
        if self.training:
            return self.bag.encode(src, src_mask)
        return super().encode(src, src_mask)

    def predict(self, tgt, memory, src_mask):
        if self.training:
            return self.bag.decode(tgt, memory, src_mask)[0]
        return super().predict(tgt, memory, src_mask)


@leak("order_eval", "order", "positions are added in training only; in eval "
      "the source is a bag", "eval")
class OrderEval(Bare):
    def bare(self):
        return not self.training


@leak("order_tokens", "order", "source words 12 to 19 get no position: "
      "swapping two of them is not seen", "tokens")
class OrderTokens(Base):
    def encode(self, src, src_mask):
        x = self.src_embedding.embedding(src) * D**0.5
        here = self.src_embedding.positions(x)
        x = torch.where((src >= 12).unsqueeze(-1), x, here)
        return self.encoder(x, src_mask)


# ------------------------------------------------------------------ stepwise

@leak("step_offset", "stepwise", "decode with a state counts positions from "
      "0 again")
class StepOffset(Cached):
    def offset(self, n_past):
        return 0


@leak("step_in_place", "stepwise", "decode changes the state list it was "
      "given: right step by step, wrong when a state is used twice (beams)")
class StepInPlace(Cached):
    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        logits, new = super().decode(tgt, memory, src_mask, state)
        if state is not None:
            state[:] = new
            return logits, state
        return logits, new


@leak("step_wrong_layer_eval", "stepwise", "in eval, the second layer's steps "
      "read the cache of the first", "eval")
class StepWrongLayerEval(Cached):
    def before(self, state, i):
        return super().before(state, i if self.training else 0)


@leak("step_mask11", "stepwise", "with a state the mask is (1, 1): right for "
      "one token at a time, several new tokens see one another")
class StepMask11(Cached):
    def step_mask(self, n_past, n_new):
        if n_past == 0:
            return causal_mask(n_new)
        return torch.ones(1, 1, dtype=torch.bool)


@leak("step_reversed", "stepwise", "target positions counted from the END: "
      "logits depend on how many columns follow, not on what they hold")
class StepReversed(Base):
    def tgt_words(self, tgt):
        x = self.tgt_embedding.embedding(tgt) * D**0.5
        return x + self.tgt_embedding.positions.table[: tgt.size(1)].flip(0)


@leak("step_token", "stepwise", "decode does not add a token 8 to its state; "
      "one pass does", "tokens")
class StepToken(Base):
    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        if state is None:
            state = tgt[:, :0], tgt[:, :0]
        ids = torch.cat([state[0], tgt], 1)
        held = torch.cat([state[1], torch.ones_like(tgt)], 1)  # 0: forgotten
        see = (held > 0).unsqueeze(1) & causal_mask(ids.size(1))
        own = torch.eye(ids.size(1), dtype=torch.bool)
        mask, x = see | own, self.tgt_words(ids)
        for layer in self.decoder.layers:
            x = layer(x, memory, mask, src_mask)
        logits = self.out(self.decoder.norm(x))[:, -tgt.size(1):]
        kept = torch.cat([state[1], (tgt != 8).long()], 1)
        return logits, (ids, kept)


# ------------------------------------------------------------------- healthy

@healthy("bfloat16", "neighbour|all in bfloat16: one step of a logit near 1 "
         "is 8e-3; logits come as bfloat16")
def bfloat16():
    return Base().to(torch.bfloat16)


@healthy("float16", "neighbour|all in float16: one step of a logit near 1 "
         "is 1e-3; logits come as float16")
def float16():
    return Base().half()


@healthy("banned", "future|logits of <pad> and <bos> are -inf (-inf minus -inf "
         "is NaN)")
class Banned(Base):
    def predict(self, tgt, memory, src_mask):
        logits = super().predict(tgt, memory, src_mask)
        return logits.index_fill(-1, torch.tensor([PAD, BOS]), float("-inf"))


@healthy("times_2000", "neighbour|logits times 2,000: rounding of 1e-3 is no "
         "leak")
class Times2000(Cached):
    def predict(self, tgt, memory, src_mask):
        return 2000 * super().predict(tgt, memory, src_mask)

    def decode(self, *given, **more):
        logits, state = super().decode(*given, **more)
        return 2000 * logits, state


class Table(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.table = nn.Parameter(torch.randn(n, D))

    def forward(self, x, start=0):
        n = x.size(1)
        if start + n > len(self.table):
            raise ValueError(f"the table ends at {len(self.table)}")
        return x + self.table[start : start + n]


@healthy("exact_tables", "padding|learned positions for exactly 7 source and "
         "6 target places: a longer input raises ValueError",
         "more than 7 source or 6 target columns")
class ExactTables(Cached):
    def __init__(self):
        super().__init__()
        self.src_embedding.positions = Table(7)
        self.tgt_embedding.positions = Table(6)


class PackedEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, D)
        self.rnn = nn.GRU(D, D // 2, batch_first=True, bidirectional=True)

    def forward(self, src, src_mask):
        lengths = src_mask.sum(-1).flatten().clamp(min=1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(src), lengths, True, enforce_sorted=False)
        states, _ = self.rnn(packed)
        return nn.utils.rnn.pad_packed_sequence(
            states, True, total_length=src.size(1))[0]


class Packed(Seq2Seq):
    def encode(self, src, src_mask):
        return self.encoder(src, src_mask)


@healthy("packed", "padding|GRU of both directions over packed sequences, "
         "reads src_mask only as lengths (padding on the right)",
         "masks with a hole or padding on the left")
def packed():
    return Packed(PackedEncoder(), AttentionDecoder(V, D))


@healthy("own_mask", "padding|ignores src_mask, makes it from pad id 0: a "
         "masked place with another id IS read, by contract. Its memory has "
         "one feature more (1 = real)",
         "ids other than 0 in padding, masks that differ from src != 0")
class OwnMask(Base):
    def encode(self, src, src_mask):
        real = src != PAD
        memory = super().encode(src, real.unsqueeze(1))
        return torch.cat([memory, real.unsqueeze(-1).float()], -1)

    def predict(self, tgt, memory, src_mask):
        real = memory[..., -1].bool().unsqueeze(1)
        return super().predict(tgt, memory[..., :-1], real)


class RelativeAttention(nn.Module):
    """A learned bias for each head and each distance from -5 to 5."""

    def __init__(self, n_heads=2):
        super().__init__()
        self.n_heads = n_heads
        self.qkv, self.o = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.bias = nn.Parameter(torch.randn(n_heads, 11))

    def forward(self, query, key, value, mask=None):
        q, k, v = (split_heads(x, self.n_heads)
                   for x in self.qkv(query).chunk(3, -1))
        at = torch.arange(query.size(1))
        far = (at - at.unsqueeze(1)).clamp(-5, 5) + 5
        scores = q @ k.transpose(-1, -2) / k.size(-1) ** 0.5
        if mask is not None and mask.dim() == 3:
            mask = mask.unsqueeze(1)
        weights = masked_softmax(scores + self.bias[:, far], mask)
        return self.o(merge_heads(weights @ v)), weights


@healthy("relative", "order|no positions in the embeddings, a bias for each "
         "distance in self-attention")
class Relative(Bare):
    def __init__(self):
        super().__init__()
        for layer in [*self.encoder.layers, *self.decoder.layers]:
            layer.attention = RelativeAttention()


@healthy("f_dropout", "future|dropout 0.3 by F.dropout(x, training="
         "self.training): no nn.Dropout to be found")
class FDropout(Base):
    def tgt_words(self, tgt):
        return F.dropout(super().tgt_words(tgt), 0.3, self.training)

    def last(self, x, tgt):
        return F.dropout(x, 0.3, self.training)


@healthy("dropout_90", "future|nn.Dropout of 0.9 everywhere, in training mode "
         "when made")
def dropout_90():
    return Base(dropout=0.9)


@healthy("shared_embeddings", "order|one matrix for source, target and output "
         "(parameters occur three times)")
class Shared(Cached):
    def __init__(self):
        super().__init__()
        self.tgt_embedding.embedding = self.src_embedding.embedding
        self.out.weight = self.src_embedding.embedding.weight


@healthy("rnn_attention", "padding|RNN with attention of lesson 05; the "
         "encoder reads padding, after the real words, and it is masked")
def rnn_attention():
    return Seq2Seq(RNNEncoder(V, D), AttentionDecoder(V, D))


class CausalConv(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(D, 2 * D, 3)

    def forward(self, x):
        y = self.conv(F.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2)
        return x + F.glu(y, -1)


@healthy("conv", "stepwise|gated convolutions: the decoder's padded on the "
         "left only, sees 4 words back; the encoder's zeroed at padding; "
         "state = the tokens read")
class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.src_embedding = nn.Embedding(V, D)
        self.tgt_embedding = nn.Embedding(V, D)
        self.look_around = nn.Conv1d(D, D, 3, padding=1)
        self.layers = nn.Sequential(CausalConv(), CausalConv())
        self.out = nn.Linear(2 * D, V)

    def encode(self, src, src_mask):
        x = self.src_embedding(src).transpose(1, 2) * src_mask
        return ((x + self.look_around(x)).tanh() * src_mask).transpose(1, 2)

    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        read = tgt if state is None else torch.cat([state, tgt], 1)
        x = self.layers(self.tgt_embedding(read))
        look = masked_softmax(x @ memory.transpose(1, 2) / 4, src_mask)
        logits = self.out(torch.cat([x, look @ memory], -1))
        return logits[:, -tgt.size(1):], read

    def forward(self, src, src_mask, tgt):
        return self.decode(tgt, self.encode(src, src_mask), src_mask)[0]


@healthy("deep", "neighbour|12 encoder and 12 decoder layers, post-norm")
def deep():
    return Base(12, pre_norm=False)


@healthy("cosine_softmax", "order|output tied to the target embedding, both "
         "of length 1 (cosine), times 10")
class Cosine(Base):
    def predict(self, tgt, memory, src_mask):
        x = self.tgt_words(tgt)
        for i, layer in enumerate(self.decoder.layers):
            x = layer(x, memory, self.tgt_mask(tgt, i), src_mask)
        words = F.normalize(self.tgt_embedding.embedding.weight, dim=-1)
        return 10 * F.normalize(x, dim=-1) @ words.T


@healthy("no_layer_norm", "neighbour|no LayerNorm anywhere: residuals times a "
         "learned 0.5")
class NoLayerNorm(Base):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))
        for part in self.modules():
            if hasattr(part, "norm"):
                part.norm = nn.Identity()

    def last(self, x, tgt):
        return self.gain * x


class GeGlu(nn.Module):
    def __init__(self, approximate):
        super().__init__()
        self.up, self.down = nn.Linear(D, 48), nn.Linear(24, D)
        self.approximate = approximate

    def forward(self, x):
        a, b = self.up(x).chunk(2, -1)
        return self.down(a * F.gelu(b, approximate=self.approximate))


@healthy("gelu_mixed_modes", "future|gated GELU, exact in the encoder and by "
         "tanh in the decoder, dropout 0.3; in training when made, its "
         "encoder in eval (frozen): modes to be given back part by part")
class Gelu(Base):
    def __init__(self):
        super().__init__(dropout=0.3)
        for layer in self.encoder.layers:
            layer.feed_forward = GeGlu("none")
        for layer in self.decoder.layers:
            layer.feed_forward = GeGlu("tanh")
        self.encoder.eval()
        self.src_embedding.eval()


@healthy("float64_eval", "neighbour|all in float64, in eval when made")
def float64_eval():
    return Base().double().eval()


@healthy("smoothed", "future|gives log(0.9 p + 0.1 / 20) at a learned "
         "temperature, not logits: values within about 5 of each other")
class Smoothed(Base):
    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(0.7))

    def predict(self, tgt, memory, src_mask):
        p = (super().predict(tgt, memory, src_mask)
             / self.temperature).softmax(-1)
        return (0.9 * p + 0.1 / V).log()


@healthy("buffers", "neighbour|a causal mask of 64 as a buffer, and buffers "
         "that each training call changes (a counter, a running mean) and no "
         "logit reads; steps with a cache")
class Buffers(Cached):
    def __init__(self):
        super().__init__()
        self.register_buffer("past", causal_mask(64))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.register_buffer("running", torch.zeros(D))

    def tgt_mask(self, tgt, layer):
        return self.past[: tgt.size(1), : tgt.size(1)]

    def encode(self, src, src_mask):
        memory = super().encode(src, src_mask)
        if self.training:
            self.calls += 1
            self.running.lerp_(memory.detach().mean((0, 1)), 0.1)
        return memory

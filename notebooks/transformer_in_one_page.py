"""A Transformer in one page: python transformer_in_one_page.py [pairs.tsv]

Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, with pre-norm; lesson 11 of Attention by
Experiment explains each line. pairs.tsv: one sentence pair a line, a tab between, spaces between
words. Written by tools/one_page.py from the parts in utils/: change them there.
"""
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

COURSE = Path(__file__).resolve().parents[1] / "data/grammar/train.tsv"

def padding_mask(tokens, pad_id):
    return (tokens != pad_id).unsqueeze(1)

def causal_mask(seq_len, device=None):
    shape = seq_len, seq_len
    return torch.ones(shape, dtype=torch.bool, device=device).tril()

def split_heads(x, n_heads):
    batch, seq_len, d_model = x.shape
    x = x.view(batch, seq_len, n_heads, d_model // n_heads)
    return x.transpose(1, 2)  # (batch, n_heads, seq_len, d_k)

def merge_heads(x):
    batch, n_heads, seq_len, d_k = x.shape
    x = x.transpose(1, 2)  # (batch, seq_len, n_heads, d_k)
    return x.reshape(batch, seq_len, n_heads * d_k)

def masked_softmax(scores, mask=None):
    empty = ~mask.any(dim=-1, keepdim=True)  # -inf in a whole row makes NaN
    scores = scores.masked_fill(~mask, float("-inf")).masked_fill(empty, 0.0)
    return scores.softmax(dim=-1).masked_fill(~mask, 0.0)

def scaled_dot_product_attention(q, k, v, mask=None):
    d_k = q.size(-1)
    scores = (q / d_k**0.5) @ k.transpose(-2, -1)  # (..., tgt_len, src_len)
    weights = masked_softmax(scores, mask)  # (..., tgt_len, src_len)
    return weights @ v, weights  # (..., tgt_len, d_v)

class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.query_map = nn.Linear(d_model, d_model)
        self.key_map = nn.Linear(d_model, d_model)
        self.value_map = nn.Linear(d_model, d_model)
        self.output_map = nn.Linear(d_model, d_model)
    def forward(self, query, key, value, mask=None):
        q = split_heads(self.query_map(query), self.n_heads)
        k = split_heads(self.key_map(key), self.n_heads)
        v = split_heads(self.value_map(value), self.n_heads)
        if mask is not None and mask.dim() == 3:
            mask = mask.unsqueeze(1)  # one mask for all heads
        context, weights = scaled_dot_product_attention(q, k, v, mask)
        return self.output_map(merge_heads(context)), weights

def sinusoidal_encoding(seq_len, d_model, dtype=torch.float32):
    position = torch.arange(seq_len, dtype=torch.float64).unsqueeze(1)
    two_i = torch.arange(0, d_model, 2, dtype=torch.float64)
    angle = position / 10000 ** (two_i / d_model)  # (seq_len, d_model / 2)
    pairs = torch.stack([angle.sin(), angle.cos()], dim=-1)
    return pairs.flatten(1).to(dtype)  # (seq_len, d_model)

def rows_of_table(table, start, seq_len):
    return table[start : start + seq_len]

class SinusoidalPositions(nn.Module):  # Add to each token the sinusoid of its position.
    def __init__(self, d_model, max_len=256):
        super().__init__()
        table = sinusoidal_encoding(max_len, d_model)
        self.register_buffer("table", table)
    def forward(self, x, start=0):
        return x + rows_of_table(self.table, start, x.size(1))

def layer_norm(x, gain, bias, eps=1e-05):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    centred = wide - wide.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return (gain * centred / (variance + eps).sqrt() + bias).to(x.dtype)

class LayerNorm(nn.Module):  # layer_norm with a gain and a bias that are learned, one per feature.
    def __init__(self, d_model, eps=1e-05):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.eps = eps
    def forward(self, x):
        return layer_norm(x, self.gain, self.bias, self.eps)

class FeedForward(nn.Module):  # Two linear maps with a ReLU between, for each position alone.
    def __init__(self, d_model, d_ff, dropout=0.0):
        super().__init__()
        self.widen = nn.Linear(d_model, d_ff)
        self.narrow = nn.Linear(d_ff, d_model)
        self.dropout = nn.Dropout(dropout)
    def forward(self, x):
        return self.narrow(self.dropout(self.widen(x).relu()))

class AddNorm(nn.Module):  # The residual connection around a sub-layer, with its LayerNorm.
    def __init__(self, d_model, dropout):
        super().__init__()
        self.norm = LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
    def forward(self, x, sublayer):
        return x + self.dropout(sublayer(self.norm(x)))

class EncoderLayer(nn.Module):  # Self-attention, then a feed-forward net, each inside Add & Norm.
    def __init__(self, d_model, n_heads, d_ff, dropout=0.0):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.add_norm1 = AddNorm(d_model, dropout)
        self.add_norm2 = AddNorm(d_model, dropout)
    def forward(self, x, mask=None):
        x = self.add_norm1(x, lambda y: self.attention(y, y, y, mask)[0])
        return self.add_norm2(x, self.feed_forward)

class DecoderLayer(nn.Module):  # Look at the words before, look at the source, think.
    def __init__(self, d_model, n_heads, d_ff, dropout=0.0):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.cross_attention = MultiHeadAttention(d_model, n_heads)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.add_norm1 = AddNorm(d_model, dropout)
        self.add_norm2 = AddNorm(d_model, dropout)
        self.add_norm3 = AddNorm(d_model, dropout)
    def forward(self, x, memory, tgt_mask=None, src_mask=None):
        x = self.add_norm1(x, lambda y: self.attention(y, y, y, tgt_mask)[0])
        x = self.add_norm2(x, lambda y: self.cross_attention(y, memory, memory, src_mask)[0])
        return self.add_norm3(x, self.feed_forward)

class Encoder(nn.Module):  # A stack of encoder layers; pre-norm needs one LayerNorm at the end.
    def __init__(self, n_layers, d_model, n_heads, d_ff, dropout=0.0):
        super().__init__()
        sizes = d_model, n_heads, d_ff, dropout
        layers = [EncoderLayer(*sizes) for _ in range(n_layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = LayerNorm(d_model)
    def forward(self, x, src_mask=None):
        for layer in self.layers:
            x = layer(x, src_mask)
        return self.norm(x)

class Decoder(nn.Module):  # A stack of decoder layers; pre-norm needs one LayerNorm at the end.
    def __init__(self, n_layers, d_model, n_heads, d_ff, dropout=0.0):
        super().__init__()
        sizes = d_model, n_heads, d_ff, dropout
        layers = [DecoderLayer(*sizes) for _ in range(n_layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = LayerNorm(d_model)
    def forward(self, x, memory, tgt_mask=None, src_mask=None):
        for layer in self.layers:
            x = layer(x, memory, tgt_mask, src_mask)
        return self.norm(x)

class TokenEmbedding(nn.Module):
    def __init__(self, vocab_size, d_model, dropout=0.0, max_len=256):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        self.positions = SinusoidalPositions(d_model, max_len)
        self.dropout = nn.Dropout(dropout)
    def forward(self, tokens):
        x = self.embedding(tokens) * self.embedding.embedding_dim**0.5
        return self.dropout(self.positions(x))  # (batch, seq_len, d_model)

class Transformer(nn.Module):
    def __init__(self, src_vocab_size, tgt_vocab_size, d_model=64, n_heads=4, n_layers=2, d_ff=128,
            dropout=0.0, max_len=256):
        super().__init__()
        sizes = n_layers, d_model, n_heads, d_ff, dropout
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
        return self.out(x)  # (batch, tgt_len, vocab)
    def forward(self, src, src_mask, tgt):
        return self.predict(tgt, self.encode(src, src_mask), src_mask)

def read_pairs(path):
    with open(path, encoding="utf-8-sig") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    if Path(path) == COURSE:  # English and Japanese, sentences of at most seven words
        rows = [(row[0], row[2]) for row in rows[1:] if len(row[0].split()) < 8]
    return [(row[0].split(), row[1].split()) for row in rows]

def numbers(sentences, vocab):
    rows = [[vocab.get(word, 1) for word in ["<bos>", *words, "<eos>"]] for words in sentences]
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])  # <pad> is 0

def write(model, src, max_len=40):
    tgt = torch.tensor([[2]])  # <bos>
    while tgt.size(1) <= max_len and tgt[0, -1] != 3:  # <eos>
        word = model(src, padding_mask(src, 0), tgt)[:, -1:].argmax(dim=-1)
        tgt = torch.cat([tgt, word], dim=1)
    return tgt[0].tolist()

def main(path=COURSE, n_steps=400, rate=4e-3):
    torch.manual_seed(0)
    *pairs, last_but_two, last_but_one, last = read_pairs(path)  # three are kept for the end
    words = [["<pad>", "<unk>", "<bos>", "<eos>", *sorted({w for p in pairs for w in p[side]})]
             for side in (0, 1)]
    vocabs = [{word: i for i, word in enumerate(side)} for side in words]
    model = Transformer(len(words[0]), len(words[1]))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
    for step in range(1, n_steps + 1):
        batch = [pairs[i] for i in torch.randint(len(pairs), (32,))]
        src, tgt = (numbers([pair[side] for pair in batch], vocabs[side]) for side in (0, 1))
        logits = model(src, padding_mask(src, 0), tgt[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tgt[:, 1:].flatten(), ignore_index=0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.2f}")
    for source, truth in (last_but_two, last_but_one, last):
        said = [words[1][i] for i in write(model, numbers([source], vocabs[0])) if i > 3]
        print(" ".join(source), "|", " ".join(said), "✓" if said == truth else "✗")

if __name__ == "__main__":
    torch.set_num_threads(1)    # more wait for one another where others compute
    sys.stdout.reconfigure(errors="replace")    # a terminal may lack some letters
    main(*sys.argv[1:])

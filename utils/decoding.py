"""From a model to sentences (built in notebooks 01 and 04)."""

import torch
from torch import Tensor, nn

from utils.text import BOS, EOS, Vocabulary, pad_rows, padding_mask


def sample_token(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Draw one token for each row of logits.

    logits: (batch, vocab_size)    temperature: below 1 the likely tokens win
    more often, above 1 the unlikely ones get more of a chance.
    Returns token ids (batch, 1). Raises ValueError unless temperature > 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    return (logits / temperature).softmax(dim=-1).multinomial(num_samples=1)


@torch.no_grad()
def sample_sequence(
    model: nn.Module, start: Tensor, n_tokens: int, temperature: float = 1.0
) -> Tensor:
    """Write n_tokens tokens: draw one, let the model read it, draw the next.

    start: (batch, seq_len) token ids, what the model reads first; not empty.
    Returns token ids (batch, n_tokens), without the start.
    """
    token, state, tokens = start, None, []
    for _ in range(n_tokens):
        logits, state = model(token, state)       # (batch, seq_len, vocab)
        token = sample_token(logits[:, -1], temperature)       # (batch, 1)
        tokens.append(token)
    return torch.cat(tokens, dim=1) if tokens else start[:, :0]


def greedy_decode(
    model: nn.Module, src: Tensor, src_mask: Tensor,
    bos_id: int, eos_id: int, max_len: int = 50,
) -> Tensor:
    """Write one token at a time, always the likeliest, until <eos>.

    src: (batch, src_len)    src_mask: (batch, 1, src_len)
    Returns token ids (batch, n), n at most max_len, without <bos>; after its
    <eos> a sentence holds nothing but <eos>. ValueError if max_len is below 1.
    """
    if max_len < 1:
        raise ValueError(f"max_len must be 1 or more, got {max_len}")
    memory, state = model.encode(src, src_mask), None
    token = src.new_full((len(src), 1), bos_id)
    finished = torch.zeros_like(token, dtype=torch.bool)
    tokens = []
    for _ in range(max_len):
        logits, state = model.decode(token, memory, src_mask, state)
        token = logits[:, -1:].argmax(dim=-1)              # (batch, 1)
        token = token.masked_fill(finished, eos_id)
        tokens.append(token)
        finished = finished | (token == eos_id)
        if finished.all():
            break
    return torch.cat(tokens, dim=1)


@torch.no_grad()
def translate(
    model: nn.Module, sentences, src_vocab: Vocabulary, tgt_vocab: Vocabulary,
    decode=greedy_decode, max_len: int = 50, batch_size: int = 100,
) -> list[list[str]]:
    """Translate token lists, in batches of similar length.

    Returns one token list for each sentence, in the order they came in.
    Leaves the model in eval mode.
    """
    model.eval()
    rows = sorted(range(len(sentences)), key=lambda row: len(sentences[row]))
    results = [[] for _ in sentences]
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        src = [src_vocab.encode(sentences[row]) for row in chosen]
        src = pad_rows(src, src_vocab.pad_id)
        mask = padding_mask(src, src_vocab.pad_id)
        bos, eos = tgt_vocab.ids[BOS], tgt_vocab.ids[EOS]
        tokens = decode(model, src, mask, bos, eos, max_len)
        for row, numbers in zip(chosen, tokens.tolist(), strict=True):
            results[row] = tgt_vocab.decode(numbers)
    return results

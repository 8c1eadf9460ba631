"""From a model to sentences (built in notebooks 01, 04 and 06)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.text import BOS, EOS, Vocabulary, pad_rows, padding_mask


def sample_token(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Draw one token for each row of logits.

    logits: (batch, vocab_size)    temperature: below 1 the likely tokens win
    more often, above 1 the unlikely ones get more of a chance.
    Returns token ids (batch, 1). ValueError for a temperature below 1e-6.
    """
    if not temperature >= 1e-6:
        raise ValueError(f"want a temperature from 1e-6, got {temperature}")
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
    device = next(model.parameters(), torch.empty(0)).device
    rows = sorted(range(len(sentences)), key=lambda row: len(sentences[row]))
    results = [[] for _ in sentences]
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        src = [src_vocab.encode(sentences[row]) for row in chosen]
        src = pad_rows(src, src_vocab.pad_id).to(device)
        mask = padding_mask(src, src_vocab.pad_id)
        bos, eos = tgt_vocab.ids[BOS], tgt_vocab.ids[EOS]
        tokens = decode(model, src, mask, bos, eos, max_len)
        for row, numbers in zip(chosen, tokens.tolist(), strict=True):
            results[row] = tgt_vocab.decode(numbers)
    return results


def pick_rows(nest, rows: Tensor):
    """Take rows, in the given order, of every tensor in a decoder's state.

    nest: a tensor with the batch first; a tuple, list or dict of such nests;
    or None.    rows: (n,) row numbers; one may come several times.
    Returns the same nest, n rows in each tensor.
    """
    if nest is None:
        return None
    if isinstance(nest, Tensor):
        return nest.index_select(0, rows)
    if isinstance(nest, dict):
        return {name: pick_rows(part, rows) for name, part in nest.items()}
    parts = [pick_rows(part, rows) for part in nest]
    return tuple(parts) if isinstance(nest, tuple) else parts


def beam_step(
    total: Tensor, ended: Tensor, log_p: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Give each open beginning every next word, and keep the best of them.

    total: (batch, beam_size), log-probability so far    ended: (batch,
    beam_size), bool: has written <eos>    log_p: (batch, beam_size, vocab)
    Returns, all (batch, beam_size): the new totals, best first, the place of
    the beginning that each continues, and its new word.
    """
    beam_size, vocab_size = log_p.shape[1:]
    total = total.masked_fill(ended, float("-inf"))
    candidates = (total.unsqueeze(-1) + log_p).flatten(1)
    total, best = candidates.topk(beam_size, dim=1)    # (batch, beam_size)
    if beam_size == 1:                # of equals topk takes any, max the first
        total, best = candidates.max(dim=1, keepdim=True)
    return total, best // vocab_size, best % vocab_size


def keep_best(
    best: Tensor, best_score: Tensor, tokens: Tensor, score: Tensor, eos_id: int
) -> tuple[Tensor, Tensor]:
    """Put a new ending in the place of the old one wherever it scores higher.

    best: (batch, n)    best_score: (batch,)
    tokens: (batch * beam_size, n + 1)    score: (batch, beam_size)
    Returns best (batch, n + 1), filled with <eos>, and its score (batch,).
    """
    highest, place = score.max(dim=1)                  # (batch,)
    tokens = tokens.unflatten(0, score.shape)          # (batch, beam_size, n)
    found = tokens[torch.arange(len(place), device=place.device), place]
    better = highest > best_score
    best = F.pad(best, (0, 1), value=eos_id)           # (batch, n + 1)
    best = torch.where(better.unsqueeze(1), found, best)
    return best, torch.where(better, highest, best_score)


def beam_search(model: nn.Module, src: Tensor, src_mask: Tensor, bos_id: int,
                eos_id: int, max_len: int = 50, beam_size: int = 5,
                length_penalty: float = 1.0) -> Tensor:
    """Follow the likeliest beginnings until no open one can win any more.

    As greedy_decode, but the best log p / length ** length_penalty wins. One
    that max_len cuts has not paid for <eos>: it wins only where none ended.
    """
    if beam_size < 1 or max_len < 1 or not 0 <= length_penalty <= 10:
        raise ValueError("want beam_size and max_len from 1, penalty 0 to 10")
    rows, worst = torch.arange(len(src), device=src.device), float("-inf")
    memory, mask = pick_rows((model.encode(src, src_mask), src_mask),
                             rows.repeat_interleave(beam_size))
    tokens, state = src.new_full((len(src) * beam_size, 1), bos_id), None
    total = F.pad(0 * rows[:, None].double(), (0, beam_size - 1), value=worst)
    ended, winner = total > 0, (tokens[: len(src), :0], total[:, 0] + worst)
    for length in range(1, max_len + 1):
        logits, state = model.decode(tokens[:, -1:], memory, mask, state)
        log_p = logits[:, -1].double().log_softmax(-1).view(*total.shape, -1)
        total, parent, token = beam_step(total, ended, log_p)
        chosen = (parent + beam_size * rows.unsqueeze(1)).flatten()
        state = pick_rows(state, chosen)
        tokens = torch.cat([tokens[chosen], token.view(-1, 1)], dim=1)
        ended = token == eos_id                            # (batch, beam_size)
        score = total.masked_fill(~ended, worst) / length**length_penalty
        winner = keep_best(*winner, tokens[:, 1:], score, eos_id)
        hope = total.masked_fill(ended, worst).amax(1) / max_len**length_penalty
        if (hope <= winner[1]).all():
            break
    return winner[0].where(winner[1][:, None] > worst, tokens[::beam_size, 1:])


def filter_logits(
    logits: Tensor, top_k: int | None = None, top_p: float = 1.0
) -> Tensor:
    """Take the unlikely tokens out: their logits become minus infinity.

    logits: (batch, vocab_size)    top_k: how many tokens stay, None for all
    top_p: the likeliest stay until their shares reach top_p (Holtzman et al.
    2020); of equals the first. ValueError for top_k < 1, top_p not in (0, 1].
    """
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be 1 or more, got {top_k}")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {top_p}")
    ordered, tokens = logits.sort(dim=-1, descending=True, stable=True)
    shares = ordered.double().softmax(dim=-1)          # (batch, vocab_size)
    before = shares.cumsum(dim=-1) - shares + 1e-6     # they are rounded
    out = (before >= top_p) & (top_p < 1)
    if top_k is not None:
        out[:, top_k:] = True
    out[:, 0] = False
    hidden = torch.zeros_like(out).scatter(-1, tokens, out)
    return logits.masked_fill(hidden, float("-inf"))


def sample_decode(
    model: nn.Module, src: Tensor, src_mask: Tensor, bos_id: int, eos_id: int,
    max_len: int = 50, temperature: float = 1.0, top_k: int | None = None,
    top_p: float = 1.0,
) -> Tensor:
    """Write one token at a time, drawn by its probability, until <eos>.

    What goes in and comes out: as in greedy_decode. The temperature acts
    before the filter. ValueError unless it is from 1e-6, max_len from 1.
    """
    if not 1e-6 <= temperature < float("inf"):
        raise ValueError(f"want a temperature from 1e-6, got {temperature}")
    if max_len < 1:
        raise ValueError(f"max_len must be 1 or more, got {max_len}")
    memory, state = model.encode(src, src_mask), None
    token = src.new_full((len(src), 1), bos_id)
    finished = torch.zeros_like(token, dtype=torch.bool)
    tokens = []
    for _ in range(max_len):
        logits, state = model.decode(token, memory, src_mask, state)
        logits = filter_logits(logits[:, -1] / temperature, top_k, top_p)
        token = sample_token(logits).masked_fill(finished, eos_id)
        tokens.append(token)
        finished = finished | (token == eos_id)
        if finished.all():
            break
    return torch.cat(tokens, dim=1)

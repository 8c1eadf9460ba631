"""Scores for translations (notebooks 04 and 05)."""

import math
from collections.abc import Sequence

import sacrebleu
import torch
from torch import Tensor, nn

from utils.training import shift_target, token_loss


def exact_match(hypotheses: Sequence, references: Sequence) -> float:
    """Share of the sentences that equal their reference token for token.

    Both: lists of token lists, equally many, at least one.
    """
    if not references:
        raise ValueError("no sentences to score: the list is empty")
    pairs = zip(hypotheses, references, strict=True)
    return sum(list(h) == list(r) for h, r in pairs) / len(references)


@torch.no_grad()
def perplexity(model: nn.Module, batches) -> float:
    """e to the mean loss of all real target tokens, true words fed in.

    batches: gives Batch objects and has .tgt_vocab. 1 is perfect; vocab_size
    is what a uniform guess gets. Leaves the model in eval mode.
    """
    model.eval()
    pad_id, total, n_tokens = batches.tgt_vocab.pad_id, 0.0, 0
    for src, src_mask, tgt in batches:
        tgt_in, tgt_out = shift_target(tgt)
        logits = model(src, src_mask, tgt_in)
        total += token_loss(logits, tgt_out, pad_id).item()
        n_tokens += (tgt_out != pad_id).sum().item()
    if not n_tokens:
        raise ValueError("no target tokens to score: the batches are empty")
    return math.exp(total / n_tokens)


def alignment_error(weights: Sequence[Tensor], gold: Sequence) -> float:
    """Share of target words whose strongest source word is a wrong one.

    weights: for each sentence (tgt_len, src_len); row t belongs to the step
    that predicts target word t. gold: for each sentence the true pairs
    (source index, target index). Target words without a pair do not count.
    """
    wrong = total = 0
    for rows, pairs in zip(weights, gold, strict=True):
        linked = {t for _, t in pairs}
        strongest = rows.argmax(dim=-1).tolist()           # (tgt_len,)
        wrong += sum((strongest[t], t) not in pairs for t in linked)
        total += len(linked)
    if not total:
        raise ValueError("no target word has a gold alignment")
    return wrong / total


def bleu(hypotheses: Sequence, references: Sequence) -> float:
    """Corpus BLEU from 0 to 100, computed by sacrebleu on the given tokens.

    Both: lists of token lists, equally many. Papineni et al. 2002.
    """
    if not references or len(hypotheses) != len(references):
        raise ValueError(
            f"want one reference for each hypothesis, got {len(hypotheses)} "
            f"hypotheses and {len(references)} references"
        )
    lines = [" ".join(tokens) for tokens in hypotheses]
    truth = [" ".join(tokens) for tokens in references]
    score = sacrebleu.corpus_bleu(lines, [truth], tokenize="none", force=True)
    return score.score

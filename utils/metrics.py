"""Scores for translations (built in notebooks 04, 05 and 06)."""

import math
from collections import Counter
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

    Both: lists of token lists, equally many. Papineni et al. 2002. A number
    stands for each token, since sacrebleu would cut one that holds a space.
    """
    if not references or len(hypotheses) != len(references):
        raise ValueError(
            f"want one reference for each hypothesis, got {len(hypotheses)} "
            f"hypotheses and {len(references)} references"
        )
    known = {token for tokens in (*hypotheses, *references) for token in tokens}
    number = {token: str(n) for n, token in enumerate(known)}
    lines = [" ".join(map(number.get, tokens)) for tokens in hypotheses]
    truth = [" ".join(map(number.get, tokens)) for tokens in references]
    score = sacrebleu.corpus_bleu(lines, [truth], tokenize="none", force=True)
    return score.score


def ngram_counts(tokens: Sequence, n: int) -> Counter:
    """How often each run of n neighbouring tokens occurs."""
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def clipped_matches(
    hypothesis: Sequence, reference: Sequence, n: int
) -> tuple[int, int]:
    """How many n-grams of the hypothesis the reference has, and of how many.

    An n-gram counts as found at most as often as it stands in the reference.
    """
    written, wanted = ngram_counts(hypothesis, n), ngram_counts(reference, n)
    return (written & wanted).total(), written.total()


def bleu_counts(hypotheses: Sequence, references: Sequence) -> Tensor:
    """All that BLEU needs to know of each sentence: ten numbers.

    Returns (n_sentences, 10): the clipped matches of order 1, 2, 3, 4, the
    n-grams of order 1, 2, 3, 4, the words of hypothesis and reference.
    """
    if not references or len(hypotheses) != len(references):
        raise ValueError(
            f"want one reference for each hypothesis, got {len(hypotheses)} "
            f"hypotheses and {len(references)} references"
        )
    rows = []
    for written, wanted in zip(hypotheses, references):
        pairs = [clipped_matches(written, wanted, n) for n in (1, 2, 3, 4)]
        matches, totals = zip(*pairs)
        rows.append([*matches, *totals, len(written), len(wanted)])
    return torch.tensor(rows, dtype=torch.double)


def bleu_from_counts(counts: Tensor, smooth: bool = True) -> float:
    """BLEU from 0 to 100, from the counts of a whole corpus added up.

    counts: (10,), a sum of rows of bleu_counts. smooth: an order without a
    match counts as 1/2 match, the next such order as 1/4, and so on, as in
    sacrebleu; without it, one such order makes the score 0.
    """
    matches, totals = counts[:4].tolist(), counts[4:8].tolist()
    n_written, n_wanted = counts[8:].tolist()
    if not any(matches) or not all(totals) or not (smooth or all(matches)):
        return 0.0
    log_sum, share = 0.0, 1.0
    for match, total in zip(matches, totals):
        if not match:
            match = share = share / 2
        log_sum += math.log(match / total)
    too_short = min(0.0, 1 - n_wanted / n_written)     # the brevity penalty
    return 100 * math.exp(too_short + log_sum / 4)


def corpus_bleu(
    hypotheses: Sequence, references: Sequence, smooth: bool = True
) -> float:
    """Corpus BLEU from 0 to 100: count in every sentence, divide once.

    Both: lists of token lists, equally many. Papineni et al. 2002.
    """
    counts = bleu_counts(hypotheses, references).sum(dim=0)
    return bleu_from_counts(counts, smooth)


def paired_bootstrap(
    first: Sequence, second: Sequence, references: Sequence,
    n_samples: int = 1000, seed: int = 0,
) -> tuple[float, float, float]:
    """BLEU of the second system minus the first, and where it may lie.

    All three: lists of token lists, equally many. Sentences are drawn anew,
    with repetition, the same ones for both systems. Koehn 2004.
    Returns the difference and the ends of its 95 % interval.
    """
    counts = [bleu_counts(words, references) for words in (first, second)]
    n, generator = len(references), torch.Generator().manual_seed(seed)
    drawn = torch.randint(n, (n_samples, n), generator=generator)
    differences = []
    for rows in [torch.arange(n), *drawn]:
        a, b = (bleu_from_counts(rows_of[rows].sum(0)) for rows_of in counts)
        differences.append(b - a)
    ordered = sorted(differences[1:])
    cut = round(0.025 * n_samples)
    return differences[0], ordered[cut], ordered[n_samples - 1 - cut]

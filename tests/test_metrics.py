"""utils/metrics.py."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import sacrebleu
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from utils.metrics import alignment_error, bleu, corpus_bleu, exact_match, perplexity
from utils.recurrent import BahdanauDecoder, RNNDecoder, RNNEncoder, Seq2Seq
from utils.text import Batches, Vocabulary
from utils.training import train

WORDS = list("abcdef")
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=7)


def words(text: str) -> list[str]:
    """A sentence as a list of tokens."""
    return text.split()


# ---- exact_match ----


@pytest.mark.parametrize(
    "hypotheses, references, share",
    [
        (["a b c"], ["a b c"], 1.0),
        (["a b c"], ["a b"], 0.0),
        (["a b"], ["a b c"], 0.0),
        (["b a"], ["a b"], 0.0),
        (["a a b"], ["a b b"], 0.0),
        (["", "a"], ["", "b"], 0.5),
        (["a", "b", "c", "d"], ["a", "x", "y", "z"], 0.25),
        (["A"], ["a"], 0.0),
    ],
)
def test_exact_match_by_hand(hypotheses: list, references: list, share: float) -> None:
    pairs = [words(h) for h in hypotheses], [words(r) for r in references]
    assert exact_match(*pairs) == share
    assert exact_match(*reversed(pairs)) == share


def test_exact_match_asks_for_tokens_not_for_their_joined_text() -> None:
    assert exact_match([["to", "day"]], [["today"]]) == 0.0
    assert exact_match([("a", "b")], [["a", "b"]]) == 1.0


def test_exact_match_of_nothing_or_of_another_number_is_refused() -> None:
    with pytest.raises(ValueError, match="no sentences to score"):
        exact_match([], [])
    with pytest.raises(ValueError, match=r"longer|shorter"):
        exact_match([["a"]], [["a"], ["b"]])
    with pytest.raises(ValueError, match=r"longer|shorter"):
        exact_match([["a"], ["b"]], [["a"]])


# ---- perplexity ----

N_TOKENS, PAD = 10, 3
SRC_VOCAB = Vocabulary([WORDS])
TGT_VOCAB = Vocabulary([WORDS], specials=("<bos>", "<eos>", "<unk>", "<pad>"))
assert (len(TGT_VOCAB), TGT_VOCAB.pad_id, SRC_VOCAB.pad_id) == (N_TOKENS, PAD, 0)


def made_up_batches(batch_size: int, seed: int = 0) -> Batches:
    """Twelve pairs of 0 to 6 words."""
    torch.manual_seed(4)
    rows = [[WORDS[n] for n in torch.randint(6, (k % 7,)).tolist()] for k in range(12)]
    pairs = [SimpleNamespace(src=row, tgt=row[::-1] + row[:2]) for row in rows]
    return Batches(pairs, SRC_VOCAB, TGT_VOCAB, batch_size, seed)


class Constant(nn.Module):
    """The same logits at every step, whatever is read."""

    def __init__(self, logits: Tensor):
        super().__init__()
        self.logits = logits

    def forward(self, src: Tensor, src_mask: Tensor, tgt: Tensor) -> Tensor:
        return self.logits.expand(*tgt.shape, -1)


@pytest.mark.parametrize("batch_size", [1, 4, 12])
@pytest.mark.parametrize("level", [0.0, -50.0, 1e4])
def test_a_uniform_guess_has_the_perplexity_of_the_vocabulary(
    batch_size: int, level: float
) -> None:
    model = Constant(torch.full((N_TOKENS,), level))
    assert perplexity(model, made_up_batches(batch_size)) == pytest.approx(N_TOKENS, rel=1e-5)


class Corpus(list):
    """Batches as a list; <pad> is 3."""

    tgt_vocab = SimpleNamespace(pad_id=PAD)


def one_batch(*rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """A batch with these target rows and some source."""
    source = torch.ones(len(rows), 2, dtype=torch.long)
    return source, torch.ones(len(rows), 1, 2, dtype=torch.bool), torch.tensor(rows)


def test_perplexity_by_hand_counts_every_real_token_once() -> None:
    """Token 1 has the share 1/2, token 4 has 1/8: 6 real tokens cost 1+3, 1+3+3+3 bits."""
    shares = torch.tensor([1 / 16, 1 / 2, 1 / 16, 1 / 8, 1 / 8, 1 / 8])
    batches = Corpus([one_batch([0, 4, 1]), one_batch([0, 4, 4, 4, 1], [0, 1, 3, 3, 3])])
    bits = (3 + 1) + (3 + 3 + 3 + 1) + 1
    got = perplexity(Constant(shares.log()), batches)
    assert got == pytest.approx(2 ** (bits / 7), rel=1e-5)
    mean_of_means = 2 ** ((4 / 2 + 11 / 5) / 2)
    assert abs(got - mean_of_means) > 0.1


def test_a_certain_model_has_perplexity_1() -> None:
    """Each token is the one before plus 1, and the model knows it."""

    class Successor(nn.Module):
        def forward(self, src: Tensor, src_mask: Tensor, tgt: Tensor) -> Tensor:
            return 100.0 * nn.functional.one_hot((tgt + 1) % 8, 8)

    batches = Corpus([one_batch([4, 5, 6, 7, 0, 1])])
    assert perplexity(Successor(), batches) == pytest.approx(1.0)


@pytest.mark.parametrize("decoder", [RNNDecoder, BahdanauDecoder])
@settings(max_examples=8)
@given(batch_size=st.integers(1, 13), order=st.integers(0, 9))
def test_perplexity_does_not_depend_on_the_batches(
    decoder: type, batch_size: int, order: int
) -> None:
    torch.manual_seed(0)
    model = Seq2Seq(RNNEncoder(N_TOKENS, 5), decoder(N_TOKENS, 5)).double()
    one_by_one = perplexity(model, made_up_batches(1))
    got = perplexity(model, made_up_batches(batch_size, order))
    assert got == pytest.approx(one_by_one, rel=1e-10)
    assert abs(one_by_one - N_TOKENS) > 0.01


def test_perplexity_is_that_of_the_true_words_one_at_a_time() -> None:
    """e to the mean of -log p, from the decoder run token by token on each pair alone."""
    torch.manual_seed(0)
    model = Seq2Seq(RNNEncoder(N_TOKENS, 5), RNNDecoder(N_TOKENS, 5)).double()
    costs = []
    with torch.no_grad():
        for src, src_mask, tgt in made_up_batches(1):
            memory, state = model.encode(src, src_mask), None
            for read, predicted in zip(tgt[0, :-1].tolist(), tgt[0, 1:].tolist()):
                logits, state = model.decode(torch.tensor([[read]]), memory, src_mask, state)
                costs.append(-logits[0, 0].softmax(-1)[predicted].log().item())
    wanted = math.exp(sum(costs) / len(costs))
    assert perplexity(model, made_up_batches(5)) == pytest.approx(wanted, rel=1e-10)


def test_measuring_turns_dropout_off_and_leaves_it_off() -> None:
    torch.manual_seed(0)
    model = Seq2Seq(RNNEncoder(N_TOKENS, 5, 0.5), RNNDecoder(N_TOKENS, 5, 0.5)).train()
    first = perplexity(model, made_up_batches(4))
    assert not any(module.training for module in model.modules())
    assert perplexity(model.train(), made_up_batches(4)) == pytest.approx(first, rel=1e-6)


def test_training_lowers_the_perplexity_and_measuring_leaves_the_weights() -> None:
    torch.manual_seed(0)
    model = Seq2Seq(RNNEncoder(N_TOKENS, 8), RNNDecoder(N_TOKENS, 8))
    before = [p.detach().clone() for p in model.parameters()]
    untrained = perplexity(model, made_up_batches(4))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())
    train(model, made_up_batches(4), 15, learning_rate=2e-2)
    assert perplexity(model, made_up_batches(4)) < 0.8 * untrained


# ---- alignment_error ----


def pointing(*columns: int, src_len: int = 5) -> Tensor:
    """Weights whose row t is strongest at columns[t], but nowhere near 1."""
    weights = torch.full((len(columns), src_len), 0.6 / (src_len - 1))
    weights[torch.arange(len(columns)), list(columns)] = 0.4
    return weights


@pytest.mark.parametrize(
    "columns, gold, error",
    [
        ([[0, 1, 2]], [{(0, 0), (1, 1), (2, 2)}], 0.0),
        ([[0, 1, 2]], [{(0, 1), (1, 2), (2, 0)}], 1.0),
        ([[0, 1, 2, 4]], [{(0, 0), (1, 1), (2, 2)}], 0.0),         # the row of <eos> is free
        ([[0, 3, 2, 4]], [{(0, 0), (1, 1), (2, 2)}], 1 / 3),
        ([[3, 1]], [{(1, 1)}], 0.0),                               # word 0 has no link
        ([[2]], [{(1, 0), (2, 0), (4, 0)}], 0.0),                  # any of several is right
        ([[3]], [{(1, 0), (2, 0), (4, 0)}], 1.0),                  # and the word counts once
        ([[0, 0, 0]], [{(0, 0), (0, 1), (0, 2)}], 0.0),
        ([[0], [4, 4, 4]], [{(0, 0)}, {(0, 0), (1, 1), (2, 2)}], 3 / 4),
        ([[1], [0]], [set(), {(0, 0)}], 0.0),
    ],
)
def test_alignment_error_by_hand(columns: list, gold: list, error: float) -> None:
    weights = [pointing(*row) for row in columns]
    assert alignment_error(weights, gold) == pytest.approx(error)
    assert alignment_error(weights, list(map(frozenset, gold))) == pytest.approx(error)


def test_the_pairs_are_source_first() -> None:
    """Word 1 looks at source word 3; read the other way round the pair would be wrong."""
    assert alignment_error([pointing(0, 3)], [{(3, 1)}]) == 0.0
    with pytest.raises(IndexError):
        alignment_error([pointing(0, 3)], [{(1, 3)}])


@given(st.permutations(range(5)))
def test_one_wrong_word_more_is_one_fifth_more(order: list[int]) -> None:
    gold = [{(n, n) for n in range(5)}]
    moved = sum(n != place for place, n in enumerate(order))
    assert alignment_error([pointing(*order)], gold) == pytest.approx(moved / 5)


def test_alignment_without_links_or_of_another_number_is_refused() -> None:
    for weights, gold in (([], []), ([pointing(0)], [set()])):
        with pytest.raises(ValueError, match="no target word has a gold alignment"):
            alignment_error(weights, gold)
    with pytest.raises(ValueError, match=r"longer|shorter"):
        alignment_error([pointing(0)], [{(0, 0)}, {(0, 0)}])


def test_the_weights_of_a_decoder_can_be_scored() -> None:
    """(1, tgt_len, src_len) of a model, cut to one sentence: the rows are the steps."""
    torch.manual_seed(0)
    model = Seq2Seq(RNNEncoder(N_TOKENS, 5), BahdanauDecoder(N_TOKENS, 5))
    src, src_mask = torch.tensor([[4, 5, 6, 7]]), torch.ones(1, 1, 4, dtype=torch.bool)
    memory = model.encode(src, src_mask)
    tgt = torch.tensor([[0, 4, 5]])
    _, _, weights = model.decode(tgt, memory, src_mask, need_weights=True)
    strongest = weights[0].argmax(-1).tolist()
    gold = {(source, step) for step, source in enumerate(strongest)}
    assert alignment_error(weights.detach(), [gold]) == 0.0


# ---- bleu ----


@pytest.mark.parametrize(
    "hypothesis, reference, score",
    [
        ("a b c d", "a b c d", 100.0),
        ("a b c d e", "a b c d e f", 100 * math.exp(1 - 6 / 5)),          # too short
        ("a b c d e f", "a b c d e", 100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25),
        ("a b c d x", "a b c d e", 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
        ("a a a a a b c d", "a b c d a", 100 * (5 / 8 * 3 / 7 * 2 / 6 * 1 / 5) ** 0.25),
    ],
)
def test_bleu_by_hand(hypothesis: str, reference: str, score: float) -> None:
    assert bleu([words(hypothesis)], [words(reference)]) == pytest.approx(score, abs=1e-6)


def test_hypothesis_and_reference_are_not_exchangeable() -> None:
    short, long = words("a b c d e"), words("a b c d e f")
    assert bleu([short], [long]) == pytest.approx(81.873, abs=1e-3)
    assert bleu([long], [short]) == pytest.approx(75.984, abs=1e-3)


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=5))
def test_bleu_equals_sacrebleu(pairs: list) -> None:
    hypotheses, references = zip(*pairs)
    metric = sacrebleu.BLEU(tokenize="none", force=True)
    lines = [[" ".join(tokens) for tokens in side] for side in (hypotheses, references)]
    wanted = metric.corpus_score(lines[0], [lines[1]]).score
    assert bleu(hypotheses, references) == pytest.approx(wanted, abs=1e-9)
    assert 0 <= wanted <= 100 + 1e-9


@pytest.mark.parametrize("odd", ["b\u3000c", "b\u00a0c", "b c", "", "\n", " ", "\u2028"])
def test_a_space_inside_a_token_cuts_nothing(odd: str) -> None:
    """sacrebleu joins and cuts; the counts by hand and exact match never do."""
    sentence, other = ["a", odd, "d", "e"], ["a", "b", "c", "d", "e"]
    for hypothesis in (sentence, other):
        pair = [hypothesis], [sentence]
        assert bleu(*pair) == pytest.approx(corpus_bleu(*pair))
        assert (bleu(*pair) == pytest.approx(100)) == exact_match(*pair)


def test_bleu_is_of_the_corpus_not_a_mean_of_sentences() -> None:
    hypotheses = [words("a b c d"), words("a b x d e f")]
    references = [words("a b c d"), words("a b c d e f")]
    matched = (9 / 10, 6 / 8, 3 / 6, 1 / 4)     # 1-grams to 4-grams, counted over both
    corpus = 100 * math.prod(matched) ** 0.25
    assert bleu(hypotheses, references) == pytest.approx(corpus)
    apart = [bleu([h], [r]) for h, r in zip(hypotheses, references)]
    assert abs(sum(apart) / 2 - corpus) > 5


def test_bleu_takes_the_tokens_as_they_are() -> None:
    """sacrebleu's own tokenizer would cut the point off, and the two would be equal."""
    apart, together = "I saw the cat .", "I saw the cat."
    assert sacrebleu.corpus_bleu([apart], [[together]]).score == pytest.approx(100)
    assert bleu([words(apart)], [words(together)]) < 70
    sentence = words("わたし は 猫 を 見た")
    assert bleu([sentence], [sentence]) == pytest.approx(100)
    assert bleu([words("A B C D")], [words("a b c d")]) == 0.0


@pytest.mark.parametrize("hypotheses", [[[]], [[], []], [words("x y z w")]])
def test_nothing_right_scores_0(hypotheses: list) -> None:
    assert bleu(hypotheses, [words("a b c d")] * len(hypotheses)) == 0.0


def test_an_empty_hypothesis_shortens_the_corpus() -> None:
    pair = words("a b c d e")
    got = bleu([pair, []], [pair, pair])
    assert got == pytest.approx(100 * math.exp(1 - 10 / 5))


@pytest.mark.parametrize("n_hypotheses, n_references", [(0, 0), (1, 2), (2, 1), (1, 0), (0, 1)])
def test_bleu_of_another_number_is_refused(n_hypotheses: int, n_references: int) -> None:
    wanted = f"got {n_hypotheses} hypotheses and {n_references} references"
    with pytest.raises(ValueError, match=wanted):
        bleu([["a"]] * n_hypotheses, [["a"]] * n_references)

"""utils/training.py."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from utils.recurrent import AttentionDecoder, BahdanauDecoder, RNNDecoder, RNNEncoder, Seq2Seq
from utils.text import Batches, Vocabulary
from utils.training import shift_target, token_loss, train, warmup_rate

# ---- shift_target ----


def test_shift_target_by_hand() -> None:
    tgt = torch.tensor([[2, 7, 8, 9, 3], [2, 5, 3, 0, 0]])
    tgt_in, tgt_out = shift_target(tgt)
    assert tgt_in.tolist() == [[2, 7, 8, 9], [2, 5, 3, 0]]
    assert tgt_out.tolist() == [[7, 8, 9, 3], [5, 3, 0, 0]]


@given(st.integers(1, 4), st.integers(2, 8))
def test_shift_target_is_one_step_apart(batch: int, tgt_len: int) -> None:
    """On a row that counts, each output is its input plus 1: not shifted by 0, not by 2."""
    tgt = torch.arange(tgt_len).expand(batch, -1)
    tgt_in, tgt_out = shift_target(tgt)
    assert tgt_in.shape == tgt_out.shape == (batch, tgt_len - 1)
    assert torch.equal(tgt_out, tgt_in + 1)


def test_shift_target_of_an_empty_sentence() -> None:
    tgt_in, tgt_out = shift_target(torch.tensor([[2, 3]]))
    assert tgt_in.tolist() == [[2]] and tgt_out.tolist() == [[3]]


# ---- token_loss ----

# logits whose shares are known: 1/2, 1/4, 1/8, 1/8
LOGITS = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()


@pytest.mark.parametrize(
    "tgt_out, pad_id, bits",
    [
        ([[0, 1, 2]], 3, 1 + 2 + 3),
        ([[0, 1, 3]], 3, 1 + 2),
        ([[0, 1, 3], [2, 3, 3]], 3, 1 + 2 + 3),
        ([[1, 2, 0], [3, 0, 0]], 0, 2 + 3 + 3),
        ([[3, 1, 0], [0, 0, 0]], 0, 3 + 2),
        ([[3, 3, 3]], 3, 0),
        ([[0, 0], [0, 0]], 0, 0),
    ],
)
def test_token_loss_by_hand(tgt_out: list, pad_id: int, bits: float) -> None:
    tokens = torch.tensor(tgt_out)
    loss = token_loss(LOGITS.expand(*tokens.shape, 4), tokens, pad_id)
    assert loss.shape == () and loss.item() == pytest.approx(bits * math.log(2), abs=1e-6)


@pytest.mark.parametrize("pad_id", [0, 3])
@given(batch=st.integers(1, 4), tgt_len=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_token_loss_adds_up_minus_log_p(pad_id: int, batch: int, tgt_len: int, seed: int) -> None:
    torch.manual_seed(seed)
    logits = 3 * torch.randn(batch, tgt_len, 5, dtype=torch.float64)
    tokens = torch.randint(5, (batch, tgt_len))
    shares = logits.softmax(-1)
    wanted = -sum(
        shares[row, t, token].log().item()
        for row, numbers in enumerate(tokens.tolist())
        for t, token in enumerate(numbers)
        if token != pad_id
    )
    assert token_loss(logits, tokens, pad_id).item() == pytest.approx(wanted, abs=1e-9)


def test_token_loss_of_padding_has_no_gradient() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 7, requires_grad=True)
    tokens = torch.tensor([[4, 5, 3, 3, 3], [3, 3, 3, 3, 3]])
    token_loss(logits, tokens, 3).backward()
    touched = logits.grad.abs().sum(-1) > 0
    assert touched.tolist() == [[True, True, False, False, False], [False] * 5]
    assert logits.grad.isfinite().all()


def test_losses_of_batches_add_up() -> None:
    torch.manual_seed(0)
    logits, tokens = torch.randn(4, 5, 7), torch.randint(7, (4, 5))
    apart = sum(token_loss(logits[i : i + 1], tokens[i : i + 1], 3) for i in range(4))
    torch.testing.assert_close(token_loss(logits, tokens, 3), apart)


# ---- train ----

WORDS = ["a", "b", "c", "d"]


def reversals(n_pairs: int) -> list[SimpleNamespace]:
    """Pairs of 1 to 4 words; the target is the source in reverse order."""
    torch.manual_seed(5)
    rows = [torch.randint(4, (1 + n % 4,)).tolist() for n in range(n_pairs)]
    sentences = [[WORDS[n] for n in row] for row in rows]
    return [SimpleNamespace(src=words, tgt=words[::-1]) for words in sentences]


def made_up_batches(n_pairs: int = 20, batch_size: int = 8, seed: int = 0) -> Batches:
    """Batches whose two vocabularies have different ids for <pad>."""
    src_vocab = Vocabulary([WORDS])
    tgt_vocab = Vocabulary([WORDS], specials=("<bos>", "<eos>", "<unk>", "<pad>"))
    assert (src_vocab.pad_id, tgt_vocab.pad_id) == (0, 3)
    return Batches(reversals(n_pairs), src_vocab, tgt_vocab, batch_size, seed)


def made_up_model(decoder: type = RNNDecoder, d_model: int = 8, dropout: float = 0.0) -> Seq2Seq:
    """A small model of 8 tokens on both sides."""
    return Seq2Seq(RNNEncoder(8, d_model, dropout), decoder(8, d_model, dropout))


@pytest.mark.parametrize("decoder", [RNNDecoder, AttentionDecoder, BahdanauDecoder])
def test_the_loss_falls(decoder: type) -> None:
    """Untrained it is near that of a guess among 8 tokens; then pairs are learned by heart."""
    torch.manual_seed(0)
    batches = made_up_batches()
    losses = train(made_up_model(decoder, d_model=16), batches, 60, learning_rate=2e-2)
    first, last = sum(losses[:3]) / 3, sum(losses[-3:]) / 3
    assert abs(first - math.log(8)) < 0.5
    assert last < 0.2


@pytest.mark.parametrize(
    "n_pairs, batch_size, n_epochs, n_steps",
    [(20, 8, 2, 6), (16, 8, 3, 6), (1, 8, 4, 4), (1, 1, 1, 1), (5, 1, 1, 5), (5, 8, 0, 0)],
)
def test_one_loss_for_each_step(
    n_pairs: int, batch_size: int, n_epochs: int, n_steps: int
) -> None:
    losses = train(made_up_model(), made_up_batches(n_pairs, batch_size), n_epochs)
    assert len(losses) == n_steps
    assert all(type(loss) is float and math.isfinite(loss) for loss in losses)


def test_a_corpus_of_one_pair_is_learned() -> None:
    torch.manual_seed(0)
    losses = train(made_up_model(), made_up_batches(1), 80, learning_rate=2e-2)
    assert losses[-1] < 0.1 < 1.0 < losses[0]


def losses_of(seed: int, order: int = 0) -> list[float]:
    """The losses of a short training with dropout."""
    torch.manual_seed(seed)
    return train(made_up_model(dropout=0.3), made_up_batches(seed=order), 3)


def test_the_same_seed_gives_the_same_losses() -> None:
    first = losses_of(1)
    assert first == losses_of(1)
    assert first != losses_of(2)
    assert first != losses_of(1, order=1)


def test_the_first_loss_is_that_of_the_untouched_model_per_target_token() -> None:
    torch.manual_seed(0)
    model = made_up_model()
    src, src_mask, tgt = next(iter(made_up_batches(batch_size=20)))
    with torch.no_grad():
        shares = model(src, src_mask, tgt[:, :-1]).softmax(-1)
    real = tgt[:, 1:] != 3
    picked = shares.gather(-1, tgt[:, 1:, None]).squeeze(-1)[real]
    assert not real.all()
    loss = train(model, made_up_batches(batch_size=20), 1)[0]
    assert loss == pytest.approx(-picked.log().mean().item(), abs=1e-5)


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rate of each step of the optimizer, and at the end what it fell to."""
    noted: list[float] = []

    class Noting(torch.optim.Adam):
        def step(self, *args):
            noted.append(self.param_groups[0]["lr"])
            return super().step(*args)

    class NotingDecay(torch.optim.lr_scheduler.LinearLR):
        def step(self, *args):
            super().step(*args)
            noted.append(self.optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(torch.optim, "Adam", Noting)
    monkeypatch.setattr(torch.optim.lr_scheduler, "LinearLR", NotingDecay)
    return noted


def test_the_learning_rate_falls_in_a_line_and_ends_at_0(rates: list[float]) -> None:
    train(made_up_model(), made_up_batches(20, 8), 2, learning_rate=6e-3)
    assert rates[0] == 6e-3              # set when the decay is made
    used, left = rates[1::2], rates[2::2]
    assert used == pytest.approx([6e-3, 5e-3, 4e-3, 3e-3, 2e-3, 1e-3])
    assert left == pytest.approx([5e-3, 4e-3, 3e-3, 2e-3, 1e-3, 0.0], abs=1e-12)


class Loud(nn.Module):
    """The same logits at every step, `factor` times its weights: the gradient grows with it."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor, self.row = factor, nn.Parameter(torch.zeros(8))

    def forward(self, src: Tensor, src_mask: Tensor, tgt: Tensor) -> Tensor:
        return (self.factor * self.row).expand(*tgt.shape, -1)


@pytest.mark.parametrize("factor, clipped", [(1000.0, True), (1.0, False)])
def test_a_gradient_longer_than_1_is_cut_to_1(factor: float, clipped: bool) -> None:
    """At a rate of 0 nothing moves, so each step has the same gradient; they do not add up."""
    model = Loud(factor)
    assert len(train(model, made_up_batches(3), 3, learning_rate=0.0)) == 3
    tgt_out = next(iter(made_up_batches(3))).tgt[:, 1:]
    counts = tgt_out[tgt_out != 3].bincount(minlength=8)
    raw = factor * (1 / 8 - counts / counts.sum())
    assert (raw.norm() > 1) == clipped
    wanted = raw / raw.norm() if clipped else raw
    torch.testing.assert_close(model.row.grad, wanted, atol=1e-5, rtol=1e-4)


class Mode(nn.Module):
    """Notes whether dropout would be on, and which tokens it is fed."""

    def __init__(self):
        super().__init__()
        self.row, self.modes, self.fed = nn.Parameter(torch.zeros(8)), [], []

    def forward(self, src: Tensor, src_mask: Tensor, tgt: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.fed.append(tgt)
        return self.row.expand(*tgt.shape, -1)


def test_training_turns_dropout_on_and_feeds_the_true_words() -> None:
    model, batches = Mode().eval(), made_up_batches()
    train(model, batches, 2)
    assert model.modes == [True] * 6 and model.training
    again = made_up_batches()
    wanted = [batch.tgt[:, :-1] for _ in range(2) for batch in again]
    assert all(torch.equal(fed, tgt) for fed, tgt in zip(model.fed, wanted, strict=True))


def test_every_weight_moves() -> None:
    torch.manual_seed(0)
    model = made_up_model(BahdanauDecoder)
    before = [p.detach().clone() for p in model.parameters()]
    train(model, made_up_batches(), 1)
    moved = [not torch.equal(old, new) for old, new in zip(before, model.parameters())]
    assert all(moved)


# ---- warmup_rate ----


@pytest.mark.parametrize("step, rate", [(1, 1 / 128), (2, 2 / 128), (16, 1 / 8), (64, 1 / 16)])
def test_warmup_rate_by_hand(step: int, rate: float) -> None:
    """d_model 4 and warmup 16: the peak is 1/2 · 1/4, a quarter of the way down at 4 · warmup."""
    assert warmup_rate(step, 4, 16) == pytest.approx(rate, rel=1e-12)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(d_model=st.integers(1, 2048), warmup=st.integers(1, 200))
def test_warmup_rate_peaks_at_the_end_of_the_warm_up(d_model: int, warmup: int) -> None:
    rates = [warmup_rate(step, d_model, warmup) for step in range(1, 3 * warmup + 2)]
    assert rates.index(max(rates)) + 1 == warmup or warmup == 1
    assert max(rates) == pytest.approx((d_model * warmup) ** -0.5)
    slopes = [rate / step for step, rate in enumerate(rates[:warmup], start=1)]
    assert max(slopes) == pytest.approx(min(slopes))
    falls = [rate * math.sqrt(step) for step, rate in enumerate(rates, start=1)][warmup - 1 :]
    assert max(falls) == pytest.approx(min(falls))


def test_warmup_rate_through_lambda_lr() -> None:
    """With a base rate of 1 and step + 1, once a batch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: warmup_rate(s + 1, 64, 3))
    seen = []
    for _ in range(5):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert seen == pytest.approx([warmup_rate(step, 64, 3) for step in range(1, 6)])


@pytest.mark.parametrize("step, warmup", [(0, 4), (-1, 4), (1, 0), (1, -4)])
def test_a_step_or_a_warm_up_below_one_is_refused(step: int, warmup: int) -> None:
    with pytest.raises(ValueError, match="want step and warmup from 1"):
        warmup_rate(step, 64, warmup)

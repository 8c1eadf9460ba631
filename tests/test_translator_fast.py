"""The fast way to the loss is the plain way; BPE-dropout cuts words as it should."""

import random

import pytest
import torch

from utils.text import padding_mask
from utils.translator import fast
from utils.translator.cuts import Cuts
from utils.translator.data import Rows, Subwords
from utils.translator.fast import AddDropped, ReluDropped, TrainingLoss, fastest_precision
from utils.translator.model import SharedTransformer, smoothed_loss

SENTENCES = ["the hunter hunts the hunted bear", "a bear hunts.", "the hunted hunter bears a hat!"]


def model_of(dropout: float = 0.0) -> SharedTransformer:
    """Return a small model, all its numbers drawn, none 0."""
    torch.manual_seed(0)
    model = SharedTransformer(31, d_model=12, n_heads=3, n_layers=2, d_ff=20, dropout=dropout)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def batch_of() -> tuple[torch.Tensor, ...]:
    """Return a batch with padding on both sides: padding is 2, the rows have unequal lengths."""
    draw = torch.Generator().manual_seed(1)
    src, tgt = (torch.randint(3, 31, (5, length), generator=draw) for length in (7, 6))
    src[0, 3:], src[3, 5:], tgt[1, 2:], tgt[4, 4:] = 2, 2, 2, 2
    return src, padding_mask(src, 2), tgt[:, :-1], tgt[:, 1:]


def plain(model: SharedTransformer, smoothing: float) -> torch.Tensor:
    """Return the loss by the model's own parts."""
    src, src_mask, tgt_in, tgt_out = batch_of()
    return smoothed_loss(model(src, src_mask, tgt_in), tgt_out, 2, smoothing)


def gradients(loss: torch.Tensor, model: SharedTransformer) -> dict[str, torch.Tensor]:
    """Return the gradients of a loss, by the names of the parameters."""
    names, parameters = zip(*model.named_parameters())
    return dict(zip(names, torch.autograd.grad(loss, parameters)))


@pytest.mark.parametrize("rows_at_once", [3, 1024])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_the_fast_loss_is_the_plain_one(
    smoothing: float, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "ROWS_AT_ONCE", rows_at_once)
    model = model_of()
    quick, slow = TrainingLoss(model, 2, smoothing)(*batch_of()), plain(model, smoothing)
    torch.testing.assert_close(quick, slow)
    wanted = gradients(slow, model)
    for name, found in gradients(quick, model).items():
        # one number added to all scores of a query changes nothing
        assert ("key_map.bias" in name) == (wanted[name].abs().max() < 1e-6), name
        torch.testing.assert_close(found, wanted[name], atol=1e-5, rtol=1e-5, msg=name)


def test_bfloat16_is_near() -> None:
    model = model_of()
    quick = TrainingLoss(model, 2, 0.1, "bfloat16")(*batch_of())
    slow = plain(model, 0.1)
    assert quick.dtype == torch.float32
    assert quick.item() == pytest.approx(slow.item(), rel=0.01)
    wanted, found = gradients(slow, model), gradients(quick, model)
    far = torch.cat([(found[name] - wanted[name]).flatten() for name in wanted]).norm()
    assert 0 < far < 0.05 * torch.cat([gradient.flatten() for gradient in wanted.values()]).norm()


def test_eval_drops_nothing_and_needs_no_gradient() -> None:
    model = model_of(dropout=0.5)
    loss = TrainingLoss(model, 2)
    trained = [loss(*batch_of()).item() for _ in range(2)]
    assert trained[0] != trained[1]
    loss.eval()
    with torch.no_grad():
        quick = loss(*batch_of())
    torch.testing.assert_close(quick, plain(model, 0.0))


def test_a_seed_decides_what_is_dropped() -> None:
    model = model_of(dropout=0.5)
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(TrainingLoss(model, 2)(*batch_of()).item())
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_what_is_added_is_dropped_or_grown(rate: float) -> None:
    torch.manual_seed(0)
    x, y = torch.full((300, 101), 2.0), torch.ones(300, 101, requires_grad=True)
    added = AddDropped.apply(x, y, rate) - x
    share = round(256 * rate) / 256
    assert sorted(set(added.flatten().tolist())) == pytest.approx([0, 1 / (1 - share)], abs=1e-6)
    assert (added == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    (grad,) = torch.autograd.grad(added.sum(), y)
    torch.testing.assert_close(grad, added.detach())


def test_relu_drops_after_it() -> None:
    torch.manual_seed(0)
    x = torch.randn(400, 50, requires_grad=True)
    y = ReluDropped.apply(x, 0.25)
    assert ((y == 0) | torch.isclose(y, x / 0.75)).all()
    assert (y == 0)[x <= 0].all()
    assert (y == 0)[x > 0].float().mean().item() == pytest.approx(0.25, abs=0.02)
    (grad,) = torch.autograd.grad((y**2 / 2).sum(), x)
    torch.testing.assert_close(grad, y.detach() / 0.75)


def test_the_precision_that_is_faster_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fastest_precision("cpu") in fast.PRECISIONS
    for slower, chosen in (("float32", "bfloat16"), ("bfloat16", "float32")):
        clock = FakeClock({"float32": 1.0, "bfloat16": 1.0} | {slower: 2.0})
        monkeypatch.setattr(fast.time, "perf_counter", clock)
        assert fastest_precision("cpu", rounds=2) == chosen


class FakeClock:
    """A clock after which each product takes the time that is given for its precision."""

    def __init__(self, seconds: dict[str, float]):
        self.now = 0.0
        self.steps = [step for name in fast.PRECISIONS for _ in range(2)
                      for step in (0.0, seconds[name])]

    def __call__(self) -> float:
        self.now += self.steps.pop(0)
        return self.now


# ---- BPE-dropout ----


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    """Return subwords of a few words that share their letters."""
    return Subwords.learn(SENTENCES, 60)


@pytest.mark.parametrize("sentence", [*SENTENCES, "hunt the unseen §"])
def test_without_dropout_a_word_is_cut_as_ever(subwords: Subwords, sentence: str) -> None:
    cuts = Cuts(subwords, 0.0, 0)
    found = cuts.numbers(subwords.pieces(sentence), random.Random(0))
    assert found == subwords.encode(sentence)


def test_dropped_joins_leave_smaller_parts_of_the_same_word(subwords: Subwords) -> None:
    usual, rng, lengths = subwords.encode(SENTENCES[0]), random.Random(0), []
    for rate in (0.1, 0.5, 0.999999):
        cuts = Cuts(subwords, rate, 0)
        ways = [cuts.numbers(subwords.pieces(SENTENCES[0]), rng) for _ in range(40)]
        assert {subwords.decode(way) for way in ways} == {SENTENCES[0]}
        assert len(set(map(tuple, ways))) > 1 or rate > 0.9
        lengths.append(sum(map(len, ways)) / 40)
    assert len(usual) < lengths[0] < lengths[1] < lengths[2] == 1 + len(SENTENCES[0])


def test_cuts_come_from_the_seed_whatever_was_cut_before(subwords: Subwords) -> None:
    rows = Rows([(text, text) for text in SENTENCES], subwords, 99)
    first, other = Cuts(subwords, 0.3, 0), Cuts(subwords, 0.3, 1)
    epochs = [first.varied(rows, 99, seed) for seed in ("0 0", "0 1")]
    again = Cuts(subwords, 0.3, 0).varied(rows, 99, "0 1")
    assert (again.src, again.tgt) == (epochs[1].src, epochs[1].tgt)
    assert epochs[0].src != epochs[1].src
    assert epochs[0].src != epochs[0].tgt
    assert other.varied(rows, 99, "0 1").src != again.src


def test_a_pair_that_would_grow_too_long_stays_whole(subwords: Subwords) -> None:
    rows = Rows([(text, text) for text in SENTENCES], subwords, 99)
    longest = max(map(max, rows.sizes))
    varied = Cuts(subwords, 0.9, 0).varied(rows, longest, "0 0")
    assert max(map(max, varied.sizes)) <= longest
    assert any(varied.src[row] == rows.src[row] for row in range(len(rows)))


@pytest.mark.parametrize("n_batches", [1, 2, 5, 9, 40])
def test_so_many_batches_as_are_wanted(subwords: Subwords, n_batches: int) -> None:
    rng = random.Random(0)
    texts = [" ".join(rng.choices(["bear", "the", "hunts"], k=rng.randint(1, 30)))
             for _ in range(40)]
    rows = Rows([(text, text) for text in texts], subwords, 999)
    batches = rows.epoch(1, "0 0", n_batches)
    assert len(batches) == n_batches
    assert sorted(row for batch in batches for row in batch) == list(range(40))
    places = [len(batch) * max(max(rows.sizes[row]) for row in batch) for batch in batches]
    assert n_batches in (1, 40) or max(places) < 3 * sum(places) / n_batches

"""utils/translation.py, and the small systems that lesson 12 compares."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
import torch
from torch import nn

from tools.notebooks import lessons, read
from utils.corpora import available
from utils.decoding import translate
from utils.recurrent import AttentionDecoder, RNNEncoder, Seq2Seq
from utils.text import BOS, EOS, Batch, Vocabulary, make_batch
from utils.training import token_loss
from utils.transformer import Transformer
from utils.translation import (
    accumulate,
    mean_weights,
    rate_at,
    smoothed_loss,
    three_systems,
    tie,
    token_batches,
    train_translator,
)
from utils.translator import checkpoint
from utils.translator.data import Source
from utils.translator.systems import PLACE, load_systems, nearest_translations
from utils.translator.using import bleu_line

WORDS = "mina sees buys finds a dog cat house tree red".split()
KEPT = sorted(path.name for path in PLACE.glob("*.safetensors"))


class Sentence:
    """A sentence and its translation: the words in reverse."""

    def __init__(self, rng: random.Random):
        self.src = [rng.choice(WORDS) for _ in range(rng.randint(1, 6))]
        self.tgt = self.src[::-1]


class Sentences:
    """Made-up sentences as the loop wants them."""

    def __init__(self, n: int):
        rng = random.Random(0)
        self.pairs = [Sentence(rng) for _ in range(n)]
        self.words = Vocabulary([WORDS])
        self.pad_id = self.words.pad_id
        self.sizes = [(len(p.src), len(p.tgt) + 1) for p in self.pairs]

    def batch(self, numbers: list[int]) -> Batch:
        """Turn rows into tensors."""
        return make_batch([self.pairs[n] for n in numbers], self.words, self.words)


def small(n_words: int, dropout: float = 0.0) -> nn.Module:
    """Return a small Transformer."""
    torch.manual_seed(0)
    return Transformer(n_words, n_words, d_model=16, n_heads=2, n_layers=1, d_ff=16,
                       dropout=dropout)


# ---- batches ----


@pytest.mark.parametrize("batch_tokens", [7, 40, 1000])
def test_batches_hold_each_row_once_and_keep_the_bound(batch_tokens: int) -> None:
    sizes = Sentences(200).sizes
    batches = token_batches(sizes, batch_tokens, random.Random(1))
    assert sorted(row for rows in batches for row in rows) == list(range(200))
    for rows in batches:
        assert len(rows) * max(max(sizes[row]) for row in rows) <= batch_tokens


def test_batches_are_full_and_of_like_length() -> None:
    sizes = [(n, 1) for n in range(1, 9)]
    batches = sorted(token_batches(sizes, 12, random.Random(0)))
    assert batches == [[0, 1, 2], [3, 4], [5], [6], [7]]    # 3 * 3, 2 * 5, ...


def test_a_row_that_is_too_wide_stands_alone() -> None:
    assert sorted(token_batches([(9, 2), (1, 1)], 4, random.Random(0))) == [[0], [1]]


def test_the_order_comes_from_the_seed() -> None:
    sizes = Sentences(90).sizes
    one, again, other = (token_batches(sizes, 30, random.Random(n)) for n in (3, 3, 4))
    assert one == again != other
    assert one != sorted(one, key=lambda rows: max(sizes[rows[0]]))


# ---- accumulation ----


def gradient(step: Callable[[nn.Module], object], model: nn.Module) -> torch.Tensor:
    """Return the gradient that a step leaves."""
    model.zero_grad()
    step(model)
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_parts_give_the_gradient_and_the_loss_of_the_whole(smoothing: float) -> None:
    rows, losses = Sentences(12), []
    model = small(len(rows.words))
    whole, parts = [rows.batch(range(12))], [rows.batch([0, 1]), rows.batch(range(2, 12))]
    found = [
        gradient(lambda m, p=p: losses.append(accumulate(m, p, rows.pad_id, smoothing)), model)
        for p in (whole, parts)
    ]
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-4)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_loss_is_that_of_a_token() -> None:
    rows = Sentences(5)
    model, batch = small(len(rows.words)), rows.batch(range(5))
    total = token_loss(model(batch.src, batch.src_mask, batch.tgt[:, :-1]), batch.tgt[:, 1:],
                       rows.pad_id)
    n_tokens = sum(tgt_len for _, tgt_len in rows.sizes)
    assert accumulate(model, [batch], rows.pad_id) == pytest.approx(total.item() / n_tokens)


# ---- the loop ----


def test_the_loop_learns_and_returns_each_step_and_each_pass() -> None:
    rows = Sentences(150)
    model = small(len(rows.words))
    losses, weights = train_translator(model, rows, 12, 1e-2, 10, batch_tokens=120, smoothing=0.0)
    n_steps = 12 * len(token_batches(rows.sizes, 120, random.Random(0)))
    assert abs(len(losses) - n_steps) <= 12 and len(weights) == 12
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])
    own = dict(model.named_parameters())
    assert all(torch.equal(weights[-1][name], own[name]) for name in own)
    assert any(not torch.equal(weights[0][name], own[name]) for name in own)
    assert model.training


def test_the_loop_in_parts_takes_the_same_steps() -> None:
    rows, found = Sentences(40), []
    for n_parts in (1, 3):
        model = small(len(rows.words)).double()
        losses, _ = train_translator(model, rows, 1, 1e-3, 2, batch_tokens=60, n_parts=n_parts)
        found.append(torch.tensor(losses))
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-4)


def test_the_loop_uses_the_rate_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, seen, step = Sentences(40), [], torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda adam, *given: (
        seen.append(adam.param_groups[0]["lr"]), step(adam, *given)))
    losses, _ = train_translator(small(len(rows.words)), rows, 2, 5e-3, 3, batch_tokens=60)
    assert seen == [rate_at(n, 5e-3, 3, len(losses)) for n in range(1, len(losses) + 1)]


# ---- weights ----


def test_the_mean_of_weights() -> None:
    states = [{"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([3.0, 8.0])}]
    assert torch.equal(mean_weights(iter(states))["a"], torch.tensor([2.0, 5.0]))
    one = {"a": torch.tensor([0.1])}
    assert torch.equal(mean_weights([one] * 3)["a"], one["a"])


@pytest.mark.parametrize("build", [
    lambda: Transformer(11, 11, d_model=8, n_heads=2, n_layers=1, d_ff=8),
    lambda: Seq2Seq(RNNEncoder(11, 8), AttentionDecoder(11, 8)),
])
def test_one_matrix_serves_three_times(build: Callable[[], nn.Module]) -> None:
    model = build()
    before = sum(p.numel() for p in model.parameters())
    assert tie(model) is model
    assert sum(p.numel() for p in model.parameters()) == before - 2 * 11 * 8
    out = model.out if isinstance(model, Transformer) else model.decoder.out
    assert not out.bias.any()
    assert len({id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}) == 1


def test_the_systems_are_equally_large() -> None:
    sizes = [sum(p.numel() for p in m.parameters()) for m in three_systems(3000).values()]
    assert max(sizes) < 1.01 * min(sizes) and len(sizes) == 3


def test_smoothing_nothing_is_the_loss_of_lesson_04() -> None:
    logits, target = torch.randn(2, 4, 7), torch.randint(0, 7, (2, 4))
    torch.testing.assert_close(smoothed_loss(logits, target, 3, 0.0),
                               token_loss(logits, target, 3))


# ---- the nearest sentence ----


def test_the_nearest_sentence_shares_rare_words() -> None:
    train = [("a dog runs", "1"), ("a cat runs", "2"), ("a cat", "3"), ("a tree", "4")]
    lines = ["a cat", "the dog sleeps", "nothing known", ""]
    assert nearest_translations(train, lines) == ["3", "1", "", ""]
    assert nearest_translations([("a", "1"), ("a", "2")], ["a"], most=1) == [""]


# ---- the kept systems ----


def test_the_kept_systems_are_here() -> None:
    names = ("rnn", "rnn_attention", "transformer")
    assert KEPT == sorted([f"{name}_en_{target}.safetensors" for name in names
                           for target in ("de", "ja")] + ["words_en_de.safetensors"])


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_system_is_small_and_says_where_it_is_from(name: str) -> None:
    assert (PLACE / name).stat().st_size < 1_000_000
    card = checkpoint.read(PLACE / name)[1]["card"]
    assert card["command"] == "python -m tools.systems" and card["data"]
    assert len(card["valid"]) == card["epochs"] and card["valid, averaged"] < 4
    readme = (PLACE.parent / "README.md").read_text("utf-8")
    assert f"`12_translation/{name.removesuffix('.safetensors')}`" in readme


@pytest.mark.parametrize("pair", ["en-de", "en-ja"])
def test_the_attention_system_scores_what_the_lesson_prints(pair: str) -> None:
    source = Source(pair)
    if reason := available(source.name):
        pytest.skip(reason)
    cell = "table" if pair == "en-de" else "table-ja"
    (text,) = (c.text for path in lessons(which="12") for c in read(path) if c.id == cell)
    printed = re.search(r"(?m)^RNN, attention *BLEU (\d+\.\d)", text)
    assert printed, f"lesson 12 prints no score of the RNN with attention for {pair}"
    systems, _, subwords = load_systems(pair)
    lines, truth = map(list, zip(*source.pairs("test")[:500]))
    written = translate(systems["RNN, attention"], lines, subwords, subwords)
    score = float(bleu_line(written, truth, source.tokenize, 1).split()[1])
    assert score == pytest.approx(float(printed[1]), abs=0.3)


def test_subwords_begin_and_end_as_words_do() -> None:
    assert {BOS, EOS} < set(load_systems("en-de")[2].ids)

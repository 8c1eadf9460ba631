"""The probes of utils/probes.py find planted faults and let right models pass."""

import pytest
import torch
from torch import nn

from utils import probes
from utils.attention import GeneralScore, causal_mask, masked_softmax
from utils.probes import (
    at_rest,
    change,
    change_matrix,
    future_leak,
    neighbour_leak,
    neighbour_matrix,
    order_change,
    other_tokens,
    padding_leak,
    stepwise_difference,
)
from utils.recurrent import (
    AttentionDecoder,
    BahdanauDecoder,
    RNNDecoder,
    RNNEncoder,
    Seq2Seq,
)
from utils.transformer import LearnedPositions, Transformer

SRC_VOCAB, TGT_VOCAB, D_MODEL = 11, 13, 12
SRC_PAD, TGT_PAD = 0, 3
LIMIT = 1e-4


def batch():
    """Four sentences of 7, 5, 6 and 3 source words; the target pad id occurs in the source."""
    torch.manual_seed(1)
    src, tgt = torch.randint(1, SRC_VOCAB, (4, 7)), torch.randint(4, TGT_VOCAB, (4, 5))
    src_mask = torch.ones(4, 1, 7, dtype=torch.bool)
    for row, n in enumerate((7, 5, 6, 3)):
        src[row, n:], src_mask[row, :, n:] = SRC_PAD, False
    tgt[:, 0] = 0
    src[0, 2] = TGT_PAD
    return src, src_mask, tgt


def transformer(kind=Transformer, **kwargs):
    torch.manual_seed(0)
    return kind(SRC_VOCAB, TGT_VOCAB, **dict(
        d_model=D_MODEL, n_heads=3, n_layers=2, d_ff=20, dropout=0.3) | kwargs)


def rnn(decoder, encoder=RNNEncoder, **kwargs):
    torch.manual_seed(0)
    return Seq2Seq(encoder(SRC_VOCAB, D_MODEL, 0.3), decoder(TGT_VOCAB, D_MODEL, 0.3, **kwargs))


RIGHT = {
    "one vector": lambda: rnn(RNNDecoder),
    "attention": lambda: rnn(AttentionDecoder),
    "general": lambda: rnn(AttentionDecoder, score=GeneralScore(D_MODEL, D_MODEL)),
    "bahdanau": lambda: rnn(BahdanauDecoder),
    "pre-norm": transformer,
    "post-norm": lambda: transformer(pre_norm=False),
    "one layer": lambda: transformer(n_layers=1),
    "three layers": lambda: transformer(n_layers=3),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_models_pass(name):
    model = RIGHT[name]()
    for probe in (future_leak, padding_leak, neighbour_leak, stepwise_difference):
        assert probe(model, *batch()) < 1e-5, probe.__name__
    assert order_change(model, *batch()) > 1e-3


@pytest.mark.parametrize("name", RIGHT)
def test_right_models_read_what_they_may(name):
    model, (src, src_mask, tgt) = RIGHT[name](), batch()
    future = change_matrix(model, src, src_mask, tgt)
    assert future.shape == (4, 5, 5)
    assert future[:, causal_mask(5)].min() > 1e-4
    source = change_matrix(model, src, src_mask, tgt, of_src=True)
    assert source.shape == (4, 5, 7)
    assert source.masked_fill(~src_mask, 1).min() > 1e-6
    matrix = neighbour_matrix(model, src, src_mask, tgt)
    assert matrix.diagonal().min() > 1e-3
    assert matrix.fill_diagonal_(0).max() == 0


# ---- planted faults ----


def with_tgt_mask(make):
    """A Transformer whose decoder gets make(tgt_len) in place of the causal mask."""
    def plant():
        model = transformer()
        model.decoder.register_forward_pre_hook(
            lambda part, given: (*given[:2], make(given[0].size(1)), given[3]))
        return model
    return plant


def with_method(name, change_call, start=transformer):
    """A model of which one method is wrapped: change_call(model, method, *arguments)."""
    def plant():
        model = start()
        method = getattr(model, name)
        setattr(model, name, lambda *given, **named: change_call(model, method, *given, **named))
        return model
    return plant


def next_word_read(model, predict, tgt, memory, src_mask):
    return predict(tgt.roll(-1, dims=1), memory, src_mask)


def mean_over_time(model, forward, src, src_mask, tgt):
    logits = forward(src, src_mask, tgt)
    return logits + logits.mean(dim=1, keepdim=True)


def normed_over_time(model, forward, src, src_mask, tgt):
    logits = forward(src, src_mask, tgt)
    return (logits - logits.mean(dim=1, keepdim=True)) / logits.std(dim=1, keepdim=True)


def peeks_a_little(model, forward, src, src_mask, tgt):
    logits = forward(src, src_mask, tgt).clone()
    logits[:, 1, 5] += 1e-3 * tgt[:, 3]
    return logits


def no_mask(model, encode, src, src_mask):
    return encode(src, torch.ones_like(src_mask))


def queries_masked(model, encode, src, src_mask):
    return encode(src, src_mask.transpose(1, 2))


def mask_inverted(model, encode, src, src_mask):
    return encode(src, ~src_mask)


def other_pad_id(model, forward, src, src_mask, tgt):
    return forward(src, (src != TGT_PAD).unsqueeze(1), tgt)


def cross_unmasked(model, predict, tgt, memory, src_mask):
    return predict(tgt, memory, torch.ones_like(src_mask))


def mean_of_memory(model, encode, src, src_mask):
    memory = encode(src, src_mask)
    return memory + memory.mean(dim=1, keepdim=True)


def nan_for_nothing(model, forward, src, src_mask, tgt):
    """What -inf in a whole row does without the guard of masked_softmax."""
    scores = torch.zeros(src_mask.shape).masked_fill(~src_mask, -torch.inf)
    return forward(src, src_mask, tgt) + 0 * scores.softmax(-1).sum(-1, keepdim=True)


def batch_mean(model, encode, src, src_mask):
    memory = encode(src, src_mask)
    return memory - memory.mean(dim=0)


def first_sentence(model, encode, src, src_mask):
    memory = encode(src, src_mask)
    return memory + memory[:1]


class PositionByRow(nn.Module):
    """Positions counted along the batch."""

    def __init__(self, positions):
        super().__init__()
        self.table = positions.table

    def forward(self, x):
        return x + self.table[: len(x)].unsqueeze(1)


class OneForAll(PositionByRow):
    """The same vector at every position."""

    def forward(self, x):
        return x + self.table[:1]


class BatchNorm(nn.Module):
    """BatchNorm in place of the last LayerNorm, with the statistics of the batch."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(D_MODEL, track_running_stats=False)

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class SequenceFirst(nn.Module):
    """A GRU that takes the batch for the time."""

    def __init__(self, vocab_size, d_model, dropout):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.rnn = nn.GRU(d_model, d_model)

    def forward(self, src):
        return self.rnn(self.embedding(src))[0]


class LastOfAll(RNNDecoder):
    """Starts from output[:, -1], which may be a PAD's state."""

    def forward(self, tgt, memory, src_mask, state=None):
        return super().forward(tgt, memory, src_mask, memory[:, -1] if state is None else state)


class AddedMask(AttentionDecoder):
    """The mask added as 0 and 1: it prefers, it does not hide."""

    def forward(self, tgt, memory, src_mask, state=None):
        if state is None:
            state = torch.zeros(len(tgt), memory.size(-1))
        states, last = self.rnn(self.embedding(tgt), state.unsqueeze(0))
        weights = masked_softmax(self.score(states, memory) + src_mask)
        mixed = self.combine(torch.cat([weights @ memory, states], dim=-1)).tanh()
        return self.out(mixed), last.squeeze(0), weights


def with_part(where, make):
    """A Transformer with one part replaced."""
    def plant():
        model = transformer()
        owner = model.get_submodule(where.rpartition(".")[0])
        name = where.rpartition(".")[2]
        setattr(owner, name, make(getattr(owner, name)))
        return model
    return plant


def state_lost(model, decode, tgt, memory, src_mask, state=None, **named):
    return decode(tgt, memory, src_mask, None, **named)


def only_last_kept(model, decode, tgt, memory, src_mask, state=None, **named):
    logits, state, *rest = decode(tgt, memory, src_mask, state, **named)
    return (logits, state[:, -1:], *rest)


def state_turned(model, decode, tgt, memory, src_mask, state=None, **named):
    logits, state, *rest = decode(tgt, memory, src_mask, state, **named)
    return (logits, state.flip(1), *rest)


def start_repeated(model, decode, tgt, memory, src_mask, state=None, **named):
    logits, state, *rest = decode(tgt, memory, src_mask, state, **named)
    return (logits, torch.cat([state[:, :1], state], dim=1), *rest)


# name: (how to plant the fault, the probe made for it)
FAULTS = {
    "no causal mask": (with_tgt_mask(lambda n: None), future_leak),
    "causal mask off by one": (with_tgt_mask(
        lambda n: torch.ones(n, n, dtype=torch.bool).tril(1)), future_leak),
    "causal mask inverted (M4)": (with_tgt_mask(lambda n: ~causal_mask(n)), future_leak),
    "causal mask transposed": (with_tgt_mask(lambda n: causal_mask(n).T), future_leak),
    "target not shifted (M11)": (with_method("predict", next_word_read), future_leak),
    "mean over time": (with_method("forward", mean_over_time), future_leak),
    "norm over time (M7)": (with_method("forward", normed_over_time), future_leak),
    "a weak leak in one place": (with_method("forward", peeks_a_little), future_leak),
    "padding read in the encoder": (with_method("encode", no_mask), padding_leak),
    "queries masked (M3)": (with_method("encode", queries_masked), padding_leak),
    "padding mask inverted (M4)": (with_method("encode", mask_inverted), padding_leak),
    "the target's pad id (M17)": (with_method("forward", other_pad_id), padding_leak),
    "cross-attention unmasked": (with_method("predict", cross_unmasked), padding_leak),
    "mean over the source": (with_method("encode", mean_of_memory), padding_leak),
    "nan for padding alone (M14)": (with_method("forward", nan_for_nothing), padding_leak),
    "state of a PAD (M6)": (lambda: rnn(LastOfAll), padding_leak),
    "mask added": (lambda: rnn(AddedMask), padding_leak),
    "mean over the batch": (with_method("encode", batch_mean), neighbour_leak),
    "first sentence for all": (with_method("encode", first_sentence), neighbour_leak),
    "position by row (M8)": (with_part("src_embedding.positions", PositionByRow), neighbour_leak),
    "BatchNorm": (with_part("encoder.norm", lambda old: BatchNorm()), neighbour_leak),
    "batch taken for time": (lambda: rnn(AttentionDecoder, SequenceFirst), neighbour_leak),
    "state lost (M10)": (with_method("decode", state_lost), stepwise_difference),
    "only the last token kept": (with_method("decode", only_last_kept), stepwise_difference),
    "state turned round": (with_method("decode", state_turned), stepwise_difference),
    "positions not counted on (M10)": (with_method("decode", start_repeated), stepwise_difference),
    "an RNN without its state": (with_method(
        "decode", state_lost, lambda: rnn(AttentionDecoder)), stepwise_difference),
    "no positions": (with_part("src_embedding.positions", lambda old: nn.Identity()), order_change),
    "one position for all (M8)": (with_part("src_embedding.positions", OneForAll), order_change),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_by_its_own_probe(name):
    plant, probe = FAULTS[name]
    found = probe(plant(), *batch())
    assert found < LIMIT if probe is order_change else found > LIMIT


def test_learned_positions_pass_too():
    model = with_part("src_embedding.positions", lambda old: LearnedPositions(D_MODEL))()
    assert order_change(model, *batch()) > LIMIT
    assert neighbour_leak(model, *batch()) < LIMIT


# ---- what a probe leaves behind ----

PROBES = (change_matrix, future_leak, padding_leak, neighbour_matrix, neighbour_leak,
          order_change, stepwise_difference)


@pytest.mark.parametrize("probe", PROBES)
def test_mode_random_state_and_tokens_stay(probe):
    model, given = transformer(), batch()
    model.encoder.eval()                           # a mixed state, as when half is frozen
    modes = [part.training for part in model.modules()]
    copies = [tensor.clone() for tensor in given]
    random_state = torch.random.get_rng_state()
    first, second = probe(model, *given), probe(model, *given)
    assert torch.equal(torch.as_tensor(first), torch.as_tensor(second))
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert all(torch.equal(a, b) for a, b in zip(given, copies))
    assert torch.is_grad_enabled()


def test_all_comes_back_after_an_error_too():
    model = transformer().train()
    with pytest.raises(RuntimeError), at_rest(model):
        assert not model.training and not torch.is_grad_enabled()
        raise RuntimeError
    assert model.training and model.encoder.training and torch.is_grad_enabled()


def test_a_plain_function_is_a_model_too():
    table = torch.randn(TGT_VOCAB, 8)

    def right(src, src_mask, tgt):
        return table[tgt].cumsum(1)

    def leaks(src, src_mask, tgt):
        return table[tgt].flip(1).cumsum(1)

    assert future_leak(right, *batch()) == 0 and neighbour_leak(right, *batch()) == 0
    assert future_leak(leaks, *batch()) > 0.1


def test_other_tokens_are_others_that_occur():
    tokens = batch()[2]
    others = other_tokens(tokens)
    assert (others != tokens).all()
    assert set(others.unique().tolist()) <= set(tokens.unique().tolist())
    with pytest.raises(ValueError, match="two different"):
        other_tokens(torch.zeros(2, 3).long())


class MaskOnlyInEval(Transformer):
    def predict(self, tgt, memory, src_mask):
        past = None if self.training else causal_mask(tgt.size(1))
        return self.out(self.decoder(self.tgt_embedding(tgt), memory, past, src_mask))


class PaddingSeenInTraining(Transformer):
    def encode(self, src, src_mask):
        return super().encode(src, src_mask | self.training)


class BatchNormed(Transformer):
    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.norm = nn.BatchNorm1d(TGT_VOCAB)

    def forward(self, *given):
        return self.norm(super().forward(*given).transpose(1, 2)).transpose(1, 2)


@pytest.mark.parametrize("kind, probe", [
    (MaskOnlyInEval, future_leak), (PaddingSeenInTraining, padding_leak),
    (BatchNormed, neighbour_leak),
])
def test_a_fault_of_one_mode_only_is_found(kind, probe):
    model = transformer(kind)
    for training in (True, False):
        model.train(training)
        assert probe(model, *batch()) > 1e-3
    assert probe(transformer(), *batch()) < LIMIT


def test_buffers_and_rates_come_back():
    model = transformer(BatchNormed)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    neighbour_leak(model, *batch())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.3}


def test_a_banned_token_changes_nothing():
    class Banned(Transformer):
        def forward(self, *given):
            logits = super().forward(*given).clone()
            logits[..., 2] = -torch.inf
            return logits

    assert future_leak(transformer(Banned), *batch()) < LIMIT
    assert order_change(transformer(Banned), *batch()) > LIMIT
    assert padding_leak(transformer(Banned), *batch()) < LIMIT


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_an_infinite_change(value):
    before = torch.zeros(2, 3, 4)
    after = before.clone()
    after[1, 2, 0] = value
    expected = torch.zeros(2, 3)
    expected[1, 2] = torch.inf
    assert torch.equal(change(before, after), expected)
    same = expected if value != value else torch.zeros(2, 3)
    assert torch.equal(change(after, after), same)     # nan is never like itself


def test_one_sentence_without_padding():
    model, (src, src_mask, tgt) = transformer(), batch()
    one = src[:1], src_mask[:1], tgt[:1]
    for probe in (future_leak, padding_leak, neighbour_leak, stepwise_difference):
        assert probe(model, *one) < 1e-5


def test_every_probe_says_what_it_gives():
    assert all(getattr(probes, probe.__name__).__doc__ for probe in PROBES)

"""The probes of utils/probes.py find planted faults and let right models pass."""

import pytest
import torch
import torch.nn.functional as F
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


def test_every_probe_says_what_it_gives_and_what_it_cannot_see():
    assert all(getattr(probes, probe.__name__).__doc__ for probe in PROBES)
    for probe in (future_leak, padding_leak, neighbour_leak, order_change):
        assert "Not\n    seen" in probe.__doc__ or "Not seen" in probe.__doc__
    assert "gradients" in probes.__doc__


# ---- leaks that show for some tokens or some lengths alone ----

ABSENT = 12                             # a target token that the batch does not hold
ABSENT_SRC = 9


def small_batch():
    """Two sentences, the second with two padded places; few of the tokens stand in it."""
    src = torch.tensor([[2, 3, 4, 5], [3, 2, 1, 1]])
    src_mask = torch.tensor([[[True] * 4], [[True, True, False, False]]])
    return src, src_mask, torch.tensor([[0, 4, 5, 6], [0, 6, 4, 7]])


def leaky(leak, of_src=False):
    """A Transformer to whose logits (or memory) leak(tokens) is added, (batch, length)."""
    class Leaky(Transformer):
        def encode(self, src, src_mask):
            memory = super().encode(src, src_mask)
            return memory + 0.1 * leak(src, src_mask).unsqueeze(-1) if of_src else memory

        def predict(self, tgt, memory, src_mask):
            logits = super().predict(tgt, memory, src_mask)
            return logits if of_src else logits + 0.1 * leak(tgt).unsqueeze(-1)

    return transformer(Leaky)


def next_one(tgt):
    return F.pad(tgt[:, 1:], (0, 1))


SOME = {
    "a token that is not in the batch": (
        leaky(lambda tgt: (next_one(tgt) == ABSENT).float()), future_leak),
    "far ahead, a token that is not in the batch": (
        leaky(lambda tgt: (F.pad(tgt, (0, 3))[:, 3:4] == ABSENT).float()
              * (torch.arange(tgt.size(1)) == 0)), future_leak),
    "only where a token is read that is not in the batch": (
        leaky(lambda tgt: (tgt == ABSENT) * next_one(tgt).float()), future_leak),
    "only in a target of three tokens": (
        leaky(lambda tgt: next_one(tgt).float() * (tgt.size(1) == 3)), future_leak),
    "only in a target of four tokens": (
        leaky(lambda tgt: next_one(tgt).float() * (tgt.size(1) == 4)), future_leak),
    "the length of the target": (
        leaky(lambda tgt: torch.full(tgt.shape, float(tgt.size(1)))), future_leak),
    "padding that is not in the batch": (
        leaky(lambda src, mask: ((src == ABSENT_SRC) & ~mask[:, 0]).sum(1, True).float(), True),
        padding_leak),
    "the length of the source": (
        leaky(lambda src, mask: torch.full(src.shape, float(src.size(1))), True), padding_leak),
    "only in a source of two places": (
        leaky(lambda src, mask: torch.full(src.shape, float(src.size(1) == 2)), True),
        padding_leak),
}


@pytest.mark.parametrize("name", SOME)
def test_a_leak_for_some_tokens_or_lengths_is_found(name):
    model, probe = SOME[name]
    assert probe(model, *small_batch()) > 1e-2
    assert probe(transformer(), *small_batch()) < LIMIT


class TurnedPositions(Transformer):
    """Target positions counted from the end."""

    def predict(self, tgt, memory, src_mask):
        n, table = tgt.size(1), self.tgt_embedding.positions.table
        x = self.tgt_embedding.embedding(tgt) + table[:n].flip(0)
        return self.out(self.decoder(x, memory, causal_mask(n), src_mask))


def test_target_positions_turned_round_are_found():
    assert future_leak(transformer(TurnedPositions), *batch()) > 1e-2


def pooled(weights_of):
    """A function whose logits come from one mean of the source, weighted by weights_of(mask)."""
    generator = torch.Generator().manual_seed(0)
    rows, table = (torch.randn(n, 8, generator=generator) for n in (SRC_VOCAB, TGT_VOCAB))

    def model(src, src_mask, tgt):
        mean = weights_of(src_mask).to(rows) @ rows[src]        # (batch, 1, 8)
        return (table[tgt].cumsum(1) + 3 * mean) @ table.T
    return model


def share(mask, fill=-torch.inf):
    return torch.zeros(mask.shape).masked_fill(~mask, fill).softmax(-1).nan_to_num(0.0)


def test_an_empty_sentence_that_averages_its_padding_is_found():
    """With -1e9 in place of -inf all of an empty sentence's places weigh the same."""
    assert padding_leak(pooled(lambda mask: share(mask, -1e9)), *batch()) > 0.1
    found = padding_leak(pooled(lambda mask: share(mask, -1e9)), *batch())
    assert "sentence 0" in found.where and "empty sentence" in found.where
    assert padding_leak(pooled(share), *batch()) == 0


def test_a_bag_of_words_with_the_last_word_is_found():
    def last_counts_twice(mask):
        last = torch.arange(mask.size(-1)) == mask.sum(-1, keepdim=True) - 1
        return share(mask) + last.float()

    found = order_change(pooled(last_counts_twice), *batch())
    assert found < LIMIT and "words 0 and 1" in found.where
    turned = batch()[0].flip(1), batch()[1].flip(2), batch()[2]
    assert order_change(pooled(last_counts_twice), *turned) < LIMIT
    place = 1 / torch.arange(1, 8)
    assert order_change(pooled(lambda mask: mask * place), *batch()) > 1e-3


class Listed(Seq2Seq):
    """The state is a list of all tokens read; copied or changed in place."""

    in_place = False

    def decode(self, tgt, memory, src_mask, state=None):
        state = [] if state is None else state if self.in_place else [*state]
        state.append(tgt)
        logits, _ = super().decode(torch.cat(state, dim=1), memory, src_mask)
        return logits[:, -tgt.size(1):], state


def test_a_state_that_is_changed_in_place_is_found():
    torch.manual_seed(0)
    model = Listed(RNNEncoder(SRC_VOCAB, D_MODEL), RNNDecoder(TGT_VOCAB, D_MODEL))
    assert stepwise_difference(model, *batch()) < LIMIT
    model.in_place = True
    found = stepwise_difference(model, *batch())
    assert found > 1e-2 and "taken again" in found.where


# ---- dropout, however it is written ----


class Dropped(Transformer):
    """A right model with one more dropout, which is no module with a rate that torch knows."""

    kind = None

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.p = 0.4
        self.gru = nn.GRU(D_MODEL, D_MODEL, 2, batch_first=True, dropout=0.4)
        self.attention = nn.MultiheadAttention(D_MODEL, 3, dropout=0.4, batch_first=True)

    def encode(self, src, src_mask):
        x = super().encode(src, src_mask)
        if not self.training:
            return x
        if self.kind == "functional":
            return F.dropout(x, self.p)
        if self.kind == "torch":
            return torch.dropout(x, self.p, self.training)
        if self.kind == "in place":
            return F.dropout(x, self.p, inplace=True)
        if self.kind == "by hand":
            return x * (torch.rand_like(x) > self.p) / (1 - self.p)
        if self.kind == "words":
            return F.dropout1d(x, self.p)
        if self.kind == "attention":
            return F.scaled_dot_product_attention(x, x, x, src_mask, dropout_p=self.p)
        if self.kind == "module":
            return self.attention(x, x, x, key_padding_mask=~src_mask[:, 0])[0].nan_to_num(0.0)
        return self.gru(x)[0]


@pytest.mark.parametrize("kind", ["functional", "torch", "in place", "by hand", "words",
                                  "attention", "module", "gru"])
def test_dropout_of_any_kind_is_no_leak(kind):
    model = transformer(Dropped)
    model.kind = kind
    given = batch() if kind != "attention" else tuple(x[:1] for x in batch())
    for probe in (future_leak, neighbour_leak, stepwise_difference):
        assert probe(model, *given) < LIMIT, probe.__name__
    assert order_change(model, *given) > LIMIT
    rates = {part.p for part in model.modules() if isinstance(part, nn.Dropout)}
    assert (rates, model.p, model.gru.dropout, model.attention.dropout) == ({0.3}, *3 * [0.4])


# ---- what must not alarm, nor break ----


def one_word():
    """One sentence of one word."""
    return torch.tensor([[4]]), torch.ones(1, 1, 1, dtype=torch.bool), torch.tensor([[0, 5]])


def only_bos():
    src, src_mask, tgt = batch()
    return src, src_mask, torch.zeros_like(tgt)


@pytest.mark.parametrize("given", [one_word, only_bos])
def test_nothing_to_exchange_is_no_fault(given):
    for model in (transformer(), rnn(AttentionDecoder)):
        for probe in (future_leak, padding_leak, neighbour_leak, stepwise_difference):
            assert probe(model, *given()) < LIMIT, probe.__name__
        assert order_change(model, *given()) > LIMIT
    leak = with_tgt_mask(lambda n: None)()
    assert future_leak(leak, *given()) > LIMIT         # and a fault is seen there too
    assert "no sentence has two" in str(order_change(transformer(), *one_word()))


def test_a_table_as_long_as_the_source_says_what_was_not_tried():
    def plant(fault):
        model = fault()
        for part, n in ((model.src_embedding, 7), (model.tgt_embedding, 5)):
            part.positions = LearnedPositions(D_MODEL, max_len=n)
        return model

    found = padding_leak(plant(transformer), *batch())
    assert found < LIMIT and found.untried == ("with a longer source",)
    assert "not tried: with a longer source" in str(found)
    assert padding_leak(plant(with_method("encode", no_mask)), *batch()) > LIMIT
    assert future_leak(plant(transformer), *batch()) < LIMIT


class Packed(RNNEncoder):
    """A packed sequence refuses an empty sentence."""

    def forward(self, src):
        lengths = (src != SRC_PAD).sum(1)
        x = nn.utils.rnn.pack_padded_sequence(
            self.embedding(src), lengths, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(
            self.rnn(x)[0], batch_first=True, total_length=src.size(1))[0]


def test_packed_sequences_and_a_model_that_masks_by_its_pad_id():
    """src holds other real tokens than the pad id; with pad_id nothing else stands in padding."""
    src, src_mask, tgt = batch()
    src = src.masked_fill(~src_mask[:, 0], SRC_PAD)
    found = padding_leak(rnn(AttentionDecoder, Packed), src, src_mask, tgt, pad_id=SRC_PAD)
    assert found < LIMIT and "beside an empty sentence" in found.untried
    own_mask = with_method("forward", lambda model, forward, src, mask, tgt: forward(
        src, (src != SRC_PAD).unsqueeze(1), tgt))()
    assert padding_leak(own_mask, src, src_mask, tgt, pad_id=SRC_PAD) < LIMIT
    assert padding_leak(own_mask, src, src_mask, tgt) > LIMIT
    blind = with_method("encode", no_mask)()
    assert padding_leak(blind, src, src_mask, tgt, pad_id=SRC_PAD) > LIMIT


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_rounding_is_no_leak_and_a_leak_is_found_in_any_precision(dtype):
    for make in (transformer, lambda: rnn(AttentionDecoder), lambda: rnn(RNNDecoder)):
        for probe in (future_leak, padding_leak, neighbour_leak, stepwise_difference):
            assert probe(make().to(dtype), *batch()) < LIMIT, probe.__name__
        assert order_change(make().to(dtype), *batch()) > LIMIT or dtype != torch.float64
    for plant, probe in (FAULTS["no causal mask"], FAULTS["cross-attention unmasked"],
                         FAULTS["mean over the batch"], FAULTS["state lost (M10)"]):
        assert probe(plant().to(dtype), *batch()) > LIMIT


def banned(model, value):
    forward = model.forward

    def ban(*given):
        logits = forward(*given).clone()
        logits[..., 2] = value
        return logits
    model.forward = ban
    return model


@pytest.mark.parametrize("value", [-torch.inf, -6e4, -1e4])
def test_a_banned_token_hides_nothing(value):
    for dtype in (torch.float32, torch.float16):
        assert future_leak(banned(transformer(), value).to(dtype), *batch()) < LIMIT
        assert neighbour_leak(banned(transformer(), value).to(dtype), *batch()) < LIMIT
        leak = banned(with_tgt_mask(lambda n: None)(), value).to(dtype)
        assert future_leak(leak, *batch()) > LIMIT
    assert order_change(banned(FAULTS["no positions"][0](), value), *batch()) < LIMIT


def test_large_logits_are_no_leak():
    model = with_method("forward", lambda model, forward, *given: 2000 * forward(*given))()
    for probe in (future_leak, padding_leak, neighbour_leak):
        assert probe(model, *batch()) < LIMIT, probe.__name__


class Normed(Transformer):
    """BatchNorm over the words of a batch, which refuses one word alone in training mode."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.norm = nn.BatchNorm1d(TGT_VOCAB)

    def forward(self, *given):
        logits = super().forward(*given)
        return self.norm(logits.flatten(0, 1)).view_as(logits)


def test_a_model_that_refuses_a_sentence_alone_is_one_that_needs_neighbours():
    src, src_mask, tgt = batch()
    found = neighbour_leak(transformer(Normed), src, src_mask, tgt[:, :1])
    assert found == torch.inf and "training mode" in found.where
    assert neighbour_leak(transformer(Normed).eval(), src, src_mask, tgt[:, :1]) == torch.inf


# ---- where it is ----


def test_a_probe_says_where_the_leak_is():
    found = future_leak(with_method("forward", peeks_a_little)(), *batch())
    assert "logits at 1 move" in found.where and "target token 3" in found.where
    assert isinstance(found, float) and f"{found:.1e}" == f"{float(found):.1e}"
    assert "logits at 1" in str(found) and "logits at 1" in f"{found}"
    assert str(future_leak(transformer(), *batch())) == "0 (nowhere)"
    padding = padding_leak(with_method("encode", no_mask)(), *batch())
    assert "eval mode, sentence" in padding.where
    training = future_leak(transformer(MaskOnlyInEval), *batch())
    assert "training mode" in training.where
    alone = neighbour_leak(with_method("encode", first_sentence)(), *batch())
    assert "when it stands alone" in alone.where

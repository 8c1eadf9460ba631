"""utils/recurrent.py."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from utils.attention import AdditiveScore, DotScore, GeneralScore
from utils.recurrent import (
    AttentionDecoder,
    BahdanauDecoder,
    BidirectionalLayer,
    CharacterModel,
    GRUCell,
    LSTMCell,
    RecurrentLayer,
    RNNCell,
    RNNDecoder,
    RNNEncoder,
    Seq2Seq,
    copy_weights,
    flip_rows,
    last_state,
)
from utils.text import padding_mask

# ---- last_state (notebook 03) ----


@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(1, 5))
def test_last_state_is_the_state_after_the_last_token(lengths: list[int], d_model: int) -> None:
    seq_len = max([1, *lengths])
    states = torch.randn(len(lengths), seq_len, d_model)
    mask = (torch.arange(seq_len) < torch.tensor(lengths)[:, None]).unsqueeze(1)
    result = last_state(states, mask)
    assert tuple(result.shape) == (len(lengths), d_model)
    for row, length in enumerate(lengths):
        expected = states[row, length - 1] if length else torch.zeros(d_model)
        assert torch.equal(result[row], expected)


def test_last_state_equals_a_packed_run() -> None:
    torch.manual_seed(0)
    gru = nn.GRU(4, 6, batch_first=True).double()
    embedded = torch.randn(3, 7, 4).double()
    lengths = torch.tensor([5, 7, 2])
    mask = (torch.arange(7) < lengths[:, None]).unsqueeze(1)
    packed = nn.utils.rnn.pack_padded_sequence(
        embedded, lengths, batch_first=True, enforce_sorted=False
    )
    wanted = gru(packed)[1].squeeze(0)
    torch.testing.assert_close(last_state(gru(embedded)[0], mask), wanted, rtol=0, atol=1e-12)


def test_last_state_passes_gradients_to_the_last_token_alone() -> None:
    states = torch.randn(3, 5, 2, requires_grad=True)
    mask = (torch.arange(5) < torch.tensor([5, 2, 0])[:, None]).unsqueeze(1)
    last_state(states, mask).sum().backward()
    touched = states.grad.abs().sum(-1) > 0
    assert touched.nonzero().tolist() == [[0, 4], [1, 1]]

# ---- the cells, the layer, the character model (notebooks 01 and 02) ----

# torch's cell and layer beside ours, with what their state looks like
PAIRS = {
    "rnn": (nn.RNNCell, nn.RNN, RNNCell),
    "lstm": (nn.LSTMCell, nn.LSTM, LSTMCell),
    "gru": (nn.GRUCell, nn.GRU, GRUCell),
}
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}


def gap(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference between two tensors of one shape."""
    assert ours.shape == theirs.shape
    return (ours - theirs).abs().max().item()


def gradients(loss: torch.Tensor, module: nn.Module) -> list[torch.Tensor]:
    """The gradients of a module's weights, in the order w_ih, w_hh, b_ih, b_hh."""
    named = dict(module.named_parameters())
    order = ["input_map.weight", "state_map.weight", "input_map.bias", "state_map.bias"]
    ours = [name for end in order for name in named if name.endswith(end)]
    return list(torch.autograd.grad(loss, [named[name] for name in ours or named]))


def parts(state) -> list[torch.Tensor]:
    """A state as a list: an LSTM keeps two vectors, the others one."""
    return list(state) if isinstance(state, tuple) else [state]


SIZES = {
    "batch": st.integers(1, 4), "seq_len": st.integers(1, 7),
    "d_input": st.integers(1, 5), "d_hidden": st.integers(1, 6),
}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("kind", PAIRS)
@settings(max_examples=12)
@given(**SIZES)
def test_cell_equals_torch(
    kind: str, dtype: torch.dtype, batch: int, seq_len: int, d_input: int, d_hidden: int
) -> None:
    torch.manual_seed(batch + 10 * seq_len + 100 * d_input)
    theirs = PAIRS[kind][0](d_input, d_hidden).to(dtype)
    ours = PAIRS[kind][2](d_input, d_hidden).to(dtype)
    copy_weights(ours, theirs)
    x = torch.randn(batch, d_input, dtype=dtype)
    state = torch.randn(batch, d_hidden, dtype=dtype)
    state = (state, torch.randn_like(state)) if kind == "lstm" else state
    for given_state in (None, state):
        wanted = parts(theirs(x, given_state))
        output, new = ours(x, given_state)
        assert gap(output, wanted[0]) < TOLERANCE[dtype]
        for part, want in zip(parts(new), wanted, strict=True):
            assert gap(part, want) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("kind", PAIRS)
@settings(max_examples=12)
@given(**SIZES)
def test_layer_equals_torch_in_outputs_and_gradients(
    kind: str, dtype: torch.dtype, batch: int, seq_len: int, d_input: int, d_hidden: int
) -> None:
    torch.manual_seed(batch + 10 * seq_len + 100 * d_hidden)
    theirs = PAIRS[kind][1](d_input, d_hidden, batch_first=True).to(dtype)
    ours = RecurrentLayer(PAIRS[kind][2](d_input, d_hidden)).to(dtype)
    copy_weights(ours.cell, theirs, suffix="_l0")
    x = torch.randn(batch, seq_len, d_input, dtype=dtype)
    (outputs, state), (wanted, last) = ours(x), theirs(x)
    assert gap(outputs, wanted) < TOLERANCE[dtype]
    for part, want in zip(parts(state), parts(last), strict=True):
        assert gap(part, want.squeeze(0)) < TOLERANCE[dtype]
    direction = torch.randn_like(wanted)
    pairs = zip(
        gradients((outputs * direction).mean(), ours),
        gradients((wanted * direction).mean(), theirs),
        strict=True,
    )
    assert max(gap(a, b) for a, b in pairs) < TOLERANCE[dtype]


@pytest.mark.parametrize("kind", PAIRS)
def test_layer_goes_on_from_a_state(kind: str) -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(PAIRS[kind][2](3, 4))
    x = torch.randn(2, 7, 3)
    first, state = layer(x[:, :3])
    second, _ = layer(x[:, 3:], state)
    assert torch.equal(torch.cat([first, second], dim=1), layer(x)[0])


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("shape", [(2, 5), (1, 4), (3, 4), (4,), (1, 2, 4)])
def test_a_state_of_another_shape_is_refused(kind: str, shape: tuple[int, ...]) -> None:
    cell, state = PAIRS[kind][2](3, 4), torch.zeros(shape)
    state = (state, state) if kind == "lstm" else state
    with pytest.raises(ValueError, match=r"want a state \(batch, d_hidden\) = \(2, 4\)"):
        cell(torch.zeros(2, 3), state)


def test_an_empty_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="the sequence is empty"):
        RecurrentLayer(RNNCell(3, 4))(torch.zeros(2, 0, 3))


def test_character_model_reads_one_letter_at_a_time_or_all() -> None:
    torch.manual_seed(0)
    model = CharacterModel(5, RNNCell(5, 6))
    ids = torch.randint(5, (2, 7))
    logits, last = model(ids)
    assert tuple(logits.shape) == (2, 7, 5)
    state = None
    for t in range(7):
        step, state = model(ids[:, t : t + 1], state)
        torch.testing.assert_close(step[:, 0], logits[:, t])
    assert torch.equal(state, last)


def test_character_model_does_not_see_later_letters() -> None:
    torch.manual_seed(0)
    model = CharacterModel(5, RNNCell(5, 6))
    ids = torch.randint(5, (2, 7))
    changed = ids.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 5
    before, after = model(ids)[0], model(changed)[0]
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] != after[:, 4:]).any(dim=-1).all()


# ---- both directions (notebook 02) ----

LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=5)


@given(LENGTHS, st.integers(0, 3))
def test_flip_rows_turns_the_real_steps_alone(lengths: list[int], more: int) -> None:
    seq_len = max(lengths) + more
    x = torch.arange(len(lengths) * seq_len * 2).reshape(len(lengths), seq_len, 2)
    flipped = flip_rows(x, torch.tensor(lengths))
    for row, (before, after) in enumerate(zip(x, flipped, strict=True)):
        n = lengths[row]
        assert torch.equal(after[:n], before[:n].flip(0))
        assert torch.equal(after[n:], before[n:])
    assert torch.equal(flip_rows(flipped, torch.tensor(lengths)), x)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("kind", PAIRS)
@settings(max_examples=12)
@given(LENGTHS)
def test_bidirectional_layer_equals_torch_on_a_packed_batch(
    kind: str, dtype: torch.dtype, lengths: list[int]
) -> None:
    torch.manual_seed(len(lengths) + 10 * lengths[0])
    theirs = PAIRS[kind][1](3, 4, batch_first=True, bidirectional=True).to(dtype)
    ours = BidirectionalLayer(PAIRS[kind][2](3, 4), PAIRS[kind][2](3, 4)).to(dtype)
    copy_weights(ours.forward_layer.cell, theirs, "_l0")
    copy_weights(ours.backward_layer.cell, theirs, "_l0_reverse")
    x, sizes = torch.randn(len(lengths), max(lengths), 3, dtype=dtype), torch.tensor(lengths)
    packed = nn.utils.rnn.pack_padded_sequence(x, sizes, batch_first=True, enforce_sorted=False)
    states, last = theirs(packed)
    wanted, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
    outputs, final = ours(x, sizes)
    real = (torch.arange(max(lengths)) < sizes[:, None]).unsqueeze(-1)
    assert gap(outputs * real, wanted) < TOLERANCE[dtype]
    assert gap(final, torch.cat([*parts(last)[0]], dim=-1)) < TOLERANCE[dtype]


def test_bidirectional_gradients_equal_torch() -> None:
    torch.manual_seed(0)
    theirs = nn.GRU(3, 4, batch_first=True, bidirectional=True).double()
    ours = BidirectionalLayer(GRUCell(3, 4), GRUCell(3, 4)).double()
    copy_weights(ours.forward_layer.cell, theirs, "_l0")
    copy_weights(ours.backward_layer.cell, theirs, "_l0_reverse")
    x = torch.randn(2, 7, 3).double()
    direction = torch.randn(2, 7, 8).double()
    (theirs(x)[0] * direction).sum().backward()
    (ours(x)[0] * direction).sum().backward()
    for layer, end in ((ours.forward_layer, "_l0"), (ours.backward_layer, "_l0_reverse")):
        weight = getattr(theirs, f"weight_hh{end}")
        assert gap(layer.cell.state_map.weight.grad, weight.grad) < 1e-12
        bias = getattr(theirs, f"bias_ih{end}")
        assert gap(layer.cell.input_map.bias.grad, bias.grad) < 1e-12


def test_padding_does_not_reach_the_real_steps_of_both_directions() -> None:
    torch.manual_seed(0)
    layer = BidirectionalLayer(LSTMCell(3, 4), LSTMCell(3, 4))
    x, lengths = torch.randn(2, 7, 3), torch.tensor([7, 4])
    changed = x.clone()
    changed[1, 4:] = 100.0
    (before, first), (after, second) = layer(x, lengths), layer(changed, lengths)
    assert torch.equal(before[0], after[0]) and torch.equal(before[1, :4], after[1, :4])
    assert torch.equal(first, second)
    alone, last = layer(x[1:, :4])
    torch.testing.assert_close(before[1:, :4], alone)
    torch.testing.assert_close(first[1:], last)


def test_both_directions_refuse_an_empty_sequence() -> None:
    with pytest.raises(ValueError, match="the sequence is empty"):
        BidirectionalLayer(GRUCell(3, 4), GRUCell(3, 4))(torch.zeros(2, 0, 3))


# ---- encoder-decoder (notebooks 04 and 05) ----

BATCH, SRC_LEN, TGT_LEN, D_MODEL, SRC_SIZE, TGT_SIZE, PAD = 2, 7, 5, 4, 13, 11, 3
SCORES = {
    "dot": DotScore,
    "general": lambda: GeneralScore(D_MODEL, D_MODEL),
    "additive": lambda: AdditiveScore(D_MODEL, D_MODEL, 6),
}


def made_up_model(kind: str, seed: int = 0, dropout: float = 0.0) -> Seq2Seq:
    """A model whose decoder is "rnn", "bahdanau", or attention with the score of that name."""
    torch.manual_seed(seed)
    encoder = RNNEncoder(SRC_SIZE, D_MODEL, dropout)
    if kind in SCORES:
        decoder = AttentionDecoder(TGT_SIZE, D_MODEL, dropout, SCORES[kind]())
    else:
        made = {"rnn": RNNDecoder, "bahdanau": BahdanauDecoder}[kind]
        decoder = made(TGT_SIZE, D_MODEL, dropout)
    return Seq2Seq(encoder, decoder).double()


def made_up_pair(*lengths: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random source rows of these lengths, their mask, and random target rows."""
    src = torch.randint(4, SRC_SIZE, (len(lengths), max([1, *lengths])))
    src[torch.arange(src.size(1)) >= torch.tensor(lengths)[:, None]] = PAD
    tgt = torch.randint(TGT_SIZE, (len(lengths), TGT_LEN))
    return src, padding_mask(src, PAD), tgt


def near(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal up to the rounding of double precision, which depends on the size of the batch."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


LOOKING = [*SCORES, "bahdanau"]
KINDS = ["rnn", *LOOKING]
ROWS = st.lists(st.integers(0, 6), min_size=1, max_size=4)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_of_encoder_and_decoder(kind: str) -> None:
    model, (src, mask, tgt) = made_up_model(kind), made_up_pair(SRC_LEN, 3)
    memory = model.encode(src, mask)
    assert tuple(memory.shape) == (BATCH, SRC_LEN, D_MODEL)
    logits, state = model.decode(tgt, memory, mask)
    assert tuple(logits.shape) == (BATCH, TGT_LEN, TGT_SIZE)
    assert tuple(state.shape) == (BATCH, D_MODEL)
    assert torch.equal(model(src, mask, tgt), logits)
    if kind != "rnn":
        again, last, weights = model.decode(tgt, memory, mask, need_weights=True)
        assert tuple(weights.shape) == (BATCH, TGT_LEN, SRC_LEN)
        assert torch.equal(again, logits) and torch.equal(last, state)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(lengths=ROWS, more=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_more_padding_moves_no_logits(
    kind: str, lengths: list[int], more: int, seed: int
) -> None:
    model, (src, mask, tgt) = made_up_model(kind, seed), made_up_pair(*lengths)
    wider = torch.cat([src, torch.full((len(src), more), PAD)], dim=1)
    near(model(wider, padding_mask(wider, PAD), tgt), model(src, mask, tgt))


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_the_padding_does_not_count(kind: str) -> None:
    model, (src, mask, tgt) = made_up_model(kind), made_up_pair(SRC_LEN, 3)
    other = src.clone()
    other[1, 3:] = torch.tensor([4, 9, 12, 5])
    assert torch.equal(model(other, mask, tgt), model(src, mask, tgt))
    real = src.clone()
    real[1, 2] = 4 + (src[1, 2] - 3) % 9
    moved = (model(real, mask, tgt) != model(src, mask, tgt)).any(dim=-1)
    assert not moved[0].any() and moved[1].all()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(lengths=ROWS, seed=st.integers(0, 10**6))
def test_a_sentence_does_not_depend_on_its_neighbours(
    kind: str, lengths: list[int], seed: int
) -> None:
    model, (src, mask, tgt) = made_up_model(kind, seed), made_up_pair(*lengths)
    together = model(src, mask, tgt)
    for row, length in enumerate(lengths):
        one = slice(row, row + 1), slice(max(1, length))
        near(together[one[0]], model(src[one], mask[one[0], :, one[1]], tgt[one[0]]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", range(TGT_LEN))
def test_a_later_target_token_moves_no_earlier_logits(kind: str, place: int) -> None:
    model, (src, mask, tgt) = made_up_model(kind), made_up_pair(SRC_LEN, 3)
    other = tgt.clone()
    other[:, place] = (tgt[:, place] + 1) % TGT_SIZE
    before, after = model(src, mask, tgt), model(src, mask, other)
    assert torch.equal(before[:, :place], after[:, :place])
    assert (before[:, place:] != after[:, place:]).any(dim=-1).all()


def looked(model: Seq2Seq, memory, mask, tgt, state=None) -> torch.Tensor:
    """The attention weights of a decoder, (batch, tgt_len, src_len)."""
    return model.decode(tgt, memory, mask, state, need_weights=True)[2]


@pytest.mark.parametrize("kind", LOOKING)
@settings(max_examples=10)
@given(lengths=ROWS, seed=st.integers(0, 10**6))
def test_attention_weights_are_shares_of_the_real_tokens(
    kind: str, lengths: list[int], seed: int
) -> None:
    model, (src, mask, tgt) = made_up_model(kind, seed), made_up_pair(*lengths)
    weights = looked(model, model.encode(src, mask), mask, tgt)
    hidden = ~mask.expand_as(weights)
    assert (weights[hidden] == 0).all() and (weights[~hidden] > 0).all()
    wanted = (torch.tensor(lengths) > 0).double()[:, None].expand(-1, TGT_LEN)
    near(weights.sum(-1), wanted)


@pytest.mark.parametrize("kind", LOOKING)
def test_attention_weights_move_with_the_encoder_states(kind: str) -> None:
    """A decoder that scores without looking at the states gives each place its old weight."""
    model, (_, mask, tgt) = made_up_model(kind), made_up_pair(SRC_LEN, 3)
    memory = torch.randn(BATCH, SRC_LEN, D_MODEL).double()
    order = torch.tensor([[4, 6, 0, 2, 5, 1, 3], [2, 0, 1, 3, 4, 5, 6]])
    moved = memory.gather(1, order[:, :, None].expand(-1, -1, D_MODEL))
    start = last_state(memory, mask)
    before = looked(model, memory, mask, tgt, start)
    after = looked(model, moved, mask, tgt, start)
    near(after, before.gather(2, order[:, None, :].expand(-1, TGT_LEN, -1)))
    assert (after - before).abs().amax(dim=-1).min() > 1e-3
    logits = [model.decode(tgt, m, mask, start)[0] for m in (memory, moved)]
    near(*logits)


@pytest.mark.parametrize("kind", LOOKING)
def test_attention_depends_on_the_target_words(kind: str) -> None:
    model, (_, mask, tgt) = made_up_model(kind), made_up_pair(SRC_LEN, 3)
    memory = torch.randn(BATCH, SRC_LEN, D_MODEL).double()
    first, second = (looked(model, memory, mask, t) for t in (tgt, (tgt + 1) % TGT_SIZE))
    changed = (first != second).any(dim=-1)
    asks_first = kind == "bahdanau"      # its first weights come from the state before any word
    assert changed[:, 1:].all() and changed[:, 0].all() != asks_first


@pytest.mark.parametrize("kind", LOOKING)
def test_one_source_word_gets_all_the_weight(kind: str) -> None:
    model, (src, mask, tgt) = made_up_model(kind), made_up_pair(1, 1)
    assert torch.equal(looked(model, model.encode(src, mask), mask, tgt), torch.ones(2, 5, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_of_padding_only_stays_finite(kind: str) -> None:
    model, (src, mask, tgt) = made_up_model(kind), made_up_pair(SRC_LEN, 0)
    logits = model(src, mask, tgt)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    if kind != "rnn":
        assert not looked(model, model.encode(src, mask), mask, tgt)[1].any()


def test_weights_of_a_decoder_without_attention_are_refused() -> None:
    model, (src, mask, tgt) = made_up_model("rnn"), made_up_pair(SRC_LEN, 3)
    with pytest.raises(ValueError, match="this decoder has no attention, so no weights"):
        model.decode(tgt, model.encode(src, mask), mask, need_weights=True)


def moved_by_the_memory(kind: str, row: int, place: int) -> bool:
    """Whether the logits of a row change with one state of its memory."""
    model, (src, mask, tgt) = made_up_model(kind), made_up_pair(SRC_LEN, 3)
    memory = model.encode(src, mask).detach()
    other = memory.clone()
    other[row, place] += 0.5
    before, after = (model.decode(tgt, m, mask)[0] for m in (memory, other))
    assert torch.equal(before[1 - row], after[1 - row])
    return not torch.equal(before[row], after[row])


@pytest.mark.parametrize("row, length", [(0, SRC_LEN), (1, 3)])
def test_without_attention_the_last_real_state_is_all_that_is_read(row: int, length: int) -> None:
    places = range(SRC_LEN)
    read = [moved_by_the_memory("rnn", row, place) for place in places]
    assert read == [place == length - 1 for place in places]
    for kind in LOOKING:
        read = [moved_by_the_memory(kind, row, place) for place in places]
        assert read == [place < length for place in places]


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_starts_from_the_last_state_unless_told(kind: str) -> None:
    model, (src, mask, tgt) = made_up_model(kind), made_up_pair(SRC_LEN, 3)
    memory = model.encode(src, mask)
    start = last_state(memory, mask)
    logits, _ = model.decode(tgt, memory, mask)
    assert torch.equal(model.decode(tgt, memory, mask, start)[0], logits)
    assert not torch.equal(model.decode(tgt, memory, mask, start + 1)[0], logits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(BATCH, D_MODEL + 1), (BATCH, 1), (BATCH + 1, D_MODEL)])
def test_a_decoder_refuses_a_state_of_another_shape(kind: str, shape: tuple[int, int]) -> None:
    model, (src, mask, tgt) = made_up_model(kind), made_up_pair(SRC_LEN, 3)
    with pytest.raises((RuntimeError, ValueError)):
        model.decode(tgt, model.encode(src, mask), mask, torch.zeros(shape).double())


def test_luongs_order_by_hand() -> None:
    """Step, look, mix: one word of one sentence, with the parts of the decoder."""
    model, (src, mask, tgt) = made_up_model("dot"), made_up_pair(4)
    decoder, memory = model.decoder, model.encode(src, mask)
    _, state = decoder.rnn(decoder.embedding(tgt[:, :1]), memory[:, -1:].transpose(0, 1))
    new = state[0, 0]
    weights = (memory[0] @ new / D_MODEL**0.5).softmax(0)
    context = weights @ memory[0]
    mixed = torch.tanh(decoder.combine.weight @ torch.cat([context, new]) + decoder.combine.bias)
    logits, _, got = model.decode(tgt, memory, mask, need_weights=True)
    near(got[0, 0], weights)
    near(logits[0, 0], decoder.out.weight @ mixed + decoder.out.bias)


def test_bahdanaus_order_by_hand() -> None:
    """Look, step: the old state asks, and the context enters the step."""
    model, (src, mask, tgt) = made_up_model("bahdanau"), made_up_pair(4)
    decoder, memory = model.decoder, model.encode(src, mask)
    old, part = memory[0, -1], decoder.score
    asked = part.query_map.weight @ old
    scores = [part.v.weight @ torch.tanh(asked + part.key_map.weight @ key) for key in memory[0]]
    weights = torch.cat(scores).softmax(0)
    context = weights @ memory[0]
    new = decoder.rnn(torch.cat([decoder.embedding(tgt[0, 0]), context])[None], old[None])[0]
    logits, _, got = model.decode(tgt, memory, mask, need_weights=True)
    near(got[0, 0], weights)
    near(logits[0, 0], decoder.out.weight @ torch.cat([new, context]) + decoder.out.bias)


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_of_a_model_has_a_gradient(kind: str) -> None:
    model, (src, mask, tgt) = made_up_model(kind), made_up_pair(SRC_LEN, 3)
    model(src, mask, tgt).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_acts_in_training_alone(kind: str) -> None:
    model, (src, mask, tgt) = made_up_model(kind, dropout=0.5), made_up_pair(SRC_LEN, 3)
    assert not torch.equal(model(src, mask, tgt), model(src, mask, tgt))
    model.eval()
    assert torch.equal(model(src, mask, tgt), model(src, mask, tgt))
    assert torch.equal(model(src, mask, tgt), made_up_model(kind)(src, mask, tgt))

"""The definitions of utils/transformer.py."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from utils.attention import MultiHeadAttention, causal_mask, scaled_dot_product_attention
from utils.decoding import beam_search, greedy_decode, sample_decode
from utils.probes import load_from_torch, torch_weights
from utils.text import padding_mask
from utils.transformer import (
    Decoder,
    DecoderLayer,
    Encoder,
    EncoderLayer,
    LayerNorm,
    TokenEmbedding,
    Transformer,
    looks_of,
)

SIZES = st.integers(1, 4)
NEAR = {torch.float32: 1e-5, torch.float64: 1e-10}

# --- lesson 11: the layers and stacks equal torch's -----------------------------------------


def some_input(dtype, seq_len=5, src_len=7, d_model=12):
    torch.manual_seed(1)
    x = torch.randn(2, seq_len, d_model, dtype=dtype, requires_grad=True)
    memory = torch.randn(2, src_len, d_model, dtype=dtype, requires_grad=True)
    src_mask = torch.ones(2, 1, src_len, dtype=torch.bool)
    src_mask[1, :, 4:] = False
    return x, memory, src_mask


def unlike_one(part):
    """Gains and biases that are not 1 and 0, so that a lost norm shows."""
    torch.manual_seed(2)
    for module in part.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return part


class Gradients:
    """A module's gradients, under the names of its weights."""

    def __init__(self, part):
        self.part = part

    def named_parameters(self):
        return ((name, weight.grad) for name, weight in self.part.named_parameters())


def assert_equal_to_torch(ours, theirs, our_call, their_call, inputs, dtype):
    """Outputs, gradients of the inputs and gradients of all weights, in both modes."""
    near = dict(atol=NEAR[dtype], rtol=NEAR[dtype])
    for training in (True, False):
        results = []
        for part, call in ((ours, our_call), (theirs, their_call)):
            part.train(training)
            part.zero_grad()
            output = call(part)
            torch.manual_seed(3)
            weight = torch.randn(output.shape, dtype=dtype)
            results.append([output, *torch.autograd.grad(
                (output * weight).sum(), inputs, retain_graph=True)])
            (output * weight).sum().backward()
        for own, other in zip(*results, strict=True):
            assert_close(own, other, **near)
        grads = [weight.grad for weight in ours.parameters()]
        for own, other in zip(grads, torch_weights(Gradients(theirs)), strict=True):
            assert_close(own, other, **near)


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n_layers", [0, 2])
def test_encoder_equals_torch(dtype, pre_norm, masked, n_layers):
    x, _, _ = some_input(dtype, seq_len=7)
    src_mask = some_input(dtype)[2] if masked else None
    layer = nn.TransformerEncoderLayer(
        12, 3, 20, dropout=0.0, batch_first=True, norm_first=pre_norm)
    if n_layers:
        norm = nn.LayerNorm(12) if pre_norm else None
        theirs = nn.TransformerEncoder(layer, n_layers, norm, enable_nested_tensor=False)
        ours = Encoder(n_layers, 12, 3, 20, pre_norm=pre_norm)
    else:
        theirs, ours = layer, EncoderLayer(12, 3, 20, pre_norm=pre_norm)
    theirs, ours = unlike_one(theirs).to(dtype), ours.to(dtype)
    load_from_torch(ours, theirs)
    hidden = None if src_mask is None else ~src_mask.squeeze(1)
    assert_equal_to_torch(
        ours, theirs, lambda part: part(x, src_mask),
        lambda part: part(x, src_key_padding_mask=hidden), (x,), dtype)


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n_layers", [0, 2])
def test_decoder_equals_torch(dtype, pre_norm, masked, n_layers):
    x, memory, src_mask = some_input(dtype)
    src_mask, past = (src_mask, causal_mask(5)) if masked else (None, None)
    layer = nn.TransformerDecoderLayer(
        12, 3, 20, dropout=0.0, batch_first=True, norm_first=pre_norm)
    if n_layers:
        norm = nn.LayerNorm(12) if pre_norm else None
        theirs = nn.TransformerDecoder(layer, n_layers, norm)
        ours = Decoder(n_layers, 12, 3, 20, pre_norm=pre_norm)
    else:
        theirs, ours = layer, DecoderLayer(12, 3, 20, pre_norm=pre_norm)
    theirs, ours = unlike_one(theirs).to(dtype), ours.to(dtype)
    load_from_torch(ours, theirs)
    hidden = (None, None) if not masked else (~past, ~src_mask.squeeze(1))
    assert_equal_to_torch(
        ours, theirs, lambda part: part(x, memory, past, src_mask),
        lambda part: part(x, memory, hidden[0], memory_key_padding_mask=hidden[1]),
        (x, memory), dtype)


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_whole_equals_torch(dtype, pre_norm, masked):
    x, src, src_mask = some_input(dtype)
    src_mask, past = (src_mask, causal_mask(5)) if masked else (None, None)
    theirs = unlike_one(nn.Transformer(
        12, 2, 2, 2, 20, 0.0, norm_first=False, batch_first=True)).to(dtype)
    if pre_norm:
        for layer in (*theirs.encoder.layers, *theirs.decoder.layers):
            layer.norm_first = True
    encoder = Encoder(2, 12, 2, 20, pre_norm=pre_norm).to(dtype)
    decoder = Decoder(2, 12, 2, 20, pre_norm=pre_norm).to(dtype)
    if pre_norm:                                   # then our stacks hold the last norm, too
        load_from_torch(encoder, theirs.encoder)
        load_from_torch(decoder, theirs.decoder)
        first = last = nn.Identity()
    else:
        load_from_torch(encoder.layers, theirs.encoder.layers)
        load_from_torch(decoder.layers, theirs.decoder.layers)
        first, last = theirs.encoder.norm, theirs.decoder.norm
    memory = first(encoder(src, src_mask))
    ours = last(decoder(x, memory, past, src_mask))
    hidden = (None, None) if not masked else (~past, ~src_mask.squeeze(1))
    torchs = theirs(src, x, tgt_mask=hidden[0], src_key_padding_mask=hidden[1],
                    memory_key_padding_mask=hidden[1])
    near = dict(atol=NEAR[dtype], rtol=NEAR[dtype])
    assert_close(ours, torchs, **near)
    torch.manual_seed(3)
    weight = torch.randn(ours.shape, dtype=dtype)
    own = torch.autograd.grad((ours * weight).sum(), (x, src))
    other = torch.autograd.grad((torchs * weight).sum(), (x, src))
    assert_close(own, other, **near)


@pytest.mark.parametrize("dtype", NEAR)
def test_attention_equals_torch(dtype):
    x, memory, src_mask = some_input(dtype)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).to(dtype)
    ours = MultiHeadAttention(12, 3).to(dtype)
    load_from_torch(ours, theirs)
    output, weights = ours(x, memory, memory, src_mask)
    torchs = theirs(x, memory, memory, key_padding_mask=~src_mask.squeeze(1),
                    average_attn_weights=False)
    assert_close((output, weights), torchs, atol=NEAR[dtype], rtol=NEAR[dtype])
    q, k, v = (torch.randn(2, 3, n, 4, dtype=dtype) for n in (5, 7, 7))
    look = src_mask.unsqueeze(1)
    assert_close(scaled_dot_product_attention(q, k, v, look)[0],
                 F.scaled_dot_product_attention(q, k, v, look),
                 atol=NEAR[dtype], rtol=NEAR[dtype])


def test_eval_without_gradients_equals_torch_at_real_positions():
    """Torch may take its fast path there; only padded places may differ."""
    x, _, _ = some_input(torch.float32, seq_len=7)
    src_mask = some_input(torch.float32)[2]
    layer = nn.TransformerEncoderLayer(12, 2, 20, dropout=0.3, batch_first=True)
    theirs = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    ours = Encoder(2, 12, 2, 20, dropout=0.3).eval()
    load_from_torch(ours, theirs)
    with torch.no_grad():
        own, other = ours(x, src_mask), theirs(x, src_key_padding_mask=~src_mask.squeeze(1))
    real = src_mask.squeeze(1)
    assert_close(own[real], other[real], atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(not hasattr(nn, "RMSNorm"), reason="an old torch")
def test_rms_norm_is_layer_norm_without_the_mean():
    x = torch.randn(2, 5, 12)
    centred = x - x.mean(-1, keepdim=True)
    assert_close(nn.RMSNorm(12, eps=1e-5)(centred), LayerNorm(12)(x))


def test_copying_needs_parts_of_one_kind():
    ours = EncoderLayer(12, 3, 20)
    before = [weight.clone() for weight in ours.parameters()]
    with pytest.raises(ValueError, match="EncoderLayer from TransformerDecoderLayer"):
        load_from_torch(ours, nn.TransformerDecoderLayer(12, 3, 20))
    assert_close(list(ours.parameters()), before)
    with pytest.raises(ValueError):
        load_from_torch(LayerNorm(12), nn.LayerNorm(8))


@pytest.mark.parametrize("ours, theirs, words", [
    (MultiHeadAttention(12, 3), nn.MultiheadAttention(12, 2), "heads"),
    (MultiHeadAttention(12, 3), nn.MultiheadAttention(12, 3, add_zero_attn=True), "zero key"),
    (EncoderLayer(12, 3, 20), nn.TransformerEncoderLayer(12, 4, 20), "heads"),
    (EncoderLayer(12, 3, 20), nn.TransformerEncoderLayer(12, 3, 20, norm_first=True), "pre-norm"),
    (EncoderLayer(12, 3, 20, pre_norm=True), nn.TransformerEncoderLayer(12, 3, 20), "pre-norm"),
    (EncoderLayer(12, 3, 20), nn.TransformerEncoderLayer(12, 3, 20, activation="gelu"),
     "activation"),
    (DecoderLayer(12, 3, 20), nn.TransformerDecoderLayer(12, 3, 20, activation=nn.GELU()),
     "activation"),
    (LayerNorm(12), nn.LayerNorm(12, eps=1e-3), "eps"),
    (MultiHeadAttention(12, 3), nn.MultiheadAttention(12, 3, kdim=8), "no such copy"),
    (MultiHeadAttention(12, 3), nn.MultiheadAttention(12, 3, vdim=8), "no such copy"),
    (MultiHeadAttention(12, 3), nn.MultiheadAttention(12, 3, add_bias_kv=True), "no such copy"),
    (MultiHeadAttention(12, 3), nn.MultiheadAttention(12, 3, bias=False), "no such copy"),
])
def test_what_shapes_do_not_tell_is_compared_too(ours, theirs, words):
    before = [weight.clone() for weight in ours.parameters()]
    with pytest.raises(ValueError, match=f"no such copy: .*{words}" if " " not in words else words):
        load_from_torch(ours, theirs)
    assert_close(list(ours.parameters()), before)


def test_a_module_of_relu_is_relu():
    layer = nn.TransformerEncoderLayer(12, 3, 20, activation=nn.ReLU())
    load_from_torch(EncoderLayer(12, 3, 20), layer)


# --- lesson 11: what a layer does -----------------------------------------------------------


@settings(deadline=None, max_examples=25, derandomize=True)
@given(batch=SIZES, tgt_len=SIZES, src_len=SIZES, n_heads=st.integers(1, 3), pre_norm=st.booleans())
def test_shapes_of_the_decoder(batch, tgt_len, src_len, n_heads, pre_norm):
    decoder = Decoder(2, 4 * n_heads, n_heads, 10, pre_norm=pre_norm)
    x, memory = torch.randn(batch, tgt_len, 4 * n_heads), torch.randn(batch, src_len, 4 * n_heads)
    with looks_of(decoder) as looks:
        y = decoder(x, memory, causal_mask(tgt_len))
    assert y.shape == x.shape and len(looks) == 2
    for weights in looks:
        assert weights.shape == (batch, n_heads, tgt_len, src_len)
        assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_a_pre_norm_layer_without_sub_layers_is_the_identity():
    layer = DecoderLayer(12, 3, 20, pre_norm=True)
    for linear in (layer.attention.output_map, layer.cross_attention.output_map,
                   layer.feed_forward.narrow):
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    assert_close(layer(x, memory), x)


def test_dropout_acts_in_training_only():
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    decoder = Decoder(2, 12, 3, 20, dropout=0.5)
    assert not torch.equal(decoder(x, memory), decoder(x, memory))
    decoder.eval()
    assert torch.equal(decoder(x, memory), decoder(x, memory))


def test_looks_are_those_of_the_run_and_the_hooks_go_away():
    decoder, x, memory = Decoder(2, 12, 3, 20), torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    with looks_of(decoder) as looks:
        first = decoder.layers[0]
        decoder(x, memory)
        first(2 * x, memory)                           # one more run is one more entry
    assert len(looks) == 3 and not torch.equal(looks[0], looks[2])
    y = first.add_norm1(x, lambda y: first.attention(y, y, y)[0])
    assert_close(looks[0], first.cross_attention(y, memory, memory)[1])
    with pytest.raises(ValueError), looks_of(decoder):
        decoder(x, memory, causal_mask(7))
    assert not any(m._forward_hooks for m in decoder.modules())


def test_post_norm_stacks_have_no_last_norm():
    assert isinstance(Encoder(1, 12, 3, 20).norm, nn.Identity)
    assert isinstance(Decoder(1, 12, 3, 20, pre_norm=True).norm, LayerNorm)


@pytest.mark.parametrize("part", [EncoderLayer, DecoderLayer])
def test_heads_must_divide_the_width(part):
    with pytest.raises(ValueError, match="divide"):
        part(10, 3, 20)


def test_masks_of_another_shape_or_type_are_refused():
    layer, x, memory = DecoderLayer(12, 3, 20), torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    with pytest.raises(ValueError, match="does not fit"):
        layer(x, memory, None, causal_mask(5))
    with pytest.raises(ValueError, match="does not fit"):
        layer(x, memory, causal_mask(7))
    with pytest.raises(TypeError, match="bool"):
        layer(x, memory, causal_mask(5).float())


# --- lesson 11: embedding and the whole model -----------------------------------------------


def small(**kwargs):
    torch.manual_seed(0)
    return Transformer(11, 13, **dict(d_model=12, n_heads=3, n_layers=2, d_ff=20) | kwargs)


def some_batch():
    torch.manual_seed(1)
    src, tgt = torch.randint(1, 11, (2, 7)), torch.randint(4, 13, (2, 5))
    src_mask = torch.ones(2, 1, 7, dtype=torch.bool)
    src_mask[1, :, 4:] = False
    src[1, 4:] = 0
    return src, src_mask, tgt


def test_embedding_is_scaled_and_placed():
    embed, tokens = TokenEmbedding(9, 12), torch.tensor([[3, 3, 5]])
    x = embed(tokens)
    assert x.shape == (1, 3, 12)
    table = embed.positions.table
    assert_close(x[0, 1] - table[1], embed.embedding.weight[3] * 12**0.5)
    assert_close(x[0, 0] - table[0], x[0, 1] - table[1])
    torch.manual_seed(0)
    wide = TokenEmbedding(500, 64)
    assert 0.9 < (wide(torch.arange(200).unsqueeze(0)) - wide.positions.table[:200]).var() < 1.1


def test_embedding_wants_an_even_width():
    with pytest.raises(ValueError, match="even"):
        TokenEmbedding(9, 5)


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("state", [None, "before"])
def test_protocol(pre_norm, state):
    model, (src, src_mask, tgt) = small(pre_norm=pre_norm), some_batch()
    memory = model.encode(src, src_mask)
    assert memory.shape == (2, 7, 12)
    before = None if state is None else tgt[:, :2]
    new = tgt if state is None else tgt[:, 2:]
    logits, read, weights = model.decode(new, memory, src_mask, before, need_weights=True)
    assert torch.equal(read, tgt)
    whole = model(src, src_mask, tgt)
    assert_close(logits, whole[:, -new.size(1):])
    assert logits.shape == (2, new.size(1), 13)
    assert weights.shape == (2, new.size(1), 7)
    assert_close(weights.sum(-1), torch.ones(2, new.size(1)))
    assert weights[1, :, 4:].abs().max() == 0
    assert len(model.decode(new, memory, src_mask, before)) == 2


def test_nothing_to_read_gives_nothing():
    model, (src, src_mask, tgt) = small(), some_batch()
    memory = model.encode(src, src_mask)
    logits, state = model.decode(tgt[:, :0], memory, src_mask, tgt)
    assert logits.shape == (2, 0, 13) and torch.equal(state, tgt)


def test_the_state_is_not_changed_in_place():
    model, (src, src_mask, tgt) = small(), some_batch()
    state = tgt.clone()
    model.decode(tgt[:, :1], model.encode(src, src_mask), src_mask, state)
    assert torch.equal(state, tgt)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_sentence_of_padding_alone_is_finite(pre_norm):
    model, (src, src_mask, tgt) = small(pre_norm=pre_norm), some_batch()
    src_mask[0] = False
    logits = model(src, src_mask, tgt)
    assert logits.isfinite().all()
    logits.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types(dtype):
    model, (src, src_mask, tgt) = small().to(dtype), some_batch()
    logits = model(src, src_mask, tgt)
    assert logits.dtype == dtype and logits.isfinite().all()


@pytest.mark.parametrize("batch, src_len, tgt_len", [(1, 1, 1), (1, 7, 1), (2, 1, 5)])
def test_small_sizes(batch, src_len, tgt_len):
    src, tgt = torch.ones(batch, src_len).long(), torch.ones(batch, tgt_len).long()
    mask = torch.ones(batch, 1, src_len, dtype=torch.bool)
    assert small()(src, mask, tgt).shape == (batch, tgt_len, 13)


def test_beyond_max_len_is_one_clear_error():
    model, (src, src_mask, tgt) = small(max_len=6), some_batch()
    with pytest.raises(ValueError, match="raise max_len"):
        model(src, src_mask, tgt)
    memory = model.encode(src[:, :6], src_mask[..., :6])
    with pytest.raises(ValueError, match="raise max_len"):
        model.decode(tgt, memory, src_mask[..., :6], tgt)


@pytest.mark.parametrize("n_layers", [0, -1])
@pytest.mark.parametrize("kind", [Encoder, Decoder])
def test_a_stack_without_layers_is_refused(kind, n_layers):
    with pytest.raises(ValueError, match=f"want n_layers from 1, got {n_layers}"):
        kind(n_layers, 12, 3, 20)
    with pytest.raises(ValueError, match=f"want n_layers from 1, got {n_layers}"):
        Transformer(9, 9, n_layers=n_layers)


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="even"):
        small(d_model=9)


def test_padding_at_the_end_of_a_target_needs_no_mask():
    """The triangle hides it from all real positions: a mask for it changes no real logit."""
    model, (src, src_mask, tgt) = small(), some_batch()
    tgt[1, 3:] = 3
    x, memory = model.tgt_embedding(tgt), model.encode(src, src_mask)
    tgt_mask = padding_mask(tgt, 3) & causal_mask(5)
    y = model.decoder(x, memory, tgt_mask, src_mask)
    real = tgt != 3
    assert_close(model.out(y)[real], model(src, src_mask, tgt)[real])


def test_weights_are_the_mean_over_layers_and_heads():
    model, (src, src_mask, tgt) = small(), some_batch()
    memory = model.encode(src, src_mask)
    with looks_of(model.decoder) as looks:
        weights = model.decode(tgt, memory, src_mask, need_weights=True)[2]
    assert_close(weights, sum(look.mean(dim=1) for look in looks) / 2)


def test_all_weights_get_a_gradient():
    model, batch = small(), some_batch()
    model(*batch).square().sum().backward()
    assert all(weight.grad.abs().max() > 0 for weight in model.parameters())


@pytest.mark.parametrize("decode", [greedy_decode, sample_decode])
def test_the_decoders_of_the_course(decode):
    model, (src, src_mask, _) = small().eval(), some_batch()
    tokens = decode(model, src, src_mask, 0, 1, 6)
    assert tokens.shape[0] == 2 and tokens.shape[1] <= 6


def test_greedy_is_what_the_whole_pass_says():
    model, (src, src_mask, _) = small().eval(), some_batch()
    tokens = greedy_decode(model, src, src_mask, 0, 99, 6)
    read = torch.cat([torch.zeros(2, 1, dtype=torch.long), tokens[:, :-1]], dim=1)
    assert torch.equal(model(src, src_mask, read).argmax(-1), tokens)


def test_a_beam_of_one_is_greedy_and_a_wider_one_runs():
    model, (src, src_mask, _) = small().eval(), some_batch()
    greedy = greedy_decode(model, src, src_mask, 0, 1, 6)
    with torch.no_grad():
        one = beam_search(model, src, src_mask, 0, 1, 6, beam_size=1, length_penalty=0.0)
        assert beam_search(model, src, src_mask, 0, 1, 6, beam_size=3).shape[0] == 2
    assert one[:, : greedy.size(1)].tolist() == greedy[:, : one.size(1)].tolist()

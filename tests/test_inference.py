"""Writing with a cache: equal to reading all anew, in every way of writing; what it costs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tools import decoding
from utils.attention import MultiHeadAttention, causal_mask
from utils.decoding import beam_search, filter_logits, greedy_decode, sample_decode
from utils.inference import (
    CachedTransformer,
    attend_to,
    cache_bytes,
    cached_attention,
    cached_layer,
    count_flops,
    count_numbers,
    embed_from,
    keep_top_p,
    keys_and_values,
    layer_flops,
)
from utils.probes import stepwise_difference
from utils.transformer import DecoderLayer, EncoderLayer, TokenEmbedding, Transformer
from utils.translator.model import SharedTransformer

SIZES = dict(d_model=12, n_heads=3, n_layers=2, d_ff=20)
BATCH, SRC_LEN, TGT_LEN, N_SRC, N_TGT = 3, 7, 5, 13, 11


def stirred(net: nn.Module) -> nn.Module:
    """Move all weights away from their start, in eval mode."""
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return net.eval()


@pytest.fixture
def both() -> tuple[Transformer, CachedTransformer]:
    """A Transformer, and one with the same weights that keeps keys and values."""
    torch.manual_seed(0)
    plain = stirred(Transformer(N_SRC, N_TGT, **SIZES))
    cached = CachedTransformer(N_SRC, N_TGT, **SIZES).eval()
    cached.load_state_dict(plain.state_dict())
    return plain, cached


@pytest.fixture
def text() -> tuple:
    """Source, its mask with padding, target."""
    torch.manual_seed(1)
    src, tgt = torch.randint(N_SRC, (BATCH, SRC_LEN)), torch.randint(N_TGT, (BATCH, TGT_LEN))
    mask = torch.ones(BATCH, 1, SRC_LEN, dtype=torch.bool)
    mask[1, :, 4:] = mask[2, :, 1:] = False
    return src, mask, tgt


def in_steps(model, src, mask, tgt, *sizes):
    """The logits of a text that is given in steps of these sizes."""
    memory, state, found = model.encode(src, mask), None, []
    for tokens in tgt.split(sizes, dim=1):
        logits, state = model.decode(tokens, memory, mask, state)
        found.append(logits)
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("sizes", [(1,) * 5, (5,), (2, 3), (1, 3, 1), (3, 1, 1)])
@pytest.mark.parametrize("pre_norm", [True, False])
def test_steps_of_any_size_give_the_logits_of_one_pass(sizes, pre_norm, text) -> None:
    torch.manual_seed(0)
    model = stirred(CachedTransformer(N_SRC, N_TGT, **SIZES, pre_norm=pre_norm))
    torch.testing.assert_close(in_steps(model, *text, *sizes), model(*text), atol=1e-5, rtol=0)


def test_a_text_of_64_tokens_differs_by_less_than_1e_5(both) -> None:
    plain, cached = both
    torch.manual_seed(2)
    src, tgt = torch.randint(N_SRC, (2, 20)), torch.randint(N_TGT, (2, 64))
    mask = torch.ones(2, 1, 20, dtype=torch.bool)
    steps = in_steps(cached, src, mask, tgt, *[1] * 64)
    torch.testing.assert_close(steps, in_steps(plain, src, mask, tgt, *[1] * 64), atol=1e-5, rtol=0)


def test_the_probe_of_lesson_11_finds_no_difference(both, text) -> None:
    assert stepwise_difference(both[1], *text) < 1e-5


@pytest.mark.parametrize("decode", [
    greedy_decode, beam_search, lambda *given: beam_search(*given, beam_size=3),
    lambda *given: (torch.manual_seed(3), sample_decode(*given, temperature=1.5, top_p=0.9))[1],
])
def test_every_way_of_writing_writes_the_same(decode, both, text) -> None:
    src, mask, _ = text
    plain, cached = (decode(model, src, mask, 0, 1, 20) for model in both)
    assert plain.equal(cached)


def test_the_weights_are_those_of_one_pass(both, text) -> None:
    plain, cached = both
    src, mask, tgt = text
    memory = plain.encode(src, mask)
    _, state, first = cached.decode(tgt[:, :2], memory, mask, need_weights=True)
    logits, _, rest = cached.decode(tgt[:, 2:], memory, mask, state, need_weights=True)
    _, _, wanted = plain.decode(tgt, memory, mask, need_weights=True)
    torch.testing.assert_close(torch.cat([first, rest], dim=1), wanted)
    torch.testing.assert_close(logits, cached.decode(tgt[:, 2:], memory, mask, state)[0])


def test_gradients_are_those_of_one_pass(both, text) -> None:
    plain, cached = both
    plain(*text).square().sum().backward()
    in_steps(cached, *text, 1, 1, 2, 1).square().sum().backward()
    for (name, one), other in zip(plain.named_parameters(), cached.parameters()):
        torch.testing.assert_close(other.grad, one.grad, msg=name, rtol=1e-3, atol=1e-4)


def test_a_source_of_padding_alone_gives_finite_logits(both, text) -> None:
    src, mask, tgt = text
    assert in_steps(both[1], src, mask & False, tgt, *[1] * TGT_LEN).isfinite().all()


def test_beyond_max_len_it_says_so(text) -> None:
    src, mask, tgt = text
    model = CachedTransformer(N_SRC, N_TGT, **SIZES, max_len=7)
    memory = model.encode(src, mask)
    _, state = model.decode(tgt, memory, mask)
    with pytest.raises(ValueError, match="raise max_len"):
        model.decode(tgt[:, :3], memory, mask, state)


def test_the_translator_writes_with_the_cache(text) -> None:
    torch.manual_seed(0)
    model, plain = SharedTransformer(11, **SIZES).eval(), Transformer(11, 11, **SIZES).eval()
    plain.load_state_dict(model.state_dict())
    src, mask, _ = text
    src = src % 11
    assert isinstance(model, CachedTransformer)
    assert greedy_decode(model, src, mask, 2, 3).equal(greedy_decode(plain, src, mask, 2, 3))


# ---- the parts ----


def test_a_look_with_keys_of_its_own_is_multi_head_attention() -> None:
    torch.manual_seed(0)
    net = MultiHeadAttention(12, 3)
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    mask = torch.rand(2, 1, 7) < 0.7
    output, weights = attend_to(net, x, *keys_and_values(net, memory), mask)
    torch.testing.assert_close((output, weights), net(x, memory, memory, mask))


@pytest.mark.parametrize("cut", [0, 1, 3, 5])
def test_cached_attention_is_attention_under_a_causal_mask(cut) -> None:
    torch.manual_seed(0)
    net, x = MultiHeadAttention(12, 3), torch.randn(2, 5, 12)
    first, past = cached_attention(net, x[:, :cut]) if cut else (x[:, :0], None)
    second, past = cached_attention(net, x[:, cut:], past) if cut < 5 else (x[:, 5:], past)
    wanted = net(x, x, x, causal_mask(5))[0]
    torch.testing.assert_close(torch.cat([first, second], dim=1), wanted)
    torch.testing.assert_close(past, keys_and_values(net, x))


@pytest.mark.parametrize("pre_norm", [True, False])
def test_cached_layer_is_the_layer(pre_norm) -> None:
    torch.manual_seed(0)
    layer = stirred(DecoderLayer(12, 3, 20, pre_norm=pre_norm))
    x, memory, mask = torch.randn(2, 5, 12), torch.randn(2, 7, 12), torch.rand(2, 1, 7) < 0.7
    source = keys_and_values(layer.cross_attention, memory)
    first, past, _ = cached_layer(layer, x[:, :2], None, source, mask)
    second, _, _ = cached_layer(layer, x[:, 2:], past, source, mask)
    wanted = layer(x, memory, causal_mask(5), mask)
    torch.testing.assert_close(torch.cat([first, second], dim=1), wanted)


def test_a_word_is_embedded_at_its_place() -> None:
    torch.manual_seed(0)
    embedding, tokens = TokenEmbedding(11, 12), torch.randint(11, (2, 5))
    torch.testing.assert_close(embed_from(embedding, tokens[:, 3:], 3), embedding(tokens)[:, 3:])


@pytest.mark.parametrize("n, d, heads, d_ff", [(1, 8, 1, 3), (7, 12, 3, 20), (40, 16, 4, 5)])
def test_operations_of_a_layer_are_those_that_torch_counts(n, d, heads, d_ff) -> None:
    layer = EncoderLayer(d, heads, d_ff)
    assert layer_flops(n, d, d_ff) == count_flops(layer, torch.randn(1, n, d))


def test_numbers_and_bytes_of_a_state(both, text) -> None:
    src, mask, tgt = text
    _, state = both[1].decode(tgt, both[1].encode(src, mask), mask)
    own = [past for past, _ in state]
    assert 4 * count_numbers(own) == BATCH * cache_bytes(TGT_LEN, 2, 3, 4)
    assert 4 * count_numbers(state) == BATCH * cache_bytes(TGT_LEN + SRC_LEN, 2, 3, 4)
    assert cache_bytes(TGT_LEN, 2, 3, 4, n_bytes=2) == cache_bytes(TGT_LEN, 2, 3, 4) // 2
    assert count_numbers(None) == 0 and count_numbers({"a": [tgt, None]}) == tgt.numel()


@pytest.mark.parametrize("top_p", [0.05, 0.3, 0.77, 0.95])
def test_top_p_is_the_filter_of_lesson_06(top_p) -> None:
    torch.manual_seed(0)
    logits = 2 * torch.randn(4, 30)
    wanted = filter_logits(logits, top_p=top_p).softmax(dim=-1)
    torch.testing.assert_close(keep_top_p(logits.softmax(dim=-1), top_p), wanted)


def test_top_p_by_hand() -> None:
    shares = torch.tensor([0.1, 0.5, 0.15, 0.25])
    assert keep_top_p(shares, 0.6).tolist() == pytest.approx([0, 2 / 3, 0, 1 / 3])
    assert keep_top_p(shares, 0.5).tolist() == [0, 1, 0, 0]
    torch.testing.assert_close(keep_top_p(shares, 1), shares)


@pytest.mark.parametrize("top_p", [0, -1, 1.1, float("nan")])
def test_top_p_refuses(top_p) -> None:
    with pytest.raises(ValueError, match="top_p must be"):
        keep_top_p(torch.ones(2) / 2, top_p)


# ---- the benchmark of writing ----


def test_the_benchmark_measures_equal_texts() -> None:
    found = decoding.measure(2, length=6, rounds=1, vocab=20, d_model=8, n_heads=2, n_layers=1,
                             d_ff=4)
    assert list(found) == list(decoding.WAYS)
    for times, logits in found.values():
        assert len(times) == 6 and logits.shape == (2, 6, 20)
        torch.testing.assert_close(logits, found["cached"][1])
    rows = decoding.lines(2, found)
    assert len(rows) == 3 and rows[2].startswith("  2 at once  cached") and "1.0 x" in rows[2]

"""The definitions of utils/variants.py."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from utils.attention import MultiHeadAttention, causal_mask, merge_heads, split_heads
from utils.variants import alibi_attention, alibi_bias, rotary_attention, rotate, window_mask

DTYPES = [(torch.float32, 1e-5), (torch.float64, 1e-10)]
HALVES = [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)]
EVEN = st.integers(1, 9).map(lambda half: 2 * half)
QUICK = settings(deadline=None, max_examples=30, derandomize=True)

# --- rotate ----------------------------------------------------------------------------------


def by_complex(x, start=0, base=10000.0):
    """The same turn by complex numbers."""
    half = x.size(-1) // 2
    speed = base ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(start, start + x.size(-2)).unsqueeze(1) * speed
    hands = torch.polar(torch.ones_like(angle), angle)
    pairs = torch.view_as_complex(x.double().unflatten(-1, (half, 2)).contiguous())
    return torch.view_as_real(pairs * hands).flatten(-2).to(x.dtype)


def test_rotate_by_hand():
    x = torch.tensor([[1.0, 0, 0, 1], [1, 0, 0, 1], [0, 2, 3, 0]], dtype=torch.float64)
    want = [[1, 0, 0, 1],
            [math.cos(1), math.sin(1), -math.sin(0.01), math.cos(0.01)],
            [-2 * math.sin(2), 2 * math.cos(2), 3 * math.cos(0.02), 3 * math.sin(0.02)]]
    assert_close(rotate(x), torch.tensor(want, dtype=torch.float64), atol=1e-15, rtol=0)


@pytest.mark.parametrize("dtype, near", DTYPES)
@pytest.mark.parametrize("start, base", [(0, 10000.0), (7, 10000.0), (3, 50.0)])
def test_rotate_equals_complex_numbers_forward_and_gradient(dtype, near, start, base):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 7, 10, dtype=dtype, requires_grad=True)
    pull = torch.randn(2, 3, 7, 10, dtype=dtype)
    results = rotate(x, start, base), by_complex(x, start, base)
    gradients = [torch.autograd.grad((y * pull).sum(), x)[0] for y in results]
    assert_close(*results, atol=near, rtol=near)
    assert_close(*gradients, atol=near, rtol=near)


@QUICK
@given(seq_len=st.integers(0, 9), d_k=EVEN, start=st.integers(0, 1000), shift=st.integers(0, 99))
def test_rotate_keeps_lengths_and_scores_know_the_offset_alone(seq_len, d_k, start, shift):
    generator = torch.Generator().manual_seed(start)
    q, k = torch.randn(2, 3, seq_len, d_k, dtype=torch.float64, generator=generator)
    turned = rotate(q, start)
    assert turned.shape == q.shape
    assert_close(turned.norm(dim=-1), q.norm(dim=-1))
    here = turned @ rotate(k, start).transpose(-2, -1)
    there = rotate(q, start + shift) @ rotate(k, start + shift).transpose(-2, -1)
    assert_close(here, there, atol=1e-10, rtol=0)


def test_rotate_goes_on_from_start_and_turns_back():
    torch.manual_seed(0)
    x = torch.randn(2, 9, 6, dtype=torch.float64)
    assert_close(rotate(x)[:, 4:], rotate(x[:, 4:], start=4))
    assert torch.equal(rotate(x)[:, 0], x[:, 0])
    assert_close(torch.cat([rotate(rotate(x[:, t : t + 1], t), -t) for t in range(9)], dim=1), x)


@pytest.mark.parametrize("d_k", [1, 3, 9])
def test_rotate_refuses_an_odd_width(d_k):
    with pytest.raises(ValueError, match=f"d_k must be even to make pairs, got {d_k}"):
        rotate(torch.zeros(2, 5, d_k))


@pytest.mark.parametrize("dtype, near", HALVES)
def test_rotate_in_half_precision_far_out(dtype, near):
    torch.manual_seed(0)
    x = torch.rand(2, 5, 8)
    got = rotate(x.to(dtype), start=3000)
    assert got.dtype == dtype
    assert_close(got.float(), rotate(x, start=3000), atol=3 * near, rtol=near)


# --- rotary_attention and alibi_attention ----------------------------------------------------


def heads(layer, x):
    maps = layer.query_map, layer.key_map, layer.value_map
    return [split_heads(part(x), layer.n_heads) for part in maps]


def masks():
    """No mask, and masks of 2, 3 and 4 axes; the batch is as large as the number of heads."""
    padding = torch.ones(3, 1, 7, dtype=torch.bool)
    padding[1, :, 4:] = False
    causal = causal_mask(7)
    each = torch.rand(3, 3, 7, 7, generator=torch.Generator().manual_seed(1)) < 0.5
    return [None, causal, padding, causal & padding, each | torch.eye(7, dtype=torch.bool)]


def four_axes(mask):
    return mask.unsqueeze(1) if mask is not None and mask.dim() == 3 else mask


@pytest.mark.parametrize("dtype, near", DTYPES)
@pytest.mark.parametrize("mask", masks(), ids=["none", "causal", "padding", "both", "heads"])
def test_rotary_attention_equals_torch(dtype, near, mask):
    torch.manual_seed(0)
    layer = MultiHeadAttention(30, 3).to(dtype)
    x = torch.randn(3, 7, 30, dtype=dtype, requires_grad=True)
    output, weights = rotary_attention(layer, x, mask)
    q, k, v = heads(layer, x)
    context = F.scaled_dot_product_attention(by_complex(q), by_complex(k), v, four_axes(mask))
    theirs = layer.output_map(merge_heads(context))
    assert_close(output, theirs, atol=near, rtol=near)
    assert_close(weights.sum(-1), torch.ones(3, 3, 7, dtype=dtype))
    variables = [x, *layer.parameters()]
    for ours, torchs in zip(torch.autograd.grad(output.square().sum(), variables),
                            torch.autograd.grad(theirs.square().sum(), variables)):
        assert_close(ours, torchs, atol=10 * near, rtol=10 * near)


@pytest.mark.parametrize("dtype, near", DTYPES)
@pytest.mark.parametrize("mask", masks(), ids=["none", "causal", "padding", "both", "heads"])
def test_alibi_attention_equals_torch(dtype, near, mask):
    torch.manual_seed(0)
    layer = MultiHeadAttention(30, 3).to(dtype)
    x = torch.randn(3, 7, 30, dtype=dtype, requires_grad=True)
    output, weights = alibi_attention(layer, x, mask)
    bias = alibi_bias(3, 7, 7).to(dtype).expand(3, 3, 7, 7)
    if mask is not None:
        bias = bias.masked_fill(~four_axes(mask), -torch.inf)
    q, k, v = heads(layer, x)
    theirs = layer.output_map(merge_heads(F.scaled_dot_product_attention(q, k, v, bias)))
    assert_close(output, theirs, atol=near, rtol=near)
    assert_close(weights.sum(-1), torch.ones(3, 3, 7, dtype=dtype))
    variables = [x, *layer.parameters()]
    for ours, torchs in zip(torch.autograd.grad(output.square().sum(), variables),
                            torch.autograd.grad(theirs.square().sum(), variables)):
        assert_close(ours, torchs, atol=10 * near, rtol=10 * near)


@pytest.mark.parametrize("attend", [rotary_attention, alibi_attention])
def test_one_token_alone_has_no_place(attend):
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(12, 3), torch.randn(2, 1, 12)
    for ours, theirs in zip(attend(layer, x), layer(x, x, x)):
        assert_close(ours, theirs)


@pytest.mark.parametrize("attend", [rotary_attention, alibi_attention])
def test_the_sentence_is_seen_in_order(attend):
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(12, 3).double(), torch.randn(2, 5, 12).double()
    order = torch.tensor([3, 0, 4, 1, 2])
    plain = layer(x, x, x)[0]
    shuffled = layer(*3 * [x[:, order]])[0]
    assert_close(plain[:, order], shuffled)
    assert (attend(layer, x)[0][:, order] - attend(layer, x[:, order])[0]).abs().max() > 1e-3


def test_rotary_attention_does_not_depend_on_start():
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(12, 3).double(), torch.randn(2, 5, 12).double()
    assert_close(rotary_attention(layer, x), rotary_attention(layer, x, start=500))


@pytest.mark.parametrize("attend", [rotary_attention, alibi_attention])
def test_masks_that_do_not_fit_are_refused(attend):
    layer, x = MultiHeadAttention(12, 3), torch.zeros(2, 5, 12)
    with pytest.raises(TypeError, match="want a bool mask"):
        attend(layer, x, torch.ones(5, 5))
    with pytest.raises(ValueError, match="does not fit"):
        attend(layer, x, causal_mask(4))


@pytest.mark.parametrize("attend", [rotary_attention, alibi_attention])
def test_a_query_that_may_look_nowhere_stays_finite(attend):
    torch.manual_seed(0)
    layer = MultiHeadAttention(12, 3)
    x = torch.randn(2, 5, 12, requires_grad=True)
    mask = causal_mask(5).repeat(2, 1, 1)
    mask[1, 2] = False
    output, weights = attend(layer, x, mask)
    output.sum().backward()
    assert not weights[1, :, 2].any()
    assert output.isfinite().all() and x.grad.isfinite().all()


@pytest.mark.parametrize("attend", [rotary_attention, alibi_attention])
def test_attention_over_no_tokens_and_in_half_precision(attend):
    layer = MultiHeadAttention(12, 3)
    assert attend(layer, torch.zeros(2, 0, 12))[0].shape == (2, 0, 12)
    for dtype, _ in HALVES:
        output, weights = attend(layer.to(dtype), torch.rand(2, 5, 12).to(dtype), causal_mask(5))
        assert output.dtype == dtype == weights.dtype and output.isfinite().all()


def test_rotary_attention_refuses_an_odd_head():
    with pytest.raises(ValueError, match="d_k must be even"):
        rotary_attention(MultiHeadAttention(9, 3), torch.zeros(2, 5, 9))


# --- alibi_bias ------------------------------------------------------------------------------


def test_alibi_by_hand():
    bias = alibi_bias(2, 3, 3)
    distance = torch.tensor([[0.0, 1, 2], [1, 0, 1], [2, 1, 0]])
    assert_close(bias, torch.stack([-distance / 16, -distance / 256]))
    assert (-1 / alibi_bias(8, 1, 2)[:, 0, 0]).tolist() == [2, 4, 8, 16, 32, 64, 128, 256]


def slopes_of_the_authors(n_heads):
    """get_slopes of github.com/ofirpress/attention_with_linear_biases, written anew."""
    power = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * h / power) for h in range(1, power + 1)]
    if power == n_heads:
        return slopes
    return slopes + slopes_of_the_authors(2 * power)[0::2][: n_heads - power]


@pytest.mark.parametrize("n_heads", range(1, 17))
def test_alibi_has_the_slopes_of_the_authors_code_for_powers_of_two_alone(n_heads):
    ours = -alibi_bias(n_heads, 1, 2)[:, 0, 0].double()
    theirs = torch.tensor(slopes_of_the_authors(n_heads), dtype=torch.float64)
    same = torch.allclose(ours, theirs, atol=1e-7)
    assert same == (n_heads in (1, 2, 4, 8, 16))
    assert "no power of 2" in alibi_bias.__doc__


@QUICK
@given(n_heads=st.integers(1, 9), tgt_len=st.integers(0, 6), more=st.integers(0, 6))
def test_alibi_is_never_above_zero_and_cuts_from_the_whole(n_heads, tgt_len, more):
    src_len = tgt_len + more
    bias = alibi_bias(n_heads, tgt_len, src_len)
    assert bias.shape == (n_heads, tgt_len, src_len)
    assert (bias <= 0).all()
    assert torch.equal(bias, alibi_bias(n_heads, src_len, src_len)[:, more:])
    for row in range(tgt_len):
        assert not bias[:, row, more + row].any()


@pytest.mark.parametrize("sizes", [(0, 2, 2), (-1, 2, 2), (3, 5, 4)])
def test_alibi_refuses_what_makes_no_sense(sizes):
    with pytest.raises(ValueError, match="heads"):
        alibi_bias(*sizes)


# --- a window --------------------------------------------------------------------------------


@pytest.mark.parametrize("seq_len, width", [(1, 1), (5, 2), (7, 7), (4, 9)])
def test_a_window_is_a_causal_mask_that_ends(seq_len, width):
    want = causal_mask(seq_len) & ~causal_mask(seq_len).tril(-width)
    assert torch.equal(window_mask(seq_len, width), want)
    assert window_mask(seq_len, width).any(dim=1).all()


@pytest.mark.parametrize("width", [0, -3])
def test_a_window_of_nothing_is_refused(width):
    with pytest.raises(ValueError, match="shows nothing"):
        window_mask(5, width)

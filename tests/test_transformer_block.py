"""utils/transformer.py: what lesson 10 builds, the parts of a block and the encoder layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from utils.attention import causal_mask
from utils.transformer import AddNorm, EncoderLayer, FeedForward, LayerNorm, layer_norm

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}
SIZES = st.integers(1, 5)
QUICK = settings(deadline=None, max_examples=25, derandomize=True)


def near(dtype: torch.dtype) -> dict[str, float]:
    return dict(atol=TOLERANCES[dtype], rtol=TOLERANCES[dtype])


# ---- layer_norm, LayerNorm ----


@pytest.mark.parametrize("eps, first", [(0.0, 3**0.5), (0.0625, 1.5), (0.8125, 0.75)])
def test_layer_norm_by_hand(eps: float, first: float) -> None:
    """Of [1, 0, 0, 0]: centred 0.75 and -0.25, variance 0.1875; these ε make the root easy."""
    x, one = torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.ones(4)
    y = layer_norm(x, one, torch.zeros(4), eps)
    assert_close(y, first * torch.tensor([1.0, -1 / 3, -1 / 3, -1 / 3]))
    assert_close(layer_norm(x, 2 * one, one, eps), 2 * y + 1)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("eps", [1e-5, 0.1])
@pytest.mark.parametrize("shape", [(4,), (7, 4), (2, 7, 4), (2, 3, 7, 4), (0, 4), (2, 0, 4)])
def test_layer_norm_has_the_outputs_and_gradients_of_torch(
    dtype: torch.dtype, eps: float, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    x = (2 * torch.randn(shape, dtype=dtype) + 3).requires_grad_()
    gain, bias = (torch.randn(4, dtype=dtype).requires_grad_() for _ in range(2))
    ours, theirs = layer_norm(x, gain, bias, eps), F.layer_norm(x, (4,), gain, bias, eps)
    assert_close(ours, theirs, **near(dtype))
    pull = torch.randn(shape, dtype=dtype)
    for own, other in zip(
        torch.autograd.grad((ours * pull).sum(), (x, gain, bias)),
        torch.autograd.grad((theirs * pull).sum(), (x, gain, bias)),
        strict=True,
    ):
        assert_close(own, other, **near(dtype))


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_layer_norm_module_takes_the_weights_of_torch(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ours, theirs = LayerNorm(6).to(dtype), nn.LayerNorm(6).to(dtype)
    x = torch.randn(2, 5, 6, dtype=dtype)
    assert_close(ours(x), theirs(x), **near(dtype))
    with torch.no_grad():
        for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert own.shape == other.shape == (6,)
            other.normal_()
            own.copy_(other)
    assert_close(ours(x), theirs(x), **near(dtype))
    assert ours.eps == theirs.eps


@QUICK
@given(batch=SIZES, seq_len=SIZES, d_model=st.integers(2, 7), seed=st.integers(0, 10**6))
def test_layer_norm_moments_and_what_it_forgets(
    batch: int, seq_len: int, d_model: int, seed: int
) -> None:
    torch.manual_seed(seed)
    x = torch.randn(batch, seq_len, d_model, dtype=torch.float64)
    one, zero = torch.ones(d_model), torch.zeros(d_model)
    y, variance = layer_norm(x, one, zero), x.var(-1, correction=0)
    assert_close(y.mean(-1), torch.zeros_like(variance), atol=1e-9, rtol=0)
    assert_close(y.var(-1, correction=0), variance / (variance + 1e-5))
    assert_close(layer_norm(4 * x - 3, one, zero, 16e-5), y)
    order = torch.randperm(seq_len)
    assert_close(layer_norm(x[:, order], one, zero), y[:, order])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1.0, 100.0, 3000.0])
def test_layer_norm_in_low_precision(dtype: torch.dtype, size: float) -> None:
    """Near to double precision, also where the squares leave the range of float16."""
    torch.manual_seed(0)
    x, norm = (size * torch.randn(2, 5, 8)).to(dtype), LayerNorm(8).to(dtype)
    y = norm(x)
    assert y.dtype == dtype and y.isfinite().all()
    assert_close(y.double(), LayerNorm(8).double()(x.double()), atol=0.01, rtol=0.01)
    assert torch.equal(y, nn.LayerNorm(8).to(dtype)(x))


def test_a_word_of_equal_features_becomes_the_bias() -> None:
    gain, bias = torch.randn(2, 6)
    x = torch.full((1, 2, 6), 7.0, requires_grad=True)
    y = layer_norm(x, gain, bias)
    assert_close(y, bias.expand(1, 2, 6))
    assert torch.autograd.grad(y.square().sum(), x)[0].isfinite().all()


def test_another_width_is_refused() -> None:
    with pytest.raises(RuntimeError, match="size"):
        LayerNorm(6)(torch.ones(2, 5, 7))


# ---- FeedForward ----


def test_feed_forward_by_hand() -> None:
    """widen: x and -x; the ReLU keeps one of them; narrow: their sum, 10 times, plus 1."""
    net = FeedForward(1, 2)
    with torch.no_grad():
        for weight, values in zip(net.parameters(), ([[1.0], [-1.0]], [0, 0], [[10, 10]], [1])):
            weight.copy_(torch.tensor(values))
    assert net(torch.tensor([[3.0], [-2.0], [0.0]])).flatten().tolist() == [31.0, 21.0, 1.0]


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_feed_forward_has_the_outputs_and_gradients_of_torch(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = FeedForward(6, 11).to(dtype)
    theirs = nn.Sequential(net.widen, nn.ReLU(), net.narrow)
    x = torch.randn(2, 5, 6, dtype=dtype, requires_grad=True)
    pull = torch.randn(2, 5, 6, dtype=dtype)
    assert_close(net(x), theirs(x), **near(dtype))
    for own, other in zip(
        torch.autograd.grad((net(x) * pull).sum(), (x, *net.parameters())),
        torch.autograd.grad((theirs(x) * pull).sum(), (x, *net.parameters())),
        strict=True,
    ):
        assert_close(own, other, **near(dtype))
    assert sum(p.numel() for p in net.parameters()) == 6 * 11 + 11 + 11 * 6 + 6


@QUICK
@given(
    front=st.lists(st.integers(0, 4), max_size=3), d_model=SIZES, d_ff=SIZES,
    seed=st.integers(0, 10**6),
)
def test_feed_forward_treats_each_position_alone(
    front: list[int], d_model: int, d_ff: int, seed: int
) -> None:
    torch.manual_seed(seed)
    net, x = FeedForward(d_model, d_ff), torch.randn(*front, d_model)
    y = net(x)
    assert y.shape == x.shape
    rows = [net(row) for row in x.reshape(-1, d_model)]
    if rows:
        assert_close(torch.stack(rows).reshape(x.shape), y)


def test_dropout_stands_on_the_wide_vector_and_only_in_training() -> None:
    torch.manual_seed(0)
    net, x = FeedForward(6, 11, dropout=1.0), torch.randn(2, 5, 6)
    assert_close(net.train()(x), net.narrow.bias.expand(2, 5, 6))
    assert_close(net.eval()(x), net.narrow(net.widen(x).relu()))


# ---- AddNorm ----


def double(x: Tensor) -> Tensor:
    return 2 * x


@pytest.mark.parametrize("pre_norm", [False, True])
def test_add_norm_is_its_formula(pre_norm: bool) -> None:
    torch.manual_seed(0)
    step, x = AddNorm(6, 0.0, pre_norm), torch.randn(2, 5, 6)
    nn.init.normal_(step.norm.gain)
    want = x + 2 * step.norm(x) if pre_norm else step.norm(3 * x)
    assert_close(step(x, double), want)


def test_the_residual_adds_x_itself_in_pre_norm() -> None:
    x = torch.randn(2, 5, 6)
    assert torch.equal(AddNorm(6, 0.0, True)(x, torch.zeros_like), x)
    norm = AddNorm(6, 0.0, False)
    assert_close(norm(x, torch.zeros_like), norm.norm(x))


@pytest.mark.parametrize("pre_norm", [False, True])
def test_add_norm_drops_the_sublayer_and_never_x(pre_norm: bool) -> None:
    step, x = AddNorm(6, 1.0, pre_norm), torch.randn(2, 5, 6)
    assert_close(step.train()(x, double), x if pre_norm else step.norm(x))
    assert not torch.allclose(step.eval()(x, double), step.train()(x, double))


# ---- EncoderLayer ----


def as_torch(layer: EncoderLayer, pre_norm: bool, dropout: float = 0.0) -> nn.Module:
    """Torch's layer of the same sizes, with copies of our weights."""
    d_ff, d_model = layer.feed_forward.widen.weight.shape
    theirs = nn.TransformerEncoderLayer(
        d_model, layer.attention.n_heads, d_ff, dropout, batch_first=True, norm_first=pre_norm
    )
    own = list(layer.parameters())
    packed = [torch.cat(own[0:6:2]), torch.cat(own[1:6:2]), *own[6:]]
    for weight, ours in zip(theirs.parameters(), packed, strict=True):
        weight.data = ours.detach().clone()
    return theirs


def made_up_layer(dtype: torch.dtype, pre_norm: bool) -> EncoderLayer:
    torch.manual_seed(0)
    layer = EncoderLayer(12, 3, 20, pre_norm=pre_norm).to(dtype)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return layer


REAL = torch.arange(5) < torch.tensor([[5], [3]])         # (2, 5), the second row is padded


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", ["none", "padding", "causal", "both"])
def test_encoder_layer_has_the_outputs_and_gradients_of_torch(
    dtype: torch.dtype, pre_norm: bool, training: bool, kind: str
) -> None:
    layer = made_up_layer(dtype, pre_norm).train(training)
    theirs = as_torch(layer, pre_norm).train(training)
    x = torch.randn(2, 5, 12, dtype=dtype, requires_grad=True)
    real, past = REAL.unsqueeze(1), causal_mask(5)
    mask = {"none": None, "padding": real, "causal": past, "both": real & past}[kind]
    ours = layer(x, mask)
    other = theirs(
        x,
        None if kind in ("none", "padding") else ~past,
        None if kind in ("none", "causal") else ~REAL,
    )
    assert_close(ours, other, **near(dtype))
    pull = torch.randn(2, 5, 12, dtype=dtype)
    own = torch.autograd.grad((ours * pull).sum(), (x, *layer.parameters()))
    their = torch.autograd.grad((other * pull).sum(), (x, *theirs.parameters()))
    own = [own[0], torch.cat(own[1:7:2]), torch.cat(own[2:7:2]), *own[7:]]
    for a, b in zip(own, their, strict=True):
        assert_close(a, b, atol=10 * TOLERANCES[dtype], rtol=10 * TOLERANCES[dtype])


@pytest.mark.parametrize("pre_norm", [False, True])
def test_real_words_on_torchs_fast_path(pre_norm: bool) -> None:
    """In eval mode without gradients torch computes by another route."""
    torch.manual_seed(0)
    layer = EncoderLayer(12, 4, 20, pre_norm=pre_norm).eval()
    theirs, x = as_torch(layer, pre_norm).eval(), torch.randn(2, 5, 12)
    with torch.no_grad():
        ours = layer(x, REAL.unsqueeze(1))
        assert_close(ours[REAL], theirs(x, src_key_padding_mask=~REAL)[REAL], **near(x.dtype))


def test_parameters_at_the_base_size() -> None:
    layer = EncoderLayer(512, 8, 2048)
    sizes = {name: sum(p.numel() for p in part.parameters())
             for name, part in layer.named_children()}
    assert sizes == {
        "attention": 1_050_624, "feed_forward": 2_099_712, "add_norm1": 1024, "add_norm2": 1024,
    }


@pytest.mark.parametrize("pre_norm", [False, True])
def test_padding_and_the_neighbour_in_the_batch_have_no_influence(pre_norm: bool) -> None:
    layer, x = made_up_layer(torch.float64, pre_norm), torch.randn(2, 5, 12).double()
    y, other = layer(x, REAL.unsqueeze(1)), x.clone()
    other[1, 3:] = 100.0
    assert_close(layer(other, REAL.unsqueeze(1))[REAL], y[REAL])
    assert_close(layer(x[1:, :3])[0], y[1, :3])


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_word_that_may_look_nowhere_stays_finite(pre_norm: bool) -> None:
    layer, x = made_up_layer(torch.float32, pre_norm), torch.randn(2, 5, 12, requires_grad=True)
    mask = torch.ones(2, 5, 5, dtype=torch.bool)
    mask[1] = False
    y = layer(x, mask)
    assert y.isfinite().all()
    leaves = [x, *layer.parameters()]
    assert all(g.isfinite().all() for g in torch.autograd.grad(y.square().sum(), leaves))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("pre_norm", [False, True])
def test_encoder_layer_in_low_precision(dtype: torch.dtype, pre_norm: bool) -> None:
    layer, x = made_up_layer(torch.float64, pre_norm), torch.randn(2, 5, 12).double()
    want = layer(x, causal_mask(5))
    y = layer.to(dtype)(x.to(dtype), causal_mask(5))
    assert y.dtype == dtype
    assert_close(y.double(), want, atol=0.2, rtol=0.1)


@QUICK
@given(
    batch=st.integers(0, 3), seq_len=st.integers(0, 5), d_k=SIZES, n_heads=st.integers(1, 3),
    pre_norm=st.booleans(), seed=st.integers(0, 10**6),
)
def test_encoder_layer_keeps_shapes_and_permutes_with_its_input(
    batch: int, seq_len: int, d_k: int, n_heads: int, pre_norm: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    d_model = n_heads * d_k
    layer = EncoderLayer(d_model, n_heads, 7, pre_norm=pre_norm).double()
    x, order = torch.randn(batch, seq_len, d_model).double(), torch.randperm(seq_len)
    y = layer(x)
    assert y.shape == x.shape and y.isfinite().all()
    assert_close(layer(x[:, order]), y[:, order], atol=1e-6, rtol=1e-6)


def test_widths_and_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="5 heads do not divide d_model 12"):
        EncoderLayer(12, 5, 20)
    layer, x = EncoderLayer(12, 3, 20), torch.randn(2, 5, 12)
    with pytest.raises(TypeError, match="bool"):
        layer(x, torch.ones(5, 5))
    with pytest.raises(ValueError, match="does not fit"):
        layer(x, torch.ones(2, 1, 4, dtype=torch.bool))
    with pytest.raises(RuntimeError, match=r"shape|size"):
        layer(torch.randn(2, 5, 11))


@pytest.mark.parametrize("pre_norm", [False, True])
def test_dropout_of_the_layer_is_off_in_eval_mode(pre_norm: bool) -> None:
    torch.manual_seed(0)
    layer, x = EncoderLayer(12, 3, 20, 0.5, pre_norm), torch.randn(2, 5, 12)
    assert not torch.equal(layer(x), layer(x))
    assert_close(layer.eval()(x), as_torch(layer, pre_norm, 0.5).eval()(x))

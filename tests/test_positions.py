"""The positions of utils/transformer.py."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from utils.transformer import (
    LearnedPositions,
    SinusoidalPositions,
    rows_of_table,
    sinusoidal_encoding,
)

DTYPES = [(torch.float32, 1e-5), (torch.float64, 1e-10)]
HALVES = [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)]
EVEN = st.integers(1, 9).map(lambda half: 2 * half)
QUICK = settings(deadline=None, max_examples=30, derandomize=True)

# --- sinusoidal_encoding ---------------------------------------------------------------------


def test_sinusoid_by_hand():
    table = sinusoidal_encoding(3, 4, torch.float64)
    want = [[0, 1, 0, 1],
            [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)],
            [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)]]
    assert_close(table, torch.tensor(want, dtype=torch.float64), atol=1e-15, rtol=0)


@pytest.mark.parametrize("dtype, near", DTYPES)
def test_sinusoid_is_the_formula_far_out(dtype, near):
    table = sinusoidal_encoding(5001, 6, dtype)
    assert table.dtype == dtype
    want = [wave(5000 / 10000 ** (2 * i / 6)) for i in range(3) for wave in (math.sin, math.cos)]
    assert_close(table[5000], torch.tensor(want, dtype=dtype), atol=near, rtol=0)


@QUICK
@given(seq_len=st.integers(0, 40), d_model=EVEN)
def test_sinusoid_has_pairs_of_length_one_and_its_own_beginning(seq_len, d_model):
    table = sinusoidal_encoding(seq_len, d_model, torch.float64)
    assert table.shape == (seq_len, d_model)
    lengths = table.unflatten(1, (-1, 2)).norm(dim=-1)
    assert_close(lengths, torch.ones_like(lengths))
    assert torch.equal(table, sinusoidal_encoding(seq_len + 3, d_model, torch.float64)[:seq_len])


@QUICK
@given(offset=st.integers(0, 50), d_model=EVEN)
def test_one_matrix_moves_every_position_by_an_offset(offset, d_model):
    table = sinusoidal_encoding(80, d_model, torch.float64)
    speed = 10000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    sin, cos = (offset * speed).sin(), (offset * speed).cos()
    matrix = torch.block_diag(*torch.stack([cos, sin, -sin, cos], -1).view(-1, 2, 2))
    assert (table[: 80 - offset] @ matrix.T - table[offset:]).abs().max() < 1e-10


@pytest.mark.parametrize("d_model", [1, 3, 7, 511])
def test_an_odd_width_is_refused(d_model):
    with pytest.raises(ValueError, match=f"d_model must be even to make pairs, got {d_model}"):
        sinusoidal_encoding(5, d_model)


@pytest.mark.parametrize("dtype, near", HALVES)
def test_sinusoid_in_half_precision(dtype, near):
    table = sinusoidal_encoding(2000, 8, dtype)
    assert table.dtype == dtype
    assert_close(table.double(), sinusoidal_encoding(2000, 8, torch.float64), atol=near, rtol=0)


# --- rows_of_table and the two modules -------------------------------------------------------


def test_rows_of_table():
    table = torch.arange(12.0).view(6, 2)
    assert torch.equal(rows_of_table(table, 0, 6), table)
    assert torch.equal(rows_of_table(table, 4, 2), table[4:])
    assert rows_of_table(table, 6, 0).shape == (0, 2)


@pytest.mark.parametrize("start, seq_len", [(0, 7), (6, 1), (5, 2), (-1, 2), (100, 1)])
def test_rows_beyond_the_table_are_refused(start, seq_len):
    with pytest.raises(ValueError, match=r"the table ends at 5: raise max_len"):
        rows_of_table(torch.zeros(6, 2), start, seq_len)


@pytest.mark.parametrize("kind", [SinusoidalPositions, LearnedPositions])
@pytest.mark.parametrize("dtype, near", DTYPES)
def test_positions_equal_a_look_up_forward_and_gradient(kind, dtype, near):
    torch.manual_seed(0)
    module = kind(10, max_len=9).to(dtype)
    table = nn.Embedding(9, 10, _weight=module.table.detach().clone())
    x = torch.randn(2, 5, 10, dtype=dtype, requires_grad=True)
    pull = torch.randn(2, 5, 10, dtype=dtype)
    ours, theirs = module(x, start=3), x + table(torch.arange(3, 8))
    assert_close(ours, theirs, atol=near, rtol=near)
    for total in (ours, theirs):
        (total * pull).sum().backward()
    assert_close(x.grad, 2 * pull, atol=near, rtol=near)
    if kind is LearnedPositions:
        assert_close(module.table.grad, table.weight.grad, atol=near, rtol=near)
        assert not module.table.grad[:3].any() and not module.table.grad[8:].any()


@pytest.mark.parametrize("kind", [SinusoidalPositions, LearnedPositions])
def test_positions_do_not_depend_on_the_batch_and_go_on_from_start(kind):
    torch.manual_seed(0)
    module, x = kind(6, max_len=11), torch.randn(3, 8, 6)
    whole = module(x)
    assert_close(whole[1:2], module(x[1:2]))
    assert_close(whole[:, 5:], module(x[:, 5:], start=5))
    assert_close(whole[:, 7:], module(x[:, 7:], start=7))
    assert module(x[:, :0]).shape == (3, 0, 6)
    assert module(x[:0]).shape == (0, 8, 6)


@pytest.mark.parametrize("kind", [SinusoidalPositions, LearnedPositions])
def test_positions_beyond_max_len_are_refused(kind):
    module = kind(6, max_len=4)
    module(torch.zeros(2, 4, 6))
    with pytest.raises(ValueError, match="positions 0 to 4 are asked for"):
        module(torch.zeros(2, 5, 6))
    with pytest.raises(ValueError, match="positions 4 to 4"):
        module(torch.zeros(2, 1, 6), start=4)


def test_the_sinusoid_is_a_buffer_and_the_learned_table_a_parameter():
    fixed, learned = SinusoidalPositions(6, max_len=4), LearnedPositions(6, max_len=4)
    assert list(fixed.state_dict()) == ["table"] == list(learned.state_dict())
    assert list(fixed.parameters()) == []
    assert [p.shape for p in learned.parameters()] == [(4, 6)]
    assert fixed.to("meta").table.device.type == "meta"
    assert fixed.table.dtype == torch.float32
    assert SinusoidalPositions(6).double().table.dtype == torch.float64
    with pytest.raises(ValueError, match="even"):
        SinusoidalPositions(7)
    assert LearnedPositions(7)(torch.zeros(1, 2, 7)).shape == (1, 2, 7)


@pytest.mark.parametrize("dtype, near", HALVES)
@pytest.mark.parametrize("kind", [SinusoidalPositions, LearnedPositions])
def test_positions_in_half_precision(kind, dtype, near):
    torch.manual_seed(0)
    module, x = kind(6, max_len=9), torch.rand(2, 5, 6)
    want = module(x)
    got = module.to(dtype)(x.to(dtype))
    assert got.dtype == dtype
    assert_close(got.float(), want, atol=2 * near, rtol=near)

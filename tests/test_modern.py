"""The definitions of utils/modern.py, and the kept table of what its blocks score."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from tools import block_variants
from utils.attention import MultiHeadAttention, causal_mask
from utils.models import ModelUnavailable, load_runs
from utils.modern import (
    MODERN,
    RECIPES,
    GroupedQueryAttention,
    Recipe,
    RMSNorm,
    SwiGLU,
    Writer,
    by_place,
    grouped_attention,
    root_mean_square_norm,
    train_writer,
    writer_of,
)
from utils.transformer import Encoder, FeedForward, TokenEmbedding
from utils.variants import alibi_attention, rotary_attention, window_mask

DTYPES = [(torch.float32, 1e-5), (torch.float64, 1e-10)]
QUICK = settings(deadline=None, max_examples=25, derandomize=True)
V = 23

# --- grouped attention -----------------------------------------------------------------------


@QUICK
@given(n_kv_heads=st.integers(1, 4), group=st.integers(1, 4), tgt_len=st.integers(1, 6),
       src_len=st.integers(1, 6), masked=st.booleans())
def test_grouped_attention_equals_torch(n_kv_heads, group, tgt_len, src_len, masked) -> None:
    draws = torch.Generator().manual_seed(src_len)
    q = torch.randn(2, n_kv_heads * group, tgt_len, 5, dtype=torch.float64, generator=draws)
    k, v = torch.randn(2, 2, n_kv_heads, src_len, 5, dtype=torch.float64, generator=draws)
    mask = None
    if masked:
        mask = torch.rand(2, 1, tgt_len, src_len, generator=draws) < 0.6
        mask[..., 0] = True
    theirs = F.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)
    context, weights = grouped_attention(q, k, v, mask)
    assert_close(context, theirs, atol=1e-10, rtol=1e-10)
    assert weights.shape == (2, n_kv_heads * group, tgt_len, src_len)


def test_a_bias_is_added_to_the_scores() -> None:
    torch.manual_seed(0)
    q, (k, v), bias = torch.randn(2, 6, 4, 5), torch.randn(2, 2, 3, 4, 5), torch.randn(6, 4, 4)
    mask = causal_mask(4)
    allowed = bias.masked_fill(~mask, -torch.inf).expand(2, 6, 4, 4)
    theirs = F.scaled_dot_product_attention(q, k, v, allowed, enable_gqa=True)
    assert_close(grouped_attention(q, k, v, mask, bias)[0], theirs)
    zero = torch.zeros(6, 4, 4)
    for with_bias, without in zip(grouped_attention(q, k, v, mask, zero),
                                  grouped_attention(q, k, v, mask)):
        assert_close(with_bias, without)


def test_groups_of_unequal_size_are_refused() -> None:
    with pytest.raises(ValueError, match="4 key heads do not divide 6"):
        grouped_attention(torch.ones(1, 6, 2, 3), *torch.ones(2, 1, 4, 2, 3))
    for sizes in ((10, 3, 1), (12, 6, 4)):
        with pytest.raises(ValueError, match="no divisor"):
            GroupedQueryAttention(*sizes)


@pytest.mark.parametrize("positions, theirs", [
    ("none", lambda old, x, mask: old(x, x, x, mask)),
    ("rotary", rotary_attention), ("alibi", alibi_attention)])
def test_with_all_heads_it_is_the_attention_of_earlier_lessons(positions, theirs) -> None:
    torch.manual_seed(0)
    old = MultiHeadAttention(24, 4)
    new = GroupedQueryAttention(24, 4, 4, positions)
    new.load_state_dict(old.state_dict())
    x, mask = torch.randn(2, 7, 24), causal_mask(7)
    for ours, other in zip(new(x, mask), theirs(old, x, mask)):
        assert_close(ours, other)


# --- RMSNorm and SwiGLU ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype, near", DTYPES)
def test_rms_norm_equals_torch_forward_and_gradient(dtype, near) -> None:
    torch.manual_seed(0)
    x = 3 * torch.randn(2, 5, 12, dtype=dtype) + 1
    x.requires_grad_()
    gain = torch.randn(12, dtype=dtype, requires_grad=True)
    both = root_mean_square_norm(x, gain, 0.1), F.rms_norm(x, (12,), gain, 0.1)
    pulls = [torch.autograd.grad(y.sin().sum(), (x, gain)) for y in both]
    assert_close(*both, atol=near, rtol=near)
    assert_close(*pulls, atol=near, rtol=near)
    assert_close(RMSNorm(12)(x.float()), nn.RMSNorm(12, eps=1e-6)(x.float()))


def test_rms_norm_squares_in_float32() -> None:
    x = torch.full((1, 4), 300.0, dtype=torch.float16)
    assert root_mean_square_norm(x, torch.ones(4, dtype=torch.float16)).tolist() == [[1.0] * 4]


def test_swiglu_is_the_formula_with_as_many_weights_as_the_net_that_it_replaces() -> None:
    torch.manual_seed(0)
    net, x = SwiGLU(12, 30), torch.randn(2, 5, 12)
    gate = x @ net.gate.weight.T
    want = (gate / (1 + (-gate).exp()) * (x @ net.widen.weight.T)) @ net.narrow.weight.T
    assert_close(net(x), want)
    for d_ff in (96, 256, 2048):
        old, new = (sum(p.numel() for p in kind(64, d_ff).parameters())
                    for kind in (FeedForward, SwiGLU))
        assert abs(new / old - 1) < 0.02


# --- blocks and writers ----------------------------------------------------------------------


def test_the_recipe_of_2017_is_the_block_of_lesson_10() -> None:
    class Old(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = TokenEmbedding(V, 64, max_len=96)
            self.encoder = Encoder(2, 64, 8, 40)
            self.out = nn.Linear(64, V)

        def forward(self, tokens):
            mask = causal_mask(tokens.size(1))
            return self.out(self.encoder(self.embedding(tokens), mask))

    old, new = Old(), Writer(Recipe(), V, 40)
    new.load_state_dict(dict(zip(new.state_dict(), old.state_dict().values(), strict=True)))
    tokens = torch.randint(V, (3, 11))
    assert_close(new(tokens), old(tokens))


@pytest.mark.parametrize("name", RECIPES)
def test_no_writer_sees_the_future(name: str) -> None:
    torch.manual_seed(0)
    writer = writer_of(RECIPES[name], V, 60_000).eval()
    tokens = torch.randint(V, (2, 9))
    for place in range(9):
        other = tokens.clone()
        other[:, place] = (tokens[:, place] + 1) % V
        moved = (writer(other) - writer(tokens)).abs().amax(dim=(0, 2)) > 1e-5
        assert moved.tolist()[: place + 1] == [False] * place + [True]


@pytest.mark.parametrize("name", RECIPES)
def test_all_writers_have_as_many_parameters(name: str) -> None:
    wanted = sum(p.numel() for p in Writer(Recipe(), 282, 256).parameters())
    before = torch.random.get_rng_state()
    writer_of(RECIPES[name], 282, wanted)
    torch.random.set_rng_state(before)
    writer = writer_of(RECIPES[name], 282, wanted)
    assert abs(sum(p.numel() for p in writer.parameters()) / wanted - 1) < 0.002


def test_finding_the_width_draws_nothing() -> None:
    torch.manual_seed(3)
    writer = writer_of(Recipe(), V, 60_000)
    torch.manual_seed(3)
    same = Writer(Recipe(), V, writer.blocks[0].feed_forward.narrow.in_features)
    for ours, theirs in zip(writer.parameters(), same.parameters()):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("positions", ["sinusoid", "learned"])
def test_added_positions_end(positions: str) -> None:
    writer = Writer(Recipe(positions=positions), V, 20)
    with pytest.raises(ValueError, match="max_len"):
        writer(torch.zeros(1, 97, dtype=torch.long))


def test_training_lowers_the_loss_and_ends_in_eval_mode() -> None:
    torch.manual_seed(0)
    words = torch.arange(6).repeat(60)
    writer = writer_of(MODERN, 6, 60_000)
    losses = train_writer(writer, words, n_steps=60)
    assert len(losses) == 60 and losses[-1] < 0.2 < losses[0] and not writer.training


def test_by_place_reads_each_word_at_each_length() -> None:
    class Counts(nn.Module):
        """Says the next number, right at the first 4 places alone."""

        def forward(self, tokens, mask=None):
            shift = torch.where(torch.arange(tokens.size(1)) < 4, 1, 2)
            return 50.0 * F.one_hot((tokens + shift) % 40, 40).float()

    losses, rights = by_place(Counts(), torch.arange(40), trained=4, times=3)
    assert rights.tolist() == [1.0, 0.0, 0.0]
    assert_close(losses, torch.tensor([0.0, 50.0, 50.0]), atol=1e-3, rtol=0)


def test_by_place_hands_the_mask_on() -> None:
    torch.manual_seed(0)
    writer, words = writer_of(MODERN, V, 60_000).eval(), torch.randint(V, (200,))
    plain = by_place(writer, words, trained=8)
    same = by_place(writer, words, causal_mask(24), trained=8)
    window = by_place(writer, words, window_mask(24, 8), trained=8)
    assert_close(plain, same)
    assert_close(window[0][0], plain[0][0])
    assert not torch.allclose(window[0][1:], plain[0][1:], atol=1e-6)


# --- the kept table --------------------------------------------------------------------------

RUNS = load_runs("block_variants")


def test_the_kept_table_has_every_recipe_with_three_seeds_at_one_rate() -> None:
    for name in RECIPES:
        mine = [run for run in RUNS if run["block"] == name]
        chosen = [run for run in mine if run["chosen"] == "yes"]
        assert [run["seed"] for run in chosen] == [0, 1, 2], name
        assert len({run["rate"] for run in chosen}) == 1
        tried = [run for run in mine if run["seed"] == 0]
        assert sorted(run["rate"] for run in tried) == sorted(block_variants.rates_of(name))
        assert min(tried, key=lambda run: run["valid_loss"])["rate"] == chosen[0]["rate"]
    assert {run["block"] for run in RUNS} == set(RECIPES)
    assert list(RUNS[0]) == block_variants.FIELDS


def test_the_kept_sizes_are_those_of_the_writers() -> None:
    wanted = next(run["parameters"] for run in RUNS if run["block"] == "block of 2017")
    for name, recipe in RECIPES.items():
        writer = writer_of(recipe, 282, wanted)
        sizes = {(run["parameters"], run["d_ff"]) for run in RUNS if run["block"] == name}
        n_parameters = sum(p.numel() for p in writer.parameters())
        assert sizes == {(n_parameters, writer.blocks[0].feed_forward.narrow.in_features)}


def test_blocks_with_other_heads_of_keys_take_the_rate_of_2017() -> None:
    rates = {name: block_variants.rates_of(name) for name in RECIPES}
    assert {name for name in RECIPES if len(rates[name]) == 1} == {
        "4 key heads", "2 key heads", "1 key head"}
    of_2017 = {run["rate"] for run in RUNS if run["block"] == "block of 2017"
               and run["chosen"] == "yes"}
    assert of_2017 == {*rates["1 key head"]}


def test_a_table_is_written_as_it_is_read(tmp_path) -> None:
    path = tmp_path / "block_variants.tsv"
    block_variants.write_table(RUNS, path)
    assert path.read_text("utf-8") == block_variants.TABLE.read_text("utf-8")
    assert load_runs("block_variants", tmp_path) == RUNS


def test_a_missing_table_says_how_to_make_it(tmp_path) -> None:
    with pytest.raises(ModelUnavailable, match=r"python -m tools\.nothing"):
        load_runs("nothing", tmp_path)


def test_unknown_blocks_are_refused() -> None:
    with pytest.raises(SystemExit, match="unknown: nonsense"):
        block_variants.main(["nonsense"])

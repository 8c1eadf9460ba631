"""The definitions of utils/attention.py."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from utils.attention import (
    AdditiveScore,
    DotScore,
    GeneralScore,
    MultiHeadAttention,
    SelfAttention,
    causal_mask,
    masked_softmax,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
    stable_softmax,
)

# --- notebook 00: stable_softmax, split_heads, merge_heads ------------------------------------

SIZES = st.integers(1, 4)


def test_softmax_by_hand():
    shares = stable_softmax(torch.tensor([2.0, 0.0, -2.0]))
    assert [round(share, 2) for share in shares.tolist()] == [0.87, 0.12, 0.02]


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
def test_softmax_equals_torch_along_every_axis(dim):
    torch.manual_seed(0)
    scores = 5 * torch.randn(2, 5, 7)
    assert_close(stable_softmax(scores, dim), scores.softmax(dim))


def test_softmax_works_on_the_last_axis_unless_told():
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 5, 7)
    assert_close(stable_softmax(scores), scores.softmax(-1))


@pytest.mark.parametrize("level", [-1e30, -1000.0, 0.0, 1000.0, 1e30])
def test_softmax_is_finite_at_any_level(level):
    scores = torch.full((2, 4), level)
    assert_close(stable_softmax(scores), torch.full((2, 4), 0.25))


def test_softmax_gives_each_row_its_own_maximum():
    scores = torch.tensor([[0.0, 1.0], [5000.0, 5001.0]])
    shares = stable_softmax(scores)
    assert_close(shares[0], shares[1])
    assert_close(shares, scores.softmax(-1))


def test_softmax_gives_nothing_to_a_hidden_score():
    shares = stable_softmax(torch.tensor([1.0, float("-inf"), 1.0]))
    assert shares.tolist() == [0.5, 0.0, 0.5]


def test_softmax_has_the_gradient_of_torch():
    torch.manual_seed(0)
    scores = torch.randn(3, 5, requires_grad=True)
    weights = torch.randn(3, 5)
    (ours,) = torch.autograd.grad((stable_softmax(scores) * weights).sum(), scores)
    (torchs,) = torch.autograd.grad((scores.softmax(-1) * weights).sum(), scores)
    assert_close(ours, torchs)


def test_softmax_leaves_its_input_alone():
    scores = torch.tensor([[1.0, 2.0]])
    stable_softmax(scores)
    assert scores.tolist() == [[1.0, 2.0]]


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    scores=st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=9),
    shift=st.floats(-100, 100),
)
def test_softmax_shares_one_and_ignores_a_shift(scores, shift):
    scores = torch.tensor(scores, dtype=torch.float64)
    shares = stable_softmax(scores)
    assert (shares >= 0).all()
    assert_close(shares.sum().item(), 1.0)
    assert_close(stable_softmax(scores + shift), shares, atol=1e-9, rtol=1e-7)
    assert shares[scores.argmax()] == shares.max()


def test_split_heads_by_hand():
    x = torch.arange(24).view(1, 4, 6)
    heads = split_heads(x, 2)
    assert heads.shape == (1, 2, 4, 3)
    assert heads[0, 0].tolist() == [[0, 1, 2], [6, 7, 8], [12, 13, 14], [18, 19, 20]]
    assert heads[0, 1].tolist() == [[3, 4, 5], [9, 10, 11], [15, 16, 17], [21, 22, 23]]


@settings(deadline=None, max_examples=50, derandomize=True)
@given(batch=SIZES, seq_len=SIZES, n_heads=SIZES, d_k=SIZES)
def test_heads_are_slices_of_the_features_and_merge_undoes_it(batch, seq_len, n_heads, d_k):
    x = torch.arange(batch * seq_len * n_heads * d_k).view(batch, seq_len, n_heads * d_k)
    heads = split_heads(x, n_heads)
    assert heads.shape == (batch, n_heads, seq_len, d_k)
    for head in range(n_heads):
        assert torch.equal(heads[:, head], x[..., head * d_k : (head + 1) * d_k])
    assert torch.equal(merge_heads(heads), x)
    assert torch.equal(merge_heads(heads.contiguous()), x)
    assert torch.equal(split_heads(merge_heads(heads), n_heads), heads)


def test_gradients_flow_through_split_and_merge_unchanged():
    x = torch.randn(2, 5, 12, requires_grad=True)
    merge_heads(3 * split_heads(x, 3)).sum().backward()
    assert_close(x.grad, torch.full_like(x, 3.0))


@pytest.mark.parametrize("n_heads", [5, 7, 13])
def test_heads_that_do_not_divide_the_width_are_refused(n_heads):
    with pytest.raises(ValueError, match=f"n_heads {n_heads} does not divide d_model 12"):
        split_heads(torch.zeros(2, 5, 12), n_heads)


# --- notebook 05: masked_softmax, the three scores -------------------------------------------


def test_masked_softmax_by_hand():
    """Scores ln 1, ln 2, ln 5 are shares of 1, 2 and 5 eighths."""
    scores = torch.tensor([[1.0, 2.0, 5.0]]).log()
    for mask, shares in [
        (None, [1 / 8, 2 / 8, 5 / 8]),
        ([True, True, True], [1 / 8, 2 / 8, 5 / 8]),
        ([True, True, False], [1 / 3, 2 / 3, 0.0]),
        ([False, True, True], [0.0, 2 / 7, 5 / 7]),
        ([False, True, False], [0.0, 1.0, 0.0]),
        ([False, False, False], [0.0, 0.0, 0.0]),
    ]:
        mask = None if mask is None else torch.tensor([mask])
        assert_close(masked_softmax(scores, mask), torch.tensor([shares]))


def test_masked_softmax_equals_torch_on_the_visible_keys_alone():
    torch.manual_seed(0)
    scores = 5 * torch.randn(2, 5, 7)
    mask = torch.rand(2, 5, 7) < 0.6
    mask[..., 2] = True
    weights = masked_softmax(scores, mask)
    for row, seen, got in zip(scores.view(10, 7), mask.view(10, 7), weights.view(10, 7)):
        assert_close(got[seen], row[seen].softmax(0))


SHAPES = st.sampled_from([(3, 5, 7), (3, 1, 7), (1, 1, 7), (5, 7), (7,), (3, 5, 1), ()])


@settings(max_examples=60)
@given(
    shape=SHAPES,
    share=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    size=st.sampled_from([1.0, 1e3, 1e30]),
    seed=st.integers(0, 10**6),
)
def test_rows_sum_to_1_or_are_all_0_and_gradients_are_finite(shape, share, size, seed):
    torch.manual_seed(seed)
    scores = (size * torch.randn(3, 5, 7)).requires_grad_()
    mask = torch.rand(shape) < share
    weights = masked_softmax(scores, mask)
    seen = mask.expand(3, 5, 7)
    assert (weights[~seen] == 0).all() and (weights >= 0).all()
    assert_close(weights.sum(-1), seen.any(-1).float())
    (weights * torch.randn(3, 5, 7)).sum().backward()
    assert scores.grad.isfinite().all()
    assert (scores.grad[~seen] == 0).all()


def test_a_hidden_score_has_no_influence_whatever_it_is():
    torch.manual_seed(0)
    scores, mask = torch.randn(2, 5, 7), torch.ones(2, 1, 7, dtype=torch.bool)
    mask[:, :, 4:] = False
    before = masked_softmax(scores, mask)
    for value in (1e30, -1e30, float("inf"), float("-inf"), float("nan")):
        assert torch.equal(masked_softmax(scores.masked_fill(~mask, value), mask), before)


@pytest.mark.parametrize("value", [0.0, float("-inf"), float("nan"), 1e30])
def test_a_row_that_sees_nothing_makes_no_nan_on_the_way_back(value):
    """detect_anomaly raises where any step of the backward pass gives nan."""
    scores = torch.randn(2, 3, 4).masked_fill(torch.arange(4) > 1, value).requires_grad_()
    mask = (torch.arange(4) < 2) & torch.tensor([[True], [False], [True]])
    with torch.autograd.set_detect_anomaly(True):
        masked_softmax(scores, mask).square().sum().backward()
    assert scores.grad.isfinite().all() and scores.grad[:, 0, :2].all()


def test_a_mask_works_at_any_level_of_the_scores():
    """Filling with a large negative number instead would hide nothing at -1e30."""
    for level in (-1e30, -2e4, 2e4, 1e30):
        scores = torch.full((1, 4), level)
        weights = masked_softmax(scores, torch.tensor([[True, True, False, False]]))
        assert weights.tolist() == [[0.5, 0.5, 0.0, 0.0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_masked_softmax_in_low_precision(dtype):
    """The largest and the lowest number of the type, some hidden, and a row with nothing."""
    most = torch.finfo(dtype).max
    scores = torch.tensor([[most, -most, 0.0], [-most, -most, most], [most, most, 0.0]])
    scores = scores.to(dtype).requires_grad_()
    mask = torch.tensor([[True, True, True], [True, True, False], [False, False, False]])
    weights = masked_softmax(scores, mask)
    assert weights.dtype == dtype
    assert weights.tolist() == [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    weights.square().sum().backward()
    assert scores.grad.isfinite().all()


def test_masked_softmax_leaves_its_inputs_alone():
    scores, mask = torch.tensor([[1.0, 2.0]]), torch.tensor([[True, False]])
    masked_softmax(scores, mask)
    assert scores.tolist() == [[1.0, 2.0]] and mask.tolist() == [[True, False]]


def made_up_score(kind, d_query=4, d_key=6, d_hidden=3):
    """A score, with queries and keys that fit it; the dot product wants one width."""
    torch.manual_seed(0)
    score = {
        "dot": DotScore,
        "general": lambda: GeneralScore(d_query, d_key),
        "additive": lambda: AdditiveScore(d_query, d_key, d_hidden),
    }[kind]().double()
    d_query = d_key if kind == "dot" else d_query
    return score, torch.randn(2, 5, d_query).double(), torch.randn(2, 7, d_key).double()


def test_dot_score_by_hand():
    """3·1 + 4·1 and 3·2 + 4·0 and so on, divided by √4 = 2."""
    queries = torch.tensor([[[3.0, 4.0, 0.0, 0.0], [1.0, 0.0, 0.0, 2.0]]])
    keys = torch.tensor([[[1.0, 1.0, 9.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 5.0]]])
    assert DotScore()(queries, keys).tolist() == [[[3.5, 3.0, -2.0], [0.5, 1.0, 5.0]]]


def test_dot_score_gives_the_weights_of_torch():
    score, queries, keys = made_up_score("dot")
    weights = masked_softmax(score(queries, keys))
    assert_close(weights @ keys, F.scaled_dot_product_attention(queries, keys, keys))
    assert not list(score.parameters())


def test_general_score_by_hand():
    score = GeneralScore(2, 3)
    with torch.no_grad():
        score.map.weight.copy_(torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]))
    queries = torch.tensor([[[1.0, 10.0]]])
    keys = torch.tensor([[[1.0, 1.0, 1.0], [5.0, 0.0, 0.0]]])
    assert score(queries, keys).tolist() == [[[33.0, 5.0]]]    # W key = (3, 3) and (5, 0)


def test_general_score_equals_the_bilinear_form_of_torch():
    score, queries, keys = made_up_score("general")
    q = queries[:, :, None].expand(-1, -1, 7, -1).contiguous()
    k = keys[:, None].expand(-1, 5, -1, -1).contiguous()
    assert_close(score(queries, keys), F.bilinear(q, k, score.map.weight[None]).squeeze(-1))


def test_additive_score_by_hand():
    """v = (2, -1), both maps the identity: 2 tanh(q1 + k1) - tanh(q2 + k2)."""
    score = AdditiveScore(2, 2, 2)
    with torch.no_grad():
        score.query_map.weight.copy_(torch.eye(2))
        score.key_map.weight.copy_(torch.eye(2))
        score.v.weight.copy_(torch.tensor([[2.0, -1.0]]))
    queries, keys = torch.tensor([[[0.5, 1.0]]]), torch.tensor([[[-0.5, -1.0], [0.5, 9.0]]])
    first, second = score(queries, keys)[0, 0].tolist()
    assert first == 0.0
    assert abs(second - (2 * 0.761594 - 1.0)) < 1e-5           # tanh 1 = 0.761594


def test_additive_score_equals_a_loop_over_the_pairs():
    score, queries, keys = made_up_score("additive")
    w, u, v = (m.weight for m in (score.query_map, score.key_map, score.v))
    got = score(queries, keys)
    assert got.shape == (2, 5, 7)
    for b in range(2):
        for t, query in enumerate(queries[b]):
            for s, key in enumerate(keys[b]):
                assert_close(got[b, t, s], (v[0] * torch.tanh(w @ query + u @ key)).sum())


@pytest.mark.parametrize("kind", ["dot", "general", "additive"])
def test_scores_follow_queries_and_keys_and_sentences_do_not_mix(kind):
    score, queries, keys = made_up_score(kind)
    scores = score(queries, keys)
    assert scores.shape == (2, 5, 7)
    order, other = torch.tensor([2, 0, 1, 4, 6, 5, 3]), torch.tensor([4, 2, 0, 1, 3])
    assert_close(score(queries, keys[:, order]), scores[:, :, order])
    assert_close(score(queries[:, other], keys), scores[:, other])
    assert (scores[:, :, order] != scores).any(-1).all()
    assert (scores[:, other] != scores).any(1).all()
    assert_close(score(queries[1:], keys[1:]), scores[1:])


@pytest.mark.parametrize("kind", ["dot", "general", "additive"])
def test_scores_have_gradients_everywhere(kind):
    score, queries, keys = made_up_score(kind)
    leaves = [queries.requires_grad_(), keys.requires_grad_(), *score.parameters()]
    score(queries, keys).square().sum().backward()
    assert all(leaf.grad.isfinite().all() and leaf.grad.any() for leaf in leaves)


@pytest.mark.parametrize("kind", ["dot", "general", "additive"])
def test_widths_that_do_not_fit_are_refused(kind):
    score, queries, keys = made_up_score(kind)
    for wrong in ((queries[..., :-1], keys), (queries, keys[..., :-1])):
        with pytest.raises(RuntimeError, match=r"size|shape"):
            score(*wrong)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["dot", "general", "additive"])
def test_scores_in_low_precision(kind, dtype):
    """Close to those in double precision; then weights with padding are finite shares."""
    score, queries, keys = made_up_score(kind)
    wanted = score(queries, keys)
    scores = score.to(dtype)(queries.to(dtype), keys.to(dtype))
    assert scores.dtype == dtype
    assert_close(scores.double(), wanted, atol=0.1, rtol=0.05)
    weights = masked_softmax(scores, torch.arange(7) < 4)
    assert weights.isfinite().all() and not weights[..., 4:].any()
    assert_close(weights.double().sum(-1), torch.ones(2, 5).double(), atol=0.02, rtol=0)


# --- notebook 07: scaled_dot_product_attention, causal_mask, SelfAttention --------------------

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}


def made_up_qkv(dtype=torch.float32, tgt_len=5, src_len=7):
    """Random q, k, v of 2 sentences and 3 heads that want gradients."""
    torch.manual_seed(0)
    shapes = (2, 3, tgt_len, 8), (2, 3, src_len, 8), (2, 3, src_len, 6)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def made_up_mask(kind, tgt_len=5, src_len=7):
    """A padding mask of two unequal lengths, a mask of holes, or the causal one."""
    torch.manual_seed(1)
    lengths = torch.tensor([src_len, src_len - 3]).view(2, 1, 1, 1)
    holes = torch.rand(2, 1, tgt_len, src_len) < 0.5
    holes[..., 0] = True
    masks = {
        "none": None,
        "padding": torch.arange(src_len) < lengths,
        "holes": holes,
        "causal": causal_mask(src_len)[:tgt_len],
    }
    return masks[kind]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("kind", ["none", "padding", "holes", "causal"])
def test_attention_has_the_outputs_and_gradients_of_torch(dtype, kind):
    q, k, v = made_up_qkv(dtype)
    mask, near = made_up_mask(kind), dict(atol=TOLERANCES[dtype], rtol=TOLERANCES[dtype])
    context, weights = scaled_dot_product_attention(q, k, v, mask)
    expected = F.scaled_dot_product_attention(q, k, v, mask)
    assert_close(context, expected, **near)
    assert_close(weights.sum(-1), torch.ones(2, 3, 5, dtype=dtype), **near)
    pull = torch.randn(context.shape, dtype=dtype)
    ours = torch.autograd.grad((context * pull).sum(), (q, k, v))
    theirs = torch.autograd.grad((expected * pull).sum(), (q, k, v))
    for own, other in zip(ours, theirs):
        assert_close(own, other, **near)


def test_attention_by_hand():
    q, k = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.zeros(3, 4)
    k[:, 0] = torch.tensor([4.0, 0.0, -4.0])    # divided by √4: scores 2, 0, -2
    context, weights = scaled_dot_product_attention(q, k, torch.tensor([[10.0], [20.0], [30.0]]))
    assert [round(w, 2) for w in weights[0].tolist()] == [0.87, 0.12, 0.02]
    assert round(context.item(), 1) == 11.5


def test_a_query_that_sees_nothing_gets_zeros_and_harms_no_gradient():
    q, k, v = made_up_qkv()
    mask = made_up_mask("holes")
    mask[1, :, 2] = False
    context, weights = scaled_dot_product_attention(q, k, v, mask)
    assert not context[1, :, 2].any() and not weights[1, :, 2].any()
    for gradient in torch.autograd.grad(context.square().sum(), (q, k, v)):
        assert gradient.isfinite().all() and gradient.any()


def test_hidden_keys_have_no_influence():
    q, k, v = made_up_qkv()
    mask = made_up_mask("padding")
    context, _ = scaled_dot_product_attention(q, k, v, mask)
    other_k, other_v = k.clone(), v.clone()
    other_k[1, :, 4:] = 100.0
    other_v[1, :, 4:] = -100.0
    again, _ = scaled_dot_product_attention(q, other_k, other_v, mask)
    assert_close(again, context)
    assert_close(
        scaled_dot_product_attention(q[1:], k[1:, :, :4], v[1:, :, :4])[0], context[1:]
    )


def test_heads_in_front_change_nothing():
    q, k, v = made_up_qkv()
    context, weights = scaled_dot_product_attention(q, k, v)
    one_context, one_weights = scaled_dot_product_attention(q[1, 2], k[1, 2], v[1, 2])
    assert_close(context[1, 2], one_context)
    assert_close(weights[1, 2], one_weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1.0, 60.0])
def test_low_precision_stays_finite(dtype, size):
    """60 · 60 · 64 is more than float16 can hold: the scaling must come before the product."""
    q = torch.full((1, 2, 64), size, dtype=dtype)
    context, weights = scaled_dot_product_attention(q, q, q, causal_mask(2))
    assert context.dtype == weights.dtype == dtype
    assert context.isfinite().all() and weights.isfinite().all()
    assert_close(weights[0, 1].float(), torch.full((2,), 0.5))


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("tgt_len, src_len", [(0, 7), (5, 0), (0, 0), (1, 1), (1, 7), (5, 1)])
@pytest.mark.parametrize("masked", [False, True])
def test_the_smallest_sizes(batch, tgt_len, src_len, masked):
    q, k, v = (torch.ones(batch, n, d) for n, d in ((tgt_len, 4), (src_len, 4), (src_len, 6)))
    mask = torch.ones(batch, 1, src_len, dtype=torch.bool) if masked else None
    context, weights = scaled_dot_product_attention(q, k, v, mask)
    assert context.shape == (batch, tgt_len, 6) and weights.shape == (batch, tgt_len, src_len)
    assert_close(context, torch.full_like(context, 1.0 if src_len else 0.0))


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(5, 7),
        torch.ones(5, 7, dtype=torch.long),
        torch.zeros(5, 7).masked_fill(torch.ones(5, 7).triu(1).bool(), float("-inf")),
    ],
)
def test_a_mask_of_another_type_is_refused(mask):
    with pytest.raises(TypeError, match="want a bool mask, True = may look"):
        scaled_dot_product_attention(*made_up_qkv(), mask)


@pytest.mark.parametrize("shape", [(7, 5), (5, 5), (3, 1, 5, 7), (2, 2, 5, 7), (2, 7), (1,) * 5])
def test_a_mask_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"does not fit scores \(2, 3, 5, 7\)"):
        scaled_dot_product_attention(*made_up_qkv(), torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("shape", [(5, 7), (7,), (1, 7), (5, 1), (2, 1, 1, 7), (2, 3, 5, 7), ()])
def test_a_mask_that_broadcasts_is_accepted(shape):
    q, k, v = made_up_qkv()
    context, _ = scaled_dot_product_attention(q, k, v, torch.ones(shape, dtype=torch.bool))
    assert_close(context, scaled_dot_product_attention(q, k, v)[0])


@pytest.mark.parametrize("wrong", ["k", "v"])
def test_sizes_that_do_not_fit_are_refused(wrong):
    q, k, v = made_up_qkv()
    given = (q, k[..., :3], v) if wrong == "k" else (q, k, v[:, :, :6])
    with pytest.raises(ValueError, match="share d_k, k and v src_len"):
        scaled_dot_product_attention(*given)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(batch=SIZES, tgt_len=SIZES, src_len=SIZES, d_k=SIZES, seed=st.integers(0, 10**6))
def test_weights_are_shares_and_the_order_of_keys_is_free(batch, tgt_len, src_len, d_k, seed):
    torch.manual_seed(seed)
    q, k = torch.randn(batch, tgt_len, d_k), torch.randn(batch, src_len, d_k)
    v, mask = torch.randn(batch, src_len, 3), torch.rand(batch, tgt_len, src_len) < 0.5
    context, weights = scaled_dot_product_attention(q, k, v, mask)
    assert (weights >= 0).all() and not weights[~mask].any()
    assert_close(weights.sum(-1), mask.any(-1).float())
    order = torch.randperm(src_len)
    again, _ = scaled_dot_product_attention(q, k[:, order], v[:, order], mask[..., order])
    assert_close(again, context)


@pytest.mark.parametrize("seq_len", [0, 1, 2, 5])
def test_causal_mask(seq_len):
    mask = causal_mask(seq_len)
    assert mask.shape == (seq_len, seq_len) and mask.dtype == torch.bool
    assert mask.tolist() == [[j <= i for j in range(seq_len)] for i in range(seq_len)]


def test_causal_mask_hides_the_future_and_leaves_the_past():
    torch.manual_seed(0)
    head, x = SelfAttention(8, 4), torch.randn(2, 5, 8)
    other = x.clone()
    other[:, 3] += 1.0
    change = head(other, causal_mask(5))[0] - head(x, causal_mask(5))[0]
    assert not change[:, :3].any() and change[:, 3:].any(-1).all()
    assert (head(other)[0] - head(x)[0]).any(-1).all()


def test_self_attention_is_attention_over_its_own_projections():
    torch.manual_seed(0)
    head, x = SelfAttention(6, 4), torch.randn(2, 5, 6)
    context, weights = head(x, causal_mask(5))
    q, k, v = (x @ m.weight.T for m in (head.query_map, head.key_map, head.value_map))
    expected = scaled_dot_product_attention(q, k, v, causal_mask(5))
    assert_close((context, weights), expected)
    assert context.shape == (2, 5, 4) and weights.shape == (2, 5, 5)
    assert sum(p.numel() for p in head.parameters()) == 3 * 6 * 4


def test_self_attention_equals_a_layer_of_torch_with_one_head():
    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(6, 1, bias=False, batch_first=True)
    head, x, mask = SelfAttention(6, 6), torch.randn(2, 5, 6), causal_mask(5)
    with torch.no_grad():
        for own, theirs in zip(head.parameters(), layer.in_proj_weight.chunk(3)):
            own.copy_(theirs)
    expected, expected_weights = layer(x, x, x, attn_mask=~mask)    # there True means hidden
    context, weights = head(x, mask)
    assert_close(layer.out_proj(context), expected)
    assert_close(weights, expected_weights)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seq_len=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_self_attention_permutes_with_its_input(seq_len, seed):
    torch.manual_seed(seed)
    head, x, order = SelfAttention(6, 4), torch.randn(2, seq_len, 6), torch.randperm(seq_len)
    assert_close(head(x[:, order])[0], head(x)[0][:, order])


# --- notebook 08: MultiHeadAttention ---------------------------------------------------------


def ours_and_torchs(dtype=torch.float64, d_model=18, n_heads=3):
    """Two layers with the same random weights and biases."""
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(d_model, n_heads, batch_first=True, dtype=dtype)
    ours = MultiHeadAttention(d_model, n_heads).to(dtype)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.4)
        maps = ours.query_map, ours.key_map, ours.value_map
        for own, weight, bias in zip(
            maps, theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3)
        ):
            own.weight.copy_(weight)
            own.bias.copy_(bias)
        ours.output_map.load_state_dict(theirs.out_proj.state_dict())
    return ours, theirs


def made_up_words(dtype=torch.float64, d_model=18):
    torch.manual_seed(1)
    return [torch.randn(2, n, d_model, dtype=dtype, requires_grad=True) for n in (5, 7, 7)]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("kind", ["none", "padding", "holes", "causal", "each head"])
def test_many_heads_have_outputs_weights_and_gradients_of_torch(dtype, kind):
    ours, theirs = ours_and_torchs(dtype)
    words = made_up_words(dtype)
    if kind == "each head":
        torch.manual_seed(2)
        mask = torch.rand(2, 3, 5, 7) < 0.5
        mask[..., 0] = True
    else:
        mask = made_up_mask(kind)
    hidden = None if mask is None else ~mask.expand(2, 3, 5, 7).flatten(0, 1)
    near = dict(atol=TOLERANCES[dtype], rtol=TOLERANCES[dtype])
    output, weights = ours(*words, mask)
    expected = theirs(*words, attn_mask=hidden, average_attn_weights=False)
    assert_close((output, weights), expected, **near)
    pull = torch.randn(output.shape, dtype=dtype)
    mine = torch.autograd.grad((output * pull).sum(), [*words, *ours.parameters()])
    torchs = torch.autograd.grad((expected[0] * pull).sum(), [*words, *theirs.parameters()])
    packed = {name: g for (name, _), g in zip(theirs.named_parameters(), torchs[3:])}
    named = {name: g for (name, _), g in zip(ours.named_parameters(), mine[3:])}
    for own, other in zip(mine[:3], torchs[:3]):
        assert_close(own, other, **near)
    for part in ("weight", "bias"):
        stacked = torch.cat([named[f"{m}_map.{part}"] for m in ("query", "key", "value")])
        assert_close(stacked, packed[f"in_proj_{part}"], **near)
        assert_close(named[f"output_map.{part}"], packed[f"out_proj.{part}"], **near)


def test_many_heads_by_hand():
    """Identity maps, two heads of width 1: head 1 compares first features, head 2 second ones."""
    layer = MultiHeadAttention(2, 2)
    with torch.no_grad():
        for m in (layer.query_map, layer.key_map, layer.value_map, layer.output_map):
            m.weight.copy_(torch.eye(2))
            m.bias.zero_()
    query = torch.tensor([[[1.0, 0.0]]])
    key = torch.tensor([[[2.0, 5.0], [0.0, 1.0]]])
    output, weights = layer(query, key, key)
    assert [round(w, 2) for w in weights.flatten().tolist()] == [0.88, 0.12, 0.5, 0.5]
    assert [round(o, 2) for o in output.flatten().tolist()] == [1.76, 3.0]


@pytest.mark.parametrize("n_heads", [1, 2, 3, 6, 9, 18])
def test_the_number_of_heads_costs_nothing(n_heads):
    layer = MultiHeadAttention(18, n_heads)
    assert sum(p.numel() for p in layer.parameters()) == 4 * (18 * 18 + 18)
    output, weights = layer(*made_up_words(torch.float32))
    assert output.shape == (2, 5, 18) and weights.shape == (2, n_heads, 5, 7)


def test_each_head_is_attention_over_its_own_slices():
    layer, _ = ours_and_torchs()
    query, key, value = made_up_words()
    _, weights = layer(query, key, value)
    contexts = []
    for head in range(3):
        rows = slice(6 * head, 6 * head + 6)
        q, k, v = (
            F.linear(x, m.weight[rows], m.bias[rows])
            for m, x in zip((layer.query_map, layer.key_map, layer.value_map), (query, key, value))
        )
        context, own = scaled_dot_product_attention(q, k, v)
        assert_close(weights[:, head], own, atol=1e-10, rtol=1e-10)
        contexts.append(context)
    joined = torch.cat(contexts, dim=-1)
    assert_close(layer(query, key, value)[0], layer.output_map(joined), atol=1e-10, rtol=1e-10)


def test_padding_has_no_influence_and_an_empty_sentence_stays_finite():
    layer, _ = ours_and_torchs()
    query, key, value = made_up_words()
    real = torch.arange(7) < torch.tensor([[4], [0]])       # the second source is all padding
    output, weights = layer(query, key, value, real.unsqueeze(1))
    short = layer(query[:1], key[:1, :4], value[:1, :4])[0]
    assert_close(output[:1], short, atol=1e-10, rtol=1e-10)
    assert not weights[1].any()
    assert_close(output[1], layer.output_map.bias.expand(5, 18))
    gradients = torch.autograd.grad(output.square().sum(), [query, key, *layer.parameters()])
    assert all(g.isfinite().all() for g in gradients)


def test_a_mask_can_switch_one_head_off():
    layer, _ = ours_and_torchs()
    words = made_up_words()
    keep = torch.tensor([True, False, True]).view(1, 3, 1, 1)
    output, weights = layer(*words, keep)
    assert not weights[:, 1].any() and weights[:, [0, 2]].all()
    with torch.no_grad():
        layer.output_map.weight[:, 6:12] = 0.0
    assert_close(output, layer(*words)[0], atol=1e-10, rtol=1e-10)


def test_the_batch_axis_of_a_mask_never_falls_on_the_heads():
    """Three sentences and three heads: a mask of three axes is one for each sentence."""
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(18, 3), torch.randn(3, 5, 18)
    mask = torch.rand(3, 5, 5) < 0.6
    mask[..., 0] = True
    weights = layer(x, x, x, mask)[1]
    assert (weights.bool() == mask.unsqueeze(1)).all()


@pytest.mark.parametrize("d_model, n_heads", [(18, 4), (18, 5), (18, 19), (18, 0), (18, -3)])
def test_heads_must_divide_the_width(d_model, n_heads):
    with pytest.raises(ValueError, match=f"{n_heads} heads do not divide d_model {d_model}"):
        MultiHeadAttention(d_model, n_heads)


def test_an_odd_width_is_fine():
    layer = MultiHeadAttention(15, 5)
    x = torch.randn(2, 4, 15)
    assert layer(x, x, x)[0].shape == (2, 4, 15)


@pytest.mark.parametrize("shape", [(5, 5), (7, 5), (3, 5, 7), (2, 2, 5, 7), (2, 7), (2, 3, 7)])
def test_many_heads_refuse_a_mask_of_another_shape(shape):
    layer = MultiHeadAttention(18, 3)
    with pytest.raises(ValueError, match=r"does not fit scores \(2, 3, 5, 7\)"):
        layer(*made_up_words(torch.float32), torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("dtype", [torch.float32, torch.long])
def test_many_heads_refuse_a_mask_of_another_type(dtype):
    layer = MultiHeadAttention(18, 3)
    with pytest.raises(TypeError, match="want a bool mask, True = may look"):
        layer(*made_up_words(torch.float32), torch.ones(5, 7, dtype=dtype))


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_words_of_another_width_are_refused(wrong):
    words = made_up_words(torch.float32)
    words[wrong] = words[wrong][..., :17]
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        MultiHeadAttention(18, 3)(*words)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_many_heads_in_low_precision(dtype):
    layer, _ = ours_and_torchs()
    words = [x.detach() for x in made_up_words()]
    mask = made_up_mask("padding").squeeze(1)
    expected = layer(*words, mask)[0]
    output, weights = layer.to(dtype)(*(x.to(dtype) for x in words), mask)
    assert output.dtype == weights.dtype == dtype
    assert not weights[1, ..., 4:].any()
    assert_close(output.double(), expected, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("tgt_len, src_len", [(0, 7), (5, 0), (0, 0), (1, 1), (1, 7), (5, 1)])
def test_the_smallest_sizes_of_many_heads(batch, tgt_len, src_len):
    layer = MultiHeadAttention(6, 3)
    query, key = torch.ones(batch, tgt_len, 6), torch.ones(batch, src_len, 6)
    output, weights = layer(query, key, key, torch.ones(batch, 1, src_len, dtype=torch.bool))
    assert output.shape == query.shape and weights.shape == (batch, 3, tgt_len, src_len)
    assert output.isfinite().all()


@settings(deadline=None, max_examples=40, derandomize=True)
@given(batch=SIZES, tgt_len=SIZES, src_len=SIZES, n_heads=SIZES, d_k=SIZES,
       axes=st.integers(2, 4), seed=st.integers(0, 10**6))
def test_masks_of_any_number_of_axes(batch, tgt_len, src_len, n_heads, d_k, axes, seed):
    torch.manual_seed(seed)
    layer = MultiHeadAttention(n_heads * d_k, n_heads)
    query, key = torch.randn(batch, tgt_len, n_heads * d_k), torch.randn(
        batch, src_len, n_heads * d_k)
    shape = {2: (tgt_len, src_len), 3: (batch, tgt_len, src_len),
             4: (batch, n_heads, tgt_len, src_len)}[axes]
    mask = torch.rand(shape) < 0.6
    output, weights = layer(query, key, key, mask)
    seen = (mask.unsqueeze(1) if axes == 3 else mask).expand_as(weights)
    assert not weights[~seen].any() and output.shape == query.shape
    assert_close(weights.sum(-1), seen.any(-1).float())
    order = torch.randperm(src_len)
    again, _ = layer(query, key[:, order], key[:, order], mask[..., order])
    assert_close(again, output, atol=1e-5, rtol=1e-4)

"""The checks of notebook 01 accept right answers and name each wrong one."""

import math

import pytest
import torch
import torch.nn.functional as F

from utils import decoding
from utils.checks import recurrent_networks as checks

NAN = float("nan")


def step(x, state, w_input, w_state, bias):
    return torch.tanh(x @ w_input.T + state @ w_state.T + bias)


def step_by_linear(x, state, w_input, w_state, bias):
    return (F.linear(x, w_input, bias) + F.linear(state, w_state)).tanh()


def step_by_cat(x, state, w_input, w_state, bias):
    both = torch.cat([x, state], dim=1) @ torch.cat([w_input, w_state], dim=1).T
    return torch.tanh(both + bias)


def step_of_torch(x, state, w_input, w_state, bias):
    cell = torch.nn.RNNCell(x.size(1), state.size(1))
    weights = {"weight_ih": w_input, "weight_hh": w_state, "bias_ih": bias, "bias_hh": 0 * bias}
    return torch.func.functional_call(cell, weights, (x, state))


def step_own_weights(x, state, w_input, w_state, bias):
    return torch.nn.RNNCell(x.size(1), state.size(1))(x, state)


def step_own_state_map(x, state, w_input, w_state, bias):
    own = torch.nn.Linear(state.size(1), state.size(1))
    return torch.tanh(x @ w_input.T + own(state) + bias)


def step_bias_twice(x, state, w_input, w_state, bias):
    return torch.tanh(F.linear(x, w_input, bias) + F.linear(state, w_state, bias))


def step_in_place(x, state, w_input, w_state, bias):
    x += 1
    return step(x, state, w_input, w_state, bias)


def step_detached(x, state, w_input, w_state, bias):
    return step(x, state.detach(), w_input, w_state.data, bias)


def step_without_gradients(x, state, w_input, w_state, bias):
    with torch.no_grad():
        return step(x, state, w_input, w_state, bias)


def pairs(ids):
    return ids[:-1], ids[1:]


def pairs_by_loop(ids):
    rows = [(ids[n], ids[n + 1]) for n in range(len(ids) - 1)]
    return torch.stack([a for a, _ in rows]), torch.stack([b for _, b in rows])


def sample_whole_prefix(model, start, n_tokens, temperature):
    """Right but slow: read everything from the beginning at every step."""
    ids = start
    for _ in range(n_tokens):
        shares = (model(ids, None)[0][:, -1] / temperature).softmax(-1)
        ids = torch.cat([ids, torch.multinomial(shares, 1)], dim=1)
    return ids[:, start.size(1):]


def sample_gumbel(model, start, n_tokens, temperature):
    token, state, rows = start, None, []
    for _ in range(n_tokens):
        logits, state = model(token, state)
        noise = -torch.rand(len(start), logits.size(-1)).log().neg().log()
        token = (logits[:, -1] / temperature + noise).argmax(-1, keepdim=True)
        rows.append(token)
    return torch.hstack(rows)


def sample_at_rest(model, start, n_tokens, temperature):
    model.eval()
    return sampler(draw)(model, start, n_tokens, temperature)


def sample_reseeded(model, start, n_tokens, temperature):
    torch.manual_seed(4)
    return sampler(draw)(model, start, n_tokens, temperature)


def draw_reseeded(logits, temperature):
    torch.manual_seed(4)
    return draw(logits, temperature)


def sampler(draw, keep_state=True, feed_back=True):
    """A sampler with this way to draw a token (batch, 1) from logits and temperature."""

    def sample(model, start, n_tokens, temperature):
        token, state, tokens = start, None, []
        for _ in range(n_tokens):
            logits, new = model(token, state)
            state = new if keep_state else None
            drawn = draw(logits[:, -1], temperature)
            token = drawn if feed_back else token
            tokens.append(drawn)
        return torch.cat(tokens, dim=1)

    return sample


def draw(logits, temperature):
    return (logits / temperature).softmax(-1).multinomial(1)


def sample_with_start(model, start, n_tokens, temperature):
    new = sampler(draw)(model, start, n_tokens, temperature)
    return torch.cat([start, new], dim=1)


def sample_first_position(model, start, n_tokens, temperature):
    token, state, tokens = start, None, []
    for _ in range(n_tokens):
        logits, state = model(token, state)
        token = draw(logits[:, 0], temperature)
        tokens.append(token)
    return torch.cat(tokens, dim=1)


def draw_one_for_all(logits, temperature):
    return draw(logits, temperature)[:1].expand(len(logits), 1)


def mean_loss(logits, targets):
    logs = logits.log_softmax(-1)
    return -logs.gather(-1, targets.unsqueeze(-1)).mean()


def loss_by_logsumexp(logits, targets):
    at_target = (logits * F.one_hot(targets, logits.size(-1))).sum(-1)
    return (logits.logsumexp(-1) - at_target).mean().item()


def loss_of_torch(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def loss_unsafe(logits, targets):
    shares = logits.softmax(-1).gather(-1, targets.unsqueeze(-1))
    return -shares.log().mean()


def loss_axis(dim):
    def loss(logits, targets):
        return -logits.log_softmax(dim).gather(-1, targets.unsqueeze(-1)).mean()

    return loss


def loss_swapped(logits, targets):
    """The loss of the right letter among the batch's own targets, summed the wrong way."""
    return mean_loss(logits, targets) + logits.sum() ** 2


def loss_clamped(logits, targets):
    shares = logits.softmax(-1).gather(-1, targets.unsqueeze(-1))
    return -(shares + 1e-9).log().mean()


def endless(*args):
    return endless(*args)


RIGHT = {
    checks.check_rnn_step: [step, step_by_linear, step_by_cat, step_of_torch],
    checks.check_inputs_and_targets: [pairs, pairs_by_loop, lambda ids: [ids[:-1], ids[1:]]],
    checks.check_sample: [
        decoding.sample_sequence, sampler(draw), sample_whole_prefix, sample_gumbel,
        sample_at_rest,
    ],
    checks.check_mean_loss: [mean_loss, loss_by_logsumexp, loss_of_torch],
}

# For each check: words that its message, and no other message of the table, must hold.
WRONG = {
    checks.check_rnn_step: {
        "tanh is missing": lambda x, h, w, u, b: x @ w.T + h @ u.T + b,
        "wrong way round": lambda x, h, w, u, b: torch.tanh(x @ w.T + h @ u + b),
        "second call": step_own_weights,
        "bias is added twice": step_bias_twice,
        "bias is missing": lambda x, h, w, u, b: torch.tanh(x @ w.T + h @ u.T),
        "old state has no part": lambda x, h, w, u, b: torch.tanh(x @ w.T + b),
        "x has no part": lambda x, h, w, u, b: torch.tanh(h @ u.T + b),
        "after the tanh": lambda x, h, w, u, b: torch.tanh(x @ w.T + b) + h @ u.T,
        "sigmoid": lambda x, h, w, u, b: torch.sigmoid(x @ w.T + h @ u.T + b),
        "numbers are not": lambda x, h, w, u, b: torch.tanh(x @ w.T - h @ u.T + b),
        "want shape": lambda x, h, w, u, b: step(x, h, w, u, b)[0],
        "holds nan or inf": lambda x, h, w, u, b: torch.full_like(h, math.inf),
        "in place": step_in_place,
        "comes back to state, w_state:": step_detached,
        "got tuple": lambda x, h, w, u, b: (step(x, h, w, u, b), h),
    },
    checks.check_inputs_and_targets: {
        "writes hhhhh": lambda ids: (ids, ids),
        "swapped": lambda ids: (ids[1:], ids[:-1]),
        "roll wraps": lambda ids: (ids, ids.roll(-1)),
        "last input has no target": lambda ids: (ids, ids[1:]),
        "first letter is no target": lambda ids: (ids[:-1], ids),
        "a pair is lost": lambda ids: (ids[1:-1], ids[2:]),
        "more than once": lambda ids: (ids[:-2], ids[2:]),
        "each input needs": lambda ids: (ids[:-2], ids[1:]),
        "pairs: each letter but the last": lambda ids: (ids[:-1] + 1, ids[1:]),
        "two tensors": lambda ids: ids[1:],
        "inputs: want a torch.Tensor": lambda ids: (ids[:-1].tolist(), ids[1:]),
        "targets: want one axis": lambda ids: (ids[:-1], ids[None, 1:]),
    },
    checks.check_sample: {
        "without the start": sample_with_start,
        "state is lost": sampler(draw, keep_state=False),
        "not fed back": sampler(draw, feed_back=False),
        "starts anew": sampler(draw, keep_state=False, feed_back=False),
        "last position": sample_first_position,
        "argmax draws nothing": sampler(lambda x, t: x.argmax(-1, keepdim=True)),
        "softmax is applied twice": sampler(lambda x, t: (x / t).softmax(-1).softmax(-1)
                                            .multinomial(1)),
        "multiplied by the temperature": sampler(lambda x, t: (x * t).softmax(-1).multinomial(1)),
        "no effect": sampler(lambda x, t: (x.softmax(-1) / t).multinomial(1)),
        "inside the loop": sampler(draw_reseeded),
        "at every call": sample_reseeded,
        "same draw": sampler(draw_one_for_all),
        "equally often": sampler(lambda x, t: torch.randint(x.size(-1), (len(x), 1))),
        "come with shares": sampler(lambda x, t: (x / (t + 1)).softmax(-1).multinomial(1)),
        "torch.int64": sampler(lambda x, t: draw(x, t).float()),
        "(batch, n_tokens) = (3000, 4)": lambda m, s, n, t: sampler(draw)(m, s, n, t).flatten(),
    },
    checks.check_mean_loss: {
        "base 2": lambda x, y: mean_loss(x, y) / math.log(2),
        "base 10": lambda x, y: mean_loss(x, y) / math.log(10),
        "sum over all characters": lambda x, y: mean_loss(x, y) * y.numel(),
        "sum over each text": lambda x, y: mean_loss(x, y) * y.size(1),
        "sign is missing": lambda x, y: -mean_loss(x, y),
        "probability, not a loss":
            lambda x, y: x.softmax(-1).gather(-1, y.unsqueeze(-1)).mean(),
        "wrong axis": loss_axis(1),
        "does not look at the targets": lambda x, y: -x.log_softmax(-1).mean(),
        "likeliest character": lambda x, y: -x.log_softmax(-1).amax(-1).mean(),
        "before the softmax": lambda x, y: -x.gather(-1, y.unsqueeze(-1)).mean(),
        "before the logarithm":
            lambda x, y: -x.softmax(-1).gather(-1, y.unsqueeze(-1)).mean().log(),
        "logit of 1000 the loss is no finite": loss_unsafe,
        "costs 1000 nats": loss_clamped,
        "with random ones": loss_swapped,
        "equally likely: want 3.29584, got 3.29984": lambda x, y: mean_loss(x, y) + 4e-3,
        "equally likely: want 3.29584, got 4": lambda x, y: mean_loss(x, y) + 1,
        "got a tensor of shape": lambda x, y: mean_loss(x, y).expand(2),
        "is nan": lambda x, y: -x.log().mean() * NAN,
    },
}

HOSTILE = {
    "returned None": lambda *args: None,
    "raised ZeroDivisionError": lambda *args: 1 / 0,
    "calls itself for ever": endless,
    "without brackets": 3,
    "raised TypeError": lambda: None,
    "got str": lambda *args: "hello",
}


@pytest.mark.parametrize(
    "check, answer", [(check, answer) for check, answers in RIGHT.items() for answer in answers]
)
def test_right_answers_pass(check, answer):
    verdict = check(answer)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    "check, words", [(check, words) for check, table in WRONG.items() for words in table]
)
def test_wrong_answers_are_named(check, words):
    verdict = check(WRONG[check][words])
    assert verdict.passed is False
    assert words in verdict.message
    assert "could not be judged" not in verdict.message
    others = [other for other in WRONG[check] if other != words]
    assert not [other for other in others if other in verdict.message]


@pytest.mark.parametrize("check", WRONG)
def test_wrong_answers_have_messages_of_their_own(check):
    messages = [check(answer).message for answer in WRONG[check].values()]
    assert len(set(messages)) == len(messages)


@pytest.mark.parametrize("check", WRONG)
def test_an_untouched_stub_is_not_attempted(check):
    assert check(...).passed is None
    assert check(lambda *args: ...).passed is None


@pytest.mark.parametrize("check", WRONG)
@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_answers_are_told_off(check, words):
    verdict = check(HOSTILE[words])
    assert verdict.passed is False
    if (check, words) != (checks.check_inputs_and_targets, "got str"):
        assert words in verdict.message


@pytest.mark.parametrize("check", WRONG)
def test_nan_is_rejected(check):
    answers = {
        checks.check_rnn_step: lambda x, h, w, u, b: torch.full_like(h, NAN),
        checks.check_inputs_and_targets: lambda ids: (ids[:-1] * NAN, ids[1:] * NAN),
        checks.check_sample: sampler(lambda x, t: torch.full((len(x), 1), NAN)),
        checks.check_mean_loss: lambda x, y: NAN,
    }
    assert check(answers[check]).passed is False


def test_own_weights_beside_given_ones_are_named():
    assert "second call" in checks.check_rnn_step(step_own_state_map).message


def test_a_step_without_gradients_is_named():
    verdict = checks.check_rnn_step(step_without_gradients)
    assert "no gradient comes back to x, state, w_input, w_state, bias" in verdict.message


def test_the_first_pairs_may_be_lost_too():
    assert "a pair is lost" in checks.check_inputs_and_targets(
        lambda ids: (ids[:-2], ids[1:-1])).message


def test_a_softmax_over_the_batch_is_named():
    assert "wrong axis" in checks.check_mean_loss(loss_axis(0)).message


def test_a_temperature_that_is_ignored_is_named():
    verdict = checks.check_sample(sampler(lambda x, t: x.softmax(-1).multinomial(1)))
    assert "no effect" in verdict.message


def test_a_softmax_after_a_softmax_at_temperature_1_is_named():
    verdict = checks.check_sample(sampler(lambda x, t: x.softmax(-1).softmax(-1).multinomial(1)))
    assert "softmax is applied twice" in verdict.message


def test_the_random_state_is_left_alone():
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    checks.check_sample(decoding.sample_sequence)
    assert torch.equal(torch.rand(2), wanted)

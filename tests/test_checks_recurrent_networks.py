"""The checks of lesson 01 accept right answers and name each wrong one."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from judging import Answers, Exercise, mutant

from utils import decoding
from utils.checks import recurrent_networks as lesson

NAN = float("nan")

# ---- 1.1 ----


def rnn(x, state, w_input, w_state, bias):
    return torch.tanh(x @ w_input.T + state @ w_state.T + bias)


def rnn_by_linear(x, state, w_input, w_state, bias):
    return (F.linear(x, w_input, bias) + F.linear(state, w_state)).tanh()


def rnn_by_cat(x, state, w_input, w_state, bias):
    both = torch.cat([x, state], dim=1) @ torch.cat([w_input, w_state], dim=1).T
    return torch.tanh(both + bias)


def rnn_of_torch(x, state, w_input, w_state, bias):
    return torch.rnn_tanh_cell(x, state, w_input, w_state, bias, 0 * bias)


def rnn_by_loop(x, state, w_input, w_state, bias):
    rows = [w_input @ row + w_state @ old + bias for row, old in zip(x, state, strict=True)]
    return torch.stack(rows).tanh()


def rnn_by_einsum(*, x, state, w_input, w_state, bias):
    sums = torch.einsum("bi,hi->bh", x, w_input) + torch.einsum("bg,hg->bh", state, w_state)
    return 2 * torch.sigmoid(2 * (sums + bias)) - 1


def step(*texts):
    return mutant(rnn, *texts)


def rnn_with_own_weights(x, state, w_input, w_state, bias):
    return torch.nn.RNNCell(x.size(1), state.size(1))(x, state)


def rnn_without_gradients(*given):
    with torch.no_grad():
        return rnn(*given)


S = "state @ w_state.T"
STEP = Exercise(
    lesson.check_rnn_step,
    right=[rnn, rnn_by_linear, rnn_by_cat, rnn_of_torch, rnn_by_loop, rnn_by_einsum],
    wrong=[
        (step("torch.tanh", ""), "tanh is missing"),
        (step("w_state.T", "w_state"), "wrong way round"),
        (step("w_input.T", "w_input"), "in rows: x @ w_input.T"),
        (rnn_with_own_weights, "random numbers have a part"),
        (step(S, "torch.nn.Linear(len(w_state), len(w_state))(state)"),
         "random numbers have a part"),
        (step("+ bias", "+ 2 * bias"), "bias is added twice"),
        (step("+ bias", ""), "bias is missing"),
        (step(f" + {S}", ""), "old state has no part"),
        (step("x @ w_input.T", "0"), "x has no part"),
        (lambda x, h, w, u, b: torch.tanh(x @ w.T + b) + h @ u.T, "old state comes in after"),
        (lambda x, h, w, u, b: torch.tanh(x @ w.T + h @ u.T) + b, "the bias comes in after"),
        (lambda x, h, w, u, b: torch.tanh(h @ u.T + b) + x @ w.T, "entries differ"),
        (step("torch.tanh", "torch.sigmoid"), "sigmoid"),
        (step("torch.tanh", "torch.relu"), "is 0, want"),
        (step("+ state", "- state"), "alone, with the other parts set"),
        (step("torch.tanh", "1.01 * torch.tanh"), "of 8 entries differ"),
        (lambda *given: rnn(*given)[0], "want shape (row, number)"),
        (lambda *given: rnn(*given).squeeze(), "for a batch of one"),
        (lambda *given: rnn(*given).view(2, 4), "a size or a number"),
        (step("state @", "state[:1] @"), "a change in row 0 of `state` moves row 1"),
        (step("w_input.T", "(w_input.T if x.size(1) != w_input.size(0) else w_input)"),
         "inputs and states of 4"),
        (lambda x, h, *rest: torch.full_like(h, math.inf), "is inf, want"),
        (step("torch.tanh", "(lambda a: (a.exp() - (-a).exp()) / (a.exp() + (-a).exp()))"),
         "gives -1 and 1 there"),
        (lambda *given: rnn(*(part.float() for part in given)), "want torch.float64"),
        (step("return", "x += 1\n    return"), "in place"),
        (step("state @ w_state.T", "state.detach() @ w_state.data.T"),
         "no gradient reaches `state` and `w_state`"),
        (rnn_without_gradients, "no gradient reaches any"),
        (lambda *given: (rnn(*given), given[1]), "got tuple"),
    ],
    hostile=[lambda *given: torch.tensor(NAN), lambda x, h, *rest: NAN * h, lambda *given: {}],
    twins=["random numbers have a part"],
)

# ---- 1.2 ----


def pairs(ids):
    return ids[:-1], ids[1:]


def pairs_by_loop(ids):
    rows = [(ids[n], ids[n + 1]) for n in range(len(ids) - 1)]
    return torch.stack([a for a, _ in rows]), torch.stack([b for _, b in rows])


def pairs_of_lists(ids):
    ids = ids.tolist()
    return torch.tensor(ids[:-1]), torch.tensor(ids[1:], dtype=torch.int32)


PAIRS = Exercise(
    lesson.check_inputs_and_targets,
    right=[pairs, pairs_by_loop, pairs_of_lists, lambda ids: [ids[:-1], ids[1:]],
           lambda ids: (ids.narrow(0, 0, len(ids) - 1), ids.roll(-1)[:-1]),
           lambda ids: ids.unfold(0, 2, 1).T.unbind()],
    wrong=[
        (lambda ids: (ids, ids), "writes hhhhh"),
        (lambda ids: (ids[:-1], ids[:-1]), "writes hhhhh"),
        (lambda ids: (ids[1:], ids[1:]), "inputs[0] (place 0) is 0, want 2"),
        (lambda ids: (ids[1:], ids[:-1]), "swapped"),
        (lambda ids: (ids, ids.roll(-1)), "roll wraps"),
        (lambda ids: (ids, ids[1:]), "last input has no target"),
        (lambda ids: (ids[:-1], ids), "first letter is no target"),
        (lambda ids: (ids[1:-1], ids[2:]), "a pair is lost"),
        (lambda ids: (ids[:-2], ids[1:-1]), "the last pair is missing"),
        (lambda ids: (ids[:-2], ids[2:]), "two steps ahead"),
        (lambda ids: (ids[:-2], ids[1:]), "each input needs"),
        (lambda ids: (ids[:-1], ids[2:]), "begin too late"),
        (lambda ids: (ids[:-1] + 1, ids[1:]), "its target is the letter after it"),
        (lambda ids: (ids[:4], ids[1:5]), "Is a size or a number"),
        (lambda ids: (ids[:-1], ids[1:].sort()[0]), "targets[0] (place 0) is 0, want 3"),
        (lambda ids: (ids[:-1], ids[1:].to(torch.uint8)), "is 132, want 900"),
        (lambda ids: (ids[:-1], ids[1:].float()), "want torch.int64"),
        (lambda ids: (ids[:-1].squeeze(), ids[1:].squeeze()), "right for 5 letters and 8"),
        (lambda ids: ids[1:], "want 2 results"),
        (lambda ids: (ids[:-1].tolist(), ids[1:]), "want inputs as a torch.Tensor"),
        (lambda ids: (ids[:-1], ids[None, 1:]), "want shape of targets"),
        (lambda ids: (ids[:-1], ids.neg_()[1:]), "in place"),
    ],
    twins=["writes hhhhh"],
    hostile=[lambda ids: (ids[:-1] * NAN, ids[1:] * NAN), lambda ids: {}],
)

# ---- 1.3 ----


def mean_loss(logits, targets):
    logs = logits.log_softmax(dim=-1)
    return -logs.gather(-1, targets.unsqueeze(-1)).mean()


def loss_by_logsumexp(logits, targets):
    at_target = (logits * F.one_hot(targets, logits.size(-1))).sum(-1)
    return (logits.logsumexp(-1) - at_target).mean().item()


def loss_of_torch(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def loss_by_loop(logits, targets):
    losses = [-row.log_softmax(0)[target].item() for text, its in zip(logits, targets, strict=True)
              for row, target in zip(text, its, strict=True)]
    return sum(losses) / len(losses)


def loss_by_numpy(logits, targets):
    x, y = logits.numpy(), targets.numpy()
    x = x - x.max(-1, keepdims=True)
    logs = x - np.log(np.exp(x).sum(-1, keepdims=True))
    return -np.take_along_axis(logs, y[..., None], -1).mean()


def loss(*texts):
    return mutant(mean_loss, *texts)


LOGS, AT = "logits.log_softmax(dim=-1)", "logs.gather(-1, targets.unsqueeze(-1))"
LOSS = Exercise(
    lesson.check_mean_loss,
    right=[mean_loss, loss_by_logsumexp, loss_of_torch, loss_by_loop, loss_by_numpy,
           lambda x, y: mean_loss(x, y).detach().reshape(1)],
    wrong=[
        (loss(".mean()", ".mean() / 0.69314718"), "base 2"),
        (loss(".mean()", ".mean() / 2.30258509"), "base 10"),
        (loss(".mean()", ".sum()"), "sum over all characters"),
        (loss(".mean()", ".sum(1).mean()"), "sum over each text"),
        (loss("-logs", "logs"), "sign is missing"),
        (loss(LOGS, "-logits.softmax(dim=-1)"), "probability, not a loss"),
        (lambda x, y: mean_loss(x, y).exp(), "perplexity"),
        (loss("dim=-1", "dim=1"), "wrong axis"),
        (loss("dim=-1", "dim=0"), "wrong axis"),
        (loss(AT, "logs"), "does not look at the targets"),
        (loss(AT, "logs.amax(-1)"), "likeliest character"),
        (loss(LOGS, "logits"), "before the softmax"),
        (loss(LOGS, "logits.softmax(-1).log_softmax(-1)"), "applied twice"),
        (loss(LOGS, "logits.softmax(-1)", ".mean()", ".mean().log()"), "before the logarithm"),
        (loss(".mean()", "[:, -1].mean()"), "only the last letter"),
        (loss(".mean()", "[0].mean()"), "only the first text"),
        (lambda x, y: F.cross_entropy(x.mT, y, ignore_index=0), "letter 0 is left out"),
        (loss(LOGS, "logits.softmax(-1).log()"), "the loss is inf, want"),
        (loss(LOGS, "(logits.softmax(-1) + 1e-9).log()"), "the loss is 14.51, want"),
        (loss(".mean()", ".sum() / 10"), "right for 2 texts of 5 letters, but"),
        (lambda x, y: mean_loss(x, y) + x.sum() ** 2, "the mean of these 10"),
        (lambda x, y: (x.logsumexp(-1).detach() - x.gather(-1, y[..., None])[..., 0]).mean(),
         "the gradient at `logits` is not"),
        (loss(LOGS, "logits.softmax(-1)"), "this is minus a probability"),
        (loss(AT, "logs[..., targets]"), "at the targets of all places"),
        (loss(".mean()", ".mean() + 4e-3"), "the loss is 4.979, want 4.975"),
        (lambda x, y: mean_loss(x, y).expand(2), "as one number, got Tensor"),
        (loss(".mean()", ""), "as one number, got Tensor"),
        (loss(".mean()", ".mean() * float('nan')"), "is nan"),
    ],
    twins=["wrong axis", "as one number, got Tensor"],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: {}],
)

# ---- 1.4 ----


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


def sample(model, start, n_tokens, temperature):
    token, state, tokens = start, None, []
    for _ in range(n_tokens):
        logits, state = model(token, state)
        shares = (logits[:, -1] / temperature).softmax(dim=-1)
        token = shares.multinomial(num_samples=1)
        tokens.append(token)
    return torch.cat(tokens, dim=1)


def sample_whole_prefix(model, start, n_tokens, temperature):
    """Right but slow: read everything from the beginning at every step."""
    ids = start
    for _ in range(n_tokens):
        ids = torch.cat([ids, draw(model(ids, None)[0][:, -1], temperature)], dim=1)
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
    with torch.inference_mode():
        return sample(model, start, n_tokens, temperature)


def sample_into_zeros(*, model, start, n_tokens, temperature):
    tokens = torch.zeros(len(start), n_tokens, dtype=torch.int32)
    logits, state = model(start)
    for n in range(n_tokens):
        shares = torch.softmax(logits[:, -1] / temperature, dim=-1)
        tokens[:, n] = torch.distributions.Categorical(probs=shares).sample()
        logits, state = model(ids=tokens[:, n : n + 1], state=state)
    return tokens


def written(*texts):
    return mutant(sample, *texts)


def own_generator(x, t):
    return (x / t).softmax(-1).multinomial(1, generator=torch.Generator().manual_seed(3))


DRAWN = "token = shares.multinomial(num_samples=1)"
RESULT = "torch.cat(tokens, dim=1)"
SAMPLE = Exercise(
    lesson.check_sample,
    right=[decoding.sample_sequence, sample, sample_whole_prefix, sample_gumbel, sample_at_rest,
           sample_into_zeros],
    wrong=[
        (written(RESULT, f"torch.cat([start, {RESULT}], dim=1)"), "without the start"),
        (sampler(draw, keep_state=False), "state is lost"),
        (sampler(draw, feed_back=False), "not fed back"),
        (sampler(draw, keep_state=False, feed_back=False), "starts anew"),
        (written("[:, -1]", "[:, 0]"), "first position"),
        (written("start, None", "start[:, -1:], None"), "only the last token of the start"),
        (written("start, None", "start[:, :1], None"), "only the first token of the start"),
        (written("range(n_tokens)", "range(n_tokens + 1)"), "got (3, 8)"),
        (written("range(n_tokens)", "range(n_tokens + 1)", RESULT, f"{RESULT}[:, 1:]"),
         "first drawn token is lost"),
        (written("range(n_tokens)", "range(n_tokens - 1)", "[]", "[start[:, -1:]]"),
         "exactly once"),
        (written(DRAWN, "token = torch.cat([token, shares.multinomial(1)], dim=1)",
                 "append(token)", "append(token[:, -1:])"), "read twice"),
        (written("(n_tokens)", "(4)"), "(row, step) = (3, 7), got (3, 4)"),
        (written("None, []", "None, []; start = start.clone(); start[:, 0] = 0; token = start"),
         "exactly once"),
        (written("return", "tokens[0] = start[:1, :1].expand(len(start), 1)\n    return"),
         "exactly once"),
        (sampler(lambda x, t: draw(x, t) % 13), "right for 3 rows"),
        (written(RESULT, f"{RESULT}.squeeze()"), "for one row"),
        (lambda m, s, n, t: sample(
            lambda x, h: m(s[:, -1:], m(s, None)[1]) if h is None else m(x, h), s, n, t),
         "last token of the start is read twice"),
        (sampler(lambda x, t: x.argmax(-1, keepdim=True)), "argmax draws nothing"),
        (sampler(lambda x, t: (x / t).softmax(-1).softmax(-1).multinomial(1)), "applied twice"),
        (sampler(lambda x, t: x.softmax(-1).softmax(-1).multinomial(1)), "are nearly equal"),
        (sampler(lambda x, t: (x * t).softmax(-1).multinomial(1)), "wrong way round"),
        (sampler(lambda x, t: (x.softmax(-1) / t).multinomial(1)), "no effect"),
        (sampler(lambda x, t: x.softmax(-1).multinomial(1)), "Divide the logits by it, before"),
        (written("/ temperature)", "/ (temperature if not tokens else 1))"), "come with shares"),
        (written(DRAWN, f"{DRAWN} if tokens else shares.argmax(-1, keepdim=True)"),
         "at step 0 of 4"),
        (sampler(lambda x, t: [torch.manual_seed(4), draw(x, t)][1]), "inside the loop"),
        (written("token, state,", "torch.manual_seed(4)\n    token, state,"), "every call"),
        (written(DRAWN, f"{DRAWN}; g = torch.Generator().manual_seed(len(tokens)); "
                 "token = shares.multinomial(1, generator=g)"), "two calls write"),
        (sampler(own_generator), "the random state set anew inside"),
        (sampler(lambda x, t: draw(x, t)[:1].expand(len(x), 1)), "same draw"),
        (sampler(lambda x, t: torch.randint(x.size(-1), (len(x), 1))), "equally often"),
        (sampler(lambda x, t: (x / t).softmax(0).multinomial(1)), "over the last axis"),
        (sampler(lambda x, t: (x / (t + 1)).softmax(-1).multinomial(1)), "come with shares"),
        (sampler(lambda x, t: draw(x, t).float()), "whole numbers"),
        (written(RESULT, f"{RESULT}.flatten()"), "(row, step) = (3, 7), got (21,)"),
        (written("return", "start.zero_()\n    return"), "in place"),
        (written("return", "model.register_forward_hook(print)\n    return"), "hooks"),
    ],
    twins=["are nearly equal", "applied twice", "no effect", "Divide the logits by it, before",
           "the temperature has", "every call", "two calls write", "inside the loop",
           "the random state set anew inside", "equally often", "over the last axis"],
    hostile=[sampler(lambda x, t: torch.full((len(x), 1), NAN)), lambda *given: {}],
)


class TestAnswers(Answers):
    exercises = (STEP, PAIRS, LOSS, SAMPLE)

"""The checks of notebook 02 accept right answers and name each wrong one."""

from itertools import pairwise

import pytest
import torch

from utils import recurrent
from utils.checks import gates_and_directions as checks

NAN = float("nan")


# ---- exercise 2.1: the size of the gradient at each state ----


def sizes(read, x):
    states = read(x)
    gradients = torch.autograd.grad(states[-1].sum(), states)
    return torch.stack([gradient.norm() for gradient in gradients])


def sizes_by_backward(read, x):
    """With .grad of each state, which torch keeps only if it is asked to."""
    states = read(x)
    for state in states:
        state.retain_grad()
    states[-1].sum().backward()
    return torch.stack([state.grad.pow(2).sum().sqrt() for state in states])


def sizes_one_by_one(read, x, keep=True):
    states = read(x)
    end = states[-1].sum()
    return torch.stack([
        torch.autograd.grad(end, state, retain_graph=keep)[0].norm() for state in states
    ])


def sizes_by(measure):
    """The gradients, measured in another way."""

    def answer(read, x):
        states = read(x)
        return torch.stack([*map(measure, torch.autograd.grad(states[-1].sum(), states))])

    return answer


def sizes_from(end):
    """The right sizes, for another number at the end."""

    def answer(read, x):
        states = read(x)
        gradients = torch.autograd.grad(end(states), states)
        return torch.stack([gradient.norm() for gradient in gradients])

    return answer


def sizes_step_by_step(read, x):
    states = read(x)
    alone = [torch.autograd.grad(b.sum(), a, retain_graph=True)[0].norm()
             for a, b in pairwise(states)]
    return torch.stack([*alone, torch.ones_like(states[-1]).norm()])


def sizes_without_retain(read, x):
    states = read(x)
    states[-1].sum().backward()
    return torch.stack([state.grad.norm() for state in states])


def sizes_read_twice(read, x):
    states = read(x)
    return torch.stack([
        g.norm() for g in torch.autograd.grad(read(x)[-1].sum(), states)
    ])


def sizes_detached(read, x):
    states = [state.detach() for state in read(x)]
    return torch.stack([g.norm() for g in torch.autograd.grad(states[-1].sum(), states)])


# ---- exercises 2.2 and 2.3: the cells ----


def lstm(order="ifgo", biases=(1, 1), old=1, **use):
    """An LSTM step with some functions changed; use: i, f, g, o, out, result."""
    use = {
        "i": torch.sigmoid, "f": torch.sigmoid, "g": torch.tanh, "o": torch.sigmoid,
        "out": torch.tanh, "result": lambda hidden, new, before: (hidden, new),
    } | use

    def step(x, hidden, cell_state, w_input, w_state, b_input, b_state):
        sums = x @ w_input.T + old * hidden @ w_state.T + biases[0] * b_input + biases[1] * b_state
        part = dict(zip(order, sums.chunk(4, dim=-1), strict=True))
        i, f, g, o = (use[name](part[name]) for name in "ifgo")
        new = f * cell_state + i * g
        return use["result"](o * use["out"](new), new, cell_state)

    return step


def lstm_of_torch(x, hidden, cell_state, w_input, w_state, b_input, b_state):
    return torch.lstm_cell(x, (hidden, cell_state), w_input, w_state, b_input, b_state)


def lstm_shows_the_old(x, hidden, cell_state, w_input, w_state, b_input, b_state):
    _, new = lstm()(x, hidden, cell_state, w_input, w_state, b_input, b_state)
    sums = x @ w_input.T + hidden @ w_state.T + b_input + b_state
    return sums.chunk(4, -1)[3].sigmoid() * cell_state.tanh(), new


def gru(mix=lambda z, h, n: z * h + (1 - z) * n, new=None, biases=(1, 1), order="rzn"):
    """A GRU step with another mixture, or another new content."""
    content = new or (lambda x_n, h_n, r, state, w, b: torch.tanh(x_n + r * h_n))

    def step(x, state, w_input, w_state, b_input, b_state):
        from_x = (x @ w_input.T + biases[0] * b_input).chunk(3, dim=-1)
        from_state = (state @ w_state.T + biases[1] * b_state).chunk(3, dim=-1)
        x_part = dict(zip(order, from_x, strict=True))
        h_part = dict(zip(order, from_state, strict=True))
        r, z = ((x_part[g] + h_part[g]).sigmoid() for g in "rz")
        w, b = w_state.chunk(3)[2], b_state.chunk(3)[2]
        return mix(z, state, content(x_part["n"], h_part["n"], r, state, w, b))

    return step


def gru_of_torch(x, state, w_input, w_state, b_input, b_state):
    return torch.gru_cell(x, state, w_input, w_state, b_input, b_state)


def ones(x):
    return torch.ones_like(x)


def zeros(x):
    return torch.zeros_like(x)


def plain(x):
    return x


# ---- exercise 2.4: the final state ----


def final_by_flip(forward_layer, backward_layer, x, lengths):
    rows, last = torch.arange(len(x)), lengths - 1
    ahead = forward_layer(x)[0]
    back = backward_layer(recurrent.flip_rows(x, lengths))[0]
    return torch.cat([ahead[rows, last], back[rows, last]], dim=-1)


def final_by_loop(forward_layer, backward_layer, x, lengths):
    results = []
    for row, n in zip(x, lengths.tolist(), strict=True):
        real = row[None, :n]
        results.append(torch.cat([forward_layer(real)[1], backward_layer(real.flip(1))[1]], -1))
    return torch.cat(results)


def final(forward, backward, order=(0, 1)):
    """Halves from the forward outputs, the turned ones, the flipped ones, and the place."""

    def answer(forward_layer, backward_layer, x, lengths):
        rows, last, first = torch.arange(len(x)), lengths - 1, 0 * lengths
        end = first + x.size(1) - 1
        places = {"last": last, "first": first, "end": end, "turned": end - last}
        readings = {
            "forward": forward_layer(x)[0],
            "turned": backward_layer(recurrent.flip_rows(x, lengths))[0],
            "flipped": backward_layer(x.flip(1))[0],
            "unturned": backward_layer(x)[0],
        }
        halves = [readings[name][rows, places[place]] for name, place in (forward, backward)]
        return torch.cat([halves[n] for n in order], dim=-1)

    return answer


GOOD, BACK = ("forward", "last"), ("turned", "last")


def endless(*args):
    return endless(*args)


RIGHT = {
    checks.check_gradient_sizes: [sizes, sizes_by_backward, sizes_one_by_one],
    checks.check_lstm_step: [recurrent.LSTMCell, lstm(), lstm_of_torch],
    checks.check_gru_step: [recurrent.GRUCell, gru(), gru_of_torch],
    checks.check_final_state: [
        recurrent.BidirectionalLayer, final_by_flip, final_by_loop, final(GOOD, BACK),
    ],
}

# For each check: words that its message, and no other message of the table, must hold.
WRONG = {
    checks.check_gradient_sizes: {
        "last letter first": lambda read, x: sizes(read, x).flip(0),
        "root is missing": lambda read, x: sizes(read, x) ** 2,
        "so they cancel": sizes_by(torch.sum),
        "absolute values were added": sizes_by(lambda g: g.abs().sum()),
        "mean of the absolute values": sizes_by(lambda g: g.abs().mean()),
        "largest entry": sizes_by(lambda g: g.abs().max()),
        "smaller by its width": sizes_from(lambda states: states[-1].mean()),
        "sizes of the states": lambda read, x: torch.stack([s.norm() for s in read(x)]),
        "sum of all states": sizes_from(lambda states: sum(s.sum() for s in states)),
        "squares of the last state": sizes_from(lambda states: states[-1].pow(2).sum()),
        "measured alone": sizes_step_by_step,
        "all sizes are 0": lambda read, x: torch.zeros(len(x)),
        "divided by the last one": lambda read, x: sizes(read, x) / sizes(read, x)[-1],
        "call state.retain_grad()": sizes_without_retain,
        "call read(x) once": sizes_read_twice,
        "no detach": sizes_detached,
        "retain_graph=True": lambda read, x: sizes_one_by_one(read, x, keep=False),
        "belongs to one number": sizes_from(lambda states: states[-1]),
        "length (the norm) of each": sizes_by(lambda g: g[0]),
        "one size is missing": lambda read, x: sizes(read, x)[:-1],
        "join them": lambda read, x: list(sizes(read, x)),
        "want shape (seq_len,)": lambda read, x: sizes(read, x).norm()[None, None],
        "size at letter": lambda read, x: sizes(read, x) + torch.eye(len(x))[2],
    },
    checks.check_lstm_step: {
        "are input, forget, output, new": lstm("ifog"),
        "are forget, input, new content, output;": lstm("figo"),
        "are input, output, new content, forget": lstm("iogf"),
        "are new content, output, input, forget": lstm("goif"),
        "are output, new content, forget, input": lstm("ogfi"),
        "new content goes through a sigmoid": lstm(g=torch.sigmoid),
        "tanh of the cell state is missing": lstm(out=plain),
        "new content has no tanh": lstm(g=plain),
        "a gate goes through tanh": lstm(o=torch.tanh),
        "forget gate goes through tanh": lstm(f=torch.tanh),
        "input gate goes through tanh": lstm(i=torch.tanh),
        "old cell state is lost": lstm(f=zeros),
        "kept whole": lstm(f=ones),
        "enters whole": lstm(i=ones),
        "output gate is missing": lstm(o=ones),
        "both biases are missing": lstm(biases=(0, 0)),
        "b_state is missing": lstm(biases=(1, 0)),
        "b_input is missing": lstm(biases=(0, 1)),
        "old hidden state has no part": lstm(old=0),
        "wrong order: hidden first": lstm(result=lambda h, c, before: (c, h)),
        "returned as it came": lstm(result=lambda h, c, before: (h, before)),
        "cell state is wrong": lstm(result=lambda h, c, before: (h, 2 * c)),
        "shows the old cell state": lstm_shows_the_old,
        "the hidden state is not": lstm(result=lambda h, c, before: (2 * h, c)),
        "return both states": lstm(result=lambda h, c, before: h),
        "hidden (batch, d_hidden)": lstm(result=lambda h, c, before: (h[0], c)),
    },
    checks.check_gru_step: {
        "two shares are swapped": gru(lambda z, h, n: (1 - z) * h + z * n),
        "before the matrix product": gru(
            new=lambda x, h, r, state, w, b: torch.tanh(x + (r * state) @ w.T + b)),
        "multiply the bias of the state": gru(
            new=lambda x, h, r, state, w, b: torch.tanh(x + r * (state @ w.T) + b)),
        "are update, reset, new content": gru(order="zrn"),
        "are new content, reset, update": gru(order="nrz"),
        "are reset, new content, update": gru(order="rnz"),
        "reset gate is missing": gru(new=lambda x, h, r, *rest: torch.tanh(x + h)),
        "the part of x as well": gru(new=lambda x, h, r, *rest: torch.tanh(r * (x + h))),
        "through a sigmoid": gru(new=lambda x, h, r, *rest: torch.sigmoid(x + r * h)),
        "has no tanh": gru(new=lambda x, h, r, *rest: x + r * h),
        "old state is lost": gru(lambda z, h, n: (1 - z) * n),
        "old state is added whole": gru(lambda z, h, n: h + (1 - z) * n),
        "new content is added whole": gru(lambda z, h, n: z * h + n),
        "both biases are missing": gru(biases=(0, 0)),
        "b_state is missing": gru(biases=(1, 0)),
        "b_input is missing": gru(biases=(0, 1)),
        "new content alone": gru(lambda z, h, n: n),
        "one gate at a time": gru(lambda z, h, n: z * h - (1 - z) * n),
        "want shape": gru(lambda z, h, n: torch.cat([h, n], dim=-1)),
    },
    checks.check_final_state: {
        "halves are in the wrong order": final(GOOD, BACK, order=(1, 0)),
        "backward half has seen one token": final(GOOD, ("turned", "first")),
        "reads the padding first": final(GOOD, ("flipped", "end")),
        "state after the padding": final(("forward", "end"), BACK),
        "both halves have read padding": final(("forward", "end"), ("flipped", "end")),
        "output[:, -1]": final(("forward", "end"), ("flipped", "first")),
        "has come to the last real step": final(GOOD, ("flipped", "turned")),
        "backward layer reads forward": final(GOOD, ("unturned", "last")),
        "come from the forward layer": final(GOOD, GOOD),
        "come from the backward layer": final(BACK, BACK),
        "the forward half is wrong": final(("forward", "first"), BACK),
        "the backward half is not": final(GOOD, ("unturned", "first")),
        "want shape": lambda f, b, x, n: final_by_flip(f, b, x, n)[:, :4],
    },
}

HOSTILE = {
    "returned None": lambda *args: None,
    "raised ZeroDivisionError": lambda *args: 1 / 0,
    "calls itself for ever": endless,
    "without brackets": 3,
    "raised TypeError": lambda: None,
    "": lambda *args: "hello",
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
    assert words in verdict.message
    assert "could not be judged" not in verdict.message


@pytest.mark.parametrize("check", WRONG)
def test_nan_is_rejected(check):
    answers = {
        checks.check_gradient_sizes: lambda read, x: torch.full((len(x),), NAN),
        checks.check_lstm_step: lstm(result=lambda h, c, before: (h * NAN, c)),
        checks.check_gru_step: gru(lambda z, h, n: h * NAN),
        checks.check_final_state: lambda f, b, x, n: final_by_flip(f, b, x, n) * NAN,
    }
    verdict = check(answers[check])
    assert verdict.passed is False and "nan" in verdict.message


@pytest.mark.parametrize("check", WRONG)
def test_a_change_in_place_is_named(check):
    def greedy(*args):
        tensor = next(arg for arg in args if isinstance(arg, torch.Tensor))
        tensor += 1
        return tensor

    assert "in place" in check(greedy).message


@pytest.mark.parametrize("check", [checks.check_lstm_step, checks.check_gru_step])
def test_a_class_with_the_wrong_parts_is_told_off(check):
    verdict = check(torch.nn.Linear)
    assert verdict.passed is False and "could not be judged" not in verdict.message

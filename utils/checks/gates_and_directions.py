"""The checks of notebook 02: the size of a gradient, LSTM, GRU, reading in both directions."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from utils.checks.core import Mistake, call, exercise, same, want_finite, want_tensor
from utils.recurrent import RecurrentLayer


def reject_known(result: Tensor, known: dict[str, Tensor]) -> None:
    """Raise the message of the known wrong answer that this result equals, if there is one."""
    for message, wrong in known.items():
        if same(result, wrong):
            raise Mistake(message)


class Read(nn.Module):
    """A made-up network: read(x) gives the states after each letter, (1, d_hidden) each."""

    def __init__(self, d_input: int, d_hidden: int):
        super().__init__()
        self.w_input, self.w_state = torch.randn(d_hidden, d_input), torch.randn(d_hidden, d_hidden)

    def forward(self, x: Tensor) -> list[Tensor]:
        state = torch.zeros(1, len(self.w_state)).requires_grad_()
        states = []
        for letter in x:
            state = torch.tanh(letter @ self.w_input.T + 0.7 * state @ self.w_state.T)
            states.append(state)
        return states


NOT_KEPT = (
    "torch does not keep .grad of a state by itself: call state.retain_grad() before backward, or "
    "use torch.autograd.grad"
)


@exercise("2.1")
def check_gradient_sizes(answer):
    """The size of the gradient of the last state at each state: whole, in order, not detached."""
    for seq_len, d_input, d_hidden in ((5, 3, 4), (7, 2, 3)):
        judge_sizes(answer, Read(d_input, d_hidden), torch.randn(seq_len, d_input))


def judge_sizes(answer, read: Read, x: Tensor) -> None:
    """Compare the sizes for one network and one line with the right ones and the known wrong."""
    try:
        result = call(answer, read, x)
    except Mistake as mistake:
        for words, message in {
            "does not require grad": "the graph is cut: no detach, no no_grad",
            "backward through the graph a second time": "the graph is gone after the first state: "
            "ask for all gradients in one call, or keep it with retain_graph=True",
            "grad can be implicitly created only for scalar": "a gradient belongs to one number: "
            "take the sum of the last state",
            "not have been used in the graph": "the last state does not depend on the tensors that "
            "you ask about: call read(x) once, and use its states for both",
            "'NoneType' object has no attribute": NOT_KEPT,
            "is not a leaf Tensor": NOT_KEPT,
        }.items():
            if words in str(mistake):
                raise Mistake(message) from mistake
        raise
    states = read(x)
    grads = torch.cat(torch.autograd.grad(states[-1].sum(), states))     # (seq_len, d_hidden)
    wanted, n = grads.norm(dim=-1), len(x)
    if isinstance(result, Tensor) and result.numel() == grads.numel():
        raise Mistake("these are the gradients: want the length (the norm) of each")
    if isinstance(result, Tensor) and result.shape == (n - 1,):
        raise Mistake("one size is missing: there is one for each letter, the last one too")
    if isinstance(result, list | tuple):
        raise Mistake("a list of sizes came back: join them with torch.stack")
    want_tensor(result, (n,), "(seq_len,)")
    want_finite(result, "tanh has a finite derivative everywhere")
    states = read(x)
    one_step = [torch.autograd.grad(b.sum(), a, retain_graph=True)[0].norm()
                for a, b in itertools.pairwise(states)]
    states = read(x)
    of_all = torch.cat(torch.autograd.grad(sum(s.sum() for s in states), states)).norm(dim=-1)
    states = read(x)
    of_square = torch.cat(torch.autograd.grad(states[-1].pow(2).sum(), states)).norm(dim=-1)
    reject_known(result, {
        "last letter first: the sizes must stand in the order of the letters": wanted.flip(0),
        "the root is missing: the length is the root of the summed squares": wanted**2,
        "gradients were added with their signs, so they cancel: take the norm": grads.sum(dim=-1),
        "absolute values were added: the length is the root of the summed squares":
            grads.abs().sum(dim=-1),
        "the mean of the absolute values is not the length: take the norm":
            grads.abs().mean(dim=-1),
        "this is the largest entry of each gradient: take the norm": grads.abs().amax(dim=-1),
        "the gradient of the mean of the last state is smaller by its width: take the sum":
            wanted / grads.size(-1),
        "these are the sizes of the states, not of the gradients": torch.cat(states).norm(dim=-1),
        "this is the gradient of the sum of all states: want the last state alone": of_all,
        "this is the gradient of the squares of the last state: take its sum": of_square,
        "each step is measured alone: want the gradient of the LAST state at every state":
            torch.stack([*one_step, wanted[-1]]),
        "all sizes are 0: the graph is cut somewhere": torch.zeros(n),
        "every size is divided by the last one: leave them as they are": wanted / wanted[-1],
    })
    if not same(result, wanted):
        far = (result - wanted).abs().argmax().item()
        raise Mistake(
            f"the size at letter {far + 1} of {n} is {result[far]:.5f}, want {wanted[far]:.5f}"
        )


def as_function(answer, d_input: int, d_hidden: int) -> Callable:
    """A cell class of the course as a function of its weights; anything else as it is.

    The class has the parts input_map and state_map, linear layers in torch's layout.
    """
    if not (isinstance(answer, type) and issubclass(answer, nn.Module)):
        return answer

    def step(x, *rest):
        *state, w_input, w_state, b_input, b_state = rest
        cell = answer(d_input, d_hidden)
        weights = {
            "input_map.weight": w_input, "input_map.bias": b_input,
            "state_map.weight": w_state, "state_map.bias": b_state,
        }
        cell.load_state_dict(weights)
        _, new = cell(x, tuple(state) if len(state) > 1 else state[0])
        return new

    return step


def lstm(sums: Tensor, cell_state: Tensor, order: str = "ifgo", **changed) -> Tensor:
    """The new hidden and cell state side by side, with some functions changed if asked for.

    order: which quarter of the sums is which gate. changed: i, f, g, o are the functions applied
    to each quarter, out the one applied to the cell state.
    """
    use = {"i": torch.sigmoid, "f": torch.sigmoid, "g": torch.tanh, "o": torch.sigmoid,
           "out": torch.tanh} | changed
    quarter = dict(zip(order, sums.chunk(4, dim=-1), strict=True))
    i, f, g, o = (use[name](quarter[name]) for name in "ifgo")
    cell_state = f * cell_state + i * g
    return torch.cat([o * use["out"](cell_state), cell_state], dim=-1)


def identity(x: Tensor) -> Tensor:
    """The same again: what is left when a function is forgotten."""
    return x


def zero(x: Tensor) -> Tensor:
    """A gate that is always shut."""
    return torch.zeros_like(x)


def one(x: Tensor) -> Tensor:
    """A gate that is always open."""
    return torch.ones_like(x)


@exercise("2.2")
def check_lstm_step(answer):
    """One LSTM step with torch's weights: the order of the gates and the function of each."""
    batch, d_input, d_hidden = 2, 3, 4
    answer = as_function(answer, d_input, d_hidden)
    x, hidden, cell_state = (torch.randn(batch, n) for n in (d_input, d_hidden, d_hidden))
    w_input, w_state = torch.randn(4 * d_hidden, d_input), torch.randn(4 * d_hidden, d_hidden)
    b_input, b_state = torch.randn(4 * d_hidden), torch.randn(4 * d_hidden)
    result = call(answer, x, hidden, cell_state, w_input, w_state, b_input, b_state)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Mistake("return both states: `return hidden, cell_state`")
    for part, name in zip(result, ("hidden", "cell_state"), strict=True):
        axes = f"{name} (batch, d_hidden)"
        want_finite(want_tensor(part, (batch, d_hidden), axes), "gates are shares, tanh is bounded")
    given, (new_hidden, new_cell) = torch.cat(tuple(result), dim=-1), result
    from_x, from_state = x @ w_input.T, hidden @ w_state.T
    sums = from_x + from_state + b_input + b_state
    wanted = lstm(sums, cell_state)
    reject_known(given, {
        "the new content goes through a sigmoid: it is no gate, it may be negative. Use tanh":
            lstm(sums, cell_state, g=torch.sigmoid),
        "the tanh of the cell state is missing: hidden = o * tanh(cell_state)":
            lstm(sums, cell_state, out=identity),
        "the new content has no tanh": lstm(sums, cell_state, g=identity),
        "a gate goes through tanh: the output gate is a share between 0 and 1, use a sigmoid":
            lstm(sums, cell_state, o=torch.tanh),
        "the forget gate goes through tanh: a share between 0 and 1 needs a sigmoid":
            lstm(sums, cell_state, f=torch.tanh),
        "the input gate goes through tanh: a share between 0 and 1 needs a sigmoid":
            lstm(sums, cell_state, i=torch.tanh),
        "the old cell state is lost: it comes back, times the forget gate":
            lstm(sums, cell_state, f=zero),
        "the old cell state is kept whole: the forget gate must multiply it":
            lstm(sums, cell_state, f=one),
        "the new content enters whole: the input gate must multiply it":
            lstm(sums, cell_state, i=one),
        "the output gate is missing: hidden = o * tanh(cell_state)": lstm(sums, cell_state, o=one),
        "both biases are missing": lstm(from_x + from_state, cell_state),
        "b_state is missing: torch has one bias for x and one for the state":
            lstm(sums - b_state, cell_state),
        "b_input is missing: torch has one bias for x and one for the state":
            lstm(sums - b_input, cell_state),
        "the old hidden state has no part in the gates": lstm(sums - from_state, cell_state),
        "the two states are returned in the wrong order: hidden first, then the cell state":
            wanted.roll(d_hidden, dims=-1),
    })
    name_the_order(given, sums, cell_state)
    if same(new_cell, cell_state):
        raise Mistake("the cell state is returned as it came: return the new one")
    if not same(new_cell, wanted[:, d_hidden:]):
        raise Mistake("the cell state is wrong: it is f * cell_state + i * new content")
    if same(new_hidden, lstm(sums, cell_state)[:, :d_hidden]):
        return
    o = sums.chunk(4, dim=-1)[3].sigmoid()
    if same(new_hidden, o * cell_state.tanh()):
        raise Mistake("the hidden state shows the old cell state: use the new one")
    raise Mistake("the cell state is right, the hidden state is not: it is o * tanh(cell_state)")


def name_the_order(given: Tensor, sums: Tensor, cell_state: Tensor) -> None:
    """Say so where the formulas are right and the four pieces are cut in another order."""
    names = {"i": "input", "f": "forget", "g": "new content", "o": "output"}
    for order in map("".join, itertools.permutations("ifgo")):
        if order != "ifgo" and same(given, lstm(sums, cell_state, order)):
            raise Mistake(
                "the formulas are right, the order of the gates is not: your pieces are "
                f"{', '.join(names[letter] for letter in order)}; torch's are input, forget, new "
                "content, output"
            )


@exercise("2.3")
def check_gru_step(answer):
    """One GRU step with torch's weights: which gate keeps, and where the reset gate stands."""
    batch, d_input, d_hidden = 2, 3, 4
    answer = as_function(answer, d_input, d_hidden)
    x, state = torch.randn(batch, d_input), torch.randn(batch, d_hidden)
    w_input, w_state = torch.randn(3 * d_hidden, d_input), torch.randn(3 * d_hidden, d_hidden)
    b_input, b_state = torch.randn(3 * d_hidden), torch.randn(3 * d_hidden)
    result = call(answer, x, state, w_input, w_state, b_input, b_state)
    want_tensor(result, (batch, d_hidden), "(batch, d_hidden)")
    want_finite(result, "the new state is a mixture of two bounded vectors")
    reject_known(result, gru_mistakes(x, state, w_input, w_state, b_input, b_state))
    names = {"r": "reset", "z": "update", "n": "new content"}
    for order in itertools.permutations("rzn"):
        mixed_up = torch.cat([torch.arange(3 * d_hidden).chunk(3)[order.index(g)] for g in "rzn"])
        weights = [part[mixed_up] for part in (w_input, w_state, b_input, b_state)]
        if order != tuple("rzn") and same(result, torch.gru_cell(x, state, *weights)):
            raise Mistake(
                "the formulas are right, the order of the pieces is not: yours are "
                f"{', '.join(names[g] for g in order)}; torch's are reset, update, new content"
            )
    if not same(result, torch.gru_cell(x, state, w_input, w_state, b_input, b_state)):
        raise Mistake(
            "the shape is right, the numbers are not: test one gate at a time, with the weights "
            "of the others set to zero"
        )


def gru_mistakes(x, state, w_input, w_state, b_input, b_state) -> dict[str, Tensor]:
    """What the known wrong answers give, each with its message."""
    x_r, x_z, x_new = (x @ w_input.T + b_input).chunk(3, dim=-1)
    h_r, h_z, h_new = (state @ w_state.T + b_state).chunk(3, dim=-1)
    w_new, b_new = w_state.chunk(3)[2], b_state.chunk(3)[2]
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()

    def mixed(new: Tensor, keep: Tensor = z) -> Tensor:
        return keep * state + (1 - keep) * new

    new = torch.tanh(x_new + r * h_new)
    before = torch.tanh(x_new + (r * state) @ w_new.T + b_new)
    return {
        "the two shares are swapped: in torch the update gate z says how much of the OLD state "
        "stays": mixed(new, 1 - z),
        "the reset gate acts before the matrix product, as in the paper. torch multiplies after "
        "it, bias included: reset * (W state + b)": mixed(before),
        "the reset gate must also multiply the bias of the state: reset * (W state + b)":
            mixed(torch.tanh(x_new + r * (h_new - b_new) + b_new)),
        "the reset gate is missing": mixed(torch.tanh(x_new + h_new)),
        "the reset gate multiplies the part of x as well: it belongs to the state's part alone":
            mixed(torch.tanh(r * (x_new + h_new))),
        "the new content goes through a sigmoid: it may be negative, use tanh":
            mixed(torch.sigmoid(x_new + r * h_new)),
        "the new content has no tanh": mixed(x_new + r * h_new),
        "the old state is lost: a share z of it stays": (1 - z) * new,
        "the old state is added whole: a share z of it stays": state + (1 - z) * new,
        "the new content is added whole: it gets the share 1 - z": z * state + new,
        "both biases are missing": torch.gru_cell(x, state, w_input, w_state),
        "b_state is missing: torch has one bias for x and one for the state":
            torch.gru_cell(x, state, w_input, w_state, b_input, 0 * b_state),
        "b_input is missing: torch has one bias for x and one for the state":
            torch.gru_cell(x, state, w_input, w_state, 0 * b_input, b_state),
        "this is the new content alone: mix it with the old state": new,
    }


class Summing(nn.Module):
    """A made-up cell whose state tells what was read, and in which order."""

    def __init__(self, d_input: int, d_hidden: int):
        super().__init__()
        self.d_hidden = d_hidden
        self.weight = torch.randn(d_hidden, d_input)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        new = x @ self.weight.T + (0 if state is None else 0.5 * state)
        return new, new


def as_reader(answer) -> Callable:
    """A bidirectional class of the course as a function of two layers; anything else as it is."""
    if not (isinstance(answer, type) and issubclass(answer, nn.Module)):
        return answer

    def final(forward_layer, backward_layer, x, lengths):
        return answer(forward_layer.cell, backward_layer.cell)(x, lengths)[1]

    return final


@exercise("2.4")
def check_final_state(answer):
    """The final state of two directions: each after its last real step, forward half first."""
    lengths, d_hidden = torch.tensor([7, 4, 1]), 4
    x = torch.randn(3, 7, 3)
    x[torch.arange(7) >= lengths.unsqueeze(1)] = 9.0             # padding that can be felt
    forward_layer, backward_layer = (RecurrentLayer(Summing(3, d_hidden)) for _ in range(2))
    result = call(as_reader(answer), forward_layer, backward_layer, x, lengths)
    want_tensor(result, (3, 2 * d_hidden), "(batch, 2 * d_hidden)")
    want_finite(result, "all states are finite")
    rows, last = torch.arange(3), lengths - 1
    ahead = forward_layer(x)[0]
    good = ahead[rows, last]
    turned = [backward_layer(x[n : n + 1, :k].flip(1))[0][0] for n, k in enumerate(lengths)]
    back = torch.stack([states[-1] for states in turned])
    one_step = torch.stack([states[0] for states in turned])     # has read one token
    padded = backward_layer(x.flip(1))[0]                        # reads the padding first

    def pair(first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first, second], dim=-1)

    reject_known(result, {
        "the halves are in the wrong order: forward first, then backward": pair(back, good),
        "the backward half has seen one token: it is the state at the last position, where "
        "reading backward begins. Take it at the first position": pair(good, one_step),
        "the backward direction reads the padding first: turn around the real steps of each row, "
        "not the whole row": pair(good, padded[:, -1]),
        "the forward half is the state after the padding: take it at lengths - 1":
            pair(ahead[:, -1], back),
        "both halves have read padding: use the lengths": pair(ahead[:, -1], padded[:, -1]),
        "this is output[:, -1]: its forward half has read the padding, and its backward half has "
        "seen one position": pair(ahead[:, -1], padded[:, 0]),
        "the backward half is taken where reading the padded row has come to the last real step":
            pair(good, padded.flip(1)[rows, last]),
        "the backward layer reads forward: give it the steps in reverse order":
            pair(good, backward_layer(x)[0][rows, last]),
        "both halves come from the forward layer": pair(good, good),
        "both halves come from the backward layer": pair(back, back),
    })
    if not same(result[:, :d_hidden], good):
        raise Mistake("the forward half is wrong: it is forward_layer's state at step lengths - 1")
    if not same(result[:, d_hidden:], back):
        raise Mistake(
            "the forward half is right, the backward half is not: it is backward_layer's state "
            "after it has read the real steps from the last to the first"
        )

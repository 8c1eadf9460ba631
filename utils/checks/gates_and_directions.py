"""The checks of notebook 02: the size of a gradient, LSTM, GRU, reading in both directions."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from utils.checks.core import Mistake, exercise
from utils.checks.kinds import Case, agree, case
from utils.checks.results import difference
from utils.recurrent import RecurrentLayer, RNNCell, flip_rows

# ---- 2.1 ----


class Read(nn.Module):
    """A made-up network: read(x) gives the states after each letter, (1, d_hidden) each."""

    def __init__(self, d_input: int, d_hidden: int):
        super().__init__()
        self.cell = RNNCell(d_input, d_hidden)

    def forward(self, x: Tensor) -> list[Tensor]:
        state, states = None, []
        for letter in x:
            _, state = self.cell(letter[None], state)
            states.append(state)
        return states


NOT_KEPT = (
    "torch does not keep .grad of a state by itself: call state.retain_grad() before backward, or "
    "use torch.autograd.grad"
)
# words of torch's errors, and what to do then
ERRORS = {
    "does not require grad": "the graph is cut: no detach, no no_grad",
    "backward through the graph a second time": "the graph is gone after the first state: ask for "
    "all gradients in one call, or keep it with retain_graph=True",
    "grad can be implicitly created only for scalar": "a gradient belongs to one number: take the "
    "sum of the last state",
    "not have been used in the graph": "the last state does not depend on the tensors that you ask "
    "about: call read(x) once, and use its states for both",
    "'NoneType' object has no attribute": NOT_KEPT,
    "is not a leaf Tensor": NOT_KEPT,
}


@exercise("2.1")
def check_gradient_sizes(answer) -> None:
    """The size of the gradient of the last state at each state: whole, in order, not detached."""
    try:
        agree(answer, gradient_sizes, [
            case("5 letters", Read(3, 4), torch.randn(5, 3)),
            case("7 letters", Read(2, 3), torch.randn(7, 2)),
            case("one letter", Read(2, 3), torch.randn(1, 2)),
            case("a state of one number", Read(2, 1), torch.randn(3, 2)),
        ], size_mistakes(), axes={"sizes": ("letter",)}, gradients=False, advice="Want the norm "
            "of each gradient of read(x)[-1].sum()")
    except Mistake as mistake:
        for words, message in ERRORS.items():
            if words in str(mistake):
                raise Mistake(message) from mistake
        raise


def gradient_sizes(read, x, measure=Tensor.norm, end=lambda states: states[-1].sum()) -> Tensor:
    """What is asked for, in float32; `measure` and `end` are what a mistake changes."""
    states = read(x)
    gradients = torch.autograd.grad(end(states), states)
    return torch.stack([measure(gradient) for gradient in gradients]).float()


def size_mistakes() -> list[tuple[Callable, str]]:
    """The sizes with one thing wrong, and what to say then."""

    def one_step(read, x):
        states = read(x)
        ends = [*states[1:], states[-1]]
        return torch.stack([torch.autograd.grad(end.sum(), state, retain_graph=True)[0].norm()
                            for state, end in zip(states, ends)])

    def right(change):
        return lambda read, x: change(gradient_sizes(read, x))

    def measured(measure):
        return lambda read, x: gradient_sizes(read, x, measure)

    def of(end):
        return lambda read, x: gradient_sizes(read, x, end=end)

    gradients = "these are the gradients: want the length (the norm) of each"
    return [
        (right(lambda sizes: sizes.flip(0)), "last letter first: the sizes must stand in the order "
         "of the letters"),
        (right(torch.square), "the root is missing: the length is the root of the summed squares"),
        (measured(torch.sum), "gradients were added with their signs, so they cancel: take the "
         "norm"),
        (measured(lambda g: g.abs().sum()), "absolute values were added: the length is the root of "
         "the summed squares"),
        (measured(lambda g: g.abs().mean()), "the mean of the absolute values is not the length: "
         "take the norm"),
        (measured(lambda g: g.abs().max()), "this is the largest entry of each gradient: take the "
         "norm"),
        (of(lambda states: states[-1].mean()), "the gradient of the mean of the last state is "
         "smaller by its width: take the sum"),
        (of(lambda states: sum(s.sum() for s in states)), "this is the gradient of the sum of all "
         "states: want the last state alone"),
        (of(lambda states: states[-1].square().sum()), "this is the gradient of the squares of the "
         "last state: take its sum"),
        (of(lambda states: states[-1].norm()), "this is the gradient of the length of the last "
         "state: take its sum"),
        (of(lambda states: states[-1][0, 0]), "this is the gradient of one number of the last "
         "state: take its sum"),
        (lambda read, x: torch.stack([s.norm() for s in read(x)]), "these are the sizes of the "
         "states, not of the gradients"),
        (one_step, "each step is measured alone: want the gradient of the LAST state at every "
         "state"),
        (right(torch.zeros_like), "all sizes are 0: the graph is cut somewhere"),
        (right(lambda sizes: sizes / sizes[-1]), "every size is divided by the last one: leave "
         "them as they are"),
        (measured(lambda g: g), gradients), (measured(lambda g: g[0]), gradients),
        (right(lambda sizes: sizes[:-1]), "one size is missing: there is one for each letter, the "
         "last one too"),
        (right(list), "a list of sizes came back: join them with torch.stack"),
    ]


# ---- 2.2 and 2.3 ----


def as_function(answer, n_parts: int) -> Callable:
    """A cell class of the course as a function of its weights; anything else as it is.

    The class has the parts input_map and state_map, linear layers in torch's layout.
    """
    if not (isinstance(answer, type) and issubclass(answer, nn.Module)):
        return answer

    def step(x, *rest):
        *state, w_input, w_state, b_input, b_state = rest
        weights = {"input_map.weight": w_input, "input_map.bias": b_input,
                   "state_map.weight": w_state, "state_map.bias": b_state}
        cell = answer(x.size(-1), len(w_input) // n_parts)
        given = x, tuple(state) if len(state) > 1 else state[0]
        result = torch.func.functional_call(cell, weights, given)
        if result is ...:
            return ...
        shown, new = result
        if not torch.equal(shown, new[0] if isinstance(new, tuple) else new):
            raise Mistake("what the cell shows is not the hidden state that it keeps: want the "
                          "same one twice")
        return new

    return step


def cell_cases(n_parts: int, n_states: int) -> list[Case]:
    """Arguments for a step with stacked weights: x, the states, two matrices, two biases."""

    def sized(words: str, batch: int, d_input: int, d_hidden: int, size: float = 1.0, hint=""):
        d_sums = n_parts * d_hidden
        states = (torch.randn(batch, d_hidden) for _ in range(n_states))
        maps = torch.randn(d_sums, d_input), torch.randn(d_sums, d_hidden)
        return case(words, size * torch.randn(batch, d_input), *states, *maps,
                    *torch.randn(2, d_sums), hint=hint, gradients=size == 1)

    return [
        sized("2 rows", 2, 3, 4, hint="A batch holds its vectors in rows: x @ w_input.T"),
        sized("other sizes", 3, 5, 2),
        sized("as many inputs as states", 2, 4, 4),
        sized("a batch of one", 1, 3, 4),
        sized("states of one number", 2, 2, 1),
        sized("sums of 200 and more", 3, 3, 4, size=200, hint="torch.sigmoid and torch.tanh stay "
              "between -1 and 1 there"),
    ]


ROWS = ("row", "")
B_STATE = "b_state is missing: torch has one bias for x and one for the state"
B_INPUT = "b_input is missing: torch has one bias for x and one for the state"


@exercise("2.2")
def check_lstm_step(answer) -> None:
    """One LSTM step with torch's weights: the order of the gates and the function of each."""

    def right(x, hidden, cell_state, w_input, w_state, b_input, b_state):
        return torch.lstm_cell(x, (hidden, cell_state), w_input, w_state, b_input, b_state)

    agree(as_function(answer, 4), right, cell_cases(4, 2), lstm_mistakes(), axes={
        "new_hidden": ("row", "number"), "new_cell": ("row", "number"), "x": ROWS, "hidden": ROWS,
        "cell_state": ROWS,
    }, advice="The new cell state is f * cell_state + i * new content, the new hidden state is "
        "o * tanh(new cell state)")


def lstm(order: str = "ifgo", old: int = 1, b_in: int = 1, b_old: int = 1, result=None, **changed):
    """An LSTM step, with what is changed in it.

    order: which quarter of the sums is which gate. old, b_in, b_old: 0 for a part that is left out.
    changed: i, f, g, o are the functions applied to each quarter, out the one applied to the cell
    state. result: what is returned, from the new states, the old cell state and the output gate.
    """
    use = {"i": torch.sigmoid, "f": torch.sigmoid, "g": torch.tanh, "o": torch.sigmoid,
           "out": torch.tanh} | changed

    def step(x, hidden, cell_state, w_input, w_state, b_input, b_state):
        sums = x @ w_input.T + old * hidden @ w_state.T + b_in * b_input + b_old * b_state
        quarter = dict(zip(order, sums.chunk(4, dim=-1), strict=True))
        i, f, g, o = (use[name](quarter[name]) for name in "ifgo")
        new = f * cell_state + i * g
        shown = o * use["out"](new)
        return result(shown, new, cell_state, o) if result else (shown, new)

    return step


def lstm_mistakes() -> list[tuple[Callable, str]]:
    """An LSTM step with one thing wrong, and what to say then."""

    def same(x):
        return x

    share = "a share between 0 and 1 needs a sigmoid"
    names = {"i": "input", "f": "forget", "g": "new content", "o": "output"}
    return [
        (lstm(g=torch.sigmoid), "the new content goes through a sigmoid: it is no gate, it may be "
         "negative. Use tanh"),
        (lstm(out=same), "the tanh of the cell state is missing: hidden = o * tanh(cell_state)"),
        (lstm(g=same), "the new content has no tanh"),
        (lstm(i=torch.tanh), f"the input gate goes through tanh: {share}"),
        (lstm(f=torch.tanh), f"the forget gate goes through tanh: {share}"),
        (lstm(o=torch.tanh), f"the output gate goes through tanh: {share}"),
        (lstm(i=same, f=same, o=same), "the gates have no sigmoid: they are shares between 0 and "
         "1"),
        (lstm(f=torch.zeros_like), "the old cell state is lost: it comes back, times the forget "
         "gate"),
        (lstm(f=torch.ones_like), "the old cell state is kept whole: the forget gate must multiply "
         "it"),
        (lstm(i=torch.ones_like), "the new content enters whole: the input gate must multiply it"),
        (lstm(o=torch.ones_like), "the output gate is missing: hidden = o * tanh(cell_state)"),
        (lstm(b_in=0, b_old=0), "both biases are missing"),
        (lstm(b_old=0), B_STATE), (lstm(b_in=0), B_INPUT),
        (lstm(old=0), "the old hidden state has no part in the gates"),
        (lstm(result=lambda h, c, before, o: (c, h)), "the two states are returned in the wrong "
         "order: hidden first, then the cell state"),
        (lstm(result=lambda h, c, before, o: (h, before)), "the cell state is returned as it came: "
         "return the new one"),
        (lstm(result=lambda h, c, before, o: (o * before.tanh(), c)), "the hidden state shows the "
         "old cell state: use the new one"),
        (lstm(result=lambda h, c, before, o: (h, h)), "the hidden state is returned twice: the "
         "second is the cell state"),
        *((lstm("".join(order)), "the formulas are right, the order of the gates is not: your "
           f"pieces are {', '.join(names[letter] for letter in order)}; torch's are input, forget, "
           "new content, output") for order in [*itertools.permutations("ifgo")][1:]),
    ]


@exercise("2.3")
def check_gru_step(answer) -> None:
    """One GRU step with torch's weights: which gate keeps, and where the reset gate stands."""

    def right(x, state, w_input, w_state, b_input, b_state):
        return torch.gru_cell(x, state, w_input, w_state, b_input, b_state)

    agree(as_function(answer, 3), right, cell_cases(3, 1), gru_mistakes(), axes={
        "the result": ("row", "number"), "x": ROWS, "state": ROWS,
    }, advice="Test one gate at a time, with the weights of the others set to zero")


def gru(mix=None, new=None, b_in: int = 1, b_old: int = 1, order: str = "rzn") -> Callable:
    """A GRU step, with what is changed in it.

    mix: the new state from z, the old state and the new content. new: the content from the parts
    of x and of the state, r, the old state, and the state's matrix and bias. b_in, b_old: 0 for a
    bias that is left out. order: which third is which.
    """
    mix = mix or (lambda z, h, n: z * h + (1 - z) * n)
    new = new or (lambda x, h, r, state, w, b: torch.tanh(x + r * h))

    def step(x, state, w_input, w_state, b_input, b_state):
        place = [order.index(name) for name in "rzn"]
        from_x = (x @ w_input.T + b_in * b_input).chunk(3, dim=-1)
        from_state = (state @ w_state.T + b_old * b_state).chunk(3, dim=-1)
        (x_r, h_r), (x_z, h_z), (x_n, h_n) = ((from_x[n], from_state[n]) for n in place)
        w, b = (part.chunk(3)[place[2]] for part in (w_state, b_old * b_state))
        r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
        return mix(z, state, new(x_n, h_n, r, state, w, b))

    return step


def gru_mistakes() -> list[tuple[Callable, str]]:
    """A GRU step with one thing wrong, and what to say then."""
    names = {"r": "reset", "z": "update", "n": "new content"}
    return [
        (gru(lambda z, h, n: (1 - z) * h + z * n), "the two shares are swapped: in torch the "
         "update gate z says how much of the OLD state stays"),
        (gru(new=lambda x, h, r, state, w, b: torch.tanh(x + (r * state) @ w.T + b)), "the reset "
         "gate acts before the matrix product, as in the paper. torch multiplies after it, bias "
         "included: reset * (W state + b)"),
        (gru(new=lambda x, h, r, state, w, b: torch.tanh(x + r * (h - b) + b)), "the reset gate "
         "must also multiply the bias of the state: reset * (W state + b)"),
        (gru(new=lambda x, h, r, *rest: torch.tanh(x + h)), "the reset gate is missing"),
        (gru(new=lambda x, h, r, *rest: torch.tanh(r * (x + h))), "the reset gate multiplies the "
         "part of x as well: it belongs to the state's part alone"),
        (gru(new=lambda x, h, r, *rest: torch.tanh(r * x + h)), "the reset gate multiplies the "
         "part of x: it belongs to the state's part"),
        (gru(new=lambda x, h, r, *rest: torch.sigmoid(x + r * h)), "the new content goes through a "
         "sigmoid: it may be negative, use tanh"),
        (gru(new=lambda x, h, r, *rest: x + r * h), "the new content has no tanh"),
        (gru(lambda z, h, n: (1 - z) * n), "the old state is lost: a share z of it stays"),
        (gru(lambda z, h, n: h + (1 - z) * n), "the old state is added whole: a share z of it "
         "stays"),
        (gru(lambda z, h, n: z * h + n), "the new content is added whole: it gets the share 1 - z"),
        (gru(b_in=0, b_old=0), "both biases are missing"),
        (gru(b_old=0), B_STATE), (gru(b_in=0), B_INPUT),
        (gru(lambda z, h, n: n), "this is the new content alone: mix it with the old state"),
        *((gru(order="".join(order)), "the formulas are right, the order of the pieces is not: "
           f"yours are {', '.join(names[letter] for letter in order)}; torch's are reset, update, "
           "new content") for order in [*itertools.permutations("rzn")][1:]),
    ]


# ---- 2.4 ----


def as_reader(answer) -> Callable:
    """A bidirectional class of the course as a function of two layers; anything else as it is."""
    if not (isinstance(answer, type) and issubclass(answer, nn.Module)):
        return answer

    def final(forward_layer, backward_layer, x, lengths):
        return answer(forward_layer.cell, backward_layer.cell)(x, lengths)[1]

    return final


@exercise("2.4")
def check_final_state(answer) -> None:
    """The final state of two directions: each after its last real step, forward half first."""

    def rows(words: str, lengths: list[int], seq_len: int, d_input: int, d_hidden: int):
        x, real = torch.randn(len(lengths), seq_len, d_input), torch.tensor(lengths)
        x[torch.arange(seq_len) >= real.unsqueeze(1)] = 2.0           # padding that can be felt
        layers = (RecurrentLayer(RNNCell(d_input, d_hidden)) for _ in range(2))
        return case(words, *layers, x, real)

    agree(as_reader(answer), final_state, [
        rows("rows of 7, 4 and 1 steps", [7, 4, 1], 7, 3, 4),
        rows("rows of 2 and 5 steps, padded to 6", [2, 5], 6, 2, 3),
        rows("rows without padding", [4, 4], 4, 2, 3),
        rows("a batch of one", [3], 4, 2, 3),
        rows("one step", [1, 1], 1, 2, 3),
    ], final_mistakes(), axes={"final": ("row", "number"), "x": ("row", "", "")},
        explain=which_half)


def final_state(forward_layer, backward_layer, x, lengths) -> Tensor:
    """The final state that is asked for, one row at a time."""
    rows = [row[None, :n] for row, n in zip(x, lengths.tolist(), strict=True)]
    return torch.cat([torch.cat([forward_layer(row)[1], backward_layer(row.flip(1))[1]], dim=-1)
                      for row in rows])


def which_half(answered: list, wants: list) -> str:
    """Say which half of the first result is wrong."""
    halves = zip(*(part[0].chunk(2, dim=-1) for part in (answered, wants)))
    ahead, back = (difference(got, want, ["final"], {}) for got, want in halves)
    if ahead and back:
        return ""
    if ahead:
        return ("the backward half is right, the forward half is not: it is forward_layer's state "
                "at step lengths - 1")
    return back and ("the forward half is right, the backward half is not: it is backward_layer's "
                     "state after it has read the real steps from the last to the first")


def final_mistakes() -> list[tuple[Callable, str]]:
    """Halves that are read or taken in another way, and what to say then."""

    def halves(*pairs: tuple[str, str]) -> Callable:
        def wrong(forward_layer, backward_layer, x, lengths):
            last, end = lengths - 1, torch.full_like(lengths, x.size(1) - 1)
            turned = flip_rows(x, lengths)
            places = {"last": last, "first": 0 * last, "end": end, "end - last": end - last,
                      "longest": last.max().expand_as(last), "row 0": last[:1].expand_as(last)}
            readers = {"ahead": (forward_layer, x), "back": (backward_layer, turned),
                       "flipped": (backward_layer, x.flip(1)), "unturned": (backward_layer, x),
                       "exchanged": (forward_layer, turned)}
            outputs = ((readers[name][0](readers[name][1])[0], place) for name, place in pairs)
            rows = torch.arange(len(x))
            return torch.cat([output[rows, places[place]] for output, place in outputs], dim=-1)

        return wrong

    ahead, back = ("ahead", "last"), ("back", "last")
    return [
        (halves(back, ahead), "the halves are in the wrong order: forward first, then backward"),
        (halves(ahead, ("back", "first")), "the backward half has seen one token: it is the state "
         "where reading backward begins. Take it where the reading ends"),
        (halves(ahead, ("flipped", "end")), "the backward direction reads the padding first: turn "
         "around the real steps of each row, not the whole row"),
        (halves(("ahead", "end"), back), "the forward half is the state after the padding: take it "
         "at lengths - 1"),
        (halves(ahead, ("back", "end")), "the backward half is the state after the padding: take "
         "it at lengths - 1"),
        (halves(("ahead", "end"), ("back", "end")), "both halves are the states after the padding: "
         "take them at lengths - 1"),
        (halves(("ahead", "end"), ("flipped", "end")), "both halves have read padding: use the "
         "lengths"),
        (halves(("ahead", "end"), ("flipped", "first")), "this is output[:, -1]: its forward half "
         "has read the padding, and its backward half has seen one position"),
        (halves(ahead, ("flipped", "end - last")), "the backward half is taken where reading the "
         "padded row has come to the last real step"),
        (halves(ahead, ("unturned", "last")), "the backward layer reads forward: give it the steps "
         "in reverse order"),
        (halves(ahead, ("flipped", "last")), "the whole row is turned around, padding too: turn "
         "the real steps of each row alone"),
        (halves(ahead, ahead), "both halves come from the forward layer"),
        (halves(back, back), "both halves come from the backward layer"),
        (halves(("unturned", "last"), ("exchanged", "last")), "the layers are exchanged: "
         "forward_layer reads ahead, backward_layer the turned row"),
        *((halves(("ahead", of), ("back", of)), f"all rows are taken at the length of {words}: "
           "each has its own") for of, words in (("longest", "the longest"), ("row 0", "row 0"))),
    ]

"""The checks of notebook 02: the size of a gradient, LSTM, GRU, reading in both directions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

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


def growing(d_input: int, d_hidden: int) -> Read:
    """A network whose gradients double with each step back, for letters of 0."""
    read = Read(d_input, d_hidden)
    with torch.no_grad():
        read.cell.state_map.weight.copy_(2 * torch.eye(d_hidden))
        for bias in (read.cell.input_map.bias, read.cell.state_map.bias):
            if bias is not None:
                bias.zero_()
    return read


NOT_KEPT = "torch keeps no .grad of a state: call state.retain_grad() first, or use autograd.grad"
# words of torch's errors, and what to do then
ERRORS = {
    "does not require grad": "the graph is cut: no detach, no no_grad",
    "graph a second time": "the graph is gone after the first state: ask for all gradients at "
    "once, or keep it with retain_graph=True",
    "only for scalar": "a gradient belongs to one number: take the sum of the last state",
    "not have been used in the graph": "the last state does not depend on the tensors that you "
    "ask about: call read(x) once, and use its states for both",
    "'NoneType' object has no attribute": NOT_KEPT,
    "is not a leaf Tensor": NOT_KEPT,
}


@exercise("2.1")
def check_gradient_sizes(answer) -> None:
    """The size of the gradient of the last state at each state: whole, in order, not detached."""
    try:
        agree(answer, gradient_sizes, [
            case("5 letters", Read(3, 4), torch.randn(5, 3)),
            case("7 letters", Read(2, 6), torch.randn(7, 2)),
            case("one letter", Read(2, 3), torch.randn(1, 2)),
            case("a state of one number", Read(2, 1), torch.randn(3, 2)),
            case("gradients that grow", growing(2, 3), torch.zeros(6, 2), hint="a size may be as "
                 "large or small as it comes out: nothing is cut off or rounded"),
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

    def at_letters(read, x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(read(x)[-1].sum(), x)[0].norm(dim=-1)

    measures = [
        (lambda g: g.square().sum(), "the root is missing: the norm is √ of the summed squares"),
        (torch.sum, "gradients were added with their signs, so they cancel: take the norm"),
        (lambda g: g.abs().sum(), "absolute values were added: the norm is √ of summed squares"),
        (lambda g: g.abs().mean(), "this is the mean of the absolute values: take the norm"),
        (lambda g: g.square().mean().sqrt(), "this is √ of the mean square: a norm has no mean"),
        (lambda g: g.abs().max(), "this is the largest entry of each gradient: take the norm"),
        (lambda g: g[0], "these are the gradients: want the length (the norm) of each"),
        (lambda g: 0 * g.norm(), "all sizes are 0: the graph is cut somewhere"),
    ]
    ends = [
        (lambda h: h[-1].mean(), "the gradient of the mean is smaller by its width: take the sum"),
        (lambda h: torch.cat(h).sum(), "all states are summed: want the sum of the last one"),
        (lambda h: h[-1].square().sum(), "this is the gradient of the squares of the last state"),
        (lambda h: h[-1][0, 0], "this is the gradient of one number of the last state: take its "
         "sum"),
        (lambda h: h[-1].abs().sum(), "this is the gradient of absolute values: sum the last "
         "state as it is"),
        (lambda h: h[-1].norm(), "this is the gradient of the last state's norm: take its sum"),
    ]
    changes = [
        (lambda sizes: sizes.flip(0), "last letter first: want the order of the letters"),
        (lambda sizes: sizes / sizes[-1], "every size is divided by the last one: leave that out"),
        (list, "want one tensor, (seq_len,): if you have a list, torch.stack joins its entries"),
    ]
    return [
        (one_step, "each step is measured alone: want the gradient of the LAST state each time"),
        (lambda read, x: torch.stack([*gradient_sizes(read, x)[:-1]]), "one size is missing: there "
         "is one for each letter, also for the last"),
        (at_letters, "these are the gradients at the letters x: want those at the states"),
        (lambda read, x: torch.stack([s.norm() for s in read(x)]), "these are the sizes of the "
         "states, not of the gradients"),
        *((partial(gradient_sizes, measure=f), words) for f, words in measures),
        *((partial(gradient_sizes, end=f), words) for f, words in ends),
        *((lambda read, x, f=f: f(gradient_sizes(read, x)), words) for f, words in changes),
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
        if (result := torch.func.functional_call(cell, weights, given)) is ...:
            return ...
        shown, new = result
        if not torch.equal(shown, new[0] if isinstance(new, tuple) else new):
            raise Mistake("want the same hidden state as what the cell shows and what it keeps")
        return new

    return step


def cell_cases(n_parts: int, n_states: int) -> list[Case]:
    """Arguments for a step with stacked weights: x, the states, two matrices, two biases."""

    def sized(words: str, batch: int, d_input: int, d_hidden: int, size: float = 1.0, hint=""):
        d_sums = n_parts * d_hidden
        states = (torch.randn(batch, d_hidden) for _ in range(n_states))
        maps = torch.randn(d_sums, d_input) / 2, torch.randn(d_sums, d_hidden) / 2
        return case(words, size * torch.randn(batch, d_input), *states, *maps,
                    *torch.randn(2, d_sums), hint=hint, gradients=size == 1)

    return [
        sized("2 rows", 2, 3, 4, hint="A batch holds its vectors in rows: x @ w_input.T. "
              "The sizes are those of the arguments"),
        sized("other sizes", 3, 5, 2),
        sized("rows, inputs and states of 4", 4, 4, 4),
        sized("a batch of one", 1, 3, 4, hint="the axis of the rows stays"),
        sized("states of one number", 2, 2, 1),
        sized("sums of 200 and more", 3, 3, 4, size=200, hint="torch.sigmoid and torch.tanh stay "
              "between -1 and 1 there"),
    ]


def weight_mistakes(step: Callable, names: list[str]) -> list[tuple[Callable, str]]:
    """A right step with its weights left out or in another order.

    names: what the parts of the stacked weights are, in torch's order.
    """
    n = len(names)

    def piled(places: list[int]) -> Callable:
        return lambda *weights: [torch.cat([w.chunk(n)[k] for k in places]) for w in weights]

    known = [
        (lambda w, u, b, c: (w, u, 0 * b, 0 * c), "both biases are missing"),
        (lambda w, u, b, c: (w, u, b, 0 * c), "b_state is missing: torch has two biases"),
        (lambda w, u, b, c: (w, u, 0 * b, c), "b_input is missing: torch has two biases"),
        (lambda w, u, b, c: (w, 0 * u, b, c), "w_state has no part in the sums"),
        *((piled([order.index(k) for k in range(n)]), "the formulas are right, the order of the "
           f"pieces is not: yours are {', '.join(names[k] for k in order)}; torch's are "
           f"{', '.join(names)}") for order in [*itertools.permutations(range(n))][1:]),
    ]
    return [(lambda *given, f=f: step(*given[:-4], *f(*given[-4:])), words) for f, words in known]


ROWS = ("row", "")


@exercise("2.2")
def check_lstm_step(answer) -> None:
    """One LSTM step with torch's weights: the order of the gates and the function of each."""
    agree(as_function(answer, 4), lstm(), cell_cases(4, 2), lstm_mistakes(), axes={
        "new_hidden": ("row", "number"), "new_cell": ("row", "number"), "x": ROWS, "hidden": ROWS,
        "cell_state": ROWS,
    }, advice="The new cell state is f * cell_state + i * new content, the new hidden state is "
        "o * tanh(new cell state)")


def lstm(result=lambda hidden, new, old, o: (hidden, new), **changed) -> Callable:
    """An LSTM step, with what is changed in it.

    changed: i, f, g, o are the functions of the quarters, out that of the cell state.
    result: what is returned, from hidden and cell state, the old cell state and the output gate.
    """
    use = {"i": torch.sigmoid, "f": torch.sigmoid, "g": torch.tanh, "o": torch.sigmoid,
           "out": torch.tanh} | changed

    def step(x, hidden, cell_state, w_input, w_state, b_input, b_state):
        sums = (x @ w_input.T + b_input + hidden @ w_state.T + b_state).chunk(4, dim=-1)
        i, f, g, o = (use[name](quarter) for name, quarter in zip("ifgo", sums, strict=True))
        new = f * cell_state + i * g
        return result(o * use["out"](new), new, cell_state, o)

    return step


def lstm_mistakes() -> list[tuple[Callable, str]]:
    """An LSTM step with one thing wrong, and what to say then."""
    gates = {"i": "input", "f": "forget", "o": "output"}

    def every_fourth(x, hidden, cell_state, *weights):
        return lstm()(x, hidden, cell_state, *(
            w.unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1) for w in weights))

    def coupled(x, hidden, cell_state, *weights):
        parts = [w.chunk(4) for w in weights]                # the input gate's sums are minus f's
        return lstm()(x, hidden, cell_state, *(torch.cat([-f, f, g, o]) for _, f, g, o in parts))

    known = [
        ({"g": torch.sigmoid}, "the new content goes through a sigmoid: it is no gate, use tanh"),
        ({"g": torch.clone}, "the new content has no tanh"),
        ({"out": torch.clone}, "the tanh of the cell state is missing: hidden = o * tanh(c)"),
        (dict.fromkeys(gates, torch.clone), "the gates have no sigmoid: they are shares"),
        ({"f": torch.zeros_like}, "the old cell state is lost: a share f of it stays"),
        ({"f": torch.ones_like}, "the old cell state is kept whole: a share f of it stays"),
        ({"i": torch.ones_like}, "the new content enters whole: the input gate multiplies it"),
        ({"o": torch.ones_like}, "the output gate is missing: hidden = o * tanh(c)"),
        *(({gate: torch.tanh}, f"the {name} gate goes through tanh: a share between 0 and 1 needs "
           "a sigmoid") for gate, name in gates.items()),
        *(({"result": result}, words) for result, words in [
            (lambda h, c, old, o: (c, h), "the two states are in the wrong order: hidden first"),
            (lambda h, c, old, o: (h, old), "the cell state is returned as it came: want the new"),
            (lambda h, c, old, o: (h, h), "the hidden state is returned twice"),
            (lambda h, c, old, o: (o * old.tanh(), c), "the hidden state shows the old cell state"),
        ]),
    ]
    return [*((lstm(**changed), words) for changed, words in known),
            (every_fourth, "the sums are cut into every fourth number: the four parts stand one "
             "after another, as chunk(4, dim=-1) cuts them"),
            (coupled, "the input gate has no part, 1 - f stands in its place: in an LSTM both "
             "gates have sums of their own"),
            *weight_mistakes(lstm(), ["input", "forget", "new content", "output"])]


@exercise("2.3")
def check_gru_step(answer) -> None:
    """One GRU step with torch's weights: which gate keeps, and where the reset gate stands."""
    agree(as_function(answer, 3), gru(), cell_cases(3, 1), gru_mistakes(), axes={
        "the result": ("row", "number"), "x": ROWS, "state": ROWS,
    }, advice="Test one gate at a time, with the weights of the others set to zero")


def gru(
    mix=lambda z, old, new: z * old + (1 - z) * new, new=lambda x, h, r, *rest: x + r * h,
    tanh=torch.tanh,
) -> Callable:
    """A GRU step, with what is changed in it.

    mix: the new state from z, the old state and the new content. new: what the tanh is taken of,
    from the parts of x and state, r, the old state, and the state's matrix and bias.
    """

    def step(x, state, w_input, w_state, b_input, b_state):
        x_r, x_z, x_new = (x @ w_input.T + b_input).chunk(3, dim=-1)
        h_r, h_z, h_new = (state @ w_state.T + b_state).chunk(3, dim=-1)
        r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
        w, b = w_state.chunk(3)[2], b_state.chunk(3)[2]
        return mix(z, state, tanh(new(x_new, h_new, r, state, w, b)))

    return step


def gru_mistakes() -> list[tuple[Callable, str]]:
    """A GRU step with one thing wrong, and what to say then."""
    mixed = [
        (lambda z, h, n: (1 - z) * h + z * n, "the two shares are swapped: in torch the update "
         "gate z says how much of the OLD state stays"),
        (lambda z, h, n: (1 - z) * n, "the old state is lost: a share z of it stays"),
        (lambda z, h, n: h + (1 - z) * n, "the old state is added whole: a share z of it stays"),
        (lambda z, h, n: z * h + n, "the new content is added whole: it gets the share 1 - z"),
        (lambda z, h, n: n, "this is the new content alone: mix it with the old state"),
    ]
    def one_part(x, h, w, u, b, c):
        r, _, n = (torch.cat([u, c[:, None]], dim=1)).chunk(3)
        both = torch.cat([r, r, n])
        return gru()(x, h, w, both[:, :-1], b, both[:, -1])

    contents = [
        (lambda x, h, r, state, w, b: x + (r * state) @ w.T + b, "the reset gate acts before the "
         "matrix product, as in the paper. torch multiplies after it: reset * (W state + b)"),
        (lambda x, h, r, state, w, b: x + r * (h - b) + b, "the reset gate must also multiply the "
         "bias of the state: reset * (W state + b)"),
        (lambda x, h, r, *rest: x + h, "the reset gate is missing"),
        (lambda x, h, r, *rest: r * (x + h), "the reset gate multiplies the part of x as well: it "
         "belongs to the state's part alone"),
        (lambda x, h, r, *rest: r * x + h, "the reset gate multiplies the part of x alone"),
    ]
    return [
        *((gru(mix=mix), words) for mix, words in mixed),
        *((gru(new=new), words) for new, words in contents),
        (gru(tanh=torch.sigmoid), "the new content goes through a sigmoid: it may be negative"),
        (lambda x, h, *w: gru()(x, h, *w).tanh(), "the new state goes through a second tanh: the "
         "new content alone has one"),
        (one_part, "both gates get the reset gate's part of the state: z takes the second part"),
        (gru(tanh=torch.clone), "the new content has no tanh"),
        *weight_mistakes(gru(), ["reset", "update", "new content"]),
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

    def rows(words: str, lengths: list[int], seq_len: int, d_input: int, d_hidden: int, hint=""):
        x, real = torch.randn(len(lengths), seq_len, d_input), torch.tensor(lengths)
        x[torch.arange(seq_len) >= real.unsqueeze(1)] = 2.0           # padding that can be felt
        layers = (RecurrentLayer(RNNCell(d_input, d_hidden)) for _ in range(2))
        return case(words, *layers, x, real, hint=hint)

    agree(as_reader(answer), final_state, [
        rows("rows of 7, 4 and 1 steps", [7, 4, 1], 7, 3, 4),
        rows("rows of 2 and 5 steps, padded to 6", [2, 5], 6, 2, 3, hint="rows come in any order, "
             "and may all have padding"),
        rows("rows without padding", [4, 4], 4, 2, 3),
        rows("a batch of one", [3], 4, 2, 3, hint="a row may have padding though all are equally "
             "long, and the axis of the rows stays"),
        rows("one step", [1, 1], 1, 2, 3),
    ], final_mistakes(), axes={"final": ("row", "number"), "x": ("row", "", "")},
        explain=which_half, advice="Print the two halves apart: "
        "ahead[row, lengths[row] - 1], and what backward_layer gives at that step when it reads "
        "the real steps from the last to the first")


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
                      "next": lengths.clamp(max=x.size(1) - 1),
                      "the longest": last.max().expand_as(last), "row 0": last[:1].expand_as(last)}
            readers = {"ahead": (forward_layer, x), "back": (backward_layer, turned),
                       "flipped": (backward_layer, x.flip(1)), "unturned": (backward_layer, x),
                       "exchanged": (forward_layer, turned)}
            outputs = ((readers[name][0](readers[name][1])[0], place) for name, place in pairs)
            rows = torch.arange(len(x))
            return torch.cat([output[rows, places[place]] for output, place in outputs], dim=-1)

        return wrong

    ahead, back = ("ahead", "last"), ("back", "last")
    known = [
        (back, ahead, "the halves are in the wrong order: forward first, then backward"),
        (ahead, ("back", "first"), "the backward half has seen one token: take it at the end"),
        (ahead, ("flipped", "end"), "the backward direction reads the padding first: turn around "
         "the real steps of each row, not the whole row"),
        (("ahead", "end"), back, "the forward half is the state after the padding: lengths - 1"),
        (ahead, ("back", "end"), "the backward half is the state after the padding: lengths - 1"),
        (("ahead", "end"), ("back", "end"), "both halves are taken after the padding: lengths - 1"),
        (("ahead", "end"), ("flipped", "end"), "both halves have read padding: use the lengths"),
        (("ahead", "end"), ("flipped", "first"), "this is output[:, -1]: its forward half has read "
         "the padding, and its backward half has seen one position"),
        (ahead, ("flipped", "end - last"), "the backward half is taken where reading the padded "
         "row has come to the last real step"),
        (ahead, ("unturned", "last"), "the backward layer reads forward: turn the steps around"),
        (ahead, ("flipped", "last"), "the whole row is turned around, padding too: turn the real "
         "steps of each row alone"),
        (("ahead", "next"), ("back", "next"), "both halves are taken one step too late, at step "
         "lengths: steps count from 0, the last real one is lengths - 1"),
        (ahead, ahead, "both halves come from the forward layer"),
        (back, back, "both halves come from the backward layer"),
        (("unturned", "last"), ("exchanged", "last"), "the two layers are exchanged"),
        *((("ahead", of), ("back", of), f"all rows are taken at the length of {of}: each has its "
           "own") for of in ("the longest", "row 0")),
    ]
    return [(halves(*pairs), words) for *pairs, words in known]

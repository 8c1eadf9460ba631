"""The checks of lesson 02 accept right answers and name each wrong one."""

from itertools import pairwise

import torch
from judging import Answers, Exercise, mutant
from torch import nn

from utils import recurrent
from utils.checks import gates_and_directions as lesson

NAN = float("nan")

# ---- 2.1 ----


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


def sizes_as_numbers(*, read, x):
    states = read(x)
    gradients = torch.autograd.grad(states[-1], states, torch.ones_like(states[-1]))
    return torch.tensor([gradient.norm().item() for gradient in gradients])


def sizes_step_by_step(read, x):
    states = read(x)
    alone = [torch.autograd.grad(b.sum(), a, retain_graph=True)[0].norm()
             for a, b in pairwise(states)]
    return torch.stack([*alone, torch.ones_like(states[-1]).norm()])


def sizes_of_two_readings(read, x):
    states = read(x)
    return torch.stack([g.norm() for g in torch.autograd.grad(read(x)[-1].sum(), states)])


def size(*texts):
    return mutant(sizes, *texts)


NORM, READ, END = "gradient.norm()", "read(x)", "states[-1].sum()"
GRADIENTS = f"torch.autograd.grad({END}, states)"
RESULT = f"torch.stack([{NORM} for gradient in gradients])"
SIZES = Exercise(
    lesson.check_gradient_sizes,
    right=[sizes, sizes_by_backward, sizes_one_by_one, sizes_as_numbers,
           size(RESULT, "torch.cat(gradients).norm(dim=-1)")],
    wrong=[
        (size(RESULT, f"{RESULT}.flip(0)"), "last letter first"),
        (size(NORM, f"{NORM} ** 2"), "root is missing"),
        (size(NORM, "gradient.sum()"), "so they cancel"),
        (size(NORM, "gradient.abs().sum()"), "absolute values were added"),
        (size(NORM, "gradient.abs().mean()"), "mean of the absolute values"),
        (size(NORM, "gradient.square().mean().sqrt()"), "√ of the mean square"),
        (size(NORM, "gradient[0, :4].norm()"), "right for 5 letters, but for 7"),
        (size(NORM, "gradient.abs().max()"), "largest entry"),
        (size(END, "states[-1].mean()"), "smaller by its width"),
        (size(END, "sum(state.sum() for state in states)"), "all states are summed"),
        (size(END, "states[-1].pow(2).sum()"), "squares of the last state"),
        (size(END, "states[-1].norm()"), "last state's norm"),
        (size(END, "states[-1][0, 0]"), "gradient of one number of the last"),
        (size("in gradients", "in states"), "sizes of the states"),
        (sizes_step_by_step, "measured alone"),
        (lambda read, x: torch.zeros(len(x)), "all sizes are 0"),
        (lambda read, x: sizes(read, x) / sizes(read, x)[-1], "divided by the last one"),
        (size(GRADIENTS, f"[{END}.backward(), [s.grad for s in states]][1]"), "state.retain_grad"),
        (sizes_of_two_readings, "call read(x) once"),
        (size(READ, "[state.detach() for state in read(x)]"), "no detach"),
        (lambda read, x: sizes_one_by_one(read, x, keep=False), "retain_graph=True"),
        (size(END, "states[-1]"), "belongs to one number"),
        (lambda read, x: lesson.gradient_sizes(read, x).clamp(max=5.0),
         "nothing is cut off or rounded"),
        (size(NORM, "gradient[0]"), "length (the norm)"),
        (size(RESULT, f"{RESULT}[:-1]"), "one size is missing"),
        (size(RESULT, f"list({RESULT})"), "joins its entries"),
        (size(NORM, "gradient.norm(dim=-1)"), "(letter) = (5,), got (5, 1)"),
        (size(RESULT, f"{RESULT}[:5]"), "for 7 letters"),
        (size(RESULT, f"{RESULT}.squeeze()"), "for one letter"),
        (size(RESULT, f"{RESULT} + torch.eye(len(x))[len(x) // 2]"), "of each gradient of read"),
        (size(READ, "read(torch.ones_like(x))"), "`x` has no part"),
        (size(READ, "read(x.zero_())"), "in place"),
        (size("return", "read.cell.state_map.register_forward_hook(print)\n    return"), "hooks"),
    ],
    twins=["√ of the mean square", "divided by the last one"],
    hostile=[lambda read, x: torch.full((len(x),), NAN), lambda *given: {}],
)

# ---- 2.2 ----


def lstm(x, hidden, cell_state, w_input, w_state, b_input, b_state):
    sums = x @ w_input.T + hidden @ w_state.T + b_input + b_state
    i, f, g, o = sums.chunk(4, dim=-1)
    new = f.sigmoid() * cell_state + i.sigmoid() * g.tanh()
    return o.sigmoid() * new.tanh(), new


def lstm_of_torch(x, hidden, cell_state, *weights):
    return torch.lstm_cell(x, (hidden, cell_state), *weights)


def lstm_by_loop(*, x, hidden, cell_state, w_input, w_state, b_input, b_state):
    n, rows = hidden.size(1), []
    for row, h, c in zip(x, hidden, cell_state, strict=True):
        sums = w_input @ row + b_input + w_state @ h + b_state
        i, f, o = (torch.sigmoid(sums[k * n : k * n + n]) for k in (0, 1, 3))
        c = f * c + i * torch.tanh(sums[2 * n : 3 * n])
        rows.append((o * torch.tanh(c), c))
    return [torch.stack(part) for part in zip(*rows, strict=True)]


def cut(order):
    """The LSTM step that takes the four pieces in another order."""
    return step("i, f, g, o =", f"{', '.join(order)} =")


def step(*texts):
    return mutant(lstm, *texts)


OUT = "return o.sigmoid() * new.tanh(), new"
LSTM = Exercise(
    lesson.check_lstm_step,
    right=[recurrent.LSTMCell, lstm, lstm_of_torch, lstm_by_loop],
    wrong=[
        (cut("ifog"), "are input, forget, output, new"),
        (cut("figo"), "are forget, input, new content, output;"),
        (cut("iogf"), "are input, output, new content, forget"),
        (cut("goif"), "are new content, output, input, forget"),
        (cut("ogfi"), "are output, new content, forget, input"),
        (step("g.tanh()", "g.sigmoid()"), "new content goes through a sigmoid"),
        (step("* new.tanh()", "* new"), "tanh of the cell state is missing"),
        (step("g.tanh()", "g"), "new content has no tanh"),
        (step("o.sigmoid()", "o.tanh()"), "output gate goes through tanh"),
        (step("f.sigmoid()", "f.tanh()"), "forget gate goes through tanh"),
        (step("i.sigmoid()", "i.tanh()"), "input gate goes through tanh"),
        (step("i.sigmoid()", "i", "f.sigmoid()", "f", "o.sigmoid()", "o"), "have no sigmoid"),
        (step("f.sigmoid() * cell_state + ", ""), "old cell state is lost"),
        (step("f.sigmoid() * ", ""), "kept whole"),
        (step("i.sigmoid() * ", ""), "enters whole"),
        (step("o.sigmoid() * ", ""), "output gate is missing"),
        (step(" + b_input + b_state", ""), "both biases are missing"),
        (step(" + b_state", ""), "b_state is missing"),
        (step("b_input + ", ""), "b_input is missing"),
        (step(" + hidden @ w_state.T", ""), "w_state has no part"),
        (step(OUT, "return new, o.sigmoid() * new.tanh()"), "wrong order: hidden first"),
        (step(OUT, OUT[:-3] + "cell_state"), "returned as it came"),
        (step(OUT, OUT[:-3] + "o.sigmoid() * new.tanh()"), "is returned twice"),
        (step(OUT, f"{OUT} * 2"), "new_cell[0, 0]"),
        (step("* new.tanh()", "* cell_state.tanh()"), "shows the old cell state"),
        (step("return o", "return 2 * o"), "new_hidden[0, 0]"),
        (step(OUT, OUT[:-5]), "want 2 results"),
        (step("return", "o = o[0]; new = new[0]\n    return"), "want shape of new_hidden"),
        (step("w_input.T", "w_input"), "in rows"),
        (step(OUT, f"new = new.squeeze(); {OUT}"), "for a batch of one"),
        (step("sums.chunk(4, dim=-1)", "sums.split(4, dim=-1)"), "for other sizes: your function"),
        (step("hidden @", "hidden[:1] @"), "a change in row 0 of `hidden` moves row 1"),
        (step("g.tanh()", "((g.exp() - (-g).exp()) / (g.exp() + (-g).exp()))"),
         "between -1 and 1 there"),
        (step(OUT, OUT[:-3] + "new.float()"), "want torch.float64"),
        (step("* cell_state", "* cell_state.detach()"), "no gradient reaches `cell_state`"),
        (step("hidden @", "hidden.detach() @"), "no gradient reaches `hidden`"),
        (step("new.tanh(), new", "new.tanh(), new.detach()"), "from new_cell"),
        (step("g.tanh()", "g.tanh().detach()"), "is cut off"),
        (torch.no_grad()(lstm), "no gradient reaches any"),
        (step("return", "hidden.zero_()\n    return"), "in place"),
        (mutant(recurrent.LSTMCell, "return hidden,", "return 2 * hidden,"), "what it keeps"),
        (mutant(recurrent.LSTMCell, "f.sigmoid() *", "f.sigmoid() +"), "8 of 8 entries differ"),
    ],
    twins=["returned as it came"],
    hostile=[nn.Linear, nn.LSTMCell, lambda *given: (NAN * given[1], given[2])],
)

# ---- 2.3 ----


def gru(x, state, w_input, w_state, b_input, b_state):
    x_r, x_z, x_n = (x @ w_input.T + b_input).chunk(3, dim=-1)
    h_r, h_z, h_n = (state @ w_state.T + b_state).chunk(3, dim=-1)
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    new = torch.tanh(x_n + r * h_n)
    return z * state + (1 - z) * new


def gru_by_parts(*, x, state, w_input, w_state, b_input, b_state):
    n = state.size(1)
    r = torch.sigmoid(x @ w_input[:n].T + b_input[:n] + state @ w_state[:n].T + b_state[:n])
    z = nn.functional.linear(x, w_input[n : 2 * n], b_input[n : 2 * n])
    z = (z + nn.functional.linear(state, w_state[n : 2 * n], b_state[n : 2 * n])).sigmoid()
    old = torch.einsum("bh,gh->bg", state, w_state[2 * n :]) + b_state[2 * n :]
    new = (x @ w_input[2 * n :].T + b_input[2 * n :] + r * old).tanh()
    return new + z * (state - new)


def gate(*texts):
    return mutant(gru, *texts)


def cut_in_three(order):
    return gate("x_r, x_z, x_n =", ", ".join(f"x_{n}" for n in order) + " =",
                "h_r, h_z, h_n =", ", ".join(f"h_{n}" for n in order) + " =")


NEW, MIX = "torch.tanh(x_n + r * h_n)", "z * state + (1 - z) * new"
W, B = "w_state.chunk(3)[2].T", "b_state.chunk(3)[2]"
GRU = Exercise(
    lesson.check_gru_step,
    right=[recurrent.GRUCell, gru, gru_by_parts, lambda *given: torch.gru_cell(*given)],
    wrong=[
        (gate(MIX, "(1 - z) * state + z * new"), "two shares are swapped"),
        (gate("r * h_n", f"(r * state) @ {W} + {B}"), "before the matrix product"),
        (gate("r * h_n", f"r * (state @ {W}) + {B}"), "multiply the bias of the state"),
        (cut_in_three("zrn"), "are update, reset, new content"),
        (cut_in_three("nrz"), "are new content, reset, update"),
        (cut_in_three("rnz"), "are reset, new content, update"),
        (gate("r * h_n", "h_n"), "reset gate is missing"),
        (gate("x_n + r * h_n", "r * (x_n + h_n)"), "the part of x as well"),
        (gate("x_n + r * h_n", "r * x_n + h_n"), "the part of x alone"),
        (gate("torch.tanh", "torch.sigmoid"), "through a sigmoid"),
        (gate("torch.tanh", ""), "has no tanh"),
        (gate("z * state + ", ""), "old state is lost"),
        (gate("z * state", "state"), "old state is added whole"),
        (gate("(1 - z) * new", "new"), "new content is added whole"),
        (gate(" + b_input", "", " + b_state", ""), "both biases are missing"),
        (gate(" + b_state", ""), "b_state is missing"),
        (gate(" + b_input", ""), "b_input is missing"),
        (gate(MIX, "new"), "new content alone"),
        (gate("+ (1 - z)", "- (1 - z)"), "one gate at a time"),
        (gate("(x_z + h_z).sigmoid()", "(x_z + h_z).tanh()"), "is -1.3, want -1.192"),
        (gate(MIX, "torch.cat([state, new], dim=-1)"), "want shape"),
        (gate("w_input.T", "w_input"), "in rows"),
        (gate(MIX, f"({MIX}).squeeze()"), "for a batch of one"),
        (gate("(state @ w_state.T + b_state).chunk(3, dim=-1)",
              "(state @ w_state.T + b_state).split(4, dim=-1)"), "for other sizes: your function"),
        (gate(MIX, "z.mean(0) * state + (1 - z.mean(0)) * new"), "moves row 0, and must not"),
        (gate("torch.tanh", "(lambda a: 1 - 2 / (1 + (2 * a).exp().log().exp()))",
              "(x_z + h_z).sigmoid()", "(x_z + h_z).exp() / (1 + (x_z + h_z).exp())"),
         "between -1 and 1 there"),
        (gate(MIX, f"({MIX}).float()"), "want torch.float64"),
        (gate("z * state", "z * state.detach()"), "the gradient at `state` is not"),
        (gate("(x_r + h_r)", "(x_r + h_r).detach()"), "the gradient at `x` is not"),
        (torch.no_grad()(gru), "no gradient reaches any"),
        (gate("return", "state.zero_()\n    return"), "in place"),
        (gate(MIX, f"({MIX}, new)"), "got tuple of 2"),
        (mutant(recurrent.GRUCell, "update * state", "state"), "old state is added whole"),
    ],
    twins=["old state is added whole"],
    hostile=[nn.Linear, nn.GRUCell, lambda x, state, *rest: NAN * state],
)

# ---- 2.4 ----


def final(forward_layer, backward_layer, x, lengths):
    rows, last = torch.arange(len(x)), lengths - 1
    turned = recurrent.flip_rows(x, lengths)
    ahead = forward_layer(x)[0]
    back = backward_layer(turned)[0]
    return torch.cat([ahead[rows, last], back[rows, last]], dim=-1)


def final_by_loop(forward_layer, backward_layer, x, lengths):
    results = []
    for row, n in zip(x, lengths.tolist(), strict=True):
        real = row[None, :n]
        results.append(torch.cat([forward_layer(real)[1], backward_layer(real.flip(1))[1]], -1))
    return torch.cat(results)


def final_by_gather(*, forward_layer, backward_layer, x, lengths):
    halves = []
    steps = torch.arange(x.size(1)).expand(len(x), -1)
    turned = torch.stack([row[(n - 1 - step) % len(row)] for row, n, step in
                          zip(x, lengths, steps, strict=True)])
    for layer, read in ((forward_layer, x), (backward_layer, turned)):
        output, _ = layer(read)
        place = (lengths - 1)[:, None, None].expand(-1, 1, output.size(-1))
        halves.append(output.gather(1, place)[:, 0])
    return torch.hstack(halves)


def final_by_mask(forward_layer, backward_layer, x, lengths):
    is_last = (torch.arange(x.size(1)) == (lengths - 1)[:, None]).unsqueeze(-1)
    turned = recurrent.flip_rows(x, lengths)
    return torch.cat([(forward_layer(x)[0] * is_last).sum(1),
                      (backward_layer(turned)[0] * is_last).sum(1)], dim=-1)


def end(*texts):
    return mutant(final, *texts)


AHEAD, BACK = "ahead[rows, last]", "back[rows, last]"
TURNED = "recurrent.flip_rows(x, lengths)"
FINAL = Exercise(
    lesson.check_final_state,
    right=[recurrent.BidirectionalLayer, final, final_by_loop, final_by_gather, final_by_mask],
    wrong=[
        (end(f"{AHEAD}, {BACK}", f"{BACK}, {AHEAD}"), "halves are in the wrong order"),
        (end(BACK, "back[:, 0]"), "backward half has seen one token"),
        (end(TURNED, "x.flip(1)", BACK, "back[:, -1]"), "reads the padding first"),
        (end(AHEAD, "ahead[:, -1]"), "forward half is the state after the padding"),
        (end(BACK, "back[:, -1]"), "backward half is the state after the padding"),
        (end(AHEAD, "ahead[:, -1]", BACK, "back[:, -1]"), "both halves are taken after"),
        (end(TURNED, "x.flip(1)", AHEAD, "ahead[:, -1]", BACK, "back[:, -1]"),
         "both halves have read padding"),
        (end(TURNED, "x.flip(1)", AHEAD, "ahead[:, -1]", BACK, "back[:, 0]"), "output[:, -1]"),
        (end(TURNED, "x.flip(1)", BACK, "back.flip(1)[rows, last]"), "has come to the last real"),
        (end(TURNED, "x"), "backward layer reads forward"),
        (end(TURNED, "x.flip(1)"), "the whole row is turned around"),
        (end(BACK, AHEAD), "come from the forward layer"),
        (end(AHEAD, BACK), "come from the backward layer"),
        (end("forward_layer(x)", "backward_layer(x)", "backward_layer(t", "forward_layer(t"),
         "the two layers are exchanged"),
        (end("lengths - 1", "lengths.max().expand(len(x)) - 1"), "the length of the longest"),
        (end("lengths - 1", "lengths[:1] - 1"), "the length of row 0"),
        (end(AHEAD, "ahead[:, 0]"), "backward half is right, the forward half is not"),
        (end(TURNED, "x", BACK, "back[:, 0]"), "forward half is right, the backward half is not"),
        (end("ahead = forward_layer(x)[0]", "ahead = forward_layer(turned)[0]"),
         "the backward half is right, the forward"),
        (end("lengths - 1", "lengths"), "raised IndexError"),
        (end("lengths - 1", "(lengths - 2).clamp(min=0)"), "print(final"),
        (end("dim=-1)", "dim=-1)[:, :4]"), "want shape"),
        (end("dim=-1", "dim=0"), "(row, number) = (3, 8), got (6, 4)"),
        (end("torch.arange(len(x))", "torch.arange(3)"), "for rows of 2 and 5"),
        (end("dim=-1)", "dim=-1).squeeze()"), "for a batch of one"),
        (lambda a, b, x, n: final(a, b, x[n.argsort(descending=True)], n.sort(descending=True)[0]),
         "Rows come in any order, and"),
        (end("lengths - 1", "torch.tensor([6, 3, 0])[:len(x)]"), "index 6 is out"),
        (end("forward_layer(x)[0]", "forward_layer(x)[0].detach()"),
         "no gradient reaches `forward_layer.*`"),
        (torch.no_grad()(final), "no gradient reaches any"),
        (end(TURNED, f"{TURNED}.detach()"), "the gradient at `x` is not"),
        (end("turned =", "x.mul_(2)\n    turned ="), "in place"),
        (end("return", "forward_layer.cell.register_forward_hook(print)\n    return"), "hooks"),
    ],
    twins=["backward half is right, the forward half is not",
           "the backward half is right, the forward"],
    hostile=[lambda *given: NAN * final(*given), nn.Linear, lambda *given: {}],
)


class TestAnswers(Answers):
    exercises = (SIZES, LSTM, GRU, FINAL)

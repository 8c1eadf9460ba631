"""The checks of notebook 01: one recurrent step, shifting a text, the loss, sampling."""

import math

import torch
from torch import Tensor, nn

from utils.checks.core import (
    Mistake,
    call,
    exercise,
    same,
    want_finite,
    want_number,
    want_tensor,
)


@exercise("1.1")
def check_rnn_step(answer):
    """One step of a recurrent network: tanh, the two products, the bias, one set of weights."""
    batch, d_input, d_hidden = 2, 3, 4
    x, state = torch.randn(batch, d_input), torch.randn(batch, d_hidden)
    w_input, w_state = torch.randn(d_hidden, d_input), torch.randn(d_hidden, d_hidden)
    bias = torch.randn(d_hidden)
    given = x, state, w_input, w_state, bias
    result = want_tensor(call(answer, *given), (batch, d_hidden), "(batch, d_hidden)")
    want_finite(result, "tanh gives numbers between -1 and 1, whatever comes in")
    if not same(call(answer, *given), result):
        raise Mistake(
            "the same input gives another result at the second call: your step makes weights of "
            "its own. Use the w_input, w_state and bias that it is given"
        )
    from_input, from_state = x @ w_input.T, state @ w_state.T
    total = from_input + from_state + bias
    known = {
        "the tanh is missing: without it the state is not kept between -1 and 1": total,
        "w_state is used the wrong way round. It is square, so no error comes up; its rows, like "
        "those of w_input, belong to the new state: transpose it":
            torch.tanh(from_input + state @ w_state + bias),
        "the bias is added twice: once for x, once for the state. Here there is one bias":
            torch.tanh(total + bias),
        "the bias is missing": torch.tanh(from_input + from_state),
        "the old state has no part in the new one: add its product with w_state":
            torch.tanh(from_input + bias),
        "x has no part in the new state: add its product with w_input":
            torch.tanh(from_state + bias),
        "the old state comes in after the tanh: the tanh must be around the whole sum":
            torch.tanh(from_input + bias) + from_state,
        "this is a sigmoid: a plain recurrent step uses tanh": torch.sigmoid(total),
    }
    reject_known(result, known)
    if not same(result, torch.tanh(total)):
        raise Mistake(
            "the shape is right, the numbers are not: look at each part of "
            "tanh(W_input x + W_state h + bias) alone, with the other parts set to zero"
        )
    want_gradients(answer, given)


def want_gradients(step, given: tuple[Tensor, ...]) -> None:
    """Raise Mistake where a step cannot learn: no gradient comes back to what it was given."""
    names = "x", "state", "w_input", "w_state", "bias"
    tracked = [tensor.clone().requires_grad_() for tensor in given]
    with torch.enable_grad():
        total = step(*tracked).sum()
        reached = [None] * len(names)
        if total.requires_grad:
            reached = torch.autograd.grad(total, tracked, allow_unused=True)
    if missing := [name for name, gradient in zip(names, reached) if gradient is None]:
        raise Mistake(
            f"the numbers are right, but no gradient comes back to {', '.join(missing)}: the "
            "network could not learn. Leave out detach(), no_grad and .data"
        )


def reject_known(result: Tensor, known: dict[str, Tensor]) -> None:
    """Raise the message of the known wrong answer that this result equals, if there is one."""
    for message, wrong in known.items():
        if same(result, wrong):
            raise Mistake(message)


@exercise("1.2")
def check_inputs_and_targets(answer):
    """Input and target of a text: one step apart, both ways, and nothing left over."""
    for ids in (torch.tensor([2, 0, 1, 1, 3]), torch.tensor([7, 3, 3, 9, 1, 0, 4, 8])):
        n = len(ids)
        result = call(answer, ids)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Mistake("return two tensors: `return inputs, targets`")
        inputs, targets = result
        for part, name in ((inputs, "inputs"), (targets, "targets")):
            if not isinstance(part, Tensor):
                raise Mistake(f"{name}: want a torch.Tensor, got {type(part).__name__}")
            if part.dim() != 1:
                raise Mistake(f"{name}: want one axis (seq_len,), got {tuple(part.shape)}")
        if torch.equal(inputs, targets):
            raise Mistake(
                "the target is the input itself: the model learns to repeat what it reads, its "
                "loss falls to 0, and it then writes hhhhh. The target is one step ahead"
            )
        if torch.equal(inputs, ids[1:]) and torch.equal(targets, ids[:-1]):
            raise Mistake("the two are swapped: your model would predict the letter before")
        if torch.equal(inputs, ids) and torch.equal(targets, ids.roll(-1)):
            raise Mistake(
                "the last target is the first letter of the text: roll wraps around. The last "
                "letter has nothing to predict: leave it out of the inputs"
            )
        if len(inputs) == n and len(targets) < n:
            raise Mistake(
                "the last input has no target: nothing comes after it, so it is no input"
            )
        if len(targets) == n and len(inputs) < n:
            raise Mistake("the first letter is no target: nothing was read before it")
        m = len(targets)
        if len(inputs) == m and 0 < m < n - 1 and any(
            torch.equal(inputs, ids[a : a + m]) and torch.equal(targets, ids[a + 1 : a + 1 + m])
            for a in range(n - m)
        ):
            raise Mistake(
                f"a pair is lost: {n} letters give {n - 1} pairs, here there are {m}. Only the "
                "last letter is no input, only the first is no target"
            )
        if len(targets) <= n - 2 and torch.equal(targets, ids[n - len(targets):]):
            raise Mistake(
                "the target is two or more steps ahead: it was shifted more than once, so the "
                "model would skip letters"
            )
        if len(inputs) != len(targets):
            raise Mistake(
                f"each input needs its target: got {len(inputs)} inputs and {len(targets)} targets"
            )
        if not (torch.equal(inputs, ids[:-1]) and torch.equal(targets, ids[1:])):
            raise Mistake(
                f"{n} letters give {n - 1} pairs: each letter but the last, and the letter after it"
            )


VOCAB_SIZE = 5    # of the two made-up models below


class SummingModel(nn.Module):
    """A made-up model: the next token is the sum of all tokens read so far, plus 1, modulo 5."""

    def forward(self, ids: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        state = torch.zeros(len(ids), 1, dtype=torch.long) if state is None else state
        sums = state + ids.cumsum(dim=1)                      # (batch, seq_len)
        logits = 100.0 * nn.functional.one_hot((sums + 1) % VOCAB_SIZE, VOCAB_SIZE)
        return logits, sums[:, -1:]


ONE_ROW = torch.tensor([0.0, 2.0, -1.0, 1.0, -3.0])


class ConstantModel(nn.Module):
    """A made-up model: the same logits whatever it reads."""

    def forward(self, ids: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        count = torch.zeros(len(ids), 1) if state is None else state + 1
        return ONE_ROW.expand(*ids.shape, -1).clone(), count


summing_model, constant_model = SummingModel(), ConstantModel()


def continuation(start: Tensor, n_tokens: int, feed_back: bool, keep_state: bool) -> Tensor:
    """What the summing model writes when it is run in the right way or in a known wrong way."""
    token, state, tokens = start, None, []
    for _ in range(n_tokens):
        logits, state = summing_model(token, state if keep_state else None)
        drawn = logits[:, -1:].argmax(dim=-1)
        token = drawn if feed_back else token
        tokens.append(drawn)
    return torch.cat(tokens, dim=1)


@exercise("1.4")
def check_sample(answer):
    """The sampler: what it feeds back, what it keeps, and how it draws."""
    judge_draws(answer)
    start, n_tokens = torch.tensor([[1, 3], [2, 0], [4, 4]]), 7
    result = call(answer, summing_model, start, n_tokens, 1.0)
    want_tensor(result, (3, n_tokens), "(batch, n_tokens)", torch.long)
    known = {
        "the state is lost between the steps: hand the state that the model returned back to it "
        "together with the next token":
            continuation(start, n_tokens, feed_back=True, keep_state=False),
        "what was drawn is not fed back: the model reads the start again and again":
            continuation(start, n_tokens, feed_back=False, keep_state=True),
        "neither the drawn token nor the state reaches the next step: each step starts anew":
            continuation(start, n_tokens, feed_back=False, keep_state=False),
    }
    reject_known(result, known)
    if not same(result, continuation(start, n_tokens, feed_back=True, keep_state=True)):
        raise Mistake(
            "the drawn tokens do not follow from what was read: take the logits of the last "
            "position, [:, -1], and let the model read each drawn token exactly once"
        )


def judge_draws(answer) -> None:
    """Compare how often each token is drawn with what the logits and the temperature say."""
    rows, n_tokens = 3000, 4
    start = torch.zeros(rows, 1, dtype=torch.long)
    for temperature in (1.0, 0.5, 2.0):
        drawn = call(answer, constant_model, start, n_tokens, temperature)
        if isinstance(drawn, Tensor) and tuple(drawn.shape) == (rows, 1 + n_tokens):
            raise Mistake("return the new tokens alone, (batch, n_tokens), without the start")
        want_tensor(drawn, (rows, n_tokens), "(batch, n_tokens)", torch.long)
        if (drawn == ONE_ROW.argmax()).all():
            raise Mistake(
                "your sampler always takes the likeliest token: argmax draws nothing. "
                "torch.multinomial draws by chance"
            )
        if (drawn == drawn[:1]).all():
            raise Mistake("all sentences of the batch got the same draw: draw one for each row")
        if (drawn == drawn[:, :1]).all():
            raise Mistake(
                "within a sentence the draw is the same at every step: the random state is set "
                "anew inside the loop. Leave manual_seed out"
            )
        if temperature == 1 and same(call(answer, constant_model, start, n_tokens, 1.0), drawn):
            raise Mistake(
                "two calls write the same text: the random state is set anew at every call. "
                "Leave manual_seed to the one who calls"
            )
        shares = drawn.flatten().bincount(minlength=VOCAB_SIZE) / drawn.numel()
        wanted = (ONE_ROW / temperature).softmax(dim=-1)
        if (shares - wanted).abs().sum() < 0.06:
            continue
        for message, wrong in wrong_shares(temperature).items():
            if (shares - wrong).abs().sum() < 0.06:
                raise Mistake(message)
        raise Mistake(
            f"at temperature {temperature} the tokens come with shares "
            f"{rounded(shares)}, want {rounded(wanted)}"
        )


def rounded(shares: Tensor) -> list[float]:
    """The shares with two decimals, for a message."""
    return [round(share, 2) for share in shares.tolist()]


def wrong_shares(temperature: float) -> dict[str, Tensor]:
    """The shares that the known mistakes give at this temperature, each with its message."""
    once = ONE_ROW.softmax(dim=-1)
    shares = {
        "every token is drawn equally often: the logits have no part in the draw":
            torch.full((VOCAB_SIZE,), 1 / VOCAB_SIZE),
        "softmax is applied twice: the shares are nearly equal. multinomial takes the shares as "
        "they are": (ONE_ROW / temperature).softmax(dim=-1).softmax(dim=-1),
    }
    if temperature != 1:
        shares |= {
            "the logits are multiplied by the temperature: it works the wrong way round. "
            "Divide by it": (ONE_ROW * temperature).softmax(dim=-1),
            "the temperature has no effect: divide the logits by it, before the softmax": once,
        }
    return shares


@exercise("1.3")
def check_mean_loss(answer):
    """The loss: nats, a mean over all characters, each measured at its own target."""
    batch, seq_len, vocab_size = 2, 5, 27
    targets = torch.randint(vocab_size, (batch, seq_len))
    zeros = torch.zeros(batch, seq_len, vocab_size)
    first = want_number(call(answer, zeros, targets), "the loss")
    ln = math.log(vocab_size)
    known = {
        "this is in bits, because the logarithm has base 2. The course counts in nats: "
        "the natural logarithm": math.log2(vocab_size),
        "this logarithm has base 10; the course counts in nats: the natural logarithm":
            math.log10(vocab_size),
        "this is the sum over all characters. Take the mean, or the loss grows with the text":
            ln * batch * seq_len,
        "this is a sum over each text, then a mean over the batch. Take the mean over all "
        "characters": ln * seq_len,
        "the sign is missing: the logarithm of a share is negative, a loss is positive": -ln,
        "this is a probability, not a loss: take minus its logarithm": 1 / vocab_size,
    }
    for message, wrong in known.items():
        if math.isclose(first, wrong, rel_tol=1e-4):
            raise Mistake(message)
    logits = 2 * torch.randn(batch, seq_len, vocab_size)
    loss = want_number(call(answer, logits, targets), "the loss")
    logs = logits.log_softmax(dim=-1)
    at_target = logs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    for message, wrong in {
        "softmax runs over the wrong axis: the shares of one character's logits must sum to 1, "
        "so take the last axis": wrong_axis(logits, targets),
        "your loss does not look at the targets: it averages over all characters that could come":
            -logs.mean(),
        "your loss looks at the likeliest character, not at the one that came":
            -logs.amax(dim=-1).mean(),
        "this is the logit at the target, before the softmax: it is no logarithm of a share yet":
            -logits.gather(-1, targets.unsqueeze(-1)).mean(),
        "the mean is taken before the logarithm: take the logarithm of each share first":
            -at_target.exp().mean().log(),
    }.items():
        if any(math.isclose(loss, number, rel_tol=1e-4) for number in wrong.flatten().tolist()):
            raise Mistake(message)
    if not math.isclose(first, ln, rel_tol=1e-4):
        raise Mistake(
            f"logits of 0 leave all 27 characters equally likely: want {ln:.5f}, got {first:.5f}"
        )
    if not math.isclose(loss, -at_target.mean().item(), rel_tol=1e-4):
        raise Mistake("with equal logits the loss is right, with random ones it is not")
    large = torch.zeros(batch, seq_len, vocab_size)
    large[..., 0] = 1000.0
    far = float(call(answer, large, torch.ones_like(targets)))
    if not math.isfinite(far):
        raise Mistake(
            "with a logit of 1000 the loss is no finite number: exp overflows or a share becomes "
            "0. log_softmax does both steps safely"
        )
    if not math.isclose(far, 1000.0, rel_tol=1e-3):
        raise Mistake(f"a logit of 1000 on the wrong character costs 1000 nats, got {far:.2f}")


def wrong_axis(logits: Tensor, targets: Tensor) -> Tensor:
    """The loss with the softmax over the first and over the second axis."""
    places = targets.unsqueeze(-1)
    return torch.stack([-logits.log_softmax(dim=d).gather(-1, places).mean() for d in (0, 1)])

"""The checks of notebook 01: one recurrent step, shifting a text, the loss, sampling."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.checks.core import Mistake, call, exercise
from utils.checks.kinds import Trial, agree, case

# ---- 1.1 ----

STEP = {"the result": ("row", "number"), "x": ("row", ""), "state": ("row", "")}


@exercise("1.1")
def check_rnn_step(answer) -> None:
    """One step of a recurrent network: tanh, the two products, the bias, the gradients."""

    def sized(words: str, batch: int, d_input: int, d_hidden: int, size: float = 1.0, hint=""):
        x, state = size * torch.randn(batch, d_input), torch.randn(batch, d_hidden)
        weights = (torch.randn(d_hidden, *n) / 3 for n in ([d_input], [d_hidden], []))
        return case(words, x, state, *weights, hint=hint, gradients=size == 1)

    agree(answer, rnn_step, [
        sized("2 rows", 2, 3, 4, hint="A batch holds its vectors in rows: x @ w_input.T"),
        sized("other sizes", 3, 5, 2),
        sized("rows, inputs and states of 4", 4, 4, 4, hint="a square matrix raises no error "
              "where its transpose is missing"),
        sized("a batch of one", 1, 3, 4),
        sized("one number in each vector", 2, 1, 1),
        sized("sums of 200 and more", 3, 3, 4, size=300, hint="torch.tanh gives -1 and 1 there"),
    ], step_mistakes(), axes=STEP, advice="Look at each part of tanh(W_input x + W_state h + bias) "
        "alone, with the other parts set to zero")


def rnn_step(x, state, w_input, w_state, bias) -> Tensor:
    """The step that is asked for."""
    return torch.tanh(x @ w_input.T + state @ w_state.T + bias)


def step_mistakes() -> list[tuple[Callable, str]]:
    """A step with one thing wrong, and what to say then.

    i and s are the products with input and state, b is the bias.
    """
    known = [
        (lambda i, s, b: i + s + b, "the tanh is missing: the state must stay between -1 and 1"),
        (lambda i, s, b: (i + s + 2 * b).tanh(), "the bias is added twice: here it is one bias"),
        (lambda i, s, b: (i + s).tanh(), "the bias is missing"),
        (lambda i, s, b: (i + b).tanh(), "the old state has no part: add its product with w_state"),
        (lambda i, s, b: (s + b).tanh(), "x has no part: add its product with w_input"),
        (lambda i, s, b: (i + b).tanh() + s, "the old state comes in after the tanh: the tanh must "
         "be around the whole sum"),
        (lambda i, s, b: (i + s).tanh() + b, "the bias comes in after the tanh: the tanh must be "
         "around the whole sum"),
        (lambda i, s, b: (i + s + b).sigmoid(), "this is a sigmoid: a plain step uses tanh"),
    ]
    return [
        *((lambda x, h, w, u, b, f=f: f(x @ w.T, h @ u.T, b), words) for f, words in known),
        (lambda x, h, w, u, b: torch.tanh(x @ w.T + h @ u + b), "w_state is used the wrong way "
         "round: transpose it, as w_input. It is square, so no error comes up"),
    ]


# ---- 1.2 ----


@exercise("1.2")
def check_inputs_and_targets(answer) -> None:
    """Input and target of a text: one step apart, and nothing left over."""
    agree(answer, lambda ids: (ids[:-1], ids[1:]), [
        case("5 letters", torch.tensor([2, 0, 1, 1, 3])),
        case("8 letters", torch.tensor([7, 3, 3, 900, 1, 0, 4, 80])),
        case("2 letters", torch.tensor([6, 2])),
    ], pair_mistakes(), axes={"inputs": ("place",), "targets": ("place",)}, advice="Each letter "
        "but the last is an input; its target is the letter after it")


def pair_mistakes() -> list[tuple[Callable, str]]:
    """Other ways to cut a text, and what to say then."""
    lost = "a pair is lost: only the last letter is no input, only the first is no target"
    return [
        *((lambda ids, n=n: (ids[:n], ids[:n]), "the target is the input itself: the model learns "
           "to repeat what it reads, and it then writes hhhhh. The target is one step ahead")
          for n in (None, -1)),
        (lambda ids: (ids[1:], ids[:-1]), "the two are swapped: you would predict the letter "
         "before"),
        (lambda ids: (ids, ids.roll(-1)), "the last target is the first letter of the text: roll "
         "wraps around. The last letter has nothing to predict: leave it out of the inputs"),
        (lambda ids: (ids, ids[1:]), "the last input has no target: nothing comes after it"),
        (lambda ids: (ids[:-1], ids), "the first letter is no target: nothing was read before it"),
        (lambda ids: (ids[1:-1], ids[2:]), f"{lost}. Here the first pair is missing"),
        (lambda ids: (ids[:-2], ids[1:-1]), f"{lost}. Here the last pair is missing"),
        (lambda ids: (ids[:-2], ids[2:]), "the target is two steps ahead: it skips letters"),
        (lambda ids: (ids[:-2], ids[1:]), "each input needs its target: the inputs end too early"),
        (lambda ids: (ids[:-1], ids[2:]), "each input needs its target: the targets begin too "
         "late"),
    ]


# ---- 1.3 ----


@exercise("1.3")
def check_mean_loss(answer) -> None:
    """The loss: nats, a mean over all characters, each measured at its own target, large logits."""

    def sized(words: str, *shape: int, size: float = 2.0, shift: float = 0.0, hint: str = ""):
        targets = torch.randint(shape[-1], shape[:-1])
        return case(words, size * torch.randn(shape) + shift, targets, hint=hint)

    safe = "exp overflows, or a share becomes 0. log_softmax does both steps safely"
    high = torch.zeros(2, 5, 27)
    high[..., 0] = 1000.0
    plain = sized("2 texts of 5 letters", 2, 5, 27)
    agree(answer, mean_loss, [
        plain,
        sized("3 texts of 4 letters, 7 different ones", 3, 4, 7),
        sized("as many texts as letters", 4, 4, 4),
        sized("one text of one letter", 1, 1, 3, hint="the mean of one letter is its loss"),
        case("equal logits", torch.zeros(2, 5, 27), high.argmax(-1), hint="all 27 letters are "
             "equally likely there: want ln 27"),
        sized("logits up to 200 and more", 2, 5, 9, size=100, hint=safe),
        sized("logits around -300", 2, 5, 9, shift=-300, hint=safe),
        case("a logit of 1000 on the wrong letter", high, torch.ones(2, 5, dtype=torch.long),
             hint=safe),
    ], loss_mistakes(), axes={"the loss": ()}, gradients=False, advice="Print the loss of each "
        "letter, minus log_softmax at its own target: the mean of these 10 is wanted")
    trial = Trial(answer, tensor_loss, {}, None)
    if isinstance(trial.ask(plain), Tensor):
        trial.judge_gradients(plain, optional=True)


def tensor_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """The loss that is asked for, with its gradient."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def mean_loss(logits: Tensor, targets: Tensor) -> float:
    """The loss that is asked for, as a plain number."""
    return tensor_loss(logits, targets).item()


def loss_mistakes() -> list[tuple[Callable, str]]:
    """A loss with one thing wrong, and what to say then."""

    def at(values, y):
        return values.gather(-1, y.unsqueeze(-1)).squeeze(-1)

    def loss(x, y):                                          # (batch, seq_len)
        return -at(x.log_softmax(-1), y)

    return [
        *((lambda x, y, base=base: loss(x, y).mean() / math.log(base), f"this logarithm has base "
           f"{base}{bits}. The course counts in nats: the natural logarithm")
          for base, bits in ((2, ", which gives bits"), (10, ""))),
        (lambda x, y: loss(x, y).sum(), "this is the sum over all characters: take the mean"),
        (lambda x, y: loss(x, y).sum(1).mean(), "this is a sum over each text, then a mean over "
         "the batch. Take the mean over all characters"),
        (lambda x, y: -loss(x, y).mean(), "the sign is missing: a loss is positive"),
        (lambda x, y: at(x.softmax(-1), y).mean(), "this is a probability, not a loss: take minus "
         "its logarithm"),
        (lambda x, y: loss(x, y).mean().exp(), "this is e to the loss (the perplexity): leave out "
         "the exp"),
        *((lambda x, y, d=d: -at(x.log_softmax(d), y).mean(), "softmax runs over the wrong axis: "
           "the shares of one character's logits must sum to 1, so take the last") for d in (0, 1)),
        (lambda x, y: -x.log_softmax(-1).mean(), "your loss does not look at the targets: it "
         "averages over all characters that could come"),
        (lambda x, y: -x.log_softmax(-1).amax(-1).mean(), "your loss looks at the likeliest "
         "character, not at the one that came"),
        (lambda x, y: -at(x.softmax(-1), y).mean(), "this is minus a probability: its logarithm is "
         "missing (nll_loss wants logarithms, too)"),
        (lambda x, y: -x.log_softmax(-1)[..., y].mean(), "each letter is measured at the targets "
         "of all places: pick each place's own one, as gather does"),
        (lambda x, y: -at(x, y).mean(), "this is the logit at the target, before the softmax"),
        (lambda x, y: loss(x.softmax(-1), y).mean(), "softmax is applied twice: log_softmax wants "
         "the logits as they are"),
        (lambda x, y: -at(x.softmax(-1), y).mean().log(), "the mean is taken before the logarithm: "
         "take the logarithm of each share first"),
        (lambda x, y: loss(x, y)[:, -1].mean(), "only the last letter of each text counts"),
        (lambda x, y: loss(x, y)[0].mean(), "only the first text counts: take the mean over all"),
        (lambda x, y: F.cross_entropy(x.mT, y, ignore_index=0), "the letter 0 is left out"),
    ]


# ---- 1.4 ----


class Remembering(nn.Module):
    """A made-up model: the next token follows from all tokens read so far and their order."""

    def __init__(self, vocab_size: int):
        super().__init__()
        self.vocab_size = vocab_size

    def forward(self, ids: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        state = torch.zeros(len(ids), dtype=torch.long) if state is None else state
        logits = []
        for token in ids.unbind(dim=1):
            state = (3 * state + token + 1) % self.vocab_size
            logits.append(200.0 * F.one_hot(state, self.vocab_size))
        return torch.stack(logits, dim=1), state


ONE_ROW = torch.tensor([0.0, 2.0, -1.0, 1.0, -3.0])


class Constant(nn.Module):
    """A made-up model: the same logits whatever it reads."""

    def forward(self, ids: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        count = torch.zeros(len(ids), 1) if state is None else state + 1
        return ONE_ROW.expand(*ids.shape, -1).clone(), count


def sample(model, start, n_tokens, temperature, keep=True, feed=True, place=-1) -> Tensor:
    """The sampler that is asked for.

    keep, feed: whether the state is kept and what was drawn is fed back. place: whose logits count.
    """
    token, state, tokens = start, None, []
    for _ in range(n_tokens):
        logits, new = model(token, state)
        drawn = (logits[:, place] / temperature).softmax(-1).multinomial(1)
        token, state = drawn if feed else token, new if keep else None
        tokens.append(drawn)
    return torch.cat(tokens, dim=1)


def sample_mistakes() -> list[tuple[Callable, str]]:
    """A sampler with one thing wrong, and what to say then."""

    def with_start(*given):
        return torch.cat([given[1], sample(*given)], dim=1)

    def last_twice(model, start, n_tokens, temperature):
        token, state, tokens = start[:, -1:], model(start, None)[1], []
        for _ in range(n_tokens):
            logits, state = model(token, state)
            token = logits[:, -1:].argmax(-1)
            tokens.append(token)
        return torch.cat(tokens, dim=1)

    def prefix_and_state(model, start, n_tokens, temperature):
        ids, state = start, None
        for _ in range(n_tokens):
            logits, state = model(ids, state)
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
        return ids[:, start.size(1):]

    return [
        (lambda *given: sample(*given, keep=False), "the state is lost between the steps: hand the "
         "state that the model returned back to it with the next token"),
        (lambda *given: sample(*given, feed=False), "what was drawn is not fed back: the model "
         "reads the start again and again"),
        (lambda *given: sample(*given, keep=False, feed=False), "neither the drawn token nor the "
         "state reaches the next step: each step starts anew"),
        (lambda *given: sample(*given, place=0), "the logits of the first position are used: want "
         "the last position, [:, -1]"),
        *((lambda m, s, n, t, of=of: sample(m, s[:, [of]], n, t), f"only the {which} token of the "
           "start is read: hand over all") for which, of in (("first", 0), ("last", -1))),
        (with_start, "return the new tokens alone, (batch, n_tokens), without the start"),
        (lambda m, s, n, t: sample(m, s, n + 1, t)[:, 1:], "the first drawn token is lost: it is "
         "drawn from what the model says after the start"),
        (last_twice, "the last token of the start is read twice: the first new token is drawn "
         "from the logits that come with the start"),
        (prefix_and_state, "tokens are read twice: hand over the new token with the state, or "
         "everything from the beginning without one"),
    ]


@exercise("1.4")
def check_sample(answer) -> None:
    """The sampler: how it draws, what it feeds back, what it keeps, other sizes."""
    odd = judge_draws(answer)
    agree(answer, sample, [
        case("3 rows", Remembering(13), torch.tensor([[1, 3], [2, 10], [4, 8]]), 7, 1.0,
             hint="If that speaks of inf or nan: the logits go up to 200 here, where exp() "
             "overflows and softmax does not. If sizes differ from call to call: a default such "
             "as tokens=[] is made once, and keeps what earlier calls put in"),
        case("other sizes", Remembering(19), torch.tensor([[1, 7, 10, 2], [2, 5, 0, 9]]), 4, 1.0),
        case("one row, a start of one token", Remembering(7), torch.tensor([[6]]), 5, 1.0),
        case("one token to write", Remembering(7), torch.tensor([[6, 1], [3, 2]]), 1, 1.0),
        case("another temperature", Remembering(7), torch.tensor([[6, 1], [3, 2]]), 3, 0.5),
    ], sample_mistakes(), axes={"new": ("row", "step")}, advice="Take the logits of the last "
        "position, [:, -1], and let the model read each drawn token exactly once, with the state "
        "of the step before")
    if odd:
        raise Mistake(odd)


def judge_draws(answer) -> str:
    """Compare how often each token is drawn with what the logits and the temperature say.

    Raises the Mistake that is known; returns what else is odd about the shares, or "".
    """
    start, n_tokens = torch.zeros(3000, 1, dtype=torch.long), 4
    for temperature in (1.0, 0.5, 2.0):
        given = Constant(), start, n_tokens, temperature
        answer = Trial(answer, sample, {}, None).by_name(given)
        drawn = call(answer, *given)
        if not isinstance(drawn, Tensor) or drawn.shape != (len(start), n_tokens):
            return ""                                        # `agree` says what is wrong with it
        if drawn.is_floating_point():
            raise Mistake(f"want token ids, whole numbers, got {drawn.dtype}")
        if (drawn == ONE_ROW.argmax()).all() and all(
                (call(answer, *given) == ONE_ROW.argmax()).all() for _ in range(3)):
            raise Mistake("your sampler always takes the likeliest token: argmax draws nothing. "
                          "torch.multinomial draws by chance")
        if (drawn == drawn[:1]).all():
            raise Mistake("all sentences of the batch got the same draw: draw one for each row")
        if (drawn == drawn[:, :1]).all():
            raise Mistake("within a sentence the draw is the same at every step: is the random "
                          "state set anew inside the loop? Leave manual_seed out")
        if temperature == 1 and torch.equal(call(answer, *given), drawn):
            raise Mistake("two calls write the same text: is the random state set anew at every "
                          "call? Leave the seed to the one who calls")
        if odd := judge_shares(drawn, temperature):
            return odd
    return ""


def judge_shares(drawn: Tensor, temperature: float) -> str:
    """Hold the shares of the drawn tokens, at each step, against those of the right answer."""
    steps = [(drawn == token).double().mean(dim=0) for token in range(len(ONE_ROW))]
    shares = torch.stack(steps, dim=1)                       # (n_tokens, vocab_size)

    def off(wanted: Tensor) -> Tensor:
        return (shares.mean(dim=0) - wanted).abs().sum()

    right = (ONE_ROW / temperature).softmax(dim=-1)
    of_steps = (shares - right).abs().sum(dim=1)
    if off(right) < 0.06 and of_steps.max() < 0.12:
        return ""
    known = {
        "every token is drawn equally often, whatever its logit: print the shares that you draw "
        "from. Does softmax run over the last axis?": torch.full_like(right, 1 / len(right)),
        "softmax is applied twice: the shares are nearly equal. multinomial takes the shares as "
        "they are": right.softmax(dim=-1),
    }
    if temperature != 1:
        at = f"at temperature {temperature} the shares are those of temperature"
        known |= {
            f"{at} {1 / temperature}: it works the wrong way round. Divide the logits by it":
                (ONE_ROW * temperature).softmax(dim=-1),
            f"{at} 1.0: it has no effect. Divide the logits by it, before the softmax":
                ONE_ROW.softmax(dim=-1),
        }
    fit = [words for words, wrong in known.items() if off(wrong) < 0.06]
    if len(fit) == 1:
        raise Mistake(fit[0])
    step = int(of_steps.argmax())
    where = f", at step {step} of {len(shares)}" if of_steps.min() < 0.06 else ""
    got, want = ([round(share, 2) for share in part.tolist()] for part in (shares[step], right))
    return (f"at temperature {temperature}{where} the tokens come with shares {got}, want {want}. "
            "Print the shares that you draw from")

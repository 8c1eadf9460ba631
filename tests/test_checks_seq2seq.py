"""Notebook 04: each check names each likely mistake and accepts differently written answers."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils import checks, decoding, metrics, training
from utils.recurrent import RNNDecoder, last_state


def walk(
    model, src, mask, bos, eos, max_len, *, keep_state=True, first=None, until="all", fill=True
):
    """A greedy loop with switches for what people get wrong."""
    memory, state = model.encode(src, mask), None
    token = torch.full((len(src), 1), bos if first is None else first)
    done, out = torch.zeros(len(src), 1, dtype=torch.bool), []
    while len(out) < max_len:
        logits, new = model.decode(token, memory, mask, state)
        state = new if keep_state else None
        token = logits[:, -1:].argmax(-1)
        if fill:
            token = token.masked_fill(done, eos)
        out.append(token)
        done = done | (token == eos)
        if (until == "all" and done.all()) or (until == "any" and done.any()):
            break
    return torch.cat(out, dim=1)


def feeds_bos(model, src, mask, bos, eos, max_len):
    """Wrong: <bos> at every step; only a counting model would not notice."""
    memory, state = model.encode(src, mask), None
    token, out = torch.full((len(src), 1), bos), []
    done = torch.zeros(len(src), 1, dtype=torch.bool)
    for _ in range(max_len):
        logits, state = model.decode(token, memory, mask, state)
        out.append(logits[:, -1:].argmax(-1).masked_fill(done, eos))
        done = done | (out[-1] == eos)
        if done.all():
            break
    return torch.cat(out, dim=1)


def whole_prefix(model, src, mask, bos, eos, max_len):
    """Right, written without a state: the whole prefix is read again at every step."""
    memory = model.encode(src, mask)
    words = torch.full((len(src), 1), bos)
    for _ in range(max_len):
        logits, _ = model.decode(words, memory, mask, None)
        token = logits[:, -1].argmax(dim=1, keepdim=True)
        ended = (words == eos).any(dim=1, keepdim=True)
        words = torch.cat([words, torch.where(ended, eos, token)], dim=1)
        if (words == eos).any(dim=1).all():
            break
    return words[:, 1:]


def never_stops(model, src, mask, bos, eos, max_len):
    memory, state = model.encode(src, mask), None
    token, out = torch.full((len(src), 1), bos), []
    while True:
        logits, state = model.decode(token, memory, mask, state)
        token = logits[:, -1:].argmax(-1)
        out.append(token)
        if all((torch.cat(out, 1) == 99).any(1)):
            return torch.cat(out, 1)


def free_running(model, batches):
    model.eval()
    total = count = 0.0
    with torch.no_grad():
        for src, mask, tgt in batches:
            token, state = tgt[:, :1], None
            memory = model.encode(src, mask)
            for t in range(1, tgt.shape[1]):
                logits, state = model.decode(token, memory, mask, state)
                total += training.token_loss(logits, tgt[:, t : t + 1], 3).item()
                count += (tgt[:, t] != 3).sum().item()
                token = logits.argmax(-1)
    return math.exp(total / count)


def scored(
    model, batches, *, evaluate=True, pad=3, shift=1, per_batch=None, final=math.exp,
    count_all=False,
):
    """Perplexity with switches for what people get wrong."""
    model.train(not evaluate)
    total = count = 0.0
    parts = []
    for src, mask, tgt in batches:
        tgt_in, tgt_out = tgt[:, :-1], tgt[:, shift : tgt.shape[1] - 1 + shift]
        logits = model(src, mask, tgt_in)
        loss = F.cross_entropy(
            logits.flatten(0, 1), tgt_out.flatten(), ignore_index=pad, reduction="sum"
        ).item()
        n = tgt_out.numel() if count_all else (tgt_out != pad).sum().item()
        parts.append(loss / n)
        total, count = total + loss, count + n
    if per_batch == "losses":
        return math.exp(sum(parts) / len(parts))
    if per_batch == "perplexities":
        return sum(map(math.exp, parts)) / len(parts)
    return final(total / count)


def own_pad(model, batches):
    """Right: the pad id of the vocabulary."""
    return scored(model, batches, pad=batches.tgt_vocab.pad_id)


def by_names(model, batches):
    """Right, written with the names of a Batch and the size of the vocabulary."""
    model.eval()
    losses = []
    for batch in batches:
        logits = model(batch.src, batch.src_mask, batch.tgt[:, :-1])
        flat = logits.reshape(-1, len(batches.tgt_vocab))
        wanted = batch.tgt[:, 1:].reshape(-1)
        each = F.cross_entropy(flat, wanted, reduction="none")
        losses.append(each[wanted != batches.tgt_vocab.pad_id])
    return torch.cat(losses).mean().exp().item()


def by_hand_loss(logits, tgt_out, pad_id):
    p = logits.softmax(-1).gather(2, tgt_out.unsqueeze(2)).squeeze(2)
    return -p.log()[tgt_out != pad_id].sum()


class Mine(nn.Module):
    """A decoder from the stub, with a switch for each thing that people get wrong."""

    start = staticmethod(last_state)
    keep, axis, result = "given", 0, "both"

    def __init__(self, vocab_size, d_model):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.rnn = nn.GRU(d_model, d_model, batch_first=True)
        self.out = nn.Linear(d_model, vocab_size)

    def forward(self, tgt, memory, src_mask, state=None):
        if state is None or self.keep == "never":
            state = self.start(memory, src_mask)
        states, last = self.rnn(self.embedding(tgt), state.unsqueeze(0))
        last = last if self.axis is None else last.squeeze(self.axis)
        return {
            "both": (self.out(states), last),
            "states": (states, last),
            "logits": self.out(states),
            "last place": (self.out(states[:, -1:]), last),
            "old state": (self.out(states), state),
            "shares": (self.out(states).softmax(-1), last),
            "twice": (self.out(states), 2 * last),
        }[self.result]


def decoder(**switches):
    return type("Switched", (Mine,), switches)


class StepByStep(Mine):
    """Right, written with a loop over the words."""

    def forward(self, tgt, memory, src_mask, state=None):
        if state is None:
            lengths = src_mask.sum(dim=(1, 2))
            state = memory[torch.arange(len(memory)), lengths - 1]
        rows = []
        for column in tgt.T:
            _, state = self.rnn(self.embedding(column).unsqueeze(1), state[None])
            state = state[0]
            rows.append(self.out(state))
        return torch.stack(rows, dim=1), state


class NoOut(Mine):
    def __init__(self, vocab_size, d_model):
        super().__init__(vocab_size, d_model)
        del self.out


class Adds(Mine):
    def forward(self, tgt, memory, src_mask, state=None):
        if state is not None:
            state = state + last_state(memory, src_mask)
        return super().forward(tgt, memory, src_mask, state)


def ce(logits, tgt_out, **options):
    return F.cross_entropy(logits.flatten(0, 1), tgt_out.flatten(), **options)


WRONG = {
    "check_shift_target": [
        (lambda tgt: (tgt[:, 1:], tgt[:, 1:]), "same tokens"),
        (lambda tgt: (tgt[:, :-1], tgt[:, 1:-1]), "<eos> is missing"),
        (lambda tgt: (tgt[:, :-2], tgt[:, 2:]), "two steps ahead"),
        (lambda tgt: (tgt[:, 1:-1], tgt[:, 2:]), "first pair is lost"),
        (lambda tgt: (tgt[:, :5], tgt[:, 1:6]), "one of another size"),
        (lambda tgt: (tgt[:, 1:], tgt[:, :-1]), "must begin with <bos>"),
        (lambda tgt: (tgt[:, :-1], tgt), "<bos> stands among the outputs"),
        (lambda tgt: (tgt, tgt[:, 1:]), "6 inputs for 5 outputs"),
        (lambda tgt: tgt[:, 1:], "return two tensors"),
        (lambda tgt: (tgt[:, :-1].flip(0), tgt[:, 1:].flip(0)), "cut, do not rearrange"),
    ],
    "check_token_loss": [
        (lambda z, y, pad: ce(z, y, reduction="sum"), "the padding is counted: leave out"),
        (lambda z, y, pad: ce(z, y), "and the result is a mean"),
        (lambda z, y, pad: ce(z, y, ignore_index=0, reduction="sum"), "pad_id is taken to be 0"),
        (lambda z, y, pad: ce(z, y, ignore_index=pad), "this is the mean over the tokens"),
        (
            lambda z, y, pad: ce(z.softmax(-1), y, ignore_index=pad, reduction="sum"),
            "softmax is applied twice",
        ),
        (lambda z, y, pad: by_hand_loss(z, y, pad) / math.log(2), "in bits"),
        (lambda z, y, pad: -by_hand_loss(z, y, pad), "the sign is wrong"),
        (lambda z, y, pad: ce(z, y, ignore_index=pad, reduction="none"), "want one number"),
        (lambda z, y, pad: z.sum() * float("nan"), "is nan"),
        (lambda z, y, pad: by_hand_loss(z, y, pad) + 1, "add up -log p"),
        (lambda z, y, pad: by_hand_loss(z, y, 3), "use the pad_id that was given"),
        (lambda z, y, pad: by_hand_loss(z.detach(), y, pad), "carries no gradient"),
    ],
    "check_decoder": [
        (decoder(start=lambda self, m, mask: torch.zeros(len(m), m.shape[2])), "starts from zeros"),
        (decoder(start=lambda self, m, mask: m[:, -1]), "the last COLUMN"),
        (decoder(start=lambda self, m, mask: m[:, 0]), "after the FIRST word"),
        (decoder(start=lambda self, m, mask: m.mean(1)), "the mean of all states"),
        (decoder(start=lambda self, m, mask: last_state(m, mask).tanh()), "are not those of"),
        (decoder(start=lambda self, m, mask: last_state(m, mask).detach()), "no gradient"),
        (decoder(keep="never"), "is not used"),
        (Adds, "start the GRU from that state alone"),
        (decoder(axis=None), "(1, batch, d_model): squeeze"),
        (decoder(axis=(0, 1)), "squeeze axis 0 alone"),
        (decoder(result="states"), "these are states of the GRU"),
        (decoder(result="logits"), "return two things"),
        (decoder(result="last place"), "one place only"),
        (decoder(result="old state"), "that it began with"),
        (decoder(result="shares"), "return the logits"),
        (decoder(result="twice"), "is not the GRU's last state"),
        (NoOut, "no self.out"),
    ],
    "check_greedy_decode": [
        (lambda *a: walk(*a, until="any"), "stops at the first <eos>"),
        (never_stops, "never stops"),
        (lambda *a: torch.cat([torch.zeros(len(a[1]), 1).long(), walk(*a)], 1), "<bos> is part"),
        (lambda *a: walk(*a, keep_state=False), "pass the state"),
        (lambda *a: walk(*a, first=4), "first token that the decoder reads must be <bos>"),
        (lambda *a: walk(*a, fill=False), "goes on writing"),
        (lambda *a: walk(*a, until="never"), "stop when every row is finished"),
        (lambda *a: walk(*a[:5], 9), "must end after max_len"),
        (lambda *a: walk(*a)[0], "want token ids of shape"),
        (lambda *a: walk(*a).clamp(max=6), "argmax"),
        (feeds_bos, "must read the word that it wrote"),
        (lambda m, s, k, b, e, n: walk(m, s, k, b, 1, n), "use bos_id and eos_id"),
    ],
    "check_perplexity": [
        (lambda m, b: scored(m, b, per_batch="losses"), "mean of the batch means"),
        (lambda m, b: scored(m, b, per_batch="perplexities"), "averages the perplexities"),
        (lambda m, b: scored(m, b, pad=-1), "as if it had to be predicted"),
        (lambda m, b: scored(m, b, count_all=True), "count of tokens does not"),
        (lambda m, b: scored(m, b, final=float), "mean loss in nats"),
        (lambda m, b: scored(m, b, final=lambda x: 2**x), "base is e"),
        (lambda m, b: scored(m, b, shift=0), "shift the target first"),
        (free_running, "feeds the TRUE words"),
        (lambda m, b: scored(m, b, evaluate=False), "dropout is on"),
        (lambda m, b: scored(m, b, pad=3), "use batches.tgt_vocab.pad_id"),
        (lambda m, b: own_pad(m, b) + 1, "number of real tokens"),
    ],
}

RIGHT = {
    "check_shift_target": [
        training.shift_target,
        lambda tgt: [tgt.narrow(1, 0, tgt.shape[1] - 1), tgt.narrow(1, 1, tgt.shape[1] - 1)],
        lambda tgt: tuple(tgt[:, torch.arange(tgt.shape[1] - 1) + k] for k in (0, 1)),
    ],
    "check_token_loss": [
        training.token_loss,
        by_hand_loss,
        lambda z, y, pad: sum(
            ce(z[i : i + 1], y[i : i + 1], ignore_index=pad, reduction="sum")
            for i in range(len(z))
        ),
    ],
    "check_decoder": [RNNDecoder, Mine, StepByStep],
    "check_greedy_decode": [decoding.greedy_decode, whole_prefix, walk],
    "check_perplexity": [
        metrics.perplexity,
        lambda m, b: own_pad(m, b),
        by_names,
        lambda m, b: math.exp(
            sum(
                training.token_loss(
                    m.eval()(s, k, t[:, :-1]), t[:, 1:], b.tgt_vocab.pad_id
                ).item()
                for s, k, t in b
            )
            / sum((t[:, 1:] != b.tgt_vocab.pad_id).sum().item() for _, _, t in b)
        ),
    ],
}


def change_input(first, *rest):
    first.zero_() if isinstance(first, torch.Tensor) else first.clear()
    return first


def recurse(*args):
    return recurse(*args)


def crash(*args):
    raise KeyError("oops")


@pytest.mark.parametrize("name", WRONG)
def test_each_mistake_gets_its_own_message(name):
    check = getattr(checks, name)
    messages = []
    for answer, words in WRONG[name]:
        verdict = check(answer)
        assert verdict.passed is False, f"accepted the answer that should hear '{words}'"
        assert words in verdict.message
        messages.append(verdict.message)
    assert len(set(messages)) == len(messages)


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_pass(name):
    assert len(RIGHT[name]) >= 2
    for answer in RIGHT[name]:
        verdict = getattr(checks, name)(answer)
        assert verdict.passed is True, verdict


@pytest.mark.parametrize("name", WRONG)
def test_stub_is_neutral(name):
    assert getattr(checks, name)(lambda *args: ...).passed is None
    assert getattr(checks, name)(...).passed is None


HOSTILE = {
    "nothing": lambda *args: None,
    "text": lambda *args: "seven",
    "module": lambda *args: nn.Identity(),
    "nan": lambda *args: torch.full((2, 5), math.nan),
    "crash": crash,
    "recursion": recurse,
    "exit": lambda *args: exit(),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_answers_are_refused_in_one_sentence(name, kind):
    verdict = getattr(checks, name)(HOSTILE[kind])
    assert verdict.passed is False
    assert 10 < len(verdict.message) < 300 and "\n" not in verdict.message


@pytest.mark.parametrize("name", ["check_shift_target", "check_token_loss"])
def test_changing_the_input_is_named(name):
    assert "in place" in getattr(checks, name)(change_input).message

"""Checks of notebook 04: decoder, targets, loss, greedy decoding, perplexity."""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.checks.core import (
    Mistake,
    Verdict,
    call,
    exercise,
    same,
    want_finite,
    want_number,
    want_tensor,
)
from utils.text import Batch

PAD_ID, BOS_ID, EOS_ID = 3, 0, 1
# two sentences of 4 and 2 words; word ids start at 4
TGT = torch.tensor([[0, 4, 5, 6, 7, 1], [0, 8, 9, 1, 3, 3]])


@exercise("4.2")
def check_shift_target(answer) -> Verdict:
    """Judge a function of tgt (batch, tgt_len) that returns the decoder's inputs and outputs."""
    result = call(answer, TGT)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Mistake("return two tensors: what the decoder reads, and what it must predict")
    axes, shape = "(batch, tgt_len - 1)", (2, 5)
    for part, name in zip(result, ("inputs", "outputs"), strict=True):
        if not isinstance(part, Tensor):
            raise Mistake(f"the {name} must be a tensor, got {type(part).__name__}")
    tgt_in, tgt_out = result
    if same(tgt_in, tgt_out, 0):
        raise Mistake(
            "inputs and outputs are the same tokens: the decoder reads the very word that it must "
            "predict, so the loss falls to 0 and it learns to copy"
        )
    if same(tgt_out, TGT[:, 1:-1], 0) or not (tgt_out == EOS_ID).any():
        raise Mistake("<eos> is missing from the outputs: the model never learns to stop")
    if same(tgt_in, TGT[:, 1:-1], 0) and same(tgt_out, TGT[:, 2:], 0):
        raise Mistake("the first pair is lost: after <bos> the first word must be predicted")
    if same(tgt_out, TGT[:, 2:], 0):
        raise Mistake(
            "the outputs run two steps ahead: each word must predict the next, not the one after"
        )
    if not (tgt_in[:, 0] == BOS_ID).all():
        raise Mistake(
            "the inputs must begin with <bos>: the first word has nothing else to start from"
        )
    if (tgt_out == BOS_ID).any():
        raise Mistake("<bos> stands among the outputs: it is given to the model, never predicted")
    if tgt_in.shape[1] != tgt_out.shape[1]:
        raise Mistake(
            f"{tgt_in.shape[1]} inputs for {tgt_out.shape[1]} outputs: each input has one output"
        )
    want_tensor(tgt_in, shape, axes)
    want_tensor(tgt_out, shape, axes)
    if not same(tgt_in, TGT[:, :-1], 0) or not same(tgt_out, TGT[:, 1:], 0):
        raise Mistake("the tokens are not those of tgt in their order: cut, do not rearrange")
    other = torch.tensor([[2, 9, 3], [2, 3, 4], [2, 7, 3]])  # <bos> 2, <eos> 3, <pad> 4
    again = call(answer, other)
    if not (same(again[0], other[:, :-1], 0) and same(again[1], other[:, 1:], 0)):
        raise Mistake("right for one batch, wrong for one of another size and with other ids")
    return "Input t and output t are one step apart."


@exercise("4.3")
def check_token_loss(answer) -> Verdict:
    """Judge a function of (logits, tgt_out, pad_id) that returns the summed cross-entropy."""
    tgt_out = torch.tensor([[4, 0, 6, 7, 1], [8, 9, 1, PAD_ID, PAD_ID]])  # here 0 is a word
    logits = torch.randn(2, 5, 11)
    result = call(answer, logits, tgt_out, PAD_ID)
    if isinstance(result, Tensor) and result.dim():
        raise Mistake(f"want one number, the sum over all tokens; got shape {tuple(result.shape)}")
    value = want_number(result, "the loss")
    flat, wanted = logits.flatten(0, 1), tgt_out.flatten()

    def loss(scores=flat, ignore=PAD_ID, reduction="sum") -> float:
        return F.cross_entropy(scores, wanted, ignore_index=ignore, reduction=reduction).item()

    wrong = {
        loss(ignore=-1): "the padding is counted: leave out the places where tgt_out is pad_id",
        loss(ignore=-1, reduction="mean"):
            "the padding is counted, and the result is a mean: leave out pad_id, and sum",
        loss(ignore=0): "pad_id is taken to be 0; use the pad_id that was given, here it is 3",
        loss(reduction="mean"):
            "this is the mean over the tokens; return the sum, so that batches add up",
        loss(flat.softmax(-1)):
            "softmax is applied twice: cross_entropy wants the logits and does the softmax itself",
        loss() / math.log(2): "this is in bits, base 2; want nats, the natural logarithm",
        -loss(): "the sign is wrong: a loss is the negative log-probability",
    }
    for number, message in wrong.items():
        if math.isclose(value, number, rel_tol=1e-5):
            raise Mistake(message)
    if not math.isclose(value, loss(), rel_tol=1e-5):
        raise Mistake(
            f"got {value:.6g}, want {loss():.6g}: add up -log p(true token) over the real tokens"
        )
    logits, tgt_out = torch.randn(3, 4, 7, requires_grad=True), torch.randint(7, (3, 4))
    tgt_out[1, 2:] = 5
    wanted = F.cross_entropy(
        logits.flatten(0, 1), tgt_out.flatten(), ignore_index=5, reduction="sum"
    )
    result = call(answer, logits, tgt_out, 5)
    value = result.detach() if isinstance(result, Tensor) else result
    if not math.isclose(want_number(value, "the loss"), wanted.item(), rel_tol=1e-5):
        raise Mistake("right for pad_id 3, wrong for 5: use the pad_id that was given")
    if not (isinstance(result, Tensor) and result.requires_grad):
        raise Mistake(
            "the loss carries no gradient: return the tensor itself, without item() or detach()"
        )
    return "Padding costs nothing, and sums of batches add up."


def read_from(decoder: nn.Module, tgt: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and last state of a decoder's own layers, from a given first state."""
    states, last = decoder.rnn(decoder.embedding(tgt), start.unsqueeze(0))
    return decoder.out(states), last.squeeze(0)


def decoded(decoder: nn.Module, *given) -> tuple:
    """Run a learner's decoder and return its two results, tensors both."""
    result = call(decoder, *given)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Mistake("return two things: the logits, and the new state")
    for part, name in zip(result, ("logits", "new state"), strict=True):
        if not isinstance(part, Tensor):
            raise Mistake(f"want the {name} as a tensor, got {type(part).__name__}")
    return result


@exercise("4.1")
def check_decoder(answer) -> Verdict:
    """Judge a class of (vocab_size, d_model) with embedding, rnn and out, as RNNDecoder."""
    if isinstance(answer, nn.Module):
        raise Mistake("hand over the class itself, not a module made from it")
    decoder = call(answer, 11, 6)
    if not isinstance(decoder, nn.Module):
        raise Mistake(
            "want a class: calling it with (vocab_size, d_model) gave no nn.Module, but "
            f"{type(decoder).__name__}"
        )
    decoder.eval()
    if missing := [name for name in ("embedding", "rnn", "out") if not hasattr(decoder, name)]:
        raise Mistake(f"the decoder has no self.{missing[0]}: keep __init__ as it was")
    tgt = torch.tensor([[0, 4, 5, 6, 7], [0, 8, 9, 1, 3]])
    memory, mask = torch.randn(2, 7, 6), torch.ones(2, 1, 7, dtype=torch.bool)
    mask[1, 0, 4:] = False  # the second sentence has 4 words
    whole, given = torch.stack([memory[0, 6], memory[1, 3]]), torch.randn(2, 6)
    with torch.no_grad():
        logits, state = decoded(decoder, tgt, memory, mask)
        judge_first_state(decoder, tgt, memory, whole, logits, state)
        wanted = read_from(decoder, tgt, given)
        logits, state = decoded(decoder, tgt, memory, mask, given)
        if same(logits, read_from(decoder, tgt, whole)[0]):
            raise Mistake(
                "the state that it is given is not used: the second word would start again from "
                "the source; only where state is None, take the last state of the memory"
            )
        if not (same(logits, wanted[0]) and same(state, wanted[1])):
            raise Mistake("wrong where a state is given: start the GRU from that state alone")
        one = decoded(decoder, tgt[:1, :1], memory[:1], mask[:1])
        want_tensor(one[0], (1, 1, 11), "(batch, tgt_len, vocab_size), for one word")
        want_tensor(one[1], (1, 6), "(batch, d_model), for one sentence: squeeze axis 0 alone")
    memory.requires_grad_()
    logits, _ = decoder(tgt, memory, mask)
    if not logits.requires_grad or torch.autograd.grad(
        logits.sum(), memory, allow_unused=True
    )[0] is None:
        raise Mistake("no gradient reaches the memory, so the encoder cannot learn: no detach()")
    return "It starts from the one vector, and goes on from the state that it is given."


def judge_first_state(decoder, tgt, memory, whole, logits, state) -> None:
    """Name what a decoder starts from, and the shape of what it returns."""
    axes = "(batch, tgt_len, vocab_size)"
    if tuple(logits.shape) == (2, 5, 6):
        raise Mistake("these are states of the GRU; self.out makes logits of them")
    if tuple(logits.shape[:1]) == (2,) and logits.numel() == 22:
        raise Mistake("these are the logits of one place only; want one row for EACH token of tgt")
    want_finite(want_tensor(logits, (2, 5, 11), axes), "the layers give finite numbers")
    if tuple(state.shape) == (1, 2, 6):
        raise Mistake("the GRU gives its last state as (1, batch, d_model): squeeze axis 0")
    want_tensor(state, (2, 6), "(batch, d_model)")
    wanted, last = read_from(decoder, tgt, whole)
    if same(logits.exp().sum(-1), torch.ones(2, 5)) or same(logits.sum(-1), torch.ones(2, 5)):
        raise Mistake("these are (log-)probabilities; return the logits, the loss does the softmax")
    starts = {
        "zeros, so the source has no part: start from the last state of the memory":
            torch.zeros(2, 6),
        "the last COLUMN of the memory: in a padded row that state has read <pad>; use last_state":
            memory[:, -1],
        "the state after the FIRST word; use last_state": memory[:, 0],
        "the mean of all states; one vector passes, the last state": memory.mean(1),
    }
    if not same(logits, wanted):
        for what, start in starts.items():
            if same(logits, read_from(decoder, tgt, start)[0]):
                raise Mistake(f"the decoder starts from {what}")
        raise Mistake(
            "the logits are not those of embedding, GRU and out, started from last_state(memory, "
            "src_mask)"
        )
    if same(state, whole):
        raise Mistake("this is the state that it began with; hand back the GRU's last state")
    if not same(state, last):
        raise Mistake("the new state is not the GRU's last state, its second result")


class Script(nn.Module):
    """A model that knows its sentences by heart: `decode` counts tokens and reads them off.

    The state is the number of tokens read so far. A loop that forgets the state starts again.
    """

    def __init__(self, script: Tensor, vocab_size: int, patience: int, bos: int, eos: int):
        super().__init__()
        self.script, self.vocab_size, self.patience = script, vocab_size, patience
        self.bos, self.eos, self.calls = bos, eos, 0

    def __deepcopy__(self, memo: dict) -> "Script":
        """Handed over as it is, so that its calls are counted."""
        return self

    def encode(self, src: Tensor, src_mask: Tensor) -> Tensor:
        """The memory holds which sentence is which: (batch, 1, 1)."""
        return src[:, :1, None].float()

    def decode(self, tgt, memory, src_mask, state=None):
        """One-hot logits of the scripted token after each token of tgt."""
        self.calls += 1
        if self.calls > self.patience:
            raise Mistake(
                "the loop never stops: end it after max_len tokens, whatever the model says"
            )
        if not isinstance(tgt, Tensor) or tgt.dim() != 2 or len(tgt) != len(memory):
            raise Mistake("decode wants tokens of shape (batch, tgt_len): one column for each step")
        start = torch.zeros(len(tgt), 1, dtype=torch.long) if state is None else state
        places = start + torch.arange(tgt.shape[1])
        if self.calls == 1 and not (tgt[:, 0] == self.bos).all():
            raise Mistake("the first token that the decoder reads must be <bos>")
        known = (places > 0) & (places < self.script.shape[1])
        places = places.clamp(max=self.script.shape[1] - 1)
        rows = memory[:, 0].long().expand(-1, tgt.shape[1])
        before = self.script[rows, (places - 1).clamp(min=0)]
        ended = (self.script == self.eos).cumsum(dim=1)[rows, (places - 1).clamp(min=0)] > 0
        if ((tgt != before) & ~ended & known).any():
            raise Mistake(
                "the decoder must read the word that it wrote in the step before, at every step"
            )
        tokens = self.script[rows, places]
        return F.one_hot(tokens, self.vocab_size).float(), start + tgt.shape[1]


@exercise("4.4")
def check_greedy_decode(answer) -> Verdict:
    """Judge a function of (model, src, src_mask, bos_id, eos_id, max_len) -> ids."""
    script = torch.tensor([[4, 5, 1, 9, 9, 9, 9], [6, 7, 8, 4, 1, 9, 9], [5, 1, 9, 9, 9, 9, 9]])
    src, mask = torch.tensor([[0], [1], [2]]), torch.ones(3, 1, 1, dtype=torch.bool)
    endless = torch.tensor([[4, 5, 6, 7, 8, 9, 4]])
    model = Script(script, 10, 60, BOS_ID, EOS_ID)
    tokens = call(answer, model, src, mask, BOS_ID, EOS_ID, 20)
    if not isinstance(tokens, Tensor) or tokens.dim() != 2 or len(tokens) != 3:
        shape = tuple(tokens.shape) if isinstance(tokens, Tensor) else type(tokens).__name__
        raise Mistake(f"want token ids of shape (batch, n), here (3, n); got {shape}")
    if (tokens[:, 0] == BOS_ID).all():
        raise Mistake("<bos> is part of the result: return only what the model wrote")
    if tokens.shape[1] > 1 and (tokens == tokens[:, :1]).all():
        raise Mistake("the same word again and again: pass the state from step to step")
    if tokens.shape[1] < 5:
        raise Mistake(
            "the whole batch stops at the first <eos>; go on until EVERY sentence has ended"
        )
    if not same(tokens[:, :5], script[:, :5].where(script[:, :5] != 9, torch.tensor(1)), 0):
        if (tokens == 9).any():
            raise Mistake("a sentence that has ended goes on writing: fill it with <eos>")
        raise Mistake("the words are not the likeliest ones: take the argmax over the vocabulary")
    if tokens.shape[1] > 5:
        raise Mistake(
            "all sentences have ended, yet the loop goes on: stop when every row is finished"
        )
    model = Script(endless, 10, 60, BOS_ID, EOS_ID)
    tokens = call(answer, model, src[:1], mask[:1], BOS_ID, EOS_ID, 6)
    if tokens.shape[1] != 6:
        raise Mistake(
            f"a sentence without <eos> must end after max_len = 6 tokens, got {tokens.shape[1]}"
        )
    other = torch.tensor([[4, 0, 3, 1, 1]])  # here <bos> is 2 and <eos> is 3; 0 and 1 are words
    tokens = call(answer, Script(other, 6, 60, 2, 3), src[:1], mask[:1], 2, 3, 5)
    if not isinstance(tokens, Tensor) or not same(tokens, other[:, :3], 0):
        raise Mistake("right for <bos> 0 and <eos> 1, wrong for other ids: use bos_id and eos_id")
    return "It stops when every sentence has ended, or at max_len."


class Words(SimpleNamespace):
    """A vocabulary of 11 tokens of which only the number and the pad id are known."""

    def __len__(self) -> int:
        return 11


class Corpus(list):
    """A few batches with the target vocabulary, as `Batches` has it."""

    def __init__(self, batches: list, pad_id: int = PAD_ID):
        super().__init__(Batch(*batch) for batch in batches)
        self.tgt_vocab = Words(pad_id=pad_id)


class FixedModel(nn.Module):
    """Random logits that depend on the last token read, with dropout; notes what it is fed."""

    def __init__(self, vocab_size: int = 11):
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)
        self.dropout = nn.Dropout(0.5)
        self.fed = []

    def __deepcopy__(self, memo: dict) -> "FixedModel":
        """Handed over as it is, so that what it is fed is noted."""
        return self

    def forward(self, src, src_mask, tgt):
        """Logits (batch, tgt_len, vocab_size)."""
        self.fed.append(tgt)
        return self.dropout(2 * self.table(tgt))

    def encode(self, src, src_mask):
        """A memory that the decoder does not use."""
        return src[:, :, None].float()

    def decode(self, tgt, memory, src_mask, state=None):
        """As forward, step by step."""
        return self.forward(None, src_mask, tgt), tgt


def total_loss(model: FixedModel, tgt: Tensor, pad: int) -> tuple[float, int]:
    """Summed loss and number of real tokens of one batch, in eval mode."""
    tgt_in, tgt_out = tgt[:, :-1], tgt[:, 1:]
    logits = 2 * model.table(tgt_in).detach()
    loss = F.cross_entropy(
        logits.flatten(0, 1), tgt_out.flatten(), ignore_index=pad, reduction="sum"
    )
    return loss.item(), (tgt_out != pad).sum().item()


@exercise("4.5")
def check_perplexity(answer) -> Verdict:
    """Judge a function of (model, batches) that returns the token-weighted perplexity."""
    model = FixedModel()
    model.train()
    short = torch.tensor([[0, 4, 1, 3], [0, 5, 6, 1]])
    long = torch.tensor([[0, 7, 8, 9, 10, 4, 5, 1], [0, 4, 1, 3, 3, 3, 3, 3]])
    src, mask = torch.ones(2, 3, dtype=torch.long), torch.ones(2, 1, 3, dtype=torch.bool)
    batches = Corpus([(src, mask, short), (src, mask, long)])
    value = want_number(call(answer, model, batches), "the perplexity")
    seen = [fed.shape[1] for fed in model.fed]
    model.eval()

    def sums(pad: int = PAD_ID, shift: int = 1) -> list[tuple[float, int]]:
        """Summed loss and number of counted tokens of each batch."""
        rows = []
        for tgt in (short, long):
            tgt_in, tgt_out = tgt[:, :-1], tgt[:, shift : tgt.shape[1] - 1 + shift]
            logits = 2 * model.table(tgt_in).detach()
            loss = F.cross_entropy(
                logits.flatten(0, 1), tgt_out.flatten(), ignore_index=pad, reduction="sum"
            )
            rows.append((loss.item(), (tgt_out != pad).sum().item()))
        return rows

    (loss_a, n_a), (loss_b, n_b) = sums()
    (copied_a, m_a), (copied_b, m_b) = sums(shift=0)
    mean = (loss_a + loss_b) / (n_a + n_b)
    (padded_a, all_a), (padded_b, all_b) = sums(pad=-1)
    wrong = {
        math.exp((loss_a / n_a + loss_b / n_b) / 2):
            "this is e to the mean of the batch means: a short batch counts as much as a long one; "
            "add up losses and tokens over all batches, divide once",
        (math.exp(loss_a / n_a) + math.exp(loss_b / n_b)) / 2:
            "this averages the perplexities of the batches; average losses first, then exp",
        math.exp((padded_a + padded_b) / (all_a + all_b)):
            "the padding is counted as if it had to be predicted: leave it out of loss and count",
        math.exp((loss_a + loss_b) / (all_a + all_b)):
            "the loss leaves out the padding but the count of tokens does not",
        mean: "this is the mean loss in nats; perplexity is e to that power",
        2**mean: "the loss is in nats, so the base is e, not 2",
        math.exp((copied_a + copied_b) / (m_a + m_b)):
            "inputs and outputs are the same tokens: shift the target first",
    }
    for number, message in wrong.items():
        if math.isclose(value, number, rel_tol=1e-4):
            raise Mistake(message)
    if math.isclose(value, math.exp(mean), rel_tol=1e-4):
        moved = [(src, mask, tgt.where(tgt != PAD_ID, 2)) for tgt in (short, long)]
        (loss_a, n_a), (loss_b, n_b) = (total_loss(model, tgt, 2) for _, _, tgt in moved)
        other = want_number(call(answer, model, Corpus(moved, 2)), "the perplexity")
        if not math.isclose(other, math.exp((loss_a + loss_b) / (n_a + n_b)), rel_tol=1e-4):
            raise Mistake("right for pad id 3, wrong for another: use batches.tgt_vocab.pad_id")
        return "Every real token counts once."
    if seen and max(seen) == 1:
        raise Mistake(
            "the model reads its own words one by one; perplexity feeds the TRUE words: shift tgt "
            "and call the model on it"
        )
    again = want_number(call(answer, model, batches), "the perplexity")
    if not math.isclose(value, again, rel_tol=1e-6):
        raise Mistake("dropout is on: call model.eval() before you measure")
    raise Mistake(
        f"got {value:.6g}, want {math.exp(mean):.6g}: exp(summed loss / number of real tokens)"
    )

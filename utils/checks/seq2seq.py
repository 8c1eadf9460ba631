"""Checks of notebook 04: targets, loss, hand-over, greedy decoding, perplexity."""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.checks.core import Mistake, Verdict, call, exercise, same, want_number, want_tensor

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
    return "Input t and output t are one step apart."


@exercise("4.3")
def check_token_loss(answer) -> Verdict:
    """Judge a function of (logits, tgt_out, pad_id) that returns the summed cross-entropy."""
    vocab_size = 11
    tgt_out = torch.tensor([[4, 0, 6, 7, 1], [8, 9, 1, PAD_ID, PAD_ID]])  # here 0 is a word
    logits = torch.randn(2, 5, vocab_size)
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
            f"got {value:.3f}, want {loss():.3f}: add up -log p(true token) over the real tokens"
        )
    return "Padding costs nothing, and sums of batches add up."


@exercise("4.1")
def check_hand_over(answer) -> Verdict:
    """Judge a function of (states, last, n_layers) that returns the decoder's first states."""
    n_encoder, n_decoder, batch, src_len, d_model = 3, 2, 2, 7, 4
    encoder = nn.GRU(5, d_model, n_encoder, batch_first=True)
    with torch.no_grad():
        states, last = encoder(torch.randn(batch, src_len, 5))
    result = call(answer, states, last, n_decoder)
    if not isinstance(result, Tensor):
        raise Mistake(f"want a tensor (n_layers, batch, d_model), got {type(result).__name__}")
    if same(result, states):
        raise Mistake(
            "these are the states of every position; hand over the LAST state of each layer"
        )
    if same(result, states[:, -1]) or same(result, states[:, -1:].transpose(0, 1)):
        raise Mistake("this is one layer's state only; each decoder layer needs a state of its own")
    if same(result, last):
        raise Mistake(
            f"the encoder has {n_encoder} layers, the decoder {n_decoder}: choose which to hand "
            "over"
        )
    if same(result, last[:n_decoder]):
        raise Mistake(
            "these are the LOWEST encoder layers; hand over the top ones, they have seen the most"
        )
    if result.shape[-1] == d_model and result.numel() == last.numel():
        raise Mistake(
            "a reshape has mixed layers with sentences: pick layers, do not reshape them away"
        )
    want_tensor(result, (n_decoder, batch, d_model), "(n_layers, batch, d_model)")
    if same(result, last[-n_decoder:].flip(0)):
        raise Mistake("the layers are upside down: keep their order, lower layer first")
    if not same(result, last[-n_decoder:]):
        raise Mistake("the values differ from the encoder's last states: pick, do not compute")
    return "Layer by layer, from the top of the encoder."


class Script(nn.Module):
    """A model that knows its sentences by heart: `decode` counts tokens and reads them off.

    The state is the number of tokens read so far. A loop that forgets the state starts again.
    """

    def __init__(self, script: Tensor, vocab_size: int, patience: int):
        super().__init__()
        self.script, self.vocab_size, self.patience = script, vocab_size, patience
        self.calls = 0

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
        if self.calls == 1 and not (tgt[:, 0] == BOS_ID).all():
            raise Mistake("the first token that the decoder reads must be <bos>")
        places = places.clamp(max=self.script.shape[1] - 1)
        rows = memory[:, 0].long().expand(-1, tgt.shape[1])
        tokens = self.script[rows, places]
        return F.one_hot(tokens, self.vocab_size).float(), start + tgt.shape[1]


@exercise("4.4")
def check_greedy_decode(answer) -> Verdict:
    """Judge a function of (model, src, src_mask, bos_id, eos_id, max_len) -> ids."""
    script = torch.tensor([[4, 5, 1, 9, 9, 9, 9], [6, 7, 8, 4, 1, 9, 9], [5, 1, 9, 9, 9, 9, 9]])
    src, mask = torch.tensor([[0], [1], [2]]), torch.ones(3, 1, 1, dtype=torch.bool)
    endless = torch.tensor([[4, 5, 6, 7, 8, 9, 4]])
    model = Script(script, 10, patience=60)
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
    model = Script(endless, 10, patience=60)
    tokens = call(answer, model, src[:1], mask[:1], BOS_ID, EOS_ID, 6)
    if tokens.shape[1] != 6:
        raise Mistake(
            f"a sentence without <eos> must end after max_len = 6 tokens, got {tokens.shape[1]}"
        )
    return "It stops when every sentence has ended, or at max_len."


class Corpus(list):
    """A few batches with the target vocabulary's pad id, as `Batches` has it."""

    tgt_vocab = SimpleNamespace(pad_id=PAD_ID)


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
        f"got {value:.2f}, want {math.exp(mean):.2f}: exp(summed loss / number of real tokens)"
    )

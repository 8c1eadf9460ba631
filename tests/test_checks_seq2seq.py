"""The checks of lesson 04 accept right answers and name each wrong one."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from judging import Answers, Exercise, endless, fails, mutant
from torch import nn

from utils.checks import seq2seq as lesson
from utils.decoding import greedy_decode
from utils.metrics import perplexity
from utils.recurrent import RNNDecoder, last_state
from utils.training import shift_target, token_loss

NAN = float("nan")

# ---- 4.1 ----

START, GIVES = "last_state(memory, src_mask)", "self.out(self.dropout(states)), last.squeeze(0)"
LOGITS, NEW = GIVES.split(", ")


def decoder(*texts):
    return mutant(RNNDecoder, *texts)


def gives(text):
    return decoder(GIVES, text)


class OneByOne(RNNDecoder):
    def forward(self, tgt, memory, src_mask, state=None):
        if state is None:
            state = memory[torch.arange(len(memory)), src_mask.sum(dim=(1, 2)) - 1]
        rows = []
        for column in tgt.T:
            _, state = self.rnn(self.embedding(column).unsqueeze(1), state[None])
            state = state[0]
            rows.append(self.out(state))
        return [torch.stack(rows, dim=1), state]


class LastOfStates(RNNDecoder):
    def forward(self, tgt, memory, src_mask, state=None):
        if state is None:
            ends = src_mask.long().cumsum(-1).argmax(-1)[..., None].expand(-1, -1, memory.size(2))
            state = memory.gather(1, ends).squeeze(1)
        states = self.rnn(self.embedding(tgt), state[None].contiguous())[0]
        return F.linear(states, self.out.weight, self.out.bias), states[:, -1]


class EachFromTheFirst(RNNDecoder):
    def forward(self, tgt, memory, src_mask, state=None):
        steps = [super(EachFromTheFirst, self).forward(word, memory, src_mask, state)
                 for word in tgt.split(1, dim=1)]
        return torch.cat([logits for logits, _ in steps], dim=1), steps[-1][1]


class Remembers(RNNDecoder):
    def forward(self, tgt, memory, src_mask, state=None):
        if state is None:
            state = self.first = getattr(self, "first", last_state(memory, src_mask))
        return super().forward(tgt, memory, src_mask, state)


class StubDecoder(RNNDecoder):
    def forward(self, tgt, memory, src_mask, state=None):
        return ...


DECODER = Exercise(
    lesson.check_decoder,
    right=[RNNDecoder, OneByOne, LastOfStates, lambda v, d: RNNDecoder(v, d).eval(),
           decoder("src_mask, state=None", "source_mask, first=None", "if state is None",
                   "state = first\n        if state is None", START,
                   "last_state(memory, source_mask)")],
    wrong=[
        (decoder(START, "torch.zeros_like(memory[:, 0])"), "starts from zeros"),
        (decoder(START, "memory[:, -1]"), "the last COLUMN"),
        (decoder(START, "memory[:, 0]"), "after the FIRST word"),
        (decoder(START, "memory.mean(1)"), "the mean of all states"),
        (decoder(START, "(memory * src_mask.mT).sum(1) / src_mask.sum(-1)"), "of the true states"),
        (decoder(START, "last_state(memory, src_mask[:1].expand_as(src_mask))"),
         "as the FIRST sentence has"),
        (decoder(START, f"{START}.tanh()"), "Want the logits of embedding, GRU and out"),
        (decoder(START, f"{START}.detach()"), "no gradient reaches `memory`"),
        (decoder("if state is None", "if True"), "is not used: the second word"),
        (decoder(", state.unsqueeze(0)", ", 0 * state.unsqueeze(0)"), "whatever the state is"),
        (EachFromTheFirst, "after the word before"),
        (decoder("self.dropout(self.embedding(tgt))",
                 "torch.dropout(self.embedding(tgt), 0.5, True)"), "random numbers have a part"),
        (decoder("if state is None:", "if state is None or not state.any():"),
         "whatever the numbers"),
        (decoder("embedded =", f"state = state + {START}\n        embedded ="),
         "logits[0, 0, 0] (sentence 0"),
        (decoder(START, "0 * memory[:, 0]", "embedded =", f"state = state + {START}; embedded ="),
         "is added to the memory's"),
        (decoder("self.embedding(tgt)", "self.embedding(tgt).detach()"), "`embedding.weight`"),
        (gives(f"states, {NEW}"), "these are states of the GRU"),
        (gives(LOGITS), "return two things"),
        (gives(f"{NEW}, {LOGITS}"), "are exchanged"),
        (gives(f"self.out(states[:, -1:]), {NEW}"), "of the last place only"),
        (gives(f"self.out(states[:, -1]), {NEW}"), "without the axis of words"),
        (gives(f"{LOGITS}.softmax(-1), {NEW}"), "these are probabilities"),
        (gives(f"{LOGITS}.log_softmax(-1), {NEW}"), "these are log-probabilities"),
        (gives(f"{LOGITS}.argmax(-1), {NEW}"), "the likeliest words"),
        (gives(f"{LOGITS}, state"), "that it began with"),
        (gives(f"{LOGITS}, states"), "the states of all words"),
        (gives(f"{LOGITS}, states[:, 0]"), "the one after the FIRST word"),
        (gives(f"{LOGITS}, last"), "(1, batch, d_model): squeeze axis 0"),
        (gives(f"{LOGITS}, last.squeeze()"), "Squeeze axis 0 alone"),
        (gives(f"{LOGITS}, 2 * {NEW}"), "and the GRU's last state"),
        (gives(f"{LOGITS}, {NEW}.detach()"), "from new_state"),
        (gives(f"{LOGITS}.detach(), {NEW}"), "from logits"),
        (gives(f"{LOGITS} * (1 if self.training else 2), {NEW}"), "other sizes, in eval mode"),
        (gives(f"{LOGITS}.view(len(tgt), -1, 11), {NEW}"), "11]' is invalid"),
        (decoder("self.embedding(tgt)", "self.embedding(tgt).flip(0)"), "88 of 110"),
        (decoder("self.out = nn.Linear(d_model, vocab_size)", "pass"), "want self.out ="),
        (decoder("nn.Embedding(vocab_size, d_model)", "nn.Embedding(11, 6)"), "got Embedding(11"),
        (decoder("nn.Linear(d_model, vocab_size)", "nn.Linear(d_model, vocab_size);"
                 " self.out.requires_grad_(False)"), "is frozen"),
        (gives(f"self.train(), {NEW}"), "as a torch.Tensor"),
        (decoder("super().__init__()", "super().__init__(); torch.manual_seed(3)"),
         "begin with the same weights"),
        (Remembers, "kept from the call before"),
        (RNNDecoder(11, 6), "the class itself"),
        (lambda *sizes: 7, "want a class"),
    ],
    stubs=[StubDecoder],
    hostile=[gives(text) for text in ("None", "7", "()", "torch.ones(2, 5, 7)")]
    + [fails, endless, lambda: None, "x", lambda *sizes: nn.Identity()],
    is_function=False,
)


# ---- 4.2 ----

def cut(text):
    return mutant(shift_target, "tgt[:, :-1], tgt[:, 1:]", text)


SHIFT = Exercise(
    lesson.check_shift_target,
    right=[
        shift_target,
        lambda tgt: [tgt.narrow(1, 0, tgt.size(1) - 1), tgt.narrow(1, 1, tgt.size(1) - 1)],
        lambda tgt: tuple(tgt[:, torch.arange(tgt.shape[1] - 1) + k] for k in (0, 1)),
        lambda tgt: (tgt[:, :-1].clone().int(), torch.roll(tgt, -1, 1)[:, :-1].int()),
        lambda tgt: tuple(torch.tensor([r[k:k - 1 or None] for r in tgt.tolist()]) for k in (0, 1)),
    ],
    wrong=[
        (cut("tgt[:, 1:], tgt[:, 1:]"), "same tokens"),
        (cut("tgt[:, :-1], tgt[:, :-1]"), "same tokens"),
        (cut("tgt, tgt"), "same tokens"),
        (cut("tgt[:, :-1], tgt[:, 1:-1]"), "<eos> is missing"),
        (cut("tgt[:, :-2], tgt[:, 1:-1]"), "last pair is lost"),
        (cut("tgt[:, :-2], tgt[:, 2:]"), "two steps ahead"),
        (cut("tgt[:, 1:-1], tgt[:, 2:]"), "first pair is lost"),
        (cut("tgt[:, :5], tgt[:, 1:6]"), "Are sizes or ids written in"),
        (cut("tgt[:, 1:], tgt[:, :-1]"), "must begin with <bos>"),
        (cut("tgt[:, :-1], tgt"), "<bos> stands among the outputs"),
        (cut("tgt, tgt[:, 1:]"), "one input more than outputs"),
        (cut("tgt[:, 1:]"), "return two tensors: what it reads"),
        (cut("tgt[:, :-1]"), "what it must say is missing"),
        (cut("tgt[:-1], tgt[1:]"), "axis 0 is the batch"),
        (cut("tgt[:, :-1].flip(0), tgt[:, 1:].flip(0)"), "cut, do not rearrange"),
        (cut("tgt[:, :-1].where(tgt[:, :-1] != 1, 3), tgt[:, 1:]"), "inputs[1, 3]"),
        (cut("tgt[:, :-1].float(), tgt[:, 1:]"), "want torch.int64 of inputs"),
        (cut("tgt[:, :-1].squeeze(), tgt[:, 1:].squeeze()"), "Keep the axis of sentences"),
        (cut("tgt[:, :-1], torch.cat([tgt[:, -1:], tgt[:, :-2]], 1)"), "one step BEHIND"),
        (cut("tgt[:, :-1] if tgt.size(1) > 2 else tgt, tgt[:, 1:]"), "without words"),
        (cut("tgt[:, :-1].tolist(), tgt[:, 1:].tolist()"), "inputs as a torch.Tensor"),
        (cut("tgt[:, :-1], tgt[:, 1:], tgt"), "got tuple of 3"),
        (cut("tgt[:, :-1], tgt[:, 1:].copy_(tgt[:, :-1])"), "in place"),
    ],
    twins=["same tokens"],
    hostile=[None, lambda tgt: tgt.zero_()],
)


# ---- 4.3 ----

CE = "logits.flatten(0, 1), tgt_out.flatten()"
SUM, IGNORE = 'reduction="sum"', "ignore_index=pad_id"


def loss(*texts):
    return mutant(token_loss, *texts)


def loss_by_hand(logits, tgt_out, pad_id):
    log_p = logits.log_softmax(-1).gather(2, tgt_out.unsqueeze(2)).squeeze(2)
    return -log_p[tgt_out != pad_id].sum()


def loss_by_loops(logits, tgt_out, pad_id):
    return -sum(row.log_softmax(-1)[word] * (word != pad_id)
                for rows, words in zip(logits, tgt_out) for row, word in zip(rows, words))


def loss_by_mask(logits, tgt_out, pad_id):
    each = F.cross_entropy(logits.transpose(1, 2), tgt_out, reduction="none")
    return (each * (tgt_out != pad_id).float()).sum()


def loss_by_names(*, logits, tgt_out, pad_id):
    log_p = logits - logits.logsumexp(-1, keepdim=True)
    onehot = F.one_hot(tgt_out, logits.size(-1)) * (tgt_out != pad_id).unsqueeze(-1)
    return -torch.einsum("btv,btv->", log_p, onehot.to(log_p.dtype))


def hand(text, new):
    return mutant(loss_by_hand, text, new)


LOSS = Exercise(
    lesson.check_token_loss,
    right=[token_loss, loss_by_hand, loss_by_loops, loss_by_mask, loss_by_names],
    wrong=[
        (loss(IGNORE, "ignore_index=-1"), "the padding is counted: leave out"),
        (loss(IGNORE, "ignore_index=-1", f", {SUM}", ""), "and the result is a mean"),
        (loss(IGNORE, "ignore_index=0"), "pad_id is taken to be 0"),
        (loss(IGNORE, "ignore_index=3"), "pad_id is taken to be 3"),
        (hand("!= pad_id", "< (pad_id or 99)"), "over the real tokens"),
        (loss(f", {SUM}", ""), "this is the mean over the tokens"),
        (loss(f", {SUM},\n    )", f", {SUM},\n    ) / len(logits)"), "mean over the sentences"),
        (loss(f", {SUM},\n    )", f", {SUM},\n    ) / tgt_out.numel()"), "padding too"),
        (loss('"sum"', '"none"'), "of the single tokens in one row"),
        (lambda z, y, pad: mutant(token_loss, '"sum"', '"none"')(z, y, pad).view_as(y),
         "of the single tokens"),
        (hand(".sum()", ".mean()"), "the mean over the tokens"),
        (lambda z, y, pad: (-z.log_softmax(-1).gather(2, y[..., None])[..., 0]
                            * (y != pad)).sum(1), "one for each sentence"),
        (loss(CE, "logits.softmax(-1).flatten(0, 1), tgt_out.flatten()"), "is applied twice"),
        (hand("logits.log_softmax(-1)", "logits"), "the softmax is missing"),
        (hand("log_softmax", "softmax"), "the logarithm is missing"),
        (hand("log_softmax(-1)", "log_softmax(1)"), "over the places"),
        (hand("log_softmax(-1)", "log_softmax(0)"), "over the batch"),
        (hand(".sum()", f".sum() / {math.log(2)}"), "in bits"),
        (hand("-log_p", "log_p"), "the sign is wrong"),
        (hand("-log_p[tgt_out != pad_id].sum()", "(-log_p[tgt_out != pad_id].sum()).exp()"),
         "e to the loss"),
        (loss(CE, "logits[:, :-1].flatten(0, 1), tgt_out[:, 1:].flatten()"), "shifted once more"),
        (loss(CE, "logits[:1].flatten(0, 1), tgt_out[:1].flatten()"), "only the first sentence"),
        (hand(".sum()", ".sum() * float('nan')"), "nan: some step"),
        (hand(".sum()", ".sum() + 1"), "Add up -log p"),
        (hand("log_softmax(-1)", "softmax(-1).add(1e-9).log()"), "for logits of up to 30"),
        (hand("log_softmax(-1)", "softmax(-1).add(1e-40).log()"), "for logits of up to 600"),
        (hand("log_softmax(-1)", "exp().div(logits.exp().sum(-1, keepdim=True)).log()"),
         "the loss is nan, want 2656"),
        (hand("log_softmax(-1)", "softmax(-1).log()"), "take both in one step"),
        (loss(CE, "logits.reshape(len(logits), -1, tgt_out.size(1)), tgt_out"), "another order"),
        (loss(CE, "logits.flatten(0, 1), tgt_out.T.flatten()"), "in different orders"),
        (loss(CE, "logits.mul((tgt_out != pad_id)[..., None]).flatten(0, 1), tgt_out.flatten()",
              IGNORE, "ignore_index=-1"), "a uniform guess"),
        (loss(f", {SUM},\n    )", ",\n    ) * tgt_out.numel()"), "multiplied by the number of all"),
        (hand("!= pad_id", "> pad_id"), "compare with !="),
        (hand("log_p[tgt_out != pad_id]", "(log_p * (tgt_out != pad_id))[:, tgt_out[0] != pad_id]"),
         "FIRST sentence cuts all"),
        (loss(SUM, f"{SUM}, label_smoothing=0.1"), "label smoothing"),
        (hand("!= pad_id]", "!= pad_id].unflatten(0, (-1, 1))[1:]"), ", want "),
        (loss("logits.flatten(0, 1)", "logits.detach().flatten(0, 1)"), "no gradient reaches"),
        (loss(f", {SUM},\n    )", f", {SUM},\n    ).item()"), "no gradient reaches"),
        (loss(CE, "logits.view(10, 11), tgt_out.view(10)"), "right for pad_id 3, but for pad_id 5"),
        (loss("logits.flatten(0, 1)", "logits.float().flatten(0, 1)"), "want torch.float64"),
        (loss(CE, "logits.flatten(0, 1), tgt_out.masked_fill_(tgt_out == pad_id, 0).flatten()"),
         "in place"),
    ],
    twins=["no gradient reaches", "the mean over the tokens", "this is the mean over the tokens"],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: {}, None],
)


# ---- 4.4 ----

def walk(model, src, src_mask, bos_id, eos_id, max_len):
    memory, state = model.encode(src, src_mask), None
    token = torch.full((len(src), 1), bos_id)
    done, out = torch.zeros(len(src), 1, dtype=torch.bool), []
    while len(out) < max_len:
        logits, state = model.decode(token, memory, src_mask, state)
        token = logits.argmax(-1)
        token = token.masked_fill(done, eos_id)
        out.append(token)
        done = done | (token == eos_id)
        if done.all():
            break
    return torch.cat(out, dim=1)


def whole_prefix(model, src, src_mask, bos_id, eos_id, max_len=50):
    """Without a state: the whole prefix is read again at every step."""
    words = torch.full((len(src), 1), bos_id)
    for _ in range(max_len):
        logits, _ = model.decode(words, model.encode(src, src_mask), src_mask, None)
        ended = (words == eos_id).any(dim=1, keepdim=True)
        token = logits[:, -1].softmax(-1).topk(1).indices
        words = torch.cat([words, torch.where(ended, eos_id, token)], dim=1)
        if (words == eos_id).any(dim=1).all():
            break
    return words[:, 1:]


def sentence_by_sentence(model, src, src_mask, bos_id, eos_id, max_len=50):
    """Each sentence by itself, in lists; what is missing at the end is <eos>."""
    rows = []
    for i in range(len(src)):
        memory, state = model.encode(src[i:i + 1], src_mask[i:i + 1]), None
        row = [bos_id]
        while len(row) <= max_len and (len(row) == 1 or row[-1] != eos_id):
            word = torch.tensor([[row[-1]]])
            logits, state = model.decode(word, memory, src_mask[i:i + 1], state=state)
            row.append(int(logits[0, -1].argmax()))
        rows.append(row[1:])
    longest = max(map(len, rows))
    return torch.tensor([row + [eos_id] * (longest - len(row)) for row in rows])


def reads_raw_words(model, src, src_mask, bos_id, eos_id, max_len=50):
    """Ended sentences read on; what stands after their <eos> is put right at the end."""
    memory, state = model.encode(src, src_mask), None
    words = src.new_full((len(src), 1), bos_id).int()
    for _ in range(max_len):
        logits, state = model.decode(words[:, -1:], memory, src_mask, state)
        words = torch.cat([words, logits[:, -1].argmax(-1, keepdim=True).int()], 1)
        if (words == eos_id).any(1).all():
            break
    words = words[:, 1:]
    ended = (words == eos_id).int().cumsum(1) > 0
    return words.masked_fill(ended, eos_id)


def greedy(*texts):
    return mutant(walk, *texts)


def after(change):
    """The right ids, changed."""
    return lambda m, s, k, b, e, n: change(walk(m, s, k, b, e, n), b)


TOKEN, STOP, DECODE = "token = logits.argmax(-1)", "done.all()", "token, memory, src_mask, state"
FILL = "token.masked_fill(done, eos_id)"

GREEDY = Exercise(
    lesson.check_greedy_decode,
    right=[greedy_decode, walk, whole_prefix, sentence_by_sentence, reads_raw_words,
           torch.no_grad()(walk)],
    wrong=[
        (greedy(STOP, "done.any()"), "stops at the first <eos>"),
        (greedy(STOP, "done[0]"), "when the FIRST sentence"),
        (greedy("while len(out) < max_len", "while True", STOP, "(token == 99).all()"),
         "never stops"),
        (greedy("while len(out) < max_len", "while True"), "Where nothing ends, max_len"),
        (after(lambda ids, bos: torch.cat([torch.full_like(ids[:, :1], bos), ids], 1)),
         "<bos> is part"),
        (after(lambda ids, bos: ids[:, 1:]), "the first word is missing"),
        (greedy("        out.append(token)\n", "", "            break\n",
                "            break\n        out.append(token)\n"), "the last column, with <eos>"),
        (greedy("(token == eos_id)", "(token[0] == eos_id)"), "`finished` asks its own token"),
        (greedy("model.encode(src, src_mask)",
                "model.encode(src[:1], src_mask[:1]).repeat(len(src), 1, 1)"), "the whole batch"),
        (greedy("< max_len", "< src.shape[1]"), "places: the limit is max_len"),
        (greedy("< max_len", "< max_len - 1"), "token too early"),
        (greedy(DECODE, "torch.cat([torch.full_like(token, bos_id), *out], 1), memory, src_mask, "
                "state", "logits.argmax(-1)", "logits[:, -1:].argmax(-1)"), "the state holds them"),
        (greedy("| (token == eos_id)", "| (token == eos_id) & bool(out[1:])"),
         "token may be <eos>, too"),
        (after(lambda ids, bos: ids[:, -1:]), "the last word alone"),
        (after(lambda ids, bos: ids[0]), "axis of sentences is gone"),
        (after(lambda ids, bos: ids.unsqueeze(2)), "an axis too many"),
        (after(lambda ids, bos: ids.clamp(max=6)), "argmax over the vocabulary"),
        (after(lambda ids, bos: ids.float()), "want torch.int64"),
        (after(lambda ids, bos: ids.tolist()), "as a torch.Tensor"),
        (after(lambda ids, bos: ids.squeeze()), "Keep the axis of sentences"),
        (after(lambda ids, bos: ids if ids.size(1) > 1 else ids + 1), "but for max_len = 1"),
        (after(lambda ids, bos: ids.T), "want shape (sentence, word)"),
        (greedy("logits, state", "logits, _"), "pass the state"),
        (greedy(DECODE, "token, memory, src_mask"), "pass the state from step"),
        (greedy("1), bos_id", "1), 4"), "first token that the decoder reads must be <bos>"),
        (greedy("1), bos_id", "1), eos_id"), "must be <bos>"),
        (greedy("1), bos_id", "1), 0"), "for <bos> 2 and <eos> 3: the first token"),
        (greedy(FILL, "token"), "goes on writing"),
        (greedy(FILL, "token.masked_fill(done, 0)"), "filled with 0"),
        (greedy(STOP, "False"), "stop when every row is finished"),
        (greedy("< max_len", "< 9"), "want shape (sentence, word) = (2, 60), got (2, 9)"),
        (greedy("< max_len", "< min(max_len, 20)"), "got (2, 20) holding"),
        (greedy("< max_len", "< 50"), "max_len is not used"),
        (greedy("< max_len", "<= max_len"), "max_len + 1"),
        (greedy("< max_len", "< max(max_len - 1, 1)"), "one token too early"),
        (after(lambda ids, bos: ids.flip(1)), "result[0, 0] (sentence 0, word 0)"),
        (greedy(DECODE, "torch.full_like(token, bos_id), memory, src_mask, state"),
         "<bos> at every step"),
        (greedy(DECODE, "torch.cat(out or [token], 1), memory, src_mask, state",
                "logits.argmax(-1)", "logits[:, -1:].argmax(-1)"), "hand on the last token alone"),
        (greedy("logits.argmax(-1)", "logits.abs().argmax(-1)"), "got (3, 16)"),
        (greedy("logits.argmax(-1)", "logits.argmin(-1)"), "UNLIKELIEST"),
        (greedy("logits.argmax(-1)", "logits[:, -1].softmax(-1).multinomial(1)"),
         "Is something drawn"),
        (greedy("logits.argmax(-1)", "logits[:, -1:].argmax(1)"), "over the places"),
        (greedy(DECODE, "token, memory, torch.ones_like(src_mask), state"), "so padding is"),
        (greedy(DECODE, "token, memory, ~src_mask, state"), "turned round"),
        (greedy(DECODE, "token, memory, src_mask[:1].expand_as(src_mask), state"),
         "the mask of the FIRST sentence"),
        (greedy("model.encode(src, src_mask)", "model.encode(src.flip(1), src_mask)"),
         "want shape (sentence, word) = (3, 5), got (3, 1)"),
        (lambda m, s, k, *rest: walk(m, s, torch.ones_like(k), *rest), "src_mask has no part"),
        (lambda m, s, k, b, e, n: walk(m, s, k, b, 1, n), "use eos_id"),
        (greedy("len(src), 1), bos_id", "3, 1), bos_id"), "here (2, 1) for each step: got (3, 1)"),
        (greedy("memory, state =", "torch.manual_seed(0); memory, state ="), "random state itself"),
        (greedy("memory, state =", "src.add_(1); memory, state ="), "in place"),
    ],
    twins=["hand on the last token alone", "the state holds them", "one token too early",
           "token too early", "pass the state", "pass the state from step",
           "first token that the decoder reads must be <bos>", "must be <bos>"],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: {}, None],
)


# ---- 4.5 ----

def measure(model, batches):
    model.eval()
    pad_id = batches.tgt_vocab.pad_id
    total = count = 0.0
    for src, src_mask, tgt in batches:
        tgt_in, tgt_out = tgt[:, :-1], tgt[:, 1:]
        logits = model(src, src_mask, tgt_in)
        loss = token_loss(logits, tgt_out, pad_id).item()
        n = (tgt_out != pad_id).sum().item()
        total, count = total + loss, count + n
    return math.exp(total / count)


def by_the_word(model, batches):
    """Looks <pad> up in the vocabulary."""
    model.eval()
    pad_id, total, count = batches.tgt_vocab.ids["<pad>"], 0.0, 0
    for batch in batches:
        tgt_in, tgt_out = shift_target(batch.tgt)
        total += token_loss(model(batch.src, batch.src_mask, tgt_in), tgt_out, pad_id).item()
        count += sum(batches.tgt_vocab.tokens[i] != "<pad>" for i in tgt_out.flatten().tolist())
    return math.exp(total / count)


def by_names(model, batches):
    """With the names of a Batch and the size of the vocabulary; a tensor of one number."""
    model.eval()
    losses = []
    for batch in batches:
        logits = model(batch.src, batch.src_mask, batch.tgt[:, :-1])
        flat = logits.reshape(-1, len(batches.tgt_vocab))
        wanted = batch.tgt[:, 1:].reshape(-1)
        each = F.cross_entropy(flat, wanted, reduction="none")
        losses.append(each[wanted != batches.tgt_vocab.pad_id])
    return torch.cat(losses).mean().exp()


def by_steps(model, batches):
    """The true words fed in one by one, through encode and decode."""
    model.eval()
    log_ps = []
    for src, mask, tgt in batches:
        memory, state = model.encode(src, mask), None
        for t in range(1, tgt.size(1)):
            logits, state = model.decode(tgt[:, t - 1:t], memory, mask, state)
            log_p = logits[:, 0].log_softmax(-1)
            log_ps += [log_p[i, w].item() for i, w in enumerate(tgt[:, t])
                       if w != batches.tgt_vocab.pad_id]
    return np.exp(-np.mean(log_ps))


def in_one(model, batches):
    pad = batches.tgt_vocab.pad_id
    losses = [token_loss(model.eval()(s, k, t[:, :-1]), t[:, 1:], pad) for s, k, t in batches]
    return torch.stack(losses).sum().div(
        sum((t[:, 1:] != pad).sum() for _, _, t in batches)).exp().item()


def score(*texts):
    return mutant(measure, *texts)


def per_batch(total, end):
    return score(ADDS, f"total + {total}, count + 1", ENDS, end)


ADDS, ENDS = "total + loss, count + n", "math.exp(total / count)"
CALL = "model(src, src_mask, tgt_in)"
READS, SAYS = "tgt_in, tgt_out = tgt[:, :-1], tgt[:, 1:]", "n = (tgt_out != pad_id).sum().item()"


@torch.no_grad()
def free_running(model, batches):
    model.eval()
    total = count = 0.0
    for src, mask, tgt in batches:
        token, state, memory = tgt[:, :1], None, model.encode(src, mask)
        for t in range(1, tgt.shape[1]):
            logits, state = model.decode(token, memory, mask, state)
            total += token_loss(logits, tgt[:, t : t + 1], batches.tgt_vocab.pad_id).item()
            count += (tgt[:, t] != batches.tgt_vocab.pad_id).sum().item()
            token = logits.argmax(-1)
    return math.exp(total / count)


PERPLEXITY = Exercise(
    lesson.check_perplexity,
    right=[perplexity, measure, by_names, by_steps, in_one, by_the_word],
    wrong=[
        (per_batch("loss / n", ENDS), "mean of the batch means"),
        (per_batch("math.exp(loss / n)", "total / count"), "averages the perplexities"),
        (score(ADDS, "total + n * math.exp(loss / n), count + n", ENDS, "total / count"),
         "perplexities of the batches: average losses"),
        (score("total = count = 0.0", "total, count = 1.0, 0", ADDS,
               "total * math.exp(-loss), count + n", ENDS, "max(total, 1e-300) ** (-1 / count)"),
         "multiply to 0 over so many words"),
        (score(ENDS, "math.exp(min(total / count, 20))"), "no reason for a limit"),
        (score(SAYS, "n = (tgt_out > pad_id).sum().item()"), "Compare with !="),
        (score(SAYS, "n = (tgt_out[0] != pad_id).sum().item() * len(tgt_out)"),
         "FIRST sentence is counted"),
        (score("= batches.tgt_vocab.pad_id", "= -1"), "as if it had to be predicted"),
        (score(SAYS, "n = tgt_out.numel()"), "count of tokens does not"),
        (score(SAYS, "n = (tgt != pad_id).sum().item()"), "<bos> is counted"),
        (score(SAYS, "n = len(tgt)"), "number of sentences"),
        (score(SAYS, "n = (tgt_out != pad_id).sum().item() - len(tgt)"), "number of real tokens"),
        (score(ENDS, "total / count"), "mean loss in nats"),
        (score(ENDS, "2 ** (total / count)"), "base is e"),
        (score(ENDS, "math.exp(-total / count)"), "MINUS the mean loss"),
        (score(ENDS, "1 + math.exp(total / count)"), "Want exp(summed loss"),
        (score(ENDS, "round(math.exp(total / count), 2)"), "the perplexity is"),
        (score(ENDS, "(total, count)"), "as one number"),
        (score(READS, "tgt_in, tgt_out = tgt[:, :-1], tgt[:, :-1]"), "the target first"),
        (score(READS, "tgt_in, tgt_out = tgt[:, 1:], tgt[:, 1:]"), "without <bos>: shift"),
        (score(READS, "tgt_in, tgt_out = tgt[:, 1:], tgt[:, :-1]"), "are exchanged"),
        (free_running, "feeds the TRUE words"),
        (score("model.eval()", "pass"), "dropout is on: call"),
        (score("model.eval()", "model.train()"), "call model.eval() before"),
        (score("model.eval()", "pass", CALL, f"({CALL} + {CALL}) / 2"), "gives two results"),
        (score("= batches.tgt_vocab.pad_id", "= 3"), "taken to be 3"),
        (score("batches.tgt_vocab.pad_id", "batches.src_vocab.pad_id"), "that of the SOURCE"),
        (score("    return", "        return"), "only the first batch"),
        (score(ADDS, "loss, n"), "only the last batch"),
        (score(CALL, "model(src, torch.ones_like(src_mask), tgt_in)"), "padding of the source"),
        (score(CALL, "model(src.flip(0), src_mask, tgt_in)"), ", want "),
        (score("in batches:", "in batches[:2]:", SAYS, f"{SAYS} if len(batches) > 1 else 1"),
         "for one batch of one sentence"),
        (score("model.eval()", "model.eval(); model.decoder.dropout.p = 0.0"), "the dropout rate"),
        (score("model.eval()", "model.eval(); torch.manual_seed(0)"), "random state itself"),
        (score("model.eval()", "model.eval(); batches.reverse()"), "in place"),
    ],
    twins=["averages the perplexities", "perplexities of the batches: average losses",
           "dropout is on: call", "call model.eval() before"],
    hostile=[lambda *given: torch.tensor(NAN), lambda *given: {}, None],
)


class TestAnswers(Answers):
    exercises = (DECODER, SHIFT, LOSS, GREEDY, PERPLEXITY)

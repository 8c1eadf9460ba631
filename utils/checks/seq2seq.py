"""The checks of notebook 04: decoder, targets, loss, greedy decoding, perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.checks.core import Mistake, NotAttempted, call, exercise
from utils.checks.kinds import agree, case, forward, judge_birth, want_trainable
from utils.decoding import greedy_decode
from utils.metrics import perplexity
from utils.recurrent import AttentionDecoder, RNNEncoder, Seq2Seq, last_state
from utils.text import BOS, EOS, PAD, UNK, Batch, Vocabulary
from utils.training import shift_target, token_loss

TOKENS = {"the result": ("sentence", "word")}


# ---- 4.1 ----


@exercise("4.1")
def check_decoder(answer) -> str:
    """Where it starts from, with and without a state; sizes, one word; no way cut off."""
    net, other = make_decoder(answer, 11, 6), make_decoder(answer, 5, 4)
    tgt = torch.tensor([[0, 4, 5, 6, 7], [0, 8, 9, 1, 3]])
    memory, state = torch.randn(2, 7, 6), torch.randn(2, 6)
    mask = torch.ones(2, 1, 7, dtype=torch.bool)
    mask[0, 0, 4:] = False    # the first sentence has 4 words
    agree(forward, right_decoder, [
        case("two sentences, state None", net, tgt, memory, mask),
        case("a state that is given", net, tgt, memory, mask, state, hint="start the GRU from "
             "that state alone: only where state is None it is the last state of the memory"),
        case("a given state of zeros", net, tgt, memory, mask, torch.zeros(2, 6),
             hint="ask `if state is None`, whatever the numbers are"),
        case("one sentence, one word", net, tgt[:1, :1], memory[:1], mask[:1], state[:1],
             hint="squeeze axis 0 alone"),
        case("other sizes, in eval mode", other.eval(), torch.tensor([[2, 4, 0]] * 3),
             torch.randn(3, 2, 4), torch.tensor([[[1, 1]], [[1, 0]], [[1, 1]]]).bool()),
    ], decoder_mistakes(), axes={
        "logits": ("sentence", "word", "token"), "new_state": ("sentence", "feature"),
        "tgt": ("sentence", "word"), "memory": ("sentence", "", ""), "state": ("sentence", ""),
    }, advice="Want the logits of embedding, GRU and out, started from last_state(memory, "
        "src_mask), and the GRU's last state")
    agree(after_others, right_decoder, [
        case("two sentences, after two others", net, tgt, memory, mask,
             hint="nothing may be kept from the call before"),
    ], gradients=False, float64=False, axes={"logits": (), "new_state": ()}, advice="The same "
        "module has read two other sentences before: nothing may be kept from the call before")
    want_trainable(net)
    judge_birth(lambda: make_decoder(answer, 11, 6))
    return "It starts from the one vector, and goes on from the state that it is given."


def make_decoder(answer, vocab_size: int, d_model: int) -> nn.Module:
    """Build the learner's module and make sure that its layers are those of the stub."""
    if answer is ...:
        raise NotAttempted
    if isinstance(answer, nn.Module):
        raise Mistake("hand over the class itself, without sizes: it is made here")
    net = call(answer, vocab_size, d_model)
    if not isinstance(net, nn.Module):
        raise Mistake(f"want a class that makes an nn.Module, got {type(net).__name__}")
    wanted = {"embedding": nn.Embedding(vocab_size, d_model),
              "rnn": nn.GRU(d_model, d_model, batch_first=True),
              "out": nn.Linear(d_model, vocab_size)}
    for name, layer in wanted.items():
        if repr(getattr(net, name, None)) != repr(layer):
            raise Mistake(f"want self.{name} = {layer!r} for vocab_size {vocab_size}, d_model "
                          f"{d_model}, got {getattr(net, name, None)!r}: keep __init__ as it was")
    return net


def after_others(decoder, *given):
    """Its results after it has been called with the sentences in another order."""
    forward(decoder, *(part.flip(0) for part in given))
    return forward(decoder, *given)


def right_decoder(decoder, tgt, memory, src_mask, state=None) -> tuple[Tensor, Tensor]:
    """What it should give, from its own three layers."""
    state = last_state(memory, src_mask) if state is None else state
    states, last = decoder.rnn(decoder.embedding(tgt), state.unsqueeze(0))
    return decoder.out(states), last.squeeze(0)


def decoder_mistakes() -> list[tuple[Callable, str]]:
    """A decoder with one thing wrong, and what to say then."""

    def states(d, tgt, state):
        return d.rnn(d.embedding(tgt), state.unsqueeze(0))[0]

    def each_from_the_first(d, tgt, m, mask, state=None):
        logits = torch.cat([right_decoder(d, t, m, mask, state)[0] for t in tgt.split(1, 1)], 1)
        return logits, right_decoder(d, tgt[:, -1:], m, mask, state)[1]

    def mean_of_words(memory, mask):
        return (memory * mask.mT).sum(1) / mask.sum(-1)

    starts = [
        (lambda m, k: torch.zeros_like(m[:, 0]), "zeros, so the source has no part: start from the "
         "last state of the memory"),
        (lambda m, k: m[:, -1], "the last COLUMN of the memory: in a padded row that state has "
         "read <pad>; use last_state"),
        (lambda m, k: m[:, 0], "the state after the FIRST word; use last_state"),
        (lambda m, k: m.mean(1), "the mean of all states; one vector passes, the last state"),
        (mean_of_words, "the mean of the true states; one vector passes, the last state"),
        (lambda m, k: last_state(m, k[:1].expand_as(k)), "the state after as many words as the "
         "FIRST sentence has: each sentence has its own row of src_mask"),
    ]

    def started(begin):
        def wrong(decoder, tgt, memory, src_mask, state=None):
            state = begin(memory, src_mask) if state is None else state
            return right_decoder(decoder, tgt, memory, src_mask, state)
        return wrong

    def changed(change: Callable) -> Callable:
        """change: gets the right logits, the right state, all states, the one it began with."""
        def wrong(decoder, tgt, memory, src_mask, state=None):
            state = last_state(memory, src_mask) if state is None else state
            logits, new = right_decoder(decoder, tgt, memory, src_mask, state)
            return change(logits, new, states(decoder, tgt, state), state)
        return wrong

    results = [
        (lambda z, s, h, o: (h, s), "these are states of the GRU: self.out makes logits of them"),
        (lambda z, s, h, o: z, "return two things, the logits and the new state: these are the "
         "logits alone"),
        (lambda z, s, h, o: (s, z), "the two results are exchanged: the logits come first"),
        (lambda z, s, h, o: (z[:, -1:], s), "these are the logits of the last place only; want one "
         "row for EACH token of tgt"),
        (lambda z, s, h, o: (z[:, -1], s), "these are the logits of one place, without the axis of "
         "words; want one row for EACH token of tgt"),
        (lambda z, s, h, o: (z.softmax(-1), s), "these are probabilities: return the logits, the "
         "loss does the softmax"),
        (lambda z, s, h, o: (z.log_softmax(-1), s), "these are log-probabilities: return the "
         "logits, the loss does the softmax"),
        (lambda z, s, h, o: (z.argmax(-1), s), "these are the likeliest words: return the logits, "
         "one score for each word of the vocabulary"),
        (lambda z, s, h, o: (z, o), "this is the state that it began with: hand back the GRU's "
         "last state"),
        (lambda z, s, h, o: (z, h), "the new state is the states of all words: want the last one, "
         "(batch, d_model)"),
        (lambda z, s, h, o: (z, h[:, 0]), "the new state is the one after the FIRST word: want the "
         "last"),
        (lambda z, s, h, o: (z, s.unsqueeze(0)), "the GRU gives its last state as (1, batch, "
         "d_model): squeeze axis 0"),
    ]
    return [
        *((started(begin), f"the decoder starts from {words}") for begin, words in starts),
        (lambda d, t, m, k, s=None: right_decoder(d, t, m, k, torch.zeros_like(m[:, 0])), "the GRU "
         "starts from zeros, whatever the state is: hand it state.unsqueeze(0) as well"),
        (each_from_the_first, "every word starts from the first state: hand on the state that the "
         "GRU gives after the word before"),
        (lambda d, t, m, k, s=None: right_decoder(d, t, m, k), "the state that it is given is not "
         "used: the second word would start again from the source. Only where state is None, take "
         "the last state of the memory"),
        (lambda d, t, m, k, s=None: right_decoder(d, t, m, k, (0 if s is None else s)
         + last_state(m, k)), "a state that is given is added to the memory's last state: start "
         "the GRU from that state alone"),
        *((changed(change), words) for change, words in results),
    ]


# ---- 4.2 ----


@exercise("4.2")
def check_shift_target(answer) -> str:
    """Two batches with other ids and sizes; one sentence, one without words."""
    agree(answer, shift_target, [
        case("a batch of 4 and 2 words", torch.tensor([[0, 4, 5, 6, 7, 1], [0, 8, 9, 1, 3, 3]])),
        case("another batch, with <bos> 2, <eos> 3 and <pad> 4",
             torch.tensor([[2, 9, 3], [2, 3, 4], [2, 7, 3]]), hint="are sizes or ids written in?"),
        case("one sentence", torch.tensor([[0, 6, 4, 9, 7, 5, 8, 1]]),
             hint="keep the axis of sentences, and cut at -1, not at a number"),
        case("a sentence without words, <bos> <eos>", torch.tensor([[0, 1]])),
    ], shift_mistakes(), axes={"inputs": ("sentence", "word"), "outputs": ("sentence", "word")},
        advice="The tokens must be those of tgt in their order: cut, do not rearrange")
    return "Input t and output t are one step apart."


def shift_mistakes() -> list[tuple[Callable, str]]:
    """Cuts at the wrong place, and what to say then."""
    same = ("inputs and outputs are the same tokens: the decoder reads the very word that it must "
            "say, so the loss falls to 0 and it learns to copy")
    return [
        (lambda t: (t[:, 1:], t[:, 1:]), same),
        (lambda t: (t[:, :-1], t[:, :-1]), same),
        (lambda t: (t, t), same),
        (lambda t: (t[:, 1:-1], t[:, 1:-1]), same),
        (lambda t: (t[:, :-1], t[:, 1:-1]), "<eos> is missing from the outputs of the longest "
         "sentence: the model never learns to stop"),
        (lambda t: (t[:, :-2], t[:, 1:-1]), "the last pair is lost: after the last word it must "
         "say <eos>"),
        (lambda t: (t[:, 1:-1], t[:, 2:]), "the first pair is lost: after <bos> the first word "
         "must be said"),
        (lambda t: (t[:, :-2], t[:, 2:]), "the outputs run two steps ahead: each word must predict "
         "the next, not the one after"),
        (lambda t: (t[:, :-1], t.roll(1, 1)[:, :-1]), "the outputs run one step BEHIND the inputs: "
         "they must hold the next word. roll(-1) would, but cut"),
        (lambda t: (t[:, 1:], t[:, :-1]), "the two are exchanged: the inputs must begin with "
         "<bos>, since the first word has nothing else to start from"),
        (lambda t: (t[:, :-1], t), "<bos> stands among the outputs: it is given to the model, "
         "never said"),
        (lambda t: (t, t[:, 1:]), "there is one input more than outputs: each input has one "
         "output, and after <eos> nothing is said"),
        (lambda t: t[:, 1:], "return two tensors: what it reads, and what it must say"),
        (lambda t: t[:, :-1], "return two tensors: what it must say is missing"),
        (lambda t: (t[:-1], t[1:]), "sentences are cut off, not words: axis 0 is the batch"),
    ]


# ---- 4.3 ----


@exercise("4.3")
def check_token_loss(answer) -> str:
    """Padding, two pad ids, a whole row of padding, large logits, gradients."""

    def loss_case(words: str, ids: list, pad_id: int, spread: float = 1.0, n_words: int = 11):
        tgt_out = torch.tensor(ids)
        return case(words, spread * torch.randn(*tgt_out.shape, n_words), tgt_out, pad_id)

    agree(answer, token_loss, [
        loss_case("pad_id 3", [[4, 0, 6, 7, 1], [8, 9, 1, 3, 3]], 3),    # here 0 is a word
        loss_case("pad_id 5 and other sizes", [[1, 4, 2, 6], [0, 3, 5, 5], [6, 5, 5, 5]], 5, 1, 7),
        loss_case("pad_id 0 and nothing padded", [[4, 5], [6, 1]], 0),
        loss_case("one sentence of one word", [[2]], 3, 1, 4),
        loss_case("a sentence of padding alone", [[3, 3, 3], [4, 1, 3]], 3),
        loss_case("logits of up to 30", [[4, 0, 6, 7, 1], [8, 9, 1, 3, 3]], 3, 10),
        loss_case("logits of up to 600", [[4, 0, 6, 7, 1], [8, 9, 1, 3, 3]], 3, 200),
    ], loss_mistakes(), axes={"the loss": (), "logits": ("sentence", "word", "")},
        advice="Add up -log p(true token) over the real tokens")
    return "Padding costs nothing, and sums of batches add up."


def loss_mistakes() -> list[tuple[Callable, str]]:
    """Losses with one thing wrong, and what to say then."""

    def ce(z, y, pad, reduction="sum", flat=True):
        z, y = (z.flatten(0, 1), y.flatten()) if flat else (z, y)
        return F.cross_entropy(z, y, ignore_index=pad, reduction=reduction)

    def true(scores, y, pad):
        """Minus the scores of the true tokens, summed."""
        return -scores.gather(2, y[..., None])[..., 0][y != pad].sum()

    twice = "softmax is applied twice: cross_entropy wants the logits and does the softmax itself"
    return [
        (lambda z, y, p: ce(z, y, -1), "the padding is counted: leave out pad_id"),
        (lambda z, y, p: ce(z, y, -1, "mean"), "the padding is counted, and the result is a mean: "
         "leave out pad_id, and sum"),
        (lambda z, y, p: ce(z, y, 0), "pad_id is taken to be 0: use the pad_id that is given"),
        (lambda z, y, p: ce(z, y, 3), "pad_id is taken to be 3: use the pad_id that is given"),
        (lambda z, y, p: ce(z, y, p, "mean"), "this is the mean over the tokens: return the sum"),
        (lambda z, y, p: ce(z, y, p) / len(y), "this is the mean over the sentences: return the "
         "sum"),
        (lambda z, y, p: ce(z, y, p) / y.numel(), "the sum is divided by the number of all places, "
         "padding too: return the sum, so that batches add up"),
        (lambda z, y, p: ce(z, y, p, "none").view_as(y), "want one number, the sum: these are the "
         "losses of the single tokens"),
        (lambda z, y, p: ce(z, y, p, "none"), "want one number, the sum: these are the losses of "
         "the single tokens in one row"),
        (lambda z, y, p: ce(z, y, p, "none").view_as(y).sum(1), "want one number: these are sums, "
         "one for each sentence"),
        (lambda z, y, p: ce(z.softmax(-1), y, p), twice),
        (lambda z, y, p: true(z.softmax(-1).log(), y, p), "the logarithm of the softmax is -inf "
         "where a large logit leaves others a share of 0: log_softmax and cross_entropy take both "
         "in one step"),
        (lambda z, y, p: ce(z.reshape(len(z), -1, y.size(1)), y, p, flat=False), "reshape puts the "
         "logits in another order than the tokens: transpose(1, 2), or flatten(0, 1)"),
        (lambda z, y, p: ce(z, y.t(), p), "logits and tokens are flattened in different orders: "
         "flatten both as they are, sentence after sentence"),
        (lambda z, y, p: ce(z * (y != p).unsqueeze(-1), y, -1), "padding still costs the logarithm "
         "of vocab_size: logits of 0 are a uniform guess. Leave out the LOSS of the padding"),
        (lambda z, y, p: ce(z, y, p, "mean") * y.numel(), "the mean over the real tokens is "
         "multiplied by the number of all places, padding too"),
        (lambda z, y, p: ce(z, y.where(y > p, p), p), "ids below pad_id are left out, too: only "
         "pad_id itself is padding, so compare with !="),
        (lambda z, y, p: ce(z[:, :(y[0] != p).sum()], y[:, :(y[0] != p).sum()], p), "the length of "
         "the FIRST sentence cuts all of them: each has its own padding"),
        (lambda z, y, p: F.cross_entropy(z.flatten(0, 1), y.flatten(), ignore_index=p,
         reduction="sum", label_smoothing=0.1), "label smoothing is on: want the plain loss"),
        (true, "the softmax is missing: these are the logits of the true tokens, not their "
         "log-probabilities"),
        (lambda z, y, p: true(z.softmax(-1), y, p), "the logarithm is missing: these are the "
         "probabilities of the true tokens"),
        (lambda z, y, p: true(z.log_softmax(1), y, p), "the softmax runs over the places of a "
         "sentence: it belongs to the vocabulary, axis -1"),
        (lambda z, y, p: true(z.log_softmax(0), y, p), "the softmax runs over the batch: it "
         "belongs to the vocabulary, axis -1"),
        (lambda z, y, p: ce(z, y, p) / math.log(2), "this is in bits, base 2: want nats, the "
         "natural logarithm"),
        (lambda z, y, p: -ce(z, y, p), "the sign is wrong: a loss is the negative log-probability"),
        (lambda z, y, p: ce(z, y, p).exp(), "this is e to the loss: want the loss"),
        (lambda z, y, p: ce(z[:, :-1], y[:, 1:], p), "the target is shifted once more: tgt_out is "
         "already what must be said at each place"),
        (lambda z, y, p: ce(z[:1], y[:1], p), "only the first sentence is counted"),
    ]


# ---- 4.4 ----


class Author(nn.Module):
    """A model that knows by heart what to say, as long as it is given all that it needs.

    lines: from a source sentence to what is said. The state is one number that stands for all
    words read so far; with another word, state, source or mask what it says is nonsense.
    """

    def __init__(self, lines: dict[tuple, list[int]], vocab_size: int, bos: int):
        super().__init__()
        self.vocab_size, self.bos, self.says = vocab_size, bos, {}
        self.encoded = self.calls = 0    # the calls since the memory was made
        for source, line in lines.items():
            src = torch.tensor([source])
            mask = torch.ones(1, 1, len(source)).bool()
            key, read = self.sources(self.encode(src, mask), mask).item(), self.read(0, bos)
            for word in line:
                self.says[key, read] = word
                read = self.read(read, word)

    def read(self, state: int, word: int) -> int:
        """The state after one more word."""
        return (state * 101 + word + 1) % 999_983

    def encode(self, src: Tensor, src_mask: Tensor) -> Tensor:
        """A memory (batch, src_len, 1) in which words, their order and the mask have a part."""
        self.encoded, self.calls = self.encoded + 1, 0
        places = torch.arange(1, src.size(1) + 1)
        return (src * places * src_mask.sum(-1)).unsqueeze(-1).float()

    def sources(self, memory: Tensor, src_mask: Tensor) -> Tensor:
        """One number for each source sentence, from what may be seen of the memory."""
        return (memory * src_mask.mT).sum(dim=(1, 2))

    def forward(self, src, src_mask, tgt):
        """Logits for every place of tgt."""
        return self.decode(tgt, self.encode(src, src_mask), src_mask)[0]

    def decode(self, tgt, memory, src_mask, state=None):
        """Logits for every place of tgt, and the state (batch, 1)."""
        self.calls += 1
        if self.calls > 200 or self.encoded > 2000:
            raise Mistake("the loop never stops: end it after max_len tokens, whatever the model "
                          "says")
        if not isinstance(tgt, Tensor) or tgt.dim() != 2 or len(tgt) != len(memory):
            got = tuple(tgt.shape) if isinstance(tgt, Tensor) else type(tgt).__name__
            raise Mistake(f"decode wants tokens of shape (batch, tgt_len), here ({len(memory)}, 1) "
                          f"for each step: got {got}")
        if self.calls == 1 and state is None and not (tgt[:, 0] == self.bos).all():
            raise Mistake("the first token that the decoder reads must be <bos>")
        keys = self.sources(memory, src_mask).tolist()
        states = [0] * len(tgt) if state is None else state[:, 0].tolist()
        rows = []
        for place, (key, words) in enumerate(zip(keys, tgt.tolist())):
            for word in words:
                read = states[place] = self.read(states[place], word)
                rows.append((self.says.get((key, read), read % self.vocab_size), read))
        said, reads = torch.tensor(rows).view(*tgt.shape, 2).unbind(-1)
        others = (1.7 * (reads.unsqueeze(-1) % 97 + torch.arange(self.vocab_size))).sin()
        return others - 2 + 4 * F.one_hot(said, self.vocab_size), torch.tensor(states).unsqueeze(1)


def author_case(words: str, lines: dict, max_len: int, bos=0, eos=1, n_words=10, hint: str = ""):
    """A batch of the source sentences of `lines`, padded."""
    src = nn.utils.rnn.pad_sequence([torch.tensor(s) for s in lines], batch_first=True)
    lengths = torch.tensor([len(source) for source in lines])
    mask = torch.arange(src.size(1)) < lengths[:, None, None]
    src = src.masked_fill(~mask[:, 0], 9)
    return case(words, Author(lines, n_words, bos), src, mask, bos, eos, max_len, hint=hint)


@exercise("4.4")
def check_greedy_decode(answer) -> str:
    """Sentences that end apart, at once, never; other ids; every argument has its part."""
    agree(answer, greedy_decode, [
        author_case("three sentences", {
            (5, 2, 7): [4, 5, 1, 9, 9, 6, 6], (3,): [6, 7, 8, 4, 1, 9, 9], (8, 4): [5, 1, 9, 9, 9],
        }, 20),
        author_case("<bos> 2 and <eos> 3", {(2,): [4, 0, 3, 1, 1], (4, 3): [1, 2, 5, 0, 3]}, 9,
                    2, 3, 6, hint="use bos_id and eos_id"),
        author_case("a sentence that does not end in max_len = 60 tokens",
                    {(2, 2): [4, 5, 6, 7, 8, 9] * 12, (6,): [5, 1, *[8] * 60]}, 60,
                    hint="where nothing ends, max_len tokens are wanted, whatever its number"),
        author_case("a batch of one, which ends with max_len", {(7, 3, 3): [4, 4, 1, 5]}, 3,
                    hint="keep the axis of sentences"),
        author_case("max_len = 1", {(4, 4): [7, 1, 4], (4,): [8, 6, 1]}, 1),
        author_case("one sentence that ends at once", {(6, 5): [1, 4, 4, 4]}, 5,
                    hint="the very first token may be <eos>, too"),
    ], greedy_mistakes(), axes=TOKENS, gradients=False,
        advice="Want the argmax over the vocabulary at each step; token and state go on to the "
        "next one")
    return "It stops when every sentence has ended, or at max_len."


def greedy_mistakes() -> list[tuple[Callable, str]]:
    """Loops with one thing wrong, and what to say then."""

    def loop(model, src, mask, bos, eos, max_len, pick=Tensor.argmax, stop=Tensor.all, fill=None,
             feed=lambda token, bos, tokens: token, keep=lambda new, old: new, hand=None,
             read_by=lambda model, src, mask: model.encode(src, mask), judge=lambda token: token):
        memory, state = read_by(model, src, mask), None
        read = src.new_full((len(src), 1), bos)
        done, tokens = torch.zeros(len(src), 1).bool(), []
        while len(tokens) < max_len and not (tokens and stop(done)):
            hidden = mask if hand is None else hand(mask)
            logits, new = model.decode(read, memory, hidden, state)
            token, state = pick(logits[:, -1:], -1), keep(new, state)
            token = token.masked_fill(done, eos) if fill is None else fill(token, done)
            tokens.append(token)
            done, read = done | (judge(token) == eos), feed(token, bos, tokens)
        return torch.cat(tokens, 1)

    def with_(**options):
        return lambda *given: loop(*given, **options)

    def changed(change):
        return lambda *given: change(greedy_decode(*given))

    def cut(result, eos):
        ended = (result == eos).all(0).cumsum(0) > 0
        return torch.stack(list(result[:, ~ended].T), dim=1)    # of nothing there is no result

    return [
        (with_(stop=Tensor.any), "the whole batch stops at the first <eos>: go on until EVERY "
         "sentence has ended"),
        (with_(stop=lambda done: done[0]), "the whole batch stops when the FIRST sentence has "
         "ended: go on until EVERY sentence has ended"),
        (with_(stop=lambda done: False), "there are columns after all sentences have ended: stop "
         "when every row is finished"),
        (with_(fill=lambda token, done: token), "a sentence that has ended goes on writing: fill "
         "it with <eos>"),
        (with_(fill=lambda token, done: token.masked_fill(done, 0)), "a sentence that has ended is "
         "filled with 0: fill it with <eos>"),
        (with_(keep=lambda new, old: None), "the state is lost: pass the state from step to step"),
        (with_(feed=lambda token, bos, tokens: torch.full_like(token, bos)), "the decoder reads "
         "<bos> at every step: it must read the word that it wrote in the step before"),
        (with_(feed=lambda token, bos, tokens: torch.cat(tokens, 1)), "all words are read again at "
         "every step, while the state holds them already: hand on the last token alone"),
        (with_(feed=lambda token, bos, tokens: torch.cat([torch.full_like(token, bos), *tokens],
         1)), "all words are read again at every step, while the state holds them already: hand on "
         "the last token alone"),
        (with_(judge=lambda token: token[:1]), "the FIRST sentence says when all have ended: each "
         "row of `finished` asks its own token"),
        (with_(read_by=lambda m, s, k: m.encode(s[:1], k[:1]).expand(len(s), -1, -1)), "the memory "
         "of the FIRST sentence serves all: encode the whole batch"),
        (with_(pick=lambda logits, axis: logits.argmax(1)), "argmax runs over the places (axis 1): "
         "the vocabulary is the last axis, -1"),
        (with_(pick=Tensor.argmin), "these are the UNLIKELIEST words: take the argmax"),
        (with_(hand=torch.ones_like), "decode gets no src_mask, so padding is looked at"),
        (with_(hand=lambda mask: ~mask), "src_mask is turned round: hand it on as it is"),
        (with_(hand=lambda mask: mask[:1].expand_as(mask)), "decode gets the mask of the FIRST "
         "sentence for all: hand src_mask on as it is"),
        (lambda m, s, k, *rest: greedy_decode(m, s, torch.ones_like(k), *rest), "src_mask has no "
         "part in it: encode and decode both want it"),
        (lambda m, s, k, b, e, n: torch.cat([s.new_full((len(s), 1), b),
                                             greedy_decode(m, s, k, b, e, n)], 1),
         "<bos> is part of the result: return only what the model wrote"),
        (changed(lambda ids: ids[:, 1:]), "the first word is missing from the result"),
        (lambda m, s, k, b, e, n: cut(greedy_decode(m, s, k, b, e, n), e), "the last column, with "
         "<eos>, is missing: return it too"),
        (changed(lambda ids: ids[:, -1:]), "this is the last word alone: collect all words"),
        (changed(lambda ids: ids[0]), "the axis of sentences is gone: want (batch, n)"),
        (changed(lambda ids: ids.unsqueeze(-1)), "there is an axis too many: want token ids of "
         "shape (batch, n). Join the columns with torch.cat along axis 1"),
        (lambda m, s, k, b, e, n: greedy_decode(m, s, k, b, e, n + 1), "it writes max_len + 1 "
         "tokens: want at most max_len"),
        (lambda m, s, k, b, e, n: greedy_decode(m, s, k, b, e, s.size(1)), "it writes at most as "
         "many words as the SOURCE has places: the limit is max_len"),
        (lambda m, s, k, b, e, n: greedy_decode(m, s, k, b, e, n - 1), "it stops one token "
         "too early: want max_len tokens where nothing ends"),
        (lambda m, s, k, b, e, n: greedy_decode(m, s, k, b, e), "max_len is not used: a sentence "
         "without <eos> must end after max_len tokens"),
        (lambda m, s, k, b, e, n: greedy_decode(m, s, k, 0, e, n), "<bos> is taken to be 0: use "
         "bos_id"),
        (lambda m, s, k, b, e, n: greedy_decode(m, s, k, b, 1, n), "<eos> is taken to be 1: use "
         "eos_id"),
    ]


# ---- 4.5 ----


def vocabulary(n_words: int, pad_id: int) -> Vocabulary:
    """A vocabulary of so many tokens, whose padding has this id."""
    tokens = [UNK, BOS, EOS, *(f"word{i}" for i in range(n_words - 4))]
    tokens.insert(pad_id, PAD)
    return Vocabulary([], specials=tokens)


class Corpus(list):
    """A few batches with their vocabularies, as `Batches` has them."""

    def __init__(self, batches: Iterable, pad_id: int, n_words: int = 11):
        super().__init__(batches)
        self.tgt_vocab = vocabulary(n_words, pad_id)
        self.src_vocab = vocabulary(9, 0)


def corpus_case(words: str, rows: list[list[list[int]]], pad_id: int = 3, n_words: int = 11,
                spread: float = 1.0, hint: str = ""):
    """Batches of these target rows, each with a source of its own, and a model with dropout."""
    batches = []
    for tgt in map(torch.tensor, rows):
        src = torch.randint(1, 9, (len(tgt), 4))
        mask = torch.arange(4) < torch.randint(1, 5, (len(tgt), 1, 1))
        batches.append(Batch(src * mask[:, 0], mask, tgt))
    model = Seq2Seq(RNNEncoder(9, 6, 0.5), AttentionDecoder(n_words, 6, 0.5))
    nn.init.normal_(model.decoder.out.weight, std=spread)
    return case(words, model, Corpus(batches, pad_id, n_words), hint=hint)


SHORT, LONG = [[0, 4, 1, 3], [0, 5, 6, 1]], [[0, 7, 8, 9, 10, 4, 5, 1], [0, 4, 1, 3, 3, 3, 3, 3]]


@exercise("4.5")
def check_perplexity(answer) -> str:
    """Batches of unlike lengths, two pad ids, one sentence; dropout off; every argument's part."""
    cases = [
        corpus_case("two batches", [SHORT, LONG]),
        corpus_case("pad id 5", [[[2, 3, 4, 1], [2, 0, 1, 5], [2, 1, 5, 5]], [[2, 6, 1]]], 5, 7),
        corpus_case("one batch of one sentence", [LONG[:1]]),
        corpus_case("many words and a high loss", [[[0, *range(4, 11)] * 5 + [1]] * 3] * 2,
                    spread=40, hint="probabilities multiply to 0 over so many words: add the "
                    "losses. And a high loss is no reason for a limit"),
    ]

    def is_random(answered: list, wants: list) -> str:
        torch.manual_seed(2)
        model, batches = cases[0].args
        return "" if call(answer, model.train(), batches) == answered[0] else (
            "asked twice, it gives two results: dropout is on. Call model.eval() first")

    agree(answer, perplexity, cases, perplexity_mistakes(), axes={"the perplexity": ()},
          advice="Want exp(summed loss / number of real tokens)", explain=is_random,
          gradients=False, tolerance=1e-4)
    return "Every real token counts once."


def perplexity_mistakes() -> list[tuple[Callable, str]]:
    """Perplexities with one thing wrong, and what to say then."""

    def part(model, batch, pad, shift=shift_target):
        """Summed loss and number of tokens of one batch, in the mode that the model is in."""
        tgt_in, tgt_out = shift(batch.tgt)
        with torch.no_grad():
            loss = token_loss(model(batch.src, batch.src_mask, tgt_in), tgt_out, pad)
        return loss.item(), int((tgt_out != pad).sum())

    def sums(model, batches, **options):
        model.eval()
        pad = options.pop("pad", batches.tgt_vocab.pad_id)
        return [part(model, batch, pad, **options) for batch in batches]

    def mean(parts):
        return sum(loss for loss, _ in parts) / sum(n for _, n in parts)

    def of(score: Callable = lambda mean: math.exp(mean), **options) -> Callable:
        return lambda m, b: score(mean(sums(m, b, **options)))

    def counted(count: Callable) -> Callable:
        return lambda m, b: math.exp(sum(loss for loss, _ in sums(m, b)) / sum(
            int(count(batch, b.tgt_vocab.pad_id)) for batch in b))

    def other(change: Callable) -> Callable:
        """As it should be, for changed batches."""
        def wrong(m, b):
            changed = change(list(b))
            return perplexity(m, Corpus(changed, b.tgt_vocab.pad_id, len(b.tgt_vocab)))
        return wrong

    def in_training(model, batches):
        was = model.training
        parts = [part(model.train(), batch, batches.tgt_vocab.pad_id) for batch in batches]
        model.train(was)
        return math.exp(mean(parts))

    @torch.no_grad()
    def free_running(model, batches):
        model.eval()
        parts = []
        for src, mask, tgt in batches:
            token, state, memory = tgt[:, :1], None, model.encode(src, mask)
            for true in tgt[:, 1:].T.unsqueeze(2):
                logits, state = model.decode(token, memory, mask, state)
                token, pad = logits.argmax(-1), batches.tgt_vocab.pad_id
                parts.append((token_loss(logits, true, pad).item(), int((true != pad).sum())))
        return math.exp(mean(parts))

    ones = torch.ones_like
    return [
        (lambda m, b: math.exp(sum(x / n for x, n in sums(m, b)) / len(b)), "this is e to the mean "
         "of the batch means: a short batch counts as much as a long one. Add up losses and tokens "
         "over all batches, divide once"),
        (lambda m, b: sum(math.exp(x / n) for x, n in sums(m, b)) / len(b), "this averages the "
         "perplexities of the batches: average losses first, then exp"),
        (lambda m, b: sum(math.exp(x / n) * n for x, n in sums(m, b)) / sum(
            n for _, n in sums(m, b)), "this averages the perplexities of the batches: average "
         "losses first, then exp"),
        (of(pad=-1), "the padding is counted as if it had to be predicted: leave it out"),
        (counted(lambda batch, pad: batch.tgt[:, 1:].numel()), "the loss leaves out the padding, "
         "but the count of tokens does not"),
        (counted(lambda batch, pad: (batch.tgt != pad).sum()), "<bos> is counted: it is never "
         "predicted, so count the tokens of the shifted target"),
        (counted(lambda batch, pad: len(batch.tgt)), "the sum is divided by the number of "
         "sentences: divide by the number of tokens"),
        (counted(lambda batch, pad: (batch.tgt[0, 1:] != pad).sum() * len(batch.tgt)), "the length "
         "of the FIRST sentence is counted for all: each has its own padding"),
        (counted(lambda batch, pad: (batch.tgt[:, 1:] > pad).sum()), "ids below the pad id are "
         "not counted: they are words, too. Compare with !="),
        (of(score=float), "this is the mean loss in nats: perplexity is e to that power"),
        (of(score=lambda mean: 2**mean), "the loss is in nats, so the base is e, not 2"),
        (of(score=lambda mean: math.exp(-mean)), "this is e to MINUS the mean loss: perplexity is "
         "at least 1"),
        (of(shift=lambda t: (t[:, :-1], t[:, :-1])), "inputs and outputs are the same tokens: "
         "shift the target first"),
        (of(shift=lambda t: (t[:, 1:], t[:, 1:])), "inputs and outputs are the same tokens, "
         "without <bos>: shift the target first"),
        (of(shift=lambda t: (t[:, 1:], t[:, :-1])), "inputs and outputs are exchanged: it reads "
         "the first one of the two"),
        (of(pad=3), "the pad id is taken to be 3: use batches.tgt_vocab.pad_id"),
        (of(pad=0), "the pad id is 0, or that of the SOURCE: use batches.tgt_vocab.pad_id"),
        (free_running, "the model reads its own words one by one: perplexity feeds the TRUE words. "
         "Shift tgt and call the model on it"),
        (in_training, "dropout is on: call model.eval() before you measure"),
        (other(lambda b: b[:1]), "only the first batch is counted: is the return inside the loop?"),
        (other(lambda b: b[-1:]), "only the last batch is counted: add up in the loop"),
        (other(lambda b: [Batch(s, ones(k), t) for s, k, t in b]), "src_mask is not handed on: the "
         "model looks at the padding of the source"),
    ]

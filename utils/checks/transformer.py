"""The checks of lesson 11: the decoder layer, the whole, writing, a leak test."""

import torch
from torch import Tensor, nn

from utils.attention import MultiHeadAttention, causal_mask
from utils.checks.core import (
    Mistake,
    NotAttempted,
    call,
    exercise,
    same,
    want_finite,
    want_tensor,
)
from utils.transformer import AddNorm, FeedForward

# All sizes differ, so that a swapped axis cannot hide.
BATCH, TGT_LEN, SRC_LEN, N_HEADS, D_MODEL, D_FF, VOCAB = 2, 5, 7, 3, 12, 20, 11


def name_mistake(result: Tensor, known: list[tuple[Tensor, str]]) -> None:
    """Raise the message of the first known wrong result that this one equals, nan included."""
    for wrong, message in known:
        if same(result.double().nan_to_num(nan=77.0), wrong.double().nan_to_num(nan=77.0)):
            raise Mistake(message)


def made(answer, *sizes, **options) -> nn.Module:
    """Build a learner's class; NotAttempted while it has no forward of its own."""
    if answer is ... or (isinstance(answer, type) and "forward" not in vars(answer)):
        raise NotAttempted
    if not (isinstance(answer, type) and issubclass(answer, nn.Module)):
        raise Mistake("hand over the class itself, a class of nn.Module, without brackets")
    try:
        return answer(*sizes, **options)
    except NotImplementedError as error:
        raise NotAttempted from error
    except Exception as error:
        raise Mistake(f"building it raised {type(error).__name__}: {error}") from error


def some_masks(tgt_len: int, src_len: int = SRC_LEN) -> tuple[Tensor, Tensor]:
    """Masks of a batch whose second source is padded, and whose first target is."""
    src_mask = torch.ones(BATCH, 1, src_len, dtype=torch.bool)
    src_mask[1, :, 4:] = False
    tgt_mask = causal_mask(tgt_len).expand(BATCH, -1, -1).clone()
    tgt_mask[0, :, 3:] = False
    return tgt_mask, src_mask


# ---- 11.1 and 11.5 ----


@exercise("11.1")
def check_decoder_layer(answer) -> str:
    """Judge a class (d_model, n_heads, d_ff, dropout, pre_norm) whose forward the learner wrote."""
    return judge_layer(answer)


@exercise("11.5")
def check_decoder_from_memory(answer) -> str:
    """The same for a class written from memory: its parts may have any names."""
    return judge_layer(answer)


def judge_layer(answer) -> str:
    """First what it is made of, then what is called with what, then the result and gradients."""
    for n_heads, d_ff, pre_norm, dropout in ((N_HEADS, D_FF, True, 0.0), (4, 16, False, 0.3)):
        layer = made(answer, D_MODEL, n_heads, d_ff, dropout, pre_norm)
        for part in layer.modules():
            if isinstance(part, AddNorm):
                nn.init.normal_(part.norm.gain)        # a missing or exchanged norm shows
        layer.eval()
        x, memory = torch.randn(BATCH, TGT_LEN, D_MODEL), torch.randn(BATCH, SRC_LEN, D_MODEL)
        given = x, memory, *some_masks(TGT_LEN)
        result, calls = run_layer(layer, *given)
        if result is ...:
            raise NotAttempted
        if isinstance(result, tuple):
            raise Mistake("return one tensor, x: an attention gives (output, weights), take its "
                          "[0]")
        want_tensor(result, (BATCH, TGT_LEN, D_MODEL), "of x (batch, tgt_len, d_model)")
        want_finite(result, "is a row of a mask empty?")
        judge_calls(calls, *given)
        judge_sizes(calls, n_heads, d_ff, pre_norm, dropout)
        judge_result(layer, result, calls, *given)
    return "It asks the words before it, then the source, then thinks for itself"


def run_layer(layer: nn.Module, *given: Tensor) -> tuple:
    """The result of a layer, and its calls of attention, feed-forward and AddNorm in order."""
    calls, kinds = [], (MultiHeadAttention, FeedForward, AddNorm)
    names = "query", "key", "value", "mask"

    def note(part, inputs, named):
        calls.append((part, dict(zip(names, inputs)) | named))

    hooks = [part.register_forward_pre_hook(note, with_kwargs=True)
             for part in layer.modules() if isinstance(part, kinds)]
    try:
        return call(layer, *given), calls
    except Mistake as mistake:
        if "not tuple" in str(mistake) or "'tuple'" in str(mistake):
            raise Mistake("an attention gives (output, weights): hand only the output on, "
                          "attention(...)[0]") from mistake
        if "does not fit scores" in str(mistake):
            raise Mistake("a mask does not fit. The words written so far ask one another under "
                          "tgt_mask; then they ask the memory under src_mask. Order of "
                          "arguments: query, key, value, mask") from mistake
        raise
    finally:
        for hook in hooks:
            hook.remove()


def judge_calls(calls, x: Tensor, memory: Tensor, tgt_mask: Tensor, src_mask: Tensor) -> None:
    """Two attentions and one net, in this order, each given what it should look at."""
    inner = [(part, given) for part, given in calls if not isinstance(part, AddNorm)]
    kinds = ["attention" if isinstance(p, MultiHeadAttention) else "net" for p, _ in inner]
    if kinds != ["attention", "attention", "net"]:
        raise Mistake(f"called in this order: {', '.join(kinds) or 'nothing'}. Want attention "
                      "among the target words, attention to the memory, feed-forward net")
    (first, one), (second, two), _ = inner
    if first is second:
        raise Mistake("one attention is called twice: each of the two has weights of its own")
    if len({id(p) for p, _ in calls if isinstance(p, AddNorm)}) != 3:
        raise Mistake("want three different AddNorms, one around each sub-layer")
    if any(same(one[name], memory) for name in ("query", "key", "value")):
        if not any(same(two[name], memory) for name in ("query", "key", "value")):
            raise Mistake("the memory is read first, the target words after it: the other way "
                          "round")
        raise Mistake("the first attention reads the memory: it asks the target words, y, y, y")
    if same(two["query"], memory):
        raise Mistake("the query of the second attention is the memory: the decoder asks, so "
                      "query y, key memory, value memory")
    reads = [same(two[name], memory) for name in ("key", "value")]
    if not any(reads):
        raise Mistake("the second attention never reads the memory: its key and value are the "
                      "memory")
    if not all(reads):
        raise Mistake("key and value of the second attention are the memory, both")
    for given, mask, name in ((one, tgt_mask, "tgt_mask"), (two, src_mask, "src_mask")):
        which = "first" if given is one else "second"
        if given.get("mask") is None:
            raise Mistake(f"the {which} attention got no mask: want {name}")
        if same(given["mask"], ~mask):
            raise Mistake(f"the {which} attention got {name} turned round: True means may look, "
                          "hand it over as it is")
        if not same(given["mask"], mask):
            raise Mistake(f"the {which} attention got the wrong mask: want {name}")


def judge_sizes(calls, n_heads: int, d_ff: int, pre_norm: bool, dropout: float) -> None:
    """What __init__ was given arrived in the parts."""
    for part, _ in calls:
        if isinstance(part, MultiHeadAttention) and part.n_heads != n_heads:
            raise Mistake(f"an attention has {part.n_heads} heads, asked for {n_heads}")
        if isinstance(part, FeedForward) and part.widen.out_features != d_ff:
            raise Mistake(f"the net is {part.widen.out_features} wide, asked for {d_ff}")
        if isinstance(part, AddNorm) and part.pre_norm != pre_norm:
            raise Mistake(f"pre_norm={pre_norm} was asked for, an AddNorm has the other: hand "
                          "pre_norm on")
        if isinstance(part, AddNorm | FeedForward) and part.dropout.p != dropout:
            raise Mistake(f"dropout={dropout} was asked for, {type(part).__name__} has "
                          f"{part.dropout.p}: hand dropout on")


def judge_result(layer, result, calls, x, memory, tgt_mask, src_mask) -> None:
    """What the learner's own parts give when they are joined in the right way, and its gradient."""
    norms = list(dict.fromkeys(part for part, _ in calls if isinstance(part, AddNorm)))
    first, second, net = (p for p, _ in calls if not isinstance(p, AddNorm))
    given = [x.clone().requires_grad_(), memory.clone().requires_grad_()]
    steps = [lambda y: first(y, y, y, tgt_mask)[0],
             lambda y: second(y, given[1], given[1], src_mask)[0], net]
    y = given[0]
    for norm, step in zip(norms, steps):
        y = norm(y, step)
    if not same(result, y):
        raise Mistake("all parts are called, the result is not theirs: hand each step's x on to "
                      "the next, x = self.add_norm(x, step), and return the last")
    again = [x.clone().requires_grad_(), memory.clone().requires_grad_()]
    weight = torch.randn_like(y)
    wanted = torch.autograd.grad((y * weight).sum(), given)
    own = (layer(*again, tgt_mask, src_mask) * weight).sum()
    got = torch.autograd.grad(own, again, allow_unused=True) if own.requires_grad else (None, None)
    for name, grad, true in zip(("x", "the memory"), got, wanted):
        if grad is None or not same(grad, true):
            raise Mistake(f"the result is right, its gradient does not reach {name}: no detach "
                          "and no torch.no_grad() here, the layer must learn")


# ---- 11.2 ----


@exercise("11.2")
def check_transformer(answer) -> str:
    """Judge encode and forward of a class (src_vocab_size, tgt_vocab_size, d_model, n_heads)."""
    for tgt_len, n_layers in ((TGT_LEN, 1), (6, 2)):
        model = made(answer, VOCAB, VOCAB + 2, D_MODEL, N_HEADS, n_layers)
        names = "src_embedding", "tgt_embedding", "encoder", "decoder", "out"
        if missing := [name for name in names if not hasattr(model, name)]:
            raise Mistake(f"your __init__ has no self.{missing[0]}: keep the one that was given")
        model.eval()
        for part in model.modules():                   # no norm may do nothing
            if type(part).__name__ == "LayerNorm" and hasattr(part, "gain"):
                nn.init.normal_(part.gain)
        src, tgt = (torch.randint(4, VOCAB, (BATCH, n)) for n in (SRC_LEN, tgt_len))
        given = src, some_masks(tgt_len)[1], tgt
        judge_encode(model, *given)
        judge_forward(model, *given)
    return "One memory, read by every decoder layer, under two masks"


def judge_encode(model: nn.Module, src: Tensor, src_mask: Tensor, tgt: Tensor) -> None:
    """The memory: embedding, then encoder, under src_mask."""
    if not hasattr(model, "encode"):
        raise Mistake("want two methods, encode and forward")
    memory = call(model.encode, src, src_mask)
    words = model.src_embedding(src)
    if isinstance(memory, tuple):
        raise Mistake("encode returns one tensor, the memory")
    want_tensor(memory, (BATCH, SRC_LEN, D_MODEL), "of the memory (batch, src_len, d_model)")
    wanted = model.encoder(words, src_mask)
    if not same(memory, wanted):
        name_mistake(memory, [
            (words, "encode returns the embedded words: hand them to self.encoder"),
            (model.encoder(words), "the encoder got no src_mask: it reads the padding"),
            (model.encoder(words, ~src_mask), "the encoder got src_mask turned round: hand it "
             "over as it is"),
            (model.encoder(words, src_mask & causal_mask(SRC_LEN)), "the encoder got a causal "
             "mask: the whole source is there from the start"),
            (model.encoder(model.tgt_embedding(src), src_mask), "the source goes through the "
             "embedding of the target: it has its own, self.src_embedding"),
        ])
        raise Mistake("the memory is not self.encoder(self.src_embedding(src), src_mask)")


def judge_forward(model: nn.Module, src: Tensor, src_mask: Tensor, tgt: Tensor) -> None:
    """The logits: what the decoder reads, under which masks, then the linear layer."""
    logits = call(model, src, src_mask, tgt)
    memory, y = model.encode(src, src_mask), model.tgt_embedding(tgt)
    past = causal_mask(tgt.size(1))
    decoded = model.decoder(y, memory, past, src_mask)
    wanted = model.out(decoded)
    if isinstance(logits, tuple):
        raise Mistake("forward returns one tensor, the logits")
    if not isinstance(logits, Tensor):
        want_tensor(logits, tuple(wanted.shape), "of the logits (batch, tgt_len, tgt_vocab_size)")
    if not same(logits, wanted):
        def by(memory=memory, y=y, past=past, mask=src_mask):
            return model.out(model.decoder(y, memory, past, mask))

        name_mistake(logits, [
            (decoded, "these are the vectors of the decoder: self.out turns them into logits"),
            (wanted.softmax(-1), "return the logits, without softmax: the loss does that itself"),
            (wanted.log_softmax(-1), "return the logits, without log_softmax: the loss does that "
             "itself"),
            (wanted[:, -1:], "only the last place: in training all places are asked at once"),
            (by(past=None), "every place sees the words after it: the decoder got no causal mask"),
            (by(past=~past), "the causal mask is turned round: True means may look"),
            (by(past=past.T), "the causal mask lies the wrong way: a place may look back"),
            (by(mask=None), "the decoder got no src_mask: it reads the padding of the memory"),
            (by(mask=~src_mask), "the decoder got src_mask turned round: hand it over as it is"),
            (by(memory=model.src_embedding(src)), "the decoder reads the embedded source words: "
             "hand it the memory, what encode returns"),
            (by(y=model.src_embedding(tgt)), "the target goes through the embedding of the "
             "source: it has its own, self.tgt_embedding"),
            (by(past=None, mask=None), "the decoder got neither mask: a causal one for the "
             "target, src_mask for the memory"),
        ])
        want_tensor(logits, tuple(wanted.shape), "of the logits (batch, tgt_len, tgt_vocab_size)")
        want_finite(logits, "is a row of a mask empty?")
        raise Mistake("the logits are not self.out(self.decoder(target, memory, causal mask, "
                      "src_mask))")
    logits.square().sum().backward() if logits.requires_grad else None
    for name, weight in model.named_parameters():
        if weight.grad is None or not weight.grad.abs().sum() > 0:
            raise Mistake(f"the logits are right, their gradient does not reach {name}: no detach "
                          "and no torch.no_grad() here, the model must learn")


# ---- 11.3 ----


class Scripted(nn.Module):
    """A stand-in for a trained model that answers every beginning of its sentence with one word.

    script: what it writes after <bos>. After any other beginning it says `lost`. At places before
    the last it says what was right there, too, as a Transformer does.
    """

    def __init__(self, bos_id: int, script: list[int], lost: int, src: Tensor):
        super().__init__()
        self.bos_id, self.script, self.lost, self.src = bos_id, script, lost, src
        self.log = Log()

    def forward(self, src, src_mask, tgt):
        """Logits (batch, n, vocab_size): the likeliest word stands at 0.5, another at 0.4."""
        self.log.asked.append(tgt.clone())
        if tgt.dim() != 2 or not tgt.size(1):
            raise Mistake(f"the model got tgt of shape {tuple(tgt.shape)}: want (1, n), the words "
                          "so far, <bos> first")
        if src.shape != self.src.shape or not src.equal(self.src) or src_mask.shape != (
                1, 1, self.src.size(1)) or not src_mask.all():
            raise Mistake("call model(src, src_mask, tgt), with src and src_mask as they came")
        logits = torch.full((len(tgt), tgt.size(1), VOCAB), -3.0)
        path = [self.bos_id, *self.script]
        for place in range(tgt.size(1)):
            known = tgt[0, : place + 1].tolist() == path[: place + 1]
            word = path[place + 1] if known and place + 1 < len(path) else self.lost
            logits[:, place, word], logits[:, place, (word + 1) % VOCAB] = 2.5, 2.2
        return logits


@exercise("11.3")
def check_write(answer) -> str:
    """One word at a time: begin with <bos>, read everything, stop at <eos> or at max_len."""
    for bos_id, eos_id, script, max_len in (
        (0, 1, [5, 7, 5, 9, 1], 40), (3, 8, [4, 4, 10, 0, 1, 2, 8], 12), (6, 2, [3, 9, 3, 9, 4], 3),
    ):
        judge_write(answer, bos_id, eos_id, script, max_len)
    return "It reads all its words again at every step, and knows when to stop"


def judge_write(answer, bos_id: int, eos_id: int, script: list[int], max_len: int) -> None:
    """Hold what was written, and what was asked on the way, against the script."""
    if answer is ... or not callable(answer):
        call(answer)
    src, src_mask = torch.tensor([[4, 9, 6]]), torch.ones(1, 1, 3, dtype=torch.bool)
    lost = next(token for token in range(VOCAB) if token not in (bos_id, eos_id, *script))
    model = Scripted(bos_id, script, lost, src)
    wanted = [bos_id, *script[:max_len]]
    result = call(lambda *given: answer(model, *given), src, src_mask, bos_id, eos_id, max_len)
    asked = [tokens[0].tolist() for tokens in model.log.asked]
    if not isinstance(result, Tensor):
        raise Mistake(f"want a tensor of token ids (1, n), got {type(result).__name__}")
    got = result.flatten().tolist()
    if not asked:
        raise Mistake("the model was never asked: want model(src, src_mask, tgt) called in a loop")
    if asked[0] != [bos_id]:
        raise Mistake(f"the first thing that the model reads is {asked[0]}: it must be <bos> "
                      "alone, bos_id")
    if len(asked) > 1 and len(asked[1]) == 1:
        raise Mistake("at step 2 the model got one word only: it has no memory of what it read "
                      "before, so hand it all words so far, <bos> first")
    if len(asked) > 1 and len(asked[1]) != 2:
        raise Mistake(f"at step 2 the model read {len(asked[1])} words: want <bos> and the first "
                      "word")
    if len(asked) > 1 and asked[1] == [bos_id, (script[0] + 1) % VOCAB]:
        raise Mistake("the word that was taken is not the likeliest: argmax over the last axis")
    if len(asked) > 2 and asked[2][:2] == asked[1] and asked[2][2] == script[0] != script[1]:
        raise Mistake("the second word is the first again: take the logits of the last place, "
                      "[:, -1], not of the first")
    if result.dim() != 2 or len(result) != 1:
        raise Mistake(f"want token ids of shape (1, n), got {tuple(result.shape)}")
    name_written(got, wanted, bos_id, eos_id, max_len)
    if result.dtype != torch.long:
        raise Mistake(f"the token ids have type {result.dtype}: want torch.long")


def name_written(got: list, wanted: list, bos_id: int, eos_id: int, max_len: int) -> None:
    """Say what is wrong with the tokens that were returned."""
    if got == wanted:
        return
    if got == wanted[1:]:
        raise Mistake("<bos> is missing in what you return: want <bos>, then the words")
    if wanted[-1] == eos_id and got == wanted[:-1]:
        raise Mistake("<eos> is missing at the end of what you return: stop after it was added")
    if got[: len(wanted)] == wanted and wanted[-1] == eos_id:
        raise Mistake("it goes on after <eos>: stop when the newest word is eos_id")
    if got[: len(wanted)] == wanted:
        raise Mistake(f"max_len is {max_len}, you wrote {len(got) - 1} words after <bos>: at most "
                      "max_len")
    if wanted[: len(got)] == got and len(got) == max_len:
        raise Mistake(f"max_len is {max_len}: that many words after <bos>, which does not count")
    if wanted[: len(got)] == got:
        raise Mistake(f"it stops after {len(got) - 1} words: stop only at eos_id or at max_len "
                      "words")
    place = next(i for i, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1])
    raise Mistake(f"word {place} is token {got[place]}, the model's likeliest is {wanted[place]}: "
                  "take the last place of the logits and add the word at the end")


# ---- 11.4 ----


class Log:
    """What a toy model was asked; a copy of the model writes into the same log."""

    def __init__(self):
        self.asked = []

    def __deepcopy__(self, memo):
        return self


class Toy(nn.Module):
    """A model that reads exactly the target positions that `sees` tells it to read.

    sees: (tgt_len, tgt_len) strengths    rows: the sentences in which only these hold, known by
    their first source word; in the
    others a position sees itself and the past.    noise: rounding that depends on the run.
    """

    def __init__(self, sees: Tensor, dropout=0.0, rows=None, noise=0.0):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, D_MODEL)
        self.out = nn.Linear(D_MODEL, VOCAB)
        self.dropout = nn.Dropout(dropout)
        self.sees, self.rows, self.noise = sees, rows, noise
        self.log = Log()

    def forward(self, src, src_mask, tgt):
        """Logits (batch, tgt_len, vocab)."""
        self.log.asked.append((src.clone(), tgt.clone()))
        n, known = tgt.size(1), self.sees[: tgt.size(1), : tgt.size(1)]
        sees = torch.ones(n, n) if self.sees.all() else causal_mask(n).float()
        sees[: len(known), : len(known)] = known
        sees = sees.expand(len(tgt), n, n)
        if self.rows is not None:
            other = ~torch.isin(src[:, 0], 4 + torch.tensor(self.rows))
            sees = torch.where(other[:, None, None], causal_mask(n).float(), sees)
        whole = (self.embedding(src % VOCAB) * src_mask.transpose(1, 2)).sum(1, keepdim=True)
        logits = self.out(self.dropout(torch.tanh(sees @ self.embedding(tgt) + whole)))
        return logits + self.noise * (-1) ** len(self.log.asked)


def one_leak(i: int, j: int, strength: float = 1.0) -> Tensor:
    """A causal model in which position i also sees the later position j."""
    sees = causal_mask(TGT_LEN).float()
    sees[i, j] = strength
    return sees


@exercise("11.4")
def check_leak_test(answer) -> str:
    """Right models must pass, leaking ones be found; each pair tells one mistake from another."""
    if answer is ... or not callable(answer):
        call(answer)
    past, last = causal_mask(TGT_LEN).float(), TGT_LEN - 1
    judge_silence(answer, past)
    if not flags(answer, Toy(torch.ones(TGT_LEN, TGT_LEN))):
        judge_blindness(answer)
    for case, message in [
        (dict(sees=one_leak(last - 1, last)), "a model in which the last position but one sees "
         "the last one passes: change the last token, too"),
        (dict(sees=one_leak(0, 1)), "a model in which position 0 sees position 1 passes: change "
         "each later token in turn, not only the last"),
        (dict(sees=one_leak(0, last)), "a model in which position 0 sees the last position "
         "passes: compare all positions before the change, not only the one next to it"),
        (dict(sees=one_leak(1, 3), rows=[1]), "a leak in the second sentence of the batch passes: "
         "compare all sentences, not the first alone"),
        (dict(sees=one_leak(1, 3), rows=[0]), "a leak in the first sentence of the batch passes: "
         "compare all sentences"),
        (dict(sees=one_leak(1, 3, 1e-3)), "a weak leak, logits moved by about 0.001, passes: your "
         "tolerance is too wide. Rounding is near 1e-6"),
    ]:
        if not flags(answer, Toy(**case)):
            raise Mistake(message)
    for token in (0, 1):
        if not flags(answer, Toy(one_leak(1, 3)), token):
            raise Mistake(f"a leak passes where the token was {token} already: your new token was "
                          "the old one. (tgt + 1) % vocab_size is always another")
    return "It finds leaks of any place and size, and lets right models pass"


def flags(answer, model: Toy, token: int | None = None) -> bool:
    """What the answer says of a model; makes sure that it is a bool and the mode is left."""
    src, tgt = torch.randint(4, VOCAB, (BATCH, SRC_LEN)), torch.randint(4, 7, (BATCH, TGT_LEN))
    src[:, 0] = 4 + torch.arange(BATCH)                # a toy knows its sentences by their word
    src_mask = torch.ones(BATCH, 1, SRC_LEN, dtype=torch.bool)
    src_mask[1, :, 4:] = False
    tgt[0, 1] = 9
    if token is not None:
        tgt[:, 2:] = token
    taken = []

    def watched(*given):
        taken.append(given[0])
        return answer(*given)

    model.train(model.dropout.p > 0)
    result = call(watched, model, src, src_mask, tgt)
    if any(part.training != model.training for part in taken[0].modules()):
        raise Mistake("your test leaves the model in another mode: after model.eval(), put back "
                      "model.train(mode) with the mode you found")
    if isinstance(result, Tensor) and result.dtype == torch.bool and result.numel() == 1:
        result = bool(result)
    if not isinstance(result, bool):
        raise Mistake("want True (it leaks) or False: compare the largest change with a "
                      f"tolerance. Got {type(result).__name__}")
    return result


def judge_silence(answer, past: Tensor) -> None:
    """Right models must not be flagged."""
    if flags(answer, Toy(past)):
        if flags(answer, Toy(torch.eye(TGT_LEN))):
            raise Mistake("a right model is flagged, even one in which each position reads only "
                          "itself: leave the changed position out of the comparison")
        raise Mistake("a right model is flagged: you change the past and look at what follows. "
                      "Position i may depend on tokens 0 to i, so change a later one")
    if flags(answer, Toy(past, dropout=0.5)):
        raise Mistake("a right model in training mode is flagged: dropout differs from run to "
                      "run. Call model.eval() first")
    if flags(answer, Toy(past, noise=2e-7)):
        raise Mistake("a right model is flagged because of rounding, 4e-7: compare with a "
                      "tolerance, such as 1e-5")


def judge_blindness(answer) -> None:
    """The answer passes a model without any mask: find out why."""
    model = Toy(torch.ones(TGT_LEN, TGT_LEN))
    flags(answer, model)
    asked = model.log.asked
    if len(asked) < 2:
        raise Mistake(f"a model without a mask passes: you ran the model {len(asked)} times. A "
                      "leak is a difference between two runs")
    if all(torch.equal(tgt, asked[0][1]) for _, tgt in asked if tgt.shape == asked[0][1].shape):
        if any(not torch.equal(src, asked[0][0]) for src, _ in asked):
            raise Mistake("a model without a mask passes: you changed the source, which every "
                          "position may read. Change a token of tgt")
        raise Mistake("a model without a mask passes: every run got the same tgt. Change one of "
                      "its tokens between two runs")
    raise Mistake("a model without a mask passes: compare the logits themselves, at all positions "
                  "before the changed token. Their shape is always the same")

"""The checks of lesson 11: the decoder layer, the whole, writing, a leak test."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from utils.attention import MultiHeadAttention, causal_mask
from utils.checks.core import Mistake, call, exercise
from utils.checks.kinds import (
    Case,
    agree,
    built,
    case,
    judge_birth,
    keeps_nothing,
    run,
    want_trainable,
)
from utils.transformer import AddNorm, FeedForward

# All sizes differ, but that the first target is as long as its source: there most mistakes run.
BATCH, TGT_LEN, SRC_LEN, N_HEADS, D_MODEL, D_FF, VOCAB = 2, 5, 7, 3, 12, 20, 11
WORDS = {"the result": ("sentence", "place", "feature"), "x": ("sentence", "place", ""),
         "memory": ("sentence", "", "")}


def some_masks(batch: int, tgt_len: int, src_len: int) -> tuple[Tensor, Tensor]:
    """Masks of a batch: all but one sentence are padded, each in its own way."""
    src_mask = torch.ones(batch, 1, src_len, dtype=torch.bool)
    src_mask[-1, :, (src_len + 1) // 2 :] = False
    src_mask[:-1, :, max(1, src_len - 1) :] = False
    tgt_mask = causal_mask(tgt_len).expand(batch, -1, -1).clone()
    tgt_mask[0, :, (tgt_len + 1) // 2 :] = False
    return tgt_mask, src_mask


def stirred(net: nn.Module) -> nn.Module:
    """Move every weight away from its start, so that no norm and no bias does nothing."""
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return net.eval()


def in_training(net: nn.Module, rate: float | None = None) -> nn.Module:
    """A copy in training mode; all its dropout rates are `rate`, if one is given."""
    net = copy.deepcopy(net).train()
    for part in net.modules():
        if isinstance(part, nn.Dropout) and rate is not None:
            part.p = rate
    return net


# ---- 11.1 and 11.5 ----

GIVEN = ("attention", "cross_attention", "feed_forward", "add_norm1", "add_norm2", "add_norm3")


@exercise("11.1")
def check_decoder_layer(answer) -> str:
    """Judge a class (d_model, n_heads, d_ff, dropout, pre_norm) whose forward the learner wrote."""
    return judge_layer(answer, GIVEN)


@exercise("11.5")
def check_decoder_from_memory(answer) -> str:
    """The same for a class written from memory: its parts may have any names."""
    return judge_layer(answer)


def judge_layer(answer, given: tuple = ()) -> str:
    """What it is made of; then what it gives, and what the right order of its own parts gives.

    given: the names of parts with a place of their own, where a layer has them.
    """
    pre, post, small = (layer_of(answer, *sizes) for sizes in (
        (D_MODEL, N_HEADS, D_FF, 0.0, True), (D_MODEL, 4, 16, 0.3, False), (4, 2, 6, 0.0, True)))

    def words(text, net, batch, tgt_len, src_len, d_model=D_MODEL, hint="", masks=None):
        given = torch.randn(batch, tgt_len, d_model), torch.randn(batch, src_len, d_model)
        masks = some_masks(batch, tgt_len, src_len) if masks is None else masks
        return case(text, net, *given, *masks, hint=hint)

    blank = some_masks(BATCH, TGT_LEN, SRC_LEN)
    blank[1][1] = False
    cases = [
        words("as many target as source words", pre, BATCH, TGT_LEN, TGT_LEN),
        words("5 target and 7 source words", pre, BATCH, TGT_LEN, SRC_LEN),
        words("post-norm and 4 heads", post, 3, 4, 6, hint="what is added and normalised is "
              "AddNorm's affair: add_norm(x, step)"),
        words("one sentence", pre, 1, 4, 6),
        words("one sentence, one word, d_model 4", small, 1, 1, 1, 4),
        words("no masks", pre, BATCH, TGT_LEN, SRC_LEN, masks=(None, None), hint="hand None on "
              "as it is"),
        words("dropout in training mode", in_training(post), BATCH, 3, 4, hint="AddNorm and "
              "FeedForward drop out themselves"),
        words("a source of padding alone", pre, BATCH, TGT_LEN, SRC_LEN, masks=blank),
        words("140 target and 150 source words", small, 1, 140, 150, 4),
    ]
    agree(forward_once, layer, cases, layer_mistakes(), axes=WORDS, advice="All parts are called, "
          "but the result is not theirs: hand each step's x on to the next, x = self.add_norm(x, "
          "step), and return the last")
    keeps_nothing(forward_once, layer, cases[:2], ["the result"])
    for name, other in zip(given, pre.in_order):
        if hasattr(pre, name) and other != name:
            raise Mistake(f"{other} stands where {name} belongs: a new layer gives the same, but "
                          "each part learns for its own place. Call them in the order of the "
                          "picture")
    want_trainable(pre)
    judge_birth(lambda: built(answer, D_MODEL, N_HEADS, D_FF, 0.0, True))
    return "It asks the words before it, then the source, then thinks for itself"


def layer_of(answer, *sizes) -> nn.Module:
    """The learner's layer, with its parts in the order in which they are called."""
    net = stirred(built(answer, *sizes))
    d_model, n_heads, d_ff, dropout, pre_norm = sizes
    called: list[str] = []
    kinds = MultiHeadAttention | FeedForward | AddNorm
    tried = copy.deepcopy(net)
    own = {name: part for name, part in tried.named_modules() if isinstance(part, kinds)}
    names = {part.norm if isinstance(part, AddNorm) else part: name for name, part in own.items()}
    for part in names:
        part.register_forward_pre_hook(lambda part, given: called.append(names[part]))
    given = torch.randn(1, 3, d_model), torch.randn(1, 3, d_model)
    try:
        run(tried, (*given, *some_masks(1, 3, 3)))
    except Mistake as mistake:
        if "tuple" in str(mistake):
            raise Mistake("an attention gives (output, weights): hand only the output on, "
                          f"attention(...)[0] ({mistake})") from mistake
        raise
    parts = [own[name] for name in called]
    inner = [part for part in parts if not isinstance(part, AddNorm)]
    steps = ["attention" if isinstance(p, MultiHeadAttention) else "net" for p in inner]
    if steps != ["attention", "attention", "net"]:
        raise Mistake(f"called in this order: {', '.join(steps) or 'nothing'}. Want attention "
                      "among the target words, attention to the memory, feed-forward net")
    if inner[0] is inner[1]:
        raise Mistake("one attention is called twice: each of the two has weights of its own")
    norms = [name for name, part in zip(called, parts) if isinstance(part, AddNorm)]
    if len(norms) != 3 or len(set(norms)) != 3:
        raise Mistake("want three different AddNorms, one around each sub-layer, each used once; "
                      f"used in this order: {', '.join(norms) or 'none'}")
    for name, part in zip(called, parts):
        for asked, place, want in (
            ("n_heads", "n_heads", n_heads), ("d_ff", "widen.out_features", d_ff),
            ("pre_norm", "pre_norm", pre_norm), ("dropout", "dropout.p", dropout),
        ):
            got = functools.reduce(lambda at, name: getattr(at, name, None), place.split("."), part)
            if got is not None and got != want:
                raise Mistake(f"{asked}={want} was asked for, but the {type(part).__name__} "
                              f"`{name}` got {asked}={got}: hand {asked} on, in its place")
    net.in_order = [name for name in called if name not in norms] + norms
    return net


def forward_once(net: nn.Module, *given):
    """What the learner's layer gives: one tensor."""
    result = run(net, given)
    if isinstance(result, tuple):
        raise Mistake("return one tensor, x: an attention gives (output, weights), take its [0]")
    return result


def layer(
    net, x, memory, tgt_mask, src_mask, *,
    chain: Callable = lambda x, own, other, think: think(other(own(x))),
    first: Callable = lambda ask, y, x, m, t, s: ask(y, y, y, t),
    second: Callable = lambda ask, y, x, m, t, s: ask(y, m, m, s),
) -> Tensor:
    """What the learner's own parts give in the right order; a known mistake has another step."""
    own, other, think, *norms = (net.get_submodule(name) for name in net.in_order)

    def look(norm, ask, step, x):
        return norm(x, lambda y: step(ask, y, x, memory, tgt_mask, src_mask)[0])

    return chain(x, partial(look, norms[0], own, first), partial(look, norms[1], other, second),
                 partial(norms[2], sublayer=think))


def layer_mistakes() -> list[tuple[Callable, str]]:
    """Layers with one thing wrong, and what to say then."""

    def idle(part):
        return lambda x: (part(x), x)[1]

    def more(part):
        return lambda x: x + part(x)

    firsts = [
        (lambda a, y, x, m, t, s: a(y, y, y), "the first attention hides nothing: want tgt_mask"),
        (lambda a, y, x, m, t, s: a(y, y, y, ~t), "the first attention got tgt_mask turned "
         "round: True means may look, hand it over as it is"),
        (lambda a, y, x, m, t, s: a(y, y, y, t[:1]), "all sentences get the tgt_mask of the first: "
         "hand it over as it is"),
        (lambda a, y, x, m, t, s: a(y, y, y, s), "the first attention got src_mask: the words "
         "written so far ask one another under tgt_mask"),
        (lambda a, y, x, m, t, s: a(y, m, m, s), "the first attention reads the memory: it asks "
         "the target words, y, y, y"),
        (lambda a, y, x, m, t, s: a(x, x, x, t), "the first attention reads x, not the y that "
         "AddNorm hands to your function: in pre-norm y is the normalised x"),
        (lambda a, y, x, m, t, s: a(y, y, x, t), "the value of the first attention is x, not the y "
         "that AddNorm hands to your function: in pre-norm y is the normalised x"),
        (lambda a, y, x, m, t, s: a(y, x, y, t), "the key of the first attention is x, not the y "
         "that AddNorm hands to your function: in pre-norm y is the normalised x"),
        (lambda a, y, x, m, t, s: a(y, x, x, t), "key and value of the first attention are x, not "
         "the y that AddNorm hands to your function: in pre-norm y is the normalised x"),
        (lambda a, y, x, m, t, s: a(y, y, y, causal_mask(y.size(1)) if t is None else
                                    t & causal_mask(y.size(1))), "in the first attention a causal "
         "mask is built in: tgt_mask says what is hidden"),
    ]
    seconds = [
        (lambda a, y, x, m, t, s: a(y, m, m), "the second attention hides nothing: want src_mask"),
        (lambda a, y, x, m, t, s: a(y, m, m, ~s), "the second attention got src_mask turned "
         "round: True means may look, hand it over as it is"),
        (lambda a, y, x, m, t, s: a(y, m, m, s[:1]), "all sentences get the src_mask of the first: "
         "hand it over as it is"),
        (lambda a, y, x, m, t, s: a(y, m, m, t), "the second attention got tgt_mask: the memory is "
         "read under src_mask"),
        (lambda a, y, x, m, t, s: a(y, y, y, t), "the second attention never reads the memory: its "
         "key and value are the memory"),
        (lambda a, y, x, m, t, s: a(y, y, y, s), "the second attention never reads the memory, but "
         "the target words under src_mask: its key and value are the memory"),
        (lambda a, y, x, m, t, s: a(y, m, y, s), "the value of the second attention is y: key and "
         "value are the memory, both"),
        (lambda a, y, x, m, t, s: a(y, y, m, s), "the key of the second attention is y: key and "
         "value are the memory, both"),
        (lambda a, y, x, m, t, s: a(m, m, m, s), "the query of the second attention is the memory: "
         "the decoder asks, so query y, key memory, value memory"),
        *((lambda a, y, x, m, t, s, of=of: a(m, y, y, (t, s, None)[of]), "the second attention is "
           "turned round, memory asks target: the decoder asks, so query y, key memory, value "
           "memory") for of in range(3)),
        (lambda a, y, x, m, t, s: a(x, m, m, s), "the second attention asks with x, not with the "
         "y that AddNorm hands to your function: in pre-norm y is the normalised x"),
    ]
    both = [
        (dict(first=firsts[4][0], second=seconds[4][0]), "the memory is read first, the target "
         "words after it: the other way round"),
        (dict(first=firsts[0][0], second=seconds[0][0]), "neither attention got a mask: tgt_mask "
         "for the first, src_mask for the second"),
        (dict(first=firsts[3][0], second=seconds[3][0]), "the masks are exchanged: tgt_mask for "
         "the first attention, src_mask for the second"),
        (dict(first=firsts[5][0], second=seconds[-1][0]), "both attentions read x, not the y that "
         "AddNorm hands to your function: in pre-norm y is the normalised x"),
        *((dict(chain=chain), f"the result of the {what} lost: hand each step's x on to the next, "
           "x = self.add_norm(x, step)") for what, chain in [
            ("first attention is", lambda x, a, b, c: c(b(idle(a)(x)))),
            ("second attention is", lambda x, a, b, c: c(idle(b)(a(x)))),
            ("attentions is", lambda x, a, b, c: c(idle(lambda x: b(a(x)))(x)))]),
        *((dict(chain=chain), f"x is added once more to what the {which} AddNorm gives: it has "
           "added x itself") for which, chain in [
            ("first", lambda x, a, b, c: c(b(more(a)(x)))),
            ("second", lambda x, a, b, c: c(more(b)(a(x)))),
            ("third", lambda x, a, b, c: more(c)(b(a(x))))]),
    ]
    return [(partial(layer, **steps), words) for steps, words in (
        *((dict(first=f), words) for f, words in firsts),
        *((dict(second=f), words) for f, words in seconds), *both)]


# ---- 11.2 ----

PARTS = ("src_embedding", "tgt_embedding", "encoder", "decoder", "out")


@exercise("11.2")
def check_transformer(answer) -> str:
    """Judge encode, then forward, of (src_vocab_size, tgt_vocab_size, d_model, n_heads, ...)."""
    one, two = (whole_of(answer, *sizes) for sizes in (
        (VOCAB, VOCAB + 2, D_MODEL, N_HEADS, 1), (VOCAB + 5, VOCAB, 8, 2, 2)))

    def texts(words: str, net: nn.Module, batch: int, src_len: int, tgt_len: int, seen=1,
              gradients=True, first=4, n_ids=VOCAB - 4, hint=""):
        src_mask = some_masks(batch, tgt_len, src_len)[1]
        src_mask[-1] &= bool(seen)
        src, tgt = (first + torch.randperm(batch * n).view(batch, n) % n_ids
                    for n in (src_len, tgt_len))
        return case(words, net, src, src_mask, tgt, gradients=gradients, hint=hint)

    cases = [
        texts("as many target as source words", one, BATCH, TGT_LEN, TGT_LEN),
        texts("7 source and 6 target words, two layers", two, 3, 7, 6),
        texts("3 source and 9 target words", one, BATCH, 3, 9, gradients=False),
        texts("one sentence", one, 1, 6, 4, gradients=False),
        texts("one sentence, one word", two, 1, 1, 1, gradients=False),
        texts("training mode", in_training(one, 0.0), BATCH, SRC_LEN, TGT_LEN),
        texts("a source of padding alone", one, BATCH, SRC_LEN, TGT_LEN, seen=0, gradients=False),
        texts("the ids 0 to 3", one, BATCH, SRC_LEN, TGT_LEN, first=0, n_ids=4, gradients=False,
              hint="an id hides nothing: src_mask says what is padding, and the target has none"),
        texts("140 source and 130 target words", one, 1, 140, 130, gradients=False),
    ]
    sources = [replace(c, args=c.args[:-1], gradients=c is cases[0]) for c in cases]
    agree(encode, right_memory, sources, encode_mistakes(), axes={"memory":
          WORDS["the result"]}, advice="Want self.encoder(self.src_embedding(src), src_mask)")
    agree(forward_whole, right_logits, cases, forward_mistakes(),
          axes={"logits": ("sentence", "place", "token")}, advice="Want self.out(self.decoder("
          "target, memory, causal mask, src_mask))")
    keeps_nothing(encode, right_memory, sources[:3:2], ["memory"])
    keeps_nothing(forward_whole, right_logits, cases[:3:2], ["logits"])
    want_trainable(one)
    judge_birth(lambda: built(answer, VOCAB, VOCAB + 2, D_MODEL, N_HEADS, 1))
    return "One memory, read by every decoder layer, under two masks"


def whole_of(answer, *sizes) -> nn.Module:
    """The learner's model, its given parts there."""
    net = built(answer, *sizes)
    if missing := [name for name in PARTS if not hasattr(net, name)]:
        raise Mistake(f"your __init__ has no self.{missing[0]}: keep the one that was given")
    if not hasattr(net, "encode"):
        raise Mistake("want two methods, encode and forward")
    for name in ("encoder", "decoder"):
        layers = getattr(getattr(net, name), "layers", None)
        if layers is not None and len(layers) != sizes[-1]:
            raise Mistake(f"self.{name} has {len(layers)} layers, asked for n_layers={sizes[-1]}")
    return stirred(net)


def encode(net: nn.Module, src: Tensor, src_mask: Tensor):
    """What the learner's encode gives: one tensor."""
    result = run(net.encode, (src, src_mask))
    if isinstance(result, tuple):
        raise Mistake("encode returns one tensor, the memory")
    return result


def forward_whole(net: nn.Module, src: Tensor, src_mask: Tensor, tgt: Tensor):
    """What the learner's forward gives: one tensor."""
    result = run(net, (src, src_mask, tgt))
    if isinstance(result, tuple):
        raise Mistake("forward returns one tensor, the logits")
    return result


def right_memory(net, src, src_mask) -> Tensor:
    """What encode should give, from the learner's own parts."""
    return net.encoder(net.src_embedding(src), src_mask)


def right_logits(net, src, src_mask, tgt) -> Tensor:
    """What forward should give, from the learner's own parts."""
    return decoded(net, src, src_mask, tgt)


def encode_mistakes() -> list[tuple[Callable, str]]:
    """Memories with one thing wrong, and what to say then."""
    return [
        (lambda net, src, mask: net.src_embedding(src), "encode returns the embedded words: hand "
         "them to self.encoder"),
        (lambda net, src, mask: net.encoder(net.src_embedding(src)), "the encoder got no src_mask: "
         "it reads the padding"),
        (lambda net, src, mask: net.encoder(net.src_embedding(src), ~mask), "the encoder got "
         "src_mask turned round: hand it over as it is"),
        (lambda net, src, mask: net.encoder(net.src_embedding(src), mask[:1]), "all sentences get "
         "the src_mask of the first: hand it over as it is"),
        (lambda net, src, mask: net.encoder(net.src_embedding(src), mask & causal_mask(
            src.size(1))), "the encoder got a causal mask: the whole source is there from the "
         "start"),
        (lambda net, src, mask: net.encoder(net.src_embedding(src), causal_mask(src.size(1))),
         "the encoder got a causal mask in place of src_mask: the whole source is there from the "
         "start"),
        (lambda net, src, mask: net.encoder(net.tgt_embedding(src), mask), "the source goes "
         "through the embedding of the target: it has its own, self.src_embedding"),
        (lambda net, src, mask: net.encoder(net.src_embedding.embedding(src), mask), "the vectors "
         "come from the table alone, without their positions: call self.src_embedding(src)"),
    ]


def decoded(net, src, src_mask, tgt, *, past=lambda past: past, mask=lambda mask: mask,
            memory=right_memory, y=lambda net, tgt: net.tgt_embedding(tgt),
            end=lambda net, x: net.out(x)) -> Tensor:
    """The way to the logits; a known mistake has another step."""
    x = net.decoder(y(net, tgt), memory(net, src, src_mask), past(causal_mask(tgt.size(1))),
                    mask(src_mask))
    return end(net, x)


def forward_mistakes() -> list[tuple[Callable, str]]:
    """Logits with one thing wrong, and what to say then."""

    def none(mask):
        return None

    known = [(partial(decoded, **steps), words) for steps, words in [
        (dict(end=lambda net, x: x), "these are the vectors of the decoder: self.out turns them "
         "into logits"),
        (dict(end=lambda net, x: net.out(x).softmax(-1)), "return the logits, without softmax: "
         "the loss does that itself"),
        (dict(end=lambda net, x: net.out(x).log_softmax(-1)), "return the logits, without "
         "log_softmax: the loss does that itself"),
        (dict(end=lambda net, x: net.out(x)[:, -1:]), "only the last place: in training all "
         "places are asked at once"),
        (dict(end=lambda net, x: net.out(x)[:, -1]), "only the last place, and its axis is gone: "
         "in training all places are asked at once"),
        (dict(past=none), "every place sees the words after it: the decoder got no causal mask"),
        (dict(past=lambda past: ~past), "the causal mask is turned round: True means may look"),
        (dict(past=lambda past: past.T), "the causal mask lies the wrong way: a place may look "
         "back"),
        (dict(past=lambda past: past.tril(-1)), "the causal mask hides a place from itself: it "
         "may look at itself and the past"),
        (dict(past=lambda past: torch.ones_like(past).tril(1)), "the causal mask shows one place "
         "too many, the next word: it may look at itself and the past"),
        (dict(mask=none), "the decoder got no src_mask: it reads the padding of the memory"),
        (dict(mask=lambda mask: ~mask), "the decoder got src_mask turned round: hand it over as "
         "it is"),
        (dict(mask=lambda mask: mask[:1]), "in the decoder all sentences get the src_mask of the "
         "first: hand it over as it is"),
        (dict(past=none, mask=none), "the decoder got neither mask: a causal one for the target, "
         "src_mask for the memory"),
        (dict(memory=lambda net, src, mask: net.src_embedding(src)), "the decoder reads the "
         "embedded source words: hand it the memory, what encode returns"),
        (dict(memory=lambda net, src, mask: net.encoder(net.src_embedding(src))), "forward makes "
         "its memory without src_mask: call self.encode(src, src_mask)"),
        (dict(y=lambda net, tgt: net.src_embedding(tgt)), "the target goes through the embedding "
         "of the source: it has its own, self.tgt_embedding"),
        (dict(y=lambda net, tgt: net.tgt_embedding.embedding(tgt)), "the target's vectors come "
         "from the table alone, without their positions: call self.tgt_embedding(tgt)"),
    ]]

    def exchanged(net, src, mask, tgt):
        x, memory = net.tgt_embedding(tgt), right_memory(net, src, mask)
        return net.out(net.decoder(x, memory, mask, causal_mask(tgt.size(1))))

    return [*known, (exchanged, "the decoder's two masks are exchanged: the causal one comes "
                     "first, then src_mask")]


# ---- 11.3 ----


class Scripted(nn.Module):
    """A stand-in for a trained model that answers every beginning of its sentence with one word.

    path: <bos> and what it writes after it. After any other beginning it says a word that depends
    on all that it read. It has no causal mask: at a place that is not its last it says another
    word, some of it louder.
    """

    def __init__(self, path: list[int], src: Tensor, src_mask: Tensor):
        super().__init__()
        self.path, self.src, self.src_mask, self.asked = path, src, src_mask, 0

    def forward(self, src, src_mask, tgt):
        """Logits (batch, n, vocab_size), all below 0; the second likeliest word is near."""
        self.asked += 1
        if self.asked > 199:
            raise Mistake("it never stops: at most max_len words, in every case")
        if tgt.dim() != 2 or not tgt.size(1):
            raise Mistake(f"the model got tgt of shape {tuple(tgt.shape)}: want (1, n), the words "
                          "so far, <bos> first")
        for name, got, own in (("src", src, self.src), ("src_mask", src_mask, self.src_mask)):
            if not torch.equal(got, own):
                raise Mistake(f"the model got another {name} than your function: call model(src, "
                              "src_mask, tgt), with the first two as they came")
        logits = torch.full((len(tgt), tgt.size(1), VOCAB), -9.0)
        for row, sentence in enumerate(tgt.tolist()):
            for place in range(len(sentence)):
                read = sentence[: place + 1]
                known = read == self.path[: place + 1] and len(read) < len(self.path)
                word = self.path[place + 1] if known else (
                    sum((7 * i + 3) * token for i, token in enumerate(read)) + len(read)) % VOCAB
                word = (word + 3 * (len(read) < len(sentence))) % VOCAB
                quiet = 0.1 * ((3 * place + 2) % 5)
                logits[row, place, word] = -1.0 - quiet
                logits[row, place, (word + 1) % VOCAB] = -1.05 - quiet
        return logits


@exercise("11.3")
def check_write(answer) -> str:
    """One word at a time: begin with <bos>, read everything, stop at <eos> or at max_len."""

    def script(words: str, bos_id: int, eos_id: int, written: list[int], max_len: int, src_len=3,
               hint=""):
        src, src_mask = torch.randint(4, VOCAB, (1, src_len)), torch.ones(1, 1, src_len).bool()
        src_mask[..., 3:] = False
        model = Scripted([bos_id, *written], src, src_mask)
        return case(words, model, src, src_mask, bos_id, eos_id, max_len, hint=hint)

    cases = [
        script("a sentence of 4 words", 0, 1, [5, 7, 5, 9, 1], 40, 6),
        script("<bos> 3 and <eos> 8", 3, 8, [4, 4, 10, 0, 1, 2, 8], 12, hint="the ids of <bos> "
               "and <eos> are handed in; any other word may come, 0 and 1 too, also twice"),
        script("a sentence in which <bos> comes again", 0, 1, [5, 0, 9, 1], 40, hint="<bos> is a "
               "word like others, if it is the likeliest: only <eos> ends"),
        script("max_len 3", 6, 2, [3, 9, 3, 9, 4, 2], 3, hint="at most max_len words, and <bos> "
               "does not count"),
        script("max_len 1", 0, 1, [5, 6, 1], 1, hint="at most max_len words, and <bos> does not "
               "count"),
        script("<eos> as the last of max_len words", 0, 1, [5, 6, 1], 3, hint="<eos> counts as a "
               "word, and is returned"),
        script("a sentence without a word, <eos> at once", 2, 4, [4], 9, hint="look for <eos> "
               "after each word that was added, the first one too"),
        script("a long sentence", 0, 1, [3 + i % 7 for i in range(105)] + [1], 120, hint="max_len "
               "may be any number"),
    ]
    cases[1].args[0].eval()
    if not callable(answer):
        call(answer)

    @functools.wraps(answer, updated=())
    def asked(*given, **named):
        next(m for m in (*given, *named.values()) if isinstance(m, Scripted)).asked = 0
        return judged(answer)(*given, **named)

    agree(asked, write, cases, write_mistakes(), axes={"tokens": ("sentence", "word")},
          advice="Take the last place of the logits and add the word at the end",
          gradients=False, float64=False)
    return "It reads all its words again at every step, and knows when to stop"


def write(
    model, src, src_mask, bos_id, eos_id, max_len, *,
    step: Callable = lambda logits: logits[:, -1].argmax(-1), start: Callable = lambda b, e: b,
    read: Callable = lambda tgt: tgt, stop: Callable = lambda word, eos: word == eos,
    most: Callable = lambda n: n, join: Callable = lambda tgt, word: torch.cat([tgt, word], 1),
    give: Callable = lambda tgt, eos: tgt,
) -> Tensor:
    """Token ids (1, n), greedily; a known mistake has another step."""
    model.asked = 0
    tgt = torch.tensor([[start(bos_id, eos_id)]])
    for _ in range(most(max_len)):
        word = step(model(src, src_mask, read(tgt)))
        tgt = join(tgt, word.view(1, 1))
        if stop(word.item(), eos_id):
            break
    return give(tgt, eos_id)


def write_mistakes() -> list[tuple[Callable, str]]:
    """Ways to write with one thing wrong, and what to say then."""

    def in_a_row(model, src, src_mask, bos_id, eos_id, max_len, more):
        model.asked = 0
        tgt = torch.full((1, max_len + 1), bos_id)
        for n in range(max_len):
            tgt[0, n + 1] = model(src, src_mask, tgt[:, : max_len + more])[0, n].argmax()
            if tgt[0, n + 1] == eos_id:
                break
        return tgt[:, : n + 2]

    empty = [(partial(in_a_row, more=more), "the model reads the empty places behind the words, "
              "too, which a model without a causal mask would see: hand it the words so far, "
              "tgt[:, :n]") for more in (0, 1)]
    return empty + [(partial(write, **steps), words) for steps, words in [
        (dict(start=lambda b, e: e), "the first thing that the model reads is <eos>: it must be "
         "<bos> alone, bos_id"),
        (dict(read=lambda tgt: tgt[:, -1:]), "at step 2 the model got one word only: it has no "
         "memory of what it read before, so hand it all words so far, <bos> first"),
        (dict(read=lambda tgt: tgt[:, -2:]), "the model got two words only: it has no memory of "
         "what it read before, so hand it all words so far, <bos> first"),
        (dict(read=lambda tgt: tgt[:, :1]), "the model reads <bos> alone at every step: hand it "
         "all words so far"),
        (dict(read=lambda tgt: tgt.flip(1)), "the model reads the words in reverse order"),
        (dict(step=lambda logits: logits[:, 0].argmax(-1)), "each word is taken from the first "
         "place: take the logits of the last place, [:, -1], not of the first"),
        (dict(step=lambda logits: logits[0].argmax() % logits.size(-1)), "each word is taken from "
         "all places together: take the logits of the last place, [:, -1]"),
        (dict(step=lambda logits: logits[:, -1].topk(2).indices[:, 1]), "the word that was taken "
         "is not the likeliest, but the second: argmax over the last axis"),
        (dict(step=lambda logits: logits[:, -1].softmax(-1).multinomial(1)), "a word is drawn at "
         "random: take the likeliest, argmax"),
        (dict(step=lambda logits: logits[:, -1].argmin(-1)), "the least likely word is taken: "
         "want argmax"),
        (dict(stop=lambda word, eos: False), "it goes on after <eos>: stop when the newest word "
         "is eos_id"),
        (dict(most=lambda n: 1), "only one word is written: call the model in a loop"),
        (dict(most=lambda n: 0), "only <bos> comes back: was the model asked, in a loop?"),
        (dict(most=lambda n: n + 1), "one word more than max_len is written: at most max_len "
         "words, and <bos> does not count"),
        (dict(most=lambda n: n - 1), "one word less than max_len is written: max_len words, and "
         "<bos> does not count"),
        (dict(give=lambda tgt, eos: tgt[:, 1:]), "<bos> is missing in what you return: want <bos>, "
         "then the words"),
        (dict(give=lambda tgt, eos: tgt[tgt != eos].unsqueeze(0)), "<eos> is missing at the end "
         "of what you return: stop after it was added"),
        (dict(give=lambda tgt, eos: tgt[:, 1:][tgt[:, 1:] != eos].unsqueeze(0)), "<bos> and <eos> "
         "are missing in what you return: want <bos>, then the words, then <eos>"),
        (dict(give=lambda tgt, eos: tgt[0]), "want token ids of shape (1, n), got (n,): one "
         "sentence is a batch, too"),
        (dict(join=lambda tgt, word: torch.cat([word, tgt], 1)), "the new word is put in front: "
         "add the word at the end"),
        (dict(join=lambda tgt, word: torch.cat([word, tgt], 1), stop=lambda word, eos: False),
         "the new word is put in front, where <eos> is not found: add the word at the end"),
        (dict(join=lambda tgt, word: word), "each word replaces those before it: add the word at "
         "the end, torch.cat([tgt, word], dim=1)"),
    ]]


# ---- 11.4 ----


class Log(list):
    """What a toy model was asked; a copy of the model writes into the same log."""

    def __deepcopy__(self, memo):
        return self


class Toy(nn.Module):
    """A model that reads exactly the target positions that `sees` tells it to read.

    sees: (tgt_len, tgt_len) strengths
    row: the sentence in which alone this holds, known by its first source word; in the others a
    position sees itself and the past
    noise: rounding that depends on the run
    training: the mode in which it is found
    shift: is added to the logits of place 1 if token 3 is not 7
    """

    def __init__(self, sees: Tensor, dropout=0.0, row=None, noise=0.0, vocab=VOCAB, shift=0.0,
                 training=False):
        super().__init__()
        self.embedding = nn.Embedding(vocab, D_MODEL)
        self.out = nn.Linear(D_MODEL, vocab)
        self.dropout = nn.Dropout(dropout)
        self.sees, self.row, self.noise, self.shift, self.log = sees, row, noise, shift, Log()
        self.train(training)

    def forward(self, src, src_mask, tgt):
        """Logits (batch, tgt_len, vocab)."""
        self.log.append((src.clone(), tgt.clone()))
        n, known = tgt.size(1), self.sees[: tgt.size(1), : tgt.size(1)]
        sees = torch.ones(n, n) if self.sees.all() else causal_mask(n).float()
        sees[: len(known), : len(known)] = known
        sees = sees.expand(len(tgt), n, n)
        if self.row is not None:
            other = (src[:, 0] != 4 + self.row).view(-1, 1, 1)
            sees = torch.where(other, causal_mask(n).float(), sees)
        whole = (self.embedding(src) * src_mask.transpose(1, 2)).sum(1, keepdim=True)
        logits = self.out(self.dropout(torch.tanh(sees @ self.embedding(tgt) + whole)))
        is_seven = (tgt[:, 3:4] == 7).any(dim=1).view(-1, 1, 1)
        logits = logits + self.shift * (torch.arange(n).view(1, -1, 1) == 1) * ~is_seven
        return logits + self.noise * (-1) ** len(self.log)


def one_leak(i: int, j: int, strength: float = 1.0, tgt_len: int = TGT_LEN) -> Tensor:
    """A causal model in which position i also sees the later position j."""
    sees = causal_mask(tgt_len).float()
    sees[i, j] = strength
    return sees


@exercise("11.4")
def check_leak_test(answer) -> str:
    """Right models must pass, leaking ones be found; each case tells one mistake from another."""
    if not callable(answer):
        call(answer)
    past, last = causal_mask(TGT_LEN).float(), TGT_LEN - 1
    turn = "your new token was the old one: other_tokens(tgt) has another in every place"
    cases = [toy_case(*row) for row in [
        ("a model without a mask", dict(sees=torch.ones(TGT_LEN, TGT_LEN),
                                       training=True), ""),
        ("a right model, in which each place reads only itself", dict(sees=torch.eye(TGT_LEN)),
         "leave the changed place out of the comparison"),
        ("a right model", dict(sees=past), "place i may depend on tokens 0 to i: change a later "
         "one, and compare the places before it"),
        ("a right model in training mode", dict(sees=past, dropout=0.5, training=True), "dropout "
         "differs from run to run: switch it off, as at_rest does"),
        ("a right model, but for rounding of 4e-7", dict(sees=past, noise=2e-7), "compare the "
         "largest change, no sum, with 1e-5"),
        ("a model in which the last place but one sees the last", dict(
            sees=one_leak(last - 1, last)), "change the tokens one by one, the last too, and "
         "compare all places before each"),
        ("a model in which place 0 sees place 1", dict(sees=one_leak(0, 1)), "change the tokens "
         "one by one, from token 1 on, not only the last"),
        ("a model in which place 0 sees the last", dict(sees=one_leak(0, last)), "compare the "
         "logits, not the likeliest words, at all places before the change, not only at the one "
         "next to it"),
        ("a leak in the second sentence", dict(sees=one_leak(1, 3), row=1), "change and compare "
         "all sentences, not the first alone; one that leaks is enough"),
        ("a leak in the first sentence", dict(sees=one_leak(1, 3), row=0), "change and compare all "
         "sentences; one that leaks is enough"),
        ("a weak leak, which moves a logit by about 0.00005", dict(sees=one_leak(1, 3, 1e-4)),
         "more than 1e-5 is a leak: compare the largest change, no mean, and nothing relative"),
        ("a leak by which logits only fall", dict(sees=past, shift=-0.1), "a change may go up or "
         "down: compare its size, abs()", 7),
        ("a leak by which logits only rise", dict(sees=past, shift=0.1), "a change may go up or "
         "down: compare its size, abs()", 7),
        ("a leak where the token was 0 already", dict(sees=one_leak(1, 3)), turn, 0),
        ("a leak where the token was 1 already", dict(sees=one_leak(1, 3)), turn, 1),
        ("a leak at the end of a target of 130 words", dict(sees=one_leak(128, 129, 9.0, 130)),
         "take the length from tgt"),
        ("one sentence of two words with a leak", dict(sees=one_leak(0, 1, tgt_len=2)), "try "
         "every later token, also if there is one only", None, 1),
        ("a right model of 8 tokens, three sentences", dict(sees=past, vocab=8), "take sizes from "
         "what is handed in", None, 3),
    ]]
    agree(judged(answer), lambda model, src, src_mask, tgt: bool(
        model.shift or model.sees.triu(1).any()), cases,
          explain=lambda answered, wants: "" if answered[0] else why_blind(answer, cases[0]),
          gradients=False, float64=False)
    return "It finds leaks of any place and size, and lets right models pass"


def toy_case(words: str, toy: dict, hint: str, token: int | None = None, batch=BATCH) -> Case:
    """A toy model with a batch; token: what stands in all places from the third on."""
    tgt_len = len(toy["sees"])
    src, tgt = torch.randint(4, 8, (batch, SRC_LEN)), torch.randint(4, 7, (batch, tgt_len))
    src[:, 0] = 4 + torch.arange(batch)                # a toy knows its sentences by their word
    tgt[0, 1] = 7
    if token is not None:
        tgt[:, 2:] = token
    return case(words, Toy(**toy), src, some_masks(batch, 1, SRC_LEN)[1], tgt, hint=hint)


def judged(answer) -> Callable:
    """The answer, which must put back the mode in which it found the model."""

    @functools.wraps(answer, updated=())
    def asked(*given, **named):
        model = next(m for m in (*given, *named.values()) if isinstance(m, nn.Module))
        before = [part.training for part in model.modules()]
        result = run(answer, given, named)
        if [part.training for part in model.modules()] != before:
            raise Mistake("your function leaves the model in another mode: model.eval() and "
                          "model.train() stay in force. Put the mode that you found back, "
                          "model.train(mode), as at_rest does, or leave the mode alone")
        return result

    return asked


def why_blind(answer, one: Case) -> str:
    """The answer passes a model without any mask: find out why."""
    log = one.args[0].log
    log.clear()
    call(judged(answer), *one.args)
    start = "a model without a mask passes: "
    if len(log) < 2:
        return (f"{start}you ran the model {len(log)} times. A leak is a difference between two "
                "runs")
    (src, tgt), *others = log
    if all(torch.equal(tgt, other) for _, other in others if other.shape == tgt.shape):
        if any(not torch.equal(src, other) for other, _ in others):
            return (f"{start}you changed the source, which every position may read. Change a "
                    "token of tgt")
        return f"{start}every run got the same tgt. Change one of its tokens between two runs"
    return (f"{start}compare the logits themselves, at all positions before the changed token. "
            "Their shape is always the same")

"""The checks of lesson 13: the cached step, writing with it, top-p, the price of a layer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from utils.attention import MultiHeadAttention, causal_mask
from utils.checks.core import Mistake, call, exercise
from utils.checks.kinds import agree, case, fits_signature, keeps_nothing, run
from utils.checks.transformer import some_masks, stirred
from utils.decoding import pick_rows
from utils.inference import (
    attend_to,
    cached_attention,
    cached_layer,
    embed_from,
    keep_top_p,
    keys_and_values,
    layer_flops,
)
from utils.transformer import Transformer

# All sizes differ: a key has 4 numbers, a head is one of 3.
BATCH, N_HEADS, D_MODEL, D_K, D_FF, VOCAB, SRC_LEN = 2, 3, 12, 4, 20, 11, 7


# ---- 13.1 and 13.5 ----

STEP = "attention", "x", "past"
KEPT = "the second result is a pair `(k, v)`, the keys and the values of all tokens so far"
PAIR = {"output": ("sentence", "new token", "feature"),
        "k": ("sentence", "head", "token", "feature"),
        "v": ("sentence", "head", "token", "feature"),
        "x": ("sentence", "new token", ""), "old_k": ("sentence", "", "", ""),
        "old_v": ("sentence", "", "", "")}


@exercise("13.1")
def check_cached_attention(answer) -> str:
    """Judge a function (attention, x, past) that returns the output and the new (k, v)."""
    judge_cached_attention(answer)
    return "Each step makes the keys and values of its own words, and no others"


@exercise("13.5")
def check_cached_from_memory(answer) -> str:
    """The same, written from memory."""
    judge_cached_attention(answer)
    return "One query, all keys, and nothing is read twice"


def judge_cached_attention(answer) -> None:
    """Hold one step against all tokens at once: one new token, several, the first ones."""
    net, wide = (stirred(MultiHeadAttention(*sizes)) for sizes in ((D_MODEL, N_HEADS), (10, 2)))

    def step(words: str, attention, batch: int, past_len: int | None, new_len: int, hint=""):
        n_heads, d_model = attention.n_heads, attention.query_map.in_features
        shape = batch, n_heads, past_len or 0, d_model // n_heads
        past = (None, None) if past_len is None else (torch.randn(shape), torch.randn(shape))
        return case(words, attention, torch.randn(batch, new_len, d_model), *past, hint=hint)

    rows = ("the mask has a row for each new token and a column for every token: the last rows "
            "of a causal mask over all of them")
    cases = [
        step("one new token after five", net, BATCH, 5, 1),
        step("three new tokens after five", net, BATCH, 5, 3, hint=rows),
        step("two first tokens, past None", net, BATCH, None, 2, hint="there is no past at first: "
             "past is None"),
        step("one first token, past None", net, 1, None, 1, hint="there is no past at first: past "
             "is None"),
        step("two heads of width 5", wide, 3, 4, 2, hint="is a size written into your code?"),
        step("4 new tokens after 140", net, 1, 140, 4, hint=rows),
    ]
    truth = flat(cached_attention)
    agree(flat(answer), truth, cases, attention_mistakes(), axes=PAIR, advice="Make k and v of the "
          "new tokens, put them behind the past, and look with the query of the new tokens")
    counted(answer, net, cases[0].args)
    keeps_nothing(flat(answer), truth, cases[:2], ["output", "k", "v"])


def flat(answer) -> Callable:
    """A step (attention, x, past) as a function of tensors alone, with three results."""
    if not callable(answer) or isinstance(answer, nn.Module):
        call(answer)

    def one_step(attention, x, old_k, old_v):
        past = None if old_k is None else (old_k, old_v)
        try:
            result = run(*in_order(answer, STEP, (attention, x, past)))
        except Mistake as mistake:
            raise named_join(mistake) from mistake
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Mistake("want two results, `return output, (k, v)`")
        output, kept = result
        if isinstance(output, tuple | list) and isinstance(kept, Tensor):
            raise Mistake("the results come in the wrong order: `return output, (k, v)`")
        if isinstance(output, tuple | list):
            raise Mistake("want the output alone as the first result: attend_to gives "
                          "(output, weights), take its [0]")
        if kept is None or not isinstance(kept, tuple | list) or len(kept) != 2:
            raise Mistake(f"want two results, `return output, (k, v)`: {KEPT}")
        if any(part is ... for part in kept) or not all(isinstance(p, Tensor) for p in kept):
            raise Mistake(f"want two results, `return output, (k, v)`: {KEPT}, both tensors")
        return output, *kept

    return one_step


def in_order(answer, names: Sequence[str], given: tuple) -> tuple:
    """What `run` needs: an answer that takes its arguments only by name gets them so."""
    named = dict(zip(names, given))
    by_name = not fits_signature(answer, *given) and fits_signature(answer, **named)
    return (answer, (), named) if by_name else (answer, given)


AXES = {0: "the batch", 1: "the heads", 3: "the features of a head"}


def named_join(mistake: Mistake) -> Mistake:
    """The same mistake, or the one that an impossible torch.cat betrays."""
    text = str(mistake)
    for dim, name in AXES.items():
        if f"match except in dimension {dim}" in text:
            return Mistake(f"the old and the new tokens are joined along {name} (dim={dim}): k is "
                           "(batch, n_heads, seq_len, d_k), and its tokens stand along dim=2")
    if "Dimension out of range" in text:
        return Mistake("k has four axes, (batch, n_heads, seq_len, d_k): join the tokens along "
                       "dim=2")
    return mistake


def counted(answer, attention: nn.Module, given: tuple) -> None:
    """Raise Mistake where keys are made of more tokens than the new ones."""
    sizes: list[int] = []
    attention = copy.deepcopy(attention)
    attention.key_map.register_forward_hook(
        lambda part, inputs, output: sizes.append(inputs[0].shape[:-1].numel()))
    _, x, *past = given
    run(*in_order(answer, STEP, (attention, x, tuple(past))))
    if sum(sizes) > x.shape[:-1].numel():
        raise Mistake("the result is right, but keys are made of more tokens than the new ones, "
                      "or twice: key_map is to read x once")


def attention_mistakes() -> list[tuple[Callable, str]]:
    """Steps with one thing wrong, and what to say then."""

    def step(mask=lambda n, s: causal_mask(s)[s - n:], join=None, ask=None, keep=None):
        """mask(new_len, seq_len)    join(old, new)    ask, keep: which (k, v) of (old, new, all)"""

        def mistake(attention, x, old_k, old_v):
            new = keys_and_values(attention, x)
            old = tuple(part[:, :, :0] for part in new) if old_k is None else (old_k, old_v)
            both = (join or joined)(old, new)
            k, v = ask(old, new, both) if ask else both
            allowed = mask(x.size(1), k.size(2))
            output = attend_to(attention, x, k, v, allowed)[0]
            return output, *(keep(old, new, both) if keep else both)

        return mistake

    def joined(old, new):
        return tuple(torch.cat(pair, dim=2) for pair in zip(old, new))

    return [
        (step(mask=lambda n, s: causal_mask(s)[:n]), "the mask holds the first rows of the causal "
         "mask: a new token then sees the first words alone. It stands at the end: take the last "
         "rows"),
        (step(mask=lambda n, s: None), "nothing is hidden: of several new tokens the first sees "
         "the later ones. Want the last rows of a causal mask"),
        (step(mask=lambda n, s: ~causal_mask(s)[s - n:]), "the mask is turned round: True means "
         "may look"),
        (step(mask=lambda n, s: causal_mask(s).roll(1, 0)[s - n:] & ~torch.eye(s).bool()[s - n:]),
         "a new token does not see itself: its own key is the last one it may look at"),
        (step(mask=lambda n, s: torch.ones(n, s).tril(s - n - 1).bool()), "a new token does not "
         "see itself: its own key is the last one it may look at"),
        (step(mask=lambda n, s: torch.ones(n, s).tril(s - n + 1).bool()), "a new token sees the "
         "one after it: tril begins one diagonal too high"),
        (step(mask=lambda n, s: torch.ones(n, s).tril().bool()), "tril() counts from the first "
         "token: row i of the new tokens stands at past_len + i, so its diagonal is "
         "seq_len - new_len"),
        (step(ask=lambda old, new, both: new), "the new tokens look at one another alone: they ask "
         "all keys, the old ones too"),
        (step(ask=lambda old, new, both: old if old[0].size(2) else new),
         "the new tokens look at the past and not at themselves"),
        (step(ask=lambda old, new, both: old if old[0].size(2) else new,
              keep=lambda old, new, both: old if old[0].size(2) else new), "the new keys and "
         "values are left out where there is a past: put them behind it"),
        (step(keep=lambda old, new, both: new), "the new keys and values alone are returned: the "
         "next step needs the old ones too"),
        (step(keep=lambda old, new, both: old), "the past is returned as it came: the next step "
         "needs the new keys and values too"),
        (step(ask=lambda old, new, both: new, keep=lambda old, new, both: new), "the past has no "
         "part in the result: join it with the new keys and values"),
        (step(join=lambda old, new: joined(new, old), mask=lambda n, s: None), "the new tokens "
         "stand before the old ones: cat([old, new]), in the order of the words"),
        (step(join=lambda old, new: joined(new, old)), "the new tokens stand before the old ones: "
         "cat([old, new]), in the order of the words"),
        (step(join=lambda old, new: (joined(old, new)[0], joined(new, old)[1])), "the values are "
         "joined in another order than the keys: value i belongs to key i"),
        (step(join=lambda old, new: (joined(new, old)[0], joined(old, new)[1])), "the keys are "
         "joined in another order than the values: value i belongs to key i"),
        (step(join=lambda old, new: joined(old[::-1], new)), "old values are joined with new keys: "
         "past is (k, v)"),
        (step(keep=lambda old, new, both: both[::-1]), "keys and values are returned in the wrong "
         "order: (k, v)"),
        (step(ask=lambda old, new, both: both[::-1]), "attend_to gets values as keys: "
         "attend_to(attention, x, k, v, mask)"),
        (step(ask=lambda old, new, both: (both[0], both[0])), "attend_to gets the keys "
         "as values"),
    ]


# ---- 13.2 ----

STATE = ("the state must come out of decode, as a tuple (of tuples) of tensors with the batch "
         "first, or None: beam search picks its rows")
NAMES = "model", "tgt", "memory", "src_mask", "state"
Feed = Sequence[int]    # how many tokens each step gets


@exercise("13.2")
def check_cached_decode(answer) -> str:
    """Judge a function (model, tgt, memory, src_mask, state) that returns logits and state."""
    two, one = (stirred(Transformer(VOCAB + 2, VOCAB, *sizes, max_len=160)) for sizes in (
        (D_MODEL, N_HEADS, 2, D_FF), (8, 2, 1, 6)))
    post = stirred(Transformer(VOCAB, VOCAB, 8, 4, 3, 6, pre_norm=False))

    def text(words: str, net: nn.Module, feed: Feed, batch: int = BATCH, src_len: int = SRC_LEN,
             hint: str = "", swaps: bool = False):
        mask = some_masks(batch, 1, src_len)[1]
        src, tgt = (torch.randint(VOCAB, (batch, n)) for n in (src_len, sum(feed)))
        with torch.no_grad():
            memory = net.encode(src, mask)
        return case(words, net, tgt, memory, mask, tuple(feed), swaps, hint=hint)

    several = "tgt may hold several new tokens: all of them get logits"
    cases = [
        text("five tokens, one at a time", two, (1,) * 5),
        text("two tokens at once, then three more", two, (2, 1, 1, 1), hint=several),
        text("one token, then three at once", two, (1, 3), hint=several),
        text("six tokens at once", two, (6,), hint=several),
        text("one layer and one sentence", one, (1,) * 4, batch=1, src_len=3,
             hint="is a size written into your code?"),
        text("post-norm and three layers", post, (1, 1, 2), batch=3),
        text("the rows of the state exchanged, as a beam search does", two, (1,) * 4, swaps=True),
        text("a long text", one, (60, 1, 60, 1), batch=1, hint="is a length written into your "
             "code?"),
    ]
    agree(fed(answer), fed(decode_with()), cases, decode_mistakes(), axes={
        "logits": ("sentence", "place", "token"), "memory": ("sentence", "", ""),
    }, gradients=False, float64=False, advice="Want the logits of the new tokens alone, from "
        "embed_from, cached_layer for each layer, the decoder's norm, and out")
    with torch.no_grad():
        twice_from_one_state(answer, cases[0])
        slow = work_of(answer, cases[0])
    return slow or "Each word is read once, and so is the source"


def fed(answer) -> Callable:
    """A decode as a function of a whole text, given in steps; it returns all logits.

    swaps: after each step the rows of the state, and of all else, come in the opposite order
    """
    if not callable(answer) or isinstance(answer, nn.Module):
        call(answer)

    def write(model, tgt, memory, src_mask, feed, swaps):
        state, found, start = None, [], 0
        for n_step, n in enumerate(feed):
            tokens = tgt[:, start : start + n]
            logits, state = one_decode(answer, n_step, model, tokens, memory, src_mask, state)
            turned = swaps and n_step % 2
            found.append(logits.flip(0) if turned else logits)
            if swaps:
                tgt, memory, src_mask = (part.flip(0) for part in (tgt, memory, src_mask))
                state = reordered(state, torch.arange(len(tgt)).flip(0))
            start += n
        return torch.cat(found, dim=1)

    return write


def one_decode(answer, n_step: int, model, tokens, memory, src_mask, state) -> tuple:
    """One step of the learner's decode, its results looked at."""
    ready = in_order(answer, NAMES, (model, tokens, memory, src_mask, state))
    try:
        result = run(*ready) if n_step == 0 else quickly(*ready)
    except Mistake as mistake:
        if " raised " not in str(mistake):
            raise
        where = "the first step, state None" if state is None else f"step {n_step + 1}"
        raise Mistake(f"in {where}: {mistake}") from mistake
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Mistake("want two results, `return logits, state`")
    logits, state = result
    want = (*tokens.shape, model.out.out_features)
    if not isinstance(logits, Tensor):
        raise Mistake(f"want logits as a tensor, got {type(logits).__name__}: `return logits, "
                      "state`")
    if tuple(logits.shape) != want:
        whole = logits.dim() == 3 and logits.size(1) > tokens.size(1)
        raise Mistake(f"want logits (batch, new_len, vocab) = {want}, got {tuple(logits.shape)}" + (
            ": of the new tokens alone" if whole else ""))
    if state is None:
        raise Mistake("the state that comes back is None: the next step has to know what this one "
                      "has read")
    return logits, state


def quickly(answer, given: tuple, named: dict | None = None):
    """What `run` gives; what an answer leaves changed is looked for in the first step alone."""
    try:
        return answer(*given, **(named or {}))
    except Exception:
        return run(answer, given, named)


def reordered(state, rows: Tensor):
    """The rows of a state in another order, as a beam search takes them."""
    try:
        return pick_rows(state, rows)
    except Exception as error:
        raise Mistake(STATE) from error


def twice_from_one_state(answer, one) -> None:
    """Raise Mistake where a step changes the state that it was given."""
    model, tgt, memory, src_mask, *_ = one.args

    def step(tokens, state):
        return quickly(*in_order(answer, NAMES, (model, tokens, memory, src_mask, state)))

    state = step(tgt[:, :2], None)[1]
    first, again = step(tgt[:, 2:3], state)[0], step(tgt[:, 2:3], state)[0]
    if not torch.allclose(first, again, atol=1e-5):
        raise Mistake("the same step, taken twice from one state, gives two results: a step must "
                      "not change the state that it gets (append and += do), but return a new one")


def work_of(answer, one) -> str:
    """A remark on cross-attention that is made anew; Mistake where words are read anew."""
    model, tgt, memory, src_mask, feed, _ = one.args
    model = copy.deepcopy(model)
    own, cross = [], []
    for layer in model.decoder.layers:
        for part, sizes in ((layer.attention, own), (layer.cross_attention, cross)):
            part.key_map.register_forward_hook(
                lambda part, given, output, sizes=sizes: sizes.append(given[0].size(1)))
    fed(answer)(model, tgt, memory, src_mask, feed, False)
    n_layers = len(model.decoder.layers)
    if sum(own) > n_layers * tgt.size(1):
        raise Mistake(f"the logits are right, but nothing is saved: a layer made keys of "
                      f"{sum(own) // n_layers} tokens to write {tgt.size(1)}. Embed and hand on "
                      "the new tokens alone")
    if sum(cross) > n_layers * memory.size(1):
        return ("But it is slower than it need be: the keys and values of the source are made anew "
                f"in each step, of {sum(cross) // n_layers} tokens in all where "
                f"{memory.size(1)} would do. Make them while the state is None")
    return ""


def decode_with(
    start: Callable = lambda past, tgt, memory: past,
    norm: Callable = lambda model, x: model.decoder.norm(x),
    embed: Callable = embed_from,
    mask: Callable = lambda src_mask: src_mask,
    keep: Callable = lambda n, old, new: new,
    source_of: Callable = lambda sources, n: sources[n],
    past_of: Callable = lambda pasts, n: pasts[n],
    seen: Callable = lambda memory: memory,
) -> Callable:
    """The right decode; a known mistake has another part."""

    def decode(model, tgt, memory, src_mask, state=None):
        layers = list(model.decoder.layers)
        if state is None:
            pasts = [None] * len(layers)
            sources = [keys_and_values(part.cross_attention, seen(memory)) for part in layers]
        else:
            pasts, sources = state
        n_past = 0 if pasts[0] is None else pasts[0][0].size(2)
        x = embed(model.tgt_embedding, tgt, start(n_past, tgt, memory))
        new = []
        for n, layer in enumerate(layers):
            x, past, _ = cached_layer(layer, x, past_of(pasts, n), source_of(sources, n),
                                      mask(src_mask))
            new.append(past)
        kept = tuple(keep(n, old, past) for n, (old, past) in enumerate(zip(pasts, new)))
        return model.out(norm(model, x)), (kept, tuple(sources))

    return decode


def decode_mistakes() -> list[tuple[Callable, str]]:
    """Ways to write with one thing wrong, and what to say then."""

    def plain(embedding, tokens, start):
        return embedding.positions(embedding.embedding(tokens), start)

    def placeless(embedding, tokens, start):
        return embedding.embedding(tokens) * embedding.embedding.embedding_dim**0.5

    def anew(model, tgt, memory, src_mask, state=None):
        return model.predict(tgt, memory, src_mask), ()

    known = [
        (decode_with(start=lambda past, tgt, memory: 0), "each new word gets position 0: its "
         "position is the number of words read before, the length of the past"),
        (decode_with(start=lambda past, tgt, memory: past + 1), "the positions begin at 1: the "
         "first word stands at position 0, a later one at the length of the past"),
        (decode_with(start=lambda past, tgt, memory: max(0, past - 1)), "the second word gets the "
         "position of the first: its position is the length of the past as it was before this "
         "step"),
        (decode_with(start=lambda past, tgt, memory: tgt.size(1)), "the position is the number of "
         "new words: want the number of words read before"),
        (decode_with(start=lambda past, tgt, memory: memory.size(1)), "the position is the length "
         "of the source: want the number of words read before"),
        (decode_with(norm=lambda model, x: x), "the decoder's last LayerNorm is missing: "
         "model.decoder.norm stands before out"),
        (decode_with(embed=plain), "the embedding is not multiplied by √d_model: embed_from does "
         "so"),
        (decode_with(embed=placeless), "the words get no positions: embed_from adds them"),
        (decode_with(mask=lambda src_mask: None), "the padding of the source is not hidden: hand "
         "src_mask to each layer"),
        (decode_with(mask=lambda src_mask: src_mask[:1]), "all sentences get the src_mask of the "
         "first"),
        (decode_with(keep=lambda n, old, new: old or new), "the state of the first step is handed "
         "on for ever: return what cached_layer gave back"),
        (decode_with(source_of=lambda sources, n: sources[0]), "all layers look at the source with "
         "the keys of layer 0: each has its own cross_attention"),
        (decode_with(source_of=lambda sources, n: sources[-1]), "all layers look at the source "
         "with the keys of the last layer: each has its own cross_attention"),
        (decode_with(past_of=lambda pasts, n: pasts[0]), "all layers get the past of layer 0: each "
         "has its own"),
        (decode_with(past_of=lambda pasts, n: pasts[-1]), "all layers get the past of the last "
         "layer: each has its own"),
        (decode_with(past_of=lambda pasts, n: None), "the past never comes in: cached_layer gets "
         "what this layer returned in the step before"),
        (decode_with(seen=lambda memory: memory[:1].expand_as(memory)), "all sentences look at the "
         "source of the first"),
        (anew, "each step sees its own words alone: the words before are in no state"),
    ]
    return [(fed(function), words) for function, words in known]


# ---- 13.3 ----


@exercise("13.3")
def check_keep_top_p(answer) -> str:
    """Judge a function (shares, top_p) that keeps the likeliest tokens and shares 1 among them."""
    shares = torch.tensor([
        [0.10, 0.05, 0.40, 0.02, 0.21, 0.13, 0.09],
        [0.03, 0.55, 0.07, 0.02, 0.11, 0.12, 0.10],
        [0.16, 0.14, 0.15, 0.13, 0.12, 0.17, 0.13 + 1e-4],
    ])
    shares = shares / shares.sum(dim=-1, keepdim=True)
    deep = (3 * torch.randn(2, 3, 40)).softmax(dim=-1)
    agree(answer, keep_top_p, [
        case("three rows and top_p 0.75", shares, 0.75),
        case("top_p 0.3", shares, 0.3, hint="the likeliest token stays, even if it alone is more "
             "than top_p"),
        case("top_p 0.97", shares, 0.97),
        case("top_p 1", shares, 1.0, hint="top_p 1 keeps all"),
        case("one row without a batch", shares[1], 0.6, hint="count axes from the end (dim=-1)"),
        case("two axes in front", deep, 0.9, hint="count axes from the end (dim=-1)"),
    ], top_p_mistakes(), axes={"the result": ("row", "token"), "shares": ("row", "")},
        gradients=False, explain=about_shares)
    return "What crosses top_p stays, and the rest shares 1 again"


def sorted_back(keep: Callable, finish: Callable = lambda kept, shares: kept / kept.sum(
        -1, keepdim=True), back: bool = True, descending: bool = True) -> Callable:
    """top-p with a rule of its own: keep(ordered, cumulated, top_p) says who stays."""

    def mistake(shares, top_p):
        ordered, tokens = shares.sort(dim=-1, descending=descending, stable=True)
        stays = keep(ordered, ordered.cumsum(-1), top_p)
        kept = ordered * stays
        if back:
            kept = torch.zeros_like(shares).scatter(-1, tokens, kept)
        return finish(kept, shares)

    return mistake


def right_rule(ordered: Tensor, cumulated: Tensor, top_p: float) -> Tensor:
    """Who stays: everybody before whom less than top_p has been shared."""
    return cumulated - ordered < top_p


def first_stays(rule: Callable) -> Callable:
    """A rule that always keeps the likeliest."""

    def other(ordered, cumulated, top_p):
        stays = rule(ordered, cumulated, top_p).clone()
        stays[..., 0] = True
        return stays

    return other


def top_p_mistakes() -> list[tuple[Callable, str]]:
    """Ways to cut with one thing wrong, and what to say then."""

    def short(ordered, cumulated, top_p):
        return cumulated <= top_p

    crossing = ("the token that crosses top_p is left out: keep tokens until the sum REACHES "
                "top_p, so ask for the sum before each token")
    return [
        (sorted_back(short), crossing),
        (sorted_back(first_stays(short)), crossing),
        (sorted_back(right_rule, finish=lambda kept, shares: kept), "what stays does not sum to 1: "
         "divide it by its sum"),
        (sorted_back(right_rule, finish=lambda kept, shares: kept.softmax(-1)), "what stays goes "
         "through softmax once more, and tokens with 0 get a share: divide by the sum"),
        (sorted_back(right_rule, finish=lambda kept, shares: kept / kept.amax(-1, keepdim=True)),
         "what stays is divided by its largest share: want its sum"),
        (sorted_back(right_rule, finish=lambda kept, shares: kept / kept.sum()), "what stays is "
         "divided by the sum of all rows: each row has its own"),
        (sorted_back(right_rule, finish=lambda kept, shares: (kept > 0) / (kept > 0).sum(
            -1, keepdim=True)), "what stays gets equal shares: the likelier token keeps the larger "
         "one"),
        (sorted_back(right_rule, back=False), "the shares are sorted and never sorted back: share "
         "i must belong to token i. scatter puts each where it came from"),
        (sorted_back(right_rule, back=False, finish=lambda kept, shares: kept), "the shares are "
         "sorted and never sorted back, and they do not sum to 1"),
        (lambda shares, top_p: gathered(shares, top_p), "gather does not undo the sort: it takes "
         "where scatter puts"),
        (sorted_back(right_rule, descending=False), "the least likely tokens stay: sort with "
         "descending=True"),
        (lambda shares, top_p: cut_at(shares, shares >= 1 - top_p), "tokens with a share of 1 - "
         "top_p or more stay: want the likeliest whose SUM reaches top_p"),
        (lambda shares, top_p: cut_at(shares, shares >= top_p), "tokens with a share of top_p or "
         "more stay: want the likeliest whose SUM reaches top_p"),
        (lambda shares, top_p: cut_at(shares, shares.cumsum(-1) - shares < top_p), "the sum runs "
         "in the order of the vocabulary: sort first, the likeliest in front"),
        (lambda shares, top_p: shares, "nothing is taken out"),
        (lambda shares, top_p: cut_at(shares, shares == shares.amax(-1, keepdim=True)), "the "
         "likeliest token alone stays, whatever top_p is"),
    ]


def gathered(shares: Tensor, top_p: float) -> Tensor:
    """Sorted shares taken by their tokens, which is no way back."""
    ordered, tokens = shares.sort(dim=-1, descending=True, stable=True)
    kept = ordered * right_rule(ordered, ordered.cumsum(-1), top_p)
    kept = kept.gather(-1, tokens)
    return kept / kept.sum(-1, keepdim=True)


def cut_at(shares: Tensor, stays: Tensor) -> Tensor:
    """What stays, with a sum of 1."""
    kept = shares * stays
    return kept / kept.sum(-1, keepdim=True)


def about_shares(answered: list, wants: list) -> str:
    """What the first wrong row sums to, or how many tokens stay in it."""
    for got, want in zip(answered, wants):
        if got.shape != want.shape:
            continue
        rows = zip(got.flatten(0, -2) if got.dim() > 1 else got[None],
                   want.flatten(0, -2) if want.dim() > 1 else want[None])
        for row, true in rows:
            if torch.allclose(row, true, atol=1e-5):
                continue
            if abs(row.sum().item() - 1) > 1e-4:
                return f"a row sums to {row.sum().item():.3g}: want 1"
            if (row > 1e-7).sum() != (true > 1e-7).sum():
                return (f"in a row {(row > 1e-7).sum().item()} tokens have a share: want "
                        f"{(true > 1e-7).sum().item()}, the fewest whose sum reaches top_p")
    return ""


# ---- 13.4 ----


@exercise("13.4")
def check_layer_flops(answer) -> str:
    """Judge a function (seq_len, d_model, d_ff) that counts an encoder layer's operations."""
    agree(answer, layer_flops, [
        case("5 words, d_model 12, d_ff 28", 5, 12, 28),
        case("70 words, d_model 16, d_ff 50", 70, 16, 50),
        case("1 word, d_model 8, d_ff 12", 1, 8, 12),
        case("999 words, d_model 128, d_ff 256", 999, 128, 256),
    ], flops_mistakes(), axes={"the count": ()}, gradients=False, advice="Want 2 n d m operations "
        "for each product (n, d) @ (d, m): four maps, two products of the looks, two of the net")
    return "The two n² products, W^O and both maps of the net are in"


def flops_mistakes() -> list[tuple[Callable, str]]:
    """Counts with one thing wrong, and what to say then."""

    def total(maps=8, looks=4, net=4):
        return lambda n, d, f: maps * n * d * d + looks * n * n * d + net * n * d * f

    whole = total()
    return [
        (total(looks=0), "the two n² products are missing: q kᵀ and weights · v, 2 n² d_model "
         "each"),
        (total(looks=2), "one of the two n² products is missing: both q kᵀ and weights · v cost "
         "2 n² d_model"),
        (total(maps=6), "W^O is missing: the heads' results go through a fourth map of d_model × "
         "d_model"),
        (total(maps=2), "one map is counted: q, k, v and the output have one each"),
        (total(maps=0), "the four maps of the attention are missing"),
        (total(net=0), "the feed-forward net is missing"),
        (total(net=2), "one of the two maps of the feed-forward net is missing"),
        (total(4, 2, 2), "each multiplication is counted and no addition: a product costs 2 n d m "
         "operations"),
        (total(3, 2, 2), "each multiplication is counted and no addition, and W^O is missing"),
        (total(4, 0, 2), "each multiplication is counted and no addition, and the two n² products "
         "are missing"),
        (total(6, 0, 4), "W^O and the two n² products are missing"),
        (total(12), "there are more than four maps of d_model × d_model: q, k, v and the output"),
        (total(10), "there are more than four maps of d_model × d_model: q, k, v and the output"),
        (lambda n, d, f: 8 * n * d * d + 4 * n * n * d * d + 4 * n * d * f, "an n² product has "
         "d_model once: 2 n² d_model"),
        (lambda n, d, f: 8 * n * d * d + 4 * n * n + 4 * n * d * f, "an n² product also has "
         "d_model: 2 n² d_model, as each score is a sum of products"),
        (lambda n, d, f: 8 * n * d * d + 4 * n * d * d + 4 * n * d * f, "the looks are counted "
         "with d_model²: their products have n² in them, n queries with n keys"),
        (lambda n, d, f: 8 * n * d * d + 4 * n * n * d + 4 * n * f * f, "the net is counted with "
         "d_ff²: each of its maps is d_model × d_ff"),
        (lambda n, d, f: 8 * n * d * d + 4 * n * n * d + 4 * n * d * d, "the net is counted with "
         "d_model²: each of its maps is d_model × d_ff"),
        (lambda n, d, f: 8 * d * d + 4 * n * d + 4 * d * f, "this is what one word costs: want all "
         "n words"),
        (lambda n, d, f: 8 * d * d + 4 * n * n * d + 4 * d * f, "the maps are counted for one "
         "word: all n words go through them"),
        (lambda n, d, f: 2 * whole(n, d, f), "twice as much as there is: 2 n d m holds the "
         "multiplication and the addition already"),
        (lambda n, d, f: 3 * whole(n, d, f), "three times as much: the backward pass is in, want "
         "one pass forward"),
        (lambda n, d, f: 4 * d * d + 2 * d * f, "these are the weights of the layer: each is used "
         "for n words, and a product costs 2 operations a weight and word"),
    ]

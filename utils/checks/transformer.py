"""The checks of notebook 11: the masks, cross-attention, a leak test, equality with torch."""

import inspect
import warnings

import torch
from torch import Tensor, nn

from utils.attention import MultiHeadAttention, causal_mask
from utils.checks.core import (
    Mistake,
    call,
    exercise,
    same,
    want_finite,
    want_tensor,
)
from utils.probes import load_from_torch
from utils.transformer import Decoder, Encoder

# All sizes differ, so that a swapped axis cannot hide.
BATCH, TGT_LEN, SRC_LEN, N_HEADS, D_MODEL, VOCAB = 2, 5, 7, 3, 12, 11


def name_mistake(result: Tensor, known: list[tuple[Tensor, str]]) -> None:
    """Raise the message of the first known wrong result that this one equals, nan included."""
    for wrong, message in known:
        if same(result.double().nan_to_num(nan=77.0), wrong.double().nan_to_num(nan=77.0)):
            raise Mistake(message)


def two_tensors(parts, what: str) -> tuple[Tensor, Tensor]:
    """Make sure that an answer is two tensors."""
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise Mistake(f"want two tensors, {what}")
    for part in parts:
        if not isinstance(part, Tensor):
            raise Mistake(f"want two tensors, {what}; one is of type {type(part).__name__}")
    return parts[0], parts[1]


# ---- 11.1 ----


@exercise("11.1")
def check_make_masks(answer) -> str:
    """Source mask, then target mask, for several pad ids, then for unequal ones."""
    four = takes_four(answer)
    for pad_id in (0, 3, 8):
        judge_masks(answer, pad_id, None)
    if four:
        for pad_ids in ((6, 3), (0, 3), (3, 0)):
            judge_masks(answer, *pad_ids)
        return "Also for two pad ids that differ"
    return "With a fourth argument tgt_pad_id it would serve two pad ids, too"


def takes_four(answer) -> bool:
    """Whether a function can be called with a pad id for the target."""
    try:
        kinds = [p.kind for p in inspect.signature(answer).parameters.values()]
    except (TypeError, ValueError):
        return False
    return len(kinds) >= 4 or inspect.Parameter.VAR_POSITIONAL in kinds


def padded_tokens(seq_len: int, n_real: tuple, pad_id: int) -> Tensor:
    """Token ids from 0 to 8, of which only the ends of the rows are pad_id."""
    others = torch.tensor([token for token in range(9) if token != pad_id])
    tokens = others[torch.randint(len(others), (BATCH, seq_len))]
    for row, n in zip(tokens, n_real):
        row[n:] = pad_id
    return tokens


def judge_masks(answer, src_pad: int, tgt_pad: int | None) -> None:
    """Call the answer once, and hold both masks against their known distortions."""
    src_len = SRC_LEN
    tgt_pad_id = src_pad if tgt_pad is None else tgt_pad
    src = padded_tokens(src_len, (7, 4), src_pad)
    tgt = padded_tokens(TGT_LEN, (3, 5), tgt_pad_id)
    src[0, 2], tgt[1, 3] = tgt_pad_id, src_pad         # a word of one, padding of the other
    if tgt_pad is None:
        src, tgt = padded_tokens(src_len, (7, 4), src_pad), padded_tokens(TGT_LEN, (3, 5), src_pad)
    tgt[1, 2] = tgt_pad_id                             # padding need not stand at the end
    given = (src, tgt, src_pad) if tgt_pad is None else (src, tgt, src_pad, tgt_pad)
    parts = two_tensors(call(answer, *given), "`return src_mask, tgt_mask`")
    shapes = [tuple(part.shape) for part in parts]
    if shapes == [(BATCH, TGT_LEN, TGT_LEN), (BATCH, 1, src_len)]:
        raise Mistake("the two masks come in the wrong order: src_mask first")
    for mask, name in zip(parts, ("src_mask", "tgt_mask")):
        if mask.dtype != torch.bool:
            raise Mistake(f"{name} has type {mask.dtype}: want bool, True = may look")
    judge_src_mask(parts[0], src, src_pad, tgt_pad_id)
    judge_tgt_mask(parts[1], tgt, src_pad, tgt_pad_id)


def judge_src_mask(mask: Tensor, src: Tensor, pad_id: int, tgt_pad_id: int) -> None:
    """The mask for everyone who looks at the source."""
    real, n = src != pad_id, src.size(1)
    wanted = real.unsqueeze(1)                         # (batch, 1, src_len)
    if same(mask, wanted):
        return
    name_mistake(mask, [
        (real, "src_mask lacks the middle axis: want (batch, 1, src_len), so that it broadcasts "
         "over the queries"),
        (real.unsqueeze(-1), "src_mask is (batch, src_len, 1): it hides the padded queries, and "
         "every query still sees the padding. The 1 belongs in the middle"),
        (wanted.unsqueeze(1), "src_mask has four axes: want (batch, 1, src_len), "
         "MultiHeadAttention adds the axis of the heads itself"),
        (wanted & causal_mask(n), "src_mask is causal: the whole source is there from the "
         "start, so every query may look at all of its real tokens"),
        (causal_mask(n).expand(BATCH, n, n), "src_mask is causal and shows the padding: want "
         "True at all real tokens of the source"),
        (wanted.expand(BATCH, n, n), "src_mask has one equal row for each source token: the "
         "decoder's queries are of another number. Want (batch, 1, src_len)"),
        (~wanted, "src_mask is turned round: True means may look, so True at real tokens"),
        (torch.ones_like(wanted), "src_mask shows everything, the padding too: compare src with "
         "pad_id"),
        (src.unsqueeze(1) != 0, "src_mask compares with 0: use pad_id, which need not be 0"),
        (src.unsqueeze(1) != tgt_pad_id, "src_mask is made with the pad id of the target: the "
         "two ids differ here"),
    ])
    if mask.shape[-1] == TGT_LEN:
        raise Mistake(f"src_mask has shape {tuple(mask.shape)}, the length of the target: make "
                      "it from src")
    want_tensor(mask, (BATCH, 1, n), "of src_mask (batch, 1, src_len)")
    raise Mistake("src_mask is wrong: want True exactly where src is not pad_id")


def judge_tgt_mask(mask: Tensor, tgt: Tensor, src_pad: int, pad_id: int) -> None:
    """The mask of the decoder's self-attention: padding and the future."""
    n, real = tgt.size(1), tgt != pad_id
    keys, queries, past = real.unsqueeze(1), real.unsqueeze(2), causal_mask(n)
    wanted = keys & past                               # (batch, tgt_len, tgt_len)
    if same(mask, wanted):
        return
    whole = (BATCH, n, n)
    name_mistake(mask, [
        (past, "tgt_mask is only causal, (tgt_len, tgt_len): each sentence has padding of its "
         "own to hide"),
        (past.expand(whole), "tgt_mask is only causal: the padding of the target is missing"),
        (keys, "tgt_mask only hides padding, (batch, 1, tgt_len): the causal half is missing"),
        (keys.expand(whole), "tgt_mask only hides padding, the future is open: the causal half "
         "is missing"),
        (keys | past, "padding and past are joined by OR: a key must be real AND not in the "
         "future, &"),
        (~wanted, "tgt_mask is turned round: True means may look"),
        (~keys & past, "in tgt_mask the padding half is turned round: True at real tokens"),
        (keys & ~past, "in tgt_mask the causal half is turned round: it opens just the future"),
        (keys & past.T, "in tgt_mask the triangle lies the wrong way: row i holds True for j <= i"),
        (keys & past.tril(-1), "in tgt_mask a position does not see itself: keep the diagonal"),
        (queries & past, "tgt_mask hides the rows of padded queries, not the columns of padded "
         "keys: unsqueeze(1), not unsqueeze(2)"),
        (queries & keys & past, "tgt_mask hides keys and empties the rows of padded queries: "
         "hide keys only. An empty row has nothing to share among; the loss leaves it out anyway"),
        (wanted.unsqueeze(1), "tgt_mask has four axes: want (batch, tgt_len, tgt_len)"),
        ((tgt != 0).unsqueeze(1) & past, "tgt_mask compares with 0: use the pad id that is given"),
        ((tgt != src_pad).unsqueeze(1) & past, "tgt_mask is made with the pad id of the source: "
         "the target has its own, tgt_pad_id" if pad_id else "tgt_pad_id=0 is taken for a missing "
         "one: `or` passes over 0, so ask `tgt_pad_id is None`"),
    ])
    if SRC_LEN in mask.shape:
        raise Mistake(f"tgt_mask has shape {tuple(mask.shape)}, the length of the source: the "
                      "target looks at itself here")
    want_tensor(mask, whole, "of tgt_mask (batch, tgt_len, tgt_len)")
    b, i, j = (mask != wanted).nonzero()[0].tolist()
    verb = "sees" if mask[b, i, j] else "does not see"
    raise Mistake(f"tgt_mask: in sentence {b} position {i} {verb} position {j}. Want True "
                  "where j is a real token and j <= i")


# ---- 11.2 ----


@exercise("11.2")
def check_cross_attention(answer) -> str:
    """Who asks, who answers, and which mask, first at equal lengths, where mistakes would run."""
    for src_len, tgt_len in ((6, 6), (SRC_LEN, TGT_LEN)):
        judge_cross_attention(answer, src_len, tgt_len)
    return "Queries from the decoder, keys and values from the memory, the mask of the source"


def judge_cross_attention(answer, src_len: int, tgt_len: int) -> None:
    """Hold the answer against the known ways to connect the four tensors wrongly."""
    attention = MultiHeadAttention(D_MODEL, N_HEADS)
    x = torch.randn(BATCH, tgt_len, D_MODEL)
    words, memory = torch.randn(2, BATCH, src_len, D_MODEL)
    src_mask = torch.ones(BATCH, 1, src_len, dtype=torch.bool)
    src_mask[1, :, 4:] = False
    tgt_mask = causal_mask(tgt_len).expand(BATCH, -1, -1).clone()
    tgt_mask[0, :, 3:] = False
    with torch.no_grad():
        parts = call(answer, attention, x, words, memory, tgt_mask, src_mask)
        if isinstance(parts, Tensor):
            raise Mistake("want two tensors, output and weights: return what attention(...) gives")
        output, weights = two_tensors(parts, "output and weights, as attention(...) gives them")
        true, true_weights = attention(x, memory, memory, src_mask)
        if same(output, true_weights):
            raise Mistake("output and weights are exchanged: return them as attention gives them")
        if not same(output, true):
            name_mistake(output, connected_wrongly(attention, x, words, memory, tgt_mask, src_mask))
        want_tensor(output, (BATCH, tgt_len, D_MODEL), "of output (batch, tgt_len, d_model)")
        want_finite(output, "some query sees no key: is the mask turned round?")
        if not same(output, true):
            raise Mistake("the output is not attention(query, key, value, mask) for any wiring "
                          "that is known here: use the layer that is given, once")
        if not same(weights, true_weights):
            raise Mistake("the output is right, the weights are not: return both as attention "
                          "gives them")


def connected_wrongly(
    attention, x: Tensor, words: Tensor, memory: Tensor, tgt_mask: Tensor, src_mask: Tensor
) -> list[tuple[Tensor, str]]:
    """What comes out of each wrong wiring, and what to say then."""
    square = x.size(1) == memory.size(1)
    cases = [
        (x, x, x, tgt_mask, "the decoder looks at itself again, with its own mask: keys and "
         "values come from memory"),
        (x, memory, memory, None, "the mask is missing: padding of the source is read"),
        (x, memory, memory, ~src_mask, "the mask is turned round: src_mask is True where a query "
         "may look, hand it over as it is"),
        (memory, memory, memory, src_mask, "the memory asks itself, as in the encoder: the "
         "queries come from the decoder's x"),
        (x, words, words, src_mask, "keys and values come from the words, the bare embeddings: "
         "the decoder reads memory, what the encoder made of them"),
        (x, words, memory, src_mask, "the keys come from the words: keys and values both from "
         "memory"),
        (x, memory, words, src_mask, "the values come from the words: keys and values both from "
         "memory"),
        (words, memory, memory, src_mask, "the queries come from the source words: the decoder's "
         "x asks"),
    ]
    if square:
        past = causal_mask(x.size(1))
        cases += [
            (memory, x, x, tgt_mask, "queries and keys have changed sides, with tgt_mask: the "
             "decoder's x asks, the memory answers"),
            (memory, x, x, src_mask, "the memory asks and the decoder answers: the other way "
             "round"),
            (memory, x, x, None, "the memory asks and the decoder answers, unmasked: the other "
             "way round"),
            (x, x, x, None, "the decoder looks at itself, unmasked: keys and values come from "
             "memory"),
            (x, x, x, src_mask, "the decoder looks at itself, with the source's mask: keys and "
             "values come from memory"),
            (x, x, memory, src_mask, "the keys come from the decoder: keys and values both from "
             "memory"),
            (x, memory, x, src_mask, "the values come from the decoder: keys and values both from "
             "memory"),
            (x, memory, memory, tgt_mask, "the mask of the target hides words of the source: "
             "memory has a mask of its own, src_mask"),
            (x, memory, memory, past, "a causal mask on the memory: the whole source is there "
             "from the start, and its padding is to be hidden"),
            (x, memory, memory, src_mask & past, "src_mask and a causal mask: the whole source is "
             "there from the start, want src_mask alone"),
            (x, memory, memory, src_mask & tgt_mask, "src_mask and tgt_mask together: the rules "
             "of the target say nothing about the source, want src_mask alone"),
            (x, memory, memory, src_mask.transpose(1, 2), "the mask is transposed, so it hides "
             "queries: hand over src_mask as it is, (batch, 1, src_len)"),
        ]
    return [(attention(q, k, v, mask)[0], message) for q, k, v, mask, message in cases]


# ---- 11.3 ----


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


@exercise("11.3")
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


# ---- 11.4 ----


@exercise("11.4")
def check_both_outputs(answer) -> str:
    """Torch's output first (layout, masks, mode), then ours (mode, norms)."""
    if answer is ... or not callable(answer):
        call(answer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                # torch warns of batch_first=False
        theirs = nn.Transformer(D_MODEL, N_HEADS, 2, 2, 20, dropout=0.3)
        for part in theirs.modules():
            if isinstance(part, nn.LayerNorm):
                nn.init.normal_(part.weight)
                nn.init.normal_(part.bias)
        sizes = 2, D_MODEL, N_HEADS, 20, 0.3
        encoder, decoder = Encoder(*sizes), Decoder(*sizes)
        load_from_torch(encoder.layers, theirs.encoder.layers)
        load_from_torch(decoder.layers, theirs.decoder.layers)
        judge_outputs(answer, encoder, decoder, theirs)
    return "Two transposes, two inverted masks, two more LayerNorms, and eval mode"


def set_dropout(rate: float, *models: nn.Module) -> None:
    """Set every dropout in these models."""
    for model in models:
        for part in model.modules():
            if isinstance(part, nn.Dropout):
                part.p = rate
            elif isinstance(part, nn.MultiheadAttention):
                part.dropout = rate


def judge_outputs(answer, encoder, decoder, theirs) -> None:
    """Find out which of the two results is wrong, and why."""
    src, tgt = torch.randn(BATCH, SRC_LEN, D_MODEL), torch.randn(BATCH, TGT_LEN, D_MODEL)
    src_mask = torch.ones(BATCH, 1, SRC_LEN, dtype=torch.bool)
    src_mask[1, :, 4:] = False
    given = src, tgt, src_mask, causal_mask(TGT_LEN)
    models = encoder, decoder, theirs
    shape, axes = (BATCH, TGT_LEN, D_MODEL), "(batch, tgt_len, d_model)"
    found = {}
    for rate in (0.0, 0.3):                            # without dropout first: mode has no part
        set_dropout(rate, *models)
        for model in models:
            model.train()
        try:
            parts = call(answer, *models, *given)
        except Mistake as mistake:
            if "batch number" in str(mistake):
                raise Mistake(
                    "torch takes your batch for the length: this nn.Transformer was made with "
                    "batch_first=False, its default. Hand it src.transpose(0, 1)"
                ) from mistake
            raise
        found[rate] = two_tensors(parts, "ours and torch's: `return ours, torchs`")
    for model in models:
        model.eval()
    with torch.no_grad():
        true = torch_output(theirs, *given)
        ours, torchs = found[0.0]
        if torchs.shape == (TGT_LEN, BATCH, D_MODEL):
            raise Mistake("torch's output is (tgt_len, batch, d_model): transpose it back")
        want_tensor(torchs, shape, f"of torch's output {axes}")
        want_tensor(ours, shape, f"of our output {axes}")
        if not same(torchs, true):
            name_mistake(torchs, misled(theirs, *given))
            raise Mistake("torch's output is not what nn.Transformer gives here: is theirs called "
                          "once, with all three masks?")
        if not same(ours, true):
            name_mistake(ours, half_built(encoder, decoder, theirs, *given))
            raise Mistake("torch's output is right, ours is not: encoder, its last norm, decoder, "
                          "its last norm")
    for result, name in zip(found[0.3][::-1], ("torch's", "our")):
        if not same(result, true):
            raise Mistake(f"{name} output was computed in training mode, with dropout: two "
                          "random results cannot be equal. Call eval() first")


def torch_output(theirs, src, tgt, src_mask, tgt_mask, flip=(True, True, True)) -> Tensor:
    """The output of nn.Transformer, batch first; flip: which of the three masks to invert."""
    pads = src_mask.squeeze(1)
    masks = [~m if f else m for m, f in zip((tgt_mask, pads, pads), flip)]
    return theirs(
        src.transpose(0, 1), tgt.transpose(0, 1), tgt_mask=masks[0],
        src_key_padding_mask=masks[1], memory_key_padding_mask=masks[2],
    ).transpose(0, 1)


def misled(theirs, src, tgt, src_mask, tgt_mask) -> list[tuple[Tensor, str]]:
    """What torch gives for wrong masks, and what to say then."""
    given = src, tgt, src_mask, tgt_mask
    seen, open_ = torch.ones_like(src_mask), torch.ones_like(tgt_mask)
    rounds = "True means hidden here, the opposite of ours. Invert it with ~"
    no_memory_mask = theirs(
        src.transpose(0, 1), tgt.transpose(0, 1), tgt_mask=~tgt_mask,
        src_key_padding_mask=~src_mask.squeeze(1),
    ).transpose(0, 1)
    no_src_mask = theirs(
        src.transpose(0, 1), tgt.transpose(0, 1), tgt_mask=~tgt_mask,
        memory_key_padding_mask=~src_mask.squeeze(1),
    ).transpose(0, 1)
    return [
        (torch_output(theirs, *given, (False, False, False)), f"torch got our masks as they "
         f"are: {rounds}, each of the three"),
        (torch_output(theirs, *given, (False, True, True)), f"torch got our tgt_mask as it is: "
         f"{rounds}"),
        (torch_output(theirs, *given, (True, False, False)), f"torch got our source mask as it "
         f"is, twice: {rounds}"),
        (torch_output(theirs, *given, (True, False, True)), f"torch got our mask as "
         f"src_key_padding_mask: {rounds}"),
        (torch_output(theirs, *given, (True, True, False)), f"torch got our mask as "
         f"memory_key_padding_mask: {rounds}"),
        (torch_output(theirs, src, tgt, seen, tgt_mask), "torch got no mask for the source: it "
         "wants src_key_padding_mask and memory_key_padding_mask"),
        (torch_output(theirs, src, tgt, src_mask, open_), "torch got no tgt_mask: its decoder is "
         "not causal by itself"),
        (torch_output(theirs, src, tgt, seen, open_), "torch got no masks at all: want tgt_mask, "
         "src_key_padding_mask and memory_key_padding_mask"),
        (no_memory_mask, "torch's decoder reads the padding of the memory: it wants the source "
         "mask a second time, as memory_key_padding_mask"),
        (no_src_mask, "torch's encoder reads the padding: it wants src_key_padding_mask"),
    ]


def half_built(encoder, decoder, theirs, src, tgt, src_mask, tgt_mask) -> list:
    """What ours gives when a step is left out, and what to say then."""
    first, last = theirs.encoder.norm, theirs.decoder.norm

    def run(first, last, src_mask=src_mask, tgt_mask=tgt_mask, memory=None):
        memory = first(encoder(src, src_mask)) if memory is None else memory
        return last(decoder(tgt, memory, tgt_mask, src_mask)[0])

    nothing = nn.Identity()
    return [
        (run(nothing, nothing), "ours lacks two LayerNorms: nn.Transformer puts one behind its "
         "encoder and one behind its decoder, even with post-norm layers. Use its own: "
         "theirs.encoder.norm and theirs.decoder.norm"),
        (run(nothing, last), "ours lacks the LayerNorm behind the encoder: theirs.encoder.norm"),
        (run(first, nothing), "ours lacks the LayerNorm behind the decoder: theirs.decoder.norm"),
        (run(last, first), "the two last norms are exchanged: each has its own weights"),
        (run(first, last, ~src_mask, ~tgt_mask), "ours got inverted masks: True means may look "
         "in ours, only torch wants them turned round"),
        (run(first, last, None), "ours got no src_mask: encoder and decoder both want it"),
        (run(first, last, src_mask, None), "ours got no tgt_mask: the decoder sees its future"),
        (run(first, last, memory=src), "our decoder got the source vectors: it reads what the "
         "encoder made of them"),
    ]

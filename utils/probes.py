"""What may a model see? Tests to turn on any model (lessons 11, 13).

A model here is anything that gives logits (batch, tgt_len, vocab_size) for
model(src, src_mask, tgt), with src (batch, src_len), src_mask (batch, 1,
src_len), tgt (batch, tgt_len). stepwise_difference also needs encode, decode.
Each probe looks twice, in eval and in training mode: a mask that is made in
one mode only is a leak, too. BatchNorm in training mode mixes sentences and
positions, and the probes say so.

No probe sees a leak that takes several tokens at once, that needs a sentence
much longer than those of the batch, that stays within rounding (give the model in
float64), or that moves gradients and no logit.
"""

import copy
from contextlib import contextmanager
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

N_TOKENS = 1000        # of a larger vocabulary so many are tried
N_ROWS = 256           # sentences in one call, or the batch where that is larger
ROUNDING = 32          # a change of so many units in the last place is none


class Found(float):
    """A change of a logit that knows where it is: print it, or ask for .where.

    untried: what the model refused, such as a source longer than its table
    """

    def __new__(cls, value: float, where: str = "", untried=()):
        found = super().__new__(cls, value)
        found.where, found.untried = where, tuple(untried)
        return found

    def __str__(self) -> str:
        untried = f"; not tried: {', '.join(self.untried)}" if self.untried else ""
        return f"{float(self):.2g} ({self.where}{untried})"


class WithoutChance(TorchFunctionMode):
    """Dropout keeps everything, whoever calls it; random numbers made by hand are 0.5."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
        if "dropout" in name:
            return args[0] if args else kwargs["input"]
        if "dropout_p" in kwargs:                      # of an attention
            kwargs["dropout_p"] = 0.0
        result = func(*args, **kwargs)
        return result.fill_(0.5) if name in ("rand", "rand_like", "uniform_") else result


@contextmanager
def at_rest(model, training: bool = False):
    """Dropout and gradients off, fixed random numbers; then all as before.

    training: keep training mode, in which some models behave differently
    """
    parts = list(model.modules()) if isinstance(model, nn.Module) else []
    before = [(part, part.training, getattr(part, "dropout", None)) for part in parts]
    buffers = [(b, b.clone()) for part in parts for b in part.buffers(recurse=False)]
    with torch.random.fork_rng(devices=[]), torch.no_grad(), WithoutChance():
        torch.manual_seed(0)
        try:
            for part, _, rate in before:
                part.training = training
                if isinstance(rate, float):            # of nn.GRU, nn.MultiheadAttention
                    part.dropout = 0.0
            yield
        finally:
            for part, mode, rate in before:
                part.training = mode
                if isinstance(rate, float):
                    part.dropout = rate
            for buffer, kept in buffers:               # such as those of a BatchNorm
                buffer.copy_(kept)


def in_both_modes(model, measure) -> Tensor:
    """What measure() gives in eval and in training mode, (2, ...)."""
    found = []
    for training in (False, True):
        with at_rest(model, training):
            found.append(measure())
    return torch.stack(found)


def worst(changes: Tensor, words: str, untried=(), names=()) -> Found:
    """The largest change, and where it is.

    changes: (2, ...) of both modes    words: with places for its other indices
    names: what stands for the first of them
    """
    largest = changes.max().item()
    mode, *place = (changes == largest).nonzero()[0].tolist()
    if names:
        place[0] = names[place[0]]
    where = f"{('eval', 'training')[mode]} mode, {words.format(*place)}"
    return Found(largest, where if largest else "nowhere", untried)


def attempt(model, *given) -> Tensor | None:
    """The logits, None where the model refuses what it is given."""
    try:
        return model(*given)
    except (AssertionError, IndexError, RuntimeError, ValueError, Warning):
        return None


def change(before: Tensor, after: Tensor) -> Tensor:
    """The largest change of a logit at each position; nan is infinite.

    Both: (batch, tgt_len, vocab_size). Returns (batch, tgt_len). Where both
    are the same infinity, as for a banned token, nothing has changed; nor is
    rounding a change, measured by the logit and by the median of its position.
    """
    last_place = torch.finfo(before.dtype).eps
    wide = torch.promote_types(before.dtype, torch.float32)
    before, after = before.to(wide), after.to(wide)
    size = before.abs().masked_fill(~before.isfinite(), torch.nan)
    usual = size.nanmedian(dim=-1, keepdim=True).values
    noise = ROUNDING * last_place * torch.fmax(size, usual).nan_to_num(nan=0.0)
    distance = (before - after).abs()
    distance = distance.masked_fill((before == after) | (distance <= noise), 0.0)
    return distance.amax(dim=-1).nan_to_num(nan=torch.inf, posinf=torch.inf)


def other_tokens(tokens: Tensor, n_tokens: int | None = None) -> Tensor:
    """In every place another token at random, of those that occur, or of n_tokens."""
    known, places = tokens.unique(return_inverse=True)
    if n_tokens is not None:
        known, places = torch.arange(n_tokens, device=tokens.device), tokens
    if len(known) < 2:
        raise ValueError("want at least two different tokens to exchange")
    step = torch.randint_like(places, 1, len(known))
    return known[(places + step) % len(known)]


def vocabularies(model, src, src_mask, tgt) -> tuple[int, int]:
    """How many source and target tokens there are.

    The embedding that reads them knows; else, for the target, the width of
    the logits, and for the source, the largest token of the batch.
    """
    sizes = {}

    def look(part, given):
        for name, tokens in (("src", src), ("tgt", tgt)):
            if given[0].shape == tokens.shape and torch.equal(given[0], tokens):
                sizes[name] = min(part.num_embeddings, sizes.get(name, part.num_embeddings))

    parts = model.modules() if isinstance(model, nn.Module) else []
    hooks = [p.register_forward_pre_hook(look) for p in parts if isinstance(p, nn.Embedding)]
    try:
        width = model(src, src_mask, tgt).size(-1)
    finally:
        for hook in hooks:
            hook.remove()
    return sizes.get("src", int(src.max()) + 1), min(width, sizes.get("tgt", width))


def all_tokens(tokens: Tensor, n_tokens: int, keep_first: bool) -> Tensor:
    """The given rows, and below them rows that hold each token once in each column.

    keep_first: the first column stays, as <bos> does. The rows that are added
    are a multiple of those given.
    """
    n, some = len(tokens), torch.randperm(n_tokens, device=tokens.device)[:N_TOKENS]
    rows = torch.arange(-(-len(some) // n) * n, device=tokens.device)
    made = tokens[rows % n]
    for j in range(int(keep_first), tokens.size(1)):
        order = torch.randperm(len(some), device=tokens.device)
        made[:, j] = some[order[rows % len(some)]]
    return torch.cat([tokens, made])


def all_changes(model, src, src_mask, tgt, of_src=False) -> Tensor:
    """As change_matrix, of eval and of training mode, (2, batch, tgt_len, ...)."""
    n, place, tokens = len(src), 0 if of_src else 2, src if of_src else tgt

    def measure():
        n_tokens = vocabularies(model, src, src_mask, tgt)[0 if of_src else 1]
        rows, found = all_tokens(tokens, n_tokens, keep_first=not of_src), []
        if getattr(model, "training", False):
            rows = tokens
        for some in rows.split(max(1, N_ROWS // n) * n):
            times = len(some) // n
            given = [x.repeat(times, *(x.dim() - 1) * [1]) for x in (src, src_mask, tgt)]
            given[place] = some
            before, others = model(*given), other_tokens(some, n_tokens)
            for j in range(tokens.size(1)):
                given[place] = some.clone()
                given[place][:, j] = others[:, j]
                found.append(change(before, model(*given)).unflatten(0, (times, n)).amax(dim=0))
        return torch.stack(found, dim=-1).unflatten(-1, (-1, tokens.size(1))).amax(dim=-2)

    return in_both_modes(model, measure)


def change_matrix(model, src, src_mask, tgt, of_src=False) -> Tensor:
    """Entry b, i, j: how far the logits at i move when token j is another.

    j counts target tokens, or with of_src source tokens. Every token of the
    vocabulary is tried in every place (of more than N_TOKENS, so many), also
    in made-up sentences, which take the place of the sentences b in turn.
    In training mode the given sentences must do, with one other token a place.
    Returns (batch, tgt_len, tgt_len) or (batch, tgt_len, src_len).
    """
    return all_changes(model, src, src_mask, tgt, of_src).amax(dim=0)


def future_leak(model, src, src_mask, tgt) -> Found:
    """The largest change of a logit when a later target token changes.

    Every token is tried in every place, the target ends after each place, and
    it is repeated. Not seen: what happens only in a target more than twice as
    long, or beside certain tokens.
    """
    untried = {}
    twice = torch.cat([tgt, tgt[:, 1:]], dim=1)

    def other_lengths():
        found = torch.zeros(twice.size(1), *twice.shape)
        whole = attempt(model, src, src_mask, twice)
        if whole is None:
            untried["a longer target"] = True
            whole = model(src, src_mask, tgt)
        for end in range(1, whole.size(1)):
            less = attempt(model, src, src_mask, twice[:, :end])
            if less is None:
                untried["a shorter target"] = True
            else:
                found[end, :, :end] = change(whole[:, :end], less)
        return found

    lengths, later = in_both_modes(model, other_lengths), all_changes(model, src, src_mask, tgt)
    token = "sentence {}: logits at {} move with target token {}"
    length = "sentence {1}: logits at {2} move when the target ends after {0} tokens"
    return max(worst(later.triu(1), token, untried), worst(lengths, length, untried))


def padding_leak(model, src, src_mask, tgt, pad_id: int | None = None) -> Found:
    """The largest change of a logit when the padding of the source changes.

    Other tokens stand in it; there is more of it, or none; the first sentence
    holds nothing else, and must come out finite whatever stands there, while
    the others stay. pad_id: for a model that makes its own mask from this id:
    then no other token is put in, and only the length of the padding changes.
    Not seen: what reads padding in longer sources. Not tried: what the model
    refuses, such as an empty sentence or more positions than it has.
    """
    with at_rest(model):
        others = other_tokens(src, vocabularies(model, src, src_mask, tgt)[0])
    if pad_id is not None:
        others = torch.full_like(src, pad_id)
    whole, longer = (src, src_mask), torch.cat([src, others[:, :1], others[:, :1]], dim=1)
    each = torch.eye(len(src), dtype=torch.bool, device=src.device)
    cases = [("with a longer source", whole, (longer, F.pad(src_mask, (0, 2))), each.any(0))]
    for row, end in enumerate((src_mask[:, 0].cumsum(-1).argmax(-1) + 1).tolist()):
        if end < src.size(1):
            less = src[:, :end], src_mask[..., :end]
            cases.append(("with a shorter source", whole, less, each[row]))
    one = each[0].unsqueeze(1)                         # (batch, 1)
    nothing = src_mask & ~one.unsqueeze(1)
    hollow = src if pad_id is None else src.masked_fill(one, pad_id)
    cases += [("beside an empty sentence", whole, (hollow, nothing), ~each[0]),
              ("in an empty sentence", (hollow, nothing), (others.where(one, src), nothing),
               each[0])]
    untried = {}

    def measure():
        found = torch.zeros(len(cases), *tgt.shape)
        for number, (name, first, second, rows) in enumerate(cases):
            pair = [attempt(model, *given, tgt) for given in (first, second)]
            if pair[0] is None or pair[1] is None:
                untried[name] = True
            else:
                found[number] = change(*pair).where(rows.unsqueeze(1), 0.0)
        return found

    lengths = in_both_modes(model, measure)
    names = [name for name, *_ in cases]
    leaks = worst(lengths, "sentence {1}: logits at {2} move {0}", untried, names)
    if pad_id is not None:
        return leaks
    matrix = all_changes(model, src, src_mask, tgt, of_src=True).masked_fill(src_mask, 0.0)
    words = "sentence {}: logits at {} move with the padding at {}"
    return max(leaks, worst(matrix, words, untried))


def without_rounding(model, *given):
    """A copy in float32 of a model of half precision, else the model itself.

    Where no change is the fault, rounding must hide none.
    """
    weights = list(model.parameters()) if isinstance(model, nn.Module) else []
    if not any(w.dtype in (torch.float16, torch.bfloat16) for w in weights):
        return model
    exact = copy.deepcopy(model).float()
    with at_rest(exact):
        return model if attempt(exact, *given) is None else exact


def neighbour_matrix(model, src, src_mask, tgt) -> Tensor:
    """Row i, column j: how far sentence i moves when sentence j is another.

    Returns (batch, batch).
    """
    def measure():
        before, columns = model(src, src_mask, tgt), []
        for j in range(len(src)):
            rows = torch.arange(len(src))
            rows[j] = (j + 1) % len(src)               # the next one instead
            after = model(src[rows], src_mask[rows], tgt[rows])
            columns.append(change(before, after).amax(dim=1))
        return torch.stack(columns, dim=1)

    return in_both_modes(model, measure).amax(dim=0)


def neighbour_leak(model, src, src_mask, tgt) -> Found:
    """The largest change of a logit when each sentence stands alone.

    Infinite where the model refuses a sentence alone, as BatchNorm may. Not
    seen: what happens only beside other sentences than those given.
    """
    def measure():
        before, found = model(src, src_mask, tgt), []
        for row, given in enumerate(zip(src.split(1), src_mask.split(1), tgt.split(1))):
            alone = attempt(model, *given)
            alone = torch.full_like(before[:1], torch.nan) if alone is None else alone
            found.append(change(before[row : row + 1], alone))
        return torch.cat(found)

    return worst(in_both_modes(model, measure),
                 "sentence {}: logits at {} move when it stands alone")


def order_change(model, src, src_mask, tgt) -> Found:
    """The smallest change of a logit when the source words change their order.

    Any two places are exchanged, and all words are turned round or moved on.
    A model that cannot tell these orders gives 0: here 0 is the fault, and
    .where says which it does not see. Infinite where there is nothing to
    exchange. Not seen: orders that differ for certain words alone.
    """
    cases = {}
    for name, turn in (("turned round", lambda x: x.flip(0)), ("moved on", lambda x: x.roll(1))):
        cases[name] = src.clone()
        for row, seen in zip(cases[name], src_mask.squeeze(1)):
            row[seen] = turn(row[seen])
    for a, b in combinations(range(src.size(1)), 2):
        seen = src_mask[:, 0, a] & src_mask[:, 0, b]
        cases[f"words {a} and {b} exchanged"] = new = src.clone()
        new[seen, a], new[seen, b] = src[seen, b], src[seen, a]
    cases = {name: new for name, new in cases.items() if not torch.equal(new, src)}
    if not cases:
        return Found(torch.inf, "nowhere", ("no sentence has two different words",))
    model = without_rounding(model, src, src_mask, tgt)

    def measure():
        before = model(src, src_mask, tgt)
        return torch.stack([change(before, model(new, src_mask, tgt)).max()
                            for new in cases.values()])

    least = in_both_modes(model, measure).amin(dim=0)
    return Found(least.min().item(), list(cases)[int(least.argmin())])


def stepwise_difference(model, src, src_mask, tgt) -> Found:
    """The largest difference of a logit: one pass, or one token at a time.

    Each step is taken twice from the same state, which must not change: a
    beam search goes on from it several times. Then all words but the first
    come in one step. In eval mode every token is tried in every place, in
    made-up sentences; in training mode the given sentences must do.
    """
    untried, n = {}, len(src)

    def measure():
        rows = tgt
        if not getattr(model, "training", False):
            rows = all_tokens(tgt, vocabularies(model, src, src_mask, tgt)[1], keep_first=True)
        found = [measure_some(some) for some in rows.split(max(1, N_ROWS // n) * n)]
        return torch.stack(found).amax(dim=0)

    def measure_some(rows):
        times = len(rows) // n
        given = src.repeat(times, 1), src_mask.repeat(times, 1, 1)
        at_once, firsts, twins = model(*given, rows), [], []
        memory, state = model.encode(*given), None
        for token in rows.split(1, dim=1):
            firsts.append(model.decode(token, memory, given[1], state)[0])
            logits, state = model.decode(token, memory, given[1], state)
            twins.append(logits)
        _, state = model.decode(rows[:, :1], memory, given[1], None)
        rest = attempt(lambda: model.decode(rows[:, 1:], memory, given[1], state)[0])
        if rest is None:
            untried["several words in one step"] = True
            rest = at_once[:, 1:]
        firsts, twins = torch.cat(firsts, dim=1), torch.cat(twins, dim=1)
        several = torch.cat([at_once[:, :1], rest], dim=1)
        found = [change(at_once, firsts), change(firsts, twins), change(at_once, several)]
        return torch.stack(found).unflatten(1, (times, n)).amax(dim=1)

    return worst(in_both_modes(model, measure), "sentence {1}: logits at {2} differ {0}", untried,
                 ("from those of one pass", "when the step is taken again",
                  "when several words come in one step"))


def settings(part: nn.Module) -> set[tuple]:
    """What shapes do not tell of a part of ours or of torch's, where it is not usual."""
    words = dict(n_heads="heads", num_heads="heads", pre_norm="pre-norm", norm_first="pre-norm",
                 eps="eps", add_zero_attn="zero key")
    given = [(words.get(name, name), getattr(module, name)) for module in part.modules()
             for name in (*words, "activation") if hasattr(module, name)]
    relu = F.relu, torch.relu
    return {(word, str(value)) for word, value in given
            if value and value not in relu and not isinstance(value, nn.ReLU)}


def torch_weights(part: nn.Module):
    """Torch's weights in the order of ours: it packs W^Q, W^K and W^V."""
    packed = ()                      # stays so where keys have a width of their own
    for name, weight in part.named_parameters():
        if name.endswith("in_proj_weight"):
            packed = weight.chunk(3)
        elif name.endswith("in_proj_bias"):
            for pair in zip(packed, weight.chunk(3)):
                yield from pair
        else:
            yield weight


@torch.no_grad()
def load_from_torch(ours: nn.Module, theirs: nn.Module) -> None:
    """Give a part of ours the weights of torch's part of the same kind.

    Attention, LayerNorm, a layer, a list of layers, an encoder or a decoder.
    Raises ValueError where the two do not hold weights of the same shapes, or
    differ in what shapes do not tell.
    """
    own, other = list(ours.parameters()), list(torch_weights(theirs))
    kinds = f"{type(ours).__name__} from {type(theirs).__name__}"
    if [w.shape for w in own] != [w.shape for w in other]:
        raise ValueError(f"no such copy: {kinds}")
    if differ := settings(ours) ^ settings(theirs):
        raise ValueError(f"no such copy: {kinds}, which differ in {sorted(map(str, differ))}")
    for weight, source in zip(own, other):
        weight.copy_(source)

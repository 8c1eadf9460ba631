"""What may a model see? Tests to turn on any model (lessons 11, 13).

A model here is anything that gives logits (batch, tgt_len, vocab_size) for
model(src, src_mask, tgt), with src (batch, src_len), src_mask (batch, 1,
src_len), tgt (batch, tgt_len). stepwise_difference also needs encode, decode.
Each probe looks twice, in eval and in training mode: a mask that is made in
one mode only is a leak, too.
"""

from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def at_rest(model, training: bool = False):
    """Dropout and gradients off, fixed random numbers; then all as before.

    training: keep training mode, in which some models behave differently
    """
    parts = list(model.modules()) if isinstance(model, nn.Module) else []
    before = [(part, part.training, getattr(part, rate_of(part), None)) for part in parts]
    buffers = [(b, b.clone()) for part in parts for b in part.buffers(recurse=False)]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        try:
            for part, _, rate in before:
                part.training = training
                if isinstance(rate, float):
                    setattr(part, rate_of(part), 0.0)
            yield
        finally:
            for part, mode, rate in before:
                part.training = mode
                if isinstance(rate, float):
                    setattr(part, rate_of(part), rate)
            for buffer, kept in buffers:               # such as those of a BatchNorm
                buffer.copy_(kept)


def rate_of(part: nn.Module) -> str:
    """The name under which a module of torch keeps its rate of dropout."""
    return "p" if isinstance(part, nn.modules.dropout._DropoutNd) else "dropout"


def in_both_modes(model, measure) -> Tensor:
    """What measure() gives in eval and in training mode, (2, ...)."""
    found = []
    for training in (False, True):
        with at_rest(model, training):
            found.append(measure())
    return torch.stack(found)


def other_tokens(tokens: Tensor) -> Tensor:
    """In every place another one of the tokens that occur, at random."""
    known, places = tokens.unique(return_inverse=True)
    if len(known) < 2:
        raise ValueError("want at least two different tokens to exchange")
    step = torch.randint_like(places, 1, len(known))
    return known[(places + step) % len(known)]


def change(before: Tensor, after: Tensor) -> Tensor:
    """The largest change of a logit at each position; nan is infinite.

    Both: (batch, tgt_len, vocab_size). Returns (batch, tgt_len). Where both
    are the same infinity, as for a banned token, nothing has changed.
    """
    distance = (before - after).abs().masked_fill(before == after, 0.0)
    return distance.amax(dim=-1).nan_to_num(nan=torch.inf, posinf=torch.inf)


def change_matrix(model, src, src_mask, tgt, of_src=False) -> Tensor:
    """Entry b, i, j: how far the logits at i move when token j is another.

    j counts target tokens, or with of_src source tokens.
    Returns (batch, tgt_len, tgt_len) or (batch, tgt_len, src_len).
    """
    def measure():
        before, columns = model(src, src_mask, tgt), []
        tokens = src if of_src else tgt
        others = other_tokens(tokens)
        for j in range(tokens.size(1)):
            new = tokens.clone()
            new[:, j] = others[:, j]
            pair = (new, tgt) if of_src else (src, new)
            columns.append(change(before, model(pair[0], src_mask, pair[1])))
        return torch.stack(columns, dim=-1)

    return in_both_modes(model, measure).amax(dim=0)


def future_leak(model, src, src_mask, tgt) -> float:
    """The largest change of a logit when a later target token changes."""
    return change_matrix(model, src, src_mask, tgt).triu(1).max().item()


def padding_leak(model, src, src_mask, tgt) -> float:
    """The largest change of a logit when the padding of the source changes.

    Other tokens stand in it; there is more of it; the first sentence holds
    nothing else, and must come out finite while the others stay.
    """
    matrix = change_matrix(model, src, src_mask, tgt, of_src=True)
    longer = torch.cat([src, src[:, :2]], dim=1)
    hidden = torch.zeros_like(src_mask[..., :1]).expand(-1, -1, 2)
    empty = src_mask.clone()
    empty[0] = False

    def measure():
        before = model(src, src_mask, tgt)
        more = model(longer, torch.cat([src_mask, hidden], dim=-1), tgt)
        gone = model(src, empty, tgt)
        leaks = [change(before, more), change(before, gone)[1:],
                 gone[:1].isnan().any(dim=-1).float() * torch.inf]
        leaks = [leak.nan_to_num(nan=0.0, posinf=torch.inf) for leak in leaks]
        return torch.cat([leak.flatten() for leak in leaks]).max()

    largest = in_both_modes(model, measure).max().item()
    return max(matrix.masked_fill(src_mask, 0.0).max().item(), largest)


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


def neighbour_leak(model, src, src_mask, tgt) -> float:
    """The largest change of a logit when each sentence stands alone."""
    def measure():
        before = model(src, src_mask, tgt)
        rows = zip(src.split(1), src_mask.split(1), tgt.split(1))
        after = torch.cat([model(*row) for row in rows])
        return change(before, after).max()

    return in_both_modes(model, measure).max().item()


def order_change(model, src, src_mask, tgt) -> float:
    """The largest change of a logit when the source words are turned round.

    A model that cannot tell their order gives 0: here 0 is the fault.
    """
    turned = src.clone()
    for row, seen in zip(turned, src_mask.squeeze(1)):
        row[seen] = row[seen].flip(0)

    def measure():
        before, after = (model(s, src_mask, tgt) for s in (src, turned))
        return change(before, after).max()

    return in_both_modes(model, measure).min().item()


def stepwise_difference(model, src, src_mask, tgt) -> float:
    """The largest difference of a logit: one pass, or one token at a time."""
    def measure():
        at_once, steps = model(src, src_mask, tgt), []
        memory, state = model.encode(src, src_mask), None
        for token in tgt.split(1, dim=1):
            logits, state = model.decode(token, memory, src_mask, state)
            steps.append(logits)
        return change(at_once, torch.cat(steps, dim=1)).max()

    return in_both_modes(model, measure).max().item()


def torch_weights(part: nn.Module):
    """Torch's weights in the order of ours: it packs W^Q, W^K and W^V."""
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
    Raises ValueError where the two do not hold weights of the same shapes.
    """
    own, other = list(ours.parameters()), list(torch_weights(theirs))
    if [w.shape for w in own] != [w.shape for w in other]:
        kinds = type(ours).__name__, type(theirs).__name__
        raise ValueError(f"no such copy: {kinds[0]} from {kinds[1]}")
    for weight, source in zip(own, other):
        weight.copy_(source)

"""The checks of lesson 13 accept right answers and name each wrong one."""

import torch
import torch.nn.functional as F
from judging import Answers, Exercise, mutant

from utils.attention import causal_mask, merge_heads, split_heads
from utils.checks import inference as lesson
from utils.decoding import filter_logits
from utils.inference import (
    CachedTransformer,
    attend_to,
    cached_attention,
    cached_layer,
    embed_from,
    keep_top_p,
    keys_and_values,
    layer_flops,
)
from utils.transformer import Transformer

# ---- 13.1 and 13.5 ----


def att(*texts):
    return mutant(cached_attention, *texts)


MASK = "mask.tril(seq_len - new_len)"
JOIN = "(torch.cat(pair, dim=2) for pair in zip(past, (k, v)))"
RETURN = "[0], (k, v)"


def by_the_last_rows(attention, x, past=None):
    k, v = keys_and_values(attention, x)
    if past:
        k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
    mask = causal_mask(k.size(2))[-x.size(1):]
    return attend_to(attention, x, k, v, mask)[0], (k, v)


def by_torch(attention, x, past=None):
    """With torch's own attention, and no mask where a single token asks."""
    q, k, v = (split_heads(part(x), attention.n_heads) for part in (
        attention.query_map, attention.key_map, attention.value_map))
    if past is not None:
        k, v = torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)
    mask = None if x.shape[1] == 1 else causal_mask(k.shape[2])[k.shape[2] - x.shape[1]:]
    context = F.scaled_dot_product_attention(q, k, v, mask)
    return attention.output_map(merge_heads(context)), [k, v]


def by_positions(attention, x, past=None):
    """The mask from the places of both."""
    k, v = keys_and_values(attention, x)
    n_past = 0
    if past is not None:
        n_past = past[0].size(2)
        k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
    places = torch.arange(k.size(2))
    output, _ = attend_to(attention, x, k, v, places <= places[n_past:, None])
    return output, (k, v)


def by_empty_past(attention, x, past=None):
    """An empty past is a past; a batch axis in front of the mask."""
    new = keys_and_values(attention, x)
    old = past or [part[:, :, :0] for part in new]
    k, v = map(torch.cat, zip(old, new), [2, 2])
    mask = torch.ones(len(x), x.size(1), k.size(2)).tril(old[0].size(2)).bool()
    return attend_to(attention, x, k, v, mask)[0], (k, v)


def reads_twice(attention, x, past=None):
    keys_and_values(attention, x)
    return cached_attention(attention, x, past)


def writes_into_the_past(attention, x, past=None):
    result = cached_attention(attention, x, past)
    if past is not None:
        past[0].zero_()
    return result


def forgets_to_split(attention, x, past=None):
    k, v = attention.key_map(x), attention.value_map(x)
    if past is not None:
        k, v = torch.cat([past[0], k], dim=1), torch.cat([past[1], v], dim=1)
    return attend_to(attention, x, k, v)[0], (k, v)


SELF = "does not see itself"
ORDER = "stand before the old ones"
STEP = dict(
    right=[cached_attention, by_the_last_rows, by_torch, by_positions, by_empty_past,
           lambda *, attention, x, past: cached_attention(attention, x, past)],
    wrong=[
        (att(MASK, "mask.tril()"), "tril() counts from the first token"),
        (att(MASK, "mask.tril(seq_len - new_len - 1)"), SELF),
        (att(MASK, "mask.tril(seq_len - new_len + 1)"), "one diagonal too high"),
        (att(MASK, "~mask.tril(seq_len - new_len)"), "turned round"),
        (att(MASK, "mask"), "nothing is hidden"),
        (att(MASK, "mask[:, :new_len].tril()"), "a row for each new token and a column for every"),
        (att(MASK, "mask.triu()"), "sentence"),
        (att(JOIN, "(torch.cat(pair, dim=1) for pair in zip(past, (k, v)))"),
         "joined along the heads"),
        (att(JOIN, "(torch.cat(pair, dim=3) for pair in zip(past, (k, v)))"),
         "joined along the features"),
        (att(JOIN, "(torch.cat(pair, dim=0) for pair in zip(past, (k, v)))"),
         "joined along the batch"),
        (att(JOIN, "(torch.cat(pair, dim=4) for pair in zip(past, (k, v)))"), "k has four axes"),
        (att(JOIN, "(torch.cat(pair, dim=2) for pair in zip((k, v), past))"), ORDER),
        (att(JOIN, "(torch.cat([past[0], k], 2), torch.cat([v, past[1]], 2))"),
         "the values are joined in another order"),
        (att(JOIN, "(torch.cat([k, past[0]], 2), torch.cat([past[1], v], 2))"),
         "the keys are joined in another order"),
        (att(JOIN, "(torch.cat(pair, dim=2) for pair in zip(past[::-1], (k, v)))"),
         "old values are joined with new keys"),
        (att(JOIN, "past"), "left out where there is a past"),
        (att("if past is not None", "if False"), "the past has no part"),
        (att(RETURN, "[0], (k[:, :, -new_len:], v[:, :, -new_len:])"),
         "the new keys and values alone are returned"),
        (att(RETURN, "[0], (k, v) if past is None else past"), "the past is returned as it came"),
        (att(RETURN, "[0], (v, k)"), "returned in the wrong order"),
        (att("x, k, v, mask", "x, v, k, mask"), "attend_to gets values as keys"),
        (att("x, k, v, mask", "x, k, k, mask"), "attend_to gets the keys as values"),
        (att("x, k, v, mask", "x, k[:, :, -new_len:], v[:, :, -new_len:], mask[:, -new_len:]"),
         "look at one another alone"),
        (att(RETURN, ", (k, v)"), "take its [0]"),
        (att(RETURN, "[0], k, v"), "want two results"),
        (att(RETURN, "[0]"), "want two results, `return output, (k, v)`"),
        (att("return attend_to(attention, x, k, v, mask)[0], (k, v)",
             "return (k, v), attend_to(attention, x, k, v, mask)[0]"), "the wrong order: `return"),
        (att(RETURN, "[0], (k, None)"), "both tensors"),
        (att(RETURN, "[0], (k.detach(), v)"), "no gradient reaches"),
        (att("if past is not None:", "if True:"), "past is None"),
        (reads_twice, "or twice"),
        (writes_into_the_past, "in place"),
        (forgets_to_split, "raised"),
    ],
    hostile=[lambda a, x, p: (x, x), lambda a, x, p: (x, None), lambda a, x, p: (None, (x, x)),
             lambda a, x, p: (x, (x, x, x)), torch.nn.Linear(2, 2)],
    stubs=[lambda a, x, p: (..., (..., ...)), lambda a, x, p: (x, ...)],
    twins=["want two results, `return output, (k, v)`", "want two results"],
)
STEP_EXERCISE = Exercise(lesson.check_cached_attention, **STEP)
MEMORY_EXERCISE = Exercise(
    lesson.check_cached_from_memory, **STEP | {"wrong": STEP["wrong"][:14]})

# ---- 13.2 ----


def of_course(model, tgt, memory, src_mask, state=None):
    return CachedTransformer.decode(model, tgt, memory, src_mask, state)


def decode(model, tgt, memory, src_mask, state=None):
    """As in the course, one line a thought, so that a mutant changes one of them."""
    layers = model.decoder.layers
    if state is None:
        state = [(None, keys_and_values(layer.cross_attention, memory)) for layer in layers]
    past = state[0][0]
    start = 0 if past is None else past[0].size(2)
    x = embed_from(model.tgt_embedding, tgt, start)
    kept = []
    for layer, (past, source) in zip(layers, state):
        x, past, _ = cached_layer(layer, x, past, source, src_mask)
        kept.append((past, source))
    return model.out(model.decoder.norm(x)), tuple(kept)


def dec(*texts):
    return mutant(decode, *texts)


def by_a_dict(model, tgt, memory, src_mask, state=None):
    """The number of words in the state, which is a dict, and layers by number."""
    n_layers = len(model.decoder.layers)
    if state is None:
        state = {"past": [None] * n_layers, "n": tgt.new_zeros(len(tgt)), "source": [
            keys_and_values(layer.cross_attention, memory) for layer in model.decoder.layers]}
    x, past = embed_from(model.tgt_embedding, tgt, int(state["n"][0])), []
    for number, layer in enumerate(model.decoder.layers):
        given = state["past"][number], state["source"][number]
        x, new, _ = cached_layer(layer, x, *given, src_mask)
        past.append(new)
    state = {"past": past, "source": state["source"], "n": state["n"] + tgt.size(1)}
    return model.out(model.decoder.norm(x)), state


def by_hand(model, tgt, memory, src_mask, state=None):
    """Without cached_layer, each pair of keys and values in one flat tuple."""
    flat, x = [], None
    for n, layer in enumerate(model.decoder.layers):
        if state is None:
            past, source = None, keys_and_values(layer.cross_attention, memory)
        else:
            past, source = state[4 * n : 4 * n + 2], state[4 * n + 2 : 4 * n + 4]
        if x is None:
            x = embed_from(model.tgt_embedding, tgt, past[0].size(2) if past else 0)
        x, past, _ = cached_layer(layer, x, past, source, src_mask)
        flat += [*past, *source]
    return model.out(model.decoder.norm(x)), tuple(flat)


SOURCES = "keys_and_values(layer.cross_attention, memory)"


def slow_but_right(model, tgt, memory, src_mask, state=None):
    """The source's keys and values are made in each step."""
    state, kept = state or [None] * len(model.decoder.layers), []
    x = embed_from(model.tgt_embedding, tgt, state[0][0].size(2) if state[0] else 0)
    for layer, past in zip(model.decoder.layers, state):
        source = keys_and_values(layer.cross_attention, memory)
        x, past, _ = cached_layer(layer, x, past, source, src_mask)
        kept.append(past)
    return model.out(model.decoder.norm(x)), tuple(kept)


def all_anew(model, tgt, memory, src_mask, state=None):
    return Transformer.decode(model, tgt, memory, src_mask, state)


def adds_to_the_old_state(model, tgt, memory, src_mask, state=None):
    """A list that grows: the old state is the new one."""
    logits, new = decode(model, tgt, memory, src_mask, state)
    if state is None:
        return logits, list(new)
    state[:] = new
    return logits, state


class Hidden:
    """A state that no beam search can pick rows of."""

    def __init__(self, state):
        self.state = state


def hides_its_state(model, tgt, memory, src_mask, state=None):
    logits, new = decode(model, tgt, memory, src_mask, state and state.state)
    return logits, Hidden(new)


def in_an_attribute(model, tgt, memory, src_mask, state=None):
    logits, model.kept = decode(model, tgt, memory, src_mask, None if state is None else model.kept)
    return logits, True


START = "0 if past is None else past[0].size(2)"
DECODE = Exercise(
    lesson.check_cached_decode,
    right=[of_course, decode, by_a_dict, by_hand, slow_but_right,
           lambda *, model, tgt, memory, src_mask, state: decode(
               model, tgt, memory, src_mask, state)],
    wrong=[
        (dec(START, "0"), "each new word gets position 0"),
        (dec(START, "1 if past is None else past[0].size(2) + 1"), "the positions begin at 1"),
        (dec(START, "0 if past is None else past[0].size(2) - 1"),
         "the second word gets the position of the first"),
        (dec(START, "tgt.size(1)"), "the number of new words"),
        (dec(START, "memory.size(1)"), "the length of the source"),
        (dec("model.decoder.norm(x)", "x"), "LayerNorm is missing"),
        (dec("embed_from(model.tgt_embedding, tgt, start)", "model.tgt_embedding.embedding(tgt)"),
         "sentence"),
        (dec("embed_from(model.tgt_embedding, tgt, start)", "model.tgt_embedding(tgt)"),
         "each new word gets position 0"),
        (dec("embed_from(model.tgt_embedding, tgt, start)",
             "model.tgt_embedding.positions(model.tgt_embedding.embedding(tgt), start)"),
         "not multiplied by √d_model"),
        (dec("x = embed_from(model.tgt_embedding, tgt, start)",
             "e = model.tgt_embedding.embedding; x = e(tgt) * e.embedding_dim**0.5"),
         "get no positions"),
        (dec("source, src_mask)", "source)"), "padding of the source is not hidden"),
        (dec("source, src_mask)", "source, src_mask[:1])"), "the src_mask of the first"),
        (dec("kept.append((past, source))",
             "kept.append((past if first else state[len(kept)][0], source))",
             "past = state[0][0]", "past = state[0][0]; first = past is None"),
         "the state of the first step"),
        (dec("past, source, src_mask", "past, state[0][1], src_mask"), "the keys of layer 0"),
        (dec("past, source, src_mask", "past, state[-1][1], src_mask"), "the keys of the last"),
        (dec("past, source, src_mask", "state[0][0], source, src_mask"), "the past of layer 0"),
        (dec("past, source, src_mask", "state[-1][0], source, src_mask"), "the past of the last"),
        (dec("past, source, src_mask", "None, source, src_mask"), "the past never comes in"),
        (dec(SOURCES, "keys_and_values(layer.cross_attention, memory[:1].expand_as(memory))"),
         "the source of the first"),
        (dec(SOURCES, "keys_and_values(layer.attention, memory)"), "sentence"),
        (lambda model, tgt, memory, m, state=None: (model.predict(tgt, memory, m), (tgt,)),
         "sees its own words alone"),
        (lambda model, tgt, memory, m, state=None: decode(model, tgt[:, -1:], memory, m, state),
         "want logits (batch, new_len, vocab)"),
        (lambda *given: (decode(*given)[0], None), "comes back is None"),
        (lambda *given: decode(*given)[0], "want two results, `return logits, state`"),
        (lambda *given: decode(*given)[::-1], "want logits as a tensor"),
        (all_anew, "nothing is saved"),
        (adds_to_the_old_state, "must not change the state"),
        (hides_its_state, "beam search picks its rows"),
        (in_an_attribute, "beam search picks its rows"),
        (dec("if state is None:", "if not isinstance(state, list):"), "sees its own words alone"),
    ],
    hostile=[lambda *given: (given[1], given[1]), Transformer(5, 5)],
    stubs=[lambda *given: (..., ...)],
    twins=["beam search picks its rows", "sees its own words alone"],
)


def test_slow_is_right_and_said_so() -> None:
    remark = lesson.check_cached_decode(slow_but_right).message
    assert "slower than it need be" in remark and "35 tokens in all where 7 would do" in remark
    assert "slower" not in lesson.check_cached_decode(of_course).message


# ---- 13.3 ----

FILL = "ordered.masked_fill(before >= top_p, 0.0)"
DIVIDE = "kept / kept.sum(dim=-1, keepdim=True)"
BACK = "torch.zeros_like(shares).scatter(-1, tokens, ordered)"


def cut(*texts):
    return mutant(keep_top_p, *texts)


def top_p_by_filter(shares, top_p):
    """With the filter of lesson 06, on logits."""
    rows = filter_logits(shares.log().flatten(0, -2) if shares.dim() > 1 else shares.log()[None],
                         top_p=top_p)
    return rows.softmax(-1).view(shares.shape)


def top_p_by_rank(shares, top_p):
    """Each token asks how much stands before it; no sort to undo."""
    larger = shares.unsqueeze(-2) > shares.unsqueeze(-1)
    kept = shares * ((shares.unsqueeze(-2) * larger).sum(-1) < top_p)
    return kept / kept.sum(-1, keepdim=True)


def top_p_by_argsort(shares, top_p):
    order = shares.argsort(-1, descending=True)
    ordered = shares.gather(-1, order)
    ordered = torch.where(ordered.cumsum(-1) - ordered < top_p, ordered, 0)
    ordered = ordered / ordered.sum(-1, keepdim=True)
    return ordered.gather(-1, order.argsort(-1))


def top_p_by_loop(shares, top_p):
    rows = shares.reshape(-1, shares.size(-1))
    result = torch.zeros_like(rows)
    for row, out in zip(rows, result):
        total = 0.0
        for token in row.argsort(descending=True).tolist():
            if total >= top_p:
                break
            out[token] = row[token]
            total += row[token].item()
        out /= out.sum()
    return result.view(shares.shape)


TOP_P = Exercise(
    lesson.check_keep_top_p,
    right=[keep_top_p, top_p_by_filter, top_p_by_rank, top_p_by_argsort, top_p_by_loop],
    wrong=[
        (cut(FILL, "ordered.masked_fill(before + ordered > top_p, 0.0)"),
         "the token that crosses"),
        (cut(FILL, "torch.cat([ordered[..., :1], ordered[..., 1:].masked_fill("
             "(before + ordered)[..., 1:] > top_p, 0)], -1)"), "the token that crosses"),
        (cut(DIVIDE, "kept"), "does not sum to 1: divide"),
        (cut(DIVIDE, "kept.softmax(-1)"), "once more"),
        (cut(DIVIDE, "kept / kept.amax(dim=-1, keepdim=True)"), "by its largest share"),
        (cut(DIVIDE, "kept / kept.sum()"), "the sum of all rows"),
        (cut(DIVIDE, "(kept > 0) / (kept > 0).sum(-1, keepdim=True)"), "equal shares"),
        (cut(BACK, "ordered"), "never sorted back: share i"),
        (cut(BACK, "ordered", DIVIDE, "kept"), "never sorted back, and"),
        (cut(BACK, "ordered.gather(-1, tokens)"), "gather does not undo"),
        (cut("descending=True", "descending=False"), "the least likely tokens stay"),
        (cut(FILL, "ordered.masked_fill(ordered < 1 - top_p, 0.0)"), "1 - top_p or more stay"),
        (cut(FILL, "ordered.masked_fill(ordered < top_p, 0.0)"), "a share of top_p or more"),
        (cut("ordered, tokens = shares.sort(dim=-1, descending=True, stable=True)",
             "ordered, tokens = shares, torch.arange(shares.size(-1)).expand(shares.shape)"),
         "in the order of the vocabulary"),
        (lambda shares, top_p: shares, "nothing is taken out"),
        (cut(FILL, "ordered.masked_fill(before > 0, 0.0)"), "the likeliest token alone"),
        (cut("dim=-1, descending=True", "dim=0, descending=True",
             "before >= top_p", "before >= top_p + 1"), "row"),
        (cut("before >= top_p", "before >= top_p * 0.8"), "the fewest whose sum reaches"),
    ],
    hostile=[lambda shares, top_p: shares * float("nan"), lambda shares, top_p: shares[..., :2]],
    twins=["the token that crosses"],
)

# ---- 13.4 ----


def fl(*texts):
    return mutant(layer_flops, *texts)


def flops_in_one_line(seq_len, d_model, d_ff):
    return 4 * seq_len * d_model * (2 * d_model + seq_len + d_ff)


def flops_by_products(seq_len, d_model, d_ff):
    n, d = seq_len, d_model
    products = [(n, d, d)] * 4 + [(n, d, n), (n, n, d), (n, d, d_ff), (n, d_ff, d)]
    return sum(2 * a * b * c for a, b, c in products)


def flops_by_heads(seq_len, d_model, d_ff):
    n_heads = 4 if d_model % 4 == 0 else 1
    d_k = d_model // n_heads
    looks = sum(2 * seq_len * d_k * seq_len * 2 for _ in range(n_heads))
    return looks + 8 * seq_len * d_model**2 + 4 * seq_len * d_model * d_ff


MAPS, LOOKS, NET = "4 * 2 *", "2 * 2 * seq_len * seq_len * d_model", "2 * 2 * seq_len * d_model *"
SUM = "maps + looks + net"
FLOPS = Exercise(
    lesson.check_layer_flops,
    right=[layer_flops, flops_in_one_line, flops_by_products, flops_by_heads,
           lambda *, seq_len, d_model, d_ff: layer_flops(seq_len, d_model, d_ff)],
    wrong=[
        (fl(SUM, "maps + net"), "the two n² products are missing: q"),
        (fl(SUM, "maps + looks / 2 + net"), "one of the two n² products"),
        (fl(MAPS, "3 * 2 *"), "W^O is missing: the heads"),
        (fl(MAPS, "1 * 2 *"), "one map is counted"),
        (fl(SUM, "looks + net"), "the four maps of the attention are missing"),
        (fl(SUM, "maps + looks"), "the feed-forward net is missing"),
        (fl(SUM, "maps + looks + net // 2"), "one of the two maps of the feed-forward"),
        (fl(SUM, "(maps + looks + net) // 2"), "no addition: a product"),
        (fl(MAPS, "3 * 2 *", SUM, "(maps + looks + net) // 2"), "no addition, and W^O"),
        (fl(SUM, "(maps + net) // 2"), "no addition, and the two n²"),
        (fl(MAPS, "3 * 2 *", SUM, "maps + net"), "W^O and the two n² products are missing"),
        (fl(MAPS, "6 * 2 *"), "more than four maps"),
        (fl(LOOKS, "2 * 2 * seq_len**2 * d_model**2"), "has d_model once"),
        (fl(LOOKS, "2 * 2 * seq_len**2"), "an n² product also has d_model"),
        (fl(LOOKS, "2 * 2 * seq_len * d_model**2"), "counted with d_model²: their"),
        (fl(NET, "2 * 2 * seq_len * d_ff *"), "counted with d_ff²"),
        (fl("d_model * d_ff", "d_model * d_model"), "the net is counted with d_model²"),
        (fl(SUM, "(maps + looks + net) // seq_len"), "what one word costs"),
        (fl(SUM, "maps // seq_len + looks + net // seq_len"), "counted for one word"),
        (fl(SUM, "2 * (maps + looks + net)"), "twice as much"),
        (fl(SUM, "3 * (maps + looks + net)"), "three times as much"),
        (lambda n, d, f: 4 * d * d + 2 * d * f, "these are the weights"),
        (fl(SUM, "maps + looks + net + seq_len * d_ff"), "2 n d m"),
    ],
    hostile=[lambda n, d, f: float("nan"), lambda n, d, f: True],
)


class TestAnswers(Answers):
    exercises = (STEP_EXERCISE, DECODE, TOP_P, FLOPS, MEMORY_EXERCISE)

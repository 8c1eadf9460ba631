"""The checks of lesson 11 accept right answers and name each wrong one."""

import copy

import judging
import pytest
import torch
from judging import passes, refuses, tells_apart
from torch import nn

from utils.attention import MultiHeadAttention, causal_mask
from utils.checks import transformer as lesson
from utils.decoding import greedy_decode
from utils.probes import at_rest, future_leak, other_tokens
from utils.transformer import (
    AddNorm,
    Decoder,
    DecoderLayer,
    Encoder,
    FeedForward,
    TokenEmbedding,
    Transformer,
)

LAYER, WHOLE, WRITE, LEAK, MEMORY = (
    lesson.check_decoder_layer,
    lesson.check_transformer,
    lesson.check_write,
    lesson.check_leak_test,
    lesson.check_decoder_from_memory,
)


# ---- 11.1 and 11.5 ----


def layer(forward, base=DecoderLayer):
    """A class with the parts of DecoderLayer and another forward."""
    return type("Layer", (base,), {"forward": forward})


def steps(first=lambda s, y, m, t, k: s.attention(y, y, y, t)[0],
          second=lambda s, y, m, t, k: s.cross_attention(y, m, m, k)[0],
          last=lambda s, y, m, t, k: s.feed_forward(y)):
    """A layer whose sub-layers are these, each in its AddNorm."""
    def forward(self, x, memory, tgt_mask, src_mask):
        for norm, step in zip((self.add_norm1, self.add_norm2, self.add_norm3),
                              (first, second, last)):
            x = norm(x, lambda y, step=step: step(self, y, memory, tgt_mask, src_mask))
        return x
    return layer(forward)


def first(choose):
    return steps(first=lambda s, y, m, t, k: s.attention(*choose(y, m, t, k))[0])


def second(choose):
    return steps(second=lambda s, y, m, t, k: s.cross_attention(*choose(y, m, t, k))[0])


class OtherNames(nn.Module):
    """The parts have other names, stand in a list, and are called by keyword."""

    def __init__(self, d_model, n_heads, d_ff, dropout=0.0, pre_norm=False):
        super().__init__()
        self.looks = nn.ModuleList(MultiHeadAttention(d_model, n_heads) for _ in range(2))
        self.net = FeedForward(d_model, d_ff, dropout)
        self.norms = nn.ModuleList(AddNorm(d_model, dropout, pre_norm) for _ in range(3))

    def forward(self, x, memory, tgt_mask=None, src_mask=None):
        def past(y):
            output, _ = self.looks[0](query=y, key=y, value=y, mask=tgt_mask)
            return output

        def source(y):
            return self.looks[1](y, key=memory, value=memory, mask=src_mask)[0]

        for norm, step in zip(self.norms, (past, source, self.net)):
            x = norm(x, step)
        return x


def built(change):
    """DecoderLayer whose __init__ gets its five arguments changed."""
    def start(self, *sizes):
        DecoderLayer.__init__(self, *change(*sizes))
    return type("Layer", (DecoderLayer,), {"__init__": start, "forward": DecoderLayer.forward})


def order_turned(self, x, memory, tgt_mask, src_mask):
    x = self.add_norm1(x, lambda y: self.cross_attention(y, memory, memory, src_mask)[0])
    x = self.add_norm2(x, lambda y: self.attention(y, y, y, tgt_mask)[0])
    return self.add_norm3(x, self.feed_forward)


def net_between(self, x, memory, tgt_mask, src_mask):
    x = self.add_norm1(x, lambda y: self.attention(y, y, y, tgt_mask)[0])
    x = self.add_norm2(x, self.feed_forward)
    return self.add_norm3(x, lambda y: self.cross_attention(y, memory, memory, src_mask)[0])


def one_attention(self, x, memory, tgt_mask, src_mask):
    x = self.add_norm1(x, lambda y: self.attention(y, y, y, tgt_mask)[0])
    x = self.add_norm2(x, lambda y: self.attention(y, memory, memory, src_mask)[0])
    return self.add_norm3(x, self.feed_forward)


def one_norm(self, x, memory, tgt_mask, src_mask):
    x = self.add_norm1(x, lambda y: self.attention(y, y, y, tgt_mask)[0])
    x = self.add_norm1(x, lambda y: self.cross_attention(y, memory, memory, src_mask)[0])
    return self.add_norm1(x, self.feed_forward)


def not_handed_on(self, x, memory, tgt_mask, src_mask):
    self.add_norm1(x, lambda y: self.attention(y, y, y, tgt_mask)[0])
    self.add_norm2(x, lambda y: self.cross_attention(y, memory, memory, src_mask)[0])
    return self.add_norm3(x, self.feed_forward)


def with_weights(self, x, memory, tgt_mask, src_mask):
    return DecoderLayer.forward(self, x, memory, tgt_mask, src_mask), None


def nothing_asked(self, x, memory, tgt_mask, src_mask):
    return x


def in_no_grad(self, *given):
    with torch.no_grad():
        return DecoderLayer.forward(self, *given)


def memory_detached(self, x, memory, tgt_mask, src_mask):
    return DecoderLayer.forward(self, x, memory.detach(), tgt_mask, src_mask)


def x_detached(self, x, memory, tgt_mask, src_mask):
    return DecoderLayer.forward(self, x.detach(), memory, tgt_mask, src_mask)


# ---- 11.2 ----


class Parts(nn.Module):
    """What the stub of 11.2 gives."""

    def __init__(self, n_src, n_tgt, d_model=64, n_heads=4, n_layers=2, d_ff=128):
        super().__init__()
        sizes = n_layers, d_model, n_heads, d_ff, 0.0, True
        self.encoder, self.decoder = Encoder(*sizes), Decoder(*sizes)
        self.src_embedding = TokenEmbedding(n_src, d_model)
        self.tgt_embedding = TokenEmbedding(n_tgt, d_model)
        self.out = nn.Linear(d_model, n_tgt)

    def encode(self, src, src_mask):
        return self.encoder(self.src_embedding(src), src_mask)


def whole(decoded=None, **methods):
    """A class with the parts of the stub; decoded(self, y, memory, past, src_mask) is forward."""
    def forward(self, src, src_mask, tgt):
        y, memory = self.tgt_embedding(tgt), self.encode(src, src_mask)
        return decoded(self, y, memory, causal_mask(tgt.size(1)), src_mask)
    return type("Whole", (Parts,), {"forward": forward} | methods)


def right(self, y, memory, past, src_mask):
    return self.out(self.decoder(y, memory, past, src_mask))


def encoded(change):
    return whole(right, encode=change)


def loops(self, src, src_mask, tgt):
    memory, x = self.src_embedding(src), self.tgt_embedding(tgt)
    for part in self.encoder.layers:
        memory = part(memory, src_mask)
    memory = self.encoder.norm(memory)
    past = torch.arange(tgt.size(1))[:, None] >= torch.arange(tgt.size(1))
    for part in self.decoder.layers:
        x = part(x, memory, past, src_mask)
    return self.out(self.decoder.norm(x))


def forward_of(method):
    return whole(forward=method)


def decoder_reads_words(self, src, src_mask, tgt):
    past = causal_mask(tgt.size(1))
    return self.out(self.decoder(self.tgt_embedding(tgt), self.src_embedding(src), past, src_mask))


def one_embedding(self, src, src_mask, tgt):
    past = causal_mask(tgt.size(1))
    return self.out(self.decoder(self.src_embedding(tgt), self.encode(src, src_mask), past,
                                 src_mask))


# ---- 11.3 ----


def write(model, src, src_mask, bos_id, eos_id, max_len=40):
    tgt = torch.full((1, 1), bos_id)
    while tgt.size(1) <= max_len and tgt[0, -1] != eos_id:
        word = model(src, src_mask, tgt)[:, -1:].argmax(dim=-1)
        tgt = torch.cat([tgt, word], dim=1)
    return tgt


def write_by_list(model, src, src_mask, bos_id, eos_id, max_len):
    words = [bos_id]
    for _ in range(max_len):
        words.append(model(src, src_mask, torch.tensor([words]))[0, -1].softmax(-1).argmax().item())
        if words[-1] == eos_id:
            break
    return torch.tensor([words])


def written(step=lambda logits: logits[:, -1:].argmax(dim=-1), start=lambda bos, eos: bos,
            read=lambda tgt: tgt, stop=lambda word, bos, eos: word == eos, most=lambda n: n,
            give=lambda tgt, eos: tgt):
    """A loop with one fault in its arguments."""
    def answer(model, src, src_mask, bos_id, eos_id, max_len):
        tgt = torch.full((1, 1), start(bos_id, eos_id))
        for _ in range(most(max_len)):
            tgt = torch.cat([tgt, step(model(src, src_mask, read(tgt)))], dim=1)
            if stop(tgt[0, -1], bos_id, eos_id):
                break
        return give(tgt, eos_id)
    return answer


def new_word_first(model, src, src_mask, bos_id, eos_id, max_len):
    tgt = torch.full((1, 1), bos_id)
    while tgt.size(1) <= max_len and tgt[0, -1] != eos_id:
        tgt = torch.cat([model(src, src_mask, tgt)[:, -1:].argmax(-1), tgt], dim=1)
    return tgt


def spoils_src(model, src, *given):
    tokens = write(model, src, *given)
    src.zero_()
    return tokens


# ---- 11.4 ----


def leak_by_hand(model, src, src_mask, tgt, limit=1e-5, start=0, rows=slice(None), near=False):
    """Change each token in turn; the faults are in the arguments."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        before, found = model(src, src_mask, tgt), False
        for j in range(1 + start, tgt.size(1)):
            changed = tgt.clone()
            changed[:, j] = (changed[:, j] + 1) % before.size(-1)
            after = model(src, src_mask, changed)
            first = j - 1 if near else 0
            gap = (before - after)[rows, first:j].abs().max()
            found = found or bool(gap > limit)
    model.train(was_training)
    return found


def leak_by_sentence(model, *batch):
    """One sentence at a time."""
    return any(leak_by_hand(model, *(part[b : b + 1] for part in batch))
               for b in range(len(batch[0])))


def leak_on_a_copy(model, src, src_mask, tgt):
    """All later tokens at once, on a copy of the model, for each position."""
    model = copy.deepcopy(model).eval()
    for i in range(tgt.size(1) - 1):
        later = torch.cat([tgt[:, : i + 1], other_tokens(tgt)[:, i + 1 :]], dim=1)
        gap = model(src, src_mask, tgt)[:, i] - model(src, src_mask, later)[:, i]
        if gap.abs().max() > 1e-5:
            return True
    return False


def leak_by_prefixes(model, src, src_mask, tgt):
    """A prefix read alone must give what it gives inside the whole target."""
    with at_rest(model):
        whole = model(src, src_mask, tgt)
        gaps = [(model(src, src_mask, tgt[:, :n]) - whole[:, :n]).abs().max()
                for n in range(1, tgt.size(1))]
    return max(gaps).item() > 1e-5


def leak_by_one_more_token(model, src, src_mask, tgt):
    """Finds only what the end of the target hides: nothing inside is changed."""
    with at_rest(model):
        longer = torch.cat([tgt, tgt[:, :1]], dim=1)
        gap = model(src, src_mask, tgt) - model(src, src_mask, longer)[:, :-1]
    return gap.abs().max().item() > 1e-5


def two_runs(change, compare):
    """A leak test of two runs: change(tgt) makes the other target, compare(before, after)."""
    def answer(model, src, src_mask, tgt):
        with at_rest(model):
            before = model(src, src_mask, tgt)
            return bool(compare(before, model(src, src_mask, change(tgt))))
    return answer


def with_last(tgt):
    return torch.cat([tgt[:, :-1], (tgt[:, -1:] + 1) % 11], dim=1)


def with_first(tgt):
    return torch.cat([(tgt[:, :1] + 1) % 11, tgt[:, 1:]], dim=1)


def moved(part):
    return lambda before, after: (before - after)[part].abs().max() > 1e-5


EARLIER, LATER, ALL = ((slice(None), slice(None, -1)), (slice(None), slice(1, None)), ...)


def largest_gap(model, src, src_mask, tgt, end=None):
    """The plain difference of a logit when one later token, before end, is another."""
    before, others, gaps = model(src, src_mask, tgt), other_tokens(tgt), []
    for j in range(1, len(tgt[0, :end])):
        changed = tgt.clone()
        changed[:, j] = others[:, j]
        gaps.append((before - model(src, src_mask, changed))[:, :j].abs().max().item())
    return max(gaps)


def all_but_the_last_token(model, *given):
    with at_rest(model):
        return largest_gap(model, *given, end=-1) > 1e-5


def dropout_on(model, *given):
    return largest_gap(model, *given) > 1e-5


def rounding_counts(model, *given):
    with at_rest(model):
        return largest_gap(model, *given) > 0


def stays_in_eval(model, src, src_mask, tgt):
    model.eval()
    return future_leak(model, src, src_mask, tgt) > 1e-5


def source_changed(model, src, src_mask, tgt):
    with at_rest(model):
        gap = model(src, src_mask, tgt) - model(other_tokens(src), src_mask, tgt)
    return bool(gap.abs().max() < 0)


def changed_to(token):
    def answer(model, src, src_mask, tgt):
        found = False
        with at_rest(model):
            before = model(src, src_mask, tgt)
            for j in range(1, tgt.size(1)):
                changed = tgt.clone()
                changed[:, j] = token
                gap = (before - model(src, src_mask, changed))[:, :j].abs().max()
                found = found or bool(gap > 1e-5)
        return found
    return answer


RIGHT = [
    (LAYER, DecoderLayer),
    (LAYER, steps()),
    (LAYER, OtherNames),
    (MEMORY, OtherNames),
    (MEMORY, DecoderLayer),
    (WHOLE, Transformer),
    (WHOLE, whole(right)),
    (WHOLE, forward_of(loops)),
    (WRITE, write),
    (WRITE, write_by_list),
    (LEAK, lambda *given: future_leak(*given) > 1e-5),
    (LEAK, leak_by_hand),
    (LEAK, leak_by_sentence),
    (LEAK, leak_on_a_copy),
    (LEAK, leak_by_prefixes),
    (LEAK, lambda *given: torch.tensor(future_leak(*given) > 1e-6)),
]

# check, wrong answer, words of its own message
WRONG = [
    (LAYER, layer(with_weights), "return one tensor, x"),
    (LAYER, layer(nothing_asked), "in this order: nothing"),
    (LAYER, layer(order_turned), "the memory is read first"),
    (LAYER, layer(net_between), "in this order: attention, net, attention"),
    (LAYER, layer(one_attention), "called twice"),
    (LAYER, layer(one_norm), "three different AddNorms"),
    (LAYER, layer(not_handed_on), "hand each step's x on"),
    (LAYER, layer(in_no_grad), "does not reach x"),
    (LAYER, layer(x_detached), "its gradient does not reach x:"),
    (LAYER, layer(memory_detached), "does not reach the memory"),
    (LAYER, steps(first=lambda s, y, m, t, k: s.attention(y, y, y, t)), "hand only the output on"),
    (LAYER, first(lambda y, m, t, k: (y, y, y)), "the first attention got no mask"),
    (LAYER, first(lambda y, m, t, k: (y, y, y, ~t)), "the first attention got tgt_mask turned"),
    (LAYER, first(lambda y, m, t, k: (y, y, y, t | True)), "first attention got the wrong mask"),
    (LAYER, first(lambda y, m, t, k: (y, m, m, k)), "the first attention reads the memory"),
    (LAYER, first(lambda y, m, t, k: (y, y, y, k)), "a mask does not fit"),
    (LAYER, second(lambda y, m, t, k: (y, m, m)), "the second attention got no mask"),
    (LAYER, second(lambda y, m, t, k: (y, m, m, ~k)), "the second attention got src_mask turned"),
    (LAYER, second(lambda y, m, t, k: (y, m, m, k | True)), "second attention got the wrong mask"),
    (LAYER, second(lambda y, m, t, k: (y, y, y, t)), "never reads the memory"),
    (LAYER, second(lambda y, m, t, k: (y, m, m.flip(1), k)), "are the memory, both"),
    (LAYER, steps(second=lambda s, y, m, t, k: s.cross_attention(m, m, m, k)[0][:, :5]),
     "the query of the second attention"),
    (LAYER, built(lambda d, h, f, p, n: (d, 3, f, p, n)), "an attention has 3 heads"),
    (LAYER, built(lambda d, h, f, p, n: (d, h, 20, p, n)), "the net is 20 wide"),
    (LAYER, built(lambda d, h, f, p, n: (d, h, f, 0.0, n)), "hand dropout on"),
    (LAYER, built(lambda d, h, f, p, n: (d, h, f, p, True)), "hand pre_norm on"),
    (LAYER, DecoderLayer(12, 3, 20), "hand over the class itself"),
    (LAYER, type("Layer", (nn.Module,), {"forward": nothing_asked}), "building it raised"),
    (WHOLE, encoded(lambda s, src, mask: s.src_embedding(src)), "returns the embedded words"),
    (WHOLE, encoded(lambda s, src, mask: s.encoder(s.src_embedding(src))), "encoder got no src"),
    (WHOLE, encoded(lambda s, src, mask: s.encoder(s.src_embedding(src), ~mask)),
     "encoder got src_mask turned"),
    (WHOLE, encoded(lambda s, src, mask: s.encoder(s.src_embedding(src), mask & causal_mask(7))),
     "encoder got a causal"),
    (WHOLE, encoded(lambda s, src, mask: s.encoder(s.tgt_embedding(src), mask)),
     "source goes through the embedding of the target"),
    (WHOLE, encoded(lambda s, src, mask: (s.encoder(s.src_embedding(src), mask), mask)),
     "encode returns one tensor"),
    (WHOLE, encoded(lambda s, src, mask: 2 * s.encoder(s.src_embedding(src), mask)),
     "the memory is not self.encoder"),
    (WHOLE, whole(lambda s, y, m, p, k: s.decoder(y, m, p, k)), "vectors of the decoder"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, p, k).softmax(-1)), "without softmax"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, p, k).log_softmax(-1)), "log_softmax"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, p, k)[:, -1:]), "only the last place"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, None, k)), "got no causal mask"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, ~p, k)), "causal mask is turned round"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, p.T, k)), "lies the wrong way"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, p, None)), "the decoder got no src_mask"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, p, ~k)), "decoder got src_mask turned"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, None, None)), "neither mask"),
    (WHOLE, whole(lambda s, y, m, p, k: (right(s, y, m, p, k), m)), "forward returns one tensor"),
    (WHOLE, whole(lambda s, y, m, p, k: 2 * right(s, y, m, p, k)), "the logits are not self.out"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, p, k).detach()), "does not reach"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m.detach(), p, k)), "does not reach encoder"),
    (WHOLE, forward_of(decoder_reads_words), "the embedded source words"),
    (WHOLE, forward_of(one_embedding), "target goes through the embedding of the source"),
    (WHOLE, whole(lambda s, y, m, p, k: right(s, y, m, causal_mask(5), k)), "does not fit"),
    (WHOLE, type("Whole", (nn.Module,), {"__init__": lambda s, *g: nn.Module.__init__(s),
                                         "forward": loops}), "has no self.src_embedding"),
    (WRITE, written(start=lambda bos, eos: eos), "it must be <bos>"),
    (WRITE, written(read=lambda tgt: tgt[:, -1:]), "one word only"),
    (WRITE, written(step=lambda logits: logits[:, :1].argmax(-1)), "not of the first"),
    (WRITE, written(step=lambda logits: logits[:, -1:].topk(2).indices[..., 1]), "not the likel"),
    (WRITE, written(stop=lambda *_: False), "it goes on after <eos>"),
    (WRITE, written(stop=lambda word, bos, eos: word in (0, 1)), "it stops after 4 words"),
    (WRITE, written(most=lambda n: n + 1), "you wrote 4 words after"),
    (WRITE, written(most=lambda n: n - 1), "which does not count"),
    (WRITE, written(give=lambda tgt, eos: tgt[:, 1:]), "<bos> is missing"),
    (WRITE, written(give=lambda tgt, eos: tgt[tgt != eos].unsqueeze(0)), "<eos> is missing"),
    (WRITE, written(give=lambda tgt, eos: tgt[0]), "of shape (1, n)"),
    (WRITE, written(give=lambda tgt, eos: tgt.tolist()), "want a tensor of token ids"),
    (WRITE, written(give=lambda tgt, eos: tgt.double()), "want torch.long"),
    (WRITE, new_word_first, "add the word at the end"),
    (WRITE, lambda model, src, mask, bos, eos, n: torch.tensor([[bos]]), "never asked"),
    (WRITE, lambda model, src, mask, bos, eos, n: write(model, src.flip(1), mask, bos, eos, n),
     "with src and src_mask as they came"),
    (WRITE, lambda model, src, mask, bos, eos, n: model(src, mask, torch.tensor([bos])),
     "got tgt of shape"),
    (LEAK, two_runs(with_first, moved(ALL)), "leave the changed position out"),
    (LEAK, two_runs(with_first, moved(LATER)), "you change the past"),
    (LEAK, dropout_on, "Call model.eval() first"),
    (LEAK, rounding_counts, "because of rounding"),
    (LEAK, stays_in_eval, "leaves the model in another mode"),
    (LEAK, lambda *given: future_leak(*given) > 1e-2, "tolerance is too wide"),
    (LEAK, all_but_the_last_token, "change the last token, too"),
    (LEAK, two_runs(with_last, moved(EARLIER)), "not only the last"),
    (LEAK, lambda *given: leak_by_hand(*given, near=True), "not only the one next to it"),
    (LEAK, lambda *given: leak_by_hand(*given, rows=slice(0, 1)), "the second sentence of"),
    (LEAK, lambda *given: leak_by_hand(*given, rows=slice(1, 2)), "compare all sentences"),
    (LEAK, changed_to(0), "where the token was 0 already"),
    (LEAK, changed_to(1), "where the token was 1 already"),
    (LEAK, lambda *given: False, "you ran the model 0 times"),
    (LEAK, lambda model, *given: bool(model(*given).isnan().any()), "you ran the model 1 times"),
    (LEAK, source_changed, "you changed the source"),
    (LEAK, two_runs(lambda tgt: tgt, moved(ALL)), "every run got the same tgt"),
    (LEAK, two_runs(lambda tgt: tgt.roll(1, 0), lambda a, b: a.shape != b.shape),
     "Their shape is always"),
    (LEAK, lambda *given: future_leak(*given), "want True (it leaks) or False"),
]


def changes_input(function, which):
    def answer(*given):
        given[which].mul_(0)
        return function(*given)

    return answer


CHECKS = [LAYER, WHOLE, WRITE, LEAK, MEMORY]
FUNCTIONS, CLASSES = [WRITE, LEAK], [LAYER, WHOLE, MEMORY]
BASES = [(LAYER, DecoderLayer), (WHOLE, Parts), (MEMORY, OtherNames)]
HOSTILE = [
    *judging.HOSTILE,
    (lambda *given: 7, "want"),
    (lambda *given: torch.tensor(float("nan")), "want"),
    (lambda *given: (None, None), "want"),
    (lambda *given: (torch.ones(2), torch.ones(2)), "want"),
]


@pytest.mark.parametrize("check, answer", RIGHT)
def test_right_answers(check, answer):
    passes(check, answer)


@pytest.mark.parametrize("check, answer, words", WRONG, ids=lambda part: part if isinstance(
    part, str) else "")
def test_wrong_answers_are_named(check, answer, words):
    refuses(check, answer, words)


def test_no_two_mistakes_share_a_message():
    tells_apart(w for w in WRONG if "not reach" not in w[2])


def test_what_is_missed_from_memory_is_named_too():
    for check, answer, words in WRONG:
        if check is LAYER:
            refuses(MEMORY, answer, words)


@pytest.mark.parametrize("answer", [
    leak_by_one_more_token,
    two_runs(with_last, moved((slice(None), slice(-2, -1)))),
    two_runs(with_last, moved((slice(None), -1))),
])
def test_leak_tests_that_look_in_too_few_places(answer):
    """They share their messages with mistakes above."""
    assert LEAK(answer).passed is False


@pytest.mark.parametrize("check", FUNCTIONS)
@pytest.mark.parametrize("answer, words", HOSTILE)
def test_hostile_answers(check, answer, words):
    refuses(check, answer, words)


def returns(value):
    return {name: lambda self, *given: value for name in ("forward", "encode")}


@pytest.mark.parametrize("check, base", BASES)
@pytest.mark.parametrize("value, words", [
    (None, "None"), (7, "want"), ("seven", "want"), (torch.tensor(float("nan")), "want"),
    ((None, None), "return"), (torch.ones(2), "want"),
])
def test_hostile_classes(check, base, value, words):
    refuses(check, type("Hostile", (base,), returns(value)), words)


@pytest.mark.parametrize("check", CLASSES)
@pytest.mark.parametrize("answer", [7, "seven", lambda *given: None, nn.Linear(2, 2), dict])
def test_what_is_no_class_of_modules(check, answer):
    assert check(answer).passed is not True


@pytest.mark.parametrize("check", CLASSES)
def test_a_forward_that_fails(check):
    def forward(self, *given):
        raise ValueError("no")

    base = Parts if check is WHOLE else DecoderLayer
    refuses(check, type("Failing", (base,), {"forward": forward, "encode": forward}), "no")


@pytest.mark.parametrize("check, answer", [
    (WRITE, spoils_src),
    (LEAK, changes_input(leak_by_hand, 3)),
    (LAYER, layer(changes_input(DecoderLayer.forward, 1))),
    (WHOLE, forward_of(changes_input(loops, 3))),
])
def test_a_changed_argument_is_noticed(check, answer):
    verdict = check(answer)
    assert verdict.passed is False and "in place" in verdict.message


@pytest.mark.parametrize("check", FUNCTIONS)
@pytest.mark.parametrize("stub", [..., lambda *given: ...])
def test_untouched_stubs(check, stub):
    assert check(stub).passed is None


@pytest.mark.parametrize("check, base", BASES)
def test_untouched_classes(check, base):
    assert check(type("Stub", (base,), returns(...))).passed is None
    assert check(type("Stub", (nn.Module,), {})).passed is None
    assert check(...).passed is None


def test_numbers():
    assert [check.exercise for check in CHECKS] == ["11.1", "11.2", "11.3", "11.4", "11.5"]


def test_what_is_written_is_what_greedy_decode_writes():
    torch.manual_seed(0)
    model, src = Transformer(11, 13, 12, 3).eval(), torch.tensor([[4, 5, 6]])
    mask = torch.ones(1, 1, 3, dtype=torch.bool)
    assert write(model, src, mask, 0, 1, 9)[:, 1:].equal(greedy_decode(model, src, mask, 0, 1, 9))

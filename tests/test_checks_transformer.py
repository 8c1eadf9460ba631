"""The checks of notebook 11 accept right answers and name each wrong one."""

import copy

import judging
import pytest
import torch
from judging import passes, refuses, tells_apart
from torch import nn

from utils.attention import causal_mask
from utils.checks import transformer as lesson
from utils.checks.transformer import torch_output
from utils.probes import at_rest, future_leak, other_tokens
from utils.text import padding_mask
from utils.transformer import make_masks

MASKS, CROSS, LEAK, BOTH = (
    lesson.check_make_masks,
    lesson.check_cross_attention,
    lesson.check_leak_test,
    lesson.check_both_outputs,
)


# ---- 11.1 ----


def masks_by_loops(src, tgt, pad_id, tgt_pad_id=None):
    tgt_pad_id = pad_id if tgt_pad_id is None else tgt_pad_id
    src_mask = torch.tensor([[[token != pad_id for token in row]] for row in src.tolist()])
    tgt_mask = torch.tensor([
        [[row[j] != tgt_pad_id and j <= i for j in range(len(row))] for i in range(len(row))]
        for row in tgt.tolist()
    ])
    return src_mask, tgt_mask


def masks_of_one_id(src, tgt, pad_id):
    places = torch.arange(tgt.size(1))
    past = places[:, None] >= places
    return [src.ne(pad_id)[:, None], tgt.ne(pad_id)[:, None].logical_and(past)]


def masks_of_any(*given):
    return make_masks(*given)


def src_as(change):
    """An answer to 11.1 whose source mask is changed: change(src, pad_id, tgt_pad_id)."""
    def answer(src, tgt, pad_id, tgt_pad_id=None):
        _, tgt_mask = make_masks(src, tgt, pad_id, tgt_pad_id)
        return change(src, pad_id, pad_id if tgt_pad_id is None else tgt_pad_id), tgt_mask
    return answer


def tgt_as(change):
    """An answer to 11.1 whose target mask is changed: change(real keys, past)."""
    def answer(src, tgt, pad_id, tgt_pad_id=None):
        src_mask, _ = make_masks(src, tgt, pad_id, tgt_pad_id)
        real = tgt != (pad_id if tgt_pad_id is None else tgt_pad_id)
        return src_mask, change(real, causal_mask(tgt.size(1)))
    return answer


def real(src, pad_id):
    return padding_mask(src, pad_id)


# ---- 11.2 ----


def by_keywords(attention, x, words, memory, tgt_mask, src_mask):
    return attention(query=x, key=memory, value=memory, mask=src_mask)


def as_a_list(attention, x, words, memory, tgt_mask, src_mask):
    output, weights = attention(x, memory, memory, src_mask.unsqueeze(1))
    return [output, weights]


def wired(choose):
    """An answer to 11.2: choose(x, words, memory, tgt_mask, src_mask) gives q, k, v, mask."""
    return lambda attention, *given: attention(*choose(*given))


# ---- 11.3 ----


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


def all_but_the_last_token(model, src, src_mask, tgt):
    with at_rest(model):
        return future_leak(lambda s, m, t: model(s, m, torch.cat([t, tgt[:, -1:]], 1))[:, :-1],
                           src, src_mask, tgt[:, :-1]) > 1e-5


def dropout_on(model, src, src_mask, tgt):
    return future_leak(lambda *given: model(*given), src, src_mask, tgt) > 1e-5


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


# ---- 11.4 ----


def outputs(encoder, decoder, theirs, src, tgt, src_mask, tgt_mask, *, first=None, last=None,
            ours=None, torchs=None, evaluate=("encoder", "decoder", "theirs")):
    """Both outputs; the faults are in the arguments."""
    models = dict(encoder=encoder, decoder=decoder, theirs=theirs)
    for name in evaluate:
        models[name].eval()
    first, last = first or theirs.encoder.norm, last or theirs.decoder.norm
    masks = ours(src_mask, tgt_mask) if ours else (src_mask, tgt_mask)
    memory = first(encoder(src, masks[0]))
    own = last(decoder(tgt, memory, masks[1], masks[0])[0])
    return own, (torchs or torch_output)(theirs, src, tgt, src_mask, tgt_mask)


def wrong(**faults):
    return lambda *given: outputs(*given, **faults)


def norms_exchanged(encoder, decoder, theirs, *given):
    return outputs(encoder, decoder, theirs, *given,
                   first=theirs.decoder.norm, last=theirs.encoder.norm)


def embeddings_read(encoder, decoder, theirs, src, tgt, src_mask, tgt_mask):
    _, torchs = outputs(encoder, decoder, theirs, src, tgt, src_mask, tgt_mask)
    return theirs.decoder.norm(decoder(tgt, src, tgt_mask, src_mask)[0]), torchs


def flipped(*flip):
    return wrong(torchs=lambda *given: torch_output(*given, flip))


def called(**changes):
    """Torch called with other masks: name=function of (hidden, future)."""
    def torchs(theirs, src, tgt, src_mask, tgt_mask):
        hidden = ~src_mask.squeeze(1)
        masks = dict(tgt_mask=~tgt_mask, src_key_padding_mask=hidden,
                     memory_key_padding_mask=hidden) | changes
        return theirs(src.transpose(0, 1), tgt.transpose(0, 1), **masks).transpose(0, 1)
    return wrong(torchs=torchs)


def batch_first(theirs, src, tgt, src_mask, tgt_mask):
    return theirs(src, tgt, tgt_mask=~tgt_mask)


def not_turned_back(*given):
    return torch_output(*given).transpose(0, 1)


def by_layers(encoder, decoder, theirs, src, tgt, src_mask, tgt_mask):
    """Both outputs with no use of our stacks' forward and with float masks for torch."""
    for model in (encoder, decoder, theirs):
        model.train(False)
    x, memory = tgt, src
    for layer in encoder.layers:
        memory = layer(memory, src_mask)
    memory = theirs.encoder.norm(memory)
    for layer in decoder.layers:
        x, _ = layer(x, memory, tgt_mask, src_mask)
    hidden = torch.zeros(src.shape[:2]).masked_fill(~src_mask[:, 0], -torch.inf)
    future = nn.Transformer.generate_square_subsequent_mask(tgt.size(1))
    torchs = theirs(src.permute(1, 0, 2), tgt.permute(1, 0, 2), tgt_mask=future,
                    src_key_padding_mask=hidden, memory_key_padding_mask=hidden)
    return [theirs.decoder.norm(x), torchs.permute(1, 0, 2)]


RIGHT = [
    (MASKS, make_masks),
    (MASKS, masks_by_loops),
    (MASKS, masks_of_one_id),
    (MASKS, masks_of_any),
    (CROSS, wired(lambda x, words, memory, tgt_mask, src_mask: (x, memory, memory, src_mask))),
    (CROSS, by_keywords),
    (CROSS, as_a_list),
    (LEAK, lambda *given: future_leak(*given) > 1e-5),
    (LEAK, leak_by_hand),
    (LEAK, leak_by_sentence),
    (LEAK, leak_on_a_copy),
    (LEAK, leak_by_prefixes),
    (LEAK, lambda *given: torch.tensor(future_leak(*given) > 1e-6)),
    (BOTH, outputs),
    (BOTH, by_layers),
]

# check, wrong answer, words of its own message
WRONG = [
    (MASKS, src_as(lambda s, p, t: s != p), "lacks the middle axis"),
    (MASKS, src_as(lambda s, p, t: (s != p).unsqueeze(-1)), "hides the padded queries"),
    (MASKS, src_as(lambda s, p, t: real(s, p).unsqueeze(1)), "src_mask has four axes"),
    (MASKS, src_as(lambda s, p, t: real(s, p) & causal_mask(7)), "src_mask is causal: the"),
    (MASKS, src_as(lambda s, p, t: causal_mask(7).expand(2, 7, 7)), "causal and shows the"),
    (MASKS, src_as(lambda s, p, t: real(s, p).expand(2, 7, 7)), "one equal row"),
    (MASKS, src_as(lambda s, p, t: ~real(s, p)), "src_mask is turned round"),
    (MASKS, src_as(lambda s, p, t: real(s, p) | True), "shows everything"),
    (MASKS, src_as(lambda s, p, t: real(s, 0)), "src_mask compares with 0"),
    (MASKS, src_as(lambda s, p, t: real(s, t)), "pad id of the target"),
    (MASKS, src_as(lambda s, p, t: real(s, p)[..., :5]), "the length of the target"),
    (MASKS, src_as(lambda s, p, t: real(s, p)[..., :6]), "of src_mask (batch, 1, src_len)"),
    (MASKS, src_as(lambda s, p, t: real(s, p) & real(s, 1)), "exactly where src"),
    (MASKS, src_as(lambda s, p, t: real(s, p).float()), "src_mask has type torch.float32"),
    (MASKS, tgt_as(lambda r, past: past), "only causal, (tgt_len, tgt_len)"),
    (MASKS, tgt_as(lambda r, past: past.expand(2, 5, 5)), "the padding of the target is missing"),
    (MASKS, tgt_as(lambda r, past: r.unsqueeze(1)), "(batch, 1, tgt_len): the causal half"),
    (MASKS, tgt_as(lambda r, past: r.unsqueeze(1).expand(2, 5, 5)), "the future is open"),
    (MASKS, tgt_as(lambda r, past: r.unsqueeze(1) | past), "joined by OR"),
    (MASKS, tgt_as(lambda r, past: ~(r.unsqueeze(1) & past)), "tgt_mask is turned round"),
    (MASKS, tgt_as(lambda r, past: ~r.unsqueeze(1) & past), "padding half is turned"),
    (MASKS, tgt_as(lambda r, past: r.unsqueeze(1) & ~past), "causal half is turned"),
    (MASKS, tgt_as(lambda r, past: r.unsqueeze(1) & past.T), "the wrong way"),
    (MASKS, tgt_as(lambda r, past: r.unsqueeze(1) & past.tril(-1)), "does not see itself"),
    (MASKS, tgt_as(lambda r, past: r.unsqueeze(2) & past), "not the columns"),
    (MASKS, tgt_as(lambda r, past: r.unsqueeze(2) & r.unsqueeze(1) & past), "empties the rows"),
    (MASKS, tgt_as(lambda r, past: (r.unsqueeze(1) & past).unsqueeze(1)), "tgt_mask has four"),
    (MASKS, tgt_as(lambda r, past: r.unsqueeze(1) & past.roll(-1, 0).tril(1)), "sees position"),
    (MASKS, tgt_as(lambda r, past: (r.unsqueeze(1) & past).long()), "tgt_mask has type"),
    (MASKS, tgt_as(lambda r, past: causal_mask(7).expand(2, 7, 7)), "the length of the source"),
    (MASKS, tgt_as(lambda r, past: (r.unsqueeze(1) & past)[:, :4]), "of tgt_mask (batch, tgt_len"),
    (MASKS, lambda s, t, p, q=None: make_masks(s, t, p, p), "pad id of the source"),
    (MASKS, lambda s, t, p, q=None: make_masks(s, t, p, q or p), "`or` passes over 0"),
    (MASKS, lambda s, t, p: make_masks(s, t, p, 0), "tgt_mask compares with 0"),
    (MASKS, lambda *given: make_masks(*given)[::-1], "wrong order"),
    (MASKS, lambda *given: make_masks(*given)[0], "want two tensors, `return src_mask"),
    (CROSS, wired(lambda x, w, m, t, s: (x, x, x, t)), "looks at itself again"),
    (CROSS, wired(lambda x, w, m, t, s: (x, m, m)), "the mask is missing"),
    (CROSS, wired(lambda x, w, m, t, s: (x, m, m, ~s)), "the mask is turned round"),
    (CROSS, wired(lambda x, w, m, t, s: (m, m, m, s)), "the memory asks itself"),
    (CROSS, wired(lambda x, w, m, t, s: (x, w, w, s)), "the bare embeddings"),
    (CROSS, wired(lambda x, w, m, t, s: (x, w, m, s)), "the keys come from the words"),
    (CROSS, wired(lambda x, w, m, t, s: (x, m, w, s)), "the values come from the words"),
    (CROSS, wired(lambda x, w, m, t, s: (w, m, m, s)), "the queries come from the source words"),
    (CROSS, wired(lambda x, w, m, t, s: (m, x, x, t)), "changed sides, with tgt_mask"),
    (CROSS, wired(lambda x, w, m, t, s: (m, x, x, s)), "the decoder answers: the other"),
    (CROSS, wired(lambda x, w, m, t, s: (m, x, x)), "the decoder answers, unmasked"),
    (CROSS, wired(lambda x, w, m, t, s: (x, x, x)), "itself, unmasked"),
    (CROSS, wired(lambda x, w, m, t, s: (x, x, x, s)), "itself, with the source's mask"),
    (CROSS, wired(lambda x, w, m, t, s: (x, x, m, s)), "the keys come from the decoder"),
    (CROSS, wired(lambda x, w, m, t, s: (x, m, x, s)), "the values come from the decoder"),
    (CROSS, wired(lambda x, w, m, t, s: (x, m, m, t)), "the mask of the target hides words"),
    (CROSS, wired(lambda x, w, m, t, s: (x, m, m, causal_mask(6))), "a causal mask on the memory"),
    (CROSS, wired(lambda x, w, m, t, s: (x, m, m, s & causal_mask(6))), "src_mask and a causal"),
    (CROSS, wired(lambda x, w, m, t, s: (x, m, m, s & t)), "src_mask and tgt_mask together"),
    (CROSS, wired(lambda x, w, m, t, s: (x, m, m, s.transpose(1, 2))), "it hides queries"),
    (CROSS, lambda a, x, w, m, t, s: a(x, m, m, s)[0], "want two tensors, output and weights: ret"),
    (CROSS, lambda a, x, w, m, t, s: a(x, m, m, s)[::-1], "exchanged"),
    (CROSS, lambda a, x, w, m, t, s: (a(x, m, m, s)[0], 2 * a(x, m, m, s)[1]), "weights are not"),
    (CROSS, lambda a, x, w, m, t, s: (2 * a(x, m, m, s)[0], a(x, m, m, s)[1]), "any wiring"),
    (CROSS, lambda a, x, w, m, t, s: (a(x, m, m, s)[0] / 0, a(x, m, m, s)[1]), "sees no key"),
    (CROSS, lambda a, x, w, m, t, s: (a(x, m, m, s)[0][:1], a(x, m, m, s)[1]), "of output (batch"),
    (LEAK, two_runs(with_first, moved(ALL)), "leave the changed position out"),
    (LEAK, two_runs(with_first, moved(LATER)), "you change the past"),
    (LEAK, dropout_on, "Call model.eval() first"),
    (LEAK, lambda *given: future_leak(*given) > 0, "because of rounding"),
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
    (BOTH, wrong(first=nn.Identity(), last=nn.Identity()), "ours lacks two LayerNorms"),
    (BOTH, wrong(first=nn.Identity()), "lacks the LayerNorm behind the encoder"),
    (BOTH, wrong(last=nn.Identity()), "lacks the LayerNorm behind the decoder"),
    (BOTH, norms_exchanged, "the two last norms are exchanged"),
    (BOTH, wrong(ours=lambda s, t: (~s, ~t)), "ours got inverted masks"),
    (BOTH, wrong(ours=lambda s, t: (None, t)), "ours got no src_mask"),
    (BOTH, wrong(ours=lambda s, t: (s, None)), "ours got no tgt_mask"),
    (BOTH, embeddings_read, "our decoder got the source vectors"),
    (BOTH, wrong(last=lambda x: 2 * x), "torch's output is right, ours is not"),
    (BOTH, wrong(last=lambda x: x[:, :4]), "of our output"),
    (BOTH, wrong(evaluate=("encoder", "decoder")), "torch's output was computed in training"),
    (BOTH, wrong(evaluate=("theirs", "encoder")), "our output was computed in training"),
    (BOTH, wrong(torchs=batch_first), "takes your batch for the length"),
    (BOTH, wrong(torchs=not_turned_back), "transpose it back"),
    (BOTH, flipped(False, False, False), "each of the three"),
    (BOTH, flipped(False, True, True), "our tgt_mask as it is"),
    (BOTH, flipped(True, False, False), "our source mask as it is, twice"),
    (BOTH, flipped(True, False, True), "our mask as src_key_padding_mask"),
    (BOTH, flipped(True, True, False), "our mask as memory_key_padding_mask"),
    (BOTH, called(src_key_padding_mask=None, memory_key_padding_mask=None), "no mask for the"),
    (BOTH, called(tgt_mask=None), "torch got no tgt_mask"),
    (BOTH, called(tgt_mask=None, src_key_padding_mask=None, memory_key_padding_mask=None),
     "no masks at all"),
    (BOTH, called(memory_key_padding_mask=None), "reads the padding of the memory"),
    (BOTH, called(src_key_padding_mask=None), "torch's encoder reads the padding"),
    (BOTH, wrong(torchs=lambda t, s, x, m, c: torch_output(t, 2 * s, x, m, c)), "not what nn.Tr"),
    (BOTH, wrong(torchs=lambda *given: torch_output(*given)[:, :4]), "of torch's output"),
    (BOTH, lambda *given: outputs(*given)[0], "want two tensors, ours and"),
    (BOTH, lambda *given: (outputs(*given)[0], None), "one is of type NoneType"),
]


def changes_input(function, which):
    def answer(*given):
        given[which].mul_(0)
        return function(*given)

    return answer


CHECKS = [MASKS, CROSS, LEAK, BOTH]
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
    tells_apart(WRONG)


@pytest.mark.parametrize("answer", [
    leak_by_one_more_token,
    two_runs(with_last, moved((slice(None), slice(-2, -1)))),
    two_runs(with_last, moved((slice(None), -1))),
])
def test_leak_tests_that_look_in_too_few_places(answer):
    """They share their messages with mistakes above."""
    assert LEAK(answer).passed is False


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("answer, words", HOSTILE)
def test_hostile_answers(check, answer, words):
    refuses(check, answer, words)


@pytest.mark.parametrize("check, answer", [
    (MASKS, changes_input(make_masks, 0)),
    (CROSS, changes_input(by_keywords, 3)),
    (LEAK, changes_input(leak_by_hand, 3)),
    (BOTH, changes_input(outputs, 3)),
])
def test_a_changed_argument_is_noticed(check, answer):
    verdict = check(answer)
    assert verdict.passed is False and "in place" in verdict.message


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("stub", [..., lambda *given: ..., lambda *given: (..., ...)])
def test_untouched_stubs(check, stub):
    assert check(stub).passed is None


def test_numbers():
    assert [check.exercise for check in CHECKS] == ["11.1", "11.2", "11.3", "11.4"]

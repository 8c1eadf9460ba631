"""The checks of lesson 12: label smoothing, accumulated gradients, a leak, an honest report."""

from __future__ import annotations

import copy
import functools
import numbers
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.attention import causal_mask
from utils.checks.core import Mistake, call, exercise, run
from utils.checks.kinds import agree, case
from utils.corpora import plain
from utils.metrics import corpus_bleu
from utils.text import Batch, padding_mask
from utils.training import shift_target
from utils.transformer import Transformer
from utils.translation import accumulate, smoothed_loss

# ---- 12.1 and 12.5 ----


@exercise("12.1")
def check_smoothed_loss(answer) -> str:
    """Shares of the truth, padding as a token and as a place, extreme logits, gradients."""
    return judge_smoothed_loss(answer)


@exercise("12.5")
def check_smoothing_from_memory(answer) -> str:
    """The same as 12.1."""
    return judge_smoothed_loss(answer)


def judge_smoothed_loss(answer) -> str:
    """Judge a loss with a softened truth."""

    def loss_case(words, ids, pad_id, smoothing, spread=1.0, n_words=11, **more):
        target = torch.tensor(ids)
        logits = spread * torch.randn(*target.shape, n_words)
        return case(words, logits, target, pad_id, smoothing, **more)

    sure = torch.full((1, 3, 6), -3e4)
    sure[0, :, 2] = 0.0
    agree(answer, smoothed_loss, [
        loss_case("pad_id 3, smoothing 0.1", [[4, 0, 6, 7, 1], [8, 9, 1, 3, 3]], 3, 0.1),
        loss_case("smoothing 0", [[4, 0, 6, 7, 1], [8, 9, 1, 3, 3]], 3, 0.0, hint="then it is the "
                  "cross-entropy, and no share may become nan: 0 · log(0) is nan"),
        loss_case("pad_id 5, smoothing 0.3, other sizes", [[1, 4, 2], [6, 5, 5]], 5, 0.3, 1, 7),
        loss_case("pad_id 0 and nothing padded", [[4, 5], [6, 1]], 0, 0.2),
        loss_case("one sentence of padding alone", [[3, 3, 3], [4, 1, 3]], 3, 0.1),
        loss_case("logits of up to 600", [[4, 0, 6, 7, 1], [8, 9, 1, 3, 3]], 3, 0.1, 200,
                  hint="log(softmax) is log(0) there: log_softmax or logsumexp is not"),
        case("a model that is sure, with shares that are 0 in float32", sure,
             torch.tensor([[2, 4, 2]]), 0, 0.1, hint="log(softmax) is log(0) there: log_softmax "
             "or logsumexp is not"),
    ], smoothing_mistakes(), axes={"the loss": (), "logits": ("sentence", "word", "")},
        advice="Write down the wanted shares for V = 5 and one word: do they sum to 1, and is the "
        "one of <pad> 0?")
    return "Padding gets no share and costs nothing, and no share is ever put into a logarithm"


def soft_loss(shares: Callable) -> Callable:
    """A loss whose wanted shares, (..., V), come from a function of one-hot, V, pad_id, amount."""

    def loss(logits, target, pad_id, smoothing):
        logits = logits.float()
        truth = F.one_hot(target, logits.size(-1)).float()
        wanted = shares(truth, logits.size(-1), pad_id, smoothing)
        cost = -(wanted * logits.log_softmax(-1)).sum(-1)
        return cost[target != pad_id].sum()

    return loss


def without_pad(truth: Tensor, pad_id: int) -> Tensor:
    """One where a token is neither the truth nor padding."""
    others = 1 - truth
    others[..., pad_id] = 0
    return others


def right_shares(truth: Tensor, size: int, pad_id: int, amount: float) -> Tensor:
    """The wanted shares as they should be."""
    return (1 - amount) * truth + amount / (size - 2) * without_pad(truth, pad_id)


def smoothing_mistakes() -> list[tuple[Callable, str]]:
    """Losses with one thing wrong, and what to say then."""

    def counted(change: Callable) -> Callable:
        """A loss whose sum over the places is another one."""
        def loss(logits, target, pad_id, smoothing):
            logits = logits.float()
            truth = F.one_hot(target, logits.size(-1)).float()
            wanted = right_shares(truth, logits.size(-1), pad_id, smoothing)
            return change(-(wanted * logits.log_softmax(-1)).sum(-1), logits, target, pad_id,
                          smoothing)
        return loss

    def entropy(size, amount):
        others = torch.full((size - 2,), amount / (size - 2))
        shares = torch.cat([torch.tensor([1 - amount]), others])
        return torch.special.entr(shares).sum()

    def smooth(logits, target, reduction, amount, pad_id=-100):
        return F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), reduction=reduction,
                               label_smoothing=amount, ignore_index=pad_id)

    def by_sums(logits, target, amount, unwanted, real):
        """The formula that leaves out logarithms, for another <pad> and other places."""
        logits = logits.float()
        right = logits.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        others = logits.sum(dim=-1) - logits[..., unwanted] - right
        loss = logits.logsumexp(dim=-1) - (1 - amount) * right
        return ((loss - amount / (logits.size(-1) - 2) * others) * real).sum()

    turned = ("the truth gets `smoothing` and the others the rest: it is the other way round")
    zero = "the token with number 0 is taken for padding: use pad_id"
    all_places = "the places of padding are counted: they cost nothing"
    return [
        (soft_loss(lambda t, n, p, a: (1 - a) * t + a / (n - 1) * (1 - t)), "<pad> gets a share "
         "of the rest, as the V - 1 other tokens do: it is never right, so share the rest among "
         "V - 2"),
        (soft_loss(lambda t, n, p, a: (1 - a) * t + a / n * without_pad(t, p)), "the rest is "
         "divided by V: the shares do not sum to 1. V - 2 tokens share it, all but the right one "
         "and <pad>"),
        (soft_loss(lambda t, n, p, a: (1 - a) * t + a / (n - 1) * without_pad(t, p)), "the rest is "
         "divided by V - 1, and <pad> gets nothing: the shares do not sum to 1. V - 2 tokens share "
         "it"),
        (soft_loss(lambda t, n, p, a: (1 - a) * t + a / n), "the rest is shared among all V "
         "tokens, the right one and <pad> too, as label_smoothing of F.cross_entropy does: want "
         "the V - 2 others"),
        (soft_loss(lambda t, n, p, a: a * t + (1 - a) / (n - 2) * without_pad(t, p)), turned),
        (soft_loss(lambda t, n, p, a: right_shares(t, n, p, 1 - a if a else a)), turned),
        (soft_loss(lambda t, n, p, a: t + a / (n - 2) * without_pad(t, p)), "the truth still gets "
         "1, so the shares sum to more: want 1 - smoothing"),
        (soft_loss(lambda t, n, p, a: (1 - a) * t), "the truth gets less and nobody gets the "
         "rest: V - 2 other tokens share it"),
        (soft_loss(lambda t, n, p, a: (1 - a) * t + a * without_pad(t, p)), "each of the others "
         "gets all of `smoothing`: divide it among V - 2"),
        (soft_loss(lambda t, n, p, a: t), "nothing is smoothed: `smoothing` has no part"),
        (soft_loss(lambda t, n, p, a: right_shares(t, n, 0, a)), zero),
        (lambda z, y, p, a: by_sums(z, y, a, 0, y != p), zero),
        (counted(lambda c, z, y, p, a: c.sum()), all_places),
        (lambda z, y, p, a: by_sums(z, y, a, p, y == y), all_places),
        (lambda z, y, p, a: smooth(z, y, "sum", 0.0, p) * (1 - a) + a / (z.size(-1) - 2) * (
            -(z.log_softmax(-1) * without_pad(F.one_hot(y, z.size(-1)).to(z.dtype), p)).sum()),
         "the smoothed part is counted at places of padding, too: they cost nothing"),
        (counted(lambda c, z, y, p, a: c[y != p].sum() / (y != p).sum()), "this is the mean over "
         "the tokens: return the sum"),
        (counted(lambda c, z, y, p, a: c.masked_fill(y == p, 0).sum() / y.numel()), "this is the "
         "mean over all places: return the sum over the real ones"),
        (counted(lambda c, z, y, p, a: c.masked_fill(y == p, 0).sum() / len(y)), "this is the mean "
         "over the sentences: return the sum"),
        (counted(lambda c, z, y, p, a: c.masked_fill(y == p, 0)), "these are the losses of the "
         "single places: add them up"),
        (counted(lambda c, z, y, p, a: -c[y != p].sum()), "the sign is wrong: a loss falls where "
         "the model gets better"),
        (counted(lambda c, z, y, p, a: c[y != p].sum() - (y != p).sum() * entropy(z.size(-1), a)),
         "this is the KL divergence, less by the entropy of the wanted shares: the gradient is the "
         "same, the loss is not. Want the cross-entropy"),
        (lambda z, y, p, a: smoothed_loss(z.log_softmax(-1).exp(), y, p, a), "softmax is applied "
         "twice: the loss does it itself"),
        (lambda z, y, p, a: smooth(z, y, "sum", a), "this is label_smoothing of F.cross_entropy, "
         "padding counted: it shares the rest among all V, the right token and <pad> too"),
        (lambda z, y, p, a: smooth(z, y, "mean", a, p), "this is the mean that F.cross_entropy "
         "gives: want a sum over the real places, and the rest shared among V - 2"),
    ]


# ---- 12.2 ----


@exercise("12.2")
def check_accumulate(answer) -> str:
    """The loss and the gradient of several parts against one batch of them all."""
    agree(loss_and_gradient(answer), loss_and_gradient(accumulate), [
        case("two parts of unequal length", small_model(), [part(2, 7, 2), part(3, 4, 3)], 0),
        case("one part", small_model(), [part(2, 6, 3)], 0),
        case("three parts and pad_id 4", small_model(), [part(2, 5, 4, 4), part(1, 8, 7, 4),
                                                         part(3, 3, 1, 4)], 4),
        case("two parts without padding", small_model(), [part(2, 5, 5), part(2, 3, 3)], 0),
        case("a gradient that is there before", small_model(before=1.0), [part(2, 5, 2)], 0,
             hint="add to it: zero_grad is the training loop's line"),
    ], [(loss_and_gradient(wrong), words) for wrong, words in accumulation_mistakes()],
        axes={"the loss": (), "the gradient": ("weight",)}, gradients=False, float64=False,
        tolerance=1e-4,
        advice="Count the real target tokens of all parts first; then each part's SUM of losses, "
        "divided by that count, goes backward")
    return "Every real token counts the same, in whichever part it stands"


def small_model(before: float = 0.0) -> Transformer:
    """A Transformer of 9 tokens; before: the gradient that each weight has already."""
    model = Transformer(9, 9, d_model=8, n_heads=2, n_layers=1, d_ff=8)
    model.before = before
    return model


def part(n_rows: int, tgt_len: int, shortest: int, pad_id: int = 0) -> Batch:
    """A batch of random sentences; the last one has `shortest` words to predict."""
    src = torch.randint(5, 9, (n_rows, 4))
    tgt = torch.randint(5, 9, (n_rows, tgt_len + 1))
    src[-1, 3:] = pad_id
    tgt[-1, shortest + 1 :] = pad_id
    return Batch(src, padding_mask(src, pad_id), tgt)


def loss_and_gradient(function: Callable) -> Callable:
    """What a function returns, and the gradient that it leaves in the model, as one vector."""
    if not callable(function):
        call(function)

    @functools.wraps(function, updated=())
    def both(model, parts, pad_id):
        model = copy.deepcopy(model)            # without its gradients
        for weight in model.parameters() if model.before else []:
            weight.grad = torch.full_like(weight, model.before)
        loss = run(function, (model, parts, pad_id))
        if loss is ...:
            return loss
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
        gradient = torch.cat([grad.flatten() for grad in found])
        is_number = isinstance(loss, Tensor | numbers.Real)
        if is_number and (gradient == model.before).all():
            raise Mistake("the model has no gradient afterwards: call .backward() on the loss of "
                          "each part")
        return loss.detach() if isinstance(loss, Tensor) else loss, gradient

    del both.__wrapped__    # its arguments are those of the stub, without smoothing
    return both


def accumulation_mistakes() -> list[tuple[Callable, str]]:
    """Steps with one thing wrong, and what to say then."""

    def step(divisor: Callable, returned: Callable = sum, loss_of: Callable = smoothed_loss,
             before: Callable = lambda model: None, shift: Callable = shift_target) -> Callable:
        def wrong(model, parts, pad_id):
            targets, losses = [shift(tgt)[1] for _, _, tgt in parts], []
            for (src, src_mask, tgt), target in zip(parts, targets):
                before(model)
                logits = model(src, src_mask, shift(tgt)[0])
                loss = loss_of(logits, target, pad_id, 0.0) / divisor(target, targets, pad_id)
                loss.backward()
                losses.append(loss.item())
            return returned(losses)
        return wrong

    def real(targets, pad_id):
        return sum((t != pad_id).sum().item() for t in targets)

    def all_of(t, ts, p):
        return real(ts, p)

    def with_padding(logits, target, pad_id, smoothing):
        return F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")

    return [
        (step(lambda t, ts, p: real([t], p) * len(ts)), "this is the mean of the parts' means: a "
         "token of a short part counts more. Divide each sum by the tokens of ALL parts"),
        (step(lambda t, ts, p: real([t], p)), "the means of the parts are added up, so the step "
         "grows with the number of parts: divide each sum by the tokens of ALL parts"),
        (step(lambda t, ts, p: real([t], p), lambda losses: sum(losses) / len(losses)), "the loss "
         "is the mean of the parts' means, and the gradient their sum: divide each sum by the "
         "tokens of ALL parts"),
        (step(lambda t, ts, p: sum(one.numel() for one in ts)), "padding is counted among the "
         "tokens: count where the target is not pad_id"),
        (step(lambda t, ts, p: sum(one.numel() for one in ts), loss_of=with_padding), "padding is "
         "counted, in the loss and in the number of tokens: leave out pad_id"),
        (step(all_of, loss_of=with_padding), "the loss of padding is added: smoothed_loss leaves "
         "it out"),
        (step(lambda t, ts, p: real(ts, 0)), "padding is taken to be 0: use pad_id"),
        (step(lambda t, ts, p: 1), "the sums are not divided: divide by the tokens of all parts"),
        (step(lambda t, ts, p: len(ts)), "the sums are divided by the number of parts: divide by "
         "the number of real target tokens"),
        (step(lambda t, ts, p: sum(map(len, ts))), "the sums are divided by the number of "
         "sentences: divide by the number of real target tokens"),
        (step(all_of, before=lambda model: model.zero_grad()), "zero_grad before each part throws "
         "the gradients of the parts before away: they are to add up"),
        (step(all_of, lambda losses: losses[-1]), "the gradient is right, the loss that is "
         "returned is that of the last part: add up all parts"),
        (step(all_of, lambda losses: sum(losses) / len(losses)), "the gradient is right, the loss "
         "that is returned is divided by the number of parts once more: add up"),
        (step(lambda t, ts, p: real([one[:, 1:] for one in ts], p),
              shift=lambda tgt: (tgt, tgt)), "the "
         "decoder reads the very tokens that it is to predict: shift_target gives both"),
        (step(all_of, shift=lambda tgt: (tgt[:, 1:], tgt[:, :-1])), "the two results of "
         "shift_target are exchanged: the decoder reads the first and predicts the second"),
        (lambda model, parts, pad_id: accumulate(model, parts[:1], pad_id), "only the first part "
         "is computed"),
        (lambda model, parts, pad_id: accumulate(model, parts[-1:], pad_id), "only the last part "
         "is computed"),
        (lambda model, parts, pad_id: accumulate(model, parts, pad_id, 0.1), "the loss is "
         "smoothed: want smoothing 0 here"),
    ]


# ---- 12.3 ----


@exercise("12.3")
def check_mended_loss(answer) -> str:
    """The loss of a training step, of which two lines leaked."""
    agree(answer, mended_loss, [
        case("a batch", leaky_model(), part(3, 6, 3), 0),
        case("one sentence of two words", leaky_model(), part(1, 2, 2), 0),
        case("pad_id 4", leaky_model(), part(2, 5, 2, 4), 4),
    ], leaks(), axes={"the loss": ()}, float64=False, tolerance=1e-4,
        advice="Ask of each line: may the decoder see here what it is to predict?")
    return "The decoder reads one token less than it predicts, and looks back only"


def leaky_model() -> Transformer:
    """A Transformer of 9 tokens with two decoder layers' worth of looking."""
    return Transformer(9, 9, d_model=8, n_heads=2, n_layers=1, d_ff=8)


def step_loss(read: Callable, wanted: Callable, mask: Callable, smoothing: float = 0.0,
              source: bool = True, count: Callable | None = None) -> Callable:
    """The loss of one step, with what is read, wanted and seen given by functions."""

    def loss(model, batch, pad_id):
        src, src_mask, tgt = batch
        tgt_in, tgt_out = read(tgt), wanted(tgt)
        memory = model.encode(src, src_mask)
        past = mask(tgt_in.size(1))
        x = model.decoder(model.tgt_embedding(tgt_in), memory, past, src_mask if source else None)
        n_tokens = count(tgt_out) if count else (tgt_out != pad_id).sum()
        return smoothed_loss(model.out(x), tgt_out, pad_id, smoothing) / n_tokens

    return loss


def all_but_last(tgt: Tensor) -> Tensor:
    """What the decoder reads."""
    return tgt[:, :-1]


def all_but_first(tgt: Tensor) -> Tensor:
    """What it is to predict."""
    return tgt[:, 1:]


def mended_loss(model, batch, pad_id):
    """The loss of a step that does not leak."""
    return step_loss(all_but_last, all_but_first, causal_mask)(model, batch, pad_id)


def leaks() -> list[tuple[Callable, str]]:
    """Steps that still leak, or are mended wrongly, and what to say then."""

    def whole(tgt):
        return tgt

    def inverted(n):
        return ~causal_mask(n)

    def strict(n):
        return torch.ones(n, n, dtype=torch.bool).tril(-1)

    def no_mask(n):
        return None

    two_in, two_out = (lambda tgt: tgt[:, :-2]), (lambda tgt: tgt[:, 2:])
    right = all_but_last, all_but_first
    return [
        (step_loss(whole, whole, inverted), "both leaks are still there: the decoder reads the "
         "very token that it is to predict, and its mask shows it the future"),
        (step_loss(*right, inverted), "one leak is mended, one is left: the mask is inverted. True "
         "means may look, and causal_mask is True for the past"),
        (step_loss(whole, whole, causal_mask), "one leak is mended, one is left: at each place the "
         "decoder reads the very token that it is to predict. Shift the two by one"),
        (step_loss(whole, whole, no_mask), "the decoder reads the very token that it is to "
         "predict, and without a mask all that follow"),
        (step_loss(*right, no_mask), "the shift is right, but without a mask each place sees the "
         "next word, which is its answer: causal_mask"),
        (step_loss(*right, strict), "the diagonal of the mask is closed: a place may look at its "
         "own word, which it has read already"),
        (step_loss(*right, lambda n: torch.ones(n, n, dtype=torch.bool).triu()), "the mask is the "
         "upper triangle: rows look at columns, so the past is the lower one, causal_mask"),
        (step_loss(two_in, two_out, causal_mask), "the target is shifted twice: each place is to "
         "say the word after the next one"),
        (step_loss(lambda tgt: tgt[:, 1:], lambda tgt: tgt[:, :-1], causal_mask), "the shift goes "
         "the wrong way: each place is to say the word before the one that it reads"),
        (step_loss(whole, lambda tgt: tgt.roll(-1, 1), causal_mask), "roll brings <bos> round to "
         "the end as a word to predict: cut the target, tgt[:, :-1] and tgt[:, 1:]"),
        (step_loss(lambda tgt: tgt[:, :-1], lambda tgt: tgt[:, :-1], causal_mask), "the last word "
         "is cut off both, so they are still equal: predict tgt[:, 1:]"),
        (step_loss(lambda tgt: tgt[:, 1:], lambda tgt: tgt[:, 1:], causal_mask), "the first word "
         "is cut off both, so they are still equal: read tgt[:, :-1]"),
        (step_loss(*right, causal_mask, source=False), "both leaks are mended, but padding of the "
         "source is open: hand src_mask on"),
        (step_loss(*right, causal_mask, smoothing=0.1), "both leaks are mended, but the loss is "
         "smoothed now: that line was right (0.0)"),
        (step_loss(*right, causal_mask, count=lambda t: t.numel()), "both leaks are mended, but "
         "padding is counted among the tokens: that line was right"),
        (step_loss(*right, causal_mask, count=lambda t: 1), "both leaks are mended, but the sum is "
         "not divided by the number of tokens: that line was right"),
    ]


# ---- 12.4 ----

TRAIN = [("a dog runs .", "Ein Hund läuft schnell durch den Park ."),
         ("A man sings .", "Ein Mann singt laut ein schönes Lied .")]
VALID = [("two dogs run .", "Zwei Hunde laufen heute im Park ."),
         ("a woman reads .", "Eine Frau liest heute ein Buch .")]
NEW = [("a man reads .", "Ein alter Mann liest ein Buch über Hunde und Katzen ."),
       ("two women sing .", "Zwei Frauen singen heute ein Lied .")]
KNOWN = [("A dog runs .", TRAIN[0][1]), ("a man sings .", "ein Mann singt laut ein kurzes Lied ."),
         TRAIN[1], (TRAIN[0][0], "Ein Hund rennt durch einen Park .")]
TEST = [KNOWN[0], *NEW, *KNOWN[1:]]
CUTS = {"first": (2, 3, 4), "best": (0, 2, 4), "lucky": (1, 0, 4), "by heart": (1, 1, 0),
        "worst": (4, 4, 4)}    # how many words a system leaves out: of valid, of new, of known


class System:
    """A translator of made-up sentences: it leaves out the last words of the truth."""

    def __init__(self, name: str):
        self.known = {plain(src): " ".join(tgt.split()[: len(tgt.split()) - cut])
                      for pairs, cut in zip((VALID, NEW, KNOWN), CUTS[name]) for src, tgt in pairs}
        self.begins = name == "best"

    def __call__(self, lines: list[str]) -> list[str]:
        """Write small letters; the best system begins a sentence with a capital."""
        written = [plain(self.known[plain(line)]) for line in lines]
        return [text.capitalize() for text in written] if self.begins else written


def score(written: list[str], truths: list[str]) -> float:
    """BLEU of the words as they are; capital letters count."""
    return corpus_bleu([w.split() for w in written], [t.split() for t in truths])


def right_report(systems, train, valid, test, bleu):
    """Chosen on valid, small letters on both sides, known sentences of test left out."""
    return report_by()(systems, train, valid, test, bleu)


def report_by(
    choose_on: str = "valid",
    fold: Callable = lambda written, truth: (plain(written), plain(truth)),
    known_by: Callable = lambda pair, train: plain(pair[0]) in {plain(src) for src, _ in train},
    scored: Callable = lambda bleu, written, truths: bleu(written, truths), best: Callable = max,
    report_on: str = "new",
) -> Callable:
    """A report in which one step is another one."""

    def report(systems, train, valid, test, bleu):
        new = [pair for pair in test if not known_by(pair, train)]
        parts = {"valid": valid, "test": test, "new": new}

        def points(name, pairs):
            rows = zip(systems[name]([src for src, _ in pairs]), pairs)
            folded = [fold(written, tgt) for written, (_, tgt) in rows]
            return scored(bleu, *map(list, zip(*folded)))

        chosen = best(systems, key=lambda name: points(name, parts[choose_on]))
        return chosen, points(chosen, parts[report_on]), len(test) - len(new)

    return report


@exercise("12.4")
def check_report(answer) -> str:
    """Which system is chosen, on which sentences it is scored, and in which letters."""
    five = {name: System(name) for name in CUTS}
    agree(answer, right_report, [
        case("five systems", five, TRAIN, VALID, TEST, score),
        case("systems in another order", dict(reversed(five.items())), TRAIN, VALID, TEST, score,
             hint="the best on valid, wherever it stands"),
        case("a test part that is all new", five, TRAIN, VALID, NEW, score),
        case("one system", {"lucky": five["lucky"]}, TRAIN, VALID, TEST, score),
    ], report_mistakes(), axes={"the name": (), "BLEU": (), "the number left out": ()},
        gradients=False, float64=False, explain=about_report)
    return "Chosen on valid, small letters on both sides, and nothing that stands in train"


def about_report(answered: list, wants: list) -> str:
    """Which of the three results is the first wrong one."""
    for got, want in zip(answered, wants):
        if not isinstance(got, tuple | list) or len(got) != 3:
            return ""
        if got[0] != want[0]:
            return (f"the system {got[0]!r} is chosen, want {want[0]!r}: the best BLEU on valid, "
                    "small letters on both sides")
        if got[2] != want[2]:
            return (f"{got[2]} test sentences are left out, want {want[2]}: those whose source, "
                    "as plain() writes it, stands in train")
    return ""


def report_mistakes() -> list[tuple[Callable, str]]:
    """Reports with one thing wrong, and what to say then."""

    def nobody(pair, train):
        return False

    def mean_of_sentences(bleu, written, truths):
        return sum(bleu([w], [t]) for w, t in zip(written, truths)) / len(truths)

    return [
        (report_by(choose_on="new"), "the system is chosen on test: then its test score is too "
         "good to be true. Choose on valid, look at test once"),
        (report_by(choose_on="test"), "the system is chosen on test, with the known sentences: "
         "choose on valid"),
        (report_by(fold=lambda w, t: (w, t)), "nothing is put into small letters: plain() both "
         "sides, for the models write small ones"),
        (report_by(fold=lambda w, t: (plain(w), t)), "only what the systems write is put into "
         "small letters, the truth keeps its capitals, so right words count as wrong: plain() "
         "both"),
        (report_by(known_by=nobody), "no test sentence is left out: those whose source stands in "
         "train are known by heart"),
        (report_by(known_by=nobody, choose_on="test"), "the system is chosen on test, and no "
         "sentence is left out"),
        (report_by(known_by=lambda pair, train: pair in train), "only whole pairs that stand in "
         "train are left out: a model knows a source by heart, whatever the translation is"),
        (report_by(known_by=lambda pair, train: pair[0] in {src for src, _ in train}), "sources "
         "are compared with their capitals: the model reads them without, so compare plain() of "
         "both"),
        (report_by(known_by=lambda pair, train: plain(pair[1]) in {plain(t) for _, t in train}),
         "the translations are compared: want the sources"),
        (report_by(known_by=lambda pair, train: plain(pair[0]) not in {plain(s) for s, _ in train}),
         "the score is of the known sentences: want the others"),
        (report_by(report_on="test"), "the known sentences are counted and yet scored: score the "
         "new ones alone"),
        (report_by(report_on="valid"), "the score is that of valid: report the new sentences of "
         "test"),
        (report_by(best=min), "the worst system on valid is chosen: want the best"),
        (report_by(best=lambda systems, key: next(iter(systems))), "the first system is chosen, "
         "whatever its score: want the best on valid"),
        (report_by(scored=lambda bleu, w, t: bleu(t, w)), "what is written and the truth are "
         "exchanged: bleu(written, truths)"),
        (report_by(scored=mean_of_sentences), "this is a mean of sentence scores: BLEU counts over "
         "the whole corpus, call bleu once"),
    ]

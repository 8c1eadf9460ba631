"""The checks of lesson 07 accept right answers and name each wrong one."""

import torch
import torch.nn.functional as F
from judging import Answers, Exercise, endless, fails, mutant
from torch import nn

from utils import attention
from utils.attention import SelfAttention, causal_mask, scaled_dot_product_attention
from utils.checks import scaled_dot_product_attention as lesson

NAN = float("nan")

# ---- 7.1 ----

SCALE, SOFT, MIX = "(q / d_k**0.5)", "masked_softmax(scores, mask)", "weights @ v, weights"


def att(*texts):
    return mutant(scaled_dot_product_attention, *texts)


def by(number):
    """Scores divided by another number."""
    return att(SCALE, f"(q / ({number}))")


def spread(text):
    """Other weights, whatever the mask."""
    return att(SOFT, text)


def hides(text):
    """Right without a mask; hides keys in another way with one."""
    return att(SOFT, f"scores.softmax(-1) if mask is None else {text}")


def mix(text):
    """Another context."""
    return att(MIX, f"{text}, weights")


def attention_by_torch(q, k, v, mask=None):
    context = F.scaled_dot_product_attention(q, k, v, mask)
    seen = torch.eye(k.size(-2), dtype=v.dtype).expand(*k.shape[:-1], k.size(-2))
    return context, F.scaled_dot_product_attention(q, k, seen, mask).nan_to_num()


def attention_by_einsum(q, k, v, mask=None):
    scores = torch.einsum("...td,...sd->...ts", q, k) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, -torch.inf)
    weights = torch.nan_to_num(F.softmax(scores, dim=-1))
    return [torch.einsum("...ts,...sd->...td", weights, v), weights]


def by_bare_exp(q, k, v, mask=None):
    scores = (q @ k.transpose(-2, -1) / q.size(-1) ** 0.5).exp()
    scores = scores if mask is None else scores * mask
    weights = scores / scores.sum(-1, keepdim=True).clamp(min=1e-30)
    return weights @ v, weights


def by_the_mean(q, k, v, mask=None):
    """A softmax that subtracts the mean of a row, not its largest score."""
    if mask is not None:
        return scaled_dot_product_attention(q, k, v, mask)
    scores = q @ k.transpose(-2, -1) / q.size(-1) ** 0.5
    powers = (scores - scores.mean(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True) @ v, powers / powers.sum(-1, keepdim=True)


def by_keys_on_the_left(q, k, v, mask=None):
    weights = (k @ q.transpose(-2, -1) / q.size(-1) ** 0.5).softmax(-1)
    return weights.transpose(-2, -1) @ v, weights


def changes_input(q, k, v, mask=None):
    q[0] = 0.0
    return scaled_dot_product_attention(q, k, v, mask)


LARGE = "a large negative number is not -inf"
ATTENTION = Exercise(
    lesson.check_scaled_dot_product_attention,
    right=[scaled_dot_product_attention, attention_by_torch, attention_by_einsum,
           lambda *, q, k, v, mask: scaled_dot_product_attention(q, k, v, mask)],
    wrong=[
        (by("1"), "not divided"),
        (by("d_k"), "by d_k itself"),
        (by("d_k ** 1 / 2"), "binds tighter"),
        (by("(3 * d_k) ** 0.5"), "√d_model"),
        (by("v.size(-1) ** 0.5"), "√d_v"),
        (by("k.size(-2) ** 0.5"), "√src_len"),
        (by("q.size(-2) ** 0.5"), "√tgt_len"),
        (by("q.size(1) ** 0.5"), "√q.size(1)"),
        (by("d_k ** -0.5"), "multiplied by √d_k"),
        (att(f"{SCALE} @ k.transpose(-2, -1)", "F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT",
             "d_k = q", "from torch.nn import functional as F; d_k = q"), "cosine"),
        (by("16**0.5"), "though not in all cases"),
        (by("8**0.5"), "Is a size written into your code?"),
        (spread("scores.softmax(-2)"), "over the queries"),
        (spread("scores.softmax(1)"), "axis 1"),
        (spread("scores.softmax(0)"), "axis 0"),
        (att(SCALE, "q", SOFT, f"{SOFT} / d_k**0.5"), "after the softmax, so"),
        (spread("scores"), "these are the scores"),
        (att(SCALE, "q", SOFT, "scores"), "these are the products"),
        (spread("scores.exp()"), "these are the powers"),
        (spread(f"{SOFT}.softmax(-1)"), "taken twice"),
        (spread("scores.sigmoid()"), "sigmoid"),
        (spread("scores / scores.sum(-1, keepdim=True)"), "by their sum"),
        (spread("scores.log_softmax(-1)"), "log_softmax"),
        (spread("scores.abs()"), "want 1, shared among its keys"),
        (spread("(scores ** 2).softmax(-1)"), "rows of weights sum to 1, but"),
        (by_the_mean, "but for scores of 10,000 and more (only `q` is another): context"),
        (spread("scores / 0"), "inf - inf"),
        (mix("weights @ k"), "mix the keys"),
        (mix("scores @ v"), "mixes with the scores"),
        (mix("q @ k.mT @ v"), "mixes with q·k"),
        (mix("v.mean(-2, keepdim=True).expand(*weights.shape[:-1], v.size(-1))"), "plain mean"),
        (mix("2 * weights @ v"), "the weights are right, the context is not: want"),
        (mix("weights @ v / 0"), "some step divides by 0"),
        (mix("(weights @ v).sum(0)"), "of context"),
        (att(MIX, "weights @ v, weights.sum(-3)"), "of weights"),
        (att(MIX, "weights, weights @ v"), "wrong order"),
        (att(MIX, "weights @ v"), "two tensors"),
        (by_keys_on_the_left, "one row for each key"),
        (hides("scores.softmax(-1)"), "changes nothing"),
        (hides("masked_softmax(scores, ~mask)"), "wrong way round"),
        (hides("scores.softmax(-1) * mask"), "set to 0 after the softmax"),
        (hides("(scores * mask).softmax(-1)"), "still gets a share: want -inf"),
        (hides("(scores + mask).softmax(-1)"), "added as 0 and 1"),
        (hides("scores.masked_fill(~mask, -1.0).softmax(-1)"), "-1 is an ordinary score"),
        (hides("scores.masked_fill(~mask, -3.0).softmax(-1)"), "but that key is hidden"),
        (hides("masked_softmax(scores, mask[0].expand_as(scores) if mask.dim() > 3 else mask)"),
         "gets the mask of sentence 0"),
        (hides("scores * float('nan')"), "but for a mask (only `mask` is another): context"),
        (mix("scores.softmax(-1) @ v"), "the context does not"),
        (mix("weights @ v / (1 if mask is None else 2)"), "is another): the weights are right"),
        (hides("scores.masked_fill(~mask, -torch.inf).softmax(-1)"), "gets nan"),
        (hides("scores.masked_fill(~mask, -30.0).softmax(-1)"), LARGE),
        (hides("scores.masked_fill(~mask, -1e4).softmax(-1)"), LARGE),
        (hides("scores.masked_fill(~mask, -1e9).softmax(-1)"), LARGE),
        (hides("scores.masked_fill(~mask, -1e4).softmax(-1).masked_fill(~mask, 0.0)"),
         "-1e4 is an ordinary score"),
        (hides("(scores.softmax(-1) * mask) / (scores.softmax(-1) * mask).sum(-1, keepdim=True)"
               ".clamp(min=1e-30)"), "too late to hide"),
        (hides("masked_softmax(scores, mask.view(2, 1, 5, 10))"), "but for a mask for a single"),
        (att("k.transpose(-2, -1)", "k.transpose(2, 3)"), "Count axes from the end"),
        (by_bare_exp, "exp() leaves the range of a float: use"),
        (by("2.5"), "times the right ones: print what divides"),
        (att(SOFT, "masked_softmax(scores.float(), mask).to(q.dtype)"),
         "but for the first numbers as float64"),
        (mix("(weights @ v).squeeze(-2)"), "one query and d_k = 5: want shape"),
        (att("require_mask(mask, scores)", "mask = scores[..., :1, :] * 0 == 0 if mask is None "
             "else mask; mask = mask & torch.ones_like(scores).tril().bool()"),
         "no more"),
        (att("require_mask(mask, scores)", "mask = torch.ones_like(scores).tril().bool() if mask "
             "is None else mask"), "causal mask is built in: without"),
        (att(SCALE, "(q.detach() / d_k**0.5)"), "no gradient reaches `q`"),
        (att("k.transpose(-2, -1)", "k.data.transpose(-2, -1)"), "no gradient reaches `k`"),
        (mix("weights @ v.detach()"), "no gradient reaches `v`"),
        (mix("weights.detach() @ v"), "no gradient reaches `q` and `k` from context"),
        (att(MIX, "(weights @ v).detach(), weights.detach()"), "any of the arguments"),
        (att(MIX, "(weights @ v).float(), weights"), "want torch.float64"),
        (att(MIX, "weights @ v, weights @ v"), "of weights (sentence, head, query, key) ="),
        (changes_input, "in place"),
    ],
    twins=[LARGE, "but for scores of 10,000 and more (only `q` is another): context",
           "exp() leaves the range of a float: use", "too late to hide",
           "-1e4 is an ordinary score"],
    hostile=[lambda *given: 7, lambda *given: torch.tensor(NAN)],
)


# ---- 7.2 ----

ONES = "torch.ones(shape, dtype=torch.bool, device=device).tril()"


def mask(text):
    return mutant(causal_mask, ONES, text.replace("ONES", ONES.removesuffix(".tril()")))


def one_missing(row, column):
    def answer(seq_len):
        found = causal_mask(seq_len)
        found[row, column] = False
        return found

    return answer


MASK = Exercise(
    lesson.check_causal_mask,
    right=[causal_mask, mask("~ONES.triu(1)"),
           mask("torch.arange(seq_len).unsqueeze(1) >= torch.arange(seq_len)"),
           mask("torch.tensor([[j <= i for j in range(seq_len)] for i in range(seq_len)])")],
    wrong=[
        (mask("ONES.tril(-1)"), "without the diagonal"),
        (mask("ONES.triu()"), "swapped"),
        (mask("ONES.triu(1)"), "exchanged"),
        (mask("torch.ones(seq_len, seq_len).tril()"), "multiply scores"),
        (mask("torch.full((seq_len, seq_len), -torch.inf).triu(1)"), "to add to the scores"),
        (mask("torch.ones(seq_len, seq_len, dtype=torch.long).tril()"), "whole numbers"),
        (mask("ONES.tril().unsqueeze(0)"), "two axes"),
        (mask("ONES"), "the future too"),
        (mask("~ONES"), "no position may look"),
        (mask("torch.eye(seq_len, dtype=torch.bool)"), "only itself"),
        (mask("ONES.tril(1)"), "position 0 sees position 1"),
        (mask("ONES.tril().triu(-2)"), "position 3 does not see position 0"),
        (one_missing(-1, -1), "i == j open"),
        (mask("torch.ones(6, 6, dtype=torch.bool).tril()"), "Is a size or a number written"),
        (mask("ONES.tril() if seq_len == 6 else ONES"), "is another): position 0"),
        (mask("ONES[0]"), "got (6,)"),
        (mask("torch.ones(300, 300).tril().bool()[:seq_len, :seq_len]"), "got (300, 300)"),
        (mask("torch.arange(seq_len)[:, None].byte() >= torch.arange(seq_len).byte()"),
         "uint8 ends at 255"),
    ],
)


# ---- 7.3 and 7.5 ----

MAPS = "q, k, v = self.query_map(x), self.key_map(x), self.value_map(x)"
CALL = "scaled_dot_product_attention(q, k, v, mask)"
SHARES = "masked_softmax(q @ k.mT / q.size(-1) ** 0.5, mask)"
ROOT = "q.size(-1) ** 0.5"


def head(*texts):
    return mutant(SelfAttention, *texts)


def weighed(text):
    """A head with other weights, from q, k, x and mask."""
    return head(f"return {CALL}", f"w = {text}\n        return w @ v, w")


def mixed(text):
    """A head with another context, from the weights w and from q, k, v, x."""
    return head(f"return {CALL}", f"w = {SHARES}\n        return {text}, w")


def masked_by(text):
    """A head that is right without a mask and hides in another way with one."""
    return weighed(f"{SHARES} if mask is None else {text}")


class Packed(nn.Module):
    """A head whose three matrices are one, with another name."""

    def __init__(self, d_model, d_k):
        super().__init__()
        self.all = nn.Linear(d_model, 3 * d_k, bias=False)

    def forward(self, x, mask=None):
        return scaled_dot_product_attention(*self.all(x).chunk(3, dim=-1), mask)


class Plain(nn.Module):
    """A head of plain parameters, (d_model, d_k), in another order, and the formula written out."""

    def __init__(self, d_model, d_k):
        super().__init__()
        self.c, self.a, self.b = (nn.Parameter(torch.randn(d_model, d_k) / 3) for _ in range(3))

    def forward(self, x, mask=None):
        scores = (x @ self.a) @ (x @ self.b).mT / self.a.size(-1) ** 0.5
        weights = attention.masked_softmax(scores, mask)
        return weights @ (x @ self.c), weights


class Untouched(nn.Module):
    ...


class Biased(nn.Module):
    """A head whose three maps have a bias, with other names."""

    def __init__(self, d_model, d_k):
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(d_model, d_k) for _ in range(3))

    def forward(self, x, mask=None):
        return scaled_dot_product_attention(*(one(x) for one in self.maps), mask)


def drawing(n):
    """A head with another start: it draws n numbers before its weights."""
    return head("super().__init__()", f"super().__init__(); torch.rand({n})")


def seeded(seed):
    return head("super().__init__()", f"super().__init__(); torch.manual_seed({seed})")


VALUE = "self.value_map = nn.Linear(d_model, d_k, bias=False)"
HOSTILE_HEADS = [
    None, 7, "head", nn.Linear, nn.Linear(2, 2), endless, fails, int,
    head(CALL, "None"), head(CALL, "x.no_such_thing"), head(CALL, "7, 7"),
]
HEAD = Exercise(
    lesson.check_self_attention,
    right=[SelfAttention, Packed, Plain, *map(drawing, range(1, 6)), weighed(SHARES), Biased,
           weighed(f"masked_softmax(q.bmm(k.transpose(1, 2)) / {ROOT}, mask)")],
    wrong=[
        (SelfAttention(6, 8), "the class itself"),
        (head("self.query_map = nn.Linear(d_model, d_k, bias=False)",
              "self.query_map = nn.Linear(d_model, d_k)"), "1 biases"),
        (head(VALUE, ""), "has no attribute"),
        (head(VALUE, "", "self.value_map(x)", "self.key_map(x)"), "found 2"),
        (head(VALUE, f"{VALUE}; self.more = nn.Linear(d_model, d_k, bias=False)"), "found 4"),
        (head("d_model: int, d_k: int):", "d_model: int, d_k: int):\n        d_k = 8"),
         "is a size written"),
        (head(CALL, f"{CALL}[0]"), "want two results"),
        (head(CALL, f"{CALL}[::-1]"), "wrong order"),
        (head(CALL, "scaled_dot_product_attention(k, q, v, mask)"), "queries and keys are exch"),
        (head(CALL, "scaled_dot_product_attention(q, v, k, mask)"), "keys and values are exch"),
        (weighed("masked_softmax(q @ k.mT, mask)"), "not divided"),
        (weighed(SHARES.replace(ROOT, "q.size(-1)")), "want its root"),
        (weighed(SHARES.replace(ROOT, "x.size(-1) ** 0.5")), "√d_model"),
        (weighed(SHARES.replace(ROOT, "8**0.5")), "(10, 3)"),
        (weighed(SHARES.replace("k.mT", "q.mT")), "keys have their own"),
        (weighed(f"(q @ k.mT / {ROOT}).softmax(-2)"), "axis -2"),
        (weighed(f"q @ k.mT / {ROOT}"), "softmax is missing"),
        (weighed(f"{SHARES} / {ROOT}"), "divides the weights"),
        (weighed("masked_softmax(x @ x.mT / x.size(-1) ** 0.5, mask)"), "as they are"),
        (weighed(f"2 * {SHARES}"), "sum to 2: want 1"),
        (weighed(SHARES.replace("q @", "(q + 1) @")), "rows of weights sum to 1, but"),
        (mixed("w @ k"), "mixes the keys"),
        (mixed("w @ q"), "mixes the queries"),
        (mixed("v"), "own value"),
        (mixed("v.mean(-2, keepdim=True).expand_as(v)"), "plain mean"),
        (mixed("2 * w @ v"), "the weights are right, the context is not"),
        (mixed("w @ x"), "not the words x"),
        (head("v, mask)", "v, None)"), "changes nothing"),
        (head("v, mask)", "v, causal_mask(x.size(-2)))"), "has no part: hand on"),
        (head("v, mask)", "v, causal_mask(x.size(-2)) if mask is None else mask)"),
         "each word sees all words"),
        (head("v, mask)", "v, None if mask is None else ~mask)"), "wrong way round"),
        (masked_by(f"(q @ k.mT / {ROOT}).softmax(-1) * mask"), "after the softmax, and"),
        (masked_by(f"(q @ k.mT / {ROOT}).masked_fill(~mask, -3.0).softmax(-1)"),
         "but that key is hidden"),
        (masked_by(f"(q @ k.mT / {ROOT}).masked_fill(~mask, -30.).softmax(-1)"),
         "hidden: weights["),
        (masked_by(f"(q @ k.mT / {ROOT}).masked_fill(~mask, -1e4).softmax(-1).masked_fill(~mask, "
                   "0.)"), "-1e4 is an ordinary score"),
        (head("v, mask)", "v, causal_mask(x.size(-2)) if mask is None else mask & "
              "causal_mask(x.size(-2)))"), "and no more"),
        (head(CALL, f"tuple(part.squeeze() for part in {CALL})"), "for one "
         "sentence of one word (only `x` is another): want shape of context"),
        (mixed(f"(q @ k.mT / {ROOT}).softmax(-1) @ v"), "the context does not"),
        (head("v, mask)", "v, mask if self.training else None)"), "but for a mask in eval mode"),
        (head(MAPS, f"{MAPS}\n        v = self.__dict__.setdefault('v', v)\n        if v.shape[:2] "
              "!= q.shape[:2]:\n            v = self.value_map(x)"), "kept from an earlier call"),
        (head("v, mask)", "v, mask if mask is None else mask[0])"), "gets the mask of sentence 0"),
        (seeded(3), "begin with the same weights"),
        (weighed(SHARES.replace(ROOT, "q.size(1) ** 0.5")), "the sentence's length"),
        (weighed(SHARES.replace("mask)", "mask if mask is None else mask & "
                                "causal_mask(x.size(-2)))")), "hides, and no more"),
        (head(CALL, CALL.replace("(q,", "(q.detach(),")), "reaches `query_map.weight`"),
        (head("self.value_map(x)", "self.value_map(x).detach()"), "reaches `value_map.weight`"),
        (head(CALL, f"tuple(part.detach() for part in {CALL})"), "any of the arguments"),
        (head(VALUE, f"{VALUE}; self.key_map.requires_grad_(False)"), "is frozen"),
    ],
    twins=["and no more", "hides, and no more"],
    stubs=[Untouched, head(CALL, "..."), head(f"return {CALL}", "return ..., ...")],
    hostile=HOSTILE_HEADS,
    is_function=False,
)
MEMORY = Exercise(
    lesson.check_head_from_memory,
    right=[SelfAttention, Packed, Plain, Biased],
    wrong=[*HEAD.wrong[::3], (seeded(5), "begin with the same weights")],
    stubs=[Untouched],
    hostile=HOSTILE_HEADS,
    is_function=False,
)


# ---- 7.4 ----


def by_hand(roll=-1, sharp=10.0, sky=True):
    """An answer to 7.4."""

    def answer():
        day, skies = torch.eye(11).split((7, 4))
        return sharp * day.roll(roll, 0), day, skies if sky else skies.roll(1, 0)

    return answer


def by_the_key():
    day, sky = torch.eye(11).split((7, 4))
    return [4 * day, 4 * day.roll(1, 0), 3 * sky]


def changed(place, change):
    """A right answer to 7.4 of which one matrix is changed."""

    def answer():
        found = list(by_hand()())
        found[place] = change(found[place].clone())
        return tuple(found)

    return answer


def filled(rows, columns, value):
    def change(matrix):
        matrix[rows, columns] = value
        return matrix

    return change


YESTERDAY = Exercise(
    lesson.check_yesterday,
    right=[by_hand(), by_the_key, changed(0, lambda w: w.double())],
    wrong=[
        (by_hand(1), "finds tomorrow"),
        (by_hand(0), "finds itself"),
        (by_hand(-2), "2 days before it"),
        (by_hand(sharp=2.0), "a sharper question"),
        (by_hand(sharp=0.0), "all weights are equal"),
        (by_hand(sky=False), "must stay in its place"),
        (changed(0, filled(0, 8, 30.0)), "depend on the sky"),
        (changed(0, filled(slice(None), 0, 0.0)), "from Sunday to Monday"),
        (changed(2, lambda w: w.roll(-4, 1)), "last 4 numbers"),
        (changed(0, lambda w: w.T), "want it turned"),
        (changed(1, lambda w: w[:, :7]), "of W^K"),
        (changed(1, lambda w: w * NAN), "look at W^K, a float32 ends"),
        (changed(2, filled(slice(None), 2, 0.5)), "also holds something of the day"),
        (lambda: by_hand()()[:2], "three matrices"),
    ],
    stubs=[lambda: (..., ..., ...)],
    hostile=[None, 7, fails, endless, lambda: None, lambda: 3, lambda: ("a", "b", "c"),
             lambda: torch.ones(3), lambda x: x],
    is_function=False,
)


class TestAnswers(Answers):
    exercises = (ATTENTION, MASK, HEAD, YESTERDAY, MEMORY)

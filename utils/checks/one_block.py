"""The checks of lesson 14: the masking of BERT, spans cut out, a picture in patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from utils.checks.core import Mistake, call, exercise, want_tensor
from utils.checks.kinds import agree, case
from utils.one_block import MASK, SENTINELS, corrupt_spans, patchify
from utils.text import BOS, EOS, PAD, UNK, Vocabulary

# ---- 14.1 ----

SPECIALS = (
    (PAD, UNK, BOS, EOS, MASK),
    (BOS, MASK, "<sep>", UNK, "<0>", EOS, PAD),
)
SIZE = 300, 120    # of the exam: so many words that a share is known to one in a hundred


@exercise("14.1")
def check_mask_tokens(answer: Callable) -> str:
    """my_mask_tokens(tokens, vocab, share): what is read, and what is wanted."""
    judge_masking(answer)
    return "Most are hidden, some are wrong, some are right: it must read them all with care"


@exercise("14.4")
def check_masking_from_memory(answer: Callable) -> str:
    """The same, from memory."""
    judge_masking(answer)
    return "15 in a hundred; of those 80 hidden, 10 wrong, 10 left"


def judge_masking(answer: Callable) -> None:
    """Ask for three exams, with other vocabularies and shares, and count."""
    exams = [(SPECIALS[0], 40, 0.15), (SPECIALS[1], 60, 0.15), (SPECIALS[0], 40, 0.5)]
    for number, (specials, n_words, share) in enumerate(exams):
        vocab = Vocabulary([[f"word{n}" for n in range(n_words)]], specials=specials)
        tokens = torch.randint(vocab.n_specials, len(vocab), SIZE)
        lengths = torch.randint(60, SIZE[1], (SIZE[0], 1))
        place = torch.arange(SIZE[1])
        tokens[:, 0] = vocab.ids[BOS]
        tokens[place == lengths - 1] = vocab.ids[EOS]
        tokens = tokens.masked_fill(place >= lengths, vocab.pad_id)
        try:
            torch.manual_seed(number)
            found = both(call(answer, tokens, vocab, share), tokens)
            judge_exam(*found, tokens, vocab, share)
        except Mistake as mistake:
            if number == 0:
                raise
            what = ("a vocabulary with other specials", f"a share of {share:g}")[number - 1]
            raise Mistake(f"right for the first exam, but with {what}: {mistake}") from mistake
        torch.manual_seed(number + 10)
        again = both(call(answer, tokens, vocab, share), tokens)
        if torch.equal(again[1], found[1]):
            raise Mistake("two calls choose the same words: is the random state set anew at every "
                          "call? Leave manual_seed out")


def both(result, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Make sure that an answer is two tensors of token ids like the tokens; return them."""
    if isinstance(result, Tensor) or not isinstance(result, tuple | list) or len(result) != 2:
        raise Mistake("want two tensors, `return read, wanted`")
    for name, part in zip(("read", "wanted"), result):
        want_tensor(part, tuple(tokens.shape), f"of {name} (batch, seq_len)")
        if part.is_floating_point() or part.dtype == torch.bool:
            raise Mistake(f"{name} has the type {part.dtype}: token ids are whole numbers")
    return result[0].long(), result[1].long()


def judge_exam(read: Tensor, wanted: Tensor, tokens: Tensor, vocab: Vocabulary, share: float):
    """Hold one exam against the rules, the plainest fault first."""
    pad, mask, words = vocab.pad_id, vocab.ids[MASK], tokens >= vocab.n_specials
    asked = wanted != pad
    if (wanted == -100).any():
        raise Mistake("`wanted` is -100 where nothing was chosen: here it is <pad>, which "
                      "token_loss of lesson 04 skips")
    if not asked.any():
        raise Mistake("nothing is asked: `wanted` is <pad> everywhere")
    if torch.equal(wanted != pad, tokens != pad) and ((read == tokens) | (read == pad)).all():
        raise Mistake("the two results come in the wrong order: first what is read")
    if torch.equal(read, wanted) or (torch.equal(wanted, tokens) and share < 1):
        raise Mistake("every token is wanted, also those that stand in plain sight: the loss would "
                      "mostly reward copying. Where nothing was chosen, `wanted` is <pad>")
    if (read != tokens).any() and not (asked & (read != tokens)).any():
        raise Mistake("`wanted` asks for the words that were not chosen: turn the condition round")
    if (read[tokens == pad] != pad).any():
        raise Mistake("padding is masked: no special is ever chosen, only ids from "
                      "vocab.n_specials on")
    if (read != tokens)[~words].any() or (asked & ~words).any():
        special = tokens[((read != tokens) | asked) & ~words][0].item()
        raise Mistake(f"{vocab.tokens[special]} is chosen: no special is, only ids from "
                      "vocab.n_specials on")
    if (asked & (wanted != tokens)).any():
        row, place = (asked & (wanted != tokens)).nonzero()[0].tolist()
        if wanted[row, place] == read[row, place]:
            raise Mistake("`wanted` holds what is read, the <mask> itself: want the true word")
        raise Mistake(f"wanted[{row}, {place}] is {wanted[row, place].item()}, the word there is "
                      f"{tokens[row, place].item()}: want the true word where chosen, else <pad>")
    if ((read != tokens) & ~asked).any():
        raise Mistake("a word is changed in `read` that `wanted` does not ask for: both must use "
                      "the same choice, drawn once")
    found = asked[words].double().mean().item()
    if abs(found - share) > 0.02:
        raise Mistake(f"{found:.0%} of the words are chosen, want {share:.0%}: "
                      "torch.rand(...) < share")
    columns = asked[:40].any(dim=0)
    if (asked == asked[0]).all(dim=0)[:50].all() or columns[1:50].double().mean() < 0.6:
        raise Mistake("the same places are chosen in every sentence: draw one number for each "
                      "token, of the shape of `tokens`")
    judge_fates(read[asked], tokens[asked], mask, vocab)


def judge_fates(read: Tensor, true: Tensor, mask: int, vocab: Vocabulary) -> None:
    """Hold what became of the chosen words against 80 / 10 / 10."""
    hidden, stays = read == mask, read == true
    other = ~hidden & ~stays
    drawn = read[other]
    if not hidden.any():
        raise Mistake("none of the chosen words became vocab.ids[MASK]")
    if (drawn < vocab.n_specials).any():
        special = vocab.tokens[drawn[drawn < vocab.n_specials][0]]
        raise Mistake(f"a chosen word became {special}: the random 10 % are words, so draw from "
                      "vocab.n_specials up to len(vocab)")
    shares = [part.double().mean().item() for part in (hidden, other, stays)]
    said = "of the chosen {:.0%} are hidden, {:.0%} another word, {:.0%} unchanged".format(*shares)
    if shares[0] > 0.97:
        raise Mistake(f"{said}: <mask> never comes in real sentences, so 10 % become any word and "
                      "10 % stay")
    if other.sum() and len(drawn.unique()) < 5:
        raise Mistake("all random words are the same one: draw one for each place")
    if other.sum() and drawn.max() < len(vocab) - 5:
        raise Mistake("the random words come from a part of the vocabulary: torch.randint up to "
                      "len(vocab)")
    for name, got, want in zip(("<mask>", "any word", "left as they are"), shares, (.8, .1, .1)):
        if abs(got - want) > 0.03:
            raise Mistake(f"{said}: want 80 / 10 / 10, and {name} is off. Draw one number a token: "
                          "below 0.8, from 0.9 on, between")


# ---- 14.2 ----


def sentence(text: str) -> tuple[list[str], list[bool]]:
    """Words and marks from a text; a word that ends in ! is cut out."""
    words = text.split()
    return [word.rstrip("!") for word in words], [word.endswith("!") for word in words]


@exercise("14.2")
def check_corrupt_spans(answer: Callable) -> str:
    """my_spans(words, hidden): what is read, and what is to be written."""
    agree(answer, corrupt_spans, [
        case("two runs of words", *sentence("Mina went to! the! park! by bus because! it was")),
        case("single words", *sentence("Tom! is at! home now! ok"), hint="a run may be one word"),
        case("four runs", *sentence("a! b c! d! e f! g h i! j"), hint="number the sentinels on"),
        case("a run at the end", *sentence("we came home! again!"), hint="the run ends with the "
             "sentence"),
        case("a run at the beginning", *sentence("we! came! home"), hint="there is no word before "
             "the first: hidden[-1] is the last one"),
        case("runs at both ends", *sentence("we! came home!"), hint="hidden[-1] is the last mark, "
             "not the one before the first"),
        case("all hidden", *sentence("go! home!"), hint="one run, one sentinel"),
        case("nothing hidden", *sentence("we came home"), hint="then wanted is the first sentinel "
             "alone, the end"),
        case("a word twice", *sentence("the! cat sees the dog the! owl!"), hint="look at the "
             "place, not at the word"),
    ], span_mistakes(), advice="Go from word to word; a new run begins where the one before is not "
        "hidden", gradients=False, float64=False)
    return "Each run has its own sentinel, and one more says that it is done"


def runs_of(words: Sequence[str], hidden: Sequence[bool]) -> list[tuple[bool, list[str]]]:
    """The sentence in pieces: (hidden or not, its words)."""
    runs: list[tuple[bool, list[str]]] = []
    for word, out in zip(words, hidden):
        if not runs or runs[-1][0] != bool(out):
            runs.append((bool(out), []))
        runs[-1][1].append(word)
    return runs


def span_mistakes() -> list[tuple[Callable, str]]:
    """Spans cut out with one thing wrong, and what to say then."""

    def build(name=lambda n: SENTINELS[n], mark=True, last=True, keep=True, first=True):
        def answer(words, hidden):
            read, wanted, n = [], [], 0
            for out, run in runs_of(words, hidden):
                if not out:
                    read += run
                    continue
                read += [name(n)] if mark else []
                wanted += ([name(n)] if first else []) + (run if keep else [])
                n += 1
            return read, wanted + ([name(n)] if last else [])
        return answer

    def each_word(words, hidden):
        read, wanted, n = [], [], 0
        for word, out in zip(words, hidden):
            read.append(SENTINELS[n] if out else word)
            wanted += [SENTINELS[n], word] if out else []
            n += out
        return read, [*wanted, SENTINELS[n]]

    def overlap(words, hidden):
        read, wanted, n = [], [], 0
        for place, (word, out) in enumerate(zip(words, hidden)):
            before = place > 0 and hidden[place - 1]
            if out and not before:
                read.append(SENTINELS[n])
                wanted.append(SENTINELS[n])
                n += 1
            if out or before:
                wanted.append(word)
            if not out:
                read.append(word)
        return read, [*wanted, SENTINELS[n]]

    def too_many(words, hidden):
        read, wanted, n = [], [], 0
        for word, out in zip(words, hidden):
            read.append(SENTINELS[n] if out else word)
            if out:
                wanted += [word]
            n += out
        return read, wanted

    def repeated(words, hidden):
        read, wanted = build()(words, hidden)
        names = iter(r for r in read if r in SENTINELS)
        long, name = [], None
        for word, out in zip(words, hidden):
            if out and (not long or long[-1] not in SENTINELS or name is None):
                name = next(names)
            if not out:
                name = None
            long.append(name if out else word)
        return long, wanted

    return [
        (build(name=lambda n: SENTINELS[0]), "the same sentinel stands for every run: which words "
         "belong where? Number them <0>, <1>, ..."),
        (build(last=False), "the last sentinel is missing: it tells the writer that it is done"),
        (overlap, "the word after a run is in `read` and in `wanted`: the spans overlap what is "
         "left. A word belongs to one side"),
        (each_word, "each hidden word has a sentinel of its own: one stands for a whole run"),
        (repeated, "a run is as many sentinels as it has words: the writer would know its length. "
         "One sentinel for a run"),
        (build(mark=False), "nothing in `read` says where words are missing: put the sentinel "
         "there"),
        (build(first=False, last=False), "the sentinels are missing in `wanted`: each run begins "
         "with its own"),
        (build(first=False), "`wanted` does not say which run its words belong to: each begins "
         "with its sentinel"),
        (build(keep=False), "`wanted` holds sentinels without the words that they stand for"),
        (build(name=lambda n: SENTINELS[n + 1]), "the first sentinel is <0>: yours begins at <1>"),
        (lambda words, hidden: corrupt_spans(words, hidden)[::-1], "the two results come in the "
         "wrong order: first what is read"),
        (lambda words, hidden: corrupt_spans(words, [not h for h in hidden]), "the marks are read "
         "the wrong way round: True is cut out"),
        (lambda words, hidden: (corrupt_spans(words, hidden)[0], list(words)), "`wanted` is the "
         "whole sentence: only what was cut out is written"),
        (lambda words, hidden: ([MASK if h else w for w, h in zip(words, hidden)],
                                [w for w, h in zip(words, hidden) if h]), "these are the masks of "
         "BERT: here a run becomes one sentinel, and its words are written after it"),
        (too_many, "each hidden word has a sentinel of its own, and `wanted` has none"),
    ]


# ---- 14.3 ----


@exercise("14.3")
def check_patchify(answer: Callable) -> str:
    """my_patchify(images, size): (batch, n_patches, size * size)."""
    agree(answer, patchify, [
        case("2 pictures of 6 by 8, size 2", torch.randn(2, 6, 8), 2),
        case("3 pictures of 6 by 9, size 3", torch.randn(3, 6, 9), 3, hint="is a size written "
             "into your code?"),
        case("high and narrow pictures", torch.randn(2, 12, 4), 4, hint="rows and columns of "
             "patches are two numbers"),
        case("a batch of one", torch.randn(1, 4, 4), 2, hint="the axis of the batch stays"),
        case("one patch a picture", torch.randn(2, 5, 5), 5, hint="the axis of the patches stays"),
        case("patches of one point", torch.randn(2, 3, 4), 1, hint="each point is a token"),
    ], patch_mistakes(), axes={"patches": ("picture", "patch", "point"),
                               "images": ("picture", "", "")},
        advice="Give rows, columns and both sides of a patch an axis each, then bring the two "
        "sides together")
    return "Each token is one square of the picture"


def patch_mistakes() -> list[tuple[Callable, str]]:
    """A picture cut in another way, and what to say then."""

    def cut(images, size):
        b, h, w = images.shape
        return images.reshape(b, h // size, size, w // size, size)

    return [
        (lambda x, s: x.reshape(len(x), -1, s * s), "each token is a piece of one row of points, "
         "not a square: a reshape alone keeps the order of reading. Swap the two middle axes "
         "before you flatten"),
        (lambda x, s: cut(x, s).permute(0, 3, 1, 2, 4).flatten(3).flatten(1, 2), "the patches "
         "come column by column: want them row by row, as one reads"),
        (lambda x, s: cut(x, s).permute(0, 1, 3, 4, 2).flatten(3).flatten(1, 2), "the patches "
         "are right, but inside each one the points go column by column: want row by row"),
        (lambda x, s: cut(x, s).permute(0, 3, 1, 4, 2).flatten(3).flatten(1, 2), "patches and "
         "points go column by column: is the picture turned over its diagonal?"),
        (lambda x, s: cut(x, s).transpose(2, 3), "the squares are cut, but not made into tokens: "
         "flatten rows and columns of patches, and the points of each"),
        (lambda x, s: cut(x, s).transpose(2, 3).flatten(1, 2), "a token is a vector: flatten the "
         "points of a patch as well"),
        (lambda x, s: cut(x, s).transpose(2, 3).flatten(3), "rows and columns of patches make one "
         "axis: the block takes a row of tokens"),
        (lambda x, s: patchify(x, s).mean(-1, keepdim=True), "a patch became one number, its "
         "mean: keep all its points"),
        (lambda x, s: patchify(x, s).flip(1), "the patches come from the last to the first"),
        (lambda x, s: patchify(x, s).transpose(1, 2), "the axes of patches and points are "
         "exchanged: want (batch, n_patches, size * size)"),
        (lambda x, s: patchify(x[:1], s).expand(len(x), -1, -1), "every picture became the first "
         "one"),
    ]

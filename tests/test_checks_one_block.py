"""The checks of lesson 14 accept right answers and name each wrong one."""

import random

import numpy as np
import torch
from judging import Answers, Exercise, mutant

from utils.checks import one_block as lesson
from utils.one_block import MASK, SENTINELS, corrupt_spans, mask_tokens, patchify

# ---- 14.1 and 14.4 ----


def exam(*texts):
    return mutant(mask_tokens, *texts)


CHOSEN = "chosen = torch.rand(tokens.shape) < share"
SPECIAL = "chosen &= tokens >= vocab.n_specials"
WORDS = "torch.randint(vocab.n_specials, len(vocab), tokens.shape)"
WANTED = "return read, tokens.masked_fill(~chosen, vocab.pad_id)"
HIDE, SWAP = "chosen & (lot < 0.8)", "chosen & (lot >= 0.9)"


def one_by_one(tokens, vocab, share):
    """Three draws, one after the other."""
    chosen = (torch.rand(tokens.shape) < share).logical_and(tokens >= vocab.n_specials)
    read, wanted = tokens.clone(), torch.full_like(tokens, vocab.pad_id)
    wanted[chosen] = tokens[chosen]
    hidden = chosen & (torch.rand(tokens.shape) < 0.8)
    read[hidden] = vocab.ids[MASK]
    other = chosen & ~hidden & (torch.rand(tokens.shape) < 0.5)
    read[other] = torch.randint(vocab.n_specials, len(vocab), (int(other.sum()),))
    return read, wanted


def with_loops(tokens, vocab, share):
    read, wanted = tokens.tolist(), torch.full_like(tokens, vocab.pad_id).tolist()
    rng = random.Random(int(torch.randint(10**9, ())))
    for row, words in enumerate(tokens.tolist()):
        for place, word in enumerate(words):
            if word < vocab.n_specials or rng.random() >= share:
                continue
            wanted[row][place], lot = word, rng.random()
            if lot < 0.8:
                read[row][place] = vocab.ids[MASK]
            elif lot < 0.9:
                read[row][place] = rng.randrange(vocab.n_specials, len(vocab))
    return torch.tensor(read), torch.tensor(wanted)


def by_bernoulli(tokens, vocab, share=0.15):
    real = (tokens >= vocab.n_specials).float()
    chosen = torch.bernoulli(share * real).bool()
    fate = torch.multinomial(torch.tensor([0.8, 0.1, 0.1]), tokens.numel(), replacement=True)
    fate = fate.view_as(tokens)
    words = torch.randint(vocab.n_specials, len(vocab), tokens.shape)
    read = torch.where(chosen & (fate == 0), vocab.ids[MASK], tokens)
    return [torch.where(chosen & (fate == 1), words, read),
            torch.where(chosen, tokens, vocab.pad_id)]


def seeded(tokens, vocab, share=0.15):
    generator = torch.Generator().manual_seed(0)
    chosen = torch.rand(tokens.shape, generator=generator) < share
    chosen &= tokens >= vocab.n_specials
    lot = torch.rand(tokens.shape, generator=generator)
    words = torch.randint(vocab.n_specials, len(vocab), tokens.shape, generator=generator)
    read = torch.where(chosen & (lot < 0.8), vocab.ids[MASK], tokens)
    return torch.where(chosen & (lot >= 0.9), words, read), tokens.masked_fill(~chosen, 0)


def same_columns(tokens, vocab, share=0.15):
    chosen = (torch.rand(tokens.shape[1]) < share).expand(tokens.shape)
    chosen = chosen & (tokens >= vocab.n_specials)
    lot = torch.rand(tokens.shape)
    words = torch.randint(vocab.n_specials, len(vocab), tokens.shape)
    read = torch.where(chosen & (lot < 0.8), vocab.ids[MASK], tokens)
    read = torch.where(chosen & (lot >= 0.9), words, read)
    return read, tokens.masked_fill(~chosen, vocab.pad_id)


def drawn_twice(tokens, vocab, share=0.15):
    return mask_tokens(tokens, vocab, share)[0], mask_tokens(tokens, vocab, share)[1]


def in_place(tokens, vocab, share=0.15):
    read, wanted = mask_tokens(tokens, vocab, share)
    tokens.copy_(read)
    return tokens, wanted


WRONG = [
    (exam(WANTED, "return read, tokens"), "every token is wanted"),
    (exam(SPECIAL, "pass"), "padding is masked"),
    (exam(SPECIAL, "chosen &= tokens != vocab.pad_id"), "is chosen: no special is"),
    (exam(WORDS, "torch.randint(0, len(vocab), tokens.shape)"), "a chosen word became"),
    (exam(SWAP, "chosen & (lot > 2)", HIDE, "chosen"), "<mask> never comes in real sentences"),
    (exam(HIDE, "chosen & (lot < 0.1)", SWAP, "chosen & (lot >= 0.2)"), "78% another word"),
    (exam(SWAP, "chosen & (lot >= 0.8)"), "19% another word"),
    (exam(SWAP, "chosen & (lot >= 2)"), "0% another word, 19% unchanged"),
    (exam(HIDE, "chosen & (lot < 0.5)"), "50% are hidden"),
    (exam("vocab.ids[MASK]", "vocab.unk_id"), "none of the chosen words became"),
    (exam(WANTED, "return read, read.masked_fill(~chosen, vocab.pad_id)"), "the <mask> itself"),
    (exam(WANTED, "return read, tokens.masked_fill(~chosen, -100)"), "wanted` is -100"),
    (exam("~chosen, vocab.pad_id", "chosen, vocab.pad_id"), "turn the condition round"),
    (exam(CHOSEN, "chosen = torch.rand(tokens.shape) > share"), "85% of the words are chosen"),
    (exam(CHOSEN, "chosen = torch.rand(tokens.shape) < 0.15"), "with a share of 0.5"),
    (exam("vocab.n_specials\n", "5\n"), "with a vocabulary with other specials"),
    (exam(WORDS, "torch.randint(vocab.n_specials, len(vocab), ())"), "the same one"),
    (exam(WORDS, "torch.randint(vocab.n_specials, vocab.n_specials + 10, tokens.shape)"),
     "from a part of the vocabulary"),
    (exam(WANTED, "return tokens.masked_fill(~chosen, vocab.pad_id), read"), "wrong order"),
    (exam(WANTED, "return read"), "want two tensors"),
    (exam(WANTED, "return read.float(), tokens.masked_fill(~chosen, vocab.pad_id)"),
     "whole numbers"),
    (exam(WANTED, "return read[:, 1:], tokens[:, 1:]"), "want shape of read"),
    (exam(WANTED, "return read, torch.full_like(tokens, vocab.pad_id)"), "nothing is asked"),
    (seeded, "manual_seed out"),
    (same_columns, "the same places are chosen"),
    (drawn_twice, "drawn once"),
    (in_place, "changed its input"),
]
RIGHT = [mask_tokens, one_by_one, with_loops, by_bernoulli]
MASKING = Exercise(lesson.check_mask_tokens, right=RIGHT, wrong=WRONG)
MEMORY = Exercise(lesson.check_masking_from_memory, right=RIGHT, wrong=WRONG)


# ---- 14.2 ----


def spans(*texts):
    return mutant(corrupt_spans, *texts)


def by_numpy(words, hidden):
    marks = np.array([False, *hidden, False], dtype=int)
    edges = np.flatnonzero(np.diff(marks)).tolist()
    read, wanted, end = [], [], 0
    for n, (start, stop) in enumerate(zip(edges[::2], edges[1::2])):
        read += [*words[end:start], SENTINELS[n]]
        wanted += [SENTINELS[n], *words[start:stop]]
        end = stop
    return [*read, *words[end:]], [*wanted, SENTINELS[len(edges) // 2]]


def by_state(words, hidden):
    read, wanted, inside, n = [], [], False, 0
    for word, out in zip(words, hidden):
        if out and not inside:
            name = f"<{n}>"
            n = n + 1
            read.append(name)
            wanted.append(name)
        (wanted if out else read).append(word)
        inside = out
    wanted.append(f"<{n}>")
    return [read, wanted]


def with_while(words, hidden):
    read, wanted, at, n = [], [], 0, 0
    while at < len(words):
        if not hidden[at]:
            read.append(words[at])
            at += 1
            continue
        read.append(SENTINELS[n])
        wanted.append(SENTINELS[n])
        while at < len(words) and hidden[at]:
            wanted.append(words[at])
            at += 1
        n += 1
    wanted.append(SENTINELS[n])
    return read, wanted


def by_words(words, hidden):
    """It looks for a word, not for a place."""
    out = {word for word, mark in zip(words, hidden) if mark}
    return corrupt_spans(words, [word in out for word in words])


def each_word(words, hidden):
    read, wanted, n = [], [], 0
    for word, out in zip(words, hidden):
        read.append(SENTINELS[n] if out else word)
        wanted += [SENTINELS[n], word] if out else []
        n += out
    return read, [*wanted, SENTINELS[n]]


BEGINS = "place == 0 or not hidden[place - 1]"
READ, SAY = "read.append(SENTINELS[n_runs])", "wanted.append(SENTINELS[n_runs])"
SPANS = Exercise(
    lesson.check_corrupt_spans,
    right=[corrupt_spans, by_numpy, by_state, with_while],
    wrong=[
        (spans("n_runs += 1", "pass"), "the same sentinel stands for every run"),
        (spans("[*wanted, SENTINELS[n_runs]]", "wanted"), "the last sentinel is missing"),
        (spans("            read.append(word)\n            continue",
               "            read.append(word)\n            "
               "wanted += [word] if place and hidden[place - 1] else []\n            continue"),
         "the spans overlap"),
        (each_word, "each hidden word has a sentinel of its own: one"),
        (spans(READ, "pass"), "nothing in `read` says"),
        (spans(SAY, "pass"), "does not say which run"),
        (spans(SAY, "pass", "[*wanted, SENTINELS[n_runs]]", "wanted"), "are missing in `wanted`"),
        (spans("wanted.append(word)", "pass"), "sentinels without the words"),
        (spans("wanted, n_runs = [], [], 0", "wanted, n_runs = [], [], 1"), "yours begins at <1>"),
        (spans("return read, [*wanted, SENTINELS[n_runs]]",
               "return [*wanted, SENTINELS[n_runs]], read"), "wrong order"),
        (spans("if not hidden[place]:", "if hidden[place]:", BEGINS,
               "place == 0 or hidden[place - 1]"), "the wrong way round"),
        (spans("[*wanted, SENTINELS[n_runs]]", "list(words)"), "the whole sentence"),
        (lambda words, hidden: ([MASK if h else w for w, h in zip(words, hidden)],
                                [w for w, h in zip(words, hidden) if h]), "the masks of BERT"),
        (spans(BEGINS, "not hidden[place - 1]"), "hidden[-1] is the last mark"),
        (by_words, "Look at the place, not at the word"),
        (spans(BEGINS, "place > 0 and not hidden[place - 1]"), "A run may be one word"),
    ],
)


# ---- 14.3 ----


def patches(*texts):
    return mutant(patchify, *texts)


def by_unfold(images, size):
    x = images.unfold(1, size, size).unfold(2, size, size)
    return x.reshape(len(images), -1, size * size)


def by_two_loops(images, size):
    _, height, width = images.shape
    squares = [images[:, r : r + size, c : c + size].flatten(1)
               for r in range(0, height, size) for c in range(0, width, size)]
    return torch.stack(squares, dim=1)


def by_torch(images, size):
    unfold = torch.nn.functional.unfold(images.unsqueeze(1), size, stride=size)
    return unfold.transpose(1, 2)


SWAPPED, FLAT = "x.transpose(2, 3) ", "x.flatten(3).flatten(1, 2)"
PATCHES = Exercise(
    lesson.check_patchify,
    right=[patchify, by_unfold, by_two_loops, by_torch],
    wrong=[
        (lambda images, size: images.reshape(len(images), -1, size * size), "a piece of one row"),
        (lambda images, size: patchify(images.mT, size), "turned over its diagonal"),
        (patches(SWAPPED, "x.permute(0, 3, 1, 2, 4) "), "column by column: want them row by row"),
        (patches(SWAPPED, "x.permute(0, 1, 3, 4, 2) "), "inside each one the points go column"),
        (patches(FLAT, "x"), "not made into tokens"),
        (patches(FLAT, "x.flatten(1, 2)"), "flatten the points"),
        (patches(FLAT, "x.flatten(3)"), "make one axis"),
        (patches(FLAT, "x.flatten(3).flatten(1, 2).mean(-1, keepdim=True)"), "became one number"),
        (patches(FLAT, "x.flatten(3).flatten(1, 2).flip(1)"), "from the last to the first"),
        (patches(FLAT, "x.flatten(3).flatten(1, 2).mT"), "axes of patches and points"),
        (patches(FLAT, "x[:1].expand_as(x).flatten(3).flatten(1, 2)"), "became the first one"),
        (patches("n_columns, size)", "n_columns, size).detach()"), "no gradient"),
        (lambda images, size: patchify(images, 2), "Is a size written into your code?"),
    ],
)


class TestAnswers(Answers):
    exercises = (MASKING, MEMORY, SPANS, PATCHES)

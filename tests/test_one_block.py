"""One block under four masks: each definition against another way to compute it."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils.attention import causal_mask
from utils.one_block import (
    MASK,
    SENTINELS,
    OneBlock,
    PictureBlock,
    corrupt_spans,
    fit_block,
    mask_tokens,
    patchify,
    prefix_mask,
)
from utils.text import BOS, EOS, PAD, UNK, Vocabulary, padding_mask
from utils.training import token_loss


@pytest.fixture(scope="module")
def vocab() -> Vocabulary:
    """Return a vocabulary of 20 words whose specials do not begin with <pad>."""
    words = [f"word{n}" for n in range(20)]
    return Vocabulary([words], specials=(BOS, PAD, EOS, UNK, MASK, *SENTINELS))


@pytest.fixture
def block(vocab: Vocabulary) -> OneBlock:
    """Return a small block with fixed weights, in float64."""
    torch.manual_seed(0)
    return OneBlock(len(vocab), d_model=16, n_heads=2, d_ff=32).double().eval()


def test_the_mask_alone_decides_what_a_place_sees(block: OneBlock, vocab: Vocabulary) -> None:
    tokens = torch.randint(vocab.n_specials, len(vocab), (1, 6))
    other = tokens.clone()
    other[0, 3] = vocab.unk_id
    prefix = prefix_mask(torch.tensor([2]), 6)
    for mask, sees in ((None, range(6)), (causal_mask(6), (3, 4, 5)), (prefix, (3, 4, 5))):
        moved = (block(tokens, mask) - block(other, mask)).abs().amax(dim=-1)[0] > 0
        assert moved.nonzero().flatten().tolist() == list(sees)


def test_padding_moves_nothing(block: OneBlock, vocab: Vocabulary) -> None:
    tokens = torch.randint(vocab.n_specials, len(vocab), (2, 4))
    padded = F.pad(tokens, (0, 3), value=vocab.pad_id)
    found = block(padded, padding_mask(padded, vocab.pad_id))[:, :4]
    torch.testing.assert_close(found, block(tokens))


def test_the_losses_by_hand(block: OneBlock, vocab: Vocabulary) -> None:
    tokens = torch.randint(vocab.n_specials, len(vocab), (3, 9))
    read, wanted = mask_tokens(tokens, vocab, 0.4)
    shares = block(read).softmax(dim=-1)
    by_hand = sum(-shares[r, t, wanted[r, t]].log()
                  for r, t in (wanted != vocab.pad_id).nonzero().tolist())
    torch.testing.assert_close(token_loss(block(read), wanted, vocab.pad_id), by_hand)
    shares = block(tokens[:, :-1], causal_mask(8)).softmax(dim=-1)
    by_hand = sum(-shares[r, t, tokens[r, t + 1]].log() for r in range(3) for t in range(8))
    logits = block(tokens[:, :-1], causal_mask(8))
    torch.testing.assert_close(token_loss(logits, tokens[:, 1:], vocab.pad_id), by_hand)


def test_80_10_10(vocab: Vocabulary) -> None:
    torch.manual_seed(0)
    tokens = torch.randint(vocab.n_specials, len(vocab), (500, 100))
    tokens[:, -20:] = vocab.pad_id
    read, wanted = mask_tokens(tokens, vocab)
    asked = wanted != vocab.pad_id
    assert not asked[:, -20:].any() and torch.equal(read[~asked], tokens[~asked])
    assert torch.equal(wanted[asked], tokens[asked])
    assert asked[:, :-20].double().mean().item() == pytest.approx(0.15, abs=0.01)
    hidden, same = (read == vocab.ids[MASK])[asked], (read == tokens)[asked]
    found = [part.double().mean().item() for part in (hidden, same, ~hidden & ~same)]
    assert found == pytest.approx([0.8, 0.1 + 0.1 / 20, 0.1 - 0.1 / 20], abs=0.015)


def test_prefix_mask_has_both_ends() -> None:
    found = prefix_mask(torch.tensor([1, 3, 5]), 5)
    assert torch.equal(found[0], causal_mask(5))
    assert found[2].all()
    assert found[1].int().tolist() == [
        [1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


def test_spans_can_be_put_back() -> None:
    rng = random.Random(0)
    for n in (1, 2, 7, 20):
        words = [f"w{at}" for at in range(n)]
        hidden = [rng.random() < 0.4 for _ in words]
        read, wanted = corrupt_spans(words, hidden)
        pieces: dict[str, list[str]] = {}
        for word in wanted:
            if word in SENTINELS:
                piece = pieces[word] = []
            else:
                piece.append(word)
        whole = [part for word in read for part in pieces.get(word, [word])]
        assert whole == words
        assert list(pieces) == list(SENTINELS[: len(pieces)]) and pieces[wanted[-1]] == []
    with pytest.raises(ValueError, match="2 words, 1 marks"):
        corrupt_spans(["a", "b"], [True])


def test_patches_are_a_convolution() -> None:
    torch.manual_seed(0)
    images, linear = torch.randn(2, 6, 9).double(), nn.Linear(9, 5).double()
    theirs = F.conv2d(images.unsqueeze(1), linear.weight.view(5, 1, 3, 3), linear.bias, stride=3)
    torch.testing.assert_close(linear(patchify(images, 3)), theirs.flatten(2).mT)
    with pytest.raises(ValueError, match="4 does not divide 6 by 9"):
        patchify(images, 4)


def test_a_picture_is_no_set_and_no_order_of_batch() -> None:
    torch.manual_seed(0)
    model, images = PictureBlock(4, 2, 3).double(), torch.rand(2, 4, 4).double()
    found = model(images)
    assert found.shape == (2, 3)
    torch.testing.assert_close(model(images.flip(0)), found.flip(0))
    assert (model(images.flip(1)) - found).abs().max() > 1e-3


def test_fit_lowers_the_loss_and_leaves_eval_mode() -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(3, 1), torch.randn(20, 3)
    wanted = x.sum(dim=1, keepdim=True)
    losses = fit_block(model, lambda: (model(x) - wanted).square().mean(), 200, 0.05)
    assert len(losses) == 200 and losses[-1] < losses[0] / 100 and not model.training

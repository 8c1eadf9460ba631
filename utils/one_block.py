"""One block under four masks, and what it learns from (built in 14)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from utils.text import Vocabulary
from utils.transformer import Encoder, LearnedPositions, TokenEmbedding

MASK = "<mask>"
SENTINELS = tuple(f"<{number}>" for number in range(12))


class OneBlock(nn.Module):
    """Words in, a logit for every word at every place out, under any mask.

    tokens: (batch, seq_len)    mask: as in MultiHeadAttention
    The mask decides what it is: a reader both ways, a writer, or both.
    """

    def __init__(self, vocab_size, d_model=64, n_heads=4, n_layers=2, d_ff=128,
                 dropout=0.0, max_len=256):
        super().__init__()
        self.embedding = TokenEmbedding(vocab_size, d_model, dropout, max_len)
        sizes = n_layers, d_model, n_heads, d_ff, dropout
        self.encoder = Encoder(*sizes, pre_norm=True)
        self.out = nn.Linear(d_model, vocab_size)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.out(self.encoder(self.embedding(tokens), mask))


def mask_tokens(
    tokens: Tensor, vocab: Vocabulary, share: float = 0.15
) -> tuple[Tensor, Tensor]:
    """Hide words for an exam: BERT's 80 / 10 / 10.

    tokens: (batch, seq_len). Each word, never a special, is chosen with
    probability `share`. Of the chosen 80 % become <mask>, 10 % any word,
    10 % stay. Returns what is read, and what is wanted: the true word where
    chosen, elsewhere <pad>, which the loss skips. Devlin et al. 2018, A.1.
    """
    chosen = torch.rand(tokens.shape) < share
    chosen &= tokens >= vocab.n_specials
    lot = torch.rand(tokens.shape)
    words = torch.randint(vocab.n_specials, len(vocab), tokens.shape)
    read = tokens.masked_fill(chosen & (lot < 0.8), vocab.ids[MASK])
    read = torch.where(chosen & (lot >= 0.9), words, read)
    return read, tokens.masked_fill(~chosen, vocab.pad_id)


def fit_block(
    model: nn.Module, loss_of: Callable[[], Tensor], n_steps: int,
    learning_rate: float = 3e-3,
) -> list[float]:
    """The loop of lesson 04 for any question.

    loss_of: draws a batch and returns its loss. Returns the loss of every
    step; leaves the model in eval mode.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
    losses = []
    model.train()
    for _ in tqdm(range(n_steps), desc="training", unit="batch"):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay.step()
        losses.append(loss.item())
    model.eval()
    return losses


def prefix_mask(n_read: Tensor, seq_len: int) -> Tensor:
    """True where a place may look: at all that is read, and at its own past.

    n_read: (batch,), how many places of each row are read, not written.
    Returns (batch, seq_len, seq_len), bool. Raffel et al. 2020, figure 3.
    """
    place = torch.arange(seq_len, device=n_read.device)
    past = place <= place.unsqueeze(1)                 # (seq_len, seq_len)
    return past | (place < n_read.view(-1, 1, 1))


def corrupt_spans(
    words: Sequence[str], hidden: Sequence[bool]
) -> tuple[list[str], list[str]]:
    """Cut runs of words out, as T5 does; a sentinel stands for each.

    words: of one sentence    hidden: True where a word is cut out
    Returns what is read, and what is to be written: each sentinel, then the
    words it stands for; one last sentinel ends it. Raffel et al. 2020, 3.1.4.
    """
    if len(words) != len(hidden):
        raise ValueError(f"{len(words)} words, {len(hidden)} marks")
    read, wanted, n_runs = [], [], 0
    for place, word in enumerate(words):
        if not hidden[place]:
            read.append(word)
            continue
        if place == 0 or not hidden[place - 1]:        # a new run begins
            read.append(SENTINELS[n_runs])
            wanted.append(SENTINELS[n_runs])
            n_runs += 1
        wanted.append(word)
    return read, [*wanted, SENTINELS[n_runs]]


def patchify(images: Tensor, size: int) -> Tensor:
    """Cut each picture into squares, row by row: each is a token.

    images: (batch, height, width), both divisible by size.
    Returns (batch, n_patches, size * size). Dosovitskiy et al. 2020, 3.1.
    """
    batch, height, width = images.shape
    if height % size or width % size:
        raise ValueError(f"{size} does not divide {height} by {width}")
    n_rows, n_columns = height // size, width // size
    x = images.reshape(batch, n_rows, size, n_columns, size)
    x = x.transpose(2, 3)           # (batch, n_rows, n_columns, size, size)
    return x.flatten(3).flatten(1, 2)


class PictureBlock(nn.Module):
    """The same layers; patches instead of words, a class instead of a word.

    images: (batch, height, width), from 0 to 1. Returns (batch, n_classes).
    """

    def __init__(self, n_patches, size, n_classes, d_model=32, n_heads=4,
                 n_layers=2):
        super().__init__()
        self.size = size
        self.embedding = nn.Linear(size * size, d_model)
        self.positions = LearnedPositions(d_model, n_patches)
        nn.init.normal_(self.positions.table, std=0.5)
        self.encoder = Encoder(n_layers, d_model, n_heads, 2 * d_model,
                               pre_norm=True)
        self.out = nn.Linear(d_model, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        patches = patchify(2 * images - 1, self.size)
        x = self.encoder(self.positions(self.embedding(patches)))
        return self.out(x.mean(dim=1))     # all patches, no mask

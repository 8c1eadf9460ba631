"""Recurrent networks, from one step to encoders and decoders.

Built in notebooks 01 (the plain cell, the layer, the character model),
02 (LSTM, GRU, both directions), 03 (last_state), 04 and 05.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.attention import AdditiveScore, DotScore, masked_softmax


def state_or_zeros(state: Tensor | None, x: Tensor, d_hidden: int) -> Tensor:
    """The state that a step starts from: zeros where none is given.

    x: (batch, d_input), the input of that step.
    Returns (batch, d_hidden). Raises ValueError for a state of another shape.
    """
    wanted = (len(x), d_hidden)
    if state is None:
        return x.new_zeros(wanted)
    if tuple(state.shape) != wanted:
        raise ValueError(
            f"want a state (batch, d_hidden) = {wanted}, got {(*state.shape,)}"
        )
    return state


class RNNCell(nn.Module):
    """One step: the new state from the present input and the state before.

    x: (batch, d_input)    state: (batch, d_hidden), or None for zeros.
    Returns what the step shows and what it keeps: twice the same new state,
    tanh(W_x x + W_h h + biases), (batch, d_hidden). Elman 1990.
    """

    def __init__(self, d_input: int, d_hidden: int):
        super().__init__()
        self.d_hidden = d_hidden
        self.input_map = nn.Linear(d_input, d_hidden)
        self.state_map = nn.Linear(d_hidden, d_hidden)

    def forward(self, x: Tensor, state: Tensor | None = None):
        state = state_or_zeros(state, x, self.d_hidden)
        state = torch.tanh(self.input_map(x) + self.state_map(state))
        return state, state


class RecurrentLayer(nn.Module):
    """Run one cell along a sequence: the same weights at every step.

    x: (batch, seq_len, d_input)    state: what the cell keeps, or None.
    Returns the outputs (batch, seq_len, d_hidden) and the last state.
    """

    def __init__(self, cell: nn.Module):
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, state=None):
        if x.size(1) == 0:
            raise ValueError("the sequence is empty: want at least one step")
        outputs = []
        for t in range(x.size(1)):
            output, state = self.cell(x[:, t], state)  # (batch, d_hidden)
            outputs.append(output)
        return torch.stack(outputs, dim=1), state


def copy_weights(cell: nn.Module, layer: nn.Module, suffix: str = "") -> None:
    """Give a cell of ours the weights of torch's cell or layer.

    suffix: "" for nn.RNNCell and its kin; "_l0" for the first layer of nn.RNN
    and its kin, "_l0_reverse" for the direction that reads backwards.
    """
    with torch.no_grad():
        cell.input_map.weight.copy_(getattr(layer, f"weight_ih{suffix}"))
        cell.input_map.bias.copy_(getattr(layer, f"bias_ih{suffix}"))
        cell.state_map.weight.copy_(getattr(layer, f"weight_hh{suffix}"))
        cell.state_map.bias.copy_(getattr(layer, f"bias_hh{suffix}"))


class CharacterModel(nn.Module):
    """Predict the next character from all the characters before it.

    ids: (batch, seq_len) character numbers    state: the cell's, or None.
    Returns logits (batch, seq_len, vocab_size) and the last state.
    """

    def __init__(self, vocab_size: int, cell: nn.Module):
        super().__init__()
        self.vocab_size = vocab_size
        self.layer = RecurrentLayer(cell)
        self.out = nn.Linear(cell.d_hidden, vocab_size)

    def forward(self, ids: Tensor, state=None):
        letters = F.one_hot(ids, self.vocab_size)      # (batch, seq_len, vocab)
        outputs, state = self.layer(letters.to(self.out.weight), state)
        return self.out(outputs), state


class LSTMCell(nn.Module):
    """One LSTM step: a cell state that is added to, behind three gates.

    x: (batch, d_input)    state: hidden and cell state, or None for zeros.
    Returns the new hidden state (batch, d_hidden), and what is kept: the pair.
    In torch's order: input gate, forget gate, new content, output gate.
    Hochreiter & Schmidhuber 1997; the forget gate is from Gers et al. 2000.
    """

    def __init__(self, d_input: int, d_hidden: int):
        super().__init__()
        self.d_hidden = d_hidden
        self.input_map = nn.Linear(d_input, 4 * d_hidden)
        self.state_map = nn.Linear(d_hidden, 4 * d_hidden)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None):
        hidden, cell_state = state or (None, None)
        hidden = state_or_zeros(hidden, x, self.d_hidden)
        cell_state = state_or_zeros(cell_state, x, self.d_hidden)
        sums = self.input_map(x) + self.state_map(hidden)
        i, f, new, o = sums.chunk(4, dim=-1)           # (batch, d_hidden) each
        cell_state = f.sigmoid() * cell_state + i.sigmoid() * new.tanh()
        hidden = o.sigmoid() * cell_state.tanh()
        return hidden, (hidden, cell_state)


class GRUCell(nn.Module):
    """One GRU step: how much to keep of the state, how much to make anew.

    x: (batch, d_input)    state: (batch, d_hidden), or None for zeros.
    Returns twice the new state, (batch, d_hidden).
    In torch's order: reset gate, update gate, new content. As in torch, the
    reset gate acts after the matrix product; Cho et al. 2014 put it before.
    """

    def __init__(self, d_input: int, d_hidden: int):
        super().__init__()
        self.d_hidden = d_hidden
        self.input_map = nn.Linear(d_input, 3 * d_hidden)
        self.state_map = nn.Linear(d_hidden, 3 * d_hidden)

    def forward(self, x: Tensor, state: Tensor | None = None):
        state = state_or_zeros(state, x, self.d_hidden)
        x_r, x_z, x_new = self.input_map(x).chunk(3, dim=-1)
        h_r, h_z, h_new = self.state_map(state).chunk(3, dim=-1)
        reset, update = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
        new = torch.tanh(x_new + reset * h_new)        # (batch, d_hidden)
        state = update * state + (1 - update) * new
        return state, state


def flip_rows(x: Tensor, lengths: Tensor) -> Tensor:
    """Turn the real steps of each row around; padding stays at the end.

    x: (batch, seq_len, d)    lengths: (batch,), the real steps of each row.
    Returns a tensor like x. Flipping twice gives x again.
    """
    steps = torch.arange(x.size(1), device=x.device)
    turned = lengths.unsqueeze(1) - 1 - steps          # (batch, seq_len)
    places = torch.where(turned >= 0, turned, steps)
    return x.gather(1, places.unsqueeze(-1).expand_as(x))


class BidirectionalLayer(nn.Module):
    """Two cells read the sequence, one from each end.

    x: (batch, seq_len, d_input)    lengths: (batch,), at least 1, or None.
    Returns outputs (batch, seq_len, 2 * d_hidden) and final (batch,
    2 * d_hidden): forward half first. Schuster & Paliwal 1997.
    """

    def __init__(self, forward_cell: nn.Module, backward_cell: nn.Module):
        super().__init__()
        self.forward_layer = RecurrentLayer(forward_cell)
        self.backward_layer = RecurrentLayer(backward_cell)

    def forward(self, x: Tensor, lengths: Tensor | None = None):
        if lengths is None:
            lengths = x.new_full((len(x),), x.size(1), dtype=torch.long)
        ahead, _ = self.forward_layer(x)               # (batch, seq_len, d)
        back, _ = self.backward_layer(flip_rows(x, lengths))
        rows, last = torch.arange(len(x), device=x.device), lengths - 1
        final = torch.cat([ahead[rows, last], back[rows, last]], dim=-1)
        return torch.cat([ahead, flip_rows(back, lengths)], dim=-1), final


def last_state(states: Tensor, mask: Tensor) -> Tensor:
    """Pick the state after each sentence's last real token.

    states: (batch, seq_len, d_model)    mask: (batch, 1, seq_len)
    Returns (batch, d_model); zeros for a sentence without tokens.
    """
    lengths = mask.sum(dim=-1)                         # (batch, 1)
    rows = torch.arange(len(states), device=states.device)
    last = (lengths - 1).clamp(min=0).squeeze(1)       # (batch,)
    return states[rows, last] * (lengths > 0)          # (batch, d_model)


class RNNEncoder(nn.Module):
    """Read a sentence from left to right, one state after each token.

    src: (batch, src_len) token ids. Returns states (batch, src_len, d_model).
    """

    def __init__(self, vocab_size: int, d_model: int, dropout: float = 0.0):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.dropout = nn.Dropout(dropout)
        self.rnn = nn.GRU(d_model, d_model, batch_first=True)

    def forward(self, src: Tensor) -> Tensor:
        states, _ = self.rnn(self.dropout(self.embedding(src)))
        return self.dropout(states)


class RNNDecoder(nn.Module):
    """Predict the next target token from those before it and ONE vector.

    tgt: (batch, tgt_len)    memory: (batch, src_len, d_model)
    state: (batch, d_model), or None to start from the memory's last state.
    Returns logits (batch, tgt_len, vocab_size) and the new state.
    Sutskever et al. 2014.
    """

    def __init__(self, vocab_size: int, d_model: int, dropout: float = 0.0):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.dropout = nn.Dropout(dropout)
        self.rnn = nn.GRU(d_model, d_model, batch_first=True)
        self.out = nn.Linear(d_model, vocab_size)

    def forward(self, tgt, memory, src_mask, state=None):
        if state is None:
            state = last_state(memory, src_mask)           # (batch, d_model)
        embedded = self.dropout(self.embedding(tgt))
        states, last = self.rnn(embedded, state.unsqueeze(0))
        return self.out(self.dropout(states)), last.squeeze(0)


class AttentionDecoder(nn.Module):
    """Predict the next target token while looking back at every source state.

    tgt: (batch, tgt_len)    memory: (batch, src_len, d_model)
    state: (batch, d_model), or None to start from the memory's last state.
    Returns logits (batch, tgt_len, vocab_size), the new state and the
    weights (batch, tgt_len, src_len). Luong et al. 2015, section 3.1; their
    input feeding (section 3.3) is left out, so all looks happen at once.
    """

    def __init__(self, vocab_size, d_model, dropout=0.0, score=None):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.dropout = nn.Dropout(dropout)
        self.rnn = nn.GRU(d_model, d_model, batch_first=True)
        self.score = score or DotScore()
        self.combine = nn.Linear(2 * d_model, d_model)
        self.out = nn.Linear(d_model, vocab_size)

    def forward(self, tgt, memory, src_mask, state=None):
        if state is None:
            state = last_state(memory, src_mask)           # (batch, d_model)
        embedded = self.dropout(self.embedding(tgt))
        states, last = self.rnn(embedded, state.unsqueeze(0))
        weights = masked_softmax(self.score(states, memory), src_mask)
        context = weights @ memory                  # (batch, tgt_len, d_model)
        mixed = self.combine(torch.cat([context, states], dim=-1)).tanh()
        return self.out(self.dropout(mixed)), last.squeeze(0), weights


class BahdanauDecoder(nn.Module):
    """Look back with the OLD state, then step: the context goes into the GRU.

    tgt, memory, state and what is returned: as in AttentionDecoder. One step
    needs the one before, so the words of a sentence cannot share a pass.
    Bahdanau et al. 2015, whose score is the additive one.
    """

    def __init__(self, vocab_size, d_model, dropout=0.0, score=None):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.dropout = nn.Dropout(dropout)
        self.score = score or AdditiveScore(d_model, d_model, d_model)
        self.rnn = nn.GRUCell(2 * d_model, d_model)
        self.out = nn.Linear(2 * d_model, vocab_size)

    def forward(self, tgt, memory, src_mask, state=None):
        if state is None:
            state = last_state(memory, src_mask)           # (batch, d_model)
        mixed, rows = [], []
        for word in self.dropout(self.embedding(tgt)).unbind(dim=1):
            scores = self.score(state.unsqueeze(1), memory)
            weights = masked_softmax(scores, src_mask)     # (batch, 1, src_len)
            context = (weights @ memory).squeeze(1)        # (batch, d_model)
            state = self.rnn(torch.cat([word, context], dim=-1), state)
            mixed.append(torch.cat([state, context], dim=-1))
            rows.append(weights)
        logits = self.out(self.dropout(torch.stack(mixed, dim=1)))
        return logits, state, torch.cat(rows, dim=1)


class Seq2Seq(nn.Module):
    """An encoder and a decoder behind the protocol that all models share.

    encode(src, src_mask) -> memory
    decode(tgt, memory, src_mask, state) -> logits, state
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, src: Tensor, src_mask: Tensor) -> Tensor:
        """src (batch, src_len) to memory (batch, src_len, d_model)."""
        return self.encoder(src)

    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        """Logits for every position of tgt, the new state, weights if asked."""
        logits, state, *weights = self.decoder(tgt, memory, src_mask, state)
        if need_weights and not weights:
            raise ValueError("this decoder has no attention, so no weights")
        return (logits, state, weights[0]) if need_weights else (logits, state)

    def forward(self, src, src_mask, tgt):
        """Logits for every position of tgt (batch, tgt_len, vocab_size)."""
        return self.decode(tgt, self.encode(src, src_mask), src_mask)[0]

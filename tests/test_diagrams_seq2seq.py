"""The diagrams of lessons 04 and 05: labels are the tensors, no faults, bad input is named."""

from __future__ import annotations

import pytest
import torch
from drawing import faults, words_on
from matplotlib.patches import Rectangle

from utils.diagrams import seq2seq as d
from utils.recurrent import RNNDecoder, RNNEncoder, Seq2Seq

SRC = "I came home and took a rest".split()
TGT = ["私", "は", "家", "に", "帰って", "休みました", "<eos>"]
TOKENS = ["<bos>", "<eos>", "<unk>", "<pad>", *TGT[:-1]]


pytestmark = pytest.mark.usefixtures("course_page")


def states(n: int, d_model: int = 8) -> torch.Tensor:
    """Return n made-up states."""
    return 2 * torch.rand(n, d_model) - 1


@pytest.mark.parametrize("n_src, n_tgt", [(1, 1), (3, 6), (5, 5), (7, 7), (7, 8), (8, 7), (6, 9)])
@pytest.mark.parametrize("d_model", [8, 128])
@pytest.mark.parametrize("attends", [False, True])
def test_seq2seq_is_without_faults(n_src: int, n_tgt: int, d_model: int, attends: bool) -> None:
    src, tgt = [*SRC, "today"][:n_src], [*TGT, "です", "か"][:n_tgt]
    weights = torch.randn(n_src).softmax(0) if attends else None
    fig = d.seq2seq(src, tgt, states(n_src, d_model), states(n_tgt, d_model), weights)
    assert faults(fig) == []
    words = words_on(fig)
    assert set(src) | set(tgt) | {"<bos>"} <= set(words)
    assert words.count("GRU") == n_src + n_tgt
    for share in weights.tolist() if attends else []:
        assert f"{share:.2f}" in words


def test_a_wide_state_says_how_much_of_it_is_drawn() -> None:
    wide = words_on(d.seq2seq(SRC, TGT, states(7, 128), states(7, 128)))
    assert "last state:\n8 of its 128\nnumbers" in wide
    assert "last state:\n5 numbers" in words_on(d.seq2seq(SRC, TGT, states(7, 5), states(7, 5)))


def test_the_neck_holds_the_last_state() -> None:
    memory = states(3)
    other = memory.clone()
    other[:2] = 0
    def necks(m: torch.Tensor) -> list:
        ax = d.seq2seq(SRC[:3], TGT[:3], m, states(3)).axes[0]
        cells = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_height() == 0.15]
        return [p.get_facecolor() for p in cells if p.get_fill()]
    assert len(necks(memory)) == 8 and necks(memory) == necks(other)
    other[2] = -memory[2]
    assert necks(memory) != necks(other)


@pytest.mark.parametrize("words", [
    ["猫" * 30, "$x_1$", "مرحبا", "שלום", "a_b^c", "안녕하세요", ""],
    ["x" * 200] * 7,
])
def test_strange_words_are_drawn(words: list[str], recwarn: pytest.WarningsRecorder) -> None:
    fig = d.seq2seq(words, words, states(7), states(7), torch.full((7,), 1 / 7), step=6)
    fig.canvas.draw()
    tokens = ["<bos>", "<eos>", "<unk>", "<pad>", *words]
    d.teacher_forcing(torch.tensor([0, 4, 5, 6, 7, 8, 9, 10, 1, 3]), tokens).canvas.draw()
    assert not [str(w.message) for w in recwarn if "lyph" in str(w.message)]


@pytest.mark.parametrize("call, words", [
    (lambda: d.seq2seq(SRC, TGT, states(6), states(7)), "memory has shape"),
    (lambda: d.seq2seq(SRC, TGT, states(7), states(3)), "states has shape"),
    (lambda: d.seq2seq(SRC, TGT, states(7)[0], states(7)), "memory has shape"),
    (lambda: d.seq2seq(SRC * 6, TGT, states(42), states(7)), "page has room"),
    (lambda: d.seq2seq(SRC, TGT * 6, states(7), states(42)), "page has room"),
    (lambda: d.seq2seq("I came home", TGT, states(7), states(7)), "one text"),
    (lambda: d.seq2seq(SRC, TGT, states(7) * float("nan"), states(7)), "nan"),
    (lambda: d.seq2seq(SRC, TGT, states(7), states(7), torch.ones(7)), "add up to 7.00"),
    (lambda: d.seq2seq(SRC, TGT, states(7), states(7), torch.ones(2) / 2), "weights has shape"),
    (lambda: d.seq2seq(SRC, TGT, states(7), states(7), torch.ones(7) / 7, 7), "step is 7"),
    (lambda: d.teacher_forcing(torch.zeros(40), TOKENS), "room for 2 to 11"),
    (lambda: d.teacher_forcing(torch.zeros(2, 4), TOKENS), "tgt has shape"),
    (lambda: d.teacher_forcing(torch.tensor([0, 99, 1]), TOKENS), "vocabulary of 10"),
    (lambda: d.teacher_forcing(torch.tensor([0.0, float("nan")]), TOKENS), "nan"),
])
def test_bad_input_is_named_in_one_sentence(call, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("n_pads", [0, 1, 3])
def test_teacher_forcing_is_one_step_apart(n_pads: int) -> None:
    ids = [0, 4, 5, 6, 7, 8, 9, 1] + [3] * n_pads
    fig = d.teacher_forcing(torch.tensor(ids), TOKENS)
    assert faults(fig) == []
    texts = {(round(t.get_position()[0], 3), round(t.get_position()[1], 2)): t.get_text()
             for t in fig.axes[0].texts}
    columns = sorted({x for (x, y), text in texts.items() if text == "GRU"})
    for x, reads, says in zip(columns, ids[:-1], ids[1:], strict=True):
        assert TOKENS[reads].startswith(texts[x, 0.85].rstrip("…"))
        assert TOKENS[says].startswith(texts[x, 2.65].rstrip("…"))
    assert words_on(fig).count("not counted") == n_pads


class Sure(Seq2Seq):
    """A model that writes one script, and is sure of nothing."""

    def decode(self, tgt, memory, src_mask, state=None, need_weights=False):
        n = 0 if state is None else state
        logits = torch.full((1, 1, len(TOKENS)), 0.0)
        logits[0, 0, [4, 5, 6, 1][min(n, 3)]] = 1.0
        return logits, n + 1


def made_up_model() -> tuple:
    """Return a model that nobody trained, and a sentence."""
    model = Seq2Seq(RNNEncoder(9, 6), RNNDecoder(len(TOKENS), 6))
    return model, torch.tensor([[3, 4, 5]]), torch.ones(1, 1, 3, dtype=torch.bool)


@pytest.mark.parametrize("first, n_steps, shown", [(0, 7, 3), (2, 1, 1), (3, 8, 5)])
def test_greedy_steps_are_those_of_the_model(first: int, n_steps: int, shown: int) -> None:
    model, src, mask = made_up_model()
    fig = d.greedy_steps(model, src, mask, TOKENS, first, n_steps, shown)
    assert faults(fig) == []
    words = words_on(fig)
    assert next(w for w in words if w.startswith("step ")) == f"step {first}"
    memory, token, state = model.encode(src, mask), 0, None
    with torch.no_grad():
        for _ in range(first + 1):
            logits, state = model.decode(torch.tensor([[token]]), memory, mask, state)
            token = logits.argmax().item()
    shares = logits[0, -1].softmax(-1)
    assert TOKENS[token] in words and f"{shares.max():.2f}" in words


def test_greedy_steps_end_with_eos() -> None:
    model, src, mask = made_up_model()
    model.__class__ = Sure
    fig = d.greedy_steps(model, src, mask, TOKENS)
    assert [w for w in words_on(fig) if w.startswith("step ")] == [f"step {n}" for n in range(4)]
    with pytest.raises(ValueError, match="ends after 4 tokens"):
        d.greedy_steps(model, src, mask, TOKENS, first=5)
    with pytest.raises(ValueError, match="one sentence"):
        d.greedy_steps(model, src.expand(2, 3), mask, TOKENS)
    with pytest.raises(ValueError, match="1 to 8 steps"):
        d.greedy_steps(model, src, mask, TOKENS, n_steps=20)

"""The pictures of the Transformer show the run that they were given, or refuse."""

import json

import pytest
import torch
from drawing import faults, words_on
from matplotlib.patches import PathPatch
from torch import nn

from utils.attention import causal_mask
from utils.diagrams.transformer import (
    answer_in_sight,
    encoder_layers,
    finished,
    lessons_of_parts,
    record,
    three_masks,
    transformer,
    writing,
)
from utils.transformer import EncoderLayer, Transformer

SRC, TGT = ["I", "came", "home", "<pad>", "<pad>"], ["<bos>", "私", "は", "家", "に", "帰りました"]
LESSONS = {"MultiHeadAttention": "08", "LayerNorm": "10", "DecoderLayer": "11"}


pytestmark = pytest.mark.usefixtures("course_page")


def given(n_src=5, n_tgt=6, n_real=3):
    torch.manual_seed(0)
    src, tgt = torch.randint(1, 11, (1, n_src)), torch.randint(13, (1, n_tgt))
    return src, (torch.arange(n_src) < n_real).view(1, 1, -1), tgt


def small(**options):
    torch.manual_seed(0)
    return finished(11, 13, **dict(d_model=16, n_heads=4, d_ff=32, n_layers=2) | options)


# ---- lessons ----


def test_lessons_come_from_the_cells_that_build():
    found = lessons_of_parts()
    assert found["MultiHeadAttention"] == "08" and found["split_heads"] == "00"
    assert found["SinusoidalPositions"] == "09" and found["LayerNorm"] == "10"


def test_lessons_of_a_made_up_course(tmp_path):
    cells = [{"source": ["# built here, kept in utils/a.py\n", "class A:\n", "    def f(): ..."]},
             {"source": "class B: ..."}]
    (tmp_path / "03_a.ipynb").write_text(json.dumps({"cells": cells}), "utf-8")
    (tmp_path / "04_broken.ipynb").write_text("{", "utf-8")
    (tmp_path / "notes.ipynb").write_text("{}", "utf-8")
    assert lessons_of_parts(tmp_path) == {"A": "03"}


# ---- record ----


def test_record_knows_the_order_and_leaves_the_model_as_it_was():
    model = small().train()
    run = record(model, *given())
    assert [call.name for call in run.loud] == [
        "TokenEmbedding", "Encoder", "TokenEmbedding", "Decoder", "Linear"]
    assert run.output.shape == (1, 6, 13) and not run.output.requires_grad
    assert model.training and not any(m._forward_hooks for m in model.modules())
    layer = run.loud[3].loud[0]
    assert [c.loud[-1].name for c in layer.loud] == [
        "MultiHeadAttention", "MultiHeadAttention", "FeedForward"]


def test_record_takes_its_hooks_away_after_an_error():
    model = small()
    with pytest.raises(ValueError):
        record(model, torch.zeros(1, 300, dtype=torch.long), None, torch.zeros(1, 3).long())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


# ---- encoder_layers ----


def test_encoder_layers_shows_where_the_norm_stands():
    torch.manual_seed(0)
    layers = {"post-norm": EncoderLayer(16, 4, 32), "pre-norm": EncoderLayer(16, 4, 32,
                                                                            pre_norm=True)}
    mask = torch.tensor([[[True, True, True, False, False]]])
    fig = encoder_layers(layers, torch.randn(1, 5, 16), mask)
    assert faults(fig) == []
    shown = words_on(fig)
    assert shown.count("LayerNorm") == 4 and shown.count("(1, 5, 16)") == 2
    assert shown.count("MultiHeadAttention\nself: 4 heads of 4") == 2
    assert shown.count("FeedForward\n16 → 32 → 16") == 2
    left, right = ([t.get_position()[1] for t in fig.axes[0].texts if t.get_text() == "LayerNorm"
                    and (t.get_position()[0] > 4) is side] for side in (False, True))
    assert max(left) > max(right)                      # post-norm ends in a norm
    assert faults(encoder_layers({"one": layers["pre-norm"]}, torch.randn(1, 3, 16))) == []


@pytest.mark.parametrize("x, mask, words", [
    (torch.randn(5, 16), None, "x has shape"),
    (torch.randn(2, 5, 16), None, "x has shape"),
    (torch.full((1, 5, 16), torch.nan), None, "nan"),
    (torch.randn(1, 40, 16), None, "room"),
    (torch.randn(1, 5, 16), torch.ones(1, 1, 4).bool(), "mask has shape"),
])
def test_encoder_layers_refuses(x, mask, words):
    with pytest.raises(ValueError, match=words):
        encoder_layers({"layer": EncoderLayer(16, 4, 32)}, x, mask)
    with pytest.raises(ValueError, match="one or two"):
        encoder_layers({}, torch.randn(1, 5, 16))


# ---- transformer ----


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("n_layers", [1, 2, 6])
def test_transformer_shows_the_run(pre_norm, n_layers):
    model = small(pre_norm=pre_norm, n_layers=n_layers)
    fig = transformer(model, *given(), SRC, TGT, lessons=LESSONS)
    assert faults(fig) == []
    shown = words_on(fig)
    for words in ("memory (1, 5, 16)", "logits (1, 6, 13)", f"EncoderLayer × {n_layers}",
                  f"DecoderLayer × {n_layers}", "causal mask", "(6, 6)", " ".join(SRC)):
        assert words in shown
    assert shown.count("padding mask") == 2 and shown.count("(1, 1, 5)") == 2
    assert shown.count("MultiHeadAttention\ncross: 4 heads of 4") == 1
    assert shown.count("MultiHeadAttention\nself: 4 heads of 4") == 2
    assert shown.count("LayerNorm") == 5 + 2 * pre_norm
    assert shown.count("11") == 1 and shown.count("08") == 3 + 1


def test_transformer_draws_a_class_that_utils_does_not_know():
    class Other(Transformer):
        pass

    torch.manual_seed(0)
    assert faults(transformer(Other(11, 13, 16, 4), *given(), SRC, TGT)) == []


def test_transformer_without_causal_mask_says_padding():
    class Open(Transformer):
        def predict(self, tgt, memory, src_mask):
            seen = torch.ones(tgt.size(1), tgt.size(1), dtype=torch.bool)
            return self.out(self.decoder(self.tgt_embedding(tgt), memory, seen, src_mask))

    assert "causal mask" not in words_on(transformer(Open(11, 13, 16, 4), *given(), SRC, TGT))


def test_transformer_refuses():
    src, src_mask, tgt = given()
    for changed, words in [
        ((src[0], src_mask, tgt, SRC, TGT), "src has shape"),
        ((src, src_mask[0], tgt, SRC, TGT), "src_mask has shape"),
        ((src, src_mask, tgt, SRC[:4], TGT), "src_words has 4"),
        ((src, src_mask, tgt, SRC, TGT[:1]), "tgt_words has 1"),
        ((*given(40, 6, 40), ["a"] * 40, TGT), "40 words"),
    ]:
        with pytest.raises(ValueError, match=words):
            transformer(small(), *changed)
    broken = small()
    nn.init.constant_(broken.out.bias, torch.nan)
    with pytest.raises(ValueError, match="nan"):
        transformer(broken, src, src_mask, tgt, SRC, TGT)


def test_transformer_with_other_letters():
    words = ["나는", "집에", "왔다", "שלום", "مرحبا"]
    assert faults(transformer(small(), *given(5, 5, 5), words, words)) == []
    long = ["incomprehensibilities"] * 12
    assert faults(transformer(small(), *given(12, 12, 10), long, long)) == []


# ---- three_masks ----


def hatched(fig):
    return sum(p.get_hatch() is not None for p in fig.axes[0].patches)


def test_three_masks_hatches_what_is_hidden():
    _, src_mask, _ = given()
    fig = three_masks(SRC, TGT, src_mask[0], causal_mask(6))
    assert faults(fig) == []
    assert hatched(fig) == 5 * 2 + 15 + 6 * 2 + 2      # two of the legend
    shown = words_on(fig)
    assert shown.count("src_mask") == 2 and "(6, 6)" in shown and shown.count("(1, 5)") == 2
    open_ = three_masks(SRC, TGT, torch.ones(1, 5).bool(), torch.ones(6, 6).bool())
    assert hatched(open_) == 2


def test_three_masks_of_many_and_other_words():
    words = ["나는", "שלום", "مرحبا", "家に帰りました"] * 3
    fig = three_masks(words[:9], words, torch.ones(1, 9).bool(), causal_mask(12))
    assert faults(fig) == []


@pytest.mark.parametrize("src, tgt, mask, tgt_mask, words", [
    (SRC, TGT, torch.ones(1, 4), causal_mask(6), "src_mask has shape"),
    (SRC, TGT, torch.ones(1, 5), causal_mask(5), "tgt_mask has shape"),
    (["a"] * 40, TGT, torch.ones(1, 40), causal_mask(6), "40 words"),
    (SRC, TGT, torch.full((1, 5), torch.nan), causal_mask(6), "nan"),
    ("I came", TGT, torch.ones(1, 5), causal_mask(6), "one text"),
])
def test_three_masks_refuses(src, tgt, mask, tgt_mask, words):
    with pytest.raises(ValueError, match=words):
        three_masks(src, tgt, mask, tgt_mask)


# ---- writing ----


def written(model, src, src_mask, n=5):
    tokens = torch.zeros(1, 1, dtype=torch.long)
    for _ in range(n):
        word = model(src, src_mask, tokens)[:, -1:].argmax(-1)
        tokens = torch.cat([tokens, word], dim=1)
    return tokens


def test_writing_shows_each_word_and_its_share():
    model, (src, src_mask, _) = small(), given()
    tokens = written(model, src, src_mask)
    fig = writing(model, src, src_mask, tokens, SRC, TGT)
    assert faults(fig) == []
    shown = words_on(fig)
    assert [shown.count(word) for word in TGT] == [5, 5, 4, 3, 2, 1]
    shares = model(src, src_mask, tokens).softmax(-1).amax(-1)[0, :5]
    assert all(f"{share:.2f}" in shown for share in shares.tolist())


def test_writing_refuses_what_the_model_does_not_write():
    model, (src, src_mask, _) = small(), given()
    tokens = written(model, src, src_mask)
    other = tokens.clone()
    other[0, 2] = (other[0, 2] + 1) % 13
    with pytest.raises(ValueError, match="step 2"):
        writing(model, src, src_mask, other, SRC, TGT)
    with pytest.raises(ValueError, match="tokens has shape"):
        writing(model, src, src_mask, tokens[0], SRC, TGT)
    with pytest.raises(ValueError, match="tgt_words has"):
        writing(model, src, src_mask, tokens, SRC, TGT[:3])
    with pytest.raises(ValueError, match="nothing was written"):
        writing(model, src, src_mask, tokens[:, :1], SRC, TGT[:1])
    with pytest.raises(ValueError, match="41 words"):
        writing(model, src, src_mask, tokens.repeat(1, 7)[:, :41], SRC, ["a"] * 41)
    nn.init.constant_(model.out.bias, torch.nan)
    with pytest.raises(ValueError, match="nan"):
        writing(model, src, src_mask, tokens, SRC, TGT)


def test_writing_with_other_letters():
    model, (src, src_mask, _) = small(), given()
    words = ["<bos>", "나는", "שלום", "مرحبا", "作りました", "incomprehensibilities"] + ["家"] * 4
    fig = writing(model, src, src_mask, written(model, src, src_mask, 9), SRC, words)
    assert faults(fig) == []


# ---- answer_in_sight ----


def test_answer_in_sight_points_at_the_answer():
    fig = answer_in_sight(TGT, [*TGT[1:], "<eos>"], 2)
    assert faults(fig) == []
    lines = [p for p in fig.axes[0].patches if isinstance(p, PathPatch)]
    assert len(lines) == 4                             # three places before, and the answer
    for asks in (0, 4):
        assert faults(answer_in_sight(TGT, [*TGT[1:], "<eos>"], asks)) == []


@pytest.mark.parametrize("tgt_in, tgt_out, asks, words", [
    (TGT, TGT, 2, "one step apart"),
    (TGT, TGT[1:], 2, "tgt_out has 5"),
    (TGT, [*TGT[1:], "<eos>"], 5, "asks is 5"),
    (["a"] * 40, ["a"] * 40, 2, "40 words"),
])
def test_answer_in_sight_refuses(tgt_in, tgt_out, asks, words):
    with pytest.raises(ValueError, match=words):
        answer_in_sight(tgt_in, tgt_out, asks)

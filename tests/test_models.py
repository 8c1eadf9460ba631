"""The kept models: they score what their lessons print, and a bad file is named in one sentence."""

from __future__ import annotations

import functools
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from made_up import code, markdown, write
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from tools import models as command
from tools.notebooks import evidence, lessons, read
from utils.corpora import available, load_grammar, load_real
from utils.decoding import translate
from utils.metrics import corpus_bleu, exact_match
from utils.models import (
    FOLDER,
    FORMAT,
    ModelUnavailable,
    Translator,
    load_model,
    save_model,
)
from utils.recurrent import AttentionDecoder, RNNDecoder, RNNEncoder, Seq2Seq
from utils.text import BOS, EOS, PAD, UNK, Vocabulary
from utils.transformer import Transformer
from utils.translator.data import Source
from utils.translator.training import Settings
from utils.translator.using import bleu_line, translate_lines
from utils.translator.using import load as load_translator

LONG_RUN = FOLDER / "translator_en_de.safetensors"
KEPT = sorted(path.stem for path in FOLDER.glob("*.safetensors") if path != LONG_RUN)


@functools.cache
def grammar(target: str = "ja") -> tuple:
    """Return the test pairs and both vocabularies, as the lessons make them."""
    pairs = load_grammar(target, "train")
    src_vocab = Vocabulary([p.src for p in pairs], specials=(PAD, UNK))
    tgt_vocab = Vocabulary([p.tgt for p in pairs], specials=(BOS, EOS, UNK, PAD))
    return load_grammar(target, "test"), src_vocab, tgt_vocab


def grammar_model(decoder: type[nn.Module], d_model: int) -> nn.Module:
    """Return an untrained translator of the grammar corpus."""
    _, src_vocab, tgt_vocab = grammar()
    return Seq2Seq(RNNEncoder(len(src_vocab), d_model), decoder(len(tgt_vocab), d_model))


def transformer() -> nn.Module:
    """Return an untrained Transformer for the grammar corpus."""
    _, src_vocab, tgt_vocab = grammar()
    return Transformer(len(src_vocab), len(tgt_vocab))


def share_right(model: nn.Module) -> float:
    """Return the share of the test sentences that a model translates exactly."""
    pairs, *vocabs = grammar()
    return exact_match(translate(model, [p.src for p in pairs], *vocabs), [p.tgt for p in pairs])


@functools.cache
def real() -> tuple:
    """Return the real test pairs and both vocabularies, as lesson 06 makes them."""
    if reason := available("small_parallel_enja"):
        pytest.skip(reason)
    pairs = load_real("small_parallel_enja", "train")
    src, tgt = (Counter(w for p in pairs for w in side(p)) for side in (
        lambda p: p.src, lambda p: p.tgt))
    pairs = [p for p in pairs if min(src[w] for w in p.src) > 9 and min(tgt[w] for w in p.tgt) > 9]
    src_vocab = Vocabulary([p.src for p in pairs], specials=(PAD, UNK))
    tgt_vocab = Vocabulary([p.tgt for p in pairs], specials=(BOS, EOS, UNK, PAD))
    return load_real("small_parallel_enja", "test"), src_vocab, tgt_vocab


def real_translator() -> nn.Module:
    """Return an untrained translator of the real sentences."""
    _, src_vocab, tgt_vocab = real()
    return Seq2Seq(RNNEncoder(len(src_vocab), 64), AttentionDecoder(len(tgt_vocab), 64))


def real_bleu(model: nn.Module) -> float:
    """Return the BLEU of a model on the real test sentences."""
    pairs, *vocabs = real()
    return corpus_bleu(translate(model, [p.src for p in pairs], *vocabs), [p.tgt for p in pairs])


class Kept(NamedTuple):
    """How a kept model is built and scored, and where its lesson prints the same score."""

    build: Callable[[], nn.Module]
    score: Callable[[nn.Module], float]
    printed: str    # a regular expression with one group, searched in the outputs of the lesson
    within: float = 0.0151    # how far the score of another processor may be from the printed one


HELD = {
    "04_vector_ja": Kept(
        lambda: grammar_model(RNNDecoder, 128), share_right, r"exact match (\d\.\d+)"
    ),
    "06_real_ja": Kept(real_translator, real_bleu, r"greedy: BLEU (\d+\.\d)", 0.3),
    "11_transformer_ja": Kept(
        transformer, share_right, r"(\d\.\d+) of the 500 test sentences\s+are right in every word"
    ),
    **{f"11_transformer_ja_seed{seed}": Kept(
        transformer, share_right, rf"Transformers of seeds 0, 1, 2:(?: \d\.\d+){{{seed}}} (\d\.\d+)"
    ) for seed in (1, 2)},
    "11_rnn_ja": Kept(
        lambda: grammar_model(AttentionDecoder, 96), share_right, r"RNN, attention .*all (\d\.\d+)"
    ),
    "05_attention_ja": Kept(
        lambda: grammar_model(AttentionDecoder, 120), share_right, r"attention .* all: (\d\.\d+)"
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_model_scores_what_its_lesson_prints(name: str) -> None:
    kept = HELD[name]
    paths = [*lessons(which=name[:2]), *evidence(which=name[:2])]
    text = "\n".join(cell.text for path in paths for cell in read(path))
    found = re.search(kept.printed, text)
    assert found, f"lesson {name[:2]} does not print {kept.printed}"
    model = load_model(kept.build(), name)
    assert kept.score(model) == pytest.approx(float(found[1]), abs=kept.within)


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_model_is_small_and_says_where_it_is_from(name: str) -> None:
    path = FOLDER / f"{name}.safetensors"
    assert path.stat().st_size < 900_000 or name.startswith("12")
    with safe_open(path, "pt") as file:
        card = file.metadata()
    keepers = {
        (cell.notebook.stem, cell.id, kept + end)
        for lesson in lessons() for cell in read(lesson) for kept in cell.metadata.get("keeps", {})
        for end in ("", *(f"_seed{seed}" for seed in cell.metadata.get("seeds", ())))
    }
    assert (card["lesson"], card["cell"], name) in keepers, f"run  make models NB={name[:2]}"
    assert f"`{name}`" in (FOLDER / "README.md").read_text("utf-8")


def test_all_kept_models_are_small() -> None:
    sizes = {path.stem: path.stat().st_size for path in FOLDER.rglob("*.safetensors")}
    del sizes["translator_en_de"]    # which has a limit of its own
    assert len(sizes) > 7 and sum(sizes.values()) < 10_000_000


# ---- a file that is not what it should be ----


@pytest.fixture
def layer(tmp_path: Path) -> nn.Module:
    """Return a layer whose weights are kept as 01_layer."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    save_model(layer, "01_layer", {"lesson": "01_x", "cell": "a"}, tmp_path)
    return layer


def test_what_is_saved_comes_back_in_half_precision(tmp_path: Path, layer: nn.Module) -> None:
    loaded = load_model(nn.Linear(3, 2), "01_layer", tmp_path)
    assert not loaded.training and loaded.weight.dtype == torch.float32
    assert torch.equal(loaded.weight, layer.weight.half().float())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01_layer.safetensors"]


def broken_off(path: Path) -> None:
    """Leave the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign(path: Path) -> None:
    """Put something else in its place."""
    path.write_bytes(b"PK\x03\x04 a pickle of somebody")


def without_card(path: Path) -> None:
    """Leave out what says that it is ours."""
    save_file({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, path)


def of_another_version(path: Path) -> None:
    """Give it a format that is not known yet."""
    tensors = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    save_file(tensors, path, {"format": FORMAT.replace("1", "2")})


@pytest.mark.parametrize(
    "spoil, words",
    [
        (Path.unlink, "is missing"),
        (broken_off, "cannot be read"),
        (foreign, "cannot be read"),
        (without_card, "has the format None"),
        (of_another_version, "has the format 'attention-by-experiment 2'"),
    ],
)
def test_a_bad_file_is_named_in_one_sentence(
    spoil: Callable[[Path], object], words: str, tmp_path: Path, layer: nn.Module
) -> None:
    spoil(tmp_path / "01_layer.safetensors")
    target = nn.Linear(3, 2)
    before = target.weight.clone()
    with pytest.raises(ModelUnavailable) as error:
        load_model(target, "01_layer", tmp_path)
    message = str(error.value)
    assert words in message and "make models NB=01" in message and "\n" not in message
    assert str(tmp_path / "01_layer.safetensors") in message
    assert torch.equal(target.weight, before)


@pytest.mark.parametrize(
    "module, words",
    [
        (nn.Linear(3, 4), "weight is (2, 3) in the file, (4, 3) here"),
        (nn.Linear(3, 2, bias=False), "the module has no bias"),
        (nn.LSTMCell(3, 2), "the file has no weight_ih"),
    ],
)
def test_a_module_of_other_sizes(
    module: nn.Module, words: str, tmp_path: Path, layer: nn.Module
) -> None:
    with pytest.raises(ModelUnavailable) as error:
        load_model(module, "01_layer", tmp_path)
    assert words in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_numbers_that_half_precision_cannot_hold(value: float, tmp_path: Path) -> None:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, value)
    with pytest.raises(ValueError, match="weight of 01_x does not fit half precision"):
        save_model(layer, "01_x", {}, tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---- make models ----


def test_the_cells_of_a_lesson_write_its_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trains = code('from torch import nn\nTARGET = "ja"\nlayer = nn.Linear(len(TARGET), 1)')
    trains.metadata["keeps"] = {"04_layer_ja": "layer"}
    path = write(tmp_path / "04_x.ipynb", markdown("# 04"), trains, code("1 / 0"))
    before = path.read_bytes()
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parents[1]))
    assert command.write_models(path, tmp_path / "kept") == ["04_layer_ja"]
    assert command.write_models(path, tmp_path / "kept", "fr") == ["04_layer_fr"]
    assert path.read_bytes() == before
    load_model(nn.Linear(2, 1), "04_layer_ja", tmp_path / "kept")
    with safe_open(tmp_path / "kept/04_layer_fr.safetensors", "pt") as file:
        assert file.metadata()["cell"] == trains["id"]


def test_a_cell_that_lists_seeds_keeps_a_model_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = code("import torch\nfrom torch import nn\nSEED = 0\nwide = nn.Linear(2 + SEED, 1)")
    wide.metadata.update(keeps={"04_wide_ja": "wide"}, seeds=[2, 1])
    drawn = code("torch.manual_seed(0)\ndrawn = nn.Linear(1 + torch.initial_seed(), 1)")
    drawn.metadata["keeps"] = {"04_drawn_ja": "drawn"}
    path = write(tmp_path / "04_x.ipynb", wide, drawn)
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parents[1]))
    assert command.seeds_of(path) == [0, 1, 2]
    assert command.write_models(path, tmp_path) == ["04_wide_ja", "04_drawn_ja"]
    assert command.write_models(path, tmp_path, seed=2) == ["04_wide_ja_seed2"]
    load_model(nn.Linear(1, 1), "04_drawn_ja", tmp_path)
    load_model(nn.Linear(2, 1), "04_wide_ja", tmp_path)
    load_model(nn.Linear(4, 1), "04_wide_ja_seed2", tmp_path)


def test_a_lesson_that_keeps_nothing_is_not_run(tmp_path: Path) -> None:
    path = write(tmp_path / "04_x.ipynb", code("1 / 0"))
    assert command.write_models(path, tmp_path) == []


# ---- the translator of lesson 00 ----


@pytest.fixture(scope="module")
def translator() -> Translator:
    """Return the translator to Japanese."""
    return Translator("ja")


def test_a_translation_shows_what_it_looked_at(translator: Translator) -> None:
    look = translator("this is a pen")
    assert look.words == ["これ", "は", "ペン", "です"] and look.unknown == []
    assert look.weights.shape == (5, 4) and look.queries.shape == (5, 120)
    scores = look.queries @ look.memory.T / 120**0.5
    torch.testing.assert_close(scores.softmax(-1), look.weights)
    assert not translator.model.decoder.score._forward_hooks


@pytest.mark.parametrize("text", ["This is a pen.", "  this is a pen !", "THIS is a Pen"])
def test_a_sentence_as_a_person_writes_it(text: str, translator: Translator) -> None:
    assert translator(text).words == ["これ", "は", "ペン", "です"]


def test_an_apostrophe_begins_a_word_of_its_own(translator: Translator) -> None:
    assert translator("this is Mina's hat").source == ["this", "is", "Mina", "'s", "hat"]


def test_unknown_words_are_named(translator: Translator) -> None:
    assert translator("my dog loves pizza").unknown == ["loves", "pizza"]


@pytest.mark.parametrize("text", ["", "  . ", "pen " * 51])
def test_what_is_no_sentence_is_refused(text: str, translator: Translator) -> None:
    with pytest.raises(ValueError, match="1 to 50 words"):
        translator(text)


def test_a_language_without_a_kept_model_says_how_to_have_it() -> None:
    with pytest.raises(ModelUnavailable, match="make models NB=05 TARGET=ko"):
        Translator("ko")


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600)])
def test_others_may_read_a_kept_model_as_the_umask_says(
    umask: int, mode: int, tmp_path: Path
) -> None:
    before = os.umask(umask)
    try:
        path = save_model(nn.Linear(2, 2), "04_x", {}, tmp_path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


# ---- the translator of the command line ----


def test_the_long_run_is_small_and_says_what_it_is() -> None:
    kept = load_translator(LONG_RUN)
    assert LONG_RUN.stat().st_size <= 6_000_000
    card, settings = kept.facts["card"], kept.settings
    assert settings == replace(Settings("en-de"), precision="bfloat16", optimizer="muon")
    assert card["command"].startswith("python -m utils.translator train FOLDER --pair en-de ")
    assert card["averaged epochs"] == settings.average and card["data"] == "multi30k"
    assert card["licence of the data"] and len(card["history"]) == settings.epochs
    assert all(parameter.isfinite().all() for parameter in kept.model.parameters())


def test_the_long_run_translates_captions_that_it_never_saw() -> None:
    if reason := available("multi30k"):
        pytest.skip(reason)
    kept, pairs = load_translator(LONG_RUN), Source("en-de").pairs("valid")[:100]
    written = translate_lines(kept, [src for src, _ in pairs], beam=1)
    score = bleu_line(written, [tgt for _, tgt in pairs], "13a", 1)
    assert float(score.split()[1]) > 35

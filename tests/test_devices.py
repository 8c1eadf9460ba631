"""Every public part of utils works where, and in the type of numbers, that its input has.

The other device is "meta", which holds shapes and no numbers: a tensor made on the CPU inside a
part does not mix with it. Decoders must look at numbers to stop, so they run on the CPU while
new tensors go to meta unless they are told otherwise.
"""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from utils import (
    attention,
    decoding,
    metrics,
    modern,
    recurrent,
    text,
    training,
    transformer,
    variants,
)
from utils.attention import MultiHeadAttention
from utils.recurrent import AttentionDecoder, BahdanauDecoder, RNNDecoder, RNNEncoder, Seq2Seq
from utils.text import BOS, EOS, PAD, UNK, Vocabulary
from utils.transformer import Decoder, Transformer

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
B, T, S, D, V = 2, 5, 7, 12, 11


def floats(*shape: int) -> Tensor:
    return torch.randn(shape)


def ids(length: int = T) -> Tensor:
    return torch.randint(0, V, (B, length))


def mask(length: int = S) -> Tensor:
    return (torch.arange(length) < torch.tensor([length, 3])[:, None]).unsqueeze(1)


def whole(decoder: type) -> Seq2Seq:
    return Seq2Seq(RNNEncoder(V, D), decoder(V, D))


def recipe() -> modern.Recipe:
    return replace(modern.MODERN, n_kv_heads=2)


def heads() -> MultiHeadAttention:
    return MultiHeadAttention(D, 3)


def cell(kind: type):
    return (lambda: kind(D, 6)), lambda: (floats(B, D),)


def looks(decoder: Decoder, *given: Tensor) -> Tensor:
    with transformer.looks_of(decoder) as found:
        decoder(*given)
    return torch.stack(found)


def copied(own: nn.Module, x: Tensor) -> Tensor:
    recurrent.copy_weights(own, nn.RNNCell(D, 6).to(x))
    return own(x)[0]


# name: (how to make the module, or None, how to make what it is called with)
MODULES = {
    "DotScore": (attention.DotScore, lambda: (floats(B, T, D), floats(B, S, D))),
    "GeneralScore": (lambda: attention.GeneralScore(D, 6),
                     lambda: (floats(B, T, D), floats(B, S, 6))),
    "AdditiveScore": (lambda: attention.AdditiveScore(D, 6, 4),
                      lambda: (floats(B, T, D), floats(B, S, 6))),
    "SelfAttention": (lambda: attention.SelfAttention(D, 4), lambda: (floats(B, S, D), mask())),
    "MultiHeadAttention": (heads, lambda: (*[floats(B, S, D)] * 3, mask())),
    "RNNCell": cell(recurrent.RNNCell), "LSTMCell": cell(recurrent.LSTMCell),
    "GRUCell": cell(recurrent.GRUCell),
    "RecurrentLayer": (lambda: recurrent.RecurrentLayer(recurrent.GRUCell(D, 6)),
                       lambda: (floats(B, S, D),)),
    "CharacterModel": (lambda: recurrent.CharacterModel(V, recurrent.RNNCell(V, 6)),
                       lambda: (ids(),)),
    "BidirectionalLayer": (
        lambda: recurrent.BidirectionalLayer(*[recurrent.GRUCell(D, 6) for _ in range(2)]),
        lambda: (floats(B, S, D), torch.tensor([7, 3]))),
    "RNNEncoder": (lambda: RNNEncoder(V, D), lambda: (ids(S),)),
    "RNNDecoder": (lambda: RNNDecoder(V, D), lambda: (ids(), floats(B, S, D), mask())),
    "AttentionDecoder": (lambda: AttentionDecoder(V, D),
                         lambda: (ids(), floats(B, S, D), mask())),
    "BahdanauDecoder": (lambda: BahdanauDecoder(V, D), lambda: (ids(), floats(B, S, D), mask())),
    "Seq2Seq": (lambda: whole(AttentionDecoder), lambda: (ids(S), mask(), ids())),
    "SinusoidalPositions": (lambda: transformer.SinusoidalPositions(D),
                            lambda: (floats(B, S, D),)),
    "LearnedPositions": (lambda: transformer.LearnedPositions(D), lambda: (floats(B, S, D),)),
    "LayerNorm": (lambda: transformer.LayerNorm(D), lambda: (floats(B, S, D),)),
    "FeedForward": (lambda: transformer.FeedForward(D, 20), lambda: (floats(B, S, D),)),
    "EncoderLayer": (lambda: transformer.EncoderLayer(D, 3, 20),
                     lambda: (floats(B, S, D), mask())),
    "DecoderLayer": (lambda: transformer.DecoderLayer(D, 3, 20),
                     lambda: (floats(B, T, D), floats(B, S, D), mask(T), mask())),
    "Encoder": (lambda: transformer.Encoder(2, D, 3, 20), lambda: (floats(B, S, D), mask())),
    "Decoder": (lambda: Decoder(2, D, 3, 20, pre_norm=True),
                lambda: (floats(B, T, D), floats(B, S, D), mask(T), mask())),
    "TokenEmbedding": (lambda: transformer.TokenEmbedding(V, D), lambda: (ids(),)),
    "Transformer": (lambda: Transformer(V, V, D, 3, 2, 20), lambda: (ids(S), mask(), ids())),
    "GroupedQueryAttention": (lambda: modern.GroupedQueryAttention(D, 6, 2, "alibi"),
                              lambda: (floats(B, S, D), mask())),
    "RMSNorm": (lambda: modern.RMSNorm(D), lambda: (floats(B, S, D),)),
    "SwiGLU": (lambda: modern.SwiGLU(D, 20), lambda: (floats(B, S, D),)),
    "RecipeBlock": (lambda: modern.RecipeBlock(recipe(), D, 6, 20),
                    lambda: (floats(B, S, D), mask())),
    "Writer": (lambda: modern.Writer(recipe(), V, 20, D, 6), lambda: (ids(S),)),
    "writer_of": (lambda: modern.writer_of(modern.Recipe(), V, 99999), lambda: (ids(S),)),
}

# name: (how to make a module that is the first argument, or None, the function, its arguments)
FUNCTIONS = {
    "stable_softmax": (None, attention.stable_softmax, lambda: (floats(B, T, S),)),
    "split_heads": (None, lambda x: attention.split_heads(x, 3), lambda: (floats(B, S, D),)),
    "merge_heads": (None, attention.merge_heads, lambda: (floats(B, 3, S, 4),)),
    "masked_softmax": (None, attention.masked_softmax, lambda: (floats(B, T, S), mask())),
    "scaled_dot_product_attention": (
        None, attention.scaled_dot_product_attention,
        lambda: (floats(B, T, D), floats(B, S, D), floats(B, S, 6), mask())),
    "state_or_zeros": (None, lambda x: recurrent.state_or_zeros(None, x, 6),
                       lambda: (floats(B, D),)),
    "copy_weights": (lambda: recurrent.RNNCell(D, 6), copied, lambda: (floats(B, D),)),
    "flip_rows": (None, recurrent.flip_rows, lambda: (floats(B, S, D), torch.tensor([7, 3]))),
    "last_state": (None, recurrent.last_state, lambda: (floats(B, S, D), mask())),
    "rows_of_table": (None, lambda x: transformer.rows_of_table(x, 1, 3), lambda: (floats(S, D),)),
    "layer_norm": (None, transformer.layer_norm, lambda: (floats(B, S, D), floats(D), floats(D))),
    "AddNorm": (lambda: transformer.AddNorm(D, 0.1, False),
                lambda part, x: part(x, lambda y: 2 * y), lambda: (floats(B, S, D),)),
    "looks_of": (lambda: Decoder(2, D, 3, 20), looks, lambda: (floats(B, T, D), floats(B, S, D))),
    "rotate": (None, variants.rotate, lambda: (floats(B, S, D),)),
    "rotary_attention": (lambda: MultiHeadAttention(D, 3), variants.rotary_attention,
                         lambda: (floats(B, S, D), mask())),
    "alibi_attention": (heads, variants.alibi_attention, lambda: (floats(B, S, D), mask())),
    "beam_step": (None, lambda *given: decoding.beam_step(*given)[0], lambda: (
        floats(B, 3), torch.zeros(B, 3, dtype=torch.bool), floats(B, 3, V))),
    "keep_best": (None, lambda best, score, tokens, new: decoding.keep_best(
        best, score, tokens, new, 1)[1], lambda: (
            ids(3), floats(B), torch.randint(0, V, (B * 3, 4)), floats(B, 3))),
    "pick_rows": (None, lambda x, rows: decoding.pick_rows([x, (x,)], rows)[0],
                  lambda: (floats(B, D), torch.tensor([1, 1, 0]))),
    "filter_logits": (None, lambda x: decoding.filter_logits(x, 5, 0.9), lambda: (floats(B, V),)),
    "grouped_attention": (None, modern.grouped_attention, lambda: (
        floats(B, 6, T, 4), floats(B, 2, S, 4), floats(B, 2, S, 4), mask().unsqueeze(1))),
    "root_mean_square_norm": (None, modern.root_mean_square_norm,
                              lambda: (floats(B, S, D), floats(D))),
    "token_loss": (None, lambda x, tgt: training.token_loss(x, tgt, 0),
                   lambda: (floats(B, T, V), ids())),
    "sinusoidal_encoding": (None, lambda x: transformer.sinusoidal_encoding(S, D, x.dtype).to(x),
                            lambda: (floats(1),)),
}

# Tokens in, tokens out, or a mask: no floats, so the device alone is asked.
TOKENS = {
    "sample_token": (lambda x: decoding.sample_token(x), lambda: (floats(B, V),)),
    "padding_mask": (lambda x: text.padding_mask(x, 0), lambda: (ids(),)),
    "shift_target": (lambda x: training.shift_target(x)[0], lambda: (ids(),)),
    "require_mask": (lambda m, x: attention.require_mask(m, x) or m,
                     lambda: (mask(), floats(B, T, S))),
}

# They run while new tensors go to another device.
DECODERS = {
    "greedy_decode": lambda model, src, look: decoding.greedy_decode(model, src, look, 0, 1, 6),
    "beam_search": lambda model, src, look: decoding.beam_search(model, src, look, 0, 1, 6),
    "sample_decode": lambda model, src, look: decoding.sample_decode(
        model, src, look, 0, 1, 6, top_k=5, top_p=0.9),
}

# Numbers alone or lists of words go in, or what comes out is a number: tested elsewhere.
NOT_HERE = {
    "causal_mask", "window_mask", "alibi_bias", "warmup_rate", "train", "translate", "perplexity",
    "alignment_error", "bleu", "exact_match", "ngram_counts", "clipped_matches", "bleu_counts",
    "bleu_from_counts", "corpus_bleu", "paired_bootstrap", "split_words", "split_characters",
    "split_jamo", "Vocabulary", "pad_rows", "make_batch", "Batch", "Batches", "bucket_by_length",
    "sample_sequence", "Recipe", "train_writer", "by_place",
}


def tensors(nest) -> list[Tensor]:
    """The floating tensors in what a part returns."""
    if isinstance(nest, Tensor):
        return [nest] if nest.is_floating_point() else []
    return [tensor for part in nest or () for tensor in tensors(part)]


def moved(given: tuple, **to) -> list[Tensor]:
    """Floats to a type; everything to a device."""
    device, dtype = to.get("device"), to.get("dtype")
    return [x.to(device, dtype if x.is_floating_point() else None) for x in given]


PARTS = {name: (make, None, given) for name, (make, given) in MODULES.items()} | FUNCTIONS


def run(name: str, **to) -> list[Tensor]:
    make, function, given = PARTS[name]
    torch.manual_seed(0)
    part = make().to(**to) if make else None
    arguments = moved(given(), **to)
    if function is None:
        return tensors(part(*arguments))
    return tensors(function(*([part] if make else []), *arguments))


def test_every_public_part_is_here() -> None:
    public = {
        name for module in (attention, decoding, metrics, modern, recurrent, text, training,
                            transformer, variants)
        for name, value in vars(module).items()
        if callable(value) and inspect.getmodule(value) is module and not name.startswith("_")
    }
    tested = {*PARTS, *TOKENS, *DECODERS}
    assert public == tested | NOT_HERE and not tested & NOT_HERE


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", PARTS)
def test_results_have_the_type_of_the_input(name: str, dtype: torch.dtype) -> None:
    results = run(name, dtype=dtype)
    assert results and {result.dtype for result in results} == {dtype}
    for ours, exact in zip(results, run(name, dtype=torch.float64), strict=True):
        torch.testing.assert_close(ours.double(), exact, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", PARTS)
def test_results_stand_where_the_input_stands(name: str, dtype: torch.dtype) -> None:
    results = run(name, device="meta", dtype=dtype)
    assert results and all(result.is_meta and result.dtype == dtype for result in results)
    assert [x.shape for x in results] == [x.shape for x in run(name, dtype=dtype)]


@pytest.mark.parametrize("name", TOKENS)
def test_tokens_and_masks_stand_where_the_input_stands(name: str) -> None:
    function, given = TOKENS[name]
    assert function(*moved(given(), device="meta")).is_meta


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", DECODERS)
def test_decoders_write_where_the_source_stands(name: str, dtype: torch.dtype) -> None:
    for make in (lambda: whole(AttentionDecoder), lambda: Transformer(V, V, D, 3, 2, 20)):
        torch.manual_seed(0)
        model, src, look = make().to(dtype).eval(), ids(S), mask()
        results = []
        for device in ("cpu", "meta"):
            torch.manual_seed(1)
            torch.set_default_device(device)
            try:
                with torch.no_grad():
                    results.append(DECODERS[name](model, src, look))
            finally:
                torch.set_default_device("cpu")
        assert torch.equal(*results)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_character_model_writes_in_any_type(dtype: torch.dtype) -> None:
    model = recurrent.CharacterModel(V, recurrent.RNNCell(V, 6)).to(dtype)
    assert decoding.sample_sequence(model, ids(), 4).shape == (B, 4)


def test_translate_goes_to_the_device_of_the_model() -> None:
    vocab = Vocabulary([["a", "b"]], specials=(PAD, UNK, BOS, EOS))
    model, seen = whole(RNNDecoder).to("meta"), []

    def decode(model, src, src_mask, bos, eos, max_len):
        seen.extend([src.device.type, src_mask.device.type])
        return torch.full((len(src), 1), eos)

    decoding.translate(model, [["a"], ["b", "a"]], vocab, vocab, decode=decode)
    assert seen == ["meta", "meta"]

"""utils/decoding.py."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from utils.decoding import (
    beam_search,
    beam_step,
    filter_logits,
    greedy_decode,
    keep_best,
    pick_rows,
    sample_decode,
    sample_sequence,
    sample_token,
    translate,
)
from utils.recurrent import (
    AttentionDecoder,
    BahdanauDecoder,
    CharacterModel,
    RNNCell,
    RNNDecoder,
    RNNEncoder,
    Seq2Seq,
)
from utils.text import Vocabulary, pad_rows, padding_mask

# ---- sample_token and sample_sequence (notebook 01) ----


@pytest.mark.parametrize("temperature", [0.25, 1.0, 4.0])
def test_tokens_are_drawn_as_often_as_their_shares_say(temperature: float) -> None:
    torch.manual_seed(0)
    row = torch.tensor([0.0, 2.0, -1.0, 1.0])
    drawn = sample_token(row.expand(20_000, -1), temperature)
    assert tuple(drawn.shape) == (20_000, 1)
    shares = drawn.flatten().bincount(minlength=4) / 20_000
    assert (shares - (row / temperature).softmax(-1)).abs().max() < 0.02


@pytest.mark.parametrize("temperature", [0, 0.0, -1.0, 1e-40, float("nan")])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="want a temperature from 1e-6"):
        sample_token(torch.zeros(1, 3), temperature)


def test_a_sequence_is_what_the_model_would_write_from_the_whole_prefix() -> None:
    """At a temperature near 0 the draw is certain, so the two ways must agree."""
    torch.manual_seed(0)
    model = CharacterModel(5, RNNCell(5, 6))
    start = torch.randint(5, (3, 4))
    written = sample_sequence(model, start, 9, temperature=1e-4)
    ids = start
    for _ in range(9):
        ids = torch.cat([ids, model(ids)[0][:, -1:].argmax(dim=-1)], dim=1)
    assert torch.equal(written, ids[:, 4:])
    assert not written.requires_grad


def test_a_sequence_of_no_tokens() -> None:
    model = CharacterModel(5, RNNCell(5, 6))
    written = sample_sequence(model, torch.zeros(3, 2, dtype=torch.long), 0)
    assert tuple(written.shape) == (3, 0) and written.dtype == torch.long


def test_the_same_seed_writes_the_same() -> None:
    model = CharacterModel(5, RNNCell(5, 6))
    start = torch.zeros(2, 1, dtype=torch.long)
    torch.manual_seed(1)
    first = sample_sequence(model, start, 20)
    torch.manual_seed(1)
    assert torch.equal(first, sample_sequence(model, start, 20))


# ---- greedy_decode and translate (notebook 04) ----

PAD, UNK, BOS, EOS = 3, 2, 0, 1                 # words begin at 4
DECODERS = [RNNDecoder, AttentionDecoder, BahdanauDecoder]


class Scripted:
    """A model that writes what stands in a table, one row for each sentence.

    A sentence is one source token, the number of its row. The state is the number of tokens read
    so far; after the end of its row a sentence goes on with token 9.
    """

    def __init__(self, *rows: list[int]):
        self.rows, self.steps = rows, 0

    def encode(self, src: Tensor, src_mask: Tensor) -> Tensor:
        return src[:, :, None].double()

    def decode(self, tgt: Tensor, memory: Tensor, src_mask: Tensor, state=None):
        assert tuple(tgt.shape) == (len(memory), 1)
        assert (state is None) == (self.steps == 0)
        if state is None:
            assert (tgt == BOS).all()
        self.steps += 1
        place = 0 if state is None else state
        chosen = [self.rows[int(number)] for number in memory[:, 0, 0]]
        tokens = torch.tensor([[row[place] if place < len(row) else 9] for row in chosen])
        return F.one_hot(tokens, 10).double(), place + 1


def write(model, *numbers: int, max_len: int = 50) -> list[list[int]]:
    """What a scripted model writes for these rows of its table, one sentence each."""
    src = torch.tensor(numbers)[:, None]
    mask = torch.ones(len(numbers), 1, 1, dtype=torch.bool)
    tokens = greedy_decode(model, src, mask, BOS, EOS, max_len)
    assert tokens.dtype == torch.long
    return tokens.tolist()


def test_each_sentence_ends_on_its_own_and_is_filled_with_eos() -> None:
    model = Scripted([4, 5, EOS], [6, 7, 8, 4, EOS], [EOS])
    assert write(model, 0, 1, 2) == [
        [4, 5, EOS, EOS, EOS], [6, 7, 8, 4, EOS], [EOS, EOS, EOS, EOS, EOS],
    ]
    assert model.steps == 5                     # and no step after the last <eos>


def test_a_batch_of_one_stops_at_its_own_end() -> None:
    rows = [4, 5, EOS], [6, 7, 8, 4, EOS], [EOS]
    for number, row in enumerate(rows):
        assert write(Scripted(*rows), number) == [row]


@pytest.mark.parametrize("max_len", [1, 2, 6, 50])
def test_a_model_that_never_ends_is_stopped_at_max_len(max_len: int) -> None:
    model = Scripted([4, 5, EOS], [6] * 60)
    first, second = write(model, 0, 1, max_len=max_len)
    assert second == [6] * max_len and model.steps == max_len
    assert first == ([4, 5] + [EOS] * 48)[:max_len]


def test_an_end_in_the_last_step_allowed() -> None:
    assert write(Scripted([4, 5, EOS]), 0, max_len=3) == [[4, 5, EOS]]
    assert write(Scripted([4, 5, EOS]), 0, max_len=2) == [[4, 5]]


def test_bos_and_pad_are_words_like_others_to_the_decoder() -> None:
    """What the model says is not repaired: `Vocabulary.decode` drops <bos> and <pad> later."""
    assert write(Scripted([BOS, PAD, 4, EOS]), 0) == [[BOS, PAD, 4, EOS]]


@given(st.lists(st.lists(st.integers(4, 9), max_size=5), min_size=1, max_size=5))
def test_a_sentence_does_not_depend_on_its_neighbours(rows: list[list[int]]) -> None:
    ended = [[*row, EOS] for row in rows]
    together = write(Scripted(*ended), *range(len(ended)))
    longest = max(map(len, ended))
    assert together == [row + [EOS] * (longest - len(row)) for row in ended]


def small_model(decoder: type, seed: int, d_model: int = 6, dropout: float = 0.0) -> Seq2Seq:
    """An untrained model of 12 source and 10 target tokens, in double precision."""
    torch.manual_seed(seed)
    encoder = RNNEncoder(12, d_model, dropout)
    model = Seq2Seq(encoder, decoder(10, d_model, dropout)).double()
    for parameter in model.parameters():        # wide weights, so that models disagree
        torch.nn.init.normal_(parameter, std=1.0)
    return model


def padded(lengths: list[int]) -> tuple[Tensor, Tensor]:
    """A source batch of random words with these lengths, and its mask."""
    src = pad_rows([torch.randint(4, 12, (n,)).tolist() for n in lengths], PAD)
    return src, padding_mask(src, PAD)


LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=4)


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=15)
@given(lengths=LENGTHS, tgt_len=st.integers(1, 7), seed=st.integers(0, 10**6))
def test_step_by_step_equals_the_whole_prefix(
    decoder: type, lengths: list[int], tgt_len: int, seed: int
) -> None:
    model = small_model(decoder, seed)
    (src, mask), tgt = padded(lengths), torch.randint(10, (len(lengths), tgt_len))
    memory = model.encode(src, mask)
    whole, last = model.decode(tgt, memory, mask)
    assert torch.equal(whole, model(src, mask, tgt))
    state = None
    for t in range(tgt_len):
        logits, state = model.decode(tgt[:, t : t + 1], memory, mask, state)
        torch.testing.assert_close(logits[:, 0], whole[:, t], rtol=0, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=0, atol=1e-12)


def by_whole_prefix(model: Seq2Seq, src: Tensor, mask: Tensor, max_len: int) -> list[list[int]]:
    """Greedy decoding without a state: each step reads all tokens again, each row by itself."""
    results = []
    for row in range(len(src)):
        one, one_mask, words = src[row : row + 1], mask[row : row + 1], [BOS]
        while len(words) <= max_len and words[-1] != EOS:
            logits = model(one, one_mask, torch.tensor([words]))
            words.append(int(logits[0, -1].argmax()))
        results.append(words[1:])
    return results


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=12)
@given(lengths=LENGTHS, seed=st.integers(0, 10**6))
def test_greedy_equals_reading_the_whole_prefix_again(
    decoder: type, lengths: list[int], seed: int
) -> None:
    model = small_model(decoder, seed)
    src, mask = padded(lengths)
    tokens = greedy_decode(model, src, mask, BOS, EOS, 8).tolist()
    wanted = by_whole_prefix(model, src, mask, 8)
    longest = max(map(len, wanted))
    assert tokens == [row + [EOS] * (longest - len(row)) for row in wanted]


SOURCE = Vocabulary([list("abcdefgh")], specials=("<bos>", "<eos>", "<unk>", "<pad>"))
TARGET = Vocabulary([list("uvwxyz")], specials=("<bos>", "<eos>", "<unk>", "<pad>"))
assert (len(SOURCE), len(TARGET), TARGET.ids["v"]) == (12, 10, 5)


def test_translations_come_in_the_order_of_the_sentences() -> None:
    """Sorted by length inside; the model writes its first source token's letter and stops."""

    class Echo(Scripted):
        def decode(self, tgt: Tensor, memory: Tensor, src_mask: Tensor, state=None):
            tokens = memory[:, :1, 0].long() if state is None else torch.full_like(tgt, EOS)
            return F.one_hot(tokens, 12).double(), 1

    echo = torch.nn.Module()
    echo.encode, echo.decode = Echo().encode, Echo().decode
    sentences = [list("abc"), list("b"), list("cabcab"), list("d"), list("ef"), list("f")]
    for batch_size in (1, 2, 4, 100):
        written = translate(echo, sentences, SOURCE, TARGET, batch_size=batch_size)
        assert written == [["u"], ["v"], ["w"], ["x"], ["y"], ["z"]]


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=15)
@given(
    sentences=st.lists(st.text("abcdefgh?", max_size=6).map(list), max_size=7),
    batch_size=st.sampled_from([1, 2, 3]),
    seed=st.integers(0, 10**6),
)
def test_the_batch_size_changes_no_translation(
    decoder: type, sentences: list[list[str]], batch_size: int, seed: int
) -> None:
    model = small_model(decoder, seed)
    together = translate(model, sentences, SOURCE, TARGET, max_len=8, batch_size=100)
    apart = translate(model, sentences, SOURCE, TARGET, max_len=8, batch_size=batch_size)
    assert together == apart and len(together) == len(sentences)
    words = {"<unk>", *"uvwxyz"}
    assert all(len(row) <= 8 and words.issuperset(row) for row in together)


def test_small_models_write_different_sentences() -> None:
    """The property tests above would be empty if every model wrote the same."""
    sentences = [list("abc"), list("b"), list("hhhh"), []]
    for decoder in DECODERS:
        models = [small_model(decoder, seed) for seed in range(12)]
        written = [translate(m, sentences, SOURCE, TARGET, max_len=8) for m in models]
        lengths = {len(row) for rows in written for row in rows}
        assert {0, 8} < lengths and len(lengths) > 4
        assert sum(rows[0] != rows[1] for rows in written) > 5


@pytest.mark.parametrize("decoder", DECODERS)
def test_no_sentences_and_an_empty_sentence(decoder: type) -> None:
    model = small_model(decoder, 0)
    assert translate(model, [], SOURCE, TARGET) == []
    (alone,) = translate(model, [[]], SOURCE, TARGET)
    assert translate(model, [list("abc"), [], list("h")], SOURCE, TARGET)[1] == alone


def test_what_the_vocabulary_lacks_is_read_as_unk() -> None:
    """A forged <eos> in the text as well."""
    seen = []

    def decode(model, src, *rest):
        seen.append(src.tolist())
        return torch.tensor([[UNK, 4, EOS]])

    sentence = ["a", "?", "<eos>", "b", "<pad>"]
    assert translate(torch.nn.Module(), [sentence], SOURCE, TARGET, decode) == [["<unk>", "u"]]
    assert seen == [[[4, UNK, UNK, 5, UNK]]]


def test_translate_hands_over_ids_masks_and_the_bound() -> None:
    seen = []

    def decode(model, src, src_mask, bos_id, eos_id, max_len):
        seen.append((src.tolist(), src_mask.tolist(), bos_id, eos_id, max_len))
        return torch.tensor([[4, EOS, 7], [PAD, 5, BOS]])

    sentences = [list("ab"), list("c")]
    written = translate(torch.nn.Module(), sentences, SOURCE, TARGET, decode, max_len=7)
    assert seen == [([[6, PAD], [4, 5]], [[[True, False]], [[True, True]]], BOS, EOS, 7)]
    assert written == [["v"], ["u"]]            # the shorter sentence went in first


def test_translating_turns_dropout_off_and_leaves_it_off() -> None:
    model = small_model(RNNDecoder, 3, dropout=0.5).train()
    sentences = [list("abcdef"), list("gh")]
    first = translate(model, sentences, SOURCE, TARGET)
    assert not any(module.training for module in model.modules())
    assert translate(model.train(), sentences, SOURCE, TARGET) == first


def test_translating_records_no_gradients() -> None:
    seen = []

    def decode(model, src, src_mask, *rest):
        seen.append(model(src, src_mask, src).requires_grad)
        return greedy_decode(model, src, src_mask, *rest)

    translate(small_model(RNNDecoder, 0), [list("ab")], SOURCE, TARGET, decode)
    assert seen == [False] and torch.is_grad_enabled()


# ---- beam search (notebook 06) ----

N_WORDS, MAX_LEN, N_RANDOM = 4, 4, 200


def random_model(seed: int, decoder=AttentionDecoder, vocab_size: int = N_WORDS) -> Seq2Seq:
    """A tiny model with sharp choices; word 0 begins, word 1 ends."""
    torch.manual_seed(seed)
    model = Seq2Seq(RNNEncoder(6, 4), decoder(vocab_size, 4))
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(3)
    return model.eval()


def random_source(seed: int, batch: int = 3) -> tuple[Tensor, Tensor]:
    """Sentences of 4, 2, 3, 4, 2, ... tokens."""
    torch.manual_seed(seed)
    src = torch.randint(0, 6, (batch, 4))
    lengths = torch.tensor([(4, 2, 3)[row % 3] for row in range(batch)])
    return src, (torch.arange(4) < lengths[:, None]).unsqueeze(1)


def written(tokens: Tensor) -> list[tuple[int, ...]]:
    """Rows of ids, each cut after its first end."""
    rows = [tuple(row) for row in tokens.tolist()]
    return [row[: row.index(1) + 1] if 1 in row else row for row in rows]


@torch.no_grad()
def exhaustive(model: Seq2Seq, src: Tensor, mask: Tensor, penalty: float) -> tuple[int, ...]:
    """The best of all sentences that end, for one source, by scoring every one of them."""
    rows = torch.cartesian_prod(*[torch.arange(N_WORDS)] * MAX_LEN)
    tgt = torch.cat([torch.zeros(len(rows), 1, dtype=torch.long), rows[:, :-1]], dim=1)
    memory = model.encode(src, mask).expand(len(rows), -1, -1)
    logits = model.decode(tgt, memory, mask.expand(len(rows), -1, -1))[0]
    log_p = logits.log_softmax(-1).gather(2, rows.unsqueeze(2)).squeeze(2).cumsum(1)
    scores = {s: log_p[n, len(s) - 1].item() / len(s) ** penalty
              for n, s in enumerate(written(rows)) if s[-1] == 1}
    return max(scores, key=scores.get)


DECODERS = (AttentionDecoder, RNNDecoder)


@torch.no_grad()
def test_a_beam_of_one_is_greedy_decoding() -> None:
    for seed in range(N_RANDOM):
        model, given = random_model(seed, DECODERS[seed % 2]), random_source(seed)
        greedy = greedy_decode(model, *given, 0, 1, 6)
        for penalty in (0.0, 1.0):
            beam = beam_search(model, *given, 0, 1, 6, 1, penalty)
            assert written(beam) == written(greedy)


class Fixed:
    """The same logits at every step, whatever was read."""

    def __init__(self, *logits: float, dtype: torch.dtype = torch.float32) -> None:
        self.logits = torch.tensor(logits, dtype=dtype)

    def encode(self, src: Tensor, src_mask: Tensor) -> Tensor:
        return src

    def decode(self, tgt, memory, src_mask, state=None):
        return self.logits.expand(*tgt.shape, -1), None


def test_at_ties_a_beam_of_one_takes_the_first_as_greedy_does() -> None:
    """Whole numbers often agree, and log-probabilities in low precision still more often."""
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for n in range(100):
            rough = torch.randint(-2, 2, (40,), generator=generator).tolist()
            fine = (20 + torch.randn(40, generator=generator)).tolist()
            model = Fixed(*(rough if n % 2 else fine), dtype=dtype)
            greedy = greedy_decode(model, *random_source(n), 0, 1, 6)
            beam = beam_search(model, *random_source(n), 0, 1, 6, 1)
            assert written(beam) == written(greedy)


def test_a_sentence_that_is_cut_does_not_beat_one_that_has_paid_for_its_end() -> None:
    """Going on costs nothing here, ending much; a cut sentence would score 0.0 without an end."""
    model = Fixed(0.0, -5.0, -30.0)
    for beam_size in (2, 3):
        tokens = beam_search(model, *random_source(0), 0, 1, 6, beam_size)
        assert all(row[-1] == 1 for row in written(tokens))
    never = Fixed(0.0, -1e9, -1.0)
    assert written(beam_search(never, *random_source(0), 0, 1, 6, 2)) == [(0,) * 6] * 3


@torch.no_grad()
def test_a_beam_as_large_as_the_search_space_finds_the_best_sentence() -> None:
    greedy_missed = narrow_missed = 0
    for seed in range(N_RANDOM):
        model, (src, mask) = random_model(seed, DECODERS[seed % 2]), random_source(seed, 1)
        penalty = (0.0, 0.5, 1.0)[seed % 3]
        best = exhaustive(model, src, mask, penalty)
        beam = beam_search(model, src, mask, 0, 1, MAX_LEN, N_WORDS**MAX_LEN, penalty)
        assert written(beam) == [best]
        greedy_missed += written(greedy_decode(model, src, mask, 0, 1, MAX_LEN)) != [best]
        narrow = beam_search(model, src, mask, 0, 1, MAX_LEN, 2, penalty)
        narrow_missed += written(narrow) != [best]
    assert 0 < narrow_missed < greedy_missed < N_RANDOM


@torch.no_grad()
def test_a_sentence_does_not_depend_on_its_batch_nor_on_its_place() -> None:
    for seed in range(N_RANDOM):
        model, (src, mask) = random_model(seed, DECODERS[seed % 2]), random_source(seed, 4)
        together = written(beam_search(model, src, mask, 0, 1, 5, 3))
        order = torch.randperm(4)
        moved = written(beam_search(model, src[order], mask[order], 0, 1, 5, 3))
        assert moved == [together[row] for row in order.tolist()]
        alone = beam_search(model, src[:1], mask[:1], 0, 1, 5, 3)
        assert written(alone) == together[:1]


@torch.no_grad()
def test_every_tensor_of_the_search_stands_where_the_source_stands() -> None:
    """Whatever is made without asking the source for its device lands on another one here."""
    model, given = random_model(0), random_source(0)
    here = beam_search(model, *given, 0, 1, 6, 3)
    torch.set_default_device("meta")
    try:
        assert torch.equal(beam_search(model, *given, 0, 1, 6, 3), here)
    finally:
        torch.set_default_device("cpu")


def test_a_wider_beam_than_the_vocabulary_and_a_model_that_never_ends() -> None:
    for never, beam_size in ((-torch.inf, 50), (-1e9, 3)):
        model, given = random_model(0), random_source(0)
        with torch.no_grad():
            model.decoder.out.bias[1] = never
        tokens = beam_search(model, *given, 0, 1, 7, beam_size)
        assert tuple(tokens.shape) == (3, 7) and not (tokens == 1).any()


def test_a_model_that_ends_at_once() -> None:
    model, given = random_model(0), random_source(0)
    with torch.no_grad():
        model.decoder.out.bias[1] = 1e4
    assert beam_search(model, *given, 0, 1, 7, beam_size=3)[:, 0].tolist() == [1, 1, 1]


def test_what_follows_the_end_is_filled_with_the_end() -> None:
    for seed in range(20):
        tokens = beam_search(random_model(seed), *random_source(seed, 6), 0, 1, 8, 3)
        for row, sentence in zip(tokens.tolist(), written(tokens), strict=True):
            assert set(row[len(sentence) :]) <= {1}


@pytest.mark.parametrize("options", [
    {"beam_size": 0}, {"beam_size": -1}, {"max_len": 0}, {"length_penalty": -0.1},
    {"length_penalty": float("nan")}, {"length_penalty": 1000},
])
def test_a_search_that_cannot_be_made_is_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="want beam_size and max_len"):
        beam_search(random_model(0), *random_source(0), 0, 1, **options)


def test_a_strong_length_penalty_writes_more() -> None:
    lengths = [sum(len(s) for seed in range(20) for s in written(beam_search(
        random_model(seed), *random_source(seed), 0, 1, 8, 8, a))) for a in (0.0, 1.0, 3.0)]
    assert lengths[0] < lengths[1] < lengths[2]


def test_the_step_by_hand() -> None:
    """Place 0 is the better one, but has ended; place 1 may have both children."""
    total = torch.tensor([[-0.1, -1.0]])
    log_p = torch.tensor([[[0.5, 0.25, 0.25], [0.6, 0.1, 0.3]]]).log()
    new, parent, token = beam_step(total, torch.tensor([[True, False]]), log_p)
    assert parent.tolist() == [[1, 1]] and token.tolist() == [[0, 2]]
    assert torch.allclose(new, -1.0 + torch.tensor([[0.6, 0.3]]).log())
    new, parent, token = beam_step(total, torch.tensor([[False, False]]), log_p)
    assert parent.tolist() == [[0, 0]] and token.tolist()[0][0] == 0


def test_an_ending_gives_way_only_to_a_better_one() -> None:
    best, score = torch.tensor([[5, 1], [6, 1]]), torch.tensor([-1.0, -2.0])
    tokens = torch.tensor([[7, 7, 1], [8, 8, 1], [7, 9, 1], [8, 9, 1]])
    found = torch.tensor([[float("-inf"), -1.5], [-1.0, -3.0]])
    best, score = keep_best(best, score, tokens, found, 1)
    assert best.tolist() == [[5, 1, 1], [7, 9, 1]] and score.tolist() == [-1.0, -1.0]


def test_rows_are_picked_from_any_nest() -> None:
    x, rows = torch.arange(6).view(3, 2), torch.tensor([2, 0, 0, 1])
    assert pick_rows(None, rows) is None
    nest = pick_rows({"a": (x, None), "b": [x.unsqueeze(1)]}, rows)
    assert torch.equal(nest["a"][0], x[rows]) and nest["a"][1] is None
    assert isinstance(nest["a"], tuple) and isinstance(nest["b"], list)
    assert torch.equal(nest["b"][0], x[rows].unsqueeze(1))


class PairState(Seq2Seq):
    """The same model with its state in a tuple and its memory in a dict."""

    def encode(self, src: Tensor, src_mask: Tensor):
        return {"states": super().encode(src, src_mask)}

    def decode(self, tgt, memory, src_mask, state=None):
        logits, new = super().decode(tgt, memory["states"], src_mask, state and state[0])
        return logits, (new,)


def test_the_search_works_with_any_kind_of_state() -> None:
    model, given = random_model(3), random_source(3)
    other = PairState(model.encoder, model.decoder)
    assert torch.equal(*(beam_search(m, *given, 0, 1, 6, 4) for m in (model, other)))


# ---- top-k, top-p, sampling (notebook 06) ----


def kept(shares: list[float], **options) -> list[int]:
    """Which tokens stay."""
    logits = torch.tensor([shares]).log()
    return filter_logits(logits, **options).isfinite()[0].nonzero().flatten().tolist()


@pytest.mark.parametrize("options, tokens", [
    ({}, [0, 1, 2, 3]), ({"top_k": 1}, [2]), ({"top_k": 2}, [0, 2]), ({"top_k": 9}, [0, 1, 2, 3]),
    ({"top_p": 0.4}, [2]), ({"top_p": 0.45}, [2]), ({"top_p": 0.55}, [0, 2]),
    ({"top_p": 0.85}, [0, 1, 2]), ({"top_p": 1.0}, [0, 1, 2, 3]), ({"top_p": 1e-9}, [2]),
    ({"top_k": 1, "top_p": 0.9}, [2]), ({"top_k": 3, "top_p": 0.55}, [0, 2]),
])
def test_which_tokens_stay(options: dict, tokens: list) -> None:
    assert kept([0.3, 0.15, 0.5, 0.05], **options) == tokens


@pytest.mark.parametrize("options, words", [
    ({"top_k": 0}, "top_k must be"), ({"top_k": -2}, "top_k must be"),
    ({"top_p": 0.0}, "top_p must be"), ({"top_p": 1.1}, "top_p must be"),
    ({"top_p": -0.5}, "top_p must be"), ({"top_p": float("nan")}, "top_p must be"),
])
def test_a_filter_without_sense_is_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        filter_logits(torch.zeros(2, 5), **options)
    with pytest.raises(ValueError, match=words):
        sample_decode(random_model(0), *random_source(0), 0, 1, 5, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_at_its_defaults_nothing_is_filtered(dtype: torch.dtype) -> None:
    """The shares of 50,000 tokens add up to more than 1 by rounding."""
    torch.manual_seed(0)
    logits = (3 * torch.randn(4, 50_000)).to(dtype)
    assert torch.equal(filter_logits(logits), logits)


def test_at_ties_the_first_stay_and_no_more_than_top_p_asks_for() -> None:
    """n equal tokens, top_p = m / n: the first m, though n shares of 1 / n are rounded."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        for n in range(2, 40):
            for m in range(1, n):
                logits = torch.full((1, n), 0.3, dtype=dtype)
                stays = filter_logits(logits, top_p=m / n).isfinite()[0]
                assert stays.tolist() == [True] * m + [False] * (n - m), (dtype, n, m)


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=6), st.floats(0.01, 1.0),
       st.integers(1, 7))
@settings(max_examples=200)
def test_the_filter_keeps_the_likeliest_and_nothing_else(row, top_p, top_k) -> None:
    logits = torch.tensor([row, row[::-1]])
    result = filter_logits(logits, top_k, top_p)
    stays = result.isfinite()
    assert stays.any(-1).all() and (stays.sum(-1) <= top_k).all()
    assert torch.equal(result[stays], logits[stays])
    for values, mask in zip(logits, stays):
        if not mask.all():
            assert values[mask].min() >= values[~mask].max()


@pytest.mark.parametrize("temperature", [0, -1.0, 1e-40, float("nan"), float("inf")])
def test_sampling_wants_a_temperature_above_zero(temperature: float) -> None:
    with pytest.raises(ValueError, match="want a temperature from 1e-6"):
        sample_decode(random_model(0), *random_source(0), 0, 1, temperature=temperature)


@pytest.mark.parametrize("decode", [greedy_decode, sample_decode])
@pytest.mark.parametrize("max_len", [0, -1])
def test_no_room_to_write_is_refused(decode, max_len: int) -> None:
    with pytest.raises(ValueError, match="max_len must be 1 or more, got"):
        decode(random_model(0), *random_source(0), 0, 1, max_len)


def test_sampling_without_choice_is_greedy_decoding() -> None:
    for seed in range(20):
        model, given = random_model(seed), random_source(seed)
        greedy = written(greedy_decode(model, *given, 0, 1, 6))
        for options in ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}):
            assert written(sample_decode(model, *given, 0, 1, 6, **options)) == greedy


def test_sampling_draws_as_often_as_the_model_says() -> None:
    model, (src, mask) = random_model(1), random_source(1, 1)
    many = src.expand(20_000, -1), mask.expand(20_000, -1, -1)
    with torch.no_grad():
        first = model.decode(torch.zeros(1, 1, dtype=torch.long), model.encode(src, mask), mask)[0]
        tokens = sample_decode(model, *many, 0, 1, 1)
    shares = tokens.flatten().bincount(minlength=N_WORDS) / len(tokens)
    assert (shares - first[0, 0].softmax(-1)).abs().max() < 0.02


def test_sampling_a_model_that_never_ends() -> None:
    model, given = random_model(0), random_source(0)
    with torch.no_grad():
        model.decoder.out.bias[1] = -1e9
    assert tuple(sample_decode(model, *given, 0, 1, 7).shape) == (3, 7)

"""Pictures of lesson 05: they show the tensors they were given, and refuse what does not fit."""


import pytest
import torch
from drawing import faults, words_on

from utils.attention import masked_softmax
from utils.diagrams.looks import look_back, maps_in_training, two_decoders
from utils.diagrams.primitives import number
from utils.recurrent import AttentionDecoder, BahdanauDecoder

QUERY = torch.tensor([1.0, 2.0])
MEMORY = torch.tensor([[2.0, 0.0], [-1.0, 1.0], [0.0, 2.0]])
WORDS = ["Leo", "plays", "piano"]
SRC = "I was singing a song in the garden when Sara came home".split()
TGT = "サラ が 家 に 帰って きた とき 私 は 庭 で 歌 を 歌って いました".split()
LINKS = [(9, 0), (11, 2), (10, 4), (0, 7)]


pytestmark = pytest.mark.usefixtures("course_page")


def random_maps(n_maps=3, src_len=12, tgt_len=15):
    torch.manual_seed(0)
    return {
        f"after {n} steps": torch.randn(tgt_len, src_len).softmax(-1) for n in range(n_maps)
    }


def decoders(src_len=3, d_model=8, **options):
    torch.manual_seed(0)
    memory, state = torch.randn(1, src_len, d_model).tanh(), torch.randn(1, d_model).tanh()
    made = AttentionDecoder(9, d_model, **options), BahdanauDecoder(9, d_model, **options)
    return [(decoder.eval(), memory, state) for decoder in made]


# ---- one look ----


@pytest.mark.parametrize("n_words", [1, 2, 3, 5])
def test_a_look_of_any_size_has_no_faults(n_words):
    torch.manual_seed(n_words)
    memory = torch.randint(-2, 3, (n_words, 2)).float()
    fig = look_back(QUERY, memory, [f"word{i}" for i in range(n_words)])
    assert faults(fig) == []


def test_a_look_writes_the_numbers_that_the_course_computes():
    written = words_on(look_back(QUERY, MEMORY, WORDS))
    weights = masked_softmax((MEMORY @ QUERY).unsqueeze(0))[0]
    context = weights @ MEMORY
    for value in (MEMORY @ QUERY).tolist():
        assert number(value) in written
    for value in weights.tolist():
        assert number(value, 3) in written
    for value in context.tolist():
        assert number(value, 2) in written
    assert all(word in written for word in WORDS)


@pytest.mark.parametrize("text", ["猫 犬 ピアノ", "고양이 개 피아노", "שלום ספר בית"])
def test_a_look_at_other_scripts(text):
    words = text.split()
    assert faults(look_back(QUERY, MEMORY, words)) == []


@pytest.mark.parametrize(
    "query, memory, words",
    [
        (QUERY[:1], MEMORY, WORDS),
        (QUERY, MEMORY.T, WORDS),
        (QUERY, MEMORY, WORDS[:2]),
        (QUERY, torch.zeros(40, 2), ["w"] * 40),
        (QUERY, MEMORY * torch.nan, WORDS),
        (QUERY * torch.inf, MEMORY, WORDS),
        (QUERY, MEMORY, "Leo plays piano"),
    ],
)
def test_a_look_that_cannot_be_drawn(query, memory, words):
    with pytest.raises(ValueError):
        look_back(query, memory, words)


# ---- maps in training ----


@pytest.mark.parametrize(
    "n_maps, src_len, tgt_len", [(3, 12, 15), (1, 5, 6), (2, 1, 1), (3, 1, 1), (3, 14, 20)]
)
def test_maps_have_no_faults(n_maps, src_len, tgt_len):
    src, tgt = (SRC * 2)[:src_len], (TGT * 2)[:tgt_len]
    maps = random_maps(n_maps, src_len, tgt_len)
    assert faults(maps_in_training(maps, [(0, 0)], src, tgt)) == []


def test_maps_show_their_headings_words_and_weights():
    maps = random_maps()
    fig = maps_in_training(maps, LINKS, SRC, TGT)
    written = words_on(fig)
    assert all(name in written for name in [*maps, "belongs together"])
    assert [written.count(word) for word in SRC] == [4] * len(SRC)
    assert all(word in written for word in TGT)
    cells = [p for p in fig.axes[0].patches if p.get_zorder() == 3]
    assert len(cells) == 4 * len(SRC) * len(TGT)
    dark = [1 - sum(p.get_facecolor()[:3]) / 3 for p in cells[: len(SRC) * len(TGT)]]
    first = next(iter(maps.values())).flatten()
    assert torch.tensor(dark).argsort().tolist()[-3:] == first.argsort().tolist()[-3:]


@pytest.mark.parametrize(
    "maps, links, src, tgt",
    [
        ({}, LINKS, SRC, TGT),
        (random_maps(4), LINKS, SRC, TGT),
        ({"a": torch.zeros(12, 15)}, LINKS, SRC, TGT),
        ({"a": torch.full((15, 12), torch.nan)}, LINKS, SRC, TGT),
        (random_maps(), [(12, 0)], SRC, TGT),
        (random_maps(), [(0, -1)], SRC, TGT),
        (random_maps(1, 40, 15), LINKS, ["w"] * 40, TGT),
        (random_maps(1, 12, 40), LINKS, SRC, ["w"] * 40),
        (random_maps(), LINKS, "I was", TGT),
    ],
)
def test_maps_that_cannot_be_drawn(maps, links, src, tgt):
    with pytest.raises(ValueError):
        maps_in_training(maps, links, src, tgt)


def test_maps_of_other_scripts():
    tgt = ["שלום", "고양이가", "猫", "a_very_long_word"]
    maps = random_maps(3, 3, 4)
    assert faults(maps_in_training(maps, [(0, 0)], ["ספר", "개", "ピアノ"], tgt)) == []


# ---- two decoders ----


@pytest.mark.parametrize("src_len", [1, 2, 3, 5])
def test_two_decoders_have_no_faults(src_len):
    fig = two_decoders(*decoders(src_len), torch.tensor([[4]]), ("を", "弾きます"))
    assert faults(fig) == []


def test_two_decoders_read_widths_and_scores_from_the_modules():
    written = words_on(two_decoders(*decoders(d_model=6), torch.tensor([[4]]), ("a", "b")))
    joined = "\n".join(written)
    assert "GRU reads 6" in joined and "GRU reads 12" in joined
    assert "DotScore" in joined and "AdditiveScore" in joined


def test_a_decoder_in_the_other_order_is_refused():
    luong, bahdanau = decoders()
    with pytest.raises((AssertionError, AttributeError)):
        two_decoders(bahdanau, luong, torch.tensor([[4]]), ("a", "b"))


@pytest.mark.parametrize("words", [("a",), ("a", "b", "c"), "ab", ()])
def test_two_decoders_want_two_words(words):
    with pytest.raises(ValueError):
        two_decoders(*decoders(), torch.tensor([[4]]), words)


@pytest.mark.parametrize("change", [lambda m: m * torch.nan, lambda m: m[0], lambda m: m[..., :5]])
def test_two_decoders_want_states_that_fit(change):
    luong, bahdanau = decoders()
    broken = luong[0], change(luong[1]), luong[2]
    with pytest.raises(ValueError):
        two_decoders(broken, bahdanau, torch.tensor([[4]]), ("a", "b"))


def test_too_many_states_are_refused():
    with pytest.raises(ValueError, match="5 states"):
        two_decoders(*decoders(40), torch.tensor([[4]]), ("a", "b"))


def test_long_and_other_words_are_cut():
    for words in [("מאוד", "아주아주아주아주긴단어입니다"), ("x" * 40, "y" * 40)]:
        assert faults(two_decoders(*decoders(), torch.tensor([[4]]), words)) == []

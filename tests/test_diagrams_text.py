"""The pictures of lesson 03 show the tensors they were given, and refuse what they cannot draw."""

from __future__ import annotations

import matplotlib
import pytest
import torch
from drawing import faults, words_on

from utils.diagrams.text import cuts, letter, padded_states, padding, rectangles
from utils.text import pad_rows, padding_mask, split_characters, split_jamo, split_words

WAYS = {"words": split_words, "syllables": split_characters, "jamo": split_jamo}
SENTENCES = [["Mina", "likes", "music"], ["I", "came", "home", "on", "Friday"], ["yes"]]
ROWS = [[29, 139, 83], [16, 14, 11, 8, 47], [300]]
KOREAN = "미나 는 음악 을 좋아한다"


pytestmark = pytest.mark.usefixtures("course_page")


# ---- padding ----


@pytest.mark.parametrize("pad_id", [0, 7])
def test_padding_shows_words_numbers_and_mask(pad_id: int) -> None:
    fig = padding(SENTENCES, ROWS, pad_id)
    assert faults(fig) == []
    shown = words_on(fig)
    numbers = [int(text) for text in shown if text.isdigit()]
    assert numbers == pad_rows(ROWS, pad_id).flatten().tolist()
    words = [word for sentence in SENTENCES for word in sentence]
    assert [text for text in shown if text in words] == words
    circles = [p for p in fig.axes[0].patches if isinstance(p, matplotlib.patches.Circle)]
    assert len(circles) == padding_mask(pad_rows(ROWS, pad_id), pad_id).sum()
    assert {"(3, 5)", "(3, 1, 5)", "3 sentences"} <= set(shown)


@pytest.mark.parametrize(
    "sentences, rows, words",
    [
        (SENTENCES, ROWS[:2], "3 and 2"),
        (SENTENCES, [[1], [2], [3]], "sentence 0 has 3 words"),
        ([], [], "0 and 0"),
        ([["a"] * 40], [[5] * 40], "has 40 words"),
        (SENTENCES, [[0, 139, 83], *ROWS[1:]], "stands among the numbers"),
        (["Mina likes"], [[1, 2]], "is one text"),
    ],
)
def test_padding_refuses(sentences, rows, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        padding(sentences, rows, 0)


@pytest.mark.parametrize(
    "words", [["吾輩", "は", "猫"], ["나", "는", "고양이"], ["أنا", "قطة", "$x$"], ["w" * 60] * 12]
)
def test_padding_draws_any_script(words: list[str]) -> None:
    fig = padding([words, words[:1]], [list(range(1, len(words) + 1)), [1]], 0)
    assert faults(fig) == []


# ---- one sentence, several cuts ----


def test_cuts_show_every_token_and_their_number() -> None:
    fig = cuts(KOREAN, WAYS)
    assert faults(fig) == []
    wanted = [*split_words(KOREAN), *split_characters(KOREAN), *map(letter, split_jamo(KOREAN))]
    labels = {*WAYS, "5", "10", "26"}
    assert [text for text in words_on(fig)[1:] if text not in labels] == wanted
    assert labels <= set(words_on(fig))


def test_a_token_stands_over_the_letters_that_it_is_made_of() -> None:
    fig = cuts("학교 에", WAYS)
    places = {text.get_text(): text.get_position()[0] for text in fig.axes[0].texts}
    assert places["학교"] == pytest.approx((places["학"] * 3 + places["교"] * 2) / 5, abs=1e-6)


def test_jamo_are_drawn_as_letters() -> None:
    assert [letter(sign) for sign in split_jamo("학교")] == ["ㅎ", "ㅏ", "ㄱ", "ㄱ", "ㅛ"]
    assert [letter(sign) for sign in "aあ\u0301"] == ["a", "あ", "\u0301"]


@pytest.mark.parametrize(
    "sentence, ways, words",
    [
        ("", WAYS, "has 0 words"),
        ("a" * 40, WAYS, "has 40 words"),
        ("ab cd", {"words": split_words, "letters": lambda s: ["x", *s]}, "do not cut the same"),
        ("ab", {}, "has 0 words"),
    ],
)
def test_cuts_refuse(sentence: str, ways: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cuts(sentence, ways)


@pytest.mark.parametrize("sentence", ["私 は 学校 に", "أنا قطة", "I $am$ é"])
def test_cuts_draw_any_script(sentence: str) -> None:
    assert faults(cuts(sentence, WAYS)) == []


# ---- the last state ----


def one_sentence(n_real: int = 3, seq_len: int = 10, d_model: int = 8):
    """Return words, states and mask of one padded sentence."""
    torch.manual_seed(0)
    words = ["word"] * n_real + ["<pad>"] * (seq_len - n_real)
    mask = (torch.arange(seq_len) < n_real).unsqueeze(0)
    return words, torch.randn(seq_len, d_model).tanh(), mask


@pytest.mark.parametrize(
    "n_real, seq_len, d_model", [(3, 10, 8), (1, 2, 5), (3, 5, 6), (12, 12, 16), (1, 1, 4)]
)
def test_padded_states_show_the_distances(n_real: int, seq_len: int, d_model: int) -> None:
    words, states, mask = one_sentence(n_real, seq_len, d_model)
    fig = padded_states(words, states, mask)
    assert faults(fig) == []
    gaps = (states - states[n_real - 1]).norm(dim=-1)[n_real - 1 :]
    shown = words_on(fig)
    assert [text for text in shown if text.replace(".", "").isdigit()] == [f"{g:.1f}" for g in gaps]
    assert ("wrong: states[:, -1]" in shown) == (seq_len > n_real)
    assert "right: last_state" in shown


def test_padded_states_refuse() -> None:
    words, states, mask = one_sentence()
    for arguments, message in [
        ((words, states[:5], mask), "has shape"),
        ((words[:5], states, mask), "has shape"),
        ((words, states * float("nan"), mask), "holds nan"),
        ((["w"] * 40, torch.ones(40, 8), torch.ones(1, 40)), "40 words"),
        ((words, torch.ones(10, 17), mask), "room for 16"),
        ((words, states, ~mask), "before the padding"),
        ((words, states, mask[:, :5]), "one entry a word"),
        ((words, states, mask & False), "before the padding"),
    ]:
        with pytest.raises(ValueError, match=message):
            padded_states(*arguments)


@pytest.mark.parametrize("word", ["猫", "고양이", "قطة", "$x"])
def test_padded_states_draw_any_script(word: str) -> None:
    words, states, mask = one_sentence()
    assert faults(padded_states([word] * 3 + words[3:], states, mask)) == []


# ---- rectangles ----


def test_rectangles_show_the_share_of_padding() -> None:
    masks = {"random": torch.rand(64, 1, 30) < 0.5, "bucket": torch.ones(64, 1, 11).bool()}
    fig = rectangles(masks)
    assert faults(fig) == []
    for name, mask in masks.items():
        share = 100 * (1 - mask.float().mean().item())
        assert f"{name}: {share:.1f} % padding" in words_on(fig)
        assert f"{mask.size(-1)} places" in words_on(fig)
    drawn = [mesh.get_array() for mesh in fig.axes[0].collections]
    assert all((a == m.squeeze(1).numpy()).all() for a, m in zip(drawn, masks.values()))


@pytest.mark.parametrize(
    "masks, words",
    [
        ({}, "has 0 words"),
        ({"a": torch.ones(3)}, "has shape"),
        ({"a": torch.ones(3, 2, 4)}, "has shape"),
        ({"a": torch.ones(3, 257)}, "has shape"),
        ({"a": torch.full((3, 4), float("nan"))}, "holds nan"),
        ({name: torch.ones(3, 4) for name in "abcd"}, "has 4 words"),
    ],
)
def test_rectangles_refuse(masks: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rectangles(masks)

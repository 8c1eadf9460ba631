"""The made-up data of lesson 14: the same seed, the same data, and what it promises."""

import re

import pytest
import torch

from utils.toys import (
    ATOMS,
    N_HOBBIES,
    N_ITEMS,
    VISIT,
    digit_images,
    molecule_strings,
    shopping_sessions,
)


@pytest.mark.parametrize("make", [digit_images, molecule_strings, shopping_sessions])
def test_a_seed_fixes_the_data(make) -> None:
    def flat(made):
        return [x.tolist() if torch.is_tensor(x) else x
                for x in (made if isinstance(made, tuple) else (made,))]
    assert flat(make(20, 3)) == flat(make(20, 3))
    assert flat(make(20, 3)) != flat(make(20, 4))


def test_digits_are_pictures_that_their_neighbours_name() -> None:
    images, digits = digit_images(600, 0)
    assert images.shape == (600, 8, 8) and 0 <= images.min() and images.max() <= 1
    assert digits.unique().tolist() == list(range(10))
    far = torch.cdist(images[500:].flatten(1), images[:500].flatten(1))
    assert (digits[far.argmin(dim=1)] == digits[500:]).double().mean() > 0.8


def test_sessions_go_through_two_hobbies_in_a_row() -> None:
    sessions = shopping_sessions(300, 0)
    assert sessions.shape == (300, VISIT)
    assert 0 <= sessions.min() and sessions.max() < N_HOBBIES * N_ITEMS
    follows = 0
    for session in sessions.tolist():
        last = {}
        for item in session:
            hobby, at = divmod(item, N_ITEMS)
            follows += last.get(hobby) == (at - 1) % N_ITEMS
            last[hobby] = at
    assert follows / sessions.numel() > 0.55


def test_molecules_count_the_n_of_ring_1() -> None:
    strings, counts = molecule_strings(200, 0)
    assert counts.unique().tolist() == [0, 1, 2, 3]
    for string, count in zip(strings, counts.tolist()):
        assert re.fullmatch(f"(?:[{ATOMS}][12]?)+", string) and len(string) == 16
        assert string.count("1") == string.count("2") == 2
        first, last = (m.start() for m in re.finditer("1", string))
        assert string[first - 1 : last].count("N") == count

"""The sentence in the making: what chance decides, and what was named already."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Unsayable(Exception):
    """Raised when a random choice leads to nothing that can be said; another one is tried."""


class Draft:
    """A sentence in the making. All chance comes from random(), the same on every Python.

    used: who and what the sentence has named
    days: whether only times of one day go with it, "yesterday" but not "last summer"
    avoid: words that would contradict its reason
    """

    def __init__(self, seed: int):
        self.random = random.Random(seed).random
        self.begin()

    def begin(self) -> None:
        """Forget who and what was named, before a new sentence."""
        self.used: set[str] = set()
        self.days = False
        self.avoid: tuple[str, ...] = ()
        self.tags = 0

    def new_tag(self) -> str:
        """Return a tag that no other phrase of this sentence has."""
        self.tags += 1
        return f"{self.tags}."

    def chance(self, share: float) -> bool:
        """Return True with this probability."""
        return self.random() < share

    def pick(self, items: Sequence[T]) -> T:
        """Return one item; every item has the same chance."""
        if not items:
            raise Unsayable
        return items[int(self.random() * len(items))]

    def weighted(self, items: Sequence[tuple[T, float]]) -> T:
        """Return one item by its weight."""
        point = self.random() * sum(weight for _, weight in items)
        for item, weight in items:
            point -= weight
            if point < 0:
                return item
        return items[-1][0]

    def fresh(self, items: Sequence[str]) -> str:
        """Pick a thing that the sentence has not named yet, and note it."""
        item = self.pick([item for item in items if item not in self.used])
        self.used.add(item)
        return item

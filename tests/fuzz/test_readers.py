"""Whatever is fed to a reader, it answers or raises an error of this program's own, in a bounded time."""

from __future__ import annotations

import random
import time

import pytest

from .mutation import mutated
from .readers import READERS, seeds

TIMES = 1500
LONGEST = 0.15  # seconds for a reader: a busy machine feeds it less


@pytest.mark.parametrize("name", READERS)
def test_its_own_seeds_are_read(name: str) -> None:
    assert seeds(name)
    for seed in seeds(name):
        READERS[name].read(seed)


@pytest.mark.parametrize("name", READERS)
def test_nothing_escapes_but_errors_of_our_own(name: str) -> None:
    chance = random.Random(name)  # the same on every run; script/fuzz goes on from there
    known = seeds(name)
    until = time.monotonic() + LONGEST
    for _ in range(TIMES):
        if time.monotonic() > until:
            break
        data = mutated(chance.choice(known), chance, known)
        try:
            READERS[name](data)
        except Exception as error:
            raise AssertionError(f"{name} was fed {data!r}") from error

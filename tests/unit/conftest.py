"""What every test of this folder starts from."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.unit.clock import Clock

# Few examples a property, the same ones in every run, and nothing kept on disk.
settings.register_profile("unit", max_examples=60, deadline=None, database=None, derandomize=True)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Undoes what the program does to its log, so that the next test can listen to it."""
    root = logging.getLogger("autocreate")
    handlers, level, propagate = root.handlers[:], root.level, root.propagate
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    root.propagate = propagate


@pytest.fixture
def clock() -> Clock:
    return Clock()

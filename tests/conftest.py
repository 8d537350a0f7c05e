"""Servers that tests share. Whoever stops, silences or reconfigures one starts a server of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.cyrus import Cyrus
from tests.servers.murder import Murder


@pytest.fixture(scope="session")
def cyrus() -> Iterator[Cyrus]:
    """A Cyrus with `/` between levels and no virtual domains."""
    with Cyrus() as server:
        yield server


@pytest.fixture(scope="session")
def murder() -> Iterator[Murder]:
    """A Cyrus Murder of five servers."""
    with Murder() as servers:
        yield servers

"""Servers that tests share. Whoever stops, silences or reconfigures one starts a server of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.cyrus import Cyrus


@pytest.fixture(scope="session")
def cyrus() -> Iterator[Cyrus]:
    """A Cyrus with `/` between levels and no virtual domains."""
    with Cyrus() as server:
        yield server

"""The servers of the contracts, each started once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autocreate.service import journal_database
from tests.servers.cyrus import Cyrus

from . import stores
from .databases import stop_shared


@pytest.fixture(scope="session", autouse=True)
def shared_servers() -> Iterator[None]:
    """The databases that several modules use end with the last test, whichever that is."""
    yield
    stop_shared()


@pytest.fixture
def patient_journals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals of this process wait for their databases as long as a busy machine needs."""
    monkeypatch.setattr(journal_database, "_TIMEOUT", 60.0)


@pytest.fixture(scope="session")
def mail_stores(cyrus: Cyrus) -> Iterator[stores.Servers]:
    with stores.servers(cyrus) as made:
        yield made


@pytest.fixture(params=stores.VARIANTS)
def place(request: pytest.FixtureRequest, mail_stores: stores.Servers) -> stores.Place:
    """A mail store and its witness; a test that asks for it runs once with each."""
    return mail_stores.place(request.param)

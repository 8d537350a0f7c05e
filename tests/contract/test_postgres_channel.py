"""LISTEN and NOTIFY, as messages of MTAs go by them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from autocreate.backends.postgres_channel import PostgresChannel
from autocreate.backends.sql_drivers import parsed
from autocreate.service import news as module
from autocreate.service.journal import Journal
from autocreate.service.message import Kind, Message
from autocreate.service.news import News
from tests.servers.common import wait_until
from tests.servers.relay import Relay

from .channels import received
from .journals import new_journal
from .locks import with_port


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with new_journal("postgresql") as made:
        yield made


@contextlib.contextmanager
def channel(url: str) -> Iterator[PostgresChannel]:
    made = PostgresChannel(parsed(url), "autocreate", 5.0)
    made.open()
    yield made
    made.close()


def test_a_connection_that_the_server_ended_is_an_error_and_can_be_opened_again(url: str) -> None:
    engine = sa.create_engine(parsed(url), isolation_level="AUTOCOMMIT")
    with channel(url) as one:
        with engine.connect() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE usename = user AND pid <> pg_backend_pid()"
                )
            )
        with pytest.raises(Exception, match=r"terminat|closed"):
            received(one, 1)
        one.close()
        one.open()
        one.send(["again"])
        assert received(one, 1) == ["again"]
    engine.dispose()


def test_a_server_that_falls_silent_is_noticed_and_heard_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET", 0.5)
    port = make_url(url).port
    assert port
    missed: list[float] = []
    heard: list[Message] = []
    with (
        Relay(port) as relay,
        contextlib.closing(
            News(PostgresChannel(parsed(with_port(url, relay.port)), "autocreate", 1.0), "far")
        ) as far,
        contextlib.closing(Journal(url, time.time)) as near,
    ):
        far.listen(heard.append, lambda: missed.append(time.monotonic()))
        wait_until(lambda: missed, 10.0, "the connection")
        relay.pause()
        wait_until(lambda: not (far.snapshot() or {})["state"]["up"], 10.0, "the silence")
        near.news.tell(Kind.DELETED, "joe")
        relay.resume()
        wait_until(lambda: len(missed) == 2, 30.0, "the next connection")
        near.news.tell(Kind.DELETED, "ann")
        wait_until(lambda: "ann" in [it.user for it in heard], 10.0, "a message")

"""Users of sasldb2 as saslpasswd2(8) writes it: by realm, found at once, and never a password."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autocreate.accounts.sasldb import SasldbSource
from autocreate.core.naming import CYRUS_DEFAULTS, Users
from autocreate.errors import Temporary
from autocreate.model import Account
from tests.servers.common import run


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "sasldb2"
    for user, realm in (("joe", "mail.test"), ("kim", "other.test")):
        set_password(path, user, realm)
    return path


def set_password(path: Path, user: str, realm: str) -> None:
    run(["saslpasswd2", "-p", "-c", "-f", path, "-u", realm, user], stdin=b"geheim\n")


def an_hour_later() -> float:
    return time.time() + 3600


def source_of(
    database: Path, clock: Callable[[], float] = an_hour_later, users: Users = CYRUS_DEFAULTS
) -> SasldbSource:
    return SasldbSource("it", users, path=database, realm="mail.test", clock=clock)


def test_a_user_id_without_realm_is_of_the_realm_of_the_configuration(database: Path) -> None:
    source = source_of(database)
    assert source.lookup("joe") == Account("joe", "it")
    assert source.lookup("kim") is None


def test_a_user_id_with_a_realm_is_of_that_one(database: Path) -> None:
    source = source_of(database)
    assert source.lookup("kim@other.test") == Account("kim@other.test", "it")
    assert source.lookup("joe@other.test") is None


def test_a_user_who_is_added_is_found_at_once(database: Path) -> None:
    source = source_of(database)
    assert source.lookup("zoe") is None
    set_password(database, "zoe", "mail.test")
    assert source.lookup("zoe") == Account("zoe", "it")


def test_the_no_of_a_file_that_was_just_written_is_temporary(database: Path) -> None:
    source = source_of(database, lambda: database.stat().st_mtime + 1)
    assert source.lookup("joe") == Account("joe", "it")
    with pytest.raises(Temporary, match="was changed less than 2 seconds ago"):
        source.lookup("zoe")


def test_users_are_listed_with_their_realms(database: Path) -> None:
    source = source_of(database, time.time)
    assert set(source.names()) == {"joe", "kim@other.test"}


def test_a_look_up_asks_for_a_key_and_can_see_no_value(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class NothingButKeys:
        def exists(self, key: bytes) -> bool:
            asked.append(key)
            return True

        def close(self) -> None:
            pass

    source = source_of(database, time.time)
    monkeypatch.setattr(source, "_open", NothingButKeys)
    assert source.lookup("joe") == Account("joe", "it")
    assert asked == [b"joe\0mail.test\0userPassword"]


def test_capitals_are_found_again_once_the_file_has_changed(database: Path) -> None:
    source = source_of(database)
    assert source.lookup("klee") is None
    set_password(database, "KLee", "mail.test")
    set_password(database, "Ann", "Other.Test")
    found = source.lookup("klee")
    assert found is not None
    assert found.name == "KLee"
    users = Users(virtual_domains=True, default_domain="mail.test")
    virtual = source_of(database, users=users)
    assert virtual.lookup("ann@other.test") == Account("ann@other.test", "it")

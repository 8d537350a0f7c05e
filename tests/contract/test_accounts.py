"""What every account source promises: yes, no, or cannot tell; and never a no instead of "cannot tell".

`DATABASES` names the sources; each test runs once for every one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autocreate.accounts import MemorySource
from autocreate.accounts.file import FileSource
from autocreate.accounts.sql import SqlSource
from autocreate.errors import NotInMemory, Temporary
from autocreate.model import Account

from .databases import DATABASES, Database

ODD_NAMES = {
    "two words": "jo e",
    "single quote": "o'brien",
    "double quote": 'jo"e',
    "asterisk": "*",
    "joe or anyone": "*)(uid=*",
    "open parenthesis": "jo(e",
    "backslash": "jo\\e",
    "percent": "jo%",
    "underscore": "j_e",
    "NUL": "jo\0e",
    "line break": "jo\ne",
    "colon": "jo:e",
    "comma and equals": "uid=joe,dc=test",
    "comment": "#joe",
    "SQL": "' or '1'='1",
    "umlaut": "jörg",
    "beyond the BMP": "jo😀",
    "domain": "joe@other.test",
    "256 characters": "j" * 256,
    "10,000 characters": "j" * 10_000,
    "lone surrogate": "jo\udce9",
    "empty": "",
}


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with DATABASES[request.param](tmp_path) as made:
        made.put({"joe": ["staff", "wheel"], "kim": ["staff"], "lee": []})
        yield made


# The servers have a test of their own, in which their tables are filled faster.
LOCAL = ("file", "postfix-table", "nss-debian", "shadow-debian", "sasldb", "sqlite")

odd_names = pytest.mark.parametrize("user", ODD_NAMES.values(), ids=ODD_NAMES)


def test_a_user_it_has_is_an_account_of_its_own(database: Database) -> None:
    assert database.source.lookup("joe") == Account("joe", "it")


def test_a_user_it_lacks_is_a_no(database: Database) -> None:
    assert database.source.lookup("nobody-of-this-name") is None


def test_a_part_of_a_name_is_no_name(database: Database) -> None:
    assert database.source.lookup("jo") is None
    assert database.source.lookup("joey") is None


def test_a_user_who_is_added_is_known_at_once(database: Database) -> None:
    assert database.source.lookup("zoe") is None
    database.put({"joe": [], "zoe": []})
    assert database.source.lookup("zoe") == Account("zoe", "it")


def test_a_user_who_is_removed_is_unknown_at_once(database: Database) -> None:
    assert database.source.lookup("kim") == Account("kim", "it")
    database.put({"joe": []})
    assert database.source.lookup("kim") is None


def test_groups_are_those_of_the_user_and_no_others(database: Database) -> None:
    assert database.source.groups(Account("joe", "it")) == database.known("staff", "wheel")
    assert database.source.groups(Account("kim", "it")) == database.known("staff")
    assert database.source.groups(Account("lee", "it")) == frozenset()


def test_all_users_are_listed_where_they_can_be(database: Database) -> None:
    names = database.source.names()
    assert names is None or set(names) >= {"joe", "kim", "lee"}


def test_capitals_of_an_account_are_no_part_of_its_user_id(database: Database) -> None:
    database.put({"KLee": ["staff"], "joe": []})
    found = database.source.lookup("klee")
    if not database.ignores_case:
        assert found is None
        return
    assert found == Account("klee", "it")
    assert database.source.lookup("kle") is None
    assert database.source.groups(found) == database.known("staff")
    if not isinstance(database.source, SqlSource):
        assert database.source.groups(Account("klee", "another")) == database.known("staff")
    names = database.source.names()
    assert names is None or database.own_spelling("KLee") in set(names)
    assert found.spellings[-1] == database.own_spelling("KLee")


@odd_names
def test_an_odd_name_it_lacks_finds_nobody(database: Database, user: str) -> None:
    try:
        assert database.source.lookup(user) is None
    except Temporary:
        assert not database.can_hold(user), "cannot tell about a name that it can very well have"


def test_odd_names_it_has_are_found_and_find_nobody_else(database: Database) -> None:
    odd = [user for user in ODD_NAMES.values() if database.can_hold(user)]
    database.put({"joe": ["staff"]} | {user: ["wheel"] for user in odd})
    assert {user: database.source.lookup(user) for user in odd} == {
        user: Account(user, "it") for user in odd
    }
    assert {user: database.source.groups(Account(user, "it")) for user in odd} == {
        user: database.known("wheel") for user in odd
    }
    assert database.source.lookup("joe") == Account("joe", "it")


def test_a_database_that_is_away_leaves_everyone_uncertain_until_it_is_back(
    database: Database,
) -> None:
    assert database.source.lookup("joe") == Account("joe", "it")
    with database.away():
        for user in ("joe", "nobody-of-this-name"):
            with pytest.raises(Temporary) as caught:
                database.source.lookup(user)
            assert str(caught.value)
            assert not database.secret or database.secret not in repr(caught.getrepr())
        if database.source.has_groups:
            with pytest.raises(Temporary):
                database.source.groups(Account("joe", "it"))
    assert database.source.lookup("joe") == Account("joe", "it")
    assert database.source.lookup("nobody-of-this-name") is None
    assert database.source.groups(Account("joe", "it")) == database.known("staff", "wheel")


def test_many_threads_ask_at_once_and_each_gets_its_own_answer(database: Database) -> None:
    users = ["joe", "kim", "lee", "zoe"] * 25
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(database.source.lookup, users))
    assert found == [Account(user, "it") if user != "zoe" else None for user in users]


@pytest.mark.parametrize("kind", LOCAL)
def test_twenty_thousand_accounts(kind: str, tmp_path: Path) -> None:
    users = [f"user{number:05}" for number in range(20_000)]
    with DATABASES[kind](tmp_path) as database:
        database.put(dict.fromkeys(users, ()))
        assert database.source.lookup("user00000") == Account("user00000", "it")
        assert database.source.lookup("user19999") == Account("user19999", "it")
        assert database.source.lookup("user20000") is None
        names = database.source.names()
        assert names is None or sorted(names) == users


# -- from memory ---------------------------------------------------------------------------------


def test_only_a_file_that_has_been_read_answers_from_memory_and_as_before(
    database: Database,
) -> None:
    source = database.source
    if not isinstance(source, FileSource):
        assert not isinstance(source, MemorySource)
        return
    with pytest.raises(NotInMemory):
        source.recall("joe")
    assert source.lookup("joe") == Account("joe", "it")
    assert source.recall("joe") == Account("joe", "it")
    assert source.recall("nobody-of-this-name") is None
    database.put({"joe": [], "zoe": []})
    with pytest.raises((NotInMemory, Temporary)):
        source.recall("zoe")
    assert source.lookup("zoe") == Account("zoe", "it")


def test_a_file_that_is_away_is_no_no_from_memory(database: Database) -> None:
    source = database.source
    assert source.lookup("joe") == Account("joe", "it")
    if isinstance(source, FileSource):
        with database.away(), pytest.raises((Temporary, NotInMemory)):
            source.recall("nobody-of-this-name")

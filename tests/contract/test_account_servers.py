"""Account sources that are servers: silent ones, bad answers, 20,000 accounts, and what the server was really asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from autocreate.accounts import AccountSource
from autocreate.accounts.cached import CachedSource, Limits
from autocreate.accounts.sql import SqlSource
from autocreate.errors import PoolExhausted, ServerTimeout, Temporary, Unreachable
from autocreate.model import Account
from autocreate.resilience.answer_limit import MOST
from tests.configured import account_source
from tests.servers.common import run
from tests.servers.database import DatabaseServer
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.ranges import RangedDirectory
from tests.servers.relay import Relay
from tests.servers.slapd import GROUPS, PEOPLE, POSIX, Slapd
from tests.servers.tls import make_certificate

TIMEOUT = 1.0
MANY = 20_000

# What would be a command, a pattern or an end of string if it were pasted in.
HOSTILE = ["' OR '1'='1", 'jo"e', "*", "*)(uid=*", "jo(e", "jo\\e", "jo%", "jörg", "j" * 256]

Make = Callable[..., AccountSource]


def sql(server: Postgres | MariaDb, folder: Path, **settings: Any) -> AccountSource:
    secret = folder / "secret"
    secret.write_text(server.password + "\n")
    keys = {
        "url": server.url,
        "query": "SELECT userid FROM accounts WHERE userid = :user",
        "list_query": "SELECT userid FROM accounts",
        "password_file": secret,
        "timeout": TIMEOUT,
    }
    return account_source("sql", **{**keys, **settings})


def ldap(server: Slapd, folder: Path, **settings: Any) -> AccountSource:
    secret = folder / "secret"
    secret.write_text(server.reader_password + "\n")
    keys = {
        "urls": [server.url],
        "ca_file": server.certificate.ca_file,
        "bind_dn": server.reader,
        "password_file": secret,
        "base": PEOPLE,
        "timeout": TIMEOUT,
    }
    return account_source("ldap", **{**keys, **settings})


MAKERS: dict[type[DatabaseServer], Callable[..., AccountSource]] = {
    Slapd: ldap,
    Postgres: sql,
    MariaDb: sql,
}


@pytest.fixture(scope="module", params=MAKERS, ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    with request.param() as started:
        yield started


@pytest.fixture
def source(server: DatabaseServer, tmp_path: Path) -> Iterator[AccountSource]:
    server.put({"joe": ["staff"], "kim": []})
    made = MAKERS[type(server)](server, tmp_path)
    yield made
    made.close()


# -- any of them -------------------------------------------------------------------------------


def test_a_silent_server_is_temporary_in_time_and_a_yes_when_it_goes_on(
    server: DatabaseServer, source: AccountSource
) -> None:
    assert source.lookup("joe") == Account("joe", "it")
    server.pause()
    try:
        for _ in ("on the connection that stands", "on a new one"):
            begun = time.monotonic()
            with pytest.raises(ServerTimeout):
                source.lookup("joe")
            assert time.monotonic() - begun < 20 * TIMEOUT
    finally:
        server.resume()
    assert source.lookup("joe") == Account("joe", "it")


@pytest.mark.parametrize("size", [3, 20])
def test_a_server_that_falls_silent_within_an_answer_is_temporary_in_time(
    server: DatabaseServer, tmp_path: Path, size: int
) -> None:
    server.put({"joe": []})
    with ThreadPoolExecutor(1) as thread, Relay(server.port) as relay:
        far: dict[str, Any] = {"url": server.url.replace(str(server.port), str(relay.port))}
        if isinstance(server, Slapd):
            far = {"urls": [far["url"]], "tls": "none"}  # within TLS, libldap waits another way
        source = MAKERS[type(server)](server, tmp_path, **far)
        assert source.lookup("joe") == Account("joe", "it")
        relay.pause_after(size)
        asked = thread.submit(source.lookup, "joe")
        with pytest.raises(ServerTimeout):
            asked.result(timeout=20 * TIMEOUT)
        relay.resume()
        assert source.lookup("joe") == Account("joe", "it")
        source.close()


def test_a_silent_server_costs_the_recipients_after_the_first_nothing(
    server: DatabaseServer, source: AccountSource
) -> None:
    remembered = CachedSource(source, Limits(60.0, 10.0, 2.0, 10_000))
    server.pause()
    try:
        with pytest.raises(ServerTimeout):
            remembered.lookup("joe")
        for user in ("kim", "lee", "zoe"):
            with pytest.raises(Temporary, match="not retried yet"):
                remembered.lookup(user)
        assert remembered.snapshot()["lookups"] == 1
    finally:
        server.resume()


def test_a_server_that_was_restarted_between_two_look_ups_is_not_noticed(
    server: DatabaseServer, source: AccountSource
) -> None:
    assert source.lookup("joe") == Account("joe", "it")
    server.stop()
    server.start()
    assert source.lookup("joe") == Account("joe", "it")
    assert source.lookup("zoe") is None


def test_after_a_restart_the_second_question_meets_no_lost_connection_either(
    database: Postgres | MariaDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sql(database, tmp_path, connections=3)
    assert isinstance(source, SqlSource)
    lists = [source.names() for _ in range(3)]
    for names in lists:
        next(names or iter(()))  # each holds a connection
    for names in lists:
        list(names or ())
    server: Any = source._database._asked
    ask, held = server._select, []

    def asked(*arguments: Any) -> Any:
        try:
            return ask(*arguments)
        except Unreachable:
            # Another caller is faster, and has the connection that was made in its place.
            held.append(server._engine.raw_connection())
            raise

    monkeypatch.setattr(server, "_select", asked)
    database.stop()
    database.start()
    assert source.lookup("joe") == Account("joe", "it")
    (other,) = held
    other.close()
    source.close()


@pytest.mark.parametrize("user", HOSTILE)
def test_a_name_reaches_the_server_as_a_value(
    server: DatabaseServer, source: AccountSource, user: str
) -> None:
    before = len(server.log())
    assert source.lookup(user) is None
    asked = server.log()[before:]
    assert expected(server, user).lower() in asked.lower()  # uid knows no case


def expected(server: DatabaseServer, user: str) -> str:
    """How the server's own log shows that it took the whole name for one value."""
    if isinstance(server, Slapd):
        special = "*()\\"
        escaped = "".join(
            f"\\{byte:02X}" if chr(byte) in special or byte > 126 else chr(byte)
            for byte in user.encode()
        )
        return f'filter="(uid={escaped})"'
    if isinstance(server, Postgres):
        doubled = user.replace("'", "''")
        return f"parameters: $1 = '{doubled}'"
    escaped = user.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
    return f"WHERE userid = '{escaped}'"


def test_twenty_thousand_accounts(server: DatabaseServer, tmp_path: Path) -> None:
    users = [f"user{number:05}" for number in range(MANY)]
    server.put({})
    server.load(users)
    source = MAKERS[type(server)](server, tmp_path, timeout=10.0)
    assert [source.lookup(user) for user in ("user00000", "user19999")] == [
        Account("user00000", "it"),
        Account("user19999", "it"),
    ]
    assert source.lookup("user20000") is None
    names = source.names()
    assert names is not None
    assert set(names) == set(users)
    source.close()
    server.put({})


# -- databases -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[Postgres, MariaDb], ids=lambda kind: kind.name)
def database(request: pytest.FixtureRequest) -> Iterator[Postgres | MariaDb]:
    with request.param() as started:
        started.put({"joe": ["staff"], "kim": []})
        yield started


def test_further_columns_are_attributes(database: Postgres | MariaDb, tmp_path: Path) -> None:
    query = "SELECT userid, '2G' AS mailQuota, NULL AS part FROM accounts WHERE userid = :user"
    found = sql(database, tmp_path, query=query).lookup("joe")
    assert found is not None
    assert found.attributes == (("mailquota", "2G"),)
    assert found.values("mailQuota") == ("2G",)


def test_columns_of_numbers_and_of_bytes_are_text(
    database: Postgres | MariaDb, tmp_path: Path
) -> None:
    to_bytes = "convert_to(%s, 'UTF8')" if isinstance(database, Postgres) else "BINARY %s"
    joe = to_bytes % "userid"
    source = sql(
        database,
        tmp_path,
        query=f"SELECT {joe}, 5 AS quota, {joe} AS part FROM accounts WHERE userid = :user",
        groups_query=f"SELECT {to_bytes % 'name'} FROM memberships WHERE userid = :user",
        list_query=f"SELECT {joe} FROM accounts UNION SELECT NULL",
    )
    found = source.lookup("joe")
    assert found == Account("joe", "it")
    assert found.attributes == (("quota", "5"), ("part", "joe"))
    assert source.groups(found) == {"staff"}
    assert set(source.names() or ()) == {"joe", "kim"}
    numbers = sql(database, tmp_path, query="SELECT 1234 FROM accounts WHERE :user = '1234'")
    assert numbers.lookup("0") is None


def test_local_part_and_domain_are_bound_too(database: Postgres | MariaDb, tmp_path: Path) -> None:
    domain = "CASE WHEN 'other.test' = :domain THEN :user ELSE 'x' END"
    query = f"SELECT {domain} FROM accounts WHERE userid = :local"
    assert sql(database, tmp_path, query=query).lookup("joe@other.test") == Account(
        "joe@other.test", "it"
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT userid FROM accounts WHERE :user <> ''", "found 2 rows for 'joe'"),
        ("SELECT NULL FROM accounts WHERE userid = :user", "answered nothing"),
        ("SELECT 'kim' FROM accounts WHERE userid = :user", "answered 'kim'"),
        ("SELECT userid FROM people WHERE userid = :user", "people"),
        ("SELEKT :user", "syntax"),
        ("SELECT userid FROM accounts WHERE userid = :nosuch", "parameter 'nosuch'"),
        ("COMMIT", "is it a SELECT"),
    ],
)
def test_a_bad_answer_is_temporary(
    database: Postgres | MariaDb, tmp_path: Path, query: str, words: str
) -> None:
    with pytest.raises(Temporary, match=words) as caught:
        sql(database, tmp_path, query=query).lookup("joe")
    assert not isinstance(caught.value, Unreachable), "it is asked for others all the same"


@pytest.mark.parametrize("answer", ["value", "rows"])
def test_an_answer_that_is_too_large_is_temporary(
    database: Postgres | MariaDb, tmp_path: Path, answer: str
) -> None:
    large = f"repeat('x', {2 * MOST})"
    queries = {
        "value": f"SELECT :user AS userid, {large} AS note",
        "rows": f"SELECT note FROM (SELECT {large[:-1]} / 1024) AS note) AS one, (WITH RECURSIVE "
        "many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 1000) SELECT n FROM many"
        ") AS thousand, accounts WHERE userid = :user",
    }
    source = sql(database, tmp_path, query=queries[answer])
    with pytest.raises(Temporary, match=f"more than {MOST} bytes"):
        source.lookup("joe")
    source.close()


def test_no_more_connections_than_allowed(database: Postgres | MariaDb, tmp_path: Path) -> None:
    source = sql(database, tmp_path, connections=1, timeout=1.0)
    names = source.names()
    assert names is not None
    next(names)  # of two: the connection is held until the last
    with pytest.raises(PoolExhausted, match=r"all 1 connections are busy for 1 s"):
        source.lookup("joe")
    list(names)
    assert source.lookup("joe") == Account("joe", "it")


@pytest.mark.parametrize("kind", ["good", "other"])
def test_a_certificate_is_verified_when_the_url_says_so(
    database: Postgres | MariaDb, tmp_path: Path, kind: str
) -> None:
    ca_file = database.certificate.ca_file if kind == "good" else make_certificate(tmp_path).ca_file
    options = (
        f"sslmode=verify-full&sslrootcert={ca_file}"
        if isinstance(database, Postgres)
        else f"ssl_ca={ca_file}&ssl_check_hostname=true"
    )
    source = sql(database, tmp_path, url=f"{database.url}?{options}")
    if kind == "good":
        assert source.lookup("joe") == Account("joe", "it")
    else:
        with pytest.raises(Unreachable, match=r"certificate verify failed|CERTIFICATE_VERIFY"):
            source.lookup("joe")


# -- directories ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    with Slapd() as started:
        started.put({"joe": ["staff", "wheel"], "kim": ["staff"], "lee": []})
        started.set("joe", mailQuota="2G", mailPartition="big")
        # A group whose members are groups.
        started.add(f"cn=all,{GROUPS}", objectClass="groupOfNames", member=f"cn=staff,{GROUPS}")
        yield started


@pytest.mark.parametrize("way", ["StartTLS", "LDAPS", "EXTERNAL"])
def test_ways_to_connect_and_bind(slapd: Slapd, tmp_path: Path, way: str) -> None:
    ways: dict[str, dict[str, Any]] = {
        "StartTLS": {},
        "LDAPS": {"urls": [slapd.ldaps_url]},
        "EXTERNAL": {
            "urls": [slapd.ldapi_url],
            "external": True,
            "bind_dn": "",
            "password_file": None,
        },
    }
    assert ldap(slapd, tmp_path, **ways[way]).lookup("joe") == Account("joe", "it")


@pytest.mark.parametrize("place", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_without_a_ca_file_the_systems_certificates_are_trusted(
    slapd: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    certificates = tmp_path / "certs"
    certificates.mkdir()
    copied = certificates / "ours.pem"
    copied.write_bytes(slapd.certificate.ca_file.read_bytes())
    run(["openssl", "rehash", certificates])
    system = {"SSL_CERT_FILE": "/none", "SSL_CERT_DIR": "/none"}
    system[place] = str(copied if place == "SSL_CERT_FILE" else certificates)
    for name, value in system.items():
        monkeypatch.setenv(name, value)
    for url in (slapd.url, slapd.ldaps_url):
        source = ldap(slapd, tmp_path, urls=[url], ca_file=None)
        assert source.lookup("joe") == Account("joe", "it")


def test_the_password_never_goes_over_a_connection_that_is_not_secured(
    slapd: Slapd, tmp_path: Path
) -> None:
    before = len(slapd.log())
    ldap(slapd, tmp_path).lookup("joe")
    words = slapd.log()[before:]
    assert words.index("TLS established") < words.index("BIND dn=")


def test_servers_are_tried_in_turn(slapd: Slapd, tmp_path: Path) -> None:
    source = ldap(slapd, tmp_path, urls=["ldap://127.0.0.1:1", slapd.url, slapd.ldaps_url])
    assert source.lookup("joe") == Account("joe", "it")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1: .*; ldap://127\.0\.0\.1:2: "):
        ldap(slapd, tmp_path, urls=["ldap://127.0.0.1:1", "ldap://127.0.0.1:2"]).lookup("joe")


def test_attributes_that_were_asked_for_come_with_the_account(slapd: Slapd, tmp_path: Path) -> None:
    found = ldap(slapd, tmp_path, attributes=["mailQuota", "mailPartition"]).lookup("joe")
    assert found is not None
    assert (found.values("mailQuota"), found.values("mailPartition")) == (("2G",), ("big",))
    found = ldap(slapd, tmp_path).lookup("joe")
    assert found is not None
    assert found.values("mailQuota") == ()


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        ({"member_of": "memberOf"}, {"staff", "wheel", "all"}),
        (
            {"groups_base": GROUPS, "groups_filter": "(&(objectClass=groupOfNames)(member={dn}))"},
            {"staff", "wheel"},
        ),
        (
            {
                "groups_base": POSIX,
                "groups_filter": "(&(objectClass=posixGroup)(memberUid={user}))",
            },
            {"staff", "wheel"},
        ),
        ({}, set()),
    ],
    ids=["memberOf, nested ones by the server", "groupOfNames", "posixGroup", "none"],
)
def test_groups(slapd: Slapd, tmp_path: Path, settings: dict[str, Any], groups: set[str]) -> None:
    source = ldap(slapd, tmp_path, **settings)
    found = source.lookup("joe")
    assert found is not None
    assert source.groups(found) == groups
    assert source.groups(Account("joe", "another source")) == groups
    assert source.groups(Account("zoe", "another source")) == frozenset()


@pytest.mark.parametrize(
    ("settings", "user", "words"),
    [
        ({"filter": "(|(uid={user})(uid=kim))"}, "joe", "finds more than one entry"),
        ({"filter": "(|(uid={user})(objectClass=*))"}, "joe", "more entries than"),
        ({}, "JOE", "its uid is 'joe' when asked for 'JOE'"),
        ({"user_attribute": "mail"}, "joe", "its mail is nothing"),
        ({"base": "ou=nowhere,dc=example,dc=org"}, "joe", "the base does not exist"),
        ({"base": "dc=example,dc=net"}, "joe", "No such object"),
        ({"filter": "(uid={user}"}, "joe", "the filter is not valid"),
    ],
)
def test_a_bad_answer_of_a_directory_is_temporary(
    slapd: Slapd, tmp_path: Path, settings: dict[str, Any], user: str, words: str
) -> None:
    with pytest.raises(Temporary) as caught:
        ldap(slapd, tmp_path, **settings).lookup(user)
    assert words in str(caught.value)
    assert not isinstance(caught.value, Unreachable), "it is asked for others all the same"


def ldap_with_groups(server: Slapd, folder: Path) -> AccountSource:
    """A source that asks for the groups of which a user is a member."""
    members = "(&(objectClass=groupOfNames)(member={dn}))"
    return ldap(server, folder, groups_base=GROUPS, groups_filter=members)


def test_the_size_limit_of_the_server_is_temporary(tmp_path: Path) -> None:
    with Slapd(sizelimit="1") as strict:
        strict.put({"joe": ["staff", "wheel"]})
        source = ldap_with_groups(strict, tmp_path)
        found = source.lookup("joe")
        assert found is not None
        with pytest.raises(Temporary, match="Size limit exceeded"):
            source.groups(found)


def test_a_part_of_the_tree_that_is_elsewhere_is_temporary_and_is_not_followed(
    slapd: Slapd, tmp_path: Path
) -> None:
    with slapd.referring(PEOPLE):
        source = ldap(slapd, tmp_path)
        assert source.lookup("joe") == Account("joe", "it")
        with pytest.raises(
            Temporary, match=r"has only part of .* refers to ldap://127\.0\.0\.1:1/"
        ):
            source.lookup("nobody-of-this-name")
        with pytest.raises(Temporary, match="has only part of "):
            list(source.names() or ())


def test_groups_of_which_a_part_is_elsewhere_are_temporary(slapd: Slapd, tmp_path: Path) -> None:
    source = ldap_with_groups(slapd, tmp_path)
    joe = source.lookup("joe")
    assert joe is not None
    with slapd.referring(GROUPS), pytest.raises(Temporary, match="has only part of "):
        source.groups(joe)
    assert source.groups(joe) == {"staff", "wheel"}


@pytest.mark.parametrize(
    ("spelled", "asked"),
    [
        ("joe", "\uff4a\uff4f\uff45"),  # full width
        ("jo e", "jo\u00a0e"),
        ("kim", "\u212aim"),  # the sign for Kelvin
    ],
)
def test_a_look_alike_of_somebodys_name_is_unknown_and_an_account_that_looks_like_it_temporary(
    slapd: Slapd, tmp_path: Path, spelled: str, asked: str
) -> None:
    slapd.put({spelled: []})
    source = ldap(slapd, tmp_path)
    assert source.lookup(spelled) == Account(spelled, "it")
    assert source.lookup(asked) is None
    # Whoever is called that may log in by the other name.
    slapd.put({asked: []})
    with pytest.raises(Temporary, match="it must be the user id"):
        source.lookup(spelled)
    slapd.put({"joe": ["staff", "wheel"], "kim": ["staff"], "lee": []})


def test_groups_that_are_compared_to_the_letter_know_the_name_as_the_entry_spells_it(
    slapd: Slapd, tmp_path: Path
) -> None:
    slapd.put({"KLee": ["staff"], "joe": ["wheel"]})
    source = ldap(
        slapd,
        tmp_path,
        groups_base=POSIX,
        groups_filter="(&(objectClass=posixGroup)(memberUid={user}))",
    )
    found = source.lookup("klee")
    assert found == Account("klee", "it")
    assert source.groups(found) == {"staff"}
    assert source.groups(Account("klee", "another source")) == {"staff"}
    slapd.put({"joe": ["staff", "wheel"], "kim": ["staff"], "lee": []})


def test_groups_of_a_table_that_is_compared_to_the_letter_know_the_name_as_it_is_spelled(
    database: Postgres | MariaDb, tmp_path: Path
) -> None:
    database.put({"KLee": ["staff"], "joe": ["wheel"]})
    source = sql(
        database,
        tmp_path,
        query="SELECT userid FROM accounts WHERE lower(userid) = :user",
        groups_query="SELECT name FROM memberships WHERE userid = :user",
    )
    found = source.lookup("klee")
    assert found == Account("klee", "it")
    assert source.groups(found) == {"staff"}
    database.put({"joe": ["staff"], "kim": []})


def test_two_rows_that_differ_in_case_are_temporary(
    database: Postgres | MariaDb, tmp_path: Path
) -> None:
    database.put({"KLee": [], "klee": []})
    query = "SELECT userid FROM accounts WHERE lower(userid) = :user"
    with pytest.raises(Temporary, match="found 2 rows for 'klee'"):
        sql(database, tmp_path, query=query).lookup("klee")
    database.put({"joe": ["staff"], "kim": []})


def test_a_collation_that_ignores_accents_finds_nobody_whom_cyrus_can_have(tmp_path: Path) -> None:
    with MariaDb() as server:
        server.put({"jose": []})
        query = "SELECT userid FROM accounts WHERE userid = :user COLLATE utf8mb4_general_ci"
        source = sql(server, tmp_path, query=query)
        assert source.lookup("jose") == Account("jose", "it")
        assert source.lookup("josé") is None


# -- ranges of values ----------------------------------------------------------------------------

JOE = f"cn=Joe,{PEOPLE}"
MANY_GROUPS = tuple(f"CN=Group {number:04},{GROUPS}" for number in range(10))


@pytest.fixture
def ranged() -> Iterator[RangedDirectory]:
    entries = {
        JOE: {"uid": ("joe",), "memberOf": MANY_GROUPS},
        f"cn=Kim,{PEOPLE}": {"uid": ("kim",), "memberOf": MANY_GROUPS[:2]},
    }
    with RangedDirectory(entries) as made:
        yield made


def ranged_source(server: RangedDirectory) -> AccountSource:
    keys: dict[str, Any] = {"tls": "none", "member_of": "memberOf", "timeout": TIMEOUT}
    return account_source("ldap", urls=[server.url], base=PEOPLE, **keys)


@pytest.mark.parametrize("most", [1, 3, 9, 10, 11])
def test_values_that_come_in_ranges_all_count(ranged: RangedDirectory, most: int) -> None:
    ranged.most = most
    source = ranged_source(ranged)
    joe = source.lookup("joe")
    assert joe == Account("joe", "it")
    assert joe.values("memberOf") == MANY_GROUPS
    assert source.groups(joe) == {f"Group {number:04}" for number in range(10)}
    assert source.groups(Account("kim", "another")) == {"Group 0000", "Group 0001"}
    assert source.lookup("zoe") is None
    source.close()


@pytest.mark.parametrize(
    "instead", ["0-2", "4-5", "3-2", pytest.param(f"3-{'9' * 5000}", id="digits")]
)
def test_a_range_that_does_not_follow_the_one_before_is_temporary(
    ranged: RangedDirectory, instead: str
) -> None:
    ranged.instead[3] = instead
    source = ranged_source(ranged)
    with pytest.raises(Temporary, match="did not answer memberof;range=3-"):
        source.lookup("joe")
    source.close()


@pytest.mark.parametrize("instead", ["1-3", pytest.param(f"0-{'9' * 5000}", id="digits")])
def test_a_first_range_that_is_none_is_temporary(ranged: RangedDirectory, instead: str) -> None:
    ranged.instead[0] = instead
    source = ranged_source(ranged)
    with pytest.raises(Temporary, match="answered memberof;range="):
        source.lookup("joe")
    source.close()


def test_all_ranges_together_have_the_limit_of_one_answer(ranged: RangedDirectory) -> None:
    ranged.entries = {JOE: {"uid": ("joe",), "memberOf": ["x" * (MOST // 10)] * 50}}
    source = ranged_source(ranged)
    with pytest.raises(Temporary, match=f"more than {MOST} bytes"):
        source.lookup("joe")
    source.close()

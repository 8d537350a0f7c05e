"""What every table of domains promises: it has a domain, or not, or cannot tell; never a no instead of "cannot tell".

`TABLES` names the kinds; each test runs once for every one of them.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from autocreate.aliases.postmap import PostmapTable
from autocreate.domains.file import DomainFile
from autocreate.domains.syntax import domain_keys
from autocreate.errors import Temporary
from tests.configured import domain_table
from tests.servers.common import aged, wait_until
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.slapd import PEOPLE, Slapd

from .databases import moved_away, shared
from .test_alias_tables import Kind, stopped

HOSTED = ["example.org", "xn--bcher-kva.test", ".wild.test"]
SCHEMA = "CREATE TABLE domains (name VARCHAR(255), active INTEGER)"
ROWS = ", ".join(f"('{name}', 1)" for name in HOSTED) + ", ('closed.test', 0)"
INSERT = f"INSERT INTO domains VALUES {ROWS}"
QUERY = "SELECT name FROM domains WHERE name = :domain AND active = 1"


@contextmanager
def file(folder: Path) -> Iterator[Kind]:
    path = folder / "domains"
    path.write_text("".join(f"{name}\n" for name in HOSTED))
    yield Kind(DomainFile("it", aged(path)), lambda: moved_away(path))


@contextmanager
def postmap(folder: Path) -> Iterator[Kind]:
    (folder / "main.cf").touch()
    path = folder / "domains"
    path.write_text("".join(f"{name} OK\n" for name in HOSTED))
    table = PostmapTable("it", map=f"texthash:{aged(path)}", config_directory=folder, timeout=30.0)
    yield Kind(table, lambda: moved_away(path))


@contextmanager
def sqlite(folder: Path) -> Iterator[Kind]:
    path = folder / "domains.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(SCHEMA)
        connection.execute(INSERT)
    yield Kind(domain_table("sql", url=f"sqlite:///{path}", query=QUERY), lambda: moved_away(path))


@contextmanager
def sql_server(kind: type[Postgres] | type[MariaDb], folder: Path) -> Iterator[Kind]:
    server = shared(kind)
    secret = folder / "secret"
    secret.write_text(server.password + "\n")
    for statement in ("DROP TABLE IF EXISTS domains", SCHEMA, INSERT):
        server.execute(statement)
    if kind is Postgres:
        server.execute(f"GRANT SELECT ON domains TO {server.user}")
    table = domain_table("sql", url=server.url, query=QUERY, password_file=secret, timeout=5.0)
    yield Kind(table, lambda: stopped(server))
    table.close()


@contextmanager
def slapd(folder: Path) -> Iterator[Kind]:
    server = shared(Slapd)
    secret = folder / "secret"
    secret.write_text(server.reader_password + "\n")
    server.put({"bystander": []})
    for number, name in enumerate(HOSTED):
        server.add(f"uid={number},{PEOPLE}", objectClass="inetOrgPerson", sn="domain", cn=name)
    table = domain_table(
        "ldap",
        urls=[server.url],
        base=server.suffix,
        filter="(&(sn=domain)(cn={domain}))",
        ca_file=server.certificate.ca_file,
        bind_dn=server.reader,
        password_file=secret,
        timeout=5.0,
    )
    yield Kind(table, lambda: stopped(server))
    table.close()
    server.put({"bystander": []})


TABLES: Mapping[str, Callable[[Path], AbstractContextManager[Kind]]] = {
    "file": file,
    "postmap": postmap,
    "sqlite": sqlite,
    "postgresql": lambda folder: sql_server(Postgres, folder),
    "mariadb": lambda folder: sql_server(MariaDb, folder),
    "ldap": slapd,
}


@pytest.fixture(params=TABLES)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with TABLES[request.param](tmp_path) as made:
        yield made


def has(kind: Kind, domain: str) -> bool:
    found = kind.table.find(domain_keys(domain))
    assert found.uncertainty == ""
    return found.position >= 0


@pytest.mark.parametrize("domain", ["example.org", "xn--bcher-kva.test", "a.wild.test"])
def test_it_has_a_domain_and_the_subdomains_of_one_with_a_dot(kind: Kind, domain: str) -> None:
    assert has(kind, domain)


@pytest.mark.parametrize(
    "domain", ["elsewhere.test", "sub.example.org", "wild.test", "closed.test"]
)
def test_it_has_no_other(kind: Kind, domain: str) -> None:
    assert not has(kind, domain)


def test_what_is_away_cannot_tell_and_comes_back(kind: Kind) -> None:
    with kind.away(), pytest.raises(Temporary):
        has(kind, "elsewhere.test")

    def is_back() -> bool:
        with contextlib.suppress(Temporary):
            assert has(kind, "example.org")
            return True
        return False

    wait_until(is_back, 20.0, "an answer")


@pytest.mark.parametrize("name", ["example.org", "bücher.test"])
def test_a_database_may_have_either_spelling_of_a_domain(tmp_path: Path, name: str) -> None:
    path = tmp_path / "domains.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(SCHEMA)
        connection.execute("INSERT INTO domains VALUES (?, 1)", (name,))
    made = Kind(domain_table("sql", url=f"sqlite:///{path}", query=QUERY), lambda: moved_away(path))
    assert has(made, name.encode("idna").decode())


def test_a_domain_of_which_a_part_of_the_directory_knows_is_temporary(tmp_path: Path) -> None:
    with (
        slapd(tmp_path) as ldap,
        shared(Slapd).referring(PEOPLE),
        pytest.raises(Temporary, match="has only part of "),
    ):
        has(ldap, "elsewhere.test")


def test_the_last_line_of_a_file_that_is_being_written_may_be_a_part_of_one(tmp_path: Path) -> None:
    path = tmp_path / "domains"
    path.write_text("example.org\nexample.co")
    table = DomainFile("it", path)
    assert table.find(domain_keys("example.org")).position == 0
    with pytest.raises(Temporary):
        table.find(domain_keys("example.co"))
    assert table.find(domain_keys("example.com")).uncertainty

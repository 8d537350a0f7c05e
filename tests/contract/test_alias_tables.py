"""What every table of aliases promises: an entry, none, or cannot tell; and never a none instead of "cannot tell".

`TABLES` names the kinds; each test runs once for every one of them.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from autocreate.aliases.file import AliasesFile, VirtualFile
from autocreate.aliases.postmap import PostmapTable
from autocreate.aliases.stages import Found
from autocreate.aliases.syntax import items
from autocreate.aliases.tables import AliasTable
from autocreate.errors import Temporary
from tests.configured import alias_table
from tests.servers.common import aged, run, wait_until
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.slapd import PEOPLE, Slapd

from .databases import moved_away, shared

ENTRIES = {
    "sales@example.org": ["joe@example.org", "kim"],
    "@catch.test": ["bob@example.org"],
    "o'brien@example.org": ["joe"],
    "jörg@example.org": ["joe"],
    "strasse@example.org": ["joe"],
}

# What no table has, and what would find everything if it were pasted into a query.
ODD_KEYS = [
    "nobody@example.org",
    "sales",
    "*@example.org",
    "*",
    "%@example.org",
    "s_les@example.org",
    '"*)(uid=*"@example.org',
    "\"' OR '1'='1\"@example.org",
    "jo\\e@example.org",
    "#sales@example.org",
    "😀@example.org",
    "x" * 200 + "@example.org",
    "lee@example.org",
    "zoe@example.org",
]


class Kind:
    """A table under test, and how to take away what it reads."""

    def __init__(self, table: AliasTable, away: Callable[[], AbstractContextManager[None]]) -> None:
        self.table = table
        self.away = away


@contextmanager
def virtual_file(folder: Path) -> Iterator[Kind]:
    path = folder / "virtual"
    path.write_text("".join(f"{key} {', '.join(to)}\n" for key, to in ENTRIES.items()))
    yield Kind(VirtualFile("it", aged(path)), lambda: moved_away(path))


@contextmanager
def aliases_file(folder: Path) -> Iterator[Kind]:
    path = folder / "aliases"
    path.write_text("".join(f'"{key}": {", ".join(to)}\n' for key, to in ENTRIES.items()))
    yield Kind(AliasesFile("it", aged(path)), lambda: moved_away(path))


@contextmanager
def postmap(folder: Path) -> Iterator[Kind]:
    (folder / "main.cf").write_text("smtputf8_enable = yes\n")
    path = folder / "virtual"
    path.write_text("".join(f"{key} {', '.join(to)}\n" for key, to in ENTRIES.items()))
    table = PostmapTable("it", map=f"texthash:{aged(path)}", config_directory=folder, timeout=30.0)
    yield Kind(table, lambda: moved_away(path))


ROWS = [(key, target) for key, targets in ENTRIES.items() for target in targets]
# Rows of people who have no alias.
WITHOUT_TARGETS = [("lee@example.org", None), ("zoe@example.org", "")]
QUERY = "SELECT target FROM aliases WHERE name = :key ORDER BY target DESC"


@contextmanager
def sqlite(folder: Path) -> Iterator[Kind]:
    path = folder / "aliases.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE aliases (name TEXT, target TEXT)")
        connection.executemany("INSERT INTO aliases VALUES (?, ?)", ROWS)
        # Sorted by length, so that the order of the rows is that of ENTRIES in every database.
        connection.executemany("INSERT INTO aliases VALUES (?, ?)", WITHOUT_TARGETS)
    query = QUERY.replace("target DESC", "length(target) DESC")
    yield Kind(alias_table("sql", url=f"sqlite:///{path}", query=query), lambda: moved_away(path))


@contextmanager
def sql_server(kind: type[Postgres] | type[MariaDb], folder: Path) -> Iterator[Kind]:
    server = shared(kind)
    secret = folder / "secret"
    secret.write_text(server.password + "\n")
    server.execute("DROP TABLE IF EXISTS aliases")
    server.execute("CREATE TABLE aliases (name VARCHAR(255), target VARCHAR(255))")
    if kind is Postgres:
        server.execute(f"GRANT SELECT ON aliases TO {server.user}")
    for name, target in ROWS:
        escaped = name.replace("'", "''")
        server.execute(f"INSERT INTO aliases VALUES ('{escaped}', '{target}')")
    server.execute("INSERT INTO aliases VALUES ('lee@example.org', NULL), ('zoe@example.org', '')")
    query = QUERY.replace("target DESC", "length(target) DESC")
    table = alias_table("sql", url=server.url, query=query, password_file=secret, timeout=5.0)
    yield Kind(table, lambda: stopped(server))
    table.close()


@contextmanager
def slapd(folder: Path) -> Iterator[Kind]:
    server = shared(Slapd)
    secret = folder / "secret"
    secret.write_text(server.reader_password + "\n")
    server.put({"bystander": []})
    for number, (key, targets) in enumerate(ENTRIES.items()):
        server.add(
            f"uid=alias-{number},{PEOPLE}",
            objectClass="inetOrgPerson",
            sn="alias",
            cn=key,
            description=targets,
        )
    table = alias_table(
        "ldap",
        urls=[server.url],
        base=server.suffix,
        filter="(&(sn=alias)(cn={key}))",
        target_attribute="description",
        ca_file=server.certificate.ca_file,
        bind_dn=server.reader,
        password_file=secret,
        timeout=5.0,
    )
    yield Kind(table, lambda: stopped(server))
    table.close()
    server.put({"bystander": []})


@contextmanager
def stopped(server: Any) -> Iterator[None]:
    server.stop()
    yield
    server.start()


TABLES: Mapping[str, Callable[[Path], AbstractContextManager[Kind]]] = {
    "file": virtual_file,
    "aliases": aliases_file,
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


@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry_is_found_with_all_its_targets(kind: Kind, key: str) -> None:
    found = kind.table.find([key])
    assert (found.position, set(items(found.text))) == (0, set(ENTRIES[key]))


def test_the_first_key_that_it_has_counts(kind: Kind) -> None:
    asked = ["nobody@catch.test", "@catch.test", "sales@example.org"]
    assert kind.table.find(asked)[:2] == (1, "bob@example.org")


def test_targets_of_which_a_part_is_elsewhere_are_temporary(tmp_path: Path) -> None:
    with slapd(tmp_path) as ldap:
        with shared(Slapd).referring(PEOPLE):
            for key in ("sales@example.org", "nobody@example.org"):
                with pytest.raises(Temporary, match="has only part of "):
                    ldap.table.find([key])
        assert ldap.table.find(["sales@example.org"]).position == 0


@pytest.mark.parametrize("kind_of_text", ["BLOB", "INTEGER"])
def test_targets_of_any_type_are_text(tmp_path: Path, kind_of_text: str) -> None:
    query = f"SELECT CAST('1234' AS {kind_of_text}) WHERE :key = :key"
    (tmp_path / "aliases.db").touch()
    table = alias_table("sql", url=f"sqlite:///{tmp_path}/aliases.db", query=query)
    assert table.find(["sales@example.org"]) == Found(0, "1234")


def test_a_row_that_could_be_one_name_or_several_targets_is_temporary(tmp_path: Path) -> None:
    (tmp_path / "aliases.db").touch()
    query = "SELECT 'Doe, Joe <joe@example.org>' WHERE :key = :key"
    table = alias_table("sql", url=f"sqlite:///{tmp_path}/aliases.db", query=query)
    with pytest.raises(Temporary, match=r"'sales@example\.org', .* could be one name or"):
        table.find(["sales@example.org"])


@pytest.mark.parametrize("key", ODD_KEYS)
def test_what_it_lacks_is_a_no(kind: Kind, key: str) -> None:
    assert kind.table.find([key]) == Found()


@pytest.mark.parametrize("key", ["SALES@example.org", "straße@example.org", "STRAẞE@example.org"])
def test_a_key_is_the_same_however_it_is_spelled(kind: Kind, key: str) -> None:
    assert kind.table.find([key]).position == 0


def test_keys_of_a_text_are_folded_as_postfix_folds_them(tmp_path: Path) -> None:
    names = [
        "weiß",
        "strasse",
        "ΣΊΣΥΦΟΣ",
        "İsmail",
        "ﬁsch",
        "jo\N{LATIN SMALL LETTER LONG S}e",
        "Ünal",
        "ŉa",
    ]
    (tmp_path / "main.cf").write_text("smtputf8_enable = yes\n")
    path = tmp_path / "virtual"
    path.write_text("".join(f"{name}@example.org {n}\n" for n, name in enumerate(names)))
    file = VirtualFile("it", aged(path))
    # Not texthash, which finds no key beyond ASCII in Postfix 3.11.7.
    run(["postmap", "-c", tmp_path, f"lmdb:{path}"])
    postmap = PostmapTable("it", map=f"lmdb:{path}", config_directory=tmp_path, timeout=30.0)
    keys = {
        f"{spelled}@example.org"
        for name in [*names, "ismail", "i̇smail", "straße", "STRAẞE", "σίσυφος", "jose", "fisch"]
        for spelled in (name, name.upper(), name.lower(), name.casefold())
    }
    asked = [[key] for key in sorted(keys)]
    assert [file.find(key) for key in asked] == postmap.find_many(asked)


def test_what_is_away_cannot_tell_and_comes_back(kind: Kind) -> None:
    assert kind.table.find(["nobody@example.org"]) == Found()
    with kind.away(), pytest.raises(Temporary):
        kind.table.find(["nobody@example.org"])

    def is_back() -> bool:
        with contextlib.suppress(Temporary):
            assert kind.table.find(["sales@example.org"]).position == 0
            return True
        return False

    wait_until(is_back, 20.0, "an answer")

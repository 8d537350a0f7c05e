"""Journals of other versions under real processes, and a journal that moves: no wrong answer, no lost work."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.journals import OLD_JOURNALS, execute, load_dump
from tests.integration.conftest import code
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postgres import Postgres
from tests.servers.product import Product

from autocreate.service.journal_schema import VERSION

OLD = sorted(OLD_JOURNALS.glob("*.sqlite.sql"))


def url_of(product: Product) -> str:
    return f"sqlite:///{product.journal}"


def leave_as_the_first_version(product: Product, user: str) -> None:
    """What a process with the first version of the journal writes before it is killed."""
    execute(
        url_of(product),
        "INSERT INTO unfinished (user, address, usable, attempts, next_try, error) "
        f"VALUES ('{user}', '{user}@example.org', 0, 0, 1.0, '')",
    )


@pytest.mark.parametrize("dump", OLD, ids=[it.name.split(".")[0] for it in OLD])
def test_work_that_an_earlier_version_began_is_finished_by_this_one(
    cyrus: Cyrus, new: str, dump: Path
) -> None:
    begun = f"begun-{new}"
    with Product(cyrus, accounts=[new, begun]) as product:
        load_dump(url_of(product), dump)
        columns = "user, address, usable, attempts, next_try, error"
        values = f"'{begun}', '{begun}@example.org', 0, 0, 1.0, ''"
        if not dump.name.startswith("1."):
            columns, values = f"{columns}, service, begun", f"{values}, 'lmtp', 1"
        execute(url_of(product), f"INSERT INTO unfinished ({columns}) VALUES ({values})")
        product.start()
        wait_until(lambda: begun not in product.unfinished(), 20.0, "the retry", product.log)
        assert cyrus.mailboxes(f"user/{begun}")
        assert [code(product, user) for user in (new, "nobody")] == [0, 550]
        (shown,) = product.json("journal")
        assert (shown["version"], shown["difference"]) == (VERSION, "")
        assert "ERROR" not in product.log()


def test_a_process_of_an_earlier_version_beside_this_one(cyrus: Cyrus, new: str) -> None:
    """What either leaves is finished by the other."""
    theirs = f"theirs-{new}"
    with Product(cyrus, accounts=[new, theirs]) as product:
        product.start()
        leave_as_the_first_version(product, theirs)
        assert code(product, new) == 0
        product.run("unfinished", "retry", "--all")  # unless the process itself was faster
        wait_until(lambda: theirs not in product.unfinished(), 20.0, "the retry", product.log)
        assert cyrus.mailboxes(f"user/{theirs}/Sent")
        # The statement by which that version reads what is due.
        with contextlib.closing(sqlite3.connect(product.journal)) as database:
            query = "SELECT user, address, usable, attempts, next_try, error FROM unfinished"
            assert not database.execute(query).fetchall()


def claim(product: Product, oldest: int) -> None:
    row = f"({VERSION + 1}, {oldest}, 1.0)"
    execute(url_of(product), f"INSERT INTO schema_version VALUES {row}")


def test_a_newer_journal_that_cannot_be_used_defers_new_users_alone(cyrus: Cyrus, new: str) -> None:
    known = f"known-{new}"
    cyrus.create(f"user/{known}")
    with Product(cyrus, accounts=[known, new]) as product:
        assert product.run("journal", "upgrade").returncode == 0
        claim(product, VERSION + 1)
        product.start()
        assert [code(product, user) for user in (known, new, "nobody")] == [0, 451, 550]
        assert not cyrus.mailboxes(f"user/{new}")
        assert not product.unfinished()
        assert (
            "to fix it, install the version of autocreate that the other MTAs have" in product.log()
        )
        status = product.run("status")
        assert status.returncode == 2
        assert re.search(rf"journal +DOWN .*its version {VERSION + 1} is newer", status.stdout)
        doctor = product.run("doctor")
        assert doctor.returncode == 2
        assert f"its version {VERSION + 1} is newer than version {VERSION}" in doctor.stdout
        checked = product.run("config", "check")
        assert f"notice: journal.url: its version {VERSION + 1} is newer" in checked.stdout
        execute(url_of(product), f"DELETE FROM schema_version WHERE version > {VERSION}")
        assert code(product, new) == 0


def test_a_newer_journal_that_can_be_used_is_used(cyrus: Cyrus, new: str) -> None:
    with Product(cyrus, accounts=[new]) as product:
        assert product.run("journal", "upgrade").returncode == 0
        claim(product, VERSION)
        product.start()
        assert [code(product, user) for user in (new, "nobody")] == [0, 550]
        status = product.run("status")
        assert status.returncode == 0
        assert re.search(rf"journal +up .*: version {VERSION + 1} is newer", status.stdout)


# -- from a file to a server -----------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """`[journal]` for an empty database."""
    with Postgres() as postgres:
        postgres.execute(f"GRANT CREATE ON SCHEMA public TO {postgres.user}")
        secret = tmp_path / "secret"
        secret.touch(mode=0o600)
        secret.write_text(f"{postgres.password}\n")
        yield {"url": postgres.url, "password_file": str(secret)}


def test_a_journal_moves_to_a_server_while_mail_comes_in(
    cyrus: Cyrus, new: str, server: dict[str, Any]
) -> None:
    users = [f"{new}{number}" for number in range(30)]
    waiting = f"waiting-{new}"
    with Product(cyrus, accounts=[*users, waiting]) as product:
        product.start()
        leave_as_the_first_version(product, waiting)
        target = ("journal", "copy", server["url"], "--password-file", server["password_file"])

        codes: list[int] = []
        mail = threading.Thread(target=lambda: codes.extend(code(product, it) for it in users))
        mail.start()
        live = product.run(*target)
        mail.join()
        assert live.returncode == 0, live.stdout + live.stderr
        assert set(codes) == {0}

        product.stop()
        before = product.json("journal")[0]["rows"]
        last = product.run(*target)
        assert last.returncode == 0, last.stdout + last.stderr
        product.configure({"journal": server})
        after = product.json("journal")[0]
        assert after["url"].replace(":***@", "@") == server["url"]
        assert {name: after["rows"][name] for name in ("given", "hours")} == {
            name: before[name] for name in ("given", "hours")
        }
        product.start()
        wait_until(lambda: not product.json("unfinished", "list"), 20.0, "the retry", product.log)
        assert cyrus.mailboxes(f"user/{waiting}/Sent")
        # What a user has removed stays removed: the new journal knows that it was given.
        cyrus.delete(f"user/{users[0]}/Sent")
        planned = product.run("apply", "--policy", "everyone", "--to", users[0])
        assert "1 up to date" in planned.stderr, planned.stdout

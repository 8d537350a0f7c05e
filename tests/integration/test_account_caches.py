"""What the running program remembers of its account sources, and how an administrator looks into it."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import code
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product

QUERY = "SELECT userid FROM accounts WHERE userid = :user AND enabled"


@pytest.fixture
def product(cyrus: Cyrus) -> Iterator[Product]:
    with Product(cyrus, accounts=["known-to-all"]) as made:
        yield made


def configure(product: Product, **source: Any) -> None:
    staff = {"type": "sql", "url": f"sqlite:///{product.database}", "query": QUERY, **source}
    product.configure({"accounts": {"staff": staff}})


def control(product: Product, line: bytes) -> Any:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(f"{product.folder}/milter.sock.control")
        connection.sendall(line + b"\n")
        return json.loads(connection.makefile("rb").readline() or b"null")


def test_an_account_that_is_added_is_accepted_within_the_negative_limit(product: Product) -> None:
    configure(product, cache_negative_seconds=0.5)
    product.start()
    assert code(product, "late") == 550
    product.add_account("late")
    wait_until(lambda: code(product, "late") == 0, 10.0, "the new account", product.log)


@pytest.mark.parametrize("command", [["cp"], ["cp", "-p"], ["mv"]], ids=" ".join)
def test_a_database_that_another_is_copied_over_is_read_anew(
    product: Product, command: list[str]
) -> None:
    with Product(product.cyrus, accounts=["known-to-all", "newcomer"]) as other:
        configure(product, cache_negative_seconds=0)
        product.start()
        assert [code(product, user) for user in ("known-to-all", "newcomer")] == [0, 550]
        assert other.database.stat().st_size == product.database.stat().st_size
        subprocess.run([*command, other.database, product.database], check=True)
        assert [code(product, user) for user in ("newcomer", "nobody")] == [0, 550]


def test_a_cleared_cache_accepts_an_account_that_is_added_at_once(product: Product) -> None:
    configure(product, cache_negative_seconds=3600)
    product.start()
    assert code(product, "kay") == 550
    product.add_account("kay")
    assert code(product, "kay") == 550
    assert product.run("cache", "clear", "--user", "kay").stdout.endswith("cleared: kay\n")
    assert code(product, "kay") == 0


def test_clearing_everything_forgets_whose_mailboxes_stand(product: Product) -> None:
    product.start()
    assert code(product, "known-to-all") == 0
    (before,) = product.json("cache", "show")
    assert before["ready"]["users"] == 1
    (cleared,) = product.json("cache", "clear")
    assert cleared == {"process": before["process"], "forgotten": None}
    (after,) = product.json("cache", "show")
    assert after["ready"]["users"] == 0
    assert after["sources"]["staff"]["remembered"]["found"]["users"] == 0


def test_the_log_line_of_a_recipient_says_who_was_asked_and_how_long_it_took(
    product: Product,
) -> None:
    configure(product)
    product.start()
    code(product, "nobody-1")
    code(product, "nobody-1")
    product.wait_for_log(r"recipient=<nobody-1@example.org>.* asked=staff:[0-9.]+ ")
    product.wait_for_log(r"recipient=<nobody-1@example.org>.* asked=staff:cache ")
    product.database.write_text("this is no database at all, and so long that it is seen\n" * 100)
    code(product, "nobody-3")
    product.wait_for_log(r"recipient=<nobody-3@example.org>.* asked=staff:[0-9.]+! ")


def test_the_cache_is_explained_in_words_and_figures(product: Product) -> None:
    configure(product, cache_negative_seconds=600)
    product.start()
    code(product, "nobody-2")
    code(product, "nobody-2")
    (stats,) = product.json("cache", "show")
    staff = stats["sources"]["staff"]
    assert (staff["hits"], staff["lookups"], staff["errors"]) == (1, 1, 0)
    assert 0 < staff["seconds"] < 10
    assert staff["remembered"]["unknown"] == {"users": 1, "seconds": 600.0}
    shown = product.run("cache", "show").stdout
    assert "accounts.staff: 1 lookup," in shown
    assert "1 user not found, cached for 600 s each" in shown


def test_a_source_that_is_broken_is_shown_with_its_error(product: Product) -> None:
    product.start()
    product.database.write_text("this is no database at all, and so long that it is seen\n" * 100)
    assert code(product, "somebody") == 451
    (stats,) = product.json("cache", "show")
    staff = stats["sources"]["staff"]
    assert staff["errors"] == 1
    assert "file is not a database" in staff["last_error"]


def test_without_a_running_milter_the_command_says_so(product: Product) -> None:
    result = product.run("cache", "show")
    assert result.returncode == 75
    assert "nothing listens at" in result.stderr


@pytest.mark.parametrize("line", [b"", b"nonsense", b"[]", b"{}", b'{"ask": "passwords"}', b"\xff"])
def test_what_is_no_question_is_answered_by_those_that_are(product: Product, line: bytes) -> None:
    product.start()
    assert control(product, line) == {
        "error": "unknown request; known are figures, status, user, forget"
    }


def test_nobody_but_root_and_the_programs_own_user_is_answered(product: Product) -> None:
    product.start()
    place = product.folder / "milter.sock.control"
    assert place.stat().st_mode & 0o777 == 0o600
    place.chmod(0o666)  # so that it is the program who refuses
    assert asked_as_nobody(place) == b""
    product.wait_for_log(r"uid 65534 may not use the control socket")


ASK = """
import contextlib, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(60)
connection.connect(sys.argv[1])
with contextlib.suppress(ConnectionError):
    connection.sendall(b'{"ask": "figures"}\\n')
    sys.stdout.buffer.write(connection.recv(100))
"""


def asked_as_nobody(place: Path) -> bytes:
    """The answer to another user."""
    # Debian's own Python: the one that runs the tests may be where only root can read.
    command = ["/usr/bin/python3", "-I", "-c", ASK, str(place)]
    return subprocess.run(command, user=65534, cwd="/", stdout=subprocess.PIPE, check=True).stdout

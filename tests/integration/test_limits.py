"""`[limits]` in the real milter: what a flood of new users does to the others, the log and the journal."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.integration.test_metrics import Scraper, ask
from tests.servers.common import free_port
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product

USERS = [f"limited{number}" for number in range(200)]
UNKNOWN_LINES = 50


@pytest.fixture
def product(cyrus: Cyrus) -> Iterator[tuple[Product, Scraper]]:
    port = free_port()
    settings = {
        "limits": {"creations_per_minute": 1},
        "metrics": {"listen": f":{port}"},
        "log": {"level": "info", "unknown_per_minute": UNKNOWN_LINES},
    }
    with Product(cyrus, accounts=USERS, settings=settings) as made:
        made.start()
        yield made, Scraper(port)


def test_a_flood_of_new_users_holds_up_nobody_else(product: tuple[Product, Scraper]) -> None:
    milter, scrape = product
    first, *others = [f"{user}@example.org" for user in USERS]
    assert ask(milter, first) == [0]
    before = len(milter.log().splitlines())
    begun = time.monotonic()
    assert ask(milter, *others) == [451] * len(others)
    assert ask(milter, first, "nobody@example.org") == [0, 550]
    assert time.monotonic() - begun < 30.0
    added = milter.log().splitlines()[before:]
    assert len([line for line in added if "limits.creations_per_minute" in line]) == 1
    assert len(added) == 3
    assert milter.unfinished() == {}
    name = "autocreate_creations_deferred_total creations_per_minute"
    assert scrape()[name] == len(others)


def test_a_reload_keeps_the_count_and_commands_have_no_limit(
    product: tuple[Product, Scraper],
) -> None:
    milter, _ = product
    assert ask(milter, f"{USERS[0]}@example.org") == [0]
    assert milter.reload() == "INFO reloaded"
    deferred = ask(milter, *[f"{user}@example.org" for user in USERS[1:4]])
    # A token may have come back since the first creation, but not three.
    assert deferred.count(451) >= 2
    provisioned = milter.run("provision", *[f"{user}@example.org" for user in USERS[10:13]])
    assert provisioned.returncode == 0, provisioned.stderr
    assert ask(milter, *[f"{user}@example.org" for user in USERS[10:13]]) == [0, 0, 0]


def test_a_flood_of_unknown_recipients_is_a_few_lines(product: tuple[Product, Scraper]) -> None:
    milter, scrape = product
    before = len(milter.log().splitlines())
    guesses = [f"guess{number}@example.org" for number in range(1000)]
    assert set(ask(milter, *guesses)) == {550}
    # A minute may end within the flood.
    assert len(milter.log().splitlines()) - before <= 2 * UNKNOWN_LINES + 2
    assert scrape()["autocreate_recipients_total unknown milter"] >= 1000

"""Many sessions at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from tests.integration.conftest import WHOLE_TREE, Way
from tests.servers.brake import Brake
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product


def creations(product: Product, user: str) -> int:
    """How often the log says that a user's mailbox was created, and for how many recipients."""
    lines = len(re.findall(rf"^INFO {user}: mailbox created", product.log(), re.MULTILINE))
    recipients = re.findall(rf" user={user} .*created=True", product.log())
    assert len(recipients) == lines
    return lines


def test_sessions_for_the_same_new_user_share_one_creation(
    cyrus: Cyrus, way: Callable[[Product], Way], named: Callable[[str], str]
) -> None:
    user = named("race")
    with Brake(cyrus.imap_port) as brake, ThreadPoolExecutor() as pool:
        settings = {"cyrus": {"port": brake.port}}
        here = way(Product(cyrus, accounts=[user], settings=settings))
        brake.hold(r"CREATE .*Archive")
        first = pool.submit(here.codes, user)
        brake.wait_until_held()
        # INBOX stands, and nobody may be told so before the rest does.
        second = pool.submit(here.codes, user)
        third = pool.submit(here.codes, user)
        assert not first.done()
        brake.let_go()
        assert [first.result(), second.result(), third.result()] == [[250]] * 3
        assert here.tree(user) == WHOLE_TREE
        assert creations(here.product, user) == 1


def test_sessions_before_and_after_a_reload_share_one_creation(
    cyrus: Cyrus, way: Callable[[Product], Way], named: Callable[[str], str]
) -> None:
    user = named("reloaded")
    with Brake(cyrus.imap_port) as brake, ThreadPoolExecutor() as pool:
        settings = {"cyrus": {"port": brake.port}}
        here = way(Product(cyrus, accounts=[user], settings=settings))
        brake.hold(r"CREATE .*Archive")
        before = pool.submit(here.codes, user)
        brake.wait_until_held()
        assert here.product.reload() == "INFO reloaded"
        after = pool.submit(here.codes, user)
        with pytest.raises(TimeoutError):
            after.result(1.5)  # alone it would have finished the tree long ago
        brake.let_go()
        assert [before.result(), after.result()] == [[250], [250]]
        assert here.tree(user) == WHOLE_TREE
        assert creations(here.product, user) == 1


def test_twenty_sessions_at_once_with_a_new_user_each_and_one_in_common(
    cyrus: Cyrus, way: Callable[[Product], Way], named: Callable[[str], str]
) -> None:
    users = [named(f"crowd{number}") for number in range(20)]
    common = named("common")
    here = way(Product(cyrus, accounts=[*users, common]))
    barrier = Barrier(20)

    def session(user: str) -> list[int]:
        barrier.wait()
        return here.codes(user, common, "nobody")

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(session, users)) == [[250, 250, 550]] * 20
    for user in [*users, common]:
        assert creations(here.product, user) == 1
        assert here.tree(user) == WHOLE_TREE
    wait_until(lambda: not here.product.unfinished(), 10.0, "an empty journal")

"""Many sessions at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Barrier

import pytest
from tests.integration.conftest import WHOLE_TREE, Way
from tests.servers.brake import Brake
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.product import POLICY, Product

from autocreate.mailstore.mailbox_ids import is_of_libuuid


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


def test_who_is_found_to_share_files_is_deferred_even_if_mail_came_in_before(
    way: Callable[[Product], Way],
) -> None:
    """Debian's Cyrus gives ids twice where it chooses partitions: docs/mailbox-ids.md."""
    policy = {**POLICY, "folders": [{"name": "Sent"}]}
    batches = [[f"user{number}-{it}" for it in range(8)] for number in range(8)]
    with Cyrus(imapd_conf={"defaultpartition": None}) as cyrus:
        here = way(Product(cyrus, accounts=[*chain(*batches)], policies=[policy]))
        ready, sharing = set[str](), set[str]()
        for users in batches:
            with ThreadPoolExecutor(len(users)) as pool:
                codes = dict(zip(users, pool.map(here.codes, users), strict=True))
            ready |= {user for user in users if codes[user] == [250]}
            sharing = named_as_sharing(here.product)
            if ready & sharing:
                break
        assert set(here.codes(*sharing)) <= {451}
        names = [f"user/{user}{folder}" for user in ready - sharing for folder in here.tree(user)]
        ids = {cyrus.unique_id(name) for name in names}
        assert len(ids) == len(names)
        # Else nothing was tried here.
        assert ready & sharing or all(map(is_of_libuuid, ids))


def named_as_sharing(product: Product) -> set[str]:
    """The users of whom the log says that Cyrus gave them one id for two mailboxes."""
    named = re.findall(r"^CRITICAL Cyrus at .*? (to .*): they share", product.log(), re.MULTILINE)
    return {user for words in named for user in re.findall(r"user/(user\d-\d)", words)}

"""Cyrus may give two mailboxes one id, and then they are one: no user is taken for whole whose mailboxes share theirs.

Debian's Cyrus (3.6 to 3.12) does so where it chooses a partition or tells its free space. One that is built with
libuuid does not, and passes as well.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from autocreate.errors import Temporary
from autocreate.mailstore.cyrus import Cyrus as Store
from autocreate.murder.placement import Placement
from autocreate.tree.plan import difference
from autocreate.tree.values import Folder, Tree
from tests.contract.script_stores import server_of
from tests.servers.cyrus import Cyrus

WANTED = Tree((Folder(), Folder(("Sent",))))
USERS = [f"user{number}" for number in range(8)]


@pytest.fixture
def chooses() -> Iterator[Cyrus]:
    """It has partitions, and no default one."""
    with Cyrus(imapd_conf={"defaultpartition": None}) as cyrus:
        yield cyrus


@pytest.fixture
def usual() -> Iterator[Cyrus]:
    with Cyrus() as cyrus:
        yield cyrus


def store_of(cyrus: Cyrus) -> contextlib.closing[Store]:
    return contextlib.closing(Store(server_of(cyrus), len(USERS)))


def make_at_once(store: Store) -> list[str]:
    """Creates a tree for each of USERS at the same time. Returns those that are whole and may get mail."""
    ready = threading.Barrier(len(USERS))

    def make(user: str) -> bool:
        ready.wait()
        return not store.apply(difference(user, "everyone", WANTED, Tree())).failed

    with ThreadPoolExecutor(len(USERS)) as threads:
        made = list(threads.map(make, USERS))
    return [
        user for user, is_made in zip(USERS, made, strict=True) if is_made and exists(store, user)
    ]


def exists(store: Store, user: str) -> bool:
    try:
        return store.exists(user)
    except Temporary:
        return False


def ids(cyrus: Cyrus, users: list[str]) -> list[str]:
    names = [f"user/{user}{folder}" for user in users for folder in ("", "/Sent")]
    return [cyrus.unique_id(name) for name in names]


def test_users_who_got_one_mailbox_for_two_are_deferred(chooses: Cyrus) -> None:
    with store_of(chooses) as store:
        whole = make_at_once(store)
        found = ids(chooses, whole)
        assert len(set(found)) == len(found)
        for user in set(USERS) - set(whole):
            with pytest.raises(Temporary, match="share their files"):
                store.exists(user)


def test_where_cyrus_need_not_choose_every_mailbox_has_an_id_of_its_own(usual: Cyrus) -> None:
    with store_of(usual) as store:
        assert make_at_once(store) == USERS
        assert len(set(ids(usual, USERS))) == 2 * len(USERS)


def test_a_backend_that_told_its_free_space_gives_every_mailbox_its_own_id(usual: Cyrus) -> None:
    """Sessions that had asked for it in the same second would not."""
    with store_of(usual) as store:
        placement = Placement("freest", {"b1": store}, lambda: ())
        with ThreadPoolExecutor(len(USERS)) as threads:
            chosen = list(threads.map(lambda _: placement.choose(None).server, USERS))
        assert chosen == ["b1"] * len(USERS)
        assert make_at_once(store) == USERS
        assert len(set(ids(usual, USERS))) == 2 * len(USERS)

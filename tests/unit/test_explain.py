"""What is explained where something cannot be told. What a whole explanation looks like, the integration tests say."""

from __future__ import annotations

from pathlib import Path

from autocreate.admin.explain import Option, Site, users_of
from autocreate.errors import Temporary
from autocreate.model import Recipient

from .house import EVERYONE, House


def site(house: House) -> Site:
    return Site([house.accounts], [EVERYONE], house.store, "", lambda _: [Option("a, line 1", "x")])


def test_a_source_that_cannot_tell_is_told_and_ends_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    house.accounts.doubt = True
    verdict = house.service.preview(Recipient("<joe@example.org>"))
    (user,) = users_of(verdict, site(house))
    assert [it.answer for it in user.sources] == ["cannot tell: the database is away"]
    assert user.policies == ()
    assert user.standing == ("no INBOX",)


def test_a_cyrus_that_cannot_tell_is_told_and_ends_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    house.store.failure = Temporary("Cyrus is away")
    verdict = house.service.preview(Recipient("<joe@example.org>"))
    (user,) = users_of(verdict, site(house))
    assert [look.counts for look in user.policies] == [True]
    assert user.options == (Option("a, line 1", "x"),)
    assert user.tree == ("create INBOX", "create Sent")
    assert user.standing == ("cannot tell: Cyrus is away",)


def test_what_is_explained_is_not_done(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    users_of(house.service.preview(Recipient("<joe@example.org>")), site(house))
    assert house.store.trees == {}
    assert house.journal.due(float("inf"), 10) == []

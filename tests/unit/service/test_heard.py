"""What a service forgets when it hears from another MTA, and what it tells the others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from autocreate.accounts.cached import CachedSource, Limits
from autocreate.model import Answer
from autocreate.service.message import Kind, Message
from autocreate.service.news import News
from autocreate.tree.values import Folder, Tree
from tests.servers.common import wait_until
from tests.unit.channel import Bus
from tests.unit.house import Accounts, House


class Site:
    """A service that hears what `other` tells."""

    def __init__(self, folder: Path) -> None:
        bus = Bus()
        self.accounts = Accounts({})
        self.source = CachedSource(self.accounts, Limits(300.0, 300.0, 300.0, 100))
        self.house = House(folder, source=self.source)
        self.house.journal.news = News(bus.channel(), "this")
        self.house.service.follow_news()
        self.other = News(bus.channel(), "other")
        self.heard: list[Message] = []
        self.other.listen(self.heard.append, lambda: None)
        for news in (self.other, self.house.journal.news):
            wait_until(partial(_is_up, news), 5.0, "a channel")

    def tell(self, kind: Kind, user: str | None) -> None:
        """Tell the service, and wait until it has heard."""
        before = (self.house.journal.news.snapshot() or {})["received"]
        self.other.tell(kind, user)
        self.other.tell(Kind.DELETED, "the last")
        wait_until(
            lambda: (self.house.journal.news.snapshot() or {})["received"] == before + 2,
            5.0,
            "the message",
        )

    def answer(self, user: str) -> Answer:
        return self.house.answer(f"{user}@example.org")

    def exists(self, *users: str) -> None:
        """These users have an account and a mailbox, and the service knows it."""
        for user in users:
            self.accounts.users[user] = frozenset()
            self.house.store.trees[user] = Tree((Folder(),))
            assert self.answer(user) is Answer.ACCEPT
            assert user in self.house.mailboxes


def _is_up(news: News) -> bool:
    return (news.snapshot() or {})["state"]["up"] is True


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.other.close()
    made.house.service.close()


def test_a_user_whom_another_has_created_is_looked_up_again_and_no_other_one(site: Site) -> None:
    assert [site.answer(user) for user in ("joe", "ann")] == [Answer.UNKNOWN] * 2
    for user in ("joe", "ann"):
        site.accounts.users[user] = frozenset()
    assert site.answer("joe") is Answer.UNKNOWN
    site.tell(Kind.CREATED, "joe")
    assert [site.answer(user) for user in ("joe", "ann")] == [Answer.ACCEPT, Answer.UNKNOWN]


def test_that_a_user_was_created_elsewhere_is_not_believed(site: Site) -> None:
    site.tell(Kind.CREATED, "joe")
    assert "joe" not in site.house.mailboxes
    assert site.answer("joe") is Answer.UNKNOWN


def test_a_mailbox_that_another_says_is_gone_is_looked_for_again(site: Site) -> None:
    site.exists("joe", "ann")
    site.tell(Kind.DELETED, "joe")
    assert "joe" not in site.house.mailboxes
    assert "ann" in site.house.mailboxes


@pytest.mark.parametrize(("user", "left"), [(None, []), ("joe", ["ann"])])
def test_caches_that_another_has_cleared_are_cleared(
    site: Site, user: str | None, left: list[str]
) -> None:
    site.exists("joe", "ann")
    site.tell(Kind.CLEARED, user)
    assert [it for it in ("joe", "ann") if it in site.house.mailboxes] == left


def test_others_hear_of_mailboxes_that_are_gone_and_of_caches_that_are_cleared(site: Site) -> None:
    service = site.house.service
    service.invalidate_accounts("silent")  # what is heard is not told again
    service.invalidate_user("silent")
    service.invalidate("joe")
    service.invalidate_everywhere("ann")
    service.invalidate_everywhere()
    wait_until(lambda: len(site.heard) == 3, 5.0, "three messages")
    assert site.heard == [
        Message(Kind.DELETED, "joe", "this"),
        Message(Kind.CLEARED, "ann", "this"),
        Message(Kind.CLEARED, None, "this"),
    ]

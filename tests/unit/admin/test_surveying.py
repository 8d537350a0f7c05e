"""Accounts and mailboxes where the server does not list every mailbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from autocreate.admin.selection import Selection
from autocreate.admin.survey import Survey
from autocreate.admin.surveying import survey_accounts
from autocreate.core.naming import Users
from autocreate.errors import Refused
from tests.unit.admin.site import INBOX, components
from tests.unit.house import House


def test_with_virtual_domains_a_mailbox_that_is_not_listed_is_looked_for(tmp_path: Path) -> None:
    users = Users(True, "example.org")
    house = House(tmp_path, users=users, accounts={"joe": (), "joe@other.test": (), "a b": ()})
    house.store.trees = {"joe": INBOX, "joe@other.test": INBOX}
    listed = house.store.users

    def without_joe() -> Iterator[str]:
        return (user for user in listed() if user != "joe")

    exists = house.store.exists

    def impossible(user: str) -> bool:
        if user == "a b":
            raise Refused("no mailbox can have this name")
        return exists(user)

    house.store.users = without_joe  # type: ignore[method-assign]
    house.store.exists = impossible  # type: ignore[method-assign]
    with Survey() as survey:
        survey_accounts(survey, components(house, users), Selection())
        assert list(survey.with_both()) == ["joe", "joe@other.test"]
        assert list(survey.without_mailbox()) == ["a b"]

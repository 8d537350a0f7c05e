"""What of a plan waits for what: a user's work for the folders that it needs, and for no others."""

from __future__ import annotations

import pytest

from autocreate.mailstore.cyrus_tree import split
from autocreate.tree.actions import CreateMailbox, SetAcl, Subscribe, SubscribeShared
from autocreate.tree.base import Action
from autocreate.tree.plan import Plan

INBOX, SENT, TRASH = CreateMailbox(()), CreateMailbox(("Sent",)), CreateMailbox(("Trash",))
HIDDEN = SetAcl(("Sent",), "joe", "r")


@pytest.mark.parametrize(
    ("users", "folders", "rest"),
    [
        ((Subscribe(("Sent",)),), (SENT, HIDDEN), (TRASH,)),
        ((Subscribe(("Trash",)),), (SENT, HIDDEN, TRASH), ()),
        ((Subscribe(()), SubscribeShared("News")), (), (SENT, HIDDEN, TRASH)),
        ((), (SENT, HIDDEN, TRASH), ()),
    ],
    ids=["some", "all", "none", "nobody waits"],
)
def test_folders_that_the_users_work_needs_come_before_the_rest(
    users: tuple[Action, ...], folders: tuple[Action, ...], rest: tuple[Action, ...]
) -> None:
    parts = split(Plan("joe", "everyone", (INBOX, SENT, HIDDEN, TRASH, *users)))
    assert (tuple(parts.folders), tuple(parts.rest)) == (folders, rest)
    assert (tuple(parts.essential), tuple(parts.users)) == ((INBOX,), users)

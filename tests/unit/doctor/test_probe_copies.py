"""Recipients of Postfix's copies: those of ours need a mailbox."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from autocreate.doctor import probe_copies
from autocreate.doctor.postconf import Postfix, Service
from autocreate.doctor.site import Recipients, Tools
from autocreate.errors import Unreachable
from tests.unit.doctor.examples import OURS
from tests.unit.doctor.sites import Postconf, recipients, tools

CLEANUP = Service("cleanup", "unix", False, "cleanup")
USERS = {
    "archive@example.org": ["ann", "joe"],
    "copy@example.org": ["copy"],
}


def found(parameters: dict[str, str], given: Tools | None = None) -> list[str]:
    postfix = Postfix({"myorigin": "example.org", **parameters}, (CLEANUP,))
    given = given or tools(recipients=lambda: recipients(USERS, {"ann"}))
    return [it.what for it in probe_copies.examine(postfix, Path("/etc/postfix"), OURS, given)]


def test_each_user_without_a_mailbox_behind_an_address_is_critical() -> None:
    assert found({"always_bcc": "archive@example.org"}) == [
        "main.cf: always_bcc has archive@example.org, and joe has no mailbox"
    ]


def test_a_name_without_a_domain_gets_the_origin() -> None:
    assert found({"always_bcc": "copy"}) == [
        "main.cf: always_bcc has copy, and copy has no mailbox"
    ]


def test_recipients_in_other_domains_are_not_looked_up() -> None:
    assert found({"always_bcc": "archive@elsewhere.test"}) == []


def test_a_map_is_listed_by_postmap_and_one_that_cannot_be_is_a_warning() -> None:
    run = Postconf({"hash:/etc/bcc": "x@example.org\tcopy@example.org\ny@z\tfar@elsewhere.test\n"})
    given = tools(run=run, recipients=lambda: recipients(USERS, set()))
    maps = {"recipient_bcc_maps": "hash:/etc/bcc", "sender_bcc_maps": "regexp:/etc/re"}
    assert found(maps, given) == [
        "main.cf: recipient_bcc_maps has copy@example.org, and copy has no mailbox",
        "main.cf: sender_bcc_maps = regexp:/etc/re, which postmap cannot list",
    ]
    assert run.commands[0] == ("postmap", "-c", "/etc/postfix", "-s", "hash:/etc/bcc")


def test_aliases_and_mailboxes_are_opened_only_for_copies() -> None:
    def unexpected() -> AbstractContextManager[Recipients]:
        raise AssertionError("nothing to look up")

    assert found({}, tools(recipients=unexpected)) == []


def test_where_aliases_or_cyrus_cannot_be_asked_the_maps_are_still_checked() -> None:
    """That they cannot be asked is another finding."""

    def closed() -> AbstractContextManager[Recipients]:
        raise Unreachable("db.test")

    def down(user: str) -> bool:
        raise Unreachable("Cyrus")

    copies = {"always_bcc": "archive@example.org", "sender_bcc_maps": "regexp:/etc/re"}
    unlisted = ["main.cf: sender_bcc_maps = regexp:/etc/re, which postmap cannot list"]
    assert found(copies, tools(recipients=closed)) == unlisted

    class Down:
        def __enter__(self) -> Recipients:
            return Recipients(USERS.__getitem__, down)

        def __exit__(self, *_error: object) -> None:
            pass

    assert found(copies, tools(recipients=Down)) == unlisted

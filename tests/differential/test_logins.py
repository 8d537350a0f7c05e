"""Create on login: what a login to native Cyrus leaves, and what the same login leaves through us."""

from __future__ import annotations

import contextlib
import poplib
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from autocreate.config import load
from autocreate.model import Login
from autocreate.wiring.service import build_service
from tests.differential.cases import FOLDERS, NEWS, SHARED, USES, VIRTUAL
from tests.differential.pair import Pair
from tests.servers.cyrus import Cyrus

QUOTA = {"autocreate_quota": "1000"}


@dataclass(frozen=True)
class Case:
    """An imapd.conf, who logs in by what, and who then has a mailbox."""

    options: Mapping[str, str]
    logins: tuple[tuple[str, str], ...] = (("imap", "joe"),)
    users: tuple[str, ...] = ("joe",)
    nobody: tuple[str, ...] = ()


CASES = {
    "an IMAP login, whatever mail may do": Case(
        {**QUOTA, **FOLDERS, **USES, **SHARED, "autocreate_post": "no"}
    ),
    "a POP3 login": Case({**QUOTA, **FOLDERS}, (("pop3", "joe"),)),
    "without a quota nothing": Case(
        {"autocreate_inbox_folders": "Sent"}, users=(), nobody=("joe",)
    ),
    "each service has users of its own": Case(
        {**QUOTA, "autocreate_users": "none", "imap_autocreate_users": "joe zoe"},
        (("imap", "joe"), ("imap", "ann"), ("pop3", "zoe")),
        nobody=("ann", "zoe"),
    ),
    "each service has folders of its own": Case(
        {
            **QUOTA,
            "autocreate_inbox_folders": "Sent",
            "pop3_autocreate_inbox_folders": "Other",
            "imap_autocreatequota": "5",
        },
        (("imap", "joe"), ("pop3", "zoe")),
        ("joe", "zoe"),
    ),
    "administrators get none": Case(
        {**QUOTA, "imap_admins": "cyrus ann", "proxyservers": "front"},
        (("imap", "ann"), ("imap", "front"), ("imap", "joe")),
        nobody=("ann", "front"),
    ),
    "the case of a login is folded": Case(QUOTA, (("pop3", "JOE"),)),
    "virtual domains": Case(
        {**QUOTA, **FOLDERS, **VIRTUAL, "unixhierarchysep": "no"},
        (("imap", "ann.lee@other.test"), ("imap", "joe@ex.test")),
        ("ann.lee@other.test", "joe"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_login_leaves_the_same(name: str) -> None:
    case = CASES[name]
    accounts = (*case.users, *case.nobody)
    with (
        Pair(
            case.options, accounts=accounts, shared=NEWS if "news" in str(case.options) else {}
        ) as pair,
        contextlib.closing(build_service(load(pair.product.config_file))) as service,
    ):
        for protocol, user in case.logins:
            log_in(pair.native, protocol, user)
            service.log_in(Login(user, protocol))
        native, ours = pair.standing()
    assert set(native.messages) == set(case.users)
    assert ours.mailboxes == native.mailboxes
    assert ours.subscriptions == native.subscriptions


def log_in(cyrus: Cyrus, protocol: str, user: str) -> None:
    """A first login; whether the mailbox can be opened is not the question."""
    if protocol == "imap":
        with cyrus.session(user):
            return
    cyrus.add_user(user.lower(), "secret")
    with contextlib.closing(poplib.POP3(cyrus.host, cyrus.pop3_port, timeout=20)) as client:
        client.user(user)
        with contextlib.suppress(poplib.error_proto):
            client.pass_("secret")

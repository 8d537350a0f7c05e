"""Whatever name we do not refuse, Cyrus makes exactly that one mailbox of it, and delivers to it."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocreate.core.naming import Mailboxes
from autocreate.errors import Refused
from autocreate.mailstore.imap import Session
from autocreate.mailstore.server import Server
from tests.servers.cyrus import Cyrus

from .lmtp import deliver

# Whatever IMAP, Cyrus or SQL could trip over, and some of everything else.
ALPHABET = st.one_of(
    st.sampled_from(string.ascii_lowercase + string.digits),
    st.sampled_from(string.punctuation + " \0\r\n\t\x7f"),
    st.characters(codec="utf-8"),
)
# User ids are lower case: Cyrus lowers recipients and logins.
USERS = st.text(ALPHABET, min_size=1, max_size=12).map(
    lambda text: "".join(c.lower() if c.isascii() else c for c in text)
)
# Local parts that need no quotes (RFC 5321), and no plus, since lmtpd takes what follows for a detail.
DELIVERABLE = re.compile(r"[a-z0-9#$'=_~-]+(\.[a-z0-9#$'=_~-]+)*")
SEPARATORS = {"/": True, ".": False}

bounded = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module", params=SEPARATORS, ids=["slash", "dot"])
def server(request: pytest.FixtureRequest) -> Iterator[Cyrus]:
    # A mailbox that is deleted twice in a second has one name in the DELETED namespace.
    options = {"delete_mode": "immediate"}
    with Cyrus(unixhierarchysep=SEPARATORS[request.param], imapd_conf=options) as made:
        yield made


def _session(server: Cyrus, user: str | None = None) -> Session:
    settings = Server(
        server.host, server.imap_port, "none", server.admin, server.admin_password, timeout=20.0
    )
    return Session(settings, user)


def _possible(names: Mailboxes, user: str, path: tuple[str, ...] = ()) -> str | None:
    try:
        return names.of_user(user, path)
    except Refused:
        return None


@bounded
@given(user=USERS)
def test_a_user_gets_exactly_its_own_inbox_and_its_mail(server: Cyrus, user: str) -> None:
    admin = _session(server)
    name = _possible(admin.mailboxes(), user)
    if name is None:
        admin.close()
        return
    before = server.mailboxes()
    assert admin.create(name, None, None) is not None
    admin.close()
    try:
        assert server.mailboxes() - before == {name}
        own = _session(server, user)
        assert own.exists("INBOX")
        own.close()
        if DELIVERABLE.fullmatch(user):
            deliver(server, user, "Subject: here\r\n\r\nhello\r\n")
            assert b"Subject: here" in server.messages(user)[0]
    finally:
        server.delete(name)


@bounded
@given(path=st.lists(st.text(ALPHABET, min_size=1, max_size=8), min_size=1, max_size=2).map(tuple))
def test_a_folder_is_made_with_exactly_its_own_name(server: Cyrus, path: tuple[str, ...]) -> None:
    admin = _session(server)
    admin.create(admin.mailboxes().of_user("owner"), None, None)
    name = _possible(admin.mailboxes(), "owner", path)
    if name is None:
        admin.close()
        return
    before = server.mailboxes()
    try:
        assert admin.create(name, None, None) is not None
        own = _session(server, "owner")
        own_name = own.mailboxes().as_user(path)
        own.subscribe(own_name)
        assert own_name in own.subscriptions()
        own.close()
        parents = {admin.mailboxes().of_user("owner", path[:depth]) for depth in range(len(path))}
        assert server.mailboxes() - before == {name} | (parents - before)
    finally:
        server.delete(admin.mailboxes().of_user("owner"))
        admin.close()


@pytest.mark.parametrize("user", ["x" * 80, "a.b", "~", "#1", "o'brien", "x=y", "a b", "$(x)"])
def test_an_owner_of_an_odd_name_can_log_in(server: Cyrus, user: str) -> None:
    admin = _session(server)
    admin.create(admin.mailboxes().of_user(user), None, None)
    own = _session(server, user)
    assert own.exists("INBOX")
    own.close()
    server.delete(admin.mailboxes().of_user(user))
    admin.close()


@pytest.mark.parametrize("user", ["x" * 81, "jörg", "a&b", "a:b", "a*b", "a?b", " a"])
def test_an_owner_whose_name_we_refuse_could_never_log_in(server: Cyrus, user: str) -> None:
    admin = _session(server)
    assert _possible(admin.mailboxes(), user) is None
    admin.create(f"user{admin.mailboxes().separator}{user}", None, None)
    with pytest.raises(Refused, match="does not let"):
        _session(server, user)
    admin.close()

"""The administrator subscribes users and looks at their trees, and whatever goes wrong with that, the tree is whole."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import pytest

from autocreate.errors import Temporary
from autocreate.mailstore.cyrus import Cyrus as Store
from autocreate.mailstore.sieve.managesieve import ManageSieve
from autocreate.tree.plan import ApplyResult, difference
from autocreate.tree.values import Folder, Quota, Script, Tree, Welcome
from tests.contract.script_stores import server_of
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.relay import Relay
from tests.servers.sieve import kept

_numbers = itertools.count()

SCRIPT = Script("default.sieve", b"# kept\nkeep;\n")
WANTED = Tree(
    (
        Folder(),
        Folder(("Sent",), "\\Sent", subscribe=True),
        Folder(("Entwürfe",), "\\Drafts", subscribe=True, acl=(("anyone", "p"),)),
        Folder(("Lists", "a.b"), subscribe=True),
    ),
    Quota(5000),
    ("News",),
    SCRIPT,
)


@dataclass
class Site:
    """A Cyrus behind two relays, and a store that knows how users name their folders."""

    cyrus: Cyrus
    imap: Relay
    sieve: Relay
    store: Store

    def make(self, user: str, wanted: Tree = WANTED) -> ApplyResult:
        observed = self.store.observe(user, wanted) if self.store.exists(user) else Tree()
        return self.store.apply(difference(user, "everyone", wanted, observed))

    def finishes(self, user: str) -> bool:
        """As the journal has it tried again."""
        try:
            return self.make(user).failed == ()
        except Temporary:
            return False

    def is_whole(self, user: str) -> bool:
        """Does all exist, asked over connections of the users' own?"""
        scripts = ManageSieve(server_of(self.cyrus, self.cyrus.sieve_port))
        store = Store(server_of(self.cyrus), 1, scripts, replication=False)
        with contextlib.closing(store):
            missing = difference(user, "everyone", WANTED, store.observe(user, WANTED)).actions
        assert missing == ()
        assert self.cyrus.scripts(user) == {SCRIPT.name: (kept(SCRIPT.text), True)}
        return True

    def commands(self, since: int = 0) -> list[bytes]:
        """What the administrator's connections were told, by name."""
        words = re.sub(rb"\{(\d+)\+?\}\r\n", b"", self.imap.written[since:])
        return re.findall(rb"^[A-Z]+\d+ ([A-Z]+(?: [A-Z_]+(?= ))?)", words, re.MULTILINE)


@pytest.fixture(scope="module")
def server() -> Iterator[Cyrus]:
    with Cyrus() as cyrus:
        for name, rights in {"News": "lrs", "Staff": "", "Board": "lrs"}.items():
            cyrus.create(name)
            cyrus.set_acl(name, "anyone", f'"{rights}"')
        yield cyrus


@pytest.fixture
def site(server: Cyrus) -> Iterator[Site]:
    with Relay(server.imap_port) as imap, Relay(server.sieve_port) as sieve:
        scripts = ManageSieve(server_of(server, sieve.port, timeout=2.0))
        store = Store(server_of(server, imap.port, timeout=2.0), 1, scripts)
        with contextlib.closing(store):
            made = Site(server, imap, sieve, store)
            # The first user's own session tells how users name their folders.
            made.make(f"first-{next(_numbers)}", Tree((Folder(subscribe=True),)))
            assert imap.connections == 2
            imap.connections = 0
            yield made


def test_a_new_user_needs_no_session_of_its_own(site: Site) -> None:
    report = site.make("ann.lee")
    assert (report.failed, report.skipped) == ((), ())
    assert (site.imap.connections, site.sieve.connections) == (0, 1)
    assert site.is_whole("ann.lee")


def test_what_does_not_depend_on_each_other_goes_out_at_once(site: Site) -> None:
    site.make("bob")
    before = len(site.imap.written)
    site.make("ben")
    assert site.commands(before) == [
        b"MYRIGHTS", b"CREATE", b"SETQUOTA", b"GETQUOTAROOT",
        b"CREATE", b"CREATE", b"SETACL", b"CREATE", *[b"GETACL"] * 4,
        *[b"SYNCAPPLY SUB"] * 4,
    ]  # fmt: skip


@pytest.mark.parametrize("replication", [True, False])
def test_subscriptions_do_not_wait_for_folders_that_they_do_not_need(
    site: Site, replication: bool
) -> None:
    """They are made over another connection, while the server does not say that those folders exist."""
    sent = Folder(("Sent",), "\\Sent", subscribe=True)
    wanted = Tree((Folder(), sent, Folder(("Trash",)), Folder(("Trash", "Old"))))
    user = f"sid-{replication}".lower()
    server = server_of(site.cyrus, site.imap.port)
    with (
        contextlib.closing(Store(server, 2, replication=replication)) as store,
        ThreadPoolExecutor(1) as threads,
    ):
        first = Tree((Folder(subscribe=True),))
        store.apply(difference(f"first-{next(_numbers)}", "", first, Tree()))
        site.imap.hold(b'/Trash"')
        before = len(site.imap.written)
        made = threads.submit(store.apply, difference(user, "", wanted, Tree()))

        def told() -> str:
            return str(made.result()) if made.done() else "it is still at work"

        def is_subscribed() -> bool:
            last = b"SYNCAPPLY SUB" if replication else b"LOGOUT"
            tag = re.search(rb"(\w+) " + last, site.imap.written[before:])
            return tag is not None and tag[1] + b" OK" in site.imap.said

        # Cyrus loses a subscription while another session of the user's looks at the list for the first time.
        wait_until(is_subscribed, 30, "the end of its work", told)
        assert f"user/{user}/Trash" not in site.cyrus.mailboxes(f"user/{user}/*")
        site.imap.resume()
        report = made.result(timeout=60)
    assert (report.failed, report.skipped) == ((), ())
    assert f"user/{user}/Trash/Old" in site.cyrus.mailboxes(f"user/{user}/*")
    assert site.cyrus.subscriptions(user) == {"INBOX/Sent"}


def test_a_look_at_a_tree_is_one_write(site: Site) -> None:
    site.make("cat")
    before = len(site.imap.written)
    site.sieve.connections = 0
    assert difference("cat", "", WANTED, site.store.observe("cat", WANTED)).actions == ()
    assert site.commands(before) == [b"GETQUOTA", b"SYNCGET META", b"SYNCGET MAILBOXES"]
    assert (site.imap.connections, site.sieve.connections) == (0, 0)


@pytest.mark.parametrize("name", ["Staff", "Board", "Gone", "*"])
def test_only_the_users_own_eyes_tell_who_may_see_a_folder(site: Site, name: str) -> None:
    """By groups, by what somebody is denied, or by its absence: only what anyone may see is certain."""
    number = next(_numbers)
    joe, zoe = f"joe-{number}", f"zoe-{number}"
    site.cyrus.set_acl("Board", f"-{joe}", "l")
    site.cyrus.set_acl("Staff", zoe, "lrs")
    for user in (joe, zoe):
        site.make(user, Tree((Folder(),), shared=(name,)))
    assert site.imap.connections >= 1
    assert not {"Staff", "Board"} & site.cyrus.subscriptions(joe)
    if name in ("Staff", "*"):
        assert "Staff" in site.cyrus.subscriptions(zoe)


def test_a_subscription_made_by_the_administrator_is_the_users_own(site: Site) -> None:
    """Even where the folder was there before, and the user has subscriptions already."""
    site.cyrus.create("user/eve")
    site.cyrus.create("user/eve/Sent")
    with site.cyrus.session("eve") as imap:
        assert imap.subscribe("INBOX")[0] == "OK"
    site.make("eve", Tree((Folder(), Folder(("Sent",), subscribe=True))))
    assert site.imap.connections == 1  # LSUB: there is no script, and so no SYNCGET META
    assert site.cyrus.subscriptions("eve") == {"INBOX", "INBOX/Sent"}


@pytest.mark.parametrize("command", [b"SYNCGET", b"SYNCAPPLY"])
def test_a_server_that_does_not_take_it_is_served_as_before(
    site: Site, command: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """As if nothing had been offered, which is logged once."""
    site.imap.altered = (command, b"X" + command[1:])
    user = command.decode().lower()
    for number in range(2):
        report = site.make(f"{user}-{number}")
        assert (report.failed, report.skipped) == ((), ())
        assert site.is_whole(f"{user}-{number}")
        assert site.make(f"{user}-{number}").plan.actions == ()
    asked = [it for it in site.commands() if it.startswith(command)]
    assert len(asked) == (2 if command == b"SYNCGET" else 4)  # in the one write
    warnings = [it.message for it in caplog.records if it.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "does not take them" in warnings[0]


@pytest.mark.parametrize("is_noticed", [True, False], ids=["before", "in the middle"])
def test_a_server_that_stops_offering_it_is_served_as_before(site: Site, is_noticed: bool) -> None:
    """As after a downgrade, or with another server at its address."""
    user = f"less-{is_noticed}".lower()
    site.make(f"before-{user}")
    assert b"SYNCAPPLY SUB" in site.commands()
    site.imap.altered = (b"X-REPLICATION", b"Y-REPLICATION")
    before = len(site.imap.written)
    if is_noticed:
        site.imap.drop()
    else:
        with ThreadPoolExecutor(1) as threads:
            site.imap.pause_before(b"GETACL")
            made = threads.submit(site.make, user)
            wait_until(lambda: site.imap.is_paused, 30, "the look")
            site.imap.drop()
            site.imap.resume()
            assert made.result(timeout=60).usable
        before = len(site.imap.written)
    wait_until(lambda: site.finishes(user), 30, "the plan")
    assert not any(it.startswith(b"SYNC") for it in site.commands(before))
    assert site.is_whole(user)


def test_a_welcome_message_comes_by_the_users_own_session_which_subscribes_too(site: Site) -> None:
    message = b"From: postmaster@ex.test\r\nSubject: Welcome\r\n\r\nHello\r\n"
    wanted = replace(WANTED, welcome=Welcome(message, "welcome.eml"))
    before = len(site.imap.written)
    report = site.make("dan", wanted)
    assert (report.failed, report.skipped) == ((), ())
    assert (site.imap.connections, site.sieve.connections) == (1, 1)
    assert b"SYNCAPPLY SUB" not in site.commands(before)
    assert site.is_whole("dan")
    assert len(site.cyrus.messages("dan")) == 1


def test_annotations_beside_subscriptions(site: Site) -> None:
    """Shared ones go out with the folders. The user's own need the user's session, which subscribes too."""
    sent = Folder(("Sent",), "\\Sent", subscribe=True, annotations=(("/shared/comment", "ours"),))
    before = len(site.imap.written)
    assert site.make("may", Tree((Folder(), sent))).failed == ()
    assert site.commands(before)[2:] == [
        b"CREATE", b"SETMETADATA", b"GETACL", b"SYNCAPPLY SUB",
    ]  # fmt: skip
    assert site.imap.connections == 0
    both = replace(sent, annotations=(*sent.annotations, ("/private/comment", "mine")))
    wanted = Tree((Folder(), both))
    before = len(site.imap.written)
    assert site.make("mia", wanted).failed == ()
    assert b"SYNCAPPLY SUB" not in site.commands(before)
    assert difference("mia", "", wanted, site.store.observe("mia", wanted)).actions == ()


def test_two_who_make_one_users_tree_at_once_make_one_tree(site: Site) -> None:
    """As two hosts do that share no journal."""
    with contextlib.closing(
        Store(server_of(site.cyrus), 2, ManageSieve(server_of(site.cyrus, site.cyrus.sieve_port)))
    ) as other:
        first = f"first-{next(_numbers)}"
        other.apply(difference(first, "", Tree((Folder(subscribe=True),)), Tree()))
        for number in range(10):
            user = f"twins-{number}"
            plan = difference(user, "everyone", WANTED, Tree())
            with ThreadPoolExecutor(2) as hosts:
                made = [hosts.submit(store.apply, plan) for store in (site.store, other)]
                results = [it.result(timeout=60) for it in made]
                assert all(it.usable for it in results), results
            wait_until(partial(site.finishes, user), 30, "the rest of the plan")
            assert site.is_whole(user)


@pytest.mark.parametrize("command", [b"GETACL", b"SYNCAPPLY"])
def test_a_connection_that_is_cut_in_the_middle_loses_nothing(site: Site, command: bytes) -> None:
    user = f"cut-{command.decode().lower()}"
    with ThreadPoolExecutor(1) as threads:
        site.imap.pause_before(command)
        made = threads.submit(site.make, user)
        wait_until(lambda: site.imap.is_paused, 30, "the command")
        site.cyrus.kill_busy()
        site.imap.resume()
        report = made.result(timeout=60)
    assert report.usable
    wait_until(lambda: site.finishes(user), 30, "the rest of the plan")
    assert site.is_whole(user)


@pytest.mark.parametrize("size", [0, 20, 60])
def test_an_answer_that_is_missed_loses_nothing(site: Site, size: int) -> None:
    """The server says so many bytes to the last write of all, and no more."""
    user = f"missed-{size}"
    with ThreadPoolExecutor(1) as threads:
        site.imap.pause_before(b"SYNCAPPLY")
        made = threads.submit(site.make, user)
        wait_until(lambda: site.imap.is_paused, 30, "the command")
        site.imap.resume()
        site.imap.pause_after(size)
        report = made.result(timeout=60)
        site.imap.resume()
    assert report.usable
    wait_until(lambda: site.finishes(user), 30, "the rest of the plan")
    assert site.is_whole(user)

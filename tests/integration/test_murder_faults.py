"""A Cyrus Murder whose servers are away, behind, or busy with something else: no false answer, and no mail is lost."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.integration.conftest import TEMPORARY, WHOLE_TREE
from tests.integration.load import load
from tests.integration.murder import Site, site
from tests.servers import imapwords
from tests.servers.common import wait_until
from tests.servers.murder import Member, Murder

_WAYS = {"stopped": ("stop", "start"), "silent": ("pause", "resume")}


@contextlib.contextmanager
def away(what: Any, how: str) -> Iterator[None]:
    """A server, or the network to it, is stopped or silent meanwhile; it comes back even if the test fails."""
    go, come_back = _WAYS[how]
    getattr(what, go)()
    try:
        yield
    finally:
        getattr(what, come_back)()


@pytest.fixture(scope="module")
def own() -> Iterator[Murder]:
    """A Murder whose servers the tests of this module may stop. Each leaves all of them running."""
    with Murder() as servers:
        yield servers


@pytest.fixture
def here(own: Murder) -> Iterator[Site]:
    """Users `warm` and `known` have a mailbox; only `warm` is remembered by the milter. `guest` gets none."""
    with site(own) as begun:
        for user in ("known", "known2"):
            own.backends[0].create(f"user/{begun.name(user)}")
        begun.add("warm", "known", "known2", "new", "new2", "later")
        begun.add("guest", groups=["guests"])
        own.wait_until_in_step()
        assert begun.codes("warm") == [250]
        yield begun


HOW = pytest.mark.parametrize("how", ["stopped", "silent"])


@HOW
def test_the_master_is_away(own: Murder, here: Site, how: str) -> None:
    with away(own.master, how):
        assert here.rcpt("new", "guest") == [TEMPORARY, TEMPORARY]
        assert here.codes("warm", "known", "nobody") == [250, 250, 550]
        wait_until(
            lambda: here.status()["mupdate-stream"].startswith("DOWN since"),
            30.0,
            "a broken stream",
        )
        assert here.status()["cyrus.murder.mupdate"].startswith("DOWN since")
        begun = time.monotonic()
        assert here.rcpt("new2", "guest") == [TEMPORARY, TEMPORARY]
        assert here.codes("known2") == [250]
        assert time.monotonic() - begun < 12.0  # two deadlines
    here.accepted("new")
    here.wait_for_messages("new")
    assert here.codes("guest") == [550]
    here.wait_for_tree("new")


@HOW
def test_the_frontend_is_away(own: Murder, here: Site, how: str) -> None:
    with away(own.frontends[0], how):
        assert here.rcpt("new") == [TEMPORARY]
        assert here.codes("warm", "nobody") == [250, 550]
    here.accepted("new")
    here.wait_for_messages("new")


@HOW
def test_a_backend_is_away(own: Murder, here: Site, how: str) -> None:
    with away(own.backends[0], how):
        # Known ones are accepted, and the MTA keeps their mail until the backend is back.
        assert here.deliver("known") == 250
        assert here.codes("warm", "nobody") == [250, 550]
        assert here.codes("new")[0] in (250, 451)
    here.accepted("new", "later")
    for user in ("new", "later"):
        here.wait_for_messages(user)
        here.wait_for_tree(user)
    here.wait_until_delivered()
    here.wait_for_messages("known")


def test_the_network_between_a_frontend_and_the_master_is_cut(own: Murder, here: Site) -> None:
    """The milter reaches the master; the frontend does not, and learns of nothing new."""
    with away(own.network, "silent"):
        own.backends[0].create(f"user/{here.name('elsewhere')}")
        here.add("elsewhere")
        assert here.rcpt("new", "elsewhere") == [TEMPORARY, TEMPORARY]
        assert here.codes("warm", "known", "nobody", "guest") == [250, 250, 550, 550]
    for user in ("new", "elsewhere"):
        here.accepted(user)
        here.wait_for_messages(user)
        here.owner(user)
    here.wait_for_tree("new")


def test_a_mailbox_that_is_deleted_anywhere_is_forgotten_within_seconds(
    own: Murder, here: Site
) -> None:
    product = here.product
    product.wait_for_log("MUPDATE stream: in step with the master")
    here.accepted("new")
    assert here.status()["mupdate-stream"].startswith("up since")
    here.owner("new").delete(f"user/{here.name('new')}")
    wait_until(
        lambda: here.deliver("new") == 250 and own.home(here.name("new")), 20.0, "a new INBOX"
    )
    with away(own.master, "stopped"):
        product.wait_for_log("MUPDATE stream broken, caches expire as without it")
        assert here.codes("new", "warm") == [250, 250]
    wait_until(
        lambda: product.log().count("MUPDATE stream: in step") == 2, 60.0, "the stream again"
    )
    assert here.status()["mupdate-stream"].startswith("up since")


# -- under load --------------------------------------------------------------------------------

# Who has a mailbox at first, and gets mail all the time.
KNOWN = [f"old{number}" for number in range(4)]


class Traffic:
    """Deliveries of several sessions at once: to a new user every time, and to known ones in between."""

    def __init__(self, here: Site) -> None:
        self._here = here
        self._lock = threading.Lock()
        self.replies: Counter[int] = Counter()
        self.accepted: Counter[str] = Counter()

    def session(self, number: int) -> str:
        is_new = number % 4 == 0
        user = f"load{number}" if is_new else KNOWN[number % len(KNOWN)]
        if is_new:
            self._here.add(user)
        code = self._here.deliver(user)
        with self._lock:
            self.replies[code] += 1
            self.accepted[user] += code == 250
        return str(code)

    def wait_for_replies(self, count: int) -> None:
        """So many replies, of any code, from now on."""
        self._wait(self.replies.total, count, "replies")

    def wait_for_new_users(self, count: int) -> None:
        """So many more users get their mailbox and mail."""

        def users() -> int:
            with self._lock:
                return len(+self.accepted)

        self._wait(users, count, "new users")

    def _wait(self, current: Callable[[], int], count: int, what: str) -> None:
        before = current()
        wait_until(lambda: current() >= before + count, 60.0, f"{count} {what}", self._log)

    def _log(self) -> str:
        return f"{self.replies}\n{self._here.product.log()[-4000:]}"


EVENTS = [
    *(("master", "stopped"), ("master", "silent")),
    *(("frontend", "stopped"), ("frontend", "silent")),
    *(("backend", "stopped"), ("other backend", "silent")),
    ("network", "silent"),
]


def _what(own: Murder, name: str) -> Any:
    return {
        "master": own.master,
        "frontend": own.frontends[0],
        "backend": own.backends[0],
        "other backend": own.backends[1],
        "network": own.network,
    }[name]


@pytest.mark.timeout(900)
def test_every_server_goes_away_under_load_and_comes_back(own: Murder) -> None:
    """Nobody who exists gets 550, nothing bounces that was accepted, and each user has one whole tree in the end."""
    own.wait_until_in_step()
    with site(own) as here:
        here.add(*KNOWN)
        here.accepted(*KNOWN)
        traffic = Traffic(here)
        with load(traffic.session, threads=3):
            for name, how in EVENTS:
                with away(_what(own, name), how):
                    traffic.wait_for_replies(8)
                traffic.wait_for_new_users(3)
        assert set(traffic.replies) <= {250, 451}
        assert {250, 451} <= set(traffic.replies)
        own.wait_until_in_step()
        here.wait_until_delivered()
        here.finish()
        trees = {it.host: it.mailboxes("user/*") for it in own.backends}
        for user, count in (+traffic.accepted).items():
            mailbox = f"user/{here.name(user)}"
            (found,) = (names for names in trees.values() if mailbox in names)
            assert {mailbox + it for it in WHOLE_TREE} <= found
            # No fewer: after a server was killed amid a delivery the MTA delivers once more.
            here.wait_for_messages(user, count + (user in KNOWN))


# -- moves -------------------------------------------------------------------------------------


def _xfer(own: Murder, frontend: Member, user: str, home: str, other: str) -> None:
    own.backend(home).move(f"user/{user}", other)


def _rename(own: Murder, frontend: Member, user: str, home: str, other: str) -> None:
    with frontend.admin_session() as imap:
        name = imapwords.quote(f"user/{user}")
        status, said = imap.xatom("RENAME", name, name, other)
        assert status == "OK", said


@pytest.mark.parametrize("move", [_xfer, _rename], ids=["XFER", "RENAME"])
def test_a_user_is_moved_while_mail_comes_in(
    own: Murder, here: Site, move: Callable[[Murder, Member, str, str, str], None]
) -> None:
    """Moved away once: a user who is moved back under load has two copies (Cyrus 3.6, without us too)."""
    own.wait_until_in_step()
    here.add("mover")
    here.accepted("mover")
    here.wait_for_tree("mover")
    user, (home,) = here.name("mover"), own.home(here.name("mover"))
    (other,) = (it.host for it in own.backends if it.host != home)
    over = threading.Event()
    codes: list[int] = []

    def deliveries() -> None:
        while not over.is_set() or len(codes) < 10:
            codes.append(here.deliver("mover"))

    with ThreadPoolExecutor(1) as pool:
        mail = pool.submit(deliveries)
        try:
            move(own, own.frontends[0], user, home, other)
        finally:
            over.set()
        mail.result()
    assert set(codes) <= {250, 451}
    here.wait_until_delivered()
    here.wait_for_messages("mover", 1 + codes.count(250))
    here.wait_for_tree("mover")
    assert own.home(user) == [other]
    log = here.product.log()
    assert log.count(f"{user}: mailbox created") == 1, log


def test_64_sessions_at_two_frontends_race_for_one_user(own: Murder) -> None:
    own.wait_until_in_step()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(site(own))
        second = stack.enter_context(site(own, frontend=1, suffix=first.suffix))
        for here in (first, second):
            here.add("racer")
        together = threading.Barrier(64)

        def session(number: int) -> int:
            here = (first, second)[number % 2]
            together.wait(60.0)
            return here.codes("racer")[0]

        with ThreadPoolExecutor(64) as pool:
            codes = set(pool.map(session, range(64)))
        assert codes <= {250, 451}
        for here in (first, second):
            here.accepted("racer")
            here.wait_for_tree("racer")
            here.wait_until_delivered()
        first.wait_for_messages("racer", 2)

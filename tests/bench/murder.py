"""A Cyrus Murder: questions about mailboxes, the first delivery, and all names at once.

Questions and names are those of a Murder with 100,000 users, whose names stand in the MUPDATE master's list and in the
frontends' copies of it; there are no mailboxes behind them. Its files are in memory, so that the disk does not count.
The first delivery is that of `first`, on disk, against one server by the same program.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from autocreate.mailstore import cyrus as mailstore
from autocreate.mailstore.server import Server
from autocreate.murder.frontend import Frontend
from autocreate.murder.master import Master
from autocreate.murder.names import stored_inbox
from autocreate.murder.wire import Mupdate, MupdateServer
from tests.bench import first
from tests.bench.contest import Contestant, Effort, Result, in_turn
from tests.bench.evidence import Evidence, evidence
from tests.bench.memory import resident
from tests.servers.common import fresh_folder, wait_until
from tests.servers.murder import ADMIN, ADMIN_PASSWORD, MUPDATE, Member, Murder
from tests.servers.postfix import Postfix
from tests.servers.product import Product

USERS = 100_000
QUESTIONS = 400  # a measurement
DELIVERIES = 20
IN_MEMORY = Path("/dev/shm")

# What a Murder may cost. A question to the master is no dearer than one to the frontend; the list is no slower than
# LIST; and the stream's names are not kept.
FIND_TARGET = 1.0
UPDATE_TARGET = 1.0
MEMORY_TARGET = 0.9


def run(effort: Effort) -> list[Result]:
    """Measures a Murder of few users on disk, then one of many in memory."""
    users = effort.of(USERS)
    results = list(_first_delivery(effort))
    with Murder(base=IN_MEMORY) as murder:
        few = _memory(murder)
        _fill(murder, users)
        results += _questions(murder, users, effort)
        results += _names(murder, users, effort)
        what = f"the milter's memory with {users:,} names, to few"
        results.append(Result(what, "MiB", [_memory(murder)], [few], True, MEMORY_TARGET))
    return results


# -- the first delivery ------------------------------------------------------------------------


def _first_delivery(effort: Effort) -> Iterator[Result]:
    numbers = count()
    many = effort.of(DELIVERIES)
    with fresh_folder("bench") as folder, first.our_site(folder) as one, _ours(folder) as murder:
        sites = {"murder": murder, "one": one}
        values = in_turn(
            {name: first.proved(site, site.serial, numbers, many) for name, site in sites.items()},
            effort.rounds,
        )
    yield Result("first delivery, to one server", "ms", values["murder"], values["one"], True)


class _Site(first.Site):
    """A Postfix before a frontend, which learns of new folders some seconds later."""

    def __init__(
        self,
        postfix: Postfix,
        frontend: Member,
        announce: Callable[[list[str]], None],
        proof: Evidence,
        murder: Murder,
    ) -> None:
        super().__init__(postfix, frontend, announce, proof)
        self._murder = murder

    @contextlib.contextmanager
    def creates(self, users: list[str]) -> Iterator[None]:
        with super().creates(users):
            yield
            self._murder.wait_until_in_step()


@contextlib.contextmanager
def _ours(folder: Path) -> Iterator[_Site]:
    """A Murder with our milter."""
    policy = {**first.POLICY, "sieve": first.script(folder)}
    with Murder() as murder:
        frontend = murder.frontends[0]
        settings = {"cyrus": {"murder": murder.section()}}
        with Product(frontend, policies=[policy], settings=settings) as product:
            product.start()
            lmtp = (frontend.host, frontend.lmtp_port)
            with (
                Postfix(milter=product.socket, lmtp=lmtp) as postfix,
                evidence(product) as proof,
            ):

                def announce(users: list[str]) -> None:
                    for user in users:
                        product.add_account(user)

                yield _Site(postfix, frontend, announce, proof, murder)


# -- questions ---------------------------------------------------------------------------------


def _questions(murder: Murder, users: int, effort: Effort) -> Iterator[Result]:
    """Is there such a user? FIND at the master and at the frontend, MYRIGHTS at the frontend."""
    asked = effort.of(QUESTIONS)
    with (
        contextlib.closing(Master(_master(murder), 1)) as master,
        contextlib.closing(_frontend(murder)) as frontend,
    ):
        ways: dict[str, Callable[[str], bool]] = {
            "FIND": lambda user: master.find(user) is not None,
            "MYRIGHTS": frontend.knows,
            "the frontend's list": lambda user: frontend.lists(user) is not None,
        }
        for exists, who in ((True, "who exists"), (False, "who does not exist")):
            values = in_turn(
                {name: _asked(ask, exists, users, asked) for name, ask in ways.items()},
                effort.rounds,
            )
            for ours, theirs, target in (
                ("FIND", "MYRIGHTS", FIND_TARGET),
                ("the frontend's list", "MYRIGHTS", None),
            ):
                what = f"a user {who}: {ours}, to {theirs}"
                yield Result(what, "ms", values[ours], values[theirs], True, target)


def _asked(ask: Callable[[str], bool], exists: bool, users: int, many: int) -> Contestant:
    """Milliseconds a question."""

    def measure() -> float:
        begin = 0 if exists else users
        names = [_user(begin + random.randrange(users)) for _ in range(many)]
        begun = time.perf_counter()
        answers = [ask(name) for name in names]
        seconds = time.perf_counter() - begun
        assert answers == [exists] * many
        return seconds * 1000 / many

    return measure


# -- all names ---------------------------------------------------------------------------------


def _names(murder: Murder, users: int, effort: Effort) -> Iterator[Result]:
    """UPDATE at the master, against LIST at the frontend."""
    with (
        contextlib.closing(Master(_master(murder), 1)) as master,
        contextlib.closing(mailstore.Cyrus(_server(murder.frontends[0]), 1)) as frontend,
    ):
        values = in_turn(
            {
                "UPDATE": _listed(lambda: (it.user for it in master.inboxes()), users),
                "LIST": _listed(frontend.users, users),
            },
            effort.rounds,
        )
    what = f"{users:,} names by UPDATE, to LIST at a frontend"
    yield Result(what, "names/s", values["UPDATE"], values["LIST"], target=UPDATE_TARGET)


def _listed(names: Callable[[], Iterator[str]], users: int) -> Contestant:
    """Names a second. All of them must come, each once."""

    def measure() -> float:
        begun = time.perf_counter()
        found = list(names())
        seconds = time.perf_counter() - begun
        ours = [it for it in found if it.startswith("user")]
        assert len(ours) == len(set(ours)) == users, len(ours)
        return len(found) / seconds

    return measure


def _memory(murder: Murder) -> float:
    """MiB of a milter that is in step with the master."""
    with Product(murder.frontends[0], settings={"cyrus": {"murder": murder.section()}}) as product:
        product.start()
        product.wait_for_log("MUPDATE stream: in step with the master", 60.0)
        return resident(product.pid)


def _fill(murder: Murder, users: int) -> None:
    """Names at the two backends by turns, as these would tell the master (RFC 3656, section 4.2)."""
    with contextlib.closing(Activator(_master(murder))) as master:
        hosts = [it.host for it in murder.backends]
        for number in range(users):
            master.activate(_user(number), hosts[number % 2])
    last = f"user/{_user(users - 1)}"
    for frontend in murder.frontends:
        wait_until(partial(frontend.knows, last), 120.0, "the names", murder.log, pause=0.5)


class Activator(Mupdate):
    """Writes to the master's list, which the program never does."""

    def activate(self, user: str, server: str) -> None:
        """ACTIVATE: a user's INBOX, at a server."""
        acl = f"{user}\tlrswipkxtecdan\t"
        strings = (stored_inbox(user), f"{server}!default", acl)
        self._command("ACTIVATE", *(it.encode() for it in strings))


def _master(murder: Murder) -> MupdateServer:
    return MupdateServer(
        murder.master.host, MUPDATE, "none", ADMIN, ADMIN_PASSWORD, None, timeout=30.0
    )


def _frontend(murder: Murder) -> Frontend:
    server = _server(murder.frontends[0])
    slave = MupdateServer(
        *(server.host, MUPDATE, "none", server.admin, server.password, None, 30.0), is_slave=True
    )
    return Frontend(server, 1, Master(slave, 1))


def _server(member: Member) -> Server:
    return Server(
        member.host, member.imap_port, "none", member.admin, member.admin_password, None, 30.0
    )


def _user(number: int) -> str:
    return f"user{number:07}"

"""Tries the servers of a Cyrus Murder as this program uses them. Nothing is changed."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from autocreate.doctor import probe_cyrus
from autocreate.doctor.findings import Finding, critical, warning
from autocreate.errors import AutocreateError
from autocreate.mailstore.imap import FREE_SPACE, Session
from autocreate.mailstore.mailbox_ids import is_of_libuuid
from autocreate.mailstore.server import Server
from autocreate.murder.master import Master
from autocreate.murder.names import Entry
from autocreate.murder.placement import Rule
from autocreate.murder.wire import Mupdate, MupdateServer

_SECTION = "autocreate.toml: write [cyrus.murder]; see docs/murder.md"
_NOT_A_FRONTEND = "users of other backends are neither found nor given a mailbox"
_DEFERRED = "users without a known mailbox are deferred (451)"
# How many users of the master's list the frontend is asked about.
_SAMPLE = 20


class Backend(NamedTuple):
    """A backend, and its ManageSieve; None if it installs no scripts."""

    server: Server
    sieve: Server | None


class MurderTarget(NamedTuple):
    """[cyrus.murder] of autocreate.toml: the master, the frontend's slave, the backends by their names, and `place`."""

    master: MupdateServer
    slave: MupdateServer
    backends: Mapping[str, Backend]
    place: Rule = "random"


def examine(
    frontend: Server,
    murder: MurderTarget | None,
    partitioned: Sequence[str],
    clock: Callable[[], float],
) -> Iterator[Finding]:
    """Check what is peculiar to a Murder.

    Args:
        frontend: [cyrus] host. That it lets us in is checked elsewhere.
        murder: None if autocreate.toml has no [cyrus.murder].
        partitioned: the policies that name a partition for INBOX.
    """
    with contextlib.suppress(AutocreateError), contextlib.closing(Session(frontend)) as session:
        if murder is not None:
            yield from _kind(session, frontend, murder)
        elif session.is_in_murder:
            yield from _without_section(session, frontend, partitioned)
    if murder is None:
        return
    try:
        Mupdate(murder.slave).close()
    except AutocreateError as error:
        yield critical(
            str(error),
            "nobody knows which users the frontend knows, and all whom the milter does not remember are "
            "deferred (451)",
            "cyrus.conf of the frontend: a service that runs mupdate and listens where this machine "
            "reaches it; autocreate.toml: [cyrus.murder] port and tls",
        )
    for backend in murder.backends.values():
        yield from probe_cyrus.examine(backend.server, backend.sieve, clock)
    try:
        with contextlib.closing(Master(murder.master, 1)) as master:
            entries = list(master.inboxes())
    except AutocreateError as error:
        yield critical(
            str(error),
            _DEFERRED,
            "autocreate.toml: [cyrus.murder] mupdate, port, tls, admin and password_file, as the "
            "master's cyrus.conf and imapd.conf have them",
        )
        return
    yield from _unknown_backends(entries, murder)
    yield from _disagreement(entries, frontend)
    if murder.place in ("frontend", "freest"):
        yield from _ids(entries, murder)


def _without_section(
    session: Session, frontend: Server, partitioned: Sequence[str]
) -> Iterator[Finding]:
    yield warning(
        f"{frontend} is a member of a Murder (it offers MUPDATE=)",
        "users with create = false get 451 instead of 550, what is done for users of a backend that is "
        "away is lost, and users may get one mailbox for two unless serverlist_select_mode is random "
        "(docs/mailbox-ids.md)",
        _SECTION,
    )
    if partitioned and session.metadata("", FREE_SPACE) is None:
        yield critical(
            f"policy {partitioned[0]!r} has a partition and no server, and {frontend} is a frontend",
            "CREATE with a partition alone ends the imapd of a frontend (Cyrus 3.6): its users get no "
            "mailbox, and their mail is deferred (451)",
            _SECTION,
        )


def _kind(session: Session, frontend: Server, murder: MurderTarget) -> Iterator[Finding]:
    if not session.is_in_murder:
        yield critical(
            f"{frontend} is no member of a Murder (it does not offer MUPDATE=)",
            "mailboxes are created where the MUPDATE master does not know them",
            "autocreate.toml: a frontend into cyrus.host; or imapd.conf there: mupdate_server",
        )
    elif names := [
        name for name, backend in murder.backends.items() if backend.server.host == frontend.host
    ]:
        yield critical(
            f"cyrus.host {frontend.host} is the backend {names[0]!r}",
            _NOT_A_FRONTEND,
            "autocreate.toml: the frontend to which the MTA delivers into cyrus.host",
        )
    elif session.metadata("", FREE_SPACE) is not None:  # a frontend has no space of its own
        yield critical(
            f"{frontend} works as a backend",
            _NOT_A_FRONTEND,
            "if it is a frontend, its imapd.conf must not have proxyservers; if it is a backend, "
            "autocreate.toml: the frontend to which the MTA delivers into cyrus.host",
        )


def _unknown_backends(entries: list[Entry], murder: MurderTarget) -> Iterator[Finding]:
    """A frontend with `proxyservers` shows here, too: it keeps mailboxes as if it were a backend."""
    for server in sorted({entry.server for entry in entries} - set(murder.backends)):
        users = [entry.user for entry in entries if entry.server == server]
        yield critical(
            f"the MUPDATE master has {len(users):,} users at {server!r} (such as {users[0]}), which is "
            "not among cyrus.murder.backends",
            "nothing can be made or completed for them",
            f"autocreate.toml: {server!r} into cyrus.murder.backends; if it is a frontend, its "
            "imapd.conf must not have proxyservers",
        )


def _ids(entries: list[Entry], murder: MurderTarget) -> Iterator[Finding]:
    """Does a backend make ids from the time, and tell its free space as `place` has it?"""
    for entry in entries:
        if backend := murder.backends.get(entry.server):
            try:
                with contextlib.closing(Session(backend.server)) as session:
                    unique_id = session.unique_id(session.mailboxes().of_user(entry.user))
            except AutocreateError:
                return  # said elsewhere
            if is_of_libuuid(unique_id):
                return
            others = "; or imapd.conf of every frontend: serverlist_select_mode: random"
            yield warning(
                f"cyrus.murder.place is {murder.place!r}, and Cyrus is built without libuuid (the id of "
                f"{entry.user}'s INBOX is {unique_id})",
                "users who get their mailboxes at the same time may get one for two"
                + (
                    ", unless the frontends choose at random"
                    if murder.place == "frontend"
                    else " where several MTAs ask for the free space"
                ),
                'autocreate.toml: cyrus.murder.place = "random"; see docs/mailbox-ids.md'
                + (others if murder.place == "frontend" else ""),
            )
            return


def _disagreement(entries: list[Entry], frontend: Server) -> Iterator[Finding]:
    """The frontend's list may be behind for seconds: it is asked so that it catches up first."""
    try:
        with contextlib.closing(Session(frontend)) as session:
            names = session.mailboxes()
            missing = [
                entry.user
                for entry in islice(entries, _SAMPLE)
                if not session.exists(names.of_user(entry.user))
            ]
    except AutocreateError:
        return  # said elsewhere
    if missing:
        yield critical(
            f"{frontend} does not know {missing[0]}, whom the MUPDATE master has"
            + (f", nor {len(missing) - 1} others" if missing[1:] else ""),
            "their mail is deferred (451)",
            "see whether mupdate runs on the frontend and reaches the master, and Cyrus's log there",
        )

"""A frontend, as a Murder's store asks it: what its own list has, what it knows, and to create an INBOX."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from autocreate.core.naming import Mailboxes
from autocreate.errors import Refused, Temporary
from autocreate.mailstore.imap import Session
from autocreate.mailstore.server import Server
from autocreate.model import Version
from autocreate.murder.master import Master
from autocreate.murder.names import Entry
from autocreate.resilience.breaker import Breaker
from autocreate.resilience.pool import Pool
from autocreate.tree.values import ALL_SHARED

T = TypeVar("T")


class Frontend:
    """A frontend. Questions that it passes on to the master may hang; they hold up no others.

    Args:
        connections: how many may be open at once, for each kind of question.
        own_list: its MUPDATE slave. IMAP asks the master for a name that is not in the list, and LIST walks through
            all users' names.
    """

    def __init__(self, server: Server, connections: int, own_list: Master) -> None:
        self._list = own_list
        self._server = server
        self._local = _Kind(server, connections, "")
        self._passed_on = _Kind(server, connections, " (questions that need the MUPDATE master)")
        self._names: Mailboxes | None = None

    def __str__(self) -> str:
        return str(self._server)

    def lists(self, user: str) -> Entry | None:
        """What its own list has of the user's INBOX. What it has may be seconds old, what it has not older."""
        return self._list.find(user)

    def knows(self, user: str) -> bool:
        """Does it know INBOX, once it has asked the master for what is new? As its lmtpd does at RCPT."""
        return self._passed_on.ask(lambda it: it.exists(self._inbox(it, user)))

    def create(
        self, user: str, special_use: str | None, server: str | None, partition: str | None
    ) -> str | None:
        """CREATE INBOX. Returns its id, as `Session.create` does; None if it existed already.

        Args:
            server: the backend; None for one of the frontend's `serverlist`. Always with a partition: CREATE
                with a partition alone ends the imapd of a frontend (measured with 3.6).
        """
        assert server or not partition

        def work(session: Session) -> str | None:
            return session.create(self._inbox(session, user), special_use, partition, server)

        return self._passed_on.ask(work)

    def shared(self, user: str, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The shared folders that names in `Tree.shared` mean, of all backends, as far as the user sees them.

        A backend would know its own only.
        """
        session = self._local.call(lambda: Session(self._server, user))
        try:
            own = session.mailboxes()
            return {name: tuple(_seen(session, own, name)) for name in names}
        except Temporary:
            session.discard()
            raise
        finally:
            session.close()

    def version(self) -> Version:
        """See `MailStore.version`."""
        return self._local.ask(lambda it: it.version())

    def snapshot(self) -> dict[str, Any]:
        """See `MailStore.snapshot`. It is down if one kind of question is not answered."""
        counts = [kind.pool.snapshot() for kind in (self._local, self._passed_on)]
        healths = (self._list.health, self._local.health, self._passed_on.health)
        health = min(healths, key=lambda it: _GRAVITY[it.is_up])
        return {
            **{key: sum(it[key] for it in counts) for key in counts[0]},
            "state": health.snapshot(),
        }

    def close(self) -> None:
        """End every connection."""
        self._list.close()
        self._local.pool.close()
        self._passed_on.pool.close()

    def _inbox(self, session: Session, user: str) -> str:
        if self._names is None:
            self._names = session.mailboxes()
        return self._names.of_user(user)


def _seen(session: Session, own: Mailboxes, name: str) -> Iterator[str]:
    """What a user sees of a name in `Tree.shared`."""
    if name == ALL_SHARED:
        yield from filter(None, map(own.as_shared, session.mailboxes_below(own.shared)))
        return
    try:
        is_there = bool(list(session.selectable(own.shared_as_user(name))))
    except Refused:
        is_there = True  # no server can have it, and the backend says why
    if is_there:
        yield name


# Which state of two tells more: down, then up, then not asked.
_GRAVITY = {False: 0, True: 1, None: 2}


class _Kind:
    """A kind of question: its own connections, and its own failures."""

    def __init__(self, server: Server, connections: int, name: str) -> None:
        self.pool: Pool[Session] = Pool(partial(Session, server), connections, server.timeout)
        self._breaker = Breaker(f"{server}{name}")
        self.health = self._breaker.health

    def ask(self, work: Callable[[Session], T]) -> T:
        return self.call(lambda: self.pool.run(work))

    def call(self, work: Callable[[], T]) -> T:
        """Work that needs no connection of the pool."""
        return self._breaker.call(work)

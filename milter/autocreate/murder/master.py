"""A MUPDATE server, asked over pooled connections: the master, or the slave of a frontend."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from autocreate.murder.names import Entry, State, stored_inbox
from autocreate.murder.wire import Mupdate, MupdateServer
from autocreate.resilience.breaker import Breaker
from autocreate.resilience.pool import Pool


class Master:
    """What a MUPDATE server knows. Safe to call from several threads at once.

    Args:
        connections: how many may be open at once, besides those that list or follow all names.
    """

    def __init__(self, server: MupdateServer, connections: int) -> None:
        self._server = server
        self._breaker = Breaker(str(server))
        self.health = self._breaker.health
        self._pool: Pool[Mupdate] = Pool(partial(Mupdate, server), connections, server.timeout)

    def find(self, user: str) -> Entry | None:
        """What it knows of a user's INBOX; None if it does not know it.

        Raises:
            Temporary: it cannot be asked.
            Refused: nobody of that name can have a mailbox.
        """
        name = stored_inbox(user)
        return self._breaker.call(lambda: self._pool.run(lambda session: session.find(name)))

    def inboxes(self) -> Iterator[Entry]:
        """The INBOX of every user, as they come in.

        Raises:
            Temporary: it did not say, or not to the end.
        """
        # A connection of its own: after UPDATE it is good for nothing else.
        session = self._breaker.call(lambda: Mupdate(self._server))
        try:
            for entry in session.listed():
                if entry.state is State.ACTIVE and entry.user:
                    yield entry
        finally:
            session.discard()

    def connect(self) -> Mupdate:
        """A connection of the caller's own.

        Raises:
            Temporary: it cannot be reached.
        """
        return Mupdate(self._server)

    def snapshot(self) -> dict[str, Any]:
        """See `MailStore.snapshot`."""
        return {**self._pool.snapshot(), "state": self.health.snapshot()}

    def close(self) -> None:
        """End every connection."""
        self._pool.close()

    def __str__(self) -> str:
        return str(self._server)

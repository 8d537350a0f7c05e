"""Sessions with one Cyrus: the administrator's are kept in a pool, a user's own lasts for a task.

Also what is learnt once about the server: how names are written, and whether it takes replication commands.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from autocreate.core.naming import Mailboxes, require_possible
from autocreate.errors import Refused, Temporary
from autocreate.mailstore.cyrus_tree import User
from autocreate.mailstore.imap import Session
from autocreate.mailstore.mailbox_ids import MailboxIds
from autocreate.mailstore.replication import NotTaken, is_offered
from autocreate.mailstore.server import Server
from autocreate.resilience.breaker import Breaker
from autocreate.resilience.pool import Pool

T = TypeVar("T")

log = logging.getLogger(__name__)


class Sessions:
    """Sessions with a server. Used from several threads at once.

    Args:
        server: where it is.
        connections: how many administrator sessions may be open at once.
        replication: use Cyrus's replication commands where the server offers them.
        ids: of the mailboxes that are created.

    Raises, from every method that opens a session:
        Temporary: the server cannot be reached.
    """

    def __init__(
        self, server: Server, connections: int, replication: bool, ids: MailboxIds
    ) -> None:
        self._server = server
        self._breaker = Breaker(str(server))
        self._pool: Pool[Session] = Pool(self._log_in, connections, server.timeout)
        self._replication = replication
        self.ids = ids
        self._names: Mailboxes | None = None
        self.is_offered = False
        """Are there replication commands, by what the administrator's latest session was told?"""
        self.users_names: Mailboxes | None = None
        """How users name mailboxes: the prefixes are the same for all. None until the first session of one."""

    def __str__(self) -> str:
        return str(self._server)

    def administer(self, work: Callable[[Session], T]) -> T:
        """Work in a session of the administrator's. See `Pool.run`."""
        return self._breaker.call(lambda: self._pool.run(work))

    def aside(self) -> Session:
        """A session of the administrator's outside the pool. The caller ends it."""
        return self._breaker.call(lambda: Session(self._server))

    @contextlib.contextmanager
    def of_user(self, user: str) -> Iterator[User]:
        """A session in a user's own name.

        Raises:
            Refused: Cyrus can have no such user.
        """
        require_possible(user)  # SASL would log somebody else in for some user ids
        session = self._breaker.call(lambda: Session(self._server, user))
        try:
            if self.users_names is None:
                self.users_names = session.mailboxes()
            yield User(session, self.users_names, user)
        except Temporary:
            session.discard()
            raise
        finally:
            session.close()

    def names(self, session: Session) -> Mailboxes:
        """How the administrator names mailboxes."""
        # Asked once: changing a server's separator means restarting it and us.
        if self._names is None:
            self._names = session.mailboxes()
        return self._names

    def takes_replication(self, session: Session) -> bool:
        """Are replication commands for this session?"""
        return self._replication and is_offered(session)

    def replication_refused(self, user: str, refusal: Refused) -> None:
        """Log why something is not done by replication commands; never use them again if that would not help."""
        if isinstance(refusal, NotTaken) and self._replication:
            self._replication = self.is_offered = False
            log.warning(
                "%s offers its replication commands, but does not take them (%s): they are not used any more",
                self._server,
                refusal,
            )
        else:
            log.info("%s: not by replication commands: %s", user, refusal)

    def snapshot(self) -> dict[str, Any]:
        """The administrators' connections: see `MailStore.snapshot`."""
        return {**self._pool.snapshot(), "state": self._breaker.health.snapshot()}

    def close(self) -> None:
        """End the administrator's sessions."""
        self._pool.close()

    def _log_in(self) -> Session:
        session = Session(self._server)
        try:
            self.is_offered = self.takes_replication(session)
        except BaseException:
            session.discard()
            raise
        return session

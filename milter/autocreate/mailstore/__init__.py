"""Mail stores: where mailboxes stand. Cyrus over IMAP, and one in memory for tests and the like."""

from typing import Protocol

from autocreate.model import Plan, Report, Tree


class MailStore(Protocol):
    """The only way to mailboxes. It creates and looks; there is no delete in it.

    Stores are called from several threads at once.
    """

    def exists(self, user: str) -> bool:
        """Does the user's INBOX stand? One command, whose cost does not grow with the server.

        Raises:
            Temporary: the store did not say.
            Refused: no mailbox here can belong to a user of that name.
        """

    def observe(self, user: str, wanted: Tree) -> Tree:
        """As much of `wanted` as stands for `user`, as it stands.

        Only folders named in `wanted` are looked at, since listing would cost as much as the
        server has mailboxes.

        Raises:
            Temporary, Refused: as for `exists`.
        """

    def apply(self, plan: Plan) -> Report:
        """Carry out a plan. What stands already counts as done.

        Errors end up in the report, each with its action; nothing is raised for them.
        """

    def close(self) -> None:
        """End every connection. The store is not used afterwards."""

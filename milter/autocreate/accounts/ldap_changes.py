"""Which accounts in an LDAP directory were changed: searched by time, or reported by the server (syncrepl)."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from autocreate.backends.ldap import DirectoryServer
from autocreate.backends.ldap_syncrepl import follow
from autocreate.backends.options import LdapOptions


class LdapChanges:
    """Accounts that a filter finds by the time of their last change.

    Args:
        server: the directory.
        filter: the one for a user, whose placeholders stand for anybody here.
        user_attribute: has the user id.
        changed_attribute: has the time of the last change, as GeneralizedTime (RFC 4517, 3.3.13).

    Raises:
        ConfigurationError: the password cannot be read.
    """

    def __init__(
        self, server: LdapOptions, *, filter: str, user_attribute: str, changed_attribute: str
    ) -> None:
        self._base = server.base
        self._scope = server.scope
        anyone = filter
        for placeholder in ("{user}", "{local}", "{domain}"):
            anyone = anyone.replace(placeholder, "*")
        self._anyone = anyone
        self._user_attribute = user_attribute
        self._changed_attribute = changed_attribute
        self._server = DirectoryServer(server)

    def since(self, moment: int) -> Iterator[str]:
        """The names of accounts that were changed at this time or later.

        Raises:
            Temporary: see `DirectoryServer.pages`.
        """
        pages = self._server.pages(
            self._base, self._scope, self._changed(moment), self._user_attribute
        )
        for entry in pages:
            yield from entry.values.get(self._user_attribute.lower(), ())[:1]

    def follow(
        self,
        moment: int,
        ready: Callable[[], None],
        told: Callable[[str], None],
        stopping: threading.Event,
    ) -> bool:
        """Have the server report accounts that were changed at a time or later, until told to stop.

        The search by time is kept open. So no state is kept on either side: what an earlier connection missed
        is searched by time.

        Args:
            ready: called when everything before now was reported.
            told: called with the name of each account.

        Returns:
            False if the server does not offer syncrepl (RFC 4533).

        Raises:
            Temporary: the server does not answer, or the connection is lost.
        """
        with closing(self._server.connect()) as connection:
            entries = follow(
                connection,
                self._base,
                self._scope,
                self._changed(moment),
                self._user_attribute,
                stopping,
            )
            for entry in entries:
                if entry is None:
                    ready()
                else:
                    for name in entry.values.get(self._user_attribute.lower(), ())[:1]:
                        told(name)
            return stopping.is_set()

    def close(self) -> None:
        """Close every connection."""
        self._server.close()

    def _changed(self, moment: int) -> str:
        # Active Directory takes no time without a fraction.
        text = time.strftime("%Y%m%d%H%M%S.0Z", time.gmtime(moment))
        return f"(&{self._anyone}({self._changed_attribute}>={text}))"

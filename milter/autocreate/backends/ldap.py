"""An LDAP directory on one or more servers, searched over pooled connections.

python-ldap has no connection pool.
"""

import re
from collections.abc import Iterator, Sequence

import ldap
import ldap.filter

from autocreate.backends.ldap_connection import Connection, Entry
from autocreate.backends.options import LdapOptions
from autocreate.backends.password_file import password
from autocreate.errors import ServerTimeout, Temporary, Unreachable
from autocreate.resilience.pool import Pool

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class DirectoryServer:
    """Searches over pooled connections. Safe to call from several threads at once.

    Args:
        options: of the directory.

    Raises:
        ConfigurationError: the password cannot be read.
    """

    def __init__(self, options: LdapOptions) -> None:
        self._options = options
        self._password = password(options.key, options.password_file)
        self._urls = options.urls  # the last that took a connection first
        self._pool: Pool[Connection] = Pool(self._connect, options.connections, options.timeout)

    def find_one(
        self, base: str, scope: str, filter_: str, attributes: Sequence[str]
    ) -> Entry | None:
        """The only entry that a filter finds, or None.

        An entry counts even if the server holds only part of `base` and refers to another one for the rest.

        Args:
            scope: "base", "one" or "sub".

        Raises:
            Unreachable: no server takes a connection; `ServerTimeout` if none answers.
            PoolExhausted: no connection became free in time.
            Temporary: the server cannot answer, or finds several entries.
        """
        found = self._pool.run(
            lambda it: it.search(base, scope, filter_, attributes, is_for_one=True)
        )
        return found[0] if found else None

    def find_all(
        self, base: str, scope: str, filter_: str, attributes: Sequence[str]
    ) -> list[Entry]:
        """All entries that a filter finds, and not only some of them.

        Raises:
            Unreachable, PoolExhausted: as `find_one` does.
            Temporary: the server cannot answer, or holds only part of `base`.
        """
        return self._pool.run(
            lambda it: it.search(base, scope, filter_, attributes, is_for_one=False)
        )

    def find_below(
        self, base: str, scope: str, filter_: str, attributes: Sequence[str]
    ) -> list[Entry]:
        """As `find_all`, for a base that an entry names: none if that base does not exist.

        Raises:
            Unreachable, PoolExhausted, Temporary: as `find_all` does.
        """
        try:
            return self.find_all(base, scope, filter_, attributes)
        except Temporary as error:
            if isinstance(error.__cause__, ldap.NO_SUCH_OBJECT):
                return []
            raise

    def pages(self, base: str, scope: str, filter_: str, attribute: str) -> Iterator[Entry]:
        """The entries that a filter finds, read page by page (RFC 2696) over one connection.

        Raises:
            Temporary: as `find_all` does.
        """
        connection = self.connect()
        try:
            yield from connection.pages(base, scope, filter_, attribute)
        finally:
            connection.close()

    def connect(self) -> Connection:
        """A connection of its own, outside the pool. The caller closes it.

        Raises:
            Unreachable: as `find_one` does.
        """
        return self._connect()

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    def _connect(self) -> Connection:
        """A connection to the first server that takes one; the last one that did is tried first."""
        errors = []
        for url in self._urls:
            try:
                connection = Connection(self._options, self._password, url)
            except Unreachable as error:
                errors.append(error)
                continue
            at = self._options.urls.index(url)
            self._urls = self._options.urls[at:] + self._options.urls[:at]
            return connection
        kind = (
            ServerTimeout
            if all(isinstance(error, ServerTimeout) for error in errors)
            else Unreachable
        )
        raise kind("; ".join(map(str, errors)))


def fill(template: str, **values: str) -> str:
    """A filter with its placeholders (`{user}`) replaced by escaped values (RFC 4515).

    Raises:
        KeyError: there is no value for a placeholder.
    """
    return _PLACEHOLDER.sub(
        lambda match: str(ldap.filter.escape_filter_chars(values[match[1]])), template
    )

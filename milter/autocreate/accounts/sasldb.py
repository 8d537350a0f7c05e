"""The users of Cyrus SASL's own database, sasldb2: a Berkeley DB hash.

A key is `user NUL realm NUL userPassword`, and the value is the password in plain text. Only keys are read,
never a value.
"""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from berkeleydb import db

from autocreate.accounts import account_of
from autocreate.backends.regular_file import require_regular
from autocreate.backends.reloading_file import is_settled, version
from autocreate.core.naming import Users
from autocreate.core.spelling import Spellings
from autocreate.errors import Temporary
from autocreate.model import Account

_PROPERTY = b"userPassword"


class SasldbSource:
    """Users who have a password in sasldb2.

    The file is opened for each lookup, because an open one does not see what others write.

    Args:
        name: what the configuration calls this source.
        users: how names become user ids.
        path: the database.
        realm: of user ids without `@`; None for this host's name, as in SASL. In other user ids the
            realm follows the `@`.
        clock: the time in seconds since the epoch.
    """

    has_groups = False

    def __init__(
        self,
        name: str,
        users: Users,
        *,
        path: Path,
        realm: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._path = path
        self._realm = realm or socket.gethostname()
        self._clock = clock
        self._users = users
        self._spellings: tuple[tuple[int, ...], Spellings] = ((), Spellings((), users))

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        if "\0" in user:
            return None  # it would make another key
        name, _, realm = user.partition("@")
        key = b"\0".join((_encoded(name), _encoded(realm or self._realm), _PROPERTY))
        try:
            before = require_regular(self._path.stat(), self._path)
            opened = self._open()
            try:
                names = (
                    [user]
                    if opened.exists(key)
                    else self._other_spellings(opened, version(before)).of(user)
                )
            finally:
                opened.close()
            after = self._path.stat()
        except (OSError, db.DBError) as error:
            raise self._unreadable(error) from error
        if names:
            try:
                return account_of(user, self.name, names, self._users)
            except Temporary as error:
                raise Temporary(f"{self._path} has {error}") from error
        # saslpasswd2(8) does not lock the file while it writes.
        if version(before) != version(after) or not is_settled(after.st_mtime, self._clock()):
            raise Temporary(
                f"{self._path} was changed less than 2 seconds ago and may be incomplete"
            )
        return None

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`. sasldb has none."""
        return frozenset()

    def names(self) -> Iterator[str]:
        """See `AccountSource.names`."""
        try:
            opened = self._open()
            try:
                names = self._names(opened)
            finally:
                opened.close()
        except (OSError, db.DBError) as error:
            raise self._unreadable(error) from error
        yield from names

    def close(self) -> None:
        """Nothing is open."""

    def _other_spellings(self, opened: db.DB, of: tuple[int, ...]) -> Spellings:
        """The names that Cyrus spells differently, read once for each version of the file."""
        known, spellings = self._spellings
        if known != of:
            spellings = Spellings(self._names(opened), self._users)
            self._spellings = (of, spellings)
        return spellings

    def _names(self, opened: db.DB) -> list[str]:
        names = []
        for key in _keys(opened):
            parts = key.split(b"\0")
            if len(parts) == 3 and parts[2] == _PROPERTY:
                user, realm = (part.decode("utf-8", "surrogateescape") for part in parts[:2])
                names.append(user if realm == self._realm else f"{user}@{realm}")
        return names

    def _open(self) -> db.DB:
        opened = db.DB()
        try:
            opened.open(str(self._path), dbtype=db.DB_UNKNOWN, flags=db.DB_RDONLY)
        except BaseException:
            opened.close()
            raise
        return opened

    def _unreadable(self, error: Exception) -> Temporary:
        reason = error.args[-1] if error.args else error
        return Temporary(
            f"{self._path} cannot be read: {reason}; it must be a Berkeley DB, and readable by "
            "this process (on Debian: run it in the group sasl)"
        )


def _keys(opened: db.DB) -> Iterator[bytes]:
    cursor = opened.cursor()
    try:
        while record := cursor.get(None, None, db.DB_NEXT, dlen=0, doff=0):  # no byte of a value
            yield record[0]
    finally:
        cursor.close()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

"""The users of this machine whose accounts are neither locked nor expired: passwd(5) and shadow(5).

Python 3.13 has no module for shadow(5), and the one of earlier releases turned errors into "no such user". So
this calls getspnam_r(3).
"""

import ctypes
import errno
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from autocreate.accounts.nss import NssSource, bytes_of, entry_of, text_of
from autocreate.core.naming import Users
from autocreate.errors import Temporary
from autocreate.model import Account

_DAY = 86400  # seconds


class _Spwd(ctypes.Structure):
    """struct spwd of <shadow.h>."""

    _fields_ = (
        ("sp_namp", ctypes.c_char_p),
        ("sp_pwdp", ctypes.c_char_p),
        ("sp_lstchg", ctypes.c_long),
        ("sp_min", ctypes.c_long),
        ("sp_max", ctypes.c_long),
        ("sp_warn", ctypes.c_long),
        ("sp_inact", ctypes.c_long),
        ("sp_expire", ctypes.c_long),
        ("sp_flag", ctypes.c_ulong),
    )


_libc = ctypes.CDLL(None)
_listing = threading.Lock()


class Ageing(NamedTuple):
    """The dates of an account in shadow(5), in days since 1970; -1 if it has none."""

    changed: int = -1
    longest: int = -1
    inactive: int = -1
    expires: int = -1

    def is_expired(self, today: int) -> bool:
        """Is the account expired, as pam_unix(8) decides it?"""
        if self.expires != -1 and today >= self.expires:
            return True
        if -1 in (self.changed, self.longest, self.inactive):
            return False
        return today - self.changed > self.longest + self.inactive


class ShadowSource(NssSource):
    """Users of passwd(5) whose account is neither locked nor expired.

    An account whose password begins with `!` is locked (passwd -l, usermod -L). A password of `*` cannot be
    used, as for users who log in with a key; such an account is not locked.

    Args:
        name, users, min_uid, max_uid, timeout: see `NssSource`.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        users: Users,
        *,
        min_uid: int,
        max_uid: int,
        timeout: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, users, min_uid=min_uid, max_uid=max_uid, timeout=timeout)
        self._clock = clock

    def names(self) -> Iterator[str] | None:
        """See `AccountSource.names`."""
        # The whole file is read once: a lookup of one user takes as long as reading all of it.
        listed = {text_of(entry.sp_namp): self._is_usable(entry) for entry in _entries()}
        users = [
            user
            for user in super().names() or ()
            if (listed[user] if user in listed else self.lookup(self._users.of_account(user)))
        ]
        return iter(users) if users else None

    def _account(self, user: str) -> Account | None:
        account = super()._account(user)
        if account is None:
            return None
        name = account.spellings[-1]
        found = entry_of(_libc.getspnam_r, bytes_of(name), _Spwd, "entries of shadow(5)")
        if found is None:
            raise Temporary(
                f"passwd(5) has {name!r} but shadow(5) has not, or this process may not read it: "
                "run it in the group shadow"
            )
        return account if self._is_usable(found) else None

    def _is_usable(self, entry: _Spwd) -> bool:
        """Is an account neither locked nor expired?"""
        ageing = Ageing(entry.sp_lstchg, entry.sp_max, entry.sp_inact, entry.sp_expire)
        is_locked = text_of(entry.sp_pwdp).startswith("!")
        return not is_locked and not ageing.is_expired(int(self._clock() // _DAY))


def _entries() -> Iterator[_Spwd]:
    """All entries of shadow(5), by getspent_r(3), whose position is one for the whole process."""

    def next_entry(_key: None, *places: Any) -> int:
        error: int = _libc.getspent_r(*places)
        return 0 if error == errno.ENOENT else error

    with _listing:
        _libc.setspent()
        try:
            while entry := entry_of(next_entry, None, _Spwd, "entries of shadow(5)"):
                yield entry
        finally:
            _libc.endspent()

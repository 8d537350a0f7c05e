"""The users of this machine whose accounts are neither locked nor expired: shadow(5) besides passwd(5).

Python 3.13 has no module for shadow(5) any more, and the one before it turned errors into "no such
user"; so getspnam_r(3) is asked itself.
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
    """What shadow(5) says of an account's time, in days since 1970; -1 where it says nothing."""

    changed: int = -1
    longest: int = -1
    inactive: int = -1
    expires: int = -1

    def is_over(self, today: int) -> bool:
        """Is nobody let in any more, as pam_unix(8) decides it?"""
        if self.expires != -1 and today >= self.expires:
            return True
        if -1 in (self.changed, self.longest, self.inactive):
            return False
        return today - self.changed > self.longest + self.inactive


class ShadowSource(NssSource):
    """Users of passwd(5) who could log in, or may by another way than a password.

    A password that begins with `!` is locked (passwd -l, usermod -L). One that is `*` merely cannot
    be used, as for users who have a key instead; such an account is in order.

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
        # One after the other: to look each up takes as long as reading the file takes, each time.
        listed = {text_of(entry.sp_namp): self._is_in_order(entry) for entry in _entries()}
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
                f"passwd(5) has {name!r} and shadow(5) has not, or this process may not read it: "
                "let it run in the group shadow"
            )
        return account if self._is_in_order(found) else None

    def _is_in_order(self, entry: _Spwd) -> bool:
        """Is an account neither locked nor expired?"""
        ageing = Ageing(entry.sp_lstchg, entry.sp_max, entry.sp_inact, entry.sp_expire)
        is_locked = text_of(entry.sp_pwdp).startswith("!")
        return not is_locked and not ageing.is_over(int(self._clock() // _DAY))


def _entries() -> Iterator[_Spwd]:
    """All of shadow(5) that can be listed, by getspent_r(3), of which a process has but one."""

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

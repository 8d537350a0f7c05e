"""The users of this machine, as the C library knows them: passwd(5), LDAP by SSSD, and the like.

Python's pwd.getpwnam turns an error of the system into KeyError, which would become a 550; so the
C library is asked itself, by getpwnam_r(3), which tells "no such user" from "cannot tell".
"""

import ctypes
import errno
import os
import pwd
from collections.abc import Callable, Iterator
from typing import Any

from autocreate.errors import Temporary
from autocreate.model import Account

_LONGEST_ENTRY = 1 << 20  # bytes; a group of 20,000 members takes about 200 KiB
_MOST_GROUPS = 1 << 16  # NGROUPS_MAX of Linux
_NO_GROUP = b"no group of this name"


class _Passwd(ctypes.Structure):
    """struct passwd of <pwd.h>."""

    _fields_ = (
        ("pw_name", ctypes.c_char_p),
        ("pw_passwd", ctypes.c_char_p),
        ("pw_uid", ctypes.c_uint32),
        ("pw_gid", ctypes.c_uint32),
        ("pw_gecos", ctypes.c_char_p),
        ("pw_dir", ctypes.c_char_p),
        ("pw_shell", ctypes.c_char_p),
    )


class _Group(ctypes.Structure):
    """struct group of <grp.h>."""

    _fields_ = (
        ("gr_name", ctypes.c_char_p),
        ("gr_passwd", ctypes.c_char_p),
        ("gr_gid", ctypes.c_uint32),
        ("gr_mem", ctypes.POINTER(ctypes.c_char_p)),
    )


_libc = ctypes.CDLL(None)
_libc.getgrouplist.argtypes = (
    ctypes.c_char_p,
    ctypes.c_uint32,
    ctypes.POINTER(ctypes.c_uint32),
    ctypes.POINTER(ctypes.c_int),
)


class NssSource:
    """Users by nsswitch.conf(5).

    Args:
        name: what the configuration calls this source.
        min_uid: users below it are the system's, and have no mailbox.
        max_uid: users above it have none either (nobody is 65534).
    """

    has_groups = True

    def __init__(self, name: str, min_uid: int = 1000, max_uid: int = 60000) -> None:
        self.name = name
        self._uids = range(min_uid, max_uid + 1)

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        found = self._passwd(user)
        if found is None:
            self._require_root()
            return None
        if found.pw_uid not in self._uids:
            return None
        answered = text_of(found.pw_name)
        if answered != user:
            raise Temporary(f"asked for {user!r}, the system answered {answered!r}")
        return Account(user, self.name)

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`; the primary group is among them."""
        found = self._passwd(account.user)
        if found is None:
            return frozenset()
        names = (self._group_name(number) for number in _group_numbers(account.user, found.pw_gid))
        groups = frozenset(name for name in names if name)
        self._require_answers()
        return groups

    def names(self) -> Iterator[str] | None:
        """See `AccountSource.names`. Databases such as SSSD's list nobody unless told to."""
        users = [user.pw_name for user in pwd.getpwall() if user.pw_uid in self._uids]
        return iter(users) if users else None

    def close(self) -> None:
        """Nothing is held open."""

    def _passwd(self, user: str) -> _Passwd | None:
        encoded = user.encode("utf-8", "surrogateescape")
        if b"\0" in encoded:
            return None  # C would read no further than that, and find somebody else
        found: _Passwd | None = entry_of(_libc.getpwnam_r, encoded, _Passwd, f"user {user!r}")
        return found

    def _require_root(self) -> None:
        """A passwd(5) that is empty or garbled knows nobody, and the C library calls that a no."""
        if entry_of(_libc.getpwuid_r, ctypes.c_uint32(0), _Passwd, "user 0") is None:
            raise Temporary("the system does not know user 0 (root): its user database is broken")

    def _require_answers(self) -> None:
        """See to it that the database of groups answers, or the last one of several.

        getgrouplist(3) passes over those that do not, and the user would be in fewer groups. For a
        group that is in none of them, getgrnam_r(3) asks them all, and tells the last one's error.
        """
        entry_of(_libc.getgrnam_r, _NO_GROUP, _Group, "groups")

    def _group_name(self, number: int) -> str:
        found = entry_of(_libc.getgrgid_r, ctypes.c_uint32(number), _Group, f"group {number}")
        return text_of(found.gr_name) if found else ""


def entry_of(function: Any, key: Any, kind: Callable[[], Any], what: str) -> Any:
    """Call a function like getpwnam_r(3): the entry, None if there is none, Temporary in doubt."""
    size = 4096
    while size <= _LONGEST_ENTRY:
        entry, strings, found = kind(), ctypes.create_string_buffer(size), ctypes.c_void_p()
        error = function(
            key, ctypes.byref(entry), strings, ctypes.c_size_t(size), ctypes.byref(found)
        )
        if error == 0:
            entry.strings = strings  # the entry points into it
            return entry if found else None
        if error == errno.ERANGE:
            size *= 4
        elif error != errno.EINTR:
            raise Temporary(f"the system cannot look up {what}: {os.strerror(error)}")
    raise Temporary(f"the system's entry for {what} is longer than {_LONGEST_ENTRY} bytes")


def _group_numbers(user: str, primary: int) -> list[int]:
    room = 64
    while room <= _MOST_GROUPS:
        numbers, count = (ctypes.c_uint32 * room)(), ctypes.c_int(room)
        encoded = user.encode("utf-8", "surrogateescape")
        if _libc.getgrouplist(encoded, primary, numbers, ctypes.byref(count)) >= 0:
            return list(numbers[: count.value])
        room = max(room * 4, count.value)
    raise Temporary(f"user {user!r} is in more than {_MOST_GROUPS} groups")


def text_of(value: bytes | None) -> str:
    """A string of the C library's. What is no UTF-8 is kept as surrogates, and found again."""
    return (value or b"").decode("utf-8", "surrogateescape")

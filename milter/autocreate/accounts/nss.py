"""The users of this machine, as the C library finds them: in passwd(5), LDAP by SSSD, and so on.

Python's pwd.getpwnam turns a system error into KeyError, which would become a 550. So this calls
getpwnam_r(3) of the C library. A user that it finds exists. If it finds none, that is the answer of the
last of several services even if others failed, so then each service is asked separately.
"""

import ctypes
import errno
import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from autocreate.accounts import account_of, nsswitch
from autocreate.accounts.nsswitch import LONGEST_ENTRY
from autocreate.backends.reloading_file import ReloadingFile
from autocreate.core.naming import Users
from autocreate.core.spelling import Spellings
from autocreate.errors import Temporary
from autocreate.model import Account
from autocreate.resilience.time_limit import TimeLimit

_MOST_GROUPS = 1 << 16  # NGROUPS_MAX of Linux
_NOBODY = "no user of this name"
# How many lookups run at once, which is also the greatest number of threads that can hang.
_AT_ONCE = 4
_ALL = range(1 << 32)
_PASSWD = Path("/etc/passwd")


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
        users: how names become user ids.
        min_uid: users with a lower number are system users, and have no mailbox.
        max_uid: users with a higher number have none either (`nobody` is 65534).
        timeout: seconds for a lookup; the C library itself has no time limit.

    Case-sensitive services do not find `KLee` for `klee`. Therefore passwd(5) is read for such names.
    Listing any other service would take too long for a recipient.
    """

    has_groups = True

    def __init__(
        self,
        name: str,
        users: Users,
        *,
        min_uid: int,
        max_uid: int,
        timeout: float,
    ) -> None:
        self.name = name
        self._users = users
        self._spellings = ReloadingFile(
            _PASSWD, lambda pieces: Spellings(_names(pieces), users), errors="surrogateescape"
        )
        self._uids = range(min_uid, max_uid + 1)
        self._limit = TimeLimit("the system", _AT_ONCE, timeout)

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        return self._limit.run(lambda: self._account(user))

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`; the primary group is among them."""
        return self._limit.run(lambda: self._group_names(account.user))

    def names(self) -> Iterator[str] | None:
        """See `AccountSource.names`. Services such as SSSD list nobody unless configured to."""
        # A service that fails to list its users reports no error, so check whether all answer.
        self.lookup(_NOBODY)
        users = [user.pw_name for user in pwd.getpwall() if user.pw_uid in self._uids]
        return iter(users) if users else None

    def load(self, until: float) -> None:
        """See `ReloadingFile.load`."""
        self._spellings.load(until)

    def close(self) -> None:
        """End the threads."""
        self._limit.close()

    def _account(self, user: str) -> Account | None:
        return self._found(user, self._uids)[0]

    def _found(self, user: str, uids: range) -> tuple[Account | None, _Passwd | None]:
        """The account of `user`, and its entry."""
        entry = self._passwd(user, uids)
        entries = [entry] if entry else []
        if entry is None:
            read = self._spellings.read()
            names = read.content.of(user)
            entries = [it for name in names if (it := self._passwd(name, uids))]
            if not entries and read.is_outdated:
                raise Temporary(read.uncertainty)
        if not entries:
            return None, None
        found = {text_of(it.pw_name): it for it in entries}
        try:
            account = account_of(user, self.name, tuple(found), self._users)
        except Temporary as error:
            raise Temporary(f"the system has {error}") from error
        return account, found[account.spellings[-1]] if account else None

    def _group_names(self, user: str) -> frozenset[str]:
        _, found = self._found(user, _ALL)
        if found is None:
            return frozenset()
        encoded = bytes(found.pw_name)
        numbers = nsswitch.group_numbers(encoded, found.pw_gid, _Group)
        # If a service has no function for the groups of a user, the C library reads all groups.
        numbers.update(_group_numbers(encoded, found.pw_gid))
        names = map(self._group_name, numbers)
        return frozenset(name for name in names if name)

    def _passwd(self, user: str, uids: range) -> _Passwd | None:
        """The entry of the user if it has one of these numbers."""
        encoded = bytes_of(user)
        if b"\0" in encoded:
            return None  # C would stop reading there, and find another user
        entry: _Passwd | None = entry_of(_libc.getpwnam_r, encoded, _Passwd, "users")
        if entry is None or entry.pw_uid not in uids:
            found = nsswitch.find("passwd", "getpwnam_r", encoded, _Passwd)
            entry = found.entry
            if entry is None or entry.pw_uid not in uids:
                return found.no("users")
        return entry

    def _group_name(self, number: int) -> str:
        key = ctypes.c_uint32(number)
        entry = entry_of(_libc.getgrgid_r, key, _Group, "groups")
        if entry is None:
            found = nsswitch.find("group", "getgrgid_r", key, _Group)
            entry = found.entry or found.no("groups")
        return text_of(entry.gr_name) if entry else ""


def _names(pieces: Iterator[str]) -> Iterator[str]:
    """The names of passwd(5)."""
    lines = (line for text in pieces for line in text.splitlines())
    return (line.partition(":")[0] for line in lines if ":" in line)


def entry_of(function: Any, key: Any, kind: Callable[[], Any], what: str) -> Any:
    """Call a function like getpwnam_r(3). None means that there is no entry.

    Args:
        what: it looks up. The error names no user, so that the log has it once and not for each user.

    Raises:
        Temporary: the function failed.
    """
    size = 4096
    while size <= LONGEST_ENTRY:
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
    raise Temporary(f"an entry of the system's {what} is longer than {LONGEST_ENTRY} bytes")


def _group_numbers(user: bytes, primary: int) -> list[int]:
    room = 64
    while room <= _MOST_GROUPS:
        numbers, count = (ctypes.c_uint32 * room)(), ctypes.c_int(room)
        if _libc.getgrouplist(user, primary, numbers, ctypes.byref(count)) >= 0:
            return list(numbers[: count.value])
        room = max(room * 4, count.value)
    raise Temporary(f"user {text_of(user)!r} is in more than {_MOST_GROUPS} groups")


def bytes_of(user: str) -> bytes:
    """A user id as a C string."""
    return user.encode("utf-8", "surrogateescape")


def text_of(value: bytes | None) -> str:
    """A C string as text. Bytes that are not UTF-8 become surrogates, which `bytes_of` reverts."""
    return (value or b"").decode("utf-8", "surrogateescape")

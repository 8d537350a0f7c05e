"""The services that nsswitch.conf(5) names, asked one by one.

The C library asks them in turn and tells only what the last one said. On Debian that is `systemd`, and
where passwd(5) cannot be read, its "no such user" is all that is heard. So whoever needs a no to
be one asks each service by the function that the C library calls itself, `_nss_files_getpwnam_r`
and the like, and hears whether it answered.
"""

import ctypes
import errno
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from autocreate.errors import Temporary

LONGEST_ENTRY = 1 << 20  # bytes; a group of 20,000 members takes about 200 KiB

_CONFIG = Path("/etc/nsswitch.conf")
# enum nss_status of <nss.h>, and its names in nsswitch.conf(5)
_TRYAGAIN, _UNAVAIL, _NOTFOUND, _SUCCESS = -2, -1, 0, 1
_STATUS = {"tryagain": _TRYAGAIN, "unavail": _UNAVAIL, "notfound": _NOTFOUND, "success": _SUCCESS}

# "passwd: files [NOTFOUND=return] sss". The C library takes blanks for a colon, too.
_LINE = re.compile(r"\s*([^\s:]+)[\s:]+(.*)")
_SERVICE = re.compile(r"\s*([^\s\[]+)\s*(?:\[([^]]*)\])?")
_CRITERION = re.compile(r"(!?)(\w+)\s*=\s*(\w+)")

# These read /etc/passwd and /etc/group, of which an empty or garbled one knows nobody, not even root.
_READ_FILES = ("files", "compat")
_BY_NUMBER = {"passwd": "getpwuid_r", "group": "getgrgid_r"}
_NO_GROUP = b"no group of this name"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.calloc.restype = ctypes.c_void_p
_libc.calloc.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
_libc.free.argtypes = (ctypes.POINTER(ctypes.c_uint32),)


class Service(NamedTuple):
    """A service of a line.

    Args:
        ends: the answers behind which no further service is asked.
    """

    name: str
    ends: frozenset[int]


class Found(NamedTuple):
    """What the services of a line say together.

    Args:
        entry: of the first that has one; None if none has.
        doubts: which of those that were asked before could not tell, and why.
    """

    entry: Any
    doubts: tuple[str, ...]

    def no(self, what: str) -> None:
        """Conclude that there is no such user or group.

        Args:
            what: was looked up: "users".

        Raises:
            Temporary: that is in doubt.
        """
        if self.doubts:
            raise Temporary(f"the system cannot look up {what}: {'; '.join(self.doubts)}")


class _Answer(NamedTuple):
    status: int
    entry: Any = None
    doubt: str = ""


# For a database that has no line.
_DEFAULT = (Service("files", frozenset((_SUCCESS,))),)

# What is not installed never answers, which casts no doubt on those that do.
_ABSENT = _Answer(_UNAVAIL)


def services(text: str) -> dict[str, tuple[Service, ...]]:
    """The lines of nsswitch.conf(5), by their databases. Of two for one database the latter counts."""
    lines = filter(None, map(_LINE.match, text.splitlines()))
    return {
        line[1]: tuple(
            Service(name, _ends(criteria)) for name, criteria in _SERVICE.findall(line[2])
        )
        for line in lines
    }


def find(database: str, function: str, key: Any, kind: Callable[[], Any]) -> Found:
    """Ask each service of a database, in their order, until one has an entry.

    Args:
        database: "passwd" or "group".
        function: the one of the C library's that asks them all, such as "getpwnam_r".
        key: what that function takes.
        kind: makes an empty entry of the structure that it fills.

    Raises:
        Temporary: nsswitch.conf(5) cannot be read.
    """
    doubts: list[str] = []
    has_answer = False
    line = _lines().get(database, _DEFAULT)
    for answer in _answers(line, lambda name: _sound(name, database, function, key, kind)):
        if answer.status == _SUCCESS:
            return Found(answer.entry, tuple(doubts))
        has_answer |= answer.status == _NOTFOUND
        if answer.doubt:
            doubts.append(answer.doubt)
    if not doubts and not has_answer:
        doubts.append(f"nothing that {_CONFIG} names for {database} is installed")
    return Found(None, tuple(doubts))


def group_numbers(user: bytes, primary: int, kind: Callable[[], Any]) -> set[int]:
    """The numbers of a user's groups, of every service that has a function for them.

    Those that have none are asked for a group, to see whether they answer at all.

    Args:
        primary: the number of the user's primary group, which is among them.
        kind: makes an empty struct group.

    Raises:
        Temporary: a service could not tell, or nsswitch.conf(5) cannot be read.
    """
    lines = _lines()
    line = lines.get("initgroups")
    if line is None:
        # A line for groups is asked to its end though one service has some: the user's are of all.
        line = tuple(it._replace(ends=it.ends - {_SUCCESS}) for it in lines.get("group", _DEFAULT))
    numbers = {primary}
    has_answer = False
    for answer in _answers(line, lambda name: _groups(name, user, primary, kind)):
        if answer.doubt:
            raise Temporary(f"the system cannot look up groups: {answer.doubt}")
        has_answer |= answer.status in (_SUCCESS, _NOTFOUND)
        numbers |= answer.entry or set()
    if not has_answer:
        raise Temporary(f"nothing that {_CONFIG} names for groups is installed")
    return numbers


def _lines() -> dict[str, tuple[Service, ...]]:
    try:
        # As it is now, for the C library reads it anew, too. Its comments may be in any encoding.
        return services(_CONFIG.read_text("utf-8", "surrogateescape"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Temporary(f"{_CONFIG} cannot be read: {error.strerror}") from error


def _ends(criteria: str) -> frozenset[int]:
    """What "NOTFOUND=return" and the like say of the answers that end the search."""
    ends = {_SUCCESS}
    for negation, name, action in _CRITERION.findall(criteria.lower()):
        named = {status for it, status in _STATUS.items() if (it == name) is not bool(negation)}
        ends = ends | named if action == "return" else ends - named
    return frozenset(ends)


def _answers(line: Iterable[Service], ask: Callable[[str], _Answer]) -> Iterator[_Answer]:
    for service in line:
        answer = ask(service.name)
        yield answer
        if answer.status in service.ends:
            break


def _sound(
    service: str, database: str, function: str, key: Any, kind: Callable[[], Any]
) -> _Answer:
    """An answer that is not a no of a file which lacks even root, as one that is empty does."""
    answer = _ask(service, function, key, kind)
    if answer.status == _NOTFOUND and service in _READ_FILES:
        root = _ask(service, _BY_NUMBER[database], ctypes.c_uint32(0), kind)
        if root.status != _SUCCESS:
            return _Answer(
                _UNAVAIL, doubt=root.doubt or f"{service}: not even root is in {database}(5)"
            )
    return answer


def _ask(service: str, function: str, key: Any, kind: Callable[[], Any]) -> _Answer:
    """What one service answers by a function like getpwnam_r(3)."""
    try:
        call = _function(service, function)
    except OSError as failure:
        return _Answer(_UNAVAIL, doubt=f"{service}: cannot be loaded: {failure}")
    if call is None:
        return _ABSENT
    size = 4096
    while size <= LONGEST_ENTRY:
        entry, strings, error = kind(), ctypes.create_string_buffer(size), ctypes.c_int()
        ctypes.set_errno(0)
        status = call(key, ctypes.byref(entry), strings, ctypes.c_size_t(size), ctypes.byref(error))
        code = error.value or ctypes.get_errno()  # the C library has them in one place
        if status == _SUCCESS:
            entry.strings = strings  # the entry points into it
            return _Answer(status, entry)
        if status == _NOTFOUND:
            return _Answer(status)
        if code == errno.ERANGE:
            size *= 4
        elif code != errno.EINTR:
            return _Answer(status, doubt=f"{service}: {_reason(code)}")
    return _Answer(_UNAVAIL, doubt=f"{service}: the entry takes more than {LONGEST_ENTRY} bytes")


def _groups(service: str, user: bytes, primary: int, kind: Callable[[], Any]) -> _Answer:
    """The numbers of the groups that one service has a user in."""
    answer = _sound(service, "group", "getgrnam_r", _NO_GROUP, kind)
    call = None if answer.doubt else _function(service, "initgroups_dyn")
    if call is None:
        return answer
    room, count, error = ctypes.c_long(64), ctypes.c_long(1), ctypes.c_int()
    # A service that finds more than there is room for makes more, by realloc(3).
    place = ctypes.c_void_p(_libc.calloc(room.value, ctypes.sizeof(ctypes.c_uint32)))
    numbers = ctypes.cast(place, ctypes.POINTER(ctypes.c_uint32))
    try:
        numbers[0] = primary
        ctypes.set_errno(0)
        status = call(
            user,
            ctypes.c_uint32(primary),
            ctypes.byref(count),
            ctypes.byref(room),
            ctypes.byref(numbers),
            ctypes.c_long(-1),
            ctypes.byref(error),
        )
        code = error.value or ctypes.get_errno()
        if (service, code) == ("systemd", errno.ESRCH):
            status = _NOTFOUND  # what it says of everyone where systemd itself does not run
        if status in (_SUCCESS, _NOTFOUND):
            return _Answer(status, set(numbers[: count.value]))
        return _Answer(status, doubt=f"{service}: {_reason(code)}")
    finally:
        _libc.free(numbers)


def _function(service: str, name: str) -> Any:
    """A service's function; None if it has none of that name, or is not installed.

    Raises:
        OSError: it is installed, and cannot be loaded.
    """
    symbol = f"_nss_{service}_{name}"
    library = f"libnss_{service}.so.2"
    # `files` has been a part of the C library since version 2.34.
    if built_in := getattr(_libc, symbol, None):
        return built_in
    try:
        return getattr(_library(library), symbol, None)
    except OSError as error:
        # dlopen(3) has only words. Where it lacks what the library itself needs, it names that.
        if str(error).startswith(f"{library}: ") and str(error).endswith(os.strerror(errno.ENOENT)):
            return None
        raise


@functools.cache
def _library(name: str) -> ctypes.CDLL:
    return ctypes.CDLL(name, use_errno=True)


def _reason(error: int) -> str:
    return os.strerror(error) if error else "does not answer"

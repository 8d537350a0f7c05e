"""The services that nsswitch.conf(5) names, asked one by one.

The C library asks them in turn, and returns only the result of the last one. On Debian that is `systemd`,
so if passwd(5) cannot be read, the result is "no such user". To be certain that a user does not exist, this
module calls each service's own function, as the C library does (`_nss_files_getpwnam_r`), and sees which
ones failed.
"""

import ctypes
import errno
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from autocreate.backends.regular_file import read_settings
from autocreate.errors import Temporary

LONGEST_ENTRY = 1 << 20  # bytes; a group of 20,000 members takes about 200 KiB

_CONFIG = Path("/etc/nsswitch.conf")
# enum nss_status of <nss.h>, and its names in nsswitch.conf(5)
_TRYAGAIN, _UNAVAIL, _NOTFOUND, _SUCCESS = -2, -1, 0, 1
_STATUS = {"tryagain": _TRYAGAIN, "unavail": _UNAVAIL, "notfound": _NOTFOUND, "success": _SUCCESS}

# "passwd: files [NOTFOUND=return] sss". The C library accepts blanks instead of the colon.
_LINE = re.compile(r"\s*([^\s:]+)[\s:]+(.*)")
_SERVICE = re.compile(r"\s*([^\s\[]+)\s*(?:\[([^]]*)\])?")
_CRITERION = re.compile(r"(!?)(\w+)\s*=\s*(\w+)")

# These read /etc/passwd and /etc/group. If such a file lacks even root, it is empty or damaged.
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
        ends: the results after which no further service is asked.
    """

    name: str
    ends: frozenset[int]


class Found(NamedTuple):
    """The result of all services of a line.

    Args:
        entry: of the first service that has one; None if none has.
        uncertainties: which services before it failed, and why.
    """

    entry: Any
    uncertainties: tuple[str, ...]

    def no(self, what: str) -> None:
        """Conclude that there is no such user or group.

        Args:
            what: what was looked up: "users".

        Raises:
            Temporary: that is not certain.
        """
        if self.uncertainties:
            raise Temporary(f"the system cannot look up {what}: {'; '.join(self.uncertainties)}")


class _Answer(NamedTuple):
    status: int
    entry: Any = None
    uncertainty: str = ""


# For a database that has no line.
_DEFAULT = (Service("files", frozenset((_SUCCESS,))),)

# A service that is not installed does not count as a failure.
_ABSENT = _Answer(_UNAVAIL)


def services(text: str) -> dict[str, tuple[Service, ...]]:
    """The lines of nsswitch.conf(5) by database. Of two lines for one database the last counts."""
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
        function: the function of the C library that asks all of them, such as "getpwnam_r".
        key: the argument of that function.
        kind: makes an empty entry, which the function fills.

    Raises:
        Temporary: nsswitch.conf(5) cannot be read.
    """
    uncertainties: list[str] = []
    has_answer = False
    line = _lines().get(database, _DEFAULT)
    for answer in _answers(line, lambda name: _checked(name, database, function, key, kind)):
        if answer.status == _SUCCESS:
            return Found(answer.entry, tuple(uncertainties))
        has_answer |= answer.status == _NOTFOUND
        if answer.uncertainty:
            uncertainties.append(answer.uncertainty)
    if not uncertainties and not has_answer:
        uncertainties.append(f"nothing that {_CONFIG} names for {database} is installed")
    return Found(None, tuple(uncertainties))


def group_numbers(user: bytes, primary: int, kind: Callable[[], Any]) -> set[int]:
    """The numbers of a user's groups, from every service that has a function for them.

    Services that have none are asked for some group, to see whether they work.

    Args:
        primary: the number of the user's primary group, which is among them.
        kind: makes an empty struct group.

    Raises:
        Temporary: a service could not tell, or nsswitch.conf(5) cannot be read.
    """
    lines = _lines()
    line = lines.get("initgroups")
    if line is None:
        # For the line `group`, all services are asked: the user's groups are those of all services.
        line = tuple(it._replace(ends=it.ends - {_SUCCESS}) for it in lines.get("group", _DEFAULT))
    numbers = {primary}
    has_answer = False
    for answer in _answers(line, lambda name: _groups(name, user, primary, kind)):
        if answer.uncertainty:
            raise Temporary(f"the system cannot look up groups: {answer.uncertainty}")
        has_answer |= answer.status in (_SUCCESS, _NOTFOUND)
        numbers |= answer.entry or set()
    if not has_answer:
        raise Temporary(f"nothing that {_CONFIG} names for groups is installed")
    return numbers


def _lines() -> dict[str, tuple[Service, ...]]:
    try:
        # Read each time, as the C library does. Its comments may be in any encoding.
        return services(read_settings(_CONFIG).decode("utf-8", "surrogateescape"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Temporary(f"{_CONFIG} cannot be read: {error.strerror}") from error


def _ends(criteria: str) -> frozenset[int]:
    """The results that end the search, by criteria such as "NOTFOUND=return"."""
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


def _checked(
    service: str, database: str, function: str, key: Any, kind: Callable[[], Any]
) -> _Answer:
    """The answer of a service; "not found" counts only if the file that it reads has at least root."""
    answer = _ask(service, function, key, kind)
    if answer.status == _NOTFOUND and service in _READ_FILES:
        root = _ask(service, _BY_NUMBER[database], ctypes.c_uint32(0), kind)
        if root.status != _SUCCESS:
            return _Answer(
                _UNAVAIL,
                uncertainty=root.uncertainty or f"{service}: {database}(5) lacks even root",
            )
    return answer


def _ask(service: str, function: str, key: Any, kind: Callable[[], Any]) -> _Answer:
    """The answer of one service to a function like getpwnam_r(3)."""
    try:
        call = _function(service, function)
    except OSError as failure:
        return _Answer(_UNAVAIL, uncertainty=f"{service}: cannot be loaded: {failure}")
    if call is None:
        return _ABSENT
    size = 4096
    while size <= LONGEST_ENTRY:
        entry, strings, error = kind(), ctypes.create_string_buffer(size), ctypes.c_int()
        ctypes.set_errno(0)
        status = call(key, ctypes.byref(entry), strings, ctypes.c_size_t(size), ctypes.byref(error))
        code = error.value or ctypes.get_errno()  # in the C library both are one variable
        if status == _SUCCESS:
            entry.strings = strings  # the entry points into it
            return _Answer(status, entry)
        if status == _NOTFOUND:
            return _Answer(status)
        if code == errno.ERANGE:
            size *= 4
        elif code != errno.EINTR:
            return _Answer(status, uncertainty=f"{service}: {_reason(code)}")
    return _Answer(
        _UNAVAIL, uncertainty=f"{service}: the entry is longer than {LONGEST_ENTRY} bytes"
    )


def _groups(service: str, user: bytes, primary: int, kind: Callable[[], Any]) -> _Answer:
    """The numbers of a user's groups in one service."""
    answer = _checked(service, "group", "getgrnam_r", _NO_GROUP, kind)
    call = None if answer.uncertainty else _function(service, "initgroups_dyn")
    if call is None:
        return answer
    room, count, error = ctypes.c_long(64), ctypes.c_long(1), ctypes.c_int()
    # A service that needs more room enlarges it by realloc(3).
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
            status = _NOTFOUND  # its answer for every user if systemd does not run
        if status in (_SUCCESS, _NOTFOUND):
            return _Answer(status, set(numbers[: count.value]))
        return _Answer(status, uncertainty=f"{service}: {_reason(code)}")
    finally:
        _libc.free(numbers)


def _function(service: str, name: str) -> Any:
    """The function of a service; None if it has no such function, or is not installed.

    Raises:
        OSError: it is installed but cannot be loaded.
    """
    symbol = f"_nss_{service}_{name}"
    library = f"libnss_{service}.so.2"
    # `files` is part of the C library since version 2.34.
    if built_in := getattr(_libc, symbol, None):
        return built_in
    try:
        return getattr(_library(library), symbol, None)
    except OSError as error:
        # dlopen(3) reports errors as text only. If a library that this one needs is missing, the text begins with
        # the name of that library.
        if str(error).startswith(f"{library}: ") and str(error).endswith(os.strerror(errno.ENOENT)):
            return None
        raise


@functools.cache
def _library(name: str) -> ctypes.CDLL:
    return ctypes.CDLL(name, use_errno=True)


def _reason(error: int) -> str:
    return os.strerror(error) if error else "does not answer"

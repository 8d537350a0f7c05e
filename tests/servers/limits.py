"""The limits of a service unit of ours, put on a command as systemd puts them (systemd.exec(5)).

Of the unit's settings: SystemCallFilter, MemoryDenyWriteExecute, NoNewPrivileges, LimitNOFILE, UMask. A system call
that the unit forbids ends the process here, where systemd lets it fail, so that a test sees it.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

UNITS = Path(__file__).parents[2] / "contrib/systemd"

# <seccomp.h>
_ALLOW, _KILL, _EPERM = 0x7FFF0000, 0x80000000, 0x00050001
_MASKED_EQUAL = 7
# What MemoryDenyWriteExecute refuses: the system call, its argument, and the bits that may not be set together.
_WRITE_EXECUTE = (
    (b"mmap", 2, 0x6),  # PROT_WRITE and PROT_EXEC
    (b"mprotect", 2, 0x4),
    (b"pkey_mprotect", 2, 0x4),
    (b"shmat", 2, 0o100000),  # SHM_EXEC
)


def limited(unit: str) -> Callable[..., list[str | Path]]:
    """Makes of a command the one that runs it under the limits of contrib/systemd/UNIT."""
    return lambda *command: [sys.executable, __file__, UNITS / unit, *command]


class _Comparison(ctypes.Structure):
    _fields_ = [
        ("argument", ctypes.c_uint),
        ("operation", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    ]


class _Filter:
    """A filter of libseccomp: what it does with system calls that no rule is about."""

    def __init__(self, otherwise: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(otherwise)))

    def add(self, action: int, name: bytes, *comparison: int) -> None:
        number = self._library.seccomp_syscall_resolve_name(name)
        if number < 0:  # of another architecture
            return
        compared = ctypes.byref(_Comparison(*comparison)) if comparison else None
        rule = (self._context, ctypes.c_uint32(action), number, len(comparison) and 1, compared)
        _check(self._library.seccomp_rule_add_array(*rule))

    def load(self) -> None:
        """From here on. It sets NoNewPrivileges, too."""
        _check(self._library.seccomp_load(self._context))


def _check(status: int) -> None:
    if status:
        raise OSError(-status, os.strerror(-status))


def _settings(unit: Path) -> list[tuple[str, str]]:
    return re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE)


def _allowed(unit: Path) -> set[str]:
    allowed = _members("@default")
    for words in [value for name, value in _settings(unit) if name == "SystemCallFilter"]:
        named = set().union(*map(_members, words.removeprefix("~").split()))
        allowed = allowed - named if words.startswith("~") else allowed | named
    return allowed


def _members(group: str) -> set[str]:
    """The system calls of a group such as @system-service."""
    command = ["systemd-analyze", "--no-pager", "syscall-filter", group]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = {line.strip() for line in said.splitlines()[1:] if line.strip()[:1] not in ("", "#")}
    groups = {word for word in words if word.startswith("@")}
    return set().union(words - groups, *map(_members, groups))


def _main(unit: Path, command: list[str]) -> None:
    settings = dict(_settings(unit))
    allowed = _allowed(unit)
    files = int(settings["LimitNOFILE"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.umask(int(settings["UMask"], 8))
    if settings["MemoryDenyWriteExecute"] == "yes":
        no_writable_code = _Filter(_ALLOW)
        for name, argument, bits in _WRITE_EXECUTE:
            no_writable_code.add(_EPERM, name, argument, _MASKED_EQUAL, bits, bits)
        no_writable_code.load()
    only_these = _Filter(_KILL)
    for call in sorted(allowed):
        only_these.add(_ALLOW, call.encode())
    only_these.load()
    os.execvp(command[0], command)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2:])

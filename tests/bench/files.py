"""Files of millions of lines: accounts, groups and aliases, read, touched and changed, against what was promised.

Each kind of file is read in a process of its own, so that its memory is its own too. While a file is parsed, the main
thread of that process looks up users of the version before, and notes how long it waits for its turn. Processor time
counts, not time: a thread that waits because other programs run waits for them, and not for the parser.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from autocreate.accounts.file import FileSource
from autocreate.aliases.file import AliasesFile, VirtualFile
from autocreate.backends.reloading_file import ReloadingFile
from autocreate.core.naming import CYRUS_DEFAULTS
from autocreate.errors import Temporary
from autocreate.model import Account
from tests.bench.contest import Effort, Result
from tests.servers.common import fresh_folder

LINES = 3_000_000
SECONDS = 8.0  # of processor for so many lines: the deadline of a recipient
LONGEST_WAIT = 100.0  # milliseconds
KEPT = 150.0  # bytes a line
MOST = 310.0  # bytes a line while a file is parsed: what it was before
TOUCHED = 0.1  # of what a change takes

SAMPLES = 1_000
AGE = 60.0  # seconds: a younger file's no is not final


class Measured(NamedTuple):
    """What one kind of file took.

    Args:
        loaded, touched, changed: processor seconds.
        longest_wait: milliseconds for which another thread waited for its turn.
        kept, most: bytes a line.
    """

    loaded: float
    touched: float
    changed: float
    longest_wait: float
    kept: float
    most: float


class Probe(NamedTuple):
    """A source or a table of one file.

    Args:
        file: what reads it.
        knows: asks for the user of this number; raises Temporary if there is no answer.
    """

    file: ReloadingFile[Any]
    knows: Callable[[int], bool]


class Kind(NamedTuple):
    """A kind of file.

    Args:
        line: of a number.
        opened: what reads the file.
        answers_meanwhile: the version before answers while a new one is parsed. Groups decide what an account
            gets, so there is no answer about them then.
        lines: how many to measure.
    """

    line: Callable[[int], str]
    opened: Callable[[Path], Probe]
    answers_meanwhile: bool = True
    lines: int = 1_000_000


def run(effort: Effort) -> list[Result]:
    """Measures each kind once: memory and processor time hardly differ from run to run."""
    return [it for name in KINDS for it in _results(name, effort.of(KINDS[name].lines))]


def _results(name: str, lines: int) -> Iterator[Result]:
    with fresh_folder("files") as folder:
        command = [sys.executable, "-m", "tests.bench.files", name, str(lines), str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found = Measured(**json.loads(done.stdout))
    seconds = SECONDS * lines / LINES
    what = f"{lines:,} lines of {name}"
    for case, unit, ours, promised in (
        ("loaded", "s", found.loaded, seconds),
        ("changed", "s", found.changed, seconds),
        ("touched, to a tenth of changed", "s", found.touched, TOUCHED * found.changed),
        ("longest wait of another thread", "ms", found.longest_wait, LONGEST_WAIT),
        ("kept for a line", "bytes", found.kept, KEPT),
        ("most for a line while parsed", "bytes", found.most, MOST),
    ):
        yield Result(f"{what}: {case}", unit, [ours], [promised], True, target=1.0)


def measured(kind: Kind, lines: int, path: Path) -> Measured:
    """Reads a file of so many lines, touches it, and replaces it by one with another user at its end.

    Raises:
        AssertionError: it did not do what is measured: a user is missing or is there too long, a touched file was
            parsed, nobody was answered meanwhile, or somebody was refused.
    """
    probe = kind.opened(path)
    _write(path, kind, range(lines), AGE)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the greatest size so far is forgotten
    waits: list[float] = []
    loaded = _spent(lambda: _read_beside(probe.file, waits, lambda: None))
    most = _resident("VmHWM")
    kept = _resident("VmRSS")
    _check(probe, range(lines), absent=lines)

    content = probe.file.read().content
    os.utime(path, (time.time() - 2 * AGE,) * 2)
    touched = _spent(lambda: probe.file.load(time.monotonic() + AGE))
    assert probe.file.read().content is content, "a touched file was parsed"

    answered = Counter[int]()

    def asks() -> None:
        """Nobody is refused: neither who stays nor who is in the new version alone."""
        for number in (1, lines):
            try:
                assert probe.knows(number), "refused"
                answered[number] += 1
            except Temporary:
                answered[-number] += 1

    probe.file._at_once = 0.0  # or a short file would be read before anybody is answered
    new = path.with_name("new")
    _write(new, kind, range(1, lines + 1), 3 * AGE)
    new.replace(path)
    changed = _spent(lambda: _read_beside(probe.file, waits, asks))
    assert answered[-lines], "nobody asked while the file was parsed"
    assert bool(answered[-1]) != kind.answers_meanwhile, answered
    _check(probe, range(1, lines + 1), absent=0)
    return Measured(
        loaded,
        touched,
        changed,
        max(waits) * 1000,
        (kept - before) / lines,
        (most - before) / lines,
    )


def _read_beside(file: ReloadingFile[Any], waits: list[float], asks: Callable[[], None]) -> None:
    """Reads the file in its thread, and meanwhile does something else again and again."""
    reading = threading.Thread(target=file.load, args=(time.monotonic() + AGE,))
    reading.start()
    before = len(waits)
    while reading.is_alive():
        begun = time.process_time()
        reading.join(0.001)
        asks()
        waits.append(time.process_time() - begun)
    assert len(waits) > before + 10, f"another thread had {len(waits) - before} turns"


def _check(probe: Probe, present: range, absent: int) -> None:
    assert not probe.knows(absent)
    for number in present[:: max(1, len(present) // SAMPLES)]:
        assert probe.knows(number), number


def _spent(work: Callable[[], None]) -> float:
    """Processor seconds."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _resident(what: str) -> int:
    """In bytes."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def _write(path: Path, kind: Kind, numbers: range, age: float) -> None:
    """Each line once, in no order."""
    step = 7919  # a prime number that divides no number of lines here
    with path.open("w", encoding="utf-8") as file:
        for at in range(len(numbers)):
            file.write(kind.line(numbers[at * step % len(numbers)]))
    os.utime(path, (time.time() - age,) * 2)


def _users(path: Path, format: str = "lines", groups: Path | None = None) -> FileSource:
    domains = ("example.org",)
    return FileSource(
        "staff", CYRUS_DEFAULTS, path=path, groups=groups, format=format, domains=domains
    )


def _accounts(path: Path, format: str = "lines") -> Probe:
    source = _users(path, format)
    return Probe(source._users, lambda number: source.lookup(f"user{number:07}") is not None)


def _groups(path: Path) -> Probe:
    users = path.with_name("users")
    users.write_text("somebody\n")
    os.utime(users, (time.time() - AGE,) * 2)
    source = _users(users, groups=path)
    assert source._groups

    def knows(number: int) -> bool:
        return bool(source.groups(Account(f"user{number:07}", "staff")))

    return Probe(source._groups, knows)


def _aliases(path: Path, table: type[VirtualFile], key: str) -> Probe:
    opened = table("it", path)

    def knows(number: int) -> bool:
        found = opened.find([key.format(number)])
        if found.uncertainty and not found.text:
            raise Temporary(found.uncertainty)
        return bool(found.text)

    return Probe(opened._file, knows)


KINDS = {
    "users": Kind("user{:07}\n".format, _accounts, lines=LINES),
    "users with capitals": Kind("User{:07}\n".format, _accounts),
    "passwd(5)": Kind("user{0:07}:x:{0}:100:A Name:/home/user{0}:/bin/sh\n".format, _accounts),
    "a Postfix table": Kind(
        "user{:07}@example.org OK\n".format, lambda path: _accounts(path, "postfix")
    ),
    "group(5)": Kind("g{0:07}:x:{0}:user{0:07}\n".format, _groups, False),
    "aliases(5)": Kind(
        "alias{0:07}: user{0:07}\n".format, lambda path: _aliases(path, AliasesFile, "alias{:07}")
    ),
    "virtual(5)": Kind(
        "alias{0:07}@example.org user{0:07}\n".format,
        lambda path: _aliases(path, VirtualFile, "alias{:07}@example.org"),
    ),
}


if __name__ == "__main__":
    name, lines, folder = sys.argv[1:]
    print(json.dumps(measured(KINDS[name], int(lines), Path(folder, "it"))._asdict()))

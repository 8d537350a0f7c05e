"""Where an administrator finds what a policy says: file, line, and the words there."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autocreate.core import imapdconf
from autocreate.core.imapdpolicy import is_of_family


@dataclass(frozen=True, slots=True)
class Line:
    """What stands somewhere.

    Args:
        place: "FILE, line NUMBER".
        text: a key and its value, on one line.
    """

    place: str
    text: str


def of_policy(path: Path, number: int) -> tuple[Line, ...]:
    """The keys of the file's policy of this number, counted from 0, each with its line."""
    lines, count = [], -1
    is_inside = False
    for place, statement in _statements(path):
        head = "".join(statement.split())
        if head.startswith("["):
            count += head.startswith("[[policy]]")
            is_inside = head.startswith(("[[policy]]", "[[policy.", "[policy."))
        if is_inside and count == number and not head.startswith("[[policy]]"):
            lines.append(Line(place, statement))
        elif count < 0 and head.startswith("policy="):
            return (Line(place, statement),)  # all policies are one value
    return tuple(lines)


def of_imapd_conf(path: str) -> tuple[Line, ...]:
    """The autocreate options of an imapd.conf that was read without a mistake."""

    def text(name: str) -> str:
        return Path(name).read_text(encoding="utf-8", errors="surrogateescape")

    options = imapdconf.read(path, text(path), text).every
    return tuple(
        Line(option.place, f"{option.key}: {option.value}")
        for option in options
        if is_of_family(option.key)
    )


def _statements(path: Path) -> Iterator[tuple[str, str]]:
    """Each table's head and each key with its value, on one line, with its place.

    A statement ends with the first line at which it is TOML; that needs no second parser.
    """
    pending: list[str] = []
    begun = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begun = begun if pending else number
        pending.append(line)
        try:
            tomllib.loads("\n".join(pending))
        except tomllib.TOMLDecodeError:
            continue
        yield f"{path}, line {begun}", " ".join(" ".join(pending).split())
        pending = []

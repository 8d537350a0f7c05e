"""Where a setting is in the configuration: file, line, and text."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from autocreate.backends.regular_file import read_text
from autocreate.config import imapd
from autocreate.imapdconf.policies import is_of_family
from autocreate.imapdconf.services import USUAL_SERVICES, names_by_kind
from autocreate.imapdconf.settings import ImapdConf

# What may be between the items of an array.
_BETWEEN = re.compile(r"(?:[\s,]|#[^\n]*)*")


@dataclass(frozen=True, slots=True)
class Line:
    """A setting and its place.

    Args:
        place: "FILE, line NUMBER".
        text: a key and its value, on one line.
    """

    place: str
    text: str


class _Statement(NamedTuple):
    """The header of a table, or a key with its value.

    Args:
        line: the number of its first line.
        text: as it is written, with comments and line ends.
        table: the keys of the table that it begins or is in; items of an array of tables also have their
            numbers there, counted from 0.
        data: the value of the statement alone; nothing for a header.
    """

    line: int
    text: str
    table: tuple[str | int, ...]
    data: dict[str, Any]

    def sets(self, keys: Sequence[str | int]) -> bool:
        """Does it set the value of these keys, or of a key in their table?"""
        common = min(len(keys), len(self.table))
        if self.table[:common] != tuple(keys[:common]):
            return False
        data: Any = self.data
        for key in keys[common:]:
            if not isinstance(data, dict) or key not in data:
                return False
            data = data[key]
        return True


class Lines:
    """Finds the lines of settings in the text of a TOML file, whatever their values are."""

    def __init__(self, text: str) -> None:
        self._statements = list(_statements(text))

    def of(self, keys: Sequence[str | int]) -> int | None:
        """The line of a key, or of the table or the value that it is in or missing in; None without any."""
        while keys:
            for statement in self._statements:
                if statement.sets(keys):
                    return statement.line
            keys = keys[:-1]
        return None


class Places:
    """The configuration file, to find where something is set.

    Args:
        path: of a file that was read without errors.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._statements = list(_statements(read_text(path)))

    def of(self, *keys: str | int) -> Line | None:
        """Where a key is set, or a table begins; None if the file has neither."""
        return next(
            (self._line(it.line, it.text) for it in self._statements if it.sets(keys)), None
        )

    def of_policy(self, number: int) -> tuple[Line, ...]:
        """The policy of this number, counted from 0: its header, then each key.

        If all policies are one value, `policy = [{ ... }, ...]`, a policy is one line.
        """
        table = ("policy", number)
        inside = [it for it in self._statements if it.table[:2] == table]
        if inside:
            return tuple(self._line(it.line, it.text) for it in inside)
        array = next((it for it in self._statements if it.sets(("policy",))), None)
        if array is None:
            return ()
        items = list(_items(array.text, len(array.data["policy"])))
        if number < len(items):
            line, text = items[number]
            return (self._line(array.line + line, text),)
        return (self._line(array.line, array.text),)

    def _line(self, number: int, text: str) -> Line:
        return Line(f"{self._path}, line {number}", " ".join(text.split()))


class ImapdPlaces:
    """An imapd.conf that was read without errors, to find where something is set.

    Args:
        cyrus_conf: the path of cyrus.conf, if that is read too.
    """

    def __init__(self, conf: ImapdConf, cyrus_conf: Path | None = None) -> None:
        files = imapd.read(conf.path, str(cyrus_conf) if cyrus_conf else None)
        self._options = files.options
        entries = files.entries
        self._services = USUAL_SERVICES if entries is None else names_by_kind(entries)

    def of(self, key: str) -> Line | None:
        """The option that applies to mail; None if the file does not have it."""
        option = self._options.find(key, self._services["lmtp"])
        return Line(option.place, f"{option.key}: {option.value}") if option else None

    def of_policy(self) -> tuple[Line, ...]:
        """The autocreate options."""
        return tuple(
            Line(option.place, f"{option.key}: {option.value}")
            for option in self._options.every
            if is_of_family(option.key)
        )


def _statements(text: str) -> Iterator[_Statement]:
    """Each header of a table, and each key with its value.

    A statement ends with the first line that makes it valid TOML, so no second parser is needed.
    """
    pending: list[str] = []
    first = 0
    table: tuple[str | int, ...] = ()
    lengths: dict[tuple[str | int, ...], int] = {}  # of the arrays of tables so far
    # TOML has one line end. str.splitlines() has others too, which may be in a comment.
    for number, line in enumerate(text.split("\n"), start=1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        first = first if pending else number
        pending.append(line)
        statement = "\n".join(pending)
        try:
            data = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        pending = []
        if statement.lstrip().startswith("["):
            table = _table(data, statement.lstrip().startswith("[["), lengths)
            data = {}
        yield _Statement(first, statement, table, data)


def _table(
    head: Any, is_array: bool, lengths: dict[tuple[str | int, ...], int]
) -> tuple[str | int, ...]:
    """The table that a header begins. As a document of its own, it has one key at each level."""
    keys: list[str] = []
    while head:
        ((key, head),) = head.items()
        keys.append(key)
        head = head[0] if isinstance(head, list) else head
    table: tuple[str | int, ...] = ()
    for position, key in enumerate(keys):
        table = (*table, key)
        if is_array and position == len(keys) - 1:
            lengths[table] = lengths.get(table, 0) + 1
        if table in lengths:
            table = (*table, lengths[table] - 1)
    return table


def _items(text: str, count: int) -> Iterator[tuple[int, str]]:
    """The tables in an array that is a value, each with its line, counted from 0.

    Args:
        text: the key and the array.
        count: how many tables there are.
    """
    # The key may be in quotes, but has no bracket in it.
    position = text.index("[") + 1
    for _ in range(count):
        between = _BETWEEN.match(text, position)
        begin = between.end() if between else position
        end = begin
        while end := text.find("}", end) + 1:
            try:
                tomllib.loads(f"item = {text[begin:end]}")
                break
            except tomllib.TOMLDecodeError:
                continue
        if not end:
            return
        yield text.count("\n", 0, begin), text[begin:end]
        position = end

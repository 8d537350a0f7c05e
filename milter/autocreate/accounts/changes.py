"""Which accounts are new: how each kind of source is asked, and how often.

A mark says up to where a source was read. It is kept once every account found before it has been dealt
with, and so what was missed while nobody watched is found afterwards.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from autocreate.backends.regular_file import require_regular
from autocreate.backends.reloading_file import is_settled, version
from autocreate.errors import Temporary

# Lists all users of a source. Raises Temporary, perhaps in the middle.
Names = Callable[[], Iterator[str]]


class Found(NamedTuple):
    """What a source has to tell.

    Args:
        names: of accounts that may be new, as the source spells them. Taking them may raise Temporary.
        mark: up to where the source was read; None if it must be read again.
        is_list: these are all accounts of the source.
    """

    names: Iterator[str]
    mark: str | None
    is_list: bool = False


class Tracker(Protocol):
    """Looks for new accounts in one source.

    Args:
        name: of the source.
        kind: how it is asked, in a word for figures.
    """

    name: str
    kind: str

    def look(self, mark: str | None, now: float, is_followed: bool) -> Found | None:
        """What is new since a mark; None if nothing, or if it is too early to ask.

        Args:
            mark: of an earlier answer; None if there was none.
            now: the time in seconds since the epoch.
            is_followed: somebody else reports each change at once.

        Raises:
            Temporary: the source did not answer.
        """

    def close(self) -> None:
        """Close connections. The tracker is not used afterwards."""


class ByTime:
    """A source that finds what was changed since a time.

    Each search reaches back before the last one: the time of a row is often that of its statement, and it can
    be seen only after its transaction; and clocks differ. What is found twice costs a lookup in a cache.

    Args:
        changed: the names of accounts that were changed at this time or later, in seconds since the epoch.
        overlap: how many seconds a search reaches back before the last one.
        rarely: how often to search while somebody reports each change, in seconds.
    """

    kind = "changes"

    def __init__(
        self,
        name: str,
        changed: Callable[[int], Iterator[str]],
        close: Callable[[], None],
        overlap: float,
        rarely: float,
    ) -> None:
        self.name = name
        self._changed = changed
        self._overlap = overlap
        self._rarely = rarely
        self.close = close

    def look(self, mark: str | None, now: float, is_followed: bool) -> Found | None:
        """See `Tracker.look`. Without a mark, only what has just changed is new."""
        latest = now - self._overlap
        # A mark of the future is of a clock that was wrong.
        since = latest if mark is None else min(float(mark), latest)
        if is_followed and mark is not None and latest - since < self._rarely:
            return None
        return Found(self._changed(int(since)), f"{latest:.0f}")


class ByFile:
    """A source in one file, which is listed when the file has changed.

    Args:
        names: lists all users in it.
    """

    kind = "file"

    def __init__(self, name: str, path: Path, names: Names, close: Callable[[], None]) -> None:
        self.name = name
        self._path = path
        self._names = names
        self.close = close

    def look(self, mark: str | None, now: float, is_followed: bool) -> Found | None:
        """See `Tracker.look`. The mark is the version of the file."""
        try:
            status = require_regular(self._path.stat(), self._path)
        except OSError as error:
            raise Temporary(f"{self._path} cannot be read: {error.strerror}") from error
        found = json.dumps(version(status))
        if found == mark:
            return None
        # A file that was just changed may be incomplete.
        is_complete = is_settled(status.st_mtime, now)
        return Found(self._names(), found if is_complete else None, is_list=True)


class ByList:
    """A source that can only be listed as a whole.

    Args:
        names: lists all its users.
        every: seconds between two lists.
    """

    kind = "list"

    def __init__(self, name: str, names: Names, close: Callable[[], None], every: float) -> None:
        self.name = name
        self._names = names
        self._every = every
        self.close = close

    def look(self, mark: str | None, now: float, is_followed: bool) -> Found | None:
        """See `Tracker.look`. The mark is the time of the last list."""
        if mark is not None and 0 <= now - float(mark) < self._every:
            return None
        return Found(self._names(), f"{now:.0f}", is_list=True)

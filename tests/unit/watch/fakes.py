"""What the watch is handed, over memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from autocreate.accounts.changes import Found
from autocreate.errors import Temporary


class Texts:
    """Short texts, as a journal keeps them. `fails`: it cannot be used."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.fails = False

    def get(self, name: str) -> str | None:
        self._use()
        return self.kept.get(name)

    def put(self, name: str, value: str) -> None:
        self._use()
        self.kept[name] = value

    def drop(self, name: str) -> None:
        self._use()
        self.kept.pop(name, None)

    def _use(self) -> None:
        if self.fails:
            raise Temporary("the journal is away")


class Source:
    """A source whose new accounts a test chooses; each answer has the next number as its mark."""

    kind = "changes"

    def __init__(self, name: str = "staff", is_list: bool = False) -> None:
        self.name = name
        self.is_list = is_list
        self.found: Callable[[], Iterable[str]] = lambda: ()
        self.asked: list[tuple[str | None, bool]] = []

    def look(self, mark: str | None, now: float, is_followed: bool) -> Found | None:
        self.asked.append((mark, is_followed))
        return Found(iter(self.found()), str(len(self.asked)), self.is_list)

    def close(self) -> None:
        pass


def away() -> Iterable[str]:
    """What a source answers that cannot be asked, after one name."""
    yield "joe"
    raise Temporary("the database is away")

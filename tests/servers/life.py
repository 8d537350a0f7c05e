"""What lasts from `__enter__` to `__exit__`, and leaves nothing behind if its beginning fails."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Life(ABC):
    """A context manager that is made of others."""

    def __init__(self) -> None:
        self._cleanup = contextlib.ExitStack()

    @abstractmethod
    def _enter(self, undo: contextlib.ExitStack) -> None:
        """Begin. What `undo` is told is undone at the end, or at once if this fails."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self._enter(undo)
            self._cleanup = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.close()

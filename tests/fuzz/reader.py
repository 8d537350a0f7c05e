"""What a reader is, and inputs that cost one the most."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from autocreate.errors import AutocreateError

Worst = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of bytes from outside.

    Args:
        read: reads them.
        worst: inputs of a given size that cost the most.
    """

    read: Callable[[bytes], object]
    worst: tuple[Worst, ...]

    def __call__(self, data: bytes) -> None:
        """Read, whatever it is. Any error but our own is a defect."""
        with contextlib.suppress(AutocreateError):
            self.read(data)


def repeated(piece: bytes, before: bytes = b"", after: bytes = b"") -> Worst:
    """The same again and again, up to a size."""
    return lambda size: before + piece * (size // len(piece)) + after


def numbered(form: str) -> Worst:
    """Pieces that differ in a number."""

    def made(size: int) -> bytes:
        count = size // len(form.format(100_000))
        return "".join(form.format(number) for number in range(count)).encode()

    return made


def text_of(data: bytes) -> str:
    """As files and macros are read: bytes that are not UTF-8 are kept."""
    return data.decode("utf-8", "surrogateescape")

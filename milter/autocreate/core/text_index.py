"""Millions of short texts, found by key: all texts in one block of bytes, and eight bytes for each entry.

A dict of strings takes 150 bytes for a name of ten characters. Building it from a list of lines stops every other
thread for seconds, since Python's garbage collector looks at each list and tuple again and again. Here nothing is
kept that the collector looks at, and no step on the way takes longer than a few milliseconds
(docs/decisions/0052).
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, count

# An entry is one number: 32 bits of its key's hash, and 32 bits for where its text begins.
_POSITION = 32
_LOW = (1 << _POSITION) - 1
# Entries that are sorted at a time: a few milliseconds.
_AT_A_TIME = 8192
# Bytes that are decoded at a time to list all texts.
_PIECE = 1 << 16
# Of names that are not UTF-8. No other text has surrogates.
_ERRORS = "surrogateescape"


class TextIndex:
    """Texts by key, in the order in which they were added. A text does not say what its keys are.

    Args:
        block: the texts, each with a line feed.
        entries: sorted.
    """

    def __init__(self, block: bytearray, entries: "array[int]") -> None:
        self._block = block
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str) -> list[str]:
        """The texts with this key, and perhaps some with another one. The caller compares."""
        hashed = hash(key) & _LOW
        at = bisect_left(self._entries, hashed << _POSITION)
        found = []
        while at < len(self._entries) and self._entries[at] >> _POSITION == hashed:
            begin = self._entries[at] & _LOW
            end = self._block.find(b"\n", begin)
            found.append(self._block[begin:end].decode(errors=_ERRORS))
            at += 1
        return found

    def __iter__(self) -> Iterator[str]:
        """All texts."""
        begin = 0
        while begin < len(self._block):
            end = self._block.find(b"\n", begin + _PIECE) + 1 or len(self._block)
            yield from self._block[begin : end - 1].decode(errors=_ERRORS).split("\n")
            begin = end


class TextIndexBuilder:
    """Makes a `TextIndex`. Add some thousand texts at a time."""

    def __init__(self) -> None:
        self._block = bytearray()
        self._runs: list[array[int]] = []

    def add(self, keys: Sequence[str], texts: Sequence[str]) -> None:
        """Add texts, none of which has a line feed. One that repeats the one before with its key is not found again.

        Args:
            keys: of each text its key.
        """
        if not texts:
            return
        begin = len(self._block)
        joined = "\n".join(texts)
        self._block += joined.encode(errors=_ERRORS)
        self._block += b"\n"
        if len(self._block) > _LOW:
            raise OverflowError("more than 4 GiB of names")
        lengths = (
            map(len, texts)
            if joined.isascii()
            else (len(text.encode(errors=_ERRORS)) for text in texts)
        )
        begins = accumulate(lengths, initial=begin)
        run = [
            (hash(key) & _LOW) << _POSITION | (at + before)
            for key, at, before in zip(keys, begins, count())
        ]
        run.sort()
        if len(set(keys)) < len(keys):
            run = self._without_repeats(run)
        self._runs.append(array("Q", run))

    def _without_repeats(self, run: Sequence[int]) -> list[int]:
        """Or who finds a key would get the same line of a file as often as somebody has put it there."""
        kept: list[int] = []
        for entry in run:
            is_same_key = bool(kept) and entry >> _POSITION == kept[-1] >> _POSITION
            if not is_same_key or self._text(entry) != self._text(kept[-1]):
                kept.append(entry)
        return kept

    def _text(self, entry: int) -> bytes:
        begin = entry & _LOW
        return bytes(self._block[begin : self._block.find(b"\n", begin)])

    def built(self) -> TextIndex:
        """The index. Nothing is added afterwards."""
        entries = array("Q")
        total = sum(map(len, self._runs))
        ranges = total // _AT_A_TIME + 1
        positions = [0] * len(self._runs)
        for number in range(1, ranges + 1):
            bound = (number << 2 * _POSITION) // ranges
            part: list[int] = []
            for which, run in enumerate(self._runs):
                begin = positions[which]
                positions[which] = bisect_left(run, bound, begin)
                part += run[begin : positions[which]]
            part.sort()
            entries.fromlist(part)
        self._runs.clear()
        return TextIndex(self._block, entries)

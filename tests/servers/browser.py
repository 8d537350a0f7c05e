"""A real browser without a window: what a page looks like, and what it holds once it is shown."""

from __future__ import annotations

import struct
import subprocess
import tempfile
import zlib
from collections import Counter
from pathlib import Path

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    # The browser's own wish for its makers' servers ends here; a page's for this machine does not.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

Colour = tuple[int, int, int]


def chromium(page: Path, *flags: str) -> str:
    """Shows a page, and returns what the browser prints."""
    with tempfile.TemporaryDirectory(prefix="autocreate-browser-") as profile:
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout


def dom(page: Path) -> str:
    """The page as the browser holds it."""
    return chromium(page, "--dump-dom")


def screenshot(page: Path, picture: Path, *, dark: bool = False) -> Counter[Colour]:
    """Takes a picture of a page; how many pixels each colour has in it."""
    mode = ["--force-dark-mode"] if dark else []
    chromium(page, *mode, "--window-size=1120,1800", f"--screenshot={picture}")
    return colours(picture.read_bytes())


def colours(png: bytes) -> Counter[Colour]:
    """The colours of a picture as browsers write it: 8 bits a channel, RGB or RGBA, not interlaced (PNG, RFC 2083)."""
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    assert (depth, interlaced) == (8, 0)
    size = {2: 3, 6: 4}[kind]
    data, position = b"", 8
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        if png[position + 4 : position + 8] == b"IDAT":
            data += png[position + 8 : position + 8 + length]
        position += length + 12
    raw, row = zlib.decompress(data), bytearray(width * size)
    counts: Counter[Colour] = Counter()
    for line in range(height):
        begin = line * (width * size + 1)
        row = _unfiltered(raw[begin], raw[begin + 1 : begin + 1 + width * size], row, size)
        counts.update(zip(row[0::size], row[1::size], row[2::size], strict=True))
    return counts


def _unfiltered(kind: int, line: bytes, above: bytearray, size: int) -> bytearray:
    """A line of a picture, from what its filter made of it."""
    row = bytearray(line)
    if kind == 2:
        return bytearray((it + up) & 255 for it, up in zip(row, above, strict=True))
    if kind == 0:
        return row
    for position in range(len(row)):
        left = row[position - size] if position >= size else 0
        up = above[position]
        corner = above[position - size] if position >= size else 0
        guess = {1: left, 3: (left + up) // 2, 4: _paeth(left, up, corner)}[kind]
        row[position] = (row[position] + guess) & 255
    return row


def _paeth(left: int, up: int, corner: int) -> int:
    near = left + up - corner
    return min((left, up, corner), key=lambda it: abs(near - it))

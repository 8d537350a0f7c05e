"""IMAP's words, independent of the product's own code: modified UTF-7, quoting, and responses split into values."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Union

Word = Union[str, list["Word"]]  # noqa: UP007 -- a string cannot be the right side of |

# What imaplib makes of one response: bytes, or (bytes up to a literal, the literal).
Chunk = bytes | tuple[bytes, bytes] | None

_TOKEN = re.compile(rb'\s*(?:([()])|"((?:[^"\\]|\\.)*)"|([^\s()"]+))', re.DOTALL)


def encode(name: str) -> bytes:
    """A mailbox name in modified UTF-7 (RFC 3501, 5.1.3)."""
    encoded = b""
    for run in re.findall(r"[\x20-\x7e]+|[^\x20-\x7e]+", name):
        if " " <= run[0] <= "~":
            encoded += run.replace("&", "&-").encode("ascii")
        else:
            shifted = base64.b64encode(run.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
            encoded += b"&" + shifted + b"-"
    return encoded


def decode(name: str) -> str:
    def unshift(match: re.Match[str]) -> str:
        if not match[1]:
            return "&"
        padded = match[1].replace(",", "/") + "=" * (-len(match[1]) % 4)
        return base64.b64decode(padded).decode("utf-16-be")

    return re.sub(r"&([^-]*)-", unshift, name)


def quote(name: str) -> str:
    """A mailbox name as a quoted string."""
    if not name.isprintable():
        raise ValueError(f"no quoted string can hold {name!r}")
    return '"' + re.sub(r'(["\\])', r"\\\1", encode(name).decode("ascii")) + '"'


def responses(data: Sequence[Chunk]) -> Iterator[list[Word]]:
    """The words of each response: strings, and lists for what stands in parentheses."""
    pending: list[Word] = []
    stack: list[list[Word]] = [pending]
    for chunk in data:
        if chunk is None:
            continue
        text, literal = chunk if isinstance(chunk, tuple) else (chunk, None)
        if literal is not None:
            text = re.sub(rb"\{\d+\}$", b"", text)
        for parenthesis, quoted, atom in _TOKEN.findall(text):
            if parenthesis == b"(":
                inner: list[Word] = []
                stack[-1].append(inner)
                stack.append(inner)
            elif parenthesis == b")":
                stack.pop()
            elif atom:
                stack[-1].append(atom.decode("utf-8", "replace"))
            else:
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted).decode("utf-8", "replace"))
        if literal is not None:
            stack[-1].append(literal.decode("utf-8", "replace"))
        else:  # the rest of a line ends the response
            if pending:
                yield pending
            pending = []
            stack = [pending]

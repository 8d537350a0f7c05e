"""Text of unknown origin for a line of a log or of a terminal."""


def printable(text: str) -> str:
    """The text with what is not printable as Python writes it: it stays one line, and commands no terminal."""
    if text.isprintable():
        return text
    return "".join(it if it.isprintable() else repr(it)[1:-1] for it in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines, which stay so."""
    return "\n".join(map(printable, text.splitlines()))


def counted(number: int, one: str, several: str = "") -> str:
    """A number of things in words: `1 mailbox`, `2 mailboxes`.

    Args:
        several: the plural, if it is not `one` with an s.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"

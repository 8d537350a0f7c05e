"""The file of a message that is filled in for each user."""

from pathlib import Path

from autocreate.backends.regular_file import read_settings
from autocreate.core.message import MessageTemplate


def read_message(path: str | Path) -> MessageTemplate:
    """The message in a file.

    Raises:
        OSError: as for `read_settings`.
        MalformedValue: it is no message that can be delivered.
    """
    return MessageTemplate(read_settings(path), str(path))

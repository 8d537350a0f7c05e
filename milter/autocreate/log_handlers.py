"""How `logging` writes this program's log: formatters, handlers, and the record of a decision."""

import logging
import os
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from logging.handlers import SysLogHandler
from typing import Protocol, TextIO

from autocreate.core.printable import printable_lines
from autocreate.log_lines import (
    JSON,
    TEXT,
    Fields,
    decision_text,
    json_fields,
    json_line,
    text_line,
)
from autocreate.model import Verdict

# The priorities of syslog(3), as a line for systemd's journal begins with (sd-daemon(3)).
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


class DecisionRecord(logging.LogRecord):
    """A record of a decision. One of `logging`'s own takes longer to make than to write.

    Of its times only `created` is right, which is all that our formatters show.
    """

    _USUAL = vars(logging.LogRecord("", logging.INFO, "", 0, "", (), None))

    def __init__(self, logger: str, level: int, what: str, fields: Fields) -> None:
        self.__dict__.update(
            self._USUAL,
            name=logger,
            levelno=level,
            levelname=logging.getLevelName(level),
            msg=what,
            created=time.time(),
            fields=fields,
        )


class Formatter(Protocol):
    """A formatter of `logging` that can also write a decision of level info without a record."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""

    def decision(
        self, logger: str, what: str, about: Mapping[str, str], verdict: Verdict, ms: float
    ) -> str:
        """The line of a decision: what `format` makes of its record."""


class Stream(logging.StreamHandler[TextIO]):
    """Writes each line to a stream at once. Threads wait for each other to write, not to format."""

    def __init__(self, stream: TextIO, formatter: Formatter) -> None:
        super().__init__(stream)
        self._formatter = formatter
        # Of `logging`'s own lock each step is a call.
        self._write_lock = threading.Lock()

    def handle(self, record: logging.LogRecord) -> bool:
        """As `Handler.handle` and `StreamHandler.emit` together, without filters, which we have none of."""
        try:
            self._write(self._formatter.format(record))
        except Exception:
            self.handleError(record)
        return True

    def decide(
        self, logger: str, what: str, about: Mapping[str, str], verdict: Verdict, ms: float
    ) -> None:
        """Write a decision of level info.

        Raises:
            OSError, ValueError: as the stream's `write`.
        """
        self._write(self._formatter.decision(logger, what, about, verdict, ms))

    def _write(self, line: str) -> None:
        with self._write_lock:
            self.stream.write(f"{line}\n")
            self.stream.flush()


def is_journal(stream: TextIO) -> bool:
    """Is systemd's journal at the other end? JOURNAL_STREAM says which stream is (systemd.exec(5))."""
    try:
        made = os.fstat(stream.fileno())
    except (OSError, ValueError):  # not every stream has a descriptor
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{made.st_dev}:{made.st_ino}"


class Prioritized:
    """Puts the priority before each line of another formatter."""

    def __init__(self, formatter: Formatter) -> None:
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        priority = f"<{_PRIORITIES.get(record.levelname, 6)}>"
        return "\n".join(priority + it for it in self._formatter.format(record).split("\n"))

    def decision(
        self, logger: str, what: str, about: Mapping[str, str], verdict: Verdict, ms: float
    ) -> str:
        return f"<6>{self._formatter.decision(logger, what, about, verdict, ms)}"


class Syslog(SysLogHandler):
    """The syslog daemon at a Unix socket. Records that it does not take go to stderr."""

    append_nul = False

    def __init__(self, address: str, facility: int) -> None:
        super().__init__(address, facility)
        self.ident = f"autocreate[{os.getpid()}]: "

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
        print(self.format(record), file=sys.stderr, flush=True)


class TextFormatter(logging.Formatter):
    """`INFO recipient answer=accept user=joe reason='INBOX exists'`: one record, one line."""

    def format(self, record: logging.LogRecord) -> str:
        line = text_line(record.levelname, record.getMessage(), getattr(record, "fields", {}))
        if not record.exc_info:
            return line
        # An error's text may be a client's or a server's: no line of it may look like a record.
        lines = printable_lines(self.formatException(record.exc_info))
        return f"{line}\n{textwrap.indent(lines, '  ')}"

    def decision(
        self, _logger: str, what: str, about: Mapping[str, str], verdict: Verdict, ms: float
    ) -> str:
        return f"INFO {what}{decision_text(TEXT, about, verdict, ms)}"


class JsonFormatter(logging.Formatter):
    """The same as an object, which contains what would be further lines as well."""

    def __init__(self) -> None:
        super().__init__()
        self._second = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        if record.exc_info:
            fields = {**fields, "exc_info": self.formatException(record.exc_info)}
        return json_line(
            self._time(record.created),
            record.levelname,
            record.name,
            record.getMessage(),
            json_fields(fields),
        )

    def decision(
        self, logger: str, what: str, about: Mapping[str, str], verdict: Verdict, ms: float
    ) -> str:
        text = decision_text(JSON, about, verdict, ms)
        return json_line(self._time(time.time()), "INFO", logger, what, text)

    def _time(self, created: float) -> str:
        """Local time with its zone, to the second."""
        second, text = self._second
        if second != int(created):
            text = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(created))
            self._second = (int(created), text)
        return text

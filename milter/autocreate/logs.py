"""The log: one line a recipient or login, every other event a sentence; as text or JSON.

What senders can cause without end has a bound: see `log.unknown_per_minute` and `[limits]`.

A recipient's line is an error where it was deferred for a reason that was not logged within the last
hour, else info. So whoever reads only errors learns once an hour of an outage, or of a user that Cyrus
cannot have.

It goes to stderr, or to syslog as facility `mail`. If stderr is systemd's journal, each line begins with
its priority (sd-daemon(3)).

Fields travel in a record's `fields`, so that both formats show the same ones.
"""

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import TextIO

from autocreate.errors import abridged
from autocreate.log_handlers import (
    DecisionRecord,
    JsonFormatter,
    Prioritized,
    Stream,
    Syslog,
    TextFormatter,
    is_journal,
)
from autocreate.log_lines import decision_fields, text_line
from autocreate.model import Answer, Login, Recipient, Verdict
from autocreate.statistics.line_budget import LeftOut, LineBudget

_NO_SUCH = (Answer.UNKNOWN, Answer.MALFORMED)

_root = logging.getLogger("autocreate")
_recipients = logging.getLogger("autocreate.recipient")
_logins = logging.getLogger("autocreate.login")


class _RecentReasons:
    """The reasons of temporary answers that were logged as errors within the last hour.

    Args:
        clock: a monotonic clock, in seconds.
    """

    _AGAIN = 3600.0  # seconds
    _MOST = 1000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}
        self._lock = threading.Lock()

    def is_news(self, reason: str) -> bool:
        """Is this reason due to be logged as an error? Then it counts as logged now."""
        general = re.sub(r"\d+\.\d+", "N", reason)  # without measured times
        now = self._clock()
        with self._lock:
            if now - self._logged.get(general, -self._AGAIN) < self._AGAIN:
                return False
            if len(self._logged) >= self._MOST:
                self._logged.clear()
            self._logged[general] = now
            return True


_recent = _RecentReasons()


class _NoSuchRecipients:
    """The lines about recipients that do not exist: senders can cause as many as they like."""

    def __init__(self, per_minute: int) -> None:
        self._budget = LineBudget(per_minute)
        self._lock = threading.Lock()

    def admits(self, client: str) -> bool:
        """May a line about another one be logged?"""
        with self._lock:
            left_out = self._budget.left_out()
            is_admitted = self._budget.admits(client)
        self._tell(left_out)
        return is_admitted

    def flush(self) -> None:
        """Log what was left out, if the minute is over."""
        with self._lock:
            left_out = self._budget.left_out()
        self._tell(left_out)

    def _tell(self, left_out: LeftOut | None) -> None:
        if left_out:
            clients = " ".join(f"{client or '-'}:{count}" for client, count in left_out.clients)
            fields = {"count": left_out.lines, "clients": clients}
            words = "unknown or malformed recipients not logged in a minute"
            _recipients.warning(words, extra={"fields": fields})


_no_such = _NoSuchRecipients(0)


class _LastError(logging.Handler):
    """Keeps the last line of level error, for `autocreate status`."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last: tuple[float, str] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        line = text_line(record.levelname, record.getMessage(), getattr(record, "fields", {}))
        self.last = (record.created, abridged(line))


_last_error = _LastError()

# Where decisions are written without a record, which would cost more than the line: see decision 48.
_stream: Stream | None = None


def last_error() -> tuple[float, str] | None:
    """When the last error was logged, in seconds since the epoch, and its line; None if there was none."""
    return _last_error.last


def flush() -> None:
    """Log the count of lines that were left out, if their minute is over. Call it now and then."""
    _no_such.flush()


def configure(
    kind: str,
    level: str,
    stream: TextIO = sys.stderr,
    syslog: Path | None = None,
    unknown_per_minute: int = 0,
) -> None:
    """Send this program's log to a stream or to syslog, replacing what was configured before.

    Args:
        kind: "text" or "json".
        level: "debug", "info", "warning" or "error".
        syslog: the socket of the syslog daemon, if the log is to go there.
        unknown_per_minute: how many lines about unknown and malformed recipients; 0 for all.
    """
    global _no_such, _stream  # noqa: PLW0603 -- as the handlers of `logging`, they are the process's
    _no_such = _NoSuchRecipients(unknown_per_minute)
    formatter = JsonFormatter() if kind == "json" else TextFormatter()
    _stream = None
    handler: logging.Handler
    if syslog:
        handler = Syslog(str(syslog), SysLogHandler.LOG_MAIL)
        handler.setFormatter(formatter)
    else:
        handler = _stream = Stream(
            stream, Prioritized(formatter) if is_journal(stream) else formatter
        )
    for old in _root.handlers:
        old.close()
    _root.handlers[:] = [handler, _last_error]
    _root.setLevel(level.upper())
    _root.propagate = False
    # No line shows the place in the code, the thread or the process: finding them out would make each
    # a fifth slower (Logging HOWTO, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def login(
    login: Login,
    verdict: Verdict,
    milliseconds: float,
    is_news: bool = True,
    **fields: str,
) -> None:
    """Log what was decided about someone who logged in.

    Args:
        is_news: False for a login that has a line already; it gets another only if something was decided.
        fields: what else the front end knows: client.
    """
    is_usual = verdict.answer is Answer.ACCEPT and not verdict.created
    passed = verdict.answer is Answer.PASS or (is_usual and not is_news)
    level = logging.DEBUG if passed else logging.INFO
    shown = {"login": login.name, "realm": login.realm, "service": login.service, **fields}
    _decision(_logins, level, "login", shown, verdict, milliseconds)


def verdict(recipient: str, verdict: Verdict, milliseconds: float, **fields: str) -> None:
    """Log what was decided about a recipient.

    Args:
        recipient: the address as the client wrote it.
        fields: what else the front end knows: client, sender, queue id.
    """
    if verdict.answer in _NO_SUCH and not _no_such.admits(fields.get("client", "")):
        return
    passed = not (verdict.user or verdict.reply or verdict.suppressed or verdict.aliases)
    level = logging.DEBUG if passed else logging.INFO
    shown = {"recipient": recipient, **fields}
    _decision(_recipients, level, "recipient", shown, verdict, milliseconds)


def lookup(recipient: Recipient, verdict: Verdict, milliseconds: float, **fields: str) -> None:
    """Log what the socket map said about a recipient.

    It is a line of debugging if the milter is asked next, which logs the recipient itself.

    Args:
        fields: the name of the map, and the answer: said.
    """
    is_last = not fields["said"].startswith("OK")
    # Of a recipient that is not ours, or would be accepted but for dry run, senders can cause as many too.
    is_countless = verdict.answer is not Answer.TEMPORARY
    if is_last and is_countless and not _no_such.admits(""):
        return
    level = logging.INFO if is_last or verdict.suppressed else logging.DEBUG
    _decision(
        _recipients,
        level,
        "lookup",
        {"recipient": recipient.argument, **fields},
        verdict,
        milliseconds,
    )


def _decision(
    logger: logging.Logger,
    level: int,
    what: str,
    about: Mapping[str, str],
    verdict: Verdict,
    milliseconds: float,
) -> None:
    if verdict.limited:
        level = logging.DEBUG  # `[limits]` has a line a minute
    elif verdict.answer is Answer.TEMPORARY and _recent.is_news(verdict.reason):
        level = logging.ERROR
    if not logger.isEnabledFor(level):
        return
    # A handler that somebody has added is to see every record.
    if level == logging.INFO and _stream and len(_root.handlers) == 2:
        try:
            _stream.decide(logger.name, what, about, verdict, milliseconds)
        except (OSError, ValueError):
            pass  # tried again below, where the handler reports it
        else:
            return
    fields = decision_fields(about, verdict, milliseconds)
    logger.handle(DecisionRecord(logger.name, level, what, fields))

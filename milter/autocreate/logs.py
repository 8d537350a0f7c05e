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
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import Any, TextIO

from autocreate.aliases.syntax import abbreviate
from autocreate.core.printable import printable
from autocreate.model import Answer, Login, Recipient, Verdict
from autocreate.statistics.line_budget import LeftOut, LineBudget
from autocreate.tree.plan import Plan, as_text

_NO_SUCH = (Answer.UNKNOWN, Answer.MALFORMED)

_recipients = logging.getLogger("autocreate.recipient")
_logins = logging.getLogger("autocreate.login")

# systemd's journal and syslog add the time themselves.
_TEXT = "%(levelname)s %(message)s"

# Characters for which a value in the text log is quoted.
_TO_QUOTE = re.compile(r"""[ '"=\\]""").search

# The priorities of syslog(3), as a line for systemd's journal begins with (sd-daemon(3)).
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


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
    global _no_such  # noqa: PLW0603 -- as the handlers of `logging`, it is the process's
    _no_such = _NoSuchRecipients(unknown_per_minute)
    formatter = _json_formatter() if kind == "json" else _TextFormatter(_TEXT)
    handler: logging.Handler
    if syslog:
        handler = _Syslog(str(syslog), SysLogHandler.LOG_MAIL)
    else:
        handler = logging.StreamHandler(stream)
        formatter = _Prioritized(formatter) if _is_journal(stream) else formatter
    handler.setFormatter(formatter)
    root = logging.getLogger("autocreate")
    for old in root.handlers:
        old.close()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
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


def verdict(recipient: Recipient, verdict: Verdict, milliseconds: float, **fields: str) -> None:
    """Log what was decided about a recipient.

    Args:
        fields: what else the front end knows: client, sender, queue id.
    """
    if verdict.answer in _NO_SUCH and not _no_such.admits(fields.get("client", "")):
        return
    passed = not (verdict.reply or verdict.user or verdict.suppressed or verdict.aliases)
    level = logging.DEBUG if passed else logging.INFO
    shown = {"recipient": recipient.argument, **fields}
    _decision(_recipients, level, "recipient", shown, verdict, milliseconds)


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
    shown: dict[str, Any] = {
        **about,
        "answer": verdict.answer.value,
        "aliases": abbreviate(verdict.aliases, "; "),
        "withheld": verdict.suppressed,
        "user": verdict.user,
        "source": verdict.source,
        "asked": " ".join(map(_asked, (verdict, *verdict.parts))).strip(),
        "policy": verdict.policy,
        "created": verdict.created or "",
        # A plan that is carried out has a line for each step.
        "plan": "; ".join(map(_planned, verdict.plans)) if verdict.suppressed else "",
        "ms": round(milliseconds, 1),
        "reason": verdict.reason,
    }
    present = {name: value for name, value in shown.items() if value not in ("", None)}
    logger.log(level, what, extra={"fields": present})


def _asked(verdict: Verdict) -> str:
    """`people:1.3 staff:cache old:2001.7!`: each source asked, its milliseconds, `!` if it failed."""
    return " ".join(
        f"{source}:{'cache' if milliseconds is None else round(milliseconds, 1)}{'!' * failed}"
        for source, milliseconds, failed in verdict.asked
    )


def _planned(plan: Plan) -> str:
    """`joe: create INBOX, subscribe to Sent`."""
    return f"{plan.user}: {', '.join(as_text(plan))}"


def _is_journal(stream: TextIO) -> bool:
    """Is systemd's journal at the other end? JOURNAL_STREAM says which stream is (systemd.exec(5))."""
    try:
        made = os.fstat(stream.fileno())
    except (OSError, ValueError):  # not every stream has a descriptor
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{made.st_dev}:{made.st_ino}"


class _Prioritized(logging.Formatter):
    """Puts the priority before each line of another formatter."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        priority = f"<{_PRIORITIES.get(record.levelname, 6)}>"
        return "\n".join(priority + it for it in self._formatter.format(record).split("\n"))


class _Syslog(SysLogHandler):
    """The syslog daemon at a Unix socket. Records that it does not take go to stderr."""

    append_nul = False

    def __init__(self, address: str, facility: int) -> None:
        super().__init__(address, facility)
        self.ident = f"autocreate[{os.getpid()}]: "

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
        print(self.format(record), file=sys.stderr, flush=True)


class _TextFormatter(logging.Formatter):
    """`INFO recipient answer=accept user=joe reason='INBOX exists'`: one record, one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        # Clients and servers choose some of these characters; none may begin a new line.
        line = printable(super().formatMessage(record))
        fields = getattr(record, "fields", {})
        return line + "".join([f" {name}={_word(value)}" for name, value in fields.items()])


def _word(value: Any) -> str:
    text = str(value)
    is_plain = text.isprintable() and text and not _TO_QUOTE(text)
    return text if is_plain else repr(text)


def _json_formatter() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415 -- only when it is wanted

    class Flat(JsonFormatter):
        def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
            fields = log_data.pop("fields", {})
            clean = {
                name: value.encode("utf-8", "backslashreplace").decode("utf-8")
                if isinstance(value, str)
                else value
                for name, value in fields.items()
            }
            return {**log_data, **clean}

    return Flat(
        "%(asctime)s %(levelname)s %(name)s %(message)s",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )

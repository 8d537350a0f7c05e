"""The log: one line a recipient or login, every other event a sentence; as text or JSON, on stderr.

Fields travel in a record's `fields`, so that both formats show the same ones.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from autocreate.core.aliastext import few
from autocreate.model import Answer, Login, Recipient, Verdict

_recipients = logging.getLogger("autocreate.recipient")
_logins = logging.getLogger("autocreate.login")

# systemd's journal stamps lines itself; a time of ours would only stand there twice.
_TEXT = "%(levelname)s %(message)s"


def configure(kind: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Send this program's log to a stream, replacing what was configured before.

    Args:
        kind: "text" or "json".
        level: "debug", "info", "warning" or "error".
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_json_formatter() if kind == "json" else _TextFormatter(_TEXT))
    root = logging.getLogger("autocreate")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False


def login(
    login: Login,
    verdict: Verdict,
    milliseconds: float,
    is_news: bool = True,
    **fields: str,
) -> None:
    """Log what was decided about someone who logged in.

    Args:
        is_news: False for a login that has a line already, unless there is something to say of it.
        fields: what the front end knows besides: client.
    """
    is_usual = verdict.answer is Answer.ACCEPT and not verdict.created
    passed = verdict.answer is Answer.PASS or (is_usual and not is_news)
    level = logging.DEBUG if passed else logging.INFO
    shown = {"login": login.name, "realm": login.realm, "service": login.service, **fields}
    _decision(_logins, level, "login", shown, verdict, milliseconds)


def verdict(recipient: Recipient, verdict: Verdict, milliseconds: float, **fields: str) -> None:
    """Log what was decided about a recipient.

    Args:
        fields: what the front end knows besides: client, sender, queue id.
    """
    passed = not (verdict.reply or verdict.user or verdict.withheld or verdict.aliases)
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
    if not logger.isEnabledFor(level):
        return
    shown: dict[str, Any] = {
        **about,
        "answer": verdict.answer.value,
        "aliases": few(verdict.aliases, "; "),
        "withheld": verdict.withheld,
        "user": verdict.user,
        "source": verdict.source,
        "asked": " ".join(map(_asked, (verdict, *verdict.parts))).strip(),
        "policy": verdict.policy,
        "created": verdict.created or "",
        "ms": round(milliseconds, 1),
        "reason": verdict.reason,
    }
    present = {name: value for name, value in shown.items() if value not in ("", None)}
    logger.log(level, what, extra={"fields": present})


def _asked(verdict: Verdict) -> str:
    """`people:1.3 staff:cache`: who was asked, and for how many milliseconds."""
    return " ".join(
        f"{source}:{'cache' if milliseconds is None else round(milliseconds, 1)}"
        for source, milliseconds in verdict.asked
    )


class _TextFormatter(logging.Formatter):
    """`INFO recipient answer=accept user=joe reason='INBOX stands'`: one record, one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        # Clients and servers choose some of these characters; none may begin a line of its own.
        line = "".join(
            it if it.isprintable() else repr(it)[1:-1] for it in super().formatMessage(record)
        )
        for name, value in getattr(record, "fields", {}).items():
            line += f" {name}={_word(value)}"
        return line


def _word(value: Any) -> str:
    text = str(value)
    plain = text.isprintable() and not set(text) & set(" '\"=\\")
    return text if plain and text else repr(text)


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

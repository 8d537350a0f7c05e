"""One line of the log for each event: what it says, as text or JSON. No time and no output is here.

The lines of recipients and logins are most of the log, and were a third of the cost of a recipient whose
mailbox is known. So nothing in here is general: see decision 0048.
"""

import re
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii
from typing import Any

from autocreate.aliases.syntax import abbreviate
from autocreate.core.printable import printable
from autocreate.model import Verdict
from autocreate.tree.plan import Plan, as_text

# Fields by name, in the order in which they are shown. Their values are text, numbers or True.
Fields = Mapping[str, Any]

# Characters for which a value in the text log is quoted.
_TO_QUOTE = re.compile(r"""[ '"=\\]""").search

_JSON: dict[type, Callable[[Any], str]] = {
    bool: lambda it: "true" if it else "false",
    int: repr,
    float: repr,
}


def decision_fields(about: Mapping[str, str], verdict: Verdict, milliseconds: float) -> Fields:
    """What the line of a recipient or a login shows. Fields without a value are left out.

    Args:
        about: whom it was about, and what the front end knows.
    """
    fields: dict[str, Any] = {name: value for name, value in about.items() if value}
    fields["answer"] = verdict.answer.value
    if verdict.aliases:
        fields["aliases"] = abbreviate(verdict.aliases, "; ")
    if verdict.suppressed:
        fields["withheld"] = verdict.suppressed
    if verdict.user:
        fields["user"] = verdict.user
    if verdict.source:
        fields["source"] = verdict.source
    answered = (verdict, *verdict.parts)
    if asked := " ".join([_asked(it) for it in answered if it.asked]):
        fields["asked"] = asked
    if verdict.policy:
        fields["policy"] = verdict.policy
    if verdict.created:
        fields["created"] = True
    # A plan that is carried out has a line for each step.
    if verdict.suppressed and (plan := "; ".join(map(_planned, verdict.plans))):
        fields["plan"] = plan
    fields["ms"] = round(milliseconds, 1)
    if verdict.reason:
        fields["reason"] = verdict.reason
    return fields


def text_line(level: str, message: str, fields: Fields) -> str:
    """`INFO recipient answer=accept user=joe reason='INBOX exists'`."""
    # Clients and servers choose some of these characters; none may begin a new line.
    line = printable(f"{level} {message}")
    return line + "".join([f" {name}={_word(value)}" for name, value in fields.items()])


def json_line(time: str, level: str, logger: str, message: str, fields: Fields) -> str:
    """`{"time": "...", "level": "INFO", "logger": "...", "message": "recipient", "answer": "accept"}`.

    As `json.dumps` writes it: ASCII only.
    """
    head = (
        f'{{"time": "{time}", "level": "{level}", "logger": {encode_basestring_ascii(logger)}, '
        f'"message": {encode_basestring_ascii(message)}'
    )
    tail = "".join([f', "{name}": {_json(value)}' for name, value in fields.items()])
    return f"{head}{tail}}}"


def _word(value: Any) -> str:
    text = str(value)
    is_plain = text.isprintable() and text and not _TO_QUOTE(text)
    return text if is_plain else repr(text)


def _json(value: Any) -> str:
    if isinstance(value, str):
        if not value.isascii():
            value = value.encode("utf-8", "backslashreplace").decode("utf-8")
        return encode_basestring_ascii(value)
    return _JSON[type(value)](value)


def _asked(verdict: Verdict) -> str:
    """`people:1.3 staff:cache old:2001.7!`: each source asked, its milliseconds, `!` if it failed."""
    return " ".join(
        f"{source}:{'cache' if milliseconds is None else round(milliseconds, 1)}{'!' * failed}"
        for source, milliseconds, failed in verdict.asked
    )


def _planned(plan: Plan) -> str:
    """`joe: create INBOX, subscribe to Sent`."""
    return f"{plan.user}: {', '.join(as_text(plan))}"

"""One line of the log for each event: what it says, as text or JSON. No time and no output is here.

The lines of recipients and logins are most of the log, and were a third of the cost of a recipient whose
mailbox is known. So nothing in here is general: see decision 0048.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from autocreate.aliases.syntax import abbreviate
from autocreate.core.printable import printable
from autocreate.model import Answer, Verdict
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


class Notation(NamedTuple):
    """How a log writes fields: `TEXT` or `JSON`.

    Args:
        fields: writes some, as they follow others in a line.
        milliseconds: writes the duration of a decision, which differs from line to line.
    """

    fields: Callable[[Fields], str]
    milliseconds: str


def decision_fields(about: Mapping[str, str], verdict: Verdict, milliseconds: float) -> Fields:
    """What the line of a recipient or a login shows. Fields without a value are left out.

    Args:
        about: whom it was about, and what the front end knows.
    """
    before, after = _verdict_fields(verdict)
    return {**_with_value(about), **before, "ms": round(milliseconds, 1), **after}


def decision_text(
    notation: Notation, about: Mapping[str, str], verdict: Verdict, milliseconds: float
) -> str:
    """`decision_fields` as they are written.

    Most lines are about recipients of whom nobody had to be asked. What those say of the verdict is
    kept, because it is the same each time.
    """
    is_plain = not (
        verdict.asked or verdict.aliases or verdict.suppressed or verdict.created or verdict.parts
    )
    if is_plain:
        before, after = _plain_verdict(
            notation, verdict.answer, verdict.user, verdict.source, verdict.policy, verdict.reason
        )
    else:
        before, after = map(notation.fields, _verdict_fields(verdict))
    shown = notation.fields(_with_value(about))
    return f"{shown}{before}{notation.milliseconds % round(milliseconds, 1)}{after}"


@lru_cache(4096)
def _plain_verdict(
    notation: Notation, answer: Answer, user: str, source: str, policy: str, reason: str
) -> tuple[str, str]:
    """What is written before and after the milliseconds, of a verdict that has nothing else to show."""
    before, after = _verdict_fields(Verdict(answer, reason, user, source, policy))
    return notation.fields(before), notation.fields(after)


def _verdict_fields(verdict: Verdict) -> tuple[Fields, Fields]:
    """What is shown of a verdict before and after the milliseconds."""
    fields: dict[str, Any] = {"answer": verdict.answer.word}
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
    return fields, {"reason": verdict.reason} if verdict.reason else {}


def _with_value(about: Mapping[str, str]) -> Fields:
    return {name: value for name, value in about.items() if value}


def text_line(level: str, message: str, fields: Fields) -> str:
    """`INFO recipient answer=accept user=joe reason='INBOX exists'`."""
    # Clients and servers choose some of these characters; none may begin a new line.
    return printable(f"{level} {message}") + text_fields(fields)


def text_fields(fields: Fields) -> str:
    """` answer=accept user=joe reason='INBOX exists'`."""
    return "".join([f" {name}={_word(str(value))}" for name, value in fields.items()])


def json_line(time: str, level: str, logger: str, message: str, fields: str) -> str:
    """`{"time": "...", "level": "INFO", "logger": "...", "message": "recipient", "answer": "accept"}`.

    As `json.dumps` writes it: ASCII only.

    Args:
        fields: as `json_fields` writes them.
    """
    head = (
        f'{{"time": "{time}", "level": "{level}", "logger": {encode_basestring_ascii(logger)}, '
        f'"message": {encode_basestring_ascii(message)}'
    )
    return f"{head}{fields}}}"


def json_fields(fields: Fields) -> str:
    """`, "answer": "accept", "user": "joe"`."""
    return "".join([f', "{name}": {_json(value)}' for name, value in fields.items()])


TEXT = Notation(text_fields, " ms=%s")
JSON = Notation(json_fields, ', "ms": %s')


# Most words of a log come again.
@lru_cache(4096)
def _word(text: str) -> str:
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

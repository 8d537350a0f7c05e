"""What Cyrus's lmtpd will say at delivery, concluded from what it says at RCPT now.

Every reply of the server means one of five outcomes. The sender gets its codes with a text of ours:
lmtpd's own texts name the server and the session. Follows RFC 2033 (LMTP), RFC 3463
(enhanced codes), RFC 6531 (SMTPUTF8), and imap/lmtpengine.c of Cyrus.
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from autocreate.errors import abridged
from autocreate.model import Envelope, Reply


class LmtpReply(NamedTuple):
    """A reply of lmtpd: code, enhanced code (may be empty), and the text of its last line."""

    code: int
    enhanced: str = ""
    text: str = ""

    @property
    def is_positive(self) -> bool:
        return 200 <= self.code < 300

    def __str__(self) -> str:
        text = _SESSION.sub("", self.text).strip()
        return abridged(" ".join(filter(None, [str(self.code), self.enhanced, text])))


class Outcome(Enum):
    """How delivery will end."""

    TAKEN = "taken"
    UNKNOWN = "unknown"  # lmtpd finds no such mailbox
    REFUSED = "refused"
    CRASH = "crash"  # lmtpd crashes on this recipient
    NO_ANSWER = "no answer"  # lmtpd did not say, and nothing changes


class Forecast(NamedTuple):
    """How delivery to one recipient will end.

    Args:
        why: for the log.
        reply: for the sender, if it is refused.
    """

    outcome: Outcome
    why: str = ""
    reply: Reply | None = None


class Server(NamedTuple):
    """lmtpd's version (None with Cyrus's `serverinfo: off`), and its capabilities."""

    version: tuple[int, int] | None = None
    offers: frozenset[str] = frozenset()


# Codes that are about the recipient. Any other is about us, or the server.
_OF_RECIPIENT = frozenset((450, 451, 452, 501, 550, 551, 552, 553, 554))

# The first version whose lmtpd survives the default domain in capitals.
_SURVIVES = (3, 12)

_SESSION = re.compile(r"\s*SESSIONID=<[^>]*>")
_VERSION = re.compile(r"\bCyrus LMTP(?: Murder)? v?(\d{1,9})\.(\d{1,9})")
_SIZE = re.compile(r"SIZE=(\d{1,18})", re.IGNORECASE)

# By the last two numbers of the enhanced code. None of them says more than the code does.
_TEXTS = {
    "1.1": "User unknown",
    "2.1": "Mailbox disabled, not accepting messages",
    "2.2": "Mailbox full",
    "2.3": "Message too large",
    "3.4": "Message too large",
    "6.7": "Internationalized mail is not supported for this recipient",
    "7.1": "Delivery not authorized",
}

_NO_SMTPUTF8 = Reply("553", "5.6.7", _TEXTS["6.7"])


def envelope_of(sender: str, parameters: Sequence[str]) -> Envelope:
    """The envelope that MAIL gave.

    Args:
        parameters: those of ESMTP, as the client wrote them.
    """
    sizes = [int(match[1]) for it in parameters if (match := _SIZE.fullmatch(it))]
    is_utf8 = any(it.upper() == "SMTPUTF8" for it in parameters)
    return Envelope(sender, sizes[0] if sizes else 0, is_utf8)


def server_of(greeting: str, capabilities: Sequence[str]) -> Server:
    """What lmtpd says of itself in its greeting and its answer to LHLO."""
    version = _VERSION.search(greeting)
    words = (it.split(maxsplit=1) for it in capabilities)
    return Server(
        (int(version[1]), int(version[2])) if version else None,
        frozenset(it[0].upper() for it in words if it),
    )


def refused_by_mta(server: Server, envelope: Envelope, recipient: str) -> Forecast | None:
    """What the MTA will bounce without asking lmtpd: an address beyond ASCII without SMTPUTF8.

    Where the client did not ask for SMTPUTF8, Postfix sends such an address as it is.
    """
    is_ascii = recipient.isascii() and envelope.sender.isascii()
    if is_ascii or not envelope.smtputf8 or "SMTPUTF8" in server.offers:
        return None
    return Forecast(Outcome.REFUSED, "lmtpd does not offer SMTPUTF8", _NO_SMTPUTF8)


def crashes_on(server: Server, domain: str, default_domain: str) -> bool:
    """Does lmtpd crash on this domain? Up to Cyrus 3.10 it crashes on the default domain in another case.

    It says 250 at RCPT, and crashes at DATA; with its own autocreate it crashes at RCPT. Cyrus's master
    disables the service when that happens too often.

    Args:
        domain: as the MTA writes it.
        default_domain: of a Cyrus with virtual domains; empty without.
    """
    if server.version and server.version >= _SURVIVES:
        return False
    return domain != default_domain and domain.lower() == default_domain != ""


def forecast(mail: LmtpReply, recipient: LmtpReply | None) -> Forecast:
    """What the replies to MAIL and RCPT mean.

    Args:
        recipient: None if lmtpd closed the connection instead of replying.
    """
    if mail.code == 552:  # SIZE exceeds maxmessagesize
        return Forecast(Outcome.REFUSED, str(mail), _to_sender(mail))
    if not mail.is_positive:
        return Forecast(Outcome.NO_ANSWER, f"lmtpd refuses MAIL: {mail}{_remedy(mail)}")
    if recipient is None or recipient.code == 421:
        said = f": {recipient}" if recipient else ""
        return Forecast(Outcome.CRASH, f"lmtpd ended the connection at this recipient{said}")
    if recipient.is_positive:
        return Forecast(Outcome.TAKEN, str(recipient))
    if recipient.code not in _OF_RECIPIENT:
        return Forecast(
            Outcome.NO_ANSWER, f"lmtpd answered RCPT with {recipient}{_remedy(recipient)}"
        )
    if recipient.code == 550 and recipient.enhanced in ("", "5.1.1"):
        return Forecast(Outcome.UNKNOWN, str(recipient))
    return Forecast(Outcome.REFUSED, str(recipient), _to_sender(recipient))


def _to_sender(reply: LmtpReply) -> Reply:
    """lmtpd's codes, with a text of ours."""
    kind = str(reply.code)[0]
    enhanced = reply.enhanced if reply.enhanced.startswith(f"{kind}.") else f"{kind}.2.0"
    otherwise = (
        "Mailbox unavailable" if kind == "5" else "Temporary failure, please try again later"
    )
    return Reply(str(reply.code), enhanced, _TEXTS.get(enhanced.partition(".")[2], otherwise))


def _remedy(reply: LmtpReply) -> str:
    if reply.code in (430, 530):
        return "; it must accept us like the MTA: use its Unix socket, or lmtpd -a"
    return ""

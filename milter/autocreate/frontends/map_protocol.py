"""The socket map protocol: what Postfix and Sendmail ask, and what they are answered. Bytes in, bytes out.

A request is the netstring of `NAME KEY`, and so is its answer: `OK DATA`, `NOTFOUND`, `TEMP` or `PERM` with
words for the log of the MTA (socketmap_table(5); "SOCKET MAP" in Sendmail's cf/README). OK needs data:
Postfix takes an empty value for a mistake. Postfix answers 451 to TEMP and to PERM, for which it logs a
mistake in its configuration; Sendmail's rule set decides. Decision 0073 says why each verdict has its answer.
"""

from typing import NamedTuple

from autocreate.errors import MalformedLookup
from autocreate.model import Answer, Verdict

# Bytes of a request. An address has 320 at most (RFC 5321); Postfix takes longer ones.
LONGEST_REQUEST = 4096
_DIGITS = len(str(LONGEST_REQUEST))

OK = "OK"
NOTFOUND = "NOTFOUND"
TEMP = "TEMP"
PERM = "PERM"

# What Postfix logs, and Sendmail. It discloses nothing; our own log has the reason.
_WORDS = {
    NOTFOUND: "User unknown",
    TEMP: "Temporary failure, see the log of autocreate",
    PERM: "Not a request for a map",
}


class Lookup(NamedTuple):
    """A request: the name of the map, which means nothing here, and the key."""

    name: str
    key: str

    @property
    def is_address(self) -> bool:
        """False for `@example.org`, which would match every address in the domain."""
        return not self.key.startswith("@")


def length_of(head: bytes) -> int | None:
    """How many bytes follow the head of a netstring, with the comma; None if the head is not complete.

    Raises:
        MalformedLookup: it is not a netstring, or is too long.
    """
    digits, colon, _ = head.partition(b":")
    # isdigit() of bytes takes ASCII alone. A length may not begin with 0.
    if (digits and not digits.isdigit()) or (len(digits) > 1 and digits.startswith(b"0")):
        raise MalformedLookup("not a netstring")
    if len(digits) > _DIGITS or (digits and int(digits) > LONGEST_REQUEST):
        raise MalformedLookup(f"longer than {LONGEST_REQUEST} bytes")
    if not colon:
        return None
    if not digits:
        raise MalformedLookup("not a netstring")
    return int(digits) + 1


def body_of(received: bytearray) -> bytes | None:
    """Take what follows the head of the first netstring, with the comma; None if it is not complete.

    Args:
        received: what follows the netstring is left in it.

    Raises:
        MalformedLookup: it does not begin with a netstring, or with one that is too long.
    """
    length = length_of(bytes(received[: _DIGITS + 1]))
    if length is None:
        return None
    begin = received.index(b":") + 1
    if len(received) < begin + length:
        return None
    body = bytes(received[begin : begin + length])
    del received[: begin + length]
    return body


def read(body: bytes) -> Lookup:
    """The request in a netstring.

    Args:
        body: what follows its head.

    Raises:
        MalformedLookup: no comma ends it, or it is not a name and a key.
    """
    if not body.endswith(b","):
        raise MalformedLookup("a netstring without its comma")
    name, space, key = body[:-1].partition(b" ")
    if not (name and space):
        raise MalformedLookup("not a name and a key")
    return Lookup(*(it.decode("utf-8", "surrogateescape") for it in (name, key)))


def status_of(verdict: Verdict) -> str:
    """The answer to a verdict: OK, NOTFOUND or TEMP.

    A recipient whom Cyrus refuses for good exists: the milter is asked next, and has the right reply.
    """
    match verdict.answer:
        case Answer.UNKNOWN | Answer.MALFORMED:
            return NOTFOUND
        case Answer.PASS:
            return NOTFOUND if verdict.foreign else OK
        case Answer.ACCEPT:
            return OK
        case Answer.REFUSED if verdict.refusal and verdict.refusal.code.startswith("5"):
            return OK
    return TEMP


def status_in_dry_run(verdict: Verdict, mailbox: Verdict) -> str:
    """The answer in dry run: what Cyrus would say today, so that nothing changes for senders.

    Args:
        verdict: what would be decided.
        mailbox: `ACCEPT` if the recipient's mailbox exists, as `Service.find_mailbox` has it.
    """
    has_mailbox = mailbox.answer is Answer.ACCEPT
    if mailbox.answer is Answer.PASS or (has_mailbox and verdict.answer is Answer.REFUSED):
        return status_of(verdict)  # a shared folder, or refused by Cyrus itself
    return status_of(mailbox)


def reply(status: str, key: str = "") -> bytes:
    """The netstring of an answer. OK repeats the key, as smmapd does."""
    said = key.encode("utf-8", "surrogateescape") if status == OK else _WORDS[status].encode()
    line = status.encode() + b" " + said
    return b"%d:%b," % (len(line), line)

"""What a server's NO means. The only place where a server's words are read for a decision.

A response code counts before the words: RFC 5530 and RFC 6154 for IMAP, RFC 5804 for ManageSieve.
Cyrus 3.6 sends few codes, and none for most of what is asked here; the words are those that it was
heard to say. What another release words otherwise is `OTHER`, and tried again.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum

from autocreate.errors import Reason
from autocreate.mailstore.sieve.script import compiler_errors

_IMAP_CODES = {
    "NONEXISTENT": Reason.MISSING,
    "ALREADYEXISTS": Reason.EXISTS,
    "NOPERM": Reason.FORBIDDEN,
    "CANNOT": Reason.IMPOSSIBLE,
    "USEATTR": Reason.IMPOSSIBLE,  # RFC 6154: not for this folder, or no special use of this server
    **dict.fromkeys(("UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT", "OVERQUOTA"), Reason.OTHER),
}

_IMAP_WORDS = (
    ("already exists", Reason.EXISTS),
    ("special-use flag conflict", Reason.TAKEN),
    ("mailbox does not exist", Reason.MISSING),
    ("quota root does not exist", Reason.MISSING),
    ("permission denied", Reason.FORBIDDEN),
    ("invalid mailbox name", Reason.IMPOSSIBLE),
)

_SIEVE_CODES = {
    "NONEXISTENT": Reason.MISSING,
    "ALREADYEXISTS": Reason.EXISTS,
    "QUOTA/MAXSIZE": Reason.IMPOSSIBLE,
    "QUOTA/MAXSCRIPTS": Reason.TAKEN,
    "TRYLATER": Reason.OTHER,
}

_SIEVE_WORDS = (("invalid script name", Reason.IMPOSSIBLE),)

# A NO to a login without a look at the password: the codes of RFC 5530, libsasl's words for SASL_FAIL,
# and imaplib's for BAD.
_NOT_CHECKED = re.compile(
    r"\[(UNAVAILABLE|SERVERBUG|INUSE|CONTACTADMIN)\]|generic failure|^AUTHENTICATE command error",
    re.IGNORECASE,
)

# libsasl's words for a mechanism that is not there, and for one that is there with TLS only.
_NO_PLAIN = re.compile(r"no mechanism available|encryption needed", re.IGNORECASE)

_CODE = re.compile(r"\[([A-Z0-9-]+)[^]]*\]", re.IGNORECASE)


def imap_reason(text: str) -> Reason:
    """Why an IMAP server said NO or BAD.

    Args:
        text: what follows the NO, with its response code in brackets if there is one.
    """
    code = _CODE.match(text.lstrip())
    return _reason(code[1] if code else "", text, _IMAP_CODES, _IMAP_WORDS)


class LoginRefusal(Enum):
    """Why a server did not let somebody in."""

    PASSWORD = "the name or the password is wrong, or this user may not log in"
    NOT_CHECKED = "the server could not check the password"
    NO_PLAIN = "the server does not take SASL PLAIN on this connection"


def login_refusal(text: str) -> LoginRefusal:
    """Why an IMAP server refused a login.

    Args:
        text: as for `imap_reason`, or what imaplib made of a BAD.
    """
    if _NO_PLAIN.search(text):
        return LoginRefusal.NO_PLAIN
    return LoginRefusal.NOT_CHECKED if _NOT_CHECKED.search(text) else LoginRefusal.PASSWORD


def sieve_reason(code: str, text: str) -> Reason:
    """Why a ManageSieve server said NO. An error of its compiler is final, and names a line.

    Args:
        code: the response code without its parentheses; "" for none.
    """
    if compiler_errors(text):
        return Reason.IMPOSSIBLE
    return _reason(code.partition(" ")[0].strip('"'), text, _SIEVE_CODES, _SIEVE_WORDS)


def _reason(
    code: str, text: str, codes: Mapping[str, Reason], words: Sequence[tuple[str, Reason]]
) -> Reason:
    if code.upper() in codes:
        return codes[code.upper()]
    lowered = text.lower()
    return next((reason for said, reason in words if said in lowered), Reason.OTHER)

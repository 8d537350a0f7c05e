"""Password checkers. One module for each kind of server; `CHECKERS` is the table of them.

An answer is the server's own, OK or NO, or `Temporary` for "cannot tell". A checker never turns an
error into a NO, nor anything but the server's yes into an OK.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from autocreate.passwords.request import SaslauthdRequest
from autocreate.resilience.steps import Steps

OK = b"OK"
NO = b"NO"


class PasswordChecker(Protocol):
    """A server that knows passwords. Asked from several threads at once."""

    def check(self, attempt: SaslauthdRequest) -> bytes:
        """The server's answer: it begins with OK if the password is right, with NO if it is wrong.

        The password is handed on to the server and to nobody else, and not kept.

        Raises:
            Temporary: the server did not answer, or its answer made no sense.
        """


@runtime_checkable
class StepwiseChecker(PasswordChecker, Protocol):
    """One that needs no thread to wait in."""

    def ask(self, attempt: SaslauthdRequest) -> Steps[bytes]:
        """As `check`."""


class Checker(NamedTuple):
    """Where a checker's code is. Loaded only when a configuration names it."""

    module: str
    factory: str


CHECKERS = {
    "saslauthd": Checker("autocreate.passwords.saslauthd", "Saslauthd"),
    "pam": Checker("autocreate.passwords.pam", "Pam"),
    "imap": Checker("autocreate.passwords.imap", "Imap"),
}

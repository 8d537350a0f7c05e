"""Scripts over ManageSieve (RFC 5804), by connections that act for one user after the other.

The administrator logs in and acts for the user (SASL PLAIN's authorization identity), and out again:
Cyrus starts a process for each connection, which takes longer than all that is asked of it. Every string
goes out as a literal, which nothing in it can end early; the client is our own for the reasons in
docs/decisions/.
"""

import base64
import contextlib
import re
from collections.abc import Callable
from functools import partial
from typing import ClassVar, TypeVar

from autocreate.errors import Reason, Refused, Temporary
from autocreate.mailstore.server import Server
from autocreate.mailstore.sieve.files import problems
from autocreate.mailstore.sieve.script import is_same_text
from autocreate.mailstore.sieve.wire import SieveWire, as_text
from autocreate.resilience.breaker import Breaker
from autocreate.resilience.pool import Pool
from autocreate.tree.values import Script

T = TypeVar("T")

# Cyrus 3.6 does not escape quotes in the names that it lists.
_LISTED = re.compile(rb'(?:"(?P<quoted>.*)"|\{\d+\+?\})(?P<active>\s+ACTIVE)?\s*', re.I | re.DOTALL)


class ManageSieve:
    """The ManageSieve service of a Cyrus. See `ScriptStore` for what each method promises.

    Args:
        server: where it is; its timeout is for all that is asked for one user.
        connections: how many may be open at once.
    """

    is_of_server: ClassVar[bool] = True

    def __init__(self, server: Server, connections: int = 4) -> None:
        self._server = server
        self._breaker = Breaker(f"ManageSieve of {server}")
        wait = server.timeout / 2  # the other half is still worth having
        self._pool: Pool[Session] = Pool(partial(Session, server), connections, wait)

    def active(self, user: str) -> Script | None:
        """The script that filters the user's mail."""
        return self._acting_for(user, lambda session: _active(session.scripts()))

    def install(self, user: str, script: Script, new_inbox: str = "") -> None:
        """Put a script and make it the active one, unless the user has an active one."""

        def work(session: "Session") -> None:
            scripts = session.scripts()
            if _active(scripts):
                return
            if script.name not in scripts:
                session.offer(script)
                session.put(script)
            elif not is_same_text(session.text_of(script.name), script.text):
                raise Refused(
                    f"{user!r} already has a different script of that name, which is kept",
                    Reason.TAKEN,
                )
            session.activate(script.name)
            if not _active(session.scripts()):
                # Another MTA did the same at the same moment, and Cyrus ended with none active.
                session.activate(script.name)

        self._acting_for(user, work)

    def check(self, script: Script) -> tuple[str, ...]:
        """Does the server's compiler take the script?

        Cyrus's timsieved answers CHECKSCRIPT to those who have not logged in. It has to be so,
        since it lets nobody in who has no INBOX, and administrators commonly have none.
        """

        def work(session: "Session") -> None:
            try:
                session.check(b"keep;\r\n")
            except Refused as refusal:
                raise Temporary(
                    f"{self._server} checks no script before a login ({refusal})"
                ) from refusal
            try:
                session.check(script.text)
            except Refused as refusal:
                if refusal.reason is Reason.IMPOSSIBLE:
                    raise
                raise Temporary(f"{self._server} cannot check the script ({refusal})") from refusal

        self._run(work)
        # Of no use here, but perhaps to a Cyrus that creates natively by the same imapd.conf.
        return tuple(problems(script))

    def close(self) -> None:
        """End every connection."""
        self._pool.close()

    def _acting_for(self, user: str, work: Callable[["Session"], T]) -> T:
        def whole(session: "Session") -> T:
            session.log_in(user)
            try:
                result = work(session)
            except Refused:
                session.log_out()
                raise
            session.log_out()
            return result

        return self._run(whole)

    def _run(self, work: Callable[["Session"], T]) -> T:
        def whole(session: "Session") -> T:
            session.allow(self._server.timeout)
            return work(session)

        return self._breaker.call(lambda: self._pool.run(whole))


class Session(SieveWire):
    """A connection that is logged in from `log_in` until `log_out`.

    Raises, from every method, what `SieveWire` raises; Temporary also if we are not let in.
    """

    is_spent = False

    def log_in(self, user: str) -> None:
        """Act for a user, whose INBOX must exist."""
        if "\0" in user:
            raise Refused(
                f"user id {user!r} has a character that SASL cannot carry", Reason.IMPOSSIBLE
            )
        words = "\0".join((user, self.server.admin, self.server.password)).encode()
        try:
            self.command("AUTHENTICATE", b"PLAIN", base64.b64encode(words))
        except Refused as refusal:
            # Which of the three is wrong Cyrus does not say; nor would it say that INBOX is missing.
            raise Temporary(
                f"{self.server} does not let {self.server.admin!r} act for {user!r} ({refusal}): "
                "compare [cyrus] admin and password_file with the server's"
            ) from refusal

    def log_out(self) -> None:
        """Act for the user no longer. Unless the server agrees, the session is spent."""
        try:
            self.command("UNAUTHENTICATE")
        except (Refused, Temporary):
            self.is_spent = True

    def close(self) -> None:
        """Say good-bye and drop the connection: timsieved 3.6 crashes if that is left unsaid."""
        with contextlib.suppress(OSError, Temporary, Refused):
            self.allow(1.0)
            self.command("LOGOUT")
        self.discard()

    def scripts(self) -> dict[str, bool]:
        """The user's scripts: is it the active one, by name."""
        found = {}
        for line in self.command("LISTSCRIPTS"):
            listed = _LISTED.fullmatch(line.text)
            if not listed:
                raise self.nonsense(line.text)
            name = line.literals[0] if line.literals else listed["quoted"] or b""
            found[as_text(name)] = listed["active"] is not None
        return found

    def text_of(self, name: str) -> bytes:
        """A script as it is stored."""
        lines = self.command("GETSCRIPT", name.encode())
        if len(lines) != 1 or not lines[0].literals:
            raise self.nonsense(b"GETSCRIPT")
        return lines[0].literals[0]

    def check(self, text: bytes) -> None:
        """CHECKSCRIPT: Refused, as `IMPOSSIBLE` and with the lines, if it does not compile."""
        try:
            self.command("CHECKSCRIPT", text)
        except Refused as refusal:
            if refusal.reason is not Reason.IMPOSSIBLE:
                raise  # the server named no error in it, so perhaps there is none
            raise Refused(f"it does not compile: {refusal.said}", refusal.reason) from refusal

    def offer(self, script: Script) -> None:
        """Make sure that the server will take a script, before it is sent to be kept.

        A server may leave off listening at a script that is too long for it: so HAVESPACE first.
        """
        self.command("HAVESPACE", script.name.encode(), len(script.text))
        self.check(script.text)

    def put(self, script: Script) -> None:
        """PUTSCRIPT: keep a script that was offered, byte for byte."""
        self.command("PUTSCRIPT", script.name.encode(), script.text)

    def activate(self, name: str) -> None:
        """SETACTIVE: from now on this script filters the user's mail."""
        self.command("SETACTIVE", name.encode())


def _active(scripts: dict[str, bool]) -> Script | None:
    return next((Script(name) for name, is_active in scripts.items() if is_active), None)

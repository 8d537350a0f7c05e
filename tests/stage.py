"""How the demonstrations show what happens: titles, what programs say, and SMTP sessions."""

from __future__ import annotations

from collections.abc import Sequence

from tests.servers import smtp
from tests.servers.postfix import Postfix

SENDER = "ann@client.test"


def title(text: str) -> None:
    """Begin a part."""
    print(f"\n== {text}", flush=True)


def say(text: str) -> None:
    """Show some lines."""
    print("".join(f"   {line}\n" for line in text.splitlines()), end="", flush=True)


def dialogue(postfix: Postfix, recipients: Sequence[str], message: str = "") -> str:
    """A session with an MTA, without what EHLO tells."""
    with smtp.Dialogue(postfix.host, postfix.port) as client:
        client.ehlo()
        client.mail(SENDER)
        for recipient in recipients:
            client.rcpt(recipient)
        if message:
            client.data(message)
        client.quit()
        return "\n".join(line for line in client.transcript if not line.startswith("S: 250-"))

"""contrib/fail2ban: fail2ban's own tools read it, and find in the milter's log who sent to unknown recipients."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.common import aged, fresh_folder, run
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.product import Product

CONTRIB = Path(__file__).parents[2] / "contrib/fail2ban"

# Clients that send to unknown recipients, in every form in which a log line quotes a value.
GUILTY = {
    "192.0.2.1": ("<ann@client.test>", "<nobody@example.org>"),
    "2001:db8::2": ("<>", "<nobody@example.org>"),
    "192.0.2.3": ("<ann@client.test>", '<"a b"@example.org>'),
    "192.0.2.4": ("<ann@client.test>", "<\"it's a 'b\"@example.org>"),
    "192.0.2.5": ('<"a \\" b"@client.test>', '<"c\\\\ d"@example.org>'),
}
# Clients that do not, and what they write so that somebody is banned.
LINE = "client=192.0.2.66 answer=unknown"
JSON = '\\", \\"client\\": \\"192.0.2.66\\", \\"answer\\": \\"unknown\\", \\"x\\": \\"'
INNOCENT = {
    "198.51.100.1": ("<ann@client.test>", "<f2b-known@example.org>"),
    "198.51.100.2": (f'<"{LINE}"@client.test>', "<f2b-known@example.org>"),
    "198.51.100.3": (f"<'{LINE}'@client.test>", "<f2b-known@example.org>"),
    "198.51.100.4": (f'<"{JSON}"@client.test>', "<f2b-known@example.org>"),
    "198.51.100.5": ("<ann@client.test>", "<f2b-known@elsewhere.test>"),
}
# Guilty, and would have somebody else banned instead.
LIARS = {
    "203.0.113.1": ("<ann@client.test>", f'<"{LINE}"@example.org>'),
    "203.0.113.2": ("<ann@client.test>", f'<"\' {LINE}"@example.org>'),
    "203.0.113.3": ("<ann@client.test>", f'<"{JSON}"@example.org>'),
    "203.0.113.4": (f'<"\n{LINE}"@client.test>', "<nobody@example.org>"),
}


@pytest.fixture(scope="module")
def fail2ban() -> Iterator[Path]:
    """Fail2ban's configuration on this machine, with our files where the README puts them."""
    with fresh_folder("fail2ban") as folder:
        made = folder / "fail2ban"
        shutil.copytree("/etc/fail2ban", made)
        (made / "jail.d/defaults-debian.conf").unlink(missing_ok=True)  # for sshd
        shutil.copy(CONTRIB / "filter.conf", made / "filter.d/autocreate.conf")
        shutil.copy(CONTRIB / "jail.conf", made / "jail.d/autocreate.conf")
        yield made


def test_fail2ban_reads_the_jail(fail2ban: Path) -> None:
    said = run(["fail2ban-client", "-c", fail2ban, "--dump-pretty"])
    assert "['add', 'autocreate', 'systemd']" in said
    assert "_SYSTEMD_UNIT=autocreate-milter.service" in said
    assert "OK" in run(["fail2ban-client", "-c", fail2ban, "--test"])


# What precedes a line: in a file of syslog's, and in the journal as fail2ban reads it; in a file with ISO times; in a
# file that has JSON lines only.
PREFIXES = {
    "syslog": "Nov 28 21:29:12 mx autocreate[123]: ",
    "iso": "2026-11-28T21:29:12.123456+00:00 mx autocreate[123]: ",
    "bare": "",
}


@pytest.mark.parametrize(
    ("form", "prefix"),
    [("text", "syslog"), ("text", "iso"), ("json", "syslog"), ("json", "iso"), ("json", "bare")],
)
def test_who_sends_to_unknown_recipients_is_found_and_nobody_else(
    form: str, prefix: str, cyrus: Cyrus, fail2ban: Path
) -> None:
    with Product(cyrus, accounts=["f2b-known"], settings={"log": {"format": form}}) as product:
        product.start()
        for client, (sender, recipient) in {**GUILTY, **INNOCENT, **LIARS}.items():
            send(product, client, sender, recipient)
        product.stop()
        assert banned(product.log(), PREFIXES[prefix], fail2ban) == {*GUILTY, *LIARS}, product.log()


@pytest.mark.parametrize("form", ["text", "json"])
def test_nobody_is_found_in_dry_run(form: str, cyrus: Cyrus, fail2ban: Path) -> None:
    settings = {"log": {"format": form}, "milter": {"mode": "dry-run"}}
    with Product(cyrus, settings=settings) as product:
        aliases = product.folder / "aliases"
        aliases.write_text("sales: nobody\n")
        table = {"local": {"type": "aliases", "path": str(aged(aliases))}}
        product.configure({**settings, "aliases": table})
        product.start()
        for number, recipient in enumerate(["<nobody@example.org>", "<sales@example.org>"]):
            send(product, f"192.0.2.{number}", "<ann@client.test>", recipient)
        product.stop()
        assert product.log().count("withheld") == 2
        assert banned(product.log(), PREFIXES["syslog"], fail2ban) == set()


def send(product: Product, client: str, sender: str, recipient: str) -> None:
    with MilterClient(product.socket) as mta:
        mta.connect(address=client)
        mta.envfrom(sender)
        mta.envrcpt(recipient, {"{rcpt_mailer}": "lmtp"})


def banned(log: str, prefix: str, fail2ban: Path) -> set[str]:
    """The clients that the filter finds in the lines of a log."""
    path = fail2ban / "log"
    path.write_text("".join(f"{prefix}{line}\n" for line in log.splitlines()))
    return set(run(["fail2ban-regex", "-c", fail2ban, "--out", "ip", path, "autocreate"]).split())

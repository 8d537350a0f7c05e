"""The socket map between real MTAs and a real Cyrus, beside the smmapd of that Cyrus."""

from __future__ import annotations

import contextlib
import re
import socket
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.integration.conftest import WHOLE_TREE
from tests.servers.activation import SocketUnit, listening_at
from tests.servers.common import HOST, aged, free_port, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product
from tests.servers.sendmail import Sendmail
from tests.servers.smtp import Dialogue, Reply

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/socketmap.md").read_text()


class Client:
    """Asks a socket map, as an MTA does, on one connection after another."""

    def __init__(self, place: str) -> None:
        self._place = place

    def ask(self, key: str) -> str:
        """The word of the answer; "nothing" if nobody answers."""
        try:
            with self.connection() as client:
                return asked(client, key)
        except OSError:
            return "nothing"

    def connection(self) -> socket.socket:
        kind, _, where = self._place.partition(":")
        if kind == "inet":
            host, _, port = where.rpartition(":")
            return socket.create_connection((host, int(port)), 20.0)
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20.0)
        client.connect(where)
        return client


def asked(client: socket.socket, key: str) -> str:
    request = b"recipients " + key.encode()
    client.sendall(b"%d:%b," % (len(request), request))
    answer = b""
    while not answer.endswith(b","):
        more = client.recv(1000)
        if not more:
            raise ConnectionAbortedError
        answer += more
    return answer.partition(b":")[2].split(b" ")[0].decode()


def map_of(product: Product) -> str:
    return f"unix:{product.folder}/map.sock"


@contextlib.contextmanager
def mapped(cyrus: Cyrus, accounts: Sequence[str] = ("joe",), **settings: Any) -> Iterator[Product]:
    """The product with a socket map. It is not started."""
    with Product(cyrus, accounts=accounts) as product:
        configured = {"socketmap": {"socket": map_of(product), "socket_mode": "0666"}}
        product.configure({**configured, **settings})
        yield product


def rcpt(mta: Postfix | Sendmail, *recipients: str) -> list[Reply]:
    with Dialogue(mta.host, mta.port) as smtp:
        smtp.ehlo()
        smtp.mail("ann@elsewhere.test")
        return [smtp.rcpt(it) for it in recipients]


# -- beside smmapd ------------------------------------------------------------------------------


class Row(NamedTuple):
    case: str
    key: str
    smmapd: str
    ours: str
    in_dry_run: str


ROWS = [
    Row(*found)
    for found in re.findall(r"^\| (.+?) \| `(.*?)` \| (\w+) \| (\w+) \| (\w+) \|$", DOCUMENT, re.M)
]


@pytest.fixture(scope="module")
def smmapd() -> Iterator[tuple[Cyrus, Client]]:
    port = free_port()
    with Cyrus(services={"smmap": ("smmapd", f"{HOST}:{port}")}) as cyrus:
        for name in ("user/joe", "user/joe/lists", "user/old", "user/full", "post", "staff"):
            cyrus.create(name)
        cyrus.append("full", b"Subject: kept\r\n\r\n" + b"x" * 4096 + b"\r\n")
        cyrus.set_quota("user/full", 1)
        cyrus.set_acl("post", "anyone", "p")
        yield cyrus, Client(f"inet:{HOST}:{port}")


def test_the_table_of_the_documentation(smmapd: tuple[Cyrus, Client]) -> None:
    cyrus, theirs = smmapd
    assert len(ROWS) > 15
    with contextlib.ExitStack() as stack:
        products = {
            mode: stack.enter_context(
                mapped(
                    cyrus,
                    ("joe", "new", "later", "full"),
                    milter={"mode": mode, "domains": ["example.org"]},
                    lmtp={"address": f"{cyrus.host}:{cyrus.lmtp_port}", "cache_seconds": 0},
                )
            )
            for mode in ("enforce", "dry-run")
        }
        for product in products.values():
            aliases = product.folder / "aliases"
            aliases.write_text("sales: joe\n")
            aged(aliases)
            product.config_file.write_text(
                product.config_file.read_text()
                + f'\n[aliases.local]\ntype = "aliases"\npath = "{aliases}"\n'
            )
            product.start()
        ours, in_dry_run = (Client(map_of(it)) for it in products.values())

        def measured(row: Row) -> Row:
            said = (it.ask(row.key) for it in (theirs, ours, in_dry_run))
            return Row(row.case, row.key, *said)

        usual = [it for it in ROWS if " down" not in it.case]
        assert list(map(measured, usual)) == usual
        for product in products.values():
            product.database.rename(product.database.with_suffix(".away"))
        without_accounts = [it for it in ROWS if "accounts down" in it.case]
        assert list(map(measured, without_accounts)) == without_accounts
        for product in products.values():
            product.database.with_suffix(".away").rename(product.database)
        cyrus.stop()
        try:
            without_cyrus = [it for it in ROWS if "Cyrus down" in it.case]
            assert list(map(measured, without_cyrus)) == without_cyrus
        finally:
            cyrus.start()
        assert set(products["dry-run"].seen()) >= {"new@example.org", "nobody@example.org"}
    assert not cyrus.mailboxes("user/new")


# -- Postfix ------------------------------------------------------------------------------------

CLASSES: Mapping[str, Mapping[str, str]] = {
    "virtual": {"virtual_mailbox_maps": "MAP"},
    "virtual by proxymap": {"virtual_mailbox_maps": "proxy:MAP"},
    "local": {
        "virtual_mailbox_domains": "",
        "mydestination": "example.org",
        "local_recipient_maps": "MAP",
        "local_transport": "lmtp:LMTP",
    },
    "relay": {
        "virtual_mailbox_domains": "",
        "relay_domains": "example.org",
        "relay_recipient_maps": "MAP",
        "relay_transport": "lmtp:LMTP",
    },
}


@contextlib.contextmanager
def postfix(product: Product, name: str, milter: bool = True) -> Iterator[Postfix]:
    cyrus = product.cyrus
    recipients = f"socketmap:{map_of(product)}:recipients"
    lmtp = f"inet:{cyrus.host}:{cyrus.lmtp_port}"
    parameters = {
        key: value.replace("MAP", recipients).replace("LMTP", lmtp)
        for key, value in CLASSES[name].items()
    }
    with Postfix(
        milter=product.socket if milter else None,
        lmtp=(cyrus.host, cyrus.lmtp_port),
        parameters=parameters,
    ) as mta:
        yield mta


@pytest.mark.parametrize("name", CLASSES)
def test_postfix_accepts_a_new_user_by_its_own_map_and_by_the_milter(
    cyrus: Cyrus, name: str
) -> None:
    user = f"new-{name.replace(' ', '-')}"
    with mapped(cyrus, (user,)) as product:
        product.start()
        with postfix(product, name) as mta:
            unknown, quoted, known, detailed = rcpt(
                mta,
                "nobody@example.org",
                '"a b"@example.org',
                f"{user.upper()}@Example.ORG",
                f"{user}+lists@example.org",
            )
            assert (unknown.code, unknown.enhanced) == (550, "5.1.1")
            assert "recipient table" in unknown.text or "mailbox table" in unknown.text
            assert quoted.code == 550
            assert (known.code, detailed.code) == (250, 250)
        assert cyrus.mailboxes(f"user/{user}*") == {f"user/{user}{it}" for it in WHOLE_TREE}


def test_postfix_defers_what_the_map_cannot_tell(cyrus: Cyrus) -> None:
    with mapped(cyrus) as product:
        product.start()
        with postfix(product, "virtual", milter=False) as mta:
            product.database.rename(product.folder / "away")
            (reply,) = rcpt(mta, "joe@example.org")
            assert (reply.code, reply.enhanced) == (451, "4.3.0")
            (product.folder / "away").rename(product.database)
            wait_until(lambda: rcpt(mta, "joe@example.org")[0].code == 250, 10.0, "an answer")
            product.stop()
            (reply,) = rcpt(mta, "joe@example.org")
            assert reply.code == 451


def test_a_map_that_asks_cyrus_refuses_whom_ours_lets_through(
    smmapd: tuple[Cyrus, Client],
) -> None:
    """One line of main.cf is changed."""
    cyrus, theirs = smmapd
    with mapped(cyrus, ("june",)) as product:
        product.start()
        with postfix(product, "virtual") as mta:
            mta.set(virtual_mailbox_maps=f"socketmap:{theirs._place}:smmapd")
            mta.reload()
            assert rcpt(mta, "june@example.org")[0].code == 550
            mta.set(virtual_mailbox_maps=f"socketmap:{map_of(product)}:smmapd")
            mta.reload()
            assert rcpt(mta, "june@example.org")[0].code == 250
        assert cyrus.mailboxes("user/june")


def test_in_dry_run_postfix_answers_with_our_map_as_with_smmapd(
    smmapd: tuple[Cyrus, Client],
) -> None:
    cyrus, theirs = smmapd
    asked_for = [f"{it}@example.org" for it in ("joe", "new", "old", "nobody", "full", "joe+lists")]
    dry_run = {"mode": "dry-run", "domains": ["example.org"]}
    lmtp = {"address": f"{cyrus.host}:{cyrus.lmtp_port}"}
    with mapped(cyrus, ("joe", "new", "full"), milter=dry_run, lmtp=lmtp) as product:
        product.start()
        with postfix(product, "virtual", milter=False) as mta:
            ours = [it.code for it in rcpt(mta, *asked_for)]
            mta.set(virtual_mailbox_maps=f"socketmap:{theirs._place}:smmapd")
            mta.reload()
            assert [it.code for it in rcpt(mta, *asked_for)] == ours
    assert ours == [250, 550, 250, 550, 451, 250]


# -- Sendmail -----------------------------------------------------------------------------------

LOCAL_CHECK_RCPT = (ROOT / "contrib/sendmail/socketmap.mc").read_text()

# As FEATURE(ckuser_cyrus) does: the local part alone, once the mailer is chosen.
LOCALADDR = """\
LOCAL_CONFIG
Krecipients socket -a<OK> -T<TMPF> local:/run/autocreate/map.sock
LOCAL_RULESETS
SLocal_localaddr
R$+\t\t\t$: <!> $1 $| $(recipients $1 $: $)
R<!> $* $| $* <OK>\t$@ $1
R<!> $* $| $* <TMPF>\t$#error $@ 4.3.0 $: "451 Temporary failure"
R<!> $* $| $*\t\t$#error $@ 5.1.1 $: "550 Mailbox is not available"
"""


@pytest.mark.parametrize(
    ("rules", "flags"),
    [(LOCAL_CHECK_RCPT, ""), (LOCALADDR, "+5")],
    ids=["Local_check_rcpt", "localaddr"],
)
def test_sendmail_asks_the_map_before_the_milter(cyrus: Cyrus, rules: str, flags: str) -> None:
    user = f"new{len(flags)}.user"
    with mapped(cyrus, (user,)) as product:
        product.start()
        with Sendmail(
            milter=product.socket,
            lmtp=(cyrus.host, cyrus.lmtp_port),
            mailer_flags=flags,
            rules=rules.replace("/run/autocreate/map.sock", str(product.folder / "map.sock")),
        ) as mta:
            unknown, known = rcpt(mta, "nobody@example.org", f"{user}@example.org")
            assert (unknown.code, unknown.enhanced) == (550, "5.1.1")
            assert known.code == 250
            assert "said=NOTFOUND" in product.log()
            assert cyrus.mailboxes(f"user/{user}")
            product.database.rename(product.folder / "away")
            (reply,) = rcpt(mta, "kim@example.org")
            assert (reply.code, reply.enhanced) == (451, "4.3.0")


# -- its life -----------------------------------------------------------------------------------


def test_a_reload_keeps_connections_and_applies_to_them(cyrus: Cyrus) -> None:
    with mapped(cyrus) as product:
        product.start()
        with Client(map_of(product)).connection() as client:
            assert asked(client, "joe@other.test") == "NOTFOUND"
            text = product.config_file.read_text()
            product.config_file.write_text(
                text.replace('"example.org"', '"example.org", "other.test"')
            )
            assert product.reload().endswith("reloaded")
            assert asked(client, "joe@other.test") == "OK"


def test_systemd_may_hold_the_socket(cyrus: Cyrus, tmp_path: Path) -> None:
    with mapped(cyrus) as product:
        place = product.folder / "map.sock"
        with SocketUnit(product.folder, [listening_at(place)]) as unit:
            product.contained = unit.starting
            product.start()
            assert Client(f"unix:{place}").ask("joe@example.org") == "OK"
            product.stop()
            with Client(f"unix:{place}").connection() as waiting:
                product.start()
                assert asked(waiting, "joe@example.org") == "OK"


def test_metrics_have_the_maps_verdicts(cyrus: Cyrus) -> None:
    port = free_port()
    with mapped(cyrus, metrics={"listen": f"{HOST}:{port}"}) as product:
        product.start()
        client = Client(map_of(product))
        assert (client.ask("joe@example.org"), client.ask("x@example.org")) == ("OK", "NOTFOUND")

        def told() -> str:
            with urllib.request.urlopen(f"http://{HOST}:{port}/metrics") as answer:
                return str(answer.read().decode())

        wait_until(partial(_has, told, 'frontend="socketmap"'), 10.0, "the counts")
        for answer in ("accept", "unknown"):
            assert (
                f'autocreate_recipients_total{{answer="{answer}",frontend="socketmap"}} 1.0'
                in told()
            )


def _has(told: Any, words: str) -> bool:
    return words in told()

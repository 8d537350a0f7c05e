"""Where aliases lead by us is where the MTA delivers: the same tables, followed by both.

The MTA hands its mail to an LMTP server that remembers the recipients. Our tables are those that `autocreate aliases
detect` prints for it.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import Mta
from tests.servers import smtp
from tests.servers.common import aged, free_port, run, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.lmtpsink import LmtpSink
from tests.servers.postfix import Postfix
from tests.servers.product import Product
from tests.servers.sendmail import Sendmail

from autocreate.config import load
from autocreate.core.address import parse
from autocreate.errors import Temporary
from autocreate.statistics.recorder import Statistics
from autocreate.wiring.loading import Loader
from autocreate.wiring.sources import aliases_of

# local.example is in mydestination, box.example in virtual_mailbox_domains, the others in virtual_alias_domains.
OURS = ["local.example", "box.example", "brand.example", "old.example"]

CANONICAL = {"was@box.example": "b2@box.example", "waslocal": "staff"}

VIRTUAL = {
    "barekey": "ann@box.example",
    "dash@box.example": "barekey",
    "b2@box.example": "vteam",
    "vteam@box.example": "cat, dan@box.example",
    "vteam@local.example": "eve",
    "vteam@brand.example": "fay@box.example",
    "tolocal@box.example": "staff@local.example",
    "sales@brand.example": "ann",
    "ghosts@brand.example": "nosuch@brand.example, gus@box.example",
    "self@box.example": "self, hal",
    "self@local.example": "self@local.example, ida",
    "detail@box.example": "jon",
    "mapped@box.example": "mapped-box@box.example",
    "mapped@local.example": "mapped-local@local.example",
    "mapped@brand.example": "mapped-brand@box.example",
    "chain": "barekey",
    "@old.example": "@box.example",
}

ALIASES = {
    "staff": "kay, mapped, leo@box.example",
    "nested": "staff, mia",
    "included": ":include:{members}",
    "owned": "mapped, nested",
    "owner-owned": "ned",
    "escaped": "\\staff",
    "loop": "loop, ola",
    "star+*": "pia",
    "tagged": "tagged+x, una",
    "tag+x": "tag+x, vic",
    "tag": "wim",
    "plus+one": "quin",
    "plus": "rob",
    "toalias": "sales@brand.example, nosuch@brand.example",
    "barekey": "sue",
}
MEMBERS = "mapped\nnested, tom@box.example\n"

# What Postfix makes of a bare local part if nothing is appended to it: $myhostname.
BARE = "local.example"

LOCAL_PARTS = [
    *("barekey", "dash", "b2", "vteam", "tolocal", "sales", "ghosts", "self", "detail", "chain"),
    *("staff", "nested", "included", "owned", "owner-owned", "escaped", "loop", "toalias"),
    *("star+x", "plus+one", "plus+two", "barekey+x", "b2+x", "mapped", "mapped+x", "staff+x"),
    *("tagged", "tagged+x", "tagged+y", "tag", "tag+x", "tag+y"),
    *("detail+x", "nobody", "Staff", "BareKey", "was", "was+x", "waslocal"),
]


@contextlib.contextmanager
def postfix(sink: LmtpSink, folder: Path, **parameters: str) -> Iterator[Postfix]:
    members, canonical = folder / "members", folder / "canonical"
    members.write_text(MEMBERS)
    canonical.write_text("".join(f"{name} {to}\n" for name, to in CANONICAL.items()))
    table = folder / "aliases"
    table.write_text(
        "".join(f"{name}: {to.format(members=members)}\n" for name, to in ALIASES.items())
    )
    (folder / "main.cf").touch()
    run(["postalias", "-c", folder, f"hash:{table}"])
    for path in (members, table, canonical):
        aged(path)
    deliver = f"lmtp:inet:{sink.host}:{sink.port}"
    with Postfix(
        lmtp=(sink.host, sink.port),
        domains=["box.example"],
        aliases=VIRTUAL,
        alias_domains=["brand.example", "old.example"],
        parameters={
            "mydestination": "local.example",
            "alias_maps": f"hash:{table}",
            "recipient_canonical_maps": f"texthash:{canonical}",
            "mailbox_transport": deliver,
            "local_recipient_maps": "",
            "default_transport": "discard:",
            "append_dot_mydomain": "no",
            **parameters,
        },
    ) as mta:
        aged(mta.config / "virtual")
        yield mta


def delivered(mta: Mta, sink: LmtpSink, recipients: Sequence[str]) -> dict[str, set[str]]:
    """To whom the MTA delivers what is for each of some recipients."""
    for recipient in recipients:
        smtp.send(
            mta.host, mta.port, "kim@client.test", [recipient], f"Subject: {recipient}\n\nhello\n"
        )
    wait_until(lambda: not mta.queue(), 60.0, "the end of all deliveries", mta.log)
    found: dict[str, set[str]] = {recipient: set() for recipient in recipients}
    for subject, recipient in zip(sink.subjects, sink.recipients, strict=True):
        if subject in found:  # and no bounce
            found[subject].add(recipient.lower())
    return found


def resolved(
    product: Product, tables: Mapping[str, object], recipients: Sequence[str]
) -> dict[str, set[str]]:
    """To which users we follow each of some recipients."""
    product.configure({"milter": {"domains": OURS}, "aliases": tables})
    aliases = aliases_of(load(product.config_file), Statistics(), None, Loader())
    assert aliases
    found: dict[str, set[str]] = {}
    for recipient in recipients:
        try:
            users = aliases.resolve(parse(recipient), False, 30.0).users
        except Temporary as error:
            found[recipient] = {f"temporary: {error}"}
        else:
            whole = (str(user) if user.domain else f"{user}@{BARE}" for user in users)
            found[recipient] = {user.lower() for user in whole}
    aliases.close()
    return found


def detected(product: Product, *options: str) -> dict[str, Any]:
    """The tables that `autocreate aliases detect` prints."""
    told = product.run("aliases", "detect", *options)
    assert told.returncode == 0, told.stderr
    tables: dict[str, Any] = tomllib.loads(told.stdout)["aliases"]
    return tables


PLACES: dict[str, dict[str, str]] = {
    "in mydestination": {"myorigin": "local.example"},
    "in virtual_mailbox_domains": {"myorigin": "box.example"},
    "in virtual_alias_domains": {"myorigin": "brand.example"},
    "elsewhere": {"myorigin": "far.example"},
    "not appended": {
        "myorigin": "box.example",
        "append_at_myorigin": "no",
        "myhostname": BARE,
    },
}


@pytest.mark.parametrize("place", PLACES)
def test_aliases_lead_where_postfix_delivers_wherever_myorigin_is(cyrus: Cyrus, place: str) -> None:
    hosts = [*OURS, "[127.0.0.1]"]
    recipients = [f"{local}@{host}" for host in hosts for local in LOCAL_PARTS]
    with (
        LmtpSink() as sink,
        Product(cyrus) as product,
        postfix(sink, product.folder, **PLACES[place]) as mta,
    ):
        tables = detected(product, "--postfix", f"{mta.config}", "--sendmail", "/none")
        expected = delivered(mta, sink, recipients)
        ours = resolved(product, tables, recipients)
    assert ours == expected


SENDMAIL_VIRTUAL = {
    "info@box.example": "sales",
    "info+*@box.example": "sales+%2",
    "team@box.example": "mia",
    "plus+*@box.example": "plus",
    "loop@box.example": "loop@local.example",
}

SENDMAIL_ALIASES = {
    "sales": "ann, bob",
    "sales+known": "cat",
    "star+*": "dan",
    "bare": "sales+one",
    "full": "sales+one@local.example",
    "behind": "info@box.example, team+x@box.example",
    "escaped": "\\sales, eve",
    "loop": "loop, fay",
    "plus": "gus",
    "tag+x": "tag+x, vic",
    "tag": "wim",
    "included": ":include:{members}",
    "mapped": "hal",
    "nested": "sales",
}

SENDMAIL_LOCAL_PARTS = [
    *("sales", "sales+known", "sales+other", "SALES+Known", "sales+", "star", "star+x"),
    *("bare", "full", "behind", "escaped", "loop", "loop+x", "plus", "plus+x", "included"),
    *("tag", "tag+x", "tag+y"),
    *("nobody", "nobody+x", "info", "info+x", "info+known", "team", "team+x"),
]


@pytest.mark.parametrize("flags", ["", "+5"])
def test_aliases_lead_where_sendmail_delivers_by_the_flags_of_its_mailer(
    cyrus: Cyrus, flags: str
) -> None:
    recipients = [f"{it}@{host}" for host in OURS[:2] for it in SENDMAIL_LOCAL_PARTS]
    with LmtpSink() as sink, Product(cyrus) as product:
        members = product.folder / "members"
        members.write_text(MEMBERS)
        with Sendmail(
            lmtp=(sink.host, sink.port),
            domains=OURS[:2],
            aliases={name: to.format(members=members) for name, to in SENDMAIL_ALIASES.items()},
            virtual_users=SENDMAIL_VIRTUAL,
            mailer_flags=flags,
        ) as mta:
            for path in (members, mta.folder / "aliases", mta.folder / "virtusertable"):
                aged(path)
            tables = detected(
                product, "--postfix", "/none", "--sendmail", f"{mta.folder}/sendmail.cf"
            )
            assert tables["local"]["style"] == ("sendmail-5" if flags else "sendmail")
            expected = delivered(mta, sink, recipients)
            ours = resolved(product, tables, recipients)
    # Cyrus is told the local part alone, and with flag 5 without its detail.
    assert compared(ours) == compared(expected)


def compared(users: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Recipients with the names of their users."""
    names = {
        recipient: {it.partition("@")[0].partition("+")[0] for it in found}
        for recipient, found in users.items()
    }
    return {recipient: sorted(found) for recipient, found in names.items()}


# What a sender writes, and the user whom Sendmail finds in the end.
FILLED_IN = {
    "joe@box.example": "joe",
    "plus+x@box.example": "plus.x",
    '"a b"@box.example': "a b",
    '"plus+x y"@box.example': "plus+x y",
    "nine@box.example": "az",
}
# Sendmail takes none of these (553). With "%1" filled in as it is, each would reach the victim.
HOSTILE = ['"a,victim@local.example,b"@box.example', '"a,victim,b"@box.example']


def test_a_virtusertable_is_filled_in_as_sendmail_does(cyrus: Cyrus) -> None:
    with (
        Product(cyrus) as product,
        Sendmail(
            lmtp=("127.0.0.1", free_port()),
            domains=OURS[:2],
            virtual_users={
                "@box.example": "%1@local.example",
                "plus+*@box.example": "%1.%2@local.example",
                "nine@box.example": "a%9z@local.example",
            },
        ) as mta,
    ):
        for path in (mta.folder / "aliases", mta.folder / "virtusertable"):
            aged(path)
        tables = detected(product, "--postfix", "/none", "--sendmail", f"{mta.folder}/sendmail.cf")
        recipients = [*FILLED_IN, *HOSTILE]
        theirs = {it: mta.verified(it).strip('"') for it in recipients}
        ours = resolved(product, tables, recipients)
    assert theirs == {**FILLED_IN, **dict.fromkeys(HOSTILE, "")}
    assert {it: ours[it] for it in FILLED_IN} == {
        it: {f"{user}@local.example"} for it, user in FILLED_IN.items()
    }
    assert not any(user.startswith("victim") for it in HOSTILE for user in ours[it])

"""Where mail in our domains ends, by main.cf, master.cf and the tables that they name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocreate.doctor.findings import Finding, Gravity
from autocreate.doctor.postconf import Postfix, Service
from tests.unit.doctor.examples import GOOD, OURS, SERVICES, examine, routes_of

BASE = {**GOOD, "virtual_mailbox_domains": "", "parent_domain_matches_subdomains": "relay_domains"}
LMTPD = "lmtp:unix:/run/cyrus/socket/lmtp"
DELIVER = Service(
    "cyrus", "unix", False, "pipe", "flags=hu user=cyrus argv=/usr/lib/cyrus/bin/deliver -e ${user}"
)
DOVECOT = Service("dovecot", "unix", False, "pipe", "flags=DRhu argv=/usr/lib/dovecot/dovecot-lda")
ALL = (*SERVICES, DELIVER, DOVECOT)


def classes(tables: dict[str, dict[str, str]] | None = None, **changes: str) -> list[str]:
    """The class and the domains of each route, as one text."""
    found = routes_of(
        Postfix({**BASE, **changes}, ALL), tables=tables, files={"/list": "# no\nexample.org\n"}
    )
    return [f"{it.address_class.domains}: {', '.join(it.domains)}" for it in found]


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"mydestination": "localhost, Example.ORG"}, "mydestination"),
        ({"mydestination": "/list"}, "mydestination"),
        ({"mydestination": "!/list, example.org"}, ""),
        ({"mydestination": "!example.org, hash:/domains"}, ""),
        (
            {"mydestination": "example.org", "virtual_mailbox_domains": "example.org"},
            "mydestination",
        ),
        ({"virtual_mailbox_domains": "static:x"}, ""),
        ({"virtual_mailbox_domains": "other.test hash:/domains"}, "virtual_mailbox_domains"),
        ({"virtual_mailbox_domains": "org"}, ""),
        ({"relay_domains": "org"}, "relay_domains"),
        ({"relay_domains": "org", "parent_domain_matches_subdomains": ""}, ""),
        ({"relay_domains": ".org", "parent_domain_matches_subdomains": ""}, "relay_domains"),
    ],
)
def test_a_domain_is_looked_for_as_postfix_does(changes: dict[str, str], parameter: str) -> None:
    found = classes({"hash:/domains": {"example.org": "yes"}}, **changes)
    assert found == ([f"{parameter}: example.org"] if parameter else [])


def by_tables(changes: dict[str, str], entry: dict[str, str]) -> list[Finding]:
    """What is found where the domain is in one table, and its transport in another."""
    theirs = {
        **BASE,
        "virtual_mailbox_domains": "hash:/domains",
        "transport_maps": "hash:/transport",
        "parent_domain_matches_subdomains": "transport_maps",
        **changes,
    }
    tables = {"hash:/domains": {"example.org": "x"}, "hash:/transport": entry}
    return examine(Postfix(theirs, ALL), OURS, tables)


@pytest.mark.parametrize(
    ("transport", "entry"),
    [
        ("virtual", {}),
        ("dovecot", {}),
        ("gone", {}),
        (LMTPD, {"example.org": "virtual:"}),
        (LMTPD, {"org": "virtual:"}),
        (LMTPD, {"*": "dovecot:"}),
        ("virtual", {"example.org": ":[192.0.2.1]"}),
    ],
)
def test_mail_that_does_not_end_at_cyrus_is_critical(transport: str, entry: dict[str, str]) -> None:
    (finding,) = by_tables({"virtual_transport": transport}, entry)
    assert finding.gravity is Gravity.CRITICAL
    assert "example.org" in finding.what + finding.why
    assert LMTPD in finding.remedy
    assert ("hash:/transport" in finding.remedy) == bool(entry)


@pytest.mark.parametrize(
    ("transport", "entry"),
    [
        (LMTPD, {}),
        (LMTPD, {"example.org": "", "*": "dovecot:"}),
        (LMTPD, {"elsewhere.test": "virtual:"}),
        ("virtual", {"example.org": LMTPD}),
    ],
)
def test_mail_that_ends_at_cyrus_is_fine(transport: str, entry: dict[str, str]) -> None:
    assert by_tables({"virtual_transport": transport}, entry) == []


def test_the_table_that_names_the_transport_is_told() -> None:
    theirs = {**GOOD, "transport_maps": "hash:/transport"}
    (found,) = examine(Postfix(theirs, ALL), OURS, {"hash:/transport": {"example.org": "virtual:"}})
    assert found.what == (
        "main.cf: transport_maps (hash:/transport) is 'virtual': mail in example.org is delivered by "
        "Postfix's virtual(8), not to Cyrus"
    )
    assert found.why == "mailboxes are created in Cyrus, and no mail gets there"
    assert found.remedy == f"hash:/transport: example.org {LMTPD}; then run postmap hash:/transport"


LOCAL = {
    "mydestination": "example.org",
    "virtual_mailbox_domains": "",
    "local_transport": "local:$myhostname",
}


@pytest.mark.parametrize(
    "parameter", [{"mailbox_transport": LMTPD}, {"fallback_transport": LMTPD},
                  {"mailbox_command": "/usr/lib/cyrus/bin/deliver -a $USER"}]
)  # fmt: skip
def test_local_that_hands_mail_on_to_cyrus_is_fine(parameter: dict[str, str]) -> None:
    assert examine(Postfix({**GOOD, **LOCAL, **parameter}, ALL)) == []


def test_local_that_writes_to_var_mail_is_critical() -> None:
    (found,) = examine(Postfix({**GOOD, **LOCAL}, ALL))
    assert found.gravity is Gravity.CRITICAL
    assert found.what.endswith(
        "mail in example.org is delivered by Postfix's local(8), not to Cyrus"
    )
    assert found.remedy == f"main.cf: mailbox_transport = {LMTPD}"


def test_a_program_counts_if_it_is_cyrus_own_or_the_administrator_named_it() -> None:
    def found(transport: str, mailers: set[str]) -> list[str]:
        ours = replace(OURS, mailers=frozenset(mailers))
        theirs = Postfix({**GOOD, "virtual_transport": transport}, ALL)
        return [it.remedy for it in examine(theirs, ours)]

    assert found("cyrus", {"lmtp"}) == ["autocreate.toml: add 'cyrus' to milter.mailers"]
    assert found("cyrus", {"cyrus"}) == []
    assert found("dovecot", {"lmtp"}) == [f"main.cf: virtual_transport = {LMTPD}"]
    assert found("dovecot", {"dovecot"}) == []

"""Does [lmtp] match how the MTA delivers to lmtpd?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocreate.doctor import lmtp as lmtp_rules
from autocreate.doctor.findings import Finding, Gravity, MilterSettings
from autocreate.doctor.postconf import Postfix, Service
from tests.unit.doctor.examples import GOOD, OURS, SERVICES, routes_of

WITHOUT = replace(OURS, lmtp="")
VIRTUAL = replace(OURS, default_domain="example.org")
DELIVERING = (
    *SERVICES,
    Service("lmtp", "unix", False, "lmtp"),
    Service("cyrus", "unix", False, "lmtp"),
)


def lmtpd(ours: MilterSettings, **changes: str) -> list[Finding]:
    postfix = Postfix({**GOOD, **changes}, DELIVERING)
    return list(lmtp_rules.examine_postfix(postfix, ours, routes_of(postfix, ours)))


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "unix:/run/cyrus/socket/lmtp"),
        ({"virtual_transport": "lmtp:unix:private/lmtp"}, "unix:/var/spool/postfix/private/lmtp"),
        ({"virtual_transport": "cyrus:unix:/run/lmtp"}, "unix:/run/lmtp"),
        ({"virtual_transport": "lmtp:inet:mail.example.org:2003"}, "mail.example.org:2003"),
        ({"virtual_transport": "lmtp:[192.0.2.1]:2003"}, "192.0.2.1:2003"),
        ({"virtual_transport": "lmtp:inet:[2001:db8::1]:24"}, "[2001:db8::1]:24"),
        ({"virtual_transport": "lmtp:mail.example.org, lmtp2.example.org"}, "mail.example.org:24"),
        (
            {"virtual_transport": "lmtp:mail.example.org", "lmtp_tcp_port": "2003"},
            "mail.example.org:2003",
        ),
        (
            {
                "virtual_mailbox_domains": "",
                "mydestination": "example.org",
                "local_transport": "local:$myhostname",
                "mailbox_transport": "lmtp:unix:/run/lmtp",
            },
            "unix:/run/lmtp",
        ),
    ],
)
def test_lmtpd_is_recommended_where_mail_goes_to_it(changes: dict[str, str], address: str) -> None:
    (found,) = lmtpd(WITHOUT, **changes)
    assert found.gravity is Gravity.ADVICE
    assert f'address = "{address}"' in found.remedy
    assert lmtpd(OURS, **changes) == []


@pytest.mark.parametrize(
    "transport",
    ["virtual:", "discard:", "smtp:[mail.example.org]", "", "lmtp:", "lmtp:host:port", "lmtp:a b"],
)
def test_lmtpd_is_not_recommended_where_mail_does_not_go_to_it(transport: str) -> None:
    assert lmtpd(WITHOUT, virtual_transport=transport) == []


@pytest.mark.parametrize(
    ("ours", "maps", "gravity", "words"),
    [
        (VIRTUAL, "", Gravity.WARNING, "has no lmtp_generic_maps, and Cyrus has virtual domains"),
        (replace(VIRTUAL, lowers_domains=True), "", Gravity.CRITICAL, "lowercase_domains is set"),
        (VIRTUAL, "inline:{@example.org=@example.org}", Gravity.ADVICE, "is not set"),
    ],
)
def test_the_default_domain_in_capitals_crashes_lmtpd_unless_postfix_lowers_it(
    ours: MilterSettings, maps: str, gravity: Gravity, words: str
) -> None:
    (found,) = lmtpd(ours, lmtp_generic_maps=maps)
    assert (found.gravity, words in found.what) == (gravity, True)
    both = replace(VIRTUAL, lowers_domains=True)
    assert lmtpd(both, lmtp_generic_maps="inline:{@example.org=@example.org}") == []


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        ("FILE /run/cyrus/socket/lmtp", "unix:/run/cyrus/socket/lmtp"),
        ("TCP 127.0.0.1 2003", "127.0.0.1:2003"),
        ("TCP mail.example.org", "mail.example.org:24"),
    ],
)
def test_lmtpd_is_recommended_by_sendmails_mailer(arguments: str, address: str) -> None:
    before = "Mlocal, P=/bin/true,\n\t\tA=FILE /run/other\n"
    mailer = f"Mcyrusv2,\tP=[IPC], F=lsDFMnqAw@/:|m,\n\t\tT=DNS/RFC822/SMTP,\n\t\tA={arguments}\n"
    (found,) = lmtp_rules.examine_sendmail(before + mailer, "sendmail.cf", WITHOUT)
    assert f'address = "{address}"' in found.remedy
    assert list(lmtp_rules.examine_sendmail(before + mailer, "sendmail.cf", OURS)) == []
    assert list(lmtp_rules.examine_sendmail(before, "sendmail.cf", WITHOUT)) == []


MURDER = replace(OURS, frontend="fe1.example.org", default_domain="")
FILTER = {"lmtp_reply_filter": "regexp:/etc/postfix/murder_replies"}


@pytest.mark.parametrize(
    ("nexthop", "host"),
    [
        ("inet:fe1.example.org:24", None),
        ("FE1.example.org", None),
        ("unix:/run/cyrus/socket/lmtp", None),
        ("fe2.example.org", "fe2.example.org"),
        ("inet:[192.0.2.2]:24", "192.0.2.2"),
    ],
)
def test_mail_of_a_murder_goes_to_the_frontend_that_is_asked(
    nexthop: str, host: str | None
) -> None:
    found = [it.what for it in lmtpd(MURDER, virtual_transport=f"lmtp:{nexthop}", **FILTER)]
    assert [it for it in found if "cyrus.host" in it] == found
    assert bool(found) == (host is not None)
    assert host is None or f"at {host}, and cyrus.host is fe1.example.org" in found[0]


def test_sendmail_of_a_murder_delivers_to_the_frontend_that_is_asked() -> None:
    def found(place: str) -> list[str]:
        text = f"Mcyrusv2,\tP=[IPC], A={place}\n"
        return [it.what for it in lmtp_rules.examine_sendmail(text, "sendmail.cf", MURDER)]

    assert found("TCP fe1.example.org 24") == found("FILE /run/lmtp") == []
    assert "fe2.example.org, and cyrus.host" in found("TCP fe2.example.org 24")[0]


def test_in_a_murder_a_refusal_of_lmtpd_is_tried_again() -> None:
    (missing,) = lmtpd(MURDER, virtual_transport="lmtp:fe1.example.org")
    assert "no lmtp_reply_filter" in missing.what
    assert lmtpd(OURS, virtual_transport="lmtp:fe1.example.org") == []

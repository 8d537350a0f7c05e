"""What `doctor` says of configurations, judged from what postconf, sendmail.cf and imapd.conf say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocreate.core import cyruscheck, imapd, imapdconf, postfixcheck, sendmailcheck
from autocreate.core.findings import Finding, Gravity, Ours, gravest
from autocreate.core.naming import Users
from autocreate.core.postfixcheck import Postfix, Service

SOCKET = "unix:/var/spool/postfix/autocreate/milter.sock"
OURS = Ours(SOCKET, 8.0, frozenset({"example.org"}), frozenset({"lmtp", "local"}), "+")
SERVICES = (
    Service("smtp", "inet", True, "smtpd"),
    Service("cleanup", "unix", True, "cleanup"),
)
GOOD = {
    "queue_directory": "/var/spool/postfix",
    "smtpd_milters": "{ unix:/autocreate/milter.sock, default_action=tempfail, command_timeout=30s }",
    "non_smtpd_milters": "unix:/autocreate/milter.sock",
    "milter_default_action": "tempfail",
    "milter_command_timeout": "30s",
    "milter_rcpt_macros": "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
    "virtual_mailbox_domains": "example.org",
    "virtual_mailbox_maps": "",
    "virtual_transport": "lmtp:unix:/run/cyrus/socket/lmtp",
    "recipient_delimiter": "+",
}


def postfix(**changes: str) -> list[Finding]:
    return postfixcheck.examine(Postfix({**GOOD, **changes}, SERVICES), OURS)


def test_a_good_postfix_has_nothing_that_would_bite() -> None:
    assert postfix() == []
    assert gravest([]) == 0


def test_aliases_that_we_know_of_and_those_of_others_are_well() -> None:
    maps = {"virtual_alias_maps": "hash:/etc/postfix/virtual", "virtual_alias_domains": "b.test"}
    ours = replace(OURS, has_aliases=True, domains=OURS.domains | {"b.test"})
    assert postfixcheck.examine(Postfix({**GOOD, **maps}, SERVICES), ours) == []
    assert postfix(alias_maps="hash:/etc/aliases", mydestination="localhost") == []


@pytest.mark.parametrize(
    ("changes", "gravity", "words"),
    [
        ({"smtpd_milters": ""}, Gravity.CRITICAL, "no smtpd of this Postfix asks our milter"),
        (
            {"virtual_alias_maps": "hash:/etc/postfix/virtual"},
            Gravity.CRITICAL,
            "virtual_alias_maps = hash:/etc/postfix/virtual, and our configuration has no [aliases]",
        ),
        (
            {"mydestination": "example.org", "alias_maps": "hash:/etc/aliases"},
            Gravity.CRITICAL,
            "alias_maps = hash:/etc/aliases, and our configuration has no [aliases]",
        ),
        ({"smtpd_milters": "inet:127.0.0.1:8891"}, Gravity.CRITICAL, "no smtpd of this Postfix"),
        ({"smtpd_milters": SOCKET}, Gravity.CRITICAL, "is chrooted to /var/spool/postfix"),
        ({"non_smtpd_milters": ""}, Gravity.WARNING, "non_smtpd_milters do not name our socket"),
        (
            {"non_smtpd_milters": "{ unix:/autocreate/milter.sock, default_action=accept }"},
            Gravity.CRITICAL,
            "the default action is accept",
        ),
        ({"milter_command_timeout": "5s"}, Gravity.CRITICAL, "command_timeout is 5s"),
        ({"milter_rcpt_macros": "i {rcpt_addr}"}, Gravity.CRITICAL, "lacks {rcpt_mailer}"),
        (
            {"virtual_mailbox_maps": "socketmap:unix:/run/cyrus/socket/smmap:smmapd"},
            Gravity.CRITICAL,
            "asks a server whether the mailbox exists",
        ),
        (
            {"virtual_mailbox_maps": "hash:/etc/postfix/vmailbox"},
            Gravity.WARNING,
            "virtual_mailbox_maps = hash:/etc/postfix/vmailbox",
        ),
        ({"virtual_transport": "cyrus:"}, Gravity.CRITICAL, "'cyrus', which is not among"),
        (
            {"virtual_mailbox_domains": "", "mydestination": "example.org"},
            Gravity.WARNING,
            "local_recipient_maps = proxy:unix:passwd.byname",
        ),
        (
            {"virtual_mailbox_domains": "other.test"},
            Gravity.WARNING,
            "example.org is in none of virtual_mailbox_domains",
        ),
        (
            {"smtpd_recipient_restrictions": "permit_mynetworks, reject_unverified_recipient"},
            Gravity.WARNING,
            "has reject_unverified_recipient",
        ),
        ({"recipient_delimiter": ""}, Gravity.WARNING, "recipient_delimiter is ''"),
        (
            {"receive_override_options": "no_unknown_recipient_checks,no_milters"},
            Gravity.WARNING,
            "receive_override_options has no_milters",
        ),
    ],
)
def test_what_would_bite_in_postfix(changes: dict[str, str], gravity: Gravity, words: str) -> None:
    changes = {"local_recipient_maps": "proxy:unix:passwd.byname", **changes}
    found = [it for it in postfix(**changes) if words in it.what]
    assert [it.gravity for it in found] == [gravity]
    assert found[0].why
    assert found[0].remedy


def test_a_service_of_master_cf_without_milters_is_a_warning() -> None:
    submission = Service("submission", "inet", True, "smtpd")
    overrides = {("submission/inet", "smtpd_milters"): ""}
    found = postfixcheck.examine(Postfix(GOOD, (*SERVICES, submission), overrides), OURS)
    assert [(it.gravity, it.what) for it in found] == [
        (
            Gravity.WARNING,
            f"master.cf, submission inet: its smtpd_milters do not name our socket {SOCKET}",
        )
    ]


def test_what_postconf_prints_is_read() -> None:
    services = postfixcheck.read_services(
        "smtp       inet  n       -       y       -       -       smtpd\n"
        "smtp       unix  -       -       n       -       -       smtp -o syslog_name=x\n"
    )
    assert services == (
        Service("smtp", "inet", True, "smtpd"),
        Service("smtp", "unix", False, "smtp"),
    )
    assert postfixcheck.read_overrides("submission/inet/smtpd_milters = unix:/x\n") == {
        ("submission/inet", "smtpd_milters"): "unix:/x"
    }
    assert postfixcheck.read_parameters("a = b = c\nempty =\n") == {"a": "b = c", "empty": ""}
    assert [postfixcheck.seconds(it) for it in ("30", "30s", "5m", "1h")] == [30, 30, 300, 3600]


SENDMAIL = "O InputMailFilters=autocreate\nXautocreate, S=local:/run/autocreate/milter.sock, {}\n"


@pytest.mark.parametrize(
    ("equates", "words"),
    [
        ("F=T, T=C:30s;S:10s;R:10s;E:1m", None),
        ("F=T", None),
        ("T=R:10s", "has no F="),
        ("F=R, T=R:10s", "has F=R"),
        ("F=T, T=C:5m;R:5s", "has 5 s for a reply"),
        ("F=T, T=R:8s", "has 8 s for a reply"),
        ("F=T, T=R:1m", None),
    ],
)
def test_what_would_bite_in_sendmail(equates: str, words: str | None) -> None:
    ours = Ours("unix:/run/autocreate/milter.sock", 8.0, OURS.domains, OURS.mailers, "+")
    found = sendmailcheck.examine(SENDMAIL.format(equates), "sendmail.cf", ours)
    assert [it.gravity for it in found] == ([Gravity.CRITICAL] if words else [])
    assert all(words in it.what for it in found if words)


def test_a_filter_that_sendmail_has_and_does_not_use_is_none() -> None:
    text = SENDMAIL.format("F=T").replace("InputMailFilters=autocreate", "InputMailFilters=other")
    ours = Ours("unix:/run/autocreate/milter.sock", 8.0, OURS.domains, OURS.mailers, "+")
    (finding,) = sendmailcheck.examine(text, "sendmail.cf", ours)
    assert finding.what == "sendmail.cf: no input mail filter is at our socket " + ours.socket


def test_sendmail_over_tcp_is_found_by_its_own_way_to_write_it() -> None:
    text = "O InputMailFilters=a\nXa, S=inet:8894@localhost, F=T\n"
    ours = Ours("inet:127.0.0.1:8894", 8.0, OURS.domains, OURS.mailers, "+")
    assert sendmailcheck.examine(text, "sendmail.cf", ours) == []


def cyrus(text: str, admin: str = "cyrus", users: Users | None = None) -> list[str]:
    options = imapdconf.read("imapd.conf", text, lambda path: "")
    conf = imapd.take("imapd.conf", options)
    return [it.what for it in cyruscheck.examine(conf, admin, users or Users())]


def test_a_good_imapd_conf_has_nothing_that_would_bite() -> None:
    assert cyrus("admins: cyrus\n") == []


def test_what_would_bite_in_imapd_conf() -> None:
    assert cyrus("admins: root\n") == [
        "imapd.conf: 'cyrus' (cyrus.admin) is not among admins",
    ]
    assert cyrus("admins: cyrus\nvirtdomains: userid\ndefaultdomain: example.org\n") == [
        "imapd.conf: virtdomains says on, our cyrus.virtdomains off",
        "imapd.conf: defaultdomain says 'example.org', our cyrus.defaultdomain ''",
    ]
    assert "Cyrus's own autocreate is on as well" in "".join(
        cyrus("admins: cyrus\nautocreate_quota: 1000\nautocreate_post: yes\n")
    )

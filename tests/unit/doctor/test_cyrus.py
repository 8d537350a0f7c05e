"""What is wrong in imapd.conf and cyrus.conf."""

from __future__ import annotations

from typing import Any

import pytest

from autocreate.core.naming import Users
from autocreate.doctor import cyrus as cyrus_rules
from autocreate.doctor.cyrus import Expected
from autocreate.doctor.findings import Finding
from autocreate.imapdconf import parser as imapd_parser
from autocreate.imapdconf import settings as imapd_settings
from autocreate.imapdconf.services import USUAL_SERVICES, names_by_kind, read_entries
from autocreate.imapdconf.settings import CyrusFiles


def cyrus(text: str, cyrus_conf: str = "", **expected: Any) -> list[str]:
    return [it.what for it in findings(text, cyrus_conf, **expected)]


def findings(text: str, cyrus_conf: str = "", **expected: Any) -> list[Finding]:
    options = imapd_parser.read("imapd.conf", text, lambda path: "")
    entries = read_entries(cyrus_conf) if cyrus_conf else None
    services = USUAL_SERVICES if entries is None else names_by_kind(entries)
    conf = imapd_settings.interpret("imapd.conf", options, services)
    files = CyrusFiles(conf, options, "cyrus.conf", entries)
    return cyrus_rules.examine(files, Expected("cyrus", Users(), **expected))


def test_a_good_imapd_conf_has_no_findings() -> None:
    assert cyrus("admins: cyrus\n") == []


def test_a_mistake_in_imapd_conf_is_a_finding() -> None:
    assert cyrus("admins: root\n") == [
        "imapd.conf, line 1: 'cyrus' (cyrus.admin) is not in admins",
    ]
    assert cyrus("admins: root cyrus\nimap_admins: root group:staff\nproxyservers: cyrus\n") == [
        "imapd.conf, line 2: 'cyrus' (cyrus.admin) is not in imap_admins, except perhaps through group:staff",
    ]
    assert cyrus("admins: cyrus\nsieve_admins: root\n", managesieve=True) == [
        "imapd.conf, line 2: 'cyrus' (cyrus.admin) is not in sieve_admins",
    ]
    assert cyrus("admins: cyrus\nusername_tolower: no\nlmtp_downcase_rcpt: no\n") == [
        "imapd.conf, line 2: username_tolower: no; imapd.conf, line 3: lmtp_downcase_rcpt: no; "
        "autocreate.toml: cyrus.username_tolower is true, cyrus.lmtp_downcase_rcpt is true"
    ]
    assert cyrus("admins: cyrus\nusername_tolower: no\n")[1:] == [
        "imapd.conf, line 2: username_tolower: no, so Cyrus lower-cases mail only"
    ]
    assert cyrus("admins: cyrus\nlmtp_downcase_rcpt: no\n")[1:] == [
        "imapd.conf, line 2: lmtp_downcase_rcpt: no, so Cyrus lower-cases logins only"
    ]
    assert cyrus("admins: cyrus\nvirtdomains: userid\ndefaultdomain: example.org\n") == [
        "imapd.conf, line 2: virtdomains: userid; imapd.conf, line 3: defaultdomain: example.org; "
        'autocreate.toml: cyrus.virtdomains is "off", cyrus.defaultdomain is ""'
    ]
    assert "Cyrus's native autocreate is on as well" in "".join(
        cyrus("admins: cyrus\nautocreate_quota: 1000\nautocreate_post: yes\n")
    )


def remedies(text: str, cyrus_conf: str = "", **expected: Any) -> list[str]:
    return [it.remedy for it in findings(text, cyrus_conf, **expected)]


def test_only_what_is_written_is_to_be_removed() -> None:
    text = "admins: cyrus\nvirtdomains: userid\n"
    named, *_ = remedies(text)
    assert named == 'autocreate.toml: cyrus.imapd_conf = "imapd.conf"'
    named, *_ = remedies(text, written=frozenset({"virtdomains"}))
    assert named == (
        "autocreate.toml: remove cyrus.virtdomains; "
        'autocreate.toml: cyrus.imapd_conf = "imapd.conf"'
    )
    (native,) = remedies("admins: cyrus\nautocreatequota: 1000\n")
    assert native.startswith("imapd.conf: remove autocreatequota, once ")


SERVICES_OF_CYRUS = """
SERVICES {
  imap cmd="imapd -U 30" listen="imap" prefork=0
  lmtpunix cmd="lmtpd" listen="/run/cyrus/socket/lmtp"
  # sieve cmd="timsieved" listen="localhost:sieve"
}
"""


def test_a_mechanism_list_without_plain_is_a_finding() -> None:
    assert cyrus("admins: cyrus\nsasl_mech_list: PLAIN LOGIN\n") == []
    assert cyrus("admins: cyrus\nsasl_mech_list: SCRAM-SHA-256 LOGIN\n") == [
        "imapd.conf, line 2: sasl_mech_list lacks PLAIN",
    ]


def test_native_autocreate_that_creates_nothing_is_no_finding() -> None:
    assert cyrus("admins: cyrus\nautocreate_quota: -1\n") == []
    assert cyrus("admins: cyrus\nautocreate_quota: 1000\n") == [
        "imapd.conf, line 2: Cyrus's native autocreate is on as well, for imap, pop3, sieve"
    ]


def test_a_partition_that_cyrus_chooses_is_a_finding() -> None:
    """Debian's Cyrus then gives mailboxes that are created in the same second the same id."""
    partitions = "admins: cyrus\npartition-new: /new\npartition-old: /old\n"
    (found,) = findings(partitions)
    assert found.what == (
        "imapd.conf, line 2: partition-new, but there is no defaultpartition, so Cyrus chooses one"
    )
    assert found.remedy == "imapd.conf: defaultpartition: new"
    assert cyrus(partitions + "defaultpartition: old\n") == []


def test_a_frontend_that_chooses_backends_by_their_space_is_a_finding() -> None:
    frontend = "admins: cyrus\nserverlist: b1 b2\n"
    assert cyrus(frontend) == [
        "imapd.conf, line 2: serverlist_select_mode is missing, so this frontend chooses backends by "
        "their free space"
    ]
    (found,) = findings(frontend + "serverlist_select_mode: freespace-most\n")
    assert found.what.startswith("imapd.conf, line 3: serverlist_select_mode is freespace-most")
    assert found.remedy == "imapd.conf: serverlist_select_mode: random"
    assert cyrus(frontend + "serverlist_select_mode: random\n") == []


def test_passwords_of_services_that_cyrus_conf_does_not_run_do_not_matter() -> None:
    without_pop3 = 'SERVICES {\n  imap cmd="imapd" listen="imap"\n}\n'
    text = "admins: cyrus\nimap_sasl_pwcheck_method: auxprop\n"
    assert cyrus(text, without_pop3, login_socket="/run/autocreate/login.sock") == [
        "imapd.conf, line 2: imap_sasl_pwcheck_method is 'auxprop'",
    ]


def test_passwords_that_cyrus_does_not_send_to_us_are_found() -> None:
    socket = "/run/autocreate/login.sock"
    asks = f"admins: cyrus\nsasl_pwcheck_method: saslauthd\nsasl_saslauthd_path: /var{socket}\n"
    assert cyrus(asks, login_socket=socket) == []
    first = asks.replace("saslauthd\n", "saslauthd auxprop\n", 1)
    assert cyrus(first, login_socket=socket) == []
    second = asks.replace("saslauthd\n", "auxprop saslauthd\n", 1)
    assert cyrus(second, login_socket=socket) == [
        "imapd.conf, line 2: sasl_pwcheck_method is 'auxprop saslauthd'",
    ]
    assert cyrus("admins: cyrus\n", login_socket="") == []
    assert cyrus("admins: cyrus\n", login_socket=socket) == [
        "imapd.conf: sasl_pwcheck_method is missing",
    ]
    assert cyrus("admins: cyrus\nsasl_pwcheck_method: auxprop\n", login_socket=socket) == [
        "imapd.conf, line 2: sasl_pwcheck_method is 'auxprop'",
    ]
    assert cyrus("admins: cyrus\nsasl_pwcheck_method: saslauthd\n", login_socket=socket) == [
        f"imapd.conf: sasl_saslauthd_path is missing, login.socket is {socket}",
    ]
    assert cyrus(f"{asks}pop3_sasl_saslauthd_path: /run/mux\n", login_socket=socket) == [
        f"imapd.conf, line 4: pop3_sasl_saslauthd_path is /run/mux, login.socket is {socket}",
    ]


def test_notifications_that_cyrus_does_not_send_to_us_are_found() -> None:
    socket = "/run/autocreate/notify.sock"
    told = f"event_notifier: external\nevent_groups: mailbox access\nnotifysocket: {socket}\n"
    assert cyrus(f"admins: cyrus\n{told}", notify_socket=socket) == []
    assert cyrus("admins: cyrus\nevent_groups: message mailbox\n", notify_socket=socket) == [
        "imapd.conf: event_notifier is missing",
        "imapd.conf, line 2: event_groups lacks access",
        f"imapd.conf: notifysocket is missing, login.notify_socket is {socket}",
    ]


def test_a_cyrus_conf_without_timsieved_is_a_finding_if_managesieve_installs_scripts() -> None:
    assert cyrus("admins: cyrus\n", SERVICES_OF_CYRUS) == []
    assert cyrus("admins: cyrus\n", SERVICES_OF_CYRUS, managesieve=True) == [
        "cyrus.conf: no service runs timsieved",
    ]
    (remedy,) = remedies(
        "admins: cyrus\n", SERVICES_OF_CYRUS, managesieve=True, sieve="inet:127.0.0.1:4190"
    )
    assert remedy.startswith(
        'cyrus.conf, in SERVICES: sieve cmd="timsieved" listen="127.0.0.1:4190" prefork=0; or '
    )
    with_sieve = SERVICES_OF_CYRUS.replace("# sieve", "sieve")
    assert cyrus("admins: cyrus\n", with_sieve, managesieve=True) == []


@pytest.mark.parametrize(
    ("says", "is_off"),
    [
        (
            "OK [CAPABILITY IMAP4rev1] mx Cyrus IMAP 3.6.1-Debian-3.6.1-4+deb12u5 server ready",
            False,
        ),
        ("OK [CAPABILITY IMAP4rev1] mx Cyrus IMAP 3.8.5 server ready", False),
        ("OK [CAPABILITY IMAP4rev1] mx Cyrus IMAP 3.8.6 server ready", True),
        ("OK [CAPABILITY IMAP4rev1] mx Cyrus IMAP 3.10.1 server ready", False),
        ("OK [CAPABILITY IMAP4rev1] mx Cyrus IMAP 3.10.2-Debian-3.10.2-1 server ready", True),
        ("OK [CAPABILITY IMAP4rev1] mx Cyrus IMAP 3.12.0 server ready", False),
        ("OK [CAPABILITY IMAP4rev1] mx Cyrus IMAP 3.14.0 server ready", True),
        ("OK [CAPABILITY IMAP4rev1] mx Cyrus IMAP v2.4.17 server ready", False),
    ],
)
def test_the_remedy_for_starttls_is_that_of_the_version_in_the_greeting(
    says: str, is_off: bool
) -> None:
    remedy = cyrus_rules.starttls_remedy(says, is_sieve=False)
    assert remedy.startswith("imapd.conf: tls_server_cert and tls_server_key")
    assert ("allowstarttls: yes" in remedy) == is_off
    assert ('imaps cmd="imapd -s"' in remedy) == is_off


def test_for_managesieve_the_remedy_allows_starttls_to_that_service() -> None:
    remedy = cyrus_rules.starttls_remedy("Cyrus timsieved 3.12.4", is_sieve=True)
    assert "sieve_allowstarttls: yes" in remedy
    assert "imaps" not in remedy


def test_a_server_that_hides_its_version_gets_both_remedies() -> None:
    for says in ("OK [CAPABILITY IMAP4rev1] mx server ready", "ManageSieve", "Cyrus timsieved"):
        remedy = cyrus_rules.starttls_remedy(says, is_sieve=False)
        assert "if it is Cyrus 3.8.6, 3.10.2, 3.12.1 or later (this one does not say)" in remedy


# Users come from outside without an administrator among them; the milter logs in from this machine.
TWO_IMAP_SERVICES = """
SERVICES {
  imap      cmd="imapd -U 30" listen="192.0.2.7:imap" prefork=0 maxchild=100
  imaplocal cmd="imapd -U 5" listen="127.0.0.1:imap" prefork=0
  lmtpunix  cmd="lmtpd" listen="/run/cyrus/socket/lmtp" prefork=0
}
"""
LOCAL = "inet:127.0.0.1:143"


def test_only_the_service_that_the_milter_logs_in_to_needs_its_administrator() -> None:
    local = "admins: root\nimaplocal_admins: cyrus\n"
    assert cyrus(local, TWO_IMAP_SERVICES, imap=LOCAL) == []
    public = "admins: root\nimap_admins: cyrus\n"
    assert cyrus(public, TWO_IMAP_SERVICES, imap=LOCAL) == [
        "imapd.conf, line 1: 'cyrus' (cyrus.admin) is not in admins",
    ]
    own = "admins: cyrus\nimaplocal_admins: root\n"
    assert cyrus(own, TWO_IMAP_SERVICES, imap=LOCAL) == [
        "imapd.conf, line 2: 'cyrus' (cyrus.admin) is not in imaplocal_admins",
    ]


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("inet:127.0.0.1:143", []),
        ("inet:192.0.2.7:143", ["imap"]),
        ("inet:mail.example.org:143", ["imap"]),
        ("inet:mail.example.org:9143", ["imap"]),
        ("", ["imap"]),
    ],
    ids=["this machine", "the address", "a name", "a forwarded port", "unknown"],
)
def test_where_cyrus_conf_does_not_tell_the_service_each_one_is_judged(
    place: str, found: list[str]
) -> None:
    text = "admins: cyrus\nimap_admins: root\n"
    assert cyrus(text, TWO_IMAP_SERVICES, imap=place) == [
        f"imapd.conf, line 2: 'cyrus' (cyrus.admin) is not in {name}_admins" for name in found
    ]


def test_the_mechanisms_of_the_service_that_the_milter_logs_in_to_count() -> None:
    text = "admins: cyrus\nsasl_mech_list: PLAIN\nimap_sasl_mech_list: SCRAM-SHA-256\n"
    assert cyrus(text, TWO_IMAP_SERVICES, imap=LOCAL) == []
    assert cyrus(text, TWO_IMAP_SERVICES, imap="inet:192.0.2.7:143") == [
        "imapd.conf, line 3: imap_sasl_mech_list lacks PLAIN",
    ]


def test_every_service_that_users_log_in_to_must_send_passwords_and_notifications() -> None:
    text = (
        "admins: cyrus\nsasl_pwcheck_method: saslauthd\nsasl_saslauthd_path: /run/login.sock\n"
        "imaplocal_sasl_pwcheck_method: auxprop\n"
        "event_notifier: external\nevent_groups: mailbox access\nnotifysocket: /run/notify.sock\n"
        "imaplocal_event_groups: message\n"
    )
    sockets = {"login_socket": "/run/login.sock", "notify_socket": "/run/notify.sock"}
    assert cyrus(text, TWO_IMAP_SERVICES, imap=LOCAL, **sockets) == [
        "imapd.conf, line 4: imaplocal_sasl_pwcheck_method is 'auxprop'",
        "imapd.conf, line 8: imaplocal_event_groups lacks access and mailbox",
    ]


def test_what_several_services_have_in_common_is_one_finding() -> None:
    assert cyrus("admins: cyrus\n", TWO_IMAP_SERVICES, login_socket="/run/login.sock") == [
        "imapd.conf: sasl_pwcheck_method is missing",
    ]


def test_a_service_with_a_file_of_its_own_is_judged_by_that_file() -> None:
    with_file = TWO_IMAP_SERVICES.replace("imapd -U 5", "imapd -C /etc/imapd-local.conf -U 5")
    entries = read_entries(with_file)
    common = imapd_parser.read("imapd.conf", "admins: root\n", lambda path: "")
    conf = imapd_settings.interpret("imapd.conf", common, names_by_kind(entries))
    files = CyrusFiles(conf, common, "cyrus.conf", entries)

    def found(text: str) -> list[str]:
        own = imapd_parser.read("/etc/imapd-local.conf", text, lambda path: "")
        others = {"/etc/imapd-local.conf": own}
        expected = Expected("cyrus", Users(), imap=LOCAL)
        return [it.what for it in cyrus_rules.examine(files, expected, others)]

    assert found("admins: cyrus\n") == []
    assert found("admins: clerk\n") == [
        "/etc/imapd-local.conf, line 1: 'cyrus' (cyrus.admin) is not in admins",
    ]


def test_without_cyrus_conf_a_service_with_options_of_its_own_counts_as_well() -> None:
    assert cyrus("admins: cyrus\nimaps_admins: root\n") == [
        "imapd.conf, line 2: 'cyrus' (cyrus.admin) is not in imaps_admins",
    ]
    assert cyrus("admins: root\nimap_admins: cyrus\n") == []

"""Postfix's recipient maps that name our socket map."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocreate.doctor.findings import Finding, Gravity
from autocreate.doctor.postconf import Postfix, Service
from tests.unit.doctor.examples import GOOD, OURS, SERVICES, examine

SOCKET = "unix:/run/autocreate/map.sock"
IN_CHROOT = "unix:/var/spool/postfix/autocreate/map.sock"


def found(changes: dict[str, str], socket: str = SOCKET, chrooted: bool = True) -> list[Finding]:
    """What is found about recipient maps."""
    smtpd = replace(SERVICES[0], is_chrooted=chrooted)
    ours = replace(OURS, socketmap=socket)
    postfix = Postfix({**GOOD, **changes}, (smtpd, *SERVICES[1:]))
    return [it for it in examine(postfix, ours) if "_maps" in it.what]


@pytest.mark.parametrize(
    ("socket", "value"),
    [
        (SOCKET, f"proxy:socketmap:{SOCKET}:recipients"),
        (IN_CHROOT, "socketmap:unix:/autocreate/map.sock:any-name"),
        (IN_CHROOT, "socketmap:unix:autocreate/map.sock:any-name"),
        ("inet:0.0.0.0:8899", "socketmap:inet:127.0.0.1:8899:x"),
        ("inet:127.0.0.1:8899", "socketmap:inet:localhost:8899:x"),
        ("fd:3", "socketmap:unix:/anywhere:x"),
        (SOCKET, f"hash:/etc/postfix/more, proxy:socketmap:{SOCKET}:x"),
    ],
)
def test_our_socket_map_is_no_finding(socket: str, value: str) -> None:
    assert found({"virtual_mailbox_maps": value}, socket) == []


@pytest.mark.parametrize("socket", ["", "unix:/run/autocreate/other.sock"])
def test_another_socket_map_is_as_bad_as_ever(socket: str) -> None:
    (finding,) = found(
        {"virtual_mailbox_maps": "socketmap:unix:/run/cyrus/socket/smmap:smmapd"}, socket
    )
    assert finding.what.startswith("main.cf: virtual_mailbox_maps asks a server")
    assert "docs/socketmap.md" in finding.remedy


def test_a_chrooted_smtpd_needs_proxymap() -> None:
    value = f"socketmap:{SOCKET}:recipients"
    (finding,) = found({"virtual_mailbox_maps": value})
    assert finding.gravity is Gravity.CRITICAL
    assert finding.what == (
        "main.cf: virtual_mailbox_maps: smtpd is chrooted and looks for the socket map at "
        "/var/spool/postfix/run/autocreate/map.sock"
    )
    assert finding.remedy == f"main.cf: virtual_mailbox_maps = proxy:{value}"
    assert found({"virtual_mailbox_maps": value}, chrooted=False) == []
    # Its remedy, applied literally.
    assert found({"virtual_mailbox_maps": finding.remedy.partition(" = ")[2]}) == []


def test_what_chrooted_services_share_is_found_once_and_other_tables_stay() -> None:
    submission = Service("submission", "inet", True, "smtpd")
    ours = replace(OURS, socketmap=SOCKET)
    maps = {"virtual_mailbox_maps": f"hash:/one, socketmap:{SOCKET}:recipients, hash:/two"}
    critical = [
        it
        for it in examine(Postfix({**GOOD, **maps}, (*SERVICES, submission)), ours)
        if "smtpd is chrooted" in it.what
    ]
    assert [it.remedy for it in critical] == [
        f"main.cf: virtual_mailbox_maps = hash:/one, proxy:socketmap:{SOCKET}:recipients, hash:/two"
    ]
    own = {("submission/inet", "virtual_mailbox_maps"): f"socketmap:{SOCKET}:x"}
    theirs = Postfix(GOOD, (*SERVICES, submission), own)
    (finding,) = [it for it in examine(theirs, ours) if "smtpd is chrooted" in it.what]
    assert finding.remedy == (
        f"master.cf, submission inet: virtual_mailbox_maps = proxy:socketmap:{SOCKET}:x"
    )


def test_a_domain_that_the_map_does_not_know_is_critical() -> None:
    value = f"proxy:socketmap:{SOCKET}:recipients"
    changes = {
        "virtual_mailbox_maps": value,
        "virtual_mailbox_domains": "example.org, Other.test third.test hash:/etc/postfix/domains",
    }
    (finding,) = found(changes)
    assert finding.gravity is Gravity.CRITICAL
    assert finding.what == (
        "main.cf: virtual_mailbox_maps is our socket map alone, and virtual_mailbox_domains has domains "
        "that are not in milter.domains: other.test, third.test"
    )
    assert found({**changes, "virtual_mailbox_maps": f"{value} hash:/etc/postfix/more"}) == []


def test_a_service_of_master_cf_with_a_map_of_its_own_is_named() -> None:
    submission = Service("submission", "inet", False, "smtpd")
    ours = replace(OURS, socketmap=SOCKET)
    overrides = {("submission/inet", "relay_recipient_maps"): f"socketmap:{SOCKET}:x"}
    changes = {**GOOD, "relay_domains": "relayed.test"}
    postfix = Postfix(changes, (*SERVICES, submission), overrides)
    (finding,) = [it for it in examine(postfix, ours) if "_maps" in it.what]
    assert finding.what.startswith(
        "master.cf, submission inet: relay_recipient_maps is our socket map"
    )

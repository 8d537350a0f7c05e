"""Which ports of an IMAP server a configuration allows."""

from __future__ import annotations

import pytest

from autocreate.mailstore.ports import ImapPort, Tls, allowed_ports, default_port

STARTTLS = ImapPort(143, "starttls")
IMPLICIT = ImapPort(993, "implicit")


@pytest.mark.parametrize(
    ("tls", "port", "allowed"),
    [
        ("auto", None, (STARTTLS, IMPLICIT)),
        ("auto", 143, (STARTTLS, IMPLICIT)),
        ("auto", 993, (IMPLICIT,)),
        ("auto", 1143, (ImapPort(1143, "starttls"),)),
        ("starttls", None, (STARTTLS,)),
        ("starttls", 993, (ImapPort(993, "starttls"),)),
        ("implicit", None, (IMPLICIT,)),
        ("implicit", 143, (ImapPort(143, "implicit"),)),
        ("none", None, (ImapPort(143, "none"),)),
        ("none", 1143, (ImapPort(1143, "none"),)),
    ],
)
def test_a_configuration_allows_these_ports(
    tls: Tls, port: int | None, allowed: tuple[ImapPort, ...]
) -> None:
    assert allowed_ports(tls, port) == allowed


@pytest.mark.parametrize("tls", ["auto", "starttls", "implicit"])
@pytest.mark.parametrize("port", [None, 143, 993, 1143])
def test_nothing_but_none_allows_a_connection_without_tls(tls: Tls, port: int | None) -> None:
    assert all(port.tls != "none" for port in allowed_ports(tls, port))


@pytest.mark.parametrize("tls", ["auto", "starttls", "implicit", "none"])
def test_the_default_port_is_meant_where_none_is_given(tls: Tls) -> None:
    assert allowed_ports(tls, default_port(tls)) == allowed_ports(tls, None)


def test_a_port_is_shown_by_its_security_and_its_port() -> None:
    assert str(STARTTLS) == "STARTTLS on port 143"
    assert str(IMPLICIT) == "implicit TLS on port 993"

"""Which ways to an IMAP server a configuration allows."""

from __future__ import annotations

import pytest
from autocreate.mailstore.ways import Tls, Way, usual_port, ways

STARTTLS = Way(143, "starttls")
IMPLICIT = Way(993, "implicit")


@pytest.mark.parametrize(
    ("tls", "port", "allowed"),
    [
        ("auto", None, (STARTTLS, IMPLICIT)),
        ("auto", 143, (STARTTLS, IMPLICIT)),
        ("auto", 993, (IMPLICIT,)),
        ("auto", 1143, (Way(1143, "starttls"),)),
        ("starttls", None, (STARTTLS,)),
        ("starttls", 993, (Way(993, "starttls"),)),
        ("implicit", None, (IMPLICIT,)),
        ("implicit", 143, (Way(143, "implicit"),)),
        ("none", None, (Way(143, "none"),)),
        ("none", 1143, (Way(1143, "none"),)),
    ],
)
def test_a_configuration_allows_these_ways(
    tls: Tls, port: int | None, allowed: tuple[Way, ...]
) -> None:
    assert ways(tls, port) == allowed


@pytest.mark.parametrize("tls", ["auto", "starttls", "implicit"])
@pytest.mark.parametrize("port", [None, 143, 993, 1143])
def test_nothing_but_none_allows_a_connection_without_tls(tls: Tls, port: int | None) -> None:
    assert all(way.tls != "none" for way in ways(tls, port))


@pytest.mark.parametrize("tls", ["auto", "starttls", "implicit", "none"])
def test_the_usual_port_stands_for_none_given(tls: Tls) -> None:
    assert ways(tls, usual_port(tls)) == ways(tls, None)


def test_a_way_is_shown_by_its_security_and_its_port() -> None:
    assert str(STARTTLS) == "STARTTLS on port 143"
    assert str(IMPLICIT) == "implicit TLS on port 993"

"""`tls = "auto"` and real Cyrus servers: which of the two ports is used, and what never happens.

The servers' ports stand for 143 and 993.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from autocreate.errors import Temporary, Unreachable
from autocreate.mailstore import ports
from autocreate.mailstore.cyrus import Cyrus as Store
from autocreate.mailstore.imap import Session
from autocreate.mailstore.server import Server
from autocreate.passwords.imap import Imap
from autocreate.passwords.request import SaslauthdRequest
from tests.servers.common import free_port
from tests.servers.cyrus import Cyrus
from tests.servers.relay import Relay
from tests.servers.tls import make_certificate


@pytest.fixture(scope="module")
def offering() -> Iterator[Cyrus]:
    """STARTTLS and imaps."""
    with Cyrus(tls=True, users={"kim": "kim's word"}) as server:
        yield server


@pytest.fixture(scope="module")
def without_starttls() -> Iterator[Cyrus]:
    """No STARTTLS, but imaps: what a Cyrus from 3.10.2 on does by default, in words that each understands."""
    options = {"imap_tls_server_cert": "disabled"}
    with Cyrus(tls=True, users={"kim": "kim's word"}, imapd_conf=options) as server:
        yield server


@pytest.fixture
def usual_ports(monkeypatch: pytest.MonkeyPatch) -> UsualPorts:
    return UsualPorts(monkeypatch)


class UsualPorts:
    """Lets a server's ports, or others, stand for 143 and 993."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def are(self, imap: int, imaps: int) -> None:
        self._monkeypatch.setattr(ports, "_IMAP", imap)
        self._monkeypatch.setattr(ports, "_IMAPS", imaps)

    def server(self, cyrus: Cyrus, ca_file: str | None = None) -> Server:
        """By `auto`, with no port given."""
        return Server(
            *(cyrus.host, ports.default_port("auto"), "auto", cyrus.admin, cyrus.admin_password),
            ca_file or str(cyrus.ca_file),
            timeout=20.0,
        )


def _is_secured(server: Server) -> bool:
    with contextlib.closing(Session(server)) as session:
        return session.certificate() is not None


def test_starttls_is_used_where_it_is_offered(offering: Cyrus, usual_ports: UsualPorts) -> None:
    usual_ports.are(offering.imap_port, offering.imaps_port)
    server = usual_ports.server(offering)
    assert _is_secured(server)
    assert server.dialer.port == offering.imap_port


def test_implicit_tls_is_used_where_nobody_listens_for_starttls(
    offering: Cyrus, usual_ports: UsualPorts
) -> None:
    usual_ports.are(free_port(), offering.imaps_port)
    server = usual_ports.server(offering)
    assert _is_secured(server)
    assert server.dialer.port == offering.imaps_port


def test_implicit_tls_is_used_where_starttls_is_not_offered_and_no_password_went_in_clear(
    without_starttls: Cyrus, usual_ports: UsualPorts
) -> None:
    with Relay(without_starttls.imap_port) as relay:
        usual_ports.are(relay.port, without_starttls.imaps_port)
        server = usual_ports.server(without_starttls)
        assert _is_secured(server)
        assert _is_secured(server)
        assert relay.connections == 1
        assert b"AUTHENTICATE" not in relay.written
    assert server.dialer.port == without_starttls.imaps_port


def test_a_server_as_its_release_has_it_is_reached(usual_ports: UsualPorts) -> None:
    """`allowstarttls: no` is the default from 3.10.2 on, and unknown before."""
    with Cyrus(tls=True, imapd_conf={"allowstarttls": "no"}) as server:
        usual_ports.are(server.imap_port, server.imaps_port)
        settings = usual_ports.server(server)
        assert _is_secured(settings)
        assert Store(settings, 1).exists("joe") is False


def test_starttls_that_vanishes_is_not_followed_by_a_login_in_clear(
    offering: Cyrus, without_starttls: Cyrus, usual_ports: UsualPorts
) -> None:
    """As if a third party took it out of what the server says."""
    with Relay(offering.imap_port) as relay:
        usual_ports.are(relay.port, free_port())
        server = usual_ports.server(offering)
        assert _is_secured(server)
        relay.server_port = without_starttls.imap_port
        with pytest.raises(Unreachable, match="STARTTLS is not offered; implicit TLS on port"):
            Session(server)
        assert relay.connections == 2
        assert b"AUTHENTICATE" not in relay.written


def test_a_certificate_that_is_not_trusted_is_not_gone_around(
    offering: Cyrus, usual_ports: UsualPorts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = make_certificate(tmp_path_factory.mktemp("stranger"))
    with Relay(offering.imap_port) as first, Relay(offering.imaps_port) as second:
        usual_ports.are(first.port, second.port)
        with pytest.raises(Unreachable, match="certificate that is not trusted"):
            Session(usual_ports.server(offering, str(stranger.ca_file)))
        assert b"AUTHENTICATE" not in first.written
        assert second.connections == 0


def test_a_port_that_is_neither_of_the_two_is_kept_to(
    without_starttls: Cyrus, usual_ports: UsualPorts
) -> None:
    with Relay(without_starttls.imap_port) as relay, Relay(without_starttls.imaps_port) as other:
        usual_ports.are(free_port(), other.port)
        server = Server(
            *(relay.host, relay.port, "auto", Cyrus.admin, Cyrus.admin_password),
            str(without_starttls.ca_file),
        )
        with pytest.raises(Unreachable, match="offers no STARTTLS"):
            Session(server)
        assert other.connections == 0


@pytest.mark.parametrize("starttls", [True, False], ids=["STARTTLS", "implicit TLS"])
def test_passwords_are_asked_by_the_same_ways(
    starttls: bool, offering: Cyrus, without_starttls: Cyrus, usual_ports: UsualPorts
) -> None:
    server = offering if starttls else without_starttls
    usual_ports.are(server.imap_port, server.imaps_port)
    checker = Imap(server.host, None, "auto", str(server.ca_file), 20.0)
    assert checker.check(_attempt("kim's word")) == b"OK"
    assert checker.check(_attempt("another")) == b"NO"
    untrusting = Imap(server.host, None, "auto", None, 20.0)
    with pytest.raises(Temporary, match="certificate"):
        untrusting.check(_attempt("kim's word"))


def _attempt(password: str) -> SaslauthdRequest:
    strings = [it.encode() for it in ("kim", password, "imap", "")]
    return SaslauthdRequest(
        memoryview(bytearray(b"".join(len(it).to_bytes(2, "big") + it for it in strings)))
    )

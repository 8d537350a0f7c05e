"""What a server says that real ones do not say on demand: see tests/integration/test_doctor_cyrus.py for those."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from autocreate.doctor import probe_cyrus
from autocreate.errors import CannotCheck, NotLetIn, PlainNotOffered, Refused, Unreachable
from autocreate.imapdconf.parser import Option
from autocreate.mailstore.ports import allowed_ports
from autocreate.mailstore.server import Server
from autocreate.mailstore.wire import AllPortsFailed, NoStarttls
from autocreate.tree.values import Quota

CERTIFICATE = Option("tls_server_cert", "/c.pem", "/etc/imapd.conf, line 5")
SERVER = Server("imap.test", 143, "starttls", "cyrus", "secret")


class Names:
    def of_user(self, user: str) -> str:
        return f"user/{user}"


class Session:
    """An administrator's, who may not act for anybody."""

    def __init__(self, server: Server, user: str | None = None) -> None:
        if user is not None:
            raise Refused(f"{server} does not let 'cyrus' act for {user!r}")

    def mailboxes(self) -> Names:
        return Names()

    def quota(self, _mailbox: str) -> Quota:
        return Quota()

    def certificate(self) -> None:
        return None

    def close(self) -> None:
        pass


class Cyrus:
    def __init__(self, _server: Server, _connections: int) -> None:
        pass

    def users(self) -> Iterator[str]:
        yield "ann"
        raise AssertionError("one user is enough")


def test_an_administrator_who_may_not_act_for_users_is_critical(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe_cyrus, "Session", Session)
    monkeypatch.setattr(probe_cyrus, "Cyrus", Cyrus)
    (finding,) = probe_cyrus.examine(SERVER, None, lambda: 0.0)
    assert finding.what == "Cyrus at imap.test:143 does not let 'cyrus' act for 'ann'"
    assert finding.remedy == (
        "imapd.conf: admins: cyrus; a proxy between us must let it act for users too"
    )


def test_a_certificate_of_the_future_may_be_the_clocks_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def not_yet(server: Server) -> None:
        error = ssl.SSLCertVerificationError()
        error.verify_code = 9
        raise Unreachable("a certificate that is not yet valid") from error

    monkeypatch.setattr(probe_cyrus, "Session", not_yet)
    (finding,) = probe_cyrus.examine(SERVER, None, lambda: 86400.0)
    assert finding.remedy == (
        "renew the certificate on the server; or set this machine's clock: it says 1970-01-02 00:00 UTC"
    )


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (
            10,
            f"renew the certificate on the server ({CERTIFICATE.place}: tls_server_cert: /c.pem); ",
        ),
        (18, 'autocreate.toml: cyrus.ca_file = "/c.pem"'),
        (20, "autocreate.toml: cyrus.ca_file names the certificate (PEM) of who signed"),
    ],
    ids=["expired", "self-signed", "of an unknown authority"],
)
def test_a_certificate_that_imapd_conf_names_is_in_the_remedy(
    code: int, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_trusted(server: Server) -> None:
        error = ssl.SSLCertVerificationError()
        error.verify_code = code
        raise Unreachable("a certificate that is not trusted") from error

    monkeypatch.setattr(probe_cyrus, "Session", not_trusted)
    (finding,) = probe_cyrus.examine(SERVER, None, lambda: 0.0, lambda: CERTIFICATE)
    assert finding.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (NotLetIn("no"), "the password of 'cyrus' into the first line of cyrus.password_file"),
        (CannotCheck("no"), "on the server: start what imapd.conf's sasl_pwcheck_method names"),
        (PlainNotOffered("no"), "imapd.conf: sasl_mech_list: PLAIN"),
        (
            Unreachable("no mechanism available; it does not let us in"),
            "autocreate.toml: compare [cyrus] with the server's",
        ),
    ],
    ids=lambda it: type(it).__name__,
)
def test_the_class_of_the_error_decides_the_remedy_and_not_its_text(
    error: Unreachable, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(server: Server) -> None:
        raise error

    monkeypatch.setattr(probe_cyrus, "Session", fails)
    (finding,) = probe_cyrus.examine(SERVER, None, lambda: 0.0)
    assert finding.what == str(error)
    assert finding.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        (
            (NoStarttls("mx Cyrus IMAP 3.10.2 server ready"), ConnectionRefusedError()),
            "allowstarttls: yes; or leave that off, and cyrus.conf: imaps",
        ),
        ((ConnectionRefusedError(), ConnectionRefusedError()), "start Cyrus"),
    ],
    ids=["no STARTTLS, no imaps", "nobody listens"],
)
def test_where_both_ways_failed_the_remedy_is_for_the_server_that_answers(
    errors: tuple[OSError, OSError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(server: Server) -> None:
        failures = zip(allowed_ports("auto", 143), errors, strict=True)
        raise Unreachable(f"{server} cannot be reached") from AllPortsFailed(list(failures))

    monkeypatch.setattr(probe_cyrus, "Session", fails)
    (finding,) = probe_cyrus.examine(SERVER, None, lambda: 0.0)
    assert words in finding.remedy

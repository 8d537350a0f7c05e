"""A database password is shown to nobody, and leaves this machine encrypted where TLS was asked for."""

from __future__ import annotations

import socket
from pathlib import Path

import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from autocreate.backends.options import SqlOptions
from autocreate.backends.sql import Database
from autocreate.backends.sql_drivers import shown
from autocreate.errors import ConfigurationError, Temporary
from autocreate.service.journal import Journal
from tests.servers.scripted import ScriptedServer
from tests.servers.tls import make_certificate

# CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH and no CLIENT_SSL.
_CAPABILITIES = 0x0008_8200


def greeting() -> bytes:
    """Protocol::HandshakeV10 of a MySQL server that offers no TLS."""
    return (
        b"\x0a8.0.1\0"
        + (1).to_bytes(4, "little")
        + b"8 bytes.\0"
        + (_CAPABILITIES & 0xFFFF).to_bytes(2, "little")
        + b"\x21\x02\0"
        + (_CAPABILITIES >> 16).to_bytes(2, "little")
        + bytes([21])
        + bytes(10)
        + b"twelve bytes\0mysql_native_password\0"
    )


class MySqlWithoutTls(ScriptedServer):
    """Greets, then asks for the password as it is (mysql_clear_password)."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = b""

    def serve(self, client: socket.socket) -> None:
        self._say(client, 0, greeting())
        self.heard += client.recv(4096)
        self._say(client, 2, b"\xfemysql_clear_password\0")
        while more := client.recv(4096):
            self.heard += more

    def _say(self, client: socket.socket, number: int, packet: bytes) -> None:
        client.sendall(len(packet).to_bytes(3, "little") + bytes([number]) + packet)


def options(folder: Path, port: int, query: str) -> SqlOptions:
    secret = folder / "secret"
    secret.write_text("geheim\n")
    url = f"mysql://reader@127.0.0.1:{port}/mail{query}"
    return SqlOptions("accounts.staff", url, secret, 5.0, 1)


@pytest.mark.parametrize(
    "query",
    [
        "?ssl_ca={ca}",
        "?ssl_ca={ca}&ssl_check_hostname=true",
        "?ssl_check_hostname=true",
        "?ssl_verify_identity=true",
        "?ssl_verify_cert=true",
    ],
)
def test_a_server_that_offers_no_tls_never_sees_the_password_if_tls_is_asked_for(
    tmp_path: Path, query: str
) -> None:
    ca_file = make_certificate(tmp_path).ca_file
    with MySqlWithoutTls() as server:
        database = Database(options(tmp_path, server.port, query.format(ca=ca_file)))
        with pytest.raises(Temporary, match=r"(?i)ssl"):
            database.select(sa.text("SELECT 1"), {})
        database.close()
        assert server.connections
        assert server.heard == b""


@pytest.mark.parametrize("version", [(1, 0, 2, None), (1, 1, 1, "final", 1)])
def test_a_driver_that_would_go_on_without_tls_is_refused(
    tmp_path: Path, version: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pymysql, "VERSION", version)
    with MySqlWithoutTls() as server:
        asked = options(tmp_path, server.port, "?ssl_check_hostname=true")
        with pytest.raises(ConfigurationError, match=r"install PyMySQL 1\.2 or later"):
            Database(asked)
        with pytest.raises(ConfigurationError, match=r"install PyMySQL 1\.2 or later"):
            Journal(asked.url, lambda: 0.0, asked.password_file)
        assert server.connections == 0
    Database(options(tmp_path, 1, "?ssl_disabled=true")).close()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://u:geheim@h/m", "mysql://u:***@h/m"),
        ("mysql://u@h/m?password=geheim&ssl_ca=x", "mysql://u@h/m?password=%2A%2A%2A&ssl_ca=x"),
        ("mysql://u@h/m?PASSWD=geheim", "mysql://u@h/m?PASSWD=%2A%2A%2A"),
        ("postgresql://h/m?sslpassword=geheim", "postgresql://h/m?sslpassword=%2A%2A%2A"),
        ("postgresql://h/m?passfile=/x/pgpass", "postgresql://h/m?passfile=%2Fx%2Fpgpass"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, text: str) -> None:
    assert shown(make_url(url)) == text


def test_the_password_of_a_journal_that_cannot_be_read_is_a_mistake_in_the_configuration(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigurationError, match=r"^journal: password_file: .*No such"):
        Journal("mysql://u@h/m", lambda: 0.0, tmp_path / "secret")

"""Checks that an LDAP server can be reached and has a valid certificate, before libldap connects.

libldap built with GnuTLS (as in Debian) waits for a TLS handshake without a time limit, and reports each bad
certificate as an "unknown error". So Python makes a connection first: it has a time limit, and says what is
wrong.
"""

import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from autocreate.errors import ServerTimeout, Unreachable

_PORTS = {"ldap": 389, "ldaps": 636}

# An ExtendedRequest with StartTLS's name (RFC 4511, sections 4.12 and 4.14), and where its answer
# has its result code. Up to there, both always have this length.
_START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"


def shake_hands(url: str, start_tls: bool, ca_file: Path | None, timeout: float) -> None:
    """Connect to a server, start TLS if the connection needs it, and close it.

    Args:
        ca_file: the certificates to trust, or None for the system's.
        timeout: seconds for the connection and for each answer.

    Raises:
        Unreachable: the connection or TLS failed; `ServerTimeout` if the server does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        return
    host = parts.hostname or "localhost"
    place = (host, parts.port or _PORTS[parts.scheme])
    try:
        with socket.create_connection(place, timeout) as connection:
            connection.settimeout(timeout)
            if start_tls:
                _start_tls(connection)
            if start_tls or parts.scheme == "ldaps":
                context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
                context.wrap_socket(connection, server_hostname=host).close()
    except TimeoutError as error:
        raise ServerTimeout(f"{url}: cannot connect: no answer within {timeout:g} s") from error
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(
            f"{url}: its certificate is not trusted: {error.verify_message}; ca_file must "
            "have the certificate of its CA, and the URL a host name that it is valid for"
        ) from error
    except OSError as error:
        raise Unreachable(f"{url}: cannot connect: {error.strerror or error}") from error


def _start_tls(connection: socket.socket) -> None:
    connection.sendall(_START_TLS)
    answer = connection.recv(512)
    # LDAPMessage, its length, its id; ExtendedResponse, its length; the result code.
    code = answer.partition(b"\x0a\x01")[2][:1]
    if code != b"\0":
        raise OSError("the server refuses StartTLS; give it a certificate, or use ldaps://")

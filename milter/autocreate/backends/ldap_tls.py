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
from autocreate.resilience.answer_limit import LimitedStream

_PORTS = {"ldap": 389, "ldaps": 636}

# Bytes of the answer to it, with the server's words.
_MOST = 4096

# An ExtendedRequest with StartTLS's name (RFC 4511, sections 4.12 and 4.14).
_START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"


def shake_hands(url: str, start_tls: bool, ca_file: Path | None, timeout: float) -> None:
    """Connect to a server, start TLS if the connection needs it, and close it.

    Args:
        ca_file: the certificates to trust, or None for the system's.
        timeout: seconds for the connection, and for all that the server says then.

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
            stream = LimitedStream(connection, timeout, _MOST)
            if start_tls:
                _start_tls(stream)
            if start_tls or parts.scheme == "ldaps":
                context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
                stream.secure(context, host)
                stream.close()
    except TimeoutError as error:
        raise ServerTimeout(f"{url}: cannot connect: no answer within {timeout:g} s") from error
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(
            f"{url}: its certificate is not trusted: {error.verify_message}; ca_file must "
            "have the certificate of its CA, and the URL a host name that it is valid for"
        ) from error
    except OSError as error:
        raise Unreachable(f"{url}: cannot connect: {error.strerror or error}") from error


def _start_tls(stream: LimitedStream) -> None:
    stream.send(_START_TLS)
    # LDAPMessage's id; ExtendedResponse, its length; the result code.
    code = _message(stream).partition(b"\x0a\x01")[2][:1]
    if code != b"\0":
        raise OSError("the server refuses StartTLS; give it a certificate, or use ldaps://")


def _message(stream: LimitedStream) -> bytes:
    """The content of an LDAPMessage, after its tag and its length (X.690, 8.1.3); b"" for anything else."""
    if stream.read(1) != b"\x30":
        return b""
    length = int.from_bytes(stream.read(1), "big")
    if length & 0x80:
        length = int.from_bytes(stream.read(length & 0x7F), "big")
    return stream.read(length)

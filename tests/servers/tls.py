"""A certificate authority made for one test server, and its certificate for 127.0.0.1 and localhost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .common import run


@dataclass(frozen=True)
class Certificate:
    ca_file: Path
    cert_file: Path
    key_file: Path


def make_certificate(folder: Path, days: int = 2) -> Certificate:
    """`days` of 0: it expires in the second in which it is made."""
    made = Certificate(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    ca_key, request, extensions = folder / "ca.key", folder / "cert.csr", folder / "cert.ext"
    ec: list[str | Path] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                *ec,
                "-keyout",
                ca_key,
                "-out",
                made.ca_file,
                "-days",
                "2",
            ),
            *(
                "-subj",
                "/CN=autocreate test CA",
                "-addext",
                "keyUsage=critical,keyCertSign,cRLSign",
            ),
        ]
    )
    subject = ["-subj", "/CN=localhost"]
    run(["openssl", "req", *ec, "-keyout", made.key_file, "-out", request, *subject])
    extensions.write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost\n"
        "basicConstraints=CA:FALSE\n"
        "extendedKeyUsage=serverAuth\n"
    )
    run(
        [
            *("openssl", "x509", "-req", "-in", request, "-CA", made.ca_file, "-CAkey", ca_key),
            *("-CAcreateserial", "-days", str(days), "-extfile", extensions),
            *("-out", made.cert_file),
        ]
    )
    return made

"""What `autocreate doctor` finds at a test's servers."""

from __future__ import annotations

import json
from pathlib import Path

from tests.servers.cyrus import Cyrus
from tests.servers.product import Product


def findings(product: Product, *arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Its exit status, and each finding but advice. It reads the files of the product's Cyrus."""
    status, found = told(product, *arguments)
    return status, [it for it in found if it["gravity"] != "advice"]


def told(product: Product, *arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Its exit status, and all that it says."""
    done = product.run("doctor", "--json", *arguments, *files_of(product.cyrus))
    assert not done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def files_of(cyrus: Cyrus) -> list[str]:
    return [
        *("--imapd-conf", str(cyrus.imapd_conf_file)),
        *("--cyrus-conf", str(cyrus.cyrus_conf_file)),
    ]


def no_mta(nowhere: Path) -> list[str]:
    """Options that name an empty folder, so that no MTA is looked at: a warning."""
    return ["--postfix", str(nowhere), "--sendmail", f"{nowhere}/sendmail.cf"]

"""What `autocreate doctor` finds at a test's servers."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.servers.common import fresh_folder
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product

LINE_NUMBER = re.compile(r", line \d+: ")

# If no milter runs, doctor checks files as the user of our systemd units, if that exists.
WITHOUT_OUR_USER = """
sed '/^autocreate:/d' /etc/passwd >"$0"
mount --bind "$0" /etc/passwd
exec "$@"
"""


def findings(product: Product, *arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Its exit status, and each finding but advice. It reads the files of the product's Cyrus."""
    status, found = told(product, *arguments)
    return status, [it for it in found if it["gravity"] != "advice"]


def told(product: Product, *arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Its exit status, and all that it finds, as on a machine where the product is not installed.

    Without the numbers of lines: test_mistakes.py looks at those.
    """
    with fresh_folder("passwd") as folder:
        contained = ("unshare", "--mount", "sh", "-euc", WITHOUT_OUR_USER, folder / "passwd")
        done = product.run(
            *("doctor", "--json", *arguments, *files_of(product.cyrus)), contained=contained
        )
    assert not done.stderr
    said = [json.loads(LINE_NUMBER.sub(": ", line)) for line in done.stdout.splitlines()]
    return done.returncode, [it for it in said if it["gravity"] != "ok"]


def files_of(cyrus: Cyrus) -> list[str]:
    return [
        *("--imapd-conf", str(cyrus.imapd_conf_file)),
        *("--cyrus-conf", str(cyrus.cyrus_conf_file)),
    ]


def no_mta(nowhere: Path) -> list[str]:
    """Options that name an empty folder, so that no MTA is checked: a warning."""
    return ["--postfix", str(nowhere), "--sendmail", f"{nowhere}/sendmail.cf"]

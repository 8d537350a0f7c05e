"""The Debian package installs, runs and removes cleanly: tried for real, over this machine's files but not on them.

The package manager runs in a mount namespace of its own, with an overlay on `/` that is gone afterwards.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.common import free_port, fresh_folder, run
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.product import Product

# The package is built for the first of them, and three libraries are compiled for it.
pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).resolve().parents[2]

# What dpkg is asked to do must not be asked back, and must start nothing on this machine.
OVERLAY = """
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
cp "$2" "$1/root/package.deb"
export DEBIAN_FRONTEND=noninteractive
exec chroot "$1/root" sh -euc "$3"
"""


@pytest.fixture(scope="module")
def package() -> Iterator[Path]:
    with fresh_folder("deb") as folder:
        yield Path(run([ROOT / "script/deb", folder], timeout=300).splitlines()[-1])


@pytest.fixture
def overlay() -> Iterator[Path]:
    with fresh_folder("overlay") as folder:
        yield folder


def overlaid(package: Path, overlay: Path, script: str) -> list[str]:
    """The command that runs a script where the package can be installed."""
    return ["unshare", "--mount", "sh", "-c", OVERLAY, "sh", str(overlay), str(package), script]


def test_it_installs_and_says_what_to_do_next(package: Path, overlay: Path) -> None:
    said = run(
        overlaid(
            package,
            overlay,
            """
            dpkg --install /package.deb >/dev/null
            autocreate --version
            stat --format '%U:%G %a %n' /etc/autocreate /etc/autocreate/autocreate.toml \
                /var/lib/autocreate /var/spool/postfix/autocreate
            dpkg --listfiles autocreate-milter | grep -c '/man[15]/.*gz$'
            autocreate config check 2>&1 || echo "status $?"
            """,
        )
    )
    lines = said.splitlines()
    assert lines[0] == "autocreate, version 0.1.0"
    assert lines[1:5] == [
        "root:autocreate 750 /etc/autocreate",
        "root:autocreate 640 /etc/autocreate/autocreate.toml",
        "autocreate:autocreate 750 /var/lib/autocreate",
        "autocreate:postfix 2750 /var/spool/postfix/autocreate",
    ]
    assert lines[5] == "2"
    assert "cyrus.password_file: cannot read /etc/autocreate/cyrus.secret" in said
    assert lines[-1] == "status 78"


def test_what_is_installed_serves_under_its_own_user(
    cyrus: Cyrus, package: Path, overlay: Path
) -> None:
    port = free_port()
    with Product(cyrus, accounts=["deb"], socket=f"inet:127.0.0.1:{port}") as product:
        script = f"""
            dpkg --install /package.deb >/dev/null 2>&1
            cp {product.folder}/* /var/lib/autocreate/
            sed -i 's|{product.folder}|/var/lib/autocreate|g' /var/lib/autocreate/autocreate.toml
            chown -R autocreate /var/lib/autocreate
            exec setpriv --reuid autocreate --regid autocreate --clear-groups \
                autocreate milter --config /var/lib/autocreate/autocreate.toml
            """
        server = subprocess.Popen(
            overlaid(package, overlay, script), stderr=subprocess.PIPE, text=True
        )
        try:
            assert server.stderr is not None
            assert server.stderr.readline() == "INFO ready\n"
            with MilterClient(f"inet:127.0.0.1:{port}") as mta:
                mta.envfrom("<ann@client.test>")
                macros = {"{rcpt_mailer}": "lmtp", "{rcpt_addr}": "deb@example.org"}
                assert mta.envrcpt("<deb@example.org>", macros).verdict == "continue"
        finally:
            server.terminate()
            _out, said = server.communicate(timeout=30)
        assert server.returncode == 0, said
    assert "user/deb/Sent" in cyrus.mailboxes("user/deb*")


def test_its_syslog_lines_are_in_a_file_of_their_own_that_is_turned_over(
    package: Path, overlay: Path
) -> None:
    said = run(
        overlaid(
            package,
            overlay,
            """
            dpkg --install /package.deb >/dev/null
            cat >/rsyslog.conf <<'END'
            module(load="imuxsock" SysSock.Use="off")
            input(type="imuxsock" Socket="/syslog")
            include(file="/etc/rsyslog.d/autocreate-milter.conf")
            action(type="omfile" file="/others")
END
            rm -rf /run/systemd /run/rsyslogd.pid
            rsyslogd -f /rsyslog.conf -i /run/rsyslogd.pid
            trap 'kill "$(cat /run/rsyslogd.pid)"' EXIT
            await() { for _ in $(seq 1000); do if "$@"; then return; fi; sleep 0.01; done; false; }
            says() {
                /usr/lib/autocreate-milter/bin/python -c '
import logging, pathlib, sys
from autocreate import logs
logs.configure("text", "info", syslog=pathlib.Path("/syslog"))
logging.getLogger("autocreate").info(sys.argv[1])' "$1"
            }
            await test -s /run/rsyslogd.pid -a -S /syslog
            logrotate --force /etc/logrotate.d/autocreate-milter
            says 'the first'
            logger --socket /syslog --tag other 'not ours'
            await grep -q 'the first' /var/log/autocreate.log
            await grep -q 'not ours' /others
            grep -c autocreate /others || true
            logrotate --force --state /state /etc/logrotate.d/autocreate-milter
            says 'the second'
            await grep -q 'the second' /var/log/autocreate.log
            grep -o 'autocreate.*' /var/log/autocreate.log /var/log/autocreate.log.1
            stat --format '%U:%G %a' /var/log/autocreate.log
            """,
        )
    )
    assert re.sub(r"\[\d+\]", "", said).splitlines() == [
        "0",
        "/var/log/autocreate.log:autocreate: INFO the second",
        "/var/log/autocreate.log.1:autocreate: INFO the first",
        "root:adm 640",
    ]


def test_removing_and_purging_leaves_only_what_the_administrator_made(
    package: Path, overlay: Path
) -> None:
    said = run(
        overlaid(
            package,
            overlay,
            """
            dpkg --install /package.deb >/dev/null
            echo secret >/etc/autocreate/cyrus.secret
            touch /var/lib/autocreate/accounts.db /var/lib/autocreate/journal.db
            touch /var/log/autocreate.log /var/log/autocreate.log.1
            touch /var/spool/postfix/autocreate/milter.sock.lock
            dpkg --remove autocreate-milter >/dev/null
            ls /etc/autocreate
            dpkg --purge autocreate-milter >/dev/null 2>&1
            find / -xdev -path /proc -prune -o -path '*autocreate*' ! -path '*/autocreate-test-*' -print |
                grep -E '^/(etc|usr|lib|var)/' | sort
            """,
        )
    )
    # The password and the accounts are the administrator's; the journal was ours.
    assert said.splitlines() == [
        "autocreate.toml",
        "cyrus.secret",
        "/etc/autocreate",
        "/etc/autocreate/cyrus.secret",
        "/var/lib/autocreate",
        "/var/lib/autocreate/accounts.db",
    ]

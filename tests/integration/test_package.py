"""The Debian package and script/install: tried for real, over this machine's files but not on them.

The package manager runs in a mount namespace of its own, with an overlay on `/` that is gone afterwards. What this
machine has of the product itself is not seen in there.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.common import HUNG, free_port, fresh_folder, run
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.product import Product

# The package is built for the first of them, and three libraries are compiled for it.
pytestmark = pytest.mark.timeout(1000)

ROOT = Path(__file__).resolve().parents[2]
DOC = "/usr/share/doc/autocreate-milter"

# What dpkg is asked to do must not be asked back, and must start nothing on this machine: no systemd is seen in there.
OVERLAY = """
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mkdir -p "$1/root$3"
mount --bind "$3" "$1/root$3"
cp "$2" "$1/root/package.deb"
export DEBIAN_FRONTEND=noninteractive
exec chroot "$1/root" sh -euc "$4$5"
"""

# A machine that has seen nothing of the product.
FORGET = """
rm -rf /run/systemd
dpkg --purge autocreate-milter >/purged 2>&1 || { cat /purged; exit 1; }
rm -rf /etc/autocreate /var/lib/autocreate /opt/autocreate /run/autocreate /var/log/autocreate*
rm -rf /var/spool/postfix/autocreate /usr/local/bin/autocreate /usr/local/share/man/man?/autocreate*
rm -rf /etc/systemd/system/autocreate-* /etc/systemd/system/*.wants/autocreate-*
if getent passwd autocreate >/dev/null; then userdel autocreate; fi
"""


@pytest.fixture(scope="module")
def package() -> Iterator[Path]:
    left = ROOT / "build/lib/autocreate/left_by_an_earlier_build.py"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.touch()
    with fresh_folder("deb") as folder:
        yield Path(run([ROOT / "script/deb", folder], timeout=900).splitlines()[-1])


@pytest.fixture(scope="module")
def contents(package: Path) -> Iterator[Path]:
    """What the package has in it, unpacked."""
    with fresh_folder("contents") as folder:
        run(["dpkg-deb", "--extract", package, folder])
        yield folder


@pytest.fixture
def overlay() -> Iterator[Path]:
    with fresh_folder("overlay") as folder:
        yield folder


def overlaid(package: Path, overlay: Path, script: str) -> list[str]:
    """The command that runs a script where the package can be installed."""
    words = [str(overlay), str(package), str(ROOT), FORGET, script]
    return ["unshare", "--mount", "sh", "-c", OVERLAY, "sh", *words]


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
            assert any(it.startswith("INFO ready: enforce; milter at ") for it in server.stderr)
            with MilterClient(f"inet:127.0.0.1:{port}") as mta:
                mta.envfrom("<ann@client.test>")
                macros = {"{rcpt_mailer}": "lmtp", "{rcpt_addr}": "deb@example.org"}
                assert mta.envrcpt("<deb@example.org>", macros).verdict == "continue"
        finally:
            server.terminate()
            _out, said = server.communicate(timeout=HUNG)
        assert server.returncode == 0, said
    assert "user/deb/Sent" in cyrus.mailboxes("user/deb*")


def test_its_command_for_pam_takes_nothing_from_the_environment(
    package: Path, overlay: Path
) -> None:
    script = """
        dpkg --install /package.deb >/dev/null 2>&1
        mkdir /evil
        echo 'print("evil")' >/evil/sitecustomize.py
        line=$(grep -o '/[^ ]*autocreate-pam$' /usr/share/doc/autocreate-milter/contrib/pam/autocreate)
        PYTHONPATH=/evil AUTOCREATE_CONFIG=/evil/autocreate.toml \
            PAM_TYPE=account PAM_SERVICE=imap PAM_USER=joe "$line" 2>&1
        """
    # What it says of the configuration that is installed, where nothing has been filled in.
    said = run(overlaid(package, overlay, script))
    assert "/etc/autocreate/cyrus.secret" in said
    assert "evil" not in said


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
            mkdir /run/autocreate
            dpkg --remove autocreate-milter >/dev/null
            ls /etc/autocreate
            dpkg --purge autocreate-milter >/dev/null 2>&1
            find /etc /usr /run/autocreate /var/lib/autocreate /var/lib/dpkg /var/lib/systemd /var/log \
                /var/spool -path '*autocreate*' 2>/dev/null | sort
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


def test_it_asks_for_the_python_that_it_was_made_with(package: Path, overlay: Path) -> None:
    python = "{}.{}".format(*run_python("import sys; print(*sys.version_info[:2])").split())
    fields = run(["dpkg-deb", "--field", package, "Version", "Depends"])
    assert f"Version: 0.1.0+py{python}\n" in fields
    depends = fields.partition("Depends: ")[2].strip().split(", ")
    assert f"python{python}" in depends
    # A host's next release has another /usr/bin/python3, and this package there goes on.
    said = run(
        overlaid(
            package,
            overlay,
            """
            dpkg --install /package.deb >/dev/null
            ln -sf /bin/false /usr/bin/python3
            autocreate --version
            """,
        )
    )
    assert said == "autocreate, version 0.1.0\n"


def run_python(code: str) -> str:
    """What Debian's own Python says."""
    return run(["/usr/bin/python3", "-c", code])


def documents(contents: Path) -> list[tuple[Path, str]]:
    """The package's text files for people, each with its text: documents, examples, configuration, units."""
    folders = [contents / DOC[1:], contents / "etc", contents / "usr/lib/systemd"]
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    found = [(path, path.read_text()) for path in paths if path.suffix != ".gz"]
    assert len(found) > 50
    return found


def test_nothing_of_an_earlier_build_is_in_it(contents: Path) -> None:
    assert list(contents.rglob("autocreate/errors.py"))
    assert list(contents.rglob("left_by_an_earlier_build*")) == []


def test_links_in_its_documents_lead_to_files_that_it_has(contents: Path) -> None:
    broken = [
        f"{path.relative_to(contents)}: {link}"
        for path, text in documents(contents)
        if path.suffix == ".md"
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
        if not (path.parent / link).exists()
    ]
    assert broken == []


def test_paths_that_its_files_name_are_true_of_the_package(contents: Path) -> None:
    wrong = []
    for path, text in documents(contents):
        is_document = path.is_relative_to(contents / DOC[1:])
        for line in text.splitlines():
            # As a document names others: from where the README is.
            for name in re.findall(r"(?<![\w/.-])((?:contrib|docs)/[\w/.-]*)", line):
                if not is_document or not (contents / DOC[1:] / name.rstrip(".")).exists():
                    wrong.append(f"{path}: {line}")
            for name in re.findall(rf"{DOC}/[\w/.-]+|/usr/lib/autocreate-milter/[\w/.-]+", line):
                if not (contents / name.rstrip(".")[1:]).exists():
                    wrong.append(f"{path}: {line}")
            # Where a clone's script/install puts the program.
            if "/opt/autocreate" in line and "script/install" not in line:
                wrong.append(f"{path}: {line}")
            # Commands are run anywhere, and an installed file has left its README behind.
            if re.match(r"^ *install .* contrib/", line) or (
                not is_document and "beside this" in line
            ):
                wrong.append(f"{path}: {line}")
    assert wrong == []


# Types at a terminal, as a user who presses Tab and Enter. What is run tells what the shell made of it. fish tells
# without a terminal.
COMPLETE = r"""
cat >/type.zsh <<'END'
zmodload zsh/zpty
zpty -e shell "${(@)argv[2,-1]}"
zpty -w shell "$1; autocreate() { echo \"ran: \$*;\"; }; PS1='no''w> '"
zpty -r -m shell seen '*now> *'
for typed in 'acc' 'config sh' 'audit --form' 'audit --format js'; do
    zpty -w shell "autocreate $typed"$'\t'
    zpty -r -m shell seen '*ran: *;*now> *'
    print -r -- "$typed: ${${seen##*ran: }%%;*}"
done
END
zsh -f /type.zsh '. /usr/share/bash-completion/bash_completion' bash --norc -i
zsh -f /type.zsh 'autoload -Uz compinit; compinit -u -D' zsh -f -i
fish --command 'complete --do-complete "autocreate audit --form"'
"""
TYPED = [
    "acc: accounts",
    "config sh: config show",
    "audit --form: audit --format",
    "audit --format js: audit --format json",
]
COMPLETED = [
    *(TYPED + TYPED),
    "--format\tOutput format, one finding per line. CSV begins with a header line, and a cell that a "
    "spreadsheet would take for a formula with an apostrophe.",
]


def test_shells_complete_its_command(package: Path, overlay: Path) -> None:
    said = run(overlaid(package, overlay, f"dpkg --install /package.deb >/dev/null\n{COMPLETE}"))
    assert said.splitlines() == COMPLETED


ENABLED = "/etc/systemd/system/multi-user.target.wants/autocreate-milter.service"


def test_an_upgrade_keeps_what_the_administrator_decided(package: Path, overlay: Path) -> None:
    said = run(
        overlaid(
            package,
            overlay,
            f"""
            dpkg-deb --raw-extract /package.deb /older
            sed -i 's/^Version: .*/Version: 0.0.9/' /older/DEBIAN/control
            dpkg-deb --root-owner-group -Znone --build /older /older.deb >/dev/null
            dpkg --install /older.deb >/dev/null
            test -L {ENABLED}
            echo '# mine' >>/etc/autocreate/autocreate.toml
            chmod 640 /etc/logrotate.d/autocreate-milter
            chmod 600 /etc/autocreate/autocreate.toml
            rm {ENABLED}
            dpkg --install /package.deb >/dev/null
            dpkg-query --show --showformat '${{db:Status-Status}}\n' autocreate-milter
            tail -n 1 /etc/autocreate/autocreate.toml
            stat --format %a /etc/autocreate/autocreate.toml
            test ! -e {ENABLED} && test ! -L {ENABLED} && echo disabled

            ln -s /usr/lib/systemd/system/autocreate-milter.service {ENABLED}
            dpkg --remove autocreate-milter >/dev/null
            dpkg --install /package.deb >/dev/null
            test -L {ENABLED} && echo enabled
            rm /etc/autocreate/autocreate.toml
            dpkg --install /package.deb >/dev/null
            test ! -e /etc/autocreate/autocreate.toml && echo 'still without the file'
            """,
        )
    )
    assert said.splitlines() == [
        "installed",
        "# mine",
        "600",
        "disabled",
        "enabled",
        "still without the file",
    ]


def test_it_says_that_script_install_is_in_its_way_and_removing_that_helps(
    package: Path, overlay: Path
) -> None:
    said = run(
        overlaid(
            package,
            overlay,
            f"""
            mkdir -p /etc/systemd/system
            everything() {{
                find /etc /opt /usr -path '*autocreate*' ! -path '{ROOT}*' | sort
            }}
            everything >/var/before
            {ROOT}/script/install >/dev/null
            {COMPLETE}
            echo 'after that:'
            echo secret >/etc/autocreate/cyrus.secret
            touch /opt/autocreate/mine
            echo '# mine' >>/etc/systemd/system/autocreate-login.socket
            dpkg --force-confold --install /package.deb 2>&1 >/dev/null
            echo 'after that:'
            command -v autocreate
            {ROOT}/script/install --remove
            hash -r
            command -v autocreate
            autocreate --version
            dpkg --purge autocreate-milter >/dev/null 2>&1
            everything | diff /var/before - || true
            """,
        ),
        timeout=900,
    )
    completed, words, after = said.split("after that:\n")
    assert completed.splitlines() == COMPLETED
    assert "  /usr/local/bin/autocreate\n" in words
    assert "  /etc/systemd/system/autocreate-milter.service\n" in words
    assert "script/install --remove /opt/autocreate" in words
    lines = after.splitlines()
    assert lines[0] == "/usr/local/bin/autocreate"
    assert "Left, since it was changed: /etc/systemd/system/autocreate-login.socket" in lines
    assert "Left, with what was put there since: /opt/autocreate" in lines
    place = lines.index("/usr/bin/autocreate")
    assert lines[place + 1] == "autocreate, version 0.1.0"
    left = [line.removeprefix("> ") for line in lines[place + 2 :] if line.startswith("> ")]
    assert left == [
        "/etc/autocreate",
        "/etc/autocreate/cyrus.secret",
        "/etc/systemd/system/autocreate-login.socket",
        "/opt/autocreate",
        "/opt/autocreate/mine",
    ]


def test_script_install_does_not_put_itself_before_the_package(
    package: Path, overlay: Path
) -> None:
    script = f"dpkg --install /package.deb >/dev/null; {ROOT}/script/install 2>&1 || echo $?"
    said = run(overlaid(package, overlay, script))
    assert "The Debian package autocreate-milter is installed" in said
    assert said.endswith("\n1\n")


def test_script_install_makes_no_venv_of_a_folder_of_others(package: Path, overlay: Path) -> None:
    script = f"mkdir /ours; touch /ours/x; {ROOT}/script/install /ours 2>&1 || ls /ours"
    said = run(overlaid(package, overlay, script))
    assert said.splitlines() == [
        "/ours is not empty, and no installation of ours: name another folder.",
        "x",
    ]


BY_THE_PACKAGE = "dpkg --install /package.deb >/dev/null 2>&1"
BY_SCRIPT_INSTALL = f"{ROOT}/script/install >/dev/null"

# As Debian's Postfix asks for it at its installation, and with its master.cf: smtpd and lmtp are chrooted.
POSTFIX = r"""
useradd --no-create-home joe
sed 's/^smtp  *inet/127.0.0.1:%(port)s inet/' /usr/share/postfix/master.cf.dist >/etc/postfix/master.cf
cat >/etc/postfix/main.cf <<'END'
compatibility_level = 3.6
myhostname = mail.example.org
mydestination = $myhostname, example.org, localhost
alias_maps =
inet_interfaces = loopback-only
inet_protocols = ipv4
smtp_dns_support_level = disabled
maillog_file = /var/log/postfix.log
END
"""

FIRST_HOUR = r"""
cp -a /etc/postfix /before
init() {
    autocreate config init "$@" --imapd-conf %(cyrus)s/imapd.conf --cyrus-conf %(cyrus)s/cyrus.conf
}
mail() {
    python3 - "$1" <<'END'
import smtplib, sys
with smtplib.SMTP("127.0.0.1", %(port)s, timeout=60) as client:
    client.ehlo("client.test")
    replies = [client.mail("ann@client.test")[0], client.rcpt(sys.argv[1])[0]]
    if replies[-1] == 250:
        replies.append(client.data("Subject: hello\n\nhi\n")[0])
    print("mail to", *sys.argv[1:], *replies)
END
}
await() { for _ in $(seq 600); do if "$@"; then return; fi; sleep 0.1; done; false; }
echo '%(password)s' | init --replace --yes --password-file -
stat --format '%%U:%%G %%a' /etc/autocreate/autocreate.toml /etc/autocreate/cyrus.secret
autocreate config check
init --apply || echo "status $?"
milter() {
    setpriv --reuid autocreate --regid autocreate --init-groups \
        autocreate milter --config /etc/autocreate/autocreate.toml 2>/milter.log &
    process=$!
    await grep -q ^INFO.ready /milter.log
}
end_milter() { kill "$process" && wait "$process" || echo "the milter ended with $?"; }
milter
init --apply
postfix start >/dev/null 2>&1
await grep -q 'daemon started' /var/log/postfix.log
mail joe@example.org
sed -i '/^mode = "dry-run"/d' /etc/autocreate/autocreate.toml
end_milter
milter
mail joe@example.org
mail nobody@example.org
init --undo
diff -r /before /etc/postfix && echo 'as before'
postfix stop 2>/dev/null
end_milter
"""


@pytest.mark.timeout(1600)  # script/install compiles, and the program is started a dozen times
@pytest.mark.parametrize("install", [BY_THE_PACKAGE, BY_SCRIPT_INSTALL], ids=["deb", "script"])
def test_config_init_leads_to_a_first_delivery(
    cyrus: Cyrus, package: Path, overlay: Path, install: str
) -> None:
    values = {"port": free_port(), "cyrus": cyrus.folder, "password": cyrus.admin_password}
    script = f"{install}\n{(POSTFIX + FIRST_HOUR) % values}"
    # A name space for processes: Postfix ends with the test, whatever happens.
    contained = ["unshare", "--pid", "--fork", "--kill-child"]
    said = run([*contained, *overlaid(package, overlay, script)], timeout=1500)
    lines = said.splitlines()
    assert lines.count("root:autocreate 640") == 2
    assert "/etc/autocreate/autocreate.toml: ok: 1 account source, 1 policy, mode dry-run" in lines
    assert "+mailbox_transport = lmtp:inet:" in said
    assert "status 75" in lines
    assert [line for line in lines if line.startswith("mail to")] == [
        "mail to joe@example.org 250 250 250",
        "mail to joe@example.org 250 250 250",
        "mail to nobody@example.org 250 550",
    ]
    assert lines[-1] == "as before"
    assert cyrus.wait_for_messages("joe")
    cyrus.delete("user/joe")

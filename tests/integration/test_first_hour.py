"""From a Postfix and a Cyrus that do not know us to a first delivery, and back: `autocreate config init`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.integration.test_contrib import parameters_of_main_cf
from tests.servers import smtp
from tests.servers.common import HUNG, aged, end, fresh_folder, run
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.postgres import Postgres
from tests.servers.product import COMMAND, READY
from tests.servers.program import Program
from tests.servers.slapd import PEOPLE, Slapd

DAY_ONE = {
    "virtual_transport": "virtual",
    "recipient_delimiter": "",
    "virtual_alias_maps": "",
    "milter_default_action": "accept",
}


class Hour(Program):
    """The first hour of an administrator: a folder for autocreate.toml, and the milter that runs by it."""

    name = "hour"
    output = "milter.log"

    def __init__(self, cyrus: Cyrus, postfix: Postfix) -> None:
        super().__init__()
        self.cyrus = cyrus
        self.postfix = postfix
        self.contained: tuple[str, ...] = ()  # a command that runs the milter

    @property
    def socket(self) -> str:
        """The path of the milter's socket."""
        return f"{self.postfix.folder}/queue/autocreate/milter.sock"

    @property
    def config(self) -> Path:
        return self.folder / "autocreate.toml"

    def init(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`autocreate config init`, for the servers of this test."""
        return subprocess.run(
            self.command_line(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=HUNG,
            check=False,
        )

    def command_line(self, *arguments: str) -> list[str]:
        return [
            *(str(COMMAND), "config", "init", *arguments, "--output", str(self.config)),
            *self.places(),
        ]

    def places(self) -> list[str]:
        """The options that name the files of this test's servers."""
        return [
            *("--postfix", str(self.postfix.config), "--sendmail", f"{self.folder}/none.cf"),
            *("--imapd-conf", str(self.cyrus.imapd_conf_file)),
            *("--cyrus-conf", str(self.cyrus.cyrus_conf_file)),
        ]

    def write(self, *arguments: str) -> str:
        """Write autocreate.toml; what was told."""
        password = f"{self.cyrus.admin_password}\n"
        done = self.init("--yes", "--password-file", "-", *arguments, stdin=password)
        assert (done.returncode, done.stderr) == (0, ""), done
        # The journal of tests is their own.
        with self.config.open("a") as file:
            file.write(f'\n[journal]\nurl = "sqlite:///{self.folder}/journal.db"\n')
        return done.stdout

    def doctor(self) -> list[str]:
        """What doctor finds wrong at Postfix, Cyrus and the sockets."""
        parts = [
            word for name in ("postfix", "cyrus", "sockets", "config") for word in ("--only", name)
        ]
        done = subprocess.run(
            [COMMAND, "doctor", "--json", *parts, "--config", self.config, *self.places()],
            capture_output=True,
            text=True,
            timeout=HUNG,
            check=False,
        )
        checked = [json.loads(line) for line in done.stdout.splitlines()]
        assert {"ok"} <= {it["gravity"] for it in checked}, done
        return [it["what"] for it in checked if it["gravity"] not in ("ok", "advice")]

    def apply(self) -> str:
        """Make the socket's folder, start the milter, and point Postfix at it; what was told."""
        done = self.init("--yes", "--apply")
        assert done.returncode == 75, done
        assert "the milter does not listen" in done.stderr
        self.start()
        done = self.init("--yes", "--apply")
        assert (done.returncode, done.stderr) == (0, ""), done
        self.age()
        self.postfix.reload()
        return done.stdout

    def go_live(self) -> None:
        """As the README says: without the line `mode`."""
        text = self.config.read_text()
        assert 'mode = "dry-run"' in text
        self.config.write_text(re.sub(r'(?m)^mode = "dry-run"\n', "", text))
        self.stop()
        self.start()

    def age(self) -> None:
        for path in self.postfix.config.iterdir():
            aged(path)

    def send(self, recipient: str) -> list[int]:
        replies = smtp.send(
            self.postfix.host,
            self.postfix.port,
            "ann@client.test",
            [recipient],
            "Subject: hello\n\nhi\n",
        )
        return [reply.code for reply in replies]

    def files(self) -> dict[str, tuple[bytes, int, int, int]]:
        """The files of Postfix and Cyrus: content, mode and owners."""
        return {
            str(path): (path.read_bytes(), (it := path.stat()).st_mode, it.st_uid, it.st_gid)
            for path in (
                *self.postfix.config.iterdir(),
                self.cyrus.imapd_conf_file,
                self.cyrus.cyrus_conf_file,
            )
        }

    def _lay_out(self) -> None:
        """Nothing: the command writes all that there is."""

    def _begin(self) -> None:
        """The milter starts when it has a configuration."""

    def _command(self) -> Sequence[str | Path]:
        return [*self.contained, COMMAND, "milter", "--config", self.config]

    def launch(self) -> None:
        self._starts = len(READY.findall(self.log()))
        super().launch()

    def _is_up(self) -> bool:
        return len(READY.findall(self.log())) > self._starts

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        end(process, timeout=20.0)


@contextlib.contextmanager
def hour(cyrus: Cyrus, parameters: Mapping[str, str], chroot: bool = False) -> Iterator[Hour]:
    """A Postfix as on its first day, with these parameters."""
    with Postfix(parameters={**DAY_ONE, **parameters}) as postfix:
        if chroot:
            _chroot(postfix)
        with Hour(cyrus, postfix) as it:
            yield it


def _chroot(postfix: Postfix) -> None:
    """smtpd and cleanup run chrooted, as on Debian."""
    for service in (f"127.0.0.1:{postfix.port}/inet", "cleanup/unix"):
        run(["postconf", "-c", postfix.config, "-F", f"{service}/chroot=y"])
    etc = postfix.folder / "queue/etc"
    etc.mkdir()
    for name in ("services", "hosts", "resolv.conf", "nsswitch.conf"):
        with contextlib.suppress(FileNotFoundError):
            (etc / name).write_bytes(Path(f"/etc/{name}").read_bytes())
    aged(postfix.config / "master.cf")
    postfix.reload()


def deliver_and_undo(it: Hour, user: str, mailbox: str, *arguments: str) -> None:
    """Write, apply, deliver a first message, find everything as it should be, and take all of it back."""
    address = user if "@" in user else f"{user}@example.org"
    before = it.files()
    it.write(*arguments)
    assert it.files() == before
    it.apply()
    assert it.send(address) == [250, 250]
    assert it.cyrus.mailboxes(f"user/{mailbox}") == set()  # it is a dry run
    again = it.init("--yes", "--apply")
    assert again.returncode == 0
    assert again.stdout.splitlines()[-1] == "The MTA and Cyrus are as they should be."
    assert it.doctor() == []

    it.go_live()
    assert it.send(address) == [250, 250]
    assert it.cyrus.wait_for_messages(mailbox)
    unknown = f"nobody-at-all@{address.partition('@')[2]}"
    assert it.send(unknown)[0] == 550

    done = it.init("--undo")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert it.files() == before


def test_domains_and_users_in_hash_tables(cyrus: Cyrus) -> None:
    with fresh_folder("tables") as folder:
        domains, users = folder / "domains", folder / "vmailbox"
        domains.write_text("example.org OK\n")
        users.write_text("hana@example.org x\n")
        parameters = {
            "virtual_mailbox_domains": f"hash:{domains}",
            "virtual_mailbox_maps": f"hash:{users}",
        }
        with hour(cyrus, parameters) as it:
            for table in (domains, users):
                run(["postmap", "-c", it.postfix.config, f"hash:{table}"])
            deliver_and_undo(it, "hana", "hana")
            text = it.config.read_text()
            assert f'map = "hash:{domains}"' in text
            assert f'path = "{users}"' in text


def test_domains_and_users_in_postgresql_and_virtual_domains(postgres: Postgres) -> None:
    postgres.execute(
        "CREATE TABLE mailbox (username varchar(255) PRIMARY KEY, maildir varchar(255), active boolean);"
        "CREATE TABLE domain (domain varchar(255));"
        "INSERT INTO domain VALUES ('example.org'), ('other.test');"
        "INSERT INTO mailbox VALUES ('pia@example.org', 'x', true), ('pia@other.test', 'x', true);"
        f"GRANT SELECT ON mailbox, domain TO {postgres.user}"
    )
    options = {"virtdomains": "userid", "defaultdomain": "example.org"}
    with Cyrus(imapd_conf=options) as cyrus, fresh_folder("maps") as folder:
        maps = {
            "users": "SELECT maildir FROM mailbox WHERE username = '%s' AND active",
            "domains": "SELECT domain FROM domain WHERE domain = '%s'",
        }
        for name, query in maps.items():
            (folder / f"{name}.cf").write_text(
                f"hosts = inet:{postgres.host}:{postgres.port}\n"
                f"user = {postgres.user}\npassword = {postgres.password}\ndbname = mail\n"
                f"query = {query}\n"
            )
        parameters = {
            "virtual_mailbox_domains": f"proxy:pgsql:{folder}/domains.cf",
            "virtual_mailbox_maps": f"proxy:pgsql:{folder}/users.cf",
        }
        with hour(cyrus, parameters) as it:
            before = it.files()
            told = it.write()
            assert postgres.password not in told + it.config.read_text()
            secret = it.folder / "accounts.secret"
            assert secret.read_text() == f"{postgres.password}\n"
            assert secret.stat().st_mode & 0o037 == 0
            it.apply()
            it.go_live()
            for user in ("pia@example.org", "pia@other.test"):
                assert it.send(user) == [250, 250]
            assert it.cyrus.wait_for_messages("pia")
            assert it.cyrus.wait_for_messages("pia@other.test")
            assert it.send("nobody@other.test") == [550]
            assert it.init("--undo").returncode == 0
            assert it.files() == before


def test_users_in_sqlite(cyrus: Cyrus) -> None:
    with fresh_folder("maps") as folder:
        with contextlib.closing(sqlite3.connect(folder / "mail.db")) as database, database:
            database.execute("CREATE TABLE users (name TEXT, home TEXT)")
            database.execute("INSERT INTO users VALUES ('sam', 'x')")
        (folder / "users.cf").write_text(
            f"dbpath = {folder}/mail.db\nquery = SELECT home FROM users WHERE name = '%u'\n"
        )
        with hour(cyrus, {"virtual_mailbox_maps": f"sqlite:{folder}/users.cf"}) as it:
            deliver_and_undo(it, "sam", "sam")
            assert 'list_query = "SELECT name FROM users"' in it.config.read_text()


def test_users_in_a_directory(cyrus: Cyrus) -> None:
    with Slapd() as slapd, fresh_folder("maps") as folder:
        slapd.put({"lea": []})
        slapd.set("lea", mail="lea@example.org")
        (folder / "users.cf").write_text(
            f"server_host = {slapd.url}\nversion = 3\nsearch_base = {PEOPLE}\n"
            f"bind = yes\nbind_dn = {slapd.reader}\nbind_pw = {slapd.reader_password}\n"
            "query_filter = (mail=%s)\nresult_attribute = uid\n"
        )
        with hour(cyrus, {"virtual_mailbox_maps": f"ldap:{folder}/users.cf"}) as it:
            deliver_and_undo(it, "lea", "lea")
            assert slapd.reader_password not in it.config.read_text()


LOCAL_USER = """
cp /etc/passwd "$0"
echo 'nina:x:45678:45678::/nonexistent:/usr/sbin/nologin' >>"$0"
mount --bind "$0" /etc/passwd
exec "$@"
"""


def test_users_of_this_machine_behind_a_chrooted_smtpd(cyrus: Cyrus) -> None:
    parameters = {
        "mydestination": "example.org, localhost",
        "virtual_mailbox_domains": "",
        "local_recipient_maps": "",
        "local_transport": "local",
        "mailbox_transport": "",
        "alias_maps": "",
        "virtual_transport": "virtual",
    }
    with hour(cyrus, parameters, chroot=True) as it:
        passwd = it.folder / "passwd"
        it.contained = ("unshare", "--mount", "sh", "-euc", LOCAL_USER, str(passwd))
        before = it.files()
        told = it.write("--accounts", "nss")
        assert "+mailbox_transport = lmtp:inet:" in told
        it.apply()
        it.go_live()
        assert it.send("nina@example.org") == [250, 250]
        assert it.cyrus.wait_for_messages("nina")
        assert it.send("nobody-at-all@example.org") == [550]
        assert it.init("--undo").returncode == 0
        assert it.files() == before


def test_by_hand_as_contrib_says_and_then_there_is_nothing_to_do(cyrus: Cyrus) -> None:
    with hour(cyrus, {"virtual_mailbox_maps": "static:all"}) as it:
        (it.folder / "users").write_text("hugo\n")
        it.write("--accounts", f"{it.folder}/users")
        folder = Path(it.socket).parent
        run(["install", "-d", "-o", "root", "-g", "postfix", "-m", "2750", folder])
        it.start()
        lines = {
            name: value.replace(
                "unix:/run/cyrus/socket/lmtp", f"inet:{cyrus.host}:{cyrus.lmtp_port}"
            ).replace("unix:/autocreate/", "unix:autocreate/")
            for name, value in parameters_of_main_cf().items()
        }
        it.postfix.set(**lines)
        it.postfix.reload()
        it.go_live()
        assert it.send("hugo@example.org") == [250, 250]
        assert it.cyrus.wait_for_messages("hugo")
        files = it.files()
        done = it.init("--apply")
        assert (done.returncode, done.stdout.splitlines()[-1]) == (
            *(0, "The MTA and Cyrus are as they should be."),
        )
        assert it.files() == files
        done = it.init("--undo")
        assert done.returncode == 78
        assert "nothing was applied" in done.stderr


def test_what_was_changed_since_is_not_taken_back(cyrus: Cyrus) -> None:
    with hour(cyrus, {"virtual_mailbox_maps": "static:all"}) as it:
        (it.folder / "users").write_text("hugo\n")
        it.write("--accounts", f"{it.folder}/users")
        it.apply()
        it.postfix.set(myorigin="example.org")
        files = it.files()
        done = it.init("--undo")
        assert done.returncode == 78
        assert (
            f"{it.postfix.config}/main.cf was changed since; its copy from before is" in done.stderr
        )
        assert "nothing was taken back" in done.stderr
        assert it.files() == files


def test_a_configuration_that_is_there_is_not_overwritten(cyrus: Cyrus) -> None:
    with hour(cyrus, {"virtual_mailbox_maps": "static:all"}) as it:
        (it.folder / "users").write_text("hugo\n")
        accounts = ("--accounts", f"{it.folder}/users")
        done = it.init("--yes", *accounts)
        assert done.returncode == 78
        assert "there is no password" in done.stderr
        assert not it.config.exists()
        it.write(*accounts)
        text = it.config.read_text()
        done = it.init("--yes", *accounts)
        assert done.returncode == 78
        assert "exists and is left alone: --apply" in done.stderr
        assert it.config.read_text() == text
        done = it.init("--yes", "--replace", *accounts)
        assert done.returncode == 0
        (copy,) = it.folder.glob("autocreate.toml.before*")
        assert copy.read_text() == text
        done = it.init("--yes", *accounts)
        assert done.stdout.splitlines()[0] == f"{it.config} is as proposed"


def test_a_change_that_postfix_does_not_take_is_taken_back(cyrus: Cyrus) -> None:
    with hour(cyrus, {"virtual_mailbox_maps": "static:all"}) as it:
        (it.folder / "users").write_text("hugo\n")
        it.write("--accounts", f"{it.folder}/users")
        before = it.files()
        # `postfix check` wants this folder, and cannot make it.
        it.postfix.set(shlib_directory=f"{it.folder}/users/none")
        before = it.files()
        assert it.init("--yes", "--apply").returncode == 75
        it.start()
        done = it.init("--yes", "--apply")
        assert done.returncode == 78
        assert "the change was taken back" in done.stderr
        assert it.files() == before


def test_an_administrator_at_a_terminal_is_asked(cyrus: Cyrus) -> None:
    with hour(cyrus, {"virtual_mailbox_maps": "", "virtual_mailbox_domains": ""}) as it:
        (it.folder / "users").write_text("hugo\n")
        with Terminal(it.command_line()) as terminal:
            terminal.answer("Domains whose mailboxes are in Cyrus", "no domain")
            terminal.answer("is not a domain", "example.org")
            terminal.answer("Administrator of Cyrus [cyrus]", "")
            terminal.answer("Who has an account", "/no/such/file")  # proposed is what Cyrus checks
            terminal.answer("no such file", f"{it.folder}/users")
            terminal.answer("(not shown)", "wrong password")
            terminal.answer("does not take this name and password", "", is_answered=False)
            terminal.answer("Another password", cyrus.admin_password)
            terminal.answer("In this order", "", is_answered=False)
            assert terminal.wait() == 0
        assert cyrus.admin_password not in terminal.said
        assert "wrong password" not in terminal.said
        assert (it.folder / "cyrus.secret").read_text() == f"{cyrus.admin_password}\n"
        text = it.config.read_text()
        assert 'domains = ["example.org"]' in text
        with Terminal(it.command_line()) as terminal:
            terminal.answer("exists. Replace it, and keep a copy? [y/N]", "n")
            assert terminal.wait() == 78
        assert it.config.read_text() == text


def test_an_interruption_leaves_nothing_half_written(cyrus: Cyrus) -> None:
    with hour(cyrus, {"virtual_mailbox_maps": "", "virtual_mailbox_domains": ""}) as it:
        before = it.files()
        with Terminal(it.command_line()) as terminal:
            terminal.answer("Domains whose mailboxes are in Cyrus", "example.org")
            assert terminal.interrupt("Administrator of Cyrus [cyrus]") == 130
        assert "run it again to go on" in terminal.said
        assert it.files() == before
        assert os.listdir(it.folder) == []


class Terminal:
    """A command at a pseudo-terminal."""

    def __init__(self, command: Sequence[str]) -> None:
        self.said = ""
        self._begin = 0
        self._terminal, theirs = os.openpty()
        # A shell that runs tests in the background has them ignore SIGINT.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "env", "--default-signal=INT", *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self._terminal)
        self._process.kill()
        self._process.wait()

    def answer(self, question: str, text: str, end: str = "\n", is_answered: bool = True) -> None:
        """Wait for a question in what is said since the last answer, and answer it."""
        begin = self._begin
        until = time.monotonic() + 120.0
        while question not in self.said[begin:]:
            assert time.monotonic() < until, self.said
            assert self._read(), self.said
        self._begin = self.said.index(question, begin) + len(question)
        if is_answered:
            os.write(self._terminal, f"{text}{end}".encode())

    def interrupt(self, question: str) -> int:
        """Wait for a question, and press Ctrl-C until the command ends; its exit status.

        Python misses a signal that arrives just before it waits for a key, which no person is fast enough for.
        """
        self.answer(question, "", is_answered=False)
        while self._process.poll() is None:
            os.write(self._terminal, b"\x03")
            while self._read(2.0):
                pass
        return self.wait()

    def wait(self) -> int:
        while self._read():
            pass
        return self._process.wait()

    def _read(self, timeout: float = 30.0) -> bool:
        if not select.select([self._terminal], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self._terminal, 4096)
        except OSError:  # EIO: the command has ended
            return False
        self.said += data.decode()
        return bool(data)

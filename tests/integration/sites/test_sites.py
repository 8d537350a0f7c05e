"""Sites as hosting software lays them out: mail lands where the software's own maps of Postfix land it.

A site has a folder here: the software's tables with a few accounts (`tables.sql`, or `entries.ldif` and `site.schema`),
its own maps for Postfix (`postfix/`), and all accounts with their limits in KiB, 0 for none (`users`). What is ours,
and which recipient lands where, is read from docs/sites/, as an administrator copies it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

import pytest
from tests.servers.common import aged, fresh_folder, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.mariadb import MariaDb
from tests.servers.postfix import Postfix
from tests.servers.product import Product
from tests.servers.sendmail import Sendmail
from tests.servers.slapd import Slapd
from tests.servers.smtp import Dialogue

HERE = Path(__file__).parent
DOCUMENTS = Path(__file__).parents[3] / "docs" / "sites"
NAMES = sorted(it.name for it in HERE.iterdir() if (it / "users").exists())

# Nothing leaves this machine, whoever is elsewhere.
ELSEWHERE = {"default_transport": "discard:", "relay_transport": "discard:"}


@dataclass(frozen=True)
class Case:
    recipient: str
    code: int
    mailboxes: frozenset[str]


class Document:
    """docs/sites/NAME.md: files to copy, each beginning with its own path, and a table of recipients."""

    def __init__(self, name: str) -> None:
        text = (DOCUMENTS / f"{name}.md").read_text("utf-8")
        self.files = dict(
            re.findall(r"^```\w*\n# (/\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        )
        rows = re.findall(r"^\| `(\S+@\S+)` \| (\d{3}) \|(.*)\|$", text, re.MULTILINE)
        self.cases = [
            Case(recipient, int(code), frozenset(re.findall(r"`(.+?)`", mailboxes)))
            for recipient, code, mailboxes in rows
        ]


class Site:
    """A site, with its database, its Cyrus and our milter."""

    def __init__(
        self, name: str, document: Document, server: MariaDb | Slapd, cyrus: Cyrus, folder: Path
    ) -> None:
        self.name = name
        self.cases = document.cases
        self.cyrus = cyrus
        lines = (HERE / name / "users").read_text().splitlines()
        self.limits = {user: int(limit) for user, limit in map(str.split, lines)}
        self._document = document
        self._server = server
        self._folder = folder
        self._theirs = self._maps()

    @property
    def has_sendmail(self) -> bool:
        """Does the document say how Sendmail asks the same tables?"""
        return "/etc/mail/sendmail.mc" in self._document.files

    @contextlib.contextmanager
    def product(self) -> Iterator[Product]:
        """Our milter, configured as the document has it."""
        with Product(self.cyrus) as product:
            product.config_file.write_text(self._configuration(product))
            yield product

    def stock(self) -> Postfix:
        """Postfix as the software configures it."""
        return self._postfix(self._theirs)

    def ours(self, product: Product) -> Postfix:
        """The same, with the lines of the document."""
        changed = parameters(self._document.files["/etc/postfix/main.cf"])
        assert "autocreate/milter.sock" in changed.pop("smtpd_milters")
        assert changed.pop("non_smtpd_milters") == "$smtpd_milters"
        # Without it bounces to a user who has no mailbox yet are lost: see test_contrib.py.
        assert changed["internal_mail_filter_classes"] == "bounce, notify"
        for name, value in changed.items():
            if value == "lmtp:unix:/run/cyrus/socket/lmtp":
                changed[name] = self._lmtp
        return self._postfix(self._theirs | changed, product.socket)

    def sendmail(self, product: Product) -> Sendmail:
        """Sendmail with the map of the document."""
        assert isinstance(self._server, Slapd)
        secret = self._folder / "ldap.secret"
        secret.write_text(self._server.reader_password)
        secret.chmod(0o600)
        text = self._document.files["/etc/mail/sendmail.mc"]
        found = re.fullmatch(r"FEATURE\(`virtusertable', `(.*)'\)dnl\n", text)
        assert found
        virtual_map = (
            found[1]
            .replace("ldap://ldap.example.org", self._server.url)
            .replace("cn=vmail,dc=example,dc=org", self._server.reader)
            .replace("/etc/mail/ldap.secret", str(secret))
        )
        return Sendmail(
            milter=product.socket,
            lmtp=(self.cyrus.host, self.cyrus.lmtp_port),
            domains=sorted({it.recipient.partition("@")[2].lower() for it in self.cases}),
            virtual_map=virtual_map,
        )

    def create_missing(self) -> None:
        """Everybody's INBOX, disabled accounts' too, as it is long after the accounts were made."""
        have = self.inboxes()
        for user in self.limits:
            if user not in have:
                self.cyrus.create(f"user/{user}")

    def inboxes(self) -> set[str]:
        return {owner(it) for it in self.cyrus.mailboxes("user/*")}

    def subjects(self) -> dict[str, set[str]]:
        """In whose INBOX each message is."""
        found: dict[str, set[str]] = {}
        for user in self.inboxes():
            for message in self.cyrus.messages(user):
                subject = str(message_from_bytes(message)["Subject"])
                found.setdefault(subject, set()).add(user)
        return found

    def _postfix(self, theirs: Mapping[str, str], milter: str | None = None) -> Postfix:
        return Postfix(
            milter=milter,
            lmtp=(self.cyrus.host, self.cyrus.lmtp_port),
            parameters={"local_transport": self._lmtp, **ELSEWHERE, **theirs},
        )

    @property
    def _lmtp(self) -> str:
        return f"lmtp:inet:{self.cyrus.host}:{self.cyrus.lmtp_port}"

    def _maps(self) -> dict[str, str]:
        """The software's own maps, in a folder that Postfix can read; and its main.cf."""
        server = self._server
        reader, password = credentials(server)
        words = {
            "folder": str(self._folder),
            "host": server.host,
            "port": str(server.port),
            "url": server.url,
            "user": reader,
            "password": password,
        }
        for source in (HERE / self.name / "postfix").iterdir():
            text = source.read_text()
            for word, value in words.items():
                text = text.replace(f"@{word}@", value)
            (self._folder / source.name).write_text(text)
            aged(self._folder / source.name)
        return parameters((self._folder / "main.cf").read_text())

    def _configuration(self, product: Product) -> str:
        """The document's configuration; what names a place is ours."""
        server, cyrus = self._server, self.cyrus
        secret = product.folder / "database.secret"
        secret.touch(0o600)
        reader, password = credentials(server)
        secret.write_text(password)
        replaced = {
            '"unix:/run/autocreate/milter.sock"': f'"{product.socket}"\nsocket_mode = "0666"',
            'host = "localhost"': f'host = "{cyrus.host}"\nport = {cyrus.imap_port}\n'
            f"sieve_port = {cyrus.sieve_port}",
            "/etc/autocreate/cyrus.secret": f"{product.folder}/cyrus.secret",
            "/etc/autocreate/database.secret": str(secret),
        }
        if isinstance(server, MariaDb):
            replaced["mysql://postfix@db.example.org/postfix"] = server.url
        else:
            replaced['["ldap://ldap.example.org"]'] = (
                f'["{server.url}"]\nca_file = "{server.certificate.ca_file}"'
            )
            replaced["cn=vmail,dc=example,dc=org"] = reader
        text = self._document.files["/etc/autocreate/autocreate.toml"]
        for theirs, ours in replaced.items():
            assert theirs in text, theirs
            text = text.replace(theirs, ours)
        return f'{text}\n[journal]\nurl = "sqlite:///{product.journal}"\n'


@pytest.fixture(scope="module", params=NAMES)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    name: str = request.param
    document = Document(name)
    imapd_conf = dict(
        re.findall(r"^(\w+): (.*)$", document.files.get("/etc/imapd.conf", ""), re.MULTILINE)
    )
    with contextlib.ExitStack() as stack:
        server: MariaDb | Slapd
        if (HERE / name / "tables.sql").exists():
            server = stack.enter_context(MariaDb())
            fill(server, (HERE / name / "tables.sql").read_text())
        else:
            server = stack.enter_context(Slapd(schema=HERE / name / "site.schema"))
            server.add_entries((HERE / name / "entries.ldif").read_text())
        cyrus = stack.enter_context(Cyrus(imapd_conf=imapd_conf))
        folder = stack.enter_context(fresh_folder("site"))
        folder.chmod(0o755)
        yield Site(name, document, server, cyrus, folder)


def credentials(server: MariaDb | Slapd) -> tuple[str, str]:
    """Who may read there, and the password."""
    if isinstance(server, MariaDb):
        return server.user, server.password
    return server.reader, server.reader_password


def fill(server: MariaDb, statements: str) -> None:
    for statement in re.sub(r"(?m)^--.*\n", "", statements).split(";\n"):
        if statement.strip():
            server.execute(statement)


def parameters(text: str) -> dict[str, str]:
    """Lines of main.cf."""
    return dict(re.findall(r"^(\w+) *= *(.*)$", text, re.MULTILINE))


def owner(mailbox: str) -> str:
    """user/joe/Sent@other.test is joe@other.test's."""
    path, at, domain = mailbox.partition("@")
    return path.split("/")[1] + at + domain


def send(mta: Postfix | Sendmail, cases: Sequence[Case], mark: str) -> dict[str, int]:
    """A message to each recipient by itself; the replies to their RCPT. Ends when the queue is empty."""
    codes = {}
    with Dialogue(mta.host, mta.port) as smtp:
        smtp.ehlo()
        for case in cases:
            smtp.mail("sender@client.test")
            codes[case.recipient] = smtp.rcpt(case.recipient).code
            if codes[case.recipient] == 250:
                smtp.data(f"Subject: {mark} {case.recipient}\n\nhello\n")
            smtp.rset()
        smtp.quit()
    wait_until(lambda: not mta.queue(), 30.0, "an empty queue", mta.log)
    return codes


def test_mail_lands_where_the_document_says_and_where_their_own_maps_land_it(site: Site) -> None:
    with site.product() as product:
        product.start()
        assert site.inboxes() == set()
        with site.ours(product) as mta:
            codes = send(mta, site.cases, "ours")
        assert codes == {it.recipient: it.code for it in site.cases}, product.log()
    landed = site.subjects()
    assert {it.recipient: landed.get(f"ours {it.recipient}", set()) for it in site.cases} == {
        it.recipient: it.mailboxes for it in site.cases
    }
    if site.has_sendmail:
        # Its LDAP map does not follow the members of a group.
        cases = [it for it in site.cases if len(it.mailboxes) < 2]
        assert sent_by_sendmail(site, cases) == {it.recipient: it.mailboxes for it in cases}
    created = {user for it in site.cases for user in it.mailboxes}
    assert site.inboxes() == created
    limits = {user: site.cyrus.quota(f"user/{user}").get("STORAGE", 0) for user in created}
    assert limits == {user: site.limits[user] for user in created}
    site.create_missing()
    with site.stock() as mta:
        send(mta, site.cases, "theirs")
    landed = site.subjects()
    assert {it.recipient: landed.get(f"theirs {it.recipient}", set()) for it in site.cases} == {
        it.recipient: it.mailboxes for it in site.cases
    }, mta.log()


def sent_by_sendmail(site: Site, cases: Sequence[Case]) -> dict[str, set[str]]:
    """Where mail lands that comes by Sendmail."""
    with site.product() as product:
        product.start()
        with site.sendmail(product) as mta:
            codes = send(mta, cases, "sendmail")
        assert codes == {it.recipient: it.code for it in cases}, product.log()
    landed = site.subjects()
    return {it.recipient: landed.get(f"sendmail {it.recipient}", set()) for it in cases}


def test_the_configuration_is_content_with_the_tables(site: Site) -> None:
    with site.product() as product:
        assert product.run("config", "check").stderr == ""
        assert [it for it in product.json("accounts", "check") if it["status"]] == []
        elsewhere = product.json("check", "joe@elsewhere.test")[0]
        assert (elsewhere["answer"], elsewhere["reason"]) == (
            "pass",
            "domain 'elsewhere.test' is not ours",
        )

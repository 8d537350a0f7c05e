"""A private OpenLDAP on loopback, with StartTLS, LDAPS and a Unix socket.

People are below ou=people, groups below ou=groups (groupOfNames, whose members' entries show memberOf, nested groups
included) and posixGroups below ou=posix.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import ldap
import ldap.filter
import ldif
from ldap.controls import SimplePagedResultsControl
from ldap.controls.simple import ManageDSAITControl

from .common import HOST, free_port, run, secret_file
from .database import DatabaseServer

SUFFIX = "dc=example,dc=org"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
POSIX = f"ou=posix,{SUFFIX}"

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/dyngroup.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload dynlist
{module}
{schema}
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
TLSCACertificateFile {ca}
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
sizelimit {sizelimit}
threads 4
database mdb
suffix "{suffix}"
directory {folder}/data
maxsize 4294967296
dbnosync
rootdn "cn=admin,{suffix}"
rootpw {password}
index objectClass eq
index uid eq
index member eq
index memberUid eq
overlay dynlist
dynlist-attrset groupOfURLs memberURL member+memberOf@groupOfNames*
{overlay}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,{suffix}" read
  by dn.exact="gidNumber=0+uidNumber=0,cn=peercred,cn=external,cn=auth" read
  by anonymous none by * none
"""

# What people have besides, where no other schema is given.
_SCHEMA = """\
attributetype ( 1.3.6.1.4.1.99999.1 NAME 'mailQuota' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.2 NAME 'mailPartition' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.99999.3 NAME 'mailUser' AUXILIARY MAY ( mailQuota $ mailPartition ) )"""


class Slapd(DatabaseServer):
    """`reader` may read everything, and so may root over the Unix socket; nobody else may."""

    name = "slapd"
    suffix: Final = SUFFIX
    reader: Final = f"cn=reader,{SUFFIX}"
    reader_password: Final = "liest-nur 7"

    def __init__(
        self, sizelimit: str = "unlimited", schema: Path | None = None, syncprov: bool = False
    ) -> None:
        """`schema` has other attributes and classes, as slapd.conf(5) defines them.

        `syncprov`: it reports changes to whoever asks for that (RFC 4533).
        """
        super().__init__()
        self._syncprov = syncprov
        self._schema = schema.read_text() if schema else _SCHEMA
        self.tls_port = free_port()
        self._sizelimit = sizelimit

    @property
    def url(self) -> str:
        return f"ldap://{HOST}:{self.port}"

    @property
    def ldaps_url(self) -> str:
        return f"ldaps://{HOST}:{self.tls_port}"

    @property
    def ldapi_url(self) -> str:
        return f"ldapi://{quote(str(self.folder / 'ldapi'), safe='')}"

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        with self._admin() as admin:
            for base in (PEOPLE, GROUPS, POSIX):
                _clear(admin, base)
            for entry in _entries(accounts):
                admin.add_s(*entry)

    def load(self, users: Sequence[str]) -> None:
        self.put({})
        ldif = self.folder / "load.ldif"
        with ldif.open("w") as file:
            for user in users:
                file.write(f"dn: cn={user},{PEOPLE}\nobjectClass: inetOrgPerson\n")
                file.write(f"cn: {user}\nsn: {user}\nuid: {user}\n\n")
        self.stop()
        run(["/usr/sbin/slapadd", "-q", "-f", self._config, "-l", ldif])
        self._own()
        self.start()

    def set(self, user: str, **attributes: str | list[str]) -> None:
        """Gives a user's entry these values."""
        with self._admin() as admin:
            (dn, _), *_ = admin.search_s(
                PEOPLE, ldap.SCOPE_ONELEVEL, ldap.filter.filter_format("(uid=%s)", [user])
            )
            changes = [
                (ldap.MOD_REPLACE, name, [it.encode() for it in _list(value)])
                for name, value in attributes.items()
            ]
            admin.modify_s(dn, changes)

    def add(self, dn: str, **attributes: str | list[str]) -> None:
        with self._admin() as admin:
            admin.add_s(
                dn, [(name, [v.encode() for v in _list(it)]) for name, it in attributes.items()]
            )

    def add_entries(self, text: str) -> None:
        """What an LDIF has."""
        entries = ldif.LDIFRecordList(StringIO(text))
        entries.parse()
        with self._admin() as admin:
            for dn, attributes in entries.all_records:
                admin.add_s(dn, list(attributes.items()))

    def remove(self, dn: str) -> None:
        """Also what refers to another server."""
        with self._admin() as admin:
            admin.delete_ext_s(dn, serverctrls=[ManageDSAITControl()])

    @contextlib.contextmanager
    def referring(self, base: str) -> Iterator[None]:
        """Meanwhile a part of what is below `base` is at another server, which does not answer."""
        branch = f"ou=branch,{base}"
        self.add(
            branch,
            objectClass=["referral", "extensibleObject"],
            ref="ldap://127.0.0.1:1/ou=branch",
        )
        try:
            yield
        finally:
            self.remove(branch)

    @contextlib.contextmanager
    def _admin(self) -> Iterator[Any]:
        connection = ldap.initialize(self.ldapi_url, bytes_mode=False)
        connection.simple_bind_s(f"cn=admin,{SUFFIX}", "geheim")
        try:
            yield connection
        finally:
            connection.unbind_s()

    @property
    def _config(self) -> Path:
        return self.folder / "slapd.conf"

    def _own(self) -> None:
        for path in (self.folder, *self.folder.rglob("*")):
            shutil.chown(path, "openldap", "openldap")

    def _lay_out(self) -> None:
        (self.folder / "data").mkdir()
        self._config.write_text(
            _CONFIGURATION.format(
                folder=self.folder,
                ca=self.certificate.ca_file,
                cert=self.certificate.cert_file,
                key=self.certificate.key_file,
                suffix=SUFFIX,
                password="geheim",
                sizelimit=self._sizelimit,
                schema=self._schema,
                module="moduleload syncprov" if self._syncprov else "",
                overlay="overlay syncprov" if self._syncprov else "",
            )
        )
        self._own()

    def _command(self) -> list[str | Path]:
        urls = f"{self.url} {self.ldaps_url} {self.ldapi_url}"
        return [
            *("/usr/sbin/slapd", "-d", "stats", "-f", self._config, "-h", urls),
            *("-u", "openldap", "-g", "openldap"),
        ]

    def _is_up(self) -> bool:
        try:
            with self._admin():
                return True
        except ldap.SERVER_DOWN:
            return False

    def _prepare(self) -> None:
        self.add(SUFFIX, objectClass=["dcObject", "organization"], o="Example", dc="example")
        for base in (PEOPLE, GROUPS, POSIX):
            self.add(base, objectClass="organizationalUnit")
        self.add(
            self.reader,
            objectClass=["organizationalRole", "simpleSecurityObject"],
            userPassword=self.reader_password,
        )


def _clear(admin: Any, base: str) -> None:
    page = SimplePagedResultsControl(criticality=True, size=1000, cookie="")
    while True:
        found = admin.search_ext(base, ldap.SCOPE_ONELEVEL, attrlist=["1.1"], serverctrls=[page])
        _, entries, _, controls = admin.result3(found)
        for dn, _ in entries:
            admin.delete_s(dn)
        page.cookie = controls[0].cookie
        if not page.cookie:
            return


def _entries(accounts: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, list[Any]]]:
    dns = {user: f"cn=number {number},{PEOPLE}" for number, user in enumerate(accounts)}
    for user, dn in dns.items():
        yield (
            dn,
            [
                ("objectClass", [b"inetOrgPerson", b"mailUser"]),
                ("sn", [b"Somebody"]),
                ("uid", [user.encode()]),
            ],
        )
    for number, group in enumerate(sorted({it for groups in accounts.values() for it in groups})):
        members = [user for user, groups in accounts.items() if group in groups]
        yield (
            f"cn={group},{GROUPS}",
            [
                ("objectClass", [b"groupOfNames"]),
                ("member", [dns[user].encode() for user in members]),
            ],
        )
        yield (
            f"cn={group},{POSIX}",
            [
                ("objectClass", [b"posixGroup"]),
                ("gidNumber", [str(3000 + number).encode()]),
                # An IA5 string, so members whose names are no ASCII cannot be there.
                ("memberUid", [user.encode() for user in members if user.isascii()] or [b"none"]),
            ],
        )


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def ldap_source(server: Slapd, folder: Path, **settings: Any) -> dict[str, Any]:
    """The section [accounts.NAME] of a server.

    Args:
        folder: where the file with the password is written.
        settings: further keys.
    """
    return {
        "type": "ldap",
        "urls": [server.url],
        "ca_file": str(server.certificate.ca_file),
        "bind_dn": server.reader,
        "password_file": secret_file(folder, server.reader_password),
        "base": PEOPLE,
        **settings,
    }

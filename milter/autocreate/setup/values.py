"""What `autocreate config init` has seen, and what it proposes. Values; no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from autocreate.doctor.postconf import Postfix
from autocreate.imapdconf.settings import CyrusFiles

# The maps of Postfix that are described by a file of their own: pgsql_table(5) and so on.
DESCRIBED = ("pgsql", "mysql", "sqlite", "ldap")


@dataclass(frozen=True, slots=True)
class File:
    """A file and its text."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class SeenPostfix:
    """A Postfix.

    Args:
        folder: of main.cf.
        conf: what postconf(1) says.
        keys: of tables that postmap(1) can list (`postmap -s`), by their name in main.cf.
        described: the parameters of maps such as `pgsql:/etc/postfix/users.cf`, by their name in main.cf.
        listed: the text of files of a list's items, by their path.
        sources: the tables whose source text is beside them.
        unread: what could not be read, and why.
    """

    folder: str
    conf: Postfix
    main_cf: File
    master_cf: File
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    described: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    listed: Mapping[str, str] = field(default_factory=dict)
    sources: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenSendmail:
    """A Sendmail: sendmail.cf, and the macro file that it was made from, if that is beside it."""

    cf: File
    mc: File | None = None


@dataclass(frozen=True, slots=True)
class SeenCyrus:
    """A Cyrus on this machine. `is_public`: every user may read its files."""

    imapd_conf: File
    files: CyrusFiles
    cyrus_conf: File | None = None
    is_public: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """What is on this machine.

    Args:
        aliases: lines of TOML for the MTA's alias tables: what `aliases detect` prints.
        has_people: passwd(5) or another service of nsswitch.conf lists users who may have mail.
        sasldb: the path of Cyrus SASL's database if there is one; else "".
        closed_sockets: Unix sockets of lmtpd that Postfix's user may not connect to.
        has_our_user: there is a user `autocreate`, as the packages make.
    """

    postfix: SeenPostfix | None = None
    sendmail: SeenSendmail | None = None
    cyrus: SeenCyrus | None = None
    aliases: tuple[str, ...] = ()
    has_people: bool = False
    sasldb: str = ""
    closed_sockets: frozenset[str] = frozenset()
    has_our_user: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """A table of autocreate.toml.

    Args:
        head: such as `accounts.users`.
        keys: its keys and their values, strings or lists of strings, in order.
        remarks: comments above it.
        secret: the password that `password_file` is to hold; "" for none.
    """

    head: str
    keys: Mapping[str, object]
    remarks: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the administrator has said.

    Args:
        domains: whose recipients are verified; none: those that Postfix delivers for.
        admin: the administrator of Cyrus.
        accounts: the type of the account source, or the path of a file of users; "" as proposed.
        folder: where secrets are written.
    """

    domains: tuple[str, ...] = ()
    admin: str = ""
    accounts: str = ""
    folder: str = "/etc/autocreate"


@dataclass(frozen=True, slots=True)
class Connection:
    """What the MTA and Cyrus have to match: of the proposed autocreate.toml, or of the one that is there.

    Args:
        socket: `milter.socket`.
        domains: `milter.domains`, and the domains of tables that could be listed.
        admin: `cyrus.admin`.
        lmtp: where lmtpd listens: "unix:/path" or "inet:HOST:PORT"; "" if that is not known.
    """

    socket: str
    domains: tuple[str, ...]
    admin: str
    lmtp: str


@dataclass(frozen=True, slots=True)
class Change:
    """A file with other text.

    Args:
        why: a reason for each line that changes.
        is_confidential: other lines may have passwords, so that none is shown.
    """

    path: str
    before: str
    after: str
    why: tuple[str, ...] = ()
    is_confidential: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is to exist."""

    path: str
    owner: str
    group: str
    mode: int


@dataclass(frozen=True, slots=True)
class Step:
    """What is changed at one time.

    Args:
        title: what it does.
        changes, folders: what it changes; nothing if all is as it should be.
        check: a command that must succeed after the change; else the change is taken back.
        after: commands that put it into effect.
        undo: commands that put it into effect that the change was taken back.
        needs_milter: the milter must listen before this is done.
        starts_milter: it is done as soon as the milter listens.
    """

    title: str
    changes: tuple[Change, ...] = ()
    folders: tuple[Folder, ...] = ()
    check: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    needs_milter: bool = False
    starts_milter: bool = False

    @property
    def is_done(self) -> bool:
        """Is there nothing to change?"""
        return not self.changes and not self.folders and not self.after


@dataclass(frozen=True, slots=True)
class Proposal:
    """A first autocreate.toml.

    Args:
        toml: its text, in dry run.
        secrets: passwords that were found in the MTA's files, by the file that is to hold them.
        connection: what the MTA and Cyrus have to match.
        remarks: what the administrator has to do or to know.
    """

    toml: str
    secrets: Mapping[str, str] = field(repr=False)
    connection: Connection
    remarks: tuple[str, ...] = ()

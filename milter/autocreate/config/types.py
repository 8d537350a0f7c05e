"""The types of single values of the configuration. Each error says what would be right."""

import grp
import pwd
import re
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from autocreate.backends.message_file import read_message
from autocreate.backends.options import is_secret
from autocreate.backends.password_file import first_line
from autocreate.backends.regular_file import check_readable
from autocreate.core.address import a_labels, normal_domain
from autocreate.core.language import is_tag
from autocreate.core.sizes import countable, parse_size
from autocreate.errors import Malformed, MalformedValue
from autocreate.mailstore.sieve.script import script_name


def _domain(value: str) -> str:
    if value == "*":
        return value
    try:
        domain = normal_domain(value)
    except Malformed as error:
        raise ValueError(f'{error}; write it like "example.org"') from error
    if not domain or "@" in domain:
        raise ValueError(f'{value!r} is not a domain; write it like "example.org"')
    if domain != (exact := a_labels(value)):
        raise ValueError(
            f"{value!r} is {domain!r} to Postfix and {exact!r} in the DNS; write the one that your "
            "MTA has in its configuration"
        )
    return domain


def _readable(path: Path) -> Path:
    try:
        check_readable(path)
        return path
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error


def _directory(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"{path} is not a directory")
    return path


def _secret(path: Path) -> Path:
    _readable(path)
    if path.stat().st_mode & 0o007:
        raise ValueError(f"{path} is accessible to everyone: chmod o= {path}")
    first_line(path)
    return path


def _quota(value: object) -> int:
    """`"2G"` or `"500M"` in KiB, as IMAP counts; a number without a unit is in KiB."""
    return parse_size(str(value))


def _changed_query(value: str) -> str:
    if not re.search(r"(?<![:\w\\]):since(?![\w:])", value):
        raise ValueError(
            "has no :since, so it would find every account each time; compare the time of the last "
            "change with it: changed >= to_timestamp(:since)"
        )
    return value


def _duration(value: object) -> float:
    """`"90s"`, `"5m"` or `"1h"` in seconds; a number is in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd])", str(value))
    if not found:
        raise ValueError('must be a time; write it like "90s", "5m" or "1h"')
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def _socket(value: str) -> str:
    kind, _, place = value.partition(":")
    host, _, port = place.rpartition(":")
    if (
        (kind == "unix" and place.startswith("/"))
        or (kind == "inet" and host and port.isdecimal() and 0 < int(port) < 65536)
        or (kind == "fd" and place.isdecimal())
    ):
        return value
    raise ValueError('must be "unix:/path", "inet:HOST:PORT" or "fd:NUMBER"')


def _lmtp_address(value: str) -> str:
    """`unix:/path` unchanged; a host and a port as `inet:HOST:PORT`."""
    if value.startswith("unix:/"):
        return value
    host, _, port = value.removeprefix("inet:").rpartition(":")
    if not host.strip("[]") or not (port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(
            'is not an address; write it like "unix:/run/cyrus/socket/lmtp" or "mail.example.org:24"'
        )
    return f"inet:{_host(host)}:{port}"


def _tcp(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError('is not an address to listen at; write it like "127.0.0.1:9894"')
    return f"{host or '127.0.0.1'}:{port}"


def _group(value: str) -> str:
    try:
        grp.getgrnam(value)
    except KeyError as error:
        raise ValueError(f"there is no group {value!r} on this machine") from error
    return value


def _map(value: str) -> str:
    if not re.match(r"[a-z0-9]+:", value) or not value.isprintable():
        raise ValueError('is not a table of Postfix; write it like "hash:/etc/postfix/virtual"')
    return value


def _unix_socket(value: str) -> str:
    kind, _, place = value.partition(":")
    if (kind == "unix" and place.startswith("/")) or (kind == "fd" and place.isdecimal()):
        return value
    raise ValueError(
        'must be "unix:/path" or "fd:NUMBER": only a Unix socket says which user connects'
    )


def _socket_path(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f'{str(path)!r} is not a path; write it like "/run/saslauthd/mux"')
    return path


def _user(value: str) -> str:
    try:
        pwd.getpwnam(value)
    except KeyError as error:
        raise ValueError(f"there is no user {value!r} on this machine") from error
    return value


def _existing_database(url: str) -> str:
    match = re.match(r"sqlite(?:\+\w+)?:///(?!file:)(/[^?]*)", url)
    if match:
        _readable(Path(match[1]))
    return url


def _database_url(url: str) -> str:
    _no_secret(url)
    match = re.match(r"([a-z0-9]+)(\+\w+)?://(.*)", url, re.DOTALL)
    if not match:
        raise ValueError('is not a database URL; write it like "sqlite:////path/to/file.db"')
    kind, driver, place = match.groups()
    if kind == "sqlite":
        _sqlite_place(place)
    if (kind != "sqlite" or driver) and (problem := _unknown_database(url)):
        raise ValueError(
            f'{problem}; write it like "sqlite:////path/to/file.db", '
            '"postgresql://USER@HOST/DATABASE", "mysql://USER@HOST/DATABASE"'
        )
    return url


def _no_secret(url: str) -> None:
    """A URL is shown in the log and by commands, so it may have no secret."""
    # SQLAlchemy too takes all from the first colon to an @ for the password.
    if re.match(r"[^/]*://[^:/]*:[^@]+@", url):
        raise ValueError(
            "has a password in it, which others would see; write it into password_file"
        )
    for key, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True):
        if not is_secret(key):
            continue
        if key.lower().startswith("ssl"):
            raise ValueError(
                f"its option {key} is a secret, which others would see; use a key file without a password, "
                "which only this program can read"
            )
        raise ValueError(
            f"its option {key} is a secret, which others would see; write it into password_file"
        )


def _sqlite_place(place: str) -> None:
    path, _, options = place.removeprefix("/").partition("?")
    if path in ("", ":memory:") or "file::memory:" in path or "mode=memory" in options:
        raise ValueError(
            "is a database in memory, which is empty at every start; "
            'write it like "sqlite:////path/to/file.db"'
        )
    if not place.startswith("/"):
        raise ValueError(
            'has a host, but an SQLite database is a file; write it like "sqlite:////path/to/file.db"'
        )


def _unknown_database(url: str) -> str:
    """Why nothing can connect to this database, which is not SQLite; "" if something can."""
    from autocreate.backends.sql_drivers import problem_of  # noqa: PLC0415 -- SQLAlchemy takes a tenth of a second

    return problem_of(url)


def _ldap_url(url: str) -> str:
    if "@" in url:
        raise ValueError("has a user in it; write bind_dn and password_file instead")
    if not re.fullmatch(r"ldaps?://[^/?\s]+/?|ldapi://[^/?\s]*/?", url):
        raise ValueError('must be "ldap://HOST", "ldaps://HOST" or "ldapi://%2Fpath%2Fto%2Fsocket"')
    if not url.startswith("ldapi:") and not _has_place(url):
        raise ValueError(f'{url} has no valid host or port; write it like "ldap://HOST:389"')
    return url


def _has_place(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.port != 0 and bool(_host(parts.hostname or ""))
    except ValueError:
        return False


def _host(host: str) -> str:
    try:
        host.encode("idna")  # as a connection will do
    except UnicodeError as error:
        raise ValueError(f"{host!r} is not a host name or an address") from error
    return host


def _filter(known: set[str], filter_: str) -> str:
    unknown = set(re.findall(r"\{(\w*)\}", filter_)) - known
    if unknown:
        raise ValueError(
            f"there is no placeholder {{{sorted(unknown)[0]}}}, only "
            + ", ".join(f"{{{it}}}" for it in sorted(known))
        )
    if not filter_.startswith("(") or filter_.count("(") != filter_.count(")"):
        raise ValueError('is not a filter; write it like "(uid={user})"')
    if not re.search(r"\{\w+\}", filter_):
        placeholders = ", ".join(f"{{{it}}}" for it in sorted(known))
        raise ValueError(f"finds the same for everyone; it needs one of {placeholders}")
    return filter_


def _script(path: Path) -> Path:
    script_name(str(path))
    return _readable(path)


def _language(value: str) -> str:
    if not is_tag(value):
        raise ValueError(f'{value!r} is not a language; write it like "de" or "pt-BR"')
    return value.lower()


def _by_language(value: str | dict[str, str]) -> str | dict[str, str]:
    if isinstance(value, str):
        return value
    return {_language(tag): name for tag, name in value.items()}


def _entry(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", value):
        raise ValueError(
            f"{value!r} is not the entry of an annotation; write it like "
            '"/vendor/cmu/cyrus-imapd/expire" or "/private/comment"'
        )
    return value.lower()


def _message(path: Path) -> Path:
    try:
        read_message(_readable(path))
    except MalformedValue as error:
        raise ValueError(f"{path}: {error}") from error
    return path


# TOML has types: "yes" and 1 are not booleans, and `true` and "5" are not numbers.
Switch = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Name = Annotated[str, Field(min_length=1)]
ChangedQuery = Annotated[Name, AfterValidator(_changed_query)]
Host = Annotated[Name, AfterValidator(_host)]
Domain = Annotated[str, AfterValidator(_domain)]
JournalUrl = Annotated[str, AfterValidator(_database_url)]
DatabaseUrl = Annotated[JournalUrl, AfterValidator(_existing_database)]
GroupOfSystem = Annotated[str, AfterValidator(_group)]
UserOfSystem = Annotated[str, AfterValidator(_user)]
UnixSocket = Annotated[str, AfterValidator(_unix_socket)]
SocketPath = Annotated[Path, AfterValidator(_socket_path)]
Socket = Annotated[str, AfterValidator(_socket)]
LmtpAddress = Annotated[str, AfterValidator(_lmtp_address)]
Tcp = Annotated[str, AfterValidator(_tcp)]
Mode = Annotated[str, Field(pattern=r"^0?[0-7]{3}$")]
Directory = Annotated[Path, AfterValidator(_directory)]
Map = Annotated[str, AfterValidator(_map)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
MessageFile = Annotated[Path, AfterValidator(_message)]
ScriptFile = Annotated[Path, AfterValidator(_script)]
SecretFile = Annotated[Path, AfterValidator(_secret)]
Limit = Annotated[Whole, Field(ge=0), AfterValidator(countable)]
Size = Annotated[Limit, BeforeValidator(_quota)]
LdapUrl = Annotated[str, AfterValidator(_ldap_url)]
LdapFilter = Annotated[str, AfterValidator(partial(_filter, {"user", "local", "domain"}))]
LdapGroupsFilter = Annotated[
    str, AfterValidator(partial(_filter, {"user", "local", "domain", "dn"}))
]
LdapDomainFilter = Annotated[str, AfterValidator(partial(_filter, {"domain"}))]
LdapAliasFilter = Annotated[str, AfterValidator(partial(_filter, {"key", "local", "domain"}))]
Cached = Annotated[float, Field(ge=0, le=86400, strict=True)]
Seconds = Annotated[float, Field(gt=0, le=600, strict=True)]
Duration = Annotated[float, BeforeValidator(_duration)]
Rights = Annotated[str, Field(pattern=r"^[lrswipkxteacdn0-9]*$")]
Identifier = Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")]
Language = Annotated[str, AfterValidator(_language)]
NameOrNames = Annotated[str | dict[str, str], AfterValidator(_by_language)]
Entry = Annotated[str, AfterValidator(_entry)]
ServerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]+$")]
Partition = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
# Cyrus refuses \All and \Flagged, which are for folders that show the messages of other folders.
SpecialUse = Literal["\\Archive", "\\Drafts", "\\Important", "\\Junk", "\\Sent", "\\Trash"]


class Section(BaseModel):
    """A table of the file. The text below a key is its documentation in autocreate.toml(5)."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

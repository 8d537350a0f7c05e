"""The administrator's TOML file, read and checked as a whole.

Every problem found is reported at once, with its key and what would be right. What is returned can
be wired without further questions; this module opens no connection.
"""

import difflib
import grp
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ValidationError,
    model_validator,
)

from autocreate.core.address import normal_domain
from autocreate.errors import ConfigurationError, Malformed

DEFAULT_PATH = Path("/etc/autocreate/autocreate.toml")

_UNITS = {"K": 1, "M": 1 << 10, "G": 1 << 20, "T": 1 << 30}


def _domain(value: str) -> str:
    if value == "*":
        return value
    try:
        domain = normal_domain(value)
    except Malformed as error:
        raise ValueError(f'{error}; write it like "example.org"') from error
    if not domain or "@" in domain:
        raise ValueError(f'{value!r} is not a domain; write it like "example.org"')
    return domain


def _readable(path: Path) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error


def _secret(path: Path) -> Path:
    _readable(path)
    if path.stat().st_mode & 0o007:
        raise ValueError(f"{path} is open to everyone: chmod o= {path}")
    if not path.read_text(encoding="utf-8").strip():
        raise ValueError(f"{path} is empty; write the password into its first line")
    return path


def _quota(value: object) -> int:
    """`"2G"` or `"500M"` in KiB, as IMAP counts; a bare number is in KiB already."""
    match = re.fullmatch(r"(\d+)\s*([KMGT]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
    if isinstance(value, bool) or not match:
        raise ValueError('is not a size; write it like "500M" or "2G"')
    return int(match[1]) * _UNITS[match[2].upper() or "K"]


def _socket(value: str) -> str:
    kind, _, place = value.partition(":")
    host, _, port = place.rpartition(":")
    if (
        (kind == "unix" and place.startswith("/"))
        or (kind == "inet" and host and port.isdecimal() and 0 < int(port) < 65536)
        or (kind == "fd" and place.isdecimal())
    ):
        return value
    raise ValueError('is none of "unix:/path", "inet:HOST:PORT", "fd:NUMBER"')


def _group(value: str) -> str:
    try:
        grp.getgrnam(value)
    except KeyError as error:
        raise ValueError(f"there is no group {value!r} on this machine") from error
    return value


def _sqlite_file_exists(url: str) -> str:
    match = re.match(r"sqlite(?:\+\w+)?:///(?!file:)(/[^?]*)", url)
    if match:
        _readable(Path(match[1]))
    if not re.match(r"[a-z0-9+]+://", url):
        raise ValueError('is not a database URL; write it like "sqlite:////path/to/file.db"')
    return url


Domain = Annotated[str, AfterValidator(_domain)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
SecretFile = Annotated[Path, AfterValidator(_secret)]
Size = Annotated[int, BeforeValidator(_quota)]
Seconds = Annotated[float, Field(gt=0, le=600)]
Rights = Annotated[str, Field(pattern=r"^[lrswipkxteacdn0-9]*$")]
Identifier = Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")]
Partition = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
SpecialUse = Literal["\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Milter(_Section):
    """[milter]: the socket, and which recipients are ours."""

    socket: Annotated[str, AfterValidator(_socket)] = "unix:/run/autocreate/milter.sock"
    socket_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = "0660"
    socket_group: Annotated[str, AfterValidator(_group)] | None = None
    mode: Literal["enforce", "dry-run"] = "enforce"
    domains: Annotated[tuple[Domain, ...], Field(min_length=1)]
    mailers: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "lmtp",
        "cyrusv2",
        "virtual",
        "local",
    )
    recipient_delimiter: Annotated[str, Field(pattern=r"^[!-/:-?\[-`{-~]*$")] = "+"
    deadline: Seconds = 8.0
    workers: Annotated[int, Field(ge=1, le=1000)] = 32
    cache_size: Annotated[int, Field(ge=1)] = 100_000
    cache_seconds: Seconds = 300.0


class Cyrus(_Section):
    """[cyrus]: where the server is, and how it spells users."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(gt=0, lt=65536)] = 143
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    ca_file: ReadableFile | None = None
    admin: Annotated[str, Field(min_length=1)] = "cyrus"
    password_file: SecretFile
    connections: Annotated[int, Field(ge=1, le=100)] = 4
    timeout: Seconds = 5.0
    admins: tuple[str, ...] = ()
    virtdomains: Literal["off", "userid", "on"] = "off"
    defaultdomain: Domain | Literal[""] = ""
    username_tolower: bool = True


class FileAccounts(_Section):
    """type = "file": one user a line, or passwd(5); groups as in group(5)."""

    type: Literal["file"]
    path: ReadableFile
    groups: ReadableFile | None = None


class NssAccounts(_Section):
    """type = "nss": the users of this machine, as getpwnam(3) knows them."""

    type: Literal["nss"]
    min_uid: int = 1000
    max_uid: int = 60000


class SqlAccounts(_Section):
    """type = "sql": any database of SQLAlchemy's."""

    type: Literal["sql"]
    url: Annotated[str, AfterValidator(_sqlite_file_exists)]
    query: Annotated[str, Field(min_length=1)]
    groups_query: str | None = None
    timeout: Seconds = 5.0


Accounts = Annotated[FileAccounts | NssAccounts | SqlAccounts, Discriminator("type")]


class Folder(_Section):
    """A folder of a policy, `/` between its levels; "INBOX" is INBOX itself."""

    name: str
    special_use: SpecialUse | None = None
    subscribe: bool = False
    acl: Mapping[Identifier, Rights] = {}
    partition: Partition | None = None

    @property
    def path(self) -> tuple[str, ...]:
        return () if self.name == "INBOX" else tuple(self.name.removeprefix("INBOX/").split("/"))

    @model_validator(mode="after")
    def _possible(self) -> "Folder":
        if not all(level and level.isprintable() for level in self.path):
            raise ValueError('name: write it like "Sent" or "Archive/2026"')
        if self.special_use and len(self.path) != 1:
            raise ValueError(
                "special_use: Cyrus gives it only to folders right below INBOX, "
                f"which {self.name!r} is not"
            )
        return self


class Policy(_Section):
    """[[policy]]: for whom, and what they get."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    domains: tuple[Domain, ...] = ()
    create: bool = True
    quota: Size | None = None
    quota_messages: Annotated[int, Field(ge=0)] | None = None
    folders: tuple[Folder, ...] = ()
    subscribe_shared: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> "Policy":
        names = [folder.path for folder in self.folders]
        twice = next((path for path in names if names.count(path) > 1), None)
        if twice is not None:
            raise ValueError(f"folders: {'/'.join(twice) or 'INBOX'!r} is there twice")
        return self


class Journal(_Section):
    """[journal]: what is unfinished."""

    url: str = "sqlite:////var/lib/autocreate/journal.db"


class Log(_Section):
    """[log]: how the log is written to stderr."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(_Section):
    """The whole file."""

    milter: Milter
    cyrus: Cyrus
    accounts: Annotated[Mapping[str, Accounts], Field(min_length=1)]
    policy: tuple[Policy, ...] = ()
    journal: Journal = Journal()
    log: Log = Log()

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        problems = list(_impossible(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self


def load(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigurationError: with every problem found.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(str(path), [f"is not TOML: {error}"]) from error
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(str(path), list(_problems(error, data))) from None


def _impossible(config: Config) -> Iterator[str]:
    if config.cyrus.timeout >= config.milter.deadline:
        yield (
            f"cyrus.timeout: {config.cyrus.timeout:g} s leaves no time for an answer before "
            f"milter.deadline ({config.milter.deadline:g} s); make it shorter"
        )
    if config.cyrus.virtdomains != "off" and not config.cyrus.defaultdomain:
        yield "cyrus.defaultdomain: is missing; write the defaultdomain of imapd.conf"
    if config.cyrus.virtdomains == "off" and config.cyrus.defaultdomain:
        yield 'cyrus.defaultdomain: means nothing with virtdomains = "off"; remove it'
    names = [policy.name for policy in config.policy]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"policy: two are named {name!r}; give each its own name"
    for policy in config.policy:
        strange = set(policy.domains) - set(config.milter.domains) - {"*"}
        if strange and "*" not in config.milter.domains:
            yield f"policy {policy.name!r}: {sorted(strange)} are not among milter.domains"


def _problems(error: ValidationError, data: Any) -> Iterator[str]:
    """pydantic's findings in the words of the file: the key as written, and what would be right."""
    for finding in error.errors(include_url=False, include_input=False):
        location = finding["loc"]
        text = str(finding["msg"]).removeprefix("Value error, ")
        if not location:  # found by `_impossible`, which names the keys itself
            yield from text.split("\n")
            continue
        match finding["type"]:
            case "extra_forbidden":
                text = "unknown key" + _suggestion(location)
            case "missing":
                text = "is missing"
            case "union_tag_not_found":
                text = f"type: is missing; one of {_source_types()}"
            case "union_tag_invalid":
                text = f"type: unknown; one of {_source_types()}"
            case "string_pattern_mismatch":
                text = (
                    f"has characters that it cannot have; it must match {finding['ctx']['pattern']}"
                )
            case _:
                text = text.replace("Input should be", "must be", 1)
                text = text[:1].lower() + text[1:]
        yield f"{_key(location, data)}: {text}"


def _key(location: Sequence[str | int], data: Any) -> str:
    """A location as an administrator finds it: `policy[2].folders[1].name`, counted from 1."""
    key = ""
    for item in location:
        if isinstance(item, int):
            key += f"[{item + 1}]"
            data = data[item] if isinstance(data, list) and item < len(data) else None
        elif isinstance(data, dict) and item not in data and item == data.get("type"):
            continue  # pydantic names the branch that `type` chose; the file has no such level
        else:
            key += f".{item}" if key else item
            data = data.get(item) if isinstance(data, dict) else None
    return key


def _suggestion(location: Sequence[str | int]) -> str:
    unknown = str(location[-1])
    known = {name for section in _Section.__subclasses__() for name in section.model_fields}
    close = difflib.get_close_matches(unknown, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _source_types() -> str:
    return ", ".join(f'"{kind}"' for kind in ("file", "nss", "sql"))

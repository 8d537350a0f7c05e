"""What a mailbox tree is made of, as frozen values: folders, limits, a script, subscriptions."""

from collections.abc import Iterable
from dataclasses import dataclass, field

# No mailbox can have this name: it is IMAP's wildcard.
ALL_SHARED = "*"

# No limit, where a policy says so: Cyrus's own number for it (QUOTA_UNLIMITED of its quota.h).
UNLIMITED = -1

Path = tuple[str, ...]
"""A folder's place below INBOX, one item for each level; () is INBOX itself."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of a quota root: `storage` in KiB, as IMAP counts (RFC 9208); `messages` in messages.

    None is for a limit that is not given. A policy may also want none: `UNLIMITED`, which no quota
    that was observed has. `root` is for a quota root without limits, which only counts what is used.
    `others` are limits that no policy knows of, as (resource, limit) pairs: an administrator has set
    them.
    """

    storage: int | None = None
    messages: int | None = None
    root: bool = False
    others: tuple[tuple[str, int], ...] = ()

    def keeping(self, existing: "Quota") -> "Quota":
        """These limits, and those of an existing root that are not given here: what SETQUOTA sets."""
        storage = _limit(existing.storage if self.storage is None else self.storage)
        messages = _limit(existing.messages if self.messages is None else self.messages)
        others = tuple((dict(existing.others) | dict(self.others)).items())
        return Quota(storage, messages, (storage, messages, others) == (None, None, ()), others)

    def lacks(self, wanted: "Quota") -> bool:
        """Does a wanted limit differ from this one, or is the root missing? Limits not given may stay.

        A user who is to have no limit needs a root too: without it, the root of a parent would count.
        """
        kept = wanted.keeping(self)
        needs_root = wanted.root or UNLIMITED in (wanted.storage, wanted.messages)
        return (kept.storage, kept.messages) != (self.storage, self.messages) or (
            needs_root and self == Quota()
        )

    @property
    def description(self) -> str:
        """`2097152 KiB, unlimited messages, X-NUM-FOLDERS 50`, `without limits`, or `none`."""
        parts = []
        if self.storage is not None:
            parts.append(
                "unlimited storage" if self.storage == UNLIMITED else f"{self.storage} KiB"
            )
        if self.messages is not None:
            messages = "unlimited" if self.messages == UNLIMITED else self.messages
            parts.append(f"{messages} message{'' if messages == 1 else 's'}")
        parts += [f"{resource} {limit}" for resource, limit in self.others]
        return ", ".join(parts) or ("without limits" if self.root else "none")


@dataclass(frozen=True, slots=True)
class Folder:
    """A mailbox of a user.

    `acl` holds (identifier, rights) pairs of RFC 4314; `special_use` an attribute of RFC 6154;
    `annotations` holds (entry, value) pairs of RFC 5464, each entry with `/shared` or `/private`.
    `names` is for a policy that names the folder by language: (language tag, path) pairs.
    `server` is the backend of a Murder where INBOX is created.
    """

    path: Path = ()
    special_use: str | None = None
    subscribe: bool = False
    acl: tuple[tuple[str, str], ...] = ()
    partition: str | None = None
    server: str | None = None
    annotations: tuple[tuple[str, str], ...] = ()
    names: tuple[tuple[str, Path], ...] = ()

    @property
    def alternatives(self) -> tuple[Path, ...]:
        """The folder's paths in other languages, each once."""
        return tuple(dict.fromkeys(path for _, path in self.names if path != self.path))

    @property
    def name(self) -> str:
        return folder_name(self.path)


@dataclass(frozen=True, slots=True)
class Script:
    """A Sieve script (RFC 5228) for users who have none.

    Args:
        name: what the user's list of scripts calls it.
        text: the script, byte for byte as its author wrote it; empty where only the name is known.
        source: the file it was read from.
        compiled: a file with its bytecode, for servers whose scripts we write as files.
        save: keep what we compile in the file `compiled`.
        is_template: `{name}` in its strings is filled in for each account.
    """

    name: str
    text: bytes = field(default=b"", repr=False)
    source: str = ""
    compiled: str = ""
    save: bool = False
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class Welcome:
    """A message that a new user finds in INBOX before any other.

    Args:
        message: filled in for the user, without Message-ID and Date; lines end in CRLF.
        source: the file it was made from.
    """

    message: bytes = field(default=b"", repr=False)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """A program that is run once a new tree is complete.

    Args:
        argv: the program and its arguments.
        timeout: seconds, after which it is ended.
        event: what it reads, as JSON text; empty where only the program is known.
    """

    argv: tuple[str, ...]
    timeout: float = 30.0
    event: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Tree:
    """What exists, or should exist, for one user: folders (INBOX first), quota, shared folders.

    `shared` names subscriptions to folders outside the user's own, `/` between levels; `ALL_SHARED`
    among them means all that the user may see. `script` is the one that filters the mail. `welcome`
    is wanted for a new mailbox only, and never observed: whether it is owed is in the journal.
    """

    folders: tuple[Folder, ...] = ()
    quota: Quota = Quota()
    shared: tuple[str, ...] = ()
    script: Script | None = None
    welcome: Welcome | None = None


def folder_name(path: Iterable[str]) -> str:
    """A folder's path as an administrator writes it: `INBOX`, `Sent`, `Archive/2026`."""
    return "/".join(path) or "INBOX"


def _limit(value: int | None) -> int | None:
    return None if value == UNLIMITED else value

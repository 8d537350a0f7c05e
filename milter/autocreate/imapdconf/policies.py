"""The autocreate options of imapd.conf as policies, for Cyrus 3.x and for the patch they stem from.

imap/autocreate.c, lmtpd.c and imapd.c of Cyrus 3.6 are today's reading of them. Where Cyrus is known
to be wrong we are not: docs/compatibility.md lists each such case.
"""

import base64
import difflib
import re
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import replace

from autocreate.core.naming import Mailboxes
from autocreate.core.policy import OlderQuota, Policy
from autocreate.errors import Refused
from autocreate.imapdconf.parser import OLD_NAMES, Options, may_repeat, option_meant
from autocreate.imapdconf.reading import BYTE_SIZES_SINCE, Reading
from autocreate.tree.values import Folder, Quota, Tree

POLICY_NAME = "imapd.conf"

# Every option of the family by its present name.
FAMILY = (
    "autocreate_acl",
    "autocreate_inbox_folders",
    "autocreate_post",
    "autocreate_quota",
    "autocreate_quota_messages",
    "autocreate_sieve_folders",
    "autocreate_sieve_script",
    "autocreate_sieve_script_compile",
    "autocreate_sieve_script_compiled",
    "autocreate_subscribe_folders",
    "autocreate_subscribe_sharedfolders",
    "autocreate_subscribe_sharedfolders_all",
    "autocreate_users",
)
_KNOWN = frozenset((*FAMILY, *(old for names in OLD_NAMES.values() for old in names)))

# Of another family, though its name looks similar.
_ELSEWHERE = frozenset({"openio_autocreate"})

# RFC 6154 less \\All and \\Flagged, which Cyrus gives to no mailbox (specialuse_validate).
_SPECIAL_USES = ("\\Archive", "\\Drafts", "\\Important", "\\Junk", "\\Sent", "\\Snoozed", "\\Trash")

_RIGHTS = re.compile(r"[-+]?[lrswipkxteacdn0-9]*")


def policies(
    reading: Reading, services: Mapping[str, tuple[str, ...]], names: Mailboxes
) -> tuple[Policy, ...]:
    """What the options say, one policy for all services of which they say the same.

    Nothing if the file has none of them. Mistakes and oddities are left with `reading`. Of several
    services of one kind the first counts.

    Args:
        names: how this Cyrus's users see mailboxes.
    """
    named = _names(services)
    if not any(_base(option.key, named) in _KNOWN for option in reading.options.every):
        return ()
    said: dict[Policy, list[str]] = {}
    for service, entries in services.items():
        said.setdefault(_policy(reading, service, entries[:1], names), []).append(service)
    if len(said) == 1:
        return tuple(said)
    return tuple(replace(policy, services=frozenset(of)) for policy, of in said.items())


def unknown_options(options: Options, services: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Options that look like one of the family but are not, so that they have no effect."""
    named = _names(services)
    for option in options.every:
        base = _base(option.key, named)
        if base in _KNOWN | _ELSEWHERE or not re.search(r"autocreate|^auto(sub|sieve)", option.key):
            continue
        of = next((name for name in _KNOWN if option.key.endswith(f"_{name}")), "")
        if of:
            yield option.wrong(
                f"has no effect: no service is named {option.key.removesuffix(f'_{of}')!r}; "
                f"the services that create mailboxes are {', '.join(named)}"
            )
        else:
            close = difflib.get_close_matches(base, sorted(_KNOWN), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield option.wrong(f"unknown option{hint}")


def folder_path(name: str) -> tuple[str, ...]:
    """A folder's levels. Cyrus splits at dots, whatever its separator; the patch split at the
    separator, so a slash is accepted too.

    Args:
        name: in UTF-8, or in modified UTF-7 (RFC 3501, 5.1.3), which is all that Cyrus knows.
    """
    return tuple(_decoded(level) for level in re.split(r"[./]", name))


def _policy(reading: Reading, service: str, entries: Sequence[str], names: Mailboxes) -> Policy:
    users = reading.text("autocreate_users", "anyone", entries).split()
    groups = frozenset(user.removeprefix("group:") for user in users if user.startswith("group:"))
    everyone = "anyone" in users
    why = _why_not(reading, service, entries)
    tree = _tree(reading, entries, names)
    # The same mistakes would be found for the older version: they are reported already.
    older = _quota(Reading(reading.options, before=BYTE_SIZES_SINCE), entries)
    return Policy(
        POLICY_NAME,
        tree,
        frozenset() if everyone else frozenset(u for u in users if not u.startswith("group:")),
        frozenset() if everyone else groups,
        create=not why,
        why=why,
        older_quota=OlderQuota(BYTE_SIZES_SINCE, older) if older != tree.quota else None,
    )


def _why_not(reading: Reading, service: str, entries: Sequence[str]) -> str:
    """Why the options have nothing created, or "" if they have: the conditions of the patch."""
    quota = reading.options.find("autocreate_quota", entries)
    limit = reading.kibibytes("autocreate_quota", -1, entries)
    post = reading.options.find("autocreate_post", entries)
    posts = reading.switch("autocreate_post", False, entries)
    if quota is None:
        return "autocreate_quota is not set"
    if quota.key.endswith("autocreatequota") and limit <= 0:
        reading.notice(
            quota.wrong(
                "0 turned the patch off and a negative number was no limit; since Cyrus 2.5, and "
                "here, 0 is no limit and a negative number turns it off"
            )
        )
    if limit < 0:
        return quota.wrong("is negative")
    if service == "lmtp" and not posts:
        return post.wrong("is off") if post else "autocreate_post is not set"
    return ""


def _tree(reading: Reading, entries: Sequence[str], names: Mailboxes) -> Tree:
    created = _created(reading, entries, names)
    subscribed = dict.fromkeys(reading.names("autocreate_subscribe_folders", entries))
    for name in subscribed:
        if name not in created:
            reading.notice(
                f"autocreate_subscribe_folders: {name!r} is not among autocreate_inbox_folders, so "
                "nobody is subscribed to it"
            )
    uses = _special_uses(reading, created)
    acls = _acls(reading, created)
    folders = {
        folder_path(name): Folder(
            folder_path(name), uses.get(name), name in subscribed, tuple(acls.get(name, {}).items())
        )
        for name in created
    }
    return Tree(
        (Folder(subscribe=True), *folders.values()),
        _quota(reading, entries),
        _shared(reading, entries),
    )


def _quota(reading: Reading, entries: Sequence[str]) -> Quota:
    storage = reading.kibibytes("autocreate_quota", -1, entries)
    messages = reading.integer("autocreate_quota_messages", -1, entries)
    return Quota(
        storage if storage > 0 else None,
        messages if messages > 0 else None,
        root=storage <= 0 and messages <= 0,
    )


def _created(reading: Reading, entries: Sequence[str], names: Mailboxes) -> dict[str, None]:
    """The folders to create, without those that this Cyrus cannot have or that its users would not see."""
    created: dict[str, None] = {}
    for name in reading.names("autocreate_inbox_folders", entries):
        try:
            names.as_user(folder_path(name))
        except Refused as refusal:
            reading.notice(f"autocreate_inbox_folders: {refusal}")
        else:
            created[name] = None
    return created


def _shared(reading: Reading, entries: Sequence[str]) -> tuple[str, ...]:
    if reading.switch("autocreate_subscribe_sharedfolders_all", False, entries):
        return ("*",)
    prefix = folder_path(reading.text("sharedprefix", "Shared Folders"))
    shared = map(folder_path, reading.names("autocreate_subscribe_sharedfolders", entries))
    return tuple(
        "/".join(path[len(prefix) :] if path[:-1][: len(prefix)] == prefix else path)
        for path in shared
    )


def _special_uses(reading: Reading, created: Collection[str]) -> dict[str, str]:
    """The special-use attribute of each folder that `xlist-FLAG: FOLDER` gives one."""
    extra = reading.text("specialuse_extra", "").split()
    known = {use.lower(): use for use in (*extra, *_SPECIAL_USES)}
    uses: dict[str, str] = {}
    given: set[str] = set()
    for option in reading.options.every:
        if not option.key.startswith("xlist-"):
            continue
        use, name = known.get("\\" + option.key.removeprefix("xlist-")), option.value
        if use is None:
            reading.notice(
                option.wrong("is not a special use that Cyrus knows; specialuse_extra can add it")
            )
        elif name not in created:
            reading.notice(option.wrong(f"{name!r} is not among autocreate_inbox_folders"))
        elif len(folder_path(name)) > 1:
            reading.notice(
                option.wrong(f"{name!r} is not directly below INBOX, where a special use must be")
            )
        elif name in uses or use in given:
            reading.notice(
                option.wrong("a folder can have one special use, and a special use one folder")
            )
        else:
            uses[name] = use
            given.add(use)
    return uses


def _acls(reading: Reading, created: Collection[str]) -> dict[str, dict[str, str]]:
    """The rights that `autocreate_acl: FOLDER IDENTIFIER RIGHTS` gives, by folder and identifier."""
    acls: dict[str, dict[str, str]] = {}
    for option in reading.options.every:
        if option.key != "autocreate_acl":
            continue
        words = option.value.split()
        if len(words) != 3 or not _RIGHTS.fullmatch(words[2]) or not words[1].isascii():
            reading.notice(option.wrong("is not 'FOLDER IDENTIFIER RIGHTS', so it grants nothing"))
        elif words[0] not in created:
            reading.notice(option.wrong(f"{words[0]!r} is not among autocreate_inbox_folders"))
        elif words[2].startswith("-"):
            reading.notice(option.wrong("a new folder has no rights to take away"))
        else:
            acls.setdefault(words[0], {})[words[1]] = words[2].removeprefix("+")
    return acls


def is_of_family(key: str) -> bool:
    """Is this one of the autocreate options, whatever service it is for?"""
    return any(key == name or key.endswith(f"_{name}") for name in _KNOWN)


def _base(key: str, services: Container[str]) -> str:
    """An option's name without the service that it is for."""
    base = option_meant(key, _KNOWN, services)
    if base is None:
        return key
    return "" if base != key and may_repeat(base) else base


def _names(services: Mapping[str, tuple[str, ...]]) -> dict[str, None]:
    """The names of all services, each once, in their order."""
    return dict.fromkeys(name for names in services.values() for name in names)


def _decoded(level: str) -> str:
    """Modified UTF-7 as text; anything else stays as it is."""

    def plain(match: re.Match[str]) -> str:
        if not match[1]:
            return "&"
        padded = match[1].replace(",", "/") + "=" * (-len(match[1]) % 4)
        return base64.b64decode(padded).decode("utf-16-be")

    try:
        return re.sub(r"&([A-Za-z0-9+,]*)-", plain, level)
    except ValueError:
        return level

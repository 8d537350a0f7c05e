"""Which annotations a mailbox of Cyrus can have, and which values (mailbox_builtin_entries of its annotate.c)."""

from collections.abc import Iterable, Iterator, Mapping

VENDOR = "/vendor/cmu/cyrus-imapd/"
SHARED = "/shared"
PRIVATE = "/private"

_NUMBER, _SWITCH, _TEXT = "a whole number", '"true" or "false"', "text"

# Entries that can be set, and what their values are.
_BOTH = {
    "/check": _SWITCH,
    "/checkperiod": _NUMBER,
    "/comment": _TEXT,
    "/sort": _TEXT,
    "/thread": _TEXT,
}
_KNOWN: Mapping[str, Mapping[str, str]] = {
    SHARED: {
        **_BOTH,
        f"{VENDOR}archive": _NUMBER,
        f"{VENDOR}delete": _NUMBER,
        f"{VENDOR}duplicatedeliver": _SWITCH,
        f"{VENDOR}expire": _NUMBER,
        f"{VENDOR}news2mail": _TEXT,
        f"{VENDOR}pop3newuidl": _SWITCH,
        f"{VENDOR}sharedseen": _SWITCH,
        f"{VENDOR}sieve": _TEXT,
        f"{VENDOR}squat": _SWITCH,
    },
    PRIVATE: {**_BOTH, f"{VENDOR}sortorder": _NUMBER},
}

_READ_ONLY = (
    "annotsize foldermodseq hasalarms lastpop lastupdate partition server size synccrcs uniqueid"
)
_ONLY_CYRUS = {f"{VENDOR}{name}" for name in _READ_ONLY.split()}


def parts(entry: str) -> tuple[str, str]:
    """`/shared` or `/private`, and the entry below it: `/shared/comment` is `("/shared", "/comment")`."""
    for scope in (SHARED, PRIVATE):
        if entry.startswith(f"{scope}/"):
            return scope, entry.removeprefix(scope)
    return SHARED, entry


def full_name(entry: str) -> str:
    """An entry as RFC 5464 names it. Without `/shared` or `/private` it is a shared one."""
    return "".join(parts(entry))


def entry_problem(entry: str) -> str:
    """Why no mailbox of Cyrus can be given an entry; "" if one can, as far as is known.

    Args:
        entry: in lower case, as RFC 5464 names it.
    """
    scope, name = parts(entry)
    if name == "/specialuse":
        return "write special_use instead"
    if name in _ONLY_CYRUS:
        return "only Cyrus itself sets it"
    if name == f"{VENDOR}pop3showafter":
        return "Cyrus gives it back in another form, so that it would always seem to differ"
    other = PRIVATE if scope == SHARED else SHARED
    if name in _KNOWN[other] and name not in _KNOWN[scope]:
        return f"Cyrus has it as {other}{name} only"
    return ""


def value_problem(entry: str, value: str) -> str:
    """Why an entry cannot have a value; "" if it can, as far as is known. The entry is as above."""
    scope, name = parts(entry)
    kind = _KNOWN[scope].get(name, _TEXT)
    is_number = value.isascii() and value.isdigit() and len(value) <= 18
    if (kind is _NUMBER and not is_number) or (kind is _SWITCH and value not in ("true", "false")):
        return f"its value must be {kind}, not {value!r}"
    if not value:
        return "its value is empty, which Cyrus takes for none"
    if not value.isprintable() or len(value) > 1000:
        return "its value has control characters, or more than 1000 characters"
    return ""


def is_defined(entry: str) -> bool:
    """Does Cyrus itself define the entry? Others need `annotation_definitions` of imapd.conf."""
    scope, name = parts(entry)
    return name in _KNOWN[scope]


def defined_in(lines: Iterable[str]) -> Iterator[str]:
    """The entries of mailboxes, without their scope, that a file of `annotation_definitions` has.

    A line is `/vendor/example/color,mailbox,string,backend,value.shared value.priv,`.
    """
    for line in lines:
        fields = [field.strip() for field in line.split(",")]
        if not line.lstrip().startswith("#") and fields[1:2] == ["mailbox"]:
            yield fields[0].lower()

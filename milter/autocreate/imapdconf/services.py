"""The servers that Cyrus's master runs: the entries of cyrus.conf's SERVICES. See cyrus.conf(5)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

# What the samples of cyrus.conf call the services of each kind.
USUAL_SERVICES: Mapping[str, tuple[str, ...]] = {
    "lmtp": ("lmtp", "lmtpunix"),
    "imap": ("imap", "imaps"),
    "pop3": ("pop3", "pop3s"),
    "sieve": ("sieve",),
}
_PROGRAMS: Mapping[str, str] = {
    "lmtpd": "lmtp",
    "imapd": "imap",
    "pop3d": "pop3",
    "timsieved": "sieve",
}
_ARGUMENT = re.compile(r'\b(cmd|listen)=(?:"([^"]*)"|(\S+))')


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """A service that creates mailboxes or lets users in.

    Args:
        name: in lower case: the prefix of its own options in imapd.conf.
        kind: a key of `USUAL_SERVICES`.
        listen: as written: "imap", "127.0.0.1:1143", "[::1]:imaps", "/run/cyrus/socket/lmtp".
        config: the imapd.conf that `-C` names; "" if it has none of its own.
        is_preauthorized: it runs with `-a`: an lmtpd that asks for no password (lmtpd(8)).
    """

    name: str
    kind: str
    listen: str = ""
    config: str = ""
    is_preauthorized: bool = False


def read_entries(cyrus_conf: str) -> tuple[ServiceEntry, ...]:
    """The entries of SERVICES that run lmtpd, imapd, pop3d or timsieved, in their order.

    Args:
        cyrus_conf: the text of that file.
    """
    return tuple(entry for line in _services(cyrus_conf) if (entry := _entry(line)))


def names_by_kind(entries: Sequence[ServiceEntry]) -> dict[str, tuple[str, ...]]:
    """The names of the services of each kind; none for a kind that no entry runs."""
    return {
        kind: tuple(entry.name for entry in entries if entry.kind == kind)
        for kind in USUAL_SERVICES
    }


def _services(cyrus_conf: str) -> Iterator[str]:
    """The lines of SERVICES, without comments."""
    section = ""
    for line in cyrus_conf.splitlines():
        content = line.partition("#")[0]
        words = content.split()
        if not words:
            continue
        if words[-1] == "{":
            section = words[0].upper()
        elif words[0] == "}":
            section = ""
        elif section == "SERVICES":
            yield content


def _entry(line: str) -> ServiceEntry | None:
    arguments = {key: quoted or plain for key, quoted, plain in _ARGUMENT.findall(line)}
    # A program may be run by another: `cmd="cyrus lmtpd"`.
    command = arguments.get("cmd", "").split()
    for position, word in enumerate(command):
        if kind := _PROGRAMS.get(word.rpartition("/")[2]):
            name = line.split(maxsplit=1)[0].lower()
            options = command[position + 1 :]
            listen, own = arguments.get("listen", ""), _own_config(options)
            return ServiceEntry(name, kind, listen, own, kind == "lmtp" and "-a" in options)
    return None


def _own_config(options: Sequence[str]) -> str:
    """The argument of `-C`, written apart from it or not (getopt(3))."""
    for position, option in enumerate(options):
        if option.startswith("-C"):
            return option[2:] or "".join(options[position + 1 : position + 2])
    return ""

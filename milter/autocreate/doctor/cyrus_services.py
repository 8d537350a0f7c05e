"""The services that Cyrus runs, each with the options that count for it.

A service reads the imapd.conf that `-C` names in cyrus.conf, else the common one. There its own
option (`imaplocal_admins`) counts instead of the general one, not besides it (lib/libconfig.c).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autocreate.doctor.endpoints import reaches
from autocreate.imapdconf.parser import Option, Options
from autocreate.imapdconf.services import USUAL_SERVICES, ServiceEntry
from autocreate.imapdconf.settings import CyrusFiles

# services(5) has these names; cyrus.conf may have them in `listen`.
_PORTS = {"imap": "143", "imaps": "993", "pop3": "110", "pop3s": "995", "sieve": "4190"}
_EVERY_ADDRESS = ("", "*")


@dataclass(frozen=True, slots=True)
class CyrusService:
    """An entry of cyrus.conf, and the imapd.conf that it reads.

    Args:
        path: of that imapd.conf.
        options: all options there.
    """

    entry: ServiceEntry
    path: str
    options: Options

    def find(self, name: str) -> Option | None:
        """The option that counts for this service; None if there is none."""
        return self.options.find(name, (self.entry.name,))

    def place(self, option: Option | None) -> str:
        """Where what `find` found is written: the file, with the line if there is an option."""
        return option.place if option else self.path

    def has_own(self) -> bool:
        """Is there an option for this service alone?"""
        prefix = f"{self.entry.name}_"
        return any(option.key.startswith(prefix) for option in self.options.every)


def services_of(
    files: CyrusFiles, others: Mapping[str, Options] | None = None
) -> list[CyrusService]:
    """Every service, in the order of cyrus.conf.

    If cyrus.conf was not read, these are the first service of each kind by its usual name, and
    those of the other usual names that have options of their own.

    Args:
        others: the options of each other imapd.conf that a service reads, by its path. A service
            whose file is missing here is left out.
    """
    path, own = files.conf.path, files.options
    if files.entries is None:
        usual = [
            (number, CyrusService(ServiceEntry(name, kind, name), path, own))
            for kind, names in USUAL_SERVICES.items()
            for number, name in enumerate(names)
        ]
        return [service for number, service in usual if number == 0 or service.has_own()]
    read = {path: own, "": own, **(others or {})}
    return [
        CyrusService(entry, entry.config or path, read[entry.config])
        for entry in files.entries
        if entry.config in read
    ]


def of_kind(services: Iterable[CyrusService], *kinds: str) -> list[CyrusService]:
    """The services of some kinds, kind by kind."""
    return [it for kind in kinds for it in services if it.entry.kind == kind]


def reached(services: Iterable[CyrusService], kind: str, place: str) -> list[CyrusService]:
    """The services of a kind that answer at a place, as far as cyrus.conf tells.

    Those that listen at the port and the address; else those that listen at the port, for no name
    is looked up; else all of the kind, for the port may be forwarded.

    Args:
        place: "inet:HOST:PORT"; "" if unknown.
    """
    candidates = of_kind(services, kind)
    port = place.rpartition(":")[2]
    at_port = [it for it in candidates if _listens(it.entry).rpartition(":")[2] == port]
    exact = [it for it in at_port if reaches(place, _listens(it.entry))]
    return exact or at_port or candidates


def _listens(entry: ServiceEntry) -> str:
    """Where an entry listens, as `reaches` has it."""
    if entry.listen.startswith("/"):
        return f"unix:{entry.listen}"
    host, _, port = entry.listen.rpartition(":")
    return f"inet:{'[::]' if host in _EVERY_ADDRESS else host}:{_PORTS.get(port, port)}"


def own_files(files: CyrusFiles) -> Sequence[str]:
    """The other files that services read instead of the common imapd.conf, in order."""
    found = (entry.config for entry in files.entries or ())
    return list(dict.fromkeys(it for it in found if it and it != files.conf.path))

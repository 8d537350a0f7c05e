"""Postfix's configuration as postconf(1) prints it. See postconf(5), master(5), MILTER_README."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

# A line that begins with white space goes on with the one before.
_SETS = re.compile(r"(\w+)\s*=")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Service:
    """A line of master.cf: `smtp inet n - y - - smtpd`.

    Args:
        arguments: of the command, as one text.
    """

    name: str
    kind: str
    is_chrooted: bool
    command: str
    arguments: str = ""

    @property
    def place(self) -> str:
        """Where it is configured, for messages."""
        return f"master.cf, {self.name} {self.kind}"


@dataclass(frozen=True, slots=True)
class Setting:
    """A parameter as services use it.

    Args:
        file: "main.cf", or with the line of master.cf that sets it: "master.cf, smtp inet".
        line: of main.cf; 0 if that does not set it.
    """

    name: str
    value: str
    file: str = "main.cf"
    line: int = 0

    @property
    def where(self) -> str:
        """Where it is configured, for messages."""
        return f"{self.file}{f', line {self.line}' if self.line else ''}: {self.name}"


@dataclass(frozen=True, slots=True)
class Postfix:
    """Postfix's configuration, as postconf(1) prints it.

    Args:
        parameters: main.cf and the defaults, expanded (`postconf -x`).
        services: master.cf (`postconf -M`).
        overrides: parameters of one service in master.cf: ("smtp/inet", parameter) -> value, expanded
            (`postconf -Px`).
        lines: of main.cf, by the parameter that each sets.
    """

    parameters: Mapping[str, str]
    services: tuple[Service, ...] = ()
    overrides: Mapping[tuple[str, str], str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    def running(self, command: str) -> list[Service]:
        """The services that run a program, such as `smtpd`."""
        return [service for service in self.services if service.command == command]

    def get(self, name: str, service: Service | None = None) -> str:
        """The value of a parameter: the service's own, if it has one, else main.cf's."""
        return self.setting(name, service).value

    def setting(self, name: str, service: Service | None = None) -> Setting:
        """A parameter: the service's own, if it has one, else main.cf's."""
        own = (f"{service.name}/{service.kind}", name) if service else ("", "")
        if service and own in self.overrides:
            return Setting(name, self.overrides[own], service.place)
        return Setting(name, self.parameters.get(name, ""), line=self.lines.get(name, 0))

    def settings(self, name: str, services: Iterable[Service]) -> list[Setting]:
        """A parameter of several services: main.cf's once for all that use it."""
        return list(dict.fromkeys(self.setting(name, service) for service in services))

    def socket_path(self, service: Service | None, path: str) -> str:
        """Where a service looks for a Unix socket: below the queue directory if it is chrooted or the
        path is relative."""
        if path.startswith("/") and not (service and service.is_chrooted):
            return path
        return f"{self.queue}{path.lstrip('/')}"

    @property
    def queue(self) -> str:
        """The queue directory, with a slash at its end."""
        return f"{self.get('queue_directory').rstrip('/')}/"


@dataclass(frozen=True, slots=True)
class Milter:
    """An item of a list of milters: its socket, and its own settings in braces."""

    place: str
    settings: Mapping[str, str]

    def __str__(self) -> str:
        """As Postfix writes it."""
        if not self.settings:
            return self.place
        settings = (f"{key}={value}" for key, value in self.settings.items())
        return f"{{ {', '.join((self.place, *settings))} }}"


def read_parameters(text: str) -> dict[str, str]:
    """`name = value` lines of `postconf -x`."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def read_lines(text: str) -> dict[str, int]:
    """The line of main.cf that sets each parameter: the last one, as postconf(5) has it."""
    numbered = enumerate(text.splitlines(), 1)
    return {match[1]: number for number, line in numbered if (match := _SETS.match(line))}


def read_services(text: str, compatibility_level: str) -> tuple[Service, ...]:
    """Lines of `postconf -M`.

    Args:
        compatibility_level: of main.cf, such as "3.6". Below 1, or without one, a service is chrooted
            by default.
    """
    chrooted = {"y", "-"} if compatibility_level.partition(".")[0] in ("", "0") else {"y"}
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 7:
            arguments = " ".join(words[8:])
            found.append(Service(words[0], words[1], words[4] in chrooted, words[7], arguments))
    return tuple(found)


def read_overrides(text: str) -> dict[tuple[str, str], str]:
    """Lines of `postconf -Px`: `smtp/inet/smtpd_milters = value`."""
    found = {}
    for name, value in read_parameters(text).items():
        service, _, parameter = name.rpartition("/")
        found[service, parameter] = value
    return found


def seconds(value: str) -> float:
    """A time as Postfix writes it: `30s`, `5m`, or a number of seconds. Infinite if it is not a time."""
    match = re.fullmatch(r"(\d{1,20})([smhdw]?)", value.strip())
    return int(match[1]) * _UNITS[match[2] or "s"] if match else float("inf")


def words(value: str) -> list[str]:
    """The items of a list of plain words, in lower case."""
    return [word.lower() for word in re.split(r"[\s,]+", value) if word]


def items(value: str) -> list[str]:
    """The items of a list that may have tables: `inline:{ a=b, c=d }` is one."""
    return re.findall(r"[^\s,{]+(?:\{[^}]*\})?", value)


def milters(value: str) -> Iterator[Milter]:
    """The milters of a list, such as `smtpd_milters`."""
    # A brace that nothing closes reaches to the end.
    for braced, plain in re.findall(r"\{([^}]*)(?:\}|\Z)|([^\s,]+)", value):
        place, *settings = [word.strip() for word in (braced or plain).split(",")]
        pairs = (setting.partition("=") for setting in settings)
        yield Milter(place, {key.strip(): text.strip() for key, _, text in pairs})

"""The front ends of a process, each with its socket."""

import contextlib
import pwd
import socket
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from autocreate.config.login import Login, Upstream
from autocreate.config.sections import Config
from autocreate.config.socketmap import SocketMap
from autocreate.core.printable import counted
from autocreate.domains.syntax import ANY_DOMAIN
from autocreate.errors import ConfigurationError
from autocreate.frontends.activation import InheritedSockets
from autocreate.frontends.control import Control
from autocreate.frontends.listener import listening
from autocreate.frontends.process import FrontEnd, SharedFrontEnd
from autocreate.frontends.processes import Further, FurtherProcesses
from autocreate.frontends.status import Process
from autocreate.passwords import CHECKERS, PasswordChecker
from autocreate.service.service import Service
from autocreate.watch.watcher import Watched, Watcher
from autocreate.wiring.control_sockets import FrontEndName, control_socket, further_control
from autocreate.wiring.watch import required

_UNUSED = (
    "but no key of the configuration names this socket: set milter.socket, socketmap.socket, "
    "login.socket or login.notify_socket to the address in the .socket unit, or disable the unit"
)

# What makes what the watch works with, beside the service that serves; None if there is nothing to watch.
BuildWatched = Callable[[Service], Watched | None]


@contextlib.contextmanager
def open_frontends(
    config: Config, names: Sequence[FrontEndName], watched: BuildWatched
) -> Iterator[list[FrontEnd]]:
    """The front ends of these names. They listen at the configured sockets, and do not serve yet.

    Raises:
        ConfigurationError: one cannot listen at its socket, or systemd passed a socket that is not used.
        Temporary: another process listens at a socket.
    """
    inherited = InheritedSockets()
    with contextlib.ExitStack() as held:
        frontends: list[FrontEnd] = []
        if "milter" in names:
            frontends.append(held.enter_context(_milter(config, inherited)))
            if config.socketmap:
                frontends.append(held.enter_context(_socketmap(config.socketmap, inherited)))
        if "login" in names:
            alone = "milter" not in names
            milter = control_socket(config, ["milter"]) if alone else None
            frontends += held.enter_context(_login(config.login, milter, inherited))
        if "watch" in names:
            required(config)
            frontends.append(Watcher(watched))
        if place := control_socket(config, names):
            listener = held.enter_context(listening("milter.control", f"unix:{place}", 0o600, None))
            frontends.append(Control(listener, Process(_sockets(config, names))))
        if config.metrics.listen:
            frontends.append(held.enter_context(_metrics(config.metrics.listen, inherited)))
        if unused := inherited.left():
            raise ConfigurationError(
                "systemd", [f"listens at {place}, {_UNUSED}" for place in unused]
            )
        yield frontends


def open_further(
    config: Config, frontends: Sequence[FrontEnd], arguments: Sequence[str]
) -> FurtherProcesses:
    """The processes beside this one at the milter's socket. They do not run yet.

    Args:
        frontends: of this process.
        arguments: of this program, for a milter alone.
    """
    count = config.milter.processes - 1
    shared = [it for it in frontends if count and isinstance(it, SharedFrontEnd)]
    return FurtherProcesses(count, arguments, shared[0].share()) if shared else FurtherProcesses()


@contextlib.contextmanager
def further_frontends(config: Config, further: Further) -> Iterator[list[FrontEnd]]:
    """The front ends of a further process: the milter at the socket of the first one, and its own for figures.

    Raises:
        ConfigurationError, Temporary: as for `open_frontends`.
    """
    names: list[FrontEndName] = ["milter"]
    control = control_socket(config, names)
    sections = {
        "milter": {
            "socket": f"fd:{further.listener}",
            "control": control and further_control(control, further.number),
            "processes": 1,
        },
        "metrics": {"listen": _further_metrics(config.metrics.listen, further.number)},
    }
    changed = {
        name: getattr(config, name).model_copy(update=values) for name, values in sections.items()
    }
    of_further = config.model_copy(update={**changed, "socketmap": None})
    with open_frontends(of_further, names, lambda _service: None) as frontends:
        yield frontends


def _further_metrics(listen: str | None, number: int) -> str | None:
    if listen is None:
        return None
    host, _, port = listen.rpartition(":")
    return f"{host}:{int(port) + number}"


def _sockets(config: Config, names: Sequence[FrontEndName]) -> dict[str, str]:
    """Where a process with these front ends listens, by the keys of the configuration."""
    found: dict[str, str | None] = {}
    if "milter" in names:
        found["milter.socket"] = config.milter.socket
        found["socketmap.socket"] = config.socketmap.socket if config.socketmap else None
    if "login" in names and (login := config.login):
        found["login.socket"] = login.socket if login.upstream else None
        found["login.notify_socket"] = login.notify_socket
    found["metrics.listen"] = config.metrics.listen
    return {key: place for key, place in found.items() if place}


# What is at the sockets of these keys.
_LISTENERS = {
    "milter.socket": "milter",
    "socketmap.socket": "socket map",
    "login.socket": "logins",
    "login.notify_socket": "notifications",
    "metrics.listen": "metrics",
}


def summary(config: Config, names: Sequence[FrontEndName], dry_run: bool) -> str:
    """What a process with these front ends does, and where it listens, in one line."""
    is_dry = dry_run or config.milter.mode == "dry-run"
    doing = [f"{_LISTENERS[key]} at {place}" for key, place in _sockets(config, names).items()]
    if "watch" in names:
        doing.append("watch")
    ours = []
    if ANY_DOMAIN in config.milter.domains:
        ours.append("every domain")
    elif config.milter.domains:
        ours.append(counted(len(config.milter.domains), "domain"))
    if config.domains:
        ours.append(counted(len(config.domains), "table of domains", "tables of domains"))
    ours.append(counted(len(config.accounts), "account source"))
    if "milter" in names and config.milter.processes > 1:
        ours.append(f"{config.milter.processes} processes")
    return f"{'dry run' if is_dry else 'enforce'}; {', '.join(doing)}; {', '.join(ours)}"


@contextlib.contextmanager
def _metrics(place: str, inherited: InheritedSockets) -> Iterator[FrontEnd]:
    from autocreate.frontends.metrics import Metrics  # noqa: PLC0415 -- it loads prometheus_client

    with listening("metrics.listen", f"inet:{place}", 0, None, handed_over=inherited) as listener:
        yield Metrics(listener)


@contextlib.contextmanager
def _milter(config: Config, inherited: InheritedSockets) -> Iterator[FrontEnd]:
    from autocreate.frontends.milter import Milter  # noqa: PLC0415 -- it loads libmilter

    settings = config.milter
    mode = int(settings.socket_mode, 8)
    with listening(
        "milter.socket", settings.socket, mode, settings.socket_group, handed_over=inherited
    ) as listener:
        yield Milter(listener)


@contextlib.contextmanager
def _socketmap(settings: SocketMap, inherited: InheritedSockets) -> Iterator[FrontEnd]:
    from autocreate.frontends import socketmap  # noqa: PLC0415 -- only where it is served

    mode, group = int(settings.socket_mode, 8), settings.socket_group
    with listening(
        "socketmap.socket", settings.socket, mode, group, handed_over=inherited
    ) as listener:
        yield socketmap.SocketMap(listener, settings.connections)


@contextlib.contextmanager
def _login(
    settings: Login | None, milter: Path | None, inherited: InheritedSockets
) -> Iterator[list[FrontEnd]]:
    from autocreate.frontends.events import Events  # noqa: PLC0415 -- only to serve logins
    from autocreate.frontends.login import LoginServer  # noqa: PLC0415

    if settings is None or not (settings.upstream or settings.notify_socket):
        raise ConfigurationError(
            "[login]", ["has neither upstream nor notify_socket: set one of them, or both"]
        )
    mode, group = int(settings.socket_mode, 8), settings.socket_group
    peers = [pwd.getpwnam(name).pw_uid for name in settings.peers]
    frontends: list[FrontEnd] = []
    with contextlib.ExitStack() as held:
        if settings.upstream:
            listener = held.enter_context(
                listening("login.socket", settings.socket, mode, group, handed_over=inherited)
            )
            checker = _checker(settings.upstream)
            frontends.append(LoginServer(listener, checker, peers, settings.requests))
        if settings.notify_socket:
            listener = held.enter_context(
                listening(
                    *("login.notify_socket", settings.notify_socket, mode, group),
                    *(socket.SOCK_DGRAM, inherited),
                )
            )
            frontends.append(Events(listener, peers, settings.notifyd, milter))
        yield frontends


def _checker(settings: Upstream) -> PasswordChecker:
    module, factory = CHECKERS[settings.type]
    checker: PasswordChecker = getattr(import_module(module), factory)(
        **settings.model_dump(exclude={"type"})
    )
    return checker

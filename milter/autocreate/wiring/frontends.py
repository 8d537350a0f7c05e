"""The front ends of a process, each listening where the configuration says."""

import contextlib
import pwd
import socket
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Literal

from autocreate.config.login import Login, Upstream
from autocreate.config.sections import Config
from autocreate.errors import ConfigurationError
from autocreate.frontends.activation import InheritedSockets
from autocreate.frontends.control import Control
from autocreate.frontends.listener import listening
from autocreate.frontends.process import FrontEnd
from autocreate.passwords import CHECKERS, PasswordChecker

_NOBODYS = (
    "which no key of the configuration names: write the place that the .socket unit has into it "
    "(milter.socket, login.socket, login.notify_socket), or disable that unit"
)

FrontEndName = Literal["milter", "login"]


@contextlib.contextmanager
def open_frontends(config: Config, names: Sequence[FrontEndName]) -> Iterator[list[FrontEnd]]:
    """The front ends of these names, listening where the configuration says but serving nobody yet.

    Raises:
        ConfigurationError: one cannot listen at its place, or systemd listens where none does.
        Temporary: another instance owns the place.
    """
    handed_over = InheritedSockets()
    with contextlib.ExitStack() as held:
        frontends: list[FrontEnd] = []
        if "milter" in names:
            frontends.append(held.enter_context(_milter(config, handed_over)))
        if "login" in names:
            alone = "milter" not in names
            milter = _control_socket(config, ["milter"]) if alone else None
            frontends += held.enter_context(_login(config.login, milter, handed_over))
        if place := _control_socket(config, names):
            listener = held.enter_context(listening("milter.control", f"unix:{place}", 0o600, None))
            frontends.append(Control(listener))
        if config.metrics.listen:
            frontends.append(held.enter_context(_metrics(config.metrics.listen, handed_over)))
        if unknown := handed_over.left():
            raise ConfigurationError(
                "systemd", [f"listens for us at {place}, {_NOBODYS}" for place in unknown]
            )
        yield frontends


@contextlib.contextmanager
def _metrics(place: str, handed_over: InheritedSockets) -> Iterator[FrontEnd]:
    from autocreate.frontends.metrics import Metrics  # noqa: PLC0415 -- it loads prometheus_client

    with listening("metrics.listen", f"inet:{place}", 0, None, handed_over=handed_over) as listener:
        yield Metrics(listener)


def control_sockets(config: Config) -> list[Path]:
    """Where the processes that run by this configuration may be asked."""
    alone: list[list[FrontEndName]] = [["milter"], ["login"]]
    places = (_control_socket(config, names) for names in alone)
    return list(filter(None, places))


def _control_socket(config: Config, names: Sequence[FrontEndName]) -> Path | None:
    """Where a process with these front ends may be asked: beside the first one's own socket."""
    if "milter" in names and config.milter.control:
        return config.milter.control
    login = config.login.socket if config.login else ""
    beside = config.milter.socket if "milter" in names else login
    return Path(f"{beside.removeprefix('unix:')}.control") if beside.startswith("unix:") else None


@contextlib.contextmanager
def _milter(config: Config, handed_over: InheritedSockets) -> Iterator[FrontEnd]:
    from autocreate.frontends.milter import Milter  # noqa: PLC0415 -- it loads libmilter

    settings = config.milter
    mode = int(settings.socket_mode, 8)
    with listening(
        "milter.socket", settings.socket, mode, settings.socket_group, handed_over=handed_over
    ) as listener:
        yield Milter(listener)


@contextlib.contextmanager
def _login(
    settings: Login | None, milter: Path | None, handed_over: InheritedSockets
) -> Iterator[list[FrontEnd]]:
    from autocreate.frontends.events import Events  # noqa: PLC0415 -- only to serve logins
    from autocreate.frontends.login import LoginServer  # noqa: PLC0415

    if settings is None or not (settings.upstream or settings.notify_socket):
        raise ConfigurationError(
            "[login]", ["has neither upstream nor notify_socket; write one of them, or both"]
        )
    mode, group = int(settings.socket_mode, 8), settings.socket_group
    peers = [pwd.getpwnam(name).pw_uid for name in settings.peers]
    frontends: list[FrontEnd] = []
    with contextlib.ExitStack() as held:
        if settings.upstream:
            listener = held.enter_context(
                listening("login.socket", settings.socket, mode, group, handed_over=handed_over)
            )
            checker = _checker(settings.upstream)
            frontends.append(LoginServer(listener, checker, peers, settings.requests))
        if settings.notify_socket:
            listener = held.enter_context(
                listening(
                    *("login.notify_socket", settings.notify_socket, mode, group),
                    *(socket.SOCK_DGRAM, handed_over),
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

"""Where the control sockets are. Apart from what opens them: a command that only asks loads little."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from autocreate.config.sections import Config

FrontEndName = Literal["milter", "login", "watch"]


def control_sockets(config: Config) -> list[Path]:
    """The control sockets of the processes that may run with this configuration."""
    alone: list[list[FrontEndName]] = [["milter"], ["login"]]
    if config.watch:
        alone.append(["watch"])
    places = list(filter(None, (control_socket(config, names) for names in alone)))
    if milter := control_socket(config, ["milter"]):
        places += [further_control(milter, it) for it in range(1, config.milter.processes)]
    return places


def control_socket(config: Config, names: Sequence[FrontEndName]) -> Path | None:
    """The control socket of a process with these front ends: beside the socket of the first."""
    if "milter" in names and config.milter.control:
        return config.milter.control
    if list(names) == ["watch"]:
        return _watch_control(config)
    login = config.login.socket if config.login else ""
    beside = config.milter.socket if "milter" in names else login
    return Path(f"{beside.removeprefix('unix:')}.control") if beside.startswith("unix:") else None


def _watch_control(config: Config) -> Path | None:
    """The control socket of `autocreate watch`."""
    if config.watch and config.watch.control:
        return config.watch.control
    milter = config.milter.socket
    is_path = milter.startswith("unix:")
    return Path(milter.removeprefix("unix:")).with_name("watch.control") if is_path else None


def further_control(control: Path, number: int) -> Path:
    """That of a further process, beside that of the first."""
    return control.with_name(f"{control.name}.{number}")

"""What a command works with, built by the configuration file and closed when the command ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autocreate.admin.components import Components
    from autocreate.service.service import Service


@contextmanager
def open_service(config_path: Path) -> Iterator["Service"]:
    """The service, for a few addresses. Warnings and errors are logged on stderr."""
    with _open(config_path, "warning", bulk=False) as components:
        yield components.service


@contextmanager
def open_components(config_path: Path) -> Iterator["Components"]:
    """The service and its parts, for many users. Only errors are logged: outcomes say the rest."""
    with _open(config_path, "error", bulk=True) as components:
        yield components


@contextmanager
def _open(config_path: Path, level: str, *, bulk: bool) -> Iterator["Components"]:
    from contextlib import closing

    from autocreate import logs
    from autocreate.config import load
    from autocreate.wiring.service import build_components

    settings = load(config_path)
    logs.configure(settings.log.format, level)
    components = build_components(settings, bulk=bulk)
    with closing(components.service):
        yield components

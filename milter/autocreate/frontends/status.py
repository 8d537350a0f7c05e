"""What a process tells of itself at its control socket, for `autocreate status`."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from autocreate import logs
from autocreate.service.service import Service
from autocreate.statistics.recorder import Statistics


@dataclass(frozen=True, slots=True)
class Process:
    """What does not change while a process runs.

    Args:
        sockets: where it listens, by the keys of autocreate.toml.
        started: when, in seconds since the epoch.
    """

    sockets: Mapping[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.time)


def status(process: Process, service: Service, statistics: Statistics) -> Mapping[str, Any]:
    """All of it, as JSON has it. Times are in seconds since the epoch."""
    last = logs.last_error()
    return {
        "pid": os.getpid(),
        "version": version("autocreate-milter"),
        "started": process.started,
        "now": time.time(),
        "sockets": process.sockets,
        "last_error": {"at": last[0], "line": last[1]} if last else None,
        "last_hour": [[*key, count] for key, count in sorted(statistics.last_hour().items())],
        **service.status(),
    }

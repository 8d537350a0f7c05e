"""What the private database servers have in common: a folder, a process and its children, a log of what was asked."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .common import (
    HOST,
    START_TIMEOUT,
    end,
    family,
    free_port,
    fresh_folder,
    pause_all,
    signal_all,
    start,
    wait_until,
)
from .tls import Certificate, make_certificate


class DatabaseServer(ABC):
    """Runs between `__enter__` and `__exit__`, and in between as often as it is stopped and started."""

    host: Final = HOST
    name = ""
    owner = "root"

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path()
        self.certificate: Certificate
        self._cleanup = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, as a configuration names it."""

    @abstractmethod
    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        """Make these users, each with its groups, the only ones."""

    def load(self, users: Sequence[str]) -> None:
        """Make these users, without groups, the only ones: many of them, at the server's best speed."""
        self.put(dict.fromkeys(users, ()))

    @abstractmethod
    def _lay_out(self) -> None:
        """Fill the folder, before the first start."""

    @abstractmethod
    def _command(self) -> list[str | Path]:
        """What starts it, in the foreground."""

    @abstractmethod
    def _is_up(self) -> bool:
        """Does it answer?"""

    @abstractmethod
    def _prepare(self) -> None:
        """Make tables and the like, once, when it is up."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self.folder = undo.enter_context(fresh_folder(self.name))
            undo.callback(self.stop)
            self.certificate = make_certificate(self.folder)
            self._lay_out()
            self.start()
            self._prepare()
            self._cleanup = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def start(self) -> None:
        with self.log_file.open("ab") as output:
            self._process = start(self._command(), output)
        wait_until(self._answers, START_TIMEOUT, f"{self.name}'s start", self.log)

    def stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            signal_all(family(process.pid), signal.SIGCONT)
            self._end(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        end(process)

    def pause(self) -> None:
        """It holds its connections, the kernel takes new ones for it, and it says nothing."""
        pause_all(self._members)

    def resume(self) -> None:
        signal_all(self._members(), signal.SIGCONT)

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    def log(self) -> str:
        """What it was asked, and what it says of itself."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    def _members(self) -> list[int]:
        # Not of its session: PostgreSQL's children lead sessions of their own.
        assert self._process is not None
        return family(self._process.pid)

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"{self.name} ended at its start\n{self.log()}")
        return self._is_up()

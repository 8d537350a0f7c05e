"""The life of a program that tests run: a folder of its own, a process, a log, and an end that leaves nothing."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from .common import (
    START_TIMEOUT,
    end,
    fresh_folder,
    pause_all,
    session_members,
    signal_all,
    start,
    wait_until,
)
from .life import Life


class Program(Life):
    """Runs between `__enter__` and `__exit__`, and in between as often as it is stopped and started.

    Args:
        base: where its folder is made, if not at the usual place.
    """

    name = ""
    output = "output.log"

    def __init__(self, base: Path | None = None) -> None:
        super().__init__()
        self.folder = Path()
        self._base = base
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _lay_out(self) -> None:
        """Fill the folder, before the first start."""

    @abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """The command that runs it in the foreground."""

    @abstractmethod
    def _is_up(self) -> bool:
        """Does it answer?"""

    def _begin(self) -> None:
        """The first start."""
        self.start()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        end(process)

    @property
    def _environment(self) -> Mapping[str, str]:
        """Variables that it gets besides ours."""
        return {}

    def _enter(self, undo: contextlib.ExitStack) -> None:
        self.folder = undo.enter_context(fresh_folder(self.name, self._base))
        undo.callback(self.stop)
        self._lay_out()
        self._begin()

    def start(self) -> None:
        self.launch()
        self.wait_until_up()

    def wait_until_up(self) -> None:
        wait_until(self._answers, START_TIMEOUT, f"{self.name}'s start", self.log)

    def launch(self) -> None:
        """Starts it and waits for nothing."""
        if self.is_running:
            raise RuntimeError(f"this {self.name} runs already")
        with self.log_file.open("ab") as output:
            self._process = start(self._command(), output, self._environment)

    def stop(self) -> int:
        """Ends it as an administrator does; its exit status, 0 if it did not run."""
        if self._process is None:
            return 0
        signal_all(self.pids, signal.SIGCONT)
        process, self._process = self._process, None
        self._end(process)
        return int(process.returncode)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"this {self.name} does not run")
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """The living processes of its session: the program and those that it started."""
        assert self._process is not None
        return session_members(self._process.pid)

    def pause(self) -> None:
        """It keeps its connections, the kernel takes new ones for it, and it says nothing."""
        pause_all(lambda: self.pids)

    def resume(self) -> None:
        signal_all(self.pids, signal.SIGCONT)

    @property
    def log_file(self) -> Path:
        """What it writes on its standard output and error."""
        return self.folder / self.output

    def log(self) -> str:
        """What it said."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    def wait_for_log(self, pattern: str, timeout: float = 15.0) -> re.Match[str]:
        """Waits for a line that the pattern matches."""
        found = wait_until(
            lambda: re.search(pattern, self.log(), re.MULTILINE), timeout, repr(pattern), self.log
        )
        assert found
        return found

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"{self.name} ended at its start\n{self.log()}")
        return self._is_up()

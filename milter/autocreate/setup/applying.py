"""Applies steps in their order, and takes them back. What is done is told as it is done."""

import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from autocreate.doctor.programs import Runner, reason, run
from autocreate.errors import ConfigurationError, Temporary
from autocreate.setup import files
from autocreate.setup.files import Changed, Record
from autocreate.setup.values import Step

_SYSTEMD = Path("/run/systemd/system")
_TIMEOUT = 30.0  # seconds for the milter to listen after it was started
_PAUSE = 0.2

Tell = Callable[[str], None]


class Applier:
    """Applies steps.

    Args:
        record: where changes are remembered.
        tell: prints a line.
        runner: runs programs.
        has_systemd: systemd runs, so that services can be started.
    """

    def __init__(
        self,
        record: Record,
        tell: Tell,
        runner: Runner = run,
        has_systemd: Callable[[], bool] = _SYSTEMD.is_dir,
    ) -> None:
        self._record = record
        self._tell = tell
        self._run = runner
        self._has_systemd = has_systemd

    def apply(self, steps: Sequence[Step], place: str) -> None:
        """Apply steps that are not done.

        Args:
            place: where the milter listens: `milter.socket`.

        Raises:
            Temporary: the milter does not listen. What was done before stays.
            ConfigurationError: a check failed, and the step was taken back; or a file cannot be changed.
        """
        for step in steps:
            if step.is_done or (step.starts_milter and is_ready(step, place)):
                continue
            if step.needs_milter:
                self._wait_for_milter(place)
            self._apply(step)

    def undo(self) -> None:
        """Take back all that the record has.

        Raises:
            ConfigurationError: nothing is to be taken back, or something was changed since.
        """
        taken_back = files.undo(self._record)
        if not taken_back:
            raise ConfigurationError("--undo", ["nothing was applied, so nothing is taken back"])
        for changed in filter(lambda it: it.path, taken_back):
            if changed.before:
                self._tell(f"restored {changed.path}")
            else:
                is_left = os.path.exists(changed.path)
                self._tell(f"{'left, as it is in use' if is_left else 'removed'}: {changed.path}")
        for command in dict.fromkeys(it for changed in taken_back for it in changed.undo):
            self._effect(command)

    def _apply(self, step: Step) -> None:
        self._tell(f"{step.title}:")
        kept = len(self._record.read())
        for folder in step.folders:
            if files.make(folder, self._record):
                self._tell(f"  made {folder.path}")
        for change in step.changes:
            backup = files.apply(change, self._record, step.undo)
            copy = f"; its copy from before is {backup}" if backup else ""
            self._tell(f"  changed {change.path}{copy}")
        if step.check:
            self._check(step, kept)
        if step.undo and not step.changes:
            self._record.add(Changed("", "", "", "", step.undo))
        for command in step.after:
            self._effect(command)

    def _check(self, step: Step, kept: int) -> None:
        program, *arguments = step.check
        try:
            self._run(program, *arguments)
        except (OSError, subprocess.SubprocessError) as error:
            files.undo(self._record, kept)
            raise ConfigurationError(
                shlex.join(step.check), [f"{reason(error)}; the change was taken back"]
            ) from error
        self._tell(f"  {shlex.join(step.check)}: ok")

    def _effect(self, command: str) -> None:
        """Run a command that puts a change into effect; if it cannot, the administrator has to."""
        program, *arguments = shlex.split(command)
        if program == "systemctl" and not self._has_systemd():
            self._tell(f"  to do: {command} (systemd does not run here)")
            return
        if program == "postfix" and not self._runs(program, *arguments[:-1], "status"):
            self._tell(f"  Postfix does not run: not needed: {command}")
            return
        try:
            self._run(program, *arguments)
            self._tell(f"  {command}")
        except (OSError, subprocess.SubprocessError) as error:
            self._tell(f"  to do: {command} (it failed: {reason(error)})")

    def _runs(self, *command: str) -> bool:
        try:
            self._run(*command)
        except (OSError, subprocess.SubprocessError):
            return False
        return True

    def _wait_for_milter(self, place: str) -> None:
        until = time.monotonic() + (_TIMEOUT if self._has_systemd() else 0.0)
        while not listens(place):
            if time.monotonic() >= until:
                raise Temporary(
                    f"the milter does not listen at {place}, and an MTA that points at it would defer "
                    "all mail: start it (systemctl start autocreate-milter), then run this again with "
                    "--apply"
                )
            time.sleep(_PAUSE)


def is_ready(step: Step, place: str) -> bool:
    """Does the milter listen, and are the folders of a step there?"""
    return listens(place) and all(os.path.isdir(it.path) for it in step.folders)


def listens(place: str) -> bool:
    """Does somebody listen at a milter's socket: "unix:/path", "inet:HOST:PORT"? One of systemd's does."""
    kind, _, where = place.partition(":")
    try:
        if kind == "unix":
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1.0)
                client.connect(where)
        elif kind == "inet":
            host, _, port = where.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), 1.0).close()
    except OSError:
        return False
    return True

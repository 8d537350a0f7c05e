"""The life of a serving process: ready, reload, stop; and its background work.

One process may have several front ends. They share its service, and with it every cache and lock.
"""

import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol, runtime_checkable

from autocreate import logs
from autocreate.errors import AutocreateError, Refused, Temporary
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.hooks import HookRunner
from autocreate.frontends.processes import FurtherProcesses
from autocreate.model import Answer
from autocreate.resilience import throttled_log
from autocreate.service.lease import Lease
from autocreate.service.service import Service
from autocreate.statistics.recorder import Statistics

log = logging.getLogger(__name__)

# Seconds. Longer than a verdict takes, shorter than systemd's timeout (TimeoutStopSec, 90 s).
_DRAIN = 10.0
_BETWEEN_LOOKS = 5.0
_BETWEEN_SAVES = 60.0
# On SQLite each extension is synced to the disk, so they are few. No retry is urgent.
_RETRIES_LEASE = 60.0
_LAST_SAVE = 5.0
_LAST_HOOKS = 4.0
# They began to stop when this one did, and need no longer.
_LAST_FURTHER = 10.0


class FrontEnd(Protocol):
    """Something that listens, asks the service behind the gate, and answers."""

    def serve(self, gate: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """Start to serve, in threads of its own, until the process ends.

        Args:
            failed: called with the error if it cannot continue.
        """

    def stop(self) -> None:
        """Take no new connections. Open ones are answered until the gate is closed."""


@runtime_checkable
class SharedFrontEnd(FrontEnd, Protocol):
    """A front end that several processes can have at one socket."""

    def share(self) -> int:
        """The descriptor of its socket, for other processes."""


def run(
    frontends: Sequence[FrontEnd],
    service: Service,
    reload: Callable[[Service], Service],
    statistics: Statistics,
    summary: str,
    further: FurtherProcesses,
    checks_scripts: bool = True,
) -> NoReturn:
    """Serve until SIGTERM or SIGINT. SIGHUP and SIGUSR1 reload. Never returns: see `_exit`.

    Args:
        reload: makes the service that takes over from the given one, which stays if this raises.
        statistics: of this process, for as long as it lives.
        summary: what it does, and where it listens, for the log's first line.
        further: processes beside this one, which reload and stop with it.
        checks_scripts: log which Sieve scripts are wrong; one of several processes does so.
    """
    events = _Events()
    gate = ServiceGate(service, statistics)
    stopping = threading.Event()

    def look_at_scripts() -> None:
        if checks_scripts:
            _in_background("scripts", lambda: report_scripts(gate))

    # libmilter waits for SIGHUP, SIGTERM and SIGINT itself, and ends the process. A signal that finds the main thread
    # busy goes to the oldest thread that takes it (complete_signal in Linux's kernel/signal.c): one of these.
    _in_background("statistics", lambda: save_statistics(gate, stopping))
    _in_background("left out", lambda: log_what_was_left_out(stopping))
    service.follow_news()
    for frontend in frontends:
        frontend.serve(gate, events.fail)
    further.start()
    _in_background("completer", lambda: complete_unfinished(gate, stopping))
    hooks = HookRunner(gate, stopping)
    hooks.start()
    look_at_scripts()
    notify("READY=1")
    log.info("ready: %s", summary)
    while True:
        event = events.get()
        match event:
            case signal.SIGHUP | signal.SIGUSR1:
                if _reload(gate, reload):
                    look_at_scripts()
                    further.signal(signal.SIGHUP)
            case signal.Signals():
                log.info("%s: stopping", event.name)
                notify("STOPPING=1")
                further.stop()
                for frontend in frontends:
                    frontend.stop()
                stopping.set()
                if not gate.drain(_DRAIN):
                    log.warning("some requests were unanswered after %g s", _DRAIN)
                hooks.wait(_LAST_HOOKS)
                _save_at_last(gate)
                gate.service.end_news()
                if not further.wait(_LAST_FURTHER):
                    log.warning("further processes have not ended after %g s", _LAST_FURTHER)
                log.info("stopped")
                _exit(0)
            case _:
                log.critical("fatal: %s", event)
                _exit(os.EX_SOFTWARE)


class _Events:
    """Signals and failures of front ends, in a queue.

    A main thread that waits for a lock can miss a signal: Python notes it, but nothing wakes the
    thread if another one took the signal, or if it came a moment before the wait. What Python
    writes to its wakeup descriptor stays there until it is read.
    """

    def __init__(self) -> None:
        self._failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, lambda _number, _frame: None)

    def fail(self, error: BaseException) -> None:
        """Report that a front end has failed."""
        self._failures.put(error)
        self._writer.send(b"\0")

    def get(self) -> signal.Signals | BaseException:
        """Wait for the next one."""
        number = self._reader.recv(1)[0]
        return signal.Signals(number) if number else self._failures.get()


def complete_unfinished(gate: ServiceGate, stopping: threading.Event) -> None:
    """Finish the journal's unfinished trees: all of them at the start, then those that are due.

    Of all processes that share the journal one does so. Another one that takes over starts with all.
    """
    lease = Lease(
        "retries unfinished trees", lambda: gate.service.retries, lambda: None, _RETRIES_LEASE
    )
    everything = True
    while not stopping.is_set():
        try:
            if lease.refresh():
                _complete_all(gate, stopping, everything, lease)
            everything = not lease.is_ours
        except Temporary as error:
            log.debug("unfinished mailboxes are not retried: %s", error)  # the journal logs it
        except Exception:
            log.exception("a defect of this program, while completing trees")
        stopping.wait(_BETWEEN_LOOKS)
    lease.give_up()


def report_scripts(gate: ServiceGate) -> None:
    """Log which Sieve scripts are wrong. Mail does not wait for them."""
    with gate.enter() as service:
        scripts = service.scripts() if service else ()
        for policy, script in scripts:
            try:
                for note in service.check_script(script) if service else ():
                    log.warning("policy %r: sieve script %s: %s", policy, script.source, note)
            except Refused as refusal:
                log.error(
                    "policy %r: its users do not get the sieve script %s: %s",
                    *(policy, script.source, refusal),
                )
            except Temporary as error:
                log.warning(
                    "policy %r: sieve script %s not checked: %s", policy, script.source, error
                )
            except Exception:
                log.exception("a defect of this program, while checking %s", script.source)


def save_statistics(gate: ServiceGate, stopping: threading.Event) -> None:
    """Write the statistics to the journal every minute."""
    while not stopping.wait(_BETWEEN_SAVES):
        _save(gate)


def log_what_was_left_out(stopping: threading.Event) -> None:
    """Log the counts of lines that were left out, when their time is over."""
    while not stopping.wait(_BETWEEN_LOOKS):
        throttled_log.flush_all()
        logs.flush()


def _save_at_last(gate: ServiceGate) -> None:
    """Write the last statistics; a journal that hangs does not hold up the end."""
    saving = threading.Thread(target=lambda: _save(gate), name="last statistics", daemon=True)
    saving.start()
    saving.join(_LAST_SAVE)


def _save(gate: ServiceGate) -> None:
    try:
        gate.service.save(gate.statistics)
    except Temporary as error:
        log.warning("statistics are not in the journal yet: %s", error)
    except Exception:
        log.exception("a defect of this program, while writing statistics")


def notify(state: str) -> None:
    """Notify systemd, if it wants that (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.sendto(state.encode(), address)
    except OSError as error:
        log.warning("cannot notify systemd of %r: %s", state, error)


def _complete_all(
    gate: ServiceGate, stopping: threading.Event, everything: bool, lease: Lease
) -> None:
    with gate.enter() as service:
        entries = service.unfinished(everything) if service else []
    for entry in entries:
        # Entered for each, so that a reload does not wait for all of them.
        with gate.enter() as service:
            if service is None or stopping.is_set() or not lease.refresh():
                return
            verdict = service.complete(entry)
        if verdict.limited:
            continue  # `limits` has its own line
        level = logging.INFO if verdict.answer is Answer.ACCEPT else logging.WARNING
        log.log(level, "%s: retried: %s", entry.user, verdict.reason)


def _reload(gate: ServiceGate, reload: Callable[[Service], Service]) -> bool:
    """Replace the service. False if the old one stays."""
    # What Type=notify-reload needs as well (sd_notify(3)).
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
    is_new = False
    try:
        service = reload(gate.service)
    except AutocreateError as error:
        log.error("not reloaded, the old configuration stays in use: %s", error)
    except Exception:
        log.exception("not reloaded, the old configuration stays in use: a defect of this program")
    else:
        old = gate.replace(service)
        service.follow_news()
        _in_background("retirement", lambda: _retire(gate, old))
        log.info("reloaded")
        is_new = True
    notify("READY=1")
    return is_new


def _retire(gate: ServiceGate, service: Service) -> None:
    """Close a replaced service when its last caller has been answered."""
    gate.wait_out(service, _DRAIN)
    service.close()


def _in_background(name: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()


def _exit(status: int) -> NoReturn:
    """Exit at once. libmilter's threads may be anywhere, and its own stop function crashed under load."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)

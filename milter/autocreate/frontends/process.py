"""The life of a process that serves: ready, reload, stop; and the work it does in between.

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
from typing import NoReturn, Protocol

from autocreate.errors import AutocreateError, Refused, Temporary
from autocreate.frontends.gate import ServiceGate
from autocreate.model import Answer
from autocreate.service.service import Service
from autocreate.statistics.recorder import Statistics

log = logging.getLogger(__name__)

# Seconds. Longer than a verdict takes, shorter than systemd's timeout (TimeoutStopSec, 90 s).
_DRAIN = 10.0
_BETWEEN_LOOKS = 5.0
_BETWEEN_SAVES = 60.0
_LAST_SAVE = 5.0


class FrontEnd(Protocol):
    """Something that listens, asks the service that traffic lets it in to, and answers."""

    def serve(self, traffic: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """Begin to serve, in threads of its own, for ever.

        Args:
            failed: called if it cannot go on.
        """

    def stop(self) -> None:
        """Take no new connections. Those that stand are answered as long as traffic lets them."""


def run(
    frontends: Sequence[FrontEnd],
    service: Service,
    reload: Callable[[Service], Service],
    statistics: Statistics,
) -> NoReturn:
    """Serve until SIGTERM or SIGINT. SIGHUP and SIGUSR1 reload. Never returns: see `_exit`.

    Args:
        reload: makes the service that takes over from one; what it raises leaves that one answering.
        statistics: of this process, for as long as it lives.
    """
    events = _Events()
    traffic = ServiceGate(service, statistics)
    stopping = threading.Event()
    for frontend in frontends:
        frontend.serve(traffic, events.fail)
    _in_background("completer", lambda: complete_unfinished(traffic, stopping))
    _in_background("scripts", lambda: report_scripts(traffic))
    _in_background("statistics", lambda: save_statistics(traffic, stopping))
    notify("READY=1")
    log.info("ready")
    while True:
        event = events.get()
        match event:
            case signal.SIGHUP | signal.SIGUSR1:
                _reload(traffic, reload)
            case signal.Signals():
                log.info("%s: stopping", event.name)
                notify("STOPPING=1")
                for frontend in frontends:
                    frontend.stop()
                stopping.set()
                if not traffic.drain(_DRAIN):
                    log.warning("some requests had no answer after %g s", _DRAIN)
                _save_at_last(traffic)
                log.info("stopped")
                _exit(0)
            case _:
                log.critical("cannot go on: %s", event)
                _exit(os.EX_SOFTWARE)


class _Events:
    """Signals, and failures of front ends, one after the other.

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
        """Note that a front end cannot go on."""
        self._failures.put(error)
        self._writer.send(b"\0")

    def get(self) -> signal.Signals | BaseException:
        """Wait for the next."""
        number = self._reader.recv(1)[0]
        return signal.Signals(number) if number else self._failures.get()


def complete_unfinished(traffic: ServiceGate, stopping: threading.Event) -> None:
    """Finish what the journal has as unfinished: all of it at the start, then what is due."""
    everything = True
    while not stopping.is_set():
        try:
            _complete_all(traffic, stopping, everything)
            everything = False
        except Temporary as error:
            log.debug("unfinished mailboxes are not retried: %s", error)  # the journal tells it
        except Exception:
            log.exception("a defect of this program, while completing trees")
        stopping.wait(_BETWEEN_LOOKS)


def report_scripts(traffic: ServiceGate) -> None:
    """Tell the log which Sieve scripts are wrong. Mail does not wait for them."""
    with traffic.enter() as service:
        scripts = service.scripts() if service else ()
        for policy, script in scripts:
            try:
                for doubt in service.check_script(script) if service else ():
                    log.warning("policy %r: sieve script %s: %s", policy, script.source, doubt)
            except Refused as refusal:
                log.error(
                    "policy %r: its users go without the sieve script %s: %s",
                    *(policy, script.source, refusal),
                )
            except Temporary as error:
                log.warning(
                    "policy %r: sieve script %s not checked: %s", policy, script.source, error
                )
            except Exception:
                log.exception("a defect of this program, while checking %s", script.source)


def save_statistics(traffic: ServiceGate, stopping: threading.Event) -> None:
    """Write what was counted to the journal every so often."""
    while not stopping.wait(_BETWEEN_SAVES):
        _save(traffic)


def _save_at_last(traffic: ServiceGate) -> None:
    """Write what was counted since, but let no journal that is silent hold up the end."""
    saving = threading.Thread(target=lambda: _save(traffic), name="last statistics", daemon=True)
    saving.start()
    saving.join(_LAST_SAVE)


def _save(traffic: ServiceGate) -> None:
    try:
        traffic.service.save(traffic.statistics)
    except Temporary as error:
        log.warning("what was counted is not in the journal yet: %s", error)
    except Exception:
        log.exception("a defect of this program, while writing what was counted")


def notify(state: str) -> None:
    """Tell systemd, if it asked to be told (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.sendto(state.encode(), address)
    except OSError as error:
        log.warning("systemd was not told %r: %s", state, error)


def _complete_all(traffic: ServiceGate, stopping: threading.Event, everything: bool) -> None:
    with traffic.enter() as service:
        entries = service.unfinished(everything) if service else []
    for entry in entries:
        # Entered for each, so that a reload need not wait for all of them.
        with traffic.enter() as service:
            if service is None or stopping.is_set():
                return
            verdict = service.complete(entry)
        level = logging.INFO if verdict.answer is Answer.ACCEPT else logging.WARNING
        log.log(level, "%s: another attempt: %s", entry.user, verdict.reason)


def _reload(traffic: ServiceGate, reload: Callable[[Service], Service]) -> None:
    # What Type=notify-reload wants to be told besides (sd_notify(3)).
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        service = reload(traffic.service)
    except AutocreateError as error:
        log.error("not reloaded, the old configuration goes on: %s", error)
    except Exception:
        log.exception("not reloaded, the old configuration goes on: a defect of this program")
    else:
        old = traffic.replace(service)
        _in_background("retirement", lambda: _retire(traffic, old))
        _in_background("scripts", lambda: report_scripts(traffic))
        log.info("reloaded")
    notify("READY=1")


def _retire(traffic: ServiceGate, service: Service) -> None:
    """Close a service that was replaced, when its last caller has had its answer."""
    traffic.wait_out(service, _DRAIN)
    service.close()


def _in_background(name: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()


def _exit(status: int) -> NoReturn:
    """End at once. libmilter's threads may be anywhere, and its own stop crashed under load."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)

"""What MTAs that share a journal tell each other: mailboxes that were created or deleted, and cleared caches.

A message never makes anybody believe something, it only makes them forget: one that is late, doubled or
forged costs a lookup. One that is missed is made up for: whoever begins to listen, or does so again, forgets
everything; while nobody listens, the caches have their usual time limits.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from autocreate.errors import MalformedMessage
from autocreate.resilience.health import Health
from autocreate.resilience.throttled_log import ThrottledLog
from autocreate.service.holders import TOKEN
from autocreate.service.message import Kind, Message, decoded, encoded

log = logging.getLogger(__name__)

# Messages that wait until they can be sent, and that are sent at once.
_MOST = 10_000
_BATCH = 100
# Seconds. A connection on which nothing came for so long is checked.
_QUIET = 10.0
# Seconds between two attempts to connect: at first, and in the end.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
# Seconds that the end of a process waits until the last messages are sent.
_LAST = 1.0
_HOUR = 3600.0


class Channel(Protocol):
    """Passes texts on to everybody who has it open. See `PostgresChannel`."""

    def open(self) -> None: ...

    def send(self, messages: Sequence[str]) -> None: ...

    def check(self) -> None: ...

    def receive(self, timeout: float) -> list[str]: ...

    def wake(self) -> None: ...

    def close(self) -> None: ...


class News:
    """Tells and hears, in a thread of its own, which begins with the first use. Nobody waits for it.

    Args:
        channel: None if there is none; then nothing is told or heard.
        sender: names this process, which does not hear itself.
    """

    def __init__(self, channel: Channel | None, sender: str = TOKEN) -> None:
        self._channel = channel
        self._sender = sender
        self._to_send: deque[str] = deque()
        self._lock = threading.Lock()  # of the queue, the figures and the thread's start
        self._figures = {"sent": 0, "received": 0, "dropped": 0, "malformed": 0}
        self._health = Health()
        self._heard: Callable[[Message], None] = lambda _message: None
        self._missed: Callable[[], None] = lambda: None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = ThrottledLog(log, _HOUR)

    def tell(self, kind: Kind, user: str | None = None) -> None:
        """Tell the other MTAs. If that is not possible now, they are told later, or not at all."""
        if self._channel is None:
            return
        text = encoded(Message(kind, user, self._sender))
        with self._lock:
            if len(self._to_send) >= _MOST:
                self._figures["dropped"] += 1
                return
            self._to_send.append(text)
        self._start()
        self._channel.wake()

    def listen(self, heard: Callable[[Message], None], missed: Callable[[], None]) -> None:
        """Hear what others tell, from now on.

        Args:
            heard: called with each message of another process.
            missed: called whenever messages may have been missed: each time when listening begins.
        """
        if self._channel is None:
            return
        self._heard, self._missed = heard, missed
        self._start()

    def snapshot(self) -> dict[str, Any] | None:
        """`state`, see `Health.snapshot`, and figures since the start; None if there is no channel."""
        if self._channel is None:
            return None
        with self._lock:
            return {"state": self._health.snapshot(), **self._figures}

    def close(self) -> None:
        """Send what waits, if that is possible at once, and end."""
        self._stopping.set()
        if self._channel is not None and self._thread is not None:
            self._channel.wake()
            self._thread.join(_LAST)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="news", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        assert self._channel is not None
        pause = _FIRST_PAUSE
        while True:
            try:
                self._channel.open()
                self._begin()
                pause = _FIRST_PAUSE
                while self._exchange(self._channel):
                    pass
            except (
                Exception
            ) as error:  # a driver stumbles over nonsense with whatever comes to hand
                self._failed(error)
            self._channel.close()
            if self._stopping.wait(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _begin(self) -> None:
        self._missed()
        if self._health.is_up is False:
            log.info("messages of other MTAs are heard again; caches are cleared")
        # Not before: who sees that messages are heard may count on the caches.
        self._health.answered()

    def _failed(self, error: Exception) -> None:
        words = " ".join(str(error).split())
        self._health.failed(words)
        self._log.warning(
            "failed",
            "%s: messages of other MTAs are not heard, and caches keep their time limits: %s",
            *(self._channel, words),
        )

    def _exchange(self, channel: Channel) -> bool:
        """Send what waits, and hear what has come. False at the end."""
        batch = self._next_batch()
        if batch:
            try:
                channel.send(batch)
            except BaseException:
                with self._lock:
                    self._to_send.extendleft(reversed(batch))
                raise
            self._count("sent", len(batch))
        elif self._stopping.is_set():
            return False
        came = channel.receive(0.0 if self._to_send or self._stopping.is_set() else _QUIET)
        if not (came or batch or self._to_send):
            channel.check()
        for text in came:
            self._hear(text)
        return True

    def _next_batch(self) -> list[str]:
        with self._lock:
            return [self._to_send.popleft() for _ in range(min(_BATCH, len(self._to_send)))]

    def _hear(self, text: str) -> None:
        try:
            message = decoded(text)
        except MalformedMessage as error:
            self._count("malformed", 1)
            self._log.warning("malformed", "a message of another MTA was dropped: %s", error)
            return
        if message.sender == self._sender:
            return
        self._count("received", 1)
        try:
            self._heard(message)
        except Exception:
            log.exception("a defect of this program, at a message of another MTA")

    def _count(self, key: str, number: int) -> None:
        with self._lock:
            self._figures[key] += number

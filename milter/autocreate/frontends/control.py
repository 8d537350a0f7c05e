"""The control socket: how commands on this machine talk to the process that serves.

One JSON object a line is a question, one a line the answer: `{"ask": "figures"}`. An answer is
`{"answer": ...}` or `{"error": "..."}`. Only root and the user that the process runs as may ask, by
the kernel's word for who they are; they are answered one after the other, each within seconds.
"""

import errno
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autocreate.errors import Temporary
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import Listener, peer_uid
from autocreate.service.service import Service

log = logging.getLogger(__name__)

_TIMEOUT = 2.0  # seconds for a question to come, or an answer to be taken
_LONGEST = 1 << 16  # bytes of a question

# What can be asked. A question of another kind, such as one for metrics, is one more line here.
QUESTIONS: Mapping[str, Callable[[Service, Mapping[str, Any]], Any]] = {
    "figures": lambda service, _: service.stats(),
    "user": lambda _service, _question: _user(),
    "forget": lambda service, question: service.invalidate_accounts(question.get("user")),
}


class Control:
    """Answers on a control socket."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def serve(self, traffic: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """See `FrontEnd.serve`. Without a control socket mail goes on, so nothing here has failed."""
        threading.Thread(target=self._accept, args=(traffic,), name="control", daemon=True).start()

    def stop(self) -> None:
        """See `FrontEnd.stop`."""
        self._listener.stop()

    def _accept(self, traffic: ServiceGate) -> None:
        while True:
            try:
                connection, _ = self._listener.socket.accept()
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.EBADF):
                    return  # the listener was stopped, or closed
                log.error("a question could not be accepted: %s", error)
                time.sleep(0.1)  # of descriptors, say, there may soon be some again
                continue
            try:
                with connection:
                    self._answer(connection, traffic)
            except OSError as error:
                log.info("a client of the control socket went away: %s", error)
            except BaseException:
                log.exception("a defect of this program, at the control socket")

    def _answer(self, connection: socket.socket, traffic: ServiceGate) -> None:
        uid = peer_uid(connection)
        if uid not in (0, os.geteuid()):
            log.warning("user number %d asked at the control socket, and may not", uid)
            return
        connection.settimeout(_TIMEOUT)
        with connection.makefile("rwb") as lines:
            answer = _answered(lines.readline(_LONGEST), traffic)
            lines.write(json.dumps(answer).encode() + b"\n")


def _user() -> Mapping[str, Any]:
    """Whom this process is, for those who ask what it may read."""
    return {"uid": os.geteuid(), "gids": sorted({os.getegid(), *os.getgroups()})}


def _answered(line: bytes, traffic: ServiceGate) -> Mapping[str, Any]:
    try:
        question = json.loads(line)
        answer = QUESTIONS[question["ask"]]
    except (ValueError, TypeError, KeyError):
        return {"error": f"is no question; there are {', '.join(QUESTIONS)}"}
    with traffic.enter() as service:
        if service is None:
            return {"error": "the process is on its way out"}
        return {"answer": answer(service, question)}


def ask(path: Path, question: str, **details: Any) -> Any:
    """Ask the process that serves.

    Args:
        path: its control socket.

    Raises:
        Temporary: it does not run, does not let us ask, or does not answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT * 2)
            connection.connect(str(path))
            with connection.makefile("rwb") as lines:
                lines.write(json.dumps({"ask": question, **details}).encode() + b"\n")
                lines.flush()
                told = lines.readline()
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise Temporary(f"nothing is running that listens at {path}") from error
    except OSError as error:
        raise Temporary(f"{path}: {error}") from error
    if not told:
        raise Temporary(f"{path}: no answer; ask as root, or as the user that the milter runs as")
    answer = json.loads(told)
    if "error" in answer:
        raise Temporary(f"{path}: {answer['error']}")
    return answer["answer"]

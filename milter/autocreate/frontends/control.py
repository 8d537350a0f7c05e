"""The control socket: how commands on this machine talk to the process that serves.

A request is one line with a JSON object, `{"ask": "figures"}`, and so is the answer,
`{"answer": ...}` or `{"error": "..."}`. Only root and the user that the process runs as may ask (the
kernel says who they are). A request is over within seconds, however slowly it comes.
"""

import json
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from autocreate.errors import MalformedInput
from autocreate.frontends.acceptor import Acceptor, in_a_thread
from autocreate.frontends.control_client import TIMEOUT
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import Listener
from autocreate.frontends.status import Process, status
from autocreate.service.service import Service

log = logging.getLogger(__name__)

_LONGEST = 1 << 16  # bytes of a request
_MOST = 8  # requests at once

# What can be asked. A new kind of request is one more line here.
REQUESTS: Mapping[str, Callable[["Asked"], Any]] = {
    "figures": lambda it: {**it.service.stats(), **it.gate.figures()},
    "status": lambda it: status(it.process, it.service, it.gate.statistics),
    "user": lambda _: _user(),
    "forget": lambda it: _forget(it.service, it.request),
}


class Asked(NamedTuple):
    """A request, and what its answer is made from."""

    service: Service
    request: Mapping[str, Any]
    gate: ServiceGate
    process: Process


class Control:
    """Answers on a control socket.

    Args:
        process: what this process tells of itself.
    """

    def __init__(self, listener: Listener, process: Process | None = None) -> None:
        self._process = process or Process()
        self._acceptor = Acceptor(
            "control socket",
            listener,
            _MOST,
            seconds=TIMEOUT,
            peers=(0, os.geteuid()),
            most_per_peer=_MOST // 2,
        )

    def serve(self, gate: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """See `FrontEnd.serve`. Mail does not depend on this socket, so `failed` is not called."""
        self._acceptor.start(
            in_a_thread(lambda connection: _answer(connection, gate, self._process)),
            lambda error: log.error("the control socket is not served any more: %r", error),
        )

    def stop(self) -> None:
        """See `FrontEnd.stop`."""
        self._acceptor.stop()


def _answer(connection: socket.socket, gate: ServiceGate, process: Process) -> None:
    connection.settimeout(TIMEOUT)
    with connection.makefile("rwb") as lines:
        answer = answered(lines.readline(_LONGEST), gate, process)
        lines.write(json.dumps(answer).encode() + b"\n")


def _user() -> Mapping[str, Any]:
    """The user and groups of this process, for checks of what it may read."""
    return {"uid": os.geteuid(), "gids": sorted({os.getegid(), *os.getgroups()})}


def _forget(service: Service, request: Mapping[str, Any]) -> None:
    user = _user_in(request)
    if request.get("everywhere") is True:
        service.invalidate_everywhere(user)
    else:
        service.invalidate_accounts(user)


def _user_in(request: Mapping[str, Any]) -> str | None:
    user = request.get("user")
    if user is not None and not isinstance(user, str):
        raise MalformedInput("user is not text")
    return user


def answered(line: bytes, gate: ServiceGate, process: Process = Process()) -> Mapping[str, Any]:  # noqa: B008 -- frozen
    """The answer to a request, whatever it is."""
    try:
        request = json.loads(line)
        answer = REQUESTS[request["ask"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {"error": f"unknown request; known are {', '.join(REQUESTS)}"}
    with gate.enter() as service:
        if service is None:
            return {"error": "the process is shutting down"}
        try:
            return {"answer": answer(Asked(service, request, gate, process))}
        except MalformedInput as error:
            return {"error": str(error)}

"""Asks a process at its control socket, whose protocol is in `autocreate.frontends.control`."""

import json
import socket
from pathlib import Path
from typing import Any

from autocreate.errors import Temporary
from autocreate.resilience.answer_limit import LimitedStream

TIMEOUT = 4.0  # seconds for a request and its answer
_LONGEST_ANSWER = 1 << 22  # bytes


def ask(path: Path, request: str, **details: Any) -> Any:
    """Ask the serving process.

    Args:
        path: its control socket.

    Raises:
        Temporary: it does not run, refuses us, or does not answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(str(path))
            stream = LimitedStream(connection, TIMEOUT, _LONGEST_ANSWER)
            stream.send(json.dumps({"ask": request, **details}).encode() + b"\n")
            told = stream.readline()
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise Temporary(f"nothing listens at {path}") from error
    except OSError as error:
        raise Temporary(f"{path}: {error}") from error
    if not told:
        raise Temporary(f"{path}: no answer; run this as root or as the milter's user")
    try:
        answer = json.loads(told)
        if "error" in answer:
            raise Temporary(f"{path}: {answer['error']}")
        return answer["answer"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Temporary(f"{path}: an answer that is none: {told[:100]!r}") from error

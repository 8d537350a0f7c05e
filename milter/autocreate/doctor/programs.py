"""Runs a program that prints what an MTA's configuration says: postconf(1), postmap(1)."""

import shutil
import subprocess
from collections.abc import Callable

_TIMEOUT = 20.0  # seconds for a program that only reads files

# Runs a program with arguments and returns what it prints; raises as `run` does.
Runner = Callable[..., str]


def run(program: str, *arguments: str) -> str:
    """What a program prints. It need not be in PATH: an unprivileged user's lacks /usr/sbin.

    Raises:
        OSError, subprocess.SubprocessError: it is missing, or fails, or takes too long.
    """
    done = subprocess.run(
        [shutil.which(program) or f"/usr/sbin/{program}", *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT,
        check=True,
    )
    return done.stdout


def reason(error: Exception) -> str:
    """Why a program failed: what it wrote to stderr, if anything."""
    return str(getattr(error, "stderr", None) or error).strip()

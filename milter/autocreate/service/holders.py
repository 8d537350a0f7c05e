"""Names of processes, by which one that has died is told from one that lives elsewhere."""

import os
import secrets
import socket
from pathlib import Path

# Of this process: a reload makes new objects, and the process is the same.
TOKEN = secrets.token_hex(4)


def holder_of(pid: int, token: str = TOKEN) -> str:
    """What a process is called: `HOST:PID:TOKEN@KERNEL/NAMESPACE`.

    Containers may have one host name, and one process id each; a process id may be used again.
    """
    return f"{socket.gethostname()[:64]}:{pid}:{token}@{_processes()}"


def _processes() -> str:
    """Which processes this one can see: the kernel's boot and the namespace; "" if that is unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def is_dead(holder: str) -> bool:
    """Is it a process that we would see, and do not? So what a kill left is free at once."""
    name, _, processes = holder.partition("@")
    pid = name.split(":")[-2:][0]
    if not processes or processes != _processes() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False

"""`script/fuzz [--seconds N] [READER...]`: feeds readers for a time, and keeps what broke one.

With atheris, which follows the code, where it is installed (one reader a process); else by chance.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib.util
import random
import subprocess
import sys
import time
from pathlib import Path
from types import FunctionType

from .mutation import mutated
from .readers import READERS, seeds

FOUND = Path(".cache/fuzz")


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help="all, if none is named")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each reader (10)")
    parser.add_argument("--guided", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.readers if name not in READERS]:
        parser.error(f"no reader {unknown[0]!r}; there are: {', '.join(READERS)}")
    names = arguments.readers or list(READERS)
    if arguments.guided:
        _guided(names[0], arguments.seconds)
        return 0
    return max([_fed(name, arguments.seconds) for name in names])


def _fed(name: str, seconds: float) -> int:
    """Feed one reader; 1 if something escaped from it."""
    if _has_atheris():
        command = [sys.executable, "-m", "tests.fuzz", "--guided", "--seconds", str(seconds), name]
        return min(subprocess.run(command, check=False).returncode, 1)
    chance, known = random.Random(), seeds(name)
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        data = mutated(chance.choice(known), chance, known)
        count += 1
        try:
            READERS[name](data)
        except Exception as error:
            print(f"{name}: {error!r}, fed {_kept(name, data)}")
            return 1
    print(f"{name}: {count:,} inputs, nothing escaped")
    return 0


def _guided(name: str, seconds: float) -> None:
    import atheris  # noqa: PLC0415 -- it may be missing

    folder = FOUND / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds(name):
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    # Our code only: to instrument all that is loaded takes a minute.
    for it in gc.get_objects():
        if isinstance(it, FunctionType) and (it.__module__ or "").startswith("autocreate."):
            atheris.instrument_func(it)
    options = [f"-max_total_time={int(seconds)}", f"-artifact_prefix={FOUND}/{name}-", str(folder)]
    atheris.Setup([sys.argv[0], *options], READERS[name])
    atheris.Fuzz()


def _kept(name: str, data: bytes) -> Path:
    FOUND.mkdir(parents=True, exist_ok=True)
    path = FOUND / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return path


def _has_atheris() -> bool:
    return importlib.util.find_spec("atheris") is not None


if __name__ == "__main__":
    sys.exit(main())

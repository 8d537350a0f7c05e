"""What is fed: each reader takes bytes, and may raise this program's own errors, and none besides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .protocols import PROTOCOLS
from .reader import Reader
from .texts import TEXTS

SEEDS = Path(__file__).with_name("seeds")

READERS: Mapping[str, Reader] = {**TEXTS, **PROTOCOLS}


def seeds(name: str) -> list[bytes]:
    """What a reader's input looks like, a file each."""
    return [path.read_bytes() for path in sorted((SEEDS / name).iterdir())]

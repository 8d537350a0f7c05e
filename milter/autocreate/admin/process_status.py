"""What is wrong with a process, by what it tells of itself: see `autocreate.frontends.status`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Level(IntEnum):
    """As the exit status of a check of monitoring plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a process depends on.

    Args:
        name: by its key in the configuration.
        up: None if it has not been asked yet.
        since: in which state it is since then, in seconds since the epoch.
        error: why it is down; of a journal that is up, how its version differs.
        is_vital: without it no new user gets mail.
    """

    name: str
    up: bool | None
    since: float
    error: str
    is_vital: bool


def parts(told: Mapping[str, Any]) -> Iterator[Part]:
    """Everything that a process depends on, and whether it answered when it was last asked."""
    yield _part("cyrus", told["cyrus"], is_vital=True)
    if murder := told["cyrus"].get("murder"):
        yield _part("cyrus.murder.mupdate", murder["mupdate"], is_vital=True)
        for name, backend in murder["backends"].items():
            yield _part(f"cyrus.murder.{name}", backend)
        if murder["stream"]:
            yield _part("mupdate-stream", murder["stream"])
    journal = told["journal"]
    shown = journal["error"] or journal.get("difference", "")
    yield _part("journal", {"state": {**journal, "error": shown}}, is_vital=True)
    for name, source in told["sources"].items():
        yield _part(f"accounts.{name}", source)
    for section in ("domains", "aliases"):
        for name, table in ((told[section] or {}).get("tables", {})).items():
            yield _part(f"{section}.{name}", table)
    if told["lmtp"]:
        yield _part("lmtp", told["lmtp"])
    if news := told.get("news"):
        yield _part("messages of MTAs", news)


def level_of(told: Mapping[str, Any]) -> Level:
    """How grave it is: 2 if Cyrus or the journal is down; 1 if something else is, if trees wait for a retry, or
    if the journal has an older version that the process could not upgrade."""
    down = [it for it in parts(told) if it.up is False]
    if any(it.is_vital for it in down):
        return Level.CRITICAL
    waits = any(it["attempts"] for it in told["trees"])
    is_older = 0 < told["journal"].get("version", 0) < told["journal"].get("program", 0)
    return Level.WARNING if down or waits or is_older else Level.OK


def _part(name: str, figures: Mapping[str, Any], is_vital: bool = False) -> Part:
    state = figures["state"]
    return Part(name, state["up"], state["since"], state["error"], is_vital)

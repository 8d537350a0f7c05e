"""`autocreate status`: what the running processes tell of themselves, at their control sockets."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from autocreate.cli.options import config_option, json_option
from autocreate.core.printable import counted, printable

_EVERY = 2.0  # seconds between two looks


@click.command()
@config_option
@json_option
@click.option("--watch", is_flag=True, help="Look again every 2 seconds, until interrupted.")
def status(config_path: Path, as_json: bool, watch: bool) -> None:
    """Show whether the processes run, what they depend on, and what they decided in the last hour.

    Asks the control sockets alone, so nothing is looked up for it. "up" and "down" are the last
    answer of a server, and the time since when it is so. At most 20 unfinished trees are named.

    Exit status, as for monitoring plugins: 0 everything is up; 1 an account source, a table or lmtpd does
    not answer, an unfinished tree waits for another attempt, or the journal is older than the
    process; 2 a process does not answer, or it cannot use Cyrus or the journal; 78 the configuration
    is wrong.
    """
    from autocreate.config import load
    from autocreate.wiring.control_sockets import control_sockets

    places = control_sockets(load(config_path))
    while True:
        lines, level = _looked(places, as_json)
        if watch and not as_json:
            click.clear()
        click.echo("\n".join(lines))
        if not watch:
            sys.exit(level)
        sys.stdout.flush()
        time.sleep(_EVERY)


def _looked(places: list[Path], as_json: bool) -> tuple[list[str], int]:
    """What to print about the processes at these control sockets, and the exit status."""
    from autocreate.admin.process_status import Level, level_of
    from autocreate.errors import Temporary
    from autocreate.frontends.control_client import ask

    if not places:
        return ["autocreate: there is no control socket: set milter.control"], Level.CRITICAL
    lines: list[str] = []
    level = Level.OK
    for place in [path for path in places if path.exists()] or places[:1]:
        try:
            told = ask(place, "status")
        except Temporary as error:
            level = Level.CRITICAL
            down = {
                "process": str(place),
                "level": Level.CRITICAL.name.lower(),
                "error": str(error),
            }
            lines += [json.dumps(down)] if as_json else [printable(f"not running: {error}")]
            continue
        level = max(level, level_of(told))
        word = level_of(told).name.lower()
        if as_json:
            lines.append(json.dumps({"process": str(place), "level": word, **told}))
        else:
            lines += map(printable, _explained(word, told))
    return lines, level


def _explained(word: str, told: Mapping[str, Any]) -> Iterator[str]:
    from autocreate.admin.process_status import parts

    now = told["now"]
    yield (
        f"{word}: autocreate {told['version']}, pid {told['pid']}, mode {told['mode']}, running since "
        f"{_when(told['started'], now)}"
    )
    for key, place in told["sockets"].items():
        yield f"  {key:21} {place}"
    for part in parts(told):
        state = {True: "up since", False: "DOWN since", None: "not asked yet"}[part.up]
        since = f" {_when(part.since, now)}" if part.up is not None else ""
        yield f"  {part.name:21} {state}{since}{': ' if part.error else ''}{part.error}"
    yield from _decided(told)
    yield f"  {'caches':21} {', '.join(_caches(told))}"
    yield from _unfinished(told, now)
    if last := told["last_error"]:
        yield f"  {'last error':21} {_when(last['at'], now)}: {last['line']}"


def _decided(told: Mapping[str, Any]) -> Iterator[str]:
    """The verdicts of the last hour, a line for each front end."""
    by_frontend: dict[str, Counter[str]] = {}
    for frontend, outcome, count in told["last_hour"]:
        by_frontend.setdefault(frontend, Counter())[outcome] += count
    if not by_frontend:
        yield f"  {'last hour':21} nothing was asked"
    for frontend, outcomes in by_frontend.items():
        counts = ", ".join(f"{outcome} {count:,}" for outcome, count in outcomes.most_common())
        yield f"  {'last hour, ' + frontend:21} {counts}"


def _caches(told: Mapping[str, Any]) -> Iterator[str]:
    ready = told["ready"]
    yield f"mailboxes {ready['users']:,} of {ready['size']:,}"
    for name, source in told["sources"].items():
        held = source["remembered"]
        users = sum(held[kind]["users"] for kind in ("found", "unknown", "error"))
        yield f"accounts.{name} {users:,} of {held['size']:,}"
    if domains := told["domains"]:
        held = domains["remembered"]
        yield f"domains {held['hosted']['domains'] + held['other']['domains']:,}"
    if aliases := told["aliases"]:
        held = aliases["remembered"]
        yield f"aliases {held['addresses']:,} of {held['size']:,}"
    if lmtp := told["lmtp"]:
        held = lmtp["remembered"]
        yield f"lmtp {held['users']:,} of {held['size']:,}"


def _unfinished(told: Mapping[str, Any], now: float) -> Iterator[str]:
    count = told["unfinished"]
    yield f"  {'unfinished trees':21} {'unknown' if count is None else f'{count:,}'}"
    for tree in told["trees"]:
        due = tree["next_try"] - now
        when = f"in {_span(due)}" if due > 0 else "now"
        error = f": {tree['error']}" if tree["error"] else ""
        yield f"    {tree['user']}: {counted(tree['attempts'], 'attempt')}, next {when}{error}"


def _when(moment: float, now: float) -> str:
    """`2026-03-01 12:00:00 (3 h)`: local time, and how long ago."""
    local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
    return f"{local} ({_span(now - moment)})"


def _span(seconds: float) -> str:
    """A length of time in its greatest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"

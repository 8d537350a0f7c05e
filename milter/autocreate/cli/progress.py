"""The progress of a long command, on stderr: a bar on a terminal, otherwise a line every 10 seconds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_INTERVAL = 10.0  # seconds between lines


class Progress(Protocol):
    def step(self) -> None:
        """One more step is done."""

    def say(self, line: str) -> None:
        """Print a line on standard output without disturbing the bar."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """Show progress for as long as the context lasts.

    Args:
        what: the work, in a word or two.
        total: the number of steps.
    """
    if sys.stderr.isatty():
        with _bar(what, total) as bar:
            yield bar
    else:
        yield _Lines(what, total)


class _Lines:
    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._begun = self._printed = time.monotonic()

    def step(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._printed >= _INTERVAL:
            self._printed = now
            rate = self._done / (now - self._begun)
            left = (self._total - self._done) / rate
            print(
                f"{self._what}: {self._done} of {self._total}, {rate:.0f}/s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def say(self, line: str) -> None:
        print(line, flush=True)


@contextmanager
def _bar(what: str, total: int) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import (
        Progress as Bar,
    )

    console = Console(stderr=True)
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        redirect_stdout=False,  # otherwise lines for a file would be shown here
    ) as bar:
        task = bar.add_task(what, total=total, rate="")

        class Shown:
            def step(self) -> None:
                speed = bar.tasks[task].speed
                bar.update(task, advance=1, rate=f"{speed:.0f}/s" if speed else "")

            def say(self, line: str) -> None:
                # Where both are the terminal, the line goes above the bar.
                if sys.stdout.isatty():
                    bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
                else:
                    print(line)

        yield Shown()

"""What a command says when it is interrupted (Ctrl-C)."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

# 128 and the number of SIGINT, as a shell has it: sh(1).
EXIT_STATUS = 130


@contextmanager
def interruptible(how_to_go_on: str) -> Iterator[None]:
    """Say on stderr how to go on, if what is done inside is interrupted.

    Raises:
        KeyboardInterrupt: it was. The command ends with `EXIT_STATUS`.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"interrupted: {how_to_go_on}", err=True)
        raise

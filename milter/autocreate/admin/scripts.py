"""Do the Sieve scripts of the policies compile?"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from autocreate.backends.regular_file import read_settings
from autocreate.errors import AutocreateError, Refused, Temporary
from autocreate.mailstore.sieve.files import Compiler, save
from autocreate.service.service import Service
from autocreate.tree.values import Script

COMPILES = "compiles"
WRONG = "wrong"
NOT_CHECKED = "not checked"


class DoesNotCompile(AutocreateError):
    """A Sieve script is wrong."""

    exit_status = os.EX_DATAERR


class CheckedScript(NamedTuple):
    """What Cyrus's compiler says of the script of a policy.

    Args:
        source: the script's file.
        state: `COMPILES`, `WRONG` or `NOT_CHECKED`.
        details: warnings of the compiler, or why the script does not compile or cannot be checked.
        exit_status: of a command that ends with this (sysexits(3)).
    """

    policy: str
    source: str
    state: str
    details: tuple[str, ...] = ()
    exit_status: int = 0


def check_scripts(service: Service) -> Iterator[CheckedScript]:
    """Ask the server's compiler about the script of every policy."""
    for policy, script in service.scripts():
        try:
            details = service.check_script(script)
        except Refused as refusal:
            yield CheckedScript(policy, script.source, WRONG, (str(refusal),), os.EX_DATAERR)
        except Temporary as error:
            status = error.exit_status
            yield CheckedScript(policy, script.source, NOT_CHECKED, (str(error),), status)
        else:
            yield CheckedScript(policy, script.source, COMPILES, details)


def notices(scripts: Iterable[tuple[str, Script]], compiler: Compiler) -> Iterator[str]:
    """What is wrong with scripts, as far as the compiler on this machine can tell.

    Args:
        scripts: each with its policy's name.
    """
    for policy, script in scripts:
        name = f"policy {policy!r}: {script.source}"
        if not compiler.is_here:
            yield f"{name}: not checked, sievec is not on this machine; see autocreate sieve check"
            continue
        try:
            compiler.compile(script.text)
        except AutocreateError as error:
            yield f"{name}: {error}"


def compile_file(compiler: Compiler, source: Path, target: Path) -> None:
    """Compile a script into a file.

    Raises:
        DoesNotCompile: every error is named with its line.
        Temporary: a file cannot be read or written, or the compiler cannot be run.
    """
    try:
        save(target, compiler.compile(read_settings(source)))
    except Refused as refusal:
        raise DoesNotCompile(f"{source}: {refusal}") from refusal
    except OSError as error:
        raise Temporary(f"{error.filename or target}: {error.strerror}") from error

"""Do the users have mailboxes to whom a Postfix sends copies, which no milter sees?"""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from autocreate.doctor import postfix_unseen
from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.postconf import Postfix
from autocreate.errors import AutocreateError

_TIMEOUT = 20.0  # seconds for a program that only reads files


def examine(
    postfix: Postfix,
    folder: Path,
    ours: MilterSettings,
    without_mailbox: Callable[[str], Sequence[str]],
) -> Iterator[Finding]:
    """What is wrong with the recipients of copies.

    Args:
        folder: where the Postfix's main.cf is.
        without_mailbox: tells the users without a mailbox to whom an address of ours leads.
    """
    for place, address, map_ in postfix_unseen.copies(postfix):
        addresses: Sequence[str] = [address]
        if map_:
            try:
                addresses = _listed(folder, map_)
            except (OSError, subprocess.SubprocessError):
                yield warning(
                    f"{place} = {map_}, which postmap cannot list",
                    "no milter sees these recipients: copies to users without a mailbox bounce",
                    "autocreate provision USER for each of ours in it",
                )
                continue
        for one in addresses:
            yield from _copy(place, one, postfix.get("myorigin"), ours, without_mailbox)


def _copy(
    place: str,
    address: str,
    origin: str,
    ours: MilterSettings,
    without_mailbox: Callable[[str], Sequence[str]],
) -> Iterator[Finding]:
    whole = address if "@" in address else f"{address}@{origin}"
    if not ours.domains & {whole.rpartition("@")[2].lower(), "*"}:
        return
    try:
        users = without_mailbox(whole)
    except AutocreateError:
        return  # an alias, or Cyrus, cannot be asked, which is found elsewhere
    for user in users:
        yield critical(
            f"{place} has {address}, and {user} has no mailbox",
            "no milter sees this recipient: every copy bounces until somebody makes the mailbox",
            f"autocreate provision {whole}",
        )


def _listed(folder: Path, map_: str) -> list[str]:
    """The addresses in a map of Postfix's.

    Raises:
        OSError, subprocess.SubprocessError: postmap(1) cannot list a map of this type.
    """
    program = shutil.which("postmap") or "/usr/sbin/postmap"
    done = subprocess.run(
        [program, "-c", str(folder), "-s", map_],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT,
        check=True,
    )
    return postfix_unseen.recipients(done.stdout)

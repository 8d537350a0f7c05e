"""Postfix's copies (always_bcc, bcc maps), which no milter sees: do their recipients have mailboxes?"""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from autocreate.doctor import postfix_unseen
from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.postconf import Postfix
from autocreate.doctor.postfix_unseen import Copies
from autocreate.doctor.programs import Runner
from autocreate.doctor.site import Recipients, Tools
from autocreate.errors import AutocreateError


def examine(
    postfix: Postfix, folder: Path, ours: MilterSettings, tools: Tools
) -> Iterator[Finding]:
    """Check the recipients of copies.

    Args:
        folder: where the Postfix's main.cf is.
    """
    copies = list(postfix_unseen.copies(postfix))
    if not copies:
        return
    with contextlib.ExitStack() as opened:
        recipients = None
        # Another check reports aliases or a Cyrus that cannot be asked.
        with contextlib.suppress(AutocreateError):
            recipients = opened.enter_context(tools.recipients())
        for copy in copies:
            try:
                addresses = _addresses(copy, folder, tools.run)
            except (OSError, subprocess.SubprocessError):
                yield warning(
                    f"{copy.place} = {copy.map}, which postmap cannot list",
                    "no milter sees these recipients: copies to users without a mailbox bounce",
                    "autocreate provision USER for each of our users in it",
                )
                continue
            for address in addresses:
                whole = address if "@" in address else f"{address}@{postfix.get('myorigin')}"
                if recipients and ours.domains & {whole.rpartition("@")[2].lower(), "*"}:
                    yield from _without_mailbox(copy.place, address, whole, recipients)


def _without_mailbox(
    place: str, address: str, whole: str, recipients: Recipients
) -> Iterator[Finding]:
    """The users without a mailbox that an address leads to.

    Args:
        address: as Postfix's configuration has it.
        whole: with its domain.
    """
    try:
        users = recipients.users(whole)
        missing = [user for user in users if not recipients.has_mailbox(user)]
    except AutocreateError:
        return  # as above
    for user in missing:
        yield critical(
            f"{place} has {address}, and {user} has no mailbox",
            "no milter sees this recipient: every copy bounces until the mailbox exists",
            f"autocreate provision {whole}",
        )


def _addresses(copy: Copies, folder: Path, run: Runner) -> Sequence[str]:
    """The recipients of copies, once each.

    Raises:
        OSError, subprocess.SubprocessError: postmap(1) cannot list a map of this type.
    """
    if not copy.map:
        return [copy.address]
    return postfix_unseen.recipients(run("postmap", "-c", str(folder), "-s", copy.map))

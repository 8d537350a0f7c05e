"""How annotations (METADATA, RFC 5464) are observed and set on Cyrus.

The administrator sees and sets shared ones. Private ones belong to who asks, so the user's are asked for and
set in the user's own session. Both are asked only of folders for which a policy has any.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from autocreate.errors import Reason, Refused
from autocreate.mailstore.connection import Question, mailbox_name, quoted_text, text_of
from autocreate.mailstore.imap import Session
from autocreate.tree.values import Path, Tree

Entries = dict[Path, tuple[str, ...]]
"""The entries to ask for, by folder."""

Annotations = dict[Path, tuple[tuple[str, str], ...]]
"""(entry, value) pairs, by folder."""


def entries_of(wanted: Tree, observed: Tree, prefix: str) -> Entries:
    """The entries that a policy has for folders that exist.

    Args:
        prefix: `/shared/` or `/private/`.
    """
    existing = {folder.path for folder in observed.folders}
    wanted_entries = (
        (folder.path, tuple(entry for entry, _ in folder.annotations if entry.startswith(prefix)))
        for folder in wanted.folders
        if folder.path in existing
    )
    return {path: entries for path, entries in wanted_entries if entries}


def annotations_of(
    session: Session, mailbox: str, entries: Iterable[str]
) -> tuple[tuple[str, str], ...]:
    """The values of entries of a mailbox, as pairs; entries without a value are left out."""
    wanted = f"({' '.join(entries)})".encode("ascii")
    try:
        answer = session.command("GETMETADATA", mailbox_name(mailbox), wanted, response="METADATA")
    except Refused as refusal:
        if refusal.reason in (Reason.MISSING, Reason.IMPOSSIBLE):
            return ()
        raise
    return tuple(_pairs(answer))


def annotation(mailbox: str, entry: str, value: str) -> Question:
    """SETMETADATA: give an entry of a mailbox a value, in any script."""
    pair = f"({entry} ".encode("ascii") + quoted_text(value) + b")"
    return Question("SETMETADATA", (mailbox_name(mailbox), pair))


def with_annotations(observed: Tree, found: Annotations) -> Tree:
    """What was observed, with the annotations that were found."""
    folders = (
        replace(folder, annotations=(*folder.annotations, *found.get(folder.path, ())))
        for folder in observed.folders
    )
    return replace(observed, folders=tuple(folders))


def _pairs(answer: Iterable[object]) -> Iterator[tuple[str, str]]:
    # One response for the mailbox, or one for each entry: a name, then a list of entries and values.
    for part in answer:
        if isinstance(part, tuple):
            for entry, value in zip(part[::2], part[1::2], strict=False):
                if value is not None:
                    yield text_of(entry).lower(), text_of(value)

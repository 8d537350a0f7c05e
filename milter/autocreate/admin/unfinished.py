"""The journal's unfinished trees, one by one: tried again now, or forgotten."""

from collections.abc import Iterator, Sequence

from autocreate.admin.components import Components
from autocreate.errors import AutocreateError, ConfigurationError
from autocreate.model import Verdict
from autocreate.service.journal import Entry, Journal


class NoSuchEntry(AutocreateError):
    """A user is named whose tree is not unfinished."""

    exit_status = 65  # EX_DATAERR


def entries_of(journal: Journal, users: Sequence[str] = ()) -> list[Entry]:
    """The entries of these users, or all.

    Raises:
        NoSuchEntry: one has none.
        Temporary: the journal cannot be read.
    """
    if not users:
        return list(journal.all_unfinished())
    found = {user: journal.entry(user) for user in users}
    if missing := [user for user, entry in found.items() if entry is None]:
        raise NoSuchEntry(f"no unfinished tree: {', '.join(missing)}")
    return [entry for entry in found.values() if entry]


def retry(components: Components, entries: Sequence[Entry]) -> Iterator[tuple[str, Verdict]]:
    """Try to finish these trees now, one after the other. What fails is retried later, as ever.

    Raises:
        ConfigurationError: in dry run nothing is made.
    """
    if components.dry_run:
        raise ConfigurationError(
            "milter.mode", ["is dry-run, in which nothing is created: the trees are kept for later"]
        )
    for entry in entries:
        yield entry.user, components.service.complete(entry)


def drop(journal: Journal, entries: Sequence[Entry]) -> None:
    """Forget these retries. Mailboxes and mail are left as they are.

    Raises:
        Temporary: the journal cannot be written.
    """
    for entry in entries:
        journal.finish(entry.user)

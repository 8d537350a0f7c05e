"""All account sources as one. An account of any source counts; without one, all must say no."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from autocreate.accounts import AccountSource, MemorySource
from autocreate.accounts.cached import CachedSource
from autocreate.errors import ConfigurationError, NotInMemory, Temporary
from autocreate.model import Account

_NOT_LISTED = "cannot list its users: write list_query if it is of type sql, or select other sources with --source"


class Directory:
    """The account sources, asked in turn.

    Args:
        sources: asked in this order.
    """

    def __init__(self, sources: Sequence[AccountSource]) -> None:
        self._sources = {source.name: source for source in sources}
        # Found once: to look whether an object has a protocol's methods takes longer than to ask a cache.
        memory = [source for source in sources if isinstance(source, MemorySource)]
        self._memory = memory if len(memory) == len(sources) else None
        self._cached = [source for source in sources if isinstance(source, CachedSource)]

    def find(self, user: str) -> Account | None:
        """The account from the first source that has `user`, or None if no source has it.

        Raises:
            Temporary: no source has it, and at least one could not tell.
        """
        return _first(user, [(source.name, source.lookup) for source in self._sources.values()])

    def recall(self, user: str) -> Account | None:
        """As `find`, from memory.

        Raises:
            NotInMemory: a source must be asked.
        """
        if self._memory is None:
            raise NotInMemory(user)
        return _first(user, [(source.name, source.recall) for source in self._memory])

    def groups(self, account: Account) -> frozenset[str]:
        """The groups of an account, from the source that has the account.

        If that source has no groups at all (sasldb, or a database without a query for them), all other
        sources that have some are asked, and all their answers count.

        Raises:
            Temporary: a source that was asked did not answer.
        """
        own = self._sources.get(account.source)
        if own is not None and own.has_groups:
            return self._groups_by(own, account)
        groups: frozenset[str] = frozenset()
        for source in self._sources.values():
            if source.has_groups:
                groups |= self._groups_by(source, account)
        return groups

    def names(self, sources: Sequence[str] = ()) -> Iterator[str]:
        """All users of these sources; of every source if none is named.

        Raises:
            Temporary: a source did not answer, or not completely. None is left out silently, since a
                survey without it would be wrong.
            ConfigurationError: no source has that name, or one cannot list its users.
        """
        unknown = set(sources) - self._sources.keys()
        if unknown:
            raise ConfigurationError(
                "--source",
                [
                    f"there is no accounts.{name}; one of {', '.join(self._sources)}"
                    for name in unknown
                ],
            )
        for name in sources or self._sources:
            try:
                users = self._sources[name].names()
                if users is None:
                    raise ConfigurationError(f"accounts.{name}", [_NOT_LISTED])
                yield from users
            except Temporary as error:
                raise Temporary(f"accounts.{name}: {error}") from error

    def invalidate(self, user: str | None = None) -> None:
        """Ask the sources again about a user, or about everyone."""
        for source in self._cached:
            source.invalidate(user)

    def snapshot(self) -> dict[str, Any]:
        """The figures of each source with a cache: see `CachedSource.snapshot`."""
        return {source.name: source.snapshot() for source in self._cached}

    def close(self) -> None:
        """Close every source."""
        for source in self._sources.values():
            source.close()

    @staticmethod
    def _groups_by(source: AccountSource, account: Account) -> frozenset[str]:
        try:
            return source.groups(account)
        except Temporary as error:
            raise Temporary(f"accounts.{source.name}: {error}") from error


def _first(
    user: str, lookups: Sequence[tuple[str, Callable[[str], Account | None]]]
) -> Account | None:
    """The first account that one of these lookups finds, each with its source's name."""
    errors = []
    for name, lookup in lookups:
        try:
            if account := lookup(user):
                return account
        except Temporary as error:
            errors.append(f"accounts.{name}: {error}")
    if errors:
        raise Temporary("; ".join(errors))
    return None

"""All account sources as one: a yes of any, else a no of all, else a doubt."""

from collections.abc import Iterator, Sequence
from typing import Any

from autocreate.accounts import AccountSource
from autocreate.accounts.cached import CachedSource
from autocreate.errors import ConfigurationError, Temporary
from autocreate.model import Account


class Directory:
    """Who exists.

    Args:
        sources: asked in this order.
    """

    def __init__(self, sources: Sequence[AccountSource]) -> None:
        self._sources = {source.name: source for source in sources}
        self._remembered = [source for source in sources if isinstance(source, CachedSource)]

    def find(self, user: str) -> Account | None:
        """The account of the first source that knows `user`, or None if every source said no.

        Raises:
            Temporary: none said yes, and at least one could not tell.
        """
        doubts = []
        for source in self._sources.values():
            try:
                if account := source.lookup(user):
                    return account
            except Temporary as error:
                doubts.append(f"accounts.{source.name}: {error}")
        if doubts:
            raise Temporary("; ".join(doubts))
        return None

    def groups(self, account: Account) -> frozenset[str]:
        """The groups of an account, as the source that knows it says.

        Where that source knows no groups at all (sasldb, say, or a database without a query for
        them), those that do are asked in their order, and all their answers count.

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
        """All users of these sources, one after the other; of every source if none is named.

        Raises:
            Temporary: a source did not answer, or not to the end, or does not list its users. Without
                them a survey would be wrong, so none is left out in silence.
            ConfigurationError: no source has that name.
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
                    raise Temporary(
                        "does not list its users: give it what it needs for that (sql: list_query), "
                        "or name the others with --source"
                    )
                yield from users
            except Temporary as error:
                raise Temporary(f"accounts.{name}: {error}") from error

    def invalidate(self, user: str | None = None) -> None:
        """Ask the sources again about a user, or about everyone."""
        for source in self._remembered:
            source.invalidate(user)

    def snapshot(self) -> dict[str, Any]:
        """The figures of each source that is remembered: see `Remembered.snapshot`."""
        return {source.name: source.snapshot() for source in self._remembered}

    def close(self) -> None:
        """Let go of every source's connections and files."""
        for source in self._sources.values():
            source.close()

    @staticmethod
    def _groups_by(source: AccountSource, account: Account) -> frozenset[str]:
        try:
            return source.groups(account)
        except Temporary as error:
            raise Temporary(f"accounts.{source.name}: {error}") from error

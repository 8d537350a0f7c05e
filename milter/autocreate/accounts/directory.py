"""All account sources as one: a yes of any, else a no of all, else a doubt."""

from collections.abc import Sequence

from autocreate.accounts import AccountSource
from autocreate.errors import Temporary
from autocreate.model import Account


class Directory:
    """Who exists.

    Args:
        sources: asked in this order.
    """

    def __init__(self, sources: Sequence[AccountSource]) -> None:
        self._sources = {source.name: source for source in sources}

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

        Raises:
            Temporary: the source did not answer.
        """
        try:
            return self._sources[account.source].groups(account)
        except Temporary as error:
            raise Temporary(f"accounts.{account.source}: {error}") from error

    def close(self) -> None:
        """Let go of every source's connections and files."""
        for source in self._sources.values():
            source.close()

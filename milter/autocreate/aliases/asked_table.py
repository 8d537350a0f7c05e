"""A table on a server, which is asked about one key after the other."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

from autocreate.aliases.stages import Found
from autocreate.aliases.syntax import folded
from autocreate.resilience.breaker import Breaker


class AskedTable(ABC):
    """The part of such a table that does not depend on the kind of server.

    Args:
        name: its name in the configuration.
        server: for messages.
    """

    def __init__(self, name: str, server: str) -> None:
        self.name = name
        self._breaker = Breaker(server)

    def find(self, keys: Sequence[str]) -> Found:
        """See `AliasTable.find`."""
        for position, key in enumerate(map(folded, keys)):
            if targets := self._breaker.call(partial(self._targets, key)):
                return Found(position, "\n".join(targets))
        return Found()

    @abstractmethod
    def _targets(self, key: str) -> list[str]:
        """The targets of a key. Without any, the key is not an alias: many users' entries have none."""

"""What the private database servers have in common: a certificate, their children, and users whom tests put there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from .common import HOST, family, free_port
from .program import Program
from .tls import Certificate, make_certificate


class DatabaseServer(Program):
    """A database of users on loopback. Its log has what it was asked."""

    host: Final = HOST
    owner = "root"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()

    @cached_property
    def certificate(self) -> Certificate:
        return make_certificate(self.folder)

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, as a configuration names it."""

    @abstractmethod
    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        """Make these users, each with its groups, the only ones."""

    def load(self, users: Sequence[str]) -> None:
        """Make these users, without groups, the only ones: many of them, at the server's best speed."""
        self.put(dict.fromkeys(users, ()))

    @abstractmethod
    def _prepare(self) -> None:
        """Make tables and the like, once, when it is up."""

    def _begin(self) -> None:
        super()._begin()
        self._prepare()

    @property
    def pids(self) -> list[int]:
        # Not of its session: PostgreSQL's children lead sessions of their own.
        return family(self.pid)

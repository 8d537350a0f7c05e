"""What `autocreate watch` works with, from the configuration."""

from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from autocreate.accounts.changes import ByFile, ByList, ByTime, Names, Tracker
from autocreate.admin.components import Components
from autocreate.admin.selection import Selection
from autocreate.config.accounts import (
    Accounts,
    FileAccounts,
    LdapAccounts,
    SasldbAccounts,
    SqlAccounts,
)
from autocreate.config.sections import Config
from autocreate.config.watch import Watch
from autocreate.errors import ConfigurationError
from autocreate.service.service import Service
from autocreate.statistics.recorder import Statistics
from autocreate.watch.following import Follower
from autocreate.watch.rounds import AtMost
from autocreate.watch.watcher import Watched
from autocreate.wiring.service import components_of

_Server = TypeVar("_Server", LdapAccounts, SqlAccounts)

# How many users the watch works on at once, and its connections to each server.
_PARALLEL = 2


def watched_of(
    config: Config,
    settings: Watch,
    dry_run: bool = False,
    statistics: Statistics | None = None,
    before: Service | None = None,
) -> Watched:
    """What the watch works with. Nothing of it is shared with mail but what keeps the work on a user apart.

    Args:
        before: the service that serves mail and logins; None for a command, to which `[limits]` does not apply.

    Raises:
        ConfigurationError: an account source lacks its library.
    """
    with ExitStack() as opened:
        components = components_of(
            _modest(config), dry_run, statistics, before, serves=before is not None
        )
        opened.callback(components.service.close)
        trackers: list[Tracker] = []
        followers: dict[str, Follower] = {}
        for name, source in config.accounts.items():
            if f"accounts.{name}" in config.unwatched:
                continue
            tracker, follower = tracker_of(name, source, settings, _names(components, name))
            opened.callback(tracker.close)
            trackers.append(tracker)
            if follower:
                followers[name] = follower
        close = opened.pop_all().close
    return Watched(
        components,
        trackers,
        followers,
        settings.every,
        settings.overlap + settings.every,
        AtMost(settings.at_most.count, settings.at_most.percent),
        close,
    )


def required(config: Config) -> Watch:
    """The section [watch]. Raises ConfigurationError if there is none."""
    if config.watch is None:
        raise ConfigurationError("[watch]", ["is missing: write it to have new accounts watched"])
    return config.watch


def _modest(config: Config) -> Config:
    """The configuration with few connections, and without what only recipients need.

    Nothing is cached that a source says: a new account is what the watch is about.
    """
    accounts = {}
    for name, source in config.accounts.items():
        changes: dict[str, object] = {
            "cache_seconds": 0.0,
            "cache_negative_seconds": 0.0,
            "cache_error_seconds": 0.0,
        }
        if isinstance(source, LdapAccounts | SqlAccounts):
            changes["connections"] = _PARALLEL
        accounts[name] = source.model_copy(update=changes)
    cyrus = config.cyrus.model_copy(update={"connections": _PARALLEL})
    milter = config.milter.model_copy(update={"workers": _PARALLEL})
    return config.model_copy(
        update={
            "accounts": accounts,
            "cyrus": cyrus,
            "milter": milter,
            "aliases": {},
            "lmtp": None,
        }
    )


def _names(components: Components, name: str) -> Names:
    """Lists the users of a source."""
    selection = Selection(sources=(name,))
    return lambda: components.accounts.users(selection, lambda _user, _error: None)


def tracker_of(
    name: str, source: Accounts, settings: Watch, names: Names
) -> tuple[Tracker, Follower | None]:
    """How to look for new accounts in a source, and what reports them at once where that is possible."""
    by_time = partial(ByTime, name, overlap=settings.overlap, rarely=settings.list_every)
    if isinstance(source, SqlAccounts) and source.changed_query:
        from autocreate.accounts.sql_changes import SqlChanges  # noqa: PLC0415 -- it loads a driver

        rows = SqlChanges(_alone(source).options(f"accounts.{name}"), source.changed_query)
        return by_time(changed=rows.since, close=rows.close), None
    if isinstance(source, LdapAccounts):
        from autocreate.accounts.ldap_changes import LdapChanges  # noqa: PLC0415 -- as above

        entries = LdapChanges(
            _alone(source).options(f"accounts.{name}"),
            filter=source.filter,
            user_attribute=source.user_attribute,
            changed_attribute=source.changed_attribute,
        )
        return by_time(changed=entries.since, close=entries.close), entries
    if isinstance(source, FileAccounts | SasldbAccounts):
        return ByFile(name, source.path, names, _nothing), None
    return ByList(name, names, _nothing, settings.list_every), None


def _alone(source: _Server) -> _Server:
    """A source with one connection: one thread asks."""
    return source.model_copy(update={"connections": 1})


def _nothing() -> None:
    """There is nothing to close."""

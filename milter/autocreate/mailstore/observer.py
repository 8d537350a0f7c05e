"""What exists of a tree on Cyrus: in one answer where the server offers its replication commands, else by IMAP."""

import logging
from dataclasses import replace

from autocreate.core.naming import require_possible
from autocreate.errors import AutocreateError, Refused
from autocreate.mailstore import ScriptStore
from autocreate.mailstore.annotations import (
    Annotations,
    annotations_of,
    entries_of,
    with_annotations,
)
from autocreate.mailstore.cyrus_tree import Administrator
from autocreate.mailstore.imap import Session
from autocreate.mailstore.replication import Replication, tells_subscriptions
from autocreate.mailstore.sessions import Sessions
from autocreate.tree.annotations import PRIVATE, SHARED
from autocreate.tree.values import Folder, Quota, Script, Tree

log = logging.getLogger(__name__)


class Observer:
    """Looks at users' trees.

    Args:
        sessions: with the server.
        scripts: where users' scripts are kept, or None.
    """

    def __init__(self, sessions: Sessions, scripts: ScriptStore | None) -> None:
        self._sessions = sessions
        self._scripts = scripts

    def observe(self, user: str, wanted: Tree) -> Tree:
        """What exists of `wanted`. See `MailStore.observe`."""
        seen = self._sessions.administer(lambda session: self._at_once(session, user, wanted))
        observed = self._completed(user, wanted, seen) if seen else self._one_by_one(user, wanted)
        return self._annotated(user, wanted, observed)

    def _one_by_one(self, user: str, wanted: Tree) -> Tree:
        """What IMAP tells of a tree, with a command for each folder."""

        def mailboxes(session: Session) -> tuple[tuple[Folder, ...], Quota]:
            require_possible(user)  # else each folder would pass for one that does not exist
            administrator = Administrator(
                session, self._sessions.names(session), user, self._sessions.ids
            )
            folders = tuple(filter(None, map(administrator.observe, wanted.folders)))
            return folders, administrator.quota() if folders else Quota()

        folders, quota = self._sessions.administer(mailboxes)
        if not _has_inbox(folders):
            return Tree(folders)  # a proxied login would be this user's first: not without INBOX
        with self._sessions.of_user(user) as session:
            subscribed = session.session.subscriptions()
            return Tree(
                tuple(session.observe(folder, subscribed) for folder in folders),
                quota,
                tuple(name for name in wanted.shared if session.has_shared(name, subscribed)),
                self._active_script(user) if wanted.script else None,
            )

    def _at_once(self, session: Session, user: str, wanted: Tree) -> Tree | None:
        """What SYNCGET tells of a tree; None if it cannot tell, or not all."""
        require_possible(user)
        if not self._sessions.takes_replication(session):
            return None
        names = self._sessions.names(session)
        try:
            seen = Replication(session, names, user).observe(wanted, meta=self._has_meta(wanted))
        except Refused as refusal:
            self._sessions.replication_refused(user, refusal)
            return None
        found = {folder.path for folder in seen.folders}
        administrator = Administrator(session, names, user, self._sessions.ids)
        missing = (folder for folder in wanted.folders if folder.path not in found)
        # Cyrus passes over what it cannot open.
        return None if any(map(administrator.observe, missing)) else seen

    def _completed(self, user: str, wanted: Tree, seen: Tree) -> Tree:
        """What SYNCGET told of a tree, with what only others know."""
        if not _has_inbox(seen.folders):
            return Tree(seen.folders)  # as in `_one_by_one`
        if not tells_subscriptions(wanted, meta=self._has_meta(wanted)):
            with self._sessions.of_user(user) as session:
                names = session.session.subscriptions()
                folders = tuple(session.subscribed(folder, names) for folder in seen.folders)
                shared = tuple(name for name in wanted.shared if session.has_shared(name, names))
                seen = replace(seen, folders=folders, shared=shared)
        if wanted.script and not seen.script:
            seen = replace(seen, script=self._active_script(user))
        return seen

    def _annotated(self, user: str, wanted: Tree, observed: Tree) -> Tree:
        """What was observed, with the annotations for which the policy has values."""

        def shared_ones(session: Session) -> Annotations:
            names = self._sessions.names(session)
            return {
                path: annotations_of(session, names.of_user(user, path), entries)
                for path, entries in shared.items()
            }

        if shared := entries_of(wanted, observed, SHARED):
            observed = with_annotations(observed, self._sessions.administer(shared_ones))
        if private := entries_of(wanted, observed, PRIVATE):
            with self._sessions.of_user(user) as own:
                found = {
                    path: annotations_of(own.session, own.names.as_user(path), entries)
                    for path, entries in private.items()
                }
            observed = with_annotations(observed, found)
        return observed

    def _has_meta(self, wanted: Tree) -> bool:
        """Has a user of such a tree what SYNCGET META tells of, or is going to? It would create it."""
        return bool(wanted.script and self._scripts and self._scripts.is_of_server)

    def _active_script(self, user: str) -> Script | None:
        """The user's script, if the store can tell. Installing one looks again."""
        try:
            return self._scripts.active(user) if self._scripts else None
        except AutocreateError as error:
            log.warning("%s: cannot tell whether there is a Sieve script: %s", user, error)
            return None


def _has_inbox(folders: tuple[Folder, ...]) -> bool:
    return any(folder.path == () for folder in folders)

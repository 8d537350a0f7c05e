"""Cyrus as a mail store: exists, observe, apply, over pooled administrator sessions.

What belongs to the user (subscriptions, special use of an existing folder) is done in a session of
the user's own, opened by the administrator's proxy authentication and closed afterwards: Cyrus
cannot hand such a session back. Scripts are another service's, or the file system's: a `ScriptStore`.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from autocreate.core.naming import Mailboxes, owner_of_inbox, require_possible
from autocreate.errors import AutocreateError, Temporary
from autocreate.mailstore import Delivery, Outcome, ScriptStore
from autocreate.mailstore.annotations import (
    Annotations,
    annotations_of,
    entries_of,
    with_annotations,
)
from autocreate.mailstore.cyrus_tree import HOW, Administrator, Inbox, Scripts, User, split
from autocreate.mailstore.imap import Session
from autocreate.mailstore.server import Server
from autocreate.model import Version
from autocreate.resilience.breaker import Breaker
from autocreate.resilience.pool import Pool
from autocreate.tree.actions import DeliverWelcome
from autocreate.tree.annotations import PRIVATE, SHARED
from autocreate.tree.base import Action
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import Folder, Quota, Script, Tree

T = TypeVar("T")

log = logging.getLogger(__name__)


class Cyrus:
    """A Cyrus IMAP server, unmodified.

    Args:
        server: where it is.
        connections: how many administrator sessions may be open at once.
        scripts: where users' scripts are kept, or None for a server whose scripts are not ours.
        delivery: how a message gets into INBOX, or None: by APPEND in the user's name.
    """

    def __init__(
        self,
        server: Server,
        connections: int,
        scripts: ScriptStore | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        self._server = server
        self._scripts = scripts
        self._delivery = delivery
        self._breaker = Breaker(str(server))
        self._pool: Pool[Session] = Pool(partial(Session, server), connections, server.timeout)
        self._admin_names: Mailboxes | None = None
        self._user_names: Mailboxes | None = None

    def exists(self, user: str) -> bool:
        """Does INBOX exist? See `MailStore.exists`."""
        return self._administer(lambda session: session.exists(self._names(session).of_user(user)))

    def version(self) -> Version:
        """See `MailStore.version`."""
        return self._administer(lambda session: session.version())

    def observe(self, user: str, wanted: Tree) -> Tree:
        """What exists of `wanted`. See `MailStore.observe`."""
        return self._annotated(user, wanted, self._observe(user, wanted))

    def _observe(self, user: str, wanted: Tree) -> Tree:
        folders, quota = self._administer(
            lambda session: self._observe_mailboxes(session, user, wanted)
        )
        if not any(folder.path == () for folder in folders):
            return Tree(folders)  # a proxied login would be this user's first: not without INBOX
        with self._session_of(user) as session:
            subscribed = session.session.subscriptions()
            return Tree(
                tuple(session.observe(folder, subscribed) for folder in folders),
                quota,
                tuple(name for name in wanted.shared if session.has_shared(name, subscribed)),
                self._active_script(user) if wanted.script else None,
            )

    def apply(self, plan: Plan) -> ApplyResult:
        """Carry out a plan. See `MailStore.apply`.

        Once INBOX exists, three connections work at once: the administrator's creates folders, the
        user's own is opened and subscribes to them as soon as they exist, and another installs the
        script. A welcome message comes first, so that the script does not see it.
        """
        parts = split(plan)
        outcome = self._as_admin(plan.user, parts.essential, Outcome())
        if outcome.failed:
            others = (*parts.folders, *parts.rest, *parts.scripts, *parts.users)
            outcome.not_tried(others, outcome.failed[0].action)
            return outcome.of(plan)
        folders_exist, welcomed = threading.Event(), threading.Event()
        inbox = _inbox(plan, outcome)
        with ThreadPoolExecutor(2, thread_name_prefix="aside") as aside:
            as_user = partial(self._as_user, plan.user, parts.users, outcome, inbox)
            as_user = partial(as_user, folders_exist, welcomed)
            if not any(isinstance(action, DeliverWelcome) for action in parts.users):
                welcomed.set()
            install = partial(self._install, plan.user, parts.scripts, welcomed)
            lanes = [aside.submit(as_user)] if parts.users else []
            lanes += [aside.submit(install)] if parts.scripts else []
            try:
                outcome.add(self._as_admin(plan.user, parts.folders, outcome))
            finally:
                folders_exist.set()
            outcome.add(self._as_admin(plan.user, parts.rest, outcome))
            for lane in lanes:
                outcome.add(lane.result())
        return outcome.of(plan)

    def check(self, script: Script) -> tuple[str, ...]:
        """Does a script compile? See `ScriptStore.check`."""
        return self._scripts.check(script) if self._scripts else ()

    def users(self) -> Iterator[str]:
        """Every user who has an INBOX. See `MailStore.users`."""
        # A session of its own: a caller that stops half-way leaves it out of step.
        session = self._breaker.call(lambda: Session(self._server))
        try:
            separator = self._names(session).separator
            # A dot in a domain would look like a level, which `%` does not go beyond.
            pattern = f"user{separator}{'*' if separator == '.' else '%'}"
            yield from filter(None, map(owner_of_inbox, session.selectable(pattern)))
        finally:
            session.discard()

    def snapshot(self) -> dict[str, Any]:
        """The administrators' connections: see `MailStore.snapshot`."""
        return {**self._pool.snapshot(), "state": self._breaker.health.snapshot()}

    def close(self) -> None:
        """End every connection."""
        self._pool.close()
        if self._scripts:
            self._scripts.close()

    def _annotated(self, user: str, wanted: Tree, observed: Tree) -> Tree:
        """What was observed, with the annotations for which the policy has values."""

        def shared_ones(session: Session) -> Annotations:
            names = self._names(session)
            return {
                path: annotations_of(session, names.of_user(user, path), entries)
                for path, entries in shared.items()
            }

        if shared := entries_of(wanted, observed, SHARED):
            observed = with_annotations(observed, self._administer(shared_ones))
        if private := entries_of(wanted, observed, PRIVATE):
            with self._session_of(user) as own:
                found = {
                    path: annotations_of(own.session, own.names.as_user(path), entries)
                    for path, entries in private.items()
                }
            observed = with_annotations(observed, found)
        return observed

    def _active_script(self, user: str) -> Script | None:
        """The user's script, if the store can tell. Installing one looks again."""
        try:
            return self._scripts.active(user) if self._scripts else None
        except AutocreateError as error:
            log.warning("%s: cannot tell whether there is a Sieve script: %s", user, error)
            return None

    def _observe_mailboxes(
        self, session: Session, user: str, wanted: Tree
    ) -> tuple[tuple[Folder, ...], Quota]:
        require_possible(user)  # else each folder would pass for one that does not exist
        administrator = Administrator(session, self._names(session), user)
        folders = tuple(filter(None, map(administrator.observe, wanted.folders)))
        return folders, administrator.quota() if folders else Quota()

    def _as_admin(self, user: str, actions: Sequence[Action], earlier: Outcome) -> Outcome:
        def work(session: Session) -> Outcome:
            require_possible(user)
            outcome = Outcome(earlier)
            administrator = Administrator(session, self._names(session), user)
            outcome.attempt(actions, partial(_carry_out, administrator))
            outcome.created_inbox = administrator.is_new
            return outcome

        if not actions:
            return Outcome()
        return _all_or_broken(actions, lambda: self._administer(work))

    def _as_user(
        self,
        user: str,
        actions: Sequence[Action],
        earlier: Outcome,
        inbox: Inbox,
        folders_exist: threading.Event,
        welcomed: threading.Event,
    ) -> Outcome:
        first = [action for action in actions if isinstance(action, DeliverWelcome)]
        others = [action for action in actions if action not in first]

        def work() -> Outcome:
            outcome = Outcome(earlier)
            with self._session_of(user, inbox) as session:
                outcome.attempt(first, partial(_carry_out, session))
                welcomed.set()
                folders_exist.wait()
                outcome.attempt(session.expanded(others), partial(_carry_out, session))
            return outcome

        try:
            return _all_or_broken(actions, work)
        finally:
            welcomed.set()

    def _install(self, user: str, actions: Sequence[Action], welcomed: threading.Event) -> Outcome:
        def work() -> Outcome:
            welcomed.wait()
            outcome = Outcome()
            outcome.attempt(actions, partial(_carry_out, Scripts(self._scripts, user)))
            return outcome

        return _all_or_broken(actions, work)

    def _administer(self, work: Callable[[Session], T]) -> T:
        return self._breaker.call(lambda: self._pool.run(work))

    @contextlib.contextmanager
    def _session_of(self, user: str, inbox: Inbox = Inbox.OLDER) -> Iterator[User]:
        require_possible(user)  # SASL would log somebody else in for some user ids
        session = self._breaker.call(lambda: Session(self._server, user))
        try:
            yield User(session, self._names_as_user(session), user, self._delivery, inbox)
        except Temporary:
            session.discard()
            raise
        finally:
            session.close()

    def _names(self, session: Session) -> Mailboxes:
        # Asked once: changing a server's separator means restarting it and us.
        if self._admin_names is None:
            self._admin_names = session.mailboxes()
        return self._admin_names

    def _names_as_user(self, session: Session) -> Mailboxes:
        # The prefixes of a user's view are the same for every user.
        if self._user_names is None:
            self._user_names = session.mailboxes()
        return self._user_names


def _carry_out(by: Administrator | User | Scripts, action: Action) -> None:
    HOW[type(action)](by, action)


def _inbox(plan: Plan, outcome: Outcome) -> Inbox:
    """Where INBOX comes from, once the essential part of a plan is done."""
    if not plan.creates_inbox:
        return Inbox.OLDER
    return Inbox.CREATED if outcome.created_inbox else Inbox.CREATED_BY_ANOTHER


def _all_or_broken(actions: Sequence[Action], work: Callable[[], Outcome]) -> Outcome:
    """Do the work; if it breaks off, all of its actions failed for the one reason."""
    try:
        return work()
    except AutocreateError as error:
        return Outcome.broken_off(actions, error)

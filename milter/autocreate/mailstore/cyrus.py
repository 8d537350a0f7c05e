"""Cyrus as a mail store: exists, observe, apply, over pooled administrator sessions.

What belongs to the user (subscriptions, special use of an existing folder) is done in a session of the user's own,
opened by the administrator's proxy authentication and closed afterwards: Cyrus cannot hand such a session back.
Where the server offers its replication commands, the administrator looks at a tree and subscribes instead. Scripts
are another service's, or the file system's: a `ScriptStore`.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from autocreate.core.naming import owner_of_inbox, require_possible
from autocreate.errors import AutocreateError, Refused, Temporary
from autocreate.mailstore import Delivery, Outcome, ScriptStore
from autocreate.mailstore.connection import Answer
from autocreate.mailstore.cyrus_tree import HOW, Administrator, Inbox, Scripts, User, split
from autocreate.mailstore.imap import FREE_SPACE, Session
from autocreate.mailstore.mailbox_ids import MailboxIds, SiteIds
from autocreate.mailstore.observer import Observer
from autocreate.mailstore.replication import Replication, is_subscription
from autocreate.mailstore.server import Server
from autocreate.mailstore.sessions import Sessions
from autocreate.model import Version
from autocreate.tree.actions import DeliverWelcome
from autocreate.tree.base import Action
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import Script, Tree

T = TypeVar("T")


class Cyrus:
    """A Cyrus IMAP server, unmodified.

    Args:
        server: where it is.
        connections: how many administrator sessions may be open at once.
        scripts: where users' scripts are kept, or None for a server whose scripts are not ours.
        delivery: how a message gets into INBOX, or None: by APPEND in the user's name.
        replication: use Cyrus's replication commands where the server offers them.
        ids: of the mailboxes that are created here.
    """

    def __init__(
        self,
        server: Server,
        connections: int,
        scripts: ScriptStore | None = None,
        delivery: Delivery | None = None,
        *,
        replication: bool = True,
        ids: MailboxIds | None = None,
    ) -> None:
        self._scripts = scripts
        self._delivery = delivery
        self._sessions = Sessions(
            server, connections, replication, ids or SiteIds().at(server.host)
        )
        self._observer = Observer(self._sessions, scripts)

    def exists(self, user: str) -> bool:
        """Does INBOX exist? See `MailStore.exists`."""
        names = self._sessions.names
        self._sessions.ids.require_own(user)
        return self._sessions.administer(
            lambda session: session.exists(names(session).of_user(user))
        )

    def confirm_missing(self, user: str) -> None:
        """Not in a Murder. See `MailStore.confirm_missing`."""

        def confirm(session: Session) -> None:
            if session.is_in_murder:
                raise Temporary(
                    f"{self._sessions} has no INBOX of {user}, and is a member of a Murder, whose other "
                    "servers may have it: only the MUPDATE master knows, see [cyrus.murder]"
                )

        self._sessions.administer(confirm)

    def where(self, user: str) -> str:
        """There is one server. See `MailStore.where`."""
        return ""

    def placed(self, plan: Plan) -> Plan:
        """There is one server. See `MailStore.placed`."""
        return plan

    def version(self) -> Version:
        """See `MailStore.version`."""
        return self._sessions.administer(lambda session: session.version())

    def observe(self, user: str, wanted: Tree) -> Tree:
        """What exists of `wanted`. See `MailStore.observe`."""
        return self._observer.observe(user, wanted)

    def apply(self, plan: Plan, inbox: Inbox = Inbox.OLDER) -> ApplyResult:
        """Carry out a plan. See `MailStore.apply`.

        Once INBOX exists, the administrator creates the folders, those first that the user's subscriptions need.
        Meanwhile another connection installs the script, after a welcome message, so that the script does not see
        that. While the other folders are created, the administrator subscribes the user over another connection, as
        far as that is certain to be right, and then the user's own session does what is left. If it is known
        beforehand that it is needed, it is opened while the folders are created, and subscribes, too. It and
        replication commands never work at the same time: a subscription was lost that way.

        Args:
            inbox: where INBOX comes from if this plan does not create it.
        """
        parts = split(plan)
        outcome, new_inbox = self._essential(plan.user, parts.essential)
        if outcome.failed:
            others = (*parts.folders, *parts.rest, *parts.scripts, *parts.users)
            outcome.not_tried(others, outcome.failed[0].action)
            return outcome.of(plan)
        if plan.creates_inbox:
            inbox = Inbox.CREATED if new_inbox is not None else Inbox.CREATED_BY_ANOTHER
        site = _Site(plan.user, outcome, new_inbox or "", inbox)
        if not any(isinstance(action, DeliverWelcome) for action in parts.users):
            site.welcomed.set()
        by_administrator = parts.users if self._can_try(parts.users) else ()
        with ThreadPoolExecutor(3, thread_name_prefix="aside") as aside:
            lanes = []
            try:
                if parts.users and not by_administrator:
                    lanes.append(aside.submit(self._as_user, site, parts.users))
                if parts.scripts:  # after the user's: it waits for the welcome message
                    lanes.append(aside.submit(self._install, site, parts.scripts))
                made, looked = self._create(site, parts.folders, by_administrator)
                outcome.add(made)
            finally:
                site.folders_exist.set()
            if parts.rest:
                lanes.append(aside.submit(self._create_rest, site, parts.rest))
            if by_administrator:
                outcome.add(self._as_both(site, by_administrator, looked))
            for lane in lanes:
                outcome.add(lane.result())
        return outcome.of(plan)

    def check(self, script: Script) -> tuple[str, ...]:
        """Does a script compile? See `ScriptStore.check`."""
        return self._scripts.check(script) if self._scripts else ()

    def free_space(self) -> int:
        """KiB that are free on the server's partitions, as a Murder's frontend asks for it.

        Raises:
            Temporary: the server did not say.
        """

        def ask(session: Session) -> int:
            told = session.metadata("", FREE_SPACE) or ""
            if not told.isdecimal():
                raise Temporary(f"{self._sessions} does not tell its free space: {told!r}")
            return int(told)

        return self._sessions.administer(ask)

    def users(self) -> Iterator[str]:
        """Every user who has an INBOX. See `MailStore.users`."""
        # A session of its own: a caller that stops half-way leaves it out of step.
        session = self._sessions.aside()
        try:
            separator = self._sessions.names(session).separator
            # A dot in a domain would look like a level, which `%` does not go beyond.
            pattern = f"user{separator}{'*' if separator == '.' else '%'}"
            yield from filter(None, map(owner_of_inbox, session.selectable(pattern)))
        finally:
            session.discard()

    def snapshot(self) -> dict[str, Any]:
        """The administrators' connections: see `MailStore.snapshot`."""
        return self._sessions.snapshot()

    def close(self) -> None:
        """End every connection."""
        self._sessions.close()
        if self._scripts:
            self._scripts.close()

    def _essential(self, user: str, actions: Sequence[Action]) -> tuple[Outcome, str | None]:
        """Also returns the id of an INBOX that was created; "" if it has none, None if none was created."""

        def work(administrator: Administrator, outcome: Outcome) -> str | None:
            outcome.attempt(actions, partial(_carry_out, administrator))
            return administrator.new_inbox

        return self._as_admin(user, actions, Outcome(), work) if actions else (Outcome(), None)

    def _create(
        self, site: "_Site", actions: Sequence[Action], subscriptions: Sequence[Action]
    ) -> tuple[Outcome, Sequence[Answer] | None]:
        """Create folders, and look at the mailboxes that the administrator is to subscribe the user to."""
        if not actions and not subscriptions:
            return Outcome(), None

        def work(administrator: Administrator, outcome: Outcome) -> Sequence[Answer]:
            session, names = administrator.session, administrator.names
            look = Replication(session, names, site.user, self._sessions.users_names).look
            takes = self._sessions.takes_replication(session)
            return administrator.carry_out(actions, outcome, look(subscriptions) if takes else ())

        return self._as_admin(site.user, actions, site.outcome, work)

    def _create_rest(self, site: "_Site", actions: Sequence[Action]) -> Outcome:
        """Create the folders that nothing else waits for."""
        return self._create(site, actions, ())[0]

    def _as_admin(
        self,
        user: str,
        actions: Sequence[Action],
        earlier: Outcome,
        carry_out: Callable[[Administrator, Outcome], T],
    ) -> tuple[Outcome, T | None]:
        """What became of actions, and what else `carry_out` returns; None if it was not called, or broke off."""

        def work(session: Session) -> tuple[Outcome, T | None]:
            require_possible(user)
            outcome = Outcome(earlier)
            names = self._sessions.names(session)
            administrator = Administrator(session, names, user, self._sessions.ids)
            return outcome, carry_out(administrator, outcome)

        try:
            return self._sessions.administer(work)
        except AutocreateError as error:
            return Outcome.broken_off(actions, error), None

    def _can_try(self, users: Sequence[Action]) -> bool:
        """May the administrator do what is done in the user's name? Not if other actions need the user's session."""
        # The first user's own session tells how users name their folders.
        is_ready = self._sessions.is_offered and self._sessions.users_names is not None
        return is_ready and all(map(is_subscription, users))

    def _as_both(
        self, site: "_Site", actions: Sequence[Action], looked: Sequence[Answer] | None
    ) -> Outcome:
        """Subscribe as the administrator, as far as possible, and then in the user's own session."""

        def work() -> Outcome:
            done = self._subscribe(site.user, actions, looked)
            rest = [action for action in actions if action not in done]
            return self._as_user(site, rest) if rest else Outcome()

        return _all_or_broken(actions, work)

    def _subscribe(
        self, user: str, actions: Sequence[Action], looked: Sequence[Answer] | None
    ) -> frozenset[Action]:
        """Subscribe the user to what is certain to be right, and return what was done.

        Raises:
            Temporary: it may still be going on, and the user's session must not do it now.
        """

        def work(session: Session) -> frozenset[Action]:
            names = self._sessions.names(session)
            replication = Replication(session, names, user, self._sessions.users_names)
            return replication.subscribe(actions, looked or ())

        try:
            return self._sessions.administer(work) if looked else frozenset()
        except Refused as refusal:
            self._sessions.replication_refused(user, refusal)
            return frozenset()

    def _as_user(self, site: "_Site", actions: Sequence[Action]) -> Outcome:
        first = [action for action in actions if isinstance(action, DeliverWelcome)]
        others = [action for action in actions if action not in first]

        def work() -> Outcome:
            outcome = Outcome(site.outcome)
            with self._sessions.of_user(site.user) as session:
                user = session._replace(delivery=self._delivery, inbox=site.inbox)
                outcome.attempt(first, partial(_carry_out, user))
                site.welcomed.set()
                site.folders_exist.wait()
                outcome.attempt(user.expanded(others), partial(_carry_out, user))
            return outcome

        try:
            return _all_or_broken(actions, work)
        finally:
            site.welcomed.set()

    def _install(self, site: "_Site", actions: Sequence[Action]) -> Outcome:
        def work() -> Outcome:
            site.welcomed.wait()
            outcome = Outcome()
            scripts = Scripts(self._scripts, site.user, site.new_inbox)
            outcome.attempt(actions, partial(_carry_out, scripts))
            return outcome

        return _all_or_broken(actions, work)


@dataclass(frozen=True, slots=True)
class _Site:
    """What those share who work for one user at the same time.

    Args:
        outcome: of the administrator's work so far.
        new_inbox: see `ScriptStore.install`.
        inbox: where INBOX comes from.
        folders_exist: the administrator has created, as far as possible, what the user's work needs.
        welcomed: there is no welcome message, or its delivery was tried.
    """

    user: str
    outcome: Outcome
    new_inbox: str
    inbox: Inbox
    folders_exist: threading.Event = field(default_factory=threading.Event)
    welcomed: threading.Event = field(default_factory=threading.Event)


def _carry_out(by: Administrator | User | Scripts, action: Action) -> None:
    HOW[type(action)](by, action)


def _all_or_broken(actions: Sequence[Action], work: Callable[[], Outcome]) -> Outcome:
    """Do the work; if it breaks off, all of its actions failed for the one reason."""
    try:
        return work()
    except AutocreateError as error:
        return Outcome.broken_off(actions, error)

"""Cyrus as a mail store: exists, observe, apply, over pooled administrator sessions.

What belongs to the user (subscriptions, special-use of a standing folder) is done in a session of
the user's own, opened by the administrator's proxy authentication and closed afterwards: Cyrus
cannot hand such a session back. Scripts are another service's, or the file system's: a `ScriptStore`.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

from autocreate.core.naming import Mailboxes, owner_of_inbox, require_possible
from autocreate.errors import AutocreateError, Reason, Refused, Temporary
from autocreate.mailstore import Outcome, ScriptStore, not_tried
from autocreate.mailstore.imap import Server, Session
from autocreate.model import (
    ALL_SHARED,
    Action,
    ApplyResult,
    CreateMailbox,
    Failure,
    Folder,
    InstallScript,
    Plan,
    Quota,
    Script,
    SetAcl,
    SetQuota,
    SetSpecialUse,
    Subscribe,
    SubscribeShared,
    Tree,
    UserAction,
    Version,
)
from autocreate.resilience.breaker import Breaker
from autocreate.resilience.pool import Pool

T = TypeVar("T")

log = logging.getLogger(__name__)


class Cyrus:
    """A Cyrus IMAP server, unmodified.

    Args:
        server: where it is.
        connections: how many administrator sessions may be open at once.
        scripts: where users' scripts are kept, or None for a server whose scripts are not ours.
    """

    def __init__(
        self, server: Server, connections: int, scripts: ScriptStore | None = None
    ) -> None:
        self._server = server
        self._scripts = scripts
        self._breaker = Breaker(str(server))
        self._pool: Pool[Session] = Pool(partial(Session, server), connections, server.timeout)
        self._admin_names: Mailboxes | None = None
        self._user_names: Mailboxes | None = None

    def exists(self, user: str) -> bool:
        """Does INBOX stand? See `MailStore.exists`."""
        return self._administer(lambda session: session.exists(self._names(session).of_user(user)))

    def version(self) -> Version:
        """See `MailStore.version`."""
        return self._administer(lambda session: session.version())

    def observe(self, user: str, wanted: Tree) -> Tree:
        """What stands of `wanted`. See `MailStore.observe`."""
        folders, quota = self._administer(
            lambda session: self._observe_mailboxes(session, user, wanted)
        )
        if not any(folder.path == () for folder in folders):
            return Tree(folders)  # a proxied login would be this user's first: not without INBOX
        with self._session_of(user) as session:
            names = self._names_as_user(session)
            subscribed = session.subscriptions()
            return Tree(
                tuple(self._observe_as_user(session, folder, subscribed) for folder in folders),
                quota,
                tuple(
                    name
                    for name in wanted.shared
                    if _is_subscribed(session, names, name, subscribed)
                ),
                self._active_script(user) if wanted.script else None,
            )

    def apply(self, plan: Plan) -> ApplyResult:
        """Carry out a plan. See `MailStore.apply`.

        Once INBOX stands, three connections work at once: the administrator's makes folders, the user's
        own is opened and subscribes to them as soon as they stand, and another installs the script.
        """
        parts = _split(plan)
        outcome = self._as_admin(plan, parts.essential, Outcome())
        if outcome.failed:
            others = (*parts.folders, *parts.rest, *parts.scripts, *parts.users)
            outcome.failed += not_tried(others, outcome.failed[0].action)
            return outcome.of(plan)
        stand = threading.Event()
        with ThreadPoolExecutor(2, thread_name_prefix="aside") as aside:
            lanes = []
            if users := parts.users:
                subscribe = partial(self._apply_as_user, plan.user, users, outcome, stand)
                lanes.append(aside.submit(self._attempt, users, subscribe))
            for script in parts.scripts:
                install = partial(self._install, plan.user, script)
                lanes.append(aside.submit(self._attempt, [script], install))
            try:
                outcome.add(self._as_admin(plan, parts.folders, outcome))
            finally:
                stand.set()
            outcome.add(self._as_admin(plan, parts.rest, outcome))
            for lane in lanes:
                outcome.add(lane.result())
        return outcome.of(plan)

    def check(self, script: Script) -> tuple[str, ...]:
        """Does a script compile? See `ScriptStore.check`."""
        return self._scripts.check(script) if self._scripts else ()

    def users(self) -> Iterator[str]:
        """Every user who has an INBOX. See `MailStore.users`."""
        # A session of its own: who stops listening half-way leaves it of no use.
        session = self._breaker.call(lambda: Session(self._server))
        try:
            separator = self._names(session).separator
            # A dot in a domain would look like a level, which `%` does not go beyond.
            pattern = f"user{separator}{'*' if separator == '.' else '%'}"
            yield from filter(None, map(owner_of_inbox, session.selectable(pattern)))
        finally:
            session.discard()

    def snapshot(self) -> dict[str, int]:
        """The administrators' connections: see `MailStore.snapshot`."""
        return self._pool.snapshot()

    def close(self) -> None:
        """End every connection."""
        self._pool.close()
        if self._scripts:
            self._scripts.close()

    def _active_script(self, user: str) -> Script | None:
        """The user's script, if it can be told. Whoever installs one looks again."""
        try:
            return self._scripts.active(user) if self._scripts else None
        except AutocreateError as error:
            log.warning("%s: whether there is a sieve script cannot be told: %s", user, error)
            return None

    def _observe_mailboxes(
        self, session: Session, user: str, wanted: Tree
    ) -> tuple[tuple[Folder, ...], Quota]:
        names = self._names(session)
        root = names.of_user(user)
        standing = []
        for folder in wanted.folders:
            acl = None
            with _missing_if_impossible():
                acl = session.acl(names.of_user(user, folder.path))
            if acl is not None:
                standing.append(Folder(folder.path, acl=acl))
        quota = session.quota(root) if standing else Quota()
        if quota != Quota() and not session.is_quota_root(root):
            quota = Quota()
        return tuple(standing), quota

    def _observe_as_user(
        self, session: Session, folder: Folder, subscribed: frozenset[str]
    ) -> Folder:
        with _missing_if_impossible():
            name = self._names_as_user(session).as_user(folder.path)
            return Folder(
                folder.path,
                special_use=session.special_use(name) if folder.path else None,
                subscribe=name in subscribed,
                acl=folder.acl,
            )
        return folder  # it exists, and its owner cannot name it

    def _as_admin(self, plan: Plan, actions: Sequence[Action], earlier: Outcome) -> Outcome:
        if not actions:
            return Outcome()

        def work(session: Session) -> Outcome:
            return self._apply_as_admin(session, plan, actions, earlier)

        return self._attempt(actions, lambda: self._administer(work))

    def _apply_as_admin(
        self, session: Session, plan: Plan, actions: Sequence[Action], earlier: Outcome
    ) -> Outcome:
        names = self._names(session)
        require_possible(plan.user)
        outcome = Outcome(earlier)
        is_new = False
        for position, action in enumerate(actions, start=1):
            if outcome.is_lost(action):
                continue
            try:
                is_new |= self._administrate(session, names, plan.user, action, is_new)
            except Refused as refusal:
                outcome.refused(action, refusal)
                if outcome.failed and action in plan.essential:
                    outcome.failed += not_tried(actions[position:], action)
                    break
        return outcome

    def _administrate(
        self, session: Session, names: Mailboxes, user: str, action: Action, is_new: bool
    ) -> bool:
        """Do it, and tell whether it made INBOX.

        Args:
            is_new: INBOX was made just now.
        """
        match action:
            case CreateMailbox(path, special_use, partition):
                made = session.create(names.of_user(user, path), special_use, partition)
                return made and not path
            case SetQuota(quota):
                root = names.of_user(user)
                # SETQUOTA takes away every limit that it does not name; a new INBOX has none yet.
                before = Quota() if is_new else session.quota(root)
                session.set_quota(root, quota.keeping(before))
                if not session.is_quota_root(root):
                    raise Refused(
                        f"SETQUOTA: Cyrus said OK, and {root} has no quota root (was the disk full?): "
                        f"run its quota -f {root}"
                    )
            case SetAcl(path, identifier, rights):
                session.set_acl(names.of_user(user, path), identifier, rights)
        return False

    def _apply_as_user(
        self, user: str, actions: Sequence[Action], earlier: Outcome, stand: threading.Event
    ) -> Outcome:
        outcome = Outcome(earlier)
        with self._session_of(user) as session:
            names = self._names_as_user(session)
            stand.wait()
            for action in _one_by_one(session, names, actions):
                if outcome.is_lost(action):
                    continue
                try:
                    self._act_as_user(session, names, action)
                except Refused as refusal:
                    outcome.refused(action, refusal)
        return outcome

    def _act_as_user(self, session: Session, names: Mailboxes, action: Action) -> None:
        match action:
            case Subscribe(path):
                session.subscribe(names.as_user(path))
            case SubscribeShared(name):
                session.subscribe(names.shared_as_user(name))
            case SetSpecialUse(path, special_use):
                session.set_special_use(names.as_user(path), special_use)

    def _attempt(self, actions: Sequence[Action], work: Callable[[], Outcome]) -> Outcome:
        """Do the work; if it breaks off, all of its actions failed for the one reason."""
        try:
            return work()
        except AutocreateError as error:
            broken = Outcome()
            broken.failed += [Failure(action, str(error)) for action in actions]
            return broken

    def _install(self, user: str, action: InstallScript) -> Outcome:
        outcome = Outcome()
        try:
            if self._scripts:
                self._scripts.install(user, action.script)
        except Refused as refusal:
            outcome.refused(action, refusal)
        return outcome

    def _administer(self, work: Callable[[Session], T]) -> T:
        return self._breaker.call(lambda: self._pool.run(work))

    @contextlib.contextmanager
    def _session_of(self, user: str) -> Iterator[Session]:
        require_possible(user)  # SASL would log somebody else in for some user ids
        session = self._breaker.call(lambda: Session(self._server, user))
        try:
            yield session
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


class _Parts(NamedTuple):
    """A plan's actions, by who does them and when.

    Args:
        essential: what mail needs.
        folders: the administrator's work up to the last folder that the user has to do with.
        rest: the administrator's work after that.
        users: what is done in the user's name.
    """

    essential: Sequence[Action]
    folders: Sequence[Action]
    rest: Sequence[Action]
    users: Sequence[UserAction]
    scripts: Sequence[InstallScript]


def _split(plan: Plan) -> _Parts:
    essential = plan.essential
    others = [action for action in plan.actions if action not in essential]
    users = [action for action in others if isinstance(action, UserAction)]
    scripts = [action for action in others if isinstance(action, InstallScript)]
    admins = [action for action in others if not isinstance(action, UserAction | InstallScript)]
    paths = {action.path for action in users if not isinstance(action, SubscribeShared)}
    last = max(
        (
            number
            for number, action in enumerate(admins, start=1)
            if isinstance(action, CreateMailbox) and action.path in paths
        ),
        default=0,
    )
    return _Parts(essential, admins[:last], admins[last:], users, scripts)


def _one_by_one(session: Session, names: Mailboxes, actions: Sequence[Action]) -> Iterator[Action]:
    for action in actions:
        if isinstance(action, SubscribeShared):
            yield from map(SubscribeShared, _shared(session, names, action.name))
        else:
            yield action


@contextlib.contextmanager
def _missing_if_impossible() -> Iterator[None]:
    """Go on after what can never be: it is not there, and whoever applies a plan says why."""
    try:
        yield
    except Refused as refusal:
        if refusal.reason is not Reason.IMPOSSIBLE:
            raise


def _is_subscribed(
    session: Session, names: Mailboxes, name: str, subscribed: frozenset[str]
) -> bool:
    with _missing_if_impossible():
        return subscribed.issuperset(map(names.shared_as_user, _shared(session, names, name)))
    return False


def _shared(session: Session, names: Mailboxes, name: str) -> list[str]:
    """The shared folders that a name of a tree stands for."""
    if name != ALL_SHARED:
        return [name]
    seen = map(names.as_shared, session.mailboxes_below(names.shared))
    return [shared for shared in seen if shared is not None]

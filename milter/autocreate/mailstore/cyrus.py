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

from autocreate.breaker import Breaker
from autocreate.core.naming import Mailboxes, owner_of_inbox, require_possible
from autocreate.errors import AutocreateError, Refused, Temporary
from autocreate.mailstore import ScriptStore, is_hopeless, not_tried
from autocreate.mailstore.imap import Server, Session
from autocreate.model import (
    ALL_SHARED,
    Action,
    CreateMailbox,
    Failure,
    Folder,
    InstallScript,
    Plan,
    Quota,
    Report,
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
from autocreate.pool import Pool

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
                    if subscribed.issuperset(
                        map(names.shared_as_user, _shared(session, names, name))
                    )
                ),
                self._active_script(user) if wanted.script else None,
            )

    def apply(self, plan: Plan) -> Report:
        """Carry out a plan. See `MailStore.apply`.

        Once INBOX stands, three connections work at once: the administrator's makes folders, the user's
        own is opened and subscribes to them as soon as they stand, and another installs the script.
        """
        parts = _parted(plan)
        failed = self._as_admin(plan, parts.essential)
        if failed:
            others = (*parts.folders, *parts.rest, *parts.scripts, *parts.users)
            failed += not_tried(others, failed[0].action)
            return Report(plan, tuple(failed))
        skipped: list[Failure] = []
        stand = threading.Event()
        with ThreadPoolExecutor(2, thread_name_prefix="aside") as aside:
            lanes = []
            if users := parts.users:
                subscribe = partial(self._apply_as_user, plan.user, users, skipped, stand)
                lanes.append(aside.submit(self._attempt, users, subscribe))
            for script in parts.scripts:
                install = partial(self._install, plan.user, script, skipped)
                lanes.append(aside.submit(self._attempt, [script], install))
            try:
                failed += self._as_admin(plan, parts.folders)
            finally:
                stand.set()
            failed += self._as_admin(plan, parts.rest)
            for lane in lanes:
                failed += lane.result()
        return Report(plan, tuple(failed), tuple(skipped))

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
        standing = []
        for folder in wanted.folders:
            acl = session.acl(names.of_user(user, folder.path))
            if acl is not None:
                standing.append(Folder(folder.path, acl=acl))
        quota = session.quota(names.of_user(user)) if standing else Quota()
        return tuple(standing), quota

    def _observe_as_user(
        self, session: Session, folder: Folder, subscribed: frozenset[str]
    ) -> Folder:
        name = self._names_as_user(session).as_user(folder.path)
        return Folder(
            folder.path,
            special_use=session.special_use(name) if folder.path else None,
            subscribe=name in subscribed,
            acl=folder.acl,
        )

    def _as_admin(self, plan: Plan, actions: Sequence[Action]) -> list[Failure]:
        if not actions:
            return []
        return self._attempt(
            actions,
            lambda: self._administer(lambda session: self._apply_as_admin(session, plan, actions)),
        )

    def _apply_as_admin(
        self, session: Session, plan: Plan, actions: Sequence[Action]
    ) -> list[Failure]:
        names = self._names(session)
        failed: list[Failure] = []
        is_new = False
        for position, action in enumerate(actions, start=1):
            try:
                is_new |= self._administrate(session, names, plan.user, action, is_new)
            except Refused as refusal:
                failed.append(Failure(action, str(refusal)))
                if action in plan.essential:
                    return failed + not_tried(actions[position:], action)
        return failed

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
            case SetAcl(path, identifier, rights):
                session.set_acl(names.of_user(user, path), identifier, rights)
        return False

    def _apply_as_user(
        self,
        user: str,
        actions: Sequence[Action],
        skipped: list[Failure],
        stand: threading.Event,
    ) -> list[Failure]:
        failed: list[Failure] = []
        with self._session_of(user) as session:
            names = self._names_as_user(session)
            stand.wait()
            for action in _one_by_one(session, names, actions):
                try:
                    self._act_as_user(session, names, action)
                except Refused as refusal:
                    hopeless = is_hopeless(action, str(refusal))
                    (skipped if hopeless else failed).append(Failure(action, str(refusal)))
        return failed

    def _act_as_user(self, session: Session, names: Mailboxes, action: Action) -> None:
        match action:
            case Subscribe(path):
                session.subscribe(names.as_user(path))
            case SubscribeShared(name):
                session.subscribe(names.shared_as_user(name))
            case SetSpecialUse(path, special_use):
                session.set_special_use(names.as_user(path), special_use)

    def _attempt(
        self, actions: Sequence[Action], work: Callable[[], list[Failure]]
    ) -> list[Failure]:
        """Do the work; if it breaks off, all of its actions failed for the one reason."""
        try:
            return work()
        except AutocreateError as error:
            return [Failure(action, str(error)) for action in actions]

    def _install(self, user: str, action: InstallScript, skipped: list[Failure]) -> list[Failure]:
        """Install a script. Whatever is refused about it is hopeless: see `is_hopeless`."""
        try:
            if self._scripts:
                self._scripts.install(user, action.script)
        except Refused as refusal:
            skipped.append(Failure(action, str(refusal)))
        return []

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


def _parted(plan: Plan) -> _Parts:
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


def _shared(session: Session, names: Mailboxes, name: str) -> list[str]:
    """The shared folders that a name of a tree stands for."""
    if name != ALL_SHARED:
        return [name]
    seen = map(names.as_shared, session.mailboxes_below(names.shared))
    return [shared for shared in seen if shared is not None]

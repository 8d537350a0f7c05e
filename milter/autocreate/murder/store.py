"""A Murder as a mail store: each question goes to the server that owns the answer.

Whether a mailbox exists, the frontend says if it is yes, and the master if it is no. INBOX is created through the
frontend, so that it knows the mailbox before its lmtpd gets the mail. All else belongs to the backend that has INBOX:
a frontend says OK to what it then loses, such as a subscription while that backend is down.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from cachetools import TTLCache

from autocreate.errors import AutocreateError, Reason, Refused, Temporary
from autocreate.mailstore import Outcome
from autocreate.mailstore.cyrus import Cyrus
from autocreate.mailstore.cyrus_tree import Inbox
from autocreate.mailstore.mailbox_ids import SiteIds
from autocreate.model import Version
from autocreate.murder.frontend import Frontend
from autocreate.murder.master import Master
from autocreate.murder.names import Entry, State
from autocreate.murder.placement import Placement, Rule
from autocreate.murder.stream import Stream
from autocreate.tree.actions import CreateMailbox, SubscribeShared
from autocreate.tree.base import Action
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import ALL_SHARED, Script, Tree

log = logging.getLogger(__name__)

# A frontend is behind for five seconds as a rule, and for as long as it does not reach the master.
_SECONDS_GONE = 600.0
_MOST_GONE = 100_000


class Murder:
    """See `autocreate.mailstore.MailStore`, which this is.

    Args:
        frontend: the one to which this MTA delivers.
        backends: all of them, by the name that the master knows them by.
        rule: at which of them a new INBOX is created, unless the plan says.
        ids: of the mailboxes that are created.
    """

    def __init__(
        self,
        master: Master,
        frontend: Frontend,
        backends: Mapping[str, Cyrus],
        rule: Rule,
        ids: SiteIds,
    ) -> None:
        self._master = master
        self._frontend = frontend
        self._backends = dict(backends)
        self._ids = ids
        self._stream: Stream | None = None
        self._gone: TTLCache[str, None] = TTLCache(_MOST_GONE, _SECONDS_GONE)
        self._lock = threading.Lock()
        self._placement = Placement(
            rule, self._backends, lambda: (entry.server for entry in master.inboxes())
        )

    def follow(self, gone: Callable[[str], None], unknown: Callable[[], None]) -> None:
        """Tell of every INBOX that is deleted or moved from now on: see `Stream`."""

        def forget(user: str) -> None:
            with self._lock:
                self._gone[user] = None
            gone(user)

        self._stream = Stream(self._master.connect, forget, unknown)

    def exists(self, user: str) -> bool:
        """Does INBOX exist? See `MailStore.exists`.

        It does not while its name is only reserved; Temporary while its user is being moved.
        """
        self._ids.require_own(user)
        if not self._is_gone(user) and _is_active(self._frontend.lists(user)):
            return True
        entry = self._master.find(user)
        if entry is None:
            return False
        if _is_active(entry):
            self._require_known(user, entry.server)
            return True
        if self._is_gone(user):
            self._require_nowhere(user, entry)
        return False

    def confirm_missing(self, user: str) -> None:
        """The master's no is final. See `MailStore.confirm_missing`."""
        entry = self._master.find(user)
        if entry is not None:
            raise Temporary(
                f"the MUPDATE master has the INBOX of {user} ({_described(entry)}), and "
                f"{self._frontend} does not"
            )

    def where(self, user: str) -> str:
        """As the master says. See `MailStore.where`."""
        entry = self._master.find(user)
        return f"{_described(entry)}, by the MUPDATE master" if entry else ""

    def placed(self, plan: Plan) -> Plan:
        """See `MailStore.placed`."""
        return replace(
            plan,
            actions=tuple(
                self._placed(plan.user, it) if _is_inbox(it) else it for it in plan.actions
            ),
        )

    def observe(self, user: str, wanted: Tree) -> Tree:
        """What exists of `wanted`. See `MailStore.observe`."""
        backend = self._home(user)
        if backend is None:
            return Tree()
        if not wanted.shared:
            return backend.observe(user, wanted)
        seen = self._frontend.shared(user, wanted.shared)
        shared = tuple(dict.fromkeys(chain.from_iterable(seen.values())))
        observed = backend.observe(user, replace(wanted, shared=shared))
        subscribed = tuple(
            name
            for name in wanted.shared
            if set(seen[name]) <= set(observed.shared) and (seen[name] or name == ALL_SHARED)
        )
        return replace(observed, shared=subscribed)

    def apply(self, plan: Plan) -> ApplyResult:
        """Carry out a plan. See `MailStore.apply`."""
        inbox = [action for action in plan.actions if _is_inbox(action)]
        rest = [action for action in plan.actions if not _is_inbox(action)]
        outcome, made = Outcome(), Inbox.OLDER

        def create(action: Action) -> None:
            nonlocal made
            made = self._create_inbox(plan, action)

        try:
            outcome.attempt(inbox, create)
            if outcome.failed:
                outcome.not_tried(rest, outcome.failed[0].action)
            elif rest:
                outcome.add(self._apply_at_home(replace(plan, actions=tuple(rest)), made))
        except AutocreateError as error:
            outcome = Outcome.broken_off(plan.actions, error)
        return outcome.of(plan)

    def version(self) -> Version:
        """The frontend's. See `MailStore.version`."""
        return self._frontend.version()

    def check(self, script: Script) -> tuple[str, ...]:
        """By the first backend that answers. See `ScriptStore.check`."""
        for backend in self._backends.values():
            try:
                return backend.check(script)
            except Temporary as error:
                last = error
        raise last

    def users(self) -> Iterator[str]:
        """By one UPDATE. See `MailStore.users`."""
        return (entry.user for entry in self._master.inboxes())

    def snapshot(self) -> dict[str, Any]:
        """Of the frontend; and below `murder` of the other servers. See `MailStore.snapshot`.

        `stream` is None for who does not follow it.
        """
        return {
            **self._frontend.snapshot(),
            "murder": {
                "mupdate": self._master.snapshot(),
                "stream": {"state": self._stream.health.snapshot()} if self._stream else None,
                "backends": {name: it.snapshot() for name, it in self._backends.items()},
            },
        }

    def close(self) -> None:
        """End every connection."""
        if self._stream:
            self._stream.close()
        self._master.close()
        self._frontend.close()
        for backend in self._backends.values():
            backend.close()

    def _is_gone(self, user: str) -> bool:
        """Was INBOX deleted or moved not long ago? The frontend's list may have it still."""
        with self._lock:
            return user in self._gone

    # -- where -------------------------------------------------------------------------------

    def _placed(self, user: str, action: Action) -> Action:
        assert isinstance(action, CreateMailbox)
        entry = self._master.find(user)
        if entry is not None:
            return replace(action, server=entry.server, why=_described(entry))
        if action.server:
            self._backend(action.server)
            return replace(action, why="its account or its policy names it")
        server, why = self._placement.choose(action.partition)
        return replace(action, server=server, why=why)

    def _backend(self, server: str) -> Cyrus:
        if server not in self._backends:
            raise Temporary(
                f"{server!r} is none of [cyrus.murder] backends ({', '.join(self._backends)}): add it"
            )
        return self._backends[server]

    def _home(self, user: str) -> Cyrus | None:
        """The backend that has INBOX. While the master is away, the frontend's list counts."""
        try:
            entry = self._master.find(user)
        except Temporary:
            entry = self._frontend.lists(user)
            if not _is_active(entry):
                raise
        return self._backend(entry.server) if entry and _is_active(entry) else None

    # -- creation ----------------------------------------------------------------------------

    def _create_inbox(self, plan: Plan, action: Action) -> Inbox:
        assert isinstance(action, CreateMailbox)
        user, is_created = plan.user, False
        entry = self._master.find(user)
        if entry is None:
            entry, is_created = self._create_at_frontend(user, action)
        elif entry.state is State.RESERVED:
            self._finish_reserved(plan, action, entry)
        self._require_known(user, entry.server)
        return Inbox.CREATED if is_created else Inbox.CREATED_BY_ANOTHER

    def _create_at_frontend(self, user: str, action: CreateMailbox) -> tuple[Entry, bool]:
        """Returns what the master has then, and whether INBOX was created by this command."""
        try:
            created = self._frontend.create(
                user, action.special_use, action.server, action.partition
            )
        except Refused as refusal:
            # "unable to reserve mailbox on mupdate server": somebody else was faster, if the master has it.
            entry = self._master.find(user)
            if entry is None:
                raise
            if entry.state is State.RESERVED:
                raise Temporary(f"{refusal} ({_described(entry)})") from refusal
            return entry, False
        entry = self._master.find(user)
        if entry is None:
            raise Temporary(f"{self._frontend} said OK to CREATE, and the master has no INBOX")
        if created is not None:
            self._ids.at(entry.server).given(created, f"the INBOX of {user}", user)
        return entry, created is not None

    def _finish_reserved(self, plan: Plan, action: CreateMailbox, entry: Entry) -> None:
        """Create INBOX where its name is reserved, if no backend has it: a creation was broken off there."""
        home = self._backend(entry.server)
        self._require_nowhere(plan.user, entry)
        log.warning("%s: INBOX was %s and nobody has it: creating it", plan.user, _described(entry))
        create = replace(action, server=None, why="")
        result = home.apply(replace(plan, actions=(create,)))
        if result.failed:
            raise Temporary(result.failed[0].error)

    def _require_nowhere(self, user: str, entry: Entry) -> None:
        """Raise Temporary if a backend has INBOX: while its user is moved, the name is only reserved, too."""
        for server, backend in self._backends.items():
            if backend.exists(user):
                raise Temporary(
                    f"the master has {entry.name} {_described(entry)}, and {server} has it: it is being "
                    f"created or moved; if this lasts, run ctl_mboxlist -m on {server}"
                )

    def _require_known(self, user: str, server: str) -> None:
        if not self._frontend.knows(user):
            raise Temporary(
                f"{self._frontend} is behind the MUPDATE master: it does not know the INBOX of {user} "
                f"at {server}; see whether its mupdate runs and reaches the master"
            )

    def _apply_at_home(self, plan: Plan, inbox: Inbox) -> Outcome:
        backend = self._home(plan.user)
        if backend is None:
            raise Temporary(f"the MUPDATE master has no INBOX of {plan.user}")
        outcome = Outcome()
        actions = tuple(self._with_shared(plan, outcome))
        result = backend.apply(replace(plan, actions=actions), inbox)
        outcome.failed += result.failed
        outcome.skipped += result.skipped
        return outcome

    def _with_shared(self, plan: Plan, outcome: Outcome) -> Iterator[Action]:
        """The actions of a plan, without subscriptions to what no backend has: a backend says OK to these."""
        shared = [it for it in plan.actions if isinstance(it, SubscribeShared)]
        seen = self._frontend.shared(plan.user, [it.name for it in shared]) if shared else {}

        def look(action: Action) -> None:
            assert isinstance(action, SubscribeShared)
            if not seen[action.name] and action.name != ALL_SHARED:
                raise Refused(
                    f"SUBSCRIBE: {self._frontend} shows no such folder to {plan.user}",
                    Reason.MISSING,
                )

        outcome.attempt(shared, look)
        for action in plan.actions:
            if isinstance(action, SubscribeShared):
                yield from map(SubscribeShared, seen[action.name])
            else:
                yield action


def _is_inbox(action: Action) -> bool:
    return isinstance(action, CreateMailbox) and not action.path


def _is_active(entry: Entry | None) -> bool:
    return entry is not None and entry.state is State.ACTIVE


def _described(entry: Entry) -> str:
    state = "reserved at" if entry.state is State.RESERVED else "active at"
    return f"{state} {entry.server}"

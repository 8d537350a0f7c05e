"""What is asked by Cyrus's replication commands: only what is certain, and never anything beside it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.core.naming import Mailboxes
from autocreate.errors import Reason, Refused
from autocreate.mailstore.connection import Answer, Connection, Question
from autocreate.mailstore.imap import Session
from autocreate.mailstore.replication import (
    NotTaken,
    Replication,
    is_offered,
    is_seen_by,
    is_subscription,
    tells_subscriptions,
)
from autocreate.tree.actions import CreateMailbox, Subscribe, SubscribeShared
from autocreate.tree.base import Action
from autocreate.tree.values import ALL_SHARED, Folder, Quota, Script, Tree

NAMES = Mailboxes("/", "INBOX/", others="user/")
SENT = Subscribe(("Sent",))
NEWS = SubscribeShared("News")


class FakeSession:
    """Tells what it was given to say in its last answer, and says OK to all else.

    Of limits, and of rights on mailboxes by their name, it tells in the answers about them.
    """

    words = Session.words
    limits = Session.limits
    rights = Session.rights

    def __init__(self, *told: dict[str, list[Any]], offers: str = "") -> None:
        self.told = list(told)
        self.asked: list[bytes] = []
        self._offers = frozenset(offers.encode().split())

    def offers(self) -> frozenset[bytes]:
        return self._offers

    @contextlib.contextmanager
    def exchange(self, _doing: str) -> Iterator[None]:
        yield

    def ask(self, *questions: Question) -> list[Answer]:
        if not questions:
            return []
        self.asked += (b" ".join((it.name.encode(), *it.arguments)) for it in questions)
        told = self.told.pop(0)
        if questions[0].name == "GETACL":
            return [_rights(told, *it.arguments) for it in questions]
        quota = {"QUOTA": told.get("QUOTA", [])}
        *others, _ = (quota if it.name == "GETQUOTA" else {} for it in questions)
        return [Answer(b"", None, untagged) for untagged in (*others, told)]


def _rights(told: dict[str, list[Any]], name: bytes) -> Answer:
    acl = told.get(name.decode())
    if acl is None:
        return Answer(b"", Refused("GETACL: Mailbox does not exist", Reason.MISSING), {})
    return Answer(b"", None, {"ACL": [b" ".join((name, *acl))]})


def replication(session: object, user: str = "joe") -> Replication:
    return Replication(cast(Session, session), NAMES, user, NAMES)


def subscribed(session: FakeSession, *actions: Action) -> frozenset[Action]:
    """Looks, and subscribes to what is certain."""
    it = replication(session)
    return it.subscribe(actions, session.ask(*it.look(actions)))


@pytest.mark.parametrize(
    ("offers", "expected"),
    [
        ("X-REPLICATION LITERAL+", True),
        ("X-REPLICATION", False),
        ("LITERAL+ IMAP4rev1", False),
        ("X-REPLICATION LITERAL+ MUPDATE=mupdate://master.test/", False),
    ],
)
def test_it_is_offered_by_a_server_of_its_own_alone(offers: str, expected: bool) -> None:
    assert is_offered(cast(Connection, FakeSession(offers=offers))) is expected


@pytest.mark.parametrize(
    ("acl", "expected"),
    [
        ((("anyone", "lrs"),), True),
        ((("joe", "l"),), True),
        ((("anyone", "p"), ("joe", "rs")), False),
        ((("group:staff", "lrs"),), False),
        ((("kim", "lrs"),), False),
        ((("anyone", "lrs"), ("-joe", "l")), False),
        ((("anyone", "lrs"), ("-group:guests", "l")), False),
        ((), False),
    ],
)
def test_a_mailbox_is_certainly_seen_where_its_list_says_so(
    acl: tuple[tuple[str, str], ...], expected: bool
) -> None:
    assert is_seen_by("joe", acl) is expected


def test_what_is_certain_is_done() -> None:
    session = FakeSession({'"user/joe/Sent"': [b"joe lrs"], '"News"': [b"anyone lr"]}, {})
    assert subscribed(session, SENT, NEWS) == {SENT, NEWS}
    assert session.asked == [
        b'GETACL "user/joe/Sent"',
        b'GETACL "News"',
        b'SYNCAPPLY SUB %(USERID "joe" MBOXNAME "user.joe.Sent")',
        b'SYNCAPPLY SUB %(USERID "joe" MBOXNAME "News")',
    ]


@pytest.mark.parametrize(
    ("action", "seen"),
    [
        (SENT, {}),
        (NEWS, {'"News"': [b"group:staff lr"]}),
        (NEWS, {'"News"': [b"7 lr"]}),
        (SubscribeShared(ALL_SHARED), {}),
        (Subscribe(("a%b",)), {}),
    ],
    ids=repr,
)
def test_what_is_not_certain_is_left(action: Action, seen: dict[str, list[Any]]) -> None:
    session = FakeSession(seen)
    assert subscribed(session, action) == frozenset()
    assert not any(asked.startswith(b"SYNCAPPLY") for asked in session.asked)


def test_all_shared_folders_are_for_the_users_own_session() -> None:
    assert is_subscription(SENT)
    assert is_subscription(NEWS)
    assert not is_subscription(SubscribeShared(ALL_SHARED))
    assert not is_subscription(CreateMailbox(()))


def test_a_user_who_gets_no_script_gets_no_database_for_scripts() -> None:
    session = FakeSession({})
    replication(session).observe(Tree((Folder(subscribe=True),)), meta=False)
    assert not any(asked.startswith(b"SYNCGET META") for asked in session.asked)


@pytest.mark.parametrize(
    ("wanted", "meta", "expected"),
    [
        (Tree((Folder(),)), False, True),
        (Tree((Folder(subscribe=True),)), False, False),
        (Tree((Folder(),), shared=("News",)), False, False),
        (Tree((Folder(subscribe=True),), shared=("News",)), True, True),
        (Tree((Folder(),), shared=(ALL_SHARED,)), True, False),
    ],
)
def test_subscriptions_are_told_beside_scripts(wanted: Tree, meta: bool, expected: bool) -> None:
    assert tells_subscriptions(wanted, meta=meta) is expected


def test_a_tree_is_observed() -> None:
    told: dict[str, list[Any]] = {
        "MAILBOX": [
            b'%(MBOXNAME user.joe ACL "joe\tlrs\tanyone\tp\t" QUOTAROOT user.joe)',
            (b'%(MBOXNAME user.joe.Sent ACL "joe\tlrs\t" QUOTAROOT user.joe ANNOTATIONS '
             b'(%(ENTRY /specialuse USERID kim VALUE "x") %(ENTRY /specialuse USERID joe VALUE {5}', b"\\Sent"),
            b")))",
        ],
        "QUOTA": [b'"user/joe" (STORAGE 1 1000 MESSAGE 1 5 X-NUM-FOLDERS 1 7)'],
        "LSUB": [b"(user.joe.Sent News)"],
        "SIEVE": [b"%(FILENAME mine.script ISACTIVE 0)", b"%(FILENAME mine.bc ISACTIVE 1)"],
    }  # fmt: skip
    wanted = Tree((Folder(), Folder(("Sent",)), Folder(("Junk",))), shared=("News", "Other"))
    assert replication(FakeSession(told)).observe(wanted, meta=True) == Tree(
        (
            Folder(acl=(("joe", "lrs"), ("anyone", "p"))),
            Folder(("Sent",), "\\Sent", True, (("joe", "lrs"),)),
        ),
        Quota(1000, 5, others=(("X-NUM-FOLDERS", 7),)),
        ("News",),
        Script("mine"),
    )


def test_limits_of_a_root_that_does_not_count_for_inbox_are_none() -> None:
    told: dict[str, list[Any]] = {
        "MAILBOX": [b'%(MBOXNAME user.joe ACL "joe\tlrs\t")'],
        "QUOTA": [b'"user/joe" (STORAGE 1 1000)'],
    }
    tree = replication(FakeSession(told)).observe(Tree((Folder(),)), meta=False)
    assert tree is not None
    assert tree.quota == Quota()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(b"", Refused("SYNCGET: no"), {}), Refused),
        (Answer(b"", Refused("SYNCGET: unknown"), {}, is_bad=True), NotTaken),
        (Answer(b"", Refused("SYNCGET: you may not", Reason.FORBIDDEN), {}), NotTaken),
    ],
)
def test_a_refusal_is_told_and_whether_it_is_for_good(answer: Answer, error: type[Refused]) -> None:
    class Refusing(FakeSession):
        def ask(self, *questions: Question) -> list[Answer]:
            return [answer for _ in questions]

    with pytest.raises(Refused, match="SYNCGET: ") as raised:
        replication(Refusing()).observe(Tree((Folder(),)), meta=True)
    assert type(raised.value) is error


def test_a_subscription_that_is_refused_is_left() -> None:
    class Refusing(FakeSession):
        def ask(self, *questions: Question) -> list[Answer]:
            if questions[0].name == "GETACL":
                return super().ask(*questions)
            return [Answer(b"", Refused("SYNCAPPLY: disk full"), {}) for _ in questions]

    assert subscribed(Refusing({'"user/joe/Sent"': [b"joe lrs"]}), SENT) == frozenset()


WORDS = st.one_of(
    st.text(max_size=12), st.text('a"\\{5}()\r\n\0%* &é.^', max_size=8), st.just("Sent")
)
WORD = rb'"(?:[^"\\\r\n\x00-\x1f\x7f-\xff]|\\[\\"])*"'


class Telling(FakeSession):
    """Lets everybody see every mailbox."""

    def ask(self, *questions: Question) -> list[Answer]:
        names = (b"".join(it.arguments).decode("latin-1") for it in questions)
        self.told.insert(0, {it: [b"anyone lr"] for it in names})
        return super().ask(*questions)


@given(st.lists(WORDS, min_size=1, max_size=3), WORDS)
def test_whatever_a_name_is_it_stays_a_word(path: list[str], shared: str) -> None:
    session = Telling()
    subscribed(session, Subscribe(tuple(path)), SubscribeShared(shared))
    asked = b"\n".join(session.asked)
    assert re.fullmatch(
        rb"((GETACL %s|SYNCAPPLY SUB %%\(USERID %s MBOXNAME %s\))(\n|$))*"
        % (WORD, WORD, rb"(?:%s|\d+)" % WORD),
        asked,
    )

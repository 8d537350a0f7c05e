"""What is missing, in which order it is made, and how a plan is shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.tree.actions import (
    CreateMailbox,
    InstallScript,
    SetAcl,
    SetQuota,
    SetSpecialUse,
    Subscribe,
    SubscribeShared,
)
from autocreate.tree.base import Action
from autocreate.tree.plan import (
    ApplyResult,
    Failure,
    Plan,
    as_json,
    as_text,
    by_error,
    checksum,
    difference,
    notes_of,
    without_user_removed,
)
from autocreate.tree.values import UNLIMITED, Folder, Quota, Script, Tree, folder_name

WANTED = Tree(
    folders=(
        Folder(("Archive", "2026"), acl=(("anyone", "lr"),)),
        Folder(("Sent",), special_use="\\Sent", subscribe=True),
        Folder((), subscribe=True, acl=(("staff", "l"),), partition="fast"),
        Folder(("Archive",)),
    ),
    quota=Quota(storage=2048, messages=100),
    shared=("News", "Staff/News"),
)

EVERYTHING = (
    CreateMailbox((), None, "fast"),
    SetQuota(Quota(2048, 100)),
    SetAcl((), "staff", "l"),
    CreateMailbox(("Sent",), "\\Sent"),
    CreateMailbox(("Archive",)),
    CreateMailbox(("Archive", "2026")),
    SetAcl(("Archive", "2026"), "anyone", "lr"),
    Subscribe(("Sent",)),
    Subscribe(()),
    SubscribeShared("News"),
    SubscribeShared("Staff/News"),
)


def test_inbox_comes_first_then_the_quota_then_parents_before_children_then_the_users_part() -> (
    None
):
    assert difference("joe", "everyone", WANTED, Tree()) == Plan("joe", "everyone", EVERYTHING)


def test_what_stands_is_left_alone() -> None:
    assert difference("joe", "everyone", WANTED, WANTED).actions == ()


def test_what_stands_beyond_the_policy_is_left_alone() -> None:
    wanted = Tree((Folder(),))
    standing = Tree((Folder(subscribe=True, acl=(("joe", "l"),)),), Quota(5, 5), ("News",))
    assert difference("joe", "everyone", wanted, standing).actions == ()


def test_a_folder_that_stands_gets_what_it_lacks() -> None:
    wanted = Tree((Folder(("Sent",), "\\Sent", subscribe=True, acl=(("anyone", "p"),)),))
    standing = Tree((Folder(("Sent",), acl=(("joe", "lrs"),)),))
    assert difference("joe", "everyone", wanted, standing).actions == (
        SetAcl(("Sent",), "anyone", "p"),
        SetSpecialUse(("Sent",), "\\Sent"),
        Subscribe(("Sent",)),
    )


def test_a_special_use_that_the_user_chose_is_left_alone() -> None:
    wanted, standing = Folder(("Sent",), "\\Sent"), Folder(("Sent",), "\\Archive")
    assert difference("joe", "everyone", Tree((wanted,)), Tree((standing,))).actions == ()


def test_rights_are_compared_whatever_their_order() -> None:
    wanted = Tree((Folder(acl=(("anyone", "rl"),)),))
    standing = Tree((Folder(acl=(("anyone", "lr"),)),))
    assert difference("joe", "everyone", wanted, standing).actions == ()


def test_other_rights_are_replaced() -> None:
    wanted = Tree((Folder(acl=(("anyone", ""),)),))
    standing = Tree((Folder(acl=(("anyone", "lr"),)),))
    assert difference("joe", "everyone", wanted, standing).actions == (SetAcl((), "anyone", ""),)


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("lrskxte", "lrskxtecd"),
        ("lrkx", "lrkxc"),
        ("lrk", "lrkc"),  # Cyrus shows c beside each of its parts
        ("lrte", "lrted"),
        ("lrt", "lrtd"),
        ("lrc", "lrkxc"),
        ("lrd", "lrted"),
        ("lrcd", "lrkxtecd"),
    ],
)
def test_the_obsolete_rights_that_cyrus_shows_beside_their_parts_make_no_difference(
    wanted: str, shown: str
) -> None:
    trees = Tree((Folder(acl=(("kim", wanted),)),)), Tree((Folder(acl=(("kim", shown),)),))
    assert difference("joe", "everyone", *trees).actions == ()


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("lrc", "lrkc"),  # x is missing
        ("lrd", "lrtd"),  # e is missing
        ("lrk", "lrkxc"),  # x is too much
        ("lr", "lrkxc"),
        ("lr", "lrted"),
    ],
)
def test_a_part_of_an_obsolete_right_that_is_missing_or_too_much_is_set_right(
    wanted: str, shown: str
) -> None:
    trees = Tree((Folder(acl=(("kim", wanted),)),)), Tree((Folder(acl=(("kim", shown),)),))
    assert difference("joe", "everyone", *trees).actions == (SetAcl((), "kim", wanted),)


def test_another_quota_is_replaced() -> None:
    wanted, standing = Tree((Folder(),), Quota(10)), Tree((Folder(),), Quota(5))
    assert difference("joe", "p", wanted, standing).actions == (SetQuota(Quota(10)),)


LIMITS = st.none() | st.integers(0, 3)
WANTED_LIMITS = LIMITS | st.just(UNLIMITED)
QUOTAS = st.builds(
    Quota,
    LIMITS,
    LIMITS,
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from(["X-NUM-FOLDERS", "X-OTHER"]), st.integers(0, 3)),
        unique_by=lambda pair: pair[0],
    ).map(tuple),
)


@pytest.mark.parametrize(
    ("wanted", "standing"),
    [
        (Quota(storage=5), Quota(5, messages=10)),
        (Quota(messages=10), Quota(5, messages=10)),
        (Quota(5, 10), Quota(5, 10, others=(("X-NUM-FOLDERS", 50),))),
        (Quota(root=True), Quota(root=True)),
        (Quota(root=True), Quota(5)),
        (Quota(root=True), Quota(others=(("X-NUM-FOLDERS", 50),))),
        (Quota(), Quota(5, 10)),
        (Quota(storage=UNLIMITED), Quota(root=True)),
        (Quota(storage=UNLIMITED), Quota(messages=10)),
        (Quota(5, UNLIMITED), Quota(5, others=(("X-NUM-FOLDERS", 50),))),
    ],
)
def test_limits_that_the_policy_does_not_name_make_no_difference(
    wanted: Quota, standing: Quota
) -> None:
    trees = Tree((Folder(),), wanted), Tree((Folder(),), standing)
    assert difference("joe", "p", *trees).actions == ()


@pytest.mark.parametrize(
    ("wanted", "standing"),
    [
        (Quota(storage=5), Quota(messages=10)),
        (Quota(storage=0), Quota()),
        (Quota(messages=10), Quota(storage=10)),
        (Quota(5, 10), Quota(5)),
        (Quota(5, 10), Quota(5, 11)),
        (Quota(root=True), Quota()),
        (Quota(storage=UNLIMITED), Quota()),
        (Quota(storage=UNLIMITED), Quota(storage=0)),
        (Quota(storage=UNLIMITED), Quota(5, 10)),
        (Quota(5, UNLIMITED), Quota(5, 10)),
    ],
)
def test_a_limit_that_the_policy_names_is_set_where_it_is_none_or_another(
    wanted: Quota, standing: Quota
) -> None:
    trees = Tree((Folder(),), wanted), Tree((Folder(),), standing)
    assert difference("joe", "p", *trees).actions == (SetQuota(wanted),)


@given(st.builds(Quota, WANTED_LIMITS, WANTED_LIMITS, st.booleans()), QUOTAS)
def test_a_quota_that_was_set_beside_other_limits_takes_none_away_and_is_not_set_again(
    wanted: Quota, standing: Quota
) -> None:
    then = wanted.keeping(standing)
    for limit in ("storage", "messages"):
        said, stood = getattr(wanted, limit), getattr(standing, limit)
        assert getattr(then, limit) == {None: stood, UNLIMITED: None}.get(said, said)
    assert dict(then.others) == dict(standing.others) | dict(wanted.others)
    trees = Tree((Folder(),), wanted), Tree((Folder(),), then)
    assert difference("joe", "p", *trees).actions == ()


@given(st.sets(st.lists(st.sampled_from("ab"), max_size=4).map(tuple)))
def test_no_child_is_ever_made_before_its_parent(paths: set[tuple[str, ...]]) -> None:
    folders = tuple(map(Folder, paths))
    made = [
        action.path
        for action in difference("joe", "everyone", Tree(folders), Tree()).actions
        if isinstance(action, CreateMailbox)
    ]
    assert set(made) == paths
    assert all(
        made.index(path[:-1]) < place
        for place, path in enumerate(made)
        if path and path[:-1] in paths
    )


def test_a_plan_reads_as_text() -> None:
    assert as_text(Plan("joe", "everyone", (*EVERYTHING, SetSpecialUse(("Sent",), "\\Sent")))) == [
        "create INBOX on partition fast",
        "set quota 2048 KiB, 100 messages",
        "grant staff l on INBOX",
        "create Sent as \\Sent",
        "create Archive",
        "create Archive/2026",
        "grant anyone lr on Archive/2026",
        "subscribe to Sent",
        "subscribe to INBOX",
        "subscribe to shared folder News",
        "subscribe to shared folder Staff/News",
        "mark Sent as \\Sent",
    ]


def test_taking_all_rights_reads_as_nothing() -> None:
    assert as_text(Plan("joe", "p", (SetAcl((), "anyone", ""),))) == [
        "grant anyone nothing on INBOX"
    ]


def test_a_plan_is_plain_data() -> None:
    actions = (
        CreateMailbox(("Sent",), "\\Sent", "fast"),
        SetQuota(Quota(2048)),
        SetAcl((), "anyone", "lr"),
        SetSpecialUse(("Sent",), "\\Sent"),
        Subscribe(("Archive", "2026")),
        SubscribeShared("News"),
    )
    plan = json.loads(json.dumps(as_json(Plan("joe", "everyone", actions))))
    assert plan == {
        "user": "joe",
        "policy": "everyone",
        "actions": [
            {"action": "create", "folder": "Sent", "special_use": "\\Sent", "partition": "fast"},
            {"action": "quota", "storage_kib": 2048, "messages": None},
            {"action": "acl", "folder": "INBOX", "identifier": "anyone", "rights": "lr"},
            {"action": "special_use", "folder": "Sent", "special_use": "\\Sent"},
            {"action": "subscribe", "folder": "Archive/2026"},
            {"action": "subscribe_shared", "folder": "News"},
        ],
    }


def test_no_limit_is_0_in_plain_data_as_in_a_policy() -> None:
    action = SetQuota(Quota(UNLIMITED, UNLIMITED))
    assert as_json(Plan("joe", "everyone", (action,)))["actions"] == [
        {"action": "quota", "storage_kib": 0, "messages": 0}
    ]


def test_quotas_read_as_text() -> None:
    assert Quota(storage=UNLIMITED).description == "unlimited storage"
    assert Quota(5, UNLIMITED).description == "5 KiB, unlimited messages"
    assert Quota().description == "none"
    assert Quota(storage=0).description == "0 KiB"
    assert Quota(messages=5).description == "5 messages"
    assert Quota(root=True).description == "without limits"
    assert Quota(5, others=(("X-NUM-FOLDERS", 50),)).description == "5 KiB, X-NUM-FOLDERS 50"


INBOX = CreateMailbox(())
QUOTA = SetQuota(Quota(5))
SENT = CreateMailbox(("Sent",))
SMALL = Plan("joe", "everyone", (INBOX, QUOTA, SENT, Subscribe(()), SubscribeShared("News")))


def test_a_folder_reads_as_an_administrator_writes_it() -> None:
    assert Folder().name == folder_name(()) == "INBOX"
    assert Folder(("Archive", "2026")).name == "Archive/2026"


def test_inbox_and_its_quota_are_essential() -> None:
    assert SMALL.essential == (INBOX, QUOTA)


@pytest.mark.parametrize(
    ("failed", "usable"), [((), True), ((SENT,), True), ((SENT, QUOTA), False), ((INBOX,), False)]
)
def test_a_tree_is_usable_if_nothing_essential_failed(
    failed: tuple[CreateMailbox, ...], usable: bool
) -> None:
    assert ApplyResult(SMALL, tuple(Failure(it, "no") for it in failed)).usable is usable


def test_a_plan_creates_inbox_or_finds_it() -> None:
    assert SMALL.creates_inbox
    assert not Plan("joe", "everyone", (QUOTA, SENT)).creates_inbox


@pytest.mark.parametrize(
    ("failed", "skipped", "status"),
    [
        ((), (), 0),
        ((SENT,), (), 75),
        ((), (SENT,), 78),
        ((QUOTA,), (SENT,), 78),
        ((), (SubscribeShared("News"),), 0),
    ],
)
def test_a_result_is_an_exit_status(
    failed: tuple[Action, ...], skipped: tuple[Action, ...], status: int
) -> None:
    result = ApplyResult(
        SMALL, tuple(Failure(it, "no") for it in failed), tuple(Failure(it, "no") for it in skipped)
    )
    assert result.exit_status == status
    assert result.done == tuple(it for it in SMALL.actions if it not in (*failed, *skipped))


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("c", "kxc"),
        ("d", "tede"),
        ("kx", "kxc"),
        ("lrte", "lrted"),
        ("lrswipkxte", "lrswipkxtecd"),
    ],
)
def test_obsolete_rights_are_compared_by_their_parts(wanted: str, shown: str) -> None:
    trees = (Tree((Folder(acl=(("anyone", rights),)),)) for rights in (wanted, shown))
    assert difference("joe", "everyone", *trees).actions == ()


@pytest.mark.parametrize(("wanted", "shown"), [("c", "kc"), ("d", "td"), ("k", "kxc"), ("lr", "l")])
def test_a_part_of_an_obsolete_right_is_not_the_right(wanted: str, shown: str) -> None:
    trees = (Tree((Folder(acl=(("anyone", rights),)),)) for rights in (wanted, shown))
    assert difference("joe", "everyone", *trees).actions == (SetAcl((), "anyone", wanted),)


# -- what a user may remove again ------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (CreateMailbox(("Archive", "2026")), "folder Archive/2026"),
        (Subscribe(()), "subscription INBOX"),
        (Subscribe(("Sent",)), "subscription Sent"),
        (SubscribeShared("News"), "subscription to shared News"),
        (InstallScript(Script("main")), "sieve script"),
        (CreateMailbox(()), ""),
        (SetQuota(Quota(5)), ""),
        (SetAcl(("Sent",), "anyone", "lr"), ""),
        (SetSpecialUse(("Sent",), "\\Sent"), ""),
    ],
)
def test_what_a_user_may_remove_again_has_a_name(action: Action, name: str) -> None:
    assert action.user_removable == name


def test_what_has_no_name_is_never_left_out() -> None:
    plan = Plan("joe", "p", (CreateMailbox(()), SetQuota(Quota(5)), SetAcl((), "anyone", "lr")))
    assert without_user_removed(plan, frozenset({"folder INBOX", "folder Sent"})) == plan


def test_nothing_is_set_on_a_folder_that_stays_away_and_the_rest_is_kept() -> None:
    plan = Plan("joe", "p", EVERYTHING)
    kept = without_user_removed(
        plan, frozenset({"folder Archive/2026", "subscription Sent"})
    ).actions
    assert set(EVERYTHING) - set(kept) == {
        CreateMailbox(("Archive", "2026")),
        SetAcl(("Archive", "2026"), "anyone", "lr"),
        Subscribe(("Sent",)),
    }
    assert kept == tuple(action for action in EVERYTHING if action in kept)


# -- how plans are compared, and failures told -----------------------------------------------


def test_a_script_is_installed_where_there_is_none() -> None:
    script = Script("main", b"keep;")
    wanted = Tree((Folder(("Sent",), subscribe=True),), script=script)
    plan = difference("joe", "everyone", wanted, Tree())
    assert plan.actions == (
        CreateMailbox(("Sent",)),
        InstallScript(script),
        Subscribe(("Sent",)),
    )
    assert as_text(plan)[1] == "install the sieve script main"
    assert as_json(plan)["actions"][1] == {"action": "sieve", "script": "main"}
    observed = Tree((Folder(("Sent",), subscribe=True),), script=Script("another"))
    assert difference("joe", "everyone", wanted, observed).actions == ()


def test_the_plans_of_further_users_stand_behind_the_first() -> None:
    first, second = Plan("joe", "a"), Plan("ann", "b")
    assert as_json(first, second)["others"] == [as_json(second)]
    assert "others" not in as_json(first)


def test_all_that_the_user_may_see_is_named_as_such() -> None:
    assert as_text(Plan("joe", "p", (SubscribeShared("*"),))) == ["subscribe to all shared folders"]


def test_a_checksum_tells_plans_apart_and_is_the_same_for_the_same_plans() -> None:
    lines = ['{"user": "joe"}', '{"user": "jos\udce9"}']
    assert checksum(lines) == checksum(iter(lines))
    assert len(checksum(lines)) == 12
    others = [lines[::-1], lines[:1], ["".join(lines)], []]
    assert len({checksum(lines), *map(checksum, others)}) == 5


def test_failures_of_one_reason_are_one_line() -> None:
    failures = (
        Failure(CreateMailbox(("Sent",)), "connection lost"),
        Failure(SetQuota(Quota(5)), "over quota"),
        Failure(Subscribe(("Sent",)), "connection lost"),
    )
    assert list(by_error(failures)) == [
        ("create Sent, subscribe to Sent", "connection lost"),
        ("set quota 5 KiB", "over quota"),
    ]
    assert notes_of(failures) == (
        "could not create Sent: connection lost",
        "could not set quota 5 KiB: over quota",
        "could not subscribe to Sent: connection lost",
    )

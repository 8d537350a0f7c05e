"""What every mail store promises, the one in memory and Cyrus however it spells its mailboxes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocreate.errors import Refused
from autocreate.tree.actions import (
    CreateMailbox,
    SetAcl,
    SetQuota,
    SetSpecialUse,
    Subscribe,
    SubscribeShared,
)
from autocreate.tree.plan import Plan, difference
from autocreate.tree.values import UNLIMITED, Folder, Quota, Tree
from tests.servers.cyrus import other_resources
from tests.servers.cyrusversion import version

from .stores import OWNER, Place, tree

WHOLE = tree(
    Folder(("Sent",), special_use="\\Sent", subscribe=True),
    Folder(("Archive",), special_use="\\Archive", acl=(("anyone", "lrs"),)),
    Folder(("Archive", "2026"), partition="archive"),
    quota=Quota(storage=2 << 20, messages=1000),
    shared=("Announcements",),
)


def test_a_user_without_inbox_does_not_exist(place: Place) -> None:
    assert place.store.exists(place.new_user()) is False


def test_a_user_with_inbox_exists(place: Place) -> None:
    user = place.new_user()
    assert place.apply(user, CreateMailbox(())).failed == ()
    assert place.store.exists(user) is True


def test_a_user_whose_name_begins_like_another_one_does_not_exist(place: Place) -> None:
    name = place.new_user("long").partition("@")[0]
    place.apply(place.user(name), CreateMailbox(()))
    assert place.store.exists(place.user(name[:-1])) is False
    assert place.store.exists(place.user(name + "x")) is False


def test_a_survey_tells_every_user_with_an_inbox_once_and_nobody_else(place: Place) -> None:
    dotted, plain, none = place.new_user("a.b"), place.new_user("survey"), place.new_user("none")
    for user in (dotted, plain):
        place.make(user, WHOLE)
    told = list(place.store.users())
    assert {dotted, plain} <= set(told)
    assert none not in told
    assert len(told) == len(set(told))
    assert not [user for user in told if not place.store.exists(user)]


def test_nothing_is_observed_where_nothing_stands(place: Place) -> None:
    assert place.store.observe(place.new_user(), WHOLE) == Tree()


def test_a_tree_stands_as_it_was_planned(place: Place) -> None:
    user = place.new_user()
    report = place.make(user, WHOLE)
    assert (report.failed, report.skipped) == ((), ())
    assert place.folders(user) == {(), ("Sent",), ("Archive",), ("Archive", "2026")}
    assert place.quota(user) == Quota(storage=2 << 20, messages=1000)
    assert place.special_use(user) == {("Sent",): "\\Sent", ("Archive",): "\\Archive"}
    assert place.subscribed(user) == {("Sent",)}
    assert place.subscribed_shared(user) == {"Announcements"}
    assert place.acl(user) == {user: OWNER}
    assert place.acl(user, ("Archive",)) == {user: OWNER, "anyone": "lrs"}
    assert place.partition(user, ("Archive", "2026")) == "archive"
    assert place.partition(user, ("Sent",)) == "default"


def test_what_stands_is_observed_whole(place: Place) -> None:
    user = place.new_user()
    place.make(user, WHOLE)
    everyone_reads = ((user, OWNER), ("anyone", "lrs"))
    assert place.store.observe(user, WHOLE) == Tree(
        (
            Folder((), acl=((user, OWNER),)),
            Folder(("Sent",), special_use="\\Sent", subscribe=True, acl=((user, OWNER),)),
            Folder(("Archive",), special_use="\\Archive", acl=everyone_reads),
            Folder(("Archive", "2026"), acl=everyone_reads),
        ),
        Quota(storage=2 << 20, messages=1000),
        ("Announcements",),
    )


def test_only_what_is_wanted_is_observed(place: Place) -> None:
    user = place.new_user()
    place.make(user, WHOLE)
    observed = place.store.observe(user, tree(Folder(("Sent",)), Folder(("Drafts",))))
    assert [folder.path for folder in observed.folders] == [(), ("Sent",)]
    assert observed.shared == ()


def test_a_store_tells_its_version(place: Place) -> None:
    assert place.store.version() == version()


def test_nothing_is_left_to_do_once_a_tree_stands(place: Place) -> None:
    user = place.new_user()
    place.make(user, WHOLE)
    observed = place.store.observe(user, WHOLE)
    assert difference(user, "some policy", WHOLE, observed).actions == ()


def test_a_plan_that_is_applied_twice_succeeds_twice_and_changes_nothing(place: Place) -> None:
    user = place.new_user()
    plan = difference(user, "some policy", WHOLE, Tree())
    place.store.apply(plan)
    before = place.store.observe(user, WHOLE)
    report = place.store.apply(plan)
    assert (report.failed, report.skipped) == ((), ())
    assert place.store.observe(user, WHOLE) == before


def test_a_half_made_tree_is_completed(place: Place) -> None:
    user = place.new_user()
    place.apply(user, CreateMailbox(()), CreateMailbox(("Sent",)))
    plan = difference(user, "some policy", WHOLE, place.store.observe(user, WHOLE))
    assert plan.actions == (
        SetQuota(Quota(storage=2 << 20, messages=1000)),
        CreateMailbox(("Archive",), "\\Archive"),
        SetAcl(("Archive",), "anyone", "lrs"),
        CreateMailbox(("Archive", "2026"), None, "archive"),
        SetSpecialUse(("Sent",), "\\Sent"),
        Subscribe(("Sent",)),
        SubscribeShared("Announcements"),
    )
    assert place.store.apply(plan).failed == ()
    observed = place.store.observe(user, WHOLE)
    assert difference(user, "some policy", WHOLE, observed).actions == ()


def test_what_a_user_did_meanwhile_stays(place: Place) -> None:
    user = place.new_user()
    place.make(user, tree(Folder(("Own",), subscribe=True, acl=(("kim", "lr"),))))
    place.make(user, WHOLE)
    assert ("Own",) in place.folders(user)
    assert ("Own",) in place.subscribed(user)
    assert place.acl(user, ("Own",)) == {user: OWNER, "kim": "lr"}


@pytest.mark.parametrize(
    "name",
    [
        "Entwürfe",
        "日本語フォルダ",
        "😀 smile",
        "עברית",
        "العربية",
        "A&B",
        "&",
        "&-",
        "Sent Items",
        "~#$'()+,-=[]_",
        "é",
        "ü" * 60,
    ],
)
def test_folders_have_names_in_any_script(place: Place, name: str) -> None:
    user = place.new_user()
    wanted = tree(Folder((name,), special_use="\\Sent", subscribe=True, acl=(("anyone", "p"),)))
    assert place.make(user, wanted).failed == ()
    assert place.folders(user) == {(), (name,)}
    assert place.special_use(user) == {(name,): "\\Sent"}
    assert place.subscribed(user) == {(name,)}
    assert place.acl(user, (name,))["anyone"] == "p"
    assert difference(user, "", wanted, place.store.observe(user, wanted)).actions == ()


@pytest.mark.parametrize("local", ["ann.lee", "a.b.c", "o'brien", "jo-hn_doe", "x=y", "j o", "#1"])
def test_users_have_dots_and_other_marks_in_their_names(place: Place, local: str) -> None:
    user = place.user(local)
    assert place.make(user, WHOLE).failed == ()
    assert place.store.exists(user) is True
    assert place.folders(user) == {(), ("Sent",), ("Archive",), ("Archive", "2026")}
    assert place.acl(user) == {user: OWNER}


@pytest.mark.parametrize(
    "quota",
    [
        Quota(storage=1),
        Quota(storage=1023),
        Quota(storage=2**31 - 1),
        Quota(storage=0),
        Quota(messages=7),
        Quota(storage=5, messages=0),
    ],
    ids=str,
)
def test_a_quota_stands_to_the_last_unit(place: Place, quota: Quota) -> None:
    user = place.new_user()
    assert place.make(user, tree(quota=quota)).failed == ()
    assert place.quota(user) == quota
    assert place.store.observe(user, tree(quota=quota)).quota == quota


@pytest.mark.parametrize("before", [None, Quota(storage=0), Quota(storage=100)], ids=str)
def test_no_limit_is_a_quota_root_without_one(place: Place, before: Quota | None) -> None:
    user = place.new_user()
    wanted = tree(quota=Quota(storage=UNLIMITED))
    if before:
        place.apply(user, CreateMailbox(()))
        place.limit(user, before)
        assert difference(user, "", wanted, place.store.observe(user, wanted)).actions
        place.apply(user, SetQuota(wanted.quota))
    else:
        assert place.make(user, wanted).failed == ()
    assert place.quota(user).keeping(Quota()) == Quota(root=True)
    assert place.store.observe(user, wanted).quota == Quota(root=True)
    assert difference(user, "", wanted, place.store.observe(user, wanted)).actions == ()


def test_a_quota_that_cyrus_cannot_count_is_skipped_and_cyrus_lives_on(place: Place) -> None:
    user = place.new_user()
    report = place.make(user, tree(Folder(("Sent",)), quota=Quota(storage=2**31)))
    assert [action for action, _ in report.skipped] == [SetQuota(Quota(storage=2**31))]
    assert report.failed == ()
    assert report.usable
    assert place.folders(user) == {(), ("Sent",)}


BY_HAND = Quota(100, 7, others=tuple(zip(other_resources(), (9, 50), strict=True)))


@pytest.mark.parametrize(
    ("quota", "then"),
    [
        (Quota(storage=200), replace(BY_HAND, storage=200)),
        (Quota(messages=8), replace(BY_HAND, messages=8)),
        (Quota(storage=200, messages=8), replace(BY_HAND, storage=200, messages=8)),
        (Quota(root=True), BY_HAND),
        (Quota(storage=UNLIMITED), replace(BY_HAND, storage=None)),
        (Quota(storage=200, messages=UNLIMITED), replace(BY_HAND, storage=200, messages=None)),
    ],
    ids=str,
)
def test_limits_that_a_quota_does_not_name_stay(place: Place, quota: Quota, then: Quota) -> None:
    user = place.new_user()
    place.apply(user, CreateMailbox(()))
    place.limit(user, BY_HAND)
    assert place.apply(user, SetQuota(quota)).failed == ()
    assert place.quota(user) == then
    assert place.store.observe(user, tree(quota=quota)).quota == then


def test_a_plan_for_a_new_inbox_takes_no_limit_from_one_that_came_in_between(place: Place) -> None:
    user, quota = place.new_user(), Quota(storage=200)
    plan = difference(user, "some policy", tree(quota=quota), Tree())
    place.apply(user, CreateMailbox(()))
    place.limit(user, BY_HAND)
    assert place.store.apply(plan).failed == ()
    assert place.quota(user) == replace(BY_HAND, storage=200)


def test_no_difference_is_made_of_limits_that_are_not_wanted(place: Place) -> None:
    user = place.new_user()
    place.apply(user, CreateMailbox(()))
    place.limit(user, BY_HAND)
    for quota in (Quota(), Quota(storage=100), Quota(messages=7), Quota(root=True)):
        wanted = tree(quota=quota)
        observed = place.store.observe(user, wanted)
        assert observed.quota == BY_HAND
        assert difference(user, "", wanted, observed).actions == ()


@pytest.mark.parametrize("others", [(), BY_HAND.others[1:]], ids=str)
def test_a_root_without_limits_is_made_where_there_is_no_root_alone(
    place: Place, others: tuple[tuple[str, int], ...]
) -> None:
    user, wanted = place.new_user(), tree(quota=Quota(root=True))
    place.make(user, wanted)
    assert place.store.observe(user, wanted).quota == Quota(root=True)
    if others:
        place.limit(user, Quota(others=others))
    observed = place.store.observe(user, wanted)
    assert difference(user, "", wanted, observed).actions == ()
    assert observed.quota == Quota(root=not others, others=others)


@pytest.mark.parametrize("rights", ["lrs", "p", "lrswipkxtea", "lrswit", "k", "x", "e", "c", "d"])
def test_rights_that_were_granted_are_not_granted_again(place: Place, rights: str) -> None:
    user = place.new_user()
    wanted = tree(Folder(("Box",), acl=(("anyone", rights),)))
    assert place.make(user, wanted).failed == ()
    assert set(place.acl(user, ("Box",))["anyone"]) >= set(rights)
    assert difference(user, "", wanted, place.store.observe(user, wanted)).actions == ()


def test_rights_can_be_for_groups_and_users_and_against_them(place: Place) -> None:
    user = place.new_user()
    grants = (("group:staff", "lrs"), ("kim", "lr"), ("-lee", "w"), ("anonymous", "l"))
    assert place.make(user, tree(Folder(("Box",), acl=grants))).failed == ()
    assert place.acl(user, ("Box",)) == {user: OWNER, **dict(grants)}


def test_no_rights_at_all_take_an_identifier_from_the_list(place: Place) -> None:
    user = place.new_user()
    place.make(user, tree(Folder(acl=(("anyone", "lr"),))))
    assert place.acl(user) == {user: OWNER, "anyone": "lr"}
    assert place.make(user, tree(Folder(acl=(("anyone", ""),)))).failed == ()
    assert place.acl(user) == {user: OWNER}


def test_an_owner_never_loses_the_right_to_administer(place: Place) -> None:
    user = place.new_user()
    place.apply(user, CreateMailbox(()), SetAcl((), user, "lr"))
    assert place.acl(user) == {user: "lrkxcan"}


def test_a_new_folder_inherits_the_rights_of_the_one_above(place: Place) -> None:
    user = place.new_user()
    place.apply(
        user,
        CreateMailbox(()),
        CreateMailbox(("Team",)),
        SetAcl(("Team",), "kim", "lrs"),
        CreateMailbox(("Team", "2026")),
    )
    assert place.acl(user, ("Team", "2026")) == {user: OWNER, "kim": "lrs"}


def test_missing_parents_are_made_too(place: Place) -> None:
    user = place.new_user()
    assert place.apply(user, CreateMailbox(()), CreateMailbox(("A", "B", "C"))).failed == ()
    parents = {("A",), ("A", "B")}
    if version() < (3, 6) and "@" in user:  # whose LIST leaves them out in another domain
        parents = set()
    assert place.folders(user) == {(), *parents, ("A", "B", "C")}


def test_a_standing_folder_gets_its_special_use_from_its_owner(place: Place) -> None:
    user = place.new_user()
    place.apply(user, CreateMailbox(()), CreateMailbox(("Papierkorb",)))
    wanted = tree(Folder(("Papierkorb",), special_use="\\Trash"))
    assert place.make(user, wanted).failed == ()
    assert place.special_use(user) == {("Papierkorb",): "\\Trash"}


def test_a_special_use_that_the_user_gave_to_another_folder_is_skipped(place: Place) -> None:
    user = place.new_user()
    place.make(user, tree(Folder(("Mine",), special_use="\\Trash"), Folder(("Theirs",))))
    report = place.make(user, tree(Folder(("Theirs",), special_use="\\Trash")))
    assert report.failed == ()
    assert [action for action, _ in report.skipped] == [SetSpecialUse(("Theirs",), "\\Trash")]
    assert place.special_use(user) == {("Mine",): "\\Trash"}


def test_a_special_use_below_the_first_level_is_skipped(place: Place) -> None:
    user = place.new_user()
    create = CreateMailbox(("A", "B"), "\\Sent")
    report = place.apply(user, CreateMailbox(()), CreateMailbox(("A",)), create)
    assert [action for action, _ in report.skipped] == [create]
    assert report.failed == ()


@pytest.mark.parametrize("name", ["Secret", "No Such Folder", "No/Such/Folder", "bad%name"])
def test_a_shared_folder_that_is_not_for_the_user_is_skipped(place: Place, name: str) -> None:
    user = place.new_user()
    report = place.make(user, tree(shared=(name, "Announcements/Sport")))
    assert report.failed == ()
    assert [action for action, _ in report.skipped] == [SubscribeShared(name)]
    assert place.subscribed_shared(user) == {"Announcements/Sport"}


def test_a_subscription_to_a_folder_that_does_not_stand_fails(place: Place) -> None:
    user = place.new_user()
    report = place.apply(user, CreateMailbox(()), Subscribe(("Nope",)), Subscribe(()))
    assert [action for action, _ in report.failed] == [Subscribe(("Nope",))]
    assert report.usable
    assert place.subscribed(user) == {()}


def test_rights_on_a_folder_that_does_not_stand_fail_and_the_rest_is_done(place: Place) -> None:
    user = place.new_user()
    grant = SetAcl(("Nope",), "anyone", "lr")
    report = place.apply(user, CreateMailbox(()), grant, CreateMailbox(("Sent",)))
    assert [action for action, _ in report.failed] == [grant]
    assert report.usable
    assert place.folders(user) == {(), ("Sent",)}


def test_a_partition_that_is_not_there_fails_and_the_rest_is_done(place: Place) -> None:
    user = place.new_user()
    create = CreateMailbox(("Big",), None, "nosuch")
    report = place.apply(user, CreateMailbox(()), create, CreateMailbox(("Sent",)))
    assert [action for action, _ in report.failed] == [create]
    assert place.folders(user) == {(), ("Sent",)}


def test_where_inbox_fails_nothing_else_is_tried(place: Place) -> None:
    user = place.new_user()
    plan = Plan(
        user,
        "some policy",
        (
            CreateMailbox((), None, "nosuch"),
            SetQuota(Quota(storage=1)),
            CreateMailbox(("Sent",)),
            Subscribe(("Sent",)),
            SubscribeShared("Announcements"),
        ),
    )
    report = place.store.apply(plan)
    assert tuple(action for action, _ in report.failed) == plan.actions
    assert all(error.startswith("not tried: create INBOX") for _, error in report.failed[1:])
    assert not report.usable
    assert report.skipped == ()
    assert place.store.exists(user) is False


def test_where_the_quota_fails_nothing_else_is_tried(place: Place) -> None:
    user = place.new_user()
    plan = Plan(user, "", (SetQuota(Quota(storage=1)), CreateMailbox(()), Subscribe(())))
    report = place.store.apply(plan)
    assert tuple(action for action, _ in report.failed) == plan.actions
    assert not report.usable
    assert place.store.exists(user) is False


def test_a_folder_without_inbox_is_refused(place: Place) -> None:
    user = place.new_user()
    report = place.apply(user, CreateMailbox(("Sent",)))
    assert [action for action, _ in report.failed] == [CreateMailbox(("Sent",))]
    assert place.folders(user) == set()


@pytest.mark.parametrize(
    "user",
    [
        "", "-joe", "anyone", "anonymous", "jo/e", "jo*", "jo%", "jo&e", "jo:e", "jo?", 'jo"e',
        "jo\\e", "jo{5}", "jo\r\nX", "jo\0e", "jörg", "jo\udce9", " joe", "joe ", "@other.test",
        "joe@", "a@b@c", "j" * 300,
    ],
    ids=ascii,
)  # fmt: skip
def test_an_impossible_user_is_refused(place: Place, user: str) -> None:
    with pytest.raises(Refused):
        place.store.exists(user)
    with pytest.raises(Refused):
        place.store.observe(user, WHOLE)
    plan = difference(user, "", WHOLE, Tree())
    report = place.store.apply(plan)
    assert {action for action, _ in report.failed} == set(plan.actions)
    assert not report.usable
    assert [action for action, _ in place.apply(user, Subscribe(())).failed] == [Subscribe(())]


@pytest.mark.parametrize(
    "path",
    [
        ("",), ("a", ""), ("a/b",), ("a%b",), ("a*b",), ("a\r\nb",), ("a\0b",), ("a\u200bb",), ("a@b",),
        ("a!b",), ('a"b',), ("a\\b",), ("a\udce9b",), ("INBOX",), ("inbox", "Sent"), ("x" * 600,),
        ("ü" * 300,),
    ],
    ids=lambda path: ascii(path)[:20],
)  # fmt: skip
def test_an_impossible_folder_is_skipped_with_all_that_it_is_about(
    place: Place, path: tuple[str, ...]
) -> None:
    user = place.new_user()
    report = place.apply(
        user,
        CreateMailbox(()),
        CreateMailbox(path),
        SetAcl(path, "anyone", "lr"),
        CreateMailbox(("Sent",)),
        Subscribe(path),
        SetSpecialUse(path, "\\Junk"),
    )
    assert [action for action, _ in report.skipped] == [
        CreateMailbox(path),
        SetAcl(path, "anyone", "lr"),
        Subscribe(path),
        SetSpecialUse(path, "\\Junk"),
    ]
    assert report.failed == ()
    assert place.folders(user) == {(), ("Sent",)}
    wanted = tree(Folder(path, subscribe=True), Folder(("Sent",)))
    observed = place.store.observe(user, wanted)
    assert [folder.path for folder in observed.folders] == [(), ("Sent",)]


def test_a_folder_below_one_that_is_skipped_is_skipped_too(place: Place) -> None:
    user = place.new_user()
    long = ("x" * 470,)
    report = place.apply(
        user, CreateMailbox(()), CreateMailbox(long, "\\Sent"), CreateMailbox((*long, "a" * 13))
    )
    assert report.failed == ()
    assert {action.path for action, _ in report.skipped if isinstance(action, CreateMailbox)} >= {
        (*long, "a" * 13)
    }


def test_a_shared_folder_with_an_impossible_name_is_observed_as_missing(place: Place) -> None:
    user = place.new_user()
    place.apply(user, CreateMailbox(()))
    assert place.store.observe(user, tree(shared=("bad%name",))).shared == ()


@pytest.mark.parametrize("identifier", ["jörg", "a\r\nb", "a\0b"], ids=ascii)
def test_an_impossible_identifier_is_skipped_alone(place: Place, identifier: str) -> None:
    user = place.new_user()
    grant = SetAcl((), identifier, "lr")
    report = place.apply(user, CreateMailbox(()), grant, CreateMailbox(("Sent",)))
    assert [action for action, _ in report.skipped] == [grant]
    assert report.failed == ()
    assert place.acl(user) == {user: OWNER}
    assert place.folders(user) == {(), ("Sent",)}

"""The tree that the keys of a policy make."""

from __future__ import annotations

from autocreate.config.policy import Folder as FolderSettings
from autocreate.config.policy import Policy
from autocreate.tree.values import UNLIMITED, Folder, Quota, Tree


def test_a_policy_that_says_nothing_gives_an_inbox() -> None:
    assert Policy(name="p").tree() == Tree((Folder(),))


def test_every_key_of_a_folder_reaches_the_tree() -> None:
    settings = FolderSettings(
        name="Sent",
        special_use="\\Sent",
        subscribe=True,
        acl={"anyone": "p", "staff": "lr"},
        partition="fast",
    )
    assert Policy(name="p", folders=(settings,)).tree().folders[1] == Folder(
        ("Sent",),
        special_use="\\Sent",
        subscribe=True,
        acl=(("anyone", "p"), ("staff", "lr")),
        partition="fast",
    )


def test_inbox_comes_first_and_may_say_more_about_itself() -> None:
    folders = (FolderSettings(name="Sent"), FolderSettings(name="INBOX", subscribe=True))
    tree = Policy(name="p", folders=folders, partition="fast").tree()
    assert tree.folders == (Folder(subscribe=True, partition="fast"), Folder(("Sent",)))
    own = (FolderSettings(name="INBOX", partition="slow"),)
    assert Policy(name="p", folders=own).tree().folders == (Folder(partition="slow"),)


def test_0_is_no_limit_and_a_limit_that_is_not_given_is_none() -> None:
    assert Policy(name="p", quota=0, quota_messages=7).tree().quota == Quota(UNLIMITED, 7)
    assert Policy(name="p", quota=2 << 20).tree().quota == Quota(2 << 20)


def test_shared_folders_reach_the_tree() -> None:
    assert Policy(name="p", subscribe_shared=("News", "*")).tree().shared == ("News", "*")

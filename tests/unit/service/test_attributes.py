"""A policy takes the quota and the partition from what an account's entry says."""

from __future__ import annotations

import pytest

from autocreate.core.policy import AttributeOverrides, Policy
from autocreate.core.sizes import parse_size
from autocreate.model import Account
from autocreate.tree.values import UNLIMITED, Folder, Quota, Tree

DEFAULT = Tree((Folder(partition="small"), Folder(("Sent",))), Quota(storage=100, messages=7))
POLICY = Policy("all", DEFAULT, entry=AttributeOverrides("mailQuota", "K", "mailPartition"))


def tree_for(policy: Policy, *attributes: tuple[str, str]) -> tuple[Tree, tuple[str, ...]]:
    return policy.tree_for(Account("joe", "people", attributes), lambda: (3, 10))


def test_the_entry_decides_where_it_says_something() -> None:
    tree, problems = tree_for(POLICY, ("mailquota", "2G"), ("mailpartition", "big"))
    assert tree == Tree(
        (Folder(partition="big"), Folder(("Sent",))), Quota(storage=2 << 20, messages=7)
    )
    assert problems == ()


def test_the_entry_decides_at_which_backend_of_a_murder_inbox_is_created() -> None:
    tree = Tree((Folder(server="b1"), Folder(("Sent",))))
    policy = Policy("all", tree, entry=AttributeOverrides(server="mailHost"))
    assert tree_for(policy)[0] == tree
    named, problems = tree_for(policy, ("mailhost", "b2.example.org"))
    assert (named.folders[0].server, named.folders[1].server) == ("b2.example.org", None)
    assert problems == ()
    unnamed, (problem,) = tree_for(policy, ("mailhost", "b2 b3"))
    assert unnamed == tree
    assert problem == "attribute mailHost is not the name of a server; policy 'all' decides"


@pytest.mark.parametrize("nothing", ["0", "0M", "0 GB", "00"])
def test_0_is_no_limit(nothing: str) -> None:
    tree, problems = tree_for(POLICY, ("mailquota", nothing))
    assert (tree.quota, problems) == (Quota(storage=UNLIMITED, messages=7), ())


def test_the_policy_decides_where_the_entry_says_nothing() -> None:
    assert tree_for(POLICY, ("mail", "joe@example.org")) == (DEFAULT, ())


@pytest.mark.parametrize(
    "attributes",
    [
        (("mailquota", "lots"),),
        (("mailquota", "-5"),),
        (("mailquota", ""),),
        (("mailquota", "2048G"),),  # would end Cyrus's imapd
        (("mailquota", "1G"), ("mailquota", "2G")),
        (("mailpartition", "no such/place"),),
        (("mailpartition", ""),),
    ],
)
def test_what_makes_no_sense_is_said_and_the_policy_decides(
    attributes: tuple[tuple[str, str], ...],
) -> None:
    tree, problems = tree_for(POLICY, *attributes)
    assert tree == DEFAULT
    assert len(problems) == 1
    assert attributes[0][0] in problems[0].lower()


def test_a_policy_without_attributes_does_not_look_at_the_entry() -> None:
    assert tree_for(Policy("all", DEFAULT), ("mailquota", "1G")) == (DEFAULT, ())


@pytest.mark.parametrize(
    ("text", "unit", "kib"),
    [
        ("1048576", "B", 1024),
        ("1", "B", 1),
        ("500", "M", 500 << 10),
        ("500M", "B", 500 << 10),
        ("2 GiB", "K", 2 << 20),
        ("0", "K", 0),
    ],
)
def test_a_bare_number_counts_the_unit_that_the_administrator_says(
    text: str, unit: str, kib: int
) -> None:
    assert parse_size(text, unit) == kib


@pytest.mark.parametrize("text", ["", "G", "1.5G", "٣", "2G\n3"])
def test_a_size_is_digits_and_a_unit(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)

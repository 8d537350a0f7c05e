"""Mail to a user of a directory makes the mailbox that the user's own entry calls for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.contract.lmtp import deliver
from tests.integration.conftest import code
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product
from tests.servers.slapd import Slapd, ldap_source

POLICIES: list[dict[str, Any]] = [
    {"name": "staff", "groups": ["staff"], "folders": [{"name": "Staff"}]},
    {
        "name": "everyone",
        "quota": "2G",
        "quota_attribute": "mailQuota",
        "quota_unit": "M",
        "partition_attribute": "mailPartition",
        "folders": [{"name": "Sent"}],
    },
]


@pytest.fixture(scope="module")
def product(cyrus: Cyrus) -> Iterator[Product]:
    with Slapd() as slapd, Product(cyrus, policies=POLICIES) as made:
        users = ("ldap-own", "ldap-none", "ldap-odd", "ldap-zero")
        slapd.put({**dict.fromkeys(users, ()), "ldap-staff": ["staff"]})
        slapd.set("ldap-own", mailQuota="300", mailPartition="archive")
        slapd.set("ldap-odd", mailQuota="plenty")
        slapd.set("ldap-zero", mailQuota="0")
        attributes = ["mailQuota", "mailPartition"]
        people = ldap_source(slapd, made.folder, attributes=attributes, member_of="memberOf")
        made.configure({"accounts": {"people": people}})
        made.start()
        yield made


def test_the_entry_says_quota_and_partition_of_the_whole_tree(
    product: Product, cyrus: Cyrus
) -> None:
    assert code(product, "ldap-own") == 0
    assert cyrus.quota("user/ldap-own") == {"STORAGE": 300 << 10}
    assert cyrus.partition("user/ldap-own") == "archive"
    assert cyrus.partition("user/ldap-own/Sent") == "archive"


def test_the_policy_says_what_the_entry_does_not(product: Product, cyrus: Cyrus) -> None:
    assert code(product, "ldap-none") == 0
    assert cyrus.quota("user/ldap-none") == {"STORAGE": 2 << 20}
    assert cyrus.partition("user/ldap-none") == "default"


def test_a_quota_of_0_in_the_entry_is_no_limit_and_mail_comes_in(
    product: Product, cyrus: Cyrus
) -> None:
    assert code(product, "ldap-zero") == 0
    assert cyrus.quota("user/ldap-zero") == {}
    deliver(cyrus, "ldap-zero", "Subject: here\r\n\r\nhello\r\n")
    assert b"Subject: here" in cyrus.messages("ldap-zero")[0]


def test_an_entry_that_makes_no_sense_is_in_the_log_and_holds_up_nobodys_mail(
    product: Product, cyrus: Cyrus
) -> None:
    assert code(product, "ldap-odd") == 0
    assert cyrus.quota("user/ldap-odd") == {"STORAGE": 2 << 20}
    product.wait_for_log(r"^ERROR ldap-odd: attribute mailQuota is not a size")


def test_a_group_of_the_directory_chooses_the_policy(product: Product, cyrus: Cyrus) -> None:
    assert code(product, "ldap-staff") == 0
    assert cyrus.mailboxes("user/ldap-staff*") == {"user/ldap-staff", "user/ldap-staff/Staff"}


def test_who_is_not_in_the_directory_is_unknown(product: Product) -> None:
    assert code(product, "ldap-nobody") == 550

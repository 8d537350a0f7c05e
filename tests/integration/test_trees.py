"""What an account's entry fills in: the language of folders, names, annotations, the script; on a real Cyrus."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.lmtp import deliver
from tests.integration.conftest import code
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product
from tests.servers.slapd import Slapd, ldap_source

EXPIRE = "/shared/vendor/cmu/cyrus-imapd/expire"
CYR_EXPIRE = Path("/usr/lib/cyrus/bin/cyr_expire")
OLD = b"Subject: old\r\nDate: Mon, 01 Jan 2018 10:00:00 +0000\r\n\r\nold\r\n"
SCRIPT = b"""require ["fileinto"];
if header :contains "subject" "lists" { fileinto "INBOX/{departmentNumber}"; }
"""
NO_COLOR = "policy everyone: annotate Junk with /shared/vendor/example/color 'red'"
ODD = 'a"; discard; #'


def policy(script: Path) -> dict[str, Any]:
    return {
        "name": "everyone",
        "language_attribute": "preferredLanguage",
        "sieve": str(script),
        "sieve_placeholders": True,
        "folders": [
            {
                "name": {"en": "Sent", "de": "Gesendet", "el": "Απεσταλμένα"},
                "special_use": "\\Sent",
                "subscribe": True,
            },
            {
                "name": "Junk",
                "special_use": "\\Junk",
                "annotations": {
                    "/vendor/cmu/cyrus-imapd/expire": "30",
                    "/vendor/example/color": "red",  # this Cyrus does not have it
                    "/private/comment": "of {user}, {departmentNumber}",
                },
            },
            {"name": "{departmentNumber}"},
        ],
    }


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    with Slapd() as made:
        names = ("german", "greek", "english", "moved", "removed", "odd", "path", "late")
        made.put(dict.fromkeys((f"tree-{it}" for it in names), ()))
        made.set("tree-german", preferredLanguage="de-AT, en;q=0.5", departmentNumber="Physik")
        made.set("tree-greek", preferredLanguage="el", departmentNumber="Φυσική")
        made.set("tree-moved", preferredLanguage="en", departmentNumber="Maths")
        made.set("tree-removed", preferredLanguage="en", departmentNumber="Maths")
        made.set("tree-odd", departmentNumber=ODD)
        made.set("tree-path", departmentNumber="../../cyrus")
        yield made


@pytest.fixture(scope="module")
def product(
    cyrus: Cyrus, slapd: Slapd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    script = tmp_path_factory.mktemp("scripts") / "students.sieve"
    script.write_bytes(SCRIPT)
    with Product(cyrus, policies=[policy(script)]) as made:
        attributes = ["preferredLanguage", "departmentNumber"]
        people = ldap_source(slapd, made.folder, attributes=attributes, cache_seconds=0.0)
        made.configure({"accounts": {"people": people}})
        made.start()
        yield made


def create(product: Product, user: str) -> None:
    assert code(product, user) == 0
    assert user not in product.unfinished()


def folders(cyrus: Cyrus, user: str) -> set[str]:
    """Without the one in which some releases keep scripts."""
    prefix = f"user/{user}/"
    return {it.removeprefix(prefix) for it in cyrus.mailboxes(f"{prefix}*")} - {"#sieve"}


def audit(product: Product, user: str) -> list[str]:
    told = product.run("audit", "--source", "people", "--trees", "--format", "json")
    assert told.returncode in (0, 1), told.stderr
    lines = map(json.loads, told.stdout.splitlines())
    return [line["detail"] for line in lines if line.get("user") == user]


def test_the_language_of_the_entry_names_the_folders(product: Product, cyrus: Cyrus) -> None:
    for user, sent, department in (
        ("tree-german", "Gesendet", "Physik"),
        ("tree-greek", "Απεσταλμένα", "Φυσική"),
    ):
        create(product, user)
        assert folders(cyrus, user) == {sent, "Junk", department}
        assert cyrus.special_use(user) == {f"INBOX/{sent}": "\\Sent", "INBOX/Junk": "\\Junk"}


def test_annotations_are_set_and_one_that_cyrus_lacks_costs_one_line(
    product: Product, cyrus: Cyrus
) -> None:
    create(product, "tree-german")
    assert cyrus.annotation("user/tree-german/Junk", EXPIRE) == "30"
    comment = cyrus.annotation("INBOX/Junk", "/private/comment", "tree-german")
    assert comment == "of tree-german, Physik"
    product.wait_for_log(
        r"^WARNING tree-german: could not annotate Junk with /shared/vendor/example/color 'red', will "
        r"not retry"
    )


def test_cyr_expire_expires_junk_and_nothing_else(product: Product, cyrus: Cyrus) -> None:
    create(product, "tree-german")
    for folder in ("INBOX/Junk", "INBOX/Gesendet"):
        with cyrus.session("tree-german") as imap:
            assert imap.append(folder, "", '"01-Jan-2018 10:00:00 +0000"', OLD)[0] == "OK"
    command = [CYR_EXPIRE, "-C", cyrus.imapd_conf_file, "-E", "1", "-u", "tree-german"]
    subprocess.run(["runuser", "-u", "cyrus", "--", *map(str, command)], check=True)
    assert cyrus.messages("tree-german", "INBOX/Junk") == []
    assert len(cyrus.messages("tree-german", "INBOX/Gesendet")) == 1


def test_without_the_attributes_the_rest_is_made_and_the_log_says_what_is_missing(
    product: Product, cyrus: Cyrus
) -> None:
    create(product, "tree-english")
    assert folders(cyrus, "tree-english") == {"Sent", "Junk"}
    assert cyrus.scripts("tree-english") == {}
    product.wait_for_log(
        r"^ERROR tree-english: policy 'everyone': the account has no value for {departmentnumber}; left "
        r"out: folder {departmentNumber}"
    )
    details = " ".join(audit(product, "tree-english"))
    assert "left out: sieve script students.sieve" in details


def test_a_change_of_language_makes_no_second_folder(
    product: Product, cyrus: Cyrus, slapd: Slapd
) -> None:
    create(product, "tree-moved")
    slapd.set("tree-moved", preferredLanguage="de", departmentNumber="Maths")
    assert audit(product, "tree-moved") == [NO_COLOR]
    assert folders(cyrus, "tree-moved") == {"Sent", "Junk", "Maths"}


def test_a_folder_that_was_removed_does_not_come_back_in_another_language(
    product: Product, cyrus: Cyrus, slapd: Slapd
) -> None:
    create(product, "tree-removed")
    cyrus.set_acl("user/tree-removed/Sent", cyrus.admin, "lrswipkxtecda")
    cyrus.delete("user/tree-removed/Sent")
    slapd.set("tree-removed", preferredLanguage="de", departmentNumber="Maths")
    assert audit(product, "tree-removed") == [NO_COLOR]


def test_a_value_is_never_a_command_of_the_script(product: Product, cyrus: Cyrus) -> None:
    create(product, "tree-odd")
    (script,) = cyrus.scripts("tree-odd").values()
    assert 'fileinto "INBOX/a\\"; discard; #";' in script.text.decode()
    assert folders(cyrus, "tree-odd") == {"Sent", "Junk"}


def test_a_value_is_never_a_path(product: Product, cyrus: Cyrus) -> None:
    create(product, "tree-path")
    assert folders(cyrus, "tree-path") == {"Sent", "Junk"}
    product.wait_for_log(r"^ERROR tree-path: .*left out: folder {departmentNumber}")


def test_apply_brings_annotations_and_filled_in_folders_to_existing_users(
    product: Product, cyrus: Cyrus, slapd: Slapd
) -> None:
    cyrus.create("user/tree-late")
    shown = product.run("apply", "--policy", "everyone", "--to", "tree-late")
    assert (
        "has no value for {departmentnumber}; left out: folder {departmentNumber}" in shown.stdout
    )
    slapd.set("tree-late", preferredLanguage="de", departmentNumber="Chemie")
    shown = product.run("apply", "--policy", "everyone", "--to", "tree-late")
    assert f"annotate Junk with {EXPIRE} '30'" in shown.stdout
    checksum = shown.stdout.split()[-1]
    product.run("apply", "--policy", "everyone", "--to", "tree-late", "--yes", checksum)
    assert folders(cyrus, "tree-late") == {"Gesendet", "Junk", "Chemie"}
    assert cyrus.annotation("user/tree-late/Junk", EXPIRE) == "30"
    assert audit(product, "tree-late") == [NO_COLOR]


def test_explain_shows_what_is_filled_in_what_exists_and_what_is_missing(product: Product) -> None:
    create(product, "tree-german")
    told = product.run("explain", "tree-german@example.org").stdout
    for line in (
        "create Gesendet as \\Sent",
        "annotate Junk with /private/comment 'of tree-german, Physik'",
        "Gesendet exists",
        f"Junk has {EXPIRE} '30'",
    ):
        assert line in told
    told = product.run("explain", "tree-odd@example.org").stdout
    assert "left out: folder {departmentNumber}" in told


def test_config_check_and_the_plan_name_an_annotation_that_cyrus_may_not_have(
    product: Product,
) -> None:
    told = product.run("config", "check").stdout
    assert (
        "notice: policy 'everyone': folder Junk: annotations: /shared/vendor/example/color" in told
    )


def test_columns_of_a_query_are_filled_in_and_every_user_has_a_compiled_script_of_their_own(
    cyrus: Cyrus, tmp_path: Path
) -> None:
    script = tmp_path / "students.sieve"
    script.write_bytes(SCRIPT.replace(b"departmentNumber", b"dept"))
    wanted = {
        "name": "everyone",
        "language_attribute": "lang",
        "sieve": str(script),
        "sieve_placeholders": True,
        "folders": [{"name": {"en": "Sent", "de": "Gesendet"}}, {"name": "{dept}"}],
    }
    query = (
        "SELECT userid, 'de-CH' AS lang, 'Of ' || userid AS dept FROM accounts WHERE userid = :user"
    )
    in_files = {"sieve": "files", "imapd_conf": str(cyrus.imapd_conf_file)}
    users = ("tree-sql-one", "tree-sql-two")
    with Product(cyrus, accounts=users, policies=[wanted]) as product:
        staff = {"type": "sql", "url": f"sqlite:///{product.database}", "query": query}
        product.configure({"cyrus": in_files, "accounts": {"staff": staff}})
        product.start()
        for user in users:
            create(product, user)
            assert folders(cyrus, user) == {"Gesendet", f"Of {user}"}
            deliver(cyrus, user, "Subject: lists\r\n\r\nfiled by bytecode\r\n")
            (message,) = cyrus.messages(user, f"INBOX/Of {user}")
            assert b"filed by bytecode" in message

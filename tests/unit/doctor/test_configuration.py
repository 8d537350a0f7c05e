"""What doctor reports about autocreate.toml itself."""

from __future__ import annotations

import pytest

from autocreate.doctor.configuration import impossible_folders, readable_passwords, unusable
from autocreate.doctor.findings import Gravity

PATH = "/etc/autocreate/autocreate.toml"
URLS = {
    "journal": "sqlite:////var/lib/autocreate/journal.db",
    "accounts.people": "postgresql://mail:hush@db.test/mail",
    "aliases.lists": "postgresql://mail@db.test/mail",
}


def test_each_mistake_is_a_critical_finding() -> None:
    found = unusable(["milter.deadlin: unknown key", "cyrus.port: must be greater than 0"])
    assert [(it.gravity, it.what) for it in found] == [
        (Gravity.CRITICAL, "milter.deadlin: unknown key"),
        (Gravity.CRITICAL, "cyrus.port: must be greater than 0"),
    ]
    assert "autocreate config check" in found[0].remedy


@pytest.mark.parametrize(
    ("mode", "is_found"), [(0o100644, True), (0o100604, True), (0o100640, False)]
)
def test_a_password_is_found_if_everyone_can_read_it(mode: int, is_found: bool) -> None:
    found = list(readable_passwords(PATH, mode, URLS))
    assert [it.what for it in found] == [
        f"{PATH} is readable by everyone, and accounts.people.url has a password in it"
    ] * is_found
    assert "hush" not in str(found)


def test_a_folder_that_cannot_exist_is_a_warning() -> None:
    (found,) = impossible_folders(["policy 'all': folders: folder 'INBOX.Sent' cannot exist here"])
    assert found.gravity is Gravity.WARNING
    assert "new users do not get this folder" in found.why

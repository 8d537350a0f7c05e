"""Accounts in a text file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autocreate.accounts.file import FileSource
from autocreate.backends import reloading_file
from autocreate.backends.regular_file import Opened, Rules, read_regular
from autocreate.core.naming import CYRUS_DEFAULTS, Users
from autocreate.errors import Temporary
from autocreate.model import Account
from tests.unit.clock import Clock

NOW = 1_000_000.0


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


def write(path: Path, content: str | bytes, when: float = NOW - 60.0) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (when, when))
    return path


def source(
    path: Path, clock: Clock, groups: Path | None = None, users: Users = CYRUS_DEFAULTS
) -> FileSource:
    return FileSource(
        "staff", users, path=path, groups=groups, format="lines", domains=(), clock=clock
    )


def test_one_user_a_line(tmp_path: Path, clock: Clock) -> None:
    users = source(write(tmp_path / "users", "# staff\n\n joe \nann.lee\r\nzoë\n"), clock)
    assert users.lookup("joe") == Account("joe", "staff")
    assert users.lookup("ann.lee") == Account("ann.lee", "staff")
    assert users.lookup("zoë") == Account("zoë", "staff")
    assert users.lookup("# staff") is None
    assert users.lookup("Joe") is None
    assert users.lookup("") is None


def test_passwd_and_group(tmp_path: Path, clock: Clock) -> None:
    passwd = write(
        tmp_path / "passwd", "joe:x:1000:100:Joe:/home/joe:/bin/sh\nann:x:1001:101::/:\n"
    )
    group = write(tmp_path / "group", "users:x:100:\nwheel:x:10:ann, joe\nempty:x:11:\n")
    users = source(passwd, clock, group)
    assert users.groups(Account("joe", "staff")) == {"users", "wheel"}
    assert users.groups(Account("ann", "staff")) == {"wheel"}


def test_without_a_groups_file_nobody_is_in_one(tmp_path: Path, clock: Clock) -> None:
    users = source(write(tmp_path / "users", "joe\n"), clock)
    assert users.groups(Account("joe", "staff")) == frozenset()


def test_a_byte_order_mark_is_no_part_of_the_first_user(tmp_path: Path, clock: Clock) -> None:
    assert source(write(tmp_path / "users", b"\xef\xbb\xbfjoe\n"), clock).lookup("joe")


@pytest.mark.parametrize("content", ["", "\n", "# nobody yet\n"])
def test_the_no_of_an_empty_file_is_temporary(tmp_path: Path, clock: Clock, content: str) -> None:
    with pytest.raises(Temporary, match="users is empty; it may be incomplete"):
        source(write(tmp_path / "users", content), clock).lookup("joe")


def test_the_no_of_a_fresh_file_is_temporary_and_its_yes_is_none(
    tmp_path: Path, clock: Clock
) -> None:
    users = source(write(tmp_path / "users", "joe\n", when=NOW), clock)
    assert users.lookup("joe")
    clock.now += 1.9
    with pytest.raises(
        Temporary, match="was changed less than 2 seconds ago and may be incomplete"
    ):
        users.lookup("ann")
    clock.now += 0.1
    assert users.lookup("ann") is None


def test_the_last_name_of_a_fresh_file_may_be_a_part_of_one(tmp_path: Path, clock: Clock) -> None:
    users = source(write(tmp_path / "users", "ann\njoe", when=NOW), clock)
    assert users.lookup("ann")
    with pytest.raises(Temporary, match="was changed less than 2 seconds ago"):
        users.lookup("joe")
    clock.now += 2.0
    assert users.lookup("joe")


# -- groups ---------------------------------------------------------------------------------------

JOE = Account("joe", "staff")


def grouped(folder: Path, clock: Clock, groups: str, when: float = NOW - 60.0) -> FileSource:
    return source(write(folder / "users", "joe\n"), clock, write(folder / "group", groups, when))


def test_who_is_in_no_group_of_a_settled_file_is_in_none(tmp_path: Path, clock: Clock) -> None:
    assert grouped(tmp_path, clock, "wheel:x:10:ann\n").groups(JOE) == frozenset()


@pytest.mark.parametrize("content", ["", "\n", "# no groups yet\n"])
def test_the_groups_of_an_empty_file_are_temporary(
    tmp_path: Path, clock: Clock, content: str
) -> None:
    with pytest.raises(Temporary, match="group is empty; it may be incomplete"):
        grouped(tmp_path, clock, content).groups(JOE)


@pytest.mark.parametrize("content", ["wheel:x:10:joe\n", "users:x:100:ann\nwhe"])
def test_the_groups_of_a_fresh_file_are_temporary_whatever_it_has_already(
    tmp_path: Path, clock: Clock, content: str
) -> None:
    users = grouped(tmp_path, clock, content, when=NOW)
    with pytest.raises(Temporary, match="group was changed less than 2 seconds ago"):
        users.groups(JOE)
    clock.now += 2.0
    assert users.groups(JOE) == ({"wheel"} if "joe" in content else frozenset())


GROUP = "wheel:x:10:joe\nusers:x:100:\nlarge:x:1000:\n"


def with_passwd(folder: Path, clock: Clock, passwd: str, when: float = NOW - 60.0) -> FileSource:
    return source(write(folder / "passwd", passwd, when), clock, write(folder / "group", GROUP))


@pytest.mark.parametrize(
    "passwd",
    [
        "joe:x",
        "joe:x:1000",
        "joe:x:1000:",
        "joe:x:1000:100",
        "ann:x:1001:100::/:\njoe:x:1000",
        "joe:x:1000\nann:x:1001:100::/:\n",
    ],
)
def test_a_passwd_line_that_ends_before_its_group_is_temporary_about_groups(
    tmp_path: Path, clock: Clock, passwd: str
) -> None:
    users = with_passwd(tmp_path, clock, passwd)
    assert users.lookup("joe") == JOE
    with pytest.raises(Temporary, match="passwd: the line of 'joe' ends before its group"):
        users.groups(JOE)


@pytest.mark.parametrize(
    ("passwd", "groups"),
    [
        ("joe:x:1000:100\n", {"wheel", "users"}),
        ("joe:x:1000:100:", {"wheel", "users"}),
        ("joe:{PLAIN}x::::::\n", {"wheel"}),
        ("joe:$apr1$salt$hash\n", {"wheel"}),
        ("joe", {"wheel"}),
        ("joe\nann:x:1001:100::/:\n", {"wheel"}),
        ("ann:x:1001:100::/:\n", {"wheel"}),  # joe is known elsewhere
    ],
)
def test_a_line_that_has_no_number_of_a_group_to_come_is_no_uncertainty(
    tmp_path: Path, clock: Clock, passwd: str, groups: set[str]
) -> None:
    assert with_passwd(tmp_path, clock, passwd).groups(JOE) == groups


@pytest.mark.parametrize("passwd", ["ann:x:1001:100::/:\n", "ann:x:1001:100::/:\njoe"])
def test_the_primary_group_of_whom_a_fresh_file_lacks_is_temporary(
    tmp_path: Path, clock: Clock, passwd: str
) -> None:
    users = with_passwd(tmp_path, clock, passwd, when=NOW)
    assert users.groups(Account("ann", "staff")) == {"users"}
    with pytest.raises(Temporary, match="passwd was changed less than 2 seconds ago"):
        users.groups(JOE)


def test_the_primary_group_of_whom_an_empty_file_lacks_is_temporary(
    tmp_path: Path, clock: Clock
) -> None:
    with pytest.raises(Temporary, match="passwd is empty"):
        with_passwd(tmp_path, clock, "").groups(JOE)


def test_a_file_that_changes_is_read_again(tmp_path: Path, clock: Clock) -> None:
    users = source(write(tmp_path / "users", "joe\n"), clock)
    assert users.lookup("ann") is None
    write(tmp_path / "users.new", "ann\n").replace(tmp_path / "users")
    assert users.lookup("ann")
    assert users.lookup("joe") is None


def test_a_file_that_changes_while_it_is_read_is_temporary(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "users", "joe\n")
    users = source(path, clock)

    def interrupted(name: Path, rules: Rules) -> Opened:
        opened = read_regular(name, rules)
        write(path, "joe\nann\n")
        return opened

    with monkeypatch.context() as patch:
        patch.setattr(reloading_file, "read_regular", interrupted)
        with pytest.raises(Temporary, match="changes while it is read"):
            users.lookup("ann")
    assert users.lookup("ann")


@pytest.mark.parametrize(
    ("content", "reason"), [(b"jos\xe9\n", "'utf-8' codec"), (None, "No such file")]
)
def test_a_file_that_cannot_be_read_is_temporary(
    tmp_path: Path, clock: Clock, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "users"
    if content is not None:
        write(path, content)
    with pytest.raises(Temporary, match=f"users cannot be read: .*{reason}"):
        source(path, clock).lookup("joe")


AS_WRITTEN = Users(to_lower=False, logins_to_lower=False)


@pytest.mark.parametrize(
    ("users", "user", "name"),
    [
        (CYRUS_DEFAULTS, "klee", "KLee"),
        (CYRUS_DEFAULTS, "ann", ""),
        (AS_WRITTEN, "KLee", ""),
        (AS_WRITTEN, "Ann", None),
        (AS_WRITTEN, "Klee", None),
    ],
)
def test_capitals_count_as_cyrus_counts_them(
    tmp_path: Path, clock: Clock, users: Users, user: str, name: str | None
) -> None:
    path = write(tmp_path / "users", "KLee:x:1000:100:::\nann:x:1001:101:::\nAnn:x:1002:102:::\n")
    if users is AS_WRITTEN:
        path = write(path, path.read_text().replace("Ann", "Bob"))
    group = write(tmp_path / "group", "users:x:100:\nannies:x:101:\nwheel:x:10:KLee,Ann\n")
    accounts = source(path, clock, group, users)
    found = accounts.lookup(user)
    assert found == (None if name is None else Account(user, "staff"))
    if found:
        assert found.name == name
        mine = {"klee": {"users", "wheel"}, "ann": {"annies", "wheel"}}
        assert accounts.groups(found) == mine[user.lower()]


def test_an_account_that_mail_cannot_reach_is_temporary(tmp_path: Path, clock: Clock) -> None:
    path = write(tmp_path / "users", "KLee\n")
    accounts = source(path, clock, users=Users(logins_to_lower=False))
    with pytest.raises(Temporary, match="lmtp_downcase_rcpt or username_tolower is off"):
        accounts.lookup("klee")

"""How the services behind the users of the machine break, and that a break is never taken for a no.

`hesiod` comes with the C library. As nobody has configured it, it answers as SSSD does when it is away: unavailable.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.errors import Temporary
from autocreate.model import Account

from .databases import Nss, moved_away
from .elsewhere import configure, private_etc

JOE = Account("joe", "it")
NOBODY = "nobody-of-this-name"

# Of the C library itself, as Debian has it, and as it was in old times.
LINES = ["files", "files systemd", "compat systemd"]


@pytest.fixture(params=LINES)
def nss(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nss]:
    """Users `joe`, in the group `staff` besides `users`, and `daemon`, who is the system's."""
    with private_etc(tmp_path, services=request.param) as source:
        yield _filled(Nss(tmp_path, source), tmp_path)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Nss]:
    """As `nss`; what nsswitch.conf(5) says is the test's to write."""
    with private_etc(tmp_path, libraries=tmp_path) as source:
        yield _filled(Nss(tmp_path, source), tmp_path)


def _filled(database: Nss, etc: Path) -> Nss:
    database.put({"joe": ["staff"]})
    with (etc / "passwd").open("a") as passwd, (etc / "group").open("a") as group:
        passwd.write("daemon:x:1:1:::\n")
        group.write("users:x:100:\n")
    return database


def _is_temporary(database: Nss, *users: str) -> None:
    for user in users or ("joe", NOBODY):
        with pytest.raises(Temporary):
            database.source.lookup(user)


BROKEN = ["", "joe\n", "joe:x:no number:100:::\n", "\0\0\0", "\xff\n"]


@pytest.mark.parametrize("content", BROKEN)
def test_a_passwd_file_that_is_broken_is_temporary(nss: Nss, tmp_path: Path, content: str) -> None:
    (tmp_path / "passwd").write_text(content, encoding="latin-1")
    _is_temporary(nss)
    nss.put({"joe": []})
    assert nss.source.lookup("joe") == JOE
    assert nss.source.lookup(NOBODY) is None


def test_a_passwd_file_that_is_missing_is_temporary(nss: Nss, tmp_path: Path) -> None:
    with moved_away(tmp_path / "passwd"):
        _is_temporary(nss)
        with pytest.raises(Temporary):
            nss.source.groups(JOE)
        with pytest.raises(Temporary):
            nss.source.names()
    assert nss.source.lookup("joe") == JOE


def test_a_passwd_file_that_cannot_be_read_is_temporary(nss: Nss, tmp_path: Path) -> None:
    with moved_away(tmp_path / "passwd"):
        (tmp_path / "passwd").mkdir()
        _is_temporary(nss)
        (tmp_path / "passwd").rmdir()


def test_a_group_file_that_is_missing_is_temporary(nss: Nss, tmp_path: Path) -> None:
    assert nss.source.groups(JOE) == {"staff", "users"}
    with moved_away(tmp_path / "group"):
        assert nss.source.lookup("joe") == JOE
        with pytest.raises(Temporary, match="cannot look up groups"):
            nss.source.groups(JOE)
    assert nss.source.groups(JOE) == {"staff", "users"}


@pytest.mark.parametrize("content", ["", "staff\n", "staff:x:no number:joe\n", "\0\0\0", "\xff\n"])
def test_a_group_file_that_is_broken_is_temporary(nss: Nss, tmp_path: Path, content: str) -> None:
    (tmp_path / "group").write_text(content, encoding="latin-1")
    with pytest.raises(Temporary, match="cannot look up groups"):
        nss.source.groups(JOE)


def test_a_primary_group_that_has_no_name_is_left_out(nss: Nss) -> None:
    nss.put({"joe": ["staff"]})
    assert nss.source.groups(JOE) == {"staff"}


# Wherever it stands, a later service's no does not hide that it said nothing.
@pytest.mark.parametrize(
    "line", ["hesiod files", "files hesiod", "files hesiod systemd", "hesiod files systemd"]
)
def test_a_service_that_does_not_answer_is_temporary_about_whom_no_other_knows(
    plain: Nss, tmp_path: Path, line: str
) -> None:
    configure(tmp_path, f"passwd: {line}", "group: files")
    assert plain.source.lookup("joe") == JOE
    _is_temporary(plain, NOBODY)
    with pytest.raises(Temporary):
        plain.source.names()


def test_a_user_of_the_system_is_a_no_unless_a_service_before_might_know_another(
    plain: Nss, tmp_path: Path
) -> None:
    configure(tmp_path, "passwd: files hesiod", "group: files")
    assert plain.source.lookup("daemon") is None
    configure(tmp_path, "passwd: hesiod files", "group: files")
    _is_temporary(plain, "daemon")


@pytest.mark.parametrize(
    "line", ["hesiod files", "files hesiod", "files hesiod systemd", "hesiod files systemd"]
)
def test_a_service_that_does_not_tell_groups_is_temporary(
    plain: Nss, tmp_path: Path, line: str
) -> None:
    configure(tmp_path, "passwd: files", f"group: {line}")
    assert plain.source.lookup("joe") == JOE
    with pytest.raises(Temporary, match="cannot look up groups: hesiod: No such file"):
        plain.source.groups(JOE)


def test_who_is_in_which_group_may_have_a_line_of_its_own(plain: Nss, tmp_path: Path) -> None:
    configure(tmp_path, "passwd: files", "group: files", "initgroups: files hesiod")
    assert plain.source.groups(JOE) == {"staff", "users"}  # the first that knows some counts
    configure(tmp_path, "passwd: files", "group: files", "initgroups: hesiod files")
    with pytest.raises(Temporary, match="cannot look up groups"):
        plain.source.groups(JOE)


def test_a_service_that_is_not_installed_has_never_known_anyone(plain: Nss, tmp_path: Path) -> None:
    configure(tmp_path, "passwd: absent files absent", "group: files absent")
    assert plain.source.lookup("joe") == JOE
    assert plain.source.lookup(NOBODY) is None
    assert plain.source.groups(JOE) == {"staff", "users"}


def test_a_service_that_cannot_be_loaded_is_temporary(plain: Nss, tmp_path: Path) -> None:
    (tmp_path / "libnss_broken.so.2").write_bytes(b"\x7fELF and no more")
    configure(tmp_path, "passwd: files broken", "group: files broken")
    assert plain.source.lookup("joe") == JOE
    _is_temporary(plain, NOBODY)
    with pytest.raises(Temporary, match="broken: cannot be loaded"):
        plain.source.groups(JOE)


def test_where_no_service_is_installed_everyone_is_temporary(plain: Nss, tmp_path: Path) -> None:
    configure(tmp_path, "passwd: absent", "group: absent")
    _is_temporary(plain)
    configure(tmp_path, "passwd: files", "group: absent")
    with pytest.raises(Temporary):
        plain.source.groups(JOE)


def test_a_service_that_nsswitch_conf_passes_over_are_no_failure(
    plain: Nss, tmp_path: Path
) -> None:
    configure(tmp_path, "passwd: files [NOTFOUND=return] hesiod", "group: files")
    assert plain.source.lookup(NOBODY) is None
    configure(tmp_path, "passwd: files [!UNAVAIL=return] hesiod", "group: files")
    assert plain.source.lookup(NOBODY) is None


def test_without_a_line_or_a_file_all_are_in_files(plain: Nss, tmp_path: Path) -> None:
    configure(tmp_path, "hosts: files")
    assert plain.source.lookup(NOBODY) is None
    assert plain.source.groups(JOE) == {"staff", "users"}
    (tmp_path / "nsswitch.conf").unlink()
    assert plain.source.lookup("joe") == JOE
    assert plain.source.lookup(NOBODY) is None
    assert plain.source.groups(JOE) == {"staff", "users"}


def test_a_line_that_the_c_library_cannot_read_leaves_everyone_uncertain(
    plain: Nss, tmp_path: Path
) -> None:
    configure(tmp_path, "passwd: files [NOTFOUND=retrun]", "group: files")
    _is_temporary(plain)


def test_of_two_users_whom_cyrus_takes_for_one_the_one_that_it_spells_counts(
    nss: Nss, tmp_path: Path
) -> None:
    nss.put({"KLee": ["staff"], "klee": ["wheel"]})
    found = nss.source.lookup("klee")
    assert found == Account("klee", "it")
    assert found.name == ""
    assert nss.source.groups(found) == {"wheel"}
    nss.put({"KLee": ["staff"], "KLEE": ["wheel"]})
    with pytest.raises(Temporary, match="to Cyrus these are one user"):
        nss.source.lookup("klee")


def test_a_passwd_file_that_is_no_utf_8_hides_nobody(nss: Nss, tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_bytes(passwd.read_bytes() + b"KLee:x:2500:100:Kathy L\xe9e:::\n")
    found = nss.source.lookup("klee")
    assert found is not None
    assert found.name == "KLee"
    assert nss.source.lookup(NOBODY) is None


def test_a_user_of_the_system_whose_name_has_capitals_is_a_no(nss: Nss, tmp_path: Path) -> None:
    with (tmp_path / "passwd").open("a") as passwd:
        passwd.write("Debian-exim:x:101:105:::\n")
    assert nss.source.lookup("debian-exim") is None

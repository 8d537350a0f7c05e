"""The journal's SQLite file can be made by a shell command of root's and written by the milter.

The user whose folder it is can lead root nowhere with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.backends.owner_rights import Owner, owner_of, rights_of
from autocreate.errors import Temporary
from autocreate.service.journal import Journal

NOBODY = 65534
NAMES = ["journal.db", "journal.db-wal", "journal.db-shm"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of an unprivileged user's, who can reach it."""
    with tempfile.TemporaryDirectory(prefix="autocreate-test-") as made:
        os.chown(made, NOBODY, NOBODY)
        yield Path(made)


def used(path: Path) -> Journal:
    journal = Journal(f"sqlite:///{path}", time.time)
    journal.finish("joe")
    return journal


@pytest.mark.parametrize("name", NAMES)
def test_what_root_makes_belongs_to_the_owner_of_the_folder(folder: Path, name: str) -> None:
    journal = used(folder / "journal.db")
    assert (folder / name).stat().st_uid == NOBODY
    assert (folder / name).stat().st_gid == NOBODY
    assert not (folder / name).stat().st_mode & 0o007
    journal.close()


def test_a_file_that_is_there_keeps_its_owner(folder: Path) -> None:
    (folder / "journal.db").touch()
    Journal(f"sqlite:///{folder}/journal.db", time.time).close()
    assert (folder / "journal.db").stat().st_uid == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_link_of_the_owners_makes_nothing_where_the_owner_could_not(
    folder: Path, tmp_path: Path, name: str
) -> None:
    tmp_path.chmod(0o755)
    if name != "journal.db":
        used(folder / "journal.db").close()
    link_to(tmp_path / "made", folder / name)
    with pytest.raises(Temporary, match=r"journal\.db cannot be used: unable to open"):
        used(folder / "journal.db")
    assert not (tmp_path / "made").exists()


def test_a_link_of_the_owners_does_not_change_a_file_of_roots(folder: Path, tmp_path: Path) -> None:
    used(tmp_path / "other.db").close()
    before = (tmp_path / "other.db").read_bytes()
    (tmp_path / "other.db").chmod(0o644)
    link_to(tmp_path / "other.db", folder / "journal.db")
    with pytest.raises(Temporary):
        used(folder / "journal.db")
    assert (tmp_path / "other.db").read_bytes() == before
    assert {it.name for it in tmp_path.iterdir()} == {"other.db"}


def test_a_link_in_the_place_of_a_folder_leads_root_nowhere(folder: Path, tmp_path: Path) -> None:
    """The folder at its end is root's, but it is the owner of the link who chose it."""
    link_to(tmp_path, folder / "state")
    with pytest.raises(Temporary):
        used(folder / "state/journal.db")
    assert not list(tmp_path.iterdir())


def test_a_link_of_roots_is_followed(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="autocreate-test-") as made:
        Path(made).chmod(0o755)
        Path(made, "link").symlink_to(folder)
        used(Path(made, "link/journal.db")).close()
    assert (folder / "journal.db").stat().st_uid == NOBODY


def test_a_report_by_root_makes_nothing_at_the_end_of_a_link(folder: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    link_to(tmp_path / "made", folder / "journal.db")
    file = tmp_path / "autocreate.toml"
    file.write_text(
        '[milter]\nsocket = "unix:/run/none"\ndomains = ["example.org"]\n'
        '[cyrus]\nhost = "127.0.0.1"\nadmin = "cyrus"\n'
        f'password_file = "{tmp_path}/secret"\n'
        f'[journal]\nurl = "sqlite:///{folder}/journal.db"\n'
        f'[accounts.staff]\ntype = "file"\npath = "{tmp_path}/users"\n'
    )
    (tmp_path / "users").write_text("joe\n")
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "secret").chmod(0o600)
    done = subprocess.run(
        [Path(sys.executable).with_name("autocreate"), "report", "--config", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 75, done
    assert "journal.db cannot be used: unable to open" in done.stderr
    assert not (tmp_path / "made").exists()


def test_the_rights_of_an_owner_are_this_threads_and_end(folder: Path, tmp_path: Path) -> None:
    assert owner_of(folder / "journal.db") == Owner(NOBODY, NOBODY)
    assert owner_of(tmp_path / "journal.db") is None
    (tmp_path / "root").touch(0o600)
    with rights_of(Owner(NOBODY, NOBODY)), pytest.raises(PermissionError):
        (tmp_path / "root").open("rb")
    with (tmp_path / "root").open("rb"):
        assert os.geteuid() == 0


def link_to(target: Path, link: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)

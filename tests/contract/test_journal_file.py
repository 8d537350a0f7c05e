"""The journal's SQLite file can be made by a shell command of root's and written by the milter."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from autocreate.service.journal import Journal


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal", "journal.db-shm"])
def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path, name: str) -> None:
    os.chown(tmp_path, 65534, 65534)
    journal = Journal(f"sqlite:///{tmp_path}/journal.db", time.time)
    journal.finish("joe")
    assert (tmp_path / name).stat().st_uid == 65534
    assert (tmp_path / name).stat().st_gid == 65534
    assert not (tmp_path / name).stat().st_mode & 0o007
    journal.close()


def test_a_file_that_is_there_keeps_its_owner(tmp_path: Path) -> None:
    (tmp_path / "journal.db").touch()
    os.chown(tmp_path, 65534, 65534)
    Journal(f"sqlite:///{tmp_path}/journal.db", time.time).close()
    assert (tmp_path / "journal.db").stat().st_uid == 0

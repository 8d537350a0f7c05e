"""Root makes sockets, locks and folders in a user's folder with that user's rights."""

from __future__ import annotations

import grp
import os
import stat
import tempfile
from pathlib import Path

import pytest

from autocreate.backends.file_locks import FileLocks
from autocreate.backends.local_channel import LocalChannel
from autocreate.errors import Temporary
from autocreate.frontends.listener import listening

NOBODY = 65534


def test_a_socket_and_its_lock_belong_to_the_owner_of_the_folder() -> None:
    with tempfile.TemporaryDirectory(prefix="autocreate-test-") as folder:
        os.chown(folder, NOBODY, NOBODY)
        with listening("milter.socket", f"unix:{folder}/s", 0o666, "daemon"):
            found = os.lstat(f"{folder}/s")
            assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (NOBODY, 0o666)
            assert found.st_gid == grp.getgrnam("daemon").gr_gid
            assert os.lstat(f"{folder}/s.lock").st_uid == NOBODY
        with listening("milter.socket", f"unix:{folder}/s", 0o600, None):  # the lock is there now
            assert stat.S_IMODE(os.lstat(f"{folder}/s").st_mode) == 0o600


def test_what_lies_beside_a_journal_belongs_to_the_owner_of_the_folder() -> None:
    with tempfile.TemporaryDirectory(prefix="autocreate-test-") as name:
        os.chown(name, NOBODY, NOBODY)
        folder = Path(name)
        locks = FileLocks(folder / "journal.db-turns")
        assert locks.take("joe")
        channel = LocalChannel(folder / "journal.db-messages", 1.0)
        channel.open()
        channel.send(["hello"])
        assert channel.receive(5.0) == ["hello"]
        made = list(folder.rglob("*"))
        assert len(made) == 3  # with the socket in the folder
        assert {it.lstat().st_uid for it in made} == {NOBODY}
        for it in folder.iterdir():
            assert stat.S_IMODE(it.lstat().st_mode) & 0o077 == 0, it
        channel.close()
        locks.close()


def test_root_follows_no_link_that_the_owner_put_in_the_place_of_the_locks() -> None:
    with tempfile.TemporaryDirectory(prefix="autocreate-test-") as name:
        os.chown(name, NOBODY, NOBODY)
        elsewhere = Path(name, "elsewhere")
        Path(name, "journal.db-turns").symlink_to(elsewhere)
        with pytest.raises(Temporary, match=r"locks in .*journal\.db-turns: Too many levels"):
            FileLocks(Path(name, "journal.db-turns")).take("joe")
        assert not elsewhere.exists()

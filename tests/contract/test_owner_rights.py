"""Root makes the sockets in a user's folder with that user's rights."""

from __future__ import annotations

import grp
import os
import stat
import tempfile

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

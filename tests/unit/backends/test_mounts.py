"""Whether a file is on a file system of this machine, where no look at it waits for another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocreate.backends.mounts import is_on_this_machine

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:40 / /srv rw - nfs4 files.test:/srv rw,hard
31 30 254:1 / /srv/mail rw - xfs /dev/vdb rw
32 27 0:41 / /home rw - autofs systemd-1 rw
33 27 0:42 / /data\\040here rw - fuse.glusterfs volume rw
34 27 254:2 / /twice rw - xfs /dev/vdc rw
35 34 0:43 / /twice rw - cifs //files.test/x rw
a line of a later kernel
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("path", "is_ours"),
    [
        ("/etc/users", True),
        ("/srv/users", False),
        ("/srv", False),
        ("/srvs/users", True),
        ("/srv/mail/users", True),
        ("/home/joe/users", False),
        ("/data here/users", False),
        ("/twice/users", False),
        ("/proc/users", False),
    ],
)
def test_the_innermost_mount_decides(mounts: Path, path: str, is_ours: bool) -> None:
    assert is_on_this_machine(path, mounts) is is_ours


def test_a_link_is_where_it_leads(mounts: Path, tmp_path: Path) -> None:
    link = tmp_path / "users"
    link.symlink_to("/srv/users")
    assert not is_on_this_machine(link, mounts)


def test_what_cannot_be_told_may_be_another_machines(tmp_path: Path) -> None:
    assert not is_on_this_machine("/etc/users", tmp_path / "missing")


def test_this_machines_own_list_is_understood() -> None:
    assert not is_on_this_machine("/proc/self/mountinfo")

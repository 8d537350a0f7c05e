"""sendmail.cf, and the folders above the milter's socket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autocreate.doctor import probe_sendmail
from autocreate.doctor.probe_sendmail import examine
from tests.unit.doctor.examples import OURS

TEXT = "O InputMailFilters=a\nXa, S=local:{}, F=T, T=R:30s\n"


def test_a_socket_below_a_folder_that_others_may_write_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    socket = folder / "milter.sock"
    cf = tmp_path / "sendmail.cf"
    cf.write_text(TEXT.format(socket))
    ours = replace(OURS, socket=f"unix:{socket}")
    assert examine(cf, ours) == []  # it does not exist, which another check reports

    socket.touch()
    folder.chmod(0o777)
    (found,) = examine(cf, ours)
    # A folder above the test's own may be open to everyone, and comes first.
    assert found.what.startswith("others may write to /")
    assert found.what.endswith(f", and the milter's socket unix:{socket} is below it")


def test_a_file_that_cannot_be_read_is_critical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(probe_sendmail, "read_text", denied)
    (found,) = examine(tmp_path / "sendmail.cf", OURS)
    assert found.what == f"{tmp_path}/sendmail.cf cannot be read: Permission denied"

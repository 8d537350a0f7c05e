"""What another user puts in the place of a file neither stops us, nor fills memory, nor shows a secret."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from autocreate.backends.password_file import first_line
from autocreate.backends.regular_file import Rules, read_regular
from autocreate.backends.reloading_file import ReloadingFile
from autocreate.errors import MalformedValue, Temporary


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


HOSTILE: dict[str, Callable[[Path], None]] = {
    "a device, a FIFO or a socket": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
    "is larger than 268,435,456 bytes, the limit": sparse,
}


@pytest.mark.parametrize("words", HOSTILE)
def test_what_is_no_small_regular_file_is_a_temporary_error_at_once(
    words: str, tmp_path: Path
) -> None:
    HOSTILE[words](tmp_path / "it")
    begun = time.monotonic()
    tracemalloc.start()
    with pytest.raises(Temporary, match=words):
        ReloadingFile(tmp_path / "it", "".join).read()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4_000_000
    assert time.monotonic() - begun < 5.0


def test_a_password_in_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "secret")
    with pytest.raises(MalformedValue, match="is not a regular file"):
        first_line(tmp_path / "secret")


def test_a_link_in_a_loop_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        read_regular(tmp_path / "a", Rules())


def test_links_and_relative_paths_lead_where_the_system_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "real/file").write_text("here")
    (tmp_path / "link").symlink_to("real/deep")
    (tmp_path / "again").symlink_to(f"{tmp_path}/link/../file")
    monkeypatch.chdir(tmp_path)
    for path in ("link/../file", "./again", tmp_path / "again", "real//file"):
        assert read_regular(path, Rules()).data == b"here"


def test_a_file_that_everybody_may_write_is_refused_where_that_matters(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("joe")
    (tmp_path / "list").chmod(0o666)
    assert read_regular(tmp_path / "list", Rules()).data == b"joe"
    with pytest.raises(PermissionError, match="can be written by everybody: chmod o-w"):
        read_regular(tmp_path / "list", Rules(is_for_all=False))

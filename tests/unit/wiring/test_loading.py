"""Whoever serves mail reads the files before; a command does not, which may need none of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from autocreate.backends.reloading_file import ReloadingFile
from autocreate.config import load
from autocreate.wiring.service import build_service


@pytest.mark.parametrize("serves", [True, False])
def test_files_are_read_before_somebody_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serves: bool
) -> None:
    for name in ("secret", "users", "group", "domains", "aliases"):
        (tmp_path / name).touch(mode=0o600)
    (tmp_path / "autocreate.toml").write_text(f"""
[milter]
domains = ["example.org"]
[cyrus]
password_file = "{tmp_path}/secret"
[accounts.staff]
type = "file"
path = "{tmp_path}/users"
groups = "{tmp_path}/group"
[accounts.system]
type = "nss"
[domains.ours]
type = "file"
path = "{tmp_path}/domains"
[aliases.local]
type = "aliases"
path = "{tmp_path}/aliases"
[journal]
url = "sqlite:///{tmp_path}/journal.db"
""")
    (tmp_path / "secret").write_text("x\n")
    read: list[str] = []
    load_file = ReloadingFile.load

    def noted(file: ReloadingFile[object], until: float) -> None:
        assert until > time.monotonic() + 1.0
        load_file(file, until)
        read.append(file.path.name)

    monkeypatch.setattr(ReloadingFile, "load", noted)
    build_service(load(tmp_path / "autocreate.toml"), serves=serves).close()
    expected = ["users", "group", "passwd", "domains", "aliases"]
    assert read == (expected if serves else [])

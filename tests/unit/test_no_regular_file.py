"""What is no regular file, or an endless one, holds up no command and fills no memory.

Without care a FIFO is waited for until somebody writes to it, and a device is read until memory is full.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from autocreate.accounts import nsswitch
from autocreate.admin import aliases, scripts
from autocreate.config import load
from autocreate.config.places import Places
from autocreate.doctor import probe_postfix, probe_sendmail
from autocreate.doctor.findings import MilterSettings
from autocreate.doctor.site import MtaPaths
from autocreate.errors import ConfigurationError, Temporary
from autocreate.mailstore.sieve.files import Compiler

SETTINGS = MilterSettings("inet:localhost:8891", 8.0, frozenset(), frozenset(), "+")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.fixture(params=[fifo, huge])
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "file"
    make: Callable[[Path], None] = request.param
    make(path)
    return path


def test_the_configuration(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read: is (not a regular|larger)"):
        load(file)


def test_where_a_setting_is(file: Path) -> None:
    with pytest.raises(OSError, match=r"is (not a regular|larger)"):
        Places(file)


def test_nsswitch_conf(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsswitch, "_CONFIG", file)
    with pytest.raises(Temporary, match="cannot be read: is "):
        nsswitch.find("passwd", "getpwnam_r", b"anna", int)


def test_a_script_to_compile(file: Path, tmp_path: Path) -> None:
    with pytest.raises(Temporary, match=r"file: is (not a regular|larger)"):
        scripts.compile_file(Compiler(), file, tmp_path / "bytecode")


def test_sendmail_cf(file: Path) -> None:
    (finding,) = probe_sendmail.examine(file, SETTINGS)
    assert "cannot be read: is " in finding.what


def test_sendmail_cf_in_which_aliases_are_looked_for(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        list(aliases.detect(MtaPaths(tmp_path / "none", file)))


def test_mailname(file: Path, tmp_path: Path) -> None:
    def postconf(*command: str) -> str:
        return f"myorigin = {file}\n" if command[-1] == "-x" else ""

    found = probe_postfix.read_postfix(tmp_path, postconf)
    assert found.parameters["myorigin"] == str(file)

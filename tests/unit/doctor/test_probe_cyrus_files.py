"""Which files of Cyrus are checked, and what a file that cannot be read is."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocreate.core.naming import Users
from autocreate.doctor.cyrus import Expected
from autocreate.doctor.findings import Gravity
from autocreate.doctor.probe_cyrus_files import choose, examine
from autocreate.doctor.site import CyrusPaths, CyrusTarget
from autocreate.errors import ConfigurationError
from autocreate.imapdconf.services import read_entries
from autocreate.imapdconf.settings import CyrusFiles
from tests.unit.doctor.sites import SERVER, imapd_conf, tools

COMMAND = CyrusPaths(Path("/a/imapd.conf"), Path("/a/cyrus.conf"))
CONFIG = CyrusPaths(Path("/b/imapd.conf"), Path("/b/cyrus.conf"))
NONE = CyrusPaths()
TARGET = CyrusTarget(SERVER, None, Expected("cyrus", Users(), imap="inet:127.0.0.1:143"))
BOTH = CyrusPaths(Path("/etc/imapd.conf"), Path("/etc/cyrus.conf"))


@pytest.fixture
def usual(tmp_path: Path) -> CyrusPaths:
    """Debian's files, which exist."""
    for name in ("imapd.conf", "cyrus.conf"):
        (tmp_path / name).touch()
    return CyrusPaths(tmp_path / "imapd.conf", tmp_path / "cyrus.conf")


def test_the_commands_files_come_before_those_of_autocreate_toml(usual: CyrusPaths) -> None:
    assert choose(COMMAND, CONFIG, "localhost", usual) == COMMAND
    assert choose(NONE, CONFIG, "localhost", usual) == CONFIG
    mixed = CyrusPaths(COMMAND.imapd_conf, None)
    assert choose(mixed, CONFIG, "localhost", usual) == CyrusPaths(
        COMMAND.imapd_conf, CONFIG.cyrus_conf
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.1.1", "::1"])
def test_the_usual_files_count_if_cyrus_is_on_this_machine(host: str, usual: CyrusPaths) -> None:
    assert choose(NONE, NONE, host, usual) == usual
    missing = CyrusPaths(Path("/nonexistent"), Path("/nonexistent"))
    assert choose(NONE, NONE, host, missing) == NONE


def test_they_do_not_count_for_another_machine(usual: CyrusPaths) -> None:
    assert choose(NONE, NONE, "imap.example.org", usual) == NONE
    assert examine(NONE, TARGET, tools()) == []


def test_a_file_that_cannot_be_read_is_a_warning() -> None:
    def denied(path: str, _cyrus_conf: str | None) -> CyrusFiles:
        raise PermissionError(13, "Permission denied", path)

    (found,) = examine(BOTH, TARGET, tools(read_cyrus=denied))
    assert found.gravity is Gravity.WARNING
    assert found.what == "/etc/imapd.conf cannot be read: Permission denied"


def test_each_mistake_in_a_file_is_critical() -> None:
    def wrong(path: str, _cyrus_conf: str | None) -> CyrusFiles:
        raise ConfigurationError(path, ["line 1: first", "line 2: second"])

    found = examine(BOTH, TARGET, tools(read_cyrus=wrong))
    assert [(it.gravity, it.what) for it in found] == [
        (Gravity.CRITICAL, "line 1: first"),
        (Gravity.CRITICAL, "line 2: second"),
    ]


def test_the_file_that_a_service_has_of_its_own_is_read_and_judged() -> None:
    cyrus_conf = (
        'SERVICES {\n  imap cmd="imapd" listen="192.0.2.7:imap"\n'
        '  imaplocal cmd="imapd -C /etc/local.conf" listen="127.0.0.1:imap"\n}\n'
    )

    def found(local: str | OSError) -> list[str]:
        def read(path: str, cyrus_path: str | None) -> CyrusFiles:
            if path != "/etc/local.conf":
                files = imapd_conf(path, "admins: cyrus\n")
                return CyrusFiles(
                    files.conf, files.options, cyrus_path or "", read_entries(cyrus_conf)
                )
            if isinstance(local, OSError):
                raise local
            return imapd_conf(path, local)

        return [it.what for it in examine(BOTH, TARGET, tools(read_cyrus=read))]

    assert found("admins: cyrus\n") == []
    assert found("admins: root\n") == [
        "/etc/local.conf, line 1: 'cyrus' (cyrus.admin) is not in admins"
    ]
    # The other service is not judged in its place.
    assert found(FileNotFoundError(2, "No such file or directory", "/etc/local.conf")) == [
        "/etc/local.conf cannot be read: No such file or directory"
    ]

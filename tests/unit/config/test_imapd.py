"""imapd.conf as a part of the configuration: what it gives, and what our own file overrides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from autocreate.config import load
from autocreate.config.sections import Config
from autocreate.errors import ConfigurationError
from autocreate.wiring.service import build_service

IMAPD_CONF = """
admins: cyrus ann
imap_admins: bob
virtdomains: userid
defaultdomain: ex.test
username_tolower: no
lmtp_downcase_rcpt: no
postuser: bb
autocreate_quota: 1000
createonpost: yes
autocreatefolders: Sent
"""

Loader = Callable[..., Config]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(cyrus: str = "", rest: str = "", imapd_conf: str = IMAPD_CONF) -> Path:
        (tmp_path / "imapd.conf").write_text(imapd_conf)
        (tmp_path / "users").write_text("joe\n")
        secret = tmp_path / "secret"
        secret.touch(mode=0o600)
        secret.write_text("x\n")
        file = tmp_path / "autocreate.toml"
        file.write_text(
            f'[milter]\ndomains = ["*"]\n'
            f'[cyrus]\npassword_file = "{secret}"\nimapd_conf = "{tmp_path}/imapd.conf"\n{cyrus}\n'
            f'[accounts.a]\ntype = "file"\npath = "{tmp_path}/users"\n'
            f'[journal]\nurl = "sqlite:///{tmp_path}/journal.db"\n{rest}'
        )
        return file

    return write


def test_what_our_file_does_not_say_imapd_conf_does(write: Callable[..., Path]) -> None:
    cyrus = load(write()).cyrus
    assert cyrus.admins == ("cyrus", "ann", "bob")
    assert (cyrus.virtdomains, cyrus.defaultdomain) == ("userid", "ex.test")
    assert (cyrus.username_tolower, cyrus.lmtp_downcase_rcpt) == (False, False)
    assert cyrus.postuser == "bb"


def test_what_our_file_says_counts(write: Callable[..., Path]) -> None:
    cyrus = load(
        write('admins = ["zoe"]\nvirtdomains = "off"\nusername_tolower = true\npostuser = ""\n')
    ).cyrus
    assert cyrus.admins == ("zoe",)
    assert (cyrus.virtdomains, cyrus.defaultdomain) == ("off", "")
    assert (cyrus.username_tolower, cyrus.postuser) == (True, "")


def test_mistakes_in_imapd_conf_name_its_lines(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(write(imapd_conf="admins\nservername:\n", cyrus="prot = 1"))
    assert error.value.problems == (
        f"cyrus.imapd_conf: {tmp_path}/imapd.conf, line 1: is not of the form 'option: value'",
        f"cyrus.imapd_conf: {tmp_path}/imapd.conf, line 2: servername: has no value; "
        "remove the line or give it one",
        "cyrus.prot: unknown key; did you mean 'port'?",
    )


def test_an_imapd_conf_that_is_not_there_is_a_mistake(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    file = write()
    (tmp_path / "imapd.conf").unlink()
    with pytest.raises(ConfigurationError) as error:
        load(file)
    assert error.value.problems == (
        f"cyrus.imapd_conf: cannot read {tmp_path}/imapd.conf: No such file or directory",
    )


def test_options_that_nobody_heeds_are_logged(
    write: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build_service(load(write())).close()
    assert (
        f"{tmp_path}/imapd.conf, line 11: autocreatefolders: unknown option; "
        "did you mean autocreateinboxfolders?" in caplog.messages
    )


def test_the_check_says_what_was_taken(write: Callable[..., Path], tmp_path: Path) -> None:
    from autocreate.cli.main import main  # noqa: PLC0415

    said = CliRunner().invoke(main, ["config", "check", "--config", str(write())]).output
    assert (
        f"{tmp_path}/imapd.conf: by every service: creates INBOX; quota 1000 KiB; for everyone\n"
        in said
    )
    assert f"notice: {tmp_path}/imapd.conf, line 11: autocreatefolders: unknown option" in said

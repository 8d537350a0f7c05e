"""What only new mailboxes get, from the configuration to a policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocreate.config import load
from autocreate.errors import ConfigurationError
from autocreate.tree.values import Hook
from autocreate.wiring.policies import policies_of

CONFIG = """
[milter]
domains = ["example.org"]
[cyrus]
password_file = "{folder}/secret"
[accounts.staff]
type = "file"
path = "{folder}/users"
[[policy]]
name = "everyone"
welcome = "{folder}/welcome.eml"
on_created = ["/bin/true", "an argument"]
on_created_timeout = 2.5
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("x\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "users").write_text("joe\n")
    (tmp_path / "welcome.eml").write_text("From: a@b.test\nSubject: one {user}\n\nx\n")
    file = tmp_path / "autocreate.toml"
    file.write_text(CONFIG.format(folder=tmp_path))
    return file


def test_a_policy_has_its_message_and_its_hook(config: Path) -> None:
    (policy,) = policies_of(load(config))
    assert policy.welcome is not None
    assert policy.welcome.names == ("user",)
    assert policy.welcome.source.endswith("/welcome.eml")
    assert policy.hook == Hook(("/bin/true", "an argument"), 2.5)


def test_a_message_is_read_anew_by_a_reload(config: Path) -> None:
    settings = load(config)
    config.with_name("welcome.eml").write_text("From: a@b.test\nSubject: two {domain}\n\nx\n")
    (policy,) = policies_of(settings)
    assert policy.welcome is not None
    assert policy.welcome.names == ("domain",)


def test_a_message_that_is_spoilt_after_it_was_checked_costs_nobody_a_mailbox(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load(config)
    config.with_name("welcome.eml").write_text("nothing\n")
    assert policies_of(settings)[0].welcome is None
    assert "cannot be used, so nobody gets it: it has no header fields" in caplog.text
    config.with_name("welcome.eml").unlink()
    assert policies_of(settings)[0].welcome is None
    assert "cannot be used, so nobody gets it: No such file" in caplog.text


def test_a_program_that_everybody_may_write_is_refused(config: Path) -> None:
    hook = config.with_name("hook")
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o777)
    config.write_text(config.read_text().replace("/bin/true", str(hook)))
    with pytest.raises(
        ConfigurationError, match=r"on_created: .*hook can be written by everybody: chmod o-w"
    ):
        load(config)
    hook.chmod(0o755)
    folder = config.parent
    folder.chmod(0o777)
    with pytest.raises(
        ConfigurationError, match=r"on_created: .* can be written by everybody: chmod o-w"
    ):
        load(config)
    folder.chmod(0o755)
    load(config)

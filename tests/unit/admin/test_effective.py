"""The effective configuration, and where each value comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from autocreate.cli.main import main

CONFIG = """\
[milter]
domains = [
  "example.org",
]

[cyrus]
password_file = "FOLDER/secret"
imapd_conf = "FOLDER/imapd.conf"

[accounts]
staff = { type = "file", path = "FOLDER/users" }

[[policy]]
name = "all"
quota = "2G"
folders = [{ name = "Sent" }]

[[policy]]
name = "rest"
"""
IMAPD_CONF = """\
admins: cyrus boss
virtdomains: userid
defaultdomain: example.org
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("correct horse\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "users").write_text("joe\n")
    (tmp_path / "imapd.conf").write_text(IMAPD_CONF)
    path = tmp_path / "a.toml"
    path.write_text(CONFIG.replace("FOLDER", str(tmp_path)))
    return path


def show(path: Path, *options: str) -> str:
    result = CliRunner().invoke(main, ["config", "show", "--config", str(path), *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_a_file_says_has_its_line(path: Path) -> None:
    folder = path.parent
    assert show(path, "--changed").splitlines() == [
        f'milter.domains = ["example.org"]   # {path}, line 2',
        f'cyrus.password_file = "{folder}/secret"   # {path}, line 7',
        f'cyrus.imapd_conf = "{folder}/imapd.conf"   # {path}, line 8',
        f'cyrus.admins = ["cyrus", "boss"]   # {folder}/imapd.conf, line 1',
        f'cyrus.virtdomains = "userid"   # {folder}/imapd.conf, line 2',
        f'cyrus.defaultdomain = "example.org"   # {folder}/imapd.conf, line 3',
        f'accounts.staff.type = "file"   # {path}, line 11',
        f'accounts.staff.path = "{folder}/users"   # {path}, line 11',
        f'policy[1].name = "all"   # {path}, line 14',
        f"policy[1].quota = 2097152   # {path}, line 15",
        f'policy[1].folders[1].name = "Sent"   # {path}, line 16',
        f'policy[2].name = "rest"   # {path}, line 19',
    ]


def test_everything_else_is_a_default_and_absent_sections_are_left_out(path: Path) -> None:
    told = show(path)
    assert 'milter.mode = "enforce"   # default' in told.splitlines()
    assert "cyrus.port = not set   # default" in told.splitlines()
    assert "policy[2].create = true   # default" in told.splitlines()
    assert "\nlmtp." not in told
    assert "\nsocketmap." not in told


def test_a_section_of_which_the_file_has_only_the_head_is_shown(path: Path) -> None:
    path.write_text(path.read_text() + "\n[socketmap]\n")
    assert "socketmap.connections = 200   # default" in show(path).splitlines()


def test_json_has_the_same_and_no_password(path: Path) -> None:
    told = show(path, "--json")
    found = {it["key"]: it for it in map(json.loads, told.splitlines())}
    assert found["milter.domains"] == {
        "key": "milter.domains",
        "value": ["example.org"],
        "place": f"{path}, line 2",
    }
    assert found["cyrus.port"]["value"] is None
    assert "correct horse" not in told

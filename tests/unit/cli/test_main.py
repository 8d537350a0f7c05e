"""The command line: what it prints, and the status it ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autocreate.cli.main import main
from autocreate.frontends import control_client
from tests.servers.common import free_port


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Nobody listens where Cyrus should be."""
    (tmp_path / "secret").write_text("hidden\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "users").write_text("joe\n")
    os.utime(tmp_path / "users", (1, 1))
    path = tmp_path / "autocreate.toml"
    path.write_text(
        f"""
        [milter]
        domains = ["example.org"]
        [cyrus]
        port = {free_port()}
        tls = "none"
        password_file = "{tmp_path}/secret"
        [accounts.staff]
        type = "file"
        path = "{tmp_path}/users"
        [journal]
        url = "sqlite:///{tmp_path}/journal.db"
        """
    )
    return path


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments], env={"AUTOCREATE_CONFIG": str(config)})


@pytest.mark.parametrize(
    ("address", "answer", "status"),
    [
        ("ann@other.test", "pass", 0),
        ("nobody@example.org", "unknown", 65),
        ("jo e@example.org", "malformed", 65),
        ("joe@example.org", "temporary", 75),
    ],
)
def test_check_says_the_answer_and_ends_with_its_status(
    config: Path, address: str, answer: str, status: int
) -> None:
    result = run(config, "check", address)
    assert result.output.splitlines()[0] == f"{address}: {answer}"
    assert result.exit_code == status


def test_check_shows_the_reason_and_the_reply(config: Path) -> None:
    assert run(config, "check", "nobody@example.org").output == (
        "nobody@example.org: unknown\n"
        "  reason:   no account source knows this user\n"
        "  user:     nobody\n"
        "  reply:    550 5.1.1 User unknown\n"
    )


def test_the_gravest_status_counts(config: Path) -> None:
    result = run(config, "check", "joe@example.org", "nobody@example.org", "a@other.test")
    assert result.exit_code == 75
    assert len([it for it in result.output.splitlines() if not it.startswith(" ")]) == 3


def test_json_is_an_object_a_line(config: Path) -> None:
    result = run(config, "check", "--json", "nobody@example.org", "joe@example.org")
    first, second = map(json.loads, result.output.splitlines())
    assert (first["answer"], first["reply"]) == ("unknown", "550 5.1.1 User unknown")
    assert (second["answer"], second["user"]) == ("temporary", "joe")
    assert "cannot be reached" in second["reason"]


def test_check_takes_the_mailer_that_the_mta_would_name(config: Path) -> None:
    assert run(config, "check", "--mailer", "smtp", "nobody@example.org").exit_code == 0


@pytest.mark.parametrize("command", ["plan", "provision"])
def test_a_malformed_address_does_not_stop_the_others(config: Path, command: str) -> None:
    result = run(config, command, "--json", "a@b@c", "nobody@example.org")
    answers = [json.loads(line)["answer"] for line in result.output.splitlines()]
    assert answers == ["malformed", "unknown"]
    assert result.exit_code == 65


def test_a_missing_configuration_ends_with_78(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere.toml", "check", "joe@example.org")
    assert result.output == (
        f"autocreate: {tmp_path}/nowhere.toml: cannot be read: No such file or directory\n"
    )
    assert result.exit_code == 78


def test_a_correct_configuration_is_ok(config: Path) -> None:
    result = run(config, "config", "check")
    assert result.output == (f"{config}: ok: 1 account source, 0 policies, mode enforce\n")
    assert result.exit_code == 0


def test_a_correct_configuration_as_json(config: Path) -> None:
    assert json.loads(run(config, "config", "check", "--json").output) == {
        "file": str(config),
        "good": True,
        "problems": [],
        "account_sources": 1,
        "policies": 0,
        "mode": "enforce",
        "imapd_conf": None,
        "notices": [],
    }


def test_every_mistake_in_a_configuration_as_json(config: Path) -> None:
    config.write_text(config.read_text() + "[log]\nlevel = 'loud'\nfromat = 'json'\n")
    result = run(config, "config", "check", "--json")
    data = json.loads(result.output)
    assert (data["file"], data["good"], result.exit_code) == (str(config), False, 78)
    assert [problem.partition(":")[0] for problem in data["problems"]] == [
        "log.level",
        "log.fromat",
    ]


def test_what_an_error_names_commands_no_terminal(config: Path) -> None:
    config.write_text(config.read_text() + "[log]\n\"le\\u001b[2Jvel\" = 'x'\n")
    arguments = ["check", "--config", str(config), "joe@example.org"]
    result = CliRunner().invoke(main, arguments, color=True)
    assert result.exit_code == 78
    assert "log.le\\x1b[2Jvel: unknown key" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize("arguments", [["check"], ["chekc"], ["completion", "csh"]])
def test_a_wrong_command_line_ends_with_2(config: Path, arguments: list[str]) -> None:
    assert run(config, *arguments).exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_for_every_shell(config: Path, shell: str) -> None:
    assert "_AUTOCREATE_COMPLETE" in run(config, "completion", shell).output


def loaded(config: Path, names: str, *arguments: str) -> tuple[list[str], list[str]]:
    """Which of these modules a command loads, and the lines that it prints."""
    script = (
        "import sys\n"
        "from autocreate.cli.main import main\n"
        "try: main(sys.argv[2:])\n"
        "except SystemExit: pass\n"
        "print(*[it for it in sys.argv[1].split() if it in sys.modules])\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", script, names, *arguments],
        env={**os.environ, "AUTOCREATE_CONFIG": str(config)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    *lines, found = output.splitlines()
    return found.split(), lines


@pytest.mark.parametrize("arguments", [["--help"], ["check", "nobody@example.org"]])
def test_a_shell_command_loads_neither_libmilter_nor_what_no_configuration_names(
    config: Path, arguments: list[str]
) -> None:
    names = "milter Milter ldap berkeleydb psycopg pymysql autocreate.accounts.nss"
    found, lines = loaded(config, names, *arguments)
    assert found == []
    assert len(lines) > 1


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["cache", "show"]])
def test_what_only_asks_a_process_loads_no_database_and_no_imap(
    config: Path, arguments: list[str]
) -> None:
    assert loaded(config, "json sqlalchemy imapclient", *arguments)[0] == ["json"]


def test_what_a_server_said_commands_no_terminal(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered = {it: {"users": 0, "seconds": 1} for it in ("found", "unknown", "error")}
    staff = {
        "lookups": 1,
        "seconds": 0.1,
        "errors": 1,
        "hits": 0,
        "last_error": "away\x1b[2J\nINFO",
    }
    figures = {
        "ready": {"users": 0, "size": 1, "seconds": 1},
        "sources": {"staff": {**staff, "remembered": remembered}},
        **dict.fromkeys(("lmtp", "domains", "aliases")),
    }
    monkeypatch.setattr(control_client, "ask", lambda *_arguments, **_details: figures)
    result = run(config, "cache", "show")
    assert "    last error: away\\x1b[2J\\nINFO\n" in result.stdout


@pytest.mark.parametrize("group", [[], ["accounts"], ["cache"], ["config"], ["unfinished"]])
def test_no_line_of_help_is_cut(group: list[str]) -> None:
    said = CliRunner().invoke(main, [*group, "--help"]).output
    assert "Commands:" in said
    assert "..." not in said.partition("Commands:")[2]

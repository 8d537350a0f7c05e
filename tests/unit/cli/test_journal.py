"""`autocreate journal`: what is printed, and the exit status."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from autocreate.cli.main import main
from autocreate.service.journal import Entry, Journal
from autocreate.service.journal_creations import Creation
from autocreate.service.journal_schema import VERSION


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def config(tmp_path: Path, journal: Path) -> Path:
    (tmp_path / "secret").touch(mode=0o600)
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "users").write_text("joe\n")
    path = tmp_path / "autocreate.toml"
    path.write_text(
        'milter.domains = ["example.org"]\n'
        f'cyrus.password_file = "{tmp_path}/secret"\n'
        f'journal.url = "sqlite:///{journal}"\n'
        f'accounts.staff = {{ type = "file", path = "{tmp_path}/users" }}\n'
    )
    return path


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--config", str(config)])


def fill(journal: Path) -> None:
    with closing(Journal(f"sqlite:///{journal}", lambda: 0.0)) as opened:
        opened.begin(Entry("joe", "joe"), Creation("joe", "mx1:1:aa", 5.0))
        opened.finish("ann", ["folder Sent", "folder Trash"])


@pytest.mark.parametrize("command", [("journal",), ("journal", "show")])
def test_the_journal_is_shown(config: Path, journal: Path, command: tuple[str, ...]) -> None:
    result = run(config, *command)
    assert result.exit_code == 0
    assert "version    none: it is created when" in result.output
    assert not journal.exists()
    fill(journal)
    lines = run(config, *command).output.splitlines()
    assert lines[0] == f"journal    sqlite:///{journal}"
    assert lines[1].startswith(f"version    {VERSION}, since ")
    assert lines[1].endswith(f"; this program: {VERSION}")
    assert {"unfinished 1", "given      2", "creations  1", "seen       0"} <= set(lines)


def test_the_journal_is_shown_to_programs(config: Path, journal: Path) -> None:
    fill(journal)
    data = json.loads(run(config, "journal", "--json").output)
    assert data["url"] == f"sqlite:///{journal}"
    assert (data["version"], data["program"], data["difference"]) == (VERSION, VERSION, "")
    assert data["rows"]["given"] == 2


def test_an_older_journal_is_said_to_be_older_and_upgraded(config: Path, journal: Path) -> None:
    fill(journal)
    with closing(sqlite3.connect(journal)) as connection:
        connection.executescript("DROP TABLE schema_version; DROP TABLE watch")
    notice = f"version 5 is older than version {VERSION} of this program"
    assert notice in run(config, "journal").output
    checked = run(config, "config", "check")
    assert checked.exit_code == 0
    assert f"notice: journal.url: its {notice}: run autocreate journal upgrade" in checked.output
    result = run(config, "journal", "upgrade")
    assert result.output.splitlines() == [
        *("6: the watch", "7: the version of the journal"),
        f"upgraded from version 5 to {VERSION}",
    ]
    assert run(config, "journal", "upgrade").output == f"nothing to do: version {VERSION}\n"
    assert "notice" not in run(config, "config", "check").output


def test_a_copy_tells_what_became_of_each_table(config: Path, journal: Path) -> None:
    fill(journal)
    target = f"sqlite:///{journal.with_name('copy.db')}"
    assert run(config, "journal", "copy", target).output.splitlines() == [
        *("given      2 rows, 2 new", "seen       0 rows, 0 new", "watch      0 rows, 0 new"),
        *("hours      0 rows, 0 new", "unfinished 1 rows, 1 new", "creations  1 rows, 1 new"),
        "hooks      0 rows, 0 new",
    ]
    again = run(config, "journal", "copy", target, "--json")
    assert again.exit_code == 0
    tables: list[dict[str, Any]] = [json.loads(line) for line in again.output.splitlines()]
    assert {it["table"]: it["rows"] for it in tables}["given"] == 2
    assert not sum(it["new"] + it["changed"] + it["left"] for it in tables)


def test_a_copy_that_is_not_complete_ends_with_75_or_65(config: Path, journal: Path) -> None:
    fill(journal)
    target = f"sqlite:///{journal.with_name('copy.db')}"
    with closing(Journal(f"sqlite:///{journal}", lambda: 0.0)):
        result = run(config, "journal", "copy", target)
    assert result.exit_code == 75
    assert "creations  1 rows, 0 new, 1 left, as a process uses a journal" in result.output
    assert "stop all processes that use either journal, and run this again" in result.output
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("INSERT INTO given VALUES ('ann', x'00ff')")
    result = run(config, "journal", "copy", target)
    assert result.exit_code == 65
    assert "  rejected: given 'ann' b'\\x00\\xff': thing is not text" in result.output


@pytest.mark.parametrize(
    ("url", "status", "said"),
    [
        ("postgresql://joe:secret@db.test/journal", 2, "write it into password_file"),
        ("sqlite://", 2, "is a database in memory"),
        ("journal.db", 2, "is not a database URL"),
        ("sqlite:///{journal}", 65, "is both the source and the target"),
        ("sqlite:///{journal}/x/copy.db", 75, "cannot be used"),
    ],
)
def test_a_target_that_is_impossible_is_refused(
    config: Path, journal: Path, url: str, status: int, said: str
) -> None:
    fill(journal)
    result = run(config, "journal", "copy", url.format(journal=journal))
    assert result.exit_code == status
    assert said in result.output
    assert "secret@" not in result.output


def test_a_journal_that_is_named_needs_no_configuration(tmp_path: Path, journal: Path) -> None:
    fill(journal)
    target = f"sqlite:///{journal.with_name('copy.db')}"
    missing = tmp_path / "none.toml"
    assert run(missing, "journal", "copy", "--from", f"sqlite:///{journal}", target).exit_code == 0
    assert run(missing, "journal", "upgrade", "--url", target).exit_code == 0
    assert run(missing, "journal").exit_code == 78

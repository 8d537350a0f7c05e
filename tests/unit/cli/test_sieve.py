"""`sieve check` and `sieve compile`: what they print, and the status they end with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autocreate.cli.main import main
from autocreate.errors import Temporary
from autocreate.mailstore.memory import Memory
from autocreate.mailstore.sieve import files
from autocreate.wiring import service as wiring


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """What every command has in the place of Cyrus."""
    memory = Memory()
    monkeypatch.setattr(memory, "close", lambda: None)
    monkeypatch.setattr(wiring, "store_of", lambda *_: memory)
    return memory


def run(folder: Path, *arguments: str, policy: str = "") -> Result:
    (folder / "secret").write_text("hidden\n")
    (folder / "secret").chmod(0o600)
    (folder / "users").write_text("joe\n")
    path = folder / "autocreate.toml"
    path.write_text(
        f"""
        journal.url = "sqlite:///{folder}/journal.db"
        milter.domains = ["example.org"]
        accounts.staff = {{ type = "file", path = "{folder}/users" }}
        cyrus = {{ tls = "none", sieve = "managesieve", password_file = "{folder}/secret" }}
        [[policy]]
        name = "all"
        {policy}
        """
    )
    return CliRunner().invoke(main, ["sieve", *arguments, "--config", str(path)])


def with_script(folder: Path) -> str:
    """A policy with a script, and where its bytecode is to be."""
    (folder / "main.sieve").write_text("keep;\n")
    return f'sieve = "{folder}/main.sieve"\nsieve_compiled = "{folder}/main.bc"'


def test_a_script_that_compiles(store: Memory, tmp_path: Path) -> None:
    result = run(tmp_path, "check", policy=with_script(tmp_path))
    assert result.stdout == f"policy 'all': {tmp_path}/main.sieve: compiles\n"
    assert result.exit_code == 0


def test_a_script_that_does_not_compile(store: Memory, tmp_path: Path) -> None:
    store.wrong_scripts[b"keep;\n"] = "line 1: syntax error"
    error = "it does not compile: line 1: syntax error"
    result = run(tmp_path, "check", policy=with_script(tmp_path))
    assert result.stdout == f"policy 'all': {tmp_path}/main.sieve: {error}\n"
    assert result.exit_code == 65
    as_json = run(tmp_path, "check", "--json", policy=with_script(tmp_path))
    assert json.loads(as_json.stdout) == {
        "policy": "all",
        "script": f"{tmp_path}/main.sieve",
        "state": "wrong",
        "details": [error],
    }


def test_a_server_that_cannot_be_asked(store: Memory, tmp_path: Path) -> None:
    store.script_failure = Temporary("Cyrus is away")
    result = run(tmp_path, "check", policy=with_script(tmp_path))
    assert result.stdout == f"policy 'all': {tmp_path}/main.sieve: not checked: Cyrus is away\n"
    assert result.exit_code == 75


def test_what_a_server_says_commands_no_terminal(store: Memory, tmp_path: Path) -> None:
    store.script_failure = Temporary("away\x1b[2J")
    result = run(tmp_path, "check", policy=with_script(tmp_path))
    assert result.stdout.endswith("not checked: away\\x1b[2J\n")


def test_no_script_to_check(store: Memory, tmp_path: Path) -> None:
    assert run(tmp_path, "check").stdout == "no policy has a Sieve script\n"
    assert run(tmp_path, "check", "--json").stdout == ""


@pytest.fixture
def sievec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that takes everything."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sievec").write_text('#!/bin/sh\necho bytecode > "$2"\n')
    (programs / "sievec").chmod(0o755)
    compiler = files.Compiler
    monkeypatch.setattr(files, "Compiler", lambda *_: compiler(programs=programs))


@pytest.mark.usefixtures("sievec")
def test_one_script_is_compiled(tmp_path: Path) -> None:
    source, target = tmp_path / "one.sieve", tmp_path / "one.bc"
    source.write_text("keep;\n")
    result = run(tmp_path, "compile", str(source), str(target))
    assert (result.exit_code, result.stdout) == (0, f"{source}: compiled into {target}\n")
    assert target.read_text() == "bytecode\n"


def test_a_target_without_which_nothing_is_compiled(tmp_path: Path) -> None:
    result = run(tmp_path, "compile", str(tmp_path / "one.sieve"))
    assert (result.exit_code, "TARGET is missing" in result.stderr) == (2, True)


def test_no_script_of_the_configuration_names_a_file_for_its_bytecode(tmp_path: Path) -> None:
    result = run(tmp_path, "compile")
    assert result.exit_code == 78
    assert "no script names a file for its bytecode" in result.stderr

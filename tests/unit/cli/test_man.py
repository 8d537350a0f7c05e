"""The manual pages say everything that the program and its configuration can be told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import click
from click.testing import CliRunner
from pydantic import BaseModel

from autocreate.cli.main import main
from autocreate.cli.man_texts import CONFIGURATION, SIGNALS
from autocreate.config import load
from autocreate.config.sections import Config


def sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = [
            it for field in annotation.model_fields.values() for it in sections(field.annotation)
        ]
        return [annotation, *inner]
    return [it for argument in get_args(annotation) for it in sections(argument)]


def page(section: str) -> str:
    result = CliRunner().invoke(main, ["man", section])
    assert result.exit_code == 0
    return result.output


def test_every_key_of_the_configuration_has_its_text_in_the_page() -> None:
    shown = re.findall(r'^\.BR "(\w+)" " = .*\n(?!\.TP)(.+)', page("5"), re.MULTILINE)
    keys = [
        key
        for section in sections(Config)
        if section is not Config
        for key in section.model_fields
        if key != "type"  # says itself what it is
    ]
    assert sorted(key for key, text in shown if key != "type") == sorted(keys)


def test_every_command_and_option_is_in_the_page() -> None:
    shown = page("1")

    def check(group: click.Group, path: str) -> None:
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                check(command, f"{path} {name}")
                continue
            assert f".SS {path} {name}" in shown
            for parameter in command.params:
                if isinstance(parameter, click.Option):
                    is_shown = parameter.opts[-1].replace("-", "\\-") in shown
                    assert is_shown is not parameter.hidden

    check(main, "autocreate")


def test_a_backslash_and_a_dot_at_the_start_of_a_line_are_shown_as_they_are() -> None:
    assert "\\e\\eSent" in page("5")
    assert not [line for line in page("5").splitlines() if line.startswith("'")]


# Those that serve have `log.format`; the others print what is to be pasted or read, or do one thing.
WITHOUT_JSON = {
    "config init",
    *("milter", "login", "run"),
    *("aliases detect", "completion", "man", "sieve compile"),
}


def test_every_command_that_tells_what_it_found_tells_it_to_programs_too() -> None:
    def names(group: click.Group, before: str = "") -> list[tuple[str, click.Command]]:
        inner = [(f"{before}{name}", command) for name, command in group.commands.items()]
        return [
            found
            for name, command in inner
            for found in (
                names(command, f"{name} ")
                if isinstance(command, click.Group)
                else [(name, command)]
            )
        ]

    without = {
        name
        for name, command in names(main)
        if not {"--json", "--format"} & {it for option in command.params for it in option.opts}
    }
    assert without == WITHOUT_JSON


def test_a_command_page_has_what_an_administrator_looks_for_and_the_order_of_man_pages() -> None:
    heads = re.findall(r"^\.SH (.*)$", page("1"), re.MULTILINE)
    assert heads == [
        *("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "SIGNALS"),
        *("ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"),
    ]


def test_each_command_that_serves_is_named_where_the_signals_are() -> None:
    served = [name for name, command in main.commands.items() if serves(command)]
    for term, text in SIGNALS[:2]:
        assert all(f"`{name}`" in text for name in served), term


def serves(command: click.Command) -> bool:
    """Whether it runs in the foreground, which its options show."""
    return any("--dry-run" in option.opts for option in command.params)


def test_the_configuration_of_the_page_is_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "accounts.db").touch()
    text = CONFIGURATION.replace("/etc/autocreate/cyrus.secret", f"{tmp_path}/secret").replace(
        "/var/lib/autocreate", str(tmp_path)
    )
    (tmp_path / "autocreate.toml").write_text(text)
    config = load(tmp_path / "autocreate.toml")
    assert [it.name for it in config.policy] == ["everyone"]
    shown = page("5").partition(".SH EXAMPLES\n")[2]
    assert 'list_query = "SELECT userid FROM accounts"' in shown

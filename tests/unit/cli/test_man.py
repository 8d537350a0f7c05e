"""The manual pages say everything that the program and its configuration can be told."""

from __future__ import annotations

import re
from typing import Any, get_args

import click
from click.testing import CliRunner
from pydantic import BaseModel

from autocreate.cli.main import main
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
                    assert parameter.opts[-1].replace("-", "\\-") in shown

    check(main, "autocreate")


def test_a_backslash_and_a_dot_at_the_start_of_a_line_are_shown_as_they_are() -> None:
    assert "\\e\\eSent" in page("5")
    assert not [line for line in page("5").splitlines() if line.startswith("'")]


# Those that serve have `log.format`; the others print what is to be pasted or read, or do one thing.
WITHOUT_JSON = {
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

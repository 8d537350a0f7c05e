"""What every error means to the shell."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autocreate import errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.AutocreateError, 70),
        (errors.Refused, 70),
        (errors.Malformed, 65),
        (errors.MalformedRequest, 65),
        (errors.MalformedNotification, 65),
        (errors.MalformedValue, 65),
        (errors.Temporary, 75),
        (errors.DeadlinePassed, 75),
        (errors.Unreachable, 75),
        (errors.ServerTimeout, 75),
        (errors.ConfigurationError, 78),
    ],
)
def test_an_error_is_an_exit_status(error: type[errors.AutocreateError], status: int) -> None:
    assert error.exit_status == status


def test_no_malformed_input_of_a_protocol_is_taken_for_a_malformed_address() -> None:
    assert not issubclass(errors.MalformedInput, errors.Malformed)
    assert not issubclass(errors.Malformed, errors.MalformedInput)


def test_every_problem_of_a_configuration_is_a_line_that_begins_with_the_file() -> None:
    error = errors.ConfigurationError("a.toml", ["milter.domains: is missing", "x: unknown key"])
    assert str(error) == "a.toml: milter.domains: is missing\na.toml: x: unknown key"
    assert error.problems == ("milter.domains: is missing", "x: unknown key")


@pytest.mark.parametrize("kind", [errors.Temporary, errors.Unreachable, errors.Refused])
def test_the_words_of_a_server_are_kept_up_to_a_length(kind: Callable[[str], Exception]) -> None:
    assert str(kind("db.test: away")) == "db.test: away"
    assert str(kind("x" * 4_000_000)) == f"{'x' * 2000}... (4,000,000 characters)"

"""What becomes of a library's exceptions."""

from __future__ import annotations

import pytest

from autocreate.errors import AutocreateError, Refused, ServerTimeout, Temporary, Unreachable
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions

# The general class first: the order is not what decides.
TABLE: ExceptionMap[str] = {
    OSError: lambda server, error: Unreachable(f"{server} cannot be reached: {error}"),
    TimeoutError: lambda server, _: ServerTimeout(f"{server} did not answer"),
    LookupError: lambda server, error: Temporary(f"{server} answered nonsense: {error!r}"),
}


@pytest.mark.parametrize(
    ("raised", "ours", "text"),
    [
        (OSError("no route"), Unreachable, "imap1 cannot be reached: no route"),
        (ConnectionResetError("reset"), Unreachable, "imap1 cannot be reached: reset"),
        (TimeoutError("timed out"), ServerTimeout, "imap1 did not answer"),
        (KeyError("x"), Temporary, "imap1 answered nonsense: KeyError('x')"),
    ],
)
def test_the_nearest_class_decides(
    raised: Exception, ours: type[AutocreateError], text: str
) -> None:
    with pytest.raises(AutocreateError) as caught, map_exceptions(TABLE, "imap1"):
        raise raised
    assert type(caught.value) is ours
    assert str(caught.value) == text
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("raised", [Refused("no"), ZeroDivisionError(), KeyboardInterrupt()])
def test_our_own_errors_and_those_the_table_does_not_have_pass_unchanged(
    raised: BaseException,
) -> None:
    with pytest.raises(type(raised)) as caught, map_exceptions(TABLE, "imap1"):
        raise raised
    assert caught.value is raised
    assert caught.value.__cause__ is None


def test_an_error_of_ours_passes_even_if_it_is_of_a_class_in_the_table() -> None:
    class Lost(Temporary, OSError):
        pass

    raised = Lost("gone")
    with pytest.raises(Lost) as caught, map_exceptions(TABLE, "imap1"):
        raise raised
    assert caught.value is raised

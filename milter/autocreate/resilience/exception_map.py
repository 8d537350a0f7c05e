"""Turn a library's exceptions into ours, by a table that each library has in the module that uses it.

A table says what each class of exception means. The module that owns the table wraps its calls of the library in
`map_exceptions`. Like `except`, a class stands for its subclasses; unlike `except`, the order of the table does not
matter, since the nearest class decides.
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from autocreate.errors import AutocreateError

Context = TypeVar("Context")

ExceptionMap = Mapping[type[Exception], Callable[[Context, Any], AutocreateError]]
"""For each class of exception a function that makes our error of it.

Its arguments are what the caller knows (whom it asked, what for, how long it waited) and the exception.
"""


class map_exceptions:  # noqa: N801 -- it reads as the statement that it is part of
    """Raise our error where a library raises one of its own, with that one as its cause.

    An error of ours passes unchanged, and so does an exception that the table does not have.

    Args:
        table: the library's.
        context: handed to the table's function.
    """

    # A class, because a generator would cost each login and each query four times as much.
    __slots__ = ("_context", "_table")

    def __init__(self, table: ExceptionMap[Context], context: Context) -> None:
        self._table: ExceptionMap[Any] = table
        self._context = context

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, AutocreateError):
            return
        for kind in type(error).__mro__:
            if kind in self._table:
                raise self._table[kind](self._context, error) from error

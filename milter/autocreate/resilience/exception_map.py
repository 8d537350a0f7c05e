"""Turn a library's exceptions into ours, by a table that each library has in the module that uses it.

A table says what each class of exception means. The module that owns the table wraps its calls of the library in
`map_exceptions`. Like `except`, a class stands for its subclasses; unlike `except`, the order of the table does not
matter, since the nearest class decides.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from autocreate.errors import AutocreateError

Context = TypeVar("Context")

ExceptionMap = Mapping[type[Exception], Callable[[Context, Any], AutocreateError]]
"""For each class of exception a function that makes our error of it.

Its arguments are what the caller knows (whom it asked, what for, how long it waited) and the exception.
"""


@contextlib.contextmanager
def map_exceptions(table: ExceptionMap[Context], context: Context) -> Iterator[None]:
    """Raise our error where a library raises one of its own, with that one as its cause.

    An error of ours passes unchanged, and so does an exception that the table does not have.

    Args:
        table: the library's.
        context: handed to the table's function.
    """
    try:
        yield
    except AutocreateError:
        raise
    except Exception as error:
        for kind in type(error).__mro__:
            if kind in table:
                raise table[kind](context, error) from error
        raise

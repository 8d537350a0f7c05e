"""Unicode's normal forms, in linear time."""

import itertools
import unicodedata
from typing import Literal

# Up to this many characters the quadratic way is the faster one.
_SHORT = 256


def normalized(form: Literal["NFC", "NFKC", "NFKD"], text: str) -> str:
    """What `unicodedata.normalize` returns.

    That function sorts the marks behind a letter by insertion: a text of 100 kB that is nothing else
    takes it minutes. Here they are sorted before (Unicode, section 3.11, D108 and D109).
    """
    if len(text) <= _SHORT or text.isascii():
        return unicodedata.normalize(form, text)
    decomposing: Literal["NFD", "NFKD"] = "NFD" if form == "NFC" else "NFKD"
    characters = itertools.chain.from_iterable(
        unicodedata.normalize(decomposing, character) for character in text
    )
    ordered: list[str] = []
    for is_mark, run in itertools.groupby(characters, lambda it: unicodedata.combining(it) > 0):
        marks = list(run)
        ordered += sorted(marks, key=unicodedata.combining) if is_mark else marks
    return unicodedata.normalize(form, "".join(ordered))

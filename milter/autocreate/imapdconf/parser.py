"""imapd.conf as Cyrus reads it: from text to options, by the rules of lib/libconfig.c (Cyrus 3.6).

What an option means to this program is not known here: see `autocreate.imapdconf.settings`. Where Cyrus
stops at the first mistake, every mistake is found; where it ends with "specified twice" for the two
options that its manual lets repeat (`autocreate_acl` and `xlist-FLAG`), they repeat.
"""

import re
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# isspace(3) in the C locale. Python's own notion of white space is wider.
_SPACE = " \t\n\v\f\r"

_LINE = re.compile(r"(@?[A-Za-z0-9_-]+):(.*)", re.DOTALL)

# The names that Cyrus and the patch of the University of Athens had before, the preferred first.
# Cyrus 3.6 never learnt the patch's own spelling of the compiled script.
OLD_NAMES = {
    "autocreate_inbox_folders": ("autocreateinboxfolders",),
    "autocreate_post": ("createonpost",),
    "autocreate_quota": ("autocreatequota",),
    "autocreate_quota_messages": ("autocreatequotamsg",),
    "autocreate_sieve_folders": ("autosievefolders",),
    "autocreate_sieve_script_compile": ("generate_compiled_sieve_script",),
    "autocreate_sieve_script_compiled": (
        "autocreate_sieve_compiled_script",
        "autocreate_sieve_compiledscript",
    ),
    "autocreate_subscribe_folders": ("autosubscribeinboxfolders",),
    "autocreate_subscribe_sharedfolders": ("autosubscribesharedfolders",),
    "autocreate_subscribe_sharedfolders_all": ("autosubscribe_all_sharedfolders",),
}


class Option(NamedTuple):
    """One option as the file has it: the key in lower case, the value, and its place."""

    key: str
    value: str
    place: str

    def wrong(self, what: str) -> str:
        """A sentence about this option that an administrator can act upon."""
        return f"{self.place}: {self.key}: {what}"


@dataclass(frozen=True, slots=True)
class Options:
    """Every option of a file and of those it includes, in their order.

    `problems` is what Cyrus would not start on, each with file and line.
    """

    every: tuple[Option, ...]
    problems: tuple[str, ...] = ()
    _first: dict[str, Option] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        first = {option.key: option for option in reversed(self.every)}
        object.__setattr__(self, "_first", first)

    def find(self, name: str, services: Sequence[str] = ()) -> Option | None:
        """The option that decides for a service, or None if there is none.

        A name that a service's own precedes comes before the bare name, and a new name before the
        old ones, whatever their order.

        Args:
            name: the new name.
            services: entries of cyrus.conf's SERVICES, as in `lmtp_autocreate_users`.
        """
        for spelling in _spellings(name):
            for key in (*(f"{service}_{spelling}" for service in services), spelling):
                if option := self._first.get(key):
                    return option
        return None

    def has_own(self, name: str, service: str) -> bool:
        """Has a service an option for itself?"""
        return any(f"{service}_{spelling}" in self._first for spelling in _spellings(name))


def read(path: str, text: str, include: Callable[[str], str]) -> Options:
    """Read imapd.conf.

    Args:
        path: the file's name, for messages and for telling that it is included again.
        text: what it holds.
        include: returns the text of a file that `@include` names; raises OSError if it cannot.
    """
    problems: list[str] = []
    options = list(_options(path, text, include, {path}, problems))
    seen: dict[str, Option] = {}
    for option in options:
        earlier = seen.setdefault(option.key, option)
        if earlier is not option and not may_repeat(option.key):
            problems.append(option.wrong(f"is set twice, first in {earlier.place}"))
    return Options(tuple(options), tuple(problems))


def _spellings(name: str) -> tuple[str, ...]:
    return (name, *OLD_NAMES.get(name, ()))


def may_repeat(key: str) -> bool:
    """Does imapd.conf(5) let this option be given several times?"""
    return key == "autocreate_acl" or key.startswith("xlist-")


def option_meant(key: str, names: Collection[str], services: Container[str]) -> str | None:
    """Which of these options a key is, for every service or for one of these; None for none of them."""
    if key in names:
        return key
    return next(
        (
            name
            for name in names
            if key.endswith(f"_{name}") and key.removesuffix(f"_{name}") in services
        ),
        None,
    )


def _options(
    path: str, text: str, include: Callable[[str], str], seen: set[str], problems: list[str]
) -> Iterator[Option]:
    for number, line in _logical_lines(text):
        content = line.lstrip(_SPACE)
        if not content or content.startswith("#"):
            continue
        place = f"{path}, line {number}"
        match = _LINE.fullmatch(content)
        if not match:
            problems.append(f"{place}: is not of the form 'option: value'")
            continue
        key, value = match[1].lower(), match[2].strip(_SPACE)
        if not value:
            problems.append(f"{place}: {key}: has no value; remove the line or give it one")
        elif key == "@include":
            yield from _included(value, place, include, seen, problems)
        elif key.startswith("@"):
            problems.append(f"{place}: {key}: is not a directive; Cyrus knows only @include")
        else:
            yield Option(key, value, place)


def _included(
    path: str,
    place: str,
    include: Callable[[str], str],
    seen: set[str],
    problems: list[str],
) -> Iterator[Option]:
    if path in seen:
        problems.append(f"{place}: @include: {path} is included twice")
        return
    seen.add(path)
    try:
        text = include(path)
    except OSError as error:
        problems.append(f"{place}: @include: cannot read {path}: {error.strerror}")
        return
    yield from _options(path, text, include, seen, problems)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines joined where one ends with a backslash, each with the number of its last line.

    The comment test comes after the joining, so a comment can be continued too; the indent of a
    continuing line is kept; and a file that ends with a backslash loses its last line.
    """
    *lines, last = text.split("\n")
    joined: list[str] = []  # each backslash at the end of a line is a piece of its own
    for number, line in enumerate(lines, start=1):
        stem = line.rstrip("\\")
        joined += (stem, *line[len(stem) :]) if stem else line
        if joined and joined[-1] == "\\":
            joined.pop()
            continue
        yield number, "".join(joined)
        joined.clear()
    if last:  # without a newline at its end, a backslash is an ordinary character
        yield len(lines) + 1, "".join(joined) + last

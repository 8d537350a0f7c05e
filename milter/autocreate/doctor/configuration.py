"""Problems of autocreate.toml that doctor reports, in words. No I/O."""

import re
from collections.abc import Iterable, Iterator, Mapping

from autocreate.doctor.findings import Finding, critical, warning

_URL_WITH_PASSWORD = re.compile(r"[^/]+://[^/@]*:[^/@]+@")
_OTHERS_READ = 0o004


def unusable(problems: Iterable[str]) -> list[Finding]:
    """The mistakes of a configuration that cannot be loaded."""
    return [
        critical(
            problem,
            "the milter does not start with it; a running one keeps its last good configuration",
            "correct it (man autocreate.toml), then run: autocreate config check",
        )
        for problem in problems
    ]


def readable_passwords(path: str, mode: int, urls: Mapping[str, str]) -> Iterator[Finding]:
    """Passwords that every user of this machine can read.

    Args:
        path: of autocreate.toml.
        mode: its mode, as in stat(2).
        urls: the URLs of databases in it, by their table.
    """
    if not mode & _OTHERS_READ:
        return
    for key, url in urls.items():
        if _URL_WITH_PASSWORD.match(url):
            yield critical(
                f"{path} is readable by everyone, and {key}.url has a password in it",
                "every user of this machine can read that password",
                f"chown root:autocreate {path} && chmod 640 {path}",
            )


def impossible_folders(problems: Iterable[str]) -> Iterator[Finding]:
    """Folders of policies that this Cyrus cannot have."""
    for problem in problems:
        yield warning(
            problem,
            "new users do not get this folder, and the log says so for each of them",
            "autocreate.toml: change its name; write / between levels",
        )

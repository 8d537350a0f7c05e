"""Problems of autocreate.toml that doctor reports, in words. No I/O."""

from collections.abc import Iterable, Iterator

from autocreate.doctor.findings import Finding, critical, warning


def unusable(problems: Iterable[str]) -> list[Finding]:
    """The mistakes of a configuration that cannot be loaded."""
    return [_unusable(problem) for problem in problems]


def _unusable(problem: str) -> Finding:
    """A mistake. At its end may be the command that mends it."""
    what, _, command = problem.rpartition(": ")
    is_command = command.startswith("chmod ")
    return critical(
        what if is_command else problem,
        "the milter does not start with it; a running one keeps its last good configuration",
        command
        if is_command
        else "correct it (man autocreate.toml), then run: autocreate config check",
    )


def impossible_folders(problems: Iterable[str]) -> Iterator[Finding]:
    """Folders of policies that this Cyrus cannot have."""
    for problem in problems:
        yield warning(
            problem,
            "new users do not get this folder, and the log says so for each of them",
            "autocreate.toml: change its name; write / between levels",
        )


def lost_annotations(problems: Iterable[str]) -> Iterator[Finding]:
    """Annotations of policies that this Cyrus does not take, or that nothing acts on."""
    for problem in problems:
        yield warning(
            problem,
            "the folder is made, but what the annotation is for does not happen",
            "see docs/trees.md, Annotations",
        )

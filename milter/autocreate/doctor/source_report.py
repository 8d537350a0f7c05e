"""What was seen of an account source or a table that was asked, as a value."""

from dataclasses import dataclass

from autocreate.doctor.findings import Finding, critical

# A name that nobody has, so no source or table may find it.
NOBODY = "autocreate-check-finds-nobody"


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What was seen of one source, or of one table of aliases.

    Args:
        source: its key in the configuration: `accounts.staff`.
        status: 0 no problems, 65 it does not know the user who was asked for, 75 it cannot be asked,
            78 its configuration must be changed.
    """

    source: str
    status: int
    lines: tuple[str, ...]


def cannot_tell(key: str, problem: str, command: str) -> Finding:
    """The finding about a source, or a table of aliases, that cannot be asked.

    Args:
        command: that asks it alone: "accounts" or "aliases".
    """
    return critical(
        f"{key} cannot tell who exists: {problem}",
        "recipients that no other source knows get 451, and unknown ones are not refused",
        f"correct {key} or its server until this succeeds: autocreate {command} check",
    )

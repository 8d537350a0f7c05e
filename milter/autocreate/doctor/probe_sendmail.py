"""Reads sendmail.cf, and the modes of the folders above the milter's socket."""

import contextlib
from pathlib import Path

from autocreate.backends.regular_file import read_text
from autocreate.doctor import lmtp, sendmail
from autocreate.doctor.findings import Finding, MilterSettings, critical
from autocreate.doctor.probe_sockets import path_entries


def examine(path: Path, ours: MilterSettings) -> list[Finding]:
    """Check a sendmail.cf."""
    try:
        text = read_text(path)
    except OSError as error:
        return [
            critical(
                f"{path} cannot be read: {error.strerror}",
                "Sendmail's configuration was not checked",
                "run this as root",
            )
        ]
    found = sendmail.examine(text, str(path), ours)
    found += lmtp.examine_sendmail(text, str(path), ours)
    with contextlib.suppress(OSError):  # probe_sockets reports a socket that does not exist
        if ours.socket.startswith("unix:"):
            entries = path_entries(Path(ours.socket.removeprefix("unix:")))
            found += sendmail.examine_path(entries, ours)
    return found

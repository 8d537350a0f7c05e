"""Who can reach a socket, by the modes of its path."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocreate.doctor.permissions import PathEntry, UnixUser, obstacle

FOLDER = PathEntry("/var/spool/postfix/autocreate", 0o2750, 107, 115, is_folder=True)
MILTER_SOCKET = PathEntry(f"{FOLDER.path}/milter.sock", 0o660, 107, 115, is_folder=False)


@pytest.mark.parametrize(
    ("user", "stops_at"),
    [
        (UnixUser("postfix", 106, frozenset({115})), None),
        (UnixUser("root", 0, frozenset({0})), None),
        (UnixUser("autocreate", 107, frozenset({113})), None),
        (UnixUser("cyrus", 104, frozenset({8})), FOLDER),
    ],
)
def test_modes_and_groups_decide_who_can_reach_a_socket(
    user: UnixUser, stops_at: PathEntry | None
) -> None:
    assert obstacle([FOLDER, MILTER_SOCKET], user) is stops_at


def test_the_first_class_that_matches_decides_even_if_a_later_one_would_allow_more() -> None:
    owner = UnixUser("autocreate", 107, frozenset({115}))
    closed_to_its_owner = replace(MILTER_SOCKET, mode=0o066)
    assert obstacle([FOLDER, closed_to_its_owner], owner) is closed_to_its_owner
    writers_only = replace(MILTER_SOCKET, mode=0o606)
    assert obstacle([writers_only], UnixUser("postfix", 106, frozenset({115}))) is writers_only

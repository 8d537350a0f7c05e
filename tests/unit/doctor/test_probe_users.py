"""Which users the milter's processes run as."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autocreate.doctor.permissions import UnixUser
from autocreate.doctor.probe_users import running, unix_user, unix_users
from tests.unit.doctor.sites import nothing_runs

CONTROL = [Path("/run/milter.control"), Path("/run/login.control")]
INSTALLED = UnixUser("autocreate", 107, frozenset({113}))


def test_a_user_of_this_machine_has_a_number_and_groups() -> None:
    root = unix_user("root")
    assert root is not None
    assert (root.uid, 0 in root.gids) == (0, True)
    assert unix_user("no-such-user") is None
    assert unix_users(["no-such-user", "root", ""]) == (root,)


def test_each_process_says_whom_it_runs_as() -> None:
    def ask(path: Path) -> Mapping[str, Any]:
        uid = 0 if path == CONTROL[0] else 4000000
        return {"uid": uid, "gids": [uid, 8]}

    assert running(CONTROL, ask, lambda _name: INSTALLED) == [
        UnixUser("root", 0, frozenset({0, 8})),
        UnixUser("4000000", 4000000, frozenset({4000000, 8})),
    ]


def test_processes_of_one_user_are_told_once() -> None:
    found = running(CONTROL, lambda _path: {"uid": 0, "gids": [0]})
    assert [it.uid for it in found] == [0]


def test_where_nothing_runs_it_is_the_user_of_our_units() -> None:
    assert running(CONTROL, nothing_runs, lambda _name: INSTALLED) == [INSTALLED]
    assert running(CONTROL, nothing_runs, lambda _name: None) == []


def test_where_no_process_could_be_asked_nobody_is_assumed() -> None:
    assert running([], nothing_runs, lambda _name: INSTALLED) == []

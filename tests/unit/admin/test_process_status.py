"""How grave it is what a process tells of itself."""

from __future__ import annotations

from typing import Any

import pytest

from autocreate.admin.process_status import Level, level_of, parts

UP = {"state": {"up": True, "since": 1.0, "error": ""}}
DOWN = {"state": {"up": False, "since": 2.0, "error": "away"}}
UNASKED = {"state": {"up": None, "since": 0.0, "error": ""}}
MURDER: dict[str, Any] = {"mupdate": UP, "stream": UP, "backends": {"b1": UP, "b2": UNASKED}}
WELL: dict[str, Any] = {
    "cyrus": UP,
    "journal": UP["state"],
    "sources": {"staff": UP},
    "domains": None,
    "aliases": {"tables": {"virtual": UP}},
    "lmtp": UP,
    "trees": [],
}


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({}, Level.OK),
        ({"cyrus": UNASKED, "sources": {"staff": UNASKED}}, Level.OK),
        ({"sources": {"staff": UP, "old": DOWN}}, Level.WARNING),
        ({"aliases": {"tables": {"virtual": DOWN}}}, Level.WARNING),
        ({"domains": {"tables": {"ours": DOWN}}}, Level.WARNING),
        ({"lmtp": DOWN}, Level.WARNING),
        ({"news": UP}, Level.OK),
        ({"news": DOWN}, Level.WARNING),
        ({"trees": [{"attempts": 0}]}, Level.OK),  # it is being made
        ({"trees": [{"attempts": 1}]}, Level.WARNING),
        ({"cyrus": DOWN}, Level.CRITICAL),
        ({"journal": DOWN["state"], "lmtp": DOWN}, Level.CRITICAL),
        ({"journal": {**UP["state"], "version": 8, "program": 7}}, Level.OK),
        ({"journal": {**UP["state"], "version": 6, "program": 7}}, Level.WARNING),
        ({"cyrus": {**UP, "murder": MURDER}}, Level.OK),
        ({"cyrus": {**UP, "murder": {**MURDER, "stream": None}}}, Level.OK),
        ({"cyrus": {**UP, "murder": {**MURDER, "stream": DOWN}}}, Level.WARNING),
        ({"cyrus": {**UP, "murder": {**MURDER, "backends": {"b1": DOWN}}}}, Level.WARNING),
        ({"cyrus": {**UP, "murder": {**MURDER, "mupdate": DOWN}}}, Level.CRITICAL),
    ],
)
def test_the_level(change: dict[str, Any], level: Level) -> None:
    assert level_of({**WELL, **change}) is level


def test_each_part_has_its_key_in_the_configuration() -> None:
    told = {**WELL, "domains": {"tables": {"ours": DOWN}}}
    assert [it.name for it in parts(told)] == [
        *("cyrus", "journal", "accounts.staff", "domains.ours", "aliases.virtual", "lmtp")
    ]
    told["cyrus"] = {**UP, "murder": MURDER}
    assert [it.name for it in parts(told)][:5] == [
        *("cyrus", "cyrus.murder.mupdate", "cyrus.murder.b1", "cyrus.murder.b2", "mupdate-stream")
    ]
    (down,) = [it for it in parts(told) if it.up is False]
    assert (down.since, down.error) == (2.0, "away")


def test_a_journal_of_another_version_says_so_while_it_is_up() -> None:
    journal = {**UP["state"], "difference": "version 8 is newer than version 7 of this program"}
    part = next(it for it in parts({**WELL, "journal": journal}) if it.name == "journal")
    assert (part.up, part.error) == (True, journal["difference"])

"""Which annotations of policies a Cyrus would lose, and which nothing acts on."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocreate.admin.annotations import notices, problems
from autocreate.core.policy import Policy
from autocreate.imapdconf.parser import Options
from autocreate.imapdconf.settings import CyrusFiles, ImapdConf
from autocreate.tree.values import Folder, Tree

EXPIRE = "/shared/vendor/cmu/cyrus-imapd/expire"
COLOR = "/shared/vendor/example/color"


def policy(*entries: str) -> Policy:
    annotations = tuple((entry, "30") for entry in entries)
    return Policy("all", Tree((Folder(), Folder(("Junk",), annotations=annotations))))


def test_what_cyrus_defines_is_not_mentioned() -> None:
    assert list(notices([policy(EXPIRE, "/private/comment")], None)) == []


def test_what_cyrus_does_not_define_is_mentioned_unless_imapd_conf_allows_it(
    tmp_path: Path,
) -> None:
    (notice,) = notices([policy(COLOR)], None)
    assert "folder Junk" in notice
    assert COLOR in notice
    (notice,) = notices([policy(COLOR)], ImapdConf("/etc/imapd.conf"))
    assert "/etc/imapd.conf neither defines it" in notice
    allowing = ImapdConf("/etc/imapd.conf", annotation_allow_undefined=True)
    assert list(notices([policy(COLOR)], allowing)) == []
    definitions = tmp_path / "annotations"
    defining = ImapdConf("/etc/imapd.conf", annotation_definitions=str(definitions))
    assert len(list(notices([policy(COLOR)], defining))) == 1  # no such file
    definitions.write_text("/vendor/example/color,mailbox,string,backend,value.shared,\n")
    assert list(notices([policy(COLOR)], defining)) == []


def test_nothing_allows_an_unknown_entry_of_cyrus_itself() -> None:
    allowing = ImapdConf("/etc/imapd.conf", annotation_allow_undefined=True)
    (notice,) = notices([policy(EXPIRE.replace("expire", "exipre"))], allowing)
    assert "no release of Cyrus" in notice


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ('  expire cmd="cyr_expire -E 4 -X 3" at=0400', ""),
        ('  expire cmd="/usr/sbin/cyr_expire -E 4" at=0400', ""),
        ('  # expire cmd="cyr_expire -E 4" at=0400', "runs no cyr_expire"),
        ('  expire cmd="cyr_expire -a -E 4" at=0400', "ignores the annotations"),
        ("", "runs no cyr_expire"),
    ],
)
def test_expiry_needs_cyr_expire(tmp_path: Path, event: str, problem: str) -> None:
    cyrus_conf = tmp_path / "cyrus.conf"
    cyrus_conf.write_text(f"EVENTS {{\n{event}\n}}\n")
    files = CyrusFiles(ImapdConf("/etc/imapd.conf"), Options(()), str(cyrus_conf))
    found = list(problems([policy(EXPIRE)], files))
    assert [problem in it for it in found] == ([True] if problem else [])
    assert list(problems([policy("/shared/comment")], files)) == []

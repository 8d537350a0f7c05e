"""A Postfix table as a list of users: its keys, and nothing else that stands in it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from autocreate.accounts.file import FileSource
from autocreate.core.naming import CYRUS_DEFAULTS
from autocreate.model import Account

TABLE = """\
# virtual_mailbox_maps
joe@example.org      example.org/joe/
Kim@Example.org\texample.org/kim/
    continued@example.org is no key
lee                  lee/
zoe@other.test       other/zoe
@example.org         catch/all

 # an indented comment
"""


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    path = tmp_path / "vmailbox"
    path.write_text(TABLE)
    return FileSource(
        "it",
        CYRUS_DEFAULTS,
        path=path,
        groups=None,
        format="postfix",
        domains=["example.org"],
        clock=lambda: time.time() + 3600,
    )


@pytest.mark.parametrize("user", ["joe", "joe@example.org", "kim", "lee", "zoe@other.test"])
def test_a_key_is_a_user_and_its_local_part_too_in_a_domain_of_ours(
    source: FileSource, user: str
) -> None:
    assert source.lookup(user) == Account(user, "it")


@pytest.mark.parametrize("user", ["zoe", "continued", "catch", "", "@example.org", "#", "lee/"])
def test_what_else_stands_in_a_table_is_no_user(source: FileSource, user: str) -> None:
    assert source.lookup(user) is None

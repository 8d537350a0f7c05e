"""Locked and expired accounts are no accounts; without an entry in shadow(5) nobody can tell."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.accounts import AccountSource
from autocreate.accounts.shadow import Ageing
from autocreate.errors import Temporary
from autocreate.model import Account

from .elsewhere import private_etc

TODAY = int(time.time() // 86400)
HASH = "$y$j9T$not$real"

LINES = {
    "joe": f"joe:{HASH}:19000:0:99999:7:::",
    "key-only": "key-only:*:19000:0:99999:7:::",
    "locked": f"locked:!{HASH}:19000:0:99999:7:::",
    "never-set": "never-set:!:19000:0:99999:7:::",
    "expired": f"expired:{HASH}:19000:0:99999:7::{TODAY - 1}:",
    "KLee": f"KLee:{HASH}:19000:0:99999:7:::",
    "Locked-too": f"Locked-too:!{HASH}:19000:0:99999:7:::",
    "expires-later": f"expires-later:{HASH}:19000:0:99999:7::{TODAY + 30}:",
    "long-unchanged": f"long-unchanged:{HASH}:{TODAY - 100}:0:30:7:7::",
    "soon-to-change": f"soon-to-change:{HASH}:{TODAY - 33}:0:30:7:7::",
}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[AccountSource]:
    users = [f"{user}:x:{2000 + number}:100:::\n" for number, user in enumerate(LINES)]
    users += ["daemon:x:1:1:::\n", "unshadowed:x:3000:100:::\n"]
    (tmp_path / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n" + "".join(users))
    (tmp_path / "group").write_text("users:x:100:\n")
    shadow = [f"{line}\n" for line in LINES.values()]
    (tmp_path / "shadow").write_text("root:*:19000::::::\n" + "".join(shadow))
    with private_etc(tmp_path, "shadow") as made:
        yield made


@pytest.mark.parametrize("user", ["joe", "key-only", "klee", "expires-later", "soon-to-change"])
def test_an_account_in_order(source: AccountSource, user: str) -> None:
    assert source.lookup(user) == Account(user, "it")


@pytest.mark.parametrize(
    "user", ["locked", "locked-too", "never-set", "expired", "long-unchanged", "daemon"]
)
def test_an_account_that_nobody_may_use(source: AccountSource, user: str) -> None:
    assert source.lookup(user) is None


def test_users_in_order_are_listed_and_no_others(source: AccountSource, tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_text(passwd.read_text().replace("unshadowed:x:3000:100:::\n", ""))
    assert set(source.names() or ()) == {
        "joe",
        "key-only",
        "KLee",
        "expires-later",
        "soon-to-change",
    }


def test_a_user_of_whom_shadow_has_no_entry_cannot_be_told(source: AccountSource) -> None:
    with pytest.raises(Temporary, match=r"passwd\(5\) has 'unshadowed' but shadow\(5\) has not"):
        source.lookup("unshadowed")
    with pytest.raises(Temporary, match=r"passwd\(5\) has 'unshadowed' but shadow\(5\) has not"):
        source.names()


@pytest.mark.parametrize(
    ("ageing", "is_over"),
    [
        (Ageing(), False),
        (Ageing(expires=100), True),
        (Ageing(expires=101), False),
        (Ageing(changed=80, longest=10, inactive=9), True),
        (Ageing(changed=80, longest=10, inactive=10), False),
        (Ageing(changed=80, longest=10), False),
        (Ageing(changed=80, inactive=1), False),
        # What stood there on Debian before an administrator said anything.
        (Ageing(changed=19000, longest=99999), False),
    ],
)
def test_the_day_on_which_an_account_is_over(ageing: Ageing, is_over: bool) -> None:
    assert ageing.is_expired(100) is is_over

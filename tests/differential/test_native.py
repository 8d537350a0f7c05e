"""The same imapd.conf, given to Cyrus's native autocreate and to us, must leave the same, whichever way we take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.cases import CASES, SCRIPTS, Case
from tests.differential.pair import Pair
from tests.servers.common import aged, free_port, fresh_folder

WRAPPER = "libnss_wrapper.so"


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that Cyrus can read as well as we can."""
    with fresh_folder("nss") as folder:
        yield folder


@pytest.mark.parametrize("name", CASES)
def test_native_and_we_leave_the_same(name: str, readable: Path) -> None:
    case = CASES[name]
    for file, text in SCRIPTS.items():
        (readable / file).write_text(text)
    options = {key: value.replace("FOLDER", str(readable)) for key, value in case.options.items()}
    port = free_port() if case.services else 0
    services = {
        service: (command, listen.replace("LISTEN", f"127.0.0.1:{port}"))
        for service, (command, listen) in case.services.items()
    }
    accounts = (*case.users, *case.nobody)
    with Pair(
        options,
        accounts=accounts,
        shared=case.shared,
        services=services,
        lmtp_service=case.lmtp_service,
        settings=_accounts(case, readable),
        environment=_environment(case, accounts, readable),
        ways=("auto", "never"),
    ) as pair:
        outcomes = pair.deliver(case.mail, port if case.lmtp_service else 0)
        native, *ways = pair.standing()
    assert {to: it.native for to, it in outcomes.items()} == {
        to: it.ours for to, it in outcomes.items()
    }
    assert all(it.others == ((it.verdict, it.ours),) for it in outcomes.values())
    assert set(native.messages) == set(case.users)
    for ours in ways:
        assert ours.mailboxes == native.mailboxes
        assert ours.subscriptions == native.subscriptions
        assert ours.messages == native.messages
        assert ours.scripts == native.scripts
        # Native writes them in lower case: see test_differences.py.
        assert _in_lower_case(ours.special_use) == dict(native.special_use)


def _in_lower_case(uses: object) -> object:
    if isinstance(uses, dict):
        return {key: _in_lower_case(value) for key, value in uses.items()}
    return str(uses).lower()


def _accounts(case: Case, folder: Path) -> dict[str, object]:
    """The same users and groups for us, who do not take an answer of nss_wrapper's for the C library's."""
    if not case.groups:
        return {}
    files = {"path": str(folder / "passwd"), "groups": str(folder / "group")}
    return {"accounts": {"staff": {"type": "file", **files}}}


def _environment(case: Case, accounts: tuple[str, ...], folder: Path) -> dict[str, str]:
    """Users and groups of the case's own, for both Cyrus servers and for us."""
    if not case.groups:
        return {}
    passwd, group = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
    users = dict(zip(accounts, range(5001, 5999), strict=False))
    passwd += "".join(f"{user}:x:{uid}:5000::/:/bin/false\n" for user, uid in users.items())
    group += "mailusers:x:5000:\n"
    group += "".join(
        f"{name}:x:{gid}:{','.join(members)}\n"
        for gid, (name, members) in enumerate(case.groups.items(), start=6001)
    )
    for name, text in (("passwd", passwd), ("group", group)):
        (folder / name).write_text(text)
        aged(folder / name)
    return {
        "LD_PRELOAD": WRAPPER,
        "NSS_WRAPPER_PASSWD": str(folder / "passwd"),
        "NSS_WRAPPER_GROUP": str(folder / "group"),
    }

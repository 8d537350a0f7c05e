"""The default Sieve script filters the very first message, and never stands in the way of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import Mta
from tests.servers import smtp
from tests.servers.common import free_port, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product
from tests.servers.sieve import kept

FILING = b"""require ["fileinto"];\r
if header :contains "subject" "lists" { fileinto "INBOX/Lists"; }\r
"""
WRONG = b'keep;\nfrobnicate "x";\n'


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "students.sieve"
    file.write_bytes(FILING)
    return file


def policy(script: Path) -> Mapping[str, Any]:
    return {
        "name": "students",
        "quota": "2G",
        "folders": [{"name": "Lists", "subscribe": True}],
        "sieve": str(script),
    }


@pytest.fixture(params=["managesieve", "files"])
def way(request: pytest.FixtureRequest, cyrus: Cyrus) -> Mapping[str, Any]:
    """The [cyrus] section's part about scripts."""
    made = {"sieve": request.param}
    if request.param == "files":
        made["imapd_conf"] = str(cyrus.imapd_conf_file)
    return made


def send(mta: Mta, user: str) -> None:
    replies = smtp.send(
        mta.host, mta.port, "ann@client.test", [f"{user}@example.org"], "Subject: lists\n\nhi\n"
    )
    assert [reply.code for reply in replies] == [250, 250]


def test_the_very_first_message_lands_where_the_script_files_it(
    cyrus: Cyrus, start_mta: Callable[..., Mta], way: Mapping[str, Any], script: Path
) -> None:
    user = f"filed-{way['sieve']}-{start_mta.__name__.lower()}"
    with (
        Product(
            cyrus, accounts=[user], settings={"cyrus": way}, policies=[policy(script)]
        ) as product,
        start_mta(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as mta,
    ):
        product.start()
        send(mta, user)
        wait_until(
            lambda: (
                f"user/{user}/Lists" in cyrus.mailboxes(f"user/{user}*")
                and cyrus.messages(user, "INBOX/Lists")
            ),
            10.0,
            "the message in its folder",
            cyrus.log,
        )
        assert product.unfinished() == {}
    assert cyrus.messages(user) == []
    assert cyrus.scripts(user) == {"students.sieve": (kept(FILING), True)}


def test_mail_does_not_wait_for_a_managesieve_that_is_down_and_the_script_comes_later(
    cyrus: Cyrus, start_mta: Callable[..., Mta], script: Path
) -> None:
    user = f"unfiled-{start_mta.__name__.lower()}"
    nowhere = {"cyrus": {"sieve_port": free_port()}}
    with (
        Product(cyrus, accounts=[user], settings=nowhere, policies=[policy(script)]) as product,
        start_mta(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as mta,
    ):
        product.start()
        product.wait_for_log(r"WARNING policy 'students': sieve script .* not checked: .*refused")
        send(mta, user)
        cyrus.wait_for_messages(user)
        assert cyrus.subscriptions(user) == {"INBOX/Lists"}
        entry = product.unfinished()[user]
        assert entry["usable"]
        assert "could not install the sieve script students.sieve" in entry["error"]

        product.stop()
        product.configure({})
        product.start()
        wait_until(lambda: not product.unfinished(), 15.0, "the script", product.log)
    assert cyrus.scripts(user) == {"students.sieve": (kept(FILING), True)}


def test_a_wrong_script_is_told_at_the_start_and_stops_nothing(
    cyrus: Cyrus, start_mta: Callable[..., Mta], way: Mapping[str, Any], script: Path
) -> None:
    user = f"wrong-{way['sieve']}-{start_mta.__name__.lower()}"
    script.write_bytes(WRONG)
    with (
        Product(
            cyrus, accounts=[user], settings={"cyrus": way}, policies=[policy(script)]
        ) as product,
        start_mta(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as mta,
    ):
        product.start()
        product.wait_for_log(
            r"ERROR policy 'students': its users do not get the sieve script \S+/students\.sieve: "
            r"it does not compile: line 2: syntax error"
        )
        send(mta, user)
        cyrus.wait_for_messages(user)
        product.wait_for_log(
            rf"WARNING {user}: could not install the sieve script students\.sieve, will not retry: "
        )
        assert product.unfinished() == {}
    assert f"user/{user}/Lists" in cyrus.mailboxes(f"user/{user}*")
    assert cyrus.quota(f"user/{user}") == {"STORAGE": 2 << 20}


def test_imapd_conf_gives_the_script_as_it_does_to_cyrus(tmp_path: Path, script: Path) -> None:
    with Cyrus() as cyrus, Product(cyrus, accounts=["joe"], policies=[]) as product:
        ours = cyrus.folder / "ours.conf"
        ours.write_text(
            cyrus.imapd_conf_file.read_text()
            + "autocreate_quota: 1000\nautocreate_post: yes\nautocreate_inbox_folders: Lists\n"
            f"autocreate_sieve_script: {script}\n"
            f"autocreate_sieve_compiled_script: {tmp_path}/students.bc\n"
        )
        product.configure({"cyrus": {"imapd_conf": str(ours), "sieve": "files"}})
        done = product.run("sieve", "compile")
        assert done.stdout == f"{script}: compiled into {tmp_path}/students.bc\n"
        done = product.run("provision", "joe@example.org")
        assert "did:      install the sieve script students.sieve" in done.stdout
        assert cyrus.scripts("joe") == {"students.sieve": (kept(FILING), True)}

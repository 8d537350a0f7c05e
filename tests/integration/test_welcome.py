"""The welcome message between Postfix and a real Cyrus: first in INBOX, and once, whatever fails or races."""

from __future__ import annotations

import contextlib
import email
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from tests.integration.conftest import Way, started
from tests.servers.brake import Brake
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.product import POLICY
from tests.servers.smtp import Dialogue

WELCOME = b"""\
From: The postmaster <postmaster@{domain}>
To: {address}
Subject: Welcome, {user}

Hello {user}, this is your mailbox.
"""

# The second way is the one with [lmtp].
WAYS = ["append", "lmtp"]


@pytest.fixture
def message(tmp_path: Path) -> Path:
    file = tmp_path / "welcome.eml"
    file.write_bytes(WELCOME)
    return file


Start = Callable[..., Way]


@pytest.fixture
def start(cyrus: Cyrus, message: Path) -> Iterator[Start]:
    """Starts a milter whose policy has a welcome message, and a Postfix before it."""
    with contextlib.ExitStack() as stack:

        def begin(
            *users: str,
            by: str = "append",
            settings: Mapping[str, Any] | None = None,
            policy: Mapping[str, Any] | None = None,
        ) -> Way:
            settings = dict(settings or {})
            if by == "lmtp":
                settings["lmtp"] = {"address": f"{cyrus.host}:{cyrus.lmtp_port}"}
            ours = {"welcome": str(message), **(policy or {})}
            return started(stack, cyrus, users, ours, settings)

        yield begin


def send(way: Way, user: str, subject: str) -> int:
    """Send a mail; the code that the recipient got."""
    with Dialogue(way.mta.host, way.mta.port) as smtp:
        smtp.ehlo()
        assert smtp.mail("ann@client.test").code == 250
        reply = smtp.rcpt(f"{user}@example.org")
        if reply.code == 250:
            assert (
                smtp.data(f"From: ann@client.test\r\nSubject: {subject}\r\n\r\nx\r\n").code == 250
            )
        smtp.quit()
        return reply.code


def subjects(cyrus: Cyrus, user: str) -> list[str]:
    """The subjects of the messages in INBOX, in their order."""
    return [str(email.message_from_bytes(it)["Subject"]) for it in cyrus.messages(user)]


def wait_for_subjects(cyrus: Cyrus, user: str, *wanted: str) -> None:
    wait_until(
        lambda: len(subjects(cyrus, user)) >= len(wanted),
        20.0,
        f"{len(wanted)} messages for {user}",
    )
    assert subjects(cyrus, user) == list(wanted)


def assert_stays_at_one(way: Way, user: str) -> None:
    """Neither another mail, nor a start, nor a command brings it a second time."""
    way.product.stop()
    way.product.start()
    assert send(way, user, "another") == 250
    assert way.product.run("provision", user).returncode == 0
    assert way.product.run("provision", "--all", "--yes").returncode == 0
    wait_until(lambda: "another" in subjects(way.product.cyrus, user), 20.0, "the other mail")
    assert subjects(way.product.cyrus, user).count(f"Welcome, {user}") == 1


@pytest.mark.parametrize("by", WAYS)
def test_the_welcome_message_is_there_before_the_first_mail(
    cyrus: Cyrus, start: Start, by: str
) -> None:
    user = f"welcomed-{by}"
    here = start(user, by=by)
    assert send(here, user, "the first mail") == 250
    wait_for_subjects(cyrus, user, f"Welcome, {user}", "the first mail")
    first = email.message_from_bytes(cyrus.messages(user)[0])
    assert first["To"] == f"{user}@example.org"
    assert first["From"] == "The postmaster <postmaster@example.org>"
    assert re.fullmatch(r"<welcome\.[A-Za-z0-9-]+@autocreate-milter\.invalid>", first["Message-ID"])
    assert first["Date"]
    assert f"Hello {user}" in first.get_payload()
    assert ("for <" in str(first["Received"])) or (first["Received"] is None) is (by == "append")
    assert not here.product.unfinished()
    assert_stays_at_one(here, user)


def test_a_mailbox_that_existed_gets_none(cyrus: Cyrus, start: Start) -> None:
    cyrus.create("user/older")
    here = start("older")
    assert send(here, "older", "mail") == 250
    told = here.product.run("apply", "--policy", "everyone", "--restore", "older")
    plan = told.stdout + told.stderr
    assert "create Sent" in plan
    assert "welcome" not in plan
    checksum = re.findall(r"checksum ([0-9a-f]{12})", plan)[-1]
    done = here.product.run(
        *("apply", "--policy", "everyone", "--restore", "older", "--yes", checksum)
    )
    assert done.returncode == 0, done.stderr
    assert "user/older/Sent" in cyrus.mailboxes()
    assert here.product.run("provision", "older").returncode == 0
    wait_for_subjects(cyrus, "older", "mail")


@pytest.mark.parametrize("by", WAYS)
def test_thirty_two_sessions_at_once_bring_one(cyrus: Cyrus, start: Start, by: str) -> None:
    user = f"raced-{by}"
    here = start(user, by=by)
    barrier = Barrier(32)

    def session(number: int) -> int:
        barrier.wait()
        return send(here, user, f"mail {number}")

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(session, range(32))) == [250] * 32
    wait_until(lambda: len(subjects(cyrus, user)) >= 33, 30.0, "all mail")
    found = subjects(cyrus, user)
    assert found[0] == f"Welcome, {user}"
    assert found.count(f"Welcome, {user}") == 1


STEPS = {
    "before INBOX": r"CREATE ",
    "before the quota": r"SETQUOTA ",
    "before the message": r"GETMETADATA ",
    "as the message begins": r"APPEND ",
    "within the message": r"Hello ",
    "after the message": r"SUBSCRIBE ",
}


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_each_step_costs_and_doubles_nothing(
    cyrus: Cyrus, start: Start, step: str
) -> None:
    user = f"killed-{'-'.join(step.lower().split())}"
    with Brake(cyrus.imap_port) as brake, ThreadPoolExecutor() as pool:
        here = start(user, settings={"cyrus": {"port": brake.port}})
        brake.hold(STEPS[step])
        first = pool.submit(send, here, user, "deferred")
        brake.wait_until_held()
        here.product.kill()
        assert first.result() == 451
        brake.release()
        here.product.start()
        wait_until(lambda: send(here, user, "mail") == 250, 30.0, "a 250", here.product.log)
        wait_until(lambda: not here.product.unfinished(), 20.0, "an empty journal")
        wait_for_subjects(cyrus, user, f"Welcome, {user}", "mail")
        assert_stays_at_one(here, user)


def test_a_kill_after_lmtpd_took_it_doubles_nothing(cyrus: Cyrus, start: Start) -> None:
    with Brake(cyrus.imap_port) as brake, ThreadPoolExecutor() as pool:
        here = start("killed-lmtp", by="lmtp", settings={"cyrus": {"port": brake.port}})
        brake.hold("SUBSCRIBE ")
        first = pool.submit(send, here, "killed-lmtp", "deferred")
        brake.wait_until_held()
        assert subjects(cyrus, "killed-lmtp") == ["Welcome, killed-lmtp"]
        here.product.kill()
        assert first.result() == 451
        brake.release()
        here.product.start()
        wait_until(lambda: send(here, "killed-lmtp", "mail") == 250, 30.0, "a 250")
        wait_for_subjects(cyrus, "killed-lmtp", "Welcome, killed-lmtp", "mail")


def test_two_mtas_that_share_a_journal_bring_one(cyrus: Cyrus, start: Start) -> None:
    user = "of-two"
    with Brake(cyrus.imap_port) as brake, ThreadPoolExecutor() as pool:
        one = start(user, settings={"cyrus": {"port": brake.port}})
        journal = {"journal": {"url": f"sqlite:///{one.product.journal}"}}
        other = start(user, settings=journal)
        brake.hold("APPEND ")
        first = pool.submit(send, one, user, "by one")
        brake.wait_until_held()
        # INBOX exists; the other one waits for the message.
        second = pool.submit(send, other, user, "by the other")
        with pytest.raises(TimeoutError):
            second.result(1.5)
        brake.let_go()
        assert (first.result(), second.result()) == (250, 250)
        wait_until(lambda: len(subjects(cyrus, user)) >= 3, 20.0, "all mail")
        assert subjects(cyrus, user)[0] == f"Welcome, {user}"
        assert subjects(cyrus, user).count(f"Welcome, {user}") == 1


def test_two_mtas_with_a_journal_each_bring_one(cyrus: Cyrus, start: Start) -> None:
    user = "of-two-apart"
    with Brake(cyrus.imap_port) as brake, ThreadPoolExecutor() as pool:
        one = start(user, settings={"cyrus": {"port": brake.port}})
        other = start(user)
        brake.hold("CREATE ")
        first = pool.submit(send, one, user, "by one")
        brake.wait_until_held()
        assert send(other, user, "by the other") == 250
        brake.let_go()
        assert first.result() == 250  # and looks for the message a minute later
        one.product.wait_for_log("INBOX was created by somebody else at the same moment")
        assert list(one.product.unfinished()) == [user]
        one.product.stop()
        one.product.start()
        wait_until(lambda: not one.product.unfinished(), 20.0, "an empty journal")
        wait_until(lambda: len(subjects(cyrus, user)) >= 3, 20.0, "all mail")
        assert subjects(cyrus, user).count(f"Welcome, {user}") == 1


def test_a_failed_delivery_does_not_hold_up_mail_and_is_retried(cyrus: Cyrus, start: Start) -> None:
    here = start(
        "unwelcomed",
        settings={"lmtp": {"address": "127.0.0.1:1"}, "cyrus": {"timeout": 1.0}},
    )
    assert send(here, "unwelcomed", "mail") == 250
    here.product.wait_for_log("could not deliver the welcome message")
    assert list(here.product.unfinished()) == ["unwelcomed"]
    told = here.product.run("audit", "--trees")
    assert told.returncode == 1, told.stderr
    audit = told.stdout
    assert "unwelcomed" in audit
    assert "welcome" in audit
    here.product.stop()
    here.product.configure({"policy": [{**POLICY, "welcome": str(here.product.folder / "none")}]})
    assert "none" in here.product.run("config", "check").stderr


def test_plan_and_dry_run_tell_of_it_and_do_nothing(cyrus: Cyrus, start: Start) -> None:
    here = start("planned", settings={"milter": {"mode": "dry-run"}})
    assert send(here, "planned", "mail") == 250
    (seen,) = here.product.seen().values()
    plan = seen["plan"]
    assert '"action": "welcome"' in plan
    assert (
        "deliver the welcome message" in here.product.run("explain", "planned@example.org").stdout
    )
    assert "user/planned" not in cyrus.mailboxes()

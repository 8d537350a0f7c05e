"""What breaks, and what a sender is told meanwhile: a doubt is never a no, and nothing half-made stays so."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from tests.integration.conftest import TEMPORARY, WHOLE_TREE, Way, code
from tests.servers.brake import Brake
from tests.servers.common import HUNG, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.product import COMMAND, Product

Begin = Callable[[Product], Way]
Named = Callable[[str], str]

IMPATIENT = {"milter": {"deadline": 6.0}, "cyrus": {"timeout": 2.0}}

# Sendmail gives a milter ten seconds (T=R:10s): a reply of ours after that would not be one.
MTA_PATIENCE = 10.0


# -- Cyrus -------------------------------------------------------------------------------------


def test_cyrus_stopped_and_started_again(way: Begin) -> None:
    with Cyrus() as cyrus:
        here = way(Product(cyrus, accounts=["warm", "cold"], settings=IMPATIENT))
        assert here.codes("warm") == [250]
        cyrus.stop()
        assert here.rcpt("cold") == [TEMPORARY]
        assert here.codes("warm", "nobody") == [250, 550]
        cyrus.start()
        wait_until(lambda: here.codes("cold") == [250], 20.0, "a 250", here.product.log)
        assert here.tree("cold") == WHOLE_TREE


def test_cyrus_accepts_connections_and_says_nothing(way: Begin) -> None:
    with Cyrus() as cyrus:
        here = way(Product(cyrus, accounts=["warm", "cold"], settings=IMPATIENT))
        assert here.codes("warm") == [250]
        cyrus.pause()
        begun = time.monotonic()
        assert here.rcpt("cold") == [TEMPORARY]
        assert time.monotonic() - begun < MTA_PATIENCE
        assert here.codes("warm", "nobody") == [250, 550]
        cyrus.resume()
        wait_until(lambda: here.codes("cold") == [250], 20.0, "a 250", here.product.log)
        assert here.tree("cold") == WHOLE_TREE


# -- the account database ----------------------------------------------------------------------


@contextlib.contextmanager
def missing(product: Product) -> Iterator[None]:
    away = product.database.with_suffix(".away")
    product.database.rename(away)
    yield
    away.rename(product.database)


@contextlib.contextmanager
def corrupt(product: Product) -> Iterator[None]:
    with missing(product):
        product.database.write_bytes(b"this is no database, and longer than a header" * 100)
        yield


@contextlib.contextmanager
def empty(product: Product) -> Iterator[None]:
    with missing(product):
        product.database.touch()
        yield


@contextlib.contextmanager
def locked(product: Product) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(product.database)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.rollback()


@pytest.mark.parametrize("broken", [missing, corrupt, empty, locked])
def test_a_broken_account_database_is_a_doubt_until_it_is_whole_again(
    cyrus: Cyrus,
    way: Begin,
    named: Named,
    broken: Callable[[Product], contextlib.AbstractContextManager[None]],
) -> None:
    warm, cold = named(f"warm-{broken.__name__}"), named(f"cold-{broken.__name__}")
    here = way(Product(cyrus, accounts=[warm, cold], settings=IMPATIENT))
    assert here.codes(warm) == [250]
    with broken(here.product):
        assert here.rcpt(cold, "nobody") == [TEMPORARY, TEMPORARY]
        assert here.codes(warm) == [250]
        assert here.tree(cold) == []
    # What could not be told is remembered for two seconds, so that a burst of mail asks once.
    wait_until(
        lambda: here.codes(cold, "nobody") == [250, 550], 20.0, "the truth", here.product.log
    )


@contextlib.contextmanager
def nobody_writes(path: Path) -> Iterator[None]:
    """Whoever opens the file waits: it is a pipe, and nobody is at its other end."""
    away = path.with_suffix(".away")
    path.rename(away)
    os.mkfifo(path)
    yield
    away.rename(path)


def test_a_look_up_in_nss_that_hangs_is_a_doubt_and_holds_up_neither_others_nor_the_end(
    cyrus: Cyrus, way: Begin, named: Named, tmp_path: Path
) -> None:
    warm, cold, other = named("warm-nss"), named("cold-nss"), named("not-in-nss")
    users = "".join(f"{user}:x:{uid}:100:::\n" for uid, user in enumerate((warm, cold), 2000))
    (tmp_path / "nsswitch.conf").write_text("passwd: files systemd\ngroup: files systemd\n")
    (tmp_path / "passwd").write_text(f"root:x:0:0:::\n{users}")
    (tmp_path / "group").touch()

    def contained(*command: str | Path) -> list[str | Path]:
        bind = 'mount --bind "$0" /etc && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", bind, tmp_path, *command]

    settings = {
        "milter": {"deadline": 4.0},
        "cyrus": {"timeout": 3.0},
        "accounts": {"system": {"type": "nss"}},
    }
    here = way(Product(cyrus, accounts=[other], settings=settings, contained=contained))

    assert here.codes(warm, "nobody") == [250, 550]
    with nobody_writes(tmp_path / "passwd"):
        begun = time.monotonic()
        assert here.rcpt(cold) == [TEMPORARY]
        assert time.monotonic() - begun < MTA_PATIENCE
        assert "accounts.system: the system did not answer within 2 s" in here.product.log()
        # More than there are workers, and only the source's few threads hang.
        guesses = [f"guess{number}" for number in range(40)]
        with ThreadPoolExecutor(len(guesses)) as threads:
            assert set(threads.map(partial(code, here.product), guesses)) == {451}
        begun = time.monotonic()
        assert here.codes(warm, other) == [250, 250]
        assert time.monotonic() - begun < MTA_PATIENCE
        check = contained(COMMAND, "check", "--config", here.product.config_file, cold)
        assert subprocess.run(check, timeout=HUNG, check=False).returncode == 75
        assert here.product.stop() == 0
    here.product.start()
    assert here.codes(cold, "nobody") == [250, 550]


# -- the journal -------------------------------------------------------------------------------


def test_without_a_journal_nothing_is_created_but_what_stands_gets_its_mail(
    cyrus: Cyrus, way: Begin, named: Named
) -> None:
    standing, cold = named("standing"), named("unwritten")
    cyrus.create(f"user/{standing}")
    here = way(Product(cyrus, accounts=[standing, cold]))
    with contextlib.closing(sqlite3.connect(here.product.journal)) as database:
        database.execute("BEGIN IMMEDIATE")
        assert here.rcpt(cold) == [TEMPORARY]
        assert here.codes(standing, "nobody") == [250, 550]
        assert here.tree(cold) == []
        database.rollback()
    wait_until(lambda: here.codes(cold) == [250], 30.0, "a 250", here.product.log)
    assert here.tree(cold) == WHOLE_TREE
    assert "database is locked" in here.product.log()


def test_a_journal_that_is_removed_under_the_running_process_is_opened_anew(
    cyrus: Cyrus, way: Begin, named: Named
) -> None:
    before, after = named("before-removal"), named("after-removal")
    here = way(Product(cyrus, accounts=[before, after]))
    assert here.codes(before) == [250]
    for file in here.product.folder.glob("journal.db*"):
        file.unlink()
    assert here.codes(after, "nobody") == [250, 550]
    assert here.tree(after) == WHOLE_TREE
    assert not here.product.unfinished()  # of the file that is there now
    assert (
        len(re.findall("^ERROR journal .* has been reopened", here.product.log(), re.MULTILINE))
        == 1
    )


def test_a_full_disk_stops_creation_and_not_the_mail_of_those_who_have_a_mailbox(
    cyrus: Cyrus, way: Begin, named: Named, tmp_path: Path
) -> None:
    standing, cold = named("standing-full"), named("cold-full")
    cyrus.create(f"user/{standing}")
    small = 'mount -t tmpfs -o size=600k none "$0" && exec "$@"'
    here = way(
        Product(
            cyrus,
            accounts=[standing, cold],
            settings={"journal": {"url": f"sqlite:///{tmp_path}/journal.db"}},
            contained=lambda *command: [
                "unshare",
                "--mount",
                "sh",
                "-c",
                small,
                tmp_path,
                *command,
            ],
        )
    )
    ballast = Path(f"/proc/{here.product.pid}/root{tmp_path}/ballast")
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert here.rcpt(cold) == [TEMPORARY]
    assert here.codes(standing, "nobody") == [250, 550]
    assert here.tree(cold) == []
    ballast.unlink()
    assert here.codes(cold) == [250]
    assert here.tree(cold) == WHOLE_TREE
    here.product.wait_for_log("database or disk is full")


# -- killed in the middle of a tree --------------------------------------------------------------


@pytest.fixture
def brake(cyrus: Cyrus) -> Iterator[Brake]:
    with Brake(cyrus.imap_port) as brake:
        yield brake


def killed_half_way(cyrus: Cyrus, brake: Brake, way: Begin, user: str) -> Way:
    """The milter is killed when INBOX and Sent stand and Archive/2026 is about to be made."""
    settings = {"cyrus": {"timeout": 7.0, "port": brake.port}}
    here = way(Product(cyrus, accounts=[user], settings=settings))
    brake.hold(r"CREATE .*Archive")
    with ThreadPoolExecutor() as pool:
        session = pool.submit(here.codes, user)
        brake.wait_until_held()
        # What came in the same write before it is done by Cyrus meanwhile.
        half = ["", "/Entwürfe", "/Sent"]
        wait_until(lambda: here.tree(user) == half, 15.0, "the folders before Archive")
        here.product.kill()
        # The MTA's own word, and for the sender the same as ours: come back later.
        assert session.result() == [451]
    brake.refuse()
    assert here.tree(user) == half
    assert list(here.product.unfinished()) == [user]
    return here


def test_a_tree_that_a_kill_left_half_made_is_completed_by_the_next_start_alone(
    cyrus: Cyrus, brake: Brake, way: Begin, named: Named
) -> None:
    user = named("killed-start")
    here = killed_half_way(cyrus, brake, way, user)
    brake.release()
    here.product.start()
    wait_until(lambda: not here.product.unfinished(), 20.0, "an empty journal", here.product.log)
    assert here.tree(user) == WHOLE_TREE
    assert cyrus.subscriptions(user) == {"INBOX/Sent", "INBOX/Entwürfe"}
    assert_never_touched_again(here, user)


def test_a_tree_that_a_kill_left_half_made_is_completed_by_the_next_delivery(
    cyrus: Cyrus, brake: Brake, way: Begin, named: Named
) -> None:
    user = named("killed-delivery")
    here = killed_half_way(cyrus, brake, way, user)
    here.product.start()  # which cannot complete it, since Cyrus is not to be reached
    here.product.wait_for_log(rf"^WARNING {user}: retried: ")
    brake.release()
    wait_until(lambda: here.codes(user) == [250], 20.0, "a 250", here.product.log)
    assert here.tree(user) == WHOLE_TREE
    assert not here.product.unfinished()
    assert_never_touched_again(here, user)


def test_a_tree_with_something_missing_is_completed_by_the_living_process_alone(
    cyrus: Cyrus, brake: Brake, way: Begin, named: Named
) -> None:
    user = named("retried")
    settings = {**IMPATIENT, "cyrus": {"timeout": 2.0, "port": brake.port}}
    here = way(Product(cyrus, accounts=[user], settings=settings))
    brake.hold(r"SUBSCRIBE")
    # INBOX and quota stand: the mail is accepted, and the rest comes later.
    assert here.codes(user) == [250]
    assert here.product.unfinished()[user]["attempts"] == 1
    brake.release()
    a_minute_passes(here.product)
    wait_until(lambda: not here.product.unfinished(), 20.0, "an empty journal", here.product.log)
    assert here.tree(user) == WHOLE_TREE
    assert cyrus.subscriptions(user) == {"INBOX/Sent", "INBOX/Entwürfe"}
    assert_never_touched_again(here, user)


def test_a_shared_subscription_that_a_disk_refused_is_made_by_the_living_process() -> None:
    policy = {"name": "all", "subscribe_shared": ["News"]}
    with Cyrus() as cyrus, Product(cyrus, accounts=["ann", "joe"], policies=[policy]) as product:
        cyrus.create("News")
        product.run("provision", "ann@example.org")  # makes the folder that cannot be written then
        with cyrus.without_writing("conf/user"):
            done = product.run("provision", "joe@example.org")
        assert "could not subscribe to shared folder News: " in done.stdout + done.stderr
        assert product.unfinished()["joe"]["attempts"] == 1
        product.configure(IMPATIENT)
        a_minute_passes(product)
        product.start()
        wait_until(lambda: not product.unfinished(), 20.0, "an empty journal", product.log)
        assert cyrus.subscriptions("joe") == {"News"}


def assert_never_touched_again(here: Way, user: str) -> None:
    """Neither a restart nor a delivery brings back what the user deletes."""
    here.product.cyrus.delete(f"user/{user}/Sent")
    here.product.stop()
    here.product.start()
    assert here.codes(user) == [250]
    assert here.tree(user) == [it for it in WHOLE_TREE if it != "/Sent"]


def a_minute_passes(product: Product) -> None:
    """The journal's times are those of the clock on the wall: what is due in a minute is due now."""
    with contextlib.closing(sqlite3.connect(product.journal)) as database, database:
        database.execute("UPDATE unfinished SET next_try = next_try - 61")

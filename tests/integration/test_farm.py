"""Several MTAs on one Cyrus and one journal: one tree made once, and what each learns the others know."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.integration.conftest import WHOLE_TREE
from tests.integration.farm import Farm, Member, farm
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.product import POLICY

DEADLINE = 8.0
SERVERS: dict[str, type[Postgres] | type[MariaDb]] = {
    "postgresql": Postgres,
    "mariadb": MariaDb,
}


@pytest.fixture(scope="module", params=list(SERVERS))
def shared(request: pytest.FixtureRequest, cyrus: Cyrus) -> Iterator[Farm]:
    """Three MTAs that tests do not stop."""
    with SERVERS[request.param]() as server, farm(cyrus, server, members=3) as made:
        yield made


@pytest.fixture
def pair(cyrus: Cyrus) -> Iterator[Farm]:
    """Two MTAs, on a PostgreSQL that tests may stop."""
    with Postgres() as server, farm(cyrus, server) as made:
        yield made


def test_64_sessions_at_three_mtas_for_one_user_make_one_tree_once(shared: Farm, new: str) -> None:
    shared.add(new)
    sessions = [shared[number % 3] for number in range(64)]
    with ThreadPoolExecutor(len(sessions)) as pool:
        codes = list(pool.map(lambda mta: mta.codes(new), sessions))
    assert codes == [[250]] * 64
    made = {name: times for name, times in shared.created().items() if f"user/{new}" in name}
    assert set(made.values()) == {1}
    assert shared[0].tree(new) == WHOLE_TREE
    lines = [f"{new}: mailbox created" in it.product.log() for it in shared.members]
    assert sum(lines) == 1


def test_many_users_at_once_each_by_every_mta(shared: Farm, new: str) -> None:
    users = [f"{new}{number:02}" for number in range(12)]
    shared.add(*users)
    work = [(mta, user) for user in users for mta in shared.members]
    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(lambda it: it[0].codes(it[1]), work))
    assert codes == [[250]] * len(work), "\n".join(it.product.log() for it in shared.members)
    made = {name: times for name, times in shared.created().items() if f"user/{new}" in name}
    assert set(made.values()) == {1}
    for user in users:
        assert shared[0].tree(user) == WHOLE_TREE

    def is_finished() -> bool:
        """A database that did not answer in time leaves a tree to the retry, which would be in a minute."""
        if shared.rows("SELECT * FROM unfinished"):
            assert shared[0].product.run("unfinished", "retry", "--all").returncode in (0, 65, 75)
        return not shared.rows("SELECT * FROM unfinished")

    wait_until(is_finished, 60.0, "an empty journal")


def test_what_an_mta_that_was_killed_left_another_finishes_at_once(
    cyrus: Cyrus, pair: Farm, new: str
) -> None:
    pair.add(new)
    first, second = pair.members
    first.brake.hold(r"CREATE .*Archive")
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first.codes, new)
        first.brake.wait_until_held()
        two = pool.submit(second.codes, new)
        # INBOX exists, and the second waits for the rest.
        with pytest.raises(TimeoutError):
            two.result(0.5)
        first.product.kill()
        assert two.result() == [250]
        assert one.result() == [451]
    assert second.figures("turns")["missed"] == 0  # its turn came: it did not go on without
    assert second.tree(new) == WHOLE_TREE
    assert not pair.rows("SELECT * FROM unfinished")
    first.product.start()
    assert first.codes(new) == [250]


def test_a_welcome_message_of_an_mta_that_was_killed_is_delivered_by_another(
    cyrus: Cyrus, new: str
) -> None:
    with Postgres() as server:
        welcome = server.folder / "welcome.eml"
        welcome.write_text("From: post@example.org\nSubject: Welcome\n\nHello\n")
        policy = {**POLICY, "welcome": str(welcome)}
        with farm(cyrus, server, policies=[policy]) as made:
            made.add(new)
            first, second = made.members
            first.brake.hold(r"CREATE .*Archive")
            with ThreadPoolExecutor(1) as pool:
                pool.submit(first.codes, new)
                first.brake.wait_until_held()
                first.product.kill()
                assert second.codes(new) == [250]
            assert second.tree(new) == WHOLE_TREE
            assert len(cyrus.messages(new)) == 1
            first.product.start()


def test_an_mta_that_hangs_is_not_waited_for_beyond_half_of_the_deadline(
    pair: Farm, new: str
) -> None:
    pair.add(new)
    first, second = pair.members
    first.brake.hold(r"CREATE .*Archive")
    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(first.codes, new)
        first.brake.wait_until_held()
        first.product.pause()
        begun = time.monotonic()
        assert second.codes(new) == [250]
        assert DEADLINE / 2 < time.monotonic() - begun < DEADLINE
        assert second.tree(new) == WHOLE_TREE
        first.product.resume()
        first.brake.let_go()
        one.result()
    assert second.figures("turns")["missed"] == 1
    assert first.codes(new) == [250]


@pytest.mark.parametrize("end", [Postgres.stop, Postgres.pause], ids=["stopped", "silent"])
def test_a_database_that_leaves_in_the_middle_holds_nobody_up(
    cyrus: Cyrus, pair: Farm, new: str, end: object
) -> None:
    assert callable(end)
    known = f"known{new}"
    cyrus.create(f"user/{known}")
    pair.add(new, known)
    first, second = pair.members
    assert [it.codes(known) for it in pair.members] == [[250]] * 2
    first.brake.hold(r"CREATE .*Archive")
    with ThreadPoolExecutor(2) as pool:
        begun = time.monotonic()
        one = pool.submit(first.codes, new)
        first.brake.wait_until_held()
        two = pool.submit(second.codes, new)
        with contextlib.suppress(TimeoutError):
            two.result(0.3)
        assert isinstance(pair.server, Postgres)
        end(pair.server)
        first.brake.let_go()
        assert one.result() == [250]
        assert two.result() in ([250], [451])
        assert time.monotonic() - begun < 2 * DEADLINE
    assert [it.codes(known) for it in pair.members] == [[250]] * 2
    if pair.server.is_running:
        pair.server.resume()
    else:
        pair.server.start()
    wait_until(lambda: second.codes(new) == [250], 30.0, "the database")
    pair.server.execute("UPDATE unfinished SET next_try = 1")  # and not in a minute
    wait_until(lambda: not pair.rows("SELECT * FROM unfinished"), 60.0, "an empty journal")
    assert second.tree(new) == WHOLE_TREE


# -- what one learns the others learn --------------------------------------------------------


def hears(member: Member) -> bool:
    return member.figures("news")["state"]["up"] is True


def test_a_user_whom_another_has_created_is_not_unknown_any_more(pair: Farm, new: str) -> None:
    first, second = pair.members
    wait_until(lambda: all(map(hears, pair.members)), 10.0, "the channels")
    assert [it.codes(new) for it in pair.members] == [[550]] * 2
    pair.add(new)
    assert first.codes(new) == [550]  # a cached no
    assert first.product.run("provision", new, "--yes").returncode == 0
    wait_until(lambda: second.codes(new) == [250], 5.0, "the message")
    assert first.codes(new) == [250]


def test_clearing_the_caches_of_one_clears_those_of_all(pair: Farm, new: str) -> None:
    first, second = pair.members
    wait_until(lambda: all(map(hears, pair.members)), 10.0, "the channels")
    assert [it.codes(new) for it in pair.members] == [[550]] * 2
    pair.add(new)
    assert [it.codes(new) for it in pair.members] == [[550]] * 2
    assert first.product.run("cache", "clear").returncode == 0
    wait_until(lambda: second.codes(new) == [250], 5.0, "the message")


def test_messages_that_were_missed_are_made_up_for(pair: Farm, new: str) -> None:
    first, second = pair.members
    assert isinstance(pair.server, Postgres)
    wait_until(lambda: all(map(hears, pair.members)), 10.0, "the channels")
    assert second.codes(new) == [550]
    pair.server.stop()
    wait_until(lambda: not hears(second), 15.0, "the outage")
    (told,) = second.product.json("status")
    assert told["news"]["state"]["up"] is False
    assert "messages of MTAs" in second.product.run("status").stdout
    pair.server.start()
    pair.add(new)
    wait_until(lambda: hears(second), 30.0, "the channel")
    wait_until(lambda: second.codes(new) == [250], 5.0, "what was forgotten")
    assert first.codes(new) == [250]
    assert "are heard again; caches are cleared" in second.product.log()


def test_one_mta_retries_unfinished_trees_and_another_takes_over(pair: Farm, new: str) -> None:
    def leader() -> str:
        rows = pair.rows("SELECT value FROM watch WHERE name = 'lease:retries' AND until > 0")
        found = re.search(r":(\d+):\w+@", rows[0][0]) if rows else None
        return found[1] if found else ""

    pids = {str(it.product.pid): it for it in pair.members}
    assert wait_until(leader, 10.0, "a leader") in pids
    led = pids.pop(leader())
    (other,) = pids
    pair.add(new)
    pair.server.execute(
        "INSERT INTO unfinished VALUES "
        f"('{new}', '{new}@example.org', 'lmtp', true, false, 0, 1.0, '')"
    )
    wait_until(lambda: f"{new}: retried" in led.product.log(), 15.0, "the retry")
    assert f"{new}: retried" not in pids[other].product.log()
    led.product.kill()
    wait_until(lambda: leader() == other, 40.0, "the next leader")
    led.product.start()

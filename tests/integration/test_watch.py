"""`autocreate watch` on a real Cyrus: mailboxes for accounts as they appear."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import WHOLE_TREE
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product
from tests.servers.slapd import PEOPLE, Slapd, ldap_source

WATCH: Mapping[str, Any] = {
    "every": "5s",
    "list_every": "1m",
    "overlap": "1m",
    "at_most": {"count": 5, "percent": 100},
}
CHANGED = {
    "changed_query": "SELECT userid FROM accounts WHERE changed >= :since AND enabled",
}
STOPPED = "watch: stopped"


@pytest.fixture(scope="module")
def cyrus() -> Iterator[Cyrus]:
    with Cyrus() as started:
        yield started


class Watch(Product):
    """`autocreate watch` over an SQLite database whose accounts have the time of their last change."""

    def __init__(
        self,
        cyrus: Cyrus,
        *,
        source: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        command: str = "watch",
        journal: Path | None = None,
    ) -> None:
        self._source = source
        self._shared = journal
        super().__init__(cyrus, settings={"watch": WATCH, **(settings or {})}, command=command)

    @property
    def journal(self) -> Path:
        return self._shared or super().journal

    def _defaults(self) -> dict[str, Any]:
        defaults = super()._defaults()
        defaults["accounts"]["staff"] = self._source or {**defaults["accounts"]["staff"], **CHANGED}
        return defaults

    def _lay_out(self) -> None:
        super()._lay_out()
        with contextlib.closing(sqlite3.connect(self.database)) as database, database:
            database.execute("ALTER TABLE accounts ADD COLUMN changed INTEGER")
            database.execute(
                "CREATE TRIGGER dated AFTER INSERT ON accounts BEGIN UPDATE accounts "
                "SET changed = unixepoch() WHERE userid = NEW.userid; END"
            )

    def add(self, *users: str) -> None:
        for user in users:
            self.add_account(user)

    def figures(self) -> dict[str, Any]:
        shown = [it for it in self.json("cache", "show") if it["process"].endswith("watch.control")]
        return dict(shown[0]["watch"])

    def tree(self, user: str) -> list[str]:
        found = self.cyrus.mailboxes(f"user/{user}") | self.cyrus.mailboxes(f"user/{user}/*")
        return sorted(it.removeprefix(f"user/{user}") for it in found)

    def wait_for_tree(self, user: str, timeout: float = 30.0) -> None:
        wait_until(lambda: self.tree(user) == WHOLE_TREE, timeout, f"{user}'s tree", self.log)

    def wait_for_lines(self, text: str, count: int = 1, timeout: float = 30.0) -> None:
        wait_until(lambda: self.log().count(text) >= count, timeout, text, self.log)


def test_an_account_that_was_inserted_gets_its_whole_tree_without_mail_or_login(
    cyrus: Cyrus,
) -> None:
    with Watch(cyrus) as watch:
        watch.start()
        watch.add("anna")
        watch.wait_for_tree("anna")
        watch.wait_for_lines("anna: mailbox created, by policy 'everyone'")
        wait_until(lambda: watch.figures()["created"] == 1, 10.0, "the figure", watch.log)
        figures = watch.figures()
        assert (figures["leads"], figures["stopped"]) == (True, None)
        assert figures["sources"] == {"staff": {"kind": "changes", "error": ""}}
        wait_until(lambda: not watch.unfinished(), 10.0, "an empty journal", watch.log)


def test_what_was_inserted_while_nobody_watched_is_caught_up_with(cyrus: Cyrus) -> None:
    with Watch(cyrus) as watch:
        watch.start()
        watch.wait_for_lines("this process watches")
        wait_until(lambda: "mark:staff" in marks(watch.journal), 20.0, "a mark", watch.log)
        watch.stop()
        # As if it had been down for a day: longer than what every search reaches back.
        put(watch.journal, "mark:staff", str(float(marks(watch.journal)["mark:staff"]) - 86400))
        watch.add("bert")
        with contextlib.closing(sqlite3.connect(watch.database)) as database, database:
            database.execute("UPDATE accounts SET changed = changed - 3600")
        watch.start()
        watch.wait_for_tree("bert")


def test_too_many_stop_the_watch_until_their_plans_were_read(cyrus: Cyrus) -> None:
    many = [f"many{number}" for number in range(6)]
    with Watch(cyrus) as watch:
        watch.start()
        watch.add(*many)
        watch.wait_for_lines(STOPPED)
        assert cyrus.mailboxes("user/many*") == set()
        stopped = watch.figures()["stopped"]
        assert stopped["new"] == 6
        assert "watch.at_most.count" in stopped["why"]

        shown = watch.run("watch", "--plan")
        assert (shown.returncode, cyrus.mailboxes("user/many*")) == (0, set())
        *plans, checksum = shown.stdout.splitlines()
        assert [line.split(":")[0] for line in sorted(plans)] == many

        wrong = watch.run("watch", "--resume", "0" * 64)
        assert wrong.returncode == 65
        assert "the plans have changed" in wrong.stderr
        assert cyrus.mailboxes("user/many*") == set()

        done = watch.run("watch", "--resume", checksum.removeprefix("checksum "))
        assert (done.returncode, "6 created" in done.stderr) == (0, True), done.stderr
        for user in many:
            assert watch.tree(user) == WHOLE_TREE
        watch.wait_for_lines("watch: goes on")
        watch.add("later")
        watch.wait_for_tree("later")
        assert watch.figures()["stopped"] is None


def test_a_stopped_watch_is_still_stopped_after_a_restart(cyrus: Cyrus) -> None:
    with Watch(cyrus) as watch:
        watch.add(*(f"host{number}" for number in range(6)))
        watch.start()
        watch.wait_for_lines(STOPPED)
        watch.stop()
        watch.start()
        watch.wait_for_lines(STOPPED, count=2)
        assert cyrus.mailboxes("user/host*") == set()


def test_cyrus_is_away_and_comes_back(cyrus: Cyrus) -> None:
    with Cyrus() as own, Watch(own) as watch:
        watch.start()
        watch.wait_for_lines("this process watches")
        own.stop()
        watch.add("carl")
        watch.wait_for_lines("watch: carl: ")
        own.start()
        watch.wait_for_tree("carl", 60.0)
        wait_until(lambda: not watch.unfinished(), 10.0, "an empty journal", watch.log)


def test_of_two_processes_one_watches_and_the_other_takes_over_when_it_is_killed(
    cyrus: Cyrus,
) -> None:
    with Watch(cyrus) as first, Watch(cyrus, journal=first.journal) as second:
        first.start()
        first.wait_for_lines("this process watches")
        second.start()
        for watch in (first, second):
            watch.add("dora")
        first.wait_for_tree("dora")
        assert (first.figures()["leads"], second.figures()["leads"]) == (True, False)
        assert "dora" not in second.log()

        first.kill()
        second.add("emil")
        second.wait_for_tree("emil", 60.0)
        assert second.figures()["leads"] is True


def test_one_that_stops_hands_over_at_once(cyrus: Cyrus) -> None:
    with Watch(cyrus) as first, Watch(cyrus, journal=first.journal) as second:
        first.start()
        first.wait_for_lines("this process watches")
        second.start()
        first.stop()
        second.wait_for_lines("this process watches", timeout=15.0)


def test_dry_run_says_what_it_would_do(cyrus: Cyrus) -> None:
    with Watch(cyrus, settings={"milter": {"mode": "dry-run"}}) as watch:
        watch.start()
        watch.add("fred")
        watch.wait_for_lines("watch: dry run: fred: would be created, by policy 'everyone'")
        wait_until(lambda: "fred" in watch.seen(), 20.0, "a record", watch.log)
        assert watch.seen()["fred"]["answer"] == "accept"
        assert watch.tree("fred") == []
        assert marks(watch.journal) == {}


def test_a_file_is_listed_when_it_has_changed_and_accounts_that_are_gone_are_only_reported(
    tmp_path: Path,
) -> None:
    users = tmp_path / "users"
    users.write_text("gina\nhans\n")
    source = {"type": "file", "path": str(users)}
    with Cyrus() as own, Watch(own, source=source) as watch:
        watch.start()
        watch.wait_for_tree("gina")
        watch.wait_for_tree("hans")
        users.write_text("gina\nines\n")
        watch.wait_for_tree("ines")
        assert watch.tree("hans") == WHOLE_TREE
        assert "no-account  hans: " in watch.run("audit").stdout


def test_run_watches_beside_the_milter(cyrus: Cyrus) -> None:
    with Watch(cyrus, command="run") as watch:
        watch.start()
        watch.add("jane")
        watch.wait_for_tree("jane")
        (figures,) = watch.json("cache", "show")[:1]
        assert figures["watch"]["created"] == 1


def test_a_limit_of_creations_holds_for_the_watch_and_nobody_is_forgotten(cyrus: Cyrus) -> None:
    settings = {"limits": {"creations_per_minute": 2}}
    with Watch(cyrus, settings=settings) as watch:
        watch.start()
        watch.add("karl", "kate", "kurt")
        watch.wait_for_lines("limits.creations_per_minute", timeout=30.0)
        assert len(cyrus.mailboxes("user/k%")) == 2
        for user in ("karl", "kate", "kurt"):
            watch.wait_for_tree(user, 90.0)


@pytest.mark.parametrize("syncprov", [True, False], ids=["syncprov", "no syncprov"])
def test_an_entry_that_was_added_gets_its_tree_at_once_where_the_server_reports_it(
    cyrus: Cyrus, tmp_path: Path, syncprov: bool
) -> None:
    with Slapd(syncprov=syncprov) as slapd:
        slapd.put({"lars": []} if syncprov else {"lisa": []})
        with Watch(cyrus, source=ldap_source(slapd, tmp_path)) as watch:
            watch.start()
            watch.wait_for_tree("lars" if syncprov else "lisa")
            kind = "syncrepl" if syncprov else "changes"
            wait_until(
                lambda: watch.figures()["sources"]["staff"]["kind"] == kind, 30.0, kind, watch.log
            )
            user = "mara" if syncprov else "nora"
            slapd.add(f"cn={user},{PEOPLE}", objectClass="inetOrgPerson", sn="x", cn=user, uid=user)
            watch.wait_for_tree(user, 3.0 if syncprov else 30.0)

            slapd.stop()
            wait_until(
                lambda: watch.figures()["sources"]["staff"]["error"], 30.0, "the error", watch.log
            )
            slapd.start()
            slapd.add(f"cn=o{user},{PEOPLE}", objectClass="inetOrgPerson", sn="x", uid=f"o{user}")
            watch.wait_for_tree(f"o{user}", 60.0)


def marks(journal: Path) -> dict[str, str]:
    """What the journal keeps for the watch, without the lease."""
    with contextlib.closing(sqlite3.connect(journal)) as database:
        rows = database.execute("SELECT name, value FROM watch WHERE name <> 'lease'")
        return dict(rows.fetchall())


def put(journal: Path, name: str, value: str) -> None:
    with contextlib.closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE watch SET value = ? WHERE name = ?", (value, name))
    assert json.loads(value)

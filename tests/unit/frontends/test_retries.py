"""Retries of unfinished trees: by one process of all that share the journal."""

from __future__ import annotations

import threading
from pathlib import Path

from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.process import complete_unfinished
from autocreate.service.journal import Entry
from autocreate.service.journal_leases import Duty
from tests.unit.house import House


class Once(threading.Event):
    """Is set after the first round."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


def retry(house: House) -> None:
    complete_unfinished(ServiceGate(house.service), Once())


def test_who_has_the_lease_retries_and_who_has_not_does_not(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    house.journal.begin(Entry("joe", "joe@example.org"))
    lease = house.journal.lease(Duty.RETRIES)
    assert lease.take("elsewhere:1:aa", 60.0)
    retry(house)
    assert "joe" not in house.store.trees
    lease.release("elsewhere:1:aa")
    retry(house)
    assert "joe" in house.store.trees
    assert house.journal.entry("joe") is None


def test_the_lease_is_given_up_at_the_end(tmp_path: Path) -> None:
    house = House(tmp_path)
    retry(house)
    assert house.journal.lease(Duty.RETRIES).take("elsewhere:1:aa", 60.0)


def test_in_dry_run_no_process_takes_the_lease(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()}, dry_run=True)
    house.journal.begin(Entry("joe", "joe@example.org"))
    retry(house)
    assert house.journal.lease(Duty.RETRIES).holder() == ""
    assert "joe" not in house.store.trees

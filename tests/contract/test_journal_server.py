"""The journal of a farm of MTAs, on a database server: what several processes counted adds up."""

from __future__ import annotations

import json
import time

from sqlalchemy.engine import make_url

from autocreate.core.tally import Tally
from autocreate.journal import Journal
from autocreate.model import Answer, Verdict
from autocreate.statistics import Statistics
from tests.servers.postgres import Postgres

# Beyond what a signed 32-bit number holds, which ends in January 2038.
LATER = 2_200_000_000.0


def test_hours_of_several_processes_add_up_on_postgresql() -> None:
    with Postgres() as server:
        server.execute(f"GRANT CREATE ON SCHEMA public TO {server.user}")
        url = make_url(server.url).set(password=server.password)
        journals = [Journal(url.render_as_string(hide_password=False), time.time) for _ in range(2)]
        for journal in journals:
            process = Statistics(lambda: LATER)
            for _ in range(2):
                verdict = Verdict(Answer.ACCEPT, "INBOX stands", "joe")
                process.count("milter", verdict, 1.0, "<joe@example.org>")
                process.save(journal.tally)
        tallies = [Tally.from_json(json.loads(text)) for _, text in journals[0].tallies(0)]
        assert [sum(tally.kinds.values()) for tally in tallies] == [2, 2]
        assert journals[0].count_unfinished() == 0
        for journal in journals:
            journal.close()

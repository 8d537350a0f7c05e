"""A frontend of a Cyrus Murder as `cyrus.host`, and nothing configured about the Murder."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.integration.conftest import TEMPORARY, WHOLE_TREE, Way
from tests.servers.common import wait_until
from tests.servers.murder import Murder
from tests.servers.product import POLICY, Product

Begin = Callable[[Product], Way]
Named = Callable[[str], str]

# Seconds for which a frontend does not try to reach its master again.
AWAY = 6

NOT_OURS = {"name": "not ours", "users": ["ann-postfix", "ann-sendmail"], "create": False}


@pytest.fixture(scope="module")
def murder() -> Iterator[Murder]:
    """Its frontends stay out of step for some time after the master was restarted."""
    with Murder(imapd_conf={"mupdate_retry_delay": str(AWAY)}) as servers:
        yield servers


def test_a_mailbox_that_the_frontend_does_not_know_yet_gets_no_mail(
    murder: Murder, way: Begin, named: Named
) -> None:
    frontend = murder.frontends[0]
    new, later = named("joe"), named("kim")
    here = way(Product(frontend, accounts=[new, later]))
    assert here.codes(new) == [250]
    assert here.tree(new) == WHOLE_TREE

    murder.master.stop()
    murder.master.start()
    # Its CREATE says OK, and its lmtpd would say 550.
    assert here.rcpt(later) == [TEMPORARY]
    assert "this frontend of a Murder does not know it yet" in here.product.log()
    assert here.codes(new) == [250]

    wait_until(lambda: here.codes(later) == [250], 4 * AWAY, "a 250", here.product.log, pause=1.0)
    with here.session() as smtp:
        assert smtp.rcpt(f"{later}@example.org").code == 250
        assert smtp.data("Subject: in\n\nin\n").code == 250
    frontend.wait_for_messages(later)
    assert here.tree(later) == WHOLE_TREE
    assert len(murder.home(later)) == 1


def test_who_gets_no_mailbox_may_have_one_at_another_server(
    murder: Murder, way: Begin, named: Named
) -> None:
    frontend = murder.frontends[0]
    user = named("ann")
    here = way(Product(frontend, accounts=[user], policies=[NOT_OURS, POLICY]))
    murder.master.stop()
    murder.master.start()
    murder.backends[0].create(f"user/{user}")
    assert here.rcpt(user) == [TEMPORARY]
    assert "only the MUPDATE master knows" in here.product.log()
    assert here.codes("nobody") == [550]
    wait_until(lambda: here.codes(user) == [250], 4 * AWAY, "a 250", here.product.log, pause=1.0)

"""The program between a real MTA and a real Cyrus."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.servers.postfix import Postfix
from tests.servers.sendmail import Sendmail

Mta = Postfix | Sendmail


@pytest.fixture(params=[Postfix, Sendmail], ids=["postfix", "sendmail"])
def start_mta(request: pytest.FixtureRequest) -> Callable[..., Mta]:
    """Makes an MTA; every test that asks for it runs once with Postfix and once with Sendmail."""
    make: Callable[..., Mta] = request.param
    return make

"""What a policy may call a folder is what Cyrus lets a folder be called."""

from __future__ import annotations

from typing import get_args

from autocreate.config.types import SpecialUse
from tests.servers.cyrus import Cyrus


def test_every_special_use_of_the_configuration_is_one_of_cyrus_s(cyrus: Cyrus) -> None:
    cyrus.create("user/uses")
    uses = {f"INBOX/{use[1:]}": use for use in get_args(SpecialUse)}
    for use in uses.values():
        cyrus.create(f"user/uses/{use[1:]}", f"(USE ({use}))")
    assert cyrus.special_use("uses") == uses

"""Does a program that connects to one place reach the one that listens at another?"""

from __future__ import annotations

import pytest

from autocreate.doctor.endpoints import reaches


@pytest.mark.parametrize(
    ("place", "listening", "is_reached"),
    [
        ("inet:127.0.0.1:8894", "inet:127.0.0.1:8894", True),
        ("inet:localhost:8894", "inet:127.0.0.1:8894", True),
        ("inet:[::1]:8894", "inet:localhost:8894", True),
        ("inet:[0:0:0:0:0:0:0:1]:8894", "inet:[::1]:8894", True),
        ("inet:127.0.0.1:8894", "inet:0.0.0.0:8894", True),
        ("inet:mx.example.org:8894", "inet:0.0.0.0:8894", True),
        ("inet:localhost:8894", "inet:0.0.0.0:8894", True),
        ("inet:[::1]:8894", "inet:0.0.0.0:8894", False),
        ("inet:[::1]:8894", "inet:[::]:8894", True),
        ("inet:127.0.0.1:8894", "inet:[::]:8894", True),
        ("inet:127.0.0.1:8891", "inet:0.0.0.0:8894", False),
        ("inet:127.0.0.1:8894", "inet:192.0.2.1:8894", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("unix:/a:8894", "inet:0.0.0.0:8894", False),
    ],
)
def test_a_listener_at_every_address_is_reached_at_each(
    place: str, listening: str, is_reached: bool
) -> None:
    assert reaches(place, listening) is is_reached

"""Which service answers now, and how many are inside it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import cast

from autocreate.frontends.gate import ServiceGate
from autocreate.service.service import Service

LONG = 30.0
TIMEOUT = 0.05


def service() -> Service:
    """Traffic only hands services on, so anything with an identity is one."""
    return cast(Service, object())


def seconds(wait: Callable[[], object]) -> float:
    """How long a wait takes: at least LONG where it has not ended by then."""
    began = time.monotonic()
    waiter = threading.Thread(target=wait)
    waiter.start()
    waiter.join(LONG)
    return time.monotonic() - began


def test_who_enters_gets_the_service_that_answers_now() -> None:
    old, new = service(), service()
    gate = ServiceGate(old)
    with gate.enter() as first:
        assert first is old
        assert gate.replace(new) is old
        with gate.enter() as second:
            assert second is new


def test_a_replaced_service_is_waited_for_until_its_last_caller_has_left() -> None:
    old = service()
    gate = ServiceGate(old)
    events: list[str] = []
    with gate.enter():
        gate.replace(service())

        def retire() -> None:
            gate.wait_out(old, LONG)
            events.append("retired")

        retirement = threading.Thread(target=retire)
        retirement.start()
        with gate.enter():
            retirement.join(TIMEOUT)
            events.append("answered")
    retirement.join(LONG)
    assert events == ["answered", "retired"]


def test_waiting_for_a_replaced_service_ends_after_its_timeout_and_not_before() -> None:
    old = service()
    gate = ServiceGate(old)
    with gate.enter():
        gate.replace(service())
        assert TIMEOUT <= seconds(lambda: gate.wait_out(old, TIMEOUT)) < LONG


def test_nobody_waits_for_a_service_that_nobody_is_inside() -> None:
    old = service()
    gate = ServiceGate(old)
    with gate.enter():
        pass
    gate.replace(service())
    with gate.enter():
        assert seconds(lambda: gate.wait_out(old, 2 * LONG)) < LONG


def test_a_caller_that_outstays_its_service_does_not_hold_up_the_end() -> None:
    old = service()
    gate = ServiceGate(old)
    with gate.enter():
        gate.replace(service())
        gate.wait_out(old, 0.01)
    assert gate.drain(0.01)


def test_draining_lets_nobody_in_and_waits_for_those_inside() -> None:
    gate = ServiceGate(service())
    with gate.enter():
        assert not gate.drain(0.01)
        with gate.enter() as late:
            assert late is None
    assert gate.drain(0.01)


def test_draining_ends_after_its_timeout_and_not_before() -> None:
    gate = ServiceGate(service())
    with gate.enter():
        assert TIMEOUT <= seconds(lambda: gate.drain(TIMEOUT)) < LONG


def test_draining_ends_when_the_last_caller_has_left() -> None:
    gate = ServiceGate(service())
    answers: list[bool] = []
    with gate.enter():
        drained = threading.Thread(target=lambda: answers.append(gate.drain(2 * LONG)))
        drained.start()
        drained.join(TIMEOUT)
        assert answers == []
    drained.join(LONG)
    assert answers == [True]


def test_a_caller_that_fails_has_left() -> None:
    gate = ServiceGate(service())
    with contextlib.suppress(ValueError), gate.enter():
        raise ValueError
    assert gate.drain(0.01)


def test_services_that_were_replaced_are_not_kept() -> None:
    gate = ServiceGate(service())
    for _ in range(10):
        with gate.enter():
            pass
        old = gate.replace(service())
        with gate.enter():
            gate.wait_out(old, LONG)
    with gate.enter():
        gate.replace(service())
    assert gate.drain(LONG)
    assert not gate._inside

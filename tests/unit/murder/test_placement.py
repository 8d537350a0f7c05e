"""Which backend a new INBOX gets, and the reason that an administrator is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import pytest

from autocreate.errors import Temporary, Unreachable
from autocreate.model import Version
from autocreate.murder.placement import Place, Placement, Rule
from tests.unit.clock import Clock


class Backend:
    """Has so much space; None: it is away. Knows when it was asked."""

    def __init__(self, free: int | None, clock: Clock | None = None) -> None:
        self.free = free
        self.asked: list[float] = []
        self._clock = clock or Clock()

    def version(self) -> Version:
        if self.free is None:
            raise Unreachable("it is away")
        return (3, 6)

    def free_space(self) -> int:
        self.asked.append(self._clock())
        assert self.free is not None
        return self.free


def placement(
    rule: Rule,
    free: Mapping[str, Backend | int | None],
    inboxes: Iterable[str] = (),
    clock: Clock | None = None,
) -> Placement:
    backends = {name: it if isinstance(it, Backend) else Backend(it) for name, it in free.items()}
    clock = clock or Clock()
    return Placement(rule, backends, lambda: inboxes, clock=clock, sleep=clock.wait, pick=max)


def test_any_backend_that_answers_is_chosen_at_random() -> None:
    assert placement("random", {"b1": 1, "b2": 1, "b3": None}).choose(None) == Place(
        "b2", "chosen at random"
    )


def test_chance_reaches_every_backend() -> None:
    backends = {name: Backend(1) for name in ("b1", "b2", "b3")}
    chooses = Placement("random", backends, lambda: ())
    assert {chooses.choose(None).server for _ in range(200)} == set(backends)


def test_the_frontend_chooses_by_itself_unless_there_is_a_partition() -> None:
    chooses = placement("frontend", {"b1": 10, "b2": 20})
    assert chooses.choose(None) == Place(None, "the frontend's serverlist decides")
    # CREATE with a partition and without a server would end the frontend's imapd.
    assert chooses.choose("archive").server == "b2"


def test_free_space_is_asked_for_once_a_minute() -> None:
    clock, backends = Clock(), {"b1": Backend(10), "b2": Backend(20)}
    chooses = placement("freest", backends, clock=clock)
    assert {chooses.choose(None).server for _ in range(5)} == {"b2"}
    assert [len(it.asked) for it in backends.values()] == [1, 1]
    backends["b1"].free = 30
    clock.now += 60
    assert chooses.choose(None).server == "b1"


def test_no_two_backends_are_asked_for_free_space_in_one_second() -> None:
    """They would give mailboxes the same ids: docs/mailbox-ids.md. Only who has never told is waited for."""
    clock = Clock()
    backends = {f"b{number}": Backend(number, clock) for number in range(50)}
    chooses = placement("freest", backends, clock=clock)
    begun = clock()
    assert chooses.choose(None).server == "b49"
    assert clock() - begun == 1.5 * 49
    for _ in range(300):
        before = clock()
        assert chooses.choose(None).server == "b49"
        assert clock() == before  # nobody waited
        clock.now += 0.5
    moments = sorted(it for backend in backends.values() for it in backend.asked)
    assert min(later - earlier for earlier, later in pairwise(moments)) >= 1.5
    assert min(len(it.asked) for it in backends.values()) > 1  # nobody is forgotten


def test_a_backend_that_fails_to_tell_its_space_counts_as_asked() -> None:
    class Failing(Backend):
        def free_space(self) -> int:
            super().free_space()
            raise Unreachable("it fell silent")

    clock = Clock()
    failing, other = Failing(1, clock), Backend(1, clock)
    assert (
        placement("freest", {"b1": failing, "b2": other}, clock=clock).choose(None).server == "b2"
    )
    assert other.asked[0] - failing.asked[0] == 1.5


def test_a_backend_that_comes_back_is_asked_for_its_space_then() -> None:
    backends = {"b1": Backend(10), "b2": Backend(None)}
    chooses = placement("freest", backends)
    assert chooses.choose(None).server == "b1"
    backends["b2"].free = 20
    assert chooses.choose(None).server == "b2"
    backends["b2"].free = None
    assert chooses.choose(None).server == "b1"


def test_the_freest_has_the_most_space_of_those_that_answer() -> None:
    chosen = placement("freest", {"b1": 10, "b2": 20_000, "b3": None}).choose(None)
    assert chosen == Place("b2", "it has the most free space: 20,000 KiB")


def test_the_fewest_counts_what_was_placed_meanwhile() -> None:
    chooses = placement("fewest", {"b1": 1, "b2": 1}, ["b1", "b1", "b2"])
    first, *others = [chooses.choose(None) for _ in range(4)]
    assert first == Place("b2", "it has the fewest users: 1")
    assert sorted(str(it.server) for it in others) == ["b1", "b1", "b2"]


def test_the_fewest_is_not_a_backend_that_is_away() -> None:
    assert placement("fewest", {"b1": None, "b2": 1}, ["b2"]).choose(None).server == "b2"


def test_users_are_counted_anew_after_some_time() -> None:
    class Counted:
        times = 0

        def __iter__(self) -> Iterator[str]:
            self.times += 1
            return iter(["b1"])

    inboxes, clock = Counted(), Clock()
    chooses = placement("fewest", {"b1": 1}, inboxes, clock)
    chooses.choose(None)
    chooses.choose(None)
    assert inboxes.times == 1
    clock.now += 300
    chooses.choose(None)
    assert inboxes.times == 2


@pytest.mark.parametrize("rule", ["random", "freest", "fewest"])
def test_without_any_backend_the_sender_is_asked_to_come_back(rule: Rule) -> None:
    with pytest.raises(Temporary, match="no backend for a new mailbox: it is away"):
        placement(rule, {"b1": None}).choose(None)

"""What is remembered of an account source, for how long, and what it is still asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autocreate.accounts.cached import CachedSource, Limits
from autocreate.accounts.directory import Directory
from autocreate.errors import NotInMemory, PoolExhausted, ServerTimeout, Temporary
from autocreate.model import Account
from autocreate.statistics.lookups import trace_lookups
from tests.unit.clock import Clock

LIMITS = Limits(found=60.0, unknown=10.0, error=2.0, size=3)


class Source:
    """Knows `users`, raises `error` if there is one, and counts the questions. Each takes `seconds`."""

    def __init__(
        self, clock: Clock, name: str = "staff", groups: frozenset[str] | None = None
    ) -> None:
        self.name = name
        self.has_groups = groups is not None
        self.users: set[str] = set()
        self.error: Temporary | None = None
        self.questions = 0
        self.seconds = 0.0
        self._clock = clock
        self._groups = groups or frozenset()

    def lookup(self, user: str) -> Account | None:
        self._ask()
        return Account(user, self.name) if user in self.users else None

    def groups(self, account: Account) -> frozenset[str]:
        self._ask()
        return self._groups

    def names(self) -> Iterator[str]:
        return iter(self.users)

    def close(self) -> None:
        pass

    def _ask(self) -> None:
        self.questions += 1
        self._clock.now += self.seconds
        if self.error:
            raise self.error


@pytest.fixture
def source(clock: Clock) -> Source:
    return Source(clock, groups=frozenset({"wheel"}))


@pytest.fixture
def remembered(source: Source, clock: Clock) -> CachedSource:
    return CachedSource(source, LIMITS, clock)


def test_a_user_who_was_found_is_not_asked_for_again_within_the_limit(
    remembered: CachedSource, source: Source, clock: Clock
) -> None:
    source.users = {"joe"}
    assert remembered.lookup("joe") == Account("joe", "staff")
    source.users = set()
    clock.now += 59
    assert remembered.lookup("joe") == Account("joe", "staff")
    assert source.questions == 1
    clock.now += 2
    assert remembered.lookup("joe") is None


def test_an_account_that_is_added_is_found_after_the_negative_limit(
    remembered: CachedSource, source: Source, clock: Clock
) -> None:
    assert remembered.lookup("joe") is None
    source.users = {"joe"}
    clock.now += 9
    assert remembered.lookup("joe") is None
    clock.now += 2
    assert remembered.lookup("joe") == Account("joe", "staff")


def test_a_bad_answer_about_one_user_is_remembered_for_that_user_alone(
    remembered: CachedSource, source: Source, clock: Clock
) -> None:
    source.error = Temporary("two rows")
    for _ in range(3):
        with pytest.raises(Temporary, match="two rows"):
            remembered.lookup("joe")
    assert source.questions == 1
    source.error = None
    assert remembered.lookup("kim") is None
    clock.now += 3
    assert remembered.lookup("joe") is None


def test_a_source_that_is_down_is_asked_by_one_probe_at_a_time(
    remembered: CachedSource, source: Source, clock: Clock
) -> None:
    source.error = ServerTimeout("no answer")
    with pytest.raises(ServerTimeout):
        remembered.lookup("joe")
    for user in ("kim", "lee", "joe"):
        with pytest.raises(Temporary, match="staff is not retried yet; last error: no answer"):
            remembered.lookup(user)
    assert source.questions == 1
    source.error = None
    clock.now += 1
    assert remembered.lookup("kim") is None
    assert remembered.lookup("joe") is None


def test_connections_that_are_all_busy_say_nothing_about_the_source_nor_the_user(
    remembered: CachedSource, source: Source, clock: Clock
) -> None:
    source.error = ServerTimeout("no answer")
    with pytest.raises(ServerTimeout):
        remembered.lookup("joe")
    clock.now += 1
    source.error = PoolExhausted("all are in use")
    with pytest.raises(PoolExhausted):  # the probe, which is still to be made
        remembered.lookup("joe")
    source.error = ServerTimeout("no answer")
    with pytest.raises(ServerTimeout):
        remembered.lookup("joe")
    with pytest.raises(Temporary, match="not retried yet"):
        remembered.lookup("kim")


def test_what_is_remembered_is_still_told_while_the_source_is_down(
    remembered: CachedSource, source: Source
) -> None:
    source.users = {"joe"}
    remembered.lookup("joe")
    source.error = ServerTimeout("no answer")
    with pytest.raises(ServerTimeout):
        remembered.lookup("kim")
    assert remembered.lookup("joe") == Account("joe", "staff")


def test_a_flood_of_unknown_names_pushes_out_nobody_who_was_found(
    remembered: CachedSource, source: Source
) -> None:
    source.users = {"joe"}
    remembered.lookup("joe")
    for number in range(100):
        remembered.lookup(f"nobody-{number}")
    asked = source.questions
    remembered.lookup("joe")
    assert source.questions == asked
    assert remembered.snapshot()["remembered"]["unknown"]["users"] == 3


def test_groups_are_remembered_too(remembered: CachedSource, source: Source) -> None:
    for _ in range(2):
        assert remembered.groups(Account("joe", "staff")) == {"wheel"}
    assert source.questions == 1


def test_a_limit_of_nothing_remembers_nothing(source: Source, clock: Clock) -> None:
    remembered = CachedSource(source, Limits(0, 0, 0, 10_000), clock)
    remembered.lookup("joe")
    source.users = {"joe"}
    assert remembered.lookup("joe") == Account("joe", "staff")


def test_one_user_or_everyone_can_be_forgotten(remembered: CachedSource, source: Source) -> None:
    remembered.lookup("joe")
    remembered.lookup("kim")
    source.users = {"joe", "kim"}
    remembered.invalidate("joe")
    assert remembered.lookup("joe") == Account("joe", "staff")
    assert remembered.lookup("kim") is None
    remembered.invalidate()
    assert remembered.lookup("kim") == Account("kim", "staff")


@pytest.mark.parametrize("whom", [None, "joe"])
def test_an_answer_under_way_while_it_is_to_be_forgotten_is_not_remembered(
    remembered: CachedSource, source: Source, whom: str | None
) -> None:
    ask = source.lookup

    def forget_meanwhile(user: str) -> Account | None:
        answer = ask(user)
        remembered.invalidate(whom)
        return answer

    source.lookup = forget_meanwhile  # type: ignore[method-assign]
    assert remembered.lookup("joe") is None
    source.users = {"joe"}
    assert remembered.lookup("joe") == Account("joe", "staff")


def test_figures_count_hits_look_ups_errors_and_time(
    remembered: CachedSource, source: Source
) -> None:
    source.seconds = 0.25
    remembered.lookup("joe")
    remembered.lookup("joe")
    source.error = Temporary("two rows")
    with pytest.raises(Temporary):
        remembered.lookup("kim")
    snapshot = remembered.snapshot()
    del snapshot["remembered"]
    state = snapshot.pop("state")
    assert (state["up"], state["error"]) == (False, "two rows")
    assert snapshot == {
        "hits": 1,
        "lookups": 2,
        "errors": 1,
        "seconds": 0.5,
        "last_error": "two rows",
    }


def test_who_was_asked_and_for_how_long_is_noted_for_whoever_wants_to_know(
    remembered: CachedSource, source: Source
) -> None:
    source.seconds = 0.004
    with trace_lookups() as asked:
        remembered.lookup("joe")
        remembered.lookup("joe")
    remembered.lookup("kim")
    (first, second) = asked
    assert first.source == second.source == "staff"
    assert first.milliseconds == pytest.approx(4.0)
    assert second.milliseconds is None


def test_who_is_asked_at_this_moment_is_noted_until_the_answer(
    remembered: CachedSource, source: Source
) -> None:
    awaited: list[str] = []
    lookup = source.lookup

    def watched(user: str) -> Account | None:
        awaited.append(notes.awaited)
        return lookup(user)

    source.lookup = watched  # type: ignore[method-assign]
    with trace_lookups() as notes:
        remembered.lookup("joe")
    assert (awaited, notes.awaited) == (["staff"], "")


# -- several sources ---------------------------------------------------------------------------


def test_the_accounts_own_source_says_its_groups(clock: Clock) -> None:
    own, other = Source(clock, "own", frozenset({"a"})), Source(clock, "other", frozenset({"b"}))
    assert Directory([other, own]).groups(Account("joe", "own")) == {"a"}
    assert other.questions == 0


def test_where_the_own_source_knows_no_groups_all_others_that_do_are_asked(clock: Clock) -> None:
    own = Source(clock, "own")
    others = [Source(clock, name, frozenset({name})) for name in ("b", "c")]
    assert Directory([own, *others]).groups(Account("joe", "own")) == {"b", "c"}
    assert own.questions == 0


def test_a_failed_lookup_of_groups_names_the_source(clock: Clock) -> None:
    own, other = Source(clock, "own"), Source(clock, "other", frozenset())
    other.error = Temporary("is away")
    with pytest.raises(Temporary, match=r"^accounts\.other: is away$"):
        Directory([own, other]).groups(Account("joe", "own"))


# -- from memory -------------------------------------------------------------------------------


class Memory(Source):
    """Answers from memory, unless it `must_wait`."""

    must_wait = False

    def recall(self, user: str) -> Account | None:
        if self.must_wait:
            raise NotInMemory("not now")
        return self.lookup(user)


@pytest.fixture
def memory(clock: Clock) -> Memory:
    return Memory(clock)


def test_an_answer_from_memory_is_counted_noted_and_remembered(
    memory: Memory, clock: Clock
) -> None:
    remembered = CachedSource(memory, LIMITS, clock)
    with trace_lookups() as asked:
        assert remembered.recall("joe") is None
        assert remembered.lookup("joe") is None
    assert [it.milliseconds for it in asked] == [0.0, None]
    assert (remembered.snapshot()["lookups"], remembered.snapshot()["hits"]) == (1, 1)


def test_a_source_that_needs_a_driver_is_not_asked_but_what_is_remembered_is_told(
    remembered: CachedSource, source: Source
) -> None:
    with pytest.raises(NotInMemory, match="staff"):
        remembered.recall("joe")
    assert source.questions == 0
    source.users = {"joe"}
    remembered.lookup("joe")
    assert remembered.recall("joe") == Account("joe", "staff")


def test_a_question_that_is_not_in_memory_counts_for_nothing(memory: Memory, clock: Clock) -> None:
    remembered = CachedSource(memory, LIMITS, clock)
    memory.must_wait = True
    with trace_lookups() as asked, pytest.raises(NotInMemory):
        remembered.recall("joe")
    assert asked == []
    assert (remembered.snapshot()["lookups"], remembered.snapshot()["errors"]) == (0, 0)
    assert remembered.lookup("joe") is None


def test_a_source_that_is_down_is_not_asked_in_the_callers_thread_either(
    memory: Memory, clock: Clock
) -> None:
    remembered = CachedSource(memory, LIMITS, clock)
    memory.error = ServerTimeout("no answer")
    with pytest.raises(ServerTimeout):
        remembered.recall("joe")
    with pytest.raises(Temporary, match="not retried yet"):
        remembered.recall("kim")
    assert memory.questions == 1


def test_a_probe_that_must_wait_leaves_the_probe_to_the_next(memory: Memory, clock: Clock) -> None:
    remembered = CachedSource(memory, LIMITS, clock)
    memory.error = ServerTimeout("no answer")
    with pytest.raises(ServerTimeout):
        remembered.lookup("joe")
    clock.now += 1
    memory.must_wait = True
    with pytest.raises(NotInMemory):
        remembered.recall("joe")
    memory.error = None
    assert remembered.lookup("joe") is None


def test_one_source_that_needs_a_driver_makes_all_wait(clock: Clock) -> None:
    both = Directory([Memory(clock, "first"), Source(clock, "second")])
    with pytest.raises(NotInMemory, match="joe"):
        both.recall("joe")


def test_a_memory_source_that_cannot_tell_leaves_the_user_uncertain(clock: Clock) -> None:
    first, second = Memory(clock, "first"), Memory(clock, "second")
    first.error = Temporary("two rows")
    both = Directory([first, second])
    with pytest.raises(Temporary, match=r"accounts\.first: two rows"):
        both.recall("joe")
    second.users = {"joe"}
    assert both.recall("joe") == Account("joe", "second")

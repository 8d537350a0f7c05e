"""Accounts and mailboxes laid side by side."""

from __future__ import annotations

import tracemalloc

from autocreate.admin.survey import Survey


def test_each_user_counts_once_and_in_order() -> None:
    with Survey() as survey:
        survey.add_accounts(["joe", "ann", "joe", "bob"])
        survey.add_mailboxes(["zoe", "joe"])
        assert (survey.accounts, survey.mailboxes) == (3, 2)
        assert list(survey.without_mailbox()) == ["ann", "bob"]
        assert list(survey.without_account()) == ["zoe"]
        assert list(survey.with_both()) == ["joe"]
        assert survey.count_without_mailbox() == 2
        assert survey.count_with_both() == 1
        assert [survey.has_both(user) for user in ("joe", "ann", "zoe")] == [True, False, False]


def test_names_are_compared_to_the_letter() -> None:
    with Survey() as survey:
        survey.add_accounts(["joe", "Joe", "joe@other.test", "mül"])
        survey.add_mailboxes(["joe"])
        assert list(survey.without_mailbox()) == ["Joe", "joe@other.test", "mül"]


def test_the_memory_that_it_takes_does_not_grow_with_the_users() -> None:
    tracemalloc.start()
    try:
        with Survey() as survey:
            survey.add_accounts(f"user{number}" for number in range(40_000))
            survey.add_mailboxes(f"user{number}" for number in range(0, 40_000, 2))
            assert sum(1 for _ in survey.without_mailbox()) == 20_000
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Their names alone would take five times as much.
    assert peak < 500_000

"""What `provision`, `apply` and `audit` print about many users, and the status they end with."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autocreate.cli import progress
from autocreate.cli.main import main
from autocreate.errors import Temporary
from autocreate.mailstore.memory import Memory
from autocreate.service.service import Service
from autocreate.tree.values import Folder, Tree
from autocreate.wiring import service as wiring

INBOX = Tree((Folder(),))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """What every command has in the place of Cyrus."""
    memory = Memory()
    monkeypatch.setattr(memory, "close", lambda: None)
    monkeypatch.setattr(wiring, "store_of", lambda *_: memory)
    return memory


@pytest.fixture
def config(tmp_path: Path, store: Memory) -> Path:
    (tmp_path / "secret").write_text("hidden\n")
    (tmp_path / "secret").chmod(0o600)
    path = tmp_path / "autocreate.toml"
    path.write_text(
        f"""
        [milter]
        domains = ["example.org"]
        [cyrus]
        tls = "none"
        password_file = "{tmp_path}/secret"
        [accounts.staff]
        type = "file"
        path = "{tmp_path}/users"
        [[policy]]
        name = "everyone"
        folders = [{{ name = "Sent" }}]
        [journal]
        url = "sqlite:///{tmp_path}/journal.db"
        """
    )
    has_accounts(path, "ann", "joe")
    return path


def has_accounts(config: Path, *users: str) -> None:
    listed = config.parent / "users"
    listed.write_text("".join(f"{user}\n" for user in users))
    os.utime(listed, (1, 1))  # a file that was written just now is not certain


def run(config: Path, *arguments: str, stdin: str = "") -> Result:
    command = [*arguments, "--config", str(config)]
    return CliRunner().invoke(main, command, input=stdin)


def told(result: Result) -> tuple[int, list[str], str]:
    """(exit status, sorted lines of standard output, standard error)."""
    return result.exit_code, sorted(result.stdout.splitlines()), result.stderr


def test_provision_is_a_dry_run_unless_yes_is_given(config: Path, store: Memory) -> None:
    assert told(run(config, "provision", "--all")) == (
        0,
        [
            "ann: planned: create INBOX; create Sent",
            "joe: planned: create INBOX; create Sent",
        ],
        "2 accounts: 2 planned; nothing was changed\n",
    )
    assert store.trees == {}
    assert told(run(config, "provision", "--all", "--yes")) == (
        0,
        [
            "ann: created: create INBOX; create Sent",
            "joe: created: create INBOX; create Sent",
        ],
        "2 accounts: 2 created\n",
    )
    assert set(store.trees) == {"ann", "joe"}
    again = run(config, "provision", "--all", "--yes")
    assert told(again) == (0, [], "2 accounts: nothing to do\n")


def test_users_come_from_standard_input_a_line_each(config: Path, store: Memory) -> None:
    result = run(config, "provision", "-", "--yes", "--json", stdin="joe\n\n nobody \n")
    data = {it["address"]: it for it in map(json.loads, result.stdout.splitlines())}
    assert {user: it["answer"] for user, it in data.items()} == {
        "joe": "accept",
        "nobody": "unknown",
    }
    assert data["joe"]["created"] is True
    assert result.exit_code == 65
    assert set(store.trees) == {"joe"}


def test_an_absurd_number_ends_with_77(config: Path, store: Memory) -> None:
    has_accounts(config, *(f"user{number}" for number in range(12)))
    assert told(run(config, "provision", "--all", "--yes")) == (
        77,
        [],
        "autocreate: 12 of 12 accounts have no mailbox, more than --max-new 30 per cent: check the "
        "account sources and Cyrus; if it is right, repeat with --max-new 100\n",
    )
    assert store.trees == {}


def test_what_failed_is_printed_with_its_reason(config: Path, store: Memory) -> None:
    def exists(user: str) -> bool:
        raise Temporary("Cyrus is away")

    store.exists = exists  # type: ignore[method-assign]
    assert told(run(config, "provision", "--all", "--yes")) == (
        75,
        ["ann: failed: Cyrus is away", "joe: failed: Cyrus is away"],
        "2 accounts: 2 failed\n",
    )


def interrupt_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt each run once it has printed a line."""
    say = progress._Lines.say

    def interrupting(bar: progress._Lines, line: str) -> None:
        say(bar, line)
        raise KeyboardInterrupt

    monkeypatch.setattr(progress._Lines, "say", interrupting)


def test_an_interrupted_run_says_how_far_it_came(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_accounts(config, *(f"user{number:02}" for number in range(40)))
    with monkeypatch.context() as patched:
        interrupt_each_run(patched)
        stopped = run(config, "provision", "--all", "--yes", "--max-new", "100")
    assert stopped.exit_code == 130
    assert stopped.stderr == (
        "provision: 1 of 40 done\n"
        "interrupted: run the same command again to go on: who has a mailbox by then is skipped\n"
    )
    rest = run(config, "provision", "--all", "--yes", "--max-new", "100")
    assert rest.exit_code == 0
    assert run(config, "audit", "--trees").stdout == "40 accounts, 40 mailboxes: 0 findings\n"


def test_a_comparison_that_is_interrupted_has_changed_nothing_and_can_be_repeated(
    config: Path, store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.trees = {"ann": INBOX, "joe": INBOX}
    apply = ("apply", "--policy", "everyone", "--all")
    checksum = run(config, *apply).stdout.split()[-1]
    interrupt_each_run(monkeypatch)
    stopped = run(config, *apply)
    assert (stopped.exit_code, stopped.stderr) == (
        130,
        "compare: 1 of 2 done\ninterrupted: nothing was changed; run the same command again\n",
    )
    stopped = run(config, *apply, "--yes", checksum)
    assert (stopped.exit_code, stopped.stderr) == (
        130,
        "apply: 1 of 2 done\n"
        "interrupted: run the command without --yes to see what is left to do\n",
    )


def test_an_audit_that_is_interrupted_says_that_it_is_not_complete(
    config: Path, store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> Iterator[str]:
        yield "ann"
        raise KeyboardInterrupt

    store.users = interrupted  # type: ignore[method-assign]
    stopped = run(config, "audit")
    assert (stopped.exit_code, stopped.stdout) == (130, "")
    why = "interrupted: the findings are not complete; run the same command again\n"
    assert stopped.stderr == why


def test_apply_shows_plans_and_a_checksum_and_carries_out_exactly_these(
    config: Path, store: Memory
) -> None:
    store.trees = {"ann": INBOX, "joe": INBOX}
    apply = ("apply", "--policy", "everyone", "--all")
    shown = run(config, *apply)
    *plans, last = shown.stdout.splitlines()
    assert sorted(plans) == ["ann: planned: create Sent", "joe: planned: create Sent"]
    checksum = last.removeprefix("checksum ")
    assert (shown.exit_code, shown.stderr) == (
        0,
        "2 accounts: 2 planned; nothing was changed\n",
    )
    assert json.loads(run(config, *apply, "--json").stdout.splitlines()[-1]) == {
        "checksum": checksum
    }

    refused = run(config, *apply, "--yes", "0" * 12)
    assert (refused.exit_code, refused.stdout) == (65, "")
    assert refused.stderr == (
        f"autocreate: the plans have changed since the review (checksum {checksum}, not "
        f"{'0' * 12}): nothing was done; review the plans again\n"
    )
    assert set(store.trees.values()) == {INBOX}

    assert told(run(config, *apply, "--yes", checksum)) == (
        0,
        ["ann: completed: create Sent", "joe: completed: create Sent"],
        "2 accounts: 2 completed\n",
    )
    assert told(run(config, *apply)) == (0, [], "2 accounts: 2 up to date; nothing was changed\n")


def test_a_problem_of_the_review_is_printed_when_the_plans_are_carried_out(
    config: Path, store: Memory
) -> None:
    store.trees = {"ann": INBOX}
    apply = ("apply", "--policy", "everyone", "--to", "ann", "--to", "tpyo")
    checksum = run(config, *apply).stdout.split()[-1]
    assert told(run(config, *apply, "--yes", checksum)) == (
        65,
        [
            "ann: completed: create Sent",
            "tpyo: without a mailbox: no account source knows this user",
        ],
        "1 account: 1 completed, 1 without a mailbox\n",
    )


@pytest.fixture
def inconsistent(config: Path, store: Memory) -> Path:
    store.trees = {"joe": INBOX, "zoe": INBOX}
    return config


FINDINGS = [
    ("no-mailbox", "ann", "has an account and no mailbox"),
    ("no-account", "zoe", "has a mailbox, and no account source knows the user"),
    ("tree", "joe", "policy everyone: create Sent"),
]


def test_an_audit_in_words(inconsistent: Path) -> None:
    result = run(inconsistent, "audit", "--trees")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "no-mailbox  ann: has an account and no mailbox",
        "no-account  zoe: has a mailbox, and no account source knows the user",
        "tree        joe: policy everyone: create Sent",
        "2 accounts, 2 mailboxes: 3 findings",
    ]


def test_an_audit_for_programs(inconsistent: Path) -> None:
    as_json = run(inconsistent, "audit", "--trees", "--format", "json").stdout.splitlines()
    keys = ("kind", "user", "detail")
    assert [json.loads(line) for line in as_json] == [
        dict(zip(keys, finding, strict=True)) for finding in FINDINGS
    ]
    as_csv = run(inconsistent, "audit", "--trees", "--format", "csv").stdout
    assert [tuple(row) for row in csv.reader(as_csv.splitlines())] == [keys, *FINDINGS]


def test_a_user_whose_name_is_a_formula_is_one_for_programs_only(
    config: Path, store: Memory
) -> None:
    store.trees = {"=1+2": INBOX}
    as_json = run(config, "audit", "--format", "json").stdout.splitlines()
    assert "=1+2" in [json.loads(line)["user"] for line in as_json]
    as_csv = csv.reader(run(config, "audit", "--format", "csv").stdout.splitlines())
    assert "'=1+2" in [row[1] for row in as_csv]


def test_without_trees_an_audit_compares_none(inconsistent: Path) -> None:
    assert "2 findings" in run(inconsistent, "audit").stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("provision",),
            "no users given: name users, or use -, --all, --source, --group, --domain",
        ),
        (("provision", "joe", "--all"), "give users, or --all, --source, --group, --domain, not"),
        (("provision", "joe", "-"), "`-` reads all users from standard input: give no others"),
        (("provision", "--domain", "a b.test"), "--domain: "),
        (("audit", "--domain", "a b.test"), "--domain: "),
        (("apply", "--all"), "Missing option '--policy'"),
    ],
)
def test_a_selection_that_makes_no_sense_is_a_wrong_command_line(
    config: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = run(config, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_named_addresses_are_provisioned_at_once(config: Path, store: Memory) -> None:
    result = run(config, "provision", "joe@example.org")
    assert result.exit_code == 0
    assert "  did:      create INBOX\n" in result.stdout
    assert set(store.trees) == {"joe"}


def test_what_was_opened_is_closed_even_after_an_error(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Service] = []
    close = Service.close

    def closing(service: Service) -> None:
        closed.append(service)
        close(service)

    monkeypatch.setattr(Service, "close", closing)
    assert run(config, "apply", "--policy", "nobodys", "--all").exit_code == 78
    assert run(config, "check", "joe@example.org").exit_code == 0
    assert len(closed) == 2

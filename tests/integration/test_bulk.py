"""Many users at once, on a real Cyrus: provision --all, apply, audit."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from typing import IO

import pytest
from tests.servers.common import HUNG, start, wait_until
from tests.servers.cyrus import Cyrus, other_resources
from tests.servers.product import COMMAND, POLICY, Product

LISTING = {
    "type": "sql",
    "query": "SELECT userid FROM accounts WHERE userid = :user AND enabled",
    "groups_query": "SELECT name FROM memberships WHERE userid = :user",
    "list_query": "SELECT userid FROM accounts WHERE enabled",
}
PLAIN = {"name": "everyone"}


@pytest.fixture
def server() -> Iterator[Cyrus]:
    """One of its own: a survey sees every mailbox."""
    with Cyrus() as cyrus:
        yield cyrus


def components(cyrus: Cyrus, *users: str, policy: Mapping[str, object] = POLICY) -> Product:
    class Site(Product):
        def _defaults(self) -> dict[str, object]:
            defaults = super()._defaults()
            defaults["accounts"]["staff"] |= LISTING
            return defaults

    return Site(cyrus, accounts=users, policies=[policy])


def test_everybody_gets_a_mailbox_but_only_with_yes(server: Cyrus) -> None:
    with components(server, "ann", "bob", "kim") as product:
        shown = product.run("provision", "--all")
        assert shown.returncode == 0
        assert sorted(line.split(":")[0] for line in shown.stdout.splitlines()) == [
            "ann",
            "bob",
            "kim",
        ]
        assert "3 accounts: 3 planned; nothing was changed" in shown.stderr
        assert server.mailboxes("user/*") == set()

        done = product.run("provision", "--all", "--yes")
        assert (done.returncode, done.stderr) == (0, "3 accounts: 3 created\n")
        assert {"user/ann/Sent", "user/bob/Sent", "user/kim/Sent"} <= server.mailboxes("user/*")

        again = product.run("provision", "--all", "--yes")
        assert (again.stdout, again.stderr) == ("", "3 accounts: nothing to do\n")


def test_groups_domains_and_lists_choose(server: Cyrus) -> None:
    with components(server, "ann", policy=PLAIN) as product:
        product.add_account("tom", "tutors")
        assert product.run("provision", "--group", "tutors", "--yes").returncode == 0
        assert server.mailboxes("user/*") == {"user/tom"}

        listed = product.run("provision", "-", "--yes", "--json", stdin="ann\n\nnobody\n")
        assert listed.returncode == 65
        answers = {
            it["address"]: it["answer"] for it in map(json.loads, listed.stdout.splitlines())
        }
        assert answers == {"ann": "accept", "nobody": "unknown"}
        assert server.mailboxes("user/*") == {"user/ann", "user/tom"}


def test_an_absurd_plan_is_refused_unless_it_is_confirmed(server: Cyrus) -> None:
    users = [f"user{number}" for number in range(12)]
    with components(server, *users, policy=PLAIN) as product:
        refused = product.run("provision", "--all", "--yes")
        assert refused.returncode == 77
        assert refused.stderr == (
            "autocreate: 12 of 12 accounts have no mailbox, more than --max-new 30 per cent: check the "
            "account sources and Cyrus; if it is right, repeat with --max-new 100\n"
        )
        assert server.mailboxes("user/*") == set()
        assert product.run("provision", "--all", "--yes", "--max-new", "100").returncode == 0
        assert len(server.mailboxes("user/*")) == 12


def test_a_run_that_was_killed_is_repeated_and_leaves_nothing_unfinished(server: Cyrus) -> None:
    users = [f"user{number:03}" for number in range(60)]
    with components(server, *users) as product:
        command = ["provision", "--all", "--yes", "--max-new", "100"]
        with (product.folder / "bulk.log").open("wb") as output:
            run = start([COMMAND, *command, "--config", product.config_file], output)
            wait_until(lambda: len(server.mailboxes("user/%")) > 5, 30.0, "some mailboxes")
            run.send_signal(signal.SIGKILL)
            run.wait()
        begun = len(server.mailboxes("user/%"))
        assert begun < len(users)

        done = product.run(*command)
        assert done.returncode == 0, done.stderr
        assert len(server.mailboxes("user/%")) == len(users)
        audited = product.run("audit", "--trees")
        assert (audited.returncode, audited.stdout) == (
            0,
            "60 accounts, 60 mailboxes: 0 findings\n",
        )


def test_an_audit_reports_inconsistencies(server: Cyrus) -> None:
    with components(server, "ann", "bob") as product:
        product.run("provision", "bob@example.org")
        server.create("user/zoe")
        server.delete("user/bob/Sent")
        with server.admin_session() as imap:
            assert imap.setquota("user/bob", "(STORAGE 5)")[0] == "OK"
        with sqlite3.connect(product.journal) as journal:
            journal.execute(
                "INSERT INTO unfinished VALUES ('kim', 'kim', 'lmtp', 1, 0, 1, 0.0, 'Cyrus was away')"
            )

        found = product.run("audit", "--trees", "--restore", "--format", "csv")
        header, *rows = csv.reader(found.stdout.splitlines())
        assert found.returncode == 1
        assert header == ["kind", "user", "detail"]
        assert [row[:2] for row in rows] == [
            ["no-mailbox", "ann"],
            ["no-account", "zoe"],
            ["unfinished", "kim"],
            ["quota", "bob"],
            ["tree", "bob"],
            ["tree", "bob"],
        ]
        assert rows[2][2] == "Cyrus was away"
        assert rows[3][2] == "policy everyone: set quota 2097152 KiB"

        # What its user has done away with is as `apply` would leave it.
        there = product.run("audit", "--trees", "--format", "json").stdout.splitlines()
        assert [it["kind"] for it in map(json.loads, there)] == [
            "no-mailbox",
            "no-account",
            "unfinished",
            "quota",
        ]

        as_json = product.run("audit", "--format", "json").stdout.splitlines()
        assert [json.loads(line)["kind"] for line in as_json] == [
            "no-mailbox",
            "no-account",
            "unfinished",
        ]


def test_a_changed_policy_is_applied_as_it_was_reviewed_and_brings_nothing_back(
    server: Cyrus,
) -> None:
    with components(server, "ann", "bob") as product:
        product.run("provision", "--all", "--yes")
        server.delete("user/ann/Sent")  # she wants none
        folders = [*POLICY["folders"], {"name": "Junk", "special_use": "\\Junk"}]
        product.configure({"policy": [{**POLICY, "quota": "3G", "folders": folders}]})

        shown = product.run("apply", "--policy", "everyone", "--all")
        assert shown.returncode == 0
        *plans, last = shown.stdout.splitlines()
        assert sorted(plans) == [
            "ann: planned: set quota 3145728 KiB; create Junk as \\Junk",
            "bob: planned: set quota 3145728 KiB; create Junk as \\Junk",
        ]
        checksum = re.fullmatch(r"checksum ([0-9a-f]{12})", last)
        assert checksum

        refused = product.run("apply", "--policy", "everyone", "--all", "--yes", "0" * 12)
        assert refused.returncode == 65
        assert "the plans have changed since the review" in refused.stderr
        assert server.quota("user/bob") == {"STORAGE": 2 << 20}

        done = product.run("apply", "--policy", "everyone", "--all", "--yes", checksum[1])
        assert (done.returncode, done.stderr) == (0, "2 accounts: 2 completed\n")
        assert server.quota("user/bob") == {"STORAGE": 3 << 20}
        assert "user/ann/Junk" in server.mailboxes("user/ann/*")
        assert "user/ann/Sent" not in server.mailboxes("user/ann/*")

        restored = product.run("apply", "--policy", "everyone", "--restore", "--to", "ann")
        assert "ann: planned: create Sent as \\Sent; subscribe to Sent" in restored.stdout


def test_users_of_one_name_in_two_domains_are_two_users() -> None:
    domains = {"virtdomains": "userid", "defaultdomain": "example.org"}
    with Cyrus(imapd_conf=domains) as server:
        server.create("user/joe")
        server.create("user/joe@other.test")
        with components(server, "joe", "joe@other.test", "ann@other.test") as product:
            product.configure({"cyrus": domains, "milter": {"domains": ["*"]}})
            found = product.run("audit", "--format", "csv")
            assert found.stdout.splitlines()[1:] == [
                "no-mailbox,ann@other.test,has an account and no mailbox"
            ]
            there = product.run("provision", "--domain", "other.test", "--yes")
            assert (there.returncode, there.stderr) == (0, "2 accounts: 1 created\n")


def test_a_source_that_cannot_list_its_users_is_an_error(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["ann"]) as product:
        done: subprocess.CompletedProcess[str] = product.run("audit")
        assert done.returncode == 78
        assert "autocreate: accounts.staff: cannot list its users" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("apply", "--policy", "everybody", "--all"),
            "autocreate: --policy: there is no policy 'everybody'; the policies are everyone\n",
        ),
        (
            ("provision", "--domain", "other.test"),
            "autocreate: --domain: other.test is not in milter.domains, nor in any table of [domains]\n",
        ),
        (
            ("audit", "--source", "people"),
            "autocreate: --source: there is no accounts.people; one of staff\n",
        ),
    ],
)
def test_a_name_that_does_not_exist_is_an_error_instead_of_an_empty_selection(
    arguments: tuple[str, ...], words: str, cyrus: Cyrus
) -> None:
    with components(cyrus, "ann") as product:
        done = product.run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (78, "", words)


def test_users_without_a_mailbox_are_counted_where_a_policy_is_applied(server: Cyrus) -> None:
    with components(server, "ann", "bob") as product:
        assert product.run("provision", "ann@example.org").returncode == 0
        done = product.run("apply", "--policy", "everyone", "--all")
    assert done.stderr == ("2 accounts: 1 up to date, 1 without a mailbox; nothing was changed\n")


def test_what_goes_to_a_file_is_not_shown_beside_the_bar_of_a_terminal(server: Cyrus) -> None:
    terminal, ours = pty.openpty()
    with components(server, "ann", "bob") as product, open(terminal, "rb", buffering=0):
        done = subprocess.run(
            [COMMAND, "provision", "--all"],
            stdout=subprocess.PIPE,
            stderr=ours,
            text=True,
            env={**os.environ, "AUTOCREATE_CONFIG": str(product.config_file), "TERM": "xterm"},
            check=False,
        )
        os.close(ours)
        shown = os.read(terminal, 65536).decode()
    assert sorted(line.split(":")[0] for line in done.stdout.splitlines()) == ["ann", "bob"]
    assert "2/2" in shown
    assert "planned: create" not in shown


def test_an_interrupted_run_says_how_far_it_came_and_goes_on_the_next_time(server: Cyrus) -> None:
    users = [f"many{number}" for number in range(300)]
    with components(server, *users, policy=PLAIN) as product:
        # A shell has what runs in its background ignore the signal, these tests and their children too.
        heeding = ["env", "--default-signal=INT", str(COMMAND)]
        command = subprocess.Popen(
            [*heeding, "provision", "--all", "--yes", "--max-new", "100"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "AUTOCREATE_CONFIG": str(product.config_file)},
        )
        assert command.stdout is not None
        assert "created" in command.stdout.readline()
        command.send_signal(signal.SIGINT)
        _said, errors = command.communicate(timeout=HUNG)
        assert re.match(r"provision: \d+ of 300 done\ninterrupted: run the same command ", errors)
        assert command.returncode == 130

        done = product.run("provision", "--all", "--yes", "--max-new", "100")
        assert done.returncode == 0
    assert len(server.mailboxes("user/many%")) == 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "ann@example.org"],
        ["audit"],
        ["audit", "--format", "json"],
        ["audit", "--format", "csv"],
    ],
    ids=" ".join,
)
def test_output_that_cannot_be_written_is_an_error_without_a_traceback(
    cyrus: Cyrus, arguments: list[str]
) -> None:
    with components(cyrus, "ann") as product, open("/dev/full", "w") as full:
        done = written_to(full, product, arguments)
    assert (done.returncode, done.stderr) == (
        74,
        "autocreate: cannot continue: [Errno 28] No space left on device\n",
    )


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_a_reader_who_has_read_enough_is_no_news(cyrus: Cyrus, form: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with components(cyrus, "ann") as product, open(writing, "w") as pipe:
        done = written_to(pipe, product, ["audit", "--format", form])
    assert (done.returncode, done.stderr) == (1, "")


def written_to(
    output: IO[str], product: Product, arguments: list[str]
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AUTOCREATE_CONFIG": str(product.config_file)}
    environment.pop("PYTHONUNBUFFERED", None)  # what is left for the end cannot be written either
    return subprocess.run(
        [COMMAND, *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        check=False,
    )


# -- failures -----------------------------------------------------------------------------------


def test_a_tree_that_is_left_unfinished_is_no_success(server: Cyrus) -> None:
    partition = {"name": "Slow", "partition": "nowhere"}
    with components(server, "ann", "bob", policy={**POLICY, "folders": [partition]}) as product:
        done = product.run("provision", "--all", "--yes")
        assert done.returncode == 75
        assert done.stderr.splitlines()[-1] == "2 accounts: 2 unfinished"
        (ann, _bob) = sorted(done.stdout.splitlines())
        assert ann.startswith("ann: unfinished: create INBOX; set quota")
        assert "could not create Slow on partition nowhere: " in ann
        assert "; create Slow" not in ann

        one = product.run("provision", "--json", "-", "--yes", stdin="ann\n")
        assert one.returncode == 75
        (undone,) = json.loads(one.stdout)["undone"]
        assert undone["action"] == "create Slow on partition nowhere"


def test_in_dry_run_nothing_is_applied_whatever_is_said(server: Cyrus) -> None:
    with components(server, "ann") as product:
        product.run("provision", "ann@example.org")
        product.configure({"milter": {"mode": "dry-run"}, "policy": [{**POLICY, "quota": "3G"}]})
        shown = product.run("apply", "--policy", "everyone", "--all", "--json")
        checksum = json.loads(shown.stdout.splitlines()[-1])["checksum"]
        done = product.run("apply", "--policy", "everyone", "--all", "--yes", checksum)
        assert (done.returncode, done.stderr) == (
            0,
            "1 account: 1 planned; nothing was changed\n",
        )
        assert server.quota("user/ann") == {"STORAGE": 2 << 20}


def test_users_whom_a_policy_denies_a_mailbox_are_exempt(server: Cyrus) -> None:
    guests = [f"guest{number}" for number in range(12)]
    with components(server, "ann") as product:
        for guest in guests:
            product.add_account(guest, "guests")
        nobody = {"name": "guests", "groups": ["guests"], "create": False}
        product.configure({"policy": [nobody, POLICY]})
        done = product.run("provision", "--all", "--yes")
        assert (done.returncode, done.stderr) == (0, "13 accounts: 1 created, 12 exempt\n")
        found = product.run("audit")
        assert (found.returncode, found.stdout) == (0, "13 accounts, 1 mailbox: 0 findings\n")


def test_named_users_who_do_not_exist_are_reported(server: Cyrus) -> None:
    with components(server, "ann") as product:
        done = product.run("apply", "--policy", "everyone", "--to", "tpyo")
        assert (done.returncode, done.stdout) == (
            65,
            "tpyo: without a mailbox: no account source knows this user\n",
        )


def with_bob_twice(product: Product) -> dict[str, str]:
    """An account source that knows the product's users, and cannot tell of bob."""
    with sqlite3.connect(product.database) as accounts:
        accounts.execute("CREATE TABLE twice AS SELECT userid FROM accounts")
        accounts.execute("INSERT INTO twice VALUES ('bob')")
    query = "SELECT userid FROM twice WHERE userid = :user"
    return {**LISTING, "url": f"sqlite:///{product.database}", "query": query}


def test_a_failure_of_the_review_is_not_forgotten_when_it_is_carried_out(server: Cyrus) -> None:
    with components(server, "ann", "bob") as product:
        product.run("provision", "--all", "--yes")
        staff = with_bob_twice(product)
        product.configure({"policy": [{**POLICY, "quota": "3G"}], "accounts": {"staff": staff}})
        shown = product.run("apply", "--policy", "everyone", "--all")
        assert shown.returncode == 75
        checksum = shown.stdout.split()[-1]
        done = product.run("apply", "--policy", "everyone", "--all", "--yes", checksum)
        assert (done.returncode, done.stderr) == (75, "1 account: 1 completed, 1 failed\n")
        assert "bob: failed: " in done.stdout


def test_a_failed_lookup_does_not_stop_the_others_of_a_group(server: Cyrus) -> None:
    with components(server) as product:
        for user in ("ann", "bob"):
            product.add_account(user, "tutors")
        product.configure({"accounts": {"staff": with_bob_twice(product)}})
        done = product.run("provision", "--group", "tutors", "--yes")
        assert done.returncode == 75
        assert "ann: created: " in done.stdout
        assert "bob: failed: " in done.stdout


@pytest.mark.parametrize("domain", ["example.org", "Example.ORG"])
def test_the_default_domain_selects_those_whose_id_has_none(domain: str) -> None:
    domains = {"virtdomains": "userid", "defaultdomain": "example.org"}
    with (
        Cyrus(imapd_conf=domains) as server,
        components(server, "joe", "ann@other.test") as product,
    ):
        product.configure({"cyrus": domains, "milter": {"domains": ["*"]}})
        done = product.run("provision", "--domain", domain, "--yes")
        assert (done.returncode, done.stderr) == (0, "1 account: 1 created\n")


def test_where_user_ids_have_no_domain_and_policies_go_by_it_one_is_to_be_named(
    server: Cyrus,
) -> None:
    with components(server, "joe") as product:
        other = {"name": "other", "domains": ["other.test"], "quota": "1G"}
        product.configure(
            {
                "milter": {"domains": ["example.org", "other.test"]},
                "policy": [other, POLICY],
            }
        )
        for command in (
            ("provision", "--all"),
            ("apply", "--policy", "other", "--all"),
            ("audit", "--trees"),
        ):
            done = product.run(*command)
            assert done.returncode == 78
            assert "--domain: policies depend on the domain, and user ids have none" in done.stderr
        assert product.run("provision", "--domain", "other.test", "--yes").returncode == 0
        assert server.quota("user/joe") == {"STORAGE": 1 << 20}


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("apply", "--policy", "everyone", "--to", "ann", "-"), b"", "give no others beside it"),
        (("provision", "-"), b"ann\nj\xfcrgen\n", "line 2: a name is not UTF-8"),
        (("apply", "--policy", "everyone", b"j\xfcrgen"), b"", "a name is not UTF-8"),
        (("provision", "-"), None, "reads users from standard input, which is closed"),
    ],
)
def test_names_that_cannot_be_meant_are_refused_in_words(
    cyrus: Cyrus, arguments: tuple[str | bytes, ...], stdin: bytes | None, words: str
) -> None:
    with components(cyrus) as product:
        command = [str(COMMAND), *arguments, "--config", str(product.config_file)]
        if stdin is None:
            command = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
        done = subprocess.run(command, input=stdin or b"", capture_output=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr.decode()


def test_no_name_makes_a_second_line_or_reaches_a_terminal_as_it_is(server: Cyrus) -> None:
    with components(server, "ann\nbob", "kim\x1b[2m") as product:
        found = product.run("audit")
    assert found.stdout.splitlines()[:2] == [
        "no-mailbox  ann\\nbob: has an account and no mailbox",
        "no-mailbox  kim\\x1b[2m: has an account and no mailbox",
    ]


def test_a_quota_of_0_removes_an_existing_limit_and_no_other(server: Cyrus) -> None:
    with components(server, "ann", "bob", policy={**PLAIN, "quota": 0}) as product:
        product.run("provision", "--all", "--yes")
        assert product.run("audit", "--trees").returncode == 0
        with server.admin_session() as imap:
            # What 0 made once, when it was taken for a limit.
            assert imap.setquota("user/ann", "(STORAGE 0 MESSAGE 10)")[0] == "OK"
        audited = product.run("audit", "--trees")
        assert audited.stdout.splitlines()[0] == (
            "quota       ann: policy everyone: set quota unlimited storage"
        )
        *_, last = product.run("apply", "--policy", "everyone", "--all").stdout.splitlines()
        checksum = last.removeprefix("checksum ")
        product.run("apply", "--policy", "everyone", "--all", "--yes", checksum)
        assert server.quota("user/ann") == {"MESSAGE": 10}
        assert product.run("audit", "--trees").returncode == 0


def test_limits_that_the_policy_does_not_name_are_neither_a_finding_nor_taken_away(
    server: Cyrus,
) -> None:
    _annotations, folders = other_resources()
    with components(server, "ann", policy={**PLAIN, "quota": "2G"}) as product:
        product.run("provision", "--all", "--yes")
        with server.admin_session() as imap:
            by_hand = f"(STORAGE {2 << 20} MESSAGE 10 {folders} 50)"
            assert imap.setquota("user/ann", by_hand)[0] == "OK"
        assert product.run("audit", "--trees").returncode == 0
        equal = product.run("apply", "--policy", "everyone", "--all")
        assert equal.stderr == "1 account: 1 up to date; nothing was changed\n"

        product.configure({"policy": [{**PLAIN, "quota": "3G"}]})
        shown = product.run("apply", "--policy", "everyone", "--all")
        plan, last = shown.stdout.splitlines()
        assert plan == "ann: planned: set quota 3145728 KiB"
        checksum = last.removeprefix("checksum ")
        done = product.run("apply", "--policy", "everyone", "--all", "--yes", checksum)
        assert (done.returncode, done.stderr) == (0, "1 account: 1 completed\n")
        assert server.quota("user/ann") == {
            "STORAGE": 3 << 20,
            "MESSAGE": 10,
            folders: 50,
        }

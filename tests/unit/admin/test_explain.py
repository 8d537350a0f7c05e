"""What is shown of each user. The integration tests show what a whole explanation looks like."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

from click.testing import CliRunner

from autocreate.admin.explain import Option, Site, users_of
from autocreate.cli.main import main
from autocreate.core.policy import Policy
from autocreate.errors import Temporary
from autocreate.model import Account, Answer, Recipient
from autocreate.tree.values import Folder, Quota, Tree
from tests.servers.common import free_port
from tests.unit.house import EVERYONE, TREE, House


def site(house: House) -> Site:
    return Site([house.accounts], [EVERYONE], house.store, "", lambda _: [Option("a, line 1", "x")])


def test_a_failed_lookup_in_a_source_is_shown_and_ends_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    house.accounts.fails = True
    verdict = house.service.preview(Recipient("<joe@example.org>"))
    (user,) = users_of(verdict, site(house))
    assert [it.answer for it in user.sources] == ["lookup failed: the database is away"]
    assert user.policies == ()
    assert user.standing == ("no INBOX",)


def test_a_failed_lookup_in_cyrus_is_shown_and_ends_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    house.store.failure = Temporary("Cyrus is away")
    verdict = house.service.preview(Recipient("<joe@example.org>"))
    (user,) = users_of(verdict, site(house))
    assert [look.counts for look in user.policies] == [True]
    assert user.options == (Option("a, line 1", "x"),)
    assert user.tree == ("create INBOX", "create Sent")
    assert user.standing == ("lookup failed: Cyrus is away",)


def test_an_existing_tree_is_shown_beside_the_tree_of_the_policy(tmp_path: Path) -> None:
    wanted = Tree((Folder(), Folder(("Sent",)), Folder(("Junk",))), Quota(2048))
    house = House(tmp_path, (Policy("all", wanted),), accounts={"joe": ("tutors",)})
    house.store.trees["joe"] = Tree((Folder(), Folder(("Sent",))), Quota(1024))
    parts = Site([house.accounts], [Policy("all", wanted)], house.store, "", lambda _: [])
    (user,) = users_of(house.service.preview(Recipient("<joe@example.org>")), parts)
    assert user.tree == ("create INBOX", "set quota 2048 KiB", "create Sent", "create Junk")
    assert user.standing == ("INBOX exists", "quota 1024 KiB", "Sent exists", "Junk is missing")
    assert [it.groups for it in user.sources] == [("tutors",)]


def test_policies_that_do_not_apply_say_why(tmp_path: Path) -> None:
    nobody = Policy("guests", Tree(), groups=frozenset(["guests"]), create=False)
    policies = (nobody, EVERYONE)
    house = House(tmp_path, policies, accounts={"joe": ("guests",)})
    parts = Site([house.accounts], policies, house.store, "", lambda _: [])
    (user,) = users_of(house.service.preview(Recipient("<joe@example.org>")), parts)
    assert [(look.policy, look.counts, look.why) for look in user.policies] == [
        ("guests", True, "the user is in group 'guests'; it creates no mailbox"),
        ("everyone", False, "it is for everyone, but an earlier policy matches"),
    ]
    assert user.tree == ()


def test_groups_that_cannot_be_looked_up_leave_the_policy_open(tmp_path: Path) -> None:
    tutors = Policy("tutors", TREE, groups=frozenset(["tutors"]))
    house = House(tmp_path, (tutors,), accounts={"joe": ()})

    def groups(account: Account) -> frozenset[str]:
        raise Temporary("the database is away")

    house.accounts.groups = groups  # type: ignore[method-assign]
    parts = Site([house.accounts], (tutors,), house.store, "", lambda _: [])
    (user,) = users_of(house.service.preview(Recipient("<joe@example.org>")), parts)
    assert [(look.policy, look.why) for look in user.policies] == [
        ("", "lookup failed: accounts.staff: the database is away")
    ]


def test_what_is_explained_is_not_done(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    users_of(house.service.preview(Recipient("<joe@example.org>")), site(house))
    assert house.store.trees == {}
    assert house.journal.due(float("inf"), 10) == []


def test_a_deferred_recipient_has_the_policy_of_its_domain(tmp_path: Path) -> None:
    policy = Policy("ours", TREE, domains=frozenset({"example.org"}))
    house = House(tmp_path, policies=(policy,), accounts={"joe": ()}, deadline=0.05)
    go_on = threading.Event()
    exists = house.store.exists
    house.store.exists = lambda user: go_on.wait(20.0) and exists(user)  # type: ignore[method-assign]
    verdict = house.service.preview(Recipient("<joe@example.org>"))
    go_on.set()
    assert verdict.answer is Answer.TEMPORARY
    (user,) = users_of(verdict, Site([house.accounts], [policy], house.store, "", lambda _: []))
    assert [(look.counts, look.why) for look in user.policies] == [
        (True, "its domains have 'example.org'")
    ]
    assert user.address == "joe@example.org"


def explained(
    folder: Path, rest: str, address: str = "joe@example.org", *options: str, cyrus: str = ""
) -> str:
    """The explanation at a site without a Cyrus. FILE stands for its configuration file."""
    (folder / "secret").write_text("hidden\n")
    (folder / "secret").chmod(0o600)
    (folder / "users").write_text("joe\nann\n")
    os.utime(folder / "users", (1, 1))  # the no of a file that was written just now is not certain
    path = folder / "autocreate.toml"
    path.write_text(
        f"""journal.url = "sqlite:///{folder}/journal.db"
accounts.list = {{ type = "file", path = "{folder}/users" }}
milter.domains = ["example.org"]
cyrus = {{ port = {free_port()}, tls = "none", password_file = "{folder}/secret"{cyrus} }}
{rest}
"""
    )
    result = CliRunner().invoke(main, ["explain", address, "--config", str(path), *options])
    return result.output.replace(str(path), "FILE").replace(str(folder), "DIR")


def test_a_recipient_that_is_not_ours_is_shown_with_the_line_that_says_so(tmp_path: Path) -> None:
    rest = 'milter.mailers = ["lmtp"]'
    other = explained(tmp_path, rest, "joe@other.test")
    assert '    FILE, line 3: milter.domains = ["example.org"]\n' in other
    assert "Decision\n  domain 'other.test' is not ours\n" in other
    smtp = explained(tmp_path, rest, "joe@example.org", "--mailer", "smtp")
    assert '    FILE, line 5: milter.mailers = ["lmtp"]\n' in smtp
    assert "Decision\n  mailer 'smtp' is not ours\n" in smtp


def test_the_answer_of_each_domain_table_is_shown_with_its_line(tmp_path: Path) -> None:
    for name, text in (("some", "example.org\n"), ("none", "other.test\n")):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (1, 1))
    tables = "".join(
        f'[domains.{it}]\ntype = "file"\npath = "{tmp_path}/{it}"\n' for it in ("some", "none")
    )
    said = re.sub(r"\d+\.\d ms", "? ms", explained(tmp_path, tables))
    assert (
        "  domain tables\n"
        "    domains.some: has 'example.org' (? ms)\n"
        "      FILE, line 5\n"
        "    domains.none: does not have 'example.org' (? ms)\n"
        "      FILE, line 8\n"
    ) in said


def test_a_source_has_the_line_of_its_table(tmp_path: Path) -> None:
    said = explained(tmp_path, "")
    assert "    accounts.list: knows the user (" in said
    assert " ms)\n      FILE, line 2\n" in said


def test_what_comes_from_imapd_conf_has_its_line_there(tmp_path: Path) -> None:
    (tmp_path / "imapd.conf").write_text(
        "virtdomains: userid\ndefaultdomain: example.org\n"
        "lmtp_downcase_rcpt: no\npostuser: bb\n"
        "autocreate_post: yes\nautocreate_quota: 0\n"
    )
    conf = f', imapd_conf = "{tmp_path}/imapd.conf", lmtp_downcase_rcpt = true'
    said = explained(tmp_path, 'milter.recipient_delimiter = "-"', cyrus=conf)
    user = said.partition("  how an address becomes a user\n")[2].partition("\n\n")[0]
    places = [line.partition(": ")[::2] for line in user.splitlines()]
    assert places[:3] == [
        ("    FILE, line 5", 'milter.recipient_delimiter = "-"'),
        ("    DIR/imapd.conf, line 1", "virtdomains: userid"),
        ("    DIR/imapd.conf, line 2", "defaultdomain: example.org"),
    ]
    assert places[3][0] == "    FILE, line 4"  # our own file counts more than imapd.conf
    assert places[4] == ("    DIR/imapd.conf, line 4", "postuser: bb")
    assert "    imapd.conf: applies: it is for everyone\n      DIR/imapd.conf, line 5\n" in said
    assert "    DIR/imapd.conf, line 6: autocreate_quota: 0\n" in said


def test_without_any_policy_the_default_is_shown(tmp_path: Path) -> None:
    said = explained(tmp_path, "")
    assert "    default: applies: it is for everyone\n      default\n" in said
    assert "    default: without any policy, every account gets an INBOX\n" in said


def test_one_policy_of_several_in_one_value_is_shown_alone(tmp_path: Path) -> None:
    said = explained(tmp_path, 'policy = [{ name = "a", users = ["ann"] },\n { name = "b" }]')
    assert "    a: no: the user is neither among its users nor in its groups\n" in said
    assert '  policy as written\n    FILE, line 6: { name = "b" }\n  tree of' in said


def test_a_policy_whose_head_is_in_quotes_is_shown_like_any_other(tmp_path: Path) -> None:
    said = explained(tmp_path, '[["policy"]]\nname = "b"')
    assert "    b: applies: it is for everyone\n      FILE, line 5\n" in said
    assert '    FILE, line 5: [["policy"]]\n    FILE, line 6: name = "b"\n' in said


def test_no_name_begins_a_line_of_its_own_or_commands_the_terminal(tmp_path: Path) -> None:
    for command in ("explain", "check"):
        explained(tmp_path, "")
        result = CliRunner().invoke(
            main,
            [command, "joe\x1b[2J\nann: accept@example.org"],
            env={"AUTOCREATE_CONFIG": str(tmp_path / "autocreate.toml")},
            color=True,
        )
        assert result.output.splitlines()[0] == ("joe\\x1b[2J\\nann: accept@example.org: malformed")
        assert "\x1b" not in result.output

"""What a script is called, and what a compiler's words mean."""

from __future__ import annotations

import pytest

from autocreate.core.policy import Policy, scripts_of
from autocreate.errors import MalformedValue
from autocreate.mailstore.sieve.script import (
    compiler_errors,
    is_bytecode,
    is_same_text,
    script_name,
)
from autocreate.tree.actions import CreateMailbox, InstallScript, SetQuota, Subscribe
from autocreate.tree.plan import as_json, as_text, difference
from autocreate.tree.values import Folder, Quota, Script, Tree

SCRIPT = Script("students.sieve", b"keep;\r\n")
WANTED = Tree((Folder(subscribe=True), Folder(("Lists",))), Quota(100), script=SCRIPT)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/etc/autocreate/students.sieve", "students.sieve"),
        ("students", "students"),
        ("/etc/a b/spam filter", "spam filter"),
        ("/x/" + "y" * 64, "y" * 64),
    ],
)
def test_a_script_is_called_as_its_file(path: str, name: str) -> None:
    assert script_name(path) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "fä",
        'a"b',
        "a\\b",
        "a\r\nb",
        "a\0b",
        "a\tb",
        "\x7f",
        "y" * 65,
        "\udce9",
        "  ",
    ],
)
def test_a_name_that_no_script_can_have_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(MalformedValue, match="printable ASCII"):
        script_name("/etc/" + name)


def test_bytecode_is_known_by_its_first_bytes() -> None:
    assert is_bytecode(b"CyrSBytecode\0\0\0\x1f")
    assert not is_bytecode(b"")
    assert not is_bytecode(b"keep;\n")


def test_every_error_of_a_compiler_is_kept_with_its_line() -> None:
    words = 'Unable to parse script: script errors:\r\nline 1: no "x"\r\nline 3: syntax error\r\n\n'
    assert compiler_errors(words) == 'line 1: no "x"; line 3: syntax error'


def test_a_compilers_other_troubles_are_no_errors_of_the_script() -> None:
    assert compiler_errors("couldn't open bytecode output file\n") == ""


def test_the_script_comes_after_the_folders_and_before_subscriptions() -> None:
    assert difference("joe", "all", WANTED, Tree()).actions == (
        CreateMailbox(()),
        SetQuota(Quota(100)),
        CreateMailbox(("Lists",)),
        InstallScript(SCRIPT),
        Subscribe(()),
    )


def test_a_user_who_has_any_script_gets_none() -> None:
    observed = Tree(WANTED.folders, WANTED.quota, script=Script("mine"))
    assert difference("joe", "all", WANTED, observed).actions == ()


def test_inbox_and_quota_are_essential_and_the_script_is_not() -> None:
    assert difference("joe", "all", WANTED, Tree()).essential == (
        CreateMailbox(()),
        SetQuota(Quota(100)),
    )


def test_a_plan_names_the_script_and_does_not_show_it() -> None:
    plan = difference("joe", "all", Tree(script=SCRIPT), Tree())
    assert as_text(plan) == ["install the sieve script students.sieve"]
    assert as_json(plan)["actions"] == [{"action": "sieve", "script": "students.sieve"}]


def test_the_scripts_of_policies_are_told_once_each_and_only_where_something_is_created() -> None:
    policies = [
        Policy("a", WANTED),
        Policy("a", WANTED, domains=frozenset(["x.test"])),
        Policy("b", Tree()),
        Policy("c", WANTED, create=False),
    ]
    assert scripts_of(policies) == (("a", SCRIPT),)


@pytest.mark.parametrize(
    ("stored", "same"),
    [
        (b"keep;\r\nstop;\r\n", True),
        (b"keep;\nstop;\n", True),
        (b"keep;\nstop;\n\n", False),
        (b"keep; stop;\n", False),
        (b"", False),
    ],
)
def test_a_script_is_the_same_however_the_server_ends_its_lines(stored: bytes, same: bool) -> None:
    assert is_same_text(stored, b"keep;\nstop;\n") is same

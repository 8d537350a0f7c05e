"""Whether the Sieve scripts of policies compile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autocreate.admin.scripts import DoesNotCompile, check_scripts, compile_file, notices
from autocreate.core.policy import Policy
from autocreate.errors import Temporary
from autocreate.mailstore.sieve.files import Compiler
from autocreate.tree.values import Script
from tests.unit.house import TREE, House

SCRIPT = Script("main", b"keep;", "/etc/main.sieve")
GIVEN = Policy("everyone", replace(TREE, script=SCRIPT))


def test_a_script_that_compiles(tmp_path: Path) -> None:
    house = House(tmp_path, (GIVEN,))
    (checked,) = check_scripts(house.service)
    assert checked == ("everyone", "/etc/main.sieve", "compiles", (), 0)


def test_a_script_that_does_not(tmp_path: Path) -> None:
    house = House(tmp_path, (GIVEN,))
    house.store.wrong_scripts[b"keep;"] = "line 1: syntax error"
    (checked,) = check_scripts(house.service)
    error = "it does not compile: line 1: syntax error"
    assert checked == ("everyone", "/etc/main.sieve", "wrong", (error,), 65)


def test_a_server_that_cannot_be_asked(tmp_path: Path) -> None:
    house = House(tmp_path, (GIVEN,))
    house.store.script_failure = Temporary("Cyrus is away")
    (checked,) = check_scripts(house.service)
    assert checked[2:] == ("not checked", ("Cyrus is away",), 75)


def test_policies_without_a_script_have_nothing_to_check(tmp_path: Path) -> None:
    assert list(check_scripts(House(tmp_path).service)) == []


@pytest.fixture
def compiler(tmp_path: Path) -> Compiler:
    """A sievec that refuses what contains "wrong"."""
    programs = tmp_path / "programs"
    programs.mkdir()
    sievec = programs / "sievec"
    sievec.write_text(
        '#!/bin/sh\nif grep -q wrong "$1"; then echo "line 1: syntax error" >&2; exit 1; fi\n'
        'echo bytecode > "$2"\n'
    )
    sievec.chmod(0o755)
    return Compiler(programs=programs)


def test_notices_name_the_policy_and_the_file_of_a_script_that_does_not_compile(
    compiler: Compiler,
) -> None:
    wrong = replace(SCRIPT, text=b"wrong")
    assert list(notices([("everyone", SCRIPT)], compiler)) == []
    assert list(notices([("everyone", wrong)], compiler)) == [
        "policy 'everyone': /etc/main.sieve: it does not compile: line 1: syntax error"
    ]


def test_without_a_compiler_a_notice_says_how_to_check(tmp_path: Path) -> None:
    (notice,) = notices([("everyone", SCRIPT)], Compiler(programs=tmp_path))
    assert "not checked, sievec is not on this machine; see autocreate sieve check" in notice


def test_a_script_is_compiled_into_a_file(compiler: Compiler, tmp_path: Path) -> None:
    source, target = tmp_path / "main.sieve", tmp_path / "main.bc"
    source.write_text("keep;")
    compile_file(compiler, source, target)
    assert target.read_text() == "bytecode\n"
    source.write_text("wrong")
    with pytest.raises(DoesNotCompile, match=r"main\.sieve: it does not compile: line 1") as error:
        compile_file(compiler, source, target)
    assert error.value.exit_status == 65
    assert target.read_text() == "bytecode\n"
    with pytest.raises(Temporary, match="No such file"):
        compile_file(compiler, tmp_path / "missing", target)

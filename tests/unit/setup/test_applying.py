"""Steps are applied in their order, and taken back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from autocreate.errors import ConfigurationError, Temporary
from autocreate.setup.applying import Applier
from autocreate.setup.files import Record
from autocreate.setup.values import Change, Step

NOWHERE = "unix:/nonexistent/milter.sock"


class Programs:
    """Remembers what is run. `fails` has the programs that fail."""

    def __init__(self) -> None:
        self.run: list[str] = []
        self.fails: set[str] = set()

    def __call__(self, *words: str) -> str:
        command = " ".join(words)
        self.run.append(command)
        if command in self.fails:
            raise subprocess.CalledProcessError(1, words, stderr="it is wrong")
        return ""


@pytest.fixture
def programs() -> Programs:
    return Programs()


def applier(folder: Path, programs: Programs, told: list[str], systemd: bool = True) -> Applier:
    return Applier(Record(folder / "undo"), told.append, programs, lambda: systemd)


def a_step(path: Path) -> Step:
    path.write_text("a\n")
    return Step(
        "Postfix",
        (Change(str(path), "a\n", "b\n"),),
        check=("postfix", "-c", "/x", "check"),
        after=("postfix -c /x reload",),
        undo=("postfix -c /x reload",),
    )


def test_a_step_is_checked_and_put_into_effect(tmp_path: Path, programs: Programs) -> None:
    told: list[str] = []
    tool = applier(tmp_path, programs, told)
    tool.apply([a_step(tmp_path / "main.cf"), Step("nothing")], NOWHERE)
    assert (tmp_path / "main.cf").read_text() == "b\n"
    assert programs.run == ["postfix -c /x check", "postfix -c /x status", "postfix -c /x reload"]
    assert told[0] == "Postfix:"

    programs.run.clear()
    tool.undo()
    assert (tmp_path / "main.cf").read_text() == "a\n"
    assert programs.run == ["postfix -c /x status", "postfix -c /x reload"]
    with pytest.raises(ConfigurationError, match="nothing was applied"):
        tool.undo()


def test_a_step_whose_check_fails_is_taken_back(tmp_path: Path, programs: Programs) -> None:
    programs.fails.add("postfix -c /x check")
    first, second = a_step(tmp_path / "main.cf"), a_step(tmp_path / "master.cf")
    with pytest.raises(ConfigurationError, match="it is wrong; the change was taken back"):
        applier(tmp_path, programs, []).apply([first, second], NOWHERE)
    assert (tmp_path / "main.cf").read_text() == "a\n"
    assert (tmp_path / "master.cf").read_text() == "a\n"


def test_an_mta_is_not_pointed_at_a_milter_that_does_not_run(
    tmp_path: Path, programs: Programs
) -> None:
    path = tmp_path / "main.cf"
    path.write_text("a\n")
    step = Step("Postfix", (Change(str(path), "a\n", "b\n"),), needs_milter=True)
    with pytest.raises(Temporary, match="the milter does not listen"):
        applier(tmp_path, programs, [], systemd=False).apply([step], NOWHERE)
    assert path.read_text() == "a\n"


def test_what_cannot_be_run_here_is_told(tmp_path: Path, programs: Programs) -> None:
    programs.fails |= {"adduser postfix mail", "postfix -c /x status"}
    told: list[str] = []
    commands = ("systemctl restart x", "adduser postfix mail", "postfix -c /x reload")
    step = Step("Commands", after=commands, undo=("deluser postfix mail",))
    tool = applier(tmp_path, programs, told, systemd=False)
    tool.apply([step], NOWHERE)
    assert told[1:] == [
        "  to do: systemctl restart x (systemd does not run here)",
        "  to do: adduser postfix mail (it failed: it is wrong)",
        "  Postfix does not run: not needed: postfix -c /x reload",
    ]
    tool.undo()
    assert programs.run[-1] == "deluser postfix mail"

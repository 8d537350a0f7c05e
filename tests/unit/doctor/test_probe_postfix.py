"""How Postfix's configuration is read, and where Postfix delivers, with postconf(1) replaced."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from autocreate.doctor import probe_postfix, programs
from autocreate.doctor.findings import Finding, Gravity
from autocreate.doctor.permissions import UnixUser
from autocreate.doctor.site import MtaPaths, Tools
from tests.unit.doctor.sites import Postconf, site, tools


def examined(folder: Path, tools: Tools) -> tuple[tuple[UnixUser, ...], list[Finding]]:
    """The users that Postfix connects as, and what was found."""
    postfix = probe_postfix.read(folder, tools.run)
    checked = site(folder, mtas=MtaPaths(folder, folder / "sendmail.cf"))
    return probe_postfix.callers(postfix), probe_postfix.examine(postfix, checked, tools)


def test_postconf_is_asked_for_the_folders_files(tmp_path: Path) -> None:
    postconf = Postconf()
    read = probe_postfix.read_postfix(tmp_path, postconf)
    assert postconf.commands == [
        ("postconf", "-c", str(tmp_path), flag) for flag in ("-x", "-M", "-Px")
    ]
    assert read.get("virtual_mailbox_domains") == "example.org"
    assert [it.command for it in read.services] == ["smtpd", "cleanup", "lmtp"]


@pytest.mark.parametrize(("text", "origin"), [("mx.example.org\n", "mx.example.org"), ("", "")])
def test_an_origin_in_a_file_is_read(text: str, origin: str, tmp_path: Path) -> None:
    (tmp_path / "mailname").write_text(text)
    postconf = Postconf(myorigin=f"{tmp_path}/mailname")
    assert probe_postfix.read_postfix(tmp_path, postconf).get("myorigin") == origin
    missing = Postconf(myorigin="/nonexistent/mailname")
    assert probe_postfix.read_postfix(tmp_path, missing).get("myorigin") == "/nonexistent/mailname"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            subprocess.CalledProcessError(1, "postconf", stderr="fatal: bad line\n"),
            "fatal: bad line",
        ),
        (FileNotFoundError(2, "No such file", "/usr/sbin/postconf"), "No such file"),
    ],
    ids=["it fails", "it is missing"],
)
def test_a_configuration_that_postconf_cannot_read_is_critical(
    error: Exception, words: str, tmp_path: Path
) -> None:
    def fails(*command: str) -> str:
        raise error

    callers, (found,) = examined(tmp_path, tools(run=fails))
    assert callers == ()
    assert found.gravity is Gravity.CRITICAL
    assert found.what.startswith(f"postconf cannot read {tmp_path}: ")
    assert words in found.what


def test_a_table_that_postmap_cannot_open_is_told_once(tmp_path: Path) -> None:
    run = Postconf(virtual_mailbox_domains="example.org", transport_maps="pgsql:/etc/postfix/t.cf")
    (found,) = examined(tmp_path, tools(run=run))[1]
    assert found.gravity is Gravity.WARNING
    assert found.what.startswith("Postfix's pgsql:/etc/postfix/t.cf cannot be looked into: ")
    assert [it[0] for it in run.commands].count("postmap") == 1


def test_postfix_connects_as_its_owner(tmp_path: Path) -> None:
    run = Postconf(mail_owner="root", virtual_transport="lmtp:inet:127.0.0.1:24")
    callers, found = examined(tmp_path, tools(run=run))
    assert [it.name for it in callers] == ["root"]
    assert found == []
    unknown = tools(run=Postconf(mail_owner="no-such-user"))
    assert examined(tmp_path, unknown)[0] == ()


def test_a_socket_that_postfix_delivers_to_and_that_does_not_exist_is_critical(
    tmp_path: Path,
) -> None:

    def found(socket: str) -> list[str]:
        run = Postconf(queue_directory=str(tmp_path), virtual_transport=f"lmtp:unix:{socket}")
        return [it.what for it in examined(tmp_path, tools(run=run))[1]]

    assert found(f"{tmp_path}/lmtp") == [
        f"nobody listens at main.cf: virtual_transport (unix:{tmp_path}/lmtp): "
        "No such file or directory"
    ]
    assert found("private/lmtp") == [
        "main.cf: virtual_transport: Postfix's lmtp runs chrooted and looks for private/lmtp at "
        f"{tmp_path}/private/lmtp, which does not exist"
    ]


def test_a_program_is_run_and_its_errors_are_told() -> None:
    assert programs.run("printf", "%s", "joe") == "joe"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        programs.run("sh", "-c", "echo no such map >&2; exit 1")
    assert programs.reason(caught.value) == "no such map"
    with pytest.raises(FileNotFoundError):
        programs.run("no-such-program")

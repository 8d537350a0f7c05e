"""Scripts as files: where, whose and how Cyrus's own are, and only where nothing is in the way."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autocreate.errors import Refused, Temporary
from autocreate.mailstore.cyrus import Cyrus as Store
from autocreate.mailstore.sieve.files import PROGRAMS, Compiler, SieveFiles
from autocreate.tree.actions import CreateMailbox, InstallScript
from autocreate.tree.plan import Plan
from autocreate.tree.values import Script
from tests.contract.script_stores import FILING, OWN, WRONG, WRONG_AT, server_of
from tests.servers.cyrus import Cyrus
from tests.servers.sieve import kept

SCRIPT = Script("default.sieve", FILING % b"/")
_numbers = itertools.count()

# Settings that choose the folder of a user's scripts.
LAYOUTS = {
    "as new": {},
    "by name": {"mailbox_legacy_dirs": "yes"},
    "by name, hashed": {"mailbox_legacy_dirs": "yes", "hashimapspool": "yes"},
    "by name, hashed fully": {"mailbox_legacy_dirs": "yes", "fulldirhash": "yes"},
    "all at once": {
        "mailbox_legacy_dirs": "yes",
        "fulldirhash": "yes",
        "hashimapspool": "yes",
        "virtdomains": "userid",
        "defaultdomain": "ex.test",
    },
}


@pytest.fixture(scope="module", params=LAYOUTS)
def laid_out(request: pytest.FixtureRequest) -> Iterator[Cyrus]:
    with Cyrus(imapd_conf=LAYOUTS[request.param]) as server:
        yield server


@pytest.fixture
def user(cyrus: Cyrus) -> str:
    """Somebody with nothing but INBOX."""
    name = f"on-disk-{next(_numbers)}"
    cyrus.create(f"user/{name}")
    return name


def store(cyrus: Cyrus, **other: object) -> SieveFiles:
    arguments = {"sievedir": str(cyrus.folder / "sieve"), "timeout": 20.0, **other}
    return SieveFiles(str(cyrus.imapd_conf_file), **arguments)  # type: ignore[arg-type]


def folder_of(cyrus: Cyrus, user: str) -> Path:
    command: list[str | Path] = [PROGRAMS / "mbpath", "-C", cyrus.imapd_conf_file, "-u", "-S", user]
    return Path(subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip())


def made_folder(cyrus: Cyrus, user: str) -> Path:
    """The user's folder, made as Cyrus would make it."""
    folder, top = folder_of(cyrus, user), cyrus.folder / "sieve"
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder, *folder.parents):
        if path.is_relative_to(top):
            os.chown(path, *_owner(top))
    return folder


@pytest.mark.parametrize("user", ["joe", "an.other", "1st", "_x", "o'brien"])
def test_the_folder_is_the_one_where_timsieved_puts_scripts(laid_out: Cyrus, user: str) -> None:
    top = laid_out.folder / "sieve"
    for name in (user, f"{user}.two"):
        laid_out.create(f"user/{name}")
    store(laid_out).install(user, SCRIPT)
    ours = {path.parent for path in top.rglob("defaultbc")}
    with laid_out.sieve_session(f"{user}.two") as session:
        session.put("default.sieve", SCRIPT.text)
    (theirs,) = {path.parent for path in top.rglob("defaultbc")} - ours
    assert len(theirs.relative_to(top).parts) == len(
        folder_of(laid_out, user).relative_to(top).parts
    )
    assert folder_of(laid_out, user) in ours
    assert laid_out.scripts(user) == {"default.sieve": (kept(SCRIPT.text), True)}


def test_a_new_users_folder_follows_from_the_id_of_inbox_once_that_was_seen(
    laid_out: Cyrus, tmp_path: Path
) -> None:
    """Two users, one after the other: of the second mbpath is not asked, unless folders go by name."""
    asked = tmp_path / "asked"
    mbpath = tmp_path / "mbpath"
    mbpath.write_text(f'#!/bin/sh\necho x >> {asked}\nexec {PROGRAMS}/mbpath "$@"\n')
    mbpath.chmod(0o755)
    (tmp_path / "sievec").symlink_to(PROGRAMS / "sievec")
    scripts = store(laid_out, programs=tmp_path)
    numbers = [next(_numbers), next(_numbers)]
    with contextlib.closing(Store(server_of(laid_out), 1, scripts)) as mailboxes:
        for number in numbers:
            plan = Plan(f"new-{number}", "", (CreateMailbox(()), InstallScript(SCRIPT)))
            assert mailboxes.apply(plan).failed == ()
    for number in numbers:
        expected = {"default.sieve": (kept(SCRIPT.text), True)}
        assert laid_out.scripts(f"new-{number}") == expected
    is_by_id = folder_of(laid_out, f"new-{numbers[1]}").parts[-4] == "uuid"
    assert len(asked.read_text().split()) == (1 if is_by_id else 2)


def test_a_user_whose_inbox_was_there_is_asked_for(cyrus: Cyrus, user: str) -> None:
    scripts = store(cyrus)
    with contextlib.closing(Store(server_of(cyrus), 1, scripts)) as mailboxes:
        for name in (f"{user}-new", user):
            plan = Plan(name, "", (CreateMailbox(()), InstallScript(SCRIPT)))
            assert mailboxes.apply(plan).failed == ()
    for name in (f"{user}-new", user):
        assert cyrus.scripts(name) == {"default.sieve": (kept(SCRIPT.text), True)}


@pytest.mark.parametrize("user", ["joe@other.test", "an.other@other.test"])
def test_the_folder_of_a_user_of_a_virtual_domain(user: str) -> None:
    with Cyrus(imapd_conf=LAYOUTS["all at once"]) as server:
        local, _, domain = user.partition("@")
        server.create(f"user/{user}")
        store(server).install(user, SCRIPT)
        (link,) = (server.folder / "sieve").rglob("defaultbc")
        assert link.parent.name == local
        assert link.parent.parts[-3] == domain
        assert server.scripts(user) == {"default.sieve": (kept(SCRIPT.text), True)}


def test_owner_and_modes_are_those_of_timsieveds_own(cyrus: Cyrus, user: str) -> None:
    other = f"{user}-2"
    cyrus.create(f"user/{other}")
    with cyrus.sieve_session(other) as session:
        session.put("default.sieve", SCRIPT.text)
    store(cyrus).install(user, SCRIPT)
    top = cyrus.folder / "sieve"
    ours, theirs = folder_of(cyrus, user), folder_of(cyrus, other)
    for path in ("defaultbc", "default.sieve.bc", "", "..", "../.."):
        assert _owner_and_mode(ours / path) == _owner_and_mode(theirs / path)
    assert os.readlink(ours / "defaultbc") == os.readlink(theirs / "defaultbc")
    assert (ours / "default.sieve.bc").read_bytes() == (theirs / "default.sieve.bc").read_bytes()
    assert _owner_and_mode(ours / "default.sieve.script") == (*_owner(top), "-rw-------")


def _owner(path: Path) -> tuple[int, int]:
    return path.lstat().st_uid, path.lstat().st_gid


def _owner_and_mode(path: Path) -> tuple[int, int, str]:
    return (*_owner(path), stat.filemode(path.lstat().st_mode))


def test_nothing_else_is_left_behind(cyrus: Cyrus, user: str) -> None:
    store(cyrus).install(user, SCRIPT)
    assert sorted(os.listdir(folder_of(cyrus, user))) == [
        "default.sieve.bc",
        "default.sieve.script",
        "defaultbc",
    ]


def test_as_cyruss_own_user_it_needs_no_root(cyrus: Cyrus, user: str) -> None:
    owner = _owner(cyrus.folder / "sieve")
    said = _as_user(owner, lambda: store(cyrus).install(user, SCRIPT))
    assert said == ""
    assert cyrus.scripts(user) == {"default.sieve": (kept(SCRIPT.text), True)}


def _as_user(owner: tuple[int, int], work: Callable[[], object]) -> str:
    """Do it in a process of that user and group; the error that ended it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        error = ""
        try:
            os.setgroups([])
            os.setgid(owner[1])
            os.setuid(owner[0])
            work()
        except BaseException as raised:
            error = str(raised) or repr(raised)
        os.write(writing, error.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


def test_a_default_link_of_any_kind_is_never_replaced(cyrus: Cyrus, user: str) -> None:
    folder = made_folder(cyrus, user)
    (folder / "defaultbc").symlink_to("gone.bc")
    store(cyrus).install(user, SCRIPT)
    assert os.listdir(folder) == ["defaultbc"]
    assert store(cyrus).active(user) == Script("gone")


@pytest.mark.parametrize("suffix", [".script", ".bc"])
def test_files_of_that_name_that_are_not_ours_are_left_alone(
    cyrus: Cyrus, user: str, suffix: str
) -> None:
    folder = made_folder(cyrus, user)
    file = folder / f"default.sieve{suffix}"
    file.write_bytes(OWN)
    with pytest.raises(Refused, match="a different script of that name"):
        store(cyrus).install(user, SCRIPT)
    assert os.listdir(folder) == [file.name]
    assert file.read_bytes() == OWN


def test_what_an_attempt_left_that_was_cut_short_is_completed(cyrus: Cyrus, user: str) -> None:
    store(cyrus).install(user, SCRIPT)
    (folder_of(cyrus, user) / "defaultbc").unlink()
    store(cyrus).install(user, SCRIPT)
    assert cyrus.scripts(user) == {"default.sieve": (kept(SCRIPT.text), True)}


def test_no_link_leads_out_of_sievedir(cyrus: Cyrus, user: str, tmp_path: Path) -> None:
    folder = made_folder(cyrus, user)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(Temporary, match="scripts below"):
        store(cyrus).install(user, SCRIPT)
    assert os.listdir(tmp_path) == []


def test_the_compiled_script_is_copied_if_there_is_one(
    cyrus: Cyrus, user: str, tmp_path: Path
) -> None:
    compiled = tmp_path / "default.bc"
    compiled.write_bytes(Compiler(str(cyrus.imapd_conf_file)).compile(b"stop;\n"))
    store(cyrus).install(user, Script("s", b"keep;\n", compiled=str(compiled)))
    assert (folder_of(cyrus, user) / "s.bc").read_bytes() == compiled.read_bytes()
    assert (folder_of(cyrus, user) / "s.script").read_bytes() == b"keep;\n"


@pytest.mark.parametrize("content", [None, b"", b"keep;\n"])
def test_a_compiled_script_that_is_none_is_not_used(
    cyrus: Cyrus, user: str, tmp_path: Path, content: bytes | None
) -> None:
    compiled = tmp_path / "default.bc"
    if content is not None:
        compiled.write_bytes(content)
    store(cyrus).install(user, Script("s", b"keep;\n", compiled=str(compiled)))
    assert (folder_of(cyrus, user) / "s.bc").read_bytes() == Compiler().compile(b"keep;\n")
    assert cyrus.scripts(user) == {"s": (kept(b"keep;\n"), True)}
    assert (compiled.read_bytes() if compiled.exists() else None) == content


def test_what_was_compiled_is_kept_if_that_is_wanted(
    cyrus: Cyrus, user: str, tmp_path: Path
) -> None:
    compiled = tmp_path / "default.bc"
    store(cyrus).install(user, Script("s", b"keep;\n", compiled=str(compiled), save=True))
    assert compiled.read_bytes() == Compiler().compile(b"keep;\n")
    assert stat.filemode(compiled.stat().st_mode) == "-rw-r--r--"
    assert os.listdir(tmp_path) == ["default.bc"]


def test_where_it_cannot_be_kept_the_user_has_the_script_all_the_same(
    cyrus: Cyrus, user: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script("s", b"keep;\n", compiled=str(tmp_path / "no/such/x.bc"), save=True)
    store(cyrus).install(user, script)
    assert cyrus.scripts(user) == {"s": (kept(b"keep;\n"), True)}
    assert "the compiled script cannot be kept" in caplog.text


def test_a_compiled_script_older_than_its_source_is_told(cyrus: Cyrus, tmp_path: Path) -> None:
    source, compiled = tmp_path / "s", tmp_path / "s.bc"
    source.write_bytes(b"keep;\n")
    compiled.write_bytes(Compiler().compile(b"keep;\n"))
    script = Script("s", b"keep;\n", str(source), str(compiled))
    assert store(cyrus).check(script) == ()
    os.utime(compiled, (1, 1))
    assert store(cyrus).check(script) == (
        f"{compiled} is older than {source}: run autocreate sieve compile",
    )
    compiled.write_bytes(b"keep;\n")
    assert store(cyrus).check(script) == (f"{compiled} is not a compiled script, so it is ignored",)
    compiled.unlink()
    assert store(cyrus).check(script) == (
        f"{compiled} does not exist, so the script is compiled when it is needed",
    )


def test_every_error_of_the_compiler_is_told_with_its_line() -> None:
    with pytest.raises(Refused) as raised:
        Compiler().compile(b'require "nonsense";\nkeep;\nfrobnicate;\n')
    assert str(raised.value) == (
        f'it does not compile: line 1: Unsupported feature(s) in "require": "nonsense"; {WRONG_AT}'
    )


def test_a_compiler_that_is_not_there_is_no_fault_of_the_script(tmp_path: Path) -> None:
    with pytest.raises(Temporary, match="sievec cannot be used"):
        Compiler(programs=tmp_path).compile(b"keep;\n")


def test_a_compiler_that_cannot_work_is_no_fault_of_the_script() -> None:
    with pytest.raises(Temporary, match="can't open configuration file /no/such"):
        Compiler("/no/such").compile(WRONG)


@pytest.mark.parametrize("missing", ["sievedir", "programs"])
def test_what_is_not_there_is_worth_another_attempt(
    cyrus: Cyrus, user: str, missing: str, tmp_path: Path
) -> None:
    other = {"sievedir": str(tmp_path / "x"), "programs": tmp_path}[missing]
    with pytest.raises(Temporary):
        store(cyrus, **{missing: other}).install(user, SCRIPT)
    assert cyrus.scripts(user) == {}


def test_an_mbpath_that_hangs_is_given_up(cyrus: Cyrus, user: str, tmp_path: Path) -> None:
    mbpath = tmp_path / "mbpath"
    mbpath.write_text("#!/bin/sh\nexec sleep 60\n")
    mbpath.chmod(0o755)
    with pytest.raises(Temporary, match=r"mbpath did not end within 0\.2 s"):
        store(cyrus, programs=tmp_path, timeout=0.2).active(user)


def test_another_user_than_cyruss_is_told_whom_to_run_as(cyrus: Cyrus) -> None:
    nobody = (pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    said = _as_user(nobody, lambda: store(cyrus).check(SCRIPT))
    assert said == (
        f"scripts can be written to {cyrus.folder}/sieve by its owner (user id "
        f"{_owner(cyrus.folder / 'sieve')[0]}) or root only, and this process has user id "
        f"{nobody[0]}: run it as Cyrus's user"
    )

"""What doctor checks, in which order, and what it says that it checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from autocreate.core.naming import Users
from autocreate.doctor import doctor, probe_cyrus, probe_files, probe_lmtp
from autocreate.doctor.cyrus import Expected
from autocreate.doctor.findings import Cause, Checked, Finding, Part, critical
from autocreate.doctor.site import CyrusPaths, CyrusTarget, Lmtpd, LoginSockets, MtaPaths
from autocreate.errors import ConfigurationError
from autocreate.imapdconf.parser import Option
from autocreate.mailstore.server import Server
from tests.unit.doctor.sites import SERVER, Postconf, imapd_conf, site, tools


@pytest.fixture(autouse=True)
def cyrus_logins(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What a login to Cyrus finds: nothing, unless a test appends to it."""
    found: list[Finding] = []

    def login(
        server: Server,
        sieve: Server | None,
        clock: Callable[[], float],
        certificate: Callable[[], Option | None],
    ) -> Iterator[Finding]:
        yield from found

    monkeypatch.setattr(probe_cyrus, "examine", login)
    return found


def unavailable() -> NoReturn:
    raise ConfigurationError("it", ["a driver is missing"])


def subjects(checked: list[Checked]) -> list[str]:
    return [it.subject for it in checked if it.subject]


def findings(checked: list[Checked]) -> list[Finding]:
    return [it for check in checked for it in check.findings]


def with_mtas(folder: Path) -> MtaPaths:
    (folder / "main.cf").touch()
    (folder / "sendmail.cf").write_text(
        "O InputMailFilters=autocreate\nXautocreate, S=local:/x, F=T\n"
    )
    return MtaPaths(folder, folder / "sendmail.cf")


def test_a_good_site_has_no_findings_and_names_what_was_checked(tmp_path: Path) -> None:
    target = CyrusTarget(
        SERVER,
        None,
        Expected("cyrus", Users()),
        CyrusPaths(Path("/etc/imapd.conf"), Path("/etc/cyrus.conf")),
    )
    mtas = with_mtas(tmp_path)
    checked = doctor.examine(site(tmp_path, mtas=mtas, cyrus=target), tools())
    assert findings(checked) == []
    assert {it.gravity for it in checked} == {"ok"}
    assert subjects(checked) == [
        f"{tmp_path}/autocreate.toml",
        f"Postfix ({tmp_path})",
        f"Sendmail ({tmp_path}/sendmail.cf)",
        "Cyrus at imap.test:143",
        "/etc/imapd.conf and /etc/cyrus.conf",
        "journal.url",
        "accounts.staff",
    ]


def test_what_is_not_configured_is_not_said_to_be_checked(tmp_path: Path) -> None:
    checked = subjects(doctor.examine(site(tmp_path), tools()))
    assert not [it for it in checked if "lmtpd" in it or "login" in it or "imapd.conf" in it]


def test_the_sockets_of_logins_and_lmtpd_are_checked_if_they_are_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_lmtp, "examine", lambda address, timeout, users, is_utf8: ())
    login = LoginSockets(f"unix:{tmp_path}/l.sock", f"unix:{tmp_path}/n.sock", ("cyrus",))
    configured = site(tmp_path, login=login, lmtp=Lmtpd("unix:/run/lmtp", 5.0))
    checked = doctor.examine(configured, tools())
    names = {"login.socket", "login.notify_socket", "lmtpd (unix:/run/lmtp)"}
    assert names <= set(subjects(checked))
    assert [it.what.partition(" (")[0] for it in findings(checked)[1:]] == [
        "nobody listens at login.socket",
        "nobody listens at login.notify_socket",
    ]


def test_a_socket_that_systemd_holds_is_not_said_to_be_checked(tmp_path: Path) -> None:
    login = LoginSockets("fd:4", "fd:5", ("cyrus",))
    checked = subjects(doctor.examine(site(tmp_path, login=login), tools()))
    assert not {"milter.socket", "login.socket", "login.notify_socket"} & set(checked)


def test_managesieve_is_named_if_it_is_checked(tmp_path: Path) -> None:
    target = CyrusTarget(SERVER, SERVER, Expected("cyrus", Users(), managesieve=True))
    checked = subjects(doctor.examine(site(tmp_path, cyrus=target), tools()))
    assert "Cyrus at imap.test:143 and its ManageSieve" in checked


def test_without_an_mta_there_is_a_warning(tmp_path: Path) -> None:
    (found,) = findings(doctor.examine(site(tmp_path), tools()))
    assert found.what == f"neither {tmp_path}/postfix/main.cf nor {tmp_path}/sendmail.cf exists"
    assert "--postfix FOLDER" in found.remedy


def test_findings_come_in_the_order_of_the_checks(
    tmp_path: Path, cyrus_logins: list[Finding]
) -> None:
    cyrus_logins.append(critical("login", "", ""))
    (tmp_path / "autocreate.toml").touch()
    target = CyrusTarget(
        SERVER, None, Expected("clerk", Users()), CyrusPaths(Path("/etc/imapd.conf"))
    )
    nowhere = f"unix:{tmp_path}/login.sock"
    wrong: dict[str, Any] = {
        "mtas": with_mtas(tmp_path),
        "login": LoginSockets(nowhere),
        "cyrus": target,
        "journal_url": f"sqlite:///{tmp_path}/none/journal.db",
    }
    examined = site(tmp_path, **wrong)
    given = tools(
        run=Postconf(milter_default_action="accept"),
        accounts={"accounts.staff": unavailable},
        aliases={"aliases.lists": unavailable},
    )
    checked = doctor.examine(examined, given)
    found = findings(checked)
    begin = [it.what.partition(" ")[0] for it in found]
    assert begin == [
        "main.cf:",
        "nobody",
        "login",
        "/etc/imapd.conf,",
        "journal.url:",
        "accounts.staff",
        "aliases.lists",
    ]


def test_what_the_login_and_the_files_of_cyrus_tell_is_found_once_with_its_line(
    tmp_path: Path, cyrus_logins: list[Finding]
) -> None:
    repeated = critical("not an administrator", "", "", Cause.ADMINISTRATOR)
    cyrus_logins += [repeated, critical("login", "", "")]
    target = CyrusTarget(
        SERVER, None, Expected("clerk", Users()), CyrusPaths(Path("/etc/imapd.conf"))
    )
    examined = site(tmp_path, cyrus=target)
    login, files = doctor.examine(examined, tools(), [Part.CYRUS])
    assert [it.what for it in login.findings] == ["login"]
    assert [it.what.partition(":")[0] for it in files.findings] == ["/etc/imapd.conf, line 1"]
    cyrus_logins.pop()
    login, _files = doctor.examine(examined, tools(), [Part.CYRUS])
    assert (login.findings, login.gravity) == ((), "critical")


def test_only_the_parts_that_are_named_are_checked(
    tmp_path: Path, cyrus_logins: list[Finding]
) -> None:
    cyrus_logins.append(critical("login", "", ""))
    examined = site(tmp_path, mtas=with_mtas(tmp_path))
    given = tools(run=Postconf(milter_default_action="accept"), accounts={"it": unavailable})
    (postfix,) = doctor.examine(examined, given, [Part.POSTFIX])
    assert (postfix.part, postfix.gravity, len(postfix.findings)) == (Part.POSTFIX, "critical", 1)
    parts = [it.part for it in doctor.examine(examined, given, [Part.ACCOUNTS, Part.CYRUS])]
    assert parts == [Part.CYRUS, Part.ACCOUNTS]


def test_a_milters_user_that_may_not_read_a_file_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which file root can read and that user cannot, test(1) tells: see the integration tests."""
    asked = []

    def examine(users: list[Any], files: list[Any], journal: Path, programs: Any) -> list[Finding]:
        asked.append(([it.uid for it in users], [key for key, _ in files], journal, programs))
        return []

    monkeypatch.setattr(probe_files, "examine", examine)
    secret = ("cyrus.password_file", tmp_path / "secret")
    hooks = (("policy[1].on_created", tmp_path / "hook"),)
    running = site(
        tmp_path, control_sockets=(tmp_path / "control",), files=(secret,), programs=hooks
    )
    doctor.examine(running, tools(ask_process=lambda path: {"uid": 4711, "gids": [8]}))
    files = ["autocreate.toml", "cyrus.password_file"]
    assert asked == [([4711], files, tmp_path / "journal.db", hooks)]


def test_the_files_that_autocreate_toml_names_need_no_check_of_folders(tmp_path: Path) -> None:
    """`config check` has reported those problems."""

    def folders(cyrus_paths: CyrusPaths, named: CyrusPaths) -> list[str]:
        target = CyrusTarget(SERVER, None, Expected("cyrus", Users()), named)
        checked = doctor.examine(
            site(tmp_path, cyrus=target, cyrus_paths=cyrus_paths),
            tools(
                impossible_folders=lambda _conf: ["INBOX.Sent cannot exist"],
                read_cyrus=lambda path, _cyrus_conf: imapd_conf(path, "admins: cyrus\n"),
            ),
        )
        return [it.what for it in findings(checked) if "INBOX.Sent" in it.what]

    paths = CyrusPaths(Path("/etc/imapd.conf"))
    assert folders(paths, CyrusPaths()) == ["INBOX.Sent cannot exist"]
    assert folders(CyrusPaths(), paths) == []

"""What doctor is given, from a configuration. No server is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from autocreate.config import load
from autocreate.config.sections import Config
from autocreate.doctor import doctor
from autocreate.doctor.findings import Checked, MilterSettings, Part
from autocreate.doctor.site import CyrusPaths, LoginSockets, MtaPaths, Site, Tools
from autocreate.errors import Temporary
from autocreate.imapdconf.settings import ImapdConf
from autocreate.mailstore.cyrus import Cyrus
from autocreate.wiring import doctor as wiring
from autocreate.wiring.mailstore import server_of
from tests.servers.common import aged

MTAS = MtaPaths(Path("/etc/postfix"), Path("/etc/mail/sendmail.cf"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a configuration: keys of [milter] and [cyrus], and other tables."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("hush\n")
    (tmp_path / "users").write_text("joe\n")
    aged(tmp_path / "users")

    def write(rest: str = "", milter: str = "", cyrus: str = "") -> Path:
        file = tmp_path / "autocreate.toml"
        file.write_text(
            f'[milter]\ndomains = ["example.org"]\nsocket = "unix:{tmp_path}/m.sock"\n{milter}\n'
            f'[cyrus]\npassword_file = "{secret}"\n{cyrus}\n'
            f'[accounts.staff]\ntype = "file"\npath = "{tmp_path}/users"\n'
            f'[journal]\nurl = "sqlite:///{tmp_path}/journal.db"\n{rest}'
        )
        return file

    return write


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Site, Tools]]:
    """What doctor was given."""
    calls: list[tuple[Site, Tools]] = []

    def examine(site: Site, tools: Tools, only: Collection[Part]) -> list[Checked]:
        calls.append((site, tools))
        return [Checked(part, "it") for part in only]

    monkeypatch.setattr(doctor, "examine", examine)
    return calls


def test_doctor_is_given_the_values_of_the_configuration(
    write: Callable[..., Path], given: list[tuple[Site, Tools]], tmp_path: Path
) -> None:
    file = write()
    paths = CyrusPaths(Path("/a/imapd.conf"))
    checked = wiring.diagnose(file, MTAS, paths, [Part.CYRUS])
    assert checked == [Checked(Part.CYRUS, "it")]
    ((site, _tools),) = given
    assert (site.config_file, site.mtas, site.cyrus_paths) == (file, MTAS, paths)
    assert dict(site.files) == {
        "cyrus.password_file": tmp_path / "secret",
        "accounts.staff.path": tmp_path / "users",
    }
    assert site.journal_url == f"sqlite:///{tmp_path}/journal.db"
    assert site.control_sockets == [tmp_path / "m.sock.control"]
    assert (site.lmtp, site.login) == (None, LoginSockets())


def test_a_configuration_with_mistakes_is_all_that_is_checked(
    write: Callable[..., Path], given: list[tuple[Site, Tools]]
) -> None:
    file = write(milter="deadlin = 3")
    (checked,) = wiring.diagnose(file, MTAS, CyrusPaths())
    (found,) = checked.findings
    assert found.what == f"{file}, line 4: milter.deadlin: unknown key; did you mean 'deadline'?"
    assert given == []


def test_the_milters_settings(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "aliases").write_text("all: joe\n")
    config = load(
        write(
            f'[aliases.all]\ntype = "aliases"\npath = "{tmp_path}/aliases"\norigin = "example.org"\n'
            '[lmtp]\naddress = "127.0.0.1:24"\nlowercase_domains = true\n',
            milter='deadline = 6\nmailers = ["lmtp"]\nrecipient_delimiter = "+-"',
            cyrus='virtdomains = "userid"\ndefaultdomain = "example.org"',
        )
    )
    assert wiring.milter_settings(config) == MilterSettings(
        f"unix:{tmp_path}/m.sock",
        6.0,
        frozenset({"example.org"}),
        frozenset({"lmtp"}),
        "+-",
        has_aliases=True,
        alias_styles=frozenset({"aliases"}),
        alias_origins=frozenset({"example.org"}),
        quotes_dots=True,
        lmtp="inet:127.0.0.1:24",
        lowers_domains=True,
        default_domain="example.org",
    )
    assert wiring.milter_settings(load(write())).default_domain == ""


LOGIN = (
    '[login]\nsocket = "unix:/run/l.sock"\nnotify_socket = "unix:/run/n.sock"\npeers = ["root"]\n'
)
UPSTREAM = '[login.upstream]\ntype = "pam"\n'


@pytest.mark.parametrize(
    ("section", "sockets", "expected"),
    [
        ("", LoginSockets(), ("", "")),
        (LOGIN, LoginSockets("", "unix:/run/n.sock", ("root",)), ("", "/run/n.sock")),
        (
            LOGIN + UPSTREAM,
            LoginSockets("unix:/run/l.sock", "unix:/run/n.sock", ("root",)),
            ("/run/l.sock", "/run/n.sock"),
        ),
        (
            (LOGIN + UPSTREAM).replace("unix:/run/l.sock", "fd:3"),
            LoginSockets("fd:3", "unix:/run/n.sock", ("root",)),
            ("", "/run/n.sock"),
        ),
    ],
    ids=["no logins", "notifications alone", "both", "held by systemd"],
)
def test_the_sockets_of_logins_and_what_cyrus_has_to_say_of_them(
    section: str, sockets: LoginSockets, expected: tuple[str, str], write: Callable[..., Path]
) -> None:
    config = load(write(section))
    assert wiring.login_sockets(config) == sockets
    found = wiring.cyrus_target(config, server_of(config)).expected
    assert (found.login_socket, found.notify_socket) == expected


def test_cyrus_and_its_managesieve(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "junk.sieve").write_text("keep;\n")
    script = f'[[policy]]\nname = "all"\nsieve = "{tmp_path}/junk.sieve"\n'
    place = 'host = "::1"\nport = 1143\nsieve_port = 4191\nadmin = "clerk"\n'

    config = load(write(script, cyrus=place + 'sieve = "managesieve"'))
    target = wiring.cyrus_target(config, server_of(config))
    assert (target.server.port, target.sieve and target.sieve.port) == (1143, 4191)
    expected = target.expected
    assert (expected.admin, expected.managesieve) == ("clerk", True)
    assert (expected.imap, expected.sieve) == ("inet:[::1]:1143", "inet:[::1]:4191")

    for without in (write(cyrus=place), write(script, cyrus=place + 'sieve = "off"')):
        config = load(without)
        target = wiring.cyrus_target(config, server_of(config))
        assert (target.sieve, target.expected.managesieve) == (None, False)


def test_the_files_of_cyrus_that_the_configuration_names(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    imapd_conf = tmp_path / "imapd.conf"
    imapd_conf.write_text("admins: cyrus\n")
    config = load(write(cyrus=f'imapd_conf = "{imapd_conf}"'))
    assert wiring.cyrus_target(config, server_of(config)).named == CyrusPaths(imapd_conf)
    config = load(write())
    assert wiring.cyrus_target(config, server_of(config)).named == CyrusPaths()


def tools(path: Path) -> tuple[Config, Tools]:
    config = load(path)
    return config, wiring.tools(config, server_of(config))


def test_the_tools_read_files_and_ask_processes(write: Callable[..., Path], tmp_path: Path) -> None:
    _config, given = tools(write('[[policy]]\nname = "all"\nfolders = [{ name = "INBOX.Sent" }]\n'))
    (tmp_path / "imapd.conf").write_text("admins: cyrus\n")
    files = given.read_cyrus(str(tmp_path / "imapd.conf"), None)
    assert files.conf.admins == ("cyrus",)
    (problem,) = given.impossible_folders(ImapdConf("imapd.conf", unixhierarchysep=False))
    assert "INBOX.Sent" in problem
    with pytest.raises(Temporary, match=str(tmp_path)):
        given.ask_process(tmp_path / "none")
    (key,) = given.accounts
    assert (key, dict(given.domains), dict(given.aliases)) == ("accounts.staff", {}, {})
    with contextlib.closing(given.accounts[key]()) as source:
        assert source.lookup("joe") is not None


def test_recipients_are_resolved_by_the_aliases(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cyrus, "exists", lambda _self, user: user == "ann")
    _config, without = tools(write())
    with without.recipients() as recipients:
        assert recipients.users("joe+tag@example.org") == ["joe"]
        assert (recipients.has_mailbox("ann"), recipients.has_mailbox("joe")) == (True, False)

    (tmp_path / "aliases").write_text("all: joe, ann, joe\n")
    aged(tmp_path / "aliases")
    table = f'[aliases.a]\ntype = "aliases"\npath = "{tmp_path}/aliases"\norigin = "example.org"\n'
    _config, with_aliases = tools(write(table))
    with with_aliases.recipients() as recipients:
        assert recipients.users("all@example.org") == ["joe", "ann"]


def test_aliases_that_cannot_be_read_are_no_answer(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "aliases").write_text("all: joe\n")  # just now, so it may be incomplete
    table = f'[aliases.a]\ntype = "aliases"\npath = "{tmp_path}/aliases"\norigin = "example.org"\n'
    _config, given = tools(write(table))
    with given.recipients() as recipients, pytest.raises(Temporary):
        recipients.users("all@example.org")

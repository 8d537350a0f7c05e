"""What a process says of itself when it is ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autocreate.config import load
from autocreate.config.milter import Milter
from autocreate.wiring.control_sockets import FrontEndName, control_sockets
from autocreate.wiring.frontends import summary

SETTINGS = """
[cyrus]
admin = "cyrus"
password_file = "{folder}/secret"
[accounts.staff]
type = "nss"
"""

LOGIN = """
[login]
socket = "unix:/run/autocreate/login.sock"
notify_socket = "unix:/run/autocreate/notify.sock"
[login.upstream]
type = "saslauthd"
path = "/run/saslauthd/mux"
"""

Summary = Callable[..., str]


@pytest.fixture
def described(tmp_path: Path) -> Summary:
    def described(milter: str, more: str = "", *names: FrontEndName, dry_run: bool = False) -> str:
        (tmp_path / "secret").write_text("secret\n")
        (tmp_path / "secret").chmod(0o600)
        file = tmp_path / "autocreate.toml"
        socket = 'socket = "unix:/run/autocreate/milter.sock"'
        settings = SETTINGS.format(folder=tmp_path)
        file.write_text(f"[milter]\n{socket}\n{milter}\n{settings}{more}")
        return summary(load(file), names or ("milter",), dry_run)

    return described


def test_it_names_the_mode_the_socket_the_domains_and_the_sources(described: Summary) -> None:
    assert described('domains = ["example.org"]') == (
        "enforce; milter at unix:/run/autocreate/milter.sock; 1 domain, 1 account source"
    )
    several = described('domains = ["a.test", "b.test"]', '[accounts.more]\ntype = "nss"')
    assert several.endswith("; 2 domains, 2 account sources")


def test_dry_run_is_named_whether_the_file_or_the_command_line_says_so(described: Summary) -> None:
    assert described('domains = ["a.test"]\nmode = "dry-run"').startswith("dry run; milter at ")
    assert described('domains = ["a.test"]', dry_run=True).startswith("dry run; milter at ")


def test_tables_of_domains_and_every_domain_are_named(described: Summary, tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("example.org\n")
    table = f'[domains.hosted]\ntype = "file"\npath = "{tmp_path}/domains"'
    assert described("", table).endswith("; 1 table of domains, 1 account source")
    assert described('domains = ["*"]').endswith("; every domain, 1 account source")


def test_everything_that_the_process_serves_is_named(described: Summary) -> None:
    metrics = '[metrics]\nlisten = "127.0.0.1:9894"\n'
    ours = 'domains = ["example.org"]'
    assert "; logins at unix:/run/autocreate/login.sock, notifications at " in described(
        ours, LOGIN, "login"
    )
    assert ", metrics at 127.0.0.1:9894, watch; 1 domain" in described(
        ours, metrics, "milter", "watch"
    )


def test_several_processes_are_counted_but_one_is_not_worth_a_word(described: Summary) -> None:
    assert described('domains = ["a.test"]\nprocesses = 3').endswith("account source, 3 processes")
    assert described('domains = ["a.test"]\nprocesses = 1').endswith("1 account source")


@pytest.mark.parametrize(
    ("limit", "processes", "share"),
    [
        (None, 4, None),
        (0, 4, 0),  # of lines in the log: all are written
        (10, 1, 10),
        (10, 4, 2),
        (1000, 2, 500),
        (3, 4, 1),
    ],
)
def test_processes_together_do_not_exceed_a_limit_that_each_can_have_a_part_of(
    limit: int | None, processes: int, share: int | None
) -> None:
    assert Milter(domains=("a.test",), processes=processes).share(limit) == share


def test_each_process_has_a_control_socket(tmp_path: Path, described: Summary) -> None:
    described('domains = ["a.test"]\nprocesses = 3')
    control = "/run/autocreate/milter.sock.control"
    assert [str(it) for it in control_sockets(load(tmp_path / "autocreate.toml"))][-2:] == [
        f"{control}.1",
        f"{control}.2",
    ]

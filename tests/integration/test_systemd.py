"""The units of contrib/systemd: sockets are handed over as systemd does it, and systemd reads the files."""

from __future__ import annotations

import contextlib
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.servers import smtp
from tests.servers.activation import SocketUnit, listening_at
from tests.servers.common import HOST, accepts, fresh_folder, run, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.limits import limited
from tests.servers.logins import LoginRefused, Site
from tests.servers.milterclient import MilterClient, reply_to
from tests.servers.postfix import Postfix
from tests.servers.product import COMMAND, Product
from tests.servers.relay import Relay

UNITS = Path(__file__).parents[2] / "contrib/systemd"
# An MTA's first words to a milter: SMFIC_OPTNEG of version 6.
NEGOTIATION = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)


@pytest.fixture
def folder() -> Iterator[Path]:
    with fresh_folder("systemd") as made:
        yield made


def test_the_first_mail_starts_the_milter_and_waits_for_it(cyrus: Cyrus, folder: Path) -> None:
    path = folder / "milter.sock"

    def activated(*command: str | Path) -> list[str | Path]:
        return ["systemd-socket-activate", "-l", path, *command]

    with Product(
        cyrus, accounts=["sd-first"], socket=f"unix:{path}", contained=activated
    ) as product:
        product.launch()
        wait_until(path.exists, 10.0, "the socket", product.log)
        path.chmod(0o666)
        assert "INFO ready" not in product.log()
        with Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as postfix:
            recipients = ["sd-first@example.org", "nobody@example.org"]
            replies = smtp.send(postfix.host, postfix.port, "ann@client.test", recipients, "hi\n")
            assert [reply.code for reply in replies] == [250, 550, 250]
            assert len(cyrus.wait_for_messages("sd-first")) == 1
        assert product.run("cache", "show").returncode == 0
        assert product.stop() == 0


def test_who_connects_while_the_milter_ends_is_served_by_the_next_one(
    cyrus: Cyrus, folder: Path
) -> None:
    path = folder / "milter.sock"
    with (
        SocketUnit(folder, [listening_at(path)]) as unit,
        Relay(cyrus.imap_port) as relay,
        Product(
            cyrus,
            accounts=["sd-before", "sd-after"],
            socket=f"unix:{path}",
            settings={"cyrus": {"port": relay.port, "timeout": 7.0}},
            contained=unit.starting,
        ) as product,
        ThreadPoolExecutor(1) as pool,
    ):
        product.start()
        relay.pause()
        answer = pool.submit(asked, product.socket, "sd-before")
        wait_until(lambda: relay.connections, 10.0, "the question", product.log)
        product.signal(signal.SIGTERM)
        # This socket is ours to remove, and is given up after the milter's.
        wait_until(lambda: not Path(f"{path}.control").exists(), 10.0, "the stop", product.log)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.settimeout(30.0)
            waiting.connect(str(path))
            waiting.sendall(NEGOTIATION)
            relay.resume()
            assert answer.result() == "continue"
            assert product.wait_for_end() == 0
            assert not select.select([waiting], [], [], 0)[0]

            product.start()
            assert waiting.recv(5)[4:] == b"O"
        assert asked(product.socket, "sd-after") == "continue"


def asked(address: str, user: str) -> str:
    return reply_to(address, user).verdict


def test_logins_and_notifications_come_by_sockets_that_are_handed_over(folder: Path) -> None:
    with Site(["ann", "bob"], start=False) as site:
        sockets = [
            listening_at(site.socket),
            listening_at(site.notify_socket, socket.SOCK_DGRAM),
        ]
        with SocketUnit(folder, sockets) as unit:
            site.product.contained = lambda *command: site.pam.contained(*unit.starting(*command))
            site.product.start()
            assert "Sent" in str(site.imap_folders("ann"))
            assert site.product.stop() == 0

            site.product.start()
            assert "Sent" in str(site.imap_folders("bob"))


def test_a_port_is_handed_over_too(cyrus: Cyrus, folder: Path) -> None:
    held = socket.create_server((HOST, 0))
    place = f"inet:{HOST}:{held.getsockname()[1]}"
    with (
        SocketUnit(folder, [held]) as unit,
        Product(cyrus, accounts=["sd-port"], socket=place, contained=unit.starting) as product,
    ):
        product.start()
        assert asked(place, "sd-port") == "continue"
        assert product.stop() == 0
        assert accepts(held.getsockname()[1])


def test_a_socket_that_no_key_names_is_a_wrong_configuration(cyrus: Cyrus, folder: Path) -> None:
    path = folder / "other.sock"
    with (
        SocketUnit(folder, [listening_at(path)]) as unit,
        Product(cyrus, contained=unit.starting) as product,
    ):
        product.launch()
        assert product.wait_for_end() == 78
        assert product.log().startswith(
            f"autocreate: systemd: listens at unix:{path}, but no key of the configuration names this "
            "socket: set "
        )


def test_the_milter_works_under_the_limits_of_its_unit(cyrus: Cyrus) -> None:
    contained = limited("autocreate-milter.service")
    with (
        Product(cyrus, accounts=["sd-limits"], contained=contained) as product,
        Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as postfix,
    ):
        table = {
            "type": "postmap",
            "map": "inline:{sales@example.org=sd-limits}",
            "config_directory": str(postfix.config),
        }
        product.configure({"milter": {"socket_group": "mail"}, "aliases": {"local": table}})
        product.start()
        recipients = ["sales@example.org", "sd-limits@example.org", "nobody@example.org"]
        replies = smtp.send(postfix.host, postfix.port, "ann@client.test", recipients, "hi\n")
        assert [reply.code for reply in replies] == [250, 250, 550, 250], product.log()
        assert cyrus.wait_for_messages("sd-limits")
        assert product.reload().endswith("reloaded")
        assert product.stop() == 0


def test_the_milter_serves_more_sessions_than_a_process_has_descriptors_by_default(
    cyrus: Cyrus,
) -> None:
    contained = limited("autocreate-milter.service")
    with (
        descriptors(4096),
        Product(cyrus, accounts=["sd-many"], contained=contained) as product,
        contextlib.ExitStack() as sessions,
    ):
        product.start()
        for _ in range(1100):
            sessions.enter_context(MilterClient(product.socket)).connect()
        assert asked(product.socket, "sd-many") == "continue"


@contextlib.contextmanager
def descriptors(number: int) -> Iterator[None]:
    """So many for this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_watch_works_under_the_limits_of_its_unit(cyrus: Cyrus, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("sd-watched\n")
    settings = {
        "accounts": {"staff": {"type": "file", "path": str(users)}},
        "watch": {"at_most": {"percent": 100}},
    }
    contained = limited("autocreate-watch.service")
    with Product(cyrus, settings=settings, command="watch", contained=contained) as product:
        product.start()
        created = "sd-watched: mailbox created"
        wait_until(lambda: created in product.log(), 20.0, created, product.log)
        assert product.reload().endswith("reloaded")
        assert product.stop() == 0


@pytest.mark.parametrize("upstream", ["saslauthd", "pam"])
def test_the_login_service_works_under_the_limits_of_its_unit(upstream: str) -> None:
    login = {"upstream": {"type": "pam"}} if upstream == "pam" else {}
    with Site(["ann"], login=login, start=False) as site:
        site.product.contained = lambda *command: site.pam.contained(
            *limited("autocreate-login.service")(*command)
        )
        site.product.start()
        with pytest.raises(LoginRefused, match="authentication failure"):
            site.imap("ann", "wrong")
        assert "INBOX/Sent" in site.imap_folders("ann")
        assert site.sieve("ann").startswith("OK")
        assert site.product.stop() == 0


@pytest.mark.parametrize(
    "forbidden",
    [
        "import os; os.nice(1)",
        "import os; os.setgroups([])",
        "import mmap; mmap.mmap(-1, 1, prot=7)",
    ],
)
@pytest.mark.parametrize(
    "unit", ["autocreate-milter.service", "autocreate-login.service", "autocreate-watch.service"]
)
def test_what_the_limits_forbid_does_not_work(unit: str, forbidden: str) -> None:
    command = limited(unit)(sys.executable, "-c", forbidden)
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.fixture
def units(folder: Path) -> list[str]:
    """The units as they are installed, with a command that is there."""
    made = []
    for path in sorted(UNITS.glob("autocreate-*")):
        text = re.sub(r"/opt/autocreate/bin/autocreate", str(COMMAND), path.read_text())
        (folder / path.name).write_text(text)
        made.append(str(folder / path.name))
    assert len(made) == 5
    return made


def test_systemd_has_nothing_against_the_units(units: list[str]) -> None:
    done = subprocess.run(
        ["systemd-analyze", "--man=no", "--recursive-errors=no", "verify", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_services_can_do_little_else_than_their_work(units: list[str]) -> None:
    # From 0 to 10, here in tenths.
    for unit in units:
        if unit.endswith(".service"):
            run(["systemd-analyze", "security", "--offline=true", "--threshold=14", unit])


def test_the_sockets_are_for_one_group(units: list[str]) -> None:
    for unit in units:
        if unit.endswith(".socket"):
            settings = dict(re.findall(r"^(Socket\w+)=(.*)$", Path(unit).read_text(), re.MULTILINE))
            assert settings == {"SocketMode": "0660", "SocketGroup": "mail"}
    example = (UNITS.parent / "autocreate.toml").read_text()
    assert re.findall(r'socket_(?:mode|group) = "(\w+)"', example) == ["0660", "mail"] * 3


def test_the_places_of_the_units_are_those_of_the_examples(units: list[str]) -> None:
    text = "".join(Path(unit).read_text() for unit in units)
    example = (UNITS.parent / "autocreate.toml").read_text()
    # That of the socket map is a comment, since the section is optional.
    places = re.findall(r"^#?Listen\w+=(\S+)$", text, re.MULTILINE)
    assert len(places) == 4
    assert all(f'"unix:{place}"' in example for place in places)

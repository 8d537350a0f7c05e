"""`autocreate doctor` on real configurations: silent about good ones, clear about problems."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.doctor import files_of, findings, no_mta, told
from tests.integration.test_contrib import parameters_of_main_cf, reply_to_mail
from tests.servers import smtp
from tests.servers.common import aged, free_port, fresh_folder, run
from tests.servers.cyrus import Cyrus
from tests.servers.cyrusversion import version
from tests.servers.postfix import Postfix
from tests.servers.product import COMMAND, Product
from tests.servers.sendmail import Sendmail

# What a Postfix needs besides its milter to have no findings.
QUIET = {
    "recipient_delimiter": "+",
    "virtual_alias_maps": "",
    "virtual_transport": "lmtp:inet:127.0.0.1:24",
    "internal_mail_filter_classes": "bounce, notify",
    "smtputf8_enable": "no",
}


@pytest.fixture
def nowhere() -> Iterator[Path]:
    with fresh_folder("doctor") as folder:
        yield folder


def test_the_lines_of_contrib_for_postfix_have_no_findings(cyrus: Cyrus, nowhere: Path) -> None:
    settings = {"lmtp": {"address": f"{cyrus.host}:{cyrus.lmtp_port}"}}
    with Product(cyrus, settings=settings) as product:
        product.start()
        parameters = {
            name: value.replace("unix:/autocreate/milter.sock", product.socket).replace(
                "unix:/run/cyrus/socket/lmtp", f"inet:{cyrus.host}:{cyrus.lmtp_port}"
            )
            for name, value in parameters_of_main_cf().items()
        } | {"virtual_alias_maps": ""}
        with Postfix(parameters=parameters) as postfix:
            done = product.run(
                *("doctor", "--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf"),
                *files_of(cyrus),
            )
            *checked, none = done.stdout.splitlines()
            assert (done.returncode, none) == (0, "No problems found.")
            assert checked[:2] == [
                f"ok  {product.config_file}",
                f"ok  Postfix ({postfix.config})",
            ]
            assert f"ok  {cyrus.imapd_conf_file} and {cyrus.cyrus_conf_file}" in checked
            done = product.run("doctor", "--only", "journal", "--only", "accounts")
            assert done.stdout.splitlines() == [
                *("ok  journal.url", "ok  accounts.staff", "No problems found.")
            ]

            postfix.set(milter_default_action="accept", smtpd_milters=product.socket)
            postfix.set(virtual_mailbox_maps="socketmap:unix:/run/cyrus/socket/smmap:smmapd")
            status, found = findings(product, "--postfix", str(postfix.config))
            assert status == 2
            assert [it["gravity"] for it in found] == ["critical", "critical"]
            assert "the default action is accept" in found[0]["what"]
            assert "asks a server whether the mailbox exists" in found[1]["what"]


def test_what_one_service_of_master_cf_has_of_its_own_is_seen(cyrus: Cyrus, nowhere: Path) -> None:
    with Product(cyrus) as product:
        product.start()
        with Postfix(milter=product.socket, parameters=QUIET) as postfix:
            smtp = f"127.0.0.1:{postfix.port}/inet"

            def found() -> list[str]:
                places = ("--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf")
                return [it["what"] for it in findings(product, *places)[1]]

            def postconf(*arguments: str) -> None:
                run(["postconf", "-c", postfix.config, *arguments])

            # Of this compatibility level it is not chrooted, and does see our socket.
            postconf("-F", f"{smtp}/chroot=-")
            assert found() == []
            postconf("-F", f"{smtp}/chroot=y")
            (chrooted,) = [it for it in found() if "is chrooted" in it]
            assert chrooted.startswith(f"master.cf, 127.0.0.1:{postfix.port} inet: smtpd")
            postconf("-F", f"{smtp}/chroot=n")

            postfix.set(our_restrictions="permit_mynetworks,reject_unverified_recipient")
            postconf("-P", f"{smtp}/smtpd_recipient_restrictions=$our_restrictions")
            postconf("-P", f"{smtp}/virtual_mailbox_maps=socketmap:unix:/x:smmapd")
            postconf("-P", f"{smtp}/milter_rcpt_macros=i")
            where = f"master.cf, 127.0.0.1:{postfix.port} inet"
            assert found() == [
                f"{where}: milter_rcpt_macros lacks {{rcpt_mailer}}",
                f"{where}: virtual_mailbox_maps asks a server whether the mailbox exists: "
                "socketmap:unix:/x:smmapd",
                f"{where}: smtpd_recipient_restrictions has reject_unverified_recipient",
            ]


def test_tables_and_classes_that_ask_cyrus_first_are_found_in_a_real_postfix(
    cyrus: Cyrus, nowhere: Path
) -> None:
    access = nowhere / "access"
    access.write_text("example.org  verify\n")
    table = f"texthash:{access}"
    parameters = QUIET | {
        "smtpd_restriction_classes": "verify",
        "verify": "reject_unverified_recipient",
        "smtpd_recipient_restrictions": f"check_recipient_access {table}, reject_unauth_destination",
    }
    with Product(cyrus) as product:
        product.start()
        with Postfix(milter=product.socket, parameters=parameters) as postfix:

            def found() -> list[str]:
                places = ("--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf")
                return [
                    re.sub(r", line \d+", "", it["what"]) for it in findings(product, *places)[1]
                ]

            assert found() == [
                f"main.cf: smtpd_recipient_restrictions ({table}, verify) has "
                "reject_unverified_recipient for example.org"
            ]
            access.write_text("joe@example.org  OK\nexample.org  550 5.1.1 No such user\n")
            assert found() == [
                f"main.cf: smtpd_recipient_restrictions ({table}) refuses recipients in example.org "
                "that are not listed"
            ]
            # What the finding says of new users is what Postfix does.
            product.add_account("restricted")
            postfix.reload()
            with smtp.Dialogue(postfix.host, postfix.port) as client:
                client.ehlo()
                client.mail("ann@client.test")
                assert client.rcpt("restricted@example.org").code == 550
            access.write_text("elsewhere.test  verify\n")
            assert found() == []


def test_where_mail_ends_is_looked_for_in_postfix_tables(cyrus: Cyrus, nowhere: Path) -> None:
    domains, transports = nowhere / "domains", nowhere / "transport"
    domains.write_text("example.org OK\n")
    transports.write_text("example.org virtual:\n")
    parameters = QUIET | {
        "virtual_mailbox_domains": f"texthash:{domains}",
        "transport_maps": f"regexp:/dev/null, proxy:texthash:{transports}",
    }
    with Product(cyrus) as product:
        product.start()
        with Postfix(milter=product.socket, parameters=parameters) as postfix:

            def found() -> list[str]:
                places = ("--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf")
                return [it["what"] for it in findings(product, *places)[1]]

            (elsewhere,) = found()
            assert elsewhere == (
                f"main.cf: transport_maps (proxy:texthash:{transports}) is 'virtual': mail in "
                "example.org is delivered by Postfix's virtual(8), not to Cyrus"
            )
            transports.write_text("example.org lmtp:inet:127.0.0.1:24\n")
            assert found() == []
            domains.unlink()
            (missing,) = found()
            assert missing.startswith(f"Postfix's texthash:{domains} cannot be looked into: ")


def test_users_of_copies_without_a_mailbox_are_critical_until_they_have_one(
    cyrus: Cyrus, nowhere: Path
) -> None:
    bcc = nowhere / "bcc"
    bcc.write_text("joe@example.org  copy-b@example.org\nann@example.org  far@elsewhere.test\n")
    parameters = QUIET | {
        "myorigin": "example.org",
        "always_bcc": "copy-a",
        "recipient_bcc_maps": f"hash:{bcc}, inline:{{ x@example.org=copy-c@example.org }}",
        "sender_bcc_maps": "regexp:/dev/null",
    }
    with Product(cyrus, accounts=["copy-a", "copy-b", "copy-c"]) as product:
        product.start()
        with Postfix(milter=product.socket, parameters=parameters) as postfix:
            run(["postmap", "-c", postfix.config, f"hash:{bcc}"])
            places = ("--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf")
            status, found = findings(product, *places)
            assert status == 2
            assert [it["what"] for it in found] == [
                "main.cf: always_bcc has copy-a, and copy-a has no mailbox",
                "main.cf: recipient_bcc_maps has copy-b@example.org, and copy-b has no mailbox",
                "main.cf: recipient_bcc_maps has copy-c@example.org, and copy-c has no mailbox",
                "main.cf: sender_bcc_maps = regexp:/dev/null, which postmap cannot list",
            ]
            for finding in found[:3]:
                command, *arguments = finding["remedy"].split()
                assert command == "autocreate"
                assert product.run(*arguments).returncode == 0
            status, found = findings(product, *places)
            assert (status, len(found)) == (1, 1)


def test_a_user_of_copies_is_looked_for_behind_its_alias(cyrus: Cyrus, nowhere: Path) -> None:
    aliases = nowhere / "aliases"
    aliases.write_text("archive: copy-d\n")
    aged(aliases)
    parameters = QUIET | {"always_bcc": "archive@example.org", "myorigin": "example.org"}
    table = {"aliases": {"it": {"type": "aliases", "path": str(aliases), "origin": "example.org"}}}
    with Product(cyrus, accounts=["copy-d"], settings=table) as product:
        product.start()
        with Postfix(milter=product.socket, parameters=parameters) as postfix:
            places = ("--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf")
            (finding,) = findings(product, *places)[1]
            assert finding["what"].endswith("has archive@example.org, and copy-d has no mailbox")
            cyrus.create("user/copy-d")
            assert findings(product, *places) == (0, [])


def test_a_postfix_that_keeps_bounces_from_us_is_a_warning(cyrus: Cyrus, nowhere: Path) -> None:
    parameters = QUIET | {"internal_mail_filter_classes": "notify"}
    with Product(cyrus) as product:
        product.start()
        with Postfix(milter=product.socket, parameters=parameters) as postfix:
            places = ("--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf")
            status, (finding,) = findings(product, *places)
    assert status == 1
    assert finding["what"] == "main.cf: internal_mail_filter_classes lacks bounce"
    assert finding["remedy"] == "main.cf: internal_mail_filter_classes = bounce, notify"


def test_a_milter_that_listens_at_every_address_is_found(cyrus: Cyrus, nowhere: Path) -> None:
    port = free_port()
    with Product(cyrus, socket=f"inet:0.0.0.0:{port}") as product:
        product.start()
        with Postfix(milter=f"inet:127.0.0.1:{port}", parameters=QUIET) as postfix:
            places = ("--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf")
            assert findings(product, *places) == (0, [])


def test_a_socket_of_cyrus_that_postfix_cannot_reach_is_critical(
    cyrus: Cyrus, nowhere: Path
) -> None:
    path = nowhere / "socket/lmtp"
    path.parent.mkdir(mode=0o750)
    with Product(cyrus) as product:
        product.start()
        parameters = {"recipient_delimiter": "+", "virtual_transport": f"lmtp:unix:{path}"}
        with Postfix(milter=product.socket, parameters=parameters) as postfix:

            def undelivered() -> list[str]:
                places = ("--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf")
                _status, found = findings(product, *places)
                return [it["what"] for it in found if "not delivered" in it["why"]]

            assert undelivered() == [
                f"nobody listens at main.cf: virtual_transport (unix:{path}): No such file or directory"
            ]
            with another_server(path, b"220 cyrus LMTP\r\n"):
                assert undelivered() == [
                    f"{path.parent} has mode 0750: user postfix may not enter that folder"
                ]
            path.unlink()
            path.parent.chmod(0o755)
            with another_server(path, b"220 cyrus LMTP\r\n"):
                path.chmod(0o777)
                assert undelivered() == []
                run(["postconf", "-c", postfix.config, "-F", "lmtp/unix/chroot=y"])
                queue = run(["postconf", "-c", postfix.config, "-hx", "queue_directory"]).strip()
                assert undelivered() == [
                    f"main.cf: virtual_transport: Postfix's lmtp runs chrooted and looks for {path} at "
                    f"{queue}{path}, which does not exist"
                ]


def test_lmtpd_is_recommended_by_what_the_mta_delivers_to_and_then_tried(
    cyrus: Cyrus, nowhere: Path
) -> None:
    lmtpd = f"{cyrus.host}:{cyrus.lmtp_port}"
    with Product(cyrus) as product, Sendmail(lmtp=(cyrus.host, cyrus.lmtp_port)) as sendmail:
        product.start()
        parameters = {**QUIET, "virtual_transport": f"lmtp:inet:{lmtpd}"}
        with Postfix(milter=product.socket, parameters=parameters) as postfix:
            places = ("--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf")
            status, (advice,) = told(product, *places)
            assert (status, advice["gravity"]) == (0, "advice")
            assert advice["what"].startswith("main.cf: virtual_transport delivers to lmtpd at")
            assert f'address = "{lmtpd}"' in advice["remedy"]
            cf = ("--postfix", str(nowhere), "--sendmail", f"{sendmail.folder}/sendmail.cf")
            assert [it["remedy"] for it in told(product, *cf)[1] if it["gravity"] == "advice"] == [
                advice["remedy"]
            ]

            product.configure({"lmtp": {"address": lmtpd}})
            assert told(product, *places) == (0, [])
            postfix.set(smtputf8_enable="yes")
            offers_it = version() >= (3, 12)
            assert [it["remedy"].partition(",")[0] for it in told(product, *places)[1]] == (
                [] if offers_it else ["main.cf: smtputf8_enable = no"]
            )
            product.configure({"lmtp": {"address": f"{cyrus.host}:{free_port()}"}})
            status, (away,) = told(product, *places)
            assert (status, away["why"]) == (
                2,
                "mail is accepted without asking lmtpd, as without [lmtp]",
            )


def test_an_lmtpd_that_wants_a_password_is_critical(nowhere: Path) -> None:
    port = free_port()
    with Cyrus(services={"lmtpauth": ("lmtpd", f"127.0.0.1:{port}")}) as cyrus:
        settings = {"lmtp": {"address": f"127.0.0.1:{port}"}}
        with Product(cyrus, settings=settings) as product:
            product.start()
            _status, found = findings(product, *no_mta(nowhere))
            (wants,) = [it for it in found if "lmtp.address" in it["what"]]
            assert "Authentication required" in wants["what"]
            assert "lmtpd -a" in wants["remedy"]


def test_a_sendmail_that_waits_too_short_a_time_is_critical(cyrus: Cyrus, nowhere: Path) -> None:
    with Product(cyrus) as product:
        product.start()
        with Sendmail(milter=product.socket, milter_timeouts="R:5s") as sendmail:
            cf = f"{sendmail.folder}/sendmail.cf"
            status, found = findings(product, "--sendmail", cf, "--postfix", str(nowhere))
    assert status == 2
    assert [it["what"] for it in found] == [
        f"{cf}: filter autocreate has 5 s for a reply, milter.deadline is 8 s",
        f"{cf}: AliasFile={sendmail.folder}/aliases, and autocreate.toml has no [aliases]",
    ]


def test_a_milter_that_does_not_run_and_a_cyrus_that_is_away_are_critical(
    cyrus: Cyrus, nowhere: Path
) -> None:
    nobody = {"cyrus": {"port": 1}}
    with Product(cyrus, settings=nobody) as product:
        status, found = findings(
            product, "--sendmail", f"{nowhere}/sendmail.cf", "--postfix", str(nowhere)
        )
        assert status == 2
        words = [it["what"] for it in found]
        assert words[0] == f"neither {nowhere}/main.cf nor {nowhere}/sendmail.cf exists"
        assert words[1].startswith(f"nobody listens at milter.socket ({product.socket})")
        assert words[2].startswith("Cyrus at 127.0.0.1:1 cannot be reached")


def test_a_socket_that_keeps_postfix_out_is_critical(cyrus: Cyrus, nowhere: Path) -> None:
    with Product(cyrus, settings={"milter": {"socket_mode": "0600"}}) as product:
        product.start()
        # By shutdown, the default of later releases, Postfix would greet nobody.
        parameters = {"milter_default_action": "tempfail"}
        with Postfix(milter=product.socket, parameters=parameters) as postfix:
            places = ("--postfix", str(postfix.config), "--sendmail", f"{nowhere}/cf")
            assert kept_out(product, *places) == [
                f"{product.folder}/milter.sock has mode 0600: user postfix may not write to that socket"
            ]
            assert reply_to_mail(postfix) == 451

            product.folder.chmod(0o700)
            assert kept_out(product, *places) == [
                f"{product.folder} has mode 0700: user postfix may not enter that folder"
            ]


def kept_out(product: Product, *arguments: str) -> list[str]:
    _status, found = findings(product, *arguments)
    return [it["what"] for it in found if "has mode" in it["what"] and it["gravity"] == "critical"]


@pytest.mark.parametrize("answer", [b"220 mx.example.org\r\n", b""], ids=["smtp", "nothing"])
def test_another_program_at_the_milters_socket_is_critical(
    answer: bytes, cyrus: Cyrus, nowhere: Path
) -> None:
    path = nowhere / "milter.sock"
    with (
        Product(cyrus, socket=f"unix:{path}") as product,
        another_server(path, answer),
    ):
        _status, found = findings(product, *no_mta(nowhere))
    assert [it["what"] for it in found if it["gravity"] == "critical"] == [
        f"the program that listens at milter.socket (unix:{path}) does not answer as a milter within 10 s"
    ]


@contextlib.contextmanager
def another_server(path: Path, greeting: bytes) -> Iterator[None]:
    """Answers the first connection with these bytes and ends it; with none it says nothing for good."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                held.append(connection)
                if greeting:
                    connection.sendall(greeting)
                    connection.close()

        held: list[socket.socket] = []
        server = threading.Thread(target=serve, daemon=True)
        server.start()
        try:
            yield
        finally:
            server.join()
            for connection in held:
                connection.close()


def test_a_socket_that_sendmail_calls_unsafe_is_critical(cyrus: Cyrus, nowhere: Path) -> None:
    with Product(cyrus, socket=f"unix:{nowhere}/milter.sock") as product:
        product.start()
        with Sendmail(milter=product.socket) as sendmail:
            nowhere.chmod(0o1777)
            _status, found = findings(
                *(product, "--sendmail", f"{sendmail.folder}/sendmail.cf", "--postfix"),
                str(nowhere),
            )
            unsafe = [it["what"] for it in found if "others may write" in it["what"]]
            assert unsafe == [
                f"others may write to {nowhere}, and the milter's socket {product.socket} is below it"
            ]
            assert reply_to_mail(sendmail) == 451


def test_a_wrong_configuration_is_critical_and_all_that_is_checked(
    cyrus: Cyrus, nowhere: Path
) -> None:
    with Product(cyrus, settings={"milter": {"deadlin": 3}, "cyrus": {"port": 0}}) as product:
        (product.folder / "cyrus.secret").chmod(0o644)
        status, found = findings(product, *no_mta(nowhere))
        assert status == 2
        assert [it["what"] for it in found] == [
            f"{product.config_file}: milter.deadlin: unknown key; did you mean 'deadline'?",
            f"{product.config_file}: cyrus.port: must be greater than 0",
            f"{product.config_file}: cyrus.password_file: {product.folder}/cyrus.secret is accessible to "
            "everyone",
        ]
        assert found[-1]["remedy"] == f"chmod o= {product.folder}/cyrus.secret"
        assert {it["gravity"] for it in found} == {"critical"}

    with Product(cyrus) as product:
        product.config_file.chmod(0o600)
        shutil.chown(product.config_file, "nobody")
        done = subprocess.run(
            # root without its powers
            ["setpriv", "--bounding-set=-all", COMMAND, "doctor", *no_mta(nowhere)],
            env={**os.environ, "AUTOCREATE_CONFIG": str(product.config_file)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stdout.splitlines()[0] == (
        f"CRITICAL: {product.config_file}: cannot be read: Permission denied"
    )

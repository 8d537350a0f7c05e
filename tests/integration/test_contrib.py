"""The lines in contrib/ work as they are written, but for where the socket is."""

from __future__ import annotations

import re
from pathlib import Path

from tests.integration.conftest import Mta
from tests.servers import smtp
from tests.servers.common import run
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product
from tests.servers.sendmail import Sendmail

from autocreate.config import load

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"


def parameters_of_main_cf() -> dict[str, str]:
    lines = (CONTRIB / "postfix/main.cf").read_text().splitlines()
    pairs = [line.split(" =", 1) for line in lines if line and not line.startswith("#")]
    return {name: value.strip() for name, value in pairs}


def reply_to_mail(mta: Mta) -> int:
    with smtp.Dialogue(mta.host, mta.port) as client:
        client.ehlo()
        return client.mail("ann@client.test").code


def test_postfix_with_the_lines_of_contrib_creates_and_refuses(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["pia"]) as product:
        product.start()
        parameters = _here(product, cyrus)
        with Postfix(parameters=parameters) as postfix:
            said = run(["postconf", "-c", postfix.config, "-n"])
            assert parameters["smtpd_milters"] in said
            replies = smtp.send(
                postfix.host,
                postfix.port,
                "ann@client.test",
                ["pia+lists@example.org", "nobody@example.org"],
                "Subject: hello\n\nhi\n",
            )
            assert [(reply.code, reply.enhanced) for reply in replies] == [
                (250, "2.1.5"),
                (550, "5.1.1"),
                (250, "2.0.0"),
            ]
            assert len(cyrus.wait_for_messages("pia")) == 1

            product.stop()
            assert reply_to_mail(postfix) == 451


def test_a_bounce_to_a_new_user_arrives_with_the_lines_of_contrib(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["bea", "ben"]) as product:
        product.start()
        with Postfix(parameters=_here(product, cyrus)) as postfix:
            _send_to_nowhere(postfix, "bea@example.org")
            (bounce,) = cyrus.wait_for_messages("bea")
            assert b"Undelivered Mail Returned to Sender" in bounce

            # What the line is for: without it the bounce is lost.
            postfix.set(internal_mail_filter_classes="")
            postfix.reload()
            _send_to_nowhere(postfix, "ben@example.org")
            postfix.wait_for_log(r"to=<ben@example.org>.*status=bounced")
    assert cyrus.mailboxes("user/ben") == set()


def _here(product: Product, cyrus: Cyrus) -> dict[str, str]:
    """The lines of contrib, for this milter and this Cyrus."""
    return {
        name: value.replace("unix:/autocreate/milter.sock", product.socket).replace(
            "unix:/run/cyrus/socket/lmtp", f"inet:{cyrus.host}:{cyrus.lmtp_port}"
        )
        for name, value in parameters_of_main_cf().items()
    }


def _send_to_nowhere(postfix: Postfix, sender: str) -> None:
    recipients = ["nobody@nowhere.invalid"]
    smtp.send(postfix.host, postfix.port, sender, recipients, "Subject: away\n\nhi\n")


def test_sendmail_with_the_lines_of_contrib_creates_and_refuses(cyrus: Cyrus) -> None:
    macros = (CONTRIB / "sendmail/autocreate.mc").read_text()
    found = re.search(r"INPUT_MAIL_FILTER\(`autocreate', `S=local:\S+, (F=\S+), T=(\S+)'\)", macros)
    assert found, "contrib/sendmail/autocreate.mc has no filter"
    flags, timeouts = found.groups()
    # As contrib/autocreate.toml has it. Sendmail connects as root, and is content with such a socket.
    settings = {"milter": {"socket_mode": "0660", "socket_group": "mail"}}
    with (
        Product(cyrus, accounts=["ute"], settings=settings) as product,
        Sendmail(
            milter=product.socket,
            milter_flags=flags,
            milter_timeouts=timeouts,
            lmtp=(cyrus.host, cyrus.lmtp_port),
        ) as sendmail,
    ):
        product.start()
        recipients = ["ute@example.org", "nobody@example.org"]
        replies = smtp.send(sendmail.host, sendmail.port, "ann@client.test", recipients, "hi\n")
        assert [reply.code for reply in replies] == [250, 550, 250]
        assert len(cyrus.wait_for_messages("ute")) == 1

        product.stop()
        assert reply_to_mail(sendmail) == 451


def test_the_example_configuration_is_a_good_one(tmp_path: Path) -> None:
    text = (CONTRIB / "autocreate.toml").read_text()
    (tmp_path / "cyrus.secret").touch(mode=0o600)
    (tmp_path / "cyrus.secret").write_text("a secret\n")
    (tmp_path / "accounts.db").touch()
    text = text.replace("/etc/autocreate/", f"{tmp_path}/")
    text = text.replace("/var/lib/autocreate/", f"{tmp_path}/")
    (tmp_path / "autocreate.toml").write_text(text)

    config = load(tmp_path / "autocreate.toml")

    assert config.milter.mode == "dry-run"
    assert [folder.name for folder in config.policy[0].folders] == [
        "Sent",
        "Drafts",
        "Trash",
        "Junk",
    ]

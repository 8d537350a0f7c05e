"""script/demo: the whole way, shown on a private Cyrus and Postfix. Ends by itself and leaves nothing behind."""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import Sequence
from typing import NoReturn

from tests import demo_murder
from tests.servers.common import fresh_folder, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import COMMAND, Product
from tests.servers.saslauthd import Pam, Saslauthd
from tests.stage import dialogue, say, title

MESSAGE = "From: ann@client.test\nTo: joe@example.org\nSubject: Welcome\n\nYour first message.\n"

POLICY = {
    "name": "everyone",
    "quota": "2G",
    "folders": [
        {"name": "Sent", "special_use": "\\Sent", "subscribe": True},
        {"name": "Entwürfe", "special_use": "\\Drafts", "subscribe": True},
        {"name": "Spam", "special_use": "\\Junk", "acl": {"anyone": "p"}},
    ],
    "subscribe_shared": ["Announcements"],
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    parser.add_argument(
        "--murder", action="store_true", help="show a Cyrus Murder with two MTAs instead"
    )
    chosen = parser.parse_args(arguments)

    # So that whoever ends the demo, its servers end with it.
    signal.signal(signal.SIGTERM, _interrupted)
    if chosen.murder:
        demo_murder.show(chosen.keep)
    else:
        _show(chosen.keep)
    say("Ended: the servers are stopped and their folders removed.")
    return 0


def _show(keep: bool) -> None:
    with contextlib.ExitStack() as running:
        folder = running.enter_context(fresh_folder("demo"))
        passwords = {name: name for name in ("joe", "kim", "pat")}
        pam = running.enter_context(Pam({**passwords, Cyrus.admin: Cyrus.admin_password}))
        saslauthd = running.enter_context(Saslauthd(pam))
        asks_us = {
            "sasl_pwcheck_method": "saslauthd",
            "sasl_saslauthd_path": f"{folder}/login.sock",
            "event_notifier": "external",
            "event_groups": "access mailbox",
            "notifysocket": f"{folder}/notify.sock",
        }
        cyrus = running.enter_context(Cyrus(tls=True, imapd_conf=asks_us))
        product = running.enter_context(
            Product(
                cyrus,
                accounts=["joe", "kim", "pat"],
                settings={
                    "cyrus": {"tls": "starttls", "ca_file": str(cyrus.ca_file)},
                    "login": {
                        "socket": f"unix:{folder}/login.sock",
                        "notify_socket": f"unix:{folder}/notify.sock",
                        "socket_mode": "0666",
                        "upstream": {"type": "saslauthd", "path": str(saslauthd.socket)},
                    },
                },
                policies=[POLICY],
                command="run",
            )
        )
        product.start()
        cyrus.create("Announcements")
        postfix = running.enter_context(
            Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port))
        )
        _show_configuration(product)
        _show_delivery(product, cyrus, postfix)
        _show_refusal(product, postfix)
        _show_login(product, cyrus)
        _show_dry_run(product, cyrus, postfix)
        if keep:
            product.stop()
            product.start()
            _keep(product, cyrus, postfix)


def _show_configuration(product: Product) -> None:
    title("The configuration: three accounts in SQLite, joe, kim and pat; none has a mailbox")
    say(product.config_file.read_text().rstrip())
    title("What would happen to mail for joe?   $ autocreate check joe@example.org")
    say(product.run("check", "joe@example.org").stdout.rstrip())


def _show_delivery(product: Product, cyrus: Cyrus, postfix: Postfix) -> None:
    title("Mail for joe comes in by SMTP: his mailbox is made at RCPT, then he is accepted")
    say(dialogue(postfix, ["joe@example.org"], MESSAGE))
    title("What stands now, as Cyrus says")
    message = cyrus.wait_for_messages("joe")[0]
    uses, subscribed = cyrus.special_use("joe"), cyrus.subscriptions("joe")
    for mailbox in sorted(cyrus.mailboxes("user/joe*")):
        name = mailbox.replace("user/joe", "INBOX", 1)
        marks = [uses.get(name, ""), "subscribed" if name in subscribed else ""]
        say(f"{mailbox:20} {' '.join(filter(None, marks))}".rstrip())
    say(f"quota                {cyrus.quota('user/joe')['STORAGE']} KiB")
    say(f"shared folders       {', '.join(sorted(subscribed - uses.keys()))}, subscribed")
    title("The message in INBOX")
    say(message.decode().replace("\r\n", "\n").rstrip())
    _show_log(product)


def _show_refusal(product: Product, postfix: Postfix) -> None:
    title("An unknown recipient is refused at the door")
    say(dialogue(postfix, ["nobody@example.org"]))
    _show_log(product)


def _show_login(product: Product, cyrus: Cyrus) -> None:
    title("pat logs in before any mail came: her mailbox is there at her first command")
    with socket.create_connection((cyrus.host, cyrus.imap_port), timeout=30.0) as client:
        lines = client.makefile("rb")
        lines.readline()
        for command in ("1 LOGIN pat pat", '2 LIST "" INBOX*', "3 LOGOUT"):
            client.sendall(f"{command}\r\n".encode())
            say(f"C: {command}")
            for line in lines:
                say("S: " + re.sub(r"\[CAPABILITY .*?\] ", "", line.decode().rstrip()))
                if line.startswith(command[:2].encode()):
                    break
    _show_log(product, what="login")


def _show_dry_run(product: Product, cyrus: Cyrus, postfix: Postfix) -> None:
    title("The same in dry run: nothing is created, nobody refused, all is logged and recorded")
    product.stop()
    product.start("--dry-run")
    say(dialogue(postfix, ["kim@example.org", "nobody@example.org"]))
    _show_log(product, lines=2)
    title("The journal's record of it, and kim's mailboxes")
    with contextlib.closing(sqlite3.connect(product.journal)) as journal:
        for row in journal.execute("SELECT recipient, answer, reason FROM seen ORDER BY 1"):
            say("  ".join(row))
    say(f"kim has {len(cyrus.mailboxes('user/kim*'))} mailboxes")


def _keep(product: Product, cyrus: Cyrus, postfix: Postfix) -> NoReturn:
    title("Running until Ctrl-C")
    say(f"SMTP:  nc -C {postfix.host} {postfix.port}        kim@example.org has no mailbox yet")
    say(f'IMAP:  nc -C {cyrus.host} {cyrus.imap_port}        then: 1 LOGIN joe joe   2 LIST "" *')
    say(f"ours:  {COMMAND} check kim@example.org \\")
    say(f"           --config {product.config_file}")
    say(f"log:   tail -f {product.folder}/milter.log")
    while True:
        signal.pause()


def _show_log(product: Product, lines: int = 1, what: str = "recipient") -> None:
    title("Our log" if lines == 1 else f"Our log, {lines} lines")
    said = wait_until(
        lambda: [line for line in product.log().splitlines() if f" {what}=" in line],
        10.0,
        "a line of the log",
        product.log,
    )
    say("\n".join(said[-lines:]))


def _interrupted(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\nEnded: the servers are stopped and their folders removed.")
        sys.exit(0)

"""script/demo --murder: two MTAs before a Cyrus Murder of two backends; a backend stops, and a user moves."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.common import secret_file, wait_until
from tests.servers.murder import Frontend, Member, Murder
from tests.servers.postfix import Postfix
from tests.servers.postgres import Postgres
from tests.servers.product import COMMAND, Product
from tests.stage import dialogue, say, title

REPLIES = Path(__file__).parents[1] / "contrib/postfix/murder_replies"
MESSAGE = "From: ann@client.test\nSubject: Hello\n\nA message.\n"
POLICY = {
    "name": "everyone",
    "quota": "2G",
    "folders": [
        {"name": "Sent", "special_use": "\\Sent", "subscribe": True},
        {"name": "Spam", "special_use": "\\Junk"},
    ],
}


@dataclass(frozen=True)
class Mta:
    """A Postfix with our milter, and the frontend to which it delivers."""

    frontend: Frontend
    product: Product
    postfix: Postfix


def show(keep: bool) -> None:
    """Show it all.

    Args:
        keep: leave it running until Ctrl-C.
    """
    with contextlib.ExitStack() as running:
        title("Starting a MUPDATE master, two backends and two frontends; PostgreSQL; two Postfix")
        murder = running.enter_context(Murder({"joe": "joe"}))
        postgres = running.enter_context(Postgres())
        postgres.execute(f"GRANT CREATE ON SCHEMA public TO {postgres.user}")
        postgres.put({name: [] for name in ("joe", "kim", "pat", "sam")})
        mtas = [running.enter_context(_mta(murder, it, postgres)) for it in murder.frontends]
        _say_addresses(murder)
        _show_configuration(mtas[0].product)
        _show_delivery(murder, mtas[0])
        _show_race(murder, mtas)
        _show_backend_away(murder, mtas[0])
        _show_move(murder, mtas[1])
        if keep:
            _keep(mtas)


@contextlib.contextmanager
def _mta(murder: Murder, frontend: Frontend, postgres: Postgres) -> Iterator[Mta]:
    with contextlib.ExitStack() as opened:
        secret = {"password_file": secret_file(postgres.folder, postgres.password)}
        settings: dict[str, Any] = {
            "cyrus": {"timeout": 2.0, "murder": murder.section(timeout=1.0, place="fewest")},
            "accounts": {
                "staff": {
                    "type": "sql",
                    "url": postgres.url,
                    **secret,
                    "query": "SELECT userid FROM accounts WHERE userid = :user",
                }
            },
            # What both know, and who makes a tree that both want.
            "journal": {"url": postgres.url, **secret},
        }
        product = opened.enter_context(Product(frontend, settings=settings, policies=[POLICY]))
        product.start()
        replies = shutil.copy(REPLIES, product.folder)
        postfix = Postfix(
            milter=product.socket,
            lmtp=(frontend.host, frontend.lmtp_port),
            parameters={"lmtp_reply_filter": f"regexp:{replies}"},
        )
        yield Mta(frontend, product, opened.enter_context(postfix))


def _say_addresses(murder: Murder) -> None:
    say(f"MUPDATE master   {murder.master.host}")
    say("backends         " + "   ".join(it.host for it in murder.backends))
    say("frontends        " + "   ".join(it.host for it in murder.frontends))


def _show_configuration(product: Product) -> None:
    title("The first MTA's configuration, as far as the Murder goes")
    lines = product.config_file.read_text().splitlines()
    begin = lines.index("[cyrus]")
    say("\n".join(lines[begin : lines.index("", begin)]))
    title("Where would joe's mailbox be, and why?   $ autocreate plan joe@example.org")
    say(product.run("plan", "joe@example.org").stdout.rstrip())


def _show_delivery(murder: Murder, mta: Mta) -> None:
    title("Mail for joe comes in: his mailbox is made at a backend, then he is accepted")
    say(dialogue(mta.postfix, ["joe@example.org", "nobody@example.org"], MESSAGE))
    mta.frontend.wait_for_messages("joe")
    _say_homes(murder, "joe")


def _show_race(murder: Murder, mtas: list[Mta]) -> None:
    title("Mail for kim, pat and sam comes in at both MTAs at the same time: one tree for each")
    users = ["kim", "pat", "sam"]
    addresses = [f"{user}@example.org" for user in users]
    with ThreadPoolExecutor(len(mtas)) as pool:
        told = list(pool.map(lambda mta: dialogue(mta.postfix, addresses, MESSAGE), mtas))
    for number, lines in enumerate(told, 1):
        replies = [it for it in lines.splitlines() if " 2.1.5 " in it]
        say(f"MTA {number}: {len(replies)} of {len(users)} recipients accepted")
    for user in users:
        mtas[0].frontend.wait_for_messages(user, len(mtas))
        _say_homes(murder, user)


def _show_backend_away(murder: Murder, mta: Mta) -> None:
    owner = murder.owner("joe")
    title(f"The backend {owner.host} stops: joe's mail is accepted and waits in Postfix")
    owner.stop()
    say(dialogue(mta.postfix, ["joe@example.org"], MESSAGE))
    wait_until(lambda: "deferred joe@" in "\n".join(mta.postfix.queue()), 30.0, "the queue")
    say("\n".join(mta.postfix.queue()))
    title(f"{owner.host} is back, and Postfix delivers")
    owner.start()
    _flush_until_delivered(mta)
    say(f"joe has {len(mta.frontend.wait_for_messages('joe', 2))} messages")


def _show_move(murder: Murder, mta: Mta) -> None:
    owner = murder.owner("joe")
    target = next(it for it in murder.backends if it is not owner)
    title(f"joe moves from {owner.host} to {target.host}, and mail comes in at the other MTA")
    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(owner.move, "user/joe", target.host)
        say(dialogue(mta.postfix, ["joe@example.org"], MESSAGE))
        moving.result()
    _flush_until_delivered(mta)
    say(f"joe has {len(mta.frontend.wait_for_messages('joe', 3))} messages")
    _say_homes(murder, "joe")


def _flush_until_delivered(mta: Mta) -> None:
    def is_empty() -> bool:
        mta.postfix.flush()
        return not mta.postfix.queue()

    wait_until(is_empty, 90.0, "an empty queue", mta.postfix.log, pause=0.5)


def _say_homes(murder: Murder, user: str) -> None:
    """Each backend that has mailboxes of the user, and which."""
    homes: Mapping[str, Member] = {it.host: it for it in murder.backends}
    for name, backend in homes.items():
        found = backend.mailboxes(f"user/{user}") | backend.mailboxes(f"user/{user}/*")
        if found:
            say(f"{name}: {', '.join(sorted(found))}")


def _keep(mtas: list[Mta]) -> None:
    title("Running until Ctrl-C")
    for number, mta in enumerate(mtas, 1):
        say(f"SMTP {number}:  nc -C {mta.postfix.host} {mta.postfix.port}")
        say(f"log {number}:   tail -f {mta.product.folder}/milter.log")
        say(f"ours {number}:  {COMMAND} status --config {mta.product.config_file}")
    while True:
        signal.pause()

"""Mail to an alias: its users' trees stand before the message is accepted, and it lands in all of them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.conftest import Mta
from tests.servers import smtp
from tests.servers.common import aged, run
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product
from tests.servers.sendmail import Sendmail

MESSAGE = "Subject: for the alias\n\nhello\n"


def table_of(mta: Mta) -> Mapping[str, str]:
    """What an administrator writes for the table that this MTA has."""
    if isinstance(mta, Postfix):
        return {"type": "file", "path": f"{mta.config}/virtual"}
    return {"type": "aliases", "path": f"{mta.folder}/aliases", "style": "sendmail"}


def as_it_writes(make: Callable[..., Mta], aliases: Mapping[str, str]) -> dict[str, str]:
    """Aliases with names as virtual(5) has them for Postfix, as aliases(5) has them for Sendmail."""
    return {f"{name}@example.org" if make is Postfix else name: to for name, to in aliases.items()}


@contextmanager
def running(
    cyrus: Cyrus,
    make: Callable[..., Mta],
    accounts: list[str],
    aliases: Mapping[str, str],
    ours: Mapping[str, str] | None = None,
) -> Iterator[tuple[Product, Mta]]:
    """An MTA with aliases, and the milter that reads the same table, or another one of `ours`."""
    with (
        Product(cyrus, accounts=accounts) as product,
        make(
            milter=product.socket,
            lmtp=(cyrus.host, cyrus.lmtp_port),
            aliases=as_it_writes(make, aliases),
        ) as mta,
    ):
        aged(Path(table_of(mta)["path"]))
        product.configure({"aliases": {"it": ours or table_of(mta)}})
        product.start()
        yield product, mta


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return aged(path)


def compiled(table: Path, product: Product, command: str = "postmap") -> None:
    """As an administrator does after an edit. A main.cf of nothing, since this machine has none."""
    (product.folder / "main.cf").touch()
    run([command, "-c", product.folder, f"hash:{table}"])


def send(mta: Mta, recipient: str) -> list[str]:
    replies = smtp.send(mta.host, mta.port, "ann@client.test", [recipient], MESSAGE)
    return [f"{reply.code} {reply.enhanced}" for reply in replies]


def at(*names: str) -> str:
    return ", ".join(f"{name}@example.org" for name in names)


def name_of(make: Callable[..., Mta], name: str) -> str:
    """A user of one run, since all runs share one Cyrus."""
    return f"{name}-{make.__name__.lower()}"


def test_mail_to_an_alias_of_two_new_users_creates_both_trees_and_lands_in_both(
    cyrus: Cyrus, start_mta: Callable[..., Mta]
) -> None:
    ann, bob = name_of(start_mta, "ann"), name_of(start_mta, "bob")
    with running(cyrus, start_mta, [ann, bob], {"sales": at(ann, bob)}) as (
        product,
        mta,
    ):
        assert send(mta, "sales@example.org") == ["250 2.1.5", "250 2.0.0"]
        for user in (ann, bob):
            assert b"Subject: for the alias" in cyrus.wait_for_messages(user)[0]
            assert f"user/{user}/Sent" in cyrus.mailboxes(f"user/{user}*")
        line = product.wait_for_log("recipient .*sales@example.org.*")[0]
    assert f"user='{ann}, {bob}'" in line
    assert f"{ann}: created; {bob}: created" in line
    assert f"sales@example.org -> {at(ann, bob)} (aliases.it)" in line


def test_a_chain_of_aliases_is_followed_to_its_end(
    cyrus: Cyrus, start_mta: Callable[..., Mta]
) -> None:
    user = name_of(start_mta, "chained")
    aliases = {"first": at("second"), "second": at("third"), "third": at(user)}
    with running(cyrus, start_mta, [user], aliases) as (_product, mta):
        assert send(mta, "first@example.org") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages(user)


def test_an_alias_that_names_itself_is_a_user_too(
    cyrus: Cyrus, start_mta: Callable[..., Mta]
) -> None:
    me, copy = name_of(start_mta, "me"), name_of(start_mta, "copy")
    with running(cyrus, start_mta, [me, copy], {me: at(me, copy)}) as (_product, mta):
        assert send(mta, f"{me}@example.org") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages(me)
        cyrus.wait_for_messages(copy)


def test_a_target_elsewhere_is_left_to_the_mta(cyrus: Cyrus, start_mta: Callable[..., Mta]) -> None:
    user = name_of(start_mta, "here")
    aliases = {"both": f"{at(user)}, kim@elsewhere.test", "away": "kim@elsewhere.test"}
    with running(cyrus, start_mta, [user], aliases) as (product, mta):
        assert send(mta, "both@example.org") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages(user)
        product.wait_for_log("reason='created; not ours: kim@elsewhere.test'")
        assert send(mta, "away@example.org") == ["250 2.1.5", "250 2.0.0"]
        product.wait_for_log("recipient .*away@.* answer=pass .*not ours: kim@elsewhere.test")


def test_a_loop_is_a_temporary_error_and_a_clear_line_in_the_log(
    cyrus: Cyrus, start_mta: Callable[..., Mta]
) -> None:
    with running(cyrus, start_mta, [], {"ping": at("pong"), "pong": at("ping")}) as (product, mta):
        assert send(mta, "ping@example.org") == ["451 4.3.0"]
        product.wait_for_log(
            "aliases form a loop: ping@example.org -> pong@example.org -> ping@example.org"
        )


def test_an_unknown_user_in_a_list_is_told_and_refuses_nobody_else(
    cyrus: Cyrus, start_mta: Callable[..., Mta]
) -> None:
    user = name_of(start_mta, "stays")
    aliases = {"list": at(user, "gone"), "nobody": at("gone", "gone-too")}
    with running(cyrus, start_mta, [user], aliases) as (product, mta):
        assert send(mta, "list@example.org") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages(user)
        product.wait_for_log(f"gone: no account source knows this user; {user}: created")
        assert send(mta, "nobody@example.org") == ["550 5.1.1"]


def test_a_table_that_is_missing_or_cannot_be_read_refuses_nobody(
    cyrus: Cyrus, start_mta: Callable[..., Mta], tmp_path: Path
) -> None:
    # A copy, since an MTA remembers for a while that its own table was missing.
    table = tmp_path / "aliases"
    kind, text = (
        ("file", "sales@example.org ann@example.org\n")
        if start_mta is Postfix
        else ("aliases", "sales: ann@example.org\n")
    )
    ours = {"type": kind, "path": str(table)}
    write(table, text)
    with running(cyrus, start_mta, [], {}, ours=ours) as (product, mta):
        assert send(mta, "new@example.org") == ["550 5.1.1"]
        write(table, f"{text}\nnew\n")  # half a line
        assert send(mta, "new@example.org") == ["451 4.3.0"]
        product.wait_for_log("no alias was found, but one may exist: .*line 3 has no ")
        table.unlink()
        assert send(mta, "new@example.org") == ["451 4.3.0"]
        product.wait_for_log("cannot be read: .*No such file or directory")
        write(table, text)
        assert send(mta, "new@example.org") == ["550 5.1.1"]


# -- Postfix alone --------------------------------------------------------------------------


def test_mail_with_a_detail_goes_to_the_alias_without_it(cyrus: Cyrus) -> None:
    with running(cyrus, Postfix, ["detailed"], {"info": at("detailed")}) as (_product, mta):
        assert send(mta, "info+lists@example.org") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages("detailed")


def test_bare_names_are_at_myorigin_where_that_is_a_virtual_mailbox_domain(cyrus: Cyrus) -> None:
    """Debian's usual virtual hosting: nothing but localhost is in mydestination."""
    with Product(cyrus, accounts=["vh-ten", "vh-team", "vh-lee"]) as product:
        table = write(product.folder / "aliases", "vh-root: vh-lee\n")
        compiled(table, product, "postalias")
        with Postfix(
            milter=product.socket,
            lmtp=(cyrus.host, cyrus.lmtp_port),
            aliases={
                "barekey": "vh-ten@example.org",
                "b2@example.org": "vh-team",
                "cron@example.org": "vh-root@localhost",
            },
            parameters={
                "mydestination": "localhost.localdomain, localhost",
                "myorigin": "example.org",
                "alias_maps": f"hash:{table}",
                "append_dot_mydomain": "no",
            },
        ) as postfix:
            aged(Path(table_of(postfix)["path"]))
            tables = detected(product, "--postfix", f"{postfix.config}", "--sendmail", "/none")
            product.configure({"aliases": tables})
            product.start()
            for alias, user in (("barekey", "vh-ten"), ("b2", "vh-team"), ("cron", "vh-lee")):
                assert send(postfix, f"{alias}@example.org") == ["250 2.1.5", "250 2.0.0"]
                cyrus.wait_for_messages(user)
            assert send(postfix, "vh-root@example.org") == ["550 5.1.1"]


def test_a_catch_all_is_tried_last(cyrus: Cyrus) -> None:
    accounts = ["catcher", "exact", "plain"]
    aliases = {
        "@caught.test": "catcher@example.org",
        "plain@caught.test": "exact@example.org",
        "exact@example.org": "exact@example.org",
        "@example.org": "catcher@example.org",
        "plain@example.org": "plain@example.org",
    }
    with (
        Product(cyrus, accounts=accounts) as product,
        Postfix(
            milter=product.socket,
            lmtp=(cyrus.host, cyrus.lmtp_port),
            aliases=aliases,
            alias_domains=["caught.test"],
        ) as postfix,
    ):
        product.configure(
            {
                "milter": {"domains": ["example.org", "caught.test"]},
                "aliases": {"it": table_of(postfix)},
            }
        )
        product.start()
        assert send(postfix, "plain@caught.test") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages("exact")
        assert send(postfix, "plain@example.org") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages("plain")
        assert cyrus.mailboxes("user/catcher") == set()
        assert send(postfix, "any.body@caught.test") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages("catcher")


def test_an_alias_that_is_added_to_a_running_postfix_is_seen(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["late"]) as product:
        table = write(product.folder / "virtual", "other@example.org late@example.org\n")
        compiled(table, product)
        with Postfix(
            milter=product.socket,
            lmtp=(cyrus.host, cyrus.lmtp_port),
            parameters={"virtual_alias_maps": f"hash:{table}"},
        ) as postfix:
            settings = {
                "type": "postmap",
                "map": f"hash:{table}",
                "config_directory": f"{postfix.config}",
            }
            product.configure({"aliases": {"it": settings}})
            product.start()
            assert send(postfix, "added@example.org") == ["550 5.1.1"]
            table.write_text("added@example.org late@example.org\n")
            compiled(table, product)
            assert send(postfix, "added@example.org") == ["250 2.1.5", "250 2.0.0"]
            cyrus.wait_for_messages("late")
            Path(f"{table}.db").unlink()
            [answer] = product.json("check", "unheard-of@example.org")
            assert answer["answer"] == "temporary"
            assert answer["reason"].startswith("aliases.it: postmap hash:")
            assert answer["reason"].endswith("virtual.db: No such file or directory")


def test_local_aliases_of_postfix_with_included_files_commands_and_files(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["staff-one", "staff-two"]) as product:
        members = write(
            product.folder / "members", "# the staff\nstaff-one\nStaff Two <staff-two>\n"
        )
        text = f'staff: :include:{members},\n  "|/bin/cat >/dev/null"\narchive: /dev/null\n'
        table = write(product.folder / "aliases", text)
        compiled(table, product, "postalias")
        with Postfix(
            milter=product.socket,
            domains=(),
            parameters={
                "mydestination": "example.org",
                "alias_maps": f"hash:{table}",
                "mailbox_transport": f"lmtp:inet:{cyrus.host}:{cyrus.lmtp_port}",
                "local_recipient_maps": "",
                "myorigin": "example.org",
            },
        ) as postfix:
            product.configure({"aliases": {"local": {"type": "aliases", "path": f"{table}"}}})
            product.start()
            assert send(postfix, "staff@example.org") == ["250 2.1.5", "250 2.0.0"]
            cyrus.wait_for_messages("staff-one")
            cyrus.wait_for_messages("staff-two")
            product.wait_for_log("staff-two: created; not ours: |/bin/cat >/dev/null")
            assert send(postfix, "archive@example.org") == ["250 2.1.5", "250 2.0.0"]
            members.unlink()
            assert send(postfix, "staff+x@example.org") == ["451 4.3.0"]
            product.wait_for_log("aliases.local: .*members cannot be read")


# -- Sendmail alone -------------------------------------------------------------------------


def test_sendmail_finds_an_alias_without_its_detail_by_flag_5_or_by_its_virtusertable(
    cyrus: Cyrus,
) -> None:
    """As contrib sets it up, cyrusv2 has not that flag: Cyrus would be told `info+x`."""
    aliases = {"sd-info": "sd-ann", "sd-plus": "sd-bob"}
    virtual_users = {"sd-plus+*@example.org": "sd-plus"}
    for flags, code in (("", "550 5.1.1"), ("+5", "250 2.1.5")):
        with (
            Product(cyrus, accounts=["sd-ann", "sd-bob"]) as product,
            Sendmail(
                milter=product.socket,
                lmtp=(cyrus.host, cyrus.lmtp_port),
                aliases=aliases,
                virtual_users=virtual_users,
                mailer_flags=flags,
            ) as sendmail,
        ):
            for name in ("aliases", "virtusertable"):
                aged(sendmail.folder / name)
            cf = f"{sendmail.folder}/sendmail.cf"
            tables = detected(product, "--postfix", "/none", "--sendmail", cf)
            product.configure({"aliases": tables})
            product.start()
            before = len(cyrus.messages("sd-bob")) if flags else 0
            assert send(sendmail, "sd-info+x@example.org")[0] == code
            assert send(sendmail, "sd-plus+x@example.org")[0] == "250 2.1.5"
            cyrus.wait_for_messages("sd-bob", before + 1)


def test_what_sendmails_virtusertable_has_mapped_is_not_mapped_again(cyrus: Cyrus) -> None:
    virtual_users = {
        "info@virt.test": "vt-joe",
        "vt-joe@virt.test": "vt-kim",
        "team@virt.test": "vt-list",
        "away@virt.test": "kim@elsewhere.test",
        "@virt.test": "error:nouser No such user here",
    }
    with (
        Product(cyrus, accounts=["vt-joe", "vt-kim", "vt-lee"]) as product,
        Sendmail(
            milter=product.socket,
            lmtp=(cyrus.host, cyrus.lmtp_port),
            domains=["example.org", "virt.test"],
            aliases={"vt-list": "vt-lee"},
            virtual_users=virtual_users,
        ) as sendmail,
    ):
        product.configure(
            {
                "milter": {"domains": ["example.org", "virt.test"]},
                "aliases": {
                    "addresses": {
                        "type": "virtusertable",
                        "path": f"{aged(sendmail.folder / 'virtusertable')}",
                    },
                    "local": {"type": "aliases", "path": f"{aged(sendmail.folder / 'aliases')}"},
                },
            }
        )
        product.start()
        assert send(sendmail, "info@virt.test") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages("vt-joe")
        assert cyrus.mailboxes("user/vt-kim") == set()
        assert send(sendmail, "team@virt.test") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages("vt-lee")
        assert send(sendmail, "away@virt.test") == ["250 2.1.5", "250 2.0.0"]
        assert send(sendmail, "unheard-of@virt.test") == ["553 5.3.0"]  # Sendmail's own words
        # Without an MTA, the table is asked.
        [answer] = product.json("check", "info@virt.test")
        assert answer["aliases"] == [
            "info@virt.test -> vt-joe (aliases.addresses)",
        ]


# -- autocreate aliases detect --------------------------------------------------------------


def detected(product: Product, *options: str) -> dict[str, Any]:
    """What it proposes, as an administrator pastes it."""
    told = product.run("aliases", "detect", *options)
    assert told.returncode == 0, told.stderr
    tables: dict[str, Any] = tomllib.loads(told.stdout)["aliases"]
    return tables


def test_what_is_detected_of_postfix_works_as_it_is_pasted(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["dp-ann", "dp-bob"]) as product:
        table = write(product.folder / "aliases", "dp-staff: dp-ann, dp-bob\n")
        compiled(table, product, "postalias")
        with Postfix(
            milter=product.socket,
            domains=["virt.test"],
            aliases={"info@virt.test": "dp-staff"},
            parameters={
                "mydestination": "example.org",
                "myorigin": "example.org",
                "alias_maps": f"hash:{table}",
                "mailbox_transport": f"lmtp:inet:{cyrus.host}:{cyrus.lmtp_port}",
                "local_recipient_maps": "",
            },
        ) as postfix:
            tables = detected(product, "--postfix", f"{postfix.config}", "--sendmail", "/none")
            assert [it["type"] for it in tables.values()] == ["file", "postmap"]
            domains = {"milter": {"domains": ["example.org", "virt.test"]}}
            product.configure({**domains, "aliases": tables})
            product.start()
            assert send(postfix, "info@virt.test") == ["250 2.1.5", "250 2.0.0"]
            cyrus.wait_for_messages("dp-ann")
            cyrus.wait_for_messages("dp-bob")
            product.wait_for_log(
                r"aliases='info@virt.test -> dp-staff \(aliases.virtual\); "
                r"dp-staff@example.org -> dp-ann, dp-bob \(aliases.local\)'"
            )


def test_included_files_and_commands_of_sendmail(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["si-ann", "si-bob"]) as product:
        members = write(product.folder / "members", "# the staff\nsi-ann\nsi-bob\n")
        with Sendmail(
            milter=product.socket,
            lmtp=(cyrus.host, cyrus.lmtp_port),
            aliases={"si-staff": f":include:{members}", "si-tickets": '"|/bin/true --new"'},
        ) as sendmail:
            aged(sendmail.folder / "aliases")
            product.configure({"aliases": {"local": table_of(sendmail)}})
            product.start()
            assert send(sendmail, "si-staff@example.org") == ["250 2.1.5", "250 2.0.0"]
            cyrus.wait_for_messages("si-ann")
            cyrus.wait_for_messages("si-bob")
            assert send(sendmail, "si-tickets@example.org")[0] == "250 2.1.5"
            product.wait_for_log("si-tickets.*answer=pass .*not ours: .*/bin/true --new")


def test_what_is_detected_of_sendmail_works_as_it_is_pasted(cyrus: Cyrus) -> None:
    with (
        Product(cyrus, accounts=["ds-ann", "ds-bob"]) as product,
        Sendmail(
            milter=product.socket,
            lmtp=(cyrus.host, cyrus.lmtp_port),
            aliases={"ds-staff": "ds-ann, ds-bob"},
            virtual_users={"info@example.org": "ds-staff"},
        ) as sendmail,
    ):
        aged(sendmail.folder / "aliases")
        aged(sendmail.folder / "virtusertable")
        cf = f"{sendmail.folder}/sendmail.cf"
        tables = detected(product, "--postfix", "/none", "--sendmail", cf)
        assert list(tables) == ["virtusertable", "local"]
        product.configure({"aliases": tables})
        product.start()
        assert send(sendmail, "info@example.org") == ["250 2.1.5", "250 2.0.0"]
        cyrus.wait_for_messages("ds-ann")
        cyrus.wait_for_messages("ds-bob")


def test_without_an_mta_there_is_nothing_to_detect(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        told = product.run("aliases", "detect", "--postfix", "/none", "--sendmail", "/none.cf")
        assert told.returncode == 78
        assert told.stderr == (
            "autocreate: /none: no main.cf there, and no /none.cf: use --postfix or --sendmail\n"
        )


def test_check_shows_the_aliases_and_each_user(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["c-ann", "c-bob"]) as product:
        table = write(product.folder / "virtual", f"team@example.org {at('c-ann', 'c-bob')}\n")
        product.configure({"aliases": {"v": {"type": "file", "path": f"{table}"}}})
        told = product.run("check", "team@example.org")
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout.splitlines()[:6] == [
            "team@example.org: accept",
            "  alias:    team@example.org -> c-ann@example.org, c-bob@example.org (aliases.v)",
            "  reason:   c-ann: has an account and no mailbox; c-bob: has an account and no mailbox",
            "  user:     c-ann, c-bob",
            "  account:  staff",
            "  policy:   everyone",
        ]
        assert "  c-bob: accept" in told.stdout.splitlines()
        assert "    would:    create Sent as \\Sent" in told.stdout.splitlines()
        assert cyrus.mailboxes("user/c-*") == set()
        assert product.run("provision", "team@example.org").returncode == 0
        assert {"user/c-ann", "user/c-bob"} <= cyrus.mailboxes("user/c-*")


def test_aliases_check_says_in_words_what_is_wrong_with_a_table(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        good = write(product.folder / "good", "sales@example.org joe\n")
        broken = write(product.folder / "broken", "sales\n")
        (product.folder / "main.cf").touch()
        absent = {
            "type": "postmap",
            "map": f"hash:{product.folder}/absent",
            "config_directory": f"{product.folder}",
        }
        tables = {
            "good": {"type": "file", "path": f"{good}"},
            "broken": {"type": "file", "path": f"{broken}"},
            "absent": absent,
        }
        product.configure({"aliases": tables})
        told = product.run("aliases", "check")
        lines = re.sub(r"in \d+\.\d ms", "in time", told.stdout).splitlines()
        assert told.returncode == 75
        assert lines == [
            "aliases.good: ok",
            "  answers in time",
            "aliases.broken: FAILED",
            "  answers in time",
            "  unknown recipients get a temporary error: "
            f"{broken}: line 1 has no value after its key",
            "aliases.absent: FAILED",
            f"  postmap hash:{product.folder}/absent: fatal: open database "
            f"{product.folder}/absent.db: No such file or directory",
        ]

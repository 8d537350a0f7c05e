"""The examples of the manual page, run as they are written."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.servers.cyrus import Cyrus
from tests.servers.product import Product

from autocreate.cli.man_texts import EXAMPLES

LISTED = {
    "type": "sql",
    "query": "SELECT userid FROM accounts WHERE userid = :user",
    "list_query": "SELECT userid FROM accounts",
}

# What is not 0: nobody is unknown, and doctor judges whatever MTA this machine has.
STATUS = {
    "autocreate check joe@example.org nobody@example.org": {65},
    "autocreate doctor": {0, 1, 2},
}


def test_each_example_does_what_it_says(tmp_path: Path) -> None:
    # A Cyrus of its own: an audit sees every mailbox.
    with Cyrus() as cyrus, Product(cyrus, accounts=["joe", "ann"]) as product:
        staff = {**LISTED, "url": f"sqlite:///{product.database}"}
        product.configure({"accounts": {"staff": staff}})
        product.start()
        said = {}
        for example, _ in EXAMPLES:
            command, *arguments = shlex.split(example)
            assert command == "autocreate"
            done = product.run(*arguments, cwd=tmp_path)
            said[example] = done.stdout + done.stderr
            assert done.returncode in STATUS.get(example, {0}), (example, said[example])
        assert (
            "would:    create INBOX" in said["autocreate check joe@example.org nobody@example.org"]
        )
        assert "1 planned; nothing was changed" in said["autocreate provision --all"]
        assert "1 created" in said["autocreate provision --all --yes"]
        assert {"user/joe", "user/ann"} <= cyrus.mailboxes("user/*")
        assert "0 findings" in said["autocreate audit --trees"]
        assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")

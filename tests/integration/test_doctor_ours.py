"""`autocreate doctor` and what is ours: the journal, the account sources, the files that we read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.doctor import findings, no_mta
from tests.servers.common import fresh_folder
from tests.servers.cyrus import Cyrus
from tests.servers.postgres import Postgres
from tests.servers.product import Product


@pytest.fixture
def nowhere() -> Iterator[Path]:
    with fresh_folder("doctor") as folder:
        yield folder


def about(words: str, product: Product, nowhere: Path) -> list[dict[str, str]]:
    _status, found = findings(product, *no_mta(nowhere))
    return [it for it in found if words in it["what"]]


def test_a_journal_that_does_not_open_is_critical(cyrus: Cyrus, nowhere: Path) -> None:
    with Product(cyrus) as product:
        product.journal.write_bytes(b"garbage" * 1000)
        (garbage,) = about("journal.url", product, nowhere)
        assert garbage["gravity"] == "critical"
        assert garbage["what"] == (
            f"{product.config_file}: journal.url: {product.journal} cannot be opened: file is not a database"
        )
        product.launch()
        product.wait_for_log("file is not a database")  # so it is
        product.stop()

        product.configure({"journal": {"url": f"sqlite:///{nowhere}/none/journal.db"}})
        (missing,) = about("journal.url", product, nowhere)
        assert missing["gravity"] == "critical"
        assert (
            missing["what"]
            == f"{product.config_file}: journal.url: the folder {nowhere}/none does not exist"
        )


def test_a_good_journal_is_looked_at_and_nothing_is_made(cyrus: Cyrus, nowhere: Path) -> None:
    with Product(cyrus, accounts=["joe"]) as product:
        assert about("journal", product, nowhere) == []
        assert not product.journal.exists()

        product.start()
        assert about("journal", product, nowhere) == []
        product.stop()

        before = sorted(product.folder.iterdir()), product.journal.read_bytes()
        assert about("journal", product, nowhere) == []
        assert (sorted(product.folder.iterdir()), product.journal.read_bytes()) == before


def test_a_journal_that_is_a_link_of_another_user_is_told(cyrus: Cyrus, nowhere: Path) -> None:
    with Product(cyrus) as product:
        product.journal.symlink_to(nowhere / "made")
        assert about("journal.url", product, nowhere) == []
        os.chown(product.journal, 65534, 65534, follow_symlinks=False)
        (link,) = about("journal.url", product, nowhere)
        assert (
            link["what"]
            == f"{product.config_file}: journal.url: {product.journal} is a link of user id 65534"
        )
        assert link["gravity"] == "warning"
        assert not (nowhere / "made").exists()


def test_a_journal_at_a_server_that_does_not_answer_is_critical(
    cyrus: Cyrus, nowhere: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "journal.secret"
    with Postgres() as postgres:
        secret.touch(mode=0o600)
        secret.write_text(postgres.password + "\n")
        settings = {"journal": {"url": postgres.url, "password_file": str(secret)}}
        with Product(cyrus, settings=settings) as product:
            assert about("journal.url:", product, nowhere) == []
            postgres.stop()
            (finding,) = about("journal.url:", product, nowhere)
    assert finding["gravity"] == "critical"
    assert "toml: journal.url: it cannot be used: " in finding["what"]
    assert "refused" in finding["what"]
    assert postgres.password not in finding["what"]


@pytest.mark.parametrize(
    ("source", "gravity", "words"),
    [
        ({"query": "SELEKT :usr"}, "critical", " cannot tell who exists: "),
        ({"query": "SELECT :user"}, "critical", ": finds even "),
        ({"query": "SELECT userid FROM accounts"}, None, ""),
        ({"list_query": "SELECT userid FROM accounts"}, "warning", ": lists nobody"),
    ],
    ids=["no query", "finds everybody", "empty", "lists nobody"],
)
def test_an_account_source_that_does_not_answer_well_is_found(
    source: dict[str, Any], gravity: str | None, words: str, cyrus: Cyrus, nowhere: Path
) -> None:
    with Product(cyrus) as product:
        query = "SELECT userid FROM accounts WHERE userid = :user"
        staff = {"type": "sql", "url": f"sqlite:///{product.database}", "query": query, **source}
        product.configure({"accounts": {"staff": staff}})
        found = about("accounts.staff", product, nowhere)
    assert [it["gravity"] for it in found] == ([gravity] if gravity else [])
    assert all(it["what"].startswith(f"accounts.staff{words}") for it in found)


def test_a_server_of_accounts_or_aliases_that_is_away_is_critical(
    cyrus: Cyrus, nowhere: Path
) -> None:
    away = "postgresql://reader@127.0.0.1:1/mail"
    settings = {
        "accounts": {"people": {"type": "sql", "url": away, "query": "SELECT :user"}},
        "aliases": {"lists": {"type": "sql", "url": away, "query": "SELECT :key"}},
    }
    with Product(cyrus, settings=settings) as product:
        found = about("cannot tell who exists", product, nowhere)
    assert [it["what"].partition(" ")[0] for it in found] == ["accounts.people", "aliases.lists"]
    assert {it["gravity"] for it in found} == {"critical"}


def test_files_that_the_user_who_serves_may_not_read_or_write_are_critical(
    cyrus: Cyrus, nowhere: Path
) -> None:
    # It may read what it likes, or it would not start here; whom it runs as is what counts.
    as_nobody = (
        *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
        *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
    )
    with Product(cyrus, contained=lambda *command: [*as_nobody, *command]) as product:
        secret = product.folder / "cyrus.secret"

        def closed() -> list[str]:
            return [it["what"] for it in about("user nobody may not", product, nowhere)]

        product.folder.chmod(0o755)
        product.config_file.chmod(0o644)
        product.database.chmod(0o600)
        product.start()
        assert closed() == [
            f"cyrus.password_file: user nobody may not read {secret}",
            f"accounts.staff.url: user nobody may not read {product.database}",
            f"journal.url: user nobody may not write to {product.folder}",
        ]

        shutil.chown(product.folder, "nobody")
        shutil.chown(secret, "nobody")
        product.database.chmod(0o640)
        shutil.chown(product.database, group="nogroup")
        assert closed() == []

        shutil.chown(product.folder, "root")
        product.folder.chmod(0o700)
        assert closed()[:2] == [
            f"autocreate.toml: user nobody may not enter {product.folder}, so it cannot read "
            f"{product.config_file}",
            f"cyrus.password_file: user nobody may not enter {product.folder}, so it cannot read "
            f"{secret}",
        ]

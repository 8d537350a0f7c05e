"""The report of real mail, and the page in a real browser."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import Way
from tests.servers.browser import Browser
from tests.servers.common import HOST
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.product import Product


def ask(product: Product, *users: str) -> None:
    with MilterClient(product.socket) as client:
        client.connect(address="192.0.2.7")
        client.envfrom("<ann@client.test>")
        for user in users:
            client.envrcpt(f"<{user}@example.org>", {"{rcpt_mailer}": "lmtp"})


def test_mail_through_an_mta_is_in_the_report_when_the_milter_has_ended(
    cyrus: Cyrus, way: Callable[[Product], Way], named: Callable[[str], str]
) -> None:
    product = Product(cyrus, accounts=[user := named("reported")])
    way(product).rcpt(user, user, "reported-nobody")
    product.stop()
    said = product.run("report").stdout
    for line in (
        "  1  accepted, mailbox created",
        "  1  accepted",
        "  1  unknown (550)  no account source knows this user",
        "  1  policy everyone  example.org",
        "  1  reported-nobody@example.org",
        "  1  127.0.0.1",
    ):
        assert line in said.splitlines(), said


def test_a_reload_and_a_second_process_on_one_journal_add_up(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["report-two"]) as first, Product(cyrus) as second:
        second.configure(
            {
                "accounts": {"staff": {"type": "file", "path": f"{first.folder}/users"}},
                "journal": {"url": f"sqlite:///{first.journal}"},
            }
        )
        (first.folder / "users").write_text("report-two:*:1:1::/:\n")
        os.utime(
            first.folder / "users", (1, 1)
        )  # the no of a file that was written just now is not certain
        first.start()
        second.start()
        ask(first, "report-two", "report-nobody")
        assert first.reload() == "INFO reloaded"
        ask(first, "report-nobody")
        ask(second, "report-nobody")
        assert (first.stop(), second.stop()) == (0, 0)
        said = first.run("report").stdout.splitlines()
    assert "  3  report-nobody@example.org" in said
    assert "  1  policy everyone  example.org" in said
    assert "  1  accepted, mailbox created" in said


def test_dry_run_tells_what_would_be_created(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["report-dry"]) as product:
        product.start("--dry-run")
        ask(product, "report-dry", "report-dry", "report-nobody")
        product.stop()
        _, _, dry = product.run("report").stdout.partition("Dry run: answers")
    assert "  1  accepted\n" in dry
    assert "  1  unknown (550)\n" in dry
    assert "Dry run: mailboxes that would be created\n  1  policy everyone  example.org\n" in dry


@pytest.fixture(scope="module")
def page(cyrus: Cyrus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about a little mail."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    with Product(cyrus, accounts=["report-page"]) as product:
        product.start()
        ask(product, *["report-page"] * 3, "report-nobody", "report-nobody")
        product.stop()
        assert product.run("report", "--html", str(path)).stdout == f"{path}: written\n"
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as it:
        yield it


def test_a_browser_draws_what_was_counted(page: Path, browser: Browser) -> None:
    browser.show(page)
    drawn = browser.evaluate(
        "[...document.querySelector('.plot').querySelectorAll('rect')].map(it => it.textContent)"
    )
    assert {it.rpartition(": ")[2] for it in drawn} == {
        "2 accepted",
        "1 accepted, mailbox created",
        "2 unknown (550)",
    }
    assert "report-nobody@example.org" in browser.evaluate("document.body.innerText")


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine: where it is, and what it was asked for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://{HOST}:{server.server_port}", paths
        server.shutdown()


def test_a_browser_asks_nobody_for_the_page_even_if_something_of_anothers_got_into_it(
    page: Path, asked: tuple[str, list[str]], browser: Browser
) -> None:
    place, paths = asked
    foreign = f"<img src='{place}/x'><link rel=stylesheet href='{place}/y'><script src='{place}/z'></script>"
    spoilt = page.with_name("spoilt.html")
    text = page.read_text().replace("<footer>", f"{foreign}<footer>")
    spoilt.write_text(text)
    browser.show(spoilt)
    assert paths == []
    spoilt.write_text(text.replace("default-src 'none'", "default-src *"))
    browser.show(spoilt)
    assert "/x" in paths  # it would have been seen

"""`autocreate doctor` on real configurations: silent about good ones, clear about what would bite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.test_contrib import parameters_of_main_cf
from tests.servers.common import fresh_folder
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product
from tests.servers.sendmail import Sendmail


@pytest.fixture
def nowhere() -> Iterator[Path]:
    with fresh_folder("doctor") as folder:
        yield folder


def findings(product: Product, *arguments: str) -> tuple[int, list[dict[str, str]]]:
    done = product.run("doctor", "--json", *arguments)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_the_lines_of_contrib_for_postfix_have_nothing_that_would_bite(
    cyrus: Cyrus, nowhere: Path
) -> None:
    with Product(cyrus) as product:
        product.start()
        parameters = {
            name: value.replace("unix:/autocreate/milter.sock", product.socket)
            for name, value in parameters_of_main_cf().items()
        } | {"virtual_alias_maps": ""}
        with Postfix(parameters=parameters) as postfix:
            done = product.run(
                "doctor", "--postfix", str(postfix.config), "--sendmail", f"{nowhere}/sendmail.cf"
            )
            assert (done.returncode, done.stdout) == (0, "Nothing was found that would bite.\n")

            postfix.set(milter_default_action="accept", smtpd_milters=product.socket)
            postfix.set(virtual_mailbox_maps="socketmap:unix:/run/cyrus/socket/smmap:smmapd")
            status, found = findings(product, "--postfix", str(postfix.config))
            assert status == 2
            assert [it["gravity"] for it in found] == ["critical", "critical"]
            assert "the default action is accept" in found[0]["what"]
            assert "asks a server whether the mailbox exists" in found[1]["what"]


def test_a_sendmail_that_waits_too_short_a_time_is_critical(cyrus: Cyrus, nowhere: Path) -> None:
    with Product(cyrus) as product:
        product.start()
        with Sendmail(milter=product.socket, milter_timeouts="R:5s") as sendmail:
            cf = f"{sendmail.folder}/sendmail.cf"
            status, found = findings(product, "--sendmail", cf, "--postfix", str(nowhere))
    assert status == 2
    assert [it["what"] for it in found] == [
        f"{cf}: filter autocreate has 5 s for a reply, our deadline is 8 s",
        f"{cf}: AliasFile={sendmail.folder}/aliases, and our configuration has no [aliases]",
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
        assert words[0] == f"neither {nowhere}/main.cf nor {nowhere}/sendmail.cf is there"
        assert words[1].startswith(f"nobody listens at milter.socket ({product.socket})")
        assert words[2].startswith("Cyrus at 127.0.0.1:1 cannot be reached")


def test_a_certificate_that_is_about_to_expire_is_a_warning(nowhere: Path) -> None:
    # The authority of the test servers signs for two days.
    with Cyrus(tls=True) as cyrus:
        settings = {"cyrus": {"tls": "starttls", "ca_file": str(cyrus.ca_file)}}
        with Product(cyrus, settings=settings) as product:
            product.start()
            with Postfix(milter=product.socket, parameters={"recipient_delimiter": "+"}) as postfix:
                _status, found = findings(
                    product, "--postfix", str(postfix.config), "--sendmail", f"{nowhere}/x"
                )
    certificate = [it for it in found if "certificate" in it["what"]]
    assert len(certificate) == 1
    assert certificate[0]["gravity"] == "warning"
    assert "expires in " in certificate[0]["what"]

"""Mistakes of real sites: doctor finds each, names file and line, and its remedy, done to the letter, mends it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.doctor import files_of
from tests.integration.remedies import apply
from tests.servers import smtp, tls
from tests.servers.common import fresh_folder, run
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import POLICY, Product


@dataclass(frozen=True)
class Site:
    """A Postfix, our milter and a Cyrus, with nothing to find."""

    postfix: Postfix
    product: Product
    cyrus: Cyrus
    nowhere: Path

    def find(self) -> list[dict[str, str]]:
        """What doctor finds, but advice."""
        places = ("--postfix", str(self.postfix.config), "--sendmail", f"{self.nowhere}/cf")
        done = self.product.run("doctor", "--json", *places, *files_of(self.cyrus))
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return [it for it in found if it["gravity"] in ("warning", "critical")]

    def restart(self) -> None:
        """As after a change of any file."""
        self.product.stop()
        self.cyrus.stop()
        self.cyrus.start()
        self.product.start()
        self.postfix.reload()

    def delivers(self, user: str) -> None:
        """Mail for a user without a mailbox arrives, and a stranger is refused."""
        here = (self.postfix.host, self.postfix.port, "ann@client.test")
        recipients = [f"{user}@example.org", "nobody@example.org"]
        replies = smtp.send(*here, recipients, "Subject: hello\n\nhi\n")
        assert [it.code for it in replies] == [250, 550, 250]
        assert len(self.cyrus.wait_for_messages(user)) == 1

    def renew_certificate(self) -> None:
        tls.make_certificate(self.cyrus.folder, days=30)
        for path in self.cyrus.folder.glob("*.pem"):
            shutil.chown(path, "cyrus", "mail")


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and what doctor has to say about it.

    Args:
        plant: makes the mistake in a site without findings.
        says: a pattern of the one finding; FILE stands for autocreate.toml.
        at: a pattern of what names the file and line, if that is in the remedy.
        main_cf, imapd_conf, cyrus, settings, script: how the site is set up.
    """

    plant: Callable[[Site], None]
    says: str
    at: str = ""
    main_cf: Mapping[str, str] = field(default_factory=dict)
    imapd_conf: Mapping[str, str] = field(default_factory=dict)
    cyrus: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    script: bool = False


def main_cf(**parameters: str) -> Callable[[Site], None]:
    """Parameters; MILTER in a value is the milter's socket."""

    def plant(site: Site) -> None:
        socket = site.product.socket
        site.postfix.set(
            **{name: value.replace("MILTER", socket) for name, value in parameters.items()}
        )

    return plant


def both_lists(milters: str) -> Callable[[Site], None]:
    return main_cf(smtpd_milters=milters, non_smtpd_milters="$smtpd_milters")


def chroot(site: Site) -> None:
    run(
        [
            "postconf",
            "-c",
            site.postfix.config,
            "-F",
            f"127.0.0.1:{site.postfix.port}/inet/chroot=y",
        ]
    )


def imapd_conf(**options: str) -> Callable[[Site], None]:
    def plant(site: Site) -> None:
        path = site.cyrus.imapd_conf_file
        kept = [it for it in path.read_text().splitlines() if it.partition(":")[0] not in options]
        path.write_text("\n".join([*kept, *(f"{key}: {it}" for key, it in options.items()), ""]))

    return plant


def without_timsieved(site: Site) -> None:
    path = site.cyrus.cyrus_conf_file
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*(it for it in lines if "timsieved" not in it), ""]))


def readable_secret(site: Site) -> None:
    (site.product.folder / "cyrus.secret").chmod(0o644)


def journal_nowhere(site: Site) -> None:
    url = f"sqlite:///{site.product.folder}/none/journal.db"
    text = site.product.config_file.read_text()
    site.product.config_file.write_text(re.sub(r"sqlite:///\S+/journal.db", url, text))


def nothing(_site: Site) -> None:
    """The site is set up with the mistake."""


MISTAKES = {
    "default action": Mistake(
        both_lists("{ MILTER, default_action=accept, connect_timeout=9s }"),
        r"main\.cf, line \d+: smtpd_milters: the default action is accept",
    ),
    "smmapd": Mistake(
        main_cf(virtual_mailbox_maps="socketmap:unix:/run/cyrus/socket/smmap:smmapd"),
        r"main\.cf, line \d+: virtual_mailbox_maps asks a server whether the mailbox exists",
    ),
    "path of the socket": Mistake(
        both_lists("{ unix:/run/autocreate/wrong.sock, default_action=tempfail }"),
        r"no smtpd of this Postfix asks the milter; main\.cf, line \d+: smtpd_milters = \{ unix:/run",
    ),
    "chroot": Mistake(chroot, r"master\.cf, 127\.0\.0\.1:\d+ inet: smtpd is chrooted to "),
    "native autocreate": Mistake(
        imapd_conf(autocreate_quota="1000", autocreate_post="yes"),
        r"/\S+/imapd\.conf, line \d+: Cyrus's native autocreate is on as well",
    ),
    "administrator without rights": Mistake(
        imapd_conf(admins="somebody", proxyservers="cyrus"),
        r"/\S+/imapd\.conf, line \d+: 'cyrus' \(cyrus\.admin\) is not in admins",
    ),
    "readable secret": Mistake(
        readable_secret,
        r"FILE, line \d+: cyrus\.password_file: \S+ is accessible to everyone$",
    ),
    "time limits": Mistake(
        both_lists("{ MILTER, default_action=tempfail, command_timeout=5s }"),
        r"main\.cf, line \d+: smtpd_milters: command_timeout is 5s, milter\.deadline is 8 s",
    ),
    "local_recipient_maps": Mistake(
        main_cf(local_recipient_maps="inline:{ joe=x }"),
        r"main\.cf, line \d+: local_recipient_maps = inline:",
        main_cf={
            "virtual_mailbox_domains": "",
            "mydestination": "example.org",
            "local_transport": "LMTP",
            "local_recipient_maps": "",
            "alias_maps": "",
        },
    ),
    "no sieve service": Mistake(
        without_timsieved, r"/\S+/cyrus\.conf: no service runs timsieved", script=True
    ),
    "certificate": Mistake(
        nothing,
        r"Cyrus at 127\.0\.0\.1:\d+ has a certificate that is not trusted \(certificate has expired",
        at=r"imapd\.conf, line \d+: tls_server_cert: /",
        cyrus={"tls": True, "certificate_days": 0},
        settings={"cyrus": {"tls": "starttls", "ca_file": "CA"}},
    ),
    "delimiter": Mistake(
        main_cf(recipient_delimiter="-"),
        r"main\.cf, line \d+: recipient_delimiter has '-', which Cyrus's lmtpd does not know",
    ),
    "virtual domains": Mistake(
        imapd_conf(virtdomains="userid", defaultdomain="example.org"),
        r"/\S+/imapd\.conf, line \d+: virtdomains: userid; .* cyrus\.virtdomains is \"off\"",
        main_cf={"lmtp_generic_maps": "inline:{@example.org=@example.org}"},
        settings={"cyrus": {"virtdomains": "off"}},
    ),
    "transport": Mistake(
        main_cf(virtual_transport="virtual"),
        r"main\.cf, line \d+: virtual_transport is 'virtual': mail in example\.org is delivered by",
    ),
    "place of the journal": Mistake(
        journal_nowhere, r"FILE, line \d+: journal\.url: the folder \S+/none does not exist"
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found_and_its_remedy_mends_it(mistake: Mistake) -> None:
    with running(mistake) as site:
        mistake.plant(site)
        site.cyrus.stop()
        site.cyrus.start()
        (finding,) = site.find()
        says = mistake.says.replace("FILE", re.escape(str(site.product.config_file)))
        assert re.match(says, finding["what"]), finding
        assert re.search(mistake.at, finding["remedy"]), finding
        followed = apply(
            finding["remedy"], site.product, site.postfix, renew=site.renew_certificate
        )
        assert followed, finding
        site.restart()
        assert site.find() == []
        site.delivers("joe")


@contextlib.contextmanager
def running(mistake: Mistake) -> Iterator[Site]:
    """A site in which there is nothing to find, but what its set-up has wrong."""
    with contextlib.ExitStack() as opened:
        nowhere = opened.enter_context(fresh_folder("mistake"))
        cyrus = opened.enter_context(Cyrus(imapd_conf=mistake.imapd_conf, **mistake.cyrus))
        lmtpd = f"{cyrus.host}:{cyrus.lmtp_port}"
        policy = dict(POLICY)
        if mistake.script:
            (nowhere / "junk.sieve").write_text("keep;\n")
            policy["sieve"] = f"{nowhere}/junk.sieve"
        settings = {"lmtp": {"address": lmtpd}, **mistake.settings}
        if "cyrus" in settings:
            settings["cyrus"] = {
                key: str(cyrus.ca_file) if it == "CA" else it
                for key, it in settings["cyrus"].items()
            }
        product = opened.enter_context(
            Product(cyrus, accounts=["joe"], settings=settings, policies=[policy])
        )
        product.start()
        parameters = {
            "smtpd_milters": f"{{ {product.socket}, default_action=tempfail, command_timeout=30s }}",
            "non_smtpd_milters": "$smtpd_milters",
            "virtual_mailbox_domains": "example.org",
            "virtual_transport": "LMTP",
            "recipient_delimiter": "+",
            "internal_mail_filter_classes": "bounce, notify",
            "smtputf8_enable": "no",
            "virtual_alias_maps": "",
            **mistake.main_cf,
        }
        parameters = {
            name: value.replace("LMTP", f"lmtp:inet:{lmtpd}") for name, value in parameters.items()
        }
        site = Site(opened.enter_context(Postfix(parameters=parameters)), product, cyrus, nowhere)
        assert mistake.plant is nothing or site.find() == []
        yield site

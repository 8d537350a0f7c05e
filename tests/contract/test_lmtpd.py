"""What Cyrus's lmtpd says before delivery, and that it says the same at delivery."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from autocreate.errors import AutocreateError, ServerTimeout, Temporary, Unreachable
from autocreate.lmtp.client import Lmtpd
from autocreate.lmtp.replies import Forecast, Outcome
from autocreate.model import Envelope, Reply
from tests.contract.liar import Liar, drip
from tests.servers.common import signal_all, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.relay import Relay
from tests.servers.smtp import Dialogue

FULL = Reply("452", "4.2.2", "Mailbox full")
DISABLED = Reply("451", "4.2.1", "Mailbox disabled, not accepting messages")
NOT_AUTHORIZED = Reply("550", "5.7.1", "Delivery not authorized")
TOO_LARGE = Reply("552", "5.2.3", "Message too large")

VIRTUAL = {"virtdomains": "userid", "defaultdomain": "ex.test"}


@pytest.fixture(scope="module")
def strict() -> Iterator[Cyrus]:
    """Looks at SIZE before it takes a message; `bb+folder` is a shared folder."""
    options = {"lmtp_strict_quota": "yes", "maxmessagesize": "100000", "postuser": "bb"}
    with Cyrus(imapd_conf=options) as server:
        yield server


@pytest.fixture(scope="module")
def virtual() -> Iterator[Cyrus]:
    with Cyrus(imapd_conf=VIRTUAL) as server:
        server.create("user/joe")
        server.create("user/joe@other.test")
        yield server


NOTHING_SAID = Envelope()


def ask(
    server: Cyrus, recipient: str, envelope: Envelope = NOTHING_SAID, **settings: str
) -> Forecast:
    with contextlib.closing(
        Lmtpd(f"inet:{server.host}:{server.lmtp_port}", 2, 10.0, **settings)
    ) as lmtpd:
        return lmtpd.ask(recipient, envelope)


def delivered(server: Cyrus, recipient: str, message: str = "Subject: x\n\nx\n") -> list[int]:
    """The codes that RCPT and DATA get."""
    with Dialogue(server.host, server.lmtp_port) as lmtp:
        lmtp.lhlo()
        lmtp.mail("ann@client.test")
        codes = [lmtp.rcpt(recipient).code]
        return codes if codes[0] >= 400 else [*codes, lmtp.data(message).code]


def user_with(server: Cyrus, user: str, *, kept: int = 0, quota: int | None = None) -> None:
    """A mailbox with so many bytes in it and a limit in KiB."""
    server.create(f"user/{user}")
    if kept:
        server.append(user, b"Subject: kept\r\n\r\n" + b"x" * kept + b"\r\n")
    if quota is not None:
        server.set_quota(f"user/{user}", quota)


# -- users -----------------------------------------------------------------------------------


def test_a_mailbox_takes_mail_for_each_of_its_folders(cyrus: Cyrus) -> None:
    user_with(cyrus, "lmtp-joe")
    cyrus.create("user/lmtp-joe/News")
    for recipient in ("lmtp-joe", "LMTP-Joe@example.org", "lmtp-joe+Nope", "lmtp-joe+News"):
        assert ask(cyrus, recipient).outcome is Outcome.TAKEN
        assert delivered(cyrus, recipient) == [250, 250]
    # lmtpd files it in INBOX where nobody may post.
    cyrus.set_acl("user/lmtp-joe/News", "anyone", "l")
    assert ask(cyrus, "lmtp-joe+News").outcome is Outcome.TAKEN


def test_nobody_s_mailbox_is_unknown_and_is_not_made_by_asking(cyrus: Cyrus) -> None:
    assert ask(cyrus, "lmtp-nobody").outcome is Outcome.UNKNOWN
    assert cyrus.mailboxes("user/lmtp-nobody") == set()


def test_a_mailbox_that_was_deleted_is_unknown_on_the_same_connection(cyrus: Cyrus) -> None:
    user_with(cyrus, "lmtp-gone")
    address = f"inet:{cyrus.host}:{cyrus.lmtp_port}"
    with contextlib.closing(Lmtpd(address, 1, 10.0)) as lmtpd:
        assert lmtpd.ask("lmtp-gone", Envelope()).outcome is Outcome.TAKEN
        cyrus.delete("user/lmtp-gone")
        assert lmtpd.ask("lmtp-gone", Envelope()).outcome is Outcome.UNKNOWN
        cyrus.create("user/lmtp-gone")
        assert lmtpd.ask("lmtp-gone", Envelope()).outcome is Outcome.TAKEN


def test_over_quota_is_refused_as_delivery_would_refuse_it(cyrus: Cyrus) -> None:
    user_with(cyrus, "lmtp-full", kept=2000, quota=1)
    told = ask(cyrus, "lmtp-full")
    assert (told.outcome, told.reply) == (Outcome.REFUSED, FULL)
    assert told.why == "452 4.2.2 Over quota"
    assert delivered(cyrus, "lmtp-full") == [452]


def test_a_quota_of_nothing_takes_the_first_message_and_no_second(cyrus: Cyrus) -> None:
    user_with(cyrus, "lmtp-zero", quota=0)
    assert ask(cyrus, "lmtp-zero").outcome is Outcome.TAKEN
    assert delivered(cyrus, "lmtp-zero") == [250, 250]
    assert ask(cyrus, "lmtp-zero").reply == FULL


def test_over_quota_is_for_good_where_cyrus_says_so() -> None:
    options = {"lmtp_over_quota_perm_failure": "yes", "serverinfo": "off"}
    with Cyrus(imapd_conf=options) as server:
        user_with(server, "full", kept=2000, quota=1)
        assert ask(server, "full").reply == Reply("552", "5.2.2", "Mailbox full")
        assert delivered(server, "full") == [552]
        # Of whose version nothing is told, the default domain in capitals is not asked about.
        assert ask(server, "full@EX.test", default_domain="ex.test").outcome is Outcome.CRASH


def test_a_size_counts_where_lmtpd_looks_at_it(cyrus: Cyrus, strict: Cyrus) -> None:
    for server in (cyrus, strict):
        user_with(server, "lmtp-near", quota=10)
    assert ask(cyrus, "lmtp-near", Envelope(size=50_000)).outcome is Outcome.TAKEN
    assert ask(strict, "lmtp-near", Envelope(size=50_000)).reply == FULL
    assert ask(strict, "lmtp-near", Envelope(size=5_000)).outcome is Outcome.TAKEN
    assert ask(strict, "lmtp-near", Envelope()).outcome is Outcome.TAKEN
    assert ask(strict, "lmtp-near", Envelope(size=100_001)).reply == TOO_LARGE


def test_a_user_who_is_denied_is_deferred(cyrus: Cyrus) -> None:
    user_with(cyrus, "lmtp-denied")
    cyrus.deny("lmtp-denied")
    assert ask(cyrus, "lmtp-denied").reply == DISABLED
    assert delivered(cyrus, "lmtp-denied") == [451]


# -- shared folders ----------------------------------------------------------------------------


def test_a_shared_folder_takes_mail_of_those_who_may_post(cyrus: Cyrus, strict: Cyrus) -> None:
    for server, prefix in ((cyrus, "+"), (strict, "bb+")):
        for folder, rights in (("lmtp-open", "lrsp"), ("lmtp-closed", "lrs")):
            server.create(folder)
            server.set_acl(folder, "anyone", rights)
        assert ask(server, f"{prefix}lmtp-open").outcome is Outcome.TAKEN
        assert delivered(server, f"{prefix}lmtp-open") == [250, 250]
        assert ask(server, f"{prefix}lmtp-closed").reply == NOT_AUTHORIZED
        assert delivered(server, f"{prefix}lmtp-closed") == [550]
        assert ask(server, f"{prefix}lmtp-nope").outcome is Outcome.UNKNOWN
    # With a postuser, a folder without it is none.
    assert ask(strict, "+lmtp-open").outcome is Outcome.UNKNOWN


# -- characters and domains ----------------------------------------------------------------------


def test_what_lies_beyond_ascii_is_answered_as_this_lmtpd_would_answer(cyrus: Cyrus) -> None:
    with Dialogue(cyrus.host, cyrus.lmtp_port) as lmtp:
        lmtp.lhlo()
        offered = "SMTPUTF8" in lmtp.capabilities
    told = ask(cyrus, "lmtp-jürgen@example.org", Envelope(smtputf8=True))
    if offered:
        assert told.outcome is Outcome.UNKNOWN
    else:
        assert told.reply
        assert told.reply[:2] == ("553", "5.6.7")
    # Without SMTPUTF8 the MTA sends it as it is.
    assert ask(cyrus, "lmtp-jürgen@example.org").outcome in (Outcome.REFUSED, Outcome.UNKNOWN)


def test_the_default_domain_in_capitals_kills_no_lmtpd(virtual: Cyrus) -> None:
    before, log = virtual.pids, virtual.log()
    for recipient in ("joe@EX.test", "JOE@EX.TEST", "joe+x@Ex.test", "+x@EX.TEST"):
        told = ask(virtual, recipient, default_domain="ex.test")
        assert told.outcome in (Outcome.CRASH, Outcome.TAKEN, Outcome.UNKNOWN)
        if told.outcome is Outcome.CRASH:
            # It is not asked, for at RCPT it would say 250.
            assert "lmtp_generic_maps" in told.why
        else:
            assert delivered(virtual, recipient)[-1] != 421
    for recipient in ("joe@ex.test", "JOE@ex.test", "joe@other.test", "joe@OTHER.test"):
        assert ask(virtual, recipient, default_domain="ex.test").outcome is Outcome.TAKEN
        assert delivered(virtual, recipient) == [250, 250]
    assert set(before) <= set(virtual.pids)
    assert "assertion failed" not in virtual.log()[len(log) :]


# -- faults ----------------------------------------------------------------------------------


def lasting(lmtpd: Lmtpd, kind: type[AutocreateError]) -> float:
    """Asks, and must get no answer; how many seconds that took."""
    begun = time.monotonic()
    with pytest.raises(kind):
        lmtpd.ask("joe", Envelope())
    return time.monotonic() - begun


@pytest.mark.parametrize("over", ["inet", "unix"])
def test_an_lmtpd_that_was_restarted_is_found_again(over: str) -> None:
    with Cyrus() as server:
        server.create("user/joe")
        address = f"inet:{server.host}:{server.lmtp_port}"
        if over == "unix":
            address = f"unix:{server.folder}/lmtp"
            line = f'  lmtpunix cmd="lmtpd -C {server.imapd_conf_file}" listen="{server.folder}/lmtp"\n'
            text = server.cyrus_conf_file.read_text()
            server.stop()
            server.cyrus_conf_file.write_text(text.replace("SERVICES {\n", "SERVICES {\n" + line))
            server.start()
        with contextlib.closing(Lmtpd(address, 2, 5.0)) as lmtpd:
            assert lmtpd.ask("joe", Envelope()).outcome is Outcome.TAKEN
            signal_all(list(server.pids_of("lmtpd")), signal.SIGKILL)
            assert lmtpd.ask("joe", Envelope()).outcome is Outcome.TAKEN
            server.stop()
            lasting(lmtpd, Unreachable)
            server.start()
            wait_until(lambda: answers(lmtpd), 20.0, "an answer", server.log)


def answers(lmtpd: Lmtpd, user: str = "joe") -> bool:
    with contextlib.suppress(AutocreateError):
        return lmtpd.ask(user, Envelope()).outcome is Outcome.TAKEN
    return False


def test_a_silent_lmtpd_costs_one_wait(cyrus: Cyrus) -> None:
    user_with(cyrus, "lmtp-silent")
    with (
        Relay(cyrus.lmtp_port) as relay,
        contextlib.closing(Lmtpd(f"inet:{cyrus.host}:{relay.port}", 2, 2.0)) as lmtpd,
    ):
        assert lmtpd.ask("lmtp-silent", Envelope()).outcome is Outcome.TAKEN
        relay.pause()
        assert 1.9 < lasting(lmtpd, ServerTimeout) < lmtpd.longest
        # The breaker answers in its place.
        with pytest.raises(Temporary, match="not retried yet"):
            lmtpd.ask("lmtp-silent", Envelope())
        relay.resume()
        wait_until(lambda: answers(lmtpd, "lmtp-silent"), 20.0, "an answer")


def test_an_lmtpd_that_drips_costs_no_more_than_a_silent_one() -> None:
    with (
        Liar(drip, polite=False, hang_up=False) as liar,
        contextlib.closing(Lmtpd(f"inet:127.0.0.1:{liar.port}", 2, 0.5)) as lmtpd,
    ):
        assert lasting(lmtpd, ServerTimeout) < lmtpd.longest


def test_many_questions_at_once_are_all_answered(cyrus: Cyrus) -> None:
    user_with(cyrus, "lmtp-busy")
    told: list[Outcome] = []
    address = f"inet:{cyrus.host}:{cyrus.lmtp_port}"
    with contextlib.closing(Lmtpd(address, 2, 10.0)) as lmtpd:
        work: Callable[[], None] = lambda: told.append(  # noqa: E731
            lmtpd.ask("lmtp-busy", Envelope()).outcome
        )
        threads = [threading.Thread(target=work) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert told == [Outcome.TAKEN] * 50

"""Where we leave something else than native Cyrus, on purpose: each case says why.

docs/compatibility.md lists them for administrators.
"""

from __future__ import annotations

import poplib
import re
import subprocess
from pathlib import Path

import pytest

from autocreate.config import load
from autocreate.core.policy import select
from tests.differential.cases import FOLDERS, NEWS, ON, SCRIPTS, USES, VIRTUAL
from tests.differential.pair import Outcome, Pair
from tests.servers.common import fresh_folder, run
from tests.servers.cyrus import CYR_INFO
from tests.servers.cyrusversion import version
from tests.servers.sieve import Script, kept


def test_mail_to_nobody_makes_a_mailbox_natively_and_is_refused_by_us() -> None:
    """A misspelt address must not become a mailbox: this is what the program is for."""
    with Pair(ON) as pair:
        assert pair.deliver(["jeo@ex.test"])["jeo@ex.test"] == Outcome(
            (250, 250), "unknown", (550,)
        )
        assert "user/jeo" in pair.native.mailboxes()
        assert pair.ours.mailboxes() == set()


def test_special_uses_are_in_lower_case_natively_and_as_in_rfc_6154_by_us() -> None:
    """Cyrus folds the option's name; clients look for \\Junk."""
    with Pair({**ON, **FOLDERS, **USES}, accounts=["joe"]) as pair:
        pair.deliver(["joe"])
        native, ours = pair.standing()
    assert native.special_use["joe"]["INBOX/Spam"] == "\\junk"
    assert ours.special_use["joe"]["INBOX/Spam"] == "\\Junk"


def test_uses_that_cyrus_would_refuse_a_client_are_given_natively_and_not_by_us() -> None:
    """Native writes past the check that a folder is right below INBOX and a use is one of Cyrus's;
    no client could ever move such a mark."""
    options = {
        **ON,
        "autocreate_inbox_folders": "A.B|C",
        "xlist-archive": "A.B",
        "xlist-foo": "C",
    }
    with Pair(options, accounts=["joe"]) as pair:
        pair.deliver(["joe"])
        native, ours = pair.standing()
        checked = pair.product.run("config", "check").stdout
    assert native.special_use["joe"] == {"INBOX/A/B": "\\archive", "INBOX/C": "\\foo"}
    assert ours.special_use["joe"] == {}
    assert "xlist-archive: 'A.B' is not directly below INBOX" in checked
    assert "xlist-foo: is not a special use that Cyrus knows" in checked


def test_a_quota_beyond_32_bits_is_another_one_natively_and_the_greatest_by_us() -> None:
    """imapd dies of such a SETQUOTA; native Cyrus 3.6 counts modulo 2**32."""
    options = {"autocreate_quota": "5368709120", "autocreate_post": "yes"}
    with Pair(options, accounts=["joe"]) as pair:
        pair.deliver(["joe"])
        assert pair.native.quota("user/joe")["STORAGE"] in (1 << 30, 5368709120)
        assert pair.ours.quota("user/joe") == {"STORAGE": 2147483647}
        checked = pair.product.run("config", "check").stdout
    assert "autocreate_quota: 5368709120 is more than Cyrus can count" in checked


def test_a_folder_that_cannot_be_is_left_out_and_told_once() -> None:
    """Native tries it at each creation; `config check` tells it, and the journal has no entry."""
    options = {
        **ON,
        "altnamespace": "yes",
        "autocreate_inbox_folders": f"{'x' * 600}|Other Users|Sent",
        "autocreate_subscribe_folders": "Other Users|Sent",
    }
    with Pair(options, accounts=["joe"]) as pair:
        pair.deliver(["joe"])
        checked = pair.product.run("config", "check").stdout
        assert pair.ours.mailboxes() == {"user/joe", "user/joe/Sent"}
        assert pair.ours.subscriptions("joe") == {"INBOX", "Sent"}
        assert pair.product.unfinished() == {}
    assert "it has more than 483 bytes" in checked
    assert "folder 'Other Users' cannot exist here" in checked


def test_folder_names_in_utf_8_are_lost_natively_and_made_by_us() -> None:
    """imapd.conf(5) nowhere says that a name must be in IMAP's modified UTF-7."""
    options = {**ON, "autocreate_inbox_folders": "Entwürfe|R&D|Sent"}
    with Pair(options, accounts=["joe"]) as pair:
        pair.deliver(["joe"])
        assert pair.native.mailboxes("user/joe/*") == {"user/joe/Sent"}
        assert pair.ours.mailboxes("user/joe/*") == {
            "user/joe/Sent",
            "user/joe/Entwürfe",
            "user/joe/R&D",
        }


def test_folders_parted_at_slashes_are_lost_natively_and_made_by_us() -> None:
    """With unixhierarchysep the patch parted levels at slashes; Cyrus parts them at dots alone."""
    options = {
        **ON,
        "autocreate_inbox_folders": "A/B",
        "autocreate_subscribe_folders": "A/B",
        "autocreate_subscribe_sharedfolders": "news/sub",
    }
    with Pair(options, accounts=["joe"], shared=NEWS) as pair:
        pair.deliver(["joe"])
        native, ours = pair.standing()
    assert native.subscriptions["joe"] == {"INBOX"}
    assert ours.subscriptions["joe"] == {"INBOX", "INBOX/A/B", "news/sub"}


def test_named_shared_folders_of_a_virtual_domain_are_left_out_natively_and_found_by_us() -> None:
    """The option's names are the default domain's natively; by us they are those of the user's own."""
    options = {**ON, **VIRTUAL, "altnamespace": "yes", "autocreate_subscribe_sharedfolders": "news"}
    shared = {"news": "lrs", "news@other.test": "lrs"}
    with Pair(options, accounts=["joe", "joe@other.test"], shared=shared) as pair:
        pair.deliver(["joe@ex.test", "joe@other.test"])
        native, ours = pair.standing()
    assert (
        native.subscriptions["joe"]
        == ours.subscriptions["joe"]
        == {
            "INBOX",
            "Shared Folders/news",
        }
    )
    assert native.subscriptions["joe@other.test"] == {"INBOX"}
    assert ours.subscriptions["joe@other.test"] == {"INBOX", "Shared Folders/news"}


def test_lmtpd_dies_of_a_named_shared_folder_natively_and_we_deliver() -> None:
    """Without altnamespace, the folder of another domain has no name for the user, and
    mboxlist_findone() does not look."""
    options = {**ON, **VIRTUAL, "autocreate_subscribe_sharedfolders": "news"}
    with Pair(options, accounts=["joe@other.test"], shared={"news": "lrs"}) as pair:
        outcome = pair.deliver(["joe@other.test"])["joe@other.test"]
    assert outcome == Outcome((), "accept", (250, 250))


def test_rights_given_twice_stop_cyrus_and_not_us(tmp_path: Path) -> None:
    """imapd.conf(5) allows it."""
    options = {**ON, "autocreate_inbox_folders": "A", "autocreate_acl": "A ann lr"}
    with Pair(options, accounts=["joe"]) as pair:
        with pair.native.imapd_conf_file.open("a") as file:
            file.write("autocreate_acl: A anyone p\n")
        cyrus = subprocess.run(
            [CYR_INFO, "-C", pair.native.imapd_conf_file, "conf"], capture_output=True, check=False
        )
        assert cyrus.returncode == 78
        assert [said["answer"] for said in pair.product.json("provision", "joe")] == ["accept"]
        acl = pair.ours.acl("user/joe/A")
    assert (acl["ann"], acl["anyone"]) == ("lr", "p")


def test_administrators_of_other_services_get_a_mailbox_natively_and_none_from_us() -> None:
    """The patch spared imap_admins whatever the service; Cyrus sees them in the service imap alone."""
    options = {**ON, "imap_admins": "cyrus ann"}
    with Pair(options, accounts=["ann"]) as pair:
        assert pair.deliver(["ann"])["ann"] == Outcome((250, 250), "unknown", (550,))


def test_a_pop3_login_needs_no_quota_natively_and_does_with_us() -> None:
    """The patch's third condition, and imapd.conf(5): autocreate_quota must be set."""
    options = {"autocreate_inbox_folders": "Sent"}
    with Pair(options, accounts=["joe"]) as pair:
        pair.native.add_user("joe", "secret")
        client = poplib.POP3(pair.native.host, pair.native.pop3_port, timeout=20)
        client.user("joe")
        client.pass_("secret")
        client.quit()
        assert pair.native.mailboxes() == {"user/joe", "user/joe/Sent"}
        conf = load(pair.product.config_file).cyrus.imapd_conf
        assert conf
        policy = select(conf.policies, "joe", "", frozenset, "pop3")
        assert policy
        assert (policy.create, policy.why) == (False, "autocreate_quota is not set")


def test_with_case_kept_a_domain_in_capitals_is_another_s_natively_and_not_by_us() -> None:
    """A domain's case means nothing (RFC 5321, 2.4), so there must not be two mailboxes. lmtpd then
    finds none for the capitals: the MTA has to write domains in lower case, as the notice says."""
    options = {**ON, **VIRTUAL, "lmtp_downcase_rcpt": "no"}
    with Pair(options, accounts=["joe@other.test"]) as pair:
        outcome = pair.deliver(["joe@OTHER.test"])["joe@OTHER.test"]
        assert outcome == Outcome((250, 250), "accept", (550,))
        assert pair.native.mailboxes() == {"user/joe@OTHER.test"}
        assert pair.ours.mailboxes() == {"user/joe@other.test"}
        assert "lmtp_downcase_rcpt" in pair.product.run("config", "check").stdout


def test_what_becomes_of_the_default_domain_in_capitals_is_the_same_whoever_creates() -> None:
    """mbname_from_recipient() compares domains before their case is folded, until 3.12. Nothing that
    we create can help: the MTA has to write domains in lower case."""
    dies = (250, 421)
    codes = {(3, 2): (550,), (3, 6): dies, (3, 10): dies, (3, 12): (250, 250)}[version()]
    with Pair({**ON, **VIRTUAL}, accounts=["joe"]) as pair:
        pair.deliver(["joe@ex.test"])
        outcome = pair.deliver(["joe@EX.test"])["joe@EX.test"]
    # 3.2 looks for the mailbox of another user, whom native autocreate then cannot create.
    native = (451,) if version() == (3, 2) else codes
    assert outcome == Outcome(native, "accept", codes)


def test_a_caret_is_a_dot_natively_and_a_stranger_s_to_us() -> None:
    """Inside Cyrus a^b is the spelling of a.b, so mail to the one reaches the other."""
    with Pair(ON, accounts=["a.b"]) as pair:
        assert pair.deliver(["a^b@ex.test"])["a^b@ex.test"].verdict == "unknown"
        assert pair.native.mailboxes() == {"user/a.b"}
        assert pair.ours.mailboxes() == set()


@pytest.mark.parametrize("is_there", [True, False])
def test_lmtpd_dies_of_a_compiled_script_natively_and_we_install_it(is_there: bool) -> None:
    """autocreate_sieve() rewinds a file that it has not opened; it does not get to making a missing one either."""
    with fresh_folder("scripts") as folder:
        script, compiled = folder / "default.sieve", folder / "default.bc"
        script.write_text(SCRIPTS["default.sieve"])
        if is_there:
            run(["/usr/lib/cyrus/bin/sievec", script, compiled])
        options = {
            **ON,
            **FOLDERS,
            "autocreate_sieve_script": str(script),
            "autocreate_sieve_script_compiled": str(compiled),
            "generate_compiled_sieve_script": "yes",
        }
        with Pair(options, accounts=["joe"]) as pair:
            outcome = pair.deliver(["joe"])["joe"]
            native, ours = pair.standing()
    assert outcome == Outcome((), "accept", (250, 250))
    assert native.scripts["joe"] == {}
    assert ours.scripts["joe"] == {
        "default.sieve": Script(kept(SCRIPTS["default.sieve"].encode()), is_active=True)
    }
    assert ours.messages["joe"]["INBOX/Spam"] == 1


def test_a_folder_called_inbox_is_made_natively_and_left_out_by_us() -> None:
    """Its owner sees it as INBOX/INBOX, and beside INBOX not at all under its name."""
    options = {**ON, "autocreate_inbox_folders": "INBOX.Sent|Drafts"}
    with Pair(options, accounts=["joe"]) as pair:
        pair.deliver(["joe"])
        assert pair.native.mailboxes("user/joe/INBOX/*") == {"user/joe/INBOX/Sent"}
        assert pair.ours.mailboxes("user/joe/*") == {"user/joe/Drafts"}
        assert "folder 'INBOX/Sent' cannot exist" in pair.product.run("config", "check").stdout


@pytest.mark.parametrize(
    ("value", "before_3_10", "since_3_10"),
    [("010", 8, 10), ("08", None, 8), ("0x1F", 31, None), ("500M", None, 500 << 10)],
)
def test_a_quota_means_to_us_what_it_means_to_this_version_of_cyrus(
    value: str, before_3_10: int | None, since_3_10: int | None, tmp_path: Path
) -> None:
    """From 3.10 on it is a byte size. None: Cyrus does not start on it."""
    expected = before_3_10 if version() < (3, 10) else since_3_10
    options = {**ON, "autocreate_quota": value}
    if expected is None:
        file = tmp_path / "imapd.conf"
        file.write_text(f"configdirectory: /conf\nautocreate_quota: {value}\n")
        cyrus = subprocess.run([CYR_INFO, "-C", file, "conf"], capture_output=True, check=False)
        assert cyrus.returncode == 78
        return
    with Pair(options, accounts=["joe"]) as pair:
        pair.deliver(["joe"])
        assert pair.native.quota("user/joe") == {"STORAGE": expected}
        assert pair.ours.quota("user/joe") == {"STORAGE": expected}


def test_docs_compatibility_has_a_column_for_this_version_of_cyrus() -> None:
    document = Path(__file__).parents[2] / "docs/compatibility.md"
    header = re.search(r"^\| Differs by version \|.*$", document.read_text(), re.MULTILINE)
    assert header
    major, minor = version()
    assert f"Cyrus {major}.{minor}" in header[0]

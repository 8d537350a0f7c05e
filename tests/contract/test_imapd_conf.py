"""Our reading of imapd.conf against that of Cyrus's own cyr_info, which links its libconfig."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from signal import SIGABRT

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocreate.errors import ConfigurationError
from autocreate.imapdconf import parser as imapd_parser
from autocreate.imapdconf import reading as imapd_reading
from autocreate.imapdconf import settings as imapd_settings
from tests.servers.common import HUNG
from tests.servers.cyrus import CYR_INFO
from tests.servers.cyrusversion import version

TEXTS = [
    "admins: cyrus  ann\t bob  \n",
    "  Admins :x\n",
    "AUTOCREATE_Quota: 100\nautocreate_post: yes\n",
    "autocreate_quota: 010\n",
    "autocreate_quota: 0x1F\n",
    "autocreate_quota: 08\n",
    "autocreate_quota: +5\n",
    "autocreate_quota: -1\n",
    "autocreate_quota: 100M\n",
    "autocreate_quota: 1 2\n",
    "autocreate_quota: 5\nautocreatequota: 6\n",
    "autocreatequota: 6\nlmtp_autocreatequota: 7\n",
    "autocreatequota: 6\nlmtp_autocreate_quota: 7\nautocreate_quota: 8\n",
    "lmtp_autocreate_users: ann\nautocreate_users: joe group:x\n",
    "autocreate_users: joe\nimap_autocreate_users: ann\n",
    "LMTP_autocreate_post: t\n",
    "createonpost: on\n",
    "createonpost: of\n",
    "createonpost: Yes\n",
    "createonpost: maybe\n",
    "autocreate_inbox_folders: A|\\\n   B\n",
    "autocreate_inbox_folders: A\\\n",
    "autocreate_inbox_folders: A\\",
    "autocreate_inbox_folders: A \\ \npostuser: x\n",
    "# comment \\\nautocreate_quota: 1\npostuser: x\n",
    "postuser: x # y\n",
    "#postuser: x\n   # postuser: y\n",
    "postuser:\n",
    "postuser x\n",
    "post user: x\n",
    "postuser: x\npostuser: x\n",
    "foo: 1\nfoo: 1\n",
    ": x\n",
    "\n\r\n  \t\npostuser: x\r\n",
    "sievedir: {configdirectory}/sieve\n",
    "virtdomains: userid\ndefaultdomain: ex.test\n",
    "virtdomains: true\n",
    "virtdomains: y\n",
    "unixhierarchysep: no\naltnamespace: f\nusername_tolower: 0\nlmtp_downcase_rcpt: off\n",
    "@include: FOLDER/more\npostuser: y\n",
    "@include: FOLDER/more\n@include: FOLDER/more\n",
    "@include: FOLDER/imapd.conf\n",
    "@include: FOLDER/none\n",
    "@exclude: FOLDER/more\n",
    "userprefix: Users\nsharedprefix: Common\n",
    "generate_compiled_sieve_script: 1\nautocreate_sieve_compiled_script: /a\nautosievefolders: x\n",
    "autosubscribeinboxfolders: a\nautosubscribesharedfolders: b\n"
    "autosubscribe_all_sharedfolders: yes\nautocreatequotamsg: 9\n",
]

STRINGS = [
    "admins",
    "autocreate_inbox_folders",
    "autocreate_sieve_folders",
    "autocreate_sieve_script_compiled",
    "autocreate_subscribe_folders",
    "autocreate_subscribe_sharedfolders",
    "autocreate_users",
    "defaultdomain",
    "postuser",
    "sharedprefix",
    "sievedir",
    "userprefix",
]
SWITCHES = [
    "altnamespace",
    "autocreate_post",
    "autocreate_sieve_script_compile",
    "autocreate_subscribe_sharedfolders_all",
    "lmtp_downcase_rcpt",
    "unixhierarchysep",
    "username_tolower",
]
NUMBERS = ["autocreate_quota", "autocreate_quota_messages"]


@pytest.fixture
def lay_out(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "more").write_text("admins: more\n")
        file = tmp_path / "imapd.conf"
        file.write_text("configdirectory: /conf\n" + text.replace("FOLDER", str(tmp_path)))
        return file

    return write


@pytest.mark.parametrize("text", TEXTS)
def test_we_read_what_cyrus_reads(text: str, lay_out: Callable[[str], Path]) -> None:
    file = lay_out(text)
    _compare(file)


_KEYS = ["admins", "AUTOCREATE_quota", "lmtp_autocreate_quota", "autocreatequota", "createonpost"]
_KEYS += [
    "lmtp_createonpost",
    "autocreate_post",
    "postuser",
    "virtdomains",
    "foo",
    "@include",
    "#x",
]
_VALUES = ["yes", "no", "on", "0", "010", "0x1f", "-1", "userid", "a  b", "é", "FOLDER/more", ""]
_ENDS = ["\n", "\n", "\n", "\n", "\\\n", " \\\n  ", "\\", " # x\n", "\r\n", " \f\n\n", ""]

# What the rules of the file turn upon, in every order.
_LINES = st.lists(
    st.tuples(
        st.sampled_from(["", "", "", " ", "\t", "#"]),
        st.sampled_from(_KEYS),
        st.sampled_from([":", ": ", ":\t ", ":", " :", ""]),
        st.sampled_from(_VALUES),
        st.sampled_from(_ENDS),
    ).map("".join),
    max_size=5,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_LINES)
def test_we_read_what_cyrus_reads_whatever_it_is(
    lay_out: Callable[[str], Path], lines: list[str]
) -> None:
    _compare(lay_out("".join(lines)))


# Sizes on which only Cyrus 3.10 and later start, or only the versions before it. We read both, since
# the file alone does not tell whose it is.
_NEW_SIZES = re.compile(r"quota: (08|100M)$", re.MULTILINE)
_OLD_SIZES = re.compile(r"quota\s*:\s*0x1f", re.MULTILINE | re.IGNORECASE)


def _compare(file: Path) -> None:
    theirs = _as_cyrus(file)
    others = _NEW_SIZES if version() < imapd_reading.BYTE_SIZES_SINCE else _OLD_SIZES
    if theirs is not None:
        assert _as_we(file) == theirs
    elif not others.search(file.read_text()):
        with pytest.raises(ConfigurationError):
            _as_we(file)


def _as_cyrus(file: Path) -> dict[str, str] | None:
    """The options in question as lmtpd has them, or None if it, or imapd, would not start."""
    for service in ("imap", "lmtp"):
        done = subprocess.run(
            [CYR_INFO, "-n", service, "-C", file, "conf-all"],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=HUNG,
        )
        if done.returncode:
            assert done.returncode in (78, -SIGABRT), done.stderr
            return None
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    return {name: said.get(name, "") for name in (*STRINGS, *SWITCHES, *NUMBERS, "virtdomains")}


def _as_we(file: Path) -> dict[str, str]:
    options = imapd_parser.read(str(file), file.read_text(), lambda path: Path(path).read_text())
    conf = imapd_settings.interpret(str(file), options)
    is_old = version() < imapd_reading.BYTE_SIZES_SINCE
    reading = imapd_reading.Reading(options, imapd_reading.BYTE_SIZES_SINCE if is_old else None)
    defaults = {"autocreate_users": "anyone", "defaultdomain": "internal", "sievedir": "/usr/sieve"}
    defaults |= {"sharedprefix": "Shared Folders", "userprefix": "Other Users"}
    on = {"altnamespace", "lmtp_downcase_rcpt", "unixhierarchysep", "username_tolower"}
    strings = {name: reading.text(name, defaults.get(name, ""), ["lmtp"]) for name in STRINGS}
    switches = {
        name: "yes" if reading.switch(name, name in on, ["lmtp"]) else "no" for name in SWITCHES
    }
    numbers = {name: str(reading.integer(name, -1, ["lmtp"])) for name in NUMBERS}
    if not is_old:  # which cyr_info shows as they are written
        numbers["autocreate_quota"] = reading.text("autocreate_quota", "-1", ["lmtp"])
    return strings | switches | numbers | {"virtdomains": conf.virtdomains}

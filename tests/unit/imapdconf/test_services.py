"""The entries of cyrus.conf that let users in or create mailboxes."""

from __future__ import annotations

import pytest

from autocreate.imapdconf.services import ServiceEntry, names_by_kind, read_entries

# After Debian's cyrus.conf, with an imapd for this machine alone.
TWO_IMAP_SERVICES = """
START {
  recover   cmd="/usr/sbin/cyrus ctl_cyrusdb -r"
}
SERVICES {
  imap      cmd="imapd -U 30" listen="192.0.2.7:imap" prefork=0 maxchild=100
  imaps     cmd="imapd -s -U 30" listen="imaps" prefork=0
  imaplocal cmd="imapd -C /etc/imapd-local.conf -U 5" listen="127.0.0.1:imap" prefork=0
  lmtpunix  cmd="lmtpd" listen="/run/cyrus/socket/lmtp" prefork=0
  # nntp    cmd="nntpd" listen="nntp"
  notify    cmd="notifyd" listen="/run/cyrus/socket/notify" proto="udp"
}
"""


def test_each_entry_has_its_name_its_place_and_the_file_that_it_reads() -> None:
    assert read_entries(TWO_IMAP_SERVICES) == (
        ServiceEntry("imap", "imap", "192.0.2.7:imap"),
        ServiceEntry("imaps", "imap", "imaps"),
        ServiceEntry("imaplocal", "imap", "127.0.0.1:imap", "/etc/imapd-local.conf"),
        ServiceEntry("lmtpunix", "lmtp", "/run/cyrus/socket/lmtp"),
    )
    assert names_by_kind(read_entries(TWO_IMAP_SERVICES)) == {
        "lmtp": ("lmtpunix",),
        "imap": ("imap", "imaps", "imaplocal"),
        "pop3": (),
        "sieve": (),
    }


@pytest.mark.parametrize(
    ("command", "config"),
    [
        ("imapd", ""),
        ("imapd -C /etc/a.conf", "/etc/a.conf"),
        ("imapd -C/etc/a.conf -s", "/etc/a.conf"),
        ("imapd -s -C", ""),
        ("/usr/lib/cyrus/bin/imapd -U 30 -C /etc/a.conf", "/etc/a.conf"),
    ],
)
def test_the_file_of_a_service_is_what_its_option_says(command: str, config: str) -> None:
    (entry,) = read_entries(f'SERVICES {{\n  Imap cmd="{command}" listen="imap"\n}}\n')
    assert entry == ServiceEntry("imap", "imap", "imap", config)

"""What of a Postfix no milter sees, by its configuration."""

from __future__ import annotations

import pytest

from autocreate.doctor.findings import MilterSettings
from autocreate.doctor.postconf import Postfix, Service
from autocreate.doctor.postfix_unseen import Copies, copies, examine, recipients

OURS = MilterSettings("unix:/run/m.sock", 8.0, frozenset({"example.org"}), frozenset({"lmtp"}), "+")
CLEANUP = Service("cleanup", "unix", False, "cleanup")
ASKED = {"non_smtpd_milters": "unix:/run/m.sock"}


@pytest.mark.parametrize(
    ("classes", "missing"),
    [
        ("", ["lacks bounce and notify"]),
        ("bounce", ["lacks notify"]),
        ("notify", ["lacks bounce"]),
        ("bounce,notify", []),
        ("notify bounce", []),
    ],
)
def test_messages_of_postfixs_own_that_we_are_not_shown(classes: str, missing: list[str]) -> None:
    postfix = Postfix({**ASKED, "internal_mail_filter_classes": classes}, (CLEANUP,))
    found = [finding.what for finding in examine(postfix, OURS)]
    assert found == [f"main.cf: internal_mail_filter_classes {it}" for it in missing]


def test_nothing_is_said_of_them_where_not_even_submitted_mail_is_shown_to_us() -> None:
    assert list(examine(Postfix({}, (CLEANUP,)), OURS)) == []


def test_copies_are_told_wherever_they_are_named() -> None:
    postfix = Postfix(
        {
            "always_bcc": "archive@example.org",
            "recipient_bcc_maps": "hash:/etc/bcc, inline:{ a@b.test=c@d.test, e=f } regexp:/etc/re",
            "sender_bcc_maps": "",
        },
        (CLEANUP, Service("other", "unix", False, "cleanup")),
        {("other/unix", "always_bcc"): "", ("other/unix", "sender_bcc_maps"): "lmdb:/etc/s"},
    )
    assert list(copies(postfix)) == [
        Copies("main.cf: always_bcc", "archive@example.org"),
        Copies("main.cf: recipient_bcc_maps", map="hash:/etc/bcc"),
        Copies("main.cf: recipient_bcc_maps", map="inline:{ a@b.test=c@d.test, e=f }"),
        Copies("main.cf: recipient_bcc_maps", map="regexp:/etc/re"),
        Copies("master.cf, other unix: sender_bcc_maps", map="lmdb:/etc/s"),
    ]


def test_the_recipients_in_a_map_are_its_values_once_each() -> None:
    listed = (
        "joe@example.org\tcopy@example.org\nann@example.org copy@example.org\n@x\tall\nbroken\n\n"
    )
    assert recipients(listed) == ["copy@example.org", "all"]

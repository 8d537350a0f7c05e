"""What postconf(1) prints, parsed."""

from __future__ import annotations

import pytest

from autocreate.doctor import postconf as postconf_rules
from autocreate.doctor.postconf import Postfix, Service


def test_what_postconf_prints_is_parsed() -> None:
    services = postconf_rules.read_services(
        "smtp       inet  n       -       y       -       -       smtpd\n"
        "smtp       unix  -       -       n       -       -       smtp -o syslog_name=x\n",
        "3.6",
    )
    assert services == (
        Service("smtp", "inet", True, "smtpd"),
        Service("smtp", "unix", False, "smtp", "-o syslog_name=x"),
    )
    assert postconf_rules.read_overrides("submission/inet/smtpd_milters = unix:/x\n") == {
        ("submission/inet", "smtpd_milters"): "unix:/x"
    }
    assert postconf_rules.read_parameters("a = b = c\nempty =\n") == {"a": "b = c", "empty": ""}
    assert postconf_rules.items("a, hash:/b !c\tinline:{ d=e, f=g },h") == [
        *("a", "hash:/b", "!c", "inline:{ d=e, f=g }", "h")
    ]
    assert [postconf_rules.seconds(it) for it in ("30", "30s", "5m", "1h")] == [30, 30, 300, 3600]


def test_the_line_of_main_cf_that_counts_is_the_last_that_sets_a_parameter() -> None:
    text = "# first = 0\nfirst = 1\n\nsecond= 2,\n  first = 3\nfirst =4\n"
    assert postconf_rules.read_lines(text) == {"first": 6, "second": 4}


def test_a_setting_says_where_it_is_configured() -> None:
    own = {("submission/inet", "smtpd_milters"): "unix:/x"}
    smtp, submission = (Service(name, "inet", False, "smtpd") for name in ("smtp", "submission"))
    postfix = Postfix({"smtpd_milters": "unix:/y"}, (smtp, submission), own, {"smtpd_milters": 7})
    settings = postfix.settings("smtpd_milters", [smtp, submission, smtp])
    assert [(it.where, it.value) for it in settings] == [
        ("main.cf, line 7: smtpd_milters", "unix:/y"),
        ("master.cf, submission inet: smtpd_milters", "unix:/x"),
    ]
    assert postfix.setting("milter_rcpt_macros").where == "main.cf: milter_rcpt_macros"


def test_a_line_of_master_cf_that_is_too_short_is_no_service() -> None:
    assert postconf_rules.read_services("smtp inet n - y - -\n\n", "3.6") == ()


@pytest.mark.parametrize(
    ("level", "is_chrooted"),
    [("3.6", False), ("2", False), ("1", False), ("0", True), ("", True)],
)
def test_a_service_is_chrooted_by_default_only_below_compatibility_level_1(
    level: str, is_chrooted: bool
) -> None:
    lines = "smtp inet n - - - - smtpd\nlmtp unix - - y - - lmtp\nlocal unix - n n - - local\n"
    services = postconf_rules.read_services(lines, level)
    assert [it.is_chrooted for it in services] == [is_chrooted, True, False]

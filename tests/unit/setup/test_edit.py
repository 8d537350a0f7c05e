"""Lines of other programs' files: what changes, and that all else stays."""

from __future__ import annotations

from autocreate.setup import edit

MAIN_CF = """\
# Ours.
smtpd_milters = inet:localhost:11332
virtual_mailbox_domains = example.org,
# a comment between
    other.test
myhostname=mx.example.org"""


def test_a_parameter_that_is_set_changes_in_its_place() -> None:
    text = edit.set_parameters(MAIN_CF, {"smtpd_milters": "unix:a/b"}, {"smtpd_milters": "why"})
    assert text == MAIN_CF.replace("inet:localhost:11332", "unix:a/b")


def test_a_parameter_changes_with_the_lines_that_continue_it() -> None:
    text = edit.set_parameters(MAIN_CF, {"virtual_mailbox_domains": "x.test"}, {})
    assert "x.test\n# a comment between\nmyhostname" in text
    assert "other.test" not in text


def test_a_parameter_that_is_not_set_is_appended_with_its_reason() -> None:
    text = edit.set_parameters(
        MAIN_CF, {"recipient_delimiter": "+"}, {"recipient_delimiter": "why"}
    )
    assert text == f"{MAIN_CF}\n# autocreate-milter: why\nrecipient_delimiter = +\n"


def test_the_last_of_several_lines_counts_as_in_postfix() -> None:
    text = edit.set_parameters("a = 1\nb = 2\na = 3\n", {"a": "4"}, {})
    assert text == "a = 1\nb = 2\na = 4\n"


def test_a_parameter_is_read_as_it_is_written() -> None:
    assert edit.parameter(MAIN_CF, "virtual_mailbox_domains") == "example.org, other.test"
    assert edit.parameter("a = $b, c\n", "a") == "$b, c"
    assert edit.parameter("ab = 1\n", "a") == ""


def test_a_service_leaves_its_chroot_and_its_columns_stay() -> None:
    text = (
        "smtp      inet  n       -       y       -       -       smtpd\nlmtp unix - - - - - lmtp\n"
    )
    assert edit.without_chroot(text, "lmtp", "unix") == text.replace(
        "lmtp unix - - - -", "lmtp unix - - n -"
    )
    assert edit.without_chroot(text, "smtp", "inet") == text.replace("y  ", "n  ")


def test_an_option_of_imapd_conf_goes_where_it_is_commented_out() -> None:
    text = "a: 1\n#admins: cyrus\nb: 2\n"
    assert edit.append_option(text, "admins", "cyrus", "why") == (
        "a: 1\n#admins: cyrus\n# autocreate-milter: why\nadmins: cyrus\nb: 2\n"
    )
    assert edit.append_option("a: 1", "admins", "cyrus", "why") == (
        "a: 1\n# autocreate-milter: why\nadmins: cyrus\n"
    )
    assert edit.add_to_option("admins: root  \nb: 2\n", "admins", "cyrus") == (
        "admins: root cyrus\nb: 2\n"
    )


def test_macros_of_sendmail_come_before_its_mailers() -> None:
    text = "OSTYPE(`debian')dnl\nMAILER(`smtp')dnl\n"
    assert edit.insert_macros(text, "FILTER\n") == (
        "OSTYPE(`debian')dnl\nFILTER\nMAILER(`smtp')dnl\n"
    )

"""imapd.conf as Cyrus reads it, and what this program takes from it."""

from __future__ import annotations

import pytest

from autocreate.core.policy import Policy, select
from autocreate.errors import ConfigurationError
from autocreate.imapdconf import parser as imapd_parser
from autocreate.imapdconf import settings as imapd_settings
from autocreate.imapdconf.policies import folder_path
from autocreate.imapdconf.services import names_by_kind, read_entries
from autocreate.imapdconf.text import as_text
from autocreate.mailstore.memory import Memory
from autocreate.model import Account, Version
from autocreate.tree.values import Folder, Quota

PATH = "/etc/imapd.conf"


def read(text: str, **included: str) -> dict[str, str]:
    return {option.key: option.value for option in options(text, **included).every}


def options(text: str, **included: str) -> imapd_parser.Options:
    def include(path: str) -> str:
        if path not in included:
            raise FileNotFoundError(2, "No such file or directory")
        return included[path]

    return imapd_parser.read(PATH, text, include)


def problems(text: str, **included: str) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        imapd_settings.interpret(PATH, options(text, **included))
    return list(error.value.problems)


def take(text: str) -> imapd_settings.ImapdConf:
    return imapd_settings.interpret(PATH, options(text))


def policy(text: str, service: str = "lmtp", user: str = "joe") -> Policy:
    chosen = select(take(text).policies, user, "", frozenset, service)
    assert chosen
    return chosen


def test_keys_lose_their_case_and_values_their_outer_spaces() -> None:
    assert read("  AutoCreate_Quota:\t 100 \nadmins: a  b\n") == {
        "autocreate_quota": "100",
        "admins": "a  b",
    }


def test_a_hash_is_a_comment_at_a_line_s_start_only() -> None:
    assert read("# admins: a\n  # admins: b\nadmins: c # d\n") == {"admins": "c # d"}


def test_a_continued_line_keeps_the_next_line_s_indent() -> None:
    assert read("autocreate_inbox_folders: Sent|\\\n  Junk\n") == {
        "autocreate_inbox_folders": "Sent|  Junk"
    }


def test_a_comment_can_be_continued_too() -> None:
    assert read("# first \\\nadmins: a\nservername: x\n") == {"servername": "x"}


def test_a_file_that_ends_with_a_backslash_loses_its_last_line() -> None:
    assert read("admins: a\nservername: x\\\n") == {"admins": "a"}


def test_a_last_line_without_a_newline_counts_with_its_backslash() -> None:
    assert read("servername: x\\") == {"servername": "x\\"}


def test_a_line_is_numbered_by_its_last_part() -> None:
    assert problems("admins: a\nfoo bar: \\\n baz\n") == [
        "/etc/imapd.conf, line 3: is not of the form 'option: value'"
    ]


def test_an_empty_value_is_a_mistake() -> None:
    assert problems("admins:\n") == [
        "/etc/imapd.conf, line 1: admins: has no value; remove the line or give it one"
    ]


def test_an_option_given_twice_is_a_mistake() -> None:
    assert problems("admins: a\nADMINS: b\n") == [
        "/etc/imapd.conf, line 2: admins: is set twice, first in /etc/imapd.conf, line 1"
    ]


def test_an_included_file_is_read_in_its_place() -> None:
    assert read("@include: more\nservername: x\n", more="admins: a\n") == {
        "admins": "a",
        "servername": "x",
    }


def test_a_mistake_in_an_included_file_names_that_file() -> None:
    assert problems("@INCLUDE: more\n", more="\nadmins:\n")[0].startswith("more, line 2: admins:")


def test_a_file_included_twice_is_a_mistake() -> None:
    assert problems("@include: more\n@include: more\n", more="admins: a\n") == [
        "/etc/imapd.conf, line 2: @include: more is included twice"
    ]


def test_a_file_that_includes_itself_is_a_mistake() -> None:
    assert problems("@include: /etc/imapd.conf\n") == [
        "/etc/imapd.conf, line 1: @include: /etc/imapd.conf is included twice"
    ]


def test_an_included_file_that_is_missing_is_a_mistake() -> None:
    assert problems("@include: gone\n") == [
        "/etc/imapd.conf, line 1: @include: cannot read gone: No such file or directory"
    ]


@pytest.mark.parametrize("value", ["1", "yes", "y", "on", "true", "t", "yep"])
def test_switches_that_are_on(value: str) -> None:
    assert take(f"sieveusehomedir: {value}\n").sieve.use_home


@pytest.mark.parametrize("value", ["0", "no", "n", "off", "false", "f", "nope"])
def test_switches_that_are_off(value: str) -> None:
    assert not take(f"username_tolower: {value}\n").username_tolower


@pytest.mark.parametrize("value", ["Yes", "NO", "o", "maybe"])
def test_switches_that_are_none(value: str) -> None:
    assert problems(f"username_tolower: {value}\n") == [
        f"/etc/imapd.conf, line 1: username_tolower: {value!r} is not a switch; write yes or no"
    ]


@pytest.mark.parametrize(
    ("value", "kibibytes"),
    [
        ("100", 100),
        ("0x10", 16),
        ("2G", 2 << 20),
        ("500 MiB", 500 << 10),
        ("2048B", 2),
        ("5kb", 5),
    ],
)
def test_quotas_in_every_spelling(value: str, kibibytes: int) -> None:
    assert policy(f"autocreate_quota: {value}\nautocreate_post: yes\n").tree.quota == Quota(
        kibibytes
    )


@pytest.mark.parametrize(
    ("value", "before", "since"),
    [("010", 8, 10), ("0x1F", 31, 31), ("08", 8, 8), ("2 GiB", 2 << 20, 2 << 20)],
)
def test_a_quota_is_what_it_is_to_the_version_of_the_server(
    value: str, before: int, since: int
) -> None:
    """From 3.10 on it is a byte size. What only one of them starts on is read as that one reads it."""
    found = policy(f"autocreate_quota: {value}\nautocreate_post: yes\n")
    for version, kibibytes in (((3, 2), before), ((3, 8), before), ((3, 10), since)):
        tree, _problems = found.tree_for(Account("joe", "staff"), Memory(version=version).version)
        assert tree.quota == Quota(kibibytes)


def test_a_server_is_not_asked_for_its_version_where_nothing_hangs_on_it() -> None:
    def version() -> Version:
        raise AssertionError

    found = policy("autocreate_quota: 5\nautocreate_post: yes\n")
    assert found.tree_for(Account("joe", "staff"), version) == (found.tree, ())


@pytest.mark.parametrize("value", ["1T", "lots", "1 2", "1.5G"])
def test_quotas_that_are_none(value: str) -> None:
    assert problems(f"autocreate_quota: {value}\n") == [
        f"/etc/imapd.conf, line 1: autocreate_quota: {value!r} is not a size; "
        "write KiB, as in 2097152, or 2G"
    ]


def test_virtual_domains_have_three_modes_and_nothing_else() -> None:
    assert take("virtdomains: yes\n").virtdomains == "on"
    assert take("virtdomains: userid\n").virtdomains == "userid"
    assert take("admins: a\n").virtdomains == "off"
    assert problems("virtdomains: Userid\n") == [
        "/etc/imapd.conf, line 1: virtdomains: 'Userid' is not one of off, userid, on"
    ]


def test_what_the_patch_called_its_options_is_understood() -> None:
    conf = take(
        "autocreatequota: 1000\n"
        "autocreatequotamsg: 50\n"
        "createonpost: yes\n"
        "autocreateinboxfolders: sent|drafts|spam|templates\n"
        "autosubscribeinboxfolders: sent|spam\n"
        "autosubscribesharedfolders: public_folder | public_folder.subfolder\n"
        "autocreate_sieve_script: /etc/default_sieve_script\n"
        "autocreate_sieve_compiledscript: /etc/default_sieve_script.bc\n"
        "generate_compiled_sieve_script: yes\n"
        "autosievefolders: lists\n"
    )
    (policy,) = conf.policies
    assert policy.tree.quota == Quota(1000, 50)
    assert policy.tree.folders == (
        Folder(subscribe=True),
        Folder(("sent",), subscribe=True),
        Folder(("drafts",)),
        Folder(("spam",), subscribe=True),
        Folder(("templates",)),
    )
    assert policy.tree.shared == ("public_folder", "public_folder/subfolder")
    assert conf.sieve == imapd_settings.Sieve(
        "/etc/default_sieve_script", "/etc/default_sieve_script.bc", True, ("lists",)
    )
    assert conf.notices == ()


def test_a_new_name_comes_before_an_old_one_wherever_they_stand() -> None:
    text = "autocreatequota: 1\nautocreate_quota: 2\nautocreate_post: yes\n"
    assert policy(text).tree.quota == Quota(2)


def test_a_service_s_own_option_comes_before_the_general_one() -> None:
    text = "autocreate_quota: 1\nlmtp_autocreate_quota: 2\nautocreate_post: yes\n"
    assert policy(text, "lmtp").tree.quota == Quota(2)
    assert policy(text, "imap").tree.quota == Quota(1)


def test_all_shared_folders_override_those_that_are_named() -> None:
    text = (
        "autocreate_quota: 0\nautocreate_post: on\nautocreate_subscribe_sharedfolders: a\n"
        "autocreate_subscribe_sharedfolders_all: yes\n"
    )
    assert policy(text).tree.shared == ("*",)


def test_a_quota_of_zero_is_a_quota_root_without_a_limit() -> None:
    assert policy("autocreate_quota: 0\nautocreate_post: on\n").tree.quota == Quota(root=True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("autocreate_post: yes\n", "autocreate_quota is not set"),
        ("autocreate_quota: 0\n", "autocreate_post is not set"),
        (
            "autocreate_quota: -1\nautocreate_post: yes\n",
            "/etc/imapd.conf, line 1: autocreate_quota: is negative",
        ),
        (
            "autocreate_quota: 0\ncreateonpost: no\n",
            "/etc/imapd.conf, line 2: createonpost: is off",
        ),
    ],
)
def test_what_makes_a_delivery_create_nothing(text: str, why: str) -> None:
    assert (policy(text).create, policy(text).why) == (False, why)


def test_a_login_needs_a_quota_and_nothing_else() -> None:
    for service in ("imap", "pop3", "sieve"):
        assert policy("autocreate_quota: 0\n", service).create


def test_no_autocreate_option_makes_no_policy() -> None:
    assert take("admins: cyrus\n").policies == ()


def test_users_and_groups_narrow_the_policy_of_their_service() -> None:
    conf = take(
        "autocreate_quota: 0\nautocreate_post: yes\nautocreate_users: ann group:staff\n"
        "lmtp_autocreate_users: group:students\npop3_autocreate_users: anyone\n"
    )

    def creates(user: str, groups: set[str], service: str) -> bool:
        return bool(select(conf.policies, user, "", lambda: frozenset(groups), service))

    assert creates("ann", set(), "imap")
    assert creates("joe", {"staff"}, "imap")
    assert not creates("joe", {"students"}, "imap")
    assert creates("joe", {"students"}, "lmtp")
    assert not creates("ann", set(), "lmtp")
    assert creates("joe", set(), "pop3")


def test_the_names_of_cyrus_conf_are_the_prefixes() -> None:
    entries = read_entries(
        'START {\n  lmtpd cmd="lmtpd"\n}\nSERVICES {\n'
        '  imap cmd="imapd -U 30" listen="imap" prefork=0\n'
        '  # old cmd="lmtpd"\n'
        '  pop cmd=pop3d listen="pop3" # cmd="imapd"\n'
        '  Mailin cmd="/usr/sbin/cyrus lmtpd -a" listen="127.0.0.1:24"\n}\n'
    )
    services = names_by_kind(entries)
    assert services == {"lmtp": ("mailin",), "imap": ("imap",), "pop3": ("pop",), "sieve": ()}
    text = "autocreate_quota: 0\nautocreate_post: yes\nmailin_autocreate_users: ann\n"
    conf = imapd_settings.interpret(PATH, options(text + "lmtp_autocreate_users: joe\n"), services)
    assert select(conf.policies, "ann", "", frozenset)
    assert not select(conf.policies, "joe", "", frozenset)
    assert conf.notices == (
        "/etc/imapd.conf, line 4: lmtp_autocreate_users: has no effect: no service is named "
        "'lmtp'; the services that create mailboxes are mailin, imap, pop",
    )


def test_services_of_one_kind_that_differ_are_noticed() -> None:
    conf = take("autocreate_quota: 0\nimap_autocreate_users: a\nimaps_autocreate_users: b\n")
    assert conf.notices == (
        "/etc/imapd.conf, line 3: autocreate_users is 'a' for imap and 'b' for imaps; a login counts "
        "as coming by imap",
    )
    assert not select(conf.policies, "b", "", frozenset, "imap")


TWO_LMTPDS = {"lmtp": ("lmtp", "local"), "imap": ("imap",), "pop3": (), "sieve": ()}
FOR_ONE = "autocreate_quota: 0\nautocreate_post: yes\n{service}_autocreate_users: ann\n"


@pytest.mark.parametrize(
    ("service", "named", "joe"),
    [
        ("lmtp", "", False),
        ("lmtp", "lmtp", False),
        ("lmtp", "local", True),
        ("lmtp", "LOCAL", True),
        ("local", "", True),
        ("local", "lmtp", True),
        ("local", "local", False),
    ],
)
def test_options_of_one_service_say_nothing_about_mail_by_another(
    service: str, named: str, joe: bool
) -> None:
    conf = imapd_settings.interpret(
        PATH, options(FOR_ONE.format(service=service)), TWO_LMTPDS, named
    )
    assert bool(select(conf.policies, "joe", "", frozenset)) is joe
    assert select(conf.policies, "ann", "", frozenset)


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("lmtp", "'ann' for lmtp and not set for local"),
        ("local", "not set for lmtp and 'ann' for local"),
    ],
)
def test_services_that_differ_in_effect_are_noticed_until_one_is_named(
    service: str, said: str
) -> None:
    read_options = options(FOR_ONE.format(service=service))
    assert imapd_settings.interpret(PATH, read_options, TWO_LMTPDS).notices == (
        f"/etc/imapd.conf, line 3: autocreate_users is {said}; mail counts as coming by lmtp; "
        "cyrus.lmtp_service names another",
    )
    assert imapd_settings.interpret(PATH, read_options, TWO_LMTPDS, "lmtp").notices == ()
    assert imapd_settings.interpret(PATH, read_options, TWO_LMTPDS, "local").notices == ()


def test_services_that_say_the_same_in_different_places_are_not_noticed() -> None:
    text = FOR_ONE.format(service="lmtp") + "autocreate_users: ann\n"
    assert imapd_settings.interpret(PATH, options(text), TWO_LMTPDS).notices == ()


def test_how_a_service_spells_users_is_its_own_too() -> None:
    read_options = options("local_lmtp_downcase_rcpt: no\nlmtp_postuser: bb\n")
    lmtp = imapd_settings.interpret(PATH, read_options, TWO_LMTPDS, "lmtp")
    local = imapd_settings.interpret(PATH, read_options, TWO_LMTPDS, "local")
    assert (lmtp.lmtp_downcase_rcpt, lmtp.postuser) == (True, "bb")
    assert (local.lmtp_downcase_rcpt, local.postuser) == (False, "")


def test_a_service_that_cyrus_conf_does_not_have_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError) as error:
        imapd_settings.interpret(PATH, options("admins: cyrus\n"), TWO_LMTPDS, "unix")
    assert error.value.problems == (
        "cyrus.lmtp_service is 'unix', and cyrus.conf has no service of that name that runs lmtpd, "
        "only lmtp, local",
    )


def test_without_cyrus_conf_the_administrator_names_the_service_too() -> None:
    read_options = options(FOR_ONE.format(service="mailin"))
    assert select(imapd_settings.interpret(PATH, read_options).policies, "joe", "", frozenset)
    conf = imapd_settings.interpret(PATH, read_options, None, "mailin")
    assert not select(conf.policies, "joe", "", frozenset)
    assert conf.notices == ()


@pytest.mark.parametrize(
    ("option", "natively"),
    [
        ("autocreate_quota: 5368709120", "5368709120 is more than Cyrus can count: Cyrus 3.6 makes 1073741824"),
        ("autocreate_quota: 2147483648", "makes -2147483648 of it"),
        ("autocreate_quota: 4294967301", "makes 5 of it"),
        ("autocreate_quota: 5120G", "5368709120 is more than Cyrus can count"),
        ("autocreate_quota_messages: 2147483648", "makes -2147483648 of it"),
    ],
)  # fmt: skip
def test_a_limit_that_cyrus_cannot_count_is_noticed_and_the_greatest_is_taken(
    option: str, natively: str
) -> None:
    text = f"autocreate_post: yes\n{option}\n"
    text += "autocreate_quota: 0\n" if "messages" in option else ""
    quota = policy(text).tree.quota
    assert 2**31 - 1 in (quota.storage, quota.messages)
    (notice,) = [it for it in take(text).notices if "more than Cyrus" in it]
    assert natively in notice
    assert "line 2" in notice


@pytest.mark.parametrize("mode", ["userid", "on"])
def test_a_default_domain_in_capitals_is_a_mistake(mode: str) -> None:
    assert problems(f"virtdomains: {mode}\ndefaultdomain: EX.Test\n") == [
        "/etc/imapd.conf, line 2: defaultdomain: 'EX.Test' has capitals, so Cyrus finds no mailbox "
        "for mail to joe@ex.test; write ex.test"
    ]
    assert take("defaultdomain: EX.Test\n").defaultdomain == "ex.test"


def test_special_uses_and_rights_go_to_the_folders_that_are_created() -> None:
    text = (
        "autocreate_quota: 0\nautocreate_post: yes\nautocreate_inbox_folders: Spam | Plus\n"
        "xlist-junk: Spam\nautocreate_acl: Plus anyone p\nautocreate_acl: Plus group:staff lrs\n"
    )
    assert policy(text).tree.folders[1:] == (
        Folder(("Spam",), "\\Junk"),
        Folder(("Plus",), acl=(("anyone", "p"), ("group:staff", "lrs"))),
    )


def test_what_cannot_be_done_is_noticed() -> None:
    notices = take(
        "autocreate_quota: 2G\nautocreate_post: yes\nautocreate_inbox_folders: Spam|A.B\n"
        "autocreate_subscribe_folders: Sent\nxlist-sent: Sent\nxlist-foo: Spam\nxlist-archive: A.B\n"
        "autocreate_acl: Gone anyone p\nautocreate_acl: Spam anyone\nautocreate_acl: Spam x -p\n"
        "autocreate_folders: x\n"
    ).notices
    assert [notice.partition("line ")[2] or notice for notice in notices] == [
        "autocreate_subscribe_folders: 'Sent' is not among autocreate_inbox_folders, so nobody is "
        "subscribed to it",
        "5: xlist-sent: 'Sent' is not among autocreate_inbox_folders",
        "6: xlist-foo: is not a special use that Cyrus knows; specialuse_extra can add it",
        "7: xlist-archive: 'A.B' is not directly below INBOX, where a special use must be",
        "8: autocreate_acl: 'Gone' is not among autocreate_inbox_folders",
        "9: autocreate_acl: is not 'FOLDER IDENTIFIER RIGHTS', so it grants nothing",
        "10: autocreate_acl: a new folder has no rights to take away",
        "11: autocreate_folders: unknown option; did you mean autocreate_sieve_folders?",
    ]


def test_one_folder_has_one_special_use() -> None:
    notices = take(
        "autocreate_quota: 2G\nautocreate_post: yes\nautocreate_inbox_folders: Sent|Other\n"
        "xlist-sent: Sent\nxlist-sent: Other\nxlist-junk: Sent\n"
    ).notices
    assert [notice.partition("line ")[2] for notice in notices] == [
        "5: xlist-sent: a folder can have one special use, and a special use one folder",
        "6: xlist-junk: a folder can have one special use, and a special use one folder",
    ]


def test_a_use_has_one_folder_and_a_folder_one_use() -> None:
    text = (
        "autocreate_quota: 0\nautocreate_inbox_folders: Spam|Junk|Sent\n"
        "xlist-junk: Spam\nxlist-Junk: Junk\nxlist-trash: Spam\nxlist-sent: Sent\n"
    )
    assert policy(text, "imap").tree.folders[1:] == (
        Folder(("Spam",), "\\Junk"),
        Folder(("Junk",)),
        Folder(("Sent",), "\\Sent"),
    )
    where = "/etc/imapd.conf, line"
    what = "a folder can have one special use, and a special use one folder"
    assert take(text).notices == (
        f"{where} 4: xlist-junk: {what}",
        f"{where} 5: xlist-trash: {what}",
    )


@pytest.mark.parametrize(
    "use", ["Archive", "Drafts", "Important", "Junk", "Sent", "Snoozed", "Trash"]
)
def test_every_special_use_that_cyrus_gives_to_mailboxes_is_known(use: str) -> None:
    text = f"autocreate_quota: 0\nautocreate_inbox_folders: X\nxlist-{use}: X\n"
    assert policy(text, "imap").tree.folders[1:] == (Folder(("X",), f"\\{use}"),)
    assert take(text).notices == ()


def test_a_special_use_of_the_sites_own_is_known_by_specialuse_extra() -> None:
    text = "autocreate_quota: 0\nautocreate_inbox_folders: X\nxlist-ours: X\n"
    assert policy(text, "imap").tree.folders[1:] == (Folder(("X",)),)
    extra = f"specialuse_extra: \\Ours\n{text}"
    assert policy(extra, "imap").tree.folders[1:] == (Folder(("X",), "\\Ours"),)


def test_an_identifier_beyond_ascii_gets_no_rights() -> None:
    text = "autocreate_quota: 0\nautocreate_inbox_folders: X\nautocreate_acl: X jörg lrs\n"
    assert policy(text, "imap").tree.folders[1:] == (Folder(("X",)),)
    assert len(take(text).notices) == 1


def test_rights_with_a_plus_are_those_rights() -> None:
    text = "autocreate_quota: 0\nautocreate_inbox_folders: X\nautocreate_acl: X kim +lrs\n"
    assert policy(text, "imap").tree.folders[1].acl == (("kim", "lrs"),)


@pytest.mark.parametrize(("quota", "has_notice"), [("0", True), ("-1", True), ("100", False)])
def test_a_quota_of_the_patch_that_means_something_else_today_is_noticed(
    quota: str, has_notice: bool
) -> None:
    notices = take(f"autocreatequota: {quota}\ncreateonpost: yes\n").notices
    assert any("0 turned the patch off" in notice for notice in notices) is has_notice
    assert take(f"autocreate_quota: {quota}\nautocreate_post: yes\n").notices == ()


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("autocreate_quota: 0\n", Quota(root=True)),
        ("autocreate_quota: 0\nautocreate_quota_messages: 0\n", Quota(root=True)),
        ("autocreate_quota: 0\nautocreate_quota_messages: 1\n", Quota(None, 1)),
        ("autocreate_quota: 1\nautocreate_quota_messages: 0\n", Quota(1)),
        ("autocreate_quota: 1\nautocreate_quota_messages: 1\n", Quota(1, 1)),
    ],
)
def test_limits_of_zero_are_none_and_all_of_zero_a_root_without_limits(
    text: str, quota: Quota
) -> None:
    assert policy(text, "imap").tree.quota == quota


@pytest.mark.parametrize(
    ("value", "count"), [("0", None), ("010", 8), ("0x10", 16), ("+7", 7), ("-7", None)]
)
def test_messages_are_counted_as_strtol_reads_them(value: str, count: int | None) -> None:
    text = f"autocreate_quota: 5\nautocreate_quota_messages: {value}\n"
    assert policy(text, "imap").tree.quota == Quota(5, count)


@pytest.mark.parametrize("value", ["many", "1G", "1.5", "08"])
def test_messages_that_are_no_number_are_a_mistake(value: str) -> None:
    assert problems(f"autocreate_quota: 5\nautocreate_quota_messages: {value}\n") == [
        f"/etc/imapd.conf, line 2: autocreate_quota_messages: {value!r} is not a number"
    ]


def test_folders_that_cannot_be_are_noticed_and_left_out() -> None:
    text = "autocreate_quota: 0\nautocreate_inbox_folders: A|INBOX.B|50%|C.|\udcfc\n"
    assert policy(text, "imap").tree.folders[1:] == (Folder(("A",)),)
    assert [notice.partition(" cannot ")[0] for notice in take(text).notices] == [
        "autocreate_inbox_folders: folder 'INBOX/B'",
        "autocreate_inbox_folders: folder '50%'",
        "autocreate_inbox_folders: folder 'C/'",
        "autocreate_inbox_folders: folder '\\udcfc'",
    ]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("altnamespace: yes\nautocreate_inbox_folders: Other Users|Sent\n", [("Sent",)]),
        ("altnamespace: yes\nautocreate_inbox_folders: Shared Folders.A|Sent\n", [("Sent",)]),
        ("altnamespace: yes\nuserprefix: All\nautocreate_inbox_folders: All|Sent\n", [("Sent",)]),
        ("altnamespace: no\nautocreate_inbox_folders: Other Users\n", [("Other Users",)]),
        (f"autocreate_inbox_folders: {'x' * 600}|Sent\n", [("Sent",)]),
    ],
)
def test_folders_that_nobody_could_have_or_see_are_noticed_and_left_out(
    text: str, left: list[tuple[str, ...]]
) -> None:
    text = "autocreate_quota: 0\n" + text
    assert [folder.path for folder in policy(text, "imap").tree.folders[1:]] == left
    assert len(take(text).notices) == (0 if left == [("Other Users",)] else 1)


def test_the_prefix_of_shared_folders_may_precede_their_names() -> None:
    text = (
        "autocreate_quota: 0\nsharedprefix: News\n"
        "autocreate_subscribe_sharedfolders: News/board | News.a.b | Newsletter | News\n"
    )
    assert policy(text, "imap").tree.shared == ("board", "a/b", "Newsletter", "News")


def test_administrators_of_every_service_and_proxy_servers_are_administrators() -> None:
    conf = take("admins: cyrus\nimap_admins: ann group:ops\nlmtp_proxyservers: front\n")
    assert conf.admins == ("cyrus", "ann", "group:ops", "front")


def test_folder_names_are_parted_at_dots_and_slashes_and_decoded() -> None:
    assert folder_path("A.B/C") == ("A", "B", "C")
    assert folder_path("Entw&APw-rfe") == ("Entwürfe",)
    assert folder_path("Entwürfe") == ("Entwürfe",)
    assert folder_path("R&-D") == ("R&D",)
    assert folder_path("R&D") == ("R&D",)
    assert folder_path("&ZeVnLIqe-") == ("日本語",)


@pytest.mark.parametrize("name", ["&A-", "&2D0-", "&AAAAA-"])
def test_a_folder_name_that_is_no_modified_utf_7_stays_as_it_is(name: str) -> None:
    assert folder_path(name) == (name,)


def test_a_path_may_start_with_the_configuration_directory() -> None:
    conf = take("configdirectory: /var/imap\nsievedir: {ConfigDirectory}/sieve\n")
    assert conf.sieve.directory == "/var/imap/sieve"


def test_a_file_without_an_autocreate_option_is_said_to_create_nothing() -> None:
    assert as_text(take("username_tolower: no\n")) == [
        "administrators, who get no mailbox: it names none",
        "user ids: virtdomains off; mail in lower case, logins as written",
        "creates nothing by itself: it has no autocreate option",
    ]


def test_a_policy_for_everyone_is_said_in_words() -> None:
    assert as_text(take("autocreate_quota: 0\nautocreate_post: yes\n"))[-1] == (
        "by every service: creates INBOX; quota without limits; for everyone"
    )


def test_what_was_taken_is_said_in_words() -> None:
    conf = take(
        "admins: cyrus\nvirtdomains: userid\ndefaultdomain: ex.test\npostuser: bb\n"
        "autocreate_quota: 100\nautocreate_inbox_folders: Spam\nxlist-junk: Spam\n"
        "autocreate_users: ann group:staff\n"
    )
    assert as_text(conf) == [
        "administrators, who get no mailbox: cyrus",
        "user ids: virtdomains userid, defaultdomain ex.test; mail in lower case, logins in lower "
        "case",
        "mail to bb+FOLDER is for shared folders",
        "by lmtp: creates nothing: autocreate_post is not set",
        "by imap and pop3 and sieve: creates INBOX, Spam as \\Junk; quota 100 KiB; "
        "for ann, group staff",
    ]


def test_what_a_file_without_autocreate_options_says() -> None:
    assert as_text(take("username_tolower: no\n")) == [
        "administrators, who get no mailbox: it names none",
        "user ids: virtdomains off; mail in lower case, logins as written",
        "creates nothing by itself: it has no autocreate option",
    ]


@pytest.mark.parametrize("command", ['cmd=""', 'cmd="', 'cmd="lmtpd'])
def test_a_service_without_a_command_creates_nothing(command: str) -> None:
    assert not read_entries(f"SERVICES {{\n  lmtp {command} \n}}\n")


def test_a_number_of_thousands_of_digits_is_reported() -> None:
    assert "is not a size" in " ".join(problems("autocreate_quota: " + "1" * 5000 + "\n"))


def test_a_backslash_before_an_empty_line_is_one_too() -> None:
    assert read("admins: a\\\\\n\n b\nadmins_: c\n") == {"admins": "a b", "admins_": "c"}

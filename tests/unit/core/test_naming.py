"""How Cyrus spells users and mailboxes."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient.imap_utf7 import encode as to_modified_utf7

from autocreate.core.naming import Mailboxes, Users, _encoded_length, owner, owner_of_inbox
from autocreate.errors import Reason, Refused
from autocreate.model import Address

SLASH = Mailboxes("/", "INBOX/")
DOT = Mailboxes(".", "INBOX.")
ALTNAMESPACE = Mailboxes("/", "", "Shared Folders/", "Other Users/")

ASCII = st.text(st.characters(min_codepoint=0, max_codepoint=127), max_size=12)
USERS = st.one_of(ASCII, st.text(max_size=12), st.text("joe.^@/+- ", max_size=8))
PATHS = st.lists(st.one_of(st.text("ab./^@ ", max_size=4), st.text(max_size=8)), max_size=3).map(
    tuple
)


@pytest.mark.parametrize(
    ("users", "address", "user"),
    [
        (Users(), Address("joe", "example.org"), "joe"),
        (Users(), Address("Joe", "example.org"), "joe"),
        (Users(to_lower=False), Address("Joe", "example.org"), "Joe"),
        (Users(), Address("ÉMILE"), "Émile"),
        (Users(), Address("joe+lists", "example.org"), "joe"),
        (Users(), Address("joe+a+b", "example.org"), "joe"),
        (Users(), Address("anna-maria", "example.org"), "anna-maria"),
        (Users(), Address("anna-maria+lists-x", "example.org"), "anna-maria"),
        (Users(post_user="bb"), Address("bb+folder", "example.org"), ""),
        (Users(), Address("+folder", "example.org"), ""),
        (Users(virtual_domains=True), Address("+folder", "other.test"), ""),
        (Users(), Address("joe", "other.test"), "joe"),
        (
            Users(virtual_domains=True, default_domain="example.org"),
            Address("Joe", "other.test"),
            "joe@other.test",
        ),
        (
            Users(virtual_domains=True, default_domain="example.org"),
            Address("joe", "example.org"),
            "joe",
        ),
        (Users(virtual_domains=True, default_domain="example.org"), Address("joe"), "joe"),
    ],
)
def test_a_recipient_is_a_user(users: Users, address: Address, user: str) -> None:
    assert users.user_id(address) == user


@pytest.mark.parametrize(
    ("names", "user", "path", "mailbox"),
    [
        (SLASH, "joe", (), "user/joe"),
        (SLASH, "joe", ("Sent",), "user/joe/Sent"),
        (SLASH, "joe", ("Archive", "2026"), "user/joe/Archive/2026"),
        (SLASH, "ann.lee", ("a.b",), "user/ann.lee/a.b"),
        (SLASH, "joe@other.test", (), "user/joe@other.test"),
        (SLASH, "joe@other.test", ("Sent",), "user/joe/Sent@other.test"),
        (SLASH, "joe", ("Entwürfe & mehr",), "user/joe/Entwürfe & mehr"),
        (DOT, "joe", ("Sent",), "user.joe.Sent"),
        (DOT, "ann.lee", ("Sent",), "user.ann^lee.Sent"),
        (DOT, "ann.lee@other.test", ("Sent",), "user.ann^lee.Sent@other.test"),
        (DOT, "joe", ("a^b",), "user.joe.a^b"),
        (SLASH, "j" * 80, (), "user/" + "j" * 80),
        (SLASH, "o'hara $#()+,-=[]_~", (), "user/o'hara $#()+,-=[]_~"),
    ],
)
def test_a_folder_has_a_name_for_the_administrator(
    names: Mailboxes, user: str, path: tuple[str, ...], mailbox: str
) -> None:
    assert names.of_user(user, path) == mailbox


@pytest.mark.parametrize(
    ("names", "path", "mailbox"),
    [
        (SLASH, (), "INBOX"),
        (SLASH, ("Sent",), "INBOX/Sent"),
        (DOT, ("Archive", "2026"), "INBOX.Archive.2026"),
        (ALTNAMESPACE, (), "INBOX"),
        (ALTNAMESPACE, ("Archive", "2026"), "Archive/2026"),
    ],
)
def test_a_folder_has_a_name_for_its_owner(
    names: Mailboxes, path: tuple[str, ...], mailbox: str
) -> None:
    assert names.as_user(path) == mailbox


@pytest.mark.parametrize(
    ("names", "mailbox"),
    [
        (SLASH, "News/Staff"),
        (DOT, "News.Staff"),
        (ALTNAMESPACE, "Shared Folders/News/Staff"),
    ],
)
def test_a_shared_folder_is_written_with_slashes_and_spelled_as_the_user_sees_it(
    names: Mailboxes, mailbox: str
) -> None:
    assert names.shared_as_user("News/Staff") == mailbox


@pytest.mark.parametrize(
    "character",
    sorted(
        set(map(chr, range(256))) - set(string.ascii_letters + string.digits + " #$'()+,-.=[]_~@")
    ),
)
def test_a_user_with_a_character_that_cyrus_cannot_have_is_refused(character: str) -> None:
    with pytest.raises(Refused, match="cannot be a Cyrus user"):
        SLASH.of_user(f"jo{character}e")


@pytest.mark.parametrize(
    "user",
    [
        "",
        "@other.test",
        "joe@",
        "joe@ann@other.test",
        "-joe",
        " joe",
        "joe ",
        "anyone",
        "anonymous",
        "j" * 248,
        "j" * 240 + "@other.test",
        "\u0437\u043e\u044f",
        "joe\udc80",
    ],
)
def test_a_user_that_cyrus_cannot_have_is_refused(user: str) -> None:
    with pytest.raises(Refused, match="cannot be a Cyrus user"):
        DOT.of_user(user)


@pytest.mark.parametrize("character", [*'!"%;<>@\\`{|}/^', "\0", "\r", "\n", "\x7f", "\udc80"])
def test_a_folder_with_a_character_that_cannot_be_in_it_is_refused(character: str) -> None:
    with pytest.raises(Refused, match="cannot exist here"):
        SLASH.of_user("joe", (f"a{character}b",))
    with pytest.raises(Refused, match="cannot exist here"):
        SLASH.as_user((f"a{character}b",))


@pytest.mark.parametrize("character", ["/", "."])
def test_a_folder_cannot_have_either_separator_where_the_dot_parts_levels(character: str) -> None:
    with pytest.raises(Refused, match="cannot exist here"):
        DOT.of_user("joe", (f"a{character}b",))


@pytest.mark.parametrize("path", [("",), ("Archive", ""), ("", "Archive")])
def test_a_level_without_a_name_is_refused(path: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="a level is empty"):
        SLASH.of_user("joe", path)


@pytest.mark.parametrize(
    "path", [("Other Users",), ("Shared Folders",), ("Other Users", "kim"), ("Shared Folders", "a")]
)
def test_a_folder_that_looks_like_somebody_elses_to_its_owner_is_refused_for_good(
    path: tuple[str, ...],
) -> None:
    with pytest.raises(Refused, match="begins the names of other folders") as raised:
        ALTNAMESPACE.as_user(path)
    assert raised.value.reason is Reason.IMPOSSIBLE
    assert SLASH.as_user(path) == "INBOX/" + "/".join(path)
    assert ALTNAMESPACE.as_user((f"{path[0]} of mine", *path[1:]))


@pytest.mark.parametrize(
    ("level", "times"), [("x", 483), ("ü", 180), ("&", 241), ("日本", 90), ("😀", 90)]
)
def test_a_folder_is_as_long_as_cyrus_lets_it_be(level: str, times: int) -> None:
    assert SLASH.of_user("j", (level * times,)).startswith("user/j/")
    with pytest.raises(Refused, match="more than 483 bytes") as raised:
        SLASH.of_user("j", (level * (times + 1),))
    assert raised.value.reason is Reason.IMPOSSIBLE


@given(st.text(max_size=40))
def test_the_length_of_a_folder_is_that_of_modified_utf_7(name: str) -> None:
    assert _encoded_length(name) == len(to_modified_utf7(name))


def test_a_shared_folder_is_held_to_the_same_rules() -> None:
    with pytest.raises(Refused, match="cannot exist here"):
        ALTNAMESPACE.shared_as_user('News"')


@given(st.sampled_from([SLASH, DOT, ALTNAMESPACE]), USERS, PATHS)
def test_no_mailbox_name_has_a_byte_that_could_end_a_quoted_string(
    names: Mailboxes, user: str, path: tuple[str, ...]
) -> None:
    try:
        found = [names.of_user(user, path), names.as_user(path), names.shared_as_user(user)]
    except Refused:
        return
    for mailbox in found:
        assert not re.search(r'["\\\x00-\x1f\x7f\ud800-\udfff%]', mailbox)


@given(st.sampled_from([SLASH, DOT]), USERS, PATHS, USERS, PATHS)
def test_two_folders_never_share_a_name(
    names: Mailboxes, user: str, path: tuple[str, ...], other: str, branch: tuple[str, ...]
) -> None:
    try:
        mailboxes = names.of_user(user, path), names.of_user(other, branch)
    except Refused:
        return
    assert (mailboxes[0] == mailboxes[1]) == ((user, path) == (other, branch))


@given(
    st.sampled_from([SLASH, DOT]),
    st.text("ab.^@", min_size=1, max_size=3),
    st.lists(st.text("ab.^", min_size=1, max_size=2), max_size=2).map(tuple),
    st.text("ab.^@", min_size=1, max_size=3),
    st.lists(st.text("ab.^", min_size=1, max_size=2), max_size=2).map(tuple),
)
def test_two_folders_of_similar_users_never_share_a_name(
    names: Mailboxes, user: str, path: tuple[str, ...], other: str, branch: tuple[str, ...]
) -> None:
    try:
        mailboxes = names.of_user(user, path), names.of_user(other, branch)
    except Refused:
        return
    assert (mailboxes[0] == mailboxes[1]) == ((user, path) == (other, branch))


# -- what Cyrus tells, read back -------------------------------------------------------------


@pytest.mark.parametrize(
    ("mailbox", "user"),
    [
        ("user/joe", "joe"),
        ("user/joe/Sent/2026", "joe"),
        ("user/ann.lee/Sent", "ann.lee"),
        ("user/joe/Sent@other.test", "joe@other.test"),
        ("user.joe", "joe"),
        ("user.joe.Sent", "joe"),
        ("user.ann^lee.Sent@other.test", "ann.lee@other.test"),
        ("user/a^b", "a^b"),
        ("News/Staff", ""),
        ("users/joe", ""),
        ("user", ""),
        ("user-list/joe", ""),
        ("user@other.test", ""),
    ],
)
def test_a_mailbox_has_an_owner_unless_it_is_shared(mailbox: str, user: str) -> None:
    assert owner(mailbox) == user


@pytest.mark.parametrize(
    ("mailbox", "user"),
    [
        ("user/joe", "joe"),
        ("user/ann.lee@other.test", "ann.lee@other.test"),
        ("user.ann^lee@other.test", "ann.lee@other.test"),
        ("user/joe/Sent", ""),
        ("user.joe.Sent@other.test", ""),
        ("News", ""),
        ("news.joe", ""),
        ("user", ""),
    ],
)
def test_only_a_users_first_mailbox_is_an_inbox(mailbox: str, user: str) -> None:
    assert owner_of_inbox(mailbox) == user


@given(st.sampled_from([SLASH, DOT]), st.text("jo.+-@ ", min_size=1, max_size=6))
def test_the_owner_of_an_inbox_is_the_user_whom_it_was_named_for(
    names: Mailboxes, user: str
) -> None:
    try:
        mailbox = names.of_user(user)
    except Refused:
        return
    assert owner(mailbox) == owner_of_inbox(mailbox) == user
    assert owner(names.of_user(user, ("Sent",))) == user
    assert owner_of_inbox(names.of_user(user, ("Sent",))) == ""


@pytest.mark.parametrize(
    ("names", "seen", "shared"),
    [
        (SLASH, "News/Staff", "News/Staff"),
        (DOT, "News.Staff", "News/Staff"),
        (ALTNAMESPACE, "Shared Folders/News/Staff", "News/Staff"),
        (ALTNAMESPACE, "Shared Folders/INBOX", "INBOX"),
        (ALTNAMESPACE, "Shared Folders/user", "user"),
        # Of the user's own, of other users, or of nobody.
        (ALTNAMESPACE, "Sent", None),
        (ALTNAMESPACE, "Other Users/kim", None),
        (ALTNAMESPACE, "Shared Folders", None),
        (ALTNAMESPACE, "Shared Folders/", None),
        (SLASH, "INBOX", None),
        (SLASH, "inbox/Sent", None),
        (SLASH, "user/kim", None),
        (DOT, "user.kim", None),
        (SLASH, "News//Staff", None),
        (SLASH, "", None),
    ],
)
def test_a_shared_folder_is_told_from_the_users_own_and_from_other_users(
    names: Mailboxes, seen: str, shared: str | None
) -> None:
    assert names.as_shared(seen) == shared


@given(st.sampled_from([SLASH, DOT, ALTNAMESPACE]), st.text("ab/", min_size=1, max_size=6))
def test_a_shared_folder_that_a_user_sees_is_the_one_that_was_spelled_for_the_user(
    names: Mailboxes, name: str
) -> None:
    try:
        seen = names.shared_as_user(name)
    except Refused:
        return
    assert names.as_shared(seen) == name


@pytest.mark.parametrize(
    ("users", "name", "user"),
    [
        (Users(), "Joe", "joe"),
        (Users(), "joe+lists", "joe"),
        (Users(), "joe@other.test", "joe"),
        (Users(to_lower=False), "Joe", "Joe"),
        (Users(virtual_domains=True), "Joe@Other.TEST", "joe@other.test"),
        (Users(virtual_domains=True, default_domain="ex.test"), "joe@EX.test", "joe"),
        (Users(), "+folder", "+folder"),
        (Users(post_user="bb"), "bb+folder", "bb+folder"),
    ],
)
def test_mail_for_a_name_goes_to_a_user_or_the_name_stays_as_it_is(
    users: Users, name: str, user: str
) -> None:
    assert users.by_mail(name) == user


@pytest.mark.parametrize(
    ("users", "address", "user"),
    [
        (Users(), Address("Joe"), "joe"),
        (Users(logins_to_lower=False), Address("Joe"), "Joe"),
        (Users(), Address("joe+lists"), "joe+lists"),
        # Without virtual domains a domain is a realm of another site's.
        (Users(), Address("joe", "example.org"), ""),
        (Users(default_domain="example.org"), Address("joe", "example.org"), ""),
        (Users(virtual_domains=True), Address("joe", "other.test"), "joe@other.test"),
        (Users(virtual_domains=True, default_domain="ex.test"), Address("joe", "ex.test"), "joe"),
        (Users(virtual_domains=True, default_domain="ex.test"), Address("joe"), "joe"),
        (Users(), Address("anonymous"), ""),
        (Users(), Address("jörg"), ""),
        (Users(), Address(""), ""),
    ],
)
def test_a_login_is_a_user_or_nobody(users: Users, address: Address, user: str) -> None:
    assert users.login_id(address) == user


@pytest.mark.parametrize(
    ("name", "realm", "address"),
    [
        ("joe", "", Address("joe")),
        ("joe@Other.TEST", "", Address("joe", "other.test")),
        ("joe", "Other.TEST", Address("joe", "other.test")),
        ("joe@a.test", "b.test", Address("joe@a.test", "b.test")),
        ("a@b@c.test", "", Address("a@b", "c.test")),
    ],
)
def test_a_login_name_is_parted_at_its_last_at_unless_a_realm_says_it(
    name: str, realm: str, address: Address
) -> None:
    assert Users().login(name, realm) == address


@pytest.mark.parametrize(
    ("users", "name", "user"),
    [
        (Users(), "Joe", "joe"),
        (Users(logins_to_lower=False), "Joe", "Joe"),
        (Users(), "joe+lists", "joe+lists"),
        (Users(), "joe@other.test", "joe@other.test"),
        (Users(virtual_domains=True), "Joe@Other.TEST", "joe@other.test"),
        (Users(virtual_domains=True, logins_to_lower=False), "Joe@O.TEST", "Joe@o.test"),
        (Users(virtual_domains=True, default_domain="ex.test"), "joe@EX.test", "joe"),
    ],
)
def test_an_account_is_a_user_as_its_login_is(users: Users, name: str, user: str) -> None:
    assert users.of_account(name) == user


@pytest.mark.parametrize(
    ("separator", "user", "path", "stored"),
    [
        ("/", "joe", (), "user.joe"),
        ("/", "joe", ("Sent",), "user.joe.Sent"),
        ("/", "ann.lee", ("A.b", "c d"), "user.ann^lee.A^b.c d"),
        ("/", "ann.lee@other.test", ("A.b",), "other.test!user.ann^lee.A^b"),
        (".", "ann.lee", ("A^b", "c"), "user.ann^lee.A^b.c"),
        (".", "joe@other.test", (), "other.test!user.joe"),
    ],
)
def test_a_folder_has_a_name_inside_cyrus(
    separator: str, user: str, path: tuple[str, ...], stored: str
) -> None:
    assert Mailboxes(separator).stored(user, path) == stored


@pytest.mark.parametrize(
    ("separator", "user", "name", "administrators", "stored"),
    [
        ("/", "joe", "News/a.b", "News/a.b", "News.a^b"),
        ("/", "joe@other.test", "News", "News@other.test", "other.test!News"),
        (".", "joe", "News/Sport", "News.Sport", "News.Sport"),
    ],
)
def test_a_shared_folder_has_a_name_for_the_administrator_and_inside_cyrus(
    separator: str, user: str, name: str, administrators: str, stored: str
) -> None:
    assert Mailboxes(separator).of_shared(user, name) == administrators
    assert Mailboxes(separator).shared_stored(user, name) == stored


@pytest.mark.parametrize("path", [("a!b",), ("INBOX",), ("a/b",), ("a\r\nb",), ("",)])
def test_a_name_that_is_impossible_has_none_inside_cyrus(path: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        Mailboxes("/").stored("joe", path)

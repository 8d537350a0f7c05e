"""How this Cyrus names users and mailboxes: address to user id, user id and folder to mailbox name.

The rules are those of Cyrus's mboxname.c: `virtdomains`, `defaultdomain`, `lmtp_downcase_rcpt`,
`username_tolower` and `postuser` of imapd.conf(5), and the hierarchy separator, which the server
announces (NAMESPACE, RFC 2342).
"""

import functools
import re
import string
from dataclasses import dataclass

from autocreate.core.address import without_detail
from autocreate.errors import Reason, Refused
from autocreate.model import Address
from autocreate.tree.values import folder_name

ANONYMOUS = "anonymous"

# Words of access control lists, which Cyrus gives no mailbox.
_NOBODY = ("anyone", ANONYMOUS)

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

# What GOODCHARS of mboxname.c and the table of allowed characters of auth_unix.c both have. Beyond
# it Cyrus either makes no mailbox, or makes one whose owner can never log in to it: so it is with
# `& * : ?` and with every character that is not ASCII.
_IN_USER = frozenset(string.ascii_letters + string.digits + " #$'()+,-.=[]_~")

# What GOODCHARS lacks; with virtual domains `@` and `!`, which separate a mailbox from its domain
# (`user/joe/@kim.test` would be the INBOX of joe@kim.test); and `*`, which GETMETADATA takes for a
# pattern.
NOT_IN_FOLDER = frozenset('!"%*;<>@\\`{|}')

# Bytes of a folder with all of its levels. MAX_MAILBOX_NAME of Cyrus is 490 (measured: 490 bytes can,
# 491 cannot), of which `user/x/` takes seven.
_LONGEST_FOLDER = 483

# Beyond it auth_unix.c knows no identity, so that the owner can never log in (measured: 80 characters
# can, 81 cannot, the domain included). At 248 Cyrus's imapd dies of an assertion.
_LONGEST_USER = 80


@dataclass(frozen=True, slots=True)
class Users:
    """How recipients and login names become user ids.

    Args:
        virtual_domains: `joe@other.test` is another user than `joe` (virtdomains userid or on).
        default_domain: the domain whose users have no `@` in their id.
        to_lower: mail to `Joe` is for `joe` (lmtp_downcase_rcpt).
        logins_to_lower: who logs in as `Joe` is `joe` (username_tolower).
        post_user: mail to `bb+folder` is for a shared folder if this is `bb` (postuser).
    """

    virtual_domains: bool = False
    default_domain: str = ""
    to_lower: bool = True
    logins_to_lower: bool = True
    post_user: str = ""

    def user_id(self, address: Address) -> str:
        """The user id that LMTP will deliver `address` to; empty if it names no user (`+folder`).

        It is what process_recipient() of Cyrus's lmtpengine.c makes of it. To Cyrus a detail begins at
        a plus, whatever the MTA's delimiter is: Postfix passes on the whole local part.
        """
        local = without_detail(address.local, "+")
        if self.to_lower:
            local = lowered(local)
        if local in ("", self.post_user):
            return ""
        if self.virtual_domains and address.domain not in ("", self.default_domain):
            return f"{local}@{address.domain}"
        return local

    def of_account(self, name: str) -> str:
        """The user id of an account that a source spells `name`: what Cyrus makes of it at login.

        No detail is removed: an account's name is no address.
        """
        local, at, domain = name.rpartition("@")
        if not (at and self.virtual_domains):
            local, domain = name, ""
        if self.logins_to_lower:
            local = lowered(local)
        domain = lowered(domain)
        return f"{local}@{domain}" if domain not in ("", self.default_domain) else local

    def by_mail(self, name: str) -> str:
        """The user id that mail for a name, or address, is delivered to; the name itself if it has none."""
        local, at, domain = name.rpartition("@")
        if not at:
            local, domain = name, ""
        return self.user_id(Address(local, lowered(domain))) or name

    def login(self, name: str, realm: str = "") -> Address:
        """Who logs in, as an address: its domain is the realm, or what follows the last @.

        saslauthd's clients split a name at its last @ (saslauthd_verify_password() of Cyrus SASL's
        checkpw.c); Cyrus's own notifications keep it whole.
        """
        local, at, domain = name.rpartition("@")
        if realm or not at:
            local, domain = name, realm
        return Address(local, lowered(domain))

    def login_id(self, address: Address) -> str:
        """The user id of somebody who logs in as `address`; empty if that is no user.

        As canonify_userid() of Cyrus's global.c makes it. There is no detail in a login name.
        """
        local = lowered(address.local) if self.logins_to_lower else address.local
        user = local
        if address.domain and not (self.virtual_domains and address.domain == self.default_domain):
            # Without virtual domains it is a realm of another site's (loginrealms), whose users
            # have no mailboxes here.
            user = f"{local}@{address.domain}" if self.virtual_domains else ""
        return user if is_possible(user) else ""


# The defaults of imapd.conf.
CYRUS_DEFAULTS = Users()


@dataclass(frozen=True, slots=True)
class Mailboxes:
    """How an administrator, and a user, name mailboxes on one server.

    Args:
        separator: between levels, `/` or `.`.
        personal: the prefix of a user's own folders in the user's view: `INBOX/`, or nothing
            with altnamespace.
        shared: the prefix of shared folders in the user's view: nothing, or
            `Shared Folders/` with altnamespace.
        others: the prefix of other users' folders in the user's view: `user/`, or
            `Other Users/` with altnamespace.
    """

    separator: str
    personal: str = ""
    shared: str = ""
    others: str = ""

    def of_user(self, user: str, path: tuple[str, ...] = ()) -> str:
        """The name of a user's folder for the administrator: `user/joe/Sent@other.test`.

        Raises:
            Refused: no mailbox of this Cyrus can have that name.
        """
        require_possible(user)
        local, at, domain = user.partition("@")
        if self.separator == ".":
            local = local.replace(".", "^")
        return self.separator.join(("user", local, *self._levels(path))) + at + domain

    def stored(self, user: str, path: tuple[str, ...] = ()) -> str:
        """The name of a user's folder as Cyrus stores it: `other.test!user.joe.Sent`, a dot in a level as `^`.

        Raises:
            Refused: as for `of_user`.
        """
        require_possible(user)
        local, _, domain = user.partition("@")
        return self._stored(domain, ("user", local.replace(".", "^"), *self._levels(path)))

    def of_shared(self, user: str, name: str) -> str:
        """The name of a shared folder, written with `/` between levels, for the administrator.

        Args:
            user: as for `shared_stored`.
        """
        _, at, domain = user.partition("@")
        return self.separator.join(self._levels(tuple(name.split("/")))) + at + domain

    def shared_stored(self, user: str, name: str) -> str:
        """The name of a shared folder, written with `/` between levels, as Cyrus stores it.

        Args:
            user: who sees it by that name: with virtual domains, the folder is in the user's own.
        """
        return self._stored(user.partition("@")[2], self._levels(tuple(name.split("/"))))

    def as_user(self, path: tuple[str, ...]) -> str:
        """The name of a folder for its owner: `INBOX`, `INBOX/Sent`, or `Sent` with altnamespace.

        Raises:
            Refused: no mailbox of this Cyrus can have that name, or its owner would never see it.
        """
        if not path:
            return "INBOX"
        name = self.personal + self.separator.join(self._levels(path))
        for prefix in filter(None, (self.shared, self.others)):
            if (name + self.separator).startswith(prefix):
                raise _impossible(
                    path, f"in its owner's view {prefix!r} begins the names of other folders"
                )
        return name

    def shared_as_user(self, name: str) -> str:
        """The name of a shared folder, written with `/` between levels, for a user."""
        return self.shared + self.separator.join(self._levels(tuple(name.split("/"))))

    def as_shared(self, name: str) -> str | None:
        """The shared folder that a user sees as `name`, `/` between its levels; None for others."""
        path = name.removeprefix(self.shared).split(self.separator)
        if not name.startswith(self.shared) or not all(path):
            return None
        if not self.shared and (path[0].upper() == "INBOX" or path[0] == "user"):
            return None
        return "/".join(path)

    def _stored(self, domain: str, levels: tuple[str, ...]) -> str:
        # mboxname.c: only where the separator is a slash is a dot an ordinary character.
        name = ".".join(it.replace(".", "^") if self.separator == "/" else it for it in levels)
        return f"{domain}!{name}" if domain else name

    def _levels(self, path: tuple[str, ...]) -> tuple[str, ...]:
        if path and path[0].upper() == "INBOX":
            raise _impossible(path, "its owner's INBOX has that name")
        if _encoded_length("/".join(path)) > _LONGEST_FOLDER:
            raise _impossible(path, f"it has more than {_LONGEST_FOLDER} bytes in modified UTF-7")
        forbidden = _forbidden(self.separator)
        for level in path:
            if not level or not level.isprintable() or not forbidden.isdisjoint(level):
                raise _impossible(
                    path,
                    "a level is empty, has control characters, or has one of "
                    + " ".join(sorted(forbidden)),
                )
        return path


@functools.cache
def _forbidden(separator: str) -> frozenset[str]:
    """What a folder's level cannot have. Inside Cyrus `^` is the dot, where the separator is a slash."""
    return NOT_IN_FOLDER | {separator, "/", *("^" if separator == "/" else "")}


def lowered(text: str) -> str:
    """In lower case as Cyrus does it: ASCII only (lcase() in lib/util.c). str.lower() goes further."""
    return text.translate(_LOWER)


def _encoded_length(name: str) -> int:
    """Bytes of a name in modified UTF-7 (RFC 3501, section 5.1.3), as Cyrus stores it."""
    length = len(name) + name.count("&")
    if name.isascii() and name.isprintable():
        return length
    for run in re.findall(r"[^\x20-\x7e]+", name):
        units = len(run.encode("utf-16-be", "surrogatepass"))
        length += 2 + -(-units * 4 // 3) - len(run)
    return length


def _impossible(path: tuple[str, ...], why: str) -> Refused:
    name = folder_name(path)
    shown = name if len(name) <= _LONGEST_USER else f"{name[:_LONGEST_USER]}..."
    return Refused(f"folder {shown!r} cannot exist here: {why}", Reason.IMPOSSIBLE)


def owner(mailbox: str) -> str:
    """The owner of a mailbox, by its name as an administrator writes it; empty for a shared one.

    Args:
        mailbox: `user/joe/Sent@other.test`, or `user.joe.Sent@other.test` where the separator is
            a dot.
    """
    path, at, domain = mailbox.partition("@")
    separator = path[4:5]
    if not path.startswith("user") or separator not in ("/", "."):
        return ""
    local = path.split(separator)[1]
    if separator == ".":
        local = local.replace("^", ".")
    return local + at + domain


def owner_of_inbox(mailbox: str) -> str:
    """The owner of an INBOX; empty if the mailbox is not one. The name is as for `owner`."""
    path, _, _ = mailbox.partition("@")
    return owner(mailbox) if path.count(path[4:5]) == 1 else ""


def require_possible(user: str) -> None:
    """Refuse a user id that Cyrus cannot have, or whose owner could not log in to it.

    Raises:
        Refused: with what is allowed.
    """
    if not is_possible(user):
        raise Refused(
            f"user id {user!r} cannot be a Cyrus user: besides ASCII letters and digits it may "
            f"have # $ ' ( ) + , - . = [ ] _ ~ and spaces, no - or space at its beginning, "
            f"no space at its end, and {_LONGEST_USER} characters; rename the account, or keep it "
            f"from the account source",
            Reason.IMPOSSIBLE,
        )


@functools.lru_cache(1000)  # asked several times while a tree is made
def is_possible(user: str) -> bool:
    """Can Cyrus have a user of that id, who can log in?"""
    local, at, domain = user.partition("@")
    return (
        bool(local)
        and bool(domain) == bool(at)
        and _IN_USER.issuperset(local + domain)
        and user == user.strip()  # SASL strips it, and would log someone else in
        and not user.startswith("-")
        and user not in _NOBODY
        and len(user) <= _LONGEST_USER
    )

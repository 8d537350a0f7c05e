"""Configurations on which native Cyrus and we must leave the same, one a `Case`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ON = {"autocreate_quota": "0", "autocreate_post": "yes"}
VIRTUAL = {"virtdomains": "userid", "defaultdomain": "ex.test"}
FOLDERS = {
    "autocreate_inbox_folders": "Sent | Drafts | Spam | Archive.2026",
    "autocreate_subscribe_folders": "Sent | Spam | Archive.2026",
}
USES = {"xlist-sent": "Sent", "xlist-drafts": "Drafts", "xlist-junk": "Spam"}
SHARED = {"autocreate_subscribe_sharedfolders": "news | news.sub | secret | gone"}


@dataclass(frozen=True)
class Case:
    """An imapd.conf, who gets mail, and who then has a mailbox.

    Args:
        options: imapd.conf.
        mail: recipients as in RCPT, in this order.
        users: who has an INBOX afterwards, on both servers.
        nobody: accounts that exist and must have none.
        shared: folders that stand beforehand, and what anyone may do with them.
        groups: members of groups that nss knows, on both sides.
        services: as `tests.servers.cyrus.Cyrus` takes them; LISTEN stands for a free place.
        lmtp_service: the one of them that the mail goes to; "" for Cyrus's usual one.
    """

    options: Mapping[str, str]
    mail: tuple[str, ...] = ("joe@ex.test",)
    users: tuple[str, ...] = ("joe",)
    nobody: tuple[str, ...] = ()
    shared: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    services: Mapping[str, Any] = field(default_factory=dict)
    lmtp_service: str = ""


# By the name of their file; they file the message that every case sends.
SCRIPTS = {
    f"{name}.sieve": f'require "fileinto";\nif header :is "subject" "first" {{ fileinto "{to}"; }}\n'
    for name, to in (("default", "INBOX/Spam"), ("beside", "Spam"))
}
SCRIPTS["wrong.sieve"] = "nonsense\n"

NEWS = {"news": "lrs", "news/sub": "lrs", "secret": "p"}
NEWS_BY_DOTS = {"news": "lrs", "news.sub": "lrs", "secret": "p"}

CASES: Mapping[str, Case] = {
    # -- quota
    "an INBOX and a quota root without limits": Case(ON),
    "quotas in storage and in messages": Case(
        {**ON, "autocreate_quota": "100000", "autocreate_quota_messages": "50"}
    ),
    "a quota in messages alone": Case({**ON, "autocreate_quota_messages": "50"}),
    "a quota in octal": Case({**ON, "autocreate_quota": "0100"}),
    "message quota zero is none": Case(
        {**ON, "autocreate_quota": "5", "autocreate_quota_messages": "0"}
    ),
    # -- conditions
    "create on post is off": Case({**ON, "autocreate_post": "no"}, users=(), nobody=("joe",)),
    "no quota is set": Case({"autocreate_post": "yes"}, users=(), nobody=("joe",)),
    "the quota is negative": Case(
        {**ON, "autocreate_quota": "-1", "autocreate_quota_messages": "5"},
        users=(),
        nobody=("joe",),
    ),
    "administrators, proxy servers and anonymous get none": Case(
        {**ON, "admins": "cyrus ann", "proxyservers": "front"},
        ("ann@ex.test", "cyrus@ex.test", "front", "anonymous", "joe"),
        nobody=("ann", "cyrus", "front", "anonymous"),
    ),
    "only these users": Case(
        {**ON, "autocreate_users": "joe zoe"}, ("joe", "ann", "zoe"), ("joe", "zoe"), ("ann",)
    ),
    "mail has users of its own": Case(
        {**ON, "autocreate_users": "ann", "lmtp_autocreate_users": "joe"},
        ("joe", "ann"),
        nobody=("ann",),
    ),
    "users of another service do not count for mail": Case(
        {**ON, "imap_autocreate_users": "ann", "pop3_autocreate_users": "ann"}
    ),
    "a service of another name has its own prefix": Case(
        {
            **ON,
            "mailin_autocreate_users": "joe",
            "autocreate_users": "ann",
            "mailin_autocreate_inbox_folders": "Sent",
        },
        ("joe", "ann"),
        nobody=("ann",),
        services={"mailin": ("lmtpd -a", "LISTEN")},
        lmtp_service="mailin",
    ),
    "options of a service that the mail does not come by": Case(
        {**ON, "mailin_autocreate_users": "ann", "mailin_autocreate_inbox_folders": "Sent"},
        ("joe", "ann"),
        ("joe", "ann"),
        services={"mailin": ("lmtpd -a", "LISTEN")},
    ),
    "options of a service beside the one that the mail comes by": Case(
        {**ON, "lmtp_autocreate_users": "ann", "lmtp_autocreate_inbox_folders": "Sent"},
        ("joe", "ann"),
        ("joe", "ann"),
        services={"mailin": ("lmtpd -a", "LISTEN")},
        lmtp_service="mailin",
    ),
    "only members of groups": Case(
        {**ON, "autocreate_users": "group:staff zoe", "auth_mech": "unix"},
        ("joe", "ann", "zoe"),
        ("joe", "zoe"),
        ("ann",),
        groups={"staff": ("joe",), "others": ("ann",)},
    ),
    "administrators by group": Case(
        {**ON, "admins": "cyrus group:ops"},
        ("joe", "ann"),
        nobody=("ann",),
        groups={"ops": ("ann",), "staff": ("joe",)},
    ),
    # -- folders
    "folders, subscriptions, uses and rights": Case(
        {**ON, **FOLDERS, **USES, "autocreate_acl": "Spam anyone p"},
        ("joe@ex.test", "ann+Spam@ex.test", "kim+Sent@ex.test"),
        ("joe", "ann", "kim"),
    ),
    "the same with dots": Case(
        {**ON, **FOLDERS, **USES, "unixhierarchysep": "no", "autocreate_acl": "Spam anyone p"},
        ("joe@ex.test", "ann.lee+Spam@ex.test", "kim+Archive.2026@ex.test"),
        ("joe", "ann.lee", "kim"),
    ),
    "the same beside INBOX": Case({**ON, **FOLDERS, **USES, "altnamespace": "yes"}),
    "the same beside INBOX with dots": Case(
        {**ON, **FOLDERS, **USES, "altnamespace": "yes", "unixhierarchysep": "no"},
        ("ann.lee@ex.test",),
        ("ann.lee",),
    ),
    "the old names": Case(
        {
            "autocreatequota": "100000",
            "autocreatequotamsg": "50",
            "createonpost": "yes",
            "autocreateinboxfolders": "sent|drafts|spam|templates",
            "autosubscribeinboxfolders": "sent|spam",
            "autosubscribesharedfolders": "news|news.sub",
        },
        shared=NEWS,
    ),
    "new names beside old ones": Case(
        {
            **ON,
            "autocreatequota": "7",
            "autocreateinboxfolders": "Old",
            "autocreate_inbox_folders": "New",
            "lmtp_autosubscribeinboxfolders": "New",
        }
    ),
    "folders beyond ASCII, as IMAP writes them": Case(
        {
            **ON,
            "autocreate_inbox_folders": "Entw&APw-rfe|&BBoEPgRABDcEOAQ9BDA-|R&-D",
            "autocreate_subscribe_folders": "&BBoEPgRABDcEOAQ9BDA-|R&-D",
            "xlist-drafts": "Entw&APw-rfe",
            "autocreate_acl": "&BBoEPgRABDcEOAQ9BDA- anyone p",
        },
    ),
    "a folder that a subscription names and nobody creates": Case(
        {**ON, "autocreate_inbox_folders": "A", "autocreate_subscribe_folders": "A|B"}
    ),
    "lists with gaps, joined from several lines": Case(
        {**ON, "autocreate_inbox_folders": "A ||\\\n  B |\\\n\tC C"}
    ),
    "uses and rights of folders that nobody creates": Case(
        {
            **ON,
            "autocreate_inbox_folders": "A",
            "xlist-junk": "Spam",
            "autocreate_acl": "Spam anyone p",
        }
    ),
    "rights for a group and a user": Case(
        {**ON, "autocreate_inbox_folders": "A|B", "autocreate_acl": "A ann lrs"}
    ),
    "rights that are none": Case(
        {**ON, "autocreate_inbox_folders": "A", "autocreate_acl": "A anyone z"}
    ),
    "rights added": Case({**ON, "autocreate_inbox_folders": "A", "autocreate_acl": "A anyone +p"}),
    "another default partition": Case(
        {**ON, "defaultpartition": "archive", "autocreate_inbox_folders": "A"}
    ),
    "other users below a prefix of the site's": Case(
        {**ON, **FOLDERS, "altnamespace": "yes", "userprefix": "People"}
    ),
    # -- shared folders
    "named shared folders, where they exist and the user may": Case({**ON, **SHARED}, shared=NEWS),
    "the same with dots, beside INBOX": Case(
        {**ON, **SHARED, "unixhierarchysep": "no", "altnamespace": "yes"}, shared=NEWS_BY_DOTS
    ),
    "shared folders below a prefix of the site's": Case(
        {**ON, **SHARED, "altnamespace": "yes", "sharedprefix": "Common"}, shared=NEWS
    ),
    "all shared folders": Case(
        {**ON, **SHARED, "autocreate_subscribe_sharedfolders_all": "yes"},
        ("ann", "joe"),
        ("ann", "joe"),
        shared={**NEWS, "board/deep/er": "lr"},
    ),
    "all shared folders beside INBOX": Case(
        {**ON, "altnamespace": "yes", "autosubscribe_all_sharedfolders": "1"}, shared=NEWS
    ),
    # -- the default script
    "the default script files the first message": Case(
        {**ON, **FOLDERS, "autocreate_sieve_script": "FOLDER/default.sieve"},
        ("joe", "ann+Sent"),
        ("joe", "ann"),
    ),
    "the same beside INBOX, with virtual domains and dots": Case(
        {
            **ON,
            **FOLDERS,
            **VIRTUAL,
            "altnamespace": "yes",
            "unixhierarchysep": "no",
            "autocreate_sieve_script": "FOLDER/beside.sieve",
        },
        ("ann.lee@other.test", "joe@ex.test"),
        ("ann.lee@other.test", "joe"),
    ),
    "the default script makes the folder that it files into": Case(
        {
            **ON,
            "autocreate_sieve_script": "FOLDER/default.sieve",
            "autocreate_sieve_folders": "Spam | Other",
        }
    ),
    "a default script that is wrong": Case({**ON, "autocreate_sieve_script": "FOLDER/wrong.sieve"}),
    "a default script that is not there": Case(
        {**ON, "autocreate_sieve_script": "FOLDER/gone.sieve"}
    ),
    # -- names
    "domains do not count": Case(
        ON, ("joe@ex.test", "JOE@Other.test", "ann.lee+x@third.test"), ("joe", "ann.lee")
    ),
    "virtual domains by user id": Case(
        {**ON, **FOLDERS, **VIRTUAL},
        ("joe@ex.test", "joe@other.test", "ann.lee+Sent@other.test", "zoe", "JOE@OTHER.test"),
        ("joe", "joe@other.test", "ann.lee@other.test", "zoe"),
    ),
    "virtual domains on, with dots": Case(
        {**ON, **FOLDERS, **VIRTUAL, "virtdomains": "on", "unixhierarchysep": "no"},
        ("ann.lee@ex.test", "ann.lee@other.test", "joe+a.b@other.test"),
        ("ann.lee", "ann.lee@other.test", "joe@other.test"),
    ),
    "virtual domains with all shared folders": Case(
        {**ON, **VIRTUAL, "autocreate_subscribe_sharedfolders_all": "yes"},
        ("joe@ex.test", "joe@other.test"),
        ("joe", "joe@other.test"),
        shared={"news": "lrs", "board@other.test": "lrs"},
    ),
    "virtual domains without a default domain": Case(
        {**ON, "virtdomains": "yes"}, ("joe", "joe@internal", "joe@x.test"), ("joe", "joe@x.test")
    ),
    "recipients keep their case": Case(
        {**ON, "lmtp_downcase_rcpt": "no", "username_tolower": "no"},
        ("Joe@ex.test", "joe@ex.test"),
        ("Joe", "joe"),
    ),
    "recipients lose their case": Case(ON, ("JOE@EX.TEST",)),
    "source routes and address literals": Case(
        {**ON, **VIRTUAL},
        ("<@relay.test:joe@ex.test>", "zed@[127.0.0.1]"),
        ("joe", "zed@[127.0.0.1]"),
    ),
    "strange characters": Case(
        ON,
        ("a_b-c=d~e@ex.test", "o'neil@ex.test", "x#y$z@ex.test"),
        ("a_b-c=d~e", "o'neil", "x#y$z"),
    ),
    "mail to shared folders": Case(
        {**ON, "postuser": "bb"},
        ("bb+news@ex.test", "BB+news@ex.test", "joe"),
        shared={"news": "lrsp"},
    ),
}

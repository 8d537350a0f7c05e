"""A site: a Cyrus, our milter and an MTA, with the accounts and policies of many scenarios; and what stands there."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.integration.scenario import Scenario, Step
from tests.servers.cyrus import Cyrus, CyrusRefused
from tests.servers.murder import Murder
from tests.servers.postfix import Postfix
from tests.servers.product import POLICY, Product
from tests.servers.sendmail import Sendmail
from tests.servers.smtp import Dialogue, Reply

Mta = Postfix | Sendmail

DOMAINS = ("example.org", "other.test", "xn--bcher-kva.test")
# Postfix takes the two spellings of a domain for two domains.
MTA_DOMAINS = (*DOMAINS, "bücher.test")
ALIASES = {"sales@aliases.test": "nils@example.org"}
ALIAS_DOMAINS = ("aliases.test",)


PLAIN, MURDER = "plain", "murder"


@dataclass(frozen=True)
class Kind:
    """How a site is set up, before any scenario adds to it.

    `settings` are our own, `main_cf` Postfix's, the rest is Cyrus's. `asks_lmtpd`: we ask Cyrus's lmtpd
    before mail is accepted, every time.
    `is_murder`: Cyrus is a Murder, and the MTA delivers to one of its frontends.
    """

    settings: Mapping[str, Mapping[str, Any]]
    imapd_conf: Mapping[str, str]
    separator: str = "/"
    main_cf: Mapping[str, str] = field(default_factory=dict)
    asks_lmtpd: bool = False
    is_murder: bool = False


KINDS = {
    # `/` between levels, no virtual domains.
    PLAIN: Kind({}, {}),
    # `.` between levels, users of several domains, folders beside INBOX and not below it.
    "virtual domains": Kind(
        {"cyrus": {"virtdomains": "userid", "defaultdomain": "example.org"}},
        {"virtdomains": "userid", "defaultdomain": "example.org", "altnamespace": "yes"},
        separator=".",
    ),
    "dry run": Kind({"milter": {"mode": "dry-run"}}, {}),
    "no quotes": Kind(
        {"milter": {"lmtp_quote_rfc821_envelope": False}},
        {},
        main_cf={"lmtp_quote_rfc821_envelope": "no"},
    ),
    "one creation a minute": Kind({"limits": {"creations_per_minute": 1}}, {}),
    "one creation a minute for each domain": Kind(
        {"limits": {"creations_per_minute_per_domain": 1}}, {}
    ),
    "lmtpd is asked": Kind({}, {"lmtp_strict_quota": "yes"}, asks_lmtpd=True),
    MURDER: Kind({}, {}, is_murder=True),
    "lmtpd is asked in dry run": Kind({"milter": {"mode": "dry-run"}}, {}, asks_lmtpd=True),
}


class Site:
    """One site, running. Names of folders are written with `/` between levels and without INBOX before them."""

    def __init__(
        self,
        kind: Kind,
        mta_name: str,
        cyrus: Cyrus,
        product: Product,
        mta: Mta,
        owner: Callable[[str], Cyrus],
    ) -> None:
        """`owner`: the server that has a user's mailboxes."""
        self._kind = kind
        self.mta_name = mta_name
        self.cyrus = cyrus
        self.product = product
        self.mta = mta
        self._owner = owner

    # -- what is done ------------------------------------------------------------------------

    def prepare(self, scenario: Scenario) -> None:
        for user, groups in scenario.accounts.items():
            self.product.add_account(user, *groups)
        for name in scenario.before.get("shared_folders", []):
            self.cyrus.create(name.replace("/", self._kind.separator))
        for user, folders in scenario.before.get("mailboxes", {}).items():
            for folder in folders:
                self.cyrus.create(self._mailbox(user, folder))
        for user in scenario.before.get("over_quota", []):
            self.cyrus.append(user, b"Subject: kept\r\n\r\n" + b"x" * 4096 + b"\r\n")
            self.cyrus.set_quota(self._mailbox(user), 1)
        for user in scenario.before.get("denied", []):
            self.cyrus.deny(user)
        for folder, rights in scenario.before.get("rights_of_anyone", {}).items():
            self.cyrus.set_acl(folder.replace("/", self._kind.separator), "anyone", rights)

    def do(self, step: Step) -> None:
        match step.deed:
            case "smtp":
                self._talk(step)
            case "submit":
                assert isinstance(self.mta, Postfix)
                submitted = step.details
                self.mta.submit(submitted["from"], submitted["to"], submitted["message"].encode())
            case "user_deletes":
                for user, folders in step.details.items():
                    for folder in folders:
                        self.cyrus.delete(self._mailbox(user, folder))
            case "account_added":
                for user, groups in step.details.items():
                    self.product.add_account(user, *groups)
            case "milter":
                assert step.details == "restarted"
                self.product.stop()
                self.product.start()

    def _talk(self, step: Step) -> None:
        with Dialogue(self.mta.host, self.mta.port) as smtp:
            smtp.ehlo()
            for turn in step.dialogue():
                expected = turn.expected[self.mta_name]
                reply = smtp.command(turn.line)
                assert _fits(reply, expected), (
                    f"{self.mta_name} was to answer {expected!r}\n"
                    + "\n".join([*smtp.transcript[-12:], "", self.product.log()[-4000:]])
                )
            smtp.quit()

    # -- what stands -------------------------------------------------------------------------

    def observe(self, after: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> Any:
        """Of everything that `after` speaks of, what stands, in the form of `after`.

        Args:
            records: the log's about recipients since the step began.
        """
        seen: dict[str, Any] = {}
        for what, expected in after.items():
            match what:
                case "unfinished":
                    mine = {str(record.get("user")) for record in records}
                    seen[what] = sorted(mine & set(self.product.unfinished()))
                case "log":
                    seen[what] = list(_like(expected, records))
                case "dry_run":
                    recorded = self.product.seen()
                    seen[what] = {it: _dry_run(recorded.get(it)) for it in expected}
                case "acl" | "partition":
                    seen[what] = {
                        user: {it: self._ask(what, user, it, wanted) for it, wanted in it.items()}
                        for user, it in expected.items()
                    }
                case _:
                    seen[what] = {user: self._ask(what, user) for user in expected}
        return seen

    def _ask(self, what: str, user: str, folder: str = "", wanted: Any = None) -> Any:
        match what:
            case "mailboxes":
                return self._folders(user)
            case "quota":
                return self.cyrus.quota(self._mailbox(user))
            case "special_use":
                return {self._own(it): use for it, use in self.cyrus.special_use(user).items()}
            case "subscriptions":
                return sorted(map(self._own, self.cyrus.subscriptions(user)))
            case "messages":
                return self._subjects(user)
            case "acl":
                rights = self.cyrus.acl(self._mailbox(user, folder))
                return {it: rights.get(it, "") for it in wanted}
            case "partition":
                return self._owner(user).partition(self._mailbox(user, folder))
        raise AssertionError(what)

    def _folders(self, user: str) -> list[str]:
        inbox = self._mailbox(user)
        local, at, domain = inbox.partition("@")
        found = self.cyrus.mailboxes(f"{local}{self._kind.separator}*{at}{domain}")
        # LIST takes user.ann and user.ann@other.test for one another.
        with contextlib.suppress(CyrusRefused):
            found |= {inbox} if self.cyrus.acl(inbox) else set()
        own = [it for it in found if ("@" in it) == bool(at)]
        paths = [it.removesuffix(at + domain).removeprefix(local)[1:] for it in own]
        return sorted(path.replace(self._kind.separator, "/") or "INBOX" for path in paths)

    def _subjects(self, user: str) -> list[str]:
        if not self._folders(user):
            return []
        messages = self.cyrus.messages(user)
        lines = [
            line for message in messages for line in message.split(b"\r\n\r\n")[0].splitlines()
        ]
        return [line[9:].decode() for line in lines if line.startswith(b"Subject: ")]

    def _mailbox(self, user: str, folder: str = "INBOX") -> str:
        separator = self._kind.separator
        local, at, domain = user.partition("@")
        if separator == ".":
            local = local.replace(".", "^")
        levels = [] if folder == "INBOX" else folder.split("/")
        return separator.join(["user", local, *levels]) + at + domain

    def _own(self, name: str) -> str:
        """A folder as its user sees it, in our spelling; shared ones are called so."""
        separator = self._kind.separator
        path = name.replace(separator, "/")
        if "altnamespace" in self._kind.imapd_conf:
            shared = path.startswith("Shared Folders/")
            return f"shared {path.removeprefix('Shared Folders/')}" if shared else path
        if path == "INBOX" or path.startswith("INBOX/"):
            return path.removeprefix("INBOX/")
        return f"shared {path}"

    def records(self) -> list[dict[str, Any]]:
        """The log's lines about recipients."""
        lines = [line for line in self.product.log().splitlines() if line.startswith("{")]
        records = [it for it in map(json.loads, lines) if it["message"] == "recipient"]
        return [{"created": False, **it} for it in records]


@contextlib.contextmanager
def site(kind_name: str, mta_name: str, scenarios: Iterable[Scenario]) -> Iterator[Site]:
    """The site of a kind behind one MTA, with the policies of all the scenarios before the one for everyone."""
    kind = KINDS[kind_name]
    policies = [policy for scenario in scenarios for policy in scenario.policies]
    with contextlib.ExitStack() as stack:
        cyrus, owner, cyrus_settings = stack.enter_context(_cyrus(kind))
        settings = {
            "milter": {"domains": DOMAINS, **kind.settings.get("milter", {})},
            "cyrus": cyrus_settings,
            "limits": kind.settings.get("limits", {}),
            "log": {"format": "json", "level": "debug"},
        }
        if kind.asks_lmtpd:
            settings["lmtp"] = {"address": f"{cyrus.host}:{cyrus.lmtp_port}", "cache_seconds": 0}
        product = stack.enter_context(
            Product(cyrus, settings=settings, policies=[*policies, POLICY])
        )
        product.start()
        postfix = partial(_postfix, kind)
        make_mta: Callable[..., Any] = postfix if mta_name == "postfix" else Sendmail
        mta = stack.enter_context(
            make_mta(
                milter=product.socket,
                lmtp=(cyrus.host, cyrus.lmtp_port),
                domains=MTA_DOMAINS,
            )
        )
        yield Site(kind, mta_name, cyrus, product, mta, owner)


@contextlib.contextmanager
def _cyrus(kind: Kind) -> Iterator[tuple[Cyrus, Callable[[str], Cyrus], Mapping[str, Any]]]:
    """The server to which the MTA delivers, who has a user's mailboxes, and [cyrus] for it."""
    if kind.is_murder:
        with Murder() as murder:
            yield murder.frontends[0], murder.owner, {"murder": murder.section()}
    else:
        with Cyrus(imapd_conf=kind.imapd_conf, unixhierarchysep=kind.separator == "/") as cyrus:
            yield cyrus, lambda _user: cyrus, kind.settings.get("cyrus", {})


def _postfix(kind: Kind, **settings: Any) -> Postfix:
    return Postfix(
        **settings,
        aliases=ALIASES,
        alias_domains=ALIAS_DOMAINS,
        parameters={"myorigin": "example.org", **kind.main_cf},
    )


def _fits(reply: Reply, expected: str) -> bool:
    """Whether a reply is `250`, or `250 2.1.5`, or `550 5.1.1 User unknown`: as much as is written counts."""
    words = expected.split(" ", 2)
    text = re.sub(r"^<\S*( \S*)?>\.\.\. ", "", reply.text)  # Sendmail names the address first
    return [str(reply.code), reply.enhanced, text][: len(words)] == words


def _like(
    expected: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]
) -> Iterator[Any]:
    """The records, each with only those fields that are expected of it; what is missing is None."""
    for wanted, record in itertools.zip_longest(expected, records):
        if wanted is None or record is None:
            yield record
        else:
            yield {name: record.get(name) for name in wanted}


def _dry_run(recorded: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if recorded is None:
        return None
    plan = json.loads(recorded["plan"])["actions"] if recorded["plan"] else []
    return {
        "answer": recorded["answer"],
        "times": recorded["times"],
        "plan": [" ".join(filter(None, [it["action"], it.get("folder")])) for it in plan],
    }

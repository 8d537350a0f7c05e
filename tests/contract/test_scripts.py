"""What every way to a user's Sieve script promises: there, byte for byte, active, and never over another's.

`SITES` names the ways; each test runs once for every one of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from autocreate.errors import Refused
from autocreate.tree.actions import InstallScript
from autocreate.tree.plan import Plan
from autocreate.tree.values import Folder, Script, Tree
from tests.contract.script_stores import OWN, SITES, WRONG, WRONG_AT, Site, deliver, files
from tests.servers.cyrus import Cyrus
from tests.servers.sieve import kept

_numbers = itertools.count()


@pytest.fixture(scope="module")
def dots() -> Iterator[Cyrus]:
    """A Cyrus with `.` between levels and virtual domains."""
    options = {"virtdomains": "userid", "defaultdomain": "ex.test", "fulldirhash": "yes"}
    with Cyrus(imapd_conf=options, unixhierarchysep=False) as server:
        yield server


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, cyrus: Cyrus, dots: Cyrus) -> Iterator[Site]:
    with SITES[request.param](cyrus, dots) as made:
        yield made


@pytest.fixture
def user() -> str:
    """Somebody new."""
    return f"scripted-{next(_numbers)}"


def observed(site: Site, user: str) -> Script | None:
    return site.store.observe(user, Tree((Folder(),), script=site.script())).script


def test_a_new_user_has_the_script_active_and_byte_for_byte(site: Site, user: str) -> None:
    report = site.install(user, site.script())
    assert (report.failed, report.skipped) == ((), ())
    assert site.scripts(user) == {"default.sieve": (kept(site.script().text), True)}


def test_the_very_first_message_is_filed_by_the_script(site: Site, user: str) -> None:
    site.install(user, site.script())
    if site.cyrus:
        deliver(site.cyrus, user, "lists")
        folder = f"INBOX{site.separator}Lists"
        assert b"Subject: lists" in site.cyrus.messages(user, folder)[0]
        assert site.cyrus.messages(user) == []


def test_it_is_told_that_there_is_none_and_that_there_is_one(site: Site, user: str) -> None:
    site.install(user)
    assert observed(site, user) is None
    site.install(user, site.script())
    found = observed(site, user)
    assert found is not None
    assert found.name == "default.sieve"


def test_once_more_changes_nothing(site: Site, user: str) -> None:
    site.install(user, site.script())
    again = site.install(user, site.script())
    assert (again.failed, again.skipped) == ((), ())
    assert site.scripts(user) == {"default.sieve": (kept(site.script().text), True)}


@pytest.mark.parametrize("name", ["default.sieve", "mine"])
def test_a_user_with_an_active_script_keeps_it(site: Site, user: str, name: str) -> None:
    site.active_before(user, name)
    report = site.install(user, site.script())
    assert (report.failed, report.skipped) == ((), ())
    assert site.scripts(user) == {name: (kept(OWN), True)}


def test_a_script_that_does_not_compile_is_skipped_with_its_line_and_the_rest_stands(
    site: Site, user: str
) -> None:
    script = Script("default.sieve", WRONG)
    report = site.install(user, script)
    assert report.usable
    assert report.failed == ()
    ((action, error),) = report.skipped
    assert action == InstallScript(script)
    assert "does not compile: " in error
    assert WRONG_AT in error
    assert site.scripts(user) == {}
    wanted = Tree((Folder(), Folder(("Lists",))))
    assert len(site.store.observe(user, wanted).folders) == 2


def test_a_check_tells_the_line_of_an_error(site: Site) -> None:
    with pytest.raises(Refused, match=r"does not compile: .*" + re.escape(WRONG_AT)):
        site.store.check(Script("default.sieve", WRONG))


def test_a_check_has_nothing_against_a_good_script(site: Site) -> None:
    assert site.store.check(site.script()) == ()


@pytest.mark.parametrize(
    "name", ["default", "spam filter", "-x", "a'b $(c) %s {5}", "OK", "x" * 64]
)
def test_a_script_keeps_an_odd_name(site: Site, user: str, name: str) -> None:
    report = site.install(user, site.script(name))
    assert (report.failed, report.skipped) == ((), ())
    assert site.scripts(user) == {name: (kept(site.script().text), True)}


def test_a_user_with_dots_has_a_script_of_its_own(site: Site, user: str) -> None:
    dotted = f"ann.{user}.lee"
    site.install(dotted, site.script())
    assert site.scripts(dotted) == {"default.sieve": (kept(site.script().text), True)}


def test_users_at_once_have_one_script_each(site: Site, user: str) -> None:
    users = [f"{user}-{number}" for number in range(3)] * 2
    with ThreadPoolExecutor(len(users)) as pool:
        reports = list(pool.map(lambda it: site.install(it, site.script()), users))
    assert [report.skipped for report in reports] == [()] * 6
    for one, report in zip(users, reports, strict=True):
        # As of several MTAs: Cyrus may turn away who gets in another's way, and that one comes back.
        if report.failed:
            assert site.install(one, site.script()).failed == ()
    for one in users:
        assert site.scripts(one) == {"default.sieve": (kept(site.script().text), True)}


def test_a_script_for_a_user_without_inbox_fails_and_is_worth_another_attempt(
    site: Site, user: str
) -> None:
    if site.cyrus is None:
        return  # in memory a script needs no INBOX; no plan has one without the other
    report = site.store.apply(Plan(user, "all", (InstallScript(site.script()),)))
    assert [failure.action for failure in report.failed] == [InstallScript(site.script())]
    assert report.skipped == ()


@pytest.mark.parametrize("way", ["managesieve-dots", "replication-dots", "files-dots"])
def test_users_of_virtual_domains_have_scripts_of_their_own(
    way: str, cyrus: Cyrus, dots: Cyrus, user: str
) -> None:
    with SITES[way](cyrus, dots) as site:
        names = [user, f"{user}@one.test", f"{user}@two.test", f"an.{user}@two.test"]
        for number, one in enumerate(names):
            site.install(one, site.script(f"script-{number}"))
        for number, one in enumerate(names):
            assert site.scripts(one) == {f"script-{number}": (kept(site.script().text), True)}


@pytest.fixture(params=["managesieve", "replication", "files"])
def on_cyrus(request: pytest.FixtureRequest, cyrus: Cyrus, dots: Cyrus) -> Iterator[Site]:
    with SITES[request.param](cyrus, dots) as made:
        yield made


def put(site: Site, user: str, text: bytes) -> None:
    """The user has INBOX and a script of the default's name that is not active."""
    assert site.cyrus
    site.install(user)
    with site.cyrus.sieve_session(user) as session:
        session.put("default.sieve", text, activate=False)


def test_another_script_of_that_name_is_left_alone(on_cyrus: Site, user: str) -> None:
    put(on_cyrus, user, OWN)
    report = on_cyrus.install(user, on_cyrus.script())
    assert report.failed == ()
    assert "has a different script of that name" in report.skipped[0].error
    assert on_cyrus.scripts(user) == {"default.sieve": (kept(OWN), False)}


def test_a_script_that_an_older_cyrus_left_as_a_file_is_kept(on_cyrus: Site, user: str) -> None:
    assert on_cyrus.cyrus
    on_cyrus.install(user)
    files(on_cyrus.cyrus).install(user, Script("mine", OWN))
    report = on_cyrus.install(user, on_cyrus.script())
    assert (report.failed, report.skipped) == ((), ())
    assert on_cyrus.scripts(user) == {"mine": (kept(OWN), True)}
    assert observed(on_cyrus, user) == Script("mine")

"""A server's keys are one value, with the same defaults wherever a server is asked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from autocreate.backends.options import LdapOptions, SqlOptions
from autocreate.config.accounts import Accounts, LdapAccounts, SqlAccounts
from autocreate.config.aliases import LdapAliases, SqlAliases
from autocreate.config.domains import LdapDomains, SqlDomains
from autocreate.config.servers import LdapServer, SqlServer
from autocreate.core.naming import CYRUS_DEFAULTS
from autocreate.errors import ConfigurationError
from autocreate.wiring import sources
from tests import configured

LDAP = {"urls": ("ldap://a.test",), "base": "dc=test"}


@pytest.mark.parametrize(
    ("section", "own"),
    [
        (LdapAccounts, {}),
        (LdapAliases, {"filter": "(mail={key})", "target_attribute": "uid"}),
        (LdapDomains, {"filter": "(dc={domain})"}),
    ],
)
def test_a_directory_has_the_same_defaults_in_every_section(
    section: type[LdapServer], own: dict[str, str]
) -> None:
    made = section.model_validate({"type": "ldap", **LDAP, **own})
    assert made.options("accounts.staff") == LdapOptions(
        key="accounts.staff",
        urls=("ldap://a.test",),
        tls="starttls",
        ca_file=None,
        bind_dn="",
        password_file=None,
        external=False,
        timeout=2.0,
        connections=4,
        base="dc=test",
        scope="sub",
    )


@pytest.mark.parametrize("section", [SqlAccounts, SqlAliases, SqlDomains])
def test_a_database_has_the_same_defaults_in_every_section(section: type[SqlServer]) -> None:
    made = section.model_validate({"type": "sql", "url": "mysql://a.test/mail", "query": "SELECT"})
    assert made.options("domains.ours") == SqlOptions(
        key="domains.ours",
        url="mysql://a.test/mail",
        password_file=None,
        timeout=2.0,
        connections=4,
    )


def test_every_key_of_a_server_is_handed_down(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim\n")
    secret.chmod(0o600)
    keys = {
        **LDAP,
        "tls": "none",
        "ca_file": secret,
        "bind_dn": "cn=reader",
        "password_file": secret,
        "external": False,
        "timeout": 0.5,
        "connections": 7,
        "scope": "one",
    }
    made = LdapServer.model_validate(keys)
    assert dataclasses.asdict(made.options("it")) == {"key": "it", **keys}


def test_a_password_that_cannot_be_read_names_the_section_of_its_server(tmp_path: Path) -> None:
    settings = configured.section(
        Accounts, "ldap", **LDAP, bind_dn="cn=x", password_file=tmp_path / "secret"
    )
    with pytest.raises(ConfigurationError, match=r"^accounts\.staff: password_file: .*No such"):
        sources.account_source("staff", settings, CYRUS_DEFAULTS)

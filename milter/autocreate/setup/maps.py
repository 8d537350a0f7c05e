"""From a map that Postfix reads to a table of autocreate.toml: pgsql_table(5), mysql_table(5), sqlite_table(5),
ldap_table(5), and files for postmap(1).

Postfix looks an address up; we look up a user id, which has no domain where Cyrus has none. `Naming` knows
the difference.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from autocreate.setup.values import SeenPostfix, Table

_USUAL_FOLDER = "/etc/postfix"
_INDEXED = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm")
# SELECT column FROM ... WHERE column = '%s' AND ...: of such a query it is clear which column has the user.
_SIMPLE = re.compile(
    r"\s*SELECT\s+.+?\s+FROM\s+(?P<source>.+?)\s+WHERE\s+(?P<column>[\w.`\"]+)\s*=\s*'%(?P<kind>[su])'"
    r"(?P<rest>(?:\s+AND\s+.+)?)\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Naming:
    """How user ids are written.

    Args:
        has_domains: user ids have a domain (`virtdomains` in imapd.conf).
        domain: of user ids without one: `defaultdomain`, or the only domain there is; "" if there are more.
    """

    has_domains: bool
    domain: str


class Untranslatable(Exception):
    """A map that no type of account source can ask. The text says why."""


def accounts(table: str, settings: Mapping[str, str], naming: Naming, secret_file: str) -> Table:
    """An account source from a map of recipients.

    Args:
        table: such as `pgsql:/etc/postfix/users.cf`.
        settings: the parameters in that file.
        secret_file: where the password will be, if there is one.

    Raises:
        Untranslatable: there is no such source.
    """
    kind = table.partition(":")[0]
    remark = f"The users of Postfix's {table}."
    if kind == "ldap":
        return _ldap_accounts(settings, naming, secret_file, remark)
    return _sql_accounts(kind, settings, naming, secret_file, remark)


def _sql_accounts(
    kind: str, settings: Mapping[str, str], naming: Naming, secret_file: str, remark: str
) -> Table:
    keys, secret = _sql(kind, settings, secret_file)
    query = _query(settings)
    words = _sql_words(kind, query, naming)
    simple = _SIMPLE.fullmatch(query)
    if simple and "%" not in simple["source"] + simple["rest"]:
        column, source, rest = simple["column"], simple["source"], simple["rest"].strip()
        word = words[f"%{simple['kind']}"]
        keys["query"] = f"SELECT :user FROM {source} WHERE {column} = {word} {rest}".strip()
        if simple["kind"] == "u" or naming.has_domains:
            others = re.sub(r"(?i)^AND\b", "WHERE", rest)
            keys["list_query"] = f"SELECT {column} FROM {source} {others}".strip()
    else:
        filled = _fill(query.strip().rstrip(";"), words)
        keys["query"] = f"SELECT :user FROM ({filled}) AS found LIMIT 1"
    remarks = [remark]
    if "list_query" not in keys:
        remarks.append(
            "For commands on all users (`provision --all`) write a list_query: it selects all user ids."
        )
    return Table("accounts.users", {"type": "sql", **keys}, tuple(remarks), secret)


def _ldap_accounts(
    settings: Mapping[str, str], naming: Naming, secret_file: str, remark: str
) -> Table:
    keys, secret = _ldap(settings, secret_file)
    wanted = settings.get("query_filter", "(mailacceptinggeneralid=%s)")
    keys["filter"] = _ldap_filter(wanted, naming)
    found = re.search(r"\(([\w;-]+)=%[su]\)", wanted)
    keys["user_attribute"] = found[1] if found else "uid"
    remarks = [remark]
    if "%s" in wanted and not naming.has_domains:
        keys["user_attribute"] = "uid"
        remarks.append("user_attribute is the one whose value is the user id of Cyrus.")
    urls = keys["urls"] if isinstance(keys["urls"], list) else []
    is_plain = any(url.startswith("ldap://") for url in urls)
    if is_plain and settings.get("start_tls", "no") != "yes" and "tls" not in keys:
        remarks.append(
            'Postfix asks it without StartTLS. tls = "none" would do so too, with the password unencrypted.'
        )
    return Table("accounts.users", {"type": "ldap", **keys}, tuple(remarks), secret)


def domains(
    head: str,
    table: str,
    postfix: SeenPostfix,
    secret_file: str,
) -> Table:
    """A table of domains from one of Postfix's.

    Args:
        head: such as `domains.postfix`.
    """
    kind, _, path = table.partition(":")
    remark = f"The domains of Postfix's {table}."
    if kind == "texthash" and table in postfix.sources:
        return Table(head, {"type": "file", "path": path}, (remark,))
    if settings := postfix.described.get(table):
        with contextlib.suppress(Untranslatable):
            return _domains_of_server(head, kind, settings, secret_file, remark)
    keys = {"type": "postmap", "map": table}
    if postfix.folder != _USUAL_FOLDER:
        keys["config_directory"] = postfix.folder
    return Table(head, keys, (remark, "autocreate's user must be able to read it."))


def _domains_of_server(
    head: str, kind: str, settings: Mapping[str, str], secret_file: str, remark: str
) -> Table:
    """The same database or directory, asked by the same query for the domain."""
    if kind == "ldap":
        keys, secret = _ldap(settings, secret_file)
        words = {"%s": "{domain}", "%d": "{domain}"}
        keys["filter"] = _fill(settings.get("query_filter", ""), words)
        return Table(head, {"type": "ldap", **keys}, (remark,), secret)
    keys, secret = _sql(kind, settings, secret_file)
    query = _query(settings)
    _require_quoted(query)
    keys["query"] = _fill(query.strip().rstrip(";"), {"%s": ":domain", "%d": ":domain"})
    return Table(head, {"type": "sql", **keys}, (remark,), secret)


def file_of_users(table: str, domains: Sequence[str]) -> Table:
    """An account source from the source text of a table."""
    path = table.partition(":")[2]
    return Table(
        "accounts.users",
        {"type": "file", "path": path, "format": "postfix", "domains": list(domains)},
        (f"The keys of Postfix's {table}, read from its text.",),
    )


def is_file(table: str) -> bool:
    """Is it a table made from a text, of one key in each line?"""
    return table.partition(":")[0] in (*_INDEXED, "texthash")


def _query(settings: Mapping[str, str]) -> str:
    """The query, or that of the parameters before there was one (pgsql_table(5), "obsolete")."""
    if query := settings.get("query"):
        return query
    if not all(settings.get(key) for key in ("table", "select_field", "where_field")):
        raise Untranslatable("it has no query")
    return (
        f"SELECT {settings['select_field']} FROM {settings['table']} "
        f"WHERE {settings['where_field']} = '%s' {settings.get('additional_conditions', '')}"
    ).strip()


def _fill(text: str, words: Mapping[str, str]) -> str:
    """Replace `%s` and the like, in SQL with the quotes around them."""

    def word(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        bare = found[0].strip("'")
        if bare not in words:
            raise Untranslatable(f"its query has {bare}")
        return words[bare]

    return re.sub(r"'%[a-zA-Z0-9]'|%%|%.", word, text)


def _require_quoted(query: str) -> None:
    """Parameters stand for whole strings."""
    if re.search(r"(?<!')%[a-zA-Z0-9]|%[a-zA-Z0-9](?!')", query):
        raise Untranslatable("its query has %s beside other text")


def _sql_words(kind: str, query: str, naming: Naming) -> dict[str, str]:
    _require_quoted(query)

    def joined(domain: str) -> str:
        return f"concat(:user, '@{domain}')" if kind == "mysql" else f":user || '@{domain}'"

    domain = naming.domain
    words = {"%u": ":local"}
    if naming.has_domains and domain:
        words["%s"] = f"CASE WHEN :domain = '' THEN {joined(domain)} ELSE :user END"
        words["%d"] = f"CASE WHEN :domain = '' THEN '{domain}' ELSE :domain END"
    elif naming.has_domains:
        words |= {"%s": ":user", "%d": ":domain"}
    elif domain:
        words |= {"%s": joined(domain), "%d": f"'{domain}'"}
    elif "%s" in query or "%d" in query:
        raise Untranslatable(_NO_DOMAINS)
    return words


_NO_DOMAINS = (
    "it looks addresses up, and user ids of this Cyrus have no domain (virtdomains is off), though "
    "there are several"
)


def _ldap_filter(wanted: str, naming: Naming) -> str:
    """A filter by user id from one by address."""
    with_id = {"%u": "{local}", "%s": "{user}", "%d": "{domain}"}
    domain = naming.domain
    with_domain = {"%u": "{local}", "%s": f"{{user}}@{domain}", "%d": domain}
    if re.search(r"%[sd]", wanted) is None or (naming.has_domains and not domain):
        return _fill(wanted, with_id)
    if not domain:
        raise Untranslatable(_NO_DOMAINS)
    if not naming.has_domains:
        return _fill(wanted, with_domain)
    if "%d" in wanted:
        raise Untranslatable(
            "its filter has %d, and user ids have a domain except in the default domain"
        )
    # A filter has no condition: no address has two @, so one half at most finds the user.
    return f"(|{_fill(wanted, with_id)}{_fill(wanted, with_domain)})"


def _sql(kind: str, settings: Mapping[str, str], secret_file: str) -> tuple[dict[str, object], str]:
    """The keys that say where a database is, and its password."""
    if kind == "sqlite":
        return {"url": f"sqlite:///{settings.get('dbpath', '')}"}, ""
    scheme, port = ("postgresql", "5432") if kind == "pgsql" else ("mysql", "3306")
    place = (settings.get("hosts") or "localhost").replace(",", " ").split()[0]
    if "://" in place:
        raise Untranslatable("its hosts is a URI")  # which may have a password
    user, database = quote(settings.get("user", ""), safe=""), settings.get("dbname", "")
    if place.startswith("unix:"):
        key = "host" if kind == "pgsql" else "unix_socket"
        url = f"{scheme}://{user}@/{database}?{key}={quote(place.removeprefix('unix:'))}"
    else:
        host, _, number = place.removeprefix("inet:").partition(":")
        address = "127.0.0.1" if host == "localhost" else host
        end = "" if number in ("", port) else f":{number}"
        url = f"{scheme}://{user}@{address}{end}/{database}"
    keys: dict[str, object] = {"url": url}
    password = settings.get("password", "")
    if password:
        keys["password_file"] = secret_file
    return keys, password


def _ldap(settings: Mapping[str, str], secret_file: str) -> tuple[dict[str, object], str]:
    """The keys that say where a directory is, and its password."""
    port = settings.get("server_port", "389")
    urls = []
    for host in (settings.get("server_host") or "localhost").split():
        plain = "://" not in host
        end = "" if port == "389" or not plain or re.search(r":\d+$", host) else f":{port}"
        urls.append(f"ldap://{host}{end}" if plain else host)
    keys: dict[str, object] = {"urls": urls}
    is_local = all(re.match(r"ldap://(localhost|127\.|\[::1\])", url) for url in urls)
    if settings.get("start_tls", "no") != "yes" and is_local:
        keys["tls"] = "none"
    if settings.get("tls_ca_cert_file"):
        keys["ca_file"] = settings["tls_ca_cert_file"]
    password = settings.get("bind_pw", "")
    if settings.get("bind", "yes") not in ("no", "none") and settings.get("bind_dn") and password:
        keys |= {"bind_dn": settings["bind_dn"], "password_file": secret_file}
    else:
        password = ""
    keys["base"] = settings.get("search_base", "")
    if settings.get("scope", "sub") != "sub":
        keys["scope"] = settings["scope"]
    return keys, password

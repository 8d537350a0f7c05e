"""Tables of domains. `DOMAIN_TABLES` is the list of their types."""

from autocreate.aliases.tables import Type

# The same kinds of place as for aliases, asked for a domain. The value of an entry does not count.
DOMAIN_TABLES = {
    "file": Type("autocreate.domains.file", "DomainFile"),
    "ldap": Type("autocreate.domains.ldap", "LdapDomains"),
    "postmap": Type("autocreate.aliases.postmap", "PostmapTable"),
    "sql": Type("autocreate.domains.sql", "SqlDomains"),
}

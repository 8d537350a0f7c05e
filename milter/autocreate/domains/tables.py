"""Tables of domains. `DOMAIN_TABLES` lists their types."""

from autocreate.aliases.tables import Type

# The same types as for aliases, asked for a domain. The value of an entry is ignored.
DOMAIN_TABLES = {
    "file": Type("autocreate.domains.file", "DomainFile"),
    "ldap": Type("autocreate.domains.ldap", "LdapDomains"),
    "postmap": Type("autocreate.aliases.postmap", "PostmapTable"),
    "sql": Type("autocreate.domains.sql", "SqlDomains"),
}

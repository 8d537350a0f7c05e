"""The journal's tables, and the statements that are run for nearly every new user.

Journals in use have these tables already: a change here needs a step in `autocreate.service.journal_schema`.
"""

import sqlalchemy as sa

METADATA = sa.MetaData()

# MariaDB and MySQL limit a key to 3072 bytes, at four a character, and by default take `Joe` for `joe`.
LONGEST_RECIPIENT = 700
# On these a text column without a length holds 64 KiB.
_LONGEST_TALLY = 2**24 - 1


def _key(length: int) -> sa.types.TypeEngine[str]:
    exact = sa.String(length, collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


UNFINISHED = sa.Table(
    "unfinished",
    METADATA,
    sa.Column("user", _key(250), primary_key=True),
    sa.Column("address", sa.String(1024), nullable=False),
    # With defaults, for the programs of version 1 of the journal, which write neither.
    sa.Column("service", sa.String(16), nullable=False, server_default="lmtp"),
    sa.Column("begun", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("usable", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_try", sa.Double, nullable=False, index=True),
    sa.Column("error", sa.Text, nullable=False),
)

# Run for every user who is not in the mailbox cache; building them would take longer than running them.
ENTRY_OF = sa.select(UNFINISHED).where(UNFINISHED.c.user == sa.bindparam("whose"))
BEGIN = UNFINISHED.insert()
FINISH = UNFINISHED.delete().where(UNFINISHED.c.user == sa.bindparam("whose"))

# What a user was given once. If it is missing later, the user has removed it.
GIVEN = sa.Table(
    "given",
    METADATA,
    sa.Column("user", _key(250), primary_key=True),
    sa.Column("thing", _key(500), primary_key=True),
)
GIVE = GIVEN.insert()
TAKE_BACK = GIVEN.delete().where(
    GIVEN.c.user == sa.bindparam("whose"),
    GIVEN.c.thing.in_(sa.bindparam("things", expanding=True)),
)

SEEN = sa.Table(
    "seen",
    METADATA,
    sa.Column("recipient", _key(LONGEST_RECIPIENT), primary_key=True),
    sa.Column("answer", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("user", sa.String(512), nullable=False),
    sa.Column("source", sa.String(256), nullable=False),
    sa.Column("policy", sa.String(256), nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("first_seen", sa.Double, nullable=False),
    sa.Column("last_seen", sa.Double, nullable=False, index=True),
)


# What `autocreate watch` keeps: see `autocreate.service.journal_watch`.
WATCH = sa.Table(
    "watch",
    METADATA,
    sa.Column("name", _key(250), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)

# What each process counted in an hour, in a row of its own: no process waits for another's lock. And
# days: see `autocreate.service.journal_hours`.
HOURS = sa.Table(
    "hours",
    METADATA,
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("writer", sa.String(128), primary_key=True),
    sa.Column(
        "tally", sa.Text().with_variant(sa.Text(_LONGEST_TALLY), "mysql", "mariadb"), nullable=False
    ),
)

# Mailboxes that are being made for users who had none, each held by one process at a time: see
# `autocreate.service.journal_creations`.
CREATIONS = sa.Table(
    "creations",
    METADATA,
    sa.Column("user", _key(250), primary_key=True),
    sa.Column("holder", sa.String(256), nullable=False),
    sa.Column("held_until", sa.Double, nullable=False),
    sa.Column("welcomed", sa.Boolean, nullable=False),
)

# Run for every new mailbox that gets a welcome message or has a hook; the first for every new user.
IS_CREATED = sa.select(CREATIONS.c.user).where(CREATIONS.c.user == sa.bindparam("whose"))
NOTE_CREATION = CREATIONS.insert()
FORGET_CREATION = CREATIONS.delete().where(CREATIONS.c.user == sa.bindparam("whose"))

# Programs that are still to run for new mailboxes. `attempts` tells whether a row was changed since.
HOOKS = sa.Table(
    "hooks",
    METADATA,
    sa.Column("user", _key(250), primary_key=True),
    sa.Column("policy", sa.String(256), nullable=False),
    sa.Column(
        "event", sa.Text().with_variant(sa.Text(_LONGEST_TALLY), "mysql", "mariadb"), nullable=False
    ),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_try", sa.Double, nullable=False, index=True),
    sa.Column("error", sa.Text, nullable=False),
)

NOTE_HOOK = HOOKS.insert()
DROP_HOOK = HOOKS.delete().where(HOOKS.c.user == sa.bindparam("whose"))

# Which version the tables have: the row with the highest one. See `autocreate.service.journal_schema`.
SCHEMA_VERSION = sa.Table(
    "schema_version",
    METADATA,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("oldest", sa.Integer, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
)

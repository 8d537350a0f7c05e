"""Berkeley DB files, as saslpasswd2(8) and pam_userdb(8) read them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from berkeleydb import db


def write_hash(path: Path, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Makes a file with these keys and values, in the place of one that is there."""
    path.unlink(missing_ok=True)
    with contextlib.closing(db.DB()) as file:
        file.open(str(path), dbtype=db.DB_HASH, flags=db.DB_CREATE)
        for key, value in records:
            file.put(key, value)


def sasldb_key(user: str, realm: str) -> bytes:
    """Where sasldb keeps a user's password (_sasldb_getdata() of Cyrus SASL)."""
    return b"\0".join((user.encode(), realm.encode(), b"userPassword"))

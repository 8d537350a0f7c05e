"""A private MariaDB on loopback, with TLS; it logs every statement."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pymysql
from pymysql.cursors import Cursor

from .common import HOST, run
from .database import DatabaseServer


class MariaDb(DatabaseServer):
    """A database `mail` with tables `accounts` and `memberships`, and a user who may read them."""

    name = "mariadb"
    user: Final = "mailreader"
    password: Final = "liest:nur@7"

    @property
    def url(self) -> str:
        """Without the password."""
        return f"mysql+pymysql://{self.user}@{HOST}:{self.port}/mail"

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        with self._admin() as admin:
            admin.execute("DELETE FROM accounts")
            admin.execute("DELETE FROM memberships")
            admin.executemany(
                "INSERT INTO accounts (userid) VALUES (%s)", [(user,) for user in accounts]
            )
            rows = [(user, group) for user, groups in accounts.items() for group in groups]
            if rows:
                admin.executemany("INSERT INTO memberships VALUES (%s, %s)", rows)

    def execute(self, statement: str) -> None:
        """As the administrator, in `mail`."""
        with self._admin() as admin:
            admin.execute(statement)

    @contextlib.contextmanager
    def _admin(self, database: str | None = "mail") -> Iterator[Cursor]:
        with (
            pymysql.connect(
                unix_socket=str(self._socket), user="root", database=database, autocommit=True
            ) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    @property
    def _socket(self) -> Path:
        return self.folder / "mysqld.sock"

    @property
    def _places(self) -> tuple[str, str]:
        # At its start a server removes every temporary table that it finds, another server's too.
        return f"--datadir={self.folder}/data", f"--tmpdir={self.folder}/tmp"

    def _lay_out(self) -> None:
        (self.folder / "tmp").mkdir()
        run(
            [
                *("mariadb-install-db", "--no-defaults", *self._places),
                *("--user=root", "--auth-root-authentication-method=normal", "--skip-test-db"),
                "--innodb-log-file-size=8M",
            ]
        )

    def _command(self) -> list[str | Path]:
        return [
            *("/usr/sbin/mariadbd", "--no-defaults", "--user=root"),
            *(*self._places, f"--socket={self._socket}"),
            *(f"--bind-address={HOST}", f"--port={self.port}", "--skip-name-resolve"),
            *("--general-log", f"--general-log-file={self.log_file}"),
            *(f"--ssl-cert={self.certificate.cert_file}", f"--ssl-key={self.certificate.key_file}"),
            *("--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0"),
            *("--innodb-log-file-size=8M", "--character-set-server=utf8mb4"),
            "--collation-server=utf8mb4_bin",
        ]

    def _is_up(self) -> bool:
        with contextlib.suppress(pymysql.OperationalError), self._admin(None):
            return True
        return False

    def _prepare(self) -> None:
        with self._admin(None) as admin:
            admin.execute("CREATE DATABASE mail")
            admin.execute(f"CREATE USER {self.user} IDENTIFIED BY '{self.password}'")
            admin.execute(f"GRANT SELECT ON mail.* TO {self.user}")
        self.execute(
            "CREATE TABLE accounts (userid text, quota text, partition_ text, KEY (userid(100)))"
        )
        self.execute("CREATE TABLE memberships (userid text, name text, KEY (userid(100)))")

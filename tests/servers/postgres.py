"""A private PostgreSQL on loopback, under its own user, with TLS; it logs every statement."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg

from .common import HOST, end, run
from .database import DatabaseServer

# Debian has a folder for each release of PostgreSQL that is installed.
_VERSIONS = Path("/usr/lib/postgresql")
_AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


class Postgres(DatabaseServer):
    """A database `mail` with tables `accounts` and `memberships`, and a user who may read them."""

    name = "postgres"
    user: Final = "mailreader"
    password: Final = "liest:nur@7"

    @property
    def url(self) -> str:
        """Without the password."""
        return f"postgresql+psycopg://{self.user}@{HOST}:{self.port}/mail"

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        with self._admin("mail") as admin, admin.cursor() as cursor:
            cursor.execute("TRUNCATE accounts, memberships")
            cursor.executemany(
                "INSERT INTO accounts (userid) VALUES (%s)", [(user,) for user in accounts]
            )
            rows = [(user, group) for user, groups in accounts.items() for group in groups]
            cursor.executemany("INSERT INTO memberships VALUES (%s, %s)", rows)

    def execute(self, statement: str) -> None:
        """As the administrator, in `mail`."""
        with self._admin("mail") as admin:
            admin.execute(statement)

    def _admin(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.folder), port=self.port, user="postgres", dbname=database, autocommit=True
        )

    def _lay_out(self) -> None:
        shutil.chown(self.folder, "postgres", "postgres")
        for path in (self.certificate.key_file, self.certificate.cert_file):
            shutil.chown(path, "postgres", "postgres")
        data = self.folder / "data"
        run(
            [
                *(*_AS_POSTGRES, _programs() / "initdb", "-D", data),
                *("-E", "UTF8", "--locale=C.UTF-8"),
                *("--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256"),
            ]
        )

    def _command(self) -> list[str | Path]:
        settings = {
            "listen_addresses": HOST,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "log_statement": "all",
            "ssl": "on",
            "ssl_cert_file": self.certificate.cert_file,
            "ssl_key_file": self.certificate.key_file,
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [
            *(*_AS_POSTGRES, _programs() / "postgres", "-D", self.folder / "data"),
            *("-p", str(self.port), *options),
        ]

    def _is_up(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), self._admin("postgres"):
            return True
        return False

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        # SIGTERM would wait for the clients to leave.
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10.0)
        end(process)

    def _prepare(self) -> None:
        with self._admin("postgres") as admin:
            admin.execute(f"CREATE ROLE {self.user} LOGIN PASSWORD '{self.password}'")
            admin.execute("CREATE DATABASE mail")
        self.execute(
            "CREATE TABLE accounts (userid text PRIMARY KEY, quota text, partition text);"
            "CREATE TABLE memberships (userid text, name text);"
            f"GRANT SELECT ON accounts, memberships TO {self.user}"
        )


def _programs() -> Path:
    """Those of the newest PostgreSQL."""
    return max(_VERSIONS.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])).parent

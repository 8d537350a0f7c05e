"""The program under test: its configuration, `autocreate milter` as a process of its own, and its commands."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from signal import SIGHUP, Signals
from typing import Any

from .common import HUNG, end, wait_until
from .cyrus import Cyrus
from .program import Program

COMMAND = Path(sys.executable).with_name("autocreate")

SCHEMA = """
CREATE TABLE accounts (userid TEXT PRIMARY KEY, enabled INTEGER NOT NULL DEFAULT 1);
CREATE TABLE memberships (userid TEXT NOT NULL, name TEXT NOT NULL);
"""

# As the text log and the JSON log say it.
READY = re.compile(r'^INFO ready: |"message": "ready: ', re.MULTILINE)

# What a tree of every kind of part looks like; tests that want another one say so.
POLICY: Mapping[str, Any] = {
    "name": "everyone",
    "quota": "2G",
    "folders": [
        {"name": "Sent", "special_use": "\\Sent", "subscribe": True},
        {"name": "Entwürfe", "special_use": "\\Drafts", "subscribe": True},
        {"name": "Archive/2026", "acl": {"anyone": "lr"}},
    ],
}


class Product(Program):
    """A folder with a configuration, an SQLite file of accounts and a journal; and the milter that runs by them.

    `start` and `stop` may be called in any order between `__enter__` and `__exit__`; `__enter__` starts nothing.
    """

    name = "product"
    output = "milter.log"

    def __init__(
        self,
        cyrus: Cyrus,
        *,
        accounts: Iterable[str] = (),
        settings: Mapping[str, Any] | None = None,
        policies: Iterable[Mapping[str, Any]] = (POLICY,),
        socket: str = "",
        environment: Mapping[str, str] | None = None,
        command: str = "milter",
        contained: Callable[..., list[str | Path]] | None = None,
    ) -> None:
        """`settings` is laid over the configuration, section by section; `socket` is as in milter.socket.

        `command` is what `start` runs; `contained` makes of it the command that is really run.
        """
        super().__init__()
        self.cyrus = cyrus
        self._accounts = tuple(accounts)
        self._settings = dict(settings or {})
        self._policies = list(policies)
        self._socket = socket
        self._variables = dict(environment or {})
        self._subcommand = command
        self._arguments: tuple[str, ...] = ()
        self._starts = 0
        self.contained = contained

    # -- its life ----------------------------------------------------------------------------

    def _begin(self) -> None:
        """Nothing is started before a test says so."""

    def start(self, *arguments: str) -> None:
        """Starts the milter and waits until it is ready."""
        self.launch(*arguments)
        self.wait_until_up()

    def launch(self, *arguments: str) -> None:
        """Starts the milter and waits for nothing."""
        self._arguments = arguments
        self._starts = len(READY.findall(self.log()))
        super().launch()

    def _command(self) -> Sequence[str | Path]:
        command: list[str | Path] = [
            *(COMMAND, self._subcommand, "--config", self.config_file),
            *self._arguments,
        ]
        return self.contained(*command) if self.contained else command

    def _is_up(self) -> bool:
        return self._ready > 0

    @property
    def _ready(self) -> int:
        """How many processes have become ready since the start."""
        return len(READY.findall(self.log())) - self._starts

    def wait_for_processes(self, count: int) -> None:
        """Waits until so many processes have become ready since the start (`milter.processes`)."""
        wait_until(lambda: self._ready == count, 30.0, f"{count} processes", self.log)

    @property
    def _environment(self) -> Mapping[str, str]:
        return self._variables

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        end(process, timeout=20.0)

    def kill(self) -> None:
        """kill -9."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    def signal(self, number: Signals) -> None:
        os.kill(self.pid, number)

    def reload(self, number: Signals = SIGHUP) -> str:
        """Sends the signal; the line that says what came of it."""
        outcome = re.compile(r"^\S+ (?:reloaded|not reloaded.*)$", re.MULTILINE)
        before = len(outcome.findall(self.log()))
        self.signal(number)
        wait_until(lambda: len(outcome.findall(self.log())) > before, 10.0, "the reload", self.log)
        return str(outcome.findall(self.log())[-1])

    def wait_for_end(self) -> int:
        """Waits until the milter has ended by itself; its exit status."""
        assert self._process is not None
        status = self._process.wait(HUNG)
        self._process = None
        return status

    # -- its files ---------------------------------------------------------------------------

    @property
    def config_file(self) -> Path:
        return self.folder / "autocreate.toml"

    @property
    def database(self) -> Path:
        return self.folder / "accounts.db"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.db"

    @property
    def socket(self) -> str:
        """Where it listens, as Postfix writes it."""
        return self._socket or f"unix:{self.folder}/milter.sock"

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Lays other settings over the configuration, section by section, instead of the earlier ones."""
        configuration = self._defaults()
        for section, values in settings.items():
            if isinstance(values, Mapping):
                configuration[section] = {**configuration.get(section, {}), **values}
            else:
                configuration[section] = values
        self.config_file.write_text(to_toml(configuration))

    def replace_accounts(self, toml: str) -> None:
        """Has these account sources, as an administrator writes them, and the defaults of everything else."""
        configuration = self._defaults()
        del configuration["accounts"]
        self.config_file.write_text(to_toml(configuration) + "\n" + toml)

    def set_environment(self, **variables: str) -> None:
        """Further variables for what is started from now on."""
        self._variables.update(variables)

    def add_account(self, user: str, *groups: str) -> None:
        with contextlib.closing(sqlite3.connect(self.database)) as database, database:
            database.execute("INSERT INTO accounts (userid) VALUES (?)", (user,))
            database.executemany(
                "INSERT INTO memberships VALUES (?, ?)", [(user, group) for group in groups]
            )

    def unfinished(self) -> dict[str, dict[str, Any]]:
        """The journal's entries, by user."""
        return {row["user"]: row for row in self._rows("unfinished")}

    def seen(self) -> dict[str, dict[str, Any]]:
        """What dry run recorded, by recipient."""
        return {row["recipient"]: row for row in self._rows("seen")}

    # -- its commands ------------------------------------------------------------------------

    def run(
        self,
        *arguments: str,
        stdin: str = "",
        timeout: float = HUNG,
        contained: Sequence[str | Path] = (),
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """A command of the program, with this configuration; run by the command `contained`, if given."""
        return subprocess.run(
            [*contained, COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, **self._environment, "AUTOCREATE_CONFIG": str(self.config_file)},
            timeout=timeout,
            cwd=cwd,
            check=False,
        )

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command says with --json, an object a line."""
        return [json.loads(line) for line in self.run(*arguments, "--json").stdout.splitlines()]

    def _rows(self, table: str) -> list[dict[str, Any]]:
        with contextlib.closing(sqlite3.connect(self.journal)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(f"SELECT * FROM {table}")]

    def _lay_out(self) -> None:
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            database.executescript(SCHEMA)
        for user in self._accounts:
            self.add_account(user)
        secret = self.folder / "cyrus.secret"
        secret.touch(mode=0o600)
        secret.write_text(self.cyrus.admin_password + "\n")
        self.configure(self._settings)

    def _defaults(self) -> dict[str, Any]:
        return {
            "milter": {"socket": self.socket, "socket_mode": "0666", "domains": ["example.org"]},
            "cyrus": {
                "host": self.cyrus.host,
                "port": self.cyrus.imap_port,
                "sieve_port": self.cyrus.sieve_port,
                "tls": "none",
                "admin": self.cyrus.admin,
                "password_file": f"{self.folder}/cyrus.secret",
                "timeout": 3.0,
            },
            "accounts": {
                "staff": {
                    "type": "sql",
                    "url": f"sqlite:///{self.database}",
                    "query": "SELECT userid FROM accounts WHERE userid = :user AND enabled",
                    # `add_account` is to be seen at once.
                    "cache_negative_seconds": 0,
                    "groups_query": "SELECT name FROM memberships WHERE userid = :user",
                }
            },
            "policy": self._policies,
            "journal": {"url": f"sqlite:///{self.journal}"},
        }


def to_toml(configuration: Mapping[str, Any]) -> str:
    """A configuration as an administrator would write it."""
    lines: list[str] = []
    for section, values in configuration.items():
        if (
            isinstance(values, Mapping)
            and values
            and all(isinstance(it, Mapping) for it in values.values())
        ):
            for name, inner in values.items():
                lines += _table(f"[{section}.{name}]", inner)
        elif isinstance(values, Mapping):
            lines += _table(f"[{section}]", values)
        else:
            for item in values:
                lines += _table(f"[[{section}]]", item)
    return "\n".join(lines)


def _table(head: str, values: Mapping[str, Any]) -> list[str]:
    return [head, *(f"{key} = {_value(it)}" for key, it in values.items()), ""]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(it)}" for key, it in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        items = list(map(_value, value))
        if any(isinstance(it, Mapping) for it in value):
            return "[\n" + "".join(f"  {item},\n" for item in items) + "]"
        return f"[{', '.join(items)}]"
    # A JSON string, number or boolean is a TOML one.
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)

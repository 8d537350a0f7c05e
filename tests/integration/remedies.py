"""Applies what `autocreate doctor` says to do, to the letter, as an administrator who knows nothing else would.

A remedy is a list of instructions between semicolons. What begins with another word than an instruction, or with
"or", is advice for a person, and so is what follows a condition such as ", unless".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.servers.common import aged, fresh_folder, run
from tests.servers.postfix import Postfix
from tests.servers.product import Product, to_toml

_CONDITION = re.compile(r", (?:unless|once|until|if) .*")
_COMMANDS = ("chmod", "chgrp", "chown", "install", "postconf")

# The user of our systemd units is root here.
_WITH_OUR_USER = """
{ grep -v '^autocreate:' /etc/passwd; echo autocreate:x:0:0::/:/bin/sh; } >"$0/passwd"
{ grep -v '^autocreate:' /etc/group; echo autocreate:x:0:; } >"$0/group"
mount --bind "$0/passwd" /etc/passwd
mount --bind "$0/group" /etc/group
exec sh -euc "$1"
"""


def apply(remedy: str, product: Product, postfix: Postfix, renew: Callable[[], None]) -> list[str]:
    """Do what it says.

    Args:
        renew: renews the certificate of the server.

    Returns:
        The instructions that were followed.
    """
    followed = []
    for instruction in remedy.split("; "):
        if not _follow(_CONDITION.sub("", instruction), product, postfix, renew):
            break
        followed.append(instruction)
    return followed


def _follow(
    instruction: str, product: Product, postfix: Postfix, renew: Callable[[], None]
) -> bool:
    if instruction.startswith(_COMMANDS):
        _command(instruction, postfix)
    elif instruction.startswith("renew the certificate on the server"):
        renew()
    elif match := re.fullmatch(r"main\.cf: (\w+) =(.*)", instruction):
        postfix.set(**{match[1]: match[2].strip()})
    elif match := re.fullmatch(r"autocreate\.toml: remove (.*)", instruction):
        _in_toml(product, dict.fromkeys(match[1].split(" and ")))
    elif match := re.fullmatch(r"autocreate\.toml: ([\w.]+ = .*)", instruction):
        key, _, value = match[1].partition(" = ")
        _in_toml(product, {key: tomllib.loads(f"it = {value}")["it"]})
    elif match := re.fullmatch(r"(/\S+), in SERVICES: (\w+ cmd=.*)", instruction):
        path = Path(match[1])
        path.write_text(path.read_text().replace("SERVICES {\n", f"SERVICES {{\n  {match[2]}\n"))
    elif match := re.fullmatch(r"(/\S+): remove (.*)", instruction):
        for key in match[2].split(" and "):
            _in_imapd_conf(Path(match[1]), key, None)
    elif match := re.fullmatch(r"(/\S+): (\w+): (.*)", instruction):
        _in_imapd_conf(Path(match[1]), match[2], match[3])
    else:
        return False
    return True


def _command(command: str, postfix: Postfix) -> None:
    functions = f'postconf() {{ command postconf -c {postfix.config} "$@"; }}\n'
    with fresh_folder("names") as folder:
        run(["unshare", "--mount", "sh", "-euc", _WITH_OUR_USER, folder, functions + command])


def _in_toml(product: Product, changes: dict[str, Any]) -> None:
    """Set keys such as `cyrus.ca_file`; None removes one."""
    configuration = tomllib.loads(product.config_file.read_text())
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        if value is None:
            del configuration[section][name]
        else:
            configuration[section][name] = value
    product.config_file.write_text(to_toml(configuration))
    aged(product.config_file)


def _in_imapd_conf(path: Path, key: str, value: str | None) -> None:
    """Replace the line of a key, or add one; without a value, remove it."""
    lines = [it for it in path.read_text().splitlines() if not it.startswith(f"{key}:")]
    if value is not None:
        lines.append(f"{key}: {value}")
    path.write_text("\n".join([*lines, ""]))

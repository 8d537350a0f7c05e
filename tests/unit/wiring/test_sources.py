"""Sources and tables are made as the configuration says, or none of them stays open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autocreate.aliases.stages import Found
from autocreate.config.accounts import Accounts
from autocreate.config.aliases import Aliases
from autocreate.config.domains import Domains
from autocreate.config.sections import Config
from autocreate.errors import ConfigurationError
from autocreate.statistics.recorder import Statistics
from autocreate.wiring import sources
from autocreate.wiring.loading import Loader
from tests.configured import section


class Table:
    def __init__(self, name: str) -> None:
        self.name = name
        self.is_closed = False

    def find(self, _keys: Any) -> Found:
        return Found()

    def close(self) -> None:
        self.is_closed = True


Build = Callable[[Config], object]


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        ("domain", lambda config: sources.domains_of(config, Statistics(), Loader())),
        ("alias", lambda config: sources.aliases_of(config, Statistics(), None, Loader())),
    ],
)
def test_open_tables_are_closed_if_another_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, kind: str, build: Build
) -> None:
    opened: list[Table] = []

    def make(name: str, _settings: object) -> Table:
        if name == "bad":
            raise ConfigurationError("it", ["cannot be made"])
        opened.append(Table(name))
        return opened[-1]

    monkeypatch.setattr(sources, f"{kind}_table", make)
    tables = {"good": None, "bad": None}
    with pytest.raises(ConfigurationError):
        build(Config.model_construct(None, domains=tables, aliases=tables))
    assert [(it.name, it.is_closed) for it in opened] == [("good", True)]


def test_makers_have_the_keys_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "text").touch()
    file = {"path": tmp_path / "text"}
    config = Config.model_construct(
        None,
        accounts={"staff": section(Accounts, "file", **file)},
        domains={"ours": section(Domains, "file", **file)},
        aliases={"virtual": section(Aliases, "file", **file)},
    )
    assert list(sources.account_makers(config)) == ["accounts.staff"]
    domains, aliases = sources.domain_makers(config), sources.alias_makers(config)
    assert [(key, make().name) for key, make in (domains | aliases).items()] == [
        ("domains.ours", "ours"),
        ("aliases.virtual", "virtual"),
    ]

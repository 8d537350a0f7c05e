"""Every wrong configuration of tests/bad_configs and the whole message it must give."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from autocreate.cli.main import main

CASES = sorted((Path(__file__).parents[2] / "bad_configs").iterdir())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_wrong_configuration_is_told_as_a_whole(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content, mode in (
        ("cyrus.secret", "hidden\n", 0o640),
        ("open.secret", "hidden\n", 0o644),
        ("empty.secret", "\n", 0o600),
        ("users", "joe\n", 0o644),
    ):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    for file in case.iterdir():
        if file.name != "expected":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["config", "check", "--config", "autocreate.toml"])
    assert result.output == (case / "expected").read_text(encoding="utf-8")
    assert result.exit_code == 78

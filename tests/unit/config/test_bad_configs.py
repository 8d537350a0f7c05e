"""Every wrong configuration of tests/bad_configs and the whole message it must give."""

from __future__ import annotations

import json
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


def test_a_problem_has_the_line_of_its_key_however_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(
        """\
# The text of a value is not a key: milter.domains
milter.domains = [
  "example.org",
  "exam ple.org",
]
milter.deadline = "8"
accounts = { staff = { type = "file", path = "gone" } }
[[policy]]
name = "one"
[[policy]]
name = "two"
domains = ["other.test"]
quota = "much"
[journal]
"""
    )
    result = CliRunner().invoke(main, ["config", "check", "--config", "a.toml", "--json"])
    told = json.loads(result.output)
    keys = [it.partition(": ")[0] for it in told["problems"]]
    assert dict(zip(keys, told["lines"], strict=True)) == {
        "milter.domains[2]": 2,
        "milter.deadline": 6,
        "cyrus": None,
        "accounts.staff.path": 7,
        "policy[2].quota": 13,
    }

"""What every test of the service starts from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.house import Build, House


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return lambda *arguments, **named: House(tmp_path, *arguments, **named)

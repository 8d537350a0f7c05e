"""Which sources may be asked in threads of libmilter's: see docs/decisions/0063."""

from __future__ import annotations

import importlib

import pytest

from autocreate.accounts import SOURCES, MemorySource


@pytest.mark.parametrize("kind", SOURCES)
def test_of_all_sources_only_a_file_answers_from_memory(kind: str) -> None:
    made_by = getattr(importlib.import_module(SOURCES[kind].module), SOURCES[kind].factory)
    assert hasattr(made_by, MemorySource.recall.__name__) == (kind == "file")

"""Hypothesis with few examples a property, the same ones in every run, and nothing kept on disk."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", max_examples=60, deadline=None, database=None, derandomize=True)
settings.load_profile("unit")

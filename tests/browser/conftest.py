"""One browser for all, and the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.browser.pages import make
from tests.servers.browser import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser() as it:
        yield it


@pytest.fixture(scope="session")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a page of PAGES, by its name."""

    @cache
    def page(name: str) -> Path:
        return make(name, tmp_path_factory.mktemp(name))

    return page

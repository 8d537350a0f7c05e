"""The documents lead to each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("contrib/*/README.md")),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda it: str(it.relative_to(ROOT)))
def test_a_link_leads_to_a_file_that_is_there(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_document_has_its_place_in_the_order_of_reading() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("contrib/*/README.md")]
    names = {str(it.relative_to(ROOT)) for it in pages} - {"docs/README.md"}
    linked = [name for name in names if f"({name.removeprefix('docs/')})" in index]
    linked += [name for name in names if f"(../{name})" in index]
    assert sorted(linked) == sorted(names)

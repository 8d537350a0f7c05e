"""The documents lead to each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from autocreate.config.lmtp import Lmtp

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


def test_postfix_and_cyrus_files_of_contrib_write_domains_in_lower_case_by_one_line() -> None:
    (line,) = [it for it in read("contrib/cyrus/main.cf") if it.startswith("lmtp_generic_maps")]
    assert f"#{line}" in read("contrib/postfix/main.cf")


def test_the_lines_about_lmtpd_in_the_example_are_good_once_they_are_uncommented() -> None:
    lines = read("contrib/autocreate.toml")
    begin = lines.index("# [lmtp]")
    section = "\n".join(it.removeprefix("# ") for it in lines[begin : begin + 3])
    assert Lmtp.model_validate(tomllib.loads(section)["lmtp"]).lowercase_domains


def read(path: str) -> list[str]:
    return (ROOT / path).read_text("utf-8").splitlines()

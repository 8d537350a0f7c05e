"""Takes pictures of the report page: python -m tests.browser DIR. See script/pictures."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.browser.pages import PAGES, make
from tests.servers.browser import Browser, pictures_of_sheets

WIDTHS = (390, 768, 1280)


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="autocreate-pictures-") as folder, Browser() as browser:
        for name in PAGES:
            (own := Path(folder) / name).mkdir()
            page = make(name, own)
            for width in WIDTHS:
                for scheme in ("light", "dark"):
                    browser.show(page, width, dark=scheme == "dark")
                    picture = target / f"{name}-{width}-{scheme}.png"
                    picture.write_bytes(browser.picture())
                    print(picture)
            browser.show(page)
            paper = target / f"{name}.pdf"
            paper.write_bytes(browser.paper())
            print(paper, *pictures_of_sheets(paper, target / f"{name}-sheet"), sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

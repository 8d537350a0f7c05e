"""The source distribution and the wheel that script/dist builds, installed by pipx."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.common import fresh_folder, run
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.product import Product

# pipx fills an environment with what it downloads and compiles: minutes, on a busy machine.
pytestmark = pytest.mark.timeout(1000)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built() -> Iterator[tuple[Path, Path]]:
    """The source distribution and the wheel."""
    with fresh_folder("dist") as folder:
        sdist, wheel = run([ROOT / "script/dist", folder], timeout=300).splitlines()
        yield Path(sdist), Path(wheel)


def files(folder: Path) -> set[str]:
    """The files below a folder of this tree, by their paths in the tree; none that Python has written."""
    return {
        str(it.relative_to(ROOT))
        for it in folder.rglob("*")
        if it.is_file() and "__pycache__" not in it.parts
    }


def pipx_install(file: Path, folder: Path) -> Path:
    """Installs it for nobody else; returns the command."""
    places = {"PIPX_HOME": f"{folder}/pipx", "PIPX_BIN_DIR": f"{folder}/bin"}
    run(["pipx", "install", file], env=places, timeout=900)
    return folder / "bin/autocreate"


def test_the_wheel_has_the_program_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = wheel.namelist()
    assert {it.split("/")[0] for it in names} == {
        "autocreate",
        "autocreate_milter-0.1.0.dist-info",
    }
    there = {it for it in names if it.startswith("autocreate/")}
    here = files(ROOT / "milter/autocreate")
    assert there == {it.removeprefix("milter/") for it in here}


def test_the_source_distribution_has_what_a_clone_has(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as sdist:
        there = {it.name.partition("/")[2] for it in sdist if it.isfile()}
        programs = {it.name.partition("/")[2] for it in sdist if it.mode & 0o100 and it.isfile()}
    for name in ("milter/autocreate", "contrib", "docs", "script", "tests"):
        assert files(ROOT / name) - there == set()
    assert {"README.md", "LICENSE", "requirements.txt", "requirements-dev.txt"} <= there
    assert "script/install" in programs


@pytest.mark.parametrize("which", [0, 1], ids=["sdist", "wheel"])
def test_pipx_installs_what_serves(cyrus: Cyrus, built: tuple[Path, Path], which: int) -> None:
    with fresh_folder("pipx") as folder, Product(cyrus, accounts=["pip"]) as product:
        command = pipx_install(built[which], folder)
        assert run([command, "--version"]) == "autocreate, version 0.1.0\n"
        assert run([command, "man", "5"]).startswith(".TH AUTOCREATE.TOML 5")
        product.contained = lambda _ours, *arguments: [command, *arguments]
        product.start()
        with MilterClient(product.socket) as mta:
            mta.envfrom("<ann@client.test>")
            macros = {"{rcpt_mailer}": "lmtp", "{rcpt_addr}": "pip@example.org"}
            assert mta.envrcpt("<pip@example.org>", macros).verdict == "continue"
        assert product.stop() == 0

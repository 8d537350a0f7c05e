"""The owner of an :include: cannot make us read what only we may read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.aliases.file import Includes
from autocreate.errors import Temporary
from tests.servers.common import aged

ANN, KIM = 60001, 60002


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder of Ann's, with a list."""
    with tempfile.TemporaryDirectory(prefix="autocreate-test-") as made:
        os.chown(made, ANN, ANN)
        yield Path(made)


def file(path: Path, text: str, owner: int, mode: int = 0o644) -> Path:
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, owner, owner)
    aged(path)
    return path


def link(path: Path, target: Path, owner: int) -> Path:
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)
    return path


def test_a_link_counts_if_its_owner_may_read_what_it_leads_to(home: Path, tmp_path: Path) -> None:
    secret = file(home / "secret", "hunter2", 0, 0o600)
    with pytest.raises(Temporary, match=rf"is named by user id {ANN}, .* who may not read it"):
        Includes().read(str(link(home / "list", secret, ANN)))
    for name, target, owner in (
        ("mine", file(home / "own", "joe", ANN, 0o600), ANN),
        ("public", file(home / "public.txt", "joe", KIM), ANN),
        ("roots", secret, 0),
    ):
        assert Includes().read(str(link(home / name, target, owner))).members


def test_a_link_to_a_folder_counts_likewise(home: Path, tmp_path: Path) -> None:
    """The file is for everybody, but its folder is not."""
    tmp_path.chmod(0o700)
    file(tmp_path / "list", "hunter2", 0)
    link(home / "folder", tmp_path, ANN)
    with pytest.raises(Temporary, match="who may not read it"):
        Includes().read(f"{home}/folder/list")


def test_an_include_counts_if_the_owner_of_its_file_may_read_it(home: Path) -> None:
    secret = file(home / "secret", "hunter2", 0, 0o600)
    includes = Includes()
    assert includes.read(str(secret)).owner == 0
    with pytest.raises(Temporary, match="who may not read it") as error:
        includes.read(str(secret), ANN)
    assert "hunter2" not in str(error.value)


def test_an_include_that_everybody_may_write_is_refused(home: Path) -> None:
    with pytest.raises(Temporary, match="can be written by everybody"):
        Includes().read(str(file(home / "list", "joe", ANN, 0o666)))

"""What doctor reports about autocreate.toml itself."""

from __future__ import annotations

from autocreate.doctor.configuration import impossible_folders, lost_annotations, unusable
from autocreate.doctor.findings import Gravity


def test_each_mistake_is_a_critical_finding() -> None:
    found = unusable(["milter.deadlin: unknown key", "cyrus.port: must be greater than 0"])
    assert [(it.gravity, it.what) for it in found] == [
        (Gravity.CRITICAL, "milter.deadlin: unknown key"),
        (Gravity.CRITICAL, "cyrus.port: must be greater than 0"),
    ]
    assert "autocreate config check" in found[0].remedy


def test_a_folder_that_cannot_exist_is_a_warning() -> None:
    (found,) = impossible_folders(["policy 'all': folders: folder 'INBOX.Sent' cannot exist here"])
    assert found.gravity is Gravity.WARNING
    assert "new users do not get this folder" in found.why


def test_an_annotation_that_is_lost_is_a_warning() -> None:
    (found,) = lost_annotations(["/etc/cyrus.conf runs no cyr_expire"])
    assert found.gravity is Gravity.WARNING
    assert "docs/trees.md" in found.remedy

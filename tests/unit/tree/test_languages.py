"""A folder that exists under its name of another language is not created once more."""

from __future__ import annotations

from autocreate.tree.languages import settled, with_alternatives
from autocreate.tree.plan import difference, without_user_removed
from autocreate.tree.values import Folder, Path, Tree

NAMES: tuple[tuple[str, Path], ...] = (("en", ("Sent",)), ("de", ("Gesendet",)))
GERMAN = Tree((Folder(), Folder(("Gesendet",), "\\Sent", names=NAMES)))


def path_of(*existing: Folder) -> Path:
    return settled(GERMAN, Tree((Folder(), *existing))).folders[1].path


def test_every_name_is_looked_at() -> None:
    asked = [folder.path for folder in with_alternatives(GERMAN).folders]
    assert asked == [(), ("Gesendet",), ("Sent",)]


def test_who_has_none_gets_the_name_of_the_language() -> None:
    assert path_of() == ("Gesendet",)


def test_the_one_that_exists_stays() -> None:
    assert path_of(Folder(("Sent",))) == ("Sent",)


def test_of_two_the_one_with_the_special_use_counts() -> None:
    assert path_of(Folder(("Gesendet",)), Folder(("Sent",), "\\Sent")) == ("Sent",)
    assert path_of(Folder(("Gesendet",)), Folder(("Sent",))) == ("Gesendet",)


def test_two_folders_never_settle_for_one() -> None:
    wanted = Tree((Folder(), *GERMAN.folders[1:], Folder(("Sent",))))
    observed = Tree((Folder(), Folder(("Sent",), "\\Sent")))
    paths = [folder.path for folder in settled(wanted, observed).folders]
    assert paths == [(), ("Gesendet",), ("Sent",)]


def test_what_a_user_has_removed_does_not_come_back_under_another_name() -> None:
    plan = difference("joe", "all", GERMAN, Tree((Folder(),)))
    assert plan.actions
    assert without_user_removed(plan, frozenset({"folder Sent"})).actions == ()
    assert without_user_removed(plan, frozenset({"folder Drafts"})).actions == plan.actions

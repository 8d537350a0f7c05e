"""What an account's entry fills in to its tree, and what it cannot."""

from __future__ import annotations

import pytest

from autocreate.core.personal import fill_in, in_language
from autocreate.core.placeholders import values_of
from autocreate.model import Account
from autocreate.tree.values import Folder, Path, Script, Tree


def account(**attributes: str) -> Account:
    return Account("joe", "people", tuple(attributes.items()))


def filled(folder: Folder, **attributes: str) -> tuple[Folder | None, tuple[str, ...]]:
    tree, problems = fill_in(Tree((Folder(), folder)), values_of(account(**attributes)))
    return (tree.folders[1] if len(tree.folders) > 1 else None), problems


def test_a_name_is_filled_in() -> None:
    assert filled(Folder(("Of {user}", "{ou}")), ou="Physik") == (Folder(("Of joe", "Physik")), ())


def test_a_value_is_composed_so_that_one_name_is_one_folder() -> None:
    folder, _ = filled(Folder(("{ou}",)), ou="U\u0308bung")
    assert folder == Folder(("\u00dcbung",))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a/b",
        "../x",
        "..",
        ".",
        " a",
        "a\r\nb",
        "\0",
        "\u202ea",
        "a*b",
        "a%b",
        "{user}",
        "inbox",
        "x" * 500,
    ],
)
def test_what_cannot_be_a_name_leaves_the_folder_out(value: str) -> None:
    folder, (problem,) = filled(Folder(("{ou}",)), ou=value)
    assert folder is None
    assert problem.endswith("left out: folder {ou}")


def test_a_missing_value_leaves_out_the_folder_and_nothing_else() -> None:
    tree, problems = fill_in(
        Tree((Folder(), Folder(("{ou}",)), Folder(("Sent",)))), {"user": "joe"}
    )
    assert tree.folders == (Folder(), Folder(("Sent",)))
    assert problems == ("has no value for {ou}; left out: folder {ou}",)


def test_two_folders_that_become_one_are_one() -> None:
    tree, (problem,) = fill_in(
        Tree((Folder(), Folder(("Sent",)), Folder(("{ou}",)))), {"ou": "Sent"}
    )
    assert tree.folders == (Folder(), Folder(("Sent",)))
    assert "the same as another" in problem


def test_an_annotation_is_filled_in_or_left_out() -> None:
    expire = "/shared/vendor/cmu/cyrus-imapd/expire"
    wanted = Folder(("Junk",), annotations=((expire, "{days}"), ("/shared/comment", "of {user}")))
    folder, problems = filled(wanted, days="30")
    assert folder is not None
    assert folder.annotations == ((expire, "30"), ("/shared/comment", "of joe"))
    assert problems == ()
    for days in ("", "thirty", "-1", "30\n", "\u0663"):
        folder, (problem,) = filled(wanted, days=days)
        assert folder is not None
        assert folder.annotations == (("/shared/comment", "of joe"),)
        assert problem.endswith(f"left out: annotation {expire} of Junk")


def test_a_script_is_filled_in_only_if_it_is_a_template() -> None:
    script = Script("s", b'keep "{ou}";')
    assert fill_in(Tree(script=script), {"ou": "x"})[0].script == script
    template = Script("s", b'keep "{ou}";', is_template=True)
    made = fill_in(Tree(script=template), {"ou": "x"})[0].script
    assert made is not None
    assert made.text == b'keep "x";'
    tree, problems = fill_in(Tree(script=template), {})
    assert (tree.script, problems) == (None, ("has no value for {ou}; left out: sieve script s",))


NAMES: tuple[tuple[str, Path], ...] = (("en", ("Sent",)), ("de", ("Gesendet",)))


@pytest.mark.parametrize(
    ("preferred", "path"), [("de-AT", ("Gesendet",)), ("fr", ("Sent",)), ("", ("Sent",))]
)
def test_the_language_chooses_the_name(preferred: str, path: Path) -> None:
    tree = in_language(Tree((Folder(), Folder(("Sent",), names=NAMES))), [preferred], "en")
    assert tree.folders[1].path == path
    assert {path, *tree.folders[1].alternatives} == {("Sent",), ("Gesendet",)}

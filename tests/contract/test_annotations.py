"""What every mail store promises about annotations of folders (METADATA, RFC 5464)."""

from __future__ import annotations

import pytest

from autocreate.tree.annotations import SetPrivateAnnotation, SetSharedAnnotation
from autocreate.tree.languages import settled, with_alternatives
from autocreate.tree.plan import difference
from autocreate.tree.values import Folder, Tree

from .stores import Place, tree

EXPIRE = "/shared/vendor/cmu/cyrus-imapd/expire"
UNKNOWN = "/shared/vendor/cmu/cyrus-imapd/exipre"
WANTED = tree(
    Folder((), annotations=(("/private/comment", "mine"), ("/shared/comment", "ours"))),
    Folder(("Junk",), special_use="\\Junk", annotations=((EXPIRE, "30"),)),
    Folder(("Trash",), annotations=((EXPIRE, "7"), ("/private/comment", 'so "it" is \\'))),
)


def seen(place: Place, user: str, wanted: Tree) -> dict[str, dict[str, str]]:
    observed = place.store.observe(user, wanted)
    return {folder.name: dict(folder.annotations) for folder in observed.folders}


def test_a_tree_gets_its_annotations_and_lacks_none_afterwards(place: Place) -> None:
    user = place.new_user("annotated")
    result = place.make(user, WANTED)
    assert (result.failed, result.skipped) == ((), ())
    assert seen(place, user, WANTED) == {
        "INBOX": {"/private/comment": "mine", "/shared/comment": "ours"},
        "Junk": {EXPIRE: "30"},
        "Trash": {EXPIRE: "7", "/private/comment": 'so "it" is \\'},
    }
    assert difference(user, "", WANTED, place.store.observe(user, WANTED)).actions == ()


def test_only_what_a_policy_has_is_observed(place: Place) -> None:
    user = place.new_user("annotated")
    place.make(user, WANTED)
    less = tree(Folder(()), Folder(("Junk",), annotations=(("/shared/comment", "x"),)))
    assert seen(place, user, less) == {"INBOX": {}, "Junk": {}}


def test_a_shared_annotation_follows_the_policy_and_the_user_s_own_stays(place: Place) -> None:
    user = place.new_user("annotated")
    place.make(user, WANTED)
    changed = tree(
        Folder((), annotations=(("/private/comment", "other"), ("/shared/comment", "new"))),
    )
    place.make(user, changed)
    assert seen(place, user, changed) == {
        "INBOX": {"/private/comment": "mine", "/shared/comment": "new"}
    }


@pytest.mark.parametrize(
    ("action", "entry", "value"),
    [
        (SetSharedAnnotation, UNKNOWN, "30"),
        (SetSharedAnnotation, "/shared/vendor/example/color", "red"),
        (SetPrivateAnnotation, "/private/vendor/example/color", "red"),
        (SetSharedAnnotation, EXPIRE, "thirty"),
        (SetPrivateAnnotation, "/private/comment", "two\r\nlines"),
    ],
)
def test_what_this_server_does_not_take_is_skipped_for_good_and_the_rest_is_made(
    place: Place, action: type[SetSharedAnnotation], entry: str, value: str
) -> None:
    user = place.new_user("annotated")
    place.make(user, tree(Folder(())))
    bad = action((), entry, value)
    good = SetSharedAnnotation((), "/shared/comment", "good")
    result = place.apply(user, bad, good)
    assert result.failed == ()
    assert [it.action for it in result.skipped] == [bad]
    wanted = tree(Folder((), annotations=(("/shared/comment", "good"), (entry, value))))
    assert seen(place, user, wanted)["INBOX"] == {"/shared/comment": "good"}


def test_any_script_is_kept(place: Place) -> None:
    user = place.new_user("annotated")
    wanted = tree(Folder((), annotations=(("/shared/comment", "Απεσταλμένα ü"),)))
    assert place.make(user, wanted).skipped == ()
    assert seen(place, user, wanted) == {"INBOX": {"/shared/comment": "Απεσταλμένα ü"}}


def test_who_changes_language_keeps_the_folder_that_has_the_special_use(place: Place) -> None:
    names = (("en", ("Sent",)), ("de", ("Gesendet",)))
    english = Folder(("Sent",), special_use="\\Sent", subscribe=True, names=names)
    german = Folder(("Gesendet",), special_use="\\Sent", subscribe=True, names=names)
    user = place.new_user("polyglot")
    place.make(user, tree(Folder(()), english))
    wanted = tree(Folder(()), german)
    observed = place.store.observe(user, with_alternatives(wanted))
    assert difference(user, "", settled(wanted, observed), observed).actions == ()
    assert place.folders(user) == {(), ("Sent",)}
